//! Requests of the CSE over HTTP: notifications to URLs, and requests to other CSEs' points of access.
//!
//! Redirects are not followed: where a notification goes was decided by who may subscribe, not by the target.

mod lines;
mod reply;
mod request;

use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cse_core::codec::base64;
use cse_core::ports::{BoxFuture, Destination, Outbound, OutgoingRequest, SendError, Sent};
use http::header::{AUTHORIZATION, HeaderValue};
use http_body_util::Full;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

use self::lines::{InLine, Lines};
use crate::{header, order};
pub use request::target_url;

/// Most bytes of an answer's header section.
const REPLY_HEADER_BYTES_MAX: usize = 64 << 10;

/// How requests are sent.
#[derive(Clone, Debug)]
pub struct HttpOutboundOptions {
    /// Whose certificates are believed for `https`. Default [`Trust::Public`].
    pub trust: Trust,
    /// Most requests on their way at the same time, hence most connections in use; further ones wait within
    /// their own timeout. Default 256.
    pub requests_max: usize,
    /// Most unused connections kept to one host and port. Default 64: a gateway may have that many requests under way to its registrar, and making
    /// a connection costs more than a request.
    pub idle_connections_per_host_max: usize,
    /// How long an unused connection is kept. Default 30 s.
    pub idle_timeout: Duration,
    /// Longest time to establish a TCP connection. Default 5 s.
    pub connect_timeout: Duration,
    /// Largest body of an answer, in bytes. Default 1 MiB.
    pub reply_bytes_max: usize,
    /// What each request says in `Authorization`, unless it has tokens there; see [`basic`]. Default nothing.
    pub authorization: Option<HeaderValue>,
}

impl Default for HttpOutboundOptions {
    fn default() -> Self {
        Self {
            trust: Trust::Public,
            requests_max: 256,
            idle_connections_per_host_max: 64,
            idle_timeout: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(5),
            reply_bytes_max: 1 << 20,
            authorization: None,
        }
    }
}

/// Name and password as HTTP has them (RFC 7617); the name cannot have a colon. Not shown in logs.
pub fn basic(username: &str, password: &str) -> HeaderValue {
    let credentials = base64(format!("{username}:{password}").as_bytes());
    // It is ASCII, whatever was in it.
    let mut value = HeaderValue::try_from(format!("Basic {credentials}")).unwrap_or(HeaderValue::from_static(""));
    value.set_sensitive(true);
    value
}

/// Whose certificates are believed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Trust {
    /// The public authorities.
    Public,
    /// Only the authorities in this PEM text.
    Only(Vec<u8>),
    /// The public authorities and those in this PEM text.
    PublicAnd(Vec<u8>),
}

/// The trusted authorities cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum InvalidTrust {
    /// Not PEM.
    #[error("the trusted certificates are not readable PEM: {0}")]
    Pem(#[from] rustls::pki_types::pem::Error),
    /// No certificate in it.
    #[error("the PEM text of trusted certificates contains no certificate")]
    Empty,
    /// A certificate, or TLS as a whole, is refused.
    #[error("the trusted certificates cannot be used: {0}")]
    Tls(#[from] rustls::Error),
}

/// Sends requests over HTTP and HTTPS. Cheap to clone; clones share connections and limits.
#[derive(Clone, Debug)]
pub struct HttpOutbound {
    client: HttpClient,
    places: Arc<Semaphore>,
    lines: Arc<Lines>,
    reply_bytes_max: usize,
    authorization: Option<HeaderValue>,
}

impl HttpOutbound {
    /// Makes a sender. Needs a tokio runtime once it sends; the tasks of its connections end with it.
    ///
    /// # Errors
    /// [`InvalidTrust`] when `options.trust` has no usable certificate.
    pub fn new(options: &HttpOutboundOptions) -> Result<Self, InvalidTrust> {
        Ok(Self::over(options, tls(&options.trust)?))
    }

    /// Makes a sender that does TLS in that way, whatever `options.trust` says.
    pub fn over(options: &HttpOutboundOptions, tls: ClientConfig) -> Self {
        let places = Arc::new(Semaphore::new(options.requests_max.min(Semaphore::MAX_PERMITS)));
        let HttpOutboundOptions { reply_bytes_max, authorization, .. } = options.clone();
        Self { client: client(options, tls), places, lines: Arc::default(), reply_bytes_max, authorization }
    }

    /// Does TLS in that way from now on. What is under way and what waits keeps its place.
    pub fn renew(&mut self, options: &HttpOutboundOptions, tls: ClientConfig) {
        self.client = client(options, tls);
    }

    async fn exchange(self, outgoing: OutgoingRequest, in_line: Option<&InLine<'_>>) -> Result<Sent, SendError> {
        let mut message = request::encode(&outgoing)?;
        if let Some(in_line) = in_line {
            message.headers_mut().insert(header::ORDER, in_line.place().header_value());
        }
        if let Some(authorization) = &self.authorization {
            message.headers_mut().entry(AUTHORIZATION).or_insert_with(|| authorization.clone());
        }
        let answer = self.client.request(message).await.map_err(|error| match error.is_connect() {
            true => unreachable(reason(&error)),
            false => SendError::Unconfirmed(reason(&error)),
        })?;
        if let Some(in_line) = in_line {
            in_line.heard(order::is_kept(answer.headers()));
        }
        reply::decode(answer, &outgoing.request, self.reply_bytes_max)
            .await
            .map(|response| Sent::Answered(Box::new(response)))
    }
}

impl Outbound for HttpOutbound {
    fn reaches(&self, destination: &Destination) -> bool {
        destination.url().is_some_and(|url| {
            ["http://", "https://"]
                .iter()
                .any(|scheme| url.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme)))
        })
    }

    /// An answer without X-M2M-RSC, as servers give that are not oneM2M, counts by its HTTP status.
    fn send(&self, request: OutgoingRequest) -> BoxFuture<'static, Result<Sent, SendError>> {
        let sender = self.clone();
        Box::pin(async move {
            let timeout = request.timeout;
            let deadline = Instant::now() + timeout;
            let (lines, places) = (Arc::clone(&sender.lines), Arc::clone(&sender.places));
            let its_turn = async { (lines.turn(&request).await, places.acquire().await) };
            // What waits for its turn has not left.
            let (in_line, _place) = match timeout_at(deadline, its_turn).await {
                Ok((in_line, Ok(place))) => (in_line, place),
                Ok((_, Err(_))) => return Err(unreachable("the sender is closed")),
                Err(_) => return Err(unreachable(format!("no turn within {} ms", timeout.as_millis()))),
            };
            match timeout_at(deadline, sender.exchange(request, in_line.as_ref())).await {
                Ok(result) => result,
                Err(_) => Err(SendError::Unconfirmed(format!("no answer within {} ms", timeout.as_millis()))),
            }
        })
    }
}

type HttpClient = Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

fn client(options: &HttpOutboundOptions, tls: ClientConfig) -> HttpClient {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_connect_timeout(Some(options.connect_timeout));
    let connector =
        HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1().wrap_connector(tcp);
    Client::builder(TokioExecutor::new())
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(options.idle_timeout)
        .pool_max_idle_per_host(options.idle_connections_per_host_max)
        .http1_max_buf_size(REPLY_HEADER_BYTES_MAX)
        .build(connector)
}

fn tls(trust: &Trust) -> Result<ClientConfig, InvalidTrust> {
    let (public, pem) = match trust {
        Trust::Public => (true, None),
        Trust::Only(pem) => (false, Some(pem)),
        Trust::PublicAnd(pem) => (true, Some(pem)),
    };
    let mut roots = RootCertStore::empty();
    if public {
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    if let Some(pem) = pem {
        let before = roots.len();
        for certificate in CertificateDer::pem_slice_iter(pem) {
            roots.add(certificate?)?;
        }
        if roots.len() == before {
            return Err(InvalidTrust::Empty);
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

fn unreachable(why: impl Into<String>) -> SendError {
    SendError::Unreachable(why.into())
}

/// The client's error with its causes, the last of which says what happened.
fn reason(error: &hyper_util::client::legacy::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_http_is_reached() {
        let outbound = HttpOutbound::new(&HttpOutboundOptions::default()).expect("public authorities");
        for (text, reached) in [
            ("http://a.example/x", true),
            ("HTTPS://a.example", true),
            ("mqtt://a.example", false),
            ("httpx://a.example", false),
            ("http:", false),
            ("", false),
        ] {
            assert_eq!(outbound.reaches(&Destination::Url(text.into())), reached, "{text}");
        }
        assert!(!outbound.reaches(&Destination::MqttEntity("http://a.example".into())));
    }

    #[test]
    fn trust_without_certificates_is_an_error() {
        let made =
            |trust| HttpOutbound::new(&HttpOutboundOptions { trust, ..HttpOutboundOptions::default() }).map(|_| ());
        assert!(matches!(made(Trust::Only(Vec::new())), Err(InvalidTrust::Empty)));
        assert!(matches!(made(Trust::PublicAnd(b"nonsense".to_vec())), Err(InvalidTrust::Empty)));
        let broken = b"-----BEGIN CERTIFICATE-----\n!!!!\n-----END CERTIFICATE-----\n".to_vec();
        assert!(matches!(made(Trust::Only(broken)), Err(InvalidTrust::Pem(_))));
        let no_certificate = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".to_vec();
        assert!(matches!(made(Trust::Only(no_certificate)), Err(InvalidTrust::Tls(_))));
    }
}
