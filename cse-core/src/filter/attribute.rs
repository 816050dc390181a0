//! Conditions on attributes by name (`atr`, `catr`, `patr`, TS-0004 §7.3.3.17.9).
//!
//! Clients write values as they come: numbers in quotes, numbers for text, times with or without fraction.
//! Comparison is by meaning where both sides have one. `*` stands for any text.

use smol_str::format_smolstr;

use crate::primitive::AttributeCondition;
use crate::resource::{Resource, is_internal};
use crate::time::Timestamp;
use crate::value::{Text, Value};

/// Longest name of an attribute.
const NAME_BYTES_MAX: usize = 64;

/// Refuses conditions that no resource can satisfy, because of their form.
///
/// # Errors
/// What is wrong, as the end of a sentence.
pub(super) fn check(condition: &AttributeCondition) -> Result<(), String> {
    let AttributeCondition { name, value } = condition;
    let letters = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
    let begins_well = name.as_bytes().first().is_some_and(|byte| byte.is_ascii_alphabetic() || *byte == b'_');
    if !begins_well || name.len() > NAME_BYTES_MAX || !name.bytes().all(letters) {
        let name: String = name.chars().take(NAME_BYTES_MAX).collect();
        return Err(format!("has '{name}' as nm, which is no short name of an attribute"));
    }
    let is_scalar = |value: &Value| !matches!(value, Value::Null | Value::List(_) | Value::Map(_));
    match value {
        Value::List(list) if !list.is_empty() && list.iter().all(is_scalar) => Ok(()),
        value if is_scalar(value) => Ok(()),
        other => Err(format!(
            "has {} as val of '{name}'; it must be a string, a number, a boolean, or a list of these",
            other.kind_name()
        )),
    }
}

/// Whether the resource has the attribute with that value, or one of those values.
pub(super) fn holds(condition: &AttributeCondition, resource: &Resource) -> bool {
    let wanted = match &condition.value {
        Value::List(list) => list.as_slice(),
        one => std::slice::from_ref(one),
    };
    if let Some(actual) = resource.attributes.get(&condition.name).filter(|_| !is_internal(&condition.name)) {
        return wanted.iter().any(|wanted| equals(wanted, actual));
    }
    let text = |text: &Text| wanted.iter().any(|wanted| text_equals(wanted, text));
    let number = |number: u64| wanted.iter().any(|wanted| equals(wanted, &Value::from(number)));
    let time = |time: Timestamp| wanted.iter().any(|wanted| time_equals(wanted, time));
    match condition.name.as_str() {
        "ty" => number(u64::from(resource.ty.0)),
        "ri" => text(&resource.id),
        "rn" => text(&resource.name),
        "pi" => text(&resource.parent_id),
        "ct" => time(resource.creation_time),
        "lt" => time(resource.last_modified_time),
        "et" => resource.expiration_time.is_some_and(time),
        "st" => resource.state_tag.is_some_and(number),
        "cs" => resource.content_size.is_some_and(number),
        "cr" => text(resource.creator.text()),
        _ => false,
    }
}

/// Whether the attribute's value, or an item of it, is the wanted one.
fn equals(wanted: &Value, actual: &Value) -> bool {
    match actual {
        Value::Null | Value::Map(_) => false,
        Value::List(items) => items.iter().any(|item| equals(wanted, item)),
        Value::Bool(actual) => match wanted {
            Value::Bool(wanted) => wanted == actual,
            Value::Text(wanted) => like(wanted, if *actual { "true" } else { "false" }),
            _ => false,
        },
        Value::Text(actual) => text_equals(wanted, actual),
        Value::Int(number) => number_equals(wanted, actual, || format_smolstr!("{number}")),
        Value::UInt(number) => number_equals(wanted, actual, || format_smolstr!("{number}")),
        Value::Float(number) => number_equals(wanted, actual, || format_smolstr!("{number}")),
    }
}

fn text_equals(wanted: &Value, actual: &str) -> bool {
    match wanted {
        Value::Text(wanted) => like(wanted, actual),
        Value::Bool(wanted) => actual == if *wanted { "true" } else { "false" },
        wanted => same_number(wanted, &Value::from(actual)),
    }
}

fn number_equals(wanted: &Value, actual: &Value, text: impl FnOnce() -> Text) -> bool {
    match wanted {
        Value::Text(wanted) if wanted.contains('*') => like(wanted, &text()),
        wanted => same_number(wanted, actual),
    }
}

fn time_equals(wanted: &Value, actual: Timestamp) -> bool {
    match wanted {
        Value::Text(wanted) if wanted.contains('*') => like(wanted, &format_smolstr!("{actual}")),
        Value::Text(wanted) => Timestamp::parse(wanted) == Some(actual),
        _ => false,
    }
}

/// Whether both are numbers, or texts of numbers, and equal. Integers are compared as such: as floating point
/// numbers, big ones would be equal to their neighbours.
fn same_number(one: &Value, other: &Value) -> bool {
    if let (Some(one), Some(other)) = (integer(one), integer(other)) {
        return one == other;
    }
    matches!((float(one), float(other)), (Some(one), Some(other)) if one == other)
}

fn integer(value: &Value) -> Option<i128> {
    match value {
        Value::Int(int) => Some(i128::from(*int)),
        Value::UInt(int) => Some(i128::from(*int)),
        Value::Text(text) => text.parse().ok(),
        _ => None,
    }
}

fn float(value: &Value) -> Option<f64> {
    match value {
        Value::Int(int) => Some(*int as f64),
        Value::UInt(int) => Some(*int as f64),
        Value::Float(float) => Some(*float),
        // The words for infinity and not-a-number are text to everybody else.
        Value::Text(text) if text.bytes().any(|byte| byte.is_ascii_digit()) => text.parse().ok(),
        _ => None,
    }
}

/// Whether `text` matches `pattern`, where each `*` stands for any number of characters. Takes time in proportion
/// to the lengths, because contents may be long and patterns come from clients.
fn like(pattern: &str, text: &str) -> bool {
    let Some((prefix, rest)) = pattern.split_once('*') else {
        return pattern == text;
    };
    let (middles, suffix) = rest.rsplit_once('*').unwrap_or(("", rest));
    let Some(mut between) = text.strip_prefix(prefix).and_then(|text| text.strip_suffix(suffix)) else {
        return false;
    };
    middles.split('*').all(|middle| match between.find(middle) {
        Some(start) => {
            between = &between[start + middle.len()..];
            true
        }
        None => false,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::id::matches_wildcard;

    fn value(json: &str) -> Value {
        serde_json::from_str(json).expect("valid JSON")
    }

    #[test]
    fn values_are_compared_by_meaning() {
        for (wanted, actual, equal) in [
            (r#""on""#, r#""on""#, true),
            (r#""on""#, r#""On""#, false),
            (r#""o*""#, r#""on""#, true),
            (r#""*""#, r#""""#, true),
            (r#""5""#, "5", true),
            ("5", r#""5""#, true),
            ("5", r#""05""#, true),
            ("5", r#""5 apples""#, false),
            (r#""5""#, r#""5.0""#, false),
            (r#""5.0""#, "5", true),
            ("5.5", r#""5.5""#, true),
            (r#""5.50""#, "5.5", true),
            (r#""1*5""#, "1235", true),
            (r#""1*5""#, "1236", false),
            ("9007199254740993", "9007199254740992", false),
            (r#""9007199254740993""#, "9007199254740992", false),
            ("18446744073709551615", r#""18446744073709551615""#, true),
            ("-3", r#""-3""#, true),
            ("5", "6", false),
            ("1", "true", false),
            (r#""true""#, "true", true),
            ("true", r#""true""#, true),
            ("true", "true", true),
            ("false", "true", false),
            ("true", "1", false),
            (r#""inf""#, "5", false),
            (r#""b""#, r#"["a","b"]"#, true),
            ("2", "[1,2]", true),
            (r#""c*""#, r#"["a","b"]"#, false),
            (r#""a""#, r#"{"a":"a"}"#, false),
            (r#""null""#, "null", false),
            (r#""a""#, "[]", false),
        ] {
            assert_eq!(equals(&value(wanted), &value(actual)), equal, "{wanted} {actual}");
        }
    }

    #[test]
    fn conditions_that_cannot_hold_are_refused() {
        for (name, json, reason) in [
            ("", r#""x""#, "no short name"),
            ("a b", r#""x""#, "no short name"),
            ("5a", r#""x""#, "no short name"),
            ("größe", r#""x""#, "no short name"),
            (&"a".repeat(65), r#""x""#, "no short name"),
            ("con", "null", "has null as val of 'con'"),
            ("con", "{}", "has an object as val"),
            ("con", "[]", "has a list as val"),
            ("con", "[[1]]", "has a list as val"),
        ] {
            let condition = AttributeCondition { name: name.into(), value: value(json) };
            let problem = check(&condition).expect_err(name);
            assert!(problem.contains(reason), "{name} {json}: {problem}");
        }
        for (name, json) in [("con", r#""x*""#), ("_x", "5"), ("powSe", "true"), ("lbl", r#"["a",2]"#)] {
            assert_eq!(check(&AttributeCondition { name: name.into(), value: value(json) }), Ok(()));
        }
    }

    #[test]
    fn long_texts_cost_no_quadratic_time() {
        let text = "a".repeat(4_000_000);
        assert!(!like(&format!("*{}b*", "a".repeat(20_000)), &text));
        assert!(!like(&format!("{}b", "*a".repeat(2_000)), &text));
    }

    proptest! {
        #[test]
        fn wildcards_are_those_of_identifiers(pattern in "[ab*é]{0,8}", text in "[abé]{0,12}") {
            prop_assert_eq!(like(&pattern, &text), matches_wildcard(&pattern, &text));
        }
    }
}
