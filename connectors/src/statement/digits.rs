//! How large a number of a statement can be, by types and literals alone: whether it can leave its type.

use arrow::datatypes::DataType;
use datafusion_common::ScalarValue;
use datafusion_expr::expr::{BinaryExpr, Cast};
use datafusion_expr::{Expr, Operator};

use super::types::Types;

/// The least and greatest value of a whole number.
pub(super) type Range = (i128, i128);

/// Every value of a type of whole numbers.
pub(super) fn range_of(data_type: &DataType) -> Option<Range> {
    Some(match data_type {
        DataType::Int8 => (i8::MIN.into(), i8::MAX.into()),
        DataType::UInt8 => (0, u8::MAX.into()),
        DataType::UInt16 => (0, u16::MAX.into()),
        DataType::UInt32 => (0, u32::MAX.into()),
        DataType::UInt64 => (0, u64::MAX.into()),
        DataType::Int16 => (i16::MIN.into(), i16::MAX.into()),
        DataType::Int32 => (i32::MIN.into(), i32::MAX.into()),
        DataType::Int64 => (i64::MIN.into(), i64::MAX.into()),
        _ => return None,
    })
}

/// The values that an expression over whole numbers can have, if none of its parts leaves its own type.
pub(super) fn range(expr: &Expr, types: &Types) -> Option<Range> {
    let whole = range_of(&types.of(expr)?)?;
    let range = match expr {
        Expr::Literal(value, _) => literal(value).map_or(whole, |value| (value, value)),
        Expr::Cast(Cast { expr, .. }) => range(expr, types).unwrap_or(whole),
        Expr::Negative(inner) => range(inner, types).map(|(low, high)| (-high, -low))?,
        Expr::BinaryExpr(binary) => arithmetic(binary, types)?,
        _ => whole,
    };
    within(range, whole).then_some(range)
}

fn within((low, high): Range, (least, most): Range) -> bool {
    least <= low && high <= most
}

fn literal(value: &ScalarValue) -> Option<i128> {
    match value.cast_to(&DataType::Int64).ok()? {
        ScalarValue::Int64(Some(value)) => Some(value.into()),
        _ => None,
    }
}

fn arithmetic(binary: &BinaryExpr, types: &Types) -> Option<Range> {
    let (left, right) = (range(&binary.left, types)?, range(&binary.right, types)?);
    match binary.op {
        Operator::Plus => Some((left.0 + right.0, left.1 + right.1)),
        Operator::Minus => Some((left.0 - right.1, left.1 - right.0)),
        Operator::Multiply => {
            // Two numbers of 64 bits with a sign have a product of 128; without one, too large a one.
            let product = |left: i128, right: i128| left.checked_mul(right);
            let corners = [
                product(left.0, right.0)?,
                product(left.0, right.1)?,
                product(left.1, right.0)?,
                product(left.1, right.1)?,
            ];
            Some((corners.into_iter().min()?, corners.into_iter().max()?))
        }
        // No quotient and no remainder of whole numbers is larger than what is divided, whatever its sign.
        Operator::Divide | Operator::Modulo => {
            let largest = left.0.abs().max(left.1.abs());
            Some((-largest, largest))
        }
        _ => None,
    }
}

/// How many decimal digits a number has at most, those after the point included, at the scale of its type.
pub(super) fn digits(expr: &Expr, types: &Types) -> Option<u32> {
    let (precision, scale) = match types.of(expr)? {
        DataType::Decimal128(precision, scale) => (u32::from(precision), u32::try_from(scale).ok()?),
        _ => {
            let (low, high) = range(expr, types)?;
            return Some(length(low.unsigned_abs().max(high.unsigned_abs())));
        }
    };
    Some(match expr {
        Expr::Literal(ScalarValue::Decimal128(Some(value), ..), _) => length(value.unsigned_abs()),
        Expr::Cast(Cast { expr, .. }) => digits(expr, types)? + scale.saturating_sub(scale_of(expr, types)?),
        Expr::Negative(inner) => digits(inner, types)?,
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
            let (left_digits, right_digits) = (digits(left, types)?, digits(right, types)?);
            match op {
                Operator::Multiply => left_digits + right_digits,
                _ => {
                    let left = left_digits + scale.saturating_sub(scale_of(left, types)?);
                    let right = right_digits + scale.saturating_sub(scale_of(right, types)?);
                    left.max(right) + 1
                }
            }
        }
        _ => precision,
    })
}

/// The digits after the point of an exact number.
pub(super) fn scale_of(expr: &Expr, types: &Types) -> Option<u32> {
    match types.of(expr)? {
        DataType::Decimal128(_, scale) => u32::try_from(scale).ok(),
        other => range_of(&other).map(|_| 0),
    }
}

fn length(value: u128) -> u32 {
    value.checked_ilog10().map_or(1, |log| log + 1)
}
