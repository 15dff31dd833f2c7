//! `serve.toml`: a coordinator and its sites in one process, each from its own file.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;

use super::coordinator::CoordinatorConfig;
use super::fault::{ConfigFault, ConfigFaults};
use super::raw::Section;
use super::site::SiteConfig;

/// A checked `serve.toml`, with the checked files that it names.
#[derive(Debug, Clone)]
pub struct ServeConfig {
    /// `coordinator`: the path of a `coordinator.toml`.
    pub coordinator: CoordinatorConfig,
    /// `sites`: the paths of the `site.toml`s; each is named by the coordinator, no name and no address twice.
    pub sites: Vec<SiteConfig>,
}

/// Reads a whole `serve.toml` and the files it names; their faults come after those of the file itself.
pub(super) fn read(mut root: Section<'_>, elsewhere: &mut Vec<ConfigFault>) -> Option<ServeConfig> {
    let coordinator = root.path("coordinator").and_then(|path| keep(super::load_coordinator(&path), elsewhere));
    let paths = root.texts("sites");
    if paths.as_ref().is_some_and(Vec::is_empty) {
        root.fault("sites", "is missing or empty: name the file of each site that runs here");
    }
    let paths = paths.unwrap_or_default();
    let mut sites = Vec::with_capacity(paths.len());
    for path in &paths {
        sites.extend(keep(super::load_site(&root.file().resolve(path)), elsewhere));
    }
    let complete = sites.len() == paths.len();
    if let Some(coordinator) = &coordinator {
        check_together(&root, coordinator, &sites);
    }
    root.finish();
    complete.then_some(ServeConfig { coordinator: coordinator?, sites })
}

fn keep<T>(loaded: Result<T, ConfigFaults>, elsewhere: &mut Vec<ConfigFault>) -> Option<T> {
    loaded.map_err(|faults| elsewhere.extend(faults.0)).ok()
}

/// What each file cannot know of the others.
fn check_together(root: &Section<'_>, coordinator: &CoordinatorConfig, sites: &[SiteConfig]) {
    let mut doors: BTreeMap<SocketAddr, &str> = BTreeMap::new();
    doors.insert(coordinator.node.listen, coordinator.node.name.as_str());
    for (index, site) in sites.iter().enumerate() {
        let key = format!("sites[{index}]");
        let name = &site.node.name;
        if !coordinator.sites.iter().any(|known| known.name == *name) {
            root.fault(&key, format!("the coordinator has no [[site]] named `{name}`"));
        }
        if sites.iter().take(index).any(|earlier| earlier.node.name == *name) {
            root.fault(&key, format!("another site is named `{name}`"));
        }
        if let Some(tls) = &coordinator.node.tls
            && !tls.names.iter().any(|own| site.peers.contains(own))
        {
            let names = tls.names.join(", ");
            root.fault(
                &key,
                format!("`peers` of this site names none of the coordinator's certificate names ({names})"),
            );
        }
        let taken = doors.insert(site.node.listen, name.as_str());
        if let Some(other) = taken
            && site.node.listen.port() != 0
        {
            root.fault(&key, format!("`{name}` and `{other}` listen on the same address {}", site.node.listen));
        }
    }
}

/// The kind of a file's keys, so that a path alone says what to check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// `site.toml`.
    Site,
    /// `coordinator.toml`.
    Coordinator,
    /// `serve.toml`.
    Serve,
}

impl FileKind {
    /// Told by the keys that only one kind has.
    pub(super) fn of(table: &toml::Table, path: &Path) -> Result<Self, ConfigFaults> {
        let has = |key: &str| table.contains_key(key);
        if has("coordinator") || has("sites") {
            return Ok(Self::Serve);
        }
        if has("site") || has("regional") {
            return Ok(Self::Coordinator);
        }
        if has("source") || has("peers") {
            return Ok(Self::Site);
        }
        Err(ConfigFaults(vec![ConfigFault {
            file: path.display().to_string(),
            key: String::new(),
            message: "is neither a site (no [[source]]), nor a coordinator (no [[site]]), nor for `serve` (no `sites`)"
                .to_string(),
        }]))
    }
}
