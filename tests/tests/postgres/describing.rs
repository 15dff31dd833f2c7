//! What a source says of its tables, and what of it a change takes back.

use arrow::datatypes::DataType;
use connectors::{ConnectorError, ErrorKind};
use datafusion::common::ScalarValue;
use datafusion::common::stats::Precision;
use harness::postgres::{Admin, Postgres};
use harness::source::{foreign_keys, ours, rows, session};

use super::source;

async fn names(source: &std::sync::Arc<dyn connectors::Source>) -> Vec<String> {
    source.tables().await.unwrap().into_iter().map(|(name, _)| name).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_table_that_may_be_read_is_listed() {
    let server = Postgres::start().await;
    let admin = server.admin().await;
    admin
        .run(
            "CREATE TABLE plain (id int8 PRIMARY KEY, note text); COMMENT ON TABLE plain IS 'Residents';
             COMMENT ON COLUMN plain.note IS 'in their own words';
             CREATE VIEW seen AS SELECT id FROM plain; CREATE MATERIALIZED VIEW kept AS SELECT id FROM plain;
             CREATE TABLE parted (day date NOT NULL, n int4) PARTITION BY RANGE (day);
             CREATE TABLE parted_2024 PARTITION OF parted FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
             CREATE TABLE \"客户\" (\"名\"\"x\" varchar(10)); INSERT INTO \"客户\" VALUES ('北');
             CREATE TABLE closed (id int4); CREATE SEQUENCE counter; CREATE INDEX by_note ON plain (note);
             CREATE SCHEMA other; CREATE TABLE other.elsewhere (id int4);
             INSERT INTO parted VALUES ('2024-02-29', 1);
             REVOKE pg_read_all_data FROM reader; GRANT USAGE ON SCHEMA public TO reader;
             GRANT SELECT ON plain, seen, kept, parted, parted_2024, \"客户\" TO reader",
        )
        .await;
    let all = source(&server, "").await;
    assert_eq!(names(&all).await, ["kept", "parted", "plain", "seen", "客户"]);
    let plain = all.table("plain").await.unwrap().description;
    assert_eq!(plain.comment.as_deref(), Some("Residents"));
    assert_eq!(plain.column_comments, [("note".to_string(), "in their own words".to_string())].into());
    let nullable: Vec<bool> = plain.schema.fields().iter().map(|field| field.is_nullable()).collect();
    assert_eq!(nullable, [false, true]);
    assert!(all.table("seen").await.unwrap().description.schema.field(0).is_nullable());
    for (table, is_view) in [("seen", true), ("kept", true), ("plain", false), ("parted", false)] {
        assert_eq!(all.table(table).await.unwrap().description.is_view, is_view, "{table}");
    }
    for hidden in ["closed", "elsewhere", "counter", "by_note", "parted_2024", "pl\0ain"] {
        let error = all.table(hidden).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound, "{hidden}: {error}");
    }
    let ctx = session(&all, &["parted", "客户"]).await;
    assert_eq!(rows(&ctx, "SELECT * FROM parted").await.unwrap(), "2024-02-29|1");
    assert_eq!(rows(&ctx, "SELECT \"名\"\"x\" FROM \"客户\" WHERE \"名\"\"x\" = '北'").await.unwrap(), "北");
    let some = source(&server, "tables = ['parted_2024', 'plain', 'gone']").await;
    assert_eq!(names(&some).await, ["gone", "parted_2024", "plain"]);
    let listed = some.tables().await.unwrap();
    assert!(matches!(&listed[0].1, Err(ConnectorError::TableNotFound { table }) if table == "gone"));
    assert_eq!(some.table("seen").await.unwrap_err().kind(), ErrorKind::NotFound);
}

/// In the key's order, without what an index only carries along, and only where the table itself holds every row to it.
#[tokio::test(flavor = "multi_thread")]
async fn primary_keys_are_told() {
    let server = Postgres::start().await;
    server
        .admin()
        .await
        .run(
            "CREATE TABLE two (n int4, b text, a int4, PRIMARY KEY (b, a) INCLUDE (n)); CREATE TABLE none (a int4 UNIQUE);
             CREATE TABLE parent (a int4 PRIMARY KEY); CREATE TABLE child () INHERITS (parent);
             CREATE TABLE parted (a int4 PRIMARY KEY) PARTITION BY RANGE (a); CREATE VIEW seen AS SELECT * FROM two",
        )
        .await;
    let source = source(&server, "").await;
    for (table, key) in [
        ("two", ["b", "a"].as_slice()),
        ("none", &[]),
        ("parent", &[]),
        ("child", &[]),
        ("parted", &["a"]),
        ("seen", &[]),
    ] {
        assert_eq!(source.table(table).await.unwrap().description.primary_key, key, "{table}");
    }
}

/// Of both ends the table itself holds every row to it, and both are of the schema.
#[tokio::test(flavor = "multi_thread")]
async fn foreign_keys_are_told() {
    let server = Postgres::start().await;
    server
        .admin()
        .await
        .run(
            "CREATE TABLE parent (id int8 PRIMARY KEY, code text UNIQUE);
             CREATE TABLE two (a int4, b int4, PRIMARY KEY (b, a));
             CREATE SCHEMA other; CREATE TABLE other.far (id int8 PRIMARY KEY);
             CREATE TABLE child (id int4 PRIMARY KEY, n int8 REFERENCES parent ON DELETE CASCADE,
                 code text REFERENCES parent (code) ON UPDATE SET NULL ON DELETE SET DEFAULT, x int4, y int4,
                 far int8 REFERENCES other.far, up int4 REFERENCES child ON DELETE RESTRICT,
                 FOREIGN KEY (y, x) REFERENCES two (a, b));
             CREATE TABLE late (n int8); ALTER TABLE late ADD FOREIGN KEY (n) REFERENCES parent NOT VALID;
             CREATE TABLE heir (n int8 REFERENCES parent); CREATE TABLE of_heir () INHERITS (heir);
             CREATE TABLE parted (a int8 PRIMARY KEY REFERENCES parent) PARTITION BY RANGE (a);
             CREATE TABLE part PARTITION OF parted FOR VALUES FROM (0) TO (10);
             CREATE TABLE to_parted (n int8 REFERENCES parted); CREATE VIEW seen AS SELECT * FROM child",
        )
        .await;
    let source = source(&server, "").await;
    for (table, keys) in [
        (
            "child",
            [
                "n -> parent(id) NO ACTION CASCADE",
                "code -> parent(code) SET NULL SET DEFAULT",
                "up -> child(id) NO ACTION RESTRICT",
                "y, x -> two(a, b) NO ACTION NO ACTION",
            ]
            .as_slice(),
        ),
        ("late", &[]),
        ("heir", &[]),
        ("of_heir", &[]),
        ("parted", &["a -> parent(id) NO ACTION NO ACTION"]),
        ("to_parted", &["n -> parted(a) NO ACTION NO ACTION"]),
        ("seen", &[]),
    ] {
        assert_eq!(foreign_keys(&source.table(table).await.unwrap().description), keys, "{table}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn statistics_are_estimates() {
    let server = Postgres::start().await;
    server
        .admin()
        .await
        .run(
            "CREATE TABLE t AS SELECT n, CASE WHEN n % 4 = 0 THEN NULL ELSE n % 7 END AS few, 'x' || n AS label
             FROM generate_series(-500, 499) AS n; CREATE TABLE fresh (n int4)",
        )
        .await;
    let source = source(&server, "").await;
    let unknown = source.table("t").await.unwrap().description;
    assert_eq!(unknown.statistics.num_rows, Precision::Absent);
    server.admin().await.run("ANALYZE t").await;
    let known = source.table("t").await.unwrap().description;
    assert_eq!(known.version, unknown.version);
    assert_eq!(known.statistics.num_rows, Precision::Inexact(1_000));
    let columns = &known.statistics.column_statistics;
    assert_eq!(columns[0].min_value, Precision::Inexact(ScalarValue::Int32(Some(-500))));
    assert_eq!(columns[0].max_value, Precision::Inexact(ScalarValue::Int32(Some(499))));
    assert_eq!(columns[0].distinct_count, Precision::Inexact(1_000));
    assert_eq!(columns[1].null_count, Precision::Inexact(250));
    assert_eq!(columns[2].max_value, Precision::Absent);
}

async fn error_after(admin: &Admin, source: &std::sync::Arc<dyn connectors::Source>, change: &str) -> String {
    admin
        .run("DROP TABLE IF EXISTS t CASCADE; CREATE TABLE t (a int4, b int4 NOT NULL); INSERT INTO t VALUES (1, 2)")
        .await;
    let ctx = session(source, &["t"]).await;
    let before = source.table("t").await.unwrap().description.version.clone();
    admin.run(change).await;
    if let Ok(table) = source.table("t").await {
        assert_ne!(table.description.version, before, "{change}");
    }
    match rows(&ctx, "SELECT a, b FROM t").await {
        Ok(rows) => rows,
        Err(error) => ours(&error).to_string(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_is_never_read_under_the_columns_of_another() {
    let server = Postgres::start().await;
    let (admin, source) = (server.admin().await, source(&server, "").await);
    let changed = "table `t`: changed while it was read; ask again";
    for change in [
        "ALTER TABLE t ALTER a TYPE float4",
        "ALTER TABLE t ALTER a TYPE text",
        "ALTER TABLE t DROP a",
        "ALTER TABLE t RENAME a TO c",
        "DROP TABLE t",
        "ALTER TABLE t ALTER b DROP NOT NULL; INSERT INTO t VALUES (3, NULL)",
    ] {
        assert_eq!(error_after(&admin, &source, change).await, changed, "{change}");
    }
    // What was described is still there.
    assert_eq!(error_after(&admin, &source, "ALTER TABLE t ADD c int4").await, "1|2");
}

/// What the account or the database says otherwise does not reach an answer.
#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_pinned() {
    let server = Postgres::start().await;
    server
        .admin()
        .await
        .run(
            "ALTER ROLE reader SET TimeZone = 'Asia/Shanghai'; ALTER ROLE reader SET DateStyle = 'SQL, DMY';
             ALTER ROLE reader SET search_path = other; ALTER ROLE reader SET extra_float_digits = -5;
             ALTER ROLE reader SET default_transaction_read_only = off; ALTER ROLE reader SET statement_timeout = 1;
             CREATE VIEW t AS SELECT
                 current_setting('TimeZone') AS zone, current_setting('transaction_read_only') AS read_only,
                 current_setting('search_path') AS path, current_setting('transaction_isolation') AS isolation,
                 ARRAY['2024-02-29'::date]::text AS day, (0.1::float8 + 0.2::float8)::text AS sum,
                 current_setting('application_name') AS name, current_setting('statement_timeout') AS timeout",
        )
        .await;
    // The account's limit may end the very statement that lifts it; then it is asked for again.
    for _ in 0..50 {
        let alone = source(&server, "connections_max = 2").await;
        alone.table("t").await.unwrap();
    }
    let ctx = session(&source(&server, "statement_timeout_ms = 7000").await, &["t"]).await;
    let expected = "UTC|on|pg_catalog|repeatable read|{2024-02-29}|0.30000000000000004|chancery|7s";
    assert_eq!(rows(&ctx, "SELECT * FROM t").await.unwrap(), expected);
    let schema = ctx.table("t").await.unwrap().schema().as_arrow().clone();
    assert!(schema.fields().iter().all(|field| *field.data_type() == DataType::Utf8));
}
