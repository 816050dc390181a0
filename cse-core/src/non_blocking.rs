//! Non-blocking requests (TS-0001 §8.2.2.2, §8.2.2.3; TS-0004 §7.3.2.3): accepted durably, answered at once, carried out
//! afterwards, and once.
//!
//! The life of one: the writer makes a `<request>` of it ([`accept`]); the originator gets its address. [`run()`] carries
//! out what is pending, after a restart, too. A change of this CSE's tree and its result in the `<request>` are one
//! commit ([`note_result`]), so a crash can neither lose nor double it. What leaves this CSE or reaches many resources
//! is marked in the `<request>` before it begins, and repeated after a crash in between; members of a group
//! recognize the repetition.

mod book;
mod lanes;
mod run;
mod stored;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

pub(crate) use book::Book;
pub(crate) use run::run;

use crate::access::authorize::Permit;
use crate::access::policy::Access;
use crate::address::{Resolved, Target};
use crate::behaviour::request::{self, Status};
use crate::behaviour::subscription::EventType;
use crate::error::{Error, Rsc};
use crate::id::{Originator, Seq};
use crate::metrics::Metrics;
use crate::node::Node;
use crate::notify::Happening;
use crate::op::{Cx, Decided, Refusal, answer, create};
use crate::overlay::Effects;
use crate::primitive::{Operation, Request, Response, ResponseType};
use crate::resource::{Resource, approximate_bytes, generated_id};
use crate::schema::{Ty, type_def};
use crate::time::{AbsRelTimestamp, Timestamp};
use crate::value::{Map, Name, Text, Value};
use crate::view::{Source, View};

/// Notification targets (`nu` of `rt`) of one request.
const TARGETS_MAX: usize = 100;

/// What the writer notes of a request that is being carried out.
pub(crate) struct Step {
    /// The `<request>`.
    pub(crate) of: Seq,
    pub(crate) what: Progress,
    /// Dropped when it is committed, or was not.
    pub(crate) done: oneshot::Sender<()>,
}

/// See [`Step`].
pub(crate) enum Progress {
    /// From now on it cannot be recalled.
    Begun,
    /// Nothing was done, it is tried again later.
    Postponed,
    /// The next CSE was given it and has not answered in time; it is asked again.
    Forwarded,
    /// It is done, with that answer.
    Done(Box<Response>, Extent),
}

/// Whether a result is all that was asked for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Extent {
    Whole,
    /// Some members of a group have not answered.
    Partial,
}

/// The checks that need no resource: who may ask so, and for what.
pub(crate) fn check(request: &Request, originator: &Originator) -> Result<(), Error> {
    let uris = request.notification_uris.as_deref();
    if uris.is_some() && request.response_type != ResponseType::NonBlockingAsynch {
        return Err(Error::parameter("rt/nu", "goes with response type 2 (nonBlockingRequestAsynch) only"));
    }
    if uris.is_some_and(|uris| uris.len() > TARGETS_MAX) {
        return Err(Error::parameter("rt/nu", format!("has more than {TARGETS_MAX} entries")));
    }
    let registers = matches!(request.resource_type, Some(Ty::AE | Ty::REMOTE_CSE));
    // Whoever has no identifier of its own yet could be given no access to the result.
    if (request.operation == Operation::Create && registers) || originator.as_str().is_empty() {
        return Err(Error::parameter("rt", "must be 3 (blocking) for a registration"));
    }
    Ok(())
}

/// Decides whether a request is accepted: makes the `<request>` and the answer that names it.
pub(crate) async fn accept<Q: Source>(
    view: &mut View<'_, Q>,
    cx: &Cx,
    request: &Request,
    book: &Book,
    metrics: &Metrics,
) -> Result<Decided, Refusal> {
    if let Target::Local(target, _) = Target::of(&request.to, view.identity())
        && view.plain(&target).await?.is_some_and(|node| node.ty == Ty::REQUEST)
    {
        return Err(Error::parameter("rt", "must be 3 (blocking) for what is done with a <request>").into());
    }
    if request.operation == Operation::Retrieve
        && let Target::Local(target, _) = Target::of(&request.to, view.identity())
        && target.ends_with("/pcu")
        && let Ok(Resolved::PollingChannelUri(_)) = view.resolve(&target).await
    {
        return Err(Error::parameter("rt", "must be 3 (blocking) or absent where requests are fetched").into());
    }
    check_targets(view, cx, request).await?;
    let expiration = expiration_of(request, view)?;
    check_room(view, &cx.requester.originator, book).inspect_err(|_| metrics.non_blocking_refused.increment())?;

    let base = view.base().await?;
    let seq = view.source.next_number()?;
    let id = generated_id(type_def(Ty::REQUEST).map_or("req", |def| def.short), seq);
    let name = create::free_name(view, &base, Ty::REQUEST, &id).await?;
    let path = smol_str::format_smolstr!("{}/{name}", base.path);
    let resource = Resource {
        seq,
        parent: Some(base.seq),
        ty: Ty::REQUEST,
        id,
        name,
        parent_id: base.id.clone(),
        creation_time: view.now,
        last_modified_time: view.now,
        expiration_time: Some(expiration),
        state_tag: None,
        content_size: None,
        creator: cx.requester.originator.clone(),
        attributes: stored::attributes_of(request, &cx.requester.originator, view.now),
    };
    let node = Arc::new(Node::new(resource, path, view.identity()));
    let mut effects = Effects::new(Permit::internal("the CSE makes <request> resources by itself"));
    create::insert(view, &base, &node, &mut effects).await?;
    let status = match request.response_type {
        ResponseType::NonBlockingAsynch => Rsc::AcceptedNonBlockingAsynch,
        _ => Rsc::AcceptedNonBlockingSynch,
    };
    let uri = Map::single("m2m:uri", view.identity().sp_relative(&node.id));
    Ok(Decided { effects, response: answer(request, status, Some(uri)) })
}

/// Whether the originator may have its result sent to the entities here that it names. To URLs and to entities of
/// elsewhere the CSE only sends what the originator may read, and whoever is there decides whether to take it.
async fn check_targets<Q: Source>(view: &mut View<'_, Q>, cx: &Cx, request: &Request) -> Result<(), Refusal> {
    for target in request.notification_uris.iter().flatten().filter(|target| !target.contains("://")) {
        if let Some(node) = view.local_resource(target).await?
            && node.id != cx.requester.originator.as_str()
        {
            let _permit = view.authorize(&cx.requester, Access::NOTIFY, &node).await?;
        }
    }
    Ok(())
}

/// Until when a request, and then its result, is kept.
///
/// # Errors
/// [`Error::InvalidParameter`] and [`Error::NotImplemented`] for times with which it could not be carried out.
fn expiration_of<Q: Source>(request: &Request, view: &View<'_, Q>) -> Result<Timestamp, Error> {
    let (now, settings) = (view.now, view.settings);
    let latest = now.plus(settings.non_blocking_lifetime_max);
    let begins = request.operation_execution_time.map_or(now, |time| time.at(now).max(now));
    if begins >= latest {
        return Err(Error::NotImplemented("an operation execution time that far ahead".into()));
    }
    let is_remote = Target::of(&request.to, view.identity()) == Target::Remote;
    let request_expiration = request.request_expiration.map(|time| time.at(now));
    if request_expiration.is_some_and(|time| begins > time) {
        return Err(Error::parameter("oet", "must not be later than rqet"));
    }
    let ends = request_expiration.unwrap_or_else(|| begins.plus(settings.non_blocking_patience(is_remote)));
    let kept = kept_until(request.result_persistence, ends, settings.non_blocking_persistence);
    if kept <= begins {
        return Err(Error::parameter("rp", "must not end before the request is carried out"));
    }
    let of_use = request.result_expiration.map_or(kept, |time| time.at(now));
    Ok(kept.min(of_use).min(latest))
}

/// Until when a result is kept that is there at `since`.
fn kept_until(persistence: Option<AbsRelTimestamp>, since: Timestamp, default: Duration) -> Timestamp {
    persistence.map_or_else(|| since.plus(default), |time| time.at(since))
}

/// Whether one more can be kept.
fn check_room<Q: Source>(view: &View<'_, Q>, originator: &Originator, book: &Book) -> Result<(), Error> {
    let uncommitted = view.source.overlay().into_iter().flat_map(|overlay| overlay.nodes_of(Ty::REQUEST));
    let (mut own, mut all, mut bytes) = book.taken(originator.as_str());
    for node in uncommitted.filter(|node| !book.knows(node.seq)) {
        own += usize::from(node.creator == *originator);
        all += 1;
        bytes += node.approximate_bytes();
    }
    let settings = view.settings;
    if own >= settings.non_blocking_per_originator_max {
        let problem = format!("'{originator}' has {own} non-blocking requests here, which is the most; delete some");
        return Err(Error::TooLarge(problem));
    }
    if all >= settings.non_blocking_max || bytes >= settings.non_blocking_bytes_max {
        return Err(Error::TooLarge("this CSE keeps as many non-blocking requests as it can".into()));
    }
    Ok(())
}

/// The `<request>`, while it is pending.
pub(crate) async fn pending<Q: Source>(view: &mut View<'_, Q>, of: Seq) -> Result<Option<Arc<Node>>, Error> {
    Ok(view.node(of).await?.filter(|node| request::is_pending(node) && !node.is_expired(view.now)))
}

/// Puts the result into the `<request>` and tells who wants to know of it, unless it has gone or has one.
pub(crate) async fn note_result<Q: Source>(
    view: &mut View<'_, Q>,
    of: Seq,
    response: &Response,
    extent: Extent,
    effects: &mut Effects,
) -> Result<(), Error> {
    let Some(node) = pending(view, of).await?.filter(|_| !effects.deletes(of)) else {
        return Ok(());
    };
    let asked = stored::request_of(&node)?;
    let mut response = response.clone().in_release(asked.release_version);
    response.request_identifier.clone_from(&asked.request_identifier);
    response.result_expiration = asked.result_expiration;
    bound(&mut response, &asked, view.settings.non_blocking_result_bytes_max);

    let mut resource = Resource::clone(&node.resource);
    let status = match extent {
        _ if !response.is_success() => Status::Failed,
        Extent::Whole => Status::Completed,
        Extent::Partial => Status::PartiallyCompleted,
    };
    let mut modified = Map::with_capacity(2);
    modified.push(Name::new_static(request::REQUEST_STATUS), status as i64);
    modified.push(Name::new_static(request::OPERATION_RESULT), stored::result_of(response.clone()));
    for (name, value) in modified.iter() {
        resource.attributes.insert(name.clone(), value.clone());
    }
    for internal in [request::REQUEST, request::PEER, request::BEGUN] {
        resource.attributes.remove(internal);
    }
    resource.last_modified_time = view.now;
    let kept = kept_until(asked.result_persistence, view.now, view.settings.non_blocking_persistence);
    resource.expiration_time = resource.expiration_time.map(|time| time.min(kept));
    let changed = Arc::new(node.changed(resource, view.identity()));
    effects.update(Arc::clone(&changed));
    let happening = Happening { event: EventType::UpdateOfResource, subject: &changed, modified: Some(&modified) };
    view.notify(&changed, &happening, effects).await?;

    if asked.response_type == ResponseType::NonBlockingAsynch {
        let content = Arc::new(Map::single(Name::new_static("m2m:rsp"), response.into_map()));
        for target in targets(asked.notification_uris, &node.creator) {
            view.enqueue(of, target, Arc::clone(&content), asked.event_category, effects);
        }
    }
    Ok(())
}

/// Whom a result is sent to: those that the request names, else its originator.
fn targets(named: Option<Vec<Text>>, originator: &Originator) -> Vec<Text> {
    named.unwrap_or_else(|| vec![originator.text().clone()])
}

/// A result too large to be kept: what was read is refused; what was changed is, so the answer just says less.
fn bound(response: &mut Response, asked: &Request, bytes_max: usize) {
    if response.content.as_ref().is_none_or(|content| approximate_bytes(content) <= bytes_max) {
        return;
    }
    if asked.operation == Operation::Retrieve {
        let problem = "the result is larger than this CSE keeps for a non-blocking request; ask for less, or blocking";
        *response = Response::error(asked.request_identifier.clone(), &Error::TooLarge(problem.into()))
            .in_release(asked.release_version);
        response.result_expiration = asked.result_expiration;
    } else {
        response.content = None;
        response.content_complete = Some(false);
    }
}

/// Notes how far a request has come.
pub(crate) async fn note<Q: Source>(view: &mut View<'_, Q>, of: Seq, what: &Progress) -> Result<Effects, Error> {
    let mut effects = Effects::new(Permit::internal("progress of a non-blocking request"));
    let Some(node) = pending(view, of).await? else {
        return Ok(effects);
    };
    let is_begun = match what {
        Progress::Done(response, extent) => {
            note_result(view, of, response, *extent, &mut effects).await?;
            return Ok(effects);
        }
        Progress::Forwarded => {
            note_forwarded(view, &node, &mut effects).await?;
            return Ok(effects);
        }
        Progress::Begun => true,
        // The next CSE may have carried it out already: that it cannot be reached now does not take it back.
        Progress::Postponed if request::is_forwarded(&node) => return Ok(effects),
        Progress::Postponed => false,
    };
    if node.attributes.contains(request::BEGUN) != is_begun {
        let mut resource = Resource::clone(&node.resource);
        if is_begun {
            resource.attributes.insert(request::BEGUN, view.now);
        } else {
            resource.attributes.remove(request::BEGUN);
        }
        effects.update(Arc::new(node.changed(resource, view.identity())));
    }
    Ok(effects)
}

/// Says in the `<request>` that the next CSE has it (TS-0004 §7.3.2.5).
async fn note_forwarded<Q: Source>(
    view: &mut View<'_, Q>,
    node: &Arc<Node>,
    effects: &mut Effects,
) -> Result<(), Error> {
    let status = Status::Forwarded as i64;
    if request::is_forwarded(node) {
        return Ok(());
    }
    let modified = Map::single(Name::new_static(request::REQUEST_STATUS), status);
    let mut resource = Resource::clone(&node.resource);
    resource.attributes.insert(request::REQUEST_STATUS, status);
    resource.last_modified_time = view.now;
    let changed = Arc::new(node.changed(resource, view.identity()));
    effects.update(Arc::clone(&changed));
    let happening = Happening { event: EventType::UpdateOfResource, subject: &changed, modified: Some(&modified) };
    view.notify(&changed, &happening, effects).await
}

/// Whether a notification carries a result that nobody can use any more (`rset`).
pub(crate) fn is_out_of_date(content: &Map, now: Timestamp) -> bool {
    let result = content.get("m2m:rsp").and_then(Value::as_map);
    let expiration = result.and_then(|result| result.get("rset")).and_then(AbsRelTimestamp::from_value);
    expiration.is_some_and(|time| time.at(now) <= now)
}
