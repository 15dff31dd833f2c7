//! What SQLite is sent for small plans, and what is kept from it.

use arrow::datatypes::{Field, Schema, TimeUnit};
use datafusion_common::NullEquality;
use datafusion_expr::logical_plan::table_scan;
use datafusion_expr::test::function_stub::{avg, max, sum};
use datafusion_expr::{LogicalPlanBuilder, cast, col, lit};

use super::*;
use crate::statement::{Accepts, write_for_sqlite};

/// `id` is held to its type, and nothing else is.
fn scan(name: &str) -> LogicalPlanBuilder {
    let fields = vec![
        Field::new("id", DataType::Int64, false),
        Field::new("n", DataType::Int64, true),
        Field::new("name", DataType::Utf8, true),
        Field::new("price", DataType::Decimal128(15, 2), true),
        Field::new("ratio", DataType::Float64, true),
        Field::new("day", DataType::Date32, true),
        Field::new("at", DataType::Timestamp(TimeUnit::Microsecond, None), true),
        Field::new("paid", DataType::Boolean, true),
    ];
    table_scan(Some(name), &Schema::new(fields), None).unwrap()
}

fn written(plan: LogicalPlanBuilder) -> Result<String, Refusal> {
    let mut stored = StoredTables::default();
    for table in ["x", "y"] {
        let mut tell = |column: &str, function, form| {
            let arguments = vec![format!("'{table}'"), format!("'{column}'")];
            stored.tell(TableReference::bare(table), column, Stored::Call(Call { function, arguments, form }));
        };
        tell("n", functions::INTEGER, Form::Value);
        tell("name", functions::TEXT, Form::Value);
        tell("price", functions::DECIMAL, Form::Value);
        tell("ratio", functions::REAL, Form::Value);
        tell("day", functions::DATE, Form::OrderedText);
        tell("at", functions::TIMESTAMP, Form::Other);
        tell("paid", functions::BOOLEAN, Form::Other);
        tell("code", functions::SHOWN, Form::EqualShown);
    }
    Ok(write_for_sqlite(&plan.build().unwrap(), &Accepts::sqlite(), &stored)?.text)
}

fn check(plan: LogicalPlanBuilder, expect: &str) {
    assert_eq!(written(plan).unwrap(), expect);
}

/// The condition of a SELECT.
fn check_filter(filter: Expr, expect: &str) {
    let text = written(scan("x").filter(filter).unwrap().project([col("id")]).unwrap()).unwrap();
    assert_eq!(text, format!("SELECT \"t0\".\"id\" AS \"c0_0\" FROM \"x\" AS \"t0\" WHERE {expect}"));
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

#[test]
fn a_value_is_checked_where_something_depends_on_it() {
    check(
        scan("x").project(["id", "n", "name", "price", "day", "paid"].map(col)).unwrap(),
        "SELECT \"t0\".\"id\" AS \"c0_0\", \"t0\".\"n\" AS \"c0_1\", \"t0\".\"name\" COLLATE BINARY AS \"c0_2\", \
         \"t0\".\"price\" AS \"c0_3\", chancery_date(\"t0\".\"day\", 'x', 'day') AS \"c0_4\", \
         chancery_boolean(\"t0\".\"paid\", 'x', 'paid') AS \"c0_5\" FROM \"x\" AS \"t0\"",
    );
    check_filter(col("id").gt(lit(1_i64)), "(\"t0\".\"id\" > 1)");
    check_filter(
        col("n").eq(lit(-1_i64)),
        "(\"t0\".\"n\" = (-1)) AND (chancery_integer(\"t0\".\"n\", 'x', 'n') = (-1))",
    );
    check_filter(!col("n").eq(lit(1_i64)), "(NOT (chancery_integer(\"t0\".\"n\", 'x', 'n') = 1))");
    check_filter(
        col("name").in_list(vec![lit("a"), lit("b")], false),
        "(\"t0\".\"name\" COLLATE BINARY IN ('a', 'b')) AND \
         (chancery_text(\"t0\".\"name\" COLLATE BINARY, 'x', 'name') IN ('a', 'b'))",
    );
    check_filter(
        col("n").eq(lit(1_i64)).or(col("n").eq(lit(2_i64))),
        "((\"t0\".\"n\" = 1) OR (\"t0\".\"n\" = 2)) AND \
         ((chancery_integer(\"t0\".\"n\", 'x', 'n') = 1) OR (chancery_integer(\"t0\".\"n\", 'x', 'n') = 2))",
    );
    check_filter(
        col("day").lt(lit(ScalarValue::Date32(Some(19_782)))),
        "(\"t0\".\"day\" < '2024-02-29') AND (chancery_date(\"t0\".\"day\", 'x', 'day') < chancery_date('2024-02-29'))",
    );
    check_filter(
        col("at").lt(lit(ScalarValue::TimestampMicrosecond(Some(1), None))),
        "(chancery_timestamp(\"t0\".\"at\", 'x', 'at') < chancery_timestamp('1970-01-01T00:00:00.000001'))",
    );
    check_filter(col("paid").is_not_true(), "(chancery_boolean(\"t0\".\"paid\", 'x', 'paid') IS NOT TRUE)");
    check_filter(col("price").is_null(), "(chancery_decimal(\"t0\".\"price\", 'x', 'price') IS NULL)");
}

/// The words of a float are read by us alone: an index that holds floats is not asked for them.
#[test]
fn what_is_shown_is_equal_where_its_words_are_read_alike() {
    let (stored, shown) =
        ("\"t0\".\"code\" COLLATE BINARY", "chancery_shown(\"t0\".\"code\" COLLATE BINARY, 'x', 'code')");
    let schema = Schema::new(vec![Field::new("code", DataType::Utf8, true)]);
    let check = |filter: Expr, expect: &str| {
        let plan = table_scan(Some("x"), &schema, None).unwrap().filter(filter).unwrap();
        let text = format!("SELECT {shown} AS \"c0_0\" FROM \"x\" AS \"t0\" WHERE {expect}");
        assert_eq!(written(plan).unwrap(), text);
    };
    for words in ["a7", "", "7", "-9223372036854775808", "0x10", "1 2"] {
        check(col("code").eq(lit(words)), &format!("({stored} = '{words}') AND ({shown} = '{words}')"));
    }
    for words in ["0.30000000000000004", "1e16", "5.0", "inf", "-inf", "-0.0", ".5", "9223372036854775808"] {
        check(col("code").eq(lit(words)), &format!("({shown} = '{words}')"));
        check(col("code").in_list(vec![lit("a7"), lit(words)], false), &format!("({shown} IN ('a7', '{words}'))"));
    }
    check(col("code").lt(lit("a7")), &format!("({shown} < 'a7')"));
}

/// A value that a step passes on unchecked is checked after it.
#[test]
fn a_step_hides_no_value() {
    check(
        scan("x").limit(0, Some(5)).unwrap().filter(col("n").gt(lit(1_i64))).unwrap().project([col("day")]).unwrap(),
        "WITH \"n0\" AS (SELECT \"t0\".\"id\" AS \"c0_0\", \"t0\".\"n\" AS \"c0_1\", \
         \"t0\".\"name\" COLLATE BINARY AS \"c0_2\", \"t0\".\"price\" AS \"c0_3\", \"t0\".\"ratio\" AS \"c0_4\", \
         chancery_date(\"t0\".\"day\", 'x', 'day') AS \"c0_5\", chancery_timestamp(\"t0\".\"at\", 'x', 'at') AS \"c0_6\", \
         chancery_boolean(\"t0\".\"paid\", 'x', 'paid') AS \"c0_7\" FROM \"x\" AS \"t0\" LIMIT 5)\n\
         SELECT \"c0_5\" AS \"c1_0\" FROM \"n0\" \
         WHERE (\"c0_1\" > 1) AND (chancery_integer(\"c0_1\", 'x', 'n') > 1)",
    );
    let checked = "chancery_integer(\"t0\".\"n\", 'x', 'n')";
    check(
        scan("x").project([col("n")]).unwrap().distinct().unwrap(),
        &format!("SELECT DISTINCT {checked} AS \"c0_0\" FROM \"x\" AS \"t0\""),
    );
    check(
        scan("x").project([col("n"), col("id")]).unwrap().sort([col("n").sort(false, true)]).unwrap(),
        &format!(
            "SELECT {checked} AS \"c0_0\", \"t0\".\"id\" AS \"c0_1\" FROM \"x\" AS \"t0\" \
             ORDER BY \"c0_0\" DESC NULLS FIRST"
        ),
    );
    let one = |name: &str| scan(name).project([col("n")]).unwrap();
    check(
        one("x").union(one("y").build().unwrap()).unwrap().filter(col("n").gt(lit(1_i64))).unwrap(),
        &format!(
            "WITH \"n0\" AS (SELECT {checked} AS \"c0_0\" FROM \"x\" AS \"t0\" UNION ALL \
             SELECT chancery_integer(\"t1\".\"n\", 'y', 'n') AS \"c0_0\" FROM \"y\" AS \"t1\")\n\
             SELECT \"c0_0\" AS \"c1_0\" FROM \"n0\" WHERE (\"c0_0\" > 1)"
        ),
    );
}

#[test]
fn literals_are_read_back() {
    check_expression(lit(7_i64), "7");
    check_expression(lit(i64::MIN), "(-9223372036854775808)");
    check_expression(lit(ScalarValue::Int64(None)), "NULL");
    check_expression(lit("it's \\"), "'it''s \\'");
    check_expression(lit("a\0b"), "CAST(X'610062' AS TEXT)");
    check_expression(lit(ScalarValue::Binary(Some(vec![0, 255]))), "X'00FF'");
    check_expression(lit(0.5), "0.5");
    check_expression(lit(1e-20), "1e-20");
    check_expression(lit(0.1 + 0.2), "chancery_float(4599075939470750516)");
    check_expression(lit(-0.5), "(-0.5)");
    check_expression(lit(-0.0), "chancery_float((-9223372036854775808))");
    check_expression(lit(f64::INFINITY), "chancery_float(9218868437227405312)");
    check_expression(lit(ScalarValue::Date32(Some(-800_000))), "(-800000)");
    check_expression(lit(ScalarValue::Time64Microsecond(Some(1))), "chancery_time('00:00:00.000001')");
    refuse(lit(f64::NAN));
    refuse(lit(ScalarValue::UInt64(Some(1))));
    refuse(lit(ScalarValue::Decimal128(Some(1), 10, 2)));
    refuse(lit(ScalarValue::TimestampNanosecond(Some(1), None)));
}

#[test]
fn what_sqlite_evaluates_otherwise_is_refused() {
    refuse(col("n") + lit(1_i64));
    refuse(lit(1_i64) / col("n"));
    refuse(col("price") + col("price"));
    refuse(col("price").gt(lit(ScalarValue::Decimal128(Some(1), 15, 2))));
    refuse(col("ratio") * lit(2.0));
    refuse(col("ratio").eq(col("ratio")));
    refuse(col("ratio").lt(lit(0.0)));
    refuse(cast(col("ratio"), DataType::Int64));
    refuse(cast(col("name"), DataType::Int64));
    refuse(col("name").ilike(lit("a%")));
    refuse(col("name").like(lit("a\\%")));
    assert!(written(scan("x").sort([col("price").sort(true, false)]).unwrap()).is_err());
    assert!(written(scan("x").project([col("ratio")]).unwrap().distinct().unwrap()).is_err());
    let refused = |aggregate: Expr| {
        let shown = aggregate.to_string();
        let plan = scan("x").aggregate(Vec::<Expr>::new(), [aggregate]).unwrap();
        assert!(written(plan).is_err(), "{shown}");
    };
    refused(sum(col("price")));
    refused(sum(col("ratio")));
    refused(avg(col("ratio")));
    refused(max(col("paid")));
}

#[test]
fn functions_of_ours_say_what_sqlites_do_not() {
    let name = "chancery_text(\"t0\".\"name\" COLLATE BINARY, 'x', 'name')";
    check_expression(col("name").like(lit("a%_")), &format!("(chancery_like({name}, 'a%_'))"));
    check_expression(col("name").not_like(lit("a")), &format!("(NOT chancery_like({name}, 'a'))"));
    check(
        scan("x").aggregate([col("day")], [sum(col("id"))]).unwrap(),
        "SELECT chancery_date(\"t0\".\"day\", 'x', 'day') AS \"c0_0\", chancery_sum(\"t0\".\"id\") AS \"c0_1\" FROM \"x\" AS \"t0\" \
         GROUP BY chancery_date(\"t0\".\"day\", 'x', 'day')",
    );
}

#[test]
fn joins_are_of_stored_keys() {
    let join = |kind, left: &str, right: &str| {
        let keys = (vec![format!("x.{left}")], vec![format!("y.{right}")]);
        let keys = (keys.0.iter().map(String::as_str).collect(), keys.1.iter().map(String::as_str).collect());
        let nothing = NullEquality::NullEqualsNothing;
        let joined = scan("x").join_detailed(scan("y").build().unwrap(), kind, keys, None, nothing).unwrap();
        joined.project([col("x.id")]).unwrap()
    };
    check(
        join(JoinType::Inner, "n", "id"),
        "SELECT \"t0\".\"id\" AS \"c0_0\" FROM \"x\" AS \"t0\" JOIN \"y\" AS \"t1\" \
         ON (\"t0\".\"n\" = \"t1\".\"id\") AND (chancery_integer(\"t0\".\"n\", 'x', 'n') = \"t1\".\"id\")",
    );
    check(
        join(JoinType::LeftSemi, "id", "id"),
        "SELECT \"t0\".\"id\" AS \"c0_0\" FROM \"x\" AS \"t0\" \
         WHERE (EXISTS (SELECT 1 FROM \"y\" AS \"t1\" WHERE (\"t0\".\"id\" = \"t1\".\"id\")))",
    );
    assert!(written(join(JoinType::Inner, "price", "price")).is_err());
    assert!(written(join(JoinType::Inner, "at", "at")).is_err());
    let on = vec![col("x.n").lt(col("y.n"))];
    let unequal = scan("x").join_on(scan("y").build().unwrap(), JoinType::Inner, on).unwrap();
    assert!(written(unequal.project([col("x.id")]).unwrap()).is_err());
}

#[test]
fn limits_and_rows_of_literals() {
    check(
        scan("x").project([col("id")]).unwrap().limit(2, None).unwrap(),
        "SELECT \"t0\".\"id\" AS \"c0_0\" FROM \"x\" AS \"t0\" LIMIT -1 OFFSET 2",
    );
    let values = LogicalPlanBuilder::values(vec![vec![lit(1_i64), lit("a")], vec![lit(2_i64), lit("b")]]);
    check(
        values.unwrap(),
        "SELECT \"t0_0\" AS \"c0_0\", \"t0_1\" AS \"c0_1\" FROM (SELECT column1 AS \"t0_0\", column2 AS \"t0_1\" \
         FROM (VALUES (1, 'a'), (2, 'b'))) AS \"t0\"",
    );
}
