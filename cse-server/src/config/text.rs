//! How values are written: durations, sizes, addresses and lists, in a file, a flag or a variable alike.
//!
//! Reading is the inverse of writing; a test holds them together.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use cse_core::value::Text;

/// A value as it was given, before anybody knows what it means.
#[derive(Clone, PartialEq)]
pub(crate) enum Raw {
    /// Text: always in flags and variables.
    Text(String),
    /// An integer of the file.
    Integer(i64),
    /// Any other number of the file.
    Float(f64),
    /// A boolean of the file.
    Bool(bool),
    /// A list of the file.
    List(Vec<Raw>),
    /// A table within a list of the file.
    Table(Vec<(String, Raw)>),
    /// Anything else of the file, by the name of its kind.
    Other(&'static str),
}

impl Raw {
    /// What was given, to be shown in a message.
    fn shown(&self) -> String {
        match self {
            Self::Text(text) => format!("'{text}'"),
            Self::Integer(number) => number.to_string(),
            Self::Float(number) => number.to_string(),
            Self::Bool(value) => value.to_string(),
            Self::List(_) => "a list".into(),
            Self::Table(_) => "a table".into(),
            Self::Other(kind) => (*kind).into(),
        }
    }

    /// The message that this is not what was expected.
    pub(crate) fn is_no(&self, expected: &str) -> String {
        format!("{} is no {expected}", self.shown())
    }
}

/// A kind of value that options have.
pub(crate) trait Setting: Sized {
    /// Reads it; the error says what was expected.
    fn read(raw: &Raw) -> Result<Self, String>;
    /// Writes it as the file has it.
    fn write(&self) -> String;
}

const DURATION: &str = "duration; write it like \"500ms\", \"10s\", \"5m\", \"2h\", \"7d\", \"5y\" or as seconds";

/// Milliseconds of each unit, longest first.
const TIME_UNITS: [(&str, u64); 7] = [
    ("y", 365 * 86_400_000),
    ("w", 7 * 86_400_000),
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

impl Setting for Duration {
    fn read(raw: &Raw) -> Result<Self, String> {
        let seconds = match raw {
            Raw::Integer(number) => u64::try_from(*number).ok().map(Duration::from_secs),
            Raw::Float(number) => Duration::try_from_secs_f64(*number).ok(),
            Raw::Text(text) => duration_of(text),
            _ => None,
        };
        seconds.ok_or_else(|| raw.is_no(DURATION))
    }

    fn write(&self) -> String {
        format!("\"{}\"", duration_text(*self))
    }
}

/// A duration in the longest unit that writes it without a fraction.
pub(crate) fn duration_text(duration: Duration) -> String {
    let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    match TIME_UNITS.iter().find(|(name, unit)| *name != "w" && millis >= *unit && millis.is_multiple_of(*unit)) {
        Some((name, unit)) => format!("{}{name}", millis / unit),
        None => format!("{millis}ms"),
    }
}

fn duration_of(text: &str) -> Option<Duration> {
    let mut rest = text.trim();
    if let Ok(seconds) = rest.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).ok();
    }
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let (number, unit, after) = number_and_unit(rest)?;
        let millis = TIME_UNITS.iter().find(|(name, _)| *name == unit)?.1;
        let part = Duration::try_from_secs_f64(number * millis as f64 / 1_000.0).ok()?;
        total = total.checked_add(part)?;
        rest = after.trim_start();
    }
    (!text.trim().is_empty()).then_some(total)
}

/// Splits `12 unit rest`.
fn number_and_unit(text: &str) -> Option<(f64, &str, &str)> {
    let unit_at = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let number = text[..unit_at].parse().ok()?;
    let after = text[unit_at..].trim_start();
    let end = after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len());
    Some((number, &after[..end], &after[end..]))
}

/// A number of bytes.
#[derive(Clone, Copy, Debug, Eq, PartialEq, PartialOrd)]
pub(crate) struct Size(pub(crate) usize);

const SIZE: &str = "size; write it like \"64 KiB\", \"1 MiB\" or as bytes";

const SIZE_UNITS: [(&str, usize); 7] = [
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1_000),
    ("B", 1),
];

impl Setting for Size {
    fn read(raw: &Raw) -> Result<Self, String> {
        let bytes = match raw {
            Raw::Integer(number) => usize::try_from(*number).ok(),
            Raw::Text(text) => size_of(text.trim()),
            _ => None,
        };
        bytes.map(Size).ok_or_else(|| raw.is_no(SIZE))
    }

    fn write(&self) -> String {
        match SIZE_UNITS[..3].iter().find(|(_, unit)| self.0 >= *unit && self.0.is_multiple_of(*unit)) {
            Some((name, unit)) => format!("\"{} {name}\"", self.0 / unit),
            None => self.0.to_string(),
        }
    }
}

fn size_of(text: &str) -> Option<usize> {
    if let Ok(bytes) = text.parse() {
        return Some(bytes);
    }
    let (number, unit, after) = number_and_unit(text)?;
    let factor = SIZE_UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit))?.1;
    let bytes = number * factor as f64;
    // Beyond 2^53 a float no longer counts single bytes; no machine has that much.
    (after.is_empty() && bytes < 9_007_199_254_740_992.0).then_some(bytes as usize)
}

impl Setting for usize {
    fn read(raw: &Raw) -> Result<Self, String> {
        let number = match raw {
            Raw::Integer(number) => usize::try_from(*number).ok(),
            Raw::Text(text) => text.trim().parse().ok(),
            _ => None,
        };
        number.ok_or_else(|| raw.is_no("whole number"))
    }

    fn write(&self) -> String {
        self.to_string()
    }
}

impl Setting for bool {
    fn read(raw: &Raw) -> Result<Self, String> {
        match raw {
            Raw::Bool(value) => Ok(*value),
            Raw::Text(text) if matches!(text.trim(), "true" | "1" | "yes" | "on") => Ok(true),
            Raw::Text(text) if matches!(text.trim(), "false" | "0" | "no" | "off") => Ok(false),
            _ => Err(raw.is_no("truth value; write true or false")),
        }
    }

    fn write(&self) -> String {
        self.to_string()
    }
}

impl Setting for Text {
    fn read(raw: &Raw) -> Result<Self, String> {
        match raw {
            Raw::Text(text) => Ok(text.trim().into()),
            _ => Err(raw.is_no("text")),
        }
    }

    fn write(&self) -> String {
        quoted(self)
    }
}

impl Setting for Vec<Text> {
    fn read(raw: &Raw) -> Result<Self, String> {
        match raw {
            Raw::List(items) => items.iter().map(Text::read).collect(),
            Raw::Text(text) => {
                Ok(text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(Text::from).collect())
            }
            _ => Err(raw.is_no("list of texts")),
        }
    }

    fn write(&self) -> String {
        let items: Vec<_> = self.iter().map(|item| quoted(item)).collect();
        format!("[{}]", items.join(", "))
    }
}

/// Text as TOML quotes it.
pub(crate) fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => {
                let _ = write!(quoted, "\\u{:04X}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// Where something listens, if it does.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Listen {
    /// Not at all.
    Off,
    /// At that address; port 0 lets the system choose.
    At(SocketAddr),
}

impl Listen {
    /// Loopback, at that port.
    pub(crate) const fn local(port: u16) -> Self {
        Self::At(SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), port))
    }

    /// The address, if it listens.
    pub(crate) fn address(self) -> Option<SocketAddr> {
        match self {
            Self::Off => None,
            Self::At(address) => Some(address),
        }
    }
}

impl Setting for Listen {
    fn read(raw: &Raw) -> Result<Self, String> {
        match raw {
            Raw::Text(text) if text.trim() == "off" => Some(Self::Off),
            Raw::Text(text) => address_of(text.trim()).map(Self::At),
            _ => None,
        }
        .ok_or_else(|| raw.is_no("address; write it like \"127.0.0.1:8080\", \"[::1]:8080\" or \"off\""))
    }

    fn write(&self) -> String {
        match self {
            Self::Off => quoted("off"),
            Self::At(address) => quoted(&address.to_string()),
        }
    }
}

/// An address with port; a name only where it certainly means this machine.
pub(crate) fn address_of(text: &str) -> Option<SocketAddr> {
    match text.strip_prefix("localhost:") {
        Some(port) => port.parse().ok().map(|port: u16| (Ipv4Addr::LOCALHOST, port).into()),
        None => text.parse().ok(),
    }
}

/// Text that must not be seen in logs, messages or debug output.
#[derive(Clone, Eq, PartialEq)]
pub(crate) struct Secret(Text);

impl Secret {
    /// Hides a text.
    pub(crate) fn new(text: impl Into<Text>) -> Self {
        Self(text.into())
    }

    /// The text, for the one who needs it.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(if self.0.is_empty() { "none" } else { "(hidden)" })
    }
}

impl Setting for Secret {
    fn read(raw: &Raw) -> Result<Self, String> {
        match raw {
            Raw::Text(text) => Ok(Self::new(text.as_str())),
            _ => Err("this is no text".into()),
        }
    }

    fn write(&self) -> String {
        quoted(if self.0.is_empty() { "" } else { "(hidden)" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Raw {
        Raw::Text(text.into())
    }

    #[test]
    fn durations_have_units_or_are_seconds() {
        for (given, millis) in [
            (text("500ms"), 500),
            (text("10s"), 10_000),
            (text(" 1.5 s "), 1_500),
            (text("1h 30m"), 5_400_000),
            (text("5y"), 5 * 365 * 86_400_000),
            (text("7"), 7_000),
            (Raw::Integer(3), 3_000),
            (Raw::Float(0.25), 250),
        ] {
            assert_eq!(Duration::read(&given), Ok(Duration::from_millis(millis)), "{}", given.shown());
        }
        for given in ["", "s", "10x", "-1s", "1s2", "NaN", "1e300y", "ten seconds", "1é"] {
            assert!(Duration::read(&text(given)).is_err(), "{given}");
        }
        assert!(Duration::read(&Raw::Integer(-1)).is_err());
    }

    #[test]
    fn sizes_have_units_or_are_bytes() {
        for (given, bytes) in [
            (text("1 MiB"), 1 << 20),
            (text("64KiB"), 64 << 10),
            (text("2 MB"), 2_000_000),
            (text("1.5 kib"), 1_536),
            (text("17"), 17),
            (Raw::Integer(42), 42),
        ] {
            assert_eq!(Size::read(&given), Ok(Size(bytes)), "{}", given.shown());
        }
        for given in ["", "MiB", "1 XB", "-1", "1 MiB 2", "99999999999 GiB"] {
            assert!(Size::read(&text(given)).is_err(), "{given}");
        }
    }

    #[test]
    fn what_is_written_can_be_read() {
        for millis in [0, 1, 500, 1_500, 10_000, 60_000, 86_400_000, 3 * 365 * 86_400_000] {
            let duration = Duration::from_millis(millis);
            assert_eq!(duration_of(&duration_text(duration)), Some(duration));
        }
        for bytes in [0, 1, 1_000, 1_024, 1_536, 16 << 20, 3 << 30] {
            let written = Size(bytes).write();
            assert_eq!(size_of(written.trim_matches('"')), Some(bytes));
        }
        assert_eq!(quoted("a\"b\\c\u{1}"), "\"a\\\"b\\\\c\\u0001\"");
    }

    #[test]
    fn addresses_are_numbers_or_this_machine() {
        assert_eq!(Listen::read(&text("off")), Ok(Listen::Off));
        assert_eq!(Listen::read(&text("localhost:80")), Ok(Listen::local(80)));
        assert!(matches!(Listen::read(&text("[::1]:80")), Ok(Listen::At(address)) if address.is_ipv6()));
        for given in ["", "on", "8080", "127.0.0.1", "example.org:80", "127.0.0.1:99999"] {
            assert!(Listen::read(&text(given)).is_err(), "{given}");
        }
    }

    #[test]
    fn a_secret_is_not_shown() {
        let secret = Secret::new("hunter2");
        assert!(!format!("{secret:?}{}", secret.write()).contains("hunter2"));
        assert!(!Secret::read(&Raw::Integer(4711)).expect_err("a number").contains("4711"));
    }
}
