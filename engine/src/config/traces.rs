//! `[traces]`: the collector to which a node sends the spans of its statements. Without it a trace is in the log alone.

use std::path::Path;

use reqwest::Url;

use super::checked::is_plain_here;
use super::node::checked;
use super::raw::Section;
use super::tls::authorities;

/// A checked `[traces]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TracesConfig {
    /// `endpoint`: where the collector takes OTLP over gRPC.
    pub endpoint: Url,
    /// `tls_ca`: who is believed about the collector's certificate, PEM; `None` where it is asked in plain text.
    pub authority: Option<String>,
}

impl TracesConfig {
    /// Reads the section. Spans tell how many rows statements take: they leave the machine in plain text only where the
    /// configuration says so.
    pub(super) fn read(mut section: Section<'_>) -> Option<Self> {
        let endpoint = section.text("endpoint").and_then(|text| checked(&section, "endpoint", parse(&text)));
        let authority = section.optional_path("tls_ca");
        let plaintext = section.flag("plaintext");
        let authority = match (&endpoint, authority) {
            (Some(endpoint), None) if endpoint.scheme() == "https" => {
                section.fault("tls_ca", "is missing: a PEM file of who signs the collector's certificate");
                None
            }
            (Some(endpoint), Some(_)) if endpoint.scheme() == "http" => {
                section.fault("tls_ca", "is for https; `endpoint` is asked in plain text");
                None
            }
            (_, file) => file.and_then(|file| checked(&section, "tls_ca", read_authority(&file))),
        };
        if let Some(endpoint) = endpoint.as_ref().filter(|endpoint| !plaintext && leaves_in_plain_text(endpoint)) {
            section.fault(
                "endpoint",
                format!(
                    "to {endpoint} spans would cross the network in plain text, and they tell how many rows statements \
                     take: write https, or plaintext = true where nobody else listens"
                ),
            );
        }
        section.finish();
        Some(Self { endpoint: endpoint?, authority })
    }
}

fn parse(text: &str) -> Result<Url, String> {
    // What is written may have a password in it.
    let wrong =
        || "is no collector: write where it takes OTLP over gRPC, as https://collector.example:4317".to_string();
    let endpoint = Url::parse(text).map_err(|_| wrong())?;
    let is_root = endpoint.path() == "/" && endpoint.query().is_none() && endpoint.fragment().is_none();
    let names_nobody = endpoint.username().is_empty() && endpoint.password().is_none();
    let is_ours = matches!(endpoint.scheme(), "http" | "https") && endpoint.has_host() && is_root && names_nobody;
    if is_ours { Ok(endpoint) } else { Err(wrong()) }
}

fn leaves_in_plain_text(endpoint: &Url) -> bool {
    endpoint.scheme() == "http" && !is_plain_here(endpoint)
}

fn read_authority(file: &Path) -> Result<String, String> {
    authorities(file)?;
    std::fs::read_to_string(file).map_err(|error| format!("cannot be read: {error}"))
}
