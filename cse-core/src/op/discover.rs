//! Filter criteria at work: discovery, conditional operations, and result contents with children
//! (TS-0004 §7.3.3.13, §7.3.3.14, §7.3.3.17).

use std::sync::Arc;

use rustc_hash::FxHashSet;

use super::find::{Hidden, find, matches};
use super::{Cx, result_content};
use crate::access::policy::Access;
use crate::address::Resolved;
use crate::behaviour::container::{self, End};
use crate::content::{self, Placed};
use crate::error::Error;
use crate::filter::Filter;
use crate::id::Seq;
use crate::node::Node;
use crate::primitive::{FilterCriteria, FilterUsage, Request, ResultContent};
use crate::schema::Ty;
use crate::value::{Map, Text, Value};
use crate::view::{Source, View};

/// Result contents of discovery; 1, the default of other operations, is taken as if it was absent.
const RESULT_CONTENTS: [ResultContent; 3] =
    [ResultContent::DiscoveryResultReferences, ResultContent::Attributes, ResultContent::ChildReferences];
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
    if criteria.has_conditions() && !matches(view, &filter, node, &mut 0).await? {
        return Err(Error::NoMatch);
    }
    Ok(())
}

/// What a discovery tells of a resource.
struct Hit {
    name: Text,
    ty: Ty,
    path: Text,
    address: Text,
}

/// Discovery: addresses or references of what is found (TS-0004 §7.3.3.14).
pub(crate) async fn discover<Q: Source>(
    view: &mut View<'_, Q>,
    cx: &Cx,
    request: &Request,
    criteria: &FilterCriteria,
    root: &Arc<Node>,
) -> Result<Shaped, Error> {
    let default = ResultContent::DiscoveryResultReferences;
    let references = result_content(request, default, &RESULT_CONTENTS)? == ResultContent::ChildReferences;
    let unstructured = request.unstructured_addresses;
    let mut hits = Vec::new();
    let mut take = |node: Arc<Node>| {
        let address = content::address_of(&node, unstructured);
        let bytes = address.len() + if references { node.name.len() + 64 } else { 16 };
        hits.push(Hit { name: node.name.clone(), ty: node.ty, path: node.path.clone(), address });
        bytes
    };
    let next_offset = find(view, cx, root, criteria, Access::DISCOVERY, &mut take).await?;
    if let Some(relative) = &criteria.apply_relative_path {
        hits = follow(view, cx, hits, relative, unstructured).await?;
    }
    let content = if references {
        let list = hits.into_iter().map(|hit| content::reference(hit.name, hit.ty, hit.address)).collect();
        Map::single("m2m:rrl", Map::single("rrf", Value::List(list)))
    } else {
        Map::single("m2m:uril", Value::text_list(hits.into_iter().map(|hit| hit.address)))
    };
    Ok(Shaped { content: Some(content), next_offset, lists: true })
}

/// What is at a path relative to each of the hits and may be discovered, each once (`arp`, TS-0004 §7.3.3.17.17).
async fn follow<Q: Source>(
    view: &mut View<'_, Q>,
    cx: &Cx,
    hits: Vec<Hit>,
    relative: &str,
    unstructured: bool,
) -> Result<Vec<Hit>, Error> {
    let base = view.base().await?;
    let mut hidden = Hidden::new(&base, Access::DISCOVERY);
    let mut known = FxHashSet::default();
    let mut found = Vec::new();
    for hit in hits {
        let Some(path) = joined(&hit.path, relative) else { continue };
        if !known.insert(path.clone()) {
            continue;
        }
        let Some((node, point)) = at(view, cx, &path).await? else { continue };
        if view.allows(&cx.requester, Access::DISCOVERY, &node, None).await? && !hidden.hides(view, &node).await? {
            let address = match (point, unstructured) {
                (None, _) => content::address_of(&node, unstructured),
                (Some(point), true) => smol_str::format_smolstr!("{}/{point}", node.parent_id),
                (Some(_), false) => path.into(),
            };
            let name = point.map_or_else(|| node.name.clone(), Text::new_static);
            found.push(Hit { name, ty: node.ty, path: node.path.clone(), address });
        }
    }
    Ok(found)
}

/// The resource at a path, and the name of the virtual resource that stands for it there.
async fn at<Q: Source>(
    view: &mut View<'_, Q>,
    cx: &Cx,
    path: &str,
) -> Result<Option<(Arc<Node>, Option<&'static str>)>, Error> {
    let (container, end, point) = match view.resolve(path).await {
        Ok(Resolved::Resource(node)) => return Ok(Some((node, None))),
        Ok(Resolved::Latest(container)) => (container, End::Newest, "la"),
        Ok(Resolved::Oldest(container)) => (container, End::Oldest, "ol"),
        // Other virtual resources are no resources that can be found.
        Ok(Resolved::FanOut(..) | Resolved::PollingChannelUri(_) | Resolved::Other(..)) | Err(Error::NotFound(_)) => {
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    match container::instance(view, &cx.requester, Access::DISCOVERY, &container, end).await {
        Ok((_permit, node)) => Ok(Some((node, Some(point)))),
        Err(Error::NoInstance(_) | Error::NoPrivilege { .. } | Error::OperationNotAllowed { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// A path and a relative one behind it, in which `..` is the parent; `None` above the root.
fn joined(path: &str, relative: &str) -> Option<String> {
    let mut segments: Vec<&str> = path.split('/').collect();
    for segment in relative.split('/') {
        match segment {
            "" | "." => {}
            ".." => drop(segments.pop()),
            name => segments.push(name),
        }
    }
    (!segments.is_empty()).then(|| segments.join("/"))
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
    let root = content::root_of(node);
    let own = || content::attributes_of(node, view.now);
    let mut attributes = match wanted {
        ResultContent::AttributesAndChildResources | ResultContent::AttributesAndChildReferences => own(),
        _ => Map::new(),
    };
    if with_resources {
        let mut nodes = Vec::new();
        let mut take = |node: Arc<Node>| {
            let bytes = node.resource.approximate_bytes();
            nodes.push(node);
            bytes
        };
        let next_offset = find(view, cx, node, &criteria, Access::RETRIEVE, &mut take).await?;
        let placed = with_ancestors(view, node, nodes).await?;
        let content = Map::single(root, content::nest(attributes, node.seq, &placed, view.now));
        return Ok(Shaped { content: Some(content), next_offset, lists: true });
    }
    let unstructured = request.unstructured_addresses;
    let mut references = Vec::new();
    let mut take = |node: Arc<Node>| {
        let address = content::address_of(&node, unstructured);
        let bytes = address.len() + node.name.len() + 64;
        references.push(content::reference(node.name.clone(), node.ty, address));
        bytes
    };
    let next_offset = find(view, cx, node, &criteria, Access::RETRIEVE, &mut take).await?;
    let content = match wanted {
        ResultContent::AttributesAndChildReferences => {
            attributes.push("ch", Value::List(references));
            Map::single(root, attributes)
        }
        _ => Map::single("m2m:rrl", Map::single("rrf", Value::List(references))),
    };
    Ok(Shaped { content: Some(content), next_offset, lists: true })
}

/// Adds, in few words, the ancestors that are not part of a result (because they do not satisfy the conditions, or
/// came with an earlier part), so that everything has its place.
async fn with_ancestors<Q: Source>(
    view: &mut View<'_, Q>,
    root: &Node,
    nodes: Vec<Arc<Node>>,
) -> Result<Vec<Placed>, Error> {
    let mut known: FxHashSet<Seq> = nodes.iter().map(|node| node.seq).collect();
    known.insert(root.seq);
    let mut missing = Vec::new();
    for node in &nodes {
        let mut next = node.parent;
        while let Some(seq) = next.filter(|seq| known.insert(*seq)) {
            let Some(ancestor) = view.node(seq).await? else { break };
            next = ancestor.parent;
            missing.push(Placed { node: ancestor, in_full: false });
        }
    }
    let mut placed: Vec<Placed> = nodes.into_iter().map(|node| Placed { node, in_full: true }).collect();
    if !missing.is_empty() {
        placed.append(&mut missing);
        // Parents are older than their children.
        placed.sort_unstable_by_key(|placed| placed.node.seq);
    }
    Ok(placed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relative_paths_are_joined() {
        for (path, relative, joined_path) in [
            ("cse/a/b", "la", Some("cse/a/b/la")),
            ("cse/a/b", "../c/la", Some("cse/a/c/la")),
            ("cse/a/b", "./c/", Some("cse/a/b/c")),
            ("cse/a/b", "/c", Some("cse/a/b/c")),
            ("cse/a", "..", Some("cse")),
            ("cse/a", "../..", None),
            ("cse/a", "../../../x", Some("x")),
        ] {
            assert_eq!(joined(path, relative).as_deref(), joined_path, "{path} {relative}");
        }
    }
}
