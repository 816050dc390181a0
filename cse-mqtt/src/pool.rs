//! Connections to other brokers: opened when something is to be sent there, closed when nothing has been for a while.

use std::sync::Arc;
use std::time::Duration;

use cse_core::ports::BoxFuture;
use parking_lot::Mutex;
use rustc_hash::FxHashMap;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::binding::Common;
use crate::external::{self, ExternalPublisher};
use crate::link::Link;
use crate::options::{ExternalOptions, Login, Transport};
use crate::topic::TopicKind;

/// How often idle connections are looked for, at most.
const IDLE_CHECK_MAX: Duration = Duration::from_secs(30);

/// What is put after the client identifier. A URL may lead to our own broker without looking like it, and there the
/// same identifier twice would end the first connection.
const OTHER_BROKER_SUFFIX: &str = ":out";

/// A broker and who we are there.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(crate) struct Authority {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) tls: bool,
    pub(crate) login: Option<Login>,
}

struct Entry {
    publisher: ExternalPublisher,
    users: usize,
    last_used: Instant,
}

/// See the module.
pub(crate) struct Pool {
    common: Common,
    template: ExternalOptions,
    entries: Mutex<FxHashMap<Authority, Entry>>,
    open: mpsc::Sender<BoxFuture<'static, ()>>,
    /// Of each broker, whose turn it is: the session of a connection is ended under the identifier that the next one
    /// there has.
    turns: Mutex<FxHashMap<Authority, Arc<tokio::sync::Mutex<()>>>>,
}

/// A connection in use; it is not closed as idle as long as this lives.
pub(crate) struct Lease {
    pool: Arc<Pool>,
    authority: Authority,
    pub(crate) publisher: ExternalPublisher,
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(entry) = self.pool.entries.lock().get_mut(&self.authority) {
            entry.users = entry.users.saturating_sub(1);
            entry.last_used = Instant::now();
        }
    }
}

/// Runs the connections of a pool.
pub(crate) struct PoolRunner {
    pool: Arc<Pool>,
    opened: mpsc::Receiver<BoxFuture<'static, ()>>,
}

/// Makes a pool; connections are made like the template, but for host, port and login.
pub(crate) fn pool(common: Common, template: ExternalOptions) -> (Arc<Pool>, PoolRunner) {
    let (open, opened) = mpsc::channel(common.options.other_brokers_max.max(1));
    let pool = Arc::new(Pool { common, template, entries: Mutex::default(), open, turns: Mutex::default() });
    (Arc::clone(&pool), PoolRunner { pool, opened })
}

impl Pool {
    /// The connection to a broker, opened if there is none. `None` if there are too many and all are in use.
    pub(crate) fn lease(self: &Arc<Self>, authority: &Authority) -> Option<Lease> {
        let authority = authority.clone();
        let mut entries = self.entries.lock();
        if let Some(entry) = entries.get_mut(&authority) {
            entry.users += 1;
            return Some(Lease { pool: Arc::clone(self), authority, publisher: entry.publisher.clone() });
        }
        if entries.len() >= self.common.options.other_brokers_max {
            let idle = entries.iter().filter(|(_, entry)| entry.users == 0).min_by_key(|(_, entry)| entry.last_used);
            let oldest = idle.map(|(authority, _)| authority.clone())?;
            if let Some(entry) = entries.remove(&oldest) {
                entry.publisher.begin_close();
            }
        }
        let (publisher, connection) = self.connect(&authority);
        self.open.try_send(connection).ok()?;
        entries.insert(authority.clone(), Entry { publisher: publisher.clone(), users: 1, last_used: Instant::now() });
        Some(Lease { pool: Arc::clone(self), authority, publisher })
    }

    fn connect(&self, authority: &Authority) -> (ExternalPublisher, BoxFuture<'static, ()>) {
        let options = ExternalOptions {
            host: authority.host.clone(),
            port: authority.port,
            transport: match authority.tls {
                true => Transport::Tls(Arc::clone(&self.common.options.other_brokers_tls)),
                false => Transport::Tcp,
            },
            login: authority.login.clone(),
            client_id_suffix: OTHER_BROKER_SUFFIX.to_owned(),
            ..self.template.clone()
        };
        let Common { identity, topics, correlation, stats, .. } = self.common.clone();
        let broker = authority.clone();
        let take_answer = Arc::new(move |topic: &str, payload: &[u8]| match topics.parse_any(topic) {
            Some(topic) if topic.kind == TopicKind::Response => {
                correlation.on_response(Some(&broker), &topic, payload);
                true
            }
            _ => false,
        });
        let closed = Arc::clone(&stats);
        // Which answers to listen for, the requests say.
        let (publisher, mut link, driver) = external::link(&identity, &options, Vec::new(), take_answer, stats);
        let turn = self.turn(authority);
        let connection = async move {
            let _turn = turn.lock().await;
            let receive = async {
                while let Some(inbound) = link.receive().await {
                    tracing::warn!(topic = &*inbound.topic, "message that was not subscribed to");
                    if let Some(acknowledgement) = inbound.acknowledgement {
                        acknowledgement.acknowledge();
                    }
                }
            };
            // The driver ends last when the link is closed, and `receive` ends with it.
            tokio::join!(driver.run(), receive);
            // If it fails, the broker forgets by its own rules.
            let _ = external::leave(&identity, &options).await;
            closed.other_brokers_closed.increment();
        };
        (publisher, Box::pin(connection))
    }

    fn turn(&self, authority: &Authority) -> Arc<tokio::sync::Mutex<()>> {
        let mut turns = self.turns.lock();
        // Those of connections that have ended.
        turns.retain(|_, turn| Arc::strong_count(turn) > 1);
        Arc::clone(turns.entry(authority.clone()).or_default())
    }

    fn close_idle(&self, now: Instant) {
        let limit = self.common.options.other_brokers_idle;
        self.entries.lock().retain(|_, entry| {
            let keep = entry.users > 0 || now.saturating_duration_since(entry.last_used) < limit;
            if !keep {
                entry.publisher.begin_close();
            }
            keep
        });
    }

    fn close_all(&self) {
        for (_, entry) in self.entries.lock().drain() {
            entry.publisher.begin_close();
        }
    }
}

impl PoolRunner {
    /// Runs connections until told to stop, then lets them end.
    pub(crate) async fn run(mut self, stop: impl Future<Output = ()> + Send) {
        let mut connections = JoinSet::new();
        let mut stop = std::pin::pin!(stop);
        let check = self.pool.common.options.other_brokers_idle.clamp(Duration::from_millis(10), IDLE_CHECK_MAX);
        let mut idle_check = interval(check);
        idle_check.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = &mut stop => break,
                Some(connection) = self.opened.recv() => {
                    connections.spawn(connection);
                }
                now = idle_check.tick() => self.pool.close_idle(now),
                Some(ended) = connections.join_next(), if !connections.is_empty() => {
                    if let Err(error) = ended {
                        tracing::error!(%error, "connection to another broker ended");
                    }
                }
            }
        }
        self.opened.close();
        self.pool.close_all();
        while connections.join_next().await.is_some() {}
    }
}
