//! One attempt to deliver one notification.

use std::sync::Arc;

use super::lane::Waiting;
use crate::cse::Cse;
use crate::id::Seq;
use crate::ports::{Patience, SendError, Sent, Snapshot, Store, StoreError};
use crate::value::{Map, Text};

/// What became of an attempt.
pub(super) enum Attempt {
    /// It was sent, or not.
    Made(Result<Sent, SendError>),
    /// The store has it no more.
    Gone,
}

pub(super) async fn deliver<S: Store>(cse: &Cse<S>, target: &Text, waiting: &Waiting, patience: Patience) -> Attempt {
    let later = |problem: String| Attempt::Made(Err(SendError::Unreachable(problem)));
    let content = match &waiting.content {
        Some(content) => Arc::clone(content),
        None => match load(cse, waiting.seq).await {
            Ok(Some(content)) => content,
            Ok(None) => return Attempt::Gone,
            Err(error) => return later(error.to_string()),
        },
    };
    let route = match cse.route(target).await {
        Ok(Some(route)) => route,
        Ok(None) => return later("no registered, reachable AE of that name".into()),
        Err(error) => return later(error.to_string()),
    };
    let request = cse.notify_request((*content).clone(), waiting.event_category);
    let timeout = cse.0.settings.notification_timeout;
    Attempt::Made(cse.send_along(route, request, timeout, patience).await)
}

async fn load<S: Store>(cse: &Cse<S>, seq: Seq) -> Result<Option<Arc<Map>>, StoreError> {
    let mut snapshot = cse.0.store.snapshot().await?;
    let found = snapshot.outbox(Seq(seq.0 - 1), 1).await?;
    Ok(found.into_iter().next().filter(|entry| entry.seq == seq).map(|entry| entry.content))
}
