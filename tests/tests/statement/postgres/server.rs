//! A PostgreSQL server of a test's own: on loopback, its default collation a language's, stopped when it is dropped.

use std::io::Write as _;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use arrow::datatypes::{DataType, Schema, SchemaRef, TimeUnit};
use arrow::record_batch::RecordBatch;
use datafusion::common::TableReference;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::logical_expr::LogicalPlan;
use harness::dataset::quote;
use harness::postgres::{copied, sql_type};
use tempfile::TempDir;

use crate::statement::differential::one_form;

pub(super) struct Server {
    directory: TempDir,
    port: u16,
}

fn binaries() -> PathBuf {
    let mut versions: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .expect("Debian's package postgresql")
        .map(|entry| entry.unwrap().path().join("bin"))
        .collect();
    versions.sort();
    versions.pop().expect("a version of PostgreSQL")
}

/// The server refuses to run as root.
fn as_its_account(program: &Path) -> Command {
    let mut command = Command::new("runuser");
    command.args(["-u", "postgres", "--"]).arg(program);
    command
}

fn run(command: &mut Command) {
    let output = command.stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{command:?}\n{}", String::from_utf8_lossy(&output.stderr));
}

impl Server {
    pub(super) fn start() -> Self {
        let directory = TempDir::with_prefix("chancery-postgres-").unwrap();
        run(Command::new("chown").arg("postgres").arg(directory.path()));
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let server = Self { directory, port };
        let language = ["--locale-provider=icu", "--icu-locale=en-US", "--locale=C.UTF-8", "-E", "UTF8"];
        let initdb = binaries().join("initdb");
        run(as_its_account(&initdb).args(language).args(["-A", "trust", "-N", "-D"]).arg(server.data()));
        let options = format!(
            "-p {port} -k {} -c listen_addresses=127.0.0.1 -c fsync=off -c jit=off",
            server.directory.path().display()
        );
        run(server
            .control()
            .args(["-w", "-l"])
            .arg(server.directory.path().join("log"))
            .arg("-o")
            .arg(options)
            .arg("start"));
        server
    }

    fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    fn control(&self) -> Command {
        let mut control = as_its_account(&binaries().join("pg_ctl"));
        control.arg("-D").arg(self.data());
        control
    }

    /// What the server prints for `input`, or its complaint.
    fn psql(&self, input: &str) -> Result<String, String> {
        let port = self.port.to_string();
        let mut client = Command::new(binaries().join("psql"))
            .args(["-X", "-q", "-h", "127.0.0.1", "-p", &port, "-U", "postgres", "-d", "postgres"])
            .args(["-v", "ON_ERROR_STOP=1", "-f", "-"])
            .env("PGOPTIONS", "-c search_path=pg_catalog -c TimeZone=UTC -c client_min_messages=error")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = client.stdin.take().unwrap();
        let input = input.to_string();
        let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
        let output = client.wait_with_output().unwrap();
        let _ = writer.join();
        match output.status.success() {
            true => Ok(String::from_utf8(output.stdout).unwrap()),
            false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
        }
    }

    /// Creates a table with these rows.
    pub(super) fn load(&self, name: &TableReference, schema: &SchemaRef, batches: &[RecordBatch]) {
        let columns: Vec<String> = schema
            .fields()
            .iter()
            .map(|field| format!("{} {}", quote(field.name()), type_of(field.data_type())))
            .collect();
        let (namespace, table) = (quote(name.schema().unwrap()), quote(name.table()));
        let mut script = format!(
            "CREATE SCHEMA IF NOT EXISTS {namespace};\nCREATE TABLE {namespace}.{table} ({});\n\
             COPY {namespace}.{table} FROM STDIN;\n",
            columns.join(", ")
        );
        batches.iter().for_each(|batch| script.push_str(&copied(batch)));
        script.push_str("\\.\n");
        self.psql(&script).unwrap_or_else(|error| panic!("{name}: {error}"));
    }

    /// The server's answer to `text`, whose columns must be of exactly the types that stand for the schema's.
    pub(super) fn ask(&self, text: &str, schema: &Schema) -> Result<Vec<Vec<String>>, String> {
        let mut sent: Vec<String> = vec![];
        for (position, field) in schema.fields().iter().enumerate() {
            sent.push(format!("c{position}, pg_typeof(c{position}) = '{}'::regtype", type_of(field.data_type())));
        }
        let names: Vec<String> = (0..schema.fields().len()).map(|position| format!("c{position}")).collect();
        let query = format!("SELECT {} FROM ({text}) AS answer ({})", sent.join(", "), names.join(", "));
        let printed = self.psql(&format!("COPY ({query}) TO STDOUT;\n"))?;
        let mut rows = vec![];
        for line in printed.lines() {
            let fields: Vec<&str> = line.split('\t').collect();
            let mut row = vec![];
            for (pair, field) in fields.chunks(2).zip(schema.fields()) {
                if pair[1] != "t" {
                    return Err(format!("{} is of another type", field.name()));
                }
                let value = (pair[0] != "\\N").then(|| unescaped(pair[0]));
                row.push(one_form(value, field.data_type()));
            }
            rows.push(row);
        }
        rows.sort();
        Ok(rows)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.control().args(["-m", "immediate", "stop"]).stdout(Stdio::null()).status();
    }
}

/// Whether the server has a type for every column of the tables that `plan` reads, which are tables and no working tables of a
/// recursion.
pub(super) fn stores_all(plan: &LogicalPlan) -> bool {
    let mut all = true;
    plan.apply_with_subqueries(|node| {
        all &= !matches!(node, LogicalPlan::RecursiveQuery(_));
        if let LogicalPlan::TableScan(scan) = node {
            all &= scan.source.schema().fields().iter().all(|field| sql_type(field.data_type()).is_some());
        }
        Ok(TreeNodeRecursion::Continue)
    })
    .unwrap();
    all
}

/// Whether a value passes through the server as it is: it has microseconds and keeps no zone.
pub(super) fn stores_exactly(data_type: &DataType) -> bool {
    match data_type {
        DataType::Timestamp(unit, zone) => {
            *unit == TimeUnit::Microsecond && zone.as_deref().is_none_or(|zone| matches!(zone, "UTC" | "+00:00"))
        }
        other => sql_type(other).is_some(),
    }
}

fn type_of(data_type: &DataType) -> String {
    sql_type(data_type).unwrap_or_else(|| panic!("the server stores no {data_type}"))
}

fn unescaped(value: &str) -> String {
    let mut text = String::new();
    let mut rest = value.chars();
    while let Some(next) = rest.next() {
        match next {
            '\\' => match rest.next() {
                Some('n') => text.push('\n'),
                Some('t') => text.push('\t'),
                Some('r') => text.push('\r'),
                Some('b') => text.push('\u{8}'),
                Some('f') => text.push('\u{c}'),
                Some('v') => text.push('\u{b}'),
                Some(other) => text.push(other),
                None => {}
            },
            other => text.push(other),
        }
    }
    text
}
