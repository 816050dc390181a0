//! What tells a receiver which create a notification is of, and when that was sent: digits in the content.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use super::http::write_digits;

const NUMBER: &[u8] = b"number=";
const TIME: &[u8] = b";at=";
const DIGITS: usize = 10;
/// Content with room for a stamp, 50 bytes.
pub(crate) const INSTANCE: &str = r#"{"m2m:cin":{"con":"number=0000000000;at=0000000000;21.5;48.25;ok;-61."}}"#;

/// Times are microseconds since then.
static BEGINNING: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Where the digits of a stamp begin, if there is one.
pub(crate) fn find(bytes: &[u8]) -> Option<usize> {
    bytes.windows(NUMBER.len()).position(|window| window == NUMBER).map(|at| at + NUMBER.len())
}

/// Writes a stamp over the one that begins there.
pub(crate) fn write(bytes: &mut [u8], number: u64, at: Instant) {
    write_digits(&mut bytes[..DIGITS], number);
    let micros = at.saturating_duration_since(*BEGINNING).as_micros() as u64;
    write_digits(&mut bytes[DIGITS + TIME.len()..][..DIGITS], micros);
}

/// Reads the stamp of a message, if it has one.
pub(crate) fn read(bytes: &[u8]) -> Option<(u64, Instant)> {
    let digits = bytes.get(find(bytes)?..)?;
    let number = value(digits.get(..DIGITS)?)?;
    let micros = value(digits.get(DIGITS + TIME.len()..)?.get(..DIGITS)?)?;
    Some((number, *BEGINNING + Duration::from_micros(micros)))
}

fn value(digits: &[u8]) -> Option<u64> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}
