//! Each value in the binary form that its Arrow type has at the server, into the column being built.

use arrow::datatypes::IntervalMonthDayNano;

use super::frame::{Fields, Malformed};
use super::numeric::decimal;
use crate::database::misfit::Misfit;
use crate::database::values::{ListValues, Values};

/// From 1970, where Arrow's days begin, to 2000, where the server's do.
const EPOCH_DAYS: i32 = 10_957;
const DAY_US: i64 = 86_400_000_000;
const EPOCH_US: i64 = EPOCH_DAYS as i64 * DAY_US;
/// The first of January of the year −262143 and the last day of 262142: what Arrow's kernels can tell the date of.
const DAYS: std::ops::RangeInclusive<i32> = -96_465_293..=95_026_236;
const NANOS_PER_MICRO: i64 = 1_000;

impl From<Malformed> for Misfit {
    fn from(_: Malformed) -> Self {
        Self::Malformed
    }
}

/// Adds a value as the server sent it.
pub(super) fn append(values: &mut Values, sent: &[u8]) -> Result<(), Misfit> {
    match values {
        Values::Boolean(builder) => builder.append_value(fixed::<1>(sent)? != [0]),
        Values::Int16(builder) => builder.append_value(i16::from_be_bytes(fixed(sent)?)),
        Values::Int32(builder) => builder.append_value(i32::from_be_bytes(fixed(sent)?)),
        Values::Int64(builder) => builder.append_value(i64::from_be_bytes(fixed(sent)?)),
        Values::Float32(builder) => builder.append_value(single(sent)?),
        Values::Float64(builder) => builder.append_value(double(sent)?),
        Values::Decimal(builder, precision, scale) => builder.append_value(decimal(sent, *precision, *scale)?),
        Values::Text(builder) => builder.append_value(str::from_utf8(sent).map_err(|_| Misfit::Encoding)?),
        Values::Bytes(builder) => builder.append_value(sent),
        Values::Date(builder) => builder.append_value(date(i32::from_be_bytes(fixed(sent)?))?),
        Values::Time(builder) => builder.append_value(time(i64::from_be_bytes(fixed(sent)?))?),
        Values::Timestamp(builder) => builder.append_value(timestamp(i64::from_be_bytes(fixed(sent)?))?),
        Values::Interval(builder) => builder.append_value(interval(sent)?),
        Values::List(list) => append_list(list, sent)?,
        // The server has no such types.
        Values::Int8(_) | Values::UInt8(_) | Values::UInt16(_) | Values::UInt32(_) | Values::UInt64(_) => {
            return Err(Misfit::Malformed);
        }
    }
    Ok(())
}

/// The form of `array_send`: dimensions, whether any item is NULL, the items' type; per dimension its length and the index
/// of its first item, which Arrow has no place for; then the items like fields of a row.
fn append_list(list: &mut ListValues, sent: &[u8]) -> Result<(), Misfit> {
    let (dimensions, rest) = split_i32(sent)?;
    let (_, rest) = split_i32(rest)?;
    let (_, rest) = split_i32(rest)?;
    let count = match dimensions {
        0 => 0,
        1 => append_items(list.items(), rest)?,
        _ => return Err(Misfit::Dimensions),
    };
    list.append(count);
    Ok(())
}

fn append_items(values: &mut Values, sent: &[u8]) -> Result<usize, Misfit> {
    let (count, rest) = split_i32(sent)?;
    let (_, rest) = split_i32(rest)?;
    let mut items = Fields(rest);
    for _ in 0..count {
        match items.next()? {
            Some(item) => append(values, item)?,
            None => values.append_null(),
        }
    }
    usize::try_from(count).map_err(|_| Misfit::Malformed)
}

/// The server has one NaN, greater than every number; of those that Arrow tells apart, that is the one without a sign.
fn single(sent: &[u8]) -> Result<f32, Misfit> {
    let number = f32::from_be_bytes(fixed(sent)?);
    Ok(if number.is_nan() { f32::NAN } else { number })
}

/// Likewise.
fn double(sent: &[u8]) -> Result<f64, Misfit> {
    let number = f64::from_be_bytes(fixed(sent)?);
    Ok(if number.is_nan() { f64::NAN } else { number })
}

fn fixed<const N: usize>(sent: &[u8]) -> Result<[u8; N], Misfit> {
    sent.try_into().map_err(|_| Misfit::Malformed)
}

fn split_i32(sent: &[u8]) -> Result<(i32, &[u8]), Misfit> {
    let (first, rest) = sent.split_first_chunk().ok_or(Misfit::Malformed)?;
    Ok((i32::from_be_bytes(*first), rest))
}

/// Days since 2000; the extremes are the infinities.
fn date(sent: i32) -> Result<i32, Misfit> {
    if matches!(sent, i32::MIN | i32::MAX) {
        return Err(Misfit::Infinity);
    }
    sent.checked_add(EPOCH_DAYS).filter(|days| DAYS.contains(days)).ok_or(Misfit::Year)
}

/// Microseconds since midnight, 24:00 included.
fn time(sent: i64) -> Result<i64, Misfit> {
    if sent == DAY_US { Err(Misfit::EndOfDay) } else { Ok(sent) }
}

/// Microseconds since 2000; the extremes are the infinities.
fn timestamp(sent: i64) -> Result<i64, Misfit> {
    if matches!(sent, i64::MIN | i64::MAX) {
        return Err(Misfit::Infinity);
    }
    let micros = sent.checked_add(EPOCH_US).ok_or(Misfit::Year)?;
    let day = i32::try_from(micros.div_euclid(DAY_US)).map_err(|_| Misfit::Year)?;
    if DAYS.contains(&day) { Ok(micros) } else { Err(Misfit::Year) }
}

/// Microseconds, days, months; since PostgreSQL 17 all three at their extremes are the infinities.
fn interval(sent: &[u8]) -> Result<IntervalMonthDayNano, Misfit> {
    let (micros, rest) = sent.split_first_chunk().ok_or(Misfit::Malformed)?;
    let (days, months) = split_i32(rest)?;
    let (micros, months) = (i64::from_be_bytes(*micros), i32::from_be_bytes(fixed(months)?));
    match (micros, days, months) {
        (i64::MAX, i32::MAX, i32::MAX) | (i64::MIN, i32::MIN, i32::MIN) => Err(Misfit::Infinity),
        _ => {
            let nanos = micros.checked_mul(NANOS_PER_MICRO).ok_or(Misfit::Interval)?;
            Ok(IntervalMonthDayNano::new(months, days, nanos))
        }
    }
}
