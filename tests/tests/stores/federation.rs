//! A site with its tables in stores, asked through a coordinator and at its own door, with and without policy.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use harness::cluster::{Border, Client, Cluster, Fault, Governance, Options, Person};
use harness::dataset::Dataset;
use harness::policy::canary::Canary;
use harness::store::{Manner, Note, Store};
use parquet::arrow::ArrowWriter;

use super::{assert_untold, numbers, write, write_numbers};

const POLICY: &str = "CREATE PURPOSE care;
    GRANT SELECT ON SCHEMA lake TO ROLE analyst FOR PURPOSE care;
    GRANT SELECT ON SCHEMA disk TO ROLE analyst FOR PURPOSE care;
    CREATE POLICY here ON TABLE lake.patient ROW FILTER (region = 'north') TO ROLE analyst;
    CREATE POLICY names ON TABLE lake.patient COLUMN MASK show_first(6) COLUMNS (name) TO ROLE analyst;
    CREATE POLICY beds ON TABLE lake.ward COLUMN MASK replace_with_null COLUMNS (beds) TO ROLE analyst;
    CREATE POLICY disk_here ON TABLE disk.patient ROW FILTER (region = 'north') TO ROLE analyst;
    CREATE POLICY disk_names ON TABLE disk.patient COLUMN MASK show_first(6) COLUMNS (name) TO ROLE analyst;
    CREATE POLICY disk_beds ON TABLE disk.ward COLUMN MASK replace_with_null COLUMNS (beds) TO ROLE analyst;";

/// A data set with a table of files at each of two sites.
fn dataset() -> Dataset {
    let mut dataset = Dataset::temporary().unwrap();
    let rows = numbers(0, 100);
    for (site, name) in [("north", "other"), ("south", "codes")] {
        dataset.add([site, "files", name], &rows.schema(), std::slice::from_ref(&rows)).unwrap();
    }
    dataset
}

/// A source of a site, as its configuration has it.
fn source(name: &str, mut options: toml::Table) -> (String, toml::Table) {
    options.insert("name".into(), name.into());
    options.insert("kind".into(), "files".into());
    ("north".to_string(), options)
}

/// Of 2,000 patients 1,100 are shown; those that are hidden have notes and costs of their own.
fn patients() -> RecordBatch {
    let is_shown = |n: i64| n % 20 < 11;
    let ids = 1..=2_000_i64;
    let text = |of: fn(i64, bool) -> String| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(ids.clone().map(|n| of(n, is_shown(n)))))
    };
    let costs = ids.clone().map(|n| if is_shown(n) { n % 100 + 1 } else { 900_000_000 + n });
    RecordBatch::try_from_iter([
        ("id", Arc::new(Int64Array::from_iter_values(ids.clone())) as ArrayRef),
        ("name", text(|n, _| format!("name {n}"))),
        ("region", text(|_, shown| if shown { "north" } else { "south" }.to_string())),
        ("cost", Arc::new(Int64Array::from_iter_values(costs))),
        ("note", text(|n, shown| if shown { "a note".to_string() } else { format!("CANARY-{n}-hidden") })),
    ])
    .unwrap()
}

fn canaries() -> Vec<Canary> {
    let hidden = (1..=2_000).filter(|n| n % 20 >= 11);
    hidden.flat_map(|n| [Canary::Text(format!("CANARY-{n}-hidden")), Canary::Number(900_000_000 + n)]).collect()
}

fn write_tables(directory: &Path) {
    let rows = patients();
    let file = fs::File::create(directory.join("patient.parquet")).unwrap();
    let mut writer = ArrowWriter::try_new(file, rows.schema(), None).unwrap();
    writer.write(&rows).unwrap();
    writer.close().unwrap();
    let wards: String = (1..=500).map(|n| format!("{n},{}\n", n % 7)).collect();
    fs::write(directory.join("ward.csv"), format!("id,beds\n{wards}")).unwrap();
}

fn governed(sources: Vec<(String, toml::Table)>) -> Options {
    let governance = Governance {
        users: vec![Person::new("ana", "analyst").holding("care"), Person::administrator()],
        policies: [("north".to_string(), POLICY.to_string())].into(),
        canaries: canaries(),
        ..Governance::default()
    };
    Options { sources, governance: Some(governance), logs_everything: true, ..Options::default() }
}

/// What is asked of the patients, and the one value of the answer; `None` where some shown row is a reason to refuse.
const ASKED: [(&str, Option<&str>); 12] = [
    ("SELECT count(*) FROM north.{}.patient", Some("1100")),
    ("SELECT max(cost) FROM north.{}.patient", Some("91")),
    ("SELECT cost FROM north.{}.patient ORDER BY cost DESC LIMIT 1", Some("91")),
    ("SELECT count(*) FROM north.{}.patient WHERE 1 / (cost - 900000011) <= 0", Some("1100")),
    ("SELECT count(*) FROM north.{}.patient WHERE cost > 800000000", Some("0")),
    ("SELECT count(*) FROM north.{}.patient WHERE note LIKE 'CANARY%'", Some("0")),
    ("SELECT count(*) FROM north.{}.patient WHERE CAST(note AS BIGINT) > 0", None),
    ("SELECT count(*) FROM north.{}.patient WHERE name = 'name 77'", Some("0")),
    ("SELECT count(*) FROM north.{}.patient a JOIN north.{}.patient b ON a.id = b.id", Some("1100")),
    ("SELECT min(name) FROM north.{}.patient", Some("name 1")),
    ("SELECT count(beds) FROM north.{}.ward", Some("0")),
    ("SELECT count(*) FROM north.{}.ward WHERE id < 123", Some("122")),
];

#[tokio::test(flavor = "multi_thread")]
async fn a1_to_a5_hidden_rows_of_a_store_are_told_by_no_statement_as_those_of_a_disk() {
    for store in [Store::s3(Manner::default()).await, Store::web(Manner::default()).await] {
        let dataset = dataset();
        write_tables(store.files());
        let disk = toml::Table::from_iter([("root".to_owned(), store.files().display().to_string().into())]);
        let sources = vec![source("lake", store.options()), source("disk", disk)];
        let cluster = Cluster::start_with(&dataset, governed(sources)).await;
        for client in [cluster.user("ana").await, cluster.user_of_site("ana", "north").await] {
            for (asked, expected) in ASKED {
                for place in ["lake", "disk"] {
                    assert_answer(&client, &asked.replace("{}", place), expected).await;
                }
            }
            let explained = client.query("EXPLAIN SELECT name FROM north.lake.patient WHERE id = 7").await.unwrap();
            let explained = format!("{:?}", explained.batches);
            assert!(!explained.contains("s3://") && !explained.contains("localhost"), "{explained}");
        }
    }
}

async fn assert_answer(client: &Client, sql: &str, expected: Option<&str>) {
    match (client.query(sql).await, expected) {
        (Ok(_), Some(expected)) => assert_eq!(client.value(sql).await, expected, "{sql}"),
        (Err(error), None) => assert!(error.starts_with("EVAL: ") || error.starts_with("TYPE: "), "{sql}: {error}"),
        (other, _) => panic!("{sql}: {expected:?} is expected: {:?}", other.map(drop)),
    }
}

/// Whatever is logged at whatever level: no secret, no signature, no word of a server, and still what an administrator needs.
#[tokio::test(flavor = "multi_thread")]
async fn e1_no_secret_and_no_word_of_a_store_reaches_a_user_or_a_log() {
    let (store, web) = (Store::s3(Manner::default()).await, Store::web(Manner::default()).await);
    write_tables(store.files());
    write_tables(web.files());
    fs::write(store.beside().join("wrong.key"), "hush, wrong").unwrap();
    fs::write(store.beside().join("query.key"), "sig=hush").unwrap();
    let beside = |file: &str| toml::Value::from(store.beside().join(file).display().to_string());
    let mut broken = store.options();
    broken.insert("secret_access_key_file".into(), beside("wrong.key"));
    let mut lake = web.options();
    lake.insert("query_file".into(), beside("query.key"));
    let sources = vec![source("lake", lake), source("disk", store.options()), source("broken", broken)];
    let dataset = dataset();
    let cluster = Cluster::start_with(&dataset, governed(sources)).await;
    for client in [cluster.user("ana").await, cluster.user_of_site("ana", "north").await] {
        assert_eq!(client.value("SELECT count(*) FROM north.lake.patient").await, "1100");
        assert_eq!(client.value("SELECT count(*) FROM north.disk.patient").await, "1100");
        let error = client.query("SELECT count(*) FROM north.broken.patient").await.unwrap_err();
        assert!(
            error.starts_with("NOT_FOUND: "),
            "under policy a table that cannot be read is told so to nobody: {error}"
        );
        web.manner().answer(200, http::StatusCode::FORBIDDEN, "", "a server's own words");
        let error = client.query("SELECT sum(cost) FROM north.lake.patient").await.unwrap_err();
        web.manner().answer_truly();
        assert_untold(&error);
    }
    let log = cluster.site("north").log();
    assert_untold(&log);
    assert!(!log.contains("AWS4-HMAC") && !log.contains("localhost:"), "no address of a store, no header");
    assert!(log.contains("403 Forbidden SignatureDoesNotMatch"), "the reason is told:\n{log}");
    assert_untold(&cluster.coordinator().log());
    let told = web.take_notes();
    assert!(told.iter().all(|note| note.query == "sig=hush"), "the server was told the secret each time");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_coordinator_asks_a_site_over_a_store_for_few_bytes() {
    let store = Store::s3(Manner::default()).await;
    for part in 0..4 {
        write_numbers(&store, &format!("t/part={part}/a.parquet"), part * 50_000, 50_000, 10_000);
    }
    let mut lake = store.options();
    let table = "[[table]]\nname='t'\npath='t/'\nformat='parquet'\npartitions=['part:Int64']";
    lake.extend(toml::from_str::<toml::Table>(table).unwrap());
    let dataset = dataset();
    let options = Options { sources: vec![source("lake", lake)], ..Options::default() };
    let cluster = Cluster::start_with(&dataset, options).await;
    let client = cluster.client().await;
    let joined =
        "SELECT sum(t.twice) FROM north.lake.t JOIN south.files.codes c ON c.n = t.n WHERE t.part = 0 AND t.n < 50";
    assert_eq!(client.value(joined).await, "2450");
    store.take_notes();
    assert_eq!(
        client.value("SELECT sum(twice) FROM north.lake.t WHERE n BETWEEN 120000 AND 120999").await,
        "240999000"
    );
    let notes = store.take_notes();
    let read: u64 = notes.iter().filter(|note| note.is_read()).map(Note::bytes).sum();
    let size = fs::metadata(store.files().join("t/part=2/a.parquet")).unwrap().len();
    assert!(read < size / 20, "{read} of four files of {size} bytes");
    assert!(notes.iter().filter(|note| note.is_read()).all(|note| note.path.contains("part%3D2")), "{notes:?}");
}

/// Dropped statements end, changed objects are told, and a store that is gone is a site that cannot answer: never rows missing.
#[tokio::test(flavor = "multi_thread")]
async fn what_goes_wrong_at_a_store_is_an_error_of_the_statement_and_passes() {
    let store = Store::s3(Manner::default()).await;
    write_numbers(&store, "t.parquet", 0, 60_000, 10_000);
    let border = Border::open(store.address().trim_start_matches("http://")).await;
    let mut lake = store.options_through(&format!("http://{}", border.address()));
    lake.insert("retries_max".into(), 1.into());
    lake.insert("request_timeout_ms".into(), 3_000.into());
    let dataset = dataset();
    let options = Options { sources: vec![source("lake", lake)], ..Options::default() };
    let cluster = Cluster::start_with(&dataset, options).await;
    let client = cluster.client().await;
    let all = "SELECT count(DISTINCT text) FROM north.lake.t";
    assert_eq!(client.value(all).await, "60000");
    for (fault, codes) in [
        (Fault::Down, &["SITE_UNAVAILABLE"][..]),
        (Fault::CutAfter(200_000), &["SITE_UNAVAILABLE"]),
        (Fault::StallAfter(200_000), &["DEADLINE", "SITE_UNAVAILABLE"]),
    ] {
        border.set(fault);
        let error = client.query(all).await.unwrap_err();
        border.set(Fault::None);
        assert!(codes.iter().any(|code| error.starts_with(code)), "{fault:?}: {error}");
        assert_untold(&error);
        assert_eq!(client.value(all).await, "60000", "it comes back");
    }
    let (path, aside) = (store.files().join("t.parquet"), store.beside().join("later"));
    write_numbers(&store, "other.parquet", 0, 70_000, 10_000);
    fs::rename(store.files().join("other.parquet"), &aside).unwrap();
    store.manner().before_read("t.parquet", 1, move || fs::rename(&aside, &path).unwrap());
    assert_eq!(client.value(all).await, "70000", "planned once more, and of one version");
    write(&store, "t.parquet", "no parquet");
    let error = client.query(all).await.unwrap_err();
    assert!(error.starts_with("SITE_UNAVAILABLE") || error.starts_with("NOT_FOUND"), "{error}");
}
