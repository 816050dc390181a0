//! Log lines, on standard error: standard output is for what the operator asked to see.

use std::io::{self, IsTerminal};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::util::TryInitError;
use tracing_subscriber::{fmt, prelude::*};

use crate::config::{LogConfig, LogFormat};

/// Begins to log.
///
/// # Errors
/// If something in this process logs already.
pub(crate) fn start(config: &LogConfig) -> Result<(), TryInitError> {
    let filter = EnvFilter::builder().parse_lossy(&config.filter);
    let lines = fmt::layer().with_writer(io::stderr);
    match config.format {
        LogFormat::Human => {
            tracing_subscriber::registry().with(filter).with(lines.with_ansi(io::stderr().is_terminal())).try_init()
        }
        LogFormat::Json => tracing_subscriber::registry().with(filter).with(lines.json()).try_init(),
    }
}
