//! A load client over HTTP/1.1: one request at a time on a connection that stays.

use std::net::SocketAddr;
use std::time::Instant;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::sample::Latencies;
use crate::Result;

/// Digits of the request identifier, which are written over for each request.
const IDENTIFIER: &str = "0000000000";

/// A request, ready to be sent again and again.
pub(crate) struct HttpRequest {
    bytes: Vec<u8>,
    /// Where the request identifier is.
    at: usize,
    number: u64,
    expected: u16,
}

impl HttpRequest {
    /// A retrieve; `path` with leading slash, and query if any.
    pub(crate) fn retrieve(path: &str, originator: &str) -> Self {
        Self::new("GET", path, originator, "", 200)
    }

    /// A create of a resource type below `path`.
    pub(crate) fn create(path: &str, originator: &str, ty: u32, body: &str) -> Self {
        let rest = format!("Content-Type: application/json;ty={ty}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        Self::new("POST", path, originator, &rest, 201)
    }

    fn new(method: &str, path: &str, originator: &str, rest: &str, expected: u16) -> Self {
        let before = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nX-M2M-Origin: {originator}\r\nX-M2M-RI: ");
        let rest = if rest.is_empty() { "\r\n" } else { rest };
        let bytes = format!("{before}{IDENTIFIER}\r\nX-M2M-RVI: 3\r\nAccept: application/json\r\n{rest}").into_bytes();
        Self { bytes, at: before.len(), number: 0, expected }
    }

    fn next(&mut self) -> &[u8] {
        self.number += 1;
        write_digits(&mut self.bytes[self.at..self.at + IDENTIFIER.len()], self.number);
        &self.bytes
    }
}

/// Writes a number with leading zeros.
pub(crate) fn write_digits(digits: &mut [u8], number: u64) {
    let mut rest = number;
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
}

/// A connection that stays.
pub(crate) struct HttpClient {
    stream: TcpStream,
    input: Vec<u8>,
}

impl HttpClient {
    pub(crate) async fn connect(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, input: Vec::with_capacity(65_536) })
    }

    /// Sends one request and waits for its answer; gives the body.
    pub(crate) async fn ask(&mut self, request: &mut HttpRequest) -> Result<&[u8]> {
        self.stream.write_all(request.next()).await?;
        self.input.clear();
        let (head, length) = loop {
            if self.stream.read_buf(&mut self.input).await? == 0 {
                return Err("the server closed an HTTP connection".into());
            }
            if let Some((head, body)) = answer_length(&self.input)?
                && self.input.len() >= head + body
            {
                break (head, body);
            }
        };
        if self.input.len() > head + length {
            return Err("more came over HTTP than one answer".into());
        }
        let status = self.input.get(9..12).and_then(|digits| std::str::from_utf8(digits).ok()?.parse::<u16>().ok());
        if status != Some(request.expected) {
            let answer = String::from_utf8_lossy(&self.input);
            return Err(format!("expected HTTP status {}, got: {answer}", request.expected).into());
        }
        Ok(&self.input[head..])
    }

    /// Asks one after another until that time.
    pub(crate) async fn run(&mut self, request: &mut HttpRequest, until: Instant) -> Result<Latencies> {
        let mut latencies = Latencies::default();
        loop {
            let began = Instant::now();
            if began >= until {
                return Ok(latencies);
            }
            self.ask(request).await?;
            latencies.add(began);
        }
    }
}

/// Length of head and body, when the head is there.
fn answer_length(bytes: &[u8]) -> Result<Option<(usize, usize)>> {
    let (mut at, mut body) = (0, None);
    while let Some(length) = bytes[at..].iter().position(|byte| *byte == b'\n') {
        let line = bytes[at..at + length].trim_ascii_end();
        at += length + 1;
        if line.is_empty() {
            return Ok(Some((at, body.ok_or("an HTTP answer without a length")?)));
        }
        let name = b"content-length:";
        if line.len() > name.len() && line[..name.len()].eq_ignore_ascii_case(name) {
            body = Some(std::str::from_utf8(&line[name.len()..])?.trim().parse()?);
        }
    }
    Ok(None)
}
