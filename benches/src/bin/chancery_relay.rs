//! What Chancery adds where it passes rows on: small and large queries of one site, and the first batch of a scan, beside a
//! bare Flight relay before a bare site that has each answer ready. By turns in one run, answers compared first.
//!
//! ```text
//! chancery-relay [--scale 1] [--repetitions 5] [--queries 200] [--clients 32] [--cases point,large] [--plain] [--wan] \
//!     [--out DIRECTORY]
//! ```
//!
//! A coordinator always comes to its sites over TLS, and so does the relay; `--plain` is of who asks. CPU time is that of the
//! party's processes, the asking one left out. What the figures mean stands in `benches/README.md`.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use arrow_flight::sql::client::{FlightSqlServiceClient, PreparedStatement};
use benches::bare::{self, Credentials, Serving, credentials};
use benches::link::{Link, LinkArguments};
use benches::process::Tree;
use benches::run::{self, median};
use clap::{Args, Parser, Subcommand};
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::DataType;
use datafusion::common::hash_utils::{RandomState, create_hashes};
use futures::StreamExt;
use harness::cluster::process::Process;
use harness::cluster::{Client, Cluster, Governance, Options, Person, USER};
use harness::namespace::Namespace;
use harness::tpch::tpch;
use tokio::task::JoinSet;
use tonic::transport::Channel;

/// The site that large results come from.
const LARGE: &str = "logistics";
const SITES: [&str; 3] = ["sales", LARGE, "supply"];
const POINT: &str = "SELECT s_suppkey, s_name, s_acctbal FROM supply.tpch.supplier WHERE s_suppkey = 42";
const FILTER: &str = "SELECT s_suppkey, s_name, s_nationkey FROM supply.tpch.supplier WHERE s_acctbal > 9900";
const SCAN: &str =
    "SELECT l_orderkey, l_partkey, l_quantity, l_extendedprice, l_shipdate, l_shipmode FROM logistics.tpch.lineitem";
const GRANTS: &str = "CREATE PURPOSE analysis;\nGRANT SELECT ON SCHEMA tpch TO ROLE analyst FOR PURPOSE analysis;\n";

/// What is asked, and how.
struct Case {
    name: &'static str,
    about: &'static str,
    sql: &'static str,
    asked: Asked,
    door: Door,
    until: Until,
}

#[derive(Clone, Copy, PartialEq)]
enum Asked {
    /// The same text each time.
    Again,
    /// A text that was never asked before: of the same meaning, with another comment.
    Anew,
    /// Prepared once, without parameters.
    Prepared,
}

#[derive(Clone, Copy, PartialEq)]
enum Door {
    Federation,
    /// The own door of the site that has the large table.
    Site,
}

#[derive(Clone, Copy, PartialEq)]
enum Until {
    FirstBatch,
    End,
}

static CASES: [Case; 7] = [
    Case {
        name: "point",
        about: "one row by its key, the same text each time",
        sql: POINT,
        asked: Asked::Again,
        door: Door::Federation,
        until: Until::End,
    },
    Case {
        name: "anew",
        about: "the same, a text never asked before each time",
        sql: POINT,
        asked: Asked::Anew,
        door: Door::Federation,
        until: Until::End,
    },
    Case {
        name: "prepared",
        about: "the same, prepared once",
        sql: POINT,
        asked: Asked::Prepared,
        door: Door::Federation,
        until: Until::End,
    },
    Case {
        name: "filter",
        about: "about a hundredth of a table",
        sql: FILTER,
        asked: Asked::Again,
        door: Door::Federation,
        until: Until::End,
    },
    Case {
        name: "large",
        about: "a scan of lineitem, six columns",
        sql: SCAN,
        asked: Asked::Again,
        door: Door::Federation,
        until: Until::End,
    },
    Case {
        name: "site",
        about: "the same scan at the site's own door",
        sql: SCAN,
        asked: Asked::Again,
        door: Door::Site,
        until: Until::End,
    },
    Case {
        name: "first",
        about: "the first batch of the same scan",
        sql: SCAN,
        asked: Asked::Again,
        door: Door::Federation,
        until: Until::FirstBatch,
    },
];

impl Case {
    fn is_small(&self) -> bool {
        self.sql != SCAN
    }

    fn text(&self, number: usize) -> String {
        // Nobody has asked this before: not in another turn, not in another run.
        let anew = || format!("{} -- {}.{number}", self.sql, run::now_us());
        if self.asked == Asked::Anew { anew() } else { self.sql.to_string() }
    }
}

#[derive(Debug, Parser)]
#[command(args_conflicts_with_subcommands = true)]
struct Command {
    #[command(subcommand)]
    bare: Option<Bare>,
    #[command(flatten)]
    arguments: Arguments,
}

#[derive(Debug, Subcommand)]
enum Bare {
    /// Is a bare site: a run starts this.
    #[command(hide = true)]
    Site {
        #[arg(long)]
        scale: f64,
        #[arg(long)]
        listen: SocketAddr,
        #[command(flatten)]
        credentials: Credentials,
    },
    /// Is a bare relay before it.
    #[command(hide = true)]
    Relay {
        #[arg(long)]
        site: String,
        #[arg(long)]
        address: String,
        #[arg(long)]
        listen: SocketAddr,
        #[command(flatten)]
        credentials: Credentials,
    },
}

#[derive(Debug, Args)]
struct Arguments {
    /// The scale of TPC-H: at 1, 10,000 suppliers and 6 million rows of lineitem.
    #[arg(long, default_value_t = 1.0)]
    scale: f64,
    /// Turns of each party in each case.
    #[arg(long, default_value_t = 5)]
    repetitions: usize,
    /// Small queries of a turn.
    #[arg(long, default_value_t = 400)]
    queries: usize,
    /// How many ask at once, after one alone.
    #[arg(long, default_value_t = 32)]
    clients: usize,
    /// These cases only.
    #[arg(long, value_delimiter = ',')]
    cases: Vec<String>,
    /// Those who ask come without TLS.
    #[arg(long)]
    plain: bool,
    #[command(flatten)]
    link: LinkArguments,
    /// Where the report and the CSV go; `benches/runs/<date>-<host>` when left out.
    #[arg(long)]
    out: Option<PathBuf>,
}

impl Arguments {
    fn cases(&self) -> Result<Vec<&'static Case>, String> {
        let known = |name: &String| CASES.iter().any(|case| case.name == name);
        if let Some(unknown) = self.cases.iter().find(|name| !known(name)) {
            return Err(format!("--cases: there is no `{unknown}`"));
        }
        // A whole scan over the link says how fast the link is.
        let on_the_way = |case: &&Case| !self.link.wan || case.is_small() || case.until == Until::FirstBatch;
        let asked = |case: &&Case| self.cases.is_empty() || self.cases.iter().any(|name| name == case.name);
        Ok(CASES.iter().filter(on_the_way).filter(asked).collect())
    }

    /// Who asks at once, and how often each in a turn.
    fn crowds(&self, case: &Case) -> Vec<(usize, usize)> {
        match (case.is_small(), case.until) {
            (true, _) => vec![(1, self.queries), (self.clients, self.queries.div_ceil(self.clients) * 2)],
            (false, Until::End) => vec![(1, 1)],
            (false, Until::FirstBatch) => vec![(1, 10)],
        }
    }

    fn name(&self) -> String {
        let how = [(self.plain, "-plain"), (self.link.wan, "-wan")];
        let how: String = how.iter().filter(|(is_so, _)| *is_so).map(|(_, how)| *how).collect();
        format!("relay-sf{}{how}", self.scale)
    }
}

/// A door and the processes behind it.
struct Place {
    clients: Vec<Client>,
    processes: Vec<Tree>,
}

impl Place {
    async fn open(address: &str, authority: Option<&Path>, clients: usize, processes: Vec<Tree>) -> Self {
        let mut connected = Vec::new();
        for _ in 0..clients {
            connected.push(Client::connect_as(address, authority, USER).await);
        }
        Self { clients: connected, processes }
    }

    fn cpu_ms(&self) -> u64 {
        self.processes.iter().map(|process| process.cpu_ms()).sum()
    }
}

/// Who answers.
struct Party {
    name: &'static str,
    federation: Place,
    site: Place,
}

impl Party {
    fn place(&self, door: Door) -> &Place {
        match door {
            Door::Federation => &self.federation,
            Door::Site => &self.site,
        }
    }
}

/// What keeps the parties running.
struct Ground {
    clusters: Vec<Cluster>,
    bare: Vec<Serving>,
    plain_sites: Vec<Process>,
    link: Option<Link>,
}

/// What one turn of a party took: of each query, but for the rate.
#[derive(Clone, Copy)]
struct Sample {
    p50_ms: f64,
    p95_ms: f64,
    cpu_ms: f64,
    per_s: f64,
}

/// One case with so many who ask at once, and its samples by party.
struct Measured {
    case: &'static Case,
    clients: usize,
    /// Of one answer, as Arrow has it.
    bytes: usize,
    samples: Vec<Vec<Sample>>,
}

#[tokio::main]
async fn main() -> ExitCode {
    let Command { bare, arguments } = Command::parse();
    let told = match bare {
        Some(bare) => serve(bare).await.map(|()| String::new()),
        None => measured(&arguments).await,
    };
    run::conclude("chancery-relay", told.map(|report| (report, true)))
}

async fn serve(bare: Bare) -> Result<(), String> {
    match bare {
        Bare::Site { scale, listen, credentials } => {
            let dataset = tpch(scale).map_err(|error| error.to_string())?;
            bare::site(&dataset, listen, &credentials).await
        }
        Bare::Relay { site, address, listen, credentials } => {
            bare::relay((&site, &address), listen, &credentials).await
        }
    }
}

async fn measured(arguments: &Arguments) -> Result<String, String> {
    let cases = arguments.cases()?;
    let (ground, parties) = start(arguments).await?;
    let mut all = Vec::new();
    for case in &cases {
        let bytes = compare_answers(case, &parties).await?;
        let crowds = arguments.crowds(case).into_iter();
        all.extend(crowds.map(|(clients, queries)| (Measured::new(case, clients, bytes, parties.len()), queries)));
    }
    if let Some(link) = &ground.link {
        arguments.link.shape(link);
    }
    for (measured, queries) in &mut all {
        measured.measure(&parties, *queries, arguments.repetitions, ground.link.as_ref()).await?;
    }
    let all: Vec<Measured> = all.into_iter().map(|(measured, _)| measured).collect();
    let report = report(arguments, &cases, &parties, &all);
    let file = run::keep(&arguments.name(), arguments.out.as_deref(), &report, &csv(&parties, &all));
    let file = file.map_err(|error| error.to_string())?;
    Ok(format!("{report}\nwritten to {} and .csv beside it\n", file.display()))
}

async fn start(arguments: &Arguments) -> Result<(Ground, Vec<Party>), String> {
    let dataset = tpch(arguments.scale).map_err(|error| error.to_string())?;
    let link = arguments.link.open()?;
    let namespace = link.as_ref().map(|link| link.namespace().clone());
    let mut ground = Ground { clusters: Vec::new(), bare: Vec::new(), plain_sites: Vec::new(), link };
    let mut parties = Vec::new();
    for (name, governance) in [("chancery", None), ("governed", Some(granted()))] {
        let users_over_tls = !arguments.plain;
        let options = Options { governance, users_over_tls, namespace: namespace.clone(), ..Options::default() };
        let cluster = Cluster::start_with(&dataset, options).await;
        parties.push(ground.federation(name, cluster, arguments).await);
    }
    let authority = ground.clusters[0].authority();
    let certificates = ground.clusters[0].root().join("certs");
    parties.insert(0, ground.bare(&authority, &certificates, arguments).await?);
    Ok((ground, parties))
}

/// Everything is granted, and recorded.
fn granted() -> Governance {
    Governance {
        users: vec![Person::new(USER, "analyst").holding("analysis")],
        policies: SITES.iter().map(|site| ((*site).to_string(), GRANTS.to_string())).collect(),
        ..Governance::default()
    }
}

impl Ground {
    async fn federation(&mut self, name: &'static str, cluster: Cluster, arguments: &Arguments) -> Party {
        let authority = cluster.authority();
        let users = Some(authority.as_path()).filter(|_| !arguments.plain);
        let all = cluster.nodes().map(|(_, node)| Tree(node.id())).collect();
        let federation = Place::open(cluster.address(), users, arguments.clients, all).await;
        let site = if arguments.plain {
            let site = plain_site(&cluster.root().join(format!("{LARGE}.toml")));
            let place = Place::open(site.address(), None, 1, vec![Tree(site.id())]).await;
            self.plain_sites.push(site);
            place
        } else {
            let site = cluster.site(LARGE);
            Place::open(site.address(), users, 1, vec![Tree(site.id())]).await
        };
        self.clusters.push(cluster);
        Party { name, federation, site }
    }

    /// A bare site, and a relay before it.
    async fn bare(&mut self, authority: &Path, certificates: &Path, arguments: &Arguments) -> Result<Party, String> {
        let namespace = self.link.as_ref().map(|link| link.namespace().clone());
        let here = format!("{}:0", Ipv4Addr::LOCALHOST);
        let there = format!("{}:0", namespace.as_ref().map_or(Ipv4Addr::LOCALHOST, |namespace| namespace.address));
        let scale = arguments.scale.to_string();
        let as_site = ["site", "--scale", &scale];
        let start = |words: &[&str], listen: &str, (node, plain): (&str, bool), namespace: Option<&Namespace>| {
            let credentials = credentials(certificates, node, plain);
            let mut all: Vec<&str> = words.to_vec();
            all.extend(["--listen", listen]);
            all.extend(credentials.iter().map(String::as_str));
            Serving::start(&all, namespace)
        };
        let site = start(&as_site, &there, (LARGE, false), namespace.as_ref())?;
        let as_relay = ["relay", "--site", LARGE, "--address", &site.address];
        let relay = start(&as_relay, &here, ("coordinator", arguments.plain), None)?;
        let users = Some(authority).filter(|_| !arguments.plain);
        let all = vec![Tree(relay.id()), Tree(site.id())];
        let federation = Place::open(&relay.address, users, arguments.clients, all).await;
        let alone = if arguments.plain { Some(start(&as_site, &here, (LARGE, true), None)?) } else { None };
        let asked = alone.as_ref().unwrap_or(&site);
        let alone_at = Place::open(&asked.address, users, 1, vec![Tree(asked.id())]).await;
        self.bare.extend([site, relay].into_iter().chain(alone));
        Ok(Party { name: "relay", federation, site: alone_at })
    }
}

/// The same site once more, whose door has no TLS.
fn plain_site(config: &Path) -> Process {
    let text = std::fs::read_to_string(config).expect("a site's configuration");
    let mut lines: toml::Table = text.parse().expect("a configuration");
    for key in ["tls", "peers", "issuer"] {
        lines.remove(key);
    }
    lines.insert("listen".into(), format!("{}:0", Ipv4Addr::LOCALHOST).into());
    lines.insert("state".into(), "state/plain".into());
    let plain = config.with_file_name("plain.toml");
    std::fs::write(&plain, toml::to_string(&lines).expect("a configuration")).expect("a writable directory");
    Process::start("site", &plain, "info")
}

/// One who asks.
enum Asking {
    Statement(FlightSqlServiceClient<Channel>),
    Prepared(Box<PreparedStatement<Channel>>, FlightSqlServiceClient<Channel>),
}

impl Asking {
    async fn new(client: &Client, case: &Case) -> Result<Self, String> {
        let mut flight = client.flight();
        if case.asked != Asked::Prepared {
            return Ok(Self::Statement(flight));
        }
        let prepared = flight.prepare(case.sql.to_string(), None).await.map_err(|error| error.to_string())?;
        Ok(Self::Prepared(Box::new(prepared), flight))
    }

    /// Hands over each batch of the answer.
    async fn ask(&mut self, case: &Case, number: usize, mut take: impl FnMut(&RecordBatch)) -> Result<(), String> {
        let told = |error: arrow_flight::error::FlightError| error.to_string();
        let (info, flight) = match self {
            Self::Statement(flight) => (flight.execute(case.text(number), None).await.map_err(told)?, flight),
            Self::Prepared(prepared, flight) => (prepared.execute().await.map_err(told)?, flight),
        };
        let ticket = info.endpoint.into_iter().find_map(|endpoint| endpoint.ticket).ok_or("no ticket")?;
        let mut batches = flight.do_get(ticket).await.map_err(told)?;
        while let Some(batch) = batches.next().await {
            take(&batch.map_err(told)?);
            if case.until == Until::FirstBatch {
                break;
            }
        }
        Ok(())
    }

    /// Asks so many times; how long each took.
    async fn ask_often(&mut self, case: &Case, queries: usize) -> Result<Vec<f64>, String> {
        let mut took = Vec::new();
        for number in 0..queries {
            let start = Instant::now();
            self.ask(case, number, |_| ()).await?;
            took.push(start.elapsed().as_secs_f64() * 1e3);
        }
        Ok(took)
    }
}

/// Names, types and rows of an answer, in whatever order they come, and its size.
#[derive(Default)]
struct Fingerprint {
    columns: Vec<(String, DataType)>,
    rows: usize,
    hash: u64,
    bytes: usize,
}

impl Fingerprint {
    fn add(&mut self, batch: &RecordBatch) -> Result<(), String> {
        let fields = batch.schema_ref().fields().iter();
        self.columns = fields.map(|field| (field.name().clone(), field.data_type().clone())).collect();
        let mut hashes = vec![0; batch.num_rows()];
        create_hashes(batch.columns(), &RandomState::default(), &mut hashes).map_err(|error| error.to_string())?;
        self.hash = hashes.into_iter().fold(self.hash, u64::wrapping_add);
        self.rows += batch.num_rows();
        let sizes = batch.columns().iter().map(|column| column.to_data().get_slice_memory_size());
        self.bytes += sizes.sum::<Result<usize, _>>().map_err(|error| error.to_string())?;
        Ok(())
    }
}

/// Asks everybody once, which warms all up too; the size of the answer, which all have given.
async fn compare_answers(case: &Case, parties: &[Party]) -> Result<usize, String> {
    let mut expected: Option<Fingerprint> = None;
    for party in parties {
        let place = |fault: String| format!("{} of {}: {fault}", case.name, party.name);
        let whole = Case { until: Until::End, ..*case };
        let (mut found, mut failed) = (Fingerprint::default(), Ok(()));
        let mut asking = Asking::new(&party.place(case.door).clients[0], case).await.map_err(place)?;
        let take = |batch: &RecordBatch| failed = found.add(batch).and(failed.clone());
        asking.ask(&whole, 0, take).await.and(failed.clone()).map_err(place)?;
        match &expected {
            Some(expected)
                if (&expected.columns, expected.rows, expected.hash) != (&found.columns, found.rows, found.hash) =>
            {
                return Err(place(format!("{} rows other than the {} of the first", found.rows, expected.rows)));
            }
            Some(_) => {}
            None => expected = Some(found),
        }
    }
    eprintln!("{} compared", case.name);
    Ok(expected.map_or(0, |answer| answer.bytes))
}

impl Measured {
    fn new(case: &'static Case, clients: usize, bytes: usize, parties: usize) -> Self {
        Self { case, clients, bytes, samples: vec![Vec::new(); parties] }
    }

    /// By turns, and each time another party first: none always follows the same one.
    async fn measure(
        &mut self,
        parties: &[Party],
        queries: usize,
        repetitions: usize,
        link: Option<&Link>,
    ) -> Result<(), String> {
        for repetition in 0..repetitions {
            for turn in 0..parties.len() {
                let at = (turn + repetition) % parties.len();
                let sample = self.turn(&parties[at], queries, link).await;
                let failed = |fault| format!("{} of {}: {fault}", self.case.name, parties[at].name);
                self.samples[at].push(sample.map_err(failed)?);
            }
        }
        eprintln!("{} measured, {} at once", self.case.name, self.clients);
        Ok(())
    }

    async fn turn(&self, party: &Party, queries: usize, link: Option<&Link>) -> Result<Sample, String> {
        let (case, place) = (self.case, party.place(self.case.door));
        let mut asking = Vec::new();
        for client in place.clients.iter().take(self.clients) {
            asking.push(Asking::new(client, case).await?);
        }
        if let Some(link) = link {
            silence(link).await;
        }
        // The first answer of a turn finds caches of the machine that another party has filled.
        for one in &mut asking {
            one.ask(case, queries, |_| ()).await?;
            if let Some(link) = link.filter(|_| case.until == Until::FirstBatch) {
                silence(link).await;
            }
        }
        let (cpu, start) = (place.cpu_ms(), Instant::now());
        let mut took = Vec::new();
        let mut waited = Duration::ZERO;
        if let Some(link) = link.filter(|_| case.until == Until::FirstBatch) {
            for _ in 0..queries {
                took.extend(asking[0].ask_often(case, 1).await?);
                let since = Instant::now();
                silence(link).await;
                waited += since.elapsed();
            }
        } else {
            let mut crowd = JoinSet::new();
            for mut one in asking {
                crowd.spawn(async move { one.ask_often(case, queries).await });
            }
            while let Some(ended) = crowd.join_next().await {
                took.extend(ended.map_err(|error| error.to_string())??);
            }
        }
        let wall_s = (start.elapsed() - waited).as_secs_f64();
        let count = took.len() as f64;
        took.sort_by(f64::total_cmp);
        let p95_ms = took[(took.len() * 95).div_ceil(100) - 1];
        Ok(Sample {
            p50_ms: median(took),
            p95_ms,
            cpu_ms: (place.cpu_ms() - cpu) as f64 / count,
            per_s: count / wall_s,
        })
    }
}

/// Waits until the link carries nothing more of what was asked before.
async fn silence(link: &Link) {
    let mut before = link.bytes();
    loop {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let now = link.bytes();
        if now.1 - before.1 < 10_000 {
            return;
        }
        before = now;
    }
}

fn report(arguments: &Arguments, cases: &[&Case], parties: &[Party], all: &[Measured]) -> String {
    let mut text = format!(
        "TPC-H at scale {}; {} turns of each; those who ask come {}; {}\n",
        arguments.scale,
        arguments.repetitions,
        if arguments.plain { "without TLS" } else { "over TLS" },
        run::place()
    );
    if arguments.link.wan {
        let _ = writeln!(
            text,
            "the sites are {} ms and {} Mbit/s away",
            arguments.link.delay_ms * 2,
            arguments.link.rate_mbit
        );
    }
    for Case { name, about, .. } in cases {
        let _ = writeln!(text, "{name:<9} {about}");
    }
    let _ = writeln!(
        text,
        "\n{:<9} {:>7} {:<9} {:>9} {:>9} {:>9} {:>8} {:>8} {:>7} {:>7} {:>7}",
        "case", "at once", "party", "p50 ms", "p95 ms", "CPU ms", "per s", "MB/s", "x p50", "x CPU", "x rate"
    );
    for measured in all {
        for (party, samples) in parties.iter().zip(&measured.samples) {
            measured.write_line(&mut text, party, samples);
        }
    }
    text.push_str(
        "\nMedians of the turns; x: the median of what is so many times the first party's in the same turn.\n",
    );
    text
}

impl Measured {
    fn write_line(&self, text: &mut String, party: &Party, samples: &[Sample]) {
        let middle = |of: fn(&Sample) -> f64| median(samples.iter().map(of).collect());
        let times = |of: fn(&Sample) -> f64| {
            median(samples.iter().zip(&self.samples[0]).map(|(own, first)| of(own) / of(first)).collect())
        };
        let per_s = middle(|sample| sample.per_s);
        let is_whole = self.case.until == Until::End;
        let megabytes = if is_whole { format!("{:.1}", per_s * self.bytes as f64 / 1e6) } else { "-".to_string() };
        let _ = writeln!(
            text,
            "{:<9} {:>7} {:<9} {:>9.2} {:>9.2} {:>9.2} {per_s:>8.1} {megabytes:>8} {:>7.2} {:>7.2} {:>7.2}",
            self.case.name,
            self.clients,
            party.name,
            middle(|sample| sample.p50_ms),
            middle(|sample| sample.p95_ms),
            middle(|sample| sample.cpu_ms),
            times(|sample| sample.p50_ms),
            times(|sample| sample.cpu_ms),
            times(|sample| sample.per_s),
        );
    }
}

/// Every turn, one a line.
fn csv(parties: &[Party], all: &[Measured]) -> String {
    let mut text = "case,at_once,party,repetition,p50_ms,p95_ms,cpu_ms,per_s,answer_bytes\n".to_string();
    for Measured { case, clients, bytes, samples } in all {
        for (party, samples) in parties.iter().zip(samples) {
            for (repetition, Sample { p50_ms, p95_ms, cpu_ms, per_s }) in samples.iter().enumerate() {
                let (case, party) = (case.name, party.name);
                let _ = writeln!(
                    text,
                    "{case},{clients},{party},{repetition},{p50_ms:.3},{p95_ms:.3},{cpu_ms:.3},{per_s:.2},{bytes}"
                );
            }
        }
    }
    text
}
