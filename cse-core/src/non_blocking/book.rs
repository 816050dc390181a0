//! Which `<request>` resources there are, whose they are, and which are to be carried out when: in memory, so that
//! neither accepting one nor looking for the next asks the store. Read at start, kept up to date at every commit.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use rustc_hash::FxHashMap;
use tokio::sync::Notify;

use super::lanes::{Key, Lanes};
use crate::address::Target;
use crate::behaviour::request::{self, REQUEST, TARGET};
use crate::cache::Committed;
use crate::id::Seq;
use crate::ports::{Snapshot, Store, StoreError};
use crate::resource::Resource;
use crate::schema::Ty;
use crate::settings::Settings;
use crate::time::{AbsRelTimestamp, Timestamp};
use crate::value::{Text, Value};

/// Requests read in one step at start.
const PAGE: usize = 100;

/// See the module.
pub(crate) struct Book {
    settings: Settings,
    inner: Mutex<Inner>,
    /// How many there are; most commits concern none, and should not take the lock.
    count: AtomicUsize,
    has_more: Notify,
}

#[derive(Default)]
struct Inner {
    known: FxHashMap<Seq, Known>,
    /// The keys come from clients, hence the keyed default hasher.
    by_originator: HashMap<Text, usize>,
    bytes: usize,
    /// What is to be carried out, in order. What is being carried out is not in it. Of what waits in a lane: when its
    /// time is over.
    due: BTreeSet<(Timestamp, Seq)>,
    /// What is for other CSEs and may go as soon as these are reached.
    lanes: Lanes,
}

/// What there is to do now.
#[derive(Debug)]
pub(super) enum Turn {
    /// Carry out this one.
    Free(Seq),
    /// Carry out this one; those behind it in its lane wait for it.
    InLane(Key, Seq),
    /// The time of this one is over, and its turn has not come.
    TooLate(Seq),
}

struct Known {
    originator: Text,
    bytes: usize,
    /// Its place in `due`, if it has one.
    at: Option<Timestamp>,
    /// How often it was tried in vain.
    attempts: u32,
    /// If it has to wait for others, and others for it.
    lane: Option<Key>,
    /// Whether its turn in the lane has come, `at` being the end of its time.
    is_in_lane: bool,
    /// Until when it is tried to reach its target.
    patient_until: Timestamp,
}

impl Book {
    /// Reads what there is.
    pub(crate) async fn load<S: Store>(store: &S, settings: &Settings) -> Result<Self, StoreError> {
        let book = Self {
            settings: settings.clone(),
            inner: Mutex::default(),
            count: AtomicUsize::new(0),
            has_more: Notify::new(),
        };
        let mut snapshot = store.snapshot().await?;
        let mut after = Seq::START;
        loop {
            let page = snapshot.children(Seq::CSE_BASE, &[Ty::REQUEST], after, PAGE).await?;
            let Some(last) = page.last() else {
                return Ok(book);
            };
            after = last.seq;
            let mut inner = book.inner.lock();
            page.iter().for_each(|resource| inner.put(resource, &book.settings));
            book.count.store(inner.known.len(), Ordering::Release);
        }
    }

    /// Takes over what was committed.
    pub(crate) fn commit(&self, committed: &Committed) {
        let changed = || committed.changed.iter().filter(|node| node.ty == Ty::REQUEST);
        let may_delete = self.count.load(Ordering::Acquire) > 0 && !committed.deleted.is_empty();
        if !may_delete && changed().next().is_none() {
            return;
        }
        let mut inner = self.inner.lock();
        committed.deleted.iter().for_each(|seq| inner.remove(*seq));
        changed().for_each(|node| inner.put(node, &self.settings));
        self.count.store(inner.known.len(), Ordering::Release);
        drop(inner);
        self.has_more.notify_one();
    }

    /// How many an originator has; how many there are, and how many bytes they take, roughly.
    pub(super) fn taken(&self, originator: &str) -> (usize, usize, usize) {
        let inner = self.inner.lock();
        (inner.by_originator.get(originator).copied().unwrap_or(0), inner.known.len(), inner.bytes)
    }

    /// Whether it is committed.
    pub(super) fn knows(&self, seq: Seq) -> bool {
        self.inner.lock().known.contains_key(&seq)
    }

    /// What there is to do now. It does not come again by itself. What is in lanes has to leave places for the others.
    pub(super) fn take_due(&self, now: Timestamp) -> Option<Turn> {
        let lanes_max = self.settings.non_blocking_width.div_ceil(4) * 3;
        let mut inner = self.inner.lock();
        let inner = &mut *inner;
        while let Some(first) = inner.due.first().copied().filter(|(at, _)| *at <= now) {
            inner.due.remove(&first);
            let seq = first.1;
            let Some(known) = inner.known.get_mut(&seq) else { continue };
            known.at = None;
            match &known.lane {
                None => return Some(Turn::Free(seq)),
                Some(lane) if !known.is_in_lane => {
                    known.is_in_lane = true;
                    known.at = Some(known.patient_until);
                    inner.due.insert((known.patient_until, seq));
                    inner.lanes.put(lane, seq);
                }
                // One that is under way knows by itself when its time is over.
                Some(lane) => {
                    if inner.lanes.take(lane, seq) {
                        return Some(Turn::TooLate(seq));
                    }
                }
            }
        }
        if inner.lanes.under_way() >= lanes_max {
            return None;
        }
        inner.lanes.next(now).map(|(key, seq)| Turn::InLane(key, seq))
    }

    /// When there is something to do next.
    pub(super) fn next_due(&self) -> Option<Timestamp> {
        let inner = self.inner.lock();
        let due = inner.due.first().map(|(at, _)| *at);
        due.into_iter().chain(inner.lanes.next_pause()).min()
    }

    /// One in a lane has its result, or is gone.
    pub(super) fn done(&self, lane: &Key) {
        self.inner.lock().lanes.done(lane);
    }

    /// One in a lane did not come through.
    pub(super) fn failed(&self, lane: &Key, seq: Seq, now: Timestamp) {
        let mut inner = self.inner.lock();
        let inner = &mut *inner;
        inner.lanes.failed(lane, seq, now, |failures| now.plus(self.settings.retry_pause(failures)));
        if !inner.known.contains_key(&seq) {
            inner.lanes.take(lane, seq);
        }
    }

    /// One in a lane had no answer; see [`Lanes::is_worth_waiting_for`].
    pub(super) fn is_worth_waiting_for(&self, lane: &Key, line: u64) -> bool {
        self.inner.lock().lanes.is_worth_waiting_for(lane, line)
    }

    /// From now on nobody waits for one that was in a lane; it comes again by itself.
    pub(super) fn leave_lane(&self, lane: &Key, seq: Seq, until: Timestamp) {
        let mut inner = self.inner.lock();
        let inner = &mut *inner;
        inner.lanes.done(lane);
        let Some(known) = inner.known.get_mut(&seq) else { return };
        known.lane = None;
        if let Some(at) = known.at.replace(until) {
            inner.due.remove(&(at, seq));
        }
        inner.due.insert((until, seq));
    }

    /// The line to other CSEs may be back: what waits for it goes at once.
    pub(super) fn line_is_back(&self) {
        self.inner.lock().lanes.resume_all();
    }

    /// How often one was postponed; counts one more.
    pub(super) fn attempt(&self, seq: Seq) -> u32 {
        self.inner.lock().known.get_mut(&seq).map_or(0, |known| {
            known.attempts = known.attempts.saturating_add(1);
            known.attempts - 1
        })
    }

    /// One comes again later, if it is there then.
    pub(super) fn postpone(&self, seq: Seq, until: Timestamp) {
        let mut inner = self.inner.lock();
        let Some(known) = inner.known.get_mut(&seq).filter(|known| known.at.is_none()) else { return };
        known.at = Some(until);
        inner.due.insert((until, seq));
    }

    /// Waits until something was committed that may be due.
    pub(super) async fn changed(&self) {
        self.has_more.notified().await;
    }

    /// How many wait for other CSEs.
    pub(crate) fn waiting(&self) -> usize {
        self.inner.lock().lanes.waiting()
    }

    /// How many there are, and how many of them have to be carried out.
    pub(crate) fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }
}

impl Inner {
    /// A new one waits to be carried out; of a changed one the size may be another.
    fn put(&mut self, resource: &Resource, settings: &Settings) {
        let bytes = resource.approximate_bytes();
        self.bytes += bytes;
        if let Some(known) = self.known.get_mut(&resource.seq) {
            self.bytes -= known.bytes;
            known.bytes = bytes;
            return;
        }
        let at = request::is_pending(resource).then(|| due_at(resource));
        self.due.extend(at.map(|at| (at, resource.seq)));
        let originator = resource.creator.text().clone();
        *self.by_originator.entry(originator.clone()).or_default() += 1;
        let lane = at.and_then(|_| lane_of(resource, settings));
        let patient_until = patient_until(resource, lane.is_some(), settings);
        let known = Known { originator, bytes, at, attempts: 0, lane, is_in_lane: false, patient_until };
        self.known.insert(resource.seq, known);
    }

    fn remove(&mut self, seq: Seq) {
        let Some(known) = self.known.remove(&seq) else { return };
        self.bytes -= known.bytes;
        if let Some(at) = known.at {
            self.due.remove(&(at, seq));
        }
        if let Some(lane) = known.lane.filter(|_| known.is_in_lane) {
            self.lanes.take(&lane, seq);
        }
        if let Some(count) = self.by_originator.get_mut(&known.originator) {
            *count -= 1;
            if *count == 0 {
                self.by_originator.remove(&known.originator);
            }
        }
    }
}

/// The lane of a request for another CSE.
fn lane_of(resource: &Resource, settings: &Settings) -> Option<Key> {
    let to = resource.attributes.text(TARGET)?;
    let host = match Target::of(to, &settings.identity) {
        Target::Local(..) => return None,
        Target::Remote => settings.identity.cse_id_of(to)?,
    };
    Some(Key { host, originator: resource.creator.text().clone() })
}

/// A time that the request names.
fn named(resource: &Resource, parameter: &str) -> Option<Timestamp> {
    let request = resource.attributes.get(REQUEST).and_then(Value::as_map);
    let time = request.and_then(|request| request.get(parameter)).and_then(AbsRelTimestamp::from_value);
    time.map(|time| time.at(resource.creation_time))
}

/// When a pending one is to be carried out (`oet`), else as soon as it was accepted.
fn due_at(resource: &Resource) -> Timestamp {
    named(resource, "oet").unwrap_or(resource.creation_time)
}

/// Until when it is tried to reach the target of a pending one.
pub(super) fn patient_until(resource: &Resource, is_remote: bool, settings: &Settings) -> Timestamp {
    let by_itself = || due_at(resource).max(resource.creation_time).plus(settings.non_blocking_patience(is_remote));
    named(resource, "rqet").or_else(|| named(resource, "rset")).unwrap_or_else(by_itself)
}
