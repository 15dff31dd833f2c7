//! The same statements over a federation and over one process: the rows are equal, and what crossed is what must cross.

use harness::cluster::Cluster;
use harness::dataset::{Dataset, local_context};
use harness::edge::edge;
use harness::environment::number;
use harness::oracle::{compare, local_answer};
use harness::statements::{Statement, corpus, tpch_queries};
use harness::tpch::tpch;

/// Asks every statement of both, and names all that differ.
async fn federated_equals_local(dataset: &Dataset, statements: &[Statement]) {
    let local = local_context(dataset).await.unwrap();
    let cluster = Cluster::start(dataset).await;
    let client = cluster.client().await;
    let mut wrong = Vec::new();
    for statement in statements {
        let expected = local_answer(&local, &statement.sql).await.unwrap();
        match client.query(&statement.sql).await {
            Ok(actual) => {
                if let Err(difference) = compare(&expected, &actual, statement.promise) {
                    wrong.push(format!("{}: {difference}", statement.name));
                }
            }
            Err(error) => wrong.push(format!("{}: {error}", statement.name)),
        }
    }
    let refused: Vec<String> =
        cluster.coordinator().log().lines().filter(|line| line.contains("not proven")).map(str::to_string).collect();
    assert!(wrong.is_empty(), "{} of {} differ:\n{}", wrong.len(), statements.len(), wrong.join("\n\n"));
    assert!(refused.is_empty(), "the statement check refused:\n{}", refused.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_22_queries_of_tpch_over_three_sites() {
    let scale = number("CHANCERY_TPCH_SCALE", 0.1);
    federated_equals_local(&tpch(scale).unwrap(), &tpch_queries()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_corpus_over_three_sites() {
    federated_equals_local(&edge().await.unwrap(), &corpus()).await;
}
