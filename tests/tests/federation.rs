//! The same statements over a federation and over one process: the rows are equal, and what crossed is what must cross.

use harness::cluster::Cluster;
use harness::compared::Compared;
use harness::dataset::Dataset;
use harness::edge::edge;
use harness::environment::number;
use harness::statements::{Statement, corpus, tpch_queries};
use harness::tpch::tpch;

async fn federated_equals_local(dataset: &Dataset, statements: &[Statement]) {
    let cluster = Cluster::start(dataset).await;
    Compared::of(dataset, &cluster, statements).await.unwrap().assert_all_agree(0);
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
