//! What the copy of a resource has (TS-0004 §7.3.3.10, TS-0001 §9.6.26). Pure functions of the original.

use super::state::Digests;
use crate::content;
use crate::digest;
use crate::id::{CseIdentity, provider_of};
use crate::resource::Resource;
use crate::schema::{Announced, AttrDef, Kind, Presence, Ty, TypeDef, keys, type_def};
use crate::value::{Map, Text, Value};

/// The announced variant of a type, if resources of the type can be announced.
pub(crate) fn variant(ty: Ty) -> Option<&'static TypeDef> {
    if ty.is_announced() {
        return None;
    }
    type_def(ty.announced()).filter(|variant| variant.implemented)
}

/// An address or identifier in the form that is valid at another CSE.
pub(crate) fn elsewhere(identity: &CseIdentity, host: &str, text: &str) -> Text {
    let sp_relative: Text = if text.starts_with('/') || text.contains("://") {
        text.into()
    } else if text.starts_with('S') && !text.contains('/') {
        smol_str::format_smolstr!("/{text}")
    } else {
        identity.sp_relative(text).into()
    };
    let is_relative = sp_relative.starts_with('/') && provider_of(&sp_relative).is_none();
    if provider_of(host).is_some() && is_relative {
        smol_str::format_smolstr!("{}{sp_relative}", identity.sp_id)
    } else {
        sp_relative
    }
}

/// The attributes of the copy at a host. `policies` are those that hold for the original, if it has none itself.
pub(crate) fn of(original: &Resource, policies: Option<&Value>, identity: &CseIdentity, host: &str) -> Map {
    let mut copy = Map::new();
    let (Some(def), Some(variant)) = (type_def(original.ty), variant(original.ty)) else {
        return copy;
    };
    copy.insert(keys::LINK, elsewhere(identity, host, &identity.sp_relative(&original.id)));
    for attr in def.attributes {
        let can_be_given = variant.attribute(attr.key).is_some_and(|own| own.create != Presence::NotPermitted);
        if !can_be_given || attr.key == keys::LINK || !is_announced(attr, original) {
            continue;
        }
        if let Some(value) = content::attribute(original, attr.key) {
            copy.insert(attr.key, converted(&attr.kind, value, identity, host));
        }
    }
    if !copy.contains(keys::ACCESS_CONTROL_POLICY_IDS)
        && variant.attribute(keys::ACCESS_CONTROL_POLICY_IDS).is_some()
        && let Some(policies) = policies
    {
        copy.insert(keys::ACCESS_CONTROL_POLICY_IDS, converted(&Kind::Uri, policies.clone(), identity, host));
    }
    if let Some(time) = original.expiration_time {
        copy.insert(keys::EXPIRATION_TIME, time);
    }
    copy
}

/// Whether copies have an attribute of that original.
pub(crate) fn is_announced(attr: &AttrDef, original: &Resource) -> bool {
    match attr.announced {
        Announced::Mandatory => true,
        // Some name attributes by their long names.
        Announced::Optional => {
            original.attributes.texts(keys::ANNOUNCED_ATTRIBUTE).any(|name| name == attr.key || name == attr.name)
        }
        Announced::No => false,
    }
}

fn converted(kind: &Kind, value: Value, identity: &CseIdentity, host: &str) -> Value {
    match (kind, value) {
        (Kind::Uri | Kind::Id, Value::Text(text)) => elsewhere(identity, host, &text).into(),
        (Kind::Uri | Kind::Id, Value::List(items)) => {
            Value::List(items.into_iter().map(|item| converted(kind, item, identity, host)).collect())
        }
        (_, value) => value,
    }
}

/// Digests of the attributes of a copy.
pub(crate) fn digests(copy: &Map) -> Digests {
    let digest = |value: &Value| i64::from_ne_bytes(digest::of_value(value).to_ne_bytes());
    copy.iter().map(|(name, value)| (Text::from(name.as_str()), digest(value))).collect()
}

/// The attributes of an UPDATE that makes a copy what it is to be; empty when it is that already.
pub(crate) fn difference(confirmed: &Digests, wanted: &Map) -> Map {
    let digests = digests(wanted);
    let is_new = |name: &str| confirmed.get(name) != digests.get(name);
    let mut update: Map =
        wanted.iter().filter(|(name, _)| is_new(name)).map(|(name, value)| (name.clone(), value.clone())).collect();
    for name in confirmed.keys().filter(|name| !digests.contains_key(*name)) {
        update.insert(name.clone(), Value::Null);
    }
    update
}

/// The attributes of an UPDATE that makes any copy of an original of that type what it is to be, whatever it has now:
/// after one of which nobody knows whether it arrived.
pub(crate) fn whole(ty: Ty, wanted: &Map) -> Map {
    let (Some(def), Some(variant)) = (type_def(ty), variant(ty)) else {
        return wanted.clone();
    };
    let mut update = Map::with_capacity(wanted.len());
    for own in variant.attributes.iter().filter(|own| own.update != Presence::NotPermitted) {
        let may_be_there = || def.attribute(own.key).is_some_and(|attr| attr.announced != Announced::No);
        if let Some(value) = wanted.get(own.key) {
            update.insert(own.key, value.clone());
        } else if own.create == Presence::Optional && may_be_there() {
            update.insert(own.key, Value::Null);
        }
    }
    update
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::CseType;

    #[test]
    fn identifiers_have_the_form_that_is_valid_at_the_host() {
        let identity = CseIdentity::new("//cse.example", "/id-mn", "cse-mn", CseType::Mn).expect("valid");
        for (text, within, beyond) in [
            ("cnt1", "/id-mn/cnt1", "//cse.example/id-mn/cnt1"),
            ("cse-mn/a", "/id-mn/cse-mn/a", "//cse.example/id-mn/cse-mn/a"),
            ("Csensor", "/id-mn/Csensor", "//cse.example/id-mn/Csensor"),
            ("S17", "/S17", "//cse.example/S17"),
            ("/id-in/a", "/id-in/a", "//cse.example/id-in/a"),
            ("//other.example/id-in/a", "//other.example/id-in/a", "//other.example/id-in/a"),
            ("mqtt://host:1883", "mqtt://host:1883", "mqtt://host:1883"),
        ] {
            assert_eq!(elsewhere(&identity, "/id-in", text), within, "{text}");
            assert_eq!(elsewhere(&identity, "//other.example/id-in", text), beyond, "{text}");
        }
    }

    #[test]
    fn an_update_names_what_is_new_and_what_is_gone() {
        let map = |text: &str| -> Map { serde_json::from_str(text).expect("valid") };
        let confirmed = digests(&map(r#"{"lnk":"/id-mn/a","lbl":["x"],"mni":5}"#));
        let wanted = map(r#"{"lnk":"/id-mn/a","lbl":["y"],"mbs":7}"#);
        assert_eq!(difference(&confirmed, &wanted), map(r#"{"lbl":["y"],"mbs":7,"mni":null}"#));
        assert!(difference(&digests(&wanted), &wanted).is_empty());
        assert_eq!(difference(&Digests::new(), &wanted), wanted);
    }
}
