//! `[log]`: what is logged, and how.

use cse_core::value::Text;
use tracing_subscriber::EnvFilter;

use super::layers::Section;

/// How log lines look.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum LogFormat {
    /// For people.
    Human,
    /// One JSON object a line.
    Json,
}

const FORMATS: &[(&str, LogFormat)] = &[("human", LogFormat::Human), ("json", LogFormat::Json)];

/// What is logged, and how.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct LogConfig {
    /// Which lines: a level, or levels by module (`info,cse_http=debug`). Default: `info`.
    pub(crate) filter: Text,
    /// How they look. Default: for people.
    pub(crate) format: LogFormat,
}

impl LogConfig {
    pub(super) fn read(mut section: Section<'_>) -> Self {
        let config = Self {
            filter: section.value("filter", "info".into()),
            format: section.choice("format", LogFormat::Human, FORMATS),
        };
        if let Err(error) = EnvFilter::builder().parse(&config.filter) {
            section.problem("filter", format!("'{}' is no log filter: {error}", config.filter));
        }
        config
    }
}
