//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use crate::Result;

/// What `--help` prints.
pub(crate) const HELP: &str = "\
Measures the server and the ceilings of this machine.

usage: cargo bench -p cse-tests --bench load -- [options]

  --quick            half a second per line, 100,000 instances instead of 1,000,000
  --only SECTION     mqtt, variants, http, forwarding, discovery, clients, notify, gateway, memory or
                     startup; may be given several times
  --seconds N        seconds per line (default 4)
  --connections N    MQTT connections that the outstanding requests are spread over (default 16)
  --kept-sessions    MQTT clients have sessions that the broker keeps, and stores if it must
  --instances N      instances at the end of the memory section (default 1000000)
  --data DIR         where the databases go (default: the target directory); not a RAM disk
  --server PATH      measure this binary instead of building the server
  --strict           exit with 1 if a bar is missed
";

/// A part of the run.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Section {
    Mqtt,
    Variants,
    Http,
    Forwarding,
    Discovery,
    Clients,
    Notify,
    Gateway,
    Memory,
    Startup,
}

/// What is to be done.
pub(crate) enum Task {
    Help,
    /// Hidden: be the broker of the echo ceiling.
    EchoBroker,
    Measure(Options),
}

/// How to measure.
pub(crate) struct Options {
    only: Vec<Section>,
    /// Time per line.
    pub(crate) time: Duration,
    /// Time before each line that does not count.
    pub(crate) warm_up: Duration,
    pub(crate) connections: usize,
    /// MQTT clients do not begin with a clean session.
    pub(crate) kept_sessions: bool,
    pub(crate) instances: u64,
    pub(crate) data: Option<PathBuf>,
    pub(crate) server: Option<PathBuf>,
    pub(crate) strict: bool,
}

impl Options {
    /// Parses the arguments behind the program's name.
    pub(crate) fn parse(arguments: impl Iterator<Item = String>) -> Result<Task> {
        let mut options = Self {
            only: Vec::new(),
            time: Duration::from_secs(4),
            warm_up: Duration::from_secs(1),
            connections: 16,
            kept_sessions: false,
            instances: 1_000_000,
            data: None,
            server: None,
            strict: false,
        };
        let mut arguments = arguments;
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or_else(|| format!("{argument} needs a value"));
            match argument.as_str() {
                "--help" | "-h" => return Ok(Task::Help),
                "echo-broker" => return Ok(Task::EchoBroker),
                // From cargo itself.
                "--bench" => {}
                "--quick" => {
                    options.time = Duration::from_millis(500);
                    options.warm_up = Duration::from_millis(200);
                    options.instances = 100_000;
                }
                "--only" => options.only.push(match value()?.as_str() {
                    "mqtt" => Section::Mqtt,
                    "variants" => Section::Variants,
                    "http" => Section::Http,
                    "forwarding" => Section::Forwarding,
                    "discovery" => Section::Discovery,
                    "clients" => Section::Clients,
                    "notify" => Section::Notify,
                    "gateway" => Section::Gateway,
                    "memory" => Section::Memory,
                    "startup" => Section::Startup,
                    other => return Err(format!("there is no section {other}").into()),
                }),
                "--seconds" => options.time = Duration::try_from_secs_f64(value()?.parse()?)?,
                "--connections" => options.connections = value()?.parse::<usize>()?.max(1),
                "--kept-sessions" => options.kept_sessions = true,
                "--instances" => options.instances = value()?.parse()?,
                "--data" => options.data = Some(value()?.into()),
                "--server" => options.server = Some(value()?.into()),
                "--strict" => options.strict = true,
                other => return Err(format!("unknown option {other}; see --help").into()),
            }
        }
        Ok(Task::Measure(options))
    }

    /// Whether a section is to be run.
    pub(crate) fn includes(&self, section: Section) -> bool {
        self.only.is_empty() || self.only.contains(&section)
    }
}
