//! What became of notifications: entries of the outbox that go or are tried again, and the statistics of subscriptions.

use std::sync::Arc;

use crate::access::authorize::Permit;
use crate::behaviour::subscription;
use crate::error::Error;
use crate::id::Seq;
use crate::overlay::Effects;
use crate::ports::Store;
use crate::resource::Resource;
use crate::schema::keys;
use crate::time::Timestamp;
use crate::value::Text;
use crate::view::{View, WriteSource};

/// What became of one notification.
pub(crate) struct Delivered {
    pub(crate) seq: Seq,
    pub(crate) subscription: Seq,
    pub(crate) target: Text,
    /// Of the notification, as it was counted.
    pub(crate) bytes: usize,
    pub(crate) result: DeliveryResult,
}

/// See [`Delivered`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum DeliveryResult {
    /// It arrived and was answered.
    Answered,
    /// It arrived as far as can be known.
    Unanswered,
    /// It is given up.
    GivenUp,
    /// It is to be tried again then, after so many attempts.
    Again(Timestamp, u32),
}

impl DeliveryResult {
    /// Whether nothing more will become of it.
    pub(super) fn is_final(self) -> bool {
        !matches!(self, Self::Again(..))
    }
}

/// Takes note of what became of notifications.
pub(super) async fn note<S: Store>(
    view: &mut View<'_, WriteSource<'_, S>>,
    results: Vec<Delivered>,
) -> Result<(), Error> {
    let mut effects = Effects::new(Permit::internal("delivery of notifications"));
    for delivered in results {
        let Delivered { seq, subscription, target, result, .. } = delivered;
        match result {
            DeliveryResult::Again(at, attempts) => effects.outbox_retry.push((seq, at, attempts)),
            _ => effects.outbox_delete.push(seq),
        }
        let node = match effects.current(subscription) {
            Some(node) => Some(Arc::clone(node)),
            None => view.node(subscription).await?,
        };
        if result != DeliveryResult::GivenUp
            && let Some(node) = node
            && node.subscription().is_some_and(|subscription| subscription.statistics)
        {
            let mut resource = Resource::clone(&node.resource);
            subscription::count(&mut resource.attributes, &target, keys::REQUESTS_SENT, 1);
            if result == DeliveryResult::Answered {
                subscription::count(&mut resource.attributes, &target, keys::RESPONSES_RECEIVED, 1);
            }
            effects.update(Arc::new(node.counted(resource)));
        }
    }
    view.source.apply(effects);
    Ok(())
}
