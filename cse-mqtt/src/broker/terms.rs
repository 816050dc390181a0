//! What a client lets the broker send to it, and messages written accordingly.

use std::time::SystemTime;

use bytes::BytesMut;

use super::clock::WallClock;
use super::codec::{Connect, Publication, PublishProperties, Quality, Version};
use super::limits::Limits;
use super::session::Message;

/// What one connection may be sent. Version 3.1.1 has no say in it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Terms {
    pub(crate) version: Version,
    /// Messages with QoS 1 and 2 not acknowledged yet.
    pub(crate) in_flight_max: usize,
    /// Largest packet in bytes.
    pub(crate) packet_bytes_max: usize,
}

impl Terms {
    pub(crate) fn of(connect: &Connect, limits: &Limits) -> Self {
        Self {
            version: connect.version,
            in_flight_max: limits.in_flight_max.min(usize::from(connect.receive_max)),
            packet_bytes_max: usize::try_from(connect.packet_bytes_max).unwrap_or(usize::MAX),
        }
    }

    /// Appends a PUBLISH. `false`, and nothing is written, if the packet is too large for the client.
    pub(crate) fn write(&self, message: &Message, quality: Quality, clock: &WallClock, out: &mut BytesMut) -> bool {
        let properties = match self.version {
            Version::V311 => None,
            Version::V5 => Some(PublishProperties {
                expiry: message.expires.map(|expires| seconds_until(expires, clock.now())),
                passed_on: message.properties.as_deref().unwrap_or_default(),
            }),
        };
        let publication = Publication { topic: &message.topic, payload: &message.payload, properties };
        let fits = publication.packet_bytes(quality) <= self.packet_bytes_max;
        if fits {
            publication.write(out, quality);
        }
        fits
    }
}

/// Rounded up: a message whose last second has begun has not expired.
fn seconds_until(then: SystemTime, now: SystemTime) -> u32 {
    let left = then.duration_since(now).unwrap_or_default();
    let seconds = left.as_secs() + u64::from(left.subsec_nanos() > 0);
    u32::try_from(seconds).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_is_left_is_rounded_up_and_never_less_than_nothing() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1000);
        assert_eq!(seconds_until(now + Duration::from_secs(5), now), 5);
        assert_eq!(seconds_until(now + Duration::from_millis(1), now), 1);
        assert_eq!(seconds_until(now, now), 0);
        assert_eq!(seconds_until(now - Duration::from_secs(1), now), 0);
        assert_eq!(seconds_until(now + Duration::from_secs(1 << 40), now), u32::MAX);
    }
}
