//! MQTT 5, packet by packet.

use std::sync::Arc;
use std::time::Duration;

use bytes::Buf;
use cse_mqtt::broker::{Broker, DeliveryStatus, Limits, OpenPolicy};
use rumqttc::QoS;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use crate::harness::*;

const CLEAN: u8 = 2;
const KEPT: u8 = 0;
const EXPIRY_NEVER: &[u8] = b"\x11\xff\xff\xff\xff";

/// Connects; gives the content of CONNACK behind the reason, which must be success.
async fn connect<S: AsyncRead + AsyncWrite + Unpin>(
    client: &mut Client<S>,
    id: &str,
    flags: u8,
    properties: &[u8],
) -> (bool, Vec<u8>) {
    client.send(&connect5_with(flags, 0, properties, &[id.as_bytes()])).await;
    let connack = client.frame().await.expect("CONNACK");
    assert_eq!(connack[0], 0x20);
    assert_eq!(connack[3], 0, "{connack:02x?}");
    (connack[2] == 1, connack[5..].to_vec())
}

async fn client5(broker: &TestBroker, id: &str) -> Client<TcpStream> {
    client5_with(broker, id, CLEAN, b"").await.0
}

async fn client5_with(broker: &TestBroker, id: &str, flags: u8, properties: &[u8]) -> (Client<TcpStream>, bool) {
    let mut client = broker.raw().await;
    let (present, _) = connect(&mut client, id, flags, properties).await;
    (client, present)
}

/// SUBSCRIBE to filters with these options; gives the codes.
async fn subscribe5<S: AsyncRead + AsyncWrite + Unpin>(client: &mut Client<S>, filters: &[(&str, u8)]) -> Vec<u8> {
    let mut body = b"\x00\x4d\x00".to_vec();
    for (filter, options) in filters {
        body.extend(u16::try_from(filter.len()).expect("short").to_be_bytes());
        body.extend(filter.as_bytes());
        body.push(*options);
    }
    let mut packet = vec![0x82, u8::try_from(body.len()).expect("short")];
    packet.extend(body);
    client.send(&packet).await;
    let suback = client.frame().await.expect("SUBACK");
    assert_eq!((suback[0], &suback[2..5]), (0x90, &b"\x00\x4d\x00"[..]));
    suback[5..].to_vec()
}

/// Sends `bytes`, and expects `answers` and the end of the connection.
async fn ends_with(mut client: Client<TcpStream>, bytes: &[u8], reason: u8) {
    client.send(bytes).await;
    let mut rest = client.rest().await;
    assert!(rest.len() >= 3, "{bytes:02x?}: no DISCONNECT");
    assert_eq!((rest[0], rest[2]), (0xe0, reason), "{bytes:02x?} -> {rest:02x?}");
    let length = usize::from(rest[1]) + 2;
    rest.advance(length);
    assert!(rest.is_empty(), "nothing behind DISCONNECT");
}

#[tokio::test]
async fn connack_tells_what_is_offered() {
    let broker = TestBroker::with(Limits { unacknowledged_max: 7, ..Limits::default() }, OpenPolicy).await;
    let mut client = broker.raw().await;
    let (present, properties) = connect(&mut client, "a", CLEAN, b"").await;
    assert!(!present);
    // A packet of 1 MiB behind its fixed header of 4 bytes.
    assert_eq!(properties, b"\x21\x00\x07\x27\x00\x10\x00\x04\x25\x00\x29\x00\x2a\x00");
    client.send(b"\xc0\x00").await;
    assert_eq!(client.frame().await.as_deref(), Some(&b"\xd0\x00"[..]));
}

#[tokio::test]
async fn an_empty_client_id_is_assigned_whatever_the_session() {
    let broker = TestBroker::start().await;
    let mut client = broker.raw().await;
    let (_, properties) = connect(&mut client, "", KEPT, b"\x11\x00\x00\x00\x3c").await;
    assert_eq!(&properties[8..9], b"\x12");
    let length = usize::from(properties[10]);
    let assigned = text(&properties[11..11 + length]).to_owned();
    client.vanish(&broker, &assigned).await;
    assert!(client5_with(&broker, &assigned, KEPT, b"").await.1);
}

#[tokio::test]
async fn refusals_have_reasons() {
    let broker = TestBroker::with(Limits { connect_bytes_max: 100, ..Limits::default() }, Strict).await;
    let login = |id: &[u8], user: &[u8], password: &[u8]| connect5_with(0xc2, 0, b"", &[id, user, password]);
    let cases = [
        (login(b"a", b"user", b"wrong"), 0x86),
        (login(b"bad", b"user", b"right"), 0x85),
        (login(b"a", b"down", b"right"), 0x88),
        (login(b"a", b"guest", b"right"), 0x87),
        (connect5_with(CLEAN, 0, b"\x15\x00\x01m", &[b"a"]), 0x8c),
        (connect5_with(0x26, 0, b"", &[b"a"]), 0x81),
        (connect5_with(0x22, 0, b"", &[b"a"]), 0x81),
        (connect5_with(CLEAN, 0, b"\x21\x00\x00", &[b"a"]), 0x82),
        (connect5_with(CLEAN, 0, b"\x21\x00\x01\x21\x00\x01", &[b"a"]), 0x82),
        (connect5_with(CLEAN, 0, b"\x01\x01", &[b"a"]), 0x81),
        (connect5_with(CLEAN, 0, b"", &[&[b'x'; 90]]), 0x95),
    ];
    for (bytes, reason) in cases {
        let mut client = broker.raw().await;
        client.send(&bytes).await;
        let answer = client.rest().await;
        assert_eq!((answer[0], answer[2], answer[3]), (0x20, 0, reason), "{bytes:02x?} -> {answer:02x?}");
        assert_eq!(usize::from(answer[1]) + 2, answer.len());
    }
    assert!(broker.broker.sessions().is_empty());
}

#[tokio::test]
async fn a_retained_will_is_refused_and_another_one_read_over() {
    let broker = TestBroker::start().await;
    let will: &[u8] = b"\x00\x01a\x00\x00\x01w\x00\x02hi";
    let connect = |flags| {
        let mut packet = connect5_with(flags, 0, b"", &[]);
        packet.extend(will);
        packet[1] += u8::try_from(will.len()).expect("short");
        packet
    };
    let mut client = broker.raw().await;
    client.send(&connect(0x26)).await;
    let answer = client.rest().await;
    assert_eq!((answer[0], answer[3]), (0x20, 0x9a));
    let mut watching = client5(&broker, "watching").await;
    subscribe5(&mut watching, &[("w", 1)]).await;
    let mut client = broker.raw().await;
    client.send(&connect(0x06)).await;
    assert_eq!(client.frame().await.expect("CONNACK")[3], 0);
    client.vanish(&broker, "a").await;
    watching.send(b"\xc0\x00").await;
    assert_eq!(watching.frame().await.as_deref(), Some(&b"\xd0\x00"[..]), "wills are not published");
}

#[tokio::test]
async fn violations_are_told_in_disconnect() {
    let broker = TestBroker::with(Limits { packet_bytes_max: 1000, ..Limits::default() }, OpenPolicy).await;
    let cases: &[(&[u8], u8)] = &[
        (b"\x30\x04\x00\x01+\x00", 0x81),
        (b"\x30\x04\x00\x01a\x05", 0x81),
        (b"\x30\x06\x00\x01a\x02\x01\x02", 0x82),
        (b"\x30\x06\x00\x01a\x02\x0b\x01", 0x81),
        (b"\x30\x07\x00\x01a\x03\x23\x00\x01", 0x94),
        (b"\x31\x04\x00\x01a\x00", 0x9a),
        (b"\x32\x06\x00\x01a\x00\x00\x00", 0x82),
        (b"\x30\xe9\x07", 0x95),
        (b"\xf0\x00", 0x82),
        (b"\x20\x03\x00\x00\x00", 0x82),
        (b"\x40\x03\x00\x01\x01", 0x82),
        (b"\x82\x07\x00\x01\x00\x00\x01a\x03", 0x82),
        (b"\x82\x09\x00\x01\x00\x00\x03a/#\x40", 0x81),
        (b"\x82\x08\x00\x01\x00\x00\x02a#\x00", 0x81),
        (b"\x82\x10\x00\x01\x00\x00\x0a$share/g/a\x04", 0x82),
        (b"\xe0\x07\x00\x05\x11\x00\x00\x00\x01", 0x82),
    ];
    for (bytes, reason) in cases {
        ends_with(client5(&broker, "violator").await, bytes, *reason).await;
    }
    assert_eq!(broker.broker.stats().protocol_violations.get(), cases.len() as u64);
    broker.until_offline("violator").await;
}

#[tokio::test]
async fn the_reason_of_a_violation_arrives_though_more_was_sent() {
    let broker = TestBroker::with(Limits { packet_bytes_max: 1000, ..Limits::default() }, OpenPolicy).await;
    let mut client = client5(&broker, "a").await;
    let mut bytes = b"\x30\xa0\x8d\x06".to_vec();
    bytes.resize(100_000, 0);
    client.try_send(&bytes).await;
    assert_eq!(client.rest().await[2], 0x95);
}

#[tokio::test]
async fn subscriptions_get_their_own_reasons() {
    let limits = Limits { subscriptions_per_client_max: 2, filter_levels_max: 4, ..Limits::default() };
    let broker = TestBroker::with(limits, Strict).await;
    let mut client = broker.raw().await;
    client.send(&connect5_with(0xc2, 0, b"", &[b"a", b"user", b"right"])).await;
    client.frame().await.expect("CONNACK");
    let filters = [("a", 2), ("secret", 1), ("$share/g/a", 1), ("a/a/a/a/a", 0), ("b", 0x2d), ("c", 0), ("a", 1)];
    assert_eq!(subscribe5(&mut client, &filters).await, [2, 0x87, 0x9e, 0x8f, 1, 0x97, 1]);
    client.send(b"\x82\x09\x00\x05\x02\x0b\x07\x00\x01d\x01").await;
    assert_eq!(client.frame().await.as_deref(), Some(&b"\x90\x04\x00\x05\x00\xa1"[..]));
    client.send(b"\xa2\x09\x00\x06\x00\x00\x01a\x00\x01x").await;
    assert_eq!(client.frame().await.as_deref(), Some(&b"\xb0\x05\x00\x06\x00\x00\x11"[..]));
}

#[tokio::test]
async fn publications_get_their_own_reasons() {
    let limits = Limits { queued_messages_per_client_max: 1, ..Limits::default() };
    let broker = TestBroker::with(limits, Strict).await;
    let mut full = broker.raw().await;
    full.send(&connect5_with(0xc2, 0, EXPIRY_NEVER, &[b"full", b"user", b"right"])).await;
    full.frame().await.expect("CONNACK");
    subscribe5(&mut full, &[("full", 2)]).await;
    full.vanish(&broker, "full").await;
    let mut client = broker.raw().await;
    client.send(&connect5_with(0xc2, 0, b"", &[b"a", b"user", b"right"])).await;
    client.frame().await.expect("CONNACK");
    subscribe5(&mut client, &[("mine", 0)]).await;
    let cases: &[(&[u8], &[u8])] = &[
        (b"\x32\x0a\x00\x04none\x00\x01\x00x", b"\x40\x03\x00\x01\x10"),
        (b"\x34\x0a\x00\x04none\x00\x02\x00x", b"\x50\x03\x00\x02\x10"),
        (b"\x62\x02\x00\x02", b"\x70\x02\x00\x02"),
        (b"\x62\x02\x00\x02", b"\x70\x03\x00\x02\x92"),
        (b"\x32\x0b\x00\x06secret\x00\x03\x00", b"\x40\x03\x00\x03\x87"),
        (b"\x34\x0b\x00\x06secret\x00\x04\x00", b"\x50\x03\x00\x04\x87"),
        (b"\x32\x09\x00\x04full\x00\x05\x00", b"\x40\x02\x00\x05"),
        (b"\x32\x09\x00\x04full\x00\x06\x00", b"\x40\x03\x00\x06\x97"),
        (b"\x34\x09\x00\x04full\x00\x07\x00", b"\x50\x03\x00\x07\x97"),
        (b"\x62\x02\x00\x07", b"\x70\x03\x00\x07\x92"),
        (b"\x50\x02\x00\x09", b"\x62\x03\x00\x09\x92"),
    ];
    for (bytes, answer) in cases {
        client.send(bytes).await;
        assert_eq!(client.frame().await.as_deref(), Some(*answer), "{bytes:02x?}");
    }
}

#[tokio::test]
async fn properties_are_passed_on_between_clients_of_version_5_only() {
    let broker = TestBroker::start().await;
    let mut new = client5(&broker, "new").await;
    subscribe5(&mut new, &[("t", 0)]).await;
    let mut old = broker.client("old").await;
    old.subscribe("t", QoS::AtMostOnce).await;
    new.send(b"\x30\x14\x00\x01t\x10\x01\x01\x09\x00\x01c\x26\x00\x01k\x00\x01v\x08\x00\x00").await;
    assert_eq!(new.rest().await[2], 0x82, "an empty response topic");

    let mut new = client5(&broker, "new").await;
    subscribe5(&mut new, &[("t", 0)]).await;
    let passed_on = b"\x01\x01\x09\x00\x01c\x26\x00\x01k\x00\x01v\x08\x00\x01r";
    let mut publish = b"\x30\x16\x00\x01t\x11".to_vec();
    publish.extend(passed_on);
    publish.push(b'x');
    new.send(&publish).await;
    assert_eq!(new.frame().await.as_deref(), Some(&publish[..]));
    assert_eq!(&old.message().await.payload[..], b"x");
    old.publish("t", "y", QoS::AtMostOnce, 0).await;
    assert_eq!(new.frame().await.as_deref(), Some(&b"\x30\x05\x00\x01t\x00y"[..]));
}

#[tokio::test]
async fn no_local_leaves_out_what_the_client_itself_published() {
    let broker = TestBroker::start().await;
    let mut one = client5(&broker, "one").await;
    let mut other = client5(&broker, "other").await;
    subscribe5(&mut one, &[("t", 4)]).await;
    other.send(b"\x30\x05\x00\x01t\x00a").await;
    assert_eq!(one.frame().await.as_deref(), Some(&b"\x30\x05\x00\x01t\x00a"[..]));
    one.send(b"\x32\x07\x00\x01t\x00\x01\x00b").await;
    assert_eq!(one.frame().await.as_deref(), Some(&b"\x40\x03\x00\x01\x10"[..]), "nobody else is subscribed");
    // Another of its filters wants it.
    subscribe5(&mut one, &[("#", 0)]).await;
    one.send(b"\x30\x05\x00\x01t\x00c").await;
    assert_eq!(one.frame().await.as_deref(), Some(&b"\x30\x05\x00\x01t\x00c"[..]));
}

#[tokio::test(start_paused = true)]
async fn what_is_left_of_a_message_goes_with_it() {
    let broker = Broker::new(Limits::default(), Arc::new(OpenPolicy));
    let (link, _receiver) = broker.link("cse", &[]).expect("no filters");
    let (mut client, _stop, served) = in_memory(&broker);
    connect(&mut client, "a", KEPT, EXPIRY_NEVER).await;
    subscribe5(&mut client, &[("t", 1)]).await;
    drop(client);
    served.await.expect("ended");
    let (mut publisher, _stop, _served) = in_memory(&broker);
    connect(&mut publisher, "b", CLEAN, b"").await;
    publisher.send(b"\x32\x0b\x00\x01t\x00\x01\x05\x02\x00\x00\x00\x0a").await;
    publisher.frame().await.expect("PUBACK");
    publisher.send(b"\x32\x0b\x00\x01t\x00\x01\x05\x02\x00\x00\x00\x02").await;
    publisher.frame().await.expect("PUBACK");
    link.publish_expiring("t", "l".into(), QoS::AtLeastOnce, Duration::from_secs(20)).expect("valid");
    tokio::time::advance(Duration::from_millis(2500)).await;
    let (mut client, _stop, _served) = in_memory(&broker);
    assert!(connect(&mut client, "a", KEPT, b"").await.0);
    assert_eq!(client.frame().await.as_deref(), Some(&b"\x32\x0b\x00\x01t\x00\x01\x05\x02\x00\x00\x00\x08"[..]));
    // The packet identifier in between was that of the message that has expired.
    assert_eq!(client.frame().await.as_deref(), Some(&b"\x32\x0c\x00\x01t\x00\x03\x05\x02\x00\x00\x00\x12l"[..]));
    assert_eq!(broker.stats().dropped_expired.get(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_session_lives_as_long_as_its_client_wishes() {
    let limits = Limits { offline_expiry: Duration::from_secs(100), ..Limits::default() };
    let broker = Broker::new(limits, Arc::new(OpenPolicy));
    let reconnect = async |flags, properties: &[u8], disconnect: &[u8], away| {
        let (mut client, _stop, served) = in_memory(&broker);
        let (present, granted) = connect(&mut client, "a", flags, properties).await;
        client.send(disconnect).await;
        served.await.expect("ended");
        tokio::time::advance(Duration::from_secs(away)).await;
        let expiry = if granted[0] == 0x11 { granted[1..5].to_vec() } else { vec![] };
        (present, expiry)
    };
    let none: Vec<u8> = vec![];
    let leave = b"\xe0\x00";
    // Without an expiry it ends at once.
    assert_eq!(reconnect(KEPT, b"", leave, 0).await, (false, none.clone()));
    assert_eq!(reconnect(KEPT, b"\x11\x00\x00\x00\x0a", leave, 9).await, (false, none.clone()));
    assert_eq!(reconnect(KEPT, b"\x11\x00\x00\x00\x0a", leave, 10).await, (true, none.clone()));
    assert_eq!(reconnect(KEPT, b"\x11\x00\x00\x00\x0a", leave, 0).await, (false, none.clone()));
    // DISCONNECT changes it, a new start discards the old session, and never means the bound, which is told.
    assert!(!reconnect(CLEAN, b"\x11\x00\x00\x00\x0a", b"\xe0\x07\x00\x05\x11\x00\x00\x00\x32", 49).await.0);
    assert_eq!(reconnect(KEPT, EXPIRY_NEVER, leave, 99).await, (true, vec![0, 0, 0, 100]));
    assert_eq!(reconnect(KEPT, b"\x11\x00\x00\x00\x65", leave, 100).await, (true, vec![0, 0, 0, 100]));
    assert!(!reconnect(KEPT, b"\x11\x00\x00\x00\x64", b"\xe0\x07\x04\x05\x11\x00\x00\x00\x00", 0).await.0);
    assert!(!reconnect(KEPT, b"", leave, 0).await.0, "DISCONNECT had ended it");
    assert!(broker.sessions().is_empty());
}

#[tokio::test]
async fn no_more_is_sent_than_the_client_takes_at_a_time() {
    let broker = TestBroker::start().await;
    let (link, _receiver) = broker.broker.link("cse", &[]).expect("no filters");
    let receive_two = [EXPIRY_NEVER, b"\x21\x00\x02"].concat();
    let (mut client, _) = client5_with(&broker, "a", KEPT, &receive_two).await;
    subscribe5(&mut client, &[("t", 2)]).await;
    for number in 0..5 {
        let qos = if number % 2 == 0 { QoS::AtLeastOnce } else { QoS::ExactlyOnce };
        link.publish("t", number.to_string().into(), qos).expect("valid");
    }
    let expect = async |client: &mut Client<TcpStream>, header: u8, id: u8, payload: u8| {
        let frame = client.frame().await.expect("PUBLISH");
        assert_eq!((frame[0], frame[6], frame[8]), (header, id, payload), "{frame:02x?}");
    };
    let expect_nothing = async |client: &mut Client<TcpStream>| {
        for _ in 0..2 {
            client.send(b"\xc0\x00").await;
            assert_eq!(client.frame().await.as_deref(), Some(&b"\xd0\x00"[..]));
        }
    };
    expect(&mut client, 0x32, 1, b'0').await;
    expect(&mut client, 0x34, 2, b'1').await;
    expect_nothing(&mut client).await;
    client.send(b"\x40\x02\x00\x01").await;
    expect(&mut client, 0x32, 3, b'2').await;
    client.send(b"\x50\x02\x00\x02").await;
    assert_eq!(client.frame().await.as_deref(), Some(&b"\x62\x02\x00\x02"[..]));
    expect_nothing(&mut client).await;
    client.send(b"\x70\x02\x00\x02").await;
    expect(&mut client, 0x34, 4, b'3').await;
    // Resumed with room for one: what was sent comes again, one at a time.
    client.vanish(&broker, "a").await;
    let (mut client, present) = client5_with(&broker, "a", KEPT, &[EXPIRY_NEVER, b"\x21\x00\x01"].concat()).await;
    assert!(present);
    expect(&mut client, 0x3a, 3, b'2').await;
    expect_nothing(&mut client).await;
    client.send(b"\x40\x02\x00\x03").await;
    expect(&mut client, 0x3c, 4, b'3').await;
    // A client that cannot take it ends it with PUBREC.
    client.send(b"\x50\x03\x00\x04\x97").await;
    expect(&mut client, 0x32, 5, b'4').await;
}

#[tokio::test]
async fn the_receive_maximum_holds_for_the_client() {
    let broker = TestBroker::with(Limits { unacknowledged_max: 2, ..Limits::default() }, OpenPolicy).await;
    let (_link, mut receiver) = broker.broker.link("cse", &["t"]).expect("a filter");
    let mut client = client5(&broker, "a").await;
    client.send(b"\x32\x07\x00\x01t\x00\x01\x00a\x32\x07\x00\x01t\x00\x02\x00b").await;
    for message in receive_exactly(&mut receiver, 2).await {
        message.ack.accept();
    }
    assert_eq!(client.frame().await.as_deref(), Some(&b"\x40\x02\x00\x01"[..]));
    assert_eq!(client.frame().await.as_deref(), Some(&b"\x40\x02\x00\x02"[..]));
    let three = b"\x32\x06\x00\x01t\x00\x01\x00\x34\x06\x00\x01t\x00\x02\x00\x32\x06\x00\x01t\x00\x03\x00";
    ends_with(client, three, 0x93).await;
}

#[tokio::test]
async fn messages_too_large_for_the_client_are_left_out() {
    let broker = TestBroker::start().await;
    let (link, _receiver) = broker.broker.link("cse", &[]).expect("no filters");
    let (mut client, _) = client5_with(&broker, "a", KEPT, &[EXPIRY_NEVER, b"\x27\x00\x00\x00\x28"].concat()).await;
    subscribe5(&mut client, &[("t", 1)]).await;
    // 2 of fixed header, 3 of topic, 2 of identifier and 1 of properties leave 32 for the payload.
    let publish = |bytes| link.publish_tracked("t", "x".repeat(bytes).into(), QoS::AtLeastOnce).expect("valid").1;
    let (too_large, fits) = (publish(33), publish(32));
    let frame = client.frame().await.expect("PUBLISH");
    assert_eq!((frame.len(), frame[6]), (40, 2));
    assert_eq!(too_large.status(), DeliveryStatus::Lost);
    assert_eq!(fits.status(), DeliveryStatus::Pending);
    // Resumed with less room, it is given up.
    client.vanish(&broker, "a").await;
    let (_client, present) = client5_with(&broker, "a", KEPT, &[EXPIRY_NEVER, b"\x27\x00\x00\x00\x27"].concat()).await;
    assert!(present);
    within(fits.wait()).await;
    assert_eq!(fits.status(), DeliveryStatus::Lost);
    assert_eq!(broker.broker.stats().dropped_too_large.get(), 2);
}

#[tokio::test]
async fn a_client_that_takes_no_connack_or_suback_is_not_served() {
    let broker = TestBroker::start().await;
    let mut client = broker.raw().await;
    client.send(&connect5_with(CLEAN, 0, b"\x27\x00\x00\x00\x0a", &[b"a"])).await;
    assert!(client.rest().await.is_empty());
    let (client, _) = client5_with(&broker, "a", CLEAN, b"\x27\x00\x00\x00\x20").await;
    let mut subscribe = b"\x82\x7b\x00\x01\x00".to_vec();
    (0..30).for_each(|_| subscribe.extend(b"\x00\x01a\x00"));
    ends_with(client, &subscribe, 0x95).await;
}

#[tokio::test]
async fn ends_that_the_client_did_not_bring_about_are_explained() {
    let broker = TestBroker::start().await;
    let mut taken_over = client5(&broker, "a").await;
    let mut expelled = client5(&broker, "a").await;
    assert_eq!(taken_over.rest().await[2], 0x8e);
    assert!(broker.broker.expel("a"));
    assert_eq!(expelled.rest().await[2], 0x98);
    let mut stopped = client5(&broker, "a").await;
    broker.stop.send(true).expect("running");
    assert_eq!(stopped.rest().await[2], 0x8b);
    within(broker.server).await.expect("stopped");
}

#[tokio::test(start_paused = true)]
async fn silence_is_explained() {
    let broker = Broker::new(Limits::default(), Arc::new(OpenPolicy));
    let (mut client, _stop, _served) = in_memory(&broker);
    client.send(&connect5_with(CLEAN, 10, b"", &[b"sleeper"])).await;
    client.frame_unlimited().await.expect("CONNACK");
    let began = tokio::time::Instant::now();
    assert_eq!(client.frame_unlimited().await.expect("DISCONNECT")[2], 0x8d);
    assert_eq!(began.elapsed().as_secs(), 15);
    assert_eq!(broker.stats().keep_alive_timeouts.get(), 1);
}

#[tokio::test]
async fn a_refusing_puback_is_no_delivery() {
    let broker = TestBroker::start().await;
    let (link, _receiver) = broker.broker.link("cse", &[]).expect("no filters");
    let mut client = client5(&broker, "a").await;
    subscribe5(&mut client, &[("t", 1)]).await;
    for (puback, status) in
        [(&b"\x40\x03\x00\x01\x97"[..], DeliveryStatus::Lost), (b"\x40\x03\x00\x02\x10", DeliveryStatus::Acknowledged)]
    {
        let (_, handle) = link.publish_tracked("t", "x".into(), QoS::AtLeastOnce).expect("valid");
        client.frame().await.expect("PUBLISH");
        client.send(puback).await;
        assert_eq!(within(handle.wait()).await, status);
    }
}

#[tokio::test]
async fn the_versions_share_sessions() {
    let broker = TestBroker::start().await;
    let (mut old, _) = broker.kept("a").await;
    old.subscribe("t", QoS::AtLeastOnce).await;
    old.vanish(&broker, "a").await;
    let mut other = client5(&broker, "b").await;
    other.send(b"\x32\x0e\x00\x01t\x00\x01\x07\x26\x00\x01k\x00\x01vx").await;
    other.frame().await.expect("PUBACK");
    let (mut new, present) = client5_with(&broker, "a", KEPT, EXPIRY_NEVER).await;
    assert!(present);
    let publish = &b"\x32\x0e\x00\x01t\x00\x01\x07\x26\x00\x01k\x00\x01vx"[..];
    assert_eq!(new.frame().await.as_deref(), Some(publish));
    new.vanish(&broker, "a").await;
    let (mut old, present) = broker.kept("a").await;
    assert!(present);
    let message = old.message().await;
    assert_eq!((text(&message.payload), message.dup), ("x", true));
}
