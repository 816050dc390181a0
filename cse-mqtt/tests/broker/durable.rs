//! Kept sessions that survive the process: what leaves when, and what is there afterwards.

pub(crate) mod disk;
mod faults;
mod order;
mod random;
mod restarts;

use std::sync::Arc;

use cse_mqtt::broker::{Broker, Limits, OpenPolicy, PersisterStatus};
use tokio::net::TcpListener;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

use crate::harness::{DRAIN, TestBroker, within};
use disk::Disk;

/// A broker with a disk.
pub(crate) struct Durable {
    pub(crate) broker: TestBroker,
    pub(crate) status: watch::Receiver<PersisterStatus>,
    stop_persister: oneshot::Sender<()>,
    persister: JoinHandle<()>,
}

impl Durable {
    pub(crate) async fn start(disk: &Disk) -> Self {
        Self::with(disk, Limits::default()).await
    }

    pub(crate) async fn with(disk: &Disk, limits: Limits) -> Self {
        let (broker, persister) = Broker::restored(limits, Arc::new(OpenPolicy), disk.load());
        let status = persister.status();
        let (stop_persister, stopped) = oneshot::channel();
        let writer = disk.open();
        let persister = tokio::spawn(async move {
            persister
                .run(writer, async {
                    let _ = stopped.await;
                })
                .await;
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let (stop, shutdown) = watch::channel(false);
        let serving = broker.clone();
        let server = tokio::spawn(async move { serving.serve(listener, shutdown, DRAIN).await });
        Self { broker: TestBroker { broker, address, stop, server }, status, stop_persister, persister }
    }

    /// Ends everything at once, as a signal that cannot be caught does.
    pub(crate) async fn kill(self) {
        self.persister.abort();
        let _ = self.persister.await;
        self.broker.server.abort();
        let _ = self.broker.server.await;
    }

    /// Stops as the server does.
    pub(crate) async fn stop(self) {
        self.broker.stop.send_replace(true);
        within(self.broker.server).await.expect("ended");
        let _ = self.stop_persister.send(());
        within(self.persister).await.expect("ended");
    }
}
