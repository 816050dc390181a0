//! What tests need of other languages: made on first use, by a script of this crate, in the target directory.

use std::fs::File;
use std::path::{Path, PathBuf};

use crate::binary::profile_directory;
use crate::curl::run;

/// The directory of that name, once the script has made it.
///
/// # Panics
/// If the script fails: a tool is missing, or its packages cannot be had.
pub(crate) fn made_by(script: &str, name: &str) -> PathBuf {
    let target = profile_directory().parent().expect("a target directory").to_owned();
    let environment = target.join(name);
    // Tests run in several processes, and only one may make it.
    let lock = File::create(target.join(format!("{name}.lock"))).expect("a lock");
    lock.lock().expect("locked");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join(script);
    run(&script.display().to_string(), &[&environment.display().to_string()]);
    environment
}
