//! TLS, and what strangers may do before MQTT begins, whichever the transport.

use std::sync::Arc;
use std::time::Duration;

use cse_mqtt::broker::{Client as Who, ConnectInfo, Limits, OpenPolicy, PeerCertificate, Policy, PolicyFuture};
use cse_mqtt::transport::{ClientCertificates, WebSocketOptions};
use rumqttc::QoS;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;

use crate::harness::*;
use crate::tls::*;

/// Tells the test which certificate each client came with.
struct Curious(mpsc::UnboundedSender<Option<Arc<PeerCertificate>>>);

impl Policy for Curious {
    fn authenticate<'a>(&'a self, connect: &'a ConnectInfo) -> PolicyFuture<'a> {
        self.0.send(connect.certificate.clone()).expect("the test waits");
        OpenPolicy.authenticate(connect)
    }

    fn may_subscribe(&self, _client: &Who, _filter: &str) -> bool {
        true
    }

    fn may_publish(&self, _client: &Who, _topic: &str) -> bool {
        true
    }
}

#[tokio::test]
async fn the_names_of_a_verified_certificate_reach_the_policy() {
    let (sender, mut seen) = mpsc::unbounded_channel();
    let broker = TestBroker::with(Limits::default(), Curious(sender)).await;
    let (authority, foreign) = (Authority::new(), Authority::new());
    let optional = authority.server_tls(ClientCertificates::Optional);
    let required = authority.server_tls(ClientCertificates::Required);
    let (optional, _) = listen(&broker, |listener| listener.with_tls(optional)).await;
    let (required, _) = listen(&broker, |listener| listener.with_tls(required)).await;
    let sensor = authority.client("sensor 17", &["//cse.example/id-in/Csensor", "urn:x"]);
    let names = PeerCertificate {
        uris: vec!["//cse.example/id-in/Csensor".into(), "urn:x".into()],
        common_name: Some("sensor 17".into()),
    };
    for version in VERSIONS {
        for address in [optional, required] {
            let stream = authority.connect(address, Some(&sensor), version).await.expect("connected");
            assert!(!Client::new(stream).connect("a", true).await);
            assert_eq!(seen.recv().await.expect("asked").as_deref(), Some(&names));
        }
        let stream = authority.connect(optional, None, version).await.expect("connected");
        assert!(!Client::new(stream).connect("a", true).await);
        assert_eq!(seen.recv().await.expect("asked"), None);

        let stranger = foreign.client("sensor 17", &[]);
        for (address, shown) in [(required, None), (required, Some(&stranger)), (optional, Some(&stranger))] {
            let before = broker.broker.stats().handshakes_failed.get();
            // With TLS 1.3 a client learns only later that it was refused.
            if let Ok(mut stream) = authority.connect(address, shown, version).await {
                let _ = stream.write_all(&connect_bytes("a", true, 0)).await;
                let _ = stream.flush().await;
                let mut rest = Vec::new();
                let _ = within(stream.read_to_end(&mut rest)).await;
                assert!(rest.is_empty(), "no CONNACK");
            }
            until(|| broker.broker.stats().handshakes_failed.get() == before + 1).await;
        }
        assert!(seen.try_recv().is_err(), "refused clients get to nobody");
    }
}

#[tokio::test]
async fn clients_of_all_transports_reach_each_other() {
    let broker = TestBroker::start().await;
    let authority = Authority::new();
    let [plain, secure, _, _] = all_kinds(&broker, &authority).await;
    let mut first = Client::new(TcpStream::connect(plain).await.expect("connected"));
    first.connect("first", true).await;
    let mut second = Client::new(authority.connect(secure, None, VERSIONS[1]).await.expect("connected"));
    second.connect("second", true).await;
    second.subscribe("to/second", QoS::AtLeastOnce).await;
    first.publish("to/second", "hello", QoS::AtLeastOnce, 1).await;
    first.expect_puback(1).await;
    let message = second.message().await;
    assert_eq!((message.topic.as_str(), &message.payload[..]), ("to/second", &b"hello"[..]));
    second.puback(message.pkid).await;
    second.expect_nothing().await;
}

#[tokio::test]
async fn everything_arrives_over_tls_however_late_it_is_read() {
    let broker = TestBroker::start().await;
    let authority = Authority::new();
    let tls = authority.server_tls(ClientCertificates::None);
    let (address, _) = listen(&broker, |listener| listener.with_tls(tls)).await;
    let mut reader = Client::new(authority.connect(address, None, VERSIONS[1]).await.expect("connected"));
    reader.connect("reader", true).await;
    reader.subscribe("to/reader", QoS::AtMostOnce).await;
    // More than all buffers between them take.
    let payload = "x".repeat(60_000);
    let mut writer = broker.client("writer").await;
    for number in 1..=200 {
        writer.publish("to/reader", &payload, QoS::AtLeastOnce, number).await;
        writer.expect_puback(number).await;
    }
    for _ in 0..200 {
        assert_eq!(reader.message().await.payload.len(), payload.len());
    }
    reader.expect_nothing().await;
}

#[tokio::test]
async fn whoever_is_silent_or_slow_before_mqtt_is_closed_in_time() {
    let limits = Limits { connect_timeout: Duration::from_millis(200), ..Limits::default() };
    let broker = TestBroker::with(limits, OpenPolicy).await;
    let authority = Authority::new();
    let addresses = all_kinds(&broker, &authority).await;
    for (address, begun) in addresses.into_iter().zip([&b"\x10"[..], b"\x16\x03\x01\x02", b"GET /mqtt HTT", b"\x16"]) {
        for sent in [&b""[..], begun] {
            let before = broker.broker.stats().connect_timeouts.get();
            let mut client = Client::new(TcpStream::connect(address).await.expect("connected"));
            client.send(sent).await;
            assert!(client.rest().await.is_empty());
            until(|| broker.broker.stats().connect_timeouts.get() == before + 1).await;
        }
    }
    // A handshake does not start the time anew.
    let before = broker.broker.stats().connect_timeouts.get();
    let mut late = Client::new(authority.connect(addresses[1], None, VERSIONS[1]).await.expect("connected"));
    assert!(late.rest().await.is_empty());
    until(|| broker.broker.stats().connect_timeouts.get() == before + 1).await;
}

#[tokio::test]
async fn the_wrong_protocol_for_the_port_is_closed_at_once() {
    let broker = TestBroker::start().await;
    let authority = Authority::new();
    let [plain, secure, websocket, both] = all_kinds(&broker, &authority).await;
    let stats = broker.broker.stats();
    let mqtt = connect_bytes("a", true, 0);
    let hello = [&[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3][..], &[7; 502]].concat();
    let garbage = [0xff; 600];
    for (address, sent) in [
        (secure, &mqtt[..]),
        (secure, &b"GET / HTTP/1.1\r\n\r\n"[..]),
        (secure, &garbage),
        (websocket, &mqtt),
        (websocket, &hello),
        (websocket, &garbage),
        (both, &mqtt),
        (both, &garbage),
    ] {
        let before = stats.handshakes_failed.get();
        let mut client = Client::new(TcpStream::connect(address).await.expect("connected"));
        client.try_send(sent).await;
        client.rest().await;
        until(|| stats.handshakes_failed.get() == before + 1).await;
    }
    for sent in [&hello[..], b"GET / HTTP/1.1\r\n\r\n", &garbage] {
        let before = stats.protocol_violations.get();
        let mut client = Client::new(TcpStream::connect(plain).await.expect("connected"));
        client.try_send(sent).await;
        client.rest().await;
        until(|| stats.protocol_violations.get() == before + 1).await;
    }
    broker.client("a").await.expect_nothing().await;
}

#[tokio::test]
async fn connections_in_a_handshake_count() {
    let limits = Limits { connections_max: 2, ..Limits::default() };
    let broker = TestBroker::with(limits, OpenPolicy).await;
    let authority = Authority::new();
    let [plain, secure, websocket, _] = all_kinds(&broker, &authority).await;
    let silent = TcpStream::connect(secure).await.expect("connected");
    let mut client = Client::new(TcpStream::connect(plain).await.expect("connected"));
    client.connect("a", true).await;
    let stats = broker.broker.stats();
    // The silent one may not have been accepted yet.
    let mut refused = 0;
    within(async {
        while refused == 0 {
            let mut one_more = Client::new(TcpStream::connect(websocket).await.expect("connected"));
            let closed = tokio::time::timeout(Duration::from_millis(50), one_more.rest()).await;
            refused = u32::from(closed.is_ok());
        }
    })
    .await;
    assert!(stats.connections_over_limit.get() >= 1);
    drop(silent);
    within(async {
        loop {
            let mut again = Client::new(TcpStream::connect(plain).await.expect("connected"));
            again.try_send(&connect_bytes("b", true, 0)).await;
            if again.frame_unlimited().await.is_some() {
                return;
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_client_that_vanishes_without_good_bye_is_offline() {
    let broker = TestBroker::start().await;
    let authority = Authority::new();
    let tls = authority.server_tls(ClientCertificates::None);
    let (address, _) = listen(&broker, |listener| listener.with_tls(tls)).await;
    let mut client = Client::new(authority.connect(address, None, VERSIONS[1]).await.expect("connected"));
    client.connect("a", false).await;
    client.subscribe("to/a", QoS::AtLeastOnce).await;
    client.vanish(&broker, "a").await;
    broker.broker.link("cse", &[]).expect("a link").0.publish("to/a", "later".into(), QoS::AtLeastOnce).expect("valid");
    let mut client = Client::new(authority.connect(address, None, VERSIONS[0]).await.expect("connected"));
    assert!(client.connect("a", false).await, "the session was kept");
    assert_eq!(&client.message().await.payload[..], b"later");
}

#[tokio::test]
async fn all_listeners_stop_politely() {
    let broker = TestBroker::start().await;
    let authority = Authority::new();
    let tls = authority.server_tls(ClientCertificates::None);
    let (address, serving) = listen(&broker, |listener| listener.with_tls(tls)).await;
    let (_, idle) = listen(&broker, |listener| listener.with_websocket(WebSocketOptions::default())).await;
    let mut client = authority.connect(address, None, VERSIONS[1]).await.expect("connected");
    client.write_all(&connect_bytes("a", true, 0)).await.expect("sent");
    let mut connack = [0; 4];
    within(client.read_exact(&mut connack)).await.expect("CONNACK");
    broker.stop.send_replace(true);
    let mut rest = Vec::new();
    // TLS says that this is the end; without it, this would be an error.
    within(client.read_to_end(&mut rest)).await.expect("a proper end");
    assert!(rest.is_empty());
    within(serving).await.expect("ended");
    within(idle).await.expect("ended");
}
