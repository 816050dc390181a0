//! One attempt to deliver one notification.

use std::sync::Arc;

use crate::cse::Cse;
use crate::error::Rsc;
use crate::id::Seq;
use crate::non_blocking::is_out_of_date;
use crate::op::route::Route;
use crate::ports::{Patience, SendError, Sent, Store};
use crate::time::AbsRelTimestamp;
use crate::value::{Map, Text};

/// What became of an attempt.
pub(super) type Attempt = Result<Sent, SendError>;

/// The way to a target, or why there is none now.
pub(super) async fn way<S: Store>(cse: &Cse<S>, target: &Text) -> Result<Arc<Route>, String> {
    match cse.route(target).await {
        Ok(Some(mut route)) => {
            // Notifications have a place of their own to wait in.
            if let Some(channel) = &mut route.channel {
                channel.is_patient = false;
            }
            Ok(Arc::new(route))
        }
        Ok(None) => Err("no reachable AE or CSE of that name is known here".into()),
        Err(error) => Err(error.to_string()),
    }
}

/// Sends a notification. A CSE on the way is asked until it says what became of it: CSEs answer, and know a repetition
/// by its identifier. Of whoever else does not answer, it counts as arrived.
pub(super) async fn deliver<S: Store>(
    cse: &Cse<S>,
    way: &Route,
    seq: Seq,
    content: &Arc<Map>,
    event_category: Option<u32>,
    patience: Patience,
) -> Attempt {
    if is_out_of_date(content, cse.0.clock.now()) {
        return Err(SendError::OutOfDate);
    }
    let settings = &cse.0.settings;
    let timeout = settings.notification_timeout;
    let mut request = cse.notify_request(Map::clone(content), event_category);
    if !way.is_by_cse {
        return cse.send_along(way, request, timeout, patience).await;
    }
    request.request_identifier = identifier_of(settings.identity.base_id(), seq);
    // The CSE has the last word, and in time, also of a target that does not answer.
    request.request_expiration = Some(AbsRelTimestamp::Relative(timeout * 4 / 5));
    match cse.send_along(way, request, timeout, Patience::UntilTimeout).await? {
        Sent::Answered(response) if is_passing(response.status) => {
            let problem = response.debug_text().unwrap_or_default();
            Err(SendError::Unreachable(format!("a CSE on the way answered {} {problem}", response.status)))
        }
        Sent::Unanswered => Err(SendError::Unreachable("a CSE on the way did not answer in time".into())),
        sent => Ok(sent),
    }
}

/// The identifier under which a notification goes to a CSE, however often: in the form of those that
/// [`Shared::new_request_identifier`](crate::cse::Shared::new_request_identifier) makes, at a time at which no CSE was
/// started.
fn identifier_of(base_id: &str, seq: Seq) -> Text {
    smol_str::format_smolstr!("{base_id}-0-{:x}", seq.0)
}

/// Whether an answer of a CSE says that the notification has not arrived now, and may later. One that says that there
/// was no answer in time (4008) is as good as no answer of the target: it may well have arrived.
fn is_passing(status: Rsc) -> bool {
    matches!(status, Rsc::TargetNotReachable | Rsc::InternalServerError)
}
