//! The AEs at both ends: what they ask for and what becomes of it, and what they are notified of.

use std::sync::Arc;
use std::time::Duration;

use cse_core::error::Rsc;
use cse_core::ports::{SendError, Sent};
use cse_core::primitive::{Binding, Context, Redelivery, Request, Response};
use cse_core::value::{Map, Value};
use parking_lot::Mutex;

use crate::world::{End, World};

/// A client waits no longer for its CSE.
const CRASH_MAX: Duration = Duration::from_secs(600);

/// JSON text to a tree.
pub fn json(text: &str) -> Map {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// What became of the CREATE of an instance.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// The CSE crashed, and the client does not ask again.
    Unknown,
    Answered(Rsc),
    /// A non-blocking one: the address of the `<request>`.
    Accepted(String),
}

/// The CREATE of an instance, the only one with that content.
#[derive(Clone, Debug)]
pub struct Write {
    /// Where the container is.
    pub at: End,
    pub content: String,
    pub outcome: Outcome,
    /// Whether the request came twice, so that the second may have gone well where the first did not.
    pub came_again: bool,
}

/// What AEs asked for and were told.
#[derive(Default)]
pub struct Devices {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    asking: usize,
    writes: Vec<Write>,
    /// By AE, the contents of instances that it was notified of.
    notified: [Vec<String>; 2],
    /// Whether an AE cannot be reached, and whether that ever was so.
    is_away: [bool; 2],
    was_away: [bool; 2],
}

impl Devices {
    /// A request of a CSE to an entity that is none of the two CSEs.
    pub fn notified(&self, world: &World, entity: &str, request: &Request) -> Result<Sent, SendError> {
        let Some(end) = End::BOTH.into_iter().find(|end| end.ae() == entity) else {
            return Err(SendError::Unreachable("nobody of that name".into()));
        };
        let mut inner = self.inner.lock();
        if inner.is_away[end as usize] {
            world.tell(|| format!("  {entity} is away"));
            return Err(SendError::Unreachable("it is away".into()));
        }
        if let Some(content) = request.content.as_ref().and_then(instance_in) {
            world.tell(|| format!("  {entity} is notified of {content}"));
            inner.notified[end as usize].push(content);
        }
        Ok(Sent::Answered(Box::new(Response::new(Rsc::Ok, request.request_identifier.clone()))))
    }

    pub fn set_away(&self, end: End, is_away: bool) {
        let mut inner = self.inner.lock();
        inner.is_away[end as usize] = is_away;
        inner.was_away[end as usize] |= is_away;
    }

    pub fn was_away(&self, end: End) -> bool {
        self.inner.lock().was_away[end as usize]
    }

    pub fn is_away(&self, end: End) -> bool {
        self.inner.lock().is_away[end as usize]
    }

    pub fn asking(&self) -> usize {
        self.inner.lock().asking
    }

    pub fn writes(&self) -> Vec<Write> {
        self.inner.lock().writes.clone()
    }

    /// What the AE at that end was notified of.
    pub fn notified_of(&self, end: End) -> Vec<String> {
        self.inner.lock().notified[end as usize].clone()
    }
}

/// The content of the instance that a notification tells of.
fn instance_in(content: &Map) -> Option<String> {
    let member = |map: &Map, name: &str| map.get(name).and_then(Value::as_map).cloned();
    let event = member(&member(content, "m2m:sgn")?, "nev")?;
    let instance = member(&member(&event, "rep")?, "m2m:cin")?;
    instance.text("con").map(str::to_owned)
}

/// What a binding knows of an AE's request.
fn context(end: End, redelivery: Redelivery) -> Context {
    Context { binding: Binding::Mqtt, sender: Some(end.ae().into()), redelivery, ..Context::default() }
}

/// Sends a request of the AE at that end, and again after a crash if it is patient, as a broker does. `None` without
/// answer.
pub async fn ask(world: &Arc<World>, end: End, request: &Request, is_patient: bool) -> Option<Response> {
    let mut redelivery = Redelivery::New;
    while world.wait_until(CRASH_MAX, || world.is_up(end)).await {
        if let Some(response) = world.carry_out(end, request, context(end, redelivery)).await {
            return Some(response);
        }
        if !is_patient {
            return None;
        }
        redelivery = Redelivery::Possible;
    }
    None
}

/// How a CREATE is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Manner {
    /// Whether the request comes again after a crash.
    pub is_patient: bool,
    /// After what time it comes again though nothing was wrong.
    pub comes_again: Option<Duration>,
}

/// Has the AE at that end create an instance with that content; does not wait for what becomes of it.
pub fn create(world: &Arc<World>, by: End, at: End, content: String, request: Request, manner: Manner) {
    world.devices.inner.lock().asking += 1;
    if let Some(delay) = manner.comes_again {
        let (world, request) = (Arc::clone(world), request.clone());
        world.devices.inner.lock().asking += 1;
        tokio::spawn(async move {
            tokio::time::sleep(delay).await;
            world.tell(|| format!("{} asks again for {}", by.ae(), request.request_identifier));
            world.carry_out(by, &request, context(by, Redelivery::Possible)).await;
            world.devices.inner.lock().asking -= 1;
        });
    }
    let world = Arc::clone(world);
    tokio::spawn(async move {
        let response = ask(&world, by, &request, manner.is_patient).await;
        let outcome = match response {
            None => Outcome::Unknown,
            Some(response) => {
                let uri = response.content.as_ref().and_then(|content| content.text("m2m:uri"));
                match uri {
                    Some(uri) => Outcome::Accepted(uri.to_owned()),
                    None => Outcome::Answered(response.status),
                }
            }
        };
        world.tell(|| format!("{} of {content}: {outcome:?}", by.ae()));
        let mut inner = world.devices.inner.lock();
        inner.writes.push(Write { at, content, outcome, came_again: manner.comes_again.is_some() });
        inner.asking -= 1;
    });
}
