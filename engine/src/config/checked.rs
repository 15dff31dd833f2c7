//! The small words of a configuration as checked types: what has one of these needs no second look.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use datafusion::common::TableReference;
use reqwest::Url;

/// Names that are ours and never a site's or a source's.
const RESERVED: [&str; 3] = ["system", "information_schema", "localhost"];
const NAME_CHARACTERS_MAX: usize = 63;

/// A name that is written in SQL without quotes: lower-case letters of any script, digits, underscores.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identifier(String);

impl Identifier {
    /// Checks a name; the error says what to write instead.
    pub fn parse(text: &str) -> Result<Self, String> {
        let lower = text.to_lowercase();
        if RESERVED.contains(&lower.as_str()) {
            return Err(format!("`{text}` is reserved; choose another name"));
        }
        if text.chars().count() > NAME_CHARACTERS_MAX {
            return Err(format!("a name has at most {NAME_CHARACTERS_MAX} characters"));
        }
        let starts_well = text.chars().next().is_some_and(|first| first.is_alphabetic() || first == '_');
        if !starts_well || !text.chars().all(|one| one.is_alphanumeric() || one == '_') {
            return Err(format!("`{text}` is no name: letters, digits and underscores, starting with a letter"));
        }
        if lower != text {
            return Err(format!("SQL folds names to lower case: write `{lower}`"));
        }
        Ok(Self(lower))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Identifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A table written in full, `catalog.schema.table`; parts in double quotes keep their case.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TableName {
    /// The site, or the catalog of a regional table.
    pub catalog: String,
    /// The source.
    pub schema: String,
    /// The table.
    pub table: String,
}

impl TableName {
    /// Checks a name; the error says what to write instead.
    pub fn parse(text: &str) -> Result<Self, String> {
        match TableReference::parse_str(text) {
            TableReference::Full { catalog, schema, table }
                if ![&catalog, &schema, &table].iter().any(|part| part.is_empty()) =>
            {
                Ok(Self { catalog: catalog.to_string(), schema: schema.to_string(), table: table.to_string() })
            }
            _ => Err(format!("`{text}` is not a table in full: write catalog.schema.table")),
        }
    }

    /// The name as DataFusion has it.
    pub fn to_reference(&self) -> TableReference {
        TableReference::full(self.catalog.as_str(), self.schema.as_str(), self.table.as_str())
    }
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_reference().to_quoted_string())
    }
}

/// Where a site is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SiteUrl {
    uri: http::Uri,
    loopback: bool,
}

impl SiteUrl {
    /// Checks `https://host:port`: nodes know each other by their certificates. The error says what to write instead.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no address of a site: write https://host:port");
        let uri: http::Uri = text.parse().map_err(|_| wrong())?;
        match uri.scheme_str() {
            Some("https") => {}
            Some("http") => return Err("nodes know each other by certificates: write https://host:port".to_string()),
            _ => return Err(wrong()),
        }
        let host = uri.host().filter(|host| !host.is_empty()).ok_or_else(wrong)?;
        let has_user = uri.authority().is_some_and(|authority| authority.as_str().contains('@'));
        if uri.port_u16().is_none() || has_user || !matches!(uri.path(), "" | "/") || uri.query().is_some() {
            return Err(wrong());
        }
        let loopback = is_loopback(host);
        Ok(Self { uri, loopback })
    }

    /// The address as a URI.
    pub fn uri(&self) -> &http::Uri {
        &self.uri
    }

    /// The site's door as clients write it.
    pub fn door(&self) -> String {
        format!("grpc+tls://{}", self.uri.authority().map_or("", |authority| authority.as_str()))
    }

    /// Whether the site is on this machine.
    pub fn is_loopback(&self) -> bool {
        self.loopback
    }
}

impl fmt::Display for SiteUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.uri.fmt(f)
    }
}

/// How record batches from a site are compressed on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WireCompression {
    /// Not at all.
    None,
    /// LZ4: cheap.
    Lz4,
    /// Zstandard: small.
    Zstd,
}

impl WireCompression {
    /// The name, as on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }

    /// Checks a name; `auto` saves bytes where there is a network, and time where there is none.
    pub(super) fn parse(text: &str, loopback: impl FnOnce() -> bool) -> Result<Self, String> {
        match text {
            "auto" if loopback() => Ok(Self::None),
            "auto" | "zstd" => Ok(Self::Zstd),
            "lz4" => Ok(Self::Lz4),
            "none" => Ok(Self::None),
            _ => Err(format!("unknown compression `{text}`; known: auto, none, lz4, zstd")),
        }
    }
}

/// Whether the address is asked in plain text, and on this machine, where nobody reads along.
pub(crate) fn is_plain_here(address: &Url) -> bool {
    let is_here = match address.host_str() {
        Some("localhost") => true,
        Some(host) => {
            let host = host.trim_start_matches('[').trim_end_matches(']');
            host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
        }
        None => false,
    };
    address.scheme() == "http" && is_here
}

/// Checks an address to listen on. Names are not resolved, but for `localhost`.
pub(super) fn parse_listen(text: &str) -> Result<SocketAddr, String> {
    if let Some(port) = text.strip_prefix("localhost:").and_then(|port| port.parse().ok()) {
        return Ok(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port));
    }
    text.parse().map_err(|_| {
        format!(
            "`{text}` is no address to listen on: write address:port, as 127.0.0.1:32010, 0.0.0.0:32010 or [::1]:32010"
        )
    })
}

fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for good in ["bts", "north_2", "海关", "_x", "été"] {
            assert_eq!(Identifier::parse(good).unwrap().as_str(), good);
        }
        for bad in ["", "2x", "a-b", "a.b", "BTS", "system", "Information_Schema", "a b", &"x".repeat(64)] {
            Identifier::parse(bad).unwrap_err();
        }
    }

    #[test]
    fn tables_in_full() {
        let name = TableName::parse("north.civil.\"My Table\"").unwrap();
        assert_eq!((name.catalog.as_str(), name.table.as_str()), ("north", "My Table"));
        assert_eq!(TableName::parse(&name.to_string()).unwrap(), name);
        for bad in ["people", "civil.people", "a.b.c.d", "a..c", ""] {
            TableName::parse(bad).unwrap_err();
        }
    }

    #[test]
    fn addresses_of_sites() {
        assert!(SiteUrl::parse("https://[::1]:1").unwrap().is_loopback());
        assert!(!SiteUrl::parse("https://bts.example:32011").unwrap().is_loopback());
        assert_eq!(SiteUrl::parse("https://bts.example:32011/").unwrap().door(), "grpc+tls://bts.example:32011");
        for bad in [
            "bts:1",
            "https://bts",
            "ftp://bts:1",
            "https://bts:1/x",
            "https://u@bts:1",
            "https://bts:1?q",
            "http://[::1]:1",
            "",
        ] {
            SiteUrl::parse(bad).unwrap_err();
        }
    }

    #[test]
    fn compression_goes_by_distance() {
        assert_eq!(WireCompression::parse("auto", || true), Ok(WireCompression::None));
        assert_eq!(WireCompression::parse("auto", || false), Ok(WireCompression::Zstd));
        WireCompression::parse("gzip", || false).unwrap_err();
    }

    #[test]
    fn addresses_to_listen_on() {
        assert!(parse_listen("localhost:0").unwrap().ip().is_loopback());
        assert!(parse_listen("[::1]:5").unwrap().ip().is_loopback());
        parse_listen("bts.example:5").unwrap_err();
        parse_listen("127.0.0.1").unwrap_err();
    }
}
