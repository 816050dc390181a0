//! Sending to peers over real sockets: ordinary, foreign, slow, broken and absent ones.

mod support;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use cse_core::codec::Serialization;
use cse_core::ports::{Destination, Outbound, OutgoingRequest, Patience, SendError, Sent};
use cse_core::primitive::{Operation, Request, Response};
use cse_core::schema::Ty;
use cse_core::value::Map;
use cse_http::{HttpOutbound, HttpOutboundOptions, Trust};
use futures_util::FutureExt as _;
use support::{Server, soon};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

const SHORT: Duration = Duration::from_millis(100);
const LONG: Duration = Duration::from_secs(15);

fn sender(options: HttpOutboundOptions) -> HttpOutbound {
    HttpOutbound::new(&options).expect("usable options")
}

fn notification(url: String) -> OutgoingRequest {
    let mut request = Request::new(Operation::Notify, "Cae", "/id-in", "own");
    request.content = Some(Map::single("m2m:sgn", Map::single("sur", "cse-in/sub")));
    outgoing(url, request, LONG)
}

fn outgoing(url: String, request: Request, timeout: Duration) -> OutgoingRequest {
    let (destination, serialization) = (Destination::Url(url.into()), Serialization::Json);
    OutgoingRequest { destination, request, serialization, timeout, patience: Patience::default(), in_order: false }
}

async fn answered(sender: &HttpOutbound, request: OutgoingRequest) -> Response {
    match soon("an answer", sender.send(request)).await {
        Ok(Sent::Answered(response)) => *response,
        other => panic!("{other:?}"),
    }
}

async fn why_unreachable(sender: &HttpOutbound, request: OutgoingRequest) -> String {
    match soon("a failure", sender.send(request)).await {
        Err(SendError::Unreachable(why)) => why,
        other => panic!("{other:?}"),
    }
}

/// Reads a request with its body, as text; `None` at the end of the stream.
async fn read_request(stream: &mut (impl AsyncRead + Unpin)) -> Option<String> {
    let mut text = Vec::new();
    while !text.ends_with(b"\r\n\r\n") {
        text.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(text).expect("text").to_lowercase();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "))
        .map_or(0, |text| text.parse().expect("a length"));
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    Some(head + &String::from_utf8(body).expect("text"))
}

/// Answers each request on each connection with what `answer` makes of it.
struct Receiver {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
    _tasks: JoinSet<()>,
}

impl Receiver {
    async fn start(answer: impl Fn(&str) -> String + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let connections = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&connections);
        let answer = Arc::new(answer);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut peers = JoinSet::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                let answer = Arc::clone(&answer);
                peers.spawn(async move { talk(&mut stream, &*answer).await });
            }
        });
        Self { address, connections, _tasks: tasks }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

async fn talk(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), answer: &(impl Fn(&str) -> String + ?Sized)) {
    while let Some(request) = read_request(stream).await {
        let answer = answer(&request);
        if answer.is_empty() || stream.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

fn with_body(head: &str, body: &str) -> String {
    format!("{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

#[tokio::test]
async fn a_notification_is_received_and_answered() {
    let receiver = Receiver::start(|request| {
        assert!(request.starts_with("post /n?x=1 http/1.1\r\n"), "{request}");
        for line in ["x-m2m-origin: /id-in", "x-m2m-ri: own", "x-m2m-rvi: 3", "content-type: application/json"] {
            assert!(request.contains(&format!("\r\n{line}\r\n")), "{line}: {request}");
        }
        assert!(request.ends_with(r#"{"m2m:sgn":{"sur":"cse-in/sub"}}"#), "{request}");
        with_body("HTTP/1.1 200 OK\r\nX-M2M-RSC: 2000\r\nX-M2M-RI: own\r\nX-M2M-RVI: 3", "")
    })
    .await;
    let sender = sender(HttpOutboundOptions::default());
    for _ in 0..3 {
        let response = answered(&sender, notification(receiver.url("/n?x=1"))).await;
        assert_eq!((response.status.code(), response.request_identifier.as_str()), (2000, "own"));
        assert_eq!(response.content, None);
    }
    assert_eq!(receiver.connections.load(Ordering::SeqCst), 1, "the connection is kept");
}

/// A request of an AE to a container of a CSE at that address.
fn in_line(address: SocketAddr, number: usize) -> OutgoingRequest {
    let mut request = Request::new(Operation::Create, "/id-in/held", "/id-mn/Cae", number.to_string());
    request.resource_type = Some(Ty::CONTENT_INSTANCE);
    request.content = Some(Map::single("m2m:cin", Map::single("con", "1")));
    let url = format!("http://{address}").into();
    let destination = Destination::PointOfAccess { url, entity: "/id-in".into() };
    OutgoingRequest { destination, in_order: true, ..outgoing(String::new(), request, LONG) }
}

#[tokio::test]
async fn a_cse_that_keeps_the_order_is_given_several_at_a_time() {
    let server = Server::with_defaults().await;
    let sender = sender(HttpOutboundOptions::default());
    let mut tasks = JoinSet::new();
    // Places in the line are taken by the first poll.
    let mut sent = (1..=17).map(|number| sender.send(in_line(server.address, number))).collect::<Vec<_>>();
    assert!(sent.iter_mut().all(|sending| sending.now_or_never().is_none()));
    for sending in sent {
        tasks.spawn(sending);
    }
    server.stub.begun(1).await;
    assert_eq!(server.stub.requests().len(), 1, "whether the order is kept is not known yet");
    server.stub.let_go();
    server.stub.begun(17).await;
    let begun: Vec<usize> =
        server.stub.requests().iter().map(|request| request.request_identifier.parse().expect("a number")).collect();
    assert_eq!(begun, (1..=17).collect::<Vec<_>>());
    (1..17).for_each(|_| server.stub.let_go());
    for result in soon("all answers", tasks.join_all()).await {
        assert!(matches!(result, Ok(Sent::Answered(response)) if response.is_success()));
    }
}

#[tokio::test]
async fn a_server_that_says_nothing_of_order_is_given_one_at_a_time() {
    let receiver = Receiver::start(|_| with_body("HTTP/1.1 201 Created\r\nX-M2M-RSC: 2001", "")).await;
    let sender = sender(HttpOutboundOptions::default());
    let all = (0..20).map(|number| sender.send(in_line(receiver.address, number)));
    for result in soon("all answers", futures_util::future::join_all(all)).await {
        assert!(matches!(result, Ok(Sent::Answered(response)) if response.is_success()));
    }
    assert_eq!(receiver.connections.load(Ordering::SeqCst), 1, "never two at the same time");
}

#[tokio::test]
async fn foreign_servers_are_understood_by_their_status() {
    for (answer, code) in [
        (with_body("HTTP/1.1 204 No Content", ""), 2000),
        (with_body("HTTP/1.1 200 OK\r\nContent-Type: text/html", "<p>thanks</p>"), 2000),
        (with_body("HTTP/1.0 202 Accepted", "thanks"), 2000),
        (with_body("HTTP/1.1 404 Not Found", ""), 4004),
        (with_body("HTTP/1.1 500 Oops\r\nContent-Type: application/json", "{\"error\":1}"), 5000),
        (with_body("HTTP/1.1 403 No\r\nX-M2M-RSC: 4101", ""), 4101),
    ] {
        let receiver = Receiver::start(move |_| answer.clone()).await;
        let response = answered(&sender(HttpOutboundOptions::default()), notification(receiver.url("/"))).await;
        assert_eq!(response.status.code(), code);
    }
}

#[tokio::test]
async fn a_redirection_is_not_followed() {
    let elsewhere = Receiver::start(|_| with_body("HTTP/1.1 200 OK", "")).await;
    let location = elsewhere.url("/secret");
    let receiver =
        Receiver::start(move |_| with_body(&format!("HTTP/1.1 307 There\r\nLocation: {location}"), "")).await;
    let response = answered(&sender(HttpOutboundOptions::default()), notification(receiver.url("/"))).await;
    assert_eq!(response.status.code(), 5103);
    assert_eq!(elsewhere.connections.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn nobody_there_is_unreachable() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let closed = listener.local_addr().expect("an address");
    drop(listener);
    let sender = sender(HttpOutboundOptions::default());
    let why = why_unreachable(&sender, notification(format!("http://{closed}/"))).await;
    assert!(why.contains("refused"), "{why}");
    why_unreachable(&sender, notification("http://does-not-exist.invalid/".into())).await;
}

#[tokio::test]
async fn a_receiver_that_does_not_answer_may_have_the_request() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let mut request = notification(format!("http://{address}/"));
    request.timeout = SHORT;
    let sent = soon("a failure", sender(HttpOutboundOptions::default()).send(request)).await;
    assert!(matches!(&sent, Err(SendError::Unconfirmed(why)) if why.contains("100 ms")), "{sent:?}");
}

#[tokio::test]
async fn a_receiver_that_breaks_off_may_have_the_request() {
    let cut = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\nContent-Type: application/json\r\n\r\n{";
    for answer in ["", "HTTP/1.1 2", "nonsense\r\n\r\n", cut] {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}/", listener.local_addr().expect("an address"));
        let mut peer = JoinSet::new();
        peer.spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                read_request(&mut stream).await;
                stream.write_all(answer.as_bytes()).await.expect("sent");
            }
        });
        let retrieve = Request::new(Operation::Retrieve, "cse/x", "/id-in", "own");
        let sent = soon("a failure", sender(HttpOutboundOptions::default()).send(outgoing(url, retrieve, LONG))).await;
        let is_unconfirmed = matches!(&sent, Err(SendError::Unconfirmed(why)) if !why.contains("ms"));
        assert!(is_unconfirmed, "{answer}: {sent:?}");
    }
}

#[tokio::test]
async fn answers_are_bounded() {
    let receiver = Receiver::start(|_| {
        let content = format!("{{\"m2m:dbg\":\"{}\"}}", "x".repeat(1000));
        with_body("HTTP/1.1 200 OK\r\nX-M2M-RSC: 2000\r\nContent-Type: application/json", &content)
    })
    .await;
    let small = sender(HttpOutboundOptions { reply_bytes_max: 100, ..HttpOutboundOptions::default() });
    let response = answered(&small, notification(receiver.url("/"))).await;
    assert_eq!((response.status.code(), response.content), (2000, None));
    let retrieve = Request::new(Operation::Retrieve, "cse/x", "/id-in", "own");
    let response = answered(&small, outgoing(receiver.url("/"), retrieve.clone(), LONG)).await;
    assert_eq!(response.status.code(), 5000);
    assert!(response.debug_text().expect("a reason").contains("100 bytes"));
    let usual = sender(HttpOutboundOptions::default());
    let response = answered(&usual, outgoing(receiver.url("/"), retrieve, LONG)).await;
    assert_eq!(response.debug_text().map(str::len), Some(1000));
}

#[tokio::test]
async fn requests_on_their_way_are_bounded() {
    let server = Server::with_defaults().await;
    let one = sender(HttpOutboundOptions { requests_max: 1, ..HttpOutboundOptions::default() });
    let url = format!("http://{}", server.address);
    let held = Request::new(Operation::Retrieve, "held", "/id-in", "r1");
    let first = tokio::spawn(one.send(outgoing(url.clone(), held, LONG)));
    server.stub.begun(1).await;
    let second = Request::new(Operation::Retrieve, "cse-in", "/id-in", "r2");
    let why = why_unreachable(&one, outgoing(url.clone(), second.clone(), SHORT)).await;
    assert!(why.contains("100 ms"), "{why}");
    assert_eq!(server.stub.requests().len(), 1, "the second was not sent");
    server.stub.let_go();
    assert!(soon("the first", first).await.expect("no panic").is_ok());
    assert_eq!(answered(&one, outgoing(url, second, LONG)).await.status.code(), 2000);
}

#[tokio::test]
async fn another_cse_is_asked() {
    let server = Server::with_defaults().await;
    let mut request = Request::new(Operation::Create, "/id-mn/cse-mn", "/id-in/Cae", "r1");
    request.resource_type = Some(Ty::CONTAINER);
    request.content = Some(Map::single("m2m:cnt", Map::single("rn", "c")));
    let url = format!("http://{}", server.address);
    let response = answered(&sender(HttpOutboundOptions::default()), outgoing(url, request.clone(), LONG)).await;
    assert_eq!(response.status.code(), 2000);
    assert!(response.content.expect("there").contains("m2m:cnt"));
    assert_eq!(server.stub.requests().remove(0).to_map(), request.to_map());
}

/// The key and the certificates are for these tests only; the authority's key was thrown away.
async fn start_tls() -> (SocketAddr, JoinSet<()>) {
    let chain = CertificateDer::pem_slice_iter(include_bytes!("tls/server.pem"))
        .collect::<Result<Vec<_>, _>>()
        .expect("a certificate");
    let key = PrivateKeyDer::from_pem_slice(include_bytes!("tls/server.key")).expect("a key");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .expect("a usable certificate");
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            if let Ok(mut stream) = acceptor.accept(stream).await {
                talk(&mut stream, &|_: &str| with_body("HTTP/1.1 200 OK\r\nX-M2M-RSC: 2000", "")).await;
            }
        }
    });
    (address, tasks)
}

#[tokio::test]
async fn only_trusted_authorities_are_believed() {
    let (address, _tasks) = start_tls().await;
    let authority = include_bytes!("tls/ca.pem").to_vec();
    let with = |trust| sender(HttpOutboundOptions { trust, ..HttpOutboundOptions::default() });
    let url = || format!("https://127.0.0.1:{}/n", address.port());
    let why = why_unreachable(&with(Trust::Public), notification(url())).await;
    assert!(why.contains("certificate"), "{why}");
    for trust in [Trust::Only(authority.clone()), Trust::PublicAnd(authority)] {
        let sender = with(trust);
        assert_eq!(answered(&sender, notification(url())).await.status.code(), 2000);
    }
}
