//! Clients that speak the early draft, and registrations by Credential-ID.

use super::*;
use crate::options::EarlyDraft;

fn served() -> BindingOptions {
    let early_draft = EarlyDraft { served: true, entities: Vec::new() };
    BindingOptions { early_draft, ..BindingOptions::default() }
}

#[tokio::test(start_paused = true)]
async fn the_draft_is_answered_where_and_as_it_asks() {
    let draft = |from: &str| format!(r#"{{"op":2,"to":"a","fr":"{from}","ri":"1"}}"#);
    for (topic, payload, expected) in [
        ("/oneM2M/req/id-in", draft("Cx"), Some("/oneM2M/resp/Cx 2000 1")),
        ("/oneM2M/req/id-in/cse-in/a", draft("Cx"), Some("/oneM2M/resp/Cx 2000 1")),
        ("oneM2M/req/id-in/cse-in/a", draft("Cx"), Some("oneM2M/resp/Cx 2000 1")),
        ("/oneM2M/req/id-in", retrieve("/id-in/Cx", "a", "1"), Some("/oneM2M/resp/id-in/Cx 2000 1")),
        ("/oneM2M/req/id-in", retrieve("/id-mn", "a", "1"), Some("/oneM2M/resp/id-mn 2000 1")),
        ("/oneM2M/req/id-in", register("C"), Some("/oneM2M/resp/C 2000 1")),
        ("/oneM2M/req/id-in", r#"{"op":9,"fr":"Cx","ri":"1"}"#.into(), Some("/oneM2M/resp/Cx 4000 1")),
        // Wrapped, and today's names.
        (
            "/oneM2M/req/id-in",
            format!(r#"{{"m2m:rqp":{}}}"#, retrieve("Cx", "a", "1")),
            Some("/oneM2M/resp/Cx 2000 1 wrapped"),
        ),
        // Nobody may speak as this CSE: it is what an external broker sends back of our own requests.
        ("/oneM2M/req/id-in/Cx/json", r#"{"op":5,"to":"Cx","fr":"/id-in","rqi":"1"}"#.into(), None),
        // Nowhere to answer to.
        ("/oneM2M/req/id-in", register(""), None),
        ("/oneM2M/req/id-in", draft("C+"), None),
        ("/oneM2M/req/id-in", "nonsense".into(), None),
        ("/oneM2M/resp/id-in", r#"{"rs":2000,"ri":"1"}"#.into(), None),
        // Today's form is as before.
        ("/oneM2M/req/Cx/id-in/json", retrieve("Cx", "a", "1"), Some("/oneM2M/resp/Cx/id-in/json 2000 1")),
    ] {
        let mut bench = Bench::with(served(), FakePublisher::default(), None);
        bench.send(topic, &payload).await;
        let requests = Arc::clone(&bench.stub.requests);
        let log = bench.end().await;
        let expected: Vec<String> =
            expected.map(|answer| format!("answer {answer}")).into_iter().chain(["ack 1".to_owned()]).collect();
        assert_eq!(log, expected, "{topic} {payload}");
        let answered = usize::from(expected.len() == 2 && !expected[0].contains(" 4000 "));
        assert_eq!(requests.lock().len(), answered, "{topic} {payload}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_topic_names_the_target_if_the_primitive_does_not() {
    let mut bench = Bench::with(served(), FakePublisher::default(), None);
    bench.send("/oneM2M/req/id-in/cse-in/a", r#"{"op":1,"ty":4,"fr":"Cx","ri":"1","cn":{"m2m:cin":{}}}"#).await;
    bench.send("/oneM2M/req/id-in/cse-in/a", r#"{"op":2,"to":"cse-in/b","fr":"Cx","ri":"2"}"#).await;
    let (requests, stats) = (Arc::clone(&bench.stub.requests), Arc::clone(&bench.stats));
    bench.end().await;
    let requests = requests.lock();
    assert_eq!((requests[0].to.as_str(), requests[1].to.as_str()), ("/id-in/cse-in/a", "cse-in/b"));
    assert!(requests[0].content.as_ref().is_some_and(|content| content.contains("m2m:cin")));
    assert_eq!(stats.early_draft_requests.get(), 2);
}

/// In XML the draft's names are understood, as far as the tables can say what is in them, and today's are written.
#[tokio::test(start_paused = true)]
async fn the_draft_may_be_written_in_xml() {
    let mut bench = Bench::with(served(), FakePublisher::default(), None);
    let xml = |identifier: &str, content: &str| {
        format!(
            "<m2m:rqp xmlns:m2m=\"http://www.onem2m.org/xml/protocols\"><op>1</op><to>a</to><fr>Cx</fr>\
             <{identifier}>1</{identifier}><ty>4</ty><{content}><m2m:cin><con>21</con></m2m:cin></{content}></m2m:rqp>"
        )
    };
    bench.send("/oneM2M/req/id-in/a", xml("ri", "cn")).await;
    bench.send("/oneM2M/req/id-in/a", xml("rqi", "pc")).await;
    let requests = Arc::clone(&bench.stub.requests);
    let answers = bench.end().await;
    assert_eq!(
        answers,
        ["answer /oneM2M/resp/Cx 2000 1 wrapped", "ack 1", "answer /oneM2M/resp/Cx 2000 1 wrapped", "ack 2"]
    );
    for request in requests.lock().iter() {
        let instance = request.content.as_ref().and_then(|content| content.get("m2m:cin")?.as_map()?.text("con"));
        assert_eq!(instance, Some("21"));
    }
}

#[tokio::test(start_paused = true)]
async fn without_the_mode_the_draft_is_counted_and_not_answered() {
    let mut bench = Bench::new();
    for topic in ["/oneM2M/req/id-in", "/oneM2M/req/id-in/cse-in/a", "oneM2M/req/id-in/cse-in"] {
        bench.send(topic, r#"{"op":2,"to":"a","fr":"Cx","ri":"1"}"#).await;
    }
    let (requests, stats) = (Arc::clone(&bench.stub.requests), Arc::clone(&bench.stats));
    assert_eq!(bench.end().await, ["ack 1", "ack 2", "ack 3"]);
    assert!(requests.lock().is_empty());
    assert_eq!((stats.early_draft_requests.get(), stats.unknown_topics.get()), (3, 0));
}

#[tokio::test(start_paused = true)]
async fn redeliveries_of_the_draft_are_told_by_its_originator() {
    let recall = Recall::Followed(FollowedAnswers::new(100));
    let mut bench = Bench::with(served(), FakePublisher::default(), Some(recall));
    for from in ["Cx", "Cy", "Cx"] {
        bench.send("/oneM2M/req/id-in", format!(r#"{{"op":2,"to":"wait","fr":"{from}","ri":"1"}}"#)).await;
    }
    let requests = Arc::clone(&bench.stub.requests);
    bench.until("they are begun", |_| requests.lock().len() == 3).await;
    let redeliveries: Vec<_> = requests.lock().iter().map(|request| request.context.redelivery).collect();
    assert_eq!(redeliveries, [Redelivery::New, Redelivery::New, Redelivery::Possible]);
}

#[tokio::test(start_paused = true)]
async fn registrants_are_known_by_their_credential() {
    let mut bench = Bench::new();
    for topic in [
        "/oneM2M/reg_req/1-abc/id-in/json",
        "/oneM2M/reg_req/1:abc:d/id-in",
        "/oneM2M/reg_req/1-abc/:cse.example:id-in/json",
        "/oneM2M/reg_req/C/id-in/json",
        "/oneM2M/reg_req//id-in/json",
        "/oneM2M/req/1-abc/id-in/json",
    ] {
        bench.send(topic, register("")).await;
    }
    let requests = Arc::clone(&bench.stub.requests);
    let log = bench.end().await;
    let registrants: Vec<_> = requests.lock().iter().map(|request| request.context.registrant.clone()).collect();
    let known = |name: &str| Some(Text::from(name));
    assert_eq!(registrants, [known("1-abc"), known("1:abc:d"), known("1-abc"), None, None, None]);
    let answers: Vec<&str> = log.iter().filter_map(|entry| entry.strip_prefix("answer ")).collect();
    assert_eq!(answers[1], "/oneM2M/reg_resp/1:abc:d/id-in 2000 1");
    assert_eq!(answers[2], "/oneM2M/reg_resp/1-abc/:cse.example:id-in/json 2000 1");
}
