//! Where the binary under test is.

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

/// Names a binary that has been built already, so that not every test process asks cargo.
pub const BINARY: &str = "CSE_SERVER_BINARY";

/// The path of `cse-server`, of the same profile as the tests; built if it is missing or old.
///
/// # Panics
/// If it cannot be built.
pub fn cse_server() -> &'static PathBuf {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| match std::env::var_os(BINARY) {
        Some(path) => path.into(),
        None => build(),
    })
}

/// The directory of the profile that the tests were built with, as in `target/debug`.
///
/// # Panics
/// If the tests were started from elsewhere than where cargo puts them.
pub fn profile_directory() -> PathBuf {
    let test = std::env::current_exe().expect("a running program");
    let deps = test.parent().expect("a directory");
    assert!(deps.ends_with("deps"), "{} is not where cargo puts tests", test.display());
    deps.parent().expect("a directory").to_owned()
}

fn build() -> PathBuf {
    let directory = profile_directory();
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["build", "--quiet", "--locked", "--package", "cse-server"]).current_dir(env!("CARGO_MANIFEST_DIR"));
    cargo.arg("--target-dir").arg(directory.parent().expect("a target directory"));
    if directory.ends_with("release") {
        cargo.arg("--release");
    }
    // What describes the tests' own package would make build scripts run again, and much with them.
    for (name, _) in std::env::vars() {
        if ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CRATE_"].iter().any(|own| name.starts_with(own)) {
            cargo.env_remove(name);
        }
    }
    let built = cargo.output().expect("cargo runs");
    assert!(built.status.success(), "cse-server could not be built:\n{}", String::from_utf8_lossy(&built.stderr));
    directory.join("cse-server").with_extension(std::env::consts::EXE_EXTENSION)
}
