//! What a node keeps on its disk, as a whole: its format, a copy of it while the node runs, and the way back.
//!
//! ```text
//! state directory   format       which releases can read it
//!                   node.sqlite  policies, their history, what was used today, the latest time (site/policies/store)
//!                   audit/       the record (audit)
//!                   audit.key    the key of the hashes that stand for literals in it
//!                   restored     when it was first started after it was brought back from a backup, if it was
//! elsewhere         the users file, which `chancery user` writes
//! ```
//!
//! A coordinator keeps nothing but its users file. Certificates, keys, the secret of pseudonyms, passwords of sources and
//! policy files are the operator's, written by no node, and in no backup.
//!
//! - [`backup`]: the copy; [`restore`]: the way back; [`check`]: whether either can be used.
//!
//! **Invariant:** a site that was brought back believes no delegation of before: what was accepted since the copy was made
//! stands in no record of its.

pub mod backup;
pub mod check;
mod manifest;
pub mod restore;

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub use manifest::Manifest;

use crate::audit;
use crate::config::{Keeps, NodePlace};
use crate::error::{Code, EngineError, Result};
use crate::identity::files::create;
use crate::site::policies::kept::FILE as POLICIES;

/// The format that this release writes; it reads all before it.
pub const FORMAT: u32 = 1;
/// The file that says the format.
const FORMAT_FILE: &str = "format";
/// The file that says when the state was brought back.
const RESTORED_FILE: &str = "restored";

/// Makes the state directory of a node that begins, or finds out whether this release can read the one that is there.
///
/// # Errors
/// `CONFIG` for the state of a later release, or a directory that cannot be used.
pub fn begin(directory: &Path) -> Result<()> {
    DirBuilder::new().mode(0o700).recursive(true).create(directory).map_err(|error| cannot(directory, &error))?;
    if read_format(directory)?.is_none() {
        // Before there was a file, the format was the first one.
        write_format(directory)?;
    }
    Ok(())
}

/// When the state that was brought back was first started, if it ever was brought back: what was accepted before, by whoever
/// had this site's name, may stand in no record of its. The first start says so, once nobody else can listen in its place:
/// that is never earlier than the backup, or than the site's own time.
///
/// # Errors
/// `CONFIG` when that cannot be read or written down.
pub fn restored(directory: &Path, site_time: SystemTime) -> Result<Option<SystemTime>> {
    match read_restored(directory)? {
        None => Ok(None),
        Some(Restoration::Started(started)) => Ok(Some(started)),
        Some(Restoration::Pending(taken)) => {
            let started = SystemTime::now().max(site_time).max(taken);
            write_restored(directory, Restoration::Started(started))?;
            Ok(Some(started))
        }
    }
}

/// How far a state has come that was brought back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Restoration {
    /// It was never started since; its backup was taken then.
    Pending(SystemTime),
    /// It was first started then.
    Started(SystemTime),
}

/// What stands before the time of a backup whose state was never started.
const PENDING: &str = "pending ";

fn read_restored(directory: &Path) -> Result<Option<Restoration>> {
    let path = directory.join(RESTORED_FILE);
    let Some(text) = read(&path)? else { return Ok(None) };
    let text = text.trim();
    let (of, time): (fn(SystemTime) -> Restoration, &str) = match text.strip_prefix(PENDING) {
        Some(taken) => (Restoration::Pending, taken),
        None => (Restoration::Started, text),
    };
    let time = time.parse().ok().and_then(|since| UNIX_EPOCH.checked_add(Duration::from_millis(since)));
    let time = time.ok_or_else(|| {
        let sentence = format!("{} should say in milliseconds when the state was restored", path.display());
        EngineError::new(Code::Config, sentence)
    })?;
    Ok(Some(of(time)))
}

/// The format of a state directory; `None` where it does not say.
fn read_format(directory: &Path) -> Result<Option<u32>> {
    let path = directory.join(FORMAT_FILE);
    let Some(text) = read(&path)? else { return Ok(None) };
    let wrong = || EngineError::new(Code::Config, format!("{} does not say a format of state", path.display()));
    let format: u32 = text.trim().parse().map_err(|_| wrong())?;
    known(format, &directory.display().to_string()).map(Some)
}

/// A format that this release can read.
fn known(format: u32, what: &str) -> Result<u32> {
    match format {
        1..=FORMAT => Ok(format),
        _ => Err(EngineError::new(
            Code::Config,
            format!(
                "{what} was written by a later release: its state has format {format}, and this release knows {FORMAT}; run that \
                 release, or restore a backup of this one"
            ),
        )),
    }
}

fn write_format(directory: &Path) -> Result<()> {
    let path = directory.join(FORMAT_FILE);
    match create(&path, format!("{FORMAT}\n").as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(cannot(&path, &error)),
        _ => Ok(()),
    }
}

fn write_restored(directory: &Path, restoration: Restoration) -> Result<()> {
    let path = directory.join(RESTORED_FILE);
    let (pending, time) = match restoration {
        Restoration::Pending(taken) => (PENDING, taken),
        Restoration::Started(started) => ("", started),
    };
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    let text = format!("{pending}{since}\n");
    crate::identity::files::replace(&path, text.as_bytes()).map_err(|error| cannot(&path, &error))?;
    backup::sync_directory(directory)
}

/// A small file of ours; `None` when it is not there.
fn read(path: &Path) -> Result<Option<String>> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(cannot(path, &error)),
    }
}

/// Whether something is there. Only what is certainly not there is absent: a volume that cannot be read holds a state.
fn exists(path: &Path) -> Result<bool> {
    path.try_exists().map_err(|error| cannot(path, &error))
}

/// Whether the node has a state directory, with all in it that it keeps. A coordinator may have none.
fn expect_whole(node: &NodePlace) -> Result<bool> {
    let parts: &[&str] = match node.keeps {
        Keeps::Nothing => return exists(&node.state),
        Keeps::Policies => &[POLICIES],
        Keeps::PoliciesAndRecord => &[POLICIES, audit::DIRECTORY, audit::KEY_FILE],
    };
    for part in parts {
        if !exists(&node.state.join(part))? {
            let sentence = format!(
                "the state of `{}` is not whole: there is no `{part}` in {}; a site that has started has one (is the volume \
                 mounted?)",
                node.name,
                node.state.display()
            );
            return Err(EngineError::new(Code::Config, sentence));
        }
    }
    Ok(true)
}

fn cannot(path: &Path, error: &io::Error) -> EngineError {
    EngineError::new(Code::Config, format!("{} cannot be read or written: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_format_is_refused_and_none_is_the_first() {
        let directory = tempfile::tempdir().unwrap();
        let state = directory.path().join("north");
        begin(&state).unwrap();
        begin(&state).unwrap();
        assert_eq!(read_format(&state).unwrap(), Some(FORMAT));
        fs::write(state.join(FORMAT_FILE), "2\n").unwrap();
        let error = begin(&state).unwrap_err();
        assert!(error.code() == Code::Config && error.sentence().contains("format 2"), "{error}");
        fs::write(state.join(FORMAT_FILE), "many\n").unwrap();
        begin(&state).unwrap_err();
    }

    #[test]
    fn a_site_whose_state_is_not_all_there_has_no_backup_and_is_not_well() {
        let directory = tempfile::tempdir().unwrap();
        let (state, to) = (directory.path().join("north"), directory.path().join("kept"));
        let mut node =
            NodePlace { name: "north".to_string(), state: state.clone(), users: None, keeps: Keeps::PoliciesAndRecord };
        let refused = |node: &NodePlace, what: &str| {
            let error = backup::backup(node, &to).unwrap_err();
            assert!(error.code() == Code::Config && error.sentence().contains(what), "{error}");
            assert!(check::check_state(node).iter().any(Result::is_err) && !to.exists());
        };
        refused(&node, "`node.sqlite`");
        fs::create_dir(&state).unwrap();
        refused(&node, "`node.sqlite`");
        fs::write(state.join("node.sqlite"), "").unwrap();
        refused(&node, "`audit`");
        fs::create_dir(state.join("audit")).unwrap();
        refused(&node, "`audit.key`");
        // What cannot be looked at is not absent.
        node.state = state.join("node.sqlite");
        refused(&node, "cannot be read");
        node.keeps = Keeps::Nothing;
        node.state = directory.path().join("none");
        assert!(check::check_state(&node).iter().all(Result::is_ok));
        node.users = Some(directory.path().join("users.toml"));
        let error = backup::backup(&node, &to).unwrap_err();
        assert!(error.sentence().contains("users.toml"), "{error}");
        node.users = None;
        backup::backup(&node, &to).unwrap();
    }

    #[test]
    fn a_state_is_restored_when_it_is_first_started() {
        let state = tempfile::tempdir().unwrap();
        assert_eq!(restored(state.path(), UNIX_EPOCH).unwrap(), None);
        let time = |ms| UNIX_EPOCH + Duration::from_millis(ms);
        let (past, future, later) = (time(1_234_567_890_123), time(9_234_567_890_123), time(9_234_567_890_124));
        // Long after the restore, whatever the backup and the site say, and then it stays.
        write_restored(state.path(), Restoration::Pending(past)).unwrap();
        let before = SystemTime::now() - Duration::from_millis(1);
        let first = restored(state.path(), past).unwrap().unwrap();
        assert!(first >= before && first < future, "{first:?}");
        let since = |time: SystemTime| time.duration_since(UNIX_EPOCH).unwrap().as_millis();
        assert_eq!(restored(state.path(), future).unwrap().map(since), Some(since(first)));
        // A clock that was ahead when it was taken, or while the site ran.
        for (taken, site_time, expected) in [(later, future, later), (future, later, later)] {
            write_restored(state.path(), Restoration::Pending(taken)).unwrap();
            assert_eq!(restored(state.path(), site_time).unwrap(), Some(expected));
            assert_eq!(read_restored(state.path()).unwrap(), Some(Restoration::Started(expected)));
        }
        for wrong in ["yesterday", "pending", "pending soon", ""] {
            fs::write(state.path().join(RESTORED_FILE), wrong).unwrap();
            restored(state.path(), past).unwrap_err();
        }
    }

    #[test]
    fn policies_of_a_later_release_are_not_restored() {
        let directory = tempfile::tempdir().unwrap();
        let (state, kept) = (directory.path().join("north"), directory.path().join("kept"));
        let of = |tables: u32| {
            let connection = rusqlite::Connection::open(kept.join("state/node.sqlite")).unwrap();
            connection
                .execute_batch(&format!(
                    "CREATE TABLE IF NOT EXISTS schema_version (version INTEGER); DELETE FROM schema_version;
                     CREATE TABLE IF NOT EXISTS policy_history (version INTEGER);
                     INSERT INTO schema_version VALUES ({tables});"
                ))
                .unwrap();
            drop(connection);
            let _ = fs::remove_file(kept.join("manifest.json"));
            Manifest::of(&kept, "north", None).unwrap().write(&kept).unwrap();
        };
        fs::create_dir_all(kept.join("state")).unwrap();
        let node = NodePlace { name: "north".to_string(), state: state.clone(), users: None, keeps: Keeps::Policies };
        of(1_000);
        let error = restore::restore(&node, &kept).unwrap_err();
        assert!(error.code() == Code::Policy && error.sentence().contains("version 1000"), "{error}");
        assert!(!state.exists());
        of(1);
        restore::restore(&node, &kept).unwrap();
        assert!(matches!(read_restored(&state).unwrap(), Some(Restoration::Pending(_))));
    }
}
