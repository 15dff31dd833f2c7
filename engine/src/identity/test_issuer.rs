//! For tests: an issuer of tokens with keys of its own.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

use super::claims::ClaimRules;
use crate::config::{Extent, IssuerConfig, IssuerTrust, KeySource, Listed, TokenTrust};

pub(super) const ISSUER: &str = "https://login.example";
pub(super) const AUDIENCE: &str = "chancery";
pub(super) const DIRECT_AUDIENCE: &str = "health";

/// A private key, and the public one as a JWK.
pub(super) struct TestKey {
    pub(super) id: String,
    pub(super) algorithm: Algorithm,
    pub(super) public: Vec<u8>,
    key: EncodingKey,
}

impl TestKey {
    pub(super) fn new(id: &str, algorithm: Algorithm) -> Self {
        let kind = match algorithm {
            Algorithm::EdDSA => &rcgen::PKCS_ED25519,
            Algorithm::ES256 => &rcgen::PKCS_ECDSA_P256_SHA256,
            Algorithm::ES384 => &rcgen::PKCS_ECDSA_P384_SHA384,
            other => panic!("no test key for {other:?}"),
        };
        let pair = rcgen::KeyPair::generate_for(kind).unwrap();
        let der = pair.serialize_der();
        let key = match algorithm {
            Algorithm::EdDSA => EncodingKey::from_ed_der(&der),
            _ => EncodingKey::from_ec_der(&der),
        };
        Self { id: id.to_string(), algorithm, public: pair.public_key_raw().to_vec(), key }
    }

    pub(super) fn jwk(&self) -> Value {
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let (x, y) = self.public[1..].split_at(self.public.len() / 2);
        match self.algorithm {
            Algorithm::EdDSA => json!({"kty": "OKP", "crv": "Ed25519", "kid": self.id, "x": text(&self.public)}),
            Algorithm::ES256 => json!({"kty": "EC", "crv": "P-256", "kid": self.id, "x": text(x), "y": text(y)}),
            _ => json!({"kty": "EC", "crv": "P-384", "kid": self.id, "x": text(x), "y": text(y)}),
        }
    }

    pub(super) fn header(&self) -> Header {
        Header { kid: Some(self.id.clone()), ..Header::new(self.algorithm) }
    }

    pub(super) fn sign(&self, header: &Header, claims: &Value) -> String {
        jsonwebtoken::encode(header, claims, &self.key).unwrap()
    }

    pub(super) fn token(&self, claims: &Value) -> String {
        self.sign(&self.header(), claims)
    }
}

/// Claims that are believed, with `change` laid over them; null takes a claim away.
pub(super) fn claims(change: Value) -> Value {
    let mut claims = json!({
        "iss": ISSUER, "sub": "ana", "aud": AUDIENCE, "exp": now_s() + 600,
        "roles": ["analyst"], "purposes": ["care", "research"], "attributes": {"regions": ["north"]},
    });
    for (name, value) in change.as_object().unwrap() {
        match value {
            Value::Null => claims.as_object_mut().unwrap().remove(name),
            value => claims.as_object_mut().unwrap().insert(name.clone(), value.clone()),
        };
    }
    claims
}

pub(super) fn now_s() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64
}

/// Writes a JWK set.
pub(super) fn write_keys(directory: &Path, keys: &[Value]) -> PathBuf {
    let path = directory.join("issuer.jwks.json");
    std::fs::write(&path, json!({"keys": keys}).to_string()).unwrap();
    path
}

/// The issuer of tokens signed by these keys, believed for these roles.
pub(super) fn issuer(keys: PathBuf, roles: &[&str]) -> IssuerConfig {
    let roles = Listed::These(roles.iter().map(ToString::to_string).collect::<BTreeSet<_>>());
    let (audience, direct_audience) = (AUDIENCE.to_string(), Some(DIRECT_AUDIENCE.to_string()));
    let keys = KeySource::File(keys);
    let claims = ClaimRules::default();
    let trust = TokenTrust { keys, audience, direct_audience, clock_skew_s: 60, algorithms: None, claims };
    let extent = Extent { roles, ..Extent::WHOLE };
    IssuerConfig { name: ISSUER.to_string(), trust: IssuerTrust::Token(Box::new(trust)), extent }
}
