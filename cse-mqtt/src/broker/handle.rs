//! What each packet of a connected client does.

use std::sync::Arc;

use rumqttc::QoS;
use rumqttc::mqttbytes::v4::{Publish, Subscribe, Unsubscribe};
use tokio::io::{AsyncRead, AsyncWrite};

use super::acks::AckKind;
use super::codec::{self, ClientPacket, Violation};
use super::connection::{Attachment, Closed, Connection};
use super::filter::InvalidFilter;
use super::link::{AckToken, Inbound};
use super::router::{Target, lower};
use super::session::{Message, Receipt, Wish};

/// SUBACK return code for a subscription that is not granted.
const SUBSCRIPTION_FAILURE: u8 = 0x80;

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    pub(super) fn handle(&mut self, packet: ClientPacket) -> Result<(), Closed> {
        let Attachment { session, shared, .. } = &self.attachment;
        match packet {
            ClientPacket::Publish(publish) => self.publish(publish)?,
            ClientPacket::PubAck(packet_id) => session.acknowledge(shared, packet_id),
            ClientPacket::PubRec(packet_id) => {
                session.received(shared, packet_id);
                codec::write_pubrel(&mut self.output, packet_id);
            }
            ClientPacket::PubRel(packet_id) => {
                session.exact_release(packet_id);
                codec::write_pubcomp(&mut self.output, packet_id);
            }
            ClientPacket::PubComp(packet_id) => session.completed(shared, packet_id),
            ClientPacket::Subscribe(subscribe) => self.subscribe(&subscribe)?,
            ClientPacket::Unsubscribe(unsubscribe) => self.unsubscribe(&unsubscribe)?,
            ClientPacket::PingReq => codec::write_pingresp(&mut self.output),
            ClientPacket::Disconnect => return Err(Closed::ByClient),
        }
        Ok(())
    }

    fn publish(&mut self, publish: Publish) -> Result<(), Violation> {
        let Attachment { core, session, shared } = &self.attachment;
        core.stats.publishes_received.increment();
        if publish.retain {
            core.stats.publishes_retained.increment();
        }
        if !core.policy.may_publish(&shared.client, &publish.topic) {
            // MQTT 3.1.1 §3.3.5 leaves two ways: acknowledge and drop, or close. A client whose rights have changed
            // should not have to reconnect for every message.
            core.stats.publishes_denied.increment();
            match publish.qos {
                QoS::AtMostOnce => {}
                QoS::AtLeastOnce => drop(self.push_ack(publish.pkid, AckKind::PubAck, 0)),
                QoS::ExactlyOnce => drop(self.push_ack(publish.pkid, AckKind::PubRec, 0)),
            }
            return Ok(());
        }
        if publish.qos == QoS::ExactlyOnce {
            match session.exact_receipt(shared, publish.pkid) {
                Receipt::New => {}
                Receipt::Accepted => {
                    self.push_ack(publish.pkid, AckKind::PubRec, 0);
                    return Ok(());
                }
                Receipt::Pending => {
                    self.wait_for_pending(publish.pkid);
                    return Ok(());
                }
                Receipt::Repeated => return Ok(()),
                Receipt::TooMany => return Err(Violation::TooManyUnreleased),
            }
        }
        self.route(publish);
        Ok(())
    }

    /// A QoS 2 message came again while links decide on it: its PUBREC goes out here, and it is not delivered again.
    fn wait_for_pending(&mut self, packet_id: u16) {
        let sequence = self.push_ack(packet_id, AckKind::PubRec, 1);
        let Attachment { session, shared, .. } = &self.attachment;
        let redirected = session.exact_redirect(packet_id, (Arc::clone(shared), sequence));
        if !redirected && session.exact_receipt(shared, packet_id) == Receipt::Accepted {
            shared.complete(sequence);
        }
    }

    /// Delivers a message to sessions and links. Its acknowledgement waits for the links only.
    fn route(&mut self, publish: Publish) {
        let Publish { dup, qos, topic, pkid: packet_id, payload, .. } = publish;
        let message = Message { topic: topic.into(), payload, expires: None, properties: None };
        let core = Arc::clone(&self.attachment.core);
        core.router.with_matching(&message.topic, self.attachment.session.id, |subscribers| {
            if subscribers.is_empty() {
                core.stats.publishes_unmatched.increment();
            }
            let links = subscribers.iter().filter(|(_, found)| matches!(found.target, Target::Link(_))).count();
            let links = u32::try_from(links).unwrap_or(u32::MAX);
            let acknowledgement = self.begin_acknowledgement(qos, packet_id, links);
            for (_, subscriber) in subscribers {
                match &subscriber.target {
                    Target::Session(session) => {
                        core.offer(session, &message, lower(qos, subscriber.wish.qos), None);
                    }
                    Target::Link(link) => {
                        let inbound = Inbound {
                            topic: Arc::clone(&message.topic),
                            payload: message.payload.clone(),
                            qos,
                            dup,
                            publisher: Arc::clone(&self.attachment.shared.client),
                            ack: self.token(acknowledgement),
                        };
                        self.to_links.push_back((Arc::clone(link), inbound));
                    }
                }
            }
        });
    }

    fn begin_acknowledgement(&mut self, qos: QoS, packet_id: u16, links: u32) -> Acknowledgement {
        match qos {
            QoS::AtMostOnce => Acknowledgement::None,
            QoS::AtLeastOnce => Acknowledgement::Sequence(self.push_ack(packet_id, AckKind::PubAck, links)),
            QoS::ExactlyOnce => {
                // One decision for the queue: the session counts those of the links.
                let sequence = self.push_ack(packet_id, AckKind::PubRec, links.min(1));
                let Attachment { session, shared, .. } = &self.attachment;
                let attempt = session.exact_begin(packet_id, links, (Arc::clone(shared), sequence));
                Acknowledgement::Attempt { packet_id, attempt }
            }
        }
    }

    fn token(&self, acknowledgement: Acknowledgement) -> AckToken {
        let Attachment { session, shared, .. } = &self.attachment;
        match acknowledgement {
            Acknowledgement::None => AckToken::none(),
            Acknowledgement::Sequence(sequence) => AckToken::at_least_once(Arc::clone(shared), sequence),
            Acknowledgement::Attempt { packet_id, attempt } => {
                AckToken::exactly_once(Arc::clone(session), packet_id, attempt)
            }
        }
    }

    fn subscribe(&mut self, subscribe: &Subscribe) -> Result<(), Violation> {
        let mut codes = Vec::with_capacity(subscribe.filters.len());
        for filter in &subscribe.filters {
            codes.push(self.grant(&filter.path, filter.qos)?);
        }
        codec::write_suback(&mut self.output, subscribe.pkid, &codes);
        Ok(())
    }

    /// The return code for one filter of a SUBSCRIBE.
    fn grant(&self, text: &str, qos: QoS) -> Result<u8, Violation> {
        let Attachment { core, session, shared } = &self.attachment;
        let filter = match core.parse_filter(text) {
            Ok(filter) => filter,
            Err(InvalidFilter::Malformed) => return Err(Violation::InvalidFilter),
            Err(InvalidFilter::TooLong | InvalidFilter::Shared) => {
                core.stats.subscriptions_refused.increment();
                return Ok(SUBSCRIPTION_FAILURE);
            }
        };
        if !core.policy.may_subscribe(&shared.client, filter.as_str()) {
            core.stats.subscriptions_denied.increment();
            return Ok(SUBSCRIPTION_FAILURE);
        }
        if !core.router.subscribe(session, shared, &filter, Wish { qos, no_local: false }) {
            core.stats.subscriptions_refused.increment();
            return Ok(SUBSCRIPTION_FAILURE);
        }
        core.stats.subscriptions_granted.increment();
        Ok(qos as u8)
    }

    fn unsubscribe(&mut self, unsubscribe: &Unsubscribe) -> Result<(), Violation> {
        let Attachment { core, session, .. } = &self.attachment;
        for text in &unsubscribe.topics {
            match core.parse_filter(text) {
                Ok(filter) => drop(core.router.unsubscribe(session, &filter)),
                Err(InvalidFilter::Malformed) => return Err(Violation::InvalidFilter),
                // Never granted, so there is nothing to end.
                Err(InvalidFilter::TooLong | InvalidFilter::Shared) => {}
            }
        }
        codec::write_unsuback(&mut self.output, unsubscribe.pkid);
        Ok(())
    }
}

/// Where the decisions about a message go.
#[derive(Clone, Copy)]
enum Acknowledgement {
    None,
    Sequence(u64),
    Attempt { packet_id: u16, attempt: u64 },
}
