//! What a link is subscribed to, and what the broker has said to it.

use std::collections::VecDeque;

use crate::link::{MORE_FILTERS_MAX, Refused, Subscription};

/// The subscriptions of a link, in the order in which they were asked for.
pub(super) struct Subscriptions {
    all: Vec<Subscription>,
    /// How many of them there are from the beginning.
    first: usize,
    /// How many the broker has been asked for on this connection; `None` without one.
    asked: Option<usize>,
    /// The numbers of subscriptions in each SUBSCRIBE that has not been answered; answers come in their order.
    unanswered: VecDeque<std::ops::Range<usize>>,
}

impl Subscriptions {
    pub(super) fn new(first: Vec<Subscription>) -> Self {
        Self { first: first.len(), all: first, asked: None, unanswered: VecDeque::new() }
    }

    /// Adds what is not there yet.
    pub(super) fn add(&mut self, filters: &[String]) -> Result<(), Refused> {
        for filter in filters {
            if self.all.iter().any(|known| known.filter == *filter) {
                continue;
            }
            if self.all.len() >= self.first + MORE_FILTERS_MAX {
                return Err(Refused::TooManyFilters);
            }
            self.all.push(Subscription { filter: filter.clone(), needed: false });
        }
        Ok(())
    }

    pub(super) fn connected(&mut self) {
        self.asked = Some(0);
        self.unanswered.clear();
    }

    pub(super) fn disconnected(&mut self) {
        self.asked = None;
        self.unanswered.clear();
    }

    /// What the broker has to be asked for now.
    pub(super) fn next(&self) -> &[Subscription] {
        self.asked.and_then(|asked| self.all.get(asked..)).unwrap_or_default()
    }

    /// It has been asked for [`Subscriptions::next`].
    pub(super) fn asked(&mut self) {
        if let Some(asked) = self.asked.replace(self.all.len()) {
            self.unanswered.push_back(asked..self.all.len());
        }
    }

    /// The oldest question has been answered; gives what was refused.
    pub(super) fn answered(&mut self, refused: impl Iterator<Item = bool>) -> Vec<Subscription> {
        let asked = self.unanswered.pop_front().and_then(|range| self.all.get(range)).unwrap_or_default();
        asked.iter().zip(refused).filter(|(_, refused)| *refused).map(|(asked, _)| asked.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filters(subscriptions: &[Subscription]) -> Vec<&str> {
        subscriptions.iter().map(|subscription| subscription.filter.as_str()).collect()
    }

    #[test]
    fn each_is_asked_for_once_on_each_connection() {
        let mut subscriptions = Subscriptions::new(Subscription::needed(["a".into(), "b".into()]).collect());
        assert!(subscriptions.next().is_empty(), "not connected");
        subscriptions.connected();
        assert_eq!(filters(subscriptions.next()), ["a", "b"]);
        subscriptions.asked();
        assert!(subscriptions.next().is_empty());
        subscriptions.add(&["b".into(), "c".into(), "c".into()]).expect("room");
        assert_eq!(filters(subscriptions.next()), ["c"]);
        subscriptions.asked();
        assert_eq!(
            subscriptions.answered([false, true].into_iter()),
            [Subscription { filter: "b".into(), needed: true }]
        );
        assert_eq!(subscriptions.answered([true].into_iter()), [Subscription { filter: "c".into(), needed: false }]);
        assert_eq!(subscriptions.answered([true].into_iter()), []);
        subscriptions.disconnected();
        assert!(subscriptions.next().is_empty());
        subscriptions.connected();
        assert_eq!(filters(subscriptions.next()), ["a", "b", "c"]);
    }

    #[test]
    fn their_number_is_bounded() {
        let mut subscriptions = Subscriptions::new(Subscription::needed(["a".into()]).collect());
        for number in 0..MORE_FILTERS_MAX {
            subscriptions.add(&[number.to_string()]).expect("room");
        }
        assert_eq!(subscriptions.add(&["more".into()]), Err(Refused::TooManyFilters));
        assert_eq!(subscriptions.add(&["0".into()]), Ok(()), "it is there already");
    }
}
