//! `[polling]`: what may wait at polling channels.

use std::time::Duration;

use super::layers::Section;
use super::text::Size;

/// What may wait at polling channels.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct PollingConfig {
    /// Longest time that a poll waits for a request, whatever its expiration says; then 4008. Default: 5 min.
    pub(crate) time_max: Duration,
    /// Most polls that wait at the same time; further ones are answered 5000. Default: 1,000.
    pub(crate) polls_max: usize,
    /// Most requests that wait in one channel; it counts as not reachable for further ones. Default: 1,000.
    pub(crate) requests_per_channel_max: usize,
    /// Most requests that wait in all channels; these count as not reachable for further ones. Default: 10,000.
    pub(crate) requests_max: usize,
    /// Most bytes of requests that wait in all channels, roughly; as above. Default: 64 MiB.
    pub(crate) requests_bytes_max: Size,
}

impl PollingConfig {
    pub(super) fn read(mut section: Section<'_>) -> Self {
        Self {
            time_max: section.within(
                "time-max",
                Duration::from_secs(300),
                Duration::from_secs(1)..=Duration::from_secs(86_400),
            ),
            polls_max: section.within("polls-max", 1_000, 1..=1_000_000),
            requests_per_channel_max: section.within("requests-per-channel-max", 1_000, 1..=1_000_000),
            requests_max: section.within("requests-max", 10_000, 1..=1_000_000),
            requests_bytes_max: section.within("requests-bytes-max", Size(64 << 20), Size(64 << 10)..=Size(16 << 30)),
        }
    }
}
