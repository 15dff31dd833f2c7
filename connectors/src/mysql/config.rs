//! Options of a `mysql` source, from what is written to checked types. Every fault is found here, before a server is asked.

use std::path::Path;

use crate::error::OptionFault;
use crate::options::OptionReader;
use crate::options::access::{Access, ServerKind};

const KIND: ServerKind = ServerKind { port: 3306, connections_min: 1 };

/// A checked source: one database of a server.
#[derive(Debug, Clone)]
pub(super) struct MysqlConfig {
    pub(super) access: Access,
    pub(super) database: String,
    /// The tables that are served; `None` for all that the account may read.
    pub(super) tables: Option<Vec<String>>,
    /// Whether a `tinyint(1)` is true or false, and not a number.
    pub(super) tinyint1_is_boolean: bool,
    /// Whether every write of the server is in its own binary log, so that snapshots at one place of the log are one.
    pub(super) share_snapshots: bool,
}

impl MysqlConfig {
    /// Checks `options`; relative paths start from `base`.
    pub(super) fn parse(options: &toml::Table, base: &Path) -> Result<Self, Vec<OptionFault>> {
        let mut reader = OptionReader::new(options, "");
        let server = Access::read(&mut reader, base, KIND);
        let tables = reader.texts("tables").map(|names| names.into_iter().map(str::to_owned).collect());
        if tables.as_ref().is_some_and(Vec::is_empty) {
            reader.fault("tables", "names no table; leave it out to serve all that the account may read");
        }
        let tinyint1_is_boolean = reader.flag("tinyint1_is_boolean").unwrap_or(true);
        let share_snapshots = reader.flag("share_snapshots").unwrap_or(false);
        match (reader.finish(), server) {
            (faults, Some((database, access))) if faults.is_empty() => {
                Ok(Self { access, database, tables, tinyint1_is_boolean, share_snapshots })
            }
            (faults, _) => Err(faults),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<MysqlConfig, Vec<String>> {
        let parsed = MysqlConfig::parse(&toml::from_str(text).unwrap(), Path::new("."));
        parsed.map_err(|faults| faults.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn what_is_left_out_is_what_the_documentation_says() {
        let config = parsed("host = 'db'\ndatabase = 'd'\nuser = 'u'\ntls = 'disable'").unwrap();
        assert_eq!((config.access.port, config.access.connections_max), (3306, 8));
        assert_eq!((config.database.as_str(), config.tables, config.tinyint1_is_boolean), ("d", None, true));
        assert!(!config.share_snapshots);
    }

    #[test]
    fn every_fault_is_named_with_its_key() {
        let found = parsed("host = 'db'\nuser = 'u'\nschema = 's'\nconnections_max = 0\ntinyint1_is_boolean = 1");
        let starts = [
            "`database`: is missing; write the database's name",
            "`tls_ca`: is missing; write the file (PEM)",
            "`connections_max`: must be a whole number from 1",
            "`tinyint1_is_boolean`: must be `true` or `false`",
            "`schema`: is not an option here",
        ];
        let found = found.unwrap_err();
        assert_eq!(found.len(), starts.len(), "{found:?}");
        for (fault, start) in found.iter().zip(starts) {
            assert!(fault.starts_with(start), "{fault}");
        }
    }
}
