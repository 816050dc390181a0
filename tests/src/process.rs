//! Child processes: signals, ends, and what they say.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::wait::{DEADLINE, until};

/// Sends a signal, like `TERM`.
///
/// # Panics
/// If the process has ended and was waited for.
pub fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill").args([&format!("-{name}"), &child.id().to_string()]).status();
    assert!(sent.expect("kill is there").success(), "signal {name}");
}

/// Waits for the end of a process.
///
/// # Panics
/// If it does not end in time.
pub fn ended(child: &mut Child) -> ExitStatus {
    let mut status = None;
    until("the process ends", || {
        status = child.try_wait().expect("our child");
        status.is_some()
    });
    status.expect("it has ended")
}

/// The lines that a process has written so far to one of its outputs. Read on a thread of its own, so that the
/// process never has to wait.
#[derive(Clone, Debug, Default)]
pub struct Lines(Arc<(Mutex<Written>, Condvar)>);

#[derive(Debug, Default)]
struct Written {
    lines: Vec<String>,
    closed: bool,
}

impl Lines {
    /// Reads an output until it is closed.
    pub fn of(stream: impl Read + Send + 'static) -> Self {
        let lines = Self::default();
        let written = Arc::clone(&lines.0);
        thread::spawn(move || {
            for line in BufReader::new(stream).lines().map_while(Result::ok) {
                written.0.lock().unwrap_or_else(PoisonError::into_inner).lines.push(line);
                written.1.notify_all();
            }
            written.0.lock().unwrap_or_else(PoisonError::into_inner).closed = true;
            written.1.notify_all();
        });
        lines
    }

    /// Waits until the lines contain what is wanted, and gives it; `None` if the output was closed before.
    ///
    /// # Panics
    /// If it takes too long.
    pub fn wait_for<T>(&self, what: &str, find: impl Fn(&[String]) -> Option<T>) -> Option<T> {
        let end = Instant::now() + DEADLINE;
        let mut written = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(found) = find(&written.lines) {
                return Some(found);
            }
            if written.closed {
                return None;
            }
            assert!(Instant::now() < end, "did not appear: {what}\n{}", written.lines.join("\n"));
            let waited = self.0.1.wait_timeout(written, Duration::from_millis(200));
            written = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Everything so far.
    pub fn text(&self) -> String {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner).lines.join("\n")
    }
}
