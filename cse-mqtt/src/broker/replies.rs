//! Packets of one connection that wait until something is stored: SUBACK, UNSUBACK, PUBREL and PUBCOMP.
//!
//! They leave in the order in which they were made (MQTT 3.1.1 §4.6 asks for that among PUBRELs), on a way of their
//! own: an acknowledgement that waits for a link must not hold up a PUBREL, whose receiver may be what the link waits
//! for.

use std::collections::VecDeque;

use bytes::Bytes;

/// Packets not sent yet, oldest first.
#[derive(Debug, Default)]
pub(crate) struct ReplyQueue {
    /// Sequence number of the first entry.
    first: u64,
    entries: VecDeque<Entry>,
}

#[derive(Debug)]
struct Entry {
    packet: Bytes,
    ready: bool,
}

impl ReplyQueue {
    /// Appends a packet and gives its sequence number.
    pub(crate) fn push(&mut self, packet: Bytes) -> u64 {
        let sequence = self.first + self.entries.len() as u64;
        self.entries.push_back(Entry { packet, ready: false });
        sequence
    }

    /// The packet may go when those before it have gone; `true` if it is the first.
    pub(crate) fn complete(&mut self, sequence: u64) -> bool {
        let at = sequence.checked_sub(self.first).and_then(|at| usize::try_from(at).ok());
        if let Some(entry) = at.and_then(|at| self.entries.get_mut(at)) {
            entry.ready = true;
        }
        at == Some(0)
    }

    /// Takes the first packet, if it may go.
    pub(crate) fn pop_ready(&mut self) -> Option<Bytes> {
        let entry = self.entries.pop_front_if(|entry| entry.ready)?;
        self.first += 1;
        Some(entry.packet)
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_keep_their_order() {
        let mut queue = ReplyQueue::default();
        let first = queue.push(Bytes::from_static(b"1"));
        let second = queue.push(Bytes::from_static(b"2"));
        assert!(!queue.complete(second));
        assert_eq!(queue.pop_ready(), None);
        assert!(queue.complete(first));
        assert_eq!(queue.pop_ready().as_deref(), Some(&b"1"[..]));
        assert_eq!(queue.pop_ready().as_deref(), Some(&b"2"[..]));
        assert!(!queue.complete(first), "a completion that comes twice changes nothing");
        assert_eq!((queue.pop_ready(), queue.len()), (None, 0));
    }
}
