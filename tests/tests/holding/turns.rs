//! A subject's share of a node, the queue before it, and what becomes of a share that nobody uses.

use std::time::{Duration, Instant};

use arrow_flight::decode::FlightRecordBatchStream;
use arrow_flight::error::FlightError;
use futures::StreamExt;
use futures::future::join_all;
use harness::cluster::client::told;
use harness::cluster::process::Usage;
use harness::cluster::{Border, Client, Cluster, Fault, Governance, Options, Person};
use harness::dataset::Dataset;
use harness::tpch::tpch;
use tokio::time::{sleep, timeout};

use super::assert_whole;

const LIMITS: &str = "running_queries_max = 3\nsubject_running_queries_max = 2\nqueued_queries_max = 2\nqueue_timeout_ms = 500\n\
                      busy_retry_ms = 750\n";

/// It makes rows for as long as somebody reads them, and holds its turn when nobody does.
const LONG: &str = "SELECT a.l_comment FROM logistics.tpch.lineitem a CROSS JOIN logistics.tpch.lineitem b";

async fn begin(client: &Client) -> FlightRecordBatchStream {
    let info = client.info(LONG).await.unwrap();
    let ticket = info.endpoint[0].ticket.clone().unwrap();
    client.flight().do_get(ticket).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subject_has_its_share_and_the_others_theirs() {
    let data: Dataset = tpch(0.01).unwrap();
    let users = ["ann", "bob"].map(|name| Person::new(name, "reader")).into_iter().chain([Person::administrator()]);
    let grant = "GRANT SELECT ON SCHEMA tpch TO ROLE reader FOR PURPOSE care WITH (id = 'g');";
    let policies = data.sites().into_iter().map(|site| (site, format!("CREATE PURPOSE care;\n{grant}\n")));
    let governance = Governance {
        users: users.map(|person| person.holding("care")).collect(),
        policies: policies.collect(),
        ..Governance::default()
    };
    let options = Options { coordinator_limits: LIMITS.into(), governance: Some(governance), ..Options::default() };
    let cluster = Cluster::start_with(&data, options).await;
    let (ann, bob) = (cluster.user("ann").await, cluster.user("bob").await);
    let held = [begin(&ann).await, begin(&ann).await];
    // A third one of Ann's waits for its turn, which does not come.
    let error = ann.flight().execute("SELECT 1".to_string(), None).await.unwrap_err();
    let FlightError::Tonic(status) = error else { panic!("{error}") };
    assert!(status.message().starts_with("BUSY: "), "{status}");
    assert_eq!(status.code(), tonic::Code::Unavailable);
    assert_eq!(status.metadata().get("grpc-retry-pushback-ms").unwrap(), "750");
    assert_eq!(bob.value("SELECT count(*) FROM logistics.tpch.lineitem").await, "60175", "Bob has his own");
    // No more wait than may: the queue's end is told at once.
    let waiting = join_all((0..6).map(|_| timeout(Duration::from_secs(5), ann.query("SELECT 1")))).await;
    assert!(
        waiting
            .iter()
            .all(|told| told.as_ref().is_ok_and(|told| told.as_ref().is_err_and(|told| told.starts_with("BUSY: "))))
    );
    // A turn that ends is the next one's.
    let (answer, ()) = tokio::join!(ann.query("SELECT 1"), async {
        sleep(Duration::from_millis(100)).await;
        drop(held);
    });
    answer.unwrap();
}

/// An answer that nobody takes is ended after ten seconds, and two of them are all that may run.
const SOON_ENDED: &str = "running_queries_max = 3\nsubject_running_queries_max = 2\nqueued_queries_max = 2\n\
                          queue_timeout_ms = 100\nunread_timeout_ms = 10000\nflight_data_bytes_target = 16384\n";

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_nobody_takes_gives_its_turn_back() {
    let options = Options { coordinator_limits: SOON_ENDED.into(), ..Options::default() };
    let cluster = Cluster::start_with(&tpch(0.01).unwrap(), options).await;
    let client = cluster.client().await;
    let mut unread = [begin(&client).await, begin(&client).await];
    assert!(client.query("SELECT 1").await.is_err_and(|error| error.starts_with("BUSY: ")), "no turn is left");
    let waited = Instant::now();
    while client.query("SELECT 1").await.is_err() {
        assert!(waited.elapsed() < Duration::from_secs(120), "the turns are held on");
        sleep(Duration::from_millis(100)).await;
    }
    for answer in &mut unread {
        let error = loop {
            match answer.next().await.expect("no end before the error") {
                Ok(_) => {}
                Err(error) => break told(&error),
            }
        };
        assert!(error.starts_with("CANCELLED: ") && error.contains("unread_timeout_ms"), "{error}");
    }
    // Whoever takes it slowly, but takes it, is not ended.
    let mut slow = begin(&client).await;
    for _ in 0..50 {
        slow.next().await.unwrap().unwrap();
        sleep(Duration::from_millis(300)).await;
    }
}

/// Statements of the next test that nobody reads, or hardly, take all turns of the coordinator for so long.
const UNREAD_LIMITS: &str = "running_queries_max = 4\nqueue_timeout_ms = 1000\nstatement_timeout_ms = 30000\n";
/// What a node may grow by while they wait, once their windows are full.
const UNREAD_BYTES: u64 = 64 << 20;
/// A machine that does much else is given so long to end them, and to let go of their threads.
const ENDED_WITHIN: Duration = Duration::from_secs(180);

#[tokio::test(flavor = "multi_thread")]
async fn a101_who_reads_a_byte_a_second_or_nothing_costs_no_memory_and_loses_the_turn() {
    let options = Options { coordinator_limits: UNREAD_LIMITS.into(), ..Options::default() };
    let cluster = Cluster::start_with(&tpch(0.01).unwrap(), options).await;
    let count = "SELECT count(*) FROM logistics.tpch.lineitem";
    let client = cluster.client().await;
    assert_eq!(client.value(count).await, "60175");
    let nodes = [cluster.coordinator(), cluster.site("logistics")];
    let usage = || nodes.map(|node| node.usage().expect("it runs"));
    let before = usage();

    let border = Border::open(cluster.address()).await;
    let slow = Client::connect(border.address(), None).await;
    let read = [begin(&slow).await, begin(&slow).await];
    let unread = [begin(&client).await, begin(&client).await];
    border.set(Fault::Trickle);
    let reading = read.map(|mut stream| tokio::spawn(async move { while stream.next().await.is_some() {} }));
    let busy = client.query(count).await.map(|_| ()).unwrap_err();
    assert!(busy.starts_with("BUSY: "), "all turns are taken: {busy}");

    // Until their windows are full.
    let full = loop {
        let before = usage();
        sleep(Duration::from_secs(1)).await;
        let now = usage();
        let grows = |(now, before): (&Usage, &Usage)| now.memory_bytes > before.memory_bytes + (1 << 20);
        if !now.iter().zip(&before).any(grows) {
            break now;
        }
    };
    let began = Instant::now();
    loop {
        for (now, full) in usage().iter().zip(&full) {
            let grown = now.memory_bytes.saturating_sub(full.memory_bytes);
            assert!(grown < UNREAD_BYTES, "a node has grown by {} MiB for nobody", grown >> 20);
        }
        match client.query(count).await.map(|_| ()) {
            Ok(()) => break,
            Err(error) => assert!(error.starts_with("BUSY: "), "{error}"),
        }
        assert!(began.elapsed() < ENDED_WITHIN, "nobody else has a turn");
        sleep(Duration::from_millis(200)).await;
    }
    let ended = Instant::now();
    let held = format!("SELECT count(*) FROM system.queries.running WHERE statement = '{LONG}'");
    loop {
        let ticks = || nodes.map(|node| node.cpu_ticks()).iter().sum::<u64>();
        let ticks_before = ticks();
        sleep(Duration::from_millis(300)).await;
        let at_rest = ticks() - ticks_before < 10;
        let threads = usage().iter().zip(&before).all(|(now, before)| now.threads <= before.threads + 16);
        if at_rest && threads && client.value(&held).await == "0" {
            break;
        }
        assert!(ended.elapsed() < ENDED_WITHIN, "{:?}, before {before:?}, at rest: {at_rest}", usage());
    }
    // Whoever comes to read after all is told why.
    for mut stream in unread {
        let mut last = None;
        while let Some(batch) = stream.next().await {
            last = Some(batch);
        }
        let error = told(&last.expect("some batches").unwrap_err());
        assert!(error.starts_with("DEADLINE: "), "{error}");
    }
    for reading in reading {
        reading.abort();
    }
    assert_whole(&cluster, &["logistics"]);
}
