//! The two CSEs and their lives: started, crashed at any moment, started again on what was committed.

use std::sync::Arc;
use std::time::Duration;

use cse_core::cse::Cse;
use cse_core::id::{CseIdentity, CseType};
use cse_core::memory::MemoryStore;
use cse_core::ports::{BoxFuture, Clock, Dispatch};
use cse_core::primitive::{Context, Request, Response};
use cse_core::settings::{Registrar, Settings};
use cse_core::time::Timestamp;
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::clients::Devices;
use crate::link::{Link, Way, Weather};
use crate::random::Random;
use crate::store::LifeStore;

/// One of the two CSEs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum End {
    In,
    Mn,
}

impl End {
    pub const BOTH: [End; 2] = [End::In, End::Mn];

    pub fn other(self) -> Self {
        match self {
            Self::In => Self::Mn,
            Self::Mn => Self::In,
        }
    }

    pub fn cse_id(self) -> &'static str {
        match self {
            Self::In => "/id-in",
            Self::Mn => "/id-mn",
        }
    }

    /// Name of its CSEBase.
    pub fn base(self) -> &'static str {
        match self {
            Self::In => "cse-in",
            Self::Mn => "cse-mn",
        }
    }

    /// Originator of the AE that is registered there.
    pub fn ae(self) -> &'static str {
        match self {
            Self::In => "Capp",
            Self::Mn => "Csensor",
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::In => "IN",
            Self::Mn => "MN",
        }
    }

    /// With an entity's identifier, as destinations have it.
    pub fn of_cse_id(cse_id: &str) -> Option<Self> {
        Self::BOTH.into_iter().find(|end| end.cse_id() == cse_id)
    }
}

/// The time of the runtime, which goes on when everybody waits.
struct VirtualClock {
    began: Instant,
}

impl Clock for VirtualClock {
    fn now(&self) -> Timestamp {
        Timestamp::parse("20260101T120000").expect("valid").plus(self.began.elapsed())
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(duration))
    }
}

/// A CSE from its start to its end.
struct Life {
    cse: Cse<LifeStore>,
    store: LifeStore,
    is_over: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
}

#[derive(Default)]
struct Place {
    disk: MemoryStore,
    life: Mutex<Option<Life>>,
}

/// See the module.
pub struct World {
    pub link: Link,
    pub devices: Devices,
    /// Something has changed that somebody may wait for.
    pub changed: Notify,
    began: Mutex<Option<Instant>>,
    places: [Place; 2],
    /// Where the IN is told to reach the MN.
    point_of_access: Mutex<&'static str>,
    told: Mutex<Vec<String>>,
}

impl World {
    pub fn new(seed: u64) -> Arc<Self> {
        let mut random = Random::new(seed.wrapping_mul(2));
        let weather = Weather::of(&mut random);
        Arc::new(Self {
            link: Link::new(weather, seed),
            devices: Devices::default(),
            changed: Notify::new(),
            began: Mutex::default(),
            places: Default::default(),
            point_of_access: Mutex::new("mqtt://mn-1"),
            told: Mutex::default(),
        })
    }

    fn place(&self, end: End) -> &Place {
        &self.places[end as usize]
    }

    fn began(&self) -> Instant {
        *self.began.lock().get_or_insert_with(Instant::now)
    }

    /// One line of the story.
    pub fn tell(&self, line: impl FnOnce() -> String) {
        let at = self.began().elapsed();
        self.told.lock().push(format!("[{:8.3}] {}", at.as_secs_f64(), line()));
    }

    pub fn told(&self) -> Vec<String> {
        self.told.lock().clone()
    }

    pub fn now(&self) -> Timestamp {
        VirtualClock { began: self.began() }.now()
    }

    /// What is committed at a CSE.
    pub fn disk(&self, end: End) -> &MemoryStore {
        &self.place(end).disk
    }

    pub fn settings(&self, end: End) -> Settings {
        let cse_type = if end == End::In { CseType::In } else { CseType::Mn };
        let identity = CseIdentity::new("//cse.example", end.cse_id(), end.base(), cse_type).expect("valid");
        let mut settings = Settings::new(identity, "CAdmin");
        if end == End::Mn {
            settings.registrar = Some(Registrar {
                cse_name: Some(End::In.base().into()),
                own_points_of_access: vec![(*self.point_of_access.lock()).into()],
                lifetime: Duration::from_secs(60),
                check_interval: Duration::from_secs(15),
                ..Registrar::new(End::In.cse_id(), vec!["mqtt://in".into()])
            });
        }
        settings
    }

    /// The MN is reached somewhere else after its next start.
    pub fn move_mn(&self, random: &mut Random) {
        let point = *random.pick::<&str>(&["mqtt://mn-1", "mqtt://mn-2", "mqtt://mn-3"]);
        *self.point_of_access.lock() = point;
    }

    pub fn point_of_access(&self) -> &'static str {
        *self.point_of_access.lock()
    }

    pub async fn start(self: &Arc<Self>, end: End) {
        if self.is_up(end) {
            return;
        }
        self.tell(|| format!("{} starts", end.name()));
        let store = LifeStore::new(self.disk(end).clone());
        let clock = Arc::new(VirtualClock { began: self.began() });
        let way = Arc::new(Way { world: Arc::downgrade(self), from: end });
        let (cse, background) = Cse::start(self.settings(end), store.clone(), clock, way).await.expect("starts");
        let (is_over, mut over) = watch::channel(false);
        let mut tasks = vec![tokio::spawn(background)];
        if end == End::Mn {
            let cse = cse.clone();
            tasks.push(tokio::spawn(async move {
                cse.run_uplink(async { drop(over.wait_for(|over| *over).await) }).await;
            }));
        }
        *self.place(end).life.lock() = Some(Life { cse, store, is_over, tasks });
        self.changed.notify_waiters();
    }

    /// Ends a CSE at once; what is not committed is lost.
    pub fn crash(&self, end: End) {
        let Some(life) = self.place(end).life.lock().take() else { return };
        self.tell(|| format!("{} crashes", end.name()));
        life.store.end();
        life.is_over.send_replace(true);
        life.tasks.iter().for_each(JoinHandle::abort);
        // The writer is nobody's; it has nothing to write to any more.
        life.cse.stop();
        self.link.lost_receiver(end);
        self.changed.notify_waiters();
    }

    pub fn is_up(&self, end: End) -> bool {
        self.place(end).life.lock().is_some()
    }

    pub fn cse(&self, end: End) -> Option<Cse<LifeStore>> {
        self.place(end).life.lock().as_ref().map(|life| life.cse.clone())
    }

    /// Has a CSE carry out a request; `None` if it crashes before it has answered, or is not there.
    pub async fn carry_out(&self, end: End, request: &Request, context: Context) -> Option<Response> {
        let mut request = Request::from_map(request.to_map()).expect("one that can be read");
        request.context = context;
        let (cse, mut over) = {
            let life = self.place(end).life.lock();
            let life = life.as_ref()?;
            (life.cse.clone(), life.is_over.subscribe())
        };
        tokio::select! {
            biased;
            _ = over.wait_for(|over| *over) => None,
            response = cse.dispatch(request) => Some(response),
        }
    }

    /// Waits until something holds; `false` if it does not within that time.
    pub async fn wait_until(&self, longest: Duration, mut holds: impl FnMut() -> bool) -> bool {
        let waiting = async {
            loop {
                let changed = self.changed.notified();
                tokio::pin!(changed);
                changed.as_mut().enable();
                if holds() {
                    return;
                }
                changed.await;
            }
        };
        tokio::time::timeout(longest, waiting).await.is_ok()
    }
}
