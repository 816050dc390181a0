//! `<remoteCSE>`: a CSE that is registered here, or the registrar of this CSE (TS-0004 §7.4.4, TS-0001 §10.2.2.3).

use super::points_of_access;
use crate::access::authorize::Requester;
use crate::access::credential;
use crate::error::Error;
use crate::id::{CseIdentity, CseType, Originator, is_resource_name, provider_of};
use crate::op::Draft;
use crate::resource::seq_of_generated_id;
use crate::schema::{self, Virtual, keys};
use crate::settings::Settings;
use crate::value::{Map, Text};

/// Whether the requester is this CSE, which keeps a `<remoteCSE>` for its registrar.
fn is_itself(requester: &Requester, settings: &Settings) -> bool {
    requester.privileged && requester.originator.as_str() == settings.identity.cse_id
}

/// Whether the requester may register as a CSE here (TS-0004 §7.4.4.2.1). No policy is asked.
///
/// # Errors
/// [`Error::OperationNotAllowed`] for AEs, and on an ASN-CSE; [`Error::CredentialNotAllowed`] and
/// [`Error::CseRegistrationNotAllowed`].
pub(crate) fn authorize(requester: &Requester, settings: &Settings) -> Result<(), Error> {
    let identity = &settings.identity;
    let not_allowed = |target: &str| Error::OperationNotAllowed { operation: "CREATE", target: target.into() };
    let from = requester.originator.as_str();
    if is_itself(requester, settings) {
        return match &settings.registrar {
            Some(_) => Ok(()),
            None => Err(Error::CseRegistrationNotAllowed(from.into())),
        };
    }
    if identity.canonical_cse_id(from).as_deref() != Some(from) {
        return Err(not_allowed("resource type remoteCSE, which only a CSE creates, with its CSE-ID as originator"));
    }
    if identity.cse_type == CseType::Asn {
        return Err(not_allowed("resource type remoteCSE on an ASN-CSE, where no CSE registers"));
    }
    credential::check(settings, requester, from, true)?;
    // The registrar of this CSE is above it and so never below.
    let is_registrar = settings.registrar_id().as_ref() == Some(&requester.originator);
    if from == identity.cse_id || is_registrar || !settings.allows_cse(from) {
        return Err(Error::CseRegistrationNotAllowed(from.into()));
    }
    Ok(())
}

/// The CSE that the new resource stands for: the originator, or the registrar if this CSE asks itself.
pub(crate) fn cse_id(requester: &Requester, settings: &Settings) -> Originator {
    match settings.registrar_id() {
        Some(registrar) if is_itself(requester, settings) => registrar,
        _ => requester.originator.clone(),
    }
}

/// The identifier of the `<remoteCSE>` of a CSE: its CSE-ID without the slash where that can be no other resource's.
///
/// Each CSE-ID has one of its own, so the resource is found by it.
pub(crate) fn resource_id(cse_id: &str, identity: &CseIdentity) -> Text {
    if let Some(provider) = provider_of(cse_id) {
        let (provider, stem) = (&provider[2..], &cse_id[provider.len()..]);
        let escaped = |text: &str| text.trim_start_matches('/').replace('~', "~0");
        return smol_str::format_smolstr!("csr.{}~1{}", escaped(provider), escaped(stem));
    }
    let stem = cse_id.trim_start_matches('/');
    let letters = stem.trim_end_matches(|c: char| c.is_ascii_digit());
    // Stems of AEs, identifiers that this CSE gives, what addresses begin with, and the prefixes of this function.
    let is_of_others = stem.starts_with(['C', 'S'])
        || (seq_of_generated_id(stem).is_some() && schema::types().any(|def| def.short == letters))
        || stem == identity.cse_name
        || stem == "-"
        || stem.starts_with("csr");
    if is_of_others { smol_str::format_smolstr!("csr-{stem}") } else { stem.into() }
}

/// The identifier of the `<remoteCSE>` of the CSE whose SP-relative CSE-ID is the AE-ID of an S-type stem; `None` for
/// other stems, whose AE-IDs are no CSE-ID.
pub(crate) fn namesake(stem: &str, identity: &CseIdentity) -> Option<Text> {
    stem.starts_with('S').then(|| resource_id(stem, identity))
}

/// The name of the `<remoteCSE>` of a CSE if none is asked for; `None` if its CSE-ID makes no name.
pub(crate) fn default_name(cse_id: &str) -> Option<Text> {
    let stem = cse_id.rsplit('/').next()?;
    (is_resource_name(stem) && Virtual::from_short_name(stem).is_none()).then(|| stem.into())
}

pub(crate) fn before_create(settings: &Settings, requester: &Requester, draft: &mut Draft) -> Result<(), Error> {
    let identity = &settings.identity;
    let cse_id = cse_id(requester, settings);
    if !is_itself(requester, settings) {
        check_kind(identity, &cse_id, draft.attributes.int(keys::CSE_TYPE))?;
    }
    // Whatever the content says: the originator is what was authorized.
    draft.attributes.insert(keys::CSE_ID, cse_id.text().clone());
    if !draft.attributes.contains(keys::SP_ID) {
        let provider = provider_of(cse_id.as_str()).unwrap_or(&identity.sp_id);
        draft.attributes.insert(keys::SP_ID, provider);
    }
    if let Some(base) = draft.attributes.text(keys::CSE_BASE)
        && identity.cse_id_of(base).is_some_and(|named| named != cse_id.as_str())
    {
        let problem = format!("'{base}' is an address at another CSE than '{cse_id}'");
        return Err(Error::attribute(keys::CSE_BASE, problem));
    }
    check(identity, &draft.attributes, &cse_id)
}

/// Whether a CSE of that kind registers with one of this kind: below an IN-CSE is no other one of its service provider,
/// and between service providers it is IN-CSEs that do (Mcc', TS-0001 §6.1).
fn check_kind(identity: &CseIdentity, cse_id: &Originator, kind: Option<i64>) -> Result<(), Error> {
    let is_foreign = provider_of(cse_id.as_str()).is_some();
    let is_in = kind.map(|kind| kind == CseType::In as i64);
    let why = match is_foreign {
        false if is_in == Some(true) => "an IN-CSE, which registers with none of its own service provider",
        true if is_in == Some(false) => "a CSE of another service provider that is no IN-CSE",
        true if identity.cse_type != CseType::In => {
            "a CSE of another service provider, which registers with the IN-CSE"
        }
        _ => return Ok(()),
    };
    Err(Error::OperationNotAllowed { operation: "CREATE", target: format!("resource type remoteCSE for {why}") })
}

pub(crate) fn before_update(identity: &CseIdentity, attributes: &Map) -> Result<(), Error> {
    // It was authorized in this form.
    let cse_id = Originator::from_canonical(attributes.text(keys::CSE_ID).unwrap_or_default());
    check(identity, attributes, &cse_id)
}

fn check(identity: &CseIdentity, attributes: &Map, cse_id: &Originator) -> Result<(), Error> {
    points_of_access(attributes)?;
    let named = attributes.texts(keys::DESCENDANT_CSES).map(|id| (keys::DESCENDANT_CSES, id));
    for (attribute, id) in named.chain(attributes.text(keys::IN_CSE_ID).map(|id| (keys::IN_CSE_ID, id))) {
        let sp_relative = provider_of(id).map_or(id, |provider| &id[provider.len()..]);
        let is_cse_id = sp_relative.strip_prefix('/').is_some_and(crate::id::is_unreserved);
        if !is_cse_id {
            let problem = format!("'{id}' is no CSE-ID, such as '/id-mn' or '//cse.example/id-mn'");
            return Err(Error::attribute(attribute, problem));
        }
    }
    let provider = provider_of(cse_id.as_str()).unwrap_or(&identity.sp_id);
    if let Some(given) = attributes.text(keys::IN_CSE_ID) {
        // SP-relative it is of the service provider of the CSE.
        let of = provider_of(given).unwrap_or(provider);
        let is_ours = provider == identity.sp_id && identity.cse_type == CseType::In;
        let is_at_the_top = || identity.canonical_cse_id(given).as_deref() == Some(identity.cse_id.as_str());
        if of != provider || is_ours && !is_at_the_top() {
            let problem = format!("'{given}' is not the IN-CSE of '{cse_id}'");
            return Err(Error::attribute(keys::IN_CSE_ID, problem));
        }
    }
    if let Some(given) = attributes.text(keys::SP_ID)
        && given.trim_start_matches('/') != &provider[2..]
    {
        let problem = format!("'{given}' is not the service provider of '{cse_id}', which is '{provider}'");
        return Err(Error::attribute(keys::SP_ID, problem));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn identity() -> CseIdentity {
        CseIdentity::new("//cse.example", "/id-in", "cse-in", CseType::In).expect("valid")
    }

    #[test]
    fn the_identifier_is_the_cse_id_unless_something_else_may_have_it() {
        for (cse_id, expected) in [
            ("/id-mn", "id-mn"),
            ("/mn1", "mn1"),
            ("/cnt17", "csr-cnt17"),
            ("/csr17", "csr-csr17"),
            ("/Cloud", "csr-Cloud"),
            ("/csr-Cloud", "csr-csr-Cloud"),
            ("/cse-in", "csr-cse-in"),
            ("/-", "csr--"),
            ("//other.example/id-in", "csr.other.example~1id-in"),
        ] {
            assert_eq!(resource_id(cse_id, &identity()), expected, "{cse_id}");
        }
    }

    #[test]
    fn no_two_cses_have_one_identifier() {
        let cse_ids = [
            "/a",
            "/Ca",
            "/csr-Ca",
            "/csr-csr-Ca",
            "/csr.a~1b",
            "//a/b",
            "//a~1b/c",
            "//a/b~1c",
            "//a~0/b",
            "//a~/b",
            "/csr.csr.a~1b",
            "/csr",
        ];
        let ids: BTreeSet<Text> = cse_ids.iter().map(|cse_id| resource_id(cse_id, &identity())).collect();
        assert_eq!(ids.len(), cse_ids.len(), "{ids:?}");
    }

    #[test]
    fn the_name_is_the_cse_id_if_that_is_a_name() {
        assert_eq!(default_name("/id-mn").as_deref(), Some("id-mn"));
        assert_eq!(default_name("//other.example/id-in").as_deref(), Some("id-in"));
        for none in ["/-x", "/a~b", "/la"] {
            assert_eq!(default_name(none), None, "{none}");
        }
    }
}
