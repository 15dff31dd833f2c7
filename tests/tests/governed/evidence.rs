//! What a site records of every statement, who may read it, and that nothing leaves where it cannot be recorded.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use arrow_flight::sql::ProstMessageExt;
use arrow_flight::sql::{ActionCreatePreparedStatementRequest, CommandStatementQuery, CommandStatementUpdate};
use arrow_flight::{Action, FlightData, FlightDescriptor, Ticket};
use harness::cluster::binary::chancery;
use harness::cluster::{Client, Cluster, Options, Written};
use harness::policy::record::{completions, of_kind, records, unpaired};
use prost::Message;
use serde_json::Value;
use tonic::Request;

use super::federation::{
    COUNT_ORDERS, NORTH, assert_refused, data, eventually, eventually_value, governed, north, refusal, rows, table,
};
use crate::KEPT;

const ASKED: &str = "SELECT id, note FROM north.trade.orders WHERE status = 'sent' AND id < 1000004711";

#[tokio::test(flavor = "multi_thread")]
async fn every_statement_has_an_intent_and_a_completion_or_a_refusal() {
    let cluster = north(NORTH).await;
    let ana = cluster.user("ana").await;
    let ana_at_site = cluster.user_of_site("ana", "north").await;
    let visitor = cluster.user_of_site("visitor", "north").await;
    eventually_value(&ana, COUNT_ORDERS, "200").await;
    assert_eq!(rows(&ana.query(ASKED).await.unwrap()), 40);
    assert_eq!(rows(&ana_at_site.query(ASKED).await.unwrap()), 40);
    assert_refused(&ana_at_site, "SELECT nonsuch FROM trade.orders WHERE note = 'canary-4712'", "NOT_FOUND").await;
    assert_refused(&ana_at_site, "DROP TABLE trade.orders", "STATEMENT").await;
    assert_refused(&ana_at_site, "SELECT 'canary-4712", "SYNTAX").await;
    assert_refused(&visitor, COUNT_ORDERS, "PURPOSE").await;
    let told = told_refusals(&ana_at_site).await;
    let admin = cluster.user_of_site("admin", "north").await;
    explained(&ana_at_site, &admin).await;

    let state = cluster.state_of("north");
    eventually(|| async {
        let faults = unpaired(&records(&state));
        if faults.is_empty() { Ok(()) } else { Err(faults.join("\n")) }
    })
    .await;
    let records = records(&state);
    let completed = completions(&records);
    // Of the policy each change, in the words of its author.
    let changes: Vec<_> = of_kind(&records, "change").iter().map(|change| change["author"].clone()).collect();
    assert_eq!(changes, ["admin"; 4]);
    // Literals are nowhere.
    let text = records.iter().map(Value::to_string).collect::<String>();
    for literal in ["1000004711", "'sent'", "canary-4712"] {
        assert!(!text.contains(literal), "the literal {literal} is in the record");
    }
    let of_ana = of_kind(&records, "intent").into_iter().filter(|intent| intent["asker"]["subject"] == "ana");
    let asked: Vec<_> = of_ana.filter(|intent| intent["tables"].to_string().contains("\"note\"")).collect();
    assert_eq!(asked.len(), 2, "{asked:#?}");
    for intent in asked {
        assert_eq!(intent["grants"], serde_json::json!(["orders"]));
        assert_eq!(intent["asker"]["purpose"], "care");
        assert_eq!(completed[&intent["seq"].as_u64().unwrap()]["rows"], 40);
        assert_eq!(completed[&intent["seq"].as_u64().unwrap()]["outcome"], "finished");
    }
    let refusals = of_kind(&records, "refusal");
    for code in ["NOT_FOUND", "STATEMENT", "SYNTAX", "PURPOSE"] {
        assert!(refusals.iter().any(|refusal| refusal["code"] == code), "{code}: {refusals:#?}");
    }
    for id in told {
        let of_id = refusals.iter().filter(|refusal| refusal["query"] == id.as_str()).count();
        assert_eq!(of_id, 1, "{id} is told, and recorded so: {refusals:#?}");
    }
    assert_explanations_are_recorded(&records);
    read_by(&cluster, &ana, &ana_at_site, &visitor).await;
    with_a_site_down(cluster).await;
}

/// The ids of what is refused, as a client is told them: planned, prepared, asked at once, and asked as an update.
async fn told_refusals(client: &Client) -> [String; 4] {
    let sql = "SELECT nonsuch FROM trade.orders".to_string();
    let token = format!("Bearer {}", client.flight().token().unwrap());
    let command = CommandStatementQuery { query: sql.clone(), transaction_id: None }.as_any().encode_to_vec();
    let prepare = ActionCreatePreparedStatementRequest { query: sql, transaction_id: None }.as_any().encode_to_vec();
    let mut client = client.flight();
    let flight = client.inner_mut();
    let info = flight.get_flight_info(bearing(&token, FlightDescriptor::new_cmd(command.clone()))).await.unwrap_err();
    let action = Action { r#type: "CreatePreparedStatement".to_string(), body: prepare.into() };
    let prepared = flight.do_action(bearing(&token, action)).await.unwrap_err();
    let asked = flight.do_get(bearing(&token, Ticket { ticket: command.into() })).await.unwrap_err();
    let update =
        CommandStatementUpdate { query: "SELECT 1".to_string(), transaction_id: None }.as_any().encode_to_vec();
    let update = FlightData::new().with_descriptor(FlightDescriptor::new_cmd(update));
    let updated = flight.do_put(bearing(&token, futures::stream::iter([update]))).await.unwrap_err();
    assert!(updated.message().starts_with("STATEMENT: "), "{updated:?}");
    [info, prepared, asked, updated].map(|refusal| {
        assert!(!refusal.message().starts_with("INTERNAL: "), "{refusal:?}");
        refusal.metadata().get("x-chancery-query-id").expect("an identity").to_str().unwrap().to_string()
    })
}

fn bearing<T>(token: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("authorization", token.parse().unwrap());
    request
}

/// Explanations and the policy itself are told, and no row.
async fn explained(ana: &Client, admin: &Client) {
    ana.query("EXPLAIN SELECT id FROM trade.orders").await.unwrap();
    ana.query("EXPLAIN POLICY SELECT id FROM trade.orders").await.unwrap();
    admin.query("EXPLAIN POLICY AS USER ana PURPOSE care SELECT id FROM trade.orders").await.unwrap();
    admin.query("SHOW GRANTS").await.unwrap();
}

fn assert_explanations_are_recorded(records: &[Value]) {
    let intents = of_kind(records, "intent");
    let of = |words: &str| intents.iter().find(|intent| intent["statement"].as_str().unwrap().starts_with(words));
    for (words, asker) in [
        ("EXPLAIN SELECT", "ana"),
        ("EXPLAIN POLICY SELECT", "ana"),
        ("EXPLAIN POLICY AS USER ana", "admin"),
        ("SHOW GRANTS", "admin"),
    ] {
        let intent = of(words).unwrap_or_else(|| panic!("{words} is not recorded: {intents:#?}"));
        assert_eq!(intent["asker"]["subject"], asker, "{words}");
        assert_eq!(intent["disclosures"], serde_json::json!([]), "{words}: no row left");
        let tables: Vec<_> = intent["tables"].as_array().unwrap().iter().map(|read| &read["only_explained"]).collect();
        let expected = if words == "SHOW GRANTS" { vec![] } else { vec![&Value::Bool(true)] };
        assert_eq!(tables, expected, "{words}");
    }
}

/// Who asks for the record of one site needs no other; who asks for all is told which one is missing.
async fn with_a_site_down(mut cluster: Cluster) {
    cluster.kill_site("south");
    // Kim has not asked before, so the coordinator knows of no site what she sees there.
    let kim = cluster.user("kim").await;
    let of_north = "SELECT count(*) >= 0 FROM system.audit.queries WHERE site = 'north'";
    assert_eq!(kim.value(of_north).await, "true");
    let all = refusal(&kim, "SELECT count(*) FROM system.audit.queries").await;
    assert!(all.starts_with("SITE_UNAVAILABLE: ") && all.contains("south"), "{all}");
}

/// The auditor reads everything, at the site and through the coordinator, and that is recorded; others their own.
async fn read_by(cluster: &Cluster, ana: &Client, ana_at_site: &Client, visitor: &Client) {
    let at_site = cluster.user_of_site("auditor", "north").await;
    let through = cluster.user("auditor").await;
    let queries = "SELECT site, query_id, subject, actor, outcome, rows FROM system.audit.queries \
                   WHERE subject IN ('ana', 'visitor') AND site = 'north'";
    let columns = ["site", "query_id", "subject", "actor", "outcome", "rows"];
    let told = table(&at_site, queries, &columns).await;
    assert_eq!(table(&through, queries, &columns).await, told);
    for (subject, outcome) in [
        ("ana", "finished"),
        ("ana", "refused: NOT_FOUND"),
        ("ana", "refused: SYNTAX"),
        ("visitor", "refused: PURPOSE"),
    ] {
        assert!(told.iter().any(|row| row[2] == subject && row[4] == outcome), "{subject}, {outcome}: {told:?}");
    }
    let forms = "SELECT DISTINCT \"column\", form, destination FROM system.audit.disclosures \
                 WHERE \"table\" = 'trade.orders' AND \"column\" IN ('id', 'note')";
    let columns = ["column", "form", "destination"];
    let told = table(&at_site, forms, &columns).await;
    assert_eq!(table(&through, forms, &columns).await, told);
    let expected = [
        ["id", "clear", "ana"],
        ["id", "clear", "ana through coordinator"],
        ["note", "replace_with_null", "ana"],
        ["note", "replace_with_null", "ana through coordinator"],
    ];
    assert_eq!(told, expected.map(|row| row.map(String::from).to_vec()));

    // To read the record is recorded.
    let own = "SELECT count(*) > 0 FROM system.audit.queries WHERE subject = 'auditor' AND tables LIKE '%system.audit.queries%'";
    eventually_value(&at_site, own, "true").await;
    eventually_value(&through, own, "true").await;

    // A subject sees their own statements and no others'.
    let own = |name: &str| format!("SELECT count(*) > 0 FROM system.audit.queries WHERE subject = '{name}'");
    let others =
        |name: &str| format!("SELECT count(*) FROM system.audit.queries WHERE subject <> '{name}' OR subject IS NULL");
    for (client, name) in [(ana, "ana"), (ana_at_site, "ana"), (visitor, "visitor")] {
        assert_eq!(client.value(&own(name)).await, "true", "{name}");
        assert_eq!(client.value(&others(name)).await, "0", "{name}");
        let disclosed = format!("SELECT count(*) FROM system.audit.disclosures WHERE subject <> '{name}'");
        assert_eq!(client.value(&disclosed).await, "0", "{name}");
    }
}

pub(super) fn audit(arguments: &[&str], state: &Path) -> Output {
    Command::new(chancery()).arg("audit").args(arguments).arg("--state").arg(state).output().unwrap()
}

pub(super) fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).trim().to_string()
}

/// A copy of a site's state, to be tampered with.
fn copied(state: &Path) -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let copied = Command::new("cp").arg("-r").arg(state).arg(directory.path()).status().unwrap();
    assert!(copied.success());
    let copy = directory.path().join(state.file_name().unwrap());
    (directory, copy)
}

/// The one segment of a log.
pub(super) fn segment(state: &Path) -> PathBuf {
    let files = fs::read_dir(state.join("audit")).unwrap().map(|file| file.unwrap().path());
    let mut segments: Vec<_> = files.filter(|file| file.extension().is_some_and(|one| one == "jsonl")).collect();
    assert_eq!(segments.len(), 1, "{segments:?}");
    segments.remove(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn a108_tampering_with_the_record_is_found() {
    let cluster = north(NORTH).await;
    let ana = cluster.user_of_site("ana", "north").await;
    for _ in 0..5 {
        assert_eq!(ana.value(COUNT_ORDERS).await, "200");
    }
    let state = cluster.state_of("north");
    // While the site runs and writes.
    let (_, verified) = tokio::join!(ana.query(ASKED), async { audit(&["verify"], &state) });
    assert!(verified.status.success() && told(&verified).starts_with("ok: "), "{verified:?}");
    tokio::time::sleep(Duration::from_millis(500)).await;
    let head = told(&audit(&["head"], &state)).replace(' ', ":");

    let (_directory, copy) = copied(&state);
    let segment = segment(&copy);
    let good = fs::read_to_string(&segment).unwrap();
    let lines: Vec<&str> = good.lines().collect();
    let all = lines.len();
    assert!(audit(&["verify", "--head", &head], &copy).status.success());

    let edited = good.replacen("\"subject\":\"ana\"", "\"subject\":\"eve\"", 1);
    let edited_at = 1 + lines.iter().position(|line| line.contains("\"subject\":\"ana\"")).unwrap();
    let mut swapped = lines.clone();
    swapped.swap(3, 4);
    let without: Vec<_> = lines.iter().enumerate().filter(|(index, _)| *index != 5).map(|(_, line)| *line).collect();
    for (what, text, first_bad) in [
        ("edited", edited, edited_at),
        ("swapped", swapped.join("\n") + "\n", 4),
        ("one left out", without.join("\n") + "\n", 6),
    ] {
        fs::write(&segment, text).unwrap();
        let verified = audit(&["verify"], &copy);
        assert_eq!(verified.status.code(), Some(1), "{what}");
        assert!(told(&verified).starts_with(&format!("BAD: record {first_bad} ")), "{what}: {}", told(&verified));
    }
    // A tail that was cut off at a record's end is found by the head that was kept, and by nothing else.
    fs::write(&segment, lines[..all - 2].join("\n") + "\n").unwrap();
    assert!(audit(&["verify"], &copy).status.success());
    let verified = audit(&["verify", "--head", &head], &copy);
    assert_eq!(verified.status.code(), Some(1));
    assert!(told(&verified).starts_with("BAD: "), "{}", told(&verified));
    // The live one is as it was.
    assert!(audit(&["verify", "--head", &head], &state).status.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a109_what_cannot_be_recorded_is_not_answered() {
    let options = Options {
        governance: Some(governed(&[("north", NORTH)], Written::AtTheDoor)),
        // A segment holds a record or two, so that the next statement needs a new file.
        site_limits: "audit_segment_bytes = 1024".to_string(),
        kept: KEPT,
        ..Options::default()
    };
    let data = data().await;
    let mut cluster = Cluster::start_with(&data, options).await;
    let clients = [cluster.user("ana").await, cluster.user_of_site("ana", "north").await];
    for client in &clients {
        eventually_value(client, COUNT_ORDERS, "200").await;
    }
    let directory = cluster.state_of("north").join("audit");
    let aside = directory.with_extension("aside");
    fs::rename(&directory, &aside).unwrap();
    // What still fits into the open segment may be answered; then nothing is.
    let mut recorded = 0;
    while let Ok(answer) = clients[1].query(ASKED).await {
        assert_eq!(rows(&answer), 40);
        recorded += 1;
        assert!(recorded < 5, "statements are answered and recorded nowhere");
    }
    for client in &clients {
        assert_refused(client, ASKED, "AUDIT").await;
        assert_refused(client, COUNT_ORDERS, "AUDIT").await;
    }
    assert_refused(&clients[1], "SELECT nonsuch FROM trade.orders", "AUDIT").await;
    // A change is not in force before it is recorded; what only takes rights away does not wait.
    let admin = cluster.user_of_site("admin", "north").await;
    assert_refused(&admin, "CREATE PURPOSE other", "AUDIT").await;
    let revoked = refusal(&admin, "REVOKE GRANT 'orders'").await;
    assert!(revoked.starts_with("AUDIT: the change is in force"), "{revoked}");

    // With the directory back the site serves again, at the latest when it is started again, and the chain is whole.
    fs::rename(&aside, &directory).unwrap();
    cluster.kill_site("north");
    cluster.restart_site("north");
    let ana = cluster.user_of_site("ana", "north").await;
    assert_refused(&ana, ASKED, "NOT_FOUND").await;
    let changes = records(&cluster.state_of("north"));
    let revoked =
        of_kind(&changes, "change").into_iter().filter(|change| change["statement"] == "REVOKE GRANT 'orders'");
    assert_eq!(revoked.count(), 1, "what was owed to the record is there: {changes:#?}");
    cluster
        .write_policy(
            "north",
            "CREATE PURPOSE other; GRANT SELECT ON TABLE trade.orders TO ROLE analyst FOR PURPOSE care",
        )
        .await;
    assert_eq!(rows(&ana.query(ASKED).await.unwrap()), 40);
    let verified = audit(&["verify"], &cluster.state_of("north"));
    assert!(verified.status.success(), "{}", told(&verified));
}
