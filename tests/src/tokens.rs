//! Keys that sign tokens, whatever the token says: for issuers, and for those who would like to be one.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::{Value, json};

/// A private key and its public half.
pub struct TokenKey {
    id: String,
    algorithm: Algorithm,
    public: Vec<u8>,
    key: EncodingKey,
}

impl std::fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenKey").field("id", &self.id).field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

impl TokenKey {
    /// A new key of that `kid`: Ed25519, or P-256.
    pub fn new(id: &str, algorithm: Algorithm) -> Self {
        let kind = match algorithm {
            Algorithm::EdDSA => &rcgen::PKCS_ED25519,
            Algorithm::ES256 => &rcgen::PKCS_ECDSA_P256_SHA256,
            other => panic!("no key for {other:?}"),
        };
        let pair = rcgen::KeyPair::generate_for(kind).expect("a key");
        let der = pair.serialize_der();
        let key = match algorithm {
            Algorithm::EdDSA => EncodingKey::from_ed_der(&der),
            _ => EncodingKey::from_ec_der(&der),
        };
        Self { id: id.to_string(), algorithm, public: pair.public_key_raw().to_vec(), key }
    }

    /// The public half, as bytes.
    pub fn public(&self) -> &[u8] {
        &self.public
    }

    /// The public half as a JWK.
    pub fn jwk(&self) -> Value {
        match self.algorithm {
            Algorithm::EdDSA => json!({"kty": "OKP", "crv": "Ed25519", "kid": self.id, "x": encoded(&self.public)}),
            _ => {
                let (x, y) = self.public[1..].split_at(32);
                json!({"kty": "EC", "crv": "P-256", "kid": self.id, "x": encoded(x), "y": encoded(y)})
            }
        }
    }

    /// The header of its tokens.
    pub fn header(&self) -> Value {
        json!({"alg": self.algorithm, "typ": "JWT", "kid": self.id})
    }

    /// A token of these claims.
    pub fn token(&self, claims: &Value) -> String {
        self.sign(self.header().to_string(), claims.to_string())
    }

    /// A token of these bytes, which need be no JSON.
    pub fn sign(&self, header: impl AsRef<[u8]>, claims: impl AsRef<[u8]>) -> String {
        self.sign_encoded(&format!("{}.{}", encoded(header), encoded(claims)))
    }

    /// A token of two parts that are encoded already, however.
    pub fn sign_encoded(&self, parts: &str) -> String {
        let signature = jsonwebtoken::crypto::sign(parts.as_bytes(), &self.key, self.algorithm).expect("a signature");
        format!("{parts}.{signature}")
    }
}

/// Base64 as tokens have it.
pub fn encoded(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
