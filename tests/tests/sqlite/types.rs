//! Every type there and back: values written by SQLite under each declared name, read as Arrow, at their extremes and NULL;
//! and any value of any kind in any column: it is read as what it is, or refused by name.

use std::cell::Cell;

use arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use harness::environment::number;
use harness::source::{ours, rows, session};
use harness::sqlite::SqliteFile;
use proptest::prelude::*;
use proptest::strategy::BoxedStrategy;
use proptest::test_runner::{Config, TestRunner};
use rusqlite::types::Value;

use super::source;

/// A value as it is written, and as it is to come back.
type Pair = (Value, ScalarValue);

/// Columns by the words that declare them, and values of them.
struct Column {
    declared: &'static [&'static str],
    values: BoxedStrategy<Pair>,
}

const DAY_US: i64 = 86_400_000_000;
/// The years 0 to 9999.
const FIRST_DAY: i32 = -719_528;
const LAST_DAY: i32 = 2_932_896;

fn some<S: Strategy + 'static>(values: S, null: ScalarValue, write: fn(S::Value) -> Pair) -> BoxedStrategy<Pair> {
    prop_oneof![1 => Just((Value::Null, null)), 5 => values.prop_map(write)].boxed()
}

fn text() -> impl Strategy<Value = String> {
    let odd = ["", "NULL", " x ", "it's", "a\0b", "\u{0}", "é", "e\u{301}", "𠮷野家", "1.0", "007"].map(str::to_string);
    prop_oneof![prop::sample::select(odd.to_vec()), any::<String>()]
}

/// Arrow's own words for a value.
fn words(value: &ScalarValue) -> String {
    match value.cast_to(&DataType::Utf8) {
        Ok(ScalarValue::Utf8(Some(words))) => words,
        other => panic!("{value:?} has no words: {other:?}"),
    }
}

fn whole_numbers() -> BoxedStrategy<Pair> {
    let numbers = prop_oneof![Just(i64::MIN), Just(i64::MAX), Just(0), any::<i64>()];
    some(numbers, ScalarValue::Int64(None), |number| (Value::Integer(number), ScalarValue::Int64(Some(number))))
}

/// SQLite keeps no NaN, and tells no sign of zero.
fn floats() -> BoxedStrategy<Pair> {
    let extremes = [f64::MAX, f64::MIN, f64::MIN_POSITIVE, 5e-324, f64::INFINITY, f64::NEG_INFINITY, 0.0, 1.0, 0.1];
    let numbers =
        prop_oneof![prop::sample::select(extremes.to_vec()), any::<f64>().prop_filter("no zero", |n| *n != 0.0)];
    some(numbers, ScalarValue::Float64(None), |number| (Value::Real(number), ScalarValue::Float64(Some(number))))
}

fn dates() -> impl Strategy<Value = i32> {
    prop_oneof![Just(FIRST_DAY), Just(LAST_DAY), Just(0), Just(19_782), FIRST_DAY..=LAST_DAY]
}

fn micros() -> impl Strategy<Value = i64> {
    (dates(), 0..DAY_US).prop_map(|(day, time)| i64::from(day) * DAY_US + time)
}

/// A decimal of so few digits that a float tells each of them.
fn decimals() -> BoxedStrategy<Pair> {
    let most = 10_i128.pow(15) - 1;
    let numbers = prop_oneof![Just(most), Just(-most), Just(0), -most..=most, -1_000_000_i128..=1_000_000];
    some(numbers, ScalarValue::Decimal128(None, 18, 4), |number| {
        let value = ScalarValue::Decimal128(Some(number), 18, 4);
        (Value::Text(words(&value)), value)
    })
}

fn columns() -> Vec<Column> {
    let utc = || Some("UTC".into());
    let truth = |truth: bool| (Value::Integer(truth.into()), ScalarValue::Boolean(Some(truth)));
    vec![
        Column { declared: &["INTEGER", "int", "BIGINT", "UNSIGNED BIG INT", "tinyint(1)"], values: whole_numbers() },
        Column { declared: &["REAL", "double precision", "FLOAT"], values: floats() },
        Column {
            declared: &["TEXT", "VARCHAR(3)", "nchar(55)", "CLOB"],
            values: some(text(), ScalarValue::Utf8(None), |text| {
                (Value::Text(text.clone()), ScalarValue::Utf8(Some(text)))
            }),
        },
        Column {
            declared: &["BLOB", "VARBINARY(16)"],
            values: some(any::<Vec<u8>>(), ScalarValue::Binary(None), |bytes| {
                (Value::Blob(bytes.clone()), ScalarValue::Binary(Some(bytes)))
            }),
        },
        Column { declared: &["BOOLEAN", "bool"], values: some(any::<bool>(), ScalarValue::Boolean(None), truth) },
        Column { declared: &["DECIMAL(18, 4)", "numeric(18,4)"], values: decimals() },
        Column {
            declared: &["DATE"],
            values: some(dates(), ScalarValue::Date32(None), |day| {
                let value = ScalarValue::Date32(Some(day));
                (Value::Text(words(&value)), value)
            }),
        },
        Column {
            declared: &["TIME"],
            values: some(0..DAY_US, ScalarValue::Time64Microsecond(None), |micros| {
                let value = ScalarValue::Time64Microsecond(Some(micros));
                (Value::Text(words(&value)), value)
            }),
        },
        Column {
            declared: &["DATETIME", "TIMESTAMP", "timestamp(6)"],
            values: some(micros(), ScalarValue::TimestampMicrosecond(None, None), |micros| {
                let value = ScalarValue::TimestampMicrosecond(Some(micros), None);
                (Value::Text(words(&value)), value)
            }),
        },
        Column {
            declared: &["TIMESTAMPTZ", "TIMESTAMP WITH TIME ZONE"],
            values: some(micros(), ScalarValue::TimestampMicrosecond(None, utc()), |micros| {
                let value = ScalarValue::TimestampMicrosecond(Some(micros), Some("UTC".into()));
                (Value::Text(words(&value)), value)
            }),
        },
        Column {
            declared: &["UUID", "JSON", ""],
            values: some("[a-f]{8}-[a-z]{4}|\\{.*\\}|é", ScalarValue::Utf8(None), |text| {
                (Value::Text(text.clone()), ScalarValue::Utf8(Some(text)))
            }),
        },
    ]
}

fn runner() -> TestRunner {
    TestRunner::new(Config {
        cases: number("CHANCERY_PROPTEST_CASES", 24),
        failure_persistence: None,
        ..Config::default()
    })
}

/// A table of one column and its values, under each of its declarations in turn.
async fn read_back(declared: &str, kind: &str, values: &[Pair]) {
    let file = SqliteFile::with(&format!("CREATE TABLE t (id INTEGER PRIMARY KEY, v {declared}) {kind}"));
    let mut connection = file.connection();
    let transaction = connection.transaction().unwrap();
    for (written, _) in values {
        transaction.execute("INSERT INTO t (v) VALUES (?1)", [written]).unwrap();
    }
    transaction.commit().unwrap();
    let ctx = session(&source(&file, "").await, &["t"]).await;
    for sql in ["SELECT v FROM t ORDER BY id", "SELECT v FROM t WHERE v IS NOT NULL OR id > 0 ORDER BY id"] {
        let batches =
            ctx.sql(sql).await.unwrap().collect().await.unwrap_or_else(|error| panic!("{declared}: {error:?}"));
        let came: Vec<ScalarValue> = batches
            .iter()
            .flat_map(|batch| {
                (0..batch.num_rows()).map(|row| ScalarValue::try_from_array(batch.column(0), row).unwrap())
            })
            .collect();
        let expected: Vec<ScalarValue> = values.iter().map(|(_, expected)| expected.clone()).collect();
        assert_eq!(came, expected, "{declared} {kind}: {sql}");
    }
}

#[test]
fn every_type_comes_back_as_it_was_written() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    for column in columns() {
        let values = prop::collection::vec(column.values, 1..40);
        runner()
            .run(&(values, prop::sample::select(column.declared.to_vec())), |(values, declared)| {
                runtime.block_on(read_back(declared, "", &values));
                let is_strict = ["INTEGER", "INT", "REAL", "TEXT", "BLOB"].contains(&declared);
                if is_strict {
                    runtime.block_on(read_back(declared, "STRICT", &values));
                }
                Ok(())
            })
            .unwrap();
    }
}

/// A value of any kind.
fn anything() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<i64>().prop_map(Value::Integer),
        (0_i64..3).prop_map(Value::Integer),
        any::<f64>().prop_map(Value::Real),
        Just(Value::Real(0.5)),
        text().prop_map(Value::Text),
        prop::sample::select(vec![
            "2024-02-29",
            "2024-02-29 12:00:00",
            "12:00",
            "1",
            "1.5",
            "t",
            "12345678901234.5678"
        ])
        .prop_map(|text| Value::Text(text.into())),
        any::<Vec<u8>>().prop_map(Value::Blob),
    ]
}

/// Whatever a column holds, an answer has values of its type alone, and an error names table, column and type, and no value;
/// and whoever asks for less of the column meets no more errors.
#[test]
fn a_value_of_another_kind_is_refused_by_name() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let declared: Vec<&str> = columns().iter().flat_map(|column| column.declared.iter().copied()).collect();
    let (read, refused) = (Cell::new(0), Cell::new(0));
    runner()
        .run(&(anything(), prop::sample::select(declared)), |(value, declared)| {
            let file = SqliteFile::with(&format!("CREATE TABLE t (\"列\" {declared})"));
            file.connection().execute("INSERT INTO t VALUES (?1)", [&value]).unwrap();
            runtime.block_on(async {
                let ctx = session(&source(&file, "").await, &["t"]).await;
                match rows(&ctx, "SELECT \"列\" FROM t").await {
                    Ok(_) => read.set(read.get() + 1),
                    Err(error) => {
                        refused.set(refused.get() + 1);
                        let told = ours(&error).to_string();
                        assert!(told.starts_with("table `t`, column `列` of type "), "{declared} {value:?}: {told}");
                        if let Value::Text(text) = &value {
                            assert!(text.len() < 9 || !told.contains(text.as_str()), "{told}");
                        }
                        // What is computed of such a value is refused just so.
                        let counted = rows(&ctx, "SELECT count(*) FROM t WHERE \"列\" IS NOT NULL").await;
                        assert_eq!(ours(&counted.unwrap_err()).to_string(), told, "{declared} {value:?}");
                    }
                }
                assert_eq!(rows(&ctx, "SELECT count(*) FROM t").await.unwrap(), "1");
            });
            Ok(())
        })
        .unwrap();
    assert!(read.get() > 0 && refused.get() > 0, "{read:?} {refused:?}");
}
