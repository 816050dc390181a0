//! From the queue to the client, and the client's acknowledgements.

use std::sync::Arc;

use bytes::BytesMut;
use rumqttc::QoS;

use super::{InFlight, MESSAGE_OVERHEAD_BYTES, Queued, Session, Stage, State};
use crate::broker::Core;
use crate::broker::codec::{self, Quality, Reason};
use crate::broker::connection::ConnectionShared;
use crate::broker::terms::Terms;

impl Session {
    /// Writes what may be sent now, until `out` has `enough` bytes.
    pub(crate) fn take_output(
        &self,
        core: &Core,
        connection: &Arc<ConnectionShared>,
        out: &mut BytesMut,
        enough: usize,
    ) {
        // Dropped without the lock, which those who wait for it may want.
        let mut dropped = Vec::new();
        let mut state = self.state.lock();
        if !state.is_of(connection) {
            return;
        }
        let terms = &connection.terms;
        let mut packets = 0;
        while out.len() < enough && self.send_again(core, &mut state, terms, out, &mut dropped) {}
        while out.len() < enough && state.unsent == 0 {
            let Some(queued) = state.next_to_send(terms.in_flight_max) else {
                break;
            };
            let cost = queued.message.cost();
            if queued.message.is_expired(&core.clock) {
                core.stats.dropped_expired.increment();
                self.release(&mut state, cost);
                state.forget(&queued);
                dropped.push(Stage::Publish(queued));
                continue;
            }
            let number = queued.number;
            let quality = match queued.qos {
                QoS::AtMostOnce => Quality::AtMostOnce,
                qos => {
                    let dup = state.begin_sending(number);
                    Quality::Acknowledged { qos, packet_id: packet_id_of(number), dup }
                }
            };
            let fits = terms.write(&queued.message, quality, &core.clock, out);
            if fits {
                packets += 1;
            } else {
                core.stats.dropped_too_large.increment();
            }
            match quality {
                Quality::Acknowledged { packet_id, .. } if fits => {
                    state.in_flight.push_back(InFlight { number, packet_id, cost, stage: Stage::Publish(queued) });
                }
                _ => {
                    self.release(&mut state, cost);
                    state.forget(&queued);
                    dropped.push(Stage::Publish(queued));
                }
            }
        }
        if packets > 0 {
            core.stats.publishes_sent.add(packets);
        }
    }

    /// Sends the first unsent message in flight again, PUBLISH or PUBREL. `false` if there is none that may be sent.
    /// What is too large for the client now goes to `dropped`.
    fn send_again(
        &self,
        core: &Core,
        state: &mut State,
        terms: &Terms,
        out: &mut BytesMut,
        dropped: &mut Vec<Stage>,
    ) -> bool {
        let at = state.in_flight.len() - state.unsent;
        let Some(entry) = state.in_flight.get(at) else {
            return false;
        };
        let packet_id = entry.packet_id;
        let sent = match &entry.stage {
            Stage::Publish(_) if at >= terms.in_flight_max => return false,
            Stage::Publish(Queued { message, qos, .. }) => {
                let quality = Quality::Acknowledged { qos: *qos, packet_id, dup: true };
                terms.write(message, quality, &core.clock, out)
            }
            Stage::Release => {
                codec::write_pubrel(out, terms.version, packet_id, Reason::Success);
                true
            }
        };
        if sent {
            core.stats.publishes_sent.increment();
            state.unsent -= 1;
        } else {
            core.stats.dropped_too_large.increment();
            let entry = self.take_in_flight(state, |entry| entry.packet_id == packet_id);
            dropped.extend(entry.map(|entry| entry.stage));
        }
        true
    }

    /// Whether nothing waits for the client.
    pub(crate) fn is_drained(&self) -> bool {
        let state = self.state.lock();
        state.queue.is_empty() && state.in_flight.is_empty()
    }

    /// PUBACK: a QoS 1 message has arrived, and may have been `refused` then. Unknown packet identifiers are ignored,
    /// as after a lost session.
    pub(crate) fn acknowledge(&self, connection: &Arc<ConnectionShared>, packet_id: u16, refused: bool) {
        let done = {
            let mut state = self.state.lock();
            if !state.is_of(connection) {
                return;
            }
            let is_meant = |entry: &InFlight| {
                entry.packet_id == packet_id
                    && matches!(&entry.stage, Stage::Publish(queued) if queued.qos == QoS::AtLeastOnce)
            };
            self.take_in_flight(&mut state, is_meant)
        };
        if let Some(InFlight { stage: Stage::Publish(Queued { guard: Some(guard), .. }), .. }) = done
            && !refused
        {
            guard.acknowledged();
        }
    }

    /// PUBREC: a QoS 2 message has arrived; PUBREL is to follow. `false` if there is no such message.
    pub(crate) fn received(&self, connection: &Arc<ConnectionShared>, packet_id: u16) -> bool {
        let mut guard = self.state.lock();
        let state = &mut *guard;
        if !state.is_of(connection) {
            return false;
        }
        let Some(entry) = state.in_flight.iter_mut().find(|entry| entry.packet_id == packet_id) else {
            return false;
        };
        match &entry.stage {
            Stage::Publish(queued) if queued.qos == QoS::ExactlyOnce => {}
            Stage::Publish(_) => return false,
            Stage::Release => return true,
        }
        let stage = std::mem::replace(&mut entry.stage, Stage::Release);
        let freed = std::mem::replace(&mut entry.cost, MESSAGE_OVERHEAD_BYTES);
        if let Some(kept) = &mut state.kept {
            kept.confirmed(entry.number);
        }
        self.release(state, freed.saturating_sub(MESSAGE_OVERHEAD_BYTES));
        drop(guard);
        if let Stage::Publish(Queued { guard: Some(guard), .. }) = stage {
            guard.acknowledged();
        }
        true
    }

    /// PUBREC with the reason that the client could not take the message: that is the end of it.
    pub(crate) fn refused(&self, connection: &Arc<ConnectionShared>, packet_id: u16) {
        let mut state = self.state.lock();
        let refused = if state.is_of(connection) {
            self.take_in_flight(&mut state, |entry| entry.packet_id == packet_id && entry.is_exactly_once())
        } else {
            None
        };
        drop(state);
        drop(refused);
    }

    /// PUBCOMP: the end of a QoS 2 delivery.
    pub(crate) fn completed(&self, connection: &Arc<ConnectionShared>, packet_id: u16) {
        let mut state = self.state.lock();
        if state.is_of(connection) {
            self.take_in_flight(&mut state, |entry| {
                entry.packet_id == packet_id && matches!(entry.stage, Stage::Release)
            });
        }
    }

    fn take_in_flight(&self, state: &mut State, is_meant: impl Fn(&InFlight) -> bool) -> Option<InFlight> {
        let at = state.in_flight.iter().position(is_meant)?;
        if at >= state.in_flight.len() - state.unsent {
            state.unsent -= 1;
        }
        let entry = state.in_flight.remove(at)?;
        self.release(state, entry.cost);
        if let Some(kept) = &mut state.kept {
            kept.done(entry.number);
        }
        Some(entry)
    }
}

impl State {
    /// Takes the next message from the queue, if one may be sent. A packet identifier belongs to a place in the order,
    /// so a client that never acknowledges one message, but 65,534 after it, gets no more until it connects again.
    fn next_to_send(&mut self, in_flight_max: usize) -> Option<Queued> {
        let Self { queue, in_flight, kept, .. } = self;
        queue.pop_front_if(|queued| {
            queued.qos == QoS::AtMostOnce
                || (in_flight.len() < in_flight_max
                    && kept.as_ref().is_none_or(|kept| kept.may_send(queued))
                    && !in_flight.iter().any(|entry| entry.packet_id == packet_id_of(queued.number)))
        })
    }

    /// Notes that a message is sent for the first time; `true` if another process may have sent it before.
    fn begin_sending(&mut self, number: u64) -> bool {
        let Some(kept) = &mut self.kept else { return false };
        kept.sent(number);
        kept.is_repeated(number)
    }
}

/// The packet identifier of a message. It follows from the number, so that a message which is sent again by another
/// process has the same.
pub(super) fn packet_id_of(number: u64) -> u16 {
    u16::try_from((number.max(1) - 1) % u64::from(u16::MAX) + 1).unwrap_or(u16::MAX)
}
