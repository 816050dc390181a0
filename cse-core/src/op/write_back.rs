//! UPDATE of an announced resource by somebody else than the CSE of its original. It is possible where the original says
//! that synchronization goes both ways (announceSyncType 2, TS-0001 §9.6.26), for whom the policies of the copy
//! allow it.
//!
//! It is the original that changes: this CSE asks for that with an UPDATE to `lnk`, and the copy follows, as it does after
//! any change. So there is one order of changes, that of the CSE of the original; what that refuses has changed
//! nothing here, and there is nothing to take back.

use std::sync::Arc;

use tokio::sync::Notify;

use super::update::RESULT_CONTENTS;
use super::{Answers, Cx, Decided, Question, Refusal, answer, discover, result_content};
use crate::access::authorize::Permit;
use crate::access::policy::Access;
use crate::announce::{copy, state};
use crate::behaviour::announced;
use crate::content;
use crate::cse::Cse;
use crate::error::{Error, Rsc};
use crate::id::{Originator, Seq};
use crate::node::Node;
use crate::overlay::Effects;
use crate::ports::Store;
use crate::primitive::{Operation, Request, Response, ResultContent};
use crate::schema::{self, TypeDef, keys, type_def};
use crate::time::{AbsRelTimestamp, Timestamp};
use crate::value::{Map, Text, Value};
use crate::view::{Source, View};

/// What a copy has of its own: the CSE of the original decides on these, with the original.
const OF_THE_ORIGINAL: [&str; 5] = [
    keys::ACCESS_CONTROL_POLICY_IDS,
    keys::EXPIRATION_TIME,
    keys::LINK,
    keys::ANNOUNCE_SYNC_TYPE,
    keys::DYNAMIC_AUTHORIZATION_CONSULTATION_IDS,
];

/// An UPDATE that goes to the original of a copy.
#[derive(Clone, Debug)]
pub(crate) struct WriteBack {
    /// The copy.
    pub(crate) copy: Seq,
    /// Address of the original.
    pub(crate) link: Text,
    /// The attributes under the root element of the original.
    content: Map,
    /// Who changes the copy, and under which identifier; together they tell a repetition.
    identifier: Text,
    /// Whether it may be a redelivery.
    redelivery: crate::primitive::Redelivery,
    /// When it is of no use any more.
    deadline: Timestamp,
}

/// Decides an UPDATE of a copy.
pub(super) async fn decide<Q: Source>(
    view: &mut View<'_, Q>,
    cx: &Cx,
    request: &Request,
    copy: &Arc<Node>,
    answers: &Answers,
) -> Result<Decided, Refusal> {
    let wanted = result_content(request, ResultContent::Attributes, &RESULT_CONTENTS)?;
    if !announced::takes_updates(copy) {
        let (originator, target) = (cx.requester.originator.to_string(), copy.path.to_string());
        return Err(Error::NoPrivilege { originator, operation: "UPDATE of a copy", target }.into());
    }
    let permit = view.authorize(&cx.requester, Access::UPDATE, copy).await?;
    discover::check_condition(view, request, copy).await?;
    let content = request.content.as_ref().ok_or(Error::MissingParameter("pc"))?;
    let (def, sent) = content::typed(content, copy.ty)?;
    let patch = schema::check_update(def, sent)?;
    if let Some(own) = OF_THE_ORIGINAL.into_iter().find(|name| patch.contains(name)) {
        return Err(Error::attribute(own, "of a copy is what its original says").into());
    }
    let Some(response) = &answers.original else {
        let link = copy.attributes.text(keys::LINK).unwrap_or_default();
        let root = original_root(def).ok_or(Error::Internal)?;
        return Err(Refusal::Ask(Question::Original(Box::new(WriteBack {
            copy: copy.seq,
            link: link.into(),
            content: Map::single(root, patch),
            identifier: smol_str::format_smolstr!("{}-{}", cx.requester.originator, request.request_identifier),
            redelivery: request.context.redelivery,
            deadline: cx.deadline,
        }))));
    };
    let effects = Effects::new(permit);
    if !response.is_success() {
        let mut response = Response::clone(response);
        response.request_identifier = request.request_identifier.clone();
        return Ok(Decided { effects, response });
    }
    let content = match wanted {
        ResultContent::Attributes => Some(content::representation(copy, view.now)),
        _ => None,
    };
    Ok(Decided { effects, response: answer(request, Rsc::Updated, content) })
}

/// The root element of the type that this is the announced variant of.
fn original_root(variant: &TypeDef) -> Option<&'static str> {
    let is_its = |def: &&TypeDef| def.announced.is_some_and(|announced| announced.root == variant.root);
    schema::all_types().find(is_its).map(|def| def.root)
}

/// Whether a host may change an original as its copy there was changed: what is announced, and nothing else. Who changes
/// the copy is for the host to decide, by the policies that came along.
pub(super) fn permit(original: &Node, originator: &Originator, sent: &Map) -> Option<Permit> {
    let goes_both_ways = original.attributes.int(keys::ANNOUNCE_SYNC_TYPE) == Some(announced::BI_DIRECTIONAL);
    if !goes_both_ways || original.ty.is_announced() {
        return None;
    }
    let def = type_def(original.ty)?;
    let is_at_host = state::of(original).get(originator.as_str()).is_some_and(|state| state.address.is_some());
    let is_announced = |name: &str| {
        !OF_THE_ORIGINAL.contains(&name) && def.attribute(name).is_some_and(|attr| copy::is_announced(attr, original))
    };
    let may = is_at_host && sent.iter().all(|(name, _)| is_announced(name));
    may.then(|| Permit::internal("the host of a copy, whose original takes changes of it"))
}

/// Tells when copies have changed.
#[derive(Default)]
pub(crate) struct CopiesChanged(Notify);

impl CopiesChanged {
    /// Some have, and that is committed.
    pub(crate) fn tell(&self) {
        self.0.notify_waiters();
    }
}

impl<S: Store> Cse<S> {
    /// Has the original of a copy changed; once that is so, gives the copy the time to follow.
    pub(crate) async fn write_back(&self, write_back: &WriteBack) -> Result<Response, Error> {
        let identity = &self.0.settings.identity;
        let WriteBack { link, identifier, .. } = write_back;
        let mut request = Request::new(Operation::Update, link.clone(), identity.cse_id.clone(), identifier.clone());
        request.content = Some(write_back.content.clone());
        request.result_content = Some(ResultContent::Nothing);
        request.request_expiration = Some(AbsRelTimestamp::Absolute(write_back.deadline));
        request.context.redelivery = write_back.redelivery;
        let response = Box::pin(self.attempt(request, Default::default())).await?;
        if response.is_success() {
            self.until_followed(write_back).await;
        }
        Ok(response)
    }

    /// Waits until a copy has what its original was given, so that whoever is answered finds it there; not for long.
    async fn until_followed(&self, WriteBack { copy, content, deadline, .. }: &WriteBack) {
        let clock = &self.0.clock;
        let longest = self.0.settings.notification_hold_max.min(deadline.since(clock.now()) / 2);
        let following = async {
            loop {
                let mut changed = std::pin::pin!(self.0.copies_changed.0.notified());
                changed.as_mut().enable();
                match self.0.view().node(*copy).await {
                    Ok(Some(node)) if !has(&node, content) => changed.await,
                    _ => return,
                }
            }
        };
        tokio::select! {
            () = following => {}
            () = clock.sleep(longest) => {}
        }
    }
}

fn has(copy: &Node, content: &Map) -> bool {
    let wanted = content.only().and_then(|(_, patch)| patch.as_map());
    let mut wanted = wanted.into_iter().flat_map(Map::iter);
    wanted.all(|(name, value)| copy.attributes.get(name).unwrap_or(&Value::Null) == value)
}
