//! Finds the request identifier in a payload that could not be decoded, so that its sender gets an answer.
//!
//! A search, not a parser: what it finds is used for nothing but the answer to the same sender.

use cse_core::codec::Serialization;

/// How much of a payload is searched, in bytes. Clients write `rqi` among the first parameters.
const SEARCHED_BYTES_MAX: usize = 16 * 1024;
/// Longest identifier that is believed, in bytes.
const IDENTIFIER_BYTES_MAX: usize = 256;

/// The request identifier of a broken or unreadable payload, if one can be found.
pub(crate) fn request_identifier(payload: &[u8], written_as: Option<Serialization>) -> Option<String> {
    let payload = &payload[..payload.len().min(SEARCHED_BYTES_MAX)];
    let found = match written_as {
        Some(Serialization::Json) => in_json(payload),
        Some(Serialization::Xml) => in_xml(payload),
        Some(Serialization::Cbor) => in_cbor(payload),
        None => in_json(payload).or_else(|| in_xml(payload)).or_else(|| in_cbor(payload)),
    }?;
    let text = std::str::from_utf8(found).ok()?;
    let plausible = !text.is_empty() && text.len() <= IDENTIFIER_BYTES_MAX && !text.contains(char::is_control);
    plausible.then(|| text.to_owned())
}

fn after<'a>(payload: &'a [u8], needle: &[u8]) -> Option<&'a [u8]> {
    let at = payload.windows(needle.len()).position(|window| window == needle)?;
    Some(&payload[at + needle.len()..])
}

fn in_json(payload: &[u8]) -> Option<&[u8]> {
    let rest = after(payload, b"\"rqi\"")?.trim_ascii_start().strip_prefix(b":")?.trim_ascii_start();
    match rest.strip_prefix(b"\"") {
        Some(text) => {
            let end = text.iter().position(|byte| *byte == b'"')?;
            // An escape would have to be undone; such identifiers are not worth it.
            (!text[..end].contains(&b'\\')).then(|| &text[..end])
        }
        None => {
            let end = rest.iter().position(|byte| !byte.is_ascii_digit())?;
            Some(&rest[..end])
        }
    }
}

fn in_xml(payload: &[u8]) -> Option<&[u8]> {
    let rest = after(payload, b"<rqi>")?;
    let end = rest.iter().position(|byte| *byte == b'<')?;
    let text = rest[..end].trim_ascii();
    (!text.contains(&b'&')).then_some(text)
}

fn in_cbor(payload: &[u8]) -> Option<&[u8]> {
    // A text key of three characters, then a text value with its length in the header or in one byte.
    let rest = after(payload, b"\x63rqi")?;
    let (&header, rest) = rest.split_first()?;
    match header {
        0x60..=0x77 => rest.get(..usize::from(header - 0x60)),
        0x78 => {
            let (&length, rest) = rest.split_first()?;
            rest.get(..usize::from(length))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn identifiers_are_found_where_they_are_and_only_there() {
        let json = Some(Serialization::Json);
        for (payload, written_as, expected) in [
            (&br#"{"op":1,"rqi":"r-1","to":"#[..], json, Some("r-1")),
            (br#"{"rqi" : "r 1" , "pc": {"m2m"#, json, Some("r 1")),
            (br#"{"rqi":17,"#, json, Some("17")),
            (br#"{"rqi":17"#, json, None),
            (br#"{"rqi":"unfinished"#, json, None),
            (br#"{"rqi":"a\"b""#, json, None),
            (br#"{"rqi":""}"#, json, None),
            (br#"{"rqi":{}"#, json, None),
            (b"<m2m:rqp><op>1</op><rqi> 77 </rqi>", Some(Serialization::Xml), Some("77")),
            (b"<rqi>a&lt;b</rqi>", Some(Serialization::Xml), None),
            (b"\xa2\x62op\x01\x63rqi\x63abc", Some(Serialization::Cbor), Some("abc")),
            (b"\xa1\x63rqi\x78\x03abc", Some(Serialization::Cbor), Some("abc")),
            (b"\xa1\x63rqi\x78\x09abc", Some(Serialization::Cbor), None),
            (b"<rqi>9</rqi>", None, Some("9")),
            (b"", None, None),
            (b"\"rqi\"", None, None),
        ] {
            assert_eq!(request_identifier(payload, written_as).as_deref(), expected, "{payload:?}");
        }
    }

    proptest! {
        #[test]
        fn no_payload_is_too_strange(payload in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = request_identifier(&payload, None);
            let mut payload = payload;
            payload.splice(0..0, *b"\x63rqi");
            let _ = request_identifier(&payload, None);
        }
    }
}
