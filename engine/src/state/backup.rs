//! A copy of a node's state, also while the node runs: whole, of one moment, or not made.

use std::fs::{self, DirBuilder, File, Permissions};
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use tempfile::TempDir;

use super::manifest::Manifest;
use super::{FORMAT_FILE, cannot, exists, expect_whole, read_format, write_format};
use crate::audit::verify::verify;
use crate::audit::{DIRECTORY, KEY_FILE};
use crate::config::NodePlace;
use crate::error::{Code, EngineError, Result};
use crate::identity::files::directory_of;
use crate::site::policies::kept;

/// Where the users file lies in a backup.
pub(super) const USERS: &str = "users.toml";
/// Where the state directory lies in a backup.
pub(super) const STATE: &str = "state";
/// How often the copy is begun anew when the policy changes meanwhile.
const ATTEMPTS: usize = 20;

/// Copies the state of a node into a new directory.
///
/// # Errors
/// `CONFIG` when there is something already, or what the node keeps is not there or cannot be read; `AUDIT` for a log that is not as it was
/// written.
pub fn backup(node: &NodePlace, to: &Path) -> Result<Manifest> {
    if exists(to)? {
        let sentence = format!("{} is there already: name a directory that is not", to.display());
        return Err(EngineError::new(Code::Config, sentence));
    }
    let beside = directory_of(to);
    let begun = private_directory(".chancery-backup-", beside);
    let begun = begun.map_err(|error| cannot(beside, &error))?;
    let manifest = write(node, begun.path())?;
    fs::rename(begun.path(), to).map_err(|error| cannot(to, &error))?;
    sync_directory(beside)?;
    Ok(manifest)
}

/// A directory that is gone unless it is given its name.
pub(super) fn private_directory(prefix: &str, beside: &Path) -> io::Result<TempDir> {
    tempfile::Builder::new().prefix(prefix).permissions(Permissions::from_mode(0o700)).tempdir_in(beside)
}

fn write(node: &NodePlace, to: &Path) -> Result<Manifest> {
    let mut head = None;
    if expect_whole(node)? {
        read_format(&node.state)?;
        let state = to.join(STATE);
        for attempt in 1.. {
            DirBuilder::new().mode(0o700).create(&state).map_err(|error| cannot(&state, &error))?;
            if of_one_moment(&node.state, &state)? {
                break;
            }
            if attempt == ATTEMPTS {
                let sentence = "the policy changes all the time: make the backup when it rests";
                return Err(EngineError::new(Code::Busy, sentence));
            }
            fs::remove_dir_all(&state).map_err(|error| cannot(&state, &error))?;
        }
        write_format(&state)?;
        let audit = state.join(DIRECTORY);
        if exists(&audit)? {
            let verified = verify(&audit, None).map_err(|fault| {
                EngineError::new(Code::Audit, format!("the audit log is damaged, and no backup is made: {fault}"))
            })?;
            head = Some(verified.head.to_string());
        }
    }
    if let Some(users) = node.users.as_deref() {
        copy(users, &to.join(USERS))?;
    }
    let manifest = Manifest::of(to, &node.name, head)?;
    manifest.write(to)?;
    Ok(manifest)
}

/// Copies policies, key and record: whether the policies were the same before and after the record was copied. The record of
/// a version is written after the version, so none is of a later one then; where one is missing yet, a start finds out.
fn of_one_moment(from: &Path, to: &Path) -> Result<bool> {
    let before = kept::copy(from, to)?;
    let key = from.join(KEY_FILE);
    if exists(&key)? {
        copy(&key, &to.join(KEY_FILE))?;
    }
    copy_log(&from.join(DIRECTORY), &to.join(DIRECTORY))?;
    Ok(kept::latest_version(from)? == before)
}

/// The segments of a log, each to the end of its last whole record.
fn copy_log(from: &Path, to: &Path) -> Result<()> {
    if !exists(from)? {
        return Ok(());
    }
    DirBuilder::new().mode(0o700).create(to).map_err(|error| cannot(to, &error))?;
    let mut names: Vec<_> = fs::read_dir(from)
        .and_then(|entries| entries.map(|entry| entry.map(|entry| entry.file_name())).collect::<io::Result<Vec<_>>>())
        .map_err(|error| cannot(from, &error))?;
    // In their order: what is written meanwhile is at the end.
    names.sort();
    for name in names.iter().filter(|name| Path::new(name).extension().is_some_and(|extension| extension == "jsonl")) {
        let path = from.join(name);
        let from = File::open(&path).map_err(|error| cannot(&path, &error))?;
        write_private(&to.join(name), |file| whole_lines(from, file))?;
    }
    sync_directory(to)
}

/// What follows the last end of a line is still being written.
fn whole_lines(from: File, to: &mut File) -> io::Result<()> {
    let (mut from, mut to) = (BufReader::new(from), BufWriter::new(to));
    let mut line = Vec::new();
    while from.read_until(b'\n', &mut line)? > 0 && line.ends_with(b"\n") {
        to.write_all(&line)?;
        line.clear();
    }
    to.flush()
}

/// Copies a file to where none is, for its owner only.
pub(super) fn copy(from: &Path, to: &Path) -> Result<()> {
    let mut source = File::open(from).map_err(|error| cannot(from, &error))?;
    write_private(to, |file| io::copy(&mut source, file).map(drop))
}

fn write_private(path: &Path, write: impl FnOnce(&mut File) -> io::Result<()>) -> Result<()> {
    let file = File::options().write(true).create_new(true).mode(0o600).open(path);
    file.and_then(|mut file| {
        write(&mut file)?;
        file.sync_all()
    })
    .map_err(|error| cannot(path, &error))
}

pub(super) fn sync_directory(directory: &Path) -> Result<()> {
    File::open(directory).and_then(|file| file.sync_all()).map_err(|error| cannot(directory, &error))
}

/// The files of the state that a restore does not write itself.
pub(super) fn is_of_the_state(name: &str) -> bool {
    name.strip_prefix(STATE).and_then(|rest| rest.strip_prefix('/')).is_some_and(|rest| rest != FORMAT_FILE)
}
