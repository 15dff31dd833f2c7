//! A process that answers statements: one a line on its standard input, each answer as an Arrow file in a place that both
//! know, then one line that says so. DataFusion alone and DuckDB work so; memory and CPU time are theirs only.

use std::fs::File;
use std::io::{BufRead, BufReader, Lines, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use datafusion::arrow::ipc::reader::FileReader;
use datafusion::arrow::ipc::writer::FileWriter;
use datafusion::physical_plan::collect;
use datafusion::prelude::SessionContext;
use harness::dataset::{Dataset, register};
use harness::oracle::Answer;
use tempfile::TempDir;

/// What a worker says of an answer that is written; anything else is why there is none.
const WRITTEN: &str = "ok";

/// A running worker; dropped, it is killed.
#[derive(Debug)]
pub struct Worker {
    child: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
    directory: TempDir,
}

impl Worker {
    /// Starts it with the place of its answers as the last argument, and waits until it can be asked.
    ///
    /// # Errors
    /// When it ends before.
    pub fn start(mut command: Command) -> Result<Self, String> {
        let directory = TempDir::with_prefix("chancery-bench-").map_err(|error| error.to_string())?;
        command.arg(directory.path().join("answer.arrow")).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().map_err(|error| format!("{command:?}: {error}"))?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err("a worker without pipes".to_string());
        };
        let mut worker = Self { child, input, output: BufReader::new(output).lines(), directory };
        worker.said()?;
        Ok(worker)
    }

    /// Its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Has it run a statement.
    ///
    /// # Errors
    /// What it says of a statement that it cannot run.
    pub fn ask(&mut self, sql: &str) -> Result<(), String> {
        writeln!(self.input, "{}", sql.replace('\n', " ")).map_err(|error| error.to_string())?;
        self.said()
    }

    /// The answer to the last statement.
    ///
    /// # Errors
    /// When its file cannot be read.
    pub fn answer(&self) -> Result<Answer, String> {
        let file = File::open(self.directory.path().join("answer.arrow")).map_err(|error| error.to_string())?;
        let reader = FileReader::try_new(file, None).map_err(|error| error.to_string())?;
        let schema = reader.schema();
        let batches = reader.collect::<Result<Vec<_>, _>>().map_err(|error| error.to_string())?;
        Ok(Answer { schema, batches })
    }

    fn said(&mut self) -> Result<(), String> {
        match self.output.next() {
            Some(Ok(line)) if line == WRITTEN => Ok(()),
            Some(Ok(line)) => Err(line),
            Some(Err(error)) => Err(error.to_string()),
            None => Err("the worker has ended".to_string()),
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // It may be gone already, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Is the worker that runs statements in one DataFusion process over all the tables, as DataFusion comes.
///
/// # Errors
/// When a table cannot be opened, or nobody listens any more.
pub async fn answer_all(dataset: &Dataset, place: PathBuf) -> Result<(), String> {
    let told = |error: datafusion::error::DataFusionError| error.to_string().replace('\n', " ");
    let ctx = SessionContext::new();
    register(&ctx, dataset).await.map_err(told)?;
    println!("{WRITTEN}");
    for line in std::io::stdin().lines() {
        let sql = line.map_err(|error| error.to_string())?;
        match write_answer(&ctx, &sql, &place).await {
            Ok(()) => println!("{WRITTEN}"),
            Err(error) => println!("{}", told(error)),
        }
    }
    Ok(())
}

async fn write_answer(ctx: &SessionContext, sql: &str, place: &Path) -> datafusion::error::Result<()> {
    let plan = ctx.sql(sql).await?.create_physical_plan().await?;
    let schema = plan.schema();
    let batches = collect(plan, ctx.task_ctx()).await?;
    let mut writer = FileWriter::try_new(File::create(place)?, &schema)?;
    for batch in &batches {
        writer.write(batch)?;
    }
    Ok(writer.finish()?)
}
