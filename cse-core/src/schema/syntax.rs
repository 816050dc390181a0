//! The syntax of simple data types (TS-0004 §6.3.3), with bounds where the specification has none.

use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::{Ipv4Net, Ipv6Net};

/// Bytes in an `xs:string`.
pub const MAX_TEXT: usize = 65_536;
/// Bytes in an address or an identifier.
pub const MAX_URI: usize = 4_096;
/// Bytes in a token such as a label.
pub const MAX_TOKEN: usize = 1_024;
/// Bytes in a resource name or another name.
pub const MAX_NAME: usize = 255;
/// Items in a list.
pub const MAX_LIST_ITEMS: usize = 10_000;

/// Whether this is a resource name (`m2m:resourceName`): a letter or digit, then letters, digits, `-`, `.`, `_`.
pub fn is_resource_name(text: &str) -> bool {
    text.len() <= MAX_NAME
        && text.starts_with(|first: char| first.is_ascii_alphanumeric())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_'))
}

/// Whether this is a schedule entry (`m2m:scheduleEntry`, TS-0004 §6.3.3): second, minute, hour, day of the month,
/// month, day of the week (0 is Sunday), year; each `*`, or numbers and ranges separated by commas, with an
/// optional step.
pub fn is_schedule_entry(text: &str) -> bool {
    const FIELDS: [(u32, u32); 7] = [(0, 59), (0, 59), (0, 23), (1, 31), (1, 12), (0, 6), (1, 9999)];
    let fields: Vec<&str> = text.split(' ').take(FIELDS.len() + 1).collect();
    text.len() <= MAX_TOKEN
        && fields.len() == FIELDS.len()
        && fields.iter().zip(FIELDS).all(|(field, limits)| field.split(',').all(|item| is_schedule_item(item, limits)))
}

fn is_schedule_item(item: &str, (min, max): (u32, u32)) -> bool {
    let number =
        |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse::<u32>().ok()).flatten();
    let in_range = |text: &str| number(text).filter(|number| (min..=max).contains(number));
    let (range, step) = match item.split_once('/') {
        Some((range, step)) => (range, Some(step)),
        None => (item, None),
    };
    let range_is_valid = match range.split_once('-') {
        Some((from, to)) => in_range(from).zip(in_range(to)).is_some_and(|(from, to)| from <= to),
        None => range == "*" || in_range(range).is_some(),
    };
    range_is_valid && step.is_none_or(|step| number(step).is_some_and(|step| step > 0))
}

/// Text that XML can carry, so that every resource has an XML form.
pub(super) fn is_text(text: &str) -> bool {
    text.len() <= MAX_TEXT && text.chars().all(is_xml_character)
}

fn is_xml_character(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | '\u{20}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}

pub(super) fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= MAX_TOKEN
        && !text.starts_with(' ')
        && !text.ends_with(' ')
        && text.chars().all(|c| is_xml_character(c) && !c.is_control())
}

pub(super) fn is_nc_name(text: &str) -> bool {
    text.len() <= MAX_NAME
        && text.starts_with(|first: char| first.is_alphabetic() || first == '_')
        && text.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '.' | '_' | '\u{b7}'))
}

/// What addresses and identifiers have in common. Anything stricter refuses identifiers that are in use.
pub(super) fn is_uri(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= MAX_URI
        && text.chars().all(|c| is_xml_character(c) && !c.is_whitespace() && !c.is_control())
}

pub(super) fn is_base64(text: &str) -> bool {
    let mut digits = 0_usize;
    let mut padding = 0_usize;
    for byte in text.bytes().filter(|byte| !byte.is_ascii_whitespace()) {
        match byte {
            b'=' => padding += 1,
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'+' | b'/' if padding == 0 => digits += 1,
            _ => return false,
        }
    }
    padding <= 2 && (digits + padding).is_multiple_of(4)
}

/// `type/subtype`, then optionally the encoding (0 to 2) and the security (0 to 5), separated by colons.
pub(super) fn is_content_info(text: &str) -> bool {
    let mut parts = text.split(':');
    let is_media_type = parts
        .next()
        .and_then(|media| media.split_once('/'))
        .is_some_and(|(kind, subtype)| !kind.is_empty() && !subtype.is_empty() && !kind.contains(char::is_whitespace));
    let digit = |part: Option<&str>, max: u8| {
        part.is_none_or(|part| matches!(part.as_bytes(), [digit] if (b'0'..=max).contains(digit)))
    };
    is_media_type
        && text.len() <= MAX_NAME
        && digit(parts.next(), b'2')
        && digit(parts.next(), b'5')
        && parts.next().is_none()
}

/// `json`, `xml` or `cbor`, alone or in a media type.
pub(super) fn is_serialization(text: &str) -> bool {
    let name = text.strip_prefix("application/").unwrap_or(text);
    let name = name.strip_prefix("vnd.onem2m-").and_then(|rest| rest.split_once('+')).map_or(name, |(_, name)| name);
    matches!(name, "json" | "xml" | "cbor")
}

pub(super) fn is_release_version(text: &str) -> bool {
    matches!(text, "1" | "2" | "2a" | "3" | "4" | "5")
}

pub(super) fn is_country_code(text: &str) -> bool {
    text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_alphabetic())
}

pub(super) fn is_ipv4(text: &str) -> bool {
    text.parse::<Ipv4Addr>().is_ok() || text.parse::<Ipv4Net>().is_ok()
}

pub(super) fn is_ipv6(text: &str) -> bool {
    text.parse::<Ipv6Addr>().is_ok() || text.parse::<Ipv6Net>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(check: fn(&str) -> bool, accepted: &[&str], refused: &[&str]) {
        for text in accepted {
            assert!(check(text), "refused: {text:?}");
        }
        for text in refused {
            assert!(!check(text), "accepted: {text:?}");
        }
    }

    #[test]
    fn resource_names_begin_with_a_letter_or_digit() {
        let longest = "a".repeat(MAX_NAME);
        let too_long = "a".repeat(MAX_NAME + 1);
        all(
            is_resource_name,
            &["a", "7", "meter-1.room_2", &longest],
            &["", "-", "-a", "_a", ".a", "a b", "a/b", "ä", "a~", &too_long],
        );
    }

    #[test]
    fn schedule_entries_have_seven_fields_in_range() {
        all(
            is_schedule_entry,
            &[
                "* * * * * * *",
                "0 0 8-17 * * 1-5 *",
                "0,30 */5 * 1,15 12 0 2026",
                "59 59 23 31 12 6 9999",
                "0-30/10 * * * * * *",
            ],
            &[
                "",
                "* * * * * *",
                "* * * * * * * *",
                "60 * * * * * *",
                "* * 24 * * * *",
                "* * * 0 * * *",
                "* * * * 13 * *",
                "* * * * * 7 *",
                "5-1 * * * * * *",
                "*/0 * * * * * *",
                "a * * * * * *",
                "+1 * * * * * *",
                "1,, * * * * * *",
                "*  * * * * * *",
            ],
        );
    }

    #[test]
    fn content_info_names_type_encoding_and_security() {
        all(
            is_content_info,
            &["text/plain:0", "application/json:1", "application/json:2:5", "text/plain", "text/plain;charset=utf-8:0"],
            &[
                "",
                "text",
                "text/",
                "/plain",
                "text/plain:3",
                "text/plain:0:6",
                "text/plain:0:0:0",
                "text/plain:",
                "text/plain:00",
            ],
        );
    }

    #[test]
    fn texts_stay_within_what_xml_can_carry() {
        all(is_text, &["", "a\nb\t", "\u{1f600}"], &["\0", "\u{1}", "\u{ffff}"]);
        all(is_token, &["a", "key:value", "two words"], &["", " a", "a ", "a\nb", "\u{7f}"]);
        all(is_uri, &["a", "//sp/cse/-/x", "mqtt://h:1883"], &["", "a b", "a\tb", "\u{1}"]);
        all(is_nc_name, &["a", "_x", "lbl", "ä-1"], &["", "1a", "a:b", "a b", "-a"]);
    }

    #[test]
    fn other_simple_types() {
        all(is_base64, &["", "QUJD", "QUI=", "QQ==", "QUJD\nQUJD"], &["Q", "QQ=", "Q===", "QQ=A", "QU_D", "===="]);
        all(
            is_serialization,
            &["json", "application/xml", "application/vnd.onem2m-res+cbor"],
            &["", "yaml", "application/"],
        );
        all(is_ipv4, &["10.0.0.1", "10.0.0.0/8"], &["", "10.0.0", "10.0.0.0/33", "::1"]);
        all(is_ipv6, &["::1", "2001:db8::/32"], &["", "::1/129", "10.0.0.1"]);
        all(is_country_code, &["DE", "fr"], &["", "D", "DEU", "D1"]);
        all(is_release_version, &["1", "2a", "5"], &["", "0", "6", "2b", "3.0"]);
    }
}
