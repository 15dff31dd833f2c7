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

use arrow::datatypes::DataType;
use datafusion_expr::expr::{AggregateFunction, BinaryExpr, Cast, InList, ScalarFunction};
use datafusion_expr::{Expr, Operator};

use super::Accepts;
use super::classes::{
    Class, admit_key, average, case_means_the_same, class, class_of, comparable, has_exact_scale, has_plain_pattern,
    is_part, is_safe_divisor, is_whole_number, keeps_digits, position, refusal,
};
use crate::statement::digits::{range, range_of};
use crate::statement::refusal::Refusal;
use crate::statement::types::Types;

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
        Self::of_database(SCALAR_FUNCTIONS, AGGREGATE_FUNCTIONS)
    }
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
