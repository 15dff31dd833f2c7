//! What becomes of a change of policy: it is recorded once, as what happened, whatever becomes of its asker or its site.

use std::path::Path;
use std::time::Duration;

use arrow_flight::{Action, CancelFlightInfoRequest, FlightInfo};
use harness::cluster::{Client, Cluster, Options, Step, Written};
use harness::policy::record::{of_kind, records};
use prost::Message;
use serde_json::Value;

use super::federation::{
    COUNT_ORDERS, NORTH, assert_refused, data, eventually, eventually_value, governed, north, refusal, table,
};

/// Long enough for whoever is told at once that they are cut off.
const TOLD_AT_ONCE: Duration = Duration::from_millis(500);

/// The state of a site while another process writes it: changes wait, no longer than some seconds.
struct Busy(rusqlite::Connection);

impl Busy {
    fn state(state: &Path) -> Self {
        let connection = rusqlite::Connection::open(state.join("node.sqlite")).unwrap();
        connection.execute_batch("BEGIN IMMEDIATE").unwrap();
        Self(connection)
    }

    fn over(self) {
        self.0.execute_batch("ROLLBACK").unwrap();
    }
}

/// Waits until the statement runs.
async fn runs(admin: &Client, sql: &str) {
    let running = format!("SELECT count(*) FROM system.queries.running WHERE statement = '{sql}'");
    eventually_value(admin, &running, "1").await;
}

async fn cancel(admin: &Client, info: FlightInfo) {
    let body = CancelFlightInfoRequest::new(info).encode_to_vec().into();
    let action = Action { r#type: "CancelFlightInfo".to_string(), body };
    let mut request = tonic::Request::new(action);
    let token = format!("Bearer {}", admin.flight().token().unwrap());
    request.metadata_mut().insert("authorization", token.parse().unwrap());
    admin.flight().inner_mut().do_action(request).await.unwrap();
}

/// The changes and refusals of these statements, as the record has them.
fn told_of(state: &Path, statements: &[&str]) -> Vec<String> {
    let records = records(state);
    let kinds = ["change", "refusal", "intent"].into_iter().flat_map(|kind| of_kind(&records, kind));
    let of_them = kinds.filter(|record| statements.contains(&record["statement"].as_str().unwrap()));
    let code = |record: &Value| record["code"].as_str().map(|code| format!(" {code}")).unwrap_or_default();
    let told =
        |record: &Value| format!("{}{}: {}", record["kind"].as_str().unwrap(), code(record), record["statement"]);
    of_them.map(told).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_is_recorded_once_whatever_becomes_of_its_asker() {
    let cluster = north(NORTH).await;
    let admin = cluster.user_of_site("admin", "north").await;
    let state = cluster.state_of("north");
    let [cancelled, left, read] = ["CREATE PURPOSE cancelled", "CREATE PURPOSE left", "SHOW POLICY HISTORY"];

    // Cancelled while it is made: it is made, and both are told.
    let info = admin.info(cancelled).await.unwrap();
    let busy = Busy::state(&state);
    let asked = tokio::spawn({
        let (admin, info) = (admin.clone(), info.clone());
        async move { admin.fetch(info).await.map(drop) }
    });
    runs(&admin, cancelled).await;
    cancel(&admin, info).await;
    tokio::time::sleep(TOLD_AT_ONCE).await;
    busy.over();
    let told = asked.await.unwrap().unwrap_err();
    assert!(told.starts_with("CANCELLED: ") && told.ends_with("the change that it made before is in force"), "{told}");

    // Their askers leave: the change is made, and what only reads is not told any more.
    let infos = [admin.info(left).await.unwrap(), admin.info(read).await.unwrap()];
    let busy = Busy::state(&state);
    for (info, sql) in infos.into_iter().zip([left, read]) {
        let asker = cluster.user_of_site("admin", "north").await;
        let token = admin.flight().token().unwrap().clone();
        let asked = tokio::spawn(async move {
            let mut flight = asker.flight();
            flight.set_token(token);
            Client::of(flight).fetch(info).await.map(drop)
        });
        runs(&admin, sql).await;
        asked.abort();
    }
    tokio::time::sleep(TOLD_AT_ONCE).await;
    busy.over();
    let expected =
        [format!("change: {cancelled:?}"), format!("change: {left:?}"), format!("refusal CANCELLED: {read:?}")];
    eventually(|| async {
        let told = told_of(&state, &[cancelled, left, read]);
        if told == expected { Ok(()) } else { Err(format!("{told:#?}")) }
    })
    .await;
    let purposes = table(&admin, "SHOW PURPOSES", &["purpose"]).await.concat();
    assert!(purposes.contains(&"cancelled".to_string()) && purposes.contains(&"left".to_string()), "{purposes:?}");
    let changes = records(&state);
    let identities: Vec<_> = of_kind(&changes, "change").iter().map(|change| change["query"].to_string()).collect();
    assert!(identities.iter().all(|identity| identity.len() == 34), "{identities:?}");
}

/// The power is cut in the middle of a change: what the record has is in force, and nothing else.
#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_a_power_cut_meets_is_in_force_when_the_record_has_it() {
    let options = Options {
        governance: Some(governed(&[("north", NORTH)], Written::AtTheDoor)),
        machines: true,
        ..Options::default()
    };
    let data = data().await;
    let mut cluster = Cluster::start_with(&data, options).await;
    let statement = |step: Step| format!("CREATE PURPOSE {}", format!("{step:?}").to_lowercase());
    for step in [Step::Unwritten, Step::Written, Step::Synced] {
        let admin = cluster.user_of_site("admin", "north").await;
        let versions = table(&admin, "SHOW POLICY HISTORY", &["version"]).await.len();
        cluster.machine("north").stop_disk(step, "\"kind\":\"change\"");
        let asked = tokio::spawn({
            let sql = statement(step);
            async move { admin.query(&sql).await.map(drop) }
        });
        cluster.machine("north").disk_stopped().await;
        cluster.kill_site("north");
        asked.await.unwrap().unwrap_err();
        cluster.machine("north").start_disk();
        cluster.restart_site("north");
        let admin = cluster.user_of_site("admin", "north").await;
        let is_recorded = step != Step::Unwritten;
        let purposes = table(&admin, "SHOW PURPOSES", &["purpose"]).await.concat();
        let is_in_force = purposes.contains(&format!("{step:?}").to_lowercase());
        assert_eq!(is_in_force, is_recorded, "{step:?}: {purposes:?}");
        let history = table(&admin, "SHOW POLICY HISTORY", &["version"]).await.len();
        assert_eq!(history, versions + usize::from(is_recorded), "{step:?}");
        let told = told_of(&cluster.state_of("north"), &[&statement(step)]);
        assert_eq!(told.len(), usize::from(is_recorded), "{step:?}: {told:?}");
    }
    // What takes away does not wait for the record, and the record gets it after the power cut.
    let admin = cluster.user_of_site("admin", "north").await;
    let ana = cluster.user_of_site("ana", "north").await;
    eventually_value(&ana, COUNT_ORDERS, "200").await;
    let revoke = "REVOKE GRANT 'orders'";
    cluster.machine("north").stop_disk(Step::Unwritten, "\"kind\":\"change\"");
    let asked = tokio::spawn(async move { refusal(&admin, revoke).await });
    cluster.machine("north").disk_stopped().await;
    let told = asked.await.unwrap();
    assert!(told.starts_with("AUDIT: the change is in force"), "{told}");
    cluster.kill_site("north");
    assert_eq!(told_of(&cluster.state_of("north"), &[revoke]), Vec::<String>::new());
    cluster.machine("north").start_disk();
    for _ in 0..2 {
        cluster.restart_site("north");
        assert_refused(&cluster.user_of_site("ana", "north").await, COUNT_ORDERS, "NOT_FOUND").await;
        assert_eq!(told_of(&cluster.state_of("north"), &[revoke]), [format!("change: {revoke:?}")]);
        cluster.kill_site("north");
    }
}
