//! A federation of real processes: `chancery site` for each site, `chancery coordinator`, mutual TLS between them.

pub mod binary;
pub mod border;
pub mod client;
mod configuration;
pub mod forger;
pub mod governance;
pub mod machine;
pub mod process;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tempfile::TempDir;
use tonic::metadata::MetadataMap;

pub use border::{Border, Fault};
pub use client::Client;
pub use forger::Forger;
pub use governance::{Governance, Person, Written};
pub use machine::{Machine, Step};

use crate::cluster::process::{Place, Process};
use crate::dataset::Dataset;
use crate::namespace::Namespace;
use crate::policy::canary::Sweep;
use crate::policy::capture::RawClient;
use crate::postgres::Postgres;

/// How a cluster differs from the plain one.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Puts a [`Border`] between the coordinator and each site.
    pub borders: bool,
    /// Puts a [`Forger`] before each site.
    pub forgers: bool,
    /// Lines of the coordinator's `[limits]`.
    pub coordinator_limits: String,
    /// Lines of each site's `[limits]`.
    pub site_limits: String,
    /// Whether users too must come over TLS.
    pub users_over_tls: bool,
    /// The sites compress what they send: `none`, `lz4` or `zstd`.
    pub compression: Option<&'static str>,
    /// More of every node's configuration, such as its `[operations]`.
    pub lines: String,
    /// Whether the nodes write JSON.
    pub logs_json: bool,
    /// The policy; without one the sites enforce none.
    pub governance: Option<Governance>,
    /// Whether the nodes log all that they can.
    pub logs_everything: bool,
    /// Whether each site runs on a [`Machine`] of its own.
    pub machines: bool,
    /// More sources of the data set's sites, each as a `[[source]]` is written; one that is called as files of the data set
    /// are stands in their place.
    pub sources: Vec<(String, toml::Table)>,
    /// Where the sites keep the data set's tables.
    pub kept: Kept,
    /// Whether the nodes read `certs/revoked.crl`, which is there from the beginning and lists nothing.
    pub revocations: bool,
    /// Where the sites run, when not beside the coordinator.
    pub namespace: Option<Namespace>,
}

impl Options {
    /// The same with policy in force, under which the one user may read all of the data set.
    #[must_use]
    pub fn granting_all(self, dataset: &Dataset) -> Self {
        Self { governance: Some(Governance::granting_all(dataset, &["research"])), ..self }
    }
}

/// Where the sites of a cluster keep the tables of its data set.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Kept {
    /// In the files of the data set.
    #[default]
    AsFiles,
    /// In a PostgreSQL server of the cluster's own, into which the files are loaded.
    InPostgres,
}

/// A running federation; dropped, all its processes are killed.
#[derive(Debug)]
pub struct Cluster {
    directory: TempDir,
    sites: BTreeMap<String, Process>,
    machines: BTreeMap<String, Machine>,
    borders: BTreeMap<String, Border>,
    forgers: BTreeMap<String, Forger>,
    coordinator: Process,
    canaries: Arc<Sweep>,
    level: &'static str,
    json: bool,
    namespace: Option<Namespace>,
    /// Outlives the sites that ask it.
    server: Option<Postgres>,
}

/// The one user of a cluster; the password is the name.
pub const USER: &str = "analyst";

impl Cluster {
    /// Starts sites and coordinator over `dataset`.
    pub async fn start(dataset: &Dataset) -> Self {
        Self::start_with(dataset, Options::default()).await
    }

    /// Starts sites and coordinator over `dataset` with policy in force, under which the one user may read all of it.
    pub async fn start_granting_all(dataset: &Dataset) -> Self {
        Self::start_with(dataset, Options::default().granting_all(dataset)).await
    }

    /// Starts sites and coordinator over `dataset`, differently.
    pub async fn start_with(dataset: &Dataset, mut options: Options) -> Self {
        let server = match options.kept {
            Kept::AsFiles => None,
            Kept::InPostgres => Some(Postgres::holding(dataset).await),
        };
        options.sources.extend(server.iter().flat_map(|server| server.sources(dataset)));
        let directory = TempDir::with_prefix("chancery-cluster-").expect("a temporary directory");
        let root = directory.path();
        configuration::write_identities(root, &dataset.sites(), &options);
        let level = if options.logs_everything { "trace" } else { "info" };
        let mut sites = BTreeMap::new();
        let machines = dataset.sites().into_iter().filter(|_| options.machines);
        let machines = machines.map(|site| (site.clone(), Machine::new(&root.join(format!("{site}.machine")))));
        let machines: BTreeMap<_, _> = machines.collect();
        let mut borders = BTreeMap::new();
        let mut forgers = BTreeMap::new();
        let mut addresses = BTreeMap::new();
        let listen = format!("{}:0", Namespace::address_of(options.namespace.as_ref()));
        for site in dataset.sites() {
            let config = configuration::write_site(root, dataset, &site, &listen, &options);
            let namespace = options.namespace.as_ref();
            let place = Place { machine: machines.get(&site), namespace, json: options.logs_json };
            let process = Process::start_at(place, "site", &config, level);
            // From now on the site has this port, so that it can be killed and come back.
            configuration::write_site(root, dataset, &site, process.address(), &options);
            let mut address = process.address().to_string();
            if options.borders {
                let border = Border::open(&address).await;
                address = border.address().to_string();
                borders.insert(site.clone(), border);
            }
            if options.forgers {
                let forger = Forger::open(root, &site, &address).await;
                address = forger.address().to_string();
                forgers.insert(site.clone(), forger);
            }
            addresses.insert(site.clone(), address);
            sites.insert(site, process);
        }
        let config = configuration::write_coordinator(root, dataset, &addresses, &options);
        let json = options.logs_json;
        let coordinator = Process::start_at(Place { json, ..Place::default() }, "coordinator", &config, level);
        let canaries = options.governance.as_ref().map(|governance| Sweep::new(&governance.canaries));
        let canaries = Arc::new(canaries.unwrap_or_default());
        let namespace = options.namespace.clone();
        let cluster = Self {
            directory,
            sites,
            machines,
            borders,
            forgers,
            coordinator,
            canaries,
            level,
            json,
            namespace,
            server,
        };
        if let Some(governance) = options.governance.filter(|governance| governance.written == Written::AtTheDoor) {
            for (site, text) in &governance.policies {
                cluster.write_policy(site, text).await;
            }
        }
        cluster
    }

    /// Has the administrator of a site say policy statements, `;` between them, at the site's door.
    pub async fn write_policy(&self, site: &str, text: &str) {
        let administrator = self.user_of_site("admin", site).await;
        let statements = policy::statement::parse_all(text, site).expect("policy statements");
        for located in statements {
            let statement = located.statement.to_string();
            administrator.query(&statement).await.unwrap_or_else(|error| panic!("{statement}: {error}"));
        }
    }

    /// A connection of that user to the coordinator.
    pub async fn user(&self, name: &str) -> Client {
        Client::connect_as(self.coordinator.address(), None, name).await.looking_for(&self.canaries)
    }

    /// A connection of that user to a site's own door.
    pub async fn user_of_site(&self, name: &str, site: &str) -> Client {
        let client = Client::connect_as(self.sites[site].address(), Some(&self.authority()), name).await;
        client.looking_for(&self.canaries)
    }

    /// A user's connection to a site's own door, or to the coordinator, that keeps every byte as it came.
    pub async fn raw(&self, name: &str, site: Option<&str>) -> RawClient {
        let (address, authority) = match site {
            Some(site) => (self.sites[site].address(), Some(self.authority())),
            None => (self.coordinator.address(), None),
        };
        let client = Client::connect_as(address, authority.as_deref(), name).await;
        let token = format!("Bearer {}", client.flight().token().expect("a session"));
        let mut headers = MetadataMap::new();
        headers.insert("authorization", token.parse().expect("a header's value"));
        RawClient::new(client::channel(address, authority.as_deref()).await, headers)
    }

    /// What no client of this cluster may be sent.
    pub fn canaries(&self) -> &Arc<Sweep> {
        &self.canaries
    }

    /// What a site keeps: its policies and its record.
    pub fn state_of(&self, site: &str) -> PathBuf {
        self.root().join("state").join(site)
    }

    /// All nodes by name, the coordinator too.
    pub fn nodes(&self) -> impl Iterator<Item = (&str, &Process)> {
        let sites = self.sites.iter().map(|(name, process)| (name.as_str(), process));
        sites.chain([("coordinator", &self.coordinator)])
    }

    /// What a node has written to a disk: its log, its state, what it spilled. File by file.
    pub fn written_by(&self, node: &str) -> Vec<(PathBuf, Vec<u8>)> {
        let root = self.root();
        let mut files = vec![root.join(format!("{node}.log"))];
        files.extend(files_below(&root.join("state").join(node)));
        files.extend(files_below(&process::scratch(&root.join(format!("{node}.toml")))));
        // What is removed meanwhile is there no more.
        files.into_iter().filter_map(|file| Some((file.clone(), std::fs::read(file).ok()?))).collect()
    }

    /// A connection to the coordinator.
    pub async fn client(&self) -> Client {
        Client::connect(self.coordinator.address(), None).await
    }

    /// A connection to the coordinator over TLS, believing the cluster's authority.
    pub async fn client_over_tls(&self) -> Client {
        Client::connect(self.coordinator.address(), Some(&self.authority())).await
    }

    /// A connection of a user to a site.
    pub async fn client_of_site(&self, site: &str) -> Client {
        Client::connect(self.sites[site].address(), Some(&self.authority())).await
    }

    /// Where the coordinator listens.
    pub fn address(&self) -> &str {
        self.coordinator.address()
    }

    /// The coordinator's process.
    pub fn coordinator(&self) -> &Process {
        &self.coordinator
    }

    /// A site's process.
    pub fn site(&self, site: &str) -> &Process {
        &self.sites[site]
    }

    /// The coordinator's process, to be stopped.
    pub fn coordinator_mut(&mut self) -> &mut Process {
        &mut self.coordinator
    }

    /// A site's process, to be stopped.
    pub fn site_mut(&mut self, site: &str) -> &mut Process {
        self.sites.get_mut(site).expect("a site of the cluster")
    }

    /// The server that holds the tables, where files do not.
    pub fn server(&self) -> Option<&Postgres> {
        self.server.as_ref()
    }

    /// The same, to be stopped and started again.
    pub fn server_mut(&mut self) -> Option<&mut Postgres> {
        self.server.as_mut()
    }

    /// The machine that a site runs on.
    pub fn machine(&self, site: &str) -> &Machine {
        &self.machines[site]
    }

    /// What lies between the coordinator and a site.
    pub fn border(&self, site: &str) -> &Border {
        &self.borders[site]
    }

    /// Who stands before a site and alters what it sends.
    pub fn forger(&self, site: &str) -> &Forger {
        &self.forgers[site]
    }

    /// The certificate of the cluster's authority.
    pub fn authority(&self) -> PathBuf {
        self.root().join("certs/authority.crt")
    }

    /// The directory of all configuration, certificates and users.
    pub fn root(&self) -> &Path {
        self.directory.path()
    }

    /// Kills a site's process, as a power cut would.
    pub fn kill_site(&mut self, site: &str) {
        self.sites.get_mut(site).expect("a site of the cluster").kill();
    }

    /// Starts a killed site again, where it was.
    pub fn restart_site(&mut self, site: &str) {
        let config = self.root().join(format!("{site}.toml"));
        let namespace = self.namespace.as_ref();
        let place = Place { machine: self.machines.get(site), namespace, json: self.json };
        let process = Process::start_at(place, "site", &config, self.level);
        self.sites.insert(site.to_string(), process);
    }
}

fn files_below(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().filter_map(Result::ok);
    let below = |entry: std::fs::DirEntry| {
        let path = entry.path();
        if path.is_dir() { files_below(&path) } else { vec![path] }
    };
    entries.flat_map(below).collect()
}
