//! Where a node keeps what it keeps, read from its file and nothing else: certificates, sources and users need not be there.

use std::path::{Path, PathBuf};

use super::checked::Identifier;
use super::fault::ConfigFaults;
use super::raw::RawFile;
use super::serve::FileKind;

/// A node's name and its places.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodePlace {
    /// Its name.
    pub name: String,
    /// Its state directory, which a coordinator does not have.
    pub state: PathBuf,
    /// Its users file.
    pub users: Option<PathBuf>,
    /// What it has in its state directory once it has started.
    pub keeps: Keeps,
}

/// What a node keeps in its state directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keeps {
    /// Nothing: a coordinator.
    Nothing,
    /// Policies: a site that enforces none.
    Policies,
    /// Policies, and the record of what it was asked.
    PoliciesAndRecord,
}

/// Reads them.
pub(super) fn read(path: &Path) -> Result<NodePlace, ConfigFaults> {
    let (file, table) = RawFile::read(path)?;
    let kind = FileKind::of(&table, path)?;
    let mut root = file.root(table);
    if kind == FileKind::Serve {
        root.fault("sites", "these are several nodes, each with a state of its own: name the file of one");
    }
    let name = match kind {
        FileKind::Coordinator => root.optional_text("name").or_else(|| Some("coordinator".to_string())),
        FileKind::Site | FileKind::Serve => root.text("name"),
    };
    let name = name.and_then(|name| super::node::checked(&root, "name", Identifier::parse(&name)));
    let state = super::node::read_state(&mut root, name.as_ref());
    let users = root.section("users").and_then(|mut section| section.path("file"));
    let enforces = root.section("policy").and_then(|mut section| section.optional_flag("enforce"));
    let keeps = match (kind, enforces) {
        (FileKind::Coordinator, _) => Keeps::Nothing,
        (FileKind::Site | FileKind::Serve, Some(false)) => Keeps::Policies,
        (FileKind::Site | FileKind::Serve, _) => Keeps::PoliciesAndRecord,
    };
    let place = name.zip(state).map(|(name, state)| NodePlace { name: name.to_string(), state, users, keeps });
    // What else stands in the file is for the node to check.
    root.rest();
    file.conclude(place)
}
