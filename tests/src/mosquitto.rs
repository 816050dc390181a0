//! A mosquitto of one's own, which can go away and come back.

use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::port::ReservedPort;
use crate::process::{self, Lines};
use crate::wait::until;

/// A broker on a port of its own that keeps its sessions over restarts; dropped, it is killed.
#[derive(Debug)]
pub struct Mosquitto {
    port: ReservedPort,
    directory: TempDir,
    /// A second listener: its port, and what the configuration says of it.
    second: Option<(ReservedPort, String)>,
    /// What its configuration is instead of the usual.
    configuration: Option<String>,
    running: Option<(Child, Lines)>,
}

impl Mosquitto {
    /// A broker that is not running yet.
    ///
    /// # Panics
    /// If there is no port for it.
    pub fn reserve() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        Self { port: ReservedPort::take(), directory, second: None, configuration: None, running: None }
    }

    /// With a second listener, of which the configuration says this.
    ///
    /// # Panics
    /// If there is no port for it.
    #[must_use]
    pub fn with_listener(mut self, lines: &str) -> Self {
        self.second = Some((ReservedPort::take(), lines.to_owned()));
        self
    }

    /// With that configuration, made for its port and a directory of its own.
    #[must_use]
    pub fn with_configuration(mut self, make: impl FnOnce(u16, &Path) -> String) -> Self {
        self.configuration = Some(make(self.port(), self.directory.path()));
        self
    }

    /// The port of the second listener.
    ///
    /// # Panics
    /// If there is none.
    pub fn second_port(&self) -> u16 {
        self.second.as_ref().expect("a second listener").0.number()
    }

    /// What the broker has logged since it was started.
    pub fn log(&self) -> String {
        self.running.as_ref().map(|(_, log)| log.text()).unwrap_or_default()
    }

    /// A running broker.
    ///
    /// # Panics
    /// If mosquitto is not installed or does not start.
    pub fn start() -> Self {
        let mut broker = Self::reserve();
        broker.run();
        broker
    }

    /// Its port on this machine.
    pub fn port(&self) -> u16 {
        self.port.number()
    }

    /// Starts it, again or for the first time.
    ///
    /// # Panics
    /// If mosquitto is not installed or does not start.
    pub fn run(&mut self) {
        let directory = self.directory.path().display();
        let port = self.port();
        // `user` counts only for root, whose mosquitto would otherwise become one that cannot read the directory.
        let mut text = format!(
            "listener {port} 127.0.0.1\nallow_anonymous true\nuser root\n\
             set_tcp_nodelay true\npersistence true\npersistence_location {directory}/\nlog_dest stderr\n"
        );
        if let Some((second, lines)) = &self.second {
            text.push_str(&format!("listener {} 127.0.0.1\n{lines}\n", second.number()));
        }
        if let Some(configuration) = &self.configuration {
            text = configuration.clone();
        }
        let file = self.directory.path().join("mosquitto.conf");
        std::fs::write(&file, text).expect("written");
        let places = ["/usr/sbin/mosquitto", "/usr/local/sbin/mosquitto", "/opt/homebrew/sbin/mosquitto"];
        let program = places.into_iter().find(|path| Path::new(path).exists()).unwrap_or("mosquitto");
        let mut command = Command::new(program);
        let child = command.arg("-c").arg(file).stdout(Stdio::null()).stderr(Stdio::piped()).spawn();
        let mut child = child.expect("mosquitto is installed");
        let log = Lines::of(child.stderr.take().expect("piped"));
        until("mosquitto listens", || {
            assert!(child.try_wait().expect("our child").is_none(), "mosquitto ended:\n{}", log.text());
            let second = self.second.as_ref().map(|(port, _)| port.number());
            let mut ports = [Some(port), second].into_iter().flatten();
            ports.all(|port| TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok())
        });
        self.running = Some((child, log));
    }

    /// Ends it politely; it keeps its sessions.
    ///
    /// # Panics
    /// If it is not running.
    pub fn stop(&mut self) {
        let (mut child, _) = self.running.take().expect("running");
        process::signal(&child, "TERM");
        process::ended(&mut child);
    }
}

impl Mosquitto {
    /// Ends it on the spot: it forgets everything since it was started.
    ///
    /// # Panics
    /// If it is not running.
    pub fn kill(&mut self) {
        let (mut child, _) = self.running.take().expect("running");
        child.kill().expect("killed");
        process::ended(&mut child);
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        if let Some((mut child, _)) = self.running.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
