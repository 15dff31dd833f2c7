//! Which filters the server evaluates: those on whose every value it agrees with DataFusion, and no others.
//!
//! Agreed: three-valued logic, `IS NULL`, comparisons of booleans, whole numbers, decimals, dates and timestamps with values
//! of the same type; equality of text byte by byte, under `COLLATE "C"` (the server has no text with a NUL byte, and none that
//! equals one). Not agreed, so evaluated at the site: floating point
//! (the server takes −0 and 0 for equal), the order of text (in a database of another encoding), and all that computes.

use arrow::datatypes::{DataType, Decimal128Type, DecimalType, Schema, TimeUnit};
use arrow::temporal_conversions::{date32_to_datetime, timestamp_us_to_datetime};
use datafusion_common::ScalarValue;
use datafusion_expr::expr::InList;
use datafusion_expr::{Between, BinaryExpr, Expr, Operator};

use super::select::quoted;

/// `filter` over columns as they are served, if the server decides it for every row as DataFusion does.
pub(super) fn printable_filter(filter: &Expr, schema: &Schema) -> Option<String> {
    let printed = |part: &Expr| printable_filter(part, schema);
    match filter {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::And, right }) => {
            Some(format!("({} AND {})", printed(left)?, printed(right)?))
        }
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Or, right }) => {
            Some(format!("({} OR {})", printed(left)?, printed(right)?))
        }
        Expr::BinaryExpr(BinaryExpr { left, op: op @ (Operator::Eq | Operator::NotEq), right }) if has_nul(right) => {
            let listed = vec![right.as_ref().clone()];
            print_in_list(&InList::new(left.clone(), listed, *op == Operator::NotEq), schema)
        }
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
            let (sign, comparison) = comparison_of(*op)?;
            Some(format!("({})", terms(&[left, right], comparison, schema)?.join(sign)))
        }
        Expr::Not(part) => Some(format!("(NOT {})", printed(part)?)),
        Expr::IsNull(part) => Some(format!("({} IS NULL)", column(part, schema)?)),
        Expr::IsNotNull(part) => Some(format!("({} IS NOT NULL)", column(part, schema)?)),
        Expr::IsTrue(part) => Some(format!("({} IS TRUE)", printed(part)?)),
        Expr::IsFalse(part) => Some(format!("({} IS FALSE)", printed(part)?)),
        Expr::IsNotTrue(part) => Some(format!("({} IS NOT TRUE)", printed(part)?)),
        Expr::IsNotFalse(part) => Some(format!("({} IS NOT FALSE)", printed(part)?)),
        Expr::Between(between) => print_between(between, schema),
        Expr::InList(list) => print_in_list(list, schema),
        Expr::Column(_) if *type_of(filter, schema)? == DataType::Boolean => column(filter, schema),
        _ => None,
    }
}

/// What a comparison asks of its values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Equality,
    Order,
}

fn comparison_of(operator: Operator) -> Option<(&'static str, Comparison)> {
    match operator {
        Operator::Eq => Some((" = ", Comparison::Equality)),
        Operator::NotEq => Some((" <> ", Comparison::Equality)),
        Operator::Lt => Some((" < ", Comparison::Order)),
        Operator::LtEq => Some((" <= ", Comparison::Order)),
        Operator::Gt => Some((" > ", Comparison::Order)),
        Operator::GtEq => Some((" >= ", Comparison::Order)),
        _ => None,
    }
}

fn print_between(between: &Between, schema: &Schema) -> Option<String> {
    let terms = terms(&[&between.expr, &between.low, &between.high], Comparison::Order, schema)?;
    let [value, low, high] = terms.as_slice() else { return None };
    let not = if between.negated { "NOT " } else { "" };
    Some(format!("({value} {not}BETWEEN {low} AND {high})"))
}

fn print_in_list(list: &InList, schema: &Schema) -> Option<String> {
    let (impossible, possible): (Vec<&Expr>, Vec<&Expr>) = list.list.iter().partition(|listed| has_nul(listed));
    if possible.is_empty() && !impossible.is_empty() {
        return print_in_none(list, schema);
    }
    let all: Vec<&Expr> = std::iter::once(list.expr.as_ref()).chain(possible).collect();
    let terms = terms(&all, Comparison::Equality, schema)?;
    let (value, listed) = terms.split_first()?;
    let not = if list.negated { "NOT " } else { "" };
    (!listed.is_empty()).then(|| format!("({value} {not}IN ({}))", listed.join(", ")))
}

/// Of a text among values of which the server has none: never, and unknown for NULL.
fn print_in_none(list: &InList, schema: &Schema) -> Option<String> {
    let value = terms(&[&list.expr], Comparison::Equality, schema)?.concat();
    let sign = if list.negated { "=" } else { "<>" };
    (*type_of(&list.expr, schema)? == DataType::Utf8).then(|| format!("({value} {sign} {value})"))
}

fn has_nul(part: &Expr) -> bool {
    matches!(part, Expr::Literal(ScalarValue::Utf8(Some(text)), _) if text.contains('\0'))
}

/// Columns and values of one type that both engines compare alike; at least one is a column.
fn terms(parts: &[&Expr], comparison: Comparison, schema: &Schema) -> Option<Vec<String>> {
    let mut types = parts.iter().filter_map(|part| type_of(part, schema));
    let shared = types.next()?;
    if types.any(|other| other != shared) || !is_compared_alike(shared, comparison) {
        return None;
    }
    parts.iter().map(|part| term(part, shared, schema)).collect()
}

fn is_compared_alike(data_type: &DataType, comparison: Comparison) -> bool {
    match data_type {
        DataType::Boolean
        | DataType::Int16
        | DataType::Int32
        | DataType::Int64
        | DataType::Decimal128(..)
        | DataType::Date32
        | DataType::Timestamp(TimeUnit::Microsecond, _) => true,
        DataType::Utf8 => comparison == Comparison::Equality,
        _ => false,
    }
}

fn term(part: &Expr, data_type: &DataType, schema: &Schema) -> Option<String> {
    match part {
        Expr::Literal(value, _) if value.data_type() == *data_type => literal(value),
        Expr::Column(_) if *data_type == DataType::Utf8 => Some(format!("{} COLLATE \"C\"", column(part, schema)?)),
        Expr::Column(_) => column(part, schema),
        _ => None,
    }
}

fn type_of<'a>(part: &Expr, schema: &'a Schema) -> Option<&'a DataType> {
    let Expr::Column(column) = part else { return None };
    schema.field_with_name(&column.name).ok().map(|field| field.data_type())
}

fn column(part: &Expr, schema: &Schema) -> Option<String> {
    let Expr::Column(column) = part else { return None };
    schema.field_with_name(&column.name).ok().map(|field| quoted(field.name()))
}

/// A value with its type; NULL and what the server has no form for are none.
fn literal(value: &ScalarValue) -> Option<String> {
    let typed = |text: String, name: &str| Some(format!("'{text}'::{name}"));
    match value {
        ScalarValue::Boolean(Some(true)) => Some("TRUE".to_owned()),
        ScalarValue::Boolean(Some(false)) => Some("FALSE".to_owned()),
        ScalarValue::Int16(Some(number)) => typed(number.to_string(), "int2"),
        ScalarValue::Int32(Some(number)) => typed(number.to_string(), "int4"),
        ScalarValue::Int64(Some(number)) => typed(number.to_string(), "int8"),
        ScalarValue::Decimal128(Some(number), precision, scale) => {
            typed(Decimal128Type::format_decimal(*number, *precision, *scale), "numeric")
        }
        ScalarValue::Date32(Some(days)) => typed(of_this_era(&date32_to_datetime(*days)?.date().to_string())?, "date"),
        ScalarValue::TimestampMicrosecond(Some(micros), None) => {
            typed(of_this_era(&timestamp_us_to_datetime(*micros)?.to_string())?, "timestamp")
        }
        ScalarValue::TimestampMicrosecond(Some(micros), Some(_)) => {
            typed(format!("{}+00", of_this_era(&timestamp_us_to_datetime(*micros)?.to_string())?), "timestamptz")
        }
        ScalarValue::Utf8(Some(text)) if !text.contains('\0') => Some(format!("'{}'", text.replace('\'', "''"))),
        _ => None,
    }
}

/// Dates of the years 1 to 9999, which both write alike.
fn of_this_era(text: &str) -> Option<String> {
    let year = text.split('-').next()?;
    (year.len() == 4 && year != "0000").then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::{Field, IntervalUnit};
    use datafusion_expr::{cast, col, ident, lit};

    use super::*;

    fn check(filter: Expr, expect: Option<&str>) {
        let schema = Schema::new(vec![
            Field::new("id", DataType::Int64, true),
            Field::new("small", DataType::Int16, true),
            Field::new("paid", DataType::Boolean, true),
            Field::new("名", DataType::Utf8, true),
            Field::new("Ratio", DataType::Float64, true),
            Field::new("day", DataType::Date32, true),
            Field::new("at", DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), true),
            Field::new("amount", DataType::Decimal128(10, 2), true),
            Field::new("span", DataType::Interval(IntervalUnit::MonthDayNano), true),
        ]);
        assert_eq!(printable_filter(&filter, &schema).as_deref(), expect, "{filter}");
    }

    #[test]
    fn what_both_engines_agree_on_is_printed() {
        check(col("id").gt(lit(-1_i64)), Some("(\"id\" > '-1'::int8)"));
        check(lit(1_i64).lt_eq(col("id")), Some("('1'::int8 <= \"id\")"));
        check(ident("名").eq(lit("it's")), Some("(\"名\" COLLATE \"C\" = 'it''s')"));
        check(ident("名").not_eq(lit("\\")), Some("(\"名\" COLLATE \"C\" <> '\\')"));
        check(ident("名").in_list(vec![lit("a"), lit("b")], true), Some("(\"名\" COLLATE \"C\" NOT IN ('a', 'b'))"));
        check(ident("名").eq(lit("a\0")), Some("(\"名\" COLLATE \"C\" <> \"名\" COLLATE \"C\")"));
        check(ident("名").in_list(vec![lit("\0")], true), Some("(\"名\" COLLATE \"C\" = \"名\" COLLATE \"C\")"));
        check(ident("名").in_list(vec![lit("a"), lit("\0")], false), Some("(\"名\" COLLATE \"C\" IN ('a'))"));
        check(col("id").between(lit(1_i64), lit(2_i64)), Some("(\"id\" BETWEEN '1'::int8 AND '2'::int8)"));
        check(col("paid").is_true().or(col("span").is_null()), Some("((\"paid\" IS TRUE) OR (\"span\" IS NULL))"));
        check(!col("paid"), Some("(NOT \"paid\")"));
        check(col("day").eq(lit(ScalarValue::Date32(Some(19_782)))), Some("(\"day\" = '2024-02-29'::date)"));
        let at = ScalarValue::TimestampMicrosecond(Some(1_500_000), Some("UTC".into()));
        check(col("at").lt(lit(at)), Some("(\"at\" < '1970-01-01 00:00:01.500+00'::timestamptz)"));
        check(
            col("amount").gt_eq(lit(ScalarValue::Decimal128(Some(-5), 10, 2))),
            Some("(\"amount\" >= '-0.05'::numeric)"),
        );
        check(ident("Ratio").is_not_null(), Some("(\"Ratio\" IS NOT NULL)"));
    }

    #[test]
    fn all_else_is_left_to_the_site() {
        check(ident("Ratio").lt(lit(0.0)), None);
        check(ident("名").lt(lit("b")), None);
        check(ident("名").lt(lit("a\0")), None);
        check(col("id").eq(lit("a\0")), None);
        check(col("id").eq(lit(1_i32)), None);
        check(col("id").eq(lit(ScalarValue::Int64(None))), None);
        check(cast(col("small"), DataType::Int64).eq(col("id")), None);
        check((col("id") + lit(1_i64)).eq(lit(1_i64)), None);
        check(col("id").in_list(vec![], false), None);
        check(lit(1_i64).eq(lit(1_i64)), None);
        check(col("day").eq(lit(ScalarValue::Date32(Some(4_000_000)))), None);
        check(col("id").gt(lit(1_i64)).and(ident("Ratio").gt(lit(1.0))), None);
        check(col("span").eq(col("span")), None);
    }
}
