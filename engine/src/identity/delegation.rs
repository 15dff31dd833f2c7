//! Delegations: how a coordinator asks a site on behalf of a user, and by what the site believes it.
//!
//! A delegation has two layers. The *proof* says who the user is: an issuer's token, verbatim, or what the coordinator's
//! own users file says. The *terms* bind the proof to one statement of one query at one site, for one purpose, now; the
//! coordinator signs them with the key of the certificate that it shows. The site believes the proof by itself, never
//! because of the signature: a coordinator that was taken over holds the tokens of the day and can make none.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::digest::{SHA256, digest};
use rustls::SignatureScheme;
use rustls::crypto::ring::default_provider;
use rustls::crypto::ring::sign::any_supported_type;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::SigningKey;
use serde::{Deserialize, Serialize};
use webpki::EndEntityCert;

use super::asker::{Asker, Believed, Came, Issuer};
use super::authenticate::Peer;
use super::facts::Claimed;
use super::issuers::{Issuers, Shown};
use super::seen::Seen;
use crate::config::{Limits, TlsMaterial};
use crate::error::{Code, EngineError, Result};
use crate::sabotage::{Control, thrown};
use crate::session::queries::QueryId;

/// How old a delegation may be when the statement is admitted.
const AGE_MAX: Duration = Duration::from_secs(5 * 60);
/// By how much the clocks of a coordinator and a site may differ.
const CLOCK_SKEW: Duration = Duration::from_secs(60);
/// For how long a fragment must be remembered: from the earliest moment at which its delegation is accepted to the last.
pub const REMEMBERED: Duration = Duration::from_secs(5 * 60 + 2 * 60);
/// What is signed begins with this, so that the signature means nothing elsewhere.
const PREFIX: &[u8] = b"chancery delegation 1\0";
/// The signatures that certificates' keys make.
const SCHEMES: [SignatureScheme; 6] = [
    SignatureScheme::ECDSA_NISTP256_SHA256,
    SignatureScheme::ECDSA_NISTP384_SHA384,
    SignatureScheme::ED25519,
    SignatureScheme::RSA_PSS_SHA256,
    SignatureScheme::RSA_PSS_SHA384,
    SignatureScheme::RSA_PSS_SHA512,
];

/// What a call asks of a site.
#[derive(Debug, Clone, Copy)]
pub struct About<'a> {
    /// The site.
    pub site: &'a str,
    /// The query that the call belongs to.
    pub query: &'a QueryId,
    /// The statement's number within the query.
    pub fragment: usize,
    /// The statement; `None` where the site's view is asked for.
    pub statement: Option<&'a str>,
}

/// The header: what is signed as the text that was signed, the signature, and the proof.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Delegation {
    terms: String,
    scheme: u16,
    signature: String,
    proof: String,
}

/// What the coordinator signs.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Terms {
    site: String,
    query: String,
    fragment: usize,
    statement: Option<String>,
    purpose: Option<String>,
    issued_ms: u64,
    certificate: String,
    proof: String,
    kind: Kind,
}

/// What the proof is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    /// An issuer's token.
    Token,
    /// A subject of the coordinator's users file, as JSON.
    Local,
}

/// A coordinator's side: signs delegations with its TLS key.
#[derive(Debug)]
pub struct Delegator {
    key: Arc<dyn SigningKey>,
    certificate: String,
}

impl Delegator {
    /// Signs with the key of this certificate.
    ///
    /// # Errors
    /// `CONFIG` when the key cannot sign.
    pub fn new(material: &TlsMaterial) -> Result<Self> {
        let unusable = || EngineError::new(Code::Config, "the certificate or key in [tls] cannot sign delegations");
        let certificate =
            CertificateDer::from_pem_slice(material.certificate_pem.as_bytes()).map_err(|_| unusable())?;
        let key = PrivateKeyDer::from_pem_slice(material.key_pem.as_bytes()).map_err(|_| unusable())?;
        let key = any_supported_type(&key).map_err(|_| unusable())?;
        Ok(Self { key, certificate: hex_digest(&certificate) })
    }

    /// The header for a call on behalf of `asker`.
    ///
    /// # Errors
    /// Only by a defect.
    pub fn sign(&self, asker: &Asker, about: &About<'_>) -> Result<Vec<u8>> {
        self.sign_at(asker, about, SystemTime::now())
    }

    fn sign_at(&self, asker: &Asker, about: &About<'_>, now: SystemTime) -> Result<Vec<u8>> {
        let (kind, proof) = match &asker.issuer {
            Issuer::Token { token, .. } => (Kind::Token, token.to_string()),
            Issuer::UsersFile => (Kind::Local, serde_json::to_string(&asker.subject).map_err(EngineError::internal)?),
        };
        let terms = Terms {
            site: about.site.to_string(),
            query: about.query.to_string(),
            fragment: about.fragment,
            statement: about.statement.map(|text| hex_digest(text.as_bytes())),
            purpose: asker.purpose.clone(),
            issued_ms: since_1970_ms(now),
            certificate: self.certificate.clone(),
            proof: hex_digest(proof.as_bytes()),
            kind,
        };
        let terms = serde_json::to_string(&terms).map_err(EngineError::internal)?;
        let delegation = self.signed(terms, proof)?;
        serde_json::to_vec(&delegation).map_err(EngineError::internal)
    }

    fn signed(&self, terms: String, proof: String) -> Result<Delegation> {
        let signer = self.key.choose_scheme(&SCHEMES).ok_or_else(|| EngineError::defect("a key without a scheme"))?;
        let signature = signer.sign(&signed_bytes(&terms)).map_err(EngineError::internal)?;
        Ok(Delegation { terms, scheme: signer.scheme().into(), signature: STANDARD.encode(signature), proof })
    }
}

/// A site's side: believes delegations, each once.
#[derive(Debug)]
pub struct DelegationVerifier {
    site: String,
    issuers: Arc<Issuers>,
    seen: Seen,
    /// When this site was brought back from a backup, if it was.
    restored: OnceLock<SystemTime>,
}

impl DelegationVerifier {
    /// Believes delegations to this site, whose proofs these issuers made.
    pub fn new(site: &str, issuers: Arc<Issuers>, limits: &Limits) -> Self {
        Self {
            site: site.to_string(),
            issuers,
            seen: Seen::new(REMEMBERED, limits.delegations_max),
            restored: OnceLock::new(),
        }
    }

    /// The name of this node, as a delegation must have it.
    pub fn site(&self) -> &str {
        &self.site
    }

    /// Believes no delegation that may have been issued before then, whatever the clock of its coordinator: a site that was
    /// brought back from a backup does not know which of them it had accepted.
    pub fn believe_none_before(&self, restored: SystemTime) {
        // It is said once, before the first call.
        let _ = self.restored.set(restored);
    }

    /// Remembers a fragment that was accepted before this process began, at most [`REMEMBERED`] ago.
    ///
    /// # Errors
    /// `BUSY` when no more can be remembered.
    pub fn remember(&self, query: &QueryId, fragment: usize) -> Result<()> {
        self.seen.add(query, fragment).map(drop)
    }

    /// Has the keys fetched that the proof may need, before [`DelegationVerifier::verify`].
    pub async fn ready(&self, header: &[u8]) {
        if let Ok(delegation) = serde_json::from_slice::<Delegation>(header) {
            self.issuers.ready(&delegation.proof).await;
        }
    }

    /// On whose behalf `peer` asks. The proof, the signature and the terms are all checked; then the fragment counts as
    /// used, whatever becomes of it.
    ///
    /// # Errors
    /// `UNAUTHENTICATED` for every failure alike (the log says which), `PURPOSE` for a purpose that the user does not
    /// hold, `BUSY`.
    pub fn verify(&self, header: &[u8], peer: &Peer, about: &About<'_>) -> Result<Asker> {
        let (believed, purpose) = self.check(header, peer, about).map_err(|reason| refused(reason, peer))?;
        let asker = believed.asking(purpose, Came::Through(peer.name.clone()))?;
        if self.seen.add(about.query, about.fragment)? || thrown(Control::Replay) {
            Ok(asker)
        } else {
            Err(refused("the fragment was accepted before", peer))
        }
    }

    fn check(&self, header: &[u8], peer: &Peer, about: &About<'_>) -> Result<(Believed, Option<String>), &'static str> {
        let delegation: Delegation = serde_json::from_slice(header).map_err(|_| "the header cannot be read")?;
        let terms: Terms = serde_json::from_str(&delegation.terms).map_err(|_| "the terms cannot be read")?;
        if !thrown(Control::Delegation) {
            check_signature(&delegation, &peer.certificate)?;
            check_terms(&terms, peer, about)?;
        }
        check_age(terms.issued_ms, self.issuers.now())?;
        check_restored(terms.issued_ms, self.restored.get().copied())?;
        if terms.proof != hex_digest(delegation.proof.as_bytes()) {
            return Err("the proof is not the one that was signed for");
        }
        let believed = match terms.kind {
            Kind::Token => self.issuers.by_token(&delegation.proof, Shown::By(&peer.names))?,
            Kind::Local => {
                let claimed: Claimed =
                    serde_json::from_str(&delegation.proof).map_err(|_| "the claims about the user cannot be read")?;
                self.issuers.by_coordinator(&peer.names, claimed)?
            }
        };
        // The purpose is the delegation's and no other, the user's default neither.
        Ok((Believed { default_purpose: None, ..believed }, terms.purpose))
    }
}

fn refused(reason: &'static str, peer: &Peer) -> EngineError {
    tracing::warn!(coordinator = peer.name, reason, "a delegation is refused");
    EngineError::new(
        Code::Unauthenticated,
        "the delegation of this call is not believed here; this site's log says why",
    )
}

fn check_terms(terms: &Terms, peer: &Peer, about: &About<'_>) -> Result<(), &'static str> {
    let checks = [
        (terms.certificate == hex_digest(&peer.certificate), "the terms are for another certificate"),
        (terms.site == about.site, "the terms are for another site"),
        (terms.query == about.query.as_str(), "the terms are for another query"),
        (terms.fragment == about.fragment, "the terms are for another fragment"),
        (
            terms.statement == about.statement.map(|text| hex_digest(text.as_bytes())),
            "the terms are for another statement",
        ),
    ];
    checks.into_iter().find(|(holds, _)| !holds).map_or(Ok(()), |(_, reason)| Err(reason))
}

fn check_age(issued_ms: u64, now: SystemTime) -> Result<(), &'static str> {
    let issued = UNIX_EPOCH.checked_add(Duration::from_millis(issued_ms)).ok_or("the terms have no time")?;
    match now.duration_since(issued) {
        Ok(age) if age > AGE_MAX + CLOCK_SKEW => Err("the terms are too old"),
        Err(ahead) if ahead.duration() > CLOCK_SKEW => Err("the terms are of the future"),
        _ => Ok(()),
    }
}

/// A clock that is ahead by as much as one may be writes a later time.
fn check_restored(issued_ms: u64, restored: Option<SystemTime>) -> Result<(), &'static str> {
    let known_from = restored.and_then(|restored| restored.checked_add(CLOCK_SKEW)).map(since_1970_ms);
    match known_from {
        Some(known_from) if issued_ms <= known_from => {
            Err("the terms are of before this site was restored, or of the minute \
                                                            after")
        }
        _ => Ok(()),
    }
}

/// Whether the certificate's key made the signature; which algorithm fits is the key's to say.
fn check_signature(delegation: &Delegation, certificate: &CertificateDer<'_>) -> Result<(), &'static str> {
    let scheme = SignatureScheme::from(delegation.scheme);
    let signature = STANDARD.decode(&delegation.signature).map_err(|_| "the signature cannot be read")?;
    if !SCHEMES.contains(&scheme) {
        return Err("the signature is of a kind that is not believed");
    }
    let certificate = EndEntityCert::try_from(certificate).map_err(|_| "the certificate cannot be read")?;
    let known = default_provider().signature_verification_algorithms;
    let algorithms =
        known.mapping.iter().find(|(name, _)| *name == scheme).map_or(&[][..], |(_, algorithms)| algorithms);
    let message = signed_bytes(&delegation.terms);
    let good = algorithms.iter().any(|one| certificate.verify_signature(*one, &message, &signature).is_ok());
    if good { Ok(()) } else { Err("the signature is not by the certificate's key") }
}

fn signed_bytes(terms: &str) -> Vec<u8> {
    [PREFIX, terms.as_bytes()].concat()
}

fn hex_digest(bytes: &[u8]) -> String {
    digest(&SHA256, bytes).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn since_1970_ms(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
