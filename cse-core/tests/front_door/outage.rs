//! A gateway whose line is down for a day: what it is left with, what goes when the line is back, and what does not fit.

use std::sync::Arc;
use std::time::Duration;

use cse_core::error::Rsc;
use cse_core::primitive::{Operation, Redelivery, Request, Response, ResponseType};
use cse_core::schema::Ty;
use cse_core::settings::Settings;
use cse_core::value::Value;

use crate::harness::{Actor, Play, TestClock, TestCse, json};
use crate::tree::{Pair, Plan, from_anywhere, shared_container, wire};

const HOUR: Duration = Duration::from_secs(3_600);
const LINE: &str = "mqtt://host/id-in";
const DATA: &str = "cse-mn/sensor/data";

/// An IN-CSE with a viewer and a log, and a gateway with a sensor whose data the viewer is told of.
struct Plant {
    pair: Pair,
    sensor: Actor,
}

impl Plant {
    async fn new() -> Self {
        Self::with(|_| {}).await
    }

    async fn with(change: impl FnOnce(&mut Settings)) -> Self {
        let clock = TestClock::new();
        let infrastructure = Plan::new("in").over("/id-mn", &[]).start(&clock).await;
        let middle = Plan::new("mn").under("/id-in").start_with(&clock, change).await;
        wire(("/id-in", &infrastructure), ("/id-mn", &middle));
        let pair = Pair { infrastructure, middle, clock };
        let sensor = pair.middle.originator("Csensor");
        let ae = |name: &str, more: &str| {
            format!(r#"{{"m2m:ae":{{"rn":"{name}","api":"Ntest","rr":true,"srv":["3"]{more}}}}}"#)
        };
        sensor.create("cse-mn", Ty::AE, &ae("sensor", "")).await.created();
        sensor.container("cse-mn/sensor", "data").await.created();
        let policy = r#"{"m2m:acp":{"rn":"told","pv":{"acr":[{"acor":["/id-mn"],"acop":16}]},
            "pvs":{"acr":[{"acor":["CAdmin"],"acop":63}]}}}"#;
        pair.infrastructure.admin().create("cse-in", Ty::ACCESS_CONTROL_POLICY, policy).await.created();
        for name in ["viewer", "other"] {
            let viewer = pair.infrastructure.originator(&format!("C{name}"));
            viewer.create("cse-in", Ty::AE, &ae(name, r#","acpi":["cse-in/told"]"#)).await.created();
        }
        shared_container(&pair.infrastructure, "cse-in", "log", r#"["/id-mn/Csensor","/id-mn/Cpump"]"#).await;
        Self { pair, sensor }
    }

    /// Has an AE of the IN-CSE told of new data.
    async fn subscribe(&self, container: &str, viewer: &str) {
        self.sensor.subscribe(container, &format!(r#""nu":["/id-in/{viewer}"],"enc":{{"net":[3]}}"#)).await;
        self.pair.infrastructure.network.clear();
    }

    /// What an AE of the IN-CSE was told, in the order in which it came.
    fn told(&self, viewer: &str) -> Vec<String> {
        told(&self.pair.infrastructure, viewer)
    }

    /// Has the gateway pass something on when it can.
    async fn store(&self, originator: &str, value: &str) -> String {
        let mut request = Request::new(Operation::Create, "/id-in/cse-in/log", originator, "constant");
        request.resource_type = Some(Ty::CONTENT_INSTANCE);
        request.content = Some(json(&format!(r#"{{"m2m:cin":{{"con":"{value}"}}}}"#)));
        request.response_type = ResponseType::NonBlockingSynch;
        request.context = from_anywhere();
        let answer = self.pair.middle.send(request).await;
        assert_eq!(answer.status, Rsc::AcceptedNonBlockingSynch, "{:?}", answer.debug_text());
        answer.content.unwrap().text("m2m:uri").unwrap().to_owned()
    }

    /// The line is back and known to be: nobody has to wait for the end of a pause.
    async fn line_is_back(&self) {
        let middle = &self.pair.middle;
        middle.network.mend();
        middle.admin().update("cse-mn/id-in", r#"{"m2m:csr":{"lbl":["back"]}}"#).await.updated();
    }

    /// What is in the log, oldest first.
    async fn log(&self) -> Vec<String> {
        log(&self.pair.infrastructure).await
    }
}

fn told(cse: &TestCse, viewer: &str) -> Vec<String> {
    let sent = cse.network.all();
    let told = sent.iter().filter(|(destination, _)| destination.as_str() == viewer);
    let content = |request: &Request| {
        let sgn = request.content.as_ref()?.get("m2m:sgn")?.as_map()?;
        let rep = sgn.get("nev")?.as_map()?.get("rep")?.as_map()?;
        Some(rep.get("m2m:cin")?.as_map()?.text("con")?.to_owned())
    };
    told.filter_map(|(_, request)| content(request)).collect()
}

async fn log(cse: &Arc<TestCse>) -> Vec<String> {
    let admin = cse.admin();
    let mut found = Vec::new();
    for address in admin.discover("cse-in/log", r#","ty":[4]"#).await {
        let instance = admin.retrieve(&address).await.resource();
        found.push((instance.text("ri").unwrap().len(), instance.text("ri").unwrap().to_owned(), instance));
    }
    found.sort_by(|a, b| (a.0, &a.1).cmp(&(b.0, &b.1)));
    found.into_iter().map(|(_, _, instance)| instance.text("con").unwrap().to_owned()).collect()
}

fn numbers(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|number| number.to_string()).collect()
}

/// The status and the result's status of a `<request>`.
async fn result(actor: &Actor, uri: &str) -> (Option<i64>, Option<i64>) {
    let request = actor.retrieve(uri).await.resource();
    (request.int("rs"), request.get("ors").and_then(Value::as_map).and_then(|ors| ors.int("rsc")))
}

/// Waits without turning the clock.
async fn eventually<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
    let deadline = std::time::Instant::now() + Duration::from_secs(30);
    while !holds().await {
        assert!(std::time::Instant::now() < deadline, "never: {what}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Lets so much time pass; the gateway tries the line again meanwhile.
async fn pass(cse: &TestCse, time: Duration) {
    let before = cse.network.tried().len();
    cse.clock.turn(time);
    // What failed at this moment begins its pause only now.
    eventually("another try", async || {
        cse.clock.turn(Duration::from_millis(10));
        cse.network.tried().len() > before
    })
    .await;
}

/// Waits, with time passing.
async fn in_some_time(what: &str, clock: &TestClock, holds: impl Fn() -> bool) {
    eventually(what, async || {
        clock.turn(Duration::from_secs(1));
        holds()
    })
    .await;
}

#[tokio::test]
async fn after_a_day_everything_goes_in_order_and_once() {
    let plant = Plant::new().await;
    let Pair { infrastructure, middle, clock } = &plant.pair;
    plant.subscribe(DATA, "Cviewer").await;
    middle.network.cut(LINE);
    let mut uris = Vec::new();
    for hour in 0..24 {
        plant.sensor.instance(DATA, &hour.to_string()).await.created();
        uris.push(plant.store("Csensor", &hour.to_string()).await);
        let content = format!(r#"{{"m2m:cnt":{{"rn":"c{hour}","at":["/id-in"]}}}}"#);
        plant.sensor.create("cse-mn/sensor", Ty::CONTAINER, &content).await.created();
        pass(middle, HOUR).await;
        // Whoever is here goes on as ever.
        let newest = plant.sensor.retrieve(&format!("{DATA}/la")).await.resource();
        assert_eq!(newest.text("con"), Some(hour.to_string().as_str()));
    }
    assert_eq!((plant.told("Cviewer").len(), plant.log().await.len()), (0, 0));
    eventually("a backlog", async || middle.cse.notifications_backlog().1 >= 22 * HOUR).await;
    assert_eq!((middle.cse.notifications_waiting(), middle.cse.announcements_waiting()), (24, 24));
    assert!(middle.cse.notifications_backlog().0 > 24 * 128);
    assert_eq!(middle.cse.non_blocking_waiting(), 24);

    plant.line_is_back().await;
    eventually("results", async || result(&plant.sensor, uris.last().unwrap()).await == (Some(1), Some(2001))).await;
    eventually("notifications", async || plant.told("Cviewer").len() == 24).await;
    eventually("copies", async || middle.cse.announcements_waiting() == 0).await;
    assert_eq!(plant.log().await, numbers(0..24));
    assert_eq!(plant.told("Cviewer"), numbers(0..24));
    assert_eq!(infrastructure.admin().discover("cse-in", r#","ty":[10003]"#).await.len(), 24);
    for uri in &uris {
        assert_eq!(result(&plant.sensor, uri).await, (Some(1), Some(2001)));
    }
    eventually("nothing waits", async || middle.cse.notifications_waiting() + middle.cse.non_blocking_waiting() == 0)
        .await;
    for _ in 0..3 {
        clock.turn(HOUR);
        plant.line_is_back().await;
        plant.sensor.retrieve(DATA).await.ok();
    }
    assert_eq!((plant.told("Cviewer").len(), plant.log().await.len()), (24, 24));
    assert_eq!(middle.cse.metrics().notifications_given_up.get(), 0);
}

#[tokio::test]
async fn a_restart_in_the_middle_loses_and_doubles_nothing() {
    let plant = Plant::new().await;
    let Pair { infrastructure, middle, clock } = &plant.pair;
    plant.subscribe(DATA, "Cviewer").await;
    // The line dies under what is on it: both arrive, and the answers do not.
    middle.network.play([Play::LoseAnswer, Play::LoseAnswer]);
    plant.sensor.instance(DATA, "0").await.created();
    plant.store("Csensor", "0").await;
    eventually("both arrive", async || plant.told("Cviewer").len() + plant.log().await.len() == 2).await;
    middle.network.cut(LINE);
    for value in ["1", "2", "3"] {
        plant.sensor.instance(DATA, value).await.created();
        plant.store("Csensor", value).await;
    }
    pass(middle, 10 * HOUR).await;
    middle.cse.stop();
    let settings = Plan::new("mn").under("/id-in").settings();
    let again = TestCse::on(middle.store.clone(), settings, Arc::clone(clock)).await;
    again.network.cut(LINE);
    let sensor = again.originator("Csensor");
    sensor.instance(DATA, "4").await.created();
    eventually("all wait", async || (again.cse.notifications_waiting(), again.cse.non_blocking_waiting()) == (5, 4))
        .await;
    clock.turn(14 * HOUR);
    wire(("/id-in", infrastructure), ("/id-mn", &again));
    again.network.mend();
    again.admin().update("cse-mn/id-in", r#"{"m2m:csr":{"lbl":["back"]}}"#).await.updated();
    again.until(async || again.cse.notifications_waiting() + again.cse.non_blocking_waiting() == 0).await;
    assert_eq!(plant.told("Cviewer"), numbers(0..5));
    assert_eq!(plant.log().await, numbers(0..4));
}

#[tokio::test]
async fn a_request_whose_answer_was_lost_a_day_ago_is_known_again() {
    let plant = Plant::new().await;
    let Pair { infrastructure, middle, clock } = &plant.pair;
    plant.subscribe(DATA, "Cviewer").await;
    middle.network.play([Play::LoseAnswer, Play::LoseAnswer]);
    plant.sensor.instance(DATA, "once").await.created();
    let uri = plant.store("Csensor", "once").await;
    eventually("both arrive", async || plant.told("Cviewer").len() + plant.log().await.len() == 2).await;
    middle.network.cut(LINE);
    // The IN-CSE has a day full of other things to remember, and is started again in it.
    let busy = async |cse: &Arc<TestCse>| {
        let admin = cse.admin();
        for _ in 0..3 {
            clock.turn(4 * HOUR);
            for at in 0..1_100 {
                let mut request = admin.request(Operation::Update, "cse-in/log");
                request.content = Some(json(&format!(r#"{{"m2m:cnt":{{"lbl":["{at}"]}}}}"#)));
                request.context.redelivery = Redelivery::New;
                assert_eq!(cse.send(request).await.status, Rsc::Updated);
            }
        }
    };
    busy(infrastructure).await;
    let told_before = plant.told("Cviewer");
    infrastructure.cse.stop();
    let settings = Plan::new("in").over("/id-mn", &[]).settings();
    let again = TestCse::on(infrastructure.store.clone(), settings, Arc::clone(clock)).await;
    busy(&again).await;
    wire(("/id-in", &again), ("/id-mn", middle));
    plant.line_is_back().await;
    middle.until(async || result(&plant.sensor, &uri).await.1 != Some(1000)).await;
    assert_eq!(result(&plant.sensor, &uri).await, (Some(1), Some(2001)));
    middle.until(async || middle.cse.notifications_waiting() == 0).await;
    assert_eq!(log(&again).await, ["once"]);
    assert_eq!((told_before, told(&again, "Cviewer")), (vec!["once".to_owned()], Vec::new()));
    assert_eq!(again.cse.metrics().redeliveries.get(), 2);
}

#[tokio::test]
async fn order_holds_on_a_line_that_loses_both_ways() {
    let plant = Plant::new().await;
    let middle = &plant.pair.middle;
    plant.subscribe(DATA, "Cviewer").await;
    middle
        .originator("Cpump")
        .create("cse-mn", Ty::AE, r#"{"m2m:ae":{"rn":"pump","api":"N","rr":true,"srv":["3"]}}"#)
        .await
        .created();
    let mut plays = Vec::new();
    for at in 0..60 {
        plays.push(match at % 4 {
            0 => Play::LoseAnswer,
            1 => Play::Unreachable,
            2 => Play::Unanswered,
            _ => Play::AnswerWith(Box::new(Response::new(Rsc::TargetNotReachable, "x"))),
        });
    }
    middle.network.play(plays);
    for value in numbers(0..10) {
        plant.sensor.instance(DATA, &value).await.created();
        plant.store("Csensor", &value).await;
        plant.store("Cpump", &format!("p{value}")).await;
    }
    let waiting = || middle.cse.notifications_waiting() + middle.cse.non_blocking_waiting();
    in_some_time("all arrives", &plant.pair.clock, || waiting() == 0).await;
    assert_eq!(plant.told("Cviewer"), numbers(0..10));
    let (pump, sensor): (Vec<_>, Vec<_>) = plant.log().await.into_iter().partition(|value| value.starts_with('p'));
    assert_eq!(sensor, numbers(0..10));
    assert_eq!(pump, numbers(0..10).iter().map(|value| format!("p{value}")).collect::<Vec<_>>());
}

#[tokio::test]
async fn what_waits_too_long_is_given_up_and_counted() {
    let plant = Plant::with(|settings| settings.outage_lifetime = 30 * HOUR).await;
    let Pair { middle, clock, .. } = &plant.pair;
    plant.subscribe(DATA, "Cviewer").await;
    middle.network.cut(LINE);
    for value in ["1", "2"] {
        plant.sensor.instance(DATA, value).await.created();
    }
    let old = [plant.store("Csensor", "1").await, plant.store("Csensor", "2").await];
    pass(middle, 29 * HOUR).await;
    plant.sensor.instance(DATA, "3").await.created();
    let young = plant.store("Csensor", "3").await;
    eventually("all wait", async || middle.cse.notifications_waiting() == 3).await;
    clock.turn(HOUR + Duration::from_secs(60));
    middle.until(async || middle.cse.notifications_waiting() == 1).await;
    for uri in &old {
        middle.until(async || result(&plant.sensor, uri).await == (Some(2), Some(5103))).await;
    }
    assert_eq!(result(&plant.sensor, &young).await, (Some(3), Some(1000)));
    let metrics = middle.cse.metrics();
    assert_eq!((metrics.notifications_lost[0].get(), metrics.non_blocking_given_up.get()), (2, 2));
    plant.line_is_back().await;
    eventually("the rest", async || plant.told("Cviewer") == ["3"] && plant.log().await == ["3"]).await;
}

#[tokio::test]
async fn too_many_for_one_target_lose_the_oldest_of_that_target() {
    let plant = Plant::with(|settings| settings.notifications_per_target_max = 5).await;
    let middle = &plant.pair.middle;
    plant.subscribe(DATA, "Cviewer").await;
    plant.sensor.container("cse-mn/sensor", "few").await.created();
    plant.subscribe("cse-mn/sensor/few", "Cother").await;
    middle.network.cut(LINE);
    plant.sensor.instance("cse-mn/sensor/few", "rare").await.created();
    for value in numbers(0..20) {
        plant.sensor.instance(DATA, &value).await.created();
    }
    eventually("the bound holds", async || middle.cse.notifications_waiting() == 6).await;
    assert_eq!(middle.cse.metrics().notifications_lost[1].get(), 15);
    plant.line_is_back().await;
    eventually("the rest", async || plant.told("Cviewer") == numbers(15..20) && plant.told("Cother") == ["rare"]).await;
}

#[tokio::test]
async fn too_many_bytes_in_all_lose_the_oldest_where_most_waits() {
    let plant = Plant::with(|settings| settings.notification_bytes_max = 64 * 1024).await;
    let Pair { middle, clock, .. } = &plant.pair;
    plant.subscribe(DATA, "Cviewer").await;
    plant.sensor.container("cse-mn/sensor", "few").await.created();
    plant.subscribe("cse-mn/sensor/few", "Cother").await;
    middle.network.cut(LINE);
    for value in ["1", "2", "3"] {
        plant.sensor.instance("cse-mn/sensor/few", value).await.created();
    }
    let large = "x".repeat(8 * 1024);
    for value in numbers(0..20) {
        plant.sensor.instance(DATA, &format!("{value} {large}")).await.created();
    }
    let lost = || middle.cse.metrics().notifications_lost[2].get();
    eventually("the bound holds", async || lost() >= 12 && middle.cse.notifications_backlog().0 <= 64 * 1024).await;
    // What is accounted for survives a restart, as what waits does.
    let (waiting, lost) = (middle.cse.notifications_waiting(), usize::try_from(lost()).unwrap());
    assert_eq!(waiting + lost, 23);
    let bytes = middle.cse.notifications_backlog().0;
    plant.sensor.container("cse-mn/sensor", "later").await.created();
    middle.cse.stop();
    let settings = Plan::new("mn").under("/id-in").settings();
    let again = TestCse::on(middle.store.clone(), settings, Arc::clone(clock)).await;
    again.network.cut(LINE);
    eventually("the same waits", async || {
        (again.cse.notifications_waiting(), again.cse.notifications_backlog().0) == (waiting, bytes)
    })
    .await;
    wire(("/id-in", &plant.pair.infrastructure), ("/id-mn", &again));
    again.network.mend();
    again.until(async || again.cse.notifications_waiting() == 0).await;
    assert_eq!(plant.told("Cother"), ["1", "2", "3"]);
    let rest: Vec<String> =
        plant.told("Cviewer").iter().map(|told| told.split(' ').next().unwrap().to_owned()).collect();
    assert_eq!(rest, numbers(lost..20));
}

#[tokio::test]
async fn requests_that_do_not_fit_are_refused_and_the_rest_goes() {
    let plant = Plant::with(|settings| settings.non_blocking_per_originator_max = 3).await;
    let middle = &plant.pair.middle;
    middle.network.cut(LINE);
    for value in ["0", "1", "2"] {
        plant.store("Csensor", value).await;
    }
    let refused = plant
        .sensor
        .primitive(r#"{"op":1,"to":"/id-in/cse-in/log","ty":4,"rt":{"rtv":1},"pc":{"m2m:cin":{"con":"3"}}}"#);
    refused.await.refused(Rsc::NotAcceptable, "delete some");
    assert_eq!(middle.cse.metrics().non_blocking_refused.get(), 1);
    plant.line_is_back().await;
    eventually("the rest", async || plant.log().await == numbers(0..3)).await;
}

#[tokio::test]
async fn a_silent_entity_holds_up_nobody_else() {
    let plant = Plant::new().await;
    let Pair { infrastructure, middle, .. } = &plant.pair;
    // The viewer cannot be reached, the IN-CSE says so; what is asked of the IN-CSE itself goes by.
    infrastructure.network.cut("Cviewer");
    let notify = r#"{"op":5,"to":"/id-in/Cviewer","rt":{"rtv":1},"pc":{"m2m:sgn":{"sur":"/id-mn/sub1"}}}"#;
    let policy = r#"{"m2m:acp":{"pv":{"acr":[{"acor":["/id-mn","/id-mn/Csensor"],"acop":16}]}}}"#;
    infrastructure.admin().update("cse-in/told", policy).await.updated();
    let mut accepted = middle.originator("Csensor").primitive(notify).await.0;
    assert_eq!(accepted.status, Rsc::AcceptedNonBlockingSynch, "{:?}", accepted.debug_text());
    let uri = accepted.content.take().unwrap().text("m2m:uri").unwrap().to_owned();
    plant.store("Csensor", "1").await;
    middle.until(async || plant.log().await == ["1"]).await;
    assert_eq!(result(&plant.sensor, &uri).await.0, Some(3));
    infrastructure.network.mend();
    middle.until(async || result(&plant.sensor, &uri).await.0 == Some(1)).await;
}

#[tokio::test]
async fn a_line_that_is_down_further_up_loses_nothing() {
    let plant = Plant::new().await;
    let middle = &plant.pair.middle;
    plant.subscribe(DATA, "Cviewer").await;
    let down = Response::new(Rsc::TargetNotReachable, "x");
    middle.network.otherwise(Play::AnswerWith(Box::new(down)));
    plant.sensor.instance(DATA, "1").await.created();
    plant.store("Csensor", "1").await;
    middle.until(async || middle.network.count() > 6).await;
    assert_eq!((middle.cse.notifications_waiting(), middle.cse.non_blocking_waiting()), (1, 1));
    middle.network.back_to_normal();
    middle.until(async || plant.told("Cviewer") == ["1"] && plant.log().await == ["1"]).await;
}
