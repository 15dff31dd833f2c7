//! What MySQL and MariaDB evaluate as DataFusion does: the one list, by expression and by the types it stands over. What is
//! not named here is evaluated at the site.
//!
//! | expression | allowed | why not the rest |
//! |---|---|---|
//! | `= <> < <= > >= BETWEEN IN <=>` | truth, whole and decimal numbers, text by bytes, bytes, dates, times | floats: here -0 is less than 0, there they are equal |
//! | comparison of a float | with a literal that is neither 0 nor NaN | as above |
//! | keys of groups, orders, DISTINCT | the same, but text and bytes only up to what there is sorted by | of what is longer only the first bytes count there |
//! | `+ - *` of whole numbers | where by types and literals nothing can leave the type | DataFusion wraps, the server raises |
//! | `+ - *` of decimals | where the scale of the result is exact, and at most 30 digits | the server rounds what has more |
//! | `/ %` of whole numbers | by a literal but 0 and -1; `/` is `DIV` there | a division by zero is NULL there |
//! | division of decimals, arithmetic of floats and dates | never | other scales and rounding; NULL or an error for infinity; other types |
//! | casts | to wider numbers of the same exactness, whole numbers to doubles and text | rounding; truth is a number there; what does not fit is cut to the largest that does |
//! | `LIKE` | a literal pattern without a backslash | |
//! | `CASE`, `coalesce`, `nullif` | results of one class, but moments and floats of 32 bits | those become other types there |
//! | `sum` | whole numbers (wrapped as here) and decimals | floats are added in another order |
//! | `avg` | decimals of up to 6 digits after the point, truncated as here; whole numbers as floats | there are 30 digits to divide in |
//! | `min`, `max` | what has an order, but truth and bytes | truth is a number there |
//! | `date_part` | whole parts of dates and of times without a zone | seconds have fractions there |
//! | joins | with an equality of other values than text | the server would compare each row with each |
//! | full joins, `VALUES`, aggregates with FILTER | never | they are not there |

use arrow::datatypes::DataType;
use datafusion_expr::expr::{AggregateFunction, BinaryExpr, Case, Cast, InList, ScalarFunction};
use datafusion_expr::{Expr, Operator};

use super::Accepts;
use super::classes::{
    self, Class, average, case_means_the_same, class, class_of, comparable, has_exact_scale, has_plain_pattern,
    is_part, is_safe_divisor, is_whole_number, keeps_digits, position, refusal,
};
use crate::statement::digits::{range, range_of, scale_of};
use crate::statement::refusal::Refusal;
use crate::statement::types::Types;

/// Operators of SQL databases that these do not say alike.
const NOT_THERE: &[&str] = &["empty relation", "values"];

const SCALAR_FUNCTIONS: &[&str] = &["character_length coalesce concat date_part nullif octet_length substr"];

const AGGREGATE_FUNCTIONS: &[&str] = &["avg bool_and bool_or count max min sum"];

/// The parts of a date that are whole numbers on both sides.
const DATE_PARTS: &[&str] = &["year", "quarter", "month", "day"];

/// The parts of a time of day, likewise.
const TIME_PARTS: &[&str] = &["hour", "minute"];

/// The digits after the point that both servers keep.
const SCALE_MAX: u32 = 30;

/// By how many digits a quotient is longer than what is kept of it: as many as no count of rows has.
pub(in crate::statement) const QUOTIENT_DIGITS: usize = 20;

impl Accepts {
    /// What a MySQL or MariaDB server takes.
    pub fn mysql() -> Self {
        let mut accepts = Self::of_database(SCALAR_FUNCTIONS, AGGREGATE_FUNCTIONS);
        accepts.operators.retain(|operator| !NOT_THERE.contains(&operator.as_str()));
        accepts
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
        Expr::Case(case) => chooses_the_same(expr, case, types),
        Expr::Cast(cast) => cast_means_the_same(cast, types),
        Expr::InList(InList { expr, list, .. }) => list.iter().all(|member| comparable(expr, member, types)),
        Expr::ScalarFunction(function) => call_means_the_same(expr, function, types),
        Expr::AggregateFunction(function) => aggregate_means_the_same(function, types),
        _ => false,
    };
    if admitted { Ok(()) } else { Err(refusal(expr, types)) }
}

/// Whether `expr` is equal to others, and ordered among them, alike on both sides.
pub(in crate::statement) fn admit_key(expr: &Expr, types: &Types) -> Result<(), Refusal> {
    if types.is_long(expr) {
        return Err(Refusal::new("key", "may be longer than what is sorted by there"));
    }
    classes::admit_key(expr, types)
}

/// Whether a value of this type that the server chooses among others is still of this type.
fn keeps_type(data_type: Option<&DataType>) -> bool {
    let class = data_type.and_then(class_of);
    !matches!(class, None | Some(Class::Moment)) && data_type != Some(&DataType::Float32)
}

fn binary_means_the_same(expr: &Expr, binary: &BinaryExpr, types: &Types) -> bool {
    let BinaryExpr { left, op, right } = binary;
    let both = |expect: Class| class(left, types) == Some(expect) && class(right, types) == Some(expect);
    match op {
        Operator::And | Operator::Or => both(Class::Truth),
        Operator::Eq | Operator::NotEq | Operator::Lt | Operator::LtEq | Operator::Gt | Operator::GtEq => {
            comparable(left, right, types)
        }
        Operator::IsNotDistinctFrom => comparable(left, right, types) && class(left, types) != Some(Class::Float),
        Operator::Plus | Operator::Minus | Operator::Multiply if both(Class::Decimal) => {
            has_exact_scale(expr, binary, types) && scale_of(expr, types).is_some_and(|scale| scale <= SCALE_MAX)
        }
        Operator::Plus | Operator::Minus | Operator::Multiply => both(Class::Whole) && range(expr, types).is_some(),
        Operator::Divide | Operator::Modulo => both(Class::Whole) && is_safe_divisor(right),
        Operator::StringConcat => both(Class::Text),
        _ => false,
    }
}

fn chooses_the_same(expr: &Expr, case: &Case, types: &Types) -> bool {
    keeps_type(types.of(expr).as_ref()) && case_means_the_same(expr, case, types)
}

fn cast_means_the_same(cast: &Cast, types: &Types) -> bool {
    let (from, to) = (class(&cast.expr, types), cast.field.data_type());
    match (from, class_of(to)) {
        (Some(Class::Whole | Class::Decimal), Some(Class::Decimal)) => keeps_digits(&cast.expr, to, types),
        (Some(Class::Whole), Some(Class::Whole)) => match (range(&cast.expr, types), range_of(to)) {
            (Some((low, high)), Some((least, most))) => least <= low && high <= most,
            _ => false,
        },
        (Some(Class::Whole), Some(Class::Text)) => true,
        (Some(Class::Whole | Class::Float), Some(Class::Float)) => to == &DataType::Float64,
        (Some(from), Some(into)) => from == into && keeps_type(Some(to)) && types.of(&cast.expr).as_ref() == Some(to),
        _ => false,
    }
}

fn call_means_the_same(expr: &Expr, function: &ScalarFunction, types: &Types) -> bool {
    let all = |expect: Class| function.args.iter().all(|arg| class(arg, types) == Some(expect));
    match (function.name(), function.args.as_slice()) {
        ("character_length" | "octet_length", [_]) | ("concat", [_, ..]) => all(Class::Text),
        ("coalesce", [first, rest @ ..]) => {
            let first = class(first, types);
            first.is_some() && keeps_type(types.of(expr).as_ref()) && rest.iter().all(|arg| class(arg, types) == first)
        }
        ("nullif", [left, right]) => {
            keeps_type(types.of(expr).as_ref())
                && comparable(left, right, types)
                && class(left, types) != Some(Class::Float)
        }
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
    if !params.order_by.is_empty() || params.null_treatment.is_some() || params.filter.is_some() {
        return false;
    }
    let [arg] = params.args.as_slice() else { return false };
    let over = class(arg, types);
    match function.func.name() {
        "count" => !params.distinct || admit_key(arg, types).is_ok(),
        "sum" => matches!(over, Some(Class::Whole | Class::Decimal)),
        "avg" if params.distinct => false,
        "avg" => match over {
            Some(Class::Decimal) => average(arg, types).is_some_and(|(_, scale)| {
                u32::try_from(scale + QUOTIENT_DIGITS).is_ok_and(|digits| digits <= SCALE_MAX)
            }),
            Some(Class::Float) => is_whole_number(arg, types),
            _ => false,
        },
        "min" | "max" => !matches!(over, None | Some(Class::Truth | Class::Float | Class::Bytes)),
        "bool_and" | "bool_or" => over == Some(Class::Truth),
        _ => false,
    }
}
