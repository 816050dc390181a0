//! How copies end: with their originals, whatever ends these and whoever is away then, and not before.

use std::sync::Arc;
use std::time::Duration;

use cse_core::error::Rsc;
use cse_core::id::Seq;
use cse_core::ports::{ChangeSet, Snapshot as _, Store as _, WriteTransaction as _};
use cse_core::schema::Ty;
use cse_core::value::Value;

use crate::announcing::{announce_to, announced, assert_follows, converged, copies, sensor};
use crate::harness::{Actor, TestCse};
use crate::tree::{Pair, Plan, wire};

const MINUTE: Duration = Duration::from_secs(60);

/// An IN-CSE where nothing lives longer than an hour without being renewed.
async fn short_lived() -> Pair {
    Pair::with(|settings| settings.maximum_lifetime = 60 * MINUTE).await
}

/// Waits until there are so many copies at the IN-CSE, of containers and instances.
async fn until_copies(pair: &Pair, count: usize) {
    pair.middle.until(async || copies(pair).await.len() == count).await;
    converged(&pair.middle).await;
}

/// The gateway starts anew on what it has stored.
async fn restarted(pair: &mut Pair) -> Arc<TestCse> {
    pair.middle.cse.stop();
    let store = pair.middle.store.clone();
    let again = TestCse::on(store, Plan::new("mn").under("/id-in").settings(), Arc::clone(&pair.clock)).await;
    wire(("/id-in", &pair.infrastructure), ("/id-mn", &again));
    pair.middle = Arc::clone(&again);
    again
}

#[tokio::test]
async fn copies_outlive_what_their_host_grants() {
    let mut pair = short_lived().await;
    let sensor = sensor(&pair).await;
    announced(&sensor, "cse-mn/sensor", "log", "").await;
    let instance = r#"{"m2m:cin":{"rn":"one","con":"7","at":["/id-in"]}}"#;
    sensor.create("cse-mn/sensor/log", Ty::CONTENT_INSTANCE, instance).await.created();
    until_copies(&pair, 2).await;
    let first = announce_to(&sensor.retrieve("cse-mn/sensor/log").await.resource());
    for round in 0..6 {
        let renewed = pair.middle.cse.metrics().announced.get() + 3;
        pair.clock.turn(31 * MINUTE);
        // Those of the CSEBase, the container and the instance.
        pair.middle.until(async || pair.middle.cse.metrics().announced.get() >= renewed).await;
        converged(&pair.middle).await;
        assert_eq!(copies(&pair).await.len(), 2, "round {round}");
        if round == 3 {
            restarted(&mut pair).await;
        }
    }
    let sensor = pair.middle.originator("Csensor");
    let original = sensor.retrieve("cse-mn/sensor/log").await.resource();
    assert_eq!(announce_to(&original), first, "they are the same ones");
    sensor.delete("cse-mn/sensor/log").await.deleted();
    until_copies(&pair, 0).await;
    let busy = pair.middle.network.count();
    pair.middle
        .until(async || {
            pair.clock.turn(MINUTE);
            pair.middle.network.count() > busy
        })
        .await;
    assert_eq!(copies(&pair).await.len(), 0, "only the copy of the CSEBase is still renewed");
}

#[tokio::test]
async fn what_expired_while_the_line_was_down_is_made_again() {
    let pair = short_lived().await;
    let sensor = sensor(&pair).await;
    announced(&sensor, "cse-mn/sensor", "log", r#","lbl":["x"]"#).await;
    announced(&sensor, "cse-mn/sensor/log", "inner", "").await;
    until_copies(&pair, 2).await;
    pair.middle.network.cut("mqtt://host/id-in");
    pair.clock.turn(61 * MINUTE);
    pair.infrastructure.until(async || copies(&pair).await.is_empty()).await;
    pair.middle.network.mend();
    until_copies(&pair, 2).await;
    let admin = pair.infrastructure.admin();
    for path in ["cse-mn/sensor/log", "cse-mn/sensor/log/inner"] {
        let original = sensor.retrieve(path).await.resource();
        let mut copy = admin.retrieve(&announce_to(&original)[0]).await.resource();
        // It ends when its host says.
        copy.insert("et", original.text("et").unwrap());
        assert_follows(&copy, &original);
    }
    assert_eq!(admin.discover("cse-in", r#","ty":[10005]"#).await.len(), 1);
}

#[tokio::test]
async fn the_copy_of_a_cse_base_follows_it_over_a_restart() {
    let mut pair = Pair::new().await;
    let sensor = sensor(&pair).await;
    announced(&sensor, "cse-mn/sensor", "log", "").await;
    converged(&pair.middle).await;
    pair.middle.cse.stop();
    // As a new version or another configuration would find it.
    let mut transaction = pair.middle.store.begin().await.unwrap();
    let mut base = transaction.resource(Seq::CSE_BASE).await.unwrap().unwrap();
    base.attributes.insert("srv", Value::text_list(["2a"]));
    base.attributes.insert("lbl", Value::text_list(["gateway"]));
    transaction.write(&ChangeSet { update: vec![Arc::new(base)], ..ChangeSet::default() }).await.unwrap();
    transaction.commit().await.unwrap();
    let again = restarted(&mut pair).await;
    let admin = pair.infrastructure.admin();
    again.until(async || admin.discover("cse-in", r#","ty":[10005],"lbl":["gateway"]"#).await.len() == 1).await;
    converged(&again).await;
}

/// A sensor with two containers, one in the other, and an instance in each, all announced.
async fn planted(pair: &Pair, expiration: &str) -> Actor {
    let sensor = pair.middle.originator("Csensor");
    let ae =
        format!(r#"{{"m2m:ae":{{"rn":"sensor","api":"Ntest","rr":true,"srv":["3"],"at":["/id-in"]{expiration}}}}}"#);
    sensor.create("cse-mn", Ty::AE, &ae).await.created();
    announced(&sensor, "cse-mn/sensor", "log", r#","mni":1"#).await;
    announced(&sensor, "cse-mn/sensor/log", "inner", "").await;
    let instance = r#"{"m2m:cin":{"con":"7","at":["/id-in"]}}"#;
    for container in ["cse-mn/sensor/log", "cse-mn/sensor/log/inner"] {
        sensor.create(container, Ty::CONTENT_INSTANCE, instance).await.created();
    }
    sensor
}

async fn all_copies(pair: &Pair) -> Vec<String> {
    pair.infrastructure.admin().discover("cse-in", r#","ty":[10002,10003,10004]"#).await
}

/// What may end originals.
#[derive(Clone, Copy, Debug)]
enum Ends {
    Deregistered,
    Expired,
    ParentDeleted,
    Evicted,
    NotAnnouncedAnyMore,
}

/// What stands in the way of telling the host.
#[derive(Clone, Copy, Debug)]
enum Obstacle {
    None,
    /// The host is away before the copies are made, or after.
    Away {
        before: bool,
    },
    /// The host is away, and the gateway starts anew.
    Restart {
        before: bool,
    },
}

#[tokio::test]
async fn nothing_is_left_of_originals_that_are_gone() {
    let obstacles = [
        Obstacle::None,
        Obstacle::Away { before: false },
        Obstacle::Away { before: true },
        Obstacle::Restart { before: false },
        Obstacle::Restart { before: true },
    ];
    let ends = [Ends::Deregistered, Ends::Expired, Ends::ParentDeleted, Ends::Evicted, Ends::NotAnnouncedAnyMore];
    for (end, obstacle) in ends.into_iter().flat_map(|end| obstacles.map(|obstacle| (end, obstacle))) {
        let mut pair = Pair::new().await;
        let expiration = if matches!(end, Ends::Expired) { r#","et":"20260101T121000""# } else { "" };
        let (before, after) = match obstacle {
            Obstacle::None => (false, false),
            Obstacle::Away { before } | Obstacle::Restart { before } => (before, true),
        };
        if before {
            pair.middle.network.cut("mqtt://host/id-in");
        }
        let sensor = planted(&pair, expiration).await;
        if !before {
            converged(&pair.middle).await;
            assert_eq!(all_copies(&pair).await.len(), 5);
        }
        if after {
            pair.middle.network.cut("mqtt://host/id-in");
        }
        let left = match end {
            Ends::Deregistered => {
                sensor.delete("cse-mn/sensor").await.deleted();
                0
            }
            Ends::Expired => {
                pair.clock.turn(10 * MINUTE);
                let gone = async || sensor.retrieve("cse-mn/sensor").await.0.status != Rsc::Ok;
                pair.middle.until(gone).await;
                0
            }
            Ends::ParentDeleted => {
                sensor.delete("cse-mn/sensor/log").await.deleted();
                1
            }
            Ends::Evicted => {
                sensor.instance("cse-mn/sensor/log", "8").await.created();
                sensor.delete("cse-mn/sensor/log/inner/la").await.deleted();
                3
            }
            Ends::NotAnnouncedAnyMore => {
                sensor.update("cse-mn/sensor/log", r#"{"m2m:cnt":{"at":null}}"#).await.updated();
                // The inner container finds another place; an instance cannot.
                3
            }
        };
        if matches!(obstacle, Obstacle::Restart { .. }) {
            restarted(&mut pair).await;
        } else {
            pair.middle.network.mend();
        }
        converged(&pair.middle).await;
        // What expired may still be waiting to be cleared away at the host.
        pair.infrastructure.until(async || all_copies(&pair).await.len() == left).await;
        for path in all_copies(&pair).await {
            let copy = pair.infrastructure.admin().retrieve(&path).await.resource();
            let original = copy.text("lnk").unwrap().strip_prefix("/id-mn/").unwrap().to_owned();
            let original = pair.middle.admin().retrieve(&original).await.resource();
            assert_eq!(
                announce_to(&original),
                [format!("/id-in/{}", copy.text("ri").unwrap())],
                "{end:?} {obstacle:?}"
            );
        }
    }
}

#[tokio::test]
async fn an_instance_that_was_announced_elsewhere_is_not_forgotten_with_its_container() {
    let pair = Pair::new().await;
    let sensor = sensor(&pair).await;
    announced(&sensor, "cse-mn/sensor", "log", "").await;
    announced(&sensor, "cse-mn/sensor", "other", "").await;
    converged(&pair.middle).await;
    let other = announce_to(&sensor.retrieve("cse-mn/sensor/other").await.resource()).remove(0);
    let instance = format!(r#"{{"m2m:cin":{{"con":"7","at":["{other}"]}}}}"#);
    sensor.create("cse-mn/sensor/log", Ty::CONTENT_INSTANCE, &instance).await.created();
    until_copies(&pair, 3).await;
    sensor.delete("cse-mn/sensor/log").await.deleted();
    until_copies(&pair, 1).await;
    let original = sensor.retrieve("cse-mn/sensor/other").await.resource();
    let copy = pair.infrastructure.admin().retrieve(&other).await.resource();
    assert_follows(&copy, &original);
}

#[tokio::test]
async fn copies_inherit_what_their_originals_inherit() {
    let pair = Pair::new().await;
    let sensor = sensor(&pair).await;
    announced(&sensor, "cse-mn/sensor", "log", "").await;
    announced(&sensor, "cse-mn/sensor/log", "inner", "").await;
    let own = r#","acpi":["/id-in/cse-in/own"]"#;
    announced(&sensor, "cse-mn/sensor/log", "owned", own).await;
    let instance = r#"{"m2m:cin":{"con":"7","at":["/id-in"]}}"#;
    for container in ["cse-mn/sensor/log", "cse-mn/sensor/log/inner"] {
        sensor.create(container, Ty::CONTENT_INSTANCE, instance).await.created();
    }
    converged(&pair.middle).await;
    let middle = pair.middle.admin();
    let policies = async || {
        let mut all = Vec::new();
        for path in copies(&pair).await {
            let copy = pair.infrastructure.admin().retrieve(&path).await.resource();
            all.push(copy.texts("acpi").map(str::to_owned).collect::<Vec<_>>().join(","));
        }
        all.sort();
        all
    };
    let (own, first, second) = ("/id-in/cse-in/own", "/id-in/cse-in/first", "/id-in/cse-in/second");
    assert_eq!(policies().await, ["", "", "", "", own]);
    middle.update("cse-mn/sensor", &format!(r#"{{"m2m:ae":{{"acpi":["{first}"]}}}}"#)).await.updated();
    converged(&pair.middle).await;
    assert_eq!(policies().await, [first, first, first, first, own]);
    middle.update("cse-mn/sensor/log", &format!(r#"{{"m2m:cnt":{{"acpi":["{second}"]}}}}"#)).await.updated();
    converged(&pair.middle).await;
    assert_eq!(policies().await, [own, second, second, second, second]);
    middle.update("cse-mn/sensor/log", r#"{"m2m:cnt":{"acpi":null}}"#).await.updated();
    middle.update("cse-mn/sensor", r#"{"m2m:ae":{"acpi":null}}"#).await.updated();
    converged(&pair.middle).await;
    assert_eq!(policies().await, ["", "", "", "", own]);
}

#[tokio::test]
async fn a_large_tree_inherits_in_steps() {
    let pair = Pair::new().await;
    let sensor = sensor(&pair).await;
    announced(&sensor, "cse-mn/sensor", "log", "").await;
    for _ in 0..250 {
        let instance = r#"{"m2m:cin":{"con":"7","at":["/id-in"]}}"#;
        sensor.create("cse-mn/sensor/log", Ty::CONTENT_INSTANCE, instance).await.created();
    }
    converged(&pair.middle).await;
    let policy = r#"{"m2m:cnt":{"acpi":["/id-in/cse-in/first"]}}"#;
    pair.middle.admin().update("cse-mn/sensor/log", policy).await.updated();
    converged(&pair.middle).await;
    for path in copies(&pair).await {
        let copy = pair.infrastructure.admin().retrieve(&path).await.resource();
        assert_eq!(copy.texts("acpi").collect::<Vec<_>>(), ["/id-in/cse-in/first"]);
    }
}

#[tokio::test]
async fn all_that_a_host_has_lost_is_made_again_once_that_is_noticed() {
    let pair = short_lived().await;
    let sensor = sensor(&pair).await;
    for name in ["log", "other"] {
        announced(&sensor, "cse-mn/sensor", name, "").await;
    }
    announced(&sensor, "cse-mn/sensor/log", "inner", "").await;
    until_copies(&pair, 3).await;
    let admin = pair.infrastructure.admin();
    let base = async || admin.discover("cse-in", r#","ty":[10005]"#).await.remove(0);
    admin.delete(&base().await).await.deleted();
    // By something new.
    announced(&sensor, "cse-mn/sensor", "new", "").await;
    until_copies(&pair, 4).await;
    admin.delete(&base().await).await.deleted();
    // By the renewal.
    pair.clock.turn(31 * MINUTE);
    until_copies(&pair, 4).await;
    for path in ["log", "other", "new", "log/inner"] {
        let original = sensor.retrieve(&format!("cse-mn/sensor/{path}")).await.resource();
        let copy = admin.retrieve(&announce_to(&original)[0]).await.resource();
        assert_eq!(copy.text("lnk"), Some(format!("/id-mn/{}", original.text("ri").unwrap()).as_str()));
    }
}
