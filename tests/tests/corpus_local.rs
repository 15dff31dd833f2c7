//! The corpus itself: each statement runs in one process, and its answer does not depend on how that process is set up.

use datafusion::prelude::SessionContext;
use harness::dataset::{Dataset, local_context};
use harness::edge::edge;
use harness::oracle::{Answer, compare, local_answer};
use harness::statements::{Statement, corpus, tpch_queries};
use harness::tpch::tpch;

/// A statement whose answer depends on the number of partitions or the size of a batch promises more than it holds.
#[tokio::test(flavor = "multi_thread")]
async fn every_statement_holds_its_promise() {
    check(&edge().await.unwrap(), corpus()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_tpch_query_holds_its_promise() {
    check(&tpch(0.1).unwrap(), tpch_queries()).await;
}

async fn check(dataset: &Dataset, statements: Vec<Statement>) {
    let ctx = local_context(dataset).await.unwrap();
    let other = local_context(dataset).await.unwrap();
    for (setting, value) in [("target_partitions", "7"), ("batch_size", "13")] {
        other.sql(&format!("SET datafusion.execution.{setting} = {value}")).await.unwrap();
    }
    let mut faults = vec![];
    for statement in &statements {
        if let Err(fault) = agree(&ctx, &other, statement).await {
            faults.push(format!("{}: {fault}\n{}", statement.name, statement.sql));
        }
    }
    assert!(faults.is_empty(), "{} of {}:\n{}", faults.len(), statements.len(), faults.join("\n"));
}

async fn agree(ctx: &SessionContext, other: &SessionContext, statement: &Statement) -> Result<(), String> {
    compare(&answer(ctx, statement).await?, &answer(other, statement).await?, statement.promise)
}

async fn answer(ctx: &SessionContext, statement: &Statement) -> Result<Answer, String> {
    local_answer(ctx, &statement.sql).await.map_err(|e| e.to_string())
}
