//! Literals that SQLite reads as the same values.

use arrow::datatypes::{DataType, TimeUnit};
use datafusion_common::ScalarValue;

use super::functions;
use crate::statement::allow::classes::{Class, class_of};
use crate::statement::dialect::{DataFusion, Dialect};
use crate::statement::literal::has_usual_year;
use crate::statement::refusal::Refusal;

/// Decimal words of so many digits, times a power of ten up to the other number, become the nearest float in one rounding.
const EXACT_DIGITS: usize = 15;
const EXACT_EXPONENT: i32 = 22;

/// `value` as a literal.
pub(super) fn literal(value: &ScalarValue) -> Result<String, Refusal> {
    let data_type = value.data_type();
    let refuse = || Refusal::new("literal", format!("a value of type {data_type} has no words there"));
    if data_type == DataType::UInt64 {
        return Err(refuse());
    }
    if value.is_null() {
        return Ok("NULL".to_owned());
    }
    match value {
        ScalarValue::Boolean(Some(truth)) => Ok(if *truth { "TRUE" } else { "FALSE" }.to_owned()),
        ScalarValue::Utf8(Some(words)) => Ok(text(words)),
        ScalarValue::Binary(Some(bytes)) => Ok(DataFusion.bytes(bytes)),
        ScalarValue::Float64(Some(number)) => float(*number).ok_or_else(refuse),
        value => match (value.cast_to(&DataType::Utf8), class_of(&data_type)) {
            (Ok(ScalarValue::Utf8(Some(words))), Some(Class::Whole)) => Ok(signed(words)),
            (Ok(ScalarValue::Utf8(Some(words))), Some(class)) => moment(value, class, &words).ok_or_else(refuse),
            _ => Err(refuse()),
        },
    }
}

/// SQLite reads no further than a NUL character.
pub(super) fn text(words: &str) -> String {
    if words.contains('\0') {
        return format!("CAST({} AS TEXT)", DataFusion.bytes(words.as_bytes()));
    }
    DataFusion.text(words)
}

/// The text that a column of dates holds for `value`, if it is one of the years that have four digits.
pub(super) fn date_words(value: &ScalarValue) -> Option<String> {
    match (value, value.cast_to(&DataType::Utf8)) {
        (ScalarValue::Date32(Some(_)), Ok(ScalarValue::Utf8(Some(words)))) => {
            has_usual_year(&words).then(|| DataFusion.text(&words))
        }
        _ => None,
    }
}

/// Whether `value` is text that is a number, and no whole one of 64 bits: SQLite compares a stored float with what it makes of
/// the words itself, which need not be the float that is shown by them.
pub(super) fn is_words_of_a_float(value: &ScalarValue) -> bool {
    match value {
        ScalarValue::Utf8(Some(words)) => words.parse::<i64>().is_err() && words.parse::<f64>().is_ok(),
        _ => false,
    }
}

/// In parentheses, lest two signs become a comment.
fn signed(words: String) -> String {
    if words.starts_with('-') { format!("({words})") } else { words }
}

fn float(number: f64) -> Option<String> {
    if number.is_nan() {
        return None;
    }
    let words = format!("{number:?}");
    let (mantissa, exponent) = words.split_once('e').unwrap_or((&words, "0"));
    let digits = mantissa.bytes().filter(u8::is_ascii_digit).count();
    let is_small = exponent.parse().is_ok_and(|exponent: i32| exponent.abs() < EXACT_EXPONENT);
    if number.is_finite() && digits <= EXACT_DIGITS && is_small && words != "-0.0" {
        return Some(signed(words));
    }
    Some(format!("{}({})", functions::FLOAT_OF_BITS, signed(number.to_bits().cast_signed().to_string())))
}

/// A date or time: in words where both sides have them, else as the number that it is.
fn moment(value: &ScalarValue, class: Class, words: &str) -> Option<String> {
    let (function, number) = match (class, value) {
        (Class::Date, ScalarValue::Date32(Some(days))) => (functions::DATE, i64::from(*days)),
        (Class::Time, ScalarValue::Time64Microsecond(Some(micros))) => (functions::TIME, *micros),
        (Class::Timestamp | Class::Moment, ScalarValue::TimestampMicrosecond(Some(micros), _)) => {
            (functions::TIMESTAMP, *micros)
        }
        _ => return None,
    };
    if class == Class::Time || has_usual_year(words) {
        return Some(format!("{function}({})", DataFusion.text(words)));
    }
    Some(signed(number.to_string()))
}

/// The type of SQLite's that holds the values of a type in a statement; of those types alone answers are read.
pub(super) fn type_name(data_type: &DataType) -> Result<&'static str, Refusal> {
    const MICROS: TimeUnit = TimeUnit::Microsecond;
    match data_type {
        DataType::Boolean | DataType::Int32 | DataType::Int64 | DataType::Date32 => Ok("INTEGER"),
        DataType::Time64(MICROS) | DataType::Timestamp(MICROS, _) if class_of(data_type).is_some() => Ok("INTEGER"),
        DataType::Float64 => Ok("REAL"),
        DataType::Utf8 => Ok("TEXT"),
        DataType::Binary => Ok("BLOB"),
        _ => Err(Refusal::new(data_type.to_string(), "is a type that nothing is computed in there")),
    }
}
