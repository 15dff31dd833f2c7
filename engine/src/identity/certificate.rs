//! What an X.509 certificate says: the names a node is believed by, and from when to when.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::time::{Duration, SystemTime};

use rustls::pki_types::{CertificateDer, CertificateRevocationListDer};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{CertificateRevocationList, FromDer, X509Certificate};
use x509_parser::time::ASN1Time;

/// A name that every node of a machine has in its certificate, and so tells nobody from another.
pub(super) const SHARED_NAME: &str = "localhost";

/// What we read in a certificate. The common name is ignored: only subject alternative names are names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    names: Vec<String>,
    valid_from: ASN1Time,
    valid_until: ASN1Time,
}

impl Certificate {
    /// Reads a certificate; `None` when it is none.
    pub fn parse(der: &CertificateDer<'_>) -> Option<Self> {
        let (_, x509) = X509Certificate::from_der(der).ok()?;
        let validity = x509.validity();
        Some(Self { names: names(&x509)?, valid_from: validity.not_before, valid_until: validity.not_after })
    }

    /// Its DNS names in lower case, without `localhost`.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Whether now is within its time.
    pub fn is_valid_now(&self) -> bool {
        let now = ASN1Time::now();
        self.valid_from <= now && now <= self.valid_until
    }

    /// The last moment of its time.
    pub fn ends(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(self.valid_until.timestamp()).unwrap_or_default())
    }

    /// `from … to …`, for a message.
    pub fn validity(&self) -> impl fmt::Display {
        format!("from {} to {}", day(self.valid_from), day(self.valid_until))
    }

    /// The last day of its time.
    pub fn last_day(&self) -> String {
        day(self.valid_until)
    }
}

/// The names by which the caller with this certificate chain is believed; the chain must have been verified by TLS.
pub fn peer_names(certificates: &[CertificateDer<'_>]) -> Vec<String> {
    certificates.first().and_then(Certificate::parse).map(|certificate| certificate.names).unwrap_or_default()
}

/// Whether the authority's key made this certificate's signature.
pub fn is_signed_by(certificate: &CertificateDer<'_>, authority: &CertificateDer<'_>) -> bool {
    let (Ok((_, certificate)), Ok((_, authority))) =
        (X509Certificate::from_der(certificate), X509Certificate::from_der(authority))
    else {
        return false;
    };
    certificate.issuer() == authority.subject() && certificate.verify_signature(Some(authority.public_key())).is_ok()
}

/// Whether the authority's key made this list's signature.
pub fn is_list_signed_by(list: &CertificateRevocationListDer<'_>, authority: &CertificateDer<'_>) -> bool {
    let (Ok((_, list)), Ok((_, authority))) =
        (CertificateRevocationList::from_der(list), X509Certificate::from_der(authority))
    else {
        return false;
    };
    list.issuer() == authority.subject() && list.verify_signature(authority.public_key()).is_ok()
}

/// What is on lists of revoked certificates: for each issuer, as it is written there, the serial numbers.
#[derive(Debug, Default)]
pub struct RevokedSerials(HashMap<Vec<u8>, HashSet<Vec<u8>>>);

impl RevokedSerials {
    /// What these lists say.
    pub fn of(lists: &[CertificateRevocationListDer<'_>]) -> Self {
        let mut all = Self::default();
        for (_, list) in lists.iter().filter_map(|list| CertificateRevocationList::from_der(list).ok()) {
            let serials = list.iter_revoked_certificates().map(|revoked| revoked.raw_serial().to_vec());
            all.0.entry(list.issuer().as_raw().to_vec()).or_default().extend(serials);
        }
        all
    }

    /// Whether a list of whoever issued the certificate has it.
    pub fn has(&self, certificate: &CertificateDer<'_>) -> bool {
        let Ok((_, certificate)) = X509Certificate::from_der(certificate) else { return false };
        let serials = self.0.get(certificate.issuer().as_raw());
        serials.is_some_and(|serials| serials.contains(certificate.raw_serial()))
    }
}

fn names(x509: &X509Certificate<'_>) -> Option<Vec<String>> {
    let Some(extension) = x509.subject_alternative_name().ok()? else { return Some(Vec::new()) };
    let dns = extension.value.general_names.iter().filter_map(|name| match name {
        GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
        _ => None,
    });
    Some(dns.filter(|name| name != SHARED_NAME).collect())
}

fn day(time: ASN1Time) -> String {
    chrono::DateTime::from_timestamp(time.timestamp(), 0)
        .map_or_else(|| time.to_string(), |time| time.format("%Y-%m-%d").to_string())
}
