//! What runs and who is signed in, listed and ended: by everybody their own, by administrators of a node everybody's.

use std::process::{Command, Output};

use harness::cluster::binary::chancery;
use harness::cluster::{Client, Cluster, Governance, Written};

use super::federation::{
    LARGE, LOGISTICS, assert_refused, eventually, eventually_value, governed, streams_under, table,
};
use super::streams::{begun, end_of};

const RUNNING: &str = "SELECT query_id, subject, statement FROM system.queries.running WHERE statement LIKE '%lineitem%' \
                       AND statement NOT LIKE '%system.%'";
const SESSIONS: &str = "SELECT session_id, subject, believed_by, client, address, statements FROM system.sessions.open";

async fn cluster() -> Cluster {
    let governance = governed(&[("logistics", LOGISTICS)], Written::AtTheDoor);
    let coordinator_lines = "administrators = [\"admin\"]\n".to_string();
    streams_under(Governance { coordinator_lines, ..governance }).await
}

/// The one long query that the client sees running, once what was asked before it has ended.
async fn running(client: &Client) -> Vec<String> {
    let columns = ["query_id", "subject", "statement"];
    eventually(|| async {
        let seen = table(client, RUNNING, &columns).await;
        if seen.len() == 1 { Ok(()) } else { Err(format!("{seen:?} runs")) }
    })
    .await;
    table(client, RUNNING, &columns).await.remove(0)
}

async fn eventually_nothing_runs(client: &Client) {
    eventually(|| async {
        let seen = table(client, RUNNING, &["query_id"]).await;
        if seen.is_empty() { Ok(()) } else { Err(format!("{seen:?} runs")) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_is_ended_by_its_asker_or_by_an_administrator_and_by_nobody_else() {
    let cluster = cluster().await;
    let [ana, again, visitor, admin] = [
        cluster.user("ana").await,
        cluster.user("ana").await,
        cluster.user("visitor").await,
        cluster.user("admin").await,
    ];
    let admin_at_site = cluster.user_of_site("admin", "logistics").await;

    // Others see nothing of it, and cannot tell it from one that is not there.
    let stream = begun(&ana).await;
    let [id, subject, statement] = running(&ana).await.try_into().unwrap();
    assert_eq!((subject.as_str(), statement.as_str()), ("ana", LARGE), "one's own statement is told as it is");
    assert!(table(&visitor, RUNNING, &["query_id"]).await.is_empty());
    let made_up = "0".repeat(32);
    let refusals = [&id, &made_up].map(|id| format!("KILL QUERY '{id}'"));
    let mut said = Vec::new();
    for refused in &refusals {
        said.push(visitor.query(refused).await.unwrap_err());
    }
    assert_eq!(said[0], said[1]);
    assert!(said[0].starts_with("NOT_FOUND: "), "{said:?}");
    assert_refused(&admin, &refusals[1], "NOT_FOUND").await;

    // An administrator sees it without its literals, and ends it, at the sites too.
    let seen = running(&admin).await;
    assert_eq!(seen[..2], [id.clone(), "ana".to_string()]);
    assert!(seen[2].contains("VALUES (?), (?)") && !seen[2].contains('9'), "{seen:?}");
    assert_eq!(running(&admin_at_site).await[1], "ana via coordinator");
    assert_eq!(table(&admin, &refusals[0], &["query_id"]).await, [[id.clone()]]);
    assert_eq!(end_of(stream).await, "CANCELLED: an administrator of this node has ended the query");
    for admin in [&admin, &admin_at_site] {
        eventually_nothing_runs(admin).await;
    }
    assert_refused(&admin, &refusals[0], "NOT_FOUND").await;

    // Its asker ends it from another session.
    let stream = begun(&ana).await;
    let id = running(&again).await.remove(0);
    again.query(&format!("KILL QUERY '{id}'")).await.unwrap();
    assert_eq!(end_of(stream).await, "CANCELLED: the query was cancelled");

    // At a site its administrator ends what a coordinator brought.
    let stream = begun(&ana).await;
    let id = running(&admin_at_site).await.remove(0);
    assert_refused(&cluster.user_of_site("ana", "logistics").await, &format!("KILL QUERY '{id}'"), "NOT_FOUND").await;
    admin_at_site.query(&format!("KILL QUERY '{id}'")).await.unwrap();
    let end = end_of(stream).await;
    assert!(end.starts_with("CANCELLED: ") && end.contains("ended"), "{end}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_ended_with_what_runs_in_it() {
    let cluster = cluster().await;
    let [ana, visitor, admin] = [cluster.user("ana").await, cluster.user("visitor").await, cluster.user("admin").await];
    let stream = begun(&ana).await;
    let columns = ["session_id", "subject", "believed_by", "client", "address", "statements"];
    let own = table(&ana, SESSIONS, &columns).await;
    let [session, subject, believed_by, client, address, statements] = own[0].clone().try_into().unwrap();
    assert_eq!((own.len(), subject.as_str(), believed_by.as_str()), (1, "ana", "password"));
    assert_eq!(address, "127.0.0.1");
    assert!(client.contains("tonic") && statements.parse::<u64>().unwrap() >= 2, "{own:?}");
    assert!(!own[0].join(" ").contains(ana.flight().token().unwrap()));

    let seen: Vec<_> = table(&visitor, SESSIONS, &["subject"]).await.concat();
    assert_eq!(seen, ["visitor"]);
    let mut seen: Vec<_> = table(&admin, SESSIONS, &["subject"]).await.concat();
    seen.sort();
    assert_eq!(seen, ["admin", "ana", "visitor"]);

    let end = format!("KILL SESSION '{session}'");
    assert_refused(&visitor, &end, "NOT_FOUND").await;
    admin.query(&end).await.unwrap();
    let ended = end_of(stream).await;
    assert!(ended.starts_with("EXPIRED: "), "{ended}");
    assert_refused(&ana, "SELECT 1", "UNAUTHENTICATED").await;
    assert_refused(&admin, &end, "NOT_FOUND").await;
    eventually_value(&cluster.user("ana").await, "SELECT 1", "1").await;
}

fn run(cluster: &Cluster, arguments: &[&str]) -> Output {
    let address = format!("grpc://{}", cluster.address());
    Command::new(chancery())
        .args(arguments)
        .args(["--address", &address, "--user", "admin", "--format", "csv"])
        .env("CHANCERY_PASSWORD", "admin")
        .output()
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn administrators_end_queries_and_sessions_from_the_command_line() {
    let cluster = cluster().await;
    let ana = cluster.user("ana").await;
    let stream = begun(&ana).await;
    let [query, session] =
        [running(&ana).await.remove(0), table(&ana, SESSIONS, &["session_id"]).await.concat().remove(0)];
    for (list, id) in [("query", &query), ("session", &session)] {
        let listed = run(&cluster, &[list, "list"]);
        let text = String::from_utf8(listed.stdout).unwrap();
        assert!(listed.status.success() && text.contains(id.as_str()), "{text}");
    }
    assert!(run(&cluster, &["query", "kill", &query]).status.success());
    assert_eq!(end_of(stream).await, "CANCELLED: an administrator of this node has ended the query");
    assert!(run(&cluster, &["session", "end", &session]).status.success());
    assert_refused(&ana, "SELECT 1", "UNAUTHENTICATED").await;
    let again = run(&cluster, &["session", "end", "it's'; none"]);
    let told = String::from_utf8(again.stderr).unwrap();
    assert!(again.status.code() == Some(1) && told.contains("NOT_FOUND"), "{told}");
}
