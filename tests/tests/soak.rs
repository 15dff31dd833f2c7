//! Many clients for a long time: they ask, cancel, leave in mid-stream and come anew, while a site is killed now and then. What
//! is answered is right, and afterwards every node has the memory, the threads and the handles that it had.
//!
//! `CHANCERY_SOAK_S` (15 in CI, 600 with `tests/all --deep`) is how long, `CHANCERY_SOAK_CLIENTS` how many.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use arrow_flight::{Action, CancelFlightInfoRequest};
use futures::StreamExt;
use harness::cluster::process::Usage;
use harness::cluster::{Client, Cluster, Options};
use harness::dataset::local_context;
use harness::environment::number;
use harness::oracle::{Answer, Promise, compare, local_answer};
use harness::statements::tpch_queries;
use harness::tpch::tpch;
use harness::watch::Watch;
use prost::Message;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::sync::Mutex;
use tokio::time::{sleep, timeout};

/// All clients are one user's, and more of them ask at one time than may.
const LIMITS: &str = "running_queries_max = 48\nsubject_running_queries_max = 48\nqueued_queries_max = 64\n";
/// Of the statements that answer in a moment.
const MIXED: [&str; 7] = ["q01", "q03", "q06", "q10", "q12", "q14", "q22"];
/// It makes rows for as long as somebody reads them.
const ENDLESS: &str =
    "SELECT a.l_comment, b.l_comment FROM logistics.tpch.lineitem a CROSS JOIN logistics.tpch.lineitem b";
/// It makes none, at a site and here.
const SILENT: &str =
    "SELECT count(*) FROM logistics.tpch.lineitem a JOIN sales.tpch.orders b ON a.l_orderkey * b.o_orderkey < 0";
const KILLED: &str = "supply";
/// What a node's memory may be above what it was, once caches are warm: what an allocator keeps, and what happens to run.
const MEMORY_MORE_BYTES: u64 = 96 << 20;
/// Threads that come and go with the work.
const THREADS_MORE: u64 = 16;
const HANDLES_MORE: u64 = 24;
const ANSWERED_WITHIN: Duration = Duration::from_secs(120);

/// What is done, and what each statement answers.
struct Work {
    cluster: Mutex<Cluster>,
    expected: Vec<(String, Answer, Promise)>,
    over: AtomicBool,
    counts: Mutex<BTreeMap<String, usize>>,
}

impl Work {
    async fn note(&self, outcome: &str) {
        *self.counts.lock().await.entry(outcome.to_string()).or_default() += 1;
    }

    async fn connect(&self) -> Client {
        let (address, authority) = {
            let cluster = self.cluster.lock().await;
            (cluster.address().to_string(), cluster.authority())
        };
        Client::connect(&address, Some(&authority)).await
    }

    /// A statement whose answer is known.
    async fn ask(&self, client: &Client, rng: &mut StdRng) {
        let (sql, expected, promise) = &self.expected[rng.random_range(0..self.expected.len())];
        let prepared = rng.random_bool(0.3);
        let asked = async { if prepared { client.query_prepared(sql).await } else { client.query(sql).await } };
        match timeout(ANSWERED_WITHIN, asked).await.unwrap_or_else(|_| panic!("not answered: {sql}")) {
            Ok(actual) => {
                compare(expected, &actual, *promise).unwrap_or_else(|difference| panic!("{sql}: {difference}"));
                self.note("answered").await;
            }
            Err(error) => {
                let code = error.split(':').next().unwrap_or_default();
                assert!(["SITE_UNAVAILABLE", "BUSY"].contains(&code), "{sql}: {error}");
                self.note(code).await;
            }
        }
    }

    /// Reads a little of an answer without end, and leaves; or cancels it, and is told so.
    async fn leave(&self, client: &Client, rng: &mut StdRng) {
        let Ok(info) = client.info(ENDLESS).await else { return self.note("BUSY").await };
        let ticket = info.endpoint[0].ticket.clone().unwrap();
        let Ok(mut rows) = client.flight().do_get(ticket).await else { return self.note("BUSY").await };
        for _ in 0..rng.random_range(0..4) {
            let _ = rows.next().await;
        }
        if rng.random_bool(0.5) {
            drop(rows);
            return self.note("left").await;
        }
        let body = CancelFlightInfoRequest::new(info).encode_to_vec().into();
        let action = Action { r#type: "CancelFlightInfo".to_string(), body };
        let done = client.flight().do_action(action).await;
        done.expect("a running query can be cancelled").for_each(|_| async {}).await;
        let end = async {
            while let Some(batch) = rows.next().await {
                if let Err(error) = batch {
                    return error.to_string();
                }
            }
            "whole".to_string()
        };
        let told = timeout(ANSWERED_WITHIN, end).await.expect("a cancelled stream ends");
        assert!(told.contains("CANCELLED"), "{told}");
        self.note("cancelled").await;
    }

    /// A statement that works without a word, whose asker leaves.
    async fn give_up(&self, client: &Client) {
        let ended = timeout(Duration::from_millis(300), client.query(SILENT)).await;
        self.note(if ended.is_err() { "given up" } else { "BUSY" }).await;
    }

    async fn mistake(&self, client: &Client, rng: &mut StdRng) {
        let wrong = ["SELECT", "SELECT * FROM sales.tpch.gone", "SELECT l_orderkey / 0 FROM logistics.tpch.lineitem"];
        let sql = wrong[rng.random_range(0..wrong.len())];
        assert!(client.query(sql).await.is_err(), "{sql}");
        self.note("refused").await;
    }

    async fn client(self: Arc<Self>, seed: u64) {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut client = self.connect().await;
        while !self.over.load(Ordering::Relaxed) {
            match rng.random_range(0..100) {
                0..70 => self.ask(&client, &mut rng).await,
                70..80 => self.leave(&client, &mut rng).await,
                80..83 => self.give_up(&client).await,
                83..92 => self.mistake(&client, &mut rng).await,
                _ => client = self.connect().await,
            }
        }
    }

    /// Kills a site every few seconds, and starts it again.
    async fn kill(self: Arc<Self>) {
        while !self.over.load(Ordering::Relaxed) {
            sleep(Duration::from_secs(8)).await;
            self.cluster.lock().await.kill_site(KILLED);
            sleep(Duration::from_secs(1)).await;
            self.cluster.lock().await.restart_site(KILLED);
            self.note("killed").await;
        }
    }

    /// What every node has; of the one that is killed, nothing while it is gone.
    async fn usage(&self) -> BTreeMap<String, Usage> {
        let cluster = self.cluster.lock().await;
        cluster.nodes().filter_map(|(name, process)| Some((name.to_string(), process.usage()?))).collect()
    }
}

async fn work() -> Arc<Work> {
    let data = tpch(0.01).unwrap();
    let local = local_context(&data).await.unwrap();
    let mut expected = Vec::new();
    for statement in tpch_queries().into_iter().filter(|statement| MIXED.contains(&statement.name.as_str())) {
        let answer = local_answer(&local, &statement.sql).await.unwrap();
        expected.push((statement.sql, answer, statement.promise));
    }
    let options = Options {
        users_over_tls: true,
        coordinator_limits: LIMITS.into(),
        site_limits: LIMITS.into(),
        ..Options::default()
    };
    let cluster = Mutex::new(Cluster::start_with(&data, options).await);
    Arc::new(Work { cluster, expected, over: AtomicBool::new(false), counts: Mutex::default() })
}

/// Nobody asks: no node works any more after a while, and each has what it needs for itself alone.
async fn at_rest(work: &Work) -> BTreeMap<String, Usage> {
    let began = Instant::now();
    loop {
        let before = work.usage().await;
        sleep(Duration::from_secs(1)).await;
        let after = work.usage().await;
        let works = |(name, usage): (&String, &Usage)| usage.cpu_ticks - before[name].cpu_ticks > 10;
        if !after.iter().any(works) {
            return after;
        }
        assert!(began.elapsed() < Duration::from_secs(30), "nodes work for nobody: {before:?}, {after:?}");
    }
}

async fn run(work: &Arc<Work>, clients: usize, seed: u64, time: Duration) {
    work.over.store(false, Ordering::Relaxed);
    let clients: Vec<_> = (0..clients as u64)
        .map(|number| tokio::spawn(Arc::clone(work).client(seed.wrapping_mul(1_000).wrapping_add(number))))
        .collect();
    let killer = tokio::spawn(Arc::clone(work).kill());
    let began = Instant::now();
    while began.elapsed() < time {
        sleep(Duration::from_secs(1)).await;
        if began.elapsed().as_secs().is_multiple_of(60) {
            println!("after {} s: {:?}", began.elapsed().as_secs(), work.usage().await);
        }
    }
    work.over.store(true, Ordering::Relaxed);
    for client in clients {
        client.await.unwrap();
    }
    killer.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_long_time_every_node_has_what_it_had() {
    let time = Duration::from_secs(number("CHANCERY_SOAK_S", 15));
    let clients = number("CHANCERY_SOAK_CLIENTS", 6_usize);
    let seed = number("CHANCERY_SOAK_SEED", 1_u64);
    let work = work().await;
    let watch = {
        let cluster = work.cluster.lock().await;
        Watch::of(cluster.address(), Some(&cluster.authority()))
    };
    // Caches and pools are warm after a third of the time; from then on nothing may grow.
    run(&work, clients, seed, time / 3).await;
    let warm = at_rest(&work).await;
    run(&work, clients, seed + 1, time - time / 3).await;
    let after = at_rest(&work).await;
    let counts = work.counts.lock().await;
    let (p99, most) = watch.end();
    println!("{counts:?}; health p99 {} ms, at most {} ms", p99.as_millis(), most.as_millis());
    println!("warm: {warm:?}\nafter: {after:?}");
    for outcome in ["answered", "left", "cancelled", "refused", "killed"] {
        assert!(counts.contains_key(outcome), "nothing was {outcome}: {counts:?}");
    }
    let mut grown = Vec::new();
    for (name, usage) in &after {
        let was = &warm[name];
        let more = |now: u64, was: u64, allowed: u64| now > was + allowed;
        // The one that is killed is another one now, and may not be warm.
        if name != KILLED && more(usage.memory_bytes, was.memory_bytes, MEMORY_MORE_BYTES)
            || more(usage.threads, was.threads, THREADS_MORE)
            || more(usage.handles, was.handles, HANDLES_MORE)
        {
            grown.push(format!("{name}: {was:?}, now {usage:?}"));
        }
    }
    assert!(grown.is_empty(), "{}", grown.join("\n"));
    let cluster = work.cluster.lock().await;
    for (name, process) in cluster.nodes() {
        let log = process.log();
        let panics: Vec<_> = log.lines().filter(|line| line.contains("panicked")).collect();
        assert!(panics.is_empty(), "{name} panicked: {panics:?}");
    }
}
