//! What reading a whole table out of PostgreSQL costs the reader: a COPY whose bytes are thrown away, the connector, and
//! DuckDB's PostgreSQL scanner, by turns in one run.
//!
//! ```text
//! cargo run --release -p chancery-benches --bin postgres-scan -- [--rows 20000000] [--repetitions 5] [--duckdb PYTHON]
//! ```
//!
//! Each reading is a process of its own, so that its CPU time and the most memory it had are its own; rows are counted and
//! dropped. The table tells rows a second of wall time, and a second of the reader's CPU time: the server, which has the
//! same two cores, is not in the latter. `PYTHON` is an interpreter that has `duckdb` and `duckdb-extension-postgres`.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Instant;

use benches::run::{self, median};
use datafusion::common::runtime::SpawnedTask;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::execute_stream;
use datafusion::prelude::{SessionConfig, SessionContext};
use futures::StreamExt;
use harness::postgres::Postgres;

const TABLE: &str = "readings";
/// Whole numbers, floats, decimals, days, moments and texts, as many tables have them; 100 bytes a row.
const MADE_AS: &str =
    "CREATE TABLE readings AS SELECT n::int8 AS id, (n % 5000)::int4 AS station, n / 7.0::float8 AS value,
    (n % 1000000 / 100.0)::numeric(12, 2) AS amount, '2013-01-01'::date + (n % 3650)::int4 AS day,
    '2013-01-01 00:00:00+00'::timestamptz + n * interval '1 second' AS seen, 'station ' || n % 5000 AS name,
    CASE WHEN n % 10 > 0 THEN 'a remark of some length' END AS remark FROM generate_series(1, {rows}) AS n";

/// Who reads.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Reader {
    Copy,
    Connector { partitions: usize },
    DuckDb { threads: usize },
}

const READERS: [(&str, Reader); 5] = [
    ("COPY, discarded", Reader::Copy),
    ("connector, 1 session", Reader::Connector { partitions: 1 }),
    ("connector, 2 sessions", Reader::Connector { partitions: 2 }),
    ("DuckDB, 1 thread", Reader::DuckDb { threads: 1 }),
    ("DuckDB, 2 threads", Reader::DuckDb { threads: 2 }),
];

/// What one reading took, as its process tells it in one line.
#[derive(Debug, Clone, Copy)]
struct Reading {
    rows: u64,
    wall_ms: f64,
    cpu_ms: f64,
    peak_mb: f64,
}

impl Reading {
    fn parse(line: &str) -> Option<Self> {
        let mut words = line.split_whitespace();
        let rows = words.next()?.parse().ok()?;
        let mut number = || words.next()?.parse().ok();
        Some(Self { rows, wall_ms: number()?, cpu_ms: number()?, peak_mb: number()? })
    }
}

struct Arguments {
    rows: u64,
    repetitions: usize,
    duckdb: Option<PathBuf>,
}

impl Arguments {
    fn read(words: &[String]) -> Result<Self, String> {
        let mut arguments = Self { rows: 20_000_000, repetitions: 5, duckdb: None };
        for pair in words.chunks(2) {
            let [word, value] = pair else { return Err(format!("{} needs a value", pair[0])) };
            let wrong = |error: std::num::ParseIntError| format!("{word} {value}: {error}");
            match word.as_str() {
                "--rows" => arguments.rows = value.parse().map_err(wrong)?,
                "--repetitions" => arguments.repetitions = value.parse().map_err(wrong)?,
                "--duckdb" => arguments.duckdb = Some(value.into()),
                _ => return Err(format!("{word} is unknown; there are --rows, --repetitions and --duckdb")),
            }
        }
        Ok(arguments)
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let told = match words.as_slice() {
        [word, name, options] if word == "--read" => read(name, options).await,
        _ => compare(&words).await,
    };
    match told {
        Ok(told) => {
            println!("{told}");
            ExitCode::SUCCESS
        }
        Err(fault) => {
            eprintln!("postgres-scan: {fault}");
            ExitCode::FAILURE
        }
    }
}

async fn compare(words: &[String]) -> Result<String, String> {
    let arguments = Arguments::read(words)?;
    let server = Postgres::start_with("shared_buffers = 4GB\nlog_statement = none\nmax_wal_size = 8GB").await;
    let admin = server.admin().await;
    admin.run(&MADE_AS.replace("{rows}", &arguments.rows.to_string())).await;
    admin.run(&format!("VACUUM ANALYZE {TABLE}")).await;
    let readers: Vec<_> = READERS
        .into_iter()
        .filter(|(_, reader)| arguments.duckdb.is_some() || !matches!(reader, Reader::DuckDb { .. }))
        .collect();
    let mut readings: Vec<Vec<Reading>> = vec![vec![]; readers.len()];
    // One round more: the first fills the server's buffers.
    for round in 0..=arguments.repetitions {
        for turn in 0..readers.len() {
            let at = (turn + round) % readers.len();
            let reading = reading(readers[at], &server, &arguments)?;
            if reading.rows != arguments.rows {
                return Err(format!("{} read {} rows of {}", readers[at].0, reading.rows, arguments.rows));
            }
            if round > 0 {
                readings[at].push(reading);
            }
        }
    }
    let names: Vec<&str> = readers.iter().map(|(name, _)| *name).collect();
    let report = report(&arguments, &names, &readings);
    let mut csv = "reader,repetition,rows,wall_ms,cpu_ms,peak_mb\n".to_string();
    for (name, readings) in names.iter().zip(&readings) {
        for (repetition, Reading { rows, wall_ms, cpu_ms, peak_mb }) in readings.iter().enumerate() {
            let _ = writeln!(csv, "\"{name}\",{repetition},{rows},{wall_ms:.1},{cpu_ms:.0},{peak_mb:.0}");
        }
    }
    let file = run::keep("postgres-scan", None, &report, &csv).map_err(|error| error.to_string())?;
    Ok(format!("{report}\nwritten to {} and .csv beside it", file.display()))
}

fn report(arguments: &Arguments, names: &[&str], readings: &[Vec<Reading>]) -> String {
    let mut text = format!(
        "{} rows, {} repetitions by turns; {}\n\n{:<22} {:>8} {:>12} {:>16} {:>9}\n",
        arguments.rows,
        arguments.repetitions,
        run::place(),
        "",
        "wall s",
        "rows/s",
        "rows/s of CPU",
        "peak MB"
    );
    for (name, readings) in names.iter().zip(readings) {
        let of = |of: fn(&Reading) -> f64| median(readings.iter().map(of).collect());
        let (wall, cpu) = (of(|reading| reading.wall_ms) / 1e3, of(|reading| reading.cpu_ms) / 1e3);
        let rows = arguments.rows as f64;
        let peak = of(|reading| reading.peak_mb);
        let _ = writeln!(text, "{name:<22} {wall:>8.2} {:>12.0} {:>16.0} {peak:>9.0}", rows / wall, rows / cpu);
    }
    text
}

/// Has a process of its own read the table.
fn reading((name, reader): (&str, Reader), server: &Postgres, arguments: &Arguments) -> Result<Reading, String> {
    let options = server.options("public");
    let mut command = match (reader, &arguments.duckdb) {
        (Reader::DuckDb { threads }, Some(python)) => {
            let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/bin/duckdb_scan.py");
            let mut command = Command::new(python);
            command.arg(script).args([options["port"].to_string(), threads.to_string(), TABLE.to_string()]);
            command
        }
        _ => {
            let mut command = Command::new(std::env::current_exe().map_err(|error| error.to_string())?);
            command.args(["--read", name, &options.to_string()]);
            command
        }
    };
    let output = command.output().map_err(|error| format!("{name}: {error}"))?;
    let line = String::from_utf8_lossy(&output.stdout);
    Reading::parse(&line).ok_or_else(|| format!("{name}: {line}{}", String::from_utf8_lossy(&output.stderr)))
}

/// Reads the table in this process, and tells what it took.
async fn read(name: &str, options: &str) -> Result<String, String> {
    let options: toml::Table = options.parse().map_err(|error| format!("{error}"))?;
    let reader = READERS.into_iter().find(|(known, _)| *known == name).map(|(_, reader)| reader);
    let start = Instant::now();
    let rows = match reader {
        Some(Reader::Copy) => discard_copy(&options).await?,
        Some(Reader::Connector { partitions }) => discard_scan(options, partitions).await?,
        _ => return Err(format!("{name} is no reader of ours")),
    };
    let wall_ms = start.elapsed().as_secs_f64() * 1e3;
    Ok(format!("{rows} {wall_ms} {} {}", run::cpu_ms(), run::peak_mb()))
}

/// The binary form, as it comes. The server tells at the end how many rows that were.
async fn discard_copy(options: &toml::Table) -> Result<u64, String> {
    let told = |error: tokio_postgres::Error| error.to_string();
    let text = |key: &str| options.get(key).and_then(toml::Value::as_str).unwrap_or_default();
    let password = std::fs::read_to_string(text("password_file")).map_err(|error| error.to_string())?;
    let port = options.get("port").and_then(toml::Value::as_integer).and_then(|port| u16::try_from(port).ok());
    let mut config = tokio_postgres::Config::new();
    config.host(text("host")).port(port.unwrap_or_default()).dbname(text("database"));
    config.user(text("user")).password(password.trim());
    let (client, connection) = config.connect(tokio_postgres::NoTls).await.map_err(told)?;
    let connection = SpawnedTask::spawn(connection);
    let copy = client.copy_out(&format!("COPY {TABLE} TO STDOUT (FORMAT binary)")).await.map_err(told)?;
    let mut copy = std::pin::pin!(copy);
    // A message is a row; one more has the header and one the end.
    let mut messages = 0_u64;
    while let Some(bytes) = copy.next().await {
        messages += u64::from(!bytes.map_err(told)?.is_empty());
    }
    drop(client);
    connection.join().await.map_err(|error| error.to_string())?.map_err(told)?;
    Ok(messages.saturating_sub(1))
}

async fn discard_scan(options: toml::Table, partitions: usize) -> Result<u64, String> {
    let source = connectors::registry::open("postgres", "registry", options, Path::new("/")).await;
    let table = source.map_err(|error| error.to_string())?.table(TABLE).await.map_err(|error| error.to_string())?;
    let config = SessionConfig::new().with_target_partitions(partitions);
    let ctx = SessionContext::new_with_config(config.with_coalesce_batches(false));
    let frame = ctx.read_table(table.provider).map_err(|error| error.to_string())?;
    let plan = frame.create_physical_plan().await.map_err(|error| error.to_string())?;
    let stream = execute_stream(plan, ctx.task_ctx()).map_err(|error| error.to_string())?;
    count(stream).await
}

async fn count(mut stream: SendableRecordBatchStream) -> Result<u64, String> {
    let mut rows = 0;
    while let Some(batch) = stream.next().await {
        rows += batch.map_err(|error| error.to_string())?.num_rows() as u64;
    }
    Ok(rows)
}
