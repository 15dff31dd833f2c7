//! What a node keeps on its disk, as a whole: its format, a copy of it while the node runs, and the way back.
//!
//! ```text
//! state directory   format       which releases can read it
//!                   node.sqlite  policies, their history, what was used today, the latest time (site/policies/store)
//!                   audit/       the record (audit)
//!                   audit.key    the key of the hashes that stand for literals in it
//!                   restored     when it was brought back from a backup, if it was
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

use crate::error::{Code, EngineError, Result};
use crate::identity::files::create;

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

/// When the state was brought back, if it ever was.
///
/// # Errors
/// `CONFIG` when that cannot be read.
pub fn restored(directory: &Path) -> Result<Option<SystemTime>> {
    let path = directory.join(RESTORED_FILE);
    let Some(text) = read(&path)? else { return Ok(None) };
    let since: u64 = text.trim().parse().map_err(|_| {
        let sentence = format!("{} should say in milliseconds when the state was restored", path.display());
        EngineError::new(Code::Config, sentence)
    })?;
    Ok(UNIX_EPOCH.checked_add(Duration::from_millis(since)))
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

fn write_restored(directory: &Path, now: SystemTime) -> Result<()> {
    let path = directory.join(RESTORED_FILE);
    let since = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    crate::identity::files::replace(&path, format!("{since}\n").as_bytes()).map_err(|error| cannot(&path, &error))
}

/// A small file of ours; `None` when it is not there.
fn read(path: &Path) -> Result<Option<String>> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(cannot(path, &error)),
    }
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
    fn when_it_was_restored_is_kept_to_the_millisecond() {
        let state = tempfile::tempdir().unwrap();
        assert_eq!(restored(state.path()).unwrap(), None);
        let now = UNIX_EPOCH + Duration::from_millis(1_234_567_890_123);
        write_restored(state.path(), now).unwrap();
        assert_eq!(restored(state.path()).unwrap(), Some(now));
        fs::write(state.path().join(RESTORED_FILE), "yesterday").unwrap();
        restored(state.path()).unwrap_err();
    }
}
