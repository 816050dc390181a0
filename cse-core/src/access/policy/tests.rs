//! Decisions of whole policies, as tables of rules and questions.

use proptest::prelude::*;

use super::*;
use crate::id::CseType;

fn identity() -> CseIdentity {
    CseIdentity::new("//cse.example", "/id-in", "cse-in", CseType::In).expect("valid")
}

fn policy(rules: &str) -> Policy {
    let privileges: Map = serde_json::from_str(&format!(r#"{{"acr":[{rules}]}}"#)).expect("valid JSON");
    Policy::compile(&privileges, &identity())
}

fn question(originator: &Originator) -> Question<'_> {
    Question {
        originator,
        operation: Access::RETRIEVE,
        peer_address: None,
        authenticated: false,
        now: Timestamp::parse("20260102T100000").expect("a timestamp"),
        location: None,
        creates: None,
        target_type: Ty::CONTAINER,
    }
}

fn originator(text: &str) -> Originator {
    Originator::from_canonical(text)
}

fn allows(rules: &str, question: &Question<'_>) -> bool {
    policy(rules).decide(question) == Decision::Allow
}

#[test]
fn the_bits_of_the_operations_decide() {
    let ae = originator("Cmeter");
    let operations =
        [Access::CREATE, Access::RETRIEVE, Access::UPDATE, Access::DELETE, Access::NOTIFY, Access::DISCOVERY];
    for bits in 0..64 {
        let policy = policy(&format!(r#"{{"acor":["Cmeter"],"acop":{bits}}}"#));
        assert_eq!(policy.is_empty(), bits == 0);
        for (position, operation) in operations.into_iter().enumerate() {
            let decision = policy.decide(&Question { operation, ..question(&ae) });
            assert_eq!(decision == Decision::Allow, bits >> position & 1 == 1, "{bits} {}", operation.name());
        }
    }
}

#[test]
fn every_operation_has_its_bit_and_name() {
    for (operation, access) in [
        (Operation::Create, Access::CREATE),
        (Operation::Retrieve, Access::RETRIEVE),
        (Operation::Update, Access::UPDATE),
        (Operation::Delete, Access::DELETE),
        (Operation::Notify, Access::NOTIFY),
    ] {
        assert_eq!(Access::from(operation), access);
        assert_eq!(access.name(), operation.name());
    }
    assert_eq!(Access::DISCOVERY.name(), "DISCOVERY");
}

#[test]
fn one_matching_rule_suffices() {
    let rules = r#"{"acor":["Cother"],"acop":63},{"acor":["Cmeter"],"acop":1},{"acor":["Cmeter"],"acop":2}"#;
    assert!(allows(rules, &question(&originator("Cmeter"))));
    assert!(!allows(rules, &Question { operation: Access::UPDATE, ..question(&originator("Cmeter")) }));
    assert!(!allows(rules, &question(&originator("Cthird"))));
    assert!(!allows("", &question(&originator("Cmeter"))));
}

#[test]
fn a_rule_for_the_authenticated_is_for_them_only() {
    let ae = originator("Cmeter");
    for (flag, authenticated, allowed) in
        [("true", true, true), ("true", false, false), ("false", true, true), ("false", false, true)]
    {
        let rule = format!(r#"{{"acor":["all"],"acop":63,"acaf":{flag}}}"#);
        assert_eq!(allows(&rule, &Question { authenticated, ..question(&ae) }), allowed, "{flag} {authenticated}");
    }
}

#[test]
fn what_is_malformed_or_unknown_never_allows() {
    let ae = originator("Cmeter");
    let everything = Question {
        authenticated: true,
        peer_address: Some("10.0.0.1".parse().expect("an address")),
        location: Some(Location { latitude: 0.0, longitude: 0.0 }),
        ..question(&ae)
    };
    assert!(allows(r#"{"acor":["all"],"acop":63}"#, &everything));
    for rule in [
        r#"{"acor":["all"],"acop":63,"aca":["con"]}"#,
        r#"{"acor":["all"],"acop":63,"other":null}"#,
        r#"{"acor":["all"],"acop":63,"acaf":"true"}"#,
        r#"{"acor":["all"],"acop":63,"acaf":null}"#,
        r#"{"acor":["all"],"acop":64}"#,
        r#"{"acor":["all"],"acop":-1}"#,
        r#"{"acor":["all"],"acop":"63"}"#,
        r#"{"acor":["all"],"acop":2.5}"#,
        r#"{"acor":["all"]}"#,
        r#"{"acop":63}"#,
        r#"{"acor":"all","acop":63}"#,
        r#"{"acor":[],"acop":63}"#,
        r#"{"acor":["all",1],"acop":63}"#,
        r#"{"acor":["all"],"acop":63,"acco":[]}"#,
        r#"{"acor":["all"],"acop":63,"acco":null}"#,
        r#"{"acor":["all"],"acop":63,"acco":[{},{"acui":["x"]}]}"#,
        r#"{"acor":["all"],"acop":63,"acco":[{"actw":["x"]}]}"#,
        r#"{"acor":["all"],"acop":63,"acod":3}"#,
        r#"{"acor":["all"],"acop":63,"acod":[{}]}"#,
        r#"{"acor":["all"],"acop":63,"acod":[{"chty":["x"]}]}"#,
        r#"{"acor":["all"],"acop":63,"acod":[{"chty":[4],"other":1}]}"#,
        "3",
        "null",
        "[]",
    ] {
        assert_eq!(policy(rule).decide(&everything), Decision::Deny, "{rule}");
        assert!(policy(rule).is_empty(), "{rule}");
    }
    for privileges in ["{}", r#"{"acr":3}"#, r#"{"acr":null}"#, r#"{"acr":"all"}"#] {
        let privileges: Map = serde_json::from_str(privileges).expect("valid JSON");
        assert!(Policy::compile(&privileges, &identity()).is_empty());
    }
}

#[test]
fn a_rule_that_is_not_understood_leaves_the_others_as_they_are() {
    let rules = r#"{"acor":["all"],"acop":63,"aca":["con"]},{"acor":["Cmeter"],"acop":2}"#;
    assert!(allows(rules, &question(&originator("Cmeter"))));
    assert!(!allows(rules, &question(&originator("Cother"))));
}

#[test]
fn contexts_are_alternatives_and_their_conditions_are_not() {
    let ae = originator("Cmeter");
    let located = |latitude, longitude| Some(Location { latitude, longitude });
    let address = |text: &str| Some(text.parse().expect("an address"));
    let office_hours = r#"{"actw":["* * 20-23 * * * *","* * 8-16 * * * *"]}"#;
    let night = r#"{"actw":["* * 0-4 * * * *"]}"#;
    let lan = r#"{"acip":{"ipv4":["192.0.2.7","10.1.2.3/8"],"ipv6":["2001:db8::/32","::1"]}}"#;
    let lan_at_night = r#"{"acip":{"ipv4":["10.0.0.0/8"]},"actw":["* * 0-4 * * * *"]}"#;
    let lan_by_day = r#"{"acip":{"ipv4":["10.0.0.0/8"]},"actw":["* * 8-16 * * * *"]}"#;
    let berlin = r#"{"aclr":{"accr":[52.52,13.405,10000]}}"#;
    let two_cities = r#"{"aclr":[{"accc":["FR"]},{"accr":[48.86,2.35,5000.5]},{"accr":[52.52,13.405,10000]}]}"#;
    for (contexts, peer_address, location, allowed) in [
        (office_hours, None, None, true),
        (night, None, None, false),
        (lan, None, None, false),
        (lan, address("10.200.0.1"), None, true),
        (lan, address("11.0.0.1"), None, false),
        (lan, address("192.0.2.7"), None, true),
        (lan, address("192.0.2.8"), None, false),
        (lan, address("::ffff:10.0.0.1"), None, true),
        (lan, address("::ffff:11.0.0.1"), None, false),
        (lan, address("2001:db8:5::1"), None, true),
        (lan, address("2001:db9::1"), None, false),
        (lan, address("::1"), None, true),
        (r#"{"acip":{}}"#, address("10.0.0.1"), None, false),
        (r#"{"acip":{"ipv6":["::/0"]}}"#, address("10.0.0.1"), None, false),
        (lan_at_night, address("10.0.0.1"), None, false),
        (lan_by_day, address("10.0.0.1"), None, true),
        (lan_by_day, address("11.0.0.1"), None, false),
        (&format!("{night},{lan}"), address("10.0.0.1"), None, true),
        (&format!("{night},{lan}"), address("11.0.0.1"), None, false),
        (berlin, None, None, false),
        (berlin, None, located(52.5, 13.4), true),
        (berlin, None, located(52.4, 13.1), false),
        (berlin, None, located(f64::NAN, 13.4), false),
        (two_cities, None, located(48.85, 2.36), true),
        (two_cities, None, located(45.0, 5.0), false),
        (r#"{"aclr":{"accc":["DE"]}}"#, None, located(52.5, 13.4), false),
        (r#"{"actw":[]}"#, None, None, false),
        ("{}", None, None, true),
    ] {
        let rule = format!(r#"{{"acor":["all"],"acop":63,"acco":[{contexts}]}}"#);
        let asked = Question { peer_address, location, ..question(&ae) };
        assert_eq!(allows(&rule, &asked), allowed, "{contexts} {peer_address:?} {location:?}");
    }
}

#[test]
fn object_details_say_what_may_be_created() {
    let ae = originator("Cmeter");
    for (details, operation, target_type, creates, allowed) in [
        (r#"[{"chty":[3,4]}]"#, Access::CREATE, Ty::CONTAINER, Some(Ty::CONTENT_INSTANCE), true),
        (r#"[{"chty":[3,4]}]"#, Access::CREATE, Ty::CONTAINER, Some(Ty::SUBSCRIPTION), false),
        (r#"[{"chty":[3,4]}]"#, Access::CREATE, Ty::CONTAINER, None, false),
        (r#"[{"chty":[]}]"#, Access::CREATE, Ty::CONTAINER, Some(Ty::CONTAINER), false),
        ("[]", Access::CREATE, Ty::CONTAINER, Some(Ty::CONTAINER), false),
        (r#"[{"ty":3,"chty":[4]}]"#, Access::CREATE, Ty::CONTAINER, Some(Ty::CONTENT_INSTANCE), true),
        (r#"[{"ty":2,"chty":[4]}]"#, Access::CREATE, Ty::CONTAINER, Some(Ty::CONTENT_INSTANCE), false),
        (r#"[{"ty":2,"chty":[3]},{"ty":3,"chty":[4]}]"#, Access::CREATE, Ty::AE, Some(Ty::CONTAINER), true),
        (r#"[{"ty":2,"chty":[3]},{"ty":3,"chty":[4]}]"#, Access::CREATE, Ty::AE, Some(Ty::CONTENT_INSTANCE), false),
        (r#"[{"ty":28,"spty":"x","chty":[3]}]"#, Access::CREATE, Ty::FLEX_CONTAINER, Some(Ty::CONTAINER), false),
        (
            r#"[{"ty":28,"spty":"x","chty":[3]},{"chty":[3]}]"#,
            Access::CREATE,
            Ty::FLEX_CONTAINER,
            Some(Ty::CONTAINER),
            true,
        ),
        (r#"[{"ty":2,"chty":[4]}]"#, Access::RETRIEVE, Ty::CONTAINER, None, true),
        (r#"[{"ty":28,"spty":"x","chty":[3]}]"#, Access::DELETE, Ty::CONTAINER, None, true),
    ] {
        let rule = format!(r#"{{"acor":["all"],"acop":63,"acod":{details}}}"#);
        let asked = Question { operation, target_type, creates, ..question(&ae) };
        assert_eq!(allows(&rule, &asked), allowed, "{details} {} {target_type} {creates:?}", operation.name());
    }
}

#[test]
fn groups_are_named_only_where_the_rest_of_the_rule_matches() {
    let ae = originator("Cmeter");
    for (rules, expected) in [
        (r#"{"acor":["grp17","Cother","1@roles.example"],"acop":2}"#, vec!["grp17"]),
        (r#"{"acor":["grp17"],"acop":1}"#, vec![]),
        (r#"{"acor":["grp17"],"acop":2,"acaf":true}"#, vec![]),
        (r#"{"acor":["grp17"],"acop":2,"acco":[{"actw":["* * 0 * * * *"]}]}"#, vec![]),
        (
            r#"{"acor":["grp17","cse-in/g"],"acop":2},{"acor":["/id-mn/grp5","grp17"],"acop":2}"#,
            vec!["grp17", "cse-in/g", "/id-mn/grp5"],
        ),
    ] {
        let policy = policy(rules);
        match policy.decide(&question(&ae)) {
            Decision::DenyUnlessMember(groups) => assert_eq!(groups, expected, "{rules}"),
            Decision::Deny => assert!(expected.is_empty(), "{rules}"),
            Decision::Allow => panic!("{rules} allows"),
        }
    }
    assert!(allows(r#"{"acor":["grp17"],"acop":2},{"acor":["Cmeter"],"acop":2}"#, &question(&ae)));
}

#[test]
fn groups_to_look_into_are_bounded() {
    let ae = originator("Cmeter");
    let groups: Vec<String> = (1..=200).map(|n| format!(r#""grp{n}""#)).collect();
    let policy = policy(&format!(r#"{{"acor":[{}],"acop":2}}"#, groups.join(",")));
    let Decision::DenyUnlessMember(groups) = policy.decide(&question(&ae)) else {
        panic!("no groups");
    };
    assert_eq!(groups.len(), GROUPS_MAX);
}

fn any_value() -> impl Strategy<Value = Value> {
    let scalar = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-5..70_i64).prop_map(Value::from),
        Just(Value::from(f64::NAN)),
        prop::sample::select(vec!["all", "Cmeter", "grp17", "* * * * * * *", "10.0.0.0/8", "//", "*", "é*"])
            .prop_map(Value::from),
    ];
    let names = vec!["acor", "acop", "acco", "acod", "acaf", "actw", "acip", "aclr", "ipv4", "accr", "chty", "ty", "x"];
    scalar.prop_recursive(4, 40, 6, move |inner| {
        let member = (prop::sample::select(names.clone()), inner.clone());
        prop_oneof![
            prop::collection::vec(inner, 0..5).prop_map(Value::List),
            prop::collection::vec(member, 0..6).prop_map(|members| Value::Map(
                members.into_iter().map(|(name, value)| (name.into(), value)).collect()
            )),
        ]
    })
}

proptest! {
    #[test]
    fn whatever_is_stored_compiles_and_an_unknown_member_closes_it(rule in any_value()) {
        let decides = |rule: Value| {
            let policy = Policy::compile(&Map::single("acr", Value::List(vec![rule])), &identity());
            let ae = originator("Cmeter");
            let deny = policy.decide(&question(&ae)) == Decision::Deny;
            (policy.is_empty(), deny)
        };
        let (empty, deny) = decides(rule.clone());
        prop_assert!(!empty || deny);
        if let Value::Map(mut map) = rule {
            map.insert("unknown", 1_i64);
            prop_assert_eq!(decides(Value::Map(map)), (true, true));
        }
    }
}
