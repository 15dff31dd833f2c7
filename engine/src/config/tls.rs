//! The `[tls]` section: three PEM files, read and checked against each other before a node opens its door.

use std::fmt;
use std::path::Path;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

use super::raw::Section;
use crate::identity::certificate::Certificate;

/// A node's certificate, its key, and the authority that nodes believe: all three known to fit together.
#[derive(Clone)]
pub struct TlsMaterial {
    /// The node's certificate chain, PEM.
    pub certificate_pem: String,
    /// The private key of the certificate, PEM. Never shown.
    pub key_pem: String,
    /// The certificates that sign the nodes' certificates, PEM.
    pub authority_pem: String,
    /// The names that the certificate carries: as which this node is believed elsewhere.
    pub names: Vec<String>,
}

impl fmt::Debug for TlsMaterial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsMaterial").field("names", &self.names).finish_non_exhaustive()
    }
}

impl TlsMaterial {
    /// Keys: `certificate`, `key`, `authority`, each the path of a PEM file.
    pub(super) fn read(mut section: Section<'_>) -> Option<Self> {
        let certificate = read_file(&mut section, "certificate");
        let key = read_file(&mut section, "key");
        let authority = read_file(&mut section, "authority");
        let chain = certificate.as_deref().and_then(|pem| certificates(&section, "certificate", pem));
        let trusted = authority.as_deref().and_then(|pem| certificates(&section, "authority", pem));
        let private = key.as_deref().and_then(|pem| private_key(&section, pem));
        let names = chain.as_deref().and_then(|chain| check_certificate(&section, chain));
        if let (Some(chain), Some(trusted)) = (&chain, &trusted) {
            check_signature(&section, chain, trusted);
        }
        if let (Some(chain), Some(private)) = (chain, private) {
            check_key(&section, chain, private);
        }
        section.finish();
        Some(Self { certificate_pem: certificate?, key_pem: key?, authority_pem: authority?, names: names? })
    }
}

fn read_file(section: &mut Section<'_>, key: &'static str) -> Option<String> {
    let path = section.path(key)?;
    match read_text(&path) {
        Ok(text) => Some(text),
        Err(message) => {
            section.fault(key, message);
            None
        }
    }
}

fn read_text(path: &Path) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|error| format!("{} cannot be read: {error}", path.display()))
}

fn certificates(section: &Section<'_>, key: &str, pem: &str) -> Option<Vec<CertificateDer<'static>>> {
    match CertificateDer::pem_slice_iter(pem.as_bytes()).collect::<Result<Vec<_>, _>>() {
        Ok(found) if !found.is_empty() => Some(found),
        Ok(_) => refuse(section, key, "the file has no certificate (PEM, BEGIN CERTIFICATE)"),
        Err(error) => refuse(section, key, format!("the file is not PEM: {error}")),
    }
}

fn private_key(section: &Section<'_>, pem: &str) -> Option<PrivateKeyDer<'static>> {
    // The parser's own message is left out: it may repeat bytes of the key.
    match PrivateKeyDer::from_pem_slice(pem.as_bytes()) {
        Ok(key) => Some(key),
        Err(_) => refuse(section, "key", "the file has no private key (PEM, BEGIN PRIVATE KEY)"),
    }
}

/// The names of the node's own certificate, if it has any and is valid today.
fn check_certificate(section: &Section<'_>, chain: &[CertificateDer<'static>]) -> Option<Vec<String>> {
    let Some(certificate) = chain.first().and_then(|first| Certificate::parse(first)) else {
        return refuse(section, "certificate", "the certificate cannot be read (X.509)");
    };
    if !certificate.is_valid_now() {
        section.fault("certificate", format!("the certificate is valid {} only", certificate.validity()));
    }
    if certificate.names().is_empty() {
        return refuse(
            section,
            "certificate",
            "the certificate carries no DNS name, and only by one is a node believed",
        );
    }
    Some(certificate.names().to_vec())
}

fn check_signature(section: &Section<'_>, chain: &[CertificateDer<'static>], trusted: &[CertificateDer<'static>]) {
    let signed = chain.last().is_some_and(|last| {
        trusted.iter().any(|authority| authority == last || crate::identity::certificate::is_signed_by(last, authority))
    });
    if !signed {
        section.fault("certificate", "the certificate is not signed by `authority`; no other node would believe it");
    }
}

fn check_key(section: &Section<'_>, chain: Vec<CertificateDer<'static>>, key: PrivateKeyDer<'static>) {
    let provider = rustls::crypto::ring::default_provider();
    if CertifiedKey::from_der(chain, key, &provider).is_err() {
        section.fault("key", "is not the key of `certificate`");
    }
}

fn refuse<T>(section: &Section<'_>, key: &str, message: impl Into<String>) -> Option<T> {
    section.fault(key, message);
    None
}
