//! UPDATE (TS-0004 §7.2.2.2, §7.3.3).

use std::sync::Arc;

use super::create::{announce_to, take_expiration};
use super::s_record::{self, Claim};
use super::{Answers, Cx, Decided, Question, Refusal, answer, expiration_time, resource_at, result_content};
use super::{discover, write_back};
use crate::access::policy::Access;
use crate::announce;
use crate::behaviour::{self, announced, subscription::EventType};
use crate::content;
use crate::error::{Error, Rsc};
use crate::id::Seq;
use crate::node::Node;
use crate::notify::{Happening, notification};
use crate::overlay::Effects;
use crate::ports::{Clause, Search};
use crate::primitive::{Operation, Request, ResultContent};
use crate::resource::Resource;
use crate::schema::{self, Presence, Ty, TypeDef, keys, type_def};
use crate::time::Timestamp;
use crate::value::{Map, Value};
use crate::view::{Source, View};

pub(super) const RESULT_CONTENTS: [ResultContent; 3] =
    [ResultContent::Nothing, ResultContent::Attributes, ResultContent::ModifiedAttributes];

/// Decides an UPDATE.
pub(crate) async fn decide<Q: Source>(
    view: &mut View<'_, Q>,
    cx: &Cx,
    request: &Request,
    answers: &mut Answers,
) -> Result<Decided, Refusal> {
    let wanted = result_content(request, ResultContent::Attributes, &RESULT_CONTENTS)?;
    let node = resource_at(view, cx, Operation::Update).await?;
    if let Some(claim) = Claim::of(&cx.requester.originator, view.identity()).filter(|claim| claim.is_about(&node)) {
        return s_record::update(view, request, &node, &claim).await;
    }
    if node.ty.is_announced() && !announced::is_of(&node, &cx.requester) {
        return write_back::decide(view, cx, request, &node, answers).await;
    }
    let content = request.content.as_ref().ok_or(Error::MissingParameter("pc"))?;
    let sent = content.only().and_then(|(_, value)| value.as_map());
    let from_copy = sent.and_then(|sent| write_back::permit(&node, &cx.requester.originator, sent));
    let permit = if let Some(permit) = from_copy {
        permit
    } else if sent.is_some_and(|sent| sent.contains(keys::ACCESS_CONTROL_POLICY_IDS)) {
        let permit = view.authorize_policy_change(&cx.requester, &node).await?;
        // A copy's policies come with the rest of its original.
        if sent.is_some_and(|sent| sent.len() > 1) && !node.ty.is_announced() {
            let problem = "(accessControlPolicyIDs) must be the only attribute of an UPDATE";
            return Err(Error::attribute(keys::ACCESS_CONTROL_POLICY_IDS, problem).into());
        }
        permit
    } else {
        view.authorize(&cx.requester, Access::UPDATE, &node).await?
    };
    check_updatable(&node)?;
    discover::check_condition(view, request, &node).await?;
    let (def, sent) = content::typed(content, node.ty)?;
    let mut patch = schema::check_update(def, sent)?;
    let expiration = new_expiration(view, &node, &mut patch).await?;
    if patch.get(keys::ANNOUNCE_TO).is_some_and(|targets| !targets.is_null())
        && let Some(parent) = view.parent(&node).await?
    {
        announce_to(&mut patch, &parent, node.ty, &announce::state::of(&node), view.identity())?;
        if !patch.contains(keys::ANNOUNCE_TO) {
            patch.insert(keys::ANNOUNCE_TO, Value::Null);
        }
    }

    let mut attributes = node.attributes.clone();
    for (name, value) in patch.iter() {
        if value.is_null() {
            attributes.remove(name);
        } else {
            attributes.insert(name.clone(), value.clone());
        }
    }
    let mut effects = Effects::new(permit);
    behaviour::before_update(view, &cx.requester, &node, &mut attributes, &patch, answers, &mut effects).await?;
    ask_blocking_subscription(view, &node, sent, answers).await?;

    let mut changed = Resource::clone(&node.resource);
    changed.attributes = attributes;
    changed.last_modified_time = view.now;
    changed.state_tag = changed.state_tag.map(|tag| tag + 1);
    if let Some(time) = expiration {
        changed.expiration_time = Some(time);
    }
    let updated = Arc::new(node.changed(changed, view.identity()));
    effects.update(Arc::clone(&updated));
    if patch.contains(keys::ACCESS_CONTROL_POLICY_IDS) {
        effects.policies_changed.push(node.seq);
    }
    let modified = modified_attributes(&updated, sent);
    let happening = Happening { event: EventType::UpdateOfResource, subject: &updated, modified: Some(&modified) };
    view.notify(&updated, &happening, &mut effects).await?;

    let content = match wanted {
        ResultContent::Nothing => None,
        ResultContent::ModifiedAttributes => differences(&node, &updated, sent, view.now),
        _ => Some(content::representation(&updated, view.now)),
    };
    Ok(Decided { effects, response: answer(request, Rsc::Updated, content) })
}

/// Types of which no attribute can be updated cannot be updated at all.
fn check_updatable(node: &Node) -> Result<(), Error> {
    let def: Option<&TypeDef> = type_def(node.ty);
    let is_updatable = !matches!(node.ty, Ty::CSE_BASE | Ty::CONTENT_INSTANCE | Ty::REQUEST)
        && def.is_some_and(|def| def.attributes.iter().any(|attr| attr.update != Presence::NotPermitted));
    if is_updatable {
        return Ok(());
    }
    let target = format!("resource type {}", def.map_or("unknown", |def| def.name));
    Err(Error::OperationNotAllowed { operation: "UPDATE", target })
}

/// The new expiration time, if the update names one: never before that of a child.
async fn new_expiration<Q: Source>(
    view: &mut View<'_, Q>,
    node: &Node,
    patch: &mut Map,
) -> Result<Option<Timestamp>, Error> {
    if !patch.contains(keys::EXPIRATION_TIME) {
        return Ok(None);
    }
    let wanted = match patch.get(keys::EXPIRATION_TIME) {
        Some(Value::Null) => {
            patch.remove(keys::EXPIRATION_TIME);
            None
        }
        _ => take_expiration(patch, view.now)?,
    };
    let parent = view.parent(node).await?.and_then(|parent| parent.expiration_time);
    let time = expiration_time(wanted, parent, view.now, view.settings);
    if node.expiration_time.is_some_and(|before| time < before) {
        let later = Search {
            root: node.seq,
            levels: Some(1),
            clauses: vec![Clause::Expires(Some(Timestamp::from_micros(time.micros() + 1)), None)],
            after: Seq::START,
            limit: 1,
        };
        let seqs = view.search(&later).await?;
        let children = view.nodes(&seqs).await?;
        if children.iter().any(|child| child.expiration_time.is_some_and(|child| child > time)) {
            let problem = "(expirationTime) must not be earlier than that of a child resource";
            return Err(Error::attribute(keys::EXPIRATION_TIME, problem));
        }
    }
    Ok(Some(time))
}

/// Lets the target of a blocking subscription agree first (TS-0004 §7.4.8, event type 7).
async fn ask_blocking_subscription<Q: Source>(
    view: &mut View<'_, Q>,
    node: &Arc<Node>,
    sent: &Map,
    answers: &Answers,
) -> Result<(), Refusal> {
    let subscriptions = view.subscriptions(node).await?;
    for blocking in subscriptions.iter() {
        let Some(subscription) = blocking.subscription() else {
            continue;
        };
        let is_asked = answers.agreed.contains(&blocking.seq) || blocking.is_expired(view.now);
        if is_asked || !subscription.matches(EventType::BlockingUpdate, node, Some(sent)) {
            continue;
        }
        let Some(target) = subscription.targets.first() else {
            continue;
        };
        let representation = Map::single(content::root_of(node), sent.clone());
        return Err(Refusal::Ask(Question::Block {
            subscription: blocking.seq,
            resource: node.seq,
            target: target.clone(),
            notification: notification(view.identity(), blocking, EventType::BlockingUpdate, representation),
        }));
    }
    Ok(())
}

/// The attributes that the update named, with their new values; deleted ones as null.
fn modified_attributes(updated: &Node, sent: &Map) -> Map {
    let value = |name: &str| content::attribute(updated, name).unwrap_or(Value::Null);
    sent.iter().map(|(name, _)| (name.clone(), value(name))).collect()
}

/// What the CSE made different from what was sent; `None` when nothing is.
fn differences(before: &Node, after: &Node, sent: &Map, now: Timestamp) -> Option<Map> {
    let old = content::attributes_of(before, now);
    let new = content::attributes_of(after, now);
    let mut changed: Map = new
        .iter()
        .filter(|(name, value)| match sent.get(name) {
            Some(sent) => sent != *value,
            None => old.get(name) != Some(*value),
        })
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    for (name, _) in old.iter() {
        if !new.contains(name) && sent.get(name).is_none_or(|value| !value.is_null()) {
            changed.insert(name.clone(), Value::Null);
        }
    }
    (!changed.is_empty()).then(|| Map::single(content::root_of(after), changed))
}
