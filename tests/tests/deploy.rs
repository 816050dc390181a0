//! What lies in `deploy` fits the server.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use cse_tests::binary;

fn deployed(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy").join(file)
}

fn systemd_analyze(arguments: &[&str], unit: &Path) -> Output {
    Command::new("systemd-analyze").args(arguments).arg(unit).output().expect("systemd-analyze is installed")
}

/// The unit with the binary under test and a configuration that exists.
fn unit(directory: &Path) -> PathBuf {
    let text = std::fs::read_to_string(deployed("systemd/cse-server.service")).expect("readable");
    let text = text
        .replace("/usr/local/bin/cse-server", &binary::cse_server().display().to_string())
        .replace("/etc/cse-server/cse.toml", &deployed("cse.toml").display().to_string());
    let unit = directory.join("cse-server.service");
    std::fs::write(&unit, text).expect("written");
    unit
}

#[test]
fn the_unit_is_valid_and_lets_the_service_do_little() {
    let directory = tempfile::tempdir().expect("a directory");
    let unit = unit(directory.path());
    let verified = systemd_analyze(&["verify", "--man=no"], &unit);
    assert!(verified.status.success() && verified.stderr.is_empty(), "{verified:?}");
    // Tenths of the worst that systemd knows.
    let judged = systemd_analyze(&["security", "--offline=true", "--no-pager", "--threshold=15"], &unit);
    assert!(judged.status.success(), "{judged:?}");
}

#[test]
fn the_commands_of_the_unit_are_those_of_the_server() {
    let directory = tempfile::tempdir().expect("a directory");
    let unit = std::fs::read_to_string(unit(directory.path())).expect("readable");
    let data = directory.path().join("data");
    for key in ["ExecStartPre=", "ExecStart="] {
        let line = unit.lines().find_map(|line| line.strip_prefix(key)).expect("a command");
        let mut words: Vec<&str> = line.split(' ').collect();
        if key == "ExecStart=" {
            // The same options are taken, without starting anything.
            words.push("check-config");
        }
        let words = words.iter().map(|word| word.replace("${STATE_DIRECTORY}", &data.display().to_string()));
        let words: Vec<String> = words.collect();
        let ran = Command::new(&words[0]).env_clear().args(&words[1..]).output().expect("runs");
        assert!(ran.status.success(), "{words:?}: {ran:?}");
    }
    assert!(!data.exists());
}
