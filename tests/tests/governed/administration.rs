//! Policy as its administrator writes it: at the site's own door or in files, durable, told back, seen by askers soon.

use std::fs;

use harness::cluster::{Client, Cluster, Written};

use super::federation::{
    COUNT_ORDERS, NORTH, assert_refused, eventually, eventually_refused, eventually_value, governed,
};
use super::federation::{north, refusal, start, table};

const COUNT_NOTES: &str = "SELECT count(note) FROM north.trade.orders";
const GRANT_ORDERS: &str = "GRANT SELECT ON TABLE north.trade.orders TO ROLE analyst FOR PURPOSE care";
const GRANT_NAMING_NO_SITE: &str = "GRANT SELECT ON TABLE trade.orders TO ROLE analyst FOR PURPOSE care";
const HIDE_NOTES: &str =
    "CREATE POLICY notes ON TABLE trade.orders COLUMN MASK replace_with_null COLUMNS (note) TO ROLE analyst";

/// What is in force, without who wrote it and when.
async fn in_force(admin: &Client) -> Vec<Vec<Vec<String>>> {
    vec![
        table(admin, "SHOW PURPOSES", &["purpose"]).await,
        table(admin, "SHOW GRANTS", &["grant", "right", "resource", "to", "purpose", "mode", "state"]).await,
        table(admin, "SHOW POLICIES", &["policy", "resource", "rule", "audience", "trouble"]).await,
    ]
}

/// Changes the policy; the answer is the change as it was made and its inverse.
async fn change(admin: &Client, statement: &str) -> (String, String) {
    let mut told = table(admin, statement, &["change", "inverse"]).await;
    assert_eq!(told.len(), 1, "{statement}");
    let row = told.remove(0);
    (row[0].clone(), row[1].clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn policy_is_written_at_the_door_of_its_site_and_undone_by_its_inverses() {
    let mut cluster = start(governed(&[], Written::AtTheDoor)).await;
    let admin = cluster.user_of_site("admin", "north").await;
    let ana = cluster.user("ana").await;

    // By nobody else, nowhere else.
    for name in ["ana", "auditor", "visitor"] {
        let other = cluster.user_of_site(name, "north").await;
        for statement in ["CREATE PURPOSE care", GRANT_ORDERS, "SHOW POLICIES", "SHOW GRANTS", "SHOW POLICY HISTORY"] {
            assert_refused(&other, statement, "STATEMENT").await;
        }
    }
    let error = refusal(&cluster.user("admin").await, GRANT_ORDERS).await;
    assert_eq!(error, referral(&cluster, "a policy statement", &["north"]));

    let steps = [
        "CREATE PURPOSE care",
        GRANT_ORDERS,
        "GRANT SELECT ON TABLE trade.items TO ROLE analyst FOR PURPOSE care WITH (id = 'north-items')",
        HIDE_NOTES,
    ];
    let mut states = vec![in_force(&admin).await];
    let mut made = Vec::new();
    for step in steps {
        made.push(change(&admin, step).await);
        states.push(in_force(&admin).await);
    }
    assert_eq!(made[0].1, "DROP PURPOSE care");
    assert!(made[1].0.contains("id = 'g-0001'"), "the site gives the id: {}", made[1].0);
    assert_eq!(made[1].1, "REVOKE GRANT 'g-0001'");
    assert_eq!(made[2].1, "REVOKE GRANT 'north-items'");
    assert_eq!(made[3].1, "DROP POLICY notes");

    eventually_value(&ana, COUNT_ORDERS, "200").await;
    eventually_value(&ana, COUNT_NOTES, "0").await;
    told(&cluster, &admin).await;
    referrals(&cluster, &ana).await;

    // Durable: after a power cut the same is in force, and the history is whole.
    let history = table(&admin, "SHOW POLICY HISTORY", &["version", "author", "change", "inverse"]).await;
    assert_eq!(history.len(), steps.len());
    assert!(history.iter().all(|row| row[1] == "admin"), "{history:?}");
    cluster.kill_site("north");
    cluster.restart_site("north");
    let admin = cluster.user_of_site("admin", "north").await;
    assert_eq!(in_force(&admin).await, *states.last().unwrap());
    assert_eq!(table(&admin, "SHOW POLICY HISTORY", &["version", "author", "change", "inverse"]).await, history);
    eventually_value(&ana, COUNT_NOTES, "0").await;

    // Each inverse gives the state before, and its own inverse the state after.
    for (index, (_, inverse)) in made.iter().enumerate().rev() {
        let (_, again) = change(&admin, inverse).await;
        assert_eq!(in_force(&admin).await, states[index], "{inverse}");
        change(&admin, &again).await;
        assert_eq!(in_force(&admin).await, states[index + 1], "{again}");
        change(&admin, inverse).await;
    }
    eventually_refused(&ana, COUNT_ORDERS, "PURPOSE").await;
}

/// What a coordinator says of what is said at sites' doors.
fn referral(cluster: &Cluster, what: &str, sites: &[&str]) -> String {
    let place = |site: &&str| format!("{site} at grpc+tls://{}", cluster.site(site).address());
    let places = sites.iter().map(place).collect::<Vec<_>>().join(", ");
    format!("STATEMENT: {what} is said at the door of the site that owns the table, not at a coordinator: {places}")
}

/// By the site that is named; else by what the asker sees; else all of them. Words in comments and texts name nothing.
async fn referrals(cluster: &Cluster, ana: &Client) {
    let all: &[&str] = &["east", "north", "south"];
    let (admin, visitor) = (cluster.user("admin").await, cluster.user("visitor").await);
    let policy_statements: [(&Client, &str, &[&str]); 10] = [
        (&admin, "ALTER TABLE NORTH.trade.orders ACCEPT COLUMN note -- not south.ledger.payments", &["north"]),
        (&admin, "GRANT SELECT ON SCHEMA \"south\".ledger TO ALL FOR PURPOSE care", &["south"]),
        (&admin, GRANT_NAMING_NO_SITE, all),
        (&visitor, GRANT_NAMING_NO_SITE, all),
        (ana, GRANT_NAMING_NO_SITE, &["north"]),
        (ana, "SHOW EFFECTIVE POLICY ON Trade.\"orders\" FOR ROLE analyst", &["north"]),
        (ana, "CREATE POLICY p ON SCHEMA trade ROW FILTER (status = 'south.ledger.payments') TO ALL", &["north"]),
        (ana, "CREATE POLICY p ON TABLE ledger.payments ROW FILTER (id = 1) TO ALL", all),
        (ana, "DROP POLICY notes", all),
        (ana, "GRANT SELECT ON TABLE north.trade.orders", all),
    ];
    for (client, statement, sites) in policy_statements {
        assert_eq!(refusal(client, statement).await, referral(cluster, "a policy statement", sites), "{statement}");
    }
    let simulation = "EXPLAIN POLICY AS USER ana SELECT 'south.x', id FROM North.trade.orders";
    assert_eq!(refusal(&admin, simulation).await, referral(cluster, "EXPLAIN POLICY AS USER", &["north"]));
}

/// What the administrator is told of what is in force, and what others are not.
async fn told(cluster: &Cluster, admin: &Client) {
    let effective = "SHOW EFFECTIVE POLICY ON trade.orders FOR ROLE analyst PURPOSE care";
    let told = table(admin, effective, &["column", "form", "policies", "grant"]).await;
    let expected = ["note", "replace_with_null", "notes", "g-0001"].map(String::from);
    assert!(told.contains(&expected.to_vec()), "{told:?}");
    assert!(told.iter().any(|row| row[0] == "id" && row[1] == "clear"), "{told:?}");

    let of_ana =
        "EXPLAIN POLICY AS USER ana PURPOSE care SELECT id, note FROM north.trade.orders WHERE status = 'open'";
    let columns = ["table", "column", "form", "policies", "grant"];
    let simulated = table(admin, of_ana, &columns).await;
    let expected = ["north.trade.orders", "note", "replace_with_null", "notes", "g-0001"].map(String::from);
    assert!(simulated.contains(&expected.to_vec()), "{simulated:?}");
    let ana = cluster.user("ana").await;
    let own = "EXPLAIN POLICY SELECT id, note FROM north.trade.orders WHERE status = 'open'";
    assert_eq!(table(&ana, own, &columns).await, simulated, "the coordinator tells the same");
    let ana_at_site = cluster.user_of_site("ana", "north").await;
    assert_eq!(table(&ana_at_site, own, &columns).await, simulated);
    let nobody = refusal(admin, "EXPLAIN POLICY AS USER nobody SELECT 1").await;
    assert!(nobody.starts_with("NOT_FOUND: ") && nobody.contains("SHOW EFFECTIVE POLICY"), "{nobody}");
    assert_refused(&ana_at_site, of_ana, "STATEMENT").await;
    assert_refused(&ana, of_ana, "STATEMENT").await;
    assert_refused(&cluster.user("admin").await, of_ana, "STATEMENT").await;
    // An administrator decides about data and has no grant for it.
    assert!(admin.query(COUNT_ORDERS).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_is_seen_through_the_coordinator_within_seconds() {
    let cluster = north(NORTH).await;
    let admin = cluster.user_of_site("admin", "north").await;
    let ana = cluster.user("ana").await;
    eventually_value(&ana, COUNT_NOTES, "0").await;
    change(&admin, "DROP POLICY notes").await;
    eventually_value(&ana, COUNT_NOTES, "134").await;
    change(&admin, HIDE_NOTES).await;
    eventually_value(&ana, COUNT_NOTES, "0").await;
    change(&admin, "CREATE POLICY own ON TABLE trade.orders ROW FILTER (id < 50) TO ROLE analyst").await;
    eventually_value(&ana, COUNT_ORDERS, "49").await;
    change(&admin, "REVOKE GRANT 'orders'").await;
    eventually_refused(&ana, COUNT_ORDERS, "NOT_FOUND").await;
    let mut unknown = refusal(&ana, "SELECT count(*) FROM north.trade.nonsuch").await;
    unknown = unknown.replace("nonsuch", "orders");
    assert_eq!(refusal(&ana, COUNT_ORDERS).await, unknown, "revoked is told like unknown");
}

#[tokio::test(flavor = "multi_thread")]
async fn a10_a_broken_directory_changes_nothing_until_it_is_whole() {
    let mut cluster = start(governed(&[("north", NORTH)], Written::AsFiles)).await;
    let ana = cluster.user("ana").await;
    let directory = cluster.root().join("policies/north");
    let file = directory.join("policy.sql");
    eventually_value(&ana, COUNT_NOTES, "0").await;

    let error = refusal(&cluster.user_of_site("admin", "north").await, "DROP POLICY notes").await;
    assert!(error.starts_with("STATEMENT: ") && error.contains("policy.sql"), "{error}");

    let wrong = [
        // Cut off in the middle of the policy: what is left would be a grant without its mask.
        NORTH[..NORTH.find("COLUMN MASK").unwrap()].to_string(),
        NORTH.replace("replace_with_null", "rot13"),
        NORTH.replace("COLUMNS (note)", "COLUMNS (nonsuch)"),
        "CREATE PURPOSE care; GRANT SELECT ON SCHEMA trade TO ALL FOR PURPOSE cure;".to_string(),
        String::new(),
    ];
    let refusals = || cluster.site("north").log().matches("is refused as a whole").count();
    for (index, text) in wrong.iter().enumerate() {
        fs::write(&file, text).unwrap();
        eventually(|| async { if refusals() > index { Ok(()) } else { Err(format!("no warning about {text:?}")) } })
            .await;
        assert_eq!(ana.value(COUNT_NOTES).await, "0", "{text}");
        assert_eq!(ana.value(COUNT_ORDERS).await, "200", "{text}");
    }
    // The last good version serves over a restart too.
    cluster.kill_site("north");
    cluster.restart_site("north");
    eventually_value(&ana, COUNT_NOTES, "0").await;
    fs::write(&file, NORTH.replace("replace_with_null", "fixed('x')")).unwrap();
    eventually_value(&ana, COUNT_NOTES, "134").await;
    assert_eq!(ana.value("SELECT min(note) || max(note) FROM north.trade.orders").await, "xx");

    // A second file that does not fit to the first.
    fs::write(directory.join("more.sql"), "CREATE PURPOSE care;").unwrap();
    fs::write(&file, NORTH.replace("replace_with_null", "fixed('y')")).unwrap();
    tokio::time::sleep(std::time::Duration::from_secs(3)).await;
    assert_eq!(ana.value("SELECT max(note) FROM north.trade.orders").await, "x");
}
