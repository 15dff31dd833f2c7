//! Every type there and back: values written as the server's own literals, read as Arrow, at their extremes and NULL.

use datafusion::arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use harness::environment::number;
use harness::mariadb::{Admin, MariaDb};
use harness::round_trip::{self, Column, DAY_US, Value, column, dates, days, decimals, null_or, some, time};
use harness::source::{rows, session};
use proptest::prelude::*;
use proptest::strategy::BoxedStrategy;

use super::source;

/// The last second that a `timestamp` has.
const TIMESTAMP_MAX: i64 = 2_147_483_647;

fn quoted(text: &str) -> Option<String> {
    Some(format!("'{}'", text.replace('\'', "''")))
}

fn hex(bytes: &[u8]) -> Option<String> {
    let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    Some(format!("X'{digits}'"))
}

macro_rules! whole {
    ($sql_type:literal, $native:ty, $scalar:ident) => {
        column(
            $sql_type,
            some(
                prop_oneof![Just(<$native>::MIN), Just(<$native>::MAX), any::<$native>()],
                ScalarValue::$scalar(None),
                |v| (Some(v.to_string()), ScalarValue::$scalar(Some(v))),
            ),
        )
    };
}

fn text(pattern: &'static str) -> BoxedStrategy<Value> {
    some(pattern, ScalarValue::Utf8(None), |v| (quoted(&v), ScalarValue::from(v)))
}

fn one_of(words: &'static [&'static str]) -> BoxedStrategy<Value> {
    let words = prop::sample::select(words);
    some(words, ScalarValue::Utf8(None), |v| (quoted(v), ScalarValue::from(v)))
}

fn bytes(least: usize, most: usize) -> BoxedStrategy<Value> {
    let bytes = prop::collection::vec(any::<u8>(), least..=most);
    some(bytes, ScalarValue::Binary(None), |v| (hex(&v), ScalarValue::Binary(Some(v))))
}

fn numbers(precision: u8, scale: i8) -> BoxedStrategy<Value> {
    let value = move |(text, value)| (Some(text), ScalarValue::Decimal128(Some(value), precision, scale));
    null_or(decimals(precision, scale).prop_map(value), ScalarValue::Decimal128(None, precision, scale))
}

/// The server has neither NaN nor infinities, and numbers of 64 bits as they are written.
fn doubles() -> impl Strategy<Value = f64> {
    let any = any::<f64>().prop_filter("is a number", |number| number.is_normal());
    prop_oneof![any, Just(0.0), Just(0.1), Just(f64::MAX), Just(f64::MIN), Just(f64::MIN_POSITIVE)]
}

fn datetimes() -> impl Strategy<Value = (String, i64)> {
    let years = prop_oneof![Just(1..=1), Just(1900..=2100), Just(9999..=9999), Just(1..=9999)];
    (years.prop_flat_map(dates), 0..DAY_US)
        .prop_map(|((date, day, _), micros)| (format!("{date} {}", time(micros)), i64::from(day) * DAY_US + micros))
}

/// From the first second of 1970 on.
fn moments() -> impl Strategy<Value = (String, i64)> {
    let seconds = prop_oneof![Just(1), Just(TIMESTAMP_MAX), 1..=TIMESTAMP_MAX];
    (seconds, 0..1_000_000_i64).prop_map(|(seconds, micros)| {
        let at = seconds * 1_000_000 + micros;
        (format!("FROM_UNIXTIME({seconds}.{micros:06})"), at)
    })
}

fn columns() -> Vec<Column> {
    vec![
        column("boolean", some(any::<bool>(), ScalarValue::Boolean(None), |v| (Some(v.to_string()), v.into()))),
        whole!("tinyint", i8, Int8),
        whole!("tinyint unsigned", u8, UInt8),
        whole!("smallint", i16, Int16),
        whole!("smallint unsigned", u16, UInt16),
        whole!("int", i32, Int32),
        whole!("int unsigned zerofill", u32, UInt32),
        whole!("bigint", i64, Int64),
        whole!("bigint unsigned", u64, UInt64),
        column(
            "mediumint unsigned",
            some(0..1_u32 << 24, ScalarValue::UInt32(None), |v| (Some(v.to_string()), v.into())),
        ),
        column(
            "mediumint",
            some(-(1 << 23)..1_i32 << 23, ScalarValue::Int32(None), |v| (Some(v.to_string()), v.into())),
        ),
        column("year", some(1901..=2155_i16, ScalarValue::Int16(None), |v| (Some(v.to_string()), v.into()))),
        column(
            "bit(1)",
            some(any::<bool>(), ScalarValue::Boolean(None), |v| (Some(u8::from(v).to_string()), v.into())),
        ),
        column("bit(13)", some(0..1_u64 << 13, ScalarValue::UInt64(None), |v| (Some(v.to_string()), v.into()))),
        whole!("bit(64)", u64, UInt64),
        column("double", some(doubles(), ScalarValue::Float64(None), |v| (Some(format!("{v:e}")), v.into()))),
        column(
            "float",
            some(any::<f32>().prop_filter("is a number", |v| v.is_normal()), ScalarValue::Float32(None), |v| {
                (Some(format!("{:e}", f64::from(v))), v.into())
            }),
        ),
        column("decimal(38, 10)", numbers(38, 10)),
        column("decimal(5, 0)", numbers(5, 0)),
        column("decimal(38, 38)", numbers(38, 38)),
        column("decimal(65, 30)", numbers(38, 30)),
        column("numeric(12, 2) unsigned", {
            let values =
                decimals(12, 2).prop_map(|(text, value)| (text.trim_start_matches('-').to_string(), value.abs()));
            let value = |(text, value)| (Some(text), ScalarValue::Decimal128(Some(value), 12, 2));
            null_or(values.prop_map(value), ScalarValue::Decimal128(None, 12, 2))
        }),
        column("varchar(80)", text("(?s:.){0,40}|[a-zé\u{1F600}北\\\\\"',%]{0,9}| x |NULL")),
        column("char(8)", text("[a-z北]{0,8}")),
        column("tinytext", text("[a-zé\u{1F600}]{0,40}")),
        column("longtext", text("(ab\0\n){0,900}")),
        column("varchar(20) CHARACTER SET latin1", text("[a-zäé€]{0,20}")),
        column("varchar(20) CHARACTER SET gbk", text("[a-z北京é]{0,20}")),
        column("text CHARACTER SET utf8mb3", text("[a-z北京é]{0,20}")),
        column("char(5) CHARACTER SET ucs2", text("[a-z北]{0,5}")),
        column("varchar(20) CHARACTER SET ascii", text("[a-z~]{0,20}")),
        column("binary(5)", bytes(5, 5)),
        column("varbinary(40)", bytes(0, 40)),
        column("mediumblob", bytes(0, 300)),
        column(
            "date",
            some(prop_oneof![dates(1..=9999), dates(1900..=2100)], ScalarValue::Date32(None), |v| {
                (quoted(&v.0), ScalarValue::Date32(Some(v.1)))
            }),
        ),
        column(
            "time(6)",
            some(prop_oneof![Just(0), Just(DAY_US - 1), 0..DAY_US], ScalarValue::Time64Microsecond(None), |v| {
                (quoted(&time(v)), ScalarValue::Time64Microsecond(Some(v)))
            }),
        ),
        column(
            "datetime(6)",
            some(datetimes(), ScalarValue::TimestampMicrosecond(None, None), |(text, micros)| {
                (quoted(&text), ScalarValue::TimestampMicrosecond(Some(micros), None))
            }),
        ),
        column(
            "timestamp(6) NULL",
            some(moments(), ScalarValue::TimestampMicrosecond(None, Some("UTC".into())), |(text, micros)| {
                (Some(text), ScalarValue::TimestampMicrosecond(Some(micros), Some("UTC".into())))
            }),
        ),
        column("enum('sad', '高兴')", one_of(&["sad", "高兴"])),
        column("set('a', '北', 'c')", one_of(&["", "a", "a,北", "a,北,c"])),
        column("json", text("\\{\"a\":  \\[-?[1-9]{1,9}, null\\]\\}")),
        column("uuid", text("[1-9a-f]{8}-[1-9a-f]{4}-4[1-9a-f]{3}-8[1-9a-f]{3}-[1-9a-f]{12}")),
        column("inet6", text("fe80::[1-9a-f]{4}")),
        column("inet4", text("1[1-9]\\.2\\.3\\.[1-9]")),
    ]
}

async fn insert(admin: &Admin, table: &[Vec<Value>]) {
    let cell = |(text, _): &Value| text.clone().unwrap_or_else(|| "NULL".to_string());
    let row = |row: &Vec<Value>| format!("({})", row.iter().map(cell).collect::<Vec<_>>().join(", "));
    let rows: Vec<String> = table.iter().map(row).collect();
    admin.run(&format!("TRUNCATE t; INSERT INTO t VALUES {}", rows.join(", "))).await;
}

#[test]
fn every_type_comes_back_as_it_was_written() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let columns = columns();
    let (_server, admin, ctx) = runtime.block_on(async {
        let server = MariaDb::start().await;
        let admin = server.admin().await;
        let declared: Vec<String> =
            columns.iter().enumerate().map(|(position, column)| format!("c{position} {}", column.sql_type)).collect();
        admin.run(&format!("CREATE TABLE t ({})", declared.join(", "))).await;
        let ctx = session(&source(&server, "").await, &["t"]).await;
        (server, admin, ctx)
    });
    round_trip::check(&runtime, &ctx, &columns, number("CHANCERY_MARIADB_CASES", 48), async |table| {
        insert(&admin, table).await;
    });
}

/// What the values are besides: a leap day, a year that is none, a boolean that is a number.
#[tokio::test(flavor = "multi_thread")]
async fn values_at_the_edge_of_their_types() {
    let server = MariaDb::start().await;
    let admin = server.admin().await;
    admin
        .run(
            "CREATE TABLE t (day date, y year, flag tinyint(1), wide tinyint(1) unsigned, f float(7, 3), z timestamp(0) NULL);
             INSERT INTO t VALUES ('2024-02-29', 0, 1, 7, 1.2345, '2024-02-29 12:00:00'), ('0000-01-01', 2155, 0, 0, 0, NULL)",
        )
        .await;
    let ctx = session(&source(&server, "").await, &["t"]).await;
    let types: Vec<DataType> =
        ctx.table("t").await.unwrap().schema().fields().iter().map(|field| field.data_type().clone()).collect();
    assert_eq!(types[1..5], [DataType::Int16, DataType::Boolean, DataType::UInt8, DataType::Float32]);
    let came = rows(&ctx, "SELECT * FROM t ORDER BY y").await.unwrap();
    assert_eq!(came, "2024-02-29|0|true|7|1.234|2024-02-29T12:00:00Z\n0000-01-01|2155|false|0|0.0|NULL");
    assert_eq!(rows(&ctx, "SELECT CAST(day AS INT) FROM t WHERE y > 0").await.unwrap(), days(0, 1, 1).to_string());

    admin.run("UPDATE t SET flag = -5 WHERE y = 0").await;
    let as_number = session(&source(&server, "tinyint1_is_boolean = false").await, &["t"]).await;
    assert_eq!(rows(&as_number, "SELECT flag FROM t ORDER BY y").await.unwrap(), "-5\n0");
}
