//! The part of `[mqtt]` that says where the embedded broker listens, and with which certificate.

use std::net::SocketAddr;
use std::path::PathBuf;

use cse_core::value::Text;
use cse_mqtt::transport::{ClientCertificates, ServerTls, ServerTlsFiles, WebSocketOptions};

use crate::config::layers::{Section, Source};
use crate::config::text::Listen;

/// Where the embedded broker listens.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct EmbeddedListen {
    /// MQTT over TCP. Default: `127.0.0.1:1883`.
    pub(crate) tcp: Option<SocketAddr>,
    /// MQTT over TLS. Default: nowhere.
    pub(crate) tls: Option<SocketAddr>,
    /// MQTT over WebSocket. Default: nowhere.
    pub(crate) websocket: Option<SocketAddr>,
    /// MQTT over WebSocket over TLS. Default: nowhere.
    pub(crate) websocket_tls: Option<SocketAddr>,
    /// Certificate, key and clients' authority of both TLS listeners; given whenever one of them is.
    pub(crate) tls_files: Option<ServerTlsFiles>,
    /// Path and origins of both WebSocket listeners. Default: `/mqtt`, and no pages of others.
    pub(crate) websocket_options: WebSocketOptions,
}

impl EmbeddedListen {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        let tcp = section.value("listen", Listen::local(1883)).address();
        let tls = section.value("tls-listen", Listen::Off).address();
        let websocket = section.value("websocket-listen", Listen::Off).address();
        let websocket_tls = section.value("websocket-tls-listen", Listen::Off).address();
        let path: Text = section.value("websocket-path", "/mqtt".into());
        if !path.is_empty() && (!path.starts_with('/') || path.contains(['?', '#', ' '])) {
            section.problem("websocket-path", "must begin with '/' and have no '?', '#' or blank; empty for any path");
        }
        let origins: Vec<Text> = section.value("websocket-origins", Vec::new());
        for origin in &origins {
            let is_origin = url::Url::parse(origin).is_ok_and(|url| url.origin().ascii_serialization() == **origin);
            if origin != "*" && !is_origin {
                section.problem(
                    "websocket-origins",
                    format!("'{origin}' is no origin; write it like \"https://dashboard.example:8443\", or \"*\""),
                );
            }
        }
        let websocket_options =
            WebSocketOptions { path: path.to_string(), origins: origins.iter().map(ToString::to_string).collect() };
        let wanted = [(tls, "tls-listen"), (websocket_tls, "websocket-tls-listen")];
        let wanted = wanted.into_iter().find_map(|(address, key)| address.and(Some(key)));
        let tls_files = read_tls(section, wanted);
        Self { tcp, tls, websocket, websocket_tls, tls_files, websocket_options }
    }

    /// Whether clients can show certificates.
    pub(crate) fn asks_for_certificates(&self) -> bool {
        self.tls_files.as_ref().is_some_and(|files| files.client_certificates != ClientCertificates::None)
    }

    /// Every address, with the option that has it.
    pub(crate) fn addresses(&self) -> impl Iterator<Item = (&'static str, SocketAddr)> {
        let all = [
            ("listen", self.tcp),
            ("tls-listen", self.tls),
            ("websocket-listen", self.websocket),
            ("websocket-tls-listen", self.websocket_tls),
        ];
        all.into_iter().filter_map(|(key, address)| Some((key, address?)))
    }
}

/// The strongest source of an address of the embedded broker that was given, and its option.
pub(super) fn strongest(section: &Section<'_>) -> (Source, &'static str) {
    let mut best = (section.source("listen"), "listen");
    for key in ["tls-listen", "websocket-listen", "websocket-tls-listen"] {
        let source = section.source(key);
        if source.strength() > best.0.strength() {
            best = (source, key);
        }
    }
    best
}

/// Certificate and key, if a listener wants them; `wanted` is its option. They are checked, so that a wrong file is a
/// problem of the configuration.
fn read_tls(section: &mut Section<'_>, wanted: Option<&'static str>) -> Option<ServerTlsFiles> {
    let certificate: Text = section.value("tls-certificate", Text::default());
    let key: Text = section.value("tls-key", Text::default());
    let client_ca: Text = section.value("tls-client-ca", Text::default());
    let client_certificates = section.choice(
        "tls-client-certificates",
        ClientCertificates::None,
        &[
            ("none", ClientCertificates::None),
            ("optional", ClientCertificates::Optional),
            ("required", ClientCertificates::Required),
        ],
    );
    let wanted = wanted?;
    if client_certificates != ClientCertificates::None && client_ca.is_empty() {
        section.problem("tls-client-certificates", "needs mqtt.tls-client-ca, the authority that issues them");
        return None;
    }
    if certificate.is_empty() || key.is_empty() {
        section
            .problem(wanted, "needs mqtt.tls-certificate and mqtt.tls-key; `cse-server certs dev` makes some to try");
        return None;
    }
    let files = ServerTlsFiles {
        certificate: PathBuf::from(certificate.as_str()),
        key: PathBuf::from(key.as_str()),
        client_certificates,
        client_ca: (!client_ca.is_empty()).then(|| PathBuf::from(client_ca.as_str())),
    };
    if let Err(problem) = ServerTls::load(files.clone()) {
        section.problem("tls-certificate", problem.to_string());
    }
    Some(files)
}
