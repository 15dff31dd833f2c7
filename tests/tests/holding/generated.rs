//! N6: hostile statements of every kind, made from a seed, asked by several clients at once; a node answers each, tells its
//! health all the time, and is there at the end.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use harness::cluster::{Client, Cluster, Options};
use harness::environment::number;
use harness::hostile::statement;
use harness::tpch::tpch;
use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio::sync::Mutex;
use tokio::time::timeout;

use super::{Watched, assert_whole, assert_within_memory};

/// A client that is not answered after so long is held up: a statement has two seconds at most, and a build without
/// optimizations on a busy machine may be long about what it cannot be stopped in.
const ANSWERED_WITHIN: Duration = Duration::from_secs(120);
/// What the process of each node may have of memory.
const PROCESS_MEMORY_BYTES: u64 = 1 << 30;
const CLIENTS: usize = 4;

/// How a node answers.
fn outcome(answer: &Result<harness::oracle::Answer, String>) -> String {
    match answer {
        Ok(_) => "answered".to_string(),
        Err(error) => error.split(':').next().unwrap_or_default().to_string(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn n6_no_statement_ends_or_freezes_a_node() {
    let count = number("CHANCERY_HOSTILE_STATEMENTS", 300_usize);
    let seed = number("CHANCERY_HOSTILE_SEED", 20_260_101_u64);
    let timeout_ms = number("CHANCERY_HOSTILE_TIMEOUT_MS", 2_000_u64);
    let limits = format!(
        "statement_timeout_ms = {timeout_ms}\nmemory_bytes = 536870912\nprocess_memory_bytes = {PROCESS_MEMORY_BYTES}\n"
    );
    let options = Options { coordinator_limits: limits.clone(), site_limits: limits, ..Options::default() };
    let cluster = Arc::new(Cluster::start_with(&tpch(0.01).unwrap(), options).await);
    let watched = Watched::begin(&cluster, "sales");
    let next = Arc::new(AtomicUsize::new(0));
    let outcomes: Arc<Mutex<BTreeMap<String, usize>>> = Arc::default();
    let began = Instant::now();
    let mut clients = Vec::new();
    for number in 0..CLIENTS {
        let client = match number {
            0 => Client::connect(cluster.site("sales").address(), Some(&cluster.authority())).await,
            _ => cluster.client().await,
        };
        let (next, outcomes) = (Arc::clone(&next), Arc::clone(&outcomes));
        clients.push(tokio::spawn(async move {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= count {
                    return;
                }
                let sql = statement(&mut StdRng::seed_from_u64(seed.wrapping_add(number as u64)));
                let shown: String = sql.chars().take(2_000).collect();
                let asked = Instant::now();
                let Ok(answer) = timeout(ANSWERED_WITHIN, client.query(&sql)).await else {
                    panic!("statement {number} of seed {seed} is not answered: {shown}")
                };
                let outcome = outcome(&answer);
                let is_known = outcome == "answered" || engine::error::Code::from_name(&outcome).is_some();
                assert!(is_known && outcome != "INTERNAL", "statement {number} of seed {seed}: {answer:?}: {shown}");
                if asked.elapsed() > Duration::from_secs(10) {
                    println!("statement {number} of seed {seed} took {:?}: {outcome}: {shown}", asked.elapsed());
                }
                *outcomes.lock().await.entry(outcome).or_default() += 1;
                if number % 1_000 == 999 {
                    println!("{} statements after {} s", number + 1, began.elapsed().as_secs());
                }
            }
        }));
    }
    for client in clients {
        client.await.unwrap();
    }
    let elapsed = began.elapsed();
    let outcomes = outcomes.lock().await;
    println!("{count} hostile statements in {} s: {outcomes:?}", elapsed.as_secs());
    assert!(outcomes.len() > 5, "they are of several kinds");
    watched.end("N6");
    let sites = ["sales", "logistics", "supply"];
    assert_whole(&cluster, &sites);
    assert_within_memory(&cluster, &sites, PROCESS_MEMORY_BYTES);
    assert_eq!(cluster.client().await.value("SELECT count(*) FROM sales.tpch.orders").await, "15000");
}
