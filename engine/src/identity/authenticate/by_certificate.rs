//! Callers who show a certificate: coordinators that this node lists, and users of its users file.

use std::sync::Arc;
use std::time::SystemTime;

use rustls::pki_types::CertificateDer;

use super::{Authenticator, Caller, Peer, Proof, SignIn, label};
use crate::error::{Code, EngineError, Result};
use crate::identity::asker::Believed;
use crate::identity::certificate::{Certificate, peer_names};

impl Authenticator {
    /// A call without a header is a coordinator's or a user's, as its certificate says.
    pub(super) fn by_certificate(&self, certificates: &[CertificateDer<'_>]) -> Result<Caller> {
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
    pub(super) fn certified<'a>(&self, certificates: &'a [CertificateDer<'a>]) -> Option<Certified<'a>> {
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

    pub(super) fn certified_or_refused<'a>(&self, certificates: &'a [CertificateDer<'a>]) -> Result<Certified<'a>> {
        self.certified(certificates).ok_or_else(|| self.unknown(certificates))
    }

    pub(super) fn check_revoked(&self, certificates: &[CertificateDer<'_>]) -> Result<()> {
        let Some(revoked) = &self.revoked else { return Ok(()) };
        if revoked.has_any(certificates) {
            let sentence = "the certificate of this connection is revoked; its owner needs another one";
            return Err(EngineError::new(Code::Unauthenticated, sentence));
        }
        Ok(())
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
pub(super) struct Certified<'a> {
    pub(super) user: Believed,
    pub(super) certificate: &'a CertificateDer<'a>,
    pub(super) ends: SystemTime,
}

pub(super) fn owned(certificates: &[CertificateDer<'_>]) -> Arc<[CertificateDer<'static>]> {
    certificates.iter().map(|certificate| certificate.clone().into_owned()).collect()
}

#[cfg(test)]
mod tests {
    use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

    use super::super::tests::{authenticator, basic, certificate, sign_in, user};
    use super::*;
    use crate::config::TlsFiles;
    use crate::identity::revoked::revoke;
    use crate::identity::tls::Revoked;
    use crate::identity::{certs, users_file};

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
}
