//! Engines that have the sites' PostgreSQL servers attached: DuckDB, and Trino as it comes or tuned. A Python asks them, see
//! [`Worker`]; what crosses is counted before each server.

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use harness::cluster::Border;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::party::{Crossed, Ground};
use crate::process::Tree;
use crate::worker::Worker;

/// What Trino is given beyond its defaults when it is tuned, for each attached server: keys of a join go to the server as far as
/// PostgreSQL takes parameters, however long they are waited for, and joins of one server run there.
const TUNED: &str =
    "domain-compaction-threshold=30000\ndynamic-filtering.wait-timeout=60s\njoin-pushdown.strategy=EAGER\n";
/// Of Trino's plugins the two connectors that are used, and the types that the first wants: without the others it starts in half
/// the time.
const PLUGINS: [&str; 3] = ["postgresql", "geospatial", "memory"];
/// The options without which Trino 476 does not start on its Java, and a heap that a machine of 24 GB has twice beside the servers.
const JAVA: [&str; 5] = [
    "-Xmx6G",
    "-XX:+UseG1GC",
    "-XX:+EnableDynamicAgentLoading",
    "-Djdk.attach.allowAttachSelf=true",
    "--add-modules=jdk.incubator.vector",
];

/// An attached engine at work.
#[derive(Debug)]
pub struct Peer {
    worker: Worker,
    /// Trino's own process; DuckDB is in the worker.
    server: Option<Server>,
    databases: Vec<(String, u32)>,
    borders: BTreeMap<String, Border>,
    _directory: TempDir,
}

/// A server of the engine's own; dropped, it is killed.
#[derive(Debug)]
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        // It may be gone already, which is what is wanted.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Where an engine reaches the servers: through a relay that counts each, or over the link, whose interface counts.
struct Attached {
    /// By site: host and port.
    addresses: BTreeMap<String, (String, u16)>,
    borders: BTreeMap<String, Border>,
}

impl Peer {
    /// DuckDB.
    ///
    /// # Errors
    /// When there is no Python for it, or it does not start.
    pub async fn duckdb(ground: &Ground) -> Result<Self, String> {
        let attached = attached(ground).await?;
        let servers =
            attached.addresses.iter().map(|(site, (host, port))| json!({"site": site, "host": host, "port": port}));
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let manifest = json!({"servers": servers.collect::<Vec<_>>(), "views": views(ground), "threads": threads});
        let directory = directory()?;
        let worker = worker(ground, "duckdb_attached.py", &manifest, directory.path())?;
        Ok(Self::new(worker, None, ground, attached, directory))
    }

    /// Trino, as it comes or tuned.
    ///
    /// # Errors
    /// When there is no Trino or no Python for it, or it does not start.
    pub async fn trino(ground: &Ground, is_tuned: bool) -> Result<Self, String> {
        let home = ground.trino.as_ref().ok_or("Trino needs --trino DIRECTORY")?;
        let attached = attached(ground).await?;
        let directory = directory()?;
        let port = free_port()?;
        let told = |error: std::io::Error| format!("Trino's configuration: {error}");
        configure(directory.path(), home, port).map_err(told)?;
        for (site, (host, at)) in &attached.addresses {
            let text = format!(
                "connector.name=postgresql\nconnection-url=jdbc:postgresql://{host}:{at}/postgres?sslmode=disable\n\
                 connection-user=reader\nconnection-password=reader\n{}",
                if is_tuned { TUNED } else { "" }
            );
            fs::write(directory.path().join(format!("catalog/{site}.properties")), text).map_err(told)?;
        }
        for catalog in ground.dataset.regional.iter().map(|table| &table.catalog) {
            let file = directory.path().join(format!("catalog/{catalog}.properties"));
            fs::write(file, "connector.name=memory\n").map_err(told)?;
        }
        let server = serve(directory.path(), home)?;
        let manifest = json!({"port": port, "views": views(ground)});
        let worker = worker(ground, "trino_attached.py", &manifest, directory.path())?;
        Ok(Self::new(worker, Some(server), ground, attached, directory))
    }

    fn new(worker: Worker, server: Option<Server>, ground: &Ground, attached: Attached, directory: TempDir) -> Self {
        let databases = ground.servers.iter().map(|(site, server)| (site.clone(), server.id())).collect();
        Self { worker, server, databases, borders: attached.borders, _directory: directory }
    }

    /// The statement over the sites' tables as the engine sees them.
    pub fn sql(&self, sql: &str) -> String {
        self.databases.iter().fold(sql.to_string(), |sql, (site, _)| over_attached(&sql, site))
    }

    /// The process that plans and computes.
    pub fn asked(&self) -> Tree {
        Tree(self.server.as_ref().map_or(self.worker.id(), |server| server.0.id()))
    }

    /// The servers' processes.
    pub fn databases(&self) -> Vec<Tree> {
        self.databases.iter().map(|(_, id)| Tree(*id)).collect()
    }

    /// Who asks it.
    pub fn worker(&mut self) -> &mut Worker {
        &mut self.worker
    }

    /// What has crossed so far.
    pub fn crossed(&self) -> Crossed {
        let of = |(site, border): (&String, &Border)| (site.clone(), (border.to_site(), border.from_site()));
        self.borders.iter().map(of).collect()
    }
}

fn over_attached(sql: &str, site: &str) -> String {
    sql.replace(&format!("{site}.tpch."), &format!("{site}.{site}_tpch."))
}

async fn attached(ground: &Ground) -> Result<Attached, String> {
    let (mut borders, mut addresses) = (BTreeMap::new(), BTreeMap::new());
    for (site, server) in &ground.servers {
        let mut address = (server.host(), server.port());
        if ground.namespace.is_none() {
            let border = Border::open(&format!("{}:{}", address.0, address.1)).await;
            let (host, port) = border.address().rsplit_once(':').ok_or("an address without a port")?;
            address = (host.to_string(), port.parse().map_err(|_| "an address without a port")?);
            borders.insert(site.clone(), border);
        }
        addresses.insert(site.clone(), address);
    }
    Ok(Attached { addresses, borders })
}

/// The regional tables, as views.
fn views(ground: &Ground) -> Vec<Value> {
    let views = ground.dataset.regional.iter().map(|table| {
        let plain = table.union_all().replace('"', "");
        let sql = ground.servers.keys().fold(plain, |sql, site| over_attached(&sql, site));
        json!({"catalog": table.catalog, "schema": table.schema, "name": table.name, "sql": sql})
    });
    views.collect()
}

fn directory() -> Result<TempDir, String> {
    TempDir::with_prefix("chancery-peer-").map_err(|error| error.to_string())
}

fn worker(ground: &Ground, program: &str, manifest: &Value, directory: &Path) -> Result<Worker, String> {
    let python = ground.python.as_ref().ok_or("DuckDB and Trino need --python PYTHON")?;
    let file = directory.join("manifest.json");
    fs::write(&file, manifest.to_string()).map_err(|error| error.to_string())?;
    let mut command = Command::new(python);
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/bin").join(program)).arg(file);
    tokio::task::block_in_place(|| Worker::start(command))
}

fn free_port() -> Result<u16, String> {
    let told = |error: std::io::Error| error.to_string();
    Ok(TcpListener::bind("127.0.0.1:0").map_err(told)?.local_addr().map_err(told)?.port())
}

fn configure(directory: &Path, home: &Path, port: u16) -> std::io::Result<()> {
    for below in ["catalog", "plugin", "data"] {
        fs::create_dir(directory.join(below))?;
    }
    for plugin in PLUGINS {
        symlink(fs::canonicalize(home.join("plugin").join(plugin))?, directory.join("plugin").join(plugin))?;
    }
    let at = |below: &str| directory.join(below).display().to_string();
    let text = format!(
        "coordinator=true\nnode-scheduler.include-coordinator=true\nhttp-server.http.port={port}\n\
         node.internal-address=127.0.0.1\ndiscovery.uri=http://127.0.0.1:{port}\nplugin.dir={}\ncatalog.config-dir={}\n",
        at("plugin"),
        at("catalog")
    );
    fs::write(directory.join("config.properties"), text)
}

/// The Java is that of `JAVA_HOME`, or the first of the path.
#[expect(clippy::disallowed_methods, reason = "where a machine keeps its Java is said there for every program")]
fn serve(directory: &Path, home: &Path) -> Result<Server, String> {
    let java = std::env::var_os("JAVA_HOME").map_or(PathBuf::from("java"), |home| Path::new(&home).join("bin/java"));
    let told = |error: std::io::Error| error.to_string();
    let log = fs::File::create(directory.join("server.log")).map_err(told)?;
    let errors = log.try_clone().map_err(told)?;
    let mut command = Command::new(&java);
    let home = fs::canonicalize(home).map_err(|error| format!("{}: {error}", home.display()))?;
    command.arg("-cp").arg(home.join("lib/*")).args(JAVA).arg("-Dnode.environment=bench");
    command.arg(format!("-Dnode.data-dir={}", directory.join("data").display()));
    command.arg(format!("-Dconfig={}", directory.join("config.properties").display()));
    // It writes logs where it stands.
    command.arg("io.trino.server.TrinoServer").current_dir(directory).stdout(log).stderr(errors);
    command.spawn().map(Server).map_err(|error| format!("{}: {error}", java.display()))
}
