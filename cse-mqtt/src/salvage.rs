//! Finds the request identifier in a payload that could not be decoded, so that its sender gets an answer.
//!
//! A search, not a parser: what it finds is used for nothing but the answer to the same sender.

use cse_core::codec::Serialization;

/// How much of a payload is searched, in bytes. Clients write `rqi` among the first parameters.
const SEARCHED_BYTES_MAX: usize = 16 * 1024;
/// Longest identifier that is believed, in bytes.
const IDENTIFIER_BYTES_MAX: usize = 256;

/// The request identifier of a broken or unreadable payload, if one can be found: first as the topic says that it is written,
/// then in the other ways, since the topic may be what is wrong.
pub(crate) fn request_identifier(payload: &[u8], written_as: Option<Serialization>) -> Option<String> {
    let payload = &payload[..payload.len().min(SEARCHED_BYTES_MAX)];
    let all = [Serialization::Json, Serialization::Xml, Serialization::Cbor];
    written_as.into_iter().chain(all).find_map(|serialization| {
        let found = match serialization {
            Serialization::Json => in_json(payload),
            Serialization::Xml => in_xml(payload),
            Serialization::Cbor => in_cbor(payload),
        }?;
        let text = std::str::from_utf8(found).ok()?;
        let plausible = !text.is_empty() && text.len() <= IDENTIFIER_BYTES_MAX && !text.contains(char::is_control);
        plausible.then(|| text.to_owned())
    })
}

/// Whether a broken payload begins as a primitive below its root name does.
pub(crate) fn is_wrapped(payload: &[u8], written_as: Serialization) -> bool {
    match written_as {
        Serialization::Json => {
            let inner = payload.trim_ascii_start().strip_prefix(b"{").map(<[u8]>::trim_ascii_start);
            inner.is_some_and(|inner| inner.starts_with(b"\"m2m:rqp\""))
        }
        // Written so without being asked.
        Serialization::Xml => true,
        // A map of one member or of unknown length, then a key of seven characters.
        Serialization::Cbor => {
            [&b"\xa1\x67m2m:rqp"[..], b"\xbf\x67m2m:rqp"].iter().any(|start| payload.starts_with(start))
        }
    }
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
    // With any prefix, which some clients write where none belongs.
    let rest = after(payload, b"<rqi>").or_else(|| after(payload, b":rqi>"))?;
    let end = rest.iter().position(|byte| *byte == b'<')?;
    let text = rest[..end].trim_ascii();
    (!text.contains(&b'&')).then_some(text)
}

fn in_cbor(payload: &[u8]) -> Option<&[u8]> {
    // A key of three characters or bytes, then a value of either kind with its length in the header or in one byte.
    let rest = after(payload, b"\x63rqi").or_else(|| after(payload, b"\x43rqi"))?;
    let (&header, rest) = rest.split_first()?;
    match header {
        0x40..=0x57 | 0x60..=0x77 => rest.get(..usize::from(header & 0x1f)),
        0x58 | 0x78 => {
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
            (b"<m2m:rqi>77</m2m:rqi>", Some(Serialization::Xml), Some("77")),
            (b"<rqi>a&lt;b</rqi>", Some(Serialization::Xml), None),
            (b"<rqi>9</rqi>", json, Some("9")),
            (br#"{"rqi":"9"}"#, Some(Serialization::Cbor), Some("9")),
            (b"\xa2\x62op\x01\x63rqi\x63abc", Some(Serialization::Cbor), Some("abc")),
            (b"\xa1\x63rqi\x78\x03abc", Some(Serialization::Cbor), Some("abc")),
            (b"\xa1\x63rqi\x78\x09abc", Some(Serialization::Cbor), None),
            (b"\xa1\x43rqi\x43abc", Some(Serialization::Cbor), Some("abc")),
            (b"\xa1\x63rqi\x58\x03abc", Some(Serialization::Cbor), Some("abc")),
            (b"<rqi>9</rqi>", None, Some("9")),
            (b"", None, None),
            (b"\"rqi\"", None, None),
        ] {
            assert_eq!(request_identifier(payload, written_as).as_deref(), expected, "{payload:?}");
        }
    }

    #[test]
    fn root_names_are_noticed() {
        use Serialization::{Cbor, Json, Xml};
        for (payload, written_as, expected) in [
            (&b"{\"m2m:rqp\":{\"op\":"[..], Json, true),
            (b" { \"m2m:rqp\" : {", Json, true),
            (b"{\"op\":1,\"pc\":{\"m2m:rqp\"", Json, false),
            (b"\xa1\x67m2m:rqp\xa5", Cbor, true),
            (b"\xbf\x67m2m:rqp\xbf", Cbor, true),
            (b"\xa2\x62op\x01\x63rqi", Cbor, false),
            (b"<m2m:rqp><op>", Xml, true),
        ] {
            assert_eq!(is_wrapped(payload, written_as), expected, "{payload:?}");
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
