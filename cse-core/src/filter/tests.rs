//! Conditions on whole resources, and what may be left to a store.

use proptest::prelude::*;

use super::*;
use crate::id::{Originator, Seq};
use crate::primitive::{Operation, Request};
use crate::time::Timestamp;
use crate::value::{Map, Value};

fn time(text: &str) -> Timestamp {
    Timestamp::parse(text).expect("a timestamp")
}

fn map(json: &str) -> Map {
    serde_json::from_str(json).expect("valid JSON")
}

fn resource(ty: Ty, attributes: &str) -> Resource {
    Resource {
        seq: Seq(17),
        parent: Some(Seq(5)),
        ty,
        id: "cnt17".into(),
        name: "kitchen".into(),
        parent_id: "ae5".into(),
        creation_time: time("20260101T000000"),
        last_modified_time: time("20260102T000000,5"),
        expiration_time: Some(time("20270101T000000")),
        state_tag: Some(5),
        content_size: Some(100),
        creator: Originator::from_canonical("Cmeter"),
        attributes: map(attributes),
    }
}

/// Filter criteria as a client sends them.
fn criteria(json: &str) -> FilterCriteria {
    let request = format!(r#"{{"op":2,"to":"x","fr":"C","rqi":"1","rvi":"3","fc":{json}}}"#);
    let request = Request::from_map(map(&request)).expect("valid criteria");
    assert_eq!(request.operation, Operation::Retrieve);
    *request.filter_criteria.expect("there")
}

fn matches(json: &str, candidate: &Candidate<'_>) -> bool {
    Filter::compile(&criteria(json)).expect("valid").matches(candidate)
}

#[test]
fn each_condition_holds_or_not() {
    let container = resource(Ty::CONTAINER, r#"{"lbl":["home","color:red"],"mni":10,"or":"urn:x","disr":false}"#);
    let instance = resource(Ty::CONTENT_INSTANCE, r#"{"cnf":"text/plain:0","con":"on"}"#);
    let mut bare = resource(Ty::CSE_BASE, "{}");
    (bare.expiration_time, bare.state_tag, bare.content_size) = (None, None, None);
    for (json, resource, holds) in [
        ("{}", &container, true),
        (r#"{"fu":1,"lim":3,"lvl":1,"ofst":2}"#, &container, true),
        (r#"{"fo":2}"#, &container, true),
        (r#"{"ty":[2,3]}"#, &container, true),
        (r#"{"ty":[2,4]}"#, &container, false),
        (r#"{"lbl":["work","home"]}"#, &container, true),
        (r#"{"lbl":["color"]}"#, &container, false),
        (r#"{"lbl":["home"]}"#, &instance, false),
        (r#"{"lbq":"color NE green"}"#, &container, true),
        (r#"{"lbq":"color"}"#, &instance, false),
        (r#"{"lbq":"NT color"}"#, &instance, true),
        // Upper bounds do not belong to the interval, lower ones do.
        (r#"{"crb":"20260101T000000"}"#, &container, false),
        (r#"{"crb":"20260101T000000,000001"}"#, &container, true),
        (r#"{"cra":"20260101T000000"}"#, &container, true),
        (r#"{"cra":"20260101T000000,000001"}"#, &container, false),
        (r#"{"us":"20260102T000000,5"}"#, &container, false),
        (r#"{"us":"20260102T000001"}"#, &container, true),
        (r#"{"ms":"20260102T000000,5"}"#, &container, true),
        (r#"{"ms":"20260102T000001"}"#, &container, false),
        (r#"{"exb":"20270101T000000"}"#, &container, false),
        (r#"{"exb":"20270101T000001"}"#, &container, true),
        (r#"{"exa":"20270101T000000"}"#, &container, true),
        (r#"{"exa":"20270101T000001"}"#, &container, false),
        (r#"{"sts":5}"#, &container, false),
        (r#"{"sts":6}"#, &container, true),
        (r#"{"stb":5}"#, &container, true),
        (r#"{"stb":6}"#, &container, false),
        (r#"{"szb":100}"#, &instance, false),
        (r#"{"szb":101}"#, &instance, true),
        (r#"{"sza":100}"#, &instance, true),
        (r#"{"sza":101}"#, &instance, false),
        // What the resource does not have does not match.
        (r#"{"exa":"20000101T000000"}"#, &bare, false),
        (r#"{"exb":"99990101T000000"}"#, &bare, false),
        (r#"{"stb":0}"#, &bare, false),
        (r#"{"sza":0}"#, &bare, false),
        (r#"{"szb":1000}"#, &bare, false),
        (r#"{"cty":["text/plain"]}"#, &instance, true),
        (r#"{"cty":["text/html","text/plain"]}"#, &instance, true),
        (r#"{"cty":["text"]}"#, &instance, false),
        (r#"{"cty":["text/plain:0"]}"#, &instance, false),
        (r#"{"cty":["text/plain"]}"#, &container, false),
        (r#"{"atr":[{"nm":"mni","val":"10"}]}"#, &container, true),
        (r#"{"atr":[{"nm":"mni","val":11},{"nm":"or","val":"urn:*"}]}"#, &container, true),
        (r#"{"atr":[{"nm":"mni","val":11}]}"#, &container, false),
        (r#"{"atr":[{"nm":"mni","val":[11,10]}]}"#, &container, true),
        (r#"{"atr":[{"nm":"disr","val":"false"}]}"#, &container, true),
        (r#"{"atr":[{"nm":"lbl","val":"color:*"}]}"#, &container, true),
        (r#"{"atr":[{"nm":"mni","val":"*"}]}"#, &instance, false),
        (r#"{"atr":[{"nm":"rn","val":"kit*"}]}"#, &container, true),
        (r#"{"atr":[{"nm":"rn","val":"bath*"}]}"#, &container, false),
        (r#"{"atr":[{"nm":"ri","val":"cnt17"}]}"#, &container, true),
        (r#"{"atr":[{"nm":"pi","val":"ae5"}]}"#, &container, true),
        (r#"{"atr":[{"nm":"ty","val":3}]}"#, &container, true),
        (r#"{"atr":[{"nm":"st","val":5}]}"#, &container, true),
        (r#"{"atr":[{"nm":"st","val":5}]}"#, &bare, false),
        (r#"{"atr":[{"nm":"cs","val":"100"}]}"#, &instance, true),
        (r#"{"atr":[{"nm":"cr","val":"C*"}]}"#, &container, true),
        (r#"{"atr":[{"nm":"cr","val":"S*"}]}"#, &container, false),
        (r#"{"atr":[{"nm":"ct","val":"20260101T000000"}]}"#, &container, true),
        (r#"{"atr":[{"nm":"ct","val":"20260101T000000,000000"}]}"#, &container, true),
        (r#"{"atr":[{"nm":"lt","val":"20260102*"}]}"#, &container, true),
        (r#"{"atr":[{"nm":"lt","val":"20260102T000000"}]}"#, &container, false),
        (r#"{"atr":[{"nm":"et","val":"2027*"}]}"#, &container, true),
        (r#"{"atr":[{"nm":"et","val":"*"}]}"#, &bare, false),
        (r#"{"atr":[{"nm":"zz","val":"*"}]}"#, &container, false),
    ] {
        assert_eq!(matches(json, &Candidate::alone(resource)), holds, "{json} {:?}", resource.ty);
    }
}

#[test]
fn members_combine_by_the_filter_operation() {
    let container = resource(Ty::CONTAINER, r#"{"lbl":["home"]}"#);
    let candidate = Candidate::alone(&container);
    for (conditions, and, or) in [
        (r#""ty":[3],"lbl":["home"]"#, true, true),
        (r#""ty":[3],"lbl":["work"]"#, false, true),
        (r#""ty":[4],"sts":9"#, false, true),
        (r#""ty":[4],"lbl":["work"]"#, false, false),
        (r#""ty":[4]"#, false, false),
        // Two bounds of one attribute are an interval.
        (r#""stb":3,"sts":4"#, false, false),
        (r#""stb":3,"sts":6"#, true, true),
        (r#""stb":3,"sts":4,"ty":[3]"#, false, true),
    ] {
        assert_eq!(matches(&format!("{{{conditions}}}"), &candidate), and, "{conditions} AND");
        assert_eq!(matches(&format!(r#"{{{conditions},"fo":2}}"#), &candidate), or, "{conditions} OR");
    }
}

#[test]
fn relatives_are_looked_at() {
    let container = resource(Ty::CONTAINER, "{}");
    let parent = resource(Ty::AE, r#"{"lbl":["home"],"api":"N.a"}"#);
    let children =
        [resource(Ty::CONTENT_INSTANCE, r#"{"con":"off"}"#), resource(Ty::SUBSCRIPTION, r#"{"lbl":["watch"]}"#)];
    for (json, holds, of_parent, of_children) in [
        (r#"{"pty":[2]}"#, true, true, false),
        (r#"{"pty":[3]}"#, false, true, false),
        (r#"{"palb":["home"]}"#, true, true, false),
        (r#"{"palb":["watch"]}"#, false, true, false),
        (r#"{"patr":[{"nm":"api","val":"N.*"}]}"#, true, true, false),
        (r#"{"patr":[{"nm":"apn","val":"*"}]}"#, false, true, false),
        (r#"{"chty":[4,9]}"#, true, false, true),
        (r#"{"chty":[9]}"#, false, false, true),
        (r#"{"clbl":["watch"]}"#, true, false, true),
        (r#"{"clbl":["home"]}"#, false, false, true),
        (r#"{"catr":[{"nm":"con","val":"off"}]}"#, true, false, true),
        (r#"{"catr":[{"nm":"con","val":"on"}]}"#, false, false, true),
        (r#"{"catr":[{"nm":"con","val":"off"}],"clbl":["watch"],"pty":[2]}"#, true, true, true),
    ] {
        let criteria = criteria(json);
        let filter = Filter::compile(&criteria).expect("valid");
        let mut candidate = Candidate { parent: Some(&parent), ..Candidate::alone(&container) };
        for child in &children {
            filter.see_child(&mut candidate.children, child);
        }
        assert_eq!(filter.matches(&candidate), holds, "{json}");
        assert_eq!(filter.needs_parent(), of_parent, "{json}");
        assert_eq!(filter.child_types().is_some() || filter.looks_into_children(), of_children, "{json}");
        assert!(!filter.matches(&Candidate::alone(&container)), "{json} without relatives");
    }
}

#[test]
fn a_wrong_condition_is_refused_by_name() {
    for (json, name) in [
        (r#"{"lbq":"color EQ"}"#, "'fc/lbq'"),
        (r#"{"atr":[{"nm":"a b","val":1}]}"#, "'fc/atr'"),
        (r#"{"catr":[{"nm":"con","val":null}]}"#, "'fc/catr'"),
        (r#"{"patr":[{"nm":"con","val":{}}]}"#, "'fc/patr'"),
    ] {
        let criteria = criteria(json);
        let error = Filter::compile(&criteria).expect_err(json);
        assert!(error.to_string().contains(name), "{error}");
        assert_eq!(error.rsc().code(), 4000);
    }
}

#[test]
fn clauses_are_pushed_only_where_all_must_hold() {
    for (json, count) in [
        ("{}", 0),
        (r#"{"ty":[3],"lbl":["a"],"crb":"20260101T000000","cra":"20250101T000000","stb":1,"sza":1}"#, 5),
        (r#"{"ms":"20260101T000000","exb":"20260101T000000","lbq":"x"}"#, 2),
        (r#"{"ty":[3],"fo":2}"#, 1),
        (r#"{"stb":1,"sts":9,"fo":2}"#, 1),
        (r#"{"ty":[3],"lbl":["a"],"fo":2}"#, 0),
        (r#"{"ty":[3],"lbq":"a","fo":2}"#, 0),
        (r#"{"ty":[3],"pty":[2],"fo":2}"#, 0),
        (r#"{"lbq":"a","fo":2}"#, 0),
    ] {
        let criteria = criteria(json);
        assert_eq!(Filter::compile(&criteria).expect("valid").clauses().len(), count, "{json}");
    }
}

#[test]
fn the_criteria_of_a_subscription_are_bounds_on_the_resource() {
    let container = resource(Ty::CONTAINER, "{}");
    for (json, holds) in [
        (r#"{"net":[1],"atr":["con"],"chty":[4]}"#, true),
        (r#"{"stb":5,"szb":101}"#, true),
        (r#"{"stb":6,"szb":101}"#, false),
        (r#"{"stb":6,"szb":101,"fo":2}"#, true),
        (r#"{"stb":6,"szb":100,"fo":2}"#, false),
        (r#"{"crb":"20260102T000000","cra":"20260101T000000"}"#, true),
        (r#"{"us":"20260102T000000"}"#, false),
        (r#"{"ms":"20260102T000000","fo":1}"#, true),
        (r#"{"exa":"20270101T000000","exb":"20270101T000001"}"#, true),
        (r#"{"sts":5}"#, false),
        (r#"{"sza":101}"#, false),
    ] {
        assert_eq!(EventFilter::compile(&map(json)).expect("valid").matches(&container), holds, "{json}");
    }
    for (json, reason) in [
        (r#"{"crb":"yesterday"}"#, "'enc/crb' must be a time like"),
        (r#"{"cra":5}"#, "'enc/cra' must be a time like"),
        (r#"{"stb":-1}"#, "'enc/stb' must be a number that is not negative"),
        (r#"{"sts":0}"#, "'enc/sts' must be a number above 0"),
        (r#"{"szb":"5"}"#, "'enc/szb' must be a number above 0"),
        (r#"{"fo":4}"#, "'enc/fo' must be 1 (AND) or 2 (OR), not 4"),
        (r#"{"fo":"x"}"#, "'enc/fo' must be 1"),
        (r#"{"fo":3}"#, "XOR"),
    ] {
        let error = EventFilter::compile(&map(json)).expect_err(json);
        assert!(error.to_string().contains(reason), "{json}: {error}");
    }
}

/// What a clause means, as a store understands it.
fn holds(clause: &Clause, resource: &Resource) -> bool {
    fn within<T: PartialOrd>(value: Option<T>, from: &Option<T>, before: &Option<T>) -> bool {
        let Some(value) = value else { return false };
        !from.as_ref().is_some_and(|from| value < *from) && !before.as_ref().is_some_and(|before| value >= *before)
    }
    match clause {
        Clause::Types(types) => types.contains(&resource.ty),
        Clause::Labels(labels) => labels.iter().any(|wanted| resource.labels().any(|label| label == wanted)),
        Clause::Created(from, before) => within(Some(resource.creation_time), from, before),
        Clause::Modified(from, before) => within(Some(resource.last_modified_time), from, before),
        Clause::Expires(from, before) => within(resource.expiration_time, from, before),
        Clause::StateTag(from, before) => within(resource.state_tag, from, before),
        Clause::ContentSize(from, before) => within(resource.content_size, from, before),
    }
}

fn some_time() -> impl Strategy<Value = Timestamp> {
    (0..6_i64).prop_map(Timestamp::from_micros)
}

fn some_labels() -> impl Strategy<Value = Vec<Text>> {
    prop::collection::vec("[ab](:[xy])?".prop_map(Text::from), 0..3)
}

fn some_types() -> impl Strategy<Value = Vec<Ty>> {
    prop::collection::vec((2..5_u16).prop_map(Ty), 0..3)
}

fn some_resource() -> impl Strategy<Value = Resource> {
    let times = (some_time(), some_time(), prop::option::of(some_time()));
    let sizes = (prop::option::of(0..6_u64), prop::option::of(0..6_u64));
    (times, sizes, some_labels(), (2..5_u16).prop_map(Ty)).prop_map(|(times, sizes, labels, ty)| {
        let mut resource = resource(ty, r#"{"con":"on"}"#);
        (resource.creation_time, resource.last_modified_time, resource.expiration_time) = times;
        (resource.state_tag, resource.content_size) = sizes;
        if !labels.is_empty() {
            resource.attributes.insert("lbl", Value::text_list(labels));
        }
        resource
    })
}

/// Criteria of which a store can evaluate everything.
fn some_pushable_criteria() -> impl Strategy<Value = FilterCriteria> {
    let time = || prop::option::weighted(0.2, some_time());
    let count = || prop::option::weighted(0.2, 0..6_u64);
    let times = (time(), time(), time(), time(), time(), time());
    let counts = (count(), count(), count(), count());
    let operation = prop_oneof![3 => Just(FilterOperation::And), 1 => Just(FilterOperation::Or)];
    (times, counts, some_labels(), some_types(), operation).prop_map(|(times, counts, labels, types, operation)| {
        FilterCriteria {
            operation,
            created_before: times.0,
            created_after: times.1,
            modified_since: times.2,
            unmodified_since: times.3,
            expire_before: times.4,
            expire_after: times.5,
            state_tag_smaller: counts.0,
            state_tag_bigger: counts.1,
            size_above: counts.2,
            size_below: counts.3,
            labels,
            resource_type: types,
            ..FilterCriteria::default()
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn a_store_never_leaves_out_what_matches(
        resource in some_resource(),
        pushable in some_pushable_criteria(),
        query in prop::option::weighted(0.3, "(NT )?[ab]"),
        value in prop::option::weighted(0.3, prop::sample::select(vec!["on", "off"])),
        parent_types in some_types(),
    ) {
        let attribute =
            value.map(|value| AttributeCondition { name: "con".into(), value: value.into() }).into_iter().collect();
        let criteria = FilterCriteria {
            labels_query: query.map(Text::from),
            attribute,
            parent_resource_type: parent_types,
            ..pushable
        };
        let filter = Filter::compile(&criteria).expect("valid");
        if filter.matches(&Candidate::alone(&resource)) {
            for clause in filter.clauses() {
                prop_assert!(holds(&clause, &resource), "{clause:?}");
            }
        }
    }

    #[test]
    fn what_is_pushed_whole_is_decided_by_the_store(resource in some_resource(), criteria in some_pushable_criteria()) {
        let filter = Filter::compile(&criteria).expect("valid");
        let matches = filter.matches(&Candidate::alone(&resource));
        let clauses = filter.clauses();
        if criteria.operation == FilterOperation::And || !clauses.is_empty() {
            prop_assert_eq!(matches, clauses.iter().all(|clause| holds(clause, &resource)));
        }
    }

    #[test]
    fn either_is_weaker_than_both(resource in some_resource(), criteria in some_pushable_criteria()) {
        let with = |operation| FilterCriteria { operation, ..criteria.clone() };
        let (both, either) = (with(FilterOperation::And), with(FilterOperation::Or));
        let matches = |criteria: &FilterCriteria| {
            Filter::compile(criteria).expect("valid").matches(&Candidate::alone(&resource))
        };
        prop_assert!(!matches(&both) || matches(&either));
    }
}
