//! Joins over pairs without end, and functions that take long for each row.

use std::time::{Duration, Instant};

use harness::cluster::{Client, Cluster, Options};
use harness::tpch::tpch;
use tokio::time::{sleep, timeout};

use super::{Watched, assert_whole};

/// Every one of them would run for hours. All yield nothing to whoever reads them.
const ENDLESS: [&str; 4] = [
    "SELECT max(a.l_orderkey + b.l_orderkey) FROM logistics.tpch.lineitem a, logistics.tpch.lineitem b",
    "SELECT count(*) FROM logistics.tpch.lineitem a JOIN logistics.tpch.lineitem b ON a.l_orderkey + b.l_orderkey < 0",
    "SELECT count(*) FROM logistics.tpch.lineitem a JOIN sales.tpch.orders b ON a.l_orderkey * b.o_orderkey < 0",
    "SELECT count(*) FROM logistics.tpch.lineitem a LEFT JOIN logistics.tpch.lineitem b \
     ON a.l_linenumber = b.l_linenumber AND a.l_orderkey + b.l_orderkey < 0",
];

/// Every one of them would run for hours too, a second or so for each row of a batch.
const SLOW: [&str; 8] = [
    "SELECT count(*) FROM logistics.tpch.lineitem a \
     WHERE levenshtein(repeat(a.l_comment, 100), repeat(reverse(a.l_comment), 100)) = 1",
    "SELECT sum(levenshtein(repeat(a.l_comment, 100), repeat(reverse(a.l_comment), 100))) FROM logistics.tpch.lineitem a",
    "SELECT count(*) FROM logistics.tpch.lineitem a WHERE repeat(a.l_comment, 300) ~ '[a-z]{2,}([a-z ]*[aeiou][a-z ]{90}){4}[1-8]{3}'",
    "SELECT count(*) FROM logistics.tpch.lineitem a \
     WHERE array_has_all(range(1000000000, 1000002000 + a.l_linenumber), range(0, 2000 + a.l_linenumber))",
    "SELECT count(*) FROM logistics.tpch.lineitem a WHERE repeat(a.l_comment, 300) LIKE repeat('%' || left(a.l_comment, 3), 50)",
    // In a projection, which a source would compute; where the first rows are cheap; and as what a join compares.
    "SELECT levenshtein(repeat(a.l_comment, 100), repeat(reverse(a.l_comment), 100)) FROM logistics.tpch.lineitem a",
    "SELECT sum(levenshtein(CASE WHEN a.l_orderkey < 100000 THEN 'a' ELSE repeat(a.l_comment, 40) END, \
     CASE WHEN a.l_orderkey < 100000 THEN 'a' ELSE repeat(a.l_comment, 40) END)) FROM logistics.tpch.lineitem a",
    "SELECT count(*) FROM logistics.tpch.lineitem a JOIN logistics.tpch.lineitem b \
     ON levenshtein(repeat(a.l_comment, 10), repeat(b.l_comment, 10)) = 1 WHERE a.l_orderkey < 5000 AND b.l_orderkey < 5000",
];

/// A node has this long to stop: two seconds, times what a build without optimizations on a busy machine takes more.
const CANCELLED_WITHIN: Duration = Duration::from_secs(5);
/// The same, where a step is one row, and that may take a second.
const SLOW_CANCELLED_WITHIN: Duration = Duration::from_secs(30);

async fn running(client: &Client) -> String {
    client.value("SELECT count(*) FROM system.queries.running WHERE statement LIKE '%lineitem a%' AND statement NOT LIKE '%running%'").await
}

#[tokio::test(flavor = "multi_thread")]
async fn a98_joins_give_way_and_end_when_nobody_wants_them() {
    let limits = "join_pairs_max = 1000000000000000000\n";
    let options = Options { coordinator_limits: limits.into(), site_limits: limits.into(), ..Options::default() };
    let cluster = Cluster::start_with(&tpch(0.1).unwrap(), options).await;
    let client = cluster.client().await;
    let watched = Watched::begin(&cluster, "logistics");
    for sql in ENDLESS {
        ends_with_its_asker(&cluster, &client, sql, CANCELLED_WITHIN).await;
    }
    watched.end("A98");
    assert_whole(&cluster, &["logistics", "sales"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn functions_that_take_long_for_each_row_end_when_nobody_wants_them() {
    let cluster = Cluster::start(&tpch(0.1).unwrap()).await;
    let client = cluster.client().await;
    let watched = Watched::begin(&cluster, "logistics");
    for sql in SLOW {
        ends_with_its_asker(&cluster, &client, sql, SLOW_CANCELLED_WITHIN).await;
    }
    for long in [
        "SELECT levenshtein(repeat(n_name, 3000), repeat(n_name, 3000)) FROM supply.tpch.nation",
        "SELECT array_has_any(range(0, 20000 + n_nationkey), range(30000, 50000 + n_nationkey)) FROM supply.tpch.nation",
    ] {
        let error = client.query(long).await.map(|_| ()).unwrap_err();
        assert!(error.starts_with("COST: "), "{long}: {error}");
    }
    watched.end("slow functions");
    assert_whole(&cluster, &["logistics", "sales"]);
}

async fn ends_with_its_asker(cluster: &Cluster, client: &Client, sql: &str, within: Duration) {
    let ended = timeout(Duration::from_secs(3), client.query(sql)).await;
    assert!(ended.is_err(), "{sql} ended: {:?}", ended.map(|answer| answer.map(|_| ())));
    // The client has left. Both nodes come to rest, and answer others meanwhile.
    let left = Instant::now();
    assert_eq!(client.value("SELECT count(*) FROM sales.tpch.orders").await, "150000");
    loop {
        let ticks = || cluster.site("logistics").cpu_ticks() + cluster.coordinator().cpu_ticks();
        let before = ticks();
        sleep(Duration::from_millis(300)).await;
        if ticks() - before < 10 && running(client).await == "0" {
            break;
        }
        assert!(left.elapsed() < within, "{sql} goes on {:?} after its asker left", left.elapsed());
    }
    println!("A98: at rest {} ms after the asker left: {sql}", left.elapsed().as_millis());
}

#[tokio::test(flavor = "multi_thread")]
async fn a98_a_join_of_too_many_pairs_is_refused() {
    let limits = "join_pairs_max = 1000000\n";
    let options = Options { coordinator_limits: limits.into(), site_limits: limits.into(), ..Options::default() };
    let cluster = Cluster::start_with(&tpch(0.01).unwrap(), options).await;
    let client = cluster.client().await;
    for sql in &ENDLESS[..3] {
        let error = client.query(sql).await.map(|_| ()).unwrap_err();
        assert!(error.starts_with("COST: "), "{sql}: {error}");
    }
    // Few pairs are compared; and a cross join that is cut short makes few.
    let few = "SELECT count(*) FROM supply.tpch.nation a JOIN supply.tpch.nation b ON a.n_nationkey < b.n_nationkey";
    assert_eq!(client.value(few).await, "300");
    let short = "SELECT count(*) FROM (SELECT 1 FROM sales.tpch.orders a, sales.tpch.orders b LIMIT 10)";
    assert_eq!(client.value(short).await, "10");
    assert_whole(&cluster, &["logistics", "sales", "supply"]);
}
