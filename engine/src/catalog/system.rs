//! The tables of `system.queries` and `system.sessions`: what runs, what ran, the ledger, and who is signed in. Each subject's own;
//! an administrator sees what everybody runs, without the literals, and every session.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMillisecondArray};
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use datafusion::catalog::{MemTable, TableProvider};

use crate::error::{EngineError, Result};
use crate::flight::door::ListedTable;
use crate::identity::{Asker, SessionKind, SessionRecord, Sessions};
use crate::session::history::Ended;
use crate::session::queries::{LedgerEntry, Queries, QueryRecord};

/// The reserved catalog.
pub const CATALOG: &str = "system";
/// The schema of the tables of the record.
pub const AUDIT: &str = "audit";
/// The schema of the tables about queries.
pub const QUERIES: &str = "queries";

/// The schema of the table about sessions.
pub const SESSIONS: &str = "sessions";

const TABLES: [(&str, &str, &str); 4] = [
    (QUERIES, "running", "Queries of yours that run now; of everybody, to an administrator"),
    (QUERIES, "recent", "Queries of yours that ended, the last ones of this node"),
    (QUERIES, "ledger", "What crossed the border of each site for your queries: statements, rows, bytes, time"),
    (SESSIONS, "open", "Sessions of yours; of everybody, to an administrator"),
];

/// Whose rows are shown.
#[derive(Debug)]
pub struct Viewer {
    /// The asker, as their queries are recorded.
    subject: String,
    is_administrator: bool,
}

impl Viewer {
    /// Who asks, and whether they administer this node.
    pub fn of(asker: &Asker, is_administrator: bool) -> Self {
        Self { subject: asker.label(), is_administrator }
    }

    fn sees(&self, subject: &str) -> bool {
        self.is_administrator || self.subject == subject
    }
}

/// Every system table, as metadata calls list it.
pub fn listed() -> Vec<ListedTable> {
    TABLES
        .iter()
        .map(|(schema, name, comment)| ListedTable {
            catalog: CATALOG.to_string(),
            schema: (*schema).to_string(),
            table: (*name).to_string(),
            is_view: true,
            columns: match *name {
                "ledger" => ledger_schema(),
                "open" => sessions_schema(),
                _ => queries_schema(),
            },
            primary_key: Vec::new(),
            foreign_keys: Vec::new(),
            comment: Some((*comment).to_string()),
            tags: None,
        })
        .collect()
}

/// The rows of a system table that the viewer may see, as of now; `None` when there is no such table.
///
/// # Errors
/// When the columns do not fit together: a defect.
pub fn table(
    (queries, sessions): (&Queries, &Sessions),
    viewer: &Viewer,
    (schema, name): (&str, &str),
) -> Result<Option<Arc<dyn TableProvider>>> {
    let own = |records: Vec<Arc<QueryRecord>>| -> Vec<Arc<QueryRecord>> {
        records.into_iter().filter(|record| *record.subject == *viewer.subject).collect()
    };
    let batch = match (schema, name) {
        (QUERIES, "running") => {
            let seen = queries.running().into_iter().filter(|record| viewer.sees(&record.subject));
            queries_batch(&seen.collect::<Vec<_>>(), viewer)?
        }
        (QUERIES, "recent") => {
            let before = queries.before().iter().filter(|ended| ended.subject == viewer.subject);
            let before = ended_batch(&before.collect::<Vec<_>>())?;
            let since = queries_batch(&own(queries.recent()), viewer)?;
            concat_batches(&before.schema(), [&before, &since]).map_err(EngineError::internal)?
        }
        (QUERIES, "ledger") => ledger_batch(&own([queries.recent(), queries.running()].concat()))?,
        (SESSIONS, "open") => sessions_batch(&sessions.list(|subject| viewer.sees(subject)))?,
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

fn moment(name: &str) -> Field {
    Field::new(name, DataType::Timestamp(TimeUnit::Millisecond, Some("+00:00".into())), false)
}

fn queries_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        text("query_id"),
        text("subject"),
        text("statement"),
        moment("started_at"),
        number("elapsed_ms"),
        number("rows"),
        text("state"),
    ]))
}

fn queries_batch(records: &[Arc<QueryRecord>], viewer: &Viewer) -> Result<RecordBatch> {
    let told = |record: &QueryRecord| match *record.subject == *viewer.subject {
        true => record.statement.to_string(),
        false => record.shown_to_others(),
    };
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
        texts(&told),
        Arc::new(started.with_timezone("+00:00")),
        numbers(&|record| milliseconds(record.elapsed())),
        numbers(&|record| signed(record.rows())),
        texts(&|record| record.progress().to_string()),
    ];
    RecordBatch::try_new(queries_schema(), columns).map_err(EngineError::internal)
}

/// What ended before the node was started.
fn ended_batch(records: &[&Ended]) -> Result<RecordBatch> {
    let texts = |of: &dyn Fn(&Ended) -> &str| -> ArrayRef {
        Arc::new(records.iter().map(|record| Some(of(record))).collect::<StringArray>())
    };
    let numbers = |of: &dyn Fn(&Ended) -> u64| -> ArrayRef {
        Arc::new(records.iter().map(|record| signed(of(record))).collect::<Int64Array>())
    };
    let started = TimestampMillisecondArray::from_iter_values(records.iter().map(|record| record.started_ms));
    let columns: Vec<ArrayRef> = vec![
        texts(&|record| &record.query_id),
        texts(&|record| &record.subject),
        texts(&|record| &record.statement),
        Arc::new(started.with_timezone("+00:00")),
        numbers(&|record| record.elapsed_ms),
        numbers(&|record| record.rows),
        texts(&|record| &record.state),
    ];
    RecordBatch::try_new(queries_schema(), columns).map_err(EngineError::internal)
}

fn sessions_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        text("session_id"),
        text("subject"),
        text("believed_by"),
        moment("opened_at"),
        moment("last_used_at"),
        Field::new("client", DataType::Utf8, true),
        Field::new("address", DataType::Utf8, true),
        number("statements"),
    ]))
}

fn sessions_batch(records: &[SessionRecord]) -> Result<RecordBatch> {
    let texts = |of: &dyn Fn(&SessionRecord) -> Option<String>| -> ArrayRef {
        Arc::new(records.iter().map(of).collect::<StringArray>())
    };
    let moments = |of: &dyn Fn(&SessionRecord) -> SystemTime| -> ArrayRef {
        let values =
            records.iter().map(|record| milliseconds(of(record).duration_since(UNIX_EPOCH).unwrap_or_default()));
        Arc::new(TimestampMillisecondArray::from_iter_values(values).with_timezone("+00:00"))
    };
    let columns: Vec<ArrayRef> = vec![
        texts(&|record| Some(record.id.to_string())),
        texts(&|record| Some(record.subject.clone())),
        texts(&|record| {
            let kind = match record.kind {
                SessionKind::Password => "password",
                SessionKind::Token => "token",
                SessionKind::Certificate => "certificate",
            };
            Some(kind.to_string())
        }),
        moments(&|record| record.opened_at),
        moments(&|record| record.last_used_at),
        texts(&|record| record.client.clone()),
        texts(&|record| record.address.map(|address| address.to_string())),
        Arc::new(records.iter().map(|record| signed(record.statements)).collect::<Int64Array>()),
    ];
    RecordBatch::try_new(sessions_schema(), columns).map_err(EngineError::internal)
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
