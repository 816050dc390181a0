//! The packets that a client exchanges with a broker, in MQTT 3.1.1 and MQTT 5: bytes here, meaning everywhere else.
//!
//! Only what this client needs, so that the rest of the link need not know which version is spoken. Whatever the
//! broker sends is bounded: a message that is larger than allowed is passed over without being kept.

use std::sync::Arc;

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::options::ProtocolVersion;

/// Packet identifier of SUBSCRIBE. Messages use those below.
pub(super) const SUBSCRIBE_ID: u16 = u16::MAX;
/// Fixed header with the longest length.
const FIXED_HEADER_BYTES_MAX: usize = 5;

/// What a client says of itself in CONNECT.
pub(super) struct Hello<'a> {
    pub(super) client_id: &'a str,
    /// Whether the broker is to forget what it has kept.
    pub(super) clean: bool,
    /// Seconds; 0 for any silence.
    pub(super) keep_alive: u16,
    pub(super) login: Option<(&'a str, &'a str)>,
    /// Seconds that the session outlives the connection (MQTT 5).
    pub(super) session_expiry: u32,
    /// Messages that may wait for our acknowledgement (MQTT 5).
    pub(super) receive_maximum: u16,
    /// Largest packet that we take (MQTT 5).
    pub(super) packet_bytes_max: u32,
}

/// The broker's terms, from CONNACK. Version 3.1.1 has none.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Terms {
    pub(super) receive_maximum: Option<u16>,
    pub(super) packet_bytes_max: Option<u32>,
    pub(super) keep_alive: Option<u16>,
}

/// A code by which the broker says what it did, and its words for it, if any.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Reason {
    pub(super) code: u8,
    pub(super) text: String,
}

impl std::fmt::Display for Reason {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{} ({:#04x})", meaning(self.code), self.code)?;
        if self.text.is_empty() { Ok(()) } else { write!(formatter, ": {}", self.text.escape_debug()) }
    }
}

/// A message from the broker.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Arriving {
    pub(super) topic: Arc<str>,
    pub(super) payload: Bytes,
    /// With QoS 1.
    pub(super) packet_id: Option<u16>,
    pub(super) duplicate: bool,
    pub(super) retained: bool,
}

/// A packet from the broker.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Packet {
    /// CONNACK of success.
    Welcome { session_present: bool, terms: Terms },
    /// CONNACK of failure.
    Unwelcome(Reason),
    /// PUBLISH.
    Message(Arriving),
    /// PUBLISH with more bytes than allowed; its payload is not kept.
    TooLarge { topic: Arc<str>, packet_id: Option<u16>, bytes: usize },
    /// PUBACK.
    Acknowledged { packet_id: u16, reason: Reason },
    /// SUBACK: a code for each filter.
    Subscribed { codes: Vec<u8>, text: String },
    /// PINGRESP.
    Alive,
    /// DISCONNECT (MQTT 5).
    Leaving(Reason),
}

/// Why bytes are no packet that a broker may send.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the broker does not keep to MQTT: {0}")]
pub(super) struct Malformed(&'static str);

/// Reads and writes packets of one version.
pub(super) struct Wire {
    version: ProtocolVersion,
    packet_bytes_max: usize,
    /// Bytes of a packet that are still to come and are not kept.
    skip: usize,
}

impl Wire {
    pub(super) fn new(version: ProtocolVersion, packet_bytes_max: usize) -> Self {
        Self { version, packet_bytes_max, skip: 0 }
    }

    fn has_properties(&self) -> bool {
        self.version == ProtocolVersion::V5
    }

    // === reading ===

    /// Takes the next packet out of what has come, if it is complete.
    pub(super) fn read(&mut self, input: &mut BytesMut) -> Result<Option<Packet>, Malformed> {
        if self.skip > 0 {
            let here = self.skip.min(input.len());
            input.advance(here);
            self.skip -= here;
            if self.skip > 0 {
                return Ok(None);
            }
        }
        let Some((first, header_bytes, remaining)) = fixed_header(input)? else { return Ok(None) };
        let total = header_bytes + remaining;
        if total > self.packet_bytes_max {
            if first >> 4 != 3 {
                return Err(Malformed("a packet is too large"));
            }
            return self.pass_over(input, first, header_bytes, total);
        }
        if input.len() < total {
            input.reserve(total - input.len());
            return Ok(None);
        }
        let mut body = input.split_to(total).freeze();
        body.advance(header_bytes);
        self.packet(first, body).map(Some)
    }

    /// Reads of a message only what is needed to acknowledge it.
    fn pass_over(
        &mut self,
        input: &mut BytesMut,
        first: u8,
        header_bytes: usize,
        total: usize,
    ) -> Result<Option<Packet>, Malformed> {
        let Some(start) = input.get(header_bytes..header_bytes + 2) else { return Ok(None) };
        let topic_bytes = start.iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
        let needed = header_bytes + 2 + topic_bytes + 2;
        if needed > total {
            return Err(Malformed("a PUBLISH is shorter than its topic"));
        }
        if input.len() < needed {
            return Ok(None);
        }
        let mut head = Bytes::copy_from_slice(&input[header_bytes..needed]);
        let here = total.min(input.len());
        input.advance(here);
        self.skip = total - here;
        let topic = text(&mut head)?;
        let packet_id = message_id(first, &mut head)?;
        Ok(Some(Packet::TooLarge { topic, packet_id, bytes: total }))
    }

    fn packet(&self, first: u8, mut body: Bytes) -> Result<Packet, Malformed> {
        let body = &mut body;
        match first >> 4 {
            2 => {
                let session_present = byte(body)? & 1 == 1;
                let code = byte(body)?;
                let properties = self.properties(body)?;
                if code == 0 {
                    return Ok(Packet::Welcome { session_present, terms: properties.terms });
                }
                // Version 3.1.1 has codes of its own for the same reasons; 5 is not in use for them.
                let code = if code < 0x80 { of_version_3(code) } else { code };
                Ok(Packet::Unwelcome(Reason { code, text: properties.reason }))
            }
            3 => {
                let topic = text(body)?;
                let packet_id = message_id(first, body)?;
                self.properties(body)?;
                if topic.is_empty() {
                    return Err(Malformed("a message without topic"));
                }
                let (duplicate, retained) = (first & 0b1000 != 0, first & 1 != 0);
                Ok(Packet::Message(Arriving { topic, payload: body.clone(), packet_id, duplicate, retained }))
            }
            4 => {
                let packet_id = number(body)?;
                // Success may be left out, and so may the properties.
                let code = if self.has_properties() && body.has_remaining() { byte(body)? } else { 0 };
                let text = if body.has_remaining() { self.properties(body)?.reason } else { String::new() };
                Ok(Packet::Acknowledged { packet_id, reason: Reason { code, text } })
            }
            9 => {
                number(body)?;
                let text = self.properties(body)?.reason;
                Ok(Packet::Subscribed { codes: body.to_vec(), text })
            }
            13 => Ok(Packet::Alive),
            14 if self.has_properties() => {
                let code = if body.has_remaining() { byte(body)? } else { 0 };
                let text = if body.has_remaining() { self.properties(body)?.reason } else { String::new() };
                Ok(Packet::Leaving(Reason { code, text }))
            }
            _ => Err(Malformed("a packet that no broker sends to this client")),
        }
    }

    fn properties(&self, body: &mut Bytes) -> Result<Properties, Malformed> {
        if !self.has_properties() {
            return Ok(Properties::default());
        }
        let length = variable(body)?;
        if length > body.len() {
            return Err(Malformed("properties are longer than their packet"));
        }
        Properties::read(&mut body.split_to(length))
    }

    // === writing ===

    pub(super) fn connect(&self, hello: &Hello<'_>, output: &mut BytesMut) -> Result<(), Malformed> {
        let level = if self.has_properties() { 5 } else { 4 };
        let mut body = BytesMut::new();
        put_text(&mut body, "MQTT")?;
        body.put_u8(level);
        let login = if hello.login.is_some() { 0b1100_0000 } else { 0 };
        body.put_u8(login | u8::from(hello.clean) << 1);
        body.put_u16(hello.keep_alive);
        if self.has_properties() {
            let mut properties = BytesMut::new();
            properties.put_u8(0x11);
            properties.put_u32(hello.session_expiry);
            properties.put_u8(0x21);
            properties.put_u16(hello.receive_maximum);
            properties.put_u8(0x27);
            properties.put_u32(hello.packet_bytes_max);
            put_variable(&mut body, properties.len());
            body.put(properties);
        }
        put_text(&mut body, hello.client_id)?;
        if let Some((username, password)) = hello.login {
            put_text(&mut body, username)?;
            put_text(&mut body, password)?;
        }
        put_packet(output, 0x10, &body);
        Ok(())
    }

    /// A message with QoS 1; `expiry` in seconds is told where the version can.
    pub(super) fn publish(
        &self,
        topic: &str,
        payload: &[u8],
        packet_id: u16,
        duplicate: bool,
        expiry: Option<u32>,
        output: &mut BytesMut,
    ) {
        let expiry = expiry.filter(|_| self.has_properties());
        let properties = if expiry.is_some() { 5 } else { 0 };
        let length = 2 + topic.len() + 2 + payload.len() + if self.has_properties() { 1 + properties } else { 0 };
        output.reserve(FIXED_HEADER_BYTES_MAX + length);
        output.put_u8(0x32 | u8::from(duplicate) << 3);
        put_variable(output, length);
        // Longer topics are refused when they are given to the link.
        output.put_u16(u16::try_from(topic.len()).unwrap_or(u16::MAX));
        output.put_slice(topic.as_bytes());
        output.put_u16(packet_id);
        if self.has_properties() {
            put_variable(output, properties);
            if let Some(expiry) = expiry {
                output.put_u8(0x02);
                output.put_u32(expiry);
            }
        }
        output.put_slice(payload);
    }

    pub(super) fn acknowledge(&self, packet_id: u16, output: &mut BytesMut) {
        output.put_slice(&[0x40, 2]);
        output.put_u16(packet_id);
    }

    /// Asks for messages with QoS 1 on all these filters.
    pub(super) fn subscribe(&self, filters: &[String], output: &mut BytesMut) -> Result<(), Malformed> {
        let mut body = BytesMut::new();
        body.put_u16(SUBSCRIBE_ID);
        if self.has_properties() {
            body.put_u8(0);
        }
        for filter in filters {
            put_text(&mut body, filter)?;
            body.put_u8(1);
        }
        put_packet(output, 0x82, &body);
        Ok(())
    }

    pub(super) fn ping(&self, output: &mut BytesMut) {
        output.put_slice(&[0xc0, 0]);
    }

    pub(super) fn disconnect(&self, output: &mut BytesMut) {
        output.put_slice(&[0xe0, 0]);
    }
}

/// What we read of properties; the others, user properties among them, mean nothing to a CSE.
#[derive(Default)]
struct Properties {
    terms: Terms,
    reason: String,
}

impl Properties {
    fn read(bytes: &mut Bytes) -> Result<Self, Malformed> {
        let mut properties = Self::default();
        while bytes.has_remaining() {
            match variable(bytes)? {
                0x01 | 0x17 | 0x19 | 0x24 | 0x25 | 0x28 | 0x29 | 0x2a => drop(byte(bytes)?),
                0x13 => properties.terms.keep_alive = Some(number(bytes)?),
                0x21 => properties.terms.receive_maximum = Some(number(bytes)?),
                0x22 | 0x23 => drop(number(bytes)?),
                0x27 => properties.terms.packet_bytes_max = Some(long(bytes)?),
                0x02 | 0x11 | 0x18 => drop(long(bytes)?),
                0x0b => drop(variable(bytes)?),
                0x1f => properties.reason = text(bytes)?.to_string(),
                0x03 | 0x08 | 0x09 | 0x12 | 0x15 | 0x16 | 0x1a | 0x1c => drop(binary(bytes)?),
                0x26 => drop((binary(bytes)?, binary(bytes)?)),
                _ => return Err(Malformed("an unknown property")),
            }
        }
        if properties.terms.receive_maximum == Some(0) || properties.terms.packet_bytes_max == Some(0) {
            return Err(Malformed("a bound of zero"));
        }
        Ok(properties)
    }
}

/// First byte, length of the header, remaining length.
fn fixed_header(input: &[u8]) -> Result<Option<(u8, usize, usize)>, Malformed> {
    let Some((first, rest)) = input.split_first() else { return Ok(None) };
    // At once, so that nobody waits for the rest of something that is not MQTT.
    if first >> 4 != 3 && !matches!(first, 0x20 | 0x40 | 0x90 | 0xd0 | 0xe0) {
        return Err(Malformed("a packet that no broker sends to this client"));
    }
    let mut remaining = 0;
    for (index, byte) in rest.iter().take(4).enumerate() {
        remaining |= usize::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Ok(Some((*first, index + 2, remaining)));
        }
    }
    if rest.len() >= 4 { Err(Malformed("a length without end")) } else { Ok(None) }
}

fn message_id(first: u8, body: &mut Bytes) -> Result<Option<u16>, Malformed> {
    match first >> 1 & 3 {
        0 => Ok(None),
        1 => match number(body)? {
            0 => Err(Malformed("packet identifier 0")),
            packet_id => Ok(Some(packet_id)),
        },
        // Nothing here is subscribed to with more than QoS 1.
        _ => Err(Malformed("a message with more than QoS 1")),
    }
}

fn byte(body: &mut Bytes) -> Result<u8, Malformed> {
    body.try_get_u8().map_err(|_| Malformed("a packet ends early"))
}

fn number(body: &mut Bytes) -> Result<u16, Malformed> {
    body.try_get_u16().map_err(|_| Malformed("a packet ends early"))
}

fn long(body: &mut Bytes) -> Result<u32, Malformed> {
    body.try_get_u32().map_err(|_| Malformed("a packet ends early"))
}

fn variable(body: &mut Bytes) -> Result<usize, Malformed> {
    let mut value = 0;
    for index in 0..4 {
        let byte = byte(body)?;
        value |= usize::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(Malformed("a length without end"))
}

fn binary(body: &mut Bytes) -> Result<Bytes, Malformed> {
    let length = usize::from(number(body)?);
    if length > body.len() {
        return Err(Malformed("a packet ends early"));
    }
    Ok(body.split_to(length))
}

fn text(body: &mut Bytes) -> Result<Arc<str>, Malformed> {
    let bytes = binary(body)?;
    std::str::from_utf8(&bytes).map(Arc::from).map_err(|_| Malformed("text that is not UTF-8"))
}

fn put_text(body: &mut BytesMut, text: &str) -> Result<(), Malformed> {
    body.put_u16(u16::try_from(text.len()).map_err(|_| Malformed("a text of ours is too long for it"))?);
    body.put_slice(text.as_bytes());
    Ok(())
}

fn put_variable(body: &mut BytesMut, mut value: usize) {
    loop {
        let byte = (value & 0x7f) as u8;
        value >>= 7;
        body.put_u8(byte | if value > 0 { 0x80 } else { 0 });
        if value == 0 {
            return;
        }
    }
}

fn put_packet(output: &mut BytesMut, first: u8, body: &[u8]) {
    output.put_u8(first);
    put_variable(output, body.len());
    output.put_slice(body);
}

/// The code that MQTT 5 has for a CONNACK code of 3.1.1.
fn of_version_3(code: u8) -> u8 {
    match code {
        1 => 0x84,
        2 => 0x85,
        3 => 0x88,
        4 => 0x86,
        5 => 0x87,
        _ => 0x80,
    }
}

/// Reason codes in words.
fn meaning(code: u8) -> &'static str {
    match code {
        0x00 => "success",
        0x10 => "nobody is subscribed",
        0x81 => "malformed packet",
        0x82 => "protocol error",
        0x83 => "implementation specific error",
        0x84 => "protocol version not supported",
        0x85 => "client identifier not accepted",
        0x86 => "bad user name or password",
        0x87 => "not authorized",
        0x88 => "server unavailable",
        0x89 => "server busy",
        0x8a => "banned",
        0x8b => "server shutting down",
        0x8c => "bad authentication method",
        0x8d => "keep alive timeout",
        0x8e => "session taken over by another client",
        0x8f => "topic filter invalid",
        0x90 => "topic name invalid",
        0x91 => "packet identifier in use",
        0x93 => "receive maximum exceeded",
        0x95 => "packet too large",
        0x96 => "message rate too high",
        0x97 => "quota exceeded",
        0x98 => "administrative action",
        0x99 => "payload format invalid",
        0x9a => "retained messages not supported",
        0x9b => "quality of service not supported",
        0x9c => "use another server",
        0x9d => "server moved",
        0x9e => "shared subscriptions not supported",
        0x9f => "connection rate exceeded",
        0xa0 => "maximum connect time",
        0xa1 => "subscription identifiers not supported",
        0xa2 => "wildcard subscriptions not supported",
        _ => "unspecified error",
    }
}

#[cfg(test)]
mod tests;
