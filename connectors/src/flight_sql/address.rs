//! Where a server is, as its URL tells; and whether another URL is of the same one.

use std::fmt;
use std::str::FromStr;

use url::Url;

/// What a server writes for "by the connection that you have".
const REUSE_CONNECTION: &str = "arrow-flight-reuse-connection";

/// A server's checked address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Address {
    is_encrypted: bool,
    /// In lower case; one of IPv6 in brackets.
    host: String,
    port: u16,
}

impl Address {
    /// Whether it is reached over TLS.
    pub(super) fn is_encrypted(&self) -> bool {
        self.is_encrypted
    }

    /// As HTTP/2 wants it.
    pub(super) fn http_url(&self) -> String {
        let scheme = if self.is_encrypted { "https" } else { "http" };
        format!("{scheme}://{}:{}", self.host, self.port)
    }

    /// Whether `location`, of an endpoint, is this very server: the same host and port, or the connection that there is.
    pub(super) fn is_of_the_same_server(&self, location: &str) -> bool {
        match Url::parse(location) {
            Ok(url) if url.scheme() == REUSE_CONNECTION => true,
            _ => location.parse::<Self>().is_ok_and(|other| other.host == self.host && other.port == self.port),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:{}", self.host, self.port)
    }
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let url = Url::parse(text).map_err(|error| format!("is not a URL: {error}"))?;
        let is_encrypted = match url.scheme() {
            "grpc" | "grpc+tcp" => false,
            "grpc+tls" => true,
            other => return Err(format!("`{other}` is not a scheme of Flight; write `grpc+tls://` or `grpc://`")),
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err("holds an account; write `user` and `password_file`".to_owned());
        }
        if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
            return Err("must end after the port".to_owned());
        }
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or("names no host")?;
        let port = url.port().ok_or("names no port; write it after the host")?;
        Ok(Self { is_encrypted, host: host.to_lowercase(), port })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expect: Result<&str, &str>) {
        let came = text.parse::<Address>().map(|address| address.http_url());
        assert_eq!(came.as_deref().map_err(String::as_str), expect, "{text}");
    }

    #[test]
    fn urls_of_servers() {
        check("grpc://Lake.example:32010", Ok("http://lake.example:32010"));
        check("grpc+tls://[::1]:1/", Ok("https://[::1]:1"));
        check("grpc+tcp://127.0.0.1:5", Ok("http://127.0.0.1:5"));
        check("grpc://lake", Err("names no port; write it after the host"));
        check("grpc://:5", Err("is not a URL: empty host"));
        check("grpc://a:b@lake:5", Err("holds an account; write `user` and `password_file`"));
        check("grpc://lake:5/db", Err("must end after the port"));
        check("lake:5", Err("`lake` is not a scheme of Flight; write `grpc+tls://` or `grpc://`"));
    }

    #[test]
    fn only_the_same_server_is_the_same() {
        let address: Address = "grpc+tls://lake:5".parse().unwrap();
        for same in ["grpc+tls://LAKE:5", "grpc://lake:5", "arrow-flight-reuse-connection://?"] {
            assert!(address.is_of_the_same_server(same), "{same}");
        }
        for other in ["grpc+tls://lake:6", "grpc+tls://lake.example:5", "http://lake:5", "grpc+unix:///a", "", "lake:5"]
        {
            assert!(!address.is_of_the_same_server(other), "{other}");
        }
    }
}
