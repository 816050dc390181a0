//! `[access]`: access control policies, and schedules of nodes, that other CSEs host.

use std::time::Duration;

use super::layers::Section;

/// Access control policies that other CSEs host.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct AccessConfig {
    /// How long such a resource is used before it is read again. Default: 1 min.
    pub(crate) policy_lifetime: Duration,
    /// How long it is used beyond that while its CSE cannot be reached. Default: 1 h.
    pub(crate) policy_grace: Duration,
}

impl AccessConfig {
    pub(super) fn read(mut section: Section<'_>) -> Self {
        let longest = Duration::from_secs(30 * 86_400);
        Self {
            policy_lifetime: section.within(
                "policy-lifetime",
                Duration::from_secs(60),
                Duration::from_secs(1)..=longest,
            ),
            policy_grace: section.within("policy-grace", Duration::from_secs(3_600), Duration::ZERO..=longest),
        }
    }
}
