//! `[resources]`: how long resources live.

use std::time::Duration;

use super::layers::Section;

const DAY: u64 = 86_400;
const YEAR: u64 = 365 * DAY;

/// How long resources live.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ResourcesConfig {
    /// Life of resources that are created without expiration time. Default: 5 years.
    pub(crate) default_lifetime: Duration,
    /// Longest life; later expiration times are lowered to it. Default: 20 years.
    pub(crate) maximum_lifetime: Duration,
    /// Shortest time between two looks for expired resources. Default: 500 ms.
    pub(crate) expiration_interval: Duration,
}

impl ResourcesConfig {
    pub(super) fn read(mut section: Section<'_>) -> Self {
        let lifetimes = Duration::from_secs(1)..=Duration::from_secs(1_000 * YEAR);
        let config = Self {
            default_lifetime: section.within("default-lifetime", Duration::from_secs(5 * YEAR), lifetimes.clone()),
            maximum_lifetime: section.within("maximum-lifetime", Duration::from_secs(20 * YEAR), lifetimes),
            expiration_interval: section.within(
                "expiration-interval",
                Duration::from_millis(500),
                Duration::from_millis(10)..=Duration::from_secs(3_600),
            ),
        };
        if config.default_lifetime > config.maximum_lifetime {
            section.problem("default-lifetime", "must not be longer than resources.maximum-lifetime");
        }
        config
    }
}
