//! What PostgreSQL evaluates as DataFusion does: the one list, by expression and by the types it stands over. What is not
//! named here is evaluated at the site.
//!
//! | expression | allowed | why not the rest |
//! |---|---|---|
//! | `= <> < <= > >= BETWEEN IN`, keys of groups, orders, joins, DISTINCT | truth, whole and decimal numbers, text by bytes, bytes, dates, times | floats: here -0 is less than 0, there they are equal |
//! | comparison of a float | with a literal that is neither 0 nor NaN | as above |
//! | `+ - *` of whole numbers | where by types and literals nothing can leave the type | DataFusion wraps, PostgreSQL raises |
//! | `+ - *` of decimals | where the scale of the result is exact; both raise beyond 38 digits | |
//! | `/ %` of whole numbers | by a literal but 0 and -1 | a division by zero is raised for rows that the other side never divides |
//! | division of decimals, arithmetic of floats and dates | never | other scales and rounding; infinity here, an error there; other types |
//! | casts | to wider numbers of the same exactness, whole numbers to floats, whole numbers and truth to text | rounding, overflow, spelling |
//! | `LIKE` | a literal pattern without a backslash | a trailing one is raised there; ILIKE follows a locale |
//! | `sum` | whole numbers (wrapped as here) and decimals | floats overflow to infinity here, raise there |
//! | `avg` | decimals, truncated as here; whole numbers as floats | |
//! | `min`, `max` | what has an order, but truth and bytes | PostgreSQL has no such function |
//! | `date_part` | whole parts of dates and of times without a zone | seconds have fractions there |

use arrow::datatypes::{DataType, TimeUnit};
use datafusion_common::ScalarValue;
use datafusion_expr::expr::{AggregateFunction, BinaryExpr, Case, Cast, InList, Like, ScalarFunction};
use datafusion_expr::{Expr, Operator};

use super::{Accepts, words};
use crate::statement::digits::{digits, range, range_of, scale_of};
use crate::statement::refusal::Refusal;
use crate::statement::types::Types;

/// Operators that a statement for PostgreSQL may hold.
const OPERATORS: &[&str] = &[
    "aggregate",
    "distinct",
    "empty relation",
    "filter",
    "join",
    "limit",
    "projection",
    "scan",
    "sort",
    "union",
    "values",
];

const SCALAR_FUNCTIONS: &[&str] =
    &["character_length coalesce concat date_part nullif octet_length starts_with substr"];

const AGGREGATE_FUNCTIONS: &[&str] = &["avg bool_and bool_or count max min sum"];

/// The parts of a date that `date_part` gives as whole numbers on both sides.
const DATE_PARTS: &[&str] = &["year", "quarter", "month", "day"];

/// The parts of a time of day, likewise.
const TIME_PARTS: &[&str] = &["hour", "minute"];

impl Accepts {
    /// What a PostgreSQL server takes.
    pub fn postgres() -> Self {
        Self {
            operators: OPERATORS.iter().map(|name| (*name).to_owned()).collect(),
            scalar_functions: words(SCALAR_FUNCTIONS),
            aggregate_functions: words(AGGREGATE_FUNCTIONS),
            window_functions: words(&[]),
            ..Self::default()
        }
    }
}

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
        DataType::Int16 | DataType::Int32 | DataType::Int64 => Class::Whole,
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

/// Whether `expr`, whose parts are asked for each, means the same on both sides.
pub(in crate::statement) fn admit(expr: &Expr, types: &Types) -> Result<(), Refusal> {
    let is = |expr: &Expr, expect: Class| class(expr, types) == Some(expect);
    let admitted = match expr {
        // Their parts are asked, or their values: a column may be passed on whatever it is.
        Expr::Alias(_) | Expr::Column(_) | Expr::Literal(..) | Expr::Placeholder(_) => true,
        Expr::IsNull(_) | Expr::IsNotNull(_) => true,
        Expr::Not(inner)
        | Expr::IsTrue(inner)
        | Expr::IsNotTrue(inner)
        | Expr::IsFalse(inner)
        | Expr::IsNotFalse(inner)
        | Expr::IsUnknown(inner)
        | Expr::IsNotUnknown(inner) => is(inner, Class::Truth),
        Expr::BinaryExpr(binary) => binary_means_the_same(expr, binary, types),
        Expr::Negative(inner) => is(inner, Class::Decimal) || range(expr, types).is_some(),
        Expr::Like(like) => is(&like.expr, Class::Text) && has_plain_pattern(like),
        Expr::Between(between) => {
            comparable(&between.expr, &between.low, types) && comparable(&between.expr, &between.high, types)
        }
        Expr::Case(case) => case_means_the_same(expr, case, types),
        Expr::Cast(cast) => cast_means_the_same(cast, types),
        Expr::InList(InList { expr, list, .. }) => list.iter().all(|member| comparable(expr, member, types)),
        Expr::ScalarFunction(function) => call_means_the_same(function, types),
        Expr::AggregateFunction(function) => aggregate_means_the_same(function, types),
        _ => false,
    };
    if admitted { Ok(()) } else { Err(refusal(expr, types)) }
}

fn refusal(expr: &Expr, types: &Types) -> Refusal {
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

fn binary_means_the_same(expr: &Expr, binary: &BinaryExpr, types: &Types) -> bool {
    let BinaryExpr { left, op, right } = binary;
    let both = |expect: Class| class(left, types) == Some(expect) && class(right, types) == Some(expect);
    match op {
        Operator::And | Operator::Or => both(Class::Truth),
        Operator::Eq | Operator::NotEq | Operator::Lt | Operator::LtEq | Operator::Gt | Operator::GtEq => {
            comparable(left, right, types)
        }
        Operator::IsDistinctFrom | Operator::IsNotDistinctFrom => {
            comparable(left, right, types) && class(left, types) != Some(Class::Float)
        }
        Operator::Plus | Operator::Minus | Operator::Multiply if both(Class::Decimal) => {
            has_exact_scale(expr, binary, types)
        }
        Operator::Plus | Operator::Minus | Operator::Multiply => both(Class::Whole) && range(expr, types).is_some(),
        Operator::Divide | Operator::Modulo => both(Class::Whole) && is_safe_divisor(right),
        Operator::StringConcat => both(Class::Text),
        _ => false,
    }
}

/// Two values of one class. Floats compare alike where one is a literal that tells no sign of zero and is a number; that a
/// stored NaN has no sign is the decoder's doing.
fn comparable(left: &Expr, right: &Expr, types: &Types) -> bool {
    match (class(left, types), class(right, types)) {
        (Some(Class::Float), Some(Class::Float)) => is_ordinary(left) || is_ordinary(right),
        (Some(left), Some(right)) => left == right,
        _ => false,
    }
}

fn is_ordinary(expr: &Expr) -> bool {
    match expr {
        Expr::Literal(ScalarValue::Float32(Some(value)), _) => value.is_normal(),
        Expr::Literal(ScalarValue::Float64(Some(value)), _) => value.is_normal(),
        _ => false,
    }
}

/// Both sides compute the sum or product exactly; DataFusion then keeps as many digits after the point as there are.
fn has_exact_scale(expr: &Expr, binary: &BinaryExpr, types: &Types) -> bool {
    let (left, right) = (scale_of(&binary.left, types), scale_of(&binary.right, types));
    let (Some(left), Some(right)) = (left, right) else { return false };
    let exact = if binary.op == Operator::Multiply { left + right } else { left.max(right) };
    scale_of(expr, types) == Some(exact)
}

fn is_safe_divisor(expr: &Expr) -> bool {
    match expr.as_literal().map(|value| value.cast_to(&DataType::Int64)) {
        Some(Ok(ScalarValue::Int64(Some(value)))) => !matches!(value, 0 | -1),
        _ => false,
    }
}

fn has_plain_pattern(like: &Like) -> bool {
    let plain = |pattern: &Expr| match pattern {
        Expr::Literal(ScalarValue::Utf8(Some(pattern)), _) => !pattern.contains('\\'),
        _ => false,
    };
    !like.case_insensitive && like.escape_char.is_none() && plain(&like.pattern)
}

fn case_means_the_same(expr: &Expr, case: &Case, types: &Types) -> bool {
    let tests = |when: &Expr| match &case.expr {
        Some(operand) => comparable(operand, when, types) && class(operand, types) != Some(Class::Float),
        None => class(when, types) == Some(Class::Truth),
    };
    let result = class(expr, types);
    let gives = |value: &Expr| result.is_some() && class(value, types) == result;
    case.when_then_expr.iter().all(|(when, then)| tests(when) && gives(then))
        && case.else_expr.as_deref().is_none_or(gives)
}

fn cast_means_the_same(cast: &Cast, types: &Types) -> bool {
    let (from, to) = (class(&cast.expr, types), cast.field.data_type());
    match (from, class_of(to)) {
        (Some(Class::Whole | Class::Decimal), Some(Class::Decimal)) => keeps_digits(&cast.expr, to, types),
        (Some(Class::Whole), Some(Class::Whole)) => match (range(&cast.expr, types), range_of(to)) {
            (Some((low, high)), Some((least, most))) => least <= low && high <= most,
            _ => false,
        },
        (Some(Class::Whole), Some(Class::Float | Class::Text)) | (Some(Class::Truth), Some(Class::Text)) => true,
        (Some(Class::Float), Some(Class::Float)) => to == &DataType::Float64,
        (Some(from), Some(into)) => from == into && types.of(&cast.expr).as_ref() == Some(to),
        _ => false,
    }
}

/// Whether no value of `expr` loses a digit on either side of the point.
fn keeps_digits(expr: &Expr, to: &DataType, types: &Types) -> bool {
    let DataType::Decimal128(precision, to_scale) = to else { return false };
    let (Some(digits), Some(scale), Ok(to_scale)) =
        (digits(expr, types), scale_of(expr, types), u32::try_from(*to_scale))
    else {
        return false;
    };
    scale <= to_scale && digits + (to_scale - scale) <= u32::from(*precision)
}

fn call_means_the_same(function: &ScalarFunction, types: &Types) -> bool {
    let all = |expect: Class| function.args.iter().all(|arg| class(arg, types) == Some(expect));
    match (function.name(), function.args.as_slice()) {
        ("character_length" | "octet_length", [_]) | ("concat", [_, ..]) | ("starts_with", [_, _]) => all(Class::Text),
        ("coalesce", [first, rest @ ..]) => {
            let first = class(first, types);
            first.is_some() && rest.iter().all(|arg| class(arg, types) == first)
        }
        ("nullif", [left, right]) => comparable(left, right, types) && class(left, types) != Some(Class::Float),
        ("substr", [text, start]) => class(text, types) == Some(Class::Text) && position(start, 1).is_some(),
        ("substr", [text, start, count]) => {
            class(text, types) == Some(Class::Text) && position(start, 1).is_some() && position(count, 0).is_some()
        }
        ("date_part", [part, of]) => match class(of, types) {
            Some(Class::Date) => is_part(part, DATE_PARTS),
            Some(Class::Timestamp) => is_part(part, DATE_PARTS) || is_part(part, TIME_PARTS),
            _ => false,
        },
        _ => false,
    }
}

/// A place in a text, or a count of its characters: a literal of `least` or more.
pub(in crate::statement) fn position(expr: &Expr, least: i32) -> Option<i32> {
    match expr.as_literal()?.cast_to(&DataType::Int64).ok()? {
        ScalarValue::Int64(Some(value)) => i32::try_from(value).ok().filter(|value| *value >= least),
        _ => None,
    }
}

fn is_part(part: &Expr, parts: &[&str]) -> bool {
    matches!(part, Expr::Literal(ScalarValue::Utf8(Some(part)), _) if parts.contains(&part.to_lowercase().as_str()))
}

fn aggregate_means_the_same(function: &AggregateFunction, types: &Types) -> bool {
    let params = &function.params;
    if !params.order_by.is_empty() || params.null_treatment.is_some() {
        return false;
    }
    let [arg] = params.args.as_slice() else { return false };
    let over = class(arg, types);
    match function.func.name() {
        "count" => !params.distinct || admit_key(arg, types).is_ok(),
        "sum" => matches!(over, Some(Class::Whole | Class::Decimal)),
        "avg" if params.distinct => false,
        "avg" => match over {
            Some(Class::Decimal) => average(arg, types).is_some(),
            Some(Class::Float) => is_whole_number(arg, types),
            _ => false,
        },
        "min" | "max" => !matches!(over, None | Some(Class::Truth | Class::Float | Class::Bytes)),
        "bool_and" | "bool_or" => over == Some(Class::Truth),
        _ => false,
    }
}

fn is_whole_number(expr: &Expr, types: &Types) -> bool {
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
