//! Answers to changes wait while their notifications pile up, so that nothing is lost to a bound.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use cse_core::settings::Settings;
use tokio::task::JoinSet;

use crate::harness::{Actor, Play, TestCse};
use crate::notified::{LOG, TARGET, contents, sensor_on};

/// So many may wait in one lane before answers are held.
const IN_LANE: usize = 512;
const MANY: usize = 700;

/// Creates many instances at once; returns the creates, and how many have been answered so far.
fn create_many(cse: &Arc<TestCse>, sensor: &Actor) -> (JoinSet<()>, Arc<AtomicUsize>) {
    let answered = Arc::new(AtomicUsize::new(0));
    let mut creates = JoinSet::new();
    for value in 0..MANY {
        let (cse, name, answered) = (Arc::clone(cse), sensor.name.clone(), Arc::clone(&answered));
        creates.spawn(async move {
            cse.originator(&name).instance(LOG, &value.to_string()).await.created();
            answered.fetch_add(1, Ordering::Relaxed);
        });
    }
    (creates, answered)
}

async fn with(change: impl FnOnce(&mut Settings)) -> (Arc<TestCse>, Actor) {
    let (cse, sensor) = sensor_on(TestCse::with(change).await).await;
    sensor.subscribe_to_instances(LOG, "").await;
    cse.network.clear();
    (cse, sensor)
}

#[tokio::test]
async fn answers_wait_for_a_slow_target_but_not_for_ever() {
    let (cse, sensor) = with(|settings| settings.notification_window = 1).await;
    cse.network.otherwise(Play::Hang);
    let (creates, answered) = create_many(&cse, &sensor);
    cse.until(async || cse.cse.notifications_waiting() == MANY && answered.load(Ordering::Relaxed) >= IN_LANE).await;
    // Others go on.
    sensor.container("cse-in/sensor", "other").await.created();
    sensor.instance("cse-in/sensor/other", "1").await.created();
    cse.clock.turn(Duration::from_millis(1_999));
    sensor.instance("cse-in/sensor/other", "2").await.created();
    // One more if the first was on its way before the last came.
    assert!((IN_LANE..=IN_LANE + 1).contains(&answered.load(Ordering::Relaxed)));
    cse.clock.turn(Duration::from_millis(1));
    creates.join_all().await;
}

#[tokio::test]
async fn answers_go_when_the_notifications_go() {
    let (cse, sensor) = with(|settings| settings.notification_window = 1).await;
    let (creates, answered) = create_many(&cse, &sensor);
    // No clock is turned: it is the network that lets them go.
    creates.join_all().await;
    assert_eq!(answered.load(Ordering::Relaxed), MANY);
    let mut told: Vec<usize> =
        contents(&cse.notes_of(MANY).await).iter().map(|value| value.parse().expect("a number")).collect();
    told.sort_unstable();
    assert_eq!(told, (0..MANY).collect::<Vec<_>>());
}

#[tokio::test]
async fn nobody_waits_for_a_target_that_cannot_be_reached() {
    let (cse, sensor) = with(|_| {}).await;
    cse.network.cut(TARGET);
    sensor.instance(LOG, "first").await.created();
    cse.until(async || cse.cse.metrics().notifications_retried.get() > 0).await;
    create_many(&cse, &sensor).0.join_all().await;
    assert_eq!(cse.cse.metrics().notifications_dropped.get(), 0);
}

#[tokio::test]
async fn without_a_time_to_hold_nothing_is_held() {
    let settings = |settings: &mut Settings| {
        settings.notification_window = 1;
        settings.notification_hold_max = Duration::ZERO;
    };
    let (cse, sensor) = with(settings).await;
    cse.network.otherwise(Play::Hang);
    create_many(&cse, &sensor).0.join_all().await;
    assert_eq!(cse.cse.metrics().answers_held.get(), 0);
}
