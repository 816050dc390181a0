//! The file of MQTT sessions: against a model, over kills, and what it refuses to open.
#![expect(clippy::unwrap_used, reason = "tests")]

mod model;
mod opening;

use std::path::Path;

use cse_store::sqlite::Durability;
use cse_store::sqlite::sessions::{SessionContent, SessionFile, SessionOptions};

fn options(directory: &Path) -> SessionOptions {
    SessionOptions { path: directory.join("mqtt.db"), durability: Durability::Full }
}

async fn open(directory: &Path) -> (SessionFile, Vec<SessionContent>) {
    SessionFile::open(options(directory)).await.expect("opens")
}
