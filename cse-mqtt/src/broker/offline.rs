//! Sessions whose clients are away: in which order they end, and which one makes room when there are too many.
//!
//! A client that may choose among many client identifiers could leave a session behind with each. So the sessions of
//! one identity are bounded; and when all together are too many, the identity with the most of them gives one up, not
//! whoever happens to be away longest.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use tokio::time::Instant;

use super::limits::Limits;
use super::policy::Identity;
use super::session::Session;

/// When a session ends, and its number.
type Key = (Instant, u64);

/// The sessions without a connection.
#[derive(Default)]
pub(super) struct Offline {
    by_end: BTreeMap<Key, Arc<Session>>,
    /// Names come from clients, hence the keyed default hasher.
    by_identity: HashMap<Identity, BTreeSet<Key>>,
    /// One entry for each identity: how many sessions it has, and which of them ends first. The last entry is that of
    /// the identity with the most; among equals, of that whose session ends first.
    ranks: BTreeSet<(usize, Reverse<Key>)>,
}

/// Why a session makes room.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Excess {
    /// Its identity has too many.
    OfIdentity,
    /// There are too many.
    InAll,
}

impl Offline {
    /// Adds a session that is to end at `until`.
    pub(super) fn insert(&mut self, until: Instant, session: Arc<Session>) {
        let key = (until, session.id);
        self.change_keys(session.client().identity.clone(), |keys| {
            keys.insert(key);
        });
        self.by_end.insert(key, session);
    }

    /// Removes a session that was to end at `until`.
    pub(super) fn remove(&mut self, until: Instant, id: u64) -> Option<Arc<Session>> {
        let key = (until, id);
        let session = self.by_end.remove(&key)?;
        self.change_keys(session.client().identity.clone(), |keys| {
            keys.remove(&key);
        });
        Some(session)
    }

    /// Removes the session that ends first, if it is to end at `now`.
    pub(super) fn remove_due(&mut self, now: Instant) -> Option<Arc<Session>> {
        let (&(until, id), _) = self.by_end.first_key_value()?;
        if until <= now { self.remove(until, id) } else { None }
    }

    /// After a session of `identity` was added: removes the one that makes room for it, if one has to.
    pub(super) fn remove_excess(&mut self, identity: &Identity, limits: &Limits) -> Option<(Excess, Arc<Session>)> {
        let of_identity = self.by_identity.get(identity).filter(|keys| {
            // Those whom nobody can tell apart are not one client's affair.
            !identity.is_nobody() && keys.len() > limits.offline_sessions_per_identity_max
        });
        let (excess, (until, id)) = if let Some(keys) = of_identity {
            (Excess::OfIdentity, *keys.first()?)
        } else if self.by_end.len() > limits.offline_sessions_max {
            let (_, Reverse(key)) = self.ranks.last()?;
            (Excess::InAll, *key)
        } else {
            return None;
        };
        self.remove(until, id).map(|session| (excess, session))
    }

    fn change_keys(&mut self, identity: Identity, change: impl FnOnce(&mut BTreeSet<Key>)) {
        let keys = self.by_identity.entry(identity.clone()).or_default();
        if let Some(rank) = rank(keys) {
            self.ranks.remove(&rank);
        }
        change(keys);
        match rank(keys) {
            Some(rank) => {
                self.ranks.insert(rank);
            }
            None => {
                self.by_identity.remove(&identity);
            }
        }
    }
}

fn rank(keys: &BTreeSet<Key>) -> Option<(usize, Reverse<Key>)> {
    keys.first().map(|first| (keys.len(), Reverse(*first)))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::broker::codec::Version;
    use crate::broker::connection::ConnectionShared;
    use crate::broker::policy::Client;
    use crate::broker::terms::Terms;
    use crate::broker::{Core, OpenPolicy};

    /// Adds sessions `identity` and second in which they end, in that order, and tells who made room.
    fn pushed_out(per_identity: usize, total: usize, sessions: &[(&str, u64)]) -> Vec<String> {
        let limits = Limits {
            offline_sessions_per_identity_max: per_identity,
            offline_sessions_max: total,
            ..Limits::default()
        };
        let core = Core::new(limits.clone(), Arc::new(OpenPolicy), None);
        let start = Instant::now();
        let mut offline = Offline::default();
        let mut gone = Vec::new();
        for (name, second) in sessions {
            let identity = Identity::new(*name);
            let client = Client { client_id: format!("{name}{second}").into(), identity: identity.clone(), peer: None };
            let terms = Terms { version: Version::V311, in_flight_max: 1, packet_bytes_max: usize::MAX };
            let connection = Arc::new(ConnectionShared::new(Arc::new(client), terms, None));
            let session = Session::new(&core, Duration::from_secs(60), connection);
            offline.insert(start + Duration::from_secs(*second), session);
            if let Some((excess, session)) = offline.remove_excess(&identity, &limits) {
                gone.push(format!("{}{}", session.client_id, if excess == Excess::InAll { "!" } else { "" }));
            }
            assert!(offline.remove_excess(&identity, &limits).is_none(), "one makes room for one");
        }
        let left = offline.by_end.len();
        assert!(left <= total);
        assert_eq!(offline.by_identity.values().map(BTreeSet::len).sum::<usize>(), left);
        assert_eq!(offline.ranks.len(), offline.by_identity.len());
        let later = start + Duration::from_secs(1000);
        assert_eq!(std::iter::from_fn(|| offline.remove_due(later)).count(), left);
        assert!(offline.by_identity.is_empty() && offline.ranks.is_empty());
        gone
    }

    #[test]
    fn an_identity_makes_room_for_itself() {
        assert_eq!(pushed_out(2, 9, &[("a", 1), ("b", 2), ("a", 3), ("a", 4), ("b", 5), ("a", 6)]), ["a1", "a3"]);
        // The new one may be the one that ends first.
        assert_eq!(pushed_out(2, 9, &[("a", 5), ("a", 6), ("a", 1)]), ["a1"]);
    }

    #[test]
    fn nobody_is_bounded_by_the_total_alone() {
        assert_eq!(pushed_out(1, 3, &[("", 1), ("", 2), ("", 3), ("", 4)]), ["1!"]);
    }

    #[test]
    fn whoever_has_most_makes_room() {
        let many = [("a", 1), ("b", 2), ("b", 3), ("b", 4), ("c", 5), ("d", 6)];
        assert_eq!(pushed_out(9, 4, &many), ["b2!", "b3!"]);
        // Among equals, who ends first.
        assert_eq!(pushed_out(9, 3, &[("c", 3), ("a", 1), ("b", 2), ("d", 4)]), ["a1!"]);
        // Those without credential count as one.
        assert_eq!(pushed_out(9, 3, &[("a", 1), ("", 2), ("", 3), ("b", 4)]), ["2!"]);
        assert_eq!(pushed_out(9, 0, &[("a", 1)]), ["a1!"]);
    }

    #[test]
    fn only_what_is_due_ends() {
        let core = Core::new(Limits::default(), Arc::new(OpenPolicy), None);
        let client = Client { client_id: "c".into(), identity: Identity::new("i"), peer: None };
        let terms = Terms { version: Version::V311, in_flight_max: 1, packet_bytes_max: usize::MAX };
        let connection = Arc::new(ConnectionShared::new(Arc::new(client), terms, None));
        let session = Session::new(&core, Duration::from_secs(60), connection);
        let (id, until) = (session.id, Instant::now() + Duration::from_secs(60));
        let mut offline = Offline::default();
        offline.insert(until, session);
        assert!(offline.remove_due(Instant::now()).is_none());
        assert!(offline.remove(until, id + 1).is_none());
        assert!(offline.remove_due(until).is_some() && offline.remove_due(until).is_none());
    }
}
