//! The data types of MQTT 5 §1.5 (those of 3.1.1 are among them), read from untrusted bytes.

use super::Violation;

/// The fields of a packet, or of a part of it, not read yet.
#[derive(Clone, Copy)]
pub(super) struct Fields<'a>(pub(super) &'a [u8]);

impl<'a> Fields<'a> {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn take(&mut self, count: usize) -> Result<&'a [u8], Violation> {
        let (field, rest) = self.0.split_at_checked(count).ok_or(Violation::Malformed)?;
        self.0 = rest;
        Ok(field)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Violation> {
        let (field, rest) = self.0.split_first_chunk().ok_or(Violation::Malformed)?;
        self.0 = rest;
        Ok(*field)
    }

    pub(super) fn u8(&mut self) -> Result<u8, Violation> {
        self.array().map(|[byte]| byte)
    }

    pub(super) fn u16(&mut self) -> Result<u16, Violation> {
        self.array().map(u16::from_be_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, Violation> {
        self.array().map(u32::from_be_bytes)
    }

    pub(super) fn packet_id(&mut self) -> Result<u16, Violation> {
        match self.u16()? {
            0 => Err(Violation::PacketIdZero),
            packet_id => Ok(packet_id),
        }
    }

    /// A variable byte integer of at most four bytes.
    pub(super) fn variable_padded(&mut self) -> Result<u32, Violation> {
        let mut value = 0;
        for at in 0..4 {
            let byte = self.u8()?;
            value |= u32::from(byte & 0x7f) << (7 * at);
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Violation::Malformed)
    }

    /// As [`Fields::variable_padded`], with no more bytes than needed, which version 5 demands.
    pub(super) fn variable(&mut self) -> Result<u32, Violation> {
        let before = self.0;
        let value = self.variable_padded()?;
        let taken = before.len() - self.0.len();
        if taken > 1 && before[taken - 1] == 0 { Err(Violation::Malformed) } else { Ok(value) }
    }

    pub(super) fn bytes(&mut self) -> Result<&'a [u8], Violation> {
        let length = self.u16()?;
        self.take(usize::from(length))
    }

    pub(super) fn text(&mut self) -> Result<&'a str, Violation> {
        let text = std::str::from_utf8(self.bytes()?).map_err(|_| Violation::Malformed)?;
        if text.contains('\0') {
            return Err(Violation::Malformed);
        }
        Ok(text)
    }

    /// Nothing may be left.
    pub(super) fn end(self) -> Result<(), Violation> {
        if self.is_empty() { Ok(()) } else { Err(Violation::Malformed) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variable_byte_integers_have_one_form() {
        let read = |bytes: &[u8]| Fields(bytes).variable().ok();
        assert_eq!(read(&[0]), Some(0));
        assert_eq!(read(&[0x7f]), Some(127));
        assert_eq!(read(&[0x80, 1]), Some(128));
        assert_eq!(read(&[0xff, 0xff, 0xff, 0x7f]), Some(268_435_455));
        assert_eq!(Fields(&[0x85, 0x80, 0]).variable_padded().ok(), Some(5));
        for bytes in [&[][..], &[0x80], &[0x80, 0], &[0x80, 0x80, 0x80, 0x80, 1], &[0xff, 0xff, 0xff, 0xff]] {
            assert_eq!(read(bytes), None, "{bytes:?}");
        }
    }

    #[test]
    fn text_is_utf_8_without_nul() {
        let read = |bytes: &'static [u8]| Fields(bytes).text().ok();
        assert_eq!(read(b"\x00\x03a\xc3\xa9"), Some("aé"));
        assert_eq!(read(b"\x00\x00"), Some(""));
        for bytes in [&b"\x00\x01\xff"[..], b"\x00\x01\0", b"\x00\x03\xed\xa0\x80", b"\x00\x02a", b"\x00"] {
            assert_eq!(read(bytes), None, "{bytes:?}");
        }
    }
}
