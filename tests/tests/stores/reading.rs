//! What is asked of a server, seen from its side: how many requests, how many bytes, and never more than reading takes.

use std::fs;

use harness::store::{Manner, Note, OPEN_BUCKET, Store};

use super::{open, reads, value, words, write, write_numbers};

const ONE: &str = "[[table]]\nname='t'\npath='t.parquet'";

fn bytes(notes: &[Note]) -> u64 {
    notes.iter().map(Note::bytes).sum()
}

/// Whether a request asked for the end of a file of this size, where a footer stands.
fn asks_for_footer(note: &Note, size: u64) -> bool {
    let range = note.headers["range"].to_str().unwrap();
    range.ends_with(&format!("-{}", size - 1))
}

#[tokio::test]
async fn a_pruned_read_asks_for_few_bytes_and_for_no_footer_twice() {
    for store in [Store::s3(Manner::default()).await, Store::web(Manner::default()).await] {
        write_numbers(&store, "t.parquet", 0, 200_000, 10_000);
        let size = fs::metadata(store.files().join("t.parquet")).unwrap().len();
        let source = open(store.options(), ONE).await.unwrap();
        assert_eq!(words(&store.take_notes()), [""; 0], "nothing is asked when a source is opened");

        source.table("t").await.unwrap();
        let described = store.take_notes();
        assert_eq!(words(&described), ["HEAD", "READ"], "one request for the version, one for the footer");
        assert!(asks_for_footer(&described[1], size));

        // One row group of twenty, one page of five in it, two columns of three.
        let sql = "SELECT sum(twice) FROM t WHERE n BETWEEN 50000 AND 50999";
        for _ in 0..2 {
            assert_eq!(value(&source, sql).await.unwrap(), "100999000");
            let notes = store.take_notes();
            assert_eq!(words(&notes)[0], "HEAD", "the version is asked for again, and is the same");
            assert!((1..=2).contains(&reads(&notes)), "{:?}", words(&notes));
            assert!(notes[1..].iter().all(|note| !asks_for_footer(note, size)), "the footer is kept");
            // Two columns of the row group as a whole are a sixty-fifth.
            assert!(bytes(&notes) < size / 80, "{} of {size} bytes", bytes(&notes));
        }
        assert_eq!(value(&source, "SELECT count(*) FROM t").await.unwrap(), "200000");
        assert_eq!(words(&store.take_notes()), ["HEAD"], "a count is known from the footer");
        let whole = value(&source, "SELECT count(DISTINCT text) FROM t").await.unwrap();
        assert_eq!(whole, "200000");
        let notes = store.take_notes();
        assert!(bytes(&notes) > size / 2, "what is needed is read: {} of {size} bytes", bytes(&notes));
    }
}

#[tokio::test]
async fn of_many_files_only_what_is_new_is_described() {
    let store = Store::s3(Manner::default()).await;
    for file in 0..20 {
        write_numbers(&store, &format!("t/{file:02}.parquet"), file, 1, 100);
        write(&store, &format!("u/{file:02}.csv"), format!("n\n{file}\n"));
    }
    let tables = "[[table]]\nname='t'\npath='t/'\nformat='parquet'\n[[table]]\nname='u'\npath='u/*.csv'";
    let source = open(store.options(), tables).await.unwrap();
    for (table, new) in [("t", "t/20.parquet"), ("u", "u/20.csv")] {
        let before = source.table(table).await.unwrap().description;
        assert_eq!(reads(&store.take_notes()), 20, "{table}: each file once");
        source.table(table).await.unwrap();
        assert_eq!(words(&store.take_notes()), ["LIST"], "{table}: nothing is new");
        match table {
            "t" => write_numbers(&store, new, 20, 1, 100),
            _ => write(&store, new, "n\n20\n"),
        }
        let after = source.table(table).await.unwrap().description;
        assert_eq!(words(&store.take_notes()), ["LIST", "READ"], "{table}: the new file and no other");
        assert_ne!(before.version, after.version);
        assert_eq!(after.statistics.num_rows.get_value(), Some(&21));
    }
    assert_eq!(value(&source, "SELECT sum(n) FROM t").await.unwrap(), "210");
    // A wider type is a reason to look at each again, and a file that is gone is no reason at all.
    write(&store, "u/20.csv", "n\n20.5\n");
    let widened = source.table("u").await.unwrap().description;
    assert_eq!(widened.schema.field(0).data_type().to_string(), "Float64");
    fs::remove_file(store.files().join("u/07.csv")).unwrap();
    store.take_notes();
    assert_eq!(source.table("u").await.unwrap().description.statistics.num_rows.get_value(), Some(&20));
    assert_eq!(words(&store.take_notes()), ["LIST"]);
}

#[tokio::test]
async fn files_that_partition_values_rule_out_are_not_asked_for() {
    for store in [Store::s3(Manner::default()).await, Store::web(Manner::default()).await] {
        for (region, year) in [("north", 2023), ("north", 2024), ("south", 2024)] {
            write(&store, &format!("t/region={region}/year={year}/a.csv"), format!("n\n{year}\n"));
        }
        let table = "[[table]]\nname='t'\npath='t/'\nformat='csv'\npartitions=['region','year:Int32']";
        let source = open(store.options(), table).await.unwrap();
        source.table("t").await.unwrap();
        store.take_notes();
        let sql = "SELECT sum(n) + 0 FROM t WHERE region = 'north' AND year = 2024";
        assert_eq!(value(&source, sql).await.unwrap(), "2024");
        let read: Vec<_> = store.take_notes().into_iter().filter(Note::is_read).map(|note| note.path).collect();
        assert_eq!(read.len(), 1, "{read:?}");
        assert!(read[0].ends_with("/a.csv") && read[0].contains("north"), "{read:?}");
    }
}

#[tokio::test]
async fn a_listing_of_several_pages_is_whole() {
    let store = Store::s3(Manner::default()).await;
    for file in 0..1_001 {
        write(&store, &format!("t/{file:04}.csv"), format!("n\n{file}\n"));
    }
    let source = open(store.options(), "[[table]]\nname='t'\npath='t/'\nformat='csv'").await.unwrap();
    assert_eq!(source.table("t").await.unwrap().description.statistics.num_rows.get_value(), Some(&1_001));
    let notes = store.take_notes();
    assert_eq!(words(&notes).into_iter().filter(|word| *word == "LIST").count(), 2);
    assert_eq!(value(&source, "SELECT sum(n) FROM t").await.unwrap(), "500500");
}

#[tokio::test]
async fn names_of_every_kind_are_found_and_what_is_no_data_is_not() {
    let names = ["a b.csv", "a+b&c.csv", "100%25.csv", "北京=é.csv", "[x]#1.csv", "~'(y)!.csv"];
    for store in [Store::s3(Manner::default()).await, Store::web(Manner::default()).await] {
        for name in names {
            write(&store, &format!("p q/t/{name}"), "n\n1\n");
        }
        for mark in ["_SUCCESS", ".part.csv", "sub/_delta_log/x.csv"] {
            write(&store, &format!("p q/t/{mark}"), "x");
        }
        let mut options = store.options();
        let root = match options["root"].as_str().unwrap() {
            root if root.starts_with("s3://") => format!("{root}/p q"),
            root => format!("{root}/p%20q/"),
        };
        options.insert("root".into(), root.into());
        let source = open(options.clone(), "[[table]]\nname='t'\npath='t/'\nformat='csv'").await.unwrap();
        assert_eq!(value(&source, "SELECT sum(n) FROM t").await.unwrap(), "6");
        for name in names {
            let table = format!("[[table]]\nname='t'\npath=[\"t/{name}\"]\nformat='csv'");
            let source = open(options.clone(), &table).await.unwrap();
            assert_eq!(value(&source, "SELECT n FROM t").await.unwrap(), "1", "{name}");
        }
        write(&store, "p q/t/notes.txt", "hello");
        let error = source.table("t").await.unwrap_err();
        assert!(error.to_string().starts_with("t/notes.txt: is not a csv file by its name"), "{error}");
    }
}

#[tokio::test]
async fn folders_that_a_console_has_marked_are_no_files() {
    let store = Store::s3(Manner::default()).await;
    write(&store, "t/a.csv", "n\n1\n");
    write(&store, "t/folder", "");
    let source = open(store.options(), "[[table]]\nname='t'\npath='t/'\nformat='csv'").await.unwrap();
    assert_eq!(value(&source, "SELECT n FROM t").await.unwrap(), "1");
}

#[tokio::test]
async fn a_store_needs_no_declaration() {
    for store in [Store::s3(Manner::default()).await, Store::web(Manner::default()).await] {
        write(&store, "航班.csv", "a,b\n1,x\n");
        write(&store, "t/year=2024/part.ndjson", "{\"z\":1}\n");
        write(&store, "README.md", "not data");
        write(&store, ".u.csv", "");
        write(&store, "empty/notes.txt", "x");
        let source = open(store.options(), "").await.unwrap();
        let names: Vec<_> = source.tables().await.unwrap().into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["t", "航班"]);
        store.take_notes();
        assert_eq!(value(&source, "SELECT z FROM t WHERE year = '2024'").await.unwrap(), "1");
        write(&store, "later.csv", "a\n1\n");
        assert_eq!(source.tables().await.unwrap().len(), 3);
        assert!(source.table("no").await.unwrap_err().to_string().contains("is not in this source"));
    }
}

#[tokio::test]
async fn a_server_that_lists_nothing_serves_the_files_that_are_named() {
    let store = Store::web(Manner { lists_nothing: true, ..Manner::default() }).await;
    for year in [2023, 2024] {
        write(&store, &format!("year={year}/a.csv"), format!("n\n{year}\n"));
    }
    let table = "[[table]]\nname='t'\npath=['year=2023/a.csv', 'year=2024/a.csv']";
    let source = open(store.options(), table).await.unwrap();
    assert_eq!(value(&source, "SELECT sum(n) FROM t").await.unwrap(), "4047");
    assert_eq!(value(&source, "SELECT n FROM t WHERE year = '2024'").await.unwrap(), "2024");
}

#[tokio::test]
async fn a_public_bucket_is_read_as_nobody() {
    let store = Store::s3(Manner::default()).await;
    fs::write(store.beside().join(OPEN_BUCKET).join("t.csv"), "n\n7\n").unwrap();
    let mut options = store.options();
    for key in ["access_key_id_file", "secret_access_key_file"] {
        options.remove(key);
    }
    options.insert("root".into(), format!("s3://{OPEN_BUCKET}").into());
    options.insert("anonymous".into(), true.into());
    let source = open(options, "").await.unwrap();
    assert_eq!(value(&source, "SELECT n FROM t").await.unwrap(), "7");
    assert!(store.take_notes().iter().all(|note| !note.headers.contains_key("authorization")));
}

#[tokio::test]
async fn secrets_are_read_again_so_they_may_be_changed() {
    let store = Store::s3(Manner::default()).await;
    write(&store, "t/a.csv", "n\n7\n");
    let source = open(store.options(), "[[table]]\nname='t'\npath='t/'\nformat='csv'").await.unwrap();
    assert_eq!(value(&source, "SELECT n FROM t").await.unwrap(), "7");
    let key = store.beside().join("secret.key");
    let right = fs::read(&key).unwrap();
    fs::write(&key, "another").unwrap();
    let error = source.table("t").await.unwrap_err();
    assert!(error.to_string().contains("does not accept the source's account"), "{error}");
    fs::write(&key, right).unwrap();
    assert_eq!(value(&source, "SELECT n FROM t").await.unwrap(), "7");
    fs::remove_file(&key).unwrap();
    let error = source.table("t").await.unwrap_err();
    assert_eq!(error.to_string(), "t: cannot be read");
}

#[tokio::test]
async fn a_web_server_is_told_who_asks() {
    let store = Store::web(Manner::default()).await;
    write(&store, "t.csv", "n\n7\n");
    let secret = store.beside().join("web.key");
    fs::write(&secret, "hush\n").unwrap();
    let secret = secret.display();
    for (more, header, query) in [
        (format!("user = 'ana'\npassword_file = '{secret}'"), Some("Basic YW5hOmh1c2g="), ""),
        (format!("token_file = '{secret}'"), Some("Bearer hush"), ""),
        (format!("query_file = '{secret}'"), None, "hush"),
    ] {
        let source = open(store.options(), &more).await.unwrap();
        assert_eq!(value(&source, "SELECT n FROM t").await.unwrap(), "7");
        for note in store.take_notes() {
            let sent = note.headers.get("authorization").map(|value| value.to_str().unwrap());
            assert_eq!((sent, note.query.as_str()), (header, query), "{more}");
        }
    }
}
