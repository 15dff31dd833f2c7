//! One user's conversation with one server: each step is run, timed, cancelled on Ctrl-C, and shown in the chosen format.

use std::collections::VecDeque;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::RecordBatch;
use futures::StreamExt;
use futures::stream;

use super::command::{self, Command};
use super::connection::{Answer, Connection};
use super::describe;
use super::edit;
use super::error::ShellError;
use super::format::{Format, ResultWriter};
use super::input::{Step, steps};
use super::names::{Names, SharedNames};
use super::notice;
use super::options::Switch;
use super::output::Output;
use super::progress::while_waiting;

/// What a user can change while the shell runs.
pub(super) struct Settings {
    pub(super) format: Format,
    pub(super) timing: Switch,
    /// Rows of an answer to show; without it, all.
    pub(super) rows_max: Option<usize>,
    /// Whether a person reads answers in a pager.
    pub(super) pager: Switch,
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
    output: Output,
    /// The last statement that was asked, for the commands about it.
    last_statement: Option<String>,
    names: SharedNames,
    /// When the names were last asked for.
    names_learnt: Option<Instant>,
}

/// How long names are believed, unless a statement changes what may be seen.
const NAMES_AGE_MAX: Duration = Duration::from_secs(60);

/// How long the prompt waits for names.
const NAMES_TIMEOUT: Duration = Duration::from_secs(3);

impl Session {
    pub(super) fn new(connection: Connection, settings: Settings, output: Output) -> Self {
        Self { connection, settings, output, last_statement: None, names: SharedNames::default(), names_learnt: None }
    }

    /// The names that the user may see, as the prompt completes them.
    pub(super) fn names(&self) -> SharedNames {
        Arc::clone(&self.names)
    }

    /// Asks for the names when those that are known are old. Without them the prompt works, too.
    pub(super) async fn learn_names(&mut self) {
        if self.names_learnt.is_some_and(|when| when.elapsed() < NAMES_AGE_MAX) {
            return;
        }
        self.names_learnt = Some(Instant::now());
        let asked = tokio::time::timeout(NAMES_TIMEOUT, async {
            let tables = self.connection.tables(describe::all_columns()).await?.collect().await?;
            describe::columns_of(&tables)
        });
        if let Ok(Ok(rows)) = asked.await {
            *self.names.lock() = Names::of_columns(&rows);
        }
        self.connection.settle();
    }

    /// Asks for this purpose from the start.
    pub(super) async fn begin_purpose(&mut self, purpose: &str) -> Result<(), ShellError> {
        self.connection.query(&describe::purpose_statement(Some(purpose))).await?.collect().await?;
        self.connection.settle();
        Ok(())
    }

    /// Runs every step of `text` in order, up to the first that fails.
    pub(super) async fn run(&mut self, text: &str) -> Result<Flow, ShellError> {
        let mut waiting: VecDeque<Step> = steps(text)?.into();
        while let Some(step) = waiting.pop_front() {
            if let Step::Command(line) = &step
                && let Command::Edit(file) = Command::parse(line)?
            {
                let edited = edit::edit(file.as_deref(), self.last_statement.as_deref()).await?;
                notice::say(edited.trim_end());
                for step in steps(&edited)?.into_iter().rev() {
                    waiting.push_front(step);
                }
                continue;
            }
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
                self.last_statement = Some(sql.clone());
                let started = Instant::now();
                self.ask(&sql).await?;
                self.tell_time(started);
            }
            Step::Command(line) => match Command::parse(&line)? {
                Command::Quit => return Ok(Flow::Quit),
                command => self.run_command(command).await?,
            },
        }
        Ok(Flow::Continue)
    }

    async fn ask(&mut self, sql: &str) -> Result<(), ShellError> {
        let beside = (self.settings.pager == Switch::On).then(|| self.connection.beside());
        let answer = while_waiting(beside, sql, first_rows(self.connection.query(sql))).await?;
        if changes_what_is_seen(sql) {
            self.names_learnt = None;
        }
        self.show(answer).await
    }

    /// Asks the last statement until the user has seen enough.
    async fn watch(&mut self, pause: Duration) -> Result<(), ShellError> {
        let Some(statement) = self.last_statement.clone() else {
            return Err(ShellError::Command(
                "no statement has been asked yet; \\watch asks the last one again".to_owned(),
            ));
        };
        loop {
            self.ask(&statement).await?;
            self.connection.settle();
            tokio::time::sleep(pause).await;
        }
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
            Command::Policy(subject) => self.ask(&describe::policy_of(&subject)).await?,
            Command::Purpose(purpose) => self.ask(&describe::purpose_statement(purpose.as_deref())).await?,
            Command::Sites => self.ask(describe::SITES).await?,
            Command::Explain(statement) => self.explain(statement).await?,
            Command::Expanded(expanded) => self.set_expanded(expanded),
            Command::Output(file) => self.set_output(file.as_deref())?,
            Command::Edit(_) => {}
            Command::Watch(pause) => Box::pin(self.watch(pause)).await?,
            Command::Pager(pager) => self.set_pager(pager),
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

    async fn explain(&mut self, statement: Option<String>) -> Result<(), ShellError> {
        let Some(statement) = statement.or_else(|| self.last_statement.clone()) else {
            return Err(ShellError::Command("no statement has been asked yet; \\explain SQL explains one".to_owned()));
        };
        self.ask(&format!("EXPLAIN {statement}")).await
    }

    fn set_expanded(&mut self, expanded: Option<Switch>) {
        let is_expanded = self.settings.format == Format::Vertical;
        let format = match expanded.unwrap_or(Switch::from(is_expanded).flipped()) {
            Switch::On => Format::Vertical,
            Switch::Off => Format::Table,
        };
        self.set_format(Some(format));
    }

    fn set_output(&mut self, file: Option<&Path>) -> Result<(), ShellError> {
        self.output = Output::open(file)?;
        notice::say(&format!("Answers go to {}.", self.output.name()));
        Ok(())
    }

    fn set_format(&mut self, format: Option<Format>) {
        self.settings.format = format.unwrap_or(self.settings.format);
        notice::say(&format!("Format is {}.", self.settings.format.name()));
    }

    fn set_pager(&mut self, pager: Option<Switch>) {
        self.settings.pager = pager.unwrap_or(self.settings.pager.flipped());
        notice::say(match self.settings.pager {
            Switch::On => "The pager is on.",
            Switch::Off => "The pager is off.",
        });
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

    /// Writes an answer as it streams in.
    async fn show(&mut self, mut answer: Answer) -> Result<(), ShellError> {
        let mut shown = RowLimit::new(self.settings.rows_max.filter(|_| !self.output.is_file()));
        let mut writer = self.settings.format.writer(Arc::clone(&answer.schema))?;
        let mut sink = self.output.begin(self.settings.format, self.settings.pager)?;
        let written = write(&mut answer, writer.as_mut(), &mut shown, &mut sink.out).await;
        let has_seen_enough = sink.is_paged() && matches!(&written, Err(error) if error.is_closed_pipe());
        sink.end();
        if has_seen_enough {
            drop(answer);
            self.connection.cancel().await;
            return Ok(());
        }
        written?;
        if shown.is_exceeded {
            drop(answer);
            self.connection.cancel().await;
            notice::say(&format!("Only the first {} rows are shown; \\limit off shows all.", shown.rows));
        }
        Ok(())
    }
}

/// An answer whose first batch has come: until then a person waits.
async fn first_rows(asked: impl Future<Output = Result<Answer, ShellError>>) -> Result<Answer, ShellError> {
    let Answer { schema, mut batches } = asked.await?;
    let first = batches.next().await;
    Ok(Answer { schema, batches: stream::iter(first).chain(batches).boxed() })
}

/// Whether the statement, if it is answered, may show other names from then on.
fn changes_what_is_seen(sql: &str) -> bool {
    let word = sql.split_whitespace().next().unwrap_or_default();
    ["SET", "RESET", "USE"].iter().any(|change| word.eq_ignore_ascii_case(change))
}

async fn write(
    answer: &mut Answer,
    writer: &mut (dyn ResultWriter + Send),
    shown: &mut RowLimit,
    out: &mut (dyn Write + Send),
) -> Result<(), ShellError> {
    while let Some(batch) = answer.batches.next().await {
        writer.write(&shown.admitted(&batch?), out)?;
        out.flush()?;
        if shown.is_exceeded {
            break;
        }
    }
    writer.finish(out)?;
    Ok(out.flush()?)
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
