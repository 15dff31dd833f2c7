//! Which type of the server's is decoded as which Arrow type, so that a statement's types can be checked.

use arrow::datatypes::{DataType, TimeUnit};
use mysql_async::Column;
use mysql_async::consts::ColumnType;

/// The character set that stands for bytes.
const BINARY: u16 = 63;

/// Whether values of the column `sent` decode as `data_type`. A whole number of any size does: each value is looked at.
pub(in super::super) fn is_sent_as(data_type: &DataType, sent: &Column) -> bool {
    let is_text = sent.character_set() != BINARY;
    match sent.column_type() {
        ColumnType::MYSQL_TYPE_TINY
        | ColumnType::MYSQL_TYPE_SHORT
        | ColumnType::MYSQL_TYPE_INT24
        | ColumnType::MYSQL_TYPE_LONG
        | ColumnType::MYSQL_TYPE_LONGLONG => *data_type == DataType::Boolean || data_type.is_integer(),
        ColumnType::MYSQL_TYPE_FLOAT => matches!(data_type, DataType::Float32 | DataType::Float64),
        ColumnType::MYSQL_TYPE_DOUBLE => *data_type == DataType::Float64,
        ColumnType::MYSQL_TYPE_NEWDECIMAL => matches!(data_type, DataType::Decimal128(..)),
        ColumnType::MYSQL_TYPE_VARCHAR
        | ColumnType::MYSQL_TYPE_VAR_STRING
        | ColumnType::MYSQL_TYPE_STRING
        | ColumnType::MYSQL_TYPE_TINY_BLOB
        | ColumnType::MYSQL_TYPE_BLOB
        | ColumnType::MYSQL_TYPE_MEDIUM_BLOB
        | ColumnType::MYSQL_TYPE_LONG_BLOB => *data_type == if is_text { DataType::Utf8 } else { DataType::Binary },
        ColumnType::MYSQL_TYPE_DATE | ColumnType::MYSQL_TYPE_NEWDATE => *data_type == DataType::Date32,
        ColumnType::MYSQL_TYPE_TIME | ColumnType::MYSQL_TYPE_TIME2 => {
            *data_type == DataType::Time64(TimeUnit::Microsecond)
        }
        ColumnType::MYSQL_TYPE_DATETIME | ColumnType::MYSQL_TYPE_DATETIME2 => {
            *data_type == DataType::Timestamp(TimeUnit::Microsecond, None)
        }
        ColumnType::MYSQL_TYPE_TIMESTAMP | ColumnType::MYSQL_TYPE_TIMESTAMP2 => {
            matches!(data_type, DataType::Timestamp(TimeUnit::Microsecond, Some(_)))
        }
        _ => false,
    }
}

/// The server's name of what decodes as `data_type`.
pub(in super::super) fn wire_name(data_type: &DataType) -> String {
    let name = match data_type {
        DataType::Boolean => "boolean",
        DataType::Int8 => "tinyint",
        DataType::Int16 => "smallint",
        DataType::Int32 => "int",
        DataType::Int64 => "bigint",
        DataType::UInt8 => "tinyint unsigned",
        DataType::UInt16 => "smallint unsigned",
        DataType::UInt32 => "int unsigned",
        DataType::UInt64 => "bigint unsigned",
        DataType::Float32 => "float",
        DataType::Float64 => "double",
        DataType::Decimal128(..) => "decimal",
        DataType::Utf8 => "text",
        DataType::Binary => "blob",
        DataType::Date32 => "date",
        DataType::Time64(_) => "time",
        DataType::Timestamp(_, None) => "datetime",
        DataType::Timestamp(_, Some(_)) => "timestamp",
        other => return other.to_string(),
    };
    name.to_owned()
}
