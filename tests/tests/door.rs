//! The door as clients use it, under a policy that grants all tables: signing in, statements, prepared statements, metadata,
//! cancelling, refusals.

use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use arrow::array::{
    Array, ArrayRef, AsArray, Int32Array, Int64Array, LargeListViewArray, ListArray, ListViewArray, RecordBatch,
    RunArray, StringArray,
};
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, Field, Int64Type, Schema};
use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::sql::client::FlightSqlServiceClient;
use arrow_flight::sql::{ActionCancelQueryRequest, CommandGetDbSchemas, CommandGetTables, ProstMessageExt};
use arrow_flight::{Action, CancelFlightInfoRequest, Criteria, FlightInfo, HandshakeRequest};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use engine::catalog::site_table::SiteId;
use engine::catalog::view::directory_columns;
use engine::identity::tls::NodeIdentity;
use engine::peer::{SiteAddress, SitePeer};
use futures::{Stream, StreamExt};
use harness::cluster::client::{Client, channel, told};
use harness::cluster::{Cluster, Options};
use harness::edge::edge;
use harness::tpch::tpch;
use tonic::Status;

const COUNT_ORDERS: &str = "SELECT count(*) FROM sales.tpch.orders";

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_is_answered_with_its_declared_schema_and_an_id() {
    let cluster = Cluster::start_granting_all(&tpch(0.01).unwrap()).await;
    let client = cluster.client().await;
    assert_eq!(client.value(COUNT_ORDERS).await, "15000");
    assert_eq!(client.query_prepared(COUNT_ORDERS).await.unwrap().batches[0].num_rows(), 1);
    let empty = client.query("SELECT o_orderkey FROM sales.tpch.orders WHERE o_orderkey < 0").await.unwrap();
    assert_eq!(empty.schema.field(0).name(), "o_orderkey");
    assert!(empty.batches.iter().all(|batch| batch.num_rows() == 0));

    // A site answers a user directly; its own name is the default catalog, its first source the default schema.
    let at_site = cluster.client_of_site("sales").await;
    for table in ["sales.tpch.orders", "tpch.orders", "orders"] {
        assert_eq!(at_site.value(&format!("SELECT count(*) FROM {table}")).await, "15000");
    }
    let error = at_site.query("SELECT count(*) FROM logistics.tpch.lineitem").await.unwrap_err();
    assert!(error.starts_with("NOT_FOUND: there is no table `logistics.tpch.lineitem`"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn parameters_are_bound_by_position() {
    let cluster = Cluster::start_granting_all(&tpch(0.01).unwrap()).await;
    let client = cluster.client().await;
    let sql = "SELECT count(*) FROM sales.tpch.orders WHERE o_orderkey <= $1";
    let mut prepared = client.flight().prepare(sql.to_string(), None).await.unwrap();
    let parameters = prepared.parameter_schema().unwrap();
    assert_eq!(parameters.fields().len(), 1);
    assert_eq!(parameters.field(0).data_type(), &DataType::Int64);
    for (bound, expected) in [(7, 7), (1, 1), (0, 0)] {
        let schema = Schema::new(vec![Field::new("$1", DataType::Int64, true)]);
        let row = RecordBatch::try_new(schema.into(), vec![Arc::new(Int64Array::from(vec![bound]))]).unwrap();
        prepared.set_parameters(row).unwrap();
        let info = prepared.execute().await.unwrap();
        let answer = client.fetch(info).await.unwrap();
        assert_eq!(answer.batches[0].column(0).as_primitive::<arrow::datatypes::Int64Type>().value(0), expected);
    }
    let error = client.query(sql).await.unwrap_err();
    assert!(error.starts_with("TYPE: ") && error.contains("placeholder"), "{error}");
}

/// The answer to a prepared statement with these parameters; it has the schema that was declared.
async fn bound(client: &Client, sql: &str, parameters: Vec<ArrayRef>) -> RecordBatch {
    let mut prepared = client.flight().prepare(sql.to_string(), None).await.unwrap();
    let named = parameters.into_iter().enumerate().map(|(index, values)| (format!("${}", index + 1), values, true));
    prepared.set_parameters(RecordBatch::try_from_iter_with_nullable(named).unwrap()).unwrap();
    let info = prepared.execute().await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    let answer = client.fetch(info).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    concat_batches(&answer.schema, &answer.batches).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn parameters_come_in_every_layout() {
    let cluster = Cluster::start_granting_all(&tpch(0.01).unwrap()).await;
    let client = cluster.client().await;
    let status = client.value("SELECT o_orderstatus FROM sales.tpch.orders WHERE o_orderkey = 7").await;
    let texts = |texts: Vec<Option<&str>>| Arc::new(StringArray::from(texts)) as ArrayRef;
    let runs = |ends: Vec<i32>, values: ArrayRef| {
        Arc::new(RunArray::try_new(&Int32Array::from(ends), &values).unwrap()) as ArrayRef
    };
    let seven = [Some([Some(7)])];
    let view = || Arc::new(ListViewArray::from_iter_primitive::<Int64Type, _, _>(seven)) as ArrayRef;
    let large_view = || Arc::new(LargeListViewArray::from_iter_primitive::<Int64Type, _, _>(seven)) as ArrayRef;
    let list = || Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>(seven)) as ArrayRef;

    let shown = bound(
        &client,
        "SELECT $1, $2, $3, $4, $5",
        vec![
            runs(vec![1], texts(vec![Some("a")])),
            runs(vec![1], texts(vec![None])),
            view(),
            large_view(),
            runs(vec![1], view()),
        ],
    )
    .await;
    let expected = [texts(vec![Some("a")]), texts(vec![None]), list(), list(), list()];
    for (number, (column, expected)) in shown.columns().iter().zip(&expected).enumerate() {
        assert_eq!(column, expected, "parameter {}", number + 1);
    }

    let of = "FROM sales.tpch.orders WHERE o_orderstatus = $1";
    let as_view = "arrow_cast(make_array(o_orderkey), 'ListView(Int64)')";
    for same in ["make_array(o_orderkey) = $2".to_string(), format!("{as_view} = $2"), format!("$2 = {as_view}")] {
        let sql = format!("SELECT count(*) {of} AND {same}");
        for parameter in [view(), large_view(), list(), runs(vec![1], list())] {
            let found = bound(&client, &sql, vec![runs(vec![1], texts(vec![Some(status.as_str())])), parameter]).await;
            assert_eq!(found.column(0).as_primitive::<Int64Type>().value(0), 1, "{sql}");
        }
    }
    let sql = format!("SELECT {as_view} = $2 {of} AND o_orderkey = 7");
    let found = bound(&client, &sql, vec![texts(vec![Some(status.as_str())]), view()]).await;
    assert!(found.column(0).as_boolean().value(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn metadata_lists_catalogs_schemas_and_tables() {
    // Kept: sites are asked for their tables when somebody wants them.
    let data = edge().await.unwrap();
    let cluster = Cluster::start_granting_all(&data).await;
    let client = cluster.client().await;
    let catalogs = client.collect(client.flight().get_catalogs().await.unwrap()).await;
    let catalogs: Vec<_> = texts(&catalogs, 0);
    assert_eq!(catalogs, ["east", "national", "north", "south", "system"]);

    let all = CommandGetDbSchemas { catalog: None, db_schema_filter_pattern: None };
    let schemas = client.collect(client.flight().get_db_schemas(all).await.unwrap()).await;
    assert!(texts(&schemas, 0).contains(&"national".to_string()));

    let request = |catalog: Option<&str>, include_schema| CommandGetTables {
        catalog: catalog.map(str::to_string),
        db_schema_filter_pattern: None,
        table_name_filter_pattern: None,
        table_types: Vec::new(),
        include_schema,
    };
    let all = client.collect(client.flight().get_tables(request(None, false)).await.unwrap()).await;
    assert!(texts(&all, 0).contains(&"south".to_string()), "no catalog means all catalogs");
    let regional = client.collect(client.flight().get_tables(request(Some("national"), true)).await.unwrap()).await;
    assert_eq!(texts(&regional, 2), ["people"]);
    assert_eq!(texts(&regional, 3), ["VIEW"]);
    let encoded = regional[0].column(4).as_binary::<i32>().value(0).to_vec();
    let columns = Schema::try_from(arrow_flight::IpcMessage(encoded.into())).unwrap();
    assert_eq!(columns.fields().last().unwrap().name(), "region");
}

fn texts(batches: &[RecordBatch], column: usize) -> Vec<String> {
    let columns = batches.iter().map(|batch| batch.column(column).as_string::<i32>());
    columns.flat_map(|column| (0..column.len()).map(|row| column.value(row).to_string())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_comes_in_without_a_password_that_is_right() {
    let cluster = Cluster::start_granting_all(&tpch(0.01).unwrap()).await;
    for (user, password) in [("analyst", "wrong"), ("nobody", "analyst"), ("", "")] {
        let mut client = FlightSqlServiceClient::new(channel(cluster.address(), None).await);
        let error = told(&client.handshake(user, password).await.unwrap_err());
        assert!(error.contains("UNAUTHENTICATED"), "{error}");
    }
    let mut nameless = FlightSqlServiceClient::new(channel(cluster.address(), None).await);
    let error = told(&nameless.execute("SELECT 1".into(), None).await.unwrap_err());
    assert!(error.starts_with("UNAUTHENTICATED"), "{error}");
    nameless.set_token("a made-up token".into());
    let error = told(&nameless.execute("SELECT 1".into(), None).await.unwrap_err());
    assert!(error.starts_with("UNAUTHENTICATED"), "{error}");
    // A user's connection to a site, with a password, is no peer's: what coordinators may ask is not offered.
    let user = cluster.client_of_site("sales").await;
    let action = Action { r#type: "chancery.view".into(), body: bytes::Bytes::new() };
    let error = user.flight().inner_mut().do_action(with_token(&user.flight(), action)).await.unwrap_err();
    assert!(error.message().starts_with("UNSUPPORTED"), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handshake_is_answered_once_the_client_has_spoken_and_to_whoever_listens_first() {
    let cluster = Cluster::start(&tpch(0.01).unwrap()).await;
    for password in ["analyst", "wrong"] {
        let has_spoken = Arc::new(AtomicBool::new(false));
        let speaks = Arc::clone(&has_spoken);
        let late = futures::stream::once(async move {
            tokio::time::sleep(Duration::from_millis(100)).await;
            speaks.store(true, Ordering::SeqCst);
            HandshakeRequest::default()
        });
        // Whoever ends a call before may have a client wait for ever that is about to speak.
        let answer = handshake(&cluster, password, late).await;
        assert!(has_spoken.load(Ordering::SeqCst), "answered before: {answer:?}");
        assert_eq!(answer.is_ok(), password == "analyst");
        let listening = handshake(&cluster, password, futures::stream::pending()).await;
        assert_eq!(listening.is_ok(), password == "analyst", "{listening:?}");
    }
}

async fn handshake(
    cluster: &Cluster,
    password: &str,
    said: impl Stream<Item = HandshakeRequest> + Send + 'static,
) -> Result<(), Status> {
    let mut request = tonic::Request::new(said);
    let basic = format!("Basic {}", STANDARD.encode(format!("analyst:{password}")));
    request.metadata_mut().insert("authorization", basic.parse().unwrap());
    let mut flight = FlightServiceClient::new(channel(cluster.address(), None).await);
    flight.handshake(request).await.map(|_| ())
}

fn with_token<T>(client: &FlightSqlServiceClient<tonic::transport::Channel>, message: T) -> tonic::Request<T> {
    let mut request = tonic::Request::new(message);
    let token = client.token().expect("a session");
    request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    request
}

/// The types of frames that a connection is sent until it is closed.
fn frames_until_the_end(address: &str) -> Vec<u8> {
    const HEAD_BYTES: usize = 9;
    let mut connection = std::net::TcpStream::connect(address).unwrap();
    connection.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    // No settings of its own.
    connection.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").unwrap();
    let mut frames = Vec::new();
    let mut head = [0_u8; HEAD_BYTES];
    while connection.read_exact(&mut head).is_ok() {
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let mut body = vec![0; length];
        connection.read_exact(&mut body).unwrap();
        frames.push(head[3]);
        // A ping is answered, as by everybody who lives.
        if head[3] == 6 && head[4] & 1 == 0 {
            head[4] |= 1;
            connection.write_all(&[&head[..], &body].concat()).unwrap();
        }
    }
    frames
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_of_age_is_told_to_go_and_what_runs_on_it_is_whole() {
    let options = Options { coordinator_limits: "connection_age_s = 2".to_string(), ..Options::default() };
    let data = tpch(0.1).unwrap();
    let cluster = Cluster::start_with(&data, options.granting_all(&data)).await;
    let address = cluster.address().to_string();
    let frames = tokio::task::spawn_blocking(move || frames_until_the_end(&address)).await.unwrap();
    assert!(frames.contains(&7), "GOAWAY is not among {frames:?}");

    let client = cluster.client().await;
    let info = client.info("SELECT * FROM logistics.tpch.lineitem").await.unwrap();
    let mut read = client.flight().do_get(info.endpoint[0].ticket.clone().unwrap()).await.unwrap();
    let mut rows = read.next().await.unwrap().unwrap().num_rows();
    tokio::time::sleep(Duration::from_secs(4)).await;
    while let Some(batch) = read.next().await {
        rows += batch.unwrap().num_rows();
    }
    assert_eq!(rows, 600_572);
    // The same client, on another connection; one call may have crossed with the end of the first.
    let _ = client.query(COUNT_ORDERS).await;
    assert_eq!(client.value(COUNT_ORDERS).await, "150000");
}

#[tokio::test(flavor = "multi_thread")]
async fn users_may_be_made_to_come_over_tls() {
    let options = Options { users_over_tls: true, ..Options::default() };
    let data = tpch(0.01).unwrap();
    let cluster = Cluster::start_with(&data, options.granting_all(&data)).await;
    assert_eq!(cluster.client_over_tls().await.value(COUNT_ORDERS).await, "15000");
    let plain = tonic::transport::Endpoint::from_shared(format!("http://{}", cluster.address())).unwrap();
    if let Ok(channel) = plain.connect().await {
        FlightSqlServiceClient::new(channel).handshake("analyst", "analyst").await.unwrap_err();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_query_is_refused_by_name() {
    let cluster = Cluster::start_granting_all(&tpch(0.01).unwrap()).await;
    for client in [cluster.client().await, cluster.client_of_site("sales").await] {
        for (sql, expected) in [
            ("CREATE TABLE t (a INT)", "STATEMENT: CREATE TABLE"),
            ("INSERT INTO sales.tpch.orders VALUES (1)", "STATEMENT: INSERT INTO"),
            ("COPY (SELECT 1) TO '/tmp/x.csv'", "STATEMENT: COPY"),
            ("CREATE EXTERNAL TABLE t STORED AS CSV LOCATION '/etc/passwd'", "STATEMENT: CREATE EXTERNAL TABLE"),
            ("SELECT * INTO t FROM sales.tpch.orders", "STATEMENT: a query that writes"),
            ("SET datafusion.execution.batch_size = 1", "STATEMENT: SET"),
            ("SELECT 1; SELECT 2", "STATEMENT: one statement"),
            ("SELECT * FROM '/etc/passwd'", "NOT_FOUND"),
            ("SELECT * FROM sales.tpch.order_s", "NOT_FOUND: there is no table `sales.tpch.order_s`"),
            ("SELECT o_orderkeys FROM sales.tpch.orders", "NOT_FOUND: there is no column"),
            ("SELEC 1", "SYNTAX"),
            ("SELECT nosuch(1)", "FUNCTION"),
            (
                "SELECT * FROM range(1, 5)",
                "FUNCTION: the function `range` is not offered as a table; write unnest(range(…))",
            ),
            ("SELECT arrow_typeof(unnest(named_struct('a', 1)))", "UNSUPPORTED: `unnest` of a struct"),
            (
                "SELECT array_resize([o_orderkey], -5) FROM sales.tpch.orders",
                "EVAL: the size of `array_resize` is negative",
            ),
            ("SELECT generate_series(-9223372036854775808, 9223372036854775807)", "MEMORY"),
            ("SELECT 'a' + DATE '2020-01-01' * 2", "TYPE"),
            ("SELECT o_orderkey / (o_orderkey - o_orderkey) FROM sales.tpch.orders", "EVAL"),
            ("SELECT CAST(o_comment AS INT) FROM sales.tpch.orders", "EVAL"),
        ] {
            let error = client.query(sql).await.map(|_| sql).unwrap_err();
            assert!(error.starts_with(expected), "{sql}: {error}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_has_a_timeout_of_its_own_and_a_time_zone() {
    let options = Options { coordinator_limits: "statement_timeout_ms = 60000".to_string(), ..Options::default() };
    let data = tpch(0.01).unwrap();
    let cluster = Cluster::start_with(&data, options.granting_all(&data)).await;
    let client = cluster.client().await;
    for (sql, told) in [
        ("SHOW statement_timeout", "60000ms"),
        ("SET statement_timeout = '2min'", "60000ms"),
        ("SET statement_timeout = 300", "300ms"),
        ("SHOW statement_timeout", "300ms"),
        ("SET TIME ZONE 'utc'", "UTC"),
        ("SHOW timezone", "UTC"),
    ] {
        assert_eq!(client.value(sql).await, told, "{sql}");
    }
    let endless = "SELECT count(*) FROM sales.tpch.orders a JOIN sales.tpch.orders b ON a.o_comment < b.o_comment \
                   JOIN sales.tpch.orders c ON b.o_comment < c.o_comment";
    let began = Instant::now();
    let error = client.query(endless).await.map(|_| ()).unwrap_err();
    assert!(error.starts_with("DEADLINE"), "{error}");
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    for (sql, told) in [
        ("SET statement_timeout = 'soon'", "TYPE: a timeout is"),
        ("SET TIME ZONE 'Asia/Shanghai'", "TYPE: the time zone of every session is UTC"),
    ] {
        let error = client.query(sql).await.map(|_| ()).unwrap_err();
        assert!(error.starts_with(told), "{sql}: {error}");
    }
    assert_eq!(client.value("RESET statement_timeout").await, "60000ms");
    assert_eq!(cluster.client().await.value("SHOW statement_timeout").await, "60000ms", "it is the session's own");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_offered_is_said_so() {
    let cluster = Cluster::start_granting_all(&tpch(0.01).unwrap()).await;
    let client = cluster.client().await;
    let request = with_token(&client.flight(), Criteria::default());
    let error = client.flight().inner_mut().list_flights(request).await.unwrap_err();
    assert_eq!(error.code(), tonic::Code::Unimplemented);
    let forged = arrow_flight::Ticket { ticket: b"forged".to_vec().into() };
    let error = client.flight().do_get(forged).await.unwrap_err();
    assert!(told(&error).starts_with("NOT_FOUND"), "{error}");
}

/// A join of a table with itself that takes minutes at its site.
const ENDLESS: &str = "SELECT count(*) FROM logistics.tpch.lineitem a \
    JOIN logistics.tpch.lineitem b ON a.l_suppkey = b.l_suppkey AND a.l_comment <> b.l_comment";

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_query_ends_and_says_so() {
    let cluster = Cluster::start_granting_all(&tpch(0.1).unwrap()).await;
    let client = cluster.client().await;
    for route in ["CancelFlightInfo", "CancelQuery"] {
        let info = client.info("SELECT l_orderkey, l_comment FROM logistics.tpch.lineitem").await.unwrap();
        let ticket = info.endpoint[0].ticket.clone().unwrap();
        let mut rows = client.flight().do_get(ticket).await.unwrap();
        rows.next().await.unwrap().unwrap();
        cancel(&client.flight(), route, info).await;
        let mut last = None;
        while let Some(batch) = rows.next().await {
            last = Some(batch);
        }
        let error = last.expect("the stream goes on for a while").unwrap_err();
        assert!(told(&error).contains("CANCELLED"), "{route}: a cancelled answer must not look complete");
    }
}

/// By an action, of which the second is older.
async fn cancel(client: &FlightSqlServiceClient<tonic::transport::Channel>, route: &str, info: FlightInfo) {
    let body = match route {
        "CancelFlightInfo" => prost_bytes(&CancelFlightInfoRequest::new(info)),
        _ => prost_bytes(&ActionCancelQueryRequest { info: prost_bytes(&info) }.as_any()),
    };
    let action = Action { r#type: route.into(), body };
    let mut client = client.clone();
    let request = with_token(&client, action);
    let mut results = client.inner_mut().do_action(request).await.unwrap().into_inner();
    let result = results.next().await.unwrap().unwrap();
    // The status is CANCELLED, 1, in the result of either.
    assert!(result.body.ends_with(&[8, 1]), "{result:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_without_a_row_yet_is_no_silent_one() {
    let options = Options { coordinator_limits: "empty_batch_interval_ms = 50".to_string(), ..Options::default() };
    let data = tpch(0.1).unwrap();
    let cluster = Cluster::start_with(&data, options.granting_all(&data)).await;
    let client = cluster.client().await;
    let info = client.info(ENDLESS).await.unwrap();
    let mut read = client.flight().do_get(info.endpoint[0].ticket.clone().unwrap()).await.unwrap();
    for _ in 0..3 {
        let next = tokio::time::timeout(Duration::from_secs(30), read.next()).await.expect("proxies take it for dead");
        assert_eq!(next.expect("the statement takes minutes").unwrap().num_rows(), 0);
    }
}

fn prost_bytes(message: &impl prost::Message) -> bytes::Bytes {
    message.encode_to_vec().into()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_client_stops_the_work_at_every_site() {
    let cluster = Cluster::start_granting_all(&tpch(0.1).unwrap()).await;
    let client = cluster.client().await;
    let asking = {
        let client = client.clone();
        tokio::spawn(async move { client.query(ENDLESS).await })
    };
    let deadline = Instant::now() + Duration::from_secs(30);
    let idle = cluster.site("logistics").cpu_ticks();
    while cluster.site("logistics").cpu_ticks() < idle + 100 {
        assert!(Instant::now() < deadline, "the query never began to work at logistics");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    asking.abort();
    let used = || {
        let sites = ["logistics", "sales", "supply"].map(|site| cluster.site(site).cpu_ticks());
        [sites[0], sites[1], sites[2], cluster.coordinator().cpu_ticks()]
    };
    // A join yields once a batch of its probe side; in a debug build that may take seconds.
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let before = used();
        tokio::time::sleep(Duration::from_secs(1)).await;
        let after = used();
        if after.iter().zip(before).all(|(after, before)| after - before < 10) {
            break;
        }
        assert!(Instant::now() < deadline, "some node still works: {before:?} → {after:?} in a second");
    }
    assert_eq!(client.value("SELECT count(*) FROM system.queries.running WHERE statement LIKE '%a.l_suppkey%' AND statement NOT LIKE '%running%'").await, "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subject_sees_its_own_queries_and_what_crossed() {
    let cluster = Cluster::start_granting_all(&tpch(0.01).unwrap()).await;
    let client = cluster.client().await;
    let joined =
        "SELECT count(*) FROM sales.tpch.orders o JOIN logistics.tpch.lineitem l ON l.l_orderkey = o.o_orderkey";
    client.query(joined).await.unwrap();
    let id = client
        .value(&format!(
            "SELECT query_id FROM system.queries.recent WHERE statement = '{joined}' AND state = 'finished'"
        ))
        .await;
    assert_eq!(id.len(), 32);
    let ledger = format!("FROM system.queries.ledger WHERE query_id = '{id}'");
    assert_eq!(client.value(&format!("SELECT count(DISTINCT site) {ledger}")).await, "2");
    assert_eq!(client.value(&format!("SELECT max(rows) > 1000 AND min(bytes_received) > 0 {ledger}")).await, "true");
    assert_eq!(client.value(&format!("SELECT bool_and(state = 'finished') {ledger}")).await, "true");
    assert_eq!(client.value("SELECT count(*) > 0 FROM system.queries.running").await, "true");
}

#[tokio::test(flavor = "multi_thread")]
async fn explain_shows_sites_statements_and_what_crossed() {
    let cluster = Cluster::start_granting_all(&tpch(0.01).unwrap()).await;
    let client = cluster.client().await;
    let joined = "SELECT o_orderpriority, count(*) FROM sales.tpch.orders o \
        JOIN logistics.tpch.lineitem l ON l.l_orderkey = o.o_orderkey WHERE l_quantity > 49 GROUP BY 1";
    let plan = lines(&client.query(&format!("EXPLAIN {joined}")).await.unwrap());
    assert!(plan.contains("RemoteScanExec: site=sales") && plan.contains("RemoteScanExec: site=logistics"), "{plan}");
    assert!(plan.contains("\"logistics\".\"tpch\".\"lineitem\""), "{plan}");
    assert!(!plan.contains("rows="), "nothing ran: {plan}");
    let analyzed = lines(&client.query(&format!("EXPLAIN ANALYZE {joined}")).await.unwrap());
    assert!(analyzed.contains("bytes_received=") && analyzed.contains("rows=5"), "{analyzed}");
    assert!(!analyzed.contains(".parquet"), "a site's paths stay at the site: {analyzed}");
}

fn lines(answer: &harness::oracle::Answer) -> String {
    arrow::util::pretty::pretty_format_batches(&answer.batches).unwrap().to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_node_tells_its_health() {
    let cluster = Cluster::start_granting_all(&tpch(0.01).unwrap()).await;
    for (address, authority) in [
        (cluster.address().to_string(), None),
        (cluster.site("sales").address().to_string(), Some(cluster.authority())),
    ] {
        let channel = channel(&address, authority.as_deref()).await;
        let mut health = tonic_health::pb::health_client::HealthClient::new(channel);
        let request = tonic_health::pb::HealthCheckRequest { service: String::new() };
        let status = health.check(request).await.unwrap().into_inner().status;
        assert_eq!(status, tonic_health::pb::health_check_response::ServingStatus::Serving as i32);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_site_publishes_its_directory_to_coordinators() {
    let cluster = Cluster::start(&tpch(0.01).unwrap()).await;
    let coordinator = engine::config::load_coordinator(&cluster.root().join("coordinator.toml")).unwrap();
    let tls = coordinator.node.tls.unwrap();
    let address = SiteAddress {
        site: SiteId::new("sales"),
        url: format!("https://{}", cluster.site("sales").address()),
        tls_name: "sales".to_string(),
        identity: Arc::new(NodeIdentity::open(&tls.files).unwrap()),
        compression: "none",
    };
    let peer = SitePeer::new(address, Arc::new(coordinator.node.limits)).unwrap();
    let directory = peer.directory().await.unwrap();
    let names: Vec<_> = directory.tables.iter().map(|table| (table.source.as_str(), table.name.as_str())).collect();
    assert_eq!(names, [("tpch", "customer"), ("tpch", "orders")]);
    let orders = &directory.tables[1];
    assert_eq!(directory_columns(orders).unwrap().field(0).name(), "o_orderkey");
    assert_eq!(orders.cost_class, 5, "15,000 rows have five digits");
}
