//! PostgreSQL's dialect: its own types, text that compares by bytes, and every value of exactly the type that it has in
//! the plan.

use std::fmt::Write;

use arrow::datatypes::{DataType, TimeUnit};
use datafusion_common::{Column, JoinType, ScalarValue, TableReference};
use datafusion_expr::expr::{AggregateFunction, BinaryExpr, ScalarFunction};
use datafusion_expr::{Expr, Operator};

use super::{AggregateCall, DataFusion, Dialect, Place};
use crate::statement::allow::postgres::{self as allow, Class};
use crate::statement::digits::{digits, range};
use crate::statement::refusal::Refusal;
use crate::statement::types::{Origin, Stored, StoredColumns, Types};

/// PostgreSQL 12 or later, over tables that store their columns as `stored` tells.
///
/// Text: a column of a table is said `COLLATE "C"`, so that whatever is made of it compares by bytes, and so is every
/// text that leaves a step; only a test of a column against literals is not, for equality is of bytes in any case and an
/// index may answer it.
#[derive(Debug)]
pub(in crate::statement) struct Postgres<'a> {
    pub(in crate::statement) stored: &'a StoredColumns,
}

/// Functions that PostgreSQL's grammar knows as words.
const WORDS: &[&str] = &["coalesce", "nullif"];

/// Whole numbers up to this are the sums of as many rows as no table has.
const SUMMAND_MAX: i128 = 1 << 31;

impl Dialect for Postgres<'_> {
    fn identifier(&self, name: &str) -> String {
        DataFusion.identifier(name)
    }

    fn text(&self, value: &str) -> String {
        DataFusion.text(value)
    }

    /// Without a backslash, whatever the server takes one for.
    fn bytes(&self, value: &[u8]) -> String {
        let mut hex = String::with_capacity(value.len() * 2);
        for byte in value {
            // Writing to a string cannot fail.
            let _ = write!(hex, "{byte:02x}");
        }
        format!("decode('{hex}', 'hex')")
    }

    fn literal(&self, value: &ScalarValue) -> Result<String, Refusal> {
        let data_type = value.data_type();
        if value.is_null() {
            return self.cast("NULL", &data_type);
        }
        match value {
            ScalarValue::Boolean(Some(truth)) => Ok(if *truth { "TRUE" } else { "FALSE" }.to_owned()),
            ScalarValue::Utf8(Some(text)) if text.contains('\0') => {
                Err(Refusal::new("literal", "holds a character that PostgreSQL does not store"))
            }
            ScalarValue::Utf8(Some(text)) => Ok(self.text(text)),
            ScalarValue::Binary(Some(bytes)) => Ok(self.bytes(bytes)),
            ScalarValue::Int32(Some(number)) if *number >= 0 => Ok(number.to_string()),
            value => self.cast(&self.text(&words(value)?), &data_type),
        }
    }

    fn cast(&self, printed: &str, to: &DataType) -> Result<String, Refusal> {
        Ok(format!("CAST({printed} AS {})", type_name(to)?))
    }

    fn try_cast(&self, _printed: &str, _to: &DataType) -> Result<String, Refusal> {
        Err(Refusal::new("try_cast", "is not there"))
    }

    fn operator(&self, operator: Operator) -> Result<&'static str, Refusal> {
        DataFusion.operator(operator)
    }

    fn function(&self, name: &str) -> String {
        if WORDS.contains(&name) { name.to_uppercase() } else { self.identifier(name) }
    }

    fn join(&self, kind: JoinType) -> Result<&'static str, Refusal> {
        match kind {
            JoinType::Inner | JoinType::Left | JoinType::Right | JoinType::Full => DataFusion.join(kind),
            _ => Err(Refusal::new("join", "is not a FROM item there")),
        }
    }

    fn says_existence(&self, kind: JoinType) -> bool {
        matches!(kind, JoinType::LeftSemi | JoinType::LeftAnti)
    }

    fn stored(&self, table: &TableReference, column: &str) -> Stored {
        self.stored.of(table, column)
    }

    fn admit(&self, expr: &Expr, types: &Types) -> Result<(), Refusal> {
        allow::admit(expr, types)
    }

    fn admit_key(&self, expr: &Expr, types: &Types) -> Result<(), Refusal> {
        match expr {
            Expr::GroupingSet(_) => Err(Refusal::new("grouping set", "is numbered otherwise there")),
            expr => allow::admit_key(expr, types),
        }
    }

    /// A full join needs keys, and nothing else, in PostgreSQL.
    fn admit_join(&self, kind: JoinType, on: &[Expr]) -> Result<(), Refusal> {
        if kind == JoinType::Full && (on.is_empty() || !on.iter().all(is_key_of_two)) {
            return Err(Refusal::new("join", "is full, under a condition that is not of keys"));
        }
        Ok(())
    }

    fn column(&self, printed: String, column: &Column, place: Place, types: &Types) -> String {
        let printed = match types.origin(column) {
            Some(Origin::Table(Stored::Cast(to))) => format!("CAST({printed} AS {to})"),
            Some(Origin::Table(Stored::Plain) | Origin::Values) => printed,
            Some(Origin::Table(Stored::Opaque) | Origin::Step | Origin::OpaqueStep) | None => return printed,
        };
        let is_text = allow::class(&Expr::Column(column.clone()), types) == Some(Class::Text);
        if is_text && place == Place::Anywhere { by_bytes(&printed) } else { printed }
    }

    fn ordered(&self, printed: String, expr: &Expr, types: &Types) -> String {
        let is_text = allow::class(expr, types) == Some(Class::Text);
        if is_text && !matches!(expr, Expr::Column(_)) { by_bytes(&printed) } else { printed }
    }

    /// Decimals are exact there however long they grow; here they have the digits of their type.
    fn computed(&self, printed: String, expr: &Expr, types: &Types) -> Result<String, Refusal> {
        match (expr, types.of(expr)) {
            (Expr::BinaryExpr(_), Some(to @ DataType::Decimal128(precision, _)))
                if digits(expr, types).is_none_or(|digits| digits > u32::from(precision)) =>
            {
                self.cast(&printed, &to)
            }
            _ => Ok(printed),
        }
    }

    fn output(&self, printed: String, expr: &Expr, types: &Types) -> Result<String, Refusal> {
        if matches!(expr, Expr::Column(_)) {
            return Ok(printed);
        }
        let to = types.of(expr).ok_or_else(|| Refusal::new("projection", "has a column without a type"))?;
        match (expr, allow::class_of(&to)) {
            (_, None) => Err(Refusal::new("projection", format!("makes {to}, which is not there"))),
            (_, Some(Class::Text)) => Ok(by_bytes(&printed)),
            (Expr::Literal(..) | Expr::Cast(_) | Expr::AggregateFunction(_), _) | (_, Some(Class::Truth)) => {
                Ok(printed)
            }
            _ if printed.starts_with("CAST(") => Ok(printed),
            _ => self.cast(&printed, &to),
        }
    }

    fn scalar_call(&self, function: &ScalarFunction, args: Vec<String>) -> Result<String, Refusal> {
        let name = self.function(function.name());
        match (function.name(), function.args.as_slice(), args.as_slice()) {
            // The positions are of a shorter type there.
            ("substr", [_, positions @ ..], [text, ..]) => {
                let positions = positions.iter().filter_map(|arg| allow::position(arg, 0)).map(|at| at.to_string());
                let args: Vec<String> = std::iter::once(text.clone()).chain(positions).collect();
                Ok(format!("{name}({})", args.join(", ")))
            }
            ("date_part", [part, _], [_, of]) => self.date_part(part, of),
            _ => Ok(format!("{name}({})", args.join(", "))),
        }
    }

    fn aggregate_call(
        &self,
        call: &AggregateCall,
        function: &AggregateFunction,
        types: &Types,
    ) -> Result<String, Refusal> {
        let printed = call.print(&call.name);
        let Some(arg) = function.params.args.first() else { return Ok(printed) };
        match (call.name.as_str(), allow::class(arg, types)) {
            ("sum", Some(Class::Whole)) => Ok(whole_sum(&printed, arg, types)),
            ("sum", Some(Class::Decimal)) => {
                let to = types.of(&Expr::AggregateFunction(function.clone()));
                self.cast(&printed, &to.ok_or_else(|| Refusal::new("sum", "has no type"))?)
            }
            ("avg", Some(Class::Decimal)) => self.decimal_average(call, arg, types),
            _ => Ok(printed),
        }
    }
}

impl Postgres<'_> {
    /// A part of a date, which is a float there; years before the first have no zeroth among them there.
    fn date_part(&self, part: &Expr, of: &str) -> Result<String, Refusal> {
        let Expr::Literal(ScalarValue::Utf8(Some(part)), _) = part else {
            return Err(Refusal::new("date_part", "its part is not a literal"));
        };
        let part = part.to_lowercase();
        let call = format!("date_part({}, {of})", self.text(&part));
        let call = match part.as_str() {
            "year" => format!("({call} + CASE WHEN ({call} < 0) THEN 1 ELSE 0 END)"),
            _ => call,
        };
        self.cast(&call, &DataType::Int32)
    }

    /// The sum divided by the count and cut off after the digits that the type has, as DataFusion does; there a division
    /// of decimals would round.
    fn decimal_average(&self, call: &AggregateCall, arg: &Expr, types: &Types) -> Result<String, Refusal> {
        let (to, scale) =
            allow::average(arg, types).ok_or_else(|| Refusal::new("avg", "has more digits than its type"))?;
        let (sum, count) = (call.print("sum"), call.print("count"));
        let zeros = "0".repeat(scale);
        let unit = format!("0.{}1", "0".repeat(scale.saturating_sub(1)));
        self.cast(&format!("div({sum} * 1{zeros}, {count}) * {unit}"), &to)
    }
}

/// A sum of whole numbers, of any length there, as the number of 64 bits that it wraps to here.
fn whole_sum(sum: &str, arg: &Expr, types: &Types) -> String {
    const HALF: i128 = 1 << 63;
    const WHOLE: i128 = 1 << 64;
    match range(arg, types) {
        Some((low, high)) if low >= -SUMMAND_MAX && high <= SUMMAND_MAX => format!("CAST({sum} AS bigint)"),
        _ => format!("CAST(mod(mod({sum} + {HALF}, {WHOLE}) + {WHOLE}, {WHOLE}) - {HALF} AS bigint)"),
    }
}

fn by_bytes(printed: &str) -> String {
    const COLLATION: &str = " COLLATE \"C\"";
    if printed.ends_with(COLLATION) { printed.to_owned() } else { format!("{printed}{COLLATION}") }
}

/// Whether a condition equates columns of different FROM items.
fn is_key_of_two(condition: &Expr) -> bool {
    let items = |expr: &Expr| -> Vec<String> {
        let of_step = |name: &str| name.split('_').next().unwrap_or_default().to_owned();
        let item = |column: &Column| {
            column.relation.as_ref().map_or_else(|| of_step(&column.name), |relation| relation.to_string())
        };
        expr.column_refs().into_iter().map(item).collect()
    };
    let Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) = condition else { return false };
    let (left, right) = (items(left), items(right));
    !left.is_empty() && !right.is_empty() && left.iter().all(|item| !right.contains(item))
}

/// The name of the type that holds the same values.
fn type_name(data_type: &DataType) -> Result<String, Refusal> {
    let name = match data_type {
        DataType::Boolean => "boolean",
        DataType::Int16 => "smallint",
        DataType::Int32 => "integer",
        DataType::Int64 => "bigint",
        DataType::Float32 => "real",
        DataType::Float64 => "double precision",
        DataType::Decimal128(precision, scale) if *scale >= 0 => return Ok(format!("numeric({precision}, {scale})")),
        DataType::Utf8 => "text",
        DataType::Binary => "bytea",
        DataType::Date32 => "date",
        DataType::Time64(TimeUnit::Microsecond) => "time",
        DataType::Timestamp(TimeUnit::Microsecond, None) => "timestamp",
        moment if allow::class_of(moment) == Some(Class::Moment) => "timestamp with time zone",
        other => return Err(Refusal::new(other.to_string(), "is a type that PostgreSQL does not have")),
    };
    Ok(name.to_owned())
}

/// A number, a date or a time in words that both sides read alike.
fn words(value: &ScalarValue) -> Result<String, Refusal> {
    let refuse = || Refusal::new("literal", format!("a value of type {} has no words there", value.data_type()));
    match value {
        ScalarValue::Float32(Some(number)) => float_words(f64::from(*number), format!("{number:?}")).ok_or_else(refuse),
        ScalarValue::Float64(Some(number)) => float_words(*number, format!("{number:?}")).ok_or_else(refuse),
        value => match (value.cast_to(&DataType::Utf8), allow::class_of(&value.data_type())) {
            (Ok(ScalarValue::Utf8(Some(text))), Some(Class::Whole | Class::Decimal | Class::Time)) => Ok(text),
            (Ok(ScalarValue::Utf8(Some(text))), Some(Class::Date | Class::Timestamp | Class::Moment))
                if has_usual_year(&text) =>
            {
                Ok(text)
            }
            _ => Err(refuse()),
        },
    }
}

/// A NaN is said where it has no sign; nothing there tells one from another.
fn float_words(number: f64, digits: String) -> Option<String> {
    match number {
        number if number.is_nan() => None,
        f64::INFINITY => Some("Infinity".to_owned()),
        f64::NEG_INFINITY => Some("-Infinity".to_owned()),
        _ => Some(digits),
    }
}

/// A date of the years 1 to 9999: four digits, and no sign.
fn has_usual_year(text: &str) -> bool {
    let mut parts = text.splitn(2, '-');
    let year = parts.next().unwrap_or_default();
    year.len() == 4 && year != "0000" && year.bytes().all(|byte| byte.is_ascii_digit()) && parts.next().is_some()
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::{Field, Schema};
    use datafusion_common::NullEquality;
    use datafusion_expr::logical_plan::table_scan;
    use datafusion_expr::test::function_stub::{avg, sum};
    use datafusion_expr::{LogicalPlanBuilder, cast, col, lit, when};

    use super::*;
    use crate::statement::{Accepts, write_for_postgres};

    fn scan(name: &str) -> LogicalPlanBuilder {
        let fields = vec![
            Field::new("id", DataType::Int64, true),
            Field::new("small", DataType::Int32, true),
            Field::new("name", DataType::Utf8, true),
            Field::new("price", DataType::Decimal128(15, 2), true),
            Field::new("ratio", DataType::Float64, true),
            Field::new("day", DataType::Date32, true),
            Field::new("code", DataType::Utf8, true),
            Field::new("vague", DataType::Decimal128(38, 10), true),
        ];
        table_scan(Some(name), &Schema::new(fields), None).unwrap()
    }

    fn written(plan: LogicalPlanBuilder) -> Result<String, Refusal> {
        let mut stored = StoredColumns::default();
        for table in ["x", "y"] {
            stored.tell(TableReference::bare(table), "code", Stored::Cast("text".into()));
            stored.tell(TableReference::bare(table), "vague", Stored::Opaque);
        }
        let statement = write_for_postgres(&plan.build().unwrap(), &Accepts::postgres(), &stored)?;
        Ok(statement.text)
    }

    fn check(plan: LogicalPlanBuilder, expect: &str) {
        assert_eq!(written(plan).unwrap(), expect);
    }

    /// The expression as the one column of a SELECT.
    fn check_expression(expr: Expr, expect: &str) {
        let text = written(scan("x").project([expr.alias("it")]).unwrap()).unwrap();
        assert_eq!(text, format!("SELECT {expect} AS \"c0_0\" FROM \"x\" AS \"t0\""));
    }

    fn refuse(expr: Expr) {
        let shown = expr.to_string();
        let refused = written(scan("x").project([expr.alias("it")]).unwrap());
        assert!(refused.is_err(), "{shown}: {refused:?}");
    }

    fn decimal(value: i128, precision: u8, scale: i8) -> Expr {
        lit(ScalarValue::Decimal128(Some(value), precision, scale))
    }

    #[test]
    fn text_compares_by_bytes() {
        check(
            scan("x").filter(col("name").gt(lit("m"))).unwrap().project([col("name"), col("code")]).unwrap(),
            "SELECT \"t0\".\"name\" COLLATE \"C\" AS \"c0_0\", CAST(\"t0\".\"code\" AS text) COLLATE \"C\" AS \"c0_1\" \
             FROM \"x\" AS \"t0\" WHERE (\"t0\".\"name\" COLLATE \"C\" > 'm')",
        );
        check(
            scan("x")
                .filter(col("name").eq(lit("it's")).and(col("code").in_list(vec![lit("a"), lit("b")], true)))
                .unwrap()
                .project([col("id")])
                .unwrap(),
            "SELECT \"t0\".\"id\" AS \"c0_0\" FROM \"x\" AS \"t0\" \
             WHERE (\"t0\".\"name\" = 'it''s') AND (CAST(\"t0\".\"code\" AS text) NOT IN ('a', 'b'))",
        );
        let chosen = when(col("id").is_null(), lit("a")).otherwise(lit("b")).unwrap();
        check(
            scan("x").project([col("id")]).unwrap().sort([chosen.sort(true, false)]).unwrap(),
            "SELECT \"t0\".\"id\" AS \"c0_0\" FROM \"x\" AS \"t0\" \
             ORDER BY (CASE WHEN (\"t0\".\"id\" IS NULL) THEN 'a' ELSE 'b' END) COLLATE \"C\" ASC NULLS LAST",
        );
    }

    #[test]
    fn literals_carry_their_type() {
        check_expression(lit(7_i64), "CAST('7' AS bigint)");
        check_expression(lit(-7_i32), "CAST('-7' AS integer)");
        check_expression(lit(ScalarValue::Int64(None)), "CAST(NULL AS bigint)");
        check_expression(lit("\\ ' ok"), "'\\ '' ok' COLLATE \"C\"");
        check_expression(lit(ScalarValue::Binary(Some(vec![0, 255]))), "decode('00ff', 'hex')");
        check_expression(decimal(-5, 10, 2), "CAST('-0.05' AS numeric(10, 2))");
        check_expression(lit(1e300), "CAST('1e300' AS double precision)");
        check_expression(lit(ScalarValue::Date32(Some(10_000))), "CAST('1997-05-19' AS date)");
        let moment = ScalarValue::TimestampMicrosecond(Some(1), Some("UTC".into()));
        check_expression(lit(moment), "CAST('1970-01-01T00:00:00.000001Z' AS timestamp with time zone)");
        refuse(lit("a\0b"));
        refuse(lit(f64::NAN));
        refuse(lit(ScalarValue::Date32(Some(-800_000))));
        refuse(lit(ScalarValue::UInt64(Some(1))));
        refuse(lit(ScalarValue::TimestampNanosecond(Some(1), None)));
    }

    #[test]
    fn whole_numbers_stay_in_their_type_or_are_refused() {
        let wide = || cast(col("small"), DataType::Int64);
        check_expression(
            wide() + lit(1_i64),
            "CAST((CAST(\"t0\".\"small\" AS bigint) + CAST('1' AS bigint)) AS bigint)",
        );
        check_expression(col("id") / lit(7_i64), "CAST((\"t0\".\"id\" / CAST('7' AS bigint)) AS bigint)");
        refuse(col("id") + lit(1_i64));
        refuse(wide() * wide() * wide());
        refuse(col("id") / lit(0_i64));
        refuse(col("id") / lit(-1_i64));
        refuse(lit(1_i64) / col("id"));
        refuse(cast(col("id"), DataType::Int32));
    }

    #[test]
    fn decimals_keep_their_scale_and_their_digits() {
        let discounted = || col("price") * (decimal(1, 20, 0) - col("price"));
        check_expression(
            discounted(),
            "CAST((\"t0\".\"price\" * (CAST('1' AS numeric(20, 0)) - \"t0\".\"price\")) AS numeric(38, 4))",
        );
        check_expression(
            discounted() * col("price"),
            "CAST((\"t0\".\"price\" * (CAST('1' AS numeric(20, 0)) - \"t0\".\"price\") * \"t0\".\"price\") \
             AS numeric(38, 6))",
        );
        refuse(col("price") / decimal(2, 15, 2));
        refuse(cast(col("price"), DataType::Decimal128(15, 1)));
        refuse(cast(col("price"), DataType::Float64));
        refuse(col("vague") + decimal(2, 15, 2));
    }

    #[test]
    fn floats_are_passed_on_and_compared_with_numbers() {
        check(
            scan("x").filter(col("ratio").lt(lit(0.5))).unwrap().project([col("ratio")]).unwrap(),
            "SELECT \"t0\".\"ratio\" AS \"c0_0\" FROM \"x\" AS \"t0\" \
             WHERE (\"t0\".\"ratio\" < CAST('0.5' AS double precision))",
        );
        refuse(col("ratio").lt(lit(0.0)));
        refuse(col("ratio").eq(col("ratio")));
        refuse(col("ratio") * lit(2.0));
        assert!(written(scan("x").sort([col("ratio").sort(true, true)]).unwrap()).is_err());
        assert!(written(scan("x").project([col("ratio")]).unwrap().distinct().unwrap()).is_err());
    }

    #[test]
    fn patterns_are_plain() {
        check_expression(col("name").like(lit("a%_")), "(\"t0\".\"name\" COLLATE \"C\" LIKE 'a%_')");
        refuse(col("name").like(lit("a\\%")));
        refuse(col("name").like(col("code")));
        refuse(col("name").ilike(lit("a")));
    }

    #[test]
    fn aggregates_are_of_the_fragments_types() {
        let filtered = scan("x")
            .aggregate([col("name")], [sum(cast(col("small"), DataType::Int64)), sum(col("price")), avg(col("price"))]);
        check(
            filtered.unwrap(),
            "SELECT \"t0\".\"name\" COLLATE \"C\" AS \"c0_0\", CAST(sum(CAST(\"t0\".\"small\" AS bigint)) AS bigint) \
             AS \"c0_1\", CAST(sum(\"t0\".\"price\") AS numeric(25, 2)) AS \"c0_2\", \
             CAST(div(sum(\"t0\".\"price\") * 1000000, count(\"t0\".\"price\")) * 0.000001 AS numeric(19, 6)) \
             AS \"c0_3\" FROM \"x\" AS \"t0\" \
             GROUP BY \"t0\".\"name\" COLLATE \"C\"",
        );
        check(
            scan("x").aggregate(Vec::<Expr>::new(), [sum(col("id"))]).unwrap(),
            "SELECT CAST(mod(mod(sum(\"t0\".\"id\") + 9223372036854775808, 18446744073709551616) + \
             18446744073709551616, 18446744073709551616) - 9223372036854775808 AS bigint) AS \"c0_0\" \
             FROM \"x\" AS \"t0\"",
        );
        let refused = |aggregate: Expr| {
            let shown = aggregate.to_string();
            let plan = scan("x").aggregate(Vec::<Expr>::new(), [aggregate]).unwrap();
            assert!(written(plan).is_err(), "{shown}");
        };
        refused(sum(col("ratio")));
        refused(avg(col("ratio")));
        refused(sum(col("vague")));
        assert!(written(scan("x").aggregate([col("ratio")], Vec::<Expr>::new()).unwrap()).is_err());
    }

    #[test]
    fn existence_is_a_condition() {
        let keys = || (vec!["x.id"], vec!["y.id"]);
        let right = || scan("y").build().unwrap();
        let joined = |kind, nulls| {
            let joined = scan("x").join_detailed(right(), kind, keys(), None, nulls).unwrap();
            joined.project([if kind == JoinType::RightSemi { col("y.id") } else { col("x.id") }]).unwrap()
        };
        check(
            joined(JoinType::LeftSemi, NullEquality::NullEqualsNull),
            "SELECT \"t0\".\"id\" AS \"c0_0\" FROM \"x\" AS \"t0\" \
             WHERE (EXISTS (SELECT 1 FROM \"y\" AS \"t1\" WHERE (\"t0\".\"id\" IS NOT DISTINCT FROM \"t1\".\"id\")))",
        );
        check(
            joined(JoinType::LeftAnti, NullEquality::NullEqualsNothing).filter(col("x.id").is_not_null()).unwrap(),
            "SELECT \"t0\".\"id\" AS \"c0_0\" FROM \"x\" AS \"t0\" \
             WHERE (NOT EXISTS (SELECT 1 FROM \"y\" AS \"t1\" WHERE (\"t0\".\"id\" = \"t1\".\"id\"))) \
             AND (\"t0\".\"id\" IS NOT NULL)",
        );
        check(
            joined(JoinType::Full, NullEquality::NullEqualsNothing),
            "SELECT \"t0\".\"id\" AS \"c0_0\" FROM \"x\" AS \"t0\" FULL JOIN \"y\" AS \"t1\" \
             ON (\"t0\".\"id\" = \"t1\".\"id\")",
        );
        assert!(written(joined(JoinType::Full, NullEquality::NullEqualsNull)).is_err());
        assert!(written(joined(JoinType::RightSemi, NullEquality::NullEqualsNothing)).is_err());
        let then = |kind| {
            let semi =
                scan("x").join_detailed(right(), JoinType::LeftSemi, keys(), None, NullEquality::NullEqualsNothing);
            let third = scan("z").build().unwrap();
            let joined = semi.unwrap().join(third, kind, (vec!["x.id"], vec!["z.id"]), None).unwrap();
            joined.project([col("x.id")]).unwrap()
        };
        check(
            then(JoinType::Left),
            "SELECT \"t0\".\"id\" AS \"c0_0\" FROM \"x\" AS \"t0\" LEFT JOIN \"z\" AS \"t2\" \
             ON (\"t0\".\"id\" = \"t2\".\"id\") WHERE (EXISTS (SELECT 1 FROM \"y\" AS \"t1\" \
             WHERE (\"t0\".\"id\" = \"t1\".\"id\")))",
        );
        assert!(written(then(JoinType::Right)).is_err());
    }

    #[test]
    fn limits_unions_and_rows_of_literals() {
        let sorted = scan("x").sort([col("day").sort(false, true)]).unwrap().limit(2, Some(3)).unwrap();
        check(
            sorted.project([col("id")]).unwrap(),
            "SELECT \"t0\".\"id\" AS \"c0_0\" FROM \"x\" AS \"t0\" \
             ORDER BY \"t0\".\"day\" DESC NULLS FIRST LIMIT 3 OFFSET 2",
        );
        let one = |name: &str| scan(name).project([col("name")]).unwrap();
        check(
            one("x").union(one("y").build().unwrap()).unwrap(),
            "SELECT \"t0\".\"name\" COLLATE \"C\" AS \"c0_0\" FROM \"x\" AS \"t0\" UNION ALL \
             SELECT \"t1\".\"name\" COLLATE \"C\" AS \"c0_0\" FROM \"y\" AS \"t1\"",
        );
        let values = LogicalPlanBuilder::values(vec![vec![lit(1_i32), lit("a")], vec![lit(2_i32), lit("b")]]);
        check(
            values.unwrap(),
            "SELECT \"t0_0\" AS \"c0_0\", \"t0_1\" COLLATE \"C\" AS \"c0_1\" \
             FROM (VALUES (1, 'a'), (2, 'b')) AS \"t0\" (\"t0_0\", \"t0_1\")",
        );
    }

    #[test]
    fn what_cannot_be_trusted_is_passed_on() {
        check(
            scan("x").project([col("vague"), col("id")]).unwrap().limit(0, Some(1)).unwrap(),
            "SELECT \"t0\".\"vague\" AS \"c0_0\", \"t0\".\"id\" AS \"c0_1\" FROM \"x\" AS \"t0\" LIMIT 1",
        );
        let after_a_step = scan("x").limit(0, Some(1)).unwrap().filter(col("vague").gt(decimal(0, 38, 10)));
        assert!(written(after_a_step.unwrap()).is_err());
    }
}
