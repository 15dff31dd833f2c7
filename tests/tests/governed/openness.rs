//! What is open to everyone, and what an administrator is told of a denial.

use harness::cluster::Written;

use super::federation::{COUNT_ORDERS, assert_refused, eventually_value, governed, refusal, start};

const POLICY: &str = "CREATE PURPOSE care;
    GRANT SELECT ON TABLE trade.orders TO ALL MODE OPEN WITH (id = 'open');
    GRANT SELECT ON TABLE civil.people TO ROLE analyst FOR PURPOSE care WITH (id = 'people');
    CREATE POLICY own_ages ON TABLE civil.people ROW FILTER (age IN attribute('ages')) TO ROLE analyst;";
const COUNT_PEOPLE: &str = "SELECT count(*) FROM north.civil.people";

#[tokio::test(flavor = "multi_thread")]
async fn an_open_table_needs_no_purpose_and_all_others_are_told_alike() {
    let cluster = start(governed(&[("north", POLICY)], Written::AsFiles)).await;
    for visitor in [cluster.user("visitor").await, cluster.user_of_site("visitor", "north").await] {
        eventually_value(&visitor, COUNT_ORDERS, "200").await;
        let unknown = refusal(&visitor, "SELECT count(*) FROM north.civil.nonsuch").await;
        assert!(unknown.starts_with("PURPOSE: "), "{unknown}");
        assert_eq!(refusal(&visitor, COUNT_PEOPLE).await, unknown);
        let joined = "SELECT count(*) FROM north.trade.orders o JOIN north.civil.people p ON p.id = o.id";
        assert_refused(&visitor, joined, "PURPOSE").await;
    }
    eventually_value(&cluster.user("ana").await, COUNT_ORDERS, "200").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_administrator_is_told_why_somebody_is_denied() {
    let cluster = start(governed(&[("north", POLICY)], Written::AsFiles)).await;
    let admin = cluster.user_of_site("admin", "north").await;
    let simulated = format!("EXPLAIN POLICY AS USER ana PURPOSE care {COUNT_PEOPLE}");
    let told = refusal(&admin, &simulated).await;
    assert!(told.starts_with("NOT_FOUND: ") && told.contains("own_ages") && told.contains("`ages`"), "{told}");
    let ana = cluster.user_of_site("ana", "north").await;
    let own = refusal(&ana, &format!("EXPLAIN POLICY {COUNT_PEOPLE}")).await;
    assert!(own.starts_with("NOT_FOUND: ") && !own.contains("ages"), "{own}");
}
