//! The names of types that a value can be cast to there, and values in words that both sides read alike.

use arrow::datatypes::{DataType, TimeUnit};
use datafusion_common::ScalarValue;

use crate::statement::allow::classes::{Class, class_of};
use crate::statement::literal::has_usual_year;
use crate::statement::refusal::Refusal;

/// The name of the type that holds the same values, among others: whole numbers are of one size there.
pub(super) fn type_name(data_type: &DataType) -> Result<String, Refusal> {
    let name = match data_type {
        DataType::Boolean | DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Int64 => "SIGNED",
        DataType::UInt8 | DataType::UInt16 | DataType::UInt32 | DataType::UInt64 => "UNSIGNED",
        DataType::Float64 => "DOUBLE",
        DataType::Decimal128(precision, scale) if (0..=SCALE_MAX).contains(scale) => {
            return Ok(format!("DECIMAL({precision}, {scale})"));
        }
        DataType::Utf8 => "CHAR",
        DataType::Binary => "BINARY",
        DataType::Date32 => "DATE",
        DataType::Time64(TimeUnit::Microsecond) => "TIME(6)",
        DataType::Timestamp(TimeUnit::Microsecond, None) => "DATETIME(6)",
        other => return Err(Refusal::new(other.to_string(), "is a type that nothing can be cast to there")),
    };
    Ok(name.to_owned())
}

/// The digits after the point that both servers keep.
const SCALE_MAX: i8 = 30;

/// A number, a date or a time in words that both sides read alike.
pub(super) fn words(value: &ScalarValue) -> Result<String, Refusal> {
    let refuse = || Refusal::new("literal", format!("a value of type {} has no words there", value.data_type()));
    match value {
        value if is_of_other_fractions(&value.data_type()) => Err(refuse()),
        ScalarValue::Float32(Some(number)) => float_words(f64::from(*number)).ok_or_else(refuse),
        ScalarValue::Float64(Some(number)) => float_words(*number).ok_or_else(refuse),
        value => match (value.cast_to(&DataType::Utf8), class_of(&value.data_type())) {
            (Ok(ScalarValue::Utf8(Some(text))), Some(Class::Whole | Class::Decimal)) => Ok(text),
            (Ok(ScalarValue::Utf8(Some(text))), Some(Class::Time)) => Ok(format!("TIME '{text}'")),
            (Ok(ScalarValue::Utf8(Some(text))), Some(Class::Date)) if has_usual_year(&text) => {
                Ok(format!("DATE '{text}'"))
            }
            // In a session whose zone is UTC.
            (Ok(ScalarValue::Utf8(Some(text))), Some(Class::Timestamp | Class::Moment)) if has_usual_year(&text) => {
                Ok(format!("TIMESTAMP '{}'", text.trim_end_matches('Z').replace('T', " ")))
            }
            _ => Err(refuse()),
        },
    }
}

/// Whether a time or a moment of this type has other fractions of a second than what is stored there.
fn is_of_other_fractions(data_type: &DataType) -> bool {
    let is_stored =
        matches!(data_type, DataType::Timestamp(TimeUnit::Microsecond, _) | DataType::Time64(TimeUnit::Microsecond));
    matches!(class_of(data_type), Some(Class::Timestamp | Class::Moment | Class::Time)) && !is_stored
}

/// With an exponent, or it would be a decimal.
fn float_words(number: f64) -> Option<String> {
    number.is_finite().then(|| format!("{number:e}"))
}
