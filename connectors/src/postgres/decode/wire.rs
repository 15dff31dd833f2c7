//! Which type of the server's is decoded as which Arrow type: one each, so that a statement's types can be checked.

use arrow::datatypes::{DataType, IntervalUnit, TimeUnit};
use tokio_postgres::types::{Kind, Type};

/// Whether values that the server calls `sent` decode as `data_type`.
pub(in super::super) fn is_sent_as(data_type: &DataType, sent: &Type) -> bool {
    if let (DataType::List(item), Kind::Array(sent)) = (data_type, sent.kind()) {
        return !item.data_type().is_nested() && is_sent_as(item.data_type(), sent);
    }
    match *sent {
        Type::BOOL => *data_type == DataType::Boolean,
        Type::INT2 => *data_type == DataType::Int16,
        Type::INT4 => *data_type == DataType::Int32,
        Type::INT8 => *data_type == DataType::Int64,
        Type::FLOAT4 => *data_type == DataType::Float32,
        Type::FLOAT8 => *data_type == DataType::Float64,
        Type::NUMERIC => matches!(data_type, DataType::Decimal128(..)),
        Type::TEXT | Type::VARCHAR => *data_type == DataType::Utf8,
        Type::BYTEA => *data_type == DataType::Binary,
        Type::DATE => *data_type == DataType::Date32,
        Type::TIME => *data_type == DataType::Time64(TimeUnit::Microsecond),
        Type::TIMESTAMP => *data_type == DataType::Timestamp(TimeUnit::Microsecond, None),
        Type::TIMESTAMPTZ => matches!(data_type, DataType::Timestamp(TimeUnit::Microsecond, Some(_))),
        Type::INTERVAL => *data_type == DataType::Interval(IntervalUnit::MonthDayNano),
        _ => false,
    }
}

/// The server's name of what decodes as `data_type`.
pub(in super::super) fn wire_name(data_type: &DataType) -> String {
    let name = match data_type {
        DataType::Boolean => "bool",
        DataType::Int16 => "int2",
        DataType::Int32 => "int4",
        DataType::Int64 => "int8",
        DataType::Float32 => "float4",
        DataType::Float64 => "float8",
        DataType::Decimal128(..) => "numeric",
        DataType::Utf8 => "text",
        DataType::Binary => "bytea",
        DataType::Date32 => "date",
        DataType::Time64(_) => "time",
        DataType::Timestamp(_, None) => "timestamp",
        DataType::Timestamp(_, Some(_)) => "timestamptz",
        DataType::Interval(_) => "interval",
        DataType::List(item) => return format!("{}[]", wire_name(item.data_type())),
        other => return other.to_string(),
    };
    name.to_owned()
}
