//! Handles and tickets: a statement sealed for one subject, so that the server keeps nothing for it and nobody else can
//! read, change or use it.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use serde::{Deserialize, Serialize};

use crate::error::{Code, EngineError, Result};
use crate::session::queries::QueryId;

/// What a handle holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Handle {
    /// The query's identity; a running query is cancelled by it.
    pub id: String,
    /// The statement.
    pub sql: String,
    /// Bound parameters as an Arrow IPC stream, base64.
    pub parameters: Option<String>,
    expires_s: u64,
}

impl Handle {
    /// A handle for a statement, with an identity of its own.
    pub fn new(sql: impl Into<String>, parameters: Option<String>) -> Self {
        Self { id: QueryId::random().to_string(), sql: sql.into(), parameters, expires_s: 0 }
    }

    /// The same statement for another execution.
    #[must_use]
    pub fn again(self) -> Self {
        Self::new(self.sql, self.parameters)
    }

    /// The identity of the execution that this handle is for.
    pub fn query_id(&self) -> QueryId {
        QueryId::parse(&self.id).unwrap_or_else(QueryId::random)
    }
}

/// Seals and opens handles with one key; nodes that share the key share the handles.
pub struct Sealer {
    key: LessSafeKey,
    lifetime_s: u64,
}

impl std::fmt::Debug for Sealer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sealer").field("lifetime_s", &self.lifetime_s).finish_non_exhaustive()
    }
}

impl Sealer {
    /// A sealer with a fresh random key: handles live as long as the process.
    ///
    /// # Errors
    /// When the system has no randomness.
    pub fn random(lifetime_s: u64) -> Result<Arc<Self>> {
        let mut bytes = [0_u8; 32];
        getrandom::fill(&mut bytes).map_err(EngineError::internal)?;
        let key =
            UnboundKey::new(&AES_256_GCM, &bytes).map_err(|_| EngineError::internal("the sealing key is unusable"))?;
        Ok(Arc::new(Self { key: LessSafeKey::new(key), lifetime_s }))
    }

    /// Seals a handle for `subject`, from now until the lifetime's end.
    ///
    /// # Errors
    /// When the system has no randomness.
    pub fn seal(&self, subject: &str, handle: &Handle) -> Result<Vec<u8>> {
        let dated = Handle { expires_s: now_s().saturating_add(self.lifetime_s), ..handle.clone() };
        let mut bytes = serde_json::to_vec(&dated).map_err(EngineError::internal)?;
        let mut nonce = [0_u8; NONCE_LEN];
        getrandom::fill(&mut nonce).map_err(EngineError::internal)?;
        self.key
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(subject.as_bytes()), &mut bytes)
            .map_err(|_| EngineError::internal("a handle could not be sealed"))?;
        let mut sealed = nonce.to_vec();
        sealed.append(&mut bytes);
        Ok(sealed)
    }

    /// Opens a handle that was sealed for `subject`.
    ///
    /// # Errors
    /// `NOT_FOUND` for one that is forged, altered, expired, or somebody else's: all alike.
    pub fn open(&self, subject: &str, sealed: &[u8]) -> Result<Handle> {
        self.try_open(subject, sealed).ok_or_else(|| {
            EngineError::new(Code::NotFound, "there is no such handle, or it has expired; prepare the statement again")
        })
    }

    fn try_open(&self, subject: &str, sealed: &[u8]) -> Option<Handle> {
        let (nonce, body) = sealed.split_at_checked(NONCE_LEN)?;
        let mut body = body.to_vec();
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let opened = self.key.open_in_place(nonce, Aad::from(subject.as_bytes()), &mut body).ok()?;
        let handle: Handle = serde_json::from_slice(opened).ok()?;
        (handle.expires_s >= now_s()).then_some(handle)
    }
}

fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handle_opens_for_its_subject_only() {
        let sealer = Sealer::random(60).unwrap();
        let handle = Handle::new("SELECT 1", None);
        let sealed = sealer.seal("ann", &handle).unwrap();
        assert_eq!(sealer.open("ann", &sealed).unwrap().sql, "SELECT 1");
        assert_eq!(sealer.open("bob", &sealed).unwrap_err().code(), Code::NotFound);
        for index in 0..sealed.len() {
            let mut altered = sealed.clone();
            altered[index] ^= 1;
            assert_eq!(sealer.open("ann", &altered).unwrap_err().code(), Code::NotFound);
        }
        assert!(sealer.open("ann", &[]).is_err());
        assert!(Sealer::random(60).unwrap().open("ann", &sealed).is_err(), "another key");
    }
}
