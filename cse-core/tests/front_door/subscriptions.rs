//! What is refused, who is asked first, and what becomes of a subscription's attributes (TS-0004 §7.4.8).

use cse_core::error::Rsc;
use cse_core::schema::Ty;

use crate::harness::{Actor, Answer, Play};
use crate::notified::{LOG, Note, TARGET, sensor_with_log};

async fn try_to_subscribe(actor: &Actor, to: &str, members: &str) -> Answer {
    actor.create(to, Ty::SUBSCRIPTION, &format!(r#"{{"m2m:sub":{{{members}}}}}"#)).await
}

#[tokio::test]
async fn refusals() {
    let (cse, sensor) = sensor_with_log().await;
    let other = cse.register("Cother", "other").await;
    for (members, hint) in [
        (r#""enc":{"net":[1]}"#, "nu"),
        (r#""nu":[]"#, "nu"),
        (r#""nu":["Csensor"],"enc":{"net":[1],"om":[{"ops":2}]}"#, "om"),
        (r#""nu":["Csensor"],"enc":{"net":[3],"chty":[2]}"#, "chty"),
        (r#""nu":["Csensor"],"enc":{"net":[8]}"#, "md"),
        (r#""nu":["Csensor"],"enc":{"net":[1],"md":{"num":1,"dur":"PT1S"}}"#, "md"),
        (r#""nu":["Csensor"],"enc":{"net":[2]},"nct":2"#, "nct"),
        (r#""nu":["Csensor"],"enc":{"net":[1,3]},"nct":2"#, "nct"),
        (r#""nu":["Csensor"],"enc":{"om":[{"ops":2}]},"nct":2"#, "nct"),
        (r#""nu":["Csensor"],"exc":0"#, "exc"),
        (r#""nu":["Csensor"],"bn":{}"#, "bn"),
        (r#""nu":["Csensor"],"rl":{"mnn":0,"tww":"PT1S"}"#, "mnn"),
        (r#""nu":["Csensor"],"rl":{"mnn":1}"#, "tww"),
        (r#""nu":["Csensor"],"enc":{"net":[7,1]}"#, "net"),
        (r#""nu":["Csensor","Cother"],"enc":{"net":[7]}"#, "exactly one"),
        (r#""nu":["http://target.example/"],"enc":{"net":[7]}"#, "not a URL"),
        (r#""nu":["Csensor"],"enc":{"net":[7],"crb":"20300101T000000"}"#, "crb"),
        (r#""nu":["Csensor"],"enc":{"net":[7]},"exc":3"#, "exc"),
    ] {
        let answer = try_to_subscribe(&sensor, LOG, members).await;
        assert!(!answer.0.is_success(), "{members} was accepted");
        answer.refused(Rsc::BadRequest, hint);
    }
    for net in [6, 9] {
        let members = format!(r#""nu":["Csensor"],"enc":{{"net":[{net}]}}"#);
        try_to_subscribe(&sensor, LOG, &members).await.refused(Rsc::NotImplemented, "event type");
    }
    let many: Vec<String> = (0..101).map(|number| format!(r#""http://t{number}.example/""#)).collect();
    let members = format!(r#""nu":[{}]"#, many.join(","));
    try_to_subscribe(&sensor, LOG, &members).await.refused(Rsc::BadRequest, "101 targets");
    try_to_subscribe(&sensor, "cse-in/sensor", r#""nu":["Csensor"],"enc":{"net":[5]}"#)
        .await
        .refused(Rsc::BadRequest, "container");
    sensor.instance(LOG, "1").await.created();
    let id = sensor.retrieve("cse-in/sensor/log/la").await.resource().text("ri").unwrap().to_owned();
    try_to_subscribe(&sensor, &id, r#""nu":["Csensor"]"#).await.refused(Rsc::TargetNotSubscribable, "subscribed");
    try_to_subscribe(&other, LOG, r#""nu":["Cother"]"#).await.refused(Rsc::OriginatorHasNoPrivilege, "Cother");
    assert_eq!(cse.notes_and_questions().await.len(), 0, "nobody is asked for what is refused anyway");
}

#[tokio::test]
async fn who_may_create_children_but_not_read_cannot_subscribe() {
    let (cse, sensor) = sensor_with_log().await;
    let other = cse.register("Cother", "other").await;
    let policy = r#"{"m2m:acp":{"rn":"p","pv":{"acr":[{"acor":["Cother"],"acop":1}]},"pvs":{"acr":[{"acor":["Csensor"],"acop":63}]}}}"#;
    sensor.create("cse-in/sensor", Ty::ACCESS_CONTROL_POLICY, policy).await.created();
    sensor.update(LOG, r#"{"m2m:cnt":{"acpi":["cse-in/sensor/p"]}}"#).await.updated();
    try_to_subscribe(&other, LOG, r#""nu":["Cother"]"#).await.refused(Rsc::OriginatorHasNoPrivilege, "RETRIEVE");
}

#[tokio::test]
async fn the_originator_itself_is_not_asked() {
    let (cse, sensor) = sensor_with_log().await;
    for target in ["Csensor", "/id-in/Csensor", "//cse.example/id-in/Csensor", "cse-in/sensor", "/id-in/cse-in/sensor"]
    {
        let sub = sensor.subscribe(LOG, &format!(r#""nu":["{target}"]"#)).await;
        assert_eq!(sub.int("nct"), Some(1));
    }
    assert_eq!(cse.notes_and_questions().await.len(), 0);
}

#[tokio::test]
async fn others_are_asked_before_the_answer() {
    let (cse, sensor) = sensor_with_log().await;
    cse.register("Cother", "other").await;
    let members = r#""rn":"s","nu":["Csensor","Cother","http://target.example/n?ct=json"]"#;
    let sub = sensor.subscribe(LOG, members).await;
    assert_eq!(sub.text("cr"), Some("Csensor"), "the targets are not all the originator");
    let asked = cse.notes_and_questions().await;
    let mut destinations: Vec<&str> = asked.iter().map(|note| note.destination.as_str()).collect();
    destinations.sort_unstable();
    assert_eq!(destinations, ["Cother", "http://target.example/n"]);
    for note in &asked {
        assert!(note.is_verification());
        assert_eq!(note.sgn().text("cr"), Some("/id-in/Csensor"));
        assert_eq!(note.sgn().text("sur"), Some(format!("/id-in/{}", sub.text("ri").unwrap()).as_str()));
    }
}

#[tokio::test]
async fn who_does_not_confirm_gets_no_subscription() {
    let (cse, sensor) = sensor_with_log().await;
    cse.register("Cother", "other").await;
    for (play, status) in [
        (Play::Unreachable, Rsc::SubscriptionVerificationInitiationFailed),
        (Play::Unanswered, Rsc::SubscriptionVerificationInitiationFailed),
        (Play::Answer(Rsc::BadRequest), Rsc::SubscriptionVerificationInitiationFailed),
        (Play::Answer(Rsc::SubscriptionCreatorHasNoPrivilege), Rsc::SubscriptionCreatorHasNoPrivilege),
        (Play::Answer(Rsc::SubscriptionHostHasNoPrivilege), Rsc::SubscriptionHostHasNoPrivilege),
    ] {
        cse.network.play([play]);
        let answer = try_to_subscribe(&sensor, LOG, r#""rn":"s","nu":["http://target.example/"]"#).await;
        answer.refused(status, "http://target.example/");
    }
    // One of several is enough.
    cse.network.cut("http://no.example/");
    let several = r#""rn":"s","nu":["http://yes.example/","http://no.example/","Cother"]"#;
    let failed = Rsc::SubscriptionVerificationInitiationFailed;
    try_to_subscribe(&sensor, LOG, several).await.refused(failed, "no.example");
    for target in ["Cnobody", "cse-in", "cse-in/sensor/log", "/id-mn/Cx", "ftp://target.example/"] {
        try_to_subscribe(&sensor, LOG, &format!(r#""nu":["{target}"]"#)).await.refused(failed, target);
    }
    sensor.retrieve("cse-in/sensor/log/s").await.refused(Rsc::NotFound, "log/s");
}

#[tokio::test]
async fn a_target_that_is_not_reachable_cannot_confirm() {
    let (cse, sensor) = sensor_with_log().await;
    let deaf = cse.originator("Cdeaf");
    deaf.create("cse-in", Ty::AE, r#"{"m2m:ae":{"rn":"deaf","api":"Nx","rr":false,"srv":["3"]}}"#).await.created();
    let failed = Rsc::SubscriptionVerificationInitiationFailed;
    try_to_subscribe(&sensor, LOG, r#""nu":["Cdeaf"]"#).await.refused(failed, "Cdeaf");
}

#[tokio::test]
async fn an_update_asks_only_new_targets() {
    let (cse, sensor) = sensor_with_log().await;
    sensor.subscribe(LOG, r#""rn":"s","nu":["http://a.example/"]"#).await;
    cse.notes_and_questions().await;
    let two = r#"{"m2m:sub":{"nu":["http://a.example/","http://b.example/"]}}"#;
    sensor.update("cse-in/sensor/log/s", two).await.updated();
    sensor.update("cse-in/sensor/log/s", r#"{"m2m:sub":{"lbl":["x"]}}"#).await.updated();
    let asked = cse.notes_and_questions().await;
    assert_eq!(asked.iter().map(|note| note.destination.as_str()).collect::<Vec<_>>(), ["http://b.example/"]);
    cse.network.play([Play::Unreachable]);
    sensor
        .update("cse-in/sensor/log/s", r#"{"m2m:sub":{"nu":["http://c.example/"]}}"#)
        .await
        .refused(Rsc::SubscriptionVerificationInitiationFailed, "c.example");
    let sub = sensor.retrieve("cse-in/sensor/log/s").await.resource();
    assert_eq!(sub.texts("nu").count(), 2);
    sensor.update("cse-in/sensor/log/s", r#"{"m2m:sub":{"nu":[]}}"#).await.refused(Rsc::BadRequest, "nu");
}

#[tokio::test]
async fn a_target_that_never_answers_does_not_keep_the_originator_waiting() {
    let (cse, sensor) = sensor_with_log().await;
    cse.network.play([Play::Hang]);
    let waiting = tokio::spawn({
        let sensor = sensor.clone();
        async move { try_to_subscribe(&sensor, LOG, r#""nu":["http://target.example/"]"#).await }
    });
    cse.network.sent(1).await;
    sensor.instance(LOG, "1").await.created();
    cse.clock.turn(std::time::Duration::from_secs(11));
    waiting.await.unwrap().refused(Rsc::RequestTimeout, "expired");
}

#[tokio::test]
async fn the_content_type_follows_the_event_types() {
    let (_cse, sensor) = sensor_with_log().await;
    let sub = sensor.subscribe(LOG, r#""rn":"s","nu":["Csensor"],"nct":2"#).await;
    assert_eq!(sub.int("nct"), Some(2));
    let sub = sensor.update("cse-in/sensor/log/s", r#"{"m2m:sub":{"enc":{"net":[3]}}}"#).await.updated();
    assert_eq!(sub.int("nct"), Some(1), "2 does not go with new children");
    sensor.update("cse-in/sensor/log/s", r#"{"m2m:sub":{"nct":2}}"#).await.refused(Rsc::BadRequest, "nct");
    let sub = sensor.update("cse-in/sensor/log/s", r#"{"m2m:sub":{"nct":3}}"#).await.updated();
    assert_eq!(sub.int("nct"), Some(3));
    sensor.update("cse-in/sensor/log/s", r#"{"m2m:sub":{"nct":null}}"#).await.refused(Rsc::BadRequest, "nct");
    let sub = sensor.update("cse-in/sensor/log/s", r#"{"m2m:sub":{"enc":null}}"#).await.updated();
    assert!(!sub.contains("enc"));
    let both = r#"{"m2m:sub":{"enc":{"net":[1],"om":[{"ops":2}]}}}"#;
    sensor.update("cse-in/sensor/log/s", both).await.refused(Rsc::BadRequest, "om");
}

// === blocking updates ===

const BLOCKING: &str = r#""rn":"b","nu":["Cguard"],"enc":{"net":[7],"atr":["lbl"]}"#;

async fn guarded() -> (std::sync::Arc<crate::harness::TestCse>, Actor, Actor) {
    let (cse, sensor) = sensor_with_log().await;
    let guard = cse.register("Cguard", "guard").await;
    let sub = sensor.subscribe(LOG, BLOCKING).await;
    assert_eq!(sub.int("nct"), Some(2));
    cse.notes_and_questions().await;
    (cse, sensor, guard)
}

#[tokio::test]
async fn a_guarded_update_is_made_when_the_target_agrees() {
    let (cse, sensor, _) = guarded().await;
    sensor.subscribe(LOG, &format!(r#""nu":["{TARGET}"]"#)).await;
    let updated = sensor.update(LOG, r#"{"m2m:cnt":{"lbl":["a"],"mni":5}}"#).await.updated();
    assert_eq!(updated.texts("lbl").collect::<Vec<_>>(), ["a"]);
    let notes = cse.notes().await;
    assert_eq!(notes.iter().map(Note::net).collect::<Vec<_>>(), [7, 1]);
    assert_eq!(notes[0].destination, "Cguard");
    let wanted = crate::harness::json(r#"{"lbl":["a"],"mni":5}"#);
    assert_eq!(notes[0].representation(), ("m2m:cnt".into(), wanted), "what is wanted, not what is");
}

#[tokio::test]
async fn a_guarded_update_is_not_made_when_the_target_refuses_or_is_away() {
    let (cse, sensor, _) = guarded().await;
    for (play, status) in [
        (Play::Answer(Rsc::OperationNotAllowed), Rsc::OperationDeniedByRemoteEntity),
        (Play::Answer(Rsc::BadRequest), Rsc::OperationDeniedByRemoteEntity),
        (Play::Answer(Rsc::TargetNotReachable), Rsc::RemoteEntityNotReachable),
        (Play::Unreachable, Rsc::RemoteEntityNotReachable),
        (Play::Unanswered, Rsc::RemoteEntityNotReachable),
    ] {
        cse.network.play([play]);
        sensor.update(LOG, r#"{"m2m:cnt":{"lbl":["a"]}}"#).await.refused(status, "");
    }
    assert!(!sensor.retrieve(LOG).await.resource().contains("lbl"));
}

#[tokio::test]
async fn other_attributes_are_not_guarded() {
    let (cse, sensor, _) = guarded().await;
    cse.network.play([Play::Unreachable]);
    sensor.update(LOG, r#"{"m2m:cnt":{"mni":5}}"#).await.updated();
    sensor.instance(LOG, "1").await.created();
    cse.network.otherwise(Play::Answer(Rsc::Ok));
    assert_eq!(cse.network.count(), 0);
}

#[tokio::test]
async fn guarded_updates_of_one_resource_wait_for_each_other() {
    let (cse, sensor, _) = guarded().await;
    cse.network.play([Play::Hang]);
    let spawn = |label: &'static str| {
        let sensor = sensor.clone();
        tokio::spawn(async move { sensor.update(LOG, &format!(r#"{{"m2m:cnt":{{"lbl":["{label}"]}}}}"#)).await })
    };
    let first = spawn("first");
    cse.network.sent(1).await;
    let second = spawn("second");
    // Meanwhile others are served; that shows that the second is not asked about.
    sensor.instance(LOG, "1").await.created();
    sensor.update(LOG, r#"{"m2m:cnt":{"mni":5}}"#).await.updated();
    assert_eq!(cse.network.count(), 1);
    first.abort();
    second.await.unwrap().updated();
    assert_eq!(cse.network.count(), 2);
    assert_eq!(sensor.retrieve(LOG).await.resource().texts("lbl").collect::<Vec<_>>(), ["second"]);
}

#[tokio::test]
async fn an_update_is_decided_again_after_the_target_agreed() {
    let (cse, sensor, guard) = guarded().await;
    cse.network.play([Play::Hang]);
    let first = tokio::spawn({
        let sensor = sensor.clone();
        async move { sensor.update(LOG, r#"{"m2m:cnt":{"lbl":["a"]}}"#).await }
    });
    cse.network.sent(1).await;
    let second = tokio::spawn({
        let sensor = sensor.clone();
        async move { sensor.update(LOG, r#"{"m2m:cnt":{"lbl":["b"]}}"#).await }
    });
    // While both wait, the resource goes.
    guard.retrieve("cse-in/guard").await.ok();
    sensor.delete(LOG).await.deleted();
    first.abort();
    second.await.unwrap().refused(Rsc::NotFound, "log");
}

#[tokio::test]
async fn there_is_one_blocking_subscription_and_it_stays_one() {
    let (cse, sensor, _) = guarded().await;
    let second = r#""nu":["Csensor"],"enc":{"net":[7],"atr":["mni"]}"#;
    try_to_subscribe(&sensor, LOG, second).await.refused(Rsc::BlockingSubscriptionAlreadyExists, "");
    let sub = "cse-in/sensor/log/b";
    sensor.update(sub, r#"{"m2m:sub":{"enc":{"net":[7]}}}"#).await.refused(Rsc::BadRequest, "7");
    sensor.update(sub, r#"{"m2m:sub":{"nu":["Cguard","Csensor"]}}"#).await.refused(Rsc::BadRequest, "nu");
    sensor.update(sub, r#"{"m2m:sub":{"exc":5}}"#).await.refused(Rsc::BadRequest, "exc");
    sensor.update(sub, r#"{"m2m:sub":{"lbl":["x"]}}"#).await.updated();
    sensor.subscribe(LOG, r#""rn":"plain","nu":["Csensor"]"#).await;
    sensor
        .update("cse-in/sensor/log/plain", r#"{"m2m:sub":{"enc":{"net":[7]}}}"#)
        .await
        .refused(Rsc::BadRequest, "UPDATE");
    sensor.delete(sub).await.deleted();
    cse.notes().await;
    sensor.subscribe(LOG, BLOCKING).await;
}
