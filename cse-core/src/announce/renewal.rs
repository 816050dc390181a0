//! Copies that their hosts let end before their originals are renewed when half of their time is over: early enough
//! for a host that is away for a while, and the pauses become shorter towards the end.

use std::time::Duration;

use super::End;
use super::derive::{Derived, Work};
use super::settle;
use super::state::{self, Copies};
use crate::error::Error;
use crate::id::Seq;
use crate::node::Node;
use crate::overlay::Effects;
use crate::ports::{Deadline, DeadlineKind, Store};
use crate::resource::Resource;
use crate::schema::Ty;
use crate::time::Timestamp;
use crate::value::Map;
use crate::view::{View, WriteSource};

/// The shortest pause before a copy is renewed again.
const PAUSE_MIN: Duration = Duration::from_secs(1);

/// When a copy that ends then is to be renewed.
pub(super) fn of(end: End, now: Timestamp) -> Option<Timestamp> {
    match end {
        End::Early(time) => Some(now.plus((time.since(now) / 2).max(PAUSE_MIN))),
        End::AsBefore | End::WithOriginal => None,
    }
}

/// Has the writer called when the next copy of a resource is to be renewed.
pub(super) fn set_deadline(node: &Node, before: &Copies, after: &Copies, effects: &mut Effects) {
    match (state::next_renewal(before), state::next_renewal(after)) {
        (before, Some(at)) if before != Some(at) => {
            effects.deadlines_set.push(Deadline { kind: DeadlineKind::Renewal, resource: node.seq, at });
        }
        (Some(_), None) => effects.deadlines_clear.push((DeadlineKind::Renewal, node.seq)),
        _ => {}
    }
}

/// Renews the copies whose time has come. What has to be sent is derived afterwards, as after any change.
pub(crate) async fn due<S: Store>(
    view: &mut View<'_, WriteSource<'_, S>>,
    seq: Seq,
    effects: &mut Effects,
) -> Result<(), Error> {
    let Some(node) = view.node(seq).await? else {
        effects.deadlines_clear.push((DeadlineKind::Renewal, seq));
        return Ok(());
    };
    let mut copies = state::of(&node);
    let mut work = Vec::new();
    for (host, state) in &mut copies {
        if state.renew.is_some_and(|at| at <= view.now) {
            state.renew();
            if state.entry.is_none() {
                work.push((host.clone(), Work::Synchronize));
            }
        }
    }
    if node.ty == Ty::CSE_BASE {
        // It names no targets from which this could be derived.
        copies = settle::leave(view, &node, Derived { copies, work, ..Derived::default() }, effects);
    }
    settle::change(view, &node, &copies, effects);
    if state::next_renewal(&copies).is_none() {
        effects.deadlines_clear.push((DeadlineKind::Renewal, seq));
    }
    Ok(())
}

/// The CSEBase has changed while nothing ran: has its copies follow; when that is to be looked at.
pub(crate) fn of_base(attributes: &mut Map, base: &Resource, now: Timestamp) -> Option<Deadline> {
    let mut copies = state::of(base);
    for state in copies.values_mut() {
        state.renew = Some(now);
    }
    state::put(&copies, attributes);
    let at = state::next_renewal(&copies)?;
    Some(Deadline { kind: DeadlineKind::Renewal, resource: base.seq, at })
}
