//! Many clients of two users for a long time: they ask, cancel, leave in mid-stream and come anew, under a policy that shows one
//! of them less, while every site is killed in turn. What is answered is right for who asked, every node has the memory, the
//! threads and the handles that it had, and the record of each site is whole.
//!
//! `CHANCERY_SOAK_S` (15 in CI, 600 with `tests/all --deep`) is how long, `CHANCERY_SOAK_CLIENTS` how many.

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use arrow_flight::{Action, CancelFlightInfoRequest};
use futures::StreamExt;
use harness::cluster::binary::chancery;
use harness::cluster::process::Usage;
use harness::cluster::{Client, Cluster, Governance, Options, Person, USER};
use harness::dataset::{Dataset, local_context};
use harness::environment::number;
use harness::oracle::{Answer, Promise, compare, local_answer};
use harness::policy::record::{interrupted, of_kind, records, unpaired};
use harness::statements::{Statement, tpch_queries};
use harness::tpch::tpch;
use harness::watch::Watch;
use prost::Message;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

/// All clients of one user; more of them ask at one time than may.
const LIMITS: &str = "running_queries_max = 48\nsubject_running_queries_max = 48\nqueued_queries_max = 64\n";
/// Statements of a site that a kill may interrupt: those that run, and as many whose end is not written yet.
const INTERRUPTED_MAX: usize = 2 * 48;
/// Of the statements that answer in a moment.
const MIXED: [&str; 7] = ["q01", "q03", "q06", "q10", "q12", "q14", "q22"];
/// It makes rows for as long as somebody reads them.
const ENDLESS: &str =
    "SELECT a.l_comment, b.l_comment FROM logistics.tpch.lineitem a CROSS JOIN logistics.tpch.lineitem b";
/// It makes none, at a site and here.
const SILENT: &str =
    "SELECT count(*) FROM logistics.tpch.lineitem a JOIN sales.tpch.orders b ON a.l_orderkey * b.o_orderkey < 0";
const SITES: [&str; 3] = ["supply", "logistics", "sales"];
/// Sees all of it.
const WHOLE: &str = USER;
/// Sees some rows, and some columns in another form.
const PARTLY: &str = "clerk";
/// What the clerk sees of each table that is not shown whole, as SQL that knows nothing of policies; and the policies that say so.
const PARTS: [(&str, &str, &str, &str); 4] = [
    (
        "sales",
        "customer",
        "SELECT * REPLACE (substr(c_name, 1, 12) AS c_name, substr(c_phone, 1, 2) AS c_phone) \
         FROM sales.tpch.customer WHERE c_mktsegment IN ('BUILDING', 'MACHINERY')",
        "CREATE POLICY segments ON TABLE tpch.customer ROW FILTER (c_mktsegment IN attribute('segments')) \
         TO ALL EXCEPT ROLE analyst;
         CREATE POLICY names ON TABLE tpch.customer COLUMN MASK show_first(12) COLUMNS (c_name) TO ROLE clerk;
         CREATE POLICY phones ON TABLE tpch.customer COLUMN MASK show_first(2) COLUMNS (c_phone) TO ROLE clerk;",
    ),
    (
        "sales",
        "orders",
        "SELECT * REPLACE (CAST(date_trunc('month', o_orderdate) AS DATE) AS o_orderdate) FROM sales.tpch.orders",
        "CREATE POLICY days ON TABLE tpch.orders COLUMN MASK truncate_to_month COLUMNS (o_orderdate) TO ROLE clerk;",
    ),
    (
        "logistics",
        "lineitem",
        "SELECT * REPLACE (substr(l_comment, 1, 9) AS l_comment) FROM logistics.tpch.lineitem \
         WHERE l_shipmode IN ('AIR', 'MAIL', 'RAIL', 'TRUCK')",
        "CREATE POLICY modes ON TABLE tpch.lineitem ROW FILTER (l_shipmode IN attribute('modes')) \
         TO ALL EXCEPT ROLE analyst;
         CREATE POLICY words ON TABLE tpch.lineitem COLUMN MASK show_first(9) COLUMNS (l_comment) TO ROLE clerk;",
    ),
    (
        "supply",
        "part",
        "SELECT * REPLACE (arrow_cast(NULL, 'Utf8') AS p_comment) FROM supply.tpch.part",
        "CREATE POLICY notes ON TABLE tpch.part COLUMN MASK replace_with_null COLUMNS (p_comment) TO ROLE clerk;",
    ),
];
/// Every site's: both users may read all tables, in the forms above.
const GRANTS: &str = "CREATE PURPOSE research;
    GRANT SELECT ON SCHEMA tpch TO ROLE analyst, ROLE clerk FOR PURPOSE research;\n";
/// Some keys may go where they save rows; others may not.
const KEYS: &str = "GRANT JOIN ON TABLE tpch.customer (c_custkey) WITH SITE logistics FOR PURPOSE research MIN SET 5;
    GRANT JOIN ON TABLE tpch.orders (o_orderkey) WITH SITE logistics FOR PURPOSE research MIN SET 5;\n";
/// What shows masked values as they are.
const SHOWN: [&str; 3] = [
    "SELECT c_custkey, c_name, c_phone, c_mktsegment FROM sales.tpch.customer ORDER BY c_custkey",
    "SELECT l_orderkey, l_linenumber, l_shipmode, l_comment, o_orderdate FROM logistics.tpch.lineitem \
     JOIN sales.tpch.orders ON o_orderkey = l_orderkey WHERE l_orderkey < 2000 ORDER BY l_orderkey, l_linenumber",
    "SELECT p_mfgr, count(*), count(p_comment), max(p_comment) FROM supply.tpch.part GROUP BY p_mfgr ORDER BY p_mfgr",
];
/// What a node's memory may be above what it was, once caches are warm: what an allocator keeps, and what happens to run.
const MEMORY_MORE_BYTES: u64 = 96 << 20;
/// Threads that come and go with the work.
const THREADS_MORE: u64 = 16;
const HANDLES_MORE: u64 = 24;
const ANSWERED_WITHIN: Duration = Duration::from_secs(120);
/// A slow machine takes a while until everything has happened once.
const COUNTED_WITHIN: Duration = Duration::from_secs(180);
/// A site's record has the end of a statement that nobody reads any more within this.
const RECORDED_WITHIN: Duration = Duration::from_secs(180);
/// Between two kills, where the run is long.
const KILLED_EVERY: Duration = Duration::from_secs(8);

/// A statement, what it answers to one user, and what it promises of the order.
type Expected = (String, Answer, Promise);

/// What is done, and what each statement answers to each user.
struct Work {
    cluster: Mutex<Cluster>,
    expected: BTreeMap<&'static str, Vec<Expected>>,
    over: AtomicBool,
    kills: AtomicUsize,
    counts: Mutex<BTreeMap<String, usize>>,
}

impl Work {
    async fn note(&self, outcome: &str) {
        *self.counts.lock().await.entry(outcome.to_string()).or_default() += 1;
    }

    async fn connect(&self, user: &str) -> Client {
        let (address, authority) = {
            let cluster = self.cluster.lock().await;
            (cluster.address().to_string(), cluster.authority())
        };
        Client::connect_as(&address, Some(&authority), user).await
    }

    /// Each statement once for each user; nobody dies meanwhile, so that all are answered.
    async fn ask_each(&self) {
        for (user, known) in &self.expected {
            let client = self.connect(user).await;
            for (sql, expected, promise) in known {
                let actual = client.query(sql).await.unwrap_or_else(|error| panic!("{user}: {sql}: {error}"));
                let compared = compare(expected, &actual, *promise);
                compared.unwrap_or_else(|difference| panic!("{user}: {sql}: {difference}"));
            }
        }
    }

    /// A statement whose answer is known.
    async fn ask(&self, (client, user): (&Client, &'static str), rng: &mut StdRng) {
        let known = &self.expected[user];
        let (sql, expected, promise) = &known[rng.random_range(0..known.len())];
        let prepared = rng.random_bool(0.3);
        let asked = async { if prepared { client.query_prepared(sql).await } else { client.query(sql).await } };
        match timeout(ANSWERED_WITHIN, asked).await.unwrap_or_else(|_| panic!("not answered: {sql}")) {
            Ok(actual) => {
                let compared = compare(expected, &actual, *promise);
                compared.unwrap_or_else(|difference| panic!("{user}: {sql}: {difference}"));
                self.note(&format!("answered to {user}")).await;
            }
            Err(error) => {
                let code = error.split(':').next().unwrap_or_default();
                // A site that began again tells its tables anew, and a statement may meet two of them.
                assert!(["SITE_UNAVAILABLE", "BUSY", "STALE"].contains(&code), "{user}: {sql}: {error}");
                self.note(code).await;
            }
        }
    }

    /// Reads a little of an answer without end, and leaves; or cancels it, and is told so, unless its site is gone.
    async fn leave(&self, client: &Client, rng: &mut StdRng) {
        let Ok(info) = client.info(ENDLESS).await else { return self.note("not begun").await };
        let ticket = info.endpoint[0].ticket.clone().unwrap();
        let Ok(mut rows) = client.flight().do_get(ticket).await else { return self.note("not begun").await };
        let mut ended = None;
        for _ in 0..rng.random_range(0..4) {
            if let Some(Err(error)) = rows.next().await {
                ended = Some(error.to_string());
            }
        }
        if rng.random_bool(0.5) {
            drop(rows);
            return self.note("left").await;
        }
        let body = CancelFlightInfoRequest::new(info).encode_to_vec().into();
        let action = Action { r#type: "CancelFlightInfo".to_string(), body };
        let done = client.flight().do_action(action).await;
        done.expect("a cancellation is answered").for_each(|_| async {}).await;
        let end = async {
            while let Some(batch) = rows.next().await {
                if let Err(error) = batch {
                    return error.to_string();
                }
            }
            "whole".to_string()
        };
        let told = match ended {
            Some(ended) => ended,
            None => timeout(ANSWERED_WITHIN, end).await.expect("a cancelled stream ends"),
        };
        let is_gone = ["SITE_UNAVAILABLE", "STALE"].iter().any(|code| told.contains(code));
        assert!(told.contains("CANCELLED") || is_gone, "{told}");
        self.note(if is_gone { "ended with its site" } else { "cancelled" }).await;
    }

    /// A statement that works without a word, whose asker leaves.
    async fn give_up(&self, client: &Client) {
        let ended = timeout(Duration::from_millis(300), client.query(SILENT)).await;
        self.note(if ended.is_err() { "given up" } else { "not begun" }).await;
    }

    async fn mistake(&self, client: &Client, rng: &mut StdRng) {
        let wrong = ["SELECT", "SELECT * FROM sales.tpch.gone", "SELECT l_orderkey / 0 FROM logistics.tpch.lineitem"];
        let sql = wrong[rng.random_range(0..wrong.len())];
        assert!(client.query(sql).await.is_err(), "{sql}");
        self.note("refused").await;
    }

    async fn client(self: Arc<Self>, user: &'static str, seed: u64) {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut client = self.connect(user).await;
        while !self.over.load(Ordering::Relaxed) {
            match rng.random_range(0..100) {
                0..70 => self.ask((&client, user), &mut rng).await,
                70..80 => self.leave(&client, &mut rng).await,
                80..83 => self.give_up(&client).await,
                83..92 => self.mistake(&client, &mut rng).await,
                _ => client = self.connect(user).await,
            }
        }
    }

    /// Kills one of the sites after the other every so often, and starts it again.
    async fn kill(self: Arc<Self>, every: Duration) {
        for site in SITES.iter().cycle() {
            sleep(every).await;
            if self.over.load(Ordering::Relaxed) {
                return;
            }
            self.cluster.lock().await.kill_site(site);
            sleep(Duration::from_secs(1)).await;
            self.cluster.lock().await.restart_site(site);
            self.kills.fetch_add(1, Ordering::Relaxed);
            self.note(&format!("killed {site}")).await;
        }
    }

    /// What every node has; of a site that is killed, nothing while it is gone.
    async fn usage(&self) -> BTreeMap<String, Usage> {
        let cluster = self.cluster.lock().await;
        cluster.nodes().filter_map(|(name, process)| Some((name.to_string(), process.usage()?))).collect()
    }

    /// A third of the clients are the clerk's.
    fn begin(self: &Arc<Self>, clients: usize, seed: u64) -> Vec<JoinHandle<()>> {
        self.over.store(false, Ordering::Relaxed);
        let user = |number: u64| if number % 3 == 1 { PARTLY } else { WHOLE };
        let client = |number: u64| Arc::clone(self).client(user(number), seed.wrapping_mul(1_000).wrapping_add(number));
        (0..clients as u64).map(|number| tokio::spawn(client(number))).collect()
    }

    async fn end(&self, tasks: Vec<JoinHandle<()>>) {
        self.over.store(true, Ordering::Relaxed);
        for task in tasks {
            task.await.unwrap();
        }
    }

    /// The clients at work for this long.
    async fn run(self: &Arc<Self>, clients: usize, seed: u64, time: Duration) {
        let clients = self.begin(clients, seed);
        self.lasts(time, 0).await;
        self.end(clients).await;
    }

    /// The clients at work for this long while sites are killed, each at least once.
    async fn run_with_kills(self: &Arc<Self>, clients: usize, seed: u64, time: Duration) {
        let mut tasks = self.begin(clients, seed);
        tasks.push(tokio::spawn(Arc::clone(self).kill(KILLED_EVERY.min(time / 6))));
        self.lasts(time, SITES.len()).await;
        let began = Instant::now();
        while !self.counts_all().await && began.elapsed() < COUNTED_WITHIN {
            sleep(Duration::from_secs(1)).await;
        }
        self.end(tasks).await;
    }

    /// Whether each outcome came that is to come.
    async fn counts_all(&self) -> bool {
        let counts = self.counts.lock().await;
        outcomes().all(|outcome| counts.contains_key(&outcome))
    }

    /// Waits for so long, and until so many sites were killed.
    async fn lasts(&self, time: Duration, kills: usize) {
        let began = Instant::now();
        while began.elapsed() < time || self.kills.load(Ordering::Relaxed) < kills {
            sleep(Duration::from_secs(1)).await;
            if began.elapsed().as_secs().is_multiple_of(60) {
                println!("after {} s: {:?}", began.elapsed().as_secs(), self.usage().await);
            }
        }
    }
}

/// What is to come of statements and sites, at least once.
fn outcomes() -> impl Iterator<Item = String> {
    let answered = [WHOLE, PARTLY].map(|user| format!("answered to {user}"));
    let killed = SITES.map(|site| format!("killed {site}"));
    answered.into_iter().chain(killed).chain(["left", "cancelled", "refused"].map(str::to_string))
}

fn person(name: &str, role: &str) -> Person {
    let modes = ["AIR", "MAIL", "RAIL", "TRUCK"];
    Person::new(name, role).holding("research").with("segments", &["BUILDING", "MACHINERY"]).with("modes", &modes)
}

fn governance() -> Governance {
    let of = |site: &str| {
        let policies = PARTS.iter().filter(|part| part.0 == site).map(|part| part.3);
        let keys = (site == "sales").then_some(KEYS);
        [GRANTS].into_iter().chain(keys).chain(policies).collect::<Vec<_>>().join("\n")
    };
    Governance {
        users: vec![person(WHOLE, "analyst"), person(PARTLY, "clerk")],
        policies: SITES.iter().map(|site| (site.to_string(), of(site))).collect(),
        ..Governance::default()
    }
}

/// What the clerk sees, as tables of their own.
async fn seen_by_the_clerk(data: &Dataset) -> Dataset {
    let whole = local_context(data).await.unwrap();
    let mut seen = Dataset::temporary().unwrap();
    for table in &data.tables {
        let part = PARTS.iter().find(|part| (part.0, part.1) == (table.site.as_str(), table.name.as_str()));
        let sql = part.map_or_else(|| format!("SELECT * FROM {}", table.sql_name()), |part| part.2.to_string());
        let rows = local_answer(&whole, &sql).await.unwrap();
        seen.add([&table.site, &table.source, &table.name], &rows.schema, &rows.batches).unwrap();
    }
    seen
}

async fn expected(data: &Dataset, statements: &[(String, Promise)]) -> Vec<Expected> {
    let local = local_context(data).await.unwrap();
    let mut expected = Vec::new();
    for (sql, promise) in statements {
        expected.push((sql.clone(), local_answer(&local, sql).await.unwrap(), *promise));
    }
    expected
}

async fn work() -> Arc<Work> {
    let data = tpch(0.01).unwrap();
    let is_mixed = |statement: &Statement| MIXED.contains(&statement.name.as_str());
    let mixed = tpch_queries().into_iter().filter(is_mixed).map(|statement| (statement.sql, statement.promise));
    let shown = SHOWN.map(|sql| (sql.to_string(), Promise::Ordered));
    let statements: Vec<(String, Promise)> = mixed.chain(shown).collect();
    let whole = expected(&data, &statements).await;
    let partly = expected(&seen_by_the_clerk(&data).await, &statements).await;
    for ((sql, whole, promise), (_, partly, _)) in whole.iter().zip(&partly) {
        compare(whole, partly, *promise).expect_err(sql);
    }
    let options = Options {
        users_over_tls: true,
        coordinator_limits: LIMITS.into(),
        site_limits: LIMITS.into(),
        governance: Some(governance()),
        ..Options::default()
    };
    let cluster = Mutex::new(Cluster::start_with(&data, options).await);
    let expected = BTreeMap::from([(WHOLE, whole), (PARTLY, partly)]);
    let (over, kills, counts) = (AtomicBool::new(false), AtomicUsize::new(0), Mutex::default());
    Arc::new(Work { cluster, expected, over, kills, counts })
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
        assert!(began.elapsed() < Duration::from_secs(180), "nodes work for nobody: {before:?}, {after:?}");
    }
}

/// The more that each node had of two times.
fn most(mut one: BTreeMap<String, Usage>, other: BTreeMap<String, Usage>) -> BTreeMap<String, Usage> {
    for (name, other) in other {
        let most = one.entry(name).or_insert(other);
        most.memory_bytes = most.memory_bytes.max(other.memory_bytes);
        most.threads = most.threads.max(other.threads);
        most.handles = most.handles.max(other.handles);
    }
    one
}

fn assert_not_grown(warm: &BTreeMap<String, Usage>, after: &BTreeMap<String, Usage>) {
    println!("warm: {warm:?}\nafter: {after:?}");
    let mut grown = Vec::new();
    for (name, usage) in after {
        let was = &warm[name];
        let more = |now: u64, was: u64, allowed: u64| now > was + allowed;
        if more(usage.memory_bytes, was.memory_bytes, MEMORY_MORE_BYTES)
            || more(usage.threads, was.threads, THREADS_MORE)
            || more(usage.handles, was.handles, HANDLES_MORE)
        {
            grown.push(format!("{name}: {was:?}, now {usage:?}"));
        }
    }
    assert!(grown.is_empty(), "{}", grown.join("\n"));
}

/// Each statement that a site let in has its end in the record, unless the site was killed while it ran; and the chain holds.
async fn assert_recorded(work: &Work, kills: usize) {
    let cluster = work.cluster.lock().await;
    for site in SITES {
        let state = cluster.state_of(site);
        let began = Instant::now();
        let records = loop {
            let records = records(&state);
            let running = interrupted(&records).last().copied().unwrap_or_default();
            if running == 0 || began.elapsed() > RECORDED_WITHIN {
                break records;
            }
            sleep(Duration::from_millis(200)).await;
        };
        let (faults, lost) = (unpaired(&records), interrupted(&records));
        let told = || format!("{site}: interrupted by each kill: {lost:?}\n{}", faults.join("\n"));
        // Every start, the first too, ends what came before it; what comes after the last has no kill to be excused by.
        assert_eq!(lost.last(), Some(&0), "{}", told());
        assert_eq!(faults.len(), lost.iter().sum::<usize>(), "{}", told());
        assert!(lost.iter().all(|lost| *lost <= INTERRUPTED_MAX), "{}", told());
        assert!(of_kind(&records, "start").len() > kills, "{site} began again after each kill");
        for user in [WHOLE, PARTLY] {
            let of_user = |record: &&serde_json::Value| record["asker"]["subject"] == user;
            assert!(of_kind(&records, "intent").iter().any(of_user), "{site} has let in nothing of {user}'s");
        }
        let verified = Command::new(chancery()).args(["audit", "verify", "--state"]).arg(&state).output().unwrap();
        assert!(verified.status.success(), "{site}: {verified:?}");
    }
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
    // Caches and pools are warm after a quarter of the time; from then on nothing may grow.
    work.ask_each().await;
    work.ask_each().await;
    work.run(clients, seed, time / 4).await;
    let warm = at_rest(&work).await;
    work.run(clients, seed + 1, time / 4).await;
    assert_not_grown(&warm, &at_rest(&work).await);
    assert_recorded(&work, 0).await;
    // A site that is back is asked by all at once, which takes the coordinator more than it needed before; from then on
    // nothing may grow while sites die. Those are others then, and have no more than the first had.
    work.run_with_kills(clients, seed + 2, time / 4).await;
    let busiest = most(warm, at_rest(&work).await);
    work.run_with_kills(clients, seed + 3, time / 4).await;
    assert_not_grown(&busiest, &at_rest(&work).await);
    assert_recorded(&work, 1).await;
    let counts = work.counts.lock().await;
    let (p99, most) = watch.end();
    println!("{counts:?}; health p99 {} ms, at most {} ms", p99.as_millis(), most.as_millis());
    for outcome in outcomes() {
        assert!(counts.contains_key(&outcome), "nothing was {outcome}: {counts:?}");
    }
    let cluster = work.cluster.lock().await;
    for (name, process) in cluster.nodes() {
        let log = process.log();
        let panics: Vec<_> = log.lines().filter(|line| line.contains("panicked")).collect();
        assert!(panics.is_empty(), "{name} panicked: {panics:?}");
    }
}
