//! The bounds of an aggregate-only column: values below become the lower, values above the upper one. Numbers → the same
//! type; NaN becomes NULL.

use std::cmp::Ordering;

use arrow::array::{ArrowPrimitiveType, AsArray};
use arrow::datatypes::{
    DataType, Decimal32Type, Decimal64Type, Decimal128Type, Decimal256Type, Float32Type, Float64Type, Int8Type,
    Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use datafusion_common::ScalarValue;

use super::rebuild::{Rebuild, primitive};

pub(super) fn clamp(input: &DataType, low: &ScalarValue, high: &ScalarValue) -> Result<Rebuild, String> {
    if low.data_type() != *input || high.data_type() != *input {
        return Err(format!("the bounds are not of the column's type {input}"));
    }
    match input {
        DataType::Int8 => between::<Int8Type>(input, low, high),
        DataType::Int16 => between::<Int16Type>(input, low, high),
        DataType::Int32 => between::<Int32Type>(input, low, high),
        DataType::Int64 => between::<Int64Type>(input, low, high),
        DataType::UInt8 => between::<UInt8Type>(input, low, high),
        DataType::UInt16 => between::<UInt16Type>(input, low, high),
        DataType::UInt32 => between::<UInt32Type>(input, low, high),
        DataType::UInt64 => between::<UInt64Type>(input, low, high),
        DataType::Decimal32(_, _) => between::<Decimal32Type>(input, low, high),
        DataType::Decimal64(_, _) => between::<Decimal64Type>(input, low, high),
        DataType::Decimal128(_, _) => between::<Decimal128Type>(input, low, high),
        DataType::Decimal256(_, _) => between::<Decimal256Type>(input, low, high),
        DataType::Float32 => between::<Float32Type>(input, low, high),
        DataType::Float64 => between::<Float64Type>(input, low, high),
        other => Err(format!("only numbers have bounds; the column is of the type {other}")),
    }
}

fn between<T: ArrowPrimitiveType>(input: &DataType, low: &ScalarValue, high: &ScalarValue) -> Result<Rebuild, String> {
    let (low, high) = native::<T>(low).zip(native::<T>(high)).ok_or("a bound is NULL")?;
    if low.partial_cmp(&high).is_none_or(Ordering::is_gt) {
        return Err(String::from("the lower bound is above the upper one"));
    }
    Ok(primitive::<T>(input, move |value| match value {
        below if below < low => Some(low),
        above if above > high => Some(high),
        within if within >= low => Some(within),
        _ => None,
    }))
}

fn native<T: ArrowPrimitiveType>(value: &ScalarValue) -> Option<T::Native> {
    value.to_array().ok()?.as_primitive_opt::<T>()?.iter().next()?
}
