//! The rule that believes a caller: the `authorization` header if there is one, else the certificate if it is a peer's.

use std::collections::BTreeSet;

use rustls::pki_types::CertificateDer;

use super::certificate::peer_names;
use super::credentials::Credentials;
use super::session::{SessionId, Sessions};
use super::subject::Subject;
use super::users::Users;
use crate::config::Limits;
use crate::error::{Code, EngineError, Result};

/// Who a call is from, and in which session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// Who asks.
    pub subject: Subject,
    /// The session whose token the call carries, if it carries one.
    pub session: Option<SessionId>,
}

/// All by which a node believes a caller.
#[derive(Debug)]
pub struct Authenticator {
    users: Option<Users>,
    peers: BTreeSet<String>,
    sessions: Sessions,
}

impl Authenticator {
    /// Believes these users, and callers whose certificate has one of the `peers`' names.
    pub fn new(users: Option<Users>, peers: BTreeSet<String>, limits: &Limits) -> Self {
        let peers = peers.into_iter().map(|name| name.to_ascii_lowercase()).collect();
        Self { users, peers, sessions: Sessions::new(limits) }
    }

    /// Who calls. `authorization` is the header's value; `certificates` the chain that TLS has verified, or nothing.
    ///
    /// # Errors
    /// `UNAUTHENTICATED`, also when the header is wrong and the certificate would do; `BUSY`.
    pub async fn caller(&self, authorization: Option<&str>, certificates: &[CertificateDer<'_>]) -> Result<Caller> {
        let Some(header) = authorization else {
            let subject = self.peer(certificates).ok_or_else(|| self.unknown(certificates))?;
            return Ok(Caller { subject, session: None });
        };
        match Credentials::parse(header)? {
            Credentials::Basic { name, password } => {
                let proven = self.users()?.verify(&name, &password).await?;
                Ok(Caller { subject: proven.subject, session: None })
            }
            Credentials::Bearer(token) => self.by_token(&token),
        }
    }

    /// The handshake: believes `Basic` and opens a session, or finds the session of `Bearer`. The answer is the token
    /// for `authorization: Bearer`.
    ///
    /// # Errors
    /// As [`Authenticator::caller`].
    pub async fn handshake(&self, authorization: &str) -> Result<String> {
        match Credentials::parse(authorization)? {
            Credentials::Basic { name, password } => {
                let proven = self.users()?.verify(&name, &password).await?;
                self.sessions.open(&name, proven.by)
            }
            Credentials::Bearer(token) => self.by_token(&token).map(|_| token),
        }
    }

    /// Ends a session.
    pub fn close(&self, session: SessionId) {
        self.sessions.close(session);
    }

    /// A session is only as good as its user is now.
    fn by_token(&self, token: &str) -> Result<Caller> {
        let ended = || EngineError::new(Code::Unauthenticated, "the session is unknown or has ended; log in again");
        let session = self.sessions.find(token).ok_or_else(ended)?;
        match self.users()?.find_proven(&session.user, session.proven_by) {
            Some(subject) => Ok(Caller { subject, session: Some(session.id) }),
            None => {
                self.sessions.close(session.id);
                Err(ended())
            }
        }
    }

    fn users(&self) -> Result<&Users> {
        self.users.as_ref().ok_or_else(|| {
            EngineError::new(Code::Unauthenticated, "this node has no users; it answers coordinators by certificate")
        })
    }

    fn peer(&self, certificates: &[CertificateDer<'_>]) -> Option<Subject> {
        peer_names(certificates).into_iter().find(|name| self.peers.contains(name)).map(Subject::peer)
    }

    fn unknown(&self, certificates: &[CertificateDer<'_>]) -> EngineError {
        let sentence = match peer_names(certificates).first() {
            Some(name) => {
                format!("the certificate of `{name}` is not one of this node's peers; its `peers` must name it")
            }
            None => "log in with a user name and a password".to_string(),
        };
        EngineError::new(Code::Unauthenticated, sentence)
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use rustls::pki_types::pem::PemObject;

    use super::super::{certs, users_file};
    use super::*;

    fn basic(name: &str, password: &str) -> String {
        format!("Basic {}", STANDARD.encode(format!("{name}:{password}")))
    }

    fn authenticator(directory: &std::path::Path) -> Authenticator {
        let path = directory.join("users.toml");
        users_file::add(&path, "ana", "right", BTreeSet::new()).unwrap();
        let users = Users::open(path, &Limits::default()).unwrap();
        Authenticator::new(Some(users), BTreeSet::from(["coordinator".to_string()]), &Limits::default())
    }

    fn certificate(directory: &std::path::Path, node: &str) -> Vec<CertificateDer<'static>> {
        let made = certs::init(directory, &[node.parse().unwrap()]).unwrap();
        vec![CertificateDer::from_pem_file(&made[1].certificate).unwrap()]
    }

    #[tokio::test]
    async fn a_user_logs_in_once_and_then_shows_the_token() {
        let directory = tempfile::tempdir().unwrap();
        let authenticator = authenticator(directory.path());
        let token = authenticator.handshake(&basic("ana", "right")).await.unwrap();
        let bearer = format!("Bearer {token}");
        let caller = authenticator.caller(Some(&bearer), &[]).await.unwrap();
        assert_eq!(caller.subject.to_string(), "user `ana`");
        assert_eq!(authenticator.handshake(&bearer).await.unwrap(), token, "a client may shake hands with its token");
        authenticator.close(caller.session.unwrap());
        authenticator.caller(Some(&bearer), &[]).await.unwrap_err();
        let direct = authenticator.caller(Some(&basic("ana", "right")), &[]).await.unwrap();
        assert_eq!((direct.subject, direct.session), (caller.subject, None));
    }

    #[tokio::test]
    async fn a_session_ends_with_the_password_that_opened_it() {
        let directory = tempfile::tempdir().unwrap();
        let authenticator = authenticator(directory.path());
        let token = authenticator.handshake(&basic("ana", "right")).await.unwrap();
        users_file::set_password(&directory.path().join("users.toml"), "ana", "new").unwrap();
        authenticator.caller(Some(&format!("Bearer {token}")), &[]).await.unwrap_err();
    }

    #[tokio::test]
    async fn a_coordinator_is_believed_by_its_certificate_and_another_node_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let authenticator = authenticator(directory.path());
        let coordinator = certificate(directory.path(), "coordinator");
        let caller = authenticator.caller(None, &coordinator).await.unwrap();
        assert_eq!(caller.subject, Subject::peer("coordinator"));
        let other = authenticator.caller(None, &certificate(directory.path(), "faa")).await.unwrap_err();
        assert!(other.to_string().contains("`faa`"), "{other}");
        assert_eq!(authenticator.caller(None, &[]).await.unwrap_err().code(), Code::Unauthenticated);
    }

    #[tokio::test]
    async fn a_wrong_password_is_not_made_good_by_a_certificate() {
        let directory = tempfile::tempdir().unwrap();
        let authenticator = authenticator(directory.path());
        let coordinator = certificate(directory.path(), "coordinator");
        for header in [basic("ana", "wrong"), "Bearer made-up".to_string(), "Nonsense".to_string()] {
            let refused = authenticator.caller(Some(&header), &coordinator).await.unwrap_err();
            assert_eq!(refused.code(), Code::Unauthenticated);
        }
    }

    #[tokio::test]
    async fn a_node_without_users_believes_no_password() {
        let authenticator = Authenticator::new(None, BTreeSet::new(), &Limits::default());
        let refused = authenticator.handshake(&basic("ana", "right")).await.unwrap_err();
        assert!(refused.to_string().contains("no users"), "{refused}");
    }
}
