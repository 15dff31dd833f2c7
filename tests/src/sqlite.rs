//! A SQLite database file of a test's own, written by SQLite as any program would; removed when dropped.

use std::path::PathBuf;
use std::time::Duration;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Float64Type, Int64Type, SchemaRef};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use rusqlite::Connection;
use rusqlite::types::Value;
use tempfile::TempDir;

use crate::dataset::{Dataset, quote};

/// A database in a directory of its own.
#[derive(Debug)]
pub struct SqliteFile {
    directory: TempDir,
}

/// The tables of a source of a data set, in a file of the site's own.
#[derive(Debug)]
pub struct KeptSource {
    site: String,
    source: String,
    file: SqliteFile,
}

impl KeptSource {
    /// Every source of a plain data set.
    pub fn of(dataset: &Dataset) -> Vec<Self> {
        let kept = |(site, source): (&str, &str)| {
            // In WAL mode: a site that is asked much at one time is not to keep itself waiting.
            let file = SqliteFile::with("PRAGMA journal_mode = WAL");
            for table in dataset.tables.iter().filter(|table| table.site == site && table.source == source) {
                let (schema, rows) = table.rows();
                file.load(&table.name, &schema, &rows);
            }
            Self { site: site.to_string(), source: source.to_string(), file }
        };
        dataset.sources().into_iter().map(kept).collect()
    }

    /// As its site is configured to read it, after the site's name.
    pub fn source(&self) -> (String, toml::Table) {
        (self.site.clone(), self.file.source(&self.source))
    }
}

impl SqliteFile {
    /// An empty database.
    pub fn new() -> Self {
        let file = Self { directory: TempDir::with_prefix("chancery-sqlite-").expect("a temporary directory") };
        // Something has to be written, or there is no file.
        file.run("PRAGMA user_version = 1");
        file
    }

    /// A database with tables.
    pub fn with(sql: &str) -> Self {
        let file = Self::new();
        file.run(sql);
        file
    }

    /// Where it is.
    pub fn path(&self) -> PathBuf {
        self.directory.path().join("registry.db")
    }

    /// The options of a source over it.
    pub fn options(&self) -> toml::Table {
        let path = self.path().to_str().expect("a path in UTF-8").to_owned();
        [("path".to_owned(), path.into())].into_iter().collect()
    }

    /// The same with the source's name and kind, as a `[[source]]` is written.
    pub fn source(&self, name: &str) -> toml::Table {
        let mut source = self.options();
        source.insert("name".into(), name.into());
        source.insert("kind".into(), "sqlite".into());
        source
    }

    /// A connection that writes. It waits for others.
    pub fn connection(&self) -> Connection {
        let connection = Connection::open(self.path()).expect("a database");
        connection.busy_timeout(Duration::from_secs(20)).expect("a timeout");
        connection
    }

    /// Runs statements, `;` between them.
    pub fn run(&self, sql: &str) {
        self.connection().execute_batch(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
    }

    /// Makes a table of exactly these columns and rows.
    pub fn load(&self, name: &str, schema: &SchemaRef, batches: &[RecordBatch]) {
        let columns =
            schema.fields().iter().map(|field| format!("{} {}", quote(field.name()), declared(field.data_type())));
        let columns: Vec<String> = columns.collect();
        self.run(&format!("CREATE TABLE {} ({})", quote(name), columns.join(", ")));
        self.fill(name, batches);
    }

    /// Adds rows to a table.
    pub fn fill(&self, name: &str, batches: &[RecordBatch]) {
        let mut connection = self.connection();
        let transaction = connection.transaction().expect("nobody else writes");
        for batch in batches {
            let places = vec!["?"; batch.num_columns()].join(", ");
            let mut insert =
                transaction.prepare(&format!("INSERT INTO {} VALUES ({places})", quote(name))).expect("a table");
            for row in 0..batch.num_rows() {
                let values = batch.columns().iter().map(|column| value(column, row));
                insert.execute(rusqlite::params_from_iter(values)).expect("a row");
            }
        }
        transaction.commit().expect("nobody else writes");
    }
}

impl Default for SqliteFile {
    fn default() -> Self {
        Self::new()
    }
}

/// The words by which a column is served as this type; none if no column is.
pub fn declared(data_type: &DataType) -> String {
    match data_type {
        DataType::Int64 => "INTEGER".into(),
        DataType::Utf8 => "TEXT".into(),
        DataType::Binary => "BLOB".into(),
        DataType::Float64 => "REAL".into(),
        DataType::Boolean => "BOOLEAN".into(),
        DataType::Date32 => "DATE".into(),
        DataType::Time64(_) => "TIME".into(),
        DataType::Timestamp(_, None) => "DATETIME".into(),
        DataType::Timestamp(_, Some(_)) => "TIMESTAMPTZ".into(),
        DataType::Decimal128(precision, scale) => format!("DECIMAL({precision}, {scale})"),
        other => panic!("no column of {other} is expected"),
    }
}

fn value(column: &dyn Array, row: usize) -> Value {
    if column.is_null(row) {
        return Value::Null;
    }
    match column.data_type() {
        DataType::Int64 => Value::Integer(column.as_primitive::<Int64Type>().value(row)),
        DataType::Float64 => Value::Real(column.as_primitive::<Float64Type>().value(row)),
        DataType::Boolean => Value::Integer(column.as_boolean().value(row).into()),
        DataType::Binary => Value::Blob(column.as_binary::<i32>().value(row).to_vec()),
        _ => {
            let format = ArrayFormatter::try_new(column, &FormatOptions::default()).expect("words");
            Value::Text(format.value(row).to_string())
        }
    }
}
