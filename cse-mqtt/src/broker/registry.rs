//! Which client identifier has which session, and for how long.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rustc_hash::FxHashSet;
use tokio::time::Instant;
use tracing::warn;

use super::Core;
use super::connection::{ConnectionShared, Ending};
use super::limits::Limits;
use super::offline::{Excess, Offline};
use super::policy::Identity;
use super::session::{Detached, Session, SessionSnapshot};

/// Identities whose first session that had to make room is worth a line in the log. Later ones are counted only.
const IDENTITIES_WARNED_MAX: usize = 1_000;

/// All sessions, connected or not.
#[derive(Default)]
pub(crate) struct Registry(Mutex<Sessions>);

/// What a CONNECT asks of its session.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Keeping {
    /// Begin with a new session, whatever there is.
    pub(crate) clean_start: bool,
    /// How long the session is to outlive the connection, at most [`Limits::offline_expiry`](super::Limits); zero: it
    /// ends with it.
    pub(crate) expiry: Duration,
}

#[derive(Default)]
struct Sessions {
    /// Keys come from clients, hence the keyed default hasher.
    by_client_id: HashMap<Arc<str>, Arc<Session>>,
    offline: Offline,
    /// Identities that were warned about.
    warned: FxHashSet<Identity>,
}

impl Core {
    /// Gives a connection its session, and whether it is a resumed one. A connection that had the client identifier
    /// is closed. A session of another identity is never handed over but ended.
    pub(crate) fn attach(&self, connection: &Arc<ConnectionShared>, keeping: Keeping) -> (Arc<Session>, bool) {
        let Keeping { clean_start, expiry } = keeping;
        let client = &connection.client;
        let mut sessions = self.registry.0.lock();
        let existing = sessions.by_client_id.get(&client.client_id).cloned();
        if let Some(session) = &existing
            && !clean_start
            && session.may_be_resumed(&client.identity, Instant::now())
        {
            let displaced = session.attach(Arc::clone(connection), expiry);
            if let Some(until) = displaced.offline_until {
                sessions.offline.remove(until, session.id);
            }
            drop(sessions);
            self.take_over(displaced.connection);
            return (Arc::clone(session), true);
        }
        let session = Session::new(self, expiry, Arc::clone(connection));
        sessions.by_client_id.insert(Arc::clone(&client.client_id), Arc::clone(&session));
        if let Some(old) = &existing {
            sessions.forget_offline(old);
        }
        drop(sessions);
        if let Some(old) = existing {
            self.take_over(self.router.remove_session(&old));
        }
        (session, false)
    }

    fn take_over(&self, connection: Option<Arc<ConnectionShared>>) {
        if let Some(connection) = connection {
            self.stats.takeovers.increment();
            connection.end(Ending::TakenOver);
        }
    }

    /// A connection has ended: keeps or ends its session, unless another connection has that by now.
    pub(crate) fn detach(&self, session: &Arc<Session>, connection: &Arc<ConnectionShared>) {
        let mut sessions = self.registry.0.lock();
        if !sessions.has(session) {
            // Whoever took it out of here ends it, and its client identifier may be another session's by now.
            return;
        }
        let ended = match session.detach(connection, Instant::now()) {
            Detached::NotMine => return,
            Detached::Ended => {
                sessions.by_client_id.remove(&session.client_id);
                Some(Arc::clone(session))
            }
            Detached::Kept(until) => {
                sessions.offline.insert(until, Arc::clone(session));
                self.make_room(&mut sessions, session)
            }
        };
        drop(sessions);
        if let Some(ended) = ended {
            self.router.remove_session(&ended);
        }
    }

    /// Takes a session from an earlier process, which is offline. One that had the client identifier is ended.
    pub(crate) fn adopt(&self, session: Arc<Session>) {
        let mut sessions = self.registry.0.lock();
        let mut ended = Vec::new();
        if let Some(old) = sessions.by_client_id.insert(Arc::clone(&session.client_id), Arc::clone(&session)) {
            sessions.forget_offline(&old);
            ended.push(old);
        }
        if let Some(until) = session.offline_until() {
            sessions.offline.insert(until, Arc::clone(&session));
            ended.extend(self.make_room(&mut sessions, &session));
        }
        drop(sessions);
        for session in ended {
            self.router.remove_session(&session);
        }
    }

    /// Takes out the session that makes room for one that has lost its connection, if one has to.
    fn make_room(&self, sessions: &mut Sessions, newest: &Session) -> Option<Arc<Session>> {
        let displaced = sessions.take_excess(&newest.client().identity, &self.limits)?;
        self.stats.sessions_displaced.increment();
        Some(displaced)
    }

    /// Ends the sessions that are to end at `now`.
    pub(crate) fn expire_sessions(&self, now: Instant) {
        loop {
            let Some(expired) = self.registry.0.lock().take_due(now) else {
                return;
            };
            self.stats.sessions_expired.increment();
            self.router.remove_session(&expired);
        }
    }

    /// Ends a client's session and connection.
    pub(crate) fn expel(&self, client_id: &str) -> bool {
        let mut sessions = self.registry.0.lock();
        let Some(session) = sessions.by_client_id.remove(client_id) else {
            return false;
        };
        sessions.forget_offline(&session);
        drop(sessions);
        self.end_removed(&session, Ending::Expelled);
        true
    }

    /// Ends a session and its connection; `false` if it is not there any more.
    pub(crate) fn end_session(&self, session: &Arc<Session>, ending: Ending) -> bool {
        let mut sessions = self.registry.0.lock();
        if !sessions.has(session) {
            return false;
        }
        sessions.by_client_id.remove(&session.client_id);
        sessions.forget_offline(session);
        drop(sessions);
        self.end_removed(session, ending);
        true
    }

    fn end_removed(&self, session: &Arc<Session>, ending: Ending) {
        if let Some(connection) = self.router.remove_session(session) {
            connection.end(ending);
        }
    }

    pub(crate) fn is_known(&self, client_id: &str) -> bool {
        self.registry.0.lock().by_client_id.contains_key(client_id)
    }

    pub(crate) fn all_sessions(&self) -> Vec<Arc<Session>> {
        self.registry.0.lock().by_client_id.values().cloned().collect()
    }

    pub(crate) fn snapshots(&self) -> Vec<SessionSnapshot> {
        self.all_sessions().iter().map(|session| session.snapshot()).collect()
    }
}

impl Sessions {
    fn has(&self, session: &Session) -> bool {
        self.by_client_id.get(&session.client_id).is_some_and(|known| known.id == session.id)
    }

    fn forget_offline(&mut self, session: &Session) {
        if let Some(until) = session.offline_until() {
            self.offline.remove(until, session.id);
        }
    }

    fn take_due(&mut self, now: Instant) -> Option<Arc<Session>> {
        let session = self.offline.remove_due(now)?;
        self.by_client_id.remove(&session.client_id);
        Some(session)
    }

    fn take_excess(&mut self, newest: &Identity, limits: &Limits) -> Option<Arc<Session>> {
        let (excess, session) = self.offline.remove_excess(newest, limits)?;
        self.by_client_id.remove(&session.client_id);
        let client = session.client();
        if self.warned.len() < IDENTITIES_WARNED_MAX && self.warned.insert(client.identity.clone()) {
            let (identity, client_id) = (client.identity.name(), &*client.client_id);
            let bound = match excess {
                Excess::OfIdentity => limits.offline_sessions_per_identity_max,
                Excess::InAll => limits.offline_sessions_max,
            };
            warn!(
                identity,
                client_id,
                ?excess,
                bound,
                "too many sessions of clients that are away: one made room; further ones of this identity are counted \
                 only"
            );
        }
        Some(session)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::codec::{Connect, Version};
    use crate::broker::policy::{Client, Identity};
    use crate::broker::terms::Terms;
    use crate::broker::{Limits, OpenPolicy};

    fn connection(limits: &Limits) -> Arc<ConnectionShared> {
        let connect = Connect {
            version: Version::V311,
            client_id: "c".to_owned(),
            clean_start: true,
            session_expiry: 0,
            keep_alive: 0,
            username: None,
            password: None,
            receive_max: u16::MAX,
            packet_bytes_max: u32::MAX,
        };
        let client = Client { client_id: "c".into(), identity: Identity::new(""), peer: None };
        Arc::new(ConnectionShared::new(Arc::new(client), Terms::of(&connect, limits), None))
    }

    /// Between taking the place of a session and ending it, the connection of the old one may end by itself.
    #[test]
    fn a_displaced_session_does_not_take_its_successor_with_it() {
        for expiry in [Duration::ZERO, Duration::from_secs(60)] {
            let core = Core::new(Limits::default(), Arc::new(OpenPolicy), None);
            let (first, second) = (connection(&core.limits), connection(&core.limits));
            let (old, _) = core.attach(&first, Keeping { clean_start: true, expiry });
            let new = Session::new(&core, expiry, Arc::clone(&second));
            core.registry.0.lock().by_client_id.insert("c".into(), Arc::clone(&new));
            core.detach(&old, &first);
            core.expire_sessions(Instant::now() + Duration::from_secs(120));
            assert!(core.registry.0.lock().has(&new));
            core.router.remove_session(&old);
            core.detach(&new, &second);
            core.expire_sessions(Instant::now() + Duration::from_secs(120));
            assert!(!core.is_known("c"));
        }
    }
    /// A client that keeps pushing out its own sessions must not fill the log.
    #[test]
    fn an_identity_is_warned_about_once() {
        let limits = Limits { offline_sessions_per_identity_max: 1, ..Limits::default() };
        let core = Core::new(limits, Arc::new(OpenPolicy), None);
        let keeping = Keeping { clean_start: true, expiry: Duration::from_secs(60) };
        for (identity, warned) in [("a", 0), ("a", 1), ("a", 1), ("b", 1), ("b", 2), ("a", 2)] {
            let client_id = format!("{identity}{}", core.next_id()).into();
            let client = Client { client_id, identity: Identity::new(identity), peer: None };
            let terms = connection(&core.limits).terms;
            let connection = Arc::new(ConnectionShared::new(Arc::new(client), terms, None));
            let (session, _) = core.attach(&connection, keeping);
            core.detach(&session, &connection);
            assert_eq!(core.registry.0.lock().warned.len(), warned);
        }
        assert_eq!(core.stats.sessions_displaced.get(), 4);
        assert_eq!(core.snapshots().len(), 2);
    }
}
