//! Eclipse Paho for Python: the client library that most oneM2M examples are written with.

use std::fs::File;
use std::path::{Path, PathBuf};

use crate::binary::profile_directory;
use crate::curl::run;

/// A Python that has paho-mqtt; made on first use, in the target directory.
///
/// # Panics
/// If there is no Python with `venv`, or the package cannot be had.
pub fn python() -> PathBuf {
    let target = profile_directory().parent().expect("a target directory").to_owned();
    let environment = target.join("tests-python");
    // Tests run in several processes, and only one may make it.
    let lock = File::create(target.join("tests-python.lock")).expect("a lock");
    lock.lock().expect("locked");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("python-environment");
    run(&script.display().to_string(), &[&environment.display().to_string()]);
    environment.join("bin/python")
}
