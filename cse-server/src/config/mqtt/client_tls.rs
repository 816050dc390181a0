//! The part of `[mqtt]` and `[registrar]` that says whom to believe and who we are, in TLS towards brokers.

use std::path::PathBuf;
use std::sync::Arc;

use cse_core::value::Text;
use cse_mqtt::transport::{ClientIdentity, ClientTls, Trust};

use crate::config::layers::Section;

/// TLS towards brokers. All files are read again for each connection.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct ClientTlsConfig {
    /// File with authorities (PEM): the only ones that our broker's certificate may be of, and further ones for other
    /// brokers. Default: none, so those of the system.
    pub(crate) trusted_certificates: Option<PathBuf>,
    /// Certificate and key by which we are known to our broker. Default: none.
    pub(crate) identity: Option<ClientIdentity>,
    /// Whether our broker's certificate may be for another host. Default: no.
    pub(crate) any_host: bool,
}

impl ClientTlsConfig {
    pub(in crate::config) fn read(section: &mut Section<'_>) -> Self {
        let path = |text: Text| (!text.is_empty()).then(|| PathBuf::from(text.as_str()));
        let trusted_certificates = path(section.value("trusted-certificates", Text::default()));
        let certificate = path(section.value("client-certificate", Text::default()));
        let key = path(section.value("client-key", Text::default()));
        let any_host = section.value("tls-insecure-no-host-verification", false);
        let identity = match (certificate, key) {
            (Some(certificate), Some(key)) => Some(ClientIdentity { certificate, key }),
            (None, None) => None,
            (Some(_), None) => {
                section.problem("client-certificate", format!("needs {}", section.option("client-key")));
                None
            }
            (None, Some(_)) => {
                section.problem("client-key", format!("needs {}", section.option("client-certificate")));
                None
            }
        };
        let config = Self { trusted_certificates, identity, any_host };
        if let Some(file) = &config.trusted_certificates
            && let Err(problem) = ClientTls::new(Trust::Only(file.clone())).check()
        {
            section.problem("trusted-certificates", problem.to_string());
        } else if let Some(identity) = &config.identity {
            // With authorities that need no reading of the system's: they are not what is looked at here.
            let trust = config.trusted_certificates.clone().unwrap_or_else(|| identity.certificate.clone());
            if let Err(problem) = ClientTls::new(Trust::Only(trust)).with_identity(identity.clone()).check() {
                section.problem("client-certificate", problem.to_string());
            }
        }
        config
    }

    /// Towards our own broker.
    pub(crate) fn own_broker(&self) -> Arc<ClientTls> {
        let trust = self.trusted_certificates.clone().map_or(Trust::System, Trust::Only);
        let mut tls = ClientTls::new(trust);
        if let Some(identity) = &self.identity {
            tls = tls.with_identity(identity.clone());
        }
        if self.any_host {
            tls = tls.without_host_verification();
        }
        Arc::new(tls)
    }

    /// Towards brokers that points of access of others name: our certificate is none of their business, and their hosts
    /// are always verified.
    pub(crate) fn other_brokers(&self) -> Arc<ClientTls> {
        Arc::new(ClientTls::new(self.trusted_certificates.clone().map_or(Trust::System, Trust::SystemAnd)))
    }
}
