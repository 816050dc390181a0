//! Property: a primitive that is written and read again is the same primitive, in every serialization.

use std::time::Duration;

use proptest::option;
use proptest::prelude::*;

use super::*;
use crate::codec::{Root, Serialization};

fn text() -> impl Strategy<Value = Text> {
    "[ -~äß€😀]{1,24}".prop_map(Text::from)
}

fn texts() -> impl Strategy<Value = Vec<Text>> {
    prop::collection::vec(text(), 1..4)
}

fn timestamp() -> impl Strategy<Value = Timestamp> {
    (0..Timestamp::MAX.micros()).prop_map(Timestamp::from_micros)
}

fn abs_rel() -> impl Strategy<Value = AbsRelTimestamp> {
    prop_oneof![
        timestamp().prop_map(AbsRelTimestamp::Absolute),
        (0_u64..1 << 40).prop_map(|millis| AbsRelTimestamp::Relative(Duration::from_millis(millis))),
    ]
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        (-1e300..1e300).prop_map(Value::from),
        text().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::List),
            prop::collection::btree_map("[a-z:]{1,6}", inner, 0..5)
                .prop_map(|map| Value::Map(map.into_iter().map(|(name, value)| (name.into(), value)).collect())),
        ]
    })
}

fn content() -> impl Strategy<Value = Map> {
    ("m2m:[a-z]{2,4}", value()).prop_map(|(root, value)| Map::single(root, value))
}

fn conditions() -> impl Strategy<Value = Vec<AttributeCondition>> {
    let condition = (text(), value().prop_filter("null is absence", |value| !value.is_null()));
    prop::collection::vec(condition.prop_map(|(name, value)| AttributeCondition { name, value }), 0..3)
}

fn criteria() -> impl Strategy<Value = FilterCriteria> {
    let types = || prop::collection::vec((1_u16..100).prop_map(Ty), 0..3);
    let labels = || prop::collection::vec(text(), 0..3);
    let times = (option::of(timestamp()), option::of(timestamp()), option::of(timestamp()));
    let counts = (option::of(1_u64..1 << 50), option::of(0_u64..1 << 50), option::of(1_u64..1000));
    let usage = prop_oneof![Just(FilterUsage::Discovery), Just(FilterUsage::Conditional)];
    let operation = prop_oneof![Just(FilterOperation::And), Just(FilterOperation::Or)];
    let lists = (types(), types(), labels(), labels(), conditions(), conditions());
    (times, counts, usage, operation, lists, option::of(text())).prop_map(
        |(times, counts, usage, operation, lists, query)| FilterCriteria {
            usage,
            operation,
            created_before: times.0,
            modified_since: times.1,
            expire_after: times.2,
            size_below: counts.0,
            limit: counts.1,
            level: counts.2,
            resource_type: lists.0,
            child_resource_type: lists.1,
            labels: lists.2,
            content_type: lists.3,
            attribute: lists.4,
            parent_attribute: lists.5,
            labels_query: query.clone(),
            content_filter_query: query.clone(),
            apply_relative_path: query,
            ..FilterCriteria::default()
        },
    )
}

fn request() -> impl Strategy<Value = Request> {
    let operation = (1_i64..=5).prop_map(|code| Operation::from_code(code).expect("one of five"));
    let version = prop::sample::select(&ReleaseVersion::SUPPORTED[..]).prop_map(ReleaseVersion::parse);
    let times = (option::of(timestamp()), option::of(abs_rel()), option::of(abs_rel()), option::of(abs_rel()));
    let response_type = (1_i64..=5).prop_map(|code| ResponseType::from_code(code).expect("one of five"));
    let result_content = option::of((0_i64..=12).prop_map(|code| ResultContent::from_code(code).expect("one of 13")));
    let head = (operation, text(), text(), text(), version);
    let rest = (content(), result_content, criteria(), option::of(texts()), option::of(100_u32..1000));
    (head, times, response_type, rest, any::<bool>(), option::of(text())).prop_map(
        |((operation, to, from, rqi, version), times, response_type, rest, flag, vendor)| {
            let mut request = Request::new(operation, to, from, rqi);
            request.release_version = version;
            request.resource_type = (operation == Operation::Create).then_some(Ty(3));
            request.originating_timestamp = times.0;
            request.request_expiration = times.1;
            request.result_expiration = times.2;
            request.operation_execution_time = times.3;
            request.response_type = response_type;
            let (content, result_content, criteria, list, category) = rest;
            request.content = (operation != Operation::Delete).then_some(content);
            request.result_content = result_content.filter(|_| operation != Operation::Notify);
            let takes_criteria = !matches!(operation, Operation::Create | Operation::Notify);
            request.filter_criteria = takes_criteria.then(|| Box::new(criteria));
            request.notification_uris = list.clone();
            request.group_request_target_members = list;
            request.event_category = category;
            request.unstructured_addresses = flag;
            request.vendor_information = vendor.clone();
            request.group_request_identifier = vendor;
            request
        },
    )
}

/// The serializations, with and without a root name where they may do without.
const FORMS: [(Serialization, bool); 5] = [
    (Serialization::Json, false),
    (Serialization::Json, true),
    (Serialization::Cbor, false),
    (Serialization::Cbor, true),
    (Serialization::Xml, true),
];

proptest! {
    #[test]
    fn a_request_is_read_as_it_was_written(request in request()) {
        let written = request.to_map();
        for (serialization, wrapped) in FORMS {
            let bytes = serialization.encode_primitive(Root::Request, written.clone(), wrapped);
            let primitive = serialization.decode_primitive(&bytes).expect("bytes of ours");
            prop_assert_eq!(primitive.wrapped, wrapped);
            prop_assert_eq!(&primitive.parameters, &written);
            let read = Request::from_map(primitive.parameters);
            let read = read.map_err(|failure| failure.error).expect("a request of ours");
            prop_assert_eq!(read.to_map(), written.clone());
        }
    }

    #[test]
    fn a_response_is_read_as_it_was_written(
        rqi in text(),
        content in option::of(content()),
        names in (option::of(text()), option::of(text()), option::of(text())),
        time in option::of(timestamp()),
        expiration in option::of(abs_rel()),
        complete in option::of(any::<bool>()),
        offset in option::of(1_u64..1 << 50),
    ) {
        let mut response = Response::new(Rsc::Ok, rqi);
        response.content = content;
        (response.to, response.from, response.vendor_information) = names;
        response.originating_timestamp = time;
        response.result_expiration = expiration;
        response.content_complete = complete;
        response.content_offset = offset;
        response.release_version = Some(ReleaseVersion::R4);
        for (serialization, wrapped) in FORMS {
            let bytes = serialization.encode_primitive(Root::Response, response.to_map(), wrapped);
            let read = Response::from_map(serialization.decode_primitive(&bytes).expect("bytes of ours").parameters);
            prop_assert_eq!(read.expect("a response of ours"), response.clone());
        }
    }
}
