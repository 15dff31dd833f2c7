//! Tokens that are believed, and every one that is not.

use std::collections::BTreeSet;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

use super::super::asker::{Believed, Came};
use super::super::issuers::{Issuers, PeerTrust, Shown};
use super::super::test_issuer::{DIRECT_AUDIENCE, ISSUER, TestKey, claims, issuer, now_s, write_keys};
use crate::config::{Extent, IssuerTrust, Limits, Listed};

struct Fixture {
    directory: tempfile::TempDir,
    key: TestKey,
    issuers: Issuers,
}

impl Fixture {
    fn new(algorithm: Algorithm) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let key = TestKey::new("one", algorithm);
        let keys = write_keys(directory.path(), &[key.jwk(), TestKey::new("two", Algorithm::ES256).jwk()]);
        let issuers =
            Issuers::open(&[issuer(keys, &["analyst", "clerk"])], PeerTrust::Listed, &Limits::default()).unwrap();
        Self { directory, key, issuers }
    }

    fn verify(&self, token: &str) -> Result<Believed, &'static str> {
        self.issuers.by_token(token, Shown::By(&[]))
    }

    /// Signed by the issuer's key, but with these claims.
    fn refused(&self, change: Value, expected: &str) {
        let told = self.verify(&self.key.token(&claims(change.clone())));
        assert!(told.as_ref().is_err_and(|told| told.contains(expected)), "{change:.100}: {told:?}");
    }

    fn accepted(&self, change: Value) -> Believed {
        self.verify(&self.key.token(&claims(change.clone()))).unwrap_or_else(|told| panic!("{change}: {told}"))
    }
}

fn encoded(json: &Value) -> String {
    URL_SAFE_NO_PAD.encode(json.to_string())
}

#[test]
fn a_token_says_who_asks() {
    for algorithm in [Algorithm::EdDSA, Algorithm::ES256, Algorithm::ES384] {
        let fixture = Fixture::new(algorithm);
        let change = json!({"organisation": "health", "default_purpose": "care", "email": "a@b", "exp": now_s() + 99});
        let believed = fixture.accepted(change);
        let subject = &believed.subject;
        assert_eq!((subject.name.as_str(), subject.organisation.as_deref()), ("ana", Some("health")));
        assert_eq!(subject.roles, BTreeSet::from(["analyst".to_string()]));
        assert_eq!(subject.purposes, BTreeSet::from(["care".to_string(), "research".to_string()]));
        assert!(subject.attributes.contains_key("regions"));
        let ends = believed.ends.unwrap().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
        assert!((now_s() + 150..now_s() + 160).contains(&(ends as i64)), "the skew counts for us too: {ends}");
        let asker = believed.asking(None, Came::Directly).unwrap();
        assert_eq!((asker.label(), asker.purpose.as_deref()), (format!("ana@{ISSUER}"), Some("care")));
    }
}

#[test]
fn rsa_tokens_made_elsewhere_are_read() {
    const N: &str = "1ENcSW2kKQyyiD_t7hHZ1FjCbo6Wm2Lz5xnvTt5mG-t7dWXDwRe49xOtFxtPrHFBTkgSdEuq74HnIgTffX3VktAkYTADrI3mhp-stDWNqE5tDvsKgai7Ry_02nLSK-w25HCbP0Zqie6Rpj87bf0arRTvSb6CfhLa7BZkk57gjTLz5bzF0I4zeVodds336V-xF0TtNJ_DQwcHGeq0xCMLeSutpWrBrB8951S8WXTmQWhp0GNyAhFereJyq_4dy6edk9kQVFuHmYdKxByXRwybVOm9dX03qEpR4UoHbtvlm_qfxsYUjBN0CkdXpUGWCA4j-pjWarCd090g5SrwGE0wcw";
    const TOKENS: [&str; 2] = [
        "eyJhbGciOiJSUzI1NiIsImtpZCI6InJzYSJ9.eyJpc3MiOiJodHRwczovL2xvZ2luLmV4YW1wbGUiLCJzdWIiOiJyc2EiLCJhdWQiOiJjaGFuY2VyeSIsImV4cCI6NDEwMjQ0NDgwMH0.fruhbYOj3TVNuwJ-XkL0svN-eliUO1dl4sQN8CJaqH2gVj3c4bfSZMUUMaMgNpv8HS5MmsfPE0uL9uheaLRP_QLQspuRimxERj7nzPSlrrxGHPyuHPI5R-xbQ5wYYo5YaGZj1UWYlXVzJO0JLmIIzbBkvo7N_u0Cei8T2iZkDH5y_hZclMweazGUJyUZmYJ2Y00oxsPx3KqerTzQIkS-usk0hmrl8n_3Nw0IMwjhCURKCGI1mEKWqX9I3127L4wdB7JWyO6XKl796djZkSg2yaKmpovLyoHRvsxbWwJjdF7NH2AzIDv-tZwQ0zj8mqy5oRTDN8P4J4vPG1kOikCzKg",
        "eyJhbGciOiJQUzI1NiIsImtpZCI6InJzYSJ9.eyJpc3MiOiJodHRwczovL2xvZ2luLmV4YW1wbGUiLCJzdWIiOiJyc2EiLCJhdWQiOiJjaGFuY2VyeSIsImV4cCI6NDEwMjQ0NDgwMH0.0GLhjDZmNBvUfrb0C3kfJkH1mpYHAJdT0UBWl_4b9kNs5EXjgLANB_EwkrJusPnCcavrKVmgt15e60TGiNz2XME0A5860o0iuvDgpllW72kHLPLCP4dIK20ZK-aT4aJEGfxDM-vaL8jBdsbxMs-0Q19T2tDZ7b2l6RmZe_aKuVWC7k0buPHpQ0MXF9wjFt1yNvHB4VxOmkMNClFKbyi5hVl51O6pDrMdpwZNA2_VEqu-zbrNDv7qF7NpHTtMSxliSLPKeqreMnkZl62uWgLYA5fGUxkjsr4qkSsQBgkGtjow_PEysZUDUamLWWXQC4Qa3KmiDTrzjukQBNjo-p9K9w",
    ];
    let directory = tempfile::tempdir().unwrap();
    let keys = write_keys(directory.path(), &[json!({"kty": "RSA", "kid": "rsa", "n": N, "e": "AQAB"})]);
    let issuers = Issuers::open(&[issuer(keys, &["*"])], PeerTrust::Listed, &Limits::default()).unwrap();
    for token in TOKENS {
        assert_eq!(issuers.by_token(token, Shown::By(&[])).unwrap().subject.name, "rsa");
        let altered = token.replace("I6InJzYSJ9.eyJp", "I6InJzYSJ9.eyJq");
        issuers.by_token(&altered, Shown::By(&[])).unwrap_err();
    }
}

#[test]
fn roles_beyond_those_believed_are_dropped() {
    let believed = Fixture::new(Algorithm::EdDSA).accepted(json!({"roles": ["clerk", "admin", "Analyst", "*"]}));
    assert_eq!(believed.subject.roles, BTreeSet::from(["clerk".to_string()]));
}

#[test]
fn the_audience_is_one_of_those_named() {
    let fixture = Fixture::new(Algorithm::EdDSA);
    fixture.accepted(json!({"aud": ["other", "chancery"]}));
    for audience in [json!("other"), json!("Chancery"), json!(["other"]), json!([]), json!("")] {
        fixture.refused(json!({"aud": audience}), "another audience");
    }
    for audience in [json!(null), json!(1), json!({"chancery": 1})] {
        fixture.refused(json!({"aud": audience}), "a claim is not as it must be");
    }
}

#[test]
fn a_site_s_own_door_is_opened_by_a_token_for_it_alone() {
    let fixture = Fixture::new(Algorithm::EdDSA);
    let shown = |change: Value| fixture.issuers.by_token(&fixture.key.token(&claims(change)), Shown::AtTheDoor);
    assert_eq!(shown(json!({"aud": DIRECT_AUDIENCE})).unwrap().subject.name, "ana");
    shown(json!({"aud": [DIRECT_AUDIENCE]})).unwrap();
    for audience in [json!("chancery"), json!("revenue"), json!([DIRECT_AUDIENCE, "chancery"]), json!([])] {
        let told = shown(json!({"aud": audience.clone()})).unwrap_err();
        assert!(told.contains("another audience"), "{audience}: {told}");
    }
    let acting = json!({"aud": DIRECT_AUDIENCE, "act": {"sub": "hub"}});
    assert!(shown(acting).unwrap_err().contains("an actor"), "its user is somewhere else");

    let keys = write_keys(fixture.directory.path(), &[fixture.key.jwk()]);
    let mut config = issuer(keys, &["analyst"]);
    let IssuerTrust::Token(trust) = &mut config.trust else { panic!("{config:?}") };
    trust.direct_audience = None;
    let issuers = Issuers::open(&[config], PeerTrust::Listed, &Limits::default()).unwrap();
    let told = issuers.by_token(&fixture.key.token(&claims(json!({}))), Shown::AtTheDoor).unwrap_err();
    assert!(told.contains("do not open this door"), "{told}");
}

#[test]
fn a_token_is_brought_by_its_actor() {
    let fixture = Fixture::new(Algorithm::EdDSA);
    let names = ["hub".to_string(), "hub.example".to_string()];
    let brought =
        |act: Value| fixture.issuers.by_token(&fixture.key.token(&claims(json!({"act": act}))), Shown::By(&names));
    for actor in [json!({"sub": "hub"}), json!({"sub": "HUB.example", "iss": "x"}), json!(null)] {
        brought(actor).unwrap();
    }
    assert!(brought(json!({"sub": "spy", "act": {"sub": "hub"}})).unwrap_err().contains("another actor"));
    for malformed in [json!("hub"), json!({}), json!([{"sub": "hub"}])] {
        assert!(brought(malformed).unwrap_err().contains("a claim is not as it must be"));
    }
}

#[test]
fn an_issuer_is_believed_as_far_as_it_is_listed() {
    let fixture = Fixture::new(Algorithm::EdDSA);
    let these = |name: &str| Listed::These([name.to_string()].into());
    let mut config = issuer(fixture.directory.path().join("issuer.jwks.json"), &["analyst"]);
    config.extent =
        Extent { users: these("ana"), organisations: these("health"), purposes: these("care"), ..config.extent };
    let issuers = Issuers::open(&[config], PeerTrust::Listed, &Limits::default()).unwrap();
    let shown = |change: Value| issuers.by_token(&fixture.key.token(&claims(change)), Shown::By(&[]));
    let ana = shown(json!({"organisation": "police", "default_purpose": "research"})).unwrap();
    assert_eq!((ana.subject.organisation.as_deref(), ana.default_purpose.as_deref()), (None, None));
    assert_eq!(ana.subject.purposes, BTreeSet::from(["care".to_string()]));
    let within = shown(json!({"organisation": "health", "default_purpose": "care"})).unwrap();
    assert_eq!(within.subject.organisation.as_deref(), Some("health"));
    assert_eq!(within.default_purpose.as_deref(), Some("care"));
    assert!(shown(json!({"sub": "bob"})).unwrap_err().contains("not believed about this user"));
}

#[test]
fn what_expired_before_a_restart_is_not_revived_by_a_clock_set_back() {
    let fixture = Fixture::new(Algorithm::EdDSA);
    let token = fixture.key.token(&claims(json!({})));
    fixture.verify(&token).unwrap();
    let told_before = std::time::SystemTime::now() + std::time::Duration::from_secs(3_600);
    let issuers = fixture.issuers.not_before(told_before);
    assert!(issuers.by_token(&token, Shown::By(&[])).unwrap_err().contains("expired"));
    let ahead = std::time::Duration::from_secs(540);
    let issuers = issuers.not_before(std::time::SystemTime::now() + ahead);
    let ends = issuers.by_token(&token, Shown::By(&[])).unwrap().ends.unwrap();
    let left = ends.duration_since(std::time::SystemTime::now()).unwrap().as_secs();
    assert!((90..=120).contains(&left), "a stream under it ends by our clock, in {left} s");
}

#[test]
fn the_time_is_kept_to_the_second() {
    let fixture = Fixture::new(Algorithm::EdDSA);
    fixture.accepted(json!({"exp": now_s() - 58}));
    fixture.accepted(json!({"exp": now_s() as f64 + 0.5, "nbf": now_s() + 59}));
    fixture.refused(json!({"exp": now_s() - 61}), "expired");
    fixture.refused(json!({"exp": 0}), "expired");
    fixture.refused(json!({"nbf": now_s() + 62}), "not valid yet");
    fixture.refused(json!({"exp": -1}), "exp is no time");
    fixture.refused(json!({"exp": 1e300}), "exp is no time");
    fixture.refused(json!({"nbf": 1e300}), "nbf is no time");
    for exp in [json!(null), json!("4102444800"), json!(true), json!([4_102_444_800_i64])] {
        fixture.refused(json!({"exp": exp}), "a claim is not as it must be");
    }
}

#[test]
fn the_issuer_is_exact() {
    let fixture = Fixture::new(Algorithm::EdDSA);
    for name in ["https://login.example/", "HTTPS://login.example", "https://other.example", ""] {
        fixture.refused(json!({"iss": name}), "not believed here");
    }
    fixture.refused(json!({"iss": null}), "names no issuer");
    fixture.refused(json!({"iss": [ISSUER]}), "names no issuer");
}

#[test]
fn the_name_is_one_line_of_a_record() {
    let fixture = Fixture::new(Algorithm::EdDSA);
    assert_eq!(fixture.accepted(json!({"sub": "auth0|x' OR 1=1 --"})).subject.name, "auth0|x' OR 1=1 --");
    fixture.accepted(json!({"sub": "x".repeat(255)}));
    for name in ["".to_string(), " ana".to_string(), "ana\n".to_string(), "a\u{0}b".to_string(), "x".repeat(256)] {
        fixture.refused(json!({"sub": name}), "sub is no user's name");
    }
    fixture.refused(json!({"sub": null}), "a claim is not as it must be");
    fixture.refused(json!({"sub": 7}), "a claim is not as it must be");
}

#[test]
fn claims_over_a_limit_are_refused_whole() {
    let fixture = Fixture::new(Algorithm::EdDSA);
    fixture.accepted(json!({"attributes": {"region": "x' OR 1=1 --", "like": "%_", "nul": "\u{0}", "level": 3}}));
    fixture.refused(json!({"attributes": {"note": "x".repeat(10_000)}}), "over a limit");
    fixture.refused(json!({"attributes": {"regions": vec![1; 20_000]}}), "over a limit");
    fixture.refused(json!({"attributes": {"regions": vec![1; 100_000]}}), "cannot be read");
    fixture.refused(json!({"attributes": {"mixed": [1, "a"]}}), "over a limit");
    fixture.refused(json!({"attributes": {"deep": [[1]]}}), "a claim is not as it must be");
    fixture.refused(json!({"roles": "analyst"}), "a claim is not as it must be");
    fixture.refused(json!({"purposes": ["care"], "default_purpose": "audit"}), "over a limit");
}

#[test]
fn only_the_issuers_own_keys_and_algorithms_count() {
    let fixture = Fixture::new(Algorithm::EdDSA);
    let good = fixture.key.token(&claims(json!({})));
    let [header, payload, signature] = good.split('.').collect::<Vec<_>>().try_into().unwrap();
    let refused = |token: String, expected: &str| {
        let told = fixture.verify(&token);
        assert!(told.as_ref().is_err_and(|told| told.contains(expected)), "{token:.60}: {told:?}");
    };
    let bad_signature = "the signature";
    refused(TestKey::new("one", Algorithm::EdDSA).token(&claims(json!({}))), bad_signature);
    refused(TestKey::new("one", Algorithm::ES256).token(&claims(json!({}))), bad_signature);
    let other_claims = encoded(&claims(json!({"roles": ["analyst", "clerk"]})));
    refused(format!("{header}.{other_claims}.{signature}"), bad_signature);
    refused(format!("{header}.{payload}."), bad_signature);
    refused(format!("{header}.{payload}.{}", signature.chars().skip(4).collect::<String>()), bad_signature);
    for none in ["none", "None", "NONE", ""] {
        refused(format!("{}.{payload}.", encoded(&json!({"alg": none, "kid": "one"}))), "the header is none");
    }
    refused(format!("{}.{payload}.{signature}", encoded(&json!({"kid": "one"}))), "the header is none");
    let jwk = fixture.key.jwk().to_string();
    for secret in [fixture.key.public.as_slice(), jwk.as_bytes(), &jwk.as_bytes()[..20], b""] {
        let header = Header { kid: Some("one".to_string()), ..Header::new(Algorithm::HS256) };
        let token = jsonwebtoken::encode(&header, &claims(json!({})), &EncodingKey::from_secret(secret)).unwrap();
        refused(token, bad_signature);
    }
    refused(format!("{header}.{payload}"), "cannot be read");
    refused("..".to_string(), "cannot be read");
    refused("a.b.c".to_string(), "cannot be read");
}

#[test]
fn a_key_is_named_where_there_are_several() {
    let fixture = Fixture::new(Algorithm::EdDSA);
    let with = |header: Header| fixture.verify(&fixture.key.sign(&header, &claims(json!({}))));
    with(fixture.key.header()).unwrap();
    for id in [None, Some("two".to_string()), Some("three".to_string()), Some(String::new())] {
        with(Header { kid: id.clone(), ..fixture.key.header() }).expect_err(&format!("{id:?}"));
    }
    let told = with(Header { crit: Some(vec!["exp".to_string()]), ..fixture.key.header() }).unwrap_err();
    assert!(told.contains("not understood"), "{told}");
    let own_key: jsonwebtoken::jwk::Jwk = serde_json::from_value(TestKey::new("x", Algorithm::EdDSA).jwk()).unwrap();
    let stranger = TestKey::new("one", Algorithm::EdDSA);
    let header = Header { jwk: Some(own_key), jku: Some("https://evil.example".to_string()), ..stranger.header() };
    fixture.verify(&stranger.sign(&header, &claims(json!({})))).unwrap_err();
    write_keys(fixture.directory.path(), &[fixture.key.jwk()]);
    with(Header { kid: None, ..fixture.key.header() }).unwrap();
}

#[test]
fn a_changed_key_set_counts_at_once_and_a_broken_one_does_not() {
    let fixture = Fixture::new(Algorithm::EdDSA);
    let token = fixture.key.token(&claims(json!({})));
    std::fs::write(fixture.directory.path().join("issuer.jwks.json"), "{").unwrap();
    fixture.verify(&token).unwrap();
    write_keys(fixture.directory.path(), &[TestKey::new("one", Algorithm::EdDSA).jwk()]);
    fixture.verify(&token).unwrap_err();
}

#[test]
fn keys_that_are_not_for_this_are_no_keys() {
    let directory = tempfile::tempdir().unwrap();
    let good = TestKey::new("one", Algorithm::ES256).jwk();
    let with = |name: &str, value: Value| {
        let mut key = good.clone();
        key[name] = value;
        key
    };
    let short = URL_SAFE_NO_PAD.encode([0xC1_u8; 128]);
    for keys in [
        vec![],
        vec![json!({"kty": "oct", "k": "c2VjcmV0", "kid": "one"})],
        vec![json!({"kty": "RSA", "n": short, "e": "AQAB"})],
        vec![json!({"kty": "OKP", "crv": "Ed25519", "x": "c2hvcnQ"})],
        vec![with("use", json!("enc"))],
        vec![with("alg", json!("ES384"))],
        vec![with("alg", json!("HS256"))],
        vec![good.clone(), good.clone()],
    ] {
        let config = issuer(write_keys(directory.path(), &keys), &["*"]);
        Issuers::open(&[config], PeerTrust::Listed, &Limits::default()).expect_err(&format!("{keys:?}"));
    }
    let config =
        issuer(write_keys(directory.path(), &[with("alg", json!("ES256")), json!({"kty": "oct", "k": "eA"})]), &["*"]);
    Issuers::open(&[config], PeerTrust::Listed, &Limits::default()).unwrap();
}
