//! What changes under a reader: a scan reads the version that was described to its end, or says that it is gone.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use connectors::{ConnectorError, Source};
use harness::store::{Manner, Store};

use super::{open, value, write, write_numbers};

const PARQUET: &str = "[[table]]\nname='t'\npath='t.parquet'";
const CSV: &str = "[[table]]\nname='t'\npath='t.csv'";
/// Reads everything, a part of the file after another.
const ALL: &str = "SELECT count(DISTINCT text) FROM t";

/// What happens to a file.
#[derive(Debug, Clone, Copy)]
enum Change {
    Replaced,
    Shortened,
    Removed,
}

const CHANGES: [Change; 3] = [Change::Replaced, Change::Shortened, Change::Removed];

/// Servers that heed conditions and servers that do not.
async fn stores() -> Vec<Store> {
    let heedless = || Manner { ignores_conditions: true, ..Manner::default() };
    vec![
        Store::s3(Manner::default()).await,
        Store::s3(heedless()).await,
        Store::web(Manner::default()).await,
        Store::web(heedless()).await,
        Store::web(Manner { hides: vec!["etag"], ..Manner::default() }).await,
    ]
}

/// Another file takes the place of the one at `path`, as stores do it: who reads the one that was there is given it to the end.
/// (A file that is cut off in place, in the midst of an answer, can come as zeros from a server that has already said how much.)
fn change(path: PathBuf, change: Change) -> impl FnMut() + Send + 'static {
    move || {
        let mut content = fs::read(&path).unwrap();
        match change {
            // Another content of the same length.
            Change::Replaced => {
                let middle = content.len() / 2;
                content[middle] ^= 1;
            }
            Change::Shortened => content.truncate(1_000),
            Change::Removed => return fs::remove_file(&path).unwrap(),
        }
        let aside = path.with_extension("aside");
        fs::write(&aside, content).unwrap();
        // A second later, and more, for servers that know nothing finer.
        let later = fs::metadata(&path).unwrap().modified().unwrap() + std::time::Duration::from_secs(2);
        fs::File::options().write(true).open(&aside).unwrap().set_modified(later).unwrap();
        fs::rename(aside, &path).unwrap();
    }
}

fn assert_changed(came: Result<String, ConnectorError>, what: &str) {
    assert!(matches!(came, Err(ConnectorError::Changed { .. })), "{what}: {came:?}");
}

async fn over(store: &Store, table: &str, make: impl Fn(&Store)) -> Arc<dyn Source> {
    make(store);
    open(store.options(), table).await.unwrap()
}

#[tokio::test]
async fn a_parquet_file_that_changes_in_mid_scan_is_noticed() {
    for store in stores().await {
        let source = over(&store, PARQUET, |store| write_numbers(store, "t.parquet", 0, 40_000, 10_000)).await;
        for what in CHANGES {
            write_numbers(&store, "t.parquet", 0, 40_000, 10_000);
            source.table("t").await.unwrap();
            store.manner().before_read("t.parquet", 1, change(store.files().join("t.parquet"), what));
            assert_changed(value(&source, ALL).await, &format!("{store:?}: {what:?}"));
        }
        write_numbers(&store, "t.parquet", 7, 500, 100);
        assert_eq!(
            value(&source, "SELECT sum(n) FROM t").await.unwrap(),
            "128250",
            "asked again, it is the new content"
        );
    }
}

#[tokio::test]
async fn a_text_that_changes_in_mid_scan_is_noticed() {
    let text = || (0..60_000).map(|n| format!("{n},some text of row {n}\n")).collect::<String>();
    for store in stores().await {
        let make = |store: &Store| write(store, "t.csv", format!("n,text\n{}", text()));
        let source = over(&store, CSV, make).await;
        for what in CHANGES {
            make(&store);
            source.table("t").await.unwrap();
            store.manner().before_read("t.csv", 1, change(store.files().join("t.csv"), what));
            assert_changed(value(&source, ALL).await, &format!("{store:?}: {what:?}"));
        }
        write(&store, "t.csv", "n,text\n1,a\n");
        assert_eq!(value(&source, ALL).await.unwrap(), "1");
    }
}

/// A change while the table is described: the description is of one version or of none.
#[tokio::test]
async fn a_file_that_changes_while_it_is_described_is_noticed() {
    for store in stores().await {
        write_numbers(&store, "t.parquet", 0, 40_000, 10_000);
        let source = open(store.options(), PARQUET).await.unwrap();
        store.manner().before_read("t.parquet", 0, change(store.files().join("t.parquet"), Change::Replaced));
        assert_changed(source.table("t").await.map(|_| String::new()), "described");
        assert!(source.table("t").await.is_ok(), "the next time it is the new one");
    }
}
