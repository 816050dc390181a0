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

/// What the image of `deploy/container` would have, with the binary under test.
fn image(directory: &Path) -> PathBuf {
    let root = directory.join("root");
    let made = Command::new(deployed("container/rootfs")).arg(binary::cse_server()).arg(&root).output().expect("runs");
    assert!(made.status.success(), "{made:?}");
    root
}

#[test]
fn the_image_has_all_that_the_server_needs() {
    let directory = tempfile::tempdir().expect("a directory");
    let root = image(directory.path());
    let linked = Command::new("ldd").arg(binary::cse_server()).output().expect("runs");
    let linked = String::from_utf8(linked.stdout).expect("text");
    let path_of = |name: &str| {
        let path = linked.split_whitespace().find(|word| word.starts_with('/') && word.contains(name));
        root.join(path.expect("it is linked").trim_start_matches('/'))
    };
    let (loader, libc) = (path_of("/ld-linux"), path_of("/libc.so"));
    let load = |before: &[&str], after: &[&str]| {
        let mut command = Command::new(&loader);
        command
            .env_clear()
            .args(before)
            .arg("--inhibit-cache")
            .arg("--library-path")
            .arg(libc.parent().expect("a directory"));
        let ran = command.arg(root.join("cse-server")).args(after).output().expect("runs");
        assert!(ran.status.success(), "{ran:?}");
        String::from_utf8(ran.stdout).expect("text")
    };
    for line in load(&["--list"], &[]).lines().filter(|line| line.contains("=>")) {
        assert!(line.contains(&root.display().to_string()), "not in the image: {line}");
    }
    assert!(load(&[], &["--version"]).starts_with("cse-server "));
    assert!(root.join("etc/ssl/certs/ca-certificates.crt").is_file());
}

#[test]
fn the_image_sets_options_that_exist() {
    let text = std::fs::read_to_string(deployed("container/Containerfile")).expect("readable");
    let line = text.lines().find_map(|line| line.strip_prefix("ENV ")).expect("variables");
    let variables = line.split(' ').filter_map(|pair| pair.split_once('='));
    let mut command = Command::new(binary::cse_server());
    command.env_clear().envs(variables).env("CSE_INSECURE", "true").arg("check-config");
    let ran = command.output().expect("runs");
    assert!(ran.status.success(), "{ran:?}");
    let help = Command::new(binary::cse_server()).arg("--help").output().expect("runs");
    let help = String::from_utf8(help.stdout).expect("text");
    for (name, _) in line.split(' ').filter_map(|pair| pair.split_once('=')) {
        assert!(help.contains(&format!("env: {name}]")), "{name}");
    }
}
