//! Random lives of a kept session: nothing acknowledged is lost, order is kept, and nothing comes again for certain
//! once its acknowledgement is stored.

use std::collections::BTreeSet;

use proptest::prelude::*;
use rumqttc::QoS;
use rumqttc::mqttbytes::v4::Publish;

use super::Durable;
use super::disk::{Disk, Mode};
use crate::harness::{Client, text};

#[derive(Clone, Debug)]
enum Step {
    /// Messages, all acknowledged before the next step if the disk works.
    Publish(u16),
    /// Takes what comes at once and acknowledges so many.
    Receive(usize),
    Leave,
    Kill,
    Stop,
    /// Messages that are not waited for, and a kill in the middle.
    PublishAndKill(u16),
    Hiccup,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (1_u16..8).prop_map(Step::Publish),
        4 => (0_usize..10).prop_map(Step::Receive),
        1 => Just(Step::Leave),
        2 => Just(Step::Kill),
        1 => Just(Step::Stop),
        2 => (1_u16..30).prop_map(Step::PublishAndKill),
        1 => Just(Step::Hiccup),
    ];
    prop::collection::vec(step, 1..25)
}

struct Life {
    disk: Disk,
    broker: Option<Durable>,
    receiver: Option<Client<tokio::net::TcpStream>>,
    sent: u32,
    /// Acknowledged to the sender.
    promised: BTreeSet<u32>,
    /// Acknowledged by the receiver.
    confirmed: BTreeSet<u32>,
    /// Of those, in the life of this broker.
    confirmed_now: BTreeSet<u32>,
    /// Confirmed in the life of a broker that was stopped politely: can never come again.
    gone: BTreeSet<u32>,
    seen: BTreeSet<u32>,
}

impl Life {
    async fn begin() -> Self {
        let disk = Disk::default();
        let broker = Durable::start(&disk).await;
        let (mut receiver, _) = broker.broker.kept("receiver").await;
        receiver.subscribe("t", QoS::AtLeastOnce).await;
        Self {
            disk,
            broker: Some(broker),
            receiver: Some(receiver),
            sent: 0,
            promised: BTreeSet::new(),
            confirmed: BTreeSet::new(),
            confirmed_now: BTreeSet::new(),
            gone: BTreeSet::new(),
            seen: BTreeSet::new(),
        }
    }

    fn broker(&self) -> &Durable {
        self.broker.as_ref().expect("running")
    }

    async fn take(&mut self, step: Step) {
        match step {
            Step::Publish(count) => self.publish(count).await,
            Step::Receive(count) => self.receive(count).await,
            Step::Leave => {
                if let Some(receiver) = self.receiver.take() {
                    receiver.vanish(&self.broker().broker, "receiver").await;
                }
            }
            Step::Kill => self.restart(true).await,
            Step::Stop => self.restart(false).await,
            Step::PublishAndKill(count) => {
                let mut sender = self.broker().broker.client("sender").await;
                for packet_id in 1..=count {
                    self.sent += 1;
                    sender.publish("t", &self.sent.to_string(), QoS::AtLeastOnce, packet_id).await;
                }
                // One acknowledgement at least is on its way.
                sender.expect_puback(1).await;
                self.promised.insert(self.sent - u32::from(count) + 1);
                self.restart(true).await;
            }
            Step::Hiccup => {
                self.disk.set(Mode::Uncertain);
                let mut sender = self.broker().broker.client("sender").await;
                self.sent += 1;
                sender.publish("t", &self.sent.to_string(), QoS::AtLeastOnce, 1).await;
                sender.expect_nothing().await;
                self.disk.set(Mode::Works);
                sender.expect_puback(1).await;
                self.promised.insert(self.sent);
            }
        }
    }

    async fn publish(&mut self, count: u16) {
        let mut sender = self.broker().broker.client("sender").await;
        for packet_id in 1..=count {
            self.sent += 1;
            sender.publish("t", &self.sent.to_string(), QoS::AtLeastOnce, packet_id).await;
            sender.expect_puback(packet_id).await;
            self.promised.insert(self.sent);
        }
    }

    async fn restart(&mut self, kill: bool) {
        let broker = self.broker.take().expect("running");
        self.receiver = None;
        if kill {
            broker.kill().await;
        } else {
            broker.stop().await;
            self.gone.extend(&self.confirmed_now);
        }
        self.confirmed_now.clear();
        self.broker = Some(Durable::start(&self.disk).await);
    }

    /// Checks messages of one connection, the last of which had this number.
    fn look_at(&mut self, messages: &[Publish], last: &mut u32) {
        for message in messages {
            let number: u32 = text(&message.payload).parse().expect("a number");
            assert!(number > *last, "order");
            *last = number;
            assert!(!self.gone.contains(&number), "{number} came again although its acknowledgement was stored");
            assert!(message.dup || self.seen.insert(number), "{number} came twice without a mark");
            self.seen.insert(number);
        }
    }

    async fn receive(&mut self, count: usize) {
        let mut receiver = match self.receiver.take() {
            Some(receiver) => receiver,
            None => {
                let (receiver, present) = self.broker().broker.kept("receiver").await;
                assert!(present);
                receiver
            }
        };
        let mut messages = Vec::new();
        receiver.drain(&mut messages).await;
        let mut last = 0;
        self.look_at(&messages, &mut last);
        for message in messages.iter().take(count) {
            receiver.puback(message.pkid).await;
            let number = text(&message.payload).parse().expect("a number");
            self.confirmed.insert(number);
            self.confirmed_now.insert(number);
        }
        // Until its acknowledgements have been read. They make room for more.
        messages.clear();
        receiver.drain(&mut messages).await;
        self.look_at(&messages, &mut last);
        // What was not acknowledged comes again on the next connection only.
        receiver.vanish(&self.broker().broker, "receiver").await;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn nothing_promised_is_lost(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let mut life = Life::begin().await;
            for step in steps {
                life.take(step).await;
            }
            life.restart(true).await;
            // What an earlier broker has stored comes when the store knows that the client is there.
            let queued = |life: &Life| life.broker().broker.broker.sessions().iter().any(|s| s.queued_messages > 0);
            while queued(&life) {
                life.receive(usize::MAX).await;
            }
            life.receive(usize::MAX).await;
            let missing: Vec<_> = life.promised.difference(&life.confirmed).collect();
            prop_assert!(missing.is_empty(), "lost: {missing:?}");
            life.restart(false).await;
            prop_assert_eq!(life.disk.rows(), 0, "everything was acknowledged");
            Ok(())
        })?;
    }
}
