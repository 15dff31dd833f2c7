//! `site.toml`: one department's node, its sources, and the coordinators it believes.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use policy::pseudonym::PseudonymKeys;

use super::checked::Identifier;
use super::issuers;
use super::node::{NodeConfig, NodeKeys, checked};
use super::policy::{PolicyConfig, read_pseudonyms};
use super::raw::Section;

/// A checked `site.toml`.
#[derive(Debug, Clone)]
pub struct SiteConfig {
    /// The keys that every node has.
    pub node: NodeConfig,
    /// `peers`: the certificate names that are believed as coordinators.
    pub peers: BTreeSet<String>,
    /// `[[source]]`: in the order of the file; at least one, no name twice.
    pub sources: Vec<SourceConfig>,
    /// `[policy]`: enforced, and nothing granted, when left out.
    pub policy: PolicyConfig,
    /// `[pseudonyms]`: without it a column under a pseudonym is denied.
    pub pseudonyms: Option<Arc<PseudonymKeys>>,
}

/// One `[[source]]`: a schema of the site's catalog.
#[derive(Debug, Clone)]
pub struct SourceConfig {
    /// `name`: the schema's name in SQL.
    pub name: Identifier,
    /// `kind`: which connector reads it.
    pub kind: String,
    /// The other keys, which are the connector's; it has found no fault in them.
    pub options: toml::Table,
    /// The directory that relative paths in the options start from.
    pub base: PathBuf,
}

/// Reads a whole `site.toml`.
pub(super) fn read(mut root: Section<'_>) -> Option<SiteConfig> {
    let keys = NodeKeys::read(&mut root, None);
    let peers = read_peers(&mut root, &keys);
    let sources = read_sources(&mut root);
    if keys.plaintext && keys.has_tls {
        root.fault("plaintext", "contradicts [tls]: a site is reached either in plain text or by TLS");
    }
    if let (Some(issuers), Some(peers)) = (&keys.issuers, &peers) {
        issuers::check_coordinators(&root, issuers, peers);
    }
    if let Some(peers) = &peers {
        keys.check_certificates(&root, peers);
    }
    if !keys.knows_users() && peers.as_ref().is_some_and(BTreeSet::is_empty) {
        root.fault("peers", "nobody is believed here: name the coordinators that are, or add [users] or an [[issuer]]");
    }
    let policy = PolicyConfig::read(root.section("policy"));
    let pseudonyms = root.section("pseudonyms").map(read_pseudonyms);
    root.finish();
    let pseudonyms = pseudonyms.map_or(Some(None), |read| read.map(Some))?;
    Some(SiteConfig { node: keys.conclude()?, peers: peers?, sources: sources?, policy: policy?, pseudonyms })
}

fn read_peers(root: &mut Section<'_>, keys: &NodeKeys) -> Option<BTreeSet<String>> {
    let peers = root.texts("peers")?;
    if !peers.is_empty() && !keys.has_tls {
        root.fault("peers", "a coordinator is known by its certificate, and without [tls] nobody can show one");
    }
    for (index, peer) in peers.iter().enumerate() {
        if peer == "localhost" {
            root.fault(
                &format!("peers[{index}]"),
                "`localhost` names every node of a machine; write a node's own name",
            );
        }
    }
    Some(peers.into_iter().collect())
}

fn read_sources(root: &mut Section<'_>) -> Option<Vec<SourceConfig>> {
    let sections = root.sections("source");
    if sections.is_empty() {
        root.fault("source", "a site needs at least one [[source]]");
    }
    let mut names = BTreeSet::new();
    let mut sources = Vec::with_capacity(sections.len());
    let count = sections.len();
    for section in sections {
        sources.extend(read_source(section, &mut names));
    }
    (sources.len() == count).then_some(sources)
}

fn read_source(mut section: Section<'_>, names: &mut BTreeSet<Identifier>) -> Option<SourceConfig> {
    let name = section.text("name").and_then(|name| checked(&section, "name", Identifier::parse(&name)));
    if let Some(name) = &name
        && !names.insert(name.clone())
    {
        section.fault("name", format!("another source is named `{name}`"));
    }
    let kind = section.text("kind");
    let options = section.rest();
    let base = section.file().base().to_path_buf();
    if let Some(kind) = &kind {
        for fault in connectors::registry::check(kind, &options, &base) {
            match fault.key.as_str() {
                "" => section.fault_here(fault.message),
                key => section.fault(key, fault.message),
            }
        }
    }
    section.finish();
    Some(SourceConfig { name: name?, kind: kind?, options, base })
}
