//! The rule that believes a caller: the `authorization` header if there is one, else the certificate if it is a peer's
//! or a user's.
//!
//! Here: whom a call may be from, and by which header; `by_certificate`: by which certificate.

mod by_certificate;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;

use self::by_certificate::{Certified, owned};
use super::asker::{Believed, Came};
use super::credentials::Credentials;
use super::issuers::{Issuers, Shown};
use super::session::{OpenSession, SessionId, SessionProof, Sessions, Settings, not_believed};
use super::tls::Revoked;
use super::token::is_token;
use super::users::Users;
use crate::error::{Code, EngineError, Result};

/// Whom a call is from.
#[derive(Debug, Clone, PartialEq)]
pub enum Caller {
    /// A user.
    User {
        /// Who it is.
        user: Box<Believed>,
        /// How they signed in.
        sign_in: SignIn,
        /// What was set in the session.
        settings: Settings,
    },
    /// A coordinator.
    Peer(Peer),
}

/// How a user signed in: what a running query rests on, beside the user's token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignIn {
    /// The session that the call's token or certificate stands for, if it stands for one.
    pub session: Option<SessionId>,
    /// What a users file must still say; a token is verified by itself, and says when it ends.
    proof: Option<Proof>,
}

/// The user's name, and what a users file believes them by.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Proof {
    Password(String, blake3::Hash),
    /// The whole chain that the connection showed: any of it may be revoked.
    Certificate(String, Arc<[CertificateDer<'static>]>),
}

/// A coordinator that this node lists among its peers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// The first of its names that is a peer's.
    pub name: String,
    /// All of its names that are.
    pub names: Vec<String>,
    /// The certificate that it showed, which TLS has verified.
    pub certificate: CertificateDer<'static>,
}

/// All by which a node believes a caller.
#[derive(Debug)]
pub struct Authenticator {
    users: Option<Users>,
    peers: BTreeSet<String>,
    revoked: Option<Revoked>,
    issuers: Arc<Issuers>,
    sessions: Arc<Sessions>,
}

impl Authenticator {
    /// Believes these users and these issuers' tokens, and callers whose certificate has one of the `peers`' names or,
    /// if it has none of those, a user's.
    pub fn new(users: Option<Users>, peers: BTreeSet<String>, issuers: Arc<Issuers>, sessions: Arc<Sessions>) -> Self {
        let peers = peers.into_iter().map(|name| name.to_ascii_lowercase()).collect();
        Self { users, peers, revoked: None, issuers, sessions }
    }

    /// The same, which believes no certificate that its authority has taken back.
    #[must_use]
    pub fn without(self, revoked: Option<Revoked>) -> Self {
        Self { revoked, ..self }
    }

    /// Who calls. `authorization` is the header's value; `certificates` the chain that TLS has verified, or nothing;
    /// `from` where the call comes from.
    ///
    /// # Errors
    /// `UNAUTHENTICATED`, also when the header is wrong and the certificate would do; `BUSY`.
    pub async fn caller(
        &self,
        authorization: Option<&str>,
        certificates: &[CertificateDer<'_>],
        from: Option<IpAddr>,
    ) -> Result<Caller> {
        self.check_revoked(certificates)?;
        let Some(header) = authorization else { return self.by_certificate(certificates) };
        match Credentials::parse(header)? {
            Credentials::Basic { name, password } => {
                let proven = self.users()?.verify(&name, &password, from).await?;
                let sign_in = SignIn { session: None, proof: Some(Proof::Password(name, proven.by)) };
                Ok(Caller::User { user: Box::new(proven.user), sign_in, settings: Settings::default() })
            }
            Credentials::Bearer(token) if is_token(&token) => self.by_token(&token).await,
            Credentials::Bearer(token) => self.by_session(&token, certificates).await,
        }
    }

    /// The handshake: believes `Basic`, an issuer's token or, without a header, a user's certificate, and opens a
    /// session, or finds the session of `Bearer`. The answer is the token for `authorization: Bearer`. A session for an
    /// issuer's token or a certificate ends with it.
    ///
    /// # Errors
    /// As [`Authenticator::caller`].
    pub async fn handshake(
        &self,
        authorization: Option<&str>,
        certificates: &[CertificateDer<'_>],
        from: Option<IpAddr>,
    ) -> Result<String> {
        self.check_revoked(certificates)?;
        let Some(header) = authorization else {
            let Certified { user, certificate, ends } = self.certified_or_refused(certificates)?;
            return self.sessions.open_certified(&label(&user)?, certificate, ends);
        };
        match Credentials::parse(header)? {
            Credentials::Basic { name, password } => {
                let proven = self.users()?.verify(&name, &password, from).await?;
                self.sessions.open(&name, proven.by)
            }
            Credentials::Bearer(token) if is_token(&token) => {
                let user = self.believe(&token).await?;
                self.sessions.open_for(&label(&user)?, &token, user.ends)
            }
            Credentials::Bearer(token) => self.by_session(&token, certificates).await.map(|_| token),
        }
    }

    /// Keeps what is set in a session; false when the session is no longer open.
    pub fn set(&self, session: SessionId, change: impl FnOnce(&mut Settings)) -> bool {
        self.sessions.set(session, change)
    }

    /// Whether a sign-in still holds: its session is open, its user there, not disabled, and with the same password, or
    /// still the user of a certificate with nothing in its chain revoked.
    pub fn holds(&self, sign_in: &SignIn) -> bool {
        let is_open = sign_in.session.is_none_or(|session| self.sessions.keep(session));
        let is_proven = match &sign_in.proof {
            None => true,
            Some(Proof::Password(name, by)) => {
                self.users.as_ref().is_some_and(|users| users.find_proven(name, *by).is_some())
            }
            Some(Proof::Certificate(name, chain)) => {
                let certified = self.certified(chain).filter(|certified| certified.user.subject.name == *name);
                certified.is_some() && self.check_revoked(chain).is_ok()
            }
        };
        is_open && is_proven
    }

    /// Notes from whom a call of a session came.
    pub fn note(&self, session: SessionId, client: Option<&str>, address: Option<IpAddr>) {
        self.sessions.note(session, client, address);
    }

    /// Counts a statement of a session.
    pub fn count_statement(&self, session: SessionId) {
        self.sessions.count_statement(session);
    }

    /// How many sessions are open.
    pub fn sessions(&self) -> usize {
        self.sessions.count()
    }

    /// Ends a session.
    pub fn close(&self, session: SessionId) {
        self.sessions.close(session);
    }

    /// A session is only as good as its user is now.
    async fn by_session(&self, token: &str, certificates: &[CertificateDer<'_>]) -> Result<Caller> {
        let OpenSession { id, user: name, proof, settings } = self.sessions.find(token).ok_or_else(not_believed)?;
        let (user, proof) = match proof {
            SessionProof::Password(by) => (self.users()?.find_proven(&name, by), Some(Proof::Password(name, by))),
            SessionProof::Token(issued) => (self.believe(&issued).await.ok(), None),
            SessionProof::Certificate(certificate) => {
                // The token is of no use to whoever has it without the certificate's key.
                if certificates.first() != Some(&certificate) {
                    return Err(not_believed());
                }
                let user = self.certified(certificates).map(|certified| certified.user);
                (user.filter(|user| user.subject.name == name), Some(Proof::Certificate(name, owned(certificates))))
            }
        };
        match user {
            Some(user) => {
                let sign_in = SignIn { session: Some(id), proof };
                Ok(Caller::User { user: Box::new(user), sign_in, settings })
            }
            None => {
                self.sessions.close(id);
                Err(not_believed())
            }
        }
    }

    /// An issuer's token is verified anew with each call; nothing weaker is tried in its place.
    async fn by_token(&self, token: &str) -> Result<Caller> {
        let user = self.believe(token).await?;
        let (session, settings) = self.sessions.adopt(token, &label(&user)?, user.ends)?;
        let sign_in = SignIn { session: Some(session), proof: None };
        Ok(Caller::User { user: Box::new(user), sign_in, settings })
    }

    /// The user of an issuer's token.
    async fn believe(&self, token: &str) -> Result<Believed> {
        if self.sessions.has_ended(token) {
            return Err(not_believed());
        }
        self.issuers.ready(token).await;
        self.issuers.by_token(token, Shown::AtTheDoor).map_err(|reason| {
            tracing::info!(reason, "a token is refused");
            not_believed()
        })
    }

    fn users(&self) -> Result<&Users> {
        self.users.as_ref().ok_or_else(|| {
            EngineError::new(
                Code::Unauthenticated,
                "this node has no users of its own; it answers to issuers' tokens \
                                                     and to coordinators by certificate",
            )
        })
    }
}

/// The name that a user's sessions are kept under.
fn label(user: &Believed) -> Result<String> {
    Ok(user.clone().asking(None, Came::Directly)?.label())
}
