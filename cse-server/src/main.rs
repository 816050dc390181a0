//! The CSE as a program: parse, run, exit code.
//!
//! Exit codes: 0 after a polite end, 1 if it could not start or had to stop, 2 if the configuration is wrong.

mod acl;
mod banner;
mod certs;
mod cli;
mod clock;
mod config;
mod health;
mod leave;
mod lifecycle;
mod metrics;
mod monitoring;
mod outbound;
mod passwd;
mod poa;
mod ready;
mod start;
mod telemetry;

use std::io::{self, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use cli::{Instead, Task};
use config::Config;

/// Exit code for a configuration that cannot be used.
const CONFIG_PROBLEM: u8 = 2;
/// How long work that cannot be cancelled may hold up the end of the process.
const RUNTIME_GRACE: Duration = Duration::from_secs(2);

fn main() -> ExitCode {
    let invocation = match cli::parse(std::env::args_os(), |name| std::env::var(name).ok()) {
        Ok(invocation) => invocation,
        Err(Instead::Print(text)) => {
            let _ = io::stdout().write_all(text.as_bytes());
            return ExitCode::SUCCESS;
        }
        Err(Instead::Refuse(line)) => return refuse(&[line]),
    };
    match &invocation.task {
        Task::MakeCertificates(wanted) => return print(wanted.make()),
        Task::Passwd(wanted) => return print(wanted.run()),
        Task::Run | Task::CheckConfig | Task::LeaveMqtt | Task::ExportAcl(_) | Task::AskWhetherReady => {}
    }
    let config = match Config::load(invocation.given) {
        Ok(config) => config,
        Err(problems) => return refuse(&problems),
    };
    match &invocation.task {
        Task::CheckConfig => {
            let _ = io::stdout().write_all(b"the configuration has no problems\n");
            ExitCode::SUCCESS
        }
        Task::LeaveMqtt => print(leave::leave(&config)),
        Task::AskWhetherReady => print(ready::ask(&config)),
        Task::ExportAcl(wanted) => print(wanted.run(&config)),
        Task::Run | Task::MakeCertificates(_) | Task::Passwd(_) => run(config),
    }
}

fn run(config: Config) -> ExitCode {
    if let Err(error) = telemetry::start(&config.log) {
        return fail(&error);
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error),
    };
    let ended = runtime.block_on(start::serve(config));
    runtime.shutdown_timeout(RUNTIME_GRACE);
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

/// What a task that needs no server has to say.
fn print<E: std::fmt::Display>(outcome: Result<String, E>) -> ExitCode {
    match outcome {
        Ok(text) => {
            let _ = io::stdout().write_all(text.as_bytes());
            ExitCode::SUCCESS
        }
        Err(error) => fail(&error),
    }
}

fn refuse(problems: &[impl std::fmt::Display]) -> ExitCode {
    for problem in problems {
        let _ = writeln!(io::stderr(), "cse-server: {problem}");
    }
    ExitCode::from(CONFIG_PROBLEM)
}

fn fail(error: &dyn std::fmt::Display) -> ExitCode {
    let _ = writeln!(io::stderr(), "cse-server: {error}");
    ExitCode::FAILURE
}
