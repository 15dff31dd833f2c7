//! A node that is told to stop says so, takes nothing new, and lets end what runs: whole, or with an error that says why.

use std::time::Duration;

use arrow_flight::decode::DecodedPayload;
use futures::StreamExt;
use harness::cluster::client::{channel, told};
use harness::cluster::process::Process;
use harness::cluster::{Client, Cluster, Governance, Options, Person, Written};
use harness::policy::record::{completions, of_kind, records, unpaired};
use harness::tpch::tpch;
use tonic::transport::Channel;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

/// All of lineitem's rows, some 10 MB at scale 0.1.
const LARGE: &str = "SELECT l_orderkey, l_partkey, l_suppkey, l_comment FROM logistics.tpch.lineitem";
/// Rows of lineitem at scale 0.1.
const LARGE_ROWS: usize = 600_572;
const COUNT: &str = "SELECT count(*) FROM logistics.tpch.lineitem";
/// An answer that is not read waits at the node instead of in buffers on its way.
const SMALL_BUFFERS: &str = "stream_window_bytes = 65536\nflight_data_bytes_target = 16384";

/// An answer being read.
struct Reading {
    frames: arrow_flight::decode::FlightDataDecoder,
    rows: usize,
    /// Whoever asked has to stay.
    _client: Client,
}

impl Reading {
    /// Asks, and reads the first rows.
    async fn begin(client: Client) -> Self {
        let info = client.info(LARGE).await.unwrap();
        let ticket = info.endpoint[0].ticket.clone().unwrap();
        let frames = client.flight().do_get(ticket).await.unwrap().into_inner();
        let mut reading = Self { frames, rows: 0, _client: client };
        while reading.rows == 0 {
            assert!(reading.next().await.expect("rows"), "an empty answer");
        }
        reading
    }

    /// Reads one message: whether there was one.
    async fn next(&mut self) -> Result<bool, String> {
        match self.frames.next().await {
            None => Ok(false),
            Some(Err(error)) => Err(told(&error)),
            Some(Ok(frame)) => {
                if let DecodedPayload::RecordBatch(batch) = frame.payload {
                    self.rows += batch.num_rows();
                }
                Ok(true)
            }
        }
    }

    /// The rest, slowly: the number of all rows, or the error that ended it.
    async fn rest(mut self, pause: Duration) -> Result<usize, String> {
        while self.next().await? {
            tokio::time::sleep(pause).await;
        }
        Ok(self.rows)
    }
}

/// Ends when the node says that it does not serve.
async fn until_not_serving(channel: Channel) {
    let mut health = HealthClient::new(channel);
    for service in ["", "arrow.flight.protocol.FlightService"] {
        loop {
            let request = HealthCheckRequest { service: service.to_string() };
            let told = health.check(request).await.expect("the node tells its health").into_inner();
            if told.status == ServingStatus::NotServing as i32 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

async fn assert_takes_nothing_new(client: &Client) {
    let error = client.query(COUNT).await.map(|answer| answer.batches.len()).unwrap_err();
    assert!(error.starts_with("BUSY: ") && error.contains("is being stopped"), "{error}");
}

/// The node has ended well, and what it was cannot be reached.
fn assert_ended(process: &mut Process) {
    let status = process.ended();
    assert!(status.success(), "{status}: {}", process.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_coordinator_that_is_told_to_stop_ends_what_runs_and_takes_nothing_new() {
    let options = Options { coordinator_limits: SMALL_BUFFERS.to_string(), ..Options::default() };
    let mut cluster = Cluster::start_with(&tpch(0.1).unwrap(), options).await;
    let (other, health) = (cluster.client().await, channel(cluster.address(), None).await);
    let planned = other.info(COUNT).await.unwrap();
    let reading = Reading::begin(cluster.client().await).await;
    cluster.coordinator().signal("TERM");
    until_not_serving(health).await;
    assert_takes_nothing_new(&other).await;
    let error = other.fetch(planned).await.map(|answer| answer.batches.len()).unwrap_err();
    assert!(error.starts_with("BUSY: "), "a ticket is no turn: {error}");
    // Whoever comes only now is told the same, and not that nobody listens.
    assert_takes_nothing_new(&cluster.client().await).await;
    assert_eq!(reading.rest(Duration::ZERO).await, Ok(LARGE_ROWS));
    assert_ended(cluster.coordinator_mut());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_site_that_is_told_to_stop_ends_its_fragments_and_takes_no_new_one() {
    let options = Options { coordinator_limits: SMALL_BUFFERS.to_string(), ..Options::default() };
    let mut cluster = Cluster::start_with(&tpch(0.1).unwrap(), options).await;
    let other = cluster.client().await;
    let health = channel(cluster.site("logistics").address(), Some(&cluster.authority())).await;
    let reading = Reading::begin(cluster.client().await).await;
    cluster.site("logistics").signal("TERM");
    until_not_serving(health).await;
    let error = other.query(COUNT).await.map(|answer| answer.batches.len()).unwrap_err();
    assert!(error.starts_with("BUSY: site logistics says"), "{error}");
    assert_eq!(other.value("SELECT count(*) FROM sales.tpch.orders").await, "150000", "others go on");
    assert_eq!(reading.rest(Duration::ZERO).await, Ok(LARGE_ROWS));
    assert_ended(cluster.site_mut("logistics"));
    cluster.restart_site("logistics");
}

/// A site that keeps a record is told to stop while it answers a user who reads slowly, and then perhaps once more.
async fn cancelled_by(second: Option<&str>, drain_timeout_s: u64) {
    let policy = "CREATE PURPOSE care; GRANT SELECT ON TABLE tpch.lineitem TO ROLE analyst FOR PURPOSE care;";
    let governance = Governance {
        users: vec![Person::new("ana", "analyst").holding("care"), Person::administrator()],
        policies: [("logistics".to_string(), policy.to_string())].into(),
        written: Written::AtTheDoor,
        ..Governance::default()
    };
    let options = Options {
        governance: Some(governance),
        site_limits: format!("{SMALL_BUFFERS}\ndrain_timeout_s = {drain_timeout_s}"),
        ..Options::default()
    };
    let mut cluster = Cluster::start_with(&tpch(0.1).unwrap().of_site("logistics"), options).await;
    let reading = Reading::begin(cluster.user_of_site("ana", "logistics").await).await;
    let health = channel(cluster.site("logistics").address(), Some(&cluster.authority())).await;
    cluster.site("logistics").signal("TERM");
    until_not_serving(health).await;
    if let Some(second) = second {
        cluster.site("logistics").signal(second);
    }
    let error = reading.rest(Duration::from_millis(20)).await.unwrap_err();
    if second.is_none() {
        // At a second signal nobody is waited for: who reads slowly finds the connection closed.
        assert!(error.starts_with("CANCELLED: ") && error.contains("drain_timeout_s"), "{error}");
    }
    assert_ended(cluster.site_mut("logistics"));
    let records = records(&cluster.state_of("logistics"));
    assert_eq!(unpaired(&records), Vec::<String>::new());
    let streamed = of_kind(&records, "intent").last().map(|intent| intent["seq"].as_u64().unwrap()).unwrap();
    assert_eq!(completions(&records)[&streamed]["outcome"], "cancelled");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_end_in_time_ends_with_an_error_that_says_so_and_is_on_record() {
    cancelled_by(None, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_ends_a_node_and_its_record_is_whole() {
    cancelled_by(Some("INT"), 3_600).await;
}
