//! What crosses the borders: the ledger is right about it, and for each statement it is what it was when last reviewed.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use arrow::array::AsArray;
use harness::cluster::{Client, Cluster, Options};
use harness::dataset::Dataset;
use harness::edge::edge;
use harness::oracle::Answer;
use harness::statements::{Statement, corpus, tpch_queries};
use harness::tpch::tpch;

/// Set to write the reviewed file anew; the test fails all the same, so that nobody forgets to read it.
pub(crate) const REWRITE: &str = "CHANCERY_REWRITE_EXPECTED";
/// Where rows arrive in another order, batches are padded otherwise: this much of the bytes may differ, and 512 bytes.
const BYTES_TOLERANCE: f64 = 0.005;

#[tokio::test(flavor = "multi_thread")]
async fn the_ledger_agrees_with_the_sockets() {
    for compression in ["none", "zstd"] {
        let options = Options { borders: true, compression: Some(compression), ..Options::default() };
        let cluster = Cluster::start_with(&tpch(0.1).unwrap(), options).await;
        let client = cluster.client().await;
        let border = cluster.border("logistics");
        // The connection is open and the view is known before anything is measured.
        client.query("SELECT count(*) FROM logistics.tpch.lineitem").await.unwrap();
        let before = border.to_site() + border.from_site();
        client.query("SELECT * FROM logistics.tpch.lineitem").await.unwrap();
        let sockets = border.to_site() + border.from_site() - before;
        let ledger: u64 = client
            .value(
                "SELECT sum(bytes_sent) + sum(bytes_received) FROM system.queries.ledger WHERE query_id = \
                 (SELECT query_id FROM system.queries.recent WHERE statement = 'SELECT * FROM logistics.tpch.lineitem')",
            )
            .await
            .parse()
            .unwrap();
        assert!(sockets > 10_000_000, "{compression}: only {sockets} bytes crossed");
        let ratio = sockets as f64 / ledger as f64;
        assert!((1.0..1.02).contains(&ratio), "{compression}: {sockets} bytes at the sockets, {ledger} in the ledger");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tpch_leaves_at_the_coordinator_and_moves_what_was_reviewed() {
    compare_with_reviewed("tpch-borders.txt", &tpch(0.1).unwrap(), &tpch_queries()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_corpus_leaves_at_the_coordinator_and_moves_what_was_reviewed() {
    compare_with_reviewed("corpus-borders.txt", &edge().await.unwrap(), &corpus()).await;
}

async fn compare_with_reviewed(file: &str, dataset: &Dataset, statements: &[Statement]) {
    let cluster = Cluster::start(dataset).await;
    let client = cluster.client().await;
    let mut actual = Vec::new();
    let mut left = Vec::new();
    for statement in statements {
        let report = Report::of(&client, &statement.sql).await;
        left.extend(report.single_site_subtrees().into_iter().map(|subtree| format!("{}: {subtree}", statement.name)));
        actual.push((statement.name.clone(), report));
    }
    assert!(left.is_empty(), "work of one site stays at the coordinator:\n{}", left.join("\n"));
    let path = format!("{}/expected/{file}", env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os(REWRITE).is_some() {
        let text = actual.iter().map(|(name, report)| format!("{name}\n{report}\n")).collect::<String>();
        std::fs::write(&path, text).unwrap();
        panic!("{path} is written; read its difference, then run without {REWRITE}");
    }
    let reviewed = read_reviewed(&std::fs::read_to_string(&path).unwrap_or_default());
    let wrong: Vec<String> = actual
        .iter()
        .filter_map(|(name, report)| {
            let differs = reviewed.get(name).is_none_or(|reviewed| !report.agrees_with(reviewed));
            differs.then(|| format!("{name}\nis\n{report}was\n{}", reviewed.get(name).cloned().unwrap_or_default()))
        })
        .collect();
    assert!(wrong.is_empty(), "{} statements differ (write anew: {REWRITE}=1):\n{}", wrong.len(), wrong.join("\n"));
    assert_eq!(actual.len(), reviewed.len(), "{path} has statements that are no more");
}

/// What EXPLAIN ANALYZE told of a statement.
struct Report {
    /// The coordinator's plan, one operator a line.
    plan: String,
    /// Site, rows, bytes, once a statement sent.
    crossed: Vec<(String, u64, u64)>,
    /// What could not be sent, and why.
    unsent: Vec<String>,
}

impl Report {
    async fn of(client: &Client, sql: &str) -> Self {
        let answer =
            client.query(&format!("EXPLAIN ANALYZE {sql}")).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
        let mut report = Self { plan: String::new(), crossed: Vec::new(), unsent: Vec::new() };
        for (kind, text) in rows(&answer) {
            if kind == "coordinator" {
                report.plan = text;
            } else if let Some(site) = kind.strip_prefix("site ") {
                let site = site.split(' ').next().unwrap().to_string();
                report.crossed.push((site, number(&text, "rows="), number(&text, "bytes_received=")));
            } else if kind.starts_with("not sent to") {
                report.unsent.push(format!("{kind}: {text}"));
            }
        }
        report.crossed.sort();
        report
    }

    /// The coordinator's operators, without those that only move rows between threads.
    fn operators(&self) -> String {
        let mut counted: BTreeMap<&str, usize> = BTreeMap::new();
        for name in self.plan.lines().map(operator_name).filter(|name| !is_exchange(name)) {
            *counted.entry(name).or_default() += 1;
        }
        let operators: Vec<String> = counted
            .into_iter()
            .map(|(name, count)| if count == 1 { name.to_string() } else { format!("{name}×{count}") })
            .collect();
        operators.join(" ")
    }

    /// Operators over fragments of one site only, which that site could have run, unless it was said why not.
    fn single_site_subtrees(&self) -> Vec<String> {
        if !self.unsent.is_empty() {
            return Vec::new();
        }
        let lines: Vec<(usize, &str)> =
            self.plan.lines().map(|line| (line.len() - line.trim_start().len(), line.trim_start())).collect();
        let mut found = Vec::new();
        for (index, (depth, line)) in lines.iter().enumerate() {
            let below = lines[index + 1..].iter().take_while(|(below, _)| below > depth);
            let leaves: Vec<&str> = below.filter_map(|(_, line)| line.strip_prefix("RemoteScanExec: site=")).collect();
            let sites: Vec<&str> = leaves.iter().filter_map(|leaf| leaf.split(',').next()).collect();
            let alone = !sites.is_empty()
                && sites.iter().all(|site| *site == sites[0])
                && !has_local_leaf(&lines[index..], *depth);
            if alone && !belongs_to_a_join_or_an_order(line) && !is_exchange(operator_name(line)) {
                found.push((*line).to_string());
            }
        }
        found
    }

    fn agrees_with(&self, reviewed: &str) -> bool {
        let mine = self.to_string();
        let (mine, reviewed): (Vec<&str>, Vec<&str>) = (mine.lines().collect(), reviewed.lines().collect());
        mine.len() == reviewed.len() && mine.iter().zip(reviewed).all(|(mine, reviewed)| same_line(mine, reviewed))
    }
}

/// What the coordinator adds to a fragment for its own sake: that its keys are sent on, the keys of a join across sites and what one side of it has
/// shown of the other, the order of rows that were sorted at the site, which does not survive several threads, and a limit
/// that was sent as well.
fn belongs_to_a_join_or_an_order(line: &str) -> bool {
    let own = ["KeySourceExec", "ProjectionExec", "FilterExec: DynamicFilter", "Sort", "GlobalLimitExec"];
    // A value of another site is not sent: what is compared with it is compared here.
    own.iter().any(|own| line.starts_with(own)) || line.contains("scalar_subquery(")
}

/// Whether below the first line there is a leaf that is no remote scan: a table or a row of the coordinator's own.
fn has_local_leaf(lines: &[(usize, &str)], depth: usize) -> bool {
    let below: Vec<_> = lines.iter().skip(1).take_while(|(below, _)| *below > depth).collect();
    below.iter().enumerate().any(|(index, (depth, line))| {
        let is_leaf = below.get(index + 1).is_none_or(|(next, _)| next <= depth);
        is_leaf && !line.starts_with("RemoteScanExec")
    })
}

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut text = String::new();
        for (site, rows, bytes) in &self.crossed {
            // A limit over several sites is satisfied by whoever answers first.
            let _ = if self.plan.contains("GlobalLimitExec") {
                writeln!(text, "  {site}: as many as came first")
            } else {
                writeln!(text, "  {site}: rows={rows} bytes={bytes}")
            };
        }
        for unsent in &self.unsent {
            let _ = writeln!(text, "  {unsent}");
        }
        writeln!(f, "  coordinator: {}", self.operators())?;
        f.write_str(&text)
    }
}

fn same_line(mine: &str, reviewed: &str) -> bool {
    match (mine.split_once(" bytes="), reviewed.split_once(" bytes=")) {
        (Some((mine, my_bytes)), Some((reviewed, bytes))) => {
            let (my_bytes, bytes): (f64, f64) = (my_bytes.parse().unwrap(), bytes.parse().unwrap());
            mine == reviewed && (my_bytes - bytes).abs() <= bytes * BYTES_TOLERANCE + 512.0
        }
        _ => mine == reviewed,
    }
}

fn read_reviewed(text: &str) -> BTreeMap<String, String> {
    let mut reviewed: BTreeMap<String, String> = BTreeMap::new();
    let mut name = String::new();
    for line in text.lines() {
        if line.starts_with(' ') {
            let entry = reviewed.entry(name.clone()).or_default();
            entry.push_str(line);
            entry.push('\n');
        } else {
            name = line.to_string();
        }
    }
    reviewed.remove("");
    reviewed
}

fn operator_name(line: &str) -> &str {
    line.trim_start().split([':', ' ']).next().unwrap_or_default()
}

fn is_exchange(name: &str) -> bool {
    [
        "CooperativeExec",
        "StepsExec",
        "BoundedExec",
        "RepartitionExec",
        "CoalescePartitionsExec",
        "CoalesceBatchesExec",
        "RemoteScanExec",
        "",
    ]
    .contains(&name)
}

fn rows(answer: &Answer) -> Vec<(String, String)> {
    let mut rows = Vec::new();
    for batch in &answer.batches {
        let (kinds, texts) = (batch.column(0).as_string::<i32>(), batch.column(1).as_string::<i32>());
        rows.extend((0..batch.num_rows()).map(|row| (kinds.value(row).to_string(), texts.value(row).to_string())));
    }
    rows
}

fn number(text: &str, key: &str) -> u64 {
    let (_, after) = text.rsplit_once(key).unwrap_or_else(|| panic!("no {key} in {text}"));
    after.split([',', ' ', '\n']).next().unwrap().parse().unwrap()
}
