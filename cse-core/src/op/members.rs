//! Members of groups at other CSEs: what they are (TS-0004 §7.4.13.2.1), also later, when they could not be reached at
//! first; and taking those out of the group that were deleted through it (§7.4.14.3.5).

use std::time::Duration;

use futures_util::{StreamExt, stream};
use rustc_hash::FxHashMap;
use tokio::sync::{mpsc, watch};

use super::fan_out::Through;
use crate::address::Target;
use crate::behaviour::group::{Elsewhere, GroupAnswers, is_unvalidated, is_virtual};
use crate::cse::Cse;
use crate::error::Rsc;
use crate::id::{Originator, Seq};
use crate::node::Node;
use crate::ports::{BoxFuture, Store};
use crate::primitive::{Operation, Request, Response};
use crate::schema::{Ty, keys, type_def};
use crate::time::Timestamp;
use crate::value::{Map, Text, Value};

/// After this time members are looked at again that could not be reached.
pub(crate) const AGAIN: Duration = Duration::from_secs(60);
/// Groups that wait to be looked at; the deadlines of others come again.
const WAITING_MAX: usize = 64;

/// Where the writer puts groups whose members are to be looked at.
pub(crate) type Unvalidated = mpsc::Sender<Seq>;

pub(crate) fn queue() -> (Unvalidated, mpsc::Receiver<Seq>) {
    mpsc::channel(WAITING_MAX)
}

/// Looks at the members of groups again that could not be reached before, one group at a time, until stopped.
pub(crate) async fn run<S: Store>(cse: Cse<S>, mut groups: mpsc::Receiver<Seq>, mut stop: watch::Receiver<bool>) {
    let work = async {
        while let Some(group) = groups.recv().await {
            if let Err(error) = cse.validate(group).await {
                tracing::warn!(%error, %group, "the members of a group cannot be validated");
            }
        }
    };
    tokio::select! {
        () = work => {}
        _ = stop.wait_for(|stop| *stop) => {}
    }
}

impl<S: Store> Cse<S> {
    /// Asks the CSEs of members what these are, as the originator.
    pub(crate) fn look_at<'a>(
        &'a self,
        members: Vec<Text>,
        originator: &Originator,
        deadline: Timestamp,
    ) -> BoxFuture<'a, FxHashMap<Text, Elsewhere>> {
        let from = originator.text().clone();
        Box::pin(async move {
            let settings = &self.0.settings;
            let now = self.0.clock.now();
            let until = now.plus(settings.verification_timeout.min(deadline.since(now) / 2));
            stream::iter(members)
                .map(|member| {
                    let looking: BoxFuture<'a, _> = Box::pin(self.look_at_one(member, from.clone(), until));
                    looking
                })
                .buffer_unordered(settings.fan_out_width.max(1))
                .collect()
                .await
        })
    }

    async fn look_at_one(&self, member: Text, from: Text, until: Timestamp) -> (Text, Elsewhere) {
        let (resource, point) = match is_virtual(&member) {
            Some((resource, point)) => (Text::from(resource), Some(point)),
            None => (member.clone(), None),
        };
        let found = match self.read_as(from, &resource, None, until).await {
            Ok(response) if response.is_success() => what_it_is(&response, point).unwrap_or(Elsewhere::NotThere),
            Ok(response) => match response.status {
                Rsc::NotFound => Elsewhere::NotThere,
                Rsc::OriginatorHasNoPrivilege
                | Rsc::OriginatorNotAuthenticated
                | Rsc::SecurityAssociationRequired
                | Rsc::ReceiverHasNoPrivilege => Elsewhere::Forbidden,
                _ => Elsewhere::Unreachable,
            },
            Err(error) => {
                tracing::debug!(%member, %error, "the member of a group cannot be looked at now");
                Elsewhere::Unreachable
            }
        };
        (member, found)
    }

    /// Validates the members of a group if all of them can be reached now; else it is tried again later.
    async fn validate(&self, group: Seq) -> Result<(), crate::error::Error> {
        let identity = &self.0.settings.identity;
        let node = self.0.view().node(group).await?;
        let Some(node) = node.filter(|node| is_unvalidated(node)) else {
            return Ok(());
        };
        let members = node.attributes.texts(keys::MEMBER_IDS);
        let members = members.filter(|member| Target::of(member, identity) == Target::Remote).map(Text::from).collect();
        let deadline = self.0.clock.now().plus(self.0.settings.request_timeout);
        let mut elsewhere = self.look_at(members, &node.creator, deadline).await;
        if elsewhere.values().any(|found| matches!(found, Elsewhere::Unreachable | Elsewhere::Forbidden)) {
            return Ok(());
        }
        // What is there no more fits as little as what is of another type.
        for found in elsewhere.values_mut().filter(|found| matches!(found, Elsewhere::NotThere)) {
            *found = Elsewhere::Is(Ty(0), None);
        }
        let answers = GroupAnswers { elsewhere, ..GroupAnswers::default() };
        let response = self.change_group(&node, Operation::Update, answers).await?;
        if response.status == Rsc::GroupMemberTypeInconsistent {
            tracing::info!(group = %node.path, "a group is deleted: a member has another type, and 'csy' says so");
            self.change_group(&node, Operation::Delete, GroupAnswers::default()).await?;
        }
        Ok(())
    }

    /// Takes members out of a group that have been deleted through it.
    pub(super) async fn forget_members(&self, group: &Node, deleted: Vec<Text>) {
        let answers = GroupAnswers { deleted, ..GroupAnswers::default() };
        match self.change_group(group, Operation::Update, answers).await {
            Ok(response) if response.is_success() => {}
            Ok(response) => {
                tracing::warn!(group = %group.path, status = %response.status, "deleted members stay in their group");
            }
            Err(error) => tracing::warn!(group = %group.path, %error, "deleted members stay in their group"),
        }
    }

    /// A change of a group by this CSE itself: nothing but what the answers make of it.
    async fn change_group(
        &self,
        group: &Node,
        operation: Operation,
        answers: GroupAnswers,
    ) -> Result<Response, crate::error::Error> {
        let identity = &self.0.settings.identity;
        let from = identity.cse_id.clone();
        let mut request =
            Request::new(operation, identity.sp_relative(&group.id), from, self.0.new_request_identifier());
        if operation == Operation::Update {
            let root = type_def(Ty::GROUP).map_or("m2m:grp", |def| def.root);
            request.content = Some(Map::single(root, Map::new()));
        }
        Box::pin(self.attempt(request, Through::deciding(answers))).await
    }
}

/// What a representation says of a member: of a group, what its members are, if the member is its fan-out point.
fn what_it_is(response: &Response, point: Option<&str>) -> Option<Elsewhere> {
    let (_, resource) = response.content.as_ref()?.only()?;
    let resource = resource.as_map()?;
    let ty_of = |name| resource.unsigned(name).and_then(|ty| u16::try_from(ty).ok()).map(Ty);
    let ty = ty_of(keys::RESOURCE_TYPE)?;
    let is = |ty, specialization: Option<&Value>| Some(Elsewhere::Is(ty, specialization.cloned()));
    match (point, ty) {
        (None, Ty::FLEX_CONTAINER) => is(ty, resource.get(keys::CONTAINER_DEFINITION)),
        (None, Ty::MGMT_OBJ) => is(ty, resource.get(keys::MGMT_DEFINITION)),
        (None, ty) => is(ty, None),
        (Some("fopt"), Ty::GROUP) => {
            is(ty_of(keys::MEMBER_TYPE).unwrap_or(Ty(0)), resource.get(keys::SPECIALIZATION_TYPE))
        }
        (Some("la" | "ol"), Ty::CONTAINER) => is(Ty::CONTENT_INSTANCE, None),
        (Some("la" | "ol"), Ty::TIME_SERIES) => is(Ty::TIME_SERIES_INSTANCE, None),
        (Some("la" | "ol"), Ty::FLEX_CONTAINER) => is(Ty::FLEX_CONTAINER_INSTANCE, None),
        (Some(_), _) => None,
    }
}
