//! The link between the two CSEs, in the manner of HTTP or of MQTT, and what goes wrong there.
//!
//! - HTTP: each exchange for itself, and none is in order. Whoever gets no answer only knows that; a request does not
//!   outlive its connection.
//! - MQTT: a broker beside the IN keeps what it has taken over, in order, for a receiver that is away, and repeats what was
//!   not acknowledged. What is lost is lost before the broker has it, or is an answer. What one originator asks for takes
//!   effect in order, reads included, as the binding has it.

use std::collections::{BTreeMap, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use cse_core::ports::{BoxFuture, Destination, Outbound, OutgoingRequest, Patience, SendError, Sent};
use cse_core::primitive::{Binding, Context, Operation, Redelivery, Request, Response};
use cse_core::value::Text;
use parking_lot::Mutex;
use tokio::sync::{RwLock, oneshot};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::random::Random;
use crate::world::{End, World};

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Kind {
    Http,
    Mqtt,
}

/// What goes wrong in one story, in percent of messages.
#[derive(Clone, Debug)]
pub struct Weather {
    kind: Kind,
    requests_lost: u64,
    answers_lost: u64,
    /// Requests of which the sender is told that they did not arrive, and they do.
    confirmations_lost: u64,
    repeated: u64,
    /// Messages that take seconds.
    slow: u64,
    /// Whether the broker drops what has expired (MQTT 5).
    expires: bool,
}

impl Weather {
    pub fn of(random: &mut Random) -> Self {
        let mut share = |most: u64| if random.chance(50) { random.below(most + 1) } else { 0 };
        let (requests_lost, answers_lost, confirmations_lost) = (share(25), share(25), share(15));
        let (repeated, slow) = (share(25), share(15));
        let kind = if random.chance(50) { Kind::Http } else { Kind::Mqtt };
        let expires = random.chance(50);
        Self { kind, requests_lost, answers_lost, confirmations_lost, repeated, slow, expires }
    }

    /// Whether what is sent one after another arrives so.
    pub fn keeps_order(&self) -> bool {
        self.kind == Kind::Mqtt && [self.requests_lost, self.answers_lost, self.confirmations_lost, self.slow] == [0; 4]
    }
}

/// What becomes of one request.
struct Fate {
    is_lost: bool,
    is_unconfirmed: bool,
    delay: Duration,
    repeated_after: Option<Duration>,
    /// When its sender hears of a loss.
    noticed_after: Duration,
}

/// A request at the broker.
#[derive(Clone)]
struct Message {
    request: Request,
    ready: Instant,
    expires: Option<Instant>,
    is_repeated: bool,
    repeated_after: Option<Duration>,
    /// Where an answer goes, while somebody waits for it.
    answer: Arc<Mutex<Option<oneshot::Sender<Response>>>>,
}

/// What the broker has for one receiver.
#[derive(Default)]
struct Line {
    waiting: VecDeque<Message>,
    unacknowledged: BTreeMap<u64, Message>,
    delivered: u64,
    last: Option<Instant>,
}

/// See the module.
pub struct Link {
    pub weather: Weather,
    seed: u64,
    /// How often something was asked for under a name: requests, and their answers.
    asked: Mutex<BTreeMap<String, u64>>,
    is_calm: AtomicBool,
    is_cut: AtomicBool,
    /// By receiver.
    lines: [Mutex<Line>; 2],
    /// By receiver and originator: reads are alone there.
    order: [Mutex<BTreeMap<Text, Arc<RwLock<()>>>>; 2],
    under_way: AtomicUsize,
}

impl Link {
    /// One on which nothing goes wrong until [`Link::set_calm`] says so.
    pub fn new(weather: Weather, seed: u64) -> Self {
        Self {
            weather,
            seed,
            asked: Mutex::default(),
            is_calm: AtomicBool::new(true),
            is_cut: AtomicBool::new(false),
            lines: Default::default(),
            order: Default::default(),
            under_way: AtomicUsize::new(0),
        }
    }

    pub fn set_calm(&self, is_calm: bool) {
        self.is_calm.store(is_calm, Ordering::Relaxed);
    }

    pub fn is_cut(&self) -> bool {
        self.is_cut.load(Ordering::Relaxed)
    }

    pub fn set_cut(&self, world: &World, is_cut: bool) {
        if self.is_cut.swap(is_cut, Ordering::Relaxed) != is_cut {
            world.tell(|| format!("the link is {}", if is_cut { "cut" } else { "mended" }));
            world.changed.notify_waiters();
        }
    }

    /// Whether nothing is on its way.
    pub fn is_quiet(&self) -> bool {
        let is_empty = |line: &Mutex<Line>| {
            let line = line.lock();
            line.waiting.is_empty() && line.unacknowledged.is_empty()
        };
        self.under_way.load(Ordering::Relaxed) == 0 && self.lines.iter().all(is_empty)
    }

    /// The broker repeats what that CSE has not acknowledged, before what comes after.
    pub fn lost_receiver(&self, end: End) {
        let mut line = self.lines[end as usize].lock();
        while let Some((_, mut message)) = line.unacknowledged.pop_last() {
            message.is_repeated = true;
            line.waiting.push_front(message);
        }
    }

    /// Numbers that follow from the seed and what they are for, whatever else happens in the same moment.
    fn random_for(&self, what: String) -> Random {
        let mut asked = self.asked.lock();
        let count = asked.entry(what.clone()).or_default();
        *count += 1;
        let key = (self.seed, what, *count);
        let mut hasher = DefaultHasher::new();
        key.hash(&mut hasher);
        Random::new(hasher.finish())
    }

    fn fate(&self, request: &Request) -> Fate {
        let mut random = self.random_for(request.request_identifier.to_string());
        let weather = &self.weather;
        if self.is_calm.load(Ordering::Relaxed) {
            let delay = random.millis(1, 20);
            let noticed_after = Duration::ZERO;
            return Fate { is_lost: false, is_unconfirmed: false, delay, repeated_after: None, noticed_after };
        }
        Fate {
            is_lost: random.chance(weather.requests_lost),
            is_unconfirmed: random.chance(weather.confirmations_lost),
            delay: delay(weather, &mut random),
            repeated_after: random.chance(weather.repeated).then(|| delay(weather, &mut random)),
            noticed_after: random.millis(1, 8_000),
        }
    }

    /// How long an answer takes; `None` if it is lost.
    fn fate_of_answer(&self, identifier: &str) -> Option<Duration> {
        let mut random = self.random_for(format!("{identifier}, answered"));
        if self.is_calm.load(Ordering::Relaxed) {
            return Some(random.millis(1, 20));
        }
        let is_lost = random.chance(self.weather.answers_lost);
        (!is_lost).then(|| delay(&self.weather, &mut random))
    }

    fn begin(&self) {
        self.under_way.fetch_add(1, Ordering::Relaxed);
    }

    fn end(&self) {
        self.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}

fn delay(weather: &Weather, random: &mut Random) -> Duration {
    if random.chance(weather.slow) { random.millis(500, 30_000) } else { random.millis(1, 60) }
}

/// The network as a CSE has it.
pub struct Way {
    pub world: Weak<World>,
    pub from: End,
}

impl Outbound for Way {
    fn reaches(&self, destination: &Destination) -> bool {
        destination.url().is_none_or(|url| !url.starts_with("ftp:"))
    }

    fn send(&self, outgoing: OutgoingRequest) -> BoxFuture<'static, Result<Sent, SendError>> {
        let (world, from) = (self.world.upgrade(), self.from);
        Box::pin(async move {
            let world = world.ok_or_else(|| unreachable("the end of the world"))?;
            let entity = match &outgoing.destination {
                Destination::PointOfAccess { entity, .. } | Destination::MqttEntity(entity) => entity.clone(),
                Destination::Url(url) => url.clone(),
            };
            match End::of_cse_id(&entity) {
                Some(to) if to == from => Err(unreachable("it is this CSE")),
                Some(to) if !is_there(&world, to, &outgoing.destination) => Err(unreachable("it has moved")),
                Some(_) => exchange(&world, from, outgoing).await,
                None => world.devices.notified(&world, &entity, &outgoing.request),
            }
        })
    }
}

/// Whether a CSE listens at a point of access.
fn is_there(world: &World, to: End, destination: &Destination) -> bool {
    to == End::In || destination.url().is_none_or(|url| url == world.point_of_access())
}

fn unreachable(why: &str) -> SendError {
    SendError::Unreachable(why.into())
}

fn unconfirmed(why: &str) -> SendError {
    SendError::Unconfirmed(why.into())
}

async fn exchange(world: &Arc<World>, from: End, outgoing: OutgoingRequest) -> Result<Sent, SendError> {
    let fate = world.link.fate(&outgoing.request);
    let what = {
        let request = &outgoing.request;
        format!("{} {} {} {}", from.name(), request.operation, request.to, request.request_identifier)
    };
    let repeated = if fate.repeated_after.is_some() { ", will be repeated" } else { "" };
    match &fate {
        _ if world.link.is_cut() => world.tell(|| format!("  {what}: cut")),
        fate if fate.is_lost => world.tell(|| format!("  {what}: lost")),
        fate if fate.is_unconfirmed => world.tell(|| format!("  {what}: not confirmed{repeated}")),
        fate => world.tell(|| format!("  {what}: {} ms{repeated}", fate.delay.as_millis())),
    }
    let sent = match world.link.weather.kind {
        Kind::Http => over_http(world, from, outgoing, fate).await,
        Kind::Mqtt => over_mqtt(world, from, outgoing, fate).await,
    };
    world.tell(|| match &sent {
        Ok(Sent::Answered(answer)) => format!("  {what}: answered {}", answer.status),
        Ok(_) => format!("  {what}: not answered"),
        Err(error) => format!("  {what}: {error}"),
    });
    sent
}

async fn over_http(world: &Arc<World>, from: End, outgoing: OutgoingRequest, fate: Fate) -> Result<Sent, SendError> {
    let link = &world.link;
    if link.is_cut() || fate.is_lost {
        sleep(fate.noticed_after.min(outgoing.timeout)).await;
        return Err(unreachable("no connection"));
    }
    let (answer, answered) = oneshot::channel();
    let (request, there) = (outgoing.request, Arc::clone(world));
    link.begin();
    tokio::spawn(async move {
        carry_over(&there, from.other(), request, fate.delay, answer).await;
        there.link.end();
        there.changed.notify_waiters();
    });
    match timeout(outgoing.timeout, answered).await {
        Ok(Ok(response)) => Ok(Sent::Answered(Box::new(response))),
        Ok(Err(_)) => Err(unconfirmed("the connection ended")),
        Err(_) => Err(unconfirmed("no answer in time")),
    }
}

async fn carry_over(world: &Arc<World>, to: End, request: Request, delay: Duration, answer: oneshot::Sender<Response>) {
    sleep(delay).await;
    if world.link.is_cut() || answer.is_closed() {
        return;
    }
    let context = Context { binding: Binding::Http, ..Context::default() };
    let Some(response) = world.carry_out(to, &request, context).await else { return };
    let Some(delay) = world.link.fate_of_answer(&request.request_identifier) else { return };
    sleep(delay).await;
    if !world.link.is_cut() {
        // Who asked may wait no more.
        drop(answer.send(response));
    }
}

async fn over_mqtt(world: &Arc<World>, from: End, outgoing: OutgoingRequest, fate: Fate) -> Result<Sent, SendError> {
    let link = &world.link;
    if from == End::Mn && link.is_cut() {
        return Err(unreachable("not connected to the broker"));
    }
    if fate.is_lost {
        sleep(fate.noticed_after.min(outgoing.timeout)).await;
        return Err(unreachable("the broker did not confirm it"));
    }
    let (answer, answered) = oneshot::channel();
    let now = Instant::now();
    let expires = outgoing.request.request_expiration.filter(|_| link.weather.expires);
    let expires = expires.map(|time| now + time.at(world.now()).since(world.now()));
    {
        let mut line = link.lines[from.other() as usize].lock();
        let ready = line.last.map_or(now + fate.delay, |last| last.max(now + fate.delay));
        line.last = Some(ready);
        line.waiting.push_back(Message {
            request: outgoing.request,
            ready,
            expires,
            is_repeated: false,
            repeated_after: fate.repeated_after,
            answer: Arc::new(Mutex::new(Some(answer))),
        });
    }
    world.changed.notify_waiters();
    let patience = match outgoing.patience {
        _ if fate.is_unconfirmed => outgoing.timeout,
        Patience::UntilTimeout => outgoing.timeout,
        Patience::AtMost(patience) | Patience::UntilReceived(patience) => outgoing.timeout.min(patience),
    };
    match timeout(patience, answered).await {
        Ok(Ok(response)) => Ok(Sent::Answered(Box::new(response))),
        ended => {
            if ended.is_ok() {
                // Nobody will answer; the sender does not know.
                sleep_until(now + patience).await;
            }
            if fate.is_unconfirmed {
                return Err(unconfirmed("the broker did not confirm it"));
            }
            Ok(Sent::Unanswered)
        }
    }
}

/// The broker: hands over what it has for a CSE, in order. Never ends.
pub async fn run_broker(world: Arc<World>, to: End) {
    let line = &world.link.lines[to as usize];
    loop {
        let changed = world.changed.notified();
        tokio::pin!(changed);
        changed.as_mut().enable();
        let can_pass = world.is_up(to) && (to == End::In || !world.link.is_cut());
        let ready = line.lock().waiting.front().map(|first| first.ready).filter(|_| can_pass);
        match ready {
            None => changed.await,
            Some(ready) if ready > Instant::now() => {
                tokio::select! {
                    biased;
                    () = changed => {}
                    () = sleep_until(ready) => {}
                }
            }
            Some(_) => hand_over(&world, to),
        }
    }
}

fn hand_over(world: &Arc<World>, to: End) {
    let mut line = world.link.lines[to as usize].lock();
    let Some(mut message) = line.waiting.pop_front() else { return };
    if message.expires.is_some_and(|at| at <= Instant::now()) {
        world.tell(|| format!("  {} is dropped, it has expired", message.request.request_identifier));
        return;
    }
    if message.is_repeated {
        world.tell(|| format!("  {} arrives again", message.request.request_identifier));
    }
    let number = line.delivered;
    line.delivered += 1;
    let repeated_after = message.repeated_after.take();
    line.unacknowledged.insert(number, message.clone());
    drop(line);
    if let Some(delay) = repeated_after {
        let (world, message) = (Arc::clone(world), message.clone());
        world.link.begin();
        tokio::spawn(async move {
            sleep(delay).await;
            let message = Message { is_repeated: true, ..message };
            world.link.lines[to as usize].lock().waiting.push_back(message);
            world.link.end();
            world.changed.notify_waiters();
        });
    }
    let world = Arc::clone(world);
    world.link.begin();
    tokio::spawn(async move {
        answer(&world, to, number, message).await;
        world.link.end();
        world.changed.notify_waiters();
    });
}

async fn answer(world: &Arc<World>, to: End, number: u64, message: Message) {
    let redelivery = if message.is_repeated { Redelivery::Possible } else { Redelivery::New };
    let sender = Some(to.other().cse_id().into());
    let context = Context { binding: Binding::Mqtt, sender, redelivery, ..Context::default() };
    let originator = message.request.from.clone().unwrap_or_default();
    let order = Arc::clone(world.link.order[to as usize].lock().entry(originator).or_default());
    let (alone, together) = match message.request.operation {
        Operation::Retrieve => (Some(order.write().await), None),
        _ => (None, Some(order.read().await)),
    };
    // One that crashes gets it again.
    let response = world.carry_out(to, &message.request, context).await;
    drop((alone, together));
    let Some(response) = response else { return };
    world.link.lines[to as usize].lock().unacknowledged.remove(&number);
    let Some(delay) = world.link.fate_of_answer(&message.request.request_identifier) else { return };
    sleep(delay).await;
    world.wait_until(Duration::from_secs(600), || !world.link.is_cut()).await;
    if let Some(answer) = message.answer.lock().take() {
        drop(answer.send(response));
    }
}
