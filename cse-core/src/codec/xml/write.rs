//! From the tree to a document.
//!
//! A value is written the way the tables say if it would be read back as the same value, else with a mark that says
//! what it is. Each object decides for its members, so that one odd member leaves the others as they are.

use super::names::{self, INSTANCE, SCHEMA, UNKNOWN_PREFIX};
use super::slots::{Many, Slot, What};
use super::{VALUES, text};
use crate::schema::{Kind, XmlForm};
use crate::value::{Map, Name, Value};

/// Writes a document.
pub(super) fn document(map: &Map) -> Vec<u8> {
    let mut writer = Writer { bytes: Vec::with_capacity(1024), prefixes: Vec::new() };
    writer.raw("<?xml version=\"1.0\" encoding=\"UTF-8\"?>");
    match map.only().filter(|(name, _)| names::is_writable(name)) {
        Some((name, value)) => writer.member(name, &What::DOCUMENT.member(name), value),
        None => {
            writer.raw("<v:object xmlns:v=\"");
            writer.raw(VALUES);
            writer.raw("\" v:type=\"json\">");
            writer.text(&text::json(&Value::Map(map.clone())));
            writer.raw("</v:object>");
        }
    }
    writer.bytes
}

struct Writer {
    bytes: Vec<u8>,
    /// Prefixes that are declared here.
    prefixes: Vec<Name>,
}

/// How a value is written in a place.
enum Form {
    /// `null`.
    Null,
    /// An empty object, text or list.
    Empty,
    /// A text, or an object.
    Single,
    /// Items between blanks.
    Items,
    /// One element for each item.
    Repeated,
    /// A scalar that says its type.
    Typed(&'static str),
    /// JSON text.
    Json,
}

fn form_of(name: &str, slot: &Slot, value: &Value) -> Form {
    let is_global = name.contains(':');
    let otherwise = || text::type_of(value).map_or(Form::Json, Form::Typed);
    match (value, slot.many) {
        (Value::Null, _) => {
            if is_global {
                Form::Json
            } else {
                Form::Null
            }
        }
        (Value::List(list), Many::List) => match (list.is_empty(), slot.kind()) {
            (true, _) => Form::Empty,
            (false, Some(kind)) if text::says_items(kind, list) => Form::Items,
            _ => Form::Json,
        },
        (Value::List(list), Many::Repeated) => {
            if list.is_empty() {
                return if is_global { Form::Json } else { Form::Empty };
            }
            if list.iter().all(|item| is_plain_item(slot, is_global, item)) { Form::Repeated } else { Form::Json }
        }
        (Value::List(_), Many::No | Many::Loose) => Form::Json,
        (_, Many::List | Many::Repeated) => Form::Json,
        (Value::Text(text), _) if text.is_empty() => {
            let is_text = if is_global { !slot.what.may_be_object() } else { !slot.what.is_object() };
            if is_text { Form::Empty } else { otherwise() }
        }
        (Value::Map(map), _) if map.is_empty() => {
            let is_object = slot.what.is_object() || (is_global && slot.what.may_be_object());
            if is_object { Form::Empty } else { Form::Json }
        }
        _ if is_plain(slot, value) => Form::Single,
        _ => otherwise(),
    }
}

/// Whether a value that is not empty can be the only one in its element, without any mark.
fn is_plain(slot: &Slot, value: &Value) -> bool {
    match value {
        Value::Map(map) => {
            let is_name = |name: &str| names::is_writable(name) && slot.what.member_without_prefix(name).is_none();
            let names = slot.what.may_be_object() && map.iter().all(|(name, _)| is_name(name));
            names && slot.what.content_member().is_none_or(|_| is_text_with_attributes(slot, map))
        }
        scalar => slot.what.content_member().is_none() && text::says(slot.kind().unwrap_or(&Kind::Object), scalar),
    }
}

/// Whether an object is the text of an element and its attributes, and nothing else.
fn is_text_with_attributes(slot: &Slot, map: &Map) -> bool {
    let is_empty = map.only().is_some_and(|(_, value)| value.as_text() == Some(""));
    !is_empty
        && map.iter().all(|(name, value)| {
            let member = slot.what.member(name);
            let is_in_place = matches!(member.form, XmlForm::Attribute | XmlForm::Content);
            is_in_place && member.kind().is_some_and(|kind| text::says(kind, value))
        })
}

fn is_plain_item(slot: &Slot, is_global: bool, item: &Value) -> bool {
    match item {
        Value::Null | Value::List(_) => false,
        Value::Map(map) if map.is_empty() => slot.what.is_object() || (is_global && slot.what.may_be_object()),
        Value::Text(text) if text.is_empty() => false,
        // Elements with blanks between are read as several items.
        Value::Text(text) if slot.kind().is_some_and(text::is_splittable) && text.bytes().any(text::is_blank) => false,
        item => is_plain(slot, item),
    }
}

impl Writer {
    fn raw(&mut self, text: &str) {
        self.bytes.extend_from_slice(text.as_bytes());
    }

    fn member(&mut self, name: &str, slot: &Slot, value: &Value) {
        let declared = self.prefixes.len();
        match form_of(name, slot, value) {
            Form::Repeated => {
                for item in value.as_list().unwrap_or_default() {
                    self.element(name, slot, item);
                }
            }
            Form::Single => self.element(name, slot, value),
            Form::Items => {
                self.open(name);
                self.raw(">");
                for (index, item) in value.as_list().unwrap_or_default().iter().enumerate() {
                    if index > 0 {
                        self.raw(" ");
                    }
                    self.scalar(item);
                }
                self.close(name);
            }
            Form::Null => {
                self.open(name);
                self.raw("/>");
            }
            Form::Empty if name.contains(':') => {
                self.open(name);
                self.raw("/>");
            }
            Form::Empty => {
                self.open(name);
                self.raw("><![CDATA[]]>");
                self.close(name);
            }
            Form::Typed(type_name) => {
                self.open(name);
                for (prefix, uri) in [("xsi", INSTANCE), ("xs", SCHEMA)] {
                    self.declare(prefix, uri);
                }
                self.raw(" xsi:type=\"xs:");
                self.raw(type_name);
                self.raw("\">");
                self.scalar(value);
                self.close(name);
            }
            Form::Json => {
                self.open(name);
                self.declare("v", VALUES);
                self.raw(" v:type=\"json\">");
                self.text(&text::json(value));
                self.close(name);
            }
        }
        self.prefixes.truncate(declared);
    }

    /// Writes a value without any mark.
    fn element(&mut self, name: &str, slot: &Slot, value: &Value) {
        let declared = self.prefixes.len();
        self.open(name);
        match value {
            // An item of a list; an empty section would be an empty list.
            Value::Map(map) if map.is_empty() && !name.contains(':') => {
                self.raw("><![CDATA[ ]]>");
                self.close(name);
            }
            Value::Map(map) => self.members(name, slot, map),
            scalar => {
                self.raw(">");
                self.scalar(scalar);
                self.close(name);
            }
        }
        self.prefixes.truncate(declared);
    }

    fn members(&mut self, name: &str, slot: &Slot, map: &Map) {
        let mut members: Vec<(Slot, &Name, &Value)> =
            map.iter().map(|(name, value)| (slot.what.member(name), name, value)).collect();
        if !members.is_sorted_by_key(|(slot, ..)| slot.order) {
            members.sort_by_key(|(slot, ..)| slot.order);
        }
        members.retain(|(slot, name, value)| {
            let is_attribute = slot.form == XmlForm::Attribute
                && slot.many == Many::No
                && slot.kind().is_some_and(|kind| text::says(kind, value));
            if is_attribute {
                self.raw(" ");
                self.raw(name);
                self.raw("=\"");
                if let Some(text) = text::scalar(value) {
                    self.escaped(&text, true);
                }
                self.raw("\"");
            }
            !is_attribute
        });
        if members.is_empty() {
            self.raw("/>");
            return;
        }
        self.raw(">");
        for (slot, name, value) in members {
            if slot.form == XmlForm::Content {
                match value.as_text() {
                    Some("") => self.raw("<![CDATA[]]>"),
                    _ => self.scalar(value),
                }
            } else {
                self.member(name, &slot, value);
            }
        }
        self.close(name);
    }

    /// Begins a start tag and declares the prefix of the name.
    fn open(&mut self, name: &str) {
        self.raw("<");
        self.raw(name);
        if let Some((prefix, _)) = name.split_once(':')
            && !self.prefixes.iter().any(|declared| declared == prefix)
        {
            match names::namespace_of(prefix) {
                Some(uri) => self.declare(prefix, uri),
                None => self.declare(prefix, &format!("{UNKNOWN_PREFIX}{prefix}")),
            }
            self.prefixes.push(prefix.into());
        }
    }

    fn declare(&mut self, prefix: &str, uri: &str) {
        self.raw(" xmlns:");
        self.raw(prefix);
        self.raw("=\"");
        self.raw(uri);
        self.raw("\"");
    }

    fn close(&mut self, name: &str) {
        self.raw("</");
        self.raw(name);
        self.raw(">");
    }

    fn scalar(&mut self, value: &Value) {
        match value {
            Value::Text(text) => self.text(text),
            other => {
                if let Some(text) = text::scalar(other) {
                    self.raw(&text);
                }
            }
        }
    }

    fn text(&mut self, text: &str) {
        self.escaped(text, false);
    }

    fn escaped(&mut self, text: &str, in_attribute: bool) {
        let bytes = text.as_bytes();
        let mut from = 0;
        for (at, byte) in bytes.iter().enumerate() {
            let escape = match byte {
                b'&' => "&amp;",
                b'<' => "&lt;",
                b'>' => "&gt;",
                // Readers make a line feed of it.
                b'\r' => "&#13;",
                b'"' if in_attribute => "&quot;",
                // Readers make blanks of these in attributes.
                b'\n' if in_attribute => "&#10;",
                b'\t' if in_attribute => "&#9;",
                _ => continue,
            };
            self.bytes.extend_from_slice(&bytes[from..at]);
            self.raw(escape);
            from = at + 1;
        }
        self.bytes.extend_from_slice(&bytes[from..]);
    }
}
