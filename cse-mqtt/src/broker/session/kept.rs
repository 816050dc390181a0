//! What the store of a kept session has to catch up with; see [`persistence`](crate::broker::persistence).
//!
//! Messages have growing numbers, so marks say what is stored: below `stored_below` they are, from `unstored_from` on
//! they are in no commit, and those between are in the one that is under way. A message that is done with before a
//! commit takes it is never written.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};

use rumqttc::QoS;
use rustc_hash::FxHashSet;
use tokio::time::Instant;

use super::{Exact, Message, Queued, Session, Stage, State};
use crate::broker::clock::WallClock;
use crate::broker::filter::TopicFilter;
use crate::broker::hold::Hold;
use crate::broker::persistence::{
    Budget, Changes, Journal, MessageContent, MessageRange, MessageRecord, PacketKey, SessionRecord, SubscriptionKey,
    SubscriptionRecord,
};

/// The part of a session that only kept ones have, if they are stored at all.
pub(super) struct Kept {
    journal: Arc<Journal>,
    session: Weak<Session>,
    /// In the journal's list.
    listed: bool,
    /// The store may have the session.
    known: bool,
    /// The session's own record has changed.
    changed: bool,
    /// Subscriptions that have come, changed or gone.
    filters: FxHashSet<TopicFilter>,
    /// QoS 2 packet identifiers that have come or gone.
    packet_ids: FxHashSet<u16>,
    /// Messages with QoS 2 whose receipt the client has confirmed.
    confirmed: Vec<u64>,
    /// Messages that the store may have and that are done with: first and last numbers.
    done: Vec<(u64, u64)>,
    /// Counts the changes that somebody waits for.
    revision: u64,
    stored_revision: u64,
    /// What may go when a revision is stored, by revision.
    waiting: VecDeque<(u64, Hold)>,
    unstored_from: u64,
    stored_below: u64,
    /// The store may have messages below.
    handed_below: u64,
    /// Messages below were there in that generation of the persister.
    patient_with: (u64, u64),
    /// Messages below have been sent.
    sent_below: u64,
    /// Messages below may have been sent by an earlier process.
    repeated_below: u64,
    /// The store does not know yet that the client is connected: what is sent now would not be known as repeated
    /// after a crash.
    barred: bool,
}

/// How a session is looked at.
pub(crate) struct Round<'a> {
    /// Messages that were there in an earlier generation are stored.
    pub(crate) generation: u64,
    /// All messages are stored.
    pub(crate) everything: bool,
    pub(crate) clock: &'a WallClock,
}

/// What a commit holds of one session.
pub(crate) enum Part {
    Ended,
    Kept(Box<KeptPart>),
}

pub(crate) struct KeptPart {
    revision: u64,
    changed: bool,
    filters: FxHashSet<TopicFilter>,
    packet_ids: FxHashSet<u16>,
    confirmed: Vec<u64>,
    done: Vec<(u64, u64)>,
    /// Numbers of messages, from the first and below the second.
    messages: (u64, u64),
}

impl Kept {
    pub(super) fn new(journal: Arc<Journal>, session: Weak<Session>) -> Self {
        Self {
            journal,
            session,
            listed: false,
            known: false,
            changed: true,
            filters: FxHashSet::default(),
            packet_ids: FxHashSet::default(),
            confirmed: Vec::new(),
            done: Vec::new(),
            revision: 0,
            stored_revision: 0,
            waiting: VecDeque::new(),
            unstored_from: 1,
            stored_below: 1,
            handed_below: 1,
            patient_with: (0, 0),
            sent_below: 1,
            repeated_below: 0,
            barred: false,
        }
    }

    /// As the store has it, with messages below `next`.
    pub(super) fn restored(journal: Arc<Journal>, session: Weak<Session>, record: &SessionRecord, next: u64) -> Self {
        let was_connected = record.ends.is_none();
        let sent_below = if was_connected { next } else { record.sent_below };
        Self {
            known: true,
            changed: was_connected,
            unstored_from: next,
            stored_below: next,
            handed_below: next,
            sent_below,
            repeated_below: sent_below,
            ..Self::new(journal, session)
        }
    }

    /// Lists the session for the persister.
    pub(super) fn note(&mut self) {
        if !self.listed
            && let Some(session) = self.session.upgrade()
        {
            self.listed = true;
            self.journal.list(session);
        }
    }

    /// As [`Kept::note`], and somebody waits.
    pub(super) fn hurry(&mut self) {
        self.note();
        self.journal.hurry();
    }

    fn revise(&mut self) {
        self.revision += 1;
        self.hurry();
    }

    /// The session has a connection again, or none any more. What waited for the last one has nobody left.
    pub(super) fn connection_changed(&mut self) {
        self.changed = true;
        for (_, hold) in self.waiting.drain(..) {
            hold.discard();
        }
        self.note();
    }

    /// What is stored and was not sent by this process waits until the store knows that it may be.
    pub(super) fn bar(&mut self, queue: &VecDeque<Queued>) {
        let first_unsent = queue.get(queue.partition_point(|queued| queued.number < self.sent_below));
        self.barred = first_unsent.is_some_and(|queued| queued.number < self.unstored_from);
        if self.barred {
            self.hurry();
        }
    }

    pub(super) fn subscription_changed(&mut self, filter: &TopicFilter) {
        self.filters.insert(filter.clone());
        self.revise();
    }

    pub(super) fn packet_id_changed(&mut self, packet_id: u16) {
        self.packet_ids.insert(packet_id);
        self.revise();
    }

    pub(super) fn confirmed(&mut self, number: u64) {
        self.confirmed.push(number);
        self.revise();
    }

    /// A message needs no place in the store any more.
    pub(super) fn done(&mut self, number: u64) {
        if number >= self.handed_below {
            return;
        }
        match self.done.last_mut() {
            Some((_, last)) if *last + 1 == number => *last = number,
            Some((first, _)) if *first == number + 1 => *first = number,
            _ => self.done.push((number, number)),
        }
        self.note();
    }

    pub(super) fn sent(&mut self, number: u64) {
        self.sent_below = self.sent_below.max(number + 1);
    }

    /// Whether a message may be sent. With QoS 2 it must be stored, or its packet identifier could be given to
    /// another message after a crash.
    pub(super) fn may_send(&self, queued: &Queued) -> bool {
        (!self.barred || queued.number < self.sent_below)
            && (queued.qos != QoS::ExactlyOnce || queued.number < self.stored_below)
    }

    /// Whether an earlier process may have sent a message.
    pub(super) fn is_repeated(&self, number: u64) -> bool {
        number < self.repeated_below
    }

    /// What waits is not waited for: the session has ended.
    pub(super) fn end(&mut self) {
        for (_, hold) in self.waiting.drain(..) {
            hold.discard();
        }
        if self.known {
            self.note();
        }
    }

    /// Lets `hold` go when everything noted is stored; gives it back if it is.
    pub(super) fn wait(&mut self, hold: Hold) -> Option<Hold> {
        if self.stored_revision == self.revision {
            return Some(hold);
        }
        self.waiting.push_back((self.revision, hold));
        None
    }

    /// Below which number messages have had their time.
    fn ripe_below(&mut self, generation: u64, next: u64) -> u64 {
        let (since, below) = self.patient_with;
        if since == generation {
            return self.unstored_from;
        }
        self.patient_with = (generation, next);
        below.max(self.unstored_from)
    }
}

impl Session {
    /// Whether messages with this QoS are promised to survive the process.
    pub(crate) fn promises(&self, qos: QoS) -> bool {
        self.is_stored && qos != QoS::AtMostOnce
    }

    /// Lets `hold` go when everything that was noted so far is stored.
    pub(crate) fn when_stored(&self, hold: Hold) {
        let free = match &mut self.state.lock().kept {
            Some(kept) => kept.wait(hold),
            None => Some(hold),
        };
        drop(free);
    }

    /// Whether everything that somebody could wait for is stored.
    pub(crate) fn is_up_to_date(&self) -> bool {
        self.state.lock().kept.as_ref().is_none_or(|kept| kept.stored_revision == kept.revision)
    }

    /// Adds to `changes` what the store does not have yet; `None` if the session is not stored.
    pub(crate) fn collect(&self, round: &Round<'_>, budget: &mut Budget, changes: &mut Changes) -> Option<Part> {
        let mut guard = self.state.lock();
        let state = &mut *guard;
        let kept = state.kept.as_deref_mut()?;
        kept.listed = false;
        if state.removed {
            changes.sessions_ended.push(self.id);
            return Some(Part::Ended);
        }
        let is_new = !std::mem::replace(&mut kept.known, true);
        let part = KeptPart {
            revision: kept.revision,
            changed: std::mem::take(&mut kept.changed) || is_new,
            filters: std::mem::take(&mut kept.filters),
            packet_ids: std::mem::take(&mut kept.packet_ids),
            confirmed: std::mem::take(&mut kept.confirmed),
            done: std::mem::take(&mut kept.done),
            messages: self.collect_messages(state, round, budget, changes),
        };
        if part.changed {
            changes.sessions.push(self.record(state, round.clock));
        }
        self.collect_details(state, &part, changes);
        Some(Part::Kept(Box::new(part)))
    }

    /// Adds the messages that have had their time; gives their first number, and the first that is not among them.
    fn collect_messages(
        &self,
        state: &mut State,
        round: &Round<'_>,
        budget: &mut Budget,
        changes: &mut Changes,
    ) -> (u64, u64) {
        let State { kept, queue, in_flight, connection, last_number, .. } = state;
        let Some(kept) = kept.as_deref_mut() else { return (0, 0) };
        let next = *last_number + 1;
        let at_once = round.everything || connection.is_none();
        let below = if at_once { next } else { kept.ripe_below(round.generation, next) };
        let first = kept.unstored_from;
        let sent = in_flight.iter().filter_map(|entry| match &entry.stage {
            Stage::Publish(queued) if queued.number >= first => Some(queued),
            _ => None,
        });
        let waiting = queue.range(queue.partition_point(|queued| queued.number < first)..);
        let waiting = waiting.filter(|queued| queued.qos != QoS::AtMostOnce);
        let mut end = first;
        let mut is_left = false;
        for queued in sent.chain(waiting) {
            if queued.number >= below || budget.is_spent() {
                is_left = true;
                break;
            }
            budget.spend(queued.message.payload.len());
            changes.messages.push(record_of(self.id, queued));
            end = queued.number + 1;
        }
        if is_left {
            kept.note();
            if at_once {
                kept.journal.hurry();
            }
        } else {
            end = end.max(below);
        }
        kept.unstored_from = end;
        kept.handed_below = kept.handed_below.max(end);
        (first, end)
    }

    /// Adds everything but messages and the session itself.
    fn collect_details(&self, state: &State, part: &KeptPart, changes: &mut Changes) {
        let session = self.id;
        for filter in &part.filters {
            let key = SubscriptionKey { session, filter: filter.text() };
            match state.subscriptions.get(filter) {
                Some(wish) => {
                    changes.subscriptions.push(SubscriptionRecord { key, qos: wish.qos, no_local: wish.no_local });
                }
                None => changes.subscriptions_ended.push(key),
            }
        }
        for packet_id in &part.packet_ids {
            let is_received = matches!(state.exact.get(packet_id), Some(Exact::Accepted));
            let list = if is_received { &mut changes.received } else { &mut changes.released };
            list.push(PacketKey { session, packet_id: *packet_id });
        }
        let confirmed = part.confirmed.iter();
        changes.messages.extend(confirmed.map(|number| MessageRecord {
            session,
            number: *number,
            qos: QoS::ExactlyOnce,
            content: None,
        }));
        let done = part.done.iter();
        changes.messages_done.extend(done.map(|(first, last)| MessageRange { session, first: *first, last: *last }));
    }

    fn record(&self, state: &State, clock: &WallClock) -> SessionRecord {
        let left = |until: Instant| until.saturating_duration_since(Instant::now());
        SessionRecord {
            id: self.id,
            client_id: Arc::clone(&self.client_id),
            identity: state.client.identity.name().into(),
            expiry: state.expiry,
            ends: state.offline_until.and_then(|until| clock.after(left(until))),
            sent_below: state.kept.as_ref().map_or(0, |kept| kept.sent_below),
        }
    }

    /// What was collected has been committed.
    pub(crate) fn stored(&self, part: Part) {
        let Part::Kept(part) = part else { return };
        let mut free = Vec::new();
        {
            let mut state = self.state.lock();
            let State { kept, queue, in_flight, connection, .. } = &mut *state;
            let Some(kept) = kept.as_deref_mut() else { return };
            let (first, end) = part.messages;
            kept.stored_below = kept.stored_below.max(end);
            kept.stored_revision = part.revision;
            while let Some((_, hold)) = kept.waiting.pop_front_if(|(revision, _)| *revision <= part.revision) {
                free.push(hold);
            }
            // What has changed since is of another connection, and comes with the next commit.
            let mut wake = part.changed && !kept.changed && std::mem::take(&mut kept.barred);
            let sent = in_flight.iter_mut().filter_map(|entry| match &mut entry.stage {
                Stage::Publish(queued) => Some(queued),
                Stage::Release => None,
            });
            let from = queue.partition_point(|queued| queued.number < first);
            let to = queue.partition_point(|queued| queued.number < end);
            for queued in sent.chain(queue.range_mut(from..to)) {
                if (first..end).contains(&queued.number) {
                    wake |= queued.qos == QoS::ExactlyOnce;
                    free.extend(queued.hold.take());
                }
            }
            if wake && let Some(connection) = connection {
                connection.wake();
            }
        }
        drop(free);
    }

    /// The commit of what was collected has failed, perhaps.
    pub(crate) fn not_stored(&self, part: Part) {
        let mut state = self.state.lock();
        let State { kept, connection, .. } = &mut *state;
        let Some(kept) = kept.as_deref_mut() else { return };
        if let Part::Kept(part) = part {
            let KeptPart { changed, filters, packet_ids, confirmed, done, messages, .. } = *part;
            kept.changed |= changed;
            kept.filters.extend(filters);
            kept.packet_ids.extend(packet_ids);
            kept.confirmed.extend(confirmed);
            let later = std::mem::replace(&mut kept.done, done);
            kept.done.extend(later);
            kept.unstored_from = kept.unstored_from.min(messages.0);
            // The client should not wait for the disk: better a message without the mark of a repeated one.
            if std::mem::take(&mut kept.barred)
                && let Some(connection) = connection
            {
                connection.wake();
            }
        }
        kept.note();
    }
}

fn record_of(session: u64, queued: &Queued) -> MessageRecord {
    let Message { topic, payload, expires, properties } = queued.message.clone();
    let content = Some(MessageContent { topic, payload, expires, properties });
    MessageRecord { session, number: queued.number, qos: queued.qos, content }
}
