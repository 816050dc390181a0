//! What an answer contains (`pc`): resources as trees, addresses and lists of them (TS-0004 §7.5.2).

use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::id::Seq;
use crate::node::Node;
use crate::resource::{Resource, is_internal};
use crate::schema::{Ty, TypeDef, by_root, keys, type_def};
use crate::time::Timestamp;
use crate::value::{Map, Name, Text, Value};

/// The root element of a resource.
pub(crate) fn root_of(resource: &Resource) -> &'static str {
    type_def(resource.ty).map_or("", |def| def.root)
}

/// All attributes of a resource.
pub(crate) fn attributes_of(resource: &Resource, now: Timestamp) -> Map {
    let mut map = Map::with_capacity(resource.attributes.len() + 10);
    map.push(Name::new_static(keys::RESOURCE_NAME), resource.name.clone());
    map.push(Name::new_static(keys::RESOURCE_TYPE), resource.ty.0);
    map.push(Name::new_static(keys::RESOURCE_ID), resource.id.clone());
    map.push(Name::new_static(keys::PARENT_ID), resource.parent_id.clone());
    map.push(Name::new_static(keys::CREATION_TIME), resource.creation_time);
    map.push(Name::new_static(keys::LAST_MODIFIED_TIME), resource.last_modified_time);
    if let Some(time) = resource.expiration_time {
        map.push(Name::new_static(keys::EXPIRATION_TIME), time);
    }
    if let Some(tag) = resource.state_tag {
        map.push(Name::new_static(keys::STATE_TAG), tag);
    }
    if let Some(size) = resource.content_size {
        map.push(Name::new_static(keys::CONTENT_SIZE), size);
    }
    for (name, value) in resource.attributes.iter().filter(|(name, _)| !is_internal(name)) {
        map.push(name.clone(), value.clone());
    }
    if resource.ty == Ty::CSE_BASE {
        map.push(Name::new_static(keys::CURRENT_TIME), now);
    }
    map
}

/// A resource with all attributes under its root element.
pub(crate) fn representation(resource: &Resource, now: Timestamp) -> Map {
    Map::single(Name::new_static(root_of(resource)), attributes_of(resource, now))
}

/// One attribute of a resource, wherever it is kept.
pub(crate) fn attribute(resource: &Resource, key: &str) -> Option<Value> {
    match key {
        keys::RESOURCE_NAME => Some(resource.name.clone().into()),
        keys::RESOURCE_TYPE => Some(resource.ty.0.into()),
        keys::RESOURCE_ID => Some(resource.id.clone().into()),
        keys::PARENT_ID => Some(resource.parent_id.clone().into()),
        keys::CREATION_TIME => Some(resource.creation_time.into()),
        keys::LAST_MODIFIED_TIME => Some(resource.last_modified_time.into()),
        keys::EXPIRATION_TIME => resource.expiration_time.map(Value::from),
        keys::STATE_TAG => resource.state_tag.map(Value::from),
        keys::CONTENT_SIZE => resource.content_size.map(Value::from),
        other => resource.attributes.get(other).filter(|_| !is_internal(other)).cloned(),
    }
}

/// The address of a resource in the form that `drt` asks for.
pub(crate) fn address_of(node: &Node, unstructured: bool) -> Text {
    if unstructured { node.id.clone() } else { node.path.clone() }
}

/// A reference to a resource, as in child references and discovery results with `rcn` 6.
pub(crate) fn reference(name: Text, ty: Ty, address: Text) -> Value {
    let mut map = Map::with_capacity(3);
    map.push("nm", name);
    map.push("typ", ty.0);
    map.push("val", address);
    Value::Map(map)
}

/// A resource with its place in a nested content.
pub(crate) struct Placed {
    pub(crate) node: Arc<Node>,
    /// With all attributes; else it only says which it is, for what is below it.
    pub(crate) in_full: bool,
}

impl Placed {
    fn attributes(&self, now: Timestamp) -> Map {
        if self.in_full {
            return attributes_of(&self.node, now);
        }
        let mut map = Map::with_capacity(4);
        map.push(Name::new_static(keys::RESOURCE_NAME), self.node.name.clone());
        map.push(Name::new_static(keys::RESOURCE_TYPE), self.node.ty.0);
        map.push(Name::new_static(keys::RESOURCE_ID), self.node.id.clone());
        map.push(Name::new_static(keys::PARENT_ID), self.node.parent_id.clone());
        map
    }
}

/// Puts resources below their parents: each under its root element, in lists.
///
/// Parents come before their children; resources whose parent is not among them are left out. `root` is the number of the
/// resource whose children the outermost ones are.
pub(crate) fn nest(mut map: Map, root: Seq, nodes: &[Placed], now: Timestamp) -> Map {
    // From the last to the first, so that each is complete before it goes into its parent.
    let mut trees: Vec<Option<Map>> = nodes.iter().map(|placed| Some(placed.attributes(now))).collect();
    let index: FxHashMap<Seq, usize> =
        nodes.iter().enumerate().map(|(index, placed)| (placed.node.seq, index)).collect();
    let mut outermost = Vec::new();
    for (at, Placed { node, .. }) in nodes.iter().enumerate().rev() {
        if node.parent == Some(root) {
            outermost.push(at);
            continue;
        }
        let Some(parent) = node.parent.and_then(|parent| index.get(&parent)).filter(|parent| **parent < at) else {
            continue;
        };
        if let Some(tree) = trees[at].take()
            && let Some(parent) = trees[*parent].as_mut()
        {
            put_child(parent, root_of(node), tree);
        }
    }
    for at in outermost {
        if let Some(tree) = trees[at].take() {
            put_child(&mut map, root_of(&nodes[at].node), tree);
        }
    }
    reverse_children(&mut map);
    map
}

fn put_child(parent: &mut Map, root: &'static str, child: Map) {
    match parent.get_mut(root) {
        Some(Value::List(list)) => list.push(Value::Map(child)),
        _ => drop(parent.insert(Name::new_static(root), Value::List(vec![Value::Map(child)]))),
    }
}

/// Children were added last first.
fn reverse_children(map: &mut Map) {
    let roots: Vec<Name> = map.iter().filter(|(name, _)| name.contains(':')).map(|(name, _)| name.clone()).collect();
    for root in roots {
        if let Some(Value::List(list)) = map.get_mut(&root) {
            list.reverse();
            for child in list {
                if let Value::Map(child) = child {
                    reverse_children(child);
                }
            }
        }
    }
}

/// The single resource in the content of a CREATE or UPDATE: its definition and its attributes.
///
/// # Errors
/// [`crate::error::Error::InvalidContent`] when the content is not one resource of that type.
pub(crate) fn typed(content: &Map, ty: Ty) -> Result<(&'static TypeDef, &Map), crate::error::Error> {
    use crate::error::Error;
    let expected = type_def(ty).map_or("", |def| def.root);
    let Some((root, value)) = content.only() else {
        return Err(Error::InvalidContent(format!("it must have exactly one member, '{expected}'")));
    };
    let def = by_root(root).filter(|def| def.ty == ty);
    let Some(def) = def else {
        return Err(Error::InvalidContent(format!("'{root}' does not go with resource type {ty}; '{expected}' does")));
    };
    match value {
        Value::Map(attributes) => Ok((def, attributes)),
        other => Err(Error::InvalidContent(format!("'{root}' must be an object, not {}", other.kind_name()))),
    }
}
