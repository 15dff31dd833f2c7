//! Memory that DataFusion does not count: what expressions make, what a join or a subquery repeats, what a window holds. It is
//! counted here, or made in pieces; at both doors, of rows that no table has.

use futures::future::join_all;
use harness::cluster::{Client, Cluster, Options};
use harness::tpch::tpch;

use super::{Watched, assert_whole, assert_within_memory};

/// 256 MiB for all statements, 16 for a function, 512 for the process.
const LIMITS: &str = "memory_bytes = 268435456\nfunction_bytes_max = 16777216\nprocess_memory_bytes = 536870912\n";
const PROCESS_MEMORY_BYTES: u64 = 512 << 20;

/// 14,400 numbers.
const ROWS: &str = "(SELECT DISTINCT a.v * 120 + b.v AS k FROM (SELECT unnest(generate_series(1, 120)) AS v) AS a \
                    CROSS JOIN (SELECT unnest(generate_series(1, 120)) AS v) AS b)";

/// The numbers, each with a text of a kilobyte.
fn texts() -> String {
    format!("(SELECT k, repeat(repeat('x', 100), 9 + k % 3) AS a FROM {ROWS} AS r)")
}

/// Two texts of half a megabyte.
const WIDE: &str =
    "(SELECT v, repeat(repeat('y', 1000), 500 + v) AS w FROM (SELECT unnest(generate_series(1, 2)) AS v) AS o)";

/// So many columns, and what is left of each.
fn columns(count: usize, each: impl Fn(usize) -> String) -> (String, String) {
    let columns: Vec<String> = (0..count).map(|n| format!("{} AS c{n}", each(n))).collect();
    let sums: Vec<String> = (0..count).map(|n| format!("sum(length(c{n}))")).collect();
    (columns.join(", "), sums.join(", "))
}

fn of_texts(count: usize, each: impl Fn(usize) -> String) -> String {
    let (columns, sums) = columns(count, each);
    format!("SELECT {sums} FROM (SELECT {columns} FROM {} AS t) AS u", texts())
}

#[tokio::test(flavor = "multi_thread")]
async fn a99_what_no_operator_counts_is_counted() {
    let options = Options { coordinator_limits: LIMITS.into(), site_limits: LIMITS.into(), ..Options::default() };
    let cluster = Cluster::start_with(&tpch(0.01).unwrap(), options).await;
    let site = Client::connect(cluster.site("sales").address(), Some(&cluster.authority())).await;
    let doors = [("coordinator", cluster.client().await), ("site", site)];
    let watched = Watched::begin(&cluster, "sales");
    let texts = texts();
    let refused = [
        of_texts(60, |n| format!("upper(substr(a, {n} + 1))")),
        of_texts(60, |n| format!("CASE WHEN k % {} = 0 THEN a ELSE reverse(a) END", n + 2)),
        of_texts(60, |n| format!("a || '{n}'")),
        of_texts(1, |_| ["a"; 20].join(" || ")),
        format!(
            "SELECT max(c), max(a) FROM (SELECT sum(k) OVER () AS c, a FROM {texts} AS t CROSS JOIN {WIDE} AS w \
                 CROSS JOIN (SELECT unnest(generate_series(1, 9)) AS n) AS x) AS u"
        ),
        format!("SELECT max(cardinality(c)) FROM (SELECT array_agg(k) OVER () AS c FROM {ROWS} AS t) AS u"),
        format!(
            "SELECT max(length(c)) FROM (SELECT string_agg(CAST(k AS varchar), '') OVER (ORDER BY k) AS c FROM {ROWS} AS t) AS u"
        ),
        format!(
            "SELECT max(length(c)) FROM (SELECT CASE WHEN k % 2 = 0 THEN (SELECT max(w) FROM {WIDE} AS x) ELSE 'x' END AS c \
                 FROM {ROWS} AS t) AS u"
        ),
        format!("SELECT max(length(w)), count(*) FROM {WIDE} AS w JOIN {ROWS} AS r ON w.v % 2 = r.k % 2"),
        format!("SELECT max(length(w)), count(*) FROM {WIDE} AS w JOIN {ROWS} AS r ON w.v % 2 < r.k"),
        format!("SELECT max(length(w)), count(*) FROM (SELECT unnest(range(1, 4000)) AS n, w FROM {WIDE} AS w) AS u"),
    ];
    let made_in_pieces = [
        of_texts(6, |n| format!("lag(a, {n}) OVER (ORDER BY k)")),
        format!("SELECT max(length(w)), count(*) FROM {WIDE} AS w CROSS JOIN {ROWS} AS r"),
        format!("SELECT max(length(a)), count(*) FROM (SELECT unnest(range(k % 60)) AS n, a FROM {texts} AS t) AS u"),
        format!(
            "SELECT max(length(c)) FROM (SELECT k, (SELECT max(repeat(repeat('z', 1000), v + 250)) \
                 FROM (SELECT unnest([1, 2]) AS v) AS x) AS c FROM {ROWS} AS t) AS u"
        ),
    ];
    let tell = |door: &str, sql: &str| {
        let process = if door == "site" { cluster.site("sales") } else { cluster.coordinator() };
        let begins: String = sql.chars().take(120).collect();
        println!("A99: {} MiB at one time at the {door} after {begins}", process.memory_peak_bytes().unwrap() >> 20);
    };
    for (door, client) in &doors {
        for sql in &refused {
            let error = client.query(sql).await.map(|_| ()).expect_err(sql);
            assert!(error.starts_with("MEMORY: "), "{door}: {sql}: {error}");
            tell(door, sql);
        }
        for sql in &made_in_pieces {
            if let Err(error) = client.query(sql).await {
                panic!("{door}: {sql}: {error}");
            }
            tell(door, sql);
        }
    }
    for (door, client) in &doors {
        // All of them at once: who holds the most is ended, and never who wants little.
        let at_once = join_all(refused.iter().chain(&made_in_pieces).map(|sql| client.query(sql)));
        let little = async {
            loop {
                let counted = client.value("SELECT count(*) FROM sales.tpch.orders").await;
                assert_eq!(counted, "15000", "{door}");
            }
        };
        let answers = tokio::select! {
            answers = at_once => answers,
            () = little => Vec::new(),
        };
        for error in answers.into_iter().filter_map(Result::err) {
            assert!(error.starts_with("MEMORY: "), "{door}: {error}");
        }
        tell(door, "all at once");
    }
    watched.end("A99");
    assert_whole(&cluster, &["sales"]);
    assert_within_memory(&cluster, &["sales"], PROCESS_MEMORY_BYTES);
}
