//! `<subscription>` (TS-0004 §7.4.8): what it asks for, compiled once; the checks of CREATE and UPDATE.

use std::sync::Arc;
use std::time::Duration;

use crate::access::authorize::Requester;
use crate::access::policy::Access;
use crate::error::Error;
use crate::filter::EventFilter;
use crate::id::{CseIdentity, Originator};
use crate::node::Node;
use crate::op::{Draft, Question, Refusal};
use crate::resource::Resource;
use crate::schema::{Ty, keys, type_def};
use crate::time::parse_duration;
use crate::value::{Map, Text, Value};
use crate::view::{SUBSCRIPTIONS_MAX, Source, View};

/// What can be notified (`m2m:notificationEventType`).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub(crate) enum EventType {
    /// 1
    UpdateOfResource = 1,
    /// 2
    DeleteOfResource = 2,
    /// 3
    CreateOfDirectChild = 3,
    /// 4
    DeleteOfDirectChild = 4,
    /// 5
    RetrieveOfContainerWithoutInstance = 5,
    /// 6
    TriggerReceived = 6,
    /// 7
    BlockingUpdate = 7,
    /// 8
    MissingData = 8,
}

impl EventType {
    fn from_code(code: i64) -> Option<Self> {
        Some(match code {
            1 => Self::UpdateOfResource,
            2 => Self::DeleteOfResource,
            3 => Self::CreateOfDirectChild,
            4 => Self::DeleteOfDirectChild,
            5 => Self::RetrieveOfContainerWithoutInstance,
            6 => Self::TriggerReceived,
            7 => Self::BlockingUpdate,
            8 => Self::MissingData,
            _ => return None,
        })
    }

    pub(crate) fn code(self) -> u8 {
        self as u8
    }

    /// The content types that may be asked for, the default first.
    fn content_types(self) -> &'static [ContentType] {
        use ContentType::{AllAttributes, ModifiedAttributes, ResourceId, TimeSeries, TriggerPayload};
        match self {
            Self::UpdateOfResource => &[AllAttributes, ModifiedAttributes, ResourceId],
            Self::DeleteOfResource
            | Self::CreateOfDirectChild
            | Self::DeleteOfDirectChild
            | Self::RetrieveOfContainerWithoutInstance => &[AllAttributes, ResourceId],
            Self::TriggerReceived => &[TriggerPayload],
            Self::BlockingUpdate => &[ModifiedAttributes],
            Self::MissingData => &[TimeSeries],
        }
    }
}

/// What a notification contains (`m2m:notificationContentType`).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub(crate) enum ContentType {
    AllAttributes = 1,
    ModifiedAttributes = 2,
    ResourceId = 3,
    TriggerPayload = 4,
    TimeSeries = 5,
}

impl ContentType {
    fn from_code(code: i64) -> Option<Self> {
        Some(match code {
            1 => Self::AllAttributes,
            2 => Self::ModifiedAttributes,
            3 => Self::ResourceId,
            4 => Self::TriggerPayload,
            5 => Self::TimeSeries,
            _ => return None,
        })
    }
}

/// Attempts to access that are notified (`om` of `enc`).
#[derive(Clone, Debug)]
pub(crate) struct OperationMonitor {
    /// Access bits; 0 stands for all.
    operations: u8,
    /// Canonical originators; empty stands for all.
    originators: Vec<Originator>,
}

/// When held notifications go out (`bn`).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Batch {
    pub(crate) number: Option<u64>,
    pub(crate) duration: Option<Duration>,
}

/// How many notifications go out in a time (`rl`).
#[derive(Clone, Copy, Debug)]
pub(crate) struct RateLimit {
    pub(crate) number: u64,
    pub(crate) window: Duration,
}

/// A subscription, ready to be matched.
#[derive(Debug)]
pub(crate) struct Subscription {
    events: u16,
    /// `None` when it cannot be understood: then nothing matches.
    filter: Option<EventFilter>,
    attributes: Vec<Text>,
    child_types: Vec<Ty>,
    monitors: Vec<OperationMonitor>,
    pub(crate) content_type: ContentType,
    pub(crate) targets: Vec<Text>,
    pub(crate) batch: Option<Batch>,
    pub(crate) rate_limit: Option<RateLimit>,
    pub(crate) expiration_counter: Option<u64>,
    pub(crate) event_category: Option<u32>,
    pub(crate) latest_only: bool,
    pub(crate) subscriber: Option<Text>,
    pub(crate) forwarding: Option<Text>,
    pub(crate) storage_priority: u64,
    pub(crate) statistics: bool,
}

impl Subscription {
    /// Compiles the attributes, which have been checked when they were written.
    pub(crate) fn compile(resource: &Resource, identity: &CseIdentity) -> Self {
        let attributes = &resource.attributes;
        let empty = Map::new();
        let criteria = attributes.get(keys::EVENT_NOTIFICATION_CRITERIA).and_then(Value::as_map).unwrap_or(&empty);
        let monitors = monitors(criteria, identity);
        let mut events = 0;
        for event in event_types(criteria) {
            events |= 1 << event.code();
        }
        if events == 0 && monitors.is_empty() {
            events = 1 << EventType::UpdateOfResource.code();
        }
        let duration = |map: &Map, key| map.get(key).and_then(duration_of);
        let batch = attributes.get(keys::BATCH_NOTIFY).and_then(Value::as_map).map(|batch| Batch {
            number: batch.unsigned(keys::NUMBER).filter(|number| *number > 0),
            duration: duration(batch, keys::DURATION),
        });
        let rate_limit = attributes.get(keys::RATE_LIMIT).and_then(Value::as_map).and_then(|limit| {
            Some(RateLimit {
                number: limit.unsigned(keys::MAX_NR_OF_NOTIFY)?,
                window: duration(limit, keys::TIME_WINDOW)?,
            })
        });
        Self {
            events,
            filter: EventFilter::compile(criteria).ok(),
            attributes: criteria.texts(keys::ATTRIBUTE).map(Text::from).collect(),
            child_types: types(criteria, keys::CHILD_RESOURCE_TYPE),
            monitors,
            content_type: attributes
                .int(keys::NOTIFICATION_CONTENT_TYPE)
                .and_then(ContentType::from_code)
                .unwrap_or(ContentType::AllAttributes),
            targets: attributes.texts(keys::NOTIFICATION_URI).map(Text::from).collect(),
            batch,
            rate_limit,
            expiration_counter: attributes.unsigned(keys::EXPIRATION_COUNTER),
            event_category: attributes
                .unsigned(keys::NOTIFICATION_EVENT_CAT)
                .and_then(|category| u32::try_from(category).ok()),
            latest_only: attributes.bool(keys::LATEST_NOTIFY) == Some(true)
                || attributes.int(keys::PENDING_NOTIFICATION) == Some(1),
            subscriber: attributes.text(keys::SUBSCRIBER_URI).map(Text::from),
            forwarding: attributes.text(keys::NOTIFICATION_FORWARDING_URI).map(Text::from),
            storage_priority: attributes.unsigned(keys::NOTIFICATION_STORAGE_PRIORITY).unwrap_or(0),
            statistics: attributes.bool(keys::NOTIFICATION_STATS_ENABLE) == Some(true),
        }
    }

    /// Whether it asks for events of that type at all.
    pub(crate) fn wants(&self, event: EventType) -> bool {
        self.events & (1 << event.code()) != 0
    }

    /// Whether an event concerns it: `subject` is the resource that the event is about, `modified` the attributes
    /// that an update names.
    pub(crate) fn matches(&self, event: EventType, subject: &Resource, modified: Option<&Map>) -> bool {
        if !self.wants(event) {
            return false;
        }
        if matches!(event, EventType::CreateOfDirectChild | EventType::DeleteOfDirectChild)
            && !(self.child_types.is_empty() || self.child_types.contains(&subject.ty))
        {
            return false;
        }
        if let Some(modified) = modified
            && !self.attributes.is_empty()
            && !self.attributes.iter().any(|name| modified.contains(name))
        {
            return false;
        }
        self.filter.as_ref().is_some_and(|filter| filter.matches(subject))
    }

    /// Whether it asks to be told of such an access attempt.
    pub(crate) fn monitors(&self, originator: &Originator, access: Access) -> bool {
        self.monitors.iter().any(|monitor| {
            (monitor.operations == 0 || monitor.operations & access.bit() != 0)
                && (monitor.originators.is_empty() || monitor.originators.contains(originator))
        })
    }

    /// Whether it monitors access attempts at all.
    pub(crate) fn has_monitors(&self) -> bool {
        !self.monitors.is_empty()
    }
}

fn duration_of(value: &Value) -> Option<Duration> {
    match value {
        Value::Text(text) => parse_duration(text),
        other => other.as_unsigned().map(Duration::from_secs),
    }
}

fn event_types(criteria: &Map) -> impl Iterator<Item = EventType> {
    let codes = criteria.get(keys::NOTIFICATION_EVENT_TYPE).and_then(Value::as_list).unwrap_or_default();
    codes.iter().filter_map(Value::as_int).filter_map(EventType::from_code)
}

fn types(criteria: &Map, key: &str) -> Vec<Ty> {
    let codes = criteria.get(key).and_then(Value::as_list).unwrap_or_default();
    codes.iter().filter_map(Value::as_int).filter_map(|code| u16::try_from(code).ok().map(Ty)).collect()
}

fn monitors(criteria: &Map, identity: &CseIdentity) -> Vec<OperationMonitor> {
    let list = match criteria.get(keys::OPERATION_MONITOR) {
        Some(Value::List(list)) => list.as_slice(),
        Some(single) => std::slice::from_ref(single),
        None => &[],
    };
    list.iter()
        .filter_map(Value::as_map)
        .map(|monitor| OperationMonitor {
            operations: monitor.unsigned(keys::OPERATIONS).and_then(|bits| u8::try_from(bits).ok()).unwrap_or(0),
            originators: match monitor.get("or") {
                Some(Value::Text(one)) => vec![identity.canonical_originator(one)],
                Some(list) => list.texts().map(|text| identity.canonical_originator(text)).collect(),
                None => Vec::new(),
            },
        })
        .collect()
}

/// The checks of CREATE beyond the table, in the order of TS-0004 §7.4.8.2.1.
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
    check_criteria(parent, &draft.attributes, &siblings, None)?;
    set_content_type(&mut draft.attributes)?;
    if draft.attributes.unsigned(keys::EXPIRATION_COUNTER) == Some(0) {
        return Err(Error::attribute(keys::EXPIRATION_COUNTER, "must be positive").into());
    }
    check_statistics(&mut draft.attributes, None);
    let targets: Vec<Text> = draft.attributes.texts(keys::NOTIFICATION_URI).map(Text::from).collect();
    if targets.is_empty() {
        return Err(Error::attribute(keys::NOTIFICATION_URI, "must name at least one target").into());
    }
    verify(view, requester, draft.id.clone(), targets, &draft.verified).await
}

/// The checks of UPDATE beyond the table.
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
    if patch.contains(keys::EVENT_NOTIFICATION_CRITERIA) || patch.contains(keys::NOTIFICATION_CONTENT_TYPE) {
        let siblings = view.subscriptions(&parent).await?;
        check_criteria(&parent, attributes, &siblings, Some(node))?;
        if !patch.contains(keys::NOTIFICATION_CONTENT_TYPE) {
            let fits = attributes.int(keys::NOTIFICATION_CONTENT_TYPE).and_then(ContentType::from_code);
            let allowed = allowed_content_types(attributes);
            if fits.is_none_or(|fits| !allowed.contains(&fits)) {
                attributes.remove(keys::NOTIFICATION_CONTENT_TYPE);
            }
        }
        set_content_type(attributes)?;
    }
    check_statistics(attributes, Some((&node.attributes, patch)));
    let known: Vec<&str> = node.attributes.texts(keys::NOTIFICATION_URI).collect();
    let new: Vec<Text> =
        attributes.texts(keys::NOTIFICATION_URI).filter(|target| !known.contains(target)).map(Text::from).collect();
    if attributes.texts(keys::NOTIFICATION_URI).next().is_none() {
        return Err(Error::attribute(keys::NOTIFICATION_URI, "must name at least one target").into());
    }
    verify(view, requester, node.id.clone(), new, verified).await
}

/// Has the targets confirm that are not the originator itself (TS-0004 §7.5.1.2.4).
async fn verify<Q: Source>(
    view: &mut View<'_, Q>,
    requester: &Requester,
    id: Text,
    mut targets: Vec<Text>,
    verified: &[Text],
) -> Result<(), Refusal> {
    let identity = view.identity();
    targets
        .retain(|target| !verified.contains(target) && identity.canonical_originator(target) != requester.originator);
    let mut unverified = Vec::new();
    for target in targets {
        // The originator's own registration may be named by its address, too.
        let is_originator = !target.contains("://")
            && view.local_resource(&target).await?.is_some_and(|node| node.id == requester.originator.as_str());
        if !is_originator && !unverified.contains(&target) {
            unverified.push(target);
        }
    }
    if unverified.is_empty() {
        return Ok(());
    }
    Err(Refusal::Ask(Question::Verify {
        subscription: identity.sp_relative(&id).into(),
        creator: requester.originator.clone(),
        targets: unverified,
    }))
}

fn check_criteria(parent: &Node, attributes: &Map, siblings: &[Arc<Node>], itself: Option<&Node>) -> Result<(), Error> {
    let empty = Map::new();
    let criteria = attributes.get(keys::EVENT_NOTIFICATION_CRITERIA).and_then(Value::as_map).unwrap_or(&empty);
    let problem = |member: &str, text: &str| Err(Error::attribute(format!("enc/{member}"), text));
    let events: Vec<EventType> = event_types(criteria).collect();
    let has = |event| events.contains(&event);
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
    EventFilter::compile(criteria)?;
    if has(EventType::BlockingUpdate) {
        check_blocking(attributes, criteria, &events)?;
        let other = |sibling: &&Arc<Node>| itself.is_none_or(|itself| itself.seq != sibling.seq);
        let is_blocking =
            |sibling: &Arc<Node>| sibling.subscription().is_some_and(|sub| sub.wants(EventType::BlockingUpdate));
        if siblings.iter().filter(other).any(is_blocking) {
            return Err(Error::BlockingSubscriptionExists);
        }
    }
    if let Some(batch) = attributes.get(keys::BATCH_NOTIFY).and_then(Value::as_map)
        && batch.is_empty()
    {
        return Err(Error::attribute(keys::BATCH_NOTIFY, "needs num or dur"));
    }
    Ok(())
}

/// A blocking update has one target, no other events and no conditions but attributes.
fn check_blocking(attributes: &Map, criteria: &Map, events: &[EventType]) -> Result<(), Error> {
    const ALLOWED: [&str; 14] = [
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
        keys::RESOURCE_TYPE,
        keys::RESOURCE_ID,
        keys::PARENT_ID,
        keys::CREATION_TIME,
    ];
    if events.len() != 1 {
        return Err(Error::attribute("enc/net", "type 7 (blocking update) cannot be combined with others"));
    }
    if attributes.texts(keys::NOTIFICATION_URI).count() != 1 {
        return Err(Error::attribute(keys::NOTIFICATION_URI, "must name exactly one target for a blocking update"));
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

/// What `nct` may be: what all event types have in common.
fn allowed_content_types(attributes: &Map) -> Vec<ContentType> {
    let empty = Map::new();
    let criteria = attributes.get(keys::EVENT_NOTIFICATION_CRITERIA).and_then(Value::as_map).unwrap_or(&empty);
    let mut events: Vec<EventType> = event_types(criteria).collect();
    if events.is_empty() {
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

/// Keeps the statistics entries (`nsi`) in step with `nse` and `nu`.
fn check_statistics(attributes: &mut Map, change: Option<(&Map, &Map)>) {
    if attributes.bool(keys::NOTIFICATION_STATS_ENABLE) != Some(true) {
        return;
    }
    let restarts = change.is_none_or(|(_, patch)| patch.bool(keys::NOTIFICATION_STATS_ENABLE) == Some(true));
    let targets: Vec<Text> = attributes.texts(keys::NOTIFICATION_URI).map(Text::from).collect();
    let before = change.and_then(|(before, _)| before.get(keys::NOTIFICATION_STATS_INFO)).cloned();
    let entry = |target: Text| {
        let kept = before.as_ref().and_then(Value::as_list).unwrap_or_default().iter();
        let kept = kept
            .filter(|_| !restarts)
            .find(|entry| entry.as_map().and_then(|entry| entry.text(keys::TARGET)) == Some(target.as_str()));
        kept.cloned().unwrap_or_else(|| {
            let mut entry = Map::single(keys::TARGET, target.clone());
            entry.push(keys::REQUESTS_SENT, 0_i64);
            entry.push(keys::RESPONSES_RECEIVED, 0_i64);
            entry.push(keys::NOTIFICATION_EVENT_COUNT, 0_i64);
            Value::Map(entry)
        })
    };
    let info: Vec<Value> = targets.into_iter().map(entry).collect();
    attributes.insert(keys::NOTIFICATION_STATS_INFO, Value::List(info));
}

/// Adds to one target's counters of the statistics.
pub(crate) fn count(attributes: &mut Map, target: &str, counter: &'static str, by: i64) {
    let Some(Value::List(entries)) = attributes.get_mut(keys::NOTIFICATION_STATS_INFO) else {
        return;
    };
    for entry in entries {
        if let Value::Map(entry) = entry
            && entry.text(keys::TARGET) == Some(target)
        {
            let before = entry.int(counter).unwrap_or(0);
            entry.insert(counter, before + by);
        }
    }
}
