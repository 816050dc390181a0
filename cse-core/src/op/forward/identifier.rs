//! Identifiers of requests that go from CSE to CSE. Those that this CSE gives are never given again, and say who made
//! them and how many CSEs have passed the request on: `id-mn-5f3a-1c`, then `id-in-77b0-9~2` and so on.

use crate::value::Text;

/// What an identifier says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Made<'a> {
    /// By whom: its CSE-ID without slash.
    pub(crate) by: &'a str,
    /// How many CSEs have passed the request on, at least 1.
    pub(crate) passed_on: u32,
}

/// What an identifier says that has the form in which CSEs like this one make them.
pub(crate) fn read(identifier: &str) -> Option<Made<'_>> {
    let (rest, passed_on) = match identifier.split_once('~') {
        Some((rest, count)) => (rest, count.parse().ok().filter(|count| *count > 1)?),
        None => (identifier, 1),
    };
    let (rest, number) = rest.rsplit_once('-')?;
    let (by, started) = rest.rsplit_once('-')?;
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    (!by.is_empty() && is_number(started) && is_number(number)).then_some(Made { by, passed_on })
}

/// A new identifier, made to tell how often its request was passed on.
pub(crate) fn telling(identifier: Text, passed_on: u32) -> Text {
    if passed_on < 2 { identifier } else { smol_str::format_smolstr!("{identifier}~{passed_on}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identifier_tells_who_made_it_and_how_far_it_came() {
        for (identifier, expected) in [
            ("id-mn-5f3a-1c", Some(("id-mn", 1))),
            ("id-mn-5f3a-1c~2", Some(("id-mn", 2))),
            ("id-mn-5f3a-1c~17", Some(("id-mn", 17))),
            ("id-mn-2-5f3a-1c", Some(("id-mn-2", 1))),
            ("id-mn-5f3a-1c~1", None),
            ("id-mn-5f3a-1c~x", None),
            ("id-mn-5f3a-", None),
            ("id-xyz-1", None),
            ("-5f3a-1c", None),
            ("1", None),
            ("", None),
        ] {
            let expected = expected.map(|(by, passed_on)| Made { by, passed_on });
            assert_eq!(read(identifier), expected, "{identifier}");
        }
        assert_eq!(telling("a-1-2".into(), 1), "a-1-2");
        assert_eq!(read(&telling("a-1-2".into(), 3)), Some(Made { by: "a", passed_on: 3 }));
    }
}
