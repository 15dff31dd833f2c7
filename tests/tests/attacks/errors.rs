//! A69: whatever breaks, at a site or on the way to it, is told in a code and a sentence of ours: no path, no engine's words.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use engine::error::Code;
use harness::cluster::{Cluster, Governance, Options, Person};
use harness::dataset::{Dataset, Table};
use harness::policy::capture::{Capture, RawClient};

const ROWS: i64 = 20_000;
const POLICY: &str = "CREATE PURPOSE care;
    GRANT SELECT ON SCHEMA trade TO ROLE reader FOR PURPOSE care WITH (id = 'trade');
    CREATE POLICY persons ON TABLE trade.linked COLUMN MASK pseudonym('person') COLUMNS (told) TO ALL;";

/// What becomes of a table's file once it was described.
type Damage = fn(&Path);
const DAMAGED: [(&str, Damage); 6] = [
    ("garbled", garble_pages),
    ("unreadable", garble_all),
    ("shortened", shorten),
    ("vanished", remove),
    ("cut", cut_in_a_row),
    ("mistyped", mistype),
];
/// Tables that are kept as CSV; all others are Parquet.
const TEXTS: [&str; 2] = ["cut", "mistyped"];

/// The pages between the first bytes and the footer, of a file that looks unchanged.
fn garble_pages(path: &Path) {
    let modified = fs::metadata(path).unwrap().modified().unwrap();
    let mut bytes = fs::read(path).unwrap();
    let footer = u32::from_le_bytes(bytes[bytes.len() - 8..bytes.len() - 4].try_into().unwrap()) as usize;
    let pages = 4..bytes.len() - 8 - footer;
    bytes[pages].iter_mut().for_each(|byte| *byte ^= 0xa5);
    fs::write(path, bytes).unwrap();
    touched(path, modified);
}

fn garble_all(path: &Path) {
    fs::write(path, vec![0xa5; 5_000]).unwrap();
}

fn shorten(path: &Path) {
    let bytes = fs::read(path).unwrap();
    fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
}

fn remove(path: &Path) {
    fs::remove_file(path).unwrap();
}

/// In the middle of a row. (A reader of CSV takes what is cut within quotes for a value.)
fn cut_in_a_row(path: &Path) {
    let text = fs::read_to_string(path).unwrap();
    let at = text[text.len() / 2..].find(",\"").unwrap() + text.len() / 2;
    fs::write(path, &text[..at]).unwrap();
}

/// A text where there was a number, in a file that looks unchanged.
fn mistype(path: &Path) {
    let modified = fs::metadata(path).unwrap().modified().unwrap();
    let text = fs::read_to_string(path).unwrap().replace("\n19999,", "\nSECRT,");
    fs::write(path, text).unwrap();
    touched(path, modified);
}

fn touched(path: &Path, modified: SystemTime) {
    fs::File::options().write(true).open(path).unwrap().set_modified(modified).unwrap();
}

fn data() -> Dataset {
    let numbers: ArrayRef = Arc::new((0..ROWS).map(Some).collect::<Int64Array>());
    let texts: ArrayRef = Arc::new((0..ROWS).map(|n| Some(format!("told {n}"))).collect::<StringArray>());
    let batch = RecordBatch::try_from_iter([("n", numbers), ("told", texts)]).unwrap();
    let mut data = Dataset::temporary().unwrap();
    let parquet = DAMAGED.iter().map(|(name, _)| *name).filter(|name| !TEXTS.contains(name));
    for name in parquet.chain(["linked", "whole"]) {
        data.add(["north", "trade", name], &batch.schema(), std::slice::from_ref(&batch)).unwrap();
    }
    for name in TEXTS {
        let path = data.root.join("north").join("trade").join(format!("{name}.csv"));
        let lines: String = (0..ROWS).map(|n| format!("{n},\"told, {n}\"\n")).collect();
        fs::write(&path, format!("n,told\n{lines}")).unwrap();
        let [site, source, name] = ["north", "trade", name].map(str::to_string);
        data.tables.push(Table { site, source, name, path });
    }
    data
}

async fn start(data: &Dataset) -> Cluster {
    let governance = Governance {
        users: vec![Person::new("u1", "reader").holding("care"), Person::administrator()],
        policies: [("north".to_string(), POLICY.to_string())].into(),
        ..Governance::default()
    };
    Cluster::start_with(data, Options { governance: Some(governance), ..Options::default() }).await
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
    /// Each statement is refused in closed words, and with one of these codes.
    async fn refused(&mut self, what: &str, statements: &[&str], codes: &[&str]) {
        for (door, client) in &self.clients {
            for sql in statements {
                let capture = client.capture(sql).await;
                let told = capture.error().unwrap_or_else(|| "an answer".to_string());
                let mut wrong = open_words(&capture);
                if !codes.iter().any(|code| told.starts_with(&format!("{code}: "))) {
                    wrong.push(format!("none of {codes:?}, but {told}"));
                }
                self.failures.extend(wrong.into_iter().map(|wrong| format!("A69 {what} at {door}: {sql}\n  {wrong}")));
            }
        }
    }

    async fn connect(cluster: &Cluster) -> Self {
        let clients =
            vec![("north", cluster.raw("u1", Some("north")).await), ("coordinator", cluster.raw("u1", None).await)];
        Self { clients, failures: vec![] }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_breaks_is_told_in_words_of_ours() {
    let data = data();
    let mut cluster = start(&data).await;
    let mut doors = Doors::connect(&cluster).await;
    for (name, _) in DAMAGED.iter().chain([&("linked", remove as Damage)]) {
        for (door, client) in &doors.clients {
            let capture = client.capture(&format!("SELECT n, told FROM north.trade.{name}")).await;
            assert!(capture.error().is_none() && capture.frames() > 1, "{name} at {door}: {:?}", capture.error());
        }
    }
    for (name, damage) in DAMAGED {
        damage(&data.table("north", "trade", name).path);
        let statements = [
            format!("SELECT n, told FROM north.trade.{name}"),
            format!("SELECT sum(n), max(told) FROM north.trade.{name}"),
        ];
        let codes = ["SITE_UNAVAILABLE", "STALE", "NOT_FOUND", "EVAL"];
        doors.refused(name, &statements.each_ref().map(String::as_str), &codes).await;
    }
    let mut failures = doors.failures;

    // A site does not start over a table that has no file at all.
    garble_all(&data.table("north", "trade", "vanished").path);
    without_secret(&mut cluster, "north");
    let mut doors = Doors::connect(&cluster).await;
    let linked = ["SELECT told FROM north.trade.linked", "SELECT count(*) FROM north.trade.linked"];
    doors.refused("without its secret", &linked, &["NOT_FOUND", "STALE"]).await;
    failures.extend(doors.failures);

    let mut doors = Doors { clients: vec![("coordinator", cluster.raw("u1", None).await)], failures: vec![] };
    cluster.kill_site("north");
    doors.refused("killed", &["SELECT n FROM north.trade.whole"], &["SITE_UNAVAILABLE"]).await;
    failures.extend(doors.failures);
    assert!(failures.is_empty(), "{} errors are not ours:\n\n{}", failures.len(), failures.join("\n\n"));
}
