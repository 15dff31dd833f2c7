//! What becomes of a change of policy: it is recorded once, as what happened, whatever becomes of its asker or its site.

use std::path::Path;
use std::time::Duration;

use arrow_flight::{Action, CancelFlightInfoRequest, FlightInfo};
use harness::cluster::Client;
use harness::policy::record::{of_kind, records};
use prost::Message;
use serde_json::Value;

use super::{NORTH, eventually, eventually_value, north, table};

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
