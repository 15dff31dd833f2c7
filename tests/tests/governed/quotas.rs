//! What one subject may do: passwords guessed, statements in a minute, rows in a day; and what they asked before a restart.

use std::time::{Duration, Instant};

use arrow_flight::sql::client::FlightSqlServiceClient;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use harness::cluster::client::channel;
use harness::cluster::{Client, Cluster, Options, Written};
use harness::policy::record::{of_kind, records};
use tonic::Code;

use super::federation::{COUNT_ORDERS, NORTH, data, eventually, eventually_value, governed, table};

async fn limited(limits: &str) -> Cluster {
    let options = Options {
        governance: Some(governed(&[("north", NORTH)], Written::AsFiles)),
        coordinator_limits: limits.to_string(),
        site_limits: limits.to_string(),
        ..Options::default()
    };
    Cluster::start_with(Box::leak(Box::new(data().await)), options).await
}

/// A client that sends this password with each call, to the site's door or to the coordinator's.
async fn with_password(cluster: &Cluster, site: Option<&str>, name: &str, password: &str) -> Client {
    let channel = match site {
        None => channel(cluster.address(), None).await,
        Some(site) => channel(cluster.site(site).address(), Some(&cluster.authority())).await,
    };
    let basic = format!("Basic {}", STANDARD.encode(format!("{name}:{password}")));
    Client::of(FlightSqlServiceClient::new(channel)).with_header("authorization", &basic)
}

#[tokio::test(flavor = "multi_thread")]
async fn a82_whoever_guesses_passwords_waits_and_leaves_a_record() {
    let cluster = limited("password_failures_free = 3\npassword_wait_s_max = 2").await;
    for site in [None, Some("north")] {
        let open = match site {
            None => cluster.user("ana").await,
            Some(site) => cluster.user_of_site("ana", site).await,
        };
        for name in ["ana", "nobody"] {
            let mut told = Vec::new();
            for guess in 0..20 {
                let guessing = with_password(&cluster, site, name, &format!("guess {guess}")).await;
                told.push(guessing.query(COUNT_ORDERS).await.unwrap_err());
            }
            let refused = told.iter().filter(|told| told.starts_with("UNAUTHENTICATED: the user name or")).count();
            let waiting = told.iter().filter(|told| told.starts_with("BUSY: there were ")).count();
            assert_eq!(refused + waiting, 20, "{told:?}");
            assert!(refused >= 3 && waiting >= 5, "{told:?}");
        }
        // Not even the right password is looked at meanwhile; whoever is signed in goes on.
        for guess in 0..3 {
            let guessing = with_password(&cluster, site, "ana", &format!("guess {guess}")).await;
            guessing.query(COUNT_ORDERS).await.unwrap_err();
        }
        eventually_value(&open, COUNT_ORDERS, "200").await;
        eventually_value(&with_password(&cluster, site, "ana", "ana").await, COUNT_ORDERS, "200").await;
        let process = site.map_or(cluster.coordinator(), |site| cluster.site(site));
        assert!(process.log().contains("ALARM: a password is guessed"), "{}", process.log());
        assert!(!process.log().contains("guess 1"), "no password is in the log");
    }
    let all = records(&cluster.state_of("north"));
    let codes: Vec<_> =
        of_kind(&all, "refusal").iter().map(|record| record["code"].as_str().unwrap_or_default()).collect();
    assert!(codes.contains(&"UNAUTHENTICATED") && codes.contains(&"BUSY"), "{codes:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a102_a_subject_begins_so_many_statements_in_a_minute_and_others_theirs() {
    let cluster = limited("subject_statements_per_minute = 20").await;
    let (ana, kim) = (cluster.user("ana").await, cluster.user("kim").await);
    let began = Instant::now();
    let mut refused = None;
    while refused.is_none() && began.elapsed() < Duration::from_secs(60) {
        let info = ana.flight().execute("SELECT 1".to_string(), None).await.unwrap();
        let ticket = info.endpoint[0].ticket.clone().unwrap();
        refused = ana.flight().do_get(ticket).await.err();
    }
    let arrow_flight::error::FlightError::Tonic(status) = refused.expect("a statement is refused") else { panic!() };
    assert_eq!(status.code(), Code::Unavailable, "{status:?}");
    assert!(status.message().starts_with("BUSY: you have begun 20 statements within a minute"), "{status:?}");
    let after: u64 = status.metadata().get("grpc-retry-pushback-ms").unwrap().to_str().unwrap().parse().unwrap();
    assert!((1..=3_000).contains(&after), "{after}");
    assert_eq!(kim.value("SELECT 1").await, "1", "others have theirs");
    eventually_value(&ana, "SELECT 1", "1").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subject_is_sent_so_many_rows_in_a_day() {
    let cluster = limited("subject_rows_per_day = 250").await;
    let ana = cluster.user("ana").await;
    eventually_value(&ana, COUNT_ORDERS, "200").await;
    ana.query("SELECT id FROM north.trade.orders").await.unwrap();
    let told = ana.query("SELECT id FROM north.trade.orders").await.unwrap_err();
    assert!(told.starts_with("CAP: "), "{told}");
    let kim = cluster.user("visitor").await;
    assert_eq!(kim.value("SELECT 1").await, "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_asked_before_a_restart_is_remembered_without_its_literals() {
    const ASKED: &str = "SELECT count(*) FROM north.trade.orders WHERE status = 'sent'";
    const RECENT: &str = "SELECT statement, state, rows FROM system.queries.recent WHERE statement LIKE '%status = ?%'";
    let mut cluster = limited("").await;
    let ana = cluster.user_of_site("ana", "north").await;
    assert_eq!(ana.value(ASKED).await, "40");
    eventually(|| async {
        let kept = cluster.written_by("north");
        let kept = kept.iter().find(|(path, _)| path.ends_with("queries.history")).map(|(_, text)| text.clone());
        let kept = String::from_utf8(kept.unwrap_or_default()).unwrap();
        if kept.contains("status = ?") { Ok(()) } else { Err(format!("kept is {kept}")) }
    })
    .await;
    cluster.kill_site("north");
    cluster.restart_site("north");
    let columns = ["statement", "state", "rows"];
    let ana = cluster.user_of_site("ana", "north").await;
    let seen = table(&ana, RECENT, &columns).await;
    assert_eq!(seen, [["SELECT count(*) FROM north.trade.orders WHERE status = ?", "finished", "1"]]);
    let visitor = cluster.user_of_site("visitor", "north").await;
    assert!(table(&visitor, RECENT, &columns).await.is_empty(), "it is ana's");
    let admin = cluster.user_of_site("admin", "north").await;
    assert!(table(&admin, RECENT, &columns).await.is_empty(), "it is ana's");
}
