//! A SQLite source under policy: what its database is asked, and what of its rows anybody is told.

use harness::cluster::{Client, Cluster, Governance, Options, Person};
use harness::dataset::Dataset;
use harness::policy::canary::Canary;
use harness::source::lines;
use harness::sqlite::SqliteFile;

use super::federation::{dataset, imported_keys};

/// Of 2,000 patients 1,100 are shown; those that are hidden have notes and costs of their own.
const TABLES: &str = "
    CREATE TABLE patient (id INTEGER PRIMARY KEY, name TEXT, region TEXT, cost INTEGER, note TEXT);
    INSERT INTO patient WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < 2000)
        SELECT n, 'name ' || n,
        CASE WHEN n % 20 < 11 THEN 'north' ELSE 'south' END,
        CASE WHEN n % 20 < 11 THEN n % 100 + 1 ELSE 900000000 + n END,
        CASE WHEN n % 20 < 11 THEN 'a note' ELSE 'CANARY-' || n || '-hidden' END FROM s;
    CREATE TABLE ward (id INTEGER, beds INTEGER);
    INSERT INTO ward SELECT id, id % 7 FROM patient WHERE id <= 500;
    CREATE TABLE spoilt (id INTEGER, region TEXT, cost INTEGER);
    INSERT INTO spoilt VALUES (1, 'north', 5), (2, 'south', 'CANARY-spoilt-hidden');
    CREATE TABLE masked (id INTEGER, beds INTEGER, cost INTEGER);
    INSERT INTO masked VALUES (1, 1, 5), (2, 2, 'no number');
    CREATE TABLE filtered (id INTEGER, region TEXT, cost INTEGER);
    INSERT INTO filtered VALUES (1, 'north', 5), (2, 'north', 'no number'), (3, 'south', 7)";
const POLICY: &str = "CREATE PURPOSE care;
    GRANT SELECT ON SCHEMA registry TO ROLE analyst FOR PURPOSE care;
    CREATE POLICY here ON TABLE registry.patient ROW FILTER (region = 'north') TO ROLE analyst;
    CREATE POLICY names ON TABLE registry.patient COLUMN MASK show_first(6) COLUMNS (name) TO ROLE analyst;
    CREATE POLICY spoilt ON TABLE registry.spoilt ROW FILTER (region = 'north') TO ROLE analyst;
    CREATE POLICY filtered ON TABLE registry.filtered ROW FILTER (region = 'north') TO ROLE analyst;
    CREATE POLICY masked ON TABLE registry.masked COLUMN MASK replace_with_null COLUMNS (beds) TO ROLE analyst;
    CREATE POLICY beds ON TABLE registry.ward COLUMN MASK replace_with_null COLUMNS (beds) TO ROLE analyst;";

async fn cluster(file: &SqliteFile, dataset: &Dataset) -> Cluster {
    let hidden = (1..=2000).filter(|n| n % 20 >= 11);
    let canaries = hidden.flat_map(|n| [Canary::Text(format!("CANARY-{n}-hidden")), Canary::Number(900_000_000 + n)]);
    let spoilt = [Canary::Text("CANARY-spoilt-hidden".to_string())];
    governed(file, dataset, POLICY, canaries.chain(spoilt).collect()).await
}

async fn governed(file: &SqliteFile, dataset: &Dataset, policy: &str, canaries: Vec<Canary>) -> Cluster {
    let governance = Governance {
        users: vec![Person::new("ana", "analyst").holding("care"), Person::administrator()],
        policies: [("north".to_string(), policy.to_string())].into(),
        canaries,
        ..Governance::default()
    };
    let sources = vec![("north".to_string(), file.source("registry"))];
    Cluster::start_with(dataset, Options { sources, governance: Some(governance), ..Options::default() }).await
}

/// What is asked of the patients, and the one value of the answer; `None` where some shown row is a reason to refuse.
const ASKED: [(&str, Option<&str>); 14] = [
    ("SELECT count(*) FROM north.registry.patient", Some("1100")),
    ("SELECT max(cost) FROM north.registry.patient", Some("91")),
    ("SELECT cost FROM north.registry.patient ORDER BY cost DESC LIMIT 1", Some("91")),
    ("SELECT count(*) FROM north.registry.patient WHERE 1 / (cost - 900000011) <= 0", Some("1100")),
    ("SELECT count(*) FROM north.registry.patient WHERE cost > 800000000", Some("0")),
    ("SELECT count(*) FROM north.registry.patient WHERE note LIKE 'CANARY%'", Some("0")),
    ("SELECT count(*) FROM north.registry.patient WHERE CAST(note AS BIGINT) > 0", None),
    ("SELECT count(*) FROM north.registry.patient WHERE note > 5", None),
    (
        "SELECT count(*) FROM north.registry.patient WHERE CASE WHEN cost = 900000012 THEN 1 / 0 ELSE 1 END = 1",
        Some("1100"),
    ),
    ("SELECT count(*) FROM north.registry.patient WHERE name = 'name 77'", Some("0")),
    ("SELECT count(*) FROM north.registry.patient a JOIN north.registry.patient b ON a.id = b.id", Some("1100")),
    ("SELECT min(name) FROM north.registry.patient", Some("name 1")),
    // A hidden row that cannot be read is no reason to refuse.
    ("SELECT cost FROM north.registry.spoilt", Some("5")),
    ("SELECT count(*) FROM north.registry.spoilt WHERE cost > 1", Some("1")),
];

async fn assert_answer(client: &Client, sql: &str, expected: Option<&str>) {
    match (client.query(sql).await, expected) {
        (Ok(_), Some(expected)) => assert_eq!(client.value(sql).await, expected, "{sql}"),
        (Err(error), None) => assert!(error.starts_with("EVAL: ") || error.starts_with("TYPE: "), "{sql}: {error}"),
        (other, _) => panic!("{sql}: {expected:?} is expected: {:?}", other.map(drop)),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a1_to_a5_hidden_rows_of_a_file_are_told_by_no_statement() {
    let (file, dataset) = (SqliteFile::with(TABLES), dataset());
    let cluster = cluster(&file, &dataset).await;
    for client in [cluster.user("ana").await, cluster.user_of_site("ana", "north").await] {
        for (sql, expected) in ASKED {
            assert_answer(&client, sql, expected).await;
        }
    }
}

/// What reaches the file shows by what it leaves there: the second row of each table has a value that cannot be read.
#[tokio::test(flavor = "multi_thread")]
async fn b4_where_every_row_is_shown_filters_on_clear_columns_cross() {
    let (file, dataset) = (SqliteFile::with(TABLES), dataset());
    let cluster = cluster(&file, &dataset).await;
    for client in [cluster.user("ana").await, cluster.user_of_site("ana", "north").await] {
        assert_eq!(client.value("SELECT count(*) FROM north.registry.ward WHERE id < 123").await, "122");
        assert_eq!(client.value("SELECT count(*) FROM north.registry.ward WHERE beds = 4321").await, "0");
        assert_eq!(client.value("SELECT count(beds) FROM north.registry.ward").await, "0");
        assert_eq!(client.value("SELECT cost FROM north.registry.masked WHERE id = 1").await, "5", "it crosses");
        for does_not in [
            // Of a masked column, of rows of which some are hidden, and where nothing is asked.
            "SELECT cost FROM north.registry.masked WHERE beds = 1",
            "SELECT cost FROM north.registry.filtered WHERE id = 1",
            "SELECT cost FROM north.registry.masked",
        ] {
            let error = client.query(does_not).await.unwrap_err();
            assert!(error.starts_with("SITE_UNAVAILABLE") && !error.contains("no number"), "{does_not}: {error}");
        }
    }
}

/// Of five foreign keys one is seen at both ends: of the others a table is not granted, a column is hidden at either
/// end, or is masked.
#[tokio::test(flavor = "multi_thread")]
async fn a64_a_foreign_key_tells_no_name_that_is_not_seen() {
    let file = SqliteFile::with(
        "CREATE TABLE ward (id INTEGER PRIMARY KEY, code TEXT UNIQUE, canarynumber INT UNIQUE);
         CREATE TABLE canarydoctor (canaryid INTEGER PRIMARY KEY);
         CREATE TABLE stay (id INTEGER PRIMARY KEY, ward INT REFERENCES ward, leader INT REFERENCES canarydoctor,
             canaryward INT REFERENCES ward, code TEXT REFERENCES ward (code),
             number INT REFERENCES ward (canarynumber))",
    );
    let policy = "CREATE PURPOSE care;
        GRANT SELECT ON TABLE registry.ward TO ROLE analyst FOR PURPOSE care;
        GRANT SELECT ON TABLE registry.stay TO ROLE analyst FOR PURPOSE care;
        CREATE POLICY numbers ON TABLE registry.ward COLUMN MASK hide COLUMNS (canarynumber) TO ROLE analyst;
        CREATE POLICY wards ON TABLE registry.stay COLUMN MASK hide COLUMNS (canaryward) TO ROLE analyst;
        CREATE POLICY codes ON TABLE registry.stay COLUMN MASK show_first(1) COLUMNS (code) TO ROLE analyst;";
    let dataset = dataset();
    let canaries =
        ["canarynumber", "canarydoctor", "canaryid", "canaryward"].map(|name| Canary::Text(name.to_string()));
    let cluster = governed(&file, &dataset, policy, canaries.into()).await;
    for client in [cluster.user("ana").await, cluster.user_of_site("ana", "north").await] {
        let told = "north|registry|ward|id|north|registry|stay|ward|1|stay_ward_fkey|ward_pkey|3|3";
        assert_eq!(imported_keys(&client, "stay").await, told);
        for (sql, expected) in [
            (
                "SELECT constraint_name FROM north.information_schema.table_constraints ORDER BY 1",
                "stay_pkey\nstay_ward_fkey\nward_pkey",
            ),
            ("SELECT constraint_name FROM north.information_schema.referential_constraints", "stay_ward_fkey"),
            (
                "SELECT column_name FROM north.information_schema.key_column_usage \
                 WHERE constraint_name = 'stay_ward_fkey'",
                "ward",
            ),
        ] {
            assert_eq!(lines(&client.query(sql).await.unwrap().batches), expected, "{sql}");
        }
    }
}
