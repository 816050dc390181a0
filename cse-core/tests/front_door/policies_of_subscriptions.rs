//! What the policies of a subscription make of its notifications: batches, rates, counters, categories.

use std::time::Duration;

use cse_core::error::Rsc;
use cse_core::value::{Map, Value};

use crate::harness::Play;
use crate::notified::{LOG, TARGET, contents, sensor_on, sensor_with_log};

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

#[tokio::test]
async fn a_batch_goes_out_when_it_is_full() {
    let (cse, sensor) = sensor_with_log().await;
    let sub = sensor.subscribe_to_instances(LOG, r#","bn":{"num":3}"#).await;
    let batch = sub.get("bn").and_then(Value::as_map).unwrap();
    assert!(batch.text("dur").is_some(), "the CSE says how long it waits at most");
    for value in ["1", "2"] {
        sensor.instance(LOG, value).await.created();
    }
    assert_eq!(cse.notes().await.len(), 0);
    for value in ["3", "4", "5", "6", "7"] {
        sensor.instance(LOG, value).await.created();
    }
    let notes = cse.notes().await;
    assert_eq!(notes.len(), 2);
    assert!(notes[0].is_aggregated());
    assert_eq!(notes[0].contents(), ["1", "2", "3"]);
    assert_eq!(notes[1].contents(), ["4", "5", "6"]);
    cse.pass(seconds(61)).await;
    assert_eq!(contents(&cse.notes_of(1).await), ["7"]);
}

#[tokio::test]
async fn a_batch_goes_out_when_its_time_is_over() {
    let (cse, sensor) = sensor_with_log().await;
    sensor.subscribe_to_instances(LOG, r#","bn":{"dur":"PT10S"}"#).await;
    sensor.instance(LOG, "1").await.created();
    cse.clock.turn(seconds(8));
    sensor.instance(LOG, "2").await.created();
    assert_eq!(cse.notes().await.len(), 0);
    cse.clock.turn(seconds(2));
    let notes = cse.notes_of(1).await;
    assert_eq!(notes[0].contents(), ["1", "2"]);
    cse.network.clear();
    // The next one has its own time.
    sensor.instance(LOG, "3").await.created();
    cse.clock.turn(seconds(9));
    assert_eq!(cse.notes().await.len(), 0);
    cse.clock.turn(seconds(1));
    assert_eq!(contents(&cse.notes_of(1).await), ["3"]);
}

#[tokio::test]
async fn a_batch_survives_a_restart() {
    let (before, sensor) = sensor_with_log().await;
    sensor.subscribe_to_instances(LOG, r#","bn":{"num":3,"dur":"PT10S"}"#).await;
    for value in ["1", "2"] {
        sensor.instance(LOG, value).await.created();
    }
    let settings = crate::harness::TestCse::settings();
    let after = crate::harness::TestCse::on(before.store.clone(), settings, std::sync::Arc::clone(&before.clock)).await;
    before.cse.stop();
    let sensor = after.originator("Csensor");
    sensor.instance(LOG, "3").await.created();
    assert_eq!(contents(&after.notes_of(1).await), ["1", "2", "3"]);
}

#[tokio::test]
async fn of_a_batch_only_the_latest_goes_out_if_that_is_wanted() {
    let (cse, sensor) = sensor_with_log().await;
    sensor.subscribe_to_instances(LOG, r#","ln":true,"bn":{"num":3}"#).await;
    for value in ["1", "2", "3"] {
        sensor.instance(LOG, value).await.created();
    }
    let notes = cse.notes().await;
    assert_eq!(contents(&notes), ["3"]);
    assert_eq!(notes[0].request.event_category, Some(4));
}

#[tokio::test]
async fn what_is_held_goes_out_before_the_resource_goes() {
    let (cse, sensor) = sensor_with_log().await;
    sensor.subscribe(LOG, &format!(r#""nu":["{TARGET}"],"enc":{{"net":[2,3]}},"bn":{{"num":9}}"#)).await;
    sensor.instance(LOG, "1").await.created();
    sensor.delete(LOG).await.deleted();
    let notes = cse.notes().await;
    assert_eq!(notes.len(), 1);
    let events: Vec<_> =
        notes[0].notifications().iter().map(|sgn| sgn.get("nev").unwrap().as_map().unwrap().int("net")).collect();
    assert_eq!(events, [Some(3), Some(2)]);
}

#[tokio::test]
async fn what_is_held_goes_with_its_subscription() {
    let (cse, sensor) = sensor_with_log().await;
    sensor.subscribe_to_instances(LOG, r#","bn":{"dur":"PT10S"}"#).await;
    sensor.instance(LOG, "1").await.created();
    sensor.delete("cse-in/sensor/log/s").await.deleted();
    cse.pass(seconds(11)).await;
    assert_eq!(cse.notes().await.len(), 0);
}

#[tokio::test]
async fn a_batch_that_is_given_up_by_an_update_is_released() {
    let (cse, sensor) = sensor_with_log().await;
    sensor.subscribe_to_instances(LOG, r#","bn":{"num":5,"dur":"PT10S"}"#).await;
    sensor.instance(LOG, "1").await.created();
    sensor.update("cse-in/sensor/log/s", r#"{"m2m:sub":{"bn":null}}"#).await.updated();
    cse.network.clear();
    cse.clock.turn(seconds(11));
    assert_eq!(contents(&cse.notes_of(1).await), ["1"]);
}

#[tokio::test]
async fn the_rate_is_limited_and_nothing_is_lost_or_out_of_order() {
    let (cse, sensor) = sensor_with_log().await;
    sensor.subscribe_to_instances(LOG, r#","rl":{"mnn":2,"tww":"PT10S"}"#).await;
    for value in ["1", "2", "3", "4", "5"] {
        sensor.instance(LOG, value).await.created();
    }
    assert_eq!(contents(&cse.notes().await), ["1", "2"]);
    cse.clock.turn(seconds(10));
    // Even if it is earlier at the writer than the deadline, a new event waits behind the held ones.
    sensor.instance(LOG, "6").await.created();
    assert_eq!(contents(&cse.notes_of(2).await), ["3", "4"]);
    cse.network.clear();
    cse.clock.turn(seconds(10));
    assert_eq!(contents(&cse.notes_of(2).await), ["5", "6"]);
    cse.network.clear();
    cse.clock.turn(seconds(30));
    sensor.instance(LOG, "7").await.created();
    assert_eq!(contents(&cse.notes().await), ["7"], "a new window");
}

#[tokio::test]
async fn batches_are_limited_in_rate_too() {
    let (cse, sensor) = sensor_with_log().await;
    sensor.subscribe_to_instances(LOG, r#","bn":{"num":2},"rl":{"mnn":1,"tww":"PT10S"}"#).await;
    for value in ["1", "2", "3", "4"] {
        sensor.instance(LOG, value).await.created();
    }
    let notes = cse.notes().await;
    assert_eq!((notes.len(), notes[0].contents()), (1, vec!["1".to_owned(), "2".to_owned()]));
    cse.clock.turn(seconds(10));
    assert_eq!(cse.notes_of(1).await[0].contents(), ["3", "4"]);
}

#[tokio::test]
async fn what_a_rate_limit_holds_back_is_bounded() {
    let (cse, sensor) =
        sensor_on(crate::harness::TestCse::with(|settings| settings.notifications_per_target_max = 1).await).await;
    sensor.subscribe_to_instances(LOG, r#","rl":{"mnn":1,"tww":"PT10S"}"#).await;
    for value in 0..1_010 {
        sensor.instance(LOG, &value.to_string()).await.created();
    }
    assert_eq!(contents(&cse.notes().await), ["0"]);
    let dropped = cse.cse.metrics().notifications_dropped.get();
    assert!((1..200).contains(&dropped), "{dropped} dropped");
    cse.clock.turn(seconds(10));
    assert_eq!(contents(&cse.notes_of(1).await), [(dropped + 1).to_string()], "the oldest were dropped");
}

#[tokio::test]
async fn a_subscription_ends_after_so_many_notifications() {
    let (cse, sensor) = sensor_with_log().await;
    sensor.subscribe_to_instances(LOG, r#","exc":2,"su":"Csensor""#).await;
    sensor.subscribe(LOG, r#""nu":["http://siblings.example/"],"enc":{"net":[4]}"#).await;
    sensor.instance(LOG, "1").await.created();
    assert_eq!(sensor.retrieve("cse-in/sensor/log/s").await.resource().int("exc"), Some(1));
    for value in ["2", "3"] {
        sensor.instance(LOG, value).await.created();
    }
    let notes = cse.notes().await;
    let to = |destination: &str| notes.iter().filter(|note| note.destination == destination).collect::<Vec<_>>();
    assert_eq!(to(TARGET).iter().map(|note| note.contents()[0].clone()).collect::<Vec<_>>(), ["1", "2"]);
    assert_eq!(to("Csensor")[0].sgn().bool("sud"), Some(true));
    assert_eq!(to("http://siblings.example/")[0].net(), 4, "the end is an event for others");
    sensor.retrieve("cse-in/sensor/log/s").await.refused(Rsc::NotFound, "log/s");
}

#[tokio::test]
async fn a_batch_counts_once_towards_the_end() {
    let (cse, sensor) = sensor_with_log().await;
    sensor.subscribe_to_instances(LOG, r#","exc":2,"bn":{"num":2}"#).await;
    for value in ["1", "2", "3", "4", "5", "6"] {
        sensor.instance(LOG, value).await.created();
    }
    assert_eq!(contents(&cse.notes().await), ["1", "2", "3", "4"]);
    sensor.retrieve("cse-in/sensor/log/s").await.refused(Rsc::NotFound, "log/s");
}

#[tokio::test]
async fn subscriptions_that_end_through_each_other_all_end() {
    let (cse, sensor) = sensor_with_log().await;
    sensor.subscribe_to_instances(LOG, r#","exc":1"#).await;
    for number in 0..300 {
        sensor.subscribe(LOG, &format!(r#""rn":"n{number}","nu":["Csensor"],"enc":{{"net":[4]}},"exc":1"#)).await;
    }
    for name in ["a", "b", "c"] {
        let members = format!(r#""rn":"{name}","nu":["http://{name}.example/"],"enc":{{"net":[4]}},"exc":1"#);
        sensor.subscribe(LOG, &members).await;
    }
    sensor.instance(LOG, "1").await.created();
    let notes = cse.notes().await;
    assert_eq!(notes.len(), 304);
    for name in ["s", "a", "b", "c", "n0", "n299"] {
        sensor.retrieve(&format!("{LOG}/{name}")).await.refused(Rsc::NotFound, name);
    }
}

#[tokio::test]
async fn the_event_category_goes_along() {
    let (cse, sensor) = sensor_with_log().await;
    for (name, members) in
        [("none", ""), ("nec", r#","nec":3"#), ("ln", r#","ln":true"#), ("both", r#","nec":3,"ln":true"#)]
    {
        sensor.subscribe(LOG, &format!(r#""rn":"{name}","nu":["http://{name}.example/"]{members}"#)).await;
    }
    sensor.update(LOG, r#"{"m2m:cnt":{"lbl":["a"]}}"#).await.updated();
    let notes = cse.notes().await;
    let of = |name: &str| notes.iter().find(|note| note.destination.contains(name)).unwrap().request.event_category;
    assert_eq!((of("none"), of("nec"), of("ln"), of("both")), (None, Some(3), Some(4), Some(4)));
}

// === statistics ===

/// Requests sent, responses received, events; of one target.
fn statistics(sub: &Map, target: &str) -> Option<(i64, i64, i64)> {
    let entries = sub.get("nsi")?.as_list()?;
    let entry = entries.iter().filter_map(Value::as_map).find(|entry| entry.text("tg") == Some(target))?;
    Some((entry.int("rqs")?, entry.int("rsr")?, entry.int("noec")?))
}

#[tokio::test]
async fn statistics_are_kept_per_target() {
    let (cse, sensor) = sensor_with_log().await;
    let members = r#""rn":"s","nu":["http://a.example/","Csensor"],"enc":{"net":[3]},"nse":true"#;
    let sub = sensor.subscribe(LOG, members).await;
    assert_eq!(statistics(&sub, "Csensor"), Some((0, 0, 0)));
    cse.network.otherwise(Play::Unanswered);
    sensor.instance(LOG, "1").await.created();
    cse.notes_of(2).await;
    cse.network.otherwise(Play::Answer(Rsc::Ok));
    sensor.instance(LOG, "2").await.created();
    let address = "cse-in/sensor/log/s";
    let stand = async |target: &str| statistics(&sensor.retrieve(address).await.resource(), target);
    cse.until(async || stand("http://a.example/").await == Some((2, 1, 2))).await;
    cse.until(async || stand("Csensor").await == Some((2, 1, 2))).await;

    sensor.update(address, r#"{"m2m:sub":{"nu":["Csensor","http://b.example/"]}}"#).await.updated();
    assert_eq!(stand("Csensor").await, Some((2, 1, 2)), "kept");
    assert_eq!((stand("http://b.example/").await, stand("http://a.example/").await), (Some((0, 0, 0)), None));

    sensor.update(address, r#"{"m2m:sub":{"nse":false}}"#).await.updated();
    sensor.instance(LOG, "3").await.created();
    cse.notes().await;
    assert_eq!(stand("Csensor").await, Some((2, 1, 2)), "stopped, not forgotten");
    sensor.update(address, r#"{"m2m:sub":{"nse":true}}"#).await.updated();
    assert_eq!(stand("Csensor").await, Some((0, 0, 0)), "begun again");
    sensor.update(address, r#"{"m2m:sub":{"nsi":[]}}"#).await.refused(Rsc::BadRequest, "nsi");
}

#[tokio::test]
async fn events_count_even_while_they_are_held() {
    let (cse, sensor) = sensor_with_log().await;
    sensor.subscribe_to_instances(LOG, r#","nse":true,"bn":{"num":2}"#).await;
    for value in ["1", "2", "3"] {
        sensor.instance(LOG, value).await.created();
    }
    let stand = async || statistics(&sensor.retrieve("cse-in/sensor/log/s").await.resource(), TARGET);
    cse.until(async || stand().await == Some((1, 1, 3))).await;
}
