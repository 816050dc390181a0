//! A disk that does not work: back-pressure, a report, and recovery without anybody's help.

use cse_mqtt::broker::{Limits, PersisterStatus};
use rumqttc::QoS;

use super::Durable;
use super::disk::{Disk, Mode};
use crate::harness::{text, until, within};

#[tokio::test]
async fn while_the_disk_is_broken_nothing_is_promised() {
    for mode in [Mode::Broken, Mode::Uncertain] {
        let disk = Disk::default();
        let mut broker = Durable::start(&disk).await;
        let (mut receiver, _) = broker.broker.kept("receiver").await;
        receiver.subscribe("t", QoS::AtLeastOnce).await;
        receiver.vanish(&broker.broker, "receiver").await;
        let mut sender = broker.broker.client("sender").await;
        sender.publish("t", "before", QoS::AtLeastOnce, 1).await;
        sender.expect_puback(1).await;
        disk.set(mode);
        for number in 2..=5 {
            sender.publish("t", &number.to_string(), QoS::AtLeastOnce, number).await;
        }
        let failing = |status: &PersisterStatus| matches!(status, PersisterStatus::Failing(_));
        within(broker.status.wait_for(failing)).await.expect("running");
        let failures = || broker.broker.broker.stats().session_commit_failures.get();
        let first = failures();
        until(|| failures() > first + 2).await;
        sender.expect_nothing().await;
        // What is there can be fetched all the same.
        let (mut receiver, present) = broker.broker.kept("receiver").await;
        assert!(present);
        let message = receiver.message().await;
        assert_eq!(text(&message.payload), "before");
        receiver.puback(message.pkid).await;
        let message = receiver.message().await;
        assert_eq!(text(&message.payload), "2");
        receiver.puback(message.pkid).await;
        sender.expect_puback(2).await;

        disk.set(Mode::Works);
        for number in 3..=5 {
            sender.expect_puback(number).await;
        }
        within(broker.status.wait_for(|status| *status == PersisterStatus::Storing)).await.expect("running");
        broker.kill().await;
        let broker = Durable::start(&disk).await;
        let (mut receiver, _) = broker.broker.kept("receiver").await;
        for number in 3..=5 {
            let message = receiver.message().await;
            assert_eq!(text(&message.payload), number.to_string(), "{mode:?}");
            receiver.puback(message.pkid).await;
        }
        receiver.expect_nothing().await;
        until(|| disk.rows() == 0).await;
    }
}

#[tokio::test]
async fn a_connection_that_waits_for_the_disk_is_not_read_from() {
    let disk = Disk::default();
    let limits = Limits { unacknowledged_max: 10, ..Limits::default() };
    let broker = Durable::with(&disk, limits).await;
    let (mut receiver, _) = broker.broker.kept("receiver").await;
    receiver.subscribe("t", QoS::AtLeastOnce).await;
    receiver.vanish(&broker.broker, "receiver").await;
    disk.set(Mode::Broken);
    let mut sender = broker.broker.client("sender").await;
    for number in 1..=50 {
        sender.publish("t", &number.to_string(), QoS::AtLeastOnce, number).await;
    }
    let queued = || broker.broker.broker.sessions().iter().map(|session| session.queued_messages).sum::<usize>();
    until(|| queued() == 10).await;
    let failures = || broker.broker.broker.stats().session_commit_failures.get();
    let first = failures();
    until(|| failures() > first + 1).await;
    assert_eq!(queued(), 10);
    disk.set(Mode::Works);
    for number in 1..=50 {
        sender.expect_puback(number).await;
    }
    assert_eq!(disk.payloads().len(), 50);
}

#[tokio::test]
async fn a_stuck_disk_is_reported() {
    let disk = Disk::default();
    let mut broker = Durable::start(&disk).await;
    disk.set(Mode::Stuck);
    let (_client, _) = broker.broker.kept("client").await;
    let failing = |status: &PersisterStatus| matches!(status, PersisterStatus::Failing(_));
    within(broker.status.wait_for(failing)).await.expect("running");
    disk.set(Mode::Works);
    within(broker.status.wait_for(|status| *status == PersisterStatus::Storing)).await.expect("running");
}

#[tokio::test]
async fn stopping_with_a_broken_disk_ends() {
    let disk = Disk::default();
    let broker = Durable::start(&disk).await;
    let (mut receiver, _) = broker.broker.kept("receiver").await;
    receiver.subscribe("t", QoS::AtLeastOnce).await;
    disk.set(Mode::Broken);
    receiver.vanish(&broker.broker, "receiver").await;
    broker.stop().await;
}
