//! A site with a MariaDB source, asked through a coordinator: as any other table of the federation.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arrow::array::{Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use harness::cluster::{Cluster, Options};
use harness::dataset::Dataset;
use harness::mariadb::MariaDb;

/// A data set with a table of files at each of two sites.
pub(crate) fn dataset() -> Dataset {
    let mut dataset = Dataset::temporary().unwrap();
    let fields = vec![Field::new("code", DataType::Int64, true), Field::new("region", DataType::Utf8, true)];
    let schema = Arc::new(Schema::new(fields));
    let (codes, names) = (Int64Array::from(vec![1, 2]), StringArray::from(vec!["华北", "华东"]));
    let rows = RecordBatch::try_new(Arc::clone(&schema), vec![Arc::new(codes), Arc::new(names)]).unwrap();
    dataset.add(["south", "civil", "regions"], &schema, &[rows]).unwrap();
    let (codes, names) = (Int64Array::from(vec![9]), StringArray::from(vec!["x"]));
    let other = RecordBatch::try_new(Arc::clone(&schema), vec![Arc::new(codes), Arc::new(names)]).unwrap();
    dataset.add(["north", "files", "other"], &schema, &[other]).unwrap();
    dataset
}

/// The cluster over the data set, whose files last as long as it is kept.
async fn cluster(server: &MariaDb, dataset: &Dataset) -> Cluster {
    let mut registry = server.options();
    registry.insert("name".into(), "registry".into());
    registry.insert("kind".into(), "mysql".into());
    let options = Options { sources: vec![("north".to_string(), registry)], ..Options::default() };
    Cluster::start_with(dataset, options).await
}

const TABLES: &str = "
    CREATE TABLE people (id bigint PRIMARY KEY, name varchar(40), code bigint, born date, paid decimal(12, 2),
                         seen timestamp(3) NULL, points int unsigned);
    INSERT INTO people SELECT seq, CONCAT('name ', seq), seq % 3, DATE_ADD('2000-01-01', INTERVAL seq DAY), seq / 4.0,
                              '2024-02-29 04:00:00', seq FROM seq_1_to_5000;
    CREATE TABLE bad (day date); INSERT INTO bad VALUES ('0000-00-00');
    CREATE TABLE lefts (n bigint); CREATE TABLE rights (n bigint)";

#[tokio::test(flavor = "multi_thread")]
async fn a_coordinator_asks_a_site_over_mariadb() {
    let mut server = MariaDb::start().await;
    server.admin().await.run(TABLES).await;
    let dataset = dataset();
    let cluster = cluster(&server, &dataset).await;
    let client = cluster.client().await;
    assert_eq!(client.value("SELECT count(*) FROM north.registry.people").await, "5000");
    assert_eq!(client.value("SELECT sum(paid) FROM north.registry.people WHERE id BETWEEN 5 AND 8").await, "6.50");
    assert_eq!(
        client.value("SELECT max(seen) FROM north.registry.people WHERE name = 'name 7'").await,
        "2024-02-29T04:00:00Z"
    );
    let joined = "SELECT count(*) FROM north.registry.people p JOIN south.civil.regions r ON r.code = p.code \
                  WHERE r.region = '华东'";
    assert_eq!(client.value(joined).await, "1667");
    let log = server.log();
    assert!(
        log.contains("SUM(\"t0\".\"paid\")") && log.contains("(\"t0\".\"id\" >= 5)"),
        "the server made the sum: {log}"
    );
    assert!(log.contains("(\"t0\".\"name\" = ('name 7'))"), "the filter reached the server");

    let error = client.query("SELECT day FROM north.registry.bad").await.unwrap_err();
    assert!(error.starts_with("SITE_UNAVAILABLE"), "{error}");
    assert!(!error.contains("0000") && !error.contains("date"), "{error}");
    server.stop();
    let error = client.query("SELECT count(name) FROM north.registry.people").await.unwrap_err();
    assert!(error.starts_with("SITE_UNAVAILABLE") || error.starts_with("NOT_FOUND"), "{error}");
    server.restart().await;
    assert_eq!(client.value("SELECT count(name) FROM north.registry.people").await, "5000");
}

/// A writer always adds to both tables at once; no statement sees one without the other.
#[tokio::test(flavor = "multi_thread")]
async fn a_statement_sees_one_moment_of_the_database() {
    let server = MariaDb::start().await;
    server.admin().await.run(TABLES).await;
    let dataset = dataset();
    let cluster = cluster(&server, &dataset).await;
    let client = cluster.client().await;
    let writer = server.admin().await;
    let is_done = AtomicBool::new(false);
    let writing = async {
        let mut written = 0;
        while !is_done.load(Ordering::Relaxed) {
            writer
                .run(&format!(
                    "START TRANSACTION; INSERT INTO lefts VALUES ({written}); INSERT INTO rights VALUES ({written}); COMMIT"
                ))
                .await;
            written += 1;
        }
        written
    };
    let reading = async {
        let alone = "SELECT count(*) FROM north.registry.lefts l FULL JOIN north.registry.rights r ON l.n = r.n \
                     WHERE l.n IS NULL OR r.n IS NULL";
        for _ in 0..40 {
            assert_eq!(client.value(alone).await, "0", "a row of one table without that of the other");
        }
        is_done.store(true, Ordering::Relaxed);
    };
    let (written, ()) = tokio::join!(writing, reading);
    assert!(written > 40, "the writer was at work: {written}");
}
