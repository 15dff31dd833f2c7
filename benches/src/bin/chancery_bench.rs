//! TPC-H over sites, beside one DataFusion process over all the data, and DuckDB and Trino over attached PostgreSQL servers: bytes
//! over each border, wall and CPU time, peak memory, by turns in one run, answers compared first.
//!
//! ```text
//! chancery-bench [--layout v3|h|string-keys|mixed] [--scale 1] [--repetitions 3] [--queries q01,q06] \
//!     [--parties floor,chancery,chancery-zstd,chancery-postgres,duckdb,trino,trino-tuned] [--python PYTHON] \
//!     [--trino DIRECTORY] [--wan] [--out DIRECTORY]
//! ```
//!
//! How to build and run it, and what the figures mean, stands in `benches/README.md`.

use std::collections::BTreeSet;
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use benches::layout::Layout;
use benches::link::{Link, LinkArguments};
use benches::party::{Ground, Kind, Party};
use benches::report::Run;
use benches::run::{self, median};
use benches::servers::server_of_each_site;
use benches::worker::answer_all;
use clap::{Args, Parser, Subcommand};
use harness::dataset::local_context;
use harness::oracle::local_answer;
use harness::statements::Statement;

/// What `performance.md` asks of the link.
const WAN_QUERIES: [&str; 7] = ["q03", "q05", "q06", "q10", "q12", "q14", "q18"];

#[derive(Debug, Parser)]
#[command(args_conflicts_with_subcommands = true)]
struct Command {
    #[command(subcommand)]
    worker: Option<Worker>,
    #[command(flatten)]
    arguments: Arguments,
}

#[derive(Debug, Subcommand)]
enum Worker {
    /// Answers statements in one DataFusion process: a party of a run starts this.
    #[command(hide = true)]
    Floor {
        #[command(flatten)]
        data: Data,
        answer: PathBuf,
    },
}

#[derive(Debug, Clone, Args)]
struct Data {
    /// How the tables lie over sites.
    #[arg(long, value_enum, default_value = "v3")]
    layout: Layout,
    /// The scale of TPC-H; 1 is 6 million rows of lineitem.
    #[arg(long, default_value_t = 1.0)]
    scale: f64,
}

#[derive(Debug, Args)]
struct Arguments {
    #[command(flatten)]
    data: Data,
    /// How often each party is asked each statement.
    #[arg(long, default_value_t = 3)]
    repetitions: usize,
    /// These statements only.
    #[arg(long, value_delimiter = ',')]
    queries: Vec<String>,
    /// These parties only; all that are possible when left out.
    #[arg(long, value_enum, value_delimiter = ',')]
    parties: Vec<Kind>,
    /// A Python with duckdb, duckdb-extension-postgres-scanner, duckdb-extensions, trino and pyarrow, for the parties of these
    /// names.
    #[arg(long)]
    python: Option<PathBuf>,
    /// An unpacked trino-server, for the parties trino and trino-tuned; its Java is that of JAVA_HOME.
    #[arg(long)]
    trino: Option<PathBuf>,
    #[command(flatten)]
    link: LinkArguments,
    /// Where the report and the CSV go; `benches/runs/<date>-<host>` when left out.
    #[arg(long)]
    out: Option<PathBuf>,
}

impl Arguments {
    fn parties(&self) -> Result<Vec<Kind>, String> {
        let layout = self.data.layout;
        let mut parties = self.parties.clone();
        if parties.is_empty() {
            parties = if self.link.wan {
                vec![Kind::Chancery]
            } else {
                vec![Kind::Floor, Kind::Chancery, Kind::ChanceryZstd]
            };
            let has_servers = self.python.is_some() && layout != Layout::H;
            parties.extend(has_servers.then_some(Kind::ChanceryPostgres));
            parties.extend(self.python.is_some().then_some(Kind::Duckdb));
            if self.python.is_some() && self.trino.is_some() {
                parties.extend([Kind::Trino, Kind::TrinoTuned]);
            }
        }
        if parties.contains(&Kind::ChanceryPostgres) && layout == Layout::H {
            return Err("the regional tables of layout h are over files only; leave out chancery-postgres".to_string());
        }
        if self.repetitions == 0 { Err("--repetitions 0".to_string()) } else { Ok(parties) }
    }

    fn statements(&self) -> Result<Vec<Statement>, String> {
        let mut asked: BTreeSet<&str> = self.queries.iter().map(String::as_str).collect();
        if asked.is_empty() && self.link.wan {
            asked = WAN_QUERIES.into();
        }
        let mut statements = self.data.layout.statements();
        if let Some(unknown) = asked.iter().find(|name| statements.iter().all(|one| one.name != **name)) {
            return Err(format!("--queries: there is no `{unknown}`"));
        }
        statements.retain(|statement| asked.is_empty() || asked.contains(statement.name.as_str()));
        Ok(statements)
    }

    /// Whose tables a server must have for these parties.
    fn sites_in_servers(&self, parties: &[Kind], sites: Vec<String>) -> Vec<String> {
        if parties.iter().any(|party| party.needs_servers()) {
            return sites;
        }
        self.data.layout.sites_in_server().iter().map(ToString::to_string).collect()
    }

    fn name(&self) -> String {
        let Data { layout, scale } = self.data;
        format!("tpch-{}-sf{scale}{}", layout.name(), if self.link.wan { "-wan" } else { "" })
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let Command { worker, arguments } = Command::parse();
    let told = match worker {
        Some(Worker::Floor { data, answer }) => work(&data, answer).await.map(|()| (String::new(), true)),
        None => measured(&arguments).await,
    };
    run::conclude("chancery-bench", told)
}

async fn work(data: &Data, answer: PathBuf) -> Result<(), String> {
    let dataset = data.layout.dataset(data.scale).await.map_err(|error| error.to_string())?;
    answer_all(&dataset, answer).await
}

async fn measured(arguments: &Arguments) -> Result<(String, bool), String> {
    let (kinds, statements) = (arguments.parties()?, arguments.statements()?);
    let mut head = head(arguments);
    let Data { layout, scale } = arguments.data;
    let link = arguments.link.open()?;
    let namespace = link.as_ref().map(|link| link.namespace().clone());
    let dataset = layout.dataset(scale).await.map_err(|error| error.to_string())?;
    let mut held = dataset.clone();
    let in_servers = arguments.sites_in_servers(&kinds, dataset.sites());
    held.tables.retain(|table| in_servers.contains(&table.site));
    let servers = server_of_each_site(&held, namespace.as_ref()).await;
    eprintln!("{} servers hold their tables", servers.len());
    let (python, trino) = (arguments.python.clone(), arguments.trino.clone());
    let ground = Ground { layout, scale, dataset, servers, namespace, python, trino };
    let mut parties = Vec::new();
    for kind in &kinds {
        parties.push(Party::start(*kind, &ground).await?);
    }
    let mut run = Run { parties: kinds, ..Run::default() };
    let measured = compare_answers(&ground, &mut parties, statements, &mut run).await?;
    if let Some(link) = &link {
        arguments.link.shape(link);
        head.push_str(&described(link, &ground)?);
    }
    measure(&mut parties, &measured, arguments.repetitions, link.as_ref(), &mut run).await?;
    if let Some(link) = &link {
        head.push_str(&format!("packets dropped by the link's queues: {}\n", link.dropped()));
    }
    let report = format!("{head}{}", run.report());
    let file = run::keep(&arguments.name(), arguments.out.as_deref(), &report, &run.csv());
    let file = file.map_err(|error| error.to_string())?;
    Ok((format!("{report}\nwritten to {} and .csv beside it\n", file.display()), run.notes.is_empty()))
}

fn head(arguments: &Arguments) -> String {
    let Data { layout, scale } = arguments.data;
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    format!(
        "TPC-H at scale {scale} in layout {}, {} repetitions by turns; {}\nload average before: {}",
        layout.name(),
        arguments.repetitions,
        run::place(),
        load.split(' ').take(3).collect::<Vec<_>>().join(" ") + "\n"
    )
}

/// The link as it is found: how long a connection takes, which is one round trip.
fn described(link: &Link, ground: &Ground) -> Result<String, String> {
    let Some(server) = ground.servers.values().next() else { return Ok(String::new()) };
    let mut times = Vec::new();
    for _ in 0..9 {
        let start = Instant::now();
        TcpStream::connect((link.namespace().address, server.port())).map_err(|error| error.to_string())?;
        times.push(start.elapsed().as_secs_f64() * 1e3);
    }
    Ok(format!("a TCP connection over the link opens in {:.1} ms (median of 9)\n", median(times)))
}

/// Asks everything once, which warms all up too. What is refused or wrong is noted and not measured.
async fn compare_answers(
    ground: &Ground,
    parties: &mut [Party],
    statements: Vec<Statement>,
    run: &mut Run,
) -> Result<Vec<(Statement, Vec<Kind>)>, String> {
    let ctx = local_context(&ground.dataset).await.map_err(|error| error.to_string())?;
    let mut measured = Vec::new();
    for statement in statements {
        let expected = local_answer(&ctx, &statement.sql).await.map_err(|error| error.to_string())?;
        let mut right = Vec::new();
        for party in parties.iter_mut() {
            let answer = party.ask(&statement.sql).await.map_err(|fault| format!("{}: {fault}", party.kind.name()));
            match answer.and_then(|(answer, _)| party.compare(&expected, &answer, &statement)) {
                Ok(()) => right.push(party.kind),
                Err(fault) => run.notes.push(format!("{}: {fault}", statement.name)),
            }
        }
        eprintln!("{} compared: {} of {} are right", statement.name, right.len(), parties.len());
        run.statements.push(statement.name.clone());
        measured.push((statement, right));
    }
    Ok(measured)
}

/// By turns, and each time another party first: none always follows the same one.
async fn measure(
    parties: &mut [Party],
    statements: &[(Statement, Vec<Kind>)],
    repetitions: usize,
    link: Option<&Link>,
    run: &mut Run,
) -> Result<(), String> {
    for (statement, right) in statements {
        for repetition in 0..repetitions {
            for turn in 0..parties.len() {
                let at = (turn + repetition) % parties.len();
                let party = &mut parties[at];
                if !right.contains(&party.kind) {
                    continue;
                }
                let before = link.map(Link::bytes);
                let asked = party.ask(&statement.sql).await;
                let (_, mut sample) =
                    asked.map_err(|fault| format!("{} of {}: {fault}", statement.name, party.kind.name()))?;
                let bytes = link.map(Link::bytes).zip(before);
                sample.interface = bytes.map(|(after, before)| (after.0 - before.0, after.1 - before.1));
                run.samples.entry((statement.name.clone(), party.kind)).or_default().push(sample);
            }
        }
        eprintln!("{} measured", statement.name);
    }
    Ok(())
}
