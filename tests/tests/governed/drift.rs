//! A114: a source that changes under the policy of its site.

use harness::cluster::{Cluster, Options, Written};
use harness::dataset::{Dataset, local_context};
use harness::edge::edge;
use harness::oracle::local_answer;

use super::{COUNT_ORDERS, NORTH, eventually, eventually_refused, eventually_value, governed, refusal, table};

const COLUMNS: &str = "SELECT column_name FROM information_schema.columns WHERE table_name = 'orders' \
                       AND column_name IN ('id', 'note', 'extra', 'annotation')";

/// Puts in the place of the table of orders what a statement makes of it.
async fn orders_become(data: &Dataset, select: &str) {
    let ctx = local_context(data).await.unwrap();
    let orders = local_answer(&ctx, &format!("SELECT {select} FROM north.trade.orders")).await.unwrap();
    data.replace(["north", "trade", "orders"], &orders.schema, &orders.batches).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a114_what_a_source_adds_is_hidden_and_what_it_takes_from_a_policy_denies() {
    // Kept to the end of the process: sites are asked for their tables when somebody wants them.
    let data: &Dataset = Box::leak(Box::new(edge().await.unwrap()));
    let governance = governed(&[("north", NORTH)], Written::AtTheDoor);
    let cluster = Cluster::start_with(data, Options { governance: Some(governance), ..Options::default() }).await;
    let admin = cluster.user_of_site("admin", "north").await;
    let ana = cluster.user("ana").await;
    eventually_value(&ana, COUNT_ORDERS, "200").await;
    let trouble = async || {
        let rows = table(&admin, "SHOW POLICIES", &["policy", "trouble"]).await;
        rows.into_iter().find(|row| row[0] == "notes").expect("the policy is there")[1].clone()
    };
    let seen = async |expected: &[&str]| {
        let expected: Vec<Vec<String>> = expected.iter().map(|name| vec![name.to_string()]).collect();
        let expected = &expected;
        eventually(|| async {
            let columns = table(&ana, COLUMNS, &["column_name"]).await;
            if columns == *expected { Ok(()) } else { Err(format!("{columns:?} and not {expected:?}")) }
        })
        .await;
    };
    assert_eq!(trouble().await, "");

    // Added: hidden from those who were granted the table before, until it is accepted.
    orders_become(data, "*, concat('extra ', id) AS extra").await;
    eventually_value(&ana, COUNT_ORDERS, "200").await;
    let hidden = refusal(&ana, "SELECT extra FROM north.trade.orders").await;
    assert!(hidden.starts_with("NOT_FOUND: "), "{hidden}");
    seen(&["id", "note"]).await;
    assert!(trouble().await.contains("extra"), "{}", trouble().await);
    admin.query("ALTER TABLE trade.orders ACCEPT COLUMN extra").await.unwrap();
    eventually_value(&ana, "SELECT extra FROM north.trade.orders WHERE id = 7", "extra 7").await;
    seen(&["extra", "id", "note"]).await;

    // Widened: a column that no policy uses is what it is now.
    orders_become(data, "* EXCEPT (id), CAST(id AS BIGINT) AS id").await;
    eventually_value(&ana, "SELECT arrow_typeof(id) FROM north.trade.orders LIMIT 1", "Int64").await;

    // Of another type, and renamed, under a policy that uses it: nobody sees the table until the policy is put right.
    orders_become(data, "* EXCEPT (note), length(note) AS note").await;
    eventually_refused(&ana, COUNT_ORDERS, "NOT_FOUND").await;
    assert!(trouble().await.contains("note"), "{}", trouble().await);
    orders_become(data, "* EXCEPT (note), note AS annotation").await;
    eventually_refused(&ana, COUNT_ORDERS, "NOT_FOUND").await;
    seen(&[]).await;
    admin.query("DROP POLICY notes").await.unwrap();
    eventually_value(&ana, COUNT_ORDERS, "200").await;
    seen(&["extra", "id"]).await;
}
