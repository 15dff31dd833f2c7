//! A114: a source that changes under the policy of its site.

use harness::cluster::{Client, Cluster, Options, Written};
use harness::dataset::Dataset;
use harness::policy::record::{records, refusals_of};

use super::federation::{
    COUNT_ORDERS, NORTH, data, eventually, eventually_refused, eventually_value, governed, orders_become,
};
use super::federation::{refusal, table};
use crate::KEPT;

/// What becomes of the table of orders.
struct Change {
    /// Of a file: what is put in its place, as a statement over what it was.
    replaced_by: &'static str,
    /// At a server: what its administrator does, the table's schema first on the search path.
    altered_by: &'static str,
}

const ADDED: Change = Change {
    replaced_by: "SELECT *, concat('extra ', id) AS extra FROM north.trade.orders",
    altered_by: "ALTER TABLE orders ADD extra text; UPDATE orders SET extra = 'extra ' || id",
};
const WIDENED: Change = Change {
    replaced_by: "SELECT * EXCEPT (quantity), CAST(quantity AS BIGINT) AS quantity FROM north.trade.orders",
    altered_by: "ALTER TABLE orders ALTER quantity TYPE int8",
};
const OF_ANOTHER_TYPE: Change = Change {
    replaced_by: "SELECT * EXCEPT (note), length(note) AS note FROM north.trade.orders",
    altered_by: "ALTER TABLE orders ALTER note TYPE int4 USING length(note)",
};
const RENAMED: Change = Change {
    replaced_by: "SELECT * EXCEPT (note), note AS annotation FROM north.trade.orders",
    altered_by: "ALTER TABLE orders RENAME note TO annotation",
};
const REPLACED: Change = Change {
    replaced_by: "SELECT * FROM north.trade.orders WHERE id <= 10",
    altered_by: "ALTER TABLE orders RENAME TO old_orders; CREATE TABLE orders AS SELECT * FROM old_orders WHERE id <= 10",
};

const COLUMNS: &str = "SELECT column_name FROM information_schema.columns WHERE table_name = 'orders' \
                       AND column_name IN ('id', 'note', 'extra', 'annotation')";

#[tokio::test(flavor = "multi_thread")]
async fn a114_what_a_source_adds_is_hidden_and_what_it_takes_from_a_policy_denies() {
    // Kept to the end of the process: sites are asked for their tables when somebody wants them.
    let data: &Dataset = Box::leak(Box::new(data().await));
    let options = Options {
        governance: Some(governed(&[("north", NORTH)], Written::AtTheDoor)),
        // A view is asked for again when the site says that it is an old one, and not because time has passed.
        coordinator_limits: "view_refresh_interval_ms = 3600000".to_string(),
        kept: KEPT,
        ..Options::default()
    };
    let cluster = Cluster::start_with(data, options).await;
    let change = async |change: Change| match cluster.server() {
        None => orders_become(data, change.replaced_by).await,
        Some(server) => {
            server.admin().await.run(&format!("SET search_path = north_trade; {}", change.altered_by)).await;
        }
    };
    let admin = cluster.user_of_site("admin", "north").await;
    let doors = [cluster.user("ana").await, cluster.user_of_site("ana", "north").await];
    let trouble = async || {
        let rows = table(&admin, "SHOW POLICIES", &["policy", "trouble"]).await;
        rows.into_iter().find(|row| row[0] == "notes").expect("the policy is there")[1].clone()
    };
    seen(&doors, COUNT_ORDERS, "200").await;
    assert_eq!(trouble().await, "");

    // Added: hidden from those who were granted the table before, until it is accepted.
    change(ADDED).await;
    seen(&doors, COUNT_ORDERS, "200").await;
    for ana in &doors {
        let hidden = refusal(ana, "SELECT extra FROM north.trade.orders").await;
        assert!(hidden.starts_with("NOT_FOUND: "), "{hidden}");
    }
    columns(&doors[0], &["id", "note"]).await;
    assert!(trouble().await.contains("extra"), "{}", trouble().await);
    admin.query("ALTER TABLE trade.orders ACCEPT COLUMN extra").await.unwrap();
    seen(&doors, "SELECT extra FROM north.trade.orders WHERE id = 7", "extra 7").await;
    columns(&doors[0], &["extra", "id", "note"]).await;

    // Widened: a column that no policy uses is what it is now. The coordinator has planned with what it was; the site says
    // so, and the statement is planned once more and answered.
    change(WIDENED).await;
    let before = stale(&cluster);
    for ana in &doors {
        assert_eq!(ana.value("SELECT arrow_typeof(quantity) FROM north.trade.orders LIMIT 1").await, "Int64");
    }
    assert_eq!(stale(&cluster), before + 1, "once, and of the coordinator alone");

    // Of another type, and renamed, under a policy that uses it: nobody sees the table until the policy is put right.
    change(OF_ANOTHER_TYPE).await;
    denied(&doors).await;
    assert!(trouble().await.contains("note"), "{}", trouble().await);
    change(RENAMED).await;
    denied(&doors).await;
    columns(&doors[0], &[]).await;
    admin.query("DROP POLICY notes").await.unwrap();
    seen(&doors, COUNT_ORDERS, "200").await;
    columns(&doors[0], &["extra", "id"]).await;

    // Another table of the same columns has its own rows, and what was granted and accepted of the first.
    change(REPLACED).await;
    seen(&doors, COUNT_ORDERS, "10").await;
    columns(&doors[0], &["extra", "id"]).await;
}

/// How often the site has refused what was planned with an older view.
fn stale(cluster: &Cluster) -> usize {
    refusals_of(&records(&cluster.state_of("north")), "ana", "STALE")
}

async fn seen(doors: &[Client], sql: &str, expected: &str) {
    for ana in doors {
        eventually_value(ana, sql, expected).await;
    }
}

async fn denied(doors: &[Client]) {
    for ana in doors {
        eventually_refused(ana, COUNT_ORDERS, "NOT_FOUND").await;
    }
}

/// Which of the columns are listed; a site lists them by metadata calls alone.
async fn columns(through: &Client, expected: &[&str]) {
    let expected: Vec<Vec<String>> = expected.iter().map(|name| vec![name.to_string()]).collect();
    let expected = &expected;
    eventually(|| async {
        let listed = table(through, COLUMNS, &["column_name"]).await;
        if listed == *expected { Ok(()) } else { Err(format!("{listed:?} and not {expected:?}")) }
    })
    .await;
}
