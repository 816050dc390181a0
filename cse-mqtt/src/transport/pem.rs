//! Certificates and keys from PEM files, with errors that name the file.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::crypto::CryptoProvider;
use rustls_pki_types::pem::{self, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

/// Why certificates or keys cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CertificateProblem {
    /// The file is not there, or not readable.
    #[error("cannot read {0}: {1}")]
    Read(PathBuf, std::io::Error),
    /// The file is no PEM text.
    #[error("{0} is not readable PEM: {1}")]
    Pem(PathBuf, pem::Error),
    /// The file has other things than expected.
    #[error("{0} contains no certificate")]
    NoCertificate(PathBuf),
    /// The file has other things than expected.
    #[error("{0} contains no private key")]
    NoKey(PathBuf),
    /// One of the certificates is not accepted as that of an authority.
    #[error("{0} contains a certificate that cannot be an authority: {1}")]
    Authority(PathBuf, rustls::Error),
    /// The key and the certificate do not fit together, or are of a kind that is not supported.
    #[error("{certificate} and {key} cannot be used together: {error}")]
    Pair {
        /// File with the certificate.
        certificate: PathBuf,
        /// File with the key.
        key: PathBuf,
        /// What TLS says.
        error: rustls::Error,
    },
    /// A certificate that cannot be checked against the authorities given.
    #[error("client certificates cannot be verified: {0}")]
    Verifier(#[from] rustls::server::VerifierBuilderError),
    /// Client certificates are asked for, and nobody is named who may issue them.
    #[error("client certificates need the authority that issues them")]
    NoClientAuthority,
    /// The system has no authorities, or they cannot be read.
    #[error("the system's certificates of authorities cannot be read: {0}")]
    System(String),
    /// TLS itself refuses.
    #[error("TLS cannot be set up: {0}")]
    Tls(#[from] rustls::Error),
}

/// The cryptography of every TLS connection here.
pub(super) fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// All certificates of a file: a chain with the end entity first, or authorities.
pub(super) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, CertificateProblem> {
    let text = read(path)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let found = found.map_err(|error| CertificateProblem::Pem(path.into(), error))?;
    if found.is_empty() { Err(CertificateProblem::NoCertificate(path.into())) } else { Ok(found) }
}

/// The first private key of a file.
pub(super) fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, CertificateProblem> {
    PrivateKeyDer::from_pem_slice(&read(path)?).map_err(|error| match error {
        pem::Error::NoItemsFound => CertificateProblem::NoKey(path.into()),
        error => CertificateProblem::Pem(path.into(), error),
    })
}

/// The authorities of a file.
pub(super) fn authorities(path: &Path) -> Result<RootCertStore, CertificateProblem> {
    let mut store = RootCertStore::empty();
    for certificate in certificates(path)? {
        store.add(certificate).map_err(|error| CertificateProblem::Authority(path.into(), error))?;
    }
    Ok(store)
}

fn read(path: &Path) -> Result<Vec<u8>, CertificateProblem> {
    fs::read(path).map_err(|error| CertificateProblem::Read(path.into(), error))
}
