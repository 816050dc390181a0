//! What the writer does because its time has come: expirations, batches, rate windows, clearing away.

use std::sync::Arc;

use crate::access::authorize::Permit;
use crate::announce;
use crate::behaviour::group;
use crate::cse::Shared;
use crate::error::Error;
use crate::id::Seq;
use crate::node::Node;
use crate::op;
use crate::op::members::Unvalidated;
use crate::overlay::Effects;
use crate::ports::{Deadline, DeadlineKind, Snapshot, Store};
use crate::view::{Source, View, WriteSource, failed};

/// Resources that expire in one step.
const EXPIRED_MAX: usize = 256;
/// Deadlines that are served in one step.
const DEADLINES_MAX: usize = 256;

/// Looks for what is due, and does it.
pub(super) async fn serve<S: Store>(view: &mut View<'_, WriteSource<'_, S>>, shared: &Shared<S>) -> Result<(), Error> {
    expire(view, shared).await?;
    serve_deadlines(view, shared).await
}

/// Deletes what has expired.
async fn expire<S: Store>(view: &mut View<'_, WriteSource<'_, S>>, shared: &Shared<S>) -> Result<(), Error> {
    let now = view.now;
    let expired = view.source.settled().await.map_err(failed)?.expired(now, EXPIRED_MAX).await.map_err(failed)?;
    let full = expired.len() == EXPIRED_MAX;
    for seq in expired {
        // One that cannot be deleted must not keep the others alive.
        match expire_one(view, seq).await {
            Ok(true) => shared.metrics.expired.increment(),
            Ok(false) => {}
            Err(error) if *view.source.broken => return Err(error),
            Err(error) => tracing::error!(%error, resource = %seq, "an expired resource cannot be deleted"),
        }
    }
    if full {
        shared.deadline_added(now);
    }
    Ok(())
}

/// Deletes a resource if it has expired.
async fn expire_one<S: Store>(view: &mut View<'_, WriteSource<'_, S>>, seq: Seq) -> Result<bool, Error> {
    let Some(node) = expired_node(view, seq).await? else {
        return Ok(false);
    };
    if !node.is_expired(view.now) {
        return Ok(false);
    }
    let mut effects = Effects::new(Permit::internal("expiration"));
    op::delete::remove(view, &node, &mut effects).await?;
    announce::settle::settle(view, &mut effects).await?;
    view.source.apply(effects);
    Ok(true)
}

/// An expired resource; one whose parent is gone already is just cleared away.
async fn expired_node<S: Store>(view: &mut View<'_, WriteSource<'_, S>>, seq: Seq) -> Result<Option<Arc<Node>>, Error> {
    if let Some(node) = view.node(seq).await? {
        return Ok(Some(node));
    }
    let stray = view.source.settled().await.map_err(failed)?.resource(seq).await.map_err(failed)?;
    if let Some(stray) = stray {
        let mut effects = Effects::new(Permit::internal("expiration"));
        effects.deleted.push(crate::overlay::Gone::of(&stray));
        view.source.apply(effects);
    }
    Ok(None)
}

/// Does what is due for subscriptions and for containers that are gone.
async fn serve_deadlines<S: Store>(view: &mut View<'_, WriteSource<'_, S>>, shared: &Shared<S>) -> Result<(), Error> {
    let now = view.now;
    let due = view.source.settled().await.map_err(failed)?.deadlines(now, DEADLINES_MAX).await.map_err(failed)?;
    let full = due.len() == DEADLINES_MAX;
    for deadline in due {
        match serve_deadline(view, deadline, &shared.unvalidated).await {
            Ok(true) => shared.deadline_added(now),
            Ok(false) => {}
            Err(error) if *view.source.broken => return Err(error),
            Err(error) => tracing::error!(%error, resource = %deadline.resource, "what is due cannot be done"),
        }
    }
    if full {
        shared.deadline_added(now);
    }
    Ok(())
}

/// Does what is due at one deadline; returns whether something is left to do at once.
async fn serve_deadline<S: Store>(
    view: &mut View<'_, WriteSource<'_, S>>,
    deadline: Deadline,
    unvalidated: &Unvalidated,
) -> Result<bool, Error> {
    let mut effects = Effects::new(Permit::internal("deadline"));
    let mut more = false;
    match deadline.kind {
        DeadlineKind::Purge => more = op::delete::purge(view, deadline.resource, &mut effects).await?,
        DeadlineKind::Renewal => announce::renewal::due(view, deadline.resource, &mut effects).await?,
        DeadlineKind::Validation => {
            group::validation_due(view, deadline.resource, unvalidated, &mut effects).await?;
        }
        kind @ (DeadlineKind::Batch | DeadlineKind::RateWindow | DeadlineKind::Schedule) => {
            match view.node(deadline.resource).await? {
                Some(node) => match kind {
                    DeadlineKind::Batch => view.batch_due(&node, &mut effects).await?,
                    DeadlineKind::Schedule => view.schedule_due(&node, &mut effects).await?,
                    _ => view.next_rate_window(&node, &mut effects).await?,
                },
                None => effects.deadlines_clear.push((kind, deadline.resource)),
            }
        }
    }
    announce::settle::settle(view, &mut effects).await?;
    view.source.apply(effects);
    Ok(more)
}
