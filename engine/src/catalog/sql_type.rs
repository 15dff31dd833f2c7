//! Arrow's types by the names that SQL has for them, as `information_schema` and drivers tell them.

use arrow::datatypes::{DataType, TimeUnit};

/// A type as SQL tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SqlType {
    /// The name, without size: `BIGINT`, `VARCHAR`, `TIMESTAMP WITH TIME ZONE`, `ARRAY`.
    pub name: &'static str,
    /// Digits of an exact number, bits of an approximate one.
    pub precision: Option<u8>,
    /// The base that the precision counts in.
    pub radix: Option<u8>,
    /// Digits after the point.
    pub scale: Option<i8>,
    /// Digits of a second's fraction.
    pub fraction: Option<u8>,
}

/// The type of SQL that holds the same values.
pub fn sql_type(data_type: &DataType) -> SqlType {
    match data_type {
        DataType::Null => plain("NULL"),
        DataType::Boolean => plain("BOOLEAN"),
        DataType::Int8 => exact("TINYINT", 3),
        DataType::Int16 => exact("SMALLINT", 5),
        DataType::Int32 => exact("INTEGER", 10),
        DataType::Int64 => exact("BIGINT", 19),
        DataType::UInt8 => exact("TINYINT UNSIGNED", 3),
        DataType::UInt16 => exact("SMALLINT UNSIGNED", 5),
        DataType::UInt32 => exact("INTEGER UNSIGNED", 10),
        DataType::UInt64 => exact("BIGINT UNSIGNED", 20),
        DataType::Float16 => approximate("REAL", 11),
        DataType::Float32 => approximate("REAL", 24),
        DataType::Float64 => approximate("DOUBLE", 53),
        DataType::Decimal32(precision, scale)
        | DataType::Decimal64(precision, scale)
        | DataType::Decimal128(precision, scale)
        | DataType::Decimal256(precision, scale) => {
            SqlType { precision: Some(*precision), radix: Some(10), scale: Some(*scale), ..plain("DECIMAL") }
        }
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => plain("VARCHAR"),
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => plain("VARBINARY"),
        DataType::FixedSizeBinary(_) => plain("BINARY"),
        DataType::Date32 | DataType::Date64 => plain("DATE"),
        DataType::Time32(unit) | DataType::Time64(unit) => timed("TIME", *unit),
        DataType::Timestamp(unit, None) => timed("TIMESTAMP", *unit),
        DataType::Timestamp(unit, Some(_)) => timed("TIMESTAMP WITH TIME ZONE", *unit),
        DataType::Duration(unit) => timed("INTERVAL", *unit),
        DataType::Interval(_) => plain("INTERVAL"),
        DataType::List(_)
        | DataType::LargeList(_)
        | DataType::FixedSizeList(..)
        | DataType::ListView(_)
        | DataType::LargeListView(_) => plain("ARRAY"),
        DataType::Struct(_) => plain("ROW"),
        DataType::Map(..) => plain("MAP"),
        DataType::Union(..) => plain("UNION"),
        DataType::Dictionary(_, values) => sql_type(values),
        DataType::RunEndEncoded(_, values) => sql_type(values.data_type()),
    }
}

fn plain(name: &'static str) -> SqlType {
    SqlType { name, precision: None, radix: None, scale: None, fraction: None }
}

fn exact(name: &'static str, digits: u8) -> SqlType {
    SqlType { precision: Some(digits), radix: Some(10), scale: Some(0), ..plain(name) }
}

fn approximate(name: &'static str, bits: u8) -> SqlType {
    SqlType { precision: Some(bits), radix: Some(2), ..plain(name) }
}

fn timed(name: &'static str, unit: TimeUnit) -> SqlType {
    let fraction = match unit {
        TimeUnit::Second => 0,
        TimeUnit::Millisecond => 3,
        TimeUnit::Microsecond => 6,
        TimeUnit::Nanosecond => 9,
    };
    SqlType { fraction: Some(fraction), ..plain(name) }
}
