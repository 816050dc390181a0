//! Finding resources below a resource: those that satisfy filter criteria and that the originator may see
//! (TS-0004 §7.3.3.14, §7.3.3.17).
//!
//! Work and memory of one request are bounded, whatever it asks for. Where that cuts a result, the answer says
//! where to continue: with the number of the next result as long as counting up to it is cheap, else with the
//! place in the order of creation, from which the next request goes on without counting.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::Cx;
use crate::access::policy::Access;
use crate::error::Error;
use crate::filter::{Candidate, Filter};
use crate::id::Seq;
use crate::node::Node;
use crate::ports::Search;
use crate::primitive::FilterCriteria;
use crate::schema::{Ty, keys, type_def};
use crate::view::{Source, View};

/// Resources read in one step.
const PAGE: usize = 256;
/// Resources that one request may look at.
const LOOKED_AT_MAX: usize = 100_000;
/// Up to so many resources looked at, the next request may look at them again to count results.
const COUNTED_MAX: usize = 2_000;
/// Offsets from here on are places: this and the number of the resource to continue after. Nobody counts that far.
const PLACES_FROM: u64 = 1 << 40;

/// Where the results of a request begin.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Start {
    /// After so many results.
    Skip(u64),
    /// After this resource.
    After(Seq),
}

impl Start {
    fn of(offset: Option<u64>) -> Self {
        match offset {
            Some(place) if place >= PLACES_FROM => {
                Self::After(Seq(i64::try_from(place - PLACES_FROM).unwrap_or(i64::MAX)))
            }
            offset => Self::Skip(offset.unwrap_or(1).max(1) - 1),
        }
    }
}

/// The offset that continues after a resource.
fn place_after(seq: Seq) -> u64 {
    PLACES_FROM + u64::try_from(seq.0).unwrap_or(0)
}

/// Children of one resource that conditions on children look at in one step.
const CHILDREN_PAGE: usize = 64;

/// Whether a resource satisfies the conditions; adds how many children had to be looked at for that.
///
/// # Errors
/// [`Error::TooLarge`] when there are more children than one request may look at.
pub(super) async fn matches<Q: Source>(
    view: &mut View<'_, Q>,
    filter: &Filter<'_>,
    node: &Arc<Node>,
    looked_at: &mut usize,
) -> Result<bool, Error> {
    let parent = if filter.needs_parent() { view.parent(node).await? } else { None };
    let mut candidate = Candidate { parent: parent.as_ref().map(|parent| &*parent.resource), ..Candidate::alone(node) };
    let can_have_children = || type_def(node.ty).is_some_and(|def| !def.children.is_empty());
    // Types are found by an index, everything else by looking at the children one by one.
    if let Some(types) = filter.child_types()
        && filter.verdict_so_far(&candidate, false).is_none()
        && can_have_children()
    {
        see_children(view, filter, &mut candidate, node, types, looked_at).await?;
    }
    if filter.looks_into_children() && filter.verdict_so_far(&candidate, true).is_none() && can_have_children() {
        see_children(view, filter, &mut candidate, node, &[], looked_at).await?;
    }
    Ok(filter.matches(&candidate))
}

/// Looks at the children of some types (all, if none is named) until it is clear that the conditions hold.
async fn see_children<Q: Source>(
    view: &mut View<'_, Q>,
    filter: &Filter<'_>,
    candidate: &mut Candidate<'_>,
    node: &Node,
    types: &[Ty],
    looked_at: &mut usize,
) -> Result<(), Error> {
    let mut after = Seq::START;
    let mut seen = 0;
    loop {
        let page = view.children(node, types, after, CHILDREN_PAGE).await?;
        seen += page.len();
        *looked_at += page.len();
        let is_last = page.len() < CHILDREN_PAGE;
        for child in page {
            after = child.seq;
            if !child.is_expired(view.now) {
                filter.see_child(&mut candidate.children, &child);
            }
        }
        // More children can only make conditions hold that did not.
        if is_last || filter.matches(candidate) || (!types.is_empty() && candidate.children.has_type()) {
            return Ok(());
        }
        if seen >= LOOKED_AT_MAX {
            let path = &node.path;
            return Err(Error::TooLarge(format!("'{path}' has too many children to look at for clbl or catr")));
        }
    }
}

/// Gives what is below `root`, satisfies the criteria and may be seen to `take`, in the order of creation; `take`
/// returns how many bytes of the answer it takes, roughly. Returns the offset to continue with if there is more.
///
/// # Errors
/// [`Error::InvalidParameter`] for unusable criteria.
pub(super) async fn find<Q: Source>(
    view: &mut View<'_, Q>,
    cx: &Cx,
    root: &Arc<Node>,
    criteria: &FilterCriteria,
    access: Access,
    take: &mut (dyn FnMut(Arc<Node>) -> usize + Send),
) -> Result<Option<u64>, Error> {
    let start = Start::of(criteria.offset);
    let (skip, after) = match start {
        Start::Skip(skip) => (skip, Seq::START),
        Start::After(seq) => (0, seq),
    };
    let limit = criteria.limit.unwrap_or(u64::MAX).min(view.settings.result_resources_max as u64);
    let filter = Filter::compile(criteria)?;
    let mut search = Search {
        root: root.seq,
        levels: criteria.level.map(|level| u32::try_from(level).unwrap_or(u32::MAX)),
        clauses: filter.clauses(),
        after,
        limit: first_page(skip, limit),
    };
    let has_conditions = criteria.has_conditions();
    let mut hidden = Hidden::new(root, access);
    let (mut passed, mut taken, mut looked_at, mut bytes) = (0, 0, 0, 0);
    loop {
        let seqs = view.search(&search).await?;
        let full = seqs.len() == search.limit;
        let Some(last) = seqs.last() else {
            return Ok(None);
        };
        search.after = *last;
        search.limit = PAGE;
        looked_at += seqs.len();
        for node in view.nodes(&seqs).await? {
            if node.is_expired(view.now)
                || (has_conditions && !matches(view, &filter, &node, &mut looked_at).await?)
                || !view.allows(&cx.requester, access, &node, None).await?
                || hidden.hides(view, &node).await?
            {
                continue;
            }
            passed += 1;
            if passed <= skip {
                continue;
            }
            if taken == limit || (bytes > view.settings.result_bytes_max && taken > 0) {
                let is_countable = looked_at <= COUNTED_MAX && matches!(start, Start::Skip(_));
                return Ok(Some(if is_countable { passed } else { place_after(Seq(node.seq.0 - 1)) }));
            }
            taken += 1;
            bytes += take(node);
        }
        if !full {
            return Ok(None);
        }
        if looked_at >= LOOKED_AT_MAX {
            if passed < skip {
                let problem = "is further than one request looks; use the content offset (cnot) of the answer before";
                return Err(Error::parameter("fc/ofst", problem));
            }
            return Ok(Some(place_after(search.after)));
        }
    }
}

/// A first page that is large enough for the result wanted, and for knowing whether there is more.
fn first_page(skip: u64, limit: u64) -> usize {
    let wanted = skip.saturating_add(limit).saturating_add(1);
    usize::try_from(wanted).unwrap_or(PAGE).clamp(16, PAGE)
}

/// What nobody is shown: what is below a registration marked inactive, in discovery (TS-0004 §7.3.3.14), and the
/// content of instances whose retrieval is disabled.
pub(super) struct Hidden {
    root: Seq,
    access: Access,
    below: FxHashMap<Seq, Below>,
}

/// What a resource means for its children.
#[derive(Clone, Copy)]
struct Below {
    is_inactive: bool,
    disables_retrieval: bool,
}

impl Hidden {
    pub(super) fn new(root: &Node, access: Access) -> Self {
        Self { root: root.seq, access, below: FxHashMap::default() }
    }

    pub(super) async fn hides<Q: Source>(&mut self, view: &mut View<'_, Q>, node: &Node) -> Result<bool, Error> {
        if self.access == Access::DISCOVERY && is_inactive(node) {
            return Ok(true);
        }
        let Some(parent) = node.parent else {
            return Ok(false);
        };
        let below = match self.below.get(&parent) {
            Some(below) => *below,
            None => self.look_up(view, parent).await?,
        };
        // Addresses, which discovery gives, are no content.
        let is_withheld = self.access == Access::RETRIEVE && below.disables_retrieval;
        Ok(below.is_inactive || (is_withheld && node.ty == Ty::CONTENT_INSTANCE))
    }

    /// Climbs to what is known, or to the root, and notes what is on the way.
    async fn look_up<Q: Source>(&mut self, view: &mut View<'_, Q>, seq: Seq) -> Result<Below, Error> {
        let mut way: Vec<(Seq, bool, bool)> = Vec::new();
        let mut is_inactive_above = false;
        let mut next = Some(seq);
        while let Some(seq) = next {
            if let Some(known) = self.below.get(&seq) {
                is_inactive_above = known.is_inactive;
                break;
            }
            let Some(node) = view.node(seq).await? else { break };
            let disables_retrieval = node.attributes.bool(keys::DISABLE_RETRIEVAL) == Some(true);
            let is_root = seq == self.root;
            // Whoever addresses something inside has found it already.
            way.push((seq, !is_root && self.access == Access::DISCOVERY && is_inactive(&node), disables_retrieval));
            next = node.parent.filter(|_| !is_root);
        }
        let mut below = Below { is_inactive: is_inactive_above, disables_retrieval: false };
        for (seq, is_inactive, disables_retrieval) in way.into_iter().rev() {
            below = Below { is_inactive: below.is_inactive || is_inactive, disables_retrieval };
            self.below.insert(seq, below);
        }
        Ok(below)
    }
}

/// Whether a registration is marked inactive (`regs`).
fn is_inactive(node: &Node) -> bool {
    const INACTIVE: i64 = 2;
    node.ty == Ty::AE && node.attributes.int(keys::REGISTRATION_STATUS) == Some(INACTIVE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_are_counts_or_places() {
        assert_eq!(Start::of(None), Start::Skip(0));
        assert_eq!(Start::of(Some(1)), Start::Skip(0));
        assert_eq!(Start::of(Some(17)), Start::Skip(16));
        assert_eq!(Start::of(Some(place_after(Seq(17)))), Start::After(Seq(17)));
        assert_eq!(Start::of(Some(u64::MAX)), Start::After(Seq((u64::MAX - PLACES_FROM).min(i64::MAX as u64) as i64)));
    }

    #[test]
    fn the_first_page_fits_the_result() {
        assert_eq!(first_page(0, 1), 16);
        assert_eq!(first_page(20, 30), 51);
        assert_eq!(first_page(0, u64::MAX), PAGE);
        assert_eq!(first_page(u64::MAX, 1), PAGE);
    }
}
