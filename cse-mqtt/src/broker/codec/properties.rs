//! The properties of MQTT 5 (§2.2.2): each known, allowed in its packet, of the right form, and there once.

use bytes::{Bytes, BytesMut};

use super::Violation;
use super::fields::Fields;
use crate::broker::filter::is_topic_name;

/// Identifiers of the properties that a client may send. Those of a server are not among them, and so are refused.
pub(super) mod id {
    pub(in super::super) const PAYLOAD_FORMAT: u8 = 0x01;
    pub(in super::super) const MESSAGE_EXPIRY: u8 = 0x02;
    pub(in super::super) const CONTENT_TYPE: u8 = 0x03;
    pub(in super::super) const RESPONSE_TOPIC: u8 = 0x08;
    pub(in super::super) const CORRELATION_DATA: u8 = 0x09;
    pub(in super::super) const SUBSCRIPTION_ID: u8 = 0x0b;
    pub(in super::super) const SESSION_EXPIRY: u8 = 0x11;
    pub(in super::super) const ASSIGNED_CLIENT_ID: u8 = 0x12;
    pub(in super::super) const AUTHENTICATION_METHOD: u8 = 0x15;
    pub(in super::super) const AUTHENTICATION_DATA: u8 = 0x16;
    pub(in super::super) const PROBLEM_INFORMATION: u8 = 0x17;
    pub(in super::super) const WILL_DELAY: u8 = 0x18;
    pub(in super::super) const RESPONSE_INFORMATION: u8 = 0x19;
    pub(in super::super) const REASON_STRING: u8 = 0x1f;
    pub(in super::super) const RECEIVE_MAXIMUM: u8 = 0x21;
    pub(in super::super) const TOPIC_ALIAS_MAXIMUM: u8 = 0x22;
    pub(in super::super) const TOPIC_ALIAS: u8 = 0x23;
    pub(in super::super) const RETAIN_AVAILABLE: u8 = 0x25;
    pub(in super::super) const USER: u8 = 0x26;
    pub(in super::super) const PACKET_SIZE_MAXIMUM: u8 = 0x27;
    pub(in super::super) const SUBSCRIPTION_ID_AVAILABLE: u8 = 0x29;
    pub(in super::super) const SHARED_AVAILABLE: u8 = 0x2a;
}

/// The value of a property, as far as somebody looks at it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Value<'a> {
    Number(u32),
    Text(&'a str),
    Bytes(&'a [u8]),
    Pair(&'a str, &'a str),
}

/// The properties of one packet, or of a will, not read yet.
pub(super) struct Properties<'a> {
    fields: Fields<'a>,
    /// One bit for each identifier.
    allowed: u64,
    seen: u64,
}

impl<'a> Properties<'a> {
    /// Takes the properties off the front of `fields`; their identifiers must be among `allowed`.
    pub(super) fn split(fields: &mut Fields<'a>, allowed: &[u8]) -> Result<Self, Violation> {
        let length = usize::try_from(fields.variable()?).map_err(|_| Violation::Malformed)?;
        let own = Fields(fields.take(length)?);
        let allowed = allowed.iter().fold(0, |bits, id| bits | bit(*id));
        Ok(Self { fields: own, allowed, seen: 0 })
    }

    /// The next property, or none if there are no more.
    pub(super) fn next(&mut self) -> Result<Option<(u8, Value<'a>)>, Violation> {
        if self.fields.is_empty() {
            return Ok(None);
        }
        // A variable byte integer, of which all defined ones have one byte.
        let id = self.fields.u8()?;
        if self.allowed & bit(id) == 0 {
            return Err(Violation::PropertyNotAllowed(id));
        }
        if id != id::USER && self.seen & bit(id) != 0 {
            return Err(Violation::PropertyRepeated(id));
        }
        self.seen |= bit(id);
        Ok(Some((id, self.value(id)?)))
    }

    /// Reads all that are left, for packets whose properties change nothing.
    pub(super) fn skip(mut self) -> Result<(), Violation> {
        while self.next()?.is_some() {}
        Ok(())
    }

    fn value(&mut self, id: u8) -> Result<Value<'a>, Violation> {
        let fields = &mut self.fields;
        let value = match id {
            id::PAYLOAD_FORMAT | id::PROBLEM_INFORMATION | id::RESPONSE_INFORMATION => {
                Value::Number(u32::from(fields.u8()?))
            }
            id::RECEIVE_MAXIMUM | id::TOPIC_ALIAS_MAXIMUM | id::TOPIC_ALIAS => Value::Number(u32::from(fields.u16()?)),
            id::MESSAGE_EXPIRY | id::SESSION_EXPIRY | id::WILL_DELAY | id::PACKET_SIZE_MAXIMUM => {
                Value::Number(fields.u32()?)
            }
            id::SUBSCRIPTION_ID => Value::Number(fields.variable()?),
            id::CONTENT_TYPE | id::RESPONSE_TOPIC | id::AUTHENTICATION_METHOD | id::REASON_STRING => {
                Value::Text(fields.text()?)
            }
            id::CORRELATION_DATA | id::AUTHENTICATION_DATA => Value::Bytes(fields.bytes()?),
            id::USER => Value::Pair(fields.text()?, fields.text()?),
            _ => return Err(Violation::PropertyNotAllowed(id)),
        };
        let wrong = match (id, value) {
            (id::PAYLOAD_FORMAT | id::PROBLEM_INFORMATION | id::RESPONSE_INFORMATION, Value::Number(flag)) => flag > 1,
            (id::RECEIVE_MAXIMUM | id::PACKET_SIZE_MAXIMUM | id::SUBSCRIPTION_ID, Value::Number(number)) => number == 0,
            (id::RESPONSE_TOPIC, Value::Text(topic)) => !is_topic_name(topic),
            _ => false,
        };
        if wrong { Err(Violation::PropertyValue(id)) } else { Ok(value) }
    }
}

/// Beyond the 64 identifiers that fit, none is defined and none is ever allowed.
fn bit(id: u8) -> u64 {
    1_u64.checked_shl(u32::from(id)).unwrap_or(0)
}

/// What the properties of a PUBLISH say.
#[derive(Debug, Default, Eq, PartialEq)]
pub(super) struct OfPublish {
    /// In seconds.
    pub(super) expiry: Option<u32>,
    /// Those to be passed on, encoded.
    pub(super) passed_on: Option<Bytes>,
}

/// Reads the properties of a PUBLISH. `fields` are of `packet`, which is kept if anything is to be passed on.
pub(super) fn of_publish(packet: &Bytes, fields: &mut Fields<'_>) -> Result<OfPublish, Violation> {
    const ALLOWED: &[u8] = &[
        id::PAYLOAD_FORMAT,
        id::MESSAGE_EXPIRY,
        id::CONTENT_TYPE,
        id::RESPONSE_TOPIC,
        id::CORRELATION_DATA,
        id::TOPIC_ALIAS,
        id::USER,
    ];
    let mut properties = Properties::split(fields, ALLOWED)?;
    let all = properties.fields.0;
    // Where message expiry stands, which is not passed on as it is.
    let mut expiry = None;
    loop {
        let begin = all.len() - properties.fields.0.len();
        match properties.next()? {
            None => break,
            // CONNACK allows none.
            Some((id::TOPIC_ALIAS, _)) => return Err(Violation::TopicAlias),
            Some((id::MESSAGE_EXPIRY, Value::Number(seconds))) => {
                expiry = Some((seconds, begin, all.len() - properties.fields.0.len()));
            }
            Some(_) => {}
        }
    }
    let passed_on = match expiry {
        None => packet.slice_ref(all),
        Some((_, 0, end)) => packet.slice_ref(&all[end..]),
        Some((_, begin, end)) if end == all.len() => packet.slice_ref(&all[..begin]),
        Some((_, begin, end)) => {
            let mut others = BytesMut::with_capacity(all.len());
            others.extend_from_slice(&all[..begin]);
            others.extend_from_slice(&all[end..]);
            others.freeze()
        }
    };
    Ok(OfPublish {
        expiry: expiry.map(|(seconds, ..)| seconds),
        passed_on: Some(passed_on).filter(|passed_on| !passed_on.is_empty()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn publish(properties: &[u8]) -> Result<OfPublish, Violation> {
        let mut packet = vec![u8::try_from(properties.len()).expect("short")];
        packet.extend(properties);
        packet.extend(b"payload");
        let packet = Bytes::from(packet);
        let mut fields = Fields(&packet);
        let read = of_publish(&packet, &mut fields)?;
        assert_eq!(fields.0, b"payload");
        Ok(read)
    }

    fn passed_on(expiry: Option<u32>, properties: &'static [u8]) -> OfPublish {
        OfPublish { expiry, passed_on: Some(Bytes::from_static(properties)) }
    }

    const FORMAT: &[u8] = b"\x01\x01";
    const EXPIRY: &[u8] = b"\x02\x00\x00\x01\x00";
    const OTHERS: &[u8] = b"\x03\x00\x01t\x08\x00\x01r\x09\x00\x01\xff\x26\x00\x01k\x00\x01v\x26\x00\x01k\x00\x01w";

    #[test]
    fn everything_but_expiry_is_passed_on_as_it_is() {
        assert_eq!(publish(b"").expect("none"), OfPublish::default());
        assert_eq!(publish(EXPIRY).expect("one"), OfPublish { expiry: Some(256), passed_on: None });
        assert_eq!(publish(OTHERS).expect("valid"), passed_on(None, OTHERS));
        assert_eq!(publish(&[EXPIRY, OTHERS].concat()).expect("in front"), passed_on(Some(256), OTHERS));
        assert_eq!(publish(&[OTHERS, EXPIRY].concat()).expect("behind"), passed_on(Some(256), OTHERS));
        let between = publish(&[FORMAT, EXPIRY, OTHERS].concat()).expect("between");
        assert_eq!(between.passed_on.as_deref(), Some(&[FORMAT, OTHERS].concat()[..]));
    }

    #[test]
    fn wrong_properties_are_told_apart() {
        use Violation::{Malformed, PropertyNotAllowed, PropertyRepeated, PropertyValue, TopicAlias};
        let violation = |bytes: &[u8]| publish(bytes).expect_err("a violation");
        assert!(matches!(violation(&[EXPIRY, EXPIRY].concat()), PropertyRepeated(id::MESSAGE_EXPIRY)));
        assert!(matches!(violation(&[FORMAT, FORMAT].concat()), PropertyRepeated(id::PAYLOAD_FORMAT)));
        assert!(matches!(violation(b"\x01\x02"), PropertyValue(id::PAYLOAD_FORMAT)));
        assert!(matches!(violation(b"\x08\x00\x01#"), PropertyValue(id::RESPONSE_TOPIC)));
        assert!(matches!(violation(b"\x08\x00\x00"), PropertyValue(id::RESPONSE_TOPIC)));
        assert!(matches!(violation(b"\x0b\x01"), PropertyNotAllowed(id::SUBSCRIPTION_ID)), "only a server sends it");
        assert!(matches!(violation(b"\x11\x00\x00\x00\x00"), PropertyNotAllowed(id::SESSION_EXPIRY)));
        assert!(matches!(violation(b"\x12\x00\x00"), PropertyNotAllowed(id::ASSIGNED_CLIENT_ID)));
        assert!(matches!(violation(b"\x23\x00\x01"), TopicAlias));
        for unknown in [0x00, 0x04, 0x2b, 0x3f, 0x40, 0x41, 0x66, 0x80, 0xff] {
            assert!(matches!(violation(&[unknown, 0, 0]), PropertyNotAllowed(of) if of == unknown), "{unknown}");
        }
        for cut in [&b"\x01"[..], b"\x02\x00\x00\x01", b"\x03\x00\x02t", b"\x26\x00\x01k", b"\x26\x00\x01k\x00"] {
            assert!(matches!(violation(cut), Malformed), "{cut:?}");
        }
        for not_text in [&b"\x03\x00\x01\xff"[..], b"\x26\x00\x01\0\x00\x00"] {
            assert!(matches!(violation(not_text), Malformed), "{not_text:?}");
        }
    }

    #[test]
    fn properties_end_within_their_packet() {
        assert!(matches!(Properties::split(&mut Fields(b"\x03\x01\x01"), &[1]), Err(Violation::Malformed)));
        assert!(matches!(Properties::split(&mut Fields(b"\x80\x00"), &[1]), Err(Violation::Malformed)));
        assert!(matches!(Properties::split(&mut Fields(b""), &[1]), Err(Violation::Malformed)));
    }
}
