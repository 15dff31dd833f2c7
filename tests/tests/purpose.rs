//! The purpose of a session as clients choose it: by statement, by session option, by header; and what is bound to it.

use arrow_flight::Action;
use engine::identity::users_file;
use futures::StreamExt;
use harness::cluster::client::told;
use harness::cluster::{Client, Cluster, Governance, Options, USER};
use harness::tpch::tpch;
use tonic::Request;

const COUNT_ORDERS: &str = "SELECT count(*) FROM sales.tpch.orders";

/// A cluster whose user holds two purposes, and has been granted all tables for either.
async fn cluster() -> Cluster {
    let data = tpch(0.01).unwrap();
    let governance = Governance::granting_all(&data, &["care", "research"]);
    Cluster::start_with(&data, Options { governance: Some(governance), ..Options::default() }).await
}

/// The user holds these purposes from now on; the first is the default.
fn hold(cluster: &Cluster, purposes: &[&str]) {
    users_file::set_facts(&cluster.root().join("users.toml"), USER, |facts| {
        facts.purposes = purposes.iter().map(ToString::to_string).collect();
        facts.default_purpose = purposes.first().map(ToString::to_string);
    })
    .unwrap();
}

async fn act(client: &Client, name: &str, body: &'static [u8]) -> Vec<u8> {
    let mut request = Request::new(Action { r#type: name.to_string(), body: body.into() });
    let token = format!("Bearer {}", client.flight().token().unwrap());
    request.metadata_mut().insert("authorization", token.parse().unwrap());
    let mut results = client.flight().inner_mut().do_action(request).await.unwrap().into_inner();
    results.next().await.unwrap().unwrap().body.to_vec()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_has_one_purpose_at_a_time() {
    let cluster = cluster().await;
    for client in [cluster.client().await, cluster.client_of_site("sales").await] {
        assert_eq!(client.value("SHOW purpose").await, "care");
        assert_eq!(client.value("SET purpose = 'research'").await, "research");
        assert_eq!(client.value("SHOW purpose").await, "research");
        for wanted in ["audit", "Research", "care "] {
            let error = client.query(&format!("SET purpose = '{wanted}'")).await.unwrap_err();
            let expected = format!("PURPOSE: you do not hold the purpose `{wanted}`; you hold: `care`, `research`");
            assert_eq!(error, expected);
        }
        assert_eq!(client.flight().execute_update("RESET purpose".to_string(), None).await.unwrap(), 0);
        assert_eq!(client.value("SHOW purpose").await, "care");
        let error = client.query("SET datafusion.explain.show_statistics = true").await.unwrap_err();
        assert!(error.starts_with("STATEMENT: SET is refused here"), "{error}");
        let error = client.flight().execute_update("SELECT 1".to_string(), None).await.unwrap_err();
        assert!(told(&error).starts_with("STATEMENT: a statement that answers with rows"), "{error}");
    }
    assert_eq!(cluster.client().await.value("SHOW purpose").await, "care", "another session is not concerned");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_purpose_is_a_session_option() {
    let cluster = cluster().await;
    let client = cluster.client().await;
    // `purpose` → string `research`; then `purpose` → `audit`, and an option that is none.
    let set = act(&client, "SetSessionOptions", b"\x0a\x15\x0a\x07purpose\x12\x0a\x0a\x08research").await;
    assert_eq!(set, b"");
    assert_eq!(client.value("SHOW purpose").await, "research");
    let told = act(&client, "GetSessionOptions", b"").await;
    let catalog = b"\x0a\x13\x0a\x07catalog\x12\x08\x0a\x06system".as_slice();
    let (purpose, schema) =
        (b"\x0a\x15\x0a\x07purpose\x12\x0a\x0a\x08research", b"\x0a\x13\x0a\x06schema\x12\x09\x0a\x07queries");
    let timeout = b"\x0a\x1f\x0a\x11statement_timeout\x12\x0a\x0a\x08600000ms";
    let zone = b"\x0a\x12\x0a\x09time_zone\x12\x05\x0a\x03UTC";
    assert_eq!(told, [catalog, purpose, schema, timeout, zone].concat());
    let wrong = act(&client, "SetSessionOptions", b"\x0a\x12\x0a\x07purpose\x12\x07\x0a\x05audit").await;
    assert_eq!(wrong, b"\x0a\x0d\x0a\x07purpose\x12\x02\x08\x02", "INVALID_VALUE");
    let unknown = act(&client, "SetSessionOptions", b"\x0a\x0b\x0a\x01x\x12\x06\x0a\x04care").await;
    assert_eq!(unknown, b"\x0a\x07\x0a\x01x\x12\x02\x08\x01", "INVALID_NAME");
    assert_eq!(client.value("SHOW purpose").await, "research");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_header_names_the_purpose_of_one_call() {
    let cluster = cluster().await;
    let client = cluster.client().await;
    let with = |name: &str, value: &str| {
        let mut flight = client.flight();
        flight.set_header(name, value);
        Client::of(flight)
    };
    assert_eq!(with("x-chancery-purpose", "research").value("SHOW purpose").await, "research");
    assert_eq!(with("purpose", "research").value("SHOW purpose").await, "research");
    assert_eq!(client.value("SHOW purpose").await, "care");
    let error = with("x-chancery-purpose", "audit").query(COUNT_ORDERS).await.unwrap_err();
    assert!(error.starts_with("PURPOSE: you do not hold"), "{error}");
    let mut both = client.flight();
    both.set_header("purpose", "care");
    both.set_header("x-chancery-purpose", "research");
    let error = Client::of(both).query(COUNT_ORDERS).await.unwrap_err();
    assert!(error.starts_with("PURPOSE: the headers"), "{error}");
    for name in ["x-user", "x-purpose", "x-chancery-query-id", "x-chancery-fragment"] {
        assert_eq!(with(name, "ZXZl").value(COUNT_ORDERS).await, "15000", "{name} is ignored");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_is_bound_to_its_purpose_and_a_prepared_statement_is_not() {
    let cluster = cluster().await;
    let client = cluster.client().await;
    let ticket = client.info(COUNT_ORDERS).await.unwrap();
    let mut prepared = client.flight().prepare(COUNT_ORDERS.to_string(), None).await.unwrap();
    client.query("SET purpose = 'research'").await.unwrap();
    let error = client.fetch(ticket.clone()).await.unwrap_err();
    assert!(error.starts_with("NOT_FOUND: there is no such handle"), "{error}");
    let info = prepared.execute().await.unwrap();
    assert_eq!(client.fetch(info).await.unwrap().batches[0].num_rows(), 1);
    client.query("RESET purpose").await.unwrap();
    assert_eq!(client.fetch(ticket).await.unwrap().batches[0].num_rows(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_ends_with_the_right_to_its_purpose() {
    let cluster = cluster().await;
    let client = cluster.client().await;
    client.query("SET purpose = 'research'").await.unwrap();
    hold(&cluster, &["care"]);
    let error = client.query(COUNT_ORDERS).await.unwrap_err();
    assert!(error.starts_with("PURPOSE: you do not hold the purpose `research`"), "{error}");
    let error = client.query(COUNT_ORDERS).await.unwrap_err();
    assert!(error.starts_with("UNAUTHENTICATED: the token is not believed here, or its session has ended"), "{error}");
}
