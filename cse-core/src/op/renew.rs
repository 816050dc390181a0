//! CREATE of an announced resource that is there already: its CSE did not learn that the first attempt succeeded, or
//! has forgotten it. The copy becomes what the request says, and there is still one of it.

use std::sync::Arc;

use super::create::{RESULT_CONTENTS, result, take_expiration};
use super::{Decided, Refusal, answer, expiration_time, result_content};
use crate::access::authorize::Permit;
use crate::behaviour::subscription::EventType;
use crate::error::Rsc;
use crate::node::Node;
use crate::notify::Happening;
use crate::overlay::Effects;
use crate::primitive::{Request, ResultContent};
use crate::resource::Resource;
use crate::schema::{self, TypeDef};
use crate::value::Map;
use crate::view::{Source, View};

/// Decides it; that the requester wrote the copy is known.
pub(super) async fn decide<Q: Source>(
    view: &mut View<'_, Q>,
    request: &Request,
    permit: Permit,
    def: &'static TypeDef,
    sent: &Map,
    copy: &Arc<Node>,
) -> Result<Decided, Refusal> {
    let wanted = result_content(request, ResultContent::Attributes, &RESULT_CONTENTS)?;
    let mut attributes = schema::check_create(def, sent)?;
    let expiration = take_expiration(&mut attributes, view.now)?;
    let parent = view.parent(copy).await?.and_then(|parent| parent.expiration_time);
    let mut changed = Resource::clone(&copy.resource);
    changed.attributes = attributes;
    changed.last_modified_time = view.now;
    changed.state_tag = changed.state_tag.map(|tag| tag + 1);
    changed.expiration_time = Some(expiration_time(expiration, parent, view.now, view.settings));
    let renewed = Arc::new(copy.changed(changed, view.identity()));
    let mut effects = Effects::new(permit);
    effects.update(Arc::clone(&renewed));
    let happening = Happening { event: EventType::UpdateOfResource, subject: &renewed, modified: Some(sent) };
    view.notify(&renewed, &happening, &mut effects).await?;
    let mut response = answer(request, Rsc::Created, result(view, wanted, &renewed, sent));
    response.created_at = Some(view.identity().sp_relative(&renewed.path).into());
    Ok(Decided { effects, response })
}
