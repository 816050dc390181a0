//! A group that collects what its members' subscriptions notify, and sends it on together (TS-0004 §7.5.1.2.6).
//!
//! The group stands in `nu` of subscriptions that were made through its fan-out point with `nfu`. What they
//! notify never leaves the CSE one by one: it is held for the group until there is enough or it is time (`nar`). What
//! subscriptions of members at other CSEs notify comes as a NOTIFY to the group.

use std::sync::Arc;

use super::policies::{AGGREGATED_MAX, aggregated};
use crate::access::authorize::Permit;
use crate::behaviour::group;
use crate::behaviour::subscription::{BATCH_DURATION_DEFAULT, Batch};
use crate::error::{Error, Rsc};
use crate::node::Node;
use crate::op::{Cx, Decided, Refusal, answer};
use crate::overlay::Effects;
use crate::ports::{DeadlineKind, Held};
use crate::primitive::Request;
use crate::schema::{Ty, keys};
use crate::value::{Map, Text, Value};
use crate::view::{Source, View};

impl<Q: Source> View<'_, Q> {
    /// The group of this CSE that a notification target names, if it names one.
    pub(crate) async fn collecting_group(&mut self, target: &str) -> Result<Option<Arc<Node>>, Error> {
        if target.contains("://") {
            return Ok(None);
        }
        Ok(self.local_resource(target).await?.filter(|node| node.ty == Ty::GROUP))
    }

    /// Takes a notification, single or aggregated, of the subscription of a member that this CSE hosts.
    pub(super) async fn collect(
        &mut self,
        group: &Arc<Node>,
        subscription: &Arc<Node>,
        content: &Map,
        effects: &mut Effects,
    ) -> Result<(), Error> {
        let is_of_member = match self.parent(subscription).await? {
            Some(subscribed) => group::has_member(self, group, &subscribed).await?,
            None => false,
        };
        if !is_of_member {
            tracing::debug!(group = %group.path, "a notification of what is no member any more is dropped");
            return Ok(());
        }
        self.hold_collected(group, content, effects).await
    }

    /// Decides a NOTIFY to a group: from another CSE, about members that it hosts, or the question whether the group
    /// is notified (TS-0004 §7.4.14.2.3, §7.5.1.2.6).
    pub(crate) async fn collect_from_afar(&mut self, cx: &Cx, request: &Request) -> Result<Decided, Refusal> {
        let refused = |target: &Text| {
            let problem = "a group takes notifications about its members only, from the CSEs that host them";
            Error::OperationNotAllowed { operation: "NOTIFY", target: format!("'{target}'; {problem}") }
        };
        let group = self.plain(&cx.target).await?.filter(|node| node.ty == Ty::GROUP);
        let group = group.ok_or_else(|| Error::NotFound(cx.target.to_string()))?;
        let sender = cx.requester.originator.as_str();
        let identity = self.identity();
        let mut members = group.attributes.texts(keys::MEMBER_IDS);
        if !members
            .any(|member| identity.cse_id_of(member).is_some_and(|host| host == sender && host != identity.cse_id))
        {
            return Err(refused(&group.path).into());
        }
        let mut effects = Effects::new(Permit::internal("a CSE tells of members of a group that it hosts"));
        let content = request.content.as_ref().ok_or(Error::MissingParameter("pc"))?;
        let is_question = content.get("m2m:sgn").and_then(Value::as_map).is_some_and(|sgn| sgn.contains("vrq"));
        if !is_question {
            if notifications(content).next().is_none() {
                let problem = "is neither a notification nor several of them (m2m:sgn, m2m:agn)";
                return Err(Error::InvalidContent(problem.into()).into());
            }
            // Where they are to go is known from there only.
            if notifications(content).any(|sgn| sgn.text(keys::NOTIFICATION_FORWARDING_URI).is_none()) {
                let problem = "lacks 'nfu' (notificationForwardingURI), which says where the group sends it";
                return Err(Error::InvalidContent(problem.into()).into());
            }
            self.hold_collected(&group, content, &mut effects).await?;
        }
        Ok(Decided { effects, response: answer(request, Rsc::Ok, None) })
    }

    async fn hold_collected(&mut self, group: &Arc<Node>, content: &Map, effects: &mut Effects) -> Result<(), Error> {
        let before = self.held_count(group.seq, effects).await?;
        let mut added = 0;
        for notification in notifications(content) {
            self.hold(group.seq, notification.clone(), effects)?;
            added += 1;
        }
        let (number, duration) = collecting(group);
        if before == 0 {
            self.set_deadline(DeadlineKind::Batch, group.seq, self.now.plus(duration), effects);
        }
        if before + added >= number {
            self.send_collected(group, number, effects).await?;
        }
        Ok(())
    }

    /// The time of a collection is over.
    pub(super) async fn collection_due(&mut self, group: &Arc<Node>, effects: &mut Effects) -> Result<(), Error> {
        if group.ty != Ty::GROUP || group.is_expired(self.now) {
            return Ok(());
        }
        self.send_collected(group, 1, effects).await
    }

    /// Sends on what was collected for targets for which there is enough.
    async fn send_collected(&mut self, group: &Arc<Node>, enough: u64, effects: &mut Effects) -> Result<(), Error> {
        let held = self.held(group.seq, AGGREGATED_MAX, effects).await?;
        let mut by_target: Vec<(Text, Vec<Held>)> = Vec::new();
        let count = held.len();
        for held in held {
            let target = Text::from(held.notification.text(keys::NOTIFICATION_FORWARDING_URI).unwrap_or_default());
            match by_target.iter_mut().find(|(known, _)| *known == target) {
                Some((_, list)) => list.push(held),
                None => by_target.push((target, vec![held])),
            }
        }
        // When the memory of the group is full, everything goes.
        let enough = if count >= AGGREGATED_MAX { 1 } else { enough };
        let mut left = false;
        for (target, list) in by_target {
            if (list.len() as u64) < enough {
                left = true;
                continue;
            }
            self.release(group.seq, &list, effects);
            let content = Arc::new(aggregated(list.iter().map(|held| Map::clone(&held.notification))));
            self.enqueue(group.seq, target, content, None, effects);
        }
        if !left {
            self.clear_deadline(DeadlineKind::Batch, group.seq, effects);
        }
        Ok(())
    }
}

/// How many notifications a group collects and for how long: as `nar` says, or one of each member.
fn collecting(group: &Node) -> (u64, std::time::Duration) {
    let members = || group.attributes.unsigned(keys::CURRENT_NR_OF_MEMBERS);
    let batch = match group.attributes.get(keys::NOTIFY_AGGREGATION) {
        Some(Value::Map(batch)) => Batch::of(batch),
        _ => Batch { number: members(), duration: None },
    };
    let number = batch.number.unwrap_or(u64::MAX).clamp(1, AGGREGATED_MAX as u64);
    (number, batch.duration.unwrap_or(BATCH_DURATION_DEFAULT))
}

/// The single notifications in the content of a NOTIFY.
fn notifications(content: &Map) -> impl Iterator<Item = &Map> {
    let single = content.get("m2m:sgn").and_then(Value::as_map);
    let list = content.get("m2m:agn").and_then(Value::as_map).and_then(|agn| agn.get("m2m:sgn"));
    single.into_iter().chain(list.and_then(Value::as_list).unwrap_or_default().iter().filter_map(Value::as_map))
}
