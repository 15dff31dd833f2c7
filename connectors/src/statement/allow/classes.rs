//! What the lists of SQL databases are made of: classes of types, and shapes of expressions over them on which every such
//! database agrees with DataFusion. Whether a list holds them is that list's own word.

use arrow::datatypes::{DataType, TimeUnit};
use datafusion_common::ScalarValue;
use datafusion_expr::expr::{BinaryExpr, Case, Like};
use datafusion_expr::{Expr, Operator};

use crate::statement::digits::{digits, scale_of};
use crate::statement::refusal::Refusal;
use crate::statement::types::Types;

/// Types whose values mean the same on both sides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::statement) enum Class {
    Truth,
    Whole,
    Decimal,
    Float,
    Text,
    Bytes,
    Date,
    Timestamp,
    /// A moment, in UTC.
    Moment,
    Time,
}

/// The class of a type; `None` if expressions over it are not trusted.
pub(in crate::statement) fn class_of(data_type: &DataType) -> Option<Class> {
    Some(match data_type {
        DataType::Boolean => Class::Truth,
        whole if whole.is_integer() => Class::Whole,
        DataType::Decimal128(precision, scale) if *scale >= 0 && i16::from(*scale) <= i16::from(*precision) => {
            Class::Decimal
        }
        DataType::Float32 | DataType::Float64 => Class::Float,
        DataType::Utf8 => Class::Text,
        DataType::Binary => Class::Bytes,
        DataType::Date32 => Class::Date,
        DataType::Timestamp(TimeUnit::Microsecond, None) => Class::Timestamp,
        DataType::Timestamp(TimeUnit::Microsecond, Some(zone)) if matches!(zone.as_ref(), "UTC" | "+00:00") => {
            Class::Moment
        }
        DataType::Time64(TimeUnit::Microsecond) => Class::Time,
        _ => return None,
    })
}

/// The class of an expression.
pub(in crate::statement) fn class(expr: &Expr, types: &Types) -> Option<Class> {
    if types.is_opaque(expr) {
        return None;
    }
    class_of(&types.of(expr)?)
}

/// Why `expr` is not admitted, by its name and by the type that it makes.
pub(in crate::statement) fn refusal(expr: &Expr, types: &Types) -> Refusal {
    let name = match expr {
        Expr::BinaryExpr(binary) => binary.op.to_string(),
        Expr::ScalarFunction(function) => function.name().to_owned(),
        Expr::AggregateFunction(function) => function.func.name().to_owned(),
        Expr::Cast(cast) => return Refusal::new("cast", format!("to {} is another there", cast.field.data_type())),
        other => other.variant_name().to_lowercase(),
    };
    match types.of(expr) {
        Some(made) => Refusal::new(name, format!("is not known to mean the same there where it makes {made}")),
        None => Refusal::new(name, "is not known to mean the same there"),
    }
}

/// Whether `expr` is equal to another, and ordered among others, alike on both sides.
pub(in crate::statement) fn admit_key(expr: &Expr, types: &Types) -> Result<(), Refusal> {
    match class(expr, types) {
        Some(Class::Float) => Err(Refusal::new("key", "is a float, and zeros of both signs are one there")),
        Some(_) => Ok(()),
        None => Err(Refusal::new("key", "is of a type that is not known to be ordered alike there")),
    }
}

/// Two values of one class. Floats compare alike where one is a literal that tells no sign of zero and is a number; that a
/// stored NaN has no sign is the decoder's doing.
pub(in crate::statement) fn comparable(left: &Expr, right: &Expr, types: &Types) -> bool {
    match (class(left, types), class(right, types)) {
        (Some(Class::Float), Some(Class::Float)) => is_ordinary(left) || is_ordinary(right),
        (Some(left), Some(right)) => left == right,
        _ => false,
    }
}

/// A literal float that is a number, and no zero of either sign.
pub(in crate::statement) fn is_ordinary(expr: &Expr) -> bool {
    match expr {
        Expr::Literal(ScalarValue::Float32(Some(value)), _) => value.is_normal(),
        Expr::Literal(ScalarValue::Float64(Some(value)), _) => value.is_normal(),
        _ => false,
    }
}

/// Both sides compute the sum or product exactly; DataFusion then keeps as many digits after the point as there are.
pub(in crate::statement) fn has_exact_scale(expr: &Expr, binary: &BinaryExpr, types: &Types) -> bool {
    let (left, right) = (scale_of(&binary.left, types), scale_of(&binary.right, types));
    let (Some(left), Some(right)) = (left, right) else { return false };
    let exact = if binary.op == Operator::Multiply { left + right } else { left.max(right) };
    scale_of(expr, types) == Some(exact)
}

/// A literal by which every whole number can be divided: neither 0 nor −1.
pub(in crate::statement) fn is_safe_divisor(expr: &Expr) -> bool {
    match expr.as_literal().map(|value| value.cast_to(&DataType::Int64)) {
        Some(Ok(ScalarValue::Int64(Some(value)))) => !matches!(value, 0 | -1),
        _ => false,
    }
}

/// A literal pattern without a backslash, which both sides read alike.
pub(in crate::statement) fn has_plain_pattern(like: &Like) -> bool {
    let plain = |pattern: &Expr| match pattern {
        Expr::Literal(ScalarValue::Utf8(Some(pattern)), _) => !pattern.contains('\\'),
        _ => false,
    };
    !like.case_insensitive && like.escape_char.is_none() && plain(&like.pattern)
}

/// Whether no value of `expr` loses a digit on either side of the point.
pub(in crate::statement) fn keeps_digits(expr: &Expr, to: &DataType, types: &Types) -> bool {
    let DataType::Decimal128(precision, to_scale) = to else { return false };
    let (Some(digits), Some(scale), Ok(to_scale)) =
        (digits(expr, types), scale_of(expr, types), u32::try_from(*to_scale))
    else {
        return false;
    };
    scale <= to_scale && digits + (to_scale - scale) <= u32::from(*precision)
}

/// Tests of one class, and results of one class.
pub(in crate::statement) fn case_means_the_same(expr: &Expr, case: &Case, types: &Types) -> bool {
    let tests = |when: &Expr| match &case.expr {
        Some(operand) => comparable(operand, when, types) && class(operand, types) != Some(Class::Float),
        None => class(when, types) == Some(Class::Truth),
    };
    let result = class(expr, types);
    let gives = |value: &Expr| result.is_some() && class(value, types) == result;
    case.when_then_expr.iter().all(|(when, then)| tests(when) && gives(then))
        && case.else_expr.as_deref().is_none_or(gives)
}

/// A place in a text, or a count of its characters: a literal of `least` or more.
pub(in crate::statement) fn position(expr: &Expr, least: i32) -> Option<i32> {
    match expr.as_literal()?.cast_to(&DataType::Int64).ok()? {
        ScalarValue::Int64(Some(value)) => i32::try_from(value).ok().filter(|value| *value >= least),
        _ => None,
    }
}

/// Whether `part` is the literal name of one of `parts`.
pub(in crate::statement) fn is_part(part: &Expr, parts: &[&str]) -> bool {
    matches!(part, Expr::Literal(ScalarValue::Utf8(Some(part)), _) if parts.contains(&part.to_lowercase().as_str()))
}

/// A whole number made another type: as a float its sum is exact as long as it is a small one.
pub(in crate::statement) fn is_whole_number(expr: &Expr, types: &Types) -> bool {
    matches!(expr, Expr::Cast(cast) if class(&cast.expr, types) == Some(Class::Whole))
}

/// The type and the scale of an average of decimals, if it has the four digits more that DataFusion gives it.
pub(in crate::statement) fn average(arg: &Expr, types: &Types) -> Option<(DataType, usize)> {
    const MORE_DIGITS: u8 = 4;
    const DIGITS_MAX: u8 = 38;
    let DataType::Decimal128(precision, scale) = types.of(arg)? else { return None };
    if precision > DIGITS_MAX - MORE_DIGITS {
        return None;
    }
    let scale = u8::try_from(scale).ok()? + MORE_DIGITS;
    Some((DataType::Decimal128(precision + MORE_DIGITS, i8::try_from(scale).ok()?), usize::from(scale)))
}
