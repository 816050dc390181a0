//! The way up: this CSE as the registree of another one (TS-0001 §10.2.2.3, TS-0004 §7.4.4).
//!
//! One task keeps the `<remoteCSE>` of this CSE at its registrar, and the one of the registrar here, as they should be:
//! it registers, looks whether that still holds, refreshes before the expiration, tells what has changed, and begins again
//! after any failure, for ever. It holds no state that matters: whatever is found at the registrar is brought up to date.

mod backoff;
mod forms;
mod registrar_here;

use std::pin::pin;
use std::time::Duration;

use tokio::sync::{Notify, watch};

use crate::cse::Cse;
use crate::error::Rsc;
use crate::ports::{Destination, OutgoingRequest, Patience, SendError, Sent, Store};
use crate::primitive::{Operation, Request, Response};
use crate::schema::{Ty, keys};
use crate::settings::Registrar;
use crate::time::{AbsRelTimestamp, Timestamp};
use crate::value::{Map, Text, Value};

use backoff::Backoff;

/// Longest time that a stop waits for the registrar to hear of it.
const FAREWELL_MAX: Duration = Duration::from_secs(3);
/// Shortest time between two refreshes, however short registrations are.
const REFRESH_MIN: Duration = Duration::from_secs(1);

/// Whether this CSE is registered with its registrar.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum UplinkState {
    /// It has no registrar.
    Off,
    /// Not now; tried again and again.
    Registering {
        /// Why the last attempt failed; `None` before the first has ended.
        problem: Option<Text>,
    },
    /// It is.
    Registered {
        /// Since when without interruption that was noticed.
        since: Timestamp,
    },
}

/// What others see of the uplink, and how they wake it.
pub(crate) struct UplinkHandle {
    state: watch::Sender<UplinkState>,
    /// There is reason to look whether the registration still holds.
    look: Notify,
    /// Where the registrar reaches this CSE.
    own_points: watch::Sender<Vec<Text>>,
}

impl UplinkHandle {
    pub(crate) fn new(registrar: Option<&Registrar>) -> Self {
        let state = match registrar {
            None => UplinkState::Off,
            Some(_) => UplinkState::Registering { problem: None },
        };
        let own_points = registrar.map(|registrar| registrar.own_points_of_access.clone()).unwrap_or_default();
        Self { state: watch::Sender::new(state), look: Notify::new(), own_points: watch::Sender::new(own_points) }
    }

    pub(crate) fn set_own_points(&self, points: Vec<Text>) {
        self.own_points.send_if_modified(|known| {
            let is_new = *known != points;
            *known = points;
            is_new
        });
    }
}

impl<S: Store> Cse<S> {
    /// Whether this CSE is registered with its registrar, to watch.
    pub fn uplink(&self) -> watch::Receiver<UplinkState> {
        self.0.uplink.state.subscribe()
    }

    /// Has the registration looked after at once, as when a connection to the registrar is back.
    pub fn check_uplink(&self) {
        self.0.uplink.look.notify_one();
    }

    /// Keeps this CSE registered until `stop` ends, and then deregisters it if that is wanted. Ends at once after
    /// `stop` where there is no registrar. To be run once.
    pub async fn run_uplink(&self, stop: impl Future<Output = ()> + Send) {
        let Some(registrar) = &self.0.settings.registrar else {
            return stop.await;
        };
        let mut uplink = Uplink::new(self, registrar);
        {
            let mut stop = pin!(stop);
            tokio::select! {
                biased;
                () = &mut stop => {}
                () = uplink.keep() => {}
            }
        }
        if registrar.deregister_on_shutdown {
            tokio::select! {
                () = uplink.leave() => {}
                () = self.0.clock.sleep(FAREWELL_MAX) => {
                    tracing::warn!(registrar = registrar.cse_id.as_str(), "the registrar did not hear of the stop in time");
                }
            }
        }
        self.0.uplink.state.send_replace(UplinkState::Registering { problem: Some("stopped".into()) });
    }
}

/// Why this CSE is not registered.
#[derive(Debug, thiserror::Error)]
enum Problem {
    #[error("{0}")]
    Unreachable(SendError),
    #[error("no answer in time")]
    Unanswered,
    #[error("{operation} was answered {status}{}", .text.as_ref().map(|text| format!(": {text}")).unwrap_or_default())]
    Refused { operation: Operation, status: Rsc, text: Option<String> },
    #[error("the resource of the registrar here cannot be kept: {0}")]
    Here(String),
}

impl Problem {
    fn refused(operation: Operation, response: &Response) -> Self {
        Self::Refused { operation, status: response.status, text: response.debug_text().map(str::to_owned) }
    }
}

/// What became of an update.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Update {
    Done,
    /// There is nothing to update.
    NotThere,
    /// What is there will never be as it should.
    Unacceptable,
}

/// What is to be done next.
enum Next {
    /// Tell the registrar everything again.
    Refresh,
    /// Ask whether the registration is there.
    Look,
}

/// The work of the task.
struct Uplink<'a, S: Store> {
    cse: &'a Cse<S>,
    registrar: &'a Registrar,
    /// Address of our resource at the registrar, once it is known.
    address: Option<Text>,
    /// What the registrar was told, without expiration time; `None` while we are not registered as far as we know.
    told: Option<Map>,
    /// What the resource of the registrar here says.
    kept_here: Option<Map>,
    /// The IN-CSE of our service provider, once it is known.
    in_cse_id: Option<Text>,
    /// Tells when CSEs have come or gone below this one.
    cses_below: watch::Receiver<u64>,
    own_points: watch::Receiver<Vec<Text>>,
    refresh_at: Timestamp,
    backoff: Backoff,
}

impl<'a, S: Store> Uplink<'a, S> {
    fn new(cse: &'a Cse<S>, registrar: &'a Registrar) -> Self {
        let now = cse.0.clock.now();
        Self {
            cse,
            registrar,
            address: None,
            told: None,
            kept_here: None,
            in_cse_id: None,
            cses_below: cse.0.registrations.cses_version(),
            own_points: cse.0.uplink.own_points.subscribe(),
            refresh_at: now,
            backoff: Backoff::new((&cse.0.settings.identity.cse_id, now.micros())),
        }
    }

    fn now(&self) -> Timestamp {
        self.cse.0.clock.now()
    }

    /// Never ends.
    async fn keep(&mut self) {
        let handle = &self.cse.0.uplink;
        let mut next = Next::Refresh;
        loop {
            self.cse.0.metrics.uplink_attempts.increment();
            let done = match next {
                Next::Refresh => self.refresh().await,
                Next::Look => self.look().await,
            };
            next = match done {
                Ok(()) => {
                    self.succeeded();
                    self.wait().await
                }
                Err(problem) => {
                    self.cse.0.metrics.uplink_failures.increment();
                    let pause = self.backoff.failed();
                    self.failed(&problem, pause);
                    tokio::select! {
                        () = self.cse.0.clock.sleep(pause) => {}
                        () = handle.look.notified() => {}
                    }
                    Next::Refresh
                }
            };
        }
    }

    fn succeeded(&mut self) {
        self.backoff.succeeded();
        self.cse.0.line_is_back();
        let since = self.now();
        let is_new = self.cse.0.uplink.state.send_if_modified(|state| {
            let is_new = !matches!(state, UplinkState::Registered { .. });
            if is_new {
                *state = UplinkState::Registered { since };
            }
            is_new
        });
        if is_new {
            tracing::info!(registrar = self.registrar.cse_id.as_str(), "registered");
        }
    }

    fn failed(&self, problem: &Problem, pause: Duration) {
        let registrar = self.registrar.cse_id.as_str();
        let pause_ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
        // A line for each loss, not for each attempt: there may be a day of them.
        if self.backoff.failures() == 1 {
            tracing::warn!(registrar, %problem, pause_ms, "not registered; trying again for as long as it takes");
        } else {
            tracing::debug!(registrar, %problem, pause_ms, "still not registered");
        }
        let problem = Some(Text::from(problem.to_string()));
        self.cse.0.uplink.state.send_replace(UplinkState::Registering { problem });
    }

    /// Waits while all is well; what to do then.
    async fn wait(&mut self) -> Next {
        let shared = &self.cse.0;
        let check = self.registrar.check_interval;
        loop {
            let now = shared.clock.now();
            if self.refresh_at <= now || self.told.as_ref() != Some(&self.about_us()) {
                return Next::Refresh;
            }
            let until_refresh = self.refresh_at.since(now);
            let checks = !check.is_zero() && check < until_refresh;
            tokio::select! {
                () = shared.clock.sleep(if checks { check } else { until_refresh }) => if checks {
                    return Next::Look;
                },
                () = shared.uplink.look.notified() => return Next::Look,
                _ = self.cses_below.changed() => {}
                _ = self.own_points.changed() => {}
            }
        }
    }

    /// Tells the registrar everything: by an update if we are registered as far as we know, else by registering.
    async fn refresh(&mut self) -> Result<(), Problem> {
        if self.told.is_none() || self.update().await? != Update::Done {
            self.told = None;
            self.register().await?;
        }
        self.keep_registrar_here().await
    }

    /// Asks whether our resource is there, and registers if not.
    async fn look(&mut self) -> Result<(), Problem> {
        if self.told.is_none() {
            return self.refresh().await;
        }
        let address = self.addresses().swap_remove(0);
        let response = self.send(self.request(Operation::Retrieve, address)).await?;
        match response.status {
            Rsc::Ok => return Ok(()),
            Rsc::NotFound => self.told = None,
            // One that does not show it may take an update all the same.
            _ => {}
        }
        self.refresh().await
    }

    /// Registers, whatever there is already.
    async fn register(&mut self) -> Result<(), Problem> {
        let created = self.create().await?;
        match created.status {
            Rsc::Created => return Ok(()),
            // Ours from an earlier life, most likely.
            Rsc::OriginatorHasAlreadyRegistered | Rsc::Conflict => {}
            _ => return Err(Problem::refused(Operation::Create, &created)),
        }
        if self.update().await? == Update::Done {
            return Ok(());
        }
        // Ours cannot be brought up to date, or is not where ours would be: only another one is of use.
        self.delete().await?;
        match self.create().await? {
            created if created.status == Rsc::Created => Ok(()),
            refused => Err(Problem::refused(Operation::Create, &refused)),
        }
    }

    async fn create(&mut self) -> Result<Response, Problem> {
        let about_us = self.about_us();
        let mut request = self.request(Operation::Create, self.registrar.base());
        request.resource_type = Some(Ty::REMOTE_CSE);
        request.content = Some(self.creation(&about_us));
        let response = self.send(request).await?;
        if response.status == Rsc::Created {
            let created = attributes(&response);
            let id = created.and_then(|created| created.text(keys::RESOURCE_ID)).filter(|id| !id.contains('/'));
            self.address = id.map(|id| smol_str::format_smolstr!("{}/{id}", self.registrar.cse_id));
            self.note_told(about_us, &response);
        }
        Ok(response)
    }

    /// Brings our resource at the registrar up to date, if it is there and takes that.
    async fn update(&mut self) -> Result<Update, Problem> {
        let about_us = self.about_us();
        for address in self.addresses() {
            let mut request = self.request(Operation::Update, address.clone());
            request.content = Some(self.update_of(&about_us));
            let response = self.send(request).await?;
            match response.status {
                Rsc::Updated if self.told.is_none() && self.is_of_another_base(&response) => {
                    return Ok(Update::Unacceptable);
                }
                Rsc::Updated => {
                    self.address = Some(address);
                    self.note_told(about_us, &response);
                    return Ok(Update::Done);
                }
                Rsc::NotFound => {}
                status @ (Rsc::BadRequest | Rsc::ContentsUnacceptable) => {
                    tracing::warn!(%status, reason = response.debug_text(), "the registrar refuses an update");
                    return Ok(Update::Unacceptable);
                }
                // Busy, say. What is there may be worth a lot, with all that is below it, and another time will do.
                _ => return Err(Problem::refused(Operation::Update, &response)),
            }
        }
        Ok(Update::NotThere)
    }

    async fn delete(&mut self) -> Result<(), Problem> {
        for address in self.addresses() {
            if !self.is_ours(&address).await? {
                continue;
            }
            let response = self.send(self.request(Operation::Delete, address)).await?;
            match response.status {
                Rsc::NotFound => {}
                Rsc::Deleted => break,
                _ => return Err(Problem::refused(Operation::Delete, &response)),
            }
        }
        self.address = None;
        self.told = None;
        Ok(())
    }

    /// Whether the resource at an address stands for this CSE; of others there may be one of that name.
    async fn is_ours(&self, address: &Text) -> Result<bool, Problem> {
        if self.address.as_ref() == Some(address) {
            return Ok(true);
        }
        let response = self.send(self.request(Operation::Retrieve, address.clone())).await?;
        let stands_for = attributes(&response).and_then(|found| found.text(keys::CSE_ID));
        Ok(response.status == Rsc::Ok && stands_for == Some(self.own_id().as_str()))
    }

    /// Notes what the registrar has taken over, and until when that holds.
    fn note_told(&mut self, about_us: Map, response: &Response) {
        self.told = Some(about_us);
        let now = self.now();
        let expires = attributes(response).and_then(|sent| sent.text(keys::EXPIRATION_TIME)).and_then(Timestamp::parse);
        // The clock of the registrar may be another one, so what it says can only shorten the time.
        let holds = expires.map_or(self.registrar.lifetime, |at| at.since(now).min(self.registrar.lifetime));
        self.refresh_at = now.plus((holds / 2).max(REFRESH_MIN));
    }

    /// Deregisters, there and here.
    async fn leave(&mut self) {
        match self.delete().await {
            Ok(()) => tracing::info!(registrar = self.registrar.cse_id.as_str(), "deregistered"),
            Err(problem) => {
                tracing::warn!(registrar = self.registrar.cse_id.as_str(), %problem, "could not deregister");
            }
        }
        self.forget_registrar_here().await;
    }

    /// A request to the registrar. Should it wait somewhere, it is of no use later.
    fn request(&self, operation: Operation, to: Text) -> Request {
        let shared = &self.cse.0;
        let mut request = Request::new(operation, to, self.own_id(), shared.new_request_identifier());
        request.release_version = Some(self.registrar.release);
        // Relative, since the clocks may differ.
        request.request_expiration = Some(AbsRelTimestamp::Relative(shared.settings.request_timeout));
        request
    }

    /// Sends a request to the registrar's points of access, one after another. Each may have it: carrying out twice
    /// what these requests ask for does no harm.
    async fn send(&self, request: Request) -> Result<Response, Problem> {
        let shared = &self.cse.0;
        let mut problem = Problem::Unreachable(SendError::Unsupported("it has no point of access".into()));
        for url in &self.registrar.points_of_access {
            let destination = Destination::PointOfAccess { url: url.clone(), entity: self.registrar.cse_id.clone() };
            let outgoing = OutgoingRequest {
                destination,
                request: request.clone(),
                serialization: self.registrar.serialization,
                timeout: shared.settings.request_timeout,
                patience: Patience::UntilTimeout,
                in_order: false,
            };
            problem = match shared.outbound.send(outgoing).await {
                Ok(Sent::Answered(response)) => return Ok(*response),
                Ok(Sent::Unanswered | Sent::Unanswerable) => Problem::Unanswered,
                Err(error) => Problem::Unreachable(error),
            };
        }
        Err(problem)
    }
}

/// The attributes of the resource that a response carries.
fn attributes(response: &Response) -> Option<&Map> {
    response.content.as_ref()?.only().and_then(|(_, value): (_, &Value)| value.as_map())
}
