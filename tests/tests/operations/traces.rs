//! The spans of a statement at a collector: its client's trace, the coordinator's span, one of each fragment, and at each site
//! one under the fragment's.

use std::fs;
use std::time::{Duration, Instant};

use harness::cluster::{Cluster, Options};
use harness::collector::{Collected, Collector, Silent};
use harness::tpch::tpch;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use tempfile::TempDir;

const JOINED: &str = "SELECT count(*) FROM sales.tpch.orders JOIN logistics.tpch.lineitem ON l_orderkey = o_orderkey \
                      WHERE l_comment <> 'secretword4711'";
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER: &str = "00f067aa0ba902b7";

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

async fn cluster_that_sends(endpoint: &str, more: &str) -> Cluster {
    let lines = format!("[traces]\nendpoint = \"{endpoint}\"\n{more}");
    Cluster::start_with(&tpch(0.01).unwrap(), Options { lines, ..Options::default() }).await
}

fn of_trace<'a>(spans: &'a [Collected], trace: &str) -> Vec<&'a Collected> {
    spans.iter().filter(|collected| hexadecimal(&collected.span.trace_id) == trace).collect()
}

fn named<'a>(spans: &[&'a Collected], node: &str, name: &str) -> Vec<&'a Collected> {
    spans.iter().filter(|collected| collected.node == node && collected.span.name == name).copied().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_is_a_tree_of_spans_from_its_client_to_every_site() {
    let directory = TempDir::with_prefix("chancery-traces-").unwrap();
    let collector = Collector::start(true).await;
    let authority = directory.path().join("collector.crt");
    fs::write(&authority, collector.certificate()).unwrap();
    let endpoint = format!("https://localhost:{}", collector.address().port());
    let cluster = cluster_that_sends(&endpoint, &format!("tls_ca = {authority:?}")).await;

    let client = cluster.client().await.with_header("traceparent", &format!("00-{TRACE}-{CALLER}-01"));
    assert_eq!(client.value(JOINED).await, "60175");
    let is_whole = |spans: &[Collected]| {
        let spans = of_trace(spans, TRACE);
        let fragments = named(&spans, "coordinator", "fragment");
        let at_sites = ["sales", "logistics"].iter().map(|site| named(&spans, site, "statement").len()).sum::<usize>();
        !fragments.is_empty() && fragments.len() == at_sites && !named(&spans, "coordinator", "statement").is_empty()
    };
    let spans = collector.once(is_whole).await;
    let spans = of_trace(&spans, TRACE);

    let [asked] = named(&spans, "coordinator", "statement")[..] else { panic!("{spans:#?}") };
    assert_eq!(hexadecimal(&asked.span.parent_span_id), CALLER);
    assert_eq!(asked.span.kind, SpanKind::Server as i32);
    let told = asked.attributes();
    assert_eq!((told["chancery.rows"].as_str(), told["chancery.outcome"].as_str()), ("1", "finished"));
    assert_eq!(told["db.system.name"], "chancery");
    let fragments = named(&spans, "coordinator", "fragment");
    for site in ["sales", "logistics"] {
        let sent: Vec<_> = fragments.iter().filter(|sent| sent.attributes()["chancery.site"] == site).collect();
        assert!(!sent.is_empty(), "{site}: {spans:#?}");
        for sent in sent {
            assert_eq!((sent.span.kind, &sent.span.parent_span_id), (SpanKind::Client as i32, &asked.span.span_id));
            assert!(sent.attributes()["chancery.bytes_received"].parse::<u64>().unwrap() > 0);
            assert!(asked.span.start_time_unix_nano <= sent.span.start_time_unix_nano);
            assert!(sent.span.end_time_unix_nano <= asked.span.end_time_unix_nano);
            let there = named(&spans, site, "statement");
            let there: Vec<_> = there.iter().filter(|there| there.span.parent_span_id == sent.span.span_id).collect();
            let [there] = there[..] else { panic!("{site}: {spans:#?}") };
            assert_eq!(there.span.kind, SpanKind::Server as i32);
            assert_eq!(there.attributes()["chancery.query_id"], told["chancery.query_id"]);
            assert_eq!(there.attributes()["chancery.rows"], sent.attributes()["chancery.rows"]);
        }
    }

    let failed = cluster.client().await.query("SELECT 1 / (o_orderkey - o_orderkey) FROM sales.tpch.orders").await;
    let code = failed.map(|_| ()).unwrap_err().split(':').next().unwrap().to_string();
    let has_failed =
        |span: &Collected| span.node == "coordinator" && span.attributes().get("error.type") == Some(&code);
    let spans = collector.once(|spans| spans.iter().any(has_failed)).await;
    let failed = spans.iter().find(|span| has_failed(span)).unwrap();
    let status = failed.span.status.as_ref().unwrap();
    assert_eq!((status.code, status.message.as_str()), (StatusCode::Error as i32, code.as_str()));

    let everything = format!("{:?}", collector.spans());
    for secret in ["secretword4711", "SELECT", "l_comment", "analyst"] {
        assert!(!everything.contains(secret), "{secret} is told");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trace_that_nobody_keeps_is_not_sent_and_the_last_spans_are() {
    let collector = Collector::start(false).await;
    let mut cluster = cluster_that_sends(&format!("http://{}", collector.address()), "").await;
    let unwanted = cluster.client().await.with_header("traceparent", &format!("00-{TRACE}-{CALLER}-00"));
    assert_eq!(unwanted.value("SELECT count(*) FROM sales.tpch.orders").await, "15000");
    assert_eq!(cluster.client().await.value("SELECT count(*) FROM sales.tpch.customer").await, "1500");
    // Spans go out every few seconds; a node that is stopped does not take its last with it.
    cluster.site("sales").signal("TERM");
    assert!(cluster.site_mut("sales").ended().success());
    cluster.coordinator().signal("TERM");
    assert!(cluster.coordinator_mut().ended().success());
    let spans = collector.spans();
    let asked = spans.iter().filter(|span| span.node == "coordinator" && span.span.name == "statement").count();
    let at_site = spans.iter().filter(|span| span.node == "sales" && span.span.name == "statement").count();
    assert!(asked >= 1 && at_site >= 1, "{spans:#?}");
    assert!(of_trace(&spans, TRACE).is_empty(), "{spans:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_says_nothing_holds_up_nobody_and_the_log_says_so_once() {
    let directory = TempDir::with_prefix("chancery-traces-").unwrap();
    for tls in [false, true] {
        let silent = Silent::listen().await;
        let authority = directory.path().join("collector.crt");
        fs::write(&authority, silent.certificate()).unwrap();
        let (scheme, more) = match tls {
            true => ("https", format!("tls_ca = {authority:?}")),
            false => ("http", String::new()),
        };
        let cluster = cluster_that_sends(&format!("{scheme}://localhost:{}", silent.address().port()), &more).await;
        let client = cluster.client().await;
        let asked_until = async |said: &str| {
            let began = Instant::now();
            while !cluster.coordinator().log().contains(said) {
                assert_eq!(client.value("SELECT count(*) FROM sales.tpch.orders").await, "15000");
                assert!(began.elapsed() < Duration::from_secs(120), "{}", cluster.coordinator().log());
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        };
        let lost = "spans do not reach the collector and are lost";
        asked_until(lost).await;
        let collector = silent.speak(tls);
        asked_until("spans reach the collector again").await;
        assert!(!collector.spans().is_empty());
        assert_eq!(cluster.coordinator().log().matches(lost).count(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_waits_for_no_collector() {
    let silent = Silent::listen().await;
    let mut cluster = cluster_that_sends(&format!("http://{}", silent.address()), "").await;
    assert_eq!(cluster.client().await.value("SELECT count(*) FROM sales.tpch.orders").await, "15000");
    let began = Instant::now();
    cluster.coordinator().signal("TERM");
    // Two signals at once are one.
    tokio::time::sleep(Duration::from_millis(500)).await;
    cluster.coordinator().signal("TERM");
    assert!(cluster.coordinator_mut().ended().success());
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
}
