//! What a server says of itself in `/metrics`.

use crate::http::Http;
use crate::server::Server;

/// The value of a sample, by its name with labels.
///
/// # Panics
/// If it is not there.
pub async fn sample(server: &Server, name: &str) -> f64 {
    let page = Http::new(server.http(), "").get("/metrics").await.body;
    sample_of(&page, name).unwrap_or_else(|| panic!("no {name}:\n{page}"))
}

/// The same, of the page; `None` if it is not there.
pub fn sample_of(page: &str, name: &str) -> Option<f64> {
    page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
}
