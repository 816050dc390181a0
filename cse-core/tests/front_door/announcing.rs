//! What this CSE hosts and announces: its copies follow it, whatever happens on the way (TS-0004 §7.3.3.10, §7.3.3.11).

use std::sync::Arc;
use std::time::Duration;

use cse_core::error::Rsc;
use cse_core::memory::MemoryStore;
use cse_core::schema::{Announced, Ty, type_def};
use cse_core::value::{Map, Value};

use crate::harness::{Actor, Play, TestCse};
use crate::tree::{Pair, Plan, from_cse, wire};

/// Waits until there is nothing left to announce.
pub async fn converged(middle: &Arc<TestCse>) {
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    while middle.cse.announcements_waiting() > 0 {
        assert!(
            std::time::Instant::now() < deadline,
            "{} wait; {:?}",
            middle.cse.announcements_waiting(),
            middle.cse.metrics()
        );
        middle.clock.turn(Duration::from_millis(100));
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// The addresses of all copies of containers and instances at the IN-CSE.
pub async fn copies(pair: &Pair) -> Vec<String> {
    pair.infrastructure.admin().discover("cse-in", r#","ty":[10003,10004]"#).await
}

pub fn announce_to(resource: &Map) -> Vec<String> {
    resource.texts("at").map(str::to_owned).collect()
}

pub async fn sensor(pair: &Pair) -> Actor {
    register(&pair.middle, "cse-mn").await
}

pub async fn register(cse: &Arc<TestCse>, base: &str) -> Actor {
    let sensor = cse.originator("Csensor");
    let content = r#"{"m2m:ae":{"rn":"sensor","api":"Ntest","rr":true,"srv":["3"]}}"#;
    sensor.create(base, Ty::AE, content).await.created();
    sensor
}

pub async fn announced(actor: &Actor, to: &str, name: &str, more: &str) -> Map {
    let content = format!(r#"{{"m2m:cnt":{{"rn":"{name}","at":["/id-in"]{more}}}}}"#);
    actor.create(to, Ty::CONTAINER, &content).await.created()
}

/// Holds a copy to its original: exactly the attributes that are announced, with the same values.
#[track_caller]
pub fn assert_follows(copy: &Map, original: &Map) {
    let ty = Ty(u16::try_from(original.int("ty").unwrap()).unwrap());
    let aa: Vec<&str> = original.texts("aa").collect();
    let mut expected = Map::single("lnk", format!("/id-mn/{}", original.text("ri").unwrap()));
    for attr in type_def(ty).unwrap().attributes {
        let is_announced = match attr.announced {
            Announced::Mandatory => true,
            Announced::Optional => aa.contains(&attr.key),
            Announced::No => attr.key == "lbl" || attr.key == "et",
        };
        if is_announced && let Some(value) = original.get(attr.key) {
            expected.insert(attr.key, value.clone());
        }
    }
    for own in ["rn", "ty", "ri", "pi", "ct", "lt", "st"] {
        expected.remove(own);
    }
    let mut found: Vec<(String, Value)> = copy.iter().map(|(name, value)| (name.to_string(), value.clone())).collect();
    found.retain(|(name, _)| !["rn", "ty", "ri", "pi", "ct", "lt", "st"].contains(&name.as_str()));
    let mut expected: Vec<(String, Value)> =
        expected.iter().map(|(name, value)| (name.to_string(), value.clone())).collect();
    found.sort_by(|one, other| one.0.cmp(&other.0));
    expected.sort_by(|one, other| one.0.cmp(&other.0));
    assert_eq!(found, expected);
}

#[tokio::test]
async fn a_copy_appears_follows_and_goes() {
    let pair = Pair::new().await;
    let sensor = sensor(&pair).await;
    let created = announced(&sensor, "cse-mn/sensor", "log", r#","mni":5,"lbl":["x"]"#).await;
    assert_eq!(announce_to(&created), ["/id-in"]);
    converged(&pair.middle).await;
    let original = sensor.retrieve("cse-mn/sensor/log").await.resource();
    let address = announce_to(&original).remove(0);
    assert!(address.starts_with("/id-in/cntA"), "{address}");
    assert!(!original.iter().any(|(name, _)| name.starts_with('@')));
    let admin = pair.infrastructure.admin();
    let copy = admin.retrieve(&address).await.resource();
    assert_follows(&copy, &original);
    let base = admin.retrieve(copy.text("pi").unwrap()).await.resource();
    assert_eq!((base.int("ty"), base.text("lnk")), (Some(10005), Some("/id-mn/id-mn")));

    sensor.update("cse-mn/sensor/log", r#"{"m2m:cnt":{"aa":["mni","mbs"],"lbl":["y","z"],"mbs":100}}"#).await.updated();
    converged(&pair.middle).await;
    let original = sensor.retrieve("cse-mn/sensor/log").await.resource();
    let copy = admin.retrieve(&address).await.resource();
    assert_eq!((copy.int("mni"), copy.int("mbs")), (Some(5), Some(100)));
    assert_follows(&copy, &original);

    sensor.update("cse-mn/sensor/log", r#"{"m2m:cnt":{"aa":["mbs"],"lbl":null}}"#).await.updated();
    converged(&pair.middle).await;
    let copy = admin.retrieve(&address).await.resource();
    assert!(!copy.contains("mni") && !copy.contains("lbl"), "{copy:?}");

    sensor.delete("cse-mn/sensor/log").await.deleted();
    converged(&pair.middle).await;
    assert_eq!(copies(&pair).await, [""; 0]);
}

#[tokio::test]
async fn taking_the_cse_out_of_the_list_takes_the_copy_away() {
    let pair = Pair::new().await;
    let sensor = sensor(&pair).await;
    announced(&sensor, "cse-mn/sensor", "log", "").await;
    converged(&pair.middle).await;
    assert_eq!(copies(&pair).await.len(), 1);
    // Naming the CSE again means the copy that is there.
    let same =
        sensor.update("cse-mn/sensor/log", r#"{"m2m:cnt":{"at":["/id-in","/id-mn","/id-in/-"]}}"#).await.updated();
    assert!(announce_to(&same)[0].starts_with("/id-in/cntA"), "{same:?}");
    assert_eq!(announce_to(&same).len(), 1);
    converged(&pair.middle).await;
    assert_eq!(copies(&pair).await.len(), 1);
    let without = sensor.update("cse-mn/sensor/log", r#"{"m2m:cnt":{"at":null}}"#).await.updated();
    assert!(!without.contains("at"));
    converged(&pair.middle).await;
    assert_eq!(copies(&pair).await.len(), 0);
    sensor.update("cse-mn/sensor/log", r#"{"m2m:cnt":{"at":["/id-in"]}}"#).await.updated();
    converged(&pair.middle).await;
    assert_eq!(copies(&pair).await.len(), 1);
}

#[tokio::test]
async fn copies_stand_below_the_copy_of_their_parent() {
    let pair = Pair::new().await;
    let sensor = sensor(&pair).await;
    announced(&sensor, "cse-mn/sensor", "log", "").await;
    let inner = announced(&sensor, "cse-mn/sensor/log", "inner", "").await;
    assert_eq!(announce_to(&inner), ["/id-in"]);
    let instance = r#"{"m2m:cin":{"con":"7","at":["/id-in"],"aa":["con"]}}"#;
    sensor.create("cse-mn/sensor/log", Ty::CONTENT_INSTANCE, instance).await.created();
    converged(&pair.middle).await;
    let log = sensor.retrieve("cse-mn/sensor/log").await.resource();
    let latest = sensor.retrieve("cse-mn/sensor/log/la").await.resource();
    let inner = sensor.retrieve("cse-mn/sensor/log/inner").await.resource();
    let admin = pair.infrastructure.admin();
    for below in [&latest, &inner] {
        let copy = admin.retrieve(&announce_to(below)[0]).await.resource();
        assert_eq!(format!("/id-in/{}", copy.text("pi").unwrap()), announce_to(&log)[0]);
    }
    let copy = admin.retrieve(&announce_to(&latest)[0]).await.resource();
    assert_eq!(copy.text("con"), Some("7"));
    sensor.container("cse-mn/sensor", "silent").await.created();
    let refused = sensor.create("cse-mn/sensor/silent", Ty::CONTENT_INSTANCE, instance).await;
    refused.refused(Rsc::OperationNotAllowed, "container");
    // Evicted instances take their copies along.
    sensor.update("cse-mn/sensor/log", r#"{"m2m:cnt":{"mni":1}}"#).await.updated();
    sensor.instance("cse-mn/sensor/log", "8").await.created();
    converged(&pair.middle).await;
    admin.retrieve(&announce_to(&latest)[0]).await.refused(Rsc::NotFound, "cinA");
    sensor.delete("cse-mn/sensor").await;
    converged(&pair.middle).await;
    assert_eq!(copies(&pair).await.len(), 0);
}

#[tokio::test]
async fn what_cannot_be_announced_is_taken_out_of_the_list() {
    let pair = Pair::new().await;
    let sensor = sensor(&pair).await;
    let content = r#"{"m2m:cnt":{"rn":"log","at":["/id-mn","nonsense","/id-in/cse-in"]}}"#;
    let created = sensor.create("cse-mn/sensor", Ty::CONTAINER, content).await.created();
    assert_eq!(announce_to(&created), ["/id-in/cse-in"]);
    // The CSEBase takes copies of CSEBases only, so the place is refused.
    converged(&pair.middle).await;
    assert!(!sensor.retrieve("cse-mn/sensor/log").await.resource().contains("at"));
    assert_eq!(copies(&pair).await.len(), 0);
    let nobody = r#"{"m2m:cnt":{"at":["/id-nobody"]}}"#;
    sensor.update("cse-mn/sensor/log", nobody).await.updated();
    pair.middle.until(async || pair.middle.cse.metrics().announcements_retried.get() > 0).await;
    assert_eq!(announce_to(&sensor.retrieve("cse-mn/sensor/log").await.resource()), ["/id-nobody"]);
    pair.clock.turn(Duration::from_secs(3_601));
    converged(&pair.middle).await;
    assert!(!sensor.retrieve("cse-mn/sensor/log").await.resource().contains("at"));
}

#[tokio::test]
async fn what_changes_while_the_host_is_away_goes_once_it_is_back() {
    let pair = Pair::new().await;
    let sensor = sensor(&pair).await;
    pair.middle.network.cut("mqtt://host/id-in");
    announced(&sensor, "cse-mn/sensor", "log", "").await;
    announced(&sensor, "cse-mn/sensor", "short", "").await;
    for count in 1..50 {
        let content = format!(r#"{{"m2m:cnt":{{"lbl":["{count}"]}}}}"#);
        sensor.update("cse-mn/sensor/log", &content).await.updated();
    }
    sensor.delete("cse-mn/sensor/short").await.deleted();
    pair.middle.until(async || pair.middle.network.tried().len() > 3).await;
    // However often it changed, it is one entry.
    assert_eq!(pair.middle.cse.announcements_waiting(), 1);
    pair.middle.network.mend();
    pair.middle.network.clear();
    converged(&pair.middle).await;
    assert_eq!(copies(&pair).await.len(), 1);
    let original = sensor.retrieve("cse-mn/sensor/log").await.resource();
    let copy = pair.infrastructure.admin().retrieve(&announce_to(&original)[0]).await.resource();
    assert_follows(&copy, &original);
    assert_eq!(pair.middle.network.count(), 2, "the copies of the CSEBase and the container, once each");
}

#[tokio::test]
async fn a_lost_answer_leaves_no_second_copy_and_none_behind() {
    let pair = Pair::new().await;
    let sensor = sensor(&pair).await;
    pair.middle.network.play([Play::LoseAnswer, Play::LoseAnswer]);
    announced(&sensor, "cse-mn/sensor", "log", "").await;
    converged(&pair.middle).await;
    let admin = pair.infrastructure.admin();
    assert_eq!(admin.discover("cse-in", r#","ty":[10005]"#).await.len(), 1);
    assert_eq!(copies(&pair).await.len(), 1);
    pair.middle.network.play([Play::LoseAnswer]);
    announced(&sensor, "cse-mn/sensor", "gone", "").await;
    pair.middle.until(async || copies(&pair).await.len() == 2).await;
    sensor.delete("cse-mn/sensor/gone").await.deleted();
    converged(&pair.middle).await;
    assert_eq!(copies(&pair).await.len(), 1);
}

#[tokio::test]
async fn copies_that_their_host_lost_are_made_again() {
    let pair = Pair::new().await;
    let sensor = sensor(&pair).await;
    announced(&sensor, "cse-mn/sensor", "log", "").await;
    announced(&sensor, "cse-mn/sensor/log", "inner", "").await;
    converged(&pair.middle).await;
    let admin = pair.infrastructure.admin();
    let base = admin.discover("cse-in", r#","ty":[10005]"#).await.remove(0);
    admin.delete(&base).await.deleted();
    assert_eq!(copies(&pair).await.len(), 0);
    sensor.update("cse-mn/sensor/log", r#"{"m2m:cnt":{"lbl":["again"]}}"#).await.updated();
    sensor.update("cse-mn/sensor/log/inner", r#"{"m2m:cnt":{"lbl":["again"]}}"#).await.updated();
    converged(&pair.middle).await;
    let log = sensor.retrieve("cse-mn/sensor/log").await.resource();
    let inner = sensor.retrieve("cse-mn/sensor/log/inner").await.resource();
    let copy = admin.retrieve(&announce_to(&inner)[0]).await.resource();
    assert_eq!(format!("/id-in/{}", copy.text("pi").unwrap()), announce_to(&log)[0]);
    assert_eq!(copies(&pair).await.len(), 2);
    // What is announced next below a copy that was lost waits for that.
    admin.delete(&admin.discover("cse-in", r#","ty":[10005]"#).await[0]).await.deleted();
    announced(&sensor, "cse-mn/sensor/log", "third", "").await;
    converged(&pair.middle).await;
    let log = sensor.retrieve("cse-mn/sensor/log").await.resource();
    let third = sensor.retrieve("cse-mn/sensor/log/third").await.resource();
    let copy = admin.retrieve(&announce_to(&third)[0]).await.resource();
    assert_eq!(format!("/id-in/{}", copy.text("pi").unwrap()), announce_to(&log)[0]);
}

#[tokio::test]
async fn announcements_survive_a_restart() {
    let pair = Pair::new().await;
    let sensor = sensor(&pair).await;
    announced(&sensor, "cse-mn/sensor", "kept", "").await;
    converged(&pair.middle).await;
    pair.middle.network.cut("mqtt://host/id-in");
    announced(&sensor, "cse-mn/sensor", "log", "").await;
    sensor.delete("cse-mn/sensor/kept").await.deleted();
    assert_eq!(pair.middle.cse.announcements_waiting(), 2);
    pair.middle.cse.stop();
    let store: MemoryStore = pair.middle.store.clone();
    let settings = Plan::new("mn").under("/id-in").settings();
    let again = TestCse::on(store, settings, Arc::clone(&pair.clock)).await;
    wire(("/id-in", &pair.infrastructure), ("/id-mn", &again));
    assert_eq!(again.cse.announcements_waiting(), 2);
    converged(&again).await;
    let original = again.originator("Csensor").retrieve("cse-mn/sensor/log").await.resource();
    let copy = pair.infrastructure.admin().retrieve(&announce_to(&original)[0]).await.resource();
    assert_follows(&copy, &original);
    assert_eq!(copies(&pair).await.len(), 1);
}

#[tokio::test]
async fn policies_come_along_in_the_form_that_is_valid_there() {
    let pair = Pair::new().await;
    crate::tree::shared_container(&pair.middle, "cse-mn", "log", r#"["all"]"#).await;
    let admin = pair.middle.admin();
    admin.update("cse-mn/log", r#"{"m2m:cnt":{"at":["/id-in"]}}"#).await.updated();
    let instance = r#"{"m2m:cin":{"con":"7","at":["/id-in"]}}"#;
    admin.create("cse-mn/log", Ty::CONTENT_INSTANCE, instance).await.created();
    converged(&pair.middle).await;
    for address in copies(&pair).await {
        let copy = pair.infrastructure.admin().retrieve(&address).await.resource();
        assert_eq!(copy.texts("acpi").collect::<Vec<_>>(), ["/id-mn/cse-mn/acp-log"]);
    }
}

#[tokio::test]
async fn three_levels_announce_through_the_one_between() {
    let clock = crate::harness::TestClock::new();
    let top = Plan::new("in").over("/id-mn", &["/id-deep"]).start(&clock).await;
    let middle = Plan::new("mn").under("/id-in").over("/id-deep", &[]).start(&clock).await;
    let deep = Plan::new("deep").under("/id-mn").start(&clock).await;
    wire(("/id-in", &top), ("/id-mn", &middle));
    middle.network.connect("/id-deep", &deep, from_cse("/id-mn"));
    deep.network.connect("/id-mn", &middle, from_cse("/id-deep"));
    let sensor = register(&deep, "cse-deep").await;
    announced(&sensor, "cse-deep/sensor", "log", r#","lbl":["deep"]"#).await;
    converged(&deep).await;
    assert_eq!(top.admin().discover("cse-in", r#","lbl":["deep"]"#).await.len(), 1);
}

#[tokio::test]
async fn a_change_whose_answer_is_lost_can_be_taken_back() {
    let pair = Pair::new().await;
    let sensor = sensor(&pair).await;
    announced(&sensor, "cse-mn/sensor", "log", r#","lbl":["x"],"mbs":100"#).await;
    converged(&pair.middle).await;
    let address = announce_to(&sensor.retrieve("cse-mn/sensor/log").await.resource()).remove(0);
    let admin = pair.infrastructure.admin();
    pair.middle.network.play([Play::LoseAnswer]);
    sensor.update("cse-mn/sensor/log", r#"{"m2m:cnt":{"lbl":["y"],"aa":["mbs"]}}"#).await.updated();
    while admin.retrieve(&address).await.resource().int("mbs").is_none() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    // Back to what the copy is known to have had.
    sensor.update("cse-mn/sensor/log", r#"{"m2m:cnt":{"lbl":["x"],"aa":null}}"#).await.updated();
    converged(&pair.middle).await;
    let original = sensor.retrieve("cse-mn/sensor/log").await.resource();
    assert_follows(&admin.retrieve(&address).await.resource(), &original);
}

#[tokio::test]
async fn what_waits_for_an_instance_is_settled_when_its_container_goes() {
    let pair = Pair::new().await;
    let sensor = sensor(&pair).await;
    announced(&sensor, "cse-mn/sensor", "log", "").await;
    converged(&pair.middle).await;
    pair.middle.network.cut("mqtt://host/id-in");
    let instance = r#"{"m2m:cin":{"con":"7","at":["/id-in"]}}"#;
    sensor.create("cse-mn/sensor/log", Ty::CONTENT_INSTANCE, instance).await.created();
    sensor.update("cse-mn/sensor/log", r#"{"m2m:cnt":{"at":null}}"#).await.updated();
    sensor.delete("cse-mn/sensor/log").await.deleted();
    pair.middle.network.mend();
    converged(&pair.middle).await;
    assert_eq!(copies(&pair).await, [""; 0]);
}

/// A small generator of numbers, so that a failure can be repeated from its seed.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

/// Whatever happens to originals and to the line between: in the end the copies are what the originals say.
async fn story(seed: u64) {
    const PATHS: [&str; 4] = ["cse-mn/sensor/a", "cse-mn/sensor/a/b", "cse-mn/sensor/a/b/c", "cse-mn/sensor/d"];
    let mut random = Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    let pair = Pair::new().await;
    let sensor = sensor(&pair).await;
    for _ in 0..30 {
        let path = PATHS[random.below(4) as usize];
        let (parent, name) = path.rsplit_once('/').unwrap();
        match random.below(9) {
            0 | 1 => {
                let at = if random.below(3) == 0 { "" } else { r#","at":["/id-in"]"# };
                let content = format!(r#"{{"m2m:cnt":{{"rn":"{name}","mni":3{at}}}}}"#);
                sensor.create(parent, Ty::CONTAINER, &content).await;
            }
            2 => drop(sensor.delete(path).await),
            3 => drop(sensor.update(path, r#"{"m2m:cnt":{"at":["/id-in"]}}"#).await),
            4 => drop(sensor.update(path, r#"{"m2m:cnt":{"at":null}}"#).await),
            5 => {
                let content =
                    format!(r#"{{"m2m:cnt":{{"lbl":["{}"],"mbs":{}}}}}"#, random.below(5), 100 + random.below(5));
                sensor.update(path, &content).await;
            }
            6 => {
                let aa = ["null", r#"["mbs"]"#, r#"["mni","mbs"]"#][random.below(3) as usize];
                sensor.update(path, &format!(r#"{{"m2m:cnt":{{"aa":{aa}}}}}"#)).await;
            }
            7 => {
                let instance = r#"{"m2m:cin":{"con":"7","at":["/id-in"],"aa":["con"]}}"#;
                sensor.create(path, Ty::CONTENT_INSTANCE, instance).await;
            }
            _ => {
                let play = [Play::LoseAnswer, Play::Unreachable][random.below(2) as usize].clone();
                pair.middle.network.play([play]);
                pair.clock.turn(Duration::from_millis(random.below(2_000)));
            }
        }
        if random.below(3) == 0 {
            tokio::time::sleep(Duration::ZERO).await;
            tokio::task::yield_now().await;
        }
    }
    converged(&pair.middle).await;
    let admin = pair.infrastructure.admin();
    let originals = pair.middle.admin().discover("cse-mn", r#","ty":[3,4]"#).await;
    let mut expected = Vec::new();
    for path in originals {
        let original = pair.middle.admin().retrieve(&path).await.resource();
        for address in announce_to(&original) {
            let copy = admin.retrieve(&address).await.resource();
            assert_follows(&copy, &original);
            expected.push(copy.text("ri").unwrap().to_owned());
        }
    }
    let mut found = Vec::new();
    for path in copies(&pair).await {
        found.push(admin.retrieve(&path).await.resource().text("ri").unwrap().to_owned());
    }
    expected.sort();
    found.sort();
    assert_eq!(found, expected, "seed {seed}");
}

#[tokio::test]
async fn copies_converge_to_what_the_originals_say() {
    for seed in 1..=40 {
        println!("seed {seed}");
        story(seed).await;
    }
}
