//! Which requests may be redeliveries, so that each has exactly one effect.
//!
//! Many clients use one request identifier for ever, so an equal identifier alone says nothing. A message may be a
//! redelivery if it is marked so, or if the answer to its predecessor has not arrived yet. The embedded broker
//! knows the latter exactly; with an external one a short time has to stand for it.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use cse_core::primitive::Redelivery;
use cse_core::value::Text;

use crate::link::{Progress, Receipt};

/// Topic originator and request identifier.
type Key = (Text, Text);

/// What the link knows about the arrival of answers.
pub(crate) enum Recall {
    /// Nothing: a repetition within this time may be a redelivery.
    Window(Duration),
    /// Everything.
    Followed(FollowedAnswers),
}

impl Recall {
    /// Judges a request, and expects the answer to it.
    pub(crate) fn judge(&mut self, duplicate: bool, originator: &str, rqi: &Text) -> Redelivery {
        let marked = duplicate.then_some(Redelivery::Possible);
        match self {
            Self::Window(window) if window.is_zero() => marked.unwrap_or(Redelivery::New),
            Self::Window(window) => marked.unwrap_or(Redelivery::PossibleWithin(*window)),
            Self::Followed(answers) => {
                let outstanding = answers.expect((originator.into(), rqi.clone()));
                if outstanding { Redelivery::Possible } else { marked.unwrap_or(Redelivery::New) }
            }
        }
    }

    /// The answer has been published; without receipt nobody is to get it.
    pub(crate) fn answered(&mut self, originator: &str, rqi: &Text, receipt: Option<Box<dyn Receipt>>) {
        if let Self::Followed(answers) = self {
            answers.answered(&(originator.into(), rqi.clone()), receipt);
        }
    }
}

struct Followed {
    /// Requests with this key whose answer is not published yet.
    running: u32,
    /// The answer published last.
    receipt: Option<Box<dyn Receipt>>,
}

impl Followed {
    fn is_outstanding(&mut self) -> bool {
        self.running > 0
            || self.receipt.as_mut().is_some_and(|receipt| match receipt.progress() {
                Progress::Waiting | Progress::TakenOver | Progress::Lost => true,
                // Who does not listen for answers does not wait for them, either.
                Progress::Received | Progress::NoReceiver => false,
            })
    }
}

/// The answers that have not arrived yet, and the requests that have none yet. Bounded.
pub(crate) struct FollowedAnswers {
    /// Keys come from clients, hence the keyed default hasher.
    entries: HashMap<Key, Followed>,
    /// Each key once, roughly by age.
    order: VecDeque<Key>,
    max: usize,
    forgotten: u64,
}

impl FollowedAnswers {
    pub(crate) fn new(max: usize) -> Self {
        Self { entries: HashMap::new(), order: VecDeque::new(), max: max.max(1), forgotten: 0 }
    }

    /// How many entries were dropped for lack of room since the last call.
    pub(crate) fn take_forgotten(&mut self) -> u64 {
        std::mem::take(&mut self.forgotten)
    }

    fn expect(&mut self, key: Key) -> bool {
        if let Some(followed) = self.entries.get_mut(&key) {
            let outstanding = followed.is_outstanding();
            followed.running += 1;
            return outstanding;
        }
        self.tidy();
        self.order.push_back(key.clone());
        self.entries.insert(key, Followed { running: 1, receipt: None });
        false
    }

    fn answered(&mut self, key: &Key, receipt: Option<Box<dyn Receipt>>) {
        if let Some(followed) = self.entries.get_mut(key) {
            followed.running = followed.running.saturating_sub(1);
            followed.receipt = receipt;
        }
    }

    /// Looks at the two oldest for each that comes, so that the table shrinks as answers arrive, and makes room.
    fn tidy(&mut self) {
        for _ in 0..2 {
            let Some(key) = self.order.pop_front() else { return };
            if self.entries.get_mut(&key).is_some_and(Followed::is_outstanding) {
                self.order.push_back(key);
            } else {
                self.entries.remove(&key);
            }
        }
        while self.entries.len() >= self.max {
            let Some(key) = self.order.pop_front() else { return };
            self.entries.remove(&key);
            self.forgotten += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use cse_core::ports::BoxFuture;
    use parking_lot::Mutex;

    use super::*;

    struct Fake(Arc<Mutex<Progress>>);

    impl Receipt for Fake {
        fn progress(&mut self) -> Progress {
            *self.0.lock()
        }
        fn settled(&mut self) -> BoxFuture<'_, Progress> {
            let progress = self.progress();
            Box::pin(std::future::ready(progress))
        }
    }

    fn followed(max: usize) -> Recall {
        Recall::Followed(FollowedAnswers::new(max))
    }

    #[test]
    fn a_window_stands_for_knowledge() {
        let rqi = Text::new("1");
        let ten = Duration::from_secs(10);
        assert_eq!(Recall::Window(ten).judge(false, "Cx", &rqi), Redelivery::PossibleWithin(ten));
        assert_eq!(Recall::Window(ten).judge(true, "Cx", &rqi), Redelivery::Possible);
        assert_eq!(Recall::Window(Duration::ZERO).judge(false, "Cx", &rqi), Redelivery::New);
        assert_eq!(Recall::Window(Duration::ZERO).judge(true, "Cx", &rqi), Redelivery::Possible);
    }

    #[test]
    fn a_repetition_is_new_once_the_answer_has_arrived() {
        for (progress, expected) in [
            (Progress::Waiting, Redelivery::Possible),
            (Progress::TakenOver, Redelivery::Possible),
            (Progress::Lost, Redelivery::Possible),
            (Progress::Received, Redelivery::New),
            (Progress::NoReceiver, Redelivery::New),
        ] {
            let mut recall = followed(10);
            let rqi = Text::new("1");
            assert_eq!(recall.judge(false, "Cx", &rqi), Redelivery::New);
            assert_eq!(recall.judge(false, "Cx", &rqi), Redelivery::Possible, "no answer yet");
            assert_eq!(recall.judge(false, "Cy", &rqi), Redelivery::New, "somebody else");
            for _ in 0..2 {
                recall.answered("Cx", &rqi, Some(Box::new(Fake(Arc::new(Mutex::new(progress))))));
            }
            assert_eq!(recall.judge(false, "Cx", &rqi), expected, "{progress:?}");
            assert_eq!(recall.judge(true, "Cz", &rqi), Redelivery::Possible, "marked");
        }
    }

    #[test]
    fn the_table_is_bounded_and_shrinks() {
        let mut recall = followed(100);
        let progress = Arc::new(Mutex::new(Progress::TakenOver));
        for number in 0..1000 {
            let rqi = Text::from(number.to_string());
            recall.judge(false, "Cx", &rqi);
            recall.answered("Cx", &rqi, Some(Box::new(Fake(Arc::clone(&progress)))));
        }
        let Recall::Followed(answers) = &mut recall else { panic!("followed") };
        assert_eq!((answers.entries.len(), answers.order.len()), (100, 100));
        assert_eq!((answers.take_forgotten(), answers.take_forgotten()), (900, 0));
        *progress.lock() = Progress::Received;
        for number in 1000..1100 {
            let rqi = Text::from(number.to_string());
            recall.judge(false, "Cx", &rqi);
            recall.answered("Cx", &rqi, None);
        }
        let Recall::Followed(answers) = &recall else { panic!("followed") };
        assert!(answers.entries.len() < 10, "{}", answers.entries.len());
        assert_eq!(answers.entries.len(), answers.order.len());
    }
}
