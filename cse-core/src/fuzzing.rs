//! What the fuzz targets of `fuzz/` assert about the decoders. Each input they keep is replayed by the tests of this
//! crate, so that what was found once is never found again.
//!
//! Only there with the feature `fuzzing`; no part of the interface.

use crate::codec::{DEPTH_MAX, Root, Serialization};
use crate::primitive::{Request, Response};
use crate::value::{Map, Value};

const ALL: [Serialization; 3] = [Serialization::Json, Serialization::Xml, Serialization::Cbor];

/// Reads bytes as primitive and as content. What is read must be the same tree in every serialization, and what is a
/// request or a response must stay the same one.
///
/// # Panics
/// If it is not so.
pub fn decoder(serialization: Serialization, bytes: &[u8]) {
    let content = serialization.decode_content(bytes);
    let primitive = serialization.decode_primitive(bytes);
    assert_eq!(content.is_ok(), primitive.is_ok(), "content {content:?}, primitive {primitive:?}");
    let (Ok(content), Ok(primitive)) = (content, primitive) else { return };
    assert!(depth(&content) <= DEPTH_MAX, "{content:?}");
    for other in ALL {
        let written = other.encode_content(&content);
        same(other, &written, &content, other.decode_content(&written).ok());
        for wrapped in [false, true] {
            let has_root = wrapped || other == Serialization::Xml;
            if has_root && depth(&primitive.parameters) == DEPTH_MAX {
                continue;
            }
            let written = other.encode_primitive(Root::Request, primitive.parameters.clone(), wrapped);
            let read = other.decode_primitive(&written).ok();
            // Without a root name, what looks like one is taken for it.
            if has_root || !is_wrapper(&primitive.parameters) {
                assert_eq!(read.as_ref().map(|read| read.wrapped), Some(has_root));
                same(other, &written, &primitive.parameters, read.map(|read| read.parameters));
            }
        }
    }
    if let Ok(request) = Request::from_map(primitive.parameters.clone()) {
        let written = request.to_map();
        let again = Request::from_map(written.clone()).map(|request| request.to_map());
        assert_eq!(again.ok().as_ref(), Some(&written), "a request that is not read as it was written");
    }
    if let Ok(response) = Response::from_map(primitive.parameters) {
        let again = Response::from_map(response.to_map());
        assert_eq!(again.ok().as_ref(), Some(&response), "a response that is not read as it was written");
    }
}

fn same(serialization: Serialization, written: &[u8], expected: &Map, read: Option<Map>) {
    assert!(
        read.as_ref() == Some(expected),
        "{serialization:?} {:?} of {expected:?} is read as {read:?}",
        String::from_utf8_lossy(written)
    );
}

/// Levels of nesting, the object included.
fn depth(map: &Map) -> usize {
    1 + map.iter().map(|(_, value)| value.depth()).max().unwrap_or(0)
}

fn is_wrapper(map: &Map) -> bool {
    map.only().is_some_and(|(name, value)| {
        matches!(value, Value::Map(_)) && [Root::Request, Root::Response].iter().any(|root| root.name() == name)
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn replay(serialization: Serialization) {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(serialization.name());
        let mut inputs = 0;
        for entry in std::fs::read_dir(&corpus).expect("the corpus is checked in") {
            let path = entry.expect("a readable directory").path();
            let bytes = std::fs::read(&path).expect("a readable file");
            // The name of the input, if it fails.
            println!("{}", path.display());
            decoder(serialization, &bytes);
            inputs += 1;
        }
        assert!(inputs > 0, "no input in {}", corpus.display());
    }

    #[test]
    fn json_that_was_fuzzed() {
        replay(Serialization::Json);
    }

    #[test]
    fn xml_that_was_fuzzed() {
        replay(Serialization::Xml);
    }

    #[test]
    fn cbor_that_was_fuzzed() {
        replay(Serialization::Cbor);
    }
}
