//! Certificates of the listeners while the server runs: read again on SIGHUP, watched before they expire.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use cse_mqtt::transport::ServerTls;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::{MissedTickBehavior, interval};
use tracing::{error, info, warn};

use crate::lifecycle::{Lifecycle, Stage, stopped};

/// How often the time that is left is looked at.
const LOOK: Duration = Duration::from_secs(24 * 60 * 60);
/// A certificate with less time left is worth a warning.
const SOON: Duration = Duration::from_secs(21 * 24 * 60 * 60);

/// Looks after the certificate of the embedded broker.
///
/// # Errors
/// If the system does not let SIGHUP be received.
pub(super) fn start(tls: Arc<ServerTls>, lifecycle: &mut Lifecycle) -> io::Result<()> {
    let hangup = signal(SignalKind::hangup())?;
    let stop = lifecycle.stop_of(Stage::Bindings);
    lifecycle.spawn(Stage::Bindings, "certificates", look_after(tls, hangup, stop));
    Ok(())
}

async fn look_after(tls: Arc<ServerTls>, mut hangup: tokio::signal::unix::Signal, stop: watch::Receiver<bool>) {
    let mut looks = interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut stop = std::pin::pin!(stopped(stop));
    loop {
        tokio::select! {
            () = &mut stop => return,
            _ = looks.tick() => warn_if_soon(&tls),
            _ = hangup.recv() => {
                let reloading = Arc::clone(&tls);
                match spawn_blocking(move || reloading.reload()).await {
                    Ok(Ok(())) => {
                        info!("the certificate of the embedded broker was read again");
                        warn_if_soon(&tls);
                    }
                    Ok(Err(problem)) => error!(%problem, "the certificate of the embedded broker stays as it was"),
                    Err(failure) => error!(%failure, "the certificate of the embedded broker stays as it was"),
                }
            }
        }
    }
}

fn warn_if_soon(tls: &ServerTls) {
    match tls.remaining() {
        Some(Duration::ZERO) => error!("the certificate of the embedded broker has expired; clients refuse it"),
        Some(left) if left < SOON => {
            let days = left.as_secs() / (24 * 60 * 60);
            warn!(days, "the certificate of the embedded broker expires soon; SIGHUP makes the server read a new one");
        }
        _ => {}
    }
}
