//! The HTTP request that turns a connection into a WebSocket, and the answer to it.

use std::io;
use std::net::{IpAddr, SocketAddr};

use bytes::{BufMut, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio_tungstenite::tungstenite::handshake::machine::TryParse;
use tokio_tungstenite::tungstenite::handshake::server::{Request, create_response, write_response};
use tokio_tungstenite::tungstenite::http::header::{HOST, HeaderName, HeaderValue, ORIGIN, SEC_WEBSOCKET_PROTOCOL};
use url::Url;

use super::stream::WebSocket;
use super::{SUBPROTOCOL, WebSocketOptions};

/// Longest request.
const REQUEST_BYTES_MAX: usize = 8 * 1024;

/// Why a connection does not become a WebSocket.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("the network connection was lost: {0}")]
    Network(#[from] io::Error),
    #[error("the request is longer than {REQUEST_BYTES_MAX} bytes")]
    TooLong,
    #[error("no WebSocket request: {0}")]
    NotWebSocket(String),
    #[error("the client does not offer the subprotocol '{SUBPROTOCOL}'")]
    Subprotocol,
    #[error("the path '{0}' is not the one for MQTT")]
    Path(String),
    #[error("pages from '{0}' may not connect; the option for WebSocket origins can allow them")]
    Origin(String),
}

impl Refusal {
    fn status(&self) -> Option<&'static str> {
        Some(match self {
            Self::Network(_) => return None,
            Self::TooLong => "431 Request Header Fields Too Large",
            Self::NotWebSocket(_) | Self::Subprotocol => "400 Bad Request",
            Self::Path(_) => "404 Not Found",
            Self::Origin(_) => "403 Forbidden",
        })
    }
}

/// Makes a WebSocket of a connection. The caller limits the time.
pub(crate) async fn accept<S>(
    mut stream: S,
    options: &WebSocketOptions,
    local: Option<SocketAddr>,
) -> Result<WebSocket<S>, Refusal>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    match agree(&mut stream, options, local).await {
        Ok(answer) => {
            stream.write_all(&answer).await?;
            stream.flush().await?;
            Ok(WebSocket::accepting(stream))
        }
        Err(refusal) => {
            if let Some(status) = refusal.status() {
                let text = format!("{refusal}\n");
                let answer = format!(
                    "HTTP/1.1 {status}\r\nConnection: close\r\nContent-Type: text/plain; charset=utf-8\r\n\
                     Content-Length: {}\r\n\r\n{text}",
                    text.len()
                );
                stream.write_all(answer.as_bytes()).await?;
                stream.shutdown().await?;
            }
            Err(refusal)
        }
    }
}

/// Reads the request and gives the answer that accepts it.
async fn agree<S>(stream: &mut S, options: &WebSocketOptions, local: Option<SocketAddr>) -> Result<Vec<u8>, Refusal>
where
    S: AsyncRead + Unpin,
{
    let mut input = BytesMut::with_capacity(1024);
    let request = loop {
        let parsed = Request::try_parse(&input).map_err(|error| Refusal::NotWebSocket(error.to_string()))?;
        if let Some((length, request)) = parsed {
            if length < input.len() {
                return Err(Refusal::NotWebSocket("something came behind it before it was answered".into()));
            }
            break request;
        }
        let room = REQUEST_BYTES_MAX - input.len();
        if room == 0 {
            return Err(Refusal::TooLong);
        }
        if stream.read_buf(&mut (&mut input).limit(room)).await? == 0 {
            return Err(Refusal::Network(io::ErrorKind::UnexpectedEof.into()));
        }
    };
    let mut response = create_response(&request).map_err(|error| Refusal::NotWebSocket(error.to_string()))?;
    check(&request, options, local)?;
    response.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL));
    let mut answer = Vec::with_capacity(256);
    write_response(&mut answer, &response).map_err(|error| Refusal::NotWebSocket(error.to_string()))?;
    Ok(answer)
}

fn check(request: &Request, options: &WebSocketOptions, local: Option<SocketAddr>) -> Result<(), Refusal> {
    let path = request.uri().path();
    if !options.path.is_empty() && path != options.path {
        return Err(Refusal::Path(path.to_owned()));
    }
    let offered = request.headers().get_all(SEC_WEBSOCKET_PROTOCOL);
    let mut offered = offered.iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
    if !offered.any(|name| name.trim() == SUBPROTOCOL) {
        return Err(Refusal::Subprotocol);
    }
    let Some(origin) = text(request, &ORIGIN) else {
        // Only browsers are made to say where a page comes from, and only they lend themselves to others' pages.
        return Ok(());
    };
    let listed = options.origins.iter().any(|allowed| allowed == "*" || allowed.eq_ignore_ascii_case(origin));
    if listed || is_own(origin, text(request, &HOST), local) {
        return Ok(());
    }
    Err(Refusal::Origin(origin.to_owned()))
}

fn text<'a>(request: &'a Request, name: &HeaderName) -> Option<&'a str> {
    request.headers().get(name).map(|value| value.to_str().unwrap_or("(unreadable)"))
}

/// Whether a page comes from where it connects to.
fn is_own(origin: &str, host: Option<&str>, local: Option<SocketAddr>) -> bool {
    let (Ok(origin), Some(host)) = (Url::parse(origin), host) else {
        return false;
    };
    let Some(name) = origin.host_str() else {
        return false;
    };
    let authority = match origin.port() {
        Some(port) => format!("{name}:{port}"),
        None => name.to_owned(),
    };
    if !authority.eq_ignore_ascii_case(host) {
        return false;
    }
    let is_number = name.trim_matches(['[', ']']).parse::<IpAddr>().is_ok();
    let only_here = local.is_some_and(|address| address.ip().is_loopback());
    !only_here || is_number || name.eq_ignore_ascii_case("localhost")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(headers: &[(&str, &str)], target: &str) -> Vec<u8> {
        let mut text = format!(
            "GET {target} HTTP/1.1\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        );
        for (name, value) in headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        text.push_str("\r\n");
        text.into_bytes()
    }

    /// The first line of the answer, or of the refusal.
    async fn answer(bytes: &[u8], options: &WebSocketOptions, local: &str) -> String {
        let (mut client, server) = tokio::io::duplex(64 * 1024);
        client.write_all(bytes).await.expect("written");
        let local = Some(local.parse().expect("an address"));
        let accepted = accept(server, options, local).await;
        drop(accepted);
        let mut text = String::new();
        client.read_to_string(&mut text).await.expect("read");
        text
    }

    const MQTT: (&str, &str) = ("Sec-WebSocket-Protocol", "mqttv3.1, mqtt");

    #[tokio::test]
    async fn a_proper_request_is_accepted_with_the_subprotocol() {
        let options = WebSocketOptions::default();
        let text = answer(&request(&[MQTT], "/mqtt?token=x"), &options, "127.0.0.1:1").await;
        assert!(text.starts_with("HTTP/1.1 101 "), "{text}");
        // The value for this key is in RFC 6455 §1.3.
        assert!(text.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{text}");
        assert!(text.to_ascii_lowercase().contains("sec-websocket-protocol: mqtt\r\n"), "{text}");
        let options = WebSocketOptions { path: String::new(), ..options };
        let text = answer(&request(&[MQTT], "/anything"), &options, "127.0.0.1:1").await;
        assert!(text.starts_with("HTTP/1.1 101 "), "{text}");
    }

    #[tokio::test]
    async fn whatever_else_is_refused_with_the_reason() {
        let options = WebSocketOptions::default();
        let mut behind = request(&[MQTT], "/mqtt");
        behind.extend_from_slice(&[0x82, 0x80]);
        for (bytes, status, reason) in [
            (request(&[MQTT], "/other"), "404", "'/other'"),
            (request(&[("Sec-WebSocket-Protocol", "mqttv3.1")], "/mqtt"), "400", "'mqtt'"),
            (request(&[], "/mqtt"), "400", "'mqtt'"),
            (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(), "400", "upgrade"),
            (b"POST /mqtt HTTP/1.1\r\n\r\n".to_vec(), "400", "GET"),
            (vec![0x10, 0x0c, 0, 4, b'M', b'Q', b'T', b'T', 4, 2, 0, 0, 0, 0], "400", "no WebSocket request"),
            (vec![0x16, 3, 1, 0, 1], "400", "no WebSocket request"),
            (request(&[MQTT, ("X-Long", &"x".repeat(9000))], "/mqtt"), "431", "longer"),
            (behind, "400", "before it was answered"),
        ] {
            let text = answer(&bytes, &options, "127.0.0.1:1").await;
            assert!(text.starts_with(&format!("HTTP/1.1 {status} ")) && text.contains(reason), "{reason}: {text}");
        }
    }

    #[tokio::test]
    async fn pages_of_others_are_kept_out() {
        let listed = WebSocketOptions { origins: vec!["https://dashboard.example".into()], ..Default::default() };
        let all = WebSocketOptions { origins: vec!["*".into()], ..Default::default() };
        let none = WebSocketOptions::default();
        for (options, origin, host, local, accepted) in [
            (&none, "https://evil.example", "127.0.0.1:9001", "127.0.0.1:9001", false),
            (&none, "null", "127.0.0.1:9001", "127.0.0.1:9001", false),
            (&none, "http://127.0.0.1:9001", "127.0.0.1:9001", "127.0.0.1:9001", true),
            (&none, "http://localhost:9001", "localhost:9001", "127.0.0.1:9001", true),
            (&none, "http://[::1]:9001", "[::1]:9001", "[::1]:9001", true),
            // A name that leads to a loopback address was made to.
            (&none, "http://evil.example:9001", "evil.example:9001", "127.0.0.1:9001", false),
            (&none, "https://cse.example:9001", "cse.example:9001", "10.0.0.1:9001", true),
            (&none, "https://other.example", "cse.example:9001", "10.0.0.1:9001", false),
            (&listed, "https://dashboard.example", "127.0.0.1:9001", "127.0.0.1:9001", true),
            (&listed, "https://dashboard.example.evil", "127.0.0.1:9001", "127.0.0.1:9001", false),
            (&all, "https://evil.example", "127.0.0.1:9001", "127.0.0.1:9001", true),
        ] {
            let bytes = request(&[MQTT, ("Origin", origin), ("Host", host)], "/mqtt");
            let text = answer(&bytes, options, local).await;
            assert_eq!(text.starts_with("HTTP/1.1 101 "), accepted, "{origin} {host}: {text}");
            assert_eq!(text.starts_with("HTTP/1.1 403 "), !accepted, "{origin} {host}: {text}");
        }
    }
}
