//! Points in time as oneM2M writes them (TS-0004 §6.3.3, `m2m:timestamp` and `m2m:absRelTimestamp`).

use std::fmt;
use std::time::Duration;

use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime};

use crate::value::{Text, Value};

/// A point in time: microseconds since 1970-01-01T00:00:00 UTC.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The latest time that four year digits can write.
    pub const MAX: Timestamp = Timestamp(253_402_300_799_999_999);

    /// From microseconds since 1970.
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// Microseconds since 1970.
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// Parses `YYYYMMDDThhmmss`, optionally with a fraction after `,` or `.`.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        if bytes.len() < 15 || bytes[8] != b'T' || !text.is_ascii() {
            return None;
        }
        let number = |range: std::ops::Range<usize>| -> Option<u32> {
            bytes[range]
                .iter()
                .try_fold(0, |sum: u32, byte| byte.is_ascii_digit().then(|| sum * 10 + u32::from(byte - b'0')))
        };
        let date = NaiveDate::from_ymd_opt(i32::try_from(number(0..4)?).ok()?, number(4..6)?, number(6..8)?)?;
        let mut micros = 0;
        match bytes.get(15) {
            None => {}
            Some(b',' | b'.') if bytes.len() > 16 => {
                for index in 0..bytes.len() - 16 {
                    let digit = number(16 + index..17 + index)?;
                    if index < 6 {
                        micros += digit * 10_u32.pow(5 - index as u32);
                    }
                }
            }
            Some(_) => return None,
        }
        let time = NaiveTime::from_hms_micro_opt(number(9..11)?, number(11..13)?, number(13..15)?, micros)?;
        Some(Self(NaiveDateTime::new(date, time).and_utc().timestamp_micros()))
    }

    /// This time plus a duration, no later than [`Timestamp::MAX`].
    pub fn plus(self, duration: Duration) -> Self {
        let micros = i64::try_from(duration.as_micros()).unwrap_or(i64::MAX);
        Self(self.0.saturating_add(micros)).min(Self::MAX)
    }

    /// How long after `earlier` this is; zero if it is not after it.
    pub fn since(self, earlier: Timestamp) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Written by hand: every response carries several of these.
        let seconds = self.0.div_euclid(1_000_000);
        let micros = self.0.rem_euclid(1_000_000);
        let Some(time) = DateTime::from_timestamp(seconds, 0) else {
            return formatter.write_str("99991231T235959");
        };
        use chrono::{Datelike, Timelike};
        let mut text = *b"00000000T000000,000000";
        let mut put = |from: usize, width: usize, mut number: u32| {
            for index in (from..from + width).rev() {
                text[index] = b'0' + (number % 10) as u8;
                number /= 10;
            }
        };
        put(0, 4, time.year().clamp(0, 9999) as u32);
        put(4, 2, time.month());
        put(6, 2, time.day());
        put(9, 2, time.hour());
        put(11, 2, time.minute());
        put(13, 2, time.second());
        put(16, 6, micros as u32);
        formatter.write_str(std::str::from_utf8(&text).unwrap_or("99991231T235959"))
    }
}

impl From<Timestamp> for Value {
    fn from(time: Timestamp) -> Self {
        Value::Text(Text::from(smol_str::format_smolstr!("{time}")))
    }
}

/// A point in time given absolutely or as milliseconds from receipt (`m2m:absRelTimestamp`).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum AbsRelTimestamp {
    /// At that time.
    Absolute(Timestamp),
    /// That long after the request was received.
    Relative(Duration),
}

impl AbsRelTimestamp {
    /// From a timestamp text, a number of milliseconds, or the text of such a number.
    pub fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Text(text) if text.contains('T') => Timestamp::parse(text).map(Self::Absolute),
            Value::Text(text) => text.parse().ok().map(|millis| Self::Relative(Duration::from_millis(millis))),
            other => other.as_unsigned().map(|millis| Self::Relative(Duration::from_millis(millis))),
        }
    }

    /// The point in time, for a request received at `received`.
    pub fn at(self, received: Timestamp) -> Timestamp {
        match self {
            Self::Absolute(time) => time,
            Self::Relative(duration) => received.plus(duration),
        }
    }
}

impl From<AbsRelTimestamp> for Value {
    fn from(time: AbsRelTimestamp) -> Self {
        match time {
            AbsRelTimestamp::Absolute(time) => time.into(),
            AbsRelTimestamp::Relative(duration) => Value::from(duration.as_millis().to_string()),
        }
    }
}

/// Parses `xs:duration` (`PT60S`, `P1DT2H`); years and months count 365 and 30 days. A bare number is seconds.
pub fn parse_duration(text: &str) -> Option<Duration> {
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let mut rest = text.strip_prefix('P')?;
    let mut in_time = false;
    let mut total = 0.0;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix('T') {
            if in_time || after.is_empty() {
                return None;
            }
            in_time = true;
            rest = after;
            continue;
        }
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..end].parse().ok()?;
        let unit = match (in_time, rest.as_bytes()[end]) {
            (false, b'Y') => 365.0 * 86_400.0,
            (false, b'M') => 30.0 * 86_400.0,
            (false, b'W') => 7.0 * 86_400.0,
            (false, b'D') => 86_400.0,
            (true, b'H') => 3_600.0,
            (true, b'M') => 60.0,
            (true, b'S') => 1.0,
            _ => return None,
        };
        total += number * unit;
        rest = &rest[end + 1..];
    }
    Duration::try_from_secs_f64(total).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timestamp_is_written_as_it_is_read() {
        for text in ["20260102T030405,000006", "19991231T235959,999999", "20240229T000000,000000"] {
            assert_eq!(Timestamp::parse(text).expect("valid").to_string(), text);
        }
        assert_eq!(Timestamp::parse("20260102T030405").expect("valid").to_string(), "20260102T030405,000000");
        assert_eq!(Timestamp::parse("20260102T030405.5").expect("valid").to_string(), "20260102T030405,500000");
    }

    #[test]
    fn what_is_no_timestamp_is_refused() {
        for text in [
            "",
            "2026",
            "20261301T000000",
            "20260230T000000",
            "20260102T030405,",
            "20260102 030405",
            "20260102T0304056",
            "2026010éT030405",
        ] {
            assert_eq!(Timestamp::parse(text), None, "{text}");
        }
    }

    #[test]
    fn durations_add_up() {
        assert_eq!(parse_duration("PT60S"), Some(Duration::from_secs(60)));
        assert_eq!(parse_duration("P1DT2H0.5S"), Some(Duration::from_millis(93_600_500)));
        assert_eq!(parse_duration("7"), Some(Duration::from_secs(7)));
        for text in ["", "P", "PT", "P1S", "60S", "PT-1S"] {
            assert_eq!(parse_duration(text), None, "{text}");
        }
    }
}
