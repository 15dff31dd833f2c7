//! What cannot be read: told by kind, and never in SQLite's words, which may quote a value or a name.

use std::fs;
use std::io::{Seek, SeekFrom, Write};
use std::sync::Arc;

use connectors::{ConnectorError, ErrorKind, Source};
use harness::source::{ours, rows, session};
use harness::sqlite::SqliteFile;

use super::{open, source};

const TABLE: &str = "CREATE TABLE t (n INTEGER PRIMARY KEY, secret TEXT); INSERT INTO t VALUES (1, 'a secret')";

fn told(error: &ConnectorError) -> String {
    let told = error.to_string();
    assert!(!told.contains("secret") && !told.contains('\n') && told.contains("registry.db"), "{told}");
    told
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_goes_away_is_an_error_and_comes_back() {
    let file = SqliteFile::with(TABLE);
    let source = source(&file, "").await;
    let ctx = session(&source, &["t"]).await;
    let aside = file.path().with_extension("aside");
    fs::rename(file.path(), &aside).unwrap();
    let error = rows(&ctx, "SELECT * FROM t").await.unwrap_err();
    assert!(matches!(ours(&error), ConnectorError::Unavailable { .. }), "{error:?}");
    let error = source.tables().await.unwrap_err();
    assert_eq!(
        (told(&error).as_str(), error.kind()),
        ("database `registry.db`: cannot be read", ErrorKind::SiteUnavailable)
    );
    assert!(!file.path().exists(), "and none is made in its place");
    fs::rename(&aside, file.path()).unwrap();
    assert_eq!(rows(&ctx, "SELECT n FROM t").await.unwrap(), "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_locked_file_is_waited_for() {
    let file = SqliteFile::with(TABLE);
    let hasty = source(&file, "busy_timeout_ms = 300").await;
    let ctx = session(&hasty, &["t"]).await;
    let holder = file.connection();
    holder.execute_batch("BEGIN EXCLUSIVE").unwrap();
    for error in [hasty.table("t").await.unwrap_err(), hasty.tables().await.map(drop).unwrap_err()] {
        assert!(matches!(error, ConnectorError::Unavailable { .. }), "{error:?}");
        told(&error);
    }
    let error = rows(&ctx, "SELECT n FROM t").await.unwrap_err();
    assert!(matches!(ours(&error), ConnectorError::Unavailable { .. }), "{error:?}");
    let patient = source(&file, "busy_timeout_ms = 20000").await;
    let (_, table) = tokio::join!(
        async {
            tokio::time::sleep(std::time::Duration::from_millis(300)).await;
            holder.execute_batch("COMMIT").unwrap();
        },
        patient.table("t"),
    );
    assert!(table.is_ok());
    assert_eq!(rows(&ctx, "SELECT n FROM t").await.unwrap(), "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_database_is_told_so() {
    let file = SqliteFile::new();
    fs::write(file.path(), "id,name\n1,a secret and so on, for longer than a header is\n".repeat(40)).unwrap();
    let source = source(&file, "").await;
    let error = source.tables().await.unwrap_err();
    assert!(told(&error).contains("is not a SQLite database"), "{error:?}");
    assert!(matches!(source.table("t").await.unwrap_err(), ConnectorError::InvalidData { .. }));
    // Nothing at all is a database without tables.
    fs::write(file.path(), "").unwrap();
    assert!(source.tables().await.unwrap().is_empty());
}

/// A database with a page in the middle of `t` overwritten.
fn corrupt() -> SqliteFile {
    let file = SqliteFile::with(
        "CREATE TABLE other (n INTEGER); INSERT INTO other VALUES (7);
         CREATE TABLE t (n INTEGER PRIMARY KEY, secret TEXT);
         INSERT INTO t WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < 20000) \
         SELECT n, 'a secret' FROM s;",
    );
    let mut bytes = fs::File::options().write(true).open(file.path()).unwrap();
    bytes.seek(SeekFrom::Start(40 * 4096)).unwrap();
    bytes.write_all(&[0xA5; 3 * 4096]).unwrap();
    file
}

#[tokio::test(flavor = "multi_thread")]
async fn a_corrupt_page_is_an_error_and_no_short_answer() {
    let file = corrupt();
    let source = source(&file, "").await;
    let ctx = session(&source, &["t", "other"]).await;
    for sql in
        ["SELECT n FROM t", "SELECT count(*) FROM t WHERE secret = 'a secret'", "SELECT max(n), min(secret) FROM t"]
    {
        let error = rows(&ctx, sql).await.unwrap_err();
        let ConnectorError::InvalidData { cause: Some(_), .. } = ours(&error) else { panic!("{sql}: {error:?}") };
        assert!(ours(&error).to_string().contains("is corrupt"), "{sql}: {error:?}");
        assert!(!ours(&error).to_string().contains("secret"), "{error:?}");
    }
    assert_eq!(rows(&ctx, "SELECT n FROM other").await.unwrap(), "7", "its neighbour is read");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_that_a_view_cannot_compute_is_not_repeated() {
    let file = SqliteFile::with(
        "CREATE TABLE t (v TEXT); INSERT INTO t VALUES ('[1]'), ('a secret');
         CREATE VIEW parsed AS SELECT CAST(json_extract(v, '$[0]') AS INTEGER) AS n FROM t;
         CREATE VIEW huge AS SELECT CAST(abs(-9223372036854775807 - 1) AS INTEGER) AS n;
         CREATE VIEW loaded AS SELECT load_extension('secret.so') AS n",
    );
    let source = source(&file, "").await;
    for view in ["parsed", "huge"] {
        let ctx = session(&source, &[view]).await;
        let error = rows(&ctx, &format!("SELECT n FROM {view}")).await.unwrap_err();
        let ConnectorError::InvalidData { cause: Some(_), .. } = ours(&error) else { panic!("{view}: {error:?}") };
        assert!(!ours(&error).to_string().contains("secret"), "{error:?}");
    }
    // What the file's schema may not ask for is not done.
    let refused = match source.table("loaded").await {
        Err(error) => error,
        Ok(_) => {
            let ctx = session(&source, &["loaded"]).await;
            let error = rows(&ctx, "SELECT n FROM loaded").await.unwrap_err();
            assert!(!ours(&error).to_string().contains("secret"), "{error:?}");
            return;
        }
    };
    assert!(!refused.to_string().contains("secret"), "{refused:?}");
}

/// Sources over one file, under whatever name, are one evaluator; over two they are two.
#[tokio::test(flavor = "multi_thread")]
async fn sources_over_one_file_are_one() {
    let file = SqliteFile::with(TABLE);
    let link = file.path().with_extension("link");
    std::os::unix::fs::symlink(file.path(), &link).unwrap();
    let mut over_link = file.options();
    over_link.insert("path".into(), link.to_str().unwrap().into());
    let (one, same): (Arc<dyn Source>, _) = (source(&file, "tables = ['t']").await, open(over_link).await);
    let another = SqliteFile::with(TABLE);
    let other = source(&another, "").await;
    let id = async |source: &Arc<dyn Source>| {
        let provider = source.table("t").await.unwrap().provider;
        let provider: Arc<dyn std::any::Any + Send + Sync> = provider;
        provider.downcast::<connectors::pushdown::EvaluatedTable>().unwrap().evaluator().id()
    };
    assert_eq!(id(&one).await, id(&same).await);
    assert_ne!(id(&one).await, id(&other).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_writes_nothing() {
    let file = SqliteFile::with(TABLE);
    let before = fs::read(file.path()).unwrap();
    let ctx = session(&source(&file, "").await, &["t"]).await;
    assert_eq!(rows(&ctx, "SELECT n FROM t").await.unwrap(), "1");
    let entries: Vec<_> =
        fs::read_dir(file.path().parent().unwrap()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(entries, ["registry.db"]);
    assert_eq!(fs::read(file.path()).unwrap(), before);
}
