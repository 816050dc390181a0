//! The HTTP request by which a client asks for a WebSocket, and what it makes of the answer.

use std::io;

use bytes::{BufMut, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio_tungstenite::tungstenite::handshake::client::{Response, generate_key};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::handshake::machine::TryParse;
use tokio_tungstenite::tungstenite::http::StatusCode;
use tokio_tungstenite::tungstenite::http::header::{SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_PROTOCOL};

use super::SUBPROTOCOL;
use super::stream::WebSocket;

/// Longest answer, without what comes after it.
const ANSWER_BYTES_MAX: usize = 16 * 1024;

/// Asks for a WebSocket on that host, with its port, and path. The caller limits the time.
pub(crate) async fn connect<S>(mut stream: S, host: &str, path: &str) -> io::Result<WebSocket<S>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let key = generate_key();
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Protocol: {SUBPROTOCOL}\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await?;
    stream.flush().await?;
    let mut input = BytesMut::with_capacity(1024);
    let (length, response) = loop {
        if let Some(parsed) = Response::try_parse(&input).map_err(|error| refused(error.to_string()))? {
            break parsed;
        }
        let room = ANSWER_BYTES_MAX - input.len();
        if room == 0 {
            return Err(refused("the answer is too long"));
        }
        if stream.read_buf(&mut (&mut input).limit(room)).await? == 0 {
            return Err(refused("the connection was closed before the answer"));
        }
    };
    check(&response, &key)?;
    // A server may speak at once.
    let early = input.split_off(length);
    Ok(WebSocket::connecting(stream, early))
}

fn check(response: &Response, key: &str) -> io::Result<()> {
    let status = response.status();
    if status != StatusCode::SWITCHING_PROTOCOLS {
        return Err(refused(format!("HTTP status {status}")));
    }
    let header = |name| response.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if header(SEC_WEBSOCKET_ACCEPT) != derive_accept_key(key.as_bytes()) {
        return Err(refused("the answer is not to this request"));
    }
    if header(SEC_WEBSOCKET_PROTOCOL).trim() != SUBPROTOCOL {
        return Err(refused(format!("the subprotocol '{SUBPROTOCOL}' is not supported there")));
    }
    Ok(())
}

fn refused(reason: impl std::fmt::Display) -> io::Error {
    io::Error::other(format!("no WebSocket: {reason}"))
}

#[cfg(test)]
mod tests {
    use super::super::{WebSocketOptions, accept};
    use super::*;

    #[tokio::test]
    async fn both_sides_understand_each_other() {
        let (near, far) = tokio::io::duplex(1024);
        let options = WebSocketOptions::default();
        let (connected, accepted) =
            tokio::join!(connect(near, "broker.example:9001", "/mqtt"), accept(far, &options, None));
        let (mut client, mut server) = (connected.expect("connected"), accepted.expect("accepted"));
        // More than fits, so that both have to take what they are given in pieces.
        let long: Vec<u8> = (0..=255).cycle().take(200_000).collect();
        for _ in 0..2 {
            let (sent, received) = tokio::join!(
                async {
                    client.write_all(&long).await?;
                    client.flush().await
                },
                async {
                    let mut received = vec![0; long.len()];
                    server.read_exact(&mut received).await.map(|_| received)
                }
            );
            sent.expect("sent");
            assert!(received.expect("received") == long);
            let (sent, received) = tokio::join!(
                async {
                    server.write_all(&long).await?;
                    server.flush().await
                },
                async {
                    let mut received = vec![0; long.len()];
                    client.read_exact(&mut received).await.map(|_| received)
                }
            );
            sent.expect("sent");
            assert!(received.expect("received") == long);
        }
        let (left, rest) = tokio::join!(client.shutdown(), server.read_u8());
        left.expect("left");
        assert_eq!(rest.expect_err("nothing more").kind(), io::ErrorKind::UnexpectedEof);
    }

    #[tokio::test]
    async fn an_answer_that_is_none_is_refused() {
        let accept = |key: &str| derive_accept_key(key.as_bytes());
        for (answer, reason) in [
            ("HTTP/1.1 404 Not Found\r\n\r\n", "404"),
            (
                "HTTP/1.1 101 x\r\nSec-WebSocket-Accept: x\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n",
                "not to this request",
            ),
            ("HTTP/1.1 101 x\r\nSec-WebSocket-Accept: ACCEPT\r\n\r\n", "'mqtt'"),
            ("\x20\x02\x00\x00", "no WebSocket"),
            ("", "closed"),
        ] {
            let (near, mut far) = tokio::io::duplex(64 * 1024);
            let server = async move {
                let mut request = Vec::new();
                while !request.ends_with(b"\r\n\r\n") {
                    request.push(far.read_u8().await.expect("a request"));
                }
                let request = String::from_utf8(request).expect("text");
                let key = request.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: ")).expect("a key");
                let answer = answer.replace("ACCEPT", &accept(key));
                far.write_all(answer.as_bytes()).await.expect("written");
            };
            let (refused, ()) = tokio::join!(connect(near, "x", "/mqtt"), server);
            let error = refused.expect_err("refused").to_string();
            assert!(error.contains(reason), "{reason}: {error}");
        }
    }
}
