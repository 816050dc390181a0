//! Copies of resources without policies of their own have those of the next resource above. When these change, what
//! is below is looked through in steps, each an entry of the outbox, so that a large tree holds up nobody.

use std::sync::Arc;

use super::settle::changed_one;
use super::state::COPIES;
use super::{INHERIT, INSTANCES, Outcome, TARGET, copy};
use crate::error::Error;
use crate::id::Seq;
use crate::node::is_instance;
use crate::overlay::Effects;
use crate::ports::{Clause, OutboxEntry, Search, Store};
use crate::schema::{Ty, types};
use crate::time::Timestamp;
use crate::value::Map;
use crate::view::{Source, View, WriteSource};

/// Resources looked at in one step.
const STEP: usize = 200;

/// One step: what is below a resource, after a number; of a container either its instances or the rest.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Inherit {
    pub(super) after: Seq,
    pub(super) instances: bool,
}

impl Inherit {
    /// Finds what the step is about.
    pub(super) async fn look<Q: Source, E: From<Error>>(self, view: &mut View<'_, Q>, root: Seq) -> Result<Outcome, E> {
        let of_kind = |ty: &Ty| is_instance(*ty) == self.instances && copy::variant(*ty).is_some();
        let search = Search {
            root,
            levels: self.instances.then_some(1),
            clauses: vec![Clause::Types(types().map(|def| def.ty).filter(of_kind).collect())],
            after: self.after,
            limit: STEP,
        };
        let found = view.search(&search).await?;
        let is_last = found.len() < STEP;
        Ok(Outcome::Inheriting { of: self, found, is_last })
    }
}

/// The policies of a resource are others now.
pub(super) fn begin<S: Store>(view: &mut View<'_, WriteSource<'_, S>>, of: Seq, effects: &mut Effects) {
    leave(view, of, Inherit { after: Seq::START, instances: false }, effects);
}

/// Derives for each resource found what its copies are to have, and leaves the next step.
pub(super) async fn note<S: Store>(
    view: &mut View<'_, WriteSource<'_, S>>,
    root: Seq,
    of: Inherit,
    found: &[Seq],
    is_last: bool,
    effects: &mut Effects,
) -> Result<(), Error> {
    for node in view.nodes(found).await? {
        if !node.attributes.contains(COPIES) {
            continue;
        }
        changed_one(view, &node, effects).await?;
        if has_instances(&node) {
            leave(view, node.seq, Inherit { after: Seq::START, instances: true }, effects);
        }
    }
    if !of.instances && of.after == Seq::START && view.node(root).await?.is_some_and(|root| has_instances(&root)) {
        leave(view, root, Inherit { after: Seq::START, instances: true }, effects);
    }
    if let Some(after) = found.last().filter(|_| !is_last) {
        leave(view, root, Inherit { after: *after, ..of }, effects);
    }
    Ok(())
}

fn has_instances(node: &crate::node::Node) -> bool {
    node.attributes.contains(COPIES) && crate::cache::newest_type(node.ty).is_some()
}

fn leave<S: Store>(view: &mut View<'_, WriteSource<'_, S>>, of: Seq, step: Inherit, effects: &mut Effects) {
    let waiting = view.source.overlay.announcements.len() + effects.announcements.len();
    let Some(seq) = view.source.announce.admits(waiting + 1).then(|| view.source.next_number().ok()).flatten() else {
        view.source.metrics.announcements_dropped.increment();
        tracing::warn!(resource = %of, "copies keep policies that have changed; too many announcements wait");
        return;
    };
    effects.announcements.push(entry(seq, of, step, view.now));
}

/// The entry of a step. It concerns no CSE in particular.
fn entry(seq: Seq, of: Seq, step: Inherit, now: Timestamp) -> OutboxEntry {
    let mut content = Map::single(INHERIT, step.after.0);
    if step.instances {
        content.insert(INSTANCES, true);
    }
    OutboxEntry {
        seq,
        subscription: of,
        target: TARGET.into(),
        content: Arc::new(content),
        event_category: None,
        created: now,
        next_try: now,
        attempts: 0,
    }
}
