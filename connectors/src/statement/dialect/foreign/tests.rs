//! What is written for a foreign server, and what is not.

use std::sync::Arc;

use arrow::datatypes::{Field, Schema};
use datafusion_expr::logical_plan::builder::LogicalTableSource;
use datafusion_expr::logical_plan::table_scan;
use datafusion_expr::test::function_stub::{avg, sum};
use datafusion_expr::{LogicalPlanBuilder, cast, col, lit};

use super::*;
use crate::statement::{Accepts, write_for_foreign};

fn fields() -> Vec<Field> {
    vec![
        Field::new("id", DataType::Int64, true),
        Field::new("tiny", DataType::UInt8, true),
        Field::new("name", DataType::Utf8, true),
        Field::new("code", DataType::Utf8, true),
        Field::new("price", DataType::Decimal128(15, 2), true),
        Field::new("ratio", DataType::Float64, true),
        Field::new("at", DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), true),
        Field::new("tags", DataType::new_list(DataType::Utf8, true), true),
    ]
}

fn scan(name: &str) -> LogicalPlanBuilder {
    table_scan(Some(name), &Schema::new(fields()), None).unwrap()
}

fn filtered(filter: Expr) -> LogicalPlanBuilder {
    let source = Arc::new(LogicalTableSource::new(Arc::new(Schema::new(fields()))));
    LogicalPlanBuilder::scan_with_filters("x", source, Some(vec![0]), vec![filter]).unwrap()
}

fn written(engine: ForeignEngine, plan: LogicalPlanBuilder) -> Result<String, Refusal> {
    let mut stored = StoredTables::default();
    stored.tell(TableReference::bare("x"), "code", Stored::Cast("Utf8".into()));
    stored.tell(TableReference::bare("x"), "tags", Stored::Opaque);
    let accepts = match engine {
        ForeignEngine::DataFusion => Accepts::other_datafusion(),
        ForeignEngine::Unknown => Accepts::any_sql(),
    };
    Ok(write_for_foreign(engine, &plan.build().unwrap(), &accepts, &stored)?.text)
}

/// The condition under which rows of a table are asked for.
fn condition(engine: ForeignEngine, filter: Expr) -> Option<String> {
    let text = written(engine, filtered(filter)).ok()?;
    let (_, condition) = text.split_once(" WHERE ").unwrap();
    Some(condition.to_owned())
}

fn check(filter: Expr, expect: Option<&str>) {
    let shown = filter.to_string();
    assert_eq!(condition(ForeignEngine::DataFusion, filter).as_deref(), expect, "{shown}");
}

fn refuse(plan: LogicalPlanBuilder) {
    let shown = plan.clone().build().unwrap().display_indent().to_string();
    assert!(written(ForeignEngine::DataFusion, plan).is_err(), "{shown}");
}

#[test]
fn every_version_reads_the_types() {
    for field in fields().into_iter().filter(|field| !field.data_type().is_nested()) {
        let name = type_name(field.data_type()).unwrap();
        assert_eq!(&name.parse::<DataType>().unwrap(), field.data_type(), "{name}");
    }
    let at = ScalarValue::TimestampMicrosecond(Some(1_500_000), Some("UTC".into()));
    check(
        col("at").lt(lit(at)),
        Some(r#"("t0"."at" < arrow_cast('1970-01-01T00:00:01.500Z', 'Timestamp(Microsecond, Some("UTC"))'))"#),
    );
    check(col("tiny").eq(lit(7_u8)), Some(r#"("t0"."tiny" = arrow_cast('7', 'UInt8'))"#));
    assert!(type_name(&DataType::Utf8View).is_err());
}

#[test]
fn conditions_on_which_versions_agree() {
    check(col("id").gt(lit(-5_i64)), Some(r#"("t0"."id" > arrow_cast('-5', 'Int64'))"#));
    check(col("code").eq(lit("a")), Some(r#"("t0"."code" = 'a')"#));
    check(col("code").gt(lit("a")), Some(r#"(arrow_cast("t0"."code", 'Utf8') > 'a')"#));
    check(col("name").like(lit("a%")), Some(r#"("t0"."name" LIKE 'a%')"#));
    check(col("name").like(lit("%a%")), Some(r#"("t0"."name" LIKE '%a%')"#));
    check(col("name").like(lit("a%b")), None);
    check(col("name").like(lit("a_")), None);
    check(col("name").ilike(lit("a%")), None);
    check(col("ratio").lt(lit(0.5)), Some(r#"("t0"."ratio" < arrow_cast('0.5', 'Float64'))"#));
    check(col("ratio").lt(lit(0.0)), None);
    check(col("ratio").eq(col("ratio")), None);
    check((col("id") + lit(1_i64)).eq(lit(2_i64)), None);
    check(
        (cast(col("tiny"), DataType::Int64) + lit(1_i64)).eq(lit(2_i64)).is_true(),
        Some(r#"(((arrow_cast("t0"."tiny", 'Int64') + 1) = 2) IS TRUE)"#),
    );
    check(col("tags").is_null(), Some(r#"("t0"."tags" IS NULL)"#));
    check(col("tags").eq(col("tags")), None);
}

#[test]
fn aggregates_are_of_the_fragments_types() {
    let aggregated = scan("x").aggregate([col("name")], [sum(col("price")), avg(col("ratio"))]);
    assert_eq!(
        written(ForeignEngine::DataFusion, aggregated.unwrap()).unwrap(),
        "SELECT \"t0\".\"name\" AS \"c0_0\", arrow_cast(\"sum\"(\"t0\".\"price\"), 'Decimal128(25, 2)') AS \"c0_1\", \
         arrow_cast(\"avg\"(\"t0\".\"ratio\"), 'Float64') AS \"c0_2\" FROM \"x\" AS \"t0\" \
         GROUP BY \"t0\".\"name\""
    );
    refuse(scan("x").aggregate([col("ratio")], [sum(col("price"))]).unwrap());
    refuse(scan("x").project([col("price") / col("price")]).unwrap());
    refuse(scan("x").project([cast(col("ratio"), DataType::Int64)]).unwrap());
}

#[test]
fn not_in_and_conditions_of_full_joins_stay_here() {
    let keys = || (vec!["x.id"], vec!["y.id"]);
    let nulls = datafusion_common::NullEquality::NullEqualsNothing;
    let right = || scan("y").build().unwrap();
    let joined = |kind, is_null_aware| {
        let joined = scan("x").join_detailed_with_options(right(), kind, keys(), None, nulls, is_null_aware).unwrap();
        joined.project([col("x.id")]).unwrap()
    };
    assert!(written(ForeignEngine::DataFusion, joined(JoinType::LeftAnti, false)).unwrap().contains("LEFT ANTI JOIN"));
    refuse(joined(JoinType::LeftAnti, true));
    assert!(written(ForeignEngine::DataFusion, joined(JoinType::Full, false)).unwrap().contains("FULL JOIN"));
    let on = [col("x.id").eq(col("y.id")), col("x.name").not_eq(col("y.name"))];
    refuse(scan("x").join_on(right(), JoinType::Full, on).unwrap().project([col("x.id")]).unwrap());
}

#[test]
fn of_an_unknown_engine_little_is_asked() {
    let check = |filter: Expr, expect: Option<&str>| {
        let shown = filter.to_string();
        assert_eq!(condition(ForeignEngine::Unknown, filter).as_deref(), expect, "{shown}");
    };
    check(col("id").gt(lit(-5_i64)), Some(r#"("t0"."id" > (-5))"#));
    check(
        col("id").in_list(vec![lit(1_i64), lit(2_i64)], true).or(!col("name").is_null()),
        Some(r#"(("t0"."id" NOT IN (1, 2)) OR (NOT ("t0"."name" IS NULL)))"#),
    );
    check(col("tiny").between(lit(1_u8), lit(2_u8)), Some(r#"("t0"."tiny" BETWEEN 1 AND 2)"#));
    for refused in [
        col("name").eq(lit("a")),
        col("price").gt(lit(ScalarValue::Decimal128(Some(1), 15, 2))),
        col("id").eq(col("id")),
        col("id").eq(lit(ScalarValue::Int64(None))),
        (col("id") + lit(1_i64)).eq(lit(1_i64)),
    ] {
        check(refused, None);
    }
    let columns = table_scan(Some("x"), &Schema::new(fields()), Some(vec![])).unwrap();
    let marked = written(ForeignEngine::Unknown, columns).unwrap();
    assert_eq!(marked, r#"SELECT CAST(1 AS BIGINT) AS "c0_0" FROM "x" AS "t0""#);
    let grouped = scan("x").aggregate([col("name")], Vec::<Expr>::new()).unwrap();
    assert!(written(ForeignEngine::Unknown, grouped).is_err());
}
