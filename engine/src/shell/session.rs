//! One user's conversation with one server: each step is run, timed, cancelled on Ctrl-C, and shown in the chosen format.

use std::io::{self, BufWriter, Write};
use std::sync::Arc;
use std::time::Instant;

use arrow::array::RecordBatch;
use futures::StreamExt;
use futures::stream;

use super::command::{self, Command};
use super::connection::{Answer, Connection};
use super::describe;
use super::error::ShellError;
use super::format::Format;
use super::input::{Step, steps};
use super::notice;
use super::options::Switch;

/// What a user can change while the shell runs.
pub(super) struct Settings {
    pub(super) format: Format,
    pub(super) timing: Switch,
    /// Rows of an answer to show; without it, all.
    pub(super) rows_max: Option<usize>,
}

/// Whether the conversation goes on.
pub(super) enum Flow {
    Continue,
    Quit,
}

/// A connection and how its answers are to be shown.
pub(super) struct Session {
    connection: Connection,
    settings: Settings,
}

impl Session {
    pub(super) fn new(connection: Connection, settings: Settings) -> Self {
        Self { connection, settings }
    }

    /// Runs every step of `text` in order, up to the first that fails.
    pub(super) async fn run(&mut self, text: &str) -> Result<Flow, ShellError> {
        for step in steps(text)? {
            let outcome = tokio::select! {
                outcome = self.run_step(step) => outcome,
                _ = tokio::signal::ctrl_c() => Err(ShellError::Cancelled),
            };
            match outcome {
                Ok(Flow::Continue) => self.connection.settle(),
                Ok(Flow::Quit) => return Ok(Flow::Quit),
                Err(error) => {
                    self.connection.cancel().await;
                    return Err(error);
                }
            }
        }
        Ok(Flow::Continue)
    }

    async fn run_step(&mut self, step: Step) -> Result<Flow, ShellError> {
        match step {
            Step::Statement(sql) => {
                let started = Instant::now();
                let answer = self.connection.query(&sql).await?;
                self.show(answer).await?;
                self.tell_time(started);
            }
            Step::Command(line) => match Command::parse(&line)? {
                Command::Quit => return Ok(Flow::Quit),
                command => self.run_command(command).await?,
            },
        }
        Ok(Flow::Continue)
    }

    fn tell_time(&self, started: Instant) {
        if self.settings.timing == Switch::On {
            let elapsed_ms = started.elapsed().as_secs_f64() * 1_000.0;
            notice::say(&format!("Time: {elapsed_ms:.1} ms"));
        }
    }

    async fn run_command(&mut self, command: Command) -> Result<(), ShellError> {
        match command {
            Command::Help => notice::say(command::HELP),
            Command::Quit => {}
            Command::Catalogs => {
                let answer = self.connection.catalogs().await?;
                self.show(answer).await?;
            }
            Command::Schemas(pattern) => {
                let answer = self.connection.schemas(describe::schemas_like(pattern.as_deref())).await?;
                self.show(answer).await?;
            }
            Command::Tables(pattern) => {
                let answer = self.connection.tables(describe::tables_like(pattern.as_deref())).await?;
                self.show(answer).await?;
            }
            Command::Columns(table) => self.show_columns(&table).await?,
            Command::Ledger => self.show_ledger().await?,
            Command::Format(format) => self.set_format(format),
            Command::Timing(timing) => self.set_timing(timing),
            Command::Limit(limit) => self.set_limit(limit),
        }
        Ok(())
    }

    async fn show_columns(&mut self, table: &str) -> Result<(), ShellError> {
        let tables = self.connection.tables(describe::tables_named(table)).await?;
        let columns = describe::columns_of(&tables.collect().await?)?;
        if columns.num_rows() == 0 {
            return Err(ShellError::Command(format!("no table {table} that you may see; \\dt lists them")));
        }
        self.show(Answer { schema: columns.schema(), batches: stream::iter([Ok(columns)]).boxed() }).await
    }

    /// Shows where the last query's bytes went, and leaves that query the last one.
    async fn show_ledger(&mut self) -> Result<(), ShellError> {
        let Some(query_id) = self.connection.last_query_id().map(str::to_owned) else {
            return Err(ShellError::Command("no query has been answered yet".to_owned()));
        };
        let literal = query_id.replace('\'', "''");
        let sql = format!(
            "SELECT site, state, rows, bytes_sent, bytes_received, elapsed_ms, statement \
             FROM system.queries.ledger WHERE query_id = '{literal}' ORDER BY number"
        );
        let answer = self.connection.query(&sql).await?;
        self.connection.set_last_query_id(query_id);
        self.show(answer).await
    }

    fn set_format(&mut self, format: Option<Format>) {
        self.settings.format = format.unwrap_or(self.settings.format);
        notice::say(&format!("Format is {}.", self.settings.format.name()));
    }

    fn set_timing(&mut self, timing: Option<Switch>) {
        self.settings.timing = timing.unwrap_or(self.settings.timing.flipped());
        notice::say(match self.settings.timing {
            Switch::On => "Timing is on.",
            Switch::Off => "Timing is off.",
        });
    }

    fn set_limit(&mut self, limit: Option<Option<usize>>) {
        self.settings.rows_max = limit.unwrap_or(self.settings.rows_max);
        match self.settings.rows_max {
            Some(rows) => notice::say(&format!("The first {rows} rows of an answer are shown.")),
            None => notice::say("All rows of an answer are shown."),
        }
    }

    /// Writes an answer to standard output as it streams in.
    async fn show(&mut self, mut answer: Answer) -> Result<(), ShellError> {
        let mut out = BufWriter::new(io::stdout());
        let mut writer = self.settings.format.writer(Arc::clone(&answer.schema));
        let mut shown = RowLimit::new(self.settings.rows_max);
        while let Some(batch) = answer.batches.next().await {
            let batch = batch?;
            writer.write(&shown.admitted(&batch), &mut out)?;
            out.flush()?;
            if shown.is_exceeded {
                break;
            }
        }
        writer.finish(&mut out)?;
        out.flush()?;
        if shown.is_exceeded {
            drop(answer);
            self.connection.cancel().await;
            notice::say(&format!("Only the first {} rows are shown; \\limit off shows all.", shown.rows));
        }
        Ok(())
    }
}

/// Counts rows up to a limit.
struct RowLimit {
    rows_max: usize,
    rows: usize,
    is_exceeded: bool,
}

impl RowLimit {
    fn new(rows_max: Option<usize>) -> Self {
        Self { rows_max: rows_max.unwrap_or(usize::MAX), rows: 0, is_exceeded: false }
    }

    /// The part of `batch` that is within the limit.
    fn admitted(&mut self, batch: &RecordBatch) -> RecordBatch {
        let room = self.rows_max.saturating_sub(self.rows);
        let rows = batch.num_rows().min(room);
        self.rows += rows;
        self.is_exceeded = batch.num_rows() > room;
        batch.slice(0, rows)
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{ArrayRef, Int32Array};

    use super::*;

    #[test]
    fn a_limit_is_exceeded_only_by_a_further_row() {
        let batch = RecordBatch::try_from_iter([("a", Arc::new(Int32Array::from(vec![1, 2])) as ArrayRef)]).unwrap();
        let mut limit = RowLimit::new(Some(3));
        let mut admit = || (limit.admitted(&batch).num_rows(), limit.is_exceeded);
        assert_eq!([admit(), admit()], [(2, false), (1, true)]);
        let mut exact = RowLimit::new(Some(2));
        assert_eq!((exact.admitted(&batch).num_rows(), exact.is_exceeded), (2, false));
        assert_eq!((exact.admitted(&batch.slice(0, 0)).num_rows(), exact.is_exceeded), (0, false));
        let mut none = RowLimit::new(None);
        assert_eq!((none.admitted(&batch).num_rows(), none.is_exceeded), (2, false));
    }
}
