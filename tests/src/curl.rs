//! The command-line tools that people try a server with.

use std::process::{Command, Output};

/// Runs a program to its end and gives what it wrote.
///
/// # Panics
/// If it is not installed or fails.
pub fn run(program: &str, arguments: &[&str]) -> String {
    let ran = Command::new(program).args(arguments).output();
    let Output { status, stdout, stderr } = ran.unwrap_or_else(|error| panic!("{program}: {error}"));
    let (out, err) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    assert!(status.success(), "{program} {arguments:?}: {status}\n{out}\n{err}");
    out.into_owned()
}

/// Runs `curl` and gives status, head (as it came) and body.
///
/// # Panics
/// Without answer.
pub fn curl(arguments: &[&str]) -> (u16, String, String) {
    let written = run("curl", &[&["--silent", "--show-error", "--include", "--max-time", "60"], arguments].concat());
    // With a body, curl may first be told to go on.
    let mut rest = written.as_str();
    loop {
        let (head, body) = rest.split_once("\r\n\r\n").expect("an answer");
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        if status != 100 {
            return (status, head.to_owned(), body.to_owned());
        }
        rest = body;
    }
}
