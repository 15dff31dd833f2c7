//! Arrow rows as tables of the server: created, copied in the order that they have, and counted as an administrator would.

use std::fmt::Write as _;
use std::fs::File;
use std::pin::pin;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use bytes::Bytes;
use futures::SinkExt;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::{Admin, Postgres};
use crate::dataset::{Dataset, Table, quote};
use crate::namespace::Namespace;

/// Tests ask much at one time; the server bears it from two sources of different sites.
const CONNECTIONS_MAX: i64 = 24;
/// The metadata of a field whose column has a comment in the server.
const COMMENT: &str = "comment";

impl Postgres {
    /// A server of its own that holds all tables of a data set: those of a source in one schema.
    pub async fn holding(dataset: &Dataset) -> Self {
        Self::holding_with(dataset, "").await
    }

    /// The same, with more lines for `postgresql.conf`.
    pub async fn holding_with(dataset: &Dataset, lines: &str) -> Self {
        Self::holding_in(None, dataset, lines).await
    }

    /// The same in a network namespace.
    pub async fn holding_in(namespace: Option<&Namespace>, dataset: &Dataset, lines: &str) -> Self {
        let server = Self::start_in(namespace, lines).await;
        let admin = server.admin().await;
        for table in &dataset.tables {
            admin.load_file(table).await;
        }
        admin.run("ANALYZE").await;
        server
    }

    /// Every source of the data set as its site is configured to read it here, after the site's name.
    pub fn sources(&self, dataset: &Dataset) -> Vec<(String, toml::Table)> {
        let source = |(site, name): (&str, &str)| {
            let mut source = self.options(&schema_of(site, name));
            source.insert("name".into(), name.into());
            source.insert("kind".into(), "postgres".into());
            source.insert("connections_max".into(), CONNECTIONS_MAX.into());
            (site.to_string(), source)
        };
        dataset.sources().into_iter().map(source).collect()
    }
}

/// The schema in which the tables of a source of a data set are.
fn schema_of(site: &str, source: &str) -> String {
    format!("{site}_{source}")
}

/// How statements to the server name a table of a data set.
pub fn server_name(table: &Table) -> String {
    format!("{}.{}", quote(&schema_of(&table.site, &table.source)), quote(&table.name))
}

impl Admin {
    /// Creates a table, by its name as it is written in SQL, with these rows.
    pub async fn load(&self, name: &str, schema: &Schema, batches: &[RecordBatch]) {
        self.create(name, schema).await;
        self.fill(name, batches.iter().cloned()).await;
    }

    /// Adds rows to a table that has their columns, in their order.
    pub async fn fill(&self, name: &str, batches: impl Iterator<Item = RecordBatch>) {
        let statement = format!("COPY {name} FROM STDIN");
        let sink = self.client.copy_in::<_, Bytes>(&statement).await.expect("a table that was created");
        let mut sink = pin!(sink);
        for batch in batches {
            sink.send(copied(&batch).into()).await.expect("the server reads");
        }
        sink.as_mut().finish().await.unwrap_or_else(|error| panic!("{name}: {error:?}"));
    }

    async fn load_file(&self, table: &Table) {
        let name = server_name(table);
        let file = File::open(&table.path).expect("a file of the data set");
        let reader = ParquetRecordBatchReaderBuilder::try_new(file).expect("Parquet");
        self.run(&format!("CREATE SCHEMA IF NOT EXISTS {}", quote(&schema_of(&table.site, &table.source)))).await;
        self.create(&name, reader.schema()).await;
        let rows = reader.build().expect("Parquet").map(|batch| batch.expect("rows of a data set"));
        self.fill(&name, rows).await;
    }

    async fn create(&self, name: &str, schema: &Schema) {
        let columns = schema.fields().iter().map(|field| format!("{} {}", quote(field.name()), any_type(field)));
        self.run(&format!("CREATE TABLE {name} ({})", columns.collect::<Vec<_>>().join(", "))).await;
        // The name of a table that is denied must be in nothing that its asker is told, comments among it.
        for field in schema.fields().iter().filter(|field| field.metadata().contains_key(COMMENT)) {
            let column = quote(field.name());
            self.run(&format!("COMMENT ON COLUMN {name}.{column} IS 'kept in {}'", name.replace('\'', "''"))).await;
        }
    }
}

/// The type of the server that stands for an Arrow type, value by value; `None` if none does.
pub fn sql_type(data_type: &DataType) -> Option<String> {
    let name = match data_type {
        DataType::Boolean => "boolean",
        DataType::Int8 | DataType::Int16 | DataType::UInt8 => "smallint",
        DataType::Int32 | DataType::UInt16 => "integer",
        DataType::Int64 | DataType::UInt32 => "bigint",
        DataType::Float32 => "real",
        DataType::Float64 => "double precision",
        DataType::Utf8 | DataType::Utf8View | DataType::LargeUtf8 => "text",
        DataType::Binary => "bytea",
        DataType::Date32 => "date",
        DataType::Time64(_) => "time",
        DataType::Timestamp(_, None) => "timestamp",
        DataType::Timestamp(_, Some(_)) => "timestamptz",
        DataType::Decimal128(precision, scale) => return Some(format!("numeric({precision}, {scale})")),
        _ => return None,
    };
    Some(name.to_string())
}

/// The type of a column that is loaded: words for a dictionary of them, and text, as Arrow prints it, for what has no other.
fn any_type(field: &Field) -> String {
    match field.data_type() {
        DataType::Dictionary(_, words) => sql_type(words).expect("a dictionary of plain values"),
        DataType::UInt64 => "numeric(20, 0)".to_string(),
        list if is_list_of_text(list) => "text[]".to_string(),
        other => sql_type(other).unwrap_or_else(|| "text".to_string()),
    }
}

fn is_list_of_text(data_type: &DataType) -> bool {
    matches!(data_type, DataType::List(item) if *item.data_type() == DataType::Utf8)
}

/// Rows as `COPY` reads them: a line a row, tabs between values.
pub fn copied(batch: &RecordBatch) -> String {
    let mut text = String::new();
    for row in values(batch) {
        for (position, value) in row.iter().enumerate() {
            text.push_str(if position == 0 { "" } else { "\t" });
            match value {
                None => text.push_str("\\N"),
                Some(value) => escape(value, &mut text),
            }
        }
        text.push('\n');
    }
    text
}

fn escape(value: &str, text: &mut String) {
    for letter in value.chars() {
        match letter {
            '\\' => text.push_str("\\\\"),
            '\t' => text.push_str("\\t"),
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            other => text.push(other),
        }
    }
}

/// The values of each row as the server reads them, NULL as `None`.
pub fn values(batch: &RecordBatch) -> Vec<Vec<Option<String>>> {
    let options = FormatOptions::default();
    let format = |column| ArrayFormatter::try_new(column, &options).expect("a type that can be printed");
    let formats: Vec<_> = batch.columns().iter().map(|column| format(column.as_ref())).collect();
    let value = |row: usize, (format, column): (&ArrayFormatter<'_>, &ArrayRef)| {
        (!column.is_null(row)).then(|| match column.data_type() {
            DataType::Binary => format!("\\x{}", format.value(row)),
            list if is_list_of_text(list) => array_literal(&column.as_list::<i32>().value(row)),
            _ => format.value(row).to_string(),
        })
    };
    let row = |row| formats.iter().zip(batch.columns()).map(|both| value(row, both)).collect();
    (0..batch.num_rows()).map(row).collect()
}

fn array_literal(items: &ArrayRef) -> String {
    let mut text = "{".to_string();
    for item in items.as_string::<i32>() {
        let comma = if text.len() > 1 { "," } else { "" };
        match item {
            None => write!(text, "{comma}NULL"),
            Some(item) => write!(text, "{comma}\"{}\"", item.replace('\\', "\\\\").replace('"', "\\\"")),
        }
        .expect("text takes text");
    }
    text + "}"
}
