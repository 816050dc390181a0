//! QoS 2 messages from the client: each is delivered once, however often it comes.
//!
//! The record belongs to the session, not to the connection, so that a link may decide after the connection that
//! brought the message is gone, and the redelivery on the next one is recognized.

use std::sync::Arc;

use super::Session;
use crate::broker::connection::ConnectionShared;
use crate::broker::hold::Hold;

/// A QoS 2 packet identifier of the client, from PUBLISH to PUBREL.
pub(super) enum Exact {
    /// Links are deciding, or sessions are being stored. `ack` is where PUBREC goes when they have: an entry of the connection that sent the PUBLISH
    /// last.
    Pending {
        attempt: u64,
        waiting: u32,
        ack: (Arc<ConnectionShared>, u64),
    },
    Accepted,
}

/// What to do with a QoS 2 PUBLISH.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Receipt {
    /// Not seen before: deliver it, and remember it with [`Session::exact_begin`].
    New,
    /// Delivered already: only acknowledge it.
    Accepted,
    /// A link has it and has not decided: acknowledge when it does.
    Pending,
    /// As pending, and the acknowledgement is already awaited on this connection: nothing to do.
    Repeated,
    /// Too many packet identifiers are not released.
    TooMany,
}

impl Session {
    /// What to do with a QoS 2 PUBLISH.
    pub(crate) fn exact_receipt(&self, connection: &Arc<ConnectionShared>, packet_id: u16) -> Receipt {
        let state = self.state.lock();
        match state.exact.get(&packet_id) {
            Some(Exact::Accepted) => Receipt::Accepted,
            Some(Exact::Pending { ack: (own, _), .. }) if Arc::ptr_eq(own, connection) => Receipt::Repeated,
            Some(Exact::Pending { .. }) => Receipt::Pending,
            None if state.exact.len() >= self.limits.unacknowledged_max => Receipt::TooMany,
            None => Receipt::New,
        }
    }

    /// The PUBREC of a pending message now goes to `ack`, an entry of the connection that sent it again. `false` if it
    /// has been decided in the meantime.
    pub(crate) fn exact_redirect(&self, packet_id: u16, ack: (Arc<ConnectionShared>, u64)) -> bool {
        let mut state = self.state.lock();
        match state.exact.get_mut(&packet_id) {
            Some(Exact::Pending { ack: old, .. }) => {
                *old = ack;
                true
            }
            _ => false,
        }
    }

    /// Remembers a new QoS 2 message that waits for `decisions`; gives the number of the attempt. Without any it is
    /// accepted at once.
    pub(crate) fn exact_begin(&self, packet_id: u16, decisions: u32, ack: (Arc<ConnectionShared>, u64)) -> u64 {
        let attempt = {
            let mut state = self.state.lock();
            state.last_attempt += 1;
            let attempt = state.last_attempt;
            state.exact.insert(packet_id, Exact::Pending { attempt, waiting: decisions.max(1), ack });
            attempt
        };
        if decisions == 0 {
            self.exact_accept(packet_id, attempt);
        }
        attempt
    }

    /// A decision is there; the last one lets PUBREC go, as soon as it is stored that there was one.
    pub(crate) fn exact_accept(&self, packet_id: u16, attempt: u64) {
        let free = {
            let mut guard = self.state.lock();
            let state = &mut *guard;
            let Some(entry) = state.exact.get_mut(&packet_id) else {
                return;
            };
            match entry {
                Exact::Pending { attempt: of, waiting, ack } if *of == attempt => {
                    *waiting = waiting.saturating_sub(1);
                    if *waiting > 0 {
                        return;
                    }
                    let hold = Hold::acknowledgement(Arc::clone(&ack.0), ack.1);
                    *entry = Exact::Accepted;
                    match &mut state.kept {
                        Some(kept) => {
                            kept.packet_id_changed(packet_id);
                            kept.wait(hold)
                        }
                        None => Some(hold),
                    }
                }
                _ => return,
            }
        };
        drop(free);
    }

    /// A link has let go of the message without accepting: the client's next attempt counts as new.
    pub(crate) fn exact_abandon(&self, packet_id: u16, attempt: u64) {
        let mut state = self.state.lock();
        if matches!(state.exact.get(&packet_id), Some(Exact::Pending { attempt: of, .. }) if *of == attempt) {
            state.exact.remove(&packet_id);
        }
    }

    /// PUBREL: the packet identifier is free again. `false` if there is nothing to release.
    ///
    /// A PUBREL that comes before its PUBREC releases nothing: the decision has to find where PUBREC goes, which would
    /// otherwise hold back every later acknowledgement of its connection.
    pub(crate) fn exact_release(&self, packet_id: u16) -> bool {
        let mut state = self.state.lock();
        let accepted = matches!(state.exact.get(&packet_id), Some(Exact::Accepted));
        if accepted {
            state.exact.remove(&packet_id);
            if let Some(kept) = &mut state.kept {
                kept.packet_id_changed(packet_id);
            }
        }
        accepted
    }
}
