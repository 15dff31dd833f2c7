//! The rule that believes a caller: the `authorization` header if there is one, else the certificate if it is a peer's
//! or a user's.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::SystemTime;

use rustls::pki_types::CertificateDer;

use super::asker::{Believed, Came};
use super::certificate::{Certificate, peer_names};
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

    /// A call without a header is a coordinator's or a user's, as its certificate says.
    fn by_certificate(&self, certificates: &[CertificateDer<'_>]) -> Result<Caller> {
        if let Some(peer) = self.peer(certificates) {
            return Ok(Caller::Peer(peer));
        }
        let Certified { user, certificate, ends } = self.certified_or_refused(certificates)?;
        let (session, settings) = self.sessions.adopt_certificate(certificate, &label(&user)?, ends)?;
        let proof = Proof::Certificate(user.subject.name.clone(), owned(certificates));
        let sign_in = SignIn { session: Some(session), proof: Some(proof) };
        Ok(Caller::User { user: Box::new(user), sign_in, settings })
    }

    /// The user of a certificate, which is no peer's and still in force: TLS has seen to that when the connection was
    /// made.
    fn certified<'a>(&self, certificates: &'a [CertificateDer<'a>]) -> Option<Certified<'a>> {
        let certificate = certificates.first()?;
        let read = Certificate::parse(certificate).filter(Certificate::is_valid_now)?;
        if read.names().iter().any(|name| self.peers.contains(name)) {
            return None;
        }
        let user = self.users.as_ref()?.find_certified(read.names())?;
        let ends = read.ends();
        let user = Believed { ends: Some(ends), ..user };
        Some(Certified { user, certificate, ends })
    }

    fn certified_or_refused<'a>(&self, certificates: &'a [CertificateDer<'a>]) -> Result<Certified<'a>> {
        self.certified(certificates).ok_or_else(|| self.unknown(certificates))
    }

    fn check_revoked(&self, certificates: &[CertificateDer<'_>]) -> Result<()> {
        let Some(revoked) = &self.revoked else { return Ok(()) };
        if revoked.has_any(certificates) {
            let sentence = "the certificate of this connection is revoked; its owner needs another one";
            return Err(EngineError::new(Code::Unauthenticated, sentence));
        }
        Ok(())
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

    fn peer(&self, certificates: &[CertificateDer<'_>]) -> Option<Peer> {
        let mut names = peer_names(certificates);
        names.retain(|name| self.peers.contains(name));
        let certificate = certificates.first()?.clone().into_owned();
        Some(Peer { name: names.first()?.clone(), names, certificate })
    }

    fn unknown(&self, certificates: &[CertificateDer<'_>]) -> EngineError {
        let sentence = match peer_names(certificates).first() {
            Some(name) if self.peers.contains(name) => {
                format!("`{name}` is a coordinator, which asks on behalf of users and has no session of its own")
            }
            Some(name) => format!(
                "the certificate of `{name}` is not one of this node's peers, nor that of one user who is not disabled; its \
                 `peers` must name it, or the `certificate` of a user in its users file"
            ),
            None if !certificates.is_empty() => "the certificate of this connection carries no DNS name of its own \
                                                 (a subject alternative name), and by nothing else is its owner believed"
                .to_string(),
            None => "log in with a user name and a password (`authorization: Basic …`), with an issuer's token, or with \
                     a certificate"
                .to_string(),
        };
        EngineError::new(Code::Unauthenticated, sentence)
    }
}

/// A user, by a certificate that is in force until then.
struct Certified<'a> {
    user: Believed,
    certificate: &'a CertificateDer<'a>,
    ends: SystemTime,
}

fn owned(certificates: &[CertificateDer<'_>]) -> Arc<[CertificateDer<'static>]> {
    certificates.iter().map(|certificate| certificate.clone().into_owned()).collect()
}

/// The name that a user's sessions are kept under.
fn label(user: &Believed) -> Result<String> {
    Ok(user.clone().asking(None, Came::Directly)?.label())
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
    use rustls::pki_types::pem::PemObject;

    use super::super::issuers::PeerTrust;
    use super::super::revoked::revoke;
    use super::super::test_issuer::{DIRECT_AUDIENCE, TestKey, claims, issuer, write_keys};
    use super::super::{certs, users_file};
    use super::*;
    use crate::config::{Limits, TlsFiles};

    fn basic(name: &str, password: &str) -> String {
        format!("Basic {}", STANDARD.encode(format!("{name}:{password}")))
    }

    fn authenticator(directory: &std::path::Path) -> Authenticator {
        let path = directory.join("users.toml");
        users_file::add(&path, "ana", "right", BTreeSet::new()).unwrap();
        let users = Users::open(path, &Limits::default()).unwrap();
        Authenticator::new(
            Some(users),
            BTreeSet::from(["coordinator".to_string()]),
            nobody(),
            Arc::new(Sessions::new(&Limits::default())),
        )
    }

    fn nobody() -> Arc<Issuers> {
        Arc::new(Issuers::open(&[], PeerTrust::Listed, &Limits::default()).unwrap())
    }

    fn user(caller: Caller) -> (Believed, Option<SessionId>) {
        match caller {
            Caller::User { user, sign_in, .. } => (*user, sign_in.session),
            Caller::Peer(peer) => panic!("{peer:?} is no user"),
        }
    }

    fn certificate(directory: &std::path::Path, node: &str) -> Vec<CertificateDer<'static>> {
        let made = certs::init(directory, &[node.parse().unwrap()]).unwrap();
        vec![CertificateDer::from_pem_file(&made[1].certificate).unwrap()]
    }

    #[tokio::test]
    async fn a_user_logs_in_once_and_then_shows_the_token() {
        let directory = tempfile::tempdir().unwrap();
        let authenticator = authenticator(directory.path());
        let token = authenticator.handshake(Some(&basic("ana", "right")), &[], None).await.unwrap();
        let bearer = format!("Bearer {token}");
        let (ana, session) = user(authenticator.caller(Some(&bearer), &[], None).await.unwrap());
        assert_eq!(ana.subject.name, "ana");
        assert_eq!(
            authenticator.handshake(Some(&bearer), &[], None).await.unwrap(),
            token,
            "a client may shake hands with its token"
        );
        authenticator.close(session.unwrap());
        authenticator.caller(Some(&bearer), &[], None).await.unwrap_err();
        let direct = user(authenticator.caller(Some(&basic("ana", "right")), &[], None).await.unwrap());
        assert_eq!(direct, (ana, None));
    }

    #[tokio::test]
    async fn what_the_users_file_says_now_counts_in_an_open_session() {
        let directory = tempfile::tempdir().unwrap();
        let authenticator = authenticator(directory.path());
        let bearer =
            format!("Bearer {}", authenticator.handshake(Some(&basic("ana", "right")), &[], None).await.unwrap());
        users_file::set_facts(&directory.path().join("users.toml"), "ana", |facts| {
            facts.purposes.insert("care".to_string());
        })
        .unwrap();
        let (ana, _) = user(authenticator.caller(Some(&bearer), &[], None).await.unwrap());
        assert_eq!(ana.subject.purposes, BTreeSet::from(["care".to_string()]));
        users_file::remove(&directory.path().join("users.toml"), "ana").unwrap();
        authenticator.caller(Some(&bearer), &[], None).await.unwrap_err();
    }

    #[tokio::test]
    async fn a_session_ends_with_the_password_that_opened_it() {
        let directory = tempfile::tempdir().unwrap();
        let authenticator = authenticator(directory.path());
        let token = authenticator.handshake(Some(&basic("ana", "right")), &[], None).await.unwrap();
        users_file::set_password(&directory.path().join("users.toml"), "ana", "new").unwrap();
        authenticator.caller(Some(&format!("Bearer {token}")), &[], None).await.unwrap_err();
    }

    fn sign_in(caller: Caller) -> SignIn {
        match caller {
            Caller::User { sign_in, .. } => sign_in,
            Caller::Peer(peer) => panic!("{peer:?} is no user"),
        }
    }

    #[tokio::test]
    async fn a_sign_in_holds_until_its_session_is_closed_or_its_user_changes() {
        let directory = tempfile::tempdir().unwrap();
        let authenticator = authenticator(directory.path());
        let users = directory.path().join("users.toml");
        let in_session = async || {
            let bearer =
                format!("Bearer {}", authenticator.handshake(Some(&basic("ana", "right")), &[], None).await.unwrap());
            sign_in(authenticator.caller(Some(&bearer), &[], None).await.unwrap())
        };
        let (first, second) = (in_session().await, in_session().await);
        let by_password = sign_in(authenticator.caller(Some(&basic("ana", "right")), &[], None).await.unwrap());
        assert!([&first, &second, &by_password].into_iter().all(|one| authenticator.holds(one)));
        authenticator.close(first.session.unwrap());
        assert!(!authenticator.holds(&first) && authenticator.holds(&second) && authenticator.holds(&by_password));
        users_file::set_password(&users, "ana", "new").unwrap();
        assert!(!authenticator.holds(&second) && !authenticator.holds(&by_password));
        let again = sign_in(authenticator.caller(Some(&basic("ana", "new")), &[], None).await.unwrap());
        assert!(authenticator.holds(&again));
        users_file::remove(&users, "ana").unwrap();
        assert!(!authenticator.holds(&again));
    }

    #[tokio::test]
    async fn a_coordinator_is_believed_by_its_certificate_and_another_node_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let authenticator = authenticator(directory.path());
        let coordinator = certificate(directory.path(), "coordinator");
        let names = vec!["coordinator".to_string()];
        let peer = Peer { name: "coordinator".to_string(), names, certificate: coordinator[0].clone() };
        assert_eq!(authenticator.caller(None, &coordinator, None).await.unwrap(), Caller::Peer(peer));
        let other = authenticator.caller(None, &certificate(directory.path(), "faa"), None).await.unwrap_err();
        assert!(other.to_string().contains("`faa`"), "{other}");
        assert_eq!(authenticator.caller(None, &[], None).await.unwrap_err().code(), Code::Unauthenticated);
    }

    /// `ana` of this authenticator signs in by the certificate of `ana.example`.
    fn certified(directory: &std::path::Path) -> (Authenticator, Vec<CertificateDer<'static>>) {
        let authenticator = authenticator(directory);
        set_ana(directory, |user| user.certificate = Some("ana.example".to_string()));
        (authenticator, certificate(directory, "ana.example"))
    }

    fn set_ana(directory: &std::path::Path, edit: impl FnOnce(&mut users_file::User)) {
        users_file::set(&directory.join("users.toml"), "ana", edit).unwrap();
    }

    #[tokio::test]
    async fn a_user_is_known_by_a_certificate_and_has_a_session() {
        let directory = tempfile::tempdir().unwrap();
        let (authenticator, shown) = certified(directory.path());
        let (ana, session) = user(authenticator.caller(None, &shown, None).await.unwrap());
        assert!(ana.subject.name == "ana" && ana.ends.is_some(), "{ana:?}");
        assert!(authenticator.set(session.unwrap(), |settings| settings.purpose = Some("care".to_string())));
        let Caller::User { settings, .. } = authenticator.caller(None, &shown, None).await.unwrap() else {
            panic!("no user")
        };
        assert_eq!(settings.purpose.as_deref(), Some("care"));
        authenticator.caller(Some(&basic("ana", "wrong")), &shown, None).await.unwrap_err();

        // The token of a handshake counts beside the certificate only.
        let bearer = format!("Bearer {}", authenticator.handshake(None, &shown, None).await.unwrap());
        let (_, own) = user(authenticator.caller(Some(&bearer), &shown, None).await.unwrap());
        assert_ne!(own, session);
        for other in [Vec::new(), certificate(directory.path(), "bob.example")] {
            let refused = authenticator.caller(Some(&bearer), &other, None).await.unwrap_err();
            assert_eq!(refused.code(), Code::Unauthenticated);
        }
        user(authenticator.caller(Some(&bearer), &shown, None).await.unwrap());
        authenticator.close(own.unwrap());
        authenticator.caller(Some(&bearer), &shown, None).await.unwrap_err();
        user(authenticator.caller(None, &shown, None).await.unwrap());
    }

    #[tokio::test]
    async fn a_sign_in_by_certificate_holds_for_as_long_as_it_is_its_users() {
        let directory = tempfile::tempdir().unwrap();
        let (authenticator, shown) = certified(directory.path());
        let signed_in = async || sign_in(authenticator.caller(None, &shown, None).await.unwrap());
        let first = signed_in().await;
        assert!(authenticator.holds(&first));
        set_ana(directory.path(), |user| user.certificate = None);
        assert!(!authenticator.holds(&first));
        let refused = authenticator.caller(None, &shown, None).await.unwrap_err();
        assert!(refused.to_string().contains("the certificate of `ana.example`"), "{refused}");
        set_ana(directory.path(), |user| user.certificate = Some("ana.example".to_string()));
        let second = signed_in().await;
        assert!(authenticator.holds(&second));
        set_ana(directory.path(), |user| user.disabled = true);
        assert!(!authenticator.holds(&second));
        authenticator.caller(None, &shown, None).await.unwrap_err();
        authenticator.handshake(None, &shown, None).await.unwrap_err();
    }

    #[tokio::test]
    async fn what_runs_ends_with_its_session_though_a_new_call_opens_another() {
        let directory = tempfile::tempdir().unwrap();
        let (authenticator, shown) = certified(directory.path());
        let signed_in = async || sign_in(authenticator.caller(None, &shown, None).await.unwrap());
        let (first, same) = (signed_in().await, signed_in().await);
        assert!(first == same && authenticator.holds(&first));
        assert!(authenticator.sessions.end(&first.session.unwrap().to_string(), |_| true).unwrap());
        let second = signed_in().await;
        assert!(!authenticator.holds(&first) && authenticator.holds(&second));
    }

    /// The chain of `ana.example` below an authority that the directory's has signed, and the file of the certificate
    /// between.
    fn below_another_authority(directory: &std::path::Path) -> (Vec<CertificateDer<'static>>, std::path::PathBuf) {
        let authority = certs::Authority::in_directory(directory).unwrap();
        let mut between = CertificateParams::default();
        between.distinguished_name.push(DnType::CommonName, "The level below");
        between.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let [key, own_key] = [(), ()].map(|()| KeyPair::generate().unwrap());
        let level = between.signed_by(&key, &authority.issuer).unwrap();
        let own = CertificateParams::new(vec!["ana.example".to_string()]).unwrap();
        let own = own.signed_by(&own_key, &Issuer::new(between, key)).unwrap();
        let file = directory.join("level.crt");
        std::fs::write(&file, level.pem()).unwrap();
        (vec![own.der().clone(), level.der().clone()], file)
    }

    #[tokio::test]
    async fn what_rests_on_a_certificate_ends_when_an_authority_between_is_revoked() {
        let directory = tempfile::tempdir().unwrap();
        let (authenticator, _) = certified(directory.path());
        let (shown, level) = below_another_authority(directory.path());
        let made = certs::init(directory.path(), &["node".parse().unwrap()]).unwrap();
        let files = TlsFiles {
            certificate: made[1].certificate.clone(),
            key: made[1].key.clone(),
            authority: made[0].certificate.clone(),
            revoked: Some(revoke(directory.path(), None).unwrap()),
        };
        let authenticator = authenticator.without(Some(Revoked::open(&files).unwrap()));
        let bearer = format!("Bearer {}", authenticator.handshake(None, &shown, None).await.unwrap());
        let by_certificate = sign_in(authenticator.caller(None, &shown, None).await.unwrap());
        let by_session = sign_in(authenticator.caller(Some(&bearer), &shown, None).await.unwrap());
        assert!(authenticator.holds(&by_certificate) && authenticator.holds(&by_session));
        revoke(directory.path(), Some(&level)).unwrap();
        assert!(!authenticator.holds(&by_certificate) && !authenticator.holds(&by_session));
        let refused = authenticator.caller(None, &shown, None).await.unwrap_err();
        assert!(refused.to_string().contains("is revoked"), "{refused}");
        let of_the_authority_above = certificate(directory.path(), "ana.example");
        assert!(
            authenticator.holds(&sign_in(authenticator.caller(None, &of_the_authority_above, None).await.unwrap()))
        );
    }

    #[tokio::test]
    async fn a_peers_certificate_is_no_users() {
        let directory = tempfile::tempdir().unwrap();
        let authenticator = authenticator(directory.path());
        set_ana(directory.path(), |user| user.certificate = Some("coordinator".to_string()));
        let coordinator = certificate(directory.path(), "coordinator");
        assert!(matches!(authenticator.caller(None, &coordinator, None).await.unwrap(), Caller::Peer(_)));
        let refused = authenticator.handshake(None, &coordinator, None).await.unwrap_err();
        assert!(refused.to_string().contains("is a coordinator"), "{refused}");
    }

    #[tokio::test]
    async fn a_wrong_password_is_not_made_good_by_a_certificate() {
        let directory = tempfile::tempdir().unwrap();
        let authenticator = authenticator(directory.path());
        let coordinator = certificate(directory.path(), "coordinator");
        for header in [basic("ana", "wrong"), "Bearer made-up".to_string(), "Nonsense".to_string()] {
            let refused = authenticator.caller(Some(&header), &coordinator, None).await.unwrap_err();
            assert_eq!(refused.code(), Code::Unauthenticated);
        }
    }

    #[tokio::test]
    async fn a_node_without_users_believes_no_password() {
        let authenticator =
            Authenticator::new(None, BTreeSet::new(), nobody(), Arc::new(Sessions::new(&Limits::default())));
        let refused = authenticator.handshake(Some(&basic("ana", "right")), &[], None).await.unwrap_err();
        assert!(refused.to_string().contains("no users"), "{refused}");
    }

    #[tokio::test]
    async fn a_handshake_with_an_issuers_token_opens_a_session_of_its_own() {
        let directory = tempfile::tempdir().unwrap();
        let key = TestKey::new("one", jsonwebtoken::Algorithm::ES256);
        let issuer = issuer(write_keys(directory.path(), &[key.jwk()]), &["analyst"]);
        let issuers = Arc::new(Issuers::open(&[issuer], PeerTrust::Listed, &Limits::default()).unwrap());
        let sessions = Arc::new(Sessions::new(&Limits::default()));
        let authenticator = Authenticator::new(None, BTreeSet::new(), issuers, Arc::clone(&sessions));
        let token = key.token(&claims(serde_json::json!({"aud": DIRECT_AUDIENCE})));
        let bearer = format!("Bearer {token}");
        let mut bearers = Vec::new();
        for _ in 0..2 {
            bearers.push(format!("Bearer {}", authenticator.handshake(Some(&bearer), &[], None).await.unwrap()));
        }
        let signed_in = async |bearer: &str| authenticator.caller(Some(bearer), &[], None).await.map(user);
        let (ana, first) = signed_in(&bearers[0]).await.unwrap();
        let ((_, second), (_, shared)) = (signed_in(&bearers[1]).await.unwrap(), signed_in(&bearer).await.unwrap());
        assert_eq!(ana.subject.name, "ana");
        assert!(first != second && first != shared && second != shared, "three sessions");
        authenticator.set(first.unwrap(), |settings| settings.purpose = Some("care".to_string()));
        let Caller::User { settings, .. } = authenticator.caller(Some(&bearers[1]), &[], None).await.unwrap() else {
            panic!("no user")
        };
        assert_eq!(settings.purpose, None, "what is set in one is not set in the other");
        authenticator.close(first.unwrap());
        signed_in(&bearers[0]).await.unwrap_err();
        signed_in(&bearers[1]).await.unwrap();
        // Its token ends it, whoever bears it.
        assert!(sessions.end(&second.unwrap().to_string(), |_| true).unwrap());
        for bearer in [&bearers[1], &bearer] {
            assert_eq!(signed_in(bearer).await.unwrap_err().code(), Code::Unauthenticated);
        }
        assert_eq!(authenticator.handshake(Some(&bearer), &[], None).await.unwrap_err().code(), Code::Unauthenticated);
    }
}
