//! Statements without end or bound, and those that write: refused at both doors, before they cost anything.

use std::time::{Duration, Instant};

use harness::cluster::{Client, Cluster, Options};
use harness::oracle::Answer;
use harness::tpch::tpch;
use harness::tripwire::{WatchedAddress, WatchedFile};

use super::{Watched, assert_whole};

const ORDERS: &str = "sales.tpch.orders";
/// A refusal takes no longer than this: 50 ms, times what a build without optimizations on a busy machine takes more.
const REFUSED_WITHIN: Duration = Duration::from_millis(2_000);
/// More memory than a node may have had at one time.
const MEMORY_PEAK_BYTES: u64 = 1_500 << 20;

async fn doors(cluster: &Cluster) -> [(&'static str, Client); 2] {
    let site = Client::connect(cluster.site("sales").address(), Some(&cluster.authority())).await;
    [("coordinator", cluster.client().await), ("site", site)]
}

fn rows(answer: &Answer) -> usize {
    answer.batches.iter().map(arrow::array::RecordBatch::num_rows).sum()
}

fn short(sql: &str) -> String {
    sql.chars().take(120).collect()
}

/// Each is refused with one of these codes at each door.
async fn refused(doors: &[(&'static str, Client)], codes: &[&str], statements: &[String]) {
    for (door, client) in doors {
        for sql in statements {
            let began = Instant::now();
            let error = client.query(sql).await.map(|answer| rows(&answer)).expect_err(&short(sql));
            let code = error.split(':').next().unwrap_or_default();
            assert!(codes.contains(&code), "{door}: {}: {error}", short(sql));
            assert!(began.elapsed() < REFUSED_WITHIN, "{door}: {} took {:?}", short(sql), began.elapsed());
        }
    }
}

fn chains() -> Vec<String> {
    let mut chains = Vec::new();
    for count in [1_000, 10_000, 100_000] {
        let many = |part: &str, between: &str| vec![part; count].join(between);
        chains.extend([
            format!("SELECT {}", many("1", "+")),
            format!("SELECT * FROM {ORDERS} WHERE {}", many("o_orderkey=0", " OR ")),
            format!("SELECT * FROM {ORDERS} WHERE {}", many("o_orderkey>0", " AND ")),
            format!("SELECT {}", many("'a'", "||")),
            many("SELECT 1", " UNION ALL "),
            format!("SELECT {}1{}", "(".repeat(count), ")".repeat(count)),
            format!("SELECT {}1{}", "abs(".repeat(count), ")".repeat(count)),
            format!("SELECT {}1{}", "(SELECT ".repeat(count), ")".repeat(count)),
            format!("SELECT {}1{}", "CASE WHEN TRUE THEN ".repeat(count), " END".repeat(count)),
            format!("SELECT {}TRUE", "NOT ".repeat(count)),
            format!("SELECT {}1", "- ".repeat(count)),
            format!("SELECT 1{}", "::BIGINT".repeat(count)),
            format!("SELECT * FROM {}", many(ORDERS, " CROSS JOIN ")),
            format!("SELECT arrow_cast(1, '{}Utf8{}')", "List(".repeat(count), ")".repeat(count)),
            format!("SELECT 1 FROM (SELECT 1 AS \"on\") t WHERE {}", many("on=0", " OR ")),
            format!("SELECT {} FROM (SELECT 1 AS \"on\") t", many("t.on+1+1+1+1+1+1", "+")),
            format!("SELECT {} FROM (SELECT 1 AS \"limit\") t", many("limit+1+1+1+1+1+1", "+")),
        ]);
    }
    chains.push(format!("SELECT * FROM {ORDERS} WHERE o_orderkey IN ({})", vec!["1"; 200_000].join(",")));
    let doubled: Vec<_> = (1..40).map(|n| format!("c{n} AS (SELECT a.* FROM c{m} a, c{m} b)", m = n - 1)).collect();
    chains.push(format!("WITH c0 AS (SELECT 1 AS x), {} SELECT count(*) FROM c39", doubled.join(", ")));
    let sums = (0..35)
        .fold(format!("SELECT o_orderkey AS x FROM {ORDERS}"), |inner, _| format!("SELECT x + x AS x FROM ({inner})"));
    chains.push(format!("{sums} WHERE x > 0"));
    let texts = (0..35)
        .fold(format!("SELECT o_comment AS x FROM {ORDERS}"), |inner, _| format!("SELECT x || x AS x FROM ({inner})"));
    chains.push(texts);
    chains
}

#[tokio::test(flavor = "multi_thread")]
async fn a96_texts_without_end_are_refused_before_they_are_planned() {
    let cluster = Cluster::start(&tpch(0.01).unwrap()).await;
    let doors = doors(&cluster).await;
    let watched = Watched::begin(&cluster, "sales");
    refused(&doors, &["COMPLEXITY"], &chains()).await;
    // The largest of each kind that is taken is planned and answered.
    let ors = vec!["o_orderkey = 1"; 95].join(" OR ");
    let items = vec!["1"; 5_000].join(",");
    let sums = vec!["1"; 195].join("+");
    let arms = vec!["SELECT 1"; 64].join(" UNION ALL ");
    for sql in [
        format!("SELECT count(*) FROM {ORDERS} WHERE {ors}"),
        format!("SELECT count(*) FROM {ORDERS} WHERE o_orderkey IN ({items})"),
        format!("SELECT {sums}"),
        format!("SELECT count(*) FROM ({arms})"),
    ] {
        for (door, client) in &doors {
            client.query(&sql).await.unwrap_or_else(|error| panic!("{door}: {}: {error}", short(&sql)));
        }
    }
    watched.end("A96");
    assert_whole(&cluster, &["sales"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a99_what_is_too_large_for_memory_is_not_made() {
    let cluster = Cluster::start(&tpch(0.01).unwrap()).await;
    let doors = doors(&cluster).await;
    let watched = Watched::begin(&cluster, "sales");
    let long = "x".repeat(70_000);
    let bombs = [
        "SELECT repeat('x', 1500000000)".to_string(),
        "SELECT generate_series(1, 400000000)".to_string(),
        "SELECT array_repeat(1, 100000000)".to_string(),
        "SELECT lpad('x', 900000000)".to_string(),
        format!("SELECT repeat(o_comment, 100000) FROM {ORDERS}"),
        format!("SELECT lpad(o_comment, 1000000) FROM {ORDERS}"),
        format!("SELECT array_repeat(o_comment, o_orderkey * 1000) FROM {ORDERS}"),
        format!("SELECT range(0, o_orderkey * 10000) FROM {ORDERS}"),
        format!("SELECT replace(o_comment, '', repeat('y', 60000)) FROM {ORDERS}"),
        format!("SELECT to_char(o_orderdate, repeat('%c', 20000)) FROM {ORDERS}"),
        format!("SELECT '{long}', o_orderkey FROM {ORDERS}"),
        format!("SELECT {} FROM {ORDERS}", vec!["repeat('x', 60000)"; 100].join(", ")),
        format!("SELECT arrow_cast(o_comment, 'FixedSizeBinary(2147483647)') FROM {ORDERS}"),
    ];
    refused(&doors, &["MEMORY", "COMPLEXITY", "FUNCTION", "EVAL", "TYPE", "UNSUPPORTED"], &bombs).await;
    for (door, client) in &doors {
        // What the pool counts, and what is sorted on the disk.
        let sorted = format!("SELECT o_comment FROM {ORDERS} ORDER BY o_comment, o_orderkey LIMIT 5 OFFSET 10000");
        assert_eq!(rows(&client.query(&sorted).await.unwrap()), 5, "{door}");
        // A wide answer is cut by its values.
        let columns: Vec<String> = (0..400).map(|n| format!("o_comment AS c{n}")).collect();
        let wide = format!("SELECT {} FROM {ORDERS}", columns.join(", "));
        let answer = client.query(&wide).await;
        assert!(answer.is_ok_and(|answer| rows(&answer) == 15_000), "{door}");
    }
    watched.end("A99");
    assert_whole(&cluster, &["sales"]);
    for process in [cluster.coordinator(), cluster.site("sales")] {
        let peak = process.memory_peak_bytes().unwrap();
        assert!(peak < MEMORY_PEAK_BYTES, "{} MiB at one time", peak >> 20);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a73_to_a75_nothing_is_written_and_nothing_is_opened() {
    let cluster = Cluster::start(&tpch(0.01).unwrap()).await;
    let doors = doors(&cluster).await;
    let written = cluster.root().join("written.csv");
    let target = written.display();
    let places =
        ["/etc/passwd", "file:///etc/passwd", "../coordinator.toml", "s3://b/x", "http://169.254.169.254/latest"];
    let external = places.map(|place| format!("CREATE EXTERNAL TABLE t STORED AS CSV LOCATION '{place}'"));
    let writing = [
        format!("COPY (SELECT 1) TO '{target}'"),
        format!("COPY {ORDERS} TO '{target}' STORED AS CSV"),
        format!("INSERT INTO {ORDERS} SELECT * FROM {ORDERS}"),
        format!("SELECT * INTO x FROM {ORDERS}"),
        format!("CREATE TABLE x AS SELECT * FROM {ORDERS}"),
        "CREATE VIEW v AS SELECT 1".to_string(),
        "CREATE SCHEMA s".to_string(),
        "CREATE FUNCTION f(INT) RETURNS INT RETURN $1 + 1".to_string(),
        format!("DROP TABLE {ORDERS}"),
        format!("DELETE FROM {ORDERS}"),
        format!("UPDATE {ORDERS} SET o_orderkey = 1"),
        "PREPARE p AS SELECT 1".to_string(),
        "EXECUTE p".to_string(),
        "DEALLOCATE p".to_string(),
        "SET datafusion.execution.batch_size = 1".to_string(),
        "RESET datafusion.execution.batch_size".to_string(),
        "SELECT 1; SELECT 2".to_string(),
    ];
    let explained = external
        .iter()
        .chain(&writing[..12])
        .flat_map(|sql| ["EXPLAIN", "EXPLAIN ANALYZE"].map(|explain| format!("{explain} {sql}")));
    let statements: Vec<_> = external.iter().cloned().chain(writing.iter().cloned()).chain(explained).collect();
    refused(&doors, &["STATEMENT", "SYNTAX"], &statements).await;
    let opened = [
        "SELECT * FROM '/etc/passwd'".to_string(),
        "SELECT * FROM 'coordinator.toml'".to_string(),
        "SELECT * FROM read_csv('/etc/passwd')".to_string(),
        "SELECT * FROM parquet_metadata('/etc/passwd')".to_string(),
        "SELECT * FROM \"file:///etc/passwd\"".to_string(),
    ];
    refused(&doors, &["NOT_FOUND", "STATEMENT", "FUNCTION", "TYPE", "SYNTAX"], &opened).await;
    assert!(!written.exists(), "a statement wrote a file");

    // Not even looked at: a file that notices whoever opens it, and an address that counts who connects.
    let path = cluster.root().join("watched.csv");
    let (file, address) = (WatchedFile::make(&path), WatchedAddress::open());
    let (path, host) = (path.display(), address.address());
    let places = [
        path.to_string(),
        format!("file://{path}"),
        "watched.csv".to_string(),
        format!("http://{host}/watched.csv"),
        format!("https://{host}/watched.csv"),
        format!("http://user:word@{host}/watched.csv"),
    ];
    let (mut placed, mut read) = (Vec::new(), Vec::new());
    for place in &places {
        for format in ["CSV", "PARQUET", "JSON"] {
            placed.push(format!("CREATE EXTERNAL TABLE t STORED AS {format} LOCATION '{place}'"));
            placed.push(format!("COPY {ORDERS} TO '{place}' STORED AS {format}"));
        }
        placed.push(format!("EXPLAIN ANALYZE CREATE EXTERNAL TABLE t STORED AS CSV LOCATION '{place}'"));
        placed.push(format!("EXPLAIN ANALYZE COPY {ORDERS} TO '{place}'"));
        placed.push(format!("CREATE UNBOUNDED EXTERNAL TABLE t (a INT) STORED AS CSV LOCATION '{place}'"));
        read.push(format!("SELECT * FROM '{place}'"));
        read.push(format!("SELECT * FROM \"{place}\""));
        read.push(format!("DESCRIBE '{place}'"));
        read.push(format!("SELECT count(*) FROM {ORDERS} WHERE o_comment IN (SELECT a FROM '{place}')"));
        for function in ["read_csv", "read_parquet", "read_json", "parquet_metadata", "glob", "pg_read_file"] {
            read.push(format!("SELECT * FROM {function}('{place}')"));
            read.push(format!("SELECT {function}('{place}')"));
        }
    }
    refused(&doors, &["STATEMENT", "SYNTAX"], &placed).await;
    refused(&doors, &["NOT_FOUND", "STATEMENT", "FUNCTION", "TYPE", "SYNTAX"], &read).await;
    assert!(!file.end(), "a statement opened a file");
    assert_eq!(address.end(), 0, "a statement connected to an address");
    assert_whole(&cluster, &["sales"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a100_a101_what_has_no_end_has_one_here() {
    let options = Options {
        coordinator_limits: "answer_rows_max = 5000\n".into(),
        site_limits: "spill_bytes_max = 1048576\nmemory_bytes = 16777216\ntarget_partitions = 1\n".into(),
        ..Options::default()
    };
    let cluster = Cluster::start_with(&tpch(0.1).unwrap(), options).await;
    let doors = doors(&cluster).await;
    let recursive = "WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r) SELECT count(*) FROM r";
    refused(&doors, &["UNSUPPORTED"], &[recursive.to_string()]).await;
    let [(_, coordinator), (_, site)] = &doors;
    let error = coordinator.query(&format!("SELECT o_orderkey FROM {ORDERS}")).await.map(|answer| rows(&answer));
    assert!(error.as_ref().is_err_and(|error| error.starts_with("CAP: ")), "{error:?}");
    assert_eq!(coordinator.value(&format!("SELECT count(*) FROM {ORDERS}")).await, "150000");
    // What does not fit into memory goes to the disk, and no more of it than may.
    let sorted = format!("SELECT o_comment, o_clerk, o_orderkey FROM {ORDERS} ORDER BY o_comment");
    let error = site.query(&sorted).await.map(|answer| rows(&answer));
    assert!(error.as_ref().is_err_and(|error| error.starts_with("MEMORY: ")), "{error:?}");
    assert_eq!(site.value(&format!("SELECT count(*) FROM {ORDERS}")).await, "150000", "others go on");
    assert_whole(&cluster, &["sales"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_put_on_the_disk_is_read_again() {
    let limits = "memory_bytes = 33554432\ntarget_partitions = 1\n";
    let options = Options { site_limits: limits.into(), ..Options::default() };
    let cluster = Cluster::start_with(&tpch(0.1).unwrap(), options).await;
    let [_, (_, site)] = doors(&cluster).await;
    let sorted = format!("SELECT o_comment, o_clerk, o_orderkey FROM {ORDERS} ORDER BY o_comment, o_orderkey");
    let answer = site.query(&sorted).await.unwrap();
    assert_eq!(rows(&answer), 150_000);
    let unsorted = format!(
        "SELECT count(*) FROM (SELECT o_comment, lag(o_comment) OVER (ORDER BY o_comment, o_orderkey) AS b FROM {ORDERS}) WHERE b > o_comment"
    );
    assert_eq!(site.value(&unsorted).await, "0");
}
