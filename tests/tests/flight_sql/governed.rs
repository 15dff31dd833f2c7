//! A foreign server as a source under policy: what it is asked, and what of its rows anybody is told.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use harness::cluster::{Client, Cluster, Governance, Options, Person};
use harness::dataset::Dataset;
use harness::policy::canary::Canary;
use harness::roapi::{Roapi, Served};

use super::federation::dataset;

fn is_shown(n: i64) -> bool {
    n % 20 < 11
}

/// Of 2,000 patients 1,100 are shown; those that are hidden have notes and costs of their own.
fn tables() -> Vec<Served> {
    let ids = || 1..=2_000_i64;
    let texts = |text: &dyn Fn(i64) -> String| -> ArrayRef { Arc::new(StringArray::from_iter_values(ids().map(text))) };
    let numbers =
        |number: &dyn Fn(i64) -> i64| -> ArrayRef { Arc::new(Int64Array::from_iter_values(ids().map(number))) };
    let patients: [(&str, ArrayRef); 5] = [
        ("id", numbers(&|n| n)),
        ("name", texts(&|n| format!("name {n}"))),
        ("region", texts(&|n| if is_shown(n) { "north".into() } else { "south".into() })),
        ("cost", numbers(&|n| if is_shown(n) { n % 100 + 1 } else { 900_000_000 + n })),
        ("note", texts(&|n| if is_shown(n) { "a note".into() } else { format!("CANARY-{n}-hidden") })),
    ];
    let wards: [(&str, ArrayRef); 2] = [("id", numbers(&|n| n)), ("beds", numbers(&|n| n % 7))];
    vec![
        Served::new("patient", &RecordBatch::try_from_iter(patients).unwrap()),
        Served::new("ward", &RecordBatch::try_from_iter(wards).unwrap()),
    ]
}

const POLICY: &str = "CREATE PURPOSE care;
    GRANT SELECT ON SCHEMA lake TO ROLE analyst FOR PURPOSE care;
    CREATE POLICY here ON TABLE lake.patient ROW FILTER (region = 'north') TO ROLE analyst;
    CREATE POLICY names ON TABLE lake.patient COLUMN MASK show_first(6) COLUMNS (name) TO ROLE analyst;
    CREATE POLICY beds ON TABLE lake.ward COLUMN MASK replace_with_null COLUMNS (beds) TO ROLE analyst;";

async fn cluster(server: &Roapi, dataset: &Dataset) -> Cluster {
    let mut lake = server.options();
    lake.insert("name".into(), "lake".into());
    lake.insert("kind".into(), "flight_sql".into());
    let hidden = (1..=2_000).filter(|n| !is_shown(*n));
    let canaries = hidden.flat_map(|n| [Canary::Text(format!("CANARY-{n}-hidden")), Canary::Number(900_000_000 + n)]);
    let governance = Governance {
        users: vec![Person::new("ana", "analyst").holding("care"), Person::administrator()],
        policies: [("north".to_string(), POLICY.to_string())].into(),
        canaries: canaries.collect(),
        ..Governance::default()
    };
    let sources = vec![("north".to_string(), lake)];
    Cluster::start_with(dataset, Options { sources, governance: Some(governance), ..Options::default() }).await
}

/// What is asked of the patients, and the one value of the answer; `None` where some shown row is a reason to refuse.
const ASKED: [(&str, Option<&str>); 9] = [
    ("SELECT count(*) FROM north.lake.patient", Some("1100")),
    ("SELECT max(cost) FROM north.lake.patient", Some("91")),
    ("SELECT cost FROM north.lake.patient ORDER BY cost DESC LIMIT 1", Some("91")),
    ("SELECT count(*) FROM north.lake.patient WHERE 1 / (cost - 900000011) <= 0", Some("1100")),
    ("SELECT count(*) FROM north.lake.patient WHERE cost > 800000000", Some("0")),
    ("SELECT count(*) FROM north.lake.patient WHERE note LIKE 'CANARY%'", Some("0")),
    ("SELECT count(*) FROM north.lake.patient WHERE CAST(note AS BIGINT) > 0", None),
    ("SELECT count(*) FROM north.lake.patient WHERE name = 'name 77'", Some("0")),
    ("SELECT min(name) FROM north.lake.patient", Some("name 1")),
];

async fn assert_answer(client: &Client, sql: &str, expected: Option<&str>) {
    match (client.query(sql).await, expected) {
        (Ok(_), Some(expected)) => assert_eq!(client.value(sql).await, expected, "{sql}"),
        (Err(error), None) => assert!(error.starts_with("EVAL: ") || error.starts_with("TYPE: "), "{sql}: {error}"),
        (other, _) => panic!("{sql}: {expected:?} is expected: {:?}", other.map(drop)),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a1_to_a5_hidden_rows_of_a_foreign_server_are_told_by_no_statement() {
    let server = Roapi::start(&tables());
    let dataset = dataset();
    let cluster = cluster(&server, &dataset).await;
    for client in [cluster.user("ana").await, cluster.user_of_site("ana", "north").await] {
        for (sql, expected) in ASKED {
            assert_answer(&client, sql, expected).await;
        }
    }
    // The server is asked for the rows that policy shows, and is told nothing of what the asker compares them with.
    let asked = server.asked_since(0);
    assert!(asked.iter().any(|text| text.contains("'north'")), "the row filter reached the server: {asked:?}");
    for of_the_asker in ["800000000", "900000011", "CANARY%", "name 77", "max", "ORDER BY"] {
        assert!(!asked.iter().any(|text| text.contains(of_the_asker)), "{of_the_asker} did");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn b4_where_every_row_is_shown_filters_on_clear_columns_cross() {
    let server = Roapi::start(&tables());
    let dataset = dataset();
    let cluster = cluster(&server, &dataset).await;
    for client in [cluster.user("ana").await, cluster.user_of_site("ana", "north").await] {
        assert_eq!(client.value("SELECT count(*) FROM north.lake.ward WHERE id < 123").await, "122");
        assert_eq!(client.value("SELECT count(*) FROM north.lake.ward WHERE beds = 4321").await, "0");
        assert_eq!(client.value("SELECT count(beds) FROM north.lake.ward").await, "0");
    }
    let asked = server.asked_since(0);
    assert!(asked.iter().any(|text| text.contains("123")), "a filter on a clear column reached the server");
    assert!(!asked.iter().any(|text| text.contains("4321")), "one on a masked column did");
}
