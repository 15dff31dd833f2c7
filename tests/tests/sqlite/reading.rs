//! How rows come: in parallel, at one moment, all of them or an error; and what is left behind when nobody wants them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::RecordBatch;
use connectors::{ConnectorError, ReadScope};
use datafusion::physical_plan::{SendableRecordBatchStream, collect};
use datafusion::prelude::SessionContext;
use futures::StreamExt;
use harness::source::{ours, plan, rows, session, within};
use harness::sqlite::SqliteFile;
use tokio::time::timeout;

use super::source;

/// How long something may take that happens at once, on a machine that is busy.
const SOON: Duration = Duration::from_secs(20);
/// Rows without end.
const ENDLESS: &str = "CREATE VIEW endless AS WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s) \
                       SELECT CAST(n AS INTEGER) AS n, 'a text of some length' AS pad FROM s;";
/// A row that is for ever in the making.
const SLOW: &str = "CREATE VIEW slow AS SELECT CAST(count(*) AS INTEGER) AS n FROM endless;";
/// Rows enough for four readers.
const LARGE: i64 = 450_000;

fn modes() -> [(&'static str, &'static str); 2] {
    [("rollback", "PRAGMA journal_mode = DELETE;"), ("wal", "PRAGMA journal_mode = WAL;")]
}

fn series(table: &str, column: &str, rows: i64) -> String {
    format!(
        "CREATE TABLE {table} ({column} INTEGER PRIMARY KEY, pad TEXT);
         INSERT INTO {table} WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < {rows}) \
         SELECT n, 'pad ' || n FROM s;"
    )
}

async fn stream(ctx: &SessionContext, table: &str, scope: Option<&Arc<ReadScope>>) -> SendableRecordBatchStream {
    plan(ctx, table).await.execute(0, within(ctx, scope.cloned())).unwrap()
}

fn count(batches: &[RecordBatch]) -> usize {
    batches.iter().map(RecordBatch::num_rows).sum()
}

async fn rest(mut stream: SendableRecordBatchStream) -> usize {
    let mut rows = 0;
    while let Some(batch) = stream.next().await {
        rows += batch.unwrap().num_rows();
    }
    rows
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_table_is_read_in_ranges_and_whole() {
    for (mode, pragma) in modes() {
        let file = SqliteFile::with(&format!("{pragma} {}", series("t", "n", LARGE)));
        file.run("DELETE FROM t WHERE n % 1000 = 0");
        let ctx = session(&source(&file, "").await, &["t"]).await;
        assert_eq!(plan(&ctx, "t").await.properties().partitioning.partition_count(), 4, "{mode}");
        // Grown at both ends since it was described.
        file.run("INSERT INTO t VALUES (-7, 'early'), (9223372036854775807, 'late')");
        let sql =
            "SELECT count(*), count(DISTINCT n), min(n), max(n), min(length(pad)) FROM (SELECT * FROM t ORDER BY pad)";
        let expected = LARGE - LARGE / 1_000 + 2;
        let came = rows(&ctx, sql).await.unwrap();
        assert_eq!(came, format!("{expected}|{expected}|-7|9223372036854775807|4"), "{mode}");
        // A limit is met by one reader.
        let explained = rows(&ctx, "EXPLAIN SELECT n FROM t LIMIT 7").await.unwrap();
        assert!(explained.contains("partitions=1") && explained.contains("LIMIT 7"), "{explained}");
        let explained = rows(&ctx, "EXPLAIN SELECT n FROM t").await.unwrap();
        assert!(explained.contains("partitions=4") && explained.contains("WHERE \"n\" < "), "{explained}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn all_scans_of_a_scope_see_one_moment() {
    let file = SqliteFile::with(&format!(
        "PRAGMA journal_mode = WAL; {} CREATE TABLE b (n INTEGER); INSERT INTO b VALUES (1)",
        series("a", "n", 50_000)
    ));
    let ctx = session(&source(&file, "").await, &["a", "b"]).await;
    let scope = Arc::default();
    let mut a = stream(&ctx, "a", Some(&scope)).await;
    let first = a.next().await.unwrap().unwrap().num_rows();
    // Another reader joins while nothing has changed; then something does.
    assert_eq!(rest(stream(&ctx, "b", Some(&scope)).await).await, 1);
    file.run("BEGIN; INSERT INTO a VALUES (0, ''); INSERT INTO b VALUES (2); COMMIT");
    let (again, more) = (stream(&ctx, "b", Some(&scope)).await, stream(&ctx, "a", Some(&scope)).await);
    assert_eq!(rest(again).await, 1, "the moment of `a`");
    assert_eq!(rest(more).await, 50_000, "by turns with the first");
    assert_eq!(rest(stream(&ctx, "b", None).await).await, 2, "a moment of its own");
    assert_eq!(first + rest(a).await, 50_000);
}

/// With a rollback journal whoever reads keeps writers waiting, and no longer than it reads.
#[tokio::test(flavor = "multi_thread")]
async fn a_writer_waits_for_readers_of_a_rollback_journal() {
    let file = SqliteFile::with(&series("a", "n", 50_000));
    let ctx = session(&source(&file, "").await, &["a"]).await;
    let scope = Arc::default();
    let mut a = stream(&ctx, "a", Some(&scope)).await;
    a.next().await.unwrap().unwrap();
    let writer = file.connection();
    writer.busy_timeout(Duration::from_millis(200)).unwrap();
    assert!(writer.execute_batch("INSERT INTO a VALUES (0, '')").is_err(), "the file is being read");
    assert_eq!(rest(stream(&ctx, "a", Some(&scope)).await).await, 50_000);
    drop((a, scope));
    writer.busy_timeout(SOON).unwrap();
    writer.execute_batch("INSERT INTO a VALUES (0, '')").unwrap();
}

/// One connection reads statements by turns: none waits for another to be read to its end.
#[tokio::test(flavor = "multi_thread")]
async fn scans_of_one_connection_take_turns() {
    let file = SqliteFile::with(&format!("{ENDLESS} {}", series("a", "n", 100_000)));
    let ctx = session(&source(&file, "connections_max = 1").await, &["a", "endless"]).await;
    let scope = Arc::default();
    let mut endless = stream(&ctx, "endless", Some(&scope)).await;
    let mut streams = Vec::new();
    for _ in 0..20 {
        endless.next().await.unwrap().unwrap();
        streams.push(stream(&ctx, "a", Some(&scope)).await);
    }
    for (number, stream) in streams.into_iter().enumerate() {
        assert_eq!(timeout(SOON, rest(stream)).await.unwrap(), 100_000, "{number}");
        endless.next().await.unwrap().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_are_bounded_by_rows_and_by_bytes() {
    let file = SqliteFile::with(&format!(
        "{} CREATE TABLE wide (pad TEXT); \
         INSERT INTO wide SELECT replace(hex(zeroblob(150000)), '0', 'x') FROM narrow LIMIT 50",
        series("narrow", "n", 20_000)
    ));
    let ctx = session(&source(&file, "").await, &["narrow", "wide"]).await;
    let narrow = collect(plan(&ctx, "narrow").await, ctx.task_ctx()).await.unwrap();
    assert_eq!(narrow.iter().map(RecordBatch::num_rows).collect::<Vec<_>>(), [8192, 8192, 3616]);
    let wide = collect(plan(&ctx, "wide").await, ctx.task_ctx()).await.unwrap();
    assert_eq!(count(&wide), 50);
    assert!(wide.iter().all(|batch| batch.num_rows() <= 7), "{:?}", wide.iter().map(RecordBatch::num_rows).max());
    assert_eq!(rows(&ctx, "SELECT count(*) FROM wide").await.unwrap(), "50", "no column at all");
}

/// The one connection is free again as soon as nobody wants what it does.
#[tokio::test(flavor = "multi_thread")]
async fn dropping_a_stream_ends_what_is_read() {
    let file = SqliteFile::with(&format!("{ENDLESS} {SLOW} CREATE TABLE t (n INTEGER); INSERT INTO t VALUES (1)"));
    let ctx =
        session(&source(&file, "connections_max = 1\nbusy_timeout_ms = 20000").await, &["endless", "slow", "t"]).await;
    let mut endless = stream(&ctx, "endless", None).await;
    endless.next().await.unwrap().unwrap();
    drop(endless);
    assert_eq!(rows(&ctx, "SELECT n FROM t").await.unwrap(), "1");
    let mut slow = stream(&ctx, "slow", None).await;
    assert!(timeout(Duration::from_secs(1), slow.next()).await.is_err(), "it counts");
    drop(slow);
    let began = Instant::now();
    assert_eq!(rows(&ctx, "SELECT n FROM t").await.unwrap(), "1");
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
    // Of two that share a connection, only the one that is dropped ends.
    let scope = Arc::default();
    let mut endless = stream(&ctx, "endless", Some(&scope)).await;
    endless.next().await.unwrap().unwrap();
    let mut slow = stream(&ctx, "slow", Some(&scope)).await;
    assert!(timeout(Duration::from_secs(1), slow.next()).await.is_err(), "it counts");
    drop(slow);
    for _ in 0..5 {
        timeout(SOON, endless.next()).await.unwrap().unwrap().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn time_runs_out() {
    let file = SqliteFile::with(&format!("{ENDLESS} {SLOW}"));
    let ctx = session(&source(&file, "statement_timeout_ms = 700").await, &["endless", "slow"]).await;
    let error = rows(&ctx, "SELECT n FROM slow").await.unwrap_err();
    assert!(matches!(ours(&error), ConnectorError::DeadlineExceeded { .. }), "{error:?}");
    // Whoever does not read on is told when they do, and holds the file no longer.
    let mut endless = stream(&ctx, "endless", None).await;
    endless.next().await.unwrap().unwrap();
    tokio::time::sleep(Duration::from_millis(900)).await;
    let error = loop {
        match endless.next().await.unwrap() {
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    assert!(matches!(ours(&error), ConnectorError::DeadlineExceeded { .. }), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_finds_no_connection_waits_and_is_told() {
    let file = SqliteFile::with(&format!("{ENDLESS} CREATE TABLE t (n INTEGER); INSERT INTO t VALUES (1)"));
    let ctx = session(&source(&file, "connections_max = 1\nbusy_timeout_ms = 500").await, &["endless", "t"]).await;
    let mut held = stream(&ctx, "endless", None).await;
    held.next().await.unwrap().unwrap();
    let error = rows(&ctx, "SELECT n FROM t").await.unwrap_err();
    assert!(matches!(ours(&error), ConnectorError::Exhausted { .. }), "{error:?}");
    let (_, answer) = tokio::join!(
        async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            drop(held);
        },
        rows(&ctx, "SELECT n FROM t"),
    );
    assert_eq!(answer.unwrap(), "1");
}

/// Statements that each hold a moment never wait for each other's readers for ever.
#[tokio::test(flavor = "multi_thread")]
async fn many_statements_at_once_all_end() {
    for (mode, pragma) in modes() {
        let file = SqliteFile::with(&format!("{pragma} {}", series("t", "n", 1_000)));
        let ctx = session(&source(&file, "connections_max = 2\nbusy_timeout_ms = 20000").await, &["t"]).await;
        let scan = plan(&ctx, "t").await;
        let one = async || {
            let scoped = within(&ctx, Some(Arc::default()));
            let both = tokio::join!(
                collect(Arc::clone(&scan), Arc::clone(&scoped)),
                collect(Arc::clone(&scan), Arc::clone(&scoped)),
            );
            count(&both.0.unwrap()) + count(&both.1.unwrap())
        };
        let all = futures::future::join_all((0..24).map(|_| one()));
        let counts = timeout(SOON * 2, all).await.unwrap();
        assert!(counts.iter().all(|count| *count == 2_000), "{mode}: {counts:?}");
    }
}

/// A file that nobody writes is read without locks, and so is one that could not be locked.
#[tokio::test(flavor = "multi_thread")]
async fn an_immutable_file_is_read_without_locks() {
    let file = SqliteFile::with(&series("t", "n", LARGE));
    let holder = file.connection();
    holder.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let ctx = session(&source(&file, "immutable = true").await, &["t"]).await;
    assert_eq!(rows(&ctx, "SELECT count(*), sum(n) FROM (SELECT n FROM t WHERE pad <> '')").await.unwrap(), {
        format!("{LARGE}|{}", LARGE * (LARGE + 1) / 2)
    });
}
