//! JSON (TS-0004 §8.4): what the tree is, as it is.

use super::DEPTH_MAX;
use crate::error::Error;
use crate::value::{Map, Value};

/// Reads one object.
pub(super) fn decode(bytes: &[u8]) -> Result<Map, Error> {
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
    fn what_is_no_object_is_refused() {
        for text in ["", "7", "[]", "{", "{\"a\":1}x", "\u{0}"] {
            assert!(decode(text.as_bytes()).is_err(), "{text}");
        }
    }
}
