//! EXPLAIN at a coordinator: its own operators, and for each remote scan the site and the statement as sent.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use datafusion::physical_plan::{SendableRecordBatchStream, displayable};
use futures::TryStreamExt;

use super::Run;
use crate::error::{EngineError, Result};
use crate::plan::pipeline::Planned;
use crate::session::declared::lines;
use crate::session::queries::{LedgerEntry, Progress, QueryRecord};

/// The plan, without running it.
pub(super) fn explanation(run: &Run) -> Result<SendableRecordBatchStream> {
    let planned = &run.planned;
    let mut rows = vec![operators(planned)];
    for (index, fragment) in planned.cut.fragments.iter().enumerate() {
        rows.push((format!("site {} ({})", fragment.site, index + 1), fragment.statement.to_string()));
    }
    rows.extend(run.policies.iter().cloned());
    rows.extend(unsent(planned));
    lines(rows)
}

/// The plan after it ran: what the coordinator saw cross each border, and nothing from beyond it.
pub(super) async fn analysis(run: &Run, record: &Arc<QueryRecord>) -> Result<SendableRecordBatchStream> {
    let mut rows_out = 0;
    let mut batches = run.start()?;
    while let Some(batch) = batches.try_next().await.map_err(EngineError::of_running)? {
        rows_out += batch.num_rows();
    }
    drop(batches);
    let mut rows = vec![operators(&run.planned), ("answer".to_string(), format!("rows={rows_out}"))];
    for entry in record.ledger() {
        // A scan that a LIMIT above it no longer needs has no other end than this.
        entry.end(Progress::Cancelled);
        rows.push((
            format!("site {} ({})", entry.site, entry.number),
            format!("{}\n{}{}", entry.statement, key_sets(&entry), border(&entry)),
        ));
    }
    rows.extend(run.policies.iter().cloned());
    rows.extend(unsent(&run.planned));
    lines(rows)
}

fn operators(planned: &Planned) -> (String, String) {
    ("coordinator".to_string(), displayable(planned.physical.as_ref()).indent(false).to_string())
}

fn unsent(planned: &Planned) -> impl Iterator<Item = (String, String)> {
    let cut = &planned.cut;
    let unsent = cut.unsent.iter().map(|(site, unsent)| (format!("not sent to {site}"), unsent.to_string()));
    unsent.chain(cut.withheld.iter().map(|(site, reason)| (format!("no key set to {site}"), reason.clone())))
}

fn key_sets(entry: &LedgerEntry) -> String {
    entry.key_sets.as_ref().map(|sets| format!("{sets}\n")).unwrap_or_default()
}

fn border(entry: &LedgerEntry) -> String {
    format!(
        "rows={}, bytes_sent={}, bytes_received={}, elapsed_ms={}, state={}",
        entry.rows(),
        entry.bytes_sent.load(Ordering::Relaxed),
        entry.bytes_received.load(Ordering::Relaxed),
        entry.elapsed().as_millis(),
        entry.progress()
    )
}
