//! Where remembered answers are: key to row number, in memory.
//!
//! A key is a digest, so an index on it would write a random page per answer. The table is only appended to and
//! cut off at its beginning; this map, bounded and loaded at start, finds the row.

use std::collections::VecDeque;

use cse_core::ports::{Reply, ReplyKey};
use cse_core::time::Timestamp;
use hashbrown::HashTable;
use rustc_hash::FxHashMap;
use sqlx::{Row, SqliteConnection};

/// Keys per row of the query that loads them; a row per key would take ten times as long.
const LOADED_AT_ONCE: i64 = 5_000;
/// Rows for which there is room from the beginning, at most.
const RESERVED_MAX: usize = 1_000_000;

/// Rows that count as going soon when there is no room: more than come between two looks at them.
const FADING: usize = 4_096;

/// There are a hundred thousand of these for good, so they are kept small: a row knows its number by its place, and
/// the table knows a key by the row that it is in.
pub(super) struct ReplyIndex {
    replies_max: usize,
    /// Number of the next row. Numbers have no gaps: rows are added at one end and removed at the other.
    next: i64,
    /// The rows there are, in order.
    rows: VecDeque<Remembered>,
    /// The latest row of each key, by the low half of its number.
    latest: HashTable<u32>,
}

struct Remembered {
    at: Timestamp,
    /// As bytes, since a `u128` is aligned to its size.
    key: [u8; 16],
}

/// What an open transaction does to the index.
#[derive(Default)]
pub(super) struct ReplyChanges {
    added: Vec<(i64, Timestamp, ReplyKey)>,
    numbers: FxHashMap<ReplyKey, i64>,
    /// Rows up to this number are deleted.
    forgotten_through: i64,
}

impl Remembered {
    fn key(&self) -> ReplyKey {
        ReplyKey(u128::from_ne_bytes(self.key))
    }
}

/// A key is a digest, which needs no hashing.
fn hash(key: ReplyKey) -> u64 {
    key.0 as u64
}

impl ReplyIndex {
    fn new(replies_max: usize) -> Self {
        // Row numbers must differ in their low half.
        let replies_max = replies_max.clamp(1, u32::MAX as usize / 2);
        // Room for all, which takes no memory before it is used: what grows step by step ends up larger. The table
        // has twice the room, so that what was removed is cleared away in place.
        let rows_reserved = replies_max.min(RESERVED_MAX);
        let rows = VecDeque::with_capacity(rows_reserved + rows_reserved / 8);
        Self { replies_max, next: 1, rows, latest: HashTable::with_capacity(2 * rows_reserved) }
    }

    pub(super) async fn load(connection: &mut SqliteConnection, replies_max: usize) -> Result<Self, sqlx::Error> {
        let mut index = Self::new(replies_max);
        loop {
            let row = sqlx::query(
                "SELECT group_concat(number || ' ' || at || ' ' || hex(key), ';')
                 FROM (SELECT number, at, key FROM reply WHERE number >= ?1 ORDER BY number LIMIT ?2)",
            )
            .bind(index.next)
            .bind(LOADED_AT_ONCE)
            .fetch_one(&mut *connection)
            .await?;
            let Some(keys) = row.try_get::<Option<String>, _>(0)? else {
                return Ok(index);
            };
            for entry in keys.split(';') {
                let inconsistent = || sqlx::Error::Decode(format!("reply row '{entry}' makes no sense").into());
                let (number, at, key) = parse(entry).ok_or_else(inconsistent)?;
                if number != index.next && !index.rows.is_empty() {
                    return Err(inconsistent());
                }
                index.push(number, at, key);
            }
        }
    }

    /// Adds the next row, or the first with any number.
    fn push(&mut self, number: i64, at: Timestamp, key: ReplyKey) {
        self.next = number + 1;
        self.rows.push_back(Remembered { at, key: key.0.to_ne_bytes() });
        let (rows, first) = (&self.rows, self.next - self.rows.len() as i64);
        let key_of = |low: &u32| rows.get(low.wrapping_sub(first as u32) as usize).map(Remembered::key);
        let rehash = |low: &u32| key_of(low).map_or(0, hash);
        match self.latest.entry(hash(key), |low| key_of(low) == Some(key), rehash) {
            hashbrown::hash_table::Entry::Occupied(mut known) => *known.get_mut() = number as u32,
            hashbrown::hash_table::Entry::Vacant(free) => drop(free.insert(number as u32)),
        }
    }

    /// Takes over what a transaction did, once it is committed.
    pub(super) fn apply(&mut self, changes: ReplyChanges) {
        for (number, at, key) in changes.added {
            self.push(number, at, key);
        }
        while self.first() <= changes.forgotten_through
            && let Some(row) = self.rows.front()
        {
            let low = self.first() as u32;
            // A later row of the same key stays.
            if let Ok(latest) = self.latest.find_entry(hash(row.key()), |other| *other == low) {
                latest.remove();
            }
            self.rows.pop_front();
        }
    }

    /// Number of the first row, or of the next if there is none.
    fn first(&self) -> i64 {
        self.next - self.rows.len() as i64
    }

    /// The rows there are: number, when, key.
    fn rows(&self) -> impl Iterator<Item = (i64, Timestamp, ReplyKey)> {
        (self.first()..).zip(&self.rows).map(|(number, row)| (number, row.at, row.key()))
    }

    /// The row of an answer that is committed.
    pub(super) fn number(&self, key: ReplyKey) -> Option<i64> {
        let first = self.first();
        let offset = |low: &u32| low.wrapping_sub(first as u32);
        let is_of_key = |low: &u32| self.rows.get(offset(low) as usize).is_some_and(|row| row.key() == key);
        self.latest.find(hash(key), is_of_key).map(|low| first + i64::from(offset(low)))
    }

    /// The last row that is older than `before`, or goes soon because there is no room; rows before it do, too.
    pub(super) fn fading_through(&self, before: Timestamp) -> i64 {
        let spare = FADING.min(self.replies_max / 2);
        let excess = self.rows.len().saturating_sub(self.replies_max - spare);
        let old = self.rows.iter().take_while(|row| row.at < before).count();
        self.first() - 1 + excess.max(old) as i64
    }

    pub(super) fn len(&self) -> usize {
        self.latest.len()
    }

    /// How many rows too many there are with so many more.
    pub(super) fn excess(&self, more: usize) -> usize {
        (self.rows.len() + more).saturating_sub(self.replies_max)
    }

    pub(super) fn replies_max(&self) -> usize {
        self.replies_max
    }
}

impl ReplyChanges {
    /// Gives new answers their row numbers. Returns the first; the others follow.
    pub(super) fn add(&mut self, index: &ReplyIndex, replies: &[Reply]) -> i64 {
        let first = index.next + self.added.len() as i64;
        for (number, reply) in (first..).zip(replies) {
            self.added.push((number, reply.at, reply.key));
            self.numbers.insert(reply.key, number);
        }
        first
    }

    /// Forgets what is older than `before` and what is too much. Returns the number of the last row to delete,
    /// if there is any.
    ///
    /// Answers go in the order in which they came: one whose time is earlier than that of one before it, because
    /// the clock was set back, goes with that one.
    pub(super) fn forget(&mut self, index: &ReplyIndex, before: Option<Timestamp>) -> Option<i64> {
        let rows = index.rows().chain(self.added.iter().copied());
        let mut excess = (index.rows.len() + self.added.len()).saturating_sub(index.replies_max);
        let last = rows
            .take_while(|(_, at, _)| {
                let goes = excess > 0 || before.is_some_and(|before| *at < before);
                excess = excess.saturating_sub(1);
                goes
            })
            .last()
            .map(|(number, _, _)| number)
            .filter(|number| *number > self.forgotten_through)?;
        self.forgotten_through = last;
        Some(last)
    }

    /// The row of an answer, as the transaction sees it.
    pub(super) fn number(&self, index: &ReplyIndex, key: ReplyKey) -> Option<i64> {
        let number = self.numbers.get(&key).copied().or_else(|| index.number(key))?;
        (number > self.forgotten_through).then_some(number)
    }

    /// How many answers there are, as the transaction sees it.
    pub(super) fn len(&self, index: &ReplyIndex) -> usize {
        let known_before = self.numbers.keys().filter(|key| index.number(**key).is_some()).count();
        let latest = |key| self.numbers.get(&key).copied().or_else(|| index.number(key));
        let forgotten = index
            .rows()
            .chain(self.added.iter().copied())
            .take_while(|(number, _, _)| *number <= self.forgotten_through)
            .filter(|(number, _, key)| latest(*key) == Some(*number))
            .count();
        index.len() + self.numbers.len() - known_before - forgotten
    }
}

fn parse(entry: &str) -> Option<(i64, Timestamp, ReplyKey)> {
    let mut parts = entry.split(' ');
    let number = parts.next()?.parse().ok()?;
    let at = Timestamp::from_micros(parts.next()?.parse().ok()?);
    let key = u128::from_str_radix(parts.next()?, 16).ok()?;
    Some((number, at, ReplyKey(key)))
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    fn reply(key: u128, at: i64) -> Reply {
        Reply { key: ReplyKey(key), at: Timestamp::from_micros(at), response: Default::default() }
    }

    proptest! {
        #[test]
        fn it_finds_the_latest_row_of_each_key_and_forgets_from_the_beginning(
            first in prop_oneof![Just(1_i64), Just(i64::from(u32::MAX) - 20)],
            groups in prop::collection::vec(prop::collection::vec(0_u128..40, 0..12), 1..12),
            replies_max in 1_usize..60,
        ) {
            let mut index = ReplyIndex::new(replies_max);
            index.next = first;
            let mut model: Vec<(i64, u128)> = Vec::new();
            for (turn, group) in groups.into_iter().enumerate() {
                let replies: Vec<Reply> = group.iter().map(|key| reply(*key, turn as i64)).collect();
                let mut changes = ReplyChanges::default();
                let number = changes.add(&index, &replies);
                model.extend((number..).zip(group));
                changes.forget(&index, None);
                model.drain(..model.len().saturating_sub(replies_max));
                let latest: HashMap<u128, i64> = model.iter().map(|(number, key)| (*key, *number)).collect();
                for key in 0..40 {
                    prop_assert_eq!(changes.number(&index, ReplyKey(key)), latest.get(&key).copied());
                }
                prop_assert_eq!(changes.len(&index), latest.len());
                index.apply(changes);
                for key in 0..40 {
                    prop_assert_eq!(index.number(ReplyKey(key)), latest.get(&key).copied());
                }
                prop_assert_eq!(index.len(), latest.len());
            }
        }
    }
}
