//! The `[tls]` section: PEM files, read and checked against each other before a node opens its door.

use std::fmt;
use std::path::{Path, PathBuf};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

use super::raw::Section;
use crate::identity::certificate::{Certificate, is_list_signed_by};

/// The PEM files of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// `certificate`: the node's certificate chain.
    pub certificate: PathBuf,
    /// `key`: the private key of the certificate.
    pub key: PathBuf,
    /// `authority`: the certificates that sign the nodes' certificates.
    pub authority: PathBuf,
    /// `revoked`: the lists of certificates that the authority has taken back.
    pub revoked: Option<PathBuf>,
}

/// A node's certificate, its key, and the authority that nodes believe: all three known to fit together.
#[derive(Clone)]
pub struct TlsMaterial {
    /// The node's certificate chain, PEM.
    pub certificate_pem: String,
    /// The private key of the certificate, PEM. Never shown.
    pub key_pem: String,
    /// The certificates that sign the nodes' certificates, PEM.
    pub authority_pem: String,
    /// The lists of certificates that the authority has taken back.
    pub revoked: Vec<CertificateRevocationListDer<'static>>,
    /// The names that the certificate carries: as which this node is believed elsewhere.
    pub names: Vec<String>,
    /// Where it was read, and is read again when it is renewed.
    pub files: TlsFiles,
}

impl fmt::Debug for TlsMaterial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsMaterial").field("names", &self.names).finish_non_exhaustive()
    }
}

/// What is wrong, and with which key of `[tls]`.
pub type TlsFault = (&'static str, String);

impl TlsMaterial {
    /// Keys: `certificate`, `key`, `authority`, and `revoked` if there is one, each the path of a PEM file.
    pub(super) fn read(mut section: Section<'_>) -> Option<Self> {
        let files = [section.path("certificate"), section.path("key"), section.path("authority")];
        let revoked = section.optional_path("revoked");
        let mut faults = Vec::new();
        let material = Self::check(files, revoked, &mut faults);
        for (key, message) in faults {
            section.fault(key, message);
        }
        section.finish();
        material
    }

    /// Reads the files as they are now.
    ///
    /// # Errors
    /// All that is wrong with them, and with one beside the others.
    pub fn load(files: &TlsFiles) -> Result<Self, Vec<TlsFault>> {
        let mut faults = Vec::new();
        let named = [&files.certificate, &files.key, &files.authority].map(|file| Some(file.clone()));
        let material = Self::check(named, files.revoked.clone(), &mut faults);
        material.filter(|_| faults.is_empty()).ok_or(faults)
    }

    fn check(
        [certificate, key, authority]: [Option<PathBuf>; 3],
        revoked: Option<PathBuf>,
        faults: &mut Vec<TlsFault>,
    ) -> Option<Self> {
        let certificate_pem = certificate.as_deref().and_then(|path| read_file(faults, "certificate", path));
        let key_pem = key.as_deref().and_then(|path| read_file(faults, "key", path));
        let authority_pem = authority.as_deref().and_then(|path| read_file(faults, "authority", path));
        let chain = certificate_pem.as_deref().and_then(|pem| certificates(faults, "certificate", pem));
        let trusted = authority_pem.as_deref().and_then(|pem| certificates(faults, "authority", pem));
        let private = key_pem.as_deref().and_then(|pem| private_key(faults, pem));
        let names = chain.as_deref().and_then(|chain| check_certificate(faults, chain));
        if let (Some(chain), Some(trusted)) = (&chain, &trusted) {
            check_signature(faults, chain, trusted);
        }
        if let (Some(chain), Some(private)) = (chain, private) {
            check_key(faults, chain, private);
        }
        let lists = match &revoked {
            Some(path) => lists(faults, path, &trusted?),
            None => Some(Vec::new()),
        };
        let files = TlsFiles { certificate: certificate?, key: key?, authority: authority?, revoked };
        let (certificate_pem, key_pem, authority_pem) = (certificate_pem?, key_pem?, authority_pem?);
        Some(Self { certificate_pem, key_pem, authority_pem, revoked: lists?, names: names?, files })
    }
}

fn read_file(faults: &mut Vec<TlsFault>, key: &'static str, path: &Path) -> Option<String> {
    match std::fs::read_to_string(path) {
        Ok(text) => Some(text),
        Err(error) => refuse(faults, key, format!("{} cannot be read: {error}", path.display())),
    }
}

fn certificates(faults: &mut Vec<TlsFault>, key: &'static str, pem: &str) -> Option<Vec<CertificateDer<'static>>> {
    match CertificateDer::pem_slice_iter(pem.as_bytes()).collect::<Result<Vec<_>, _>>() {
        Ok(found) if !found.is_empty() => Some(found),
        Ok(_) => refuse(faults, key, "the file has no certificate (PEM, BEGIN CERTIFICATE)"),
        Err(error) => refuse(faults, key, format!("the file is not PEM: {error}")),
    }
}

/// The certificates of a PEM file of authorities, of which there is at least one.
pub(super) fn authorities(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let certificates = CertificateDer::pem_file_iter(file).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    match certificates {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        Ok(_) => Err("has no certificate".to_string()),
        Err(error) => Err(format!("cannot be read: {error}")),
    }
}

/// Lists that the authority has signed: others say nothing of its certificates.
fn lists(
    faults: &mut Vec<TlsFault>,
    path: &Path,
    trusted: &[CertificateDer<'static>],
) -> Option<Vec<CertificateRevocationListDer<'static>>> {
    let pem = read_file(faults, "revoked", path)?;
    let found = CertificateRevocationListDer::pem_slice_iter(pem.as_bytes()).collect::<Result<Vec<_>, _>>();
    match found {
        Err(error) => refuse(faults, "revoked", format!("the file is not PEM: {error}")),
        Ok(found) if found.is_empty() => {
            refuse(faults, "revoked", "the file has no list of revoked certificates (PEM, BEGIN X509 CRL)")
        }
        Ok(found) if found.iter().all(|list| trusted.iter().any(|authority| is_list_signed_by(list, authority))) => {
            Some(found)
        }
        Ok(_) => refuse(faults, "revoked", "a list is not signed by `authority`"),
    }
}

fn private_key(faults: &mut Vec<TlsFault>, pem: &str) -> Option<PrivateKeyDer<'static>> {
    // The parser's own message is left out: it may repeat bytes of the key.
    match PrivateKeyDer::from_pem_slice(pem.as_bytes()) {
        Ok(key) => Some(key),
        Err(_) => refuse(faults, "key", "the file has no private key (PEM, BEGIN PRIVATE KEY)"),
    }
}

/// The names of the node's own certificate, if it has any and is valid today.
fn check_certificate(faults: &mut Vec<TlsFault>, chain: &[CertificateDer<'static>]) -> Option<Vec<String>> {
    let Some(certificate) = chain.first().and_then(|first| Certificate::parse(first)) else {
        return refuse(faults, "certificate", "the certificate cannot be read (X.509)");
    };
    if !certificate.is_valid_now() {
        faults.push(("certificate", format!("the certificate is valid {} only", certificate.validity())));
    }
    if certificate.names().is_empty() {
        return refuse(
            faults,
            "certificate",
            "the certificate carries no DNS name, and only by one is a node believed",
        );
    }
    Some(certificate.names().to_vec())
}

fn check_signature(faults: &mut Vec<TlsFault>, chain: &[CertificateDer<'static>], trusted: &[CertificateDer<'static>]) {
    let signed = chain.last().is_some_and(|last| {
        trusted.iter().any(|authority| authority == last || crate::identity::certificate::is_signed_by(last, authority))
    });
    if !signed {
        faults.push((
            "certificate",
            "the certificate is not signed by `authority`; no other node would believe it".to_string(),
        ));
    }
}

fn check_key(faults: &mut Vec<TlsFault>, chain: Vec<CertificateDer<'static>>, key: PrivateKeyDer<'static>) {
    let provider = rustls::crypto::ring::default_provider();
    if CertifiedKey::from_der(chain, key, &provider).is_err() {
        faults.push(("key", "is not the key of `certificate`".to_string()));
    }
}

fn refuse<T>(faults: &mut Vec<TlsFault>, key: &'static str, message: impl Into<String>) -> Option<T> {
    faults.push((key, message.into()));
    None
}
