use std::sync::Arc;

use super::*;
use crate::id::{CseType, Originator};
use crate::node::Node;
use crate::resource::generated_id;
use crate::settings::Registrar;
use crate::time::Timestamp;
use crate::value::{Map, Value};

fn registrations(registrar: Option<&str>) -> Registrations {
    let identity = CseIdentity::new("//cse.example", "/id-mn", "cse-mn", CseType::Mn).expect("valid");
    let mut settings = Settings::new(identity, "CAdmin");
    settings.registrar = registrar.map(|cse_id| Registrar::new(cse_id, Vec::new()));
    Registrations::new(&settings)
}

fn node(registrations: &Registrations, seq: i64, ty: Ty, id: Text, attributes: Map) -> Arc<Node> {
    let now = Timestamp::from_micros(0);
    let resource = Resource {
        seq: Seq(seq),
        parent: Some(Seq::CSE_BASE),
        ty,
        name: id.clone(),
        id,
        parent_id: "id-mn".into(),
        creation_time: now,
        last_modified_time: now,
        expiration_time: None,
        state_tag: None,
        content_size: None,
        creator: Originator::from_canonical("/x"),
        attributes,
    };
    let path = smol_str::format_smolstr!("cse-mn/{}", resource.name);
    Arc::new(Node::new(resource, path, &registrations.identity))
}

fn csr(registrations: &Registrations, seq: i64, cse_id: &str, descendants: &[&str]) -> Arc<Node> {
    let mut attributes = Map::new();
    attributes.insert(keys::CSE_ID, cse_id);
    attributes.insert(keys::DESCENDANT_CSES, Value::text_list(descendants.iter().copied()));
    node(registrations, seq, Ty::REMOTE_CSE, generated_id("csr", Seq(seq)), attributes)
}

fn put(registrations: &Registrations, seq: i64, cse_id: &str, descendants: &[&str]) {
    let changed = vec![csr(registrations, seq, cse_id, descendants)];
    registrations.commit(&Committed { changed, ..Committed::default() });
}

fn delete(registrations: &Registrations, seq: i64) {
    registrations.commit(&Committed { deleted: vec![Seq(seq)], ..Committed::default() });
}

#[track_caller]
fn assert_way(registrations: &Registrations, to: &str, by: Option<&str>) {
    assert_eq!(registrations.next_hop(to).map(|hop| hop.cse_id).as_deref(), by, "the way to {to}");
}

#[test]
fn a_registree_and_its_descendants_are_reached_by_it() {
    let registrations = registrations(None);
    put(&registrations, 7, "/id-a", &["/id-b", "//cse.example/id-c"]);
    assert_eq!(registrations.next_hop("/id-a"), Some(NextHop { cse_id: "/id-a".into(), seq: Seq(7) }));
    assert_eq!(registrations.next_hop("/id-b"), Some(NextHop { cse_id: "/id-a".into(), seq: Seq(7) }));
    assert_way(&registrations, "/id-c", Some("/id-a"));
    assert_way(&registrations, "/id-d", None);
    assert_eq!(registrations.cses().into_iter().collect::<Vec<_>>(), ["/id-a", "/id-b", "/id-c"]);
}

#[test]
fn an_update_replaces_the_descendants() {
    let registrations = registrations(None);
    put(&registrations, 7, "/id-a", &["/id-b", "/id-c"]);
    put(&registrations, 7, "/id-a", &["/id-c", "/id-d"]);
    assert_way(&registrations, "/id-b", None);
    assert_way(&registrations, "/id-c", Some("/id-a"));
    assert_way(&registrations, "/id-d", Some("/id-a"));
}

#[test]
fn a_deletion_ends_all_ways_by_the_registree() {
    let registrations = registrations(None);
    put(&registrations, 7, "/id-a", &["/id-b"]);
    delete(&registrations, 7);
    for cse_id in ["/id-a", "/id-b"] {
        assert_way(&registrations, cse_id, None);
    }
    assert_eq!(registrations.get("/id-a"), None);
    assert_eq!(registrations.count(), 0);
    assert!(registrations.cses().is_empty());
}

#[test]
fn a_registration_of_its_own_goes_before_what_others_claim() {
    let registrations = registrations(None);
    put(&registrations, 7, "/id-a", &["/id-b"]);
    put(&registrations, 8, "/id-b", &[]);
    assert_way(&registrations, "/id-b", Some("/id-b"));
    delete(&registrations, 8);
    assert_way(&registrations, "/id-b", Some("/id-a"));
}

#[test]
fn of_two_claims_the_first_registered_has_the_descendant() {
    let registrations = registrations(None);
    put(&registrations, 8, "/id-b", &["/id-x"]);
    put(&registrations, 7, "/id-a", &["/id-x"]);
    assert_way(&registrations, "/id-x", Some("/id-a"));
    put(&registrations, 7, "/id-a", &[]);
    assert_way(&registrations, "/id-x", Some("/id-b"));
}

#[test]
fn another_service_provider_is_reached_by_its_cse() {
    let registrations = registrations(None);
    put(&registrations, 7, "//other.example/id-in", &["/id-q"]);
    for cse_id in ["//other.example/id-in", "//other.example/id-q", "//other.example/id-z"] {
        assert_way(&registrations, cse_id, Some("//other.example/id-in"));
    }
    for cse_id in ["/id-q", "/id-in", "//third.example/id-in"] {
        assert_way(&registrations, cse_id, None);
    }
    delete(&registrations, 7);
    assert_way(&registrations, "//other.example/id-z", None);
}

#[test]
fn the_registrar_is_no_registree() {
    let registrations = registrations(Some("//cse.example/id-in"));
    put(&registrations, 7, "/id-in", &["/id-b"]);
    assert_way(&registrations, "/id-in", None);
    assert_way(&registrations, "/id-b", None);
    assert_eq!(registrations.registrar(), Some(NextHop { cse_id: "/id-in".into(), seq: Seq(7) }));
    assert_eq!(registrations.count(), 0);
    delete(&registrations, 7);
    assert_eq!(registrations.registrar(), None);
}

#[test]
fn nobody_has_this_cse_or_its_registrar_below_it() {
    let registrations = registrations(Some("/id-in"));
    put(&registrations, 7, "/id-a", &["/id-mn", "/id-in", "/id-a", "no identifier", "/id-b/cse-b"]);
    assert_way(&registrations, "/id-mn", None);
    assert_way(&registrations, "/id-in", None);
    delete(&registrations, 7);
    assert_way(&registrations, "/id-b", None);
}

#[test]
fn a_change_of_what_is_below_is_told_and_no_other() {
    let registrations = registrations(Some("/id-in"));
    let mut version = registrations.cses_version();
    let mut told = |what: &str, expected: bool| {
        assert_eq!(version.has_changed().expect("there"), expected, "{what}");
        version.mark_unchanged();
    };
    put(&registrations, 7, "/id-a", &[]);
    told("a registration", true);
    put(&registrations, 7, "/id-a", &[]);
    told("an update of something else", false);
    put(&registrations, 7, "/id-a", &["/id-b"]);
    told("a descendant", true);
    put(&registrations, 8, "/id-in", &["/id-z"]);
    told("the registrar", false);
    let changed = vec![node(&registrations, 9, Ty::AE, "Cae".into(), Map::new())];
    registrations.commit(&Committed { changed, ..Committed::default() });
    told("an AE", false);
    delete(&registrations, 7);
    told("a deregistration", true);
}
