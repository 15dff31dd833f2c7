//! The public keys of an issuer of tokens: a JWK set (RFC 7517) in a file, each key with what it may verify.

use std::collections::BTreeSet;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, JwkSet, KeyAlgorithm, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};

use crate::error::{Code, EngineError, Result};

/// The smallest RSA modulus that is believed.
const RSA_BYTES_MIN: usize = 256;
const ED25519_BYTES: usize = 32;

/// A key and the algorithms it verifies; never a shared secret, and never `none`.
#[derive(Clone)]
pub struct TokenKey {
    id: Option<String>,
    /// The key.
    pub key: DecodingKey,
    /// The algorithms that a token signed by this key may name.
    pub algorithms: Vec<Algorithm>,
}

impl std::fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenKey").field("id", &self.id).field("algorithms", &self.algorithms).finish_non_exhaustive()
    }
}

/// The keys of one issuer; at least one.
#[derive(Debug, Clone)]
pub struct TokenKeys(Vec<TokenKey>);

impl TokenKeys {
    /// Reads the file. As RFC 7517 asks, keys of other kinds are left out; they are warned about.
    ///
    /// # Errors
    /// `CONFIG`, with the file at fault, also when no key is left.
    pub fn read(path: &Path) -> Result<Self> {
        let place = path.display().to_string();
        let fault = |message: String| EngineError::new(Code::Config, format!("{place}: {message}"));
        let text = std::fs::read(path).map_err(|error| fault(format!("cannot be read: {error}")))?;
        Self::parse(&text, &place).map_err(|error| fault(error.sentence().to_string()))
    }

    /// Reads a key set that comes from that place.
    ///
    /// # Errors
    /// `CONFIG` when it is none, or has no key that is believed.
    pub(super) fn parse(text: &[u8], place: &str) -> Result<Self> {
        let fault = |message: &str| EngineError::new(Code::Config, message);
        let set: JwkSet =
            serde_json::from_slice(text).map_err(|error| fault("is no JWK set (RFC 7517)").caused_by(error))?;
        let mut keys = Vec::new();
        for (index, key) in set.keys.iter().enumerate() {
            match check_key(key) {
                Ok(key) => keys.push(key),
                Err(message) => {
                    tracing::warn!(place, "the key keys[{index}] is left out: it {message}")
                }
            }
        }
        let ids: BTreeSet<_> = keys.iter().map(|key| &key.id).collect();
        if keys.is_empty() {
            return Err(fault("has no key for signatures by EdDSA, ES256, ES384, RS256 or PS256"));
        }
        if ids.len() < keys.len() {
            return Err(fault("has two keys with one `kid`, or without any"));
        }
        Ok(Self(keys))
    }

    /// The key that a token names; a token may leave out the name where there is one key only.
    pub fn find(&self, id: Option<&str>) -> Option<&TokenKey> {
        match (id, self.0.as_slice()) {
            (None, [only]) => Some(only),
            (None, _) => None,
            (Some(id), keys) => keys.iter().find(|key| key.id.as_deref() == Some(id)),
        }
    }
}

fn check_key(jwk: &Jwk) -> Result<TokenKey, &'static str> {
    if jwk.common.public_key_use.as_ref().is_some_and(|used| *used != PublicKeyUse::Signature) {
        return Err("is not for signatures");
    }
    let possible = match &jwk.algorithm {
        AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => vec![Algorithm::ES256],
        AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P384 => vec![Algorithm::ES384],
        AlgorithmParameters::OctetKeyPair(key) if size(&key.x) == Some(ED25519_BYTES) => vec![Algorithm::EdDSA],
        AlgorithmParameters::RSA(key) if size(&key.n).is_some_and(|bytes| bytes >= RSA_BYTES_MIN) => {
            vec![Algorithm::RS256, Algorithm::PS256]
        }
        _ => return Err("is no Ed25519, P-256, P-384, or RSA key of at least 2048 bits"),
    };
    let algorithms: Vec<_> = match jwk.common.key_algorithm {
        None => possible,
        Some(only) => possible.into_iter().filter(|one| KeyAlgorithm::from(*one) == only).collect(),
    };
    if algorithms.is_empty() {
        return Err("has an `alg` that is none of EdDSA, ES256, ES384, RS256 and PS256");
    }
    let key = DecodingKey::from_jwk(jwk).map_err(|_| "cannot be read")?;
    Ok(TokenKey { id: jwk.common.key_id.clone(), key, algorithms })
}

/// The number of bytes that a base64 text stands for.
fn size(base64: &str) -> Option<usize> {
    URL_SAFE_NO_PAD.decode(base64).ok().map(|bytes| bytes.len())
}
