//! The names in a certificate, and how long it is good for.

use std::time::{Duration, SystemTime};

use rustls_pki_types::CertificateDer;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use crate::broker::PeerCertificate;

/// The names of a certificate that TLS has verified already.
///
/// The common name is the last of the subject, its most specific one. `None` if the certificate is not as X.509 has
/// it, which is not the same as one without names.
pub(super) fn names(certificate: &CertificateDer<'_>) -> Option<PeerCertificate> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    let alternatives = parsed.subject_alternative_name().ok()?;
    let uris = alternatives
        .iter()
        .flat_map(|extension| &extension.value.general_names)
        .filter_map(|name| match name {
            GeneralName::URI(uri) => Some((*uri).to_owned()),
            _ => None,
        })
        .collect();
    let common_name = parsed.subject().iter_common_name().last().and_then(|name| name.as_str().ok());
    Some(PeerCertificate { uris, common_name: common_name.map(str::to_owned) })
}

/// When a certificate ends to be valid; `None` if it is not as X.509 has it.
pub(super) fn not_after(certificate: &CertificateDer<'_>) -> Option<SystemTime> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    let seconds = u64::try_from(parsed.validity().not_after.timestamp()).unwrap_or_default();
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
}
