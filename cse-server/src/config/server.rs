//! `[server]`: the process itself.

use std::time::Duration;

use super::layers::Section;

/// The process itself.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ServerConfig {
    /// Whether addresses that others can reach are served although nobody is authenticated or nothing encrypted there.
    /// Default: no.
    pub(crate) insecure: bool,
    /// How long a stop may wait for requests under way before they are cut off. Default: 10 s.
    pub(crate) shutdown_timeout: Duration,
}

impl ServerConfig {
    pub(super) fn read(mut section: Section<'_>) -> Self {
        Self {
            insecure: section.value("insecure", false),
            shutdown_timeout: section.within(
                "shutdown-timeout",
                Duration::from_secs(10),
                Duration::ZERO..=Duration::from_secs(3_600),
            ),
        }
    }
}
