//! PostgreSQL's names of types, and values in words that both sides read alike.

use arrow::datatypes::{DataType, TimeUnit};
use datafusion_common::ScalarValue;

use crate::statement::allow::classes::{Class, class_of};
use crate::statement::literal::has_usual_year;
use crate::statement::refusal::Refusal;

/// The name of the type that holds the same values.
pub(super) fn type_name(data_type: &DataType) -> Result<String, Refusal> {
    let name = match data_type {
        DataType::Boolean => "boolean",
        DataType::Int16 => "smallint",
        DataType::Int32 => "integer",
        DataType::Int64 => "bigint",
        DataType::Float32 => "real",
        DataType::Float64 => "double precision",
        DataType::Decimal128(precision, scale) if *scale >= 0 => return Ok(format!("numeric({precision}, {scale})")),
        DataType::Utf8 => "text",
        DataType::Binary => "bytea",
        DataType::Date32 => "date",
        DataType::Time64(TimeUnit::Microsecond) => "time",
        DataType::Timestamp(TimeUnit::Microsecond, None) => "timestamp",
        moment @ DataType::Timestamp(TimeUnit::Microsecond, Some(_)) if class_of(moment) == Some(Class::Moment) => {
            "timestamp with time zone"
        }
        other => return Err(Refusal::new(other.to_string(), "is a type that PostgreSQL does not have")),
    };
    Ok(name.to_owned())
}

/// A number, a date or a time in words that both sides read alike.
pub(super) fn words(value: &ScalarValue) -> Result<String, Refusal> {
    let refuse = || Refusal::new("literal", format!("a value of type {} has no words there", value.data_type()));
    match value {
        ScalarValue::Float32(Some(number)) => float_words(f64::from(*number), format!("{number:?}")).ok_or_else(refuse),
        ScalarValue::Float64(Some(number)) => float_words(*number, format!("{number:?}")).ok_or_else(refuse),
        value => match (value.cast_to(&DataType::Utf8), class_of(&value.data_type())) {
            (Ok(ScalarValue::Utf8(Some(text))), Some(Class::Whole | Class::Decimal | Class::Time)) => Ok(text),
            (Ok(ScalarValue::Utf8(Some(text))), Some(Class::Date | Class::Timestamp | Class::Moment))
                if has_usual_year(&text) =>
            {
                Ok(text)
            }
            _ => Err(refuse()),
        },
    }
}

/// A NaN is said where it has no sign; nothing there tells one from another.
fn float_words(number: f64, digits: String) -> Option<String> {
    match number {
        number if number.is_nan() => None,
        f64::INFINITY => Some("Infinity".to_owned()),
        f64::NEG_INFINITY => Some("-Infinity".to_owned()),
        _ => Some(digits),
    }
}
