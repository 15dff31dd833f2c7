//! Options of a `flight_sql` source, from what is written to checked types. Every fault is found here, before a server is asked.

use std::fs;
use std::path::Path;
use std::time::Duration;

use tonic::metadata::{AsciiMetadataKey, AsciiMetadataValue};

use super::address::Address;
use crate::error::OptionFault;
use crate::options::OptionReader;
use crate::options::secret::{SecretPlace, read_secret};
use crate::statement::ForeignEngine;

const CONNECT_TIMEOUT_MS: i64 = 10_000;
const REQUEST_TIMEOUT_MS: i64 = 60_000;
/// An hour: a scan lasts as long as whoever reads it.
const STATEMENT_TIMEOUT_MS: i64 = 3_600_000;
/// A day.
const TIMEOUT_MS_MAX: i64 = 86_400_000;
/// Headers that are ours to send, or the protocol's.
const HEADERS_TAKEN: [&str; 4] = ["authorization", "content-type", "te", "user-agent"];

/// A checked source: one schema of a server.
#[derive(Debug, Clone)]
pub(super) struct FlightSqlConfig {
    pub(super) server: ServerConfig,
    pub(super) catalog: Option<String>,
    pub(super) schema: Option<String>,
    /// The tables that are served; `None` for all that the server lists.
    pub(super) tables: Option<Vec<String>>,
}

/// How a server is reached. Sources that agree in all of it share a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ServerConfig {
    pub(super) address: Address,
    /// There if the address is one of TLS.
    pub(super) tls: Option<Tls>,
    pub(super) account: Account,
    pub(super) headers: Vec<(AsciiMetadataKey, AsciiMetadataValue)>,
    pub(super) engine: ForeignEngine,
    pub(super) connect_timeout: Duration,
    pub(super) request_timeout: Duration,
    pub(super) statement_timeout: Duration,
}

/// Who is believed to be the server, and who we are by certificate; all as PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tls {
    pub(super) authority: Vec<u8>,
    pub(super) identity: Option<Identity>,
}

/// A certificate and its key.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) certificate: Vec<u8>,
    pub(super) key: Vec<u8>,
}

/// Who we are by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Account {
    /// Nobody.
    None,
    /// A user with a password.
    User { name: String, password: SecretPlace },
    /// The bearer of a token.
    Token(SecretPlace),
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("…")
    }
}

impl FlightSqlConfig {
    /// Checks `options`; relative paths start from `base`.
    pub(super) fn parse(options: &toml::Table, base: &Path) -> Result<Self, Vec<OptionFault>> {
        let mut reader = OptionReader::new(options, "");
        let server = read_server(&mut reader, base);
        let catalog = reader.text("catalog").map(str::to_owned);
        let schema = reader.text("schema").map(str::to_owned);
        let tables = reader.texts("tables").map(|names| names.into_iter().map(str::to_owned).collect());
        if tables.as_ref().is_some_and(Vec::is_empty) {
            reader.fault("tables", "names no table; leave it out to serve all that the server lists");
        }
        match (reader.finish(), server) {
            (faults, Some(server)) if faults.is_empty() => Ok(Self { server, catalog, schema, tables }),
            (faults, _) => Err(faults),
        }
    }
}

fn read_server(reader: &mut OptionReader<'_>, base: &Path) -> Option<ServerConfig> {
    let address = read_address(reader);
    let tls = read_tls(reader, base, address.as_ref());
    let account = read_account(reader, base);
    let headers = read_headers(reader);
    let engine = read_engine(reader);
    let connect_timeout = reader.timeout("connect_timeout_ms", TIMEOUT_MS_MAX, CONNECT_TIMEOUT_MS);
    let request_timeout = reader.timeout("request_timeout_ms", TIMEOUT_MS_MAX, REQUEST_TIMEOUT_MS);
    let statement_timeout = reader.timeout("statement_timeout_ms", TIMEOUT_MS_MAX, STATEMENT_TIMEOUT_MS);
    Some(ServerConfig {
        address: address?,
        tls: tls?,
        account: account?,
        headers,
        engine: engine?,
        connect_timeout,
        request_timeout,
        statement_timeout,
    })
}

fn read_address(reader: &mut OptionReader<'_>) -> Option<Address> {
    let text = reader.required_text("url", "`grpc+tls://host:port`, or `grpc://host:port` where nobody can listen")?;
    match text.parse() {
        Ok(address) => Some(address),
        Err(fault) => {
            reader.fault("url", fault);
            None
        }
    }
}

/// `Some(None)` for a server that is reached in the clear.
fn read_tls(reader: &mut OptionReader<'_>, base: &Path, address: Option<&Address>) -> Option<Option<Tls>> {
    let authority = read_pem(reader, base, "tls_ca", "CERTIFICATE");
    let certificate = read_pem(reader, base, "tls_certificate", "CERTIFICATE");
    let key = read_pem(reader, base, "tls_key", "PRIVATE KEY");
    for (one, other) in [("tls_certificate", "tls_key"), ("tls_key", "tls_certificate")] {
        if reader.has(one) && !reader.has(other) {
            reader.fault(one, format!("is of no use without `{other}`"));
        }
    }
    if !address?.is_encrypted() {
        for key in ["tls_ca", "tls_certificate", "tls_key"] {
            if reader.has(key) {
                reader.fault(key, "contradicts the `url`, which is not `grpc+tls://`");
            }
        }
        return Some(None);
    }
    if !reader.has("tls_ca") {
        let message = "is missing; write the file (PEM) of the authority that signed the server's certificate";
        reader.fault("tls_ca", message);
    }
    let identity = certificate.zip(key).map(|(certificate, key)| Identity { certificate, key });
    Some(Some(Tls { authority: authority?, identity }))
}

fn read_pem(reader: &mut OptionReader<'_>, base: &Path, key: &'static str, holds: &str) -> Option<Vec<u8>> {
    let file = reader.text(key)?;
    let pem = match fs::read(base.join(file)) {
        Ok(pem) => pem,
        Err(error) => {
            reader.fault(key, format!("`{file}` cannot be read: {}", error.kind()));
            return None;
        }
    };
    // What stands between the marks, the server's handshake finds out.
    let mark = format!("{holds}-----");
    if String::from_utf8_lossy(&pem).lines().any(|line| line.starts_with("-----BEGIN ") && line.ends_with(&mark)) {
        return Some(pem);
    }
    reader.fault(key, format!("`{file}` holds no {} in PEM form", holds.to_lowercase()));
    None
}

fn read_account(reader: &mut OptionReader<'_>, base: &Path) -> Option<Account> {
    let user = reader.text("user");
    let password = read_secret(reader, ["password_file", "password_env"], base);
    let token = read_secret(reader, ["token_file", "token_env"], base);
    let has_password = reader.has("password_file") || reader.has("password_env");
    let has_token = reader.has("token_file") || reader.has("token_env");
    match (user, has_password, has_token) {
        (None, false, false) => Some(Account::None),
        (None, false, true) => token.map(|(place, _)| Account::Token(place)),
        (Some(name), true, false) => {
            password.map(|(place, _)| Account::User { name: name.to_owned(), password: place })
        }
        (Some(_), _, true) => {
            reader.fault("user", "contradicts the token: write one of them");
            None
        }
        (Some(_), false, false) => {
            reader.fault("user", "has no password; write `password_file` or `password_env`");
            None
        }
        (None, true, _) => {
            reader.fault("user", "is missing; write the account that the password is of");
            None
        }
    }
}

fn read_headers(reader: &mut OptionReader<'_>) -> Vec<(AsciiMetadataKey, AsciiMetadataValue)> {
    let mut headers = Vec::new();
    for (name, value) in reader.text_by_name("headers").unwrap_or_default() {
        let lower = name.to_lowercase();
        let is_taken = HEADERS_TAKEN.contains(&lower.as_str()) || lower.starts_with("grpc-");
        match (lower.parse::<AsciiMetadataKey>(), value.parse::<AsciiMetadataValue>()) {
            _ if is_taken => reader.fault("headers", format!("`{name}` is not free to be set")),
            (Ok(name), Ok(value)) if value.to_str().is_ok() => headers.push((name, value)),
            (Err(_), _) => reader.fault("headers", format!("`{name}` is not the name of a header of text")),
            (_, _) => reader.fault("headers", format!("the value of `{name}` has other than visible ASCII")),
        }
    }
    headers
}

fn read_engine(reader: &mut OptionReader<'_>) -> Option<ForeignEngine> {
    match reader.text("engine") {
        None => Some(ForeignEngine::Unknown),
        Some("datafusion") => Some(ForeignEngine::DataFusion),
        Some(other) => {
            let message = format!("`{other}` is not known; write `datafusion` if the server runs on it, else nothing");
            reader.fault("engine", message);
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(text: &str) -> Vec<String> {
        let parsed = FlightSqlConfig::parse(&toml::from_str(text).unwrap(), Path::new("."));
        parsed.err().unwrap_or_default().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_is_left_out_is_what_the_documentation_says() {
        let options = toml::from_str("url = 'grpc://lake:32010'").unwrap();
        let config = FlightSqlConfig::parse(&options, Path::new(".")).unwrap();
        assert_eq!((config.catalog, config.schema, config.tables), (None, None, None));
        assert_eq!((config.server.account, config.server.engine), (Account::None, ForeignEngine::Unknown));
        assert_eq!(config.server.tls, None);
    }

    #[test]
    fn every_fault_is_named_with_its_key() {
        let text = "url = 'http://lake'\nuser = 'u'\npassword_file = '/no/such/file'\ntables = []\nengine = 'duckdb'\n\
                    request_timeout_ms = 0\npassword = 'secret'\n\
                    headers = { authorization = 'a', 'grpc-timeout' = '1', 'x-bin' = 'b', 'x-a' = 'ä' }";
        let found = faults(text);
        let starts = [
            "`url`: `http` is not a scheme",
            "`password_file`: `/no/such/file` cannot be read",
            "`headers`: `authorization` is not free",
            "`headers`: `grpc-timeout` is not free",
            "`headers`: the value of `x-a`",
            "`headers`: `x-bin` is not the name",
            "`engine`: `duckdb` is not known",
            "`request_timeout_ms`: must be a whole number from 1",
            "`tables`: names no table",
            "`password`: is not an option here",
        ];
        assert_eq!(found.len(), starts.len(), "{found:#?}");
        for (fault, start) in found.iter().zip(starts) {
            assert!(fault.starts_with(start), "{fault}");
        }
        assert!(!found.iter().any(|fault| fault.contains("secret")));
    }

    #[test]
    fn one_account_and_one_way() {
        let check = |text: &str, expect: &[&str]| {
            let found = faults(&format!("url = 'grpc://lake:1'\n{text}"));
            assert_eq!(found, expect, "{text}");
        };
        check("user = 'u'", &["`user`: has no password; write `password_file` or `password_env`"]);
        check(
            "tls_certificate = '/no'",
            &[
                "`tls_certificate`: `/no` cannot be read: entity not found",
                "`tls_certificate`: is of no use without `tls_key`",
                "`tls_certificate`: contradicts the `url`, which is not `grpc+tls://`",
            ],
        );
        let encrypted = faults("url = 'grpc+tls://lake:1'");
        assert_eq!(encrypted.len(), 1);
        assert!(encrypted[0].starts_with("`tls_ca`: is missing"), "{encrypted:?}");
    }
}
