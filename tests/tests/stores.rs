//! Object stores and HTTP servers as places of `files`: what they are asked, what they may refuse, what may go wrong.

mod changing;
mod federation;
mod reading;
mod refusals;

use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use connectors::{ConnectorError, Source};
use datafusion::error::DataFusionError;
use datafusion::prelude::SessionContext;
use harness::store::{ACCESS_KEY_ID, Note, SECRET_ACCESS_KEY, Store};
use parquet::arrow::ArrowWriter;
use parquet::file::properties::WriterProperties;

/// What a server says in its own words, which nobody is told.
const OWN_WORDS: &str = "a server's own words";

/// A source with `tables` over `options`.
async fn open(mut options: toml::Table, tables: &str) -> Result<Arc<dyn Source>, ConnectorError> {
    let more: toml::Table = toml::from_str(tables).unwrap();
    options.extend(more);
    connectors::registry::open("files", "s", options, Path::new(".")).await
}

/// The first value of the answer to `sql` over the table `t`, or what went wrong on the way.
async fn value(source: &Arc<dyn Source>, sql: &str) -> Result<String, ConnectorError> {
    let table = source.table("t").await?;
    let ctx = SessionContext::new();
    ctx.register_table("t", table.provider).unwrap();
    match ctx.sql(sql).await.unwrap().collect().await {
        Ok(batches) => {
            let batch = batches.iter().find(|batch| batch.num_rows() > 0).unwrap();
            Ok(arrow::util::display::array_value_to_string(batch.column(0), 0).unwrap())
        }
        Err(error) => {
            assert_untold(&format!("{error:?} {error}"));
            Err(ConnectorError::find(&error).map_or_else(|| no_error_of_ours(&error), owned))
        }
    }
}

/// An error that the source should have said in its own words.
fn no_error_of_ours(error: &DataFusionError) -> ConnectorError {
    ConnectorError::unavailable("a scan", format!("not ours: {error:?}"))
}

/// What can be said of an error that is somebody else's.
fn owned(error: &ConnectorError) -> ConnectorError {
    match error {
        ConnectorError::Changed { location } => ConnectorError::Changed { location: location.clone() },
        other => ConnectorError::unavailable("a scan", format!("{other:?}")),
    }
}

/// The error of the table `t`, as an administrator is told it, with its causes; no secret and no word of a server is in it.
async fn refusal(options: toml::Table, table: &str) -> (ConnectorError, String) {
    let source = open(options, table).await.unwrap();
    let error = source.table("t").await.expect_err("an error");
    let mut told = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(next) = cause {
        told.push_str(&format!(" <- {next}"));
        cause = next.source();
    }
    assert_untold(&format!("{error:?} {told}"));
    (error, told)
}

fn assert_untold(told: &str) {
    for secret in [OWN_WORDS, ACCESS_KEY_ID, SECRET_ACCESS_KEY, "Signature=", "sig=hush", "hush"] {
        assert!(!told.contains(secret), "{secret:?} is told: {told}");
    }
}

fn write(store: &Store, path: &str, content: impl AsRef<[u8]>) {
    let aside = store.beside().join("aside");
    fs::write(&aside, content).unwrap();
    let path = store.files().join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::rename(aside, path).unwrap();
}

/// A Parquet file of the numbers from `first` on, in row groups and pages of some rows, beside text that weighs something.
fn write_numbers(store: &Store, path: &str, first: i64, rows: i64, group_rows: usize) {
    let batch = numbers(first, rows);
    let aside = store.beside().join("aside");
    let properties = WriterProperties::builder()
        .set_max_row_group_row_count(Some(group_rows))
        .set_data_page_row_count_limit(group_rows / 5)
        .set_write_batch_size(group_rows / 5)
        // A dictionary is of a whole row group, and would be read for a page.
        .set_dictionary_enabled(false)
        .build();
    let mut writer = ArrowWriter::try_new(File::create(&aside).unwrap(), batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    let path = store.files().join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::rename(aside, path).unwrap();
}

fn numbers(first: i64, rows: i64) -> RecordBatch {
    let numbers = first..first + rows;
    // No two rows alike, so that nothing of it can be packed.
    let text = |n: i64| format!("{:016x}{:016x}", n.wrapping_mul(0x9E37_79B9_7F4A_7C15_u64.cast_signed()), !n);
    let columns: [(&str, ArrayRef); 3] = [
        ("n", Arc::new(Int64Array::from_iter_values(numbers.clone()))),
        ("twice", Arc::new(Int64Array::from_iter_values(numbers.clone().map(|n| 2 * n)))),
        ("text", Arc::new(StringArray::from_iter_values(numbers.map(text)))),
    ];
    RecordBatch::try_from_iter(columns).unwrap()
}

/// Methods of requests, in order, a word each: `HEAD`, `LIST`, `READ`.
fn words(notes: &[Note]) -> Vec<&'static str> {
    let word = |note: &Note| match note.method.as_str() {
        "HEAD" => "HEAD",
        "PROPFIND" => "LIST",
        "GET" if note.query.contains("list-type=2") => "LIST",
        "GET" if note.is_read() => "READ",
        other => panic!("a request that was not needed: {other} {} {}", note.path, note.query),
    };
    notes.iter().map(word).collect()
}

fn reads(notes: &[Note]) -> usize {
    words(notes).into_iter().filter(|word| *word == "READ").count()
}
