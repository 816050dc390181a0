//! One attempt to deliver one notification.

use std::sync::Arc;

use crate::cse::Cse;
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
    event_category: Option<u32>,
    patience: Patience,
) -> Attempt {
    if is_out_of_date(content, cse.0.clock.now()) {
        return Err(SendError::OutOfDate);
    }
    let request = cse.notify_request(&way.to, Map::clone(content), event_category);
    cse.send_along(way, request, cse.0.settings.notification_timeout, patience).await
}
