//! All serializations of one primitive are one tree.

use proptest::prelude::*;

use super::{Root, Serialization};
use crate::schema::tests::strategies::{any_type, content};
use crate::schema::{Items, Kind, Presence, TypeDef};
use crate::value::{Map, Value};

const ALL: [Serialization; 3] = [Serialization::Json, Serialization::Xml, Serialization::Cbor];

fn resource() -> impl Strategy<Value = (&'static TypeDef, Map)> {
    any_type()
        .prop_filter("has a root", |def| !def.root.is_empty())
        .prop_flat_map(|def| (Just(def), content(def, |_| Presence::Optional)))
}

fn request(content: Map) -> Map {
    [
        ("op", Value::from(1_i64)),
        ("to", "/id-in/cse".into()),
        ("fr", "Cae".into()),
        ("rqi", "r 1".into()),
        ("ty", 3_i64.into()),
        ("pc", content.into()),
        ("rvi", "4".into()),
    ]
    .map(|(name, value)| (name.into(), value))
    .into_iter()
    .collect()
}

fn response(content: Map) -> Map {
    let mut map = Map::single("rsc", 2000_i64);
    map.push("rqi", "r");
    map.push("pc", content);
    map
}

fn notification(content: Map) -> Map {
    let mut event = Map::single("rep", content);
    event.push("net", 3_i64);
    let mut map = Map::single("nev", event);
    map.push("sur", "/id-in/sub");
    map
}

/// Primitives that carry the resource in every way in which primitives carry one.
fn primitives(root: &'static str, attributes: &Map) -> Vec<(Root, Map)> {
    let content = || Map::single(root, attributes.clone());
    let list = |map: fn(Map) -> Map| Value::List(vec![map(content()).into(), map(content()).into()]);
    let mut wrapper = content();
    wrapper.push("uri", "cse/x");
    vec![
        (Root::Request, request(content())),
        (Root::Request, request(Map::single("m2m:sgn", notification(content())))),
        (Root::Request, request(Map::single("m2m:agn", Map::single("m2m:sgn", list(notification))))),
        (Root::Request, request(Map::single("m2m:rsp", response(content())))),
        (Root::Response, response(content())),
        (Root::Response, response(Map::single("m2m:rce", wrapper))),
        (Root::Response, response(Map::single("m2m:agr", Map::single("m2m:rsp", list(response))))),
        (Root::Response, response(Map::single("m2m:rqp", request(content())))),
    ]
}

proptest! {
    #[test]
    fn every_resource_in_every_primitive_is_the_same_in_all_serializations((def, attributes) in resource()) {
        for (root, primitive) in primitives(def.root, &attributes) {
            for serialization in ALL {
                let bytes = serialization.encode_primitive(root, primitive.clone(), false);
                let read = serialization.decode_primitive(&bytes);
                let read = read.map_err(|error| TestCaseError::fail(format!("{serialization:?}: {error}")))?;
                prop_assert_eq!(&read.parameters, &primitive, "{:?}", serialization);
            }
        }
    }

    /// Marks are for what the tables leave open. Whoever knows the tables needs none.
    #[test]
    fn xml_of_what_the_tables_know_has_no_marks((def, attributes) in resource()) {
        let known: Map = attributes
            .into_iter()
            .filter(|(name, _)| def.attribute(name).is_some_and(|attr| is_closed(&attr.kind)))
            .collect();
        let document = Serialization::Xml.encode_content(&Map::single(def.root, known));
        let document = String::from_utf8_lossy(&document);
        prop_assert!(!document.contains("v:type") && !document.contains("xsi:type"), "{}", document);
    }
}

/// Whether all values of the kind have a form of their own in XML. A time that is a number has none, since text is the
/// usual one; nor has an empty text that is an item of a list.
fn is_closed(kind: &Kind) -> bool {
    match kind {
        Kind::Any | Kind::Object | Kind::AbsRelTimestamp => false,
        Kind::Complex(def) => def.members.iter().all(|member| {
            let may_be_empty_item = member.items() == Items::Repeated && matches!(member.kind, Kind::Text);
            is_closed(&member.kind) && !may_be_empty_item
        }),
        _ => true,
    }
}

#[test]
fn a_root_name_around_a_primitive_is_noticed() {
    let parameters = request(Map::single("m2m:cnt", Map::new()));
    for serialization in [Serialization::Json, Serialization::Cbor] {
        for wrapped in [false, true] {
            let bytes = serialization.encode_primitive(Root::Request, parameters.clone(), wrapped);
            let read = serialization.decode_primitive(&bytes).expect("ours");
            assert_eq!((read.parameters, read.wrapped), (parameters.clone(), wrapped));
        }
    }
    let bytes = Serialization::Xml.encode_primitive(Root::Request, parameters, false);
    assert!(String::from_utf8_lossy(&bytes).contains("<m2m:rqp "));
    // Content, and a primitive below another name, are told from primitives.
    for root in ["m2m:cnt", "rqp", "m2m:requestPrimitive"] {
        let other = Map::single(root, request(Map::new()));
        for serialization in ALL {
            let error = serialization.decode_primitive(&serialization.encode_content(&other)).expect_err(root);
            assert!(error.to_string().contains(&format!("'{root}' is the root, not 'm2m:rqp'")), "{error}");
        }
    }
}

#[test]
fn serializations_are_known_by_name() {
    for serialization in ALL {
        assert_eq!(Serialization::parse(serialization.name()), Some(serialization));
    }
    assert_eq!(Serialization::parse("yaml"), None);
}

#[test]
fn a_member_that_appears_twice_is_refused_in_few_words() {
    let name = "n".repeat(100_000);
    let cbor_text = |text: &str| [&[0x7a][..], &(text.len() as u32).to_be_bytes(), text.as_bytes()].concat();
    let cbor = [&[0xa2][..], &cbor_text(&name), &[1], &cbor_text(&name), &[1]].concat();
    for (serialization, bytes) in [
        (Serialization::Json, format!("{{\"{name}\":1,\"{name}\":1}}").into_bytes()),
        (Serialization::Cbor, cbor),
        (Serialization::Xml, format!("<m2m:cnt {0}='x'><mni>1</mni><mni>2</mni></m2m:cnt>", name).into_bytes()),
    ] {
        let problem = serialization.decode_content(&bytes).expect_err("refused").to_string();
        assert!(problem.contains("appears twice") && problem.len() < 300, "{serialization:?}: {}", problem.len());
    }
}
