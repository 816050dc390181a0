//! A CSE that answers what a test wants, the server in front of it, and peers that speak bytes.
#![allow(dead_code, clippy::allow_attributes, reason = "each test file uses a part of it")]

use std::future::Future;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cse_core::error::Rsc;
use cse_core::ports::Dispatch;
use cse_core::primitive::{Request, Response};
use cse_core::value::Map;
use cse_http::{HttpLimits, HttpOptions, router, serve};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;

/// Longest time that anything in a test may take.
const DEADLINE: Duration = Duration::from_secs(20);

/// Waits for something that has to happen.
pub(crate) async fn soon<F: Future>(what: &str, future: F) -> F::Output {
    match tokio::time::timeout(DEADLINE, future).await {
        Ok(output) => output,
        Err(_) => panic!("waited too long for {what}"),
    }
}

/// Answers every request with its address. Requests to `held` wait until they are let go.
#[derive(Clone)]
pub(crate) struct Stub {
    requests: Arc<Mutex<Vec<Request>>>,
    begun: watch::Sender<usize>,
    gate: Arc<Semaphore>,
}

impl Stub {
    pub(crate) fn new() -> Self {
        Self { requests: Arc::default(), begun: watch::Sender::new(0), gate: Arc::new(Semaphore::new(0)) }
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.requests.lock().expect("not poisoned").clone()
    }

    pub(crate) async fn begun(&self, count: usize) {
        soon("requests to begin", self.begun.subscribe().wait_for(|begun| *begun >= count)).await.expect("a sender");
    }

    pub(crate) fn let_go(&self) {
        self.gate.add_permits(1);
    }
}

impl Dispatch for Stub {
    async fn dispatch(&self, request: Request) -> Response {
        let (to, rqi, rvi) = (request.to.clone(), request.request_identifier.clone(), request.release_version);
        self.requests.lock().expect("not poisoned").push(request);
        self.begun.send_modify(|begun| *begun += 1);
        if to.ends_with("held") || to.ends_with("/pcu") {
            self.gate.acquire().await.expect("open").forget();
        }
        if to == "panics" {
            panic!("as the test wants");
        }
        let mut response = Response::new(Rsc::Ok, rqi);
        response.release_version = rvi;
        let to = if to == "large" { "x".repeat(16 << 20).into() } else { to };
        response.content = Some(Map::single("m2m:cnt", Map::single("ri", to)));
        response
    }
}

/// A running server.
pub(crate) struct Server {
    pub(crate) stub: Stub,
    pub(crate) address: SocketAddr,
    pub(crate) stop: watch::Sender<bool>,
    pub(crate) task: JoinHandle<usize>,
}

pub(crate) fn options() -> HttpOptions {
    HttpOptions::new(|name| ["con", "rn"].contains(&name))
}

impl Server {
    pub(crate) async fn start(options: HttpOptions, limits: HttpLimits) -> Self {
        let stub = Stub::new();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (stop, stopped) = watch::channel(false);
        let app = router(stub.clone(), options).route("/livez", axum::routing::get(|| async { "alive" }));
        let task = tokio::spawn(serve(listener, app, limits, stopped));
        Self { stub, address, stop, task }
    }

    pub(crate) async fn with_defaults() -> Self {
        Self::start(options(), HttpLimits::default()).await
    }

    pub(crate) async fn connect(&self) -> Peer {
        Peer(soon("a connection", TcpStream::connect(self.address)).await.expect("connected"))
    }

    /// One request on a connection of its own.
    pub(crate) async fn exchange(&self, bytes: impl AsRef<[u8]>) -> Answer {
        let mut peer = self.connect().await;
        peer.send(bytes).await;
        peer.answer().await
    }

    /// Stops and says how many connections were cut off.
    pub(crate) async fn stopped(self) -> usize {
        self.stop.send(true).expect("the server runs");
        soon("the server to stop", self.task).await.expect("no panic")
    }
}

/// A connection with nothing between the test and the bytes.
pub(crate) struct Peer(pub TcpStream);

/// An answer as it came.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    pub(crate) fn rsc(&self) -> &str {
        self.header("x-m2m-rsc").unwrap_or("none")
    }
}

impl Peer {
    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        soon("bytes to be sent", self.0.write_all(bytes.as_ref())).await.expect("sent");
    }

    /// Reads one answer, or what there is of it when the stream ends.
    pub(crate) async fn answer(&mut self) -> Answer {
        soon("an answer", self.read_answer(true)).await
    }

    /// Reads the answer to HEAD.
    pub(crate) async fn head_answer(&mut self) -> Answer {
        soon("an answer", self.read_answer(false)).await
    }

    async fn read_answer(&mut self, with_body: bool) -> Answer {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let byte = self.0.read_u8().await;
            head.push(byte.unwrap_or_else(|error| panic!("{error} after {:?}", String::from_utf8_lossy(&head))));
        }
        let head = String::from_utf8(head).expect("text");
        let status = head[9..12].parse().expect("a status");
        let mut answer = Answer { status, head, body: String::new() };
        if with_body && status >= 200 {
            let length = answer.header("content-length").map_or(0, |length| length.parse().expect("a length"));
            let mut body = vec![0; length];
            self.0.read_exact(&mut body).await.expect("the body");
            answer.body = String::from_utf8(body).expect("text");
        }
        answer
    }

    /// Waits for the server to close; returns what came before. A reset counts as closing.
    pub(crate) async fn closed(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        let mut buffer = [0; 4096];
        loop {
            match soon("the end of the connection", self.0.read(&mut buffer)).await {
                Ok(0) | Err(_) => return rest,
                Ok(count) => rest.extend_from_slice(&buffer[..count]),
            }
        }
    }
}

/// A retrieve of that target.
pub(crate) fn get(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: cse\r\nX-M2M-Origin: Cae\r\nX-M2M-RI: r1\r\nX-M2M-RVI: 3\r\n\r\n")
}

/// A create with that body and further header lines.
pub(crate) fn post(target: &str, lines: &str, body: &str) -> String {
    format!(
        "POST {target} HTTP/1.1\r\nHost: cse\r\nX-M2M-Origin: Cae\r\nX-M2M-RI: r1\r\nX-M2M-RVI: 3\r\n\
         Content-Type: application/json;ty=3\r\n{lines}\r\n{body}"
    )
}
