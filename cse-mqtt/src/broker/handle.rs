//! What each packet of a connected client does.

use std::sync::Arc;
use std::time::Duration;

use rumqttc::QoS;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;

use super::acks::AckKind;
use super::codec::{self, ClientPacket, Publish, Reason, Subscribe, SubscribeFilter, Version, Violation};
use super::connection::{Attachment, Closed, Connection};
use super::filter::InvalidFilter;
use super::hold::Hold;
use super::link::{AckToken, Inbound};
use super::router::{Subscriber, Target, lower};
use super::session::{Message, Offer, Receipt, Wish};

/// SUBACK return code of version 3.1.1 for a subscription that is not granted.
const SUBSCRIPTION_FAILURE: u8 = 0x80;

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    pub(super) fn handle(&mut self, packet: ClientPacket<'_>) -> Result<(), Closed> {
        let Attachment { session, shared, .. } = &self.attachment;
        let version = shared.terms.version;
        match packet {
            ClientPacket::Publish(publish) => self.publish(publish)?,
            ClientPacket::PubAck { packet_id, refused } => session.acknowledge(shared, packet_id, refused),
            ClientPacket::PubRec { packet_id, refused: true } => session.refused(shared, packet_id),
            ClientPacket::PubRec { packet_id, refused: false } => {
                let known = session.received(shared, packet_id);
                self.reply_when_stored(|out| codec::write_pubrel(out, version, packet_id, known_or_not(known)))?;
            }
            ClientPacket::PubRel(packet_id) => {
                let known = session.exact_release(packet_id);
                self.reply_when_stored(|out| codec::write_pubcomp(out, version, packet_id, known_or_not(known)))?;
            }
            ClientPacket::PubComp(packet_id) => session.completed(shared, packet_id),
            ClientPacket::Subscribe(subscribe) => self.subscribe(&subscribe)?,
            ClientPacket::Unsubscribe { packet_id, filters } => self.unsubscribe(packet_id, &filters)?,
            ClientPacket::PingReq => codec::write_pingresp(&mut self.output),
            ClientPacket::Disconnect { session_expiry } => return Err(self.leave(session_expiry)),
        }
        Ok(())
    }

    /// DISCONNECT, which may give the session another time to live.
    fn leave(&self, session_expiry: Option<u32>) -> Closed {
        let Attachment { core, session, shared } = &self.attachment;
        if let Some(seconds) = session_expiry {
            if seconds > 0 && session.expiry().is_zero() {
                return Closed::Violation(Violation::ExpiryAfterNone);
            }
            session.set_expiry(shared, core.session_expiry(seconds));
        }
        Closed::ByClient
    }

    fn publish(&mut self, publish: Publish) -> Result<(), Closed> {
        let Attachment { core, session, shared } = &self.attachment;
        core.stats.publishes_received.increment();
        if publish.retain {
            core.stats.publishes_retained.increment();
        }
        if shared.terms.version == Version::V5 {
            // CONNACK has told both.
            if publish.retain {
                return Err(Violation::Retained.into());
            }
            if publish.qos != QoS::AtMostOnce && self.has_reached_receive_max() {
                return Err(Violation::ReceiveMaximum.into());
            }
        }
        if !core.policy.may_publish(&shared.client, &publish.topic) {
            // MQTT 3.1.1 §3.3.5 leaves two ways: acknowledge and drop, or close. A client whose rights have changed
            // should not have to reconnect for every message. Version 5 can say it.
            core.stats.publishes_denied.increment();
            if self.denials.note(&core.limits, Instant::now()) {
                return Err(Closed::Denied);
            }
            let kind = match publish.qos {
                QoS::AtMostOnce => return Ok(()),
                QoS::AtLeastOnce => AckKind::PubAck,
                QoS::ExactlyOnce => AckKind::PubRec,
            };
            self.push_ack(publish.packet_id, kind, Reason::NotAuthorized, 0);
            return Ok(());
        }
        if publish.qos == QoS::ExactlyOnce {
            match session.exact_receipt(shared, publish.packet_id) {
                Receipt::New => {}
                Receipt::Accepted => {
                    self.acknowledge_when_stored(publish.packet_id);
                    return Ok(());
                }
                Receipt::Pending => {
                    self.wait_for_pending(publish.packet_id);
                    return Ok(());
                }
                Receipt::Repeated => return Ok(()),
                Receipt::TooMany => return Err(Violation::TooManyUnreleased.into()),
            }
        }
        self.route(publish);
        Ok(())
    }

    /// A QoS 2 message came again while links decide on it: its PUBREC goes out here, and it is not delivered again.
    fn wait_for_pending(&mut self, packet_id: u16) {
        let sequence = self.push_ack(packet_id, AckKind::PubRec, Reason::Success, 1);
        let Attachment { session, shared, .. } = &self.attachment;
        let redirected = session.exact_redirect(packet_id, (Arc::clone(shared), sequence));
        if !redirected && session.exact_receipt(shared, packet_id) == Receipt::Accepted {
            session.when_stored(Hold::acknowledgement(Arc::clone(shared), sequence));
        }
    }

    /// A QoS 2 message came again that has been delivered, which may not be stored yet.
    fn acknowledge_when_stored(&mut self, packet_id: u16) {
        let sequence = self.push_ack(packet_id, AckKind::PubRec, Reason::Success, 1);
        let Attachment { session, shared, .. } = &self.attachment;
        session.when_stored(Hold::acknowledgement(Arc::clone(shared), sequence));
    }

    /// Delivers a message to sessions and links. Its acknowledgement waits for the links, and for sessions that have
    /// to store it.
    fn route(&mut self, publish: Publish) {
        let Publish { dup, qos, topic, packet_id, expiry, properties, payload, .. } = publish;
        let core = Arc::clone(&self.attachment.core);
        let expires = expiry.and_then(|seconds| core.clock.after(Duration::from_secs(u64::from(seconds))));
        let message = Message { topic, payload, expires, properties };
        let waiting_for_links = self.to_links.len();
        core.router.with_matching(&message.topic, self.attachment.session.id, |subscribers| {
            if subscribers.is_empty() {
                core.stats.publishes_unmatched.increment();
            }
            let decide = |found: &Subscriber| match &found.target {
                Target::Link(_) => true,
                Target::Session(session) => session.promises(lower(qos, found.wish.qos)),
            };
            let decisions = subscribers.iter().filter(|(_, found)| decide(found)).count();
            let decisions = u32::try_from(decisions).unwrap_or(u32::MAX);
            let acknowledgement = self.begin_acknowledgement(qos, packet_id, decisions);
            let (mut taken, mut refused) = (false, false);
            for (_, subscriber) in subscribers {
                match &subscriber.target {
                    Target::Session(session) => {
                        let qos = lower(qos, subscriber.wish.qos);
                        let hold = if session.promises(qos) { self.hold(acknowledgement) } else { None };
                        match core.offer(session, &message, qos, None, hold) {
                            Offer::Queued => taken = true,
                            Offer::QueueFull | Offer::MemoryFull => refused = true,
                            Offer::Offline => {}
                        }
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
                        taken = true;
                    }
                }
            }
            if subscribers.is_empty() {
                self.explain(acknowledgement, Reason::NoMatchingSubscribers);
            } else if refused && !taken {
                self.explain(acknowledgement, Reason::QuotaExceeded);
            }
        });
        self.take_shortcuts(waiting_for_links);
    }

    /// What a link takes at once does not wait behind what it has no room for. No lock is held meanwhile.
    fn take_shortcuts(&mut self, first: usize) {
        let mut at = first;
        while let Some((link, inbound)) = self.to_links.remove(at) {
            match link.take_at_once(inbound) {
                Some(inbound) => {
                    self.to_links.insert(at, (link, inbound));
                    at += 1;
                }
                None => self.attachment.core.stats.link_deliveries.increment(),
            }
        }
    }

    fn begin_acknowledgement(&mut self, qos: QoS, packet_id: u16, decisions: u32) -> Acknowledgement {
        match qos {
            QoS::AtMostOnce => Acknowledgement::None,
            QoS::AtLeastOnce => {
                Acknowledgement::Sequence(self.push_ack(packet_id, AckKind::PubAck, Reason::Success, decisions))
            }
            QoS::ExactlyOnce => {
                // One decision for the queue: the session counts them.
                let sequence = self.push_ack(packet_id, AckKind::PubRec, Reason::Success, 1);
                let Attachment { session, shared, .. } = &self.attachment;
                let attempt = session.exact_begin(packet_id, decisions, (Arc::clone(shared), sequence));
                Acknowledgement::Attempt { packet_id, attempt, sequence }
            }
        }
    }

    /// Gives the acknowledgement of a message that no link has a reason, which version 3.1.1 does not show.
    fn explain(&self, acknowledgement: Acknowledgement, reason: Reason) {
        let Attachment { session, shared, .. } = &self.attachment;
        match acknowledgement {
            Acknowledgement::None => {}
            Acknowledgement::Sequence(sequence) => shared.set_reason(sequence, reason),
            Acknowledgement::Attempt { packet_id, sequence, .. } => {
                shared.set_reason(sequence, reason);
                if shared.terms.version == Version::V5 && reason.is_failure() {
                    // Such a PUBREC is the end: no PUBREL follows.
                    session.exact_release(packet_id);
                }
            }
        }
    }

    fn token(&self, acknowledgement: Acknowledgement) -> AckToken {
        let Attachment { session, shared, .. } = &self.attachment;
        match acknowledgement {
            Acknowledgement::None => AckToken::none(),
            Acknowledgement::Sequence(sequence) => AckToken::at_least_once(Arc::clone(shared), sequence),
            Acknowledgement::Attempt { packet_id, attempt, .. } => {
                AckToken::exactly_once(Arc::clone(session), packet_id, attempt)
            }
        }
    }

    fn hold(&self, acknowledgement: Acknowledgement) -> Option<Hold> {
        let Attachment { session, shared, .. } = &self.attachment;
        match acknowledgement {
            Acknowledgement::None => None,
            Acknowledgement::Sequence(sequence) => Some(Hold::acknowledgement(Arc::clone(shared), sequence)),
            Acknowledgement::Attempt { packet_id, attempt, .. } => {
                Some(Hold::exact(Arc::clone(session), packet_id, attempt))
            }
        }
    }

    fn subscribe(&mut self, subscribe: &Subscribe<'_>) -> Result<(), Violation> {
        let version = self.version();
        let mut codes = Vec::with_capacity(subscribe.filters.len());
        for filter in &subscribe.filters {
            let granted = if subscribe.identified {
                self.attachment.core.stats.subscriptions_refused.increment();
                Err(Reason::IdentifiersNotSupported)
            } else {
                self.grant(filter)?
            };
            codes.push(match (granted, version) {
                (Ok(qos), _) => qos as u8,
                (Err(_), Version::V311) => SUBSCRIPTION_FAILURE,
                (Err(reason), Version::V5) => reason as u8,
            });
        }
        self.reply_when_stored(|out| codec::write_suback(out, version, subscribe.packet_id, &codes))
    }

    /// The QoS granted for one filter of a SUBSCRIBE, or why it is not granted.
    fn grant(&self, wanted: &SubscribeFilter<'_>) -> Result<Result<QoS, Reason>, Violation> {
        let Attachment { core, session, shared } = &self.attachment;
        let refused = |reason| {
            core.stats.subscriptions_refused.increment();
            Ok(Err(reason))
        };
        let filter = match core.parse_filter(wanted.filter) {
            Ok(filter) => filter,
            Err(InvalidFilter::Malformed) => return Err(Violation::InvalidFilter),
            Err(InvalidFilter::TooLong) => return refused(Reason::FilterRefused),
            // MQTT 5 §3.8.3.1
            Err(InvalidFilter::Shared) if wanted.no_local => return Err(Violation::SubscriptionOptions),
            Err(InvalidFilter::Shared) => return refused(Reason::SharedNotSupported),
        };
        if !core.policy.may_subscribe(&shared.client, filter.as_str()) {
            core.stats.subscriptions_denied.increment();
            return Ok(Err(Reason::NotAuthorized));
        }
        let wish = Wish { qos: wanted.qos, no_local: wanted.no_local };
        if !core.router.subscribe(session, shared, &filter, wish) {
            return refused(Reason::QuotaExceeded);
        }
        // Rights that ended in between were reviewed without this subscription.
        if !core.policy.may_subscribe(&shared.client, filter.as_str()) {
            core.stats.subscriptions_denied.increment();
            core.router.unsubscribe(session, &filter);
            return Ok(Err(Reason::NotAuthorized));
        }
        core.stats.subscriptions_granted.increment();
        Ok(Ok(wanted.qos))
    }

    fn unsubscribe(&mut self, packet_id: u16, filters: &[&str]) -> Result<(), Violation> {
        let Attachment { core, session, .. } = &self.attachment;
        let mut codes = Vec::with_capacity(filters.len());
        for text in filters {
            let existed = match core.parse_filter(text) {
                Ok(filter) => core.router.unsubscribe(session, &filter),
                Err(InvalidFilter::Malformed) => return Err(Violation::InvalidFilter),
                // Never granted, so there is nothing to end.
                Err(InvalidFilter::TooLong | InvalidFilter::Shared) => false,
            };
            codes.push(if existed { Reason::Success } else { Reason::NoSubscriptionExisted } as u8);
        }
        let version = self.version();
        self.reply_when_stored(|out| codec::write_unsuback(out, version, packet_id, &codes))
    }
}

fn known_or_not(known: bool) -> Reason {
    if known { Reason::Success } else { Reason::UnknownPacketId }
}

/// Where the decisions about a message go.
#[derive(Clone, Copy)]
enum Acknowledgement {
    None,
    Sequence(u64),
    Attempt { packet_id: u16, attempt: u64, sequence: u64 },
}
