//! Options of a `sqlite` source, from what is written to checked types. Every fault is found here, before a file is opened.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::OptionFault;
use crate::options::OptionReader;

const CONNECTIONS_MAX: i64 = 8;
const BUSY_TIMEOUT_MS: i64 = 5_000;
/// An hour: a scan lasts as long as whoever reads it.
const STATEMENT_TIMEOUT_MS: i64 = 3_600_000;
/// A day.
const TIMEOUT_MS_MAX: i64 = 86_400_000;

/// A checked source: the tables of one file.
#[derive(Debug, Clone)]
pub(super) struct SqliteConfig {
    pub(super) file: FileConfig,
    /// The tables that are served; `None` for all.
    pub(super) tables: Option<Vec<String>>,
}

/// How a file is read. Sources that agree in all of it share their connections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FileConfig {
    /// INVARIANT: canonical, and a file when it was checked.
    pub(super) path: PathBuf,
    /// Nobody ever writes to the file: it is read without locks.
    pub(super) is_immutable: bool,
    /// What whole numbers count in columns of dates and times; `None` if they are refused.
    pub(super) epoch: Option<Epoch>,
    pub(super) connections_max: usize,
    pub(super) busy_timeout: Duration,
    pub(super) statement_timeout: Duration,
}

/// What is counted from the beginning of 1970 on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Epoch {
    Seconds,
    Milliseconds,
}

impl FileConfig {
    /// The file as errors and logs name it: without the directories that it is in.
    pub(super) fn shown(&self) -> String {
        let name = self.path.file_name().unwrap_or(self.path.as_os_str());
        format!("database `{}`", name.to_string_lossy())
    }
}

impl Epoch {
    /// Microseconds of one.
    pub(super) fn micros(self) -> i64 {
        match self {
            Self::Seconds => 1_000_000,
            Self::Milliseconds => 1_000,
        }
    }
}

impl SqliteConfig {
    /// Checks `options`; relative paths start from `base`.
    pub(super) fn parse(options: &toml::Table, base: &Path) -> Result<Self, Vec<OptionFault>> {
        let mut reader = OptionReader::new(options, "");
        let file = read_file(&mut reader, base);
        let tables = reader.texts("tables").map(|names| names.into_iter().map(str::to_owned).collect());
        if tables.as_ref().is_some_and(Vec::is_empty) {
            reader.fault("tables", "names no table; leave it out to serve all of the file");
        }
        match (reader.finish(), file) {
            (faults, Some(file)) if faults.is_empty() => Ok(Self { file, tables }),
            (faults, _) => Err(faults),
        }
    }
}

fn read_file(reader: &mut OptionReader<'_>, base: &Path) -> Option<FileConfig> {
    let path = read_path(reader, base);
    let is_immutable = reader.flag("immutable").unwrap_or(false);
    let epoch = read_epoch(reader);
    let connections_max = reader.number("connections_max", 1..=100).unwrap_or(CONNECTIONS_MAX);
    let busy_timeout = reader.timeout("busy_timeout_ms", TIMEOUT_MS_MAX, BUSY_TIMEOUT_MS);
    let statement_timeout = reader.timeout("statement_timeout_ms", TIMEOUT_MS_MAX, STATEMENT_TIMEOUT_MS);
    Some(FileConfig {
        path: path?,
        is_immutable,
        epoch,
        connections_max: usize::try_from(connections_max).ok()?,
        busy_timeout,
        statement_timeout,
    })
}

/// What is looked at is the file's entry and not the file: a process that opens a database beside SQLite and closes it again
/// loses SQLite's locks on it.
fn read_path(reader: &mut OptionReader<'_>, base: &Path) -> Option<PathBuf> {
    let written = reader.required_text("path", "the database's file")?;
    let found = fs::canonicalize(base.join(written)).and_then(|path| Ok((fs::metadata(&path)?.is_file(), path)));
    match found {
        Ok((true, path)) => Some(path),
        Ok((false, _)) => {
            reader.fault("path", format!("`{written}` is not a file"));
            None
        }
        Err(error) => {
            reader.fault("path", format!("`{written}` cannot be read: {}", error.kind()));
            None
        }
    }
}

fn read_epoch(reader: &mut OptionReader<'_>) -> Option<Epoch> {
    match reader.text("epoch")? {
        "seconds" => Some(Epoch::Seconds),
        "milliseconds" => Some(Epoch::Milliseconds),
        other => {
            reader.fault("epoch", format!("`{other}` is neither `seconds` nor `milliseconds`"));
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<SqliteConfig, Vec<String>> {
        // Any file will do: nothing opens it.
        let parsed = SqliteConfig::parse(&toml::from_str(text).unwrap(), Path::new(env!("CARGO_MANIFEST_DIR")));
        parsed.map_err(|faults| faults.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn what_is_left_out_is_what_the_documentation_says() {
        let config = parse("path = 'Cargo.toml'").unwrap();
        assert!(config.file.path.is_absolute());
        assert_eq!((config.tables, config.file.is_immutable, config.file.epoch), (None, false, None));
        assert_eq!((config.file.connections_max, config.file.busy_timeout.as_millis()), (8, 5_000));
        assert_eq!(parse("path = 'Cargo.toml'").unwrap().file.shown(), "database `Cargo.toml`");
    }

    #[test]
    fn every_fault_is_named_with_its_key() {
        let text = "path = 'none.db'\nimmutable = 1\nepoch = 'julian'\nconnections_max = 0\ntables = []\nmode = 'ro'";
        let found = parse(text).unwrap_err();
        let starts = [
            "`path`: `none.db` cannot be read: entity not found",
            "`immutable`: must be `true` or `false`",
            "`epoch`: `julian` is neither `seconds` nor `milliseconds`",
            "`connections_max`: must be a whole number from 1 to 100",
            "`tables`: names no table",
            "`mode`: is not an option here",
        ];
        assert_eq!(found.len(), starts.len(), "{found:?}");
        for (fault, start) in found.iter().zip(starts) {
            assert!(fault.starts_with(start), "{fault}");
        }
        assert_eq!(parse("path = 'src'").unwrap_err(), ["`path`: `src` is not a file"]);
        assert!(parse("").unwrap_err()[0].starts_with("`path`: is missing; write the database's file"));
    }
}
