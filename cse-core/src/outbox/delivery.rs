//! One attempt to deliver one notification.

use std::sync::Arc;

use super::lane::Waiting;
use crate::cse::Cse;
use crate::error::Rsc;
use crate::non_blocking::is_out_of_date;
use crate::op::route::Route;
use crate::ports::{Patience, SendError, Sent, Store};
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

pub(super) async fn deliver<S: Store>(
    cse: &Cse<S>,
    way: &Route,
    content: &Arc<Map>,
    waiting: &Waiting,
    patience: Patience,
) -> Attempt {
    if is_out_of_date(content, cse.0.clock.now()) {
        return Err(SendError::OutOfDate);
    }
    let mut request = cse.notify_request(&way.to, Map::clone(content), waiting.event_category);
    // The same each time, so that a CSE that has it already knows it again.
    request.request_identifier = cse.0.lasting_identifier(waiting.created, waiting.seq);
    // A CSE takes its own time for reaching what is behind it, and answers in the end.
    let timeout = match patience {
        Patience::UntilTimeout if waiting.is_remote => {
            cse.0.settings.request_timeout + cse.0.settings.notification_timeout
        }
        _ => cse.0.settings.notification_timeout,
    };
    cse.send_along(way, request, timeout, patience).await
}

/// What an attempt means that went by another CSE. CSEs always answer, so one that does not has gone, and whether it has
/// the notification is not known. One that cannot reach the next now is to be asked again.
pub(super) fn by_other_cse(attempt: Attempt) -> Attempt {
    match attempt {
        Ok(Sent::Unanswered | Sent::Unanswerable) => Err(SendError::Unreachable("the next CSE does not answer".into())),
        Ok(Sent::Answered(response)) if is_passing(response.status) => {
            Err(SendError::Unreachable(format!("the next CSE answered {}", response.status)))
        }
        attempt => attempt,
    }
}

/// Whether a refusal is of the moment: the line behind that CSE is down, it is busy, or does not know this one yet.
fn is_passing(status: Rsc) -> bool {
    matches!(status, Rsc::TargetNotReachable | Rsc::InternalServerError | Rsc::OriginatorNotAuthenticated)
}
