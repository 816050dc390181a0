//! Notifications to one target: in the order of events, some under way, the rest waiting.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::sync::Arc;
use std::time::Duration;

use rustc_hash::FxHashMap;

use super::hold::Hold;
use crate::id::Seq;
use crate::notify::LATEST;
use crate::ports::{OutboxEntry, Patience};
use crate::resource::approximate_bytes;
use crate::settings::Settings;
use crate::time::Timestamp;
use crate::value::{Map, Text};

/// How long an answer is awaited of a target that has not answered yet, or not for long.
const SILENT_PATIENCE: Duration = Duration::from_millis(500);
/// How many more notifications a silent target may be sent than others before it has received the first.
const SILENT_WINDOW: usize = 8;

/// A notification that is not delivered yet.
pub(super) struct Waiting {
    pub(super) seq: Seq,
    pub(super) subscription: Seq,
    pub(super) created: Timestamp,
    pub(super) attempts: u32,
    pub(super) event_category: Option<u32>,
    /// Of the content and what else is stored, roughly.
    pub(super) bytes: usize,
    /// Whether it goes to another CSE.
    pub(super) is_remote: bool,
    /// `None` when it is only in the store.
    pub(super) content: Option<Arc<Map>>,
    /// Whether it finds out if the target answers.
    pub(super) is_probe: bool,
    /// On the answer to the request that caused it.
    pub(super) hold: Option<Hold>,
}

impl Waiting {
    pub(super) fn new(entry: OutboxEntry, is_remote: bool) -> Self {
        Self {
            bytes: stored_bytes(&entry),
            is_remote,
            seq: entry.seq,
            subscription: entry.subscription,
            created: entry.created,
            attempts: entry.attempts,
            event_category: entry.event_category,
            content: Some(entry.content),
            is_probe: false,
            hold: None,
        }
    }
}

/// What an entry takes in the store, roughly.
pub(super) fn stored_bytes(entry: &OutboxEntry) -> usize {
    128 + entry.target.len() + approximate_bytes(&entry.content)
}

/// See the module.
#[derive(Default)]
pub(super) struct Lane {
    /// Whether it leads to another CSE, which is given nothing out of order.
    pub(super) is_remote: bool,
    /// Whether several that are under way arrive in the order in which they were sent.
    pub(super) keeps_order: bool,
    /// Whether notifications have piled up in a time of failures, and not all have gone since.
    catches_up: bool,
    /// Whether some were given up, and that has been said.
    pub(super) is_losing: bool,
    waiting: BTreeMap<Seq, Waiting>,
    /// Of each subscription of which only the newest counts, the one that waits.
    latest: FxHashMap<Seq, Seq>,
    pub(super) under_way: usize,
    /// Nothing starts before, after a failure.
    pub(super) paused_until: Option<Timestamp>,
    /// Failures since the last success.
    pub(super) failures: u32,
    /// Whether it failed since the policies were applied.
    pub(super) was_unreachable: bool,
    /// Notifications in a row that were taken over but not answered.
    unanswered: usize,
    /// Whether it is known to answer.
    answers: bool,
    /// Whether a probe is under way.
    pub(super) is_probed: bool,
    /// The polling channel by which the target is reached, as far as known.
    pub(super) channel: Option<Seq>,
    /// Whether it is in the queue of ready lanes.
    pub(super) is_ready: bool,
    /// Whether the policies have to be applied before anything starts.
    pub(super) is_to_thin: bool,
}

impl Lane {
    /// An empty one, to another CSE or not.
    pub(super) fn new(is_remote: bool) -> Self {
        Self { is_remote, ..Self::default() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether it tries the way for all, or nothing at all now.
    pub(super) fn is_failing(&self) -> bool {
        self.failures > 0 || self.paused_until.is_some()
    }

    /// Whether nothing may start now.
    pub(super) fn is_resting(&self) -> bool {
        self.paused_until.is_some() || self.is_to_thin
    }

    /// Whether one more can start.
    pub(super) fn can_start(&self, settings: &Settings) -> bool {
        !self.is_empty() && self.under_way < self.window(settings)
    }

    /// The first one, if its content is only in the store.
    pub(super) fn first_unread(&self) -> Option<Seq> {
        self.waiting.first_key_value().filter(|(_, first)| first.content.is_none()).map(|(seq, _)| *seq)
    }

    /// Gives one that waits its content; returns whether it had none.
    pub(super) fn fill(&mut self, seq: Seq, content: Arc<Map>) -> bool {
        match self.waiting.get_mut(&seq) {
            Some(waiting) if waiting.content.is_none() => {
                waiting.content = Some(content);
                true
            }
            _ => false,
        }
    }

    /// Whether nothing has to be remembered of it.
    pub(super) fn is_over(&self) -> bool {
        self.waiting.is_empty() && self.under_way == 0 && !self.is_ready && !self.is_to_thin
    }

    /// Puts a notification where it belongs in the order. Returns the one that is out of date by that.
    pub(super) fn put(&mut self, waiting: Waiting) -> Option<Waiting> {
        let replaced = if waiting.event_category == Some(LATEST) {
            match self.latest.get(&waiting.subscription) {
                // It comes back after a failure, and there is a newer one already.
                Some(newer) if *newer > waiting.seq => return Some(waiting),
                Some(older) => {
                    let older = *older;
                    self.waiting.remove(&older)
                }
                None => None,
            }
        } else {
            None
        };
        if waiting.event_category == Some(LATEST) {
            self.latest.insert(waiting.subscription, waiting.seq);
        }
        self.waiting.insert(waiting.seq, waiting);
        replaced
    }

    pub(super) fn take_first(&mut self) -> Option<Waiting> {
        let (seq, waiting) = self.waiting.pop_first()?;
        self.forget_latest(waiting.subscription, seq);
        Some(waiting)
    }

    /// The first one on its way, for which nobody is held any more; none if its content is only in the store.
    pub(super) fn take_first_read(&mut self) -> Option<(Waiting, Arc<Map>)> {
        let content = self.waiting.first_entry()?.get_mut().content.take()?;
        let mut first = self.take_first()?;
        first.hold = None;
        Some((first, content))
    }

    /// Takes out those of which the question is answered with yes.
    pub(super) fn take_where(&mut self, mut is_taken: impl FnMut(&mut Waiting) -> bool) -> Vec<Waiting> {
        let taken: Vec<Seq> =
            self.waiting.iter_mut().filter_map(|(seq, waiting)| is_taken(waiting).then_some(*seq)).collect();
        let taken: Vec<Waiting> = taken.iter().filter_map(|seq| self.waiting.remove(seq)).collect();
        for waiting in &taken {
            self.forget_latest(waiting.subscription, waiting.seq);
        }
        taken
    }

    fn forget_latest(&mut self, subscription: Seq, seq: Seq) {
        if self.latest.get(&subscription) == Some(&seq) {
            self.latest.remove(&subscription);
        }
    }

    pub(super) fn waiting(&self) -> impl DoubleEndedIterator<Item = &Waiting> {
        self.waiting.values()
    }

    /// Whether so many more than the bound wait that it is worth looking for those to give up.
    pub(super) fn is_too_long(&self, bound: usize) -> bool {
        self.waiting.len() > bound + bound / 16
    }

    /// Forgets the contents of what waits, which the store has; returns how many there were. Nobody is held for them.
    pub(super) fn unload(&mut self) -> usize {
        let take = |waiting: &mut Waiting| {
            waiting.hold = None;
            waiting.content.take()
        };
        self.waiting.values_mut().filter_map(take).count()
    }

    /// How many may be under way. After a failure one tries the way for all.
    pub(super) fn window(&self, settings: &Settings) -> usize {
        let window = settings.notification_window.max(1);
        let is_in_order = self.keeps_order || !(self.is_remote || self.catches_up);
        match self.failures {
            0 if !is_in_order => 1,
            0 if self.is_silent(settings) => window.saturating_mul(SILENT_WINDOW),
            0 => window,
            _ => 1,
        }
    }

    fn is_silent(&self, settings: &Settings) -> bool {
        self.unanswered >= settings.notification_window.max(1)
    }

    /// How long the next one waits for its answer, and whether it is a probe. A target that is not known to answer is
    /// asked to by one notification at a time: what it has received of the others makes room for more.
    pub(super) fn patience(&mut self) -> (Patience, bool) {
        if self.answers || self.is_remote {
            return (Patience::UntilTimeout, false);
        }
        if std::mem::replace(&mut self.is_probed, true) {
            return (Patience::UntilReceived(SILENT_PATIENCE), false);
        }
        (Patience::AtMost(SILENT_PATIENCE), true)
    }

    pub(super) fn note_answer(&mut self, is_answered: bool, settings: &Settings) {
        self.unanswered = if is_answered { 0 } else { self.unanswered.saturating_add(1) };
        self.answers = is_answered || self.answers && !self.is_silent(settings);
    }

    /// Notes a success; returns whether it ends a time of failures.
    pub(super) fn recovered(&mut self) -> bool {
        let was_failing = self.failures > 0;
        self.catches_up &= !self.waiting.is_empty();
        self.is_losing &= self.catches_up;
        self.failures = 0;
        self.paused_until = None;
        was_failing
    }

    /// Notes a failure; returns until when to pause. Several that were under way together are one failure.
    pub(super) fn failed(&mut self, settings: &Settings, now: Timestamp) -> Timestamp {
        if let Some(until) = self.paused_until.filter(|until| *until > now) {
            return until;
        }
        self.was_unreachable = true;
        self.catches_up = true;
        let pause = settings.retry_pause(self.failures);
        self.failures = self.failures.saturating_add(1);
        now.plus(pause)
    }

    pub(super) fn pause_until(
        &mut self,
        until: Timestamp,
        target: &Text,
        pauses: &mut BinaryHeap<Reverse<(Timestamp, Text)>>,
    ) {
        if self.paused_until != Some(until) {
            self.paused_until = Some(until);
            pauses.push(Reverse((until, target.clone())));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{CseIdentity, CseType};

    fn waiting(seq: i64, subscription: i64, event_category: Option<u32>) -> Waiting {
        let created = Timestamp::from_micros(0);
        Waiting {
            seq: Seq(seq),
            subscription: Seq(subscription),
            created,
            attempts: 0,
            event_category,
            bytes: 0,
            is_remote: false,
            content: None,
            is_probe: false,
            hold: None,
        }
    }

    fn settings() -> Settings {
        let identity = CseIdentity::new("//cse.example", "/id-in", "cse-in", CseType::In).expect("valid");
        Settings { notification_window: 4, ..Settings::new(identity, "CAdmin") }
    }

    fn numbers(lane: &Lane) -> Vec<i64> {
        lane.waiting().map(|waiting| waiting.seq.0).collect()
    }

    #[test]
    fn what_comes_back_has_its_place_again() {
        let mut lane = Lane::default();
        for seq in [3, 4, 1, 2] {
            assert!(lane.put(waiting(seq, 9, None)).is_none());
        }
        assert_eq!(numbers(&lane), [1, 2, 3, 4]);
    }

    #[test]
    fn the_newest_replaces_those_of_the_same_subscription_only() {
        let mut lane = Lane::default();
        lane.put(waiting(1, 9, Some(LATEST)));
        lane.put(waiting(2, 8, Some(LATEST)));
        lane.put(waiting(3, 9, None));
        assert_eq!(lane.put(waiting(4, 9, Some(LATEST))).map(|old| old.seq), Some(Seq(1)));
        assert_eq!(numbers(&lane), [2, 3, 4]);
        // One that was under way meanwhile and failed is out of date.
        assert_eq!(lane.put(waiting(1, 9, Some(LATEST))).map(|old| old.seq), Some(Seq(1)));
        assert_eq!(lane.take_first().map(|first| first.seq), Some(Seq(2)));
        assert!(lane.put(waiting(5, 8, Some(LATEST))).is_none(), "the one before is gone");
    }

    #[test]
    fn several_failures_at_once_are_one_and_pauses_double() {
        let (mut lane, settings) = (Lane::default(), settings());
        let mut pauses = BinaryHeap::new();
        let mut now = Timestamp::from_micros(0);
        for milliseconds in [500, 1_000, 2_000] {
            let until = lane.failed(&settings, now);
            assert_eq!(until, now.plus(Duration::from_millis(milliseconds)));
            lane.pause_until(until, &Text::new_static("t"), &mut pauses);
            assert_eq!(lane.failed(&settings, now), until);
            now = until;
        }
        assert_eq!((pauses.len(), lane.window(&settings)), (3, 1));
        assert!(lane.recovered());
        assert_eq!(lane.window(&settings), 4);
    }

    #[test]
    fn where_several_at_once_could_overtake_one_another_one_goes_at_a_time() {
        let settings = settings();
        let mut lane = Lane { is_remote: true, ..Lane::default() };
        assert_eq!(lane.window(&settings), 1);
        lane.keeps_order = true;
        assert_eq!(lane.window(&settings), 4);
        let mut lane = Lane::default();
        lane.put(waiting(1, 9, None));
        lane.failed(&settings, Timestamp::from_micros(0));
        assert!(lane.recovered());
        assert_eq!(lane.window(&settings), 1, "what has piled up goes in order");
        lane.take_first();
        assert!(!lane.recovered());
        assert_eq!(lane.window(&settings), 4);
    }

    #[test]
    fn who_is_not_known_to_answer_is_probed() {
        let (mut lane, settings) = (Lane::default(), settings());
        let (probe, other) =
            ((Patience::AtMost(SILENT_PATIENCE), true), (Patience::UntilReceived(SILENT_PATIENCE), false));
        assert_eq!((lane.patience(), lane.patience(), lane.patience()), (probe, other, other));
        for window in [4, 4, 4, 4 * SILENT_WINDOW] {
            lane.note_answer(false, &settings);
            assert_eq!(lane.window(&settings), window);
        }
        lane.is_probed = false;
        assert_eq!((lane.patience(), lane.patience()), (probe, other));
        lane.note_answer(true, &settings);
        assert_eq!((lane.patience(), lane.window(&settings)), ((Patience::UntilTimeout, false), 4));
        for _ in 0..3 {
            lane.note_answer(false, &settings);
            assert_eq!(lane.patience(), (Patience::UntilTimeout, false));
        }
        lane.note_answer(false, &settings);
        assert_eq!(lane.patience(), other, "the first probe has not come back");
    }

    #[test]
    fn contents_come_and_go() {
        let mut lane = Lane::default();
        lane.put(waiting(1, 9, None));
        lane.put(waiting(2, 9, None));
        assert_eq!(lane.first_unread(), Some(Seq(1)));
        assert!(lane.fill(Seq(1), Arc::default()) && !lane.fill(Seq(1), Arc::default()));
        assert!(!lane.fill(Seq(3), Arc::default()), "it does not wait here");
        assert_eq!((lane.first_unread(), lane.unload()), (None, 1));
        assert_eq!(lane.first_unread(), Some(Seq(1)));
    }
}
