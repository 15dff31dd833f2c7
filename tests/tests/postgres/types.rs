//! Every type there and back: values written as text by the server's own rules, read as Arrow, at their extremes and NULL.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, IntervalMonthDayNano};
use datafusion::common::ScalarValue;
use harness::environment::number;
use harness::postgres::{Admin, Postgres};
use harness::round_trip::{self, Column, DAY_US, Value, column, dates, decimals, null_or, some, time};
use harness::source::session;
use proptest::prelude::*;
use proptest::strategy::BoxedStrategy;
use tokio_postgres::types::{ToSql, Type};

use super::source;

fn era(is_before: bool) -> &'static str {
    if is_before { " BC" } else { "" }
}

fn timestamps() -> impl Strategy<Value = (String, i64)> {
    let years = prop_oneof![Just(-4711..=-4711), Just(1900..=2100), Just(262_142..=262_142), Just(-4711..=262_142)];
    (years.prop_flat_map(dates), 0..DAY_US).prop_map(|((date, day, is_before), micros)| {
        (format!("{date} {}|{}", time(micros), era(is_before)), i64::from(day) * DAY_US + micros)
    })
}

fn numerics(precision: u8, scale: i8) -> BoxedStrategy<Value> {
    let value = move |(text, value)| (Some(text), ScalarValue::Decimal128(Some(value), precision, scale));
    null_or(decimals(precision, scale).prop_map(value), ScalarValue::Decimal128(None, precision, scale))
}

fn text() -> BoxedStrategy<String> {
    prop_oneof![
        Just(String::new()),
        Just(" x ".to_string()),
        Just("NULL".to_string()),
        "[^\\x00]{0,40}",
        "[a-zé\u{1F600}北\\\\\"',{}]{0,9}"
    ]
    .boxed()
}

fn floats() -> BoxedStrategy<f64> {
    prop_oneof![
        any::<f64>(),
        Just(f64::NAN),
        Just(f64::INFINITY),
        Just(f64::NEG_INFINITY),
        Just(-0.0),
        Just(f64::MIN_POSITIVE),
        Just(f64::MAX),
        Just(5e-324)
    ]
    .boxed()
}

/// A list of texts as the server reads it.
fn array_text<T>(items: &[Option<T>], write: impl Fn(&T) -> String) -> String {
    let items: Vec<String> = items
        .iter()
        .map(|item| {
            item.as_ref().map_or("NULL".to_string(), |item| {
                format!("\"{}\"", write(item).replace('\\', "\\\\").replace('"', "\\\""))
            })
        })
        .collect();
    format!("{{{}}}", items.join(","))
}

fn list(items: &[ScalarValue], item: &DataType) -> ScalarValue {
    ScalarValue::List(ScalarValue::new_list_nullable(items, item))
}

fn null_list(item: &DataType) -> ScalarValue {
    let field = datafusion::arrow::datatypes::Field::new_list_field(item.clone(), true);
    ScalarValue::try_new_null(&DataType::List(Arc::new(field))).unwrap()
}

fn columns() -> Vec<Column> {
    vec![
        column("bool", some(any::<bool>(), ScalarValue::Boolean(None), |v| (Some(v.to_string()), v.into()))),
        column("int2", some(any::<i16>(), ScalarValue::Int16(None), |v| (Some(v.to_string()), v.into()))),
        column("int4", some(any::<i32>(), ScalarValue::Int32(None), |v| (Some(v.to_string()), v.into()))),
        column("int8", some(any::<i64>(), ScalarValue::Int64(None), |v| (Some(v.to_string()), v.into()))),
        column("float4", some(any::<f32>(), ScalarValue::Float32(None), |v| (Some(v.to_string()), v.into()))),
        column("float8", some(floats(), ScalarValue::Float64(None), |v| (Some(v.to_string()), v.into()))),
        column("numeric(38, 10)", numerics(38, 10)),
        column("numeric", numerics(38, 10)),
        column("numeric(5, 0)", numerics(5, 0)),
        column("numeric(38, 38)", numerics(38, 38)),
        column("amount", numerics(12, 2)),
        column("text", some(text(), ScalarValue::Utf8(None), |v| (Some(v.clone()), v.into()))),
        column("varchar(80)", some(text(), ScalarValue::Utf8(None), |v| (Some(v.clone()), v.into()))),
        column("char(8)", some("[a-z]{0,8}", ScalarValue::Utf8(None), |v| (Some(v.clone()), v.into()))),
        column(
            "bytea",
            some(any::<Vec<u8>>(), ScalarValue::Binary(None), |v| {
                let digits: String = v.iter().map(|byte| format!("{byte:02x}")).collect();
                (Some(format!("\\x{digits}")), ScalarValue::Binary(Some(v)))
            }),
        ),
        column(
            "date",
            some(
                prop_oneof![dates(-4711..=262_142), dates(1900..=2100), dates(262_142..=262_142)],
                ScalarValue::Date32(None),
                |v| (Some(format!("{}{}", v.0, era(v.2))), ScalarValue::Date32(Some(v.1))),
            ),
        ),
        column(
            "time",
            some(prop_oneof![Just(0), Just(DAY_US - 1), 0..DAY_US], ScalarValue::Time64Microsecond(None), |v| {
                (Some(time(v)), ScalarValue::Time64Microsecond(Some(v)))
            }),
        ),
        column(
            "timestamp",
            some(timestamps(), ScalarValue::TimestampMicrosecond(None, None), |(text, micros)| {
                (Some(text.replace('|', "")), ScalarValue::TimestampMicrosecond(Some(micros), None))
            }),
        ),
        column(
            "timestamptz",
            some(timestamps(), ScalarValue::TimestampMicrosecond(None, Some("UTC".into())), |(text, micros)| {
                (Some(text.replace('|', "+00")), ScalarValue::TimestampMicrosecond(Some(micros), Some("UTC".into())))
            }),
        ),
        column(
            "interval",
            some(
                (any::<i16>(), any::<i32>(), -9_000_000_000_000_000_i64..9_000_000_000_000_000),
                ScalarValue::IntervalMonthDayNano(None),
                |(months, days, micros)| {
                    let text = format!("{months} months {days} days {micros} microseconds");
                    let value = IntervalMonthDayNano::new(months.into(), days, micros * 1_000);
                    (Some(text), ScalarValue::IntervalMonthDayNano(Some(value)))
                },
            ),
        ),
        column(
            "uuid",
            some(any::<u128>(), ScalarValue::Utf8(None), |v| {
                let digits = format!("{v:032x}");
                let text = format!(
                    "{}-{}-{}-{}-{}",
                    &digits[..8],
                    &digits[8..12],
                    &digits[12..16],
                    &digits[16..20],
                    &digits[20..]
                );
                (Some(text.clone()), text.into())
            }),
        ),
        column(
            "json",
            some(any::<i64>(), ScalarValue::Utf8(None), |v| {
                let text = format!("{{\"a\":  [{v}, null]}}");
                (Some(text.clone()), text.into())
            }),
        ),
        column(
            "jsonb",
            some(any::<i64>(), ScalarValue::Utf8(None), |v| {
                (Some(format!("{{\"b\":{v},  \"a\":null}}")), format!("{{\"a\": null, \"b\": {v}}}").into())
            }),
        ),
        column(
            "mood",
            some(prop_oneof![Just("sad"), Just("高兴")], ScalarValue::Utf8(None), |v| {
                (Some(v.to_string()), v.into())
            }),
        ),
        column("oid", some(any::<u32>(), ScalarValue::Int64(None), |v| (Some(v.to_string()), i64::from(v).into()))),
        column(
            "inet",
            some(any::<[u8; 4]>(), ScalarValue::Utf8(None), |v| {
                let text = format!("{}.{}.{}.{}", v[0], v[1], v[2], v[3]);
                (Some(text.clone()), format!("{text}/32").into())
            }),
        ),
        column(
            "int4range",
            some(0..1_000_i32, ScalarValue::Utf8(None), |v| {
                (Some(format!("[{v},{}]", v + 1)), format!("[{v},{})", v + 2).into())
            }),
        ),
        column(
            "int4[]",
            some(prop::collection::vec(any::<Option<i32>>(), 0..5), null_list(&DataType::Int32), |v| {
                let items: Vec<_> = v.iter().map(|item| ScalarValue::Int32(*item)).collect();
                (Some(array_text(&v, ToString::to_string)), list(&items, &DataType::Int32))
            }),
        ),
        column(
            "text[]",
            some(prop::collection::vec(prop::option::of(text()), 0..4), null_list(&DataType::Utf8), |v| {
                let items: Vec<_> = v.iter().map(|item| ScalarValue::Utf8(item.clone())).collect();
                (Some(array_text(&v, Clone::clone)), list(&items, &DataType::Utf8))
            }),
        ),
        column(
            "mood[]",
            some(prop::collection::vec(prop::option::of(Just("sad")), 0..3), null_list(&DataType::Utf8), |v| {
                let items: Vec<_> = v.iter().map(|item| ScalarValue::Utf8(item.map(str::to_string))).collect();
                (Some(array_text(&v, |item| item.to_string())), list(&items, &DataType::Utf8))
            }),
        ),
        column(
            "amount[]",
            some(prop::collection::vec(any::<Option<i32>>(), 0..3), null_list(&DataType::Decimal128(12, 2)), |v| {
                let items: Vec<_> = v
                    .iter()
                    .map(|item| ScalarValue::Decimal128(item.map(|item| i128::from(item) * 100), 12, 2))
                    .collect();
                (Some(array_text(&v, ToString::to_string)), list(&items, &DataType::Decimal128(12, 2)))
            }),
        ),
        column(
            "timestamptz[]",
            some(
                prop::collection::vec(timestamps(), 0..3),
                null_list(&DataType::Timestamp(
                    datafusion::arrow::datatypes::TimeUnit::Microsecond,
                    Some("UTC".into()),
                )),
                |v| {
                    let items: Vec<_> = v
                        .iter()
                        .map(|item| ScalarValue::TimestampMicrosecond(Some(item.1), Some("UTC".into())))
                        .collect();
                    let texts: Vec<_> = v.iter().map(|item| Some(item.0.replace('|', "+00"))).collect();
                    let data_type =
                        DataType::Timestamp(datafusion::arrow::datatypes::TimeUnit::Microsecond, Some("UTC".into()));
                    (Some(array_text(&texts, Clone::clone)), list(&items, &data_type))
                },
            ),
        ),
    ]
}

async fn insert(admin: &Admin, columns: &[Column], row: &[Value]) {
    let casts: Vec<String> = columns
        .iter()
        .enumerate()
        .map(|(position, column)| format!("${}::{}", position + 1, column.sql_type))
        .collect();
    let parameters: Vec<(&(dyn ToSql + Sync), Type)> =
        row.iter().map(|(text, _)| (text as &(dyn ToSql + Sync), Type::TEXT)).collect();
    let sql = format!("INSERT INTO t VALUES ({})", casts.join(", "));
    admin.client().query_typed(&sql, &parameters).await.unwrap_or_else(|error| panic!("{error:?}: {row:?}"));
}

#[test]
fn every_type_comes_back_as_it_was_written() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let columns = columns();
    let (_server, admin, ctx) = runtime.block_on(async {
        let server = Postgres::start().await;
        let admin = server.admin().await;
        let declared: Vec<String> =
            columns.iter().enumerate().map(|(position, column)| format!("c{position} {}", column.sql_type)).collect();
        admin
            .run(&format!(
                "CREATE TYPE mood AS ENUM ('sad', '高兴'); CREATE DOMAIN money2 AS numeric(12, 2);
                 CREATE DOMAIN amount AS money2 CHECK (VALUE < 1e12); CREATE TABLE t ({})",
                declared.join(", ")
            ))
            .await;
        let ctx = session(&source(&server, "").await, &["t"]).await;
        (server, admin, ctx)
    });
    round_trip::check(&runtime, &ctx, &columns, number("CHANCERY_POSTGRES_CASES", 48), async |table| {
        admin.run("TRUNCATE t").await;
        for row in table {
            insert(&admin, &columns, row).await;
        }
    });
}
