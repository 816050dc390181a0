//! CONNECT of MQTT 3.1.1 §3.1 and MQTT 5 §3.1, with all their rules.

use std::fmt;

use bytes::Bytes;

use super::fields::Fields;
use super::properties::{Properties, Value, id};
use super::{Version, Violation};
use crate::broker::filter::is_topic_name;

/// The content of CONNECT, in the terms of version 5. A will is read over: the broker publishes none.
#[derive(Clone, Eq, PartialEq)]
pub(crate) struct Connect {
    pub(crate) version: Version,
    pub(crate) client_id: String,
    /// Begin with a new session, whatever there is.
    pub(crate) clean_start: bool,
    /// How long the session is to outlive the connection, in seconds; [`Connect::NEVER`]: for ever.
    pub(crate) session_expiry: u32,
    /// In seconds; 0 means that the client may be silent for ever.
    pub(crate) keep_alive: u16,
    pub(crate) username: Option<String>,
    pub(crate) password: Option<Bytes>,
    /// Messages with QoS 1 and 2 that the client takes at a time.
    pub(crate) receive_max: u16,
    /// Largest packet that the client takes, in bytes.
    pub(crate) packet_bytes_max: u32,
}

impl Connect {
    pub(crate) const NEVER: u32 = u32::MAX;
}

/// Without the password.
impl fmt::Debug for Connect {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            version,
            client_id,
            clean_start,
            session_expiry,
            keep_alive,
            username,
            password,
            receive_max,
            packet_bytes_max,
        } = self;
        formatter
            .debug_struct("Connect")
            .field("version", version)
            .field("client_id", client_id)
            .field("clean_start", clean_start)
            .field("session_expiry", session_expiry)
            .field("keep_alive", keep_alive)
            .field("username", username)
            .field("password", &password.as_ref().map(|_| "***"))
            .field("receive_max", receive_max)
            .field("packet_bytes_max", packet_bytes_max)
            .finish()
    }
}

pub(super) fn read(body: &[u8]) -> Result<Connect, Violation> {
    let mut fields = Fields(body);
    let name = fields.bytes()?;
    let version = match (name, fields.u8()?) {
        (b"MQTT", 4) => Version::V311,
        (b"MQTT", 5) => Version::V5,
        (b"MQTT" | b"MQIsdp", version) => return Err(Violation::UnsupportedVersion(version)),
        _ => return Err(Violation::InvalidProtocol),
    };
    let flags = fields.u8()?;
    let (clean, will, will_qos, will_retain) = (flags & 2 != 0, flags & 4 != 0, flags >> 3 & 3, flags & 0x20 != 0);
    let (has_username, has_password) = (flags & 0x80 != 0, flags & 0x40 != 0);
    if flags & 1 != 0 || will_qos == 3 || (!will && (will_qos != 0 || will_retain)) {
        return Err(Violation::ReservedFlags);
    }
    if version == Version::V311 && has_password && !has_username {
        return Err(Violation::PasswordWithoutUsername);
    }
    let keep_alive = fields.u16()?;
    let mut connect = Connect {
        version,
        client_id: String::new(),
        clean_start: clean,
        session_expiry: if version == Version::V5 || clean { 0 } else { Connect::NEVER },
        keep_alive,
        username: None,
        password: None,
        receive_max: u16::MAX,
        packet_bytes_max: u32::MAX,
    };
    let mut authentication_method = false;
    if version == Version::V5 {
        authentication_method = connect.read_properties(&mut fields)?;
    }
    fields.text()?.clone_into(&mut connect.client_id);
    if will {
        if version == Version::V5 {
            Properties::split(&mut fields, OF_WILL)?.skip()?;
        }
        if !is_topic_name(fields.text()?) {
            return Err(Violation::InvalidTopic);
        }
        fields.bytes()?;
    }
    connect.username = has_username.then(|| fields.text().map(str::to_owned)).transpose()?;
    connect.password = has_password.then(|| fields.bytes().map(Bytes::copy_from_slice)).transpose()?;
    fields.end()?;
    if authentication_method {
        return Err(Violation::AuthenticationMethod);
    }
    if version == Version::V5 && will_retain {
        // MQTT 5 §3.2.2.3.5: a server without retained messages must not accept it.
        return Err(Violation::Retained);
    }
    Ok(connect)
}

const OF_CONNECT: &[u8] = &[
    id::SESSION_EXPIRY,
    id::RECEIVE_MAXIMUM,
    id::PACKET_SIZE_MAXIMUM,
    id::TOPIC_ALIAS_MAXIMUM,
    id::RESPONSE_INFORMATION,
    id::PROBLEM_INFORMATION,
    id::USER,
    id::AUTHENTICATION_METHOD,
    id::AUTHENTICATION_DATA,
];

const OF_WILL: &[u8] = &[
    id::WILL_DELAY,
    id::PAYLOAD_FORMAT,
    id::MESSAGE_EXPIRY,
    id::CONTENT_TYPE,
    id::RESPONSE_TOPIC,
    id::CORRELATION_DATA,
    id::USER,
];

impl Connect {
    /// Reads the properties; gives whether they ask for extended authentication.
    ///
    /// Topic aliases are not used, response information is none, and reason strings stand only where they are always
    /// allowed, so those wishes change nothing.
    fn read_properties(&mut self, fields: &mut Fields<'_>) -> Result<bool, Violation> {
        let mut properties = Properties::split(fields, OF_CONNECT)?;
        let (mut method, mut data) = (false, false);
        while let Some(property) = properties.next()? {
            match property {
                (id::SESSION_EXPIRY, Value::Number(seconds)) => self.session_expiry = seconds,
                (id::RECEIVE_MAXIMUM, Value::Number(count)) => {
                    self.receive_max = u16::try_from(count).unwrap_or(u16::MAX);
                }
                (id::PACKET_SIZE_MAXIMUM, Value::Number(bytes)) => self.packet_bytes_max = bytes,
                (id::AUTHENTICATION_METHOD, _) => method = true,
                (id::AUTHENTICATION_DATA, _) => data = true,
                _ => {}
            }
        }
        if data && !method {
            return Err(Violation::PropertyValue(id::AUTHENTICATION_DATA));
        }
        Ok(method)
    }
}

#[cfg(test)]
mod tests {
    use super::super::decode_connect;
    use super::*;

    fn of_version(version: u8, flags: u8, rest: &[u8]) -> Result<Connect, Violation> {
        let mut body = b"\x00\x04MQTT".to_vec();
        body.extend([version, flags, 0, 60]);
        body.extend(rest);
        read(&body)
    }

    fn connect(flags: u8, rest: &[u8]) -> Result<Connect, Violation> {
        of_version(4, flags, rest)
    }

    /// A CONNECT of version 5 with these properties and the client identifier `a`.
    fn with(properties: &[u8]) -> Result<Connect, Violation> {
        let mut rest = vec![u8::try_from(properties.len()).expect("short")];
        rest.extend(properties);
        rest.extend(b"\x00\x01a");
        of_version(5, 2, &rest)
    }

    #[test]
    fn connect_is_read_exactly() {
        let read = connect(0xc2, b"\x00\x03a/b\x00\x01u\x00\x02\xff\x00").expect("binary passwords are allowed");
        assert_eq!(read.client_id, "a/b");
        assert_eq!(read.username.as_deref(), Some("u"));
        assert_eq!(read.password.as_deref(), Some(&b"\xff\x00"[..]));
        assert_eq!((read.clean_start, read.session_expiry), (true, 0));
        assert_eq!(read.keep_alive, 60);
        assert!(connect(0x06, b"\x00\x01a\x00\x01w\x00\x02hi").is_ok(), "a will is read over");
        let kept = connect(0, b"\x00\x01a").expect("valid");
        assert_eq!((kept.clean_start, kept.session_expiry), (false, Connect::NEVER));
    }

    #[test]
    fn a_password_is_not_shown() {
        let read = connect(0xc2, b"\x00\x01c\x00\x04lamp\x00\x06secret").expect("valid");
        let shown = format!("{read:?} {read:#?}");
        assert!(shown.contains("lamp") && shown.contains("***"), "{shown}");
        let bytes = format!("{:?}", b"secret");
        assert!(!shown.contains("secret") && !shown.contains(bytes.trim_matches(['[', ']'])), "{shown}");
    }

    #[test]
    fn connect_violations_are_found() {
        assert!(matches!(connect(0x03, b"\x00\x01a"), Err(Violation::ReservedFlags)));
        assert!(matches!(connect(0x1e, b"\x00\x01a\x00\x01w\x00\x00"), Err(Violation::ReservedFlags)), "will QoS 3");
        assert!(matches!(connect(0x22, b"\x00\x01a"), Err(Violation::ReservedFlags)), "retain without will");
        assert!(matches!(connect(0x42, b"\x00\x01a\x00\x01p"), Err(Violation::PasswordWithoutUsername)));
        assert!(matches!(connect(0x02, b"\x00\x01ab"), Err(Violation::Malformed)), "trailing bytes");
        assert!(matches!(connect(0x02, b"\x00\x01\xff"), Err(Violation::Malformed)), "not UTF-8");
        assert!(matches!(connect(0x02, b"\x00\x01\0"), Err(Violation::Malformed)), "NUL");
        assert!(matches!(connect(0x06, b"\x00\x01a\x00\x01#\x00\x00"), Err(Violation::InvalidTopic)));
        assert!(matches!(read(b"\x00\x04MQTT\x06\x02\x00\x00"), Err(Violation::UnsupportedVersion(6))));
        assert!(matches!(read(b"\x00\x06MQIsdp\x03\x02"), Err(Violation::UnsupportedVersion(3))));
        assert!(matches!(read(b"\x00\x04HTTP\x04\x02"), Err(Violation::InvalidProtocol)));
        assert!(matches!(decode_connect(b"GET / HTTP/1.1", 100), Err(Violation::UnexpectedPacket)));
    }

    #[test]
    fn version_5_has_properties() {
        let plain = with(b"").expect("valid");
        assert_eq!((plain.version, &*plain.client_id), (Version::V5, "a"));
        assert_eq!((plain.session_expiry, plain.receive_max, plain.packet_bytes_max), (0, u16::MAX, u32::MAX));
        let full = with(
            b"\x11\x00\x00\x00\x0a\x21\x00\x05\x27\x00\x00\x01\x00\x22\x00\x0a\x19\x01\x17\x00\x26\x00\x01k\x00\x01v\
              \x26\x00\x01k\x00\x01v",
        )
        .expect("valid");
        assert_eq!((full.session_expiry, full.receive_max, full.packet_bytes_max), (10, 5, 256));
    }

    #[test]
    fn version_5_may_have_a_will_or_a_password_alone() {
        let with_will = b"\x00\x00\x01a\x0c\x18\x00\x00\x00\x05\x02\x00\x00\x00\x01\x01\x01\x00\x01w\x00\x02hi";
        assert!(of_version(5, 0x06, with_will).is_ok());
        assert!(matches!(of_version(5, 0x26, with_will), Err(Violation::Retained)));
        let wrong_will = b"\x00\x00\x01a\x02\x22\x00\x01\x00\x01w\x00\x02hi";
        assert!(matches!(of_version(5, 0x06, wrong_will), Err(Violation::PropertyNotAllowed(_))));
        let read = of_version(5, 0x42, b"\x00\x00\x01a\x00\x01p").expect("a password alone");
        assert_eq!((read.username, read.password.as_deref()), (None, Some(&b"p"[..])));
    }

    #[test]
    fn version_5_violations_are_found() {
        assert!(matches!(with(b"\x21\x00\x00"), Err(Violation::PropertyValue(id::RECEIVE_MAXIMUM))));
        assert!(matches!(with(b"\x27\x00\x00\x00\x00"), Err(Violation::PropertyValue(id::PACKET_SIZE_MAXIMUM))));
        assert!(matches!(with(b"\x17\x02"), Err(Violation::PropertyValue(_))));
        assert!(matches!(with(b"\x19\x02"), Err(Violation::PropertyValue(_))));
        assert!(matches!(with(b"\x17\x01\x17\x01"), Err(Violation::PropertyRepeated(_))));
        assert!(matches!(with(b"\x01\x01"), Err(Violation::PropertyNotAllowed(_))));
        assert!(matches!(with(b"\x15\x00\x01m"), Err(Violation::AuthenticationMethod)));
        assert!(matches!(with(b"\x15\x00\x01m\x16\x00\x01d"), Err(Violation::AuthenticationMethod)));
        assert!(matches!(with(b"\x16\x00\x01d"), Err(Violation::PropertyValue(_))));
        assert!(matches!(of_version(5, 2, b"\x00\x01a"), Err(Violation::Malformed)), "no property length");
    }
}
