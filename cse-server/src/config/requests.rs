//! `[requests]`: how long a request may take and how much it may ask for.

use std::time::Duration;

use super::layers::Section;
use super::text::Size;

/// How long a request may take and how much it may ask for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct RequestsConfig {
    /// How long a request without expiration may take before it is answered 4008. Default: 10 s.
    pub(crate) timeout: Duration,
    /// How far ahead the operation execution time may be; later ones are answered 5001. Default: 1 h.
    pub(crate) execution_delay_max: Duration,
    /// How long answers are remembered for redeliveries. Default: 10 min.
    pub(crate) reply_lifetime: Duration,
    /// Most answers remembered; beyond, the oldest is forgotten. Default: 100,000.
    pub(crate) replies_max: usize,
    /// Most resources in one result; a longer one is cut and marked partial. Default: 10,000.
    pub(crate) result_resources_max: usize,
    /// Bytes of one result, roughly; a longer one is cut and marked partial. Default: 8 MiB.
    pub(crate) result_bytes_max: Size,
    /// Members of a group that are asked at the same time. Default: 32.
    pub(crate) fan_out_width: usize,
    /// Most members of a group; more are answered 6010. Default: 10,000.
    pub(crate) group_members_max: usize,
}

impl RequestsConfig {
    pub(super) fn read(mut section: Section<'_>) -> Self {
        Self {
            timeout: section.within(
                "timeout",
                Duration::from_secs(10),
                Duration::from_millis(100)..=Duration::from_secs(3_600),
            ),
            execution_delay_max: section.within(
                "execution-delay-max",
                Duration::from_secs(3_600),
                Duration::ZERO..=Duration::from_secs(30 * 86_400),
            ),
            reply_lifetime: section.within(
                "reply-lifetime",
                Duration::from_secs(600),
                Duration::from_secs(1)..=Duration::from_secs(7 * 86_400),
            ),
            replies_max: section.within("replies-max", 100_000, 1..=10_000_000),
            result_resources_max: section.within("result-resources-max", 10_000, 1..=1_000_000),
            result_bytes_max: section.within("result-bytes-max", Size(8 << 20), Size(4 << 10)..=Size(1 << 30)),
            fan_out_width: section.within("fan-out-width", 32, 1..=10_000),
            group_members_max: section.within("group-members-max", 10_000, 1..=1_000_000),
        }
    }
}
