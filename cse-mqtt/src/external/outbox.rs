//! What one external broker still has to get: messages until it has acknowledged them, and our acknowledgements.
//!
//! Every message stays here until PUBACK, over connections and lost sessions. No I/O here: the driver takes out what to
//! write and reports what happened.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::wire::SUBSCRIBE_ID;
use crate::link::Progress;

/// Messages that may be between the oldest without PUBACK and the newest, unless the broker wants fewer.
const WINDOW: u16 = 512;
/// Packet identifiers of messages: 1 to this, in a circle.
const PACKET_IDS: usize = SUBSCRIBE_ID as usize - 1;
/// What a message costs besides topic and payload, roughly.
const MESSAGE_OVERHEAD_BYTES: usize = 128;
/// Fixed header, packet identifier, topic length and properties of a PUBLISH, at most.
pub(super) const PUBLISH_HEADER_BYTES_MAX: usize = 16;
/// Connections that ended while the same message was the oldest without acknowledgement, from which on messages go one
/// by one: one of them may be what the broker cannot stand.
const SUSPECT_AFTER: u8 = 3;
/// As many more, alone, and the message is given up, so that it does not hold up all others for ever.
const GIVE_UP_AFTER: u8 = 10;

/// A message of ours.
pub(super) struct Message {
    pub(super) topic: String,
    pub(super) payload: Bytes,
    /// When it is of no use any more.
    pub(super) expires: Option<Instant>,
    /// Who wants to know when the broker has it; gone if they have given up.
    pub(super) receipt: Option<Waiter>,
}

/// Who wants to know what becomes of a message.
pub(super) struct Waiter {
    pub(super) progress: oneshot::Sender<Progress>,
    /// Set when the message has been given to a connection.
    pub(super) left: Arc<AtomicBool>,
}

impl Message {
    fn cost(&self) -> usize {
        self.topic.len() + self.payload.len() + MESSAGE_OVERHEAD_BYTES
    }

    fn packet_bytes(&self) -> usize {
        self.topic.len() + self.payload.len() + PUBLISH_HEADER_BYTES_MAX
    }

    fn is_withdrawn(&self) -> bool {
        self.receipt.as_ref().is_some_and(|receipt| receipt.progress.is_closed())
    }

    fn settle(&mut self, progress: Progress) {
        if let Some(receipt) = self.receipt.take() {
            // Whoever waited may have given up in this very moment.
            let _ = receipt.progress.send(progress);
        }
    }
}

enum Entry {
    Message(Message),
    Acknowledgement { packet_id: u16 },
}

/// What to write next.
pub(super) enum Next<'a> {
    Message { message: &'a Message, packet_id: u16, duplicate: bool },
    Acknowledgement { packet_id: u16 },
}

/// A message that has a packet identifier.
struct Sent {
    message: Message,
    /// It was written on an earlier connection of this session.
    again: bool,
    /// Connections that ended while it was the oldest.
    ends: u8,
}

/// A received message that we have to acknowledge, in the order of arrival (MQTT 3.1.1 §4.6).
struct Arrival {
    packet_id: u16,
    done: bool,
}

/// See the module.
#[derive(Default)]
pub(super) struct Outbox {
    entries: VecDeque<Entry>,
    /// Messages with packet identifiers, which follow one another; `None` where acknowledged. The first is not.
    sent: VecDeque<Option<Sent>>,
    /// Packet identifier of the first of them, counted from 0.
    first_id: usize,
    /// How many of them were written on this connection.
    written: usize,
    window: u16,
    packet_bytes_max: Option<usize>,
    arrivals: VecDeque<Arrival>,
    first_arrival: u64,
    /// Counts connections: acknowledgements for an earlier one are void.
    generation: u64,
    connected: bool,
    messages: usize,
    bytes: usize,
}

impl Outbox {
    /// Messages that the broker has not acknowledged, and their bytes.
    pub(super) fn load(&self) -> (usize, usize) {
        (self.messages, self.bytes)
    }

    /// Whether there is nothing left to do.
    pub(super) fn is_drained(&mut self) -> bool {
        self.purge();
        if !self.entries.is_empty() {
            return false;
        }
        // Without connection, nobody waits for the rest to be sent again if all have given up.
        self.messages == 0 || (!self.connected && self.sent.iter().flatten().all(|sent| sent.message.is_withdrawn()))
    }

    /// Forgets the messages that nobody wants to be sent any more.
    pub(super) fn purge(&mut self) {
        let (mut messages, mut bytes) = (0, 0);
        self.entries.retain(|entry| match entry {
            Entry::Message(message) if message.is_withdrawn() => {
                messages += 1;
                bytes += message.cost();
                false
            }
            _ => true,
        });
        self.messages -= messages;
        self.bytes -= bytes;
    }

    pub(super) fn push(&mut self, message: Message) {
        self.messages += 1;
        self.bytes += message.cost();
        self.entries.push_back(Entry::Message(message));
    }

    fn forget(&mut self, mut message: Message, progress: Progress) {
        self.messages -= 1;
        self.bytes -= message.cost();
        message.settle(progress);
    }

    // === for the driver: sending ===

    /// What to write now, if anything; it counts as written. First what an earlier connection left, in the first order.
    pub(super) fn take_next(&mut self, now: Instant) -> Option<Next<'_>> {
        if !self.connected {
            return None;
        }
        let window = if self.suspects() { 1 } else { usize::from(self.window) };
        while self.written < self.sent.len() {
            if self.written >= window {
                return None;
            }
            let (index, packet_id) = (self.written, self.packet_id(self.written));
            self.written += 1;
            if self.sent.get(index).is_some_and(Option::is_some) {
                let sent = self.sent.get(index).and_then(Option::as_ref)?;
                return Some(Next::Message { message: &sent.message, packet_id, duplicate: sent.again });
            }
        }
        self.drop_useless(now);
        match self.entries.front()? {
            Entry::Message(_) if self.sent.len() >= window => None,
            _ => match self.entries.pop_front()? {
                Entry::Acknowledgement { packet_id } => Some(Next::Acknowledgement { packet_id }),
                Entry::Message(message) => {
                    let packet_id = self.packet_id(self.sent.len());
                    if let Some(receipt) = &message.receipt {
                        receipt.left.store(true, Ordering::Release);
                    }
                    self.sent.push_back(Some(Sent { message, again: false, ends: 0 }));
                    self.written = self.sent.len();
                    let sent = self.sent.back().and_then(Option::as_ref)?;
                    Some(Next::Message { message: &sent.message, packet_id, duplicate: false })
                }
            },
        }
    }

    /// Takes messages away from the front that are withdrawn, expired, or larger than this broker takes.
    fn drop_useless(&mut self, now: Instant) {
        let largest = self.packet_bytes_max.unwrap_or(usize::MAX);
        let is_useless = |message: &Message| {
            message.is_withdrawn()
                || message.expires.is_some_and(|then| then <= now)
                || message.packet_bytes() > largest
        };
        while matches!(self.entries.front(), Some(Entry::Message(message)) if is_useless(message)) {
            if let Some(Entry::Message(message)) = self.entries.pop_front() {
                self.forget(message, Progress::Lost);
            }
        }
    }

    fn packet_id(&self, index: usize) -> u16 {
        u16::try_from((self.first_id + index) % PACKET_IDS + 1).unwrap_or(1)
    }

    fn suspects(&self) -> bool {
        self.oldest().is_some_and(|sent| sent.ends >= SUSPECT_AFTER)
    }

    fn oldest(&self) -> Option<&Sent> {
        self.sent.front().and_then(Option::as_ref)
    }

    /// PUBACK. Gives the message's topic if it was one of ours and not acknowledged before.
    pub(super) fn acknowledged(&mut self, packet_id: u16, progress: Progress) -> Option<String> {
        let index = (usize::from(packet_id).checked_sub(1)? + PACKET_IDS - self.first_id) % PACKET_IDS;
        if index >= self.written {
            return None;
        }
        let sent = self.sent.get_mut(index)?.take()?;
        self.move_on();
        let topic = sent.message.topic.clone();
        self.forget(sent.message, progress);
        Some(topic)
    }

    fn move_on(&mut self) {
        while matches!(self.sent.front(), Some(None)) {
            self.sent.pop_front();
            self.first_id = (self.first_id + 1) % PACKET_IDS;
            self.written = self.written.saturating_sub(1);
        }
    }

    // === for the driver: connections ===

    /// Connected, on the broker's terms. A broker that has no session gets everything again, as new; gives how many.
    pub(super) fn connected(
        &mut self,
        session_present: bool,
        receive_maximum: Option<u16>,
        packet_bytes_max: Option<usize>,
    ) -> usize {
        self.connected = true;
        self.window = receive_maximum.unwrap_or(WINDOW).clamp(1, WINDOW);
        self.packet_bytes_max = packet_bytes_max;
        self.written = 0;
        if session_present {
            return 0;
        }
        let mut again = 0;
        for sent in self.sent.iter_mut().flatten() {
            again += usize::from(sent.again);
            sent.again = false;
        }
        again
    }

    /// The connection is gone: the broker will send again what we have not acknowledged on it. Gives the message that
    /// is given up because connections keep ending with it.
    pub(super) fn disconnected(&mut self) -> Option<(String, usize)> {
        self.connected = false;
        self.generation += 1;
        self.arrivals.clear();
        self.first_arrival = 0;
        self.entries.retain(|entry| matches!(entry, Entry::Message(_)));
        for sent in self.sent.iter_mut().take(self.written).flatten() {
            sent.again = true;
        }
        let was_written = self.written > 0;
        self.written = 0;
        let oldest = self.sent.front_mut().and_then(Option::as_mut).filter(|_| was_written)?;
        oldest.ends += 1;
        if oldest.ends < GIVE_UP_AFTER {
            return None;
        }
        let given_up = self.sent.front_mut().and_then(Option::take)?;
        self.move_on();
        let what = (given_up.message.topic.clone(), given_up.message.payload.len());
        self.forget(given_up.message, Progress::Lost);
        Some(what)
    }

    // === acknowledging what arrives ===

    /// A message with QoS 1 has arrived; gives what names it to [`Outbox::acknowledge`].
    pub(super) fn arrived(&mut self, packet_id: u16) -> (u64, u64) {
        let sequence = self.first_arrival + self.arrivals.len() as u64;
        self.arrivals.push_back(Arrival { packet_id, done: false });
        (self.generation, sequence)
    }

    /// The message has done its work. Acknowledgements go out in the order of arrival.
    pub(super) fn acknowledge(&mut self, generation: u64, sequence: u64) {
        if generation != self.generation {
            return;
        }
        let place = sequence.checked_sub(self.first_arrival).and_then(|at| usize::try_from(at).ok());
        if let Some(arrival) = place.and_then(|at| self.arrivals.get_mut(at)) {
            arrival.done = true;
        }
        while self.arrivals.front().is_some_and(|arrival| arrival.done) {
            if let Some(Arrival { packet_id, .. }) = self.arrivals.pop_front() {
                self.first_arrival += 1;
                self.entries.push_back(Entry::Acknowledgement { packet_id });
            }
        }
    }
}

#[cfg(test)]
mod tests;
