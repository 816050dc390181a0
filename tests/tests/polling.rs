//! Polling channels over HTTP and MQTT: an AE that nobody can reach fetches what is meant for it.

use std::process::{Child, Command, Stdio};

use cse_tests::curl::curl;
use cse_tests::http::{Http, HttpAnswer};
use cse_tests::server::{Launch, Server};
use cse_tests::wait::{in_time, until_some};
use serde_json::{Value, json};

const PCU: &str = "/cse-in/meter/pch/pcu";

/// An AE without points of access that has a channel, and a subscription to its container.
async fn meter(server: &Server) -> Http {
    let http = Http::new(server.http(), "Cmeter");
    let ae = json!({"m2m:ae": {"rn": "meter", "api": "N.test", "rr": false, "srv": ["3"]}});
    http.create("/cse-in", 2, &ae).await.expect(2001);
    http.create("/cse-in/meter", 15, &json!({"m2m:pch": {"rn": "pch"}})).await.expect(2001);
    http.create("/cse-in/meter", 3, &json!({"m2m:cnt": {"rn": "log"}})).await.expect(2001);
    let subscription = json!({"m2m:sub": {"rn": "s", "nu": ["Cmeter"], "enc": {"net": [3]}, "nct": 1}});
    http.create("/cse-in/meter/log", 23, &subscription).await.expect(2001);
    http
}

async fn report(http: &Http, value: &str) {
    http.create("/cse-in/meter/log", 4, &json!({"m2m:cin": {"con": value}})).await.expect(2001);
}

/// Fetches over HTTP.
async fn fetch(http: &Http) -> HttpAnswer {
    http.request_with("GET", PCU, &[("X-M2M-RET", "50000")], "").await
}

/// The content of the instance that a fetched notification tells of.
fn reported(content: &Value) -> &str {
    let value = &content["m2m:rqp"]["pc"]["m2m:sgn"]["nev"]["rep"]["m2m:cin"]["con"];
    value.as_str().unwrap_or_else(|| panic!("no notification: {content}"))
}

fn response_to(content: &Value) -> Value {
    json!({"m2m:rsp": {"rsc": 2000, "rqi": content["m2m:rqp"]["rqi"]}})
}

async fn respond(http: &Http, content: &Value) -> HttpAnswer {
    let response = response_to(content).to_string();
    http.request("POST", PCU, Some("application/json"), response).await
}

async fn metric(server: &Server, name: &str) -> u64 {
    let metrics = Http::new(server.http(), "CAdmin").send("GET", "/metrics", &[], "").await.body;
    let line = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.and_then(|value| value.trim().parse().ok()).unwrap_or_else(|| panic!("no {name} in {metrics}"))
}

async fn until_metric(server: &Server, name: &str, value: u64) {
    until_some(name, async || (metric(server, name).await == value).then_some(())).await;
}

/// A poll by curl, in a process of its own.
fn curl_poll(server: &Server) -> Child {
    let url = format!("http://{}{PCU}", server.http());
    let headers =
        ["-H", "X-M2M-Origin: Cmeter", "-H", "X-M2M-RI: poll", "-H", "X-M2M-RVI: 3", "-H", "X-M2M-RET: 50000"];
    Command::new("curl")
        .args(["--silent", "--show-error", "--max-time", "60"])
        .args(headers)
        .arg(url)
        .stdout(Stdio::piped())
        .spawn()
        .expect("curl runs")
}

#[tokio::test]
async fn curl_fetches_a_notification_and_answers_it() {
    let server = Launch::default().start();
    let http = meter(&server).await;
    let poll = curl_poll(&server);
    until_metric(&server, "cse_polls_waiting", 1).await;
    report(&http, "21.5").await;
    let fetched = poll.wait_with_output().expect("it ends");
    assert!(fetched.status.success());
    let content: Value = serde_json::from_slice(&fetched.stdout).expect("JSON");
    assert_eq!(reported(&content), "21.5");
    assert_eq!((&content["m2m:rqp"]["op"], &content["m2m:rqp"]["to"]), (&json!(5), &json!("Cmeter")));
    assert_eq!(metric(&server, "cse_notifications_delivered_total").await, 0, "it is not answered");
    let (status, head, body) = curl(&[
        "-X",
        "POST",
        "-H",
        "X-M2M-Origin: Cmeter",
        "-H",
        "X-M2M-RI: answer",
        "-H",
        "X-M2M-RVI: 3",
        "-H",
        "Content-Type: application/json",
        "-d",
        &response_to(&content).to_string(),
        &format!("http://{}{PCU}", server.http()),
    ]);
    assert_eq!((status, body.as_str()), (200, ""), "{head}");
    assert!(head.to_lowercase().contains("x-m2m-rsc: 2000"), "{head}");
    until_metric(&server, "cse_notifications_delivered_total", 1).await;
}

#[tokio::test]
async fn a_poll_without_request_is_answered_when_it_expires() {
    let server = Launch::default().start();
    let http = meter(&server).await;
    let answer = http.request_with("GET", PCU, &[("X-M2M-RET", "300")], "").await.expect(4008);
    assert_eq!(answer.status, 504, "{}", answer.body);
    until_metric(&server, "cse_polls_waiting", 0).await;
}

/// What was written to a connection that nobody reads is lost; the request is not.
#[tokio::test]
async fn what_a_dead_poll_was_given_is_given_again() {
    let server = Launch::default().with_file("[notifications]\ntimeout = \"1s\"\n").start();
    let http = meter(&server).await;
    let mut poll = curl_poll(&server);
    until_metric(&server, "cse_polls_waiting", 1).await;
    poll.kill().expect("it runs");
    poll.wait().expect("it ended");
    report(&http, "kept").await;
    let content = fetch(&http).await.expect(2000).json();
    assert_eq!(reported(&content), "kept");
    respond(&http, &content).await.expect(2000);
    until_metric(&server, "cse_notifications_delivered_total", 1).await;
}

#[tokio::test]
async fn notifications_that_nobody_fetched_survive_a_crash() {
    let server = Launch::default().start();
    let http = meter(&server).await;
    for value in ["1", "2"] {
        report(&http, value).await;
    }
    let launch = server.launch().clone();
    server.kill();
    let server = launch.start();
    let http = Http::new(server.http(), "Cmeter");
    for value in ["1", "2"] {
        let content = fetch(&http).await.expect(2000).json();
        assert_eq!(reported(&content), value);
        respond(&http, &content).await.expect(2000);
    }
    until_metric(&server, "cse_notifications_delivered_total", 2).await;
}

#[tokio::test]
async fn a_request_gets_its_answer_by_the_channel_in_any_serialization() {
    let server = Launch::default().start();
    let http = meter(&server).await;
    let admin = Http::new(server.http(), "CAdmin");
    let asking = tokio::spawn(async move {
        admin.request("POST", "/cse-in/meter", Some("application/json"), r#"{"m2m:sgn":{"sur":"hello"}}"#).await
    });
    let fetched = http.request_with("GET", PCU, &[("Accept", "application/xml")], "").await.expect(2000);
    assert!(fetched.body.contains("<m2m:rqp") && fetched.body.contains("<sur>hello</sur>"), "{}", fetched.body);
    let identifier = fetched.body.split("<rqi>").nth(1).and_then(|rest| rest.split("</rqi>").next()).expect("an rqi");
    let response = format!(
        "<m2m:rsp xmlns:m2m=\"http://www.onem2m.org/xml/protocols\"><rsc>2000</rsc><rqi>{identifier}</rqi></m2m:rsp>"
    );
    http.request("POST", PCU, Some("application/xml"), response).await.expect(2000);
    let answer = in_time("the answer", asking).await.expect("no panic");
    assert_eq!((answer.status, answer.rsc()), (200, 2000), "{}", answer.body);
}

#[tokio::test]
async fn stopping_does_not_wait_for_polls() {
    let server = Launch::default().start();
    meter(&server).await;
    let poll = curl_poll(&server);
    until_metric(&server, "cse_polls_waiting", 1).await;
    assert!(server.stop().success());
    let answer = poll.wait_with_output().expect("it ends");
    let text = String::from_utf8_lossy(&answer.stdout);
    assert!(answer.status.success() && text.contains("shutting down"), "{text}");
}
