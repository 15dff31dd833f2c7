//! Options of a `postgres` source, from what is written to checked types. Every fault is found here, before a server is asked.

use std::path::Path;

use crate::error::OptionFault;
use crate::options::OptionReader;
use crate::options::access::{Access, ServerKind};

const SCHEMA: &str = "public";
/// One connection reads; another one keeps the snapshot that all scans of a statement share.
const KIND: ServerKind = ServerKind { port: 5432, connections_min: 2 };

/// A checked source: one schema of one database.
#[derive(Debug, Clone)]
pub(super) struct PostgresConfig {
    pub(super) server: ServerConfig,
    pub(super) schema: String,
    /// The tables that are served; `None` for all that the account may read.
    pub(super) tables: Option<Vec<String>>,
}

/// How a database is reached. Sources that agree in all of it share their connections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ServerConfig {
    pub(super) database: String,
    pub(super) access: Access,
}

impl ServerConfig {
    /// The server as errors and logs name it.
    pub(super) fn shown(&self) -> String {
        format!("database `{}` of the {}", self.database, self.access.shown())
    }
}

impl PostgresConfig {
    /// Checks `options`; relative paths start from `base`.
    pub(super) fn parse(options: &toml::Table, base: &Path) -> Result<Self, Vec<OptionFault>> {
        let mut reader = OptionReader::new(options, "");
        let server = Access::read(&mut reader, base, KIND);
        let schema = reader.text("schema").unwrap_or(SCHEMA).to_owned();
        let tables = reader.texts("tables").map(|names| names.into_iter().map(str::to_owned).collect());
        if tables.as_ref().is_some_and(Vec::is_empty) {
            reader.fault("tables", "names no table; leave it out to serve all that the account may read");
        }
        match (reader.finish(), server) {
            (faults, Some((database, access))) if faults.is_empty() => {
                Ok(Self { server: ServerConfig { database, access }, schema, tables })
            }
            (faults, _) => Err(faults),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(text: &str) -> Vec<String> {
        let options = toml::from_str(text).unwrap();
        let parsed = PostgresConfig::parse(&options, Path::new("."));
        parsed.err().unwrap_or_default().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_is_left_out_is_what_the_documentation_says() {
        let text = "host = 'db'\ndatabase = 'd'\nuser = 'u'\ntls = 'disable'";
        let config = PostgresConfig::parse(&toml::from_str(text).unwrap(), Path::new(".")).unwrap();
        assert_eq!((config.schema.as_str(), config.tables), ("public", None));
        assert_eq!((config.server.access.port, config.server.access.connections_max), (5432, 8));
        assert_eq!(config.server.access.password, None);
    }

    #[test]
    fn every_fault_is_named_with_its_key() {
        let text = "host = 'db'\nport = 0\nuser = 'u'\npassword_file = '/no/such/file'\ntls = 'prefer'\n\
                    connections_max = 1\nstatement_timeout_ms = 'long'\ntables = []\npassword = 'secret'";
        let found = faults(text);
        let starts = [
            "`port`: must be a whole number from 1 to 65535",
            "`database`: is missing; write the database's name",
            "`password_file`: `/no/such/file` cannot be read",
            "`tls`: `prefer` is neither `verify-full` nor `disable`",
            "`connections_max`: must be a whole number from 2",
            "`statement_timeout_ms`: must be a whole number from 1",
            "`tables`: names no table",
            "`password`: is not an option here",
        ];
        assert_eq!(found.len(), starts.len(), "{found:?}");
        for (fault, start) in found.iter().zip(starts) {
            assert!(fault.starts_with(start), "{fault}");
        }
        assert!(!found.iter().any(|fault| fault.contains("secret")));
    }

    #[test]
    fn tls_is_on_unless_it_is_switched_off() {
        let text = "host = 'db'\ndatabase = 'd'\nuser = 'u'";
        assert!(faults(text)[0].starts_with("`tls_ca`: is missing; write the file (PEM)"));
        let both = format!("{text}\ntls = 'disable'\ntls_ca = 'ca.pem'");
        assert_eq!(faults(&both), ["`tls_ca`: contradicts `tls = \"disable\"`: write one of them"]);
        let neither = format!("{text}\ntls = 'disable'\npassword_file = 'a'\npassword_env = 'B'");
        assert_eq!(faults(&neither), ["`password_env`: contradicts `password_file`: write one of them"]);
    }
}
