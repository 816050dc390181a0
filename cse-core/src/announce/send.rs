//! One attempt at one entry: what is to be done at the other CSE now, and what came of it.

use super::settle::policies_for;
use super::state::{self, CopyState};
use super::{End, Outcome, Task, copy, handle::AnnounceHandle, host_of, task_of};
use crate::cse::Cse;
use crate::error::{Error, Rsc};
use crate::id::Seq;
use crate::node::{Node, is_instance};
use crate::op::fan_out::Through;
use crate::ports::{OutboxEntry, Store};
use crate::primitive::{
    AttributeCondition, FilterCriteria, FilterUsage, Operation, Redelivery, Request, Response, ResultContent,
};
use crate::schema::{Ty, keys};
use crate::time::Timestamp;
use crate::value::{Map, Text, Value};

/// Why nothing came of an attempt yet.
#[derive(Debug)]
pub(super) struct Again {
    pub(super) problem: String,
    /// Whether it may well be for good: nobody knows the host, or the host not this CSE.
    pub(super) is_stranger: bool,
}

impl Again {
    fn later(problem: impl ToString) -> Self {
        Self { problem: problem.to_string(), is_stranger: false }
    }

    fn as_stranger(problem: impl ToString) -> Self {
        Self { problem: problem.to_string(), is_stranger: true }
    }
}

impl From<Error> for Again {
    fn from(error: Error) -> Self {
        Again::later(error)
    }
}

/// What an answer means.
pub(super) enum Verdict {
    Done(Box<Response>),
    /// There is nothing at that address.
    NotThere,
    /// The host does not know this CSE, or it does not let it.
    NotLet(String),
    Refused(String),
}

impl Verdict {
    /// Why it was not done, if the host let it not be done.
    pub(super) fn problem(&self) -> Option<&str> {
        match self {
            Self::Done(_) | Self::NotThere => None,
            Self::NotLet(problem) | Self::Refused(problem) => Some(problem),
        }
    }
}

/// An attempt at an entry.
pub(super) struct Attempt<'a, S: Store> {
    pub(super) cse: &'a Cse<S>,
    pub(super) entry: &'a OutboxEntry,
    /// How often the host has answered to this entry. Repetitions that follow no answer are repetitions of the same
    /// request.
    pub(super) round: u32,
    pub(super) host: Text,
    /// Whether an earlier attempt may have had an effect that nobody knows of.
    is_repeated: bool,
}

impl<'a, S: Store> Attempt<'a, S> {
    /// Notes that the entry is begun.
    pub(super) fn new(cse: &'a Cse<S>, entry: &'a OutboxEntry, round: u32, handle: &AnnounceHandle) -> Self {
        let host = host_of(entry);
        let is_repeated = handle.may_exist(&host, entry.seq);
        handle.begin(&host, entry.seq);
        Self { cse, entry, round, host, is_repeated }
    }

    pub(super) async fn make(&self) -> Result<Outcome, Again> {
        match task_of(self.entry) {
            Task::Synchronize => self.synchronize().await,
            Task::Remove(address) => self.remove(&address).await,
            Task::Find { link, ty, place } => self.find(&link, ty, place).await,
            Task::Record(stem) => self.record(&stem).await,
            Task::Below(step) => step.look(&mut self.cse.0.view(), self.entry.subscription).await,
        }
    }

    async fn synchronize(&self) -> Result<Outcome, Again> {
        let shared = &self.cse.0;
        let mut view = shared.view();
        let Some(node) = view.node(self.entry.subscription).await? else {
            return Ok(Outcome::Done);
        };
        let copies = state::of(&node);
        let Some(state) = copies.get(&self.host).filter(|state| state.entry == Some(self.entry.seq)) else {
            return Ok(Outcome::Done);
        };
        let policies = policies_for(&mut view, &node, None).await?;
        let mut wanted = copy::of(&node, policies.as_ref(), &shared.settings.identity, &self.host);
        drop(view);
        if node.ty == Ty::CSE_BASE {
            wanted.insert(keys::EXPIRATION_TIME, self.end_of_base());
        }
        match &state.address {
            Some(address) => self.update(&node, state, address, wanted).await,
            None => self.create(&node, state, wanted).await,
        }
    }

    async fn update(&self, node: &Node, state: &CopyState, address: &Text, wanted: Map) -> Result<Outcome, Again> {
        let update = match self.is_repeated {
            true => copy::whole(node.ty, &wanted),
            false => copy::difference(&state.content, &wanted),
        };
        let content = copy::digests(&wanted);
        if update.is_empty() {
            return Ok(Outcome::Updated { content, end: End::AsBefore });
        }
        let asks_for_time = update.contains(keys::EXPIRATION_TIME);
        let mut request = self.request(Operation::Update, address);
        request.content = Some(self.representation(node.ty, update)?);
        request.result_content =
            Some(if asks_for_time { ResultContent::ModifiedAttributes } else { ResultContent::Nothing });
        match self.send(request).await? {
            Verdict::Done(response) if asks_for_time => {
                Ok(Outcome::Updated { content, end: end(&response, node, &wanted) })
            }
            Verdict::Done(_) => Ok(Outcome::Updated { content, end: End::AsBefore }),
            Verdict::NotThere => Ok(Outcome::Vanished),
            Verdict::NotLet(problem) | Verdict::Refused(problem) => {
                // The copy stays as it was; the next change is offered again.
                self.cse.0.metrics.announcements_refused.increment();
                tracing::warn!(host = %self.host, resource = %node.id, problem, "the change of a copy is refused");
                Ok(Outcome::Updated { content, end: End::AsBefore })
            }
        }
    }

    async fn create(&self, node: &Node, state: &CopyState, wanted: Map) -> Result<Outcome, Again> {
        let (parent, is_parents) = match self.place(node, state).await? {
            Place::At(address) => (address, false),
            Place::Parent(address) => (address, true),
            Place::None => return Ok(Outcome::Refused),
            Place::Base(Some(address)) => (address, false),
            Place::Base(None) => return self.create_base().await,
        };
        let content = copy::digests(&wanted);
        let request = self.creation(node.ty, &parent, wanted.clone())?;
        match self.send(request).await? {
            Verdict::Done(response) => match self.created(node.ty, &response) {
                Some(address) => {
                    let below = is_parents.then(|| parent.clone());
                    Ok(Outcome::Created { address, below, content, end: end(&response, node, &wanted) })
                }
                None => Ok(self.refused(node, "the answer does not say where the copy is")),
            },
            Verdict::NotThere if is_parents => Ok(Outcome::ParentVanished),
            Verdict::NotThere if state.place.is_none() => Ok(Outcome::BaseVanished),
            Verdict::NotThere => Ok(self.refused(node, "there is no such place")),
            Verdict::NotLet(problem) | Verdict::Refused(problem) => Ok(self.refused(node, &problem)),
        }
    }

    fn refused(&self, node: &Node, problem: &str) -> Outcome {
        tracing::warn!(host = %self.host, resource = %node.id, problem, "an announcement is refused");
        Outcome::Refused
    }

    /// Below what the copy is to be made: where the originator wants it, below the copy of the parent, or below the one of
    /// the CSEBase.
    async fn place(&self, node: &Node, state: &CopyState) -> Result<Place, Again> {
        if let Some(place) = &state.place {
            return Ok(Place::At(place.clone()));
        }
        let mut view = self.cse.0.view();
        if let Some(parent) = view.parent(node).await?.filter(|parent| parent.seq != Seq::CSE_BASE)
            && let Some(address) = state::of(&parent).remove(&self.host).and_then(|state| state.address)
        {
            return Ok(Place::Parent(address));
        }
        if is_instance(node.ty) {
            return Ok(Place::None);
        }
        let base = view.base().await?;
        Ok(Place::Base(state::of(&base).remove(&self.host).and_then(|state| state.address)))
    }

    async fn create_base(&self) -> Result<Outcome, Again> {
        let shared = &self.cse.0;
        let base = shared.view().base().await?;
        let mut wanted = copy::of(&base, None, &shared.settings.identity, &self.host);
        wanted.insert(keys::EXPIRATION_TIME, self.end_of_base());
        let to = smol_str::format_smolstr!("{}/-", self.host);
        let request = self.creation(Ty::CSE_BASE, &to, wanted.clone())?;
        match self.send(request).await? {
            Verdict::Done(response) => match self.created(Ty::CSE_BASE, &response) {
                Some(address) => {
                    let (content, end) = (copy::digests(&wanted), end(&response, &base, &wanted));
                    Ok(Outcome::BaseCreated { address, content, end })
                }
                None => Err(Again::as_stranger("the answer does not say where the copy of the CSEBase is")),
            },
            Verdict::NotThere => Err(Again::as_stranger("there is no such CSE")),
            Verdict::NotLet(problem) | Verdict::Refused(problem) => Err(Again::as_stranger(problem)),
        }
    }

    /// A CSEBase does not expire, so its copy is asked to live as long as anything may.
    fn end_of_base(&self) -> Timestamp {
        self.cse.0.clock.now().plus(self.cse.0.settings.maximum_lifetime)
    }

    async fn remove(&self, address: &Text) -> Result<Outcome, Again> {
        let mut request = self.request(Operation::Delete, address);
        request.result_content = Some(ResultContent::Nothing);
        match self.send(request).await? {
            Verdict::Done(_) | Verdict::NotThere => {}
            Verdict::NotLet(problem) | Verdict::Refused(problem) => {
                self.cse.0.metrics.announcements_refused.increment();
                tracing::warn!(host = %self.host, %address, problem, "a copy cannot be deleted; it stays until it expires");
            }
        }
        Ok(Outcome::Removed(address.clone()))
    }

    /// Looks for copies of an original that is gone, which were made without this CSE having learned of it.
    async fn find(&self, link: &Text, ty: Ty, place: Option<Text>) -> Result<Outcome, Again> {
        let base = self.cse.0.view().base().await?;
        let known = || state::of(&base).remove(&self.host).and_then(|state| state.address);
        let Some(under) = place.or_else(known) else {
            return Ok(Outcome::Done);
        };
        let mut request = self.request(Operation::Retrieve, &under);
        // As they are known here.
        request.unstructured_addresses = true;
        request.filter_criteria = Some(Box::new(FilterCriteria {
            usage: FilterUsage::Discovery,
            resource_type: vec![ty],
            attribute: vec![AttributeCondition { name: keys::LINK.into(), value: link.clone().into() }],
            ..FilterCriteria::default()
        }));
        if let Verdict::Done(response) = self.send(request).await? {
            let found = response.content.as_ref().and_then(|content| content.get("m2m:uril"));
            // One that is announced again may have got its copy by an attempt that ended late.
            let original = self.cse.0.view().node(self.entry.subscription).await?;
            let known = original.and_then(|node| state::of(&node).remove(&self.host)).and_then(|state| state.address);
            for address in found.into_iter().flat_map(Value::texts).map(|address| self.sp_relative(address)) {
                if known.as_ref() != Some(&address) {
                    self.remove(&address).await?;
                }
            }
        }
        Ok(Outcome::Done)
    }

    fn representation(&self, ty: Ty, attributes: Map) -> Result<Map, Again> {
        let variant = copy::variant(ty).ok_or_else(|| Again::as_stranger("the type cannot be announced"))?;
        Ok(Map::single(variant.root, attributes))
    }

    fn creation(&self, ty: Ty, to: &Text, wanted: Map) -> Result<Request, Again> {
        let mut request = self.request(Operation::Create, to);
        request.resource_type = Some(ty.announced());
        request.content = Some(self.representation(ty, wanted)?);
        // One whose answer was lost is known again on the way and at the host.
        request.context.redelivery = Redelivery::Possible;
        Ok(request)
    }

    /// The identifier of what is sent in this round.
    pub(super) fn identifier(&self) -> Text {
        let (base, entry, round) = (self.cse.0.settings.identity.base_id(), self.entry.seq, self.round);
        smol_str::format_smolstr!("{base}-annc-{entry}-{round}")
    }

    fn request(&self, operation: Operation, to: &Text) -> Request {
        let identity = &self.cse.0.settings.identity;
        Request::new(operation, to.clone(), identity.cse_id.clone(), self.identifier())
    }

    /// Where a copy was made.
    fn created(&self, ty: Ty, response: &Response) -> Option<Text> {
        let (root, copy) = response.content.as_ref()?.only()?;
        let copy = copy.as_map().filter(|_| copy::variant(ty).is_some_and(|variant| *root == variant.root))?;
        copy.text(keys::RESOURCE_ID).map(|id| self.sp_relative(id))
    }

    /// An address that the host gave, as others use it.
    fn sp_relative(&self, address: &str) -> Text {
        if address.starts_with('/') { address.into() } else { smol_str::format_smolstr!("{}/{address}", self.host) }
    }

    async fn send(&self, request: Request) -> Result<Verdict, Again> {
        self.judge(Box::pin(self.cse.attempt(request, Through::default())).await)
    }

    /// What an answer means, or that there is none.
    pub(super) fn judge(&self, outcome: Result<Response, Error>) -> Result<Verdict, Again> {
        let response = match outcome {
            Ok(response) => response,
            Err(error @ Error::NoRoute { .. }) => return Err(Again::as_stranger(error)),
            Err(error) => return Err(Again::later(error)),
        };
        let problem = || {
            let text = response.debug_text().unwrap_or_default();
            format!("{} {text}", response.status)
        };
        match response.status {
            status if status.is_success() => Ok(Verdict::Done(Box::new(response))),
            Rsc::NotFound => Ok(Verdict::NotThere),
            Rsc::TargetNotReachable | Rsc::RequestTimeout | Rsc::InternalServerError => Err(Again::later(problem())),
            Rsc::OriginatorHasNoPrivilege | Rsc::OriginatorNotAuthenticated | Rsc::SecurityAssociationRequired => {
                Ok(Verdict::NotLet(problem()))
            }
            _ => Ok(Verdict::Refused(problem())),
        }
    }
}

/// When a copy expires, from what its host said to the time that it was asked for.
fn end(response: &Response, node: &Node, wanted: &Map) -> End {
    let time = |map: &Map| map.text(keys::EXPIRATION_TIME).and_then(Timestamp::parse);
    let copy = response.content.as_ref().and_then(|content| content.only()?.1.as_map());
    let (granted, asked) = (copy.and_then(time), time(wanted));
    match granted.or(asked) {
        Some(end) if node.ty == Ty::CSE_BASE || asked.is_some_and(|asked| end < asked) => End::Early(end),
        _ => End::WithOriginal,
    }
}

/// Where a copy is to be made.
enum Place {
    At(Text),
    Parent(Text),
    /// The copy of the CSEBase, if it is there.
    Base(Option<Text>),
    /// Instances need the copy of their container.
    None,
}
