//! One moment for all scans of a statement, however many sessions see it, and turns where one session has to do.

use std::sync::Arc;
use std::time::Duration;

use connectors::{ConnectorError, Source};
use datafusion::execution::TaskContext;
use datafusion::physical_plan::{ExecutionPlan, collect};
use futures::StreamExt;
use harness::mariadb::{Admin, MariaDb};
use harness::source::{ours, plan, rows, session, within};
use tokio::time::timeout;

use super::reading::{ENDLESS, SLOW, count};
use super::{AT_WORK, SHARED, SOON, source, wait_until};

/// More than what is read ahead, less than a second's reading.
const MANY: usize = 100_000;

async fn tables(admin: &Admin) {
    admin
        .run(&format!(
            "CREATE TABLE a (n bigint PRIMARY KEY, pad varchar(100)); CREATE TABLE b (n bigint PRIMARY KEY);
             INSERT INTO a SELECT seq, REPEAT('x', 100) FROM seq_1_to_{MANY}; INSERT INTO b VALUES (1); ANALYZE TABLE a"
        ))
        .await;
}

async fn read(plan: &Arc<dyn ExecutionPlan>, context: &Arc<TaskContext>) -> usize {
    count(&collect(Arc::clone(plan), Arc::clone(context)).await.unwrap())
}

/// With one session the first scan makes way for the second, whose rows are wanted first.
#[tokio::test(flavor = "multi_thread")]
async fn all_scans_of_a_scope_see_one_moment_by_turns() {
    let server = MariaDb::start().await;
    let admin = server.admin().await;
    tables(&admin).await;
    let ctx = session(&source(&server, "connections_max = 1").await, &["a", "b"]).await;
    let (a, b) = (plan(&ctx, "a").await, plan(&ctx, "b").await);
    let scoped = within(&ctx, Some(Arc::default()));
    let mut stream = a.execute(0, Arc::clone(&scoped)).unwrap();
    let mut came = stream.next().await.unwrap().unwrap().num_rows();
    admin.run("START TRANSACTION; INSERT INTO a VALUES (0, 'late'); INSERT INTO b VALUES (2); COMMIT").await;
    assert_eq!(timeout(SOON, read(&b, &scoped)).await.unwrap(), 1, "the moment of `a`");
    while let Some(batch) = stream.next().await {
        came += batch.unwrap().num_rows();
    }
    assert_eq!(came, MANY, "all rows of `a`, by way of the disk");
    assert_eq!(read(&a, &scoped).await, MANY, "the moment still");
    drop((stream, scoped));
    // The transaction that kept the moment is over with the scope.
    wait_until(&admin, AT_WORK, "0").await;
    assert_eq!(read(&b, &within(&ctx, None)).await, 2, "a moment of its own");
}

/// What nobody wants any more leaves the moment to others.
#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_scan_leaves_the_moment_to_the_others() {
    let server = MariaDb::start().await;
    let admin = server.admin().await;
    tables(&admin).await;
    admin.run(&format!("{ENDLESS}; {SLOW}")).await;
    let ctx = session(&source(&server, "connections_max = 1").await, &["b", "endless", "slow"]).await;
    let b = plan(&ctx, "b").await;
    let scoped = within(&ctx, Some(Arc::default()));
    assert_eq!(read(&b, &scoped).await, 1);
    admin.run("INSERT INTO b VALUES (2)").await;
    for dropped in ["endless", "slow"] {
        let mut stream = plan(&ctx, dropped).await.execute(0, Arc::clone(&scoped)).unwrap();
        let _ = timeout(Duration::from_secs(1), stream.next()).await;
        drop(stream);
        assert_eq!(timeout(SOON, read(&b, &scoped)).await.unwrap(), 1, "the moment outlives `{dropped}`");
    }
}

/// What a scan cannot read costs the statement its one session, and whoever waits for it is told.
#[tokio::test(flavor = "multi_thread")]
async fn a_moment_that_is_lost_is_an_error() {
    let server = MariaDb::start().await;
    let admin = server.admin().await;
    tables(&admin).await;
    let ctx = session(&source(&server, "connections_max = 1").await, &["a", "b"]).await;
    let (a, b) = (plan(&ctx, "a").await, plan(&ctx, "b").await);
    let scoped = within(&ctx, Some(Arc::default()));
    let mut stream = a.execute(0, Arc::clone(&scoped)).unwrap();
    stream.next().await.unwrap().unwrap();
    let id = admin.value("SELECT ID FROM information_schema.PROCESSLIST WHERE USER = 'reader'").await;
    admin.run(&format!("KILL CONNECTION {id}")).await;
    while let Some(Ok(_)) = stream.next().await {}
    let error = timeout(SOON, collect(b, scoped)).await.unwrap().unwrap_err();
    assert!(matches!(ours(&error), ConnectorError::Unavailable { .. }), "{error:?}");
}

/// A table that was altered after the moment is another table.
#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_changed_since_the_moment_is_told_so() {
    let server = MariaDb::start().await;
    let admin = server.admin().await;
    tables(&admin).await;
    let ctx = session(&source(&server, "").await, &["a", "b"]).await;
    let (a, b) = (plan(&ctx, "a").await, plan(&ctx, "b").await);
    let scoped = within(&ctx, Some(Arc::default()));
    assert_eq!(read(&a, &scoped).await, MANY);
    admin.run("ALTER TABLE b MODIFY n bigint NOT NULL, FORCE").await;
    let error = collect(b, Arc::clone(&scoped)).await.unwrap_err();
    assert!(matches!(ours(&error), ConnectorError::Changed { .. }), "{error:?}");
    assert_eq!(read(&a, &scoped).await, MANY, "the rest of the statement goes on");
}

/// While others write, sessions that share a moment are fewer, and what they see is one moment all the same.
#[tokio::test(flavor = "multi_thread")]
async fn parallel_sessions_see_one_moment_while_others_write() {
    let server = MariaDb::start_with_log().await;
    let admin = server.admin().await;
    admin
        .run(
            "CREATE TABLE t (n bigint PRIMARY KEY, k bigint NOT NULL); INSERT INTO t SELECT seq, 0 FROM seq_1_to_400000;
             ANALYZE TABLE t",
        )
        .await;
    let source = source(&server, SHARED).await;
    let ctx = session(&source, &["t"]).await;
    let scan = plan(&ctx, "t").await;
    assert!(scan.properties().partitioning.partition_count() > 1);
    let writer = server.admin().await;
    let (stop, mut stopped) = tokio::sync::oneshot::channel::<()>();
    let writing = async {
        let mut written = 0;
        while stopped.try_recv().is_err() {
            // One row of each half, always by as much.
            let add = format!("UPDATE t SET k = k + {written} WHERE n IN (7, 399993)");
            writer.run(&format!("START TRANSACTION; {add}; COMMIT")).await;
            written += 1;
        }
        written
    };
    let reading = async {
        for _ in 0..12 {
            let answer = rows(&ctx, "SELECT count(*), max(k) - min(k) FROM t WHERE n + 0 IN (7, 399993)").await;
            assert_eq!(answer.unwrap(), "2|0", "halves of different moments");
        }
        stop.send(()).unwrap();
    };
    let (written, ()) = tokio::join!(writing, reading);
    assert!(written > 12, "the writer was at work: {written}");
}

/// Statements at once that each hold a moment never wait for each other for ever.
#[tokio::test(flavor = "multi_thread")]
async fn many_statements_at_once_all_end() {
    for log in [false, true] {
        let server = if log { MariaDb::start_with_log().await } else { MariaDb::start().await };
        server.admin().await.run("CREATE TABLE t AS SELECT seq AS n FROM seq_1_to_1000").await;
        let options = format!("connections_max = 4\nconnect_timeout_ms = 20000\nshare_snapshots = {log}");
        let source: Arc<dyn Source> = source(&server, &options).await;
        let ctx = session(&source, &["t"]).await;
        let scan = plan(&ctx, "t").await;
        let one = async || {
            let scoped = within(&ctx, Some(Arc::default()));
            let both = tokio::join!(read(&scan, &scoped), read(&scan, &scoped));
            both.0 + both.1
        };
        let all = futures::future::join_all((0..24).map(|_| one()));
        let counts = timeout(SOON * 2, all).await.unwrap();
        assert!(counts.iter().all(|count| *count == 2_000), "{counts:?}");
    }
}
