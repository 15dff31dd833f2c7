//! One value as the driver has it into the builder of its column.

use arrow::datatypes::Date32Type;
use chrono::{NaiveDate, NaiveDateTime};
use mysql_async::{Row, Value};

use super::digits::decimal;
use crate::database::batch::Appended;
use crate::database::misfit::Misfit;
use crate::database::values::Values;

const HOURS: u32 = 24;

/// Adds a value, unless it is NULL.
pub(in super::super) fn append(values: &mut Values, sent: Option<&Value>) -> Result<Appended, Misfit> {
    let sent = match sent {
        Some(Value::NULL) => return Ok(Appended::Null),
        Some(sent) => sent,
        None => return Err(Misfit::Malformed),
    };
    match values {
        Values::Boolean(builder) => builder.append_value(truth(sent)?),
        Values::Int8(builder) => builder.append_value(whole(sent)?),
        Values::Int16(builder) => builder.append_value(whole(sent)?),
        Values::Int32(builder) => builder.append_value(whole(sent)?),
        Values::Int64(builder) => builder.append_value(whole(sent)?),
        Values::UInt8(builder) => builder.append_value(whole(sent)?),
        Values::UInt16(builder) => builder.append_value(whole(sent)?),
        Values::UInt32(builder) => builder.append_value(whole(sent)?),
        Values::UInt64(builder) => builder.append_value(whole(sent)?),
        Values::Float32(builder) => builder.append_value(single(sent)?),
        Values::Float64(builder) => builder.append_value(double(sent)?),
        Values::Decimal(builder, precision, scale) => builder.append_value(decimal(bytes(sent)?, *precision, *scale)?),
        Values::Text(builder) => builder.append_value(str::from_utf8(bytes(sent)?).map_err(|_| Misfit::Encoding)?),
        Values::Bytes(builder) => builder.append_value(bytes(sent)?),
        Values::Date(builder) => builder.append_value(Date32Type::from_naive_date(day(sent)?)),
        Values::Time(builder) => builder.append_value(time_of_day(sent)?),
        Values::Timestamp(builder) => builder.append_value(timestamp(sent)?.and_utc().timestamp_micros()),
        Values::Interval(_) | Values::List(_) => return Err(Misfit::Malformed),
    }
    Ok(Appended::Value)
}

/// About how many bytes a row has.
pub(in super::super) fn size(row: &Row) -> usize {
    let values = (0..row.len()).filter_map(|position| row.as_ref(position));
    let size = |value: &Value| match value {
        Value::Bytes(bytes) => bytes.len(),
        _ => size_of::<u64>(),
    };
    values.map(size).sum()
}

fn truth(sent: &Value) -> Result<bool, Misfit> {
    match whole::<i128>(sent)? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(Misfit::Truth),
    }
}

fn whole<T: TryFrom<i128>>(sent: &Value) -> Result<T, Misfit> {
    let number = match sent {
        Value::Int(number) => i128::from(*number),
        Value::UInt(number) => i128::from(*number),
        _ => return Err(Misfit::Malformed),
    };
    T::try_from(number).map_err(|_| Misfit::Digits)
}

fn single(sent: &Value) -> Result<f32, Misfit> {
    match sent {
        Value::Float(number) => Ok(*number),
        _ => Err(Misfit::Malformed),
    }
}

fn double(sent: &Value) -> Result<f64, Misfit> {
    match sent {
        Value::Double(number) => Ok(*number),
        Value::Float(number) => Ok(f64::from(*number)),
        _ => Err(Misfit::Malformed),
    }
}

fn bytes(sent: &Value) -> Result<&[u8], Misfit> {
    match sent {
        Value::Bytes(bytes) => Ok(bytes),
        _ => Err(Misfit::Malformed),
    }
}

/// The server may hold 0000-00-00, months and days that are zero, and 31 February.
fn timestamp(sent: &Value) -> Result<NaiveDateTime, Misfit> {
    let Value::Date(year, month, day, hour, minute, second, micros) = sent else {
        return Err(Misfit::Malformed);
    };
    let date = NaiveDate::from_ymd_opt(i32::from(*year), u32::from(*month), u32::from(*day));
    let (hour, minute, second) = (u32::from(*hour), u32::from(*minute), u32::from(*second));
    date.and_then(|date| date.and_hms_micro_opt(hour, minute, second, *micros)).ok_or(Misfit::Date)
}

fn day(sent: &Value) -> Result<NaiveDate, Misfit> {
    timestamp(sent).map(|timestamp| timestamp.date())
}

/// Microseconds since midnight. The server's times are spans, of either sign and up to 838 hours.
fn time_of_day(sent: &Value) -> Result<i64, Misfit> {
    let Value::Time(is_negative, days, hour, minute, second, micros) = sent else {
        return Err(Misfit::Malformed);
    };
    let hours = u32::from(*hour);
    if *is_negative || *days > 0 || hours >= HOURS {
        return Err(Misfit::Time);
    }
    let seconds = (i64::from(hours) * 60 + i64::from(*minute)) * 60 + i64::from(*second);
    Ok(seconds * 1_000_000 + i64::from(*micros))
}
