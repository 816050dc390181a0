//! The addresses of this machine, looked at again while the server runs: they come and go, with DHCP or with interfaces.
//!
//! Nothing has to be looked at where the operator has said how the CSE is reached (`cse.poa`), and where it listens at
//! certain addresses only.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use cse_core::cse::Cse;
use cse_core::ports::Store;
use cse_core::settings::Settings;
use cse_core::value::Text;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};
use tracing::info;

use super::uplink::OwnPoints;
use crate::config::Config;
use crate::lifecycle::{Lifecycle, Stage, stopped};
use crate::poa::{Listening, own_address};

/// How often they are looked at without registrar.
const LOOK: Duration = Duration::from_secs(60);

/// How the CSE is reached, by the addresses of the machine.
pub(super) struct Addresses {
    listening: Listening,
    for_registrar: Option<OwnPoints>,
    /// What the CSEBase shows.
    shown: Vec<Text>,
    /// Zero for never but when a connection has come back.
    interval: Duration,
}

impl Addresses {
    /// `None` where they cannot change.
    pub(super) fn new(
        config: &Config,
        settings: &Settings,
        listening: &Listening,
        for_registrar: Option<&OwnPoints>,
    ) -> Option<Self> {
        (config.cse.poa.is_empty() && listening.is_at_any_address()).then(|| Self {
            listening: listening.clone(),
            for_registrar: for_registrar.cloned(),
            shown: settings.points_of_access.clone(),
            interval: settings.registrar.as_ref().map_or(LOOK, |registrar| registrar.check_interval),
        })
    }

    /// Looks at them from time to time, and when told to.
    pub(super) fn start<S: Store>(mut self, cse: &Cse<S>, lifecycle: &mut Lifecycle) -> Arc<Notify> {
        let look = Arc::new(Notify::new());
        let (told, cse, stop) = (Arc::clone(&look), cse.clone(), lifecycle.stop_of(Stage::Bindings));
        lifecycle.spawn(Stage::Bindings, "addresses", async move {
            let follow = async {
                loop {
                    tokio::select! {
                        () = told.notified() => {}
                        () = sleep_until(Instant::now() + self.interval), if !self.interval.is_zero() => {}
                    }
                    // Without a network there is nobody to tell, and the address may well be the same afterwards.
                    let Some(own) = own_address() else { continue };
                    if let Some((shown, for_registrar)) = self.changed(own) {
                        info!(points_of_access = shown.join(" "), "this machine has another address");
                        cse.set_points_of_access(shown, for_registrar).await;
                    }
                }
            };
            tokio::select! {
                () = follow => {}
                () = stopped(stop) => {}
            }
        });
        look
    }

    /// What the CSEBase and the registrar are to show, if that is not what they do.
    fn changed(&mut self, own: IpAddr) -> Option<(Vec<Text>, Vec<Text>)> {
        let shown = self.listening.points_of_access_at(own);
        if shown == self.shown {
            return None;
        }
        self.shown.clone_from(&shown);
        let for_registrar = self.for_registrar.as_ref().map(|points| points.with(&shown)).unwrap_or_default();
        Some((shown, for_registrar))
    }
}

#[cfg(test)]
mod tests {
    use crate::config::tests::parsed;

    use super::*;

    fn addresses(file: &str, http: &str) -> Option<Addresses> {
        let (config, problems) = parsed(file, &[]);
        assert_eq!(problems, [""; 0]);
        let listening = Listening { http: Some(http.parse().expect("an address")), ..Listening::default() };
        let mut settings = config.settings(vec!["http://192.0.2.1:80".into()]).expect("valid");
        let uplink = super::super::Uplink::new(&config, &mut settings, None).expect("valid");
        let points = uplink.as_ref().map(super::super::Uplink::own_points);
        Addresses::new(&config, &settings, &listening, points)
    }

    const REGISTRAR: &str =
        "[cse]\ntype = \"mn\"\nid = \"/id-mn\"\n[registrar]\ncse-id = \"/id-in\"\npoa = [\"mqtt://in\"]\n";

    #[test]
    fn another_address_is_told_once() {
        let mut addresses = addresses(REGISTRAR, "0.0.0.0:80").expect("some");
        assert_eq!(addresses.changed([192, 0, 2, 1].into()), None);
        let (shown, for_registrar) = addresses.changed([192, 0, 2, 7].into()).expect("a change");
        assert_eq!(
            (shown, for_registrar),
            (vec!["http://192.0.2.7:80".into()], vec!["mqtt://in".into(), "http://192.0.2.7:80".into()],)
        );
        assert_eq!(addresses.changed([192, 0, 2, 7].into()), None);
        assert!(addresses.changed([192, 0, 2, 1].into()).is_some());
    }

    #[test]
    fn what_the_operator_says_stays() {
        assert!(addresses("[cse]\npoa = [\"http://in.example\"]", "0.0.0.0:80").is_none());
        assert!(addresses("", "192.0.2.1:80").is_none(), "nor does it listen anywhere else");
        assert_eq!(addresses("", "[::]:80").expect("some").interval, LOOK);
        let never = format!("{REGISTRAR}check-interval = \"0s\"");
        assert_eq!(addresses(&never, "0.0.0.0:80").expect("some").interval, Duration::ZERO);
    }
}
