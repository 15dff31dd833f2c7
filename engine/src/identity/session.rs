//! Bearer sessions: after one handshake a client shows a token, for as long as it keeps using it. What is set in a
//! session, its purpose among it, is kept with it; an issuer's token and a certificate are believed without a session
//! and have one for this only.
//!
//! Clients keep the first token they get for hours (JDBC never takes a second), so a session's end moves on with each
//! use instead of the token being replaced.
//!
//! - `id`: what a session is found and named by; `basis`: what it rests on.
//! - here: all of a node's, how they are opened and found; `listed`: how they are told to people, and ended by them.

mod basis;
mod id;
mod listed;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use parking_lot::Mutex;
use ring::rand::{SecureRandom, SystemRandom};
use rustls::pki_types::CertificateDer;

pub use basis::{SessionKind, SessionProof};
pub use id::SessionId;
pub use listed::SessionRecord;

use self::basis::{Basis, Issued, IssuedId};
use self::id::SessionKey;
use crate::config::Limits;
use crate::error::{Code, EngineError, Result};
use crate::session::place::Place;

const TOKEN_BYTES: usize = 32;

/// What is set in a session.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    /// The purpose that was chosen.
    pub purpose: Option<String>,
    /// Where short names are looked for.
    pub place: Place,
    /// How long its statements may run, where it says so.
    pub statement_timeout: Option<Duration>,
}

/// A session of ours that was found: whose it is, and by what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenSession {
    /// The session, to keep settings by.
    pub id: SessionId,
    /// The user who opened it.
    pub user: String,
    /// What the user was believed by; when that is believed no more, the session is no more.
    pub proof: SessionProof,
    /// What was set in it.
    pub settings: Settings,
}

/// The sessions of a node. Tokens are kept as hashes only.
#[derive(Debug)]
pub struct Sessions {
    open: Mutex<Open>,
    /// How many were ever opened.
    openings: AtomicU64,
    /// Issuers' tokens that an administrator has ended, until they expire.
    ended: Mutex<HashMap<IssuedId, SystemTime>>,
    lifetime: Duration,
    sessions_max: usize,
    sessions_per_user_max: usize,
}

type Open = HashMap<SessionKey, Entry>;

#[derive(Debug)]
struct Entry {
    /// Which one this is of all that were ever opened.
    opening: u64,
    user: String,
    /// What proves the user; `None` where no token of ours finds the session: the issuer's own does, or the
    /// certificate.
    proof: Option<SessionProof>,
    settings: Settings,
    opened_at: SystemTime,
    last_used: Instant,
    basis: Basis,
    client: Option<String>,
    address: Option<IpAddr>,
    statements: u64,
}

impl Sessions {
    /// No session yet.
    pub fn new(limits: &Limits) -> Self {
        Self {
            open: Mutex::default(),
            openings: AtomicU64::new(0),
            ended: Mutex::default(),
            lifetime: Duration::from_secs(limits.session_lifetime_s),
            sessions_max: limits.sessions_max,
            sessions_per_user_max: limits.sessions_per_user_max,
        }
    }

    /// Opens a session; the answer is its token, which is told once and kept nowhere.
    ///
    /// # Errors
    /// `BUSY` when too many are open.
    pub fn open(&self, user: &str, proven_by: blake3::Hash) -> Result<String> {
        self.open_proven(user, SessionProof::Password(proven_by), Basis::Password)
    }

    /// Opens a session of its own for an issuer's token, which has been verified and expires then; the answer is its token.
    ///
    /// # Errors
    /// `BUSY` when too many are open.
    pub fn open_for(&self, user: &str, issued: &str, ends: Option<SystemTime>) -> Result<String> {
        self.open_proven(user, SessionProof::Token(Arc::from(issued)), Basis::Token(Issued::of(issued, ends)))
    }

    /// Opens a session of its own for a certificate, which is in force until then; the answer is its token.
    ///
    /// # Errors
    /// `BUSY` when too many are open.
    pub fn open_certified(&self, user: &str, certificate: &CertificateDer<'_>, ends: SystemTime) -> Result<String> {
        let proof = SessionProof::Certificate(certificate.clone().into_owned());
        self.open_proven(user, proof, Basis::Certificate { ends })
    }

    fn open_proven(&self, user: &str, proof: SessionProof, basis: Basis) -> Result<String> {
        let token = random_token()?;
        self.insert(&mut self.open.lock(), SessionKey::of(&token), user, Some(proof), basis)?;
        Ok(token)
    }

    /// Whether an issuer's token has been ended, with every session that it opened.
    pub fn has_ended(&self, issued: &str) -> bool {
        self.ended.lock().contains_key(&IssuedId::of(issued))
    }

    /// The session of a token of ours, whose end moves on.
    pub fn find(&self, token: &str) -> Option<OpenSession> {
        let key = SessionKey::of(token);
        let mut open = self.open.lock();
        let entry = self.used(&mut open, key)?;
        let proof = entry.proof.clone()?;
        let id = SessionId { key, opening: entry.opening };
        Some(OpenSession { id, user: entry.user.clone(), proof, settings: entry.settings.clone() })
    }

    /// The session of an issuer's token, which has been verified for this call and expires then, and what was set in it.
    ///
    /// # Errors
    /// `BUSY` when it is new and too many are open.
    pub fn adopt(&self, token: &str, user: &str, ends: Option<SystemTime>) -> Result<(SessionId, Settings)> {
        self.found_or_opened(SessionKey::of(token), user, Basis::Token(Issued::of(token, ends)))
    }

    /// The session of a user's certificate, which is in force until then, and what was set in it. All connections that
    /// show the certificate share it.
    ///
    /// # Errors
    /// `BUSY` when it is new and too many are open.
    pub fn adopt_certificate(
        &self,
        certificate: &CertificateDer<'_>,
        user: &str,
        ends: SystemTime,
    ) -> Result<(SessionId, Settings)> {
        self.found_or_opened(SessionKey::of_certificate(certificate, user), user, Basis::Certificate { ends })
    }

    /// Under one lock: of two first calls one opens it, and the other finds it with what was set since.
    fn found_or_opened(&self, key: SessionKey, user: &str, basis: Basis) -> Result<(SessionId, Settings)> {
        let mut open = self.open.lock();
        if let Some(entry) = self.used(&mut open, key) {
            return Ok((SessionId { key, opening: entry.opening }, entry.settings.clone()));
        }
        let id = self.insert(&mut open, key, user, None, basis)?;
        Ok((id, Settings::default()))
    }

    /// Keeps what is set in a session; false when the session is no longer open.
    pub fn set(&self, id: SessionId, change: impl FnOnce(&mut Settings)) -> bool {
        match opened(&mut self.open.lock(), id) {
            Some(entry) => {
                change(&mut entry.settings);
                true
            }
            None => false,
        }
    }

    fn insert(
        &self,
        open: &mut Open,
        key: SessionKey,
        user: &str,
        proof: Option<SessionProof>,
        basis: Basis,
    ) -> Result<SessionId> {
        let (now, today) = (Instant::now(), SystemTime::now());
        // Asked here, where no token can be ended meanwhile: it was verified before.
        if basis.issued().is_some_and(|issued| self.ended.lock().contains_key(&issued.id)) {
            return Err(not_believed());
        }
        open.retain(|_, entry| self.is_open(entry, (now, today)));
        make_room_for(user, open, self.sessions_per_user_max);
        if open.len() >= self.sessions_max {
            return Err(EngineError::new(Code::Busy, "too many sessions are open at this server; try again later"));
        }
        let opening = self.openings.fetch_add(1, Ordering::Relaxed);
        let entry = Entry {
            opening,
            user: user.to_string(),
            proof,
            settings: Settings::default(),
            opened_at: today,
            last_used: now,
            basis,
            client: None,
            address: None,
            statements: 0,
        };
        open.insert(key, entry);
        Ok(SessionId { key, opening })
    }

    /// The entry of a session that has not ended, whose end moves on.
    fn used<'a>(&self, open: &'a mut Open, key: SessionKey) -> Option<&'a Entry> {
        let now = Instant::now();
        if !self.is_open(open.get(&key)?, (now, SystemTime::now())) {
            open.remove(&key);
            return None;
        }
        let entry = open.get_mut(&key)?;
        entry.last_used = now;
        Some(entry)
    }

    /// Whether it has been used of late, and what proves its user has not expired.
    fn is_open(&self, entry: &Entry, (now, today): (Instant, SystemTime)) -> bool {
        let ends = entry.basis.ends();
        now.duration_since(entry.last_used) < self.lifetime && ends.is_none_or(|ends| today <= ends)
    }

    /// Whether a session is open; its end moves on, for a query that runs in it is a use of it.
    pub fn keep(&self, id: SessionId) -> bool {
        let mut open = self.open.lock();
        opened(&mut open, id).is_some() && self.used(&mut open, id.key).is_some()
    }

    /// How many are open and not over.
    pub fn count(&self) -> usize {
        let now = (Instant::now(), SystemTime::now());
        self.open.lock().values().filter(|entry| self.is_open(entry, now)).count()
    }

    /// Ends a session; one that is not open is none.
    pub fn close(&self, id: SessionId) {
        let mut open = self.open.lock();
        if opened(&mut open, id).is_some() {
            open.remove(&id.key);
        }
    }
}

/// The entry of a session, if it is the same that was opened then.
fn opened(open: &mut Open, id: SessionId) -> Option<&mut Entry> {
    open.get_mut(&id.key).filter(|entry| entry.opening == id.opening)
}

/// One user cannot crowd out the others: beyond their share, their own least recently used session ends.
fn make_room_for(user: &str, open: &mut Open, share: usize) {
    let own = || open.iter().filter(|(_, entry)| entry.user == user);
    if own().count() < share {
        return;
    }
    if let Some(oldest) = own().min_by_key(|(_, entry)| entry.last_used).map(|(key, _)| *key) {
        open.remove(&oldest);
    }
}

/// Of every bearer credential that is not believed, whatever is wrong with it: the log says which of an issuer's tokens why.
pub(super) fn not_believed() -> EngineError {
    let sentence = "the token is not believed here, or its session has ended; sign in again, or get a new one";
    EngineError::new(Code::Unauthenticated, sentence)
}

fn random_token() -> Result<String> {
    let mut bytes = [0_u8; TOKEN_BYTES];
    SystemRandom::new().fill(&mut bytes).map_err(|_| EngineError::defect("the system has no randomness"))?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}
