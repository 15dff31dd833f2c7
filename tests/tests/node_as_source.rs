//! Another node of Chancery as a source of a site: its door is a Flight SQL server like any other.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use connectors::{ConnectorError, ErrorKind, Source};
use datafusion::prelude::SessionContext;
use harness::cluster::{Cluster, Governance, Options, Person, USER};
use harness::dataset::Dataset;
use tempfile::TempDir;

const POLICY: &str = "CREATE PURPOSE care;
    GRANT SELECT ON SCHEMA civil TO ROLE analyst FOR PURPOSE care;
    CREATE POLICY here ON TABLE civil.people ROW FILTER (region = 'north') TO ROLE analyst;
    CREATE POLICY names ON TABLE civil.people COLUMN MASK show_first(1) COLUMNS (name) TO ROLE analyst;";

/// A thousand people at one site, and a region at another.
fn dataset() -> Dataset {
    let mut dataset = Dataset::temporary().unwrap();
    let ids = || 0..1_000_i64;
    let region = |n: i64| if n % 4 == 0 { "north" } else { "south" };
    let people: [(&str, ArrayRef); 3] = [
        ("id", Arc::new(Int64Array::from_iter_values(ids()))),
        ("name", Arc::new(StringArray::from_iter_values(ids().map(|n| format!("{n} SECRET"))))),
        ("region", Arc::new(StringArray::from_iter_values(ids().map(region)))),
    ];
    let people = RecordBatch::try_from_iter(people).unwrap();
    dataset.add(["far", "civil", "people"], &people.schema(), &[people]).unwrap();
    dataset
}

fn options(url: &str, secret: &Path, user: &str, more: &str) -> toml::Table {
    let file = secret.join(format!("{user}.password"));
    fs::write(&file, user).unwrap();
    let text = format!(
        "url = '{url}'\nuser = '{user}'\npassword_file = '{}'\ncatalog = 'far'\nschema = 'civil'\nengine = 'datafusion'\n{more}",
        file.display()
    );
    text.parse().unwrap()
}

async fn open(options: toml::Table) -> Arc<dyn Source> {
    connectors::registry::open("flight_sql", "far", options, Path::new("/")).await.unwrap()
}

async fn value(source: &Arc<dyn Source>, sql: &str) -> Result<String, ConnectorError> {
    let ctx = SessionContext::new();
    ctx.register_table("people", source.table("people").await?.provider).unwrap();
    let batches = ctx.sql(sql).await.unwrap().collect().await.unwrap();
    Ok(arrow::util::display::array_value_to_string(batches[0].column(0), 0).unwrap())
}

/// A federation over another: the site `near` has the other's coordinator as one source and its site's own door as another.
#[tokio::test(flavor = "multi_thread")]
async fn a_federation_is_a_source_of_another_one() {
    let (far_data, secret) = (dataset(), TempDir::new().unwrap());
    let mut far = Cluster::start(&far_data).await;
    let through_coordinator = options(&format!("grpc://{}", far.address()), secret.path(), USER, "");
    let port = far.site("far").address().rsplit_once(':').unwrap().1.to_string();
    let authority = format!("tls_ca = '{}'", far.authority().display());
    let at_the_site = options(&format!("grpc+tls://localhost:{port}"), secret.path(), USER, &authority);

    let mut near_data = Dataset::temporary().unwrap();
    let regions: [(&str, ArrayRef); 1] = [("region", Arc::new(StringArray::from(vec!["north"])))];
    let regions = RecordBatch::try_from_iter(regions).unwrap();
    near_data.add(["near", "files", "regions"], &regions.schema(), &[regions]).unwrap();
    let named = |name: &str, mut options: toml::Table| {
        options.insert("name".into(), name.into());
        options.insert("kind".into(), "flight_sql".into());
        ("near".to_string(), options)
    };
    let sources = vec![named("by_coordinator", through_coordinator), named("by_site", at_the_site)];
    let near = Cluster::start_with(&near_data, Options { sources, ..Options::default() }).await;
    let client = near.client().await;
    for source in ["by_coordinator", "by_site"] {
        let count = format!(
            "SELECT count(*) FROM near.{source}.people p JOIN near.files.regions r ON r.region = p.region WHERE p.id < 100"
        );
        assert_eq!(client.value(&count).await, "25");
        let grouped =
            format!("SELECT max(n) FROM (SELECT region, count(*) AS n FROM near.{source}.people GROUP BY region)");
        assert_eq!(client.value(&grouped).await, "750");
    }
    let asked = far.client().await.query("SELECT statement FROM system.queries.recent").await.unwrap();
    let asked = format!("{:?}", asked.batches);
    assert!(asked.contains("GROUP BY"), "the other federation grouped: {asked}");
    // A session of a node that has been killed is none any more; the source signs in anew.
    far.kill_site("far");
    let error = client.query("SELECT count(name) FROM near.by_site.people").await.unwrap_err();
    assert!(error.starts_with("SITE_UNAVAILABLE") || error.starts_with("NOT_FOUND"), "{error}");
    far.restart_site("far");
    assert_eq!(client.value("SELECT count(name) FROM near.by_site.people").await, "1000");
}

/// What the other node's policy does not show is not there, whatever is pushed to it.
#[tokio::test(flavor = "multi_thread")]
async fn the_other_nodes_policy_holds_for_the_purpose_that_is_sent() {
    let (data, secret) = (dataset(), TempDir::new().unwrap());
    let governance = Governance {
        users: vec![Person::new("ana", "analyst").holding("care"), Person::administrator()],
        policies: [("far".to_string(), POLICY.to_string())].into(),
        ..Governance::default()
    };
    let far = Cluster::start_with(&data, Options { governance: Some(governance), ..Options::default() }).await;
    let url = format!("grpc://{}", far.address());
    let source = open(options(&url, secret.path(), "ana", "headers = { x-chancery-purpose = 'care' }")).await;
    assert_eq!(value(&source, "SELECT count(*) FROM people").await.unwrap(), "250");
    assert_eq!(value(&source, "SELECT max(name) FROM people").await.unwrap(), "9");
    assert_eq!(value(&source, "SELECT count(*) FROM people WHERE name = '8 SECRET'").await.unwrap(), "0");
    assert_eq!(value(&source, "SELECT count(*) FROM people WHERE id BETWEEN 1 AND 3").await.unwrap(), "0");
    let for_another = open(options(&url, secret.path(), "ana", "headers = { x-chancery-purpose = 'sales' }")).await;
    let refused = for_another.tables().await.map(|tables| tables.len());
    assert!(
        matches!(refused, Ok(0) | Err(ConnectorError::Unavailable { .. } | ConnectorError::Forbidden { .. })),
        "{refused:?}"
    );
    let mut as_a_stranger = options(&url, secret.path(), "ana", "");
    as_a_stranger.insert("user".into(), "eve".into());
    let refused = open(as_a_stranger).await.tables().await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Unauthenticated, "{refused:?}");
}
