//! Where the server is and whether the way to it is encrypted: the URL of the command line, checked once.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use http::Uri;

/// The port where a coordinator serves its users.
const PORT_DEFAULT: u16 = 32_010;

/// A server's checked address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ServerAddress {
    pub(super) transport: Transport,
    host: String,
    port: u16,
}

/// How bytes travel to the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Transport {
    /// Unencrypted HTTP/2.
    Plain,
    /// HTTP/2 over TLS.
    Tls,
}

/// The coordinator that `chancery demo` starts.
impl Default for ServerAddress {
    fn default() -> Self {
        Self { transport: Transport::Plain, host: "127.0.0.1".to_owned(), port: PORT_DEFAULT }
    }
}

impl ServerAddress {
    /// The address as tonic wants it: its schemes, our host and port.
    pub(super) fn endpoint_uri(&self) -> String {
        match self.transport {
            Transport::Plain => format!("http://{}:{}", self.host, self.port),
            Transport::Tls => format!("https://{}:{}", self.host, self.port),
        }
    }

    /// Whether the server is on this machine.
    pub(super) fn is_loopback(&self) -> bool {
        let host = self.host.trim_start_matches('[').trim_end_matches(']');
        host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
    }
}

impl fmt::Display for ServerAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}", self.host, self.port)
    }
}

impl FromStr for ServerAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let with_scheme = if text.contains("://") { text.to_owned() } else { format!("grpc://{text}") };
        let uri: Uri = with_scheme.parse().map_err(|error| format!("not a URL: {error}"))?;
        let authority = uri.authority().ok_or("the URL names no host")?;
        if authority.as_str().contains('@') {
            return Err("a URL must hold no user or password; use --user".to_owned());
        }
        if !matches!(uri.path(), "" | "/") || uri.query().is_some() {
            return Err("the URL must end after the port".to_owned());
        }
        Ok(Self {
            transport: transport_of(uri.scheme_str().unwrap_or_default())?,
            host: named_host(authority.host())?,
            port: checked_port(authority)?,
        })
    }
}

fn transport_of(scheme: &str) -> Result<Transport, String> {
    match scheme {
        "grpc" | "grpc+tcp" => Ok(Transport::Plain),
        "grpc+tls" => Ok(Transport::Tls),
        other => Err(format!("unknown scheme {other}://; use grpc:// or grpc+tls://")),
    }
}

fn named_host(host: &str) -> Result<String, String> {
    if host.is_empty() {
        return Err("the URL names no host".to_owned());
    }
    Ok(host.to_owned())
}

/// The port after the host, or the default. `Authority` also answers "no port" for one it cannot read: told apart here.
fn checked_port(authority: &http::uri::Authority) -> Result<u16, String> {
    match authority.port() {
        Some(port) => Ok(port.as_u16()),
        None if authority.as_str() == authority.host() => Ok(PORT_DEFAULT),
        None => Err("the port must be a number from 1 to 65535".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expect: &str) {
        let shown = match text.parse::<ServerAddress>() {
            Ok(address) => format!("{} loopback={}", address.endpoint_uri(), address.is_loopback()),
            Err(error) => format!("error: {error}"),
        };
        assert_eq!(shown, expect, "{text}");
    }

    #[test]
    fn urls() {
        check("grpc://127.0.0.1:32010", "http://127.0.0.1:32010 loopback=true");
        check("grpc+tcp://h", "http://h:32010 loopback=false");
        check("grpc+tls://data.example:443/", "https://data.example:443 loopback=false");
        check("localhost", "http://localhost:32010 loopback=true");
        check("localhost:1", "http://localhost:1 loopback=true");
        check("[::1]:5", "http://[::1]:5 loopback=true");
        check("grpc://[::1]", "http://[::1]:32010 loopback=true");
        check("http://h", "error: unknown scheme http://; use grpc:// or grpc+tls://");
        check("grpc://a:b@h", "error: a URL must hold no user or password; use --user");
        check("grpc://h/db", "error: the URL must end after the port");
        check("grpc://h:99999", "error: the port must be a number from 1 to 65535");
        check("grpc://h:", "error: the port must be a number from 1 to 65535");
    }
}
