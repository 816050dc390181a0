//! Bytes to trees and back: the seam for JSON, XML and CBOR.
//!
//! All three serializations give the same tree for the same primitive, so that nothing behind this seam knows
//! which one a peer speaks. What is refused is refused here, before anything is allocated for it: bytes that
//! are not well-formed, members that appear twice, nesting below [`DEPTH_MAX`].

mod base64;
mod cbor;
mod json;
mod xml;

pub use self::base64::base64;
use crate::error::Error;
use crate::value::{Map, Name, Value};

/// A serialization of primitives (TS-0004 §8).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Serialization {
    /// `json`
    Json,
    /// `xml`
    Xml,
    /// `cbor`
    Cbor,
}

/// Deepest nesting that is decoded: levels of values, the outermost object and the innermost scalar included.
pub const DEPTH_MAX: usize = 64;

impl Serialization {
    /// The serialization of that name, as in MQTT topics and `csz`.
    pub fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "json" => Self::Json,
            "xml" => Self::Xml,
            "cbor" => Self::Cbor,
            _ => return None,
        })
    }

    /// The name, as in MQTT topics, `csz` and media types.
    pub fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Xml => "xml",
            Self::Cbor => "cbor",
        }
    }

    /// Decodes a primitive, bare or below its root name (`m2m:rqp`, `m2m:rsp`).
    ///
    /// # Errors
    /// [`Error::NotAPrimitive`] for bytes that are no object of the serialization or have another root name, with what is
    /// wrong.
    pub fn decode_primitive(self, bytes: &[u8]) -> Result<Primitive, Error> {
        let map = self.decode_content(bytes)?;
        let is_wrapped = map.only().is_some_and(|(name, value)| {
            value.as_map().is_some() && Root::ALL.iter().any(|root| root.name() == name.as_str())
        });
        if !is_wrapped {
            // No primitive has one parameter that is an object.
            if let Some((name, Value::Map(_))) = map.only() {
                return Err(not_a_root(name));
            }
            return Ok(Primitive { parameters: map, wrapped: false });
        }
        let parameters =
            map.into_iter().find_map(|(_, value)| if let Value::Map(map) = value { Some(map) } else { None });
        Ok(Primitive { parameters: parameters.unwrap_or_default(), wrapped: true })
    }

    /// Encodes a primitive. Where the serialization does without a root name (JSON, CBOR), `wrapped` puts it
    /// around all the same, for peers that write so; XML always has it.
    pub fn encode_primitive(self, root: Root, parameters: Map, wrapped: bool) -> Vec<u8> {
        if wrapped || self == Self::Xml {
            return self.encode_content(&Map::single(Name::new_static(root.name()), parameters));
        }
        self.encode_content(&parameters)
    }

    /// Decodes the content of a primitive: one object below its type name, as `m2m:cin`.
    ///
    /// # Errors
    /// As [`Serialization::decode_primitive`].
    pub fn decode_content(self, bytes: &[u8]) -> Result<Map, Error> {
        match self {
            Self::Json => json::decode(bytes),
            Self::Cbor => cbor::decode(bytes),
            Self::Xml => xml::decode(bytes),
        }
    }

    /// Encodes the content of a primitive.
    pub fn encode_content(self, map: &Map) -> Vec<u8> {
        match self {
            Self::Cbor => cbor::encode(map),
            Self::Json => json::encode(map),
            Self::Xml => xml::encode(map),
        }
    }
}

/// The root name of a primitive (TS-0004 §6.4).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Root {
    /// `m2m:rqp`
    Request,
    /// `m2m:rsp`
    Response,
}

impl Root {
    const ALL: [Root; 2] = [Root::Request, Root::Response];

    /// The name as it is written.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Request => "m2m:rqp",
            Self::Response => "m2m:rsp",
        }
    }
}

fn not_a_root(name: &str) -> Error {
    let name: String = name.chars().take(64).collect();
    Error::NotAPrimitive(format!("'{name}' is the root, not '{}'", Root::Request.name()))
}

/// A primitive as it was decoded.
#[derive(Clone, Debug, PartialEq)]
pub struct Primitive {
    /// Its parameters by short name.
    pub parameters: Map,
    /// Whether its root name stood around it; an answer is written likewise.
    pub wrapped: bool,
}

#[cfg(test)]
mod tests;
