//! What a source says of its tables: which they are, their columns and types, and how many rows they may have.

use connectors::{ConnectorError, ErrorKind};
use datafusion::common::stats::Precision;
use harness::source::{foreign_keys, ours, rows, session};
use harness::sqlite::SqliteFile;

use super::source;

const TABLES: &str = "
    CREATE TABLE plain (id INTEGER PRIMARY KEY, n INTEGER NOT NULL, name TEXT, \"a \"\"b\" BLOB, x);
    CREATE TABLE keyed (code TEXT, part INT, v REAL, PRIMARY KEY (code, part)) WITHOUT ROWID;
    CREATE TABLE strict (n INTEGER, s TEXT, d REAL, b BLOB, a ANY) STRICT;
    CREATE TABLE computed (w REAL, h REAL, area REAL AS (w * h) STORED, double INTEGER GENERATED ALWAYS AS (w * 2) VIRTUAL);
    CREATE TABLE backwards (id INTEGER PRIMARY KEY DESC, v TEXT);
    CREATE TABLE taken (rowid TEXT, _rowid_ TEXT, oid TEXT);
    CREATE VIEW seen AS SELECT id, name, CAST(n AS REAL) AS r, n + 1 AS more FROM plain;
    CREATE VIEW broken AS SELECT gone FROM nowhere;
    CREATE TABLE \"客户\" (\"名\" VARCHAR(20));
    CREATE TABLE counted (n INTEGER PRIMARY KEY AUTOINCREMENT);
    CREATE VIRTUAL TABLE words USING fts5(body);
    INSERT INTO plain SELECT value, value, 'name ' || value, x'00', value FROM generate;";

/// The shell's series, which the library does not have.
fn tables() -> String {
    let series = "(WITH RECURSIVE s(value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM s WHERE value < 1000) SELECT value FROM s)";
    TABLES.replace("generate", series)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_table_and_view_is_listed() {
    let file = SqliteFile::with(&tables());
    let listed = source(&file, "").await.tables().await.unwrap();
    let names: Vec<&str> = listed.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        names,
        ["backwards", "broken", "computed", "counted", "keyed", "plain", "seen", "strict", "taken", "客户"],
        "neither virtual tables and their shadows nor what SQLite keeps for itself"
    );
    let described = listed.iter().filter_map(|(name, table)| table.as_ref().ok().map(|table| (name, table)));
    let views: Vec<&String> = described.filter(|(_, table)| table.is_view).map(|(name, _)| name).collect();
    assert_eq!(views, ["seen"]);
    let fault = listed.iter().find(|(name, _)| name == "broken").unwrap().1.as_ref().unwrap_err();
    assert!(matches!(fault, ConnectorError::InvalidData { .. }), "{fault:?}");
    assert!(fault.to_string().starts_with("table `broken`: ") && !fault.to_string().contains("nowhere"), "{fault}");
    let some = source(&file, "tables = ['seen', 'Plain']").await;
    let listed: Vec<(String, bool)> =
        some.tables().await.unwrap().into_iter().map(|(name, table)| (name, table.is_ok())).collect();
    assert_eq!(listed, [("Plain".to_string(), false), ("seen".to_string(), true)], "names are compared exactly");
    for name in ["plain", "Seen", "SEEN", "sqlite_schema", "sqlite_sequence", "words", "words_data", ""] {
        assert_eq!(some.table(name).await.unwrap_err().kind(), ErrorKind::NotFound, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn primary_keys_are_told() {
    let file = SqliteFile::with(&tables());
    let source = source(&file, "").await;
    for (table, key) in
        [("plain", ["id"].as_slice()), ("keyed", &["code", "part"]), ("backwards", &[]), ("strict", &[]), ("seen", &[])]
    {
        assert_eq!(source.table(table).await.unwrap().description.primary_key, key, "{table}");
    }
}

/// As they are declared, in the names that tables and columns have; none that refers to what is not there.
#[tokio::test(flavor = "multi_thread")]
async fn foreign_keys_are_told() {
    let file = SqliteFile::with(
        "CREATE TABLE Parent (Id INTEGER PRIMARY KEY, Code TEXT UNIQUE);
         CREATE TABLE two (a INT, b INT, PRIMARY KEY (b, a));
         CREATE VIEW seen AS SELECT Id FROM Parent;
         CREATE TABLE child (n INT REFERENCES parent ON DELETE CASCADE, up INT REFERENCES child (n),
             code TEXT REFERENCES PARENT (code) ON UPDATE SET NULL ON DELETE SET DEFAULT, x INT, y INT,
             g INT REFERENCES gone, h INT REFERENCES parent (gone), s INT REFERENCES seen (id),
             FOREIGN KEY (x, y) REFERENCES two, FOREIGN KEY (y, x) REFERENCES two (a, gone))",
    );
    let source = source(&file, "").await;
    for (table, keys) in [
        (
            "child",
            [
                "n -> Parent(Id) NO ACTION CASCADE",
                "up -> child(n) NO ACTION NO ACTION",
                "code -> Parent(Code) SET NULL SET DEFAULT",
                "x, y -> two(b, a) NO ACTION NO ACTION",
            ]
            .as_slice(),
        ),
        ("two", &[]),
        ("seen", &[]),
    ] {
        assert_eq!(foreign_keys(&source.table(table).await.unwrap().description), keys, "{table}");
    }
}

async fn columns(file: &SqliteFile, table: &str) -> String {
    let description = source(file, "").await.table(table).await.unwrap().description;
    let column = |field: &arrow::datatypes::FieldRef| {
        let null = if field.is_nullable() { "" } else { " not null" };
        format!("{} {}{null}", field.name(), field.data_type())
    };
    description.schema.fields().iter().map(column).collect::<Vec<_>>().join(", ")
}

#[tokio::test(flavor = "multi_thread")]
async fn columns_are_as_they_were_declared() {
    let file = SqliteFile::with(&tables());
    for (table, expect) in [
        ("plain", "id Int64 not null, n Int64 not null, name Utf8, a \"b Binary, x Utf8"),
        ("keyed", "code Utf8 not null, part Int64 not null, v Float64"),
        ("strict", "n Int64, s Utf8, d Float64, b Binary, a Utf8"),
        ("computed", "w Float64, h Float64, area Float64, double Int64"),
        ("backwards", "id Int64, v Utf8"),
        ("客户", "名 Utf8"),
        ("counted", "n Int64 not null"),
    ] {
        assert_eq!(columns(&file, table).await, expect, "{table}");
    }
    // Of an expression SQLite keeps what CAST says, and else no more than whether it is text or a number.
    let seen = columns(&file, "seen").await;
    assert!(seen.starts_with("id Int64, name Utf8, r Float64, more "), "{seen}");
    let ctx = session(&source(&file, "").await, &["computed", "seen", "backwards"]).await;
    file.run("INSERT INTO computed (w, h) VALUES (1.5, 2); INSERT INTO backwards (v) VALUES ('no number')");
    assert_eq!(rows(&ctx, "SELECT area, double FROM computed WHERE area = 3.0").await.unwrap(), "3.0|3");
    assert_eq!(rows(&ctx, "SELECT r FROM seen WHERE name = 'name 7'").await.unwrap(), "7.0");
    assert_eq!(
        rows(&ctx, "SELECT id IS NULL FROM backwards").await.unwrap(),
        "true",
        "a key that is not the row's number"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn row_counts_are_estimates() {
    let file = SqliteFile::with(&tables());
    let counted =
        async |table: &str| source(&file, "").await.table(table).await.unwrap().description.statistics.num_rows;
    assert_eq!(counted("plain").await, Precision::Inexact(1_000), "as many as numbers");
    assert_eq!(counted("strict").await, Precision::Absent, "there is none");
    assert_eq!(counted("seen").await, Precision::Absent);
    assert_eq!(counted("keyed").await, Precision::Absent);
    file.run("INSERT INTO strict (rowid, n) VALUES (1, 1), (9223372036854775807, 2)");
    assert_eq!(counted("strict").await, Precision::Absent, "no file has room for so many");
    file.run("INSERT INTO keyed VALUES ('a', 1, 1), ('a', 2, 1), ('b', 1, 1); DELETE FROM plain WHERE n > 10; ANALYZE");
    assert_eq!(counted("plain").await, Precision::Inexact(10));
    assert_eq!(counted("keyed").await, Precision::Inexact(3));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_is_never_read_under_the_columns_of_another() {
    let file = SqliteFile::new();
    let first = "CREATE TABLE t (n INTEGER, name TEXT); INSERT INTO t VALUES (1, 'a')";
    for (change, is_another) in [
        ("ALTER TABLE t ADD COLUMN more TEXT", true),
        ("ALTER TABLE t ADD COLUMN more TEXT; ALTER TABLE t DROP COLUMN more", false),
        ("ALTER TABLE t RENAME COLUMN name TO label", true),
        ("DROP TABLE t; CREATE TABLE t (n TEXT, name TEXT); INSERT INTO t VALUES ('1', 'a')", true),
        ("DROP TABLE t; CREATE TABLE t (n INTEGER, name TEXT); INSERT INTO t VALUES (1, 'a')", false),
        ("DROP TABLE t; CREATE TABLE t (n INTEGER, name TEXT) STRICT; INSERT INTO t VALUES (1, 'a')", true),
        ("CREATE INDEX by_name ON t (name)", false),
        ("ALTER TABLE t RENAME TO s; CREATE VIEW t AS SELECT n, name FROM s", true),
        ("DROP TABLE t", true),
    ] {
        file.run(first);
        let source = source(&file, "").await;
        let before = source.table("t").await.unwrap().description.version.clone();
        let ctx = session(&source, &["t"]).await;
        file.run(change);
        let now = source.table("t").await.map(|table| table.description.version.clone());
        assert_eq!(now.ok() != Some(before), is_another, "{change}");
        for sql in ["SELECT n, name FROM t", "SELECT count(*) FROM t WHERE name = 'a' GROUP BY name"] {
            match rows(&ctx, sql).await {
                Ok(came) => assert!(!is_another && (came == "1|a" || came == "1"), "{change}: {came}"),
                Err(error) => {
                    assert!(
                        is_another && matches!(ours(&error), ConnectorError::Changed { .. }),
                        "{change}: {error:?}"
                    );
                }
            }
        }
        file.run("DROP TABLE IF EXISTS s");
        let kind = file.connection().query_row("SELECT type FROM sqlite_schema WHERE name = 't'", [], |row| row.get(0));
        if let Ok::<String, _>(kind) = kind {
            file.run(&format!("DROP {kind} t"));
        }
    }
}
