//! A resource as the tree holds it.

use crate::id::{Originator, Seq};
use crate::schema::Ty;
use crate::time::Timestamp;
use crate::value::{Map, Text, Value};

/// A resource: what every type has as fields, all other attributes by short name in [`Resource::attributes`].
#[derive(Clone, Debug, PartialEq)]
pub struct Resource {
    /// Its number.
    pub seq: Seq,
    /// Number of the parent; `None` for the CSEBase.
    pub parent: Option<Seq>,
    /// `ty`
    pub ty: Ty,
    /// `ri`: unique in this CSE, without `/`.
    pub id: Text,
    /// `rn`: unique among siblings.
    pub name: Text,
    /// `pi`: `ri` of the parent, empty for the CSEBase.
    pub parent_id: Text,
    /// `ct`
    pub creation_time: Timestamp,
    /// `lt`
    pub last_modified_time: Timestamp,
    /// `et`; `None` for the CSEBase, which never expires.
    pub expiration_time: Option<Timestamp>,
    /// `st`, for types that have it.
    pub state_tag: Option<u64>,
    /// `cs`, for types that have it: bytes of content.
    pub content_size: Option<u64>,
    /// Who created it, whether or not it has a `cr` attribute.
    pub creator: Originator,
    /// All other attributes, `lbl` and `acpi` among them, in table order; then what only this CSE knows of it, under
    /// names that begin with `@`.
    pub attributes: Map,
}

impl Resource {
    /// Whether it has expired at `now`.
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.expiration_time.is_some_and(|time| time <= now)
    }

    /// `lbl`
    pub fn labels(&self) -> impl Iterator<Item = &str> {
        self.attributes.texts("lbl")
    }

    /// Bytes of memory that it holds, roughly; for bounding caches.
    pub fn approximate_bytes(&self) -> usize {
        256 + self.id.len() + self.name.len() + approximate_bytes(&self.attributes)
    }
}

/// Whether a member of [`Resource::attributes`] is known to this CSE only: no representation has it, no request sees
/// or changes it. No attribute of the specification begins like that.
pub(crate) fn is_internal(name: &str) -> bool {
    name.starts_with('@')
}

/// Bytes of memory that an object holds, roughly.
pub(crate) fn approximate_bytes(map: &Map) -> usize {
    fn of(value: &Value) -> usize {
        32 + match value {
            Value::Text(text) => text.len(),
            Value::List(list) => list.iter().map(of).sum(),
            Value::Map(map) => approximate_bytes(map),
            _ => 0,
        }
    }
    map.iter().map(|(_, value)| 24 + of(value)).sum()
}

/// The resource identifier that the CSE gives: short name of the type and the number.
///
/// Stores may leave out identifiers of this form, because they follow from type and number.
pub fn generated_id(type_short_name: &str, seq: Seq) -> Text {
    smol_str::format_smolstr!("{type_short_name}{seq}")
}

/// The number in an identifier made by [`generated_id`], whatever the type.
pub fn seq_of_generated_id(id: &str) -> Option<Seq> {
    let digits = id.trim_start_matches(|c: char| c.is_ascii_alphabetic());
    if digits.is_empty() || digits.len() == id.len() || digits.starts_with('0') || digits.len() > 18 {
        return None;
    }
    digits.parse().ok().map(Seq)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generated_identifier_leads_back_to_its_number() {
        assert_eq!(generated_id("cin", Seq(17)), "cin17");
        assert_eq!(seq_of_generated_id("cin17"), Some(Seq(17)));
        for other in ["cin", "17", "Cmeter", "cin017", "cin1x", ""] {
            assert_eq!(seq_of_generated_id(other), None, "{other}");
        }
    }
}
