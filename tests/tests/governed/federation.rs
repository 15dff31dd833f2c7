//! The federation that these tests ask: its users, its tables and what is granted of them; and how it is asked.

use std::collections::BTreeMap;
use std::future::Future;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use arrow::array::RecordBatch;
use arrow::util::display::array_value_to_string;
use harness::cluster::{Client, Cluster, Governance, Options, Person, Written};
use harness::dataset::{Dataset, local_context};
use harness::edge::edge;
use harness::oracle::{Answer, local_answer};
use harness::policy::canary::Canary;
use harness::postgres::AT_WORK;
use harness::tpch::tpch;

use crate::KEPT;

/// 200 rows, of which 134 have a note and 40 are `sent`.
pub(super) const COUNT_ORDERS: &str = "SELECT count(*) FROM north.trade.orders";
/// What `north` grants in most tests.
pub(super) const NORTH: &str = "CREATE PURPOSE care; CREATE PURPOSE ward UNDER care;
    GRANT SELECT ON TABLE trade.orders TO ROLE analyst FOR PURPOSE care WITH (id = 'orders');
    CREATE POLICY notes ON TABLE trade.orders COLUMN MASK replace_with_null COLUMNS (note) TO ROLE analyst;";
/// What `logistics` grants where streams are long.
pub(super) const LOGISTICS: &str = "CREATE PURPOSE care;
    GRANT SELECT ON TABLE tpch.lineitem TO ROLE analyst FOR PURPOSE care WITH (id = 'lines');";
/// A hundred times all of lineitem's rows leave the site: more than anybody reads before a right of some seconds ends.
pub(super) const LARGE: &str = "SELECT l_orderkey, l_partkey, l_suppkey, l_comment FROM logistics.tpch.lineitem \
                     CROSS JOIN (VALUES (0), (1), (2), (3), (4), (5), (6), (7), (8), (9)) AS tens (n) \
                     CROSS JOIN (VALUES (0), (1), (2), (3), (4), (5), (6), (7), (8), (9)) AS ones (n)";
/// Rows of lineitem at scale 0.1, a hundred times.
pub(super) const LARGE_ROWS: usize = 100 * 600_572;
/// A change of policy is seen through a coordinator within this.
pub(super) const SEEN_WITHIN: Duration = Duration::from_secs(10);

pub(super) fn people() -> Vec<Person> {
    vec![
        Person::new("ana", "analyst").holding("care").holding("audit_work").holding("ward"),
        Person::new("bea", "analyst").holding("Care"),
        Person::new("kim", "analyst"),
        Person::new("visitor", "visitor"),
        Person::new("auditor", "auditor"),
        Person::administrator(),
    ]
}

pub(super) fn governed(policies: &[(&str, &str)], written: Written) -> Governance {
    let policies = policies.iter().map(|(site, text)| (site.to_string(), text.to_string()));
    let policies = policies.collect::<BTreeMap<_, _>>();
    Governance { users: people(), policies, written, canaries: notes(), ..Governance::default() }
}

pub(super) async fn start(governance: Governance) -> Cluster {
    let options = Options { governance: Some(governance), kept: KEPT, ..Options::default() };
    // Kept to the end of the process: sites are asked for their tables when somebody wants them.
    let data = Box::leak(Box::new(data().await));
    Cluster::start_with(data, options).await
}

/// The small tables, whose notes are long enough to be looked for.
pub(super) async fn data() -> Dataset {
    let data = edge().await.unwrap();
    let hidden = "SELECT * REPLACE (replace(note, 'note ', 'hidden note ') AS note) FROM north.trade.orders";
    orders_become(&data, hidden).await;
    data
}

/// What a note says. No user of these clusters is ever shown one.
pub(super) fn notes() -> Vec<Canary> {
    (0..17).map(|number| Canary::Text(format!("hidden note {number}"))).collect()
}

/// Puts in the place of the table of orders what a statement makes of it.
pub(super) async fn orders_become(data: &Dataset, sql: &str) {
    let ctx = local_context(data).await.unwrap();
    let orders = local_answer(&ctx, sql).await.unwrap();
    data.replace(["north", "trade", "orders"], &orders.schema, &orders.batches).unwrap();
}

/// `north` under these statements, said at its door.
pub(super) async fn north(policy: &str) -> Cluster {
    start(governed(&[("north", policy)], Written::AtTheDoor)).await
}

/// TPC-H, large enough for a stream to be met in its middle.
pub(super) async fn streams_under(governance: Governance) -> Cluster {
    Cluster::start_with(&tpch(0.1).unwrap().of_site("logistics"), of_streams(governance)).await
}

pub(super) fn of_streams(governance: Governance) -> Options {
    Options {
        // Nothing of these tables is hidden, and they are large.
        governance: Some(Governance { canaries: vec![], ..governance }),
        coordinator_limits: "stream_window_bytes = 65536".to_string(),
        kept: KEPT,
        ..Options::default()
    }
}

pub(super) fn rows(answer: &Answer) -> usize {
    answer.batches.iter().map(RecordBatch::num_rows).sum()
}

/// The error of a statement that must not be answered.
pub(super) async fn refusal(client: &Client, sql: &str) -> String {
    match client.query(sql).await {
        Ok(answer) => panic!("{sql} is answered with {} rows", rows(&answer)),
        Err(error) => error,
    }
}

/// The statement is refused with this code.
pub(super) async fn assert_refused(client: &Client, sql: &str, code: &str) {
    let error = refusal(client, sql).await;
    assert!(error.starts_with(&format!("{code}: ")), "{sql}: {code} is expected, and this was told: {error}");
}

/// These columns of an answer as text, NULL as nothing, the rows sorted.
pub(super) async fn table(client: &Client, sql: &str, columns: &[&str]) -> Vec<Vec<String>> {
    let answer = client.query(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    let mut rows = Vec::new();
    for batch in &answer.batches {
        let arrays: Vec<_> = columns.iter().map(|column| batch.column_by_name(column).expect(column)).collect();
        for row in 0..batch.num_rows() {
            rows.push(arrays.iter().map(|array| array_value_to_string(array, row).unwrap()).collect());
        }
    }
    rows.sort();
    rows
}

/// Waits until `happened` is true, no longer than a change may take to be seen.
pub(super) async fn eventually<F: Future<Output = Result<(), String>>>(mut happened: impl FnMut() -> F) {
    let began = Instant::now();
    while let Err(seen) = happened().await {
        assert!(began.elapsed() < SEEN_WITHIN, "after {SEEN_WITHIN:?} still: {seen}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Waits until a statement has this one value.
pub(super) async fn eventually_value(client: &Client, sql: &str, expected: &str) {
    eventually(|| async {
        match client.query(sql).await {
            Ok(answer) => {
                let seen = answer.batches.iter().find(|batch| batch.num_rows() > 0);
                let seen = seen.map(|batch| array_value_to_string(batch.column(0), 0).unwrap());
                if seen.as_deref() == Some(expected) { Ok(()) } else { Err(format!("{sql}: {seen:?}")) }
            }
            Err(error) => Err(format!("{sql}: {error}")),
        }
    })
    .await;
}

/// Waits until a statement is refused with this code.
pub(super) async fn eventually_refused(client: &Client, sql: &str, code: &str) {
    eventually(|| async {
        match client.query(sql).await {
            Ok(answer) => Err(format!("{sql}: {} rows", rows(&answer))),
            Err(error) if error.starts_with(&format!("{code}: ")) => Ok(()),
            Err(error) => Err(format!("{sql}: {error}")),
        }
    })
    .await;
}

/// Waits until a server that holds the tables does nothing for the sites any more.
pub(super) async fn server_rests(cluster: &Cluster) {
    let Some(server) = cluster.server() else { return };
    let admin = server.admin().await;
    eventually(|| async {
        match admin.value(AT_WORK).await.as_str() {
            "0" => Ok(()),
            sessions => Err(format!("the server works for {sessions} sessions")),
        }
    })
    .await;
}

/// The seconds since 1970.
pub(super) fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// A moment as policy statements write it.
pub(super) fn written(seconds: u64) -> String {
    arrow::temporal_conversions::timestamp_s_to_datetime(seconds.cast_signed()).unwrap().to_string()
}
