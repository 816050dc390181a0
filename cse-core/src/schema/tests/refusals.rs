//! What is refused, and how the refusal reads.

use crate::error::Error;
use crate::schema::definition::attr;
use crate::schema::{
    Kind, MAX_LIST_ITEMS, MAX_TEXT, Presence, Ty, by_root, check_create, check_update, check_value, complex, enums,
    type_def,
};
use crate::value::{Map, Value};

fn json(text: &str) -> Value {
    serde_json::from_str(text).expect("valid JSON")
}

fn object(text: &str) -> Map {
    match json(text) {
        Value::Map(map) => map,
        other => panic!("not an object: {other:?}"),
    }
}

fn create(ty: Ty, content: &str) -> Result<Map, Error> {
    check_create(type_def(ty).expect("a type"), &object(content))
}

fn update(ty: Ty, content: &str) -> Result<Map, Error> {
    check_update(type_def(ty).expect("a type"), &object(content))
}

fn refusal(result: Result<Map, Error>) -> String {
    result.expect_err("must be refused").to_string()
}

/// Blanks stand between the items of these lists in XML (`xs:list`), so they cannot be in one.
#[test]
fn an_item_of_a_list_has_no_blanks() {
    for (ty, content, place) in [
        (Ty::CONTAINER, r#"{"lbl":["ok","two words"]}"#, "'lbl[1]'"),
        (Ty::CONTAINER, r#"{"subi":["a\tb"]}"#, "'subi[0]'"),
        (Ty::CONTAINER, r#"{"subi":[""]}"#, "'subi[0]'"),
        (
            Ty::ACCESS_CONTROL_POLICY,
            r#"{"pv":{"acr":[{"acor":["all"],"acop":1,"acco":[{"acui":["a b"]}]}]},"pvs":{"acr":[]}}"#,
            "'pv/acr[0]/acco[0]/acui[0]'",
        ),
    ] {
        let text = refusal(create(ty, content));
        assert!(text.contains(place) && text.contains("blanks"), "{content}: {text}");
    }
    assert!(create(Ty::SCHEDULE, r#"{"se":{"sce":["* * * * * * *"]}}"#).is_ok(), "one element for each item");
}

#[test]
fn each_kind_refuses_what_is_not_of_it() {
    let cases: &[(Kind, &[&str], &[&str])] = &[
        (Kind::Text, &[r#""""#, r#""a""#], &["1", "null", "[]", "true", "{}", r#""\u0001""#]),
        (Kind::Token, &[r#""a b""#], &[r#""""#, r#"" a""#, "1", r#"["a"]"#]),
        (Kind::NcName, &[r#""lbl""#], &[r#""""#, r#""1""#, r#""a:b""#, "1"]),
        (Kind::Uri, &[r#""/cse/x""#], &[r#""""#, r#""a b""#, "1"]),
        (Kind::Id, &[r#""Cae""#], &[r#""""#, r#""a b""#, "1"]),
        (Kind::ResourceName, &[r#""a.b""#], &[r#""""#, r#""-a""#, r#""a/b""#, "7"]),
        (Kind::Bool, &["true", "false"], &["1", "0", r#""true""#, "null"]),
        (Kind::Int { min: -1, max: 5 }, &["-1", "5", "3.0"], &["-2", "6", "1.5", r#""1""#, "true"]),
        (Kind::UInt { min: 1 }, &["1", "18446744073709551615", "2.0"], &["0", "-1", "0.5", r#""1""#]),
        (Kind::Float, &["1", "1.5", "-0.1"], &[r#""1.5""#, "true", "null"]),
        (Kind::Timestamp, &[r#""20260101T000000""#], &[r#""2026-01-01""#, r#""""#, "20260101", "5000"]),
        (Kind::AbsRelTimestamp, &[r#""20260101T000000""#, "5000", r#""5000""#], &[r#""soon""#, "-1", "true"]),
        (Kind::Duration, &[r#""PT60S""#], &[r#""PT""#, r#""1 minute""#, "60", "null"]),
        (Kind::ScheduleEntry, &[r#""* * * * * * *""#], &[r#""* * *""#, "1", r#""60 * * * * * *""#]),
        (Kind::Base64, &[r#""QUJD""#], &[r#""QUJ""#, r#""ä""#, "1"]),
        (Kind::ContentInfo, &[r#""text/plain:0""#], &[r#""text""#, r#""a/b:9""#, "0"]),
        (Kind::Serialization, &[r#""json""#], &[r#""yaml""#, "1"]),
        (Kind::ReleaseVersion, &[r#""2a""#], &[r#""6""#, "3"]),
        (Kind::EventCategory, &["2", "4", "100", "999"], &["0", "1", "5", "99", "1000", r#""2""#]),
        (Kind::CountryCode, &[r#""DE""#], &[r#""DEU""#, "1"]),
        (Kind::Ipv4, &[r#""10.0.0.0/8""#], &[r#""::1""#, "10", r#""10.0.0.256""#]),
        (Kind::Ipv6, &[r#""fe80::/10""#], &[r#""10.0.0.1""#, "6"]),
        (
            Kind::SpecializationType,
            &["1001", r#""org.example.x""#, r#"{"mgd":1001}"#, r#"{"cnd":"x"}"#],
            &["true", "-1", r#""""#, "{}", r#"{"x":1}"#, r#"{"mgd":1,"cnd":"x"}"#],
        ),
        (Kind::Object, &["{}"], &["[]", r#""a""#, "1"]),
        (Kind::Enum(&enums::CONSISTENCY_STRATEGY), &["1", "3", "2.0"], &["0", "4", r#""1""#, "1.5", "null"]),
        (Kind::Enum(&enums::ACCESS_CONTROL_OPERATIONS), &["1", "63", "34"], &["0", "64", "-1", r#""63""#]),
        (
            Kind::Complex(&complex::MISSING_DATA),
            &[r#"{"num":1,"dur":"PT1S"}"#],
            &["{}", r#"{"num":1}"#, r#"{"num":0,"dur":"PT1S"}"#, r#"{"num":1,"dur":"PT1S","x":1}"#, "[]", "1"],
        ),
    ];
    for (kind, accepted, refused) in cases {
        let row = attr("k", "key", *kind, Presence::Optional, Presence::Optional);
        for text in *accepted {
            assert_eq!(check_value(&row, &json(text)), Ok(()), "{kind}: {text}");
        }
        for text in *refused {
            assert!(check_value(&row, &json(text)).is_err(), "{kind}: {text}");
            let listed = json(&format!("[{text}]"));
            assert!(check_value(&row.list(), &listed).is_err(), "{kind}: [{text}]");
        }
        assert!(check_value(&row.list(), &json("[]")).is_ok());
        assert!(check_value(&row.list(), &json(accepted[0])).is_err(), "{kind}: a list of one is a list");
    }
}

#[test]
fn texts_and_lists_have_bounds() {
    let row = attr("k", "key", Kind::Text, Presence::Optional, Presence::Optional);
    assert!(check_value(&row, &Value::from("a".repeat(MAX_TEXT))).is_ok());
    assert!(check_value(&row, &Value::from("a".repeat(MAX_TEXT + 1))).is_err());
    assert!(check_value(&row.list(), &Value::text_list(vec!["a"; MAX_LIST_ITEMS])).is_ok());
    assert!(check_value(&row.list(), &Value::text_list(vec!["a"; MAX_LIST_ITEMS + 1])).is_err());
}

#[test]
fn unknown_attributes_are_refused() {
    for content in [r#"{"xyz":1}"#, r#"{"":1}"#, r#"{"maxNrOfInstances":1}"#, r#"{"MNI":1}"#] {
        assert!(matches!(create(Ty::CONTAINER, content), Err(Error::UnknownAttribute { .. })), "{content}");
        assert!(matches!(update(Ty::CONTAINER, content), Err(Error::UnknownAttribute { .. })), "{content}");
    }
    assert_eq!(refusal(create(Ty::CONTAINER, r#"{"xyz":1}"#)), "container has no attribute 'xyz'");
}

#[test]
fn what_the_cse_sets_cannot_be_given() {
    assert!(matches!(create(Ty::CONTAINER, r#"{"cni":1}"#), Err(Error::AttributeNotPermitted { .. })));
    assert_eq!(
        refusal(create(Ty::CONTAINER, r#"{"ri":"x"}"#)),
        "attribute 'ri' (resourceID) of container cannot be given in CREATE"
    );
    assert_eq!(
        refusal(update(Ty::CONTAINER, r#"{"rn":"x"}"#)),
        "attribute 'rn' (resourceName) of container cannot be given in UPDATE"
    );
    assert!(update(Ty::CONTAINER, r#"{"cr":null}"#).is_err());
}

#[test]
fn mandatory_attributes_must_be_there() {
    assert_eq!(
        refusal(create(Ty::AE, r#"{"api":"Nx","srv":["3"]}"#)),
        "mandatory attribute 'rr' (requestReachability) of AE is missing"
    );
    assert!(create(Ty::AE, r#"{"api":"Nx","rr":true,"srv":["3"]}"#).is_ok());
    assert!(create(Ty::CONTENT_INSTANCE, "{}").is_err());
    assert!(update(Ty::AE, "{}").is_ok());
}

#[test]
fn only_the_creator_is_null_in_create() {
    let created = create(Ty::CONTAINER, r#"{"cr":null}"#).expect("accepted");
    assert_eq!(created.get("cr"), Some(&Value::Null));
    assert_eq!(
        refusal(create(Ty::CONTAINER, r#"{"cr":"Cme"}"#)),
        "attribute 'cr' (creator) must be null: the CSE fills in the creator, found the string 'Cme'"
    );
    assert_eq!(
        refusal(create(Ty::CONTAINER, r#"{"lbl":null}"#)),
        "attribute 'lbl' (labels) cannot be null in CREATE, found null"
    );
    assert!(create(Ty::CONTENT_INSTANCE, r#"{"con":null}"#).is_err());
}

#[test]
fn null_deletes_optional_attributes_only() {
    let updated = update(Ty::CONTAINER, r#"{"lbl":null,"mni":50,"et":null}"#).expect("accepted");
    assert_eq!(updated, object(r#"{"lbl":null,"mni":50,"et":null}"#));
    assert_eq!(
        refusal(update(Ty::SUBSCRIPTION, r#"{"nu":null}"#)),
        "attribute 'nu' (notificationURI) cannot be deleted, found null"
    );
}

#[test]
fn refusals_name_the_place_and_what_was_expected() {
    for (ty, content, expected) in [
        (
            Ty::CONTAINER,
            r#"{"mni":"10"}"#,
            "attribute 'mni' (maxNrOfInstances) must be an integer of at least 0, found the string '10'",
        ),
        (Ty::CONTAINER, r#"{"lbl":"x"}"#, "attribute 'lbl' (labels) must be a list, found the string 'x'"),
        (
            Ty::SUBSCRIPTION,
            r#"{"nu":["x"],"enc":{"net":[3,99]}}"#,
            "attribute 'enc/net[1]' (eventNotificationCriteria) must be one of 1-10 (m2m:notificationEventType), \
             found 99",
        ),
        (
            Ty::SUBSCRIPTION,
            r#"{"nu":["x"],"enc":{"xyz":1}}"#,
            "attribute 'enc/xyz' (eventNotificationCriteria) is not a member of m2m:eventNotificationCriteria",
        ),
        (
            Ty::ACCESS_CONTROL_POLICY,
            r#"{"pvs":{"acr":[]},"pv":{"acr":[{"acor":["all"]}]}}"#,
            "attribute 'pv/acr[0]' (privileges) lacks the mandatory member 'acop' (accessControlOperations)",
        ),
        (
            Ty::ACCESS_CONTROL_POLICY,
            r#"{"pvs":{"acr":[]},"pv":{"acr":[{"acor":["all"],"acop":2,"acco":[{"acip":{"ipv4":["x"]}}]}]}}"#,
            "attribute 'pv/acr[0]/acco[0]/acip/ipv4[0]' (privileges) must be an IPv4 address or network, found the \
             string 'x'",
        ),
        (
            Ty::ACCESS_CONTROL_POLICY,
            r#"{"pvs":{"acr":[]},"pv":{"acr":[{"acor":["all"],"acop":64}]}}"#,
            "attribute 'pv/acr[0]/acop' (privileges) must be a sum of 1-2, 4, 8, 16, 32 \
             (m2m:accessControlOperations), found 64",
        ),
    ] {
        assert_eq!(refusal(create(ty, content)), expected);
    }
}

#[test]
fn long_values_are_cut_in_messages() {
    let content = Map::single("mni", "ä".repeat(10_000));
    let error = check_create(type_def(Ty::CONTAINER).expect("a type"), &content).expect_err("refused");
    assert!(error.to_string().len() < 300, "{error}");
    let content = Map::single("x".repeat(10_000), 1_i64);
    let error = check_create(type_def(Ty::CONTAINER).expect("a type"), &content).expect_err("refused");
    assert!(error.to_string().len() < 300, "{error}");
}

#[test]
fn whole_numbers_become_integers_and_nothing_else_changes() {
    let created = create(Ty::CONTAINER, r#"{"mni":5.0,"lbl":["5.0"]}"#).expect("accepted");
    assert_eq!(created.get("mni"), Some(&Value::Int(5)));
    let created = create(Ty::SUBSCRIPTION, r#"{"nu":["x"],"enc":{"net":[3.0]},"bn":{"num":2.0}}"#).expect("accepted");
    assert_eq!(created, object(r#"{"nu":["x"],"enc":{"net":[3]},"bn":{"num":2}}"#));
    let created = create(Ty::CONTENT_INSTANCE, r#"{"con":{"x":[5.0,null]}}"#).expect("accepted");
    assert_eq!(created, object(r#"{"con":{"x":[5.0,null]}}"#));
}

#[test]
fn a_specialization_keeps_its_definition() {
    let battery = by_root("m2m:bat").expect("a specialization");
    let content = object(r#"{"mgd":1006,"btl":90,"bts":1}"#);
    assert!(check_create(battery, &content).is_ok());
    let content = object(r#"{"mgd":1001,"btl":90,"bts":1}"#);
    assert!(check_create(battery, &content).is_err());
}

#[test]
fn sensible_requests_of_the_wild_are_accepted() {
    for (ty, content) in [
        (
            Ty::AE,
            r#"{"rn":"m","api":"Nm","rr":true,"srv":["2a","3"],"poa":["http://192.0.2.10:9000/","mqtt://b/x"],"lbl":["room:kitchen"],"csz":["application/json"]}"#,
        ),
        (Ty::CONTAINER, r#"{"rn":"readings","mni":100,"mbs":10240,"mia":86400,"lbl":["kwh","kwh"]}"#),
        (Ty::CONTENT_INSTANCE, r#"{"cnf":"text/plain:0","con":"21.5"}"#),
        (Ty::CONTENT_INSTANCE, r#"{"con":21.5}"#),
        (Ty::CONTENT_INSTANCE, r#"{"con":"x","conr":{"urir":[{"nm":"a","uri":"http://x"}]}}"#),
        (
            Ty::ACCESS_CONTROL_POLICY,
            r#"{"pv":{"acr":[{"acor":["CmeterApp","/id/C*"],"acop":63,"acco":[{"actw":["* * 8-17 * * 1-5 *"],"acip":{"ipv4":["10.0.0.0/8"],"ipv6":["::1"]},"aclr":{"accc":["DE"]}}],"acaf":true,"acod":[{"chty":[3,4],"ty":2}]}]},"pvs":{"acr":[{"acor":["all"],"acop":34}]}}"#,
        ),
        (Ty::ACCESS_CONTROL_POLICY, r#"{"pv":{},"pvs":{"acr":[]}}"#),
        (
            Ty::SUBSCRIPTION,
            r#"{"enc":{"net":[1,3],"atr":["lbl"],"chty":[4],"om":[{"ops":2,"or":"Cx"}],"md":{"num":1,"dur":"PT1S"}},"nu":["CmeterApp?ct=json"],"nct":1,"exc":10,"bn":{"num":5,"dur":"PT5S"},"rl":{"mnn":1,"tww":"PT1M"},"nec":4,"ln":false,"cr":null}"#,
        ),
        (Ty::GROUP, r#"{"mt":3,"mnm":10,"mid":["in-cse/meter/readings","/id-mn/mn-cse/x"],"csy":1,"spty":1001}"#),
    ] {
        assert_eq!(create(ty, content).map_err(|error| error.to_string()), Ok(object(content)));
    }
}
