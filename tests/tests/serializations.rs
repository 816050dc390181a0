//! JSON, XML and CBOR over HTTP (TS-0009 §6.4.2, §6.4.3): what a body may be and how its answer looks.

use cse_tests::curl::curl;
use cse_tests::form::{Form, all, text, texts};
use cse_tests::http::{Http, HttpAnswer};
use cse_tests::server::{Launch, Server};
use serde_json::{Value, json};

/// A registered AE with this `csz`.
async fn ae(server: &Server, name: &str, csz: &[&str]) -> Http {
    let http = Http::new(server.http(), &format!("C{name}"));
    let mut ae = json!({"rn": name, "api": "N.test", "rr": false, "srv": ["3"]});
    if !csz.is_empty() {
        ae["csz"] = json!(csz);
    }
    http.create("/cse-in", 2, &json!({"m2m:ae": ae})).await.expect(2001);
    http
}

fn is_of(answer: &HttpAnswer, form: Form) -> Value {
    assert_eq!(answer.header("content-type"), Some(form.media_type().as_str()), "{}", answer.body);
    answer.content()
}

#[tokio::test]
async fn each_operation_is_possible_in_each_serialization() {
    let server = Launch::default().start();
    for form in Form::ALL {
        let http = Http::new(server.http(), &format!("C{}", form.name()));
        let own = format!("/cse-in/{}", form.name());
        let media = form.media_type();
        let typed = |ty: u16| format!("{media};ty={ty}");
        let registration = json!({"m2m:ae": {"rn": form.name(), "api": "N.test", "rr": false, "srv": ["3"]}});
        let registered = http.request("POST", "/cse-in", Some(&typed(2)), form.write(&registration)).await.expect(2001);
        assert_eq!(is_of(&registered, form)["m2m:ae"]["aei"], format!("C{}", form.name()));

        // The more exact media types mean the same.
        let exact = format!("application/vnd.onem2m-res+{}; ty=3", form.name());
        let container = json!({"m2m:cnt": {"rn": "log", "lbl": ["a", "b"], "mni": 3}});
        let created = http.request("POST", &own, Some(&exact), form.write(&container)).await.expect(2001);
        let created = is_of(&created, form);
        assert_eq!(
            (texts(&created["m2m:cnt"]["lbl"]), text(&created["m2m:cnt"]["mni"])),
            (vec!["a".into(), "b".into()], "3".into())
        );
        let twice = http.request("POST", &own, Some(&typed(3)), form.write(&container)).await.expect(4105);
        assert_eq!((twice.status, twice.explanation().contains("log")), (409, true), "{}", twice.body);
        is_of(&twice, form);

        let log = format!("{own}/log");
        let instance = json!({"m2m:cin": {"con": "<21.5> & \u{416}"}});
        http.request("POST", &log, Some(&typed(4)), form.write(&instance)).await.expect(2001);
        let accept = [("Accept", media.as_str())];
        let latest = http.request_with("GET", &format!("{log}/la"), &accept, "").await.expect(2000);
        assert_eq!(is_of(&latest, form)["m2m:cin"]["con"], "<21.5> & \u{416}");
        let update = form.write(&json!({"m2m:cnt": {"mni": 1, "lbl": null}}));
        let updated = http.request("PUT", &log, Some(&media), update).await.expect(2004);
        assert_eq!(text(&is_of(&updated, form)["m2m:cnt"]["mni"]), "1");
        let found = http.request_with("GET", &format!("{own}?fu=1&ty=3+4"), &accept, "").await.expect(2000);
        assert_eq!(texts(&is_of(&found, form)["m2m:uril"]).len(), 2, "{}", found.body);
        let nested = http.request_with("GET", &format!("{own}?rcn=4"), &accept, "").await.expect(2000);
        let nested = is_of(&nested, form);
        assert_eq!(all(&all(&nested["m2m:ae"]["m2m:cnt"])[0]["m2m:cin"]).len(), 1, "{nested}");
        let gone = http.request_with("DELETE", &format!("{own}/nothing"), &accept, "").await.expect(4004);
        assert!(is_of(&gone, form)["m2m:dbg"].as_str().is_some_and(|text| text.contains("nothing")));
        http.request_with("DELETE", &log, &accept, "").await.expect(2002);
    }
}

#[tokio::test]
async fn the_answer_may_be_wanted_in_another_serialization() {
    let server = Launch::default().start();
    let http = ae(&server, "sensor", &[]).await;
    for sent in Form::ALL {
        for wanted in Form::ALL {
            let headers = [
                ("Content-Type", format!("{};ty=3", sent.media_type())),
                ("Accept", format!("text/html, {}", wanted.media_type())),
            ];
            let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
            let created = sent.write(&json!({"m2m:cnt": {"lbl": ["x"]}}));
            let created = http.request_with("POST", "/cse-in/sensor", &headers, created).await.expect(2001);
            assert_eq!(texts(&is_of(&created, wanted)["m2m:cnt"]["lbl"]), ["x"], "{sent:?} {wanted:?}");
            let refused = sent.write(&json!({"m2m:cnt": {"zzz": 1}}));
            let refused = http.request_with("POST", "/cse-in/sensor", &headers, refused).await.expect(4000);
            is_of(&refused, wanted);
            // Not even readable, but answered readably.
            let broken = http.request_with("POST", "/cse-in/sensor", &headers, "\u{1}").await.expect(4000);
            is_of(&broken, wanted);
        }
    }
}

/// TS-0009 §6.4.2: without `Accept` as the body, without body as the originator prefers, else JSON.
#[tokio::test]
async fn without_accept_the_originators_preference_counts() {
    let server = Launch::default().start();
    let mut expectations = vec![(ae(&server, "silent", &[]).await, Form::Json)];
    for form in Form::ALL {
        expectations.push((ae(&server, form.name(), &[&form.media_type(), "application/json"]).await, form));
    }
    for (http, form) in &expectations {
        let own = match form {
            _ if std::ptr::eq(http, &expectations[0].0) => "/cse-in/silent".to_owned(),
            form => format!("/cse-in/{}", form.name()),
        };
        is_of(&http.get(&own).await.expect(2000), *form);
        is_of(&http.request_with("GET", &own, &[("Accept", "*/*")], "").await.expect(2000), *form);
        is_of(&http.get(&format!("{own}/nothing")).await.expect(4004), *form);
        is_of(&http.request_with("GET", &own, &[("Accept", "application/json")], "").await.expect(2000), Form::Json);
        let created = http.create(&own, 3, &json!({"m2m:cnt": {}})).await.expect(2001);
        is_of(&created, Form::Json);
    }
    let stranger = Http::new(server.http(), "Cstranger");
    is_of(&stranger.get("/cse-in").await.expect(4103), Form::Json);
}

#[tokio::test]
async fn what_is_unknown_is_refused_as_the_client_can_read_it() {
    let server = Launch::default().start();
    let http = ae(&server, "sensor", &[]).await;
    for content_type in ["application/yaml;ty=3", "text/xml;ty=3", "application/x-www-form-urlencoded", ""] {
        for form in Form::ALL {
            let accept = form.media_type();
            let headers = [("Content-Type", content_type), ("Accept", accept.as_str())];
            let refused = http.request_with("POST", "/cse-in/sensor", &headers, "a: 1").await.expect(4015);
            assert_eq!(refused.status, 415);
            is_of(&refused, form);
        }
    }
    for form in Form::ALL {
        let media = format!("{};ty=3", form.media_type());
        let headers = [("Content-Type", media.as_str()), ("Accept", "text/html, application/yaml")];
        let body = form.write(&json!({"m2m:cnt": {}}));
        let refused = http.request_with("POST", "/cse-in/sensor", &headers, body).await.expect(5207);
        assert_eq!((refused.status, refused.explanation().contains("yaml")), (406, true), "{}", refused.body);
        is_of(&refused, form);
        // A body of one kind under the name of another.
        let other = Form::ALL[(form as usize + 1) % Form::ALL.len()].write(&json!({"m2m:cnt": {}}));
        let refused = http.request("POST", "/cse-in/sensor", Some(&media), other).await.expect(4000);
        assert_eq!(refused.status, 400);
    }
}

#[tokio::test]
async fn whole_primitives_are_answered_with_whole_primitives() {
    let server = Launch::default().start();
    let http = ae(&server, "sensor", &[]).await;
    for form in Form::ALL {
        let content_type = format!("application/vnd.onem2m-preq+{}", form.name());
        for (to, rsc) in [("cse-in/sensor", 2000), ("cse-in/nothing", 4004)] {
            let request = json!({"op": 2, "to": to, "fr": "Csensor", "rqi": "whole", "rvi": "3"});
            let answer =
                http.request("POST", "/", Some(&content_type), form.write_primitive("m2m:rqp", &request)).await;
            let response = form.read_primitive(&answer.bytes).expect("a primitive");
            assert_eq!(
                (text(&response["rsc"]), text(&response["rqi"])),
                (rsc.to_string(), "whole".into()),
                "{response}"
            );
            let expected = format!("application/vnd.onem2m-prsp+{}", form.name());
            assert_eq!(answer.header("content-type"), Some(expected.as_str()));
            if form != Form::Xml {
                let wrapped = form.write(&json!({"m2m:rqp": request}));
                let answer = http.request("POST", "/", Some(&content_type), wrapped).await;
                assert_eq!(answer.content()["m2m:rsp"]["rsc"], rsc, "{}", answer.body);
            }
        }
    }
}

/// What one types: XML as text, CBOR from and to files.
#[tokio::test]
async fn curl_speaks_all_of_them() {
    let server = Launch::default().start();
    ae(&server, "sensor", &[]).await;
    let url = format!("http://{}/cse-in/sensor", server.http());
    let usual = ["-H", "X-M2M-Origin: Csensor", "-H", "X-M2M-RI: r1", "-H", "X-M2M-RVI: 3"];
    let xml = r#"<m2m:cnt xmlns:m2m="http://www.onem2m.org/xml/protocols" rn="log"><lbl>a b</lbl></m2m:cnt>"#;
    let (status, head, body) =
        curl(&[&usual[..], &["-H", "Content-Type: application/xml;ty=3", "--data", xml, &url]].concat());
    assert_eq!(status, 201, "{head}\n{body}");
    let created = Form::Xml.read(body.as_bytes()).expect("XML");
    assert_eq!(texts(&created["m2m:cnt"]["lbl"]), ["a", "b"], "{body}");
    for (body, hint) in [
        ("<m2m:cnt rn='x'>", ""),
        ("<!DOCTYPE x [<!ENTITY y SYSTEM \"file:///etc/hostname\">]><m2m:cnt><lbl>&y;</lbl></m2m:cnt>", ""),
        ("<m2m:cnt><mni>many</mni></m2m:cnt>", "mni"),
    ] {
        let (status, head, body) =
            curl(&[&usual[..], &["-H", "Content-Type: application/xml;ty=3", "--data", body, &url]].concat());
        assert_eq!(status, 400, "{head}\n{body}");
        let refused = Form::Xml.read(body.as_bytes()).expect("XML");
        let reason = text(&refused["m2m:dbg"]);
        assert!(!reason.is_empty() && reason.contains(hint), "{body}");
    }

    let directory = tempfile::tempdir().expect("a directory");
    let (sent, received) = (directory.path().join("sent"), directory.path().join("received"));
    std::fs::write(&sent, Form::Cbor.write(&json!({"m2m:cin": {"con": "1"}}))).expect("written");
    let data = format!("@{}", sent.display());
    let log = format!("{url}/log");
    let (head, body) = (directory.path().join("head").display().to_string(), received.display().to_string());
    let files = ["--dump-header", &head, "--output", &body];
    let arguments = ["-H", "Content-Type: application/cbor;ty=4", "--data-binary", &data, &log];
    cse_tests::curl::run("curl", &[&["--silent", "--show-error"], &usual[..], &files, &arguments].concat());
    let created = Form::Cbor.read(&std::fs::read(&received).expect("an answer")).expect("CBOR");
    assert_eq!(created["m2m:cin"]["con"], "1", "{created}");
    assert!(std::fs::read_to_string(&head).expect("a head").contains("application/cbor"));
}

const DOCUMENTATION: &str = include_str!("../../docs/serializations.md");

/// The blocks of that language in the documentation.
fn blocks(language: &str) -> Vec<&'static str> {
    let begin = format!("```{language}\n");
    DOCUMENTATION.split(&begin).skip(1).filter_map(|block| block.split("```").next()).collect()
}

#[tokio::test]
async fn the_documentation_shows_what_works() {
    let server = Launch::default().start();
    let http = ae(&server, "meter", &[]).await;
    http.create("/cse-in/meter", 3, &json!({"m2m:cnt": {"rn": "power"}})).await.expect(2001);
    for (form, content) in [(Form::Json, blocks("json")[0]), (Form::Xml, blocks("xml")[0])] {
        let media = format!("{};ty=4", form.media_type());
        http.request("POST", "/cse-in/meter/power", Some(&media), content).await.expect(2001);
        let latest = http.get("/cse-in/meter/power/la").await.expect(2000).json();
        let instance = &latest["m2m:cin"];
        assert_eq!((&instance["con"], &instance["cnf"]), (&json!("217"), &json!("text/plain:0")), "{form:?}");
        assert_eq!(instance["lbl"], json!(["unit:watt", "room:1"]), "{form:?}");
    }
    for (form, primitive) in [(Form::Json, blocks("json")[1]), (Form::Xml, blocks("xml")[1])] {
        let media = format!("application/vnd.onem2m-preq+{}", form.name());
        let answer = http.request("POST", "/", Some(&media), primitive).await;
        let answer = form.read_primitive(&answer.bytes).expect("a primitive");
        assert_eq!((text(&answer["rsc"]), text(&answer["pc"]["m2m:cin"]["con"])), ("2000".into(), "217".into()));
    }
    let script = blocks("sh")[0].replace("127.0.0.1:8080", &server.http().to_string());
    let answered = cse_tests::curl::run("bash", &["-e", "-u", "-c", &script]);
    let (answered, shown) = (Form::Xml.read(answered.as_bytes()), Form::Xml.read(blocks("xml")[2].as_bytes()));
    let names = |content: Option<Value>| -> Vec<String> {
        let content = content.expect("XML");
        content["m2m:cin"].as_object().into_iter().flatten().map(|(name, _)| name.clone()).collect()
    };
    assert_eq!(names(answered), names(shown.map(without_layout)));
}

/// Line breaks that are only for readers.
fn without_layout(mut content: Value) -> Value {
    if let Some(members) = content["m2m:cin"].as_object_mut() {
        members.remove("val");
    }
    content
}
