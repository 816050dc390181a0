//! What is remembered of the requests of CSEs next to this one is kept for longer than the rest: such a CSE may learn
//! of a lost answer only when a line is back that was down for days, and ask again under the same identifier.
//!
//! So of each CSE the newest records are kept, however old they are. While its line is down it sends nothing that
//! could push them out. Records are forgotten from the oldest on, so those to be kept are put in again before.

use std::collections::VecDeque;
use std::time::Duration;

use rustc_hash::FxHashMap;

use crate::ports::Reply;
use crate::time::Timestamp;
use crate::value::{Map, Text, Value};

/// How long such a record is kept at most. Nobody asks again after a longer time.
pub(crate) const LASTING_MAX: Duration = Duration::from_secs(7 * 86_400);
/// Records that are kept of one CSE, of all together, and of each however many there are.
const PER_CSE_MAX: usize = 256;
const TOTAL_MAX: usize = 16_384;
const PER_CSE_MIN: usize = 16;
/// The member of a record that says whose it is and since when; no response has members of that form.
const MARK: &str = "@once";

/// Marks what is remembered of a request of a CSE.
pub(super) fn mark(record: &mut Map, cse: &str, since: Timestamp) {
    let mut mark = Map::single("by", cse);
    mark.push("since", since.micros());
    record.insert(MARK, mark);
}

/// Takes the mark out again: of which CSE the request was, and when it came.
pub(super) fn unmark(record: &mut Map) -> Option<(Text, Timestamp)> {
    read(&record.remove(MARK)?)
}

fn read(mark: &Value) -> Option<(Text, Timestamp)> {
    let mark = mark.as_map()?;
    Some((mark.text("by")?.into(), Timestamp::from_micros(mark.int("since")?)))
}

/// When the newest requests of each CSE came, as far as this process knows.
#[derive(Default)]
pub(crate) struct Recent(FxHashMap<Text, VecDeque<Timestamp>>);

impl Recent {
    /// One more record, if it is one of a CSE.
    pub(crate) fn note(&mut self, reply: &Reply) {
        let Some((cse, since)) = reply.response.get(MARK).and_then(read) else { return };
        let of_cse = self.0.entry(cse).or_default();
        of_cse.push_back(since);
        if of_cse.len() > PER_CSE_MAX {
            of_cse.pop_front();
        }
    }

    /// Whether a record that would be forgotten is put in again. Of CSEs that have not sent much since this process
    /// began it is not known which are the newest, so all are.
    pub(crate) fn keeps(&self, reply: &Reply, now: Timestamp) -> bool {
        let Some((cse, since)) = reply.response.get(MARK).and_then(read) else { return false };
        let count = (TOTAL_MAX / self.0.len().max(1)).clamp(PER_CSE_MIN, PER_CSE_MAX);
        let of_cse = self.0.get(&cse);
        let first_kept = of_cse.and_then(|times| times.len().checked_sub(count).and_then(|at| times.get(at)));
        now.since(since) < LASTING_MAX && first_kept.is_none_or(|first| since >= *first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports::ReplyKey;

    fn reply(cse: &str, since: i64) -> Reply {
        let at = Timestamp::from_micros(since);
        let mut response = Map::new();
        mark(&mut response, cse, at);
        Reply { key: ReplyKey(7), at, response }
    }

    #[test]
    fn the_newest_of_each_cse_are_kept_for_days() {
        let mut recent = Recent::default();
        let now = Timestamp::from_micros(1_000);
        assert!(recent.keeps(&reply("id-mn", 1), now), "nothing is known yet");
        for since in 0..=300 {
            recent.note(&reply("id-mn", since));
            recent.note(&reply("id-asn", 5));
        }
        for (since, is_kept) in [(0, false), (44, false), (45, true), (300, true)] {
            assert_eq!(recent.keeps(&reply("id-mn", since), now), is_kept, "{since}");
        }
        assert!(recent.keeps(&reply("id-asn", 5), now));
        assert!(!recent.keeps(&reply("id-asn", 5), now.plus(LASTING_MAX)));
        assert!(!recent.keeps(&Reply { response: Map::new(), ..reply("id-asn", 5) }, now), "of no CSE");
    }

    #[test]
    fn many_cses_share_the_room() {
        let mut recent = Recent::default();
        for cse in 0..TOTAL_MAX / 32 {
            recent.note(&reply(&format!("id-{cse}"), 1));
        }
        for since in 0..100 {
            recent.note(&reply("id-1", since));
        }
        let now = Timestamp::from_micros(1_000);
        assert!(!recent.keeps(&reply("id-1", 60), now) && recent.keeps(&reply("id-1", 80), now));
    }
}
