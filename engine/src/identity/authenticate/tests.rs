//! Who is believed by a password, a session and an issuer's token, and for how long.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::pem::PemObject;

use super::super::issuers::PeerTrust;
use super::super::test_issuer::{DIRECT_AUDIENCE, TestKey, claims, issuer, write_keys};
use super::super::{certs, users_file};
use super::*;
use crate::config::Limits;

pub(super) fn basic(name: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{name}:{password}")))
}

pub(super) fn authenticator(directory: &std::path::Path) -> Authenticator {
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

pub(super) fn user(caller: Caller) -> (Believed, Option<SessionId>) {
    match caller {
        Caller::User { user, sign_in, .. } => (*user, sign_in.session),
        Caller::Peer(peer) => panic!("{peer:?} is no user"),
    }
}

pub(super) fn certificate(directory: &std::path::Path, node: &str) -> Vec<CertificateDer<'static>> {
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
    let bearer = format!("Bearer {}", authenticator.handshake(Some(&basic("ana", "right")), &[], None).await.unwrap());
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

pub(super) fn sign_in(caller: Caller) -> SignIn {
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
