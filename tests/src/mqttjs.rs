//! MQTT.js: the client library of Node.js and of browsers.

use std::path::PathBuf;

use crate::environment::made_by;

/// The directory with the package, for `NODE_PATH`.
///
/// # Panics
/// If there is no npm, or the package cannot be had.
pub fn modules() -> PathBuf {
    made_by("node-environment", "tests-node").join("node_modules")
}
