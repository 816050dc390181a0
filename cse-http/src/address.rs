//! Path to `to` and back (TS-0009 §6.2.2): `/~` begins an SP-relative and `/_` an absolute address.

use std::borrow::Cow;

use cse_core::error::Error;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// What stays as it is in a path: unreserved characters and the separator.
const ESCAPED: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');

/// The `to` that a request path below `root` stands for. `root` is empty or begins and does not end with `/`.
///
/// # Errors
/// [`Error::NotFound`] outside of `root`, [`Error::MissingParameter`] when nothing is left.
pub(crate) fn to_from_path<'a>(root: &str, path: &'a str) -> Result<Cow<'a, str>, Error> {
    let below = path.strip_prefix(root).filter(|rest| rest.is_empty() || rest.starts_with('/'));
    let below = below.ok_or_else(|| Error::NotFound(path.chars().take(256).collect()))?;
    let decoded = percent_decode_str(below)
        .decode_utf8()
        .map_err(|_| Error::parameter("to", "has percent-encoded bytes that are not UTF-8"))?;
    let to = match decoded {
        Cow::Borrowed(text) => rewritten(text),
        Cow::Owned(text) => Cow::Owned(rewritten(&text).into_owned()),
    };
    if to.is_empty() { Err(Error::MissingParameter("to")) } else { Ok(to) }
}

fn rewritten(path: &str) -> Cow<'_, str> {
    let path = path.strip_suffix('/').unwrap_or(path);
    let path = path.strip_prefix('/').unwrap_or(path);
    if let Some(sp_relative) = path.strip_prefix('~').filter(|rest| rest.starts_with('/')) {
        return Cow::Borrowed(sp_relative);
    }
    if let Some(absolute) = path.strip_prefix('_').filter(|rest| rest.starts_with('/')) {
        return Cow::Owned(format!("/{absolute}"));
    }
    Cow::Borrowed(path)
}

/// The path that stands for `to`.
pub(crate) fn path_from_to(to: &str) -> String {
    let escaped = |text| utf8_percent_encode(text, &ESCAPED);
    match to.strip_prefix('/') {
        Some(rest) if rest.starts_with('/') => format!("/_{}", escaped(rest)),
        Some(_) => format!("/~{}", escaped(to)),
        None => format!("/{}", escaped(to)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_form_of_address_has_its_path() {
        for (root, path, to) in [
            ("", "/cse/ae/cnt", "cse/ae/cnt"),
            ("", "/cin00856", "cin00856"),
            ("", "/~/id-cse/cse/ae", "/id-cse/cse/ae"),
            ("", "/~/id-cse", "/id-cse"),
            ("", "/_/sp.example/id-cse/ri", "//sp.example/id-cse/ri"),
            ("", "/-/ae/cnt", "-/ae/cnt"),
            ("", "/~/id-cse/-/ae", "/id-cse/-/ae"),
            ("", "/cse/ae/", "cse/ae"),
            ("", "/~/id-cse/", "/id-cse"),
            ("", "/%7E/id-cse/c%73e", "/id-cse/cse"),
            ("", "/cse/%C3%A9", "cse/é"),
            ("", "/~x/y", "~x/y"),
            ("", "/_x/y", "_x/y"),
            ("/m2m", "/m2m/~/id-cse/cse", "/id-cse/cse"),
            ("/m2m", "/m2m/cse", "cse"),
        ] {
            assert_eq!(to_from_path(root, path).expect("an address"), to, "{path}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for (root, path, rsc) in [
            ("", "/", 4000),
            ("", "/cse/%FF", 4000),
            ("/m2m", "/cse", 4004),
            ("/m2m", "/m2mx/cse", 4004),
            ("/m2m", "/m2m", 4000),
            ("/m2m", "/m2m/", 4000),
        ] {
            assert_eq!(to_from_path(root, path).expect_err("refused").rsc().code(), rsc, "{path}");
        }
    }

    proptest! {
        #[test]
        fn an_address_survives_the_path(to in "(/|//)?[A-Za-z0-9][ -.0-9A-Z_a-zé~%?#]{0,20}(/[!-.0-~]{1,8}){0,3}") {
            let path = path_from_to(&to);
            prop_assert_eq!(to_from_path("", &path).expect("an address"), to);
        }
    }
}
