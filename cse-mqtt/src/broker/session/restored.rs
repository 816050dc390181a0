//! A session as an earlier process has left it.

use std::sync::{Arc, Weak};

use rumqttc::QoS;
use tokio::time::Instant;

use super::sending::packet_id_of;
use super::{Exact, InFlight, Kept, MESSAGE_OVERHEAD_BYTES, Message, Queued, Session, Stage, Wish};
use crate::broker::Core;
use crate::broker::filter::TopicFilter;
use crate::broker::persistence::{Journal, MessageRecord, StoredSession};
use crate::broker::policy::{Client, Identity};

impl Session {
    /// The session without its subscriptions, offline until the given time. What was promised to it is there even if
    /// the limits are tighter now.
    pub(crate) fn restored(core: &Core, journal: &Arc<Journal>, stored: StoredSession, until: Instant) -> Arc<Self> {
        let StoredSession { record, messages, received, .. } = stored;
        let client = Client {
            client_id: Arc::clone(&record.client_id),
            identity: Identity::new(Arc::clone(&record.identity)),
            peer: None,
        };
        let last_sent = record.sent_below.saturating_sub(1);
        let last_number = messages.last().map_or(last_sent, |message| message.number.max(last_sent));
        let session = Self::make(core, record.id, Arc::new(client), record.expiry, |session: Weak<Self>| {
            Some(Box::new(Kept::restored(Arc::clone(journal), session, &record, last_number + 1)))
        });
        {
            let mut guard = session.state.lock();
            let state = &mut *guard;
            state.offline_until = Some(until);
            state.last_number = last_number;
            state.exact = received.into_iter().map(|packet_id| (packet_id, Exact::Accepted)).collect();
            let mut bytes = 0;
            for MessageRecord { number, qos, content, .. } in messages {
                let Some(content) = content else {
                    let packet_id = packet_id_of(number);
                    let cost = MESSAGE_OVERHEAD_BYTES;
                    bytes += cost;
                    state.in_flight.push_back(InFlight { number, packet_id, cost, stage: Stage::Release });
                    continue;
                };
                let message = Message {
                    topic: content.topic,
                    payload: content.payload,
                    expires: content.expires,
                    properties: content.properties,
                };
                if let Some(expires) = message.expires {
                    state.first_expiry = Some(state.first_expiry.map_or(expires, |first| first.min(expires)));
                }
                bytes += message.cost();
                let qos = if qos == QoS::ExactlyOnce { qos } else { QoS::AtLeastOnce };
                state.queue.push_back(Queued { number, message, qos, guard: None, hold: None });
            }
            state.queued_bytes = bytes;
            session.memory.add(bytes);
            if let Some(kept) = &mut state.kept
                && record.ends.is_none()
            {
                // The store takes it for connected.
                kept.note();
            }
        }
        session
    }

    /// A subscription that is stored.
    pub(crate) fn resubscribed(&self, filter: &TopicFilter, wish: Wish) {
        self.state.lock().subscriptions.insert(filter.clone(), wish);
    }
}
