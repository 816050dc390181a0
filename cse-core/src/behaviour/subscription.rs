//! `<subscription>` (TS-0004 §7.4.8): what it asks for, worked out once when its attributes are written.

mod checks;
mod statistics;

pub(crate) use checks::{before_create, before_update, verify};
pub(crate) use statistics::count;

use std::time::Duration;

use crate::access::policy::Access;
use crate::filter::EventFilter;
use crate::id::{CseIdentity, Originator};
use crate::resource::Resource;
use crate::schema::{Ty, keys};
use crate::time::parse_duration;
use crate::value::{Map, Text, Value};

/// Most notification targets of one subscription: each event costs one outbox entry per target.
const TARGETS_MAX: usize = 100;
/// `nec` of notifications that do not wait.
const IMMEDIATE: u32 = 2;
/// `dur` of a batch whose subscriber names none (TS-0004 §7.4.8.2.1 leaves it to the service provider).
pub(crate) const BATCH_DURATION_DEFAULT: Duration = Duration::from_secs(60);

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

/// When held notifications go out: `bn` of a subscription, `nar` of a group.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Batch {
    /// So many go out at once; 0 in the attribute stands for no such condition.
    pub(crate) number: Option<u64>,
    /// So long the first one waits at most.
    pub(crate) duration: Option<Duration>,
}

impl Batch {
    /// Reads an `m2m:batchNotify`.
    pub(crate) fn of(batch: &Map) -> Self {
        Self {
            number: batch.unsigned(keys::NUMBER).filter(|number| *number > 0),
            duration: batch.get(keys::DURATION).and_then(duration_of),
        }
    }
}

/// How many notifications go out in a time (`rl`).
#[derive(Clone, Copy, Debug)]
pub(crate) struct RateLimit {
    pub(crate) number: u64,
    pub(crate) window: Duration,
}

/// What becomes of events outside the schedule of a subscription (`pn`).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Pending {
    /// They are not told.
    Discard,
    /// The newest is told later; so it is after a time in which its target could not be reached.
    Latest,
    /// All are told later.
    All,
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
    pub(crate) event_category: Option<u32>,
    pub(crate) latest_only: bool,
    pub(crate) pending: Pending,
    /// Who is told when the subscription goes: `su` and `acrs`.
    pub(crate) deletion_targets: Vec<Text>,
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
        let batch = attributes.get(keys::BATCH_NOTIFY).and_then(Value::as_map).map(Batch::of);
        let rate_limit = attributes.get(keys::RATE_LIMIT).and_then(Value::as_map).and_then(|limit| {
            Some(RateLimit {
                number: limit.unsigned(keys::MAX_NR_OF_NOTIFY)?,
                window: limit.get(keys::TIME_WINDOW).and_then(duration_of)?,
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
            event_category: attributes
                .unsigned(keys::NOTIFICATION_EVENT_CAT)
                .and_then(|category| u32::try_from(category).ok()),
            latest_only: attributes.bool(keys::LATEST_NOTIFY) == Some(true),
            pending: match attributes.int(keys::PENDING_NOTIFICATION) {
                Some(1) => Pending::Latest,
                Some(2) => Pending::All,
                _ => Pending::Discard,
            },
            deletion_targets: attributes
                .text(keys::SUBSCRIBER_URI)
                .into_iter()
                .chain(attributes.texts(keys::ASSOCIATED_CROSS_RESOURCE_SUB))
                .map(Text::from)
                .collect(),
            forwarding: attributes.text(keys::NOTIFICATION_FORWARDING_URI).map(Text::from),
            storage_priority: attributes.unsigned(keys::NOTIFICATION_STORAGE_PRIORITY).unwrap_or(0),
            statistics: attributes.bool(keys::NOTIFICATION_STATS_ENABLE) == Some(true),
        }
    }

    /// Whether its target has to agree to updates.
    pub(crate) fn is_blocking(&self) -> bool {
        self.wants(EventType::BlockingUpdate)
    }

    /// Whether its notifications go at once, whatever its schedule says (`nec`).
    pub(crate) fn is_immediate(&self) -> bool {
        self.event_category == Some(IMMEDIATE)
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
