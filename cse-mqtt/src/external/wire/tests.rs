#![expect(clippy::unwrap_used, reason = "tests")]

use proptest::prelude::*;
use rumqttc::mqttbytes::v4;
use rumqttc::v5::mqttbytes::v5;

use super::*;

const MAX: usize = 1000;

fn wire(version: ProtocolVersion) -> Wire {
    Wire::new(version, MAX)
}

fn read(version: ProtocolVersion, bytes: &[u8]) -> Result<Option<Packet>, Malformed> {
    wire(version).read(&mut BytesMut::from(bytes))
}

fn hello() -> Hello<'static> {
    Hello {
        client_id: "C::id-in",
        clean: false,
        keep_alive: 60,
        login: Some(("user", "secret")),
        session_expiry: u32::MAX,
        receive_maximum: 256,
        packet_bytes_max: 1 << 20,
    }
}

/// What the codec of a library reads out of what is written here.
#[test]
fn a_library_reads_what_is_written_in_version_3() {
    let wire = wire(ProtocolVersion::V311);
    let mut bytes = BytesMut::new();
    wire.connect(&hello(), &mut bytes).unwrap();
    wire.publish("a/b", b"payload", 7, true, Some(9), &mut bytes);
    wire.publish("a/b", &[b'x'; 300], 8, false, None, &mut bytes);
    wire.acknowledge(513, &mut bytes);
    wire.subscribe(&["a/#".into(), "b/+".into()], &mut bytes).unwrap();
    wire.ping(&mut bytes);
    wire.disconnect(&mut bytes);
    let mut next = || v4::Packet::read(&mut bytes, 10_000).unwrap();
    let v4::Packet::Connect(connect) = next() else { panic!("CONNECT") };
    assert_eq!((connect.client_id.as_str(), connect.keep_alive, connect.clean_session), ("C::id-in", 60, false));
    assert_eq!((connect.login.unwrap().password.as_str(), connect.last_will), ("secret", None));
    let v4::Packet::Publish(publish) = next() else { panic!("PUBLISH") };
    assert_eq!(
        (publish.topic.as_str(), &publish.payload[..], publish.pkid, publish.dup),
        ("a/b", &b"payload"[..], 7, true)
    );
    let v4::Packet::Publish(publish) = next() else { panic!("PUBLISH") };
    assert_eq!((publish.payload.len(), publish.dup, publish.retain), (300, false, false));
    assert_eq!(next(), v4::Packet::PubAck(v4::PubAck::new(513)));
    let v4::Packet::Subscribe(subscribe) = next() else { panic!("SUBSCRIBE") };
    assert_eq!((subscribe.pkid, subscribe.filters.len()), (SUBSCRIBE_ID, 2));
    assert_eq!((next(), next()), (v4::Packet::PingReq, v4::Packet::Disconnect));
}

#[test]
fn a_library_reads_what_is_written_in_version_5() {
    let wire = wire(ProtocolVersion::V5);
    let mut bytes = BytesMut::new();
    wire.connect(&hello(), &mut bytes).unwrap();
    wire.publish("a/b", b"payload", 7, false, Some(9), &mut bytes);
    wire.publish("a/b", b"payload", 8, true, None, &mut bytes);
    wire.acknowledge(513, &mut bytes);
    wire.subscribe(&["a/#".into()], &mut bytes).unwrap();
    let mut next = || v5::Packet::read(&mut bytes, Some(10_000)).unwrap();
    let v5::Packet::Connect(connect, None, Some(login)) = next() else { panic!("CONNECT") };
    let properties = connect.properties.unwrap();
    assert_eq!((connect.client_id.as_str(), connect.clean_start, login.username.as_str()), ("C::id-in", false, "user"));
    let told = (properties.session_expiry_interval, properties.receive_maximum, properties.max_packet_size);
    assert_eq!(told, (Some(u32::MAX), Some(256), Some(1 << 20)));
    for (packet_id, expiry) in [(7, Some(9)), (8, None)] {
        let v5::Packet::Publish(publish) = next() else { panic!("PUBLISH") };
        assert_eq!((publish.pkid, &publish.topic[..], &publish.payload[..]), (packet_id, &b"a/b"[..], &b"payload"[..]));
        assert_eq!(publish.properties.and_then(|properties| properties.message_expiry_interval), expiry);
    }
    let v5::Packet::PubAck(puback) = next() else { panic!("PUBACK") };
    assert_eq!(puback.pkid, 513);
    let v5::Packet::Subscribe(subscribe) = next() else { panic!("SUBSCRIBE") };
    assert_eq!((subscribe.filters[0].path.as_str(), subscribe.filters[0].qos as u8), ("a/#", 1));
}

#[test]
fn what_a_broker_says_is_understood_in_version_3() {
    let version = ProtocolVersion::V311;
    let welcome = Packet::Welcome { session_present: true, terms: Terms::default() };
    assert_eq!(read(version, &[0x20, 2, 1, 0]), Ok(Some(welcome)));
    for (code, expected) in [(1, "version"), (2, "identifier"), (3, "unavailable"), (4, "password"), (5, "authorized")]
    {
        let Ok(Some(Packet::Unwelcome(reason))) = read(version, &[0x20, 2, 0, code]) else { panic!("refusal") };
        assert!(reason.to_string().contains(expected), "{reason}");
    }
    let message = Arriving {
        topic: "a".into(),
        payload: Bytes::from_static(b"x"),
        packet_id: Some(5),
        duplicate: true,
        retained: false,
    };
    assert_eq!(read(version, &[0x3a, 6, 0, 1, b'a', 0, 5, b'x']), Ok(Some(Packet::Message(message))));
    let Ok(Some(Packet::Message(message))) = read(version, &[0x31, 3, 0, 1, b'a']) else { panic!("message") };
    assert_eq!((message.packet_id, message.retained, message.payload.len()), (None, true, 0));
    let Ok(Some(Packet::Acknowledged { packet_id: 258, reason })) = read(version, &[0x40, 2, 1, 2]) else {
        panic!("ack")
    };
    assert_eq!(reason.code, 0);
    let subscribed = Packet::Subscribed { codes: vec![1, 0x80], text: String::new() };
    assert_eq!(read(version, &[0x90, 4, 0, 1, 1, 0x80]), Ok(Some(subscribed)));
    assert_eq!(read(version, &[0xd0, 0]), Ok(Some(Packet::Alive)));
}

#[test]
fn what_a_broker_says_is_understood_in_version_5() {
    let version = ProtocolVersion::V5;
    let mut bytes = BytesMut::new();
    let properties = v5::ConnAckProperties {
        session_expiry_interval: Some(1),
        receive_max: Some(20),
        max_qos: Some(1),
        retain_available: Some(0),
        max_packet_size: Some(5000),
        assigned_client_identifier: Some("x".into()),
        topic_alias_max: Some(3),
        reason_string: Some("hello".into()),
        user_properties: vec![("a".into(), "b".into())],
        wildcard_subscription_available: Some(1),
        subscription_identifiers_available: Some(1),
        shared_subscription_available: Some(1),
        server_keep_alive: Some(30),
        response_information: Some("r".into()),
        server_reference: Some("s".into()),
        authentication_method: Some("m".into()),
        authentication_data: Some(Bytes::from_static(b"d")),
    };
    let code = v5::ConnectReturnCode::Success;
    v5::ConnAck { session_present: false, code, properties: Some(properties) }.write(&mut bytes).unwrap();
    let terms = Terms { receive_maximum: Some(20), packet_bytes_max: Some(5000), keep_alive: Some(30) };
    assert_eq!(read(version, &bytes), Ok(Some(Packet::Welcome { session_present: false, terms })));

    bytes.clear();
    let properties = v5::PublishProperties {
        payload_format_indicator: Some(1),
        message_expiry_interval: Some(5),
        response_topic: Some("r".into()),
        correlation_data: Some(Bytes::from_static(b"c")),
        user_properties: vec![("a".into(), "b".into())],
        subscription_identifiers: vec![200],
        content_type: Some("t".into()),
        ..v5::PublishProperties::default()
    };
    let mut publish = v5::Publish::new("a", rumqttc::v5::mqttbytes::QoS::AtLeastOnce, "x", Some(properties));
    publish.pkid = 5;
    publish.write(&mut bytes).unwrap();
    let Ok(Some(Packet::Message(message))) = read(version, &bytes) else { panic!("message") };
    assert_eq!((&*message.topic, &message.payload[..], message.packet_id), ("a", &b"x"[..], Some(5)));

    for (bytes, code) in [(&[0x40, 2, 0, 9][..], 0), (&[0x40, 3, 0, 9, 0x10], 0x10), (&[0x40, 4, 0, 9, 0x87, 0], 0x87)]
    {
        let Ok(Some(Packet::Acknowledged { packet_id: 9, reason })) = read(version, bytes) else { panic!("ack") };
        assert_eq!(reason.code, code);
    }
    let Ok(Some(Packet::Leaving(reason))) = read(version, &[0xe0, 1, 0x8e]) else { panic!("DISCONNECT") };
    assert_eq!(reason.to_string(), "session taken over by another client (0x8e)");
    let Ok(Some(Packet::Leaving(reason))) = read(version, &[0xe0, 7, 0x8b, 5, 0x1f, 0, 2, b'h', b'i']) else {
        panic!("DISCONNECT")
    };
    assert_eq!(reason.to_string(), "server shutting down (0x8b): hi");
    assert_eq!(read(version, &[0xe0, 0]), Ok(Some(Packet::Leaving(Reason { code: 0, text: String::new() }))));
}

#[test]
fn a_message_that_is_too_large_is_passed_over_without_being_kept() {
    for version in [ProtocolVersion::V311, ProtocolVersion::V5] {
        let mut wire = wire(version);
        let mut bytes = BytesMut::new();
        wire.publish("a/b", &[b'x'; 5 * MAX], 7, false, None, &mut bytes);
        let total = bytes.len();
        wire.publish("a/b", b"next", 8, false, None, &mut bytes);
        let (mut input, mut seen, mut longest) = (BytesMut::new(), Vec::new(), 0);
        for chunk in bytes.chunks(3) {
            input.extend_from_slice(chunk);
            seen.extend(wire.read(&mut input).unwrap());
            longest = longest.max(input.len());
        }
        assert_eq!(seen[0], Packet::TooLarge { topic: "a/b".into(), packet_id: Some(7), bytes: total });
        assert!(matches!(&seen[1], Packet::Message(message) if &message.payload[..] == b"next"));
        assert!(seen.len() == 2 && longest < 64, "{longest} bytes were kept");
    }
}

#[test]
fn what_no_broker_sends_is_an_error() {
    for bytes in [
        &[0x10, 0][..],                     // CONNECT
        &[0x00, 0],                         // no such type
        &[0xf0, 0],                         // AUTH, not asked for
        &[0x20, 1, 0],                      // CONNACK without code
        &[0x34, 6, 0, 1, b'a', 0, 5, b'x'], // QoS 2
        &[0x36, 6, 0, 1, b'a', 0, 5, b'x'], // QoS 3
        &[0x32, 5, 0, 1, b'a', 0, 0],       // packet identifier 0
        &[0x30, 2, 0, 9],                   // topic longer than the packet
        &[0x30, 3, 0, 1, 0xff],             // topic that is not UTF-8
        &[0x30, 3, 0, 0, 0],                // no topic
        &[0x20, 0xff, 0xff, 0xff, 0xff, 1], // length of five bytes
        &[0x40, 0xff, 0xff, 0xff, 0x7f],    // PUBACK of 256 MB
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
    ] {
        for version in [ProtocolVersion::V311, ProtocolVersion::V5] {
            assert!(read(version, bytes).is_err(), "{bytes:?} {version:?}");
        }
    }
    for bytes in [
        &[0x20, 3, 0, 0, 9][..],         // properties longer than the packet
        &[0x20, 5, 0, 0, 2, 0x7f, 0],    // unknown property
        &[0x20, 6, 0, 0, 3, 0x21, 0, 0], // receive maximum 0
        &[0x30, 5, 0, 0, 0, 0, 0],       // topic alias only
    ] {
        assert!(read(ProtocolVersion::V5, bytes).is_err(), "{bytes:?}");
    }
}

proptest! {
    /// Whatever comes: packets or an error, never a panic, and never more bytes wanted than one packet may have.
    #[test]
    fn any_bytes_are_read_or_refused(
        bytes in proptest::collection::vec(prop_oneof![any::<u8>(), Just(0x30), Just(0x32), Just(0x40), Just(2)], 0..200),
        five in any::<bool>(),
    ) {
        let mut wire = wire(if five { ProtocolVersion::V5 } else { ProtocolVersion::V311 });
        let mut input = BytesMut::from(&bytes[..]);
        let mut left = input.len() + 1;
        while let Ok(Some(_)) = wire.read(&mut input) {
            prop_assert!(input.len() < left, "no progress");
            left = input.len();
        }
        prop_assert!(input.capacity() < 4 * MAX);
    }
}
