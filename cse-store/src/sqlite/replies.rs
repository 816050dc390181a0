//! Where remembered answers are: key to row number, in memory.
//!
//! A key is a digest, so an index on it would write a random page per answer. The table is only appended to and
//! cut off at its beginning; this map, bounded and loaded at start, finds the row. It keeps 64 bits of a key, and
//! the row has the whole: should two keys ever agree in these bits, the answer to the earlier is forgotten early.

use std::collections::VecDeque;
use std::hash::BuildHasher;

use cse_core::ports::{Reply, ReplyKey};
use cse_core::time::Timestamp;
use rustc_hash::{FxBuildHasher, FxHashMap};
use sqlx::{Row, SqliteConnection};

/// Keys per row of the query that loads them; a row per key would take ten times as long.
const LOADED_AT_ONCE: i64 = 2_000;

/// What is in memory of a key.
type ShortKey = u64;

fn short(key: ReplyKey) -> ShortKey {
    FxBuildHasher.hash_one(key.0)
}

pub(super) struct ReplyIndex {
    replies_max: usize,
    /// Number of the first of `rows`; the others follow without a gap.
    first: i64,
    rows: VecDeque<(Timestamp, ShortKey)>,
    /// The latest row of each key.
    numbers: FxHashMap<ShortKey, i64>,
}

/// What an open transaction does to the index.
#[derive(Default)]
pub(super) struct ReplyChanges {
    added: Vec<(Timestamp, ShortKey)>,
    numbers: FxHashMap<ShortKey, i64>,
    /// Rows up to this number are deleted.
    forgotten_through: i64,
}

impl ReplyIndex {
    pub(super) async fn load(connection: &mut SqliteConnection, replies_max: usize) -> Result<Self, sqlx::Error> {
        let mut index =
            Self { replies_max: replies_max.max(1), first: 1, rows: VecDeque::new(), numbers: FxHashMap::default() };
        loop {
            let row = sqlx::query(
                "SELECT group_concat(number || ' ' || at || ' ' || hex(key), ';')
                 FROM (SELECT number, at, key FROM reply WHERE number >= ?1 ORDER BY number LIMIT ?2)",
            )
            .bind(index.next())
            .bind(LOADED_AT_ONCE)
            .fetch_one(&mut *connection)
            .await?;
            let Some(keys) = row.try_get::<Option<&str>, _>(0)? else {
                return Ok(index);
            };
            for entry in keys.split(';') {
                index
                    .load_row(entry)
                    .ok_or_else(|| sqlx::Error::Decode(format!("reply row '{entry}' makes no sense").into()))?;
            }
        }
    }

    fn load_row(&mut self, entry: &str) -> Option<()> {
        let mut parts = entry.split(' ');
        let number: i64 = parts.next()?.parse().ok()?;
        let at = Timestamp::from_micros(parts.next()?.parse().ok()?);
        let key = u128::from_str_radix(parts.next()?, 16).ok()?;
        if self.rows.is_empty() {
            self.first = number;
        } else if number != self.next() {
            return None;
        }
        self.push(at, short(ReplyKey(key)));
        Some(())
    }

    /// Number of the next row.
    fn next(&self) -> i64 {
        self.first + self.rows.len() as i64
    }

    fn push(&mut self, at: Timestamp, key: ShortKey) {
        self.numbers.insert(key, self.next());
        self.rows.push_back((at, key));
    }

    /// Takes over what a transaction did, once it is committed.
    pub(super) fn apply(&mut self, changes: ReplyChanges) {
        for (at, key) in changes.added {
            self.push(at, key);
        }
        while self.first <= changes.forgotten_through
            && let Some((_, key)) = self.rows.pop_front()
        {
            if self.numbers.get(&key) == Some(&self.first) {
                self.numbers.remove(&key);
            }
            self.first += 1;
        }
    }

    /// The row of an answer that is committed.
    pub(super) fn number(&self, key: ReplyKey) -> Option<i64> {
        self.numbers.get(&short(key)).copied()
    }

    pub(super) fn len(&self) -> usize {
        self.numbers.len()
    }

    pub(super) fn replies_max(&self) -> usize {
        self.replies_max
    }
}

impl ReplyChanges {
    /// Gives new answers their row numbers. Returns the first; the others follow.
    pub(super) fn add(&mut self, index: &ReplyIndex, replies: &[Reply]) -> i64 {
        let first = index.next() + self.added.len() as i64;
        for (number, reply) in (first..).zip(replies) {
            let key = short(reply.key);
            self.added.push((reply.at, key));
            self.numbers.insert(key, number);
        }
        first
    }

    /// Forgets what is older than `before` and what is too much. Returns the number of the last row to delete,
    /// if there is any.
    ///
    /// Answers go in the order in which they came: one whose time is earlier than that of one before it, because
    /// the clock was set back, goes with that one.
    pub(super) fn forget(&mut self, index: &ReplyIndex, before: Option<Timestamp>) -> Option<i64> {
        let excess = (index.rows.len() + self.added.len()).saturating_sub(index.replies_max);
        let going = index
            .rows
            .iter()
            .chain(&self.added)
            .enumerate()
            .take_while(|(position, (at, _))| *position < excess || before.is_some_and(|before| *at < before))
            .count();
        let last = index.first + going as i64 - 1;
        if last <= self.forgotten_through || going == 0 {
            return None;
        }
        self.forgotten_through = last;
        Some(last)
    }

    /// The row of an answer, as the transaction sees it.
    pub(super) fn number(&self, index: &ReplyIndex, key: ReplyKey) -> Option<i64> {
        let number = self.numbers.get(&short(key)).copied().or_else(|| index.number(key))?;
        (number > self.forgotten_through).then_some(number)
    }

    /// How many answers there are, as the transaction sees it.
    pub(super) fn len(&self, index: &ReplyIndex) -> usize {
        let known_before = self.numbers.keys().filter(|key| index.numbers.contains_key(key)).count();
        let forgotten = (index.first..=self.forgotten_through)
            .zip(index.rows.iter().chain(&self.added))
            .filter(|(number, (_, key))| self.numbers.get(key).or_else(|| index.numbers.get(key)) == Some(number))
            .count();
        index.numbers.len() + self.numbers.len() - known_before - forgotten
    }
}
