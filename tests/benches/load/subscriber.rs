//! A client that is notified: counts, and looks at the order.

use std::time::Instant;

use tokio::sync::watch;

use super::sample::Latencies;
use super::stamp;
use super::wire::{Door, PUBACK, PUBLISH, Wire, packet_id_at, packet_length};
use crate::Result;

const RQI: &[u8] = b"\"rqi\":\"";

/// What a subscriber does with a notification, besides acknowledging it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Manner {
    /// It sends a response, as TS-0004 wants it.
    Answers,
    /// Nothing, as many real ones do.
    Silent,
    /// Nothing: it listens on a topic of free form, from which no way leads back.
    FreeTopic,
}

impl Manner {
    pub(crate) const ALL: [Self; 3] = [Self::Answers, Self::Silent, Self::FreeTopic];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Answers => "AE that answers",
            Self::Silent => "AE that does not answer",
            Self::FreeTopic => "client on a free topic",
        }
    }
}

/// See the module.
pub(crate) struct Subscriber {
    wire: Wire,
    manner: Manner,
    /// Where its responses go.
    response_topic: String,
    packet_id: u16,
    pub(crate) seen: Seen,
}

/// What a subscriber has seen.
#[derive(Default)]
pub(crate) struct Seen {
    /// Which numbers came.
    came: Vec<bool>,
    pub(crate) distinct: u64,
    /// Messages that were not the one after the one before, other than those that follow a gap.
    pub(crate) out_of_order: u64,
    last: u64,
    pub(crate) latencies: Latencies,
}

impl Seen {
    fn note(&mut self, number: u64, sent: Instant) {
        let index = number as usize;
        if self.came.len() <= index {
            self.came.resize(index + 1, false);
        }
        if !std::mem::replace(&mut self.came[index], true) {
            self.distinct += 1;
            self.latencies.add(sent);
        }
        self.out_of_order += u64::from(number <= self.last);
        self.last = number;
    }
}

impl Subscriber {
    /// Connects as an AE; `topic` is where it is notified.
    pub(crate) async fn connect(door: &Door, originator: &str, topic: String, manner: Manner) -> Result<Self> {
        let wire = Wire::connect(door, originator, &[topic], false).await?;
        let response_topic = format!("/oneM2M/resp/id-in/{originator}/json");
        Ok(Self { wire, manner, response_topic, packet_id: 0, seen: Seen::default() })
    }

    /// Takes notifications until it has as many different ones as `total` says in the end.
    pub(crate) async fn run(&mut self, mut total: watch::Receiver<u64>) -> Result<()> {
        loop {
            self.wire.flush().await?;
            if self.seen.distinct >= *total.borrow() {
                return Ok(());
            }
            tokio::select! {
                read = self.wire.read() => read?,
                changed = total.changed() => changed?,
            }
            while let Some(length) = packet_length(&self.wire.input)? {
                let packet = self.wire.input.split_to(length);
                match packet[0] >> 4 {
                    PUBACK => {}
                    PUBLISH => self.take(&packet)?,
                    kind => return Err(format!("unexpected MQTT packet of type {kind}").into()),
                }
            }
        }
    }

    fn take(&mut self, packet: &[u8]) -> Result<()> {
        let at = packet_id_at(packet);
        let (packet_id, payload) =
            packet.get(at..).and_then(|rest| rest.split_at_checked(2)).ok_or("a short packet")?;
        self.wire.acknowledge(packet_id);
        if self.manner == Manner::Answers {
            let found = payload.windows(RQI.len()).position(|window| window == RQI);
            let identifier = found.map(|at| &payload[at + RQI.len()..]).ok_or("a notification without rqi")?;
            let length = identifier.iter().position(|byte| *byte == b'"').ok_or("a notification without rqi")?;
            self.packet_id = self.packet_id.checked_add(1).unwrap_or(1);
            let payload = [b"{\"rsc\":2000,\"rqi\":\"", &identifier[..length], b"\",\"rvi\":\"3\"}"];
            self.wire.publish(self.response_topic.as_bytes(), self.packet_id, &payload);
        }
        // Requests to verify a subscription have no stamp.
        if let Some((number, sent)) = stamp::read(payload) {
            self.seen.note(number, sent);
        }
        Ok(())
    }
}
