//! How rows come: all of them or an error; and what is left behind when nobody wants them.

use std::time::{Duration, Instant};

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::Int64Type;
use connectors::{ConnectorError, ErrorKind};
use datafusion::error::DataFusionError;
use datafusion::physical_plan::{SendableRecordBatchStream, collect};
use datafusion::prelude::SessionContext;
use futures::StreamExt;
use harness::mariadb::MariaDb;
use harness::source::{ours, plan, rows, session};
use tokio::time::timeout;

use super::{AT_WORK, SHARED, SOON, open, source, wait_until};

/// Rows without end, made as they are sent.
pub(super) const ENDLESS: &str =
    "CREATE VIEW endless AS SELECT CAST(seq AS SIGNED) AS n, REPEAT('x', 100) AS pad FROM seq_1_to_4000000000";
/// A row that is a long time in the making.
pub(super) const SLOW: &str = "CREATE VIEW slow AS SELECT SLEEP(600) AS n";

async fn stream(ctx: &SessionContext, table: &str) -> SendableRecordBatchStream {
    plan(ctx, table).await.execute(0, ctx.task_ctx()).unwrap()
}

pub(super) fn count(batches: &[RecordBatch]) -> usize {
    batches.iter().map(RecordBatch::num_rows).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_table_is_read_in_ranges_and_whole() {
    let server = MariaDb::start_with_log().await;
    let admin = server.admin().await;
    admin
        .run(
            "CREATE TABLE t (n bigint PRIMARY KEY, pad varchar(200)); INSERT INTO t SELECT seq, MD5(seq) FROM seq_1_to_400000;
             DELETE FROM t WHERE n % 1000 = 0; ANALYZE TABLE t",
        )
        .await;
    let source = source(&server, SHARED).await;
    let ctx = session(&source, &["t"]).await;
    let partitions = plan(&ctx, "t").await.properties().partitioning.partition_count();
    assert!((2..=4).contains(&partitions), "{partitions}");
    // Grown since it was described, at both ends.
    admin.run("INSERT INTO t SELECT seq, 'late' FROM seq_400001_to_410000; INSERT INTO t VALUES (-7, 'late'), (0, 'late')").await;
    let sum: i64 = (1..=410_000).filter(|n| n % 1_000 != 0 || *n > 400_000).sum::<i64>() - 7;
    let sql = "SELECT count(*), count(DISTINCT n), sum(n), min(length(pad)) FROM t";
    assert_eq!(rows(&ctx, sql).await.unwrap(), format!("409602|409602|{sum}|4"));
    let found = rows(&ctx, "SELECT n FROM t WHERE n IN (-7, 1, 200001, 410000) ORDER BY n").await.unwrap();
    assert_eq!(found, "-7\n1\n200001\n410000");
    assert!(server.log().contains("WHERE \"n\" < "), "no range was asked for");
    // A limit is met by one session.
    assert_eq!(rows(&ctx, "SELECT count(*) FROM (SELECT n FROM t LIMIT 7)").await.unwrap(), "7");
    assert!(server.log().contains("FROM \"registry\".\"t\" AS \"t0\" LIMIT 7"));
}

/// Whoever may not read all columns may read the others, of a part as of the whole.
#[tokio::test(flavor = "multi_thread")]
async fn a_part_of_some_columns_is_read() {
    let server = MariaDb::start_with_log().await;
    server
        .admin()
        .await
        .run(
            "CREATE TABLE t (n bigint PRIMARY KEY, pad varchar(200)); INSERT INTO t SELECT seq, 'x' FROM seq_1_to_400000;
             ANALYZE TABLE t; REVOKE SELECT ON registry.* FROM reader; GRANT SELECT (n) ON registry.t TO reader",
        )
        .await;
    let ctx = session(&source(&server, SHARED).await, &["t"]).await;
    assert!(plan(&ctx, "t").await.properties().partitioning.partition_count() > 1);
    assert_eq!(rows(&ctx, "SELECT count(*), sum(n) FROM t").await.unwrap(), "400000|80000200000");
}

/// Without a log of all writes, or if nobody says that it is one.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_a_log_reads_by_one_session() {
    let no_updates = ["--log-bin=log", "--server-id=1", "--skip-log-slave-updates"];
    let all = ["--log-bin=log", "--server-id=1", "--log-slave-updates"];
    for (server, options) in [(&[][..], SHARED), (&no_updates, SHARED), (&all, "")] {
        let server = MariaDb::start_with(server).await;
        let admin = server.admin().await;
        admin
            .run(
                "CREATE TABLE t (n bigint PRIMARY KEY); INSERT INTO t SELECT seq FROM seq_1_to_400000; ANALYZE TABLE t",
            )
            .await;
        let ctx = session(&source(&server, options).await, &["t"]).await;
        assert_eq!(plan(&ctx, "t").await.properties().partitioning.partition_count(), 1);
        assert_eq!(rows(&ctx, "SELECT count(*), sum(n) FROM t").await.unwrap(), "400000|80000200000");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_are_bounded_by_rows_and_by_bytes() {
    let server = MariaDb::start().await;
    server
        .admin()
        .await
        .run(
            "CREATE TABLE narrow AS SELECT seq AS n FROM seq_1_to_20000;
             CREATE TABLE wide AS SELECT REPEAT('x', 300000) AS pad FROM seq_1_to_50",
        )
        .await;
    let ctx = session(&source(&server, "").await, &["narrow", "wide"]).await;
    let narrow = collect(plan(&ctx, "narrow").await, ctx.task_ctx()).await.unwrap();
    assert_eq!(narrow.iter().map(RecordBatch::num_rows).collect::<Vec<_>>(), [8192, 8192, 3616]);
    let wide = collect(plan(&ctx, "wide").await, ctx.task_ctx()).await.unwrap();
    assert_eq!(count(&wide), 50);
    assert!(wide.iter().all(|batch| batch.num_rows() <= 7), "{:?}", wide.iter().map(RecordBatch::num_rows).max());
    assert_eq!(rows(&ctx, "SELECT count(*) FROM wide").await.unwrap(), "50", "no column at all");
}

#[tokio::test(flavor = "multi_thread")]
async fn dropping_a_stream_frees_the_server() {
    let server = MariaDb::start().await;
    let admin = server.admin().await;
    admin.run(&format!("{ENDLESS}; {SLOW}")).await;
    for (number, mut options) in [server.options(), server.options_over_tls()].into_iter().enumerate() {
        // With one session, the next statement waits until the place of the dropped one is free.
        options.insert("connections_max".into(), 1.into());
        let ctx = session(&open(options).await, &["endless", "slow"]).await;
        let mut endless = stream(&ctx, "endless").await;
        let batch = endless.next().await.unwrap().unwrap();
        assert_eq!(batch.column(0).as_primitive::<Int64Type>().value(0), 1);
        drop(endless);
        let mut slow = stream(&ctx, "slow").await;
        assert!(timeout(Duration::from_secs(2), slow.next()).await.is_err(), "it sleeps");
        drop(slow);
        wait_until(&admin, AT_WORK, "0").await;
        let killed = server.log().matches("KILL QUERY").count();
        assert!(killed > number, "the server was not asked to end it: {killed}");
        // And the next session is a clean one.
        assert_eq!(rows(&ctx, "SELECT n FROM endless LIMIT 1").await.unwrap(), "1");
    }
}

async fn until_error(mut stream: SendableRecordBatchStream) -> DataFusionError {
    loop {
        match stream.next().await {
            Some(Ok(_)) => {}
            Some(Err(error)) => return error,
            None => panic!("a stream that was cut looks complete"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_goes_away_is_an_error_and_comes_back() {
    let mut server = MariaDb::start().await;
    server.admin().await.run(&format!("{ENDLESS}; CREATE TABLE t AS SELECT 1 AS n")).await;
    let source = source(&server, "").await;
    let ctx = session(&source, &["endless", "t"]).await;
    assert_eq!(rows(&ctx, "SELECT n FROM t").await.unwrap(), "1");
    let mut stream = stream(&ctx, "endless").await;
    stream.next().await.unwrap().unwrap();
    server.stop();
    let error = until_error(stream).await;
    assert!(matches!(ours(&error), ConnectorError::Unavailable { .. }), "{error:?}");
    assert!(matches!(source.table("t").await, Err(ConnectorError::Unavailable { .. })));
    server.restart().await;
    assert_eq!(rows(&ctx, "SELECT n FROM t").await.unwrap(), "1", "the same sessions' pool, new sessions");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_an_administrator_ends_is_an_error() {
    let server = MariaDb::start().await;
    let admin = server.admin().await;
    admin.run(&format!("{ENDLESS}; CREATE TABLE t AS SELECT 1 AS n")).await;
    let ctx = session(&source(&server, "").await, &["endless", "t"]).await;
    for (end, kind) in [("CONNECTION", ErrorKind::SiteUnavailable), ("QUERY", ErrorKind::Cancelled)] {
        let mut stream = stream(&ctx, "endless").await;
        stream.next().await.unwrap().unwrap();
        let running = "SELECT ID FROM information_schema.PROCESSLIST WHERE USER = 'reader' AND COMMAND = 'Execute'";
        let id = admin.value(running).await;
        admin.run(&format!("KILL {end} {id}")).await;
        let error = until_error(stream).await;
        assert_eq!(ours(&error).kind(), kind, "{end}: {error:?}");
        assert_eq!(rows(&ctx, "SELECT n FROM t").await.unwrap(), "1", "the pool goes on");
    }
    // Ended while nobody used them.
    let idle = "SELECT GROUP_CONCAT(CONCAT('KILL ', ID) SEPARATOR '; ') FROM information_schema.PROCESSLIST \
                WHERE USER = 'reader'";
    admin.run(&admin.value(idle).await).await;
    assert_eq!(rows(&ctx, "SELECT n FROM t").await.unwrap(), "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_finds_no_session_waits_and_is_told() {
    let server = MariaDb::start().await;
    server.admin().await.run(&format!("{ENDLESS}; CREATE TABLE t AS SELECT 1 AS n")).await;
    let hasty = source(&server, "connections_max = 1\nconnect_timeout_ms = 700").await;
    let ctx = session(&hasty, &["endless", "t"]).await;
    let mut held = stream(&ctx, "endless").await;
    held.next().await.unwrap().unwrap();
    let began = Instant::now();
    let error = rows(&ctx, "SELECT n FROM t").await.unwrap_err();
    assert!(matches!(ours(&error), ConnectorError::Exhausted { .. }), "{error:?}");
    assert!(began.elapsed() >= Duration::from_millis(700));
    let patient = source(&server, "connections_max = 1").await;
    let ctx = session(&patient, &["endless", "t"]).await;
    let mut held_too = stream(&ctx, "endless").await;
    held_too.next().await.unwrap().unwrap();
    let (_, answer) = tokio::join!(
        async {
            tokio::time::sleep(Duration::from_millis(500)).await;
            drop(held_too);
        },
        rows(&ctx, "SELECT n FROM t"),
    );
    assert_eq!(answer.unwrap(), "1");
}

/// The server refuses more connections than it has.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_full_is_told_so() {
    let server = MariaDb::start_with(&["--max-connections=10"]).await;
    server.admin().await.run("CREATE TABLE t AS SELECT 1 AS n").await;
    let source = source(&server, "connections_max = 3").await;
    let mut others = Vec::new();
    let full = loop {
        // One place is kept for an administrator with all rights.
        match source.tables().await {
            Err(error) => break error,
            Ok(_) => others.push(server.admin().await),
        }
        assert!(others.len() < 20, "the server is never full");
        tokio::time::sleep(Duration::from_millis(50)).await;
        if let Some(last) = others.last() {
            let ours = "SELECT ID FROM information_schema.PROCESSLIST WHERE USER = 'reader' LIMIT 1";
            let id = last.value(ours).await;
            last.run(&format!("KILL {id}")).await;
        }
    };
    assert_eq!(full.kind(), ErrorKind::ResourceExhausted, "{full:?}");
    others.clear();
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(timeout(SOON, source.table("t")).await.unwrap().is_ok(), "there is room again");
}
