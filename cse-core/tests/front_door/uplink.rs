//! This CSE as the registree of another one: it registers, stays registered, and never gives up.

use std::sync::Arc;
use std::time::Duration;

use cse_core::error::Rsc;
use cse_core::id::{CseIdentity, CseType};
use cse_core::memory::MemoryStore;
use cse_core::ports::{BoxFuture, Clock, Destination, Outbound, OutgoingRequest, SendError, Sent};
use cse_core::primitive::{Operation, Request, Response};
use cse_core::schema::Ty;
use cse_core::settings::{Registrar, Settings};
use cse_core::time::Timestamp;
use cse_core::uplink::UplinkState;
use cse_core::value::{Map, Value};
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::harness::{SharedClock, TestClock, TestCse, TestNetwork, inner, json};

/// A registrar with room for one registree.
pub(crate) struct PlayedRegistrar {
    clock: Arc<TestClock>,
    pub(crate) there: Mutex<There>,
}

#[derive(Default)]
pub(crate) struct There {
    /// What is registered.
    pub(crate) csr: Option<Map>,
    /// Requests, with the time and the URL of each.
    pub(crate) seen: Vec<(Timestamp, String, Request)>,
    /// Beginnings of URLs that do not lead there.
    pub(crate) cut: Vec<&'static str>,
    /// What operations are answered, whatever they ask for.
    pub(crate) refuses: Vec<(Operation, Rsc)>,
}

impl PlayedRegistrar {
    fn answer(&self, request: &Request) -> Response {
        let mut there = self.there.lock();
        let refused = there.refuses.iter().find(|(operation, _)| *operation == request.operation);
        if let Some((_, status)) = refused {
            return Response::new(*status, request.request_identifier.clone());
        }
        let is_base = matches!(request.to.as_str(), "/id-in/cse-in" | "/id-in" | "//other.example/id-up");
        let sent = request.content.clone().map(inner);
        let (status, content) = match (request.operation, &mut there.csr) {
            (Operation::Retrieve, _) if is_base => {
                let base =
                    r#"{"m2m:cb":{"rn":"cse-in","csi":"/id-in","cst":1,"srv":["2a","3","4"],"poa":["http://in"]}}"#;
                (Rsc::Ok, Some(json(base)))
            }
            (Operation::Create, Some(_)) => (Rsc::OriginatorHasAlreadyRegistered, None),
            (Operation::Create, csr) => {
                let mut created = sent.expect("content");
                created.insert("ri", "csr-7");
                *csr = Some(created.clone());
                (Rsc::Created, Some(Map::single("m2m:csr", created)))
            }
            (_, None) => (Rsc::NotFound, None),
            (Operation::Retrieve, Some(csr)) => (Rsc::Ok, Some(Map::single("m2m:csr", csr.clone()))),
            (Operation::Update, Some(csr)) => {
                for (name, value) in sent.expect("content").iter() {
                    match value {
                        Value::Null => drop(csr.remove(name)),
                        value => drop(csr.insert(name.clone(), value.clone())),
                    }
                }
                (Rsc::Updated, Some(Map::single("m2m:csr", csr.clone())))
            }
            (Operation::Delete, csr) => {
                *csr = None;
                (Rsc::Deleted, None)
            }
            (Operation::Notify, _) => (Rsc::OperationNotAllowed, None),
        };
        let mut response = Response::new(status, request.request_identifier.clone());
        response.content = content;
        response
    }
}

/// The way there.
struct Way(Arc<PlayedRegistrar>);

impl Outbound for Way {
    fn reaches(&self, _: &Destination) -> bool {
        true
    }

    fn send(&self, outgoing: OutgoingRequest) -> BoxFuture<'static, Result<Sent, SendError>> {
        let registrar = Arc::clone(&self.0);
        Box::pin(async move {
            let url = outgoing.destination.as_str().to_owned();
            let now = SharedClock(Arc::clone(&registrar.clock)).now();
            let is_cut = {
                let mut there = registrar.there.lock();
                there.seen.push((now, url.clone(), outgoing.request.clone()));
                there.cut.iter().any(|beginning| url.starts_with(beginning))
            };
            if is_cut {
                return Err(SendError::Unreachable("cut".into()));
            }
            Ok(Sent::Answered(Box::new(registrar.answer(&outgoing.request))))
        })
    }
}

/// A gateway with its registrar.
pub(crate) struct Gateway {
    pub(crate) mn: Arc<TestCse>,
    pub(crate) registrar: Arc<PlayedRegistrar>,
    stop: watch::Sender<bool>,
    ended: tokio::task::JoinHandle<()>,
}

impl Gateway {
    fn settings() -> Settings {
        let identity = CseIdentity::new("//cse.example", "/id-mn", "cse-mn", CseType::Mn).expect("valid");
        let mut settings = Settings::new(identity, "CAdmin");
        settings.registrar = Some(Registrar {
            cse_name: Some("cse-in".into()),
            own_points_of_access: vec!["mqtt://mn".into(), "http://mn".into()],
            ..Registrar::new("/id-in", vec!["mqtt://in".into(), "http://in".into()])
        });
        settings
    }

    /// With other settings, and a registrar in some state.
    pub(crate) async fn with(
        change: impl FnOnce(&mut Settings, &mut Registrar),
        prepare: impl FnOnce(&mut There),
    ) -> Self {
        let mut settings = Self::settings();
        let mut registrar = settings.registrar.take().expect("one");
        change(&mut settings, &mut registrar);
        settings.registrar = Some(registrar);
        let clock = TestClock::new();
        let mut there = There::default();
        prepare(&mut there);
        let registrar = Arc::new(PlayedRegistrar { clock: Arc::clone(&clock), there: Mutex::new(there) });
        let way = Arc::new(Way(Arc::clone(&registrar)));
        let mn = TestCse::over(MemoryStore::new(), settings, clock, Arc::new(TestNetwork::default()), way).await;
        let (stop, mut stopped) = watch::channel(false);
        let cse = mn.cse.clone();
        let ended = tokio::spawn(async move {
            let stopped = async move { drop(stopped.wait_for(|stop| *stop).await) };
            cse.run_uplink(stopped).await;
        });
        Self { mn, registrar, stop, ended }
    }

    pub(crate) async fn new() -> Self {
        Self::with(|_, _| {}, |_| {}).await
    }

    pub(crate) fn is_registered(&self) -> bool {
        matches!(*self.mn.cse.uplink().borrow(), UplinkState::Registered { .. })
    }

    /// Waits until something holds, without the clock going on.
    pub(crate) async fn soon(&self, what: &str, mut holds: impl FnMut(&Self) -> bool) {
        for _ in 0..20_000 {
            if holds(self) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        panic!("did not happen: {what}; {:?}", self.operations());
    }

    /// Waits until something holds, with the clock going on by that much at a time.
    pub(crate) async fn later(&self, step: Duration, mut holds: impl FnMut(&Self) -> bool) {
        for _ in 0..20_000 {
            if holds(self) {
                return;
            }
            self.mn.clock.turn(step);
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        panic!("did not happen; {:?}", self.operations());
    }

    pub(crate) async fn registered(&self) {
        self.soon("registration", Self::is_registered).await;
    }

    pub(crate) fn operations(&self) -> Vec<(Operation, String)> {
        let there = self.registrar.there.lock();
        there.seen.iter().map(|(_, _, request)| (request.operation, request.to.to_string())).collect()
    }

    pub(crate) fn count(&self, operation: Operation) -> usize {
        self.operations().iter().filter(|(seen, _)| *seen == operation).count()
    }

    pub(crate) fn forget(&self) {
        self.registrar.there.lock().seen.clear();
    }

    /// The attribute of our resource at the registrar.
    pub(crate) fn told(&self, name: &str) -> Option<Value> {
        self.registrar.there.lock().csr.as_ref()?.get(name).cloned()
    }
}

pub(crate) const SECOND: Duration = Duration::from_secs(1);

#[tokio::test]
async fn a_gateway_registers_and_knows_its_registrar() {
    let gateway = Gateway::new().await;
    gateway.registered().await;
    assert_eq!(
        gateway.operations(),
        [(Operation::Create, "/id-in/cse-in".to_owned()), (Operation::Retrieve, "/id-in/cse-in".to_owned())]
    );
    let (_, url, request) = gateway.registrar.there.lock().seen[0].clone();
    assert_eq!((url.as_str(), request.from.as_deref()), ("mqtt://in", Some("/id-mn")));
    assert_eq!(request.resource_type, Some(Ty::REMOTE_CSE));
    let sent = inner(request.content.expect("content"));
    assert_eq!(sent.text("rn"), Some("id-mn"));
    assert_eq!(sent.text("csi"), Some("/id-mn"));
    assert_eq!(sent.text("cb"), Some("/id-mn/cse-mn"));
    assert_eq!(sent.int("cst"), Some(2));
    assert_eq!(sent.bool("rr"), Some(true));
    assert_eq!(sent.texts("poa").collect::<Vec<_>>(), ["mqtt://mn", "http://mn"]);
    assert_eq!(sent.texts("csz").collect::<Vec<_>>(), ["json", "xml", "cbor"]);
    assert_eq!(sent.text("et"), Some("20260101T130000,000000"));
    assert!(!sent.contains("dcse") && !sent.contains("spi"), "{sent:?}");

    let here = gateway.mn.admin().retrieve("cse-mn/id-in").await.resource();
    assert_eq!(here.text("csi"), Some("/id-in"));
    assert_eq!(here.text("cb"), Some("/id-in/cse-in"));
    assert_eq!(here.int("cst"), Some(1));
    assert_eq!(here.texts("poa").collect::<Vec<_>>(), ["mqtt://in", "http://in"], "where we reach it");
    assert_eq!(here.texts("srv").collect::<Vec<_>>(), ["2a", "3", "4"]);
}

#[tokio::test]
async fn without_points_of_access_a_gateway_says_that_it_takes_no_requests() {
    let gateway = Gateway::with(|_, registrar| registrar.own_points_of_access.clear(), |_| {}).await;
    gateway.registered().await;
    assert_eq!((gateway.told("rr"), gateway.told("poa")), (Some(Value::Bool(false)), None));
}

#[tokio::test]
async fn a_registration_of_an_earlier_life_is_brought_up_to_date() {
    let earlier = || json(r#"{"rn":"id-mn","csi":"/id-mn","poa":["http://old"],"dcse":["/id-gone"]}"#);
    let gateway = Gateway::with(|_, _| {}, |there| there.csr = Some(earlier())).await;
    gateway.registered().await;
    let expected = [
        (Operation::Create, "/id-in/cse-in"),
        (Operation::Update, "/id-in/cse-in/id-mn"),
        (Operation::Retrieve, "/id-in/cse-in"),
    ];
    assert_eq!(gateway.operations(), expected.map(|(operation, to)| (operation, to.to_owned())));
    assert_eq!(gateway.told("poa"), Some(Value::text_list(["mqtt://mn", "http://mn"])));
    assert_eq!(gateway.told("dcse"), None, "there is nobody below us now");
}

#[tokio::test]
async fn a_registration_that_will_not_be_updated_is_replaced() {
    let gateway = Gateway::with(
        |_, _| {},
        |there| {
            there.csr = Some(json(r#"{"rn":"id-mn","csi":"/id-mn"}"#));
            there.refuses.push((Operation::Update, Rsc::BadRequest));
        },
    )
    .await;
    gateway.registered().await;
    let operations: Vec<Operation> = gateway.operations().into_iter().map(|(operation, _)| operation).collect();
    let expected = ["CREATE", "UPDATE", "RETRIEVE", "DELETE", "CREATE", "RETRIEVE"];
    assert_eq!(operations.iter().map(|operation| operation.name()).collect::<Vec<_>>(), expected);
    assert_eq!(gateway.told("csi"), Some("/id-mn".into()));
}

#[tokio::test]
async fn what_only_has_our_name_is_left_alone() {
    let other = || json(r#"{"rn":"id-mn","aei":"Cother"}"#);
    let gateway = Gateway::with(
        |_, _| {},
        |there| {
            there.csr = Some(other());
            there.refuses = vec![(Operation::Create, Rsc::Conflict), (Operation::Update, Rsc::BadRequest)];
        },
    )
    .await;
    gateway.later(SECOND, |gateway| gateway.count(Operation::Create) >= 4).await;
    assert_eq!(gateway.count(Operation::Delete), 0);
    assert!(!gateway.is_registered());
}

#[tokio::test]
async fn a_registrar_that_is_busy_loses_nothing() {
    for status in [Rsc::InternalServerError, Rsc::OriginatorHasNoPrivilege, Rsc::TargetNotReachable] {
        let gateway = Gateway::with(
            |_, _| {},
            |there| {
                there.csr = Some(json(r#"{"rn":"id-mn"}"#));
                there.refuses.push((Operation::Update, status));
            },
        )
        .await;
        gateway.later(SECOND, |gateway| gateway.count(Operation::Update) >= 3).await;
        assert_eq!(gateway.count(Operation::Delete), 0, "what is below it would go, too");
        gateway.registrar.there.lock().refuses.clear();
        gateway.later(SECOND, Gateway::is_registered).await;
        assert_eq!(gateway.count(Operation::Delete), 0);
    }
}

#[tokio::test]
async fn a_registrar_that_does_not_show_the_registration_is_told_again() {
    let hidden = (Operation::Retrieve, Rsc::OriginatorHasNoPrivilege);
    let gateway = Gateway::with(|_, _| {}, |there| there.refuses.push(hidden)).await;
    gateway.registered().await;
    gateway.forget();
    gateway.mn.cse.check_uplink();
    gateway.soon("an update", |gateway| gateway.count(Operation::Update) == 1).await;
    assert_eq!((gateway.count(Operation::Create), gateway.count(Operation::Delete)), (0, 0));
}

#[tokio::test]
async fn it_tries_for_ever_with_growing_pauses() {
    let gateway = Gateway::with(|_, _| {}, |there| there.cut = vec!["mqtt:", "http:"]).await;
    gateway.later(SECOND / 4, |gateway| gateway.count(Operation::Create) >= 20).await;
    let times: Vec<Timestamp> = {
        let there = gateway.registrar.there.lock();
        let by_first_way = there.seen.iter().filter(|(_, url, _)| url == "mqtt://in");
        by_first_way.map(|(time, ..)| *time).collect()
    };
    for (index, pair) in times.windows(2).enumerate() {
        let pause = pair[1].since(pair[0]);
        let full = (SECOND * (1 << index)).min(SECOND * 60);
        assert!(pause > full / 2, "pause {index}: {pause:?}");
    }
    assert!(
        matches!(&*gateway.mn.cse.uplink().borrow(), UplinkState::Registering { problem: Some(problem) } if problem.contains("cut"))
    );
    let metrics = gateway.mn.cse.metrics();
    assert!(metrics.uplink_failures.get() >= 9 && metrics.uplink_failures.get() <= metrics.uplink_attempts.get());

    gateway.registrar.there.lock().cut.clear();
    gateway.later(SECOND, Gateway::is_registered).await;
    assert_eq!(gateway.told("csi"), Some("/id-mn".into()));
}

#[tokio::test]
async fn a_connection_that_is_back_cuts_the_pause_short() {
    let gateway = Gateway::with(|_, _| {}, |there| there.cut = vec!["mqtt:", "http:"]).await;
    gateway.soon("an attempt", |gateway| gateway.mn.cse.metrics().uplink_failures.get() == 1).await;
    gateway.registrar.there.lock().cut.clear();
    gateway.mn.cse.check_uplink();
    gateway.registered().await;
}

#[tokio::test]
async fn the_next_point_of_access_is_used_when_one_leads_nowhere() {
    let gateway = Gateway::with(|_, _| {}, |there| there.cut = vec!["mqtt:"]).await;
    gateway.registered().await;
    let urls: Vec<String> = gateway.registrar.there.lock().seen.iter().map(|(_, url, _)| url.clone()).collect();
    assert_eq!(urls, ["mqtt://in", "http://in", "mqtt://in", "http://in"], "the preferred one is tried each time");
}

#[tokio::test]
async fn a_registration_is_refreshed_when_half_of_its_time_is_over() {
    let gateway = Gateway::with(|_, registrar| registrar.check_interval = Duration::ZERO, |_| {}).await;
    gateway.registered().await;
    gateway.forget();
    gateway.later(SECOND * 10, |gateway| gateway.count(Operation::Update) == 1).await;
    let (at, _, request) = gateway.registrar.there.lock().seen[0].clone();
    let begun = Timestamp::parse("20260101T120000").expect("valid");
    let after = at.since(begun);
    assert!(after >= SECOND * 1_800 && after < SECOND * 3_600, "{after:?}");
    assert_eq!(request.to, "/id-in/csr-7", "by the identifier that it got");
    let until = gateway.told("et").as_ref().and_then(Value::as_text).and_then(Timestamp::parse).expect("a time");
    assert_eq!(until.since(at), SECOND * 3_600);
}

#[tokio::test]
async fn a_registration_that_is_gone_is_made_again() {
    for check in [Duration::ZERO, SECOND * 60] {
        let gateway = Gateway::with(|_, registrar| registrar.check_interval = check, |_| {}).await;
        gateway.registered().await;
        gateway.registrar.there.lock().csr = None;
        gateway.forget();
        gateway.later(SECOND * 10, |gateway| gateway.told("csi").is_some()).await;
        let at = gateway.registrar.there.lock().seen[0].0;
        let after = at.since(Timestamp::parse("20260101T120000").expect("valid"));
        let expected = if check.is_zero() { SECOND * 1_800 } else { check };
        assert!(after >= expected && after < SECOND * 3_600, "{after:?}");
        gateway.registered().await;
    }
}

#[tokio::test]
async fn a_check_that_finds_the_registration_changes_nothing() {
    let gateway = Gateway::new().await;
    gateway.registered().await;
    gateway.forget();
    gateway.mn.cse.check_uplink();
    gateway.soon("a check", |gateway| gateway.count(Operation::Retrieve) == 1).await;
    assert_eq!(gateway.operations(), [(Operation::Retrieve, "/id-in/csr-7".to_owned())]);
    assert!(gateway.is_registered());
}

#[tokio::test]
async fn a_refusal_is_told_and_tried_again() {
    let refused = (Operation::Create, Rsc::SecurityAssociationRequired);
    let gateway = Gateway::with(|_, _| {}, |there| there.refuses.push(refused)).await;
    gateway.soon("a refusal", |gateway| gateway.mn.cse.metrics().uplink_failures.get() == 1).await;
    assert!(
        matches!(&*gateway.mn.cse.uplink().borrow(), UplinkState::Registering { problem: Some(problem) } if problem.contains("4107"))
    );
    gateway.registrar.there.lock().refuses.clear();
    gateway.later(SECOND / 4, Gateway::is_registered).await;
}

#[tokio::test]
async fn a_registrar_that_hides_its_base_is_known_by_the_configuration() {
    let hidden = (Operation::Retrieve, Rsc::OriginatorHasNoPrivilege);
    let gateway = Gateway::with(|_, _| {}, |there| there.refuses.push(hidden)).await;
    gateway.registered().await;
    let here = gateway.mn.admin().retrieve("cse-mn/id-in").await.resource();
    assert_eq!((here.text("csi"), here.text("cb")), (Some("/id-in"), Some("/id-in/cse-in")));
    assert_eq!(here.texts("poa").next(), Some("mqtt://in"));
}

#[tokio::test]
async fn the_registrar_in_the_tree_is_brought_back() {
    let gateway = Gateway::with(|_, registrar| registrar.check_interval = Duration::ZERO, |_| {}).await;
    gateway.registered().await;
    gateway.mn.admin().delete("cse-mn/id-in").await.deleted();
    gateway.forget();
    gateway.later(SECOND * 10, |gateway| gateway.count(Operation::Retrieve) == 1).await;
    gateway.mn.until(async || gateway.mn.admin().retrieve("cse-mn/id-in").await.0.status == Rsc::Ok).await;
}

#[tokio::test]
async fn the_registrar_hears_who_is_below_us() {
    let gateway = Gateway::new().await;
    gateway.registered().await;
    let register = |cse_id: &str, below: &str| {
        let content = format!(
            r#"{{"m2m:csr":{{"cb":"{cse_id}/base","csi":"{cse_id}","rr":true,"srv":["3"],"poa":["http://{cse_id}"]{below}}}}}"#
        );
        let registree = gateway.mn.originator(cse_id);
        async move { registree.create("cse-mn", Ty::REMOTE_CSE, &content).await.created() }
    };
    register("/id-b", r#","dcse":["/id-c"]"#).await;
    let below = |cses: &[&str]| Some(Value::text_list(cses.iter().copied()));
    gateway.soon("dcse", |gateway| gateway.told("dcse") == below(&["/id-b", "/id-c"])).await;
    register("/id-a", "").await;
    gateway.soon("dcse", |gateway| gateway.told("dcse") == below(&["/id-a", "/id-b", "/id-c"])).await;
    gateway.mn.originator("/id-b").delete("cse-mn/id-b").await.deleted();
    gateway.soon("dcse", |gateway| gateway.told("dcse") == below(&["/id-a"])).await;
    gateway.mn.originator("/id-a").delete("cse-mn/id-a").await.deleted();
    gateway.soon("no dcse", |gateway| gateway.told("dcse").is_none()).await;
    assert_eq!(gateway.count(Operation::Create), 1);
}

#[tokio::test]
async fn a_stop_deregisters_only_if_that_is_wanted() {
    for wanted in [false, true] {
        let gateway = Gateway::with(|_, registrar| registrar.deregister_on_shutdown = wanted, |_| {}).await;
        gateway.registered().await;
        gateway.stop.send_replace(true);
        gateway.soon("the end", |gateway| gateway.ended.is_finished()).await;
        assert_eq!(gateway.told("csi").is_none(), wanted);
        let here = gateway.mn.admin().retrieve("cse-mn/id-in").await.0.status;
        assert_eq!(here, if wanted { Rsc::NotFound } else { Rsc::Ok });
        assert!(!gateway.is_registered());
    }
}

#[tokio::test]
async fn a_stop_does_not_wait_for_a_registrar_that_is_away() {
    let gateway = Gateway::with(|_, registrar| registrar.deregister_on_shutdown = true, |_| {}).await;
    gateway.registered().await;
    gateway.registrar.there.lock().cut = vec!["mqtt:", "http:"];
    gateway.stop.send_replace(true);
    gateway.soon("the end", |gateway| gateway.ended.is_finished()).await;
}

#[tokio::test]
async fn another_service_provider_is_spoken_to_with_absolute_identifiers() {
    let gateway = Gateway::with(
        |settings, registrar| {
            settings.identity = CseIdentity::new("//cse.example", "/id-in", "cse-in", CseType::In).expect("valid");
            registrar.cse_id = "//other.example/id-up".into();
            registrar.cse_name = None;
        },
        |_| {},
    )
    .await;
    gateway.registered().await;
    let request = gateway.registrar.there.lock().seen[0].2.clone();
    assert_eq!(request.to, "//other.example/id-up");
    assert_eq!(request.from.as_deref(), Some("//cse.example/id-in"));
    let sent = inner(request.content.expect("content"));
    assert_eq!(sent.text("csi"), Some("//cse.example/id-in"));
    assert_eq!(sent.text("cb"), Some("//cse.example/id-in/cse-in"));
    let here = gateway.mn.admin().retrieve("cse-in/id-up").await.resource();
    assert_eq!(here.text("csi"), Some("//other.example/id-up"));
}
