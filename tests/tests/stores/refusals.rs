//! What a server refuses, what it cannot do, and what goes wrong on the way: told in our words, in time, and with no secret.

use std::path::Path;
use std::time::{Duration, Instant};

use connectors::ConnectorError;
use harness::cluster::{Border, Fault};
use harness::store::{DENIED_BUCKET, Manner, Store};
use http::StatusCode;

use super::{open, refusal, value, words, write, write_numbers};

const FILE: &str = "[[table]]\nname='t'\npath='t.csv'";
const DIRECTORY: &str = "[[table]]\nname='t'\npath='t/'\nformat='csv'";
const NO_RETRIES: &str = "retries_max = 0\n";

fn with(mut options: toml::Table, key: &str, value: impl Into<toml::Value>) -> toml::Table {
    options.insert(key.into(), value.into());
    options
}

async fn s3() -> Store {
    let store = Store::s3(Manner::default()).await;
    write(&store, "t.csv", "n\n7\n");
    write(&store, "t/a.csv", "n\n7\n");
    store
}

async fn web(manner: Manner) -> Store {
    let store = Store::web(manner).await;
    write(&store, "t.csv", "n\n7\n");
    write(&store, "t/a.csv", "n\n7\n");
    store
}

#[tokio::test]
async fn an_account_that_is_not_believed_or_may_not_is_told_apart() {
    let store = s3().await;
    std::fs::write(store.beside().join("wrong.key"), "wrong").unwrap();
    let wrong = store.beside().join("wrong.key").display().to_string();
    for key in ["access_key_id_file", "secret_access_key_file"] {
        let options = with(store.options(), key, wrong.clone());
        let (error, told) = refusal(options.clone(), DIRECTORY).await;
        assert!(matches!(error, ConnectorError::Unauthenticated { .. }), "{key}: {told}");
        // An answer to HEAD has no words at all, and one of S3 is always 403.
        let (error, told) = refusal(options, FILE).await;
        assert!(matches!(error, ConnectorError::Forbidden { .. }), "{key}: {told}");
    }
    let (error, told) = refusal(with(store.options(), "root", format!("s3://{DENIED_BUCKET}")), DIRECTORY).await;
    assert!(matches!(error, ConnectorError::Forbidden { .. }), "{told}");
    assert!(told.ends_with("the server answers 403 Forbidden AccessDenied"), "{told}");
}

#[tokio::test]
async fn what_is_not_there_is_named() {
    let store = s3().await;
    let nowhere = with(store.options(), "root", "s3://nowhere");
    let (_, told) = refusal(nowhere.clone(), DIRECTORY).await;
    assert_eq!(told, "t: there is no such bucket; correct the source's `root`");
    let source = open(nowhere, "").await.unwrap();
    let told = source.tables().await.unwrap_err().to_string();
    assert_eq!(told, "root: there is no such bucket; correct the source's `root`");
    for options in [store.options(), web(Manner::default()).await.options()] {
        let (_, told) = refusal(options.clone(), "[[table]]\nname='t'\npath='no.csv'").await;
        assert_eq!(told, "no.csv: is not there; add the file, or correct the table's `path`");
        let (_, told) = refusal(options, "[[table]]\nname='t'\npath='no/'\nformat='csv'").await;
        assert_eq!(told, "no: holds no files; add the table's files, or correct its `path`");
    }
}

#[tokio::test]
async fn no_redirect_is_followed() {
    let elsewhere = web(Manner::default()).await;
    let location: &'static str = format!("{}/files/t.csv", elsewhere.address()).leak();
    for (store, table) in [(s3().await, DIRECTORY), (web(Manner::default()).await, FILE)] {
        for status in [StatusCode::MOVED_PERMANENTLY, StatusCode::FOUND, StatusCode::TEMPORARY_REDIRECT] {
            store.manner().answer(1, status, location, "");
            let (_, told) = refusal(store.options(), table).await;
            assert!(told.contains("the server points elsewhere, and no redirect is followed"), "{told}");
        }
    }
    assert_eq!(words(&elsewhere.take_notes()), [""; 0]);
}

#[tokio::test]
async fn what_may_pass_is_asked_for_again_and_not_for_ever() {
    let slow_down =
        "<?xml version=\"1.0\"?><Error><Code>SlowDown</Code><Message>a server's own words</Message></Error>";
    for store in [s3().await, web(Manner::default()).await] {
        store.manner().answer(2, StatusCode::SERVICE_UNAVAILABLE, "", slow_down);
        let source = open(store.options(), FILE).await.unwrap();
        assert_eq!(value(&source, "SELECT n FROM t").await.unwrap(), "7");
        store.take_notes();
        for (status, is_exhausted) in [
            (StatusCode::SERVICE_UNAVAILABLE, true),
            (StatusCode::TOO_MANY_REQUESTS, true),
            (StatusCode::INTERNAL_SERVER_ERROR, false),
        ] {
            store.manner().answer(100, status, "", "<Error><Code>a server's own words</Code></Error>");
            let (error, told) = refusal(with(store.options(), "retries_max", 1), FILE).await;
            assert_eq!(matches!(error, ConnectorError::Exhausted { .. }), is_exhausted, "{told}");
            assert!(told.contains(&format!("the server answers {}", status.as_u16())), "{told}");
            assert_eq!(store.take_notes().len(), 2, "once, and once again");
            store.manner().answer_truly();
        }
    }
}

#[tokio::test]
async fn a_server_that_is_silent_is_given_up_in_time() {
    let store = s3().await;
    write_numbers(&store, "t.parquet", 0, 100_000, 50_000);
    let border = Border::open(store.address().trim_start_matches("http://")).await;
    let options = store.options_through(&format!("http://{}", border.address()));
    let options = with(with(options, "request_timeout_ms", 300), "retries_max", 1);
    border.set(Fault::StallAfter(0));
    let began = Instant::now();
    let (error, told) = refusal(options.clone(), FILE).await;
    assert!(matches!(error, ConnectorError::DeadlineExceeded { .. }), "{told}");
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());

    border.set(Fault::None);
    let source = open(options, "[[table]]\nname='t'\npath='t.parquet'").await.unwrap();
    source.table("t").await.unwrap();
    border.set(Fault::StallAfter(300_000));
    let began = Instant::now();
    let error = value(&source, "SELECT count(DISTINCT text) FROM t").await.unwrap_err();
    assert!(format!("{error:?}").contains("DeadlineExceeded"), "{error:?}");
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_connection_that_is_cut_is_taken_up_where_it_broke() {
    let store = s3().await;
    write_numbers(&store, "t.parquet", 0, 100_000, 50_000);
    let border = Border::open(store.address().trim_start_matches("http://")).await;
    let options = store.options_through(&format!("http://{}", border.address()));
    let source = open(options, "[[table]]\nname='t'\npath='t.parquet'").await.unwrap();
    source.table("t").await.unwrap();
    border.set(Fault::CutAfter(700_000));
    let asked = value(&source, "SELECT count(DISTINCT text) FROM t");
    let mended = async {
        let mut notes = store.take_notes();
        while notes.iter().all(|note| note.bytes() < 500_000) {
            tokio::time::sleep(Duration::from_millis(10)).await;
            notes.extend(store.take_notes());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        border.set(Fault::None);
    };
    let (asked, ()) = tokio::join!(asked, mended);
    assert_eq!(asked.unwrap(), "100000");

    border.set(Fault::CutAfter(100_000));
    let error = value(&source, "SELECT count(DISTINCT text) FROM t").await.unwrap_err();
    assert!(format!("{error:?}").contains("Unavailable"), "{error:?}");
}

#[tokio::test]
async fn a_server_that_is_gone_is_told_by_how() {
    let store = s3().await;
    let mut options = with(with(store.options(), "retries_max", 1), "anonymous", true);
    // Its keys are gone with it.
    options.retain(|key, _| !key.ends_with("_file"));
    drop(store);
    // Its socket is closed once its task is.
    tokio::time::sleep(Duration::from_millis(100)).await;
    let (error, told) = refusal(options.clone(), FILE).await;
    assert!(matches!(error, ConnectorError::Unavailable { .. }), "{told}");
    assert_eq!(told, "t.csv: cannot be read <- no connection: connection refused");
    let (_, told) = refusal(with(options, "endpoint", "http://no-such-host.invalid"), FILE).await;
    assert!(told.starts_with("t.csv: cannot be read <- no connection"), "{told}");
}

#[tokio::test]
async fn what_a_server_cannot_do_is_told_with_what_helps() {
    for (manner, table, expected) in [
        (
            Manner { ignores_ranges: true, ..Manner::default() },
            FILE,
            "t.csv: the server gives files as a whole only; serve them by a server that knows ranges",
        ),
        (
            Manner { hides: vec!["etag", "last-modified"], ..Manner::default() },
            FILE,
            "t.csv: the server tells neither its tag nor when it was changed",
        ),
        (
            Manner { lists_nothing: true, ..Manner::default() },
            DIRECTORY,
            "t: the server lists no directory (WebDAV); name the table's files",
        ),
    ] {
        let (error, told) = refusal(web(manner).await.options(), table).await;
        assert!(matches!(error, ConnectorError::InvalidData { .. }), "{error:?}");
        assert!(told.starts_with(expected), "{told}");
    }
}

/// What is sent beyond the range is not waited for, let alone kept.
#[tokio::test]
async fn a_server_that_sends_more_than_it_said_is_not_heard_out() {
    const MORE: usize = 256 << 20;
    for manner in [Manner { sends_more: MORE, ..Manner::default() }, Manner { sends_more: 1, ..Manner::default() }] {
        let sends_more = manner.sends_more;
        let store = web(manner).await;
        let (error, told) = refusal(with(store.options(), "retries_max", 0), FILE).await;
        assert!(matches!(error, ConnectorError::Changed { .. }), "{sends_more}: {told}");
        let sent: u64 = store.take_notes().iter().map(harness::store::Note::bytes).sum();
        assert!(sent < (MORE / 4) as u64, "{sends_more}: {sent} bytes were sent");
    }
}

#[tokio::test]
async fn a_server_of_another_authority_is_not_believed() {
    let over_tls = || Manner { over_tls: true, ..Manner::default() };
    let (ours, other) = (Store::s3(over_tls()).await, Store::s3(over_tls()).await);
    write(&ours, "t.csv", "n\n7\n");
    let source = open(ours.options(), FILE).await.unwrap();
    assert_eq!(value(&source, "SELECT n FROM t").await.unwrap(), "7");
    let wrong = with(ours.options(), "tls_ca", other.authority().display().to_string());
    let (error, told) = refusal(with(wrong, "retries_max", 0), FILE).await;
    assert!(matches!(error, ConnectorError::Unavailable { .. }), "{told}");
    assert!(told.contains("invalid peer certificate"), "{told}");
    // Nor is one that the machine does not know, and there is no way to say that it does not matter.
    let mut unnamed = with(ours.options(), "retries_max", 0);
    unnamed.remove("tls_ca");
    let (_, told) = refusal(unnamed, FILE).await;
    assert!(told.contains("invalid peer certificate"), "{told}");
}

#[tokio::test]
async fn every_fault_of_the_options_is_named_and_no_server_is_asked() {
    let keys = "access_key_id_env = 'PATH'\nsecret_access_key_env = 'PATH'\n";
    for (text, expected) in [
        ("root = 's3://'", "root access_key_id_file secret_access_key_file"),
        ("root = 's3://a..b/x//y'\nanonymous = true", "root root"),
        ("root = 's3://b'\nanonymous = true\nregions = 'x'", "regions"),
        (&format!("root = 's3://b'\nanonymous = true\n{keys}"), "access_key_id_env secret_access_key_env"),
        (&format!("root = 's3://b'\n{keys}endpoint = 'http://h'"), "endpoint"),
        (&format!("root = 's3://b'\n{keys}endpoint = 'https://u:hush@h'"), "endpoint"),
        (&format!("root = 's3://b'\n{keys}access_key_id_file = '/nowhere'"), "access_key_id_env"),
        (
            "root = 's3://b'\naccess_key_id_file = '/nowhere'\nsecret_access_key_env = 'NO_SUCH'",
            "access_key_id_file secret_access_key_env",
        ),
        ("root = 's3://b'\nanonymous = true\nsecret_access_key = 'hush'", "secret_access_key"),
        ("root = 'gs://b'", "root"),
        ("root = 'http://h/x'", "root"),
        ("root = 'http://h/x'\nallow_http = true\ntls_ca = '/nowhere'", "tls_ca"),
        ("root = 'https://u:hush@h/x'", "root"),
        ("root = 'https://h/x?sig=hush'", "root"),
        ("root = 'https://h'\nuser = 'u'", "user"),
        ("root = 'https://h'\npassword_env = 'PATH'", "user"),
        ("root = 'https://h'\ntoken_env = 'PATH'\nquery_env = 'PATH'", "query_env"),
        ("root = 'https://h'\nrequest_timeout_ms = 0\nretries_max = -1", "request_timeout_ms retries_max"),
        ("root = 'https://h'\n[[table]]\nname='t'\npath='t/'", "table[0].format"),
        ("root = 'https://h'\n[[table]]\nname='t'\npath=['a.csv','a.csv','../b.csv']", "table[0].path table[0].path"),
        ("root = 'https://h'\n[[table]]\nname='t'\npath=[]\nformat='csv'", "table[0].path"),
        ("root = 'https://h'\n[[table]]\nname='t'\npath='../t.csv'", "table[0].path"),
    ] {
        let faults = connectors::registry::check("files", &toml::from_str(text).unwrap(), Path::new("."));
        let found: Vec<_> = faults.iter().map(|fault| fault.key.as_str()).collect();
        assert_eq!(found.join(" "), expected, "{text}: {faults:?}");
        assert!(!format!("{faults:?}").contains("hush"), "{faults:?}");
    }
    let table = format!("{NO_RETRIES}{FILE}");
    let unreached = "root = 'https://127.0.0.1:1'";
    assert!(open(toml::from_str(unreached).unwrap(), &table).await.is_ok(), "opening asks nothing");
}
