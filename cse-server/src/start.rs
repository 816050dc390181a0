//! Putting the parts together, in the order in which they need each other, and taking them apart again.

mod addresses;
mod certificates;
mod http;
mod listeners;
mod mqtt;
mod security;
mod sessions;
mod signals;
mod uplink;

use std::future::{Future, pending};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use cse_core::cse::Cse;
use cse_core::id::{CseIdentity, CseType, InvalidId};
use cse_core::ports::{Outbound, Store, StoreError};
use cse_core::settings::Settings;
use cse_store::sqlite::{self, OpenError, SqliteOptions, SqliteStore};
use prometheus_client::registry::Registry;
use tokio::sync::watch;
use tracing::{info, warn};

use crate::banner;
use crate::clock::SystemClock;
use crate::config::{Config, Durability};
use crate::health::{Health, Probe, Role};
use crate::lifecycle::{Ended, Lifecycle, Stage, stopped};
use crate::metrics;
use crate::monitoring::Monitored;
use crate::outbound::OutboundRoutes;
use crate::poa::Listening;

pub(crate) use mqtt::external_options;

use addresses::Addresses;
use listeners::Listeners;
use mqtt::Mqtt;
use signals::Signals;
use uplink::Uplink;

/// Name of the database in the data directory.
const DATABASE: &str = "cse.db";
/// How long the CSE may take to finish, once the bindings have ended.
const CORE_GRACE: Duration = Duration::from_secs(5);

/// Why the server did not run, or not to a good end. Each text is one line that names the option to look at.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    #[error("{option}: cannot listen on {address}: {error}")]
    Listen { option: &'static str, address: SocketAddr, error: std::io::Error },
    #[error("--data-dir: {0}")]
    Open(#[from] OpenError),
    #[error(transparent)]
    Identity(#[from] InvalidId),
    #[error("cannot start the CSE: {0}")]
    Core(#[from] cse_core::cse::StartError),
    #[error("http-client.trusted-certificates: {0}")]
    HttpOutbound(#[from] cse_http::InvalidTrust),
    #[error("mqtt.tls-certificate: {0}")]
    Certificate(#[from] cse_mqtt::transport::CertificateProblem),
    #[error("mqtt.users-file: {0}")]
    Users(#[from] cse_mqtt::security::InvalidUsers),
    #[error("mqtt: {0}")]
    Broker(#[from] cse_mqtt::broker::InvalidFilter),
    #[error("cannot receive signals: {0}")]
    Signals(std::io::Error),
    #[error("stopped because the task '{task}' ended by itself; the log says more")]
    Crashed { task: &'static str },
    #[error("stopped before everything under way was finished")]
    Unfinished,
    #[error("cannot close the database: {0}")]
    Close(StoreError),
}

/// Runs the server until it is asked to stop.
///
/// # Errors
/// [`StartError`] if it could not start, or did not end as it should.
pub(crate) async fn serve(config: Config) -> Result<(), StartError> {
    let mut signals = Signals::listen().map_err(StartError::Signals)?;
    // Fails only if there is a provider already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let listeners = Listeners::bind(&config).await?;
    let listening = listeners.listening(&config);
    let shown = if config.cse.poa.is_empty() { listening.points_of_access() } else { config.cse.poa.clone() };
    let settings = config.settings(shown)?;
    let store = open_store(&config, &settings.identity).await?;

    let mut lifecycle = Lifecycle::new();
    let started = start(&config, settings.clone(), listeners, &listening, store.clone(), &mut lifecycle).await;
    let ended = match started {
        Ok(()) => {
            announce(&config, &settings, &listening);
            let grace = config.server.shutdown_timeout + CORE_GRACE;
            lifecycle.run(async || signals.next().await, grace).await
        }
        Err(error) => {
            lifecycle.abort().await;
            let _ = store.close().await;
            return Err(error);
        }
    };
    match ended {
        Ended::Politely => {
            store.close().await.map_err(StartError::Close)?;
            info!("stopped");
            Ok(())
        }
        Ended::Hard => Err(StartError::Unfinished),
        Ended::Crashed { task } => {
            // The database is in order after any end; closing only makes the next start a little faster.
            let _ = store.close().await;
            Err(StartError::Crashed { task })
        }
    }
}

/// The file of the database.
pub(crate) fn database(config: &Config) -> PathBuf {
    config.store.data_dir.join(DATABASE)
}

async fn open_store(config: &Config, identity: &CseIdentity) -> Result<SqliteStore, OpenError> {
    let options = SqliteOptions {
        path: database(config),
        durability: durability(config.store.durability),
        readers: config.store.readers,
        replies_max: config.requests.replies_max,
    };
    SqliteStore::open(options, identity).await
}

fn durability(durability: Durability) -> sqlite::Durability {
    match durability {
        Durability::Full => sqlite::Durability::Full,
        Durability::Relaxed => sqlite::Durability::Relaxed,
    }
}

/// Starts every part; the lifecycle owns their tasks.
async fn start(
    config: &Config,
    mut settings: Settings,
    listeners: Listeners,
    listening: &Listening,
    store: SqliteStore,
    lifecycle: &mut Lifecycle,
) -> Result<(), StartError> {
    let mqtt = Mqtt::new(config, &settings.identity, listening, sessions::open(config).await?)?;
    let own_mqtt = mqtt.as_ref().map(Mqtt::outbound);
    let uplink = Uplink::new(config, &mut settings, own_mqtt.as_deref())?;
    let addresses = Addresses::new(config, &settings, listening, uplink.as_ref().map(Uplink::own_points));
    let outbound = OutboundRoutes {
        http: Some(Arc::new(http::outbound(config)?)),
        mqtt: own_mqtt.map(|outbound| outbound as Arc<dyn Outbound>),
        registrar: uplink.as_ref().map(Uplink::outbound).unwrap_or_default(),
    };
    let clock = Arc::new(SystemClock::default());
    let (cse, background) = Cse::start(settings, store.clone(), clock, Arc::new(outbound)).await?;
    let stop = lifecycle.stop_of(Stage::Core);
    lifecycle.spawn(Stage::Core, "cse", run_core(cse.clone(), background, stop, lifecycle.stopping()));

    let mut health = Health::new(lifecycle.stopping());
    let mut registry = Registry::default();
    metrics::register_process(&mut registry);
    metrics::register(&mut registry, {
        let (cse, store) = (cse.clone(), store.clone());
        move || metrics::core_samples(&cse).into_iter().chain(metrics::store_samples(store.metrics())).collect()
    });
    health.part("store", Role::Needed, store_probe(store));
    if let Some(mqtt) = mqtt {
        if let Some(tls) = &listeners.mqtt.server_tls {
            certificates::start(Arc::clone(tls), lifecycle).map_err(StartError::Signals)?;
        }
        let registrations = cse.registrations();
        mqtt.start(config, cse.clone(), registrations, listeners.mqtt, lifecycle, &mut health, &mut registry);
    }
    let look_at_addresses = addresses.map(|addresses| addresses.start(&cse, lifecycle));
    if let Some(uplink) = uplink {
        uplink.start(&cse, look_at_addresses, lifecycle, &mut health, &mut registry);
    }
    if listeners.http.is_some() {
        // A listener whose task has ended stops the server, so one that is asked listens.
        health.part("http", Role::Binding, Box::new(|| Box::pin(async { Ok(()) })));
    }
    let monitored = Arc::new(Monitored { health, registry });
    http::start(config, cse, listeners.http, listeners.monitoring, monitored, lifecycle);
    Ok(())
}

/// Runs the tasks of the CSE until they have ended after a stop.
async fn run_core<S: Store>(
    cse: Cse<S>,
    background: impl Future<Output = ()>,
    stop: watch::Receiver<bool>,
    stopping: watch::Receiver<bool>,
) {
    let stopper = async {
        // The bindings wait for what they have begun.
        stopped(stopping).await;
        cse.end_polls();
        stopped(stop).await;
        cse.stop();
        pending::<()>().await;
    };
    tokio::select! {
        () = background => {}
        () = stopper => {}
    }
}

fn store_probe(store: SqliteStore) -> Probe {
    Box::new(move || {
        let store = store.clone();
        Box::pin(async move { store.check().await.map_err(|error| error.to_string()) })
    })
}

fn announce(config: &Config, settings: &Settings, listening: &Listening) {
    let data_dir = config.store.data_dir.display().to_string();
    banner::print(&settings.identity, settings.admin.as_str(), listening, &data_dir);
    let identity = &settings.identity;
    info!(
        sp_id = %identity.sp_id,
        cse_id = %identity.cse_id,
        data_dir,
        points_of_access = settings.points_of_access.join(" "),
        "started"
    );
    if identity.cse_type != CseType::In && settings.registrar.is_none() {
        info!("no registrar is configured: this CSE is on its own (docs/gateway.md)");
    }
    for exposure in config.exposures() {
        warn!(address = %exposure.address, "others can reach this server, {}", exposure.why);
    }
}
