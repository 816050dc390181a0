//! Primitives in the three serializations, written and read by code that is not the server's.
//!
//! A test writes JSON values and looks at JSON values. XML has only text, so what was read from it is compared with
//! [`text`], [`texts`] and [`all`], which make the three alike.

use std::io::Cursor;

use quick_xml::escape::{escape, resolve_predefined_entity};
use quick_xml::events::{BytesStart, Event};
use quick_xml::reader::Reader;
use serde_json::{Map, Value};

/// A serialization, by its name in topics.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Form {
    /// As usual.
    #[default]
    Json,
    /// With the namespace of oneM2M under the prefix m2m.
    Xml,
    /// With text keys.
    Cbor,
}

impl Form {
    /// All of them.
    pub const ALL: [Form; 3] = [Form::Json, Form::Xml, Form::Cbor];

    /// The last level of topics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Xml => "xml",
            Self::Cbor => "cbor",
        }
    }

    /// `application/...`
    pub fn media_type(self) -> String {
        format!("application/{}", self.name())
    }

    /// The form that a topic or a media type ends with.
    pub fn ending(text: &str) -> Option<Self> {
        let name = text.split(';').next()?.trim();
        Self::ALL.into_iter().find(|form| name.rsplit(['/', '+']).next() == Some(form.name()))
    }

    /// A primitive; `root` (`m2m:rqp`, `m2m:rsp`) stands around it in XML only.
    pub fn write_primitive(self, root: &str, primitive: &Value) -> Vec<u8> {
        match self {
            Self::Xml => self.write(&Value::Object(Map::from_iter([(root.to_owned(), primitive.clone())]))),
            Self::Json | Self::Cbor => self.write(primitive),
        }
    }

    /// What has a name of its own, such as a resource.
    ///
    /// # Panics
    /// If it cannot be written.
    pub fn write(self, content: &Value) -> Vec<u8> {
        match self {
            Self::Json => content.to_string().into_bytes(),
            Self::Cbor => {
                let mut bytes = Vec::new();
                ciborium::into_writer(content, &mut bytes).expect("memory takes everything");
                bytes
            }
            Self::Xml => {
                let object = content.as_object().expect("an object");
                assert_eq!(object.len(), 1, "one root: {content}");
                let mut text = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>".to_owned();
                for (name, value) in object {
                    write_element(&mut text, name, value, " xmlns:m2m=\"http://www.onem2m.org/xml/protocols\"");
                }
                text.into_bytes()
            }
        }
    }

    /// The primitive in these bytes, without the root of XML.
    pub fn read_primitive(self, bytes: &[u8]) -> Option<Value> {
        let read = self.read(bytes)?;
        match (self, read) {
            (Self::Xml, Value::Object(root)) => root.into_iter().next().map(|(_, primitive)| primitive),
            (_, read) => Some(read),
        }
    }

    /// What these bytes say; `None` if they are not of this form.
    pub fn read(self, bytes: &[u8]) -> Option<Value> {
        match self {
            Self::Json => serde_json::from_slice(bytes).ok(),
            Self::Cbor => {
                let mut cursor = Cursor::new(bytes);
                let value = ciborium::from_reader(&mut cursor).ok()?;
                (cursor.position() == bytes.len() as u64).then_some(value)
            }
            Self::Xml => read_xml(bytes),
        }
    }
}

/// `rn` of a resource is an attribute, lists of simple values are separated by blanks, others are repeated elements.
fn write_element(text: &mut String, name: &str, value: &Value, attributes: &str) {
    match value {
        Value::Array(items) if items.iter().all(|item| !item.is_object()) => {
            let items: Vec<String> = items.iter().map(self::text).collect();
            text.push_str(&format!("<{name}>{}</{name}>", escape(items.join(" "))));
        }
        Value::Array(items) => {
            for item in items {
                write_element(text, name, item, attributes);
            }
        }
        Value::Object(members) => {
            let rn = members.get("rn").filter(|_| name.contains(':'));
            let rn = rn.map(|rn| format!(" rn=\"{}\"", escape(self::text(rn)))).unwrap_or_default();
            text.push_str(&format!("<{name}{attributes}{rn}>"));
            for (member, value) in members.iter().filter(|(member, _)| rn.is_empty() || *member != "rn") {
                write_element(text, member, value, "");
            }
            text.push_str(&format!("</{name}>"));
        }
        Value::Null => text.push_str(&format!("<{name}/>")),
        scalar => text.push_str(&format!("<{name}>{}</{name}>", escape(self::text(scalar)))),
    }
}

/// An element that is being read.
#[derive(Default)]
struct Element {
    name: String,
    members: Map<String, Value>,
    text: String,
}

impl Element {
    fn of(start: &BytesStart<'_>) -> Option<Self> {
        let mut element = Self { name: start.name().as_ref().to_owned(), ..Self::default() };
        for attribute in start.attributes() {
            let attribute = attribute.ok()?;
            let key = attribute.key.as_ref().to_owned();
            let value = quick_xml::escape::unescape(&attribute.value).ok()?.into_owned();
            if key == "xmlns:m2m" {
                assert_eq!(value, "http://www.onem2m.org/xml/protocols");
            }
            if !key.starts_with("xmlns") && !key.starts_with("xsi:") {
                element.members.insert(key, Value::String(value));
            }
        }
        Some(element)
    }

    fn put(&mut self, name: String, value: Value) {
        match self.members.get_mut(&name) {
            None => drop(self.members.insert(name, value)),
            Some(Value::Array(items)) => items.push(value),
            Some(first) => *first = Value::Array(vec![first.take(), value]),
        }
    }

    /// An element with text and attributes has its text as `val`.
    fn value(mut self) -> Value {
        if self.members.is_empty() {
            return Value::String(self.text);
        }
        if !self.text.trim().is_empty() {
            self.members.insert("val".into(), Value::String(self.text));
        }
        Value::Object(self.members)
    }
}

fn read_xml(bytes: &[u8]) -> Option<Value> {
    let mut reader = Reader::from_str(std::str::from_utf8(bytes).ok()?);
    let mut open = vec![Element::default()];
    loop {
        match reader.read_event().ok()? {
            Event::Start(start) => open.push(Element::of(&start)?),
            Event::Empty(start) => {
                let element = Element::of(&start)?;
                open.last_mut()?.put(element.name.clone(), element.value());
            }
            Event::End(_) => {
                let element = open.pop()?;
                open.last_mut()?.put(element.name.clone(), element.value());
            }
            Event::Text(text) => open.last_mut()?.text.push_str(&text),
            Event::CData(text) => open.last_mut()?.text.push_str(&text),
            Event::GeneralRef(reference) => {
                let resolved = match reference.resolve_char_ref().ok()? {
                    Some(character) => character.to_string(),
                    None => resolve_predefined_entity(&reference)?.to_owned(),
                };
                open.last_mut()?.text.push_str(&resolved);
            }
            Event::Decl(_) | Event::Comment(_) => {}
            Event::PI(_) | Event::DocType(_) => return None,
            Event::Eof => break,
        }
    }
    let document = open.pop().filter(|_| open.is_empty())?;
    (document.members.len() == 1).then_some(Value::Object(document.members))
}

/// A simple value as text; empty for anything else.
pub fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Bool(flag) => flag.to_string(),
        Value::Null | Value::Array(_) | Value::Object(_) => String::new(),
    }
}

/// A list of simple values.
pub fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::Array(items) => items.iter().map(text).collect(),
        other => text(other).split_whitespace().map(str::to_owned).collect(),
    }
}

/// A list of objects, one of which XML cannot tell from an object.
pub fn all(value: &Value) -> Vec<&Value> {
    match value {
        Value::Null => Vec::new(),
        Value::Array(items) => items.iter().collect(),
        single => vec![single],
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let content =
            json!({"m2m:cnt": {"rn": "a b", "lbl": ["x", "y"], "con": "<&> \u{416}", "z": [{"c": "1"}, {"c": "2"}]}});
        for form in Form::ALL {
            let read = form.read(&form.write(&content)).expect("its own words");
            let container = &read["m2m:cnt"];
            assert_eq!(
                (text(&container["rn"]), texts(&container["lbl"])),
                ("a b".into(), vec!["x".into(), "y".into()])
            );
            assert_eq!((text(&container["con"]), all(&container["z"]).len()), ("<&> \u{416}".into(), 2), "{form:?}");
            assert_eq!(form.read(b"\xff rubbish"), None);
        }
    }

    #[test]
    fn forms_are_known_by_their_name() {
        for (ending, form) in [
            ("/oneM2M/req/Cx/id-in/xml", Some(Form::Xml)),
            ("application/vnd.onem2m-res+cbor;ty=3", Some(Form::Cbor)),
            ("application/json; charset=utf-8", Some(Form::Json)),
            ("/oneM2M/req/Cx/id-in", None),
        ] {
            assert_eq!(Form::ending(ending), form, "{ending}");
        }
    }
}
