//! A site with a SQLite source, asked through a coordinator: as any other table of the federation.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arrow::array::{Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use arrow_flight::sql::{CommandGetCrossReference, CommandGetExportedKeys, CommandGetImportedKeys, CommandGetTables};
use harness::cluster::{Client, Cluster, Options};
use harness::dataset::Dataset;
use harness::source::lines;
use harness::sqlite::SqliteFile;

/// A data set with a table of files at each of two sites.
pub(crate) fn dataset() -> Dataset {
    let mut dataset = Dataset::temporary().unwrap();
    let fields = vec![Field::new("code", DataType::Int64, true), Field::new("region", DataType::Utf8, true)];
    let schema = Arc::new(Schema::new(fields));
    for (site, source, name) in [("south", "civil", "regions"), ("north", "files", "other")] {
        let (codes, names) = (Int64Array::from(vec![1, 2]), StringArray::from(vec!["华北", "华东"]));
        let rows = RecordBatch::try_new(Arc::clone(&schema), vec![Arc::new(codes), Arc::new(names)]).unwrap();
        dataset.add([site, source, name], &schema, &[rows]).unwrap();
    }
    dataset
}

const TABLES: &str = "
    CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT, code INTEGER, born DATE, paid DECIMAL(12, 2), seen TIMESTAMPTZ);
    INSERT INTO people WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < 5000)
        SELECT n, 'name ' || n, n % 3, date('2000-01-01', n || ' days'), n / 4.0, '2024-02-29 12:00:00+08:00' FROM s;
    CREATE TABLE bad (day DATE); INSERT INTO bad VALUES ('a secret');
    CREATE TABLE lefts (n INTEGER); CREATE TABLE rights (n INTEGER)";

async fn cluster(file: &SqliteFile, dataset: &Dataset) -> Cluster {
    let options = Options { sources: vec![("north".to_string(), file.source("registry"))], ..Options::default() };
    Cluster::start_with(dataset, options).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_coordinator_asks_a_site_over_sqlite() {
    let (file, dataset) = (SqliteFile::with(TABLES), dataset());
    let cluster = cluster(&file, &dataset).await;
    let client = cluster.client().await;
    assert_eq!(client.value("SELECT count(*) FROM north.registry.people").await, "5000");
    assert_eq!(client.value("SELECT sum(paid) FROM north.registry.people WHERE id BETWEEN 5 AND 8").await, "6.50");
    assert_eq!(client.value("SELECT max(born) FROM north.registry.people WHERE code = 1").await, "2013-09-08");
    assert_eq!(
        client.value("SELECT max(seen) FROM north.registry.people WHERE name = 'name 7'").await,
        "2024-02-29T04:00:00Z"
    );
    let joined = "SELECT count(*) FROM north.registry.people p JOIN south.civil.regions r ON r.code = p.code \
                  WHERE r.region = '华东'";
    assert_eq!(client.value(joined).await, "1667");
    let error = client.query("SELECT day FROM north.registry.bad").await.unwrap_err();
    assert!(error.starts_with("SITE_UNAVAILABLE"), "{error}");
    assert!(!error.contains("secret") && !error.to_lowercase().contains("sqlite"), "{error}");
    let aside = file.path().with_extension("aside");
    std::fs::rename(file.path(), &aside).unwrap();
    let error = client.query("SELECT count(name) FROM north.registry.people").await.unwrap_err();
    assert!(error.starts_with("SITE_UNAVAILABLE") || error.starts_with("NOT_FOUND"), "{error}");
    assert!(!error.contains(file.path().to_str().unwrap()), "{error}");
    std::fs::rename(&aside, file.path()).unwrap();
    assert_eq!(client.value("SELECT count(name) FROM north.registry.people").await, "5000");
}

/// Dates that one table keeps as numbers and the other as text are equal, and so are they in a subtree that the file itself
/// could answer.
#[tokio::test(flavor = "multi_thread")]
async fn dates_in_two_forms_are_joined() {
    let file = SqliteFile::with(
        "CREATE TABLE born (id INTEGER PRIMARY KEY, day DATE); CREATE TABLE days (day DATE, name TEXT);
         INSERT INTO born VALUES (1, 1709164800), (2, '2024-02-29'), (3, '2024-03-01');
         INSERT INTO days VALUES ('2024-02-29', 'leap'), (1709251200, 'first')",
    );
    let mut source = file.source("registry");
    source.insert("epoch".into(), "seconds".into());
    let options = Options { sources: vec![("north".to_string(), source)], ..Options::default() };
    let dataset = dataset();
    let cluster = Cluster::start_with(&dataset, options).await;
    let client = cluster.client().await;
    let joined = "FROM north.registry.born b JOIN north.registry.days d ON d.day = b.day";
    assert_eq!(client.value(&format!("SELECT count(*) {joined}")).await, "3");
    assert_eq!(client.value(&format!("SELECT count(*) {joined} WHERE d.name = 'leap'")).await, "2");
    let since = "FROM north.registry.born WHERE day >= DATE '2024-01-01'";
    assert_eq!(client.value(&format!("SELECT count(*) {since}")).await, "3");
    assert_eq!(client.value(&format!("SELECT max(id) {since} AND day < DATE '2024-03-01'")).await, "2");
}

/// A writer always adds to both tables at once; no statement sees one without the other.
#[tokio::test(flavor = "multi_thread")]
async fn a_statement_sees_one_moment_of_the_file() {
    for mode in ["WAL", "DELETE"] {
        let (file, dataset) = (SqliteFile::with(&format!("PRAGMA journal_mode = {mode}; {TABLES}")), dataset());
        let cluster = cluster(&file, &dataset).await;
        let client = cluster.client().await;
        let is_done = Arc::new(AtomicBool::new(false));
        let (writer, done) = (file.connection(), Arc::clone(&is_done));
        let writing = std::thread::spawn(move || {
            let mut written = 0;
            while !done.load(Ordering::Relaxed) {
                let add = format!(
                    "BEGIN; INSERT INTO lefts VALUES ({written}); INSERT INTO rights VALUES ({written}); COMMIT"
                );
                // With a rollback journal it may wait for readers in vain: then nothing was added. And without a pause
                // readers would wait for it in vain.
                match writer.execute_batch(&add) {
                    Ok(()) => written += 1,
                    Err(_) => drop(writer.execute_batch("ROLLBACK")),
                }
                std::thread::sleep(Duration::from_millis(5));
            }
            written
        });
        // Not a join that one statement of the database could answer: upper is not on the list.
        let alone = "SELECT count(*) FROM (SELECT upper(CAST(n AS VARCHAR)) AS n FROM north.registry.lefts) l \
                     FULL JOIN (SELECT upper(CAST(n AS VARCHAR)) AS n FROM north.registry.rights) r ON l.n = r.n \
                     WHERE l.n IS NULL OR r.n IS NULL";
        for _ in 0..30 {
            assert_eq!(client.value(alone).await, "0", "{mode}: a row of one table without that of the other");
        }
        is_done.store(true, Ordering::Relaxed);
        let written = writing.join().unwrap();
        assert!(written > 10, "{mode}: the writer was at work: {written}");
    }
}

/// At both doors, by every listing.
#[tokio::test(flavor = "multi_thread")]
async fn views_are_told_from_tables() {
    let file =
        SqliteFile::with("CREATE TABLE people (id INTEGER, name TEXT); CREATE VIEW seen AS SELECT id FROM people");
    let dataset = dataset();
    let cluster = cluster(&file, &dataset).await;
    for client in [cluster.client().await, cluster.client_of_site("north").await] {
        for (table_type, expected) in [("BASE TABLE", "people"), ("VIEW", "seen")] {
            let request = CommandGetTables {
                catalog: Some("north".to_string()),
                db_schema_filter_pattern: Some("registry".to_string()),
                table_name_filter_pattern: None,
                table_types: vec![table_type.to_string()],
                include_schema: false,
            };
            let listed = client.collect(client.flight().get_tables(request).await.unwrap()).await;
            assert_eq!(lines(&listed), format!("north|registry|{expected}|{table_type}"));
        }
        for (sql, expected) in [
            (
                "SELECT table_name, table_type FROM north.information_schema.tables \
                 WHERE table_schema = 'registry' ORDER BY 1",
                "people|BASE TABLE\nseen|VIEW",
            ),
            ("SELECT table_name FROM north.information_schema.views WHERE table_schema = 'registry'", "seen"),
            ("SHOW TABLES FROM north.registry", "north|registry|people|BASE TABLE|NULL\nnorth|registry|seen|VIEW|NULL"),
        ] {
            assert_eq!(lines(&client.query(sql).await.unwrap().batches), expected, "{sql}");
        }
    }
}

/// What GetImportedKeys tells of a table of `north.registry`, a line for each column.
pub(crate) async fn imported_keys(client: &Client, table: &str) -> String {
    let (catalog, db_schema) = (Some("north".to_string()), Some("registry".to_string()));
    let request = CommandGetImportedKeys { catalog, db_schema, table: table.to_string() };
    lines(&client.collect(client.flight().get_imported_keys(request).await.unwrap()).await)
}

/// Likewise, of those that refer to it.
async fn exported_keys(client: &Client, table: &str) -> String {
    let request = CommandGetExportedKeys { catalog: None, db_schema: None, table: table.to_string() };
    lines(&client.collect(client.flight().get_exported_keys(request).await.unwrap()).await)
}

/// Likewise, of those of one table that refer to another.
async fn cross_reference(client: &Client, from: &str, to: &str) -> String {
    let request = CommandGetCrossReference {
        pk_catalog: Some("north".to_string()),
        pk_db_schema: None,
        pk_table: to.to_string(),
        fk_catalog: None,
        fk_db_schema: Some("registry".to_string()),
        fk_table: from.to_string(),
    };
    lines(&client.collect(client.flight().get_cross_reference(request).await.unwrap()).await)
}

/// At both doors, by every listing that has them, in the order of the protocol.
#[tokio::test(flavor = "multi_thread")]
async fn foreign_keys_are_told() {
    let file = SqliteFile::with(
        "CREATE TABLE ward (id INTEGER PRIMARY KEY, code TEXT UNIQUE);
         CREATE TABLE floor (house INT, level INT, PRIMARY KEY (house, level)) WITHOUT ROWID;
         CREATE TABLE stay (id INTEGER PRIMARY KEY, ward INT REFERENCES ward ON DELETE CASCADE,
             code TEXT REFERENCES ward (code) ON UPDATE SET NULL, house INT, level INT,
             FOREIGN KEY (level, house) REFERENCES floor (level, house))",
    );
    let dataset = dataset();
    let cluster = cluster(&file, &dataset).await;
    let to_floor = "north|registry|floor|level|north|registry|stay|level|1|stay_level_house_fkey|floor_pkey|3|3\n\
                    north|registry|floor|house|north|registry|stay|house|2|stay_level_house_fkey|floor_pkey|3|3";
    let to_ward = "north|registry|ward|code|north|registry|stay|code|1|stay_code_fkey|NULL|2|3\n\
                   north|registry|ward|id|north|registry|stay|ward|1|stay_ward_fkey|ward_pkey|3|0";
    for client in [cluster.client().await, cluster.client_of_site("north").await] {
        assert_eq!(imported_keys(&client, "stay").await, format!("{to_floor}\n{to_ward}"));
        assert_eq!(imported_keys(&client, "ward").await, "");
        assert_eq!(exported_keys(&client, "ward").await, to_ward);
        assert_eq!(exported_keys(&client, "stay").await, "");
        assert_eq!(cross_reference(&client, "stay", "floor").await, to_floor);
        assert_eq!(cross_reference(&client, "ward", "stay").await, "");
        for (sql, expected) in [
            (
                "SELECT constraint_name, table_name, constraint_type \
                 FROM north.information_schema.table_constraints ORDER BY 1",
                "floor_pkey|floor|PRIMARY KEY\nstay_code_fkey|stay|FOREIGN KEY\n\
                 stay_level_house_fkey|stay|FOREIGN KEY\nstay_pkey|stay|PRIMARY KEY\n\
                 stay_ward_fkey|stay|FOREIGN KEY\nward_pkey|ward|PRIMARY KEY",
            ),
            (
                "SELECT constraint_name, unique_constraint_name, update_rule, delete_rule \
                 FROM north.information_schema.referential_constraints ORDER BY 1",
                "stay_code_fkey|NULL|SET NULL|NO ACTION\nstay_level_house_fkey|floor_pkey|NO ACTION|NO ACTION\n\
                 stay_ward_fkey|ward_pkey|NO ACTION|CASCADE",
            ),
            (
                "SELECT constraint_name, column_name, ordinal_position, position_in_unique_constraint, \
                        referenced_table_name, referenced_column_name \
                 FROM north.information_schema.key_column_usage WHERE table_name = 'stay' ORDER BY 1, 3",
                "stay_code_fkey|code|1|1|ward|code\nstay_level_house_fkey|level|1|2|floor|level\n\
                 stay_level_house_fkey|house|2|1|floor|house\nstay_pkey|id|1|NULL|NULL|NULL\n\
                 stay_ward_fkey|ward|1|1|ward|id",
            ),
        ] {
            assert_eq!(lines(&client.query(sql).await.unwrap().batches), expected, "{sql}");
        }
    }
}
