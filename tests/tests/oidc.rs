//! A real OpenID Connect issuer, which nodes know by its address alone: its keys are found, change, and go; its claims are mapped.
//!
//! A target of its own behind the feature `oidc`, as the tests that need a PostgreSQL server. `tests/all` installs the issuer from
//! npm and runs `cargo test --workspace --features chancery-tests/oidc --test oidc`; it is the one that `CHANCERY_OIDC_PROVIDER`
//! names.

use std::time::{Duration, Instant};

use arrow_flight::sql::client::FlightSqlServiceClient;
use harness::cluster::client::channel;
use harness::cluster::{Client, Cluster, Governance, Options, Person, Written};
use harness::edge::edge;
use harness::oidc::Provider;

const COUNT_ORDERS: &str = "SELECT count(*) FROM north.trade.orders";
/// 40 of 200 orders are `sent`, and a subject sees those that its attribute names.
const NORTH: &str = "CREATE PURPOSE care;
    GRANT SELECT ON TABLE trade.orders TO ROLE analyst FOR PURPOSE care;
    CREATE POLICY own ON TABLE trade.orders ROW FILTER (status IN attribute('states')) TO ROLE analyst;";
const AUDIENCE: &str = "urn:chancery";
const NORTH_AUDIENCE: &str = "urn:chancery:north";
const WITHIN: Duration = Duration::from_secs(30);

async fn cluster(provider: &Provider, more: &str) -> Cluster {
    let issuer = |direct: &str| {
        format!(
            "[[issuer]]\nname = {:?}\ndiscover = true\naudience = {AUDIENCE:?}\n{direct}{more}\nroles = [\"analyst\"]\n\
             claims = {{ roles = [\"realm_access\", \"roles\"], purposes = \"https://login.example/purposes\", \
             default_purpose = \"https://login.example/purpose\" }}\n\
             attributes = {{ states = \"area\" }}\nrole_names = {{ grp-17 = \"analyst\" }}\n\
             required = {{ tenant = \"health\" }}\n",
            provider.issuer()
        )
    };
    let governance = Governance {
        users: vec![Person::administrator()],
        policies: [("north".to_string(), NORTH.to_string())].into(),
        written: Written::AtTheDoor,
        site_lines: issuer(&format!("direct_audience = {NORTH_AUDIENCE:?}\n")),
        coordinator_lines: issuer(""),
        canaries: Vec::new(),
    };
    let limits = "issuer_keys_refresh_s = 1\nissuer_keys_retry_s = 1\nissuer_timeout_ms = 10000".to_string();
    let options = Options {
        governance: Some(governance),
        coordinator_limits: limits.clone(),
        site_limits: limits,
        ..Options::default()
    };
    let data = Box::leak(Box::new(edge().await.unwrap()));
    Cluster::start_with(data, options).await
}

/// Who bears the token, at the coordinator's door or at the site's own.
async fn bearing(cluster: &Cluster, site: Option<&str>, token: &str) -> Client {
    let channel = match site {
        None => channel(cluster.address(), None).await,
        Some(site) => channel(cluster.site(site).address(), Some(&cluster.authority())).await,
    };
    let mut flight = FlightSqlServiceClient::new(channel);
    flight.set_token(token.to_string());
    Client::of(flight)
}

/// Asks until it is answered so: `Ok` with the count, or an error of that code.
async fn eventually(client: &Client, expected: Result<&str, &str>) {
    let began = Instant::now();
    loop {
        let told = client.query(COUNT_ORDERS).await;
        let is_expected = match (&told, expected) {
            (Ok(_), Ok(count)) => client.value(COUNT_ORDERS).await == count,
            (Err(told), Err(code)) => told.starts_with(code),
            _ => false,
        };
        if is_expected {
            return;
        }
        assert!(began.elapsed() < WITHIN, "{told:?}, expected {expected:?}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_issuer_is_believed_by_what_it_publishes_and_its_claims_mean_what_is_configured() {
    let provider = Provider::start();
    let cluster = cluster(&provider, "").await;
    for (site, audience) in [(None, AUDIENCE), (Some("north"), NORTH_AUDIENCE)] {
        for scope in [None, Some("rsa")] {
            let ana = bearing(&cluster, site, &provider.token("ana", audience, scope).await).await;
            eventually(&ana, Ok("40")).await;
        }
        let eve = bearing(&cluster, site, &provider.token("eve", audience, None).await).await;
        eventually(&eve, Err("UNAUTHENTICATED")).await;
        let elsewhere = bearing(&cluster, site, &provider.token("ana", "urn:elsewhere", None).await).await;
        eventually(&elsewhere, Err("UNAUTHENTICATED")).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_allowed_algorithms_count() {
    let provider = Provider::start();
    let cluster = cluster(&provider, "algorithms = [\"ES256\"]").await;
    eventually(&bearing(&cluster, None, &provider.token("ana", AUDIENCE, None).await).await, Ok("40")).await;
    let by_rsa = bearing(&cluster, None, &provider.token("ana", AUDIENCE, Some("rsa")).await).await;
    eventually(&by_rsa, Err("UNAUTHENTICATED")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_change_and_go_without_a_restart_and_last_while_the_issuer_is_down() {
    let mut provider = Provider::stopped();
    let cluster = cluster(&provider, "").await;
    provider.restart();
    let first = bearing(&cluster, None, &provider.token("ana", AUDIENCE, None).await).await;
    eventually(&first, Ok("40")).await;
    provider.rotate();
    let second = bearing(&cluster, None, &provider.token("ana", AUDIENCE, None).await).await;
    eventually(&second, Ok("40")).await;
    eventually(&first, Err("UNAUTHENTICATED")).await;
    provider.stop();
    // Longer than keys are fresh: the issuer is asked, and does not answer.
    tokio::time::sleep(Duration::from_secs(3)).await;
    eventually(&second, Ok("40")).await;
    provider.restart();
    eventually(&second, Err("UNAUTHENTICATED")).await;
    let third = bearing(&cluster, None, &provider.token("ana", AUDIENCE, None).await).await;
    eventually(&third, Ok("40")).await;
}
