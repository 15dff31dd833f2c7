//! Values as people write them, in policies and as attributes, before a column gives them a type.

use std::sync::Arc;

use arrow::datatypes::{DataType, TimeUnit, i256};
use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, NaiveTime, Timelike};
use datafusion_common::ScalarValue;
use serde::{Deserialize, Serialize};

/// A value without a column's type yet. Dates, times and decimals are texts and numbers until a column types them.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Value {
    /// `TRUE`, `FALSE`.
    Boolean(bool),
    /// A whole number.
    Integer(i64),
    /// Any other number, as its decimal digits were written (`1.50`); never rounded through a float.
    Decimal(Decimal),
    /// A text; also how dates and times are written.
    Text(String),
}

/// A number with a fraction, kept as it was written: an optional sign, digits, a point, digits.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Decimal {
    /// The digits.
    pub digits: String,
}

impl Value {
    /// The value as one of `data_type`, or `None` where it is not exactly one: nothing is rounded, cut or wrapped.
    /// Texts become dates (`2026-01-31`), times (`08:30:00.5`) and timestamps (either, both, with an offset or in UTC).
    pub fn to_scalar(&self, data_type: &DataType) -> Option<ScalarValue> {
        if let DataType::Dictionary(key, value) = data_type {
            return Some(ScalarValue::Dictionary(key.clone(), Box::new(self.to_scalar(value)?)));
        }
        match self {
            Value::Boolean(value) => (*data_type == DataType::Boolean).then_some(ScalarValue::Boolean(Some(*value))),
            Value::Integer(value) => Digits::of(&value.to_string())?.to_scalar(data_type),
            Value::Decimal(decimal) => Digits::of(&decimal.digits)?.to_scalar(data_type),
            Value::Text(text) => text_to_scalar(text, data_type),
        }
    }

    /// The type that the value has where no column gives it one; `None` for numbers with a fraction.
    pub fn natural_type(&self) -> Option<DataType> {
        match self {
            Value::Boolean(_) => Some(DataType::Boolean),
            Value::Integer(_) => Some(DataType::Int64),
            Value::Decimal(_) => None,
            Value::Text(_) => Some(DataType::Utf8),
        }
    }
}

/// The value as a text, without quotes.
impl Value {
    /// The value as text, without quotes.
    pub fn plain(&self) -> String {
        match self {
            Value::Boolean(value) => value.to_string(),
            Value::Integer(value) => value.to_string(),
            Value::Decimal(decimal) => decimal.digits.clone(),
            Value::Text(text) => text.clone(),
        }
    }
}

impl Decimal {
    /// The narrowest decimal type that holds it; `None` beyond 76 digits.
    pub fn own_type(&self) -> Option<DataType> {
        let Digits { whole, fraction, .. } = Digits::of(&self.digits)?;
        let precision = u8::try_from(whole.len() + fraction.len()).ok()?.max(1);
        let scale = i8::try_from(fraction.len()).ok()?;
        match precision {
            1..=38 => Some(DataType::Decimal128(precision, scale)),
            39..=76 => Some(DataType::Decimal256(precision, scale)),
            _ => None,
        }
    }
}

/// The digits of a number, taken apart: no leading zeros before the point, no trailing zeros after it.
struct Digits<'a> {
    sign: &'static str,
    whole: &'a str,
    fraction: &'a str,
}

impl<'a> Digits<'a> {
    fn of(text: &'a str) -> Option<Self> {
        let (sign, unsigned) = match text.strip_prefix('-') {
            Some(rest) => ("-", rest),
            None => ("", text.strip_prefix('+').unwrap_or(text)),
        };
        let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
        let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        let some = !(whole.is_empty() && fraction.is_empty());
        (some && digits(whole) && digits(fraction)).then(|| Self {
            sign,
            whole: whole.trim_start_matches('0'),
            fraction: fraction.trim_end_matches('0'),
        })
    }

    fn to_scalar(&self, data_type: &DataType) -> Option<ScalarValue> {
        match data_type {
            DataType::Int8 => self.integer().map(|value| ScalarValue::Int8(Some(value))),
            DataType::Int16 => self.integer().map(|value| ScalarValue::Int16(Some(value))),
            DataType::Int32 => self.integer().map(|value| ScalarValue::Int32(Some(value))),
            DataType::Int64 => self.integer().map(|value| ScalarValue::Int64(Some(value))),
            DataType::UInt8 => self.integer().map(|value| ScalarValue::UInt8(Some(value))),
            DataType::UInt16 => self.integer().map(|value| ScalarValue::UInt16(Some(value))),
            DataType::UInt32 => self.integer().map(|value| ScalarValue::UInt32(Some(value))),
            DataType::UInt64 => self.integer().map(|value| ScalarValue::UInt64(Some(value))),
            DataType::Decimal32(p, s) => {
                self.unscaled(*p, *s)?.parse().ok().map(|value| ScalarValue::Decimal32(Some(value), *p, *s))
            }
            DataType::Decimal64(p, s) => {
                self.unscaled(*p, *s)?.parse().ok().map(|value| ScalarValue::Decimal64(Some(value), *p, *s))
            }
            DataType::Decimal128(p, s) => {
                self.unscaled(*p, *s)?.parse().ok().map(|value| ScalarValue::Decimal128(Some(value), *p, *s))
            }
            DataType::Decimal256(p, s) => {
                i256::from_string(&self.unscaled(*p, *s)?).map(|value| ScalarValue::Decimal256(Some(value), *p, *s))
            }
            DataType::Float32 => {
                let value = self.plain().parse::<f32>().ok().filter(|value| value.is_finite())?;
                self.whole_kept(&format!("{value:.0}")).then_some(ScalarValue::Float32(Some(value)))
            }
            DataType::Float64 => {
                let value = self.plain().parse::<f64>().ok().filter(|value| value.is_finite())?;
                self.whole_kept(&format!("{value:.0}")).then_some(ScalarValue::Float64(Some(value)))
            }
            _ => None,
        }
    }

    /// The number as an integer type that holds it.
    fn integer<T: std::str::FromStr>(&self) -> Option<T> {
        if self.fraction.is_empty() { self.plain().parse().ok() } else { None }
    }

    /// The number times ten to the scale, if that is a whole number of at most so many digits.
    fn unscaled(&self, precision: u8, scale: i8) -> Option<String> {
        let mut digits = String::from(self.whole);
        if scale >= 0 {
            let zeros = usize::from(scale.unsigned_abs()).checked_sub(self.fraction.len())?;
            digits.push_str(self.fraction);
            digits.extend(std::iter::repeat_n('0', zeros));
        } else if self.fraction.is_empty() && !digits.is_empty() {
            let kept = digits.len().checked_sub(usize::from(scale.unsigned_abs()))?;
            if digits.split_off(kept).bytes().any(|digit| digit != b'0') {
                return None;
            }
        } else if !self.fraction.is_empty() {
            return None;
        }
        let significant = digits.trim_start_matches('0');
        let (sign, significant) = if significant.is_empty() { ("", "0") } else { (self.sign, significant) };
        (significant.len() <= usize::from(precision)).then(|| format!("{sign}{significant}"))
    }

    fn plain(&self) -> String {
        let whole = if self.whole.is_empty() { "0" } else { self.whole };
        match (self.sign, self.fraction) {
            ("-", "") if whole == "0" => String::from("0"),
            (sign, "") => format!("{sign}{whole}"),
            (sign, fraction) => format!("{sign}{whole}.{fraction}"),
        }
    }

    /// Whether a float, printed without fraction, is this number; numbers with a fraction are the nearest float.
    fn whole_kept(&self, printed: &str) -> bool {
        !self.fraction.is_empty() || printed == self.plain()
    }
}

fn text_to_scalar(text: &str, data_type: &DataType) -> Option<ScalarValue> {
    match data_type {
        DataType::Utf8 => Some(ScalarValue::Utf8(Some(text.to_string()))),
        DataType::LargeUtf8 => Some(ScalarValue::LargeUtf8(Some(text.to_string()))),
        DataType::Utf8View => Some(ScalarValue::Utf8View(Some(text.to_string()))),
        DataType::Boolean => text.parse().ok().map(|value| ScalarValue::Boolean(Some(value))),
        DataType::Date32 => date(text).map(|date| ScalarValue::Date32(Some(days_of(date)))),
        DataType::Date64 => {
            date(text).map(|date| ScalarValue::Date64(Some(i64::from(days_of(date)).saturating_mul(86_400_000))))
        }
        DataType::Timestamp(unit, zone) => Some(timestamp(in_unit(moment(text)?, *unit)?, *unit, zone.clone())),
        DataType::Time32(unit) | DataType::Time64(unit) => time(in_unit(time_of_day(text)?, *unit)?, data_type),
        _ => None,
    }
}

/// `2026-01-31`, and nothing looser.
fn date(text: &str) -> Option<NaiveDate> {
    let date = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?;
    (text.len() == 10).then_some(date)
}

fn days_of(date: NaiveDate) -> i32 {
    date.num_days_from_ce() - 719_163
}

/// Nanoseconds since 1970 of a date, or a date and a time, with an offset or in UTC.
fn moment(text: &str) -> Option<i128> {
    let naive = match date(text) {
        Some(date) => date.and_time(NaiveTime::MIN),
        None => exact(text).and_then(date_time)?,
    };
    Some(i128::from(naive.and_utc().timestamp()) * 1_000_000_000 + i128::from(nanoseconds(&naive)?))
}

fn date_time(text: &str) -> Option<NaiveDateTime> {
    let naive = |format| NaiveDateTime::parse_from_str(text, format).ok();
    naive("%Y-%m-%d %H:%M:%S%.f")
        .or_else(|| naive("%Y-%m-%dT%H:%M:%S%.f"))
        .or_else(|| DateTime::parse_from_rfc3339(text).ok().map(|moment| moment.naive_utc()))
}

/// Nanoseconds since midnight.
fn time_of_day(text: &str) -> Option<i128> {
    let time = NaiveTime::parse_from_str(exact(text)?, "%H:%M:%S%.f").ok()?;
    Some(i128::from(time.num_seconds_from_midnight()) * 1_000_000_000 + i128::from(nanoseconds(&time)?))
}

/// The text, unless its fraction of a second has more than the nine digits that are kept.
fn exact(text: &str) -> Option<&str> {
    let fraction = text.split_once('.').map_or("", |(_, fraction)| fraction);
    (fraction.bytes().take_while(u8::is_ascii_digit).count() <= 9).then_some(text)
}

/// The part below a second; none for a leap second, which no column can hold.
fn nanoseconds(time: &impl Timelike) -> Option<u32> {
    Some(time.nanosecond()).filter(|nanoseconds| *nanoseconds < 1_000_000_000)
}

fn in_unit(nanoseconds: i128, unit: TimeUnit) -> Option<i64> {
    let size = match unit {
        TimeUnit::Second => 1_000_000_000,
        TimeUnit::Millisecond => 1_000_000,
        TimeUnit::Microsecond => 1_000,
        TimeUnit::Nanosecond => 1,
    };
    if nanoseconds % size == 0 { i64::try_from(nanoseconds / size).ok() } else { None }
}

fn timestamp(value: i64, unit: TimeUnit, zone: Option<Arc<str>>) -> ScalarValue {
    match unit {
        TimeUnit::Second => ScalarValue::TimestampSecond(Some(value), zone),
        TimeUnit::Millisecond => ScalarValue::TimestampMillisecond(Some(value), zone),
        TimeUnit::Microsecond => ScalarValue::TimestampMicrosecond(Some(value), zone),
        TimeUnit::Nanosecond => ScalarValue::TimestampNanosecond(Some(value), zone),
    }
}

fn time(value: i64, data_type: &DataType) -> Option<ScalarValue> {
    match data_type {
        DataType::Time32(TimeUnit::Second) => Some(ScalarValue::Time32Second(Some(i32::try_from(value).ok()?))),
        DataType::Time32(TimeUnit::Millisecond) => {
            Some(ScalarValue::Time32Millisecond(Some(i32::try_from(value).ok()?)))
        }
        DataType::Time64(TimeUnit::Microsecond) => Some(ScalarValue::Time64Microsecond(Some(value))),
        DataType::Time64(TimeUnit::Nanosecond) => Some(ScalarValue::Time64Nanosecond(Some(value))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decimal(digits: &str) -> Value {
        Value::Decimal(Decimal { digits: digits.into() })
    }

    fn check(value: Value, data_type: DataType, expect: Option<ScalarValue>) {
        let got = value.to_scalar(&data_type);
        assert_eq!(got, expect, "{value:?} as {data_type}");
        if let Some(scalar) = got {
            assert_eq!(scalar.data_type(), data_type);
        }
    }

    #[test]
    fn numbers_convert_exactly_or_not_at_all() {
        use ScalarValue as S;
        check(Value::Integer(127), DataType::Int8, Some(S::Int8(Some(127))));
        check(Value::Integer(128), DataType::Int8, None);
        check(Value::Integer(-1), DataType::UInt64, None);
        check(Value::Integer(i64::MIN), DataType::Int64, Some(S::Int64(Some(i64::MIN))));
        check(decimal("18446744073709551615"), DataType::UInt64, Some(S::UInt64(Some(u64::MAX))));
        check(decimal("5.00"), DataType::Int32, Some(S::Int32(Some(5))));
        check(decimal("5.01"), DataType::Int32, None);
        check(decimal("-0.0"), DataType::Int32, Some(S::Int32(Some(0))));
        check(decimal("1.50"), DataType::Decimal128(4, 2), Some(S::Decimal128(Some(150), 4, 2)));
        check(decimal("1.505"), DataType::Decimal128(4, 2), None);
        check(decimal("-100.00"), DataType::Decimal128(4, 2), None);
        check(decimal("-0.07"), DataType::Decimal256(4, 2), Some(S::Decimal256(Some(i256::from(-7)), 4, 2)));
        check(Value::Integer(1200), DataType::Decimal128(3, -2), Some(S::Decimal128(Some(12), 3, -2)));
        check(Value::Integer(1234), DataType::Decimal128(3, -2), None);
        check(Value::Integer(0), DataType::Decimal128(3, -2), Some(S::Decimal128(Some(0), 3, -2)));
        check(Value::Integer(1 << 53), DataType::Float64, Some(S::Float64(Some(9_007_199_254_740_992.0))));
        check(Value::Integer((1 << 53) + 1), DataType::Float64, None);
        check(Value::Integer(-16_777_217), DataType::Float32, None);
        check(Value::Integer(0), DataType::Float64, Some(S::Float64(Some(0.0))));
        check(decimal("0.1"), DataType::Float64, Some(S::Float64(Some(0.1))));
        check(decimal("1e5"), DataType::Float64, None);
        check(decimal("."), DataType::Float64, None);
        check(Value::Integer(1), DataType::Boolean, None);
        check(Value::Integer(1), DataType::Utf8, None);
    }

    #[test]
    fn texts_become_times_in_utc_without_rounding() {
        use ScalarValue as S;
        let text = |text: &str| Value::Text(text.into());
        let utc = Some(Arc::from("UTC"));
        check(text("1970-01-02"), DataType::Date32, Some(S::Date32(Some(1))));
        check(text("0001-01-01"), DataType::Date32, Some(S::Date32(Some(-719_162))));
        check(text("1970-1-2"), DataType::Date32, None);
        check(text("1970-01-02 00:00:00"), DataType::Date32, None);
        check(text("1970-01-02"), DataType::Date64, Some(S::Date64(Some(86_400_000))));
        let micro = |zone| DataType::Timestamp(TimeUnit::Microsecond, zone);
        check(text("1970-01-01 00:00:01.5"), micro(None), Some(S::TimestampMicrosecond(Some(1_500_000), None)));
        check(text("1970-01-01T02:00:00+02:00"), micro(utc.clone()), Some(S::TimestampMicrosecond(Some(0), utc)));
        check(text("1969-12-31 23:59:59"), micro(None), Some(S::TimestampMicrosecond(Some(-1_000_000), None)));
        check(text("1970-01-01 00:00:00.0000001"), micro(None), None);
        check(text("1970-01-01 00:00:00.0000000001"), DataType::Timestamp(TimeUnit::Nanosecond, None), None);
        check(text("9999-01-01"), DataType::Timestamp(TimeUnit::Nanosecond, None), None);
        check(text("2016-12-31 23:59:60"), micro(None), None);
        check(text("08:30:00"), DataType::Time32(TimeUnit::Second), Some(S::Time32Second(Some(30_600))));
        check(text("08:30:00.5"), DataType::Time32(TimeUnit::Second), None);
        check(text("00:00:00.5"), DataType::Time64(TimeUnit::Nanosecond), Some(S::Time64Nanosecond(Some(500_000_000))));
        check(text("true"), DataType::Boolean, Some(S::Boolean(Some(true))));
        check(text("42"), DataType::Int64, None);
    }

    #[test]
    fn dictionaries_and_views_get_their_own_type() {
        let dictionary = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
        let inner = ScalarValue::Utf8(Some("a".into()));
        let expect = ScalarValue::Dictionary(Box::new(DataType::Int32), Box::new(inner));
        check(Value::Text("a".into()), dictionary, Some(expect));
        check(Value::Text("a".into()), DataType::Utf8View, Some(ScalarValue::Utf8View(Some("a".into()))));
    }
}
