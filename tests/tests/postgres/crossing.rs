//! B4 and D3: what of a statement crosses the barrier to a PostgreSQL server. Where rows are hidden nothing does, which is in
//! the attacks; here every row is shown.

use harness::cluster::{Cluster, Governance, Options, Person};
use harness::postgres::Postgres;

use super::federation::dataset;

const TABLES: &str = "
    CREATE TABLE ward (id int8, beds int8, head text);
    INSERT INTO ward SELECT n, n % 7, 'doctor ' || n FROM generate_series(1, 500) AS n;
    ANALYZE";
const POLICY: &str = "CREATE PURPOSE care;
    GRANT SELECT ON SCHEMA registry TO ROLE analyst FOR PURPOSE care;
    CREATE POLICY beds ON TABLE registry.ward COLUMN MASK replace_with_null COLUMNS (beds) TO ROLE analyst;
    CREATE POLICY heads ON TABLE registry.ward COLUMN MASK pseudonym('person') COLUMNS (head) TO ROLE analyst;";

/// Conditions, how many rows they have, and how the server is told of them: not at all if they are about what is masked.
const CONDITIONS: [(&str, &str, Option<&str>); 7] = [
    ("id < 123", "122", Some("123")),
    ("id IN (3, 457, 9457)", "2", Some("9457")),
    ("beds = 4321", "0", None),
    ("beds IS NULL AND id = 234", "1", Some("234")),
    ("head = 'doctor 77'", "0", None),
    ("head LIKE 'doctor 8%'", "0", None),
    ("head IN (SELECT v FROM (VALUES ('doctor 99')) AS t(v))", "0", None),
];

#[tokio::test(flavor = "multi_thread")]
async fn b4_filters_on_clear_columns_cross_where_every_row_is_shown() {
    let server = Postgres::start().await;
    server.admin().await.run(TABLES).await;
    let dataset = dataset();
    let mut registry = server.options("public");
    registry.insert("name".into(), "registry".into());
    registry.insert("kind".into(), "postgres".into());
    let governance = Governance {
        users: vec![Person::new("ana", "analyst").holding("care"), Person::administrator()],
        policies: [("north".to_string(), POLICY.to_string())].into(),
        ..Governance::default()
    };
    let sources = vec![("north".to_string(), registry)];
    let options = Options { sources, governance: Some(governance), ..Options::default() };
    let cluster = Cluster::start_with(&dataset, options).await;
    for client in [cluster.user("ana").await, cluster.user_of_site("ana", "north").await] {
        for (condition, count, _) in CONDITIONS {
            let sql = format!("SELECT count(*) FROM north.registry.ward WHERE {condition}");
            assert_eq!(client.value(&sql).await, count, "{sql}");
        }
        assert_eq!(client.value("SELECT count(beds) FROM north.registry.ward").await, "0");
        assert_eq!(client.value("SELECT sum(id) FROM (SELECT id FROM north.registry.ward LIMIT 1)").await, "1");
    }
    let asked = server.asked();
    let copied: Vec<&String> = asked.iter().filter(|asked| asked.contains("COPY")).collect();
    for (condition, _, crossing) in CONDITIONS {
        if let Some(crossing) = crossing {
            assert!(copied.iter().any(|sql| sql.contains(crossing)), "{condition} does not cross: {copied:#?}");
        }
    }
    assert!(copied.iter().any(|sql| sql.contains("LIMIT 1)")), "no limit crosses: {copied:#?}");
    for of_the_asker in ["4321", "doctor", "count(", "sum(", "beds\" I"] {
        let told = asked.iter().find(|sql| sql.contains(of_the_asker));
        assert!(told.is_none(), "the server is told of {of_the_asker}: {told:?}");
    }
}
