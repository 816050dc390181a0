//! XML (TS-0004 §8.3), read and written by the attribute tables.
//!
//! XML says less than the tree: everything is text, and a list of one item looks like the item. The tables
//! know the rest, so that the same primitive is the same tree in all serializations. The rules:
//!
//! - Global elements (primitives, resources, notifications) are qualified, all others are not. Names are read by
//!   namespace, whatever the prefix; on output the prefixes are the usual ones. An undeclared usual prefix is
//!   understood.
//! - `rn`, and the members that the tables say, are XML attributes. Either form is read.
//! - Lists are one element with the items between blanks or one element for each item, as the tables say. Both are
//!   read where the items cannot contain blanks.
//! - An empty element is `null`, as TS-0004 §8.3.1 has it, except that an empty global element is an empty object,
//!   text or list. An empty text, list or object elsewhere is written, and read, as an empty CDATA section: to any
//!   other reader that is just an empty element. (An empty object that is an item of a list is a CDATA section with a
//!   blank, to tell it from an empty list.)
//! - What the tables leave open (`con`, unknown members) is text, or elements where it has any. Numbers and booleans
//!   there carry `xsi:type`. What XML cannot say at all is written as JSON text, marked with the attribute `type="json"` of
//!   the namespace [`VALUES`]: lists in such places, member names that are no XML names, characters that XML forbids, values
//!   of another kind than the tables say.
//! - Output is in the order of the tables; input in any order.
//!
//! Refused: document type declarations and with them all entities but the five predefined, processing instructions,
//! encodings other than UTF-8, text between elements, nesting below [`DEPTH_MAX`](super::DEPTH_MAX).

mod collect;
mod names;
mod read;
mod slots;
mod text;
mod write;

#[cfg(test)]
mod tests;

use crate::error::Error;
use crate::value::Map;

/// The namespace of what oneM2M has no word for: the attribute `type` and the element `object`.
const VALUES: &str = "urn:cse-server:values";

/// Reads one document: its root element with what is in it.
pub(super) fn decode(bytes: &[u8]) -> Result<Map, Error> {
    read::document(bytes).map_err(Error::NotAPrimitive)
}

/// Writes one document. `map` has one member, the root element; any other object is written as JSON in a root element of
/// ours.
pub(super) fn encode(map: &Map) -> Vec<u8> {
    write::document(map)
}
