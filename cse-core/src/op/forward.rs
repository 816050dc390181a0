//! Passing on requests whose target is hosted by another CSE (TS-0004 §7.3.2.6, TS-0001 §10.3): hop by hop through the
//! tree of registrations, each hop over whatever binding and in whatever serialization the next one prefers.
//!
//! Each request goes to the next CSE under an identifier of this one, since those of different originators may be
//! the same. What changes something has its identifier written down before it leaves ([`crate::writer::PassOn`]), so
//! a redelivery leaves under the same identifier, also after a crash, and the next CSE knows it.
//!
//! Whoever passes a request on waits for the answer, so what it sends is a blocking request, whatever the
//! originator left open: the next CSE could not tell it of a result later.

mod identifier;
mod places;
mod side;
mod turn;

use std::time::Duration;

use tokio::sync::oneshot;

pub(crate) use self::places::Places;
use self::side::Side;
pub(crate) use self::turn::Turn;
use crate::access::authorize::Requester;
use crate::cse::{Cse, deadline_of};
use crate::digest;
use crate::error::{Error, Rsc};
use crate::id::{CseIdentity, Originator};
use crate::op::fan_out::Through;
use crate::op::route::Route;
use crate::ports::{Patience, ReplyKey, SendError, Sent, Store};
use crate::primitive::{Binding, Context, Operation, Redelivery, ReleaseVersion, Request, Response, ResponseType};
use crate::record::{self, Record};
use crate::registrations::NextHop;
use crate::resource::approximate_bytes;
use crate::schema::{Ty, keys};
use crate::time::{AbsRelTimestamp, Timestamp};
use crate::value::Text;
use crate::writer::{Job, PassOn, Passage, PassedOn, Under};

/// How long an answer is waited for at most, however late the request expires: a next hop that does not answer must
/// not keep its places for ever.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(300);

/// What is known of the next CSE on the way of a request.
struct NextCse {
    route: Route,
    /// Whether it knows Release 1 only.
    is_release_1: bool,
}

impl<S: Store> Cse<S> {
    /// Passes a request on and answers with what comes back.
    ///
    /// # Errors
    /// [`Error::NoRoute`], [`Error::NotReachable`] when the request has not left, [`Error::Expired`] when no answer
    /// comes in time, [`Error::OriginatorNotRegistered`], [`Error::Busy`].
    pub(crate) async fn forward(
        &self,
        request: Request,
        requester: &Requester,
        deadline: Timestamp,
        through: &Through,
    ) -> Result<Response, Error> {
        let through_group = through.is_of_group();
        if request.operation == Operation::Create && matches!(request.resource_type, Some(Ty::AE | Ty::REMOTE_CSE)) {
            return Err(Error::parameter("to", "names another CSE; registrations are not passed on"));
        }
        let side = if request.context.binding == Binding::Internal {
            // What this CSE asks by itself begins here, also where it does so for somebody who has asked it.
            Side::Here
        } else {
            match self.side_of(&request, &requester.originator, requester.privileged)? {
                // The members of a group may well be where its user is.
                _ if through_group => Side::Here,
                side => side,
            }
        };
        let passed_on = if through_group { 0 } else { self.passed_on_before(&request, &side)? };
        // Nothing is waited for before the writer is: its queue keeps the order of requests of one originator.
        let hop = match self.hop_to(&request.to, &side, through.is_redirected) {
            Ok(hop) => hop,
            Err(problem) => return Box::pin(self.without_way(&request, problem)).await,
        };
        let bytes = request.content.as_ref().map_or(0, approximate_bytes);
        let place = self.0.places.take(&hop.cse_id, &requester.originator, bytes)?;
        if let (Some(identifier), Some(until)) = (&through.passed_on_as, through.until) {
            let now = self.0.clock.now();
            let identifier = identifier::telling(identifier.clone(), passed_on + 1);
            // Whether it has left before is known to the one who gives the identifier.
            let under = Under { identifier, since: now, is_repeated: false };
            return self.forward_under(request, under, &hop, (requester, until.since(now)), None).await;
        }
        let requester = (requester, self.0.settings.request_timeout);
        let identifier = identifier::telling(self.0.new_request_identifier(), passed_on + 1);
        if request.operation == Operation::Retrieve {
            let under = Under { identifier, since: self.0.clock.now(), is_repeated: false };
            return self.forward_under(request, under, &hop, requester, None).await;
        }
        let key = digest::of(&request);
        let redelivery = request.context.redelivery;
        let made_by = maker_of(&request);
        // What this CSE asks by itself has its order elsewhere, and what is under way over HTTP at the same time has none.
        // One that waits for the answer to an equal one would hold up those behind it.
        let is_in_order = request.context.binding == Binding::Mqtt && !self.0.under_way.has(key);
        let turn = is_in_order.then(|| place.turn());
        let send = |under| self.forward_under(request, under, &hop, requester, turn);
        self.pass_on((key, made_by), redelivery, identifier, deadline, send).await
    }

    /// What becomes of a request for which there is no way now: the answer to it may be known, or it may have gone
    /// that way before without one.
    async fn without_way(&self, request: &Request, problem: Error) -> Result<Response, Error> {
        let redelivery = request.context.redelivery;
        if request.operation == Operation::Retrieve {
            return Err(problem);
        }
        match record::earlier(&mut self.0.view(), digest::of(request), redelivery).await? {
            Some((_, Record::Answered(response))) => Ok(response),
            Some((_, Record::PassedOn(_))) => Err(in_doubt(request.operation, problem)),
            Some((_, Record::KeptBack(_))) | None => Err(problem),
        }
    }

    /// Has a request sent under an identifier of this CSE: the same each time, however often the request is delivered.
    /// Once there is an answer, a redelivery gets that instead.
    ///
    /// The request is known by the key; whose identifier it has, is as [`maker_of`] says.
    pub(crate) async fn pass_on<Sending>(
        &self,
        (key, made_by): (ReplyKey, Option<Text>),
        redelivery: Redelivery,
        identifier: Text,
        deadline: Timestamp,
        send: impl FnOnce(Under) -> Sending,
    ) -> Result<Response, Error>
    where
        Sending: Future<Output = Result<Response, Error>>,
    {
        let clock = &self.0.clock;
        if redelivery == Redelivery::Never {
            return send(Under { identifier, since: clock.now(), is_repeated: false }).await;
        }
        if redelivery != Redelivery::New {
            tokio::select! {
                biased;
                () = self.0.under_way.wait(key) => {}
                () = clock.sleep(deadline.since(clock.now())) => {
                    return Err(Error::Expired("the request expired while an equal one was not answered"));
                }
            }
        }
        let _under_way = self.0.under_way.begin(key);
        let under = match self.passage((key, made_by.clone()), redelivery, identifier, deadline).await? {
            Passage::Answered(response) => return Ok(*response),
            Passage::Under(under) => under,
        };
        let Under { identifier, since, is_repeated } = under.clone();
        let result = send(under).await;
        let response = match &result {
            Ok(response) if is_final(response.status) => Some(Box::new(response.clone())),
            Err(Error::NotReachable(_)) if !is_repeated => None,
            _ => return result,
        };
        // Not waited for, and no harm if there is no room: a CSE that is asked again remembers the answer as well.
        drop(self.0.jobs.try_send(Job::PassedOn(PassedOn { key, made_by, identifier, since, response })));
        result
    }

    /// Has the writer say how a request goes on; durable when it returns.
    async fn passage(
        &self,
        (key, made_by): (ReplyKey, Option<Text>),
        redelivery: Redelivery,
        identifier: Text,
        deadline: Timestamp,
    ) -> Result<Passage, Error> {
        let (reply, passage) = oneshot::channel();
        self.enqueue(Job::PassOn(PassOn { key, made_by, redelivery, identifier, reply }), deadline).await?;
        passage.await.map_err(|_| Error::Internal)
    }

    /// The next CSE on the way to a target (TS-0004 §7.3.2.6): a registree, else the registrar, and never the one from
    /// which the request comes: unless that has asked for something else, and was redirected there.
    fn hop_to(&self, to: &str, side: &Side, is_redirected: bool) -> Result<NextHop, Error> {
        let Self(shared) = self;
        let no_route = |why| Error::NoRoute { target: to.to_owned(), why };
        let cse_id = shared.settings.identity.cse_id_of(to).ok_or_else(|| no_route("it names no CSE"))?;
        match (self.next_hop(&cse_id), shared.settings.registrar_id()) {
            (Some(hop), _) if !is_redirected && *side == Side::Cse(hop.cse_id.clone()) => {
                Err(no_route("the way there leads back to the CSE that asks"))
            }
            (Some(hop), _) => Ok(hop),
            // It may know the way, and may be there again soon.
            (None, Some(registrar)) if shared.registrations.registrar().is_none() => {
                Err(Error::NotReachable(format!("{registrar}, with which this CSE is not registered now")))
            }
            (None, _) => Err(no_route("neither that CSE nor one above it is registered here")),
        }
    }

    /// How a CSE next to this one is given a request to an address.
    async fn reach(&self, hop: &NextHop, to: &str) -> Result<NextCse, Error> {
        let unreachable = || Error::NotReachable(hop.cse_id.to_string());
        let route = self.route_by(hop, to).await?.ok_or_else(unreachable)?;
        let node = self.0.view().node(hop.seq).await?.ok_or_else(unreachable)?;
        let mut releases = node.attributes.texts(keys::SUPPORTED_RELEASE_VERSIONS);
        let is_release_1 = releases.all(|release| ReleaseVersion::parse(release) == Some(ReleaseVersion::R1));
        Ok(NextCse { route, is_release_1 })
    }

    /// Sends a request to the next CSE and waits for the answer. That the CSE is not reachable means that it does not
    /// have the request; a notification of another CSE is an exception, which tries again then and may do so. Waits so
    /// long if the request does not say.
    async fn forward_under(
        &self,
        request: Request,
        under: Under,
        hop: &NextHop,
        requester: (&Requester, Duration),
        turn: Option<Turn>,
    ) -> Result<Response, Error> {
        let (operation, is_repeated) = (request.operation, under.is_repeated);
        let is_notified_by_cse = operation == Operation::Notify && !requester.0.originator.is_ae_stem();
        match self.send_under(request, under, hop, requester, turn).await {
            Err(Error::Expired(_)) if is_notified_by_cse => Err(Error::NotReachable(hop.cse_id.to_string())),
            Err(problem) if is_repeated => Err(in_doubt(operation, problem)),
            result => result,
        }
    }

    async fn send_under(
        &self,
        mut request: Request,
        under: Under,
        hop: &NextHop,
        (requester, patience): (&Requester, Duration),
        turn: Option<Turn>,
    ) -> Result<Response, Error> {
        let shared = &self.0;
        let Under { identifier, since: received, .. } = under;
        let next = self.reach(hop, &request.to).await?;
        let now = shared.clock.now();
        fix_times(&mut request, received);
        let deadline = deadline_of(&request, now, patience)?;
        if request.operation_execution_time.is_some_and(|time| time.at(received) < now) {
            return Err(Error::Expired("the operation execution time (oet) is over; the request is not passed on"));
        }
        let timeout = deadline.since(now).min(ANSWER_TIME_MAX);
        let wants_vendor_information = request.release_version.is_some();
        let is_notification = request.operation == Operation::Notify;
        rewrite(&mut request, identifier, &requester.originator, next.is_release_1, &shared.settings.identity);
        shared.metrics.forwarded.increment();
        let sending = self.send_along_in_turn(&next.route, request, timeout, Patience::UntilTimeout, turn);
        let sent = tokio::select! {
            biased;
            sent = sending => sent,
            () = shared.clock.sleep(timeout) => Ok(Sent::Unanswered),
        };
        let problem = match sent {
            Ok(Sent::Answered(mut response)) => {
                if !wants_vendor_information {
                    response.vendor_information = None;
                }
                return Ok(*response);
            }
            Ok(Sent::Unanswered) => Error::Expired("the next CSE did not answer in time"),
            // A notification is repeated under its identifier by whoever hears that it may not have arrived.
            Err(SendError::Unconfirmed(_)) if !is_notification => Error::Expired("the next CSE did not answer in time"),
            Ok(Sent::Unanswerable) => Error::NotReachable(hop.cse_id.to_string()),
            Err(error) => {
                tracing::debug!(cse = %hop.cse_id, %error, "a request cannot be passed on");
                Error::NotReachable(hop.cse_id.to_string())
            }
        };
        shared.metrics.forward_failed.increment();
        Err(problem)
    }
}

/// Why a request cannot be passed on that was passed on before: not that it was not carried out.
fn in_doubt(operation: Operation, problem: Error) -> Error {
    match problem {
        Error::NotReachable(_) | Error::NoRoute { .. } if operation != Operation::Notify => {
            Error::Expired("it was passed on, the answer was lost, and the next CSE cannot be asked again now")
        }
        problem => problem,
    }
}

/// The CSE that has made the identifier of a request and uses it once, if that is known.
pub(crate) fn maker_of(request: &Request) -> Option<Text> {
    let made = identifier::read(&request.request_identifier);
    made.filter(|_| request.context.redelivery == Redelivery::UsedOnce).map(|made| made.by.into())
}

/// Times relative to the receipt become absolute at the first CSE, so that the way counts.
fn fix_times(request: &mut Request, received: Timestamp) {
    for time in [&mut request.request_expiration, &mut request.result_expiration, &mut request.operation_execution_time]
    {
        *time = time.map(|time| AbsRelTimestamp::Absolute(time.at(received)));
    }
}

/// Makes of a request what goes to the next CSE.
fn rewrite(
    request: &mut Request,
    identifier: Text,
    originator: &Originator,
    is_release_1: bool,
    identity: &CseIdentity,
) {
    request.from = Some(from_elsewhere(originator, identity));
    request.request_identifier = identifier;
    request.response_type = ResponseType::Blocking;
    request.notification_uris = None;
    if is_release_1 {
        request.release_version = None;
        request.vendor_information = None;
    }
    request.context = Context::default();
}

/// An originator as other CSEs of the service provider know it.
fn from_elsewhere(originator: &Originator, identity: &CseIdentity) -> Text {
    let text = originator.as_str();
    if text.starts_with('/') {
        text.into()
    } else if text.starts_with('S') {
        smol_str::format_smolstr!("/{text}")
    } else {
        identity.sp_relative(text).into()
    }
}

/// Whether a redelivery is to be answered the same; what failed for now may go well the next time.
fn is_final(status: Rsc) -> bool {
    !matches!(status, Rsc::InternalServerError | Rsc::TargetNotReachable | Rsc::RequestTimeout)
}
