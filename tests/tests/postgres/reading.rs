//! How rows come: in parallel, at one moment, all of them or an error; and what is left behind when nobody wants them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::Int64Type;
use connectors::{ConnectorError, ErrorKind, Source};
use datafusion::physical_plan::{SendableRecordBatchStream, collect};
use datafusion::prelude::SessionContext;
use futures::StreamExt;
use harness::postgres::{AT_WORK, Postgres};
use harness::source::{ours, plan, rows, session, within};
use tokio::time::timeout;

use super::{SOON, open, source, wait_until};

/// Rows without end, made as they are sent.
const ENDLESS: &str =
    "CREATE VIEW endless AS SELECT generate_series(1, 4000000000)::int8 AS n, repeat('x', 100) AS pad";
/// A row that is a long time in the making.
const SLOW: &str = "CREATE VIEW slow AS SELECT 1 AS n FROM (SELECT pg_sleep(600)) AS s";

async fn stream(ctx: &SessionContext, table: &str) -> SendableRecordBatchStream {
    plan(ctx, table).await.execute(0, ctx.task_ctx()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_table_is_read_in_ranges_and_whole() {
    let server = Postgres::start().await;
    let admin = server.admin().await;
    admin
        .run(
            "CREATE TABLE t AS SELECT n::int8 AS n, repeat(md5(n::text), 4) AS pad FROM generate_series(1, 200000) AS n;
             DELETE FROM t WHERE n % 1000 = 0; ANALYZE t",
        )
        .await;
    let source = source(&server, "").await;
    let ctx = session(&source, &["t"]).await;
    assert_eq!(plan(&ctx, "t").await.properties().partitioning.partition_count(), 4);
    // Grown since it was described: the last range has no end.
    admin.run("INSERT INTO t SELECT n, 'late' FROM generate_series(200001, 210000) AS n").await;
    let sum: u64 = (1..=210_000).filter(|n| n % 1_000 != 0 || *n > 200_000).sum();
    let sql = "SELECT count(*), count(DISTINCT n), sum(n), min(length(pad)) FROM t";
    assert_eq!(rows(&ctx, sql).await.unwrap(), format!("209800|209800|{sum}|4"));
    assert_eq!(
        rows(&ctx, "SELECT n FROM t WHERE n IN (1, 100001, 210000) ORDER BY n").await.unwrap(),
        "1\n100001\n210000"
    );
    let log = server.log();
    assert!(log.contains("WHERE ctid >= '(0,0)'::tid AND ctid < '("), "no range was asked for");
    // A limit is met by one session.
    assert_eq!(rows(&ctx, "SELECT count(*) FROM (SELECT n FROM t LIMIT 7)").await.unwrap(), "7");
    assert!(server.log().contains("FROM \"public\".\"t\" AS \"t0\" LIMIT 7"));
}

fn count(batches: &[RecordBatch]) -> usize {
    batches.iter().map(RecordBatch::num_rows).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn all_scans_of_a_scope_see_one_moment() {
    let server = Postgres::start().await;
    let admin = server.admin().await;
    admin.run("CREATE TABLE a AS SELECT n FROM generate_series(1, 50000) AS n; CREATE TABLE b AS SELECT 1 AS n").await;
    let ctx = session(&source(&server, "").await, &["a", "b"]).await;
    let (a, b) = (plan(&ctx, "a").await, plan(&ctx, "b").await);
    let scoped = within(&ctx, Some(Arc::default()));
    let mut stream = a.execute(0, Arc::clone(&scoped)).unwrap();
    let first = stream.next().await.unwrap().unwrap();
    admin.run("BEGIN; INSERT INTO a VALUES (0); INSERT INTO b VALUES (2); COMMIT").await;
    assert_eq!(count(&collect(Arc::clone(&b), Arc::clone(&scoped)).await.unwrap()), 1, "the moment of `a`");
    assert_eq!(count(&collect(b, within(&ctx, None)).await.unwrap()), 2, "a moment of its own");
    let mut left = first.num_rows();
    while let Some(batch) = stream.next().await {
        left += batch.unwrap().num_rows();
    }
    assert_eq!(left, 50_000);
    drop((stream, scoped));
    // The transaction that kept the moment is over with the scope.
    wait_until(&admin, AT_WORK, "0").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_are_bounded_by_rows_and_by_bytes() {
    let server = Postgres::start().await;
    server
        .admin()
        .await
        .run(
            "CREATE TABLE narrow AS SELECT n FROM generate_series(1, 20000) AS n;
             CREATE TABLE wide AS SELECT repeat('x', 300000) AS pad FROM generate_series(1, 50)",
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
    let server = Postgres::start().await;
    let admin = server.admin().await;
    admin.run(&format!("{ENDLESS}; {SLOW}")).await;
    for (number, mut options) in [server.options("public"), server.options_over_tls("public")].into_iter().enumerate() {
        // With one session to read, the next statement waits until the place of the dropped one is free.
        options.insert("connections_max".into(), 2.into());
        let ctx = session(&open(options).await, &["endless", "slow"]).await;
        let mut endless = stream(&ctx, "endless").await;
        let batch = endless.next().await.unwrap().unwrap();
        assert_eq!(batch.column(0).as_primitive::<Int64Type>().value(0), 1);
        drop(endless);
        let mut slow = stream(&ctx, "slow").await;
        assert!(timeout(Duration::from_secs(2), slow.next()).await.is_err(), "it sleeps");
        assert_eq!(admin.value(AT_WORK).await, "1");
        drop(slow);
        wait_until(&admin, AT_WORK, "0").await;
        let cancelled = server.log().matches("canceling statement due to user request").count();
        assert!(cancelled > number, "the server was not asked to cancel: {cancelled}");
        // And the next session is a clean one.
        assert_eq!(rows(&ctx, "SELECT n FROM endless LIMIT 1").await.unwrap(), "1");
    }
}

async fn until_error(mut stream: SendableRecordBatchStream) -> datafusion::error::DataFusionError {
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
    let mut server = Postgres::start().await;
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
    let server = Postgres::start().await;
    let admin = server.admin().await;
    admin.run(ENDLESS).await;
    let ctx = session(&source(&server, "").await, &["endless"]).await;
    for (end, kind) in
        [("pg_terminate_backend", ErrorKind::SiteUnavailable), ("pg_cancel_backend", ErrorKind::Cancelled)]
    {
        let mut stream = stream(&ctx, "endless").await;
        stream.next().await.unwrap().unwrap();
        let sql = format!("SELECT count({end}(pid)) FROM pg_stat_activity WHERE application_name = 'chancery'");
        admin.value(&sql).await;
        let error = until_error(stream).await;
        assert_eq!(ours(&error).kind(), kind, "{end}: {error:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_finds_no_session_waits_and_is_told() {
    let server = Postgres::start().await;
    server.admin().await.run(&format!("{ENDLESS}; CREATE TABLE t AS SELECT 1 AS n")).await;
    let hasty = source(&server, "connections_max = 2\nconnect_timeout_ms = 700").await;
    let ctx = session(&hasty, &["endless", "t"]).await;
    let mut held = stream(&ctx, "endless").await;
    held.next().await.unwrap().unwrap();
    let began = Instant::now();
    let error = rows(&ctx, "SELECT n FROM t").await.unwrap_err();
    assert!(matches!(ours(&error), ConnectorError::Exhausted { .. }), "{error:?}");
    assert!(began.elapsed() >= Duration::from_millis(700));
    let patient = source(&server, "connections_max = 2").await;
    let (ctx, waiting) = (session(&patient, &["endless", "t"]).await, session(&patient, &["t"]).await);
    let mut held_too = stream(&ctx, "endless").await;
    held_too.next().await.unwrap().unwrap();
    let (_, answer) = tokio::join!(
        async {
            tokio::time::sleep(Duration::from_millis(500)).await;
            drop(held_too);
        },
        rows(&waiting, "SELECT n FROM t"),
    );
    assert_eq!(answer.unwrap(), "1");
}

/// Statements that each hold a snapshot never wait for each other's readers for ever.
#[tokio::test(flavor = "multi_thread")]
async fn many_statements_at_once_all_end() {
    let server = Postgres::start().await;
    server.admin().await.run("CREATE TABLE t AS SELECT n FROM generate_series(1, 1000) AS n").await;
    let source: Arc<dyn Source> = source(&server, "connections_max = 4\nconnect_timeout_ms = 20000").await;
    let ctx = session(&source, &["t"]).await;
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
    assert!(counts.iter().all(|count| *count == 2_000), "{counts:?}");
}
