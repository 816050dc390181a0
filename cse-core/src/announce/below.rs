//! What concerns all that is below a resource is done in steps, each an entry of the outbox, so that a large tree holds up
//! nobody: copies of resources without policies of their own have those of the next resource above, so they follow
//! when these change; and when a host has lost the copy of the CSEBase, all that was below it there is made again.

use std::sync::Arc;

use super::settle::{changed_one, forget_copy};
use super::state::{self, COPIES};
use super::{BELOW, INSTANCES, LOST, Outcome, TARGET, copy};
use crate::cache::newest_type;
use crate::error::Error;
use crate::id::Seq;
use crate::node::{Node, is_instance};
use crate::overlay::Effects;
use crate::ports::{Clause, OutboxEntry, Search, Store};
use crate::schema::{Ty, types};
use crate::time::Timestamp;
use crate::value::{Map, Text};
use crate::view::{Source, View, WriteSource};

/// Resources looked at in one step.
const STEP: usize = 200;

/// What is done with what is below.
#[derive(Clone, Debug, Eq, PartialEq)]
enum Why {
    /// It may inherit other policies.
    Policies {
        /// Whether it is the instances of a container, else all but instances.
        of_instances: bool,
    },
    /// That CSE has lost the copies of it.
    Lost(Text),
}

/// One step: what is below a resource, after a number.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Below {
    why: Why,
    after: Seq,
}

impl Below {
    /// The step that an entry stands for, if it is one.
    pub(super) fn of(content: &Map) -> Option<Self> {
        let after = Seq(content.int(BELOW)?);
        let why = match content.text(LOST) {
            Some(host) => Why::Lost(host.into()),
            None => Why::Policies { of_instances: content.contains(INSTANCES) },
        };
        Some(Self { why, after })
    }

    /// Finds what the step is about.
    pub(super) async fn look<Q: Source, E: From<Error>>(self, view: &mut View<'_, Q>, root: Seq) -> Result<Outcome, E> {
        let of_instances = self.why == Why::Policies { of_instances: true };
        let of_kind = |ty: &Ty| is_instance(*ty) == of_instances && copy::variant(*ty).is_some();
        let search = Search {
            root,
            levels: of_instances.then_some(1),
            clauses: vec![Clause::Types(types().map(|def| def.ty).filter(of_kind).collect())],
            after: self.after,
            limit: STEP,
        };
        let found = view.search(&search).await?;
        let is_last = found.len() < STEP;
        Ok(Outcome::Below { step: self, found, is_last })
    }
}

/// The policies of a resource are others now.
pub(super) fn policies_changed<S: Store>(view: &mut View<'_, WriteSource<'_, S>>, of: Seq, effects: &mut Effects) {
    leave(view, of, &Below { why: Why::Policies { of_instances: false }, after: Seq::START }, effects);
}

/// A host has lost the copy of the CSEBase.
pub(super) fn base_lost<S: Store>(view: &mut View<'_, WriteSource<'_, S>>, host: &Text, effects: &mut Effects) {
    leave(view, Seq::CSE_BASE, &Below { why: Why::Lost(host.clone()), after: Seq::START }, effects);
}

/// Does the step for each resource found, and leaves the next.
pub(super) async fn note<S: Store>(
    view: &mut View<'_, WriteSource<'_, S>>,
    root: Seq,
    step: Below,
    found: &[Seq],
    is_last: bool,
    effects: &mut Effects,
) -> Result<(), Error> {
    let Below { why, after } = &step;
    for node in view.nodes(found).await? {
        match why {
            _ if !node.attributes.contains(COPIES) => {}
            Why::Policies { .. } => {
                changed_one(view, &node, effects).await?;
                instances(view, &node, effects);
            }
            Why::Lost(host) => {
                // What is below another copy is forgotten with that.
                let is_at_base = state::of(&node).get(host).is_some_and(|copy| copy.below.is_none());
                if is_at_base {
                    forget_copy(view, Some(node.seq), host, effects).await?;
                }
            }
        }
    }
    if *after == Seq::START
        && *why == (Why::Policies { of_instances: false })
        && let Some(root) = view.node(root).await?
    {
        instances(view, &root, effects);
    }
    if let Some(after) = found.last().filter(|_| !is_last) {
        leave(view, root, &Below { after: *after, ..step }, effects);
    }
    Ok(())
}

/// The instances of a container that is announced inherit its policies.
fn instances<S: Store>(view: &mut View<'_, WriteSource<'_, S>>, container: &Node, effects: &mut Effects) {
    if container.attributes.contains(COPIES) && newest_type(container.ty).is_some() {
        let step = Below { why: Why::Policies { of_instances: true }, after: Seq::START };
        leave(view, container.seq, &step, effects);
    }
}

fn leave<S: Store>(view: &mut View<'_, WriteSource<'_, S>>, of: Seq, step: &Below, effects: &mut Effects) {
    let waiting = view.source.overlay.announcements.len() + effects.announcements.len();
    let Some(seq) = view.source.announce.admits(waiting + 1).then(|| view.source.next_number().ok()).flatten() else {
        view.source.metrics.announcements_dropped.increment();
        tracing::warn!(resource = %of, "copies of what is below do not follow; too many announcements wait");
        return;
    };
    effects.announcements.push(entry(seq, of, step, view.now));
}

/// The entry of a step. It is nothing that a CSE is sent.
fn entry(seq: Seq, of: Seq, step: &Below, now: Timestamp) -> OutboxEntry {
    let mut content = Map::single(BELOW, step.after.0);
    match &step.why {
        Why::Policies { of_instances: true } => drop(content.insert(INSTANCES, true)),
        Why::Policies { of_instances: false } => {}
        Why::Lost(host) => drop(content.insert(LOST, host.clone())),
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
