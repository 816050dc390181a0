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

use std::time::Duration;

use tokio::sync::oneshot;

pub(crate) use self::places::Places;
use self::side::Side;
use crate::access::authorize::Requester;
use crate::cse::{Cse, deadline_of};
use crate::digest;
use crate::error::{Error, Rsc};
use crate::id::{CseIdentity, Originator};
use crate::op::fan_out::Through;
use crate::op::route::Route;
use crate::ports::{Patience, ReplyKey, SendError, Sent, Store};
use crate::primitive::{Operation, Redelivery, ReleaseVersion, Request, Response, ResponseType};
use crate::registrations::NextHop;
use crate::resource::approximate_bytes;
use crate::schema::{Ty, keys};
use crate::time::{AbsRelTimestamp, Timestamp};
use crate::value::Text;
use crate::writer::{Job, PassOn, Passage, PassedOn};

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
    /// [`Error::NoRoute`], [`Error::NotReachable`], [`Error::Expired`] when no answer comes in time,
    /// [`Error::OriginatorNotRegistered`], [`Error::Busy`].
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
        let side = match self.side_of(&request, &requester.originator, requester.privileged)? {
            // The members of a group may well be where its user is.
            _ if through_group => Side::Here,
            side => side,
        };
        let passed_on = if through_group { 0 } else { self.passed_on_before(&request, &side)? };
        // Nothing is waited for before the writer is: its queue keeps the order of requests of one originator.
        let hop = self.hop_to(&request.to, if through.is_redirected { &Side::Here } else { &side })?;
        let bytes = request.content.as_ref().map_or(0, approximate_bytes);
        let _place = self.0.places.take(&hop.cse_id, bytes)?;
        if let (Some(identifier), Some(until)) = (&through.passed_on_as, through.until) {
            let now = self.0.clock.now();
            let identifier = identifier::telling(identifier.clone(), passed_on + 1);
            return self.forward_under(request, identifier, now, &hop, (requester, until.since(now))).await;
        }
        let requester = (requester, self.0.settings.request_timeout);
        let identifier = identifier::telling(self.0.new_request_identifier(), passed_on + 1);
        if request.operation == Operation::Retrieve {
            return self.forward_under(request, identifier, self.0.clock.now(), &hop, requester).await;
        }
        let key = digest::of(&request);
        let redelivery = request.context.redelivery;
        let made_by = maker_of(&request);
        let send = |identifier, since| self.forward_under(request, identifier, since, &hop, requester);
        self.pass_on((key, made_by), redelivery, identifier, deadline, send).await
    }

    /// Has a request sent under an identifier of this CSE: the same each time, however often the request is delivered.
    /// Once there is an answer, a redelivery gets that instead.
    ///
    /// The request is known by the key; whose identifier it has, is as [`maker_of`] says. `send` is given the identifier,
    /// and when the request came first.
    pub(crate) async fn pass_on<Sending>(
        &self,
        (key, made_by): (ReplyKey, Option<Text>),
        redelivery: Redelivery,
        identifier: Text,
        deadline: Timestamp,
        send: impl FnOnce(Text, Timestamp) -> Sending,
    ) -> Result<Response, Error>
    where
        Sending: Future<Output = Result<Response, Error>>,
    {
        let clock = &self.0.clock;
        if redelivery == Redelivery::Never {
            return send(identifier, clock.now()).await;
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
        let (identifier, since) = match self.passage((key, made_by.clone()), redelivery, identifier, deadline).await? {
            Passage::Answered(response) => return Ok(*response),
            Passage::Under { identifier, since } => (identifier, since),
        };
        let response = send(identifier.clone(), since).await?;
        if is_final(response.status) {
            // Not waited for, and no harm if there is no room: a CSE that is asked again remembers the answer as well.
            let answered = PassedOn { key, made_by, identifier, response: Box::new(response.clone()) };
            drop(self.0.jobs.try_send(Job::PassedOn(answered)));
        }
        Ok(response)
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
    /// which the request comes.
    fn hop_to(&self, to: &str, side: &Side) -> Result<NextHop, Error> {
        let Self(shared) = self;
        let no_route = |why| Error::NoRoute { target: to.to_owned(), why };
        let cse_id = shared.settings.identity.cse_id_of(to).ok_or_else(|| no_route("it names no CSE"))?;
        match (self.next_hop(&cse_id), shared.settings.registrar_id()) {
            (Some(hop), _) if *side == Side::Cse(hop.cse_id.clone()) => {
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

    /// Sends a request to the next CSE and waits for the answer, for so long if the request does not say.
    async fn forward_under(
        &self,
        mut request: Request,
        identifier: Text,
        received: Timestamp,
        hop: &NextHop,
        (requester, patience): (&Requester, Duration),
    ) -> Result<Response, Error> {
        let shared = &self.0;
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
        let sending = self.send_along(&next.route, request, timeout, Patience::UntilTimeout);
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
    request.context = crate::primitive::Context::default();
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
