//! The generator of random statements against one process set up in another way, and against one that lies.
//!
//! That its statements are valid, that their answers are determined by the data, and that a fault is found and made small,
//! is shown here; the federation itself is asked in `federated`.

use async_trait::async_trait;
use datafusion::prelude::SessionContext;
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
            ctx.sql(&format!("SET datafusion.execution.{setting} = {value}"))
                .await
                .map_err(|e| e.to_string())?;
        }
        Ok(Box::new(Process {
            ctx,
            fault: self.fault,
        }))
    }
}

#[async_trait]
impl Subject for Process {
    async fn query(&self, sql: &str) -> Result<Answer, String> {
        let answer = local_answer(&self.ctx, sql)
            .await
            .map_err(|e| e.to_string())?;
        Ok((self.fault)(sql, answer))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_are_determined_by_the_data() {
    let plan = Plan::from_environment(2_024, 300);
    let summary = differential(
        plan,
        &OtherProcess {
            fault: |_, answer| answer,
        },
    )
    .await
    .unwrap_or_else(|e| panic!("{e}"));
    assert!(
        summary.with_rows * 2 > summary.agreed,
        "most answers should have rows: {summary:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_row_is_found_and_the_statement_made_small() {
    let lose_a_row_of_full_joins = |sql: &str, mut answer: Answer| {
        if sql.contains("FULL JOIN") {
            if let Some(batch) = answer.batches.iter_mut().find(|batch| batch.num_rows() > 0) {
                *batch = batch.slice(1, batch.num_rows() - 1);
            }
        }
        answer
    };
    let report = differential(
        Plan {
            seed: 1,
            statements: 300,
        },
        &OtherProcess {
            fault: lose_a_row_of_full_joins,
        },
    )
    .await
    .unwrap_err();
    let smallest = report
        .lines()
        .skip_while(|line| !line.starts_with("smallest"))
        .nth(1)
        .unwrap();
    assert!(
        report.contains("CHANCERY_RANDOM_SEED=") && report.contains("missing"),
        "{report}"
    );
    assert!(
        smallest.matches("SELECT").count() <= 3,
        "the join over two tables remains: {smallest}"
    );
}
