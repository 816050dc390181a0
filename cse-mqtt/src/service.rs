//! The binding as the server sees it: made from options, gives an [`Outbound`](cse_core::ports::Outbound), then runs.

use std::sync::Arc;

use cse_core::id::CseIdentity;
use cse_core::ports::Dispatch;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::binding::{Common, Receiver};
use crate::broker::{Broker, InvalidFilter};
use crate::embedded::{self, EmbeddedLink};
use crate::external::{self, Driver, ExternalLink};
use crate::link::{LinkStatus, Publisher};
use crate::options::{BindingOptions, ExternalOptions, Transport};
use crate::outbound::MqttOutbound;
use crate::pool::{self, PoolRunner};
use crate::redelivery::{FollowedAnswers, Recall};
use crate::stats::MqttStats;

/// The MQTT binding of one CSE with one broker.
///
/// Made first, since the CSE needs [`MqttBinding::outbound`]; then [`MqttBinding::run`] with that CSE. What is sent
/// before that waits.
pub struct MqttBinding {
    common: Common,
    publisher: Arc<dyn Publisher>,
    own: Own,
    pool: PoolRunner,
    outbound: Arc<MqttOutbound>,
    status: watch::Receiver<LinkStatus>,
    problem: Problem,
}

/// Says why the link is down, as far as known.
type Problem = Arc<dyn Fn() -> Option<String> + Send + Sync>;

enum Own {
    Embedded(EmbeddedLink),
    // Boxed: options and channels, a lot larger.
    External(Box<(ExternalLink, Driver)>),
}

impl MqttBinding {
    /// A binding with a broker in the same process (TS-0010 §6.2.2.1).
    ///
    /// # Errors
    /// If the topics of this CSE are too long for the limits of the broker.
    pub fn embedded(identity: &CseIdentity, options: BindingOptions, broker: &Broker) -> Result<Self, InvalidFilter> {
        let common = Common::new(identity, options);
        let (publisher, link) = embedded::link(broker, &common)?;
        // Nothing to wait for: the broker is where we are. The sender may go, the value stays.
        let status = watch::Sender::new(LinkStatus::Up).subscribe();
        // Only for other brokers, so host and port do not matter.
        let template = ExternalOptions::new("", 0);
        Ok(Self::new(common, Arc::new(publisher), Own::Embedded(link), template, status, Arc::new(|| None)))
    }

    /// A binding with a broker that is reached over the network (TS-0010 §6.2.2.2). The broker need not be there yet.
    pub fn external(identity: &CseIdentity, mut options: BindingOptions, broker: ExternalOptions) -> Self {
        let scheme = match broker.transport {
            Transport::Tcp => Some("mqtt"),
            Transport::Tls(_) => Some("mqtts"),
            // No point of access leads there: they have no WebSocket.
            Transport::WebSocket { .. } | Transport::WebSocketTls { .. } => None,
        };
        let host = if broker.host.contains(':') { format!("[{}]", broker.host) } else { broker.host.clone() };
        let own = scheme.map(|scheme| format!("{scheme}://{host}:{}", broker.port));
        options.own_points_of_access.extend(own);
        let common = Common::new(identity, options);
        let subscriptions = common.subscriptions();
        let (take_answer, stats) = (common.answer_taker(), Arc::clone(&common.stats));
        let (publisher, link, driver) = external::link(identity, &broker, subscriptions, take_answer, stats);
        let status = publisher.status();
        let reported = publisher.clone();
        let problem = Arc::new(move || reported.problem());
        Self::new(common, Arc::new(publisher), Own::External(Box::new((link, driver))), broker, status, problem)
    }

    fn new(
        common: Common,
        publisher: Arc<dyn Publisher>,
        own: Own,
        template: ExternalOptions,
        status: watch::Receiver<LinkStatus>,
        problem: Problem,
    ) -> Self {
        let template = ExternalOptions { login: None, ..template };
        let (connections, pool) = pool::pool(common.clone(), template);
        let outbound = Arc::new(MqttOutbound::new(common.clone(), Arc::clone(&publisher), connections));
        Self { common, publisher, own, pool, outbound, status, problem }
    }

    /// Sends requests of the CSE.
    pub fn outbound(&self) -> Arc<MqttOutbound> {
        Arc::clone(&self.outbound)
    }

    /// What the binding does and refuses.
    pub fn stats(&self) -> Arc<MqttStats> {
        Arc::clone(&self.common.stats)
    }

    /// Whether requests can come in now.
    pub fn status(&self) -> watch::Receiver<LinkStatus> {
        self.status.clone()
    }

    /// Why requests cannot come in, for people: what the broker, or the way to it, has last refused.
    pub fn problem(&self) -> Arc<dyn Fn() -> Option<String> + Send + Sync> {
        Arc::clone(&self.problem)
    }

    /// Takes requests for the CSE until `stop` ends; then ends what is running and leaves the broker, within
    /// [`BindingOptions::stop_grace`] for each. Ends earlier only if something has crashed.
    ///
    /// Must not be dropped in the middle if requests are to be completed.
    pub async fn run<D: Dispatch>(self, dispatch: D, stop: impl Future<Output = ()> + Send) {
        let Self { common, publisher, own, pool, .. } = self;
        let grace = common.options.stop_grace;
        let (stop_pool, pool_stopped) = watch::channel(false);
        let mut tasks = JoinSet::new();
        tasks.spawn(pool.run(stopped(pool_stopped)));
        match own {
            Own::Embedded(link) => {
                let recall = Recall::Followed(FollowedAnswers::new(common.options.followed_answers_max));
                Receiver::new(common, dispatch, publisher, recall).serve(link, stop).await;
            }
            Own::External(external) => {
                let (link, driver) = *external;
                tasks.spawn(driver.run());
                let recall = Recall::Window(common.options.redelivery_window);
                Receiver::new(common, dispatch, publisher, recall).serve(link, stop).await;
            }
        }
        stop_pool.send_replace(true);
        if timeout(grace, async { while tasks.join_next().await.is_some() {} }).await.is_err() {
            tracing::warn!("connections to MQTT brokers did not end in time");
        }
    }
}

/// Ends when the flag is set or its owner is gone.
async fn stopped(mut flag: watch::Receiver<bool>) {
    let _ = flag.wait_for(|stop| *stop).await;
}
