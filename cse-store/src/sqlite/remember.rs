//! Committing answers to remember and nothing else, as a CSE does that passes requests on: one statement, which is a
//! transaction by itself, so one call to the connection's thread instead of three.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use cse_core::ports::{ChangeSet, Reply, StoreError};

use super::replies::ReplyChanges;
use super::{Shared, batch, closed, write};

/// Rows beyond the bound that may be there for a while, as one of so many that may be there in all, and at most:
/// removing some with every commit would take a statement of its own.
const EXCESS_SHARE: usize = 64;
const EXCESS_MAX: usize = 256;

/// The replies, if the changes are nothing else and fit into one statement.
fn only_replies(changes: &ChangeSet) -> Option<&[Reply]> {
    let ChangeSet {
        insert,
        update,
        delete,
        replies,
        forget_replies_before,
        outbox_insert,
        outbox_retry,
        outbox_delete,
        held_insert,
        held_delete,
        deadlines_set,
        deadlines_clear,
    } = changes;
    let nothing_else = insert.is_empty()
        && update.is_empty()
        && delete.is_empty()
        && forget_replies_before.is_none()
        && outbox_insert.is_empty()
        && outbox_retry.is_empty()
        && outbox_delete.is_empty()
        && held_insert.is_empty()
        && held_delete.is_empty()
        && deadlines_set.is_empty()
        && deadlines_clear.is_empty();
    (nothing_else && (1..=batch::ROWS_MAX).contains(&replies.len())).then_some(replies)
}

/// Commits the changes if one statement is enough for that; `false` if it is not, and nothing was done.
///
/// # Errors
/// [`StoreError`] if that failed; nothing was written.
pub(super) async fn commit(shared: &Arc<Shared>, changes: &ChangeSet) -> Result<bool, StoreError> {
    let Some(replies) = only_replies(changes) else { return Ok(false) };
    let mut writer = Arc::clone(&shared.writer).lock_owned().await;
    let mut added = ReplyChanges::default();
    let first = {
        let index = shared.replies.lock();
        let excess_max = EXCESS_MAX.min(index.replies_max() / EXCESS_SHARE);
        if writer.replies_uncertain || index.excess(replies.len()) > excess_max {
            return Ok(false);
        }
        added.add(&index, replies)
    };
    let began = Instant::now();
    // If this future is dropped while the statement is under way, its end is not seen.
    writer.replies_uncertain = true;
    write::write_replies(writer.connection.as_mut().ok_or_else(closed)?, first, replies).await?;
    writer.replies_uncertain = false;
    shared.replies.lock().apply(added);
    let micros = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
    shared.metrics.commits.fetch_add(1, Ordering::Relaxed);
    shared.metrics.commit_micros.fetch_add(micros, Ordering::Relaxed);
    Ok(true)
}
