//! A69: whatever breaks, at a site, in its source or on the way to it, is told in a code and a sentence of ours: no path, no
//! engine's words.
//!
//! ```text
//! files   tables whose files are damaged
//! server  tables that are changed at their server, and a server that is gone
//! ```

mod files;
mod server;

use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::{ArrayRef, Date32Array, Int64Array, RecordBatch, StringArray};
use engine::error::Code;
use harness::cluster::{Cluster, Governance, Kept, Options, Person};
use harness::dataset::Dataset;
use harness::policy::capture::{Capture, RawClient};

use crate::KEPT;

const ROWS: i64 = 20_000;
/// A coordinator asks again for what a site shows within this.
const SEEN_WITHIN: Duration = Duration::from_secs(20);
const POLICY: &str = "CREATE PURPOSE care;
    GRANT SELECT ON SCHEMA trade TO ROLE reader FOR PURPOSE care WITH (id = 'trade');
    CREATE POLICY persons ON TABLE trade.linked COLUMN MASK pseudonym('person') COLUMNS (told) TO ALL;";
/// Every column of a table is read, as it is and on its way through an aggregate.
const STATEMENTS: [&str; 2] =
    ["SELECT n, told, day FROM north.trade.{}", "SELECT sum(n), max(told), max(day) FROM north.trade.{}"];

/// The rows of every table, before anything happens to them.
fn batch() -> RecordBatch {
    let numbers: ArrayRef = Arc::new((0..ROWS).map(Some).collect::<Int64Array>());
    let texts: ArrayRef = Arc::new((0..ROWS).map(|n| Some(format!("told {n}"))).collect::<StringArray>());
    let days: ArrayRef = Arc::new(Date32Array::from_value(0, usize::try_from(ROWS).unwrap()));
    RecordBatch::try_from_iter_with_nullable([("n", numbers, true), ("told", texts, true), ("day", days, true)])
        .unwrap()
}

/// Tables of the site `north`, in its source `trade`.
fn tables<'a>(names: impl Iterator<Item = &'a str>) -> Dataset {
    let (mut data, batch) = (Dataset::temporary().unwrap(), batch());
    for name in names {
        data.add(["north", "trade", name], &batch.schema(), std::slice::from_ref(&batch)).unwrap();
    }
    data
}

async fn start(data: &Dataset) -> Cluster {
    let governance = Governance {
        users: vec![Person::new("u1", "reader").holding("care"), Person::administrator()],
        policies: [("north".to_string(), POLICY.to_string())].into(),
        ..Governance::default()
    };
    let options = Options {
        governance: Some(governance),
        coordinator_limits: "view_refresh_interval_ms = 1000".to_string(),
        kept: KEPT,
        ..Options::default()
    };
    Cluster::start_with(data, options).await
}

/// Takes the secret from a site and starts it again.
fn without_secret(cluster: &mut Cluster, site: &str) {
    let path = cluster.root().join(format!("{site}.toml"));
    let mut config: toml::Table = fs::read_to_string(&path).unwrap().parse().unwrap();
    assert!(config.remove("pseudonyms").is_some());
    fs::write(&path, toml::to_string(&config).unwrap()).unwrap();
    cluster.kill_site(site);
    cluster.restart_site(site);
}

/// What no sentence of ours has: places, the names of engines and of their types, what panics print.
const FOREIGN: [&str; 15] = [
    "/",
    "::",
    "{",
    "}",
    "127.0.0.1",
    ".parquet",
    ".csv",
    "Error",
    "rror:",
    "panicked",
    "backtrace",
    "os error",
    "DataFusion",
    "Arrow",
    "Parquet",
];
/// The headers that an error may have.
const HEADERS: [&str; 3] = ["content-type", "date", "x-chancery-query-id"];

/// What is wrong with how an error was told.
fn open_words(capture: &Capture) -> Vec<String> {
    let mut wrong = vec![];
    let told = capture.error().unwrap_or_else(|| "an answer".to_string());
    match told.split_once(": ").and_then(|(code, _)| Code::from_name(code)) {
        None | Some(Code::Internal) => wrong.push("the code".to_string()),
        Some(_) => {}
    }
    wrong.extend(FOREIGN.iter().filter(|word| told.contains(**word)).map(|word| format!("{word:?}")));
    for part in &capture.parts {
        let text = String::from_utf8_lossy(&part.bytes);
        if part.name.ends_with("status details") && !part.bytes.is_empty() {
            wrong.push(format!("details {text}"));
        }
        if part.name.ends_with("status headers") {
            let names = text.lines().filter_map(|line| line.split_once(": ")).map(|(name, _)| name);
            wrong.extend(names.filter(|name| !HEADERS.contains(name)).map(|name| format!("the header {name}")));
        }
    }
    wrong.into_iter().map(|wrong| format!("{wrong} in {told}")).collect()
}

struct Doors {
    clients: Vec<(&'static str, RawClient)>,
    failures: Vec<String>,
}

impl Doors {
    async fn of(cluster: &Cluster) -> Self {
        let clients =
            vec![("north", cluster.raw("u1", Some("north")).await), ("coordinator", cluster.raw("u1", None).await)];
        Self { clients, failures: vec![] }
    }

    /// The table is there, whole.
    async fn answered(&mut self, table: &str) {
        for (door, client) in &self.clients {
            let capture = client.capture(&STATEMENTS[0].replace("{}", table)).await;
            if capture.error().is_some() || capture.frames() < 2 {
                self.failures.push(format!("A69 {table} at {door}, before: {:?}", capture.error()));
            }
        }
    }

    /// The table is there once more, when whoever keeps what they knew has asked again.
    async fn answered_again(&mut self, table: &str) {
        let (began, sql) = (Instant::now(), STATEMENTS[0].replace("{}", table));
        for (door, client) in &self.clients {
            while let Some(error) = client.capture(&sql).await.error() {
                assert!(began.elapsed() < SEEN_WITHIN, "{table} at {door} is not there again: {error}");
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
    }

    /// Whatever is asked of the table is refused in closed words, and with one of these codes.
    async fn refused(&mut self, what: &str, table: &str, codes: &[&str]) {
        for (door, client) in &self.clients {
            for sql in STATEMENTS {
                let sql = sql.replace("{}", table);
                let capture = client.capture(&sql).await;
                let told = capture.error().unwrap_or_else(|| "an answer".to_string());
                let mut wrong = open_words(&capture);
                if !codes.iter().any(|code| told.starts_with(&format!("{code}: "))) {
                    wrong.push(format!("none of {codes:?}, but {told}"));
                }
                self.failures.extend(wrong.into_iter().map(|wrong| format!("A69 {what} at {door}: {sql}\n  {wrong}")));
            }
        }
    }

    /// Through the coordinator alone: the site is gone.
    async fn refused_when_killed(mut self, cluster: &mut Cluster) -> Vec<String> {
        cluster.kill_site("north");
        self.clients.retain(|(door, _)| *door == "coordinator");
        self.refused("killed", "whole", &["SITE_UNAVAILABLE"]).await;
        self.failures
    }
}

/// A site whose secret is gone tells nothing of a table with pseudonyms.
async fn refused_without_secret(cluster: &mut Cluster, failures: Vec<String>) -> Doors {
    without_secret(cluster, "north");
    let mut doors = Doors { failures, ..Doors::of(cluster).await };
    doors.refused("without its secret", "linked", &["NOT_FOUND", "STALE"]).await;
    doors
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_breaks_is_told_in_words_of_ours() {
    let failures = match KEPT {
        Kept::AsFiles => files::damaged().await,
        Kept::InPostgres => server::damaged().await,
    };
    assert!(failures.is_empty(), "{} errors are not ours:\n\n{}", failures.len(), failures.join("\n\n"));
}
