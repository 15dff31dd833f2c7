//! Delegations that are believed, and every way in which one is not.

use jsonwebtoken::Algorithm;
use serde_json::json;

use super::super::asker::Subject;
use super::super::certs;
use super::super::issuers::PeerTrust;
use super::super::test_issuer::{DIRECT_AUDIENCE, ISSUER, TestKey, claims, issuer, now_s, write_keys};
use super::*;
use crate::config::{Extent, IssuerConfig, IssuerTrust, Listed, TlsFiles};

const STATEMENT: &str = "SELECT name FROM \"health\".\"civil\".\"patient\"";

/// A site `health`, a coordinator `hub` that it believes about clerks, a coordinator `spy` that is only a peer, and an
/// issuer of tokens.
struct World {
    directory: tempfile::TempDir,
    key: TestKey,
    verifier: DelegationVerifier,
    query: QueryId,
}

impl World {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let nodes = ["hub", "spy"].map(|name| name.parse().unwrap());
        certs::init(directory.path(), &nodes).unwrap();
        let key = TestKey::new("one", Algorithm::EdDSA);
        let keys = write_keys(directory.path(), &[key.jwk()]);
        let these = |name: &str| Listed::These([name.to_string()].into());
        let extent = Extent { roles: these("clerk"), users: these("bob"), ..Extent::WHOLE };
        let hub = IssuerConfig { name: "hub".to_string(), trust: IssuerTrust::Coordinator, extent };
        let issuers =
            Arc::new(Issuers::open(&[issuer(keys, &["analyst"]), hub], PeerTrust::Listed, &Limits::default()).unwrap());
        let verifier = DelegationVerifier::new("health", issuers, &Limits::default());
        Self { directory, key, verifier, query: QueryId::random() }
    }

    fn material(&self, node: &str) -> TlsMaterial {
        let at = |name: String| self.directory.path().join(name);
        let files = TlsFiles {
            certificate: at(format!("{node}.crt")),
            key: at(format!("{node}.key")),
            authority: at("authority.crt".to_string()),
            revoked: None,
        };
        TlsMaterial::load(&files).unwrap()
    }

    fn delegator(&self, node: &str) -> Delegator {
        Delegator::new(&self.material(node)).unwrap()
    }

    fn peer(&self, node: &str) -> Peer {
        let certificate = CertificateDer::from_pem_slice(self.material(node).certificate_pem.as_bytes()).unwrap();
        Peer { name: node.to_string(), names: vec![node.to_string()], certificate }
    }

    fn about(&self) -> About<'_> {
        About { site: "health", query: &self.query, fragment: 1, statement: Some(STATEMENT) }
    }

    /// A user by token, as the coordinator has verified it.
    fn by_token(&self) -> Asker {
        let token = self.key.token(&claims(json!({})));
        let believed = self.verifier.issuers.by_token(&token, Shown::By(&[])).unwrap();
        believed.asking(Some("care".to_string()), Came::Directly).unwrap()
    }

    fn local(&self) -> Asker {
        let purposes = ["care".to_string()].into();
        let roles = ["clerk".to_string(), "admin".to_string()].into();
        let subject = Subject { name: "bob".to_string(), roles, purposes, ..Subject::default() };
        Asker { purpose: Some("care".to_string()), ..Asker::user(subject) }
    }

    fn refused(&self, header: &[u8], expected: &str) {
        self.refused_from("hub", header, &self.about(), expected);
    }

    /// The reason is the expected one, and the answer says nothing of it.
    fn refused_from(&self, node: &str, header: &[u8], about: &About<'_>, expected: &str) {
        let peer = self.peer(node);
        let told = self.verifier.check(header, &peer, about);
        assert!(told.as_ref().is_err_and(|told| told.contains(expected)), "expected {expected}: {told:?}");
        let error = self.verifier.verify(header, &peer, about).unwrap_err();
        assert_eq!(error.code(), Code::Unauthenticated);
        assert!(!error.to_string().contains(expected), "{error}");
    }

    /// What the real coordinator would say and sign if it were taken over.
    fn forged(&self, asker: &Asker, change: impl FnOnce(&mut Terms, &mut String)) -> Vec<u8> {
        let hub = self.delegator("hub");
        let honest: Delegation = serde_json::from_slice(&hub.sign(asker, &self.about()).unwrap()).unwrap();
        let mut terms: Terms = serde_json::from_str(&honest.terms).unwrap();
        let mut proof = honest.proof;
        change(&mut terms, &mut proof);
        let forged = hub.signed(serde_json::to_string(&terms).unwrap(), proof).unwrap();
        serde_json::to_vec(&forged).unwrap()
    }
}

#[test]
fn a_token_goes_through_a_coordinator_that_is_believed_about_nobody() {
    let world = World::new();
    // One token: another would be made at another second.
    let by_token = world.by_token();
    let header = world.delegator("spy").sign(&by_token, &world.about()).unwrap();
    let asker = world.verifier.verify(&header, &world.peer("spy"), &world.about()).unwrap();
    assert_eq!(asker.label(), format!("ana@{ISSUER} via spy"));
    assert_eq!((asker.purpose.as_deref(), asker.came.clone()), (Some("care"), Came::Through("spy".to_string())));
    assert_eq!((asker.subject, asker.ends), (by_token.subject, by_token.ends));
}

#[test]
fn a_local_user_goes_through_a_coordinator_that_is_believed_for_the_role() {
    let world = World::new();
    let header = world.delegator("hub").sign(&world.local(), &world.about()).unwrap();
    let asker = world.verifier.verify(&header, &world.peer("hub"), &world.about()).unwrap();
    assert_eq!((asker.label().as_str(), asker.ends), ("bob via hub", None));
    assert_eq!(asker.subject.roles, ["clerk".to_string()].into(), "roles beyond those believed are dropped");
    let header = world.delegator("spy").sign(&world.local(), &world.about()).unwrap();
    world.refused_from("spy", &header, &world.about(), "not believed about its own users");
}

#[test]
fn where_no_policy_is_enforced_every_peer_is_believed() {
    let world = World::new();
    let issuers = Arc::new(Issuers::open(&[], PeerTrust::Every, &Limits::default()).unwrap());
    let verifier = DelegationVerifier::new("health", issuers, &Limits::default());
    let header = world.delegator("spy").sign(&world.local(), &world.about()).unwrap();
    let asker = verifier.verify(&header, &world.peer("spy"), &world.about()).unwrap();
    assert_eq!(asker.subject.roles, world.local().subject.roles);
}

#[test]
fn a_fragment_is_accepted_once() {
    let world = World::new();
    let (hub, peer) = (world.delegator("hub"), world.peer("hub"));
    let header = hub.sign(&world.local(), &world.about()).unwrap();
    world.verifier.verify(&header, &peer, &world.about()).unwrap();
    for again in [header, hub.sign(&world.local(), &world.about()).unwrap()] {
        assert_eq!(world.verifier.verify(&again, &peer, &world.about()).unwrap_err().code(), Code::Unauthenticated);
    }
    let next = About { fragment: 2, ..world.about() };
    world.verifier.verify(&hub.sign(&world.local(), &next).unwrap(), &peer, &next).unwrap();
    let before_restart = About { fragment: 3, ..world.about() };
    world.verifier.remember(&world.query, 3).unwrap();
    let header = hub.sign(&world.local(), &before_restart).unwrap();
    assert_eq!(world.verifier.verify(&header, &peer, &before_restart).unwrap_err().code(), Code::Unauthenticated);
}

#[test]
fn the_terms_are_for_this_call_only() {
    let world = World::new();
    let header = world.delegator("hub").sign(&world.local(), &world.about()).unwrap();
    let other_query = QueryId::random();
    let (altered, about) = (format!("{STATEMENT} "), world.about());
    for (about, expected) in [
        (About { site: "revenue", ..about }, "another site"),
        (About { query: &other_query, ..about }, "another query"),
        (About { fragment: 2, ..about }, "another fragment"),
        (About { statement: Some(&altered), ..about }, "another statement"),
        (About { statement: None, ..about }, "another statement"),
    ] {
        world.refused_from("hub", &header, &about, expected);
    }
    let view = About { statement: None, ..about };
    let header = world.delegator("hub").sign(&world.local(), &view).unwrap();
    world.refused(&header, "another statement");
    world.verifier.verify(&header, &world.peer("hub"), &view).unwrap();
}

#[test]
fn a_delegation_is_fresh() {
    let world = World::new();
    let (hub, now) = (world.delegator("hub"), SystemTime::now());
    let at = |time: SystemTime| hub.sign_at(&world.local(), &world.about(), time).unwrap();
    let peer = world.peer("hub");
    for good in [now - Duration::from_secs(358), now + Duration::from_secs(58)] {
        world.verifier.check(&at(good), &peer, &world.about()).unwrap();
    }
    world.refused(&at(now - Duration::from_secs(362)), "too old");
    world.refused(&at(now - Duration::from_secs(86_400)), "too old");
    world.refused(&at(UNIX_EPOCH), "too old");
    world.refused(&at(now + Duration::from_secs(62)), "of the future");
    world.refused(&world.forged(&world.local(), |terms, _| terms.issued_ms = u64::MAX), "of the future");
}

#[test]
fn the_signature_is_by_the_key_of_the_certificate_shown() {
    let world = World::new();
    let header = world.delegator("hub").sign(&world.by_token(), &world.about()).unwrap();
    world.refused_from("spy", &header, &world.about(), "not by the certificate's key");
    let spy = world.delegator("spy").sign(&world.by_token(), &world.about()).unwrap();
    world.refused(&spy, "not by the certificate's key");
    world.refused(
        &world.forged(&world.by_token(), |terms, _| terms.certificate = hex_digest(b"other")),
        "another certificate",
    );
    let edit = |change: fn(&mut Delegation)| {
        let mut delegation: Delegation = serde_json::from_slice(&header).unwrap();
        change(&mut delegation);
        serde_json::to_vec(&delegation).unwrap()
    };
    world.refused(&edit(|delegation| delegation.signature.clear()), "not by the certificate's key");
    world.refused(&edit(|delegation| delegation.signature = "!".to_string()), "cannot be read");
    world.refused(
        &edit(|delegation| delegation.terms = delegation.terms.replace("care", "cure")),
        "not by the certificate's key",
    );
    world.refused(&edit(|delegation| delegation.terms.push(' ')), "not by the certificate's key");
    for scheme in [0, u16::from(SignatureScheme::RSA_PKCS1_SHA1), u16::from(SignatureScheme::ECDSA_SHA1_Legacy)] {
        let mut delegation: Delegation = serde_json::from_slice(&header).unwrap();
        delegation.scheme = scheme;
        world.refused(&serde_json::to_vec(&delegation).unwrap(), "of a kind that");
    }
    world.refused(b"", "cannot be read");
    world.refused(b"{}", "cannot be read");
}

#[test]
fn the_proof_is_believed_by_itself() {
    let world = World::new();
    let by_token = world.by_token();
    let other = world.key.token(&claims(json!({"sub": "eve"})));
    let header = world.delegator("hub").sign(&by_token, &world.about()).unwrap();
    let mut swapped: Delegation = serde_json::from_slice(&header).unwrap();
    swapped.proof = other;
    world.refused(&serde_json::to_vec(&swapped).unwrap(), "not the one that was signed for");
    let with_proof = |kind: Kind, proof: String| {
        world.forged(&by_token, |terms, told| {
            terms.kind = kind;
            terms.proof = hex_digest(proof.as_bytes());
            *told = proof;
        })
    };
    let expired = world.key.token(&claims(json!({"exp": now_s() - 61})));
    world.refused(&with_proof(Kind::Token, expired), "expired");
    let minted = TestKey::new("one", Algorithm::EdDSA).token(&claims(json!({})));
    world.refused(&with_proof(Kind::Token, minted), "the signature");
    for audience in ["other", DIRECT_AUDIENCE] {
        let elsewhere = world.key.token(&claims(json!({"aud": audience})));
        world.refused(&with_proof(Kind::Token, elsewhere), "another audience");
    }
    let for_spy = world.key.token(&claims(json!({"act": {"sub": "spy"}})));
    world.refused(&with_proof(Kind::Token, for_spy), "another actor");
    let for_hub = world.key.token(&claims(json!({"act": {"sub": "Hub"}})));
    world.verifier.check(&with_proof(Kind::Token, for_hub), &world.peer("hub"), &world.about()).unwrap();
    world.refused(&with_proof(Kind::Token, "{\"name\":\"ana\"}".to_string()), "cannot be read");
    let session = "c2Vzc2lvbi10b2tlbg".to_string();
    world.refused(&with_proof(Kind::Token, session), "cannot be read");
    world.refused(&with_proof(Kind::Local, world.key.token(&claims(json!({})))), "claims about the user");
    for name in [format!("ana@{ISSUER}"), "ana via spy".to_string(), String::new(), "a\nb".to_string()] {
        let proof = json!({"name": name}).to_string();
        world.refused(&with_proof(Kind::Local, proof), "can be none of a users file");
    }
    world.refused(&with_proof(Kind::Local, json!({"name": "ana"}).to_string()), "not believed about this user");
    let huge = json!({"name": "bob", "attributes": {"note": "x".repeat(2_000)}}).to_string();
    world.refused(&with_proof(Kind::Local, huge), "over a limit");
    world.refused(&with_proof(Kind::Local, json!({"name": "bob", "admin": true}).to_string()), "claims about the user");
}

#[test]
fn the_purpose_is_the_delegations_and_one_that_the_proof_holds() {
    let world = World::new();
    let header = world.forged(&world.by_token(), |terms, _| terms.purpose = Some("audit".to_string()));
    let error = world.verifier.verify(&header, &world.peer("hub"), &world.about()).unwrap_err();
    assert_eq!(error.code(), Code::Purpose);
    let token = world.key.token(&claims(json!({"default_purpose": "research"})));
    let asker = world.verifier.issuers.by_token(&token, Shown::By(&[])).unwrap().asking(None, Came::Directly).unwrap();
    let header = world.delegator("hub").sign(&Asker { purpose: None, ..asker }, &world.about()).unwrap();
    let asker = world.verifier.verify(&header, &world.peer("hub"), &world.about()).unwrap();
    assert_eq!(asker.purpose, None, "a default of the user's is not chosen here");
}

#[test]
fn no_altered_header_is_believed() {
    let world = World::new();
    let header = world.delegator("hub").sign(&world.by_token(), &world.about()).unwrap();
    let peer = world.peer("hub");
    world.verifier.check(&header, &peer, &world.about()).unwrap();
    // JSON has several words for one thing, such as `\/` for `/`.
    let said = |header: &[u8]| serde_json::from_slice::<serde_json::Value>(header).ok();
    for _ in 0..3_000 {
        let mut altered = header.clone();
        let place = rand::random_range(0..altered.len());
        match rand::random_range(0..3) {
            0 => altered[place] ^= 1 << rand::random_range(0..8),
            1 => altered.truncate(place),
            _ => altered.insert(place, rand::random_range(b'!'..b'~')),
        }
        let told = world.verifier.check(&altered, &peer, &world.about());
        let is_another = said(&altered) != said(&header);
        assert!(told.is_err() || !is_another, "{}", String::from_utf8_lossy(&altered));
    }
}

#[test]
fn a_site_that_was_restored_believes_nothing_that_may_be_of_before() {
    let world = World::new();
    let (hub, peer) = (world.delegator("hub"), world.peer("hub"));
    let now = SystemTime::now();
    world.verifier.believe_none_before(now - Duration::from_secs(90));
    // Issued before it, and issued after it by a clock that may be ahead.
    for age in [100, 40] {
        let old = hub.sign_at(&world.local(), &world.about(), now - Duration::from_secs(age)).unwrap();
        world.refused(&old, "before this site was restored");
    }
    let fresh = hub.sign_at(&world.local(), &world.about(), now - Duration::from_secs(20)).unwrap();
    world.verifier.verify(&fresh, &peer, &world.about()).unwrap();
    world.verifier.verify(&fresh, &peer, &world.about()).unwrap_err();
}
