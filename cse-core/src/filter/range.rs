//! Bounds on times, state tag and content size: the lower one belongs to the interval, the upper one does not.

use super::Verdict;
use crate::ports::Clause;
use crate::primitive::FilterCriteria;
use crate::resource::Resource;
use crate::time::Timestamp;

/// From the first bound on, and before the second.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Interval<T> {
    pub(super) from: Option<T>,
    pub(super) before: Option<T>,
}

impl<T: Copy + PartialOrd> Interval<T> {
    /// The interval, if it has a bound.
    fn bounded(self) -> Option<Self> {
        (self.from.is_some() || self.before.is_some()).then_some(self)
    }

    fn contains(self, value: Option<T>) -> bool {
        value.is_some_and(|value| {
            self.from.is_none_or(|from| from <= value) && self.before.is_none_or(|before| value < before)
        })
    }
}

/// All bounds that filter criteria and event notification criteria share.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Ranges {
    pub(super) created: Interval<Timestamp>,
    pub(super) modified: Interval<Timestamp>,
    pub(super) expires: Interval<Timestamp>,
    pub(super) state_tag: Interval<u64>,
    pub(super) size: Interval<u64>,
}

impl Ranges {
    pub(super) fn of(criteria: &FilterCriteria) -> Self {
        Self {
            created: Interval { from: criteria.created_after, before: criteria.created_before },
            modified: Interval { from: criteria.modified_since, before: criteria.unmodified_since },
            expires: Interval { from: criteria.expire_after, before: criteria.expire_before },
            state_tag: Interval { from: criteria.state_tag_bigger, before: criteria.state_tag_smaller },
            size: Interval { from: criteria.size_above, before: criteria.size_below },
        }
    }

    pub(super) fn judge(&self, resource: &Resource, verdict: &mut Verdict) {
        verdict.condition(self.created.bounded(), |range| range.contains(Some(resource.creation_time)));
        verdict.condition(self.modified.bounded(), |range| range.contains(Some(resource.last_modified_time)));
        verdict.condition(self.expires.bounded(), |range| range.contains(resource.expiration_time));
        verdict.condition(self.state_tag.bounded(), |range| range.contains(resource.state_tag));
        verdict.condition(self.size.bounded(), |range| range.contains(resource.content_size));
    }

    /// How many intervals have a bound.
    pub(super) fn count(&self) -> usize {
        let mut clauses = Vec::new();
        self.push_clauses(&mut clauses);
        clauses.len()
    }

    pub(super) fn push_clauses(&self, clauses: &mut Vec<Clause>) {
        let created = self.created.bounded().map(|range| Clause::Created(range.from, range.before));
        let modified = self.modified.bounded().map(|range| Clause::Modified(range.from, range.before));
        let expires = self.expires.bounded().map(|range| Clause::Expires(range.from, range.before));
        let state_tag = self.state_tag.bounded().map(|range| Clause::StateTag(range.from, range.before));
        let size = self.size.bounded().map(|range| Clause::ContentSize(range.from, range.before));
        clauses.extend([created, modified, expires, state_tag, size].into_iter().flatten());
    }
}
