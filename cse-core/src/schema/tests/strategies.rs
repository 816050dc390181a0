//! Generated types, contents and values, as the tables allow them.

use std::net::{Ipv4Addr, Ipv6Addr};

use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::Union;

use crate::schema::{AttrDef, ComplexDef, Items, Kind, Presence, Specialization, TypeDef, all_types};
use crate::time::Timestamp;
use crate::value::{Map, Value};

pub(crate) fn any_type() -> impl Strategy<Value = &'static TypeDef> {
    // The supported types are few among many, and matter most.
    let all: Vec<&'static TypeDef> = all_types().collect();
    let implemented: Vec<&'static TypeDef> = all.iter().copied().filter(|def| def.implemented).collect();
    prop_oneof![select(implemented), select(all)]
}

pub(crate) fn content(def: &'static TypeDef, presence: fn(&AttrDef) -> Presence) -> BoxedStrategy<Map> {
    let members: Vec<BoxedStrategy<Option<(&'static str, Value)>>> = def
        .attributes
        .iter()
        .filter(|attr| presence(attr) != Presence::NotPermitted)
        .map(|attr| {
            let value = attribute_value(def, attr).prop_map(|value| (attr.key, value));
            if presence(attr) == Presence::Mandatory { value.prop_map(Some).boxed() } else { of(value).boxed() }
        })
        .collect();
    members
        .prop_map(|members| members.into_iter().flatten().map(|(key, value)| (key.into(), value)).collect::<Map>())
        .boxed()
}

fn attribute_value(def: &TypeDef, attr: &AttrDef) -> BoxedStrategy<Value> {
    match (attr.key, def.specialization) {
        ("mgd", Some(Specialization::MgmtDefinition(number))) => Just(Value::from(number)).boxed(),
        ("cnd", Some(Specialization::ContainerDefinition(definition))) => Just(Value::from(definition)).boxed(),
        ("cr", _) if attr.name == "creator" => Just(Value::Null).boxed(),
        _ => items(&attr.kind, attr.items()),
    }
}

fn items(kind: &Kind, items: Items) -> BoxedStrategy<Value> {
    let item = match (items, kind) {
        (Items::One, _) => return one(kind),
        (Items::BetweenBlanks, Kind::Text) => text("[!-~äß€]{1,40}"),
        (Items::BetweenBlanks, Kind::Base64) => text("([A-Za-z0-9+/]{4}){1,8}"),
        (Items::BetweenBlanks, Kind::Token) => text("[a-zä:][a-z0-9:]{0,20}"),
        _ => one(kind),
    };
    vec(item, 0..4).prop_map(Value::List).boxed()
}

fn text(pattern: &'static str) -> BoxedStrategy<Value> {
    pattern.prop_map(Value::from).boxed()
}

fn one(kind: &Kind) -> BoxedStrategy<Value> {
    match kind {
        Kind::Text => text("[ -~äß€\n]{0,40}"),
        Kind::Token => text("[a-zä:]([a-z :]{0,20}[a-z0-9])?"),
        Kind::NcName => text("[a-zA-Z_][a-zA-Z0-9._-]{0,20}"),
        Kind::Uri | Kind::Id => text("([a-z]{1,8}:)?(/{1,2}[A-Za-z0-9~._*-]{1,8}){1,4}"),
        Kind::ResourceName => text("[A-Za-z0-9][A-Za-z0-9._-]{0,40}"),
        Kind::Bool => any::<bool>().prop_map(Value::from).boxed(),
        Kind::Int { min, max } => (*min..=*max).prop_map(Value::from).boxed(),
        Kind::UInt { min } => (*min..=u64::MAX).prop_map(Value::from).boxed(),
        Kind::Float => {
            prop_oneof![any::<i64>().prop_map(Value::from), prop::num::f64::NORMAL.prop_map(Value::from),].boxed()
        }
        Kind::Timestamp => timestamp(),
        Kind::AbsRelTimestamp => {
            prop_oneof![timestamp(), (0..i64::MAX).prop_map(Value::from), text("[0-9]{1,10}")].boxed()
        }
        Kind::Duration => text("P([0-9]{1,3}D)?T([0-9]{1,3}H)?[0-9]{1,4}S"),
        Kind::ScheduleEntry => text("(\\*|[0-9]|[1-5][0-9]) \\*/[1-9] (0-23|8-17|\\*) 1,15 \\* [0-6] (\\*|2026)"),
        Kind::Base64 => text("([A-Za-z0-9+/]{4}){0,8}([A-Za-z0-9+/]{3}=)?"),
        Kind::ContentInfo => text("[a-z]{1,8}/[a-z+]{1,8}(:[0-2](:[0-5])?)?"),
        Kind::Serialization => text("(application/)?(json|xml|cbor)"),
        Kind::ReleaseVersion => text("[1-5]|2a"),
        Kind::EventCategory => prop_oneof![2..=4_i64, 100..=999_i64].prop_map(Value::from).boxed(),
        Kind::CountryCode => text("[A-Za-z]{2}"),
        Kind::Ipv4 => (any::<Ipv4Addr>(), of(0..=32_u8)).prop_map(|(ip, prefix)| network(&ip, prefix)).boxed(),
        Kind::Ipv6 => (any::<Ipv6Addr>(), of(0..=128_u8)).prop_map(|(ip, prefix)| network(&ip, prefix)).boxed(),
        Kind::SpecializationType => prop_oneof![
            (1001..2000_i64).prop_map(Value::from),
            text("org(\\.[a-z]{1,8}){1,4}"),
            (1001..2000_i64).prop_map(|number| Map::single("mgd", number).into()),
        ]
        .boxed(),
        Kind::Object => anything().prop_map(|value| Map::single("member", value).into()).boxed(),
        Kind::Enum(def) if def.bits => {
            (1..=def.values.iter().map(|(bit, _)| bit).sum::<i64>()).prop_map(Value::from).boxed()
        }
        Kind::Enum(def) => select(def.values).prop_map(|(value, _)| Value::from(value)).boxed(),
        Kind::Complex(def) => members(def),
        Kind::Any => anything().prop_filter("null is no value", |value| !value.is_null()).boxed(),
    }
}

fn members(def: &'static ComplexDef) -> BoxedStrategy<Value> {
    let members: Vec<BoxedStrategy<Option<(&'static str, Value)>>> = def
        .members
        .iter()
        .map(|member| {
            let value = items(&member.kind, member.items()).prop_map(|value| (member.key, value));
            if member.required { value.prop_map(Some).boxed() } else { of(value).boxed() }
        })
        .collect();
    members
        .prop_map(|members| {
            let map: Map = members.into_iter().flatten().map(|(key, value)| (key.into(), value)).collect();
            map.into()
        })
        .boxed()
}

fn timestamp() -> BoxedStrategy<Value> {
    (0..=Timestamp::MAX.micros()).prop_map(|micros| Timestamp::from_micros(micros).into()).boxed()
}

fn network(ip: &dyn std::fmt::Display, prefix: Option<u8>) -> Value {
    prefix.map_or_else(|| ip.to_string(), |prefix| format!("{ip}/{prefix}")).into()
}

/// Any value; numbers that are whole are integers, as after decoding of what we wrote ourselves.
pub(crate) fn anything() -> BoxedStrategy<Value> {
    let leaf = Union::new([
        Just(Value::Null).boxed(),
        any::<bool>().prop_map(Value::from).boxed(),
        any::<i64>().prop_map(Value::from).boxed(),
        any::<u64>().prop_map(Value::from).boxed(),
        any::<f64>().prop_map(Value::from).boxed(),
        ".{0,40}".prop_map(Value::from).boxed(),
    ]);
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::List),
            vec(("[a-z]{0,4}", inner), 0..4).prop_map(|members| {
                Value::Map(members.into_iter().map(|(name, value)| (name.into(), value)).collect())
            }),
        ]
    })
    .boxed()
}
