//! Bearer sessions: after one handshake a client shows a token, for as long as it keeps using it. What is set in a
//! session, its purpose among it, is kept with it; an issuer's token is believed without a session and has one for this only.
//!
//! Clients keep the first token they get for hours (JDBC never takes a second), so a session's end moves on with each
//! use instead of the token being replaced.

use std::collections::HashMap;
use std::fmt;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use parking_lot::Mutex;
use ring::rand::{SecureRandom, SystemRandom};

use crate::config::Limits;
use crate::error::{Code, EngineError, Result};
use crate::session::place::Place;

const TOKEN_BYTES: usize = 32;

/// Names a session without giving it away: the hash of its token.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SessionId(blake3::Hash);

impl SessionId {
    fn of(token: &str) -> Self {
        Self(blake3::hash(token.as_bytes()))
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SessionId({})", self.0.to_hex().chars().take(8).collect::<String>())
    }
}

/// What is set in a session.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    /// The purpose that was chosen.
    pub purpose: Option<String>,
    /// Where short names are looked for.
    pub place: Place,
}

/// A session of ours that was found: whose it is, and the password it was opened with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenSession {
    /// The session, to keep settings by.
    pub id: SessionId,
    /// The user who opened it.
    pub user: String,
    /// What the user was believed by; when that changes, the session is no more.
    pub proven_by: blake3::Hash,
    /// What was set in it.
    pub settings: Settings,
}

/// The sessions of a node. Tokens are kept as hashes only.
#[derive(Debug)]
pub struct Sessions {
    open: Mutex<HashMap<SessionId, Entry>>,
    lifetime: Duration,
    sessions_max: usize,
    sessions_per_user_max: usize,
}

#[derive(Debug)]
struct Entry {
    user: String,
    /// The password; `None` where an issuer's token proves the user anew with each call.
    proven_by: Option<blake3::Hash>,
    settings: Settings,
    last_used: Instant,
}

impl Sessions {
    /// No session yet.
    pub fn new(limits: &Limits) -> Self {
        Self {
            open: Mutex::default(),
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
        let token = random_token()?;
        self.insert(SessionId::of(&token), user, Some(proven_by))?;
        Ok(token)
    }

    /// The session of a token of ours, whose end moves on.
    pub fn find(&self, token: &str) -> Option<OpenSession> {
        let id = SessionId::of(token);
        let mut open = self.open.lock();
        let entry = self.used(&mut open, id)?;
        let proven_by = entry.proven_by?;
        Some(OpenSession { id, user: entry.user.clone(), proven_by, settings: entry.settings.clone() })
    }

    /// The session of an issuer's token, which has been verified for this call, and what was set in it.
    ///
    /// # Errors
    /// `BUSY` when it is new and too many are open.
    pub fn adopt(&self, token: &str, user: &str) -> Result<(SessionId, Settings)> {
        let id = SessionId::of(token);
        if let Some(entry) = self.used(&mut self.open.lock(), id) {
            return Ok((id, entry.settings.clone()));
        }
        self.insert(id, user, None)?;
        Ok((id, Settings::default()))
    }

    /// Keeps what is set in a session; false when the session is no longer open.
    pub fn set(&self, id: SessionId, change: impl FnOnce(&mut Settings)) -> bool {
        match self.open.lock().get_mut(&id) {
            Some(entry) => {
                change(&mut entry.settings);
                true
            }
            None => false,
        }
    }

    fn insert(&self, id: SessionId, user: &str, proven_by: Option<blake3::Hash>) -> Result<()> {
        let now = Instant::now();
        let mut open = self.open.lock();
        if open.len() >= self.sessions_max {
            open.retain(|_, entry| now.duration_since(entry.last_used) < self.lifetime);
        }
        make_room_for(user, &mut open, self.sessions_per_user_max);
        if open.len() >= self.sessions_max {
            return Err(EngineError::new(Code::Busy, "too many sessions are open at this server; try again later"));
        }
        open.insert(id, Entry { user: user.to_string(), proven_by, settings: Settings::default(), last_used: now });
        Ok(())
    }

    /// The entry of a session that has not ended, whose end moves on.
    fn used<'a>(&self, open: &'a mut HashMap<SessionId, Entry>, id: SessionId) -> Option<&'a Entry> {
        let now = Instant::now();
        if now.duration_since(open.get(&id)?.last_used) >= self.lifetime {
            open.remove(&id);
            return None;
        }
        let entry = open.get_mut(&id)?;
        entry.last_used = now;
        Some(entry)
    }

    /// Whether a session is open; its end moves on, for a query that runs in it is a use of it.
    pub fn keep(&self, id: SessionId) -> bool {
        self.used(&mut self.open.lock(), id).is_some()
    }

    /// How many are open and not over.
    pub fn count(&self) -> usize {
        let now = Instant::now();
        self.open.lock().values().filter(|entry| now.duration_since(entry.last_used) < self.lifetime).count()
    }

    /// Ends a session; one that is not open is none.
    pub fn close(&self, id: SessionId) {
        self.open.lock().remove(&id);
    }
}

/// One user cannot crowd out the others: beyond their share, their own least recently used session ends.
fn make_room_for(user: &str, open: &mut HashMap<SessionId, Entry>, share: usize) {
    let own = || open.iter().filter(|(_, entry)| entry.user == user);
    if own().count() < share {
        return;
    }
    if let Some(oldest) = own().min_by_key(|(_, entry)| entry.last_used).map(|(id, _)| *id) {
        open.remove(&oldest);
    }
}

fn random_token() -> Result<String> {
    let mut bytes = [0_u8; TOKEN_BYTES];
    SystemRandom::new().fill(&mut bytes).map_err(|_| EngineError::defect("the system has no randomness"))?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sessions(limits: Limits) -> Sessions {
        Sessions::new(&limits)
    }

    fn proof() -> blake3::Hash {
        blake3::hash(b"proof")
    }

    #[test]
    fn a_session_is_found_by_its_token_until_it_is_closed() {
        let sessions = sessions(Limits::default());
        let token = sessions.open("ana", proof()).unwrap();
        let found = sessions.find(&token).unwrap();
        assert_eq!((found.user.as_str(), found.proven_by), ("ana", proof()));
        assert_eq!(sessions.find("made up"), None);
        sessions.close(found.id);
        assert_eq!(sessions.find(&token), None);
    }

    #[test]
    fn no_two_tokens_are_alike() {
        let sessions = sessions(Limits::default());
        assert_ne!(sessions.open("ana", proof()).unwrap(), sessions.open("ana", proof()).unwrap());
    }

    #[test]
    fn an_unused_session_ends_and_a_used_one_does_not() {
        let mut sessions = sessions(Limits::default());
        sessions.lifetime = Duration::from_millis(200);
        let (used, unused) = (sessions.open("ana", proof()).unwrap(), sessions.open("ana", proof()).unwrap());
        for _ in 0..5 {
            std::thread::sleep(Duration::from_millis(60));
            assert!(sessions.find(&used).is_some());
        }
        assert_eq!(sessions.find(&unused), None);
    }

    #[test]
    fn a_user_has_a_share_and_the_node_a_limit() {
        let limits = Limits { sessions_max: 3, sessions_per_user_max: 2, ..Limits::default() };
        let sessions = sessions(limits);
        let first = sessions.open("ana", proof()).unwrap();
        let second = sessions.open("ana", proof()).unwrap();
        let third = sessions.open("ana", proof()).unwrap();
        assert!(sessions.find(&first).is_none() && sessions.find(&second).is_some() && sessions.find(&third).is_some());
        sessions.open("bob", proof()).unwrap();
        assert_eq!(sessions.open("eve", proof()).unwrap_err().code(), Code::Busy);
    }
}
