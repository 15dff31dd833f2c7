//! Tokens that nobody should believe, by the dozen, at both doors: each is refused in the same words, and no node minds.

use std::path::Path;

use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::sql::client::FlightSqlServiceClient;
use arrow_flight::sql::{CommandStatementQuery, ProstMessageExt};
use arrow_flight::{FlightDescriptor, HandshakeRequest};
use harness::cluster::client::channel;
use harness::cluster::{Client, Cluster, Written};
use harness::tokens::{TokenKey, encoded};
use jsonwebtoken::{Algorithm, EncodingKey};
use prost::Message;
use serde_json::{Value, json};
use tonic::transport::Channel;
use tonic::{Code, Request, Status};

use super::federation::{COUNT_ORDERS, NORTH, eventually_value, governed, now_s, start};

const ISSUER: &str = "https://login.example";
const OTHER: &str = "https://other.example";
const AUDIENCE: &str = "chancery";
const NORTH_AUDIENCE: &str = "chancery-north";
/// An RSA key of which nobody has the private half.
const RSA: &str = "1ENcSW2kKQyyiD_t7hHZ1FjCbo6Wm2Lz5xnvTt5mG-t7dWXDwRe49xOtFxtPrHFBTkgSdEuq74HnIgTffX3VktAkYTADrI3mhp-stDWNqE5tDvsKgai7Ry_02nLSK-w25HCbP0Zqie6Rpj87bf0arRTvSb6CfhLa7BZkk57gjTLz5bzF0I4zeVodds336V-xF0TtNJ_DQwcHGeq0xCMLeSutpWrBrB8951S8WXTmQWhp0GNyAhFereJyq_4dy6edk9kQVFuHmYdKxByXRwybVOm9dX03qEpR4UoHbtvlm_qfxsYUjBN0CkdXpUGWCA4j-pjWarCd090g5SrwGE0wcw";

/// The keys of the issuer, and those of others.
struct Keys {
    edwards: TokenKey,
    curve: TokenKey,
    /// Of another issuer that is believed, for other roles.
    other: TokenKey,
    /// Of nobody, under the name of the issuer's.
    stranger: TokenKey,
}

impl Keys {
    fn new() -> Self {
        Self {
            edwards: TokenKey::new("ed", Algorithm::EdDSA),
            curve: TokenKey::new("ec", Algorithm::ES256),
            other: TokenKey::new("other", Algorithm::EdDSA),
            stranger: TokenKey::new("ed", Algorithm::EdDSA),
        }
    }

    /// Writes both issuers' key sets; the lines that have a node believe them.
    fn written(&self, directory: &Path) -> String {
        let rsa = json!({"kty": "RSA", "kid": "rsa", "n": RSA, "e": "AQAB"});
        let issuers = [
            (ISSUER, "analyst", json!({"keys": [self.edwards.jwk(), self.curve.jwk(), rsa]})),
            (OTHER, "clerk", json!({"keys": [self.other.jwk()]})),
        ];
        let lines = issuers.into_iter().enumerate().map(|(index, (name, role, set))| {
            let file = directory.join(format!("{index}.jwks.json"));
            std::fs::write(&file, set.to_string()).unwrap();
            format!(
                "[[issuer]]\nname = {name:?}\nkeys = {:?}\naudience = {AUDIENCE:?}\nroles = [{role:?}]\n",
                file.to_str().unwrap()
            )
        });
        lines.collect()
    }
}

/// Claims that are believed at the door of that audience, with `change` laid over them.
fn claims(audience: &str, change: Value) -> Value {
    let mut claims = json!({
        "iss": ISSUER, "sub": "jo", "aud": audience, "exp": now_s() + 600,
        "roles": ["analyst"], "purposes": ["care"], "default_purpose": "care",
    });
    for (name, value) in change.as_object().unwrap() {
        claims[name] = value.clone();
    }
    claims
}

fn good(keys: &Keys, audience: &str) -> Vec<(&'static str, String)> {
    let with = |change: Value| keys.edwards.token(&claims(audience, change));
    let header = |change: Value| {
        let mut header = keys.edwards.header();
        for (name, value) in change.as_object().unwrap() {
            header[name] = value.clone();
        }
        keys.edwards.sign(header.to_string(), claims(audience, json!({})).to_string())
    };
    vec![
        ("Ed25519", with(json!({}))),
        ("P-256", keys.curve.token(&claims(audience, json!({})))),
        ("a list of one audience", with(json!({"aud": [audience]}))),
        ("half a second", with(json!({"exp": now_s() as f64 + 600.5}))),
        ("as far away as time goes", with(json!({"exp": 253_402_300_799_u64}))),
        ("within the skew", with(json!({"exp": now_s() - 30, "nbf": now_s() + 30}))),
        ("claims of others", with(json!({"email": "jo@example", "nested": {"a": [[[1]]]}, "amr": ["pwd"]}))),
        ("an access token", header(json!({"typ": "at+JWT"}))),
        ("keys of its own, which are not looked at", header(json!({"jku": "http://127.0.0.1:1/", "x5u": "file:///"}))),
    ]
}

/// What is wrong, and the token.
fn hostile(keys: &Keys, audience: &str) -> Vec<(String, String)> {
    let mut all = wrong_claims(keys, audience);
    all.extend(ambiguous(keys, audience));
    all.extend(wrong_headers(keys, audience));
    all.extend(wrong_signatures(keys, audience));
    all.extend(malformed(keys, audience));
    all
}

fn wrong_claims(keys: &Keys, audience: &str) -> Vec<(String, String)> {
    let deep = (0..100).fold(json!(1), |inner, _| json!([inner]));
    let changes = [
        ("another audience", json!({"aud": "elsewhere"})),
        ("an audience of another case", json!({"aud": audience.to_uppercase()})),
        ("a longer audience", json!({"aud": format!("{audience}-")})),
        ("a list of other audiences", json!({"aud": ["elsewhere", "nowhere"]})),
        ("no audience in a list", json!({"aud": []})),
        ("an audience in a list in a list", json!({"aud": [[audience]]})),
        ("an audience as a name", json!({"aud": {audience: true}})),
        ("null for an audience", json!({"aud": null})),
        ("an issuer that nobody knows", json!({"iss": "https://evil.example"})),
        ("an issuer with a slash", json!({"iss": format!("{ISSUER}/")})),
        ("an issuer of another case", json!({"iss": "https://LOGIN.example"})),
        ("an issuer in Cyrillic letters", json!({"iss": "https://lоgin.example"})),
        ("an issuer with a zero-width space", json!({"iss": "https://login\u{200b}.example"})),
        ("an issuer with a NUL", json!({"iss": format!("{ISSUER}\u{0}")})),
        ("an issuer in a list", json!({"iss": [ISSUER]})),
        ("another issuer, which has another key", json!({"iss": OTHER})),
        ("expired", json!({"exp": now_s() - 61})),
        ("expired with 1970", json!({"exp": 0})),
        ("an expiry before 1970", json!({"exp": -1})),
        ("an expiry far before 1970", json!({"exp": i64::MIN})),
        ("an expiry in milliseconds", json!({"exp": (now_s() + 600) * 1_000})),
        ("an expiry beyond time", json!({"exp": u64::MAX})),
        ("an expiry beyond floats", json!({"exp": 1e308})),
        ("an expiry as text", json!({"exp": (now_s() + 600).to_string()})),
        ("an expiry as a list", json!({"exp": [now_s() + 600]})),
        ("an expiry as truth", json!({"exp": true})),
        ("null for an expiry", json!({"exp": null})),
        ("not yet", json!({"nbf": now_s() + 120})),
        ("a beginning as text", json!({"nbf": "0"})),
        ("a beginning beyond time", json!({"nbf": 1e300})),
        ("nobody", json!({"sub": ""})),
        ("a number for a name", json!({"sub": 7})),
        ("a NUL in the name", json!({"sub": "jo\u{0}"})),
        ("a line end in the name", json!({"sub": "jo\nadmin"})),
        ("a name of 256 bytes", json!({"sub": "j".repeat(256)})),
        ("roles as an object", json!({"roles": {"analyst": true}})),
        ("a role as text", json!({"roles": "analyst"})),
        ("roles that are lists", json!({"roles": [["analyst"]]})),
        ("a role with a NUL", json!({"roles": ["analyst\u{0}"]})),
        ("a role of 1025 bytes", json!({"roles": ["a".repeat(1_025)]})),
        ("an attribute of 10 kB", json!({"attributes": {"note": "x".repeat(10_000)}})),
        ("10,001 values of an attribute", json!({"attributes": {"regions": vec![1; 10_001]}})),
        ("attributes as text", json!({"attributes": "regions"})),
        ("a deep attribute", json!({"attributes": {"deep": deep}})),
        ("a default purpose that is none of the purposes", json!({"default_purpose": "audit_work"})),
        ("an actor that is text", json!({"act": "coordinator"})),
    ];
    let signed = changes.into_iter().map(|(what, change)| (what, keys.edwards.token(&claims(audience, change))));
    let mut all: Vec<_> = signed.map(|(what, token)| (what.to_string(), token)).collect();
    for name in ["iss", "sub", "aud", "exp"] {
        let mut claims = claims(audience, json!({}));
        claims.as_object_mut().unwrap().remove(name);
        all.push((format!("without `{name}`"), keys.edwards.token(&claims)));
    }
    all
}

/// Texts that two readers would read differently, or not at all.
fn ambiguous(keys: &Keys, audience: &str) -> Vec<(String, String)> {
    let plain = claims(audience, json!({})).to_string();
    let inside = plain.strip_prefix('{').unwrap();
    let claims = [
        ("`sub` twice", format!("{{\"sub\":\"admin\",{inside}")),
        ("`sub` twice, once written otherwise", format!("{{\"\\u0073ub\":\"admin\",{inside}")),
        ("`exp` twice", format!("{{\"exp\":9999999999,{inside}")),
        ("`aud` twice", format!("{{\"aud\":\"{audience}\",{inside}")),
        ("`roles` twice", format!("{{\"roles\":[\"admin\"],{inside}")),
        ("a claim twice that means nothing here", format!("{{\"x\":1,\"x\":2,{inside}")),
        ("an attribute twice", format!("{{\"attributes\":{{\"a\":1,\"a\":2}},{inside}")),
        ("bytes behind the claims", format!("{plain}{{}}")),
        ("a NUL behind the claims", format!("{plain}\0")),
        ("a byte order mark", format!("\u{feff}{plain}")),
        ("a list of claims", format!("[{plain}]")),
        ("no JSON", "jo".to_string()),
        ("nothing", String::new()),
        ("10,000 levels", format!("{{\"x\":{}1{},{inside}", "[".repeat(10_000), "]".repeat(10_000))),
        ("an expiry that is no number", plain.replacen("\"exp\":", "\"exp\":NaN,\"x\":", 1)),
    ];
    let header = keys.edwards.header().to_string();
    let mut all: Vec<_> =
        claims.into_iter().map(|(what, text)| (what.to_string(), keys.edwards.sign(&header, text))).collect();
    let utf8 = plain.replacen("\"jo\"", "\"j\u{e9}\"", 1).into_bytes();
    let broken: Vec<u8> = utf8.into_iter().filter(|byte| *byte != 0xa9).collect();
    all.push(("claims that are not UTF-8".to_string(), keys.edwards.sign(&header, broken)));
    all
}

/// Headers under which the token is signed as it should be, by the issuer's own key where one can.
fn wrong_headers(keys: &Keys, audience: &str) -> Vec<(String, String)> {
    let plain = claims(audience, json!({})).to_string();
    let jwk = keys.stranger.jwk();
    let changes = [
        ("a crit of nothing", json!({"crit": []})),
        ("a crit of its own", json!({"crit": ["exp"]})),
        ("a crit that is not known", json!({"crit": ["urn:x"], "urn:x": 1})),
        ("a payload that is not base64", json!({"b64": false})),
        ("the same, as it is to be said", json!({"b64": false, "crit": ["b64"]})),
        ("compressed", json!({"zip": "DEF"})),
        ("encrypted", json!({"enc": "A256GCM"})),
        ("a token of a log-out", json!({"typ": "logout+jwt"})),
        ("a token of an event", json!({"typ": "secevent+jwt"})),
        ("a proof of possession", json!({"typ": "dpop+jwt"})),
        ("a kid that is a path", json!({"kid": "../../../../dev/null"})),
        ("a kid that is SQL", json!({"kid": "x' UNION SELECT 'key' --"})),
        ("a kid that is a URL", json!({"kid": "https://evil.example/key"})),
        ("a kid that is a command", json!({"kid": "|/bin/true"})),
        ("a kid with a NUL", json!({"kid": "ed\u{0}"})),
        ("an empty kid", json!({"kid": ""})),
        ("a kid that is a number", json!({"kid": 1})),
        ("another key's kid", json!({"kid": "ec"})),
        ("the kid of an RSA key", json!({"kid": "rsa"})),
        ("no kid among several", json!({"kid": null})),
        ("another algorithm", json!({"alg": "ES256"})),
        ("no algorithm", json!({"alg": null})),
        ("an algorithm that is a number", json!({"alg": 0})),
        ("an algorithm that nobody knows", json!({"alg": "XS256"})),
        ("an algorithm of encryption", json!({"alg": "RSA-OAEP"})),
    ];
    let laid_over = |key: &TokenKey, change: &Value| {
        let mut header = key.header();
        for (name, value) in change.as_object().unwrap() {
            header[name] = value.clone();
        }
        key.sign(header.to_string(), &plain)
    };
    let mut all: Vec<_> =
        changes.iter().map(|(what, change)| (what.to_string(), laid_over(&keys.edwards, change))).collect();
    let own_keys = [
        ("a key that it brings", json!({"jwk": jwk})),
        ("a key that it has fetched", json!({"jku": "https://evil.example/keys"})),
        ("a certificate that it has fetched", json!({"x5u": "https://evil.example/chain"})),
        ("a certificate that it brings", json!({"x5c": ["MIIB"], "x5t": "x"})),
        ("a key under the issuer's name", json!({})),
        ("a key of another issuer", json!({"kid": "other"})),
    ];
    for (what, change) in &own_keys[..5] {
        all.push((what.to_string(), laid_over(&keys.stranger, change)));
    }
    all.push((own_keys[5].0.to_string(), laid_over(&keys.other, &own_keys[5].1)));
    let header = keys.edwards.header().to_string();
    let inside = header.strip_prefix('{').unwrap();
    for (what, header) in [
        ("`alg` twice", format!("{{\"alg\":\"none\",{inside}")),
        ("`kid` twice", format!("{{\"kid\":\"ec\",{inside}")),
        ("a name of the header twice", format!("{{\"x\":1,\"x\":2,{inside}")),
        ("bytes behind the header", format!("{header} x")),
        ("a list of headers", format!("[{header}]")),
        ("a header that is no JSON", "header".to_string()),
        ("a deep header", format!("{{\"x\":{}1{},{inside}", "[".repeat(5_000), "]".repeat(5_000))),
    ] {
        all.push((what.to_string(), keys.edwards.sign(header, &plain)));
    }
    all
}

fn wrong_signatures(keys: &Keys, audience: &str) -> Vec<(String, String)> {
    let plain = claims(audience, json!({}));
    let mut all = Vec::new();
    let by_edwards = keys.edwards.token(&plain);
    let (signed, signature) = by_edwards.rsplit_once('.').unwrap();
    for none in ["none", "None", "NONE", "nOnE", ""] {
        let header = encoded(json!({"alg": none, "kid": "ed"}).to_string());
        let claims = encoded(plain.to_string());
        all.push((format!("the algorithm {none:?}"), format!("{header}.{claims}.")));
        all.push((format!("the algorithm {none:?} and a signature"), format!("{header}.{claims}.{signature}")));
    }
    // A public key taken for a secret one.
    let jwk = keys.edwards.jwk().to_string();
    let raw = RSA.to_string();
    let pem = |bytes: &[u8]| {
        use base64::Engine;
        let text = base64::engine::general_purpose::STANDARD.encode(bytes);
        format!("-----BEGIN PUBLIC KEY-----\n{text}\n-----END PUBLIC KEY-----\n").into_bytes()
    };
    let secrets = [
        ("ed", "the public key", keys.edwards.public().to_vec()),
        ("ed", "the public key in PEM", pem(keys.edwards.public())),
        ("ed", "the public key as a JWK", jwk.into_bytes()),
        ("ec", "the public key of a curve", keys.curve.public().to_vec()),
        ("rsa", "the modulus", raw.into_bytes()),
        ("ed", "nothing", Vec::new()),
        ("ed", "a NUL", vec![0]),
    ];
    for (kid, what, secret) in secrets {
        for (name, algorithm) in [("HS256", Algorithm::HS256), ("HS384", Algorithm::HS384), ("HS512", Algorithm::HS512)]
        {
            let parts = format!(
                "{}.{}",
                encoded(json!({"alg": name, "typ": "JWT", "kid": kid}).to_string()),
                encoded(plain.to_string())
            );
            let key = EncodingKey::from_secret(&secret);
            let signature = jsonwebtoken::crypto::sign(parts.as_bytes(), &key, algorithm).unwrap();
            all.push((format!("{name} with {what} as the secret"), format!("{parts}.{signature}")));
        }
    }
    let of_curve = keys.curve.token(&plain);
    let (by_curve, real) = of_curve.rsplit_once('.').unwrap();
    use base64::Engine;
    let real = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(real).unwrap();
    // The order of P-256: as a scalar it is zero.
    let order = "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551";
    let order: Vec<u8> = (0..32).map(|at| u8::from_str_radix(&order[2 * at..2 * at + 2], 16).unwrap()).collect();
    for (what, bytes) in [
        ("r = s = 0", vec![0; 64]),
        ("r = 0", [&[0_u8; 32][..], &real[32..]].concat()),
        ("s = 0", [&real[..32], &[0; 32]].concat()),
        ("r = s = the order", [&order[..], &order[..]].concat()),
        ("the halves the other way round", [&real[32..], &real[..32]].concat()),
        ("63 bytes", real[..63].to_vec()),
        ("65 bytes", [&real[..], &[0]].concat()),
        ("a signature in DER", [&[0x30_u8, 0x44, 2, 32][..], &real[..32], &[2, 32], &real[32..]].concat()),
        ("ones", vec![0xff; 64]),
        ("a megabyte's start", vec![7; 10_000]),
    ] {
        all.push((format!("P-256: {what}"), format!("{by_curve}.{}", encoded(bytes))));
    }
    for (what, bytes) in [("zeros", vec![0; 64]), ("one byte", vec![1]), ("256 bytes", vec![1; 256])] {
        all.push((format!("Ed25519: {what}"), format!("{signed}.{}", encoded(&bytes))));
        let rsa = encoded(json!({"alg": "RS256", "kid": "rsa"}).to_string());
        all.push((format!("RSA: {what}"), format!("{rsa}.{}.{}", encoded(plain.to_string()), encoded(&bytes))));
    }
    let richer = encoded(claims(audience, json!({"roles": ["analyst", "admin"]})).to_string());
    let header = signed.split('.').next().unwrap();
    all.push(("another's claims under the signature".to_string(), format!("{header}.{richer}.{signature}")));
    all
}

/// What is not written as a token is.
fn malformed(keys: &Keys, audience: &str) -> Vec<(String, String)> {
    let good = keys.edwards.token(&claims(audience, json!({})));
    let [header, payload, signature] = good.split('.').collect::<Vec<_>>().try_into().unwrap();
    // 64 bytes end in a letter of which four bits mean nothing, and are zero.
    let last = signature.chars().last().unwrap();
    let letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let next = letters.chars().nth(letters.find(last).unwrap() + 1).unwrap();
    let other_bits = format!("{}{next}", signature.strip_suffix(last).unwrap());
    let padded = keys.edwards.sign_encoded(&format!("{header}=.{payload}="));
    let all = [
        ("bits that mean nothing set", format!("{header}.{payload}.{other_bits}")),
        ("padding behind the signature", format!("{good}==")),
        ("padding that is signed", padded),
        ("letters of the other base64", keys.edwards.sign_encoded(&format!("{header}+/.{payload}"))),
        ("a space that is signed", keys.edwards.sign_encoded(&format!("{header}.{payload} "))),
        ("no signature", format!("{header}.{payload}.")),
        ("two parts", format!("{header}.{payload}")),
        ("one part", header.to_string()),
        ("four parts", format!("{good}.{signature}")),
        ("five parts, as encrypted ones have", format!("{good}.{payload}.{signature}")),
        ("five empty parts", "....".to_string()),
        ("three empty parts", "..".to_string()),
        ("no header", format!(".{payload}.{signature}")),
        ("no claims", format!("{header}..{signature}")),
        ("a point before it", format!(".{good}")),
        ("cut off", good[..good.len() - 1].to_string()),
        ("cut in half", good[..good.len() / 2].to_string()),
        ("a byte more", format!("{good}A")),
        ("two tokens", format!("{good} {good}")),
        ("two tokens with a comma", format!("{good},{good}")),
        (
            "a token in a token",
            keys.edwards.sign(json!({"alg": "EdDSA", "kid": "ed", "cty": "JWT"}).to_string(), &good),
        ),
        ("the token as JSON", json!({"payload": payload, "protected": header, "signature": signature}).to_string()),
        ("no token at all", "made-up".to_string()),
        ("60,000 letters", format!("{header}.{}.{signature}", "A".repeat(60_000))),
        ("60,000 points", ".".repeat(60_000)),
    ];
    all.into_iter().map(|(what, token)| (what.to_string(), token)).collect()
}

/// A door, asked with whatever token.
struct Door {
    name: &'static str,
    audience: &'static str,
    channel: Channel,
}

impl Door {
    async fn open(cluster: &Cluster) -> [Self; 2] {
        let north = channel(cluster.site("north").address(), Some(&cluster.authority())).await;
        [
            Self { name: "coordinator", audience: AUDIENCE, channel: channel(cluster.address(), None).await },
            Self { name: "north", audience: NORTH_AUDIENCE, channel: north },
        ]
    }

    fn flight(&self) -> FlightServiceClient<Channel> {
        FlightServiceClient::new(self.channel.clone())
    }

    /// How a plan of a statement is refused.
    async fn refusal(&self, what: &str, token: &str) -> Status {
        let command = CommandStatementQuery { query: COUNT_ORDERS.to_string(), transaction_id: None };
        let mut request = Request::new(FlightDescriptor::new_cmd(command.as_any().encode_to_vec()));
        request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
        match self.flight().get_flight_info(request).await {
            Ok(_) => panic!("{}: {what}: it is believed", self.name),
            Err(status) => status,
        }
    }

    /// How a handshake is refused.
    async fn no_handshake(&self, what: &str, token: &str) -> Status {
        let mut request = Request::new(futures::stream::iter([HandshakeRequest::default()]));
        request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
        match self.flight().handshake(request).await {
            Ok(_) => panic!("{}: {what}: a session is opened", self.name),
            Err(status) => status,
        }
    }

    async fn bearing(&self, token: &str, cluster: &Cluster) -> Client {
        let mut flight = FlightSqlServiceClient::new(self.channel.clone());
        flight.set_token(token.to_string());
        Client::of(flight).looking_for(cluster.canaries())
    }
}

async fn with_issuers(keys: &Keys, directory: &Path) -> Cluster {
    let lines = keys.written(directory);
    let mut governance = governed(&[("north", NORTH)], Written::AtTheDoor);
    governance.site_lines = lines.replace("roles =", &format!("direct_audience = {NORTH_AUDIENCE:?}\nroles ="));
    governance.coordinator_lines = lines;
    start(governance).await
}

/// One code, one sentence, and no header but the number of the call.
#[track_caller]
fn assert_tells_nothing(what: &str, status: &Status, token: &str) {
    let sentence = "UNAUTHENTICATED: the token is not believed here, or its session has ended; sign in again, or get a \
                    new one";
    assert_eq!((status.code(), status.message()), (Code::Unauthenticated, sentence), "{what}: {token:.200}");
    assert!(status.details().is_empty(), "{what}: {status:?}");
    for name in ["authorization", "www-authenticate", "grpc-retry-pushback-ms"] {
        assert!(status.metadata().get(name).is_none(), "{what}: {status:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a87_no_hostile_token_is_believed_and_each_is_refused_in_the_same_words() {
    let directory = tempfile::tempdir().unwrap();
    let keys = Keys::new();
    let cluster = with_issuers(&keys, directory.path()).await;
    let doors = Door::open(&cluster).await;
    for (position, door) in doors.iter().enumerate() {
        let tokens = hostile(&keys, door.audience);
        assert!(tokens.len() >= 40, "{}", tokens.len());
        for (what, token) in &tokens {
            assert_tells_nothing(what, &door.refusal(what, token).await, token);
            assert_tells_nothing(what, &door.no_handshake(what, token).await, token);
        }
        // What is longer than a call may bring is refused before anybody reads it, and may end its connection.
        let long = format!("{}.{}.x", encoded(keys.edwards.header().to_string()), "A".repeat(2 << 20));
        Door::open(&cluster).await[position].refusal("two megabytes", &long).await;
        for number in 0..300 {
            let header = json!({"alg": "EdDSA", "kid": format!("unknown {number}")}).to_string();
            let token = keys.stranger.sign(header, claims(door.audience, json!({})).to_string());
            assert_tells_nothing("a flood of keys", &door.refusal("a flood of keys", &token).await, &token);
        }
        for (what, token) in good(&keys, door.audience) {
            println!("{}: {what}", door.name);
            eventually_value(&door.bearing(&token, &cluster).await, COUNT_ORDERS, "200").await;
        }
    }
    for (name, process) in cluster.nodes() {
        let log = process.log();
        assert!(!log.contains("panicked"), "{name}: {log}");
        assert!(process.memory_peak_bytes().is_some(), "{name} is gone: {log}");
    }
}
