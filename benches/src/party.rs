//! Who answers TPC-H: a federation, one DataFusion process over all the data, DuckDB and Trino over attached PostgreSQL servers.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

use datafusion::arrow::array::AsArray;
use datafusion::arrow::datatypes::Int64Type;
use harness::cluster::{Client, Cluster, Options};
use harness::dataset::Dataset;
use harness::namespace::Namespace;
use harness::oracle::{Answer, compare, compare_rounded, compare_values};
use harness::postgres::Postgres;
use harness::statements::Statement;

use crate::layout::Layout;
use crate::peer::Peer;
use crate::process::Tree;
use crate::servers::{source_of, sql_of_server};
use crate::worker::Worker;

/// Which party.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Kind {
    /// One DataFusion process over all the Parquet files, as DataFusion comes.
    Floor,
    /// Chancery as it comes: it compresses unless the sites are on this machine.
    Chancery,
    /// Chancery that compresses, as it does between machines.
    ChanceryZstd,
    /// Chancery that compresses, its sites over the PostgreSQL servers that DuckDB has.
    ChanceryPostgres,
    /// DuckDB with a PostgreSQL server attached for each site.
    Duckdb,
    /// Trino with the same servers as catalogs, as it comes.
    Trino,
    /// The same, tuned for what crosses.
    TrinoTuned,
}

impl Kind {
    /// The name as it is written in a command.
    pub fn name(self) -> &'static str {
        match self {
            Self::Floor => "floor",
            Self::Chancery => "chancery",
            Self::ChanceryZstd => "chancery-zstd",
            Self::ChanceryPostgres => "chancery-postgres",
            Self::Duckdb => "duckdb",
            Self::Trino => "trino",
            Self::TrinoTuned => "trino-tuned",
        }
    }

    /// Is every site's data in a PostgreSQL server for it?
    pub fn needs_servers(self) -> bool {
        !matches!(self, Self::Floor | Self::Chancery | Self::ChanceryZstd)
    }
}

/// The bytes to and from each site.
pub type Crossed = BTreeMap<String, (u64, u64)>;

/// What one asking of one statement took.
#[derive(Debug, Clone, Default)]
pub struct Sample {
    /// From the statement to the last row.
    pub wall_ms: f64,
    /// Of all processes of the party, servers too.
    pub cpu_ms: f64,
    /// The most memory of the process that was asked.
    pub peak_mb: f64,
    /// The most memory of any site's process.
    pub site_peak_mb: f64,
    /// By the ledger, or at the servers' sockets.
    pub crossed: Crossed,
    /// To and from all sites at the link's interface, where there is a link.
    pub interface: Option<(u64, u64)>,
}

/// What all parties of a run stand on.
#[derive(Debug)]
pub struct Ground {
    /// The layout.
    pub layout: Layout,
    /// Its scale.
    pub scale: f64,
    /// Its tables.
    pub dataset: Dataset,
    /// The PostgreSQL servers, by site, if a party asks them.
    pub servers: BTreeMap<String, Postgres>,
    /// Where sites and servers run, when a link lies before them.
    pub namespace: Option<Namespace>,
    /// An interpreter that has DuckDB and Trino's client.
    pub python: Option<PathBuf>,
    /// An unpacked Trino.
    pub trino: Option<PathBuf>,
}

/// A party at work.
#[derive(Debug)]
pub struct Party {
    /// Which.
    pub kind: Kind,
    works: Works,
}

#[derive(Debug)]
enum Works {
    Federation { cluster: Box<Cluster>, client: Client, in_server: Vec<(String, u32)> },
    Floor(Worker),
    Peer(Box<Peer>),
}

impl Party {
    /// Starts it.
    ///
    /// # Errors
    /// When a process does not start.
    pub async fn start(kind: Kind, ground: &Ground) -> Result<Self, String> {
        let works = match kind {
            Kind::Floor => floor(ground)?,
            Kind::Duckdb => Works::Peer(Box::new(Peer::duckdb(ground).await?)),
            Kind::Trino => Works::Peer(Box::new(Peer::trino(ground, false).await?)),
            Kind::TrinoTuned => Works::Peer(Box::new(Peer::trino(ground, true).await?)),
            Kind::Chancery | Kind::ChanceryZstd | Kind::ChanceryPostgres => federation(kind, ground).await,
        };
        Ok(Self { kind, works })
    }

    /// Asks a statement and measures what it took.
    ///
    /// # Errors
    /// What the party says of a statement that it cannot run.
    pub async fn ask(&mut self, sql: &str) -> Result<(Answer, Sample), String> {
        let sql = self.sql(sql);
        let (asked, sites, all) = self.processes();
        for process in std::iter::once(asked).chain(sites.iter().copied()) {
            process.forget_peak();
        }
        let cpu_ms = || all.iter().map(|process| process.cpu_ms()).sum::<u64>();
        let (before, crossed_before, start) = (cpu_ms(), self.at_sockets(), Instant::now());
        let answer = self.run(&sql).await?;
        let wall_ms = start.elapsed().as_secs_f64() * 1e3;
        let mut sample = Sample {
            wall_ms,
            cpu_ms: (cpu_ms() - before) as f64,
            peak_mb: asked.peak_mb(),
            site_peak_mb: sites.iter().map(|site| site.peak_mb()).fold(0.0, f64::max),
            crossed: self.crossed(&sql, &crossed_before).await?,
            interface: None,
        };
        sample.crossed.retain(|_, (to, from)| *to + *from > 0);
        Ok((answer, sample))
    }

    /// Compares its answer with the expected one.
    ///
    /// # Errors
    /// What differs.
    pub fn compare(&self, expected: &Answer, answer: &Answer, statement: &Statement) -> Result<(), String> {
        let same_names = matches!(&self.works, Works::Federation { in_server, .. } if in_server.is_empty());
        let compare = match self.kind {
            // Its averages and quotients have the digits of what they are of.
            Kind::Trino | Kind::TrinoTuned => compare_rounded,
            _ if same_names => compare,
            // A column without a name of its own is called by its tables; the floor's types are DataFusion's own.
            _ => compare_values,
        };
        compare(expected, answer, statement.promise).map_err(|fault| format!("{}: {fault}", self.kind.name()))
    }

    fn sql(&self, sql: &str) -> String {
        match &self.works {
            Works::Federation { in_server, .. } => {
                in_server.iter().fold(sql.to_string(), |sql, (site, _)| sql_of_server(&sql, site))
            }
            Works::Floor(_) => sql.to_string(),
            Works::Peer(peer) => peer.sql(sql),
        }
    }

    /// The one that is asked, the sites, and all whose CPU time counts.
    fn processes(&self) -> (Tree, Vec<Tree>, Vec<Tree>) {
        let (asked, sites, more) = match &self.works {
            Works::Federation { cluster, in_server, .. } => {
                let sites = cluster.nodes().filter(|(name, _)| *name != "coordinator");
                let servers = in_server.iter().map(|(_, id)| Tree(*id)).collect();
                (Tree(cluster.coordinator().id()), sites.map(|(_, node)| Tree(node.id())).collect(), servers)
            }
            Works::Floor(worker) => (Tree(worker.id()), vec![], vec![]),
            Works::Peer(peer) => (peer.asked(), vec![], peer.databases()),
        };
        let all = std::iter::once(asked).chain(sites.iter().copied()).chain(more).collect();
        (asked, sites, all)
    }

    async fn run(&mut self, sql: &str) -> Result<Answer, String> {
        match &mut self.works {
            Works::Federation { client, .. } => client.query(sql).await,
            Works::Floor(worker) => tokio::task::block_in_place(|| worker.ask(sql).and_then(|()| worker.answer())),
            Works::Peer(peer) => {
                let worker = peer.worker();
                tokio::task::block_in_place(|| worker.ask(sql).and_then(|()| worker.answer()))
            }
        }
    }

    fn at_sockets(&self) -> Crossed {
        match &self.works {
            Works::Peer(peer) => peer.crossed(),
            Works::Federation { .. } | Works::Floor(_) => Crossed::new(),
        }
    }

    /// What crossed for the statement that was just run.
    async fn crossed(&self, sql: &str, before: &Crossed) -> Result<Crossed, String> {
        if let Works::Federation { client, .. } = &self.works {
            return ledger(client, sql).await;
        }
        let of = |(site, (to, from)): (String, (u64, u64))| {
            let (to_before, from_before) = before.get(&site).copied().unwrap_or_default();
            (site, (to - to_before, from - from_before))
        };
        Ok(self.at_sockets().into_iter().map(of).collect())
    }
}

/// The ledger of the last time that a statement ran.
async fn ledger(client: &Client, sql: &str) -> Result<Crossed, String> {
    let asked = format!(
        "SELECT site, CAST(sum(bytes_sent) AS BIGINT), CAST(sum(bytes_received) AS BIGINT) FROM system.queries.ledger \
         WHERE query_id = (SELECT query_id FROM system.queries.recent WHERE statement = '{}' \
         ORDER BY started_at DESC LIMIT 1) GROUP BY site",
        sql.replace('\'', "''")
    );
    let mut crossed = Crossed::new();
    for batch in client.query(&asked).await?.batches {
        let sites = batch.column(0).as_string::<i32>();
        let (sent, received) =
            (batch.column(1).as_primitive::<Int64Type>(), batch.column(2).as_primitive::<Int64Type>());
        for row in 0..batch.num_rows() {
            crossed.insert(
                sites.value(row).to_string(),
                (sent.value(row).unsigned_abs(), received.value(row).unsigned_abs()),
            );
        }
    }
    if crossed.is_empty() { Err("the ledger knows nothing of a statement that ran".to_string()) } else { Ok(crossed) }
}

async fn federation(kind: Kind, ground: &Ground) -> Works {
    let is_in_server = |site: &str| kind == Kind::ChanceryPostgres || ground.layout.sites_in_server().contains(&site);
    let servers = ground.servers.iter().filter(|(site, _)| is_in_server(site));
    let (mut in_server, mut sources) = (Vec::new(), Vec::new());
    for (site, server) in servers {
        in_server.push((site.clone(), server.id()));
        sources.push((site.clone(), source_of(server, site)));
    }
    let options = Options {
        compression: (kind != Kind::Chancery).then_some("zstd"),
        sources,
        namespace: ground.namespace.clone(),
        ..Options::default()
    };
    let cluster = Box::new(Cluster::start_with(&ground.dataset, options).await);
    let client = cluster.client().await;
    Works::Federation { cluster, client, in_server }
}

fn floor(ground: &Ground) -> Result<Works, String> {
    let mut command = Command::new(std::env::current_exe().map_err(|error| error.to_string())?);
    command.args(["floor", "--layout", ground.layout.name(), "--scale", &ground.scale.to_string()]);
    Worker::start(command).map(Works::Floor)
}
