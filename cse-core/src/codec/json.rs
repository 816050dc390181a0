//! JSON (TS-0004 §8.4): what the tree is, as it is.

use super::DEPTH_MAX;
use crate::error::Error;
use crate::value::{Map, Value};

/// What some writers put before UTF-8; it may be ignored (RFC 8259 §8.1).
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Reads one object.
pub(super) fn decode(bytes: &[u8]) -> Result<Map, Error> {
    let bytes = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes);
    match serde_json::from_slice::<Value>(bytes) {
        Ok(Value::Map(map)) => {
            if map.iter().any(|(_, value)| value.depth() >= DEPTH_MAX) {
                return Err(Error::NotAPrimitive(format!("nested deeper than {DEPTH_MAX} levels")));
            }
            Ok(map)
        }
        Ok(other) => Err(Error::NotAPrimitive(format!("expected a JSON object, found {}", other.kind_name()))),
        Err(error) => Err(Error::NotAPrimitive(format!("invalid JSON: {error}"))),
    }
}

/// Writes one object.
pub(super) fn encode(map: &Map) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(512);
    // Writing to memory cannot fail, and the keys are strings.
    if serde_json::to_writer(&mut bytes, map).is_err() {
        bytes.clear();
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_is_bounded() {
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(100), "]".repeat(100));
        assert!(matches!(decode(deep.as_bytes()), Err(Error::NotAPrimitive(_))));
        let fine = format!("{{\"a\":{}{}}}", "[".repeat(20), "]".repeat(20));
        assert!(decode(fine.as_bytes()).is_ok());
    }

    #[test]
    fn a_byte_order_mark_is_passed_over() {
        let expected = Map::single("a", 1_i64);
        assert_eq!(decode(b"\xef\xbb\xbf{\"a\":1}").ok(), Some(expected));
        assert!(decode(b"\xef\xbb\xbf\xef\xbb\xbf{}").is_err());
    }

    #[test]
    fn what_is_no_object_is_refused() {
        for text in ["", "7", "[]", "{", "{\"a\":1}x", "\u{0}"] {
            assert!(decode(text.as_bytes()).is_err(), "{text}");
        }
    }
}
