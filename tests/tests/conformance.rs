//! The connectors' own suite, run for `files` in every layout it offers, in a directory and in stores.

mod files;

use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::csv::WriterBuilder;
use arrow::datatypes::{DataType, Schema};
use arrow::json::LineDelimitedWriter;
use arrow::util::display::array_value_to_string;
use async_trait::async_trait;
use connectors::conformance::{FixtureTable, Place, run};
use connectors::{Connector, ConnectorError, Source};
use datafusion::prelude::SessionContext;
use harness::store::{Manner, Store};
use parquet::arrow::ArrowWriter;
use tempfile::TempDir;

/// What a NULL is written as in CSV, so that the empty text stays a text.
const NULL: &str = "\\N";
/// Files of a table that has several.
const PARTS: usize = 3;

/// How a table's rows are laid out in files.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Layout {
    OneFile,
    ManyFiles,
}

/// A directory with tables in one format and layout.
#[derive(Debug)]
struct Directory {
    kept: Kept,
    format: &'static str,
    layout: Layout,
    /// The encoding of text, where it is not UTF-8 anyway.
    encoding: Option<&'static str>,
}

/// Where the directory is, for a source.
#[derive(Debug)]
enum Kept {
    Here(TempDir),
    /// It is served, and read from its server.
    Served(Store),
}

impl Directory {
    fn new(format: &'static str, layout: Layout) -> Self {
        Self { kept: Kept::Here(TempDir::new().unwrap()), format, layout, encoding: None }
    }

    fn served(store: Store, format: &'static str, layout: Layout) -> Self {
        Self { kept: Kept::Served(store), format, layout, encoding: None }
    }

    fn root(&self) -> &Path {
        match &self.kept {
            Kept::Here(root) => root.path(),
            Kept::Served(store) => store.files(),
        }
    }

    async fn open(&self, tables: Vec<toml::Table>) -> Result<Arc<dyn Source>, ConnectorError> {
        let mut options = match &self.kept {
            Kept::Here(_) => toml::Table::from_iter([("root".to_owned(), ".".into())]),
            Kept::Served(store) => store.options(),
        };
        options.insert("table".into(), tables.into());
        connectors::registry::open("files", "fixture", options, self.root()).await
    }

    fn write(&self, table: &FixtureTable, encoding: Option<&str>) {
        let path = self.root().join(&table.name);
        match self.layout {
            Layout::OneFile => self.write_file(&path.with_extension(self.format), &table.rows, encoding),
            Layout::ManyFiles => {
                let rows = table.rows.num_rows();
                let part_rows = rows.div_ceil(PARTS);
                for part in 0..PARTS {
                    let start = (part * part_rows).min(rows);
                    let slice = table.rows.slice(start, part_rows.min(rows - start));
                    self.write_file(&path.join(format!("第{part}.{}", self.format)), &slice, encoding);
                }
            }
        }
    }

    /// Written aside and renamed, as careful writers do; a new file even where the content is the same.
    fn write_file(&self, path: &Path, rows: &RecordBatch, encoding: Option<&str>) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let aside = match &self.kept {
            Kept::Here(root) => root.path().join(".aside"),
            Kept::Served(store) => store.beside().join("aside"),
        };
        match self.format {
            "parquet" => {
                let mut writer = ArrowWriter::try_new(File::create(&aside).unwrap(), rows.schema(), None).unwrap();
                writer.write(rows).unwrap();
                writer.close().unwrap();
            }
            "csv" => fs::write(&aside, encoded(csv(rows), encoding)).unwrap(),
            "ndjson" => fs::write(&aside, ndjson(rows)).unwrap(),
            other => panic!("no such format: {other}"),
        }
        fs::rename(&aside, path).unwrap();
    }

    fn table_options(&self, table: &FixtureTable, encoding: Option<&str>) -> toml::Table {
        let path = match self.layout {
            Layout::OneFile => format!("{}.{}", table.name, self.format),
            Layout::ManyFiles => self.directory(&table.name),
        };
        let mut options = toml::Table::new();
        options.insert("name".into(), table.name.clone().into());
        options.insert("path".into(), path.into());
        if let Kept::Served(_) = self.kept {
            options.insert("format".into(), self.format.into());
        }
        if self.format != "parquet" {
            let types = types(&table.rows.schema());
            let schema = match self.format {
                "csv" => types.into_iter().collect::<toml::Table>().into(),
                _ => ordered(types).into(),
            };
            options.insert("schema".into(), schema);
        }
        if self.format == "csv" {
            options.insert("null_text".into(), vec![NULL].into());
        }
        if let Some(encoding) = encoding {
            options.insert("encoding".into(), encoding.into());
        }
        options
    }

    /// How a directory is written: of a server nobody can see whether it is one.
    fn directory(&self, name: &str) -> String {
        match &self.kept {
            Kept::Here(_) => name.to_owned(),
            Kept::Served(_) => format!("{name}/"),
        }
    }

    async fn load_in(
        &self,
        tables: &[FixtureTable],
        encoding: Option<&str>,
    ) -> Result<Arc<dyn Source>, ConnectorError> {
        empty(self.root());
        tables.iter().for_each(|table| self.write(table, encoding));
        self.open(tables.iter().map(|table| self.table_options(table, encoding)).collect()).await
    }
}

#[async_trait]
impl Place for Directory {
    fn connector(&self) -> &'static dyn Connector {
        connectors::registry::connectors().into_iter().find(|connector| connector.kind() == "files").unwrap()
    }

    async fn load(&self, tables: &[FixtureTable]) -> Result<Arc<dyn Source>, ConnectorError> {
        self.load_in(tables, self.encoding).await
    }

    async fn load_encoded(&self, tables: &[FixtureTable], label: &str) -> Result<Arc<dyn Source>, ConnectorError> {
        self.load_in(tables, Some(label)).await
    }

    async fn load_partitioned(&self, table: &FixtureTable, column: &str) -> Result<Arc<dyn Source>, ConnectorError> {
        empty(self.root());
        let schema = table.rows.schema();
        let position = schema.index_of(column).unwrap();
        let others: Vec<_> = (0..schema.fields().len()).filter(|other| *other != position).collect();
        for row in 0..table.rows.num_rows() {
            let value = array_value_to_string(table.rows.column(position), row).unwrap();
            let rest = table.rows.slice(row, 1).project(&others).unwrap();
            let path = self.root().join(&table.name).join(format!("{column}={value}"));
            self.write_file(&path.join(format!("{row}.{}", self.format)), &rest, self.encoding);
        }
        let whole = FixtureTable { name: table.name.clone(), rows: table.rows.project(&others).unwrap() };
        let mut options = self.table_options(&whole, self.encoding);
        options.insert("path".into(), self.directory(&table.name).into());
        self.open(vec![options]).await
    }

    async fn replace(&self, table: &FixtureTable) -> Result<(), ConnectorError> {
        self.write(table, self.encoding);
        Ok(())
    }
}

/// Types by column, in order.
fn types(schema: &Schema) -> Vec<(String, toml::Value)> {
    schema
        .fields()
        .iter()
        .map(|field| {
            let written = match field.data_type() {
                DataType::Timestamp(_, None) => "Timestamp(µs)".to_owned(),
                other => other.to_string(),
            };
            (field.name().clone(), written.into())
        })
        .collect()
}

/// The list form of a declaration.
fn ordered(types: Vec<(String, toml::Value)>) -> Vec<String> {
    let written = |(name, data_type): (String, toml::Value)| format!("{name}:{}", data_type.as_str().unwrap());
    types.into_iter().map(written).collect()
}

fn csv(rows: &RecordBatch) -> String {
    let mut text = Vec::new();
    let mut writer = WriterBuilder::new().with_null(NULL.to_owned()).build(&mut text);
    writer.write(rows).unwrap();
    drop(writer);
    String::from_utf8(text).unwrap()
}

fn ndjson(rows: &RecordBatch) -> Vec<u8> {
    let mut text = Vec::new();
    let mut writer = LineDelimitedWriter::new(&mut text);
    writer.write(rows).unwrap();
    writer.finish().unwrap();
    drop(writer);
    text
}

fn encoded(text: String, label: Option<&str>) -> Vec<u8> {
    match label {
        None => text.into_bytes(),
        Some(label) => {
            let encoding = encoding_rs::Encoding::for_label(label.as_bytes()).unwrap();
            let (bytes, _, had_errors) = encoding.encode(&text);
            assert!(!had_errors);
            bytes.into_owned()
        }
    }
}

fn empty(directory: &Path) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { fs::remove_dir_all(path).unwrap() } else { fs::remove_file(path).unwrap() }
    }
}

/// Checks of the suite; a check that is dropped from it must be dropped here, too.
const CHECKS: usize = 18;

async fn check(place: Directory) {
    let state = SessionContext::new().state();
    match run(&place, &state).await {
        Ok(held) => assert_eq!(held.len(), CHECKS, "{held:?}"),
        Err(failures) => {
            let failures: Vec<_> = failures.iter().map(ToString::to_string).collect();
            panic!("{place:?}\n{}", failures.join("\n"));
        }
    }
}

#[tokio::test]
async fn files_parquet() {
    check(Directory::new("parquet", Layout::OneFile)).await;
}

#[tokio::test]
async fn files_parquet_many() {
    check(Directory::new("parquet", Layout::ManyFiles)).await;
}

#[tokio::test]
async fn files_csv() {
    check(Directory::new("csv", Layout::OneFile)).await;
}

#[tokio::test]
async fn files_csv_many() {
    check(Directory::new("csv", Layout::ManyFiles)).await;
}

#[tokio::test]
async fn files_csv_gb18030() {
    check(Directory { encoding: Some("gb18030"), ..Directory::new("csv", Layout::OneFile) }).await;
}

#[tokio::test]
async fn files_ndjson() {
    check(Directory::new("ndjson", Layout::OneFile)).await;
}

#[tokio::test]
async fn files_ndjson_many() {
    check(Directory::new("ndjson", Layout::ManyFiles)).await;
}

#[tokio::test]
async fn s3_parquet() {
    check(Directory::served(Store::s3(Manner::default()).await, "parquet", Layout::OneFile)).await;
}

#[tokio::test]
async fn s3_parquet_many() {
    check(Directory::served(Store::s3(Manner::default()).await, "parquet", Layout::ManyFiles)).await;
}

#[tokio::test]
async fn s3_csv_many() {
    check(Directory::served(Store::s3(Manner::default()).await, "csv", Layout::ManyFiles)).await;
}

#[tokio::test]
async fn s3_csv_gb18030() {
    let place = Directory::served(Store::s3(Manner::default()).await, "csv", Layout::OneFile);
    check(Directory { encoding: Some("gb18030"), ..place }).await;
}

#[tokio::test]
async fn s3_ndjson_many() {
    check(Directory::served(Store::s3(Manner::default()).await, "ndjson", Layout::ManyFiles)).await;
}

#[tokio::test]
async fn s3_of_a_server_that_heeds_no_condition() {
    let manner = Manner { ignores_conditions: true, ..Manner::default() };
    check(Directory::served(Store::s3(manner).await, "parquet", Layout::ManyFiles)).await;
}

#[tokio::test]
async fn s3_over_tls() {
    let manner = Manner { over_tls: true, ..Manner::default() };
    check(Directory::served(Store::s3(manner).await, "csv", Layout::OneFile)).await;
}

#[tokio::test]
async fn http_parquet() {
    check(Directory::served(Store::web(Manner::default()).await, "parquet", Layout::OneFile)).await;
}

#[tokio::test]
async fn http_parquet_many() {
    check(Directory::served(Store::web(Manner::default()).await, "parquet", Layout::ManyFiles)).await;
}

#[tokio::test]
async fn http_csv_many() {
    check(Directory::served(Store::web(Manner::default()).await, "csv", Layout::ManyFiles)).await;
}

#[tokio::test]
async fn http_ndjson() {
    check(Directory::served(Store::web(Manner::default()).await, "ndjson", Layout::OneFile)).await;
}
