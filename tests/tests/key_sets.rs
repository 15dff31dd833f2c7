//! Key sets from outside, where no policy is: what they save, that answers stay, and that they are given up when they must be.

use datafusion::prelude::SessionContext;
use harness::cluster::{Client, Cluster, Options};
use harness::dataset::local_context;
use harness::environment::number;
use harness::oracle::{compare, local_answer};
use harness::statements::{Statement, tpch_queries};
use harness::tpch::tpch;

/// Bytes over all borders at scale 1 and zstd, a fifth above what was measured.
const MOST_BYTES: [(&str, f64); 4] = [("q03", 0.86e6), ("q05", 0.53e6), ("q10", 4.5e6), ("q12", 0.40e6)];

/// From scale 1 on the wide columns of Q10 come after its LIMIT.
const MOST_BYTES_LATE: (&str, f64) = ("q10", 1.1e6);

/// Of the last query: bytes both ways, statements with key sets, what was told of them.
const LEDGER: &str = "SELECT sum(bytes_sent) + sum(bytes_received) AS bytes, count(key_sets) AS reduced, \
                      coalesce(string_agg(key_sets, '; '), '') AS told FROM system.queries.ledger WHERE query_id = \
                      (SELECT query_id FROM system.queries.recent ORDER BY started_at DESC LIMIT 1)";

struct Crossed {
    bytes: f64,
    reduced: usize,
    told: String,
}

/// Asks, compares with one process over all the data, and looks into the ledger.
async fn asked(client: &Client, local: &SessionContext, statement: &Statement) -> Crossed {
    let actual = client.query(&statement.sql).await.unwrap_or_else(|error| panic!("{}: {error}", statement.name));
    let expected = local_answer(local, &statement.sql).await.unwrap();
    compare(&expected, &actual, statement.promise)
        .unwrap_or_else(|difference| panic!("{}: {difference}", statement.name));
    let ledger = client.query(LEDGER).await.unwrap();
    let text =
        |column: usize| arrow::util::display::array_value_to_string(ledger.batches[0].column(column), 0).unwrap();
    Crossed { bytes: text(0).parse().unwrap(), reduced: text(1).parse().unwrap(), told: text(2) }
}

fn queries(names: &[&str]) -> Vec<Statement> {
    let all = tpch_queries().into_iter();
    all.filter(|statement| names.contains(&statement.name.as_str())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn joins_across_sites_are_reduced_by_keys() {
    let scale = number("CHANCERY_TPCH_SCALE", 0.1);
    let data = tpch(scale).unwrap();
    let local = local_context(&data).await.unwrap();
    let cluster = Cluster::start_with(&data, Options { compression: Some("zstd"), ..Options::default() }).await;
    let client = cluster.client().await;
    let mut wrong = Vec::new();
    for statement in queries(&MOST_BYTES.map(|(name, _)| name)) {
        let crossed = asked(&client, &local, &statement).await;
        println!("{}: {} bytes, {}", statement.name, crossed.bytes, crossed.told);
        let late = [MOST_BYTES_LATE].into_iter().filter(|_| scale >= 1.0);
        let mut bounds = late.chain(MOST_BYTES);
        let most = bounds.find(|(name, _)| *name == statement.name).unwrap().1 * scale;
        if crossed.reduced == 0 || crossed.bytes > most {
            wrong.push(format!("{}: {} bytes of {most}, key sets: {}", statement.name, crossed.bytes, crossed.told));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn explain_names_the_sets_and_shows_no_value() {
    let data = tpch(0.01).unwrap();
    let cluster = Cluster::start(&data).await;
    let client = cluster.client().await;
    for statement in queries(&["q12"]) {
        for (explain, told) in [
            ("EXPLAIN", "key set 1: logistics.tpch.lineitem.l_orderkey"),
            ("EXPLAIN ANALYZE", "keys of logistics.tpch.lineitem.l_orderkey"),
        ] {
            let answer = client.query(&format!("{explain} {}", statement.sql)).await.unwrap();
            let text = arrow::util::pretty::pretty_format_batches(&answer.batches).unwrap().to_string();
            assert!(text.contains(told), "{text}");
            assert!(text.contains(r#""system"."key_sets"."1""#), "{text}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn beyond_a_limit_the_plain_fragment_is_asked() {
    let data = tpch(0.01).unwrap();
    let local = local_context(&data).await.unwrap();
    for (limit, names) in [
        ("key_source_bytes_max = 1024", ["q03", "q10"].as_slice()),
        ("key_set_keys_max = 1", &["q03", "q10"]),
        ("key_set_bytes_max = 1024", &["q03"]),
    ] {
        let options = Options { coordinator_limits: limit.to_string(), ..Options::default() };
        let cluster = Cluster::start_with(&data, options).await;
        let client = cluster.client().await;
        for statement in queries(names) {
            let crossed = asked(&client, &local, &statement).await;
            assert_eq!(crossed.reduced, 0, "{limit}: {}: {}", statement.name, crossed.told);
        }
    }
}
