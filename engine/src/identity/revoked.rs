//! Certificates that their authority has taken back: `chancery certs revoke` lists them in `revoked.crl`, and nodes whose `[tls]
//! revoked` names that file believe them no more.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rcgen::{CertificateRevocationListParams, KeyIdMethod, RevokedCertParams, SerialNumber};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer};
use x509_parser::prelude::{CertificateRevocationList, FromDer, X509Certificate};

use super::certificate::{is_list_signed_by, is_signed_by};
use super::certs::{AUTHORITY_DAYS, Authority, CLOCK_SKEW, DAY, config, read_certificate};
use super::files;
use crate::error::{EngineError, Result};

const LIST: &str = "revoked.crl";

/// Lists a certificate, and those that were listed before; returns the list's file. Without a certificate the list is made if it
/// is not there.
///
/// # Errors
/// `CONFIG` for a certificate or a list that is not the authority's of this directory, and what cannot be read or written.
pub fn revoke(directory: &Path, certificate: Option<&Path>) -> Result<PathBuf> {
    let authority = Authority::in_directory(directory)?;
    let path = directory.join(LIST);
    let mut serials = if path.exists() { listed(&path, &authority.certificate)? } else { Vec::new() };
    if let Some(file) = certificate {
        let certificate = read_certificate(file)?;
        if !is_signed_by(&certificate, &authority.certificate) {
            return Err(config(format!(
                "{} is not signed by the authority in {}",
                file.display(),
                directory.display()
            )));
        }
        let (_, certificate) = X509Certificate::from_der(&certificate).map_err(EngineError::internal)?;
        serials.push(certificate.raw_serial().to_vec());
    }
    serials.sort_unstable();
    serials.dedup();
    let pem = sign(&authority, serials)?;
    files::replace(&path, pem.as_bytes())
        .map_err(|error| config(format!("{} cannot be written: {error}", path.display())))?;
    Ok(path)
}

/// The serial numbers of a list.
fn listed(path: &Path, authority: &CertificateDer<'_>) -> Result<Vec<Vec<u8>>> {
    let unusable = || config(format!("{} is no list of the authority beside it (PEM, X509 CRL)", path.display()));
    let list = CertificateRevocationListDer::from_pem_file(path).map_err(|_| unusable())?;
    if !is_list_signed_by(&list, authority) {
        return Err(unusable());
    }
    let (_, list) = CertificateRevocationList::from_der(&list).map_err(|_| unusable())?;
    Ok(list.iter_revoked_certificates().map(|revoked| revoked.raw_serial().to_vec()).collect())
}

fn sign(authority: &Authority, serials: Vec<Vec<u8>>) -> Result<String> {
    let now = SystemTime::now();
    let revoked = |serial: Vec<u8>| RevokedCertParams {
        serial_number: SerialNumber::from(serial),
        revocation_time: now.into(),
        reason_code: None,
        invalidity_date: None,
    };
    let since_epoch = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let params = CertificateRevocationListParams {
        this_update: (now - CLOCK_SKEW).into(),
        next_update: (now + DAY * AUTHORITY_DAYS).into(),
        crl_number: SerialNumber::from(since_epoch.as_secs()),
        issuing_distribution_point: None,
        revoked_certs: serials.into_iter().map(revoked).collect(),
        key_identifier_method: KeyIdMethod::Sha256,
    };
    let list = params.signed_by(&authority.issuer).map_err(EngineError::internal)?;
    list.pem().map_err(EngineError::internal)
}
