//! Delivery: in order, with retry, within bounds, over restarts, to whoever can be reached how.

use std::sync::Arc;
use std::time::Duration;

use cse_core::error::Rsc;
use cse_core::schema::Ty;

use crate::harness::{Play, TestCse};
use crate::notified::{LOG, Note, TARGET, contents, sensor_on, sensor_with_log};

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// Waits until so many attempts met a cut.
async fn tried(cse: &TestCse, count: usize) {
    for _ in 0..20_000 {
        if cse.network.tried().len() >= count {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("only {} attempts: {:?}", cse.network.tried().len(), cse.network.tried());
}

/// Waits until the outbox has nothing more to do with so many notifications.
async fn waiting(cse: &TestCse, count: usize) {
    for _ in 0..20_000 {
        if cse.cse.notifications_waiting() == count {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("{} notifications wait, not {count}", cse.cse.notifications_waiting());
}

#[tokio::test]
async fn notifications_to_one_target_keep_their_order() {
    let (cse, sensor) = sensor_with_log().await;
    sensor.subscribe_to_instances(LOG, "").await;
    let values: Vec<String> = (0..200).map(|value| value.to_string()).collect();
    for value in &values {
        sensor.instance(LOG, value).await.created();
    }
    assert_eq!(contents(&cse.notes().await), values);
}

#[tokio::test]
async fn what_cannot_be_delivered_is_tried_again_with_growing_pauses() {
    let (cse, sensor) = sensor_with_log().await;
    sensor.subscribe_to_instances(LOG, "").await;
    cse.network.clear();
    cse.network.cut(TARGET);
    sensor.instance(LOG, "1").await.created();
    tried(&cse, 1).await;
    for value in ["2", "3"] {
        sensor.instance(LOG, value).await.created();
    }
    // 0.5 s, 1 s, 2 s and so on; one tries the way for all.
    for (at, pause) in [500_u64, 1_000, 2_000, 4_000].into_iter().enumerate() {
        waiting(&cse, 3).await;
        cse.clock.turn(Duration::from_millis(pause - 1));
        sensor.retrieve(LOG).await.ok();
        assert_eq!(cse.network.tried().len(), at + 1, "not before its time");
        cse.clock.turn(Duration::from_millis(1));
        tried(&cse, at + 2).await;
    }
    cse.network.mend();
    cse.clock.turn(seconds(8));
    assert_eq!(contents(&cse.notes_of(3).await), ["1", "2", "3"]);
    waiting(&cse, 0).await;
    assert_eq!(cse.cse.metrics().notifications_retried.get(), 5);
}

#[tokio::test]
async fn pauses_do_not_grow_beyond_the_longest() {
    let (cse, sensor) = sensor_with_log().await;
    sensor.subscribe_to_instances(LOG, "").await;
    cse.network.cut(TARGET);
    sensor.instance(LOG, "1").await.created();
    for attempt in 1..20 {
        tried(&cse, attempt).await;
        cse.clock.turn(seconds(60));
    }
}

#[tokio::test]
async fn what_is_too_old_is_given_up() {
    let (cse, sensor) = sensor_with_log().await;
    sensor.subscribe_to_instances(LOG, "").await;
    cse.network.cut(TARGET);
    for value in ["1", "2"] {
        sensor.instance(LOG, value).await.created();
    }
    tried(&cse, 1).await;
    cse.clock.turn(seconds(3_601));
    waiting(&cse, 0).await;
    assert_eq!(cse.cse.metrics().notifications_given_up.get(), 2);
    cse.network.mend();
    sensor.instance(LOG, "3").await.created();
    assert_eq!(contents(&cse.notes().await), ["3"]);
}

#[tokio::test]
async fn what_no_binding_reaches_is_given_up_at_once() {
    let (cse, sensor) = sensor_with_log().await;
    let ae = r#"{"m2m:ae":{"rn":"odd","api":"Nx","rr":true,"srv":["3"],"poa":["ftp://odd.example/"]}}"#;
    let odd = cse.originator("Codd");
    odd.create("cse-in", Ty::AE, ae).await.created();
    let policy = r#"{"m2m:acp":{"rn":"p","pv":{"acr":[{"acor":["Codd"],"acop":3}]},"pvs":{"acr":[{"acor":["Csensor"],"acop":63}]}}}"#;
    sensor.create("cse-in/sensor", Ty::ACCESS_CONTROL_POLICY, policy).await.created();
    sensor.update(LOG, r#"{"m2m:cnt":{"acpi":["cse-in/sensor/p"]}}"#).await.updated();
    odd.subscribe(LOG, r#""nu":["Codd"],"enc":{"net":[2]}"#).await;
    sensor.delete("cse-in/sensor").await.deleted();
    cse.until(async || cse.cse.metrics().notifications_given_up.get() == 1).await;
}

#[tokio::test]
async fn too_many_for_one_target_lose_the_oldest() {
    let (cse, sensor) = sensor_on(TestCse::with(|settings| settings.notifications_per_target_max = 3).await).await;
    sensor.subscribe_to_instances(LOG, "").await;
    cse.network.clear();
    cse.network.cut(TARGET);
    for value in ["1", "2", "3", "4", "5", "6"] {
        sensor.instance(LOG, value).await.created();
    }
    waiting(&cse, 3).await;
    cse.network.mend();
    cse.clock.turn(seconds(60));
    assert_eq!(contents(&cse.notes_of(3).await), ["4", "5", "6"]);
}

#[tokio::test]
async fn what_has_a_low_priority_is_lost_first() {
    let (cse, sensor) = sensor_on(TestCse::with(|settings| settings.notifications_per_target_max = 3).await).await;
    for (name, priority) in [("low", r#","nsp":1"#), ("high", r#","nsp":9"#)] {
        sensor.container("cse-in/sensor", name).await.created();
        sensor.subscribe_to_instances(&format!("cse-in/sensor/{name}"), priority).await;
    }
    cse.network.clear();
    cse.network.cut(TARGET);
    for (name, value) in [("low", "1"), ("high", "2"), ("low", "3"), ("high", "4"), ("low", "5"), ("high", "6")] {
        sensor.instance(&format!("cse-in/sensor/{name}"), value).await.created();
    }
    waiting(&cse, 3).await;
    cse.network.mend();
    cse.clock.turn(seconds(60));
    assert_eq!(contents(&cse.notes_of(3).await), ["2", "4", "6"]);
}

#[tokio::test]
async fn too_many_in_all_are_lost_where_most_wait_but_changes_are_made() {
    let (cse, sensor) = sensor_on(TestCse::with(|settings| settings.notifications_max = 6).await).await;
    let few = "http://few.example/";
    sensor.subscribe(LOG, &format!(r#""rn":"few","nu":["{few}"],"enc":{{"net":[1]}}"#)).await;
    sensor.subscribe_to_instances(LOG, "").await;
    cse.network.clear();
    for target in [few, TARGET] {
        cse.network.cut(target);
    }
    for label in ["a", "b"] {
        sensor.update(LOG, &format!(r#"{{"m2m:cnt":{{"lbl":["{label}"]}}}}"#)).await.updated();
    }
    for value in 0..10 {
        sensor.instance(LOG, &value.to_string()).await.created();
    }
    waiting(&cse, 6).await;
    let metrics = cse.cse.metrics();
    assert_eq!((metrics.notifications_lost[2].get(), metrics.notifications_dropped.get()), (6, 0));
    cse.network.mend();
    cse.clock.turn(seconds(60));
    let (of_few, rest): (Vec<_>, Vec<_>) = cse.notes_of(6).await.into_iter().partition(|note| note.destination == few);
    assert_eq!((of_few.len(), contents(&rest)), (2, vec!["6".into(), "7".into(), "8".into(), "9".into()]));
    waiting(&cse, 0).await;
}

#[tokio::test]
async fn events_that_come_faster_than_room_is_made_are_dropped_and_counted() {
    let (cse, sensor) = sensor_on(TestCse::with(|settings| settings.notifications_max = 1).await).await;
    let targets: Vec<String> = (0..80).map(|at| format!(r#""http://t{at}.example/""#)).collect();
    sensor.subscribe(LOG, &format!(r#""nu":[{}],"enc":{{"net":[3]}}"#, targets.join(","))).await;
    cse.network.clear();
    sensor.instance(LOG, "1").await.created();
    // One event goes to 80 targets: 65 of them may be left in one commit.
    assert_eq!(cse.cse.metrics().notifications_dropped.get(), 15);
    // There is room again once the store knows that those have gone.
    cse.until(async || {
        sensor.instance(LOG, "again").await.created();
        cse.network.count() > 65
    })
    .await;
}

#[tokio::test]
async fn only_the_latest_of_a_subscription_waits_if_that_is_wanted() {
    for policy in [r#","ln":true"#, r#","pn":1"#] {
        let (cse, sensor) = sensor_with_log().await;
        sensor.subscribe_to_instances(LOG, policy).await;
        sensor.subscribe(LOG, &format!(r#""nu":["{TARGET}"],"pn":2"#)).await;
        cse.network.clear();
        cse.network.cut(TARGET);
        sensor.instance(LOG, "1").await.created();
        tried(&cse, 1).await;
        for value in ["2", "3"] {
            sensor.instance(LOG, value).await.created();
        }
        for label in ["a", "b"] {
            sensor.update(LOG, &format!(r#"{{"m2m:cnt":{{"lbl":["{label}"]}}}}"#)).await.updated();
        }
        cse.network.mend();
        cse.clock.turn(seconds(60));
        let notes = cse.notes_of(3).await;
        waiting(&cse, 0).await;
        let told: Vec<_> = notes.iter().map(|note| (note.net(), note.request.event_category)).collect();
        assert_eq!(told, [(3, Some(4)), (1, None), (1, None)], "{policy}");
        assert_eq!(notes[0].contents(), ["3"]);
    }
}

#[tokio::test]
async fn a_pending_policy_changes_nothing_while_the_target_is_reached() {
    let (cse, sensor) = sensor_with_log().await;
    sensor.subscribe_to_instances(LOG, r#","pn":1"#).await;
    for value in ["1", "2", "3"] {
        sensor.instance(LOG, value).await.created();
    }
    let notes = cse.notes().await;
    assert_eq!(contents(&notes), ["1", "2", "3"]);
    assert_eq!(notes[0].request.event_category, None);
}

#[tokio::test]
async fn an_answer_that_does_not_come_is_no_failure() {
    let (cse, sensor) = sensor_with_log().await;
    sensor.subscribe_to_instances(LOG, "").await;
    cse.network.clear();
    cse.network.play([Play::Unanswered, Play::Answer(Rsc::BadRequest)]);
    for value in ["1", "2", "3"] {
        sensor.instance(LOG, value).await.created();
    }
    assert_eq!(contents(&cse.notes_of(3).await), ["1", "2", "3"]);
    waiting(&cse, 0).await;
    assert_eq!(cse.cse.metrics().notifications_delivered.get(), 3);
}

#[tokio::test]
async fn what_was_left_is_delivered_after_a_restart() {
    let (before, sensor) = sensor_with_log().await;
    sensor.subscribe_to_instances(LOG, "").await;
    before.network.cut(TARGET);
    for value in ["1", "2", "3"] {
        sensor.instance(LOG, value).await.created();
    }
    tried(&before, 1).await;
    let stopped = Arc::clone(&before);
    stopped.cse.stop();
    let after = TestCse::on(before.store.clone(), TestCse::settings(), Arc::clone(&before.clock)).await;
    // A pause that was going on then goes on.
    after.clock.turn(seconds(1));
    assert_eq!(contents(&after.notes_of(3).await), ["1", "2", "3"]);
    waiting(&after, 0).await;
    after.originator("Csensor").instance(LOG, "4").await.created();
    assert_eq!(contents(&after.notes().await)[3..], ["4"]);
}

#[tokio::test]
async fn delivered_notifications_are_not_delivered_again_after_a_restart() {
    let (before, sensor) = sensor_with_log().await;
    sensor.subscribe_to_instances(LOG, "").await;
    sensor.instance(LOG, "1").await.created();
    before.notes().await;
    waiting(&before, 0).await;
    // A change that comes after the results has been made when they have.
    sensor.container("cse-in/sensor", "later").await.created();
    before.cse.stop();
    let after = TestCse::on(before.store.clone(), TestCse::settings(), Arc::clone(&before.clock)).await;
    assert_eq!(contents(&after.notes().await), Vec::<String>::new());
}

#[tokio::test]
async fn points_of_access_are_tried_in_order() {
    let (cse, sensor) = sensor_with_log().await;
    let poa = r#"{"m2m:ae":{"poa":["http://first.example/","mqtt://second.example:1883"]}}"#;
    sensor.update("cse-in/sensor", poa).await.updated();
    sensor.subscribe(LOG, r#""nu":["Csensor"],"enc":{"net":[3]}"#).await;
    sensor.instance(LOG, "1").await.created();
    cse.network.cut("http://first.example/");
    sensor.instance(LOG, "2").await.created();
    let notes = cse.notes().await;
    let destinations: Vec<_> = notes.iter().map(|note| note.destination.as_str()).collect();
    assert_eq!(destinations, ["http://first.example/", "mqtt://second.example:1883"]);
    assert!(notes.iter().all(|note| note.request.to == "Csensor"));
}

#[tokio::test]
async fn an_ae_without_point_of_access_is_reached_by_its_identifier() {
    let (cse, sensor) = sensor_with_log().await;
    sensor.subscribe(LOG, r#""nu":["cse-in/sensor"],"enc":{"net":[3]}"#).await;
    sensor.instance(LOG, "1").await.created();
    let sent = cse.network.sent(1).await;
    assert!(matches!(&sent[0].0, cse_core::ports::Destination::MqttEntity(stem) if stem == "Csensor"));
}

#[tokio::test]
async fn what_waits_for_an_ae_goes_out_when_it_can_be_reached_again() {
    let (cse, sensor) = sensor_with_log().await;
    let other = cse.register("Cother", "other").await;
    sensor.subscribe(LOG, r#""nu":["Csensor","Cother"],"enc":{"net":[3]}"#).await;
    cse.network.clear();
    sensor.update("cse-in/sensor", r#"{"m2m:ae":{"rr":false}}"#).await.updated();
    other.delete("cse-in/other").await.deleted();
    sensor.instance(LOG, "1").await.created();
    cse.until(async || cse.cse.metrics().notifications_retried.get() >= 2).await;
    assert_eq!(cse.network.count(), 0);
    sensor.update("cse-in/sensor", r#"{"m2m:ae":{"rr":true}}"#).await.updated();
    cse.register("Cother", "other").await;
    cse.clock.turn(seconds(60));
    let notes = cse.notes_of(2).await;
    let mut destinations: Vec<_> = notes.iter().map(|note| note.destination.as_str()).collect();
    destinations.sort_unstable();
    assert_eq!(destinations, ["Cother", "Csensor"]);
}

#[tokio::test]
async fn slow_and_dead_targets_do_not_keep_others_from_being_served() {
    let settings = |settings: &mut cse_core::settings::Settings| settings.notification_window = 4;
    let (cse, sensor) = sensor_on(TestCse::with(settings).await).await;
    for name in ["dead", "slow"] {
        sensor.subscribe(LOG, &format!(r#""rn":"{name}","nu":["http://{name}.example/"],"enc":{{"net":[3]}}"#)).await;
    }
    cse.network.clear();
    cse.network.cut("http://dead.example/");
    cse.network.otherwise(Play::Hang);
    for value in 0..50 {
        sensor.instance(LOG, &value.to_string()).await.created();
    }
    cse.network.sent(4).await;
    cse.network.otherwise(Play::Answer(Rsc::Ok));
    sensor.subscribe_to_instances(LOG, "").await;
    sensor.instance(LOG, "50").await.created();
    let notes: Vec<Note> = cse.notes().await.into_iter().filter(|note| note.destination == TARGET).collect();
    assert_eq!(contents(&notes), ["50"]);
}

#[tokio::test]
async fn many_targets_are_served() {
    let (cse, sensor) = sensor_with_log().await;
    // Confirmed by nobody: the administrator writes for a hundred AEs.
    for at in 0..100 {
        let stem = format!("Cae{at}");
        cse.register(&stem, &stem).await;
    }
    for part in 0..10 {
        let targets: Vec<String> = (0..10).map(|at| format!(r#""Cae{}""#, part * 10 + at)).collect();
        sensor.subscribe(LOG, &format!(r#""nu":[{}],"enc":{{"net":[3]}}"#, targets.join(","))).await;
    }
    cse.network.clear();
    for value in 0..20 {
        sensor.instance(LOG, &value.to_string()).await.created();
    }
    let notes = cse.notes_of(2_000).await;
    for at in 0..100 {
        let stem = format!("Cae{at}");
        let of_one: Vec<String> =
            notes.iter().filter(|note| note.destination == stem).flat_map(Note::contents).collect();
        assert_eq!(of_one, (0..20).map(|value| value.to_string()).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn notifications_wait_without_their_content_when_there_are_very_many() {
    let settings = |settings: &mut cse_core::settings::Settings| settings.notifications_per_target_max = 30_000;
    let (cse, sensor) = sensor_on(TestCse::with(settings).await).await;
    sensor.subscribe_to_instances(LOG, "").await;
    cse.network.clear();
    cse.network.cut(TARGET);
    let count = 2_000;
    for value in 0..count {
        sensor.instance(LOG, &value.to_string()).await.created();
    }
    waiting(&cse, count).await;
    cse.network.mend();
    cse.clock.turn(seconds(60));
    let notes = cse.notes_of(count).await;
    assert_eq!(contents(&notes), (0..count).map(|value| value.to_string()).collect::<Vec<_>>());
}
