//! What tables cannot say: one arm per type and hook. The page to read to learn what is special.

pub(crate) mod access_control_policy;
pub(crate) mod ae;
pub(crate) mod announced;
pub(crate) mod container;
pub(crate) mod group;
mod only_child;
pub(crate) mod polling_channel;
pub(crate) mod remote_cse;
pub(crate) mod request;
pub(crate) mod schedule;
pub(crate) mod subscription;

use std::sync::Arc;

use crate::access::authorize::Requester;
use crate::error::Error;
use crate::node::Node;
use crate::op::{Answers, Draft, Refusal};
use crate::overlay::Effects;
use crate::schema::{Ty, keys};
use crate::value::Map;
use crate::view::{Source, View};

/// Before a resource is created: completes the draft, adds effects on others.
pub(crate) async fn before_create<Q: Source>(
    view: &mut View<'_, Q>,
    requester: &Requester,
    parent: &Arc<Node>,
    draft: &mut Draft,
    effects: &mut Effects,
) -> Result<(), Refusal> {
    match draft.ty {
        Ty::ACCESS_CONTROL_POLICY => Ok(access_control_policy::check(&draft.attributes)?),
        Ty::AE => Ok(ae::before_create(draft)?),
        Ty::CONTAINER => {
            container::before_create(draft);
            Ok(())
        }
        Ty::CONTENT_INSTANCE => Ok(container::before_instance(view, parent, draft, effects).await?),
        ty if ty.is_announced() => Ok(announced::check(view.identity(), &draft.creator, &draft.attributes)?),
        Ty::GROUP => group::before_create(view, requester, draft, effects).await,
        Ty::POLLING_CHANNEL => Ok(polling_channel::before_create(view, requester, parent, draft, effects).await?),
        Ty::REMOTE_CSE => Ok(remote_cse::before_create(view.settings, requester, draft)?),
        Ty::SCHEDULE => Ok(schedule::before_create(view, parent, draft, effects).await?),
        Ty::SUBSCRIPTION => subscription::before_create(view, requester, parent, draft).await,
        _ => Ok(()),
    }
}

/// Before a resource is updated: `attributes` are those after the update, `patch` what the originator sent.
pub(crate) async fn before_update<Q: Source>(
    view: &mut View<'_, Q>,
    requester: &Requester,
    node: &Arc<Node>,
    attributes: &mut Map,
    patch: &Map,
    answers: &Answers,
    effects: &mut Effects,
) -> Result<(), Refusal> {
    match node.ty {
        Ty::ACCESS_CONTROL_POLICY => Ok(access_control_policy::check(attributes)?),
        Ty::AE => Ok(ae::before_update(attributes)?),
        Ty::CONTAINER => Ok(container::before_update(view, node, attributes, patch, effects).await?),
        Ty::GROUP => group::before_update(view, requester, node, attributes, patch, &answers.group, effects).await,
        Ty::REMOTE_CSE => Ok(remote_cse::before_update(view.identity(), attributes)?),
        Ty::SCHEDULE => Ok(schedule::before_update(view, node, attributes, effects).await?),
        Ty::SUBSCRIPTION => {
            subscription::before_update(view, requester, node, attributes, patch, &answers.verified).await
        }
        ty if ty.is_announced() => Ok(announced::check(view.identity(), &node.creator, attributes)?),
        _ => Ok(()),
    }
}

/// Before a resource is deleted by a request: whether it may go.
pub(crate) fn before_delete(node: &Node) -> Result<(), Error> {
    match node.ty {
        Ty::REQUEST => request::check_delete(node),
        _ => Ok(()),
    }
}

/// After a resource has been marked for deletion: what changes elsewhere.
pub(crate) async fn after_delete<Q: Source>(
    view: &mut View<'_, Q>,
    node: &Arc<Node>,
    effects: &mut Effects,
) -> Result<(), Error> {
    match node.ty {
        Ty::CONTENT_INSTANCE => container::after_instance_gone(view, node, effects).await,
        Ty::POLLING_CHANNEL => polling_channel::after_delete(view, node, effects).await,
        Ty::SCHEDULE => schedule::after_delete(view, node, effects).await,
        _ => Ok(()),
    }
}

/// Checks the points of access of an entity that is registered here.
fn points_of_access(attributes: &Map) -> Result<(), Error> {
    for point in attributes.texts(keys::POINT_OF_ACCESS) {
        if url::Url::parse(point).is_err() {
            return Err(Error::attribute(keys::POINT_OF_ACCESS, format!("'{point}' is no URL")));
        }
    }
    Ok(())
}
