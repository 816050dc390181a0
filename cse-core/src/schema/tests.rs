//! The tables as data, the checks on them, and the snapshot that a reviewer can hold beside TS-0004.

mod refusals;
mod snapshot;
pub(crate) mod strategies;
mod tables;
mod valid;

use std::path::Path;

/// Compares a checked-in file with what it is written from; with `UPDATE_DOCS=1`, writes it.
pub(super) fn assert_current(path: &str, expected: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    if std::env::var_os("UPDATE_DOCS").is_some_and(|value| value == "1") {
        std::fs::create_dir_all(path.parent().expect("a file in a directory")).expect("creates the directory");
        std::fs::write(&path, expected).expect("writes the file");
        return;
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    for (number, (found, expected)) in found.lines().zip(expected.lines()).enumerate() {
        assert_eq!(found, expected, "{} line {}; UPDATE_DOCS=1 writes it anew", path.display(), number + 1);
    }
    assert_eq!(found.len(), expected.len(), "{}; UPDATE_DOCS=1 writes it anew", path.display());
}
