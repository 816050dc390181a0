//! Clients that speak different serializations meet in the same resources.

use cse_tests::http::Http;
use cse_tests::server::Launch;
use serde_json::json;

const XMLNS: &str = r#"xmlns:m2m="http://www.onem2m.org/xml/protocols""#;

/// What one client creates, changes and empties in XML, another one reads in JSON, and the other way round.
#[tokio::test]
async fn xml_and_json_clients_see_the_same_resources() {
    let server = Launch::default().start();
    let http = Http::new(server.http(), "CAdmin");
    let accept = async |path: &str, accept: &str| {
        let headers = [("X-M2M-Origin", "CAdmin"), ("X-M2M-RI", "1"), ("X-M2M-RVI", "3"), ("Accept", accept)];
        http.send("GET", path, &headers, "").await.expect(2000)
    };

    let document = format!("<m2m:cnt {XMLNS} rn=\"log\"><mni>10</mni><lbl>room:1 meter</lbl></m2m:cnt>");
    let created = http.request("POST", "/cse-in", Some("application/xml;ty=3"), &document).await.expect(2001);
    assert_eq!(created.header("content-type"), Some("application/xml"));
    assert!(created.body.contains("<mni>10</mni>"), "{}", created.body);
    let container = accept("/cse-in/log", "application/json").await.json();
    assert_eq!(container["m2m:cnt"]["lbl"], json!(["room:1", "meter"]));
    assert_eq!(container["m2m:cnt"]["mni"], 10);

    let document = format!("<m2m:cnt {XMLNS}><lbl/><mni>20</mni></m2m:cnt>");
    http.request("PUT", "/cse-in/log", Some("application/xml"), &document).await.expect(2004);
    let container = accept("/cse-in/log", "application/json").await.json();
    assert!(container["m2m:cnt"].get("lbl").is_none(), "{container}");
    assert_eq!(container["m2m:cnt"]["mni"], 20);

    let instance = json!({"m2m:cin": {"rn": "one", "con": "a < b & c"}}).to_string();
    http.request("POST", "/cse-in/log", Some("application/json;ty=4"), &instance).await.expect(2001);
    let instance = accept("/cse-in/log/one", "application/xml").await;
    assert!(instance.body.contains("<con>a &lt; b &amp; c</con>"), "{}", instance.body);
}

#[tokio::test]
async fn refusals_of_xml_say_what_is_wrong() {
    let server = Launch::default().start();
    let http = Http::new(server.http(), "CAdmin");
    for (body, hint) in [
        ("<m2m:cnt><mni>many</mni></m2m:cnt>", "'mni'"),
        ("<m2m:cnt><zzz>1</zzz></m2m:cnt>", "'zzz'"),
        ("<m2m:cnt><mni>1</mni><mni>2</mni></m2m:cnt>", "twice"),
        ("<m2m:cnt>", "too early"),
        ("<!DOCTYPE a [<!ENTITY x SYSTEM \"file:///etc/passwd\">]><m2m:cnt rn=\"&x;\"/>", "document type"),
    ] {
        let refused = http.request("POST", "/cse-in", Some("application/xml;ty=3"), body).await.expect(4000);
        assert_eq!((refused.status, refused.header("content-type")), (400, Some("application/xml")), "{body}");
        let is_explained = refused.body.contains("<m2m:dbg ") && refused.body.contains(hint);
        assert!(is_explained, "{body}: {}", refused.body);
    }
    http.request("POST", "/cse-in", Some("application/json;ty=3"), r#"{"m2m:cnt":{"lbl":["two words"]}}"#)
        .await
        .expect(4000);
}
