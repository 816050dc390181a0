//! `[broker]`: bounds of the embedded MQTT broker. What each means stands at [`Limits`].

use std::time::Duration;

use cse_mqtt::broker::Limits;

use super::layers::Section;
use super::text::Size;

/// Bounds of the embedded MQTT broker.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct BrokerConfig {
    /// Every bound, with the defaults of the broker.
    pub(crate) limits: Limits,
}

impl BrokerConfig {
    pub(super) fn read(mut section: Section<'_>) -> Self {
        let defaults = Limits::default();
        let mut size = |key, default, range: std::ops::RangeInclusive<usize>| {
            section.within(key, Size(default), Size(*range.start())..=Size(*range.end())).0
        };
        let packet_bytes_max = size("packet-bytes-max", defaults.packet_bytes_max, 1 << 10..=256 << 20);
        let connect_bytes_max = size("connect-bytes-max", defaults.connect_bytes_max, 1 << 10..=1 << 20);
        let queued_bytes_per_client_max =
            size("queued-bytes-per-client-max", defaults.queued_bytes_per_client_max, 64 << 10..=16 << 30);
        let queued_bytes_total_max =
            size("queued-bytes-total-max", defaults.queued_bytes_total_max, 1 << 20..=64 << 30);
        let link_bytes_max = size("cse-queue-bytes-max", defaults.link_bytes_max, 64 << 10..=16 << 30);
        let filter_bytes_max = size("filter-bytes-max", defaults.filter_bytes_max, 64..=65_535);
        let limits = Limits {
            filter_bytes_max,
            packet_bytes_max,
            connect_bytes_max,
            queued_bytes_per_client_max,
            queued_bytes_total_max,
            link_bytes_max,
            connections_max: section.within("connections-max", defaults.connections_max, 1..=1_000_000),
            connect_timeout: section.within(
                "connect-timeout",
                defaults.connect_timeout,
                Duration::from_millis(100)..=Duration::from_secs(600),
            ),
            subscriptions_per_client_max: section.within(
                "subscriptions-per-client-max",
                defaults.subscriptions_per_client_max,
                1..=1_000_000,
            ),
            subscriptions_total_max: section.within(
                "subscriptions-total-max",
                defaults.subscriptions_total_max,
                1..=100_000_000,
            ),
            filter_levels_max: section.within("filter-levels-max", defaults.filter_levels_max, 6..=1_024),
            in_flight_max: section.within("in-flight-max", defaults.in_flight_max, 1..=65_535),
            queued_messages_per_client_max: section.within(
                "queued-messages-per-client-max",
                defaults.queued_messages_per_client_max,
                1..=10_000_000,
            ),
            unacknowledged_max: section.within("unacknowledged-max", defaults.unacknowledged_max, 1..=65_535),
            denied_publishes_max: section.within("denied-publishes-max", defaults.denied_publishes_max, 0..=1_000_000),
            denied_publishes_window: section.within(
                "denied-publishes-window",
                defaults.denied_publishes_window,
                Duration::from_secs(1)..=Duration::from_secs(86_400),
            ),
            link_messages_max: section.within("cse-queue-messages-max", defaults.link_messages_max, 1..=1_000_000),
            offline_sessions_max: section.within("offline-sessions-max", defaults.offline_sessions_max, 0..=10_000_000),
            offline_sessions_per_identity_max: section.within(
                "offline-sessions-per-identity-max",
                defaults.offline_sessions_per_identity_max,
                1..=10_000_000,
            ),
            offline_expiry: section.within(
                "offline-expiry",
                defaults.offline_expiry,
                Duration::from_secs(1)..=Duration::from_secs(10 * 365 * 86_400),
            ),
        };
        if limits.queued_bytes_per_client_max > limits.queued_bytes_total_max {
            section.problem("queued-bytes-per-client-max", "must not be more than broker.queued-bytes-total-max");
        }
        Self { limits }
    }
}
