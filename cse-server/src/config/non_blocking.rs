//! `[non-blocking]`: how many requests are kept whose result comes after the answer, and for how long.

use std::time::Duration;

use super::layers::Section;
use super::text::Size;

/// Non-blocking requests and their results.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct NonBlockingConfig {
    /// How long a result is kept, and how long it is tried to reach a target that cannot be reached, unless the request
    /// says otherwise or it is at another CSE (`outage.lifetime`). Default: 1 h.
    pub(crate) persistence: Duration,
    /// Longest life of a `<request>`, whatever the request says. Default: 7 days.
    pub(crate) lifetime_max: Duration,
    /// Most `<request>` resources of one originator; more are answered 5207. Default: 1,000.
    pub(crate) per_originator_max: usize,
    /// Most `<request>` resources in all; more are answered 5207. Default: 10,000.
    pub(crate) total_max: usize,
    /// Bytes of all `<request>` resources, roughly; when there are so many, more are answered 5207. Default: 64 MiB.
    pub(crate) bytes_max: Size,
    /// Bytes of the content of one result, roughly; a larger one is not kept. Default: 1 MiB.
    pub(crate) result_bytes_max: Size,
    /// Accepted requests that are carried out at the same time. Default: 64.
    pub(crate) width: usize,
}

impl NonBlockingConfig {
    pub(super) fn read(mut section: Section<'_>) -> Self {
        let times = Duration::from_secs(1)..=Duration::from_secs(365 * 86_400);
        let config = Self {
            persistence: section.within("persistence", Duration::from_secs(3_600), times.clone()),
            lifetime_max: section.within("lifetime-max", Duration::from_secs(7 * 86_400), times),
            per_originator_max: section.within("per-originator-max", 1_000, 1..=1_000_000),
            total_max: section.within("total-max", 10_000, 1..=1_000_000),
            bytes_max: section.within("bytes-max", Size(64 << 20), Size(64 << 10)..=Size(64 << 30)),
            result_bytes_max: section.within("result-bytes-max", Size(1 << 20), Size(1 << 10)..=Size(1 << 30)),
            width: section.within("width", 64, 1..=10_000),
        };
        if config.persistence > config.lifetime_max {
            section.problem("persistence", "must not be longer than non-blocking.lifetime-max");
        }
        if config.per_originator_max > config.total_max {
            section.problem("per-originator-max", "must not be more than non-blocking.total-max");
        }
        config
    }
}
