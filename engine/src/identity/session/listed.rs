//! Sessions as people see them: what is noted of each, the list of them, and how one is ended by its name.

use std::net::IpAddr;
use std::time::{Duration, Instant, SystemTime};

use super::basis::{Issued, SessionKind};
use super::id::SessionId;
use super::{Sessions, opened};
use crate::error::{Code, EngineError, Result};

/// Of what a client says of itself so much is kept.
const CLIENT_CHARS_MAX: usize = 100;

/// How long a token is remembered as ended that says of no time when it ends.
const TOKEN_LIFETIME_MAX: Duration = Duration::from_secs(366 * 24 * 60 * 60);

/// A session as it is told to people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionRecord {
    /// The session.
    pub id: SessionId,
    /// Whose it is, as in the record of what they ask.
    pub subject: String,
    /// By what its calls are believed.
    pub kind: SessionKind,
    /// When it was opened.
    pub opened_at: SystemTime,
    /// When it was last used.
    pub last_used_at: SystemTime,
    /// What the client says that it is.
    pub client: Option<String>,
    /// Where its last call came from.
    pub address: Option<IpAddr>,
    /// Statements that were begun in it.
    pub statements: u64,
}

impl Sessions {
    /// Notes who a call of the session came from.
    pub fn note(&self, id: SessionId, client: Option<&str>, address: Option<IpAddr>) {
        if let Some(entry) = opened(&mut self.open.lock(), id) {
            let plain = |client: &str| client.chars().filter(|one| !one.is_control()).take(CLIENT_CHARS_MAX).collect();
            entry.client = client.map(plain);
            entry.address = address;
        }
    }

    /// Counts a statement.
    pub fn count_statement(&self, id: SessionId) {
        if let Some(entry) = opened(&mut self.open.lock(), id) {
            entry.statements += 1;
        }
    }

    /// Every open session that is `wanted`, the one that was opened first first.
    pub fn list(&self, wanted: impl Fn(&str) -> bool) -> Vec<SessionRecord> {
        let (now, today) = (Instant::now(), SystemTime::now());
        let open = self.open.lock();
        let mut records: Vec<_> = open
            .iter()
            .filter(|(_, entry)| self.is_open(entry, (now, today)) && wanted(&entry.user))
            .map(|(key, entry)| SessionRecord {
                id: SessionId { key: *key, opening: entry.opening },
                subject: entry.user.clone(),
                kind: entry.basis.kind(),
                opened_at: entry.opened_at,
                last_used_at: today.checked_sub(now.duration_since(entry.last_used)).unwrap_or(today),
                client: entry.client.clone(),
                address: entry.address,
                statements: entry.statements,
            })
            .collect();
        records.sort_by_key(|record| record.opened_at);
        records
    }

    /// Ends the session of that name if it is `wanted`, and an issuer's token with every session that it opened; says whether
    /// there was one. A certificate opens another with its next call: its user can be disabled, and it can be revoked.
    ///
    /// # Errors
    /// `BUSY` when as many tokens have been ended as can be remembered: the sessions have ended, and the token may open others.
    pub fn end(&self, name: &str, wanted: impl Fn(&str) -> bool) -> Result<bool> {
        let mut open = self.open.lock();
        let found =
            open.iter().find(|(key, entry)| key.to_string() == name && wanted(&entry.user)).map(|(key, _)| *key);
        let Some(key) = found else { return Ok(false) };
        if let Some(Issued { id: issued, ends }) = open.remove(&key).and_then(|entry| entry.basis.issued()) {
            open.retain(|_, entry| entry.basis.issued().is_none_or(|other| other.id != issued));
            let now = SystemTime::now();
            let mut ended = self.ended.lock();
            ended.retain(|_, until| *until > now);
            if ended.len() >= self.sessions_max {
                let sentence = "the session has ended, and all others of its token; but too many tokens have been ended for this \
                                one to be remembered, and it may open a session again: end that one later";
                return Err(EngineError::new(Code::Busy, sentence));
            }
            let longest = now + TOKEN_LIFETIME_MAX;
            ended.insert(issued, ends.unwrap_or(longest));
        }
        Ok(true)
    }
}
