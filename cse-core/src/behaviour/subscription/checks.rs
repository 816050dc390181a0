//! What CREATE and UPDATE of a `<subscription>` check beyond the table (TS-0004 §7.4.8.2).

use std::sync::Arc;

use super::statistics::keep_statistics;
use super::{BATCH_DURATION_DEFAULT, ContentType, EventType, TARGETS_MAX, event_types, types};
use crate::access::authorize::Requester;
use crate::behaviour::group;
use crate::error::Error;
use crate::filter::EventFilter;
use crate::node::Node;
use crate::op::{Draft, Question, Refusal};
use crate::schema::{Ty, keys, type_def};
use crate::value::{Map, Text, Value};
use crate::view::{SUBSCRIPTIONS_MAX, Source, View};

/// The checks of CREATE, those that need the network last.
pub(crate) async fn before_create<Q: Source>(
    view: &mut View<'_, Q>,
    requester: &Requester,
    parent: &Arc<Node>,
    draft: &mut Draft,
) -> Result<(), Refusal> {
    let siblings = view.subscriptions(parent).await?;
    if siblings.len() >= SUBSCRIPTIONS_MAX {
        return Err(Error::TooLarge(format!("a resource has at most {SUBSCRIPTIONS_MAX} subscriptions")).into());
    }
    let attributes = &mut draft.attributes;
    check_criteria(parent, attributes)?;
    if wants_blocking(attributes) {
        check_blocking(attributes)?;
        if siblings.iter().any(|sibling| sibling.subscription().is_some_and(|sub| sub.is_blocking())) {
            return Err(Error::BlockingSubscriptionExists.into());
        }
    }
    set_content_type(attributes)?;
    check_policies(attributes)?;
    check_targets(attributes)?;
    keep_statistics(attributes, None);
    let identity = view.identity();
    let is_originator = |target: &str| identity.canonical_originator(target) == requester.originator;
    if !attributes.texts(keys::NOTIFICATION_URI).all(is_originator) {
        attributes.insert(keys::CREATOR, &requester.originator);
    }
    let targets = targets_to_ask(view, parent, &draft.attributes).await?;
    verify(view, requester, &draft.id, targets, &draft.verified).await
}

/// The checks of UPDATE.
pub(crate) async fn before_update<Q: Source>(
    view: &mut View<'_, Q>,
    requester: &Requester,
    node: &Arc<Node>,
    attributes: &mut Map,
    patch: &Map,
    verified: &[Text],
) -> Result<(), Refusal> {
    let Some(parent) = view.parent(node).await? else {
        return Ok(());
    };
    if patch.get(keys::EVENT_NOTIFICATION_CRITERIA).is_some_and(|criteria| names_blocking(criteria.as_map())) {
        return Err(Error::attribute("enc/net", "cannot become 7 (blocking update) by an UPDATE").into());
    }
    if wants_blocking(attributes) {
        check_blocking(attributes)?;
    }
    if patch.contains(keys::EVENT_NOTIFICATION_CRITERIA) || patch.contains(keys::NOTIFICATION_CONTENT_TYPE) {
        check_criteria(&parent, attributes)?;
        if !patch.contains(keys::NOTIFICATION_CONTENT_TYPE) {
            // A content type that was right for the old event types follows the new ones.
            let current = attributes.int(keys::NOTIFICATION_CONTENT_TYPE).and_then(ContentType::from_code);
            if current.is_none_or(|current| !allowed_content_types(attributes).contains(&current)) {
                attributes.remove(keys::NOTIFICATION_CONTENT_TYPE);
            }
        }
        set_content_type(attributes)?;
    }
    check_policies(attributes)?;
    check_targets(attributes)?;
    keep_statistics(attributes, Some((&node.attributes, patch)));
    let known: Vec<&str> = node
        .attributes
        .texts(keys::NOTIFICATION_URI)
        .chain(node.attributes.text(keys::NOTIFICATION_FORWARDING_URI))
        .collect();
    let mut targets = targets_to_ask(view, &parent, attributes).await?;
    targets.retain(|target| !known.contains(&target.as_str()));
    verify(view, requester, &node.id, targets, verified).await
}

/// Who will get the notifications: the entries of `nu`, and behind a group that collects for its members the
/// target that it forwards to.
async fn targets_to_ask<Q: Source>(
    view: &mut View<'_, Q>,
    subscribed: &Arc<Node>,
    attributes: &Map,
) -> Result<Vec<Text>, Error> {
    let mut targets: Vec<Text> = Vec::new();
    for target in attributes.texts(keys::NOTIFICATION_URI) {
        let collector = view.collecting_group(target).await?;
        let target = match (&collector, attributes.text(keys::NOTIFICATION_FORWARDING_URI)) {
            (Some(group), Some(forwarding)) if group::has_member(view, group, subscribed).await? => forwarding,
            (Some(group), _) => {
                let problem = format!("group '{}' collects only for its members, and with nfu", group.path);
                return Err(Error::VerificationFailed { target: target.into(), problem });
            }
            (None, _) => target,
        };
        if targets.iter().all(|known| known != target) {
            targets.push(target.into());
        }
    }
    Ok(targets)
}

/// Has the targets confirm that are not the originator itself (TS-0004 §7.5.1.2.3).
pub(crate) async fn verify<Q: Source>(
    view: &mut View<'_, Q>,
    requester: &Requester,
    id: &str,
    targets: Vec<Text>,
    verified: &[Text],
) -> Result<(), Refusal> {
    let identity = view.identity();
    let mut unverified = Vec::new();
    for target in targets {
        if verified.contains(&target) || identity.canonical_originator(&target) == requester.originator {
            continue;
        }
        // The originator's own registration may be named by its address, too.
        let is_originator = !target.contains("://")
            && view.local_resource(&target).await?.is_some_and(|node| node.id == requester.originator.as_str());
        if !is_originator {
            unverified.push(target);
        }
    }
    if unverified.is_empty() {
        return Ok(());
    }
    Err(Refusal::Ask(Question::Verify {
        subscription: identity.sp_relative(id).into(),
        creator: requester.originator.clone(),
        targets: unverified,
    }))
}

fn criteria_of(attributes: &Map) -> Option<&Map> {
    attributes.get(keys::EVENT_NOTIFICATION_CRITERIA).and_then(Value::as_map)
}

fn names_blocking(criteria: Option<&Map>) -> bool {
    criteria.is_some_and(|criteria| event_types(criteria).any(|event| event == EventType::BlockingUpdate))
}

fn wants_blocking(attributes: &Map) -> bool {
    names_blocking(criteria_of(attributes))
}

fn check_criteria(parent: &Node, attributes: &Map) -> Result<(), Error> {
    let Some(criteria) = criteria_of(attributes) else {
        return Ok(());
    };
    let problem = |member: &str, text: &str| Err(Error::attribute(format!("enc/{member}"), text));
    let events: Vec<EventType> = event_types(criteria).collect();
    let has = |event| events.contains(&event);
    let codes = criteria.get(keys::NOTIFICATION_EVENT_TYPE).and_then(Value::as_list).unwrap_or_default();
    let unknown = codes.iter().filter_map(Value::as_int).find(|code| EventType::from_code(*code).is_none());
    if let Some(code) = unknown {
        return Err(Error::NotImplemented(format!("notification event type {code}")));
    }
    if criteria.contains(keys::NOTIFICATION_EVENT_TYPE) && criteria.contains(keys::OPERATION_MONITOR) {
        return problem("om", "cannot be combined with net");
    }
    if criteria.contains(keys::MISSING_DATA) || has(EventType::MissingData) {
        return problem("md", "and event type 8 need a <timeSeries> resource");
    }
    if has(EventType::TriggerReceived) {
        return Err(Error::NotImplemented("notification event type 6 (trigger received)".into()));
    }
    if has(EventType::RetrieveOfContainerWithoutInstance) && parent.ty != Ty::CONTAINER {
        return problem("net", "type 5 needs a <container> resource");
    }
    for ty in types(criteria, keys::CHILD_RESOURCE_TYPE) {
        if !type_def(parent.ty).is_some_and(|def| def.allows_child(ty)) {
            return problem("chty", &format!("names type {ty}, which cannot be a child of the subscribed resource"));
        }
    }
    EventFilter::compile(criteria).map(drop)
}

/// A blocking update has one target, an entity, no other events and no conditions but attributes.
fn check_blocking(attributes: &Map) -> Result<(), Error> {
    /// What a blocking subscription may have: besides `enc` and `nu` only what is not specific to subscriptions.
    const ALLOWED: [&str; 10] = [
        keys::EVENT_NOTIFICATION_CRITERIA,
        keys::NOTIFICATION_URI,
        keys::NOTIFICATION_CONTENT_TYPE,
        keys::CREATOR,
        keys::LABELS,
        keys::ACCESS_CONTROL_POLICY_IDS,
        keys::CUSTODIAN,
        keys::DYNAMIC_AUTHORIZATION_CONSULTATION_IDS,
        keys::RESOURCE_NAME,
        keys::EXPIRATION_TIME,
    ];
    let empty = Map::new();
    let criteria = criteria_of(attributes).unwrap_or(&empty);
    if event_types(criteria).count() != 1 {
        return Err(Error::attribute("enc/net", "type 7 (blocking update) cannot be combined with others"));
    }
    let mut targets = attributes.texts(keys::NOTIFICATION_URI);
    match (targets.next(), targets.next()) {
        (Some(target), None) if !target.contains("://") => {}
        (Some(_), None) => {
            let problem = "must be the resource identifier of an entity for a blocking update, not a URL";
            return Err(Error::attribute(keys::NOTIFICATION_URI, problem));
        }
        _ => {
            let problem = "must name exactly one target for a blocking update";
            return Err(Error::attribute(keys::NOTIFICATION_URI, problem));
        }
    }
    if let Some((name, _)) = attributes.iter().find(|(name, _)| !ALLOWED.contains(&name.as_str())) {
        return Err(Error::attribute(name.as_str(), "cannot be given with a blocking update"));
    }
    let foreign = |name: &str| name != keys::NOTIFICATION_EVENT_TYPE && name != keys::ATTRIBUTE;
    match criteria.iter().find(|(name, _)| foreign(name)) {
        Some((name, _)) => Err(Error::attribute(format!("enc/{name}"), "cannot be given with a blocking update")),
        None => Ok(()),
    }
}

/// The policies that the table cannot check; a batch without duration gets the default.
fn check_policies(attributes: &mut Map) -> Result<(), Error> {
    if let Some(Value::Map(batch)) = attributes.get_mut(keys::BATCH_NOTIFY) {
        if batch.is_empty() {
            return Err(Error::attribute(keys::BATCH_NOTIFY, "needs num or dur"));
        }
        if !batch.contains(keys::DURATION) {
            batch.insert(keys::DURATION, format!("PT{}S", BATCH_DURATION_DEFAULT.as_secs()));
        }
    }
    if let Some(limit) = attributes.get(keys::RATE_LIMIT).and_then(Value::as_map)
        && limit.unsigned(keys::MAX_NR_OF_NOTIFY) == Some(0)
    {
        return Err(Error::attribute("rl/mnn", "must be positive, or nothing would ever be notified"));
    }
    Ok(())
}

fn check_targets(attributes: &Map) -> Result<(), Error> {
    match attributes.texts(keys::NOTIFICATION_URI).count() {
        0 => Err(Error::attribute(keys::NOTIFICATION_URI, "must name at least one target")),
        1..=TARGETS_MAX => Ok(()),
        count => Err(Error::attribute(
            keys::NOTIFICATION_URI,
            format!("names {count} targets; a subscription has at most {TARGETS_MAX}"),
        )),
    }
}

/// What `nct` may be: what all event types have in common (TS-0001 table 9.6.8-4).
fn allowed_content_types(attributes: &Map) -> Vec<ContentType> {
    let empty = Map::new();
    let criteria = criteria_of(attributes).unwrap_or(&empty);
    let mut events: Vec<EventType> = event_types(criteria).collect();
    if events.is_empty() {
        if criteria.contains(keys::OPERATION_MONITOR) {
            return vec![ContentType::AllAttributes, ContentType::ResourceId];
        }
        events.push(EventType::UpdateOfResource);
    }
    let mut allowed = events[0].content_types().to_vec();
    for event in &events[1..] {
        allowed.retain(|content| event.content_types().contains(content));
    }
    allowed
}

fn set_content_type(attributes: &mut Map) -> Result<(), Error> {
    let allowed = allowed_content_types(attributes);
    let Some(default) = allowed.first() else {
        return Err(Error::attribute("enc/net", "combines event types that have no content type in common"));
    };
    match attributes.int(keys::NOTIFICATION_CONTENT_TYPE) {
        None => {
            attributes.insert(keys::NOTIFICATION_CONTENT_TYPE, *default as i64);
        }
        Some(code) => {
            if ContentType::from_code(code).is_none_or(|content| !allowed.contains(&content)) {
                let list: Vec<String> = allowed.iter().map(|content| (*content as u8).to_string()).collect();
                return Err(Error::attribute(
                    keys::NOTIFICATION_CONTENT_TYPE,
                    format!("must be {} for these event types, not {code}", list.join(" or ")),
                ));
            }
        }
    }
    Ok(())
}
