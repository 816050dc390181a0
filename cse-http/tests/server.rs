//! The binding through a real socket: what clients do well, badly and with ill intent.

mod support;

use std::time::Duration;

use cse_core::primitive::Operation;
use cse_http::{CorsOptions, HttpLimits, HttpOptions};
use support::{Server, get, options, post, soon};
use tokio::io::AsyncWriteExt;

const SHORT: Duration = Duration::from_millis(100);

#[tokio::test]
async fn a_request_is_answered() {
    let server = Server::with_defaults().await;
    let answer = server.exchange(get("/~/id-in/cse-in?rcn=1")).await;
    assert_eq!((answer.status, answer.rsc()), (200, "2000"));
    assert_eq!(answer.header("x-m2m-ri"), Some("r1"));
    assert_eq!(answer.header("x-m2m-rvi"), Some("3"));
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.body, r#"{"m2m:cnt":{"ri":"/id-in/cse-in"}}"#);
    let request = server.stub.requests().remove(0);
    assert_eq!(request.context.peer.address, Some([127, 0, 0, 1].into()));
}

fn in_line(number: &str, place: &str) -> String {
    get("/cse-in/box").replace("RI: r1", &format!("RI: {number}\r\nX-CSE-Order: {place}"))
}

#[tokio::test]
async fn requests_of_a_line_begin_in_order_whichever_connection_is_faster() {
    let server = Server::with_defaults().await;
    let mut others = Vec::new();
    for (number, place) in [("3", "a;3;2"), ("2", "a;2;1"), ("9", "b;9;8")] {
        let mut peer = server.connect().await;
        peer.send(in_line(number, place)).await;
        others.push(peer);
    }
    let answer = server.exchange(in_line("7", "c;7")).await;
    assert_eq!((answer.rsc(), answer.header("x-cse-order")), ("2000", Some("kept")), "other lines do not wait");
    assert_eq!(server.exchange(in_line("1", "a;1")).await.rsc(), "2000");
    for peer in &mut others[..2] {
        assert_eq!(peer.answer().await.header("x-cse-order"), Some("kept"));
    }
    let begun: Vec<_> = server.stub.requests().iter().map(|request| request.request_identifier.to_string()).collect();
    assert_eq!(begun, ["7", "1", "2", "3"]);
    assert_eq!(server.exchange(in_line("x", "a;3;2")).await.rsc(), "4008", "it comes late");
    for malformed in ["a", "a;1;1", "x;1", "a;1;0;0"] {
        assert_eq!(server.exchange(in_line("x", malformed)).await.rsc(), "4000", "{malformed}");
    }
    let careless = server.exchange(get("/cse-in")).await;
    assert_eq!((careless.rsc(), careless.header("x-cse-order")), ("2000", None));
}

#[tokio::test]
async fn an_ordinary_client_keeps_its_connection() {
    use http_body_util::{BodyExt, Full};
    let server = Server::with_defaults().await;
    let client = hyper_util::client::legacy::Client::builder(hyper_util::rt::TokioExecutor::new()).build_http();
    for number in 0..3 {
        let request = http::Request::post(format!("http://{}/cse-in", server.address))
            .header("X-M2M-Origin", "Cae")
            .header("X-M2M-RI", number.to_string())
            .header("Content-Type", "application/json; ty=3")
            .body(Full::<bytes::Bytes>::from(r#"{"m2m:cnt":{"rn":"c"}}"#))
            .expect("a request");
        let response = soon("an answer", client.request(request)).await.expect("answered");
        assert_eq!(response.headers()["x-m2m-ri"], number.to_string());
        let body = response.into_body().collect().await.expect("a body").to_bytes();
        assert_eq!(body, r#"{"m2m:cnt":{"ri":"cse-in"}}"#);
    }
    let requests = server.stub.requests();
    assert!(requests.iter().all(|request| request.operation == Operation::Create && request.release_version.is_none()));
    assert_eq!(server.stopped().await, 0);
}

#[tokio::test]
async fn blanks_and_letter_case_in_headers_do_not_matter() {
    let server = Server::with_defaults().await;
    let answer = server
        .exchange(
            "POST /cse-in HTTP/1.1\r\nhost:cse\r\nx-M2m-oRIGIN:   Cae  \r\nX-M2M-RI:r1\r\n\
             content-TYPE:  application/json ; TY=3 ; charset=utf-8 \r\nContent-Length: 14\r\n\r\n{\"m2m:cnt\":{}}",
        )
        .await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let request = server.stub.requests().remove(0);
    assert_eq!(request.from.as_deref(), Some("Cae"));
    assert_eq!(request.operation, Operation::Create);
}

#[tokio::test]
async fn characters_that_should_be_escaped_are_read() {
    let server = Server::with_defaults().await;
    for (target, value) in [
        ("/cse-in?fu=1&ty[]=3&con=[a]", "[a]"),
        ("/cse-in?fu=1&con=a|b", "a|b"),
        ("/cse-in?fu=1&con={a:1,b;c}", "{a:1,b;c}"),
        ("/cse-in?fu=1&con=a^b`c\\d'e", "a^b`c\\d'e"),
        ("/cse-in?fu=1&con=caf\u{e9}", "caf\u{e9}"),
    ] {
        let answer = server.exchange(get(target)).await;
        assert_eq!(answer.status, 200, "{target}: {answer:?}");
        let request = server.stub.requests().pop().expect("a request");
        let criteria = request.filter_criteria.expect("criteria");
        assert_eq!(criteria.attribute[0].value.as_text(), Some(value), "{target}");
    }
}

#[tokio::test]
async fn what_is_no_http_is_answered_by_the_parser() {
    let server = Server::with_defaults().await;
    for bytes in [get("/cse-in?lbl=a b"), get("/cse-in?con=<b"), get("/cse-in?con=\"b\""), "nonsense\r\n\r\n".into()] {
        let answer = server.exchange(&bytes).await;
        assert_eq!((answer.status, answer.rsc()), (400, "none"), "{bytes}");
    }
    assert!(server.stub.requests().is_empty());
}

#[tokio::test]
async fn refusals_have_both_codes() {
    let server = Server::with_defaults().await;
    for (bytes, status, rsc) in [
        (get("/cse-in").replace("X-M2M-RI: r1\r\n", ""), 400, "4000"),
        (get("/cse-in?nonsense=1"), 400, "4000"),
        (get("/cse-in").replace("Host: cse\r\n", ""), 400, "4000"),
        (get("/cse-in").replace("Host: cse\r\n", "Host: a\r\nHost: b\r\n"), 400, "4000"),
        (get("/cse-in").replace("GET", "PATCH"), 405, "4005"),
        (get("/cse-in").replace("GET", "OPTIONS"), 405, "4005"),
        (get("/cse-in").replace("RVI: 3", "RVI: 99"), 501, "4001"),
        (get("/cse-in").replace("Host", "Accept: text/html\r\nHost"), 406, "5207"),
        (post("/cse-in", "Content-Length: 1\r\n", "{"), 400, "4000"),
        (post("/cse-in", "Content-Length: 0\r\n", ""), 400, "4000"),
        (post("/cse-in", "Content-Length: 2\r\n", "{}").replace("/json", "/yaml"), 415, "4015"),
    ] {
        let answer = server.exchange(&bytes).await;
        assert_eq!((answer.status, answer.rsc()), (status, rsc), "{bytes}");
        assert!(answer.body.starts_with("{\"m2m:dbg\":\""), "{answer:?}");
        let has_identifier = bytes.contains("X-M2M-RI");
        assert_eq!(answer.header("x-m2m-ri"), has_identifier.then_some("r1"));
        assert_eq!(answer.header("allow").is_some(), status == 405);
    }
    assert!(server.stub.requests().is_empty());
    let old = get("/cse-in").replace("HTTP/1.1\r\nHost: cse", "HTTP/1.0");
    assert_eq!(server.exchange(old).await.status, 200, "HTTP/1.0 knows no Host");
}

#[tokio::test]
async fn head_is_a_retrieve_without_its_content() {
    let server = Server::with_defaults().await;
    let mut peer = server.connect().await;
    peer.send(get("/cse-in").replace("GET", "HEAD")).await;
    let answer = peer.head_answer().await;
    assert_eq!((answer.status, answer.rsc()), (200, "2000"));
    assert_eq!(answer.header("content-length"), Some("27"));
    peer.send(get("/cse-in")).await;
    assert_eq!(peer.answer().await.body.len(), 27);
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let server = Server::with_defaults().await;
    let mut peer = server.connect().await;
    let create = post("/two", "Content-Length: 14\r\n", "{\"m2m:cnt\":{}}");
    peer.send(format!("{}{create}{}", get("/one"), get("/three"))).await;
    for name in ["one", "two", "three"] {
        let answer = peer.answer().await;
        assert!(answer.body.contains(name), "{answer:?}");
    }
}

#[tokio::test]
async fn a_slow_header_ends_the_connection() {
    let limits = HttpLimits { header_timeout: SHORT, ..HttpLimits::default() };
    let server = Server::start(options(), limits).await;
    let mut silent = server.connect().await;
    let mut slow = server.connect().await;
    slow.send("GET /cse-in HTTP/1.1\r\nHost: ").await;
    assert_eq!(silent.closed().await, b"");
    assert_eq!(slow.closed().await, b"");
}

#[tokio::test]
async fn an_idle_connection_is_closed_in_its_own_time() {
    let limits = HttpLimits { idle_timeout: SHORT, header_timeout: Duration::from_secs(60), ..HttpLimits::default() };
    let server = Server::start(options(), limits).await;
    let mut peer = server.connect().await;
    peer.send(get("/cse-in")).await;
    assert_eq!(peer.answer().await.status, 200);
    assert_eq!(peer.closed().await, b"");
}

#[tokio::test]
async fn a_long_answer_is_not_idleness() {
    let server = Server::start(options(), HttpLimits { idle_timeout: SHORT, ..HttpLimits::default() }).await;
    let mut peer = server.connect().await;
    peer.send(get("/held")).await;
    server.stub.begun(1).await;
    let mut idle = server.connect().await;
    idle.send(get("/cse-in")).await;
    assert_eq!(idle.answer().await.status, 200);
    assert_eq!(idle.closed().await, b"", "the time of an idle connection has passed");
    server.stub.let_go();
    assert_eq!(peer.answer().await.status, 200);
}

#[tokio::test]
async fn a_peer_that_takes_no_answer_is_given_up() {
    let limits = HttpLimits { write_timeout: SHORT, grace: Duration::from_secs(60), ..HttpLimits::default() };
    let server = Server::start(options(), limits).await;
    let mut peer = server.connect().await;
    peer.send(get("/large")).await;
    server.stub.begun(1).await;
    // Stopping waits for what has begun, so its end shows that the connection was given up.
    assert_eq!(server.stopped().await, 0);
    assert!(peer.closed().await.len() < 16 << 20);
}

#[tokio::test]
async fn a_slow_body_is_refused() {
    let options = HttpOptions { body_timeout: SHORT, ..options() };
    let server = Server::start(options, HttpLimits::default()).await;
    let mut peer = server.connect().await;
    peer.send(post("/cse-in", "Content-Length: 14\r\n", "{\"m2m:")).await;
    let answer = peer.answer().await;
    assert_eq!((answer.status, answer.rsc()), (408, "4008"));
    assert_eq!(answer.header("x-m2m-ri"), Some("r1"));
    assert_eq!(peer.closed().await, b"");
}

#[tokio::test]
async fn a_large_body_is_refused() {
    let options = HttpOptions { body_bytes_max: 100, ..options() };
    let server = Server::start(options, HttpLimits::default()).await;
    let body = format!("{{\"m2m:cnt\":{{\"lbl\":[\"{}\"]}}}}", "x".repeat(200));
    let announced = post("/cse-in", &format!("Content-Length: {}\r\n", body.len()), &body);
    let chunked =
        post("/cse-in", "Transfer-Encoding: chunked\r\n", &format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len()));
    for bytes in [announced, chunked] {
        let answer = server.exchange(bytes).await;
        assert_eq!((answer.status, answer.rsc()), (413, "4000"));
        assert!(answer.body.contains("100 bytes"), "{answer:?}");
    }
    assert!(server.stub.requests().is_empty());
    let fitting = "6\r\n{\"m2m:\r\n8\r\ncnt\":{}}\r\n0\r\n\r\n";
    let answer = server.exchange(post("/cse-in", "Transfer-Encoding: chunked\r\n", fitting)).await;
    assert_eq!(answer.status, 200, "{answer:?}");
}

#[tokio::test]
async fn a_refusal_reaches_a_peer_that_sends_all_first() {
    let options = HttpOptions { body_bytes_max: 8 << 20, ..options() };
    let server = Server::start(options, HttpLimits::default()).await;
    let length = 30 << 20;
    let answer = server.exchange(post("/cse-in", &format!("Content-Length: {length}\r\n"), &"x".repeat(length))).await;
    assert_eq!((answer.status, answer.rsc()), (413, "4000"));
}

#[tokio::test]
async fn a_body_is_not_sent_in_vain() {
    let options = HttpOptions { body_bytes_max: 100, ..options() };
    let server = Server::start(options, HttpLimits::default()).await;
    let mut peer = server.connect().await;
    peer.send(post("/cse-in", "Expect: 100-continue\r\nContent-Length: 14\r\n", "")).await;
    assert_eq!(peer.answer().await.status, 100);
    peer.send("{\"m2m:cnt\":{}}").await;
    assert_eq!(peer.answer().await.status, 200);
    peer.send(post("/cse-in", "Expect: 100-continue\r\nContent-Length: 1000\r\n", "")).await;
    assert_eq!(peer.answer().await.status, 413);
}

#[tokio::test]
async fn a_large_header_is_refused() {
    let limits = HttpLimits { header_bytes_max: 8192, headers_max: 20, ..HttpLimits::default() };
    let server = Server::start(options(), limits).await;
    let large = get("/cse-in").replace("Host", &format!("X-Large: {}\r\nHost", "x".repeat(9000)));
    let many = get("/cse-in").replace("Host", &format!("{}Host", "X-Many: x\r\n".repeat(30)));
    for bytes in [large, many] {
        assert_eq!(server.exchange(bytes).await.status, 431);
    }
    assert_eq!(server.exchange(get("/cse-in")).await.status, 200);
    assert_eq!(server.stub.requests().len(), 1);
}

#[tokio::test]
async fn connections_above_the_limit_are_told_so() {
    let limits = HttpLimits { connections_max: 1, ..HttpLimits::default() };
    let server = Server::start(options(), limits).await;
    let mut first = server.connect().await;
    first.send(get("/cse-in")).await;
    assert_eq!(first.answer().await.status, 200);
    let mut second = server.connect().await;
    second.send(get("/cse-in")).await;
    let answer = second.answer().await;
    assert_eq!((answer.status, answer.rsc(), answer.header("retry-after")), (503, "5000", Some("1")));
    assert!(serde_json::from_str::<serde_json::Value>(&answer.body).is_ok(), "{answer:?}");
    assert_eq!(second.closed().await, b"");
    drop(first);
    soon("a place", async { while server.exchange(get("/cse-in")).await.status != 200 {} }).await;
}

#[tokio::test]
async fn requests_above_the_limit_are_told_so() {
    let options = HttpOptions { requests_max: 1, retry_after_s: 7, ..options() };
    let server = Server::start(options, HttpLimits::default()).await;
    let mut held = server.connect().await;
    held.send(get("/held")).await;
    server.stub.begun(1).await;
    let answer = server.exchange(get("/cse-in")).await;
    assert_eq!((answer.status, answer.rsc()), (503, "5000"));
    assert_eq!(answer.header("retry-after"), Some("7"));
    assert_eq!(answer.header("x-m2m-ri"), Some("r1"));
    assert_eq!(server.exchange("GET /livez HTTP/1.1\r\nHost: cse\r\n\r\n").await.body, "alive");
    server.stub.let_go();
    assert_eq!(held.answer().await.status, 200);
    assert_eq!(server.exchange(get("/cse-in")).await.status, 200);
}

#[tokio::test]
async fn a_peer_that_has_said_all_is_answered() {
    let server = Server::with_defaults().await;
    let mut peer = server.connect().await;
    peer.send(get("/held")).await;
    server.stub.begun(1).await;
    peer.0.shutdown().await.expect("half closed");
    server.stub.let_go();
    assert_eq!(peer.answer().await.status, 200);
    assert_eq!(peer.closed().await, b"");
}

#[tokio::test]
async fn a_poll_whose_sender_has_gone_ends() {
    let server = Server::start(HttpOptions { requests_max: 1, ..options() }, HttpLimits::default()).await;
    // Closed, and with something unread, which resets the connection.
    for is_reset in [false, true] {
        let begun = server.stub.requests().len() + 1;
        let mut poll = server.connect().await;
        poll.send(get("/m/pch/pcu")).await;
        server.stub.begun(begun).await;
        if is_reset {
            poll.0.set_zero_linger().expect("an open socket");
        }
        drop(poll);
        // The only place.
        let free = async { while server.exchange(get("/cse-in")).await.status != 200 {} };
        soon("the place", free).await;
    }
}

#[tokio::test]
async fn a_poll_whose_sender_has_said_all_is_answered_at_once() {
    let server = Server::with_defaults().await;
    let mut poll = server.connect().await;
    poll.send(get("/m/pch/pcu")).await;
    server.stub.begun(1).await;
    poll.0.shutdown().await.expect("half closed");
    let answer = poll.answer().await;
    assert_eq!((answer.status, answer.rsc(), answer.header("x-m2m-ri")), (504, "4008", Some("r1")));
    assert_eq!(poll.closed().await, b"");
}

#[tokio::test]
async fn a_poll_with_a_request_behind_it_is_served_as_ever() {
    let server = Server::with_defaults().await;
    let mut poll = server.connect().await;
    poll.send(get("/m/pch/pcu") + &get("/cse-in")).await;
    server.stub.begun(1).await;
    server.stub.let_go();
    assert_eq!((poll.answer().await.status, poll.answer().await.status), (200, 200));
}

#[tokio::test]
async fn a_panic_costs_one_connection() {
    let server = Server::with_defaults().await;
    let mut peer = server.connect().await;
    peer.send(get("/panics")).await;
    assert_eq!(peer.closed().await, b"");
    assert_eq!(server.exchange(get("/cse-in")).await.status, 200);
    assert_eq!(server.stopped().await, 0);
}

#[tokio::test]
async fn stopping_finishes_what_has_begun() {
    let server = Server::with_defaults().await;
    let mut unused = server.connect().await;
    let mut idle = server.connect().await;
    idle.send(get("/cse-in")).await;
    assert_eq!(idle.answer().await.status, 200);
    let mut held = server.connect().await;
    held.send(get("/held")).await;
    server.stub.begun(2).await;
    server.stop.send(true).expect("the server runs");
    assert_eq!(unused.closed().await, b"");
    assert_eq!(idle.closed().await, b"");
    assert!(!server.task.is_finished());
    server.stub.let_go();
    let answer = held.answer().await;
    assert_eq!((answer.status, answer.header("connection")), (200, Some("close")));
    assert_eq!(soon("the server to stop", server.task).await.expect("no panic"), 0);
}

#[tokio::test]
async fn stopping_does_not_wait_for_ever() {
    let limits = HttpLimits { grace: SHORT, ..HttpLimits::default() };
    let server = Server::start(options(), limits).await;
    let mut held = server.connect().await;
    held.send(get("/held")).await;
    server.stub.begun(1).await;
    assert_eq!(server.stopped().await, 1);
    assert_eq!(held.closed().await, b"");
}

#[tokio::test]
async fn a_server_without_its_owner_stops() {
    let Server { stop, task, .. } = Server::with_defaults().await;
    drop(stop);
    assert_eq!(soon("the server to stop", task).await.expect("no panic"), 0);
}

#[tokio::test]
async fn pages_of_allowed_origins_may_ask() {
    let cors = Some(CorsOptions::Origins(vec!["https://ui.example".into()]));
    let server = Server::start(HttpOptions { cors, ..options() }, HttpLimits::default()).await;
    let from = |origin: &str| format!("Origin: {origin}\r\nHost");
    let preflight = get("/cse-in")
        .replace("GET", "OPTIONS")
        .replace("Host", "Access-Control-Request-Method: POST\r\nOrigin: https://ui.example\r\nHost");
    let answer = server.exchange(preflight).await;
    assert_eq!(answer.status, 204);
    assert_eq!(answer.header("access-control-allow-origin"), Some("https://ui.example"));
    assert!(answer.header("access-control-allow-headers").expect("there").contains("x-m2m-origin"));
    let answer = server.exchange(get("/cse-in").replace("Host", &from("https://ui.example"))).await;
    assert_eq!(answer.header("access-control-allow-origin"), Some("https://ui.example"));
    assert!(answer.header("access-control-expose-headers").expect("there").contains("x-m2m-rsc"));
    let answer = server.exchange(get("/cse-in").replace("Host", &from("https://evil.example"))).await;
    assert_eq!(answer.header("access-control-allow-origin"), None);
    assert_eq!(answer.header("vary"), Some("origin"));
}
