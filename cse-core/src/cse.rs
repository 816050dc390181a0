//! The CSE: takes requests, sends each on its way, and owns the tasks behind.

mod changing;
mod reading;

use std::num::NonZeroUsize;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use futures_util::FutureExt;
use lru::LruCache;
use parking_lot::Mutex;
use rustc_hash::FxHashMap;
use tokio::sync::{Notify, Semaphore, mpsc, watch};
use tokio::task::JoinSet;
use tracing::{Instrument, Span};

use crate::access::authorize::Requester;
use crate::access::policy::Access;
use crate::address::Target;
use crate::announce::{self, AnnounceHandle};
use crate::availability::Availability;
use crate::base;
use crate::behaviour::schedule::Schedule;
use crate::cache::Cache;
use crate::codec::Serialization;
use crate::elsewhere::Elsewhere;
use crate::error::Error;
use crate::id::Seq;
use crate::metrics::Metrics;
use crate::node::Policies;
use crate::non_blocking;
use crate::op::fan_out::Through;
use crate::op::forward::Places;
use crate::op::members::{self, Unvalidated};
use crate::op::write_back::CopiesChanged;
use crate::op::{Answers, Cx};
use crate::outbox::{self, OutboxHandle};
use crate::polling::Polling;
use crate::ports::{Clock, Dispatch, Outbound, ReplyKey, Store, StoreError};
use crate::preference;
use crate::primitive::{Binding, Operation, ReleaseVersion, Request, Response, ResultContent};
use crate::registrations::Registrations;
use crate::schema::Ty;
use crate::settings::Settings;
use crate::time::Timestamp;
use crate::timers;
use crate::under_way::UnderWay;
use crate::uplink::UplinkHandle;
use crate::value::Text;
use crate::view::{ReadSource, View};
use crate::writer::{self, Job};

/// Requests that wait for their execution time (`oet`).
const DELAYED_MAX: usize = 256;
/// Group request identifiers that are remembered.
const GROUP_REQUESTS_MAX: usize = 10_000;

/// A running CSE. Cheap to clone.
pub struct Cse<S: Store>(pub(crate) Arc<Shared<S>>);

impl<S: Store> Clone for Cse<S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

/// What all parts of a running CSE share.
pub(crate) struct Shared<S: Store> {
    pub(crate) settings: Settings,
    pub(crate) store: S,
    pub(crate) cache: Cache,
    pub(crate) elsewhere: Elsewhere<Policies>,
    /// Of nodes at other CSEs.
    pub(crate) schedules: Elsewhere<Schedule>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) outbound: Arc<dyn Outbound>,
    pub(crate) metrics: Metrics,
    pub(crate) outbox: OutboxHandle,
    pub(crate) announce: Arc<AnnounceHandle>,
    pub(crate) copies_changed: CopiesChanged,
    pub(crate) polling: Polling,
    pub(crate) registrations: Arc<Registrations>,
    pub(crate) availability: Availability,
    pub(crate) non_blocking: non_blocking::Book,
    pub(crate) uplink: UplinkHandle,
    /// Changes when a line to other CSEs may be back, so that what waits for it need not wait for the end of a pause.
    pub(crate) line: watch::Sender<u64>,
    pub(crate) unvalidated: Unvalidated,
    pub(crate) stop: watch::Sender<bool>,
    pub(crate) jobs: mpsc::Sender<Job>,
    /// Microseconds of the next expiration or deadline that is known.
    pub(crate) next_due: AtomicI64,
    pub(crate) due_changed: Notify,
    /// Updates of resources with a blocking subscription, one at a time each.
    leases: Mutex<FxHashMap<Seq, Arc<tokio::sync::Mutex<()>>>>,
    pub(crate) under_way: UnderWay,
    /// Requests that were passed on and are not answered yet.
    pub(crate) places: Places,
    delayed: Arc<Semaphore>,
    group_requests: Mutex<LruCache<(Text, Seq), ReplyKey>>,
    started: Timestamp,
    requests_made: AtomicU64,
}

/// Why a CSE cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The store failed.
    #[error("the store cannot be used: {0}")]
    Store(#[from] StoreError),
    /// The tree in the store has another root; a resource never changes its name.
    #[error(
        "the CSEBase in the store is named '{found}', not '{wanted}' (--cse-name); names of resources never change"
    )]
    Renamed {
        /// The name in the store.
        found: Text,
        /// The name that is configured.
        wanted: Text,
    },
}

impl<S: Store> Shared<S> {
    /// A request identifier that no other request of this CSE has had.
    pub(crate) fn new_request_identifier(&self) -> Text {
        let number = self.requests_made.fetch_add(1, Ordering::Relaxed);
        let base = self.settings.identity.base_id();
        smol_str::format_smolstr!("{base}-{:x}-{number:x}", self.started.micros())
    }

    /// The identifier of a request that is tried for as long as it takes, by when and as what it came to be. No other
    /// request has it: those above have no leading zero.
    pub(crate) fn lasting_identifier(&self, created: Timestamp, seq: Seq) -> Text {
        let base = self.settings.identity.base_id();
        smol_str::format_smolstr!("{base}-0{:x}-{:x}", created.micros(), seq.0)
    }

    /// There is reason to believe that a line to other CSEs is back.
    pub(crate) fn line_is_back(&self) {
        self.line.send_modify(|times| *times += 1);
    }

    /// Something is due at that time; wakes the timers if nothing earlier is.
    pub(crate) fn deadline_added(&self, at: Timestamp) {
        if self.next_due.fetch_min(at.micros(), Ordering::AcqRel) > at.micros() {
            self.due_changed.notify_one();
        }
    }

    /// A view for reading.
    pub(crate) fn view(&self) -> View<'_, ReadSource<'_, S>> {
        let source = ReadSource::new(&self.store, &self.cache);
        View::new(&self.settings, &self.cache, &self.elsewhere, source, self.clock.now())
    }
}

impl<S: Store> Cse<S> {
    /// Starts a CSE on a store: makes or brings up to date its CSEBase. The future runs what works in the
    /// background and ends after [`Cse::stop`], or early if a part of it failed.
    ///
    /// # Errors
    /// [`StartError`] when the store fails.
    pub async fn start(
        settings: Settings,
        store: S,
        clock: Arc<dyn Clock>,
        outbound: Arc<dyn Outbound>,
    ) -> Result<(Self, impl Future<Output = ()> + Send + 'static), StartError> {
        let (jobs, waiting_jobs) = mpsc::channel(settings.write_queue_max.max(1));
        let (outbox, outbox_inbox) = outbox::handle(&settings, &store).await?;
        let (announce, announcements) = announce::handle(&store).await?;
        let (unvalidated, unvalidated_groups) = members::queue();
        let (stop, stopped) = watch::channel(false);
        base::put(&settings, &store, clock.now()).await?;
        let registrations = Arc::new(Registrations::load(&store, &settings).await?);
        let availability = Availability::load(&store).await?;
        let non_blocking = non_blocking::Book::load(&store, &settings).await?;
        let group_requests = NonZeroUsize::new(GROUP_REQUESTS_MAX).unwrap_or(NonZeroUsize::MIN);
        let shared = Arc::new(Shared {
            cache: Cache::new(settings.cache_bytes_max),
            elsewhere: Elsewhere::default(),
            schedules: Elsewhere::default(),
            polling: Polling::new(&settings, Arc::clone(&clock)),
            started: clock.now(),
            uplink: UplinkHandle::new(settings.registrar.as_ref()),
            line: watch::Sender::new(0),
            settings,
            store,
            clock,
            outbound,
            metrics: Metrics::default(),
            outbox,
            announce,
            copies_changed: CopiesChanged::default(),
            registrations,
            availability,
            non_blocking,
            unvalidated,
            stop,
            jobs,
            next_due: AtomicI64::new(i64::MAX),
            due_changed: Notify::new(),
            leases: Mutex::new(FxHashMap::default()),
            under_way: UnderWay::default(),
            places: Places::default(),
            delayed: Arc::new(Semaphore::new(DELAYED_MAX)),
            group_requests: Mutex::new(LruCache::new(group_requests)),
            requests_made: AtomicU64::new(0),
        });
        let cse = Self(Arc::clone(&shared));
        let background = async move {
            let mut helpers = JoinSet::new();
            helpers.spawn(timers::run(Arc::clone(&shared), stopped.clone()));
            helpers.spawn(non_blocking::run(Cse(Arc::clone(&shared)), stopped.clone()));
            helpers.spawn(members::run(Cse(Arc::clone(&shared)), unvalidated_groups, stopped.clone()));
            helpers.spawn(outbox::run(Cse(Arc::clone(&shared)), outbox_inbox, stopped.clone()));
            let handle = Arc::clone(&shared.announce);
            helpers.spawn(announce::run(Cse(Arc::clone(&shared)), handle, announcements, stopped.clone()));
            let mut writer = tokio::spawn(writer::run(Arc::clone(&shared), waiting_jobs, stopped));
            // A part that ends by itself has failed; the rest must not limp on.
            tokio::select! {
                _ = helpers.join_next() => {}
                _ = &mut writer => {}
            }
            shared.stop.send_replace(true);
            while helpers.join_next().await.is_some() {}
            if !writer.is_finished() {
                drop(writer.await);
            }
        };
        Ok((cse, background))
    }

    /// Begins to stop: changes that wait are still made, new ones are refused.
    pub fn stop(&self) {
        self.0.stop.send_replace(true);
    }

    /// Polls that wait at polling channels, and requests that wait there to be fetched or answered.
    pub fn polling_waiting(&self) -> (usize, usize) {
        self.0.polling.waiting()
    }

    /// Answers those who wait at a polling channel, and all who come to wait there from now on: before bindings
    /// are stopped, which let requests end that they have taken.
    pub fn end_polls(&self) {
        self.0.polling.close();
    }

    /// The counters.
    pub fn metrics(&self) -> &Metrics {
        &self.0.metrics
    }

    /// Resources in the cache and bytes that they take, roughly.
    pub fn cache_size(&self) -> (usize, usize) {
        self.0.cache.size()
    }

    /// Requests that were passed on to other CSEs and are not answered yet.
    pub fn forwarded_waiting(&self) -> usize {
        self.0.places.count()
    }

    /// Who is registered.
    pub fn registrations(&self) -> Arc<Registrations> {
        Arc::clone(&self.0.registrations)
    }

    /// `<request>` resources: non-blocking requests that wait to be carried out, or whose result is kept.
    pub fn non_blocking_requests(&self) -> usize {
        self.0.non_blocking.count()
    }

    /// Notifications that wait in memory.
    pub fn notifications_waiting(&self) -> usize {
        self.0.outbox.waiting()
    }

    /// Bytes that these take in the store, roughly, and how long the oldest has waited.
    pub fn notifications_backlog(&self) -> (usize, Duration) {
        let (bytes, oldest) = self.0.outbox.backlog();
        (bytes, oldest.map_or(Duration::ZERO, |oldest| self.0.clock.now().since(oldest)))
    }

    /// Non-blocking requests for other CSEs that wait to be passed on.
    pub fn non_blocking_waiting(&self) -> usize {
        self.0.non_blocking.waiting()
    }

    /// What is to be done for copies at other CSEs and is not done yet.
    pub fn announcements_waiting(&self) -> usize {
        self.0.announce.waiting()
    }

    /// Carries out a request; a panic on the way is an error of it.
    pub(crate) async fn attempt(&self, request: Request, through: Through) -> Result<Response, Error> {
        let request_identifier = request.request_identifier.clone();
        let outcome = AssertUnwindSafe(self.handle_through(request, through)).catch_unwind().await;
        outcome.unwrap_or_else(|_| {
            tracing::error!(request = %request_identifier, "a request made the CSE panic");
            Err(Error::Internal)
        })
    }

    /// Carries out a request that came directly or through groups of this CSE.
    pub(crate) async fn handle_through(&self, mut request: Request, mut through: Through) -> Result<Response, Error> {
        let shared = &self.0;
        let received = shared.clock.now();
        let Located { requester, release, deadline, target } = self.context(&request, received)?;
        let deadline = through.until.map_or(deadline, |until| until.min(deadline));
        // Whoever administers it must be able to change that.
        if !requester.privileged && !shared.availability.window(received).is_open() {
            return Err(Error::NotReachable("this CSE at this time, as its schedule says".into()));
        }
        request.context.redelivery = self.redelivery_of(&request, &requester.originator);
        if request.response_type.is_non_blocking() {
            // Whoever is not known could be given no access to the result, and fill the place of those who are.
            self.check_is_known(&request, &requester.originator, requester.privileged)?;
            let cx = Cx { requester, release, deadline, target: Text::default(), attribute: None };
            return boxed(|| self.change(request, cx, Answers::default())).await;
        }
        let target = match target {
            Target::Local(local, attribute) if request.operation == Operation::Notify => {
                match boxed(|| self.stem_elsewhere(&local, &request.to)).await? {
                    Some(elsewhere) => {
                        request.to = elsewhere;
                        through.is_redirected = true;
                        Target::Remote
                    }
                    None => Target::Local(local, attribute),
                }
            }
            target => target,
        };
        let Target::Local(target, attribute) = target else {
            return boxed(|| self.forward(request, &requester, deadline, &through)).await;
        };
        self.wait_for_execution_time(&request, received, deadline).await?;
        let cx = Cx { requester, release, deadline, target, attribute };
        if cx.target.contains("/fopt") {
            let resolved = shared.view().resolve(&cx.target).await?;
            if let crate::address::Resolved::FanOut(group, rest) = resolved {
                return self.fan_out(request, cx, group, rest, through).await;
            }
        }
        if cx.target.ends_with("/pcu") {
            let resolved = shared.view().resolve(&cx.target).await?;
            if let crate::address::Resolved::PollingChannelUri(channel) = resolved {
                return boxed(|| self.at_polling_channel(&request, &cx, &channel)).await;
            }
        }
        match request.operation {
            Operation::Retrieve
                if request.result_content == Some(ResultContent::OriginalResource) && !request.is_discovery() =>
            {
                boxed(|| self.original(request, cx, through)).await
            }
            Operation::Retrieve => self.retrieve(&request, &cx).await,
            Operation::Notify if shared.view().plain(&cx.target).await?.is_some_and(|node| node.ty == Ty::GROUP) => {
                boxed(|| self.change(request, cx, Answers::default())).await
            }
            Operation::Notify => {
                let result = boxed(|| self.notify(request, &cx)).await;
                let mut view = self.0.view();
                if let Ok(Some(node)) = view.plain(&cx.target).await {
                    let subscriptions = view.subscriptions(&node).await?;
                    self.observe(&subscriptions, &node, &cx, Operation::Notify, Access::NOTIFY, false);
                }
                result
            }
            Operation::Create | Operation::Update | Operation::Delete => {
                let verified = through.verified.to_vec();
                let (fulfils, group) = (through.fulfils, through.group);
                let answers = Answers { verified, fulfils, group, ..Answers::default() };
                self.change(request, cx, answers).await
            }
        }
    }

    /// The checks of TS-0004 §7.3.2 that need no resource.
    fn context(&self, request: &Request, received: Timestamp) -> Result<Located, Error> {
        let settings = &self.0.settings;
        let deadline = deadline_of(request, received, settings.request_timeout)?;
        let from = request.from.clone().unwrap_or_default();
        let registers = request.operation == Operation::Create && request.resource_type == Some(Ty::AE);
        if from.is_empty() && !registers {
            return Err(Error::MissingParameter("fr"));
        }
        let originator = settings.identity.originator_of(request);
        self.check_comes_from(request, &originator)?;
        let is_itself = request.context.binding == Binding::Internal && originator.as_str() == settings.identity.cse_id;
        if request.response_type.is_non_blocking() {
            non_blocking::check(request, &originator)?;
        }
        let requester = Requester {
            privileged: is_itself || originator == settings.admin,
            originator,
            address: request.context.peer.address,
            authenticated: request.context.peer.authenticated,
            credential: request.context.peer.credential.clone(),
            identifier: request.context.peer.identifier.clone(),
        };
        if request.to.is_empty() {
            return Err(Error::parameter("to", "must not be empty"));
        }
        let target = Target::of(&request.to, &settings.identity);
        for (name, feature) in [
            ("sqi", "semantic queries"),
            ("tqi", "token requests"),
            ("asi", "authorization signatures"),
            ("auri", "authorization relationships"),
        ] {
            if target != Target::Remote && request.passive.bool(name) == Some(true) {
                return Err(Error::NotImplemented(format!("{feature} ({name})")));
            }
        }
        if matches!(target, Target::Local(_, Some(_))) && request.operation != Operation::Retrieve {
            return Err(Error::parameter("to", "can name an attribute (#) only in RETRIEVE"));
        }
        Ok(Located { requester, release: request.release_version, deadline, target })
    }

    /// Waits until `oet`, if it is in the future.
    async fn wait_for_execution_time(
        &self,
        request: &Request,
        received: Timestamp,
        deadline: Timestamp,
    ) -> Result<(), Error> {
        let Some(time) = request.operation_execution_time.map(|time| time.at(received)) else {
            return Ok(());
        };
        if time <= received {
            return Ok(());
        }
        if request.request_expiration.is_some() && time > deadline {
            return Err(Error::parameter("oet", "must not be later than rqet"));
        }
        let wait = time.since(received);
        if wait > self.0.settings.execution_delay_max {
            return Err(Error::NotImplemented("an operation execution time that far ahead".into()));
        }
        let _place = Arc::clone(&self.0.delayed)
            .try_acquire_owned()
            .map_err(|_| Error::Busy("too many requests wait for their operation execution time"))?;
        self.0.clock.sleep(wait).await;
        Ok(())
    }

    /// Notes a group request; `false` when another one with that identifier was seen at this group before. The
    /// same one again is a redelivery: what comes round through nested groups is another one.
    pub(crate) fn note_group_request(&self, identifier: &Text, group: Seq, key: ReplyKey) -> bool {
        let mut seen = self.0.group_requests.lock();
        *seen.get_or_insert((identifier.clone(), group), || key) == key
    }
}

/// What is known of a request before its target is looked at.
struct Located {
    requester: Requester,
    release: Option<ReleaseVersion>,
    deadline: Timestamp,
    target: Target,
}

/// Makes a future behind a pointer, so that what is seldom done takes no room in the futures of all requests. It is
/// made on a part of the stack that is free again when it runs: groups of groups have requests within each other there.
#[inline(never)]
fn boxed<Made: Future>(make: impl FnOnce() -> Made) -> Pin<Box<Made>> {
    Box::pin(make())
}

/// When a request expires, after its time parameters have been checked (TS-0004 §7.3.2).
pub(crate) fn deadline_of(request: &Request, received: Timestamp, timeout: Duration) -> Result<Timestamp, Error> {
    let expiration = request.request_expiration.map(|time| time.at(received));
    let result = request.result_expiration.map(|time| time.at(received));
    let execution = request.operation_execution_time.map(|time| time.at(received));
    if expiration.is_some_and(|time| time <= received) {
        return Err(Error::Expired("the request expired (rqet) before it was received"));
    }
    if result.is_some_and(|time| time <= received) {
        return Err(Error::Expired("the result expired (rset) before the request was received"));
    }
    if let (Some(expiration), Some(result)) = (expiration, result)
        && result < expiration
    {
        return Err(Error::parameter("rset", "must not be earlier than rqet"));
    }
    if let (Some(execution), Some(result)) = (execution, result)
        && execution > result
    {
        return Err(Error::parameter("oet", "must not be later than rset"));
    }
    let begins = execution.unwrap_or(received).max(received);
    Ok(expiration.or(result).unwrap_or_else(|| begins.plus(timeout)))
}

/// What the log says of a request besides each message.
pub(crate) fn span_of(request: &Request) -> Span {
    tracing::info_span!(
        "request",
        rqi = request.request_identifier.as_str(),
        originator = request.from.as_deref(),
        operation = request.operation.name(),
        target = request.to.as_str(),
    )
}

impl<S: Store> Dispatch for Cse<S> {
    async fn dispatch(&self, request: Request) -> Response {
        let metrics = &self.0.metrics;
        metrics.requests[request.operation as usize - 1].increment();
        let request_identifier = request.request_identifier.clone();
        let release_version = request.release_version;
        let span = span_of(&request);
        let outcome = self.attempt(request, Through::default()).instrument(span.clone()).await;
        let _in_request = span.enter();
        let mut response = outcome.unwrap_or_else(|error| Response::error(request_identifier.clone(), &error));
        response.request_identifier = request_identifier;
        response.release_version = release_version;
        if !response.is_success() {
            metrics.refused.increment();
            tracing::debug!(status = %response.status, reason = response.debug_text(), "refused");
        } else {
            tracing::debug!(status = %response.status, "answered");
        }
        response
    }

    async fn preferred_serialization(&self, originator: &str) -> Option<Serialization> {
        let identity = &self.0.settings.identity;
        let originator = identity.canonical_originator(originator);
        // It is only how the answer looks: where the store fails, the request itself will say so.
        let entity = match identity.cse_id_of(originator.as_str()) {
            // The answer goes to the CSE that passed the request on.
            Some(cse_id) => {
                let hop = self.next_hop(&cse_id)?;
                self.0.view().node(hop.seq).await.ok().flatten()?
            }
            None => self.0.view().registration(&originator).await.ok().flatten()?,
        };
        preference::of_entity(&entity)
    }
}
