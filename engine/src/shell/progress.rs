//! What each site has done so far, on standard error, while a person waits for the first row.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::Int64Type;

use super::connection::Connection;
use super::error::ShellError;
use super::format::printable;

/// Whoever waits less long needs no progress.
const SHOWN_AFTER: Duration = Duration::from_secs(1);

/// How often it is asked for.
const PACE: Duration = Duration::from_secs(1);

/// Sites on the line; the others are counted.
const SITES_MAX: usize = 6;

/// Awaits `work`, and tells meanwhile how far the statement has got at each site.
pub(super) async fn while_waiting<T>(asker: Option<Connection>, sql: &str, work: impl Future<Output = T>) -> T {
    let Some(asker) = asker.filter(|_| io::stderr().is_terminal()) else { return work.await };
    tokio::select! {
        done = work => {
            wipe();
            done
        }
        never = tell(asker, sql) => match never {},
    }
}

async fn tell(mut asker: Connection, sql: &str) -> std::convert::Infallible {
    tokio::time::sleep(SHOWN_AFTER).await;
    loop {
        // Progress that cannot be told is no reason to disturb the statement.
        if let Ok(Some(line)) = progress(&mut asker, sql).await {
            let _ = write!(io::stderr().lock(), "\r\x1b[2K{line}");
            let _ = io::stderr().flush();
        }
        tokio::time::sleep(PACE).await;
    }
}

fn wipe() {
    let _ = write!(io::stderr().lock(), "\r\x1b[2K");
    let _ = io::stderr().flush();
}

async fn progress(asker: &mut Connection, sql: &str) -> Result<Option<String>, ShellError> {
    let literal = sql.replace('\'', "''");
    let question = format!(
        "SELECT l.site AS site, count(*) AS statements, \
         CAST(sum(CASE WHEN l.state = 'running' THEN 1 ELSE 0 END) AS BIGINT) AS running, \
         CAST(sum(l.rows) AS BIGINT) AS rows, CAST(sum(l.bytes_received) AS BIGINT) AS bytes \
         FROM system.queries.ledger l JOIN system.queries.running r ON r.query_id = l.query_id \
         WHERE r.statement = '{literal}' GROUP BY l.site ORDER BY l.site"
    );
    let batches = asker.query(&question).await?.collect().await?;
    Ok(batches.first().and_then(line))
}

/// `north 12 rows, 3 kB … · south done`.
fn line(batch: &RecordBatch) -> Option<String> {
    let number = |name: &str, row: usize| {
        let column = batch.column_by_name(name)?.as_primitive_opt::<Int64Type>()?;
        Some(column.value(row))
    };
    let sites = batch.column_by_name("site")?.as_string_opt::<i32>()?;
    let told = |row: usize| {
        let end = if number("running", row)? > 0 { " …" } else { "" };
        let (rows, bytes) = (number("rows", row)?, size(number("bytes", row)?));
        Some(format!("{} {rows} rows, {bytes}{end}", printable(sites.value(row))))
    };
    let shown: Vec<String> = (0..batch.num_rows().min(SITES_MAX)).filter_map(told).collect();
    let others = batch.num_rows().saturating_sub(SITES_MAX);
    let more = if others > 0 { format!(" · and {others} more sites") } else { String::new() };
    (!shown.is_empty()).then(|| format!("{}{more}", shown.join(" · ")))
}

fn size(bytes: i64) -> String {
    match bytes {
        ..1_000 => format!("{bytes} B"),
        1_000..1_000_000 => format!("{} kB", bytes / 1_000),
        _ => format!("{} MB", bytes / 1_000_000),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Int64Array, StringArray};

    use super::*;

    #[test]
    fn a_line_for_all_sites() {
        let numbers = |values: &[i64]| Arc::new(Int64Array::from(values.to_vec())) as ArrayRef;
        let batch = RecordBatch::try_from_iter([
            ("site", Arc::new(StringArray::from(vec!["north", "south"])) as ArrayRef),
            ("statements", numbers(&[1, 2])),
            ("running", numbers(&[1, 0])),
            ("rows", numbers(&[12, 3_000])),
            ("bytes", numbers(&[999, 2_500_000])),
        ])
        .unwrap();
        assert_eq!(line(&batch).unwrap(), "north 12 rows, 999 B … · south 3000 rows, 2 MB");
        assert_eq!(line(&batch.slice(0, 0)), None);
    }
}
