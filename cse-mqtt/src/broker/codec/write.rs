//! Packets for clients.
//!
//! PUBLISH is written from the parts of a message, because one message goes to many clients.

use bytes::{BufMut, BytesMut};
use rumqttc::QoS;

use super::properties::id;
use super::{
    CONNACK, DISCONNECT, PINGRESP, PUBACK, PUBCOMP, PUBLISH, PUBREC, PUBREL, Reason, SUBACK, UNSUBACK, Version,
};
use crate::broker::acks::AckKind;

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

/// The parts of an outgoing PUBLISH without RETAIN.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Publication<'a> {
    /// At most 65,535 bytes long.
    pub(crate) topic: &'a str,
    pub(crate) payload: &'a [u8],
    /// None for version 3.1.1, which has none.
    pub(crate) properties: Option<PublishProperties<'a>>,
}

/// The properties of an outgoing PUBLISH.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PublishProperties<'a> {
    /// What is left of the message's time, in seconds.
    pub(crate) expiry: Option<u32>,
    /// Those that came with it, encoded.
    pub(crate) passed_on: &'a [u8],
}

impl PublishProperties<'_> {
    fn length(&self) -> usize {
        self.expiry.map_or(0, |_| 5) + self.passed_on.len()
    }
}

impl Publication<'_> {
    fn remaining_length(&self, quality: Quality) -> usize {
        let packet_id = if quality == Quality::AtMostOnce { 0 } else { 2 };
        let properties = self.properties.map_or(0, |properties| {
            let length = properties.length();
            variable_length(length) + length
        });
        2 + self.topic.len() + packet_id + properties + self.payload.len()
    }

    /// Length of the packet in bytes.
    pub(crate) fn packet_bytes(&self, quality: Quality) -> usize {
        packet_bytes(self.remaining_length(quality))
    }

    /// Appends the packet.
    pub(crate) fn write(&self, out: &mut BytesMut, quality: Quality) {
        let (flags, packet_id) = match quality {
            Quality::AtMostOnce => (0, None),
            Quality::Acknowledged { qos, packet_id, dup } => ((qos as u8) << 1 | u8::from(dup) << 3, Some(packet_id)),
        };
        let length = self.remaining_length(quality);
        out.reserve(5 + length);
        out.put_u8(PUBLISH << 4 | flags);
        write_variable(out, length);
        write_text(out, self.topic);
        if let Some(packet_id) = packet_id {
            out.put_u16(packet_id);
        }
        if let Some(properties) = self.properties {
            write_variable(out, properties.length());
            if let Some(seconds) = properties.expiry {
                out.put_u8(id::MESSAGE_EXPIRY);
                out.put_u32(seconds);
            }
            out.put_slice(properties.passed_on);
        }
        out.put_slice(self.payload);
    }
}

/// Length of a packet with this remaining length, in bytes.
pub(crate) fn packet_bytes(remaining_length: usize) -> usize {
    1 + variable_length(remaining_length) + remaining_length
}

fn variable_length(value: usize) -> usize {
    match value {
        0..0x80 => 1,
        0x80..0x4000 => 2,
        0x4000..0x20_0000 => 3,
        _ => 4,
    }
}

fn write_variable(out: &mut BytesMut, mut value: usize) {
    loop {
        let low = (value & 0x7f) as u8;
        value >>= 7;
        if value == 0 {
            out.put_u8(low);
            return;
        }
        out.put_u8(low | 0x80);
    }
}

fn write_text(out: &mut BytesMut, text: &str) {
    out.put_u16(u16::try_from(text.len()).unwrap_or(u16::MAX));
    out.put_slice(text.as_bytes());
}

/// Appends the acknowledgement of a PUBLISH. Version 3.1.1 has no reasons.
pub(crate) fn write_ack(out: &mut BytesMut, version: Version, packet_id: u16, kind: AckKind, reason: Reason) {
    let kind = match kind {
        AckKind::PubAck => PUBACK,
        AckKind::PubRec => PUBREC,
    };
    write_short(out, version, kind << 4, packet_id, reason);
}

pub(crate) fn write_pubrel(out: &mut BytesMut, version: Version, packet_id: u16, reason: Reason) {
    write_short(out, version, PUBREL << 4 | 2, packet_id, reason);
}

pub(crate) fn write_pubcomp(out: &mut BytesMut, version: Version, packet_id: u16, reason: Reason) {
    write_short(out, version, PUBCOMP << 4, packet_id, reason);
}

fn write_short(out: &mut BytesMut, version: Version, first: u8, packet_id: u16, reason: Reason) {
    let [high, low] = packet_id.to_be_bytes();
    if version == Version::V311 || reason == Reason::Success {
        out.put_slice(&[first, 2, high, low]);
    } else {
        out.put_slice(&[first, 3, high, low, reason as u8]);
    }
}

/// Appends SUBACK with one code for each filter.
pub(crate) fn write_suback(out: &mut BytesMut, version: Version, packet_id: u16, codes: &[u8]) {
    write_codes(out, version, SUBACK, packet_id, codes);
}

/// Appends UNSUBACK; in version 5 with one code for each filter.
pub(crate) fn write_unsuback(out: &mut BytesMut, version: Version, packet_id: u16, codes: &[u8]) {
    let codes = if version == Version::V5 { codes } else { &[] };
    write_codes(out, version, UNSUBACK, packet_id, codes);
}

fn write_codes(out: &mut BytesMut, version: Version, kind: u8, packet_id: u16, codes: &[u8]) {
    out.put_u8(kind << 4);
    write_variable(out, 2 + usize::from(version == Version::V5) + codes.len());
    out.put_u16(packet_id);
    if version == Version::V5 {
        out.put_u8(0);
    }
    out.put_slice(codes);
}

pub(crate) fn write_pingresp(out: &mut BytesMut) {
    out.put_slice(&[PINGRESP << 4, 0]);
}

/// CONNACK of version 3.1.1 with a return code, 0 for success.
pub(crate) fn connack_v311(session_present: bool, code: u8) -> [u8; 4] {
    [CONNACK << 4, 2, u8::from(session_present), code]
}

/// What the successful CONNACK of version 5 says.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Welcome<'a> {
    pub(crate) session_present: bool,
    /// In seconds, if it is not what the client wished for.
    pub(crate) session_expiry: Option<u32>,
    /// PUBLISH packets with QoS 1 and 2 that the broker takes at a time.
    pub(crate) receive_max: u16,
    /// Largest packet that the broker takes, in bytes.
    pub(crate) packet_bytes_max: u32,
    /// The client identifier, if the client left it to the broker.
    pub(crate) assigned_client_id: Option<&'a str>,
}

/// Appends the successful CONNACK of version 5.
pub(crate) fn write_welcome(out: &mut BytesMut, welcome: &Welcome<'_>) {
    let mut properties = BytesMut::new();
    if let Some(seconds) = welcome.session_expiry {
        properties.put_u8(id::SESSION_EXPIRY);
        properties.put_u32(seconds);
    }
    properties.put_u8(id::RECEIVE_MAXIMUM);
    properties.put_u16(welcome.receive_max);
    properties.put_u8(id::PACKET_SIZE_MAXIMUM);
    properties.put_u32(welcome.packet_bytes_max);
    if let Some(client_id) = welcome.assigned_client_id {
        properties.put_u8(id::ASSIGNED_CLIENT_ID);
        write_text(&mut properties, client_id);
    }
    properties.put_slice(&[id::RETAIN_AVAILABLE, 0, id::SUBSCRIPTION_ID_AVAILABLE, 0, id::SHARED_AVAILABLE, 0]);
    out.put_u8(CONNACK << 4);
    write_variable(out, 2 + variable_length(properties.len()) + properties.len());
    out.put_slice(&[u8::from(welcome.session_present), Reason::Success as u8]);
    write_variable(out, properties.len());
    out.put_slice(&properties);
}

/// Appends the CONNACK of version 5 that refuses a client.
pub(crate) fn write_refusal(out: &mut BytesMut, reason: Reason, explanation: &str) {
    let properties = explanation_length(explanation);
    out.put_u8(CONNACK << 4);
    write_variable(out, 2 + variable_length(properties) + properties);
    out.put_slice(&[0, reason as u8]);
    write_explanation(out, explanation);
}

/// Appends DISCONNECT, which only version 5 sends to clients. `explanation` is left out if the packet were longer than
/// `packet_bytes_max` with it.
pub(crate) fn write_disconnect(out: &mut BytesMut, reason: Reason, explanation: &str, packet_bytes_max: usize) {
    let properties = explanation_length(explanation);
    let length = 1 + variable_length(properties) + properties;
    if packet_bytes(length) > packet_bytes_max {
        out.put_slice(&[DISCONNECT << 4, 1, reason as u8]);
        return;
    }
    out.put_u8(DISCONNECT << 4);
    write_variable(out, length);
    out.put_u8(reason as u8);
    write_explanation(out, explanation);
}

/// Properties with nothing but a reason string.
fn write_explanation(out: &mut BytesMut, text: &str) {
    write_variable(out, explanation_length(text));
    out.put_u8(id::REASON_STRING);
    write_text(out, text);
}

fn explanation_length(text: &str) -> usize {
    3 + text.len()
}
