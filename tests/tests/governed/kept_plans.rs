//! A coordinator keeps the plans of what was asked before; what leaves is what policy, table, subject and purpose say now.

use arrow_flight::sql::client::PreparedStatement;
use harness::cluster::{Client, Cluster, Governance, Options, Written};
use harness::dataset::Dataset;
use tonic::transport::Channel;

use super::federation::{NORTH, assert_refused, data, eventually, governed, orders_become, refusal, table};

const ASKED: &str = "SELECT id, note, quantity FROM north.trade.orders WHERE id IN (7, 8)";
/// The rows of `ASKED` under the policy of the notes; 7 is `hidden note 7`, and 8 `hidden note 8`.
const MASKED: &[&[&str]] = &[&["7", "", "7"], &["8", "", "8"]];

/// Ana and others, and the same statement of hers prepared. The coordinator asks for no view because time has passed.
struct World {
    data: &'static Dataset,
    cluster: Cluster,
    ana: Client,
    prepared: PreparedStatement<Channel>,
}

impl World {
    async fn start() -> Self {
        // Kept to the end of the process: sites are asked for their tables when somebody wants them.
        let data: &Dataset = Box::leak(Box::new(data().await));
        // The notes come to be shown.
        let governance = Governance { canaries: vec![], ..governed(&[("north", NORTH)], Written::AtTheDoor) };
        let coordinator_limits = "view_refresh_interval_ms = 3600000".to_string();
        let options = Options { governance: Some(governance), coordinator_limits, ..Options::default() };
        let cluster = Cluster::start_with(data, options).await;
        let ana = cluster.user("ana").await;
        let prepared = ana.flight().prepare(ASKED.to_string(), None).await.unwrap();
        Self { data, cluster, ana, prepared }
    }

    /// Asked both ways, the rows are these at last; until then nothing comes but what was before, or an error.
    async fn is_answered(&mut self, expected: &[&[&str]]) {
        eventually(|| async {
            self.ana.query(ASKED).await?;
            let found = table(&self.ana, ASKED, &["id", "note", "quantity"]).await;
            if found == expected { Ok(()) } else { Err(format!("{found:?}")) }
        })
        .await;
        let info = self.prepared.execute().await.unwrap();
        let answer = self.ana.fetch(info).await.unwrap();
        assert_eq!(answer.batches.iter().map(|batch| batch.num_rows()).sum::<usize>(), expected.len());
        // And again, from what was kept just now.
        assert_eq!(table(&self.ana, ASKED, &["id", "note", "quantity"]).await, expected);
    }

    async fn policy(&self, statement: &str) {
        let admin = self.cluster.user_of_site("admin", "north").await;
        admin.query(statement).await.unwrap_or_else(|error| panic!("{statement}: {error}"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_asked_before_is_answered_by_what_is_in_force_now() {
    let mut world = World::start().await;
    world.is_answered(MASKED).await;

    // Another subject, another purpose: their own view of the same words.
    for (user, code) in [("visitor", "PURPOSE"), ("kim", "PURPOSE"), ("bea", "PURPOSE")] {
        assert_refused(&world.cluster.user(user).await, ASKED, code).await;
    }
    assert_refused(&world.ana.clone().with_header("x-chancery-purpose", "audit_work"), ASKED, "PURPOSE").await;
    world.is_answered(MASKED).await;

    // A mask less, a filter more, and less again.
    world.policy("DROP POLICY notes").await;
    world.is_answered(&[&["7", "hidden note 7", "7"], &["8", "hidden note 8", "8"]]).await;
    world.policy("CREATE POLICY few ON TABLE trade.orders ROW FILTER (id <= 7) TO ROLE analyst").await;
    world.is_answered(&[&["7", "hidden note 7", "7"]]).await;
    world
        .policy("CREATE POLICY notes ON TABLE trade.orders COLUMN MASK show_first(2) COLUMNS (note) TO ROLE analyst")
        .await;
    let shown = table(&world.ana, ASKED, &["note"]).await;
    assert!(shown.iter().all(|row| row[0] == "hi"), "{shown:?}");
    world.policy("DROP POLICY notes").await;
    world.policy("DROP POLICY few").await;

    // Other rows, and then a column of another type: a statement is answered, what was prepared with other columns is not.
    orders_become(world.data, "SELECT * REPLACE (CAST(quantity + 1 AS INT) AS quantity) FROM north.trade.orders").await;
    world.is_answered(&[&["7", "hidden note 7", "8"], &["8", "hidden note 8", "9"]]).await;
    orders_become(world.data, "SELECT * REPLACE (CAST(id + 2 AS BIGINT) AS quantity) FROM north.trade.orders").await;
    world.is_answered(&[&["7", "hidden note 7", "9"], &["8", "hidden note 8", "10"]]).await;

    // The right is gone: from the statement's next execution on, whichever way, a ticket of before among them.
    let ticket = world.ana.info(ASKED).await.unwrap();
    world.policy("REVOKE GRANT 'orders'").await;
    let told = world.ana.fetch(ticket).await.unwrap_err();
    assert!(told.starts_with("NOT_FOUND: "), "{told}");
    assert_refused(&world.ana, ASKED, "NOT_FOUND").await;
    let told = match world.prepared.execute().await {
        Ok(info) => world.ana.fetch(info).await.map(drop).unwrap_err(),
        Err(error) => harness::cluster::client::told(&error),
    };
    assert!(told.starts_with("NOT_FOUND: "), "{told}");
    world.policy("GRANT SELECT ON TABLE trade.orders TO ROLE analyst FOR PURPOSE care WITH (id = 'orders')").await;
    eventually(|| async { world.ana.query(ASKED).await.map(drop) }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_hangs_on_more_than_the_words_is_planned_each_time() {
    let world = World::start().await;
    let clock = "SELECT now(), count(*) FROM north.trade.orders";
    let moment = async || table(&world.ana, clock, &["now()"]).await;
    assert_ne!(moment().await, moment().await);
    let short = "SELECT count(*) FROM orders";
    world.ana.query("USE north.trade").await.unwrap();
    assert_eq!(world.ana.value(short).await, "200");
    world.ana.query("USE system.queries").await.unwrap();
    let told = refusal(&world.ana, short).await;
    assert!(told.starts_with("NOT_FOUND: "), "{told}");
    let running = "SELECT count(*) FROM system.queries.recent";
    assert_ne!(world.ana.value(running).await, world.ana.value(running).await);
}
