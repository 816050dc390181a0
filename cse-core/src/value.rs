//! The one tree that all serializations decode to and encode from.
//!
//! A [`Value`] is what JSON and CBOR carry as they are and what XML becomes once the attribute tables
//! have given its text types. Member order is kept; member names are unique (TS-0004 §8.4).

use std::fmt;

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};
use smol_str::SmolStr;

/// Text that is cheap to clone: up to 23 bytes inline, longer shared.
pub type Text = SmolStr;

/// A member name: an attribute, a parameter or a root element, by its short name.
pub type Name = SmolStr;

/// Any value of an attribute or a parameter.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// JSON `null`: deletes an attribute in an UPDATE.
    Null,
    /// A boolean.
    Bool(bool),
    /// An integer that fits 64 signed bits.
    Int(i64),
    /// An integer above `i64::MAX`.
    UInt(u64),
    /// Any other number.
    Float(f64),
    /// Text, also timestamps, identifiers and addresses.
    Text(Text),
    /// A list (`xs:list` or repeated member).
    List(Vec<Value>),
    /// An object.
    Map(Map),
}

impl Value {
    /// The text, if this is text.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The integer, if this is an integer that fits.
    pub fn as_int(&self) -> Option<i64> {
        match self {
            Value::Int(int) => Some(*int),
            Value::Float(float) if float.fract() == 0.0 && float.abs() < 9e15 => Some(*float as i64),
            _ => None,
        }
    }

    /// The non-negative integer, if this is one.
    pub fn as_unsigned(&self) -> Option<u64> {
        match self {
            Value::UInt(int) => Some(*int),
            other => other.as_int().and_then(|int| u64::try_from(int).ok()),
        }
    }

    /// The boolean, if this is one.
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Value::Bool(flag) => Some(*flag),
            _ => None,
        }
    }

    /// The list, if this is one.
    pub fn as_list(&self) -> Option<&[Value]> {
        match self {
            Value::List(list) => Some(list),
            _ => None,
        }
    }

    /// The object, if this is one.
    pub fn as_map(&self) -> Option<&Map> {
        match self {
            Value::Map(map) => Some(map),
            _ => None,
        }
    }

    /// Whether this is `null`.
    pub fn is_null(&self) -> bool {
        matches!(self, Value::Null)
    }

    /// What kind of value this is, for messages.
    pub fn kind_name(&self) -> &'static str {
        match self {
            Value::Null => "null",
            Value::Bool(_) => "a boolean",
            Value::Int(_) | Value::UInt(_) => "an integer",
            Value::Float(_) => "a number",
            Value::Text(_) => "a string",
            Value::List(_) => "a list",
            Value::Map(_) => "an object",
        }
    }

    /// The texts of a list of texts; empty for anything else.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        self.as_list().unwrap_or_default().iter().filter_map(Value::as_text)
    }

    /// How deep the tree is; a scalar is 1.
    pub fn depth(&self) -> usize {
        match self {
            Value::List(list) => 1 + list.iter().map(Value::depth).max().unwrap_or(0),
            Value::Map(map) => 1 + map.iter().map(|(_, value)| value.depth()).max().unwrap_or(0),
            _ => 1,
        }
    }

    /// A list of texts.
    pub fn text_list<T: Into<Text>>(texts: impl IntoIterator<Item = T>) -> Value {
        Value::List(texts.into_iter().map(|text| Value::Text(text.into())).collect())
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Value::Text(text.into())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Value::Text(text.into())
    }
}

impl From<Text> for Value {
    fn from(text: Text) -> Self {
        Value::Text(text)
    }
}

impl From<bool> for Value {
    fn from(flag: bool) -> Self {
        Value::Bool(flag)
    }
}

impl From<i64> for Value {
    fn from(int: i64) -> Self {
        Value::Int(int)
    }
}

impl From<u32> for Value {
    fn from(int: u32) -> Self {
        Value::Int(i64::from(int))
    }
}

impl From<u16> for Value {
    fn from(int: u16) -> Self {
        Value::Int(i64::from(int))
    }
}

impl From<u64> for Value {
    fn from(int: u64) -> Self {
        i64::try_from(int).map_or(Value::UInt(int), Value::Int)
    }
}

impl From<f64> for Value {
    fn from(float: f64) -> Self {
        Value::Float(float)
    }
}

impl From<Map> for Value {
    fn from(map: Map) -> Self {
        Value::Map(map)
    }
}

impl<T: Into<Value>> From<Vec<T>> for Value {
    fn from(list: Vec<T>) -> Self {
        Value::List(list.into_iter().map(Into::into).collect())
    }
}

/// An object: few members, in order, names unique.
#[derive(Clone, Debug, Default)]
pub struct Map(Vec<(Name, Value)>);

/// Member order carries no meaning, so it does not count here.
impl PartialEq for Map {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().all(|(name, value)| other.get(name) == Some(value))
    }
}

impl Map {
    /// An empty object.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// An empty object with room for `capacity` members.
    pub fn with_capacity(capacity: usize) -> Self {
        Self(Vec::with_capacity(capacity))
    }

    /// An object with these members, whose names are known to be unique.
    pub(crate) fn from_unique(members: Vec<(Name, Value)>) -> Self {
        Self(members)
    }

    /// An object with one member.
    pub fn single(name: impl Into<Name>, value: impl Into<Value>) -> Self {
        Self(vec![(name.into(), value.into())])
    }

    /// The member of that name.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value)
    }

    /// The member of that name, to change.
    pub fn get_mut(&mut self, name: &str) -> Option<&mut Value> {
        self.0.iter_mut().find(|(key, _)| key == name).map(|(_, value)| value)
    }

    /// Whether there is a member of that name.
    pub fn contains(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Sets a member; an existing one keeps its place. Returns the former value.
    pub fn insert(&mut self, name: impl Into<Name>, value: impl Into<Value>) -> Option<Value> {
        let name = name.into();
        let value = value.into();
        if let Some(slot) = self.get_mut(&name) {
            return Some(std::mem::replace(slot, value));
        }
        self.0.push((name, value));
        None
    }

    /// Adds a member that is known to be new, without looking for it.
    pub fn push(&mut self, name: impl Into<Name>, value: impl Into<Value>) {
        self.0.push((name.into(), value.into()));
    }

    /// Takes a member out.
    pub fn remove(&mut self, name: &str) -> Option<Value> {
        let index = self.0.iter().position(|(key, _)| key == name)?;
        Some(self.0.remove(index).1)
    }

    /// The members in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&Name, &Value)> {
        self.0.iter().map(|(name, value)| (name, value))
    }

    /// How many members there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no member.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The only member, if there is exactly one.
    pub fn only(&self) -> Option<(&Name, &Value)> {
        match self.0.as_slice() {
            [(name, value)] => Some((name, value)),
            _ => None,
        }
    }

    /// The text of a member.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.get(name).and_then(Value::as_text)
    }

    /// The integer of a member.
    pub fn int(&self, name: &str) -> Option<i64> {
        self.get(name).and_then(Value::as_int)
    }

    /// The non-negative integer of a member.
    pub fn unsigned(&self, name: &str) -> Option<u64> {
        self.get(name).and_then(Value::as_unsigned)
    }

    /// The boolean of a member.
    pub fn bool(&self, name: &str) -> Option<bool> {
        self.get(name).and_then(Value::as_bool)
    }

    /// The texts of a member that is a list of texts.
    pub fn texts(&self, name: &str) -> impl Iterator<Item = &str> {
        self.get(name).into_iter().flat_map(Value::texts)
    }
}

/// The message about a member that appears twice; short, however long the name is.
pub(crate) fn appears_twice(name: &str) -> String {
    format!("member '{}' appears twice", name.chars().take(64).collect::<String>())
}

/// An object while it is read: refuses a member that appears twice.
///
/// Few members are compared one by one; many need a set, or a hostile object costs quadratic time.
pub(crate) struct Members {
    map: Map,
    seen: rustc_hash::FxHashSet<Name>,
}

impl Members {
    const COMPARED_MAX: usize = 24;

    /// No members yet, with room for some.
    pub(crate) fn with_capacity(capacity: usize) -> Self {
        Self { map: Map::with_capacity(capacity), seen: rustc_hash::FxHashSet::default() }
    }

    /// Adds a member.
    ///
    /// # Errors
    /// What is wrong, if there is a member of that name.
    pub(crate) fn add(&mut self, name: Name, value: Value) -> Result<(), String> {
        let known = if self.map.len() < Self::COMPARED_MAX {
            self.map.contains(&name)
        } else {
            if self.seen.is_empty() {
                self.seen.extend(self.map.iter().map(|(name, _)| name.clone()));
            }
            !self.seen.insert(name.clone())
        };
        if known {
            return Err(appears_twice(&name));
        }
        self.map.push(name, value);
        Ok(())
    }

    /// The object.
    pub(crate) fn into_map(self) -> Map {
        self.map
    }
}

impl IntoIterator for Map {
    type Item = (Name, Value);
    type IntoIter = std::vec::IntoIter<(Name, Value)>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl FromIterator<(Name, Value)> for Map {
    fn from_iter<I: IntoIterator<Item = (Name, Value)>>(members: I) -> Self {
        let mut map = Map::new();
        for (name, value) in members {
            map.insert(name, value);
        }
        map
    }
}

impl Serialize for Map {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            map.serialize_entry(name.as_str(), value)?;
        }
        map.end()
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Value::Null => serializer.serialize_unit(),
            Value::Bool(flag) => serializer.serialize_bool(*flag),
            Value::Int(int) => serializer.serialize_i64(*int),
            Value::UInt(int) => serializer.serialize_u64(*int),
            Value::Float(float) => serializer.serialize_f64(*float),
            Value::Text(text) => serializer.serialize_str(text),
            Value::List(list) => {
                let mut seq = serializer.serialize_seq(Some(list.len()))?;
                for value in list {
                    seq.serialize_element(value)?;
                }
                seq.end()
            }
            Value::Map(map) => map.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

impl<'de> Deserialize<'de> for Map {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::Map(map) => Ok(map),
            other => Err(de::Error::custom(format_args!("expected an object, found {}", other.kind_name()))),
        }
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        Value::deserialize(deserializer)
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Value, E> {
        Ok(Value::Bool(flag))
    }

    fn visit_i64<E>(self, int: i64) -> Result<Value, E> {
        Ok(Value::Int(int))
    }

    fn visit_u64<E>(self, int: u64) -> Result<Value, E> {
        Ok(Value::from(int))
    }

    fn visit_f64<E>(self, float: f64) -> Result<Value, E> {
        Ok(Value::Float(float))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::Text(text.into()))
    }

    fn visit_string<E>(self, text: String) -> Result<Value, E> {
        Ok(Value::Text(text.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut list = Vec::with_capacity(seq.size_hint().unwrap_or(0).min(64));
        while let Some(value) = seq.next_element()? {
            list.push(value);
        }
        Ok(Value::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut members = Members::with_capacity(access.size_hint().unwrap_or(0).clamp(4, 64));
        while let Some(NameKey(name)) = access.next_key()? {
            members.add(name, access.next_value()?).map_err(de::Error::custom)?;
        }
        Ok(Value::Map(members.into_map()))
    }
}

/// A member name, which must be text.
struct NameKey(Name);

impl<'de> Deserialize<'de> for NameKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match deserializer.deserialize_any(ValueVisitor)? {
            Value::Text(name) => Ok(NameKey(name)),
            other => Err(de::Error::custom(format_args!("a member name must be text, found {}", other.kind_name()))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_keeps_order_and_every_kind_of_number() {
        let text = r#"{"b":1,"a":[true,null,-7,18446744073709551615,0.5],"c":{"d":"x"}}"#;
        let value: Value = serde_json::from_str(text).expect("valid JSON");
        assert_eq!(serde_json::to_string(&value).expect("encodes"), text);
    }

    #[test]
    fn a_member_that_appears_twice_is_refused() {
        assert!(serde_json::from_str::<Value>(r#"{"a":1,"a":2}"#).is_err());
    }

    #[test]
    fn many_members_are_checked_for_repetition_too() {
        let members: Vec<String> = (0..100).map(|n| format!(r#""m{n}":1"#)).collect();
        assert!(serde_json::from_str::<Value>(&format!("{{{}}}", members.join(","))).is_ok());
        assert!(serde_json::from_str::<Value>(&format!("{{{},\"m50\":1}}", members.join(","))).is_err());
    }

    #[test]
    fn member_order_does_not_matter_for_equality() {
        let one: Value = serde_json::from_str(r#"{"a":1,"b":2}"#).expect("valid JSON");
        let other: Value = serde_json::from_str(r#"{"b":2,"a":1}"#).expect("valid JSON");
        assert_eq!(one, other);
    }
}
