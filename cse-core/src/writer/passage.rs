//! The writer's part in passing requests on to other CSEs: remembering durably, before a request leaves, under which
//! identifier it does, so that its redelivery leaves under the same and has no second effect there.

use tokio::sync::oneshot;

use super::answered::Answered;
use crate::error::Error;
use crate::metrics::Metrics;
use crate::ports::{ReplyKey, Store};
use crate::primitive::{Redelivery, Response};
use crate::record::{self, Record};
use crate::time::Timestamp;
use crate::value::Text;
use crate::view::{View, WriteSource};

/// A request that is about to be passed on.
pub(crate) struct PassOn {
    /// Under which it is remembered.
    pub(crate) key: ReplyKey,
    /// The CSE that has made its identifier.
    pub(crate) made_by: Option<Text>,
    /// Whether it may be one that was passed on before.
    pub(crate) redelivery: Redelivery,
    /// The identifier that it gets if it was not.
    pub(crate) identifier: Text,
    /// Dropped without a word when the store fails.
    pub(crate) reply: oneshot::Sender<Passage>,
}

/// How a request is to be passed on.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Passage {
    /// Not at all, this was its answer.
    Answered(Box<Response>),
    /// Under an identifier.
    Under(Under),
}

/// Under which identifier a request is passed on.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Under {
    /// The identifier.
    pub(crate) identifier: Text,
    /// When the request came here first.
    pub(crate) since: Timestamp,
    /// Whether it has left before, so that the next CSE may have it.
    pub(crate) is_repeated: bool,
}

/// What came of a request that was passed on.
pub(crate) struct PassedOn {
    /// Under which the request is remembered.
    pub(crate) key: ReplyKey,
    /// The CSE that has made its identifier.
    pub(crate) made_by: Option<Text>,
    /// Under which it was passed on.
    pub(crate) identifier: Text,
    /// When the request came first.
    pub(crate) since: Timestamp,
    /// The answer; `None` if it did not leave.
    pub(crate) response: Option<Box<Response>>,
}

impl PassOn {
    /// Finds or gives the identifier; the outcome waits for the commit.
    pub(super) async fn run<S: Store>(
        self,
        view: &mut View<'_, WriteSource<'_, S>>,
        metrics: &Metrics,
        answered: &mut Answered,
        waiting: &mut Vec<(oneshot::Sender<Passage>, Passage)>,
    ) -> Result<(), Error> {
        let Self { key, made_by, redelivery, identifier, reply } = self;
        let passage = match record::earlier(view, key, redelivery).await? {
            Some((_, Record::Answered(response))) => {
                metrics.redeliveries.increment();
                Passage::Answered(Box::new(response))
            }
            Some((since, Record::PassedOn(identifier))) => {
                Passage::Under(Under { identifier, since, is_repeated: true })
            }
            Some((since, Record::KeptBack(identifier))) => {
                Passage::Under(leaves(view, (key, made_by.as_deref()), identifier, since))
            }
            None => {
                let now = view.now;
                Passage::Under(leaves(view, (key, made_by.as_deref()), identifier, now))
            }
        };
        if let Passage::Under(under) = &passage {
            answered.given(key, &under.identifier);
        }
        waiting.push((reply, passage));
        Ok(())
    }
}

/// Remembers that a request leaves under an identifier.
fn leaves<S: Store>(
    view: &mut View<'_, WriteSource<'_, S>>,
    (key, made_by): (ReplyKey, Option<&str>),
    identifier: Text,
    since: Timestamp,
) -> Under {
    let record = Record::PassedOn(identifier.clone());
    view.source.overlay.remember(record.into_reply(key, since, made_by));
    Under { identifier, since, is_repeated: false }
}

impl PassedOn {
    /// Remembers the answer in place of the identifier, or that the request is still here.
    pub(super) async fn run<S: Store>(
        self,
        view: &mut View<'_, WriteSource<'_, S>>,
        answered: &mut Answered,
    ) -> Result<(), Error> {
        let Self { key, made_by, identifier, since, response } = self;
        let is_latest = match answered.settle(key, &identifier) {
            Some(is_latest) => is_latest,
            None => record::passed_on(view, key).await?.is_some_and(|latest| latest == identifier),
        };
        // An equal but newer request may have taken the place: its redelivery must not get the answer to this one.
        if is_latest {
            let (at, record) = match response {
                Some(response) => (view.now, Record::Answered(*response)),
                None => (since, Record::KeptBack(identifier)),
            };
            view.source.overlay.remember(record.into_reply(key, at, made_by.as_deref()));
        }
        Ok(())
    }
}
