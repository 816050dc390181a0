//! A CSE with its binding and its database in a runtime of its own, which can be ended on the spot.

use std::future::pending;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use cse_core::cse::Cse;
use cse_core::id::{CseIdentity, CseType};
use cse_core::ports::{BoxFuture, Clock};
use cse_core::settings::Settings;
use cse_core::time::Timestamp;
use cse_mqtt::broker::{Broker, Limits, OpenPolicy};
use cse_mqtt::{BindingOptions, ExternalOptions, LinkStatus, MqttBinding};
use cse_store::sqlite::{Durability, SqliteOptions, SqliteStore};
use cse_tests::wait::in_time;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::watch;

use crate::store::{StoppingStore, Stops};

/// Which broker, and its port.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Via {
    External(u16),
    Embedded(u16),
}

pub(crate) struct Node {
    runtime: Runtime,
    pub(crate) stops: Arc<Stops>,
}

struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
        Timestamp::from_micros(i64::try_from(since.as_micros()).expect("not that far"))
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(duration))
    }
}

impl Node {
    /// Starts on what is in the directory.
    pub(crate) async fn start(directory: &Path, via: Via) -> Self {
        let database = directory.join("cse.db");
        let starting = tokio::task::spawn_blocking(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
            let runtime = runtime.expect("a runtime");
            let stops = Arc::new(Stops::new());
            runtime.block_on(run(database, via, Arc::clone(&stops)));
            Self { runtime, stops }
        });
        starting.await.expect("started")
    }

    /// Ends it as a crash would: nothing is finished, nothing is said to anybody.
    pub(crate) async fn kill(self) {
        let ending = tokio::task::spawn_blocking(move || self.runtime.shutdown_timeout(Duration::from_secs(60)));
        ending.await.expect("ended");
    }
}

async fn run(database: PathBuf, via: Via, stops: Arc<Stops>) {
    let identity = CseIdentity::new("//cse.example", "/id-in", "cse-in", CseType::In).expect("valid");
    let options = SqliteOptions { path: database, durability: Durability::Full, readers: 2, replies_max: 10_000 };
    let inner = SqliteStore::open(options, &identity).await.expect("opened");
    let binding = match via {
        Via::External(port) => {
            let options = ExternalOptions::new("127.0.0.1", port);
            MqttBinding::external(&identity, BindingOptions::default(), options)
        }
        Via::Embedded(port) => {
            let broker = Broker::new(Limits::default(), Arc::new(OpenPolicy));
            let binding = MqttBinding::embedded(&identity, BindingOptions::default(), &broker).expect("short topics");
            let listener = TcpListener::bind(("127.0.0.1", port)).await.expect("our port");
            let (stop, stopped) = watch::channel(false);
            tokio::spawn(async move {
                broker.serve(listener, stopped, Duration::ZERO).await;
                drop(stop);
            });
            binding
        }
    };
    let settings = Settings::new(identity, "CAdmin");
    let store = StoppingStore { inner, stops };
    let started = Cse::start(settings, store, Arc::new(SystemClock), binding.outbound()).await;
    let (cse, background) = started.expect("started");
    tokio::spawn(background);
    let mut status = binding.status();
    tokio::spawn(binding.run(cse, pending()));
    // Before that, a broker that knows no session of this CSE throws requests away.
    let up = status.wait_for(|status| *status == LinkStatus::Up);
    in_time("the link is up", up).await.expect("the binding runs");
}
