//! A broker on a free port, and a client that sees every packet and every close.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use cse_mqtt::broker::{
    Broker, Client as Who, ConnectInfo, ConnectRefusal, Identity, Inbound, Limits, LinkReceiver, OpenPolicy, Origin,
    Policy, PolicyFuture,
};
use rumqttc::QoS;
use rumqttc::mqttbytes::Error;
use rumqttc::mqttbytes::v4::{
    ConnAck, ConnectReturnCode, Packet, PubAck, PubComp, PubRec, PubRel, Publish, SubAck, Subscribe, SubscribeFilter,
    SubscribeReasonCode, Unsubscribe,
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, duplex};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Far more than anything here takes, so that only a hang reaches it.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

pub(crate) const DRAIN: Duration = Duration::from_secs(3600);

pub(crate) async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, future).await.expect("should not hang")
}

/// Waits until `condition` holds.
pub(crate) async fn until(mut condition: impl FnMut() -> bool) {
    within(async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
}

pub(crate) struct TestBroker {
    pub(crate) broker: Broker,
    pub(crate) address: SocketAddr,
    pub(crate) stop: watch::Sender<bool>,
    pub(crate) server: JoinHandle<()>,
}

impl TestBroker {
    pub(crate) async fn start() -> Self {
        Self::with(Limits::default(), OpenPolicy).await
    }

    pub(crate) async fn with(limits: Limits, policy: impl Policy) -> Self {
        let broker = Broker::new(limits, Arc::new(policy));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let (stop, shutdown) = watch::channel(false);
        let serving = broker.clone();
        let server = tokio::spawn(async move { serving.serve(listener, shutdown, DRAIN).await });
        Self { broker, address, stop, server }
    }

    pub(crate) async fn raw(&self) -> Client<TcpStream> {
        let stream = TcpStream::connect(self.address).await.expect("listening");
        stream.set_nodelay(true).expect("connected");
        Client::new(stream)
    }

    /// A client with a clean session.
    pub(crate) async fn client(&self, id: &str) -> Client<TcpStream> {
        let (client, present) = self.session(id, true).await;
        assert!(!present);
        client
    }

    /// A client whose session is kept, and whether it was resumed.
    pub(crate) async fn kept(&self, id: &str) -> (Client<TcpStream>, bool) {
        self.session(id, false).await
    }

    async fn session(&self, id: &str, clean: bool) -> (Client<TcpStream>, bool) {
        let mut client = self.raw().await;
        let present = client.connect(id, clean).await;
        (client, present)
    }

    /// Waits until the broker has seen that this client is gone.
    pub(crate) async fn until_offline(&self, id: &str) {
        until(|| {
            let sessions = self.broker.sessions();
            !sessions.iter().any(|session| &*session.client.client_id == id && session.connected)
        })
        .await;
    }
}

/// A connection to `broker` in memory, for tests that turn the clock.
pub(crate) fn in_memory(broker: &Broker) -> (Client<DuplexStream>, watch::Sender<bool>, JoinHandle<()>) {
    let (near, far) = duplex(64 * 1024);
    let (stop, shutdown) = watch::channel(false);
    let broker = broker.clone();
    let served = tokio::spawn(async move {
        broker
            .serve_connection(far, Origin::of(SocketAddr::from(([127, 0, 0, 1], 1))), shutdown, Duration::from_secs(60))
            .await;
    });
    (Client::new(near), stop, served)
}

pub(crate) struct Client<S> {
    stream: S,
    input: BytesMut,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self { stream, input: BytesMut::new() }
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        within(self.stream.write_all(bytes)).await.expect("the connection is open");
    }

    /// Sends, but accepts that the broker may have closed already.
    pub(crate) async fn try_send(&mut self, bytes: &[u8]) {
        let _ = within(self.stream.write_all(bytes)).await;
    }

    pub(crate) async fn packet(&mut self, packet: Packet) {
        let mut bytes = BytesMut::new();
        packet.write(&mut bytes, usize::MAX).expect("a packet");
        self.send(&bytes).await;
    }

    /// The next packet, or `None` if the broker closed the connection.
    pub(crate) async fn next(&mut self) -> Option<Packet> {
        within(self.next_unlimited()).await
    }

    pub(crate) async fn next_unlimited(&mut self) -> Option<Packet> {
        loop {
            match Packet::read(&mut self.input, usize::MAX) {
                Ok(packet) => return Some(packet),
                Err(Error::InsufficientBytes(_)) => {}
                Err(error) => panic!("the broker sent something malformed: {error}"),
            }
            match self.stream.read_buf(&mut self.input).await {
                Ok(0) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }

    /// The bytes of the next packet, shorter than 130 bytes, or `None` if the broker closed the connection.
    pub(crate) async fn frame(&mut self) -> Option<Vec<u8>> {
        within(self.frame_unlimited()).await
    }

    pub(crate) async fn frame_unlimited(&mut self) -> Option<Vec<u8>> {
        loop {
            if let [_, length, ..] = self.input[..] {
                assert!(length < 128, "a short packet");
                let length = usize::from(length) + 2;
                if self.input.len() >= length {
                    return Some(self.input.split_to(length).to_vec());
                }
            }
            match self.stream.read_buf(&mut self.input).await {
                Ok(0) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }

    /// All bytes until the broker closes the connection.
    pub(crate) async fn rest(&mut self) -> BytesMut {
        while within(self.stream.read_buf(&mut self.input)).await.is_ok_and(|count| count > 0) {}
        std::mem::take(&mut self.input)
    }

    pub(crate) async fn connect(&mut self, id: &str, clean: bool) -> bool {
        self.send(&connect_bytes(id, clean, 0)).await;
        self.connected().await
    }

    /// Reads the successful CONNACK; whether the session was present.
    pub(crate) async fn connected(&mut self) -> bool {
        match self.next().await {
            Some(Packet::ConnAck(ConnAck { session_present, code: ConnectReturnCode::Success })) => session_present,
            other => panic!("not connected: {other:?}"),
        }
    }

    pub(crate) async fn subscribe(&mut self, filter: &str, qos: QoS) {
        let codes = self.subscribe_all(&[(filter, qos)]).await;
        assert_eq!(codes, [SubscribeReasonCode::Success(qos)]);
    }

    pub(crate) async fn subscribe_all(&mut self, filters: &[(&str, QoS)]) -> Vec<SubscribeReasonCode> {
        let filters = filters.iter().map(|(path, qos)| SubscribeFilter::new((*path).to_owned(), *qos));
        let mut subscribe = Subscribe::new_many(filters);
        subscribe.pkid = 77;
        self.packet(Packet::Subscribe(subscribe)).await;
        match self.next().await {
            Some(Packet::SubAck(SubAck { pkid: 77, return_codes })) => return_codes,
            other => panic!("no SUBACK: {other:?}"),
        }
    }

    pub(crate) async fn unsubscribe(&mut self, filter: &str) {
        let mut unsubscribe = Unsubscribe::new(filter);
        unsubscribe.pkid = 78;
        self.packet(Packet::Unsubscribe(unsubscribe)).await;
        match self.next().await {
            Some(Packet::UnsubAck(acknowledgement)) => assert_eq!(acknowledgement.pkid, 78),
            other => panic!("no UNSUBACK: {other:?}"),
        }
    }

    pub(crate) async fn publish(&mut self, topic: &str, payload: &str, qos: QoS, pkid: u16) {
        self.publish_with(topic, payload, qos, pkid, false).await;
    }

    pub(crate) async fn publish_with(&mut self, topic: &str, payload: &str, qos: QoS, pkid: u16, dup: bool) {
        let mut publish = Publish::new(topic, qos, payload);
        publish.pkid = pkid;
        publish.dup = dup;
        self.packet(Packet::Publish(publish)).await;
    }

    pub(crate) async fn puback(&mut self, pkid: u16) {
        self.packet(Packet::PubAck(PubAck::new(pkid))).await;
    }

    pub(crate) async fn pubrec(&mut self, pkid: u16) {
        self.packet(Packet::PubRec(PubRec::new(pkid))).await;
    }

    pub(crate) async fn pubrel(&mut self, pkid: u16) {
        self.packet(Packet::PubRel(PubRel::new(pkid))).await;
    }

    pub(crate) async fn pubcomp(&mut self, pkid: u16) {
        self.packet(Packet::PubComp(PubComp::new(pkid))).await;
    }

    /// The next packet, which must be a PUBLISH.
    pub(crate) async fn message(&mut self) -> Publish {
        match self.next().await {
            Some(Packet::Publish(publish)) => publish,
            other => panic!("no PUBLISH: {other:?}"),
        }
    }

    pub(crate) async fn expect_puback(&mut self, pkid: u16) {
        assert_eq!(self.next().await, Some(Packet::PubAck(PubAck::new(pkid))));
    }

    pub(crate) async fn expect_pubrec(&mut self, pkid: u16) {
        assert_eq!(self.next().await, Some(Packet::PubRec(PubRec::new(pkid))));
    }

    pub(crate) async fn expect_closed(&mut self) {
        let next = self.next().await;
        assert_eq!(next, None, "the connection should be closed");
    }

    /// Nothing was on its way to the client. The first answer may overtake what was queued, the second may not.
    pub(crate) async fn expect_nothing(&mut self) {
        for _ in 0..2 {
            self.packet(Packet::PingReq).await;
            assert_eq!(self.next().await, Some(Packet::PingResp));
        }
    }

    /// Takes the messages that are on their way, and those that follow at once.
    pub(crate) async fn drain(&mut self, messages: &mut Vec<Publish>) {
        let mut quiet = 0;
        while quiet < 2 {
            self.packet(Packet::PingReq).await;
            quiet += 1;
            loop {
                match self.next().await {
                    Some(Packet::PingResp) => break,
                    Some(Packet::Publish(publish)) => {
                        messages.push(publish);
                        quiet = 0;
                    }
                    other => panic!("neither message nor PINGRESP: {other:?}"),
                }
            }
        }
    }

    /// Closes without DISCONNECT and waits until the other side has seen it.
    pub(crate) async fn vanish(self, broker: &TestBroker, id: &str) {
        drop(self);
        broker.until_offline(id).await;
    }
}

pub(crate) fn connect_bytes(id: &str, clean: bool, keep_alive: u16) -> Vec<u8> {
    connect_with(4, if clean { 2 } else { 0 }, keep_alive, &[id.as_bytes()])
}

/// A CONNECT with these fields behind the keep-alive.
pub(crate) fn connect_with(version: u8, flags: u8, keep_alive: u16, fields: &[&[u8]]) -> Vec<u8> {
    let mut body = b"\x00\x04MQTT".to_vec();
    body.extend([version, flags]);
    body.extend(keep_alive.to_be_bytes());
    for field in fields {
        body.extend(u16::try_from(field.len()).expect("short").to_be_bytes());
        body.extend(*field);
    }
    let length = body.len();
    assert!(length < 16_384);
    let mut packet = vec![0x10];
    if length < 128 {
        packet.push(length as u8);
    } else {
        packet.extend([(length & 0x7f) as u8 | 0x80, (length >> 7) as u8]);
    }
    packet.extend(body);
    packet
}

/// A CONNECT of version 5 with these properties and the fields behind them.
pub(crate) fn connect5_with(flags: u8, keep_alive: u16, properties: &[u8], fields: &[&[u8]]) -> Vec<u8> {
    let mut body = b"\x00\x04MQTT\x05".to_vec();
    body.push(flags);
    body.extend(keep_alive.to_be_bytes());
    body.push(u8::try_from(properties.len()).expect("short"));
    body.extend(properties);
    for field in fields {
        body.extend(u16::try_from(field.len()).expect("short").to_be_bytes());
        body.extend(*field);
    }
    let mut packet = vec![0x10, u8::try_from(body.len()).expect("short")];
    assert!(packet[1] < 128);
    packet.extend(body);
    packet
}

pub(crate) async fn receive_one(receiver: &mut LinkReceiver) -> Inbound {
    let mut received = Vec::new();
    within(receiver.receive(&mut received, 1)).await;
    received.pop().expect("at least one")
}

pub(crate) async fn receive_exactly(receiver: &mut LinkReceiver, count: usize) -> Vec<Inbound> {
    let mut received = Vec::new();
    while received.len() < count {
        let missing = count - received.len();
        within(receiver.receive(&mut received, missing)).await;
    }
    received
}

pub(crate) fn text(payload: &[u8]) -> &str {
    std::str::from_utf8(payload).expect("tests send text")
}

/// Lets the user name be the identity and forbids everything with `secret` in it, unless the user is `boss`.
pub(crate) struct Strict;

impl Policy for Strict {
    fn authenticate<'a>(&'a self, connect: &'a ConnectInfo) -> PolicyFuture<'a> {
        Box::pin(async move {
            if connect.client_id.starts_with("bad") {
                return Err(ConnectRefusal::ClientIdRejected);
            }
            match (connect.username.as_deref(), connect.password.as_deref()) {
                (Some("down"), _) => Err(ConnectRefusal::Unavailable),
                (Some("guest"), _) => Err(ConnectRefusal::NotAuthorized),
                (Some(user), Some(b"right")) => Ok(Identity::new(user).into()),
                _ => Err(ConnectRefusal::BadCredentials),
            }
        })
    }

    fn may_subscribe(&self, client: &Who, filter: &str) -> bool {
        client.identity.name() == "boss" || !filter.contains("secret")
    }

    fn may_publish(&self, client: &Who, topic: &str) -> bool {
        client.identity.name() == "boss" || !topic.contains("secret")
    }
}

/// CONNECT of a user of [`Strict`].
pub(crate) fn login(id: &str, clean: bool, user: &str, password: &str) -> Vec<u8> {
    let fields = [id.as_bytes(), user.as_bytes(), password.as_bytes()];
    connect_with(4, if clean { 0xc2 } else { 0xc0 }, 0, &fields)
}
