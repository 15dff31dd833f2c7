//! What MySQL is sent for small plans, and what is kept from it.

use std::sync::Arc;

use arrow::datatypes::{Field, Schema, TimeUnit};
use datafusion_common::NullEquality;
use datafusion_expr::logical_plan::table_scan;
use datafusion_expr::test::function_stub::{avg, max, sum};
use datafusion_expr::{ColumnarValue, LogicalPlanBuilder, Volatility, cast, col, create_udf, lit, when};

use super::*;
use crate::statement::{Accepts, write_for_mysql};

fn scan(name: &str) -> LogicalPlanBuilder {
    let moment = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let fields = vec![
        Field::new("id", DataType::Int64, true),
        Field::new("small", DataType::UInt32, true),
        Field::new("name", DataType::Utf8, true),
        Field::new("price", DataType::Decimal128(15, 2), true),
        Field::new("ratio", DataType::Float64, true),
        Field::new("day", DataType::Date32, true),
        Field::new("code", DataType::Utf8, true),
        Field::new("note", DataType::Utf8, true),
        Field::new("vague", DataType::Decimal128(38, 10), true),
        Field::new("seen", moment, true),
        Field::new("part", DataType::Float32, true),
    ];
    table_scan(Some(name), &Schema::new(fields), None).unwrap()
}

fn written(plan: LogicalPlanBuilder) -> Result<String, Refusal> {
    let mut stored = StoredTables::default();
    for table in ["x", "y"] {
        stored.tell(TableReference::bare(table), "code", Stored::Cast("CHAR CHARACTER SET utf8mb4".into()));
        stored.tell(TableReference::bare(table), "note", Stored::Long(None));
        stored.tell(TableReference::bare(table), "vague", Stored::Opaque);
    }
    let statement = write_for_mysql(&plan.build().unwrap(), &Accepts::mysql(), &stored, "by_bytes")?;
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
        "SELECT \"t0\".\"name\" COLLATE by_bytes AS \"c0_0\", \
         CAST(\"t0\".\"code\" AS CHAR CHARACTER SET utf8mb4) COLLATE by_bytes AS \"c0_1\" \
         FROM \"x\" AS \"t0\" WHERE (\"t0\".\"name\" COLLATE by_bytes > 'm')",
    );
    check(
        scan("x")
            .filter(col("note").eq(lit("a")).and(col("code").in_list(vec![lit("b")], false)))
            .unwrap()
            .project([col("id")])
            .unwrap(),
        "SELECT \"t0\".\"id\" AS \"c0_0\" FROM \"x\" AS \"t0\" WHERE (\"t0\".\"note\" = ('a')) \
         AND (\"t0\".\"note\" COLLATE by_bytes = 'a') \
         AND (CAST(\"t0\".\"code\" AS CHAR CHARACTER SET utf8mb4) COLLATE by_bytes IN ('b'))",
    );
    check_expression(col("note").eq(lit("it's")), "(\"t0\".\"note\" COLLATE by_bytes = 'it''s')");
    check_expression(col("name").like(lit("a%_")), "(\"t0\".\"name\" COLLATE by_bytes LIKE 'a%_')");
    refuse(col("name").like(lit("a\\%")));
    refuse(col("name").ilike(lit("a")));
}

/// The driver looks for parameters, and takes a backslash for what hides a quote.
#[test]
fn no_backslash_is_sent() {
    check(
        scan("x").filter(col("name").eq(lit("a:b\\"))).unwrap().project([col("id")]).unwrap(),
        "SELECT \"t0\".\"id\" AS \"c0_0\" FROM \"x\" AS \"t0\" \
         WHERE (\"t0\".\"name\" COLLATE by_bytes = _utf8mb4 X'613A625C' COLLATE by_bytes)",
    );
    let members = vec![lit("é\\"), lit("b"), lit("c"), lit("d")];
    check(
        scan("x").filter(col("name").in_list(members, false)).unwrap().project([col("id")]).unwrap(),
        "SELECT \"t0\".\"id\" AS \"c0_0\" FROM \"x\" AS \"t0\" WHERE (\"t0\".\"name\" COLLATE by_bytes IN \
         (_utf8mb4 X'C3A95C' COLLATE by_bytes, 'b', 'c', 'd'))",
    );
    let named = |column: &str| {
        let schema =
            Schema::new(vec![Field::new(column, DataType::Int64, true), Field::new("a", DataType::Int64, true)]);
        table_scan(Some("x"), &schema, None).unwrap()
    };
    assert!(written(named("b\\")).is_err());
    assert!(written(named("b\\").project([col("a")]).unwrap()).is_ok());
    assert!(written(named("b")).is_ok());
}

/// An account that may not read every column is refused `*`.
#[test]
fn of_a_part_the_columns_are_named() {
    let schema = Schema::new(vec![Field::new("id", DataType::Int64, true), Field::new("a\"b", DataType::Utf8, true)]);
    let plan = table_scan(Some("x"), &schema, Some(vec![0])).unwrap().build().unwrap();
    let mut stored = StoredTables::default();
    stored.tell_part(TableReference::bare("x"), "\"id\" < 7");
    let statement = write_for_mysql(&plan, &Accepts::mysql(), &stored, "by_bytes").unwrap();
    assert_eq!(
        statement.text,
        "SELECT \"t0\".\"id\" AS \"c0_0\" FROM (SELECT \"id\", \"a\"\"b\" FROM \"x\" WHERE \"id\" < 7) AS \"t0\""
    );
}

#[test]
fn what_is_long_is_no_key() {
    let sorted = |key: Expr| scan("x").project([col("id")]).unwrap().sort([key.sort(true, true)]);
    check(
        scan("x").sort([col("name").sort(true, true)]).unwrap().project([col("id")]).unwrap(),
        "SELECT \"t0\".\"id\" AS \"c0_0\" FROM \"x\" AS \"t0\" ORDER BY \"t0\".\"name\" COLLATE by_bytes ASC",
    );
    assert!(sorted(col("id")).is_ok());
    let refused = |plan: LogicalPlanBuilder| assert!(written(plan).is_err());
    refused(scan("x").sort([col("note").sort(true, true)]).unwrap());
    refused(scan("x").project([col("note")]).unwrap().distinct().unwrap());
    refused(scan("x").aggregate([col("note")], Vec::<Expr>::new()).unwrap());
    refused(scan("x").limit(0, Some(9)).unwrap().aggregate([col("note")], Vec::<Expr>::new()).unwrap());
    let doubled = Expr::BinaryExpr(datafusion_expr::BinaryExpr::new(
        Box::new(col("name")),
        Operator::StringConcat,
        Box::new(col("name")),
    ));
    refused(scan("x").aggregate([doubled], Vec::<Expr>::new()).unwrap());
}

#[test]
fn nulls_are_ordered_by_a_key_of_their_own() {
    let ordered = |asc, nulls_first| {
        let sorted = scan("x").sort([col("id").sort(asc, nulls_first)]).unwrap().project([col("id")]).unwrap();
        let text = written(sorted).unwrap();
        text.split_once(" ORDER BY ").unwrap().1.to_owned()
    };
    assert_eq!(ordered(true, true), "\"c0_0\" ASC");
    assert_eq!(ordered(true, false), "(\"c0_0\" IS NULL) ASC, \"c0_0\" ASC");
    assert_eq!(ordered(false, true), "(\"c0_0\" IS NULL) DESC, \"c0_0\" DESC");
    assert_eq!(ordered(false, false), "\"c0_0\" DESC");
    check(
        scan("x").project([col("id")]).unwrap().limit(3, None).unwrap(),
        "SELECT \"t0\".\"id\" AS \"c0_0\" FROM \"x\" AS \"t0\" LIMIT 18446744073709551615 OFFSET 3",
    );
}

#[test]
fn literals_are_of_their_type() {
    check_expression(lit(7_i64), "7");
    check_expression(lit(i64::MIN), "-9223372036854775808");
    check_expression(lit(ScalarValue::UInt64(Some(u64::MAX))), "18446744073709551615");
    check_expression(lit(ScalarValue::Int64(None)), "CAST(NULL AS SIGNED)");
    check_expression(lit(ScalarValue::Utf8(None)), "CAST(NULL AS CHAR) COLLATE by_bytes");
    check_expression(lit("' ok"), "''' ok' COLLATE by_bytes");
    check_expression(lit("a\0b"), "_utf8mb4 X'610062' COLLATE by_bytes");
    check_expression(lit(ScalarValue::Binary(Some(vec![0, 255]))), "X'00FF'");
    check_expression(decimal(-5, 10, 2), "-0.05");
    check_expression(lit(1e300), "1e300");
    check_expression(lit(0.5), "5e-1");
    check_expression(lit(ScalarValue::Date32(Some(10_000))), "DATE '1997-05-19'");
    let at = |micros| lit(ScalarValue::TimestampMicrosecond(Some(micros), None));
    check_expression(at(1_500_000), "TIMESTAMP '1970-01-01 00:00:01.500'");
    let moment = ScalarValue::TimestampMicrosecond(Some(1), Some("UTC".into()));
    check_expression(col("seen").lt(lit(moment.clone())), "(\"t0\".\"seen\" < TIMESTAMP '1970-01-01 00:00:00.000001')");
    refuse(lit(moment));
    refuse(lit(f64::NAN));
    refuse(lit(f64::INFINITY));
    refuse(lit(0.5_f32));
    refuse(lit(ScalarValue::Date32(Some(-800_000))));
    refuse(lit(ScalarValue::TimestampNanosecond(Some(1), None)));
    refuse(lit(ScalarValue::Time32Second(Some(1))));
    check_expression(col("part").lt(lit(0.1_f32)), "(\"t0\".\"part\" < 1.0000000149011612e-1)");
}

#[test]
fn whole_numbers_stay_in_their_type_or_are_refused() {
    let wide = || cast(col("small"), DataType::Int64);
    check_expression(wide() + lit(1_i64), "(CAST(\"t0\".\"small\" AS SIGNED) + 1)");
    check_expression(col("id") / lit(7_i64), "(\"t0\".\"id\" DIV 7)");
    check_expression(col("small") % lit(7_u32), "(\"t0\".\"small\" % 7)");
    refuse(col("id") + lit(1_i64));
    refuse(col("small") - lit(1_u32));
    refuse(col("id") / lit(0_i64));
    refuse(col("id") / lit(-1_i64));
    refuse(lit(1_i64) / col("id"));
    refuse(cast(col("id"), DataType::Int32));
    refuse(cast(col("id"), DataType::UInt64));
}

#[test]
fn decimals_keep_their_scale() {
    let discounted = || col("price") * (decimal(1, 20, 0) - col("price"));
    check_expression(discounted() * col("price"), "(\"t0\".\"price\" * (1 - \"t0\".\"price\") * \"t0\".\"price\")");
    refuse(col("price") / decimal(2, 15, 2));
    refuse(cast(col("price"), DataType::Decimal128(15, 1)));
    refuse(cast(col("price"), DataType::Float64));
    refuse(col("vague") + decimal(2, 15, 2));
    let of_two = |data_type: &DataType| {
        let nothing = Arc::new(|_: &[ColumnarValue]| datafusion_common::exec_err!("is not called"));
        let types = vec![data_type.clone(), data_type.clone()];
        create_udf("coalesce", types, data_type.clone(), Volatility::Immutable, nothing)
    };
    let prices = of_two(&DataType::Decimal128(15, 2)).call(vec![col("price"), decimal(0, 15, 2)]);
    check_expression(prices, "COALESCE(\"t0\".\"price\", 0.00)");
    refuse(of_two(&DataType::Decimal128(38, 10)).call(vec![col("vague"), col("vague")]));
}

#[test]
fn what_would_become_another_type_is_refused() {
    check_expression(
        when(col("id").is_null(), lit("a")).otherwise(lit("b")).unwrap(),
        "(CASE WHEN (\"t0\".\"id\" IS NULL) THEN 'a' ELSE 'b' END) COLLATE by_bytes",
    );
    refuse(when(col("id").is_null(), col("seen")).otherwise(col("seen")).unwrap());
    refuse(when(col("id").is_null(), col("part")).otherwise(col("part")).unwrap());
    refuse(col("ratio") * lit(2.0));
    refuse(col("ratio").lt(lit(0.0)));
    refuse(cast(col("id").is_null(), DataType::Utf8));
}

#[test]
fn aggregates_are_of_the_fragments_types() {
    let sums = [sum(col("price")), avg(col("price")), max(col("seen")), sum(col("id"))];
    check(
        scan("x").aggregate([col("name")], sums).unwrap(),
        "SELECT \"t0\".\"name\" COLLATE by_bytes AS \"c0_0\", SUM(\"t0\".\"price\") AS \"c0_1\", \
         TRUNCATE(SUM(\"t0\".\"price\") * 1.00000000000000000000 / COUNT(\"t0\".\"price\"), 6) AS \"c0_2\", \
         MAX(\"t0\".\"seen\") AS \"c0_3\", CAST(MOD(MOD(SUM(\"t0\".\"id\") + 9223372036854775808, 18446744073709551616) \
         + 18446744073709551616, 18446744073709551616) - 9223372036854775808 AS SIGNED) AS \"c0_4\" \
         FROM \"x\" AS \"t0\" GROUP BY \"t0\".\"name\" COLLATE by_bytes",
    );
    let refused = |aggregate: Expr| {
        let shown = aggregate.to_string();
        let plan = scan("x").aggregate(Vec::<Expr>::new(), [aggregate]).unwrap();
        assert!(written(plan).is_err(), "{shown}");
    };
    refused(sum(col("ratio")));
    refused(avg(col("ratio")));
    refused(sum(col("vague")));
    refused(avg(cast(col("price"), DataType::Decimal128(30, 8))));
    assert!(written(scan("x").aggregate([col("ratio")], Vec::<Expr>::new()).unwrap()).is_err());
    let sets = datafusion_expr::rollup(vec![col("id"), col("name")]);
    assert!(written(scan("x").aggregate([sets], [sum(col("id"))]).unwrap()).is_err());
}

#[test]
fn existence_is_a_condition_and_full_joins_are_not_there() {
    let keys = || (vec!["x.id"], vec!["y.id"]);
    let joined = |kind, nulls| {
        let right = scan("y").build().unwrap();
        let joined = scan("x").join_detailed(right, kind, keys(), None, nulls).unwrap();
        joined.project([col("x.id")]).unwrap()
    };
    assert!(written(joined(JoinType::LeftAnti, NullEquality::NullEqualsNull)).is_err());
    let of_text = scan("x").join(scan("y").build().unwrap(), JoinType::Inner, (vec!["x.name"], vec!["y.name"]), None);
    assert!(written(of_text.unwrap().project([col("x.id")]).unwrap()).is_err());
    check(
        joined(JoinType::LeftAnti, NullEquality::NullEqualsNothing),
        "SELECT \"t0\".\"id\" AS \"c0_0\" FROM \"x\" AS \"t0\" \
         WHERE (NOT EXISTS (SELECT 1 FROM \"y\" AS \"t1\" WHERE (\"t0\".\"id\" = \"t1\".\"id\")))",
    );
    assert!(written(joined(JoinType::Full, NullEquality::NullEqualsNothing)).is_err());
    let values = LogicalPlanBuilder::values(vec![vec![lit(1_i32), lit("a")]]);
    assert!(written(values.unwrap()).is_err());
}
