//! A foreign Flight SQL server of a test's own: ROAPI, a DataFusion of another version behind a door that others wrote, over
//! files in a temporary directory; stopped when dropped. The program is the one that `CHANCERY_ROAPI` names.

use std::fs::{self, File};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use parquet::arrow::ArrowWriter;
use serde_json::{Value, json};
use tempfile::TempDir;

/// Names the program; it comes from PyPI.
const PROGRAM: &str = "CHANCERY_ROAPI";
const START_LIMIT: Duration = Duration::from_secs(60);
/// What the server calls its one catalog and its one schema.
const CATALOG: &str = "roapi";
const SCHEMA: &str = "public";

/// A running server; dropped, it is stopped and its files are removed.
#[derive(Debug)]
pub struct Roapi {
    directory: TempDir,
    /// For HTTP, for PostgreSQL's protocol, and for Flight SQL.
    ports: [u16; 3],
    /// Each table and its file.
    tables: Vec<(String, PathBuf)>,
    /// More of its configuration.
    settings: Value,
    process: Option<Child>,
}

/// A table to be served.
#[derive(Debug, Clone)]
pub struct Served {
    /// Its name.
    pub name: String,
    /// Its columns.
    pub schema: SchemaRef,
    /// Its rows.
    pub batches: Vec<RecordBatch>,
}

impl Served {
    /// A table of one batch.
    pub fn new(name: &str, rows: &RecordBatch) -> Self {
        Self { name: name.to_string(), schema: rows.schema(), batches: vec![rows.clone()] }
    }
}

impl Roapi {
    /// Writes the tables and starts a server over them.
    pub fn start(tables: &[Served]) -> Self {
        Self::start_with(json!({}), tables)
    }

    /// The same, with more of its configuration.
    pub fn start_with(settings: Value, tables: &[Served]) -> Self {
        let directory = TempDir::with_prefix("chancery-roapi-").expect("a temporary directory");
        let ports = std::array::from_fn(|_| free_port());
        let mut server = Self { directory, ports, tables: Vec::new(), settings, process: None };
        server.serve(tables);
        server
    }

    /// Serves these tables and no others from now on, at the same address.
    pub fn serve(&mut self, tables: &[Served]) {
        self.stop();
        self.tables = tables.iter().enumerate().map(|(number, table)| self.write(number, table)).collect();
        self.restart();
    }

    /// Serves other rows, and perhaps other columns, as the table of this name.
    pub fn replace(&mut self, table: &Served) {
        self.stop();
        let number = self.tables.iter().position(|(name, _)| *name == table.name).expect("a table that is served");
        self.write(number, table);
        self.restart();
    }

    /// Where it listens for Flight SQL, `127.0.0.1:port`.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.ports[2])
    }

    /// The options of a source over it.
    pub fn options(&self) -> toml::Table {
        self.options_at(&self.address())
    }

    /// The options of a source that reaches it by way of `address`.
    pub fn options_at(&self, address: &str) -> toml::Table {
        let text =
            format!("url = 'grpc://{address}'\nschema = '{SCHEMA}'\ncatalog = '{CATALOG}'\nengine = 'datafusion'");
        text.parse().expect("options")
    }

    /// What the server has logged so far, every statement among it.
    pub fn log(&self) -> String {
        fs::read_to_string(self.path("server.log")).unwrap_or_default()
    }

    /// The statements that it was asked to prepare since its log had `before` bytes.
    pub fn asked_since(&self, before: usize) -> Vec<String> {
        const ASKED: &str = "do_action_create_prepared_statement: ";
        let log = self.log();
        log[before..].split("\n[").filter_map(|line| Some(line.split_once(ASKED)?.1.trim_end().to_string())).collect()
    }

    /// Starts it anew with other settings.
    pub fn configure(&mut self, settings: Value) {
        self.stop();
        self.settings = settings;
        self.restart();
    }

    /// Kills the server, as a power cut would.
    pub fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            // It may be gone already, which is what is wanted.
            let _ = process.kill();
            let _ = process.wait();
        }
    }

    /// Starts a stopped server again, where it was.
    pub fn restart(&mut self) {
        fs::write(self.path("roapi.yaml"), self.configuration().to_string()).expect("a writable directory");
        let log = || File::options().create(true).append(true).open(self.path("server.log")).expect("the server's log");
        let mut command = Command::new(program());
        command.args(["-c", "roapi.yaml"]).current_dir(self.directory.path()).env("RUST_LOG", "info");
        let process = command.stdin(Stdio::null()).stdout(log()).stderr(log()).spawn().expect("ROAPI runs");
        self.process = Some(process);
        let began = Instant::now();
        while TcpStream::connect(self.address()).is_err() {
            let ended = self.process.as_mut().and_then(|process| process.try_wait().ok()).flatten();
            assert!(ended.is_none() && began.elapsed() < START_LIMIT, "ROAPI does not start: {}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// JSON is YAML.
    fn configuration(&self) -> Value {
        let [http, postgres, flight_sql] = self.ports.map(|port| format!("127.0.0.1:{port}"));
        let tables: Vec<_> = self.tables.iter().map(|(name, file)| json!({ "name": name, "uri": file })).collect();
        let mut configuration = self.settings.clone();
        configuration["addr"] = json!({ "http": http, "postgres": postgres, "flight_sql": flight_sql });
        configuration["tables"] = json!(tables);
        configuration
    }

    fn write(&self, number: usize, table: &Served) -> (String, PathBuf) {
        // The file is numbered, because a table's name may be one that no file can have.
        let path = self.path(&format!("table{number}.parquet"));
        let file = File::create(&path).expect("a writable directory");
        let mut writer = ArrowWriter::try_new(file, Arc::clone(&table.schema), None).expect("columns of Parquet");
        for batch in &table.batches {
            writer.write(batch).expect("rows of Parquet");
        }
        writer.close().expect("a Parquet file");
        (table.name.clone(), path)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }
}

impl Drop for Roapi {
    fn drop(&mut self) {
        self.stop();
    }
}

fn program() -> PathBuf {
    let named = std::env::var_os(PROGRAM).map(PathBuf::from);
    let program = named.unwrap_or_else(|| panic!("no ROAPI: `pip install roapi`, and name the program in {PROGRAM}"));
    assert!(Path::new(&program).is_file(), "{PROGRAM} names {}, where there is no file", program.display());
    program
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("an address").port()
}
