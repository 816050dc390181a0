//! Each row of TS-0009's tables of parameters, and each refusal.

use std::time::Duration;

use cse_core::primitive::{FilterUsage, ReleaseVersion, ResponseType, ResultContent};
use cse_core::schema::Ty;
use cse_core::time::AbsRelTimestamp;
use proptest::prelude::*;

use super::*;
use crate::options::RootPath;

fn options() -> HttpOptions {
    HttpOptions::new(|name| ["con", "rn", "cr"].contains(&name))
}

type Head<'a> = &'a [(&'a str, &'a str)];

const BASIC: Head<'static> = &[("X-M2M-Origin", "Cae"), ("X-M2M-RI", "r1"), ("X-M2M-RVI", "3")];
const JSON: (&str, &str) = ("Content-Type", "application/json");

fn parts(method: &str, target: &str, headers: &[(&str, &[u8])]) -> Parts {
    let mut builder = http::Request::builder().method(method).uri(target);
    for (name, value) in headers {
        builder = builder.header(*name, *value);
    }
    builder.body(()).expect("a request").into_parts().0
}

fn decoded(method: &str, target: &str, heads: &[Head<'_>], body: &str) -> Result<Decoded, Box<Refusal>> {
    let headers: Vec<_> = heads.iter().copied().flatten().map(|(name, value)| (*name, value.as_bytes())).collect();
    decode(&parts(method, target, &headers), &Bytes::copy_from_slice(body.as_bytes()), None, &options())
}

fn request(method: &str, target: &str, heads: &[Head<'_>], body: &str) -> Request {
    match decoded(method, target, heads, body) {
        Ok(decoded) => decoded.request,
        Err(refusal) => panic!("{method} {target}: {refusal:?}"),
    }
}

fn refused(method: &str, target: &str, heads: &[Head<'_>], body: &str) -> Refusal {
    match decoded(method, target, heads, body) {
        Ok(decoded) => panic!("{method} {target}: {:?}", decoded.request),
        Err(refusal) => *refusal,
    }
}

#[test]
fn the_method_and_the_resource_type_give_the_operation() {
    let create: Head<'_> = &[("Content-Type", "application/vnd.onem2m-res+json; ty=3")];
    let notify: Head<'_> = &[("Content-Type", "application/vnd.onem2m-ntfy+json")];
    for (method, head, body, operation) in [
        ("POST", create, "{\"m2m:cnt\":{}}", Operation::Create),
        ("POST", notify, "{\"m2m:sgn\":{}}", Operation::Notify),
        ("POST", &[JSON][..], "{\"m2m:sgn\":{}}", Operation::Notify),
        ("GET", &[], "", Operation::Retrieve),
        ("HEAD", &[], "", Operation::Retrieve),
        ("PUT", &[JSON], "{\"m2m:cnt\":{}}", Operation::Update),
        ("DELETE", &[], "", Operation::Delete),
    ] {
        let request = request(method, "/cse/x", &[BASIC, head], body);
        assert_eq!(request.operation, operation, "{method}");
        assert_eq!(request.resource_type, (operation == Operation::Create).then_some(Ty::CONTAINER));
        assert_eq!(request.content.is_some(), !body.is_empty());
    }
}

#[test]
fn the_path_gives_the_address() {
    for (path, to) in [
        ("/cse/ae", "cse/ae"),
        ("/-/ae", "-/ae"),
        ("/~/id-in/cse", "/id-in/cse"),
        ("/_/sp.example/id-in/x", "//sp.example/id-in/x"),
        ("/cse/", "cse"),
        ("http://proxied.example/~/id-in/cse?rcn=1", "/id-in/cse"),
    ] {
        assert_eq!(request("GET", path, &[BASIC], "").to, to);
    }
    let options = HttpOptions { root_path: RootPath::parse("/m2m").expect("a path"), ..options() };
    let headers: Vec<_> = BASIC.iter().map(|(name, value)| (*name, value.as_bytes())).collect();
    let below = decode(&parts("GET", "/m2m/~/id-in/cse", &headers), &Bytes::new(), None, &options);
    assert_eq!(below.expect("accepted").request.to, "/id-in/cse");
    let beside = decode(&parts("GET", "/cse", &headers), &Bytes::new(), None, &options);
    assert_eq!(beside.expect_err("refused").response.status.code(), 4004);
}

#[test]
fn each_header_gives_its_parameter() {
    let all: Head<'_> = &[
        ("x-m2m-origin", " /id-mn/Cae "),
        ("X-M2M-RI", "r1"),
        ("X-M2M-RVI", "2a"),
        ("X-M2M-OT", "20260102T030405"),
        ("X-M2M-RET", "5000"),
        ("X-M2M-RST", "20260102T030406"),
        ("X-M2M-OET", "20260102T030407,5"),
        ("X-M2M-RTU", "http://a.example/n?x=1&mqtt://b.example/t"),
        ("X-M2M-EC", "4"),
        ("X-M2M-GID", "g1"),
        ("X-M2M-VSI", "vendor \u{e9}"),
        ("X-M2M-MSU", "user"),
        ("X-M2M-OMR", "map"),
        ("X-M2M-AS", "aa+bb"),
        ("Authorization", "a.b.c+d.e.f"),
        ("X-M2M-ASRI", "ignored"),
        ("X-M2M-NM", "ignored"),
        ("X-Unknown", "ignored"),
    ];
    let request = request("GET", "/cse?rt=2", &[all], "");
    assert_eq!(request.from.as_deref(), Some("/id-mn/Cae"));
    assert_eq!(request.request_identifier, "r1");
    assert_eq!(request.release_version, Some(ReleaseVersion::R2a));
    assert!(request.originating_timestamp.is_some());
    assert_eq!(request.request_expiration, Some(AbsRelTimestamp::Relative(Duration::from_secs(5))));
    assert!(matches!(request.result_expiration, Some(AbsRelTimestamp::Absolute(_))));
    assert!(matches!(request.operation_execution_time, Some(AbsRelTimestamp::Absolute(_))));
    assert_eq!(request.response_type, ResponseType::NonBlockingAsynch);
    let uris = request.notification_uris.expect("there");
    assert_eq!(uris, ["http://a.example/n?x=1", "mqtt://b.example/t"]);
    assert_eq!(request.event_category, Some(4));
    assert_eq!(request.group_request_identifier.as_deref(), Some("g1"));
    assert_eq!(request.vendor_information.as_deref(), Some("vendor \u{e9}"));
    let passive = serde_json::to_string(&request.passive).expect("JSON");
    assert_eq!(passive, r#"{"msu":"user","omr":"map","tkns":["a.b.c","d.e.f"],"aus":["aa","bb"]}"#);
    assert_eq!(request.context.binding, Binding::Http);
}

#[test]
fn credentials_for_others_are_not_tokens() {
    for (value, tokens) in [
        ("Basic QTpC", false),
        ("Digest a=b", false),
        ("Bearer a.b.c", true),
        ("bearer a.b.c+d.e.f", true),
        ("secret", false),
    ] {
        let request = request("GET", "/cse", &[BASIC, &[("Authorization", value)]], "");
        assert_eq!(request.passive.contains("tkns"), tokens, "{value}");
    }
}

#[test]
fn the_query_gives_parameters_and_criteria() {
    let request = request("GET", "/cse?fu=1&ty=3+4&lim=5&rcn=6&drt=2&da=false&con=2*&c.rn=x&rp=1000", &[BASIC], "");
    assert!(request.is_discovery() && request.unstructured_addresses);
    assert_eq!(request.result_content, Some(ResultContent::ChildReferences));
    let criteria = request.filter_criteria.expect("there");
    assert_eq!(criteria.usage, FilterUsage::Discovery);
    assert_eq!(criteria.resource_type, [Ty::CONTAINER, Ty::CONTENT_INSTANCE]);
    assert_eq!(criteria.limit, Some(5));
    assert_eq!(criteria.attribute[0].name, "con");
    assert_eq!(criteria.child_attribute[0].name, "rn");
}

#[test]
fn a_partial_retrieve_names_its_attributes_in_the_query() {
    let content = request("GET", "/cse?atrl=ri+lbl", &[BASIC], "").content.expect("there");
    assert_eq!(serde_json::to_string(&content).expect("JSON"), r#"{"m2m:atrl":["ri","lbl"]}"#);
    assert_eq!(refused("DELETE", "/cse?atrl=ri", &[BASIC], "").response.status.code(), 4000);
}

#[test]
fn an_ae_may_register_with_an_empty_originator() {
    let create: Head<'_> = &[("X-M2M-RI", "r1"), ("Content-Type", "application/json;ty=2")];
    for head in [&[("X-M2M-Origin", "")][..], &[]] {
        assert_eq!(request("POST", "/cse", &[create, head], "{\"m2m:ae\":{}}").from, None);
    }
    let refusal = refused("GET", "/cse", &[&[("X-M2M-RI", "r1"), ("X-M2M-Origin", "")]], "");
    assert!(refusal.response.debug_text().expect("a reason").contains("'fr'"));
}

#[test]
fn what_is_not_there_is_not_in_the_request() {
    let request = request("GET", "/cse", &[&[("X-M2M-Origin", "Cae"), ("X-M2M-RI", "r1")]], "");
    assert_eq!(request.release_version, None);
    assert_eq!(request.filter_criteria, None);
    assert_eq!(request.notification_uris, None);
    assert_eq!(request.context.redelivery, Redelivery::Never);
    assert!(request.passive.is_empty());
}

#[test]
fn what_the_binding_knows_is_in_the_context() {
    let headers: Vec<_> = BASIC.iter().map(|(name, value)| (*name, value.as_bytes())).collect();
    let options = HttpOptions { remember: Some(Duration::from_secs(10)), ..options() };
    let peer = IpAddr::from([192, 0, 2, 7]);
    let context =
        decode(&parts("GET", "/cse", &headers), &Bytes::new(), Some(peer), &options).expect("accepted").request.context;
    assert_eq!(context.peer.address, Some(peer));
    assert!(!context.peer.authenticated);
    assert_eq!(context.redelivery, Redelivery::PossibleWithin(Duration::from_secs(10)));
}

#[test]
fn a_whole_primitive_may_be_the_body() {
    let whole: Head<'_> = &[("Content-Type", "application/vnd.onem2m-preq+json")];
    let body = r#"{"op":2,"to":"cse/x","fr":"Cae","rqi":"r9","rvi":"3","rcn":4}"#;
    let wrapped = format!("{{\"m2m:rqp\":{body}}}");
    for (body, is_wrapped) in [(body, false), (&wrapped, true)] {
        let decoded = decoded("POST", "/", &[whole], body).expect("accepted");
        assert_eq!(decoded.request.operation, Operation::Retrieve);
        assert_eq!(decoded.request.to, "cse/x");
        assert_eq!(decoded.form.request_identifier.as_deref(), Some("r9"));
        assert_eq!(decoded.form.format.media_type.to_string(), "application/vnd.onem2m-prsp+json");
        assert_eq!(decoded.form.wrapped, is_wrapped);
    }
    let completed = request("POST", "/", &[whole, BASIC], r#"{"op":2,"to":"cse/x"}"#);
    assert_eq!((completed.from.as_deref(), completed.request_identifier.as_str()), (Some("Cae"), "r1"));
    assert_eq!(refused("PUT", "/", &[whole, BASIC], body).response.status.code(), 4000);
    let refusal = refused("POST", "/", &[whole], r#"{"op":2,"fr":"Cae","rqi":"r9","rvi":"3"}"#);
    assert_eq!(refusal.form.request_identifier.as_deref(), Some("r9"));
    assert_eq!(refusal.response.release_version, Some(ReleaseVersion::R3));
    let wrapped = refused("POST", "/", &[whole], r#"{"m2m:rqp":{"op":2,"fr":"Cae","rqi":"r9"}}"#);
    assert!(wrapped.form.wrapped, "refusals are wrapped, too");
}

#[test]
fn each_refusal_has_its_code() {
    let create: Head<'_> = &[("Content-Type", "application/json;ty=3")];
    let yaml: Head<'_> = &[("Content-Type", "application/yaml;ty=3")];
    let json: Head<'_> = &[JSON];
    let no_origin: Head<'_> = &[("X-M2M-RI", "r1")];
    let twice: Head<'_> = &[("X-M2M-Origin", "Cother")];
    for (method, target, heads, body, rsc, hint) in [
        ("GET", "/cse", &[no_origin][..], "", 4000, "'fr'"),
        ("GET", "/cse", &[BASIC, twice], "", 4000, "more than once"),
        ("GET", "/", &[BASIC], "", 4000, "'to'"),
        ("GET", "/cse/%FF", &[BASIC], "", 4000, "'to'"),
        ("GET", "/cse?zzz=1", &[BASIC], "", 4000, "'zzz'"),
        ("GET", "/cse?rcn=99", &[BASIC], "", 4000, "'rcn'"),
        ("GET", "/cse?rcn=1&rcn=1", &[BASIC], "", 4000, "'rcn'"),
        ("GET", "/cse?smf=x", &[BASIC], "", 5001, "smf"),
        ("GET", "/cse?fu=1&ops=1", &[BASIC], "", 5001, "ops"),
        ("GET", "/cse?rt=7", &[BASIC], "", 4000, "'rt'"),
        ("GET", "/cse", &[BASIC, &[("X-M2M-RET", "soon")]], "", 4000, "'rqet'"),
        ("GET", "/cse", &[BASIC, &[("X-M2M-EC", "x")]], "", 4000, "'ec'"),
        ("GET", "/cse", &[BASIC, &[("X-M2M-OT", "now")]], "", 4000, "'ot'"),
        ("GET", "/cse", &[no_origin, &[("X-M2M-Origin", "Cae"), ("X-M2M-RVI", "9")]], "", 4001, "'9'"),
        ("GET", "/cse", &[BASIC, &[("Accept", "application/yaml")]], "", 5207, "application/yaml"),
        ("GET", "/cse", &[BASIC], "{}", 4000, "'pc'"),
        ("DELETE", "/cse", &[BASIC, json], "{}", 4000, "'pc'"),
        ("POST", "/cse", &[BASIC, create], "", 4000, "'pc'"),
        ("POST", "/cse", &[BASIC], "", 4000, "'pc'"),
        ("PUT", "/cse", &[BASIC, json], "", 4000, "'pc'"),
        ("POST", "/cse", &[BASIC, create], "{", 4000, "invalid JSON"),
        ("POST", "/cse", &[BASIC, create], "[1]", 4000, "object"),
        ("POST", "/cse", &[BASIC, json], "\u{0}", 4000, "invalid JSON"),
        ("POST", "/cse", &[BASIC, yaml], "x:", 4015, "application/yaml"),
        ("PUT", "/cse", &[BASIC, &[("Content-Type", "text/plain")]], "{}", 4015, "text/plain"),
        ("PUT", "/cse", &[BASIC], "{}", 4015, "Content-Type"),
        ("POST", "/cse", &[BASIC, &[("Content-Type", "application/json;ty=x")]], "{}", 4000, "'ty'"),
        ("POST", "/cse", &[BASIC, &[("Content-Type", "application/json;ty=")]], "{}", 4000, "'ty'"),
        ("PUT", "/cse", &[BASIC, create], "{}", 4000, "'ty'"),
        ("POST", "/cse?ty=3", &[BASIC, json], "{}", 4000, "'fc'"),
        ("POST", "/cse?fu=1", &[BASIC, create], "{}", 4000, "'fc'"),
        ("POST", "/cse?rcn=1", &[BASIC, json], "{}", 4000, "'rcn'"),
        ("PATCH", "/cse", &[BASIC, json], "{}", 4005, "HTTP method"),
        ("OPTIONS", "/cse", &[BASIC], "", 4005, "HTTP method"),
        ("TRACE", "/cse", &[BASIC], "", 4005, "HTTP method"),
    ] {
        let refusal = refused(method, target, heads, body);
        let reason = refusal.response.debug_text().expect("a reason");
        assert_eq!(refusal.response.status.code(), rsc, "{method} {target}: {reason}");
        assert!(reason.contains(hint), "{method} {target}: {reason}");
        assert_eq!(refusal.response.request_identifier, "r1", "{method} {target}");
    }
}

#[test]
fn without_a_request_identifier_the_refusal_has_none() {
    for heads in [&[("X-M2M-Origin", "Cae")][..], &[("X-M2M-Origin", "Cae"), ("X-M2M-RI", "")]] {
        let refusal = refused("GET", "/cse", &[heads], "");
        assert_eq!(refusal.form.request_identifier, None);
        assert_eq!(refusal.response.status.code(), 4000);
        assert!(refusal.response.debug_text().expect("a reason").contains("'rqi'"));
    }
    let twice = refused("GET", "/cse", &[BASIC, &[("X-M2M-RI", "r2")]], "");
    assert_eq!(twice.form.request_identifier, None);
    assert!(twice.response.debug_text().expect("a reason").contains("more than once"));
}

#[test]
fn a_header_that_is_no_text_is_refused() {
    let headers: &[(&str, &[u8])] = &[("X-M2M-RI", b"r1"), ("X-M2M-Origin", b"C\xff")];
    let refusal = decode(&parts("GET", "/cse", headers), &Bytes::new(), None, &options()).expect_err("refused");
    assert_eq!(refusal.response.status.code(), 4000);
    assert!(refusal.response.debug_text().expect("a reason").contains("UTF-8"));
}

#[test]
fn the_content_type_of_a_retrieve_does_not_matter() {
    for content_type in ["application/json;ty=3", "application/yaml", "nonsense;;="] {
        let head: Head<'_> = &[("Content-Type", content_type)];
        assert_eq!(request("GET", "/cse", &[BASIC, head], "").operation, Operation::Retrieve);
        assert_eq!(request("DELETE", "/cse", &[BASIC, head], "").operation, Operation::Delete);
    }
}

proptest! {
    #[test]
    fn any_request_is_read_or_refused(
        method in "GET|POST|PUT|DELETE",
        path in "/[a-z~_%/0-9-]{0,20}",
        query in "[a-z.%+=&0-9]{0,40}",
        content_type in "application/(json|vnd\\.onem2m-preq\\+json)(;? ?[a-z=0-9\"]{0,8}){0,2}",
        header in "[ -~]{0,20}",
        body in proptest::collection::vec(any::<u8>(), 0..40),
    ) {
        let headers: &[(&str, &[u8])] = &[
            ("X-M2M-RI", b"r1"),
            ("X-M2M-Origin", header.as_bytes()),
            ("X-M2M-RTU", header.as_bytes()),
            ("Accept", header.as_bytes()),
            ("Authorization", header.as_bytes()),
            ("Content-Type", content_type.as_bytes()),
        ];
        let target = format!("{path}?{query}");
        if let Err(refusal) = decode(&parts(&method, &target, headers), &Bytes::from(body), None, &options()) {
            prop_assert!(!refusal.response.is_success());
        }
    }
}
