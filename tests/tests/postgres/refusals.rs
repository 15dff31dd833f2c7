//! What a source is refused, told by kind and without the server's words; and values that have no exact form.

use std::fs;

use connectors::{ConnectorError, ErrorKind};
use engine::identity::certs;
use harness::postgres::Postgres;
use harness::source::{ours, rows, session};
use tempfile::TempDir;

use super::{open, source};

/// A type, a value of it that is refused, the type as it is told, and why.
const REFUSED: &[(&str, &str, &str, &str)] = &[
    ("numeric", "NaN", "numeric", "holds NaN"),
    ("numeric", "Infinity", "numeric", "holds an infinite value"),
    ("numeric", "-Infinity", "numeric", "holds an infinite value"),
    ("numeric", "10000000000000000000000000000", "numeric", "is not exactly a Decimal128(38, 10)"),
    ("numeric", "0.12345678901", "numeric", "is not exactly a Decimal128(38, 10)"),
    ("numeric(60, 2)", "1234567890123456789012345678901234567.5", "numeric", "is not exactly a Decimal128(38, 2)"),
    ("date", "infinity", "date", "holds an infinite value"),
    ("date", "-infinity", "date", "holds an infinite value"),
    ("date", "262143-01-01", "date", "holds a value of a year"),
    ("timestamp", "infinity", "timestamp", "holds an infinite value"),
    ("timestamp", "262143-01-01 00:00", "timestamp", "holds a value of a year"),
    ("timestamp", "294276-12-31 23:59", "timestamp", "holds a value of a year"),
    ("timestamptz", "-infinity", "timestamptz", "holds an infinite value"),
    ("timestamptz", "262143-01-01 00:00+00", "timestamptz", "holds a value of a year"),
    ("time", "24:00", "time", "holds the time 24:00"),
    ("interval", "3000000 hours", "interval", "holds an interval"),
    ("int4[]", "{{1,2},{3,4}}", "int4[]", "holds an array of more than one dimension"),
    ("numeric[]", "{1,NaN}", "numeric[]", "holds NaN"),
    ("timestamp[]", "{infinity}", "timestamp[]", "holds an infinite value"),
];

#[tokio::test(flavor = "multi_thread")]
async fn a_value_without_an_exact_form_is_refused_by_name() {
    let server = Postgres::start().await;
    let (admin, source) = (server.admin().await, source(&server, "").await);
    for (sql_type, value, told_type, why) in REFUSED {
        admin
            .run(&format!(
                "DROP TABLE IF EXISTS t; CREATE TABLE t (\"列\" {sql_type}); INSERT INTO t VALUES ('{value}')"
            ))
            .await;
        let ctx = session(&source, &["t"]).await;
        let error = rows(&ctx, "SELECT * FROM t").await.unwrap_err();
        let told = ours(&error).to_string();
        assert!(matches!(ours(&error), ConnectorError::InvalidData { cause: None, .. }), "{value}: {error:?}");
        assert!(told.starts_with(&format!("table `t`, column `列` of type {told_type}: ")), "{told}");
        assert!(told.contains(why), "{sql_type} {value}: {told}");
        assert!(value.len() < 6 || !told.contains(value), "{told}");
        // A scan that does not read the column is not disturbed by it.
        assert_eq!(rows(&ctx, "SELECT count(*) FROM t").await.unwrap(), "1");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_that_the_server_cannot_compute_is_not_repeated() {
    let server = Postgres::start().await;
    server
        .admin()
        .await
        .run("CREATE TABLE s AS SELECT 'SECRET7' AS a; CREATE VIEW t AS SELECT a::int4 AS n FROM s")
        .await;
    let ctx = session(&source(&server, "").await, &["t"]).await;
    let error = rows(&ctx, "SELECT n FROM t").await.unwrap_err();
    assert!(matches!(ours(&error), ConnectorError::InvalidData { cause: Some(_), .. }), "{error:?}");
    assert!(!ours(&error).to_string().contains("SECRET7"));
    let mut cause: &dyn std::error::Error = ours(&error);
    while let Some(next) = cause.source() {
        cause = next;
    }
    assert!(cause.to_string().contains("SECRET7"), "the log keeps the server's words: {cause}");
}

#[tokio::test(flavor = "multi_thread")]
async fn time_runs_out_at_the_server() {
    let server = Postgres::start().await;
    server.admin().await.run("CREATE VIEW slow AS SELECT 1 AS n FROM (SELECT pg_sleep(600)) AS s").await;
    let ctx = session(&source(&server, "statement_timeout_ms = 400").await, &["slow"]).await;
    let error = rows(&ctx, "SELECT n FROM slow").await.unwrap_err();
    assert!(matches!(ours(&error), ConnectorError::DeadlineExceeded { .. }), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_is_not_known_or_not_allowed_is_told_so() {
    let server = Postgres::start_with("max_connections = 12\nsuperuser_reserved_connections = 3").await;
    let admin = server.admin().await;
    admin.run("CREATE TABLE t AS SELECT 1 AS n").await;
    let secret = TempDir::new().unwrap();
    fs::write(secret.path().join("password"), "wrong\n").unwrap();
    let mut options = server.options("public");
    options.insert("password_file".into(), secret.path().join("password").to_str().unwrap().into());
    let told = open(options.clone()).await.tables().await.unwrap_err();
    assert_eq!(told.kind(), ErrorKind::Unauthenticated, "{told:?}");
    assert!(told.to_string().ends_with("the server does not accept the source's account"), "{told}");
    options.insert("user".into(), "nobody".into());
    assert_eq!(open(options).await.tables().await.unwrap_err().kind(), ErrorKind::Unauthenticated);
    let mut elsewhere = server.options("public");
    elsewhere.insert("database".into(), "no_such_database".into());
    assert_eq!(open(elsewhere).await.tables().await.unwrap_err().kind(), ErrorKind::SiteUnavailable);

    let ctx = session(&source(&server, "").await, &["t"]).await;
    admin.run("REVOKE pg_read_all_data FROM reader").await;
    let error = rows(&ctx, "SELECT n FROM t").await.unwrap_err();
    assert!(matches!(ours(&error), ConnectorError::Forbidden { .. }), "{error:?}");

    admin.run("ALTER ROLE reader CONNECTION LIMIT 0").await;
    let full = source(&server, "connections_max = 3").await.tables().await.unwrap_err();
    assert_eq!(full.kind(), ErrorKind::ResourceExhausted, "{full:?}");
    assert!(!full.to_string().contains("reader"), "{full}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_is_believed_by_its_certificate() {
    let server = Postgres::start_with("listen_addresses = '127.0.0.1,127.0.0.2'").await;
    let admin = server.admin().await;
    admin.run("CREATE TABLE t AS SELECT 1 AS n").await;
    let over_tls = server.options_over_tls("public");
    let source = open(over_tls.clone()).await;
    let ctx = session(&source, &["t"]).await;
    assert_eq!(rows(&ctx, "SELECT n FROM t").await.unwrap(), "1");
    let encrypted =
        "SELECT bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE application_name = 'chancery'";
    assert_eq!(admin.value(encrypted).await, "true");

    let mut by_another_name = over_tls.clone();
    by_another_name.insert("host".into(), "127.0.0.2".into());
    let told = open(by_another_name.clone()).await.tables().await.unwrap_err();
    assert!(matches!(told, ConnectorError::Unavailable { .. }), "{told:?}");
    by_another_name.remove("tls_ca");
    by_another_name.insert("tls".into(), "disable".into());
    open(by_another_name).await.tables().await.expect("the address is the server's");

    let stranger = TempDir::new().unwrap();
    certs::init(stranger.path(), &["database".parse().unwrap()]).unwrap();
    let mut by_a_stranger = over_tls;
    by_a_stranger.insert("tls_ca".into(), stranger.path().join("authority.crt").to_str().unwrap().into());
    let told = open(by_a_stranger).await.tables().await.unwrap_err();
    assert!(matches!(told, ConnectorError::Unavailable { .. }), "{told:?}");
}
