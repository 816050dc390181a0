//! TLS of listeners: certificate and key from files, which can be read again while the server runs.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use parking_lot::RwLock;
use rustls::server::{ServerConfig, ServerSessionMemoryCache, WebPkiClientVerifier};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::certificate;
use super::pem::{self, CertificateProblem};
use crate::broker::PeerCertificate;

/// Sessions that clients may resume without a whole handshake. At the bound the oldest is forgotten, and its client
/// makes a whole handshake again.
const RESUMABLE_SESSIONS_MAX: usize = 4_096;

/// Whether clients show certificates.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum ClientCertificates {
    /// They are not asked to.
    #[default]
    None,
    /// They are asked to. Without one they get in nameless; with one that cannot be verified they do not get in.
    Optional,
    /// Nobody gets in without one.
    Required,
}

/// Where certificate and key are, and what is asked of clients.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ServerTlsFiles {
    /// PEM file with the certificate, followed by those between it and the authority.
    pub certificate: PathBuf,
    /// PEM file with the private key.
    pub key: PathBuf,
    /// Whether clients show certificates.
    pub client_certificates: ClientCertificates,
    /// PEM file with the authorities that issue client certificates; needed unless none are asked for.
    pub client_ca: Option<PathBuf>,
}

/// TLS of one or more listeners.
#[derive(Debug)]
pub struct ServerTls {
    files: ServerTlsFiles,
    loaded: RwLock<Loaded>,
}

#[derive(Clone, Debug)]
struct Loaded {
    config: Arc<ServerConfig>,
    not_after: Option<SystemTime>,
}

impl ServerTls {
    /// Reads the files. Blocks while it does.
    ///
    /// # Errors
    /// [`CertificateProblem`] if a file cannot be read or its content cannot be used.
    pub fn load(files: ServerTlsFiles) -> Result<Self, CertificateProblem> {
        let loaded = RwLock::new(load(&files)?);
        Ok(Self { files, loaded })
    }

    /// Reads the files again: connections from now on use what is in them; those that exist are not touched. Blocks
    /// while it does.
    ///
    /// # Errors
    /// As [`ServerTls::load`]; then everything stays as it is.
    pub fn reload(&self) -> Result<(), CertificateProblem> {
        let loaded = load(&self.files)?;
        *self.loaded.write() = loaded;
        Ok(())
    }

    /// Time until the certificate in use expires; zero if it has.
    pub fn remaining(&self) -> Option<Duration> {
        let not_after = self.loaded.read().not_after?;
        Some(not_after.duration_since(SystemTime::now()).unwrap_or_default())
    }

    /// Makes a TLS connection of an accepted one, and says who the client has proven to be.
    pub(super) async fn accept<S>(&self, stream: S) -> std::io::Result<(TlsStream<S>, Option<Arc<PeerCertificate>>)>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let config = Arc::clone(&self.loaded.read().config);
        let stream = TlsAcceptor::from(config).accept(stream).await?;
        let shown = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
        let Some(shown) = shown else {
            return Ok((stream, None));
        };
        let Some(names) = certificate::names(shown) else {
            return Err(std::io::Error::new(
                std::io::ErrorKind::InvalidData,
                "the names of the client certificate are not readable",
            ));
        };
        Ok((stream, Some(Arc::new(names))))
    }
}

fn load(files: &ServerTlsFiles) -> Result<Loaded, CertificateProblem> {
    let chain = pem::certificates(&files.certificate)?;
    let key = pem::private_key(&files.key)?;
    let not_after = chain.first().and_then(certificate::not_after);
    let provider = pem::provider();
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions()?;
    let builder = match files.client_certificates {
        ClientCertificates::None => builder.with_no_client_auth(),
        asked => {
            let authorities = files.client_ca.as_deref().ok_or(CertificateProblem::NoClientAuthority)?;
            let authorities = Arc::new(pem::authorities(authorities)?);
            let verifier = WebPkiClientVerifier::builder_with_provider(authorities, provider);
            let verifier =
                if asked == ClientCertificates::Optional { verifier.allow_unauthenticated() } else { verifier };
            builder.with_client_cert_verifier(verifier.build()?)
        }
    };
    let mut config = builder.with_single_cert(chain, key).map_err(|error| CertificateProblem::Pair {
        certificate: files.certificate.clone(),
        key: files.key.clone(),
        error,
    })?;
    config.session_storage = ServerSessionMemoryCache::new(RESUMABLE_SESSIONS_MAX);
    Ok(Loaded { config: Arc::new(config), not_after })
}
