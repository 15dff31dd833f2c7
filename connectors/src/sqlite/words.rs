//! Dates, times and decimals in words, as columns of SQLite's hold them.

use std::borrow::Cow;

use arrow::array::timezone::Tz;
use arrow::compute::kernels::cast_utils::{Parser, string_to_datetime, string_to_time_nanoseconds};
use arrow::datatypes::Date32Type;
use rusqlite::types::ValueRef;

use crate::database::misfit::Misfit;

/// `2024-02-29`, and `2024-02-29 12:00`.
const DATE_BYTES: usize = 10;
const MINUTE_BYTES: usize = 16;
const DAY_US: i64 = 86_400_000_000;
const NANOS_PER_MICRO: i64 = 1_000;
/// Of so many digits a float tells each one; of more it may not.
const FLOAT_DIGITS: usize = 15;

/// Days since 1970 of `2024-02-29`, and of no other form: dates in one form are ordered as their text is.
pub(super) fn date(words: &str) -> Result<i32, Misfit> {
    let is_date = words.len() == DATE_BYTES
        && words
            .bytes()
            .enumerate()
            .all(|(at, byte)| if matches!(at, 4 | 7) { byte == b'-' } else { byte.is_ascii_digit() });
    is_date.then(|| Date32Type::parse(words)).flatten().ok_or(Misfit::Words)
}

/// Microseconds since midnight of `12:00`, `12:00:00` or `12:00:00.123456`.
pub(super) fn time(words: &str) -> Result<i64, Misfit> {
    let is_time = words.len() >= 5 && words.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b':' | b'.'));
    let nanos = is_time.then(|| string_to_time_nanoseconds(words).ok()).flatten().ok_or(Misfit::Words)?;
    micros(nanos / NANOS_PER_MICRO, nanos % NANOS_PER_MICRO).filter(|micros| *micros < DAY_US).ok_or(Misfit::Words)
}

/// Microseconds since 1970 of `2024-02-29 12:00:00.123456`, with a `T` in the middle or an offset at the end, which is
/// applied; without one it is UTC, as it is to SQLite's own functions.
pub(super) fn timestamp(words: &str) -> Result<i64, Misfit> {
    let utc: Tz = "+00:00".parse().map_err(|_| Misfit::Malformed)?;
    let begins_with_a_date = words.get(..DATE_BYTES).is_some_and(|day| date(day).is_ok());
    let words = with_seconds(words);
    let moment = begins_with_a_date.then(|| string_to_datetime(&utc, &words).ok()).flatten().ok_or(Misfit::Words)?;
    micros(moment.timestamp_micros(), i64::from(moment.timestamp_subsec_nanos()) % NANOS_PER_MICRO).ok_or(Misfit::Words)
}

/// `2024-02-29 12:00`, whatever follows, with the seconds that it leaves out.
fn with_seconds(words: &str) -> Cow<'_, str> {
    match words.split_at_checked(MINUTE_BYTES) {
        Some((minute, rest)) if !rest.starts_with(':') => Cow::Owned(format!("{minute}:00{rest}")),
        _ => Cow::Borrowed(words),
    }
}

/// Whether Arrow can tell the year of a moment: microseconds since 1970 from the year −262143 to 262142.
pub(super) fn has_year(micros: i64) -> bool {
    const DAYS: std::ops::RangeInclusive<i64> = -96_465_293..=95_026_236;
    DAYS.contains(&micros.div_euclid(DAY_US))
}

fn micros(micros: i64, nanos: i64) -> Option<i64> {
    (nanos == 0).then_some(micros)
}

/// What a decimal of `scale` stands for `words`, if it has all their digits.
fn decimal(words: &str, precision: u8, scale: i8) -> Result<i128, Misfit> {
    let (is_negative, unsigned) = match words.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, words),
    };
    let (whole, part) = unsigned.split_once('.').unwrap_or((unsigned, ""));
    let is_number =
        (!whole.is_empty() || !part.is_empty()) && [whole, part].concat().bytes().all(|byte| byte.is_ascii_digit());
    if !is_number {
        return Err(Misfit::Kind);
    }
    let (whole, part) = (whole.trim_start_matches('0'), part.trim_end_matches('0'));
    let (precision, scale) = (usize::from(precision), usize::try_from(scale).map_err(|_| Misfit::Digits)?);
    if part.len() > scale || whole.len() + scale > precision {
        return Err(Misfit::Digits);
    }
    let digits = format!("{whole}{part}{}", "0".repeat(scale - part.len()));
    let value: i128 = if digits.is_empty() { 0 } else { digits.parse().map_err(|_| Misfit::Digits)? };
    Ok(if is_negative { -value } else { value })
}

/// What a decimal of `scale` stands for a number as a column holds it.
pub(super) fn stored_decimal(value: ValueRef<'_>, precision: u8, scale: i8) -> Result<i128, Misfit> {
    match value {
        ValueRef::Integer(number) => decimal(&number.to_string(), precision, scale),
        ValueRef::Real(number) => decimal_of_float(number, precision, scale),
        ValueRef::Text(bytes) => decimal(str::from_utf8(bytes).map_err(|_| Misfit::Encoding)?, precision, scale),
        ValueRef::Null | ValueRef::Blob(_) => Err(Misfit::Kind),
    }
}

/// Likewise of a float, if that is of so few digits that it tells each of them.
fn decimal_of_float(number: f64, precision: u8, scale: i8) -> Result<i128, Misfit> {
    if !number.is_finite() {
        return Err(Misfit::Infinity);
    }
    // The shortest words that read back to the float, without an exponent.
    let words = format!("{number}");
    let digits: String = words.chars().filter(char::is_ascii_digit).collect();
    if digits.trim_matches('0').len() > FLOAT_DIGITS {
        return Err(Misfit::Digits);
    }
    decimal(&words, precision, scale)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_have_one_form() {
        assert_eq!(date("1970-01-01"), Ok(0));
        assert_eq!(date("2024-02-29"), Ok(19_782));
        assert_eq!(date("0000-01-01"), Ok(-719_528));
        assert_eq!(date("9999-12-31"), Ok(2_932_896));
        for words in
            ["2023-02-29", "2024-2-29", "20240229", "2024-02-29 ", "2024-02-29 00:00", "+2024-02-2", "", "é024-02-29"]
        {
            assert_eq!(date(words), Err(Misfit::Words), "{words}");
        }
    }

    #[test]
    fn times_are_of_one_day() {
        assert_eq!(time("00:00"), Ok(0));
        assert_eq!(time("12:34:56"), Ok(45_296_000_000));
        assert_eq!(time("23:59:59.999999"), Ok(DAY_US - 1));
        assert_eq!(time("00:00:00.5"), Ok(500_000));
        for words in ["24:00", "24:00:00", "1:00", "01:00 PM", "00:00:00.0000001", "1200", "-1:00:00"] {
            assert_eq!(time(words), Err(Misfit::Words), "{words}");
        }
    }

    #[test]
    fn timestamps_are_moments() {
        let noon = 1_709_208_000_000_000;
        for words in [
            "2024-02-29 12:00",
            "2024-02-29T12:00:00",
            "2024-02-29 12:00:00.000",
            "2024-02-29 12:00:00Z",
            "2024-02-29 14:00+02:00",
            "2024-02-29 14:00:00+02:00",
            "2024-02-29T04:00:00.000000-08:00",
        ] {
            assert_eq!(timestamp(words), Ok(noon), "{words}");
        }
        assert_eq!(timestamp("2024-02-29"), Ok(noon - DAY_US / 2));
        assert_eq!(timestamp("1969-12-31 23:59:59.999999"), Ok(-1));
        assert_eq!(timestamp("0001-01-01 00:00:00"), Ok(-62_135_596_800_000_000));
        for words in
            ["12:00", "1709208000", "2024-02-29 25:00:00", "2024-02-29 12:00:00.0000001", "now", "2024-02-30 00:00:00"]
        {
            assert_eq!(timestamp(words), Err(Misfit::Words), "{words}");
        }
    }

    #[test]
    fn decimals_keep_every_digit() {
        assert_eq!(decimal("1.50", 5, 2), Ok(150));
        assert_eq!(decimal("-0.05", 5, 2), Ok(-5));
        assert_eq!(decimal("00123", 5, 2), Ok(12_300));
        assert_eq!(decimal(".5", 5, 2), Ok(50));
        assert_eq!(decimal("0", 5, 5), Ok(0));
        assert_eq!(decimal(&"9".repeat(38), 38, 0), Ok(10_i128.pow(38) - 1));
        assert_eq!(decimal("1.505", 5, 2), Err(Misfit::Digits));
        assert_eq!(decimal("1000", 5, 2), Err(Misfit::Digits));
        for words in ["", ".", "-", "1e3", "1 ", "0x1", "1.2.3"] {
            assert_eq!(decimal(words, 5, 2), Err(Misfit::Kind), "{words}");
        }
    }

    #[test]
    fn a_float_is_a_decimal_of_few_digits() {
        assert_eq!(decimal_of_float(0.1, 10, 2), Ok(10));
        assert_eq!(decimal_of_float(999_999.99, 18, 2), Ok(99_999_999));
        assert_eq!(decimal_of_float(1e20, 38, 0), Ok(10_i128.pow(20)));
        assert_eq!(decimal_of_float(-0.0, 10, 2), Ok(0));
        assert_eq!(decimal_of_float(0.1 + 0.2, 38, 20), Err(Misfit::Digits));
        assert_eq!(decimal_of_float(12_345_678_901_234.56, 18, 2), Err(Misfit::Digits));
        assert_eq!(decimal_of_float(f64::INFINITY, 38, 0), Err(Misfit::Infinity));
    }
}
