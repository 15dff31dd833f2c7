//! A regional table over sites that decide differently, and what is told of their decisions: in listings, by EXPLAIN, and to
//! somebody to whom nothing is granted.

use std::sync::Arc;

use arrow::array::AsArray;
use arrow::datatypes::Schema;
use arrow_flight::IpcMessage;
use arrow_flight::sql::CommandGetTables;
use harness::cluster::{Client, Cluster, Person, Written};

use super::federation::{assert_refused, eventually_value, governed, refusal, start, table};

const SHOWN: &str = "CREATE PURPOSE care;
    GRANT SELECT ON TABLE civil.people TO ROLE analyst FOR PURPOSE care WITH (id = 'people');";
const MASKED: &str = "CREATE PURPOSE care;
    GRANT SELECT ON TABLE civil.people TO ROLE analyst FOR PURPOSE care WITH (id = 'people');
    CREATE POLICY incomes ON TABLE civil.people COLUMN MASK hide COLUMNS (income) TO ALL;
    CREATE POLICY years ON TABLE civil.people COLUMN MASK truncate_to_year COLUMNS (born) TO ALL;
    CREATE POLICY elders ON TABLE civil.people ROW FILTER (age >= 40) TO ALL;";
const COUNT: &str = "SELECT count(*) FROM national.civil.people";

#[tokio::test(flavor = "multi_thread")]
async fn a_regional_table_has_what_each_of_its_sites_shows() {
    let policies = [("north", SHOWN), ("south", MASKED), ("east", SHOWN)];
    let mut governance = governed(&policies, Written::AsFiles);
    governance.users.push(Person::new("chief", "analyst").and("admin").holding("care"));
    let cluster = start(governance).await;
    let ana = cluster.user("ana").await;
    eventually_value(&ana, "SELECT count(DISTINCT region) FROM national.civil.people", "3").await;
    let columns = "SELECT column_name FROM information_schema.columns WHERE table_name = 'people' \
                   AND table_catalog = 'national'";
    let columns = table(&ana, columns, &["column_name"]).await.concat();
    assert_eq!(columns, ["age", "born", "id", "name", "region"], "income is hidden in the south");
    let hidden = refusal(&ana, "SELECT income FROM national.civil.people").await;
    let unknown = refusal(&ana, "SELECT outcom FROM national.civil.people").await;
    assert_eq!(hidden, unknown.replace("outcom", "income"));

    // 80 people live in the south, and those of them who are younger than 40 are hidden.
    let by_region = table(
        &ana,
        "SELECT region, CAST(count(*) AS VARCHAR) AS n, CAST(min(age) AS VARCHAR) AS youngest, \
         CAST(max(date_part('doy', born)) AS VARCHAR) AS latest FROM national.civil.people GROUP BY region",
        &["region", "n", "youngest", "latest"],
    )
    .await;
    assert_eq!(by_region[0][..2], ["east", "5"]);
    assert_eq!(by_region[1][..2], ["north", "120"]);
    assert_ne!(by_region[1][3], "1");
    assert_eq!(by_region[2][..1], ["south"]);
    assert_eq!(by_region[2][2..], ["40", "1"]);

    listings_mark_what_is_not_clear(&cluster, &ana).await;
    explain_names_the_policies_that_applied(&cluster, &ana).await;
    nothing_is_told_to_a_visitor(&cluster).await;
}

/// The tables of a catalog that GetTables lists, with their columns.
async fn listed(client: &Client, catalog: &str) -> Vec<(String, Arc<Schema>)> {
    let request = CommandGetTables {
        catalog: Some(catalog.to_string()),
        db_schema_filter_pattern: None,
        table_name_filter_pattern: None,
        table_types: vec![],
        include_schema: true,
    };
    let batches = client.collect(client.flight().get_tables(request).await.unwrap()).await;
    let mut tables = Vec::new();
    for batch in &batches {
        for row in 0..batch.num_rows() {
            let columns = batch.column(4).as_binary::<i32>().value(row).to_vec();
            let columns = Schema::try_from(IpcMessage(columns.into())).unwrap();
            tables.push((batch.column(2).as_string::<i32>().value(row).to_string(), Arc::new(columns)));
        }
    }
    tables
}

/// A column is marked alike in listings and in information_schema, at the site and through the coordinator.
async fn listings_mark_what_is_not_clear(cluster: &Cluster, ana: &Client) {
    let at_south = cluster.user_of_site("ana", "south").await;
    let years = Some("truncate_to_year");
    let places = [
        (ana, "north", None),
        (ana, "south", years),
        (&at_south, "south", years),
        (ana, "national", Some("clear or truncate_to_year")),
    ];
    for (client, catalog, form) in places {
        let tables = listed(client, catalog).await;
        assert_eq!(tables.len(), 1, "{catalog}: {tables:?}");
        for field in tables[0].1.fields() {
            let expected = form.filter(|_| field.name() == "born");
            let marked = |key: &str| field.metadata().get(key).cloned();
            assert_eq!(marked("chancery.form").as_deref(), expected, "{catalog}: {field}");
            assert_eq!(marked("ARROW:FLIGHT:SQL:REMARKS"), expected.map(|form| format!("seen as {form}")), "{catalog}");
            let others = ["TYPE_NAME", "PRECISION", "SCALE"].map(|key| format!("ARROW:FLIGHT:SQL:{key}"));
            let ours = field.metadata().keys().filter(|key| !others.contains(key)).count();
            assert_eq!(ours, if expected.is_some() { 2 } else { 0 }, "{catalog}: {field:?}");
        }
        let sql = format!("SELECT column_name, form FROM {catalog}.information_schema.columns WHERE form IS NOT NULL");
        let marked = table(client, &sql, &["column_name", "form"]).await;
        let expected: Vec<_> = form.iter().map(|form| vec!["born".to_string(), (*form).to_string()]).collect();
        assert_eq!(marked, expected, "{catalog}");
    }
}

/// At both doors by name and never by condition; the site's administrators see the condition there.
async fn explain_names_the_policies_that_applied(cluster: &Cluster, ana: &Client) {
    let sql = "EXPLAIN SELECT name, born FROM south.civil.people WHERE name <> 'x'";
    let expected =
        ["policy of south.civil.people", "grant people; rows filtered by elders; born: truncate_to_year by years"];
    for client in [ana, &cluster.user_of_site("ana", "south").await] {
        let told = table(client, sql, &["plan_type", "plan"]).await;
        assert!(told.contains(&expected.map(String::from).to_vec()), "{told:?}");
        let text = told.concat().concat();
        assert!(!text.contains("40") && !text.contains("age"), "{text}");
    }
    let to_the_chief = table(&cluster.user_of_site("chief", "south").await, sql, &["plan_type", "plan"]).await;
    assert!(to_the_chief.contains(&expected.map(String::from).to_vec()), "{to_the_chief:?}");
    assert!(to_the_chief.concat().concat().contains("40"), "{to_the_chief:?}");

    let of_regional = format!("EXPLAIN {COUNT}");
    let told = table(ana, &of_regional, &["plan_type"]).await.concat();
    let named: Vec<_> = told.iter().filter_map(|line| line.strip_prefix("policy of ")).collect();
    assert_eq!(named, ["east.civil.people", "north.civil.people", "south.civil.people"]);
}

/// Without a purpose and without a grant: no catalog, no table, and of the regional table what is told of one that is not.
async fn nothing_is_told_to_a_visitor(cluster: &Cluster) {
    let visitor = cluster.user("visitor").await;
    for catalog in ["north", "south", "east", "national"] {
        assert!(listed(&visitor, catalog).await.is_empty(), "{catalog}");
        assert_refused(&visitor, &format!("SELECT * FROM {catalog}.information_schema.columns"), "NOT_FOUND").await;
    }
    for of_all in ["tables", "columns"] {
        let sql = format!("SELECT DISTINCT table_catalog FROM system.information_schema.{of_all}");
        assert_eq!(table(&visitor, &sql, &["table_catalog"]).await.concat(), ["system"], "{of_all}");
    }
    let of_regional = refusal(&visitor, COUNT).await;
    assert!(of_regional.starts_with("PURPOSE: "), "{of_regional}");
    assert_eq!(refusal(&visitor, "SELECT count(*) FROM national.civil.nonsuch").await, of_regional);
    assert_eq!(refusal(&visitor, "SELECT count(*) FROM nowhere.civil.nonsuch").await, of_regional);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_regional_table_of_which_nothing_is_shown_is_not_there() {
    let nobody = SHOWN.replace("analyst", "registrar");
    let cluster =
        start(governed(&["north", "south", "east"].map(|site| (site, nobody.as_str())), Written::AsFiles)).await;
    let ana = cluster.user("ana").await;
    let unknown = refusal(&ana, "SELECT count(*) FROM national.civil.nonsuch").await;
    assert!(unknown.starts_with("NOT_FOUND: "), "{unknown}");
    assert_eq!(refusal(&ana, COUNT).await, unknown.replace("nonsuch", "people"));
    let tables = "SELECT table_catalog FROM information_schema.tables";
    assert!(!table(&ana, tables, &["table_catalog"]).await.concat().contains(&"national".to_string()));
}
