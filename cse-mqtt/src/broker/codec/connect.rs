//! CONNECT of MQTT 3.1.1 §3.1, with all its rules.

use bytes::Bytes;

use super::Violation;
use crate::broker::filter::is_topic_name;

/// The content of CONNECT. A will is read over: the broker publishes none.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Connect {
    pub(crate) client_id: String,
    pub(crate) clean_session: bool,
    /// In seconds; 0 means that the client may be silent for ever.
    pub(crate) keep_alive: u16,
    pub(crate) username: Option<String>,
    pub(crate) password: Option<Bytes>,
}

pub(super) fn read(body: &[u8]) -> Result<Connect, Violation> {
    let mut fields = Fields(body);
    let name = fields.bytes()?;
    let version = fields.u8()?;
    match (name, version) {
        (b"MQTT", 4) => {}
        (b"MQTT" | b"MQIsdp", version) => return Err(Violation::UnsupportedVersion(version)),
        _ => return Err(Violation::InvalidProtocol),
    }
    let flags = fields.u8()?;
    let (will, will_qos, will_retain) = (flags & 4 != 0, flags >> 3 & 3, flags & 0x20 != 0);
    if flags & 1 != 0 || will_qos == 3 || (!will && (will_qos != 0 || will_retain)) {
        return Err(Violation::ReservedFlags);
    }
    let keep_alive = fields.u16()?;
    let client_id = fields.text()?;
    if will {
        if !is_topic_name(&fields.text()?) {
            return Err(Violation::InvalidTopic);
        }
        fields.bytes()?;
    }
    let username = (flags & 0x80 != 0).then(|| fields.text()).transpose()?;
    let password = (flags & 0x40 != 0).then(|| fields.bytes().map(Bytes::copy_from_slice)).transpose()?;
    if username.is_none() && password.is_some() {
        return Err(Violation::PasswordWithoutUsername);
    }
    if !fields.0.is_empty() {
        return Err(Violation::Malformed);
    }
    Ok(Connect { client_id, clean_session: flags & 2 != 0, keep_alive, username, password })
}

/// The fields of a packet not read yet.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], Violation> {
        let (field, rest) = self.0.split_at_checked(count).ok_or(Violation::Malformed)?;
        self.0 = rest;
        Ok(field)
    }

    fn u8(&mut self) -> Result<u8, Violation> {
        Ok(self.take(1)?[0])
    }

    fn u16(&mut self) -> Result<u16, Violation> {
        let field = self.take(2)?;
        Ok(u16::from_be_bytes([field[0], field[1]]))
    }

    fn bytes(&mut self) -> Result<&'a [u8], Violation> {
        let length = self.u16()?;
        self.take(usize::from(length))
    }

    fn text(&mut self) -> Result<String, Violation> {
        let text = std::str::from_utf8(self.bytes()?).map_err(|_| Violation::Malformed)?;
        if text.contains('\0') {
            return Err(Violation::Malformed);
        }
        Ok(text.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::super::decode_connect;
    use super::*;

    fn connect(flags: u8, rest: &[u8]) -> Result<Connect, Violation> {
        let mut body = b"\x00\x04MQTT\x04".to_vec();
        body.extend([flags, 0, 60]);
        body.extend(rest);
        read(&body)
    }

    #[test]
    fn connect_is_read_exactly() {
        let read = connect(0xc2, b"\x00\x03a/b\x00\x01u\x00\x02\xff\x00").expect("binary passwords are allowed");
        assert_eq!(read.client_id, "a/b");
        assert_eq!(read.username.as_deref(), Some("u"));
        assert_eq!(read.password.as_deref(), Some(&b"\xff\x00"[..]));
        assert!(read.clean_session);
        assert_eq!(read.keep_alive, 60);
        assert!(connect(0x06, b"\x00\x01a\x00\x01w\x00\x02hi").is_ok(), "a will is read over");
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
        assert!(matches!(read(b"\x00\x04MQTT\x05\x02\x00\x00"), Err(Violation::UnsupportedVersion(5))));
        assert!(matches!(read(b"\x00\x06MQIsdp\x03\x02"), Err(Violation::UnsupportedVersion(3))));
        assert!(matches!(read(b"\x00\x04HTTP\x04\x02"), Err(Violation::InvalidProtocol)));
        assert!(matches!(decode_connect(b"GET / HTTP/1.1", 100), Err(Violation::UnexpectedPacket)));
    }
}
