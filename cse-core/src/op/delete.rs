//! DELETE (TS-0004 §7.2.2.2, §7.3.3.9): the resource and all below it.

use std::sync::Arc;

use super::{Cx, Decided, Refusal, answer, discover, result_content};
use crate::access::policy::Access;
use crate::address::Resolved;
use crate::announce::{self, state::COPIES};
use crate::behaviour::{self, container, container::End, subscription::EventType};
use crate::error::{Error, Rsc};
use crate::id::Seq;
use crate::node::{Node, is_instance};
use crate::notify::Happening;
use crate::overlay::{Effects, Gone};
use crate::ports::{Deadline, DeadlineKind, Snapshot};
use crate::primitive::{Request, ResultContent};
use crate::schema::{Ty, keys};
use crate::view::{Source, View};

const RESULT_CONTENTS: [ResultContent; 6] = [
    ResultContent::Nothing,
    ResultContent::Attributes,
    ResultContent::AttributesAndChildResources,
    ResultContent::AttributesAndChildReferences,
    ResultContent::ChildReferences,
    ResultContent::ChildResources,
];

/// Instances of one container that are deleted together with it; more are cleared away afterwards, in steps.
const INSTANCES_AT_ONCE: usize = 500;
/// Resources read in one step.
const PAGE: usize = 500;

/// Decides a DELETE.
pub(crate) async fn decide<Q: Source>(view: &mut View<'_, Q>, cx: &Cx, request: &Request) -> Result<Decided, Refusal> {
    let wanted = result_content(request, ResultContent::Nothing, &RESULT_CONTENTS)?;
    let (permit, node) = match view.resolve(&cx.target).await? {
        Resolved::Resource(node) => (view.authorize(&cx.requester, Access::DELETE, &node).await?, node),
        Resolved::Latest(parent) => {
            container::instance(view, &cx.requester, Access::DELETE, &parent, End::Newest).await?
        }
        Resolved::Oldest(parent) => {
            container::instance(view, &cx.requester, Access::DELETE, &parent, End::Oldest).await?
        }
        Resolved::FanOut(..) | Resolved::PollingChannelUri(_) => return Err(Error::Internal.into()),
        Resolved::Other(point) => {
            return Err(Error::NotImplemented(format!("virtual resource '{}'", point.short_name())).into());
        }
    };
    if node.ty == Ty::CSE_BASE {
        return Err(Error::OperationNotAllowed { operation: "DELETE", target: "the CSEBase".into() }.into());
    }
    container::check_retrievable(view, &node, "DELETE").await?;
    behaviour::before_delete(&node)?;
    discover::check_condition(view, request, &node).await?;
    let content = discover::tree_content(view, cx, request, wanted, &node).await?.content;
    let mut effects = Effects::new(permit);
    remove(view, &node, &mut effects).await?;
    Ok(Decided { effects, response: answer(request, Rsc::Deleted, content) })
}

/// Removes a resource with all below it, and tells who subscribed to that.
pub(crate) async fn remove<Q: Source>(
    view: &mut View<'_, Q>,
    node: &Arc<Node>,
    effects: &mut Effects,
) -> Result<(), Error> {
    if effects.deletes(node.seq) {
        return Ok(());
    }
    // Subscriptions tell before they go; of the parent, because its child goes.
    if let Some(parent) = view.parent(node).await? {
        let happening = Happening { event: EventType::DeleteOfDirectChild, subject: node, modified: None };
        view.notify(&parent, &happening, effects).await?;
    }
    let mut structure = vec![Arc::clone(node)];
    let mut at = 0;
    while let Some(current) = structure.get(at).cloned() {
        at += 1;
        if is_instance(current.ty) {
            continue;
        }
        let happening = Happening { event: EventType::DeleteOfResource, subject: &current, modified: None };
        view.notify(&current, &happening, effects).await?;
        collect_children(view, &current, &mut structure, effects).await?;
    }
    for gone in &structure {
        effects.deleted.push(Gone::of(gone));
        if gone.ty == Ty::SUBSCRIPTION {
            view.notify_of_subscription_deletion(gone, effects).await?;
        }
    }
    behaviour::after_delete(view, node, effects).await
}

/// Adds the children of a resource to what goes; instances in great number stay for later, out of reach.
async fn collect_children<Q: Source>(
    view: &mut View<'_, Q>,
    parent: &Arc<Node>,
    structure: &mut Vec<Arc<Node>>,
    effects: &mut Effects,
) -> Result<(), Error> {
    if crate::cache::newest_type(parent.ty).is_some()
        && parent.attributes.unsigned(keys::CURRENT_NR_OF_INSTANCES).unwrap_or(0) > INSTANCES_AT_ONCE as u64
    {
        let at = view.now;
        effects.deadlines_set.push(Deadline { kind: DeadlineKind::Purge, resource: parent.seq, at });
        for ty in crate::schema::type_def(parent.ty).map_or(&[][..], |def| def.children) {
            if !is_instance(*ty) {
                collect_pages(view, parent, &[*ty], structure).await?;
            }
        }
        return Ok(());
    }
    collect_pages(view, parent, &[], structure).await
}

async fn collect_pages<Q: Source>(
    view: &mut View<'_, Q>,
    parent: &Arc<Node>,
    types: &[Ty],
    structure: &mut Vec<Arc<Node>>,
) -> Result<(), Error> {
    let mut after = Seq::START;
    loop {
        let page = view.children(parent, types, after, PAGE).await?;
        let full = page.len() == PAGE;
        if let Some(last) = page.last() {
            after = last.seq;
        }
        structure.extend(page);
        if !full {
            return Ok(());
        }
    }
}

/// Clears away instances of a container that is gone; returns whether there are more.
pub(crate) async fn purge<Q: Source>(
    view: &mut View<'_, Q>,
    container: Seq,
    effects: &mut Effects,
) -> Result<bool, Error> {
    let query = view.source.settled().await.map_err(crate::view::failed)?;
    let page = query.children(container, &[], Seq::START, PAGE).await.map_err(crate::view::failed)?;
    for instance in page.iter().filter(|instance| instance.attributes.contains(COPIES)) {
        announce::settle::forget(instance, effects);
    }
    effects.deleted.extend(page.iter().map(Gone::of));
    let more = page.len() == PAGE;
    if !more {
        effects.deadlines_clear.push((DeadlineKind::Purge, container));
    }
    Ok(more)
}
