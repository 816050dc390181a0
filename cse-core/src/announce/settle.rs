//! The writer's part: derives what a change means for copies, and takes note of what came of it.

use std::sync::Arc;

use super::derive::{Derived, Work, derive, derive_end};
use super::state::{self, COPIES, Copies, Digests};
use super::{Announced, End, Original, Outcome, below, copy, entry, record, renewal};
use crate::access::authorize::Permit;
use crate::error::Error;
use crate::id::Seq;
use crate::node::{Node, is_instance};
use crate::overlay::Effects;
use crate::ports::{Snapshot, Store};
use crate::resource::Resource;
use crate::schema::{Ty, keys};
use crate::time::Timestamp;
use crate::value::{Text, Value};
use crate::view::{Source, View, WriteSource, failed};

/// Adds to the effects of a change what it means for the copies of what it changes.
pub(crate) async fn settle<S: Store>(
    view: &mut View<'_, WriteSource<'_, S>>,
    effects: &mut Effects,
) -> Result<(), Error> {
    let concerned = |node: &&Arc<Node>| node.attributes.contains(keys::ANNOUNCE_TO) || node.attributes.contains(COPIES);
    let changed: Vec<Arc<Node>> = effects.updated.iter().chain(&effects.inserted).filter(concerned).cloned().collect();
    for node in changed {
        if node.ty != Ty::CSE_BASE && !effects.deletes(node.seq) {
            changed_one(view, &node, effects).await?;
        }
    }
    for node in gone(view, effects).await? {
        let handle = view.source.announce;
        let copies = state::of(&node);
        let derived = derive_end(&copies, |host, entry| handle.may_exist(host, entry));
        leave(view, &node, derived, effects);
    }
    record::settle(view, effects).await?;
    for seq in std::mem::take(&mut effects.policies_changed) {
        below::policies_changed(view, seq, effects);
    }
    Ok(())
}

pub(super) async fn changed_one<S: Store>(
    view: &mut View<'_, WriteSource<'_, S>>,
    node: &Arc<Node>,
    effects: &mut Effects,
) -> Result<(), Error> {
    let policies = policies_for(view, node, Some(effects)).await?;
    let identity = view.identity();
    let handle = view.source.announce;
    let before = state::of(node);
    let targets = node.attributes.texts(keys::ANNOUNCE_TO).filter(|_| copy::variant(node.ty).is_some());
    let derived = derive(
        &before,
        targets,
        identity,
        |host| copy::digests(&copy::of(node, policies.as_ref(), identity, host)),
        |host, entry| handle.may_exist(host, entry),
    );
    let announce_to = derived.announce_to.clone();
    let copies = leave(view, node, derived, effects);
    renewal::set_deadline(node, &before, &copies, effects);
    let mut resource = Resource::clone(&node.resource);
    state::put(&copies, &mut resource.attributes);
    if announce_to.is_empty() {
        resource.attributes.remove(keys::ANNOUNCE_TO);
    } else {
        // What found no place in the outbox is as good as refused.
        let kept = announce_to
            .into_iter()
            .filter(|shown| identity.cse_id_of(shown).is_some_and(|host| copies.contains_key(&host)));
        resource.attributes.insert(keys::ANNOUNCE_TO, Value::text_list(kept));
    }
    if resource.attributes != node.attributes {
        effects.update(Arc::new(node.changed(resource, identity)));
    }
    Ok(())
}

/// Leaves work in the outbox; returns the copies with the entries that stand for them.
pub(super) fn leave<S: Store>(
    view: &mut View<'_, WriteSource<'_, S>>,
    node: &Node,
    derived: Derived,
    effects: &mut Effects,
) -> Copies {
    let Derived { mut copies, work, obsolete, .. } = derived;
    effects.outbox_delete.extend(&obsolete);
    effects.announcements_settled += obsolete.len();
    let original = Original {
        seq: node.seq,
        ty: node.ty,
        link: view.identity().sp_relative(&node.id).into(),
        expiration_time: node.expiration_time,
    };
    for (host, work) in work {
        let waiting = view.source.overlay.announcements.len() + effects.announcements.len();
        let seq = view.source.announce.admits(waiting + 1).then(|| view.source.next_number().ok()).flatten();
        let is_synchronization = work == Work::Synchronize;
        match seq {
            Some(seq) => {
                if is_synchronization && let Some(state) = copies.get_mut(&host) {
                    state.entry = Some(seq);
                }
                effects.announcements.push(entry(seq, &host, &original, work, view.now));
            }
            None => {
                view.source.metrics.announcements_dropped.increment();
                tracing::warn!(%host, resource = %node.id, "an announcement is dropped; too many wait");
                if is_synchronization {
                    copies.retain(|other, state| *other != host || state.address.is_some());
                }
            }
        }
    }
    copies
}

/// The policies that hold for an original that has none of its own: those of the next resource above that has some.
pub(super) async fn policies_for<Q: Source>(
    view: &mut View<'_, Q>,
    node: &Node,
    effects: Option<&Effects>,
) -> Result<Option<Value>, Error> {
    let mut parent = node.parent;
    while let Some(seq) = parent {
        let above = match effects.and_then(|effects| effects.current(seq)) {
            Some(above) => Arc::clone(above),
            None => match view.node(seq).await? {
                Some(above) => above,
                None => break,
            },
        };
        if let Some(policies) = above.attributes.get(keys::ACCESS_CONTROL_POLICY_IDS) {
            return Ok(Some(policies.clone()));
        }
        parent = above.parent;
    }
    Ok(None)
}

/// What goes and has copies. Instances are looked at only if their container is announced.
async fn gone<S: Store>(
    view: &mut View<'_, WriteSource<'_, S>>,
    effects: &mut Effects,
) -> Result<Vec<Arc<Node>>, Error> {
    let mut seqs = Vec::new();
    let mut last: Option<(Seq, bool)> = None;
    for gone in &effects.deleted {
        if !is_instance(gone.ty) {
            if copy::variant(gone.ty).is_some() {
                seqs.push(gone.seq);
            }
            continue;
        }
        let Some(parent) = gone.parent else { continue };
        let is_announced = match last {
            Some((seq, known)) if seq == parent => known,
            _ => view.node(parent).await?.is_some_and(|parent| parent.attributes.contains(COPIES)),
        };
        last = Some((parent, is_announced));
        if is_announced {
            seqs.push(gone.seq);
        }
    }
    if seqs.is_empty() {
        return Ok(Vec::new());
    }
    seqs.sort_unstable();
    let mut found = view.nodes(&seqs).await?;
    found.retain(|node| node.attributes.contains(COPIES));
    found.retain(|node| {
        // The copy of an instance goes with that of its container, if that is where it is.
        let is_there = state::of(node).values().all(|state| state.place.is_none());
        let goes_along = is_instance(node.ty) && is_there && node.parent.is_some_and(|parent| effects.deletes(parent));
        if goes_along {
            forget(node, effects);
        }
        !goes_along
    });
    Ok(found)
}

/// What waited for a resource needs not be done any more.
pub(crate) fn forget(resource: &Resource, effects: &mut Effects) {
    let entries: Vec<Seq> = state::of(resource).values().filter_map(|state| state.entry).collect();
    effects.announcements_settled += entries.len();
    effects.outbox_delete.extend(entries);
}

/// Takes note of what came of an entry.
pub(crate) async fn note<S: Store>(view: &mut View<'_, WriteSource<'_, S>>, announced: Announced) -> Result<(), Error> {
    let Announced { entry: seq, original, host, synchronizes, outcome } = announced;
    let mut effects = Effects::new(Permit::internal("an announcement"));
    match outcome {
        Outcome::BaseCreated { address, content, end } => {
            let renew = renewal::of(end, view.now);
            change_base(view, &host, Some((address, content, renew)), &mut effects).await?;
        }
        Outcome::BaseVanished => {
            change_base(view, &host, None, &mut effects).await?;
            below::base_lost(view, &host, &mut effects);
        }
        Outcome::Below { step, found, is_last } => {
            below::note(view, original, step, &found, is_last, &mut effects).await?;
            effects.outbox_delete.push(seq);
            effects.announcements_settled += 1;
        }
        outcome => {
            let node = view.node(original).await?;
            note_of_original(view, node, (seq, synchronizes), &host, outcome, &mut effects).await?;
        }
    }
    settle(view, &mut effects).await?;
    view.source.apply(effects);
    Ok(())
}

async fn change_base<S: Store>(
    view: &mut View<'_, WriteSource<'_, S>>,
    host: &Text,
    made: Option<(Text, Digests, Option<Timestamp>)>,
    effects: &mut Effects,
) -> Result<(), Error> {
    let base = view.base().await?;
    let mut copies = state::of(&base);
    let state = copies.entry(host.clone()).or_default();
    match made {
        Some((address, content, renew)) => {
            (state.address, state.content, state.renew) = (Some(address), content, renew);
        }
        None => {
            let _lost = state.lost();
            if state.entry.is_none() {
                copies.remove(host);
            }
        }
    }
    change(view, &base, &copies, effects);
    Ok(())
}

async fn note_of_original<S: Store>(
    view: &mut View<'_, WriteSource<'_, S>>,
    node: Option<Arc<Node>>,
    (seq, synchronizes): (Seq, bool),
    host: &Text,
    outcome: Outcome,
    effects: &mut Effects,
) -> Result<(), Error> {
    let mut copies = node.as_deref().map(|node| state::of(node)).unwrap_or_default();
    let is_own = copies.get(host).is_some_and(|state| state.entry == Some(seq));
    let mut is_done = true;
    let now = view.now;
    // What was below it went along.
    let mut lost = None;
    if let Some(state) = copies.get_mut(host) {
        match outcome {
            Outcome::Removed(address) => lost = Some(address),
            // Another entry may stand for the copy by now; it brings what there is up to date.
            Outcome::Created { address, below, content, end } if is_own || state.address.is_none() => {
                (state.address, state.below, state.content) = (Some(address), below, content);
                state.renew = renewal::of(end, now);
            }
            Outcome::Created { address, .. } => remove_stray(view, host, address, effects),
            Outcome::Updated { content, end } if is_own => {
                state.content = content;
                if end != End::AsBefore {
                    state.renew = renewal::of(end, now);
                }
            }
            Outcome::Vanished if is_own => {
                lost = state.lost();
                is_done = false;
            }
            Outcome::ParentVanished if is_own => {
                let parent = node.as_deref().and_then(|node| node.parent);
                forget_copy(view, parent, host, effects).await?;
            }
            Outcome::Refused if is_own => {
                view.source.metrics.announcements_refused.increment();
                copies.remove(host);
            }
            _ => {}
        }
    } else {
        match outcome {
            Outcome::Created { address, .. } => remove_stray(view, host, address, effects),
            Outcome::Removed(address) => lost = Some(address),
            _ => {}
        }
    }
    if is_done {
        effects.outbox_delete.push(seq);
        // One that stands for the copy no more was counted when it was replaced, but not one whose original went unseen,
        // as instances do with a container that is not announced.
        let was_waiting = is_own || !synchronizes || is_stored(view, seq).await?;
        effects.announcements_settled += usize::from(was_waiting);
        if is_own && let Some(state) = copies.get_mut(host) {
            state.entry = None;
        }
    }
    if let Some(node) = node {
        change(view, &node, &copies, effects);
        if let Some(address) = lost {
            forget_below(view, &node, host, address, effects).await?;
            if node.ty == Ty::CSE_BASE {
                below::base_lost(view, host, effects);
            }
        }
    }
    Ok(())
}

/// Whether an entry is still in the outbox.
async fn is_stored<S: Store>(view: &mut View<'_, WriteSource<'_, S>>, seq: Seq) -> Result<bool, Error> {
    let outbox = view.source.settled().await.map_err(failed)?.outbox(Seq(seq.0 - 1), 1).await.map_err(failed)?;
    Ok(outbox.first().is_some_and(|entry| entry.seq == seq))
}

/// Writes what became of the copies of a resource, also into `at`.
pub(super) fn change<S: Store>(
    view: &View<'_, WriteSource<'_, S>>,
    node: &Arc<Node>,
    copies: &Copies,
    effects: &mut Effects,
) {
    let identity = view.identity();
    renewal::set_deadline(node, &state::of(node), copies, effects);
    let mut resource = Resource::clone(&node.resource);
    state::put(copies, &mut resource.attributes);
    if node.attributes.contains(keys::ANNOUNCE_TO) {
        let hosts = node.attributes.texts(keys::ANNOUNCE_TO).filter_map(|shown| identity.cse_id_of(shown));
        let shown = hosts.filter_map(|host| copies.get(&host).map(|state| state.shown(&host)));
        resource.attributes.insert(keys::ANNOUNCE_TO, Value::text_list(shown));
    }
    effects.update(Arc::new(node.changed(resource, identity)));
}

/// The copy of a resource is gone: it is made again before what comes after.
pub(super) async fn forget_copy<S: Store>(
    view: &mut View<'_, WriteSource<'_, S>>,
    seq: Option<Seq>,
    host: &Text,
    effects: &mut Effects,
) -> Result<(), Error> {
    let node = match seq {
        Some(seq) => view.node(seq).await?,
        None => None,
    };
    if let Some(node) = node {
        let mut copies = state::of(&node);
        if let Some(state) = copies.get_mut(host) {
            let lost = state.lost();
            change(view, &node, &copies, effects);
            if let Some(address) = lost {
                forget_below(view, &node, host, address, effects).await?;
            }
        }
    }
    Ok(())
}

/// A copy is gone, and what was below it went along: those originals are announced anew, elsewhere if need be.
async fn forget_below<S: Store>(
    view: &mut View<'_, WriteSource<'_, S>>,
    node: &Arc<Node>,
    host: &Text,
    address: Text,
    effects: &mut Effects,
) -> Result<(), Error> {
    let mut lost = vec![(Arc::clone(node), address)];
    let mut at = 0;
    while let Some((parent, address)) = lost.get(at).cloned() {
        at += 1;
        let mut after = Seq::START;
        while !is_instance(parent.ty) && lost.len() < LOST_MAX {
            let page = view.children(&parent, &[], after, PAGE).await?;
            let Some(last) = page.last() else { break };
            after = last.seq;
            for child in &page {
                let mut copies = state::of(child);
                let Some(state) = copies.get_mut(host).filter(|state| state.below.as_ref() == Some(&address)) else {
                    continue;
                };
                let Some(old) = state.lost() else { continue };
                change(view, child, &copies, effects);
                lost.push((Arc::clone(child), old));
            }
            if page.len() < PAGE {
                break;
            }
        }
    }
    Ok(())
}

/// Copies that are taken for lost together with one above them; of more it is noticed when they change.
const LOST_MAX: usize = 1_000;
/// Resources read in one step.
const PAGE: usize = 500;

/// A copy was made that nobody wants any more.
fn remove_stray<S: Store>(view: &mut View<'_, WriteSource<'_, S>>, host: &Text, address: Text, effects: &mut Effects) {
    let Ok(seq) = view.source.next_number() else { return };
    let end = view.now.plus(view.settings.maximum_lifetime);
    let original = Original { seq, ty: Ty::CSE_BASE, link: Text::default(), expiration_time: Some(end) };
    effects.announcements.push(entry(seq, host, &original, Work::Remove(address), view.now));
}
