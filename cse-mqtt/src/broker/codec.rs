//! Bytes to packets and back, with every check of MQTT 3.1.1 that can be made on one packet.
//!
//! Framing, PUBLISH, SUBSCRIBE and UNSUBSCRIBE are read by `rumqttc::mqttbytes`. What that leaves open is checked
//! here: fixed header flags, wildcards and NUL in topics, reserved bits, trailing bytes. CONNECT is read here, because
//! the library takes a version 5 CONNECT for a version 4 one and a binary password for an error. PUBLISH is written
//! here, because one message goes to many clients and the library wants its own copy of the topic for each.

use bytes::{BufMut, Bytes, BytesMut};
use rumqttc::QoS;
use rumqttc::mqttbytes::v4::{Publish, Subscribe, Unsubscribe};
use rumqttc::mqttbytes::{Error, FixedHeader, check};

mod connect;

pub(crate) use connect::Connect;

use super::acks::AckKind;
use super::filter::is_topic_name;

/// A packet that only a client sends, after CONNECT.
#[derive(Debug)]
pub(crate) enum ClientPacket {
    Publish(Publish),
    PubAck(u16),
    PubRec(u16),
    PubRel(u16),
    PubComp(u16),
    Subscribe(Subscribe),
    Unsubscribe(Unsubscribe),
    PingReq,
    Disconnect,
}

impl ClientPacket {
    /// Whether it asks for something new, rather than completing what was begun.
    pub(crate) fn is_new_work(&self) -> bool {
        matches!(self, Self::Publish(_) | Self::Subscribe(_) | Self::Unsubscribe(_))
    }
}

/// What a client did wrong, so that the connection must be closed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Violation {
    #[error("packet of {0} bytes is larger than allowed")]
    TooLarge(usize),
    #[error("malformed packet")]
    Malformed,
    #[error("malformed packet: {0}")]
    Codec(#[from] Error),
    #[error("reserved flags are set")]
    ReservedFlags,
    #[error("packet identifier is zero")]
    PacketIdZero,
    #[error("not a packet for a server, or not at this time")]
    UnexpectedPacket,
    #[error("topic name is empty or has a wildcard or NUL")]
    InvalidTopic,
    #[error("topic filter is malformed")]
    InvalidFilter,
    #[error("DUP is set on QoS 0")]
    DupWithoutAck,
    #[error("protocol name is not MQTT")]
    InvalidProtocol,
    #[error("protocol version {0} is not supported")]
    UnsupportedVersion(u8),
    #[error("password without user name")]
    PasswordWithoutUsername,
    #[error("too many QoS 2 messages not released")]
    TooManyUnreleased,
}

/// The first packet of `bytes` and its length, or `None` if it is not complete yet.
pub(crate) fn decode(bytes: &[u8], size_max: usize) -> Result<Option<(ClientPacket, usize)>, Violation> {
    let Some((header, frame)) = frame(bytes, size_max)? else {
        return Ok(None);
    };
    let body = frame_body(frame);
    let (kind, flags) = (frame[0] >> 4, frame[0] & 0x0f);
    if kind != PUBLISH && flags != if matches!(kind, PUBREL | SUBSCRIBE | UNSUBSCRIBE) { 2 } else { 0 } {
        return Err(Violation::ReservedFlags);
    }
    let packet = match kind {
        PUBLISH => ClientPacket::Publish(read_publish(header, frame)?),
        PUBACK => ClientPacket::PubAck(only_packet_id(body)?),
        PUBREC => ClientPacket::PubRec(only_packet_id(body)?),
        PUBREL => ClientPacket::PubRel(only_packet_id(body)?),
        PUBCOMP => ClientPacket::PubComp(only_packet_id(body)?),
        SUBSCRIBE => ClientPacket::Subscribe(read_subscribe(header, frame)?),
        UNSUBSCRIBE => ClientPacket::Unsubscribe(read_unsubscribe(header, frame)?),
        PINGREQ if body.is_empty() => ClientPacket::PingReq,
        DISCONNECT if body.is_empty() => ClientPacket::Disconnect,
        PINGREQ | DISCONNECT => return Err(Violation::Malformed),
        _ => return Err(Violation::UnexpectedPacket),
    };
    Ok(Some((packet, frame.len())))
}

/// The CONNECT at the beginning of `bytes` and its length, or `None` if it is not complete yet.
pub(crate) fn decode_connect(bytes: &[u8], size_max: usize) -> Result<Option<(Connect, usize)>, Violation> {
    if bytes.first().is_some_and(|first| *first != CONNECT << 4) {
        return Err(Violation::UnexpectedPacket);
    }
    let Some((_, frame)) = frame(bytes, size_max)? else {
        return Ok(None);
    };
    Ok(Some((connect::read(frame_body(frame))?, frame.len())))
}

const CONNECT: u8 = 1;
const PUBLISH: u8 = 3;
const PUBACK: u8 = 4;
const PUBREC: u8 = 5;
const PUBREL: u8 = 6;
const PUBCOMP: u8 = 7;
const SUBSCRIBE: u8 = 8;
const UNSUBSCRIBE: u8 = 10;
const PINGREQ: u8 = 12;
const DISCONNECT: u8 = 14;

fn frame(bytes: &[u8], size_max: usize) -> Result<Option<(FixedHeader, &[u8])>, Violation> {
    match check(bytes.iter(), size_max) {
        Ok(header) => Ok(Some((header, bytes.get(..header.frame_length()).ok_or(Violation::Malformed)?))),
        Err(Error::InsufficientBytes(_)) => Ok(None),
        Err(Error::PayloadSizeLimitExceeded(size)) => Err(Violation::TooLarge(size)),
        Err(error) => Err(error.into()),
    }
}

/// What follows the fixed header of a complete frame.
fn frame_body(frame: &[u8]) -> &[u8] {
    let length_bytes = frame.iter().skip(1).take_while(|byte| **byte & 0x80 != 0).count() + 1;
    frame.get(1 + length_bytes..).unwrap_or_default()
}

fn only_packet_id(body: &[u8]) -> Result<u16, Violation> {
    let bytes: [u8; 2] = body.try_into().map_err(|_| Violation::Malformed)?;
    non_zero(u16::from_be_bytes(bytes))
}

fn non_zero(packet_id: u16) -> Result<u16, Violation> {
    if packet_id == 0 { Err(Violation::PacketIdZero) } else { Ok(packet_id) }
}

fn read_publish(header: FixedHeader, frame: &[u8]) -> Result<Publish, Violation> {
    // The copy is of just this packet, so that a message kept for long does not keep a large read buffer alive.
    let publish = Publish::read(header, Bytes::copy_from_slice(frame))?;
    if !is_topic_name(&publish.topic) {
        return Err(Violation::InvalidTopic);
    }
    if publish.dup && publish.qos == QoS::AtMostOnce {
        return Err(Violation::DupWithoutAck);
    }
    Ok(publish)
}

fn read_subscribe(header: FixedHeader, frame: &[u8]) -> Result<Subscribe, Violation> {
    let subscribe = Subscribe::read(header, Bytes::copy_from_slice(frame))?;
    non_zero(subscribe.pkid)?;
    let mut rest = frame_body(frame).get(2..).unwrap_or_default();
    // The library masks the six reserved bits above each QoS.
    for filter in &subscribe.filters {
        let (this, others) = rest.split_at_checked(2 + filter.path.len() + 1).ok_or(Violation::Malformed)?;
        if this.last().is_none_or(|options| options & !3 != 0) {
            return Err(Violation::ReservedFlags);
        }
        rest = others;
    }
    Ok(subscribe)
}

fn read_unsubscribe(header: FixedHeader, frame: &[u8]) -> Result<Unsubscribe, Violation> {
    if frame_body(frame).len() < 4 {
        return Err(Violation::Malformed);
    }
    let unsubscribe = Unsubscribe::read(header, Bytes::copy_from_slice(frame))?;
    non_zero(unsubscribe.pkid)?;
    Ok(unsubscribe)
}

/// How an outgoing PUBLISH is delivered.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Quality {
    AtMostOnce,
    /// QoS 1 or 2.
    Acknowledged {
        qos: QoS,
        packet_id: u16,
        dup: bool,
    },
}

/// Appends a PUBLISH without RETAIN. `topic` is at most 65,535 bytes long.
pub(crate) fn write_publish(out: &mut BytesMut, topic: &str, payload: &[u8], quality: Quality) {
    let (flags, packet_id) = match quality {
        Quality::AtMostOnce => (0, None),
        Quality::Acknowledged { qos, packet_id, dup } => ((qos as u8) << 1 | u8::from(dup) << 3, Some(packet_id)),
    };
    let length = 2 + topic.len() + packet_id.map_or(0, |_| 2) + payload.len();
    out.reserve(5 + length);
    out.put_u8(PUBLISH << 4 | flags);
    write_remaining_length(out, length);
    out.put_u16(u16::try_from(topic.len()).unwrap_or(u16::MAX));
    out.put_slice(topic.as_bytes());
    if let Some(packet_id) = packet_id {
        out.put_u16(packet_id);
    }
    out.put_slice(payload);
}

/// Longest remaining length that MQTT can express.
pub(crate) const REMAINING_LENGTH_MAX: usize = 268_435_455;

fn write_remaining_length(out: &mut BytesMut, mut length: usize) {
    loop {
        let low = (length & 0x7f) as u8;
        length >>= 7;
        if length == 0 {
            out.put_u8(low);
            return;
        }
        out.put_u8(low | 0x80);
    }
}

/// Appends the acknowledgement of a PUBLISH.
pub(crate) fn write_ack(out: &mut BytesMut, packet_id: u16, kind: AckKind) {
    match kind {
        AckKind::PubAck => write_short(out, PUBACK << 4, packet_id),
        AckKind::PubRec => write_short(out, PUBREC << 4, packet_id),
    }
}

pub(crate) fn write_pubrel(out: &mut BytesMut, packet_id: u16) {
    write_short(out, PUBREL << 4 | 2, packet_id);
}

pub(crate) fn write_pubcomp(out: &mut BytesMut, packet_id: u16) {
    write_short(out, PUBCOMP << 4, packet_id);
}

pub(crate) fn write_unsuback(out: &mut BytesMut, packet_id: u16) {
    write_short(out, 11 << 4, packet_id);
}

pub(crate) fn write_pingresp(out: &mut BytesMut) {
    out.put_slice(&[13 << 4, 0]);
}

/// Appends SUBACK with one code for each filter: the granted QoS or 0x80.
pub(crate) fn write_suback(out: &mut BytesMut, packet_id: u16, codes: &[u8]) {
    out.put_u8(9 << 4);
    write_remaining_length(out, 2 + codes.len());
    out.put_u16(packet_id);
    out.put_slice(codes);
}

/// CONNACK with a return code, 0 for success.
pub(crate) fn connack(session_present: bool, code: u8) -> [u8; 4] {
    [2 << 4, 2, u8::from(session_present), code]
}

fn write_short(out: &mut BytesMut, first: u8, packet_id: u16) {
    let [high, low] = packet_id.to_be_bytes();
    out.put_slice(&[first, 2, high, low]);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rumqttc::mqttbytes::v4::Packet;

    use super::*;

    const SIZE_MAX: usize = 1024;

    fn refused(bytes: &[u8]) -> Violation {
        decode(bytes, SIZE_MAX).expect_err("a violation")
    }

    #[test]
    fn publish_topics_are_names() {
        assert!(matches!(refused(b"\x30\x03\x00\x01+"), Violation::InvalidTopic));
        assert!(matches!(refused(b"\x30\x05\x00\x03a/#"), Violation::InvalidTopic));
        assert!(matches!(refused(b"\x30\x02\x00\x00"), Violation::InvalidTopic));
        assert!(matches!(refused(b"\x30\x03\x00\x01\0"), Violation::InvalidTopic));
        assert!(matches!(refused(b"\x30\x03\x00\x01\xff"), Violation::Codec(_)));
        assert!(matches!(refused(b"\x38\x03\x00\x01a"), Violation::DupWithoutAck));
        assert!(matches!(refused(b"\x36\x05\x00\x01a\x00\x01"), Violation::Codec(_)), "QoS 3");
        assert!(matches!(refused(b"\x32\x05\x00\x01a\x00\x00"), Violation::Codec(Error::PacketIdZero)));
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
            assert!(decode(bytes, SIZE_MAX).is_err(), "{bytes:?}");
        }
        assert!(matches!(refused(b"\x30\x81\x08"), Violation::TooLarge(1025)));
        assert!(matches!(refused(b"\x40\x02\x00\x00"), Violation::PacketIdZero));
        assert!(decode(b"\x30\x80", SIZE_MAX).expect("incomplete").is_none());
    }

    #[test]
    fn packets_of_a_server_are_unexpected() {
        for kind in [0, 1, 2, 9, 11, 13, 15] {
            let outcome = decode(&[kind << 4, 0], SIZE_MAX);
            assert!(matches!(outcome, Err(Violation::UnexpectedPacket)), "{kind}: {outcome:?}");
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
            write_publish(&mut out, &topic, &payload, quality);
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
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(Some((_, consumed))) = decode(&bytes, SIZE_MAX) {
                prop_assert!(consumed <= bytes.len());
            }
            let _ = decode_connect(&bytes, SIZE_MAX);
        }
    }
}
