//! Bytes to packets and back for MQTT 3.1.1 and 5, with every check that can be made on one packet.
//!
//! Packets of both versions become the same [`ClientPacket`]s, in the terms of version 5: 3.1.1 is the case without
//! properties and reasons. They are read here and not by a library, because a broker must find what is wrong and say
//! it, and the codecs at hand read like clients: `rumqttc`'s for version 5 takes repeated properties and any reason
//! code, does not hold properties to their announced length, and refuses a DISCONNECT without a reason, which is
//! valid. The tests use it for comparison.

use std::sync::Arc;

use bytes::Bytes;
use rumqttc::QoS;

mod connect;
mod fields;
mod properties;
mod reason;
mod write;

pub(crate) use connect::Connect;
pub(crate) use reason::Reason;
pub(crate) use write::{
    Publication, PublishProperties, Quality, Welcome, connack_v311, packet_bytes, write_ack, write_disconnect,
    write_pingresp, write_pubcomp, write_pubrel, write_refusal, write_suback, write_unsuback, write_welcome,
};

use super::filter::is_topic_name;
use fields::Fields;
use properties::{Properties, Value, id};

/// A version of the protocol.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Version {
    /// 3.1.1
    V311,
    /// 5.0
    V5,
}

/// A packet that only a client sends, after CONNECT.
#[derive(Debug)]
pub(crate) enum ClientPacket<'a> {
    Publish(Publish),
    /// `refused`: the client could not take the message.
    PubAck {
        packet_id: u16,
        refused: bool,
    },
    PubRec {
        packet_id: u16,
        refused: bool,
    },
    PubRel(u16),
    PubComp(u16),
    Subscribe(Subscribe<'a>),
    Unsubscribe {
        packet_id: u16,
        filters: Vec<&'a str>,
    },
    PingReq,
    /// With a new expiry of the session, in seconds.
    Disconnect {
        session_expiry: Option<u32>,
    },
}

/// A message from a client.
#[derive(Debug)]
pub(crate) struct Publish {
    pub(crate) dup: bool,
    pub(crate) qos: QoS,
    pub(crate) retain: bool,
    pub(crate) topic: Arc<str>,
    /// 0 with QoS 0.
    pub(crate) packet_id: u16,
    /// In seconds.
    pub(crate) expiry: Option<u32>,
    /// Properties to be passed on, encoded.
    pub(crate) properties: Option<Bytes>,
    pub(crate) payload: Bytes,
}

/// A request for subscriptions.
#[derive(Debug)]
pub(crate) struct Subscribe<'a> {
    pub(crate) packet_id: u16,
    /// Whether it wants its messages marked with a subscription identifier.
    pub(crate) identified: bool,
    pub(crate) filters: Vec<SubscribeFilter<'a>>,
}

/// One filter of a SUBSCRIBE.
///
/// What it says about retained messages is checked and left out: there are none.
#[derive(Debug)]
pub(crate) struct SubscribeFilter<'a> {
    pub(crate) filter: &'a str,
    pub(crate) qos: QoS,
    pub(crate) no_local: bool,
}

impl ClientPacket<'_> {
    /// Whether it asks for something new, rather than completing what was begun.
    pub(crate) fn is_new_work(&self) -> bool {
        matches!(self, Self::Publish(_) | Self::Subscribe(_) | Self::Unsubscribe { .. })
    }
}

/// What a client did wrong, so that the connection must be closed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Violation {
    #[error("packet of {0} bytes is larger than allowed")]
    TooLarge(usize),
    #[error("the answer would be larger than the client allows")]
    AnswerTooLarge,
    #[error("malformed packet")]
    Malformed,
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
    #[error("more unacknowledged messages than the receive maximum")]
    ReceiveMaximum,
    #[error("property {0:#04x} is unknown, or not allowed in this packet")]
    PropertyNotAllowed(u8),
    #[error("property {0:#04x} is there more than once")]
    PropertyRepeated(u8),
    #[error("property {0:#04x} has a value that is not allowed")]
    PropertyValue(u8),
    #[error("topic aliases are not offered")]
    TopicAlias,
    #[error("retained messages are not offered")]
    Retained,
    #[error("extended authentication is not offered")]
    AuthenticationMethod,
    #[error("subscription options are not allowed")]
    SubscriptionOptions,
    #[error("reason code {0:#04x} is not allowed in this packet")]
    ReasonCode(u8),
    #[error("a session expiry after CONNECT had none")]
    ExpiryAfterNone,
}

const CONNECT: u8 = 1;
const CONNACK: u8 = 2;
const PUBLISH: u8 = 3;
const PUBACK: u8 = 4;
const PUBREC: u8 = 5;
const PUBREL: u8 = 6;
const PUBCOMP: u8 = 7;
const SUBSCRIBE: u8 = 8;
const SUBACK: u8 = 9;
const UNSUBSCRIBE: u8 = 10;
const UNSUBACK: u8 = 11;
const PINGREQ: u8 = 12;
const PINGRESP: u8 = 13;
const DISCONNECT: u8 = 14;

/// Longest remaining length that MQTT can express.
pub(crate) const REMAINING_LENGTH_MAX: usize = 268_435_455;

/// The first packet of `bytes` and its length, or `None` if it is not complete yet. `size_max` bounds its remaining
/// length.
pub(crate) fn decode(
    bytes: &[u8],
    size_max: usize,
    version: Version,
) -> Result<Option<(ClientPacket<'_>, usize)>, Violation> {
    let Some(Frame { first, body, length }) = frame(bytes, size_max)? else {
        return Ok(None);
    };
    if version == Version::V5 && length != packet_bytes(body.len()) {
        return Err(Violation::Malformed);
    }
    let (kind, flags) = (first >> 4, first & 0x0f);
    if kind != PUBLISH && flags != if matches!(kind, PUBREL | SUBSCRIBE | UNSUBSCRIBE) { 2 } else { 0 } {
        return Err(Violation::ReservedFlags);
    }
    let fields = Fields(body);
    let packet = match kind {
        PUBLISH => ClientPacket::Publish(read_publish(flags, body, version)?),
        PUBACK => {
            let (packet_id, refused) = read_acknowledgement(fields, version, reason::OF_RECEIPT)?;
            ClientPacket::PubAck { packet_id, refused }
        }
        PUBREC => {
            let (packet_id, refused) = read_acknowledgement(fields, version, reason::OF_RECEIPT)?;
            ClientPacket::PubRec { packet_id, refused }
        }
        PUBREL => ClientPacket::PubRel(read_acknowledgement(fields, version, reason::OF_RELEASE)?.0),
        PUBCOMP => ClientPacket::PubComp(read_acknowledgement(fields, version, reason::OF_RELEASE)?.0),
        SUBSCRIBE => ClientPacket::Subscribe(read_subscribe(fields, version)?),
        UNSUBSCRIBE => read_unsubscribe(fields, version)?,
        PINGREQ => {
            fields.end()?;
            ClientPacket::PingReq
        }
        DISCONNECT => ClientPacket::Disconnect { session_expiry: read_disconnect(fields, version)? },
        _ => return Err(Violation::UnexpectedPacket),
    };
    Ok(Some((packet, length)))
}

/// The CONNECT at the beginning of `bytes` and its length, or `None` if it is not complete yet.
pub(crate) fn decode_connect(bytes: &[u8], size_max: usize) -> Result<Option<(Connect, usize)>, Violation> {
    if bytes.first().is_some_and(|first| *first != CONNECT << 4) {
        return Err(Violation::UnexpectedPacket);
    }
    let Some(Frame { body, length, .. }) = frame(bytes, size_max)? else {
        return Ok(None);
    };
    Ok(Some((connect::read(body)?, length)))
}

/// Whether `bytes` begin like a CONNECT of version 5 or later, whose sender understands reasons. For bytes that could
/// not be read as one.
pub(crate) fn understands_reasons(bytes: &[u8]) -> bool {
    let mut fields = Fields(bytes);
    fields.u8().is_ok_and(|first| first == CONNECT << 4)
        && fields.variable_padded().is_ok()
        && fields.bytes().is_ok_and(|name| name == b"MQTT")
        && fields.u8().is_ok_and(|version| version >= 5)
}

struct Frame<'a> {
    /// Packet type and flags.
    first: u8,
    /// What follows the fixed header.
    body: &'a [u8],
    /// Length of the packet.
    length: usize,
}

fn frame(bytes: &[u8], size_max: usize) -> Result<Option<Frame<'_>>, Violation> {
    let Some((first, rest)) = bytes.split_first() else {
        return Ok(None);
    };
    let mut fields = Fields(rest);
    let remaining = match fields.variable_padded() {
        Ok(remaining) => usize::try_from(remaining).map_err(|_| Violation::Malformed)?,
        // Four bytes would have been enough for any length.
        Err(_) if rest.len() < 4 && rest.iter().all(|byte| byte & 0x80 != 0) => return Ok(None),
        Err(violation) => return Err(violation),
    };
    if remaining > size_max {
        return Err(Violation::TooLarge(remaining));
    }
    let header = bytes.len() - fields.0.len();
    let length = header + remaining;
    Ok(bytes.get(header..length).map(|body| Frame { first: *first, body, length }))
}

fn read_publish(flags: u8, body: &[u8], version: Version) -> Result<Publish, Violation> {
    let (dup, retain) = (flags & 8 != 0, flags & 1 != 0);
    let qos = read_qos(flags >> 1 & 3).ok_or(Violation::Malformed)?;
    if dup && qos == QoS::AtMostOnce {
        return Err(Violation::DupWithoutAck);
    }
    // The copy is of just this packet, so that a message kept for long does not keep a large read buffer alive.
    let packet = Bytes::copy_from_slice(body);
    let mut fields = Fields(&packet);
    let topic = fields.text()?;
    let packet_id = if qos == QoS::AtMostOnce { 0 } else { fields.packet_id()? };
    let properties = match version {
        Version::V311 => properties::OfPublish::default(),
        Version::V5 => properties::of_publish(&packet, &mut fields)?,
    };
    if !is_topic_name(topic) {
        return Err(Violation::InvalidTopic);
    }
    Ok(Publish {
        dup,
        qos,
        retain,
        topic: topic.into(),
        packet_id,
        expiry: properties.expiry,
        properties: properties.passed_on,
        payload: packet.slice_ref(fields.0),
    })
}

fn read_qos(bits: u8) -> Option<QoS> {
    match bits {
        0 => Some(QoS::AtMostOnce),
        1 => Some(QoS::AtLeastOnce),
        2 => Some(QoS::ExactlyOnce),
        _ => None,
    }
}

/// The packet identifier, and whether the reason, which must be among `allowed`, says that something failed.
fn read_acknowledgement(mut fields: Fields<'_>, version: Version, allowed: &[u8]) -> Result<(u16, bool), Violation> {
    let packet_id = fields.packet_id()?;
    if version == Version::V311 {
        fields.end()?;
        return Ok((packet_id, false));
    }
    let code = read_reason(&mut fields, allowed)?;
    if !fields.is_empty() {
        Properties::split(&mut fields, &[id::REASON_STRING, id::USER])?.skip()?;
    }
    fields.end()?;
    Ok((packet_id, reason::is_failure(code)))
}

/// The reason code, which may be left out if it is 0.
fn read_reason(fields: &mut Fields<'_>, allowed: &[u8]) -> Result<u8, Violation> {
    let code = if fields.is_empty() { 0 } else { fields.u8()? };
    if allowed.contains(&code) { Ok(code) } else { Err(Violation::ReasonCode(code)) }
}

fn read_subscribe(mut fields: Fields<'_>, version: Version) -> Result<Subscribe<'_>, Violation> {
    let packet_id = fields.packet_id()?;
    let mut identified = false;
    if version == Version::V5 {
        let mut properties = Properties::split(&mut fields, &[id::SUBSCRIPTION_ID, id::USER])?;
        while let Some((id, _)) = properties.next()? {
            identified |= id == id::SUBSCRIPTION_ID;
        }
    }
    let mut filters = Vec::new();
    while !fields.is_empty() {
        let filter = fields.text()?;
        let options = fields.u8()?;
        let reserved = if version == Version::V5 { 0xc0 } else { 0xfc };
        if options & reserved != 0 {
            return Err(Violation::ReservedFlags);
        }
        let qos = read_qos(options & 3).ok_or(Violation::SubscriptionOptions)?;
        if options >> 4 == 3 {
            return Err(Violation::SubscriptionOptions);
        }
        filters.push(SubscribeFilter { filter, qos, no_local: options & 4 != 0 });
    }
    if filters.is_empty() {
        return Err(Violation::Malformed);
    }
    Ok(Subscribe { packet_id, identified, filters })
}

fn read_unsubscribe(mut fields: Fields<'_>, version: Version) -> Result<ClientPacket<'_>, Violation> {
    let packet_id = fields.packet_id()?;
    if version == Version::V5 {
        Properties::split(&mut fields, &[id::USER])?.skip()?;
    }
    let mut filters = Vec::new();
    while !fields.is_empty() {
        filters.push(fields.text()?);
    }
    if filters.is_empty() {
        return Err(Violation::Malformed);
    }
    Ok(ClientPacket::Unsubscribe { packet_id, filters })
}

/// The new expiry of the session, if there is one.
fn read_disconnect(mut fields: Fields<'_>, version: Version) -> Result<Option<u32>, Violation> {
    let mut expiry = None;
    if version == Version::V5 {
        // Which reason it is makes no difference: wills, which one of them asks for, are not published.
        read_reason(&mut fields, reason::OF_DISCONNECT)?;
        if !fields.is_empty() {
            let allowed = &[id::SESSION_EXPIRY, id::REASON_STRING, id::USER];
            let mut properties = Properties::split(&mut fields, allowed)?;
            while let Some(property) = properties.next()? {
                if let (id::SESSION_EXPIRY, Value::Number(seconds)) = property {
                    expiry = Some(seconds);
                }
            }
        }
    }
    fields.end()?;
    Ok(expiry)
}

#[cfg(test)]
mod tests;
