//! Key sets under policy: they go by a `GRANT JOIN` and not without it; and what comes to a site's door under their name.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow_flight::Ticket;
use engine::key_set::message::{FragmentTicket, KeySetMessage, Payload};
use engine::key_set::{KeySet, KeysTo};
use engine::session::queries::QueryId;
use harness::cluster::{Client, Cluster, Governance, Options, Written};
use harness::dataset::Dataset;

use super::federation::{NORTH, eventually, governed, north, people, table};
use super::identity::{Impostor, ana};

const PATIENTS: i64 = 20_000;
/// 40 are watched, 5 of them for theft.
const WATCHED: i64 = 40;
const JOINED: &str =
    "SELECT w.flag, p.note FROM police.registry.watch w JOIN health.registry.patient p ON p.pid = w.pid";
/// Its keys are of a column that may go, and are chosen by a table of which none may.
const CHOSEN: &str = "SELECT w.flag, p.note FROM police.registry.watch w JOIN health.registry.patient p ON p.pid = w.pid \
                      WHERE w.pid IN (SELECT pid FROM police.registry.banned)";
/// What police grants in any case: neither of the two JOINs is for health and for this purpose.
const POLICE: &str = "CREATE PURPOSE care; CREATE PURPOSE audit_work;
    GRANT SELECT ON TABLE registry.watch TO ROLE analyst FOR PURPOSE care WITH (id = 'watch');
    GRANT SELECT ON TABLE registry.banned TO ROLE analyst FOR PURPOSE care WITH (id = 'banned');
    GRANT JOIN ON TABLE registry.watch (pid) WITH SITE revenue FOR PURPOSE care MIN SET 1 WITH (id = 'elsewhere');
    GRANT JOIN ON TABLE registry.watch (pid) WITH SITE health FOR PURPOSE audit_work MIN SET 1 WITH (id = 'not-for-care');
    GRANT JOIN ON TABLE registry.watch (flag) WITH SITE health FOR PURPOSE care MIN SET 1 WITH (id = 'flags');";
const HEALTH: &str = "CREATE PURPOSE care;
    GRANT SELECT ON TABLE registry.patient TO ROLE analyst FOR PURPOSE care WITH (id = 'patients');";
const LEAVE: &str =
    "GRANT JOIN ON TABLE registry.watch (pid) WITH SITE health FOR PURPOSE care MIN SET 20 WITH (id = 'keys')";

fn data() -> Dataset {
    let mut data = Dataset::temporary().unwrap();
    let numbers = |numbers: Vec<i64>| Arc::new(Int64Array::from(numbers)) as ArrayRef;
    let texts = |texts: Vec<String>| Arc::new(StringArray::from(texts)) as ArrayRef;
    let flag = |n: i64| if n % 8 == 0 { "theft" } else { "fraud" }.to_string();
    let watch = RecordBatch::try_from_iter([
        ("pid", numbers((0..WATCHED).map(|n| n * 101).collect())),
        ("flag", texts((0..WATCHED).map(flag).collect())),
    ]);
    let patient = RecordBatch::try_from_iter([
        ("pid", numbers((0..PATIENTS).collect())),
        ("note", texts((0..PATIENTS).map(|n| format!("seen on ward {}", n % 7)).collect())),
    ]);
    let banned = RecordBatch::try_from_iter([("pid", numbers((0..WATCHED / 2).map(|n| n * 101).collect()))]);
    let tables = [
        ("police", "watch", watch.unwrap()),
        ("police", "banned", banned.unwrap()),
        ("health", "patient", patient.unwrap()),
    ];
    for (site, name, rows) in tables {
        data.add([site, "registry", name], &rows.schema(), &[rows]).unwrap();
    }
    data
}

/// The last statement's rows from health, and the key sets that health was sent.
async fn sent_to_health(client: &Client, sql: &str) -> (String, String) {
    client.query(sql).await.unwrap();
    let ledger = "SELECT CAST(rows AS VARCHAR) AS rows, coalesce(key_sets, 'none') AS key_sets FROM system.queries.ledger \
                  WHERE site = 'health' AND query_id = \
                  (SELECT query_id FROM system.queries.recent ORDER BY started_at DESC LIMIT 1)";
    let told = table(client, ledger, &["rows", "key_sets"]).await;
    (told[0][0].clone(), told[0][1].clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_go_by_a_grant_join_and_not_without_it() {
    let data = data();
    let governance = governed(&[("police", POLICE), ("health", HEALTH)], Written::AtTheDoor);
    let governance = Governance { users: people(), canaries: vec![], ..governance };
    let cluster = Cluster::start_with(&data, Options { governance: Some(governance), ..Options::default() }).await;
    let ana = cluster.user("ana").await;
    let all = (PATIENTS.to_string(), "none".to_string());
    let becomes = async |sql: &str, expected: &dyn Fn(&(String, String)) -> bool| {
        eventually(|| async {
            let seen = sent_to_health(&ana, sql).await;
            if expected(&seen) { Ok(()) } else { Err(format!("{sql}: {seen:?}")) }
        })
        .await;
    };
    let count = format!("SELECT count(*) FROM ({JOINED})");
    eventually(|| async { ana.query(&count).await.map(drop) }).await;

    // Not for another destination, another purpose or another column.
    assert_eq!(sent_to_health(&ana, JOINED).await, all);
    let explained = ana.query(&format!("EXPLAIN {JOINED}")).await.unwrap();
    let explained = arrow::util::pretty::pretty_format_batches(&explained.batches).unwrap().to_string();
    assert!(explained.contains("no GRANT JOIN of police.registry.watch.pid with site health"), "{explained}");

    // With leave: 40 keys go, and 40 rows come.
    let admin = cluster.user_of_site("admin", "police").await;
    admin.query(LEAVE).await.unwrap();
    becomes(JOINED, &|(rows, sets)| {
        rows == "40" && sets.starts_with("key set 1 (40 keys of police.registry.watch.pid, ")
    })
    .await;
    assert_eq!(ana.value(&count).await, "40");

    // Chosen by another table of the same site, of which no column may go: nothing goes.
    assert_eq!(sent_to_health(&ana, CHOSEN).await, all);
    let explained = ana.query(&format!("EXPLAIN {CHOSEN}")).await.unwrap();
    let explained = arrow::util::pretty::pretty_format_batches(&explained.batches).unwrap().to_string();
    assert!(explained.contains("no GRANT JOIN of police.registry.banned"), "{explained}");
    assert_eq!(ana.value(&format!("SELECT count(*) FROM ({CHOSEN})")).await, "20");

    // Too few: nothing goes, and the answer is the same.
    let theft = format!("{JOINED} WHERE w.flag = 'theft'");
    assert_eq!(sent_to_health(&ana, &theft).await, all);
    assert_eq!(ana.value(&format!("SELECT count(*) FROM ({theft})")).await, "5");

    // Health's record says how many keys of which column came, and no key.
    let auditor = cluster.user("auditor").await;
    let recorded = "SELECT DISTINCT key_sets FROM system.audit.queries WHERE key_sets <> ''";
    assert_eq!(table(&auditor, recorded, &["key_sets"]).await, [["40 keys of police.registry.watch.pid"]]);

    // And that of police says where they went, beside to whom.
    let disclosed =
        "SELECT DISTINCT destination FROM system.audit.disclosures WHERE site = 'police' AND \"column\" = 'pid'";
    let disclosed = table(&auditor, disclosed, &["destination"]).await;
    assert_eq!(disclosed, [["ana through coordinator"], ["site health"]]);

    // Revoked, it counts at once: the fragment's version is another.
    admin.query("REVOKE GRANT 'keys'").await.unwrap();
    assert_eq!(sent_to_health(&ana, JOINED).await.1, "none");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_whose_keys_may_go_on_no_more_ends() {
    let cluster = north(NORTH).await;
    let admin = cluster.user_of_site("admin", "north").await;
    let leave = "GRANT JOIN ON TABLE trade.orders (id) WITH SITE south FOR PURPOSE care MIN SET 1 WITH (id = 'keys')";
    admin.query(leave).await.unwrap();
    let impostor = Impostor::connect(&cluster).await;
    // More than lies in buffers.
    let sql = "SELECT a.id FROM trade.orders a, trade.orders b, trade.orders c, trade.orders d";
    let query = QueryId::random();
    let delegation = impostor.sign(&ana(), ("north", &query, 1), sql);
    let keys_to = KeysTo { table: "trade.orders".into(), column: "id".into(), site: "south".into() };
    let mut answer = impostor.stream(sql, (&query, 1), &delegation, &[keys_to]).await;
    while answer.message().await.unwrap().expect("a message").data_body.is_empty() {}
    admin.query("REVOKE GRANT 'keys'").await.unwrap();
    let error = loop {
        match answer.message().await {
            Ok(message) => assert!(message.is_some(), "it ended as if it were whole"),
            Err(error) => break error,
        }
    };
    assert!(error.message().starts_with("REVOKED: "), "{error:?}");
}

fn ticket(sql: &str, key_sets: Vec<KeySetMessage>) -> Vec<u8> {
    FragmentTicket::new(sql.to_string(), key_sets).unwrap().encode_ticket()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_key_set_is_refused_at_the_door() {
    let cluster = north(NORTH).await;
    let sql = r#"SELECT o.id FROM north.trade.orders o LEFT SEMI JOIN "system"."key_sets"."1" k ON o.id = k.k"#;
    let good = KeySetMessage::of(&KeySet::new(1, "a.b.c.d", Arc::new(Int64Array::from(vec![3, 5, 7])))).unwrap();
    let changed = |change: &dyn Fn(&mut KeySetMessage)| {
        let mut message = good.clone();
        change(&mut message);
        vec![message]
    };
    let hostile = [
        ("not sent", vec![], "NOT_FOUND"),
        ("another number", changed(&|set| set.id = 2), "NOT_FOUND"),
        ("more keys than bytes", changed(&|set| set.count = 1_000_000), "UNSUPPORTED"),
        ("more keys than the limit", changed(&|set| set.count = u64::MAX), "COMPLEXITY"),
        ("no payload", changed(&|set| set.payload = None), "UNSUPPORTED"),
        ("noise", changed(&|set| set.payload = Some(Payload::Rice(vec![0xA5; 64]))), "UNSUPPORTED"),
        ("noise for Arrow", changed(&|set| set.payload = Some(Payload::Arrow(vec![0xFF; 64]))), "UNSUPPORTED"),
        ("beyond the limit", changed(&|set| set.payload = Some(Payload::Rice(vec![0; 17 << 20]))), "COMPLEXITY"),
        ("texts", changed(&|set| set.data_type = "Utf8".into()), "UNSUPPORTED"),
        ("floats", changed(&|set| set.data_type = "Float64".into()), "UNSUPPORTED"),
        ("no type", changed(&|set| set.data_type = "List(".into()), "UNSUPPORTED"),
        ("a nested type", changed(&|set| set.data_type = "List(".repeat(1 << 20)), "COMPLEXITY"),
        ("a long name", changed(&|set| set.column = "c".repeat(1 << 20)), "COMPLEXITY"),
    ];
    let impostor = Impostor::connect(&cluster).await;
    let ask = async |sql: &str, key_sets: Vec<KeySetMessage>| {
        let query = QueryId::random();
        let delegation = impostor.sign(&ana(), ("north", &query, 0), sql);
        impostor.redeem(ticket(sql, key_sets), (&query, 0), Some(&delegation)).await
    };
    for (what, key_sets, code) in hostile {
        let outcome = ask(sql, key_sets).await;
        assert_eq!(outcome.data, 0, "{what}: data left the site");
        assert_eq!(outcome.code(), Some(code.to_string()), "{what}");
    }
    let outcome = ask(sql, vec![good.clone()]).await;
    assert!(outcome.data > 0 && outcome.code().is_none(), "{outcome:?}");

    // Users bind parameters; key sets are between nodes.
    let user = cluster.user_of_site("ana", "north").await;
    let of_user = user.flight().do_get(Ticket { ticket: ticket(sql, vec![good]).into() }).await;
    assert!(of_user.is_err(), "a user's key set is taken");
}
