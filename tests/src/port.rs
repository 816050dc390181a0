//! Ports that nobody else takes, for what has to come back on the same port.
//!
//! Whatever is started once binds port 0. A broker that is ended and started again cannot: in between, the system may
//! give its port to an outgoing connection, and another test may choose it. So these ports lie below those that the
//! system gives out, and a lock on a file keeps other test processes away from them.

use std::fs::{File, create_dir_all};
use std::net::{Ipv4Addr, TcpListener};

/// The range, below the ephemeral ports of Linux (32768) and of macOS (49152).
const RANGE: std::ops::Range<u16> = 21_000..26_000;

/// A port of 127.0.0.1, ours until this is dropped.
#[derive(Debug)]
pub struct ReservedPort {
    number: u16,
    _lock: File,
}

impl ReservedPort {
    /// Takes a free port.
    ///
    /// # Panics
    /// If there is none.
    pub fn take() -> Self {
        let directory = std::env::temp_dir().join("cse-tests-ports");
        create_dir_all(&directory).expect("a directory for locks");
        // Spread, so that processes that start together seldom look at the same.
        let span = u32::from(RANGE.end - RANGE.start);
        let start = std::process::id().wrapping_mul(37) % span;
        for step in 0..span {
            let offset = u16::try_from((start + step) % span).expect("within the range");
            let number = RANGE.start + offset;
            let Ok(lock) = File::create(directory.join(number.to_string())) else { continue };
            if lock.try_lock().is_ok() && TcpListener::bind((Ipv4Addr::LOCALHOST, number)).is_ok() {
                return Self { number, _lock: lock };
            }
        }
        panic!("no free port in {RANGE:?}");
    }

    /// The number.
    pub fn number(&self) -> u16 {
        self.number
    }
}
