//! Announcement: what this CSE hosts has copies at other CSEs, which follow it (TS-0001 §10.2.18, TS-0004 §7.3.3.10,
//! §7.3.3.11).
//!
//! The original knows its copies and what they have ([`state`]). After each change the writer derives what has to be
//! done where ([`mod@derive`]) and leaves it in the outbox of the same commit ([`settle`]); one entry stands for
//! whatever has to be done for one copy, so an original that changes while its host is away costs no more than one.
//! The [`task`] does it, for each host in order, and tells the writer what came of it. So the request that changed the
//! original never waits for another CSE, and a host that was away gets what the original says when it is back.

mod below;
pub(crate) mod copy;
pub(crate) mod derive;
mod handle;
pub(crate) mod record;
pub(crate) mod renewal;
mod send;
pub(crate) mod settle;
pub(crate) mod state;
mod task;

use std::sync::Arc;

pub(crate) use handle::{AnnounceHandle, handle};
pub(crate) use task::run;

use crate::id::Seq;
use crate::ports::OutboxEntry;
use crate::schema::Ty;
use crate::time::Timestamp;
use crate::value::{Map, Text};
use below::Below;
use derive::Work;

/// What the targets of entries of the outbox that are announcements begin with. No notification target has a blank.
const TARGET: &str = "announce ";
const REMOVE: &str = "remove";
const UNTIL: &str = "until";
const FIND: &str = "find";
const TYPE: &str = "type";
const PLACE: &str = "place";
const BELOW: &str = "below";
const INSTANCES: &str = "instances";
const LOST: &str = "lost";
const RECORD: &str = "record";

/// Whether an entry of the outbox is an announcement.
pub(crate) fn is_announcement(entry: &OutboxEntry) -> bool {
    entry.target.starts_with(TARGET)
}

/// The CSE that an entry is about.
fn host_of(entry: &OutboxEntry) -> Text {
    entry.target.strip_prefix(TARGET).unwrap_or_default().into()
}

/// What an entry asks for.
#[derive(Clone, Debug, Eq, PartialEq)]
enum Task {
    /// The copy of the original is to become what that says.
    Synchronize,
    /// The copy at that address is to go.
    Remove(Text),
    /// Copies of that original and type are to go, at or below a place, if one is named.
    Find { link: Text, ty: Ty, place: Option<Text> },
    /// A step through what is below the resource.
    Below(Below),
    /// The record of that S-type AE-ID stem is to say whether the AE is here.
    Record(Text),
}

/// An entry of the outbox for work of an original.
fn entry(seq: Seq, host: &Text, original: &Original, work: Work, now: Timestamp) -> OutboxEntry {
    let mut content = Map::new();
    match work {
        Work::Synchronize => {}
        Work::Remove(address) => drop(content.insert(REMOVE, address)),
        Work::Find(place) => {
            content.insert(FIND, original.link.clone());
            content.insert(TYPE, original.ty.announced().0);
            if let Some(place) = place {
                content.insert(PLACE, place);
            }
        }
    }
    if !content.is_empty()
        && let Some(until) = original.expiration_time
    {
        content.insert(UNTIL, until.micros());
    }
    OutboxEntry {
        seq,
        subscription: original.seq,
        target: smol_str::format_smolstr!("{TARGET}{host}"),
        content: Arc::new(content),
        event_category: None,
        created: now,
        next_try: now,
        attempts: 0,
    }
}

/// What entries need to know of an original.
struct Original {
    seq: Seq,
    ty: Ty,
    /// Its address as copies have it.
    link: Text,
    expiration_time: Option<Timestamp>,
}

fn task_of(entry: &OutboxEntry) -> Task {
    let content = &entry.content;
    if let Some(step) = Below::of(content) {
        return Task::Below(step);
    }
    if let Some(stem) = content.text(RECORD) {
        return Task::Record(stem.into());
    }
    if let Some(address) = content.text(REMOVE) {
        return Task::Remove(address.into());
    }
    let ty = content.unsigned(TYPE).and_then(|ty| u16::try_from(ty).ok()).map(Ty);
    match (content.text(FIND), ty) {
        (Some(link), Some(ty)) => Task::Find { link: link.into(), ty, place: content.text(PLACE).map(Text::from) },
        _ => Task::Synchronize,
    }
}

/// When what an entry is about has come to its end by itself, because copies expire with their originals.
fn until(entry: &OutboxEntry) -> Option<Timestamp> {
    entry.content.int(UNTIL).map(Timestamp::from_micros)
}

/// When a copy expires.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum End {
    /// As was known.
    AsBefore,
    /// Not before its original.
    WithOriginal,
    /// Before its original: it has to be renewed.
    Early(Timestamp),
}

/// What came of an entry, for the writer.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// The CSEBase of this CSE has a copy there now; the entry goes on.
    BaseCreated { address: Text, content: state::Digests, end: End },
    /// The copy of the CSEBase is not there any more; the entry goes on.
    BaseVanished,
    /// The copy is made.
    Created { address: Text, below: Option<Text>, content: state::Digests, end: End },
    /// The copy has what the original had.
    Updated { content: state::Digests, end: End },
    /// The copy is not there any more; the entry goes on and makes it anew.
    Vanished,
    /// The copy of the parent is not there any more, so it has to be made first.
    ParentVanished,
    /// The copy at that address is gone, as it should.
    Removed(Text),
    /// The host does not want the copy.
    Refused,
    /// These are what a step is about, and more may come after them.
    Below { step: Below, found: Vec<Seq>, is_last: bool },
    /// There is nothing left to do.
    Done,
}

/// What came of an entry of the outbox.
pub(crate) struct Announced {
    pub(crate) entry: Seq,
    pub(crate) original: Seq,
    pub(crate) host: Text,
    /// Whether the entry stands for the copy of the original.
    pub(crate) synchronizes: bool,
    pub(crate) outcome: Outcome,
}
