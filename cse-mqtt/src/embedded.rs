//! The link to the embedded broker: function calls instead of a connection.
//!
//! The broker knows what an external one never tells: whether anybody listens, and who has not acknowledged yet.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cse_core::id::Peer;
use cse_core::ports::BoxFuture;
use parking_lot::Mutex;
use rumqttc::QoS;
use rustc_hash::FxHashSet;

use crate::binding::Common;
use crate::broker::{
    self, AckToken, Broker, DeliveryHandle, DeliveryStatus, InvalidFilter, LinkReceiver, PublishError,
};
use crate::link::{Acknowledgement, Inbound, Link, MORE_FILTERS_MAX, Progress, Publisher, Receipt, Refused};
use crate::security::{Security, names_entity};
use crate::stats::MqttStats;

/// Messages taken from the broker at a time.
const BATCH: usize = 64;

/// Joins the broker as this CSE.
pub(crate) fn link(broker: &Broker, common: &Common) -> Result<(EmbeddedPublisher, EmbeddedLink), InvalidFilter> {
    let subscriptions = common.subscriptions();
    let filters: Vec<&str> = subscriptions.iter().map(|subscription| subscription.filter.as_str()).collect();
    let take_answer = common.answer_taker();
    let shortcut = Arc::new(move |message: &broker::Inbound| take_answer(&message.topic, &message.payload));
    let (link, receiver) = broker.link_with_shortcut(common.identity.base_id(), &filters, shortcut)?;
    let publisher = EmbeddedPublisher { link, more: Mutex::default(), stats: Arc::clone(&common.stats) };
    let security = common.options.security.clone();
    Ok((publisher, EmbeddedLink { receiver, batch: Vec::with_capacity(BATCH), ready: VecDeque::new(), security }))
}

/// The sending half.
pub(crate) struct EmbeddedPublisher {
    link: broker::Link,
    /// What is listened to for answers besides.
    more: Mutex<FxHashSet<String>>,
    stats: Arc<MqttStats>,
}

impl EmbeddedPublisher {
    fn publish(&self, topic: &str, payload: Bytes, expiry: Option<Duration>) -> Result<EmbeddedReceipt, Refused> {
        let bytes = topic.len() + payload.len();
        let published = match expiry {
            None => self.link.publish_tracked(topic, payload, QoS::AtLeastOnce),
            Some(expiry) => self.link.publish_expiring(topic, payload, QoS::AtLeastOnce, expiry),
        };
        let (outcome, handle) = published.map_err(|error| match error {
            PublishError::InvalidTopic => Refused::InvalidTopic,
            PublishError::TooLarge => Refused::TooLarge(bytes),
        })?;
        Ok(EmbeddedReceipt { handle, heard: outcome.matched + outcome.refused > 0 })
    }
}

impl Publisher for EmbeddedPublisher {
    fn publish_answer(
        &self,
        topic: String,
        payload: Bytes,
        expiry: Option<Duration>,
    ) -> Result<Option<Box<dyn Receipt>>, Refused> {
        let receipt = self.publish(&topic, payload, expiry)?;
        if !receipt.heard {
            self.stats.answers_unheard.increment();
            return Ok(None);
        }
        Ok(Some(Box::new(receipt)))
    }

    fn listen(&self, filters: &[String]) -> Result<(), Refused> {
        let mut more = self.more.lock();
        for filter in filters {
            if more.contains(filter) {
                continue;
            }
            if more.len() >= MORE_FILTERS_MAX {
                return Err(Refused::TooManyFilters);
            }
            self.link.subscribe(filter).map_err(|_| Refused::InvalidTopic)?;
            more.insert(filter.clone());
        }
        Ok(())
    }

    fn is_heard_by(&self, topic: &str, entity: &str) -> bool {
        self.link.is_heard_by(topic, |client_id| names_entity(client_id, entity))
    }

    fn publish_request(
        &self,
        topic: String,
        payload: Bytes,
        expiry: Option<Duration>,
    ) -> Result<Box<dyn Receipt>, Refused> {
        Ok(Box::new(self.publish(&topic, payload, expiry)?))
    }
}

struct EmbeddedReceipt {
    handle: DeliveryHandle,
    /// Whether anybody is subscribed.
    heard: bool,
}

impl Receipt for EmbeddedReceipt {
    fn progress(&mut self) -> Progress {
        if !self.heard {
            return Progress::NoReceiver;
        }
        match self.handle.status() {
            DeliveryStatus::Pending if self.handle.is_safe() => Progress::TakenOver,
            DeliveryStatus::Pending => Progress::Waiting,
            // With QoS 0 nothing more will ever be known; to take it for lost would swallow repeated values.
            DeliveryStatus::Acknowledged | DeliveryStatus::Unconfirmed => Progress::Received,
            DeliveryStatus::Lost => Progress::Lost,
        }
    }

    fn settled(&mut self) -> BoxFuture<'_, Progress> {
        // The broker has taken it, or not, by the time it is published; only what it has to store takes time.
        Box::pin(async {
            self.handle.safe().await;
            self.progress()
        })
    }

    fn received(&mut self) -> BoxFuture<'_, Progress> {
        Box::pin(async {
            self.handle.wait().await;
            self.progress()
        })
    }

    fn acknowledge_when_safe(&mut self, request: Box<dyn Acknowledgement>) {
        self.handle.when_safe(move || request.acknowledge());
    }
}

impl Acknowledgement for AckToken {
    fn acknowledge(self: Box<Self>) {
        self.accept();
    }
}

/// The receiving half.
pub(crate) struct EmbeddedLink {
    receiver: LinkReceiver,
    batch: Vec<broker::Inbound>,
    ready: VecDeque<broker::Inbound>,
    security: Option<Arc<Security>>,
}

impl Link for EmbeddedLink {
    async fn receive(&mut self) -> Option<Inbound> {
        if self.ready.is_empty() {
            self.receiver.receive(&mut self.batch, BATCH).await;
            self.ready.extend(self.batch.drain(..));
        }
        let broker::Inbound { topic, payload, dup, publisher, ack, .. } = self.ready.pop_front()?;
        let sender = self.security.as_ref().map(|security| security.sender(&publisher, &topic)).unwrap_or_default();
        let peer = Peer {
            address: publisher.peer.map(|address| address.ip()),
            authenticated: sender.proven,
            credential: sender.credential,
            identifier: sender.identifier,
        };
        let acknowledgement: Option<Box<dyn Acknowledgement>> = Some(Box::new(ack));
        Some(Inbound { topic, payload, duplicate: dup, peer, vouched: sender.vouched, acknowledgement })
    }

    async fn close(self) {
        // Answers are with the broker already; what was not taken stays unacknowledged.
    }
}
