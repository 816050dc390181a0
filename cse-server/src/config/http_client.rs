//! `[http-client]`: requests that the CSE itself sends over HTTP.

use std::fs;
use std::time::Duration;

use cse_core::value::Text;
use cse_http::{HttpOutbound, HttpOutboundOptions, Trust};

use super::layers::Section;
use super::text::Size;

/// Requests that the CSE itself sends over HTTP.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct HttpClientConfig {
    /// Authorities whose certificates are believed for `https`. Default: the public ones; a file adds to them.
    pub(crate) trust: Trust,
    /// Most requests under way at the same time; further ones wait. Default: 256.
    pub(crate) requests_max: usize,
    /// Unused connections kept to one host. Default: 64.
    pub(crate) idle_connections_per_host_max: usize,
    /// How long an unused connection is kept. Default: 30 s.
    pub(crate) idle_timeout: Duration,
    /// Longest time for a connection to come about. Default: 5 s.
    pub(crate) connect_timeout: Duration,
    /// Largest body of an answer; a larger one counts as none. Default: 1 MiB.
    pub(crate) reply_bytes_max: Size,
}

impl HttpClientConfig {
    pub(super) fn read(mut section: Section<'_>) -> Self {
        let timeouts = Duration::from_millis(100)..=Duration::from_secs(3_600);
        let config = Self {
            trust: read_trust(&mut section),
            requests_max: section.within("requests-max", 256, 1..=100_000),
            idle_connections_per_host_max: section.within("idle-connections-per-host-max", 64, 0..=10_000),
            idle_timeout: section.within("idle-timeout", Duration::from_secs(30), timeouts.clone()),
            connect_timeout: section.within("connect-timeout", Duration::from_secs(5), timeouts),
            reply_bytes_max: section.within("reply-bytes-max", Size(1 << 20), Size(1 << 10)..=Size(256 << 20)),
        };
        if let Err(invalid) = HttpOutbound::new(&config.options()) {
            section.problem("trusted-certificates", invalid.to_string());
        }
        config
    }

    /// The options of the sender.
    pub(crate) fn options(&self) -> HttpOutboundOptions {
        HttpOutboundOptions {
            trust: self.trust.clone(),
            requests_max: self.requests_max,
            idle_connections_per_host_max: self.idle_connections_per_host_max,
            idle_timeout: self.idle_timeout,
            connect_timeout: self.connect_timeout,
            reply_bytes_max: self.reply_bytes_max.0,
            authorization: None,
        }
    }
}

fn read_trust(section: &mut Section<'_>) -> Trust {
    let file: Text = section.value("trusted-certificates", Text::default());
    if file.is_empty() {
        return Trust::Public;
    }
    match fs::read(file.as_str()) {
        Ok(pem) => Trust::PublicAnd(pem),
        Err(error) => {
            section.problem("trusted-certificates", format!("cannot read {file}: {error}"));
            Trust::Public
        }
    }
}
