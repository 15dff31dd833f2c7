//! The files of a cluster, as an administrator would write them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use engine::identity::certs;
use engine::identity::revoked::revoke;
use engine::identity::users_file;
use toml::{Table, Value};

use super::governance::{ADMINISTRATOR, Governance, Written};
use super::{Options, USER};
use crate::dataset::Dataset;

const COORDINATOR: &str = "coordinator";

pub(super) fn write_identities(root: &Path, sites: &[String], options: &Options) {
    let governance = options.governance.as_ref();
    let names = std::iter::once(COORDINATOR).chain(sites.iter().map(String::as_str));
    let nodes: Vec<certs::NodeName> = names.map(|name| name.parse().expect("a node's name")).collect();
    certs::init(&root.join("certs"), &nodes).expect("certificates");
    if options.revocations {
        revoke(&root.join("certs"), None).expect("a list");
    }
    let users = root.join("users.toml");
    for person in governance.iter().flat_map(|governance| &governance.users) {
        users_file::add(&users, &person.name, &person.name, person.facts()).expect("a users file");
    }
    if governance.is_none() {
        users_file::add(&users, USER, USER, BTreeSet::new()).expect("a users file");
    }
    for (site, text) in governance.iter().flat_map(|governance| &governance.policies) {
        let directory = root.join("policies").join(site);
        fs::create_dir_all(&directory).expect("a writable directory");
        fs::write(directory.join("policy.sql"), text).expect("a writable directory");
    }
    write_secret(&root.join("linked.key"));
}

pub(super) fn write_site(root: &Path, dataset: &Dataset, site: &str, listen: &str, options: &Options) -> PathBuf {
    let governance = format!("{}\n{}", site_governance(site, options.governance.as_ref()), options.lines);
    let mut config = node(site, listen, (&options.site_limits, options.revocations), &governance);
    config.insert("peers".into(), Value::Array(vec![COORDINATOR.into()]));
    let own: Vec<&Table> = options.sources.iter().filter(|(of, _)| of == site).map(|(_, source)| source).collect();
    let mut sources = file_sources(dataset, site);
    sources.retain(|files| own.iter().all(|source| source["name"] != files["name"]));
    sources.extend(own.into_iter().cloned());
    config.insert("source".into(), Value::Array(sources.into_iter().map(Value::Table).collect()));
    write(&root.join(format!("{site}.toml")), &config)
}

/// The sources of a site whose tables are the files of the data set.
fn file_sources(dataset: &Dataset, site: &str) -> Vec<Table> {
    let mut sources: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
    for table in dataset.tables.iter().filter(|table| table.site == site) {
        let path = table.path.strip_prefix(&dataset.root).expect("tables lie below the data set's root");
        let mut entry = Table::new();
        entry.insert("name".into(), table.name.as_str().into());
        entry.insert("path".into(), path.to_str().expect("a printable path").into());
        if !table.primary_key.is_empty() {
            entry.insert("primary_key".into(), table.primary_key.clone().into());
        }
        sources.entry(&table.source).or_default().push(entry.into());
    }
    let source = |(name, tables): (&str, Vec<Value>)| {
        let mut source = Table::new();
        source.insert("name".into(), name.into());
        source.insert("kind".into(), "files".into());
        source.insert("root".into(), dataset.root.to_str().expect("a printable path").into());
        source.insert("table".into(), Value::Array(tables));
        source
    };
    sources.into_iter().map(source).collect()
}

pub(super) fn write_coordinator(
    root: &Path,
    dataset: &Dataset,
    addresses: &BTreeMap<String, String>,
    options: &Options,
) -> PathBuf {
    let more = format!("{}\n{}", coordinator_lines(options), options.lines);
    let limits = (options.coordinator_limits.as_str(), options.revocations);
    let mut config = node(COORDINATOR, "127.0.0.1:0", limits, &more);
    if !options.users_over_tls {
        config.insert("plaintext".into(), true.into());
    }
    let sites = addresses.iter().map(|(name, address)| {
        let mut site = Table::new();
        site.insert("name".into(), name.as_str().into());
        site.insert("address".into(), format!("https://{address}").into());
        if let Some(compression) = options.compression {
            site.insert("compression".into(), compression.into());
        }
        Value::Table(site)
    });
    config.insert("site".into(), Value::Array(sites.collect()));
    let regionals = dataset.regional.iter().map(|regional| {
        let arms = regional.arms.iter().map(|(region, table)| {
            let mut arm = Table::new();
            arm.insert("region".into(), region.as_str().into());
            arm.insert("table".into(), table.sql_name().into());
            Value::Table(arm)
        });
        let mut entry = Table::new();
        entry.insert("name".into(), regional.sql_name().into());
        entry.insert("column".into(), regional.region_column.as_str().into());
        entry.insert("arm".into(), Value::Array(arms.collect()));
        Value::Table(entry)
    });
    config.insert("regional".into(), Value::Array(regionals.collect()));
    write(&root.join("coordinator.toml"), &config)
}

/// A secret of a cluster's sites, the same in every run.
fn write_secret(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    fs::write(path, STANDARD.encode([7_u8; 32])).expect("a writable directory");
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("a file of ours");
}

fn site_governance(site: &str, governance: Option<&Governance>) -> String {
    let Some(governance) = governance else { return "[policy]\nenforce = false\n".to_string() };
    let directory = match governance.written {
        Written::AsFiles if governance.policies.contains_key(site) => format!("directory = \"policies/{site}\"\n"),
        _ => String::new(),
    };
    format!(
        "[policy]\nadministrators = [\"{ADMINISTRATOR}\"]\n{directory}[pseudonyms]\nsecret = \"linked.key\"\n\
         [[issuer]]\nname = \"{COORDINATOR}\"\ntrust = \"coordinator\"\nroles = [\"*\"]\n{}\n",
        governance.site_lines
    )
}

fn coordinator_lines(options: &Options) -> &str {
    options.governance.as_ref().map_or("", |governance| governance.coordinator_lines.as_str())
}

fn node(name: &str, listen: &str, (limits, revocations): (&str, bool), more: &str) -> Table {
    let revoked = if revocations { "revoked = \"certs/revoked.crl\"\n" } else { "" };
    let text = format!(
        "name = {name:?}\nlisten = {listen:?}\n\
         [tls]\ncertificate = \"certs/{name}.crt\"\nkey = \"certs/{name}.key\"\nauthority = \"certs/authority.crt\"\n{revoked}\
         [users]\nfile = \"users.toml\"\n[limits]\n{limits}\n"
    );
    let mut config: Table = text.parse().expect("a configuration");
    config.extend(more.parse::<Table>().expect("more of a configuration"));
    config
}

fn write(path: &Path, config: &Table) -> PathBuf {
    fs::write(path, toml::to_string(config).expect("a configuration")).expect("a writable directory");
    path.to_path_buf()
}
