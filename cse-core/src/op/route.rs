//! How another entity is reached: an AE that is registered here, a CSE, or what is behind a CSE (TS-0001 §10.2.2.3,
//! TS-0004 §7.3.2.6).

use std::sync::Arc;
use std::time::Duration;

use crate::address::Target;
use crate::behaviour::polling_channel;
use crate::behaviour::schedule::Window;
use crate::codec::Serialization;
use crate::cse::Cse;
use crate::error::Error;
use crate::id::{CseType, Seq, provider_of};
use crate::node::Node;
use crate::op::forward::Turn;
use crate::ports::{Destination, OutgoingRequest, Patience, SendError, Sent, Store};
use crate::preference;
use crate::primitive::Request;
use crate::registrations::NextHop;
use crate::schema::{Ty, keys};
use crate::time::Timestamp;
use crate::value::Text;

/// How an entity can be reached: in this order, what `to` it is given, and how it wants to read.
pub(crate) struct Route {
    pub(crate) destinations: Vec<Destination>,
    pub(crate) to: Text,
    pub(crate) serialization: Serialization,
    /// The polling channel in which a request waits that none of the destinations takes.
    pub(crate) channel: Option<Channel>,
    /// Whether it leads to another service provider, where this CSE has its absolute identifier.
    pub(crate) leaves_provider: bool,
    /// Whether the schedule of the entity lets it be reached now; if not, there are no destinations.
    pub(crate) window: Window,
}

impl Route {
    /// Until when there is no way but that of the schedule, if that is why there is none now.
    pub(crate) fn closed_until(&self) -> Option<Timestamp> {
        match self.window {
            Window::Closed { until } if self.channel.is_none() => until,
            _ => None,
        }
    }
}

/// A way by a polling channel.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Channel {
    /// The `<pollingChannel>`.
    pub(crate) seq: Seq,
    /// Whether a request is taken while nobody fetches any, too.
    pub(crate) is_patient: bool,
}

impl<S: Store> Cse<S> {
    /// The next CSE on the way to another one: a registree, or else the registrar. From an IN-CSE, which is the top of
    /// its service provider, only CSEs of the registrar's provider are behind the registrar. `None` if there is no way
    /// now.
    ///
    /// `cse_id` as [`CseIdentity::cse_id_of`](crate::id::CseIdentity::cse_id_of) has it.
    pub(crate) fn next_hop(&self, cse_id: &str) -> Option<NextHop> {
        let shared = &self.0;
        shared.registrations.next_hop(cse_id).or_else(|| {
            let registrar = shared.registrations.registrar()?;
            let is_behind = match shared.settings.identity.cse_type {
                CseType::In => provider_of(cse_id).is_some() && provider_of(cse_id) == provider_of(&registrar.cse_id),
                CseType::Mn | CseType::Asn => true,
            };
            (is_behind || registrar.cse_id == cse_id).then_some(registrar)
        })
    }

    /// Finds how a notification target is reached; `None` when there is no way now.
    pub(crate) async fn route(&self, target: &str) -> Result<Option<Route>, Error> {
        if target.contains("://") {
            let (url, wanted) = preference::of_url(target);
            let serialization = wanted.unwrap_or(preference::DEFAULT);
            let destinations = vec![Destination::Url(url.clone())];
            return Ok(Some(Route {
                destinations,
                to: url,
                serialization,
                channel: None,
                leaves_provider: false,
                window: Window::Open,
            }));
        }
        let identity = &self.0.settings.identity;
        match Target::of(target, identity) {
            Target::Local(local, _) => match self.stem_elsewhere(&local, target).await {
                Ok(Some(elsewhere)) => self.route_elsewhere(&elsewhere).await,
                Ok(None) => match self.0.view().plain(&local).await? {
                    Some(node) => self.entity_route(&node).await,
                    None => Ok(None),
                },
                Err(Error::NotReachable(_)) => Ok(None),
                Err(error) => Err(error),
            },
            Target::Remote => self.route_elsewhere(target).await,
        }
    }

    async fn route_elsewhere(&self, target: &str) -> Result<Option<Route>, Error> {
        let identity = &self.0.settings.identity;
        match identity.cse_id_of(target).and_then(|cse_id| self.next_hop(&cse_id)) {
            Some(hop) => self.route_by(&hop, target).await,
            None => Ok(None),
        }
    }

    /// How the next CSE is given a request to an address that is at or behind it; `None` when it cannot be reached
    /// now.
    pub(crate) async fn route_by(&self, hop: &NextHop, to: &str) -> Result<Option<Route>, Error> {
        let now = self.0.clock.now();
        let Some(node) = self.0.view().node(hop.seq).await?.filter(|node| !node.is_expired(now)) else {
            return Ok(None);
        };
        let route = self.entity_route(&node).await?;
        Ok(route.map(|route| Route { to: to.into(), ..route }))
    }

    /// How an AE or a CSE that is registered here is reached now; `None` if it is not.
    pub(super) async fn entity_route(&self, node: &Arc<Node>) -> Result<Option<Route>, Error> {
        let Some(mut route) = entity_route(node) else { return Ok(None) };
        route.window = self.reachability(node).await?;
        if !route.window.is_open() {
            route.destinations.clear();
        }
        Ok(Some(route))
    }

    /// When an entity can be reached again that its schedule keeps from being reached now.
    pub(crate) async fn opening_of(&self, target: &str) -> Option<Timestamp> {
        self.route(target).await.ok().flatten()?.closed_until()
    }

    /// Sends a request along a route: the first destination that can be reached has it.
    pub(crate) async fn send_along(
        &self,
        route: &Route,
        request: Request,
        timeout: Duration,
        patience: Patience,
    ) -> Result<Sent, SendError> {
        self.send_along_in_turn(route, request, timeout, patience, None).await
    }

    /// The same for one of several that have to leave in order.
    pub(crate) async fn send_along_in_turn(
        &self,
        route: &Route,
        mut request: Request,
        timeout: Duration,
        patience: Patience,
        mut turn: Option<Turn>,
    ) -> Result<Sent, SendError> {
        request.to = route.to.clone();
        if route.leaves_provider
            && let Some(from) = &request.from
            && from.starts_with('/')
            && !from.starts_with("//")
        {
            request.from = Some(smol_str::format_smolstr!("{}{from}", self.0.settings.identity.sp_id));
        }
        let in_order = turn.is_some();
        let expires = self.0.clock.now().plus(timeout);
        let why = if route.window.is_open() { "no point of access" } else { "its schedule says that it is not there" };
        let mut problem = SendError::Unreachable(why.into());
        for destination in &route.destinations {
            if !self.0.outbound.reaches(destination) {
                problem = SendError::Unsupported(destination.as_str().to_owned());
                continue;
            }
            let (destination, request) = (destination.clone(), request.clone());
            let outgoing = OutgoingRequest {
                destination,
                request,
                serialization: route.serialization,
                timeout,
                patience,
                in_order,
            };
            match Turn::send(turn.take(), self.0.outbound.send(outgoing)).await {
                Ok(sent) => return Ok(sent),
                Err(error) => problem = error,
            }
        }
        match route.channel {
            Some(channel) => Turn::send(turn, self.send_by_channel(channel, request, expires)).await,
            None => Err(problem),
        }
    }
}

/// How an AE or a CSE is reached: by its points of access, then by its polling channel; without any of these by its
/// identifier over our own broker.
fn entity_route(node: &Arc<Node>) -> Option<Route> {
    let identifier: Text = match node.ty {
        Ty::AE => node.id.clone(),
        Ty::REMOTE_CSE => node.attributes.text(keys::CSE_ID)?.into(),
        _ => return None,
    };
    let channel = polling_channel::of(node).map(|seq| Channel { seq, is_patient: true });
    let is_reachable = node.attributes.bool(keys::REQUEST_REACHABILITY) == Some(true);
    if !is_reachable && channel.is_none() {
        return None;
    }
    let points = node.attributes.texts(keys::POINT_OF_ACCESS).filter(|_| is_reachable);
    let mut destinations: Vec<Destination> =
        points.map(|url| Destination::PointOfAccess { url: url.into(), entity: identifier.clone() }).collect();
    if destinations.is_empty() && channel.is_none() {
        destinations.push(Destination::MqttEntity(identifier.clone()));
    }
    let serialization = preference::of_entity(node).unwrap_or(preference::DEFAULT);
    let leaves_provider = node.ty == Ty::REMOTE_CSE && identifier.starts_with("//");
    let window = Window::Open;
    Some(Route { destinations, to: identifier, serialization, channel, leaves_provider, window })
}
