//! An issuer that answers as it likes, and what is believed of it.

use std::collections::HashMap;
use std::net::SocketAddr;

use datafusion::common::runtime::SpawnedTask;
use jsonwebtoken::Algorithm;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::super::test_issuer::TestKey;
use super::*;

/// What is answered at a path: the bytes as they are; without them the connection stays open, and nothing comes.
type Answers = HashMap<String, Option<String>>;

/// A server of HTTP that writes what it is told to, and notes what it was asked for.
struct Server {
    address: SocketAddr,
    answers: Arc<Mutex<Answers>>,
    asked: Arc<Mutex<Vec<String>>>,
    _serving: SpawnedTask<()>,
}

impl Server {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (answers, asked) = (Arc::new(Mutex::new(Answers::new())), Arc::new(Mutex::new(Vec::new())));
        let (said, noted) = (Arc::clone(&answers), Arc::clone(&asked));
        let serving = SpawnedTask::spawn(async move {
            let mut open = Vec::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                open.push(SpawnedTask::spawn(serve(stream, Arc::clone(&said), Arc::clone(&noted))));
            }
        });
        Self { address, answers, asked, _serving: serving }
    }

    fn issuer(&self) -> String {
        format!("http://{}", self.address)
    }

    fn says(&self, path: &str, answer: String) {
        self.answers.lock().insert(path.to_string(), Some(answer));
    }

    /// Publishes these keys, as an issuer does.
    fn publishes(&self, keys: &[&TestKey]) {
        let issuer = self.issuer();
        self.says(DOCUMENT, ok(&json!({"issuer": issuer, "jwks_uri": format!("{issuer}/jwks")}).to_string()));
        let keys: Vec<_> = keys.iter().map(|key| key.jwk()).collect();
        self.says("/jwks", ok(&json!({"keys": keys}).to_string()));
    }

    fn times_asked(&self, path: &str) -> usize {
        self.asked.lock().iter().filter(|asked| *asked == path).count()
    }

    fn keys(&self, limits: &Limits) -> PublishedKeys {
        PublishedKeys::of(&self.issuer(), &[], limits).unwrap()
    }
}

async fn serve(mut stream: TcpStream, answers: Arc<Mutex<Answers>>, asked: Arc<Mutex<Vec<String>>>) {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => request.push(byte),
            Err(_) => return,
        }
    }
    let request = String::from_utf8(request).unwrap();
    let path = request.split(' ').nth(1).unwrap().to_string();
    asked.lock().push(path.clone());
    let answer = answers.lock().get(&path).cloned();
    match answer.unwrap_or_else(|| Some("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n".to_string())) {
        // The other end may have gone, which is its business.
        Some(answer) => drop(stream.write_all(answer.as_bytes()).await),
        None => std::future::pending().await,
    }
}

fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len())
}

fn key(id: &str) -> TestKey {
    TestKey::new(id, Algorithm::EdDSA)
}

fn at_once() -> Limits {
    Limits { issuer_keys_retry_s: 0, issuer_timeout_ms: 300, ..Limits::default() }
}

fn has(keys: &PublishedKeys, id: &str) -> bool {
    keys.current().is_some_and(|keys| keys.find(Some(id)).is_some())
}

#[tokio::test]
async fn keys_are_fetched_when_a_token_needs_them_and_then_kept() {
    let server = Server::start().await;
    server.publishes(&[&key("one"), &key("two")]);
    let keys = server.keys(&Limits::default());
    assert!(keys.current().is_none() && server.asked.lock().is_empty(), "nobody has been asked yet");
    for _ in 0..3 {
        keys.ready(Some("one")).await;
        keys.ready(Some("two")).await;
    }
    assert!(has(&keys, "one") && has(&keys, "two"));
    assert_eq!((server.times_asked(DOCUMENT), server.times_asked("/jwks")), (1, 1));
}

#[tokio::test]
async fn a_key_that_is_not_known_is_asked_for_and_one_that_is_gone_is_believed_no_more() {
    let server = Server::start().await;
    server.publishes(&[&key("old")]);
    let keys = server.keys(&at_once());
    keys.ready(Some("old")).await;
    server.publishes(&[&key("new")]);
    keys.ready(Some("old")).await;
    assert!(has(&keys, "old"), "its keys are fresh");
    keys.ready(Some("new")).await;
    assert!(has(&keys, "new") && !has(&keys, "old"));

    let keys = server.keys(&Limits { issuer_keys_refresh_s: 0, ..at_once() });
    keys.ready(Some("new")).await;
    server.publishes(&[&key("newer")]);
    keys.ready(Some("new")).await;
    assert!(!has(&keys, "new"), "keys that are old are fetched anew");
}

#[tokio::test]
async fn a_flood_of_unknown_keys_asks_once() {
    let server = Server::start().await;
    server.publishes(&[&key("one")]);
    let keys = server.keys(&Limits { issuer_keys_retry_s: 3_600, ..Limits::default() });
    let names: Vec<_> = (0..100).map(|number| format!("unknown {number}")).collect();
    futures::future::join_all(names.iter().map(|name| keys.ready(Some(name)))).await;
    keys.ready(None).await;
    assert_eq!((server.times_asked(DOCUMENT), server.times_asked("/jwks")), (1, 1));
    assert!(has(&keys, "one"));
}

#[tokio::test]
async fn whoever_comes_when_as_many_wait_as_may_is_answered_at_once() {
    let server = Server::start().await;
    server.publishes(&[&key("one")]);
    let keys = server.keys(&at_once());
    keys.ready(Some("one")).await;
    let asked = server.times_asked("/jwks");
    let all = Arc::clone(&keys.shared.waiting).acquire_many_owned(u32::try_from(WAITING_MAX).unwrap()).await.unwrap();
    keys.ready(Some("unknown")).await;
    assert_eq!(server.times_asked("/jwks"), asked, "the keys that are kept must do");
    drop(all);
    keys.ready(Some("unknown")).await;
    assert_eq!(server.times_asked("/jwks"), asked + 1);
    assert_eq!(keys.shared.waiting.available_permits(), WAITING_MAX);
}

#[tokio::test]
async fn whoever_leaves_does_not_take_the_keys_with_them() {
    let server = Server::start().await;
    server.publishes(&[&key("one")]);
    let keys = server.keys(&Limits { issuer_keys_retry_s: 3_600, ..Limits::default() });
    let mut leaving = Box::pin(keys.ready(Some("unknown")));
    assert!(futures::poll!(&mut leaving).is_pending());
    drop(leaving);
    keys.ready(Some("one")).await;
    assert!(has(&keys, "one"));
    assert_eq!(server.times_asked("/jwks"), 1);
}

#[tokio::test]
async fn the_last_keys_serve_while_the_issuer_is_down_and_no_longer_than_they_may() {
    let server = Server::start().await;
    server.publishes(&[&key("one")]);
    let keys = server.keys(&Limits { issuer_keys_refresh_s: 0, ..at_once() });
    keys.ready(Some("one")).await;
    for answer in [Some("HTTP/1.1 500 Oh\r\ncontent-length: 0\r\n\r\n".to_string()), Some(ok("{")), None] {
        server.answers.lock().insert("/jwks".to_string(), answer);
        keys.ready(Some("one")).await;
        assert!(has(&keys, "one"));
    }
    let keys = server.keys(&Limits { issuer_keys_kept_s: 0, ..at_once() });
    server.publishes(&[&key("one")]);
    keys.ready(Some("one")).await;
    assert!(keys.current().is_none(), "their time is over");
}

#[tokio::test]
async fn an_issuer_is_taken_at_its_own_word_and_at_nobody_elses() {
    let server = Server::start().await;
    let issuer = server.issuer();
    let document = |change: serde_json::Value| {
        let mut document = json!({"issuer": issuer, "jwks_uri": format!("{issuer}/jwks")});
        document.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        ok(&document.to_string())
    };
    let moved = |to: &str| format!("HTTP/1.1 302 Found\r\nlocation: {to}\r\ncontent-length: 0\r\n\r\n");
    let symmetric = json!({"keys": [{"kty": "oct", "kid": "one", "k": "c2VjcmV0"}]}).to_string();
    let good = json!({"keys": [key("one").jwk()]}).to_string();
    let endless = format!("HTTP/1.1 200 OK\r\n\r\n{}", " ".repeat(300 << 10));
    let elsewhere = Server::start().await;
    elsewhere.publishes(&[&key("one")]);
    for (what, path, answer, reason) in [
        ("another issuer", DOCUMENT, document(json!({"issuer": "https://evil.example"})), "another issuer's"),
        ("a slash more", DOCUMENT, document(json!({"issuer": format!("{issuer}/")})), "another issuer's"),
        ("no issuer", DOCUMENT, document(json!({"issuer": null})), "cannot be read"),
        ("no key set", DOCUMENT, document(json!({"jwks_uri": null})), "cannot be read"),
        ("a file", DOCUMENT, document(json!({"jwks_uri": "file:///etc/passwd"})), "is not https"),
        ("plain text", DOCUMENT, document(json!({"jwks_uri": "http://192.0.2.1/jwks"})), "is not https"),
        ("a path", DOCUMENT, document(json!({"jwks_uri": "/jwks"})), "is no URL"),
        ("moved", DOCUMENT, moved(&format!("{}{DOCUMENT}", elsewhere.issuer())), "redirects are not followed"),
        ("keys moved", "/jwks", moved(&format!("{}/jwks", elsewhere.issuer())), "redirects are not followed"),
        ("no JSON", DOCUMENT, ok("<html>"), "cannot be read"),
        ("no keys", "/jwks", ok("{}"), "is no JWK set"),
        ("no key that is believed", "/jwks", ok(&symmetric), "has no key"),
        ("an error", "/jwks", ok(&good).replacen("200 OK", "503 No", 1), "answered with 503"),
        ("no end", "/jwks", endless, "has more than"),
        ("too long", DOCUMENT, ok(&" ".repeat(300 << 10)), "has more than"),
        ("no HTTP", "/jwks", "SSH-2.0-x\r\n".to_string(), "/jwks"),
    ] {
        server.publishes(&[&key("one")]);
        server.says(path, answer);
        let keys = server.keys(&Limits { issuer_timeout_ms: 5_000, ..at_once() });
        let told = keys.shared.fetch().await.unwrap_err();
        assert!(told.contains(reason), "{what}: {told}");
        keys.ready(Some("one")).await;
        assert!(keys.current().is_none(), "{what}");
    }
    for path in [DOCUMENT, "/jwks"] {
        server.publishes(&[&key("one")]);
        server.answers.lock().insert(path.to_string(), None);
        let told = server.keys(&at_once()).shared.fetch().await.unwrap_err();
        assert!(told.contains("timed out"), "{told}");
    }
    assert!(elsewhere.asked.lock().is_empty(), "no redirect was followed");
    server.publishes(&[&key("one")]);
    server.keys(&Limits::default()).shared.fetch().await.unwrap();
}

#[test]
fn an_issuer_has_an_address_that_nobody_reads_along_with() {
    for good in ["https://login.example", "https://login.example/realms/x", "http://127.0.0.1:8080", "http://[::1]:1/"]
    {
        check_issuer(good).unwrap();
    }
    for bad in [
        "http://login.example",
        "http://127.0.0.1.example",
        "ftp://login.example",
        "urn:login",
        "https://login.example?x",
        "https://login.example#x",
        "login",
    ] {
        check_issuer(bad).expect_err(bad);
    }
}
