//! A89 for users: a certificate of the nodes' authority is a login by the name in it that the users file gives to one user, and by
//! nothing else in it.

use std::time::{Duration, SystemTime};

use arrow_flight::sql::client::FlightSqlServiceClient;
use arrow_flight::{Action, HandshakeRequest};
use engine::identity::users_file::{self, User};
use futures::stream;
use harness::cluster::{Client, Cluster, Governance, Options, Written};
use harness::tpch::tpch;
use rcgen::{CertificateParams, DnType};
use tonic::Request;

use super::client_certificates::{Authority, channel_showing, leaf, names, take_back};
use super::federation::{
    COUNT_ORDERS, LOGISTICS, NORTH, assert_refused, data, eventually_refused, eventually_value, governed, of_streams,
    refusal, table,
};
use super::streams::{begun, end_of};

const ANA: &str = "ana.health.example";
const BEA: &str = "bea.health.example";
const KIM: &str = "kim.health.example";

/// A certificate and its key.
type Shown = (String, String);

fn governance(site: &str, policy: &str) -> Governance {
    let coordinator_lines = "administrators = [\"admin\"]\n".to_string();
    Governance { coordinator_lines, ..governed(&[(site, policy)], Written::AtTheDoor) }
}

/// Changes a user at all nodes.
fn set(cluster: &Cluster, user: &str, edit: impl FnOnce(&mut User)) {
    users_file::set(&cluster.root().join("users.toml"), user, edit).unwrap();
}

/// A user's certificate, of one name.
fn of(name: &str) -> CertificateParams {
    leaf(|params| params.subject_alt_names = names(name))
}

/// Who shows the certificate at a door, and says nothing else.
async fn showing(cluster: &Cluster, door: &str, shown: &Shown) -> Client {
    let channel = channel_showing(cluster, door, Some(shown.clone())).await.expect("a connection");
    Client::of(FlightSqlServiceClient::new(channel)).looking_for(cluster.canaries())
}

/// What is told to whom a door does not let in.
async fn turned_away(cluster: &Cluster, door: &str, shown: Option<Shown>, header: Option<&str>) -> String {
    let channel = match channel_showing(cluster, door, shown).await {
        Ok(channel) => channel,
        Err(told) => return told,
    };
    let client = Client::of(FlightSqlServiceClient::new(channel)).looking_for(cluster.canaries());
    let client = match header {
        Some(header) => client.with_header("authorization", header),
        None => client,
    };
    refusal(&client, "SELECT 1").await
}

async fn act(client: &Client, name: &str, body: &'static [u8]) {
    let request = Request::new(Action { r#type: name.to_string(), body: body.into() });
    let mut flight = client.flight();
    let mut results = flight.inner_mut().do_action(request).await.unwrap().into_inner();
    while results.message().await.unwrap().is_some() {}
}

async fn handshake(client: &Client) -> String {
    let request = HandshakeRequest { protocol_version: 0, payload: Vec::new().into() };
    let mut flight = client.flight();
    let answer = flight.inner_mut().handshake(Request::new(stream::iter([request]))).await.unwrap();
    answer.metadata().get("authorization").expect("a token").to_str().unwrap().to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a89_a_user_is_known_by_the_certificate_and_by_nothing_like_it() {
    let options = Options {
        governance: Some(governance("north", NORTH)),
        revocations: true,
        users_over_tls: true,
        ..Options::default()
    };
    let cluster = Cluster::start_with(Box::leak(Box::new(data().await)), options).await;
    set(&cluster, "ana", |user| {
        user.password = None;
        user.certificate = Some(ANA.to_string());
    });
    set(&cluster, "bea", |user| user.certificate = Some(BEA.to_string()));
    let authority = Authority::of(&cluster);
    let (stranger, _) = Authority::another();
    let shown = authority.sign(&of(ANA), "");
    let lost = authority.sign(&of(ANA), "");
    let certs = cluster.root().join("certs");
    let doors = [cluster.address(), cluster.site("north").address()];

    for door in doors {
        let ana = showing(&cluster, door, &shown).await;
        eventually_value(&ana, COUNT_ORDERS, "200").await;
        assert_eq!(ana.value("SELECT count(note) FROM north.trade.orders").await, "0", "the mask is for analysts");

        // All connections that show the certificate share its session.
        let again = showing(&cluster, door, &shown).await;
        assert_eq!(ana.value("SET purpose = 'audit_work'").await, "audit_work");
        assert_eq!(again.value("SHOW purpose").await, "audit_work");
        // `purpose` → string `ward`.
        act(&ana, "SetSessionOptions", b"\x0a\x11\x0a\x07purpose\x12\x06\x0a\x04ward").await;
        assert_eq!(again.value("SHOW purpose").await, "ward");
        let sessions = "SELECT session_id, subject, believed_by FROM system.sessions.open";
        let open = table(&again, sessions, &["session_id", "subject", "believed_by"]).await;
        assert_eq!((open.len(), &open[0][1..]), (1, &["ana".to_string(), "certificate".to_string()][..]));
        act(&ana, "CloseSession", b"").await;
        assert_eq!(again.value("SHOW purpose").await, "care", "its next call opens another");
        again.value("SET purpose = 'ward'").await;
        let admin = Client::connect_as(door, Some(&cluster.authority()), "admin").await;
        admin.query(&format!("KILL SESSION '{}'", open[0][0])).await.unwrap();
        assert_eq!(again.value("SHOW purpose").await, "care", "an administrator ends the session, not the user");

        // A handshake opens a session of its own, whose token nobody else can use.
        let bearer = handshake(&ana).await;
        let own = showing(&cluster, door, &shown).await.with_header("authorization", &bearer);
        assert_eq!(own.value("SET purpose = 'ward'").await, "ward");
        assert_eq!((own.value("SHOW purpose").await, ana.value("SHOW purpose").await), ("ward".into(), "care".into()));
        for other in [None, Some(authority.sign(&of(BEA), "")), Some(authority.sign(&of(ANA), ""))] {
            let told = turned_away(&cluster, door, other, Some(&bearer)).await;
            assert!(told.starts_with("UNAUTHENTICATED: "), "{told}");
        }

        // A header counts alone: a wrong password, one that ana no longer has, a token of nobody.
        for header in ["Basic YW5hOndyb25n", "Basic YW5hOmFuYQ==", "Bearer made-up", ""] {
            let told = turned_away(&cluster, door, Some(shown.clone()), Some(header)).await;
            assert!(told.starts_with("UNAUTHENTICATED: "), "{header:?}: {told}");
        }

        for (what, params, expected) in [
            ("of another name", of("elsewhere.example"), "`elsewhere.example`"),
            ("of a longer name", of("x.ana.health.example"), "`x.ana.health.example`"),
            ("of every name", of("*.health.example"), "`*.health.example`"),
            ("of the user's own name", of("ana"), "`ana`"),
            ("of the machine", of("localhost"), "no DNS name of its own"),
            (
                "with the name where names do not count",
                leaf(|params| {
                    params.subject_alt_names = Vec::new();
                    params.distinguished_name.push(DnType::CommonName, ANA);
                }),
                "no DNS name of its own",
            ),
            ("of two users", leaf(|params| params.subject_alt_names = [names(ANA), names(BEA)].concat()), ANA),
        ] {
            let told = turned_away(&cluster, door, Some(authority.sign(&params, "")), None).await;
            assert!(told.starts_with("UNAUTHENTICATED: ") && told.contains(expected), "{what}: {told}");
        }
        let told = turned_away(&cluster, door, Some(stranger.sign(&of(ANA), "")), None).await;
        assert!(!told.contains("UNAUTHENTICATED"), "refused before the call is looked at: {told}");
        let told = turned_away(&cluster, door, None, None).await;
        assert!(told.starts_with("UNAUTHENTICATED: ") && told.contains("log in"), "{told}");
    }

    std::fs::write(certs.join("lost.crt"), &lost.0).unwrap();
    take_back(&certs, "lost.crt");
    set(&cluster, "bea", |user| user.disabled = true);
    for door in doors {
        let told = turned_away(&cluster, door, Some(lost.clone()), None).await;
        assert!(told.starts_with("UNAUTHENTICATED: ") && told.contains("is revoked"), "{told}");
        let told = turned_away(&cluster, door, Some(authority.sign(&of(BEA), "")), None).await;
        assert!(told.starts_with("UNAUTHENTICATED: ") && told.contains(BEA), "{told}");
        let ana = showing(&cluster, door, &shown).await;
        eventually_value(&ana, COUNT_ORDERS, "200").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_stream_ends_with_the_certificate_that_it_rests_on() {
    let options = Options { revocations: true, users_over_tls: true, ..of_streams(governance("logistics", LOGISTICS)) };
    let cluster = Cluster::start_with(&tpch(0.1).unwrap().of_site("logistics"), options).await;
    let authority = Authority::of(&cluster);
    let shown = authority.sign(&of(ANA), "");
    let (coordinator, site) = (cluster.address(), cluster.site("logistics").address());
    let known = |user: &mut User| user.certificate = Some(ANA.to_string());
    let ended = async |what: &str, stream| {
        let end = end_of(stream).await;
        assert!(end.starts_with("EXPIRED: "), "{what}: {end}");
    };
    // TLS looks at a certificate when a connection is made; what rests on one that expires later is over then.
    set(&cluster, "kim", |user| {
        user.certificate = Some(KIM.to_string());
        user.facts.purposes.insert("care".to_string());
        user.facts.default_purpose = Some("care".to_string());
    });
    let expires = SystemTime::now() + Duration::from_secs(45);
    let short = leaf(|params| {
        params.subject_alt_names = names(KIM);
        params.not_after = expires.into();
    });
    let kim = showing(&cluster, site, &authority.sign(&short, "")).await;
    let until_expiry = begun(&kim).await;

    set(&cluster, "ana", known);
    let ana = showing(&cluster, site, &shown).await;
    let through = showing(&cluster, coordinator, &shown).await;

    let (at_site, in_all) = (begun(&ana).await, begun(&through).await);
    set(&cluster, "ana", |user| user.disabled = true);
    ended("the user is disabled, at the site", at_site).await;
    ended("the user is disabled, at the coordinator", in_all).await;
    assert_refused(&ana, "SELECT 1", "UNAUTHENTICATED").await;
    set(&cluster, "ana", |user| user.disabled = false);

    let stream = begun(&ana).await;
    set(&cluster, "ana", |user| user.certificate = None);
    ended("it is the user's no more", stream).await;
    set(&cluster, "ana", known);

    let stream = begun(&ana).await;
    let session = ana.value("SELECT session_id FROM system.sessions.open").await;
    let admin = cluster.user_of_site("admin", "logistics").await;
    admin.query(&format!("KILL SESSION '{session}'")).await.unwrap();
    ended("the session is ended", stream).await;

    let stream = begun(&ana).await;
    let certs = cluster.root().join("certs");
    std::fs::write(certs.join("lost.crt"), &shown.0).unwrap();
    take_back(&certs, "lost.crt");
    ended("it is revoked", stream).await;
    assert_refused(&ana, "SELECT 1", "UNAUTHENTICATED").await;

    // Whoever reads has all of it before that.
    tokio::time::sleep(expires.duration_since(SystemTime::now()).unwrap_or_default() + Duration::from_secs(1)).await;
    ended("it has expired", until_expiry).await;
    eventually_refused(&kim, "SELECT 1", "UNAUTHENTICATED").await;
}
