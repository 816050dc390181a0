//! External brokers that misbehave, played packet by packet: no busy loop, no unbounded queue, no operator needed.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::time::{Duration, Instant};

use cse_core::ports::{Destination, Outbound, SendError, Sent};
use cse_core::time::AbsRelTimestamp;
use cse_mqtt::{BindingOptions, ExternalOptions, LinkStatus, MqttBinding, ProtocolVersion};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::support::{DEADLINE, Running, identity, notification, retrieve, until};

pub(crate) const CONNACK: [u8; 4] = [0x20, 2, 0, 0];
const CONNACK_RESUMED: [u8; 4] = [0x20, 2, 1, 0];
/// Of version 5, without properties.
const CONNACK_5: [u8; 5] = [0x20, 3, 0, 0, 0];

/// The broker's end of one connection.
pub(crate) struct Peer {
    stream: TcpStream,
}

impl Peer {
    /// The next packet: first byte and body.
    pub(crate) async fn next(&mut self) -> Option<(u8, Vec<u8>)> {
        let reading = async {
            let first = self.stream.read_u8().await.ok()?;
            let (mut length, mut shift) = (0, 0);
            loop {
                let byte = self.stream.read_u8().await.ok()?;
                length |= usize::from(byte & 0x7f) << shift;
                shift += 7;
                if byte & 0x80 == 0 {
                    break;
                }
            }
            let mut body = vec![0; length];
            self.stream.read_exact(&mut body).await.ok()?;
            Some((first, body))
        };
        timeout(DEADLINE, reading).await.expect("a packet, or the end of the connection")
    }

    /// The next packet of that type; pings are answered, others are an error.
    pub(crate) async fn expect(&mut self, kind: u8) -> Vec<u8> {
        loop {
            let (first, body) = self.next().await.expect("still connected");
            if first >> 4 == kind {
                return body;
            }
            assert_eq!(first >> 4, 12, "unexpected packet {first:#x} {body:?}");
            self.send(&[0xd0, 0]).await;
        }
    }

    /// The next PUBLISH with QoS 1: topic, packet identifier, DUP.
    pub(crate) async fn message(&mut self) -> (String, u16, bool) {
        loop {
            let (first, body) = self.next().await.expect("still connected");
            match first >> 4 {
                3 => {
                    let end = 2 + usize::from(u16::from_be_bytes([body[0], body[1]]));
                    let topic = String::from_utf8(body[2..end].to_vec()).unwrap();
                    return (topic, u16::from_be_bytes([body[end], body[end + 1]]), first & 8 != 0);
                }
                12 => self.send(&[0xd0, 0]).await,
                _ => panic!("unexpected packet {first:#x} {body:?}"),
            }
        }
    }

    /// Takes and acknowledges the next PUBLISH of version 5; the message expiry in it.
    async fn expiry_of_message(&mut self) -> Option<u32> {
        let body = self.expect(3).await;
        let end = 2 + usize::from(u16::from_be_bytes([body[0], body[1]]));
        self.acknowledge(u16::from_be_bytes([body[end], body[end + 1]])).await;
        let properties = &body[end + 3..end + 3 + usize::from(body[end + 2])];
        match properties {
            [] => None,
            [0x02, seconds @ ..] => Some(u32::from_be_bytes(seconds.try_into().unwrap())),
            _ => panic!("other properties: {properties:?}"),
        }
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        // The other side may have left, which is noticed when reading.
        let _ = self.stream.write_all(bytes).await;
    }

    /// Takes the client in, and its subscriptions (version 3.1.1).
    pub(crate) async fn welcome(&mut self, connack: &[u8]) {
        self.expect(1).await;
        self.send(connack).await;
        let body = self.expect(8).await;
        self.grant(&body[..2], &[], &body[2..]).await;
    }

    /// The same in version 5.
    async fn welcome_5(&mut self, connack: &[u8]) {
        self.expect(1).await;
        self.send(connack).await;
        let body = self.expect(8).await;
        assert!(body[2] < 0x80, "properties with a length of one byte");
        self.grant(&body[..2], &[0], &body[3 + usize::from(body[2])..]).await;
    }

    /// Grants each of the subscriptions in the payload of a SUBSCRIBE.
    async fn grant(&mut self, packet_id: &[u8], properties: &[u8], mut filters: &[u8]) {
        let mut granted = [packet_id, properties].concat();
        while let [high, low, rest @ ..] = filters {
            filters = &rest[usize::from(u16::from_be_bytes([*high, *low])) + 1..];
            granted.push(1);
        }
        let length = u8::try_from(granted.len()).ok().filter(|length| *length < 0x80).expect("a length of one byte");
        self.send(&[&[0x90, length], granted.as_slice()].concat()).await;
    }

    async fn acknowledge(&mut self, packet_id: u16) {
        let [high, low] = packet_id.to_be_bytes();
        self.send(&[0x40, 2, high, low]).await;
    }
}

pub(crate) struct Broker(TcpListener);

impl Broker {
    pub(crate) async fn listen() -> Self {
        Self(TcpListener::bind("127.0.0.1:0").await.unwrap())
    }

    pub(crate) async fn accept(&self) -> Peer {
        let (stream, _) = timeout(DEADLINE, self.0.accept()).await.expect("a connection").unwrap();
        stream.set_nodelay(true).unwrap();
        Peer { stream }
    }

    fn port(&self) -> u16 {
        self.0.local_addr().unwrap().port()
    }

    pub(crate) fn options(&self) -> ExternalOptions {
        ExternalOptions {
            reconnect_min: Duration::from_millis(20),
            reconnect_max: Duration::from_millis(200),
            connect_timeout: Duration::from_secs(3),
            keep_alive: Duration::from_secs(2),
            ..ExternalOptions::new("127.0.0.1", self.port())
        }
    }

    fn client(&self) -> Running {
        running(self.options())
    }

    fn client_5(&self) -> Running {
        running(ExternalOptions { version: ProtocolVersion::V5, ..self.options() })
    }

    /// Sends a notification to a free topic of this broker.
    fn notify(&self, client: &Running, topic: &str) -> JoinHandle<Result<Sent, SendError>> {
        let url = format!("mqtt://127.0.0.1:{}/{topic}", self.port());
        tokio::spawn(client.outbound.send(notification(Destination::Url(url.into()), "x", topic, DEADLINE)))
    }
}

fn running(options: ExternalOptions) -> Running {
    Running::start(MqttBinding::external(&identity(), BindingOptions::default(), options))
}

#[tokio::test]
async fn a_broker_that_refuses_us_is_asked_again_with_growing_pauses() {
    let broker = Broker::listen().await;
    let options = ExternalOptions { reconnect_max: Duration::from_secs(1), ..broker.options() };
    let mut client = running(options);
    let start = Instant::now();
    for (code, meaning) in [(1, "version"), (2, "identifier"), (3, "unavailable"), (4, "password"), (5, "authorized")] {
        let mut peer = broker.accept().await;
        peer.expect(1).await;
        peer.send(&[0x20, 2, 0, code]).await;
        until("the refusal is reported", || (client.problem)().is_some_and(|problem| problem.contains(meaning))).await;
        assert_eq!(*client.status.borrow(), LinkStatus::Down);
    }
    // Whoever repairs the password meanwhile need do nothing else.
    let mut peer = broker.accept().await;
    peer.welcome(&CONNACK).await;
    // Five pauses of 20 ms, doubled each time, of each of which at least a half is waited.
    assert!(start.elapsed() >= Duration::from_millis((20 + 40 + 80 + 160 + 320) / 2), "{:?}", start.elapsed());
    assert_eq!(client.stats.connection_failures.get(), 5);
    client.up().await;
    assert_eq!((client.problem)(), None);
}

#[tokio::test]
async fn rubbish_silence_and_early_ends_are_survived() {
    let broker = Broker::listen().await;
    let mut client = broker.client();
    // Each is the whole of what the broker says, before it hangs up or (`false`) says nothing more.
    for (said, hangs_up) in [
        (&b""[..], true),
        (b"", false),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", false),
        (&[0x20, 2, 0], true),
        (&[0x20, 0xff, 0xff, 0xff, 0x7f, 0], false),
        (&[0xd0, 0], false),
        (&[0x20, 2, 0, 0, 0x34, 0, 0], false),
        (&[0x20, 2, 0, 0, 0xff], false),
    ] {
        let mut peer = broker.accept().await;
        peer.expect(1).await;
        peer.send(said).await;
        if hangs_up {
            drop(peer);
        } else {
            // It is the client that gives up.
            while peer.next().await.is_some() {}
        }
    }
    let mut peer = broker.accept().await;
    peer.welcome(&CONNACK).await;
    client.up().await;
    assert_eq!(client.stats.connection_failures.get(), 8);
}

#[tokio::test]
async fn a_connection_that_has_died_without_a_word_is_noticed() {
    let broker = Broker::listen().await;
    let mut client = broker.client();
    let mut silent = broker.accept().await;
    silent.welcome(&CONNACK).await;
    client.up().await;
    // From here on nothing comes back, and PINGREQ is not answered.
    let mut peer = broker.accept().await;
    until("the silence is reported", || (client.problem)().is_some_and(|problem| problem.contains("not answer"))).await;
    assert_eq!(silent.next().await.unwrap().0, 0xc0);
    peer.welcome(&CONNACK).await;
    client.up().await;
}

#[tokio::test]
async fn a_connection_that_has_died_is_noticed_although_the_system_takes_what_is_sent() {
    let broker = Broker::listen().await;
    let mut client = broker.client();
    let mut silent = broker.accept().await;
    silent.welcome(&CONNACK).await;
    client.up().await;
    let mut sent = Vec::new();
    let sending = async {
        loop {
            sent.push(broker.notify(&client, &format!("silence/{}", sent.len())));
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let mut peer = tokio::select! {
        peer = broker.accept() => peer,
        () = sending => return,
    };
    peer.welcome(&CONNACK).await;
    client.up().await;
    let (topic, ..) = peer.message().await;
    assert!(!topic.is_empty(), "what was sent is sent again");
    drop(silent);
}

#[tokio::test]
async fn a_broker_that_is_slow_but_alive_is_not_left() {
    let broker = Broker::listen().await;
    let mut client = broker.client();
    let mut peer = broker.accept().await;
    peer.welcome(&CONNACK).await;
    client.up().await;
    // Longer than it takes to give up a silent one; only pings are answered.
    let since = Instant::now();
    let slow = broker.notify(&client, "slow");
    let (_, packet_id, _) = peer.message().await;
    while since.elapsed() < Duration::from_secs(4) {
        peer.expect(12).await;
        peer.send(&[0xd0, 0]).await;
    }
    peer.acknowledge(packet_id).await;
    assert!(matches!(slow.await.unwrap(), Ok(Sent::Unanswerable)));
    assert_eq!(client.stats.connection_failures.get(), 0);
}

#[tokio::test]
async fn a_broker_that_reads_nothing_is_left_and_nothing_is_lost() {
    const COUNT: usize = 40;
    let broker = Broker::listen().await;
    let mut client = broker.client();
    let mut deaf = broker.accept().await;
    deaf.welcome(&CONNACK).await;
    client.up().await;
    // More than the buffers of the system take.
    let big = "x".repeat(900_000);
    let mut sending = Vec::new();
    for number in 0..COUNT {
        let url = Destination::Url(format!("mqtt://127.0.0.1:{}/big/{number}", broker.port()).into());
        let mut outgoing = notification(url, "x", &number.to_string(), DEADLINE);
        outgoing.request.content.as_mut().unwrap().insert("big", big.as_str());
        sending.push(tokio::spawn(client.outbound.send(outgoing)));
    }
    let mut peer = broker.accept().await;
    peer.welcome(&CONNACK).await;
    let sent = async {
        let mut sent = 0;
        for sending in sending {
            // The outbox is bounded in bytes: what did not fit was refused at once.
            sent += usize::from(matches!(sending.await.unwrap(), Ok(Sent::Unanswerable)));
        }
        sent
    };
    let mut topics = std::collections::BTreeSet::new();
    let serve = async {
        loop {
            let (topic, packet_id, _) = peer.message().await;
            topics.insert(topic);
            peer.acknowledge(packet_id).await;
        }
    };
    let sent = tokio::select! {
        sent = sent => sent,
        () = serve => unreachable!("endless"),
    };
    assert_eq!(sent, topics.len());
    assert!((35..COUNT).contains(&sent), "32 MiB hold fewer than {COUNT} and not {sent}");
    drop(deaf);
}

#[tokio::test]
async fn a_session_that_is_resumed_gets_duplicates_and_a_new_one_gets_everything_anew() {
    let broker = Broker::listen().await;
    let client = broker.client();
    let mut peer = broker.accept().await;
    peer.welcome(&CONNACK).await;
    let sending = ["a", "b"].map(|topic| broker.notify(&client, topic));
    let mut first = [peer.message().await, peer.message().await];
    first.sort();
    assert!(first.iter().all(|(_, _, dup)| !dup), "{first:?}");
    drop(peer);
    for (connack, dup) in [(&CONNACK_RESUMED, true), (&CONNACK, false)] {
        let mut peer = broker.accept().await;
        peer.expect(1).await;
        peer.send(connack).await;
        peer.expect(8).await;
        let mut again = [peer.message().await, peer.message().await];
        again.sort();
        assert_eq!(again, first.clone().map(|(topic, packet_id, _)| (topic, packet_id, dup)));
    }
    let mut peer = broker.accept().await;
    peer.welcome(&CONNACK_RESUMED).await;
    for _ in 0..2 {
        let (_, packet_id, _) = peer.message().await;
        peer.acknowledge(packet_id).await;
    }
    for sending in sending {
        assert!(matches!(sending.await.unwrap(), Ok(Sent::Unanswerable)));
    }
    assert_eq!(client.stats.republished.get(), 2);
}

#[tokio::test]
async fn a_message_that_the_broker_cannot_stand_does_not_block_the_others() {
    let broker = Broker::listen().await;
    let client = running(ExternalOptions {
        reconnect_min: Duration::from_millis(10),
        reconnect_max: Duration::from_millis(20),
        ..broker.options()
    });
    let mut peer = broker.accept().await;
    peer.welcome(&CONNACK).await;
    let bad = broker.notify(&client, "bad");
    let mut ended = 0;
    // As a broker does that has a smaller limit for packets: it hangs up.
    assert_eq!(peer.message().await.0, "bad");
    let good = broker.notify(&client, "good");
    loop {
        drop(peer);
        ended += 1;
        peer = broker.accept().await;
        peer.welcome(&CONNACK_RESUMED).await;
        let (topic, packet_id, _) = peer.message().await;
        if topic == "good" {
            peer.acknowledge(packet_id).await;
            break;
        }
    }
    assert!(matches!(bad.await.unwrap(), Err(SendError::Unreachable(_))));
    assert!(matches!(good.await.unwrap(), Ok(Sent::Unanswerable)));
    assert_eq!((ended, client.stats.given_up.get()), (10, 1));
}

#[tokio::test]
async fn a_session_that_is_taken_over_again_and_again_makes_us_slower() {
    let broker = Broker::listen().await;
    let options =
        ExternalOptions { version: ProtocolVersion::V5, reconnect_max: Duration::from_secs(1), ..broker.options() };
    let mut client = running(options);
    let start = Instant::now();
    for _ in 0..6 {
        let mut peer = broker.accept().await;
        peer.welcome_5(&CONNACK_5).await;
        client.up().await;
        peer.send(&[0xe0, 1, 0x8e]).await;
        client.down().await;
        assert!((client.problem)().unwrap().contains("taken over by another client"), "{:?}", (client.problem)());
    }
    // Being connected for a moment does not make the pauses short again.
    assert!(start.elapsed() >= Duration::from_millis((20 + 40 + 80 + 160 + 320) / 2), "{:?}", start.elapsed());
    let mut peer = broker.accept().await;
    peer.welcome_5(&CONNACK_5).await;
    client.up().await;
}

#[tokio::test]
async fn no_more_is_sent_than_the_broker_wants_at_a_time() {
    let broker = Broker::listen().await;
    let client = broker.client_5();
    let mut peer = broker.accept().await;
    // Receive maximum 2.
    peer.welcome_5(&[0x20, 6, 0, 0, 3, 0x21, 0, 2]).await;
    let sending: Vec<_> = (0..5).map(|number| broker.notify(&client, &number.to_string())).collect();
    let mut under_way = vec![peer.message().await.1, peer.message().await.1];
    for left in (0..5).rev() {
        // What else is sent now comes before the answer to our ping, since packets keep their order: none is.
        until("all are given", || client.stats.sent.get() == 5).await;
        if left >= 3 {
            peer.expect(12).await;
            peer.send(&[0xd0, 0]).await;
        }
        peer.acknowledge(under_way.remove(0)).await;
        if left >= 2 {
            under_way.push(peer.message().await.1);
        }
    }
    for sending in sending {
        assert!(matches!(sending.await.unwrap(), Ok(Sent::Unanswerable)));
    }
}

#[tokio::test]
async fn what_is_larger_than_the_broker_takes_is_refused_at_once() {
    let broker = Broker::listen().await;
    let mut client = broker.client_5();
    let mut peer = broker.accept().await;
    // Maximum packet size 300.
    peer.welcome_5(&[0x20, 8, 0, 0, 5, 0x27, 0, 0, 1, 44]).await;
    client.up().await;
    let large = broker.notify(&client, &"x".repeat(400)).await.unwrap();
    assert!(matches!(large, Err(SendError::Unsupported(_))), "{large:?}");
    // An answer that is too large becomes one that says so.
    let request = retrieve("Cx", &"y".repeat(250), "1");
    let topic = "/oneM2M/req/Cx/id-in/json";
    let mut packet = vec![0x32];
    let length = 2 + topic.len() + 2 + 1 + request.len();
    packet.extend([(length & 0x7f | 0x80) as u8, (length >> 7) as u8, 0, topic.len() as u8]);
    packet.extend_from_slice(topic.as_bytes());
    packet.extend([0, 9, 0]);
    packet.extend_from_slice(request.as_bytes());
    peer.send(&packet).await;
    let (topic, packet_id, _) = peer.message().await;
    assert_eq!(topic, "/oneM2M/resp/Cx/id-in/json");
    peer.acknowledge(packet_id).await;
    assert_eq!(peer.expect(4).await[..2], [0, 9], "and the request is acknowledged");
}

#[tokio::test]
async fn the_broker_says_what_becomes_of_a_message() {
    let broker = Broker::listen().await;
    let client = broker.client_5();
    let mut peer = broker.accept().await;
    peer.welcome_5(&CONNACK_5).await;
    for (code, taken) in [(0x00, true), (0x10, false), (0x87, false), (0x97, false)] {
        let sending = broker.notify(&client, "topic");
        let [high, low] = peer.message().await.1.to_be_bytes();
        peer.send(&[0x40, 3, high, low, code]).await;
        let sent = sending.await.unwrap();
        match taken {
            true => assert!(matches!(sent, Ok(Sent::Unanswerable)), "{sent:?}"),
            // Nobody there, or not now: the outbox of the CSE tries it again.
            false => assert!(matches!(sent, Err(SendError::Unreachable(_))), "{code:#x} {sent:?}"),
        }
    }
    assert_eq!(client.stats.refused_by_broker.get(), 2, "nobody there is no refusal");
}

#[tokio::test]
async fn messages_expire_when_their_primitives_do() {
    let broker = Broker::listen().await;
    let client = broker.client_5();
    let mut peer = broker.accept().await;
    peer.welcome_5(&CONNACK_5).await;
    // A request with `rqet` of the CSE, one without, and an answer to a request with `rset`.
    let url = |topic: &str| Destination::Url(format!("mqtt://127.0.0.1:{}/{topic}", broker.port()).into());
    for (expiration, expected) in [(Some(Duration::from_millis(8_500)), Some(9)), (None, None)] {
        let mut outgoing = notification(url("topic"), "x", "1", DEADLINE);
        outgoing.request.request_expiration = expiration.map(AbsRelTimestamp::Relative);
        let sending = tokio::spawn(client.outbound.send(outgoing));
        assert_eq!(peer.expiry_of_message().await, expected);
        assert!(matches!(sending.await.unwrap(), Ok(Sent::Unanswerable)));
    }
    let request = r#"{"op":2,"to":"a","fr":"Cx","rqi":"1","rvi":"3","rset":"60000"}"#;
    let topic = "/oneM2M/req/Cx/id-in/json";
    let mut packet = vec![0x32, u8::try_from(2 + topic.len() + 3 + request.len()).unwrap(), 0];
    packet.push(u8::try_from(topic.len()).unwrap());
    packet.extend_from_slice(topic.as_bytes());
    packet.extend([0, 9, 0]);
    packet.extend_from_slice(request.as_bytes());
    peer.send(&packet).await;
    let left = peer.expiry_of_message().await.expect("the answer expires");
    assert!((1..=60).contains(&left), "{left}");
}

#[tokio::test]
async fn a_connection_waits_until_the_session_of_the_one_before_is_ended() {
    let (own, other) = (Broker::listen().await, Broker::listen().await);
    let options = BindingOptions { other_brokers_idle: Duration::from_millis(20), ..BindingOptions::default() };
    let client = Running::start(MqttBinding::external(&identity(), options, own.options()));
    own.accept().await.welcome(&CONNACK).await;
    let take_one = async |mut peer: Peer| {
        peer.expect(1).await;
        peer.send(&CONNACK).await;
        let (_, packet_id, _) = peer.message().await;
        peer.acknowledge(packet_id).await;
        peer
    };
    let sending = other.notify(&client, "first");
    let mut first = take_one(other.accept().await).await;
    assert!(matches!(sending.await.unwrap(), Ok(Sent::Unanswerable)));
    first.expect(14).await;
    // The session is ended by a connection of its own, under the same identifier.
    let mut ending = other.accept().await;
    ending.expect(1).await;
    let sending = other.notify(&client, "second");
    assert!(timeout(Duration::from_millis(200), other.0.accept()).await.is_err(), "it would be taken over");
    ending.send(&CONNACK).await;
    ending.expect(14).await;
    take_one(other.accept().await).await;
    assert!(matches!(sending.await.unwrap(), Ok(Sent::Unanswerable)));
}
