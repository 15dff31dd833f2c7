//! `chancery certs init`: a development authority and the nodes' certificates, all in one directory.
//!
//! `authority.crt` and `authority.key` sign one `<node>.crt` and `<node>.key` for each node. What is there stays: an
//! authority is never made twice, and only missing nodes are added.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, DnsName, ServerName};

use super::certificate::{Certificate, is_signed_by};
use super::files;
use crate::error::{Code, EngineError, Result};

pub(super) const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const AUTHORITY: &str = "authority";
pub(super) const AUTHORITY_DAYS: u32 = 3_650;
/// Clocks of machines differ; a certificate made here must be valid there at once.
pub(super) const CLOCK_SKEW: Duration = Duration::from_secs(60 * 60);

/// How many days a node's certificate is valid unless said otherwise.
pub const NODE_DAYS: u32 = 365;

/// A node's name and its other names: `NAME`, or `NAME:OTHER,OTHER…` (DNS names or IP addresses).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeName {
    name: String,
    others: Vec<String>,
}

impl NodeName {
    /// The node's own name, by which it is believed.
    pub fn as_str(&self) -> &str {
        &self.name
    }

    /// All names of the certificate: its own, the machine's, and the given ones.
    fn all(&self) -> Vec<String> {
        let machine = ["localhost".to_string(), Ipv4Addr::LOCALHOST.to_string(), Ipv6Addr::LOCALHOST.to_string()];
        let mut all = vec![self.name.clone()];
        for name in machine.into_iter().chain(self.others.iter().cloned()) {
            if !all.contains(&name) {
                all.push(name);
            }
        }
        all
    }
}

impl FromStr for NodeName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, others) = text.split_once(':').unwrap_or((text, ""));
        if DnsName::try_from(name).is_err() || name.ends_with('.') {
            return Err(format!(
                "`{name}` cannot be a node's name in a certificate: ASCII letters, digits, `-` and `_`"
            ));
        }
        if [AUTHORITY, "localhost"].contains(&name) {
            return Err(format!("`{name}` is reserved; choose another name"));
        }
        let others: Vec<_> =
            others.split(',').map(str::trim).filter(|other| !other.is_empty()).map(String::from).collect();
        if let Some(wrong) = others.iter().find(|other| ServerName::try_from(other.as_str()).is_err()) {
            return Err(format!("`{wrong}` is neither a DNS name nor an IP address"));
        }
        Ok(Self { name: name.to_ascii_lowercase(), others })
    }
}

/// A certificate and its key, and whether they were made now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFiles {
    /// The PEM file of the certificate.
    pub certificate: PathBuf,
    /// The PEM file of the private key, readable by its owner only.
    pub key: PathBuf,
    /// Whether the files were there before.
    pub origin: Origin,
    /// The last day on which the certificate is valid.
    pub last_day: String,
}

/// Where a pair of files came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// Made now.
    Made,
    /// There before, and left as it was.
    Kept,
}

impl fmt::Display for CertificateFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verb = match self.origin {
            Origin::Made => "made",
            Origin::Kept => "kept",
        };
        write!(f, "{verb} {} and {}, valid to {}", self.certificate.display(), self.key.display(), self.last_day)
    }
}

/// Makes what is missing of the authority and the nodes, with [`NODE_DAYS`]. The authority comes first in the answer.
///
/// # Errors
/// `CONFIG` when a file cannot be read or written, or one of a pair is missing.
pub fn init(directory: &Path, nodes: &[NodeName]) -> Result<Vec<CertificateFiles>> {
    init_for_days(directory, nodes, NODE_DAYS)
}

/// As [`init`], with another validity of the nodes' certificates.
///
/// # Errors
/// As [`init`].
pub fn init_for_days(directory: &Path, nodes: &[NodeName], days: u32) -> Result<Vec<CertificateFiles>> {
    std::fs::create_dir_all(directory)
        .map_err(|error| config(format!("{} cannot be made: {error}", directory.display())))?;
    let pair = Pair::of(directory, AUTHORITY);
    let mut all = vec![if pair.existing()? { pair.kept()? } else { pair.make(make_authority)? }];
    let authority = Authority::open(&pair)?;
    for node in nodes {
        all.push(authority.provide(directory, node, days)?);
    }
    Ok(all)
}

/// The paths of a certificate and its key.
struct Pair {
    certificate: PathBuf,
    key: PathBuf,
}

impl Pair {
    fn of(directory: &Path, name: &str) -> Self {
        Self { certificate: directory.join(format!("{name}.crt")), key: directory.join(format!("{name}.key")) }
    }

    /// Whether both files are there; one without the other is for the operator to sort out.
    fn existing(&self) -> Result<bool> {
        match (self.certificate.exists(), self.key.exists()) {
            (true, true) => Ok(true),
            (false, false) => Ok(false),
            (true, false) => Err(one_of_two(&self.certificate, &self.key)),
            (false, true) => Err(one_of_two(&self.key, &self.certificate)),
        }
    }

    fn make(&self, signed: impl FnOnce(&KeyPair) -> Result<String>) -> Result<CertificateFiles> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(EngineError::internal)?;
        let certificate = signed(&key)?;
        create(&self.key, &key.serialize_pem())?;
        create(&self.certificate, &certificate)?;
        self.files(Origin::Made)
    }

    fn kept(&self) -> Result<CertificateFiles> {
        self.files(Origin::Kept)
    }

    fn files(&self, origin: Origin) -> Result<CertificateFiles> {
        let der = read_certificate(&self.certificate)?;
        let facts = Certificate::parse(&der).ok_or_else(|| no_certificate(&self.certificate))?;
        if !facts.is_valid_now() {
            let sentence =
                format!("{} is valid {} only; remove it and its key", self.certificate.display(), facts.validity());
            return Err(config(sentence));
        }
        let (certificate, key) = (self.certificate.clone(), self.key.clone());
        Ok(CertificateFiles { certificate, key, origin, last_day: facts.last_day() })
    }
}

/// The authority, able to sign.
pub(super) struct Authority {
    path: PathBuf,
    pub(super) certificate: CertificateDer<'static>,
    pub(super) issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// The one that [`init`] has made there.
    pub(super) fn in_directory(directory: &Path) -> Result<Self> {
        Self::open(&Pair::of(directory, AUTHORITY))
    }

    fn open(pair: &Pair) -> Result<Self> {
        let certificate = read_certificate(&pair.certificate)?;
        let unusable = || config(format!("{} has no private key that can sign", pair.key.display()));
        let key = KeyPair::from_pem(&read(&pair.key)?).map_err(|_| unusable())?;
        let issuer = Issuer::from_ca_cert_der(&certificate, key).map_err(|_| no_certificate(&pair.certificate))?;
        Ok(Self { path: pair.certificate.clone(), certificate, issuer })
    }

    /// The node's files, made unless they are there.
    fn provide(&self, directory: &Path, node: &NodeName, days: u32) -> Result<CertificateFiles> {
        let pair = Pair::of(directory, node.as_str());
        if !pair.existing()? {
            return pair.make(|key| self.sign(node, days, key));
        }
        if !is_signed_by(&read_certificate(&pair.certificate)?, &self.certificate) {
            let (own, authority) = (pair.certificate.display(), self.path.display());
            return Err(config(format!("{own} is not signed by {authority}; remove it and its key")));
        }
        pair.kept()
    }

    fn sign(&self, node: &NodeName, days: u32, key: &KeyPair) -> Result<String> {
        let mut params = CertificateParams::new(node.all()).map_err(EngineError::internal)?;
        params.distinguished_name.push(DnType::CommonName, node.as_str());
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.use_authority_key_identifier_extension = true;
        set_validity(&mut params, days);
        let certificate = params.signed_by(key, &self.issuer).map_err(EngineError::internal)?;
        Ok(certificate.pem())
    }
}

fn make_authority(key: &KeyPair) -> Result<String> {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "Chancery development authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    set_validity(&mut params, AUTHORITY_DAYS);
    Ok(params.self_signed(key).map_err(EngineError::internal)?.pem())
}

fn set_validity(params: &mut CertificateParams, days: u32) {
    let now = SystemTime::now();
    params.not_before = (now - CLOCK_SKEW).into();
    params.not_after = (now + DAY * days).into();
}

fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).map_err(|error| config(format!("{} cannot be read: {error}", path.display())))
}

pub(super) fn read_certificate(path: &Path) -> Result<CertificateDer<'static>> {
    CertificateDer::from_pem_slice(read(path)?.as_bytes()).map_err(|_| no_certificate(path))
}

fn create(path: &Path, content: &str) -> Result<()> {
    files::create(path, content.as_bytes())
        .map_err(|error| config(format!("{} cannot be written: {error}", path.display())))
}

fn one_of_two(there: &Path, missing: &Path) -> EngineError {
    config(format!("{} is there without {}: bring that back, or remove the first", there.display(), missing.display()))
}

fn no_certificate(path: &Path) -> EngineError {
    config(format!("{} has no certificate that can be read (PEM, X.509)", path.display()))
}

pub(super) fn config(sentence: String) -> EngineError {
    EngineError::new(Code::Config, sentence)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nodes(names: &[&str]) -> Vec<NodeName> {
        names.iter().map(|name| name.parse().unwrap()).collect()
    }

    #[test]
    fn nodes_are_signed_by_the_authority() {
        let directory = tempfile::tempdir().unwrap();
        let made = init(directory.path(), &nodes(&["bts:bts.example,10.0.0.7", "coordinator"])).unwrap();
        assert_eq!(made.len(), 3);
        let authority = read_certificate(&made[0].certificate).unwrap();
        let bts = read_certificate(&made[1].certificate).unwrap();
        assert!(is_signed_by(&bts, &authority) && !is_signed_by(&authority, &bts));
        assert_eq!(Certificate::parse(&bts).unwrap().names(), ["bts", "bts.example"]);
        assert!(Certificate::parse(&bts).unwrap().is_valid_now());
    }

    #[test]
    fn what_is_there_stays() {
        let directory = tempfile::tempdir().unwrap();
        let first = init(directory.path(), &nodes(&["bts"])).unwrap();
        let before: Vec<_> = first.iter().map(|files| std::fs::read(&files.key).unwrap()).collect();
        let second = init(directory.path(), &nodes(&["bts", "faa"])).unwrap();
        let origins: Vec<_> = second.iter().map(|files| files.origin).collect();
        assert_eq!(origins, [Origin::Kept, Origin::Kept, Origin::Made]);
        let after: Vec<_> = second.iter().take(2).map(|files| std::fs::read(&files.key).unwrap()).collect();
        assert_eq!(before, after);
    }

    #[test]
    fn half_a_pair_and_a_foreign_certificate_are_refused() {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let ours = init(one.path(), &nodes(&["bts"])).unwrap();
        init(two.path(), &nodes(&["bts"])).unwrap();
        std::fs::copy(two.path().join("bts.crt"), &ours[1].certificate).unwrap();
        let told = init(one.path(), &nodes(&["bts"])).unwrap_err().to_string();
        assert!(told.contains("bts.crt is not signed by"), "{told}");
        std::fs::remove_file(&ours[0].key).unwrap();
        let told = init(one.path(), &nodes(&["bts"])).unwrap_err().to_string();
        assert!(told.contains("authority.crt is there without"), "{told}");
    }

    #[test]
    #[cfg(unix)]
    fn keys_are_their_owners() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap();
        for files in init(directory.path(), &nodes(&["bts"])).unwrap() {
            assert_eq!(std::fs::metadata(&files.key).unwrap().permissions().mode() & 0o777, 0o600);
        }
    }

    #[test]
    fn names_that_no_certificate_carries() {
        for bad in ["", "海关", "a b", "../x", "authority", "localhost", "x:bad name", "*.example"] {
            bad.parse::<NodeName>().unwrap_err();
        }
    }
}
