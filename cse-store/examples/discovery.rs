//! Discoveries per second over a large tree on the SQLite store: label searches with 100 hits among 10,000
//! containers, through the CSE as a binding calls it, the answer as JSON included.
//!
//! `cargo run --release -p cse-store --example discovery`
#![expect(clippy::print_stdout, clippy::expect_used, reason = "a program to be read by its operator")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use cse_core::cse::Cse;
use cse_core::id::{CseIdentity, CseType};
use cse_core::ports::{BoxFuture, Clock, Destination, Dispatch, Outbound, OutgoingRequest, SendError, Sent};
use cse_core::primitive::Request;
use cse_core::settings::Settings;
use cse_core::time::Timestamp;
use cse_core::value::Map;
use cse_store::sqlite::{SqliteOptions, SqliteStore};

const CONTAINERS: usize = 10_000;
const HITS: usize = 100;
const MEASURED: Duration = Duration::from_secs(3);

struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
        Timestamp::from_micros(i64::try_from(since.as_micros()).expect("in range"))
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(duration))
    }
}

struct NoNetwork;

impl Outbound for NoNetwork {
    fn reaches(&self, _: &Destination) -> bool {
        false
    }

    fn send(&self, _: OutgoingRequest) -> BoxFuture<'static, Result<Sent, SendError>> {
        Box::pin(async { Err(SendError::Unreachable("there is no network".into())) })
    }
}

fn request(from: &str, text: &str) -> Request {
    let mut map: Map = serde_json::from_str(text).expect("valid JSON");
    map.insert("fr", from);
    map.insert("rqi", "1");
    map.insert("rvi", "3");
    Request::from_map(map).expect("a valid request")
}

async fn create(cse: &Cse<SqliteStore>, from: &str, to: &str, ty: u16, content: &str) {
    let response = cse.dispatch(request(from, &format!(r#"{{"op":1,"to":"{to}","ty":{ty},"pc":{content}}}"#))).await;
    assert!(response.is_success(), "{:?}", response.content);
}

async fn fill(cse: &Cse<SqliteStore>) {
    create(cse, "Cae", "cse-in", 2, r#"{"m2m:ae":{"rn":"ae","api":"Nx","rr":true,"srv":["3"]}}"#).await;
    create(cse, "Cguest", "cse-in", 2, r#"{"m2m:ae":{"rn":"guest","api":"Nx","rr":true,"srv":["3"]}}"#).await;
    let policy = r#"{"m2m:acp":{"rn":"acp","pv":{"acr":[{"acor":["Cae","Cguest"],"acop":63}]},
        "pvs":{"acr":[{"acor":["Cae"],"acop":63}]}}}"#;
    create(cse, "Cae", "cse-in/ae", 1, policy).await;
    let mut pending = tokio::task::JoinSet::new();
    for number in 0..CONTAINERS {
        let cse = cse.clone();
        let label = number / HITS;
        pending.spawn(async move {
            let content = format!(
                r#"{{"m2m:cnt":{{"rn":"sensor-{number}","lbl":["l{label}","all"],"acpi":["cse-in/ae/acp"]}}}}"#
            );
            create(&cse, "Cae", "cse-in/ae", 3, &content).await;
        });
        if pending.len() >= 256 {
            pending.join_next().await.expect("there is one").expect("created");
        }
    }
    while let Some(done) = pending.join_next().await {
        done.expect("created");
    }
}

async fn measure(cse: &Cse<SqliteStore>, name: &str, from: &str, to: &str, criteria: impl Fn(usize) -> String) {
    let began = Instant::now();
    let (mut count, mut found, mut bytes) = (0_usize, 0, 0);
    while began.elapsed() < MEASURED {
        let text = format!(r#"{{"op":2,"to":"{to}","fc":{{"fu":1,{}}}}}"#, criteria(count));
        let response = cse.dispatch(request(from, &text)).await;
        let content = response.content.as_ref().expect("a list");
        found += content.texts("m2m:uril").count();
        bytes += serde_json::to_vec(&response.to_map()).expect("serializable").len();
        count += 1;
    }
    let rate = count as f64 / began.elapsed().as_secs_f64();
    println!("{name:<34} {rate:>9.0}/s  {:>6} found  {:>7} bytes", found / count, bytes / count);
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let directory = tempfile::tempdir().expect("a directory");
    let identity = CseIdentity::new("//cse.example", "/id-in", "cse-in", CseType::In).expect("valid");
    let store = SqliteStore::open(SqliteOptions::new(directory.path().join("cse.db")), &identity).await.expect("opens");
    let mut settings = Settings::new(identity, "CAdmin");
    settings.cache_bytes_max = 64 * 1024 * 1024;
    let (cse, background) =
        Cse::start(settings, store, Arc::new(SystemClock), Arc::new(NoNetwork)).await.expect("starts");
    let background = tokio::spawn(background);
    fill(&cse).await;
    let label = |number: usize| format!(r#""lbl":["l{}"]"#, number % (CONTAINERS / HITS));
    measure(&cse, "label, whole tree, owner", "Cae", "cse-in", label).await;
    measure(&cse, "label, whole tree, guest", "Cguest", "cse-in", label).await;
    measure(&cse, "label, below an AE", "Cae", "cse-in/ae", label).await;
    measure(&cse, "label and type", "Cae", "cse-in", |number| format!(r#"{},"ty":[3]"#, label(number))).await;
    measure(&cse, "first 10 of a type", "Cae", "cse-in", |_| r#""ty":[3],"lim":10"#.into()).await;
    measure(&cse, "everything with a label", "Cae", "cse-in", |_| r#""lbl":["all"]"#.into()).await;
    measure(&cse, "attribute, by looking at all", "Cae", "cse-in", |_| r#""atr":[{"nm":"rn","val":"*-77*"}]"#.into())
        .await;
    cse.stop();
    background.await.expect("ends");
}
