//! Schedule entries (`m2m:scheduleEntry`, TS-0004 §7.4.9.1): patterns of points in time, in UTC.
//!
//! A pattern has seven fields, second first. A point in time is inside when every field matches; unlike in
//! crontab, day of month and day of week must both match. Parsed once into bit sets, so that asking costs
//! neither allocation nor text.

use chrono::{DateTime, Datelike, NaiveDate, Timelike, Utc};

use crate::time::Timestamp;

/// Longest text of an entry, in bytes; enough for every second and minute written out.
const ENTRY_BYTES_MAX: usize = 1024;

const SECOND: Timestamp = Timestamp::from_micros(1_000_000);
const YEAR_FIRST: i32 = 2000;
const YEAR_LAST: i32 = 9999;

/// One pattern. Bit `n` of a set stands for the number `n`; no set is empty.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct ScheduleEntry {
    seconds: u64,
    minutes: u64,
    hours: u64,
    days_of_month: u64,
    months: u64,
    days_of_week: u64,
    /// `None` for every year.
    years: Option<Box<[Progression]>>,
}

/// `first`, `first + step`, ... up to `last`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Progression {
    first: u16,
    last: u16,
    step: u16,
}

/// A field of the pattern: its name in messages and its range of values.
struct Field {
    name: &'static str,
    first: u16,
    last: u16,
}

const SECONDS: Field = Field { name: "second", first: 0, last: 59 };
const MINUTES: Field = Field { name: "minute", first: 0, last: 59 };
const HOURS: Field = Field { name: "hour", first: 0, last: 23 };
const DAYS_OF_MONTH: Field = Field { name: "day of month", first: 1, last: 31 };
const MONTHS: Field = Field { name: "month", first: 1, last: 12 };
const DAYS_OF_WEEK: Field = Field { name: "day of week (0 is Sunday)", first: 0, last: 6 };
const YEARS: Field = Field { name: "year", first: YEAR_FIRST as u16, last: YEAR_LAST as u16 };

impl ScheduleEntry {
    /// Parses `second minute hour day-of-month month day-of-week year`, each `*`, or a list of numbers,
    /// ranges `a-b` and steps `a-b/n` or `*/n`.
    ///
    /// # Errors
    /// What is wrong, as the end of a sentence that begins with the name of the attribute.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if text.len() > ENTRY_BYTES_MAX {
            return Err(format!("is longer than {ENTRY_BYTES_MAX} bytes"));
        }
        let mut fields = [""; 7];
        let mut count = 0;
        for field in text.split_ascii_whitespace() {
            if let Some(slot) = fields.get_mut(count) {
                *slot = field;
            }
            count += 1;
        }
        if count != fields.len() {
            return Err(format!(
                "must have seven fields (second minute hour day-of-month month day-of-week year), not {count}"
            ));
        }
        let years = YEARS.progressions(fields[6])?;
        Ok(Self {
            seconds: SECONDS.set(fields[0])?,
            minutes: MINUTES.set(fields[1])?,
            hours: HOURS.set(fields[2])?,
            days_of_month: DAYS_OF_MONTH.set(fields[3])?,
            months: MONTHS.set(fields[4])?,
            days_of_week: DAYS_OF_WEEK.set(fields[5])?,
            years: (!years.contains(&YEARS.all())).then(|| years.into_boxed_slice()),
        })
    }

    /// Whether the time is inside. A second that matches is inside with all its fractions.
    pub(crate) fn contains(&self, time: Timestamp) -> bool {
        civil(time).is_some_and(|civil| self.contains_civil(&civil))
    }

    /// The first time at or after `time` that is inside; `None` if there is none before the year 10000.
    pub(crate) fn next_start(&self, time: Timestamp) -> Option<Timestamp> {
        if self.contains(time) {
            return Some(time);
        }
        let earliest = NaiveDate::from_ymd_opt(YEAR_FIRST, 1, 1)?.and_hms_opt(0, 0, 0)?.and_utc();
        let from = civil(next_second(time)?)?.max(earliest);
        let mut first_day = from.day();
        let mut first_month = from.month();
        if has(self.days(from.year(), from.month()), from.day()) {
            if let Some((hour, minute, second)) = self.time_of_day(from.hour(), from.minute(), from.second()) {
                return timestamp(from.year(), from.month(), from.day(), hour, minute, second);
            }
            first_day += 1;
        }
        for year in from.year()..=YEAR_LAST {
            if self.has_year(year) {
                for month in first_month..=12 {
                    if let Some(day) = at_or_above(self.days(year, month), first_day) {
                        let (hour, minute, second) = self.time_of_day(0, 0, 0)?;
                        return timestamp(year, month, day, hour, minute, second);
                    }
                    first_day = 1;
                }
            }
            (first_month, first_day) = (1, 1);
        }
        None
    }

    /// The first time after `time` at which inside becomes outside or the other way round; `None` if there is
    /// none before the year 10000.
    pub(crate) fn next_change(&self, time: Timestamp) -> Option<Timestamp> {
        if self.contains(time) { self.next_end(time) } else { self.next_start(time) }
    }

    /// The first time after `time`, which is inside, that is outside.
    fn next_end(&self, time: Timestamp) -> Option<Timestamp> {
        let every_month_whole = self.months == MONTHS.all().set()
            && self.days_of_month == DAYS_OF_MONTH.all().set()
            && self.days_of_week == DAYS_OF_WEEK.all().set();
        if every_month_whole && self.years.is_none() && self.has_every_second_of_a_day() {
            return None;
        }
        // Each step goes to the next boundary before which nothing can change, so there are at most 60 steps
        // of each kind and one per year.
        let mut next = civil(next_second(time)?)?;
        while next.year() <= YEAR_LAST {
            if !self.contains_civil(&next) {
                return Some(Timestamp::from_micros(next.timestamp_micros()));
            }
            let day = next.date_naive();
            let (hour, minute) = (next.hour(), next.minute());
            let midnight = || day.and_hms_opt(0, 0, 0).map(|time| time.and_utc());
            next = if self.seconds != SECONDS.all().set() {
                next + chrono::TimeDelta::seconds(1)
            } else if self.minutes != MINUTES.all().set() {
                day.and_hms_opt(hour, minute, 0)?.and_utc() + chrono::TimeDelta::minutes(1)
            } else if self.hours != HOURS.all().set() {
                day.and_hms_opt(hour, 0, 0)?.and_utc() + chrono::TimeDelta::hours(1)
            } else if !every_month_whole {
                midnight()? + chrono::TimeDelta::days(1)
            } else {
                NaiveDate::from_ymd_opt(next.year() + 1, 1, 1)?.and_hms_opt(0, 0, 0)?.and_utc()
            };
        }
        None
    }

    fn contains_civil(&self, civil: &DateTime<Utc>) -> bool {
        has(self.seconds, civil.second())
            && has(self.minutes, civil.minute())
            && has(self.hours, civil.hour())
            && has(self.days(civil.year(), civil.month()), civil.day())
    }

    fn has_every_second_of_a_day(&self) -> bool {
        self.seconds == SECONDS.all().set() && self.minutes == MINUTES.all().set() && self.hours == HOURS.all().set()
    }

    fn has_year(&self, year: i32) -> bool {
        let Ok(year) = u16::try_from(year) else { return false };
        match &self.years {
            None => (YEARS.first..=YEARS.last).contains(&year),
            Some(years) => years.iter().any(|years| years.contains(year)),
        }
    }

    /// The days of that month that match.
    fn days(&self, year: i32, month: u32) -> u64 {
        if !has(self.months, month) || !self.has_year(year) {
            return 0;
        }
        let Some(first) = NaiveDate::from_ymd_opt(year, month, 1) else { return 0 };
        let weekday = first.weekday().num_days_from_sunday();
        let week = ((self.days_of_week >> weekday) | (self.days_of_week << (7 - weekday))) & 0x7f;
        // The week, repeated from day 1 on.
        let by_weekday = (week | week << 7 | week << 14 | week << 21 | week << 28) << 1;
        let length = match month {
            4 | 6 | 9 | 11 => 30,
            2 if first.leap_year() => 29,
            2 => 28,
            _ => 31,
        };
        self.days_of_month & by_weekday & ((1 << (length + 1)) - 1)
    }

    /// The first time of day inside at or after the one given.
    fn time_of_day(&self, hour: u32, minute: u32, second: u32) -> Option<(u32, u32, u32)> {
        let (first_minute, first_second) = (at_or_above(self.minutes, 0)?, at_or_above(self.seconds, 0)?);
        if has(self.hours, hour) {
            if has(self.minutes, minute)
                && let Some(second) = at_or_above(self.seconds, second)
            {
                return Some((hour, minute, second));
            }
            if let Some(minute) = at_or_above(self.minutes, minute + 1) {
                return Some((hour, minute, first_second));
            }
        }
        at_or_above(self.hours, hour + 1).map(|hour| (hour, first_minute, first_second))
    }
}

impl Field {
    fn all(&self) -> Progression {
        Progression { first: self.first, last: self.last, step: 1 }
    }

    fn set(&self, text: &str) -> Result<u64, String> {
        Ok(self.progressions(text)?.iter().fold(0, |set, numbers| set | numbers.set()))
    }

    fn progressions(&self, text: &str) -> Result<Vec<Progression>, String> {
        text.split(',').map(|element| self.progression(element)).collect()
    }

    fn progression(&self, element: &str) -> Result<Progression, String> {
        let wrong = |problem: &str| {
            let element: String = element.chars().take(32).collect();
            format!("has '{element}' as {}; {problem}", self.name)
        };
        let number = |text: &str| {
            let digits = !text.is_empty() && text.len() <= 4 && text.bytes().all(|byte| byte.is_ascii_digit());
            digits
                .then(|| text.parse::<u16>().ok())
                .flatten()
                .ok_or_else(|| wrong("write *, or numbers, ranges a-b and steps a-b/n or */n, separated by commas"))
        };
        let (range, step) = match element.split_once('/') {
            Some((range, step)) => (range, Some(number(step)?)),
            None => (element, None),
        };
        let (first, last) = match range.split_once('-') {
            Some((first, last)) => (number(first)?, number(last)?),
            None if range == "*" => (self.first, self.last),
            None if step.is_some() => return Err(wrong("a step follows * or a range, as in */5 or 10-20/5")),
            None => (number(range)?, number(range)?),
        };
        if first < self.first || last > self.last || first > self.last || last < self.first {
            return Err(wrong(&format!("it must be {} to {}", self.first, self.last)));
        }
        if first > last {
            return Err(wrong("a range begins with the smaller number"));
        }
        match step {
            Some(0) => Err(wrong("a step must be at least 1")),
            step => Ok(Progression { first, last, step: step.unwrap_or(1) }),
        }
    }
}

impl Progression {
    fn contains(self, number: u16) -> bool {
        (self.first..=self.last).contains(&number) && (number - self.first).is_multiple_of(self.step)
    }

    /// As a set; for numbers below 64.
    fn set(self) -> u64 {
        (self.first..=self.last.min(63)).step_by(usize::from(self.step)).fold(0, |set, number| set | 1 << number)
    }
}

fn has(set: u64, number: u32) -> bool {
    set.checked_shr(number).is_some_and(|rest| rest & 1 == 1)
}

/// The smallest member that is not below `number`.
fn at_or_above(set: u64, number: u32) -> Option<u32> {
    let rest = set.checked_shr(number)?;
    (rest != 0).then(|| number + rest.trailing_zeros())
}

fn civil(time: Timestamp) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp(time.micros().div_euclid(SECOND.micros()), 0)
}

/// The beginning of the second after the one of `time`.
fn next_second(time: Timestamp) -> Option<Timestamp> {
    let seconds = time.micros().div_euclid(SECOND.micros()).checked_add(1)?;
    seconds.checked_mul(SECOND.micros()).map(Timestamp::from_micros)
}

fn timestamp(year: i32, month: u32, day: u32, hour: u32, minute: u32, second: u32) -> Option<Timestamp> {
    let time = NaiveDate::from_ymd_opt(year, month, day)?.and_hms_opt(hour, minute, second)?;
    Some(Timestamp::from_micros(time.and_utc().timestamp_micros()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn entry(text: &str) -> ScheduleEntry {
        ScheduleEntry::parse(text).unwrap_or_else(|problem| panic!("{text}: {problem}"))
    }

    fn time(text: &str) -> Timestamp {
        Timestamp::parse(text).expect("a timestamp")
    }

    #[test]
    fn a_time_is_inside_when_every_field_matches() {
        for (text, at, inside) in [
            ("* * * * * * *", "20260102T030405", true),
            ("* * * * * * *", "19991231T235959", false),
            ("* 0-5 2,6,10 * * * *", "20260102T020500", true),
            ("* 0-5 2,6,10 * * * *", "20260102T020559,999999", true),
            ("* 0-5 2,6,10 * * * *", "20260102T020600", false),
            ("* 0-5 2,6,10 * * * *", "20260102T030500", false),
            ("* * 0-23/2 * * * *", "20260102T225959", true),
            ("* * 0-23/2 * * * *", "20260102T230000", false),
            // 4 January 2026 is a Sunday.
            ("* * * * * */2 *", "20260104T120000", true),
            ("* * * * * */2 *", "20260105T120000", false),
            ("* * * * * */2 *", "20260110T120000", true),
            ("* * * 29 2 * *", "20280229T000000", true),
            // Day of month and day of week must both match.
            ("* * * 4 * 0 *", "20260104T000000", true),
            ("* * * 4 * 0 *", "20260204T000000", false),
            ("* * * 5 * 0 *", "20260104T000000", false),
            ("* * * * 1,3 * 2026-2027", "20270301T000000", true),
            ("* * * * 1,3 * 2026-2027", "20280301T000000", false),
            ("* * * * * * 2020-2030/5", "20250601T000000", true),
            ("* * * * * * 2020-2030/5", "20260601T000000", false),
            ("  00   00  00 01 01 *  2026 ", "20260101T000000", true),
        ] {
            assert_eq!(entry(text).contains(time(at)), inside, "{text} at {at}");
        }
    }

    #[test]
    fn what_is_no_entry_is_refused_with_the_reason() {
        for (text, reason) in [
            ("", "not 0"),
            ("* * * * * *", "seven fields"),
            ("* * * * * * * *", "not 8"),
            ("60 * * * * * *", "'60' as second; it must be 0 to 59"),
            ("* * 24 * * * *", "0 to 23"),
            ("* * * 0 * * *", "'0' as day of month; it must be 1 to 31"),
            ("* * * * 13 * *", "1 to 12"),
            ("* * * * * 7 *", "day of week (0 is Sunday)"),
            ("* * * * * * 1999", "2000 to 9999"),
            ("* 5-2 * * * * *", "begins with the smaller"),
            ("* */0 * * * * *", "at least 1"),
            ("* 5/2 * * * * *", "a step follows"),
            ("* 1,,2 * * * * *", "separated by commas"),
            ("* +1 * * * * *", "separated by commas"),
            ("* 1-2-3 * * * * *", "separated by commas"),
            ("* * MON * * * *", "'MON' as hour"),
            ("* -1 * * * * *", "separated by commas"),
            ("* 99999999999 * * * * *", "separated by commas"),
        ] {
            let problem = ScheduleEntry::parse(text).expect_err(text);
            assert!(problem.contains(reason), "{text}: {problem}");
        }
        assert!(ScheduleEntry::parse(&"*".repeat(2000)).is_err_and(|problem| problem.contains("longer")));
    }

    #[test]
    fn the_next_start_is_found_across_every_boundary() {
        for (text, from, start) in [
            ("* * * * * * *", "20260102T030405,5", Some("20260102T030405,5")),
            ("* * * * * * *", "19700101T000000", Some("20000101T000000")),
            ("0 * * * * * *", "20260102T030405,5", Some("20260102T030500")),
            ("0 0 0 * * * *", "20261231T235959,5", Some("20270101T000000")),
            ("30 15 8 * * * *", "20260228T081531", Some("20260301T081530")),
            ("0 0 12 29 2 * *", "20260101T000000", Some("20280229T120000")),
            // The next leap day that is a Sunday.
            ("0 0 0 29 2 0 *", "20260101T000000", Some("20320229T000000")),
            ("* * * 30 2 * *", "20260101T000000", None),
            ("* * * * * * 2020", "20260101T000000", None),
            ("* * * * * * 9999", "20260101T000000", Some("99990101T000000")),
            ("* * 8-20 * * 1-5 *", "20260102T210000", Some("20260105T080000")),
        ] {
            assert_eq!(entry(text).next_start(time(from)), start.map(time), "{text} from {from}");
        }
    }

    #[test]
    fn the_next_change_of_a_time_inside_is_its_end() {
        for (text, from, change) in [
            ("* * * * * * *", "20260102T030405", None),
            ("* * 8-20 * * * *", "20260102T120000,25", Some("20260102T210000")),
            ("* * 8-20 * * * *", "20260102T210000", Some("20260103T080000")),
            ("0-29 * * * * * *", "20260102T120012", Some("20260102T120030")),
            ("* * * * * 6,0 *", "20260103T120000", Some("20260105T000000")),
            ("* * * * 3-5 * *", "20260301T000000", Some("20260601T000000")),
            ("* * * * * * 2026-2999", "20260301T000000", Some("30000101T000000")),
            ("* * * * * * 2026-9999", "20260301T000000", None),
            ("* 0-58 * * * * *", "20260301T235800", Some("20260301T235900")),
        ] {
            assert_eq!(entry(text).next_change(time(from)), change.map(time), "{text} from {from}");
        }
    }

    #[test]
    fn extreme_times_are_outside() {
        let always = entry("* * * * * * *");
        for micros in [i64::MIN, i64::MAX] {
            assert!(!always.contains(Timestamp::from_micros(micros)));
        }
        assert_eq!(always.next_start(Timestamp::from_micros(i64::MAX)), None);
        assert_eq!(always.next_change(Timestamp::MAX), None);
        assert_eq!(entry("0 * * * * * *").next_change(Timestamp::MAX), None);
    }

    /// A field's text and its meaning, told independently of the parser.
    fn field(first: u32, last: u32) -> impl Strategy<Value = String> {
        let element = (first..=last, first..=last, 1..5_u32, 0..3_u32).prop_map(move |(a, b, step, form)| match form {
            0 => a.to_string(),
            1 => format!("{}-{}", a.min(b), a.max(b)),
            _ => format!("{}-{}/{step}", a.min(b), a.max(b)),
        });
        prop_oneof![
            3 => Just("*".to_owned()),
            1 => (1..5_u32).prop_map(|step| format!("*/{step}")),
            2 => prop::collection::vec(element, 1..3).prop_map(|elements| elements.join(",")),
        ]
    }

    fn field_has(field: &str, first: u32, number: u32) -> bool {
        field.split(',').any(|element| {
            let (range, step) = element.split_once('/').unwrap_or((element, "1"));
            let (from, to) = match (range, range.split_once('-')) {
                ("*", _) => (first, u32::MAX),
                (_, Some((from, to))) => (from.parse().expect("number"), to.parse().expect("number")),
                (one, None) => (one.parse().expect("number"), one.parse().expect("number")),
            };
            number >= from && number <= to && (number - from).is_multiple_of(step.parse().expect("number"))
        })
    }

    proptest! {
        #[test]
        fn searches_agree_with_walking(
            fields in (field(0, 59), field(0, 59), field(0, 23), field(1, 31), field(1, 12), field(0, 6)),
            micros in 946_684_800_000_000_i64..4_102_444_800_000_000,
        ) {
            let (second, minute, hour, day, month, weekday) = &fields;
            let schedule = entry(&format!("{second} {minute} {hour} {day} {month} {weekday} *"));
            let from = Timestamp::from_micros(micros);
            let naive = |time: Timestamp| {
                let civil = civil(time).expect("in range");
                field_has(second, 0, civil.second())
                    && field_has(minute, 0, civil.minute())
                    && field_has(hour, 0, civil.hour())
                    && field_has(day, 1, civil.day())
                    && field_has(month, 1, civil.month())
                    && field_has(weekday, 0, civil.weekday().num_days_from_sunday())
            };
            let inside = naive(from);
            prop_assert_eq!(schedule.contains(from), inside);
            let nth_second = |n| Timestamp::from_micros((micros.div_euclid(1_000_000) + n) * 1_000_000);
            let walked = (1..20_000).map(nth_second).find(|time| naive(*time) != inside);
            let change = schedule.next_change(from);
            match walked {
                Some(_) => prop_assert_eq!(change, walked),
                None => prop_assert!(change.is_none_or(|change| change >= nth_second(20_000))),
            }
            if !inside {
                prop_assert_eq!(schedule.next_start(from), change);
            }
            if let Some(change) = change {
                prop_assert_ne!(schedule.contains(change), inside);
            }
        }

        #[test]
        fn no_text_makes_it_panic(text in "[0-9*/, -]{0,60}") {
            if let Ok(schedule) = ScheduleEntry::parse(&text) {
                schedule.next_change(Timestamp::from_micros(0));
            }
        }
    }
}
