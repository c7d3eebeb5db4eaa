//! Time as types: a UTC millisecond, a UTC minute, and an hour or day of a vault's time zone.
//!
//! The only place that divides time. An `Hour` is a *label* of local time, so it has as many
//! UTC seconds as carry that label: 3,600 on most days, 7,200 when an hour repeats in autumn,
//! none when it is skipped in spring, and other numbers where a zone shifts by half an hour.
//! The zone rules are the ones built into this binary, never the machine's.

use std::{fmt, str::FromStr, time::Duration};

use jiff::{Timestamp, civil, tz::TimeZone, tz::TimeZoneDatabase};
use serde::{Deserialize, Serialize};

const MS_PER_MINUTE: i64 = 60_000;
const SECONDS_PER_HOUR: i64 = 3_600;
const HOURS_PER_DAY: i64 = 24;

/// How long after the last time what is done daily is done again, in ms. A little less than a day: a stage that is begun every
/// day is never begun at the same second.
pub const DAILY_MS: i64 = 23 * 3_600_000;

/// A text that is not a time of the form asked for.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{text:?} is not a time of the form {form}")]
pub struct NotATime {
    text: String,
    form: &'static str,
}

/// Milliseconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UtcMs(pub i64);

impl UtcMs {
    /// The minute this instant lies in.
    pub const fn minute(self) -> Minute {
        Minute(self.0.div_euclid(MS_PER_MINUTE))
    }

    /// Whole seconds since 1970, rounded down.
    pub const fn second(self) -> i64 {
        self.0.div_euclid(1_000)
    }

    /// This instant moved by a number of milliseconds.
    #[must_use]
    pub const fn plus_ms(self, ms: i64) -> Self {
        Self(self.0.saturating_add(ms))
    }
}

/// A duration in milliseconds.
pub fn ms(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

impl fmt::Display for UtcMs {
    /// `2026-11-23T14:05:09.123Z`, 24 characters in the years 0 to 9999.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let t = utc(self.0.div_euclid(1_000));
        let ms = self.0.rem_euclid(1_000);
        if 0 <= t.year() {
            // each post has such a time, and the general way takes several times as long
            let mut text = *b"0000-00-00T00:00:00.000Z";
            let mut put = |at: std::ops::Range<usize>, mut number: i64| {
                for digit in text.get_mut(at).unwrap_or_default().iter_mut().rev() {
                    *digit += u8::try_from(number % 10).unwrap_or(0);
                    number /= 10;
                }
            };
            put(0..4, t.year().into());
            put(5..7, t.month().into());
            put(8..10, t.day().into());
            put(11..13, t.hour().into());
            put(14..16, t.minute().into());
            put(17..19, t.second().into());
            put(20..23, ms);
            return f.write_str(str::from_utf8(&text).unwrap_or_default());
        }
        write!(
            f,
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{ms:03}Z",
            t.year(),
            t.month(),
            t.day(),
            t.hour(),
            t.minute(),
            t.second()
        )
    }
}

impl FromStr for UtcMs {
    type Err = NotATime;

    fn from_str(text: &str) -> Result<Self, NotATime> {
        if let Some(at) = usual(text.as_bytes()) {
            return Ok(at);
        }
        match text.parse::<Timestamp>() {
            Ok(t) => Ok(Self(t.as_millisecond())),
            Err(_not_rfc3339) => Err(NotATime {
                text: text.to_owned(),
                form: "2026-11-23T14:05:09.123Z",
            }),
        }
    }
}

/// A time in the form in which nearly all come, as [`UtcMs`] is written. A merge reads one from every
/// line; every other form takes the long way.
fn usual(text: &[u8]) -> Option<UtcMs> {
    let text: &[u8; 24] = text.try_into().ok()?;
    let number = |range: std::ops::Range<usize>| {
        let digits = text.get(range)?;
        let is_number = digits.iter().all(u8::is_ascii_digit);
        let value = |sum, digit: &u8| sum * 10 + i64::from(digit - b'0');
        is_number.then(|| digits.iter().fold(0, value))
    };
    let marks = [4, 7, 10, 13, 16, 19, 23].map(|at| text.get(at).copied().unwrap_or(0));
    if marks != *b"--T::.Z" {
        return None;
    }
    let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
    let (hour, minute, second) = (number(11..13)?, number(14..16)?, number(17..19)?);
    if year == LAST_YEAR {
        return None;
    }
    let days_of_month = *DAYS_OF_MONTHS.get(usize::try_from(month - 1).ok()?)?;
    if !(1..=days_of_month).contains(&day) || HOURS_PER_DAY <= hour || 60 <= minute || 60 <= second
    {
        return None;
    }
    // years begin in March, so that the day that is there or not comes last
    let (year, month) = if month < 3 {
        (year - 1, month + 9)
    } else {
        (year, month - 3)
    };
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    let day_of_year = (153 * month + 2) / 5 + day - 1;
    let days = 365 * year + leap_days + day_of_year - DAYS_BEFORE_1970;
    let minutes = (days * HOURS_PER_DAY + hour) * 60 + minute;
    Some(UtcMs(
        minutes * MS_PER_MINUTE + second * 1_000 + number(20..23)?,
    ))
}

/// No instant of its last two days can be written, so it takes the long way.
const LAST_YEAR: i64 = 9_999;

/// A 29th of February takes the long way, as do leap seconds.
const DAYS_OF_MONTHS: [i64; 12] = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

/// Days from the first of March of the year 0 to 1970.
const DAYS_BEFORE_1970: i64 = 719_468;

/// A UTC minute, counted from 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Minute(pub i64);

impl Minute {
    /// The first millisecond of the minute.
    pub const fn begin(self) -> UtcMs {
        UtcMs(self.0.saturating_mul(MS_PER_MINUTE))
    }

    /// The first millisecond after the minute.
    pub const fn end(self) -> UtcMs {
        Self(self.0 + 1).begin()
    }

    /// `2026-11-23`: the UTC day, as a spool folder is named.
    pub fn day_folder(self) -> String {
        let t = utc(self.0 * 60);
        format!("{:04}-{:02}-{:02}", t.year(), t.month(), t.day())
    }

    /// The same as a day.
    pub const fn utc_day(self) -> Day {
        Day(self.0.div_euclid(HOURS_PER_DAY * 60))
    }

    /// `14`: the UTC hour, as a spool folder is named.
    pub fn hour_folder(self) -> String {
        format!("{:02}", utc(self.0 * 60).hour())
    }

    /// `20261123T1405Z`, as in the name of a segment.
    pub fn compact(self) -> String {
        let t = utc(self.0 * 60);
        format!(
            "{:04}{:02}{:02}T{:02}{:02}Z",
            t.year(),
            t.month(),
            t.day(),
            t.hour(),
            t.minute()
        )
    }

    /// The minute that [`Minute::compact`] wrote.
    pub fn from_compact(text: &str) -> Result<Self, NotATime> {
        let wrong = || NotATime {
            text: text.to_owned(),
            form: "20261123T1405Z",
        };
        let digits = |from: usize, to: usize| -> Option<i16> {
            let part = text.get(from..to)?;
            if part.bytes().all(|b| b.is_ascii_digit()) {
                part.parse().ok()
            } else {
                None
            }
        };
        if text.len() != 14 || text.get(8..9) != Some("T") || text.get(13..) != Some("Z") {
            return Err(wrong());
        }
        let part = |from, to| digits(from, to).ok_or_else(wrong);
        let (year, month, day) = (part(0, 4)?, part(4, 6)?, part(6, 8)?);
        let (hour, minute) = (part(9, 11)?, part(11, 13)?);
        let (Ok(month), Ok(day), Ok(hour), Ok(minute)) = (
            i8::try_from(month),
            i8::try_from(day),
            i8::try_from(hour),
            i8::try_from(minute),
        ) else {
            return Err(wrong());
        };
        let t = civil::DateTime::new(year, month, day, hour, minute, 0, 0).ok();
        let second = t.and_then(seconds_as_utc).ok_or_else(wrong)?;
        Ok(Self(second.div_euclid(60)))
    }
}

impl fmt::Display for Minute {
    /// `2026-11-23T14:05Z`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let t = utc(self.0 * 60);
        write!(
            f,
            "{:04}-{:02}-{:02}T{:02}:{:02}Z",
            t.year(),
            t.month(),
            t.day(),
            t.hour(),
            t.minute()
        )
    }
}

impl FromStr for Minute {
    type Err = NotATime;

    fn from_str(text: &str) -> Result<Self, NotATime> {
        let wrong = || NotATime {
            text: text.to_owned(),
            form: "2026-11-23T14:05Z",
        };
        let Some(head) = text.strip_suffix('Z').filter(|head| head.len() == 16) else {
            return Err(wrong());
        };
        match format!("{head}:00Z").parse::<UtcMs>() {
            Ok(t) => Ok(t.minute()),
            Err(_not_a_time) => Err(wrong()),
        }
    }
}

/// One label `YYYY-mm-dd_hh` of a vault's time zone, counted in local hours from 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hour(pub i64);

impl Hour {
    /// The local day this hour belongs to.
    pub const fn day(self) -> Day {
        Day(self.0.div_euclid(HOURS_PER_DAY))
    }

    /// 0 to 23.
    pub const fn of_day(self) -> i64 {
        self.0.rem_euclid(HOURS_PER_DAY)
    }
}

impl fmt::Display for Hour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}_{:02}", self.day(), self.of_day())
    }
}

impl FromStr for Hour {
    type Err = NotATime;

    fn from_str(text: &str) -> Result<Self, NotATime> {
        let wrong = || NotATime {
            text: text.to_owned(),
            form: "2026-11-23_14",
        };
        let (day, hour) = text.split_once('_').ok_or_else(wrong)?;
        let day: Day = match day.parse() {
            Ok(day) => day,
            Err(NotATime { .. }) => return Err(wrong()),
        };
        match hour.parse::<i64>() {
            Ok(h) if (0..HOURS_PER_DAY).contains(&h) && format!("{h:02}") == hour => {
                Ok(Self(day.0 * HOURS_PER_DAY + h))
            }
            _ => Err(wrong()),
        }
    }
}

/// A local day, counted from 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day(pub i64);

impl Day {
    /// The 24 labels of the day, the skipped ones too.
    pub fn hours(self) -> impl Iterator<Item = Hour> {
        (0..HOURS_PER_DAY).map(move |h| Hour(self.0 * HOURS_PER_DAY + h))
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let t = utc(self.0 * HOURS_PER_DAY * SECONDS_PER_HOUR);
        write!(f, "{:04}-{:02}-{:02}", t.year(), t.month(), t.day())
    }
}

impl FromStr for Day {
    type Err = NotATime;

    fn from_str(text: &str) -> Result<Self, NotATime> {
        let wrong = || NotATime {
            text: text.to_owned(),
            form: "2026-11-23",
        };
        let date: Option<civil::Date> = text.parse().ok();
        let second = date.and_then(|date| seconds_as_utc(date.at(0, 0, 0, 0)));
        let day = second.map(|second| Self(second.div_euclid(HOURS_PER_DAY * SECONDS_PER_HOUR)));
        // names of folders and files are made of it: it is written in one way
        day.filter(|day| day.to_string() == text).ok_or_else(wrong)
    }
}

/// A time zone that this program does not know.
#[derive(Debug, thiserror::Error)]
#[error(
    "{0:?} is not a time zone of the IANA database (examples: \"UTC\", \"CET\", \"Europe/Vienna\")"
)]
pub struct UnknownZone(String);

/// The time zone of a vault.
#[derive(Debug, Clone)]
pub struct Zone {
    name: String,
    rules: TimeZone,
}

/// A half-open range of UTC milliseconds: `begin` belongs to it, `end` does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Interval {
    /// The first instant inside.
    pub begin: UtcMs,
    /// The first instant after.
    pub end: UtcMs,
}

impl Interval {
    /// Whether the instant lies inside.
    pub fn contains(&self, at: UtcMs) -> bool {
        self.begin <= at && at < self.end
    }

    /// Length in whole seconds.
    pub const fn seconds(&self) -> i64 {
        (self.end.0 - self.begin.0) / 1_000
    }
}

impl Zone {
    /// The zone of that IANA name, from the database built into this binary.
    pub fn named(name: &str) -> Result<Self, UnknownZone> {
        match TimeZoneDatabase::bundled().get(name) {
            Ok(rules) => Ok(Self {
                name: name.to_owned(),
                rules,
            }),
            Err(_not_found) => Err(UnknownZone(name.to_owned())),
        }
    }

    /// The IANA name as it was asked for.
    pub fn name(&self) -> &str {
        &self.name
    }

    fn offset_s(&self, second: i64) -> i64 {
        i64::from(self.rules.to_offset(timestamp(second)).seconds())
    }

    /// The label that an instant carries.
    pub fn hour_of(&self, at: UtcMs) -> Hour {
        let second = at.second();
        Hour((second + self.offset_s(second)).div_euclid(SECONDS_PER_HOUR))
    }

    /// All UTC time that carries the label, as ascending ranges that do not touch.
    pub fn intervals(&self, hour: Hour) -> Vec<Interval> {
        // No zone is further than 26 hours from UTC, so the label can only lie in this window.
        const REACH_S: i64 = 26 * SECONDS_PER_HOUR;
        let local = hour.0 * SECONDS_PER_HOUR;
        let window_end = local + REACH_S;
        let mut from = local - REACH_S;
        let mut found: Vec<Interval> = Vec::new();
        while from < window_end {
            let next = self
                .rules
                .following(timestamp(from))
                .next()
                .map_or(window_end, |t| t.timestamp().as_second().min(window_end));
            let offset = self.offset_s(from);
            let begin = (local - offset).max(from);
            let end = (local + SECONDS_PER_HOUR - offset).min(next);
            if begin < end {
                let part = Interval {
                    begin: UtcMs(begin * 1_000),
                    end: UtcMs(end * 1_000),
                };
                match found.last_mut() {
                    Some(last) if last.end == part.begin => last.end = part.end,
                    _ => found.push(part),
                }
            }
            from = next.max(from + 1);
        }
        found
    }
}

/// Seconds since 1970 as a civil time of UTC; instants beyond the years that exist are clamped.
fn utc(second: i64) -> civil::DateTime {
    TimeZone::UTC.to_datetime(timestamp(second))
}

/// The last two days of the year 9999 have none.
fn seconds_as_utc(t: civil::DateTime) -> Option<i64> {
    let at = jiff::tz::Offset::UTC.to_timestamp(t).ok()?;
    Some(at.as_second())
}

fn timestamp(second: i64) -> Timestamp {
    let clamped = second.clamp(Timestamp::MIN.as_second(), Timestamp::MAX.as_second());
    Timestamp::from_second(clamped).unwrap_or(Timestamp::UNIX_EPOCH)
}

serde_as_text!(UtcMs, Minute, Hour, Day);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const YEAR_0: i64 = -62_167_219_200_000;
    const YEAR_9999: i64 = 253_370_764_800_000;
    /// The last instant that jiff can hold is 9999-12-30T22:00:00.999Z.
    const WRITABLE_END: i64 = 253_402_207_201_000;

    proptest! {
        /// The short way says the same as the long one, or nothing.
        #[test]
        fn a_time_reads_as_it_was_written(
            ms in prop_oneof![4 => YEAR_0..WRITABLE_END, 1 => YEAR_9999 - 2_000..WRITABLE_END],
            at in 0_usize..24,
            byte in prop_oneof![b'0'..=b'9', Just(b':'), Just(b'Z'), Just(b' ')],
        ) {
            let text = UtcMs(ms).to_string();
            prop_assert_eq!(text.parse(), Ok(UtcMs(ms)));
            let is_usual = text.get(5..10) != Some("02-29") && ms < YEAR_9999;
            prop_assert_eq!(usual(text.as_bytes()), is_usual.then_some(UtcMs(ms)));
            let mut spoiled = text.into_bytes();
            spoiled[at] = byte;
            if let Some(found) = usual(&spoiled) {
                let spoiled = String::from_utf8(spoiled).unwrap();
                let long = spoiled.parse::<Timestamp>().map(Timestamp::as_millisecond);
                prop_assert_eq!(long.ok(), Some(found.0), "{}", spoiled);
            }
        }
    }

    #[track_caller]
    fn check_intervals(zone: &str, hour: &str, expected: &[(&str, &str)]) {
        let zone = Zone::named(zone).unwrap();
        let found: Vec<(String, String)> = zone
            .intervals(hour.parse().unwrap())
            .iter()
            .map(|i| (i.begin.to_string(), i.end.to_string()))
            .collect();
        let expected: Vec<(String, String)> = expected
            .iter()
            .map(|(b, e)| (format!("{b}:00.000Z"), format!("{e}:00.000Z")))
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn an_hour_has_the_utc_time_that_carries_its_label() {
        check_intervals(
            "UTC",
            "2026-11-23_14",
            &[("2026-11-23T14:00", "2026-11-23T15:00")],
        );
        check_intervals(
            "CET",
            "2026-11-23_14",
            &[("2026-11-23T13:00", "2026-11-23T14:00")],
        );
        // the repeated hour, the skipped hour
        check_intervals(
            "CET",
            "2026-10-25_02",
            &[("2026-10-25T00:00", "2026-10-25T02:00")],
        );
        check_intervals("CET", "2026-03-29_02", &[]);
        // half an hour repeated, half an hour skipped
        check_intervals(
            "Australia/Lord_Howe",
            "2026-04-05_01",
            &[("2026-04-04T14:00", "2026-04-04T15:30")],
        );
        check_intervals(
            "Australia/Lord_Howe",
            "2026-10-04_02",
            &[("2026-10-03T15:30", "2026-10-03T16:00")],
        );
        check_intervals(
            "Asia/Kolkata",
            "2026-01-01_00",
            &[("2025-12-31T18:30", "2025-12-31T19:30")],
        );
        // a shift back at one minute past midnight gives the label two separate ranges
        check_intervals(
            "America/St_Johns",
            "2010-11-06_23",
            &[
                ("2010-11-07T01:30", "2010-11-07T02:30"),
                ("2010-11-07T02:31", "2010-11-07T03:30"),
            ],
        );
    }

    #[test]
    fn every_instant_lies_in_the_hour_it_is_given() {
        for name in [
            "UTC",
            "CET",
            "Australia/Lord_Howe",
            "America/St_Johns",
            "Asia/Kathmandu",
        ] {
            let zone = Zone::named(name).unwrap();
            let start: UtcMs = "2010-10-01T00:00:00Z".parse().unwrap();
            for step in 0..20_000 {
                let at = start.plus_ms(step * 29 * 60_000 + step);
                let hour = zone.hour_of(at);
                let inside = zone
                    .intervals(hour)
                    .iter()
                    .filter(|i| i.contains(at))
                    .count();
                assert_eq!(inside, 1, "{name} {at} {hour}");
            }
        }
    }

    #[test]
    fn names_read_back() {
        let at: UtcMs = "2026-11-23T14:05:09.123Z".parse().unwrap();
        assert_eq!(at.to_string(), "2026-11-23T14:05:09.123Z");
        assert_eq!(at.minute().compact(), "20261123T1405Z");
        assert_eq!(Minute::from_compact("20261123T1405Z"), Ok(at.minute()));
        assert_eq!(at.minute().to_string().parse(), Ok(at.minute()));
        for wrong in [
            "",
            "20261123T1405",
            "20261323T1405Z",
            "2026112３T1405Z",
            "20261123T2460Z",
        ] {
            assert!(Minute::from_compact(wrong).is_err(), "{wrong}");
        }
        for wrong in [
            "2026-11-23_24",
            "2026-11-23_1",
            "2026-02-30_01",
            "x",
            "2026-11-23_-1",
        ] {
            assert!(wrong.parse::<Hour>().is_err(), "{wrong}");
        }
        assert_eq!(
            "2026-11-23_14".parse::<Hour>().unwrap().to_string(),
            "2026-11-23_14"
        );
    }
}
