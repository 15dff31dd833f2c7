//! Planning over many sites with many tables: what a coordinator keeps of 94 sites with 370,000 tables, how soon a new one
//! answers, and how long it plans a join of three tables at three sites.
//!
//! ```text
//! chancery-planning [--sites 94] [--tables 3936] [--statements 1000] [--out DIRECTORY]
//! ```
//!
//! The coordinator is a real one. The sites are one process that answers what a coordinator asks before it plans, each with a
//! door and a certificate of its own, and its tables as a site's own code writes them; no statement runs. A statement is planned
//! by `EXPLAIN`, and no text twice.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use arrow_flight::flight_service_server::{FlightService, FlightServiceServer};
use arrow_flight::sql::SqlInfo;
use arrow_flight::sql::server::FlightSqlService;
use arrow_flight::{Action, Result as ActionResult};
use benches::bare::Serving;
use benches::process::Tree;
use benches::run::{self, median};
use clap::{Args, Parser, Subcommand};
use connectors::connector::TableDescription;
use datafusion::arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use datafusion::common::stats::Precision;
use datafusion::common::{ScalarValue, Statistics};
use engine::catalog::notes::Notes;
use engine::catalog::treatment::TableTreatment;
use engine::catalog::view::{VIEW_ACTION, View, ViewTable};
use engine::identity::{certs, users_file};
use futures::stream::{self, StreamExt};
use harness::cluster::process::Process;
use harness::cluster::{Client, USER};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Certificate, Identity, Server, ServerTlsConfig};
use tonic::{Request, Response, Status};

/// Tables of one source.
const TABLES_PER_SOURCE: usize = 328;
const SUBJECTS: [&str; 8] =
    ["resident", "permit", "vehicle", "parcel", "payment", "inspection", "hospital_stay", "school_year"];
const WORDS: [&str; 16] = [
    "name",
    "kind",
    "region",
    "issued_on",
    "amount",
    "status",
    "street",
    "postcode",
    "changed_at",
    "officer",
    "reason",
    "is_valid",
    "valid_to",
    "share",
    "note",
    "reference",
];

#[derive(Debug, Parser)]
#[command(args_conflicts_with_subcommands = true)]
struct Command {
    #[command(subcommand)]
    sites: Option<Sites>,
    #[command(flatten)]
    arguments: Arguments,
}

#[derive(Debug, Subcommand)]
enum Sites {
    /// Is all the sites: a run starts this.
    #[command(hide = true)]
    Sites {
        #[command(flatten)]
        size: Size,
        #[arg(long)]
        certificates: PathBuf,
    },
}

#[derive(Debug, Clone, Copy, Args)]
struct Size {
    /// How many sites there are.
    #[arg(long, default_value_t = 94)]
    sites: usize,
    /// How many tables each has.
    #[arg(long, default_value_t = 3_936)]
    tables: usize,
}

#[derive(Debug, Args)]
struct Arguments {
    #[command(flatten)]
    size: Size,
    /// How many statements are planned.
    #[arg(long, default_value_t = 1_000)]
    statements: usize,
    /// Where the report and the CSV go; `benches/runs/<date>-<host>` when left out.
    #[arg(long)]
    out: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> ExitCode {
    let Command { sites, arguments } = Command::parse();
    let told = match sites {
        Some(Sites::Sites { size, certificates }) => serve(size, &certificates).await.map(|()| String::new()),
        None => measured(&arguments).await,
    };
    run::conclude("chancery-planning", told.map(|report| (report, true)))
}

fn site(number: usize) -> String {
    format!("agency{number:02}")
}

fn source(table: usize) -> String {
    format!("register{:02}", table / TABLES_PER_SOURCE)
}

fn table(number: usize) -> String {
    format!("{}_{number:04}", SUBJECTS[number % SUBJECTS.len()])
}

/// Between 6 and 25 columns, of which two are in every table.
fn description(site: usize, number: usize) -> TableDescription {
    let seed = site.wrapping_mul(7_919).wrapping_add(number.wrapping_mul(104_729));
    let mut fields = vec![Field::new("id", DataType::Int64, false), Field::new("ref_id", DataType::Int64, true)];
    for column in 0..4 + seed % 20 {
        let word = WORDS[(seed / 3 + column * 5) % WORDS.len()];
        let data_type = match (seed + column) % 6 {
            0 => DataType::Int32,
            1 => DataType::Date32,
            2 => DataType::Decimal128(12, 2),
            3 => DataType::Timestamp(TimeUnit::Microsecond, None),
            _ => DataType::Utf8,
        };
        fields.push(Field::new(format!("{word}_{column}"), data_type, true));
    }
    let schema = Arc::new(Schema::new(fields));
    let rows = 1_000 + seed % 5_000_000;
    let mut statistics = Statistics::new_unknown(&schema);
    statistics.num_rows = Precision::Exact(rows);
    for (field, column) in schema.fields().iter().zip(&mut statistics.column_statistics) {
        column.null_count = Precision::Exact(rows / 50);
        if let DataType::Int64 = field.data_type() {
            column.min_value = Precision::Exact(ScalarValue::Int64(Some(1)));
            column.max_value = Precision::Exact(ScalarValue::Int64(i64::try_from(rows).ok()));
        }
    }
    TableDescription {
        name: table(number),
        is_view: false,
        schema,
        primary_key: vec!["id".to_string()],
        foreign_keys: Vec::new(),
        column_comments: BTreeMap::new(),
        comment: Some(format!("Register of {}s, volume {number}", SUBJECTS[number % SUBJECTS.len()])),
        statistics,
        version: format!("{:032x}", (seed as u128) << 64 | 0x00c0_ffee),
    }
}

/// What a site tells of all its tables.
fn view(site_number: usize, tables: usize) -> Result<Vec<u8>, String> {
    let tables = (0..tables).map(|number| {
        let described = description(site_number, number);
        ViewTable::new(&source(number), &described, (TableTreatment::ungoverned(), Notes::default()), true)
    });
    let tables = tables.collect::<Result<_, _>>().map_err(|error| error.to_string())?;
    let view = View { site: site(site_number), tables, keeps_record: false, purpose: None };
    serde_json::to_vec(&view).map_err(|error| error.to_string())
}

/// One site's door: it answers what is asked before a plan.
#[derive(Clone)]
struct Door(bytes::Bytes);

#[tonic::async_trait]
impl FlightSqlService for Door {
    type FlightService = Self;

    async fn do_action_fallback(
        &self,
        request: Request<Action>,
    ) -> Result<Response<<Self as FlightService>::DoActionStream>, Status> {
        if request.get_ref().r#type != VIEW_ACTION {
            return Err(Status::unimplemented("nothing is asked here but the view"));
        }
        let view = ActionResult { body: self.0.clone() };
        Ok(Response::new(stream::iter([Ok(view)]).boxed()))
    }

    async fn register_sql_info(&self, _: i32, _: &SqlInfo) {}
}

/// Is all the sites; the first line tells their addresses, the first site's first.
async fn serve(size: Size, certificates: &Path) -> Result<(), String> {
    let told = |error: &dyn std::fmt::Display| error.to_string();
    let pem = |name: String| std::fs::read(certificates.join(&name)).map_err(|error| format!("{name}: {error}"));
    let mut serving = JoinSet::new();
    let mut addresses = Vec::new();
    for number in 0..size.sites {
        let name = site(number);
        let identity = Identity::from_pem(pem(format!("{name}.crt"))?, pem(format!("{name}.key"))?);
        let tls = ServerTlsConfig::new()
            .identity(identity)
            .client_ca_root(Certificate::from_pem(pem("authority.crt".to_string())?));
        let listener = TcpListener::bind("127.0.0.1:0").await.map_err(|error| told(&error))?;
        addresses.push(listener.local_addr().map_err(|error| told(&error))?.to_string());
        let service =
            FlightServiceServer::new(Door(view(number, size.tables)?.into())).max_encoding_message_size(usize::MAX);
        let mut server = Server::builder().tls_config(tls).map_err(|error| told(&error))?;
        let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
        serving.spawn(async move { server.add_service(service).serve_with_incoming(incoming).await });
    }
    println!("{}", addresses.join(" "));
    serving.join_all().await;
    Ok(())
}

/// The files of a coordinator over these sites.
fn configure(root: &Path, addresses: &[&str]) -> PathBuf {
    users_file::add(&root.join("users.toml"), USER, USER, std::collections::BTreeSet::new()).expect("a users file");
    let mut text = "name = \"coordinator\"\nlisten = \"127.0.0.1:0\"\nplaintext = true\n[tls]\n\
                    certificate = \"certs/coordinator.crt\"\nkey = \"certs/coordinator.key\"\n\
                    authority = \"certs/authority.crt\"\n[users]\nfile = \"users.toml\"\n[limits]\n\
                    subject_statements_per_minute = 10000000\nview_refresh_interval_ms = 3600000\n"
        .to_string();
    for (number, address) in addresses.iter().enumerate() {
        let _ = writeln!(text, "[[site]]\nname = \"{}\"\naddress = \"https://{address}\"", site(number));
    }
    let path = root.join("coordinator.toml");
    std::fs::write(&path, text).expect("a writable directory");
    path
}

/// The statement of that number: three tables at three sites, joined.
fn statement(size: Size, number: usize) -> String {
    let name = |step: usize| {
        let (at, of) = ((number * 31 + step * 17) % size.sites, (number * 101 + step * 977) % size.tables);
        format!("{}.{}.{}", site(at), source(of), table(of))
    };
    format!(
        "SELECT a.id, count(*) AS n, min(c.ref_id) AS least FROM {} a JOIN {} b ON b.id = a.ref_id \
         JOIN {} c ON c.id = b.ref_id WHERE a.id < {} GROUP BY a.id ORDER BY n DESC LIMIT 10",
        name(0),
        name(1),
        name(2),
        1_000 + number
    )
}

async fn measured(arguments: &Arguments) -> Result<String, String> {
    let size = arguments.size;
    let directory = TempDir::with_prefix("chancery-planning-").map_err(|error| error.to_string())?;
    let root = directory.path();
    let names = std::iter::once("coordinator".to_string()).chain((0..size.sites).map(site));
    let names: Vec<certs::NodeName> = names.map(|name| name.parse().expect("a node's name")).collect();
    certs::init(&root.join("certs"), &names).map_err(|error| error.to_string())?;
    let (sites, tables) = (size.sites.to_string(), size.tables.to_string());
    let certificates = root.join("certs").display().to_string();
    let words = ["sites", "--sites", &sites, "--tables", &tables, "--certificates", &certificates];
    let serving = Serving::start(&words, None)?;
    let config = configure(root, &serving.address.split(' ').collect::<Vec<_>>());

    let start = Instant::now();
    let coordinator = Process::start("coordinator", &config, "info");
    let client = Client::connect_as(coordinator.address(), None, USER).await;
    let open_ms = start.elapsed().as_secs_f64() * 1e3;
    let explain = async |number: usize| {
        let start = Instant::now();
        let sql = format!("EXPLAIN {}", statement(size, number));
        client.query(&sql).await.map_err(|error| format!("{sql}: {error}"))?;
        Ok::<f64, String>(start.elapsed().as_secs_f64() * 1e3)
    };
    let first_ms = explain(0).await?;
    let memory_mb = || coordinator.usage().map_or(0.0, |usage| usage.memory_bytes as f64 / 1e6);
    let (three_mb, all) = (memory_mb(), Instant::now());
    for number in 0..size.sites {
        let sql = format!("EXPLAIN SELECT count(*) FROM {}.{}.{}", site(number), source(0), table(0));
        client.query(&sql).await.map_err(|error| format!("{sql}: {error}"))?;
    }
    let all_ms = all.elapsed().as_secs_f64() * 1e3;
    let known_mb = memory_mb();
    let process = Tree(coordinator.id());
    let before = process.cpu_ms();
    let mut took = Vec::new();
    for number in 1..=arguments.statements {
        took.push(explain(number).await?);
    }
    let cpu_ms = (process.cpu_ms() - before) as f64 / arguments.statements as f64;
    let csv: String = took.iter().enumerate().map(|(number, ms)| format!("{number},{ms:.3}\n")).collect();
    let mut sorted = took;
    sorted.sort_by(f64::total_cmp);
    let p99 = sorted[(sorted.len() * 99).div_ceil(100) - 1];
    let planned_mb = memory_mb();
    let listing = Instant::now();
    let listed =
        client.value("SELECT count(*) FROM information_schema.tables WHERE table_catalog LIKE 'agency%'").await;
    let listed_ms = listing.elapsed().as_secs_f64() * 1e3;
    if listed != (size.sites * size.tables).to_string() {
        return Err(format!("{listed} tables are listed"));
    }
    let peak_mb = coordinator.memory_peak_bytes().unwrap_or_default() as f64 / 1e6;
    let report = format!(
        "{sites} sites with {tables} tables each; {}\n\n\
         a coordinator serves after {open_ms:.0} ms; its first statement, over three sites, is planned {first_ms:.0} ms later \
         ({three_mb:.0} MB)\n\
         one statement over each site, one after another, is planned in {all_ms:.0} ms in all: all sites are known then\n\
         memory: {known_mb:.0} MB then, {planned_mb:.0} MB after all statements\n\
         a join of three tables at three sites is planned in {:.2} ms (p50), {p99:.2} ms (p99), {cpu_ms:.2} ms of CPU time\n\
         at last all tables are counted in information_schema, which lists them: {listed_ms:.0} ms, {peak_mb:.0} MB at its peak\n",
        run::place(),
        median(sorted),
    );
    let file = run::keep(
        &format!("planning-{sites}x{tables}"),
        arguments.out.as_deref(),
        &report,
        &format!("statement,ms\n{csv}"),
    );
    Ok(format!("{report}\nwritten to {} and .csv beside it\n", file.map_err(|error| error.to_string())?.display()))
}
