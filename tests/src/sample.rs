//! The configurations in `deploy/samples`, started with the files as they lie there: nothing is given but the file, and
//! nothing is changed in it but ports and the hosts of other machines.

use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::binary;
use crate::certificates::Certificates;
use crate::guarded::passwd;
use crate::http::Http;
use crate::port::ReservedPort;
use crate::process::Lines;
use crate::wait::{until, until_some};
use crate::way::Way;

/// The ports that stand in the files.
const PORTS: [u16; 6] = [8080, 8090, 1883, 1890, 8883, 8890];
/// The hosts that stand there.
const HOSTS: [(&str, &str); 4] = [
    ("0.0.0.0", "127.0.0.1"),
    ("in.example", "localhost"),
    ("mn.example", "localhost"),
    ("broker.example", "localhost"),
];
/// Lists of users, as the files name them, and who is in them.
const USERS: [(&str, &[&str]); 2] = [("in-users", &["Capp", "Csensor", "/id-mn"]), ("mn-users", &["Csensor"])];
const BROKER_USERS: (&str, &[&str]) = ("broker-users", &["id-in", "id-mn", "Capp", "Csensor"]);

/// Which of its two forms a file is used in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Spread {
    /// As it stands: everything on one machine.
    OneMachine,
    /// With the lines that are prepared for more: TLS, passwords, rights.
    Machines,
}

/// A node of a configuration.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Node {
    /// `in.toml`.
    Infrastructure,
    /// `mn.toml`.
    Middle,
}

impl Node {
    /// What stands in names: `in` or `mn`.
    pub fn short(self) -> &'static str {
        match self {
            Self::Infrastructure => "in",
            Self::Middle => "mn",
        }
    }
}

/// A running configuration.
#[derive(Debug)]
pub struct Sample {
    spread: Spread,
    ports: Vec<ReservedPort>,
    certificates: Option<Certificates>,
    has_own_broker: bool,
    // Ended in this order.
    _processes: Vec<Daemon>,
    _directory: TempDir,
}

/// `deploy/samples`.
pub fn samples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/samples")
}

impl Sample {
    /// Starts what lies in that directory, and waits until each part of each node says that it is up.
    ///
    /// # Panics
    /// If something of it does not start.
    pub async fn start(name: &str, spread: Spread) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let ports: Vec<_> = PORTS.iter().map(|_| ReservedPort::take()).collect();
        let certificates = (spread == Spread::Machines).then(|| needed_across_machines(directory.path()));
        for file in std::fs::read_dir(samples().join(name)).expect("a sample") {
            let file = file.expect("a file");
            let text = std::fs::read_to_string(file.path()).expect("text");
            let text = if spread == Spread::Machines { across_machines(&text) } else { text };
            let path = directory.path().join(file.file_name());
            std::fs::write(&path, &text).expect("written");
            if path.extension().is_some_and(|extension| extension == "toml") {
                // Not changed in any way but that.
                run(&mut server(directory.path(), &path, &["check-config"]));
            }
            std::fs::write(&path, here(&text, &ports)).expect("written");
        }
        let mut sample = Self {
            spread,
            ports,
            certificates,
            has_own_broker: directory.path().join("mosquitto.conf").exists(),
            _processes: Vec::new(),
            _directory: directory,
        };
        sample.run().await;
        sample
    }

    async fn run(&mut self) {
        let directory = self._directory.path().to_owned();
        if self.has_own_broker {
            self._processes.push(self.mosquitto(&directory));
        }
        for node in [Node::Infrastructure, Node::Middle] {
            let file = directory.join(format!("{}.toml", node.short()));
            if file.exists() {
                self._processes.push(Daemon::start(node.short(), &mut server(&directory, &file, &[])));
                all_up(self.http(node)).await;
            }
        }
    }

    fn mosquitto(&self, directory: &Path) -> Daemon {
        let file = directory.join("mosquitto.conf");
        let text = std::fs::read_to_string(&file).expect("readable");
        // Root's mosquitto would otherwise become a user who cannot read the directory.
        std::fs::write(&file, format!("{text}user root\nlog_dest stderr\n")).expect("written");
        let path = std::env::var("PATH").unwrap_or_default();
        let mut command = Command::new("mosquitto");
        command
            .current_dir(directory)
            .env("PATH", format!("{path}:/usr/sbin:/usr/local/sbin"))
            .args(["-c", "mosquitto.conf"]);
        let daemon = Daemon::start("mosquitto", &mut command);
        let port = self.port(if self.spread == Spread::Machines { 8883 } else { 1883 });
        until("mosquitto listens", || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok());
        daemon
    }

    /// The port in the place of that one.
    fn port(&self, usual: u16) -> u16 {
        self.ports[PORTS.iter().position(|port| *port == usual).expect("a port of the files")].number()
    }

    /// Where the HTTP of a node is.
    pub fn http(&self, node: Node) -> SocketAddr {
        let usual = if node == Node::Infrastructure { 8080 } else { 8090 };
        (Ipv4Addr::LOCALHOST, self.port(usual)).into()
    }

    /// How an AE gets to the broker where it meets a node.
    pub fn way(&self, node: Node, stem: &str) -> Way {
        let at_the_middle = node == Node::Middle && !self.has_own_broker;
        let (plain, tls) = if at_the_middle { (1890, 8890) } else { (1883, 8883) };
        match &self.certificates {
            None => Way::plain(self.port(plain)),
            Some(certificates) => Way::tls(self.port(tls), certificates).with_login(stem, &password(stem)),
        }
    }
}

/// A text with the lines in force that are prepared for more than one machine: those that begin with `#` and no blank.
/// Each takes the place of a line with the same option before it.
///
/// # Panics
/// If there is none.
pub fn across_machines(text: &str) -> String {
    let mut lines: Vec<&str> = Vec::new();
    let mut section = 0;
    let mut found = false;
    for line in text.lines() {
        if line.starts_with('[') {
            section = lines.len();
        }
        let prepared = line.strip_prefix('#').filter(|line| line.starts_with(|c: char| c.is_ascii_lowercase()));
        let Some(prepared) = prepared else {
            lines.push(line);
            continue;
        };
        found = true;
        let option = |line: &str| line.split(' ').next().map(str::to_owned);
        if let Some(place) = (section..lines.len()).find(|place| option(lines[*place]) == option(prepared)) {
            lines.remove(place);
        }
        lines.push(prepared);
    }
    let is_rules = text.lines().any(|line| line.starts_with("pattern "));
    assert!(found || is_rules, "nothing is prepared for more than one machine:\n{text}");
    lines.join("\n") + "\n"
}

/// A text with our ports and this machine in the place of those that stand there.
fn here(text: &str, ports: &[ReservedPort]) -> String {
    let mut text = text.to_owned();
    for (host, ours) in HOSTS {
        text = text.replace(host, ours);
    }
    let mut changed = String::new();
    let mut rest = text.as_str();
    while let Some(start) = rest.find(|c: char| c.is_ascii_digit()) {
        let (before, number) = rest.split_at(start);
        let end = number.find(|c: char| !c.is_ascii_digit()).unwrap_or(number.len());
        let usual = PORTS.iter().position(|port| port.to_string() == number[..end]);
        changed.push_str(before);
        match usual {
            Some(place) => changed.push_str(&ports[place].number().to_string()),
            None => changed.push_str(&number[..end]),
        }
        rest = &number[end..];
    }
    changed + rest
}

fn password(user: &str) -> String {
    format!("{user} and nobody else")
}

/// The files that the samples name beside them: certificates, users, and passwords of the CSEs.
fn needed_across_machines(directory: &Path) -> Certificates {
    let certificates = Certificates::with_clients(&[]);
    for name in ["ca.pem", "server.pem", "server.key"] {
        std::fs::copy(certificates.path(name), directory.join(name)).expect("copied");
    }
    for (list, users) in USERS {
        let list = directory.join(list).display().to_string();
        for identifier in users {
            let user = identifier.trim_start_matches('/');
            let (done, text) = passwd(&[user, "--file", &list, "--identifier", identifier], &password(user));
            assert!(done, "{text}");
        }
    }
    let (list, users) = BROKER_USERS;
    std::fs::write(directory.join(list), "").expect("written");
    for user in users {
        run(Command::new("mosquitto_passwd").arg("-b").arg(directory.join(list)).args([user, password(user).as_str()]));
    }
    for cse in ["id-in", "id-mn"] {
        std::fs::write(directory.join(format!("{cse}-password")), password(cse)).expect("written");
    }
    certificates
}

/// The server with a configuration file and nothing else, in the directory of the file.
fn server(directory: &Path, file: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(binary::cse_server());
    command.env_clear().current_dir(directory).arg("--config").arg(file.file_name().expect("a file")).args(arguments);
    command
}

fn run(command: &mut Command) {
    let ran = command.output().expect("it runs");
    assert!(ran.status.success(), "{command:?}: {ran:?}");
}

/// Waits until a server says that all of it is up, a registration with a registrar among it.
///
/// # Panics
/// If it does not in time.
pub async fn all_up(address: SocketAddr) {
    let http = Http::new(address, "");
    until_some("everything is up", async || {
        let report = http.try_send("GET", "/readyz", &[], "").await.ok()?.json();
        let mut parts = report["parts"].as_object()?.values();
        parts.all(|part: &Value| part["state"] == "up").then_some(())
    })
    .await;
}

/// A process that is killed when dropped.
#[derive(Debug)]
pub struct Daemon {
    name: &'static str,
    child: Child,
    log: Lines,
}

impl Daemon {
    /// Starts it.
    ///
    /// # Panics
    /// If it cannot be run.
    pub fn start(name: &'static str, command: &mut Command) -> Self {
        let child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn();
        let mut child = child.unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let log = Lines::of(child.stderr.take().expect("piped"));
        Self { name, child, log }
    }

    /// What it has logged so far.
    pub fn log(&self) -> &Lines {
        &self.log
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            println!("--- log of {} ---\n{}\n---", self.name, self.log.text());
        }
    }
}
