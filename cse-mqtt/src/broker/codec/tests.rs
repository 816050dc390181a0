//! Packets as tables of bytes, and the library's codecs as independent readers.

use bytes::BytesMut;
use proptest::prelude::*;
use rumqttc::mqttbytes::v4::Packet;
use rumqttc::v5::mqttbytes::v5::Packet as Packet5;

use super::*;
use crate::broker::acks::AckKind;

const SIZE_MAX: usize = 1024;

fn refused(bytes: &[u8]) -> Violation {
    decode(bytes, SIZE_MAX, Version::V311).expect_err("a violation")
}

#[test]
fn publish_topics_are_names() {
    assert!(matches!(refused(b"\x30\x03\x00\x01+"), Violation::InvalidTopic));
    assert!(matches!(refused(b"\x30\x05\x00\x03a/#"), Violation::InvalidTopic));
    assert!(matches!(refused(b"\x30\x02\x00\x00"), Violation::InvalidTopic));
    assert!(matches!(refused(b"\x30\x03\x00\x01\0"), Violation::Malformed));
    assert!(matches!(refused(b"\x30\x03\x00\x01\xff"), Violation::Malformed));
    assert!(matches!(refused(b"\x38\x03\x00\x01a"), Violation::DupWithoutAck));
    assert!(matches!(refused(b"\x36\x05\x00\x01a\x00\x01"), Violation::Malformed), "QoS 3");
    assert!(matches!(refused(b"\x32\x05\x00\x01a\x00\x00"), Violation::PacketIdZero));
}

#[test]
fn fixed_header_flags_are_checked() {
    for bytes in [
        &b"\x80\x06\x00\x01\x00\x01a\x00"[..],
        b"\xa0\x05\x00\x01\x00\x01a",
        b"\x60\x02\x00\x01",
        b"\x41\x02\x00\x01",
        b"\xc1\x00",
        b"\xe1\x00",
    ] {
        assert!(matches!(refused(bytes), Violation::ReservedFlags), "{bytes:?}");
    }
    assert!(matches!(refused(b"\x82\x06\x00\x01\x00\x01a\x04"), Violation::ReservedFlags), "option bits");
}

#[test]
fn lengths_must_be_exact() {
    for bytes in [
        &b"\x40\x03\x00\x01\x00"[..],
        b"\x40\x01\x00",
        b"\xc0\x01\x00",
        b"\xe0\x01\x00",
        b"\x82\x02\x00\x01",
        b"\xa2\x02\x00\x01",
        b"\x82\x05\x00\x01\x00\x01a",
        b"\x30\x80\x80\x80\x80\x01",
    ] {
        assert!(decode(bytes, SIZE_MAX, Version::V311).is_err(), "{bytes:?}");
    }
    assert!(matches!(refused(b"\x30\x81\x08"), Violation::TooLarge(1025)));
    assert!(matches!(refused(b"\x40\x02\x00\x00"), Violation::PacketIdZero));
    assert!(decode(b"\x30\x80", SIZE_MAX, Version::V311).expect("incomplete").is_none());
}

#[test]
fn packets_of_a_server_are_unexpected() {
    for kind in [0, 1, 2, 9, 11, 13, 15] {
        for version in [Version::V311, Version::V5] {
            let packet = [kind << 4, 0];
            let outcome = decode(&packet, SIZE_MAX, version);
            assert!(matches!(outcome, Err(Violation::UnexpectedPacket)), "{kind}: {outcome:?}");
        }
    }
}

fn refused5(bytes: &[u8]) -> Reason {
    decode(bytes, SIZE_MAX, Version::V5).expect_err("a violation").reason()
}

fn read5(bytes: &[u8]) -> ClientPacket<'_> {
    let (packet, length) = decode(bytes, SIZE_MAX, Version::V5).expect("valid").expect("whole");
    assert_eq!(length, bytes.len());
    packet
}

#[test]
fn acknowledgements_of_version_5_have_a_reason() {
    for (bytes, id, failed) in [
        (&b"\x40\x02\x00\x07"[..], 7, false),
        (b"\x40\x03\x00\x07\x10", 7, false),
        (b"\x40\x03\x00\x07\x87", 7, true),
        (b"\x40\x04\x00\x07\x00\x00", 7, false),
        (b"\x40\x08\x00\x07\x97\x04\x1f\x00\x01r", 7, true),
    ] {
        let packet = read5(bytes);
        assert!(matches!(packet, ClientPacket::PubAck { packet_id, refused } if packet_id == id && refused == failed));
    }
    assert!(matches!(read5(b"\x50\x03\x00\x07\x80"), ClientPacket::PubRec { packet_id: 7, refused: true }));
    assert!(matches!(read5(b"\x62\x03\x00\x07\x92"), ClientPacket::PubRel(7)));
    assert!(matches!(read5(b"\x70\x04\x00\x07\x92\x00"), ClientPacket::PubComp(7)));
    for (bytes, reason) in [
        (&b"\x40\x03\x00\x07\x01"[..], Reason::ProtocolError),
        (b"\x62\x03\x00\x07\x10", Reason::ProtocolError),
        (b"\x40\x02\x00\x00", Reason::ProtocolError),
        (b"\x40\x01\x00", Reason::Malformed),
        (b"\x40\x05\x00\x07\x00\x00\x00", Reason::Malformed),
        (b"\x40\x06\x00\x07\x00\x02\x01\x01", Reason::Malformed),
        (b"\x40\x0c\x00\x07\x00\x08\x1f\x00\x01r\x1f\x00\x01r", Reason::ProtocolError),
    ] {
        assert_eq!(refused5(bytes), reason, "{bytes:?}");
    }
}

#[test]
fn subscriptions_of_version_5_have_options() {
    let subscribe = |bytes: &'static [u8]| match read5(bytes) {
        ClientPacket::Subscribe(subscribe) => subscribe,
        other => panic!("{other:?}"),
    };
    let read = subscribe(b"\x82\x0b\x00\x01\x00\x00\x01a\x2d\x00\x01b\x02");
    assert!(!read.identified);
    let options: Vec<_> = read.filters.iter().map(|f| (f.filter, f.qos, f.no_local)).collect();
    assert_eq!(options, [("a", QoS::AtLeastOnce, true), ("b", QoS::ExactlyOnce, false)]);
    assert!(subscribe(b"\x82\x09\x00\x01\x02\x0b\x05\x00\x01a\x00").identified);
    for (bytes, reason) in [
        (&b"\x82\x07\x00\x01\x00\x00\x01a\x03"[..], Reason::ProtocolError),
        (b"\x82\x07\x00\x01\x00\x00\x01a\x30", Reason::ProtocolError),
        (b"\x82\x07\x00\x01\x00\x00\x01a\x40", Reason::Malformed),
        (b"\x82\x03\x00\x01\x00", Reason::Malformed),
        (b"\x82\x09\x00\x01\x02\x0b\x00\x00\x01a\x00", Reason::ProtocolError),
        (b"\x82\x0b\x00\x01\x04\x0b\x01\x0b\x01\x00\x01a\x00", Reason::ProtocolError),
        (b"\xa2\x03\x00\x01\x00", Reason::Malformed),
        (b"\xa2\x08\x00\x01\x02\x0b\x01\x00\x01a", Reason::Malformed),
    ] {
        assert_eq!(refused5(bytes), reason, "{bytes:?}");
    }
    assert!(matches!(
        read5(b"\xa2\x09\x00\x02\x00\x00\x01a\x00\x01b"),
        ClientPacket::Unsubscribe { packet_id: 2, filters } if filters == ["a", "b"]
    ));
}

#[test]
fn disconnect_of_version_5_may_change_the_expiry() {
    for (bytes, expected) in [
        (&b"\xe0\x00"[..], None),
        (b"\xe0\x01\x04", None),
        (b"\xe0\x02\x00\x00", None),
        (b"\xe0\x07\x00\x05\x11\x00\x00\x00\x09", Some(9)),
    ] {
        assert!(matches!(read5(bytes), ClientPacket::Disconnect { session_expiry } if session_expiry == expected));
    }
    for (bytes, reason) in [
        (&b"\xe0\x01\x8e"[..], Reason::ProtocolError),
        (b"\xe0\x03\x00\x00\x00", Reason::Malformed),
        (b"\xe0\x06\x00\x04\x1c\x00\x01s", Reason::Malformed),
        (b"\xc0\x01\x00", Reason::Malformed),
    ] {
        assert_eq!(refused5(bytes), reason, "{bytes:?}");
    }
    assert!(decode(b"\xe0\x01\x00", SIZE_MAX, Version::V311).is_err());
}

#[test]
fn publications_of_version_5_are_checked() {
    for (bytes, reason) in [
        (&b"\x30\x04\x00\x00\x00x"[..], Reason::Malformed),
        (b"\x30\x04\x00\x01+\x00", Reason::Malformed),
        (b"\x30\x03\x00\x01a", Reason::Malformed),
        (b"\x30\x05\x00\x01a\x05\x01", Reason::Malformed),
        (b"\x30\x07\x00\x00\x03\x23\x00\x01x", Reason::TopicAliasInvalid),
        (b"\x30\x81\x08", Reason::PacketTooLarge),
        (b"\x31\x84\x00\x00\x01a\x00", Reason::Malformed),
        (b"\xf0\x00", Reason::ProtocolError),
    ] {
        assert_eq!(refused5(bytes), reason, "{bytes:?}");
    }
    assert!(decode(b"\x30\x83\x00\x00\x01a", SIZE_MAX, Version::V311).is_ok(), "3.1.1 says nothing of padded lengths");
}

#[test]
fn the_library_reads_what_is_answered() {
    use rumqttc::v5::mqttbytes::v5::{DisconnectReasonCode, PubAckReason, SubscribeReasonCode, UnsubAckReason};
    let mut out = BytesMut::new();
    write_ack(&mut out, Version::V5, 5, AckKind::PubAck, Reason::NoMatchingSubscribers);
    write_ack(&mut out, Version::V5, 6, AckKind::PubAck, Reason::Success);
    write_suback(&mut out, Version::V5, 7, &[1, Reason::NotAuthorized as u8]);
    write_unsuback(&mut out, Version::V5, 8, &[Reason::NoSubscriptionExisted as u8]);
    write_disconnect(&mut out, Reason::TakenOver, "why", 1000);
    let mut next = || Packet5::read(&mut out, None).expect("a packet");
    assert!(
        matches!(next(), Packet5::PubAck(ack) if ack.pkid == 5 && ack.reason == PubAckReason::NoMatchingSubscribers)
    );
    assert!(matches!(next(), Packet5::PubAck(ack) if ack.pkid == 6 && ack.reason == PubAckReason::Success));
    let Packet5::SubAck(suback) = next() else { panic!("no SUBACK") };
    let granted = SubscribeReasonCode::Success(rumqttc::v5::mqttbytes::QoS::AtLeastOnce);
    assert_eq!(suback.return_codes, [granted, SubscribeReasonCode::NotAuthorized]);
    let Packet5::UnsubAck(unsuback) = next() else { panic!("no UNSUBACK") };
    assert_eq!(unsuback.reasons, [UnsubAckReason::NoSubscriptionExisted]);
    let Packet5::Disconnect(disconnect) = next() else { panic!("no DISCONNECT") };
    assert_eq!(disconnect.reason_code, DisconnectReasonCode::SessionTakenOver);
    assert_eq!(disconnect.properties.and_then(|properties| properties.reason_string).as_deref(), Some("why"));
    assert!(out.is_empty());
}

#[test]
fn connack_of_version_5_says_what_is_offered() {
    let mut out = BytesMut::new();
    let welcome = Welcome {
        session_present: true,
        session_expiry: Some(60),
        receive_max: 10,
        packet_bytes_max: 5000,
        assigned_client_id: Some("given"),
    };
    write_welcome(&mut out, &welcome);
    let Packet5::ConnAck(connack) = Packet5::read(&mut out, None).expect("a packet") else { panic!("no CONNACK") };
    let properties = connack.properties.expect("some");
    assert!(connack.session_present);
    assert_eq!(properties.session_expiry_interval, Some(60));
    assert_eq!(properties.receive_max, Some(10));
    assert_eq!(properties.max_packet_size, Some(5000));
    assert_eq!(properties.assigned_client_identifier.as_deref(), Some("given"));
    assert_eq!(properties.retain_available, Some(0));
    assert_eq!(properties.subscription_identifiers_available, Some(0));
    assert_eq!(properties.shared_subscription_available, Some(0));
    assert_eq!(
        (properties.max_qos, properties.topic_alias_max, properties.wildcard_subscription_available),
        (None, None, None)
    );
    write_refusal(&mut out, Reason::BadCredentials, "no");
    assert_eq!(&out[..], b"\x20\x08\x00\x86\x05\x1f\x00\x02no");
}

#[test]
fn a_disconnect_has_no_explanation_for_which_there_is_no_room() {
    for (packet_bytes_max, expected) in [(12, &b"\xe0\x0a\x8e\x08\x1f\x00\x05words"[..]), (11, b"\xe0\x01\x8e")] {
        let mut out = BytesMut::new();
        write_disconnect(&mut out, Reason::TakenOver, "words", packet_bytes_max);
        assert_eq!(&out[..], expected);
    }
}

#[test]
fn who_understands_reasons_is_seen_in_broken_packets() {
    assert!(understands_reasons(b"\x10\xff\xff\xff\x7f\x00\x04MQTT\x05"));
    assert!(understands_reasons(b"\x10\x00\x00\x04MQTT\x06\x02"));
    for bytes in [&b"\x10\x00\x00\x04MQTT\x04"[..], b"\x10\x00\x00\x04MQTT", b"\x20\x00\x00\x04MQTT\x05", b""] {
        assert!(!understands_reasons(bytes), "{bytes:?}");
    }
}

proptest! {
    #[test]
    fn the_library_reads_what_is_written(
        topic in "[a-z/]{1,300}",
        payload in prop::collection::vec(any::<u8>(), 0..20_000),
        packet_id in 1_u16..,
        dup in any::<bool>(),
        qos in 0_u8..3,
    ) {
        let qos = rumqttc::mqttbytes::qos(qos).expect("0 to 2");
        let quality = match qos {
            QoS::AtMostOnce => Quality::AtMostOnce,
            qos => Quality::Acknowledged { qos, packet_id, dup },
        };
        let mut out = BytesMut::new();
        let publication = Publication { topic: &topic, payload: &payload, properties: None };
        publication.write(&mut out, quality);
        prop_assert_eq!(out.len(), publication.packet_bytes(quality));
        let Packet::Publish(read) = Packet::read(&mut out, usize::MAX).expect("a packet") else {
            panic!("not a PUBLISH");
        };
        prop_assert!(out.is_empty());
        prop_assert_eq!(read.topic, topic);
        prop_assert_eq!(&read.payload[..], &payload[..]);
        prop_assert_eq!(read.qos, qos);
        prop_assert!(!read.retain);
        if qos != QoS::AtMostOnce {
            prop_assert_eq!((read.pkid, read.dup), (packet_id, dup));
        }
    }

    #[test]
    fn the_library_reads_what_is_written_for_version_5(
        topic in "[a-z/]{1,300}",
        payload in prop::collection::vec(any::<u8>(), 0..300),
        packet_id in 1_u16..,
        expiry in any::<Option<u32>>(),
        key in "[a-z]{0,200}",
        acknowledged in any::<bool>(),
    ) {
        let quality = if acknowledged {
            Quality::Acknowledged { qos: QoS::AtLeastOnce, packet_id, dup: false }
        } else {
            Quality::AtMostOnce
        };
        let mut passed_on = vec![0x26, 0, u8::try_from(key.len()).expect("short")];
        passed_on.extend(key.as_bytes());
        passed_on.extend(b"\x00\x01v");
        let properties = Some(PublishProperties { expiry, passed_on: &passed_on });
        let publication = Publication { topic: &topic, payload: &payload, properties };
        let mut out = BytesMut::new();
        publication.write(&mut out, quality);
        prop_assert_eq!(out.len(), publication.packet_bytes(quality));
        // Our own reader takes it, too.
        let (own, length) = decode(&out, 1024, Version::V5).expect("valid").expect("whole");
        prop_assert_eq!(length, out.len());
        let ClientPacket::Publish(own) = own else { panic!("not a PUBLISH") };
        prop_assert_eq!((&*own.topic, own.expiry), (&*topic, expiry));
        prop_assert_eq!(own.properties.as_deref(), Some(&passed_on[..]));
        prop_assert_eq!(&own.payload[..], &payload[..]);
        let Packet5::Publish(read) = Packet5::read(&mut out, None).expect("a packet") else {
            panic!("not a PUBLISH");
        };
        prop_assert!(out.is_empty());
        prop_assert_eq!(&read.topic[..], topic.as_bytes());
        prop_assert_eq!(&read.payload[..], &payload[..]);
        let properties = read.properties.expect("some");
        prop_assert_eq!(properties.message_expiry_interval, expiry);
        prop_assert_eq!(properties.user_properties, [(key, "v".to_owned())]);
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), version_5 in any::<bool>()) {
        let version = if version_5 { Version::V5 } else { Version::V311 };
        if let Ok(Some((_, consumed))) = decode(&bytes, SIZE_MAX, version) {
            prop_assert!(consumed <= bytes.len());
        }
        let _ = decode_connect(&bytes, SIZE_MAX);
        let _ = understands_reasons(&bytes);
    }

    /// Almost every random packet fails at its first byte, so the header is made to fit.
    #[test]
    fn no_content_makes_it_panic(kind in 3_u8..15, flags in 0_u8..16, body in prop::collection::vec(any::<u8>(), 0..100)) {
        let flags = match kind {
            PUBLISH => flags,
            PUBREL | SUBSCRIBE | UNSUBSCRIBE => 2,
            _ => 0,
        };
        let mut bytes = vec![kind << 4 | flags, u8::try_from(body.len()).expect("short")];
        bytes.extend(body);
        for version in [Version::V311, Version::V5] {
            if let Ok(outcome) = decode(&bytes, SIZE_MAX, version) {
                prop_assert_eq!(outcome.map(|(_, consumed)| consumed), Some(bytes.len()));
            }
        }
    }
}
