//! The tables of `system.queries`: what runs, what ran, and the ledger, each subject's own.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMillisecondArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use datafusion::catalog::{MemTable, TableProvider};

use crate::error::{EngineError, Result};
use crate::flight::door::ListedTable;
use crate::session::queries::{LedgerEntry, Queries, QueryRecord};

/// The reserved catalog.
pub const CATALOG: &str = "system";
/// The schema of the tables of the record.
pub const AUDIT: &str = "audit";
/// The schema of the tables about queries.
pub const QUERIES: &str = "queries";

const TABLES: [(&str, &str); 3] = [
    ("running", "Queries of yours that run now"),
    ("recent", "Queries of yours that ended, the last ones of this node"),
    ("ledger", "What crossed the border of each site for your queries: statements, rows, bytes, time"),
];

/// Every system table, as metadata calls list it.
pub fn listed() -> Vec<ListedTable> {
    TABLES
        .iter()
        .map(|(name, comment)| ListedTable {
            catalog: CATALOG.to_string(),
            schema: QUERIES.to_string(),
            table: (*name).to_string(),
            table_type: "VIEW",
            columns: if *name == "ledger" { ledger_schema() } else { queries_schema() },
            primary_key: Vec::new(),
            comment: Some((*comment).to_string()),
        })
        .collect()
}

/// The rows of a system table that belong to `subject`, as of now; `None` when there is no such table.
///
/// # Errors
/// When the columns do not fit together: a defect.
pub fn table(queries: &Queries, subject: &str, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
    let own = |records: Vec<Arc<QueryRecord>>| -> Vec<Arc<QueryRecord>> {
        records.into_iter().filter(|record| record.subject.as_ref() == subject).collect()
    };
    let batch = match name {
        "running" => queries_batch(&own(queries.running()))?,
        "recent" => queries_batch(&own(queries.recent()))?,
        "ledger" => ledger_batch(&own([queries.recent(), queries.running()].concat()))?,
        _ => return Ok(None),
    };
    let table = MemTable::try_new(batch.schema(), vec![vec![batch]])?;
    Ok(Some(Arc::new(table)))
}

fn text(name: &str) -> Field {
    Field::new(name, DataType::Utf8, false)
}

fn number(name: &str) -> Field {
    Field::new(name, DataType::Int64, false)
}

fn queries_schema() -> SchemaRef {
    let started = Field::new("started_at", DataType::Timestamp(TimeUnit::Millisecond, Some("+00:00".into())), false);
    Arc::new(Schema::new(vec![
        text("query_id"),
        text("subject"),
        text("statement"),
        started,
        number("elapsed_ms"),
        number("rows"),
        text("state"),
    ]))
}

fn queries_batch(records: &[Arc<QueryRecord>]) -> Result<RecordBatch> {
    let texts = |of: &dyn Fn(&QueryRecord) -> String| -> ArrayRef {
        Arc::new(records.iter().map(|record| Some(of(record))).collect::<StringArray>())
    };
    let numbers = |of: &dyn Fn(&QueryRecord) -> i64| -> ArrayRef {
        Arc::new(records.iter().map(|record| of(record)).collect::<Int64Array>())
    };
    let started = TimestampMillisecondArray::from_iter_values(records.iter().map(|record| record.started_ms()));
    let columns: Vec<ArrayRef> = vec![
        texts(&|record| record.id.to_string()),
        texts(&|record| record.subject.to_string()),
        texts(&|record| record.statement.to_string()),
        Arc::new(started.with_timezone("+00:00")),
        numbers(&|record| milliseconds(record.elapsed())),
        numbers(&|record| signed(record.rows())),
        texts(&|record| record.progress().to_string()),
    ];
    RecordBatch::try_new(queries_schema(), columns).map_err(EngineError::internal)
}

fn ledger_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        text("query_id"),
        number("number"),
        text("site"),
        text("statement"),
        number("rows"),
        number("bytes_sent"),
        number("bytes_received"),
        number("elapsed_ms"),
        Field::new("first_row_ms", DataType::Int64, true),
        text("state"),
        Field::new("key_sets", DataType::Utf8, true),
    ]))
}

/// A ledger entry and the query it belongs to.
type Owned = (String, Arc<LedgerEntry>);

fn ledger_batch(records: &[Arc<QueryRecord>]) -> Result<RecordBatch> {
    let entries: Vec<Owned> = records
        .iter()
        .flat_map(|record| record.ledger().into_iter().map(|entry| (record.id.to_string(), entry)))
        .collect();
    let texts = |of: &dyn Fn(&Owned) -> String| -> ArrayRef {
        Arc::new(entries.iter().map(|entry| Some(of(entry))).collect::<StringArray>())
    };
    let numbers = |of: &dyn Fn(&LedgerEntry) -> Option<i64>| -> ArrayRef {
        Arc::new(entries.iter().map(|(_, entry)| of(entry)).collect::<Int64Array>())
    };
    let loaded = |counter: &std::sync::atomic::AtomicU64| signed(counter.load(std::sync::atomic::Ordering::Relaxed));
    let columns: Vec<ArrayRef> = vec![
        texts(&|(id, _)| id.clone()),
        numbers(&|entry| i64::try_from(entry.number).ok()),
        texts(&|(_, entry)| entry.site.to_string()),
        texts(&|(_, entry)| entry.statement.to_string()),
        numbers(&|entry| Some(signed(entry.rows()))),
        numbers(&|entry| Some(loaded(&entry.bytes_sent))),
        numbers(&|entry| Some(loaded(&entry.bytes_received))),
        numbers(&|entry| Some(milliseconds(entry.elapsed()))),
        numbers(&|entry| entry.first_row().map(milliseconds)),
        texts(&|(_, entry)| entry.progress().to_string()),
        Arc::new(entries.iter().map(|(_, entry)| entry.key_sets.as_deref()).collect::<StringArray>()),
    ];
    RecordBatch::try_new(ledger_schema(), columns).map_err(EngineError::internal)
}

fn milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
