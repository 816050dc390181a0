//! The server as a child process.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::options::Options;
use super::wire::Door;
use crate::Result;

/// Longest wait for a polite end.
const STOP_MAX: Duration = Duration::from_secs(60);

/// Builds the server, unless a binary is given, and says where it is.
pub(crate) fn binary(options: &Options) -> Result<PathBuf> {
    if let Some(path) = &options.server {
        return Ok(path.clone());
    }
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let built = Command::new(cargo).args(["build", "--release", "-p", "cse-server", "--bin", "cse-server"]).status()?;
    if !built.success() {
        return Err("the server could not be built".into());
    }
    Ok(release_dir()?.join("cse-server"))
}

/// Where the databases go: beside the binaries, since the directory for temporary files is often in memory.
pub(crate) fn data_parent(options: &Options) -> Result<PathBuf> {
    options.data.clone().map_or_else(release_dir, Ok)
}

/// The directory of this program is `deps` in the one of the profile.
fn release_dir() -> Result<PathBuf> {
    let program = std::env::current_exe()?;
    Ok(program.ancestors().nth(2).ok_or("this program is not in a target directory")?.to_owned())
}

/// A process that serves, ended when dropped.
pub(crate) struct Serving {
    child: Child,
    /// When it was started.
    pub(crate) began: Instant,
    lines: Vec<String>,
}

impl Serving {
    /// Starts a process and waits for a line on its standard output that contains `ready`.
    pub(crate) fn start(command: &mut Command, ready: &str) -> Result<Self> {
        let began = Instant::now();
        let mut child = command.stdout(Stdio::piped()).stdin(Stdio::null()).spawn()?;
        let output = child.stdout.take().ok_or("no standard output")?;
        let mut serving = Self { child, began, lines: Vec::new() };
        for line in BufReader::new(output).lines() {
            let line = line?;
            let is_last = line.contains(ready);
            serving.lines.push(line);
            if is_last {
                return Ok(serving);
            }
        }
        Err("a process that should serve ended instead".into())
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// The address behind `before` in what the process printed.
    pub(crate) fn address(&self, before: &str) -> Result<SocketAddr> {
        let found = self.lines.iter().find_map(|line| line.split_once(before));
        let (_, rest) = found.ok_or_else(|| format!("no {before} in {:?}", self.lines))?;
        Ok(rest.split([' ', '/']).next().unwrap_or_default().parse()?)
    }

    /// Sends a signal (`TERM`, `KILL`) and waits for the end.
    pub(crate) fn stop(mut self, signal: &str) -> Result<Duration> {
        let began = Instant::now();
        let sent = Command::new("kill").args([&format!("-{signal}"), &self.id().to_string()]).status()?;
        if !sent.success() {
            return Err("the signal could not be sent".into());
        }
        while began.elapsed() < STOP_MAX {
            if self.child.try_wait()?.is_some() {
                return Ok(began.elapsed());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Err("the server did not end in time".into())
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The CSE with both bindings, on ports that the system chose.
pub(crate) struct Cse {
    pub(crate) serving: Serving,
    pub(crate) http: SocketAddr,
    pub(crate) mqtt: SocketAddr,
}

impl Cse {
    /// Starts the binary on a data directory.
    pub(crate) fn start(binary: &Path, data: &Path) -> Result<Self> {
        Self::start_with(binary, data, &[], "mosquitto_rr")
    }

    /// The same with further arguments; `last` is in the last line that is to be read of what it prints.
    pub(crate) fn start_with(binary: &Path, data: &Path, arguments: &[String], last: &str) -> Result<Self> {
        let mut command = Command::new(binary);
        command.env_clear().arg("--data-dir").arg(data).args(arguments);
        command.args(["--http", "127.0.0.1:0", "--mqtt", "127.0.0.1:0", "--log", "warn"]);
        let serving = Serving::start(&mut command, last)?;
        let (http, mqtt) = (serving.address("HTTP     http://")?, serving.address("mqtt://")?);
        Ok(Self { serving, http, mqtt })
    }

    pub(crate) fn id(&self) -> u32 {
        self.serving.id()
    }

    /// To the embedded broker over TCP.
    pub(crate) fn door(&self) -> Door {
        Door::tcp(self.mqtt)
    }
}
