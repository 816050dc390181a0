//! `<container>` and `<contentInstance>`: counters, limits, eviction (TS-0004 §7.4.6, §7.4.7).

use std::sync::Arc;
use std::time::Duration;

use rustc_hash::FxHashSet;

use crate::access::authorize::{Permit, Requester};
use crate::access::policy::Access;
use crate::cache::newest_type;
use crate::error::Error;
use crate::id::Seq;
use crate::node::Node;
use crate::op::Draft;
use crate::overlay::{Effects, Gone};
use crate::ports::{Clause, Search};
use crate::resource::Resource;
use crate::schema::{Ty, keys};
use crate::time::Timestamp;
use crate::value::{Map, Value};
use crate::view::{Source, View};

pub(crate) fn before_create(draft: &mut Draft) {
    draft.attributes.insert(keys::CURRENT_NR_OF_INSTANCES, 0_i64);
    draft.attributes.insert(keys::CURRENT_BYTE_SIZE, 0_i64);
}

/// Bytes of a content: of the text as it is, of anything else as JSON.
fn size_of(content: &Value) -> u64 {
    match content {
        Value::Text(text) => text.len() as u64,
        other => serde_json::to_string(other).map_or(0, |text| text.len() as u64),
    }
}

/// A new instance: the container counts it and lets go of its oldest ones.
pub(crate) async fn before_instance<Q: Source>(
    view: &mut View<'_, Q>,
    container: &Arc<Node>,
    draft: &mut Draft,
    effects: &mut Effects,
) -> Result<(), Error> {
    let size = draft.attributes.get(keys::CONTENT).map_or(0, size_of);
    draft.content_size = Some(size);
    if container.ty != Ty::CONTAINER {
        // Copies of containers count nothing.
        return Ok(());
    }
    let limits = Limits::of(&container.attributes);
    if let Some(max) = limits.bytes
        && size > max
    {
        return Err(Error::TooLarge(format!("the content has {size} bytes, the container takes at most {max}")));
    }
    if let Some(age) = limits.age {
        let latest = view.now.plus(Duration::from_secs(age));
        draft.expiration_time = Some(draft.expiration_time.map_or(latest, |time| time.min(latest)));
    }
    let mut changed = Resource::clone(&container.resource);
    let state_tag = container.state_tag.unwrap_or(0) + 1;
    changed.state_tag = Some(state_tag);
    changed.last_modified_time = view.now;
    draft.state_tag = Some(state_tag);
    let mut count = changed.attributes.unsigned(keys::CURRENT_NR_OF_INSTANCES).unwrap_or(0) + 1;
    let mut bytes = changed.attributes.unsigned(keys::CURRENT_BYTE_SIZE).unwrap_or(0) + size;
    let excess = limits.count.map_or(0, |max| count.saturating_sub(max));
    let too_large = limits.bytes.is_some_and(|max| bytes > max);
    if excess > 0 || too_large {
        // The new one is the last to go, so it is not among those that can go here.
        let evicted = evict(view, container, excess, limits.bytes.map(|max| (bytes, max)), effects).await?;
        count -= evicted.count;
        bytes -= evicted.bytes.min(bytes);
    }
    changed.attributes.insert(keys::CURRENT_NR_OF_INSTANCES, count);
    changed.attributes.insert(keys::CURRENT_BYTE_SIZE, bytes);
    effects.update(Arc::new(container.changed(changed, view.identity())));
    Ok(())
}

struct Limits {
    count: Option<u64>,
    bytes: Option<u64>,
    age: Option<u64>,
}

impl Limits {
    fn of(attributes: &Map) -> Self {
        Self {
            // A limit of 0 would drop each instance at once; the newest one always stays.
            count: attributes.unsigned(keys::MAX_NR_OF_INSTANCES).map(|max| max.max(1)),
            bytes: attributes.unsigned(keys::MAX_BYTE_SIZE),
            age: attributes.unsigned(keys::MAX_INSTANCE_AGE),
        }
    }
}

#[derive(Default)]
struct Evicted {
    count: u64,
    bytes: u64,
}

/// Removes at least `excess` of the oldest instances, and more until the bytes fit. Causes no notifications.
async fn evict<Q: Source>(
    view: &mut View<'_, Q>,
    container: &Node,
    excess: u64,
    bytes: Option<(u64, u64)>,
    effects: &mut Effects,
) -> Result<Evicted, Error> {
    let mut wanted = usize::try_from(excess).unwrap_or(usize::MAX).max(1);
    loop {
        // What goes anyway is counted already.
        let going = effects.deleted.iter().filter(|gone| gone.parent == Some(container.seq)).count();
        let mut oldest = view.oldest_sizes(container, Ty::CONTENT_INSTANCE, wanted + going).await?;
        let all = oldest.len() < wanted + going;
        if going > 0 {
            oldest.retain(|(seq, _)| !effects.deletes(*seq));
        }
        let mut evicted = Evicted::default();
        let mut done = false;
        for (_, size) in &oldest {
            let fits = bytes.is_none_or(|(total, max)| total - evicted.bytes.min(total) <= max);
            if evicted.count >= excess && fits {
                done = true;
                break;
            }
            evicted.count += 1;
            evicted.bytes += size;
        }
        let fits = bytes.is_none_or(|(total, max)| total - evicted.bytes.min(total) <= max);
        if done || (evicted.count >= excess && fits) || all {
            let gone = oldest.iter().take(usize::try_from(evicted.count).unwrap_or(usize::MAX));
            effects.deleted.extend(gone.map(|(seq, _)| instance_gone(*seq, container.seq)));
            return Ok(evicted);
        }
        wanted = wanted.saturating_mul(4);
    }
}

fn instance_gone(seq: Seq, container: Seq) -> Gone {
    Gone { seq, parent: Some(container), ty: Ty::CONTENT_INSTANCE }
}

/// Lower limits take effect at once; retrieval that is enabled again starts with an empty container.
pub(crate) async fn before_update<Q: Source>(
    view: &mut View<'_, Q>,
    node: &Arc<Node>,
    attributes: &mut Map,
    patch: &Map,
    effects: &mut Effects,
) -> Result<(), Error> {
    let limits = Limits::of(attributes);
    let count = attributes.unsigned(keys::CURRENT_NR_OF_INSTANCES).unwrap_or(0);
    let bytes = attributes.unsigned(keys::CURRENT_BYTE_SIZE).unwrap_or(0);
    let was_disabled = has_retrieval_disabled(node);
    let is_disabled = attributes.bool(keys::DISABLE_RETRIEVAL) == Some(true);
    let (excess, target_bytes) = if was_disabled && !is_disabled {
        (count, None)
    } else {
        let excess = limits.count.map_or(0, |max| count.saturating_sub(max));
        (excess, limits.bytes.filter(|max| bytes > *max).map(|max| (bytes, max)))
    };
    let mut evicted = Evicted::default();
    if excess > 0 || target_bytes.is_some() {
        evicted = evict(view, node, excess, target_bytes, effects).await?;
    }
    if patch.contains(keys::MAX_INSTANCE_AGE)
        && let Some(age) = limits.age
    {
        let more = shorten_lives(view, node, age, effects).await?;
        evicted.count += more.count;
        evicted.bytes += more.bytes;
    }
    attributes.insert(keys::CURRENT_NR_OF_INSTANCES, count - evicted.count.min(count));
    attributes.insert(keys::CURRENT_BYTE_SIZE, bytes - evicted.bytes.min(bytes));
    Ok(())
}

/// Instances that are read in one step.
const PAGE: usize = 1_000;

/// Gives the instances of a container the expiration that a new maximum age means; returns those that are too old.
async fn shorten_lives<Q: Source>(
    view: &mut View<'_, Q>,
    container: &Arc<Node>,
    age: u64,
    effects: &mut Effects,
) -> Result<Evicted, Error> {
    let evicted_before: FxHashSet<Seq> = effects.deleted.iter().map(|gone| gone.seq).collect();
    let mut evicted = Evicted::default();
    let mut after = Seq::START;
    loop {
        let page = view.children(container, &[Ty::CONTENT_INSTANCE], after, PAGE).await?;
        let Some(last) = page.last() else {
            return Ok(evicted);
        };
        after = last.seq;
        for node in &page {
            if evicted_before.contains(&node.seq) {
                continue;
            }
            let latest = node.creation_time.plus(Duration::from_secs(age));
            if latest <= view.now {
                effects.deleted.push(Gone::of(node));
                evicted.count += 1;
                evicted.bytes += node.content_size.unwrap_or(0);
            } else if node.expiration_time.is_none_or(|time| time > latest) {
                let mut changed = Resource::clone(&node.resource);
                changed.expiration_time = Some(latest);
                // Each instance is met once, so there is no earlier change to look for among the many.
                effects.updated.push(Arc::new(node.changed(changed, view.identity())));
            }
        }
        if page.len() < PAGE {
            return Ok(evicted);
        }
    }
}

/// An instance was deleted or has expired: the container counts again.
pub(crate) async fn after_instance_gone<Q: Source>(
    view: &mut View<'_, Q>,
    node: &Arc<Node>,
    effects: &mut Effects,
) -> Result<(), Error> {
    let Some(parent) = node.parent.filter(|parent| !effects.deletes(*parent)) else {
        return Ok(());
    };
    let container = match effects.current(parent) {
        Some(container) => Arc::clone(container),
        None => match view.node(parent).await? {
            Some(container) => container,
            None => return Ok(()),
        },
    };
    if container.ty != Ty::CONTAINER {
        return Ok(());
    }
    let mut changed = Resource::clone(&container.resource);
    let count = changed.attributes.unsigned(keys::CURRENT_NR_OF_INSTANCES).unwrap_or(0);
    let bytes = changed.attributes.unsigned(keys::CURRENT_BYTE_SIZE).unwrap_or(0);
    changed.attributes.insert(keys::CURRENT_NR_OF_INSTANCES, count.saturating_sub(1));
    changed.attributes.insert(keys::CURRENT_BYTE_SIZE, bytes.saturating_sub(node.content_size.unwrap_or(0)));
    changed.last_modified_time = view.now;
    effects.update(Arc::new(container.changed(changed, view.identity())));
    Ok(())
}

/// The end of a container that a virtual resource stands for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum End {
    /// `la`
    Newest,
    /// `ol`
    Oldest,
}

/// The newest or oldest instance, for an originator that has the privilege on the container: that and disabled
/// retrieval count before emptiness (TS-0004 §7.4.27, §7.4.28).
pub(crate) async fn instance<Q: Source>(
    view: &mut View<'_, Q>,
    requester: &Requester,
    access: Access,
    container: &Arc<Node>,
    end: End,
) -> Result<(Permit, Arc<Node>), Error> {
    let permit = view.authorize(requester, access, container).await?;
    check_enabled(container, access.name())?;
    let node = match end {
        End::Newest => view.newest(container).await?,
        End::Oldest => view.oldest(container).await?,
    };
    let node = match node {
        Some(node) if node.is_expired(view.now) => unexpired(view, container, end).await?,
        node => node,
    };
    Ok((permit, node.ok_or_else(|| Error::NoInstance(container.path.to_string()))?))
}

/// The newest or oldest instance among those that have not expired, while expired ones wait to be deleted.
async fn unexpired<Q: Source>(
    view: &mut View<'_, Q>,
    container: &Arc<Node>,
    end: End,
) -> Result<Option<Arc<Node>>, Error> {
    let later_than_now = Timestamp::from_micros(view.now.micros() + 1);
    let mut search = Search {
        root: container.seq,
        levels: Some(1),
        clauses: vec![
            Clause::Types(newest_type(container.ty).into_iter().collect()),
            Clause::Expires(Some(later_than_now), None),
        ],
        after: Seq::START,
        limit: PAGE,
    };
    let mut found = None;
    loop {
        let seqs = view.search(&search).await?;
        let last_page = seqs.len() < search.limit;
        // A store may find more than what the clauses say.
        let nodes = view.nodes(&seqs).await?.into_iter().filter(|node| !node.is_expired(view.now));
        match end {
            End::Oldest => found = found.or_else(|| nodes.into_iter().next()),
            End::Newest => found = nodes.last().or(found),
        }
        match seqs.last() {
            Some(last) if !last_page && (end == End::Newest || found.is_none()) => search.after = *last,
            _ => return Ok(found),
        }
    }
}

/// Instances of a container with `disableRetrieval` can only be created.
pub(crate) async fn check_retrievable<Q: Source>(
    view: &mut View<'_, Q>,
    node: &Node,
    operation: &'static str,
) -> Result<(), Error> {
    match container_of(view, node).await? {
        Some(container) => check_enabled(&container, operation),
        None => Ok(()),
    }
}

async fn container_of<Q: Source>(view: &mut View<'_, Q>, node: &Node) -> Result<Option<Arc<Node>>, Error> {
    if node.ty == Ty::CONTENT_INSTANCE { view.parent(node).await } else { Ok(None) }
}

fn has_retrieval_disabled(container: &Node) -> bool {
    container.attributes.bool(keys::DISABLE_RETRIEVAL) == Some(true)
}

fn check_enabled(container: &Node, operation: &'static str) -> Result<(), Error> {
    if has_retrieval_disabled(container) {
        let target = format!("instances of '{}', whose retrieval is disabled", container.path);
        return Err(Error::OperationNotAllowed { operation, target });
    }
    Ok(())
}
