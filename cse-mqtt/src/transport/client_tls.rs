//! TLS towards brokers: whom we believe, and who we say we are.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::server::ParsedCertificate;
use rustls::{AlertDescription, CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::spawn_blocking;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::pem::{self, CertificateProblem};

/// Whose certificates a broker may show.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum Trust {
    /// Those of the authorities that the system trusts.
    #[default]
    System,
    /// Those of the authorities in this PEM file, and no others.
    Only(PathBuf),
    /// Those of the system's authorities and of the ones in this PEM file.
    SystemAnd(PathBuf),
}

/// Certificate and key by which we are known to a broker.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ClientIdentity {
    /// PEM file with the certificate, followed by those between it and the authority.
    pub certificate: PathBuf,
    /// PEM file with the private key.
    pub key: PathBuf,
}

/// TLS towards brokers. The files are read for each connection, so that new ones count from the next one on.
#[derive(Default)]
pub struct ClientTls {
    trust: Trust,
    identity: Option<ClientIdentity>,
    any_host: bool,
    /// Some hundred certificates, read when they are needed first.
    system: OnceLock<RootCertStore>,
}

impl fmt::Debug for ClientTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { trust, identity, any_host, system: _ } = self;
        let mut shown = f.debug_struct("ClientTls");
        shown.field("trust", trust).field("identity", identity).field("any_host", any_host).finish_non_exhaustive()
    }
}

impl ClientTls {
    /// TLS that believes `trust`, without a certificate of our own. Reads nothing yet.
    pub fn new(trust: Trust) -> Self {
        Self { trust, ..Self::default() }
    }

    /// Shows that certificate to brokers that ask for one.
    #[must_use]
    pub fn with_identity(mut self, identity: ClientIdentity) -> Self {
        self.identity = Some(identity);
        self
    }

    /// Accepts a certificate of a trusted authority whatever host it is for, which lets everybody who has one of that
    /// authority stand in for the broker.
    #[must_use]
    pub fn without_host_verification(mut self) -> Self {
        self.any_host = true;
        self
    }

    /// Whether the files can be used now. Blocks while it reads them.
    ///
    /// # Errors
    /// [`CertificateProblem`], as a connection would have it.
    pub fn check(&self) -> Result<(), CertificateProblem> {
        self.client_config().map(|_| ())
    }

    /// Makes a TLS connection of a connection to `host`.
    pub(crate) async fn connect<S>(self: &Arc<Self>, host: &str, stream: S) -> io::Result<TlsStream<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let tls = Arc::clone(self);
        let loaded = spawn_blocking(move || tls.client_config()).await.map_err(io::Error::other)?;
        let config = loaded.map_err(io::Error::other)?;
        let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
        TlsConnector::from(Arc::new(config)).connect(name, stream).await
    }

    /// What the files say now, for whoever does TLS with it. Blocks while it reads them.
    ///
    /// # Errors
    /// [`CertificateProblem`] if one of them cannot be used.
    pub fn client_config(&self) -> Result<ClientConfig, CertificateProblem> {
        let roots = Arc::new(self.roots()?);
        let provider = pem::provider();
        let builder =
            ClientConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions()?;
        let verifier: Arc<dyn ServerCertVerifier> = if self.any_host {
            Arc::new(AnyHost { roots, algorithms: provider.signature_verification_algorithms })
        } else {
            WebPkiServerVerifier::builder_with_provider(roots, provider).build()?
        };
        let builder = builder.dangerous().with_custom_certificate_verifier(verifier);
        let Some(ClientIdentity { certificate, key }) = &self.identity else {
            return Ok(builder.with_no_client_auth());
        };
        builder
            .with_client_auth_cert(pem::certificates(certificate)?, pem::private_key(key)?)
            .map_err(|error| CertificateProblem::Pair { certificate: certificate.clone(), key: key.clone(), error })
    }

    fn roots(&self) -> Result<RootCertStore, CertificateProblem> {
        match &self.trust {
            Trust::System => self.system(),
            Trust::Only(path) => pem::authorities(path),
            Trust::SystemAnd(path) => {
                let mut roots = self.system().unwrap_or_else(|_| RootCertStore::empty());
                roots.roots.extend(pem::authorities(path)?.roots);
                Ok(roots)
            }
        }
    }

    fn system(&self) -> Result<RootCertStore, CertificateProblem> {
        if let Some(known) = self.system.get() {
            return Ok(known.clone());
        }
        let found = rustls_native_certs::load_native_certs();
        let mut roots = RootCertStore::empty();
        // Some systems carry certificates that are not as they should be; the others are of use all the same.
        roots.add_parsable_certificates(found.certs);
        if roots.is_empty() {
            let errors: Vec<_> = found.errors.iter().map(ToString::to_string).collect();
            let reason = if errors.is_empty() { "there are none".to_owned() } else { errors.join("; ") };
            return Err(CertificateProblem::System(reason));
        }
        Ok(self.system.get_or_init(|| roots).clone())
    }
}

/// Accepts what a trusted authority has signed, for whatever host.
#[derive(Debug)]
struct AnyHost {
    roots: Arc<RootCertStore>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for AnyHost {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let certificate = ParsedCertificate::try_from(end_entity)?;
        let algorithms = self.algorithms.all;
        verify_server_cert_signed_by_trust_anchor(&certificate, &self.roots, intermediates, now, algorithms)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// The text of an error of a connection to a broker: what it means for us, where it is one of TLS.
pub(crate) fn explained(error: &io::Error) -> String {
    let of_tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match of_tls.and_then(meaning) {
        Some(meaning) => format!("{meaning} ({error})"),
        None => error.to_string(),
    }
}

fn meaning(error: &rustls::Error) -> Option<&'static str> {
    use AlertDescription as Alert;
    use CertificateError as Wrong;
    Some(match error {
        rustls::Error::InvalidCertificate(wrong) => match wrong {
            // A bad signature is that of an authority with the name of a trusted one, as after making it anew.
            Wrong::UnknownIssuer | Wrong::BadSignature => "nobody we trust has issued the broker's certificate",
            Wrong::Expired | Wrong::ExpiredContext { .. } => "the broker's certificate has expired",
            Wrong::NotValidYet | Wrong::NotValidYetContext { .. } => {
                "the broker's certificate is not valid yet; is the clock right?"
            }
            Wrong::NotValidForName | Wrong::NotValidForNameContext { .. } => {
                "the broker's certificate is for another host name"
            }
            _ => "the broker's certificate cannot be verified",
        },
        rustls::Error::AlertReceived(alert) => match alert {
            Alert::CertificateRequired => "the broker wants a client certificate",
            Alert::UnknownCA | Alert::BadCertificate | Alert::CertificateUnknown | Alert::DecryptError => {
                "the broker does not accept our client certificate"
            }
            Alert::CertificateExpired => "our client certificate has expired",
            Alert::HandshakeFailure => "the broker refuses the TLS handshake; it may want a client certificate",
            _ => return None,
        },
        rustls::Error::InvalidMessage(_) => "the broker does not speak TLS on this port",
        _ => return None,
    })
}
