//! A `cse-server` of one's own.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;

use tempfile::TempDir;

use crate::binary;
use crate::process::{self, Lines};

/// How a server is started.
#[derive(Clone, Debug)]
pub struct Launch {
    directory: Arc<TempDir>,
    http: String,
    mqtt: Option<String>,
    /// The banner has no line to try for its MQTT.
    without_try: bool,
    arguments: Vec<String>,
}

impl Default for Launch {
    fn default() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        Self {
            directory: Arc::new(directory),
            http: "127.0.0.1:0".into(),
            mqtt: Some("127.0.0.1:0".into()),
            without_try: false,
            arguments: Vec::new(),
        }
    }
}

impl Launch {
    /// Further arguments.
    #[must_use]
    pub fn with(mut self, arguments: &[&str]) -> Self {
        self.arguments.extend(arguments.iter().map(|argument| (*argument).to_owned()));
        self
    }

    /// Further arguments that were put together.
    #[must_use]
    pub fn with_all(mut self, arguments: impl IntoIterator<Item = String>) -> Self {
        self.arguments.extend(arguments);
        self
    }

    /// With a configuration file of this text.
    #[must_use]
    pub fn with_file(self, text: &str) -> Self {
        let path = self.directory.path().join("cse.toml");
        std::fs::write(&path, text).expect("written");
        self.with(&["--config", &path.display().to_string()])
    }

    /// Another address for HTTP, or `off`.
    #[must_use]
    pub fn http(mut self, address: &str) -> Self {
        self.http = address.into();
        self
    }

    /// Another address for the embedded broker, or `off`.
    #[must_use]
    pub fn mqtt(mut self, address: &str) -> Self {
        self.mqtt = Some(address.into());
        self
    }

    /// With the external broker on that port of this machine.
    #[must_use]
    pub fn external_broker(mut self, port: u16) -> Self {
        self.mqtt = None;
        self.with(&["--mqtt-broker", &format!("mqtt://127.0.0.1:{port}")])
    }

    /// With the external broker at that URL.
    #[must_use]
    pub fn external_url(mut self, url: &str) -> Self {
        self.mqtt = None;
        self.without_try = url.starts_with("ws");
        self.with(&["--mqtt-broker", url])
    }

    /// Where its database is.
    pub fn data_dir(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    /// A directory for whatever belongs to the test.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The command, which inherits nothing from the environment of whoever runs the tests.
    pub fn command(&self) -> Command {
        let mut command = Command::new(binary::cse_server());
        command.env_clear().arg("--data-dir").arg(self.data_dir()).args(["--http", &self.http]);
        if let Some(mqtt) = &self.mqtt {
            command.args(["--mqtt", mqtt]);
        }
        command.args(&self.arguments);
        command
    }

    /// Starts the server and waits until it listens.
    ///
    /// # Panics
    /// If it does not.
    pub fn start(&self) -> Server {
        Server::start(self.clone())
    }

    /// Runs the program to its end, which is a refusal to start: exit code and standard error.
    ///
    /// # Panics
    /// If it cannot be run.
    pub fn refused(&self) -> (Option<i32>, String) {
        let ran = self.command().output().expect("the binary runs");
        (ran.status.code(), String::from_utf8_lossy(&ran.stderr).into_owned())
    }
}

/// A running server; dropped, it is killed.
#[derive(Debug)]
pub struct Server {
    launch: Launch,
    child: Child,
    output: Lines,
    banner: String,
    log: Lines,
}

impl Server {
    fn start(launch: Launch) -> Self {
        let mut command = launch.command();
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary runs");
        let output = Lines::of(child.stdout.take().expect("piped"));
        let log = Lines::of(child.stderr.take().expect("piped"));
        // The banner is written once everything listens, with one line to try for each way in.
        let ways = usize::from(launch.http != "off")
            + usize::from(launch.mqtt.as_deref() != Some("off") && !launch.without_try);
        let complete = |lines: &[String]| {
            let tries = lines.iter().filter(|line| line.trim_start().starts_with("try ")).count();
            (tries == ways).then(|| lines.join("\n"))
        };
        let Some(banner) = output.wait_for("the banner", complete) else {
            let status = process::ended(&mut child);
            panic!("the server ended ({status}):\n{}\n{}", output.text(), log.text());
        };
        Self { launch, child, output, banner, log }
    }

    /// What it wrote when it started.
    pub fn banner(&self) -> &str {
        &self.banner
    }

    /// What it has logged so far.
    pub fn log(&self) -> &Lines {
        &self.log
    }

    /// How it was started.
    pub fn launch(&self) -> &Launch {
        &self.launch
    }

    /// The process.
    pub fn process(&self) -> &Child {
        &self.child
    }

    fn address(&self, name: &str, scheme: &str) -> Option<SocketAddr> {
        let mut values = self.banner.lines().filter_map(|line| line.trim().strip_prefix(name)).map(str::trim);
        let address = values.find_map(|value| value.strip_prefix(scheme))?;
        address.split([' ', '/']).next()?.parse().ok()
    }

    /// Where HTTP listens.
    ///
    /// # Panics
    /// If it does not.
    pub fn http(&self) -> SocketAddr {
        self.address("HTTP", "http://").expect("HTTP is on")
    }

    /// Where probes are answered, if that is an address of its own.
    pub fn probes(&self) -> Option<SocketAddr> {
        self.address("probes", "http://")
    }

    /// Where its embedded broker listens for clients with that scheme, `mqtts`, `ws` or `wss`.
    ///
    /// # Panics
    /// If it does not.
    pub fn broker_port(&self, scheme: &str) -> u16 {
        let start = format!("{scheme}://");
        let find = |lines: &[String]| {
            let mut values = lines.iter().filter_map(|line| line.trim().strip_prefix("MQTT")).map(str::trim);
            let address = values.find_map(|value| value.strip_prefix(&start))?;
            address.split([' ', '/']).next()?.parse().ok()
        };
        let address: SocketAddr = self.output.wait_for("the listener", find).expect("it listens");
        address.port()
    }

    /// The port of its broker on this machine, embedded or external.
    ///
    /// # Panics
    /// If there is none.
    pub fn mqtt_port(&self) -> u16 {
        self.address("MQTT", "mqtt://").expect("MQTT is on").port()
    }

    /// Ends it politely and waits for the end.
    pub fn stop(mut self) -> ExitStatus {
        process::signal(&self.child, "TERM");
        process::ended(&mut self.child)
    }

    /// Asks it to end.
    pub fn terminate(&self) {
        process::signal(&self.child, "TERM");
    }

    /// Waits for its end.
    pub fn ended(&mut self) -> ExitStatus {
        process::ended(&mut self.child)
    }

    /// Ends it on the spot, as a crash would.
    ///
    /// # Panics
    /// If it has ended already.
    pub fn kill(mut self) {
        assert!(self.child.try_wait().expect("our child").is_none(), "it ended by itself:\n{}", self.log.text());
        self.child.kill().expect("killed");
        process::ended(&mut self.child);
    }

    /// Ends it politely and starts it again, with the same data.
    ///
    /// # Panics
    /// If its end was not polite.
    #[must_use]
    pub fn restart(self) -> Self {
        let launch = self.launch.clone();
        let log = self.log.clone();
        let status = self.stop();
        assert!(status.success(), "{status}\n{}", log.text());
        launch.start()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            // Shown by the test harness together with the failure.
            println!("--- log of cse-server ---\n{}\n---", self.log.text());
        }
    }
}
