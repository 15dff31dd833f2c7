//! What a node tells its operator over HTTP: that it lives, whether it is ready, and numbers in which nobody's words stand.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use harness::cluster::process::Process;
use harness::cluster::{Cluster, Governance, Options, Person, Written};
use harness::tpch::tpch;
use serde_json::{Value, json};

const LISTEN: &str = "[operations]\nlisten = \"127.0.0.1:0\"";
const COUNT: &str = "SELECT count(*) FROM logistics.tpch.lineitem";

/// Where the node says that it tells its operator.
fn address(process: &Process) -> String {
    let log = process.log();
    let line = log.lines().rfind(|line| line.contains("operations are told")).expect("a line about the listener");
    let (_, address) = line.split_once("address=").expect("an address in it");
    address.split_whitespace().next().expect("an address").to_string()
}

/// Status and body of an answer.
fn ask(address: &str, request: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).expect("a listener");
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    write!(stream, "{request} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    let status = head.split(' ').nth(1).expect("a status").parse().expect("a number");
    (status, body.to_string())
}

fn ready(address: &str) -> (u16, Value) {
    let (status, body) = ask(address, "GET /readyz");
    (status, serde_json::from_str(&body).expect("JSON"))
}

/// Every number by its name and labels, in the form of OpenMetrics.
fn metrics(address: &str) -> BTreeMap<String, f64> {
    let (status, text) = ask(address, "GET /metrics");
    assert_eq!(status, 200);
    assert!(text.ends_with("# EOF\n"), "{text}");
    let numbers = text.lines().filter(|line| !line.starts_with('#'));
    let number = |line: &str| {
        let (name, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("{line}"));
        (name.to_string(), value.parse().unwrap_or_else(|_| panic!("{line}")))
    };
    let numbers: BTreeMap<_, _> = numbers.map(number).collect();
    let described = |name: &str| text.contains(&format!("# HELP {name} ")) && text.contains(&format!("# TYPE {name} "));
    assert!(described("chancery_sessions") && described("process_resident_memory_bytes"), "{text}");
    numbers
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_tells_whether_it_lives_and_is_ready() {
    let options = Options { lines: LISTEN.to_string(), ..Options::default() };
    let mut cluster = Cluster::start_with(&tpch(0.01).unwrap(), options).await;
    let (coordinator, site) = (address(cluster.coordinator()), address(cluster.site("sales")));
    for node in [&coordinator, &site] {
        assert_eq!(ask(node, "GET /livez"), (200, "alive\n".to_string()));
        assert_eq!(ask(node, "HEAD /livez"), (200, String::new()));
        assert_eq!(ask(node, "POST /metrics").0, 405);
        assert_eq!(ask(node, "GET /").0, 404);
    }
    let all = json!({"logistics": "reachable", "sales": "reachable", "supply": "reachable"});
    let told = json!({"node": "coordinator", "ready": true, "stopping": false, "faults": [], "sites": all});
    assert_eq!(ready(&coordinator), (200, told));
    let sources = json!({"tpch": "listed"});
    let told = json!({"node": "sales", "ready": true, "stopping": false, "faults": [], "sources": sources});
    assert_eq!(ready(&site), (200, told));

    // A site that is gone leaves the coordinator ready for what the others answer.
    cluster.kill_site("supply");
    let (status, told) = ready(&coordinator);
    assert_eq!((status, &told["sites"]["supply"]), (200, &json!("unreachable")));
    assert_eq!(told["sites"]["sales"], "reachable");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_being_stopped_is_not_ready() {
    let limits = "stream_window_bytes = 65536\nflight_data_bytes_target = 16384";
    let options = Options { lines: LISTEN.into(), coordinator_limits: limits.into(), ..Options::default() };
    let mut cluster = Cluster::start_with(&tpch(0.1).unwrap(), options).await;
    let told = address(cluster.coordinator());
    let client = cluster.client().await;
    let info = client.info("SELECT * FROM logistics.tpch.lineitem").await.unwrap();
    // It is not read, so the node cannot end.
    let unread = client.flight().do_get(info.endpoint[0].ticket.clone().unwrap()).await.unwrap();
    cluster.coordinator().signal("TERM");
    loop {
        match ready(&told) {
            (200, _) => tokio::time::sleep(Duration::from_millis(20)).await,
            (503, body) => break assert_eq!((&body["ready"], &body["stopping"]), (&json!(false), &json!(true))),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(ask(&told, "GET /livez").0, 200);
    assert_eq!(metrics(&told)["chancery_stopping"], 1.0);
    drop(unread);
    assert!(cluster.coordinator_mut().ended().success());
}

/// What nobody may find among the numbers.
const SECRET: &str = "secretword4711";

#[tokio::test(flavor = "multi_thread")]
async fn numbers_tell_of_statements_borders_evidence_and_the_process() {
    let policy = "CREATE PURPOSE care; GRANT SELECT ON TABLE tpch.lineitem TO ROLE analyst FOR PURPOSE care;";
    let governance = Governance {
        users: vec![Person::new("ana", "analyst").holding("care"), Person::administrator()],
        policies: [("logistics".to_string(), policy.to_string())].into(),
        written: Written::AtTheDoor,
        ..Governance::default()
    };
    let options = Options { lines: LISTEN.into(), governance: Some(governance), ..Options::default() };
    let cluster = Cluster::start_with(&tpch(0.01).unwrap().of_site("logistics"), options).await;
    let (coordinator, site) = (address(cluster.coordinator()), address(cluster.site("logistics")));
    let ana = cluster.user("ana").await;
    let before = metrics(&coordinator);
    assert_eq!(ana.value(COUNT).await, "60175");
    ana.query(&format!("SELECT '{SECRET}' FROM logistics.tpch.{SECRET}")).await.map(|_| ()).unwrap_err();
    ana.query(&format!("SELECT CAST('{SECRET}' AS int) FROM logistics.tpch.lineitem")).await.map(|_| ()).unwrap_err();

    let rows = ana.query("SELECT l_orderkey FROM logistics.tpch.lineitem LIMIT 7").await.unwrap();
    assert_eq!(rows.batches.iter().map(|batch| batch.num_rows()).sum::<usize>(), 7);
    let after = metrics(&coordinator);
    let grown = |name: &str| after.get(name).copied().unwrap_or(0.0) - before.get(name).copied().unwrap_or(0.0);
    assert!(grown("chancery_statements_total{outcome=\"finished\"}") >= 2.0, "{after:?}");
    assert!(grown("chancery_refused_total{code=\"NOT_FOUND\"}") >= 1.0, "{after:?}");
    assert!(grown("chancery_answer_rows_total{to=\"users\"}") >= 8.0, "{after:?}");
    assert!(grown("chancery_site_received_rows_total{site=\"logistics\"}") >= 8.0, "{after:?}");
    assert!(grown("chancery_site_sent_bytes_total{site=\"logistics\"}") > 100.0, "{after:?}");
    assert_eq!(
        grown("chancery_statement_duration_seconds_count"),
        grown("chancery_statement_duration_seconds_bucket{le=\"+Inf\"}")
    );
    for gauge in ["chancery_statements_running", "chancery_statements_waiting", "chancery_memory_reserved_bytes"] {
        assert!(after.contains_key(gauge), "{gauge}: {after:?}");
    }
    assert!(after["chancery_sessions"] >= 1.0 && after["process_resident_memory_bytes"] > 1e6, "{after:?}");
    assert!(after["process_threads"] > 1.0 && after["process_open_fds"] > 1.0, "{after:?}");
    assert!(!after.contains_key("chancery_audit_records_total"), "a coordinator keeps no record");

    let told = metrics(&site);
    assert!(told["chancery_answer_rows_total{to=\"coordinator\"}"] >= 8.0, "{told:?}");
    assert!(told["chancery_audit_records_total"] >= 5.0 && told["chancery_audit_failures_total"] == 0.0, "{told:?}");
    for node in [&coordinator, &site] {
        let (_, text) = ask(node, "GET /metrics");
        for word in [SECRET, "lineitem", "l_orderkey", "ana", "SELECT"] {
            let found = text.split(|letter: char| !letter.is_alphanumeric()).any(|part| part == word);
            assert!(!found, "{word} stands among the numbers:\n{text}");
        }
    }
}
