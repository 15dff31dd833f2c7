//! Short attacks, each on one control that no attack elsewhere shows to be at work: `tests/sabotage` switches it off, and the
//! attack must succeed.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use harness::cluster::{Cluster, Governance, Options, Written};
use harness::dataset::Dataset;
use harness::policy::canary::{Canary, Sweep};

use super::federation::{COUNT_ORDERS, NORTH, assert_refused, eventually_value, governed, north, rows};
use crate::KEPT;

const READINGS: &str = "CREATE PURPOSE care;
    GRANT SELECT ON TABLE trade.readings TO ROLE analyst FOR PURPOSE care WITH (id = 'readings');
    CREATE POLICY here ON TABLE trade.readings ROW FILTER (region = 'north') TO ROLE analyst;";
/// Rows that are shown, and as many that are hidden.
const READINGS_SHOWN: i64 = 1_000;
const FIRST_HIDDEN_READING: i64 = 900_000_000;

/// After each hidden row one that is shown and has no reading. Read from Parquet, the slot under its NULL keeps what the
/// column's values were unpacked through: hidden readings.
fn readings() -> Dataset {
    let both = |n: i64| [(Some(FIRST_HIDDEN_READING + n), "south"), (None, "north")];
    let (values, regions): (Vec<Option<i64>>, Vec<&str>) = (0..READINGS_SHOWN).flat_map(both).unzip();
    let columns: [(&str, ArrayRef); 2] =
        [("reading", Arc::new(Int64Array::from(values))), ("region", Arc::new(StringArray::from(regions)))];
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let mut data = Dataset::temporary().unwrap();
    data.add(["north", "trade", "readings"], &batch.schema(), &[batch]).unwrap();
    data
}

#[tokio::test(flavor = "multi_thread")]
async fn a26_no_hidden_value_lies_under_a_null_that_is_shown() {
    let data = readings();
    let canaries: Vec<Canary> = (0..READINGS_SHOWN).map(|n| Canary::Number(FIRST_HIDDEN_READING + n)).collect();
    let sweep = Sweep::new(&canaries);
    let governance = Some(Governance { canaries, ..governed(&[("north", READINGS)], Written::AsFiles) });
    let cluster = Cluster::start_with(&data, Options { governance, kept: KEPT, ..Options::default() }).await;
    let doors = [
        (cluster.user_of_site("ana", "north").await, cluster.raw("ana", Some("north")).await),
        (cluster.user("ana").await, cluster.raw("ana", None).await),
    ];
    for (client, raw) in doors {
        eventually_value(&client, "SELECT count(*) FROM north.trade.readings", "1000").await;
        for sql in ["SELECT * FROM north.trade.readings", "SELECT reading FROM north.trade.readings LIMIT 100"] {
            let capture = raw.capture(sql).await;
            assert!(capture.error().is_none() && capture.frames() > 0, "{sql}: {:?}", capture.error());
            let found = sweep.over(&capture.bytes());
            assert!(found.is_empty(), "{sql}: {} hidden values are among the bytes: {}", found.len(), found[0]);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a74_a_statement_that_writes_writes_nothing() {
    let cluster = north(NORTH).await;
    let directory = tempfile::tempdir().unwrap();
    let at_site = cluster.user_of_site("ana", "north").await;
    let at_coordinator = cluster.user("ana").await;
    for (door, client) in [("site", at_site), ("coordinator", at_coordinator)] {
        eventually_value(&client, COUNT_ORDERS, "200").await;
        let file = directory.path().join(format!("{door}.csv"));
        let copy = format!("COPY (SELECT id FROM north.trade.orders) TO '{}'", file.display());
        for sql in [copy.clone(), format!("EXPLAIN {copy}")] {
            let told = client.query(&sql).await.map(|answer| rows(&answer));
            assert!(!file.exists(), "{sql}: a file is written");
            assert!(told.as_ref().is_err_and(|error| error.starts_with("STATEMENT: ")), "{sql}: {told:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a90_a_purpose_that_is_not_held_opens_nothing() {
    let cluster = north(NORTH).await;
    eventually_value(&cluster.user("ana").await, COUNT_ORDERS, "200").await;
    // Kim is an analyst too, and holds no purpose.
    for client in [cluster.user_of_site("kim", "north").await, cluster.user("kim").await] {
        assert_refused(&client.with_header("x-chancery-purpose", "care"), COUNT_ORDERS, "PURPOSE").await;
    }
}
