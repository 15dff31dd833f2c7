//! Handles and tickets: a statement sealed for one subject, so that the server keeps nothing for it and nobody else can
//! read, change or use it.

use std::sync::Arc;
use std::time::{Duration, Instant, UNIX_EPOCH};

use parking_lot::Mutex;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use serde::{Deserialize, Serialize};

use crate::error::{Code, EngineError, Result};
use crate::identity::{Asker, Clock};
use crate::session::place::Place;
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
    /// Where its short names are looked for.
    pub place: Place,
    /// What it may be used for.
    pub kind: HandleKind,
    expires_s: u64,
}

/// What a handle may be used for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HandleKind {
    /// A prepared statement: each execution runs for the purpose that its asker has then.
    Prepared,
    /// A ticket: redeemed for the purpose that it was given out for, and for no other.
    Ticket {
        /// The purpose.
        purpose: Option<String>,
    },
    /// A transaction, in which nothing is written and nothing is held: it says whose it is, and does not expire.
    Transaction,
}

impl Handle {
    /// A handle of a prepared statement.
    pub fn prepared(sql: impl Into<String>, place: Place) -> Self {
        Self::new(sql.into(), None, place, HandleKind::Prepared)
    }

    /// A handle of the same prepared statement with these parameters.
    #[must_use]
    pub fn bound(self, parameters: Option<String>) -> Self {
        Self::new(self.sql, parameters, self.place, HandleKind::Prepared)
    }

    /// A handle of a transaction.
    pub fn transaction() -> Self {
        Self::new(String::new(), None, Place::default(), HandleKind::Transaction)
    }

    /// The ticket of one execution of the same statement for that purpose.
    #[must_use]
    pub fn ticket(self, purpose: Option<String>) -> Self {
        Self::new(self.sql, self.parameters, self.place, HandleKind::Ticket { purpose })
    }

    /// Each has an identity of its own.
    fn new(sql: String, parameters: Option<String>, place: Place, kind: HandleKind) -> Self {
        Self { id: QueryId::random().to_string(), sql, parameters, place, kind, expires_s: 0 }
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
    clock: Clock,
    strange: Mutex<Strange>,
}

/// The handles of late that were sealed by nobody, or for somebody else.
#[derive(Debug, Default)]
struct Strange {
    times: u64,
    last: Option<Instant>,
}

/// Clients show the handles of before a restart, or of another node, now and then; whoever guesses needs more.
const STRANGE_MIN: u64 = 64;
/// After so long without any they are counted anew.
const STRANGE_FORGOTTEN: Duration = Duration::from_secs(600);

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
            UnboundKey::new(&AES_256_GCM, &bytes).map_err(|_| EngineError::defect("the sealing key is unusable"))?;
        let key = LessSafeKey::new(key);
        Ok(Arc::new(Self { key, lifetime_s, clock: Clock::default(), strange: Mutex::default() }))
    }

    /// Seals a handle for `subject`, from now until the lifetime's end.
    ///
    /// # Errors
    /// When the system has no randomness.
    pub fn seal(&self, subject: &str, handle: &Handle) -> Result<Vec<u8>> {
        let expires_s = match handle.kind {
            HandleKind::Transaction => u64::MAX,
            HandleKind::Prepared | HandleKind::Ticket { .. } => self.expiry_s(),
        };
        let dated = Handle { expires_s, ..handle.clone() };
        let mut bytes = serde_json::to_vec(&dated).map_err(EngineError::internal)?;
        let mut nonce = [0_u8; NONCE_LEN];
        getrandom::fill(&mut nonce).map_err(EngineError::internal)?;
        self.key
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(subject.as_bytes()), &mut bytes)
            .map_err(|_| EngineError::defect("a handle could not be sealed"))?;
        let mut sealed = nonce.to_vec();
        sealed.append(&mut bytes);
        Ok(sealed)
    }

    /// Opens a handle that was sealed for `subject`.
    ///
    /// # Errors
    /// `NOT_FOUND` for one that is forged, altered, expired, or somebody else's: all alike.
    pub fn open(&self, subject: &str, sealed: &[u8]) -> Result<Handle> {
        self.try_open(subject, sealed).ok_or_else(no_such_handle)
    }

    /// Opens the handle of a statement that `subject` prepared.
    ///
    /// # Errors
    /// As [`Sealer::open`], also for a ticket.
    pub fn open_prepared(&self, subject: &str, sealed: &[u8]) -> Result<Handle> {
        Some(self.open(subject, sealed)?)
            .filter(|handle| handle.kind == HandleKind::Prepared)
            .ok_or_else(no_such_handle)
    }

    /// Opens a ticket that was sealed for `asker`, who has the same purpose now.
    ///
    /// # Errors
    /// As [`Sealer::open`], also for another purpose.
    pub fn redeem(&self, asker: &Asker, sealed: &[u8]) -> Result<Handle> {
        let expected = HandleKind::Ticket { purpose: asker.purpose.clone() };
        Some(self.open(&asker.label(), sealed)?).filter(|handle| handle.kind == expected).ok_or_else(no_such_handle)
    }

    /// Opens a transaction that `subject` began.
    ///
    /// # Errors
    /// As [`Sealer::open`], also for any other handle.
    pub fn open_transaction(&self, subject: &str, sealed: &[u8]) -> Result<Handle> {
        Some(self.open(subject, sealed)?)
            .filter(|handle| handle.kind == HandleKind::Transaction)
            .ok_or_else(no_such_handle)
    }

    /// When a handle that is sealed now expires, in seconds since 1970.
    pub fn expiry_s(&self) -> u64 {
        self.now_s().saturating_add(self.lifetime_s)
    }

    /// Opens a handle that was sealed for `subject`, expired or not.
    ///
    /// # Errors
    /// `NOT_FOUND` for one that is forged, altered, or somebody else's.
    pub fn open_ever(&self, subject: &str, sealed: &[u8]) -> Result<Handle> {
        self.unseal(subject, sealed).ok_or_else(no_such_handle)
    }

    fn try_open(&self, subject: &str, sealed: &[u8]) -> Option<Handle> {
        self.unseal(subject, sealed).filter(|handle| handle.expires_s >= self.now_s())
    }

    fn unseal(&self, subject: &str, sealed: &[u8]) -> Option<Handle> {
        let handle = self.unsealed(subject, sealed);
        if handle.is_none() {
            self.count_strange(subject);
        }
        handle
    }

    /// Counts one that was sealed by nobody, or for somebody else.
    fn count_strange(&self, last_by: &str) {
        let mut strange = self.strange.lock();
        let is_long_ago = strange.last.is_some_and(|last| last.elapsed() > STRANGE_FORGOTTEN);
        let times = if is_long_ago { 1 } else { strange.times + 1 };
        *strange = Strange { times, last: Some(Instant::now()) };
        drop(strange);
        if times >= STRANGE_MIN && times.is_power_of_two() {
            tracing::warn!(times, last_by, "ALARM: handles are guessed, or shown by others than they were given to");
        }
    }

    fn unsealed(&self, subject: &str, sealed: &[u8]) -> Option<Handle> {
        let (nonce, body) = sealed.split_at_checked(NONCE_LEN)?;
        let mut body = body.to_vec();
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let opened = self.key.open_in_place(nonce, Aad::from(subject.as_bytes()), &mut body).ok()?;
        serde_json::from_slice(opened).ok()
    }

    /// A handle that has expired opens no more, whatever becomes of the machine's clock.
    fn now_s(&self) -> u64 {
        self.clock.now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
    }
}

fn no_such_handle() -> EngineError {
    EngineError::new(Code::NotFound, "there is no such handle, or it has expired; prepare the statement again")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handle_opens_for_its_subject_only() {
        let sealer = Sealer::random(60).unwrap();
        let handle = Handle::prepared("SELECT 1", Place::default());
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

    #[test]
    fn a_ticket_is_redeemed_for_its_purpose_only() {
        let sealer = Sealer::random(60).unwrap();
        let subject = crate::identity::Subject { name: "ann".to_string(), ..Default::default() };
        let asking =
            |purpose: Option<&str>| Asker { purpose: purpose.map(str::to_string), ..Asker::user(subject.clone()) };
        let ticket = Handle::prepared("SELECT 1", Place::default()).ticket(Some("care".to_string()));
        let sealed = sealer.seal("ann", &ticket).unwrap();
        assert_eq!(sealer.redeem(&asking(Some("care")), &sealed).unwrap().sql, "SELECT 1");
        for other in [None, Some("research"), Some("Care")] {
            assert_eq!(sealer.redeem(&asking(other), &sealed).unwrap_err().code(), Code::NotFound);
        }
        sealer.open_prepared("ann", &sealed).unwrap_err();
        let prepared = sealer.seal("ann", &Handle::prepared("SELECT 1", Place::default())).unwrap();
        assert!(sealer.open_prepared("ann", &prepared).is_ok() && sealer.redeem(&asking(None), &prepared).is_err());
    }
}
