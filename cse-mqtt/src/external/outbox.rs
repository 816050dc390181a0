//! What one external broker still has to get: messages until it has acknowledged them, and our acknowledgements.
//!
//! The client library forgets everything it holds when the broker has lost the session, so every message stays here
//! until PUBACK. No I/O here: the driver takes entries out and reports what happened to them.

use std::collections::VecDeque;

use bytes::Bytes;
use rustc_hash::FxHashMap;
use tokio::sync::oneshot;

/// Messages that may be between the oldest without PUBACK and the newest.
///
/// The library numbers packets in a circle of [`PACKET_IDS`] and gets stuck when it meets a number still in use; with
/// a window smaller than the circle (a few numbers go to SUBSCRIBE) it never does.
const WINDOW: u64 = PACKET_IDS as u64 - 16;
/// Packet identifiers that the library uses.
pub(super) const PACKET_IDS: u16 = 512;

/// What a message costs besides topic and payload, roughly.
const MESSAGE_OVERHEAD_BYTES: usize = 128;

/// A message of ours.
pub(super) struct Message {
    pub(super) topic: String,
    pub(super) payload: Bytes,
    /// Who wants to know when the broker has it; gone if they have given up.
    pub(super) receipt: Option<oneshot::Sender<()>>,
}

impl Message {
    fn cost(&self) -> usize {
        self.topic.len() + self.payload.len() + MESSAGE_OVERHEAD_BYTES
    }

    fn is_withdrawn(&self) -> bool {
        self.receipt.as_ref().is_some_and(oneshot::Sender::is_closed)
    }
}

enum Entry {
    Message(Message),
    Acknowledgement { packet_id: u16 },
}

/// What the driver hands to the library next.
pub(super) enum Next<'a> {
    Message(&'a Message),
    Acknowledgement { packet_id: u16 },
}

struct Handed {
    sequence: u64,
    message: Message,
}

/// A received message that we have to acknowledge, in the order of arrival (MQTT 3.1.1 §4.6).
struct Arrival {
    packet_id: u16,
    done: bool,
}

/// See the module.
pub(super) struct Outbox {
    entries: VecDeque<Entry>,
    /// Handed to the library, packet identifier not known yet; in order.
    handed: VecDeque<Handed>,
    /// On their way, by packet identifier.
    in_flight: FxHashMap<u16, Handed>,
    /// Sequence numbers from `oldest` on: whether acknowledged.
    window: VecDeque<bool>,
    oldest: u64,
    arrivals: VecDeque<Arrival>,
    first_arrival: u64,
    /// Counts connections: acknowledgements for an earlier one are void.
    generation: u64,
    connected: bool,
    messages: usize,
    bytes: usize,
}

impl Outbox {
    pub(super) fn new() -> Self {
        Self {
            entries: VecDeque::new(),
            handed: VecDeque::new(),
            in_flight: FxHashMap::default(),
            window: VecDeque::new(),
            oldest: 0,
            arrivals: VecDeque::new(),
            first_arrival: 0,
            generation: 0,
            connected: false,
            messages: 0,
            bytes: 0,
        }
    }

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
        let mut under_way = self.handed.iter().chain(self.in_flight.values());
        self.messages == 0 || (!self.connected && under_way.all(|handed| handed.message.is_withdrawn()))
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

    fn forget(&mut self, message: Message) {
        self.messages -= 1;
        self.bytes -= message.cost();
        drop(message);
    }

    // === for the driver: sending ===

    /// What to hand over next, if anything may be now. Followed by [`Outbox::handed_over`] if it was.
    pub(super) fn next(&mut self) -> Option<Next<'_>> {
        if !self.connected {
            return None;
        }
        while matches!(self.entries.front(), Some(Entry::Message(message)) if message.is_withdrawn()) {
            if let Some(Entry::Message(message)) = self.entries.pop_front() {
                self.forget(message);
            }
        }
        match self.entries.front()? {
            Entry::Acknowledgement { packet_id } => Some(Next::Acknowledgement { packet_id: *packet_id }),
            Entry::Message(message) => ((self.window.len() as u64) < WINDOW).then_some(Next::Message(message)),
        }
    }

    /// The library has taken what [`Outbox::next`] gave.
    pub(super) fn handed_over(&mut self) {
        if let Some(Entry::Message(message)) = self.entries.pop_front() {
            let sequence = self.oldest + self.window.len() as u64;
            self.window.push_back(false);
            self.handed.push_back(Handed { sequence, message });
        }
    }

    /// The library has written a message under that packet identifier, for the first time or again.
    pub(super) fn written(&mut self, packet_id: u16) {
        if !self.in_flight.contains_key(&packet_id)
            && let Some(handed) = self.handed.pop_front()
        {
            self.in_flight.insert(packet_id, handed);
        }
    }

    /// PUBACK.
    pub(super) fn acknowledged(&mut self, packet_id: u16) {
        let Some(mut handed) = self.in_flight.remove(&packet_id) else { return };
        if let Some(place) = usize::try_from(handed.sequence - self.oldest).ok().and_then(|at| self.window.get_mut(at))
        {
            *place = true;
        }
        while self.window.front() == Some(&true) {
            self.window.pop_front();
            self.oldest += 1;
        }
        if let Some(receipt) = handed.message.receipt.take() {
            // Whoever waited may have given up in this very moment.
            let _ = receipt.send(());
        }
        self.forget(handed.message);
    }

    /// Where the message under that packet identifier stands among all, to send again in the first order.
    pub(super) fn sequence_of(&self, packet_id: u16) -> Option<u64> {
        self.in_flight.get(&packet_id).map(|handed| handed.sequence)
    }

    // === for the driver: connections ===

    pub(super) fn connected(&mut self) {
        self.connected = true;
    }

    /// The connection is gone: the broker will send again what we have not acknowledged on it.
    pub(super) fn disconnected(&mut self) {
        self.connected = false;
        self.generation += 1;
        self.arrivals.clear();
        self.first_arrival = 0;
        self.entries.retain(|entry| matches!(entry, Entry::Message(_)));
    }

    /// The library has forgotten what it was given: it gets it again. Gives the number of messages.
    pub(super) fn start_over(&mut self) -> usize {
        let mut again: Vec<Handed> =
            self.in_flight.drain().map(|(_, handed)| handed).chain(self.handed.drain(..)).collect();
        again.sort_unstable_by_key(|handed| handed.sequence);
        let count = again.len();
        for handed in again.into_iter().rev() {
            self.entries.push_front(Entry::Message(handed.message));
        }
        self.oldest += self.window.len() as u64;
        self.window.clear();
        count
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
mod tests {
    use super::*;

    fn message(topic: &str) -> Message {
        Message { topic: topic.into(), payload: Bytes::new(), receipt: None }
    }

    /// Hands everything over that may be, and says what.
    fn hand_over(outbox: &mut Outbox) -> Vec<String> {
        let mut taken = Vec::new();
        loop {
            match outbox.next() {
                Some(Next::Message(message)) => taken.push(message.topic.clone()),
                Some(Next::Acknowledgement { packet_id }) => taken.push(format!("ack {packet_id}")),
                None => return taken,
            }
            outbox.handed_over();
        }
    }

    fn connected() -> Outbox {
        let mut outbox = Outbox::new();
        outbox.connected();
        outbox
    }

    #[test]
    fn nothing_goes_out_without_connection() {
        let mut outbox = Outbox::new();
        outbox.push(message("a"));
        assert!(outbox.next().is_none());
        outbox.connected();
        assert_eq!(hand_over(&mut outbox), ["a"]);
    }

    #[test]
    fn messages_stay_until_acknowledged_and_the_window_holds() {
        let mut outbox = connected();
        for number in 0..WINDOW + 5 {
            outbox.push(message(&number.to_string()));
        }
        assert_eq!(hand_over(&mut outbox).len() as u64, WINDOW);
        for packet_id in 1..=4 {
            outbox.written(packet_id);
        }
        outbox.acknowledged(2);
        assert!(outbox.next().is_none(), "the oldest is not acknowledged: packet identifiers would collide");
        outbox.acknowledged(1);
        assert_eq!(hand_over(&mut outbox).len(), 2);
        outbox.acknowledged(1);
        assert_eq!(outbox.load().0 as u64, WINDOW + 3, "an acknowledgement counts once");
    }

    #[test]
    fn a_lost_session_brings_everything_again_in_order() {
        let mut outbox = connected();
        for topic in ["a", "b", "c", "d", "e"] {
            outbox.push(message(topic));
        }
        hand_over(&mut outbox);
        for packet_id in [1, 2, 3] {
            outbox.written(packet_id);
        }
        outbox.acknowledged(2);
        outbox.push(message("f"));
        outbox.disconnected();
        outbox.connected();
        assert_eq!(outbox.start_over(), 4);
        assert_eq!(hand_over(&mut outbox), ["a", "c", "d", "e", "f"]);
        for packet_id in 1..=5 {
            outbox.written(packet_id);
            outbox.acknowledged(packet_id);
        }
        assert!(outbox.is_drained());
        assert_eq!(outbox.load(), (0, 0));
    }

    #[test]
    fn a_resumed_session_goes_on() {
        let mut outbox = connected();
        outbox.push(message("a"));
        outbox.push(message("b"));
        hand_over(&mut outbox);
        outbox.written(1);
        outbox.disconnected();
        outbox.connected();
        outbox.written(1);
        outbox.written(2);
        assert_eq!((outbox.sequence_of(1), outbox.sequence_of(2), outbox.sequence_of(3)), (Some(0), Some(1), None));
        outbox.acknowledged(1);
        outbox.acknowledged(2);
        assert!(outbox.is_drained());
    }

    #[test]
    fn withdrawn_messages_are_not_sent() {
        let mut outbox = Outbox::new();
        let (sender, receiver) = oneshot::channel();
        outbox.push(Message { receipt: Some(sender), ..message("a") });
        outbox.push(message("b"));
        drop(receiver);
        outbox.connected();
        assert_eq!(hand_over(&mut outbox), ["b"]);
        assert_eq!(outbox.load().0, 1);
    }

    #[test]
    fn withdrawn_messages_do_not_keep_a_link_open() {
        let mut outbox = Outbox::new();
        let (sender, receiver) = oneshot::channel();
        outbox.push(Message { receipt: Some(sender), ..message("a") });
        assert!(!outbox.is_drained());
        drop(receiver);
        assert!(outbox.is_drained());
        assert_eq!(outbox.load(), (0, 0));

        let (sender, receiver) = oneshot::channel();
        outbox.push(Message { receipt: Some(sender), ..message("b") });
        outbox.connected();
        hand_over(&mut outbox);
        drop(receiver);
        assert!(!outbox.is_drained(), "it may be acknowledged any moment");
        outbox.disconnected();
        assert!(outbox.is_drained());
    }

    #[test]
    fn acknowledgements_keep_the_order_of_arrival_and_follow_answers() {
        let mut outbox = connected();
        let first = outbox.arrived(7);
        let second = outbox.arrived(8);
        outbox.push(message("answer to 8"));
        outbox.acknowledge(second.0, second.1);
        assert_eq!(hand_over(&mut outbox), ["answer to 8"]);
        outbox.push(message("answer to 7"));
        outbox.acknowledge(first.0, first.1);
        assert_eq!(hand_over(&mut outbox), ["answer to 7", "ack 7", "ack 8"]);
    }

    #[test]
    fn acknowledgements_of_an_earlier_connection_are_void() {
        let mut outbox = connected();
        let old = outbox.arrived(7);
        let waiting = outbox.arrived(9);
        outbox.acknowledge(old.0, old.1);
        outbox.disconnected();
        outbox.connected();
        let again = outbox.arrived(3);
        outbox.acknowledge(waiting.0, waiting.1);
        assert!(hand_over(&mut outbox).is_empty());
        outbox.acknowledge(again.0, again.1);
        assert_eq!(hand_over(&mut outbox), ["ack 3"]);
    }
}
