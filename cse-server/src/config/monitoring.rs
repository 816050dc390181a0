//! `[monitoring]`: where `/livez`, `/readyz` and `/metrics` are served.

use std::net::SocketAddr;

use super::layers::Section;
use super::text::{Raw, Setting, address_of, quoted};

/// Where `/livez`, `/readyz` and `/metrics` are served.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum MonitoringListen {
    /// With the resources, on the port of the HTTP binding.
    Http,
    /// On an address of their own.
    At(SocketAddr),
    /// Nowhere.
    Off,
}

impl Setting for MonitoringListen {
    fn read(raw: &Raw) -> Result<Self, String> {
        match raw {
            Raw::Text(text) => match text.trim() {
                "http" => Some(Self::Http),
                "off" => Some(Self::Off),
                address => address_of(address).map(Self::At),
            },
            _ => None,
        }
        .ok_or_else(|| raw.is_no("place to listen; write \"http\", \"off\" or an address like \"127.0.0.1:9090\""))
    }

    fn write(&self) -> String {
        match self {
            Self::Http => quoted("http"),
            Self::Off => quoted("off"),
            Self::At(address) => quoted(&address.to_string()),
        }
    }
}

/// How the server is watched.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct MonitoringConfig {
    /// Where. Default: on the HTTP port.
    pub(crate) listen: MonitoringListen,
}

impl MonitoringConfig {
    pub(super) fn read(mut section: Section<'_>) -> Self {
        Self { listen: section.value("listen", MonitoringListen::Http) }
    }
}
