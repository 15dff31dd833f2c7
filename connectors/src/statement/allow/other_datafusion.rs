//! What a DataFusion of any version evaluates as this one does: the one list, by expression and by the types it stands over.
//! Versions since 2023 have agreed on it. What is not named here is evaluated at the site.
//!
//! | expression | allowed | why not the rest |
//! |---|---|---|
//! | `= <> < <= > >= BETWEEN IN`, keys of groups, orders, joins, DISTINCT | truth, whole and decimal numbers, text, bytes, dates, times | floats as keys: versions differ about zeros of both signs and NaN |
//! | comparison of a float | with a literal that is neither 0 nor NaN | as above |
//! | `+ - *` of whole numbers | where by types and literals nothing can leave the type | some wrap, some raise |
//! | `+ - *` of decimals | where the scale of the result is exact | they round, raise and pick types differently |
//! | `+ - *` of floats | always | |
//! | `/ %` | of whole numbers, by a literal but 0 and -1 | a division by zero is raised for rows that another order of evaluation never divides |
//! | casts | to wider numbers of the same exactness, whole numbers to floats and text | rounding, overflow, spelling (of truth too) |
//! | `LIKE` | a literal pattern that is a beginning, an end, a part or the whole | a wildcard once did not match the end of a line |
//! | `sum`, `avg` | whole numbers, decimals, floats | |
//! | `min`, `max` | what has an order, but truth, bytes and floats | NaN |
//! | `date_part` | whole parts, made a whole number | it was a float once |
//! | unions | never; their branches are sent | batches of a branch once said of themselves what may be NULL in it, and a server tells the first batch's word of all |
//! | subqueries as values, `NOT IN`, marks, grouping sets | never | `NOT IN` once took no notice of NULL, more than one row was no error, sets were numbered otherwise |

use arrow::datatypes::DataType;
use datafusion_common::ScalarValue;
use datafusion_expr::expr::{AggregateFunction, BinaryExpr, Cast, InList, Like, ScalarFunction};
use datafusion_expr::{Expr, Operator};

use super::Accepts;
use super::classes::{
    Class, admit_key, average, case_means_the_same, class, class_of, comparable, has_exact_scale, has_plain_pattern,
    is_part, is_safe_divisor, keeps_digits, position, refusal,
};
use crate::statement::digits::{range, range_of};
use crate::statement::refusal::Refusal;
use crate::statement::types::Types;

const SCALAR_FUNCTIONS: &[&str] = &["character_length coalesce concat date_part nullif starts_with substr"];

const AGGREGATE_FUNCTIONS: &[&str] = &["avg bool_and bool_or count max min sum"];

/// The parts of a date that `date_part` gives as whole numbers in every version.
const DATE_PARTS: &[&str] = &["year", "month", "day"];

/// The parts of a time of day, likewise.
const TIME_PARTS: &[&str] = &["hour", "minute"];

impl Accepts {
    /// What a server takes that runs on another version of DataFusion.
    pub fn other_datafusion() -> Self {
        let mut accepts = Self::of_database(SCALAR_FUNCTIONS, AGGREGATE_FUNCTIONS);
        accepts.operators.remove("union");
        accepts
    }
}

/// Whether `expr`, whose parts are asked for each, means the same on both sides.
pub(in crate::statement) fn admit(expr: &Expr, types: &Types) -> Result<(), Refusal> {
    let is = |expr: &Expr, expect: Class| class(expr, types) == Some(expect);
    let admitted = match expr {
        // Their parts are asked, or their values: a column may be passed on whatever it is.
        Expr::Alias(_) | Expr::Column(_) | Expr::Literal(..) => true,
        Expr::Placeholder(_) => return Err(Refusal::new("subquery", "is evaluated otherwise by some versions there")),
        Expr::IsNull(_) | Expr::IsNotNull(_) => true,
        Expr::Not(inner)
        | Expr::IsTrue(inner)
        | Expr::IsNotTrue(inner)
        | Expr::IsFalse(inner)
        | Expr::IsNotFalse(inner)
        | Expr::IsUnknown(inner)
        | Expr::IsNotUnknown(inner) => is(inner, Class::Truth),
        Expr::BinaryExpr(binary) => binary_means_the_same(expr, binary, types),
        Expr::Negative(inner) => is(inner, Class::Decimal) || is(inner, Class::Float) || range(expr, types).is_some(),
        Expr::Like(like) => is(&like.expr, Class::Text) && is_about_an_end_or_a_part(like),
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
        Operator::Plus | Operator::Minus | Operator::Multiply if both(Class::Float) => true,
        Operator::Plus | Operator::Minus | Operator::Multiply => both(Class::Whole) && range(expr, types).is_some(),
        Operator::Divide | Operator::Modulo => both(Class::Whole) && is_safe_divisor(right),
        Operator::StringConcat => both(Class::Text),
        _ => false,
    }
}

/// `abc`, `abc%`, `%abc`, `%abc%`: what every version answers without a regular expression, which may stop at a line's end.
fn is_about_an_end_or_a_part(like: &Like) -> bool {
    let Expr::Literal(ScalarValue::Utf8(Some(pattern)), _) = like.pattern.as_ref() else { return false };
    let inner = pattern.strip_prefix('%').unwrap_or(pattern);
    let inner = inner.strip_suffix('%').unwrap_or(inner);
    has_plain_pattern(like) && !inner.contains(['%', '_'])
}

fn cast_means_the_same(cast: &Cast, types: &Types) -> bool {
    let (from, to) = (class(&cast.expr, types), cast.field.data_type());
    match (from, class_of(to)) {
        (Some(Class::Whole | Class::Decimal), Some(Class::Decimal)) => keeps_digits(&cast.expr, to, types),
        (Some(Class::Whole), Some(Class::Whole)) => match (range(&cast.expr, types), range_of(to)) {
            (Some((low, high)), Some((least, most))) => least <= low && high <= most,
            _ => false,
        },
        (Some(Class::Whole), Some(Class::Float | Class::Text)) => true,
        (Some(Class::Float), Some(Class::Float)) => to == &DataType::Float64,
        (Some(from), Some(into)) => from == into && types.of(&cast.expr).as_ref() == Some(to),
        _ => false,
    }
}

fn call_means_the_same(function: &ScalarFunction, types: &Types) -> bool {
    let all = |expect: Class| function.args.iter().all(|arg| class(arg, types) == Some(expect));
    match (function.name(), function.args.as_slice()) {
        ("character_length", [_]) | ("concat", [_, ..]) | ("starts_with", [_, _]) => all(Class::Text),
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
        "sum" if params.distinct => matches!(over, Some(Class::Whole | Class::Decimal)),
        "sum" => matches!(over, Some(Class::Whole | Class::Decimal | Class::Float)),
        "avg" if params.distinct => false,
        "avg" => match over {
            Some(Class::Decimal) => average(arg, types).is_some(),
            Some(Class::Float) => true,
            _ => false,
        },
        "min" | "max" => !matches!(over, None | Some(Class::Truth | Class::Float | Class::Bytes)),
        "bool_and" | "bool_or" => over == Some(Class::Truth),
        _ => false,
    }
}
