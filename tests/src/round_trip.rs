//! Every type of a database there and back: values written by the database's own rules, read as Arrow.

use std::ops::RangeInclusive;

use datafusion::common::ScalarValue;
use datafusion::prelude::SessionContext;
use proptest::prelude::{Just, Strategy, TestCaseError};
use proptest::strategy::BoxedStrategy;
use proptest::test_runner::{Config, TestRunner};
use proptest::{prop_assert_eq, prop_oneof};
use tokio::runtime::Runtime;

/// A value as the database reads it, and as it is to come back; `None` is NULL.
pub type Value = (Option<String>, ScalarValue);

/// A column: its type in the database, and values of it.
#[derive(Debug)]
pub struct Column {
    /// The type in the database's words.
    pub sql_type: &'static str,
    /// Its extremes and NULL among them.
    pub values: BoxedStrategy<Value>,
}

/// Microseconds.
pub const DAY_US: i64 = 86_400_000_000;

/// A column.
pub fn column(sql_type: &'static str, values: BoxedStrategy<Value>) -> Column {
    Column { sql_type, values }
}

/// Values as `write` tells, and now and then NULL.
pub fn some<S: Strategy + 'static>(values: S, null: ScalarValue, write: fn(S::Value) -> Value) -> BoxedStrategy<Value>
where
    S::Value: Clone,
{
    null_or(values.prop_map(write), null)
}

/// Values, and now and then NULL.
pub fn null_or(values: impl Strategy<Value = Value> + 'static, null: ScalarValue) -> BoxedStrategy<Value> {
    prop_oneof![1 => Just((None, null)), 5 => values].boxed()
}

/// Days since 1970 (Howard Hinnant's `days_from_civil`).
pub fn days(year: i32, month: i32, day: i32) -> i32 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// A date with its year counted within its era, its day, and whether it is before the first year.
pub fn dates(years: RangeInclusive<i32>) -> impl Strategy<Value = (String, i32, bool)> + Clone {
    (years, 1..=12, 1..=28).prop_map(|(year, month, day)| {
        let shown = if year > 0 { year } else { 1 - year };
        (format!("{shown:04}-{month:02}-{day:02}"), days(year, month, day), year <= 0)
    })
}

/// A time of day, with all digits.
pub fn time(micros: i64) -> String {
    let seconds = micros / 1_000_000;
    format!("{:02}:{:02}:{:02}.{:06}", seconds / 3600, seconds / 60 % 60, seconds % 60, micros % 1_000_000)
}

/// A number and its digits, the extremes among them.
pub fn decimals(precision: u8, scale: i8) -> impl Strategy<Value = (String, i128)> {
    let most = 10_i128.pow(u32::from(precision)) - 1;
    prop_oneof![Just(most), Just(-most), Just(0), -most..=most, -1_000_000_i128.min(most)..=1_000_000.min(most)]
        .prop_map(move |value| {
            let places = usize::from(scale.unsigned_abs());
            let digits = format!("{:0>width$}", value.unsigned_abs(), width = places + 1);
            let (whole, part) = digits.split_at(digits.len() - places);
            let sign = if value < 0 { "-" } else { "" };
            (format!("{sign}{whole}.{part}0"), value)
        })
}

/// Writes random tables by `write`, reads the table `t` of `ctx` whole, and expects what was written.
///
/// # Panics
/// If a value comes back as another one.
pub fn check(
    runtime: &Runtime,
    ctx: &SessionContext,
    columns: &[Column],
    cases: u32,
    write: impl AsyncFn(&[Vec<Value>]),
) {
    let row: Vec<_> = columns.iter().map(|column| column.values.clone()).collect();
    let table = proptest::collection::vec(row, 1..8);
    let mut runner = TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() });
    let outcome = runner.run(&table, |table| {
        let came = runtime.block_on(async {
            write(&table).await;
            read(ctx).await
        });
        prop_assert_eq!(came.len(), table.len());
        for (came, sent) in came.iter().zip(&table) {
            for ((came, (text, expected)), column) in came.iter().zip(sent).zip(columns) {
                prop_assert_eq!(came, expected, "{} {:?}", column.sql_type, text);
            }
        }
        Ok::<(), TestCaseError>(())
    });
    outcome.expect("every value comes back");
}

async fn read(ctx: &SessionContext) -> Vec<Vec<ScalarValue>> {
    let frame = ctx.table("t").await.expect("the table is there");
    let batches = frame.collect().await.expect("the table can be read");
    let rows = batches.iter().flat_map(|batch| (0..batch.num_rows()).map(move |row| (batch, row)));
    let value = |column, row| ScalarValue::try_from_array(column, row).expect("every type has scalars");
    rows.map(|(batch, row)| batch.columns().iter().map(|column| value(column, row)).collect()).collect()
}
