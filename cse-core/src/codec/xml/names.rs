//! Names and namespaces.

/// Namespaces by their usual prefix (TS-0004 §6.2, TS-0022 §7.3.1, TS-0023 §6.5.1).
const NAMESPACES: &[(&str, &str)] = &[
    ("m2m", "http://www.onem2m.org/xml/protocols"),
    ("cod", "http://www.onem2m.org/xml/protocols/commondomain"),
    ("hod", "http://www.onem2m.org/xml/protocols/homedomain"),
    ("agd", "http://www.onem2m.org/xml/protocols/agriculturedomain"),
    ("cid", "http://www.onem2m.org/xml/protocols/citydomain"),
    ("hd", "http://www.onem2m.org/xml/protocols/horizontaldomain"),
    ("hed", "http://www.onem2m.org/xml/protocols/healthdomain"),
    ("ind", "http://www.onem2m.org/xml/protocols/industrydomain"),
    ("mad", "http://www.onem2m.org/xml/protocols/managementdomain"),
    ("mdd", "http://www.onem2m.org/xml/protocols/metadatadomain"),
    ("psd", "http://www.onem2m.org/xml/protocols/publicsafetydomain"),
    ("rad", "http://www.onem2m.org/xml/protocols/railwaydomain"),
    ("ved", "http://www.onem2m.org/xml/protocols/vehiculardomain"),
    ("dcfg", "http://www.onem2m.org/xml/deviceConfig"),
    ("sec", "http://www.onem2m.org/xml/securityProtocols"),
];

/// What stands before the prefix in the namespace of a prefix that is not known.
pub(super) const UNKNOWN_PREFIX: &str = "urn:cse-server:prefix:";
pub(super) const INSTANCE: &str = "http://www.w3.org/2001/XMLSchema-instance";
pub(super) const SCHEMA: &str = "http://www.w3.org/2001/XMLSchema";

/// The namespace of a usual prefix.
pub(super) fn namespace_of(prefix: &str) -> Option<&'static str> {
    NAMESPACES.iter().find(|(usual, _)| *usual == prefix).map(|(_, uri)| *uri)
}

/// The usual prefix of a namespace.
pub(super) fn prefix_of(uri: &str) -> Option<&'static str> {
    NAMESPACES.iter().find(|(_, namespace)| *namespace == uri).map(|(usual, _)| *usual)
}

/// Whether the text is a name without colon. Any character beyond ASCII may occur in one: nothing here depends on which.
pub(super) fn is_local_name(text: &str) -> bool {
    let bytes = text.as_bytes();
    let is_start = |byte: u8| byte.is_ascii_alphabetic() || byte == b'_' || !byte.is_ascii();
    bytes.first().is_some_and(|first| is_start(*first))
        && bytes.iter().all(|byte| is_start(*byte) || byte.is_ascii_digit() || matches!(byte, b'-' | b'.'))
}

/// Whether a member of that name can be an element. ASCII only: other names are rare, and which characters XML allows
/// in them is a long list.
pub(super) fn is_writable(name: &str) -> bool {
    let local = match name.split_once(':') {
        Some((prefix, local)) => {
            if !is_local_name(prefix) || is_reserved_prefix(prefix) {
                return false;
            }
            local
        }
        None => name,
    };
    is_local_name(local) && name.is_ascii()
}

/// Prefixes that output uses for other ends, and those that XML keeps to itself.
fn is_reserved_prefix(prefix: &str) -> bool {
    matches!(prefix, "xsi" | "xs" | "v") || prefix.get(..3).is_some_and(|start| start.eq_ignore_ascii_case("xml"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::all_types;

    #[test]
    fn every_root_has_a_namespace() {
        for def in all_types().filter(|def| !def.root.is_empty()) {
            let prefix = def.root.split(':').next().unwrap_or_default();
            let uri = namespace_of(prefix).unwrap_or_else(|| panic!("{}", def.root));
            assert_eq!(prefix_of(uri), Some(prefix));
            assert!(is_writable(def.root), "{}", def.root);
            for attr in def.attributes {
                assert!(is_writable(attr.key), "{}", attr.key);
            }
        }
    }

    #[test]
    fn names_that_no_element_can_have() {
        for name in ["", "1", "a b", "-a", "a:", ":a", "a:b:c", "xml:a", "XMLns:a", "xsi:type", "v:a", "ä", "a<b"] {
            assert!(!is_writable(name), "{name}");
        }
        for name in ["a", "_", "m2m:cin", "a-b.c_1"] {
            assert!(is_writable(name), "{name}");
        }
    }
}
