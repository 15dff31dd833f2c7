//! The way back: the state of a backup in the place of none.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use super::backup::{STATE, USERS, copy, is_of_the_state, private_directory, sync_directory};
use super::check::check_log;
use super::manifest::Manifest;
use super::{Restoration, cannot, exists, write_format, write_restored};
use crate::audit::DIRECTORY;
use crate::config::NodePlace;
use crate::error::{Code, EngineError, Result};
use crate::identity::files::directory_of;
use crate::site::policies::kept;

/// What came back.
#[derive(Debug)]
pub struct Restored {
    /// The backup's list.
    pub manifest: Manifest,
    /// Where the users file of the backup lies, when another one stands in its place and was left there.
    pub other_users: Option<PathBuf>,
}

/// Puts the state of a backup where the node will look for it. The node must have none there: what it has is never
/// overwritten.
///
/// # Errors
/// `CONFIG` for a backup of another node or of a later release, for one that is not as it was written, and where there is a
/// state already; `AUDIT` for a log that is not the one of the backup's list; `POLICY` for policies that this release cannot
/// read.
pub fn restore(node: &NodePlace, from: &Path) -> Result<Restored> {
    let manifest = Manifest::read(from)?;
    if manifest.node != node.name {
        let sentence = format!("the backup is of the node `{}`, and this is `{}`", manifest.node, node.name);
        return Err(EngineError::new(Code::Config, sentence));
    }
    expect_nothing(&node.state)?;
    // A site would start with policies that it cannot read, and permit nothing.
    kept::describe(&from.join(STATE))?;
    let log = from.join(STATE).join(DIRECTORY);
    if let Some(head) = &manifest.audit_head {
        check_log(&log, Some(head))?;
    }
    if manifest.files.keys().any(|name| is_of_the_state(name)) {
        put_state(&manifest, from, &node.state)?;
    }
    let other_users = put_users(&manifest, from, node)?;
    Ok(Restored { manifest, other_users })
}

fn expect_nothing(state: &Path) -> Result<()> {
    let is_empty = match fs::read_dir(state) {
        Ok(mut entries) => entries.next().is_none(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => true,
        Err(error) if error.kind() != io::ErrorKind::NotADirectory => return Err(cannot(state, &error)),
        Err(_) => false,
    };
    if is_empty {
        return Ok(());
    }
    let sentence = format!(
        "{} holds the state of a node: stop the node, and move the directory away, so that its record is not lost",
        state.display()
    );
    Err(EngineError::new(Code::Config, sentence))
}

fn put_state(manifest: &Manifest, from: &Path, state: &Path) -> Result<()> {
    let beside = directory_of(state);
    DirBuilder::new().mode(0o700).recursive(true).create(beside).map_err(|error| cannot(beside, &error))?;
    let begun = private_directory(".chancery-restore-", beside);
    let begun = begun.map_err(|error| cannot(beside, &error))?;
    for name in manifest.files.keys().filter(|name| is_of_the_state(name)) {
        let own = name.strip_prefix(STATE).unwrap_or(name).trim_start_matches('/');
        let to = begun.path().join(own);
        let directory = directory_of(&to);
        DirBuilder::new().mode(0o700).recursive(true).create(directory).map_err(|error| cannot(directory, &error))?;
        copy(&from.join(name), &to)?;
        sync_directory(directory)?;
    }
    write_format(begun.path())?;
    // The record does not know what was accepted since the backup, nor what will be until this state is started.
    write_restored(begun.path(), Restoration::Pending(manifest.taken()?))?;
    sync_directory(begun.path())?;
    if exists(state)? {
        fs::remove_dir(state).map_err(|error| cannot(state, &error))?;
    }
    fs::rename(begun.path(), state).map_err(|error| cannot(state, &error))?;
    sync_directory(beside)
}

/// The users file, where there is none. One that is there is newer: it may have lost a user who must not come back.
fn put_users(manifest: &Manifest, from: &Path, node: &NodePlace) -> Result<Option<PathBuf>> {
    let Some(place) = node.users.as_deref().filter(|_| manifest.files.contains_key(USERS)) else { return Ok(None) };
    let kept = from.join(USERS);
    let bytes = fs::read(&kept).map_err(|error| cannot(&kept, &error))?;
    match fs::read(place) {
        Ok(there) if there == bytes => Ok(None),
        Ok(_) => Ok(Some(kept)),
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(cannot(place, &error)),
        Err(_) => {
            let directory = directory_of(place);
            fs::create_dir_all(directory).map_err(|error| cannot(directory, &error))?;
            copy(&kept, place).map(|()| None)
        }
    }
}
