//! What the server does per second, how long it takes and what it costs, beside what the same machine could do.
//!
//! ```text
//! cargo bench -p cse-tests --bench load -- --help
//! ```
//!
//! The server is the release binary in a process of its own, with its data on a real disk. The load comes from this
//! process, over TCP on the same cores, so a figure is what both do together. Ceilings are measured in the same run:
//! an echo through the broker without a CSE behind it, and the rows of the creates written to SQLite by nothing but
//! group commits. Any answer but the expected one ends the run.

mod load {
    pub(crate) mod bars;
    pub(crate) mod clients;
    pub(crate) mod echo;
    pub(crate) mod forwarding;
    pub(crate) mod gateway;
    pub(crate) mod http;
    pub(crate) mod machine;
    pub(crate) mod mqtt;
    pub(crate) mod notify;
    pub(crate) mod options;
    pub(crate) mod population;
    pub(crate) mod report;
    pub(crate) mod sample;
    pub(crate) mod scenarios;
    pub(crate) mod server;
    pub(crate) mod sqlite;
    pub(crate) mod stamp;
    pub(crate) mod subscriber;
    pub(crate) mod variants;
    pub(crate) mod wire;
}

use std::error::Error;
use std::process::ExitCode;

use load::options::{Options, Section, Task};
use load::report::Report;
use load::scenarios::Bench;

/// Everything that can go wrong ends the run with a line.
type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> ExitCode {
    match run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("load: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<ExitCode> {
    let options = match Options::parse(std::env::args().skip(1))? {
        Task::Help => {
            print!("{}", load::options::HELP);
            return Ok(ExitCode::SUCCESS);
        }
        Task::EchoBroker => {
            // As the server: a runtime with a worker per core.
            let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
            runtime.block_on(load::echo::serve())?;
            return Ok(ExitCode::SUCCESS);
        }
        Task::Measure(options) => options,
    };
    // One thread, so the generator never takes more than one core.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(measure(options))
}

async fn measure(options: Options) -> Result<ExitCode> {
    let binary = load::server::binary(&options)?;
    let data = tempfile::Builder::new().prefix("load-").tempdir_in(load::server::data_parent(&options)?)?;
    load::machine::print(data.path())?;
    let mut report = Report::default();
    let mut bench = Bench { options: &options, binary: &binary, data: data.path(), report: &mut report };
    if options.includes(Section::Mqtt) {
        bench.mqtt().await?;
    }
    if options.includes(Section::Variants) {
        bench.variants().await?;
    }
    if options.includes(Section::Http) {
        bench.http().await?;
    }
    if options.includes(Section::Forwarding) {
        bench.forwarding().await?;
    }
    if options.includes(Section::Discovery) {
        bench.discovery().await?;
    }
    if options.includes(Section::Clients) {
        bench.clients().await?;
    }
    if options.includes(Section::Notify) {
        bench.notify().await?;
    }
    if options.includes(Section::Gateway) {
        bench.population().await?;
    }
    if options.includes(Section::Memory) || options.includes(Section::Startup) {
        bench.growth().await?;
    }
    let passed = load::bars::print(&report);
    // A missed bar is a result, not a failure, unless asked for.
    Ok(if passed || !options.strict { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
