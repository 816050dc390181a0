//! `[http]`: the HTTP binding.

use std::time::Duration;

use cse_core::value::Text;
use url::{Origin, Url};

use super::layers::Section;
use super::text::{Listen, Size};

/// The HTTP binding.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct HttpConfig {
    /// Where it listens. Default: `127.0.0.1:8080`.
    pub(crate) listen: Listen,
    /// Path below which the CSE is found. Default: none.
    pub(crate) root_path: Text,
    /// Web origins whose pages may send requests; `*` for all. Default: none.
    pub(crate) cors_origins: Vec<Text>,
    /// How long an equal request with an equal identifier is answered as before and not carried out again;
    /// 0 for never. Default: never.
    pub(crate) redelivery_window: Duration,
    /// Largest body of a request; a larger one is answered 413. Default: 1 MiB.
    pub(crate) body_bytes_max: Size,
    /// Longest time for a body to arrive; then 408. Default: 20 s.
    pub(crate) body_timeout: Duration,
    /// Longest header of a request; a longer one is answered 431. Default: 32 KiB.
    pub(crate) header_bytes_max: Size,
    /// Most fields of a header; more are answered 431. Default: 100.
    pub(crate) header_fields_max: usize,
    /// Longest time for a header to arrive; then the connection is closed. Default: 10 s.
    pub(crate) header_timeout: Duration,
    /// Longest time between an answer and the next request of a connection; then it is closed. Default: 75 s.
    pub(crate) idle_timeout: Duration,
    /// Longest time a client may take nothing of an answer; then the connection is closed. Default: 20 s.
    pub(crate) write_timeout: Duration,
    /// Most connections at the same time; further ones are answered 503. Default: 10,000.
    pub(crate) connections_max: usize,
    /// Most requests at the same time; further ones are answered 503. Default: 4,096.
    pub(crate) requests_max: usize,
}

impl HttpConfig {
    pub(super) fn read(mut section: Section<'_>) -> Self {
        let timeouts = Duration::from_millis(100)..=Duration::from_secs(3_600);
        let config = Self {
            listen: section.value("listen", Listen::local(8080)),
            root_path: section.value("root-path", Text::default()),
            cors_origins: section.value("cors-origins", Vec::new()),
            redelivery_window: section.within(
                "redelivery-window",
                Duration::ZERO,
                Duration::ZERO..=Duration::from_secs(86_400),
            ),
            body_bytes_max: section.within("body-bytes-max", Size(1 << 20), Size(1 << 10)..=Size(256 << 20)),
            body_timeout: section.within("body-timeout", Duration::from_secs(20), timeouts.clone()),
            header_bytes_max: section.within("header-bytes-max", Size(32 << 10), Size(8 << 10)..=Size(1 << 20)),
            header_fields_max: section.within("header-fields-max", 100, 16..=10_000),
            header_timeout: section.within("header-timeout", Duration::from_secs(10), timeouts.clone()),
            idle_timeout: section.within("idle-timeout", Duration::from_secs(75), timeouts.clone()),
            write_timeout: section.within("write-timeout", Duration::from_secs(20), timeouts),
            connections_max: section.within("connections-max", 10_000, 1..=1_000_000),
            requests_max: section.within("requests-max", 4_096, 1..=1_000_000),
        };
        config.check(&mut section);
        config
    }

    fn check(&self, section: &mut Section<'_>) {
        if let Err(invalid) = cse_http::RootPath::parse(&self.root_path) {
            section.problem("root-path", invalid.to_string());
        }
        for origin in &self.cors_origins {
            // Browsers send the origin in its one serialized form, and it is compared as text.
            let serialized = Url::parse(origin).ok().map(|url| url.origin()).filter(Origin::is_tuple);
            if origin != "*" && serialized.map(|known| known.ascii_serialization()).as_deref() != Some(origin) {
                section.problem(
                    "cors-origins",
                    format!("'{origin}' is no web origin; write it like \"https://dashboard.example\" or \"*\""),
                );
            }
        }
    }
}
