//! The client identifiers under which a client may connect (TS-0010 §7.3.2, §8.2).
//!
//! The prefix `A::` or `A:` stands before an AE-ID, `C::` or `C:` before a CSE-ID (releases differ); without prefix it
//! is any of these or the Credential-ID. Behind a `@` may stand what tells several connections of one entity apart:
//! MQTT wants a client identifier of its own for each, and no identifier of oneM2M has that character.

use cse_core::settings::CredentialRules;

use super::identity::{Who, spells_credential, spells_cse};
use super::rights::{Registered, Rights};
use crate::topic::entity_of;

/// Bytes behind the `@`.
const SUFFIX_BYTES_MAX: usize = 64;

/// Whether a client identifier fits a client.
///
/// One whose credential stands for no identifier may use that of an AE which is registered under it, or that it may
/// register and nobody has: most devices know their AE-ID before they register.
pub(crate) fn fits(
    client_id: &str,
    who: &Who<'_>,
    rights: &Rights,
    registered: &dyn Registered,
    rules: &CredentialRules,
) -> bool {
    if fits_exactly(client_id, who, rights, registered, rules) {
        return true;
    }
    match client_id.rsplit_once('@') {
        Some((name, suffix)) => suffix.len() <= SUFFIX_BYTES_MAX && fits_exactly(name, who, rights, registered, rules),
        None => false,
    }
}

fn fits_exactly(
    name: &str,
    who: &Who<'_>,
    rights: &Rights,
    registered: &dyn Registered,
    rules: &CredentialRules,
) -> bool {
    let without = |prefixes: [&str; 2]| prefixes.into_iter().find_map(|prefix| name.strip_prefix(prefix));
    let is_ae = |identifier: &str| is_ae(identifier, who, rights, registered, rules);
    let is_cse = |identifier: &str| is_cse(identifier, who, rights, registered, rules);
    if name == who.credential || spells_credential(name, who.credential) {
        return true;
    }
    match (without(["A::", "A:"]), without(["C::", "C:"])) {
        (Some(ae), _) => is_ae(ae),
        (_, Some(cse)) => is_cse(cse),
        // A bare word of a credential for several entities is an AE-ID stem.
        (None, None) => is_ae(name) || ((name.starts_with('/') || who.cse.is_some()) && is_cse(name)),
    }
}

fn is_ae(text: &str, who: &Who<'_>, rights: &Rights, registered: &dyn Registered, rules: &CredentialRules) -> bool {
    let own = rights.identity();
    let written = own.canonical_originator(text);
    // As in an address (`/id-in/Cx`), without its slash, or as a topic level.
    let spelled = entity_of(own, &text.trim_start_matches('/').replace('/', ":"));
    if who.identifier().is_some() {
        return who.ae.is_some_and(|ae| ae == written.as_str() || ae == spelled.as_str());
    }
    let stem = [written, spelled].into_iter().find(cse_core::id::Originator::is_ae_stem);
    stem.is_some_and(|stem| {
        let stem = stem.as_str();
        let may_register = || {
            let is_admin = stem == rights.admin().as_str();
            if is_admin { rules.name(who.credential, stem) } else { rules.allow(who.credential, stem) }
        };
        who.proven && (registered.is_under(stem, who.credential) || (!registered.has_ae(stem) && may_register()))
    })
}

fn is_cse(text: &str, who: &Who<'_>, rights: &Rights, registered: &dyn Registered, rules: &CredentialRules) -> bool {
    if who.identifier().is_none() {
        let address = if text.starts_with('/') { text } else { &format!("/{text}") };
        let own = rights.identity();
        let cse = own.canonical_cse_id(address);
        return cse.is_some_and(|cse| {
            let may_register = || cse != own.cse_id && rules.allow(who.credential, &cse);
            who.proven && (registered.is_under(&cse, who.credential) || (!registered.has(&cse) && may_register()))
        });
    }
    who.cse.is_some_and(|cse| {
        let level = match text.strip_prefix("//") {
            Some(absolute) => format!(":{}", absolute.replace('/', ":")),
            None => text.strip_prefix('/').unwrap_or(text).replace('/', ":"),
        };
        spells_cse(rights.identity(), &level, cse)
    })
}

/// Whether a client identifier is made of the identifier of an entity, given as a topic level (`id-mn`, `Cx`).
pub(crate) fn names_entity(client_id: &str, entity: &str) -> bool {
    let name = match client_id.rsplit_once('@') {
        Some((name, suffix)) if suffix.len() <= SUFFIX_BYTES_MAX => name,
        _ => client_id,
    };
    let identifier = ["A::", "A:", "C::", "C:"].into_iter().find_map(|prefix| name.strip_prefix(prefix));
    let identifier = identifier.unwrap_or(name);
    match identifier.strip_prefix("//") {
        Some(absolute) => entity.strip_prefix(':').is_some_and(|entity| absolute.replace('/', ":") == entity),
        None => identifier.strip_prefix('/').unwrap_or(identifier).replace('/', ":") == entity,
    }
}

#[cfg(test)]
mod tests {
    use cse_core::settings::CredentialRule;

    use super::super::rights::tests::{Tree, rights};
    use super::*;

    const LAMP: Who<'static> = Who { credential: "lamp-7", proven: true, ae: None, cse: None };
    const AE: Who<'static> = Who { credential: "33-Cx", proven: true, ae: Some("Cx"), cse: None };
    const STYPE: Who<'static> = Who { credential: "door", proven: true, ae: Some("Sdoor"), cse: None };
    const DISTANT: Who<'static> = Who { credential: "far", proven: true, ae: Some("/id-mn/Cx"), cse: None };
    const CSE: Who<'static> = Who { credential: "32-/id-mn", proven: true, ae: None, cse: Some("/id-mn") };
    const ANYBODY: Who<'static> = Who { credential: "anonymous", proven: false, ae: None, cse: None };

    #[test]
    fn a_client_identifier_names_the_client() {
        let tree = Tree::of(&[("Clamp", Some("lamp-7")), ("Cother", Some("lamp-8")), ("Chttp", None)]);
        let rule = CredentialRule { credential: "lamp-*".into(), identifiers: vec!["Clamp*".into(), "Cother".into()] };
        let rules = CredentialRules { rules: vec![rule], any_without_rules: false };
        for (who, client_id, expected) in [
            // The credential, as it is and as a topic level.
            (LAMP, "lamp-7", true),
            (LAMP, "lamp-7@2", true),
            (LAMP, "lamp-8", false),
            (LAMP, "lamp-7x", false),
            (CSE, "32-/id-mn", true),
            (CSE, "32-:id-mn", true),
            (ANYBODY, "anonymous", true),
            // An AE that is registered under it, or may be and is not.
            (LAMP, "A::Clamp", true),
            (LAMP, "A:Clamp", true),
            (LAMP, "Clamp", true),
            (LAMP, "A::/id-in/Clamp@sender", true),
            (LAMP, "A::Clamp9", true),
            (LAMP, "A::Cother", false),
            (LAMP, "A::Chttp", false),
            (LAMP, "A::Cdoor", false),
            (LAMP, "A::CAdmin", false),
            (LAMP, "C::Clamp", false),
            (LAMP, "C::/id-mn", false),
            (LAMP, "C::/id-in", false),
            (ANYBODY, "A::Clamp9", false),
            (ANYBODY, "anonymous-17", false),
            // The AE that the credential stands for, in all its spellings.
            (AE, "A::Cx", true),
            (AE, "A:Cx", true),
            (AE, "Cx", true),
            (AE, "A::/id-in/Cx", true),
            (AE, "A::id-in/Cx", true),
            (AE, "A::id-in:Cx", true),
            (AE, "A:://cse.example/id-in/Cx", true),
            (AE, "33-Cx", true),
            (AE, "A::Cx@a", true),
            (AE, "A::Cx@", true),
            (AE, "A::Cy", false),
            (AE, "A::Cxx", false),
            (AE, "A::/id-mn/Cx", false),
            (AE, "C::Cx", false),
            (AE, "C::/id-in", false),
            (AE, "A:::Cx", false),
            (AE, "", false),
            (AE, "@", false),
            (AE, "anonymous-1", false),
            (STYPE, "A::Sdoor", true),
            (STYPE, "A::/Sdoor", true),
            (STYPE, "door", true),
            (STYPE, "A::door", false),
            (DISTANT, "A::/id-mn/Cx", true),
            (DISTANT, "A::id-mn:Cx", true),
            (DISTANT, "A::Cx", false),
            (CSE, "C::/id-mn", true),
            (CSE, "C::id-mn", true),
            (CSE, "C:id-mn@worker-2", true),
            (CSE, "/id-mn", true),
            (CSE, "C:://cse.example/id-mn", true),
            (CSE, "A::id-mn", false),
            (CSE, "C::/id-in", false),
            (CSE, "A::Clamp", false),
        ] {
            assert_eq!(fits(client_id, &who, &rights(""), &tree, &rules), expected, "{client_id} for {who:?}");
        }
        let long = format!("A::Cx@{}", "x".repeat(65));
        assert!(!fits(&long, &AE, &rights(""), &tree, &rules));
    }

    #[test]
    fn a_credential_has_the_client_identifier_of_a_cse_that_it_registers() {
        let tree = Tree::of(&[("/id-mn", Some("lamp-7")), ("/id-other", Some("lamp-8")), ("Cother", Some("lamp-8"))]);
        let rule = CredentialRule { credential: "lamp-*".into(), identifiers: vec!["/id-*".into()] };
        let rules = CredentialRules { rules: vec![rule], any_without_rules: false };
        let none = CredentialRules { rules: Vec::new(), any_without_rules: true };
        let unproven = Who { proven: false, ..LAMP };
        for (who, client_id, rules, expected) in [
            (LAMP, "C::/id-mn", &rules, true),
            (LAMP, "C::id-mn@2", &rules, true),
            (LAMP, "C:://cse.example/id-mn", &rules, true),
            (LAMP, "/id-mn", &rules, true),
            (LAMP, "C::/id-free", &rules, true),
            (LAMP, "C::/id-other", &rules, false),
            (LAMP, "C::/id-in", &rules, false),
            (LAMP, "C::/id-mn/Cx", &rules, false),
            (LAMP, "C::/mn", &rules, false),
            (LAMP, "id-free", &rules, false),
            (LAMP, "Cother", &none, false),
            (LAMP, "C::/id-in", &none, false),
            (unproven, "C::/id-mn", &rules, false),
            (unproven, "C::/id-free", &rules, false),
        ] {
            assert_eq!(fits(client_id, &who, &rights(""), &tree, rules), expected, "{client_id} for {who:?}");
        }
    }

    #[test]
    fn without_rules_a_credential_may_take_any_identifier_or_none() {
        let tree = Tree::of(&[("Cother", Some("lamp-8"))]);
        for (any_without_rules, client_id, expected) in [
            (true, "A::Cfree", true),
            (true, "A::Cother", false),
            (true, "A::CAdmin", false),
            (false, "A::Cfree", false),
            (false, "lamp-7", true),
        ] {
            let rules = CredentialRules { rules: Vec::new(), any_without_rules };
            assert_eq!(fits(client_id, &LAMP, &rights(""), &tree, &rules), expected, "{client_id}");
        }
    }

    #[test]
    fn a_client_identifier_is_made_of_an_identifier() {
        for (client_id, entity, expected) in [
            ("C::id-mn", "id-mn", true),
            ("C:id-mn", "id-mn", true),
            ("C::/id-mn@uplink", "id-mn", true),
            ("id-mn", "id-mn", true),
            ("A::id-mn/Cx", "id-mn:Cx", true),
            ("C:://other.example/id-up", ":other.example:id-up", true),
            ("C::id-mn2", "id-mn", false),
            ("C::id-up", ":other.example:id-up", false),
            ("observer", "id-mn", false),
            ("", "id-mn", false),
        ] {
            assert_eq!(names_entity(client_id, entity), expected, "{client_id} {entity}");
        }
    }
}
