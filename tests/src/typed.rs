//! Guides that are typed as they stand: the `sh` blocks of a section of a document, run by bash.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use crate::binary;
use crate::port::ReservedPort;

/// What stands in a guide to wait for a server; a test waits until the server listens instead.
const PAUSE: &str = "sleep 2";

/// The commands of a section, about to be typed in a directory of their own.
#[derive(Debug)]
pub struct Typed {
    script: String,
    directory: TempDir,
    /// Held until the end: nobody else gets them.
    ports: Vec<ReservedPort>,
}

impl Typed {
    /// The `sh` blocks of the sections with these headings, in this order.
    ///
    /// # Panics
    /// If there is none.
    pub fn new(document: &str, headings: &[&str]) -> Self {
        let blocks = headings.iter().flat_map(|heading| {
            let (_, section) =
                document.split_once(&format!("\n## {heading}\n")).unwrap_or_else(|| panic!("no {heading}"));
            let section = section.split("\n## ").next().unwrap_or_default();
            section.split("```sh\n").skip(1).filter_map(|block| block.split("```").next())
        });
        let script = blocks.collect::<Vec<_>>().join("\n");
        assert!(!script.is_empty(), "{headings:?}: nothing to type");
        let directory = tempfile::tempdir().expect("a directory");
        symlink(binary::cse_server(), directory.path().join("cse-server")).expect("a link to the binary");
        Self { script, directory, ports: Vec::new() }
    }

    /// Other text in the place of this one, which has to be there.
    ///
    /// # Panics
    /// If it is not.
    #[must_use]
    pub fn instead(mut self, typed: &str, ours: &str) -> Self {
        assert!(self.script.contains(typed), "{typed}\n{}", self.script);
        self.script = self.script.replace(typed, ours);
        self
    }

    /// A port of its own in the place of a usual one, which somebody may be using.
    ///
    /// # Panics
    /// If the usual one does not occur.
    #[must_use]
    pub fn port(mut self, usual: &str) -> Self {
        let port = ReservedPort::take();
        let number = port.number().to_string();
        self.ports.push(port);
        self.instead(usual, &number)
    }

    /// Waits for the ports in the place of the pauses: `listening[n]` are the usual ones that have been served by the end of
    /// the pause `n`, as positions in the order of [`Typed::port`].
    ///
    /// # Panics
    /// If there is another number of pauses.
    #[must_use]
    pub fn pauses(mut self, listening: &[&[usize]]) -> Self {
        assert_eq!(self.script.matches(PAUSE).count(), listening.len(), "{}", self.script);
        for ports in listening {
            let ports = ports.iter().map(|at| self.ports[*at].number());
            let waits =
                ports.map(|port| format!("until (exec 3<>/dev/tcp/127.0.0.1/{port}) 2>/dev/null; do sleep 0.05; done"));
            let waits = waits.collect::<Vec<_>>().join("\n");
            self.script = self.script.replacen(PAUSE, &waits, 1);
        }
        self
    }

    /// Where it is typed.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Types it; standard output and standard error.
    ///
    /// # Panics
    /// If a command fails.
    pub fn run(&self) -> (String, String) {
        let script = format!("trap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n{}", self.script);
        let path = format!("{}:/usr/bin:/bin:/usr/local/bin:/usr/sbin:/usr/local/sbin", self.directory().display());
        let mut command = Command::new("timeout");
        command.args(["120", "bash", "-e", "-u", "-o", "pipefail", "-c", &script]);
        let ran = command.current_dir(self.directory()).env_clear().env("PATH", path).output().expect("bash runs");
        let (output, errors) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
        assert!(ran.status.success(), "{}\n{script}\n{output}\n{errors}", ran.status);
        (output.into_owned(), errors.into_owned())
    }
}
