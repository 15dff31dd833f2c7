//! What a source is refused, told by kind and without the server's words; and values that have no exact form.

use std::fs;

use connectors::{ConnectorError, ErrorKind};
use engine::identity::certs;
use harness::mariadb::MariaDb;
use harness::source::{ours, rows, session};
use tempfile::TempDir;

use super::{open, source};

/// A type, a value of it that is refused, the type as it is told, and why.
const REFUSED: &[(&str, &str, &str, &str)] = &[
    ("date", "'0000-00-00'", "date", "holds a date that is none"),
    ("date NOT NULL", "'0000-00-00'", "date", "holds a date that is none"),
    ("date", "'2024-00-10'", "date", "holds a date that is none"),
    ("date", "'2024-02-31'", "date", "holds a date that is none"),
    ("datetime(3)", "'0000-00-00 00:00:00'", "datetime", "holds a date that is none"),
    ("timestamp NULL", "'0000-00-00 00:00:00'", "timestamp", "holds a date that is none"),
    ("time", "'24:00:00'", "time", "holds a time that is below zero or not of one day"),
    ("time", "'838:59:59'", "time", "holds a time that is below zero or not of one day"),
    ("time(6)", "'-00:00:00.000001'", "time", "holds a time that is below zero or not of one day"),
    ("decimal(39, 0)", "123456789012345678901234567890123456789", "decimal", "is not exactly a Decimal128(38, 0)"),
    ("decimal(65, 30)", "123456789.1", "decimal", "is not exactly a Decimal128(38, 30)"),
    ("tinyint(1)", "57", "boolean", "holds a number that is neither 0 nor 1"),
    ("tinyint(1)", "-1", "boolean", "holds a number that is neither 0 nor 1"),
];

#[tokio::test(flavor = "multi_thread")]
async fn a_value_without_an_exact_form_is_refused_by_name() {
    let server = MariaDb::start().await;
    let (admin, source) = (server.admin().await, source(&server, "").await);
    for (sql_type, value, told_type, why) in REFUSED {
        admin
            .run(&format!(
                "SET sql_mode = 'ANSI_QUOTES,ALLOW_INVALID_DATES';
                 DROP TABLE IF EXISTS t; CREATE TABLE t (\"列\" {sql_type}); INSERT INTO t VALUES ({value})"
            ))
            .await;
        let ctx = session(&source, &["t"]).await;
        let error = rows(&ctx, "SELECT * FROM t").await.unwrap_err();
        let told = ours(&error).to_string();
        assert!(matches!(ours(&error), ConnectorError::InvalidData { cause: None, .. }), "{value}: {error:?}");
        assert!(told.starts_with(&format!("table `t`, column `列` of type {told_type}: ")), "{told}");
        assert!(told.contains(why), "{sql_type} {value}: {told}");
        assert!(!told.contains(value), "{told}");
        // A scan that does not read the column is not disturbed by it.
        assert_eq!(rows(&ctx, "SELECT count(*) FROM t").await.unwrap(), "1");
    }
}

/// A character that a character set has and UTF-8 has not would come as a question mark.
#[tokio::test(flavor = "multi_thread")]
async fn a_character_that_cannot_be_told_is_an_error() {
    let server = MariaDb::start().await;
    server
        .admin()
        .await
        .run(
            "CREATE TABLE t (id int, v varchar(4) CHARACTER SET gbk);
             INSERT INTO t VALUES (1, _gbk X'A140'), (2, _gbk X'B1B1'), (3, '?')",
        )
        .await;
    let ctx = session(&source(&server, "").await, &["t"]).await;
    let error = rows(&ctx, "SELECT v FROM t").await.unwrap_err();
    assert!(ours(&error).to_string().starts_with("table `t`: the server can give some value only in part"), "{error}");
    let error = rows(&ctx, "SELECT id FROM t WHERE v = '?'").await.unwrap_err();
    assert!(matches!(ours(&error), ConnectorError::InvalidData { .. }), "{error:?}");
    assert_eq!(rows(&ctx, "SELECT v FROM t WHERE id = 2").await.unwrap(), "北");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_type_without_a_form_is_refused_by_name() {
    let server = MariaDb::start().await;
    server.admin().await.run("CREATE TABLE t (id int, place point); CREATE TABLE u (id int)").await;
    let source = source(&server, "").await;
    let listed = source.tables().await.unwrap();
    let told = listed[0].1.as_ref().unwrap_err();
    assert_eq!(told.kind(), ErrorKind::Unsupported);
    let words = "table `t`, column `place` of type point is not supported; serve a view that leaves the column out";
    assert!(told.to_string().starts_with(words), "{told}");
    assert!(listed[1].1.is_ok(), "its neighbour is served");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_that_the_server_cannot_compute_is_not_repeated() {
    let server = MariaDb::start().await;
    server
        .admin()
        .await
        .run("CREATE TABLE s (a bigint); INSERT INTO s VALUES (9223372036854775807); CREATE VIEW t AS SELECT a + 1 AS n FROM s")
        .await;
    let ctx = session(&source(&server, "").await, &["t"]).await;
    let error = rows(&ctx, "SELECT n FROM t").await.unwrap_err();
    assert!(matches!(ours(&error), ConnectorError::InvalidData { cause: Some(_), .. }), "{error:?}");
    assert!(!ours(&error).to_string().contains("BIGINT"), "{error}");
    let mut cause: &dyn std::error::Error = ours(&error);
    while let Some(next) = cause.source() {
        cause = next;
    }
    assert!(cause.to_string().contains("BIGINT value is out of range"), "the log keeps the server's words: {cause}");
}

#[tokio::test(flavor = "multi_thread")]
async fn time_runs_out_at_the_server() {
    let server = MariaDb::start().await;
    server.admin().await.run("CREATE VIEW slow AS SELECT SLEEP(600) AS n").await;
    let ctx = session(&source(&server, "statement_timeout_ms = 400").await, &["slow"]).await;
    let error = rows(&ctx, "SELECT n FROM slow").await.unwrap_err();
    assert!(matches!(ours(&error), ConnectorError::DeadlineExceeded { .. }), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_is_not_known_or_not_allowed_is_told_so() {
    let server = MariaDb::start_with(&["--max-connections=12"]).await;
    let admin = server.admin().await;
    admin.run("CREATE TABLE t (n int); INSERT INTO t VALUES (1)").await;
    let secret = TempDir::new().unwrap();
    fs::write(secret.path().join("password"), "wrong\n").unwrap();
    let mut options = server.options();
    options.insert("password_file".into(), secret.path().join("password").to_str().unwrap().into());
    let told = open(options.clone()).await.tables().await.unwrap_err();
    assert_eq!(told.kind(), ErrorKind::Unauthenticated, "{told:?}");
    assert!(told.to_string().ends_with("the server does not accept the source's account"), "{told}");
    options.insert("user".into(), "nobody".into());
    assert_eq!(open(options).await.tables().await.unwrap_err().kind(), ErrorKind::Unauthenticated);
    let mut elsewhere = server.options();
    elsewhere.insert("database".into(), "no_such_database".into());
    assert!(open(elsewhere).await.tables().await.unwrap().is_empty(), "a database that may not be seen has no tables");

    let ctx = session(&source(&server, "").await, &["t"]).await;
    admin.run("REVOKE ALL ON registry.* FROM reader").await;
    let error = rows(&ctx, "SELECT n FROM t").await.unwrap_err();
    assert!(matches!(ours(&error), ConnectorError::Forbidden { .. }), "{error:?}");
    assert!(!error.to_string().contains("reader"), "{error}");

    admin.run("GRANT USAGE ON *.* TO reader WITH MAX_USER_CONNECTIONS 1").await;
    let busy = source(&server, "connections_max = 3").await;
    let (first, second) = tokio::join!(busy.tables(), busy.tables());
    let full = first.err().or(second.err()).unwrap();
    assert_eq!(full.kind(), ErrorKind::ResourceExhausted, "{full:?}");
    assert!(!full.to_string().contains("reader"), "{full}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_is_believed_by_its_certificate() {
    let server = MariaDb::start_with(&["--bind-address=*"]).await;
    let admin = server.admin().await;
    admin.run("CREATE TABLE t (n int); INSERT INTO t VALUES (1); ALTER USER reader REQUIRE SSL").await;
    let over_tls = server.options_over_tls();
    let source = open(over_tls.clone()).await;
    let ctx = session(&source, &["t"]).await;
    assert_eq!(rows(&ctx, "SELECT n FROM t").await.unwrap(), "1");
    let plain = open(server.options()).await.tables().await.unwrap_err();
    assert_eq!(plain.kind(), ErrorKind::Unauthenticated, "the account needs TLS: {plain:?}");
    admin.run("ALTER USER reader REQUIRE NONE").await;

    let mut by_another_name = over_tls.clone();
    by_another_name.insert("host".into(), "127.0.0.2".into());
    let told = open(by_another_name.clone()).await.tables().await.unwrap_err();
    assert!(matches!(told, ConnectorError::Unavailable { .. }), "{told:?}");
    by_another_name.remove("tls_ca");
    by_another_name.insert("tls".into(), "disable".into());
    open(by_another_name).await.tables().await.expect("the address is the server's");

    let stranger = TempDir::new().unwrap();
    certs::init(stranger.path(), &["database".parse().unwrap()]).unwrap();
    let mut by_a_stranger = over_tls.clone();
    by_a_stranger.insert("tls_ca".into(), stranger.path().join("authority.crt").to_str().unwrap().into());
    let told = open(by_a_stranger).await.tables().await.unwrap_err();
    assert!(matches!(told, ConnectorError::Unavailable { .. }), "{told:?}");
}

/// A server that has no TLS is not asked without it.
#[tokio::test(flavor = "multi_thread")]
async fn tls_is_not_given_up() {
    let server = MariaDb::start_with(&["--skip-ssl"]).await;
    let told = open(server.options_over_tls()).await.tables().await.unwrap_err();
    assert!(matches!(told, ConnectorError::Unavailable { .. }), "{told:?}");
    open(server.options()).await.tables().await.expect("without TLS it answers");
}
