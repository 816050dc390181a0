//! `/livez`, `/readyz` and `/metrics`: for probes and Prometheus, not for oneM2M.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use prometheus_client::encoding::text;
use prometheus_client::registry::Registry;
use tracing::error;

use crate::health::Health;

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What there is to be seen.
pub(crate) struct Monitored {
    pub(crate) health: Health,
    pub(crate) registry: Registry,
}

/// The three routes, added to a router; there they come before its fallback.
pub(crate) fn add_routes(router: Router, monitored: Arc<Monitored>) -> Router {
    router.merge(
        Router::new()
            .route("/livez", get(async || answer(StatusCode::OK, "text/plain; charset=utf-8", "ok\n".into())))
            .route("/readyz", get(readyz))
            .route("/metrics", get(metrics))
            .with_state(monitored),
    )
}

async fn readyz(State(monitored): State<Arc<Monitored>>) -> Response {
    let report = monitored.health.report().await;
    let status = if report.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    answer(status, "application/json", format!("{}\n", report.json))
}

async fn metrics(State(monitored): State<Arc<Monitored>>) -> Response {
    let mut body = String::new();
    if let Err(failure) = text::encode(&mut body, &monitored.registry) {
        error!(%failure, "cannot encode the metrics");
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    }
    answer(StatusCode::OK, OPEN_METRICS, body)
}

fn answer(status: StatusCode, content_type: &'static str, body: String) -> Response {
    let headers =
        [(CONTENT_TYPE, HeaderValue::from_static(content_type)), (CACHE_CONTROL, HeaderValue::from_static("no-store"))];
    (status, headers, body).into_response()
}
