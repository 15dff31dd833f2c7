//! Moments as policy statements write them: dates, and timestamps in UTC or with an offset.

use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, SecondsFormat, Timelike};

use crate::time::Instant;

/// A moment as written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Moment {
    /// `'2026-12-31'`: this day, in UTC.
    Day(Instant),
    /// Exactly this.
    Exact(Instant),
}

/// One day.
const DAY_US: i64 = 86_400_000_000;

impl Moment {
    /// Reads `2026-12-31`, `2026-12-31T12:00:00+08:00` or `2026-12-31 12:00:00.5`, which is UTC; the years 1 to 9999.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let date = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok().filter(|_| text.len() == 10);
        if let Some(day) = date.and_then(|day| micros(day.and_hms_opt(0, 0, 0)?)) {
            return Ok(Moment::Day(day));
        }
        let plain = || NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%.f").ok();
        let exact = DateTime::parse_from_rfc3339(text).ok().map(|moment| moment.naive_utc()).or_else(plain);
        exact.and_then(micros).map(Moment::Exact).ok_or_else(|| {
            format!("`{text}` is not a moment; write '2026-12-31', '2026-12-31 12:00:00' (UTC) or '2026-12-31T12:00:00+08:00'")
        })
    }

    /// As a beginning or an end that is not part of the time: a date is its first moment.
    pub(super) fn start(self) -> Instant {
        match self {
            Moment::Day(moment) | Moment::Exact(moment) => moment,
        }
    }

    /// As an end: a date belongs to the time, so it ends where the next day begins.
    pub(super) fn end(self) -> Instant {
        match self {
            Moment::Day(Instant(moment)) => Instant(moment + DAY_US),
            Moment::Exact(moment) => moment,
        }
    }
}

/// A UTC time of the years 1 to 9999 with whole microseconds.
fn micros(time: NaiveDateTime) -> Option<Instant> {
    let nanos = time.nanosecond();
    let fits = (1..=9999).contains(&time.year()) && nanos < 1_000_000_000 && nanos.is_multiple_of(1_000);
    fits.then(|| Instant(time.and_utc().timestamp_micros()))
}

/// A moment as [`Moment::start`] reads it.
pub(crate) fn written(moment: Instant) -> String {
    match DateTime::from_timestamp_micros(moment.0) {
        Some(time) if moment.0.rem_euclid(DAY_US) == 0 => time.format("%Y-%m-%d").to_string(),
        Some(time) => time.to_rfc3339_opts(SecondsFormat::AutoSi, true),
        None => format!("{} microseconds since 1970", moment.0),
    }
}

/// A moment as [`Moment::end`] reads it.
pub(crate) fn written_end(moment: Instant) -> String {
    let midnight = moment.0.rem_euclid(DAY_US) == 0;
    written(Instant(if midnight { moment.0.saturating_sub(DAY_US) } else { moment.0 }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_read_and_written_alike() {
        for (text, start, end) in [
            ("1970-01-01", 0, DAY_US),
            ("1969-12-31", -DAY_US, 0),
            ("1970-01-01 00:00:01", 1_000_000, 1_000_000),
            ("1970-01-01 00:00:00.000001", 1, 1),
            ("1970-01-01T08:00:00+08:00", 0, 0),
            ("1970-01-01T00:00:00.5Z", 500_000, 500_000),
        ] {
            let moment = Moment::parse(text).unwrap();
            assert_eq!((moment.start(), moment.end()), (Instant(start), Instant(end)), "{text}");
            assert_eq!(Moment::parse(&written(Instant(start))).unwrap().start(), Instant(start), "{text}");
            assert_eq!(Moment::parse(&written_end(Instant(end))).unwrap().end(), Instant(end), "{text}");
        }
        assert_eq!(written_end(Moment::parse("9999-12-31").unwrap().end()), "9999-12-31");
    }

    #[test]
    fn what_is_not_a_moment_is_refused() {
        for text in [
            "",
            "soon",
            "2026",
            "2026-1-1",
            "2026-02-30",
            "+12026-01-01",
            "0000-01-01",
            "2026-01-01 25:00:00",
            "2026-12-31T23:59:60Z",
            "2026-01-01 00:00:00.0000001",
            "2026-01-01T00:00:00",
            "2026-01-01 ",
        ] {
            assert!(Moment::parse(text).is_err(), "{text}");
        }
    }
}
