//! Bearer sessions: after one handshake a client shows a token, for as long as it keeps using it. What is set in a
//! session, its purpose among it, is kept with it; an issuer's token and a certificate are believed without a session
//! and have one for this only.
//!
//! Clients keep the first token they get for hours (JDBC never takes a second), so a session's end moves on with each
//! use instead of the token being replaced.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use parking_lot::Mutex;
use ring::rand::{SecureRandom, SystemRandom};
use rustls::pki_types::CertificateDer;

use crate::config::Limits;
use crate::error::{Code, EngineError, Result};
use crate::session::place::Place;

const TOKEN_BYTES: usize = 32;
const SESSION_ID_DIGITS: usize = 32;
/// Of what a client says of itself so much is kept.
const CLIENT_CHARS_MAX: usize = 100;

/// A session as it was opened once. A certificate, or an issuer's token, may open it again when it has ended: that is
/// another one, and what rests on the first has ended with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SessionId {
    key: SessionKey,
    opening: u64,
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.key, f)
    }
}

/// Finds a session without giving it away: the hash of its token, or of its user and their certificate.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct SessionKey(blake3::Hash);

impl SessionKey {
    fn of(token: &str) -> Self {
        Self(blake3::hash(token.as_bytes()))
    }

    /// A certificate may become another user's. No name of a user has a control character, and so no token is hashed
    /// like this.
    fn of_certificate(certificate: &CertificateDer<'_>, user: &str) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(user.as_bytes()).update(b"\0").update(certificate);
        Self(hasher.finalize())
    }
}

/// The first half of the hash, which names the session to people.
impl fmt::Display for SessionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.to_hex().chars().take(SESSION_ID_DIGITS).collect::<String>())
    }
}

impl fmt::Debug for SessionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SessionKey({})", self.0.to_hex().chars().take(8).collect::<String>())
    }
}

/// How long a token is remembered as ended that says of no time when it ends.
const TOKEN_LIFETIME_MAX: Duration = Duration::from_secs(366 * 24 * 60 * 60);

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

/// By what the user of a session of ours was believed.
#[derive(Clone, PartialEq, Eq)]
pub enum SessionProof {
    /// The digest of the stored password.
    Password(blake3::Hash),
    /// An issuer's token, which is verified anew with each call.
    Token(Arc<str>),
    /// A certificate, which the connection of each call must show.
    Certificate(CertificateDer<'static>),
}

impl fmt::Debug for SessionProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Password(_) => "Password(..)",
            Self::Token(_) => "Token(..)",
            Self::Certificate(_) => "Certificate(..)",
        })
    }
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

/// By what the calls of a session are believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionKind {
    /// A token of ours, for a password.
    Password,
    /// An issuer's token.
    Token,
    /// A certificate.
    Certificate,
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

/// What a session rests on, and when that ends.
#[derive(Debug, Clone, Copy)]
enum Basis {
    Password,
    Token(Issued),
    Certificate { ends: SystemTime },
}

impl Basis {
    fn kind(self) -> SessionKind {
        match self {
            Self::Password => SessionKind::Password,
            Self::Token(_) => SessionKind::Token,
            Self::Certificate { .. } => SessionKind::Certificate,
        }
    }

    fn issued(self) -> Option<Issued> {
        match self {
            Self::Token(issued) => Some(issued),
            Self::Password | Self::Certificate { .. } => None,
        }
    }

    fn ends(self) -> Option<SystemTime> {
        match self {
            Self::Password => None,
            Self::Token(issued) => issued.ends,
            Self::Certificate { ends } => Some(ends),
        }
    }
}

/// An issuer's token by what of it is signed: of some signatures there are two, and both make the same token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct IssuedId(blake3::Hash);

impl IssuedId {
    fn of(token: &str) -> Self {
        let signed = token.rsplit_once('.').map_or(token, |(signed, _)| signed);
        Self(blake3::hash(signed.as_bytes()))
    }
}

/// An issuer's token and when it expires.
#[derive(Debug, Clone, Copy)]
struct Issued {
    id: IssuedId,
    ends: Option<SystemTime>,
}

impl Issued {
    fn of(token: &str, ends: Option<SystemTime>) -> Self {
        Self { id: IssuedId::of(token), ends }
    }
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
        assert_eq!((found.user.as_str(), found.proof), ("ana", SessionProof::Password(proof())));
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
    fn a_session_is_told_with_what_was_noted_and_ended_by_its_name() {
        let sessions = sessions(Limits::default());
        let (ana, bob) = (sessions.open("ana", proof()).unwrap(), sessions.open("bob", proof()).unwrap());
        let id = sessions.find(&ana).unwrap().id;
        sessions.note(id, Some("shell\n1.0"), Some([127, 0, 0, 1].into()));
        sessions.count_statement(id);
        let told = sessions.list(|user| user == "ana");
        assert_eq!(told.len(), 1);
        assert_eq!(
            (told[0].client.as_deref(), told[0].statements, told[0].kind),
            (Some("shell1.0"), 1, SessionKind::Password)
        );
        assert_eq!(sessions.list(|_| true).len(), 2);
        assert!(!id.to_string().contains(&ana));
        assert!(!sessions.end(&id.to_string(), |user| user == "bob").unwrap(), "it is ana's");
        assert!(sessions.end(&id.to_string(), |_| true).unwrap() && sessions.find(&ana).is_none());
        assert!(!sessions.end(&id.to_string(), |_| true).unwrap() && sessions.find(&bob).is_some());
    }

    #[test]
    fn an_issuers_token_is_ended_with_its_session_and_all_others_that_it_opened() {
        let sessions = sessions(Limits::default());
        let ends = Some(SystemTime::now() + Duration::from_secs(600));
        let (id, _) = sessions.adopt("a.b.c", "ana@issuer", ends).unwrap();
        let own = sessions.open_for("ana@issuer", "a.b.c", ends).unwrap();
        let found = sessions.find(&own).unwrap();
        assert_eq!(found.proof, SessionProof::Token(Arc::from("a.b.c")));
        assert_ne!(found.id, id, "a session of its own");
        assert!(sessions.list(|_| true).iter().all(|record| record.kind == SessionKind::Token));
        assert!(!format!("{sessions:?}").contains("a.b.c"));
        assert!(!sessions.has_ended("a.b.c"));
        assert!(sessions.end(&found.id.to_string(), |_| true).unwrap());
        assert!(sessions.has_ended("a.b.c") && !sessions.has_ended("a.d.c"));
        assert!(sessions.has_ended("a.b.d"), "the same token under the other signature");
        assert_eq!(sessions.count(), 0, "its other sessions have ended too");
        assert!(!sessions.keep(id), "and what runs in them");
        // It may have been verified just before.
        let refused = [sessions.open_for("ana@issuer", "a.b.c", ends).err(), sessions.adopt("a.b.c", "a", ends).err()];
        assert!(refused.into_iter().all(|error| error.unwrap().code() == Code::Unauthenticated));
        assert_eq!(sessions.count(), 0);
    }

    #[test]
    fn sessions_end_also_when_their_token_cannot_be_remembered() {
        let sessions = sessions(Limits { sessions_max: 2, ..Limits::default() });
        let ends = Some(SystemTime::now() + Duration::from_secs(600));
        for token in ["a.1.c", "a.2.c"] {
            let (id, _) = sessions.adopt(token, "ana", ends).unwrap();
            assert!(sessions.end(&id.to_string(), |_| true).unwrap());
        }
        let (third, _) = sessions.adopt("a.3.c", "ana", ends).unwrap();
        sessions.open_for("ana", "a.3.c", ends).unwrap();
        assert_eq!(sessions.end(&third.to_string(), |_| true).unwrap_err().code(), Code::Busy);
        assert_eq!(sessions.count(), 0);
    }

    #[test]
    fn a_certificate_has_one_session_for_each_of_its_users_until_it_expires() {
        let sessions = sessions(Limits::default());
        let certificate = CertificateDer::from(vec![0x30, 0x82]);
        let ends = SystemTime::now() + Duration::from_secs(600);
        let (id, _) = sessions.adopt_certificate(&certificate, "ana", ends).unwrap();
        assert!(sessions.set(id, |settings| settings.purpose = Some("care".to_string())));
        let (same, settings) = sessions.adopt_certificate(&certificate, "ana", ends).unwrap();
        assert_eq!((same, settings.purpose.as_deref()), (id, Some("care")));
        let (of_bob, settings) = sessions.adopt_certificate(&certificate, "bob", ends).unwrap();
        assert!(of_bob != id && settings == Settings::default(), "it became another user's");
        let own = sessions.find(&sessions.open_certified("ana", &certificate, ends).unwrap()).unwrap();
        assert_eq!((own.user.as_str(), own.proof), ("ana", SessionProof::Certificate(certificate.clone())));
        assert!(sessions.list(|_| true).iter().all(|record| record.kind == SessionKind::Certificate));
        // Ended, it is over for what runs in it, also when the certificate has opened another.
        assert!(sessions.end(&id.to_string(), |_| true).unwrap());
        let (again, settings) = sessions.adopt_certificate(&certificate, "ana", ends).unwrap();
        assert!(!sessions.keep(id) && sessions.keep(again) && settings == Settings::default());
        assert_eq!(again.to_string(), id.to_string());
        let over = SystemTime::now() - Duration::from_secs(1);
        let (expired, _) = sessions.adopt_certificate(&certificate, "eve", over).unwrap();
        assert!(!sessions.keep(expired));
    }

    #[test]
    fn what_was_begun_in_a_session_that_ended_touches_none_that_was_opened_since() {
        let sessions = sessions(Limits::default());
        let opened = || sessions.adopt("a.b.c", "ana", None).unwrap().0;
        let first = opened();
        sessions.close(first);
        let second = opened();
        assert!(!sessions.set(first, |settings| settings.purpose = Some("care".to_string())));
        sessions.note(first, Some("shell"), None);
        sessions.count_statement(first);
        sessions.close(first);
        assert!(!sessions.keep(first) && sessions.keep(second));
        let (same, settings) = sessions.adopt("a.b.c", "ana", None).unwrap();
        assert_eq!((same, settings), (second, Settings::default()));
        let told = sessions.list(|_| true);
        assert_eq!((told.len(), told[0].id, told[0].statements, &told[0].client), (1, second, 0, &None));
    }

    #[test]
    fn of_many_first_calls_one_opens_the_session_and_what_any_sets_is_kept() {
        const CALLS: usize = 8;
        let sessions = sessions(Limits::default());
        let (certificate, ends) = (CertificateDer::from(vec![0x30]), SystemTime::now() + Duration::from_secs(600));
        for round in 0..200 {
            let user = format!("user{round}");
            let together = std::sync::Barrier::new(CALLS);
            let call = || {
                together.wait();
                let (id, _) = sessions.adopt_certificate(&certificate, &user, ends).unwrap();
                sessions.count_statement(id);
                id
            };
            let ids: Vec<_> = std::thread::scope(|scope| {
                let calls: Vec<_> = (0..CALLS).map(|_| scope.spawn(call)).collect();
                calls.into_iter().map(|call| call.join().unwrap()).collect()
            });
            assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
            assert_eq!(sessions.list(|one| one == user)[0].statements, CALLS as u64);
        }
    }

    #[test]
    fn a_session_is_over_with_the_token_that_proves_its_user() {
        let sessions = sessions(Limits { sessions_max: 2, ..Limits::default() });
        let over = Some(SystemTime::now() - Duration::from_secs(1));
        let (id, _) = sessions.adopt("a.b.c", "ana", over).unwrap();
        let own = sessions.open_for("ana", "a.b.c", over).unwrap();
        assert_eq!((sessions.count(), sessions.list(|_| true).len()), (0, 0));
        assert!(!sessions.keep(id) && sessions.find(&own).is_none());
        for _ in 0..4 {
            sessions.open_for("bob", "a.d.c", over).unwrap();
        }
        sessions.open("eve", proof()).unwrap();
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
