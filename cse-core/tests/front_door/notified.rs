//! What was notified: notifications in the words of tests, and a way to know that there are no more of them.

use std::sync::Arc;

use cse_core::primitive::Request;
use cse_core::schema::Ty;
use cse_core::value::{Map, Value};

use crate::harness::{Actor, TestCse};

/// A NOTIFY that was sent.
#[derive(Debug)]
pub struct Note {
    pub destination: String,
    pub request: Request,
}

impl Note {
    fn content(&self) -> &Map {
        self.request.content.as_ref().expect("a notification has content")
    }

    /// The single notifications, also those of an aggregated one.
    pub fn notifications(&self) -> Vec<&Map> {
        if let Some(single) = self.content().get("m2m:sgn").and_then(Value::as_map) {
            return vec![single];
        }
        let agn = self.content().get("m2m:agn").and_then(Value::as_map).expect("sgn or agn");
        agn.get("m2m:sgn").and_then(Value::as_list).expect("a list").iter().filter_map(Value::as_map).collect()
    }

    pub fn is_aggregated(&self) -> bool {
        self.content().contains("m2m:agn")
    }

    /// The only notification.
    pub fn sgn(&self) -> &Map {
        let all = self.notifications();
        assert_eq!(all.len(), 1, "{self:?}");
        all[0]
    }

    pub fn nev(&self) -> &Map {
        self.sgn().get("nev").and_then(Value::as_map).unwrap_or_else(|| panic!("no event: {self:?}"))
    }

    /// The event type.
    pub fn net(&self) -> i64 {
        self.nev().int("net").expect("an event type")
    }

    /// Root and attributes of the representation.
    pub fn representation(&self) -> (String, Map) {
        representation_in(self.sgn())
    }

    /// Contents of the instances that it tells of, in order.
    pub fn contents(&self) -> Vec<String> {
        let con = |sgn: &&Map| representation_in(sgn).1.text("con").expect("an instance").to_owned();
        self.notifications().iter().map(con).collect()
    }

    pub fn is_verification(&self) -> bool {
        self.content().get("m2m:sgn").and_then(Value::as_map).is_some_and(|sgn| sgn.bool("vrq") == Some(true))
    }
}

fn representation_in(sgn: &Map) -> (String, Map) {
    let nev = sgn.get("nev").and_then(Value::as_map).expect("an event");
    let rep = nev.get("rep").and_then(Value::as_map).expect("a representation");
    match rep.only() {
        Some((root, Value::Map(attributes))) => (root.to_string(), attributes.clone()),
        Some((root, other)) => (root.to_string(), Map::single("value", other.clone())),
        None => panic!("no representation: {sgn:?}"),
    }
}

const FENCE: &str = "http://fence.example/";

/// Where the notifications of a test go that are not for a registered AE.
pub const TARGET: &str = "http://target.example/n";

/// Contents of all instances that the notes tell of.
pub fn contents(notes: &[Note]) -> Vec<String> {
    notes.iter().flat_map(Note::contents).collect()
}

/// The event types of notes.
pub fn events(notes: &[Note]) -> Vec<i64> {
    notes.iter().map(Note::net).collect()
}

impl TestCse {
    /// All notifications of what was answered before, without verifications. Forgets them.
    ///
    /// One more change is made whose notification must come after all of them, so nothing is missed or awaited
    /// in vain.
    pub async fn notes(self: &Arc<Self>) -> Vec<Note> {
        self.notes_and_questions().await.into_iter().filter(|note| !note.is_verification()).collect()
    }

    /// As [`TestCse::notes`], with verifications.
    pub async fn notes_and_questions(self: &Arc<Self>) -> Vec<Note> {
        let admin = self.admin();
        let created = admin.container("cse-in", "fence").await;
        if created.0.is_success() {
            admin.subscribe("cse-in/fence", &format!(r#""nu":["{FENCE}"]"#)).await;
        }
        admin.update("cse-in/fence", r#"{"m2m:cnt":{"lbl":["x"]}}"#).await.updated();
        let mut count = self.network.count();
        loop {
            let sent = self.network.sent(count).await;
            let is_fence = |(destination, request): &(_, Request)| {
                let destination: &cse_core::ports::Destination = destination;
                destination.as_str() == FENCE && !is_verification(request)
            };
            if sent.iter().any(is_fence) {
                self.network.clear();
                let notes = sent.into_iter().filter(|(destination, _)| destination.as_str() != FENCE);
                let note = |(destination, request): (cse_core::ports::Destination, Request)| Note {
                    destination: destination.as_str().to_owned(),
                    request,
                };
                return notes.map(note).collect();
            }
            count = sent.len() + 1;
        }
    }

    /// All that was sent until there are at least `count`, without verifications. Forgets nothing.
    pub async fn notes_of(self: &Arc<Self>, count: usize) -> Vec<Note> {
        let mut wanted = count;
        loop {
            let sent = self.network.sent(wanted).await;
            wanted = sent.len() + 1;
            let notes: Vec<Note> = sent
                .into_iter()
                .map(|(destination, request)| Note { destination: destination.as_str().to_owned(), request })
                .filter(|note| !note.is_verification())
                .collect();
            if notes.len() >= count {
                return notes;
            }
        }
    }
}

fn is_verification(request: &Request) -> bool {
    let sgn = request.content.as_ref().and_then(|content| content.get("m2m:sgn")).and_then(Value::as_map);
    sgn.is_some_and(|sgn| sgn.bool("vrq") == Some(true))
}

impl Actor {
    /// Subscribes with these members; returns the resource.
    pub async fn subscribe(&self, to: &str, members: &str) -> Map {
        self.create(to, Ty::SUBSCRIPTION, &format!(r#"{{"m2m:sub":{{{members}}}}}"#)).await.created()
    }

    /// Subscribes to new instances, with these further members.
    pub async fn subscribe_to_instances(&self, to: &str, members: &str) -> Map {
        self.subscribe(to, &format!(r#""rn":"s","nu":["{TARGET}"],"enc":{{"net":[3],"chty":[4]}}{members}"#)).await
    }
}

/// A CSE with an AE and its container.
pub async fn sensor_with_log() -> (Arc<TestCse>, Actor) {
    sensor_on(TestCse::new().await).await
}

/// An AE and its container on that CSE.
pub async fn sensor_on(cse: Arc<TestCse>) -> (Arc<TestCse>, Actor) {
    let sensor = cse.register("Csensor", "sensor").await;
    sensor.container("cse-in/sensor", "log").await.created();
    (cse, sensor)
}

/// The container of [`sensor_with_log`].
pub const LOG: &str = "cse-in/sensor/log";
