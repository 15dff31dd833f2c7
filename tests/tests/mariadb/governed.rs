//! A MariaDB source under policy: what its server is asked, and what of its rows anybody is told.

use harness::cluster::{Client, Cluster, Governance, Options, Person};
use harness::mariadb::MariaDb;
use harness::policy::canary::Canary;

use super::federation::dataset;

/// Of 2,000 patients 1,100 are shown; those that are hidden have notes and costs of their own.
const TABLES: &str = "
    CREATE TABLE patient (id bigint, name varchar(40), region varchar(10), cost bigint, note varchar(40));
    INSERT INTO patient SELECT seq, CONCAT('name ', seq), IF(seq % 20 < 11, 'north', 'south'),
        IF(seq % 20 < 11, seq % 100 + 1, 900000000 + seq), IF(seq % 20 < 11, 'a note', CONCAT('CANARY-', seq, '-hidden'))
        FROM seq_1_to_2000;
    CREATE TABLE ward (id bigint, beds bigint); INSERT INTO ward SELECT seq, seq % 7 FROM seq_1_to_500";
const POLICY: &str = "CREATE PURPOSE care;
    GRANT SELECT ON SCHEMA registry TO ROLE analyst FOR PURPOSE care;
    CREATE POLICY here ON TABLE registry.patient ROW FILTER (region = 'north') TO ROLE analyst;
    CREATE POLICY names ON TABLE registry.patient COLUMN MASK show_first(6) COLUMNS (name) TO ROLE analyst;
    CREATE POLICY beds ON TABLE registry.ward COLUMN MASK replace_with_null COLUMNS (beds) TO ROLE analyst;";

async fn cluster(server: &MariaDb, dataset: &harness::dataset::Dataset) -> Cluster {
    let mut registry = server.options();
    registry.insert("name".into(), "registry".into());
    registry.insert("kind".into(), "mysql".into());
    let hidden = (1..=2000).filter(|n| n % 20 >= 11);
    let canaries = hidden.flat_map(|n| [Canary::Text(format!("CANARY-{n}-hidden")), Canary::Number(900_000_000 + n)]);
    let governance = Governance {
        users: vec![Person::new("ana", "analyst").holding("care"), Person::administrator()],
        policies: [("north".to_string(), POLICY.to_string())].into(),
        canaries: canaries.collect(),
        ..Governance::default()
    };
    let sources = vec![("north".to_string(), registry)];
    Cluster::start_with(dataset, Options { sources, governance: Some(governance), ..Options::default() }).await
}

/// What is asked of the patients, and the one value of the answer; `None` where some shown row is a reason to refuse.
const ASKED: [(&str, Option<&str>); 12] = [
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
];

async fn assert_answer(client: &Client, sql: &str, expected: Option<&str>) {
    match (client.query(sql).await, expected) {
        (Ok(_), Some(expected)) => assert_eq!(client.value(sql).await, expected, "{sql}"),
        (Err(error), None) => assert!(error.starts_with("EVAL: ") || error.starts_with("TYPE: "), "{sql}: {error}"),
        (other, _) => panic!("{sql}: {expected:?} is expected: {:?}", other.map(drop)),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a1_to_a5_hidden_rows_of_a_server_are_told_by_no_statement() {
    let server = MariaDb::start().await;
    server.admin().await.run(TABLES).await;
    let dataset = dataset();
    let cluster = cluster(&server, &dataset).await;
    for client in [cluster.user("ana").await, cluster.user_of_site("ana", "north").await] {
        for (sql, expected) in ASKED {
            assert_answer(&client, sql, expected).await;
        }
    }
    // The server is asked for the rows that policy shows, and is told nothing of what the asker compares them with.
    let log = server.log();
    assert!(log.contains("'north'"), "the row filter reached the server");
    for of_the_asker in ["800000000", "900000011", "900000012", "CANARY%", "name 77", "MAX("] {
        assert!(!log.lines().any(|line| line.contains("Execute") && line.contains(of_the_asker)), "{of_the_asker} did");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn b4_where_every_row_is_shown_filters_on_clear_columns_cross() {
    let server = MariaDb::start().await;
    server.admin().await.run(TABLES).await;
    let dataset = dataset();
    let cluster = cluster(&server, &dataset).await;
    for client in [cluster.user("ana").await, cluster.user_of_site("ana", "north").await] {
        assert_eq!(client.value("SELECT count(*) FROM north.registry.ward WHERE id < 123").await, "122");
        assert_eq!(client.value("SELECT count(*) FROM north.registry.ward WHERE beds = 4321").await, "0");
        assert_eq!(client.value("SELECT count(beds) FROM north.registry.ward").await, "0");
    }
    let asked: Vec<String> = server.log().lines().filter(|line| line.contains("Execute")).map(str::to_string).collect();
    assert!(asked.iter().any(|line| line.contains("123")), "a filter on a clear column reached the server");
    assert!(!asked.iter().any(|line| line.contains("4321")), "one on a masked column did");
}
