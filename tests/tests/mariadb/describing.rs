//! What a source says of its tables, and what of it a change takes back.

use std::sync::Arc;

use connectors::{ConnectorError, ErrorKind, Source};
use datafusion::common::stats::Precision;
use harness::mariadb::{Admin, MariaDb};
use harness::source::{foreign_keys, ours, rows, session};

use super::{SHARED, open, source};

async fn names(source: &Arc<dyn Source>) -> Vec<String> {
    source.tables().await.unwrap().into_iter().map(|(name, _)| name).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_table_that_may_be_read_is_listed() {
    let server = MariaDb::start().await;
    let admin = server.admin().await;
    admin
        .run(
            "CREATE TABLE plain (id bigint PRIMARY KEY, note text COMMENT 'in their own words',
                                 hidden int INVISIBLE COMMENT 'not told') COMMENT 'Residents';
             CREATE VIEW seen AS SELECT id FROM plain;
             CREATE TABLE parted (day date NOT NULL, n int) PARTITION BY RANGE (YEAR(day))
                 (PARTITION early VALUES LESS THAN (2024), PARTITION late VALUES LESS THAN MAXVALUE);
             CREATE TABLE versioned (id int) WITH SYSTEM VERSIONING;
             CREATE TABLE aria (id int) ENGINE = Aria; CREATE SEQUENCE counter;
             CREATE TABLE \"客户\" (\"名\"\"x\" varchar(10)); INSERT INTO \"客户\" VALUES ('北');
             CREATE TABLE closed (id int); CREATE TABLE half (open int, secret int); INSERT INTO half VALUES (1, 2);
             CREATE TABLE written (id int); CREATE TABLE gone (id int); CREATE VIEW broken AS SELECT id FROM gone;
             DROP TABLE gone; CREATE DATABASE other; CREATE TABLE other.elsewhere (id int);
             INSERT INTO parted VALUES ('2024-02-29', 1); INSERT INTO versioned VALUES (1); UPDATE versioned SET id = 2;
             REVOKE ALL ON registry.* FROM reader; GRANT INSERT ON registry.written TO reader;
             GRANT SELECT (open) ON registry.half TO reader;
             GRANT SELECT ON registry.plain TO reader; GRANT SELECT ON registry.seen TO reader;
             GRANT SELECT ON registry.parted TO reader; GRANT SELECT ON registry.versioned TO reader;
             GRANT SELECT ON registry.aria TO reader; GRANT SELECT ON registry.\"客户\" TO reader;
             GRANT SELECT ON registry.broken TO reader",
        )
        .await;
    let all = source(&server, "").await;
    assert_eq!(names(&all).await, ["aria", "broken", "half", "parted", "plain", "seen", "versioned", "客户"]);
    let plain = all.table("plain").await.unwrap().description;
    assert_eq!(plain.comment.as_deref(), Some("Residents"));
    assert_eq!(plain.column_comments, [("note".to_string(), "in their own words".to_string())].into());
    let columns: Vec<_> =
        plain.schema.fields().iter().map(|field| (field.name().as_str(), field.is_nullable())).collect();
    assert_eq!(columns, [("id", false), ("note", true)], "what `*` does not stand for is not served");
    assert_eq!(all.table("seen").await.unwrap().description.comment, None);
    for (table, is_view) in [("seen", true), ("plain", false), ("versioned", false), ("aria", false)] {
        assert_eq!(all.table(table).await.unwrap().description.is_view, is_view, "{table}");
    }
    let broken = all.table("broken").await.unwrap_err();
    assert!(broken.to_string().starts_with("view `broken`: cannot be used"), "{broken}");
    for hidden in ["closed", "written", "elsewhere", "counter", "Plain", "pl\0ain", "plain ", "pla_n"] {
        let error = all.table(hidden).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound, "{hidden}: {error}");
    }
    let ctx = session(&all, &["parted", "客户", "half", "versioned"]).await;
    assert_eq!(rows(&ctx, "SELECT * FROM parted").await.unwrap(), "2024-02-29|1");
    assert_eq!(rows(&ctx, "SELECT \"名\"\"x\" FROM \"客户\" WHERE \"名\"\"x\" = '北'").await.unwrap(), "北");
    assert_eq!(rows(&ctx, "SELECT * FROM half").await.unwrap(), "1", "of a table that is granted by column");
    assert_eq!(rows(&ctx, "SELECT * FROM versioned").await.unwrap(), "2", "the rows of now");
    let some = source(&server, "tables = ['parted', 'plain', 'gone']").await;
    assert_eq!(names(&some).await, ["gone", "parted", "plain"]);
    let listed = some.tables().await.unwrap();
    assert!(matches!(&listed[0].1, Err(ConnectorError::TableNotFound { table }) if table == "gone"));
    assert_eq!(some.table("seen").await.unwrap_err().kind(), ErrorKind::NotFound);
}

/// In the key's order; none of which only a part may be read.
#[tokio::test(flavor = "multi_thread")]
async fn primary_keys_are_told() {
    let server = MariaDb::start().await;
    let admin = server.admin().await;
    admin
        .run(
            "CREATE TABLE two (a int, b int, n int UNIQUE, PRIMARY KEY (b, a)); CREATE TABLE none (a int UNIQUE);
             CREATE TABLE unseen (a int, b int INVISIBLE DEFAULT 0, PRIMARY KEY (a, b));
             CREATE TABLE half (open int, secret int, PRIMARY KEY (open, secret));
             CREATE TABLE other_half (secret int, open int, PRIMARY KEY (secret, open));
             CREATE TABLE whole (open int PRIMARY KEY, secret int); CREATE VIEW seen AS SELECT * FROM two;
             REVOKE ALL ON registry.* FROM reader; GRANT SELECT ON registry.two TO reader;
             GRANT SELECT ON registry.none TO reader; GRANT SELECT ON registry.unseen TO reader; GRANT SELECT ON registry.seen TO reader;
             GRANT SELECT (open) ON registry.half TO reader; GRANT SELECT (open) ON registry.other_half TO reader;
             GRANT SELECT (open) ON registry.whole TO reader",
        )
        .await;
    let source = source(&server, "").await;
    for (table, key) in [
        ("two", ["b", "a"].as_slice()),
        ("none", &[]),
        ("unseen", &[]),
        ("half", &[]),
        ("other_half", &[]),
        ("whole", &[]),
        ("seen", &[]),
    ] {
        assert_eq!(source.table(table).await.unwrap().description.primary_key, key, "{table}");
    }
}

/// What becomes of them is told to an account that may more than read.
#[tokio::test(flavor = "multi_thread")]
async fn foreign_keys_are_told() {
    let server = MariaDb::start().await;
    let admin = server.admin().await;
    admin
        .run(
            "CREATE TABLE parent (id bigint PRIMARY KEY, code varchar(10) UNIQUE);
             CREATE TABLE two (a int, b int, PRIMARY KEY (b, a));
             CREATE DATABASE other; CREATE TABLE other.far (id bigint PRIMARY KEY);
             CREATE TABLE child (id int PRIMARY KEY, n bigint, code varchar(10), x int, y int, far bigint,
                 CONSTRAINT a FOREIGN KEY (n) REFERENCES parent (id) ON DELETE CASCADE,
                 CONSTRAINT b FOREIGN KEY (code) REFERENCES parent (code) ON UPDATE SET NULL,
                 CONSTRAINT c FOREIGN KEY (y, x) REFERENCES two (b, a) ON UPDATE NO ACTION,
                 CONSTRAINT d FOREIGN KEY (far) REFERENCES other.far (id));
             CREATE TABLE half (open int, secret int, FOREIGN KEY (open, secret) REFERENCES two (b, a));
             CREATE VIEW seen AS SELECT * FROM child;
             REVOKE ALL ON registry.* FROM reader; GRANT SELECT ON registry.child TO reader;
             GRANT SELECT ON registry.seen TO reader; GRANT SELECT (open) ON registry.half TO reader",
        )
        .await;
    let first = source(&server, "").await;
    for (table, keys) in [
        ("child", ["n -> parent(id) ? ?", "code -> parent(code) ? ?", "y, x -> two(b, a) ? ?"].as_slice()),
        ("half", &[]),
        ("seen", &[]),
    ] {
        assert_eq!(foreign_keys(&first.table(table).await.unwrap().description), keys, "{table}");
    }
    admin.run("GRANT TRIGGER ON registry.* TO reader").await;
    // Others share its sessions, which have the rights of before.
    let second = source(&server, "connections_max = 3").await;
    assert_eq!(
        foreign_keys(&second.table("child").await.unwrap().description),
        [
            "n -> parent(id) RESTRICT CASCADE",
            "code -> parent(code) SET NULL RESTRICT",
            "y, x -> two(b, a) NO ACTION RESTRICT",
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn statistics_are_estimates() {
    let server = MariaDb::start().await;
    let admin = server.admin().await;
    admin
        .run(
            "CREATE TABLE t (n int PRIMARY KEY, few int, label varchar(20), KEY (few));
             INSERT INTO t SELECT seq, seq % 7, seq FROM seq_1_to_20000; CREATE TABLE fresh (n int); ANALYZE TABLE t",
        )
        .await;
    let source = source(&server, "").await;
    assert_eq!(source.table("fresh").await.unwrap().description.statistics.num_rows, Precision::Absent);
    let known = source.table("t").await.unwrap().description;
    let Precision::Inexact(rows) = known.statistics.num_rows else { panic!("{:?}", known.statistics.num_rows) };
    assert!((15_000..25_000).contains(&rows), "{rows}");
    let columns = &known.statistics.column_statistics;
    let Precision::Inexact(distinct) = columns[0].distinct_count else { panic!("{columns:?}") };
    assert!((15_000..25_000).contains(&distinct), "{distinct}");
    assert!(matches!(columns[1].distinct_count, Precision::Inexact(few) if few < 100), "{columns:?}");
    assert_eq!(columns[2].distinct_count, Precision::Absent);
}

async fn error_after(admin: &Admin, source: &Arc<dyn Source>, change: &str) -> String {
    admin.run("DROP TABLE IF EXISTS t; CREATE TABLE t (a int, b int NOT NULL, c varchar(5)); INSERT INTO t VALUES (1, 2, 'x')").await;
    let ctx = session(source, &["t"]).await;
    let before = source.table("t").await.unwrap().description.version.clone();
    admin.run(change).await;
    if let Ok(table) = source.table("t").await {
        assert_ne!(table.description.version, before, "{change}");
    }
    match rows(&ctx, "SELECT a, b, c FROM t").await {
        Ok(rows) => rows,
        Err(error) => ours(&error).to_string(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_is_never_read_under_the_columns_of_another() {
    let server = MariaDb::start().await;
    let (admin, source) = (server.admin().await, source(&server, "").await);
    let changed = "table `t`: changed while it was read; ask again";
    for change in [
        "ALTER TABLE t MODIFY a float",
        "ALTER TABLE t MODIFY a text",
        "ALTER TABLE t MODIFY a decimal(10, 2)",
        "ALTER TABLE t MODIFY c varbinary(5)",
        "ALTER TABLE t DROP a",
        "ALTER TABLE t CHANGE a d int",
        "DROP TABLE t",
        "ALTER TABLE t MODIFY b int; INSERT INTO t VALUES (3, NULL, 'y')",
    ] {
        assert_eq!(error_after(&admin, &source, change).await, changed, "{change}");
    }
    // What was described is still there.
    assert_eq!(error_after(&admin, &source, "ALTER TABLE t ADD d int").await, "1|2|x");
    assert_eq!(error_after(&admin, &source, "ALTER TABLE t MODIFY a bigint").await, "1|2|x");
    let too_large = error_after(&admin, &source, "ALTER TABLE t MODIFY a bigint; UPDATE t SET a = 3000000000").await;
    assert!(
        too_large.starts_with("table `t`, column `a` of type int: holds a value that is not exactly"),
        "{too_large}"
    );
}

/// A table that cannot be looked into is one that is not read in parts; the others are listed beside it.
#[tokio::test(flavor = "multi_thread")]
async fn a_locked_table_is_listed_with_the_others() {
    let server = MariaDb::start_with_log().await;
    let admin = server.admin().await;
    admin
        .run(
            "CREATE TABLE large (n bigint PRIMARY KEY); INSERT INTO large SELECT seq FROM seq_1_to_400000;
             ANALYZE TABLE large; CREATE TABLE small (n bigint); LOCK TABLES large WRITE",
        )
        .await;
    let source = source(&server, &format!("connect_timeout_ms = 3000\n{SHARED}")).await;
    let listed: Vec<(String, bool)> =
        source.tables().await.unwrap().into_iter().map(|(name, table)| (name, table.is_ok())).collect();
    assert_eq!(listed, [("large".to_string(), true), ("small".to_string(), true)]);
    assert!(server.log().contains("lock_wait_timeout"), "the table was not looked into");
}

/// What the account or the server says otherwise does not reach an answer.
#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_pinned() {
    let server = MariaDb::start_with(&[
        "--default-time-zone=+08:00",
        "--sql-mode=ANSI,NO_ZERO_DATE,PAD_CHAR_TO_FULL_LENGTH,HIGH_NOT_PRECEDENCE",
        "--transaction-isolation=READ-UNCOMMITTED",
        "--autocommit=0",
    ])
    .await;
    let pinned = "AUTOCOMMIT COLLATION_CONNECTION MAX_STATEMENT_TIME NET_WRITE_TIMEOUT SQL_AUTO_IS_NULL SQL_MODE \
                  SQL_SELECT_LIMIT TIME_ZONE TX_ISOLATION TX_READ_ONLY";
    let names: Vec<String> = pinned.split_whitespace().map(|name| format!("'{name}'")).collect();
    server
        .admin()
        .await
        .run(&format!(
            "SET autocommit = 1; SET GLOBAL sql_select_limit = 1, max_statement_time = 0.001, sql_auto_is_null = 1;
             CREATE VIEW t AS SELECT VARIABLE_NAME AS name, VARIABLE_VALUE AS value
                 FROM information_schema.SESSION_VARIABLES WHERE VARIABLE_NAME IN ({})",
            names.join(", ")
        ))
        .await;
    let ctx = session(&source(&server, "statement_timeout_ms = 7000").await, &["t"]).await;
    let expected = "AUTOCOMMIT|ON\nCOLLATION_CONNECTION|utf8mb4_nopad_bin\nMAX_STATEMENT_TIME|7.000000\n\
                    NET_WRITE_TIMEOUT|8\nSQL_AUTO_IS_NULL|OFF\n\
                    SQL_MODE|PIPES_AS_CONCAT,ANSI_QUOTES,NO_UNSIGNED_SUBTRACTION,NO_BACKSLASH_ESCAPES\n\
                    SQL_SELECT_LIMIT|18446744073709551615\nTIME_ZONE|+00:00\nTX_ISOLATION|REPEATABLE-READ\nTX_READ_ONLY|ON";
    assert_eq!(rows(&ctx, "SELECT name, value FROM t ORDER BY name").await.unwrap(), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_server_is_refused_by_its_version() {
    // What a proxy or an old server says of itself.
    let server = MariaDb::start_with(&["--version=5.7.44-log"]).await;
    let told = open(server.options()).await.tables().await.unwrap_err();
    assert_eq!(told.kind(), ErrorKind::Unsupported, "{told:?}");
    assert!(told.to_string().contains("use MySQL 8.0.17, MariaDB 10.5, or a later one"), "{told}");
}
