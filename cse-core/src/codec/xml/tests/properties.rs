//! Whatever tree, it is read as it was written.

use proptest::prelude::*;

use super::super::{decode, encode};
use super::{json, written};
use crate::schema::Presence;
use crate::schema::tests::strategies::{any_type, anything, content};
use crate::value::{Map, Value};

/// Attributes of a resource in an answer: all may be there.
fn resource() -> impl Strategy<Value = Map> {
    any_type().prop_filter("has a root", |def| !def.root.is_empty()).prop_flat_map(|def| {
        content(def, |_| Presence::Optional).prop_map(|attributes| Map::single(def.root, attributes))
    })
}

fn assert_same(map: &Map) -> Result<(), TestCaseError> {
    let read = decode(&encode(map)).map_err(|error| TestCaseError::fail(format!("{error}: {}", written(map))))?;
    prop_assert_eq!(&read, map, "{}", written(map));
    Ok(())
}

/// Names of every sort: those that the tables know, and those that no element can have.
fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::sample::select(
            &["rn", "lbl", "val", "nm", "con", "ty", "m2m:cnt", "m2m:cin", "ch", "acr", "m2m:rsp"][..]
        )
        .prop_map(str::to_owned),
        "[a-z]{1,3}(:[a-z]{1,3})?",
        any::<String>(),
    ]
}

fn odd_tree() -> impl Strategy<Value = Value> {
    anything().prop_recursive(4, 32, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::List),
            prop::collection::vec((name(), inner), 0..5).prop_map(|members| members
                .into_iter()
                .map(|(name, value)| (name.into(), value))
                .collect::<Map>()
                .into()),
        ]
    })
}

proptest! {
    #[test]
    fn every_resource_is_read_as_it_was_written(map in resource()) {
        assert_same(&map)?;
    }

    #[test]
    fn a_resource_in_an_answer_is_read_as_it_was_written(one in resource(), other in resource()) {
        let response = |content: Map| {
            let mut map = Map::single("rsc", 2000_i64);
            map.push("rqi", "r");
            map.push("pc", content);
            map
        };
        let members = Value::List(vec![response(one.clone()).into(), response(other.clone()).into()]);
        assert_same(&Map::single("m2m:rsp", response(one.clone())))?;
        assert_same(&Map::single("m2m:agr", Map::single("m2m:rsp", members)))?;
        let mut event = Map::single("rep", one);
        event.push("net", 3_i64);
        let mut notification = Map::single("nev", event);
        notification.push("sur", "/id-in/sub");
        assert_same(&Map::single("m2m:sgn", notification.clone()))?;
        let mut second = notification.clone();
        second.insert("nev", Map::single("rep", other));
        let list = Value::List(vec![notification.into(), second.into()]);
        assert_same(&Map::single("m2m:agn", Map::single("m2m:sgn", list)))?;
    }

    #[test]
    fn any_tree_is_read_as_it_was_written(members in prop::collection::vec((name(), odd_tree()), 0..5)) {
        let map: Map = members.into_iter().map(|(name, value)| (name.into(), value)).collect();
        assert_same(&map)?;
        for root in ["m2m:cnt", "m2m:sub", "m2m:rqp", "m2m:sgn", "m2m:agr", "m2m:rrl", "abc:def", "x"] {
            assert_same(&Map::single(root, map.clone()))?;
        }
    }

    #[test]
    fn any_value_is_read_as_it_was_written(value in odd_tree()) {
        for root in ["m2m:uril", "m2m:dbg", "m2m:uri", "m2m:cin", "m2m:agr", "m2m:rce", "abc:def", "x"] {
            assert_same(&Map::single(root, value.clone()))?;
        }
        for members in [("m2m:cin", "con"), ("m2m:cnt", "mni"), ("m2m:cnt", "lbl"), ("m2m:acp", "pv"), ("m2m:rqp", "pc"),
            ("m2m:cnt", "rn"), ("m2m:cnt", "m2m:cin"), ("m2m:cnt", "ch"), ("m2m:sub", "enc"), ("m2m:rqp", "rqet"),
            ("m2m:rrl", "rrf"), ("m2m:rsp", "rsc"), ("cod:binSh", "state"), ("m2m:rqp", "unknown")] {
            assert_same(&Map::single(members.0, Map::single(members.1, value.clone())))?;
        }
    }
}

#[test]
fn what_failed_once() {
    for text in [
        r#"{"m2m:rrl":{"rrf":[{"val":""}]}}"#,
        r#"{"m2m:rrl":{"rrf":["x"]}}"#,
        r#"{"m2m:cnt":{"m2m:cin":[{}]}}"#,
        r#"{"m2m:cnt":{"m2m:cin":{}}}"#,
        r#"{"m2m:acp":{"pv":{}}}"#,
        r#"{"m2m:acp":{"pv":{"acr":[{}]}}}"#,
        r#"{"m2m:cnt":{"lbl":[null]}}"#,
        r#"{"m2m:cnt":{"lbl":[[]]}}"#,
        r#"{"a":[1,2]}"#,
        r#"{}"#,
        r#"{"a":1,"b":2}"#,
    ] {
        let map = json(text);
        assert_eq!(decode(&encode(&map)).expect(text), map, "{}", written(&map));
    }
}
