//! The operations. Each is a decision over a [`View`]: it reads, and what it would change comes out as
//! [`Effects`], which the writer applies as a whole or not at all.

pub(crate) mod create;
pub(crate) mod delete;
pub(crate) mod discover;
pub(crate) mod fan_out;
mod find;
pub(crate) mod forward;
pub(crate) mod members;
pub(crate) mod notify;
mod original;
mod poll;
mod renew;
pub(crate) mod retrieve;
pub(crate) mod route;
pub(crate) mod s_record;
pub(crate) mod s_type;
pub(crate) mod update;
pub(crate) mod write_back;

use std::sync::Arc;

use self::write_back::WriteBack;
use crate::access::authorize::Requester;
use crate::address::Resolved;
use crate::behaviour::group::GroupAnswers;
use crate::error::{Error, Rsc};
use crate::id::{Originator, Seq};
use crate::node::Node;
use crate::overlay::Effects;
use crate::primitive::{Operation, ReleaseVersion, Request, Response, ResultContent};
use crate::schema::{Ty, Virtual};
use crate::time::Timestamp;
use crate::value::{Map, Text};
use crate::view::{Source, View};

/// What an operation needs to know of the request besides the primitive.
#[derive(Clone, Debug)]
pub(crate) struct Cx {
    /// Who asks.
    pub(crate) requester: Requester,
    /// Release of the request.
    pub(crate) release: Option<ReleaseVersion>,
    /// When the request expires.
    pub(crate) deadline: Timestamp,
    /// CSE-relative address of the target.
    pub(crate) target: Text,
    /// The attribute that the address names behind `#`.
    pub(crate) attribute: Option<Text>,
}

/// A resource about to be created.
pub(crate) struct Draft {
    pub(crate) ty: Ty,
    pub(crate) seq: Seq,
    pub(crate) id: Text,
    pub(crate) name: Text,
    pub(crate) attributes: Map,
    pub(crate) expiration_time: Option<Timestamp>,
    pub(crate) state_tag: Option<u64>,
    pub(crate) content_size: Option<u64>,
    pub(crate) creator: Originator,
    /// Notification targets that have confirmed.
    pub(crate) verified: Vec<Text>,
    /// What is known of the members of a group.
    pub(crate) group: Arc<GroupAnswers>,
}

/// Why a change is not made now.
pub(crate) enum Refusal {
    /// It is not made at all.
    Error(Error),
    /// The network has to be asked first; then the decision is made anew.
    Ask(Question),
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Refusal::Error(error)
    }
}

/// What the network has to be asked before a change.
#[derive(Clone, Debug)]
pub(crate) enum Question {
    /// Do these targets accept notifications of a subscription?
    Verify {
        /// SP-relative identifier of the subscription.
        subscription: Text,
        /// Who creates it.
        creator: Originator,
        /// The targets.
        targets: Vec<Text>,
    },
    /// Does the target of a blocking subscription agree to an update?
    Block {
        /// The subscription.
        subscription: Seq,
        /// The resource that is to be updated.
        resource: Seq,
        /// The target.
        target: Text,
        /// The notification.
        notification: Map,
    },
    /// Does the CSE of an original change that as its copy is to be changed?
    Original(Box<WriteBack>),
    /// What are these members of a group, which other CSEs host?
    Members {
        /// The members.
        members: Vec<Text>,
        /// Who wants them in the group.
        originator: Originator,
    },
    /// What do these access control policies of other CSEs say?
    Policies(Vec<Text>),
    /// Which AE-ID stem does the IN-CSE give an AE that registers here?
    Stem(Box<s_type::Asked>),
}

/// What is known from the network when a change is decided again.
#[derive(Clone, Debug, Default)]
pub(crate) struct Answers {
    /// The number that the first decision gave to the new resource.
    pub(crate) seq: Option<Seq>,
    /// Targets that have confirmed.
    pub(crate) verified: Vec<Text>,
    /// Blocking subscriptions whose target agreed.
    pub(crate) agreed: Vec<Seq>,
    /// What the CSE of the original said to a change of its copy.
    pub(crate) original: Option<Box<Response>>,
    /// What is known of the members of a group.
    pub(crate) group: Arc<GroupAnswers>,
    /// The AE-ID stem that the IN-CSE has given.
    pub(crate) stem: Option<Text>,
    /// How often policies of other CSEs have been read.
    pub(crate) policies_read: u8,
    /// The `<request>` that this carries out and that gets the result, see [`crate::non_blocking`].
    pub(crate) fulfils: Option<Seq>,
}

/// What a decision comes to.
pub(crate) struct Decided {
    pub(crate) effects: Effects,
    pub(crate) response: Response,
}

/// A successful answer.
pub(crate) fn answer(request: &Request, status: Rsc, content: Option<Map>) -> Response {
    let mut response = Response::new(status, request.request_identifier.clone());
    response.content = content;
    response
}

/// The resource that a CREATE or UPDATE addresses; virtual ones take neither.
pub(crate) async fn resource_at<Q: Source>(
    view: &mut View<'_, Q>,
    cx: &Cx,
    operation: Operation,
) -> Result<Arc<Node>, Error> {
    let point = match view.resolve(&cx.target).await? {
        Resolved::Resource(node) => return Ok(node),
        Resolved::FanOut(..) => return Err(Error::Internal),
        Resolved::Latest(_) => Virtual::Latest,
        Resolved::Oldest(_) => Virtual::Oldest,
        Resolved::PollingChannelUri(_) => Virtual::PollingChannelUri,
        Resolved::Other(point) => point,
    };
    let target = format!("virtual resource '{}'", point.short_name());
    Err(Error::OperationNotAllowed { operation: operation.name(), target })
}

/// The result content of a request, or the refusal if the operation does not know it.
pub(crate) fn result_content(
    request: &Request,
    default: ResultContent,
    allowed: &[ResultContent],
) -> Result<ResultContent, Error> {
    let wanted = request.result_content.unwrap_or(default);
    match wanted {
        ResultContent::SemanticContent => Err(Error::NotImplemented("result content 10 (semantic content)".into())),
        ResultContent::Permissions => Err(Error::NotImplemented("result content 12 (permissions)".into())),
        _ if allowed.contains(&wanted) => Ok(wanted),
        _ => Err(Error::parameter(
            "rcn",
            format!(
                "cannot be {} for {}",
                wanted.code(),
                if request.is_discovery() { "discovery" } else { request.operation.name() }
            ),
        )),
    }
}

/// The expiration time of a resource: as wanted, at most that of the parent and the longest life.
pub(crate) fn expiration_time(
    wanted: Option<Timestamp>,
    parent: Option<Timestamp>,
    now: Timestamp,
    settings: &crate::settings::Settings,
) -> Timestamp {
    let time = wanted.unwrap_or_else(|| now.plus(settings.default_lifetime));
    let time = time.min(now.plus(settings.maximum_lifetime));
    parent.map_or(time, |parent| time.min(parent))
}
