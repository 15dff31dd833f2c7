//! The log as tables: `system.audit.queries`, one row a statement, and `system.audit.disclosures`, one row a column and
//! destination. Both are read from the files as they are asked for.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMillisecondArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use chrono::{DateTime, Utc};
use datafusion::catalog::TableProvider;
use datafusion::catalog::streaming::StreamingTable;
use datafusion::error::DataFusionError;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::stream::RecordBatchReceiverStreamBuilder;
use datafusion::physical_plan::streaming::PartitionStream;
use tokio::sync::mpsc::Sender;

use super::entry::{Disclosure, Intent, TableUse};
use super::log::AuditLog;
use super::statements::{Statement, Statements, Viewer};
use crate::error::Result;

const BATCH_ROWS: usize = 8_192;
/// Batches that are read ahead of whoever takes them.
const BATCHES_AHEAD: usize = 2;

/// The columns of `system.audit.queries`.
pub fn queries_schema() -> SchemaRef {
    schema(QUERIES)
}

/// The columns of `system.audit.disclosures`.
pub fn disclosures_schema() -> SchemaRef {
    schema(DISCLOSURES)
}

/// `system.audit.queries`, as far as the viewer may see it: a row for each statement at this site, refused ones too.
///
/// # Errors
/// When the columns do not fit together: a defect.
pub fn queries_table(log: &Arc<AuditLog>, viewer: Viewer) -> Result<Arc<dyn TableProvider>> {
    table(log, viewer, QUERIES, |statement| vec![Row { statement, disclosure: None }])
}

/// `system.audit.disclosures`, as far as the viewer may see it: a row for each column that left and where it went.
///
/// # Errors
/// When the columns do not fit together: a defect.
pub fn disclosures_table(log: &Arc<AuditLog>, viewer: Viewer) -> Result<Arc<dyn TableProvider>> {
    table(log, viewer, DISCLOSURES, |statement| {
        let disclosures = statement.disclosures().to_vec();
        let row = |disclosure| Row { statement: Arc::clone(&statement), disclosure: Some(disclosure) };
        disclosures.into_iter().map(row).collect()
    })
}

/// What the columns of one row are taken from.
struct Row {
    statement: Arc<Statement>,
    disclosure: Option<Disclosure>,
}

impl Row {
    fn disclosure(&self, of: fn(&Disclosure) -> &String) -> Option<String> {
        self.disclosure.as_ref().map(|disclosure| of(disclosure).clone())
    }

    fn rows(&self) -> Option<u64> {
        self.statement.completion().map(|(_, completion)| completion.rows)
    }

    fn bytes(&self) -> Option<u64> {
        self.statement.completion().map(|(_, completion)| completion.bytes)
    }
}

/// Where a column's values come from.
#[derive(Debug, Clone, Copy)]
enum Value {
    /// The site's name, the same in every row.
    Site,
    Text(fn(&Row) -> Option<String>),
    Number(fn(&Row) -> Option<u64>),
    Time(fn(&Row) -> Option<DateTime<Utc>>),
}

type Columns = &'static [(&'static str, Value)];

const QUERIES: Columns = &[
    ("site", Value::Site),
    ("query_id", Value::Text(|row| Some(row.statement.fragment().0.to_string()))),
    ("fragment", Value::Number(|row| Some(row.statement.fragment().1))),
    ("sequence", Value::Number(|row| Some(row.statement.seq))),
    ("started_at", Value::Time(|row| Some(row.statement.started))),
    ("ended_at", Value::Time(|row| row.statement.completion().map(|(at, _)| at))),
    ("subject", Value::Text(|row| row.statement.asker().subject.clone())),
    ("organisation", Value::Text(|row| row.statement.asker().organisation.clone())),
    ("actor", Value::Text(|row| row.statement.asker().actor.clone())),
    ("issuer", Value::Text(|row| row.statement.asker().issuer.clone())),
    ("purpose", Value::Text(|row| row.statement.asker().purpose.clone())),
    ("grants", Value::Text(|row| row.statement.intent().map(|intent| intent.grants.join(",")))),
    ("policy_version", Value::Number(|row| row.statement.intent().map(|intent| intent.policy_version))),
    ("statement", Value::Text(|row| Some(row.statement.text().to_string()))),
    ("tables", Value::Text(|row| row.statement.intent().map(|intent| table_names(intent).join(",")))),
    ("used", Value::Text(|row| row.statement.intent().map(|intent| columns_of(intent, |read| &read.used)))),
    (
        "read_by_policy",
        Value::Text(|row| row.statement.intent().map(|intent| columns_of(intent, |read| &read.read_by_policy))),
    ),
    ("level", Value::Text(|row| row.statement.intent().and_then(|intent| intent.level.clone()))),
    ("key_sets", Value::Text(|row| row.statement.intent().map(key_sets))),
    ("rows", Value::Number(Row::rows)),
    ("bytes", Value::Number(Row::bytes)),
    ("outcome", Value::Text(|row| Some(row.statement.outcome()))),
    ("elapsed_ms", Value::Number(|row| row.statement.completion().map(|(_, completion)| completion.elapsed_ms))),
];

/// `rows` and `bytes` are those of the statement, the same beside each of its columns: how much went by, not a sum.
const DISCLOSURES: Columns = &[
    ("site", Value::Site),
    ("query_id", Value::Text(|row| Some(row.statement.fragment().0.to_string()))),
    ("fragment", Value::Number(|row| Some(row.statement.fragment().1))),
    ("sequence", Value::Number(|row| Some(row.statement.seq))),
    ("time", Value::Time(|row| Some(row.statement.started))),
    ("subject", Value::Text(|row| row.statement.asker().subject.clone())),
    ("purpose", Value::Text(|row| row.statement.asker().purpose.clone())),
    ("table", Value::Text(|row| row.disclosure(|disclosure| &disclosure.table))),
    ("column", Value::Text(|row| row.disclosure(|disclosure| &disclosure.column))),
    ("form", Value::Text(|row| row.disclosure(|disclosure| &disclosure.form))),
    ("destination", Value::Text(|row| row.disclosure(|disclosure| &disclosure.destination))),
    ("rows", Value::Number(Row::rows)),
    ("bytes", Value::Number(Row::bytes)),
];

fn table_names(intent: &Intent) -> Vec<String> {
    let name = |read: &TableUse| {
        if read.only_explained { format!("{} (only explained)", read.table) } else { read.table.clone() }
    };
    intent.tables.iter().map(name).collect()
}

/// `n keys of site.source.table.column` of each key set that came.
fn key_sets(intent: &Intent) -> String {
    let told = intent.key_sets.iter().map(|set| format!("{} keys of {}", set.keys, set.column));
    told.collect::<Vec<_>>().join(",")
}

/// `source.table.column` of each column that was read so.
fn columns_of(intent: &Intent, so: fn(&TableUse) -> &Vec<String>) -> String {
    let columns =
        intent.tables.iter().flat_map(|read| so(read).iter().map(|column| format!("{}.{column}", read.table)));
    columns.collect::<Vec<_>>().join(",")
}

fn schema(columns: Columns) -> SchemaRef {
    let field = |(name, value): &(&str, Value)| {
        let data_type = match value {
            Value::Site | Value::Text(_) => DataType::Utf8,
            Value::Number(_) => DataType::Int64,
            Value::Time(_) => DataType::Timestamp(TimeUnit::Millisecond, Some("+00:00".into())),
        };
        Field::new(*name, data_type, true)
    };
    Arc::new(Schema::new(columns.iter().map(field).collect::<Vec<_>>()))
}

fn table(
    log: &Arc<AuditLog>,
    viewer: Viewer,
    columns: Columns,
    rows_of: fn(Arc<Statement>) -> Vec<Row>,
) -> Result<Arc<dyn TableProvider>> {
    let schema = schema(columns);
    let scan = LogScan { log: Arc::clone(log), viewer, columns, rows_of, schema: Arc::clone(&schema) };
    Ok(Arc::new(StreamingTable::try_new(schema, vec![Arc::new(scan)])?))
}

/// One reading of the log, from its beginning to what was on the disk when the reading began.
#[derive(Debug, Clone)]
struct LogScan {
    log: Arc<AuditLog>,
    viewer: Viewer,
    columns: Columns,
    rows_of: fn(Arc<Statement>) -> Vec<Row>,
    schema: SchemaRef,
}

impl PartitionStream for LogScan {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _ctx: Arc<TaskContext>) -> SendableRecordBatchStream {
        let mut stream = RecordBatchReceiverStreamBuilder::new(Arc::clone(&self.schema), BATCHES_AHEAD);
        let (scan, out) = (self.clone(), stream.tx());
        stream.spawn_blocking(move || Ok(scan.send(&out)?));
        stream.build()
    }
}

impl LogScan {
    /// Sends the rows batch by batch, until the end or until nobody takes them any more.
    fn send(&self, out: &Sender<Result<RecordBatch, DataFusionError>>) -> Result<()> {
        let wanted = self.log.records()?.take_while(|_| !out.is_closed());
        let mut rows = Vec::new();
        for statement in Statements::new(wanted, self.viewer.clone()) {
            rows.extend((self.rows_of)(Arc::new(statement?)));
            if rows.len() >= BATCH_ROWS {
                // Nobody to take it: the reading ends with the next record.
                let _ = out.blocking_send(self.batch(&std::mem::take(&mut rows)));
            }
        }
        let _ = out.blocking_send(self.batch(&rows));
        Ok(())
    }

    fn batch(&self, rows: &[Row]) -> Result<RecordBatch, DataFusionError> {
        let columns = self.columns.iter().map(|(_, value)| self.column(*value, rows)).collect();
        Ok(RecordBatch::try_new(Arc::clone(&self.schema), columns)?)
    }

    fn column(&self, value: Value, rows: &[Row]) -> ArrayRef {
        let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        match value {
            Value::Site => Arc::new(rows.iter().map(|_| Some(self.log.site())).collect::<StringArray>()),
            Value::Text(of) => Arc::new(rows.iter().map(of).collect::<StringArray>()),
            Value::Number(of) => Arc::new(rows.iter().map(|row| of(row).map(number)).collect::<Int64Array>()),
            Value::Time(of) => {
                let times = rows.iter().map(|row| of(row).map(|time| time.timestamp_millis()));
                Arc::new(times.collect::<TimestampMillisecondArray>().with_timezone("+00:00"))
            }
        }
    }
}
