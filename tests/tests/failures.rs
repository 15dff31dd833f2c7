//! What goes wrong at a site is told by name, in time, and never looks like an answer.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::Int64Array;
use arrow::datatypes::{DataType, Field, Schema};
use arrow::record_batch::RecordBatch;
use harness::cluster::{Client, Cluster, Fault, Options};
use harness::dataset::Dataset;
use harness::environment::number;
use harness::tpch::tpch;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// All of lineitem's rows cross the border, some 10 MB at scale 0.1.
const LARGE: &str = "SELECT l_orderkey, l_partkey, l_suppkey, l_comment FROM logistics.tpch.lineitem";
/// Rows of lineitem at scale 0.1.
const LARGE_ROWS: usize = 600_572;
/// A statement over two sites, whose stream from logistics is large.
const JOINED: &str = "SELECT o_orderpriority, count(*), sum(length(l_comment)) FROM sales.tpch.orders \
    JOIN logistics.tpch.lineitem ON l_orderkey = o_orderkey GROUP BY o_orderpriority";

fn with_borders(limits: &str) -> Options {
    Options { borders: true, coordinator_limits: limits.to_string(), ..Options::default() }
}

fn rows(answer: &harness::oracle::Answer) -> usize {
    answer.batches.iter().map(RecordBatch::num_rows).sum()
}

/// Either all rows, or an error that names site and table.
fn whole_or_error(answer: Result<harness::oracle::Answer, String>) -> Option<String> {
    match answer {
        Ok(answer) => {
            assert_eq!(rows(&answer), LARGE_ROWS, "a truncated answer that looks complete");
            None
        }
        Err(error) => {
            assert!(error.starts_with("SITE_UNAVAILABLE") || error.starts_with("SITE_PROTOCOL"), "{error}");
            assert!(error.contains("logistics") && error.contains("tpch.lineitem"), "{error}");
            Some(error)
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_cut_at_any_byte_is_an_error() {
    let cuts = number("CHANCERY_CUTS", 200_usize);
    let cluster = Cluster::start_with(&tpch(0.1).unwrap(), with_borders("")).await;
    let client = cluster.client().await;
    let border = cluster.border("logistics");
    let before = border.from_site();
    assert_eq!(whole_or_error(client.query(LARGE).await), None);
    let whole = border.from_site() - before;
    let mut random = StdRng::seed_from_u64(20_130_101);
    let mut failed = 0;
    for _ in 0..cuts {
        border.set(Fault::CutAfter(random.random_range(0..whole)));
        failed += usize::from(whole_or_error(client.query(LARGE).await).is_some());
        border.set(Fault::None);
    }
    assert!(failed > cuts / 2, "only {failed} of {cuts} cuts met a stream");
    assert_eq!(whole_or_error(client.query(LARGE).await), None, "the connection comes back");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_site_killed_in_mid_stream_is_an_error_and_comes_back() {
    let kills = number("CHANCERY_KILLS", 25_usize);
    let mut cluster = Cluster::start(&tpch(0.1).unwrap()).await;
    let client = cluster.client().await;
    let mut random = StdRng::seed_from_u64(7);
    let mut failed = 0;
    for _ in 0..kills {
        let asking = {
            let client = client.clone();
            tokio::spawn(async move { client.query(LARGE).await })
        };
        tokio::time::sleep(Duration::from_millis(random.random_range(0..700))).await;
        cluster.kill_site("logistics");
        failed += usize::from(whole_or_error(asking.await.unwrap()).is_some());
        // What does not need the site goes on.
        assert_eq!(client.value("SELECT count(*) FROM sales.tpch.orders").await, "150000");
        cluster.restart_site("logistics");
        eventually(&client, "SELECT count(*) FROM logistics.tpch.lineitem", "600572").await;
    }
    assert!(failed > 0, "no kill met a stream");
}

/// The statement is answered, once the connection has been made again.
async fn eventually(client: &Client, sql: &str, expected: &str) {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        match client.query(sql).await {
            Ok(_) => break assert_eq!(client.value(sql).await, expected),
            Err(error) => assert!(Instant::now() < deadline, "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_site_that_is_down_or_silent_is_told_by_name_within_its_deadline() {
    let limits = "first_message_timeout_ms = 1500\nidle_timeout_ms = 1500\nconnect_timeout_ms = 1000";
    let cluster = Cluster::start_with(&tpch(0.1).unwrap(), with_borders(limits)).await;
    let client = cluster.client().await;
    assert!(client.query(JOINED).await.is_ok());
    for fault in [Fault::Down, Fault::StallAfter(0), Fault::StallAfter(2_000_000)] {
        cluster.border("logistics").set(fault);
        let began = Instant::now();
        let error = client.query(JOINED).await.map(|answer| rows(&answer)).unwrap_err();
        assert!(error.starts_with("SITE_UNAVAILABLE"), "{fault:?}: {error}");
        assert!(error.contains("logistics"), "{fault:?}: {error}");
        assert!(began.elapsed() < Duration::from_secs(8), "{fault:?} took {:?}", began.elapsed());
        assert_eq!(client.value("SELECT count(*) FROM sales.tpch.orders").await, "150000", "others are unaffected");
        // Planning needs no site that has answered before.
        client.query(&format!("EXPLAIN {JOINED}")).await.unwrap();
        // The stalled connection is not used again.
        cluster.border("logistics").set(Fault::Down);
        cluster.border("logistics").set(Fault::None);
        eventually(&client, "SELECT count(*) FROM logistics.tpch.lineitem", "600572").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_site_that_was_never_there_is_told_by_name() {
    let mut cluster = Cluster::start(&tpch(0.01).unwrap()).await;
    cluster.kill_site("supply");
    let late =
        harness::cluster::process::Process::start("coordinator", &cluster.root().join("coordinator.toml"), "info");
    let client = Client::connect(late.address(), None).await;
    assert_eq!(client.value("SELECT count(*) FROM sales.tpch.orders").await, "15000");
    let error = client.query("SELECT count(*) FROM supply.tpch.part").await.map(|answer| rows(&answer)).unwrap_err();
    assert!(error.starts_with("SITE_UNAVAILABLE") && error.contains("supply"), "{error}");
    cluster.restart_site("supply");
    eventually(&client, "SELECT count(*) FROM supply.tpch.part", "2000").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_has_a_time_and_then_an_error() {
    let limits = Options {
        coordinator_limits: "statement_timeout_ms = 1500".into(),
        site_limits: "join_pairs_max = 1000000000000000".into(),
        ..Options::default()
    };
    let cluster = Cluster::start_with(&tpch(0.1).unwrap(), limits).await;
    let client = cluster.client().await;
    let began = Instant::now();
    let error = client
        .query("SELECT count(*) FROM logistics.tpch.lineitem a JOIN logistics.tpch.lineitem b ON a.l_comment < b.l_comment")
        .await
        .map(|answer| rows(&answer))
        .unwrap_err();
    assert!(error.starts_with("DEADLINE"), "{error}");
    assert!(began.elapsed() < Duration::from_secs(6), "{:?}", began.elapsed());
}

fn people(columns: &[(&str, i64)]) -> (Arc<Schema>, RecordBatch) {
    let schema = Arc::new(Schema::new(
        columns.iter().map(|(name, _)| Field::new(*name, DataType::Int64, true)).collect::<Vec<_>>(),
    ));
    let arrays = columns.iter().map(|(_, value)| Arc::new(Int64Array::from(vec![*value])) as _).collect();
    (Arc::clone(&schema), RecordBatch::try_new(schema, arrays).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_changed_is_planned_again_or_told() {
    let mut dataset = Dataset::temporary().unwrap();
    let (schema, batch) = people(&[("id", 1), ("age", 30)]);
    dataset.add(["north", "civil", "people"], &schema, &[batch]).unwrap();
    let cluster = Cluster::start(&dataset).await;
    let client = cluster.client().await;
    assert_eq!(client.value("SELECT age FROM north.civil.people").await, "30");

    // Other rows under the same columns: asked again, the answer is the new one.
    let (schema, batch) = people(&[("id", 1), ("age", 31)]);
    dataset.replace(["north", "civil", "people"], &schema, &[batch]).unwrap();
    assert_eq!(client.value("SELECT age FROM north.civil.people").await, "31");

    // A column that is gone: told by its name, not made up.
    let (schema, batch) = people(&[("id", 1), ("years", 32)]);
    dataset.replace(["north", "civil", "people"], &schema, &[batch]).unwrap();
    let error = client.query("SELECT age FROM north.civil.people").await.map(|answer| rows(&answer)).unwrap_err();
    assert!(error.starts_with("NOT_FOUND") || error.starts_with("STALE"), "{error}");
    assert_eq!(client.value("SELECT years FROM north.civil.people").await, "32");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_regional_table_with_a_missing_arm_is_an_error_unless_the_arm_is_not_asked() {
    let mut dataset = Dataset::temporary().unwrap();
    for (site, age) in [("north", 30), ("south", 40)] {
        let (schema, batch) = people(&[("id", 1), ("age", age)]);
        dataset.add([site, "civil", "people"], &schema, &[batch]).unwrap();
    }
    dataset.add_regional(["national", "civil", "people"], &["north", "south"]);
    let mut cluster = Cluster::start(&dataset).await;
    let client = cluster.client().await;
    assert_eq!(client.value("SELECT sum(age) FROM national.civil.people").await, "70");
    cluster.kill_site("south");
    let error = client.query("SELECT sum(age) FROM national.civil.people").await.map(|a| rows(&a)).unwrap_err();
    assert!(error.starts_with("SITE_UNAVAILABLE") && error.contains("south"), "{error}");
    assert_eq!(client.value("SELECT sum(age) FROM national.civil.people WHERE region = 'north'").await, "30");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_nobody_reads_holds_up_no_other() {
    let options = Options { coordinator_limits: "stream_window_bytes = 65536".into(), ..Options::default() };
    let cluster = Cluster::start_with(&tpch(0.1).unwrap(), options).await;
    let client = cluster.client().await;
    let mut unread = Vec::new();
    for _ in 0..3 {
        let info = client.info(LARGE).await.unwrap();
        let ticket = info.endpoint[0].ticket.clone().unwrap();
        let slow = cluster.client().await;
        unread.push((slow.flight().do_get(ticket).await.unwrap(), info, slow));
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(client.value("SELECT count(*) FROM logistics.tpch.lineitem").await, "600572");
    let running = format!("SELECT count(*) FROM system.queries.running WHERE statement = '{LARGE}'");
    assert_eq!(client.value(&running).await, "3");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_s_time_ends_also_when_nobody_reads() {
    let limits = Options { coordinator_limits: "statement_timeout_ms = 2000".into(), ..Options::default() };
    let cluster = Cluster::start_with(&tpch(0.1).unwrap(), limits).await;
    let client = cluster.client().await;
    let info = client.info(LARGE).await.unwrap();
    let mut unread = client.flight().do_get(info.endpoint[0].ticket.clone().unwrap()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(3000)).await;
    let ended = "SELECT count(*) FROM system.queries.ledger WHERE site = 'logistics' AND state <> 'running'";
    assert_eq!(client.value(ended).await, "1", "the site's stream is let go");
    let mut last = None;
    while let Some(batch) = futures::StreamExt::next(&mut unread).await {
        last = Some(batch);
    }
    let error = harness::cluster::client::told(&last.expect("some batches").unwrap_err());
    assert!(error.starts_with("DEADLINE"), "{error}");
}
