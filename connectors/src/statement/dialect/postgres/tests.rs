//! What PostgreSQL is sent for small plans, and what is kept from it.

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
    let mut stored = StoredTables::default();
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
    refuse(lit(ScalarValue::TimestampNanosecond(Some(1), Some("+00:00".into()))));
}

#[test]
fn whole_numbers_stay_in_their_type_or_are_refused() {
    let wide = || cast(col("small"), DataType::Int64);
    check_expression(wide() + lit(1_i64), "CAST((CAST(\"t0\".\"small\" AS bigint) + CAST('1' AS bigint)) AS bigint)");
    check_expression(col("id") / lit(7_i64), "CAST((\"t0\".\"id\" / CAST('7' AS bigint)) AS bigint)");
    refuse(col("id") + lit(1_i64));
    refuse(wide() * wide() * wide());
    let unsigned = || cast(col("small"), DataType::UInt64);
    refuse(unsigned() * unsigned());
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
        let semi = scan("x").join_detailed(right(), JoinType::LeftSemi, keys(), None, NullEquality::NullEqualsNothing);
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
