//! Polling channels: fetching and answering requests, and who may (TS-0004 §7.4.21, §7.4.22).

use std::sync::Arc;
use std::time::Duration;

use cse_core::error::Rsc;
use cse_core::id::Peer;
use cse_core::primitive::{Context, Operation, Request, Response, ResponseType};
use cse_core::schema::Ty;
use cse_core::time::AbsRelTimestamp;
use cse_core::value::{Map, Value};
use tokio::task::JoinHandle;

use crate::harness::{Actor, Answer, Play, TestClock, TestCse, inner, json};

const CHANNEL: &str = "cse-in/meter/pch";
const PCU: &str = "cse-in/meter/pch/pcu";

/// An AE that cannot be reached but by its channel.
async fn meter(cse: &Arc<TestCse>) -> Actor {
    let meter = cse.originator("Cmeter");
    let ae = r#"{"m2m:ae":{"rn":"meter","api":"Ntest","rr":false,"srv":["3"]}}"#;
    meter.create("cse-in", Ty::AE, ae).await.created();
    meter.create("cse-in/meter", Ty::POLLING_CHANNEL, r#"{"m2m:pch":{"rn":"pch"}}"#).await.created();
    meter
}

/// Lets everything run that can: all tasks share this thread, and nothing but the clock keeps them waiting.
async fn settle() {
    for _ in 0..1_000 {
        tokio::task::yield_now().await;
    }
}

fn map_at<'a>(map: &'a Map, name: &str) -> Option<&'a Map> {
    map.get(name).and_then(Value::as_map)
}

/// A poll that is under way.
fn poll(actor: &Actor, request: Request) -> JoinHandle<Response> {
    let cse = Arc::clone(&actor.cse);
    tokio::spawn(async move { cse.send(request).await })
}

fn poll_request(actor: &Actor, seconds: u64) -> Request {
    let mut request = actor.request(Operation::Retrieve, PCU);
    request.request_expiration = Some(AbsRelTimestamp::Relative(Duration::from_secs(seconds)));
    request
}

/// The request that a poll was answered with.
async fn fetched(poll: JoinHandle<Response>) -> Map {
    let content = Answer(poll.await.expect("no panic")).ok();
    assert_eq!(content.only().map(|(name, _)| name.as_str()), Some("m2m:rqp"), "{content:?}");
    inner(content)
}

/// Fetches the next request.
async fn fetch(actor: &Actor) -> Map {
    fetched(poll(actor, poll_request(actor, 60))).await
}

/// Answers a request that was fetched.
async fn reply(actor: &Actor, fetched: &Map, status: Rsc) -> Answer {
    let identifier = fetched.text("rqi").expect("an identifier");
    reply_to(actor, identifier, status).await
}

async fn reply_to(actor: &Actor, identifier: &str, status: Rsc) -> Answer {
    let mut request = actor.request(Operation::Notify, PCU);
    let response = format!(r#"{{"m2m:rsp":{{"rsc":{},"rqi":"{identifier}"}}}}"#, status.code());
    request.content = Some(json(&response));
    Answer(actor.cse.send(request).await)
}

/// A NOTIFY to the meter that waits for its answer.
fn notify(actor: &Actor, text: &str, seconds: u64) -> JoinHandle<Response> {
    let mut request = actor.request(Operation::Notify, "cse-in/meter");
    request.content = Some(json(&format!(r#"{{"m2m:sgn":{{"sur":"{text}"}}}}"#)));
    request.request_expiration = Some(AbsRelTimestamp::Relative(Duration::from_secs(seconds)));
    poll(actor, request)
}

fn text_of(fetched: &Map) -> String {
    let content = map_at(fetched, "pc").and_then(|content| map_at(content, "m2m:sgn")).expect("a notification");
    content.text("sur").expect("a text").to_owned()
}

/// What a subscription of the meter has told of: contents of new instances.
fn content_of(fetched: &Map) -> String {
    let mut value = map_at(fetched, "pc").expect("content");
    for name in ["m2m:sgn", "nev", "rep", "m2m:cin"] {
        value = map_at(value, name).unwrap_or_else(|| panic!("no {name} in {value:?}"));
    }
    value.text("con").expect("content").to_owned()
}

/// A container that the meter has subscribed to.
async fn subscribed(meter: &Actor) {
    meter.container("cse-in/meter", "log").await.created();
    let subscription = r#"{"m2m:sub":{"rn":"s","nu":["Cmeter"],"enc":{"net":[3]},"nct":1}}"#;
    meter.create("cse-in/meter/log", Ty::SUBSCRIPTION, subscription).await.created();
}

#[tokio::test]
async fn a_channel_is_its_owners_alone() {
    let cse = TestCse::new().await;
    let meter = meter(&cse).await;
    // A policy that lets everybody do everything with the AE says nothing about its channel.
    let policy = r#"{"m2m:acp":{"rn":"all","pv":{"acr":[{"acor":["all"],"acop":63}]},"pvs":{"acr":[{"acor":["Cmeter"],"acop":63}]}}}"#;
    meter.create("cse-in/meter", Ty::ACCESS_CONTROL_POLICY, policy).await.created();
    meter.update("cse-in/meter", r#"{"m2m:ae":{"acpi":["cse-in/meter/all"]}}"#).await.updated();
    let other = cse.register("Cother", "other").await;
    other.retrieve("cse-in/meter").await.resource();
    let hint = "no privilege";
    other.retrieve(CHANNEL).await.refused(Rsc::OriginatorHasNoPrivilege, hint);
    other.update(CHANNEL, r#"{"m2m:pch":{"lbl":["x"]}}"#).await.refused(Rsc::OriginatorHasNoPrivilege, hint);
    other.delete(CHANNEL).await.refused(Rsc::OriginatorHasNoPrivilege, hint);
    other.retrieve(PCU).await.refused(Rsc::OriginatorHasNoPrivilege, hint);
    reply_to(&other, "x", Rsc::Ok).await.refused(Rsc::OriginatorHasNoPrivilege, hint);
    cse.admin().retrieve(PCU).await.refused(Rsc::OriginatorHasNoPrivilege, hint);

    assert_eq!(meter.retrieve(CHANNEL).await.resource().int("ty"), Some(15));
    let changed = meter.update(CHANNEL, r#"{"m2m:pch":{"lbl":["x"],"rqag":true}}"#).await.updated();
    assert_eq!((changed.texts("lbl").next(), changed.bool("rqag")), (Some("x"), Some(true)));
    meter.delete(CHANNEL).await.deleted();
    let channel = r#"{"m2m:pch":{"rn":"pch"}}"#;
    for stranger in [other, cse.admin()] {
        let refused = stranger.create("cse-in/meter", Ty::POLLING_CHANNEL, channel).await;
        refused.refused(Rsc::OriginatorHasNoPrivilege, hint);
    }
}

#[tokio::test]
async fn there_is_one_channel_for_each_registration_and_nowhere_else() {
    let cse = TestCse::new().await;
    let meter = meter(&cse).await;
    let second = r#"{"m2m:pch":{"rn":"second"}}"#;
    meter.create("cse-in/meter", Ty::POLLING_CHANNEL, second).await.refused(Rsc::BadRequest, "only one");
    meter.container("cse-in/meter", "log").await.created();
    let elsewhere = meter.create("cse-in/meter/log", Ty::POLLING_CHANNEL, second).await;
    elsewhere.refused(Rsc::InvalidChildResourceType, "pollingChannel");
    meter.delete(CHANNEL).await.deleted();
    meter.create("cse-in/meter", Ty::POLLING_CHANNEL, second).await.created();
    // It is known only inside that the AE has a channel.
    let ae = meter.retrieve("cse-in/meter").await.resource();
    assert!(ae.iter().all(|(name, _)| !name.starts_with('@')), "{ae:?}");
}

#[tokio::test]
async fn an_expired_channel_makes_room() {
    let cse = TestCse::new().await;
    let meter = meter(&cse).await;
    meter.update(CHANNEL, r#"{"m2m:pch":{"et":"20260101T120010"}}"#).await.updated();
    cse.pass(Duration::from_secs(11)).await;
    meter.create("cse-in/meter", Ty::POLLING_CHANNEL, r#"{"m2m:pch":{"rn":"pch"}}"#).await.created();
    let request = notify(&meter, "after", 60);
    let fetched = fetch(&meter).await;
    reply(&meter, &fetched, Rsc::Ok).await.ok();
    assert_eq!(request.await.expect("no panic").status, Rsc::Ok);
}

#[tokio::test]
async fn requests_are_fetched_and_answered_only() {
    let cse = TestCse::new().await;
    let meter = meter(&cse).await;
    let refused = |answer: Answer| answer.refused(Rsc::OperationNotAllowed, "pcu");
    refused(meter.create(PCU, Ty::CONTAINER, r#"{"m2m:cnt":{}}"#).await);
    refused(meter.update(PCU, r#"{"m2m:pch":{"lbl":["x"]}}"#).await);
    refused(meter.delete(PCU).await);
    refused(cse.originator("Cnobody").delete(PCU).await);

    let mut without = meter.request(Operation::Notify, PCU);
    without.content = Some(json(r#"{"m2m:sgn":{}}"#));
    Answer(cse.send(without).await).refused(Rsc::BadRequest, "m2m:rsp");
    let mut incomplete = meter.request(Operation::Notify, PCU);
    incomplete.content = Some(json(r#"{"m2m:rsp":{"rsc":2000}}"#));
    Answer(cse.send(incomplete).await).refused(Rsc::BadRequest, "rqi");
    reply_to(&meter, "never-given", Rsc::Ok).await.refused(Rsc::NotFound, "never-given");

    for response_type in [ResponseType::NoResponse, ResponseType::NonBlockingSynch, ResponseType::NonBlockingAsynch] {
        let mut unanswered = meter.request(Operation::Retrieve, PCU);
        unanswered.response_type = response_type;
        Answer(cse.send(unanswered).await).refused(Rsc::BadRequest, "rt");
    }
    assert_eq!(cse.cse.non_blocking_requests(), 0);
}

#[tokio::test]
async fn a_request_waits_for_the_poll_and_the_poll_for_a_request() {
    let cse = TestCse::new().await;
    let meter = meter(&cse).await;
    let sender = cse.admin();
    for is_polled_first in [true, false] {
        let early = is_polled_first.then(|| poll(&meter, poll_request(&meter, 60)));
        let request = notify(&sender, "hello", 60);
        let fetched = match early {
            Some(poll) => fetched(poll).await,
            None => fetch(&meter).await,
        };
        assert_eq!(
            (fetched.int("op"), fetched.text("to"), fetched.text("fr")),
            (Some(5), Some("Cmeter"), Some("CAdmin"))
        );
        assert_eq!(text_of(&fetched), "hello");
        assert!(!request.is_finished(), "it is not answered yet");
        let mut answer = meter.request(Operation::Notify, PCU);
        let response = format!(
            r#"{{"m2m:rsp":{{"rsc":2000,"rqi":"{}","pc":{{"m2m:cnt":{{"rn":"x"}}}}}}}}"#,
            fetched.text("rqi").expect("an identifier")
        );
        answer.content = Some(json(&response));
        assert!(Answer(cse.send(answer).await).ok().is_empty());
        let answered = Answer(request.await.expect("no panic")).ok();
        assert_eq!(inner(answered).text("rn"), Some("x"));
        reply(&meter, &fetched, Rsc::Ok).await.refused(Rsc::NotFound, "answered");
    }
    assert_eq!(cse.network.count(), 0, "nothing was sent otherwise");
}

#[tokio::test]
async fn a_poll_without_request_ends_with_its_time() {
    let cse = TestCse::new().await;
    let meter = meter(&cse).await;
    for (expiration, seconds) in [(Some(60), 60), (None, 10), (Some(4_000), 300)] {
        let mut request = poll_request(&meter, expiration.unwrap_or_default());
        request.request_expiration = request.request_expiration.filter(|_| expiration.is_some());
        let poll = poll(&meter, request);
        settle().await;
        cse.pass(Duration::from_secs(seconds - 1)).await;
        settle().await;
        assert!(!poll.is_finished(), "{expiration:?}");
        cse.pass(Duration::from_secs(1)).await;
        Answer(poll.await.expect("no panic")).refused(Rsc::RequestTimeout, "no request came");
    }
}

#[tokio::test]
async fn a_later_poll_takes_the_place_of_an_earlier_one() {
    let cse = TestCse::new().await;
    let meter = meter(&cse).await;
    let first = poll(&meter, poll_request(&meter, 60));
    settle().await;
    let second = poll(&meter, poll_request(&meter, 60));
    Answer(first.await.expect("no panic")).refused(Rsc::RequestTimeout, "a later poll");
    let request = notify(&cse.admin(), "hello", 60);
    let fetched = fetched(second).await;
    reply(&meter, &fetched, Rsc::Ok).await.ok();
    assert_eq!(request.await.expect("no panic").status, Rsc::Ok);
}

#[tokio::test]
async fn what_is_fetched_and_not_answered_is_given_again() {
    let cse = TestCse::new().await;
    let meter = meter(&cse).await;
    let requests = [notify(&cse.admin(), "one", 60), notify(&cse.admin(), "two", 60)];
    settle().await;
    let first = fetch(&meter).await;
    // One who goes on at once gets the next one, not the same again.
    let second = fetch(&meter).await;
    assert_ne!(first.text("rqi"), second.text("rqi"));
    let third = poll(&meter, poll_request(&meter, 60));
    settle().await;
    assert!(!third.is_finished());
    cse.pass(Duration::from_secs(5)).await;
    let third = fetched(third).await;
    assert_eq!(third.text("rqi"), first.text("rqi"), "the first that was not answered");
    for fetched in [first, second] {
        reply(&meter, &fetched, Rsc::Ok).await.ok();
    }
    for request in requests {
        assert_eq!(request.await.expect("no panic").status, Rsc::Ok);
    }
}

#[tokio::test]
async fn a_poll_whose_sender_has_gone_takes_nothing_along() {
    let cse = TestCse::new().await;
    let meter = meter(&cse).await;
    let gone = poll(&meter, poll_request(&meter, 60));
    settle().await;
    gone.abort();
    assert!(gone.await.is_err_and(|error| error.is_cancelled()));
    let request = notify(&cse.admin(), "hello", 60);
    settle().await;
    let fetched = fetch(&meter).await;
    reply(&meter, &fetched, Rsc::Ok).await.ok();
    assert_eq!(request.await.expect("no panic").status, Rsc::Ok);
}

#[tokio::test]
async fn a_request_that_nobody_fetches_expires() {
    let cse = TestCse::new().await;
    let meter = meter(&cse).await;
    let request = notify(&cse.admin(), "hello", 30);
    settle().await;
    cse.pass(Duration::from_secs(30)).await;
    Answer(request.await.expect("no panic")).refused(Rsc::TargetNotReachable, "cannot be reached");
    let poll = poll(&meter, poll_request(&meter, 5));
    settle().await;
    cse.pass(Duration::from_secs(5)).await;
    Answer(poll.await.expect("no panic")).refused(Rsc::RequestTimeout, "no request came");
}

#[tokio::test]
async fn the_end_of_a_channel_is_told_to_both_sides() {
    let cse = TestCse::new().await;
    let meter = meter(&cse).await;
    let request = notify(&cse.admin(), "hello", 60);
    settle().await;
    fetch(&meter).await;
    let poll = poll(&meter, poll_request(&meter, 60));
    settle().await;
    meter.delete(CHANNEL).await.deleted();
    Answer(poll.await.expect("no panic")).refused(Rsc::NotFound, "deleted");
    Answer(request.await.expect("no panic")).refused(Rsc::TargetNotReachable, "");
    // And without a channel, there is no way at all.
    let request = notify(&cse.admin(), "hello", 60);
    Answer(request.await.expect("no panic")).refused(Rsc::TargetNotReachable, "");
}

#[tokio::test]
async fn stopping_ends_polls() {
    let cse = TestCse::new().await;
    let meter = meter(&cse).await;
    let waiting = poll(&meter, poll_request(&meter, 60));
    settle().await;
    cse.cse.end_polls();
    Answer(waiting.await.expect("no panic")).refused(Rsc::InternalServerError, "shutting down");
    meter.retrieve(PCU).await.refused(Rsc::InternalServerError, "shutting down");
}

#[tokio::test]
async fn aggregated_requests_come_together() {
    let cse = TestCse::new().await;
    let meter = meter(&cse).await;
    meter.update(CHANNEL, r#"{"m2m:pch":{"rqag":true}}"#).await.updated();
    let requests = [notify(&cse.admin(), "one", 60), notify(&cse.admin(), "two", 60)];
    settle().await;
    let content = meter.retrieve(PCU).await.ok();
    let list = map_at(&content, "m2m:agrp").and_then(|all| all.get("m2m:rqp")).cloned();
    let Some(Value::List(list)) = list else { panic!("no list: {content:?}") };
    let fetched: Vec<&Map> = list.iter().filter_map(Value::as_map).collect();
    assert_eq!(fetched.iter().map(|each| text_of(each)).collect::<Vec<_>>(), ["one", "two"]);
    // One NOTIFY for each, in any order.
    for each in fetched.iter().rev() {
        reply(&meter, each, Rsc::Ok).await.ok();
    }
    for request in requests {
        assert_eq!(request.await.expect("no panic").status, Rsc::Ok);
    }
}

#[tokio::test]
async fn points_of_access_come_first() {
    let cse = TestCse::new().await;
    let meter = meter(&cse).await;
    meter.update("cse-in/meter", r#"{"m2m:ae":{"rr":true,"poa":["http://meter.example"]}}"#).await.updated();
    assert_eq!(notify(&cse.admin(), "direct", 60).await.expect("no panic").status, Rsc::Ok);
    assert_eq!(cse.network.sent(1).await[0].0.as_str(), "http://meter.example");
    cse.network.cut("http://meter.example");
    let request = notify(&cse.admin(), "around", 60);
    let fetched = fetch(&meter).await;
    assert_eq!(text_of(&fetched), "around");
    reply(&meter, &fetched, Rsc::Ok).await.ok();
    assert_eq!(request.await.expect("no panic").status, Rsc::Ok);
    assert_eq!(cse.network.tried(), ["http://meter.example"]);
    // One who says that it cannot be reached is not tried.
    cse.network.mend();
    meter.update("cse-in/meter", r#"{"m2m:ae":{"rr":false}}"#).await.updated();
    let request = notify(&cse.admin(), "by channel", 60);
    reply(&meter, &fetch(&meter).await, Rsc::Ok).await.ok();
    assert_eq!(request.await.expect("no panic").status, Rsc::Ok);
    assert_eq!(cse.network.count(), 1);
}

#[tokio::test]
async fn an_ae_without_any_way_but_a_channel_is_not_looked_for_on_the_broker() {
    let cse = TestCse::new().await;
    let meter = meter(&cse).await;
    meter.update("cse-in/meter", r#"{"m2m:ae":{"rr":true}}"#).await.updated();
    cse.network.otherwise(Play::Unanswered);
    let request = notify(&cse.admin(), "hello", 60);
    reply(&meter, &fetch(&meter).await, Rsc::Ok).await.ok();
    assert_eq!(request.await.expect("no panic").status, Rsc::Ok);
    assert_eq!(cse.network.count(), 0);
}

#[tokio::test]
async fn notifications_wait_until_they_are_fetched() {
    let cse = TestCse::new().await;
    let meter = meter(&cse).await;
    subscribed(&meter).await;
    for content in ["1", "2", "3"] {
        meter.instance("cse-in/meter/log", content).await.created();
    }
    // Nobody polls, for longer than one attempt takes.
    settle().await;
    cse.pass(Duration::from_secs(40)).await;
    settle().await;
    for content in ["1", "2", "3"] {
        let fetched = fetch(&meter).await;
        assert_eq!(content_of(&fetched), content);
        assert_eq!(fetched.text("to"), Some("Cmeter"));
        reply(&meter, &fetched, Rsc::Ok).await.ok();
    }
    let cse = &cse;
    cse.until(|| async move { cse.cse.metrics().notifications_delivered.get() == 3 }).await;
    assert_eq!(cse.cse.metrics().notifications_given_up.get(), 0);
}

#[tokio::test]
async fn a_notification_that_is_not_answered_comes_again() {
    let cse = TestCse::new().await;
    let meter = meter(&cse).await;
    subscribed(&meter).await;
    let waiting = poll(&meter, poll_request(&meter, 60));
    settle().await;
    meter.instance("cse-in/meter/log", "1").await.created();
    let first = fetched(waiting).await;
    assert_eq!(content_of(&first), "1");
    cse.pass(Duration::from_secs(6)).await;
    settle().await;
    assert_eq!(cse.cse.metrics().notifications_delivered.get(), 0);
    // The poll ends its pause.
    let second = fetch(&meter).await;
    assert_eq!(content_of(&second), "1");
    // It is the same request, whichever of the two is answered.
    assert_eq!(first.text("rqi"), second.text("rqi"));
    reply(&meter, &first, Rsc::Ok).await.ok();
    reply(&meter, &second, Rsc::Ok).await.refused(Rsc::NotFound, "");
    let cse = &cse;
    cse.until(|| async move { cse.cse.metrics().notifications_delivered.get() == 1 }).await;
}

#[tokio::test]
async fn notifications_survive_a_restart() {
    let (store, clock) = (cse_core::memory::MemoryStore::new(), TestClock::new());
    let before = TestCse::on(store.clone(), TestCse::settings(), Arc::clone(&clock)).await;
    let meter = meter(&before).await;
    subscribed(&meter).await;
    meter.instance("cse-in/meter/log", "1").await.created();
    // It has failed often enough to pause for long.
    let failed = &before;
    failed.until(|| async move { failed.cse.metrics().notifications_retried.get() >= 4 }).await;
    before.cse.stop();
    let after = TestCse::on(store, TestCse::settings(), clock).await;
    let meter = after.originator("Cmeter");
    let fetched = fetch(&meter).await;
    assert_eq!(content_of(&fetched), "1");
    reply(&meter, &fetched, Rsc::Ok).await.ok();
}

#[tokio::test]
async fn subscriptions_are_verified_and_updates_agreed_by_channel() {
    let cse = TestCse::new().await;
    let meter = meter(&cse).await;
    let owner = cse.register("Cowner", "owner").await;
    owner.container("cse-in/owner", "log").await.created();
    // Anybody may notify the meter.
    let policy = r#"{"m2m:acp":{"rn":"all","pv":{"acr":[{"acor":["all"],"acop":63}]},"pvs":{"acr":[{"acor":["Cmeter"],"acop":63}]}}}"#;
    meter.create("cse-in/meter", Ty::ACCESS_CONTROL_POLICY, policy).await.created();
    meter.update("cse-in/meter", r#"{"m2m:ae":{"acpi":["cse-in/meter/all"]}}"#).await.updated();
    let creating = tokio::spawn({
        let owner = owner.clone();
        async move {
            let subscription = r#"{"m2m:sub":{"rn":"s","nu":["Cmeter"],"enc":{"net":[7]}}}"#;
            owner.create("cse-in/owner/log", Ty::SUBSCRIPTION, subscription).await
        }
    });
    let verification = fetch(&meter).await;
    let content = map_at(&verification, "pc").and_then(|content| map_at(content, "m2m:sgn")).expect("a notification");
    assert_eq!(content.bool("vrq"), Some(true));
    reply(&meter, &verification, Rsc::Ok).await.ok();
    creating.await.expect("no panic").created();

    for (status, expected) in [(Rsc::Ok, Rsc::Updated), (Rsc::OperationNotAllowed, Rsc::OperationDeniedByRemoteEntity)]
    {
        let updating = tokio::spawn({
            let owner = owner.clone();
            async move { owner.update("cse-in/owner/log", r#"{"m2m:cnt":{"lbl":["x"]}}"#).await }
        });
        reply(&meter, &fetch(&meter).await, status).await.ok();
        assert_eq!(updating.await.expect("no panic").0.status, expected);
    }
}

#[tokio::test]
async fn a_cse_has_a_channel_below_its_registration() {
    let cse = TestCse::new().await;
    let gateway = cse.originator("/id-mn");
    let registration = r#"{"m2m:csr":{"rn":"mn","cb":"/id-mn/cse-mn","csi":"/id-mn","rr":false,"srv":["3"]}}"#;
    gateway.create("cse-in", Ty::REMOTE_CSE, registration).await.created();
    gateway.create("cse-in/mn", Ty::POLLING_CHANNEL, r#"{"m2m:pch":{"rn":"pch"}}"#).await.created();
    let request = gateway.request(Operation::Retrieve, "cse-in/mn/pch/pcu");
    let poll = poll(&gateway, request);
    settle().await;
    let mut notification = cse.admin().request(Operation::Notify, "cse-in/mn");
    notification.content = Some(json(r#"{"m2m:sgn":{"sur":"hello"}}"#));
    notification.context = Context { peer: Peer::default(), ..Context::default() };
    let sending = self::poll(&cse.admin(), notification);
    let fetched = fetched(poll).await;
    assert_eq!(fetched.text("to"), Some("/id-mn"));
    let mut answer = gateway.request(Operation::Notify, "cse-in/mn/pch/pcu");
    let identifier = fetched.text("rqi").expect("an identifier");
    answer.content = Some(json(&format!(r#"{{"m2m:rsp":{{"rsc":2000,"rqi":"{identifier}"}}}}"#)));
    Answer(cse.send(answer).await).ok();
    assert_eq!(sending.await.expect("no panic").status, Rsc::Ok);
    cse.register("Cother", "other")
        .await
        .retrieve("cse-in/mn/pch/pcu")
        .await
        .refused(Rsc::OriginatorHasNoPrivilege, "");
}

#[tokio::test]
async fn what_waits_is_bounded() {
    let cse = TestCse::with(|settings| {
        settings.polling_requests_per_channel_max = 2;
        settings.polls_max = 1;
    })
    .await;
    let meter = meter(&cse).await;
    let waiting = [notify(&cse.admin(), "1", 60), notify(&cse.admin(), "2", 60)];
    settle().await;
    let refused = notify(&cse.admin(), "3", 60).await.expect("no panic");
    assert_eq!(refused.status, Rsc::TargetNotReachable);
    for request in waiting {
        reply(&meter, &fetch(&meter).await, Rsc::Ok).await.ok();
        assert_eq!(request.await.expect("no panic").status, Rsc::Ok);
    }
    let poll = poll(&meter, poll_request(&meter, 60));
    settle().await;
    let other = cse.register("Cother", "other").await;
    other.create("cse-in/other", Ty::POLLING_CHANNEL, r#"{"m2m:pch":{"rn":"pch"}}"#).await.created();
    other.retrieve("cse-in/other/pch/pcu").await.refused(Rsc::InternalServerError, "too many wait");
    poll.abort();
}

#[tokio::test]
async fn a_request_for_a_cse_is_passed_on_by_its_channel() {
    let cse = TestCse::new().await;
    let gateway = cse.originator("/id-mn");
    let registration = r#"{"m2m:csr":{"rn":"mn","cb":"/id-mn/cse-mn","csi":"/id-mn","rr":false,"srv":["3"]}}"#;
    gateway.create("cse-in", Ty::REMOTE_CSE, registration).await.created();
    gateway.create("cse-in/mn", Ty::POLLING_CHANNEL, r#"{"m2m:pch":{"rn":"pch"}}"#).await.created();
    let reader = cse.register("Creader", "reader").await;
    let reading = poll(&reader, reader.request(Operation::Retrieve, "/id-mn/cse-mn/log"));
    let fetched = fetched(poll(&gateway, gateway.request(Operation::Retrieve, "cse-in/mn/pch/pcu"))).await;
    assert_eq!((fetched.int("op"), fetched.text("to")), (Some(2), Some("/id-mn/cse-mn/log")));
    assert_eq!(fetched.text("fr"), Some("/id-in/Creader"));
    let mut answer = gateway.request(Operation::Notify, "cse-in/mn/pch/pcu");
    let identifier = fetched.text("rqi").expect("an identifier");
    let response = format!(r#"{{"m2m:rsp":{{"rsc":2000,"rqi":"{identifier}","pc":{{"m2m:cnt":{{"rn":"log"}}}}}}}}"#);
    answer.content = Some(json(&response));
    Answer(cse.send(answer).await).ok();
    assert_eq!(Answer(reading.await.expect("no panic")).resource().text("rn"), Some("log"));
}
