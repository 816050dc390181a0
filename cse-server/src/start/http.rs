//! The HTTP binding, and the monitoring routes on its port or their own.

use std::collections::HashSet;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use axum::Router;
use cse_core::ports::Dispatch;
use cse_core::schema;
use cse_http::{CorsOptions, HttpLimits, HttpOptions, HttpOutbound, InvalidTrust, RootPath};
use tokio::net::TcpListener;
use tracing::warn;

use crate::config::{Config, HttpConfig, MonitoringListen};
use crate::lifecycle::{Lifecycle, Stage};
use crate::monitoring::{self, Monitored};

/// Probes come from few places.
const MONITORING_CONNECTIONS_MAX: usize = 64;
/// A probe is answered at once or not at all.
const MONITORING_GRACE: Duration = Duration::from_secs(1);

/// Sends requests of the CSE over HTTP.
pub(super) fn outbound(config: &Config) -> Result<HttpOutbound, InvalidTrust> {
    HttpOutbound::new(&config.http_client.options())
}

/// Serves requests and what is monitored.
pub(super) fn start(
    config: &Config,
    dispatch: impl Dispatch,
    http: Option<TcpListener>,
    own: Option<TcpListener>,
    monitored: Arc<Monitored>,
    lifecycle: &mut Lifecycle,
) {
    let on_http = config.monitoring.listen == MonitoringListen::Http;
    if on_http && http.is_none() {
        warn!("HTTP is off, so /livez, /readyz and /metrics are nowhere; monitoring.listen can give them an address");
    }
    if let Some(listener) = http {
        let mut router = cse_http::router(dispatch, options(&config.http));
        if on_http {
            router = monitoring::add_routes(router, Arc::clone(&monitored));
        }
        let limits = limits(&config.http, config.server.shutdown_timeout);
        spawn(lifecycle, Stage::Bindings, "http", listener, router, limits);
    }
    if let Some(listener) = own {
        let router = monitoring::add_routes(Router::new(), monitored);
        let limits = HttpLimits {
            connections_max: MONITORING_CONNECTIONS_MAX,
            grace: MONITORING_GRACE,
            ..HttpLimits::default()
        };
        spawn(lifecycle, Stage::Ground, "monitoring", listener, router, limits);
    }
}

fn spawn(
    lifecycle: &mut Lifecycle,
    stage: Stage,
    name: &'static str,
    listener: TcpListener,
    router: Router,
    limits: HttpLimits,
) {
    let stop = lifecycle.stop_of(stage);
    lifecycle.spawn(stage, name, async move {
        let cut_off = cse_http::serve(listener, router, limits, stop).await;
        if cut_off > 0 {
            warn!(listener = name, connections = cut_off, "connections were cut off, requests under way with them");
        }
    });
}

fn options(config: &HttpConfig) -> HttpOptions {
    let cors = match config.cors_origins.as_slice() {
        [] => None,
        origins if origins.iter().any(|origin| origin == "*") => Some(CorsOptions::AnyOrigin),
        origins => Some(CorsOptions::Origins(origins.iter().map(ToString::to_string).collect())),
    };
    HttpOptions {
        // The configuration was checked with the same function.
        root_path: RootPath::parse(&config.root_path).unwrap_or_default(),
        body_bytes_max: config.body_bytes_max.0,
        body_timeout: config.body_timeout,
        requests_max: config.requests_max,
        remember: (!config.redelivery_window.is_zero()).then_some(config.redelivery_window),
        cors,
        ..HttpOptions::new(is_attribute)
    }
}

/// Whether some resource type has an attribute of that short name.
fn is_attribute(name: &str) -> bool {
    static NAMES: LazyLock<HashSet<&'static str>> =
        LazyLock::new(|| schema::all_types().flat_map(|def| def.attributes).map(|attribute| attribute.key).collect());
    NAMES.contains(name)
}

fn limits(config: &HttpConfig, grace: Duration) -> HttpLimits {
    HttpLimits {
        connections_max: config.connections_max,
        header_bytes_max: config.header_bytes_max.0,
        headers_max: config.header_fields_max,
        header_timeout: config.header_timeout,
        idle_timeout: config.idle_timeout,
        write_timeout: config.write_timeout,
        grace,
    }
}
