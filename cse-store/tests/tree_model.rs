//! The same requests leave the CSE on the SQLite store and on the in-memory store with the same tree, whatever they
//! are, also across restarts; and both answer alike on the way.

use std::sync::Arc;
use std::time::Duration;

use cse_core::cse::Cse;
use cse_core::id::{CseIdentity, CseType};
use cse_core::memory::MemoryStore;
use cse_core::ports::{BoxFuture, Clock, Destination, Dispatch, Outbound, OutgoingRequest, SendError, Sent, Store};
use cse_core::ports::{Snapshot, StoreError};
use cse_core::primitive::{Operation, Redelivery, Request, Response};
use cse_core::schema::Ty;
use cse_core::settings::Settings;
use cse_core::time::Timestamp;
use cse_core::value::{Map, Value};
use cse_store::sqlite::{SqliteOptions, SqliteStore};
use parking_lot::Mutex;
use proptest::prelude::*;
use proptest::sample::select;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

/// A clock that stands still until it is turned.
struct TurnedClock {
    now: Mutex<Timestamp>,
    turned: Notify,
}

struct SharedClock(Arc<TurnedClock>);

impl TurnedClock {
    fn new() -> Arc<Self> {
        Arc::new(Self { now: Mutex::new(Timestamp::from_micros(1_767_268_800_000_000)), turned: Notify::new() })
    }

    fn turn(&self, by: Duration) {
        let mut now = self.now.lock();
        *now = now.plus(by);
        drop(now);
        self.turned.notify_waiters();
    }
}

impl Clock for SharedClock {
    fn now(&self) -> Timestamp {
        *self.0.now.lock()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        let clock = Arc::clone(&self.0);
        Box::pin(async move {
            let until = clock.now.lock().plus(duration);
            loop {
                let turned = clock.turned.notified();
                tokio::pin!(turned);
                turned.as_mut().enable();
                if *clock.now.lock() >= until {
                    return;
                }
                turned.await;
            }
        })
    }
}

/// A network from which nothing comes back: notifications wait in the outbox.
struct NoNetwork;

impl Outbound for NoNetwork {
    fn reaches(&self, _: &Destination) -> bool {
        true
    }

    fn send(&self, _: OutgoingRequest) -> BoxFuture<'static, Result<Sent, SendError>> {
        Box::pin(async { Err(SendError::Unreachable("there is no network".into())) })
    }
}

fn identity() -> CseIdentity {
    CseIdentity::new("//cse.example", "/id-in", "cse-in", CseType::In).expect("valid")
}

/// A running CSE.
struct Side<S: Store> {
    cse: Cse<S>,
    store: S,
    clock: Arc<TurnedClock>,
    background: JoinHandle<()>,
}

impl<S: Store> Side<S> {
    async fn start(store: S, clock: Arc<TurnedClock>) -> Self {
        let mut settings = Settings::new(identity(), "CAdmin");
        // Small bounds are reached more often.
        settings.cache_bytes_max = 8_000;
        let clock_of_cse = Arc::new(SharedClock(Arc::clone(&clock)));
        let (cse, background) =
            Cse::start(settings, store.clone(), clock_of_cse, Arc::new(NoNetwork)).await.expect("starts");
        Self { cse, store, clock, background: tokio::spawn(background) }
    }

    async fn stop(self) -> (S, Arc<TurnedClock>) {
        self.cse.stop();
        self.background.await.expect("ends well");
        (self.store, self.clock)
    }

    async fn send(&self, request: Request) -> Response {
        tokio::time::timeout(Duration::from_secs(60), self.cse.dispatch(request)).await.expect("an answer in time")
    }

    async fn ask(&self, members: &str) -> Response {
        self.send(request("CAdmin", "q", members)).await
    }

    /// Whether nothing is left that is due.
    async fn is_settled(&self) -> Result<bool, StoreError> {
        let now = *self.clock.now.lock();
        let mut snapshot = self.store.snapshot().await?;
        if !snapshot.expired(now, 1).await?.is_empty() || !snapshot.deadlines(now, 1).await?.is_empty() {
            return Ok(false);
        }
        drop(snapshot);
        // The store knows of a commit before readers do. The next change is answered after that.
        self.ask(r#"{"op":4,"to":"cse-in/nothing"}"#).await;
        Ok(true)
    }
}

/// Both stores under the same requests.
struct Pair {
    sqlite: Side<SqliteStore>,
    memory: Side<MemoryStore>,
    directory: tempfile::TempDir,
}

async fn open(directory: &tempfile::TempDir) -> SqliteStore {
    SqliteStore::open(SqliteOptions::new(directory.path().join("cse.db")), &identity()).await.expect("opens")
}

impl Pair {
    async fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let sqlite = Side::start(open(&directory).await, TurnedClock::new()).await;
        let memory = Side::start(MemoryStore::new(), TurnedClock::new()).await;
        Self { sqlite, memory, directory }
    }

    /// Stops both and starts them again, SQLite from its file.
    async fn restart(self) -> Self {
        let (store, clock) = self.sqlite.stop().await;
        store.close().await.expect("closes");
        drop(store);
        let sqlite = Side::start(open(&self.directory).await, clock).await;
        let (store, clock) = self.memory.stop().await;
        Self { sqlite, memory: Side::start(store, clock).await, directory: self.directory }
    }

    /// Sends the same to both; the answers must be the same.
    async fn send(&self, request: Request) -> Result<(), TestCaseError> {
        let (one, other) = (self.sqlite.send(request.clone()).await, self.memory.send(request.clone()).await);
        prop_assert_eq!(plain(&one), plain(&other), "{:?}", request);
        Ok(())
    }

    /// Sends the same changes to both, many at a time; what becomes of each is the same, because their order is.
    async fn send_together(&self, requests: Vec<Request>) -> Result<(), TestCaseError> {
        let one = all(&self.sqlite.cse, &requests).await;
        let other = all(&self.memory.cse, &requests).await;
        for ((one, other), request) in one.iter().zip(&other).zip(&requests) {
            prop_assert_eq!(plain(one), plain(other), "{:?}", request);
        }
        Ok(())
    }

    /// Lets time pass on both until what is due has been done: the timers rest for a while between two looks.
    async fn settle(&self) -> Result<(), StoreError> {
        for _ in 0..10_000 {
            if self.sqlite.is_settled().await? && self.memory.is_settled().await? {
                return Ok(());
            }
            self.turn(Duration::from_millis(250));
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        panic!("what is due was never done");
    }

    fn turn(&self, by: Duration) {
        self.sqlite.clock.turn(by);
        self.memory.clock.turn(by);
    }

    async fn compare(&self) -> Result<(), TestCaseError> {
        self.settle().await.expect("stores that work");
        for members in [
            r#"{"op":2,"to":"cse-in","rcn":4}"#,
            r#"{"op":2,"to":"cse-in","fc":{"fu":1}}"#,
            r#"{"op":2,"to":"cse-in","fc":{"fu":1,"lbl":["a"]}}"#,
            r#"{"op":2,"to":"cse-in","fc":{"fu":1,"lbl":["a","b"],"ty":[3]}}"#,
            r#"{"op":2,"to":"cse-in/ae","fc":{"fu":1,"lbl":["b"]}}"#,
            r#"{"op":2,"to":"cse-in/ae","fc":{"fu":1,"lvl":1}}"#,
            r#"{"op":2,"to":"cse-in/ae","fc":{"fu":1,"ty":[3],"stb":2}}"#,
            r#"{"op":2,"to":"cse-in/ae/x","fc":{"fu":1,"chty":[4]}}"#,
            r#"{"op":2,"to":"cse-in","fc":{"fu":1,"sza":2,"szb":4}}"#,
            r#"{"op":2,"to":"cse-in","fc":{"fu":1,"palb":["a"],"lim":3,"ofst":2}}"#,
            r#"{"op":2,"to":"cse-in/ae/x/la"}"#,
            r#"{"op":2,"to":"cse-in/ae/x/ol"}"#,
        ] {
            let (one, other) = (self.sqlite.ask(members).await, self.memory.ask(members).await);
            prop_assert_eq!(plain(&one), plain(&other), "{}", members);
        }
        self.check_counters().await
    }

    /// What containers say of their instances is true.
    async fn check_counters(&self) -> Result<(), TestCaseError> {
        let answer = self.sqlite.ask(r#"{"op":2,"to":"cse-in","rcn":4}"#).await;
        prop_assert_eq!(answer.content_complete, Some(true));
        let tree = answer.content.expect("a tree");
        let mut pending: Vec<&Map> = tree.iter().filter_map(|(_, value)| value.as_map()).collect();
        while let Some(resource) = pending.pop() {
            let instances = resource.get("m2m:cin").and_then(Value::as_list).unwrap_or(&[]);
            // Instances that cannot be retrieved are not shown.
            if resource.int("ty") == Some(3) && resource.bool("disr") != Some(true) {
                let sizes = instances.iter().filter_map(|instance| instance.as_map()?.int("cs"));
                prop_assert_eq!(resource.int("cni"), Some(instances.len() as i64), "{:?}", resource);
                prop_assert_eq!(resource.int("cbs"), Some(sizes.sum::<i64>()), "{:?}", resource);
                let max = resource.int("mni").unwrap_or(i64::MAX);
                prop_assert!(instances.len() as i64 <= max, "{:?}", resource);
            }
            let lists = resource.iter().filter(|(name, _)| name.contains(':')).filter_map(|(_, list)| list.as_list());
            pending.extend(lists.flatten().filter_map(Value::as_map));
        }
        Ok(())
    }
}

async fn all<S: Store>(cse: &Cse<S>, requests: &[Request]) -> Vec<Response> {
    let mut answers = Vec::new();
    for request in requests {
        let (cse, request) = (cse.clone(), request.clone());
        answers.push(tokio::spawn(async move { cse.dispatch(request).await }));
    }
    let mut responses = Vec::new();
    for answer in answers {
        let answer = tokio::time::timeout(Duration::from_secs(60), answer).await.expect("an answer in time");
        responses.push(answer.expect("no panic"));
    }
    responses
}

/// A response in a form that can be compared.
fn plain(response: &Response) -> (u16, Option<bool>, Option<u64>, String) {
    let content = response.content.as_ref().map(|map| comparable(map).to_string());
    (response.status.code(), response.content_complete, response.content_offset, content.unwrap_or_default())
}

/// As JSON with sorted members, because the stores may keep attributes in different orders, and without when a
/// container lost expired instances, because timers are not that exact.
fn comparable(map: &Map) -> serde_json::Value {
    fn strip(value: &mut serde_json::Value) {
        match value {
            serde_json::Value::Array(list) => list.iter_mut().for_each(strip),
            serde_json::Value::Object(map) => {
                map.remove("lt");
                map.values_mut().for_each(strip);
            }
            _ => {}
        }
    }
    let mut value = serde_json::to_value(map).expect("serializable");
    strip(&mut value);
    value
}

fn request(from: &str, identifier: &str, members: &str) -> Request {
    let mut map: Map = serde_json::from_str(members).expect("valid JSON");
    map.insert("fr", from);
    map.insert("rqi", identifier);
    map.insert("rvi", "3");
    Request::from_map(map).expect("a valid primitive")
}

/// One thing that happens.
#[derive(Clone, Debug)]
enum Step {
    Request(Ask),
    /// At the same time, so that they may share commits.
    Together(Vec<Ask>),
    /// The last request that was not sent together with others, once more.
    Redelivery,
    /// So many seconds pass.
    Pass(u64),
    Restart,
}

#[derive(Clone, Debug)]
struct Ask {
    from: &'static str,
    members: String,
    redelivery: Redelivery,
}

const PLACES: [&str; 7] =
    ["cse-in/ae", "cse-in/ae/x", "cse-in/ae/y", "cse-in/ae/x/x", "cse-in/ae/x/y", "cse-in/ae/y/x", "Cae"];
const NAMES: [&str; 3] = ["x", "y", "z"];

fn labels() -> impl Strategy<Value = &'static str> {
    select(&["", r#","lbl":["a"]"#, r#","lbl":["b"]"#, r#","lbl":["a","b"]"#][..])
}

fn life() -> impl Strategy<Value = &'static str> {
    // Two of them are within the time that may pass.
    select(&["", "", "", r#","et":"20260101T120007""#, r#","et":"20260101T120030""#][..])
}

fn members() -> impl Strategy<Value = String> {
    let place = || select(&PLACES[..]);
    let limits =
        || select(&["", r#","mni":2"#, r#","mbs":7"#, r#","mia":5"#, r#","mni":3,"mbs":4"#, r#","disr":true"#][..]);
    let name = || select(&NAMES[..]);
    prop_oneof![
        2 => (life(), labels()).prop_map(|(life, labels)| {
            let pc = format!(r#"{{"m2m:ae":{{"rn":"ae","api":"Nx","rr":true,"srv":["3"]{life}{labels}}}}}"#);
            format!(r#"{{"op":1,"to":"cse-in","ty":2,"pc":{pc}}}"#)
        }),
        6 => (place(), name(), limits(), life(), labels()).prop_map(|(to, name, limits, life, labels)| {
            let pc = format!(r#"{{"m2m:cnt":{{"rn":"{name}"{limits}{life}{labels}}}}}"#);
            format!(r#"{{"op":1,"to":"{to}","ty":3,"pc":{pc}}}"#)
        }),
        10 => (place(), "[a-c]{0,6}", life(), labels()).prop_map(|(to, content, life, labels)| {
            format!(r#"{{"op":1,"to":"{to}","ty":4,"pc":{{"m2m:cin":{{"con":"{content}"{life}{labels}}}}}}}"#)
        }),
        1 => (place(), name()).prop_map(|(to, name)| {
            format!(r#"{{"op":1,"to":"{to}","ty":4,"pc":{{"m2m:cin":{{"rn":"i{name}","con":"x","et":"20260101T120030"}}}}}}"#)
        }),
        1 => (place(), name()).prop_map(|(to, name)| {
            let pc = format!(r#"{{"m2m:sub":{{"rn":"s{name}","nu":["Cae"],"enc":{{"net":[1,2,3,4]}},"exc":6}}}}"#);
            format!(r#"{{"op":1,"to":"{to}","ty":23,"pc":{pc}}}"#)
        }),
        1 => (place(), name()).prop_map(|(to, name)| {
            let pc = format!(r#"{{"m2m:sub":{{"rn":"b{name}","nu":["Cae"],"enc":{{"net":[3]}},"bn":{{"num":3,"dur":4000}}}}}}"#);
            format!(r#"{{"op":1,"to":"{to}","ty":23,"pc":{pc}}}"#)
        }),
        4 => (place(), limits(), life(), labels()).prop_map(|(to, limits, life, labels)| {
            let members = format!("{limits}{life}{labels}");
            format!(r#"{{"op":3,"to":"{to}","pc":{{"m2m:cnt":{{{}}}}}}}"#, members.trim_start_matches(','))
        }),
        2 => (place(), labels()).prop_map(|(to, labels)| {
            format!(r#"{{"op":3,"to":"{to}","pc":{{"m2m:cnt":{{"mni":null,"mbs":null{labels}}}}}}}"#)
        }),
        2 => (place(), select(&["", "/la", "/ol", "/sx", "/bx", "/ix"][..]))
            .prop_map(|(to, end)| format!(r#"{{"op":4,"to":"{to}{end}"}}"#)),
        1 => (place(), select(&[4, 5, 6, 8][..])).prop_map(|(to, rcn)| format!(r#"{{"op":4,"to":"{to}","rcn":{rcn}}}"#)),
        2 => (place(), select(&["", "/la", "/ol"][..])).prop_map(|(to, end)| format!(r#"{{"op":2,"to":"{to}{end}"}}"#)),
    ]
}

fn ask() -> impl Strategy<Value = Ask> {
    let from = prop_oneof![4 => Just("Cae"), 1 => Just("CAdmin"), 1 => Just("Cother")];
    let redelivery = select(&[Redelivery::Never, Redelivery::New, Redelivery::Possible][..]);
    (from, members(), redelivery).prop_map(|(from, members, redelivery)| Ask { from, members, redelivery })
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        24 => ask().prop_map(Step::Request),
        6 => prop::collection::vec(ask(), 2..9).prop_map(Step::Together),
        2 => Just(Step::Redelivery),
        3 => (1_u64..6).prop_map(Step::Pass),
        1 => Just(Step::Restart),
    ]
}

/// Registers the AE and two containers, so that most requests find something.
fn prelude() -> Vec<Ask> {
    [
        r#"{"op":1,"to":"cse-in","ty":2,"pc":{"m2m:ae":{"rn":"ae","api":"Nx","rr":true,"srv":["3"]}}}"#,
        r#"{"op":1,"to":"cse-in/ae","ty":3,"pc":{"m2m:cnt":{"rn":"x","mni":3}}}"#,
        r#"{"op":1,"to":"cse-in/ae/x","ty":3,"pc":{"m2m:cnt":{"rn":"y"}}}"#,
    ]
    .map(|members| Ask { from: "Cae", members: members.into(), redelivery: Redelivery::New })
    .into()
}

async fn run(steps: Vec<Step>) -> Result<(), TestCaseError> {
    let mut pair = Pair::new().await;
    let mut number = 0;
    let mut last: Option<Request> = None;
    let mut next = |ask: &Ask| {
        number += 1;
        let mut request = request(ask.from, &number.to_string(), &ask.members);
        request.context.redelivery = ask.redelivery;
        request
    };
    for ask in prelude() {
        pair.send(next(&ask)).await?;
    }
    for step in steps {
        match step {
            Step::Request(ask) => {
                let request = next(&ask);
                last = Some(request.clone());
                pair.send(request).await?;
            }
            Step::Together(asks) => {
                // What a read sees of changes under way, and how long the network is asked, is a matter of luck.
                let is_certain = |request: &Request| {
                    request.operation != Operation::Retrieve && request.resource_type != Some(Ty::SUBSCRIPTION)
                };
                pair.send_together(asks.iter().map(&mut next).filter(is_certain).collect()).await?;
            }
            Step::Redelivery => {
                if let Some(mut request) = last.clone() {
                    request.context.redelivery = Redelivery::Possible;
                    pair.send(request).await?;
                }
            }
            Step::Pass(seconds) => {
                pair.turn(Duration::from_secs(seconds));
                pair.compare().await?;
            }
            Step::Restart => {
                pair = pair.restart().await;
                pair.compare().await?;
            }
        }
    }
    pair.compare().await?;
    pair.restart().await.compare().await
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, max_shrink_iters: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn requests_come_to_the_same_on_both_stores(steps in prop::collection::vec(step(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(run(steps))?;
    }
}
