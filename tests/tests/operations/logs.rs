//! A server's log in JSON, and a statement's trace from its client through the coordinator to the sites.

use std::time::{Duration, Instant};

use harness::cluster::process::Process;
use harness::cluster::{Client, Cluster, Options};
use harness::tpch::tpch;
use serde_json::Value;

const JOINED: &str = "SELECT count(*) FROM sales.tpch.orders JOIN logistics.tpch.lineitem ON l_orderkey = o_orderkey \
                      WHERE l_comment <> 'secretword4711'";
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

/// Every line of a log.
fn lines(process: &Process) -> Vec<Value> {
    let log = process.log();
    let line = |line: &str| serde_json::from_str(line).unwrap_or_else(|_| panic!("not JSON: {line}"));
    log.lines().map(line).collect()
}

/// Such lines of ended statements, once there are any: a node may write them when its answer has been read.
async fn ended(process: &Process, wanted: impl Fn(&Value) -> bool) -> Vec<Value> {
    let began = Instant::now();
    loop {
        let mut lines = lines(process);
        lines.retain(|line| line["message"] == "ended" && wanted(line));
        if !lines.is_empty() {
            return lines;
        }
        assert!(began.elapsed() < Duration::from_secs(30), "no such line: {}", process.log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Those that belong to a trace.
async fn ended_of(process: &Process, trace: &str) -> Vec<Value> {
    ended(process, |line| line["span"]["trace_id"] == trace).await
}

async fn start() -> Cluster {
    let options = Options { logs_json: true, ..Options::default() };
    Cluster::start_with(&tpch(0.01).unwrap(), options).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_s_trace_goes_through_the_coordinator_to_every_site() {
    let cluster = start().await;
    let header = format!("00-{TRACE}-00f067aa0ba902b7-01");
    let client: Client = cluster.client().await.with_header("traceparent", &header);
    assert_eq!(client.value(JOINED).await, "60175");
    let at_coordinator = ended_of(cluster.coordinator(), TRACE).await;
    let [asked] = &at_coordinator[..] else { panic!("{at_coordinator:?}") };
    assert_eq!(asked["span"]["node"], "coordinator");
    assert_eq!(asked["span"]["subject"], "analyst");
    assert_eq!((&asked["outcome"], &asked["rows"]), (&"finished".into(), &1.into()));
    assert!(asked["span"].get("site").is_none(), "{asked}");
    for site in ["sales", "logistics"] {
        for line in ended_of(cluster.site(site), TRACE).await {
            assert_eq!((&line["span"]["node"], &line["span"]["site"]), (&site.into(), &site.into()));
            assert_eq!(line["span"]["query_id"], asked["span"]["query_id"], "{line}");
            assert_eq!(line["span"]["subject"], "analyst via coordinator");
        }
    }
    for (node, process) in cluster.nodes() {
        assert!(!process.log().contains("secretword4711"), "{node} writes down a literal");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_header_that_is_no_trace_begins_a_new_one_that_all_nodes_share() {
    let cluster = start().await;
    let client =
        cluster.client().await.with_header("traceparent", &format!("00-{}-00f067aa0ba902b7-01", "0".repeat(32)));
    assert_eq!(client.value(JOINED).await, "60175");
    let asked = ended(cluster.coordinator(), |line| line["rows"] == 1).await;
    let trace = asked[0]["span"]["trace_id"].as_str().expect("a trace");
    assert!(trace.len() == 32 && trace != "0".repeat(32), "{trace}");
    for site in ["sales", "logistics"] {
        assert!(!ended_of(cluster.site(site), trace).await.is_empty());
    }
}
