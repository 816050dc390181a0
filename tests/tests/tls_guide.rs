//! The guide to TLS, typed as it stands there.

use std::os::unix::fs::symlink;
use std::process::Command;

use cse_tests::binary;
use cse_tests::port::ReservedPort;

const GUIDE: &str = include_str!("../../docs/tls.md");
const SECTION: &str = "## Try it\n";

/// The commands of the section for trying: each of its `sh` blocks.
fn commands() -> String {
    let (_, section) = GUIDE.split_once(SECTION).expect("the guide has something to try");
    let section = section.split("\n## ").next().unwrap_or_default();
    let blocks = section.split("```sh\n").skip(1).filter_map(|block| block.split("```").next());
    blocks.collect::<Vec<_>>().join("\n")
}

#[test]
fn the_guide_to_tls_works_as_typed() {
    let directory = tempfile::tempdir().expect("a directory");
    symlink(binary::cse_server(), directory.path().join("cse-server")).expect("a link to the binary");
    // Only the ports are other ones, and the server has no others: somebody may be using the usual ones.
    let (tls, websocket) = (ReservedPort::take(), ReservedPort::take());
    let mut script = commands();
    for (usual, ours) in [("8883", &tls), ("9002", &websocket)] {
        assert!(script.contains(usual), "{usual}\n{script}");
        script = script.replace(usual, &ours.number().to_string());
    }
    script = script.replace("cse-server --mqtt-tls", "cse-server --http off --mqtt off --mqtt-tls");
    // Instead of a pause that may be too short.
    let listening = format!("until (exec 3<>/dev/tcp/127.0.0.1/{}) 2>/dev/null; do sleep 0.05; done", tls.number());
    assert!(script.contains("sleep 2"), "{script}");
    let script = format!("trap 'kill $(jobs -p)' EXIT\n{}", script.replace("sleep 2", &listening));
    let path = format!("{}:/usr/bin:/bin:/usr/local/bin", directory.path().display());
    let mut command = Command::new("timeout");
    command.args(["60", "bash", "-e", "-u", "-o", "pipefail", "-c", &script]);
    let ran = command.current_dir(directory.path()).env_clear().env("PATH", path).output().expect("bash runs");
    let (output, errors) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    assert!(ran.status.success(), "{}\n{output}\n{errors}", ran.status);
    assert_eq!(output.matches("\"rsc\":2001").count(), 2, "{output}\n{errors}");
    assert!(output.contains("Csecond.key") && directory.path().join("certs/Csecond.key").exists(), "{output}");
    for made in ["ca.key", "server.key", "Cdevice.key"] {
        let key = std::fs::read_to_string(directory.path().join("certs").join(made)).expect("there");
        let secret = key.lines().nth(1).expect("a line of the key");
        assert!(!output.contains(secret) && !errors.contains(secret), "{made} is shown");
    }
}
