//! Random statements: a federation of real processes against one process; before that, the generator against one process
//! set up in another way (its statements are valid, their answers determined by the data), and against one that lies.

use async_trait::async_trait;
use datafusion::prelude::SessionContext;
use harness::cluster::{Client, Cluster};
use harness::dataset::{Dataset, local_context};
use harness::oracle::{Answer, local_answer};
use harness::random::{Federations, Plan, Subject, differential};

/// One process with other partitions and small batches, and a fault or none.
struct OtherProcess {
    fault: fn(&str, Answer) -> Answer,
}

struct Process {
    ctx: SessionContext,
    fault: fn(&str, Answer) -> Answer,
}

#[async_trait]
impl Federations for OtherProcess {
    async fn start(&self, dataset: &Dataset) -> Result<Box<dyn Subject>, String> {
        let ctx = local_context(dataset).await.map_err(|e| e.to_string())?;
        for (setting, value) in [("target_partitions", "5"), ("batch_size", "7")] {
            ctx.sql(&format!("SET datafusion.execution.{setting} = {value}")).await.map_err(|e| e.to_string())?;
        }
        Ok(Box::new(Process { ctx, fault: self.fault }))
    }
}

#[async_trait]
impl Subject for Process {
    async fn query(&self, sql: &str) -> Result<Answer, String> {
        let (ctx, text) = (self.ctx.clone(), sql.to_string());
        // In a task of its own, because DataFusion 55.2 panics now and then, and a server would say so as an error.
        let answer = tokio::spawn(async move { local_answer(&ctx, &text).await }).await;
        let answer = answer.map_err(|panic| panic.to_string())?.map_err(|error| error.to_string())?;
        Ok((self.fault)(sql, answer))
    }
}

/// A coordinator and sites, each a process of its own.
struct Processes;

struct Federation {
    client: Client,
    cluster: Cluster,
}

#[async_trait]
impl Federations for Processes {
    async fn start(&self, dataset: &Dataset) -> Result<Box<dyn Subject>, String> {
        let cluster = Cluster::start(dataset).await;
        Ok(Box::new(Federation { client: cluster.client().await, cluster }))
    }
}

/// A fragment that is not proven is cut smaller, and the answer is right; how many there were is told.
impl Drop for Federation {
    fn drop(&mut self) {
        let refused = self.cluster.coordinator().log().matches("not proven").count();
        println!("random statements: {refused} fragments were not proven and cut smaller");
    }
}

#[async_trait]
impl Subject for Federation {
    async fn query(&self, sql: &str) -> Result<Answer, String> {
        self.client.query(sql).await
    }
}

/// `CHANCERY_RANDOM_STATEMENTS` and `CHANCERY_RANDOM_SEED` ask for others, and for more.
#[tokio::test(flavor = "multi_thread")]
async fn a_federation_agrees_with_one_process() {
    let plan = Plan::from_environment(55, 500);
    let summary = differential(plan, &Processes).await.unwrap_or_else(|e| panic!("{e}"));
    assert!(summary.with_rows * 2 > summary.agreed, "most answers should have rows: {summary:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_are_determined_by_the_data() {
    let plan = Plan { seed: 2_024, statements: 300 };
    let summary =
        differential(plan, &OtherProcess { fault: |_, answer| answer }).await.unwrap_or_else(|e| panic!("{e}"));
    assert!(summary.with_rows * 2 > summary.agreed, "most answers should have rows: {summary:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_row_is_found_and_the_statement_made_small() {
    let lose_a_row_of_full_joins = |sql: &str, mut answer: Answer| {
        let first = answer.batches.iter_mut().find(|batch| batch.num_rows() > 0);
        if let Some(batch) = first.filter(|_| sql.contains("FULL JOIN")) {
            *batch = batch.slice(1, batch.num_rows() - 1);
        }
        answer
    };
    let report = differential(Plan { seed: 1, statements: 300 }, &OtherProcess { fault: lose_a_row_of_full_joins })
        .await
        .unwrap_err();
    let smallest = report.lines().skip_while(|line| !line.starts_with("smallest")).nth(1).unwrap();
    assert!(report.contains("CHANCERY_RANDOM_SEED=") && report.contains("missing"), "{report}");
    assert!(smallest.matches("SELECT").count() <= 3, "the join over two tables remains: {smallest}");
}
