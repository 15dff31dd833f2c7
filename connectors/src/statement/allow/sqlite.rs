//! What SQLite evaluates as DataFusion does: the one list, by expression and by the types it stands over. What is not named
//! here is evaluated at the site.
//!
//! A statement for SQLite is over values of the types that were described: every column that a table does not hold to its
//! type is checked where anything depends on it (see `dialect/sqlite`). Dates and times are whole numbers in it, truth is 0
//! and 1, and what SQLite's own functions do otherwise is done by functions that the connector brings.
//!
//! | expression | allowed | why not the rest |
//! |---|---|---|
//! | `= <> < <= > >= BETWEEN IN`, keys of groups, orders, joins, DISTINCT | truth, whole numbers, text by bytes, bytes, dates, times | zeros of both signs are one float there; decimals are floats |
//! | comparison of a float | with a literal that is neither 0 nor NaN | as above |
//! | `+ - *` of whole numbers | where by types and literals nothing can leave the type | DataFusion wraps, SQLite goes on in floats |
//! | `/ %` of whole numbers | by a literal but 0 and −1 | by zero it makes NULL there |
//! | decimals | IS NULL, count | they are floats there, and so is what is made of them |
//! | casts | to wider whole numbers, whole numbers to floats and text | rounding, overflow, spelling |
//! | `LIKE` | a literal pattern without a backslash, by a function of ours | SQLite's own knows no case of ASCII letters |
//! | `sum` | whole numbers, wrapped as here by a function of ours | SQLite's own raises; floats in another order |
//! | `avg` | whole numbers as floats | |
//! | `min`, `max` | what has an order, but truth | DataFusion has no such order |
//! | grouping sets | never | SQLite has none |
//! | `date_part` | whole parts of dates, by a function of ours | |
//! | text functions | by functions of ours, but for `\|\|`, `concat` and `octet_length` | SQLite's own end at a NUL character |

use arrow::datatypes::DataType;
use datafusion_expr::expr::{AggregateFunction, BinaryExpr, Cast, InList, ScalarFunction};
use datafusion_expr::{Expr, Operator};

use super::Accepts;
use super::classes::{
    self, Class, case_means_the_same, class_of, comparable, has_plain_pattern, is_part, is_safe_divisor,
    is_whole_number, position, refusal,
};
use crate::statement::digits::{range, range_of};
use crate::statement::refusal::Refusal;
use crate::statement::types::Types;

const SCALAR_FUNCTIONS: &[&str] =
    &["character_length coalesce concat date_part nullif octet_length starts_with substr"];

const AGGREGATE_FUNCTIONS: &[&str] = &["avg bool_and bool_or count max min sum"];

/// The parts of a date that `date_part` gives as whole numbers.
const DATE_PARTS: &[&str] = &["year", "quarter", "month", "day"];

impl Accepts {
    /// What a SQLite database takes.
    pub fn sqlite() -> Self {
        Self::of_database(SCALAR_FUNCTIONS, AGGREGATE_FUNCTIONS)
    }
}

/// The class of an expression that is computed with; decimals are not.
fn class(expr: &Expr, types: &Types) -> Option<Class> {
    classes::class(expr, types).filter(|class| *class != Class::Decimal)
}

/// Whether `expr`, whose parts are asked for each, means the same on both sides.
pub(in crate::statement) fn admit(expr: &Expr, types: &Types) -> Result<(), Refusal> {
    let is = |expr: &Expr, expect: Class| class(expr, types) == Some(expect);
    let same = |left: &Expr, right: &Expr| class(left, types).is_some() && comparable(left, right, types);
    let admitted = match expr {
        // Their parts are asked, or their values: a column may be passed on whatever it is.
        Expr::Alias(_) | Expr::Column(_) | Expr::Literal(..) | Expr::Placeholder(_) => true,
        Expr::IsNull(inner) | Expr::IsNotNull(inner) => classes::class(inner, types).is_some(),
        Expr::Not(inner)
        | Expr::IsTrue(inner)
        | Expr::IsNotTrue(inner)
        | Expr::IsFalse(inner)
        | Expr::IsNotFalse(inner) => is(inner, Class::Truth),
        Expr::BinaryExpr(binary) => binary_means_the_same(expr, binary, types),
        Expr::Negative(_) => range(expr, types).is_some(),
        Expr::Like(like) => is(&like.expr, Class::Text) && has_plain_pattern(like),
        Expr::Between(between) => same(&between.expr, &between.low) && same(&between.expr, &between.high),
        Expr::Case(case) => class(expr, types).is_some() && case_means_the_same(expr, case, types),
        Expr::Cast(cast) => cast_means_the_same(cast, types),
        Expr::InList(InList { expr, list, .. }) => list.iter().all(|member| same(expr, member)),
        Expr::ScalarFunction(function) => call_means_the_same(function, types),
        Expr::AggregateFunction(function) => aggregate_means_the_same(function, types),
        _ => false,
    };
    if admitted { Ok(()) } else { Err(refusal(expr, types)) }
}

/// Whether `expr` is equal to another, and ordered among others, alike on both sides.
pub(in crate::statement) fn admit_key(expr: &Expr, types: &Types) -> Result<(), Refusal> {
    if classes::class(expr, types) == Some(Class::Decimal) {
        return Err(Refusal::new("key", "is a decimal, which is a float there"));
    }
    classes::admit_key(expr, types)
}

fn binary_means_the_same(expr: &Expr, binary: &BinaryExpr, types: &Types) -> bool {
    let BinaryExpr { left, op, right } = binary;
    let (over, other) = (class(left, types), class(right, types));
    let both = |expect: Class| over == Some(expect) && other == Some(expect);
    match op {
        Operator::And | Operator::Or => both(Class::Truth),
        Operator::Eq | Operator::NotEq | Operator::Lt | Operator::LtEq | Operator::Gt | Operator::GtEq => {
            over.is_some() && comparable(left, right, types)
        }
        Operator::IsDistinctFrom | Operator::IsNotDistinctFrom => {
            !matches!(over, None | Some(Class::Float)) && comparable(left, right, types)
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
        (Some(Class::Whole), Some(Class::Whole)) => match (range(&cast.expr, types), range_of(to)) {
            (Some((low, high)), Some((least, most))) => least <= low && high <= most,
            _ => false,
        },
        (Some(Class::Whole), Some(Class::Float)) => to == &DataType::Float64,
        (Some(Class::Whole), Some(Class::Text)) => true,
        (Some(from), Some(into)) => from == into && types.of(&cast.expr).as_ref() == Some(to),
        _ => false,
    }
}

fn call_means_the_same(function: &ScalarFunction, types: &Types) -> bool {
    let all = |expect: Class| function.args.iter().all(|arg| class(arg, types) == Some(expect));
    match (function.name(), function.args.as_slice()) {
        ("character_length" | "octet_length", [_]) | ("concat", [_, ..]) | ("starts_with", [_, _]) => all(Class::Text),
        ("coalesce", [first, _, ..]) => class(first, types).is_some_and(all),
        ("nullif", [left, right]) => {
            !matches!(class(left, types), None | Some(Class::Float)) && comparable(left, right, types)
        }
        ("substr", [text, places @ ..]) => {
            let is_placed = match places {
                [start] => position(start, 1).is_some(),
                [start, count] => position(start, 1).is_some() && position(count, 0).is_some(),
                _ => false,
            };
            class(text, types) == Some(Class::Text) && is_placed
        }
        ("date_part", [part, of]) => class(of, types) == Some(Class::Date) && is_part(part, DATE_PARTS),
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
        "count" if params.distinct => admit_key(arg, types).is_ok(),
        "count" => classes::class(arg, types).is_some(),
        "sum" => over == Some(Class::Whole),
        "avg" => !params.distinct && over == Some(Class::Float) && is_whole_number(arg, types),
        "min" | "max" => !matches!(over, None | Some(Class::Truth | Class::Float)),
        "bool_and" | "bool_or" => over == Some(Class::Truth),
        _ => false,
    }
}
