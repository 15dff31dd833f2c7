//! Options of a `postgres` source, from what is written to checked types. Every fault is found here, before a server is asked.

use std::fs;
use std::path::Path;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use crate::error::OptionFault;
use crate::options::OptionReader;
use crate::options::secret::{Secret, read_secret};

const PORT: i64 = 5432;
const SCHEMA: &str = "public";
const CONNECTIONS_MAX: i64 = 8;
const CONNECT_TIMEOUT_MS: i64 = 10_000;
/// An hour: a scan lasts as long as whoever reads it.
const STATEMENT_TIMEOUT_MS: i64 = 3_600_000;
/// A day.
const TIMEOUT_MS_MAX: i64 = 86_400_000;

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
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) database: String,
    pub(super) user: String,
    pub(super) password: Option<Secret>,
    pub(super) tls: Tls,
    /// INVARIANT: at least 2.
    pub(super) connections_max: usize,
    pub(super) connect_timeout: Duration,
    pub(super) statement_timeout: Duration,
}

/// Whether what travels is encrypted, and who is believed to be the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Tls {
    Disabled,
    /// The server's certificate is of one of these authorities and names the host.
    VerifyFull(Vec<CertificateDer<'static>>),
}

impl ServerConfig {
    /// The server as errors and logs name it.
    pub(super) fn shown(&self) -> String {
        format!("database `{}` at {}:{}", self.database, self.host, self.port)
    }
}

impl PostgresConfig {
    /// Checks `options`; relative paths start from `base`.
    pub(super) fn parse(options: &toml::Table, base: &Path) -> Result<Self, Vec<OptionFault>> {
        let mut reader = OptionReader::new(options, "");
        let server = read_server(&mut reader, base);
        let schema = reader.text("schema").unwrap_or(SCHEMA).to_owned();
        let tables = reader.texts("tables").map(|names| names.into_iter().map(str::to_owned).collect());
        if tables.as_ref().is_some_and(Vec::is_empty) {
            reader.fault("tables", "names no table; leave it out to serve all that the account may read");
        }
        match (reader.finish(), server) {
            (faults, Some(server)) if faults.is_empty() => Ok(Self { server, schema, tables }),
            (faults, _) => Err(faults),
        }
    }
}

fn read_server(reader: &mut OptionReader<'_>, base: &Path) -> Option<ServerConfig> {
    let host = reader.required_text("host", "the server's name or address");
    let port = reader.number("port", 1..=65_535).unwrap_or(PORT);
    let database = reader.required_text("database", "the database's name");
    let user = reader.required_text("user", "an account that may read and nothing else");
    let password = read_secret(reader, ["password_file", "password_env"], base).map(|(_, secret)| secret);
    let tls = read_tls(reader, base);
    // One reads; another one keeps the snapshot that all scans of a statement share.
    let connections_max = reader.number("connections_max", 2..=1_000).unwrap_or(CONNECTIONS_MAX);
    let connect_timeout = read_timeout(reader, "connect_timeout_ms", CONNECT_TIMEOUT_MS);
    let statement_timeout = read_timeout(reader, "statement_timeout_ms", STATEMENT_TIMEOUT_MS);
    Some(ServerConfig {
        host: host?.to_owned(),
        port: u16::try_from(port).ok()?,
        database: database?.to_owned(),
        user: user?.to_owned(),
        password,
        tls: tls?,
        connections_max: usize::try_from(connections_max).ok()?,
        connect_timeout,
        statement_timeout,
    })
}

fn read_timeout(reader: &mut OptionReader<'_>, key: &'static str, default_ms: i64) -> Duration {
    let timeout_ms = reader.number(key, 1..=TIMEOUT_MS_MAX).unwrap_or(default_ms);
    Duration::from_millis(timeout_ms.unsigned_abs())
}

fn read_tls(reader: &mut OptionReader<'_>, base: &Path) -> Option<Tls> {
    let authorities = reader.text("tls_ca");
    match (reader.text("tls").unwrap_or("verify-full"), authorities) {
        ("verify-full", Some(file)) => match read_authorities(&base.join(file)) {
            Ok(authorities) => Some(Tls::VerifyFull(authorities)),
            Err(fault) => {
                reader.fault("tls_ca", format!("`{file}` {fault}"));
                None
            }
        },
        ("verify-full", None) => {
            let message = "is missing; write the file (PEM) of the authority that signed the server's certificate, \
                           or `tls = \"disable\"` where nobody can listen";
            reader.fault("tls_ca", message);
            None
        }
        ("disable", None) => Some(Tls::Disabled),
        ("disable", Some(_)) => {
            reader.fault("tls_ca", "contradicts `tls = \"disable\"`: write one of them");
            None
        }
        (other, _) => {
            reader.fault("tls", format!("`{other}` is neither `verify-full` nor `disable`"));
            None
        }
    }
}

fn read_authorities(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let pem = fs::read(path).map_err(|error| format!("cannot be read: {}", error.kind()))?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    match certificates {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        _ => Err("holds no certificate in PEM form".to_owned()),
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
        assert_eq!((config.server.port, config.server.connections_max), (5432, 8));
        assert_eq!(config.server.password, None);
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
