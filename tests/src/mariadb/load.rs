//! Arrow rows as tables of the server: created, and filled in the order that they have.

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema};
use arrow::util::display::array_value_to_string;

use super::{Admin, MariaDb, READER};
use crate::dataset::{Dataset, quote};

/// Rows of one INSERT.
const ROWS: usize = 1_000;

impl MariaDb {
    /// A server of its own that holds all tables of a plain data set: those of a source in one database.
    pub async fn holding(dataset: &Dataset) -> Self {
        let server = Self::start().await;
        let admin = server.admin().await;
        for (site, source) in dataset.sources() {
            let database = quote(&database_of(site, source));
            admin.run(&format!("CREATE DATABASE {database}")).await;
            admin.run(&format!("GRANT SELECT ON {database}.* TO {READER}")).await;
        }
        for table in &dataset.tables {
            let (schema, rows) = table.rows();
            let name = format!("{}.{}", quote(&database_of(&table.site, &table.source)), quote(&table.name));
            admin.load(&name, &schema, &rows).await;
        }
        server
    }

    /// Every source of the data set as its site is configured to read it here, after the site's name.
    pub fn sources(&self, dataset: &Dataset) -> Vec<(String, toml::Table)> {
        let source = |(site, name): (&str, &str)| {
            let mut source = self.options();
            source.insert("name".into(), name.into());
            source.insert("kind".into(), "mysql".into());
            source.insert("database".into(), database_of(site, name).into());
            (site.to_string(), source)
        };
        dataset.sources().into_iter().map(source).collect()
    }
}

/// The database in which the tables of a source of a data set are.
fn database_of(site: &str, source: &str) -> String {
    format!("{site}_{source}")
}

impl Admin {
    /// Creates a table, by its name as it is written in SQL, with these rows. The first column is a key: what a join looks up.
    pub async fn load(&self, name: &str, schema: &Schema, batches: &[RecordBatch]) {
        let columns = schema.fields().iter().map(|field| format!("{} {}", quote(field.name()), stored(field)));
        let columns = columns.collect::<Vec<_>>().join(", ");
        self.run(&format!("CREATE TABLE {name} ({columns}, KEY ({}))", quote(schema.field(0).name()))).await;
        for batch in batches {
            let rows: Vec<String> = (0..batch.num_rows()).map(|row| values(batch, row)).collect();
            for some in rows.chunks(ROWS) {
                self.run(&format!("INSERT INTO {name} VALUES {}", some.join(", "))).await;
            }
        }
        self.run(&format!("ANALYZE TABLE {name}")).await;
    }
}

/// A row as it is written.
fn values(batch: &RecordBatch, row: usize) -> String {
    let cells: Vec<String> = batch.columns().iter().map(|column| value(column, row)).collect();
    format!("({})", cells.join(", "))
}

fn value(column: &dyn Array, row: usize) -> String {
    if column.is_null(row) {
        return "NULL".to_string();
    }
    let words = array_value_to_string(column, row).expect("words");
    match column.data_type() {
        DataType::Float64 => {
            let number: f64 = words.parse().expect("a number");
            format!("{number:e}")
        }
        DataType::Boolean => words,
        DataType::Binary => {
            let bytes = column.as_binary::<i32>().value(row);
            format!("X'{}'", bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
        }
        DataType::Utf8 => format!("'{}'", words.replace('\'', "''")),
        _ => format!("'{}'", words.trim_end_matches('Z')),
    }
}

fn stored(field: &Field) -> String {
    let name = match field.data_type() {
        DataType::Int8 => "tinyint".into(),
        DataType::Int16 => "smallint".into(),
        DataType::Int32 => "int".into(),
        DataType::Int64 => "bigint".into(),
        DataType::UInt32 => "int unsigned".into(),
        DataType::Float64 => "double".into(),
        DataType::Boolean => "boolean".into(),
        DataType::Date32 => "date".into(),
        DataType::Time64(_) => "time(6)".into(),
        DataType::Decimal128(precision, scale) => format!("decimal({precision}, {scale})"),
        DataType::Timestamp(_, None) => "datetime(6)".into(),
        DataType::Timestamp(_, Some(_)) => "timestamp(6)".into(),
        DataType::Binary => "varbinary(200)".into(),
        // Under a collation that neither case nor accents tell apart.
        DataType::Utf8 => "varchar(200)".into(),
        other => panic!("no column of {other} is expected"),
    };
    let null = if field.is_nullable() { "NULL" } else { "NOT NULL" };
    format!("{name} {null}")
}
