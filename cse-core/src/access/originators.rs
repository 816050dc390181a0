//! `accessControlOriginators`: which originators a rule is for (TS-0003 §7.1.3, TS-0004 §7.3.3.15).
//!
//! An entry is exactly one of: everybody, a service provider, an identifier (perhaps with `*`), or the address
//! of a group. The kinds are told apart by form alone, so that nobody becomes an originator by calling
//! themselves like a group. Role identifiers need tokens, which this CSE does not read: they never match.

use crate::id::{CseIdentity, Originator, is_unreserved, matches_within_segment};
use crate::resource::seq_of_generated_id;
use crate::value::{Text, Value};

/// The compiled value of `acor`.
#[derive(Clone, Debug, Default)]
pub(super) struct Originators {
    everybody: bool,
    /// Canonical identifiers, sorted.
    identifiers: Vec<Text>,
    /// Patterns of canonical identifiers.
    patterns: Vec<Text>,
    /// Whether all of our own service provider are meant.
    own_provider: bool,
    /// Other service providers, `//other.example`, perhaps with `*`.
    providers: Vec<Text>,
    /// Addresses that may be those of groups, as written.
    groups: Vec<Text>,
}

impl Originators {
    /// `None` if the value is no list of texts.
    pub(super) fn compile(value: &Value, identity: &CseIdentity) -> Option<Self> {
        let mut originators = Self::default();
        for entry in value.as_list()? {
            originators.add(entry.as_text()?, identity);
        }
        originators.identifiers.sort_unstable();
        Some(originators)
    }

    /// Whether nobody is meant.
    pub(super) fn is_empty(&self) -> bool {
        !self.everybody
            && !self.own_provider
            && self.identifiers.is_empty()
            && self.patterns.is_empty()
            && self.providers.is_empty()
            && self.groups.is_empty()
    }

    /// Addresses of groups whose members are meant, too.
    pub(super) fn groups(&self) -> &[Text] {
        &self.groups
    }

    /// Whether the originator is meant, not looking into groups.
    pub(super) fn contains(&self, originator: &Originator) -> bool {
        if self.everybody {
            return true;
        }
        let text = originator.as_str();
        if text.is_empty() {
            return false;
        }
        let of_provider = match provider_of(text) {
            Some(provider) => self.providers.iter().any(|pattern| matches_within_segment(pattern, provider)),
            None => self.own_provider,
        };
        of_provider
            || self.identifiers.binary_search_by(|identifier| identifier.as_str().cmp(text)).is_ok()
            || self.patterns.iter().any(|pattern| matches_within_segment(pattern, text))
    }

    fn add(&mut self, entry: &str, identity: &CseIdentity) {
        if entry == "all" {
            self.everybody = true;
        } else if is_provider(entry) {
            if matches_within_segment(entry, &identity.sp_id) {
                self.own_provider = true;
            }
            self.providers.push(entry.into());
        } else if entry.contains('*') {
            self.add_pattern(entry, identity);
        } else if is_group_address(entry, identity) {
            self.groups.push(entry.into());
        } else if is_identifier(entry) {
            let ambiguous = |id: &Text| id.starts_with("/S") && *id != identity.cse_id;
            match identity.canonical_cse_id(entry).filter(ambiguous) {
                // An S-type AE-ID or a CSE-ID: whichever is there, now or later.
                Some(cse_id) => self.identifiers.extend([cse_id[1..].into(), cse_id]),
                None => self.identifiers.push(identity.canonical_originator(entry).text().clone()),
            }
        }
    }

    /// A pattern may stand for originators in several canonical forms: the absolute one of other providers,
    /// the SP-relative one of other CSEs, and the stem of AEs that are registered here or have an S-type stem.
    fn add_pattern(&mut self, entry: &str, identity: &CseIdentity) {
        let sp_relative = match provider_of(entry) {
            Some(provider) => {
                self.patterns.push(entry.into());
                if !matches_within_segment(provider, &identity.sp_id) {
                    return;
                }
                &entry[provider.len()..]
            }
            None => entry,
        };
        let Some(path) = sp_relative.strip_prefix('/') else {
            if !sp_relative.contains('/') {
                self.patterns.push(sp_relative.into());
            }
            return;
        };
        match path.split_once('/') {
            None => {
                self.patterns.push(sp_relative.into());
                if path.starts_with('S') {
                    self.patterns.push(path.into());
                }
            }
            Some((cse, stem)) if !stem.contains('/') => {
                self.patterns.push(sp_relative.into());
                if matches_within_segment(cse, identity.base_id()) {
                    self.patterns.push(stem.into());
                }
            }
            // No identifier has so many segments.
            Some(_) => {}
        }
    }
}

/// The M2M-SP-ID of an absolute identifier, with its two slashes.
fn provider_of(text: &str) -> Option<&str> {
    let rest = text.strip_prefix("//")?;
    rest.find('/').map(|end| &text[..end + 2])
}

fn is_provider(entry: &str) -> bool {
    entry.strip_prefix("//").is_some_and(|name| !name.is_empty() && !name.contains('/'))
}

/// Whether the text is an identifier of a CSE or an AE, in any of its forms.
fn is_identifier(entry: &str) -> bool {
    let sp_relative = match provider_of(entry) {
        Some(provider) if is_unreserved(&provider[2..]) => &entry[provider.len()..],
        Some(_) => return false,
        None => entry,
    };
    match sp_relative.strip_prefix('/') {
        None => is_unreserved(sp_relative),
        Some(path) => match path.split_once('/') {
            None => is_unreserved(path),
            Some((cse, stem)) => is_unreserved(cse) && is_unreserved(stem),
        },
    }
}

/// Whether the text can be the address of a group and cannot be an identifier of an originator.
fn is_group_address(entry: &str, identity: &CseIdentity) -> bool {
    if !entry.split('/').all(|segment| segment.is_empty() || is_unreserved(segment)) {
        return false;
    }
    match identity.local_part(entry) {
        Some(local) => match local.split_once('/') {
            None => !is_ae_stem(local) && seq_of_generated_id(local).is_some(),
            Some((first, path)) => {
                !path.is_empty() && (first == identity.cse_name || first == "-" || seq_of_generated_id(first).is_some())
            }
        },
        None => {
            let sp_relative = provider_of(entry).map_or(entry, |provider| &entry[provider.len()..]);
            sp_relative
                .trim_start_matches('/')
                .split_once('/')
                .is_some_and(|(_, path)| !path.is_empty() && !is_ae_stem(path))
        }
    }
}

fn is_ae_stem(text: &str) -> bool {
    text.starts_with(['C', 'S']) && !text.contains('/')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::CseType;

    fn identity() -> CseIdentity {
        CseIdentity::new("//cse.example", "/id-in", "cse-in", CseType::In).expect("valid")
    }

    fn originators(entry: &str) -> Originators {
        Originators::compile(&Value::text_list([entry]), &identity()).expect("a list of texts")
    }

    #[test]
    fn an_entry_is_for_the_originators_it_names() {
        for (entry, originator, meant) in [
            ("all", "Cmeter", true),
            ("all", "//other.example/id/Cx", true),
            ("All", "Cmeter", false),
            // AEs registered here, in every form.
            ("Cmeter", "Cmeter", true),
            ("/id-in/Cmeter", "Cmeter", true),
            ("//cse.example/id-in/Cmeter", "Cmeter", true),
            ("/id-mn/Cmeter", "Cmeter", false),
            ("Cmeter", "/id-mn/Cmeter", false),
            ("Cmeter", "Cmeter2", false),
            // AE-IDs given by the service provider.
            ("S17", "S17", true),
            ("/S17", "S17", true),
            ("/S17", "/S17", true),
            ("//cse.example/S17", "/S17", true),
            ("S17", "/S17", false),
            ("//cse.example/S17", "S17", true),
            ("/id-in/S17", "S17", true),
            // Elsewhere.
            ("/id-mn/Cmeter", "/id-mn/Cmeter", true),
            ("//cse.example/id-mn/Cmeter", "/id-mn/Cmeter", true),
            ("//other.example/id/Cx", "//other.example/id/Cx", true),
            ("/id/Cx", "//other.example/id/Cx", false),
            // CSEs.
            ("/id-mn", "/id-mn", true),
            ("//cse.example/id-mn", "/id-mn", true),
            ("/id-in", "/id-in", true),
            ("/id-mn", "/id-mn/Cmeter", false),
            // Patterns.
            ("C*", "Cmeter", true),
            ("C*", "S17", false),
            ("C*", "/id-mn/Cmeter", false),
            ("/id-in/C*", "Cmeter", true),
            ("/id-*/C*", "Cmeter", true),
            ("/id-*/C*", "/id-mn/Cmeter", true),
            ("/id-mn/C*", "Cmeter", false),
            ("/*/Cmeter", "Cmeter", true),
            ("//*/id-*/C*", "Cmeter", true),
            ("//*/id-*/C*", "/id-mn/Cmeter", true),
            ("//*/id-*/C*", "//other.example/id-mn/Cmeter", true),
            ("//other.*/id-*/C*", "/id-mn/Cmeter", false),
            ("//cse.example/C*", "Cmeter", false),
            ("/S*", "S17", true),
            ("S*", "S17", true),
            ("/id-in/S*", "S17", true),
            ("/*", "/id-mn", true),
            ("/*", "/id-in", true),
            ("/*", "Cmeter", false),
            ("/*", "S17", false),
            ("/*", "/id-mn/Cmeter", false),
            ("//*/id-*", "/id-mn", true),
            ("*", "Cmeter", true),
            ("*", "/id-mn", false),
            ("*", "", false),
            ("/id-*/C*/x", "/id-mn/Cmeter/x", false),
            ("cse-in/*", "cse-in/Cx", false),
            // Service providers.
            ("//cse.example", "Cmeter", true),
            ("//cse.example", "/id-mn/Cmeter", true),
            ("//cse.example", "//cse.examplex/id/Cx", false),
            ("//other.example", "//other.example/id/Cx", true),
            ("//other.example", "Cmeter", false),
            ("//*.example", "//other.example/id/Cx", true),
            ("//*.example", "Cmeter", true),
            ("//o*.example", "Cmeter", false),
            ("//other.example", "//other.example.evil/id/Cx", false),
            // What is no identifier is nobody's.
            ("1234abcd@roles.example", "1234abcd@roles.example", false),
            ("grp17", "grp17", false),
            ("cse-in/grp", "cse-in/grp", false),
            ("/id-mn/grp17", "/id-mn/grp17", false),
            ("", "", false),
            ("//", "Cmeter", false),
            ("//cse.example/", "Cmeter", false),
        ] {
            let originator = Originator::from_canonical(originator);
            assert_eq!(originators(entry).contains(&originator), meant, "{entry} for {originator}");
        }
    }

    #[test]
    fn group_addresses_are_told_from_identifiers() {
        for (entry, group) in [
            ("grp17", true),
            ("cse-in/ae/grp", true),
            ("-/grp", true),
            ("ae5/grp", true),
            ("/id-in/grp17", true),
            ("/id-in/cse-in/grp", true),
            ("//cse.example/id-in/grp17", true),
            ("/id-mn/grp5", true),
            ("/id-mn/cse-mn/grp", true),
            ("//other.example/id/grp5", true),
            ("all", false),
            ("Cmeter", false),
            ("C17", false),
            ("S17", false),
            ("/S17", false),
            ("/id-in", false),
            ("/id-in/Cmeter", false),
            ("/id-in/C17", false),
            ("/id-mn", false),
            ("/id-mn/Cmeter", false),
            ("/id-mn/C5", false),
            ("//other.example", false),
            ("//other.example/id", false),
            ("//other.example/id/C5", false),
            ("cse-in", false),
            ("cse-in/", false),
            ("other/grp", false),
            ("grp*", false),
            ("cse-in/*", false),
            ("5678@roles.example", false),
            ("http://example.org/x", false),
            ("mqtt://example.org/x", false),
            ("", false),
        ] {
            assert_eq!(!originators(entry).groups().is_empty(), group, "{entry}");
        }
    }

    #[test]
    fn what_is_no_list_of_texts_is_refused() {
        for value in [Value::from("all"), Value::Null, Value::List(vec![Value::from("all"), Value::Int(1)])] {
            assert!(Originators::compile(&value, &identity()).is_none(), "{value:?}");
        }
        assert!(Originators::compile(&Value::List(Vec::new()), &identity()).expect("a list").is_empty());
    }
}
