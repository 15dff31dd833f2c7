//! Rows of a statement into Arrow, value by value, by each column's type alone.

use rusqlite::Row;
use rusqlite::types::ValueRef;

use super::words;
use crate::database::batch::{Appended, BatchBuilder};
use crate::database::misfit::Misfit;
use crate::database::values::Values;
use crate::error::ConnectorError;

/// What a number takes in a row.
const NUMBER_BYTES: usize = 8;

/// Adds a row to a batch.
///
/// # Errors
/// The first value that is not of its column's type, by table, column and type.
pub(super) fn append_row(batch: &mut BatchBuilder, row: &Row<'_>) -> Result<(), ConnectorError> {
    let value = |column: usize| row.get_ref(column).unwrap_or(ValueRef::Null);
    let bytes = (0..batch.width()).map(|column| match value(column) {
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => bytes.len(),
        _ => NUMBER_BYTES,
    });
    batch.append(bytes.sum(), |column, values| append(values, value(column)))
}

/// Dates, times and truth are the numbers that they are in a statement.
fn append(values: &mut Values, value: ValueRef<'_>) -> Result<Appended, Misfit> {
    match (values, value) {
        (_, ValueRef::Null) => return Ok(Appended::Null),
        (Values::Boolean(builder), ValueRef::Integer(truth @ (0 | 1))) => builder.append_value(truth == 1),
        (Values::Int32(builder), ValueRef::Integer(number)) => builder.append_value(small(number)?),
        (Values::Int64(builder), ValueRef::Integer(number)) => builder.append_value(number),
        (Values::Float64(builder), ValueRef::Real(number)) => builder.append_value(number),
        (Values::Decimal(builder, precision, scale), value) => {
            builder.append_value(words::stored_decimal(value, *precision, *scale)?);
        }
        (Values::Text(builder), ValueRef::Text(bytes)) => {
            builder.append_value(str::from_utf8(bytes).map_err(|_| Misfit::Encoding)?);
        }
        (Values::Bytes(builder), ValueRef::Blob(bytes)) => builder.append_value(bytes),
        (Values::Date(builder), ValueRef::Integer(days)) => builder.append_value(small(days)?),
        (Values::Time(builder), ValueRef::Integer(micros)) => builder.append_value(micros),
        (Values::Timestamp(builder), ValueRef::Integer(micros)) => builder.append_value(micros),
        _ => return Err(Misfit::Kind),
    }
    Ok(Appended::Value)
}

fn small(number: i64) -> Result<i32, Misfit> {
    i32::try_from(number).map_err(|_| Misfit::Malformed)
}
