//! The CSE as a program.

mod cli;
mod config;

fn main() {
    let _ = cli::parse(std::env::args_os(), |name| std::env::var(name).ok()).map(|i| config::Config::load(i.given));
}
