//! What a link is subscribed to, and what the broker has said to it.

use std::iter::repeat;

use crate::link::{MORE_FILTERS_MAX, Refused, Subscription};

/// Reason codes from here on are refusals; in version 3.1.1 there is only this one.
const REFUSED_FROM: u8 = 0x80;

/// The subscriptions of a link, in the order in which they were asked for.
#[derive(Debug, Default)]
pub(super) struct Subscriptions {
    all: Vec<Subscription>,
    /// How many of them there are from the beginning.
    first: usize,
    /// How many the broker has been asked for on this connection.
    asked: usize,
    /// How many of these were asked for before the last question.
    answered: usize,
}

impl Subscriptions {
    pub(super) fn new(first: Vec<Subscription>) -> Self {
        Self { first: first.len(), all: first, asked: 0, answered: 0 }
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

    /// Everything has to be asked for anew.
    pub(super) fn start_over(&mut self) {
        (self.asked, self.answered) = (0, 0);
    }

    /// Whether there is something that the broker has not been asked for.
    pub(super) fn has_more(&self) -> bool {
        self.asked < self.all.len()
    }

    /// What the broker has not been asked for; it is asked now.
    pub(super) fn ask(&mut self) -> Vec<String> {
        let more = self.all.get(self.asked..).unwrap_or_default();
        let filters = more.iter().map(|subscription| subscription.filter.clone()).collect();
        (self.answered, self.asked) = (self.asked, self.all.len());
        filters
    }

    /// The last question has been answered; gives what was refused, and with which code. What the answer says nothing
    /// of is not granted.
    pub(super) fn answered(&mut self, codes: &[u8]) -> Vec<(Subscription, u8)> {
        let asked = self.all.get(self.answered..self.asked).unwrap_or_default();
        let codes = codes.iter().copied().chain(repeat(REFUSED_FROM));
        let refused = asked.iter().zip(codes).filter(|(_, code)| *code >= REFUSED_FROM);
        let refused = refused.map(|(subscription, code)| (subscription.clone(), code)).collect();
        self.answered = self.asked;
        refused
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn needed(filters: &[&str]) -> Subscriptions {
        Subscriptions::new(Subscription::needed(filters.iter().map(|filter| (*filter).to_owned())).collect())
    }

    #[test]
    fn each_is_asked_for_once_on_each_connection() {
        let mut subscriptions = needed(&["a", "b"]);
        assert!(subscriptions.has_more());
        assert_eq!(subscriptions.ask(), ["a", "b"]);
        assert!(!subscriptions.has_more());
        subscriptions.add(&["b".into(), "c".into(), "c".into()]).expect("room");
        assert!(subscriptions.has_more());
        let refused = subscriptions.answered(&[1, 0x80]);
        assert_eq!(refused, [(Subscription { filter: "b".into(), needed: true }, 0x80)]);
        assert_eq!(subscriptions.ask(), ["c"]);
        assert_eq!(subscriptions.answered(&[0x87]), [(Subscription { filter: "c".into(), needed: false }, 0x87)]);
        assert_eq!(subscriptions.answered(&[0x80]), [], "nothing was asked");
        assert_eq!(subscriptions.ask(), [""; 0]);
        subscriptions.start_over();
        assert_eq!(subscriptions.ask(), ["a", "b", "c"]);
        assert_eq!(subscriptions.answered(&[1, 1, 1]), []);
        subscriptions.start_over();
        subscriptions.ask();
        let refused = subscriptions.answered(&[1]);
        assert_eq!(refused.iter().map(|(subscription, _)| &*subscription.filter).collect::<Vec<_>>(), ["b", "c"]);
    }

    #[test]
    fn their_number_is_bounded() {
        let mut subscriptions = needed(&["a"]);
        for number in 0..MORE_FILTERS_MAX {
            subscriptions.add(&[number.to_string()]).expect("room");
        }
        assert_eq!(subscriptions.add(&["more".into()]), Err(Refused::TooManyFilters));
        assert_eq!(subscriptions.add(&["0".into()]), Ok(()), "it is there already");
    }
}
