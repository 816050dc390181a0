//! What a text means where a value of some kind is expected, and which values a text can say.

use crate::schema::Kind;
use crate::value::{Text, Value};

/// White space as XML has it.
pub(super) fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

pub(super) fn trimmed(text: &str) -> &str {
    text.trim_matches([' ', '\t', '\n', '\r'])
}

/// Whether blanks around the text belong to it.
fn keeps_blanks(kind: &Kind) -> bool {
    matches!(kind, Kind::Text | Kind::Any)
}

/// The value that a text means.
pub(super) fn value_of(kind: &Kind, text: &str) -> Value {
    if keeps_blanks(kind) { text.into() } else { kind.from_text(trimmed(text)) }
}

/// The items of a list.
pub(super) fn items_of(kind: &Kind, text: &str) -> Vec<Value> {
    let items = text.split([' ', '\t', '\n', '\r']).filter(|item| !item.is_empty());
    match kind {
        Kind::Any => items.map(|item| number(item).unwrap_or_else(|| item.into())).collect(),
        _ => items.map(|item| kind.from_text(item)).collect(),
    }
}

/// Whether repeated elements of this kind may as well be one element with blanks between the items.
pub(super) fn is_splittable(kind: &Kind) -> bool {
    matches!(
        kind,
        Kind::Bool
            | Kind::Int { .. }
            | Kind::UInt { .. }
            | Kind::Float
            | Kind::Enum(_)
            | Kind::EventCategory
            | Kind::Uri
            | Kind::Id
            | Kind::NcName
            | Kind::ResourceName
            | Kind::Timestamp
            | Kind::Duration
    )
}

/// Whether [`value_of`] gives this value back for its text.
pub(super) fn says(kind: &Kind, value: &Value) -> bool {
    match value {
        Value::Text(text) => {
            let kept = keeps_blanks(kind) || trimmed(text).len() == text.len();
            kept && is_plain_text(text) && (is_textual(kind) || matches!(kind.from_text(text), Value::Text(_)))
        }
        Value::Bool(_) => matches!(kind, Kind::Bool),
        Value::Int(_) | Value::UInt(_) => is_numeric(kind),
        Value::Float(float) => matches!(kind, Kind::Float) && float.is_finite(),
        Value::Null | Value::List(_) | Value::Map(_) => false,
    }
}

/// Whether [`items_of`] gives these items back.
pub(super) fn says_items(kind: &Kind, items: &[Value]) -> bool {
    items.iter().all(|item| match item {
        Value::Text(text) if text.is_empty() || text.bytes().any(is_blank) => false,
        Value::Text(text) if matches!(kind, Kind::Any) => is_plain_text(text) && number(text).is_none(),
        Value::Int(_) | Value::UInt(_) | Value::Float(_) if matches!(kind, Kind::Any) => true,
        other => says(kind, other),
    })
}

/// Whether XML can carry every character.
pub(super) fn is_plain_text(text: &str) -> bool {
    let is_control = |byte: u8| byte < 0x20 && !is_blank(byte);
    // U+FFFE and U+FFFF are EF BF BE and EF BF BF in UTF-8.
    !text.bytes().any(is_control) && (text.is_ascii() || !text.contains(['\u{fffe}', '\u{ffff}']))
}

/// A number in exactly the form in which numbers are written.
fn number(text: &str) -> Option<Value> {
    let first = text.bytes().next()?;
    if !first.is_ascii_digit() && first != b'-' {
        return None;
    }
    let value = match (text.parse::<i64>(), text.parse::<u64>()) {
        (Ok(int), _) => Value::Int(int),
        (_, Ok(int)) => Value::UInt(int),
        _ => text.parse().ok().filter(|float: &f64| float.is_finite()).map(Value::Float)?,
    };
    (scalar(&value).as_deref() == Some(text)).then_some(value)
}

/// The text of a scalar; `None` for anything else.
pub(super) fn scalar(value: &Value) -> Option<Text> {
    Some(match value {
        Value::Text(text) => text.clone(),
        Value::Bool(true) => Text::new_static("true"),
        Value::Bool(false) => Text::new_static("false"),
        Value::Int(int) => smol_str::format_smolstr!("{int}"),
        Value::UInt(int) => smol_str::format_smolstr!("{int}"),
        // With an exponent where digits would be many; always told from an integer.
        Value::Float(float) => smol_str::format_smolstr!("{float:?}"),
        Value::Null | Value::List(_) | Value::Map(_) => return None,
    })
}

fn is_numeric(kind: &Kind) -> bool {
    matches!(
        kind,
        Kind::Int { .. }
            | Kind::UInt { .. }
            | Kind::Float
            | Kind::Enum(_)
            | Kind::EventCategory
            | Kind::SpecializationType
    )
}

/// Whether any text of this kind stays text.
fn is_textual(kind: &Kind) -> bool {
    !is_numeric(kind) && !matches!(kind, Kind::Bool)
}

/// The value that `xsi:type` asks for, by the local name of the type. `None` for types that are not built in: the
/// tables know better.
pub(super) fn value_of_type(type_name: &str, text: &str) -> Option<Value> {
    let kind = match type_name {
        "string" | "normalizedString" | "token" | "anyURI" | "NCName" | "base64Binary" | "duration" => Kind::Text,
        "boolean" => Kind::Bool,
        "integer" | "nonNegativeInteger" | "positiveInteger" | "nonPositiveInteger" | "negativeInteger" | "long"
        | "int" | "short" | "byte" | "unsignedLong" | "unsignedInt" | "unsignedShort" | "unsignedByte" => {
            Kind::Int { min: i64::MIN, max: i64::MAX }
        }
        "double" | "float" | "decimal" => Kind::Float,
        _ => return None,
    };
    Some(value_of(&kind, text))
}

/// The type that [`value_of_type`] understands, for a scalar that is of another kind than the tables say.
pub(super) fn type_of(value: &Value) -> Option<&'static str> {
    match value {
        Value::Text(text) if is_plain_text(text) => Some("string"),
        Value::Bool(_) => Some("boolean"),
        Value::Int(_) | Value::UInt(_) => Some("integer"),
        Value::Float(float) if float.is_finite() => Some("double"),
        _ => None,
    }
}

/// A value as JSON text that XML can carry.
pub(super) fn json(value: &Value) -> String {
    // Writing to memory cannot fail, and the keys are strings.
    let text = serde_json::to_string(value).unwrap_or_default();
    if is_plain_text(&text) {
        return text;
    }
    // JSON itself escapes control characters; these occur in strings only.
    text.replace('\u{fffe}', "\\ufffe").replace('\u{ffff}', "\\uffff")
}
