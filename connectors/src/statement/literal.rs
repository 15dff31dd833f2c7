//! Literals of every Arrow type, printed so that the far side reads back exactly the same value of the same type.

use arrow::array::Array;
use arrow::datatypes::{DataType, IntervalUnit};
use datafusion_common::ScalarValue;

use super::dialect::Dialect;
use super::refusal::Refusal;

/// What a literal may be cast from, most readable first.
const SOURCES: &[DataType] = &[DataType::Utf8, DataType::Int64, DataType::Int32, DataType::Binary];

/// `value` in SQL, its type included.
///
/// # Errors
/// A value that does not survive being printed and read, or a type that has no literal.
pub(super) fn print(value: &ScalarValue, dialect: &dyn Dialect) -> Result<String, Refusal> {
    if let Some(plain) = print_plain(value, dialect) {
        return Ok(plain);
    }
    if value.is_null() {
        return dialect.cast("NULL", &value.data_type());
    }
    if let ScalarValue::List(list) = value {
        return print_list(value, list.value(0).as_ref(), dialect);
    }
    print_cast(value, dialect)
}

/// Text, bytes, truth and small counts: the literals whose type is the same for every configuration of a site.
fn print_plain(value: &ScalarValue, dialect: &dyn Dialect) -> Option<String> {
    match value {
        ScalarValue::Null => Some("NULL".to_owned()),
        ScalarValue::Boolean(Some(truth)) => Some(if *truth { "TRUE" } else { "FALSE" }.to_owned()),
        ScalarValue::Int64(Some(number)) if *number >= 0 => Some(number.to_string()),
        ScalarValue::Utf8(Some(text)) => Some(dialect.text(text)),
        ScalarValue::Binary(Some(bytes)) => Some(dialect.bytes(bytes)),
        _ => None,
    }
}

/// Prints the first source form that casts back to the same value.
fn print_cast(value: &ScalarValue, dialect: &dyn Dialect) -> Result<String, Refusal> {
    let to = value.data_type();
    let readable = interval_text(value).map(|text| ScalarValue::Utf8(Some(text)));
    let sources = SOURCES.iter().filter_map(|source| value.cast_to(source).ok());
    for source in readable.into_iter().chain(sources) {
        // The same type again would ask this function for its own answer.
        let usable = source.data_type() != to || print_plain(&source, dialect).is_some();
        if usable && source.cast_to(&to).is_ok_and(|read| &read == value) {
            return dialect.cast(&print(&source, dialect)?, &to);
        }
    }
    Err(Refusal::new("literal", format!("a value of type {to} does not survive printing")))
}

/// A date of the years 1 to 9999: four digits, and no sign.
pub(super) fn has_usual_year(text: &str) -> bool {
    let mut parts = text.splitn(2, '-');
    let year = parts.next().unwrap_or_default();
    year.len() == 4 && year != "0000" && year.bytes().all(|byte| byte.is_ascii_digit()) && parts.next().is_some()
}

/// `value` in bare words that read back to it, without its type.
pub(super) fn words(value: &ScalarValue) -> Option<String> {
    let text = match interval_text(value) {
        Some(text) => ScalarValue::Utf8(Some(text)),
        None => value.cast_to(&DataType::Utf8).ok()?,
    };
    let same = text.cast_to(&value.data_type()).is_ok_and(|read| &read == value);
    match text {
        ScalarValue::Utf8(Some(text)) if same => Some(text),
        _ => None,
    }
}

/// An interval in words; the cast to text of the library writes its parts with signs that do not read back.
fn interval_text(value: &ScalarValue) -> Option<String> {
    const NANOSECONDS: u64 = 1_000_000_000;
    match (value, value.data_type()) {
        (ScalarValue::IntervalMonthDayNano(Some(span)), DataType::Interval(IntervalUnit::MonthDayNano)) => {
            let sign = if span.nanoseconds < 0 { "-" } else { "" };
            let (whole, part) =
                (span.nanoseconds.unsigned_abs() / NANOSECONDS, span.nanoseconds.unsigned_abs() % NANOSECONDS);
            Some(format!("{} months {} days {sign}{whole}.{part:09} seconds", span.months, span.days))
        }
        (ScalarValue::IntervalYearMonth(Some(months)), _) => Some(format!("{months} months")),
        (ScalarValue::IntervalDayTime(Some(span)), _) => {
            let sign = if span.milliseconds < 0 { "-" } else { "" };
            let (whole, part) = (span.milliseconds.unsigned_abs() / 1000, span.milliseconds.unsigned_abs() % 1000);
            Some(format!("{} days {sign}{whole}.{part:03} seconds", span.days))
        }
        _ => None,
    }
}

/// A list as a call of `make_array` over its elements. An empty one has no elements to tell its type, and is refused.
fn print_list(list: &ScalarValue, elements: &dyn Array, dialect: &dyn Dialect) -> Result<String, Refusal> {
    let refuse = |reason: &str| Refusal::new("list literal", reason);
    let values = (0..elements.len())
        .map(|index| ScalarValue::try_from_array(elements, index))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|_| refuse("has elements without a literal"))?;
    if values.is_empty() {
        return Err(refuse("is empty"));
    }
    if list_of(&values).as_ref() != Some(list) {
        return Err(refuse("has elements named otherwise than the far side names them"));
    }
    let printed = values.iter().map(|value| print(value, dialect)).collect::<Result<Vec<_>, _>>()?;
    Ok(format!("{}({})", dialect.function("make_array"), printed.join(", ")))
}

/// The list that `make_array` makes of literals; `None` if they are not of one type.
pub(super) fn list_of(values: &[ScalarValue]) -> Option<ScalarValue> {
    let element = values.first()?.data_type();
    if values.iter().any(|value| value.data_type() != element) {
        return None;
    }
    Some(ScalarValue::List(ScalarValue::new_list_nullable(values, &element)))
}

/// `value` as the far side reads it from a cast, if the cast succeeds.
pub(super) fn cast(value: &ScalarValue, to: &DataType) -> Option<ScalarValue> {
    value.cast_to(to).ok()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::datatypes::{IntervalDayTime, IntervalMonthDayNano, i256};

    use super::*;
    use crate::statement::dialect::DataFusion;

    fn check(value: ScalarValue, expect: &str) {
        assert_eq!(print(&value, &DataFusion).unwrap(), expect);
    }

    #[test]
    fn literals_carry_their_type() {
        check(ScalarValue::Null, "NULL");
        check(ScalarValue::Boolean(Some(true)), "TRUE");
        check(ScalarValue::Int64(Some(7)), "7");
        check(ScalarValue::Int64(Some(-7)), "arrow_cast('-7', 'Int64')");
        check(ScalarValue::Int64(Some(i64::MIN)), "arrow_cast('-9223372036854775808', 'Int64')");
        check(ScalarValue::UInt64(Some(u64::MAX)), "arrow_cast('18446744073709551615', 'UInt64')");
        check(ScalarValue::Int32(None), "arrow_cast(NULL, 'Int32')");
        check(ScalarValue::Utf8(Some("it's 名".into())), "'it''s 名'");
        check(ScalarValue::Utf8View(Some("a".into())), "arrow_cast('a', 'Utf8View')");
        check(ScalarValue::Float64(Some(0.1)), "arrow_cast('0.1', 'Float64')");
        check(ScalarValue::Float64(Some(f64::NAN)), "arrow_cast('NaN', 'Float64')");
        check(ScalarValue::Float64(Some(f64::NEG_INFINITY)), "arrow_cast('-inf', 'Float64')");
        check(ScalarValue::Float64(Some(-0.0)), "arrow_cast('-0.0', 'Float64')");
        check(ScalarValue::Decimal128(Some(-12345), 15, 2), "arrow_cast('-123.45', 'Decimal128(15, 2)')");
        check(ScalarValue::Decimal256(Some(i256::from_i128(5)), 40, 3), "arrow_cast('0.005', 'Decimal256(40, 3)')");
        check(ScalarValue::Date32(Some(-1)), "arrow_cast('1969-12-31', 'Date32')");
        check(ScalarValue::Binary(Some(vec![0, 255])), "X'00FF'");
        check(ScalarValue::LargeBinary(Some(vec![255])), "arrow_cast(X'FF', 'LargeBinary')");
        check(
            ScalarValue::Dictionary(Box::new(DataType::Int32), Box::new(ScalarValue::Utf8(Some("d".into())))),
            "arrow_cast('d', 'Dictionary(Int32, Utf8)')",
        );
    }

    #[test]
    fn times_and_intervals_read_back() {
        check(ScalarValue::TimestampSecond(Some(0), None), "arrow_cast('1970-01-01T00:00:00', 'Timestamp(s)')");
        check(
            ScalarValue::TimestampNanosecond(Some(1), Some("+08:00".into())),
            "arrow_cast('1970-01-01T08:00:00.000000001+08:00', 'Timestamp(ns, \"+08:00\")')",
        );
        let span = IntervalMonthDayNano::new(-14, 3, -1_500_000_000);
        check(
            ScalarValue::IntervalMonthDayNano(Some(span)),
            "arrow_cast('-14 months 3 days -1.500000000 seconds', 'Interval(MonthDayNano)')",
        );
        let span = IntervalDayTime::new(2, -1500);
        check(ScalarValue::IntervalDayTime(Some(span)), "arrow_cast('2 days -1.500 seconds', 'Interval(DayTime)')");
        check(ScalarValue::DurationSecond(Some(5)), "arrow_cast(5, 'Duration(s)')");
    }

    #[test]
    fn lists_are_calls_and_empty_lists_are_refused() {
        let list = list_of(&[ScalarValue::Int64(Some(1)), ScalarValue::Int64(None)]).unwrap();
        check(list, "\"make_array\"(1, arrow_cast(NULL, 'Int64'))");
        let empty = ScalarValue::List(Arc::clone(&ScalarValue::new_list_nullable(&[], &DataType::Int64)));
        assert!(print(&empty, &DataFusion).is_err());
    }

    #[test]
    fn every_scalar_type_has_a_literal() {
        let zone = || Some("+00:00".into());
        let values = [
            ScalarValue::Int8(Some(-8)),
            ScalarValue::Int16(Some(i16::MIN)),
            ScalarValue::Int32(Some(32)),
            ScalarValue::UInt8(Some(8)),
            ScalarValue::UInt16(Some(16)),
            ScalarValue::UInt32(Some(u32::MAX)),
            ScalarValue::Float32(Some(0.1)),
            ScalarValue::Float64(Some(f64::MIN_POSITIVE)),
            ScalarValue::Float64(Some(1.0 / 3.0)),
            ScalarValue::LargeUtf8(Some("\\ \n \0 \" ' $1 --".into())),
            ScalarValue::BinaryView(Some(vec![])),
            ScalarValue::FixedSizeBinary(2, Some(vec![1, 2])),
            ScalarValue::Date64(Some(86_400_000)),
            ScalarValue::Time32Second(Some(86_399)),
            ScalarValue::Time32Millisecond(Some(1)),
            ScalarValue::Time64Microsecond(Some(1)),
            ScalarValue::Time64Nanosecond(Some(86_399_999_999_999)),
            ScalarValue::TimestampMillisecond(Some(-1), None),
            ScalarValue::TimestampMicrosecond(Some(i64::MAX / 2), zone()),
            ScalarValue::TimestampNanosecond(Some(i64::MIN), None),
            ScalarValue::DurationNanosecond(Some(-1)),
            ScalarValue::IntervalYearMonth(Some(-13)),
            ScalarValue::Decimal32(Some(-1), 5, 2),
            ScalarValue::Decimal64(Some(1), 18, 18),
            ScalarValue::Decimal128(Some(i128::from(i64::MAX)), 38, 0),
            ScalarValue::Boolean(None),
            ScalarValue::Decimal128(None, 10, 2),
            ScalarValue::TimestampSecond(None, zone()),
        ];
        for value in values {
            // A form that does not read back would be refused.
            let printed = print(&value, &DataFusion).unwrap_or_else(|refusal| panic!("{value:?}: {refusal}"));
            assert!(printed.contains(&DataFusion.text(&value.data_type().to_string())), "{printed}");
        }
    }
}
