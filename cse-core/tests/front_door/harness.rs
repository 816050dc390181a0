//! A CSE on the in-memory store, with a clock that tests turn and a network that tests play.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use cse_core::codec::Serialization;
use cse_core::cse::Cse;
use cse_core::error::Rsc;
use cse_core::id::{CseIdentity, CseType};
use cse_core::memory::MemoryStore;
use cse_core::ports::{BoxFuture, Clock, Destination, Dispatch, Outbound, OutgoingRequest, SendError, Sent};
use cse_core::primitive::{Context, Operation, Request, Response};
use cse_core::schema::Ty;
use cse_core::settings::Settings;
use cse_core::time::Timestamp;
use cse_core::value::{Map, Value};
use parking_lot::Mutex;
use tokio::sync::Notify;

/// JSON text to a tree.
pub fn json(text: &str) -> Map {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// A clock that stands still until it is turned.
pub struct TestClock {
    now: Mutex<Timestamp>,
    turned: Notify,
}

impl TestClock {
    pub fn new() -> Arc<Self> {
        let now = Timestamp::parse("20260101T120000").expect("valid");
        Arc::new(Self { now: Mutex::new(now), turned: Notify::new() })
    }

    pub fn turn(&self, by: Duration) {
        let mut now = self.now.lock();
        *now = now.plus(by);
        drop(now);
        self.turned.notify_waiters();
    }
}

/// The clock as the CSE has it.
pub struct SharedClock(pub Arc<TestClock>);

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

/// What the played network answers.
#[derive(Clone, Debug)]
pub enum Play {
    Answer(Rsc),
    /// This whole response.
    AnswerWith(Box<Response>),
    /// The CSE that is connected there carries it out, but its answer is lost.
    LoseAnswer,
    Unanswered,
    Unreachable,
    /// It may have arrived, or not.
    Unconfirmed,
    /// Neither an answer nor an end.
    Hang,
}

/// A network that takes everything down.
#[derive(Default)]
pub struct TestNetwork {
    sent: Mutex<Vec<(Destination, Request)>>,
    /// How each request was to be written, by destination.
    written: Mutex<Vec<(String, Serialization)>>,
    arrived: Notify,
    script: Mutex<VecDeque<Play>>,
    otherwise: Mutex<Option<Play>>,
    /// Beginnings of destinations that cannot be reached, whatever is scripted.
    cut: Mutex<Vec<String>>,
    /// Destinations of requests that met a cut.
    tried: Mutex<Vec<String>>,
    /// CSEs that carry out what is sent to them when nothing is scripted.
    connected: Mutex<Vec<Link>>,
}

/// A CSE that is connected to the network of another.
#[derive(Clone)]
struct Link {
    /// Its CSE-ID, as in destinations.
    cse_id: String,
    cse: Cse<MemoryStore>,
    /// How requests come to it.
    context: Context,
}

impl TestNetwork {
    /// What the next requests meet; afterwards everything succeeds.
    pub fn play(&self, plays: impl IntoIterator<Item = Play>) {
        self.script.lock().extend(plays);
    }

    /// What requests meet when nothing is scripted.
    pub fn otherwise(&self, play: Play) {
        *self.otherwise.lock() = Some(play);
    }

    /// Cuts all destinations off that begin so; requests to them do not count as sent.
    pub fn cut(&self, beginning: &str) {
        self.cut.lock().push(beginning.to_owned());
    }

    /// Has a CSE carry out what is sent to that CSE-ID. The context says what its binding knows of such requests.
    pub fn connect(&self, cse_id: &str, cse: &TestCse, context: Context) {
        let mut connected = self.connected.lock();
        connected.retain(|link| link.cse_id != cse_id);
        connected.push(Link { cse_id: cse_id.to_owned(), cse: cse.cse.clone(), context });
    }

    fn link(&self, destination: &Destination) -> Option<Link> {
        let (Destination::PointOfAccess { entity, .. } | Destination::MqttEntity(entity)) = destination else {
            return None;
        };
        self.connected.lock().iter().find(|link| *entity == link.cse_id).cloned()
    }

    /// Mends all cuts.
    pub fn mend(&self) {
        self.cut.lock().clear();
    }

    /// Destinations of requests that met a cut, so far.
    pub fn tried(&self) -> Vec<String> {
        self.tried.lock().clone()
    }

    fn is_cut(&self, destination: &str) -> bool {
        self.cut.lock().iter().any(|beginning| destination.starts_with(beginning))
    }

    /// Waits until at least `count` requests were sent, and returns all so far.
    pub async fn sent(&self, count: usize) -> Vec<(Destination, Request)> {
        let waiting = async {
            loop {
                let arrived = self.arrived.notified();
                tokio::pin!(arrived);
                arrived.as_mut().enable();
                let sent = self.sent.lock().clone();
                if sent.len() >= count {
                    return sent;
                }
                arrived.await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), waiting)
            .await
            .unwrap_or_else(|_| panic!("only {} of {count} requests were sent: {:?}", self.count(), self.sent.lock()))
    }

    /// How the requests to a destination were to be written, verifications included.
    pub fn written(&self, destination: &str) -> Vec<Serialization> {
        let written = self.written.lock();
        written.iter().filter(|(to, _)| to == destination).map(|(_, serialization)| *serialization).collect()
    }

    /// What was sent so far.
    pub fn all(&self) -> Vec<(Destination, Request)> {
        self.sent.lock().clone()
    }

    /// From now on everything succeeds again.
    pub fn back_to_normal(&self) {
        *self.otherwise.lock() = None;
    }

    pub fn count(&self) -> usize {
        self.sent.lock().len()
    }

    /// Forgets what was sent.
    pub fn clear(&self) {
        self.sent.lock().clear();
    }
}

impl Link {
    async fn carry_out(self, request: Request) -> Response {
        let mut request = Request::from_map(request.to_map()).expect("one that can be read");
        request.context = self.context;
        // In a task of its own, as it would be: a long way through many CSEs is no deep stack.
        let cse = self.cse;
        tokio::spawn(async move { cse.dispatch(request).await }).await.expect("no panic")
    }
}

/// The network as the CSE has it.
pub struct SharedNetwork(pub Arc<TestNetwork>);

impl Outbound for SharedNetwork {
    fn reaches(&self, destination: &Destination) -> bool {
        !destination.as_str().starts_with("ftp:")
    }

    fn send(&self, outgoing: OutgoingRequest) -> BoxFuture<'static, Result<Sent, SendError>> {
        let network = Arc::clone(&self.0);
        Box::pin(async move {
            if network.is_cut(outgoing.destination.as_str()) {
                network.tried.lock().push(outgoing.destination.as_str().to_owned());
                return Err(SendError::Unreachable("cut".into()));
            }
            let play = network.script.lock().pop_front();
            let play = play.or_else(|| network.otherwise.lock().clone());
            let link = network.link(&outgoing.destination).filter(|_| matches!(play, None | Some(Play::LoseAnswer)));
            let rqi = outgoing.request.request_identifier.clone();
            let request = outgoing.request.clone();
            network.written.lock().push((outgoing.destination.as_str().to_owned(), outgoing.serialization));
            network.sent.lock().push((outgoing.destination, outgoing.request));
            network.arrived.notify_waiters();
            if let Some(link) = link {
                let answer = link.carry_out(request).await;
                return Ok(if play.is_some() { Sent::Unanswered } else { Sent::Answered(Box::new(answer)) });
            }
            match play.unwrap_or(Play::Answer(Rsc::Ok)) {
                Play::AnswerWith(response) => Ok(Sent::Answered(response)),
                Play::LoseAnswer => Ok(Sent::Unanswered),
                Play::Answer(status) => Ok(Sent::Answered(Box::new(Response::new(status, rqi)))),
                Play::Unanswered => Ok(Sent::Unanswered),
                Play::Hang => std::future::pending().await,
                Play::Unreachable => Err(SendError::Unreachable("played".into())),
                Play::Unconfirmed => Err(SendError::Unconfirmed("played".into())),
            }
        })
    }
}

/// A CSE under test.
pub struct TestCse {
    pub cse: Cse<MemoryStore>,
    pub clock: Arc<TestClock>,
    pub network: Arc<TestNetwork>,
    pub store: MemoryStore,
    requests: AtomicU64,
}

impl TestCse {
    pub async fn new() -> Arc<Self> {
        Self::with(|_| {}).await
    }

    /// With changed settings.
    pub async fn with(change: impl FnOnce(&mut Settings)) -> Arc<Self> {
        let mut settings = Self::settings();
        change(&mut settings);
        Self::on(MemoryStore::new(), settings, TestClock::new()).await
    }

    /// The settings of [`TestCse::new`].
    pub fn settings() -> Settings {
        let identity = CseIdentity::new("//cse.example", "/id-in", "cse-in", CseType::In).expect("valid");
        let mut settings = Settings::new(identity, "CAdmin");
        settings.points_of_access = vec!["mqtt://127.0.0.1:1883".into()];
        settings
    }

    /// On a store that may have been used before.
    pub async fn on(store: MemoryStore, settings: Settings, clock: Arc<TestClock>) -> Arc<Self> {
        let network = Arc::new(TestNetwork::default());
        let outbound = Arc::new(SharedNetwork(Arc::clone(&network)));
        Self::over(store, settings, clock, network, outbound).await
    }

    /// With another way for its requests than the played network.
    pub async fn over(
        store: MemoryStore,
        settings: Settings,
        clock: Arc<TestClock>,
        network: Arc<TestNetwork>,
        outbound: Arc<dyn Outbound>,
    ) -> Arc<Self> {
        let shared_clock = Arc::new(SharedClock(Arc::clone(&clock)));
        let (cse, background) = Cse::start(settings, store.clone(), shared_clock, outbound).await.expect("starts");
        tokio::spawn(background);
        Arc::new(Self { cse, clock, network, store, requests: AtomicU64::new(0) })
    }

    pub async fn send(&self, request: Request) -> Response {
        let answer = tokio::time::timeout(Duration::from_secs(30), self.cse.dispatch(request));
        answer.await.expect("an answer within the time of the test")
    }

    fn rqi(&self) -> String {
        format!("r{}", self.requests.fetch_add(1, Ordering::Relaxed))
    }

    /// Somebody who sends requests.
    pub fn originator(self: &Arc<Self>, name: &str) -> Actor {
        Actor { cse: Arc::clone(self), name: name.to_owned() }
    }

    pub fn admin(self: &Arc<Self>) -> Actor {
        self.originator("CAdmin")
    }

    /// Registers an AE of that stem and resource name.
    pub async fn register(self: &Arc<Self>, stem: &str, name: &str) -> Actor {
        let actor = self.originator(stem);
        let content = format!(r#"{{"m2m:ae":{{"rn":"{name}","api":"Ntest","rr":true,"srv":["3"]}}}}"#);
        actor.create("-", Ty::AE, &content).await.created();
        actor
    }

    /// Turns the clock, and waits until what is due then has been done.
    pub async fn pass(&self, time: Duration) {
        self.clock.turn(time);
    }

    /// Waits until a condition holds, turning the clock a little now and then so that timers run.
    pub async fn until<F: Future<Output = bool>>(&self, mut holds: impl FnMut() -> F) {
        for _ in 0..2_000 {
            if holds().await {
                return;
            }
            self.clock.turn(Duration::from_millis(10));
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        panic!("the condition never held");
    }
}

/// An originator.
#[derive(Clone)]
pub struct Actor {
    pub cse: Arc<TestCse>,
    pub name: String,
}

impl Actor {
    /// A request to be completed by the test.
    pub fn request(&self, operation: Operation, to: &str) -> Request {
        Request::new(operation, to, self.name.as_str(), self.cse.rqi())
    }

    pub async fn create(&self, to: &str, ty: Ty, content: &str) -> Answer {
        let mut request = self.request(Operation::Create, to);
        request.resource_type = Some(ty);
        request.content = Some(json(content));
        Answer(self.cse.send(request).await)
    }

    pub async fn container(&self, to: &str, name: &str) -> Answer {
        self.create(to, Ty::CONTAINER, &format!(r#"{{"m2m:cnt":{{"rn":"{name}"}}}}"#)).await
    }

    pub async fn instance(&self, to: &str, content: &str) -> Answer {
        self.create(to, Ty::CONTENT_INSTANCE, &format!(r#"{{"m2m:cin":{{"con":"{content}"}}}}"#)).await
    }

    pub async fn retrieve(&self, to: &str) -> Answer {
        Answer(self.cse.send(self.request(Operation::Retrieve, to)).await)
    }

    /// Sends a primitive given as JSON members besides op, fr, rqi and rvi.
    pub async fn primitive(&self, members: &str) -> Answer {
        let mut map = json(members);
        if !map.contains("fr") {
            map.insert("fr", self.name.as_str());
        }
        map.insert("rqi", self.cse.rqi());
        if !map.contains("rvi") {
            map.insert("rvi", "3");
        }
        match Request::from_map(map) {
            Ok(request) => Answer(self.cse.send(request).await),
            Err(failure) => Answer(failure.response().expect("there is a request identifier")),
        }
    }

    pub async fn update(&self, to: &str, content: &str) -> Answer {
        let mut request = self.request(Operation::Update, to);
        request.content = Some(json(content));
        Answer(self.cse.send(request).await)
    }

    pub async fn delete(&self, to: &str) -> Answer {
        Answer(self.cse.send(self.request(Operation::Delete, to)).await)
    }

    /// Addresses found by a discovery with these filter criteria members.
    pub async fn discover(&self, to: &str, criteria: &str) -> Vec<String> {
        let answer = self.primitive(&format!(r#"{{"op":2,"to":"{to}","fc":{{"fu":1{criteria}}}}}"#)).await;
        let content = answer.ok();
        content.texts("m2m:uril").map(str::to_owned).collect()
    }
}

/// The answer to a request.
#[derive(Debug)]
pub struct Answer(pub Response);

impl Answer {
    #[track_caller]
    fn expect(self, status: Rsc) -> Map {
        assert_eq!(self.0.status, status, "{:?}", self.0.content);
        self.0.content.unwrap_or_default()
    }

    /// The attributes of the created resource.
    #[track_caller]
    pub fn created(self) -> Map {
        inner(self.expect(Rsc::Created))
    }

    #[track_caller]
    pub fn ok(self) -> Map {
        self.expect(Rsc::Ok)
    }

    /// The attributes of the retrieved resource.
    #[track_caller]
    pub fn resource(self) -> Map {
        inner(self.expect(Rsc::Ok))
    }

    #[track_caller]
    pub fn updated(self) -> Map {
        inner(self.expect(Rsc::Updated))
    }

    #[track_caller]
    pub fn deleted(self) -> Map {
        self.expect(Rsc::Deleted)
    }

    /// The refusal: that status code and a text that contains the hint.
    #[track_caller]
    pub fn refused(self, status: Rsc, hint: &str) {
        let text = self.0.debug_text().unwrap_or_default().to_owned();
        assert_eq!(self.0.status, status, "{text}");
        assert!(text.contains(hint), "'{text}' does not contain '{hint}'");
    }
}

/// The value of the only member.
pub fn inner(content: Map) -> Map {
    match content.only() {
        Some((_, Value::Map(inner))) => inner.clone(),
        _ => content,
    }
}
