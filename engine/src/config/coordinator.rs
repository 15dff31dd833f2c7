//! `coordinator.toml`: where users ask, the sites that answer, and the tables declared as unions of regions.

use std::collections::BTreeSet;

use super::checked::{Identifier, SiteUrl, TableName, WireCompression};
use super::issuers;
use super::node::{NodeConfig, NodeKeys, checked};
use super::raw::Section;

/// A checked `coordinator.toml`.
#[derive(Debug, Clone)]
pub struct CoordinatorConfig {
    /// The keys that every node has. The name is `coordinator` by default.
    pub node: NodeConfig,
    /// `[[site]]`: in the order of the file; at least one, no name twice.
    pub sites: Vec<SiteAddress>,
    /// `administrators`: who has one of these roles, at this node's own door, sees the queries and the sessions of everybody and
    /// may end them; nobody by default.
    pub administrators: BTreeSet<String>,
    /// `[[regional]]`: tables declared as the union of like tables of several sites.
    pub regionals: Vec<RegionalTable>,
}

/// One `[[site]]`: how a site is reached.
#[derive(Debug, Clone)]
pub struct SiteAddress {
    /// `name`: the site's name, its catalog in SQL.
    pub name: Identifier,
    /// `address`: `https://host:port`.
    pub address: SiteUrl,
    /// `tls_name`: the name that the site's certificate must carry; the site's name by default.
    pub tls_name: String,
    /// `compression`: of batches from the site; `auto` (the default) is none on loopback and zstd elsewhere.
    pub compression: WireCompression,
}

/// One `[[regional]]`.
#[derive(Debug, Clone)]
pub struct RegionalTable {
    /// `name`: the table in full; its catalog is no site's name.
    pub name: TableName,
    /// `column`: the column that tells the region.
    pub column: String,
    /// `[[regional.arm]]`: one for each region; at least one, no region twice.
    pub arms: Vec<RegionalArm>,
}

/// One `[[regional.arm]]`: where the rows of a region are.
#[derive(Debug, Clone)]
pub struct RegionalArm {
    /// `region`: the value of the region column in this arm.
    pub region: String,
    /// `table`: the table in full; its catalog is a site.
    pub table: TableName,
}

/// Reads a whole `coordinator.toml`.
pub(super) fn read(mut root: Section<'_>) -> Option<CoordinatorConfig> {
    let mut keys = NodeKeys::read(&mut root, Some("coordinator"));
    issuers::open_by_audience(&root, keys.issuers.as_deref_mut().unwrap_or_default());
    if !keys.knows_users() {
        root.fault("users", "is missing: add [users] file = \"users.toml\" or an [[issuer]], or nobody can ask");
    }
    issuers::check_coordinators(&root, keys.issuers.as_deref().unwrap_or_default(), &BTreeSet::new());
    let mut site_names = BTreeSet::new();
    let sites = read_sites(&mut root, &keys, &mut site_names);
    let regionals = read_regionals(&mut root, &site_names);
    let administrators = root.texts("administrators").map(BTreeSet::from_iter);
    root.finish();
    let node = keys.conclude()?;
    Some(CoordinatorConfig { node, sites: sites?, administrators: administrators?, regionals: regionals? })
}

fn read_sites(root: &mut Section<'_>, keys: &NodeKeys, names: &mut BTreeSet<String>) -> Option<Vec<SiteAddress>> {
    let sections = root.sections("site");
    if sections.is_empty() {
        root.fault("site", "a coordinator needs at least one [[site]]");
    }
    let sites: Vec<_> = sections.into_iter().map(|section| read_site(section, keys, names)).collect();
    sites.into_iter().collect()
}

fn read_site(mut section: Section<'_>, keys: &NodeKeys, names: &mut BTreeSet<String>) -> Option<SiteAddress> {
    let name = section.text("name").and_then(|name| checked(&section, "name", Identifier::parse(&name)));
    if let Some(name) = &name
        && !names.insert(name.to_string())
    {
        section.fault("name", format!("another site is named `{name}`"));
    }
    let address = section.text("address").and_then(|text| checked(&section, "address", SiteUrl::parse(&text)));
    if address.is_some() && !keys.has_tls {
        section.fault("address", "https needs a [tls] section: the coordinator shows its certificate to the site");
    }
    let tls_name = section.optional_text("tls_name").or_else(|| name.as_ref().map(Identifier::to_string));
    if let Some(tls_name) = &tls_name
        && !tls_name.is_ascii()
    {
        section.fault("tls_name", format!("a certificate cannot carry the name `{tls_name}`: give one in ASCII"));
    }
    let compression = section.optional_text("compression").unwrap_or_else(|| "auto".to_string());
    let near = || address.as_ref().is_some_and(SiteUrl::is_loopback);
    let compression = checked(&section, "compression", WireCompression::parse(&compression, near));
    section.finish();
    Some(SiteAddress { name: name?, address: address?, tls_name: tls_name?, compression: compression? })
}

fn read_regionals(root: &mut Section<'_>, sites: &BTreeSet<String>) -> Option<Vec<RegionalTable>> {
    let mut names = BTreeSet::new();
    let sections = root.sections("regional");
    let tables: Vec<_> = sections.into_iter().map(|section| read_regional(section, sites, &mut names)).collect();
    tables.into_iter().collect()
}

fn read_regional(
    mut section: Section<'_>,
    sites: &BTreeSet<String>,
    names: &mut BTreeSet<TableName>,
) -> Option<RegionalTable> {
    let name = section.text("name").and_then(|name| checked(&section, "name", TableName::parse(&name)));
    if let Some(name) = &name {
        check_regional_name(&section, name, sites);
        if !names.insert(name.clone()) {
            section.fault("name", format!("another regional table is named `{name}`"));
        }
    }
    let column = section.text("column");
    let arms = read_arms(&mut section, sites);
    section.finish();
    Some(RegionalTable { name: name?, column: column?, arms: arms? })
}

fn check_regional_name(section: &Section<'_>, name: &TableName, sites: &BTreeSet<String>) {
    if sites.contains(&name.catalog) {
        section.fault("name", format!("the catalog `{}` is a site's; a regional table needs another", name.catalog));
    }
    for part in [&name.catalog, &name.schema] {
        if let Err(message) = Identifier::parse(part) {
            section.fault("name", message);
        }
    }
}

fn read_arms(section: &mut Section<'_>, sites: &BTreeSet<String>) -> Option<Vec<RegionalArm>> {
    let sections = section.sections("arm");
    if sections.is_empty() {
        section.fault("arm", "a regional table needs at least one [[regional.arm]]");
    }
    let mut regions = BTreeSet::new();
    let arms: Vec<_> = sections.into_iter().map(|arm| read_arm(arm, sites, &mut regions)).collect();
    arms.into_iter().collect()
}

fn read_arm(mut section: Section<'_>, sites: &BTreeSet<String>, regions: &mut BTreeSet<String>) -> Option<RegionalArm> {
    let region = section.text("region");
    if let Some(region) = &region
        && !regions.insert(region.clone())
    {
        section.fault("region", format!("another arm has the region `{region}`"));
    }
    let table = section.text("table").and_then(|table| checked(&section, "table", TableName::parse(&table)));
    if let Some(table) = &table
        && !sites.contains(&table.catalog)
    {
        section.fault("table", format!("there is no [[site]] named `{}` in this file", table.catalog));
    }
    section.finish();
    Some(RegionalArm { region: region?, table: table? })
}
