//! What a site keeps of its policies, for those who copy it or look whether it can be used: while the site runs, too.

use std::fs::File;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rusqlite::{Connection, OpenFlags, OptionalExtension};

pub(crate) use super::store::FILE;
use super::store::{BUSY_TIMEOUT, MIGRATIONS, StoreError};
use crate::error::{Code, EngineError, Result};

/// Copies the file as it is at one moment; the latest version in the copy, `None` where there is no file.
///
/// # Errors
/// `POLICY` when it cannot be read or written.
pub fn copy(from: &Path, to: &Path) -> Result<Option<u64>> {
    if !is_there(from)? {
        return Ok(None);
    }
    let target = to.join(FILE);
    let text = target.to_str().ok_or_else(|| unusable(&target, &"its path is not UTF-8"))?;
    let connection = open(from)?;
    connection.execute("VACUUM INTO ?1", [text]).map_err(|error| unusable(&target, &error))?;
    let private = std::fs::set_permissions(&target, std::fs::Permissions::from_mode(0o600));
    private.and_then(|()| File::open(&target)?.sync_all()).map_err(|error| unusable(&target, &error))?;
    latest_version(to)
}

/// The latest version of the policies, whether or not it is in force yet; `None` where there is no file.
///
/// # Errors
/// `POLICY` when it cannot be read.
pub fn latest_version(directory: &Path) -> Result<Option<u64>> {
    if !is_there(directory)? {
        return Ok(None);
    }
    let sql = "SELECT coalesce(max(version), 0) FROM policy_history";
    let version: i64 = open(directory)?
        .query_row(sql, [], |row| row.get(0))
        .map_err(|error| unusable(&directory.join(FILE), &error))?;
    Ok(u64::try_from(version).ok())
}

/// What the file is, or what is wrong with it.
///
/// # Errors
/// `POLICY` for a file that is damaged or of a later release.
pub fn describe(directory: &Path) -> Result<String> {
    let path = directory.join(FILE);
    if !is_there(directory)? {
        return Ok("no policies".to_string());
    }
    let wrong = |error: StoreError| unusable(&path, &error);
    let connection = open(directory)?;
    let read = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, String>(0)).map_err(StoreError::from);
    let health = read("PRAGMA quick_check(1)").map_err(wrong)?;
    if health != "ok" {
        return Err(unusable(&path, &health));
    }
    let tables: Option<i64> = connection
        .query_row("SELECT max(version) FROM schema_version", [], |row| row.get(0))
        .optional()
        .map_err(|error| unusable(&path, &error))?
        .flatten();
    let tables = tables.unwrap_or_default();
    if usize::try_from(tables).is_ok_and(|tables| tables > MIGRATIONS.len()) {
        let known = MIGRATIONS.len();
        let later =
            format!("it was written by a later release: its tables have version {tables}, this one knows {known}");
        return Err(unusable(&path, &later));
    }
    let version = latest_version(directory)?.unwrap_or_default();
    Ok(format!("policies of version {version} in tables of version {tables}"))
}

/// Whether there is a file; what cannot be looked at is not taken for none.
fn is_there(directory: &Path) -> Result<bool> {
    let path = directory.join(FILE);
    path.try_exists().map_err(|error| unusable(&path, &error))
}

/// Opens the file beside whoever else has it open, and changes nothing.
fn open(directory: &Path) -> Result<Connection> {
    let path = directory.join(FILE);
    // Whoever reads beside a writer takes part in its shared memory, which is why this is not read-only.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let opened = Connection::open_with_flags(&path, flags).and_then(|connection| {
        connection.busy_timeout(BUSY_TIMEOUT)?;
        Ok(connection)
    });
    opened.map_err(|error| unusable(&path, &error))
}

fn unusable(path: &Path, why: &dyn std::fmt::Display) -> EngineError {
    EngineError::new(Code::Policy, format!("{} cannot be used: {why}", path.display()))
}
