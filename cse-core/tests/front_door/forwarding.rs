//! Requests for other CSEs: where they go, what becomes of them on the way, and what comes back.

use std::sync::Arc;
use std::time::Duration;

use cse_core::error::Rsc;
use cse_core::primitive::{Operation, ReleaseVersion, Request, Response, ResponseType};
use cse_core::schema::Ty;
use cse_core::time::{AbsRelTimestamp, Timestamp};

use crate::harness::{Answer, Play, TestClock, TestCse, json};
use crate::tree::{Pair, Plan, from_anywhere, from_cse, shared_container, wire};

/// An MN-CSE whose registrar the test plays, and an AE of it.
async fn below_a_played_registrar() -> (Arc<TestCse>, crate::harness::Actor) {
    let middle = Plan::new("mn").under("/id-in").start(&TestClock::new()).await;
    let sensor = register(&middle, "cse-mn", "Csensor").await;
    (middle, sensor)
}

async fn register(cse: &Arc<TestCse>, base: &str, stem: &str) -> crate::harness::Actor {
    let actor = cse.originator(stem);
    let content = format!(r#"{{"m2m:ae":{{"rn":"{stem}","api":"Ntest","rr":true,"srv":["3"]}}}}"#);
    actor.create(base, Ty::AE, &content).await.created();
    actor
}

#[tokio::test]
async fn an_ae_of_the_mn_stores_at_the_in() {
    let Pair { infrastructure, middle, .. } = Pair::new().await;
    let sensor = register(&middle, "cse-mn", "Csensor").await;
    shared_container(&infrastructure, "cse-in", "log", r#"["/id-mn/Csensor"]"#).await;

    let created = sensor.instance("/id-in/cse-in/log", "21").await.created();
    assert_eq!(created.text("con"), Some("21"));
    let sent = middle.network.sent(1).await;
    let request = &sent[0].1;
    assert_eq!((request.from.as_deref(), request.to.as_str()), (Some("/id-mn/Csensor"), "/id-in/cse-in/log"));
    assert!(request.request_identifier.starts_with("id-mn-"), "{}", request.request_identifier);

    let latest = sensor.retrieve("//cse.example/id-in/cse-in/log/la").await.resource();
    assert_eq!(latest.text("con"), Some("21"));
    sensor.update("/id-in/cse-in/log", r#"{"m2m:cnt":{"lbl":["a"]}}"#).await.updated();
    sensor.delete("/id-in/cse-in/log").await.deleted();
    sensor.retrieve("/id-in/cse-in/log").await.refused(Rsc::NotFound, "no resource");
    let other = register(&middle, "cse-mn", "Cother").await;
    other.retrieve("/id-in/cse-in/acp-log").await.refused(Rsc::OriginatorHasNoPrivilege, "/id-mn/Cother");
    assert_eq!((middle.cse.metrics().forwarded.get(), middle.cse.metrics().forward_failed.get()), (6, 0));
    assert_eq!(middle.cse.forwarded_waiting(), 0);
}

#[tokio::test]
async fn an_ae_of_the_in_reads_and_discovers_at_the_mn() {
    let Pair { infrastructure, middle, .. } = Pair::new().await;
    let app = register(&infrastructure, "cse-in", "Capp").await;
    shared_container(&middle, "cse-mn", "log", r#"["/id-in/Capp"]"#).await;
    middle.admin().instance("cse-mn/log", "7").await.created();
    assert_eq!(app.retrieve("/id-mn/cse-mn/log/la").await.resource().text("con"), Some("7"));
    assert_eq!(app.discover("/id-mn/cse-mn/log", r#","ty":[4]"#).await.len(), 1);
}

#[tokio::test]
async fn the_answer_comes_back_as_it_is_under_the_identifier_of_the_request() {
    let (middle, sensor) = below_a_played_registrar().await;
    let mut played = Response::new(Rsc::ContentsUnacceptable, "of the next CSE");
    played.content = Some(json(r#"{"m2m:dbg":"played"}"#));
    played.content_complete = Some(false);
    played.content_offset = Some(17);
    played.vendor_information = Some("a vendor".into());
    middle.network.play([Play::AnswerWith(Box::new(played.clone())), Play::AnswerWith(Box::new(played.clone()))]);
    let mut request = sensor.request(Operation::Retrieve, "/id-in/x");
    request.request_identifier = "mine".into();
    let answer = middle.send(request.clone()).await;
    assert_eq!(answer.request_identifier, "mine");
    assert_eq!(answer.release_version, Some(ReleaseVersion::R3));
    let mut expected = played;
    expected.request_identifier = "mine".into();
    expected.release_version = Some(ReleaseVersion::R3);
    assert_eq!(answer, expected);
    // Release 1 has no vendor information.
    request.release_version = None;
    assert_eq!(middle.send(request).await.vendor_information, None);
}

#[tokio::test]
async fn what_the_originator_left_open_is_settled_for_the_next_cse() {
    let (middle, sensor) = below_a_played_registrar().await;
    let mut request = sensor.request(Operation::Retrieve, "/id-in/x");
    request.request_expiration = Some(AbsRelTimestamp::Relative(Duration::from_secs(4)));
    request.result_expiration = Some(AbsRelTimestamp::Relative(Duration::from_secs(5)));
    request.response_type = ResponseType::FlexBlocking;
    request.notification_uris = Some(vec!["http://127.0.0.1:9/".into()]);
    request.vendor_information = Some("a vendor".into());
    request.passive = json(r#"{"sqi":true}"#);
    Answer(middle.send(request).await).ok();
    let sent = &middle.network.sent(1).await[0].1;
    let at = |text| Some(AbsRelTimestamp::Absolute(Timestamp::parse(text).unwrap()));
    assert_eq!(sent.request_expiration, at("20260101T120004"));
    assert_eq!(sent.result_expiration, at("20260101T120005"));
    assert_eq!((sent.response_type, &sent.notification_uris), (ResponseType::Blocking, &None));
    assert_eq!(sent.vendor_information.as_deref(), Some("a vendor"));
    assert_eq!(sent.release_version, Some(ReleaseVersion::R3));
    assert_eq!(sent.passive.bool("sqi"), Some(true));
}

#[tokio::test]
async fn a_release_1_cse_is_spared_what_it_does_not_know() {
    let mut plan = Plan::new("mn").under("/id-in");
    plan.releases = vec!["1"];
    let middle = plan.start(&TestClock::new()).await;
    let mut request = register(&middle, "cse-mn", "Csensor").await.request(Operation::Retrieve, "/id-in/x");
    request.vendor_information = Some("a vendor".into());
    Answer(middle.send(request).await).ok();
    let sent = &middle.network.sent(1).await[0].1;
    assert_eq!((sent.release_version, &sent.vendor_information), (None, &None));
}

#[tokio::test]
async fn another_service_provider_is_told_absolute_identifiers() {
    let infrastructure = Plan::new("in").over("//other.example/id-in", &[]).over("/id-mn", &[]);
    let infrastructure = infrastructure.start(&TestClock::new()).await;
    register(&infrastructure, "cse-in", "Capp").await;
    let content = r#"{"m2m:ae":{"rn":"s","api":"Ntest","rr":true,"srv":["3"]}}"#;
    infrastructure.originator("Sapp").create("cse-in", Ty::AE, content).await.created();
    for (from, sender, expected) in [
        ("Capp", None, "//cse.example/id-in/Capp"),
        ("Sapp", None, "//cse.example/Sapp"),
        ("/id-mn/Cx", Some("/id-mn"), "//cse.example/id-mn/Cx"),
        ("/id-mn", Some("/id-mn"), "//cse.example/id-mn"),
    ] {
        infrastructure.network.clear();
        let mut request = Request::new(Operation::Retrieve, "//other.example/id-in/cse-in/x", from, "1");
        request.context = sender.map(from_cse).unwrap_or_default();
        Answer(infrastructure.send(request).await).ok();
        assert_eq!(infrastructure.network.sent(1).await[0].1.from.as_deref(), Some(expected));
    }
    // Within one service provider, an S-type AE-ID needs no CSE-ID.
    infrastructure.network.clear();
    Answer(infrastructure.send(Request::new(Operation::Retrieve, "/id-mn/x", "Sapp", "1")).await).ok();
    assert_eq!(infrastructure.network.sent(1).await[0].1.from.as_deref(), Some("/Sapp"));
}

#[tokio::test]
async fn three_levels_are_crossed_in_both_directions() {
    let clock = TestClock::new();
    let top = Plan::new("in").over("/id-mn1", &["/id-mn2"]).start(&clock).await;
    let middle = Plan::new("mn1").under("/id-in").over("/id-mn2", &[]).start(&clock).await;
    let bottom = Plan::new("mn2").under("/id-mn1").start(&clock).await;
    wire(("/id-in", &top), ("/id-mn1", &middle));
    wire(("/id-mn1", &middle), ("/id-mn2", &bottom));
    let sensor = register(&bottom, "cse-mn2", "Csensor").await;
    let app = register(&top, "cse-in", "Capp").await;
    shared_container(&top, "cse-in", "up", r#"["/id-mn2/Csensor"]"#).await;
    shared_container(&bottom, "cse-mn2", "down", r#"["/id-in/Capp"]"#).await;

    sensor.instance("/id-in/cse-in/up", "1").await.created();
    let passed_on = &middle.network.sent(1).await[0].1;
    assert_eq!(passed_on.from.as_deref(), Some("/id-mn2/Csensor"));
    let identifier = passed_on.request_identifier.as_str();
    assert!(identifier.starts_with("id-mn1-") && identifier.ends_with("~2"), "{identifier}");
    app.instance("/id-mn2/cse-mn2/down", "2").await.created();
    assert_eq!(app.retrieve("/id-mn2/cse-mn2/down/la").await.resource().text("con"), Some("2"));

    // A link further on is cut: whoever finds out says so, and the answer comes all the way back.
    middle.network.cut("mqtt://host/id-in");
    sensor.instance("/id-in/cse-in/up", "3").await.refused(Rsc::TargetNotReachable, "/id-in");
}

#[tokio::test]
async fn a_notification_to_an_ae_of_another_cse_arrives() {
    let Pair { infrastructure, middle, .. } = Pair::new().await;
    let app = register(&infrastructure, "cse-in", "Capp").await;
    let sensor = register(&middle, "cse-mn", "Csensor").await;
    let acp = r#"{"m2m:acp":{"rn":"p","pv":{"acr":[{"acor":["/id-in/Capp"],"acop":16}]},
        "pvs":{"acr":[{"acor":["Csensor"],"acop":63}]}}}"#;
    sensor.create("cse-mn/Csensor", Ty::ACCESS_CONTROL_POLICY, acp).await.created();
    sensor.update("cse-mn/Csensor", r#"{"m2m:ae":{"acpi":["cse-mn/Csensor/p"]}}"#).await.updated();
    let mut request = app.request(Operation::Notify, "/id-mn/Csensor");
    request.content = Some(json(r#"{"m2m:sgn":{"sur":"/id-in/sub1"}}"#));
    Answer(infrastructure.send(request.clone()).await).ok();
    let sent = middle.network.sent(1).await;
    assert_eq!(sent[0].1.from.as_deref(), Some("/id-in/Capp"));
    assert_eq!(sent[0].1.content, request.content);
}

#[tokio::test]
async fn a_group_reaches_members_on_other_cses() {
    let Pair { infrastructure, middle, .. } = Pair::new().await;
    let app = register(&infrastructure, "cse-in", "Capp").await;
    let actors = r#"["Capp","/id-in/Capp"]"#;
    shared_container(&infrastructure, "cse-in", "here", actors).await;
    shared_container(&middle, "cse-mn", "there", actors).await;
    let members = r#""cse-in/here","/id-mn/cse-mn/there","/id-other/x""#;
    let content = format!(r#"{{"m2m:grp":{{"rn":"g","mnm":5,"mid":[{members}]}}}}"#);
    app.create("cse-in/Capp", Ty::GROUP, &content).await.created();
    let answer = app.instance("cse-in/Capp/g/fopt", "1").await.ok();
    let statuses = |answer: &cse_core::value::Map| -> Vec<(String, i64)> {
        let answers = answer.get("m2m:agr").unwrap().as_map().unwrap().get("m2m:rsp").unwrap().as_list().unwrap();
        let answers = answers.iter().map(|answer| answer.as_map().unwrap());
        answers.map(|answer| (answer.text("fr").unwrap().to_owned(), answer.int("rsc").unwrap())).collect()
    };
    let expected = |success| {
        let members = [("cse-in/here", success), ("/id-mn/cse-mn/there", success), ("/id-other/x", 4004)];
        members.map(|(member, status)| (member.to_owned(), status)).to_vec()
    };
    assert_eq!(statuses(&answer), expected(2001));
    assert_eq!(middle.admin().retrieve("cse-mn/there").await.resource().int("cni"), Some(1));

    // Its user may be where a member is.
    let sensor = register(&middle, "cse-mn", "Csensor").await;
    let policy = r#"{"m2m:acp":{"pv":{"acr":[{"acor":["Capp","/id-mn/Csensor"],"acop":63}]}}}"#;
    infrastructure.admin().update("cse-in/acp-here", policy).await.updated();
    let policy = r#"{"m2m:acp":{"pv":{"acr":[{"acor":["Csensor"],"acop":63}]}}}"#;
    middle.admin().update("cse-mn/acp-there", policy).await.updated();
    app.update("cse-in/Capp/g", r#"{"m2m:grp":{"macp":["cse-in/acp-here"]}}"#).await.updated();
    let answer = sensor.retrieve("/id-in/cse-in/Capp/g/fopt").await.ok();
    assert_eq!(statuses(&answer), expected(2000));
}

#[tokio::test]
async fn a_cut_link_and_silence_are_told_apart() {
    let (middle, sensor) = below_a_played_registrar().await;
    middle.network.cut("mqtt://host/id-in");
    sensor.retrieve("/id-in/cse-in").await.refused(Rsc::TargetNotReachable, "/id-in");
    middle.network.mend();
    middle.network.play([Play::Unanswered]);
    sensor.retrieve("/id-in/cse-in").await.refused(Rsc::RequestTimeout, "did not answer");
    assert_eq!((middle.cse.metrics().forwarded.get(), middle.cse.metrics().forward_failed.get()), (2, 2));
}

#[tokio::test]
async fn the_answer_is_waited_for_no_longer_than_the_request_lives() {
    let (middle, sensor) = below_a_played_registrar().await;
    for (expiration, lives) in [(None, 10), (Some(3), 3), (Some(86_400), 300)] {
        middle.network.clear();
        middle.network.play([Play::Hang]);
        let mut request = sensor.request(Operation::Retrieve, "/id-in/x");
        let relative = |seconds| AbsRelTimestamp::Relative(Duration::from_secs(seconds));
        request.request_expiration = expiration.map(relative);
        let cse = Arc::clone(&middle);
        let answer = tokio::spawn(async move { cse.send(request).await });
        middle.network.sent(1).await;
        middle.clock.turn(Duration::from_millis(lives * 1_000 - 1));
        tokio::task::yield_now().await;
        assert!(!answer.is_finished());
        // The wait begins at the latest when the answer is first looked for, which is after the request was sent.
        middle.until(async || answer.is_finished()).await;
        Answer(answer.await.unwrap()).refused(Rsc::RequestTimeout, "did not answer");
        assert_eq!(middle.cse.forwarded_waiting(), 0);
    }
}

#[tokio::test]
async fn what_has_expired_is_not_passed_on() {
    let (middle, sensor) = below_a_played_registrar().await;
    let past = Some(AbsRelTimestamp::Absolute(Timestamp::parse("20260101T115959").unwrap()));
    for (name, set) in [
        ("rqet", (|request, time| request.request_expiration = time) as fn(&mut Request, Option<AbsRelTimestamp>)),
        ("rset", |request, time| request.result_expiration = time),
        ("oet", |request, time| request.operation_execution_time = time),
    ] {
        let mut request = sensor.request(Operation::Retrieve, "/id-in/x");
        set(&mut request, past);
        Answer(middle.send(request).await).refused(Rsc::RequestTimeout, name);
    }
    assert_eq!(middle.network.count(), 0);
}

#[tokio::test]
async fn the_execution_time_is_waited_for_by_the_hosting_cse() {
    let Pair { infrastructure, middle, clock } = Pair::new().await;
    let sensor = register(&middle, "cse-mn", "Csensor").await;
    shared_container(&infrastructure, "cse-in", "log", r#"["/id-mn/Csensor"]"#).await;
    let mut request = sensor.request(Operation::Retrieve, "/id-in/cse-in/log");
    request.operation_execution_time = Some(AbsRelTimestamp::Relative(Duration::from_secs(60)));
    let cse = Arc::clone(&middle);
    let answer = tokio::spawn(async move { cse.send(request).await });
    let sent = middle.network.sent(1).await;
    let time = Timestamp::parse("20260101T120100").map(AbsRelTimestamp::Absolute);
    assert_eq!(sent[0].1.operation_execution_time, time);
    clock.turn(Duration::from_secs(59));
    middle.until(async || answer.is_finished()).await;
    Answer(answer.await.unwrap()).resource();
}

#[tokio::test]
async fn without_a_route_there_is_none_to_try() {
    let clock = TestClock::new();
    let top = Plan::new("in").over("/id-mn", &["/id-gone"]).start(&clock).await;
    let app = register(&top, "cse-in", "Capp").await;
    app.retrieve("/id-other/x").await.refused(Rsc::NotFound, "no route to '/id-other/x'");
    app.retrieve("//other.example/id-in/x").await.refused(Rsc::NotFound, "no route");
    app.retrieve("//").await.refused(Rsc::NotFound, "names no CSE");
    let middle = Plan::new("mn").under("/id-in").start(&clock).await;
    let send = |cse: &Arc<TestCse>, to: &str, from: &str, sender: &str| {
        let mut request = Request::new(Operation::Retrieve, to, from, "1");
        request.context = from_cse(sender);
        let cse = Arc::clone(cse);
        async move { Answer(cse.send(request).await) }
    };
    // What the registrar asks for is not asked of the registrar, and what a registree claims to have not of it.
    send(&middle, "/id-other/x", "/id-in/Capp", "/id-in").await.refused(Rsc::NotFound, "leads back");
    send(&middle, "/id-in/x", "/id-in/Capp", "/id-in").await.refused(Rsc::NotFound, "leads back");
    send(&top, "/id-gone/x", "/id-mn/Cx", "/id-mn").await.refused(Rsc::NotFound, "leads back");
    assert_eq!((top.network.count(), middle.network.count()), (0, 0));
    // A registrar that is not there yet may come.
    let mut settings = Plan::new("mn").under("/id-in").settings();
    settings.request_timeout = Duration::from_secs(1);
    let alone = TestCse::on(cse_core::memory::MemoryStore::new(), settings, clock).await;
    let sensor = register(&alone, "cse-mn", "Csensor").await;
    sensor.retrieve("/id-in/x").await.refused(Rsc::TargetNotReachable, "not registered now");
}

#[tokio::test]
async fn registrations_are_not_passed_on() {
    let (middle, sensor) = below_a_played_registrar().await;
    for (ty, from) in [(Ty::AE, "C"), (Ty::AE, "Csensor"), (Ty::REMOTE_CSE, "/id-mn2")] {
        let mut request = sensor.request(Operation::Create, "/id-in/cse-in");
        request.from = Some(from.into());
        request.resource_type = Some(ty);
        request.content = Some(json(r#"{"m2m:ae":{"api":"Ntest","rr":true,"srv":["3"]}}"#));
        Answer(middle.send(request).await).refused(Rsc::BadRequest, "not passed on");
    }
    assert_eq!(middle.network.count(), 0);
}

#[tokio::test]
async fn only_those_who_are_registered_have_requests_passed_on() {
    let (middle, _) = below_a_played_registrar().await;
    for (from, context) in [
        ("Cstranger", from_anywhere()),
        ("/id-mn/Cstranger", from_anywhere()),
        ("/id-mn", from_anywhere()),
        ("/id-evil/Cx", from_cse("/id-evil")),
        ("/id-in/Cx", from_cse("/id-evil")),
        ("Sstranger", from_cse("Sstranger")),
    ] {
        let mut request = Request::new(Operation::Retrieve, "/id-in/x", from, "1");
        request.context = context;
        Answer(middle.send(request).await).refused(Rsc::OriginatorNotAuthenticated, from.trim_start_matches("/id-mn/"));
    }
    assert_eq!(middle.network.count(), 0);
    middle.admin().retrieve("/id-in/x").await.ok();
    assert_eq!(middle.network.sent(1).await[0].1.from.as_deref(), Some("/id-mn/CAdmin"));
}

#[tokio::test]
async fn a_circle_of_registrars_is_cut() {
    for knows_sender in [true, false] {
        let clock = TestClock::new();
        let one = Plan::new("a").under("/id-b").over("/id-c", &[]).start(&clock).await;
        let two = Plan::new("b").under("/id-c").over("/id-a", &[]).start(&clock).await;
        let three = Plan::new("c").under("/id-a").over("/id-b", &[]).start(&clock).await;
        let ring = [("/id-a", &one), ("/id-b", &two), ("/id-c", &three)];
        for at in 0..3 {
            let (from, to) = (ring[at], ring[(at + 1) % 3]);
            from.1.network.connect(to.0, to.1, if knows_sender { from_cse(from.0) } else { from_anywhere() });
        }
        let sensor = register(&one, "cse-a", "Csensor").await;
        // It has gone to another CSE than the one from which it comes.
        let mismatch = (Rsc::OriginatorHasNoPrivilege, "'/id-c' may not speak for 'Csensor'");
        let (status, reason) = if knows_sender { mismatch } else { (Rsc::NotFound, "leads back") };
        sensor.retrieve("/id-nowhere/x").await.refused(status, reason);
        // Also one that comes into it from outside.
        let mut request = Request::new(Operation::Retrieve, "/id-nowhere/x", "/id-z/Cx", "1");
        request.context = if knows_sender { from_cse("/id-c") } else { from_anywhere() };
        let reason = if knows_sender { "passed on too often" } else { "leads back" };
        Answer(one.send(request).await).refused(Rsc::NotFound, reason);
        let sent = one.network.count() + two.network.count() + three.network.count();
        assert!(sent <= 20, "{sent} requests went round");
    }
}

#[tokio::test]
async fn a_next_cse_that_does_not_answer_keeps_a_bounded_number_waiting() {
    let (middle, sensor) = below_a_played_registrar().await;
    middle.network.otherwise(Play::Hang);
    let mut waiting = tokio::task::JoinSet::new();
    for _ in 0..512 {
        let (cse, request) = (Arc::clone(&middle), sensor.request(Operation::Retrieve, "/id-in/x"));
        waiting.spawn(async move { cse.send(request).await });
    }
    middle.network.sent(512).await;
    assert_eq!(middle.cse.forwarded_waiting(), 512);
    sensor.retrieve("/id-in/x").await.refused(Rsc::InternalServerError, "too many requests wait");
    waiting.shutdown().await;
    assert_eq!(middle.cse.forwarded_waiting(), 0);
}

#[tokio::test]
async fn an_ae_with_an_s_type_identifier_is_known_at_other_cses_and_its_own_speaks_for_it() {
    let clock = TestClock::new();
    let infrastructure = Plan::new("in").over("/id-mn", &["/id-mn2"]).start(&clock).await;
    let middle = Plan::new("mn").under("/id-in").over("/id-mn2", &[]).start(&clock).await;
    let lower = Plan::new("mn2").under("/id-mn").start(&clock).await;
    wire(("/id-in", &infrastructure), ("/id-mn", &middle));
    wire(("/id-mn", &middle), ("/id-mn2", &lower));
    let sensor = register(&lower, "cse-mn2", "Ssensor").await;
    shared_container(&infrastructure, "cse-in", "log", r#"["/Ssensor"]"#).await;
    middle.network.clear();
    sensor.instance("/id-in/cse-in/log", "21").await.created();
    assert_eq!(middle.network.sent(1).await[0].1.from.as_deref(), Some("/Ssensor"));
    // Where the binding does not know the sender, the identifier says which CSE passes it on.
    middle.network.connect("/id-in", &infrastructure, from_anywhere());
    lower.network.connect("/id-mn", &middle, from_anywhere());
    assert_eq!(sensor.retrieve("/id-in/cse-in/log/la").await.resource().text("con"), Some("21"));
}

#[tokio::test]
async fn nobody_speaks_from_elsewhere_for_an_ae_that_is_registered_here() {
    let Pair { infrastructure, .. } = Pair::new().await;
    register(&infrastructure, "cse-in", "Ssensor").await;
    shared_container(&infrastructure, "cse-in", "log", r#"["Ssensor"]"#).await;
    for to in ["cse-in/log", "/id-mn/cse-mn"] {
        let mut request = Request::new(Operation::Retrieve, to, "/Ssensor", "1");
        request.context = from_cse("/id-mn");
        Answer(infrastructure.send(request).await).refused(Rsc::OriginatorHasNoPrivilege, "/id-mn");
    }
}
