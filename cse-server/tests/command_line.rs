//! The binary as the operator meets it: help, configuration checks and refusals, by exit code and text.

use std::path::Path;
use std::process::{Command, Output};

struct Ran {
    code: Option<i32>,
    out: String,
    err: String,
}

fn cse_server(arguments: &[&str]) -> Ran {
    cse_server_with(arguments, &[])
}

fn cse_server_with(arguments: &[&str], env: &[(&str, &str)]) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cse-server"));
    // The environment of whoever runs the tests decides nothing.
    command.env_clear().args(arguments).envs(env.iter().copied());
    let Output { status, stdout, stderr } = command.output().expect("the binary runs");
    Ran {
        code: status.code(),
        out: String::from_utf8_lossy(&stdout).into_owned(),
        err: String::from_utf8_lossy(&stderr).into_owned(),
    }
}

fn sample() -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/cse.toml").display().to_string()
}

#[test]
fn help_names_flags_and_variables() {
    let ran = cse_server(&["--help"]);
    assert_eq!(ran.code, Some(0));
    for part in ["--config", "CSE_HTTP", "--mqtt-broker", "check-config", "127.0.0.1:1883"] {
        assert!(ran.out.contains(part), "{part}\n{}", ran.out);
    }
    assert!(ran.err.is_empty(), "{}", ran.err);
}

#[test]
fn the_version_is_that_of_the_package() {
    assert_eq!(cse_server(&["--version"]).out, concat!("cse-server ", env!("CARGO_PKG_VERSION"), "\n"));
}

#[test]
fn the_sample_configuration_has_no_problems() {
    let ran = cse_server(&["check-config", "--config", &sample()]);
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""));
    assert_eq!(ran.out, "the configuration has no problems\n");
}

#[test]
fn all_problems_are_reported_by_file_variable_and_flag() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("cse.toml");
    std::fs::write(&file, "[http]\nlisen = 1\n[requests]\ntimeout = \"soon\"\n").expect("written");
    let file = file.display().to_string();
    let ran = cse_server_with(&["check-config", "--config", &file, "--http", "here"], &[("CSE_TYPE", "xn")]);
    assert_eq!(ran.code, Some(2));
    let lines: Vec<&str> = ran.err.lines().collect();
    assert_eq!(lines.len(), 4, "{}", ran.err);
    for start in [
        format!("cse-server: {file}:2: http.lisen: unknown key"),
        format!("cse-server: {file}:4: requests.timeout: 'soon' is no duration"),
        "cse-server: CSE_TYPE: 'xn' is no choice".to_owned(),
        "cse-server: --http: 'here' is no address".to_owned(),
    ] {
        assert!(lines.iter().any(|line| line.starts_with(&start)), "{start}\n{}", ran.err);
    }
}

#[test]
fn a_wrong_option_is_one_line() {
    for (arguments, named) in [
        (&["--htpp", "off"][..], "--htpp"),
        (&["--http", "0.0.0.0:8080"], "--http"),
        (&["--config", "no-such-file.toml"], "--config"),
        (&["--cse-id", "id-in"], "--cse-id"),
        (&["--mqtt", "off", "--mqtt-broker", "mqtt://broker.example"], "--mqtt-broker"),
    ] {
        let ran = cse_server(arguments);
        assert_eq!(ran.code, Some(2), "{arguments:?}");
        assert!(ran.err.lines().count() == 1 && ran.err.contains(named), "{arguments:?}: {}", ran.err);
        assert!(ran.out.is_empty(), "{}", ran.out);
    }
}
