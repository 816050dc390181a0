//! `<pollingChannel>`: where a registered entity fetches the requests that cannot be sent to it (TS-0004 §7.4.21).
//!
//! It is its owner's alone, whatever policies say. The registration knows its channel, so that the way to an entity is
//! found without a search.

use std::sync::Arc;

use super::only_child::OnlyChild;
use crate::access::authorize::Requester;
use crate::error::Error;
use crate::id::Seq;
use crate::node::Node;
use crate::op::Draft;
use crate::overlay::Effects;
use crate::schema::{Ty, keys};
use crate::view::{Source, View};

const CHANNEL: OnlyChild = OnlyChild { number: "@channel", name: "pollingChannel" };

/// The channel of a registered entity.
pub(crate) fn of(entity: &Node) -> Option<Seq> {
    CHANNEL.of(entity)
}

/// The only one who may access a resource, if it is a channel or if one is to be created below it.
pub(crate) fn owner_only(node: &Node, creates: Option<Ty>) -> Option<&str> {
    match (node.ty, creates) {
        (Ty::POLLING_CHANNEL, _) => Some(node.creator.as_str()),
        (_, Some(Ty::POLLING_CHANNEL)) => owner(node),
        _ => None,
    }
}

/// The identifier of the entity that a resource registers.
fn owner(parent: &Node) -> Option<&str> {
    match parent.ty {
        Ty::AE => Some(parent.id.as_str()),
        Ty::REMOTE_CSE => parent.attributes.text(keys::CSE_ID),
        _ => None,
    }
}

pub(crate) async fn before_create<Q: Source>(
    view: &mut View<'_, Q>,
    requester: &Requester,
    parent: &Arc<Node>,
    draft: &Draft,
    effects: &mut Effects,
) -> Result<(), Error> {
    // Others could do nothing with it, not even those who may do everything.
    if owner(parent) != Some(requester.originator.as_str()) {
        return Err(Error::NoPrivilege {
            originator: requester.originator.to_string(),
            operation: "CREATE of a pollingChannel",
            target: parent.path.to_string(),
        });
    }
    CHANNEL.added(view, parent, draft, effects).await
}

pub(crate) async fn after_delete<Q: Source>(
    view: &mut View<'_, Q>,
    channel: &Arc<Node>,
    effects: &mut Effects,
) -> Result<(), Error> {
    CHANNEL.removed(view, channel, effects).await.map(drop)
}
