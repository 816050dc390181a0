//! Media types of TS-0009 §6.4.3.

use std::fmt;

use cse_core::codec::Serialization;
use cse_core::error::Error;
use http::HeaderMap;
use http::header::{CONTENT_TYPE, HeaderValue};

/// What a body is, next to how it is written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Payload {
    /// `application/json`: the content of a primitive.
    Content,
    /// `application/vnd.onem2m-res+json`: the content, a resource representation.
    Resource,
    /// `application/vnd.onem2m-ntfy+json`: the content, a notification.
    Notification,
    /// `application/vnd.onem2m-preq+json`: a whole request primitive.
    RequestPrimitive,
    /// `application/vnd.onem2m-prsp+json`: a whole response primitive.
    ResponsePrimitive,
}

/// A media type that TS-0009 knows.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct MediaType {
    pub(crate) payload: Payload,
    pub(crate) serialization: Serialization,
}

impl MediaType {
    /// `application/json`, the answer where nothing else is wanted.
    pub(crate) const DEFAULT: MediaType = MediaType::content(Serialization::Json);

    pub(crate) const fn content(serialization: Serialization) -> Self {
        Self { payload: Payload::Content, serialization }
    }

    /// The media type of that name, without parameters; letters may be in upper case.
    pub(crate) fn parse(essence: &str) -> Option<Self> {
        let (top, name) = essence.split_at_checked("application/".len())?;
        if !top.eq_ignore_ascii_case("application/") {
            return None;
        }
        let serialization = |name: &str| {
            [Serialization::Json, Serialization::Xml, Serialization::Cbor]
                .into_iter()
                .find(|known| name.eq_ignore_ascii_case(known.name()))
        };
        let Some((kind, suffix)) = name.split_once('+') else {
            return serialization(name).map(Self::content);
        };
        let payload = match kind.to_ascii_lowercase().as_str() {
            "vnd.onem2m-res" => Payload::Resource,
            "vnd.onem2m-ntfy" => Payload::Notification,
            "vnd.onem2m-preq" => Payload::RequestPrimitive,
            "vnd.onem2m-prsp" => Payload::ResponsePrimitive,
            _ => return None,
        };
        Some(Self { payload, serialization: serialization(suffix)? })
    }

    /// The name as it goes on the wire.
    pub(crate) fn header_value(self) -> HeaderValue {
        use Payload::{Content, Notification, RequestPrimitive, Resource, ResponsePrimitive};
        use Serialization::{Cbor, Json, Xml};
        HeaderValue::from_static(match (self.payload, self.serialization) {
            (Content, Json) => "application/json",
            (Content, Xml) => "application/xml",
            (Content, Cbor) => "application/cbor",
            (Resource, Json) => "application/vnd.onem2m-res+json",
            (Resource, Xml) => "application/vnd.onem2m-res+xml",
            (Resource, Cbor) => "application/vnd.onem2m-res+cbor",
            (Notification, Json) => "application/vnd.onem2m-ntfy+json",
            (Notification, Xml) => "application/vnd.onem2m-ntfy+xml",
            (Notification, Cbor) => "application/vnd.onem2m-ntfy+cbor",
            (RequestPrimitive, Json) => "application/vnd.onem2m-preq+json",
            (RequestPrimitive, Xml) => "application/vnd.onem2m-preq+xml",
            (RequestPrimitive, Cbor) => "application/vnd.onem2m-preq+cbor",
            (ResponsePrimitive, Json) => "application/vnd.onem2m-prsp+json",
            (ResponsePrimitive, Xml) => "application/vnd.onem2m-prsp+xml",
            (ResponsePrimitive, Cbor) => "application/vnd.onem2m-prsp+cbor",
        })
    }
}

/// A `Content-Type`: the media type, if it is one of ours, and `ty`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct ContentType<'a> {
    /// The name as sent, for messages.
    pub(crate) essence: &'a str,
    pub(crate) media_type: Option<MediaType>,
    /// Text of the parameter `ty`, whose presence makes a POST a CREATE.
    pub(crate) resource_type: Option<&'a str>,
}

impl<'a> ContentType<'a> {
    /// The request's `Content-Type`; `None` when there is none.
    ///
    /// # Errors
    /// More than one, no text, `ty` twice, or a charset other than UTF-8.
    pub(crate) fn of(headers: &'a HeaderMap) -> Result<Option<Self>, Error> {
        crate::header::text(headers, &CONTENT_TYPE)?.map(Self::parse).transpose()
    }

    fn parse(text: &'a str) -> Result<Self, Error> {
        let mut parts = text.split(';');
        let essence = parts.next().unwrap_or_default().trim();
        let mut resource_type = None;
        for parameter in parts {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            let (name, value) = (name.trim(), value.trim().trim_matches('"'));
            if name.eq_ignore_ascii_case("ty") {
                if resource_type.replace(value).is_some() {
                    return Err(Error::parameter("ty", "is given more than once"));
                }
            } else if name.eq_ignore_ascii_case("charset")
                && !["utf-8", "utf8", "us-ascii"].iter().any(|known| value.eq_ignore_ascii_case(known))
            {
                return Err(Error::UnsupportedMediaType(limited(text)));
            }
        }
        Ok(Self { essence, media_type: MediaType::parse(essence), resource_type })
    }

    /// The media type, if bodies of it can be read.
    ///
    /// # Errors
    /// [`Error::UnsupportedMediaType`] for a foreign type, a response primitive or a serialization to come.
    pub(crate) fn readable(&self) -> Result<MediaType, Error> {
        self.media_type
            .filter(|media| media.payload != Payload::ResponsePrimitive)
            .ok_or_else(|| Error::UnsupportedMediaType(limited(self.essence)))
    }
}

/// Enough of a text from outside for a message.
pub(crate) fn limited(text: &str) -> String {
    text.chars().take(100).collect()
}

impl fmt::Display for MediaType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.header_value().to_str().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content_type(text: &str) -> ContentType<'_> {
        ContentType::parse(text).expect("a content type")
    }

    #[test]
    fn every_media_type_is_read_as_it_is_written() {
        for payload in ["", "vnd.onem2m-res+", "vnd.onem2m-ntfy+", "vnd.onem2m-preq+", "vnd.onem2m-prsp+"] {
            for serialization in ["json", "xml", "cbor"] {
                let name = format!("application/{payload}{serialization}");
                assert_eq!(MediaType::parse(&name).expect("known").to_string(), name);
                assert_eq!(MediaType::parse(&name.to_uppercase()).expect("known").to_string(), name);
            }
        }
        for name in ["", "json", "text/json", "application/", "application/yaml", "application/vnd.other+json", "appli"]
        {
            assert_eq!(MediaType::parse(name), None, "{name}");
        }
    }

    #[test]
    fn the_resource_type_is_found_among_the_parameters() {
        for (text, ty) in [
            ("application/json;ty=4", Some("4")),
            ("application/json; ty=4", Some("4")),
            ("application/json ; TY = 4", Some("4")),
            ("Application/JSON; charset=UTF-8; ty=\"4\"", Some("4")),
            ("application/vnd.onem2m-res+json;ty=4;charset=\"utf-8\"", Some("4")),
            ("application/json;ty", Some("")),
            ("application/json", None),
            ("application/json;", None),
            ("application/json;type=4", None),
        ] {
            let parsed = content_type(text);
            assert_eq!(parsed.resource_type, ty, "{text}");
            assert!(parsed.readable().is_ok(), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_unsupported() {
        for text in [
            "application/yaml",
            "application/vnd.onem2m-prsp+json",
            "application/vnd.onem2m-prsp+cbor",
            "application/x-www-form-urlencoded",
            "text/plain",
            "",
        ] {
            assert_eq!(content_type(text).readable().expect_err("refused").rsc().code(), 4015, "{text}");
        }
        assert_eq!(ContentType::parse("application/json;charset=latin1").expect_err("refused").rsc().code(), 4015);
        assert_eq!(ContentType::parse("application/json;ty=3;ty=4").expect_err("refused").rsc().code(), 4000);
    }
}
