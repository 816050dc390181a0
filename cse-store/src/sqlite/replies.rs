//! Where remembered answers are: key to row number, in memory.
//!
//! A key is a digest, so an index on it would write a random page per answer. The table is only appended to and
//! cut off at its beginning; this map, bounded and loaded at start, finds the row.

use std::collections::VecDeque;

use cse_core::ports::{Reply, ReplyKey};
use cse_core::time::Timestamp;
use rustc_hash::FxHashMap;
use sqlx::{Row, SqliteConnection};

/// Keys per row of the query that loads them; a row per key would take ten times as long.
const LOADED_AT_ONCE: i64 = 5_000;

pub(super) struct ReplyIndex {
    replies_max: usize,
    /// Number of the next row.
    next: i64,
    /// The rows there are, in order: number, when, key.
    rows: VecDeque<(i64, Timestamp, ReplyKey)>,
    /// The latest row of each key.
    numbers: FxHashMap<ReplyKey, i64>,
}

/// What an open transaction does to the index.
#[derive(Default)]
pub(super) struct ReplyChanges {
    added: Vec<(i64, Timestamp, ReplyKey)>,
    numbers: FxHashMap<ReplyKey, i64>,
    /// Rows up to this number are deleted.
    forgotten_through: i64,
}

impl ReplyIndex {
    pub(super) async fn load(connection: &mut SqliteConnection, replies_max: usize) -> Result<Self, sqlx::Error> {
        let mut index =
            Self { replies_max: replies_max.max(1), next: 1, rows: VecDeque::new(), numbers: FxHashMap::default() };
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
                let (number, at, key) = parse(entry)
                    .ok_or_else(|| sqlx::Error::Decode(format!("reply row '{entry}' makes no sense").into()))?;
                index.push(number, at, key);
            }
        }
    }

    fn push(&mut self, number: i64, at: Timestamp, key: ReplyKey) {
        self.next = self.next.max(number + 1);
        self.rows.push_back((number, at, key));
        self.numbers.insert(key, number);
    }

    /// Takes over what a transaction did, once it is committed.
    pub(super) fn apply(&mut self, changes: ReplyChanges) {
        for (number, at, key) in changes.added {
            self.push(number, at, key);
        }
        while let Some(&(number, _, key)) = self.rows.front()
            && number <= changes.forgotten_through
        {
            self.rows.pop_front();
            if self.numbers.get(&key) == Some(&number) {
                self.numbers.remove(&key);
            }
        }
    }

    /// The row of an answer that is committed.
    pub(super) fn number(&self, key: ReplyKey) -> Option<i64> {
        self.numbers.get(&key).copied()
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
        let rows = || index.rows.iter().chain(&self.added);
        let mut excess = (index.rows.len() + self.added.len()).saturating_sub(index.replies_max);
        let last = rows()
            .take_while(|(_, at, _)| {
                let goes = excess > 0 || before.is_some_and(|before| *at < before);
                excess = excess.saturating_sub(1);
                goes
            })
            .last()
            .map(|(number, _, _)| *number)
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
        let known_before = self.numbers.keys().filter(|key| index.numbers.contains_key(key)).count();
        let forgotten = index
            .rows
            .iter()
            .chain(&self.added)
            .take_while(|(number, _, _)| *number <= self.forgotten_through)
            .filter(|(number, _, key)| {
                *self.numbers.get(key).or_else(|| index.numbers.get(key)).unwrap_or(number) == *number
            })
            .count();
        index.numbers.len() + self.numbers.len() - known_before - forgotten
    }
}

fn parse(entry: &str) -> Option<(i64, Timestamp, ReplyKey)> {
    let mut parts = entry.split(' ');
    let number = parts.next()?.parse().ok()?;
    let at = Timestamp::from_micros(parts.next()?.parse().ok()?);
    let key = u128::from_str_radix(parts.next()?, 16).ok()?;
    Some((number, at, ReplyKey(key)))
}
