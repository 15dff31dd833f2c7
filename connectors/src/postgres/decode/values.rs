//! One column being built: the builder that its Arrow type has, and the binary form that it reads.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryBuilder, BooleanBuilder, Date32Builder, Decimal128Builder, Float32Builder, Float64Builder,
    Int16Builder, Int32Builder, Int64Builder, IntervalMonthDayNanoBuilder, ListArray, NullBufferBuilder, StringBuilder,
    Time64MicrosecondBuilder, TimestampMicrosecondBuilder,
};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, FieldRef, IntervalMonthDayNano, IntervalUnit, TimeUnit};
use arrow::error::ArrowError;

use super::frame::Fields;
use super::misfit::Misfit;
use super::numeric::decimal;

/// From 1970, where Arrow's days begin, to 2000, where the server's do.
const EPOCH_DAYS: i32 = 10_957;
const DAY_US: i64 = 86_400_000_000;
const EPOCH_US: i64 = EPOCH_DAYS as i64 * DAY_US;
/// The first of January of the year −262143 and the last day of 262142: what Arrow's kernels can tell the date of.
const DAYS: std::ops::RangeInclusive<i32> = -96_465_293..=95_026_236;
const NANOS_PER_MICRO: i64 = 1_000;

/// The values of one column.
#[derive(Debug)]
pub(super) enum Values {
    Boolean(BooleanBuilder),
    Int16(Int16Builder),
    Int32(Int32Builder),
    Int64(Int64Builder),
    Float32(Float32Builder),
    Float64(Float64Builder),
    Decimal(Decimal128Builder, u8, i8),
    Text(StringBuilder),
    Bytes(BinaryBuilder),
    Date(Date32Builder),
    Time(Time64MicrosecondBuilder),
    Timestamp(TimestampMicrosecondBuilder),
    Interval(IntervalMonthDayNanoBuilder),
    List(ListValues),
}

/// The values of one column of arrays.
#[derive(Debug)]
pub(super) struct ListValues {
    field: FieldRef,
    items: Box<Values>,
    lengths: Vec<usize>,
    validity: NullBufferBuilder,
}

impl Values {
    /// An empty column of `data_type`; `None` if the server has nothing that decodes as it.
    pub(super) fn new(data_type: &DataType) -> Option<Self> {
        Some(match data_type {
            DataType::Boolean => Self::Boolean(BooleanBuilder::new()),
            DataType::Int16 => Self::Int16(Int16Builder::new()),
            DataType::Int32 => Self::Int32(Int32Builder::new()),
            DataType::Int64 => Self::Int64(Int64Builder::new()),
            DataType::Float32 => Self::Float32(Float32Builder::new()),
            DataType::Float64 => Self::Float64(Float64Builder::new()),
            DataType::Decimal128(precision, scale) => {
                let builder = Decimal128Builder::new().with_precision_and_scale(*precision, *scale).ok()?;
                Self::Decimal(builder, *precision, *scale)
            }
            DataType::Utf8 => Self::Text(StringBuilder::new()),
            DataType::Binary => Self::Bytes(BinaryBuilder::new()),
            DataType::Date32 => Self::Date(Date32Builder::new()),
            DataType::Time64(TimeUnit::Microsecond) => Self::Time(Time64MicrosecondBuilder::new()),
            DataType::Timestamp(TimeUnit::Microsecond, zone) => {
                Self::Timestamp(TimestampMicrosecondBuilder::new().with_timezone_opt(zone.clone()))
            }
            DataType::Interval(IntervalUnit::MonthDayNano) => Self::Interval(IntervalMonthDayNanoBuilder::new()),
            DataType::List(item) if !item.data_type().is_nested() => Self::List(ListValues {
                field: Arc::clone(item),
                items: Box::new(Self::new(item.data_type())?),
                lengths: Vec::new(),
                validity: NullBufferBuilder::new(0),
            }),
            _ => return None,
        })
    }

    /// Adds a value as the server sent it.
    pub(super) fn append(&mut self, sent: &[u8]) -> Result<(), Misfit> {
        match self {
            Self::Boolean(builder) => builder.append_value(fixed::<1>(sent)? != [0]),
            Self::Int16(builder) => builder.append_value(i16::from_be_bytes(fixed(sent)?)),
            Self::Int32(builder) => builder.append_value(i32::from_be_bytes(fixed(sent)?)),
            Self::Int64(builder) => builder.append_value(i64::from_be_bytes(fixed(sent)?)),
            Self::Float32(builder) => builder.append_value(single(sent)?),
            Self::Float64(builder) => builder.append_value(double(sent)?),
            Self::Decimal(builder, precision, scale) => builder.append_value(decimal(sent, *precision, *scale)?),
            Self::Text(builder) => builder.append_value(str::from_utf8(sent).map_err(|_| Misfit::Encoding)?),
            Self::Bytes(builder) => builder.append_value(sent),
            Self::Date(builder) => builder.append_value(date(i32::from_be_bytes(fixed(sent)?))?),
            Self::Time(builder) => builder.append_value(time(i64::from_be_bytes(fixed(sent)?))?),
            Self::Timestamp(builder) => builder.append_value(timestamp(i64::from_be_bytes(fixed(sent)?))?),
            Self::Interval(builder) => builder.append_value(interval(sent)?),
            Self::List(list) => list.append(sent)?,
        }
        Ok(())
    }

    /// Adds NULL.
    pub(super) fn append_null(&mut self) {
        match self {
            Self::Boolean(builder) => builder.append_null(),
            Self::Int16(builder) => builder.append_null(),
            Self::Int32(builder) => builder.append_null(),
            Self::Int64(builder) => builder.append_null(),
            Self::Float32(builder) => builder.append_null(),
            Self::Float64(builder) => builder.append_null(),
            Self::Decimal(builder, ..) => builder.append_null(),
            Self::Text(builder) => builder.append_null(),
            Self::Bytes(builder) => builder.append_null(),
            Self::Date(builder) => builder.append_null(),
            Self::Time(builder) => builder.append_null(),
            Self::Timestamp(builder) => builder.append_null(),
            Self::Interval(builder) => builder.append_null(),
            Self::List(list) => list.append_null(),
        }
    }

    /// The column; what comes next begins a new one.
    pub(super) fn finish(&mut self) -> Result<ArrayRef, ArrowError> {
        Ok(match self {
            Self::Boolean(builder) => Arc::new(builder.finish()),
            Self::Int16(builder) => Arc::new(builder.finish()),
            Self::Int32(builder) => Arc::new(builder.finish()),
            Self::Int64(builder) => Arc::new(builder.finish()),
            Self::Float32(builder) => Arc::new(builder.finish()),
            Self::Float64(builder) => Arc::new(builder.finish()),
            Self::Decimal(builder, ..) => Arc::new(builder.finish()),
            Self::Text(builder) => Arc::new(builder.finish()),
            Self::Bytes(builder) => Arc::new(builder.finish()),
            Self::Date(builder) => Arc::new(builder.finish()),
            Self::Time(builder) => Arc::new(builder.finish()),
            Self::Timestamp(builder) => Arc::new(builder.finish()),
            Self::Interval(builder) => Arc::new(builder.finish()),
            Self::List(list) => Arc::new(list.finish()?),
        })
    }
}

impl ListValues {
    /// The form of `array_send`: dimensions, whether any item is NULL, the items' type; per dimension its length and the
    /// index of its first item, which Arrow has no place for; then the items like fields of a row.
    fn append(&mut self, sent: &[u8]) -> Result<(), Misfit> {
        let (dimensions, rest) = split_i32(sent)?;
        let (_, rest) = split_i32(rest)?;
        let (_, rest) = split_i32(rest)?;
        let count = match dimensions {
            0 => 0,
            1 => self.append_items(rest)?,
            _ => return Err(Misfit::Dimensions),
        };
        self.lengths.push(count);
        self.validity.append_non_null();
        Ok(())
    }

    fn append_items(&mut self, sent: &[u8]) -> Result<usize, Misfit> {
        let (count, rest) = split_i32(sent)?;
        let (_, rest) = split_i32(rest)?;
        let mut items = Fields(rest);
        for _ in 0..count {
            match items.next()? {
                Some(item) => self.items.append(item)?,
                None => self.items.append_null(),
            }
        }
        usize::try_from(count).map_err(|_| Misfit::Malformed)
    }

    fn append_null(&mut self) {
        self.lengths.push(0);
        self.validity.append_null();
    }

    fn finish(&mut self) -> Result<ListArray, ArrowError> {
        let offsets = OffsetBuffer::from_lengths(self.lengths.drain(..));
        ListArray::try_new(Arc::clone(&self.field), offsets, self.items.finish()?, self.validity.finish())
    }
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
