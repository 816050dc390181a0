//! `[outage]`: what waits while other CSEs cannot be reached.

use std::time::Duration;

use super::layers::Section;
use super::text::Size;

/// What waits while other CSEs cannot be reached.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct OutageConfig {
    /// How long what is meant for another CSE waits for it: notifications, and non-blocking requests that do not say by
    /// themselves. Then it is given up. Default: 2 days.
    pub(crate) lifetime: Duration,
    /// Bytes of all notifications that wait, roughly; when there are more, the target for which most wait loses its
    /// oldest. Default: 256 MiB.
    pub(crate) notification_bytes_max: Size,
}

impl OutageConfig {
    pub(super) fn read(mut section: Section<'_>) -> Self {
        let lifetimes = Duration::from_secs(1)..=Duration::from_secs(7 * 86_400);
        Self {
            lifetime: section.within("lifetime", Duration::from_secs(2 * 86_400), lifetimes),
            notification_bytes_max: section.within(
                "notification-bytes-max",
                Size(256 << 20),
                Size(64 << 10)..=Size(64 << 30),
            ),
        }
    }
}
