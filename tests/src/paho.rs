//! Eclipse Paho for Python: the client library that most oneM2M examples are written with.

use std::path::PathBuf;

use crate::environment::made_by;

/// A Python that has paho-mqtt.
///
/// # Panics
/// If there is no Python with `venv`, or the package cannot be had.
pub fn python() -> PathBuf {
    made_by("python-environment", "tests-python").join("bin/python")
}
