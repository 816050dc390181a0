//! Filter criteria at work: discovery, conditional operations, and result contents with children
//! (TS-0004 §7.3.3.13, §7.3.3.14, §7.3.3.17).

use std::sync::Arc;

use super::{Cx, result_content};
use crate::access::policy::Access;
use crate::behaviour::container;
use crate::content;
use crate::error::Error;
use crate::filter::{Candidate, Filter};
use crate::id::Seq;
use crate::node::Node;
use crate::ports::Search;
use crate::primitive::{FilterCriteria, FilterUsage, Request, ResultContent};
use crate::resource::Resource;
use crate::schema::{Ty, keys};
use crate::value::{Map, Text, Value};
use crate::view::{Source, View};

/// Resources read in one step.
const PAGE: usize = 256;
/// Resources that one request may look at; the result of a request that would look at more is cut there.
const LOOKED_AT_MAX: usize = 1_000_000;
/// Result contents of discovery; 1, the default of other operations, is taken as if it was absent.
const RESULT_CONTENTS: [ResultContent; 3] =
    [ResultContent::DiscoveryResultReferences, ResultContent::Attributes, ResultContent::ChildReferences];
/// Children of one resource that conditions on children look at.
const CHILDREN_MAX: usize = 1_000;

/// A result that may have been cut.
#[derive(Default)]
pub(crate) struct Found {
    /// In the order of creation.
    pub(crate) nodes: Vec<Arc<Node>>,
    /// Where to continue, if it was cut: the offset of the next result.
    pub(crate) next_offset: Option<u64>,
}

/// Content with its completeness.
#[derive(Default)]
pub(crate) struct Shaped {
    pub(crate) content: Option<Map>,
    /// `None` where completeness has no meaning.
    pub(crate) next_offset: Option<u64>,
    pub(crate) lists: bool,
}

/// Checks the conditions of a request on its target itself.
///
/// # Errors
/// [`Error::NoMatch`].
pub(crate) async fn check_condition<Q: Source>(
    view: &mut View<'_, Q>,
    request: &Request,
    node: &Arc<Node>,
) -> Result<(), Error> {
    let Some(criteria) = request.filter_criteria.as_deref() else {
        return Ok(());
    };
    let filter = Filter::compile(criteria)?;
    if criteria.usage == FilterUsage::Discovery {
        let operation = request.operation;
        return Err(Error::parameter("fc/fu", format!("1 (discovery) does not go with {operation}")));
    }
    if criteria.has_conditions() && !matches(view, &filter, node).await? {
        return Err(Error::NoMatch);
    }
    Ok(())
}

/// Whether a resource satisfies the conditions.
async fn matches<Q: Source>(view: &mut View<'_, Q>, filter: &Filter<'_>, node: &Arc<Node>) -> Result<bool, Error> {
    let parent = if filter.needs_parent() { view.parent(node).await? } else { None };
    let children: Option<Vec<Arc<Resource>>> = if filter.needs_children() {
        let children = view.children(node, &[], Seq::START, CHILDREN_MAX).await?;
        Some(children.iter().map(|child| Arc::clone(&child.resource)).collect())
    } else {
        None
    };
    let candidate = Candidate {
        resource: node,
        parent: parent.as_ref().map(|parent| &*parent.resource),
        children: children.as_deref(),
    };
    Ok(filter.matches(&candidate))
}

/// Finds resources below `root` that satisfy the criteria and that the originator may see.
pub(crate) async fn find<Q: Source>(
    view: &mut View<'_, Q>,
    cx: &Cx,
    root: &Arc<Node>,
    criteria: &FilterCriteria,
    access: Access,
) -> Result<Found, Error> {
    let limit = criteria.limit.unwrap_or(u64::MAX).min(view.settings.result_resources_max as u64);
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let skip = criteria.offset.unwrap_or(1) - 1;
    let filter = Filter::compile(criteria)?;
    let mut search = Search {
        root: root.seq,
        levels: criteria.level.map(|level| u32::try_from(level).unwrap_or(u32::MAX)),
        clauses: filter.clauses(),
        after: Seq::START,
        limit: PAGE,
    };
    let has_conditions = criteria.has_conditions();
    let mut found = Found::default();
    let mut passed = 0;
    let mut looked_at = 0;
    let mut bytes = 0;
    loop {
        let seqs = view.search(&search).await?;
        let full = seqs.len() == search.limit;
        let Some(last) = seqs.last() else {
            return Ok(found);
        };
        search.after = *last;
        looked_at += seqs.len();
        for node in view.nodes(&seqs).await? {
            if node.is_expired(view.now)
                || (has_conditions && !matches(view, &filter, &node).await?)
                || !view.allows(&cx.requester, access, &node, None).await?
                || (access == Access::DISCOVERY && is_hidden(view, &node, root).await?)
                || (access == Access::RETRIEVE && container::is_disabled(view, &node).await?)
            {
                continue;
            }
            passed += 1;
            if passed <= skip {
                continue;
            }
            bytes += node.resource.approximate_bytes();
            if found.nodes.len() >= limit || (bytes > view.settings.result_bytes_max && !found.nodes.is_empty()) {
                found.next_offset = Some(passed);
                return Ok(found);
            }
            found.nodes.push(node);
        }
        if !full {
            return Ok(found);
        }
        if looked_at >= LOOKED_AT_MAX {
            found.next_offset = Some(passed + 1);
            return Ok(found);
        }
    }
}

/// Whether a resource is, or is below, a registration that is marked inactive (`regs`).
async fn is_hidden<Q: Source>(view: &mut View<'_, Q>, node: &Arc<Node>, root: &Node) -> Result<bool, Error> {
    let mut current = Arc::clone(node);
    while current.seq != root.seq {
        if current.ty == Ty::AE {
            return Ok(current.attributes.int(keys::REGISTRATION_STATUS) == Some(2));
        }
        match view.parent(&current).await? {
            Some(parent) => current = parent,
            None => break,
        }
    }
    Ok(false)
}

/// Discovery: addresses or references of what is found.
pub(crate) async fn discover<Q: Source>(
    view: &mut View<'_, Q>,
    cx: &Cx,
    request: &Request,
    criteria: &FilterCriteria,
    root: &Arc<Node>,
) -> Result<Shaped, Error> {
    let default = ResultContent::DiscoveryResultReferences;
    let references = result_content(request, default, &RESULT_CONTENTS)? == ResultContent::ChildReferences;
    let found = find(view, cx, root, criteria, Access::DISCOVERY).await?;
    let mut addresses: Vec<(Arc<Node>, Text)> = Vec::with_capacity(found.nodes.len());
    for node in found.nodes {
        match &criteria.apply_relative_path {
            Some(relative) => {
                let address = format!("{}/{relative}", node.path);
                if view.resolve(&address).await.is_ok() {
                    addresses.push((node, address.into()));
                }
            }
            None => {
                let address = view.address_of(&node, request.unstructured_addresses);
                addresses.push((node, address));
            }
        }
    }
    let content = if references {
        let list = addresses.into_iter().map(|(node, address)| content::reference(&node, address)).collect();
        Map::single("m2m:rrl", Map::single("rrf", Value::List(list)))
    } else {
        Map::single("m2m:uril", Value::text_list(addresses.into_iter().map(|(_, address)| address)))
    };
    Ok(Shaped { content: Some(content), next_offset: found.next_offset, lists: true })
}

/// The content for a resource and, where the result content says so, what is below it.
pub(crate) async fn tree_content<Q: Source>(
    view: &mut View<'_, Q>,
    cx: &Cx,
    request: &Request,
    wanted: ResultContent,
    node: &Arc<Node>,
) -> Result<Shaped, Error> {
    match wanted {
        ResultContent::Nothing => return Ok(Shaped::default()),
        ResultContent::Attributes => {
            let content = Some(content::representation(node, view.now));
            return Ok(Shaped { content, ..Shaped::default() });
        }
        _ => {}
    }
    let with_resources = matches!(wanted, ResultContent::AttributesAndChildResources | ResultContent::ChildResources);
    let mut criteria = request.filter_criteria.as_deref().cloned().unwrap_or_default();
    if !with_resources && criteria.level.is_none() {
        // References are those of children unless more levels are asked for.
        criteria.level = Some(1);
    }
    let found = find(view, cx, node, &criteria, Access::RETRIEVE).await?;
    let root = content::root_of(node);
    let own = || content::attributes_of(node, view.now);
    let references = |nodes: &[Arc<Node>]| {
        let reference =
            |node: &Arc<Node>| content::reference(node, view.address_of(node, request.unstructured_addresses));
        Value::List(nodes.iter().map(reference).collect())
    };
    let content = match wanted {
        ResultContent::AttributesAndChildResources => {
            Map::single(root, content::nest(own(), node.seq, &found.nodes, view.now))
        }
        ResultContent::ChildResources => Map::single(root, content::nest(Map::new(), node.seq, &found.nodes, view.now)),
        ResultContent::AttributesAndChildReferences => {
            let mut attributes = own();
            attributes.push("ch", references(&found.nodes));
            Map::single(root, attributes)
        }
        _ => Map::single("m2m:rrl", Map::single("rrf", references(&found.nodes))),
    };
    Ok(Shaped { content: Some(content), next_offset: found.next_offset, lists: true })
}
