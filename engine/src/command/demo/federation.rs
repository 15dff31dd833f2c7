//! The demo's federation as a user would set it up: data, certificates, users and configuration in a directory.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use policy::subject::Attribute;
use policy::value::Value;
use tempfile::TempDir;

use super::tpch;
use crate::command::policy::secret;
use crate::error::{EngineError, Result};
use crate::identity::certs::{self, NodeName};
use crate::identity::facts::Facts;
use crate::identity::users_file;

/// A source's file: site, source, table, file name, content, what its owner says about it.
type EmbeddedTable = (&'static str, &'static str, &'static str, &'static str, &'static [u8], &'static str);

const AGENCIES: [EmbeddedTable; 5] = [
    (
        "bts",
        "ontime",
        "flights",
        "flights.parquet",
        include_bytes!("../../../demo/nycflights13/bts/flights.parquet"),
        "Departures from New York City's airports in 2013, on-time performance",
    ),
    (
        "bts",
        "ontime",
        "airlines",
        "airlines.csv",
        include_bytes!("../../../demo/nycflights13/bts/airlines.csv"),
        "Names of carriers",
    ),
    (
        "faa",
        "registry",
        "airports",
        "airports.csv",
        include_bytes!("../../../demo/nycflights13/faa/airports.csv"),
        "Airport registry",
    ),
    (
        "faa",
        "registry",
        "planes",
        "planes.parquet",
        include_bytes!("../../../demo/nycflights13/faa/planes.parquet"),
        "Aircraft registry",
    ),
    (
        "noaa",
        "observations",
        "weather",
        "weather.parquet",
        include_bytes!("../../../demo/nycflights13/noaa/weather.parquet"),
        "Hourly weather at New York City's airports in 2013",
    ),
];

const COORDINATOR: &str = "coordinator";
/// The agencies that give aircraft the same pseudonyms.
const LINKED: [&str; 2] = ["bts", "faa"];

/// A user of the demo; the name is the password and the one role.
#[derive(Debug)]
pub(super) struct DemoUser {
    /// The name.
    pub(super) name: &'static str,
    /// The one purpose that they hold, which is their default.
    purpose: Option<&'static str>,
    /// What row filters may know of them.
    origins: &'static [&'static str],
}

/// Asks questions that need nobody's number plate.
pub(super) const ANALYST: &str = "analyst";
/// Writes the policies of all three agencies. In earnest each has its own administrator.
pub(super) const ADMINISTRATOR: &str = "admin";
/// Reads the record.
pub(super) const AUDITOR: &str = "auditor";

/// The users of the demo.
pub(super) const USERS: [DemoUser; 6] = [
    DemoUser { name: ANALYST, purpose: Some("safety_analysis"), origins: &[] },
    DemoUser { name: "desk", purpose: Some("station_planning"), origins: &["JFK"] },
    DemoUser { name: "registrar", purpose: Some("registration"), origins: &[] },
    DemoUser { name: "visitor", purpose: None, origins: &[] },
    DemoUser { name: AUDITOR, purpose: None, origins: &[] },
    DemoUser { name: ADMINISTRATOR, purpose: None, origins: &[] },
];

/// The directory of a written federation; removed when dropped.
#[derive(Debug)]
pub(super) struct Files {
    directory: TempDir,
}

impl Files {
    /// The certificate by which the sites' doors are known.
    pub(super) fn authority(&self) -> PathBuf {
        self.directory.path().join("certs/authority.crt")
    }

    /// The configuration that starts all of it.
    pub(super) fn serve_config(&self) -> PathBuf {
        self.directory.path().join("serve.toml")
    }
}

/// A table of a site: source, name, file relative to the site's directory, primary key, comment.
struct TableEntry {
    source: &'static str,
    name: &'static str,
    file: String,
    primary_key: &'static [&'static str],
    comment: &'static str,
}

/// The primary keys of the agencies' tables.
fn primary_key(table: &str) -> &'static [&'static str] {
    match table {
        "airlines" => &["carrier"],
        "airports" => &["faa"],
        "planes" => &["tailnum"],
        _ => &[],
    }
}

/// Writes the federation; the coordinator will listen at `listen`.
///
/// # Errors
/// When the directory cannot be written, or the TPC-H data cannot be made.
pub(super) fn write(listen: SocketAddr, tpch_scale: Option<f64>) -> Result<Files> {
    let directory = TempDir::with_prefix("chancery-demo-").map_err(EngineError::internal)?;
    let root = directory.path();
    let mut sites: Vec<(&str, Vec<TableEntry>)> = Vec::new();
    for (site, source, name, file, content, comment) in AGENCIES {
        write_file(&root.join(site).join(file), content)?;
        let table = TableEntry { source, name, file: file.to_string(), primary_key: primary_key(name), comment };
        add_table(&mut sites, site, table);
    }
    if let Some(scale) = tpch_scale {
        for (site, name) in tpch::LAYOUT {
            let file = format!("{name}.parquet");
            tpch::write(name, scale, &root.join(site).join(&file))?;
            let (primary_key, comment) = (tpch::primary_key(name), "TPC-H, generated");
            add_table(&mut sites, site, TableEntry { source: "tpch", name, file, primary_key, comment });
        }
    }
    write_identities(root, sites.iter().map(|(site, _)| *site))?;
    secret::make(&root.join("aircraft.key"))?;
    for (index, (site, tables)) in sites.iter().enumerate() {
        let door = site_door(listen, index);
        write_file(&root.join(format!("{site}.toml")), site_config(site, door, tables).as_bytes())?;
    }
    let names: Vec<&str> = sites.iter().map(|(site, _)| *site).collect();
    write_file(&root.join("coordinator.toml"), coordinator_config(listen, &names).as_bytes())?;
    write_file(&root.join("serve.toml"), serve_config(&names).as_bytes())?;
    Ok(Files { directory })
}

fn add_table(sites: &mut Vec<(&'static str, Vec<TableEntry>)>, site: &'static str, table: TableEntry) {
    match sites.iter_mut().find(|(name, _)| *name == site) {
        Some((_, tables)) => tables.push(table),
        None => sites.push((site, vec![table])),
    }
}

fn write_file(path: &Path, content: &[u8]) -> Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(EngineError::internal)?;
    }
    fs::write(path, content).map_err(EngineError::internal)
}

fn write_identities<'a>(root: &Path, sites: impl Iterator<Item = &'a str>) -> Result<()> {
    let nodes: Vec<NodeName> = std::iter::once(COORDINATOR)
        .chain(sites)
        .map(|name| name.parse::<NodeName>())
        .collect::<std::result::Result<_, _>>()
        .map_err(EngineError::internal)?;
    certs::init(&root.join("certs"), &nodes)?;
    USERS.iter().try_for_each(|user| users_file::add(&root.join("users.toml"), user.name, user.name, user.facts()))
}

impl DemoUser {
    fn facts(&self) -> Facts {
        let origins = self.origins.iter().map(|origin| Value::Text((*origin).to_string())).collect::<Vec<_>>();
        let attributes = (!origins.is_empty()).then(|| ("origins".to_string(), Attribute::Many(origins)));
        Facts {
            roles: BTreeSet::from([self.name.to_string()]),
            purposes: self.purpose.iter().map(ToString::to_string).collect(),
            default_purpose: self.purpose.map(ToString::to_string),
            attributes: attributes.into_iter().collect(),
            ..Facts::default()
        }
    }
}

/// The ports after the coordinator's, so that administrators find their site; any free one where the coordinator too
/// takes any.
fn site_door(coordinator: SocketAddr, index: usize) -> SocketAddr {
    let step = u16::try_from(index + 1).unwrap_or_default();
    let port = if coordinator.port() == 0 { 0 } else { coordinator.port().saturating_add(step) };
    SocketAddr::new(coordinator.ip(), port)
}

fn tls_section(node: &str) -> String {
    format!(
        "[tls]\ncertificate = \"certs/{node}.crt\"\nkey = \"certs/{node}.key\"\nauthority = \"certs/authority.crt\"\n"
    )
}

fn site_config(site: &str, door: SocketAddr, tables: &[TableEntry]) -> String {
    let mut text = format!(
        "name = \"{site}\"\nlisten = \"{door}\"\npeers = [\"{COORDINATOR}\"]\n\n{}\n[users]\nfile = \"users.toml\"\n\n\
         [policy]\nadministrators = [\"{ADMINISTRATOR}\"]\n\n[[issuer]]\nname = \"{COORDINATOR}\"\ntrust = \"coordinator\"\nroles = [\"*\"]\n",
        tls_section(site)
    );
    if LINKED.contains(&site) {
        text.push_str("\n[pseudonyms]\nsecret = \"aircraft.key\"\n");
    }
    let mut sources: Vec<&str> = tables.iter().map(|table| table.source).collect();
    sources.dedup();
    for source in sources {
        let _ = writeln!(text, "\n[[source]]\nname = \"{source}\"\nkind = \"files\"\nroot = \"{site}\"");
        for table in tables.iter().filter(|table| table.source == source) {
            let _ = writeln!(
                text,
                "\n[[source.table]]\nname = \"{}\"\npath = \"{}\"\ncomment = \"{}\"",
                table.name, table.file, table.comment
            );
            if !table.primary_key.is_empty() {
                let _ = writeln!(text, "primary_key = {:?}", table.primary_key);
            }
        }
    }
    text
}

fn coordinator_config(listen: SocketAddr, sites: &[&str]) -> String {
    let mut text = format!(
        "name = \"{COORDINATOR}\"\nlisten = \"{listen}\"\nplaintext = true\n\n{}\n[users]\nfile = \"users.toml\"\n",
        tls_section(COORDINATOR)
    );
    for site in sites {
        // Port 0: where the site of this process came to listen.
        let _ = writeln!(text, "\n[[site]]\nname = \"{site}\"\naddress = \"https://127.0.0.1:0\"");
    }
    text
}

fn serve_config(sites: &[&str]) -> String {
    let files: Vec<String> = sites.iter().map(|site| format!("\"{site}.toml\"")).collect();
    format!("coordinator = \"coordinator.toml\"\nsites = [{}]\n", files.join(", "))
}
