//! RETRIEVE (TS-0004 §7.2.2.2, §7.3.3): a resource, some of its attributes, what is below it, discovery.

use std::sync::Arc;

use super::{Cx, answer, discover, result_content};
use crate::access::policy::Access;
use crate::address::Resolved;
use crate::behaviour::container::{self, End};
use crate::content;
use crate::error::{Error, Rsc};
use crate::node::Node;
use crate::primitive::{Request, Response, ResultContent};
use crate::schema::type_def;
use crate::value::{Map, Text, Value};
use crate::view::{Source, View};

const RESULT_CONTENTS: [ResultContent; 5] = [
    ResultContent::Attributes,
    ResultContent::AttributesAndChildResources,
    ResultContent::AttributesAndChildReferences,
    ResultContent::ChildReferences,
    ResultContent::ChildResources,
];

/// Answers a RETRIEVE; also returns the resource that was read.
pub(crate) async fn answer_to<Q: Source>(
    view: &mut View<'_, Q>,
    cx: &Cx,
    request: &Request,
) -> Result<(Response, Arc<Node>), Error> {
    let node = match view.resolve(&cx.target).await? {
        Resolved::Resource(node) => node,
        Resolved::Latest(parent) => of_container(view, cx, &parent, End::Newest).await?,
        Resolved::Oldest(parent) => of_container(view, cx, &parent, End::Oldest).await?,
        Resolved::FanOut(..) | Resolved::PollingChannelUri(_) => return Err(Error::Internal),
        Resolved::Other(point) => {
            return Err(Error::NotImplemented(format!("virtual resource '{}'", point.short_name())));
        }
    };
    if request.is_discovery() {
        let may_read = view.allows(&cx.requester, Access::DISCOVERY, &node, None).await?;
        if !may_read {
            let _permit = view.authorize(&cx.requester, Access::RETRIEVE, &node).await?;
        }
        if let Some(criteria) = request.filter_criteria.as_deref() {
            let shaped = discover::discover(view, cx, request, criteria, &node).await?;
            return Ok((respond(request, shaped), node));
        }
    }
    let _permit = view.authorize(&cx.requester, Access::RETRIEVE, &node).await?;
    container::check_retrievable(view, &node, "RETRIEVE").await?;
    if let Some(names) = attribute_list(cx, request)? {
        if request.result_content.is_some_and(|wanted| wanted != ResultContent::Attributes) {
            return Err(Error::parameter("rcn", "must be 1 or absent when attributes are listed"));
        }
        discover::check_condition(view, request, &node).await?;
        let content = partial(&node, &names, view)?;
        return Ok((answer(request, Rsc::Ok, Some(content)), node));
    }
    let wanted = result_content(request, ResultContent::Attributes, &RESULT_CONTENTS)?;
    if wanted == ResultContent::Attributes {
        discover::check_condition(view, request, &node).await?;
    }
    let shaped = discover::tree_content(view, cx, request, wanted, &node).await?;
    Ok((respond(request, shaped), node))
}

async fn of_container<Q: Source>(
    view: &mut View<'_, Q>,
    cx: &Cx,
    parent: &Arc<Node>,
    end: End,
) -> Result<Arc<Node>, Error> {
    let (_permit, node) = container::instance(view, &cx.requester, Access::RETRIEVE, parent, end).await?;
    Ok(node)
}

fn respond(request: &Request, shaped: discover::Shaped) -> Response {
    let mut response = answer(request, Rsc::Ok, shaped.content);
    if shaped.lists {
        response.content_complete = Some(shaped.next_offset.is_none());
        response.content_offset = shaped.next_offset;
    }
    response
}

/// The attributes that a partial retrieve names: behind `#`, or as `m2m:atrl`.
fn attribute_list(cx: &Cx, request: &Request) -> Result<Option<Vec<Text>>, Error> {
    if let Some(attribute) = &cx.attribute {
        return Ok(Some(vec![attribute.clone()]));
    }
    let Some(content) = &request.content else {
        return Ok(None);
    };
    let unusable = || Error::InvalidContent("a RETRIEVE can only contain 'm2m:atrl', a list of attribute names".into());
    match content.only() {
        Some((name, Value::List(list))) if name == "m2m:atrl" => {
            let names: Option<Vec<Text>> = list.iter().map(|item| item.as_text().map(Text::from)).collect();
            names.filter(|names| !names.is_empty()).map(Some).ok_or_else(unusable)
        }
        _ => Err(unusable()),
    }
}

fn partial<Q: Source>(node: &Node, names: &[Text], view: &View<'_, Q>) -> Result<Map, Error> {
    let def = type_def(node.ty).ok_or(Error::Internal)?;
    let all = content::attributes_of(node, view.now);
    let mut chosen = Map::with_capacity(names.len());
    for name in names {
        if def.attribute(name).is_none() {
            return Err(Error::UnknownAttribute { resource: def.name, attribute: name.to_string() });
        }
        if let Some(value) = all.get(name) {
            chosen.insert(name.clone(), value.clone());
        }
    }
    Ok(Map::single(content::root_of(node), chosen))
}
