//! How rows come: every endpoint's, all of them or an error, in the types that were described; and what is left behind when
//! nobody wants them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::ipc::writer::IpcWriteOptions;
use arrow_flight::{FlightData, SchemaAsIpc};
use connectors::{ConnectorError, ErrorKind, Source};
use datafusion::error::DataFusionError;
use datafusion::physical_plan::SendableRecordBatchStream;
use datafusion::prelude::SessionContext;
use futures::StreamExt;
use harness::cluster::{Border, Fault};
use harness::flight_proxy::{Changes, FlightProxy};
use harness::roapi::{Roapi, Served};

use super::{open, ours, rows, session, with};

const SOON: Duration = Duration::from_secs(20);

pub(crate) fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, true), Field::new("pad", DataType::Utf8, true)]))
}

/// `rows` rows of about a hundred bytes.
fn long(rows: i64) -> Served {
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from_iter_values(0..rows)),
        Arc::new(StringArray::from_iter_values((0..rows).map(|n| format!("{n:0100}")))),
    ];
    Served::new("long", &RecordBatch::try_new(schema(), columns).unwrap())
}

/// More than lies in the windows of a connection: 20 MB.
const MANY: i64 = 200_000;

async fn stream(ctx: &SessionContext) -> SendableRecordBatchStream {
    ctx.table("long").await.unwrap().execute_stream().await.unwrap()
}

/// The error that a stream ends with, and how many rows came before.
async fn until_error(mut stream: SendableRecordBatchStream) -> (usize, DataFusionError) {
    let mut rows = 0;
    loop {
        match stream.next().await {
            Some(Ok(batch)) => rows += batch.num_rows(),
            Some(Err(error)) => return (rows, error),
            None => panic!("a stream that was cut looks complete after {rows} rows"),
        }
    }
}

async fn behind(server: &Roapi, changes: Changes) -> (FlightProxy, Arc<dyn Source>) {
    let proxy = FlightProxy::open(&server.address(), changes).await;
    let source = open(server.options_at(proxy.address())).await;
    (proxy, source)
}

pub(crate) async fn wait_until_closed(proxy: &FlightProxy) {
    let began = Instant::now();
    while proxy.open_statements() > 0 {
        assert!(began.elapsed() < SOON, "{} statements are still prepared", proxy.open_statements());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn all_rows_of_all_endpoints_come_in_batches_of_the_sessions_size() {
    let server = Roapi::start(&[long(20_000)]);
    let (proxy, source) = behind(&server, Changes { endpoints: 3, ..Changes::default() }).await;
    let ctx = session(&source, &["long"]).await;
    assert_eq!(
        rows(&ctx, "SELECT count(*), count(DISTINCT n), sum(n) FROM long").await.unwrap(),
        "20000|20000|199990000"
    );
    let mut stream = stream(&ctx).await;
    let (mut count, mut largest) = (0, 0);
    while let Some(batch) = stream.next().await {
        let batch = batch.unwrap();
        assert_eq!(batch.schema(), schema());
        (count, largest) = (count + batch.num_rows(), largest.max(batch.num_rows()));
    }
    assert_eq!(count, 20_000);
    assert!(largest <= ctx.state().config().batch_size(), "{largest}");
    wait_until_closed(&proxy).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn endpoints_of_another_server_are_refused_before_it_is_asked() {
    let server = Roapi::start(&[long(10)]);
    let elsewhere = FlightProxy::open(&server.address(), Changes::default()).await;
    let redirect = format!("grpc://{}", elsewhere.address());
    let (_proxy, source) = behind(&server, Changes { locations: vec![redirect], ..Changes::default() }).await;
    // Described by its own list of tables, which comes from there as well.
    let told = source.tables().await.unwrap_err();
    assert!(matches!(told, ConnectorError::Unsupported { .. }), "{told:?}");
    assert_eq!(elsewhere.calls(), 0, "the other server was asked");
    for location in ["arrow-flight-reuse-connection://?", "grpc://nowhere.example:1"] {
        let locations = vec![location.to_string(), format!("grpc://{}", elsewhere.address())];
        let (proxy, _) = behind(&server, Changes { locations, ..Changes::default() }).await;
        let source = open(server.options_at(proxy.address())).await;
        let is_taken = source.tables().await.is_ok();
        assert_eq!(is_taken, location.starts_with("arrow-flight-reuse"), "{location}");
    }
    assert_eq!(elsewhere.calls(), 0, "the other server was asked");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_prepares_nothing_is_read_all_the_same() {
    let server = Roapi::start(&[long(1_000)]);
    let (proxy, source) =
        behind(&server, Changes { lacks: ["CreatePreparedStatement"].into(), ..Changes::default() }).await;
    let ctx = session(&source, &["long"]).await;
    assert_eq!(rows(&ctx, "SELECT sum(n) FROM long WHERE n < 100").await.unwrap(), "4950");
    assert_eq!(proxy.open_statements(), 0);
    // An answer without rows has no columns of this server, and here nothing has told them beforehand: it might be any answer.
    let error = rows(&ctx, "SELECT n FROM long WHERE n < 0").await.unwrap_err();
    assert_eq!(ours(&error).kind(), ErrorKind::SiteUnavailable, "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn dropping_a_stream_frees_the_server() {
    let server = Roapi::start(&[long(MANY)]);
    let (proxy, source) = behind(&server, Changes::default()).await;
    let ctx = session(&source, &["long"]).await;
    for _ in 0..3 {
        let mut stream = stream(&ctx).await;
        assert_eq!(stream.next().await.unwrap().unwrap().num_columns(), 2);
        assert!(proxy.open_statements() > 0);
        drop(stream);
        wait_until_closed(&proxy).await;
    }
    let closed = server.log().matches("do_action_close_prepared_statement").count();
    assert!(closed >= 3, "{closed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_cut_is_an_error() {
    let server = Roapi::start(&[long(MANY)]);
    let border = Border::open(&server.address()).await;
    let source = open(with(server.options_at(border.address()), "statement_timeout_ms = 3000")).await;
    let ctx = session(&source, &["long"]).await;
    for bytes in [200, 3_000, 100_000, 5_000_000] {
        border.set(Fault::CutAfter(bytes));
        let (_, error) = until_error(stream(&ctx).await).await;
        assert_eq!(ours(&error).kind(), ErrorKind::SiteUnavailable, "{bytes}: {error:?}");
        border.set(Fault::None);
    }
    border.set(Fault::StallAfter(100_000));
    let began = Instant::now();
    let (_, error) = until_error(stream(&ctx).await).await;
    assert_eq!(ours(&error).kind(), ErrorKind::DeadlineExceeded, "{error:?}");
    assert!(began.elapsed() < SOON);
}

/// Between us and the server a proxy ends answers in good order of HTTP, and without the trailers by which gRPC says that they
/// are whole.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_without_its_trailers_is_an_error() {
    let server = Roapi::start(&[long(MANY)]);
    for frames in [1, 2, 5, 50] {
        let lacks = ["CommandGetTables"].into();
        let changes = Changes { ends_after: Some(frames), lacks, ..Changes::default() };
        let proxy = FlightProxy::open(&server.address(), changes).await;
        let source = open(with(server.options_at(proxy.address()), "tables = ['long']")).await;
        let ctx = session(&source, &["long"]).await;
        let (_, error) = until_error(stream(&ctx).await).await;
        assert_eq!(ours(&error).kind(), ErrorKind::SiteUnavailable, "{frames}: {error:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn columns_other_than_described_are_an_error() {
    let mut server = Roapi::start(&[long(10)]);
    let source = open(server.options()).await;
    let ctx = session(&source, &["long"]).await;
    assert_eq!(rows(&ctx, "SELECT count(n) FROM long").await.unwrap(), "10");
    let fields = vec![Field::new("n", DataType::Utf8, true), Field::new("pad", DataType::Utf8, true)];
    let text: ArrayRef = Arc::new(StringArray::from(vec!["7"]));
    let changed = RecordBatch::try_new(Arc::new(Schema::new(fields)), vec![Arc::clone(&text), text]).unwrap();
    server.replace(&Served::new("long", &changed));
    let error = rows(&ctx, "SELECT n FROM long").await.unwrap_err();
    assert!(matches!(ours(&error), ConnectorError::Changed { .. }), "{error:?}");
    let now = session(&source, &["long"]).await;
    assert_eq!(rows(&now, "SELECT n FROM long").await.unwrap(), "7", "described anew");
    // What comes is compared, too, and not only what is told beforehand.
    let other = Schema::new(vec![Field::new("n", DataType::Int64, true)]);
    let first_message: FlightData = SchemaAsIpc::new(&other, &IpcWriteOptions::default()).into();
    let lacks = ["CommandGetTables"].into();
    let changes = Changes { first_message: Some(first_message), lacks, ..Changes::default() };
    let proxy = FlightProxy::open(&server.address(), changes).await;
    let lied = open(with(server.options_at(proxy.address()), "tables = ['long']")).await;
    let ctx = session(&lied, &["long"]).await;
    let error = rows(&ctx, "SELECT n, pad FROM long").await.unwrap_err();
    assert!(matches!(ours(&error), ConnectorError::Changed { .. }), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_goes_away_is_an_error_and_comes_back() {
    let mut server = Roapi::start(&[long(MANY)]);
    let source = open(with(server.options(), "connect_timeout_ms = 2000")).await;
    let ctx = session(&source, &["long"]).await;
    let mut stream = stream(&ctx).await;
    stream.next().await.unwrap().unwrap();
    server.stop();
    let (_, error) = until_error(stream).await;
    assert_eq!(ours(&error).kind(), ErrorKind::SiteUnavailable, "{error:?}");
    let gone = source.table("long").await.unwrap_err();
    assert_eq!(gone.kind(), ErrorKind::SiteUnavailable, "{gone:?}");
    server.restart();
    assert_eq!(rows(&ctx, "SELECT count(*) FROM long").await.unwrap(), MANY.to_string());
}

/// A condition or a limit that the server turns out not to take is applied here.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_server_refuses_of_a_scan_is_done_here() {
    let server = Roapi::start(&[long(1_000)]);
    let (proxy, source) = behind(&server, Changes { refuses: vec!["WHERE", "LIMIT"], ..Changes::default() }).await;
    let ctx = session(&source, &["long"]).await;
    for (sql, expected) in [
        ("SELECT count(*) FROM long WHERE n < 100", "100"),
        ("SELECT sum(n) FROM long WHERE n < 3 AND pad <> 'x'", "3"),
        ("SELECT n FROM long WHERE pad = '0' OR n = 7", "7"),
        ("SELECT max(pad) FROM long WHERE n = 5", &format!("{:0100}", 5)),
        ("SELECT count(*) FROM (SELECT 1 FROM long WHERE n >= 990 LIMIT 4)", "4"),
        ("SELECT count(*) FROM (SELECT n FROM long LIMIT 4)", "4"),
    ] {
        assert_eq!(rows(&ctx, sql).await.unwrap(), expected, "{sql}");
    }
    let plan = rows(&ctx, "EXPLAIN SELECT n FROM long WHERE n < 100").await.unwrap();
    assert!(plan.contains("FilterExec: n@0 < 100 over FlightSqlScan: "), "{plan}");
    wait_until_closed(&proxy).await;
}

/// Streams that nobody reads hold up no other one.
#[tokio::test(flavor = "multi_thread")]
async fn many_statements_share_one_connection() {
    let server = Roapi::start(&[long(MANY / 4)]);
    let source = open(server.options()).await;
    let ctx = session(&source, &["long"]).await;
    let mut held = Vec::new();
    for _ in 0..20 {
        let mut stream = stream(&ctx).await;
        stream.next().await.unwrap().unwrap();
        held.push(stream);
    }
    let all =
        futures::future::join_all((0..20).map(|_| rows(&ctx, "SELECT max(pad), count(*) FROM long WHERE n >= 40000")));
    let expected = format!("{:0100}|10000", MANY / 4 - 1);
    for answer in tokio::time::timeout(SOON * 3, all).await.unwrap() {
        assert_eq!(answer.unwrap(), expected);
    }
}
