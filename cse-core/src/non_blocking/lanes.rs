//! Requests for other CSEs keep their order: those of one originator to one CSE go one after another, and while that CSE
//! cannot be reached, one of all that are for it tries the way for the others.
//!
//! A lane holds what one originator has asked of one CSE. When an attempt fails, all lanes to that CSE rest; at the end of
//! the pause, or when the line is back, the first of one lane goes. Once it is answered, all lanes go on.

use std::collections::{BTreeSet, HashMap, VecDeque};

use crate::id::Seq;
use crate::time::Timestamp;
use crate::value::Text;

/// Attempts without an answer after which others wait no longer for a request, if its CSE is known to be there.
const STRIKES_MAX: u32 = 3;

/// Which lane a request is in. The names come from clients.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Key {
    pub(super) host: Text,
    pub(super) originator: Text,
}

/// See the module.
#[derive(Default)]
pub(super) struct Lanes {
    hosts: HashMap<Text, Host>,
    /// Lanes whose first request may go, as far as is known.
    ready: VecDeque<Key>,
    /// When resting hosts are tried again.
    pauses: BTreeSet<(Timestamp, Text)>,
    under_way: usize,
}

#[derive(Default)]
struct Host {
    lanes: HashMap<Text, Lane>,
    /// Lanes that wait until it is there again.
    parked: VecDeque<Text>,
    /// Failures in a row.
    failures: u32,
    paused_until: Option<Timestamp>,
    /// Whether one may try the way for all.
    may_probe: bool,
    answers: u64,
}

#[derive(Default)]
struct Lane {
    waiting: BTreeSet<Seq>,
    under_way: Option<Seq>,
    is_queued: bool,
    strikes: u32,
    /// What was known of its CSE when it did not answer last.
    evidence: Option<(u64, u64)>,
}

impl Host {
    fn rests(&self) -> bool {
        self.failures > 0 && !(self.may_probe && self.paused_until.is_none())
    }
}

impl Lanes {
    /// One more waits, behind those that were accepted before it.
    pub(super) fn put(&mut self, key: &Key, seq: Seq) {
        let host = self.hosts.entry(key.host.clone()).or_default();
        host.lanes.entry(key.originator.clone()).or_default().waiting.insert(seq);
        self.queue(key);
    }

    /// Takes one out that waits; `false` if it does not.
    pub(super) fn take(&mut self, key: &Key, seq: Seq) -> bool {
        let lane = self.hosts.get_mut(&key.host).and_then(|host| host.lanes.get_mut(&key.originator));
        let was_there = lane.is_some_and(|lane| lane.waiting.remove(&seq));
        self.tidy(key);
        was_there
    }

    /// The next one that may go now.
    pub(super) fn next(&mut self, now: Timestamp) -> Option<(Key, Seq)> {
        while let Some((at, _)) = self.pauses.first()
            && *at <= now
            && let Some((_, host)) = self.pauses.pop_first()
        {
            self.resume(&host);
        }
        while let Some(key) = self.ready.pop_front() {
            let Some(host) = self.hosts.get_mut(&key.host) else { continue };
            let rests = host.rests();
            let Some(lane) = host.lanes.get_mut(&key.originator).filter(|lane| lane.is_queued) else { continue };
            if rests {
                host.parked.push_back(key.originator);
                continue;
            }
            lane.is_queued = false;
            let first = if lane.under_way.is_none() { lane.waiting.pop_first() } else { None };
            let Some(seq) = first else {
                self.tidy(&key);
                self.probe(&key.host);
                continue;
            };
            lane.under_way = Some(seq);
            host.may_probe = false;
            self.under_way += 1;
            return Some((key, seq));
        }
        None
    }

    /// How many wait or are under way.
    pub(super) fn waiting(&self) -> usize {
        let lanes = self.hosts.values().flat_map(|host| host.lanes.values());
        lanes.map(|lane| lane.waiting.len() + usize::from(lane.under_way.is_some())).sum()
    }

    /// How many are under way.
    pub(super) fn under_way(&self) -> usize {
        self.under_way
    }

    /// When the next pause ends.
    pub(super) fn next_pause(&self) -> Option<Timestamp> {
        self.pauses.first().map(|(at, _)| *at)
    }

    /// One that was under way has its result: its CSE is there, and all go on.
    pub(super) fn done(&mut self, key: &Key) {
        self.ended(key);
        let Some(host) = self.hosts.get_mut(&key.host) else { return };
        host.answers += 1;
        host.failures = 0;
        if let Some(until) = host.paused_until.take() {
            self.pauses.remove(&(until, key.host.clone()));
        }
        let parked = host.parked.drain(..);
        self.ready.extend(parked.map(|originator| Key { host: key.host.clone(), originator }));
        self.queue(key);
        self.tidy(key);
    }

    /// One that was under way did not come through: it is the first of its lane again, and its CSE is left alone for a
    /// while, which `pause` reckons from the number of failures before.
    pub(super) fn failed(&mut self, key: &Key, seq: Seq, now: Timestamp, pause: impl FnOnce(u32) -> Timestamp) {
        self.ended(key);
        let host = self.hosts.entry(key.host.clone()).or_default();
        host.lanes.entry(key.originator.clone()).or_default().waiting.insert(seq);
        // Several that were under way together are one failure.
        if host.paused_until.is_none_or(|until| until <= now) {
            let until = pause(host.failures);
            host.failures = host.failures.saturating_add(1);
            host.paused_until = Some(until);
            host.may_probe = false;
            self.pauses.insert((until, key.host.clone()));
        }
        self.queue(key);
    }

    /// One that was under way had no answer. Returns whether the others are to wait for it any longer: not when others
    /// were answered, or the line was seen to work (`line` changes then), between several such attempts.
    pub(super) fn is_worth_waiting_for(&mut self, key: &Key, line: u64) -> bool {
        let Some(host) = self.hosts.get_mut(&key.host) else { return true };
        let evidence = (host.answers, line);
        let Some(lane) = host.lanes.get_mut(&key.originator) else { return true };
        if lane.evidence.replace(evidence).is_some_and(|before| before != evidence) {
            lane.strikes += 1;
        }
        lane.strikes < STRIKES_MAX
    }

    /// Ends all pauses: there is reason to believe that the line is back.
    pub(super) fn resume_all(&mut self) {
        for (_, host) in std::mem::take(&mut self.pauses) {
            self.resume(&host);
        }
    }

    fn resume(&mut self, name: &Text) {
        if let Some(host) = self.hosts.get_mut(name) {
            host.paused_until = None;
            host.may_probe = true;
            self.probe(name);
        }
    }

    /// Has one that is parked try the way for all, if nobody has yet.
    fn probe(&mut self, name: &Text) {
        if let Some(host) = self.hosts.get_mut(name)
            && host.may_probe
            && let Some(originator) = host.parked.pop_front()
        {
            self.ready.push_back(Key { host: name.clone(), originator });
        }
    }

    fn ended(&mut self, key: &Key) {
        let lane = self.hosts.get_mut(&key.host).and_then(|host| host.lanes.get_mut(&key.originator));
        if let Some(lane) = lane
            && lane.under_way.take().is_some()
        {
            self.under_way -= 1;
        }
    }

    fn queue(&mut self, key: &Key) {
        let Some(host) = self.hosts.get_mut(&key.host) else { return };
        let rests = host.rests();
        let Some(lane) = host.lanes.get_mut(&key.originator) else { return };
        if lane.waiting.is_empty() || lane.under_way.is_some() || lane.is_queued {
            return;
        }
        lane.is_queued = true;
        if rests {
            host.parked.push_back(key.originator.clone());
        } else {
            self.ready.push_back(key.clone());
        }
    }

    /// Forgets a lane, and a host, of which nothing has to be remembered.
    fn tidy(&mut self, key: &Key) {
        let Some(host) = self.hosts.get_mut(&key.host) else { return };
        let is_over = |lane: &Lane| lane.waiting.is_empty() && lane.under_way.is_none() && !lane.is_queued;
        if host.lanes.get(&key.originator).is_some_and(is_over) {
            host.lanes.remove(&key.originator);
        }
        if host.lanes.is_empty() && host.paused_until.is_none() {
            self.hosts.remove(&key.host);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn key(host: &'static str, originator: &'static str) -> Key {
        Key { host: Text::new_static(host), originator: Text::new_static(originator) }
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros(seconds * 1_000_000)
    }

    fn next(lanes: &mut Lanes, now: i64) -> Option<i64> {
        lanes.next(at(now)).map(|(_, seq)| seq.0)
    }

    #[test]
    fn of_one_originator_one_goes_at_a_time_in_order_of_acceptance() {
        let (mut lanes, a, b) = (Lanes::default(), key("/in", "Ca"), key("/in", "Cb"));
        for seq in [3, 1, 2] {
            lanes.put(&a, Seq(seq));
        }
        lanes.put(&b, Seq(9));
        assert_eq!((next(&mut lanes, 0), next(&mut lanes, 0), next(&mut lanes, 0)), (Some(1), Some(9), None));
        assert_eq!(lanes.under_way(), 2);
        lanes.done(&a);
        assert_eq!((next(&mut lanes, 0), next(&mut lanes, 0)), (Some(2), None));
        lanes.done(&a);
        lanes.done(&b);
        assert_eq!(next(&mut lanes, 0), Some(3));
        lanes.done(&a);
        assert_eq!((lanes.under_way(), lanes.hosts.len()), (0, 0), "nothing is left behind");
    }

    #[test]
    fn while_a_cse_is_away_one_tries_the_way_for_all() {
        let (mut lanes, a, b, other) = (Lanes::default(), key("/in", "Ca"), key("/in", "Cb"), key("/asn", "Ca"));
        lanes.put(&a, Seq(1));
        lanes.put(&b, Seq(2));
        assert_eq!((next(&mut lanes, 0), next(&mut lanes, 0)), (Some(1), Some(2)));
        lanes.failed(&a, Seq(1), at(0), |failures| at(1 + i64::from(failures)));
        lanes.failed(&b, Seq(2), at(0), |_| panic!("both are one failure"));
        lanes.put(&a, Seq(3));
        assert_eq!((next(&mut lanes, 0), lanes.next_pause()), (None, Some(at(1))));
        lanes.put(&other, Seq(4));
        assert_eq!(next(&mut lanes, 0), Some(4), "others go on");
        assert_eq!((next(&mut lanes, 1), next(&mut lanes, 1)), (Some(1), None));
        lanes.failed(&a, Seq(1), at(1), |failures| at(1 + 2 * i64::from(failures)));
        assert_eq!((next(&mut lanes, 2), next(&mut lanes, 3), next(&mut lanes, 3)), (None, Some(2), None), "in turn");
        lanes.done(&b);
        assert_eq!((next(&mut lanes, 3), next(&mut lanes, 3)), (Some(1), None));
        lanes.done(&a);
        assert_eq!(next(&mut lanes, 3), Some(3));
    }

    #[test]
    fn when_the_line_is_back_nobody_waits_for_the_end_of_a_pause() {
        let (mut lanes, a) = (Lanes::default(), key("/in", "Ca"));
        lanes.put(&a, Seq(1));
        assert_eq!(next(&mut lanes, 0), Some(1));
        lanes.failed(&a, Seq(1), at(0), |_| at(1_000));
        assert_eq!(next(&mut lanes, 1), None);
        lanes.resume_all();
        assert_eq!((next(&mut lanes, 1), lanes.next_pause()), (Some(1), None));
    }

    #[test]
    fn what_is_taken_out_while_its_cse_is_away_leaves_the_others_their_turn() {
        let (mut lanes, a, b) = (Lanes::default(), key("/in", "Ca"), key("/in", "Cb"));
        lanes.put(&a, Seq(1));
        lanes.put(&b, Seq(2));
        assert_eq!((next(&mut lanes, 0), next(&mut lanes, 0)), (Some(1), Some(2)));
        for (key, seq) in [(&a, 1), (&b, 2)] {
            lanes.failed(key, Seq(seq), at(0), |_| at(1));
        }
        assert!(lanes.take(&a, Seq(1)) && !lanes.take(&a, Seq(1)));
        assert_eq!((next(&mut lanes, 1), next(&mut lanes, 1)), (Some(2), None));
    }

    #[test]
    fn others_wait_for_a_silent_one_unless_its_cse_is_seen_to_be_there() {
        let (mut lanes, a) = (Lanes::default(), key("/in", "Ca"));
        lanes.put(&a, Seq(1));
        for _ in 0..10 {
            lanes.next(at(0));
            assert!(lanes.is_worth_waiting_for(&a, 0));
            lanes.failed(&a, Seq(1), at(0), |_| at(0).plus(Duration::from_secs(1)));
        }
        let verdicts: Vec<bool> = (1..=3).map(|line| lanes.is_worth_waiting_for(&a, line)).collect();
        assert_eq!(verdicts, [true, true, false]);
    }
}
