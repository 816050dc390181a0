//! Request and response primitives (TS-0004 §6.4), independent of binding and serialization.

mod decode;
mod encode;
mod filter;
#[cfg(test)]
mod round_trip;

pub use decode::DecodeFailure;
pub use filter::{AttributeCondition, FilterCriteria, FilterOperation, FilterUsage};

use std::fmt;
use std::time::Duration;

use crate::error::{Error, Rsc};
use crate::id::Peer;
use crate::schema::Ty;
use crate::time::{AbsRelTimestamp, Timestamp};
use crate::value::{Map, Text, Value};

/// What is asked for (`m2m:operation`).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Operation {
    /// Create a child of the target.
    Create = 1,
    /// Read the target or discover below it.
    Retrieve = 2,
    /// Change the target.
    Update = 3,
    /// Delete the target and all below it.
    Delete = 4,
    /// Tell the target something.
    Notify = 5,
}

impl Operation {
    /// The operation of that number.
    pub fn from_code(code: i64) -> Option<Self> {
        Some(match code {
            1 => Self::Create,
            2 => Self::Retrieve,
            3 => Self::Update,
            4 => Self::Delete,
            5 => Self::Notify,
            _ => return None,
        })
    }

    /// The name, as in messages and logs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Create => "CREATE",
            Self::Retrieve => "RETRIEVE",
            Self::Update => "UPDATE",
            Self::Delete => "DELETE",
            Self::Notify => "NOTIFY",
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// When and how the answer comes (`m2m:responseType`).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum ResponseType {
    /// 1: acknowledged at once, the result is polled.
    NonBlockingSynch,
    /// 2: acknowledged at once, the result is notified.
    NonBlockingAsynch,
    /// 3: answered when done.
    #[default]
    Blocking,
    /// 4: the receiver chooses.
    FlexBlocking,
    /// 5: not answered at all.
    NoResponse,
}

impl ResponseType {
    /// The response type of that number.
    pub fn from_code(code: i64) -> Option<Self> {
        Some(match code {
            1 => Self::NonBlockingSynch,
            2 => Self::NonBlockingAsynch,
            3 => Self::Blocking,
            4 => Self::FlexBlocking,
            5 => Self::NoResponse,
            _ => return None,
        })
    }

    /// Whether the result comes after the answer.
    pub fn is_non_blocking(self) -> bool {
        matches!(self, Self::NonBlockingSynch | Self::NonBlockingAsynch)
    }

    /// The number on the wire.
    pub fn code(self) -> u8 {
        match self {
            Self::NonBlockingSynch => 1,
            Self::NonBlockingAsynch => 2,
            Self::Blocking => 3,
            Self::FlexBlocking => 4,
            Self::NoResponse => 5,
        }
    }
}

/// What the answer contains (`m2m:resultContent`).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ResultContent {
    /// 0
    Nothing,
    /// 1
    Attributes,
    /// 2
    HierarchicalAddress,
    /// 3
    HierarchicalAddressAndAttributes,
    /// 4
    AttributesAndChildResources,
    /// 5
    AttributesAndChildReferences,
    /// 6
    ChildReferences,
    /// 7
    OriginalResource,
    /// 8
    ChildResources,
    /// 9
    ModifiedAttributes,
    /// 10
    SemanticContent,
    /// 11
    DiscoveryResultReferences,
    /// 12
    Permissions,
}

impl ResultContent {
    /// The result content of that number.
    pub fn from_code(code: i64) -> Option<Self> {
        Some(match code {
            0 => Self::Nothing,
            1 => Self::Attributes,
            2 => Self::HierarchicalAddress,
            3 => Self::HierarchicalAddressAndAttributes,
            4 => Self::AttributesAndChildResources,
            5 => Self::AttributesAndChildReferences,
            6 => Self::ChildReferences,
            7 => Self::OriginalResource,
            8 => Self::ChildResources,
            9 => Self::ModifiedAttributes,
            10 => Self::SemanticContent,
            11 => Self::DiscoveryResultReferences,
            12 => Self::Permissions,
            _ => return None,
        })
    }

    /// The number on the wire.
    pub fn code(self) -> u8 {
        self as u8
    }
}

/// Release version that a request is made for (`m2m:releaseVersion`).
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum ReleaseVersion {
    /// `1`, also assumed when the parameter is absent.
    R1,
    /// `2`
    R2,
    /// `2a`
    R2a,
    /// `3`
    R3,
    /// `4`
    R4,
    /// `5`
    R5,
}

impl ReleaseVersion {
    /// All that this CSE speaks, as in `srv`.
    pub const SUPPORTED: [&'static str; 6] = ["1", "2", "2a", "3", "4", "5"];

    /// The release version of that text.
    pub fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "1" => Self::R1,
            "2" => Self::R2,
            "2a" => Self::R2a,
            "3" => Self::R3,
            "4" => Self::R4,
            "5" => Self::R5,
            _ => return None,
        })
    }

    /// The text on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::R1 => "1",
            Self::R2 => "2",
            Self::R2a => "2a",
            Self::R3 => "3",
            Self::R4 => "4",
            Self::R5 => "5",
        }
    }
}

/// Whether a request may be one that was carried out before (architecture: exactly one effect).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Redelivery {
    /// The binding does not redeliver: carry out, do not remember.
    #[default]
    Never,
    /// A new message: carry out and remember the answer.
    New,
    /// Possibly a redelivery: answer from the record if there is an equal one, else carry out and remember.
    Possible,
    /// As [`Redelivery::Possible`], but only a record younger than this counts.
    PossibleWithin(Duration),
    /// As [`Redelivery::Possible`], under an identifier that a CSE next to this one has made and uses for this request
    /// only: what is remembered of it lasts, since that CSE may ask again after a long time.
    UsedOnce,
}

/// Over which binding a request came.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum Binding {
    /// The CSE itself, a group's fan-out, a test.
    #[default]
    Internal,
    /// TS-0009.
    Http,
    /// TS-0010.
    Mqtt,
}

/// What the binding knows of a request and the primitive does not say.
#[derive(Clone, Debug, Default)]
pub struct Context {
    /// The binding.
    pub binding: Binding,
    /// The peer on this hop.
    pub peer: Peer,
    /// Who sent it on this hop, where the binding's addresses say so: an AE-ID stem or a CSE-ID. Not the originator, if
    /// a CSE passes it on.
    pub sender: Option<Text>,
    /// Whether this may be a redelivery.
    pub redelivery: Redelivery,
    /// The Credential-ID under which a registration came (TS-0010 §7.4.4). Who has no identifier yet is told apart
    /// by it: the same words from two registrants are two requests. So are those of two `<request>` resources, which
    /// are named here while they are carried out.
    pub registrant: Option<Text>,
}

/// A request primitive.
#[derive(Clone, Debug)]
pub struct Request {
    /// `op`
    pub operation: Operation,
    /// `to`
    pub to: Text,
    /// `fr` as sent; absent only when an AE registers.
    pub from: Option<Text>,
    /// `rqi`
    pub request_identifier: Text,
    /// `rvi`; `None` when absent, which means release 1.
    pub release_version: Option<ReleaseVersion>,
    /// `ty`, for CREATE.
    pub resource_type: Option<Ty>,
    /// `pc`
    pub content: Option<Map>,
    /// `ot`
    pub originating_timestamp: Option<Timestamp>,
    /// `rqet`
    pub request_expiration: Option<AbsRelTimestamp>,
    /// `rset`
    pub result_expiration: Option<AbsRelTimestamp>,
    /// `oet`
    pub operation_execution_time: Option<AbsRelTimestamp>,
    /// `rt`
    pub response_type: ResponseType,
    /// `nu` of `rt`; `None` when absent.
    pub notification_uris: Option<Vec<Text>>,
    /// `rp`
    pub result_persistence: Option<AbsRelTimestamp>,
    /// `rcn`
    pub result_content: Option<ResultContent>,
    /// `ec`
    pub event_category: Option<u32>,
    /// `gid`
    pub group_request_identifier: Option<Text>,
    /// `grtm`
    pub group_request_target_members: Option<Vec<Text>>,
    /// `fc`
    pub filter_criteria: Option<Box<FilterCriteria>>,
    /// `drt`: whether addresses are wanted unstructured (2).
    pub unstructured_addresses: bool,
    /// `vsi`
    pub vendor_information: Option<Text>,
    /// Parameters that are accepted, passed on when the request is forwarded, and have no effect here.
    pub passive: Map,
    /// What the binding adds.
    pub context: Context,
}

impl Request {
    /// A blocking request of release 3 that came over no binding, with nothing but the mandatory parameters.
    pub fn new(operation: Operation, to: impl Into<Text>, from: impl Into<Text>, rqi: impl Into<Text>) -> Self {
        Self {
            operation,
            to: to.into(),
            from: Some(from.into()),
            request_identifier: rqi.into(),
            release_version: Some(ReleaseVersion::R3),
            resource_type: None,
            content: None,
            originating_timestamp: None,
            request_expiration: None,
            result_expiration: None,
            operation_execution_time: None,
            response_type: ResponseType::Blocking,
            notification_uris: None,
            result_persistence: None,
            result_content: None,
            event_category: None,
            group_request_identifier: None,
            group_request_target_members: None,
            filter_criteria: None,
            unstructured_addresses: false,
            vendor_information: None,
            passive: Map::new(),
            context: Context::default(),
        }
    }

    /// Whether this is a discovery (`fc/fu` = 1).
    pub fn is_discovery(&self) -> bool {
        self.operation == Operation::Retrieve
            && self.filter_criteria.as_ref().is_some_and(|fc| fc.usage == FilterUsage::Discovery)
    }
}

/// A response primitive.
#[derive(Clone, Debug, PartialEq)]
pub struct Response {
    /// `rsc`
    pub status: Rsc,
    /// `rqi` of the request.
    pub request_identifier: Text,
    /// `rvi` of the request; absent towards release 1.
    pub release_version: Option<ReleaseVersion>,
    /// `pc`
    pub content: Option<Map>,
    /// `to`
    pub to: Option<Text>,
    /// `fr`
    pub from: Option<Text>,
    /// `ot`
    pub originating_timestamp: Option<Timestamp>,
    /// `rset`
    pub result_expiration: Option<AbsRelTimestamp>,
    /// `ec`
    pub event_category: Option<u32>,
    /// `cnst`: `Some(true)` full content (2), `Some(false)` partial content (1).
    pub content_complete: Option<bool>,
    /// `cnot`
    pub content_offset: Option<u64>,
    /// `vsi`
    pub vendor_information: Option<Text>,
    /// SP-relative, structured address of the created resource, for bindings with a place for it.
    pub created_at: Option<Text>,
}

impl Response {
    /// An answer without content.
    pub fn new(status: Rsc, request_identifier: impl Into<Text>) -> Self {
        Self {
            status,
            request_identifier: request_identifier.into(),
            release_version: None,
            content: None,
            to: None,
            from: None,
            originating_timestamp: None,
            result_expiration: None,
            event_category: None,
            content_complete: None,
            content_offset: None,
            vendor_information: None,
            created_at: None,
        }
    }

    /// The answer to a request that is not carried out, with the reason as `m2m:dbg`.
    pub fn error(request_identifier: impl Into<Text>, error: &Error) -> Self {
        let mut response = Self::new(error.rsc(), request_identifier);
        response.content = Some(Map::single("m2m:dbg", Value::from(error.to_string())));
        response
    }

    /// In the release of the request, if that is known.
    #[must_use]
    pub fn in_release(mut self, release_version: Option<ReleaseVersion>) -> Self {
        self.release_version = release_version;
        self
    }

    /// Whether the request was carried out.
    pub fn is_success(&self) -> bool {
        self.status.is_success()
    }

    /// The `m2m:dbg` text, if there is one.
    pub fn debug_text(&self) -> Option<&str> {
        self.content.as_ref().and_then(|content| content.text("m2m:dbg"))
    }
}
