//! Prints how many notifications per second leave the CSE, in-process: no sockets, the in-memory store.
//!
//! `cargo run --release -p cse-core --example notify_throughput`

#![expect(clippy::unwrap_used, reason = "a measurement that stops at the first surprise")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime};

use cse_core::codec::Serialization;
use cse_core::cse::Cse;
use cse_core::error::Rsc;
use cse_core::id::{CseIdentity, CseType};
use cse_core::memory::MemoryStore;
use cse_core::ports::{BoxFuture, Clock, Destination, Dispatch, Outbound, OutgoingRequest, SendError, Sent};
use cse_core::primitive::{Operation, Request, Response};
use cse_core::schema::Ty;
use cse_core::settings::Settings;
use cse_core::time::Timestamp;
use tokio::task::JoinSet;

/// The system's clock.
struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        Timestamp::from_micros(i64::try_from(since_epoch.as_micros()).unwrap())
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(duration))
    }
}

/// A network that counts; while it is cut, nothing can be reached.
#[derive(Default)]
struct Network {
    sent: AtomicUsize,
    is_cut: AtomicBool,
}

struct Counted(Arc<Network>);

impl Outbound for Counted {
    fn reaches(&self, _destination: &Destination) -> bool {
        true
    }

    fn send(&self, outgoing: OutgoingRequest) -> BoxFuture<'static, Result<Sent, SendError>> {
        let network = Arc::clone(&self.0);
        Box::pin(async move {
            if network.is_cut.load(Ordering::Relaxed) {
                return Err(SendError::Unreachable("cut".into()));
            }
            network.sent.fetch_add(1, Ordering::Relaxed);
            let response = Response::new(Rsc::Ok, outgoing.request.request_identifier);
            Ok(Sent::Answered(Box::new(response)))
        })
    }
}

async fn create(cse: &Cse<MemoryStore>, to: &str, ty: Ty, content: String) {
    let mut request = Request::new(Operation::Create, to, "CAdmin", "r");
    request.resource_type = Some(ty);
    request.content = Some(Serialization::Json.decode_content(content.as_bytes()).unwrap());
    let response = cse.dispatch(request).await;
    assert_eq!(response.status, Rsc::Created, "{:?}", response.content);
}

async fn create_instances(cse: &Cse<MemoryStore>, count: usize) {
    let mut tasks = JoinSet::new();
    for _ in 0..64 {
        let cse = cse.clone();
        let share = count / 64 + 1;
        tasks.spawn(async move {
            for value in 0..share {
                let content = format!(r#"{{"m2m:cin":{{"con":"{value}"}}}}"#);
                create(&cse, "cse-in/log", Ty::CONTENT_INSTANCE, content).await;
            }
        });
    }
    while tasks.join_next().await.is_some() {}
}

async fn sent(network: &Network, count: usize) {
    while network.sent.load(Ordering::Relaxed) < count {
        tokio::task::yield_now().await;
    }
}

async fn measure(targets: usize, notifications: usize) {
    let identity = CseIdentity::new("//cse.example", "/id-in", "cse-in", CseType::In).unwrap();
    let mut settings = Settings::new(identity, "CAdmin");
    settings.notifications_max = usize::MAX / 2;
    settings.notifications_per_target_max = usize::MAX / 2;
    let network = Arc::new(Network::default());
    let (cse, background) =
        Cse::start(settings, MemoryStore::new(), Arc::new(SystemClock), Arc::new(Counted(Arc::clone(&network))))
            .await
            .unwrap();
    let background = tokio::spawn(background);
    create(&cse, "cse-in", Ty::CONTAINER, r#"{"m2m:cnt":{"rn":"log","mni":10}}"#.into()).await;
    let all: Vec<String> = (0..targets).map(|target| format!(r#""http://t{target}.example/""#)).collect();
    for some in all.chunks(targets.div_ceil(1_000)) {
        let content = format!(r#"{{"m2m:sub":{{"nu":[{}],"enc":{{"net":[3],"chty":[4]}}}}}}"#, some.join(","));
        create(&cse, "cse-in/log", Ty::SUBSCRIPTION, content).await;
    }
    network.sent.store(0, Ordering::Relaxed);
    let events = notifications / targets;

    let begin = Instant::now();
    create_instances(&cse, events).await;
    let made = events / 64 * 64 + 64;
    sent(&network, made * targets).await;
    let rate = (made * targets) as f64 / begin.elapsed().as_secs_f64();
    println!("{targets:>6} targets: {rate:>8.0} notifications/s from the event to the network");

    network.is_cut.store(true, Ordering::Relaxed);
    network.sent.store(0, Ordering::Relaxed);
    create_instances(&cse, events / 4).await;
    let made = events / 4 / 64 * 64 + 64;
    while cse.notifications_waiting() < made * targets {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    network.is_cut.store(false, Ordering::Relaxed);
    sent(&network, 1).await;
    let begin = Instant::now();
    let first = network.sent.load(Ordering::Relaxed);
    sent(&network, made * targets).await;
    let rate = (made * targets - first) as f64 / begin.elapsed().as_secs_f64();
    println!("{targets:>6} targets: {rate:>8.0} notifications/s after an outage, {} of them", made * targets);
    cse.stop();
    drop(background.await);
}

#[tokio::main]
async fn main() {
    measure(1, 50_000).await;
    measure(100, 200_000).await;
    measure(1_000, 200_000).await;
    measure(10_000, 1_000_000).await;
}
