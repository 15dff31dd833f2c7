//! What a source is refused, told by kind and without the server's words; and by whom a server is believed.

use std::fs;

use connectors::{ConnectorError, ErrorKind};
use engine::identity::certs;
use harness::flight_proxy::{Changes, FlightProxy};
use harness::roapi::{Roapi, Served};
use serde_json::json;
use tempfile::TempDir;
use tonic::transport::{Certificate, Identity, ServerTlsConfig};

use super::{open, ours, rows, session, with};

fn numbers() -> Served {
    let rows = arrow::array::RecordBatch::try_from_iter([(
        "n",
        std::sync::Arc::new(arrow::array::Int64Array::from(vec![1, 2, 3])) as arrow::array::ArrayRef,
    )]);
    Served::new("t", &rows.unwrap())
}

fn account(user: &str, password: &str) -> serde_json::Value {
    json!({ "flight_sql_config": { "auth_basic": { "username": user, "password": password } } })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_signs_in_and_does_so_again_when_the_password_was_changed() {
    let mut server = Roapi::start_with(account("ana", "first"), &[numbers()]);
    let secret = TempDir::new().unwrap();
    let file = secret.path().join("password");
    fs::write(&file, "first\n").unwrap();
    let options = with(server.options(), &format!("user = 'ana'\npassword_file = '{}'", file.display()));
    let source = open(options.clone()).await;
    let ctx = session(&source, &["t"]).await;
    assert_eq!(rows(&ctx, "SELECT sum(n) FROM t").await.unwrap(), "6");
    server.configure(account("ana", "second"));
    let error = rows(&ctx, "SELECT sum(n) FROM t").await.unwrap_err();
    assert_eq!(ours(&error).kind(), ErrorKind::Unauthenticated, "{error:?}");
    fs::write(&file, "second\n").unwrap();
    assert_eq!(rows(&ctx, "SELECT sum(n) FROM t").await.unwrap(), "6", "read again from its file");
    let nobody = open(server.options()).await;
    let ctx = session(&nobody, &["t"]).await;
    let error = rows(&ctx, "SELECT n FROM t").await.unwrap_err();
    assert_eq!(ours(&error).kind(), ErrorKind::Unauthenticated, "{error:?}");
    let told = ours(&error).to_string();
    assert!(told.ends_with("the server does not accept the source's account"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_sent_and_read_again_when_it_was_changed() {
    let token = |token: &str| json!({ "flight_sql_config": { "auth_token": token } });
    let mut server = Roapi::start_with(token("one"), &[numbers()]);
    let secret = TempDir::new().unwrap();
    let file = secret.path().join("token");
    fs::write(&file, "one").unwrap();
    let source = open(with(server.options(), &format!("token_file = '{}'", file.display()))).await;
    let ctx = session(&source, &["t"]).await;
    assert_eq!(rows(&ctx, "SELECT sum(n) FROM t").await.unwrap(), "6");
    server.configure(token("two"));
    fs::write(&file, "two").unwrap();
    assert_eq!(rows(&ctx, "SELECT sum(n) FROM t").await.unwrap(), "6");
    fs::remove_file(&file).unwrap();
    server.configure(token("three"));
    let error = rows(&ctx, "SELECT sum(n) FROM t").await.unwrap_err();
    assert_eq!(ours(&error).kind(), ErrorKind::Unauthenticated, "{error:?}");
    assert!(!format!("{error:?}").contains("two"), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_a_handshake_is_shown_the_account_with_every_call() {
    let server = Roapi::start(&[numbers()]);
    let proxy =
        FlightProxy::open(&server.address(), Changes { lacks: ["Handshake"].into(), ..Changes::default() }).await;
    let secret = TempDir::new().unwrap();
    let file = secret.path().join("password");
    fs::write(&file, "secret").unwrap();
    let options =
        with(server.options_at(proxy.address()), &format!("user = 'ana'\npassword_file = '{}'", file.display()));
    let ctx = session(&open(options).await, &["t"]).await;
    assert_eq!(rows(&ctx, "SELECT sum(n) FROM t").await.unwrap(), "6");
    assert!(proxy.authorizations().iter().all(|shown| shown.starts_with("Basic ")), "{:?}", proxy.authorizations());
    assert!(proxy.authorizations().len() > 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_refusal_of_a_pass_is_no_error() {
    let server = Roapi::start_with(account("ana", "first"), &[numbers()]);
    let secret = TempDir::new().unwrap();
    let file = secret.path().join("password");
    fs::write(&file, "first").unwrap();
    for (disbelieves, is_believed) in [(1, true), (2, false)] {
        let proxy = FlightProxy::open(&server.address(), Changes { disbelieves, ..Changes::default() }).await;
        let more = format!("user = 'ana'\npassword_file = '{}'", file.display());
        let listed = open(with(server.options_at(proxy.address()), &more)).await.tables().await;
        match (is_believed, listed) {
            (true, Ok(listed)) => assert_eq!(listed.len(), 1),
            (false, Err(error)) => {
                assert_eq!(error.kind(), ErrorKind::Unauthenticated, "{error:?}");
                assert!(!error.to_string().contains("SECRET"), "{error}");
            }
            (_, other) => panic!("{disbelieves}: {other:?}"),
        }
    }
}

/// A certificate for `localhost` and one for us, by an authority of their own.
fn certificates() -> TempDir {
    let directory = TempDir::new().unwrap();
    certs::init(directory.path(), &["server", "site"].map(|name| name.parse().unwrap())).unwrap();
    directory
}

/// The server's own TLS does not start in this version; what stands before it has its own.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_is_believed_by_its_certificate_and_we_by_ours() {
    let (server, ours, strange) = (Roapi::start(&[numbers()]), certificates(), certificates());
    let read = |name: &str| fs::read(ours.path().join(name)).unwrap();
    let tls = ServerTlsConfig::new()
        .identity(Identity::from_pem(read("server.crt"), read("server.key")))
        .client_ca_root(Certificate::from_pem(read("authority.crt")));
    let proxy = FlightProxy::open_over_tls(&server.address(), tls).await;
    let port = proxy.address().rsplit_once(':').unwrap().1.to_string();
    let file = |of: &TempDir, name: &str| toml::Value::from(of.path().join(name).to_str().unwrap());
    let mut over_tls = with(server.options(), "request_timeout_ms = 5000");
    over_tls.insert("url".into(), format!("grpc+tls://localhost:{port}").into());
    for (option, name) in [("tls_ca", "authority.crt"), ("tls_certificate", "site.crt"), ("tls_key", "site.key")] {
        over_tls.insert(option.into(), file(&ours, name));
    }
    let ctx = session(&open(over_tls.clone()).await, &["t"]).await;
    assert_eq!(rows(&ctx, "SELECT sum(n) FROM t").await.unwrap(), "6");

    let refused = async |why: &str, change: &dyn Fn(&mut toml::Table)| {
        let mut options = over_tls.clone();
        change(&mut options);
        let told = open(options).await.tables().await.unwrap_err();
        assert_eq!(told.kind(), ErrorKind::SiteUnavailable, "{why}: {told:?}");
    };
    let url = |url: String| move |options: &mut toml::Table| drop(options.insert("url".into(), url.clone().into()));
    refused("another name", &url(format!("grpc+tls://127.0.0.2:{port}"))).await;
    refused("another authority", &|options| drop(options.insert("tls_ca".into(), file(&strange, "authority.crt"))))
        .await;
    refused("a certificate of another authority", &|options| {
        options.insert("tls_certificate".into(), file(&strange, "site.crt"));
        options.insert("tls_key".into(), file(&strange, "site.key"));
    })
    .await;
    refused("no certificate", &|options| {
        options.remove("tls_certificate");
        options.remove("tls_key");
    })
    .await;
    refused("in the clear", &|options| {
        options.retain(|option, _| !option.starts_with("tls_"));
        options.insert("url".into(), format!("grpc://localhost:{port}").into());
    })
    .await;
}

/// What the server says of a statement may hold values: it is in no error that anybody is told.
#[tokio::test(flavor = "multi_thread")]
async fn the_servers_words_are_not_repeated() {
    let server = Roapi::start(&[numbers()]);
    let changes = Changes { refuses: vec!["\"t\""], ..Changes::default() };
    let proxy = FlightProxy::open(&server.address(), changes).await;
    let source = open(server.options_at(proxy.address())).await;
    let ctx = session(&source, &["t"]).await;
    let error = rows(&ctx, "SELECT n FROM t").await.unwrap_err();
    assert!(matches!(ours(&error), ConnectorError::Unavailable { .. }), "{error:?}");
    assert!(!ours(&error).to_string().contains("SECRET"), "{error}");
    let mut cause: &dyn std::error::Error = ours(&error);
    while let Some(next) = cause.source() {
        cause = next;
    }
    assert!(cause.to_string().contains("SECRET"), "an error keeps the server's words as its cause: {cause}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_does_not_answer_is_given_up() {
    // It accepts connections, and says nothing on them.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let options = format!("url = 'grpc://{}'\nrequest_timeout_ms = 500", silent.local_addr().unwrap());
    let told = open(options.parse().unwrap()).await.tables().await.unwrap_err();
    assert_eq!(told.kind(), ErrorKind::DeadlineExceeded, "{told:?}");
    drop(silent);
    let told = open(options.parse().unwrap()).await.tables().await.unwrap_err();
    assert_eq!(told.kind(), ErrorKind::SiteUnavailable, "{told:?}");
}
