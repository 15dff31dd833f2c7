//! How a database server is reached, as the options of a source tell it: address, account, TLS and the limits towards it.

use std::fs;
use std::path::Path;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::OptionReader;
use super::secret::{Secret, read_secret};

const CONNECTIONS_MAX: i64 = 8;
const CONNECT_TIMEOUT_MS: i64 = 10_000;
/// An hour: a scan lasts as long as whoever reads it.
const STATEMENT_TIMEOUT_MS: i64 = 3_600_000;
/// A day.
const TIMEOUT_MS_MAX: i64 = 86_400_000;

/// How a server is reached. Sources that agree in all of it can share their connections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Access {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) user: String,
    pub(crate) password: Option<Secret>,
    pub(crate) tls: Tls,
    /// INVARIANT: at least [`ServerKind::connections_min`].
    pub(crate) connections_max: usize,
    pub(crate) connect_timeout: Duration,
    pub(crate) statement_timeout: Duration,
}

/// What kinds of servers differ in.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ServerKind {
    pub(crate) port: i64,
    pub(crate) connections_min: i64,
}

/// Whether what travels is encrypted, and who is believed to be the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Tls {
    Disabled,
    /// The server's certificate is of one of these authorities and names the host.
    VerifyFull(Vec<CertificateDer<'static>>),
}

impl Access {
    /// Reads how a server is reached, and the name of the database there; nothing if an option that is needed is wrong.
    pub(crate) fn read(reader: &mut OptionReader<'_>, base: &Path, kind: ServerKind) -> Option<(String, Self)> {
        let host = reader.required_text("host", "the server's name or address");
        let port = reader.number("port", 1..=65_535).unwrap_or(kind.port);
        let database = reader.required_text("database", "the database's name");
        let user = reader.required_text("user", "an account that may read and nothing else");
        let password = read_secret(reader, ["password_file", "password_env"], base).map(|(_, secret)| secret);
        let tls = read_tls(reader, base);
        let connections_max = reader.number("connections_max", kind.connections_min..=1_000).unwrap_or(CONNECTIONS_MAX);
        let connect_timeout = reader.timeout("connect_timeout_ms", TIMEOUT_MS_MAX, CONNECT_TIMEOUT_MS);
        let statement_timeout = reader.timeout("statement_timeout_ms", TIMEOUT_MS_MAX, STATEMENT_TIMEOUT_MS);
        let access = Self {
            host: host?.to_owned(),
            port: u16::try_from(port).ok()?,
            user: user?.to_owned(),
            password,
            tls: tls?,
            connections_max: usize::try_from(connections_max).ok()?,
            connect_timeout,
            statement_timeout,
        };
        Some((database?.to_owned(), access))
    }

    /// The server as errors and logs name it.
    pub(crate) fn shown(&self) -> String {
        format!("server at {}:{}", self.host, self.port)
    }
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

/// The certificates of the authorities in a file (PEM); else what is wrong with it, to stand after its name.
pub(crate) fn read_authorities(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let pem = fs::read(path).map_err(|error| format!("cannot be read: {}", error.kind()))?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    match certificates {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        _ => Err("holds no certificate in PEM form".to_owned()),
    }
}
