//! How a primitive is written: an answer has the serialization of its request, and a root name if that had one.

use bytes::Bytes;
use cse_core::codec::{Root, Serialization};
use cse_core::primitive::{Request, Response};

use crate::legacy::Names;

/// How a primitive is written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Form {
    pub(crate) serialization: Serialization,
    /// Whether `m2m:rqp` or `m2m:rsp` stands around it, which in JSON and CBOR only some clients do.
    pub(crate) wrapped: bool,
    /// How its parameters are named.
    pub(crate) names: Names,
}

impl Form {
    pub(crate) const fn bare(serialization: Serialization) -> Self {
        Self { serialization, wrapped: false, names: Names::Current }
    }

    /// XML is written by tables that know today's names only.
    fn written_names(self) -> Names {
        if self.serialization == Serialization::Xml { Names::Current } else { self.names }
    }

    /// Writes an answer.
    pub(crate) fn answer(self, response: Response) -> Bytes {
        let parameters = self.written_names().write_response(response.into_map());
        Bytes::from(self.serialization.encode_primitive(Root::Response, parameters, self.wrapped))
    }

    /// Writes a request.
    pub(crate) fn request(self, request: &Request) -> Bytes {
        let parameters = self.written_names().write_request(request.to_map());
        Bytes::from(self.serialization.encode_primitive(Root::Request, parameters, self.wrapped))
    }
}

/// What a payload looks like whose topic does not say. The first character tells: `<` begins XML only, `{` and
/// blanks begin JSON only, and a CBOR map begins with neither.
pub(crate) fn appearance(payload: &[u8]) -> Serialization {
    match payload.first() {
        // A map, indefinite ones included, or the tag by which CBOR describes itself.
        Some(0xa0..=0xbf | 0xd9) => Serialization::Cbor,
        _ if payload.strip_prefix(b"\xef\xbb\xbf").unwrap_or(payload).trim_ascii_start().starts_with(b"<") => {
            Serialization::Xml
        }
        _ => Serialization::Json,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_beginning_tells_what_it_is() {
        for (payload, expected) in [
            (&b"{\"rsc\":2000}"[..], Serialization::Json),
            (b" \n{", Serialization::Json),
            (b"", Serialization::Json),
            (b"<m2m:rsp/>", Serialization::Xml),
            (b"\xef\xbb\xbf<?xml version=\"1.0\"?>", Serialization::Xml),
            (b"\r\n <?xml", Serialization::Xml),
            (b"\xa2\x63rsc", Serialization::Cbor),
            (b"\xbf\x63rsc", Serialization::Cbor),
            (b"\xd9\xd9\xf7\xa1", Serialization::Cbor),
        ] {
            assert_eq!(appearance(payload), expected, "{payload:?}");
        }
    }
}
