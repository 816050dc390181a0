//! Packets of clients, one by one.

use bytes::BytesMut;
use rumqttc::QoS;
use rumqttc::mqttbytes::v4;
use rumqttc::v5::mqttbytes::v5;

use crate::broker::codec::{
    ClientPacket, Publication, Publish, PublishProperties, Quality, Version, decode, decode_connect,
    understands_reasons,
};

const BYTES_MAX: usize = 1 << 16;

/// Reads bytes as CONNECT, and as packets after it; the first byte says of which version. A packet is read only when
/// it is there to its end, a PUBLISH is what it is when it is written again, and the library of others reads it alike.
///
/// # Panics
/// If it is not so.
pub fn packets(bytes: &[u8]) {
    let Some((first, bytes)) = bytes.split_first() else { return };
    let version = if first & 1 == 0 { Version::V311 } else { Version::V5 };
    if let Ok(Some((connect, length))) = decode_connect(bytes, BYTES_MAX) {
        assert!(length <= bytes.len());
        assert!(connect.version == Version::V311 || understands_reasons(bytes));
        for cut in cuts(length) {
            let outcome = decode_connect(&bytes[..cut], BYTES_MAX);
            assert!(matches!(outcome, Ok(None)), "{cut} of {length} bytes: {outcome:?}");
        }
    }
    let mut rest = bytes;
    while let Ok(Some((packet, length))) = decode(rest, BYTES_MAX, version) {
        assert!((2..=rest.len()).contains(&length), "{length}");
        for cut in cuts(length) {
            let outcome = decode(&rest[..cut], BYTES_MAX, version);
            assert!(matches!(outcome, Ok(None)), "{cut} of {length} bytes: {outcome:?}");
        }
        match packet {
            ClientPacket::Publish(publish) => written_again(&publish, &rest[..length], version),
            ClientPacket::PubAck { packet_id, .. }
            | ClientPacket::PubRec { packet_id, .. }
            | ClientPacket::PubRel(packet_id)
            | ClientPacket::PubComp(packet_id) => assert_ne!(packet_id, 0),
            ClientPacket::Subscribe(subscribe) => {
                assert_ne!(subscribe.packet_id, 0);
                assert!(!subscribe.filters.is_empty());
            }
            ClientPacket::Unsubscribe { packet_id, filters } => {
                assert_ne!(packet_id, 0);
                assert!(!filters.is_empty());
            }
            ClientPacket::PingReq | ClientPacket::Disconnect { .. } => {}
        }
        rest = &rest[length..];
    }
}

/// Where to cut a packet: within its fixed header, before its middle, and before its last byte.
fn cuts(length: usize) -> impl Iterator<Item = usize> {
    [0, 1, 2, 3, 4, length / 2, length - 1].into_iter().filter(move |cut| *cut < length)
}

fn written_again(publish: &Publish, packet: &[u8], version: Version) {
    let properties = match version {
        Version::V311 => None,
        Version::V5 => Some(PublishProperties {
            expiry: publish.expiry,
            passed_on: publish.properties.as_deref().unwrap_or_default(),
        }),
    };
    let quality = match publish.qos {
        QoS::AtMostOnce => Quality::AtMostOnce,
        qos => Quality::Acknowledged { qos, packet_id: publish.packet_id, dup: publish.dup },
    };
    let publication = Publication { topic: &publish.topic, payload: &publish.payload, properties };
    let mut written = BytesMut::new();
    publication.write(&mut written, quality);
    assert_eq!(written.len(), publication.packet_bytes(quality));
    let read = decode(&written, BYTES_MAX, version);
    let Ok(Some((ClientPacket::Publish(read), length))) = read else { panic!("{read:?}") };
    assert_eq!(length, written.len());
    assert_eq!((&read.topic, &read.payload, read.expiry), (&publish.topic, &publish.payload, publish.expiry));
    assert_eq!(
        (read.qos, read.dup, read.packet_id, read.properties),
        (publish.qos, publish.dup, publish.packet_id, publish.properties.clone())
    );
    let mut packet = BytesMut::from(packet);
    match version {
        Version::V311 => {
            let Ok(v4::Packet::Publish(other)) = v4::Packet::read(&mut packet, usize::MAX) else {
                panic!("not a PUBLISH to the library")
            };
            assert_eq!((&*other.topic, &other.payload), (&*publish.topic, &publish.payload));
            assert_eq!((other.qos, other.dup, other.pkid), (publish.qos, publish.dup, publish.packet_id));
        }
        Version::V5 => {
            let Ok(v5::Packet::Publish(other)) = v5::Packet::read(&mut packet, None) else {
                panic!("not a PUBLISH to the library")
            };
            assert_eq!((&other.topic[..], &other.payload), (publish.topic.as_bytes(), &publish.payload));
            assert_eq!((other.qos as u8, other.dup, other.pkid), (publish.qos as u8, publish.dup, publish.packet_id));
            let expiry = other.properties.and_then(|properties| properties.message_expiry_interval);
            assert_eq!(expiry, publish.expiry);
        }
    }
}
