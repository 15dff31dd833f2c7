//! `bucket(width)`: the lower end of the interval `[n × width, (n + 1) × width)` that a number falls into. Integers,
//! decimals and floats → the same type.
//!
//! NULL where the type cannot hold the lower end, and for NaN and infinite floats. A float is the product of a whole
//! number and the width, so that all numbers of one interval give the very same float; numbers beyond 2^53 (Float32: 2^24)
//! widths are coarser than that already and may stay as they are.

use std::cmp::Ordering;

use arrow::array::{ArrowNativeTypeOp, ArrowPrimitiveType, AsArray};
use arrow::datatypes::{
    DataType, Decimal32Type, Decimal64Type, Decimal128Type, Decimal256Type, DecimalType, Float32Type, Float64Type,
    Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use datafusion_common::ScalarValue;

use super::rebuild::{Rebuild, primitive};
use crate::value::Value;

/// How much buckets of one width show beside those of another: the whole intervals of a width lie in those of its multiples.
pub(super) fn finer(width: &Value, other: &Value) -> Option<Ordering> {
    let (Value::Integer(width), Value::Integer(other)) = (width, other) else { return None };
    match (other.checked_rem(*width), width.checked_rem(*other)) {
        (Some(0), Some(0)) => Some(Ordering::Equal),
        (Some(0), _) => Some(Ordering::Greater),
        (_, Some(0)) => Some(Ordering::Less),
        _ => None,
    }
}

pub(super) fn bucket(input: &DataType, width: &Value) -> Result<Rebuild, String> {
    if !input.is_numeric() {
        return Err(format!("the mask is for numbers; the column is of the type {input}"));
    }
    let width =
        width.to_scalar(input).ok_or_else(|| format!("the width is not exactly a value of the type {input}"))?;
    match input {
        DataType::Int8 => integers::<Int8Type>(input, &width),
        DataType::Int16 => integers::<Int16Type>(input, &width),
        DataType::Int32 => integers::<Int32Type>(input, &width),
        DataType::Int64 => integers::<Int64Type>(input, &width),
        DataType::UInt8 => integers::<UInt8Type>(input, &width),
        DataType::UInt16 => integers::<UInt16Type>(input, &width),
        DataType::UInt32 => integers::<UInt32Type>(input, &width),
        DataType::UInt64 => integers::<UInt64Type>(input, &width),
        DataType::Decimal32(precision, _) => decimals::<Decimal32Type>(input, &width, *precision),
        DataType::Decimal64(precision, _) => decimals::<Decimal64Type>(input, &width, *precision),
        DataType::Decimal128(precision, _) => decimals::<Decimal128Type>(input, &width, *precision),
        DataType::Decimal256(precision, _) => decimals::<Decimal256Type>(input, &width, *precision),
        DataType::Float32 => {
            let width = positive::<Float32Type>(&width)?;
            Ok(primitive::<Float32Type>(input, move |value| finite((value / width).floor() * width, f32::is_finite)))
        }
        DataType::Float64 => {
            let width = positive::<Float64Type>(&width)?;
            Ok(primitive::<Float64Type>(input, move |value| finite((value / width).floor() * width, f64::is_finite)))
        }
        other => Err(format!("the mask is not for the type {other}")),
    }
}

fn integers<T: ArrowPrimitiveType>(input: &DataType, width: &ScalarValue) -> Result<Rebuild, String> {
    let width = positive::<T>(width)?;
    Ok(primitive::<T>(input, move |value| lower_end(value, width)))
}

fn decimals<T: DecimalType>(input: &DataType, width: &ScalarValue, precision: u8) -> Result<Rebuild, String> {
    let width = positive::<T>(width)?;
    let fits = move |value: &T::Native| T::is_valid_decimal_precision(*value, precision);
    Ok(primitive::<T>(input, move |value| lower_end(value, width).filter(fits)))
}

fn positive<T: ArrowPrimitiveType>(width: &ScalarValue) -> Result<T::Native, String> {
    let width = width.to_array().ok().and_then(|array| array.as_primitive_opt::<T>()?.iter().next()?);
    width.filter(|width| *width > T::Native::default()).ok_or_else(|| String::from("the width is not above zero"))
}

/// `value` less what it is above a multiple of `width`; `None` where that is below what the type holds.
fn lower_end<N: ArrowNativeTypeOp>(value: N, width: N) -> Option<N> {
    let above = value.mod_checked(width).ok()?;
    let above = if above.is_lt(N::ZERO) { above.add_checked(width).ok()? } else { above };
    value.sub_checked(above).ok()
}

/// The float, if there is one; zero without its sign.
fn finite<F: std::ops::Add<Output = F> + Default + Copy>(value: F, is_finite: fn(F) -> bool) -> Option<F> {
    is_finite(value).then(|| value + F::default())
}
