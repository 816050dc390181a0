//! What let clients in may end while they are here: passwords are changed, users are struck off. Their connections end
//! then, and sessions that nobody can come back for.

use std::sync::Arc;

use super::connection::{ConnectionShared, Ending};
use super::policy::{Identity, Proof, Standing};
use super::session::Session;
use super::{Broker, Core};

/// What a review has ended.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Revoked {
    /// Connections closed.
    pub connections: usize,
    /// Sessions ended, of clients connected or not.
    pub sessions: usize,
}

/// How a session's client was let in last.
pub(crate) struct Admitted {
    pub(crate) identity: Identity,
    pub(crate) proof: Option<Proof>,
    /// None while the client is away.
    pub(crate) connection: Option<Arc<ConnectionShared>>,
}

impl Broker {
    /// Asks the policy about the [`Standing`] of all clients, connected or not, and closes connections and ends
    /// sessions accordingly. Clients of version 5 are told that they are not authorized any more.
    ///
    /// The policy must decide by what holds now already: clients that connect meanwhile are asked about when they have
    /// their session.
    pub fn review_standing(&self) -> Revoked {
        let mut revoked = Revoked::default();
        for session in self.core.all_sessions() {
            self.core.review_standing(&session, &mut revoked);
        }
        revoked
    }
}

impl Core {
    /// Whether a client may stay that has just been given its session. It was let in a moment ago, but a review in
    /// between has not seen it.
    pub(crate) fn check_standing(&self, connection: &ConnectionShared) {
        if self.policy.standing(&connection.client.identity, connection.proof) != Standing::Good {
            connection.end(Ending::Revoked);
        }
    }

    fn review_standing(&self, session: &Arc<Session>, revoked: &mut Revoked) {
        let Admitted { identity, proof, connection } = session.admitted();
        match self.policy.standing(&identity, proof) {
            Standing::Good => {}
            Standing::Stale => {
                if let Some(connection) = connection {
                    connection.end(Ending::Revoked);
                    revoked.connections += 1;
                }
            }
            Standing::Gone => {
                if self.end_session(session, Ending::Revoked) {
                    self.stats.sessions_revoked.increment();
                    revoked.sessions += 1;
                    revoked.connections += usize::from(connection.is_some());
                }
            }
        }
    }
}
