//! oneM2M over HTTP (TS-0009), by curl and by a client library.

use cse_tests::curl::curl;
use cse_tests::http::Http;
use cse_tests::receiver::Receiver;
use cse_tests::server::{Launch, Server};
use serde_json::json;

/// Headers that every request has, for curl.
const USUAL: [&str; 6] = ["-H", "X-M2M-Origin: CAdmin", "-H", "X-M2M-RI: r1", "-H", "X-M2M-RVI: 3"];

fn url(server: &Server, path: &str) -> String {
    format!("http://{}{path}", server.http())
}

fn curl_usual(server: &Server, path: &str, more: &[&str]) -> (u16, String, String) {
    curl(&[&USUAL[..], more, &[&url(server, path)]].concat())
}

/// A registered AE and an HTTP client of it.
async fn sensor(server: &Server) -> Http {
    let http = Http::new(server.http(), "Csensor");
    let ae = json!({"m2m:ae": {"rn": "sensor", "api": "N.test", "rr": false, "srv": ["3"]}});
    http.create("/cse-in", 2, &ae).await.expect(2001);
    http
}

#[tokio::test]
async fn each_operation_has_its_method_and_status() {
    let server = Launch::default().start();
    let http = sensor(&server).await;
    let created = http.create("/cse-in/sensor", 3, &json!({"m2m:cnt": {"rn": "log", "lbl": ["a"]}})).await.expect(2001);
    assert_eq!((created.status, created.header("content-location")), (201, Some("/id-in/cse-in/sensor/log")));
    assert_eq!(created.header("content-type"), Some("application/json"));
    let read = http.get("/cse-in/sensor/log").await.expect(2000);
    assert_eq!((read.status, &read.json()["m2m:cnt"]["lbl"]), (200, &json!(["a"])));
    let updated = http.update("/cse-in/sensor/log", &json!({"m2m:cnt": {"lbl": ["b"]}})).await.expect(2004);
    assert_eq!((updated.status, &updated.json()["m2m:cnt"]["lbl"]), (200, &json!(["b"])));
    assert_eq!(http.delete("/cse-in/sensor/log").await.expect(2002).status, 200);
    let gone = http.get("/cse-in/sensor/log").await.expect(4004);
    assert_eq!(gone.status, 404);
    assert!(gone.explanation().contains("cse-in/sensor/log"), "{}", gone.body);
    // POST without ty is NOTIFY (TS-0009 §6.2.1), which a CSEBase does not take.
    let notified = http.request("POST", "/cse-in", Some("application/json"), r#"{"m2m:sgn":{}}"#).await;
    assert!(!(2000..3000).contains(&notified.rsc()), "{}", notified.body);
}

#[tokio::test]
async fn what_is_created_is_found_at_its_content_location() {
    let server = Launch::default().start();
    let http = sensor(&server).await;
    http.create("/cse-in/sensor", 3, &json!({"m2m:cnt": {"rn": "log"}})).await.expect(2001);
    let created = http.create("/cse-in/sensor/log", 4, &json!({"m2m:cin": {"con": "1"}})).await.expect(2001);
    let location = created.header("content-location").expect("a location");
    let found = http.get(&format!("/~{location}")).await.expect(2000).json();
    assert_eq!((&found["m2m:cin"]["con"], &found["m2m:cin"]["ri"]), (&json!("1"), &created.json()["m2m:cin"]["ri"]));
}

#[tokio::test]
async fn every_form_of_address_is_a_path() {
    let server = Launch::default().start();
    let http = sensor(&server).await;
    for path in [
        "/cse-in/sensor",
        "/Csensor",
        "/-/sensor",
        "/~/id-in/cse-in/sensor",
        "/~/id-in/Csensor",
        "/~/id-in/-/sensor",
        "/_/cse.example/id-in/cse-in/sensor",
        "/_/cse.example/id-in/Csensor",
        "/cse-in/%73ensor",
    ] {
        let found = http.get(path).await.expect(2000).json();
        assert_eq!(found["m2m:ae"]["aei"], "Csensor", "{path}");
    }
    for path in ["/", "/~/id-in", "/nothing", "/cse-in/sensor/la", "/~/id-other/cse", "/_/other.example/id/x"] {
        let answer = http.get(path).await;
        assert!(answer.rsc() != 0, "{path}: {}", answer.body);
        assert_ne!(answer.json()["m2m:ae"]["aei"], "Csensor", "{path}");
    }
}

#[tokio::test]
async fn answers_repeat_what_identifies_the_request() {
    let server = Launch::default().start();
    let http = Http::new(server.http(), "CAdmin");
    for version in ["2a", "3", "4"] {
        let headers = [("X-M2M-Origin", "CAdmin"), ("X-M2M-RI", "a b/c"), ("X-M2M-RVI", version)];
        let answer = http.send("GET", "/cse-in", &headers, "").await.expect(2000);
        assert_eq!(answer.header("x-m2m-ri"), Some("a b/c"));
        assert_eq!(answer.header("x-m2m-rvi"), Some(version));
    }
    for (headers, rsc, status, named) in [
        (&[("X-M2M-RI", "1"), ("X-M2M-RVI", "3")][..], 4000, 400, "fr"),
        (&[("X-M2M-Origin", "CAdmin"), ("X-M2M-RVI", "3")], 4000, 400, "rqi"),
        (&[("X-M2M-Origin", "CAdmin"), ("X-M2M-RI", "1"), ("X-M2M-RVI", "99")], 4001, 501, "99"),
        (&[("X-M2M-Origin", "CAdmin"), ("X-M2M-RI", "1"), ("X-M2M-RET", "later")], 4000, 400, "rqet"),
        (&[("X-M2M-Origin", "CAdmin"), ("X-M2M-RI", "1"), ("X-M2M-RET", "20010101T000000")], 4008, 504, "expired"),
    ] {
        let answer = http.send("GET", "/cse-in", headers, "").await.expect(rsc);
        assert_eq!(answer.status, status, "{}", answer.body);
        assert!(answer.explanation().contains(named), "{named}: {}", answer.body);
    }
}

#[test]
fn an_ae_registers_with_an_empty_originator() {
    let server = Launch::default().start();
    let body = r#"{"m2m:ae":{"api":"N.test","rr":false,"srv":["3"]}}"#;
    let common = ["-X", "POST", "-H", "X-M2M-RI: 1", "-H", "X-M2M-RVI: 3", "-H", "Content-Type: application/json;ty=2"];
    let url = url(&server, "/cse-in");
    let mut identifiers = Vec::new();
    // As `X-M2M-Origin:` with nothing behind it, as none at all, and as the C or S of TS-0004 §7.4.2.2.1.
    for origin in [&["-H", "X-M2M-Origin;"][..], &[], &["-H", "X-M2M-Origin: C"], &["-H", "X-M2M-Origin: S"]] {
        let (status, head, answer) = curl(&[&common[..], origin, &["-d", body, &url]].concat());
        assert_eq!(status, 201, "{head}\n{answer}");
        let answer: serde_json::Value = serde_json::from_str(&answer).expect("JSON");
        identifiers.push(answer["m2m:ae"]["aei"].as_str().expect("an AE-ID").to_owned());
    }
    assert!(identifiers[..3].iter().all(|identifier| identifier.starts_with('C')), "{identifiers:?}");
    assert!(identifiers[3].starts_with('S'), "{identifiers:?}");
    identifiers.sort();
    identifiers.dedup();
    assert_eq!(identifiers.len(), 4, "each has its own");
}

#[test]
fn content_types_may_have_blanks_and_parameters() {
    let server = Launch::default().start();
    for (number, content_type) in [
        "application/json;ty=3",
        "application/json; ty=3",
        "application/json ; ty = 3",
        "application/vnd.onem2m-res+json; ty=3",
        "Application/JSON; charset=utf-8; TY=3",
        "application/json;ty=\"3\"",
    ]
    .into_iter()
    .enumerate()
    {
        let (status, head, body) = curl_usual(
            &server,
            "/cse-in",
            &[
                "-X",
                "POST",
                "-H",
                &format!("Content-Type: {content_type}"),
                "-d",
                &format!(r#"{{"m2m:cnt":{{"rn":"c{number}"}}}}"#),
            ],
        );
        assert_eq!(status, 201, "{content_type}: {head}\n{body}");
    }
    for (content_type, status) in
        [("application/yaml;ty=3", 415), ("text/plain;ty=3", 415), ("application/json;ty=x", 400)]
    {
        let (answered, head, body) = curl_usual(
            &server,
            "/cse-in",
            &["-X", "POST", "-H", &format!("Content-Type: {content_type}"), "-d", r#"{"m2m:cnt":{}}"#],
        );
        assert_eq!(answered, status, "{content_type}: {head}\n{body}");
        assert!(body.contains("m2m:dbg"), "{content_type}: {body}");
    }
}

#[test]
fn only_methods_with_a_meaning_are_answered() {
    let server = Launch::default().start();
    for method in ["PATCH", "OPTIONS", "TRACE", "BREW"] {
        let (status, head, body) = curl_usual(&server, "/cse-in", &["-X", method]);
        assert_eq!(status, 405, "{method}: {head}\n{body}");
        let allow = head.lines().find_map(|line| line.strip_prefix("allow: ")).unwrap_or_default();
        assert!(["GET", "POST", "PUT", "DELETE"].iter().all(|known| allow.contains(known)), "{head}");
    }
    let (status, head, body) = curl_usual(&server, "/cse-in", &["--head"]);
    assert_eq!((status, body.as_str()), (200, ""), "{head}");
    assert!(head.contains("x-m2m-rsc: 2000"), "{head}");
}

#[test]
fn discovery_takes_brackets_lists_and_repetitions() {
    let server = Launch::default().start();
    let create = |path: &str, ty: &str, body: &str| {
        let content_type = format!("Content-Type: application/json;ty={ty}");
        let (status, _, answer) = curl_usual(&server, path, &["-X", "POST", "-H", &content_type, "-d", body]);
        assert_eq!(status, 201, "{answer}");
    };
    create("/cse-in", "3", r#"{"m2m:cnt":{"rn":"a","lbl":["room:1","hot"]}}"#);
    create("/cse-in", "3", r#"{"m2m:cnt":{"rn":"b","lbl":["room:2"]}}"#);
    create("/cse-in", "1", r#"{"m2m:acp":{"rn":"p","pv":{"acr":[]},"pvs":{"acr":[{"acor":["CAdmin"],"acop":63}]}}}"#);
    for (query, expected) in [
        ("fu=1&ty=3", "a b"),
        ("fu=1&ty=3&lbl=hot", "a"),
        ("fu=1&lbl=room:1+room:2", "a b"),
        ("fu=1&lbl=room:1&lbl=room:2", "a b"),
        ("fu=1&lbl%5B%5D=room%3A2", "b"),
        // `--globoff` sends brackets as they are.
        ("fu=1&lbl[]=room:1&lbl[]=room:2&ty[]=3", "a b"),
        ("fu=1&ty=1+3&lim=2", "a b"),
        ("fu=1&rn=a", "a"),
        ("fu=1&rn=*&ty=1", "p"),
    ] {
        let (status, head, body) = curl_usual(&server, &format!("/cse-in?{query}"), &["--globoff"]);
        assert_eq!(status, 200, "{query}: {head}\n{body}");
        let found: serde_json::Value = serde_json::from_str(&body).expect("JSON");
        let found: Vec<_> = found["m2m:uril"].as_array().expect("a list").iter().filter_map(|u| u.as_str()).collect();
        let mut names: Vec<_> = found.iter().filter_map(|uri| uri.rsplit('/').next()).collect();
        names.sort_unstable();
        assert_eq!(names.join(" "), expected, "{query}");
    }
    for (query, named) in [
        ("fu=1&nonsense=1", "nonsense"),
        ("fu=7", "fu"),
        ("fu=1&lim=many", "lim"),
        ("fu=1&ty=", "ty"),
        ("fu=1&fu=1", "fu"),
    ] {
        let (status, _, body) = curl_usual(&server, &format!("/cse-in?{query}"), &["--globoff"]);
        assert_eq!(status, 400, "{query}: {body}");
        assert!(body.contains(named), "{query}: {body}");
    }
}

#[tokio::test]
async fn parts_of_a_resource_can_be_asked_for() {
    let server = Launch::default().start();
    let http = sensor(&server).await;
    http.create("/cse-in/sensor", 3, &json!({"m2m:cnt": {"rn": "log", "mni": 7, "lbl": ["x"]}})).await.expect(2001);
    let part = http.get("/cse-in/sensor/log?atrl=mni+lbl").await.expect(2000).json();
    assert_eq!(part, json!({"m2m:cnt": {"mni": 7, "lbl": ["x"]}}));
    let children = http.get("/cse-in/sensor?rcn=6").await.expect(2000).json();
    assert!(children.to_string().contains("cse-in/sensor/log"), "{children}");
    let nothing = http.create("/cse-in/sensor/log?rcn=0", 4, &json!({"m2m:cin": {"con": "1"}})).await.expect(2001);
    assert_eq!(nothing.body, "");
    let unknown = http.get("/cse-in/sensor/log?atrl=zzz").await.expect(4000);
    assert!(unknown.explanation().contains("zzz"), "{}", unknown.body);
}

#[tokio::test]
async fn formats_are_negotiated() {
    let server = Launch::default().start();
    let http = Http::new(server.http(), "CAdmin");
    let get = async |accept: &str| {
        let headers = [("X-M2M-Origin", "CAdmin"), ("X-M2M-RI", "1"), ("X-M2M-RVI", "3"), ("Accept", accept)];
        http.send("GET", "/cse-in", &headers, "").await
    };
    for (accept, given) in [
        ("application/json", "application/json"),
        ("*/*", "application/json"),
        ("application/yaml, application/json;q=0.5", "application/json"),
        ("application/xml, application/json;q=0.5", "application/xml"),
        ("application/cbor", "application/cbor"),
        ("application/vnd.onem2m-res+json", "application/vnd.onem2m-res+json"),
    ] {
        assert_eq!(get(accept).await.expect(2000).header("content-type"), Some(given), "{accept}");
    }
    let refused = get("application/yaml").await.expect(5207);
    assert_eq!(refused.status, 406);
    assert!(refused.explanation().contains("application/yaml"), "{}", refused.body);
}

#[tokio::test]
async fn a_connection_serves_many_requests_and_survives_refusals() {
    let server = Launch::default().start();
    let http = sensor(&server).await;
    http.create("/cse-in/sensor", 3, &json!({"m2m:cnt": {"rn": "log"}})).await.expect(2001);
    for number in 0..200 {
        http.create("/cse-in/sensor/log", 4, &json!({"m2m:cin": {"con": number.to_string()}})).await.expect(2001);
        if number % 20 == 0 {
            http.request("POST", "/cse-in/sensor/log", Some("application/json;ty=4"), "{").await.expect(4000);
        }
    }
    let open = http.get("/metrics").await.body;
    let connections = open.lines().find_map(|line| line.strip_prefix("cse_http_connections ")).map(str::to_owned);
    // One connection, where the page counts them.
    assert!(connections.is_none_or(|count| count == "1"), "{open}");
    assert_eq!(http.get("/cse-in/sensor/log").await.expect(2000).json()["m2m:cnt"]["cni"], 200);
}

#[tokio::test]
async fn bodies_beyond_the_bound_are_refused_and_the_rest_goes_on() {
    let server = Launch::default().with_file("[http]\nbody-bytes-max = \"64 KiB\"\n").start();
    let http = sensor(&server).await;
    http.create("/cse-in/sensor", 3, &json!({"m2m:cnt": {"rn": "log"}})).await.expect(2001);
    let instance = |bytes: usize| json!({"m2m:cin": {"con": "x".repeat(bytes)}});
    http.create("/cse-in/sensor/log", 4, &instance(60_000)).await.expect(2001);
    assert_eq!(http.create("/cse-in/sensor/log", 4, &instance(70_000)).await.status, 413);
    http.create("/cse-in/sensor/log", 4, &instance(1)).await.expect(2001);
}

#[tokio::test]
async fn subscribers_over_http_are_told_of_changes() {
    let server = Launch::default().start();
    let http = sensor(&server).await;
    let mut receiver = Receiver::start().await;
    http.create("/cse-in/sensor", 3, &json!({"m2m:cnt": {"rn": "log"}})).await.expect(2001);
    let subscription = |name: &str| json!({"m2m:sub": {"rn": name, "nu": [receiver.url()], "enc": {"net": [1, 2]}}});
    let subscription = subscription("s");
    receiver.answer_with(4103);
    let refused = http.create("/cse-in/sensor/log", 23, &subscription).await.expect(5204);
    assert_eq!(refused.status, 500);
    assert_eq!(receiver.next().await.1["m2m:sgn"]["vrq"], true);
    receiver.answer_with(2000);
    http.create("/cse-in/sensor/log", 23, &subscription).await.expect(2001);
    assert_eq!(receiver.next().await.1["m2m:sgn"]["vrq"], true);
    http.update("/cse-in/sensor/log", &json!({"m2m:cnt": {"lbl": ["new"]}})).await.expect(2004);
    let (_, updated) = receiver.next().await;
    assert_eq!(updated["m2m:sgn"]["nev"]["net"], 1, "{updated}");
    assert_eq!(updated["m2m:sgn"]["nev"]["rep"]["m2m:cnt"]["lbl"], json!(["new"]), "{updated}");
    http.delete("/cse-in/sensor/log").await.expect(2002);
    let (_, deleted) = receiver.next().await;
    assert_eq!(deleted["m2m:sgn"]["nev"]["net"], 2, "{deleted}");
}

#[tokio::test]
async fn a_root_path_precedes_every_address() {
    let server = Launch::default().with_file("[http]\nroot-path = \"/m2m\"\n").start();
    let http = Http::new(server.http(), "CAdmin");
    http.get("/m2m/cse-in").await.expect(2000);
    http.get("/m2m/~/id-in/cse-in").await.expect(2000);
    assert_ne!(http.get("/cse-in").await.rsc(), 2000);
    assert!(server.banner().contains("/m2m/cse-in"), "{}", server.banner());
}
