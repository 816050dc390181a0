//! Acknowledgements of one connection, sent in the order of the PUBLISH packets whatever the order of their decisions.
//!
//! MQTT 3.1.1 §4.6 demands PUBACK and PUBREC in the order in which the PUBLISH packets came (MQTT-4.6.0-2, -3), while
//! the receiver behind a link decides in any order.

use std::collections::VecDeque;

use super::codec::Reason;

/// Which packet acknowledges a PUBLISH.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum AckKind {
    /// QoS 1.
    PubAck,
    /// QoS 2.
    PubRec,
}

#[derive(Debug)]
struct Entry {
    packet_id: u16,
    kind: AckKind,
    reason: Reason,
    /// Decisions still missing.
    waiting: u32,
}

/// Acknowledgements not sent yet, oldest first.
#[derive(Debug, Default)]
pub(crate) struct AckQueue {
    /// Sequence number of the first entry.
    first: u64,
    entries: VecDeque<Entry>,
}

impl AckQueue {
    /// Appends an acknowledgement that waits for `waiting` decisions, and gives its sequence number.
    pub(crate) fn push(&mut self, packet_id: u16, kind: AckKind, reason: Reason, waiting: u32) -> u64 {
        let sequence = self.first + self.entries.len() as u64;
        self.entries.push_back(Entry { packet_id, kind, reason, waiting });
        sequence
    }

    /// Changes the reason of an acknowledgement that has not been taken.
    pub(crate) fn set_reason(&mut self, sequence: u64, reason: Reason) {
        if let Some(entry) = self.entry(sequence) {
            entry.reason = reason;
        }
    }

    fn entry(&mut self, sequence: u64) -> Option<&mut Entry> {
        let at = usize::try_from(sequence.checked_sub(self.first)?).ok()?;
        self.entries.get_mut(at)
    }

    /// Takes one decision; `true` if the head of the queue became ready by it.
    pub(crate) fn complete(&mut self, sequence: u64) -> bool {
        let is_head = sequence == self.first;
        let Some(entry) = self.entry(sequence) else {
            return false;
        };
        let was_waiting = entry.waiting > 0;
        entry.waiting = entry.waiting.saturating_sub(1);
        is_head && was_waiting && entry.waiting == 0
    }

    /// Takes the head, if it is ready.
    pub(crate) fn pop_ready(&mut self) -> Option<(u16, AckKind, Reason)> {
        let entry = self.entries.pop_front_if(|entry| entry.waiting == 0)?;
        self.first += 1;
        Some((entry.packet_id, entry.kind, entry.reason))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ready(queue: &mut AckQueue) -> Vec<u16> {
        std::iter::from_fn(|| queue.pop_ready()).map(|(packet_id, ..)| packet_id).collect()
    }

    #[test]
    fn a_late_head_holds_back_the_others() {
        let mut queue = AckQueue::default();
        let first = queue.push(10, AckKind::PubAck, Reason::Success, 1);
        let second = queue.push(11, AckKind::PubAck, Reason::Success, 1);
        queue.push(12, AckKind::PubRec, Reason::Success, 0);
        assert!(!queue.complete(second));
        assert_eq!(ready(&mut queue), [0_u16; 0]);
        assert!(queue.complete(first));
        assert_eq!(ready(&mut queue), [10, 11, 12]);
        assert!(queue.is_empty());
    }

    #[test]
    fn a_reason_may_come_later() {
        let mut queue = AckQueue::default();
        let sequence = queue.push(1, AckKind::PubAck, Reason::Success, 0);
        queue.set_reason(sequence, Reason::QuotaExceeded);
        assert_eq!(queue.pop_ready(), Some((1, AckKind::PubAck, Reason::QuotaExceeded)));
        queue.set_reason(sequence, Reason::Success);
        assert_eq!(queue.pop_ready(), None);
    }

    #[test]
    fn all_links_must_decide() {
        let mut queue = AckQueue::default();
        let sequence = queue.push(1, AckKind::PubAck, Reason::Success, 2);
        assert!(!queue.complete(sequence));
        assert_eq!(ready(&mut queue), [0_u16; 0]);
        assert!(queue.complete(sequence));
        assert_eq!(ready(&mut queue), [1]);
        assert!(!queue.complete(sequence), "a decision that comes too often changes nothing");
    }

    proptest! {
        #[test]
        fn any_order_of_decisions_gives_the_order_of_receipt(
            order in Just((0_u16..40).collect::<Vec<_>>()).prop_shuffle(),
            pops in prop::collection::vec(any::<bool>(), 40),
        ) {
            let mut queue = AckQueue::default();
            let sequences: Vec<_> = (0..40).map(|packet_id| queue.push(packet_id, AckKind::PubAck, Reason::Success, 1)).collect();
            let mut sent = Vec::new();
            for (packet_id, pop) in order.into_iter().zip(pops) {
                queue.complete(sequences[usize::from(packet_id)]);
                if pop {
                    sent.extend(ready(&mut queue));
                }
            }
            sent.extend(ready(&mut queue));
            prop_assert_eq!(sent, (0_u16..40).collect::<Vec<_>>());
        }
    }
}
