//! What an operator writes: TOML files, read once at start into checked types; every fault is named with file and key.
//!
//! - [`site`], [`coordinator`], [`serve`]: the three kinds of file, one checked type each; [`node`]: what they share.
//! - [`issuers`]: whom a node believes about users.
//! - [`policy`]: where a site's policy comes from, and the secret behind its pseudonyms.
//! - [`place`]: where a node keeps its state, read without the rest.
//! - [`operations`]: where an operator is told how a node is; [`traces`]: who is sent the spans of its statements.
//! - [`limits`]: every queue, message and buffer; [`tls`]: certificates and keys; [`checked`]: names and addresses.
//! - `raw`: how a file is taken apart so that all its faults are found; [`fault`]: how they are told.
//! - [`environment`]: the one place that reads the process environment.
//!
//! **Invariant:** a checked type is right as it is; nothing after this module looks at it again.

pub mod checked;
pub mod coordinator;
pub mod environment;
pub mod fault;
pub mod issuers;
pub mod limits;
pub mod node;
pub mod operations;
pub mod place;
pub mod policy;
mod raw;
pub mod serve;
pub mod site;
#[cfg(test)]
mod tests;
pub mod tls;
pub mod traces;

use std::path::Path;

pub use checked::{Identifier, SiteUrl, TableName, WireCompression};
pub use coordinator::{CoordinatorConfig, RegionalArm, RegionalTable, SiteAddress};
pub use fault::{ConfigFault, ConfigFaults};
pub use issuers::{Extent, IssuerConfig, IssuerTrust, KeySource, Listed, TokenTrust};
pub use limits::Limits;
pub use node::{DoorSecurity, NodeConfig};
pub use operations::OperationsConfig;
pub use place::{Keeps, NodePlace};
pub use policy::{Enforcement, PolicyConfig};
pub use serve::{FileKind, ServeConfig};
pub use site::{SiteConfig, SourceConfig};
pub use tls::{TlsFiles, TlsMaterial};
pub use traces::TracesConfig;

use raw::RawFile;

/// Loads a `site.toml`.
///
/// # Errors
/// Every fault of the file.
pub fn load_site(path: &Path) -> Result<SiteConfig, ConfigFaults> {
    let (file, table) = RawFile::read(path)?;
    let site = site::read(file.root(table));
    file.conclude(site)
}

/// Loads a `coordinator.toml`.
///
/// # Errors
/// Every fault of the file.
pub fn load_coordinator(path: &Path) -> Result<CoordinatorConfig, ConfigFaults> {
    let (file, table) = RawFile::read(path)?;
    let coordinator = coordinator::read(file.root(table));
    file.conclude(coordinator)
}

/// Loads of a `site.toml` or `coordinator.toml` only where the node keeps what it keeps.
///
/// # Errors
/// When the file does not say that.
pub fn load_place(path: &Path) -> Result<NodePlace, ConfigFaults> {
    place::read(path)
}

/// Loads a `serve.toml` and the files that it names.
///
/// # Errors
/// Every fault of the file and of those it names.
pub fn load_serve(path: &Path) -> Result<ServeConfig, ConfigFaults> {
    let (file, table) = RawFile::read(path)?;
    let mut elsewhere = Vec::new();
    let serve = serve::read(file.root(table), &mut elsewhere);
    let own = file.conclude(serve);
    match own {
        Ok(serve) if elsewhere.is_empty() => Ok(serve),
        own => {
            let mut faults = own.err().map(|faults| faults.0).unwrap_or_default();
            faults.extend(elsewhere);
            Err(ConfigFaults(faults))
        }
    }
}

/// Finds out what the file is, and all that is wrong in it.
///
/// # Errors
/// Every fault of the file, and of those it names.
pub fn check(path: &Path) -> Result<FileKind, ConfigFaults> {
    let (_, table) = RawFile::read(path)?;
    let kind = FileKind::of(&table, path)?;
    match kind {
        FileKind::Site => load_site(path).map(drop),
        FileKind::Coordinator => load_coordinator(path).map(drop),
        FileKind::Serve => load_serve(path).map(drop),
    }?;
    Ok(kind)
}
