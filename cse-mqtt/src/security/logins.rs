//! Logins with password, bounded: a hash takes tens of milliseconds and megabytes, on purpose, and who asks for one is
//! not known yet.

use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use lru::LruCache;
use parking_lot::Mutex;
use tokio::sync::Semaphore;

use super::users::Users;
use crate::broker::{Admission, Counter};

/// Addresses whose failures are remembered; beyond it the one that failed longest ago is forgotten.
const ADDRESSES_MAX: usize = 10_000;

/// Bounds of logins with password.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct LoginLimits {
    /// Hashes computed at a time, each on a thread of its own. Default 2.
    pub concurrent_max: usize,
    /// Logins that wait for one of these; further ones are refused as "server unavailable", and come again.
    /// Default 500.
    pub waiting_max: usize,
    /// Failures of one address (IPv6: of one network of 64 bits) within [`LoginLimits::failure_window`]; then its logins
    /// are refused at once, right or wrong, until the window is over. 0: any number. Default 20.
    pub failures_max: u32,
    /// See [`LoginLimits::failures_max`]. Default 1 min.
    pub failure_window: Duration,
}

impl Default for LoginLimits {
    fn default() -> Self {
        Self { concurrent_max: 2, waiting_max: 500, failures_max: 20, failure_window: Duration::from_secs(60) }
    }
}

/// What became of a login.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Login {
    /// The password is right.
    Right(Admission),
    /// Name or password is wrong.
    Wrong,
    /// Too much was asked for at once; it was not looked at.
    Refused,
}

/// Verifies passwords within bounds.
pub(crate) struct Logins {
    limits: LoginLimits,
    users: Arc<Users>,
    places: Arc<Semaphore>,
    turns: Arc<Semaphore>,
    failures: Arc<Failures>,
}

/// Failures of each network since a time.
struct Failures {
    networks: Mutex<LruCache<IpAddr, (Instant, u32)>>,
    counter: Arc<Counter>,
}

impl Logins {
    /// `failed` counts logins with a wrong name or password.
    pub(crate) fn new(users: Arc<Users>, limits: LoginLimits, failed: Arc<Counter>) -> Self {
        let addresses = NonZeroUsize::new(ADDRESSES_MAX).unwrap_or(NonZeroUsize::MIN);
        let networks = Mutex::new(LruCache::new(addresses));
        let concurrent = limits.concurrent_max.max(1);
        Self {
            limits,
            users,
            places: Arc::new(Semaphore::new(concurrent + limits.waiting_max)),
            turns: Arc::new(Semaphore::new(concurrent)),
            failures: Arc::new(Failures { networks, counter: failed }),
        }
    }

    /// Checks name and password.
    pub(crate) async fn verify(&self, peer: IpAddr, name: String, password: Bytes) -> Login {
        let network = network_of(peer);
        if self.has_failed_enough(network, Instant::now()) {
            return Login::Refused;
        }
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else { return Login::Refused };
        let Ok(turn) = Arc::clone(&self.turns).acquire_owned().await else { return Login::Refused };
        let (users, failures) = (Arc::clone(&self.users), Arc::clone(&self.failures));
        let work = move || {
            // Both go back when the hash is done, even if the client is gone or its time is over by then; and a wrong
            // password is one whether or not somebody waits to be told.
            let _held = (place, turn);
            let verified = users.verify(&name, &password);
            if verified.is_none() {
                failures.note(network, Instant::now());
            }
            verified
        };
        match tokio::task::spawn_blocking(work).await {
            Ok(Some(admission)) => Login::Right(admission),
            Ok(None) => Login::Wrong,
            Err(_) => Login::Refused,
        }
    }

    fn has_failed_enough(&self, network: IpAddr, now: Instant) -> bool {
        let limits = &self.limits;
        let mut failures = self.failures.networks.lock();
        match failures.peek(&network) {
            Some((since, _)) if now.saturating_duration_since(*since) >= limits.failure_window => {
                failures.pop(&network);
                false
            }
            Some((_, count)) => limits.failures_max > 0 && *count >= limits.failures_max,
            None => false,
        }
    }
}

impl Failures {
    fn note(&self, network: IpAddr, now: Instant) {
        self.counter.increment();
        let mut networks = self.networks.lock();
        let (_, count) = networks.get_or_insert_mut(network, || (now, 0));
        *count = count.saturating_add(1);
    }
}

/// The network that one owner has, commonly.
fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use cse_core::id::{CseIdentity, CseType};
    use futures_util::FutureExt;

    use super::super::users::cheap_hash;
    use super::*;

    fn logins(limits: LoginLimits) -> (tempfile::TempDir, Logins) {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("users");
        std::fs::write(&path, format!("lamp:{}:Clamp", cheap_hash("secret"))).expect("written");
        let own = CseIdentity::new("//cse.example", "/id-in", "cse-in", CseType::In).expect("valid");
        let users = Users::load(&path, &own).expect("valid");
        (directory, Logins::new(Arc::new(users), limits, Arc::default()))
    }

    async fn login(logins: &Logins, peer: &str, password: &'static str) -> Login {
        logins.verify(peer.parse().expect("an address"), "lamp".into(), Bytes::from(password)).await
    }

    #[tokio::test]
    async fn an_address_that_keeps_failing_is_refused() {
        let (_directory, logins) = logins(LoginLimits { failures_max: 3, ..LoginLimits::default() });
        let right = login(&logins, "10.0.0.1", "secret").await;
        assert!(matches!(&right, Login::Right(admission) if admission.identity.name() == "ae Clamp lamp"));
        for _ in 0..3 {
            assert_eq!(login(&logins, "10.0.0.1", "wrong").await, Login::Wrong);
        }
        assert_eq!(login(&logins, "10.0.0.1", "secret").await, Login::Refused);
        assert_eq!(login(&logins, "::ffff:10.0.0.1", "secret").await, Login::Refused);
        // Others are not concerned; an IPv6 network is one.
        assert_eq!(login(&logins, "10.0.0.2", "secret").await, right);
        for host in ["2001:db8::1", "2001:db8::2", "2001:db8::3:4"] {
            assert_eq!(login(&logins, host, "wrong").await, Login::Wrong);
        }
        assert_eq!(login(&logins, "2001:db8::9", "secret").await, Login::Refused);
        assert_eq!(login(&logins, "2001:db8:0:1::9", "secret").await, right);
        // Until the window is over.
        let now = Instant::now();
        let address = "10.0.0.1".parse().expect("an address");
        assert!(logins.has_failed_enough(address, now));
        assert!(!logins.has_failed_enough(address, now + Duration::from_secs(60)));
        assert_eq!(login(&logins, "10.0.0.1", "secret").await, right);
    }

    #[tokio::test]
    async fn a_wrong_password_counts_even_if_nobody_waits_for_the_outcome() {
        let (_directory, logins) = logins(LoginLimits { failures_max: 1, ..LoginLimits::default() });
        // As the connect timeout does, when the hash has begun.
        drop(Box::pin(login(&logins, "10.0.0.1", "secret")).now_or_never());
        drop(Box::pin(login(&logins, "10.0.0.1", "wrong")).now_or_never());
        let places = logins.limits.concurrent_max + logins.limits.waiting_max;
        let places = u32::try_from(places).expect("few");
        drop(logins.places.acquire_many(places).await.expect("open"));
        assert_eq!(logins.failures.counter.get(), 1);
        assert_eq!(login(&logins, "10.0.0.1", "secret").await, Login::Refused);
    }

    #[tokio::test]
    async fn without_bound_failures_do_not_count() {
        let (_directory, logins) = logins(LoginLimits { failures_max: 0, ..LoginLimits::default() });
        for _ in 0..50 {
            assert_eq!(login(&logins, "10.0.0.1", "wrong").await, Login::Wrong);
        }
    }

    #[tokio::test]
    async fn logins_beyond_the_queue_are_refused() {
        let limits = LoginLimits { concurrent_max: 1, waiting_max: 2, failures_max: 0, ..LoginLimits::default() };
        let (_directory, logins) = logins(limits);
        // The only turn is taken, so that the others wait.
        let turn = Arc::clone(&logins.turns).acquire_owned().await.expect("open");
        let mut waiting: Vec<_> = (0..3).map(|_| Box::pin(login(&logins, "10.0.0.1", "secret"))).collect();
        for login in &mut waiting {
            assert!(login.as_mut().now_or_never().is_none());
        }
        assert_eq!(login(&logins, "10.0.0.1", "secret").await, Login::Refused);
        // One that gives up makes room.
        drop(waiting.pop());
        let mut next = Box::pin(login(&logins, "10.0.0.1", "secret"));
        assert!(next.as_mut().now_or_never().is_none());
        drop(turn);
        for login in waiting.into_iter().chain([next]) {
            assert!(matches!(login.await, Login::Right(_)));
        }
    }
}
