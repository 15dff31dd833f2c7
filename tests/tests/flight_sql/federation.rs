//! A site with a foreign server as its source, asked through a coordinator: as any other table of the federation.

use std::sync::Arc;

use arrow::array::{ArrayRef, Decimal128Array, Int64Array, RecordBatch, StringArray};
use harness::cluster::{Border, Cluster, Fault, Options};
use harness::dataset::Dataset;
use harness::roapi::{Roapi, Served};

/// A data set with a table of files at each of two sites.
pub(crate) fn dataset() -> Dataset {
    let mut dataset = Dataset::temporary().unwrap();
    let regions = |codes: Vec<i64>, names: Vec<&str>| {
        let columns: [(&str, ArrayRef); 2] =
            [("code", Arc::new(Int64Array::from(codes))), ("region", Arc::new(StringArray::from(names)))];
        RecordBatch::try_from_iter(columns).unwrap()
    };
    let rows = regions(vec![1, 2], vec!["华北", "华东"]);
    dataset.add(["south", "civil", "regions"], &rows.schema(), &[rows]).unwrap();
    let rows = regions(vec![9], vec!["x"]);
    dataset.add(["north", "files", "other"], &rows.schema(), &[rows]).unwrap();
    dataset
}

fn people() -> Served {
    let ids = || 1..=5_000_i64;
    let paid = Decimal128Array::from_iter_values(ids().map(|n| i128::from(n) * 25)).with_precision_and_scale(12, 2);
    let columns: [(&str, ArrayRef); 4] = [
        ("id", Arc::new(Int64Array::from_iter_values(ids()))),
        ("name", Arc::new(StringArray::from_iter_values(ids().map(|n| format!("name {n}"))))),
        ("code", Arc::new(Int64Array::from_iter_values(ids().map(|n| n % 3)))),
        ("paid", Arc::new(paid.unwrap())),
    ];
    Served::new("people", &RecordBatch::try_from_iter(columns).unwrap())
}

async fn cluster(dataset: &Dataset, mut lake: toml::Table) -> Cluster {
    lake.insert("name".into(), "lake".into());
    lake.insert("kind".into(), "flight_sql".into());
    let options = Options { sources: vec![("north".to_string(), lake)], ..Options::default() };
    Cluster::start_with(dataset, options).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_coordinator_asks_a_site_over_a_foreign_server() {
    let mut server = Roapi::start(&[people()]);
    let dataset = dataset();
    let cluster = cluster(&dataset, super::with(server.options(), "connect_timeout_ms = 2000")).await;
    let client = cluster.client().await;
    assert_eq!(client.value("SELECT count(*) FROM north.lake.people").await, "5000");
    assert_eq!(client.value("SELECT sum(paid) FROM north.lake.people WHERE id BETWEEN 5 AND 8").await, "6.50");
    let joined = "SELECT count(*) FROM north.lake.people p JOIN south.civil.regions r ON r.code = p.code \
                  WHERE r.region = '华东'";
    assert_eq!(client.value(joined).await, "1667");
    let asked = server.asked_since(0).join("\n");
    assert!(
        asked.contains("\"sum\"(\"t0\".\"paid\")") && asked.contains("(\"t0\".\"id\" >= 5)"),
        "the server made the sum: {asked}"
    );

    server.stop();
    let error = client.query("SELECT count(name) FROM north.lake.people").await.unwrap_err();
    assert!(error.starts_with("SITE_UNAVAILABLE") || error.starts_with("NOT_FOUND"), "{error}");
    assert!(!error.contains("127.0.0.1"), "{error}");
    server.restart();
    assert_eq!(client.value("SELECT count(name) FROM north.lake.people").await, "5000");
}

/// A server that goes away, or a way to it that is cut, is an error and never a short answer.
#[tokio::test(flavor = "multi_thread")]
async fn a_cut_between_site_and_server_is_no_answer() {
    let server = Roapi::start(&[people()]);
    let border = Border::open(&server.address()).await;
    let dataset = dataset();
    let cluster =
        cluster(&dataset, super::with(server.options_at(border.address()), "statement_timeout_ms = 5000")).await;
    let client = cluster.client().await;
    let whole = "SELECT id, name FROM north.lake.people";
    assert_eq!(client.query(whole).await.unwrap().batches.iter().map(RecordBatch::num_rows).sum::<usize>(), 5_000);
    let mut failed = 0;
    for bytes in (500..60_000).step_by(4_000) {
        border.set(Fault::CutAfter(bytes));
        match client.query(whole).await {
            Ok(answer) => assert_eq!(answer.batches.iter().map(RecordBatch::num_rows).sum::<usize>(), 5_000, "{bytes}"),
            Err(error) => {
                failed += 1;
                let is_told = ["SITE_UNAVAILABLE", "NOT_FOUND", "STALE"].iter().any(|code| error.starts_with(code));
                assert!(is_told, "{bytes}: {error}");
            }
        }
        border.set(Fault::None);
    }
    assert!(failed > 5, "only {failed} were cut");
    assert_eq!(client.query(whole).await.unwrap().batches.iter().map(RecordBatch::num_rows).sum::<usize>(), 5_000);
}
