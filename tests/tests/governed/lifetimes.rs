//! For what and for how long something may be asked: purposes, grants that begin and end, revocation, limits per day.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures::StreamExt;
use harness::cluster::client::told;
use harness::cluster::{Client, Cluster};

use super::{COUNT_ORDERS, LARGE, LARGE_ROWS, NORTH, assert_refused, eventually, eventually_refused, eventually_value};
use super::{north, now_s, refusal, rows, streams, table, written};

/// Between the end of a right and the end of a stream under it.
const ENDS_WITHIN: Duration = Duration::from_secs(2);
/// What has left in time may be this long on its way to a reader on a busy machine.
const ARRIVES_WITHIN: Duration = Duration::from_secs(8);

#[tokio::test(flavor = "multi_thread")]
async fn a90_a_purpose_is_held_known_granted_and_exact() {
    let cluster = north(NORTH).await;
    let admin = cluster.user_of_site("admin", "north").await;
    admin
        .query("GRANT SELECT ON TABLE trade.items TO ROLE analyst FOR PURPOSE ward WITH (id = 'items')")
        .await
        .unwrap();
    let count_items = "SELECT count(*) FROM north.trade.items";
    for place in [None, Some("north")] {
        let user = async |name: &str| match place {
            None => cluster.user(name).await,
            Some(site) => cluster.user_of_site(name, site).await,
        };
        // Absent, and another case than the one that is granted.
        assert_refused(&user("kim").await, COUNT_ORDERS, "PURPOSE").await;
        assert_refused(&user("bea").await, COUNT_ORDERS, "PURPOSE").await;

        let ana = user("ana").await;
        eventually_value(&ana, COUNT_ORDERS, "200").await;
        assert_refused(&ana, "SET purpose = 'Care'", "PURPOSE").await;
        assert_refused(&ana, "SET purpose = 'nonsuch'", "PURPOSE").await;
        // The parent of the granted one does not confer it; the child of the granted one is a part of it.
        let error = refusal(&ana, count_items).await;
        assert_eq!(error, refusal(&ana, "SELECT count(*) FROM north.trade.nonsuch").await.replace("nonsuch", "items"));
        ana.query("SET purpose = 'ward'").await.unwrap();
        eventually_value(&ana, count_items, "40").await;
        eventually_value(&ana, COUNT_ORDERS, "200").await;
        // Held, and unknown at the site.
        ana.query("SET purpose = 'audit_work'").await.unwrap();
        assert_refused(&ana, COUNT_ORDERS, "PURPOSE").await;
        ana.query("RESET purpose").await.unwrap();
        eventually_value(&ana, COUNT_ORDERS, "200").await;

        let of_call = |purpose: &str| {
            let mut flight = ana.flight();
            flight.set_header("x-chancery-purpose", purpose);
            Client::of(flight)
        };
        eventually_value(&of_call("ward"), count_items, "40").await;
        for wrong in ["audit_work", "WARD", "nonsuch", "ward "] {
            assert!(refusal(&of_call(wrong), count_items).await.starts_with("PURPOSE: "), "{wrong}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a83_a_prepared_statement_is_decided_anew_each_time() {
    let cluster = north(NORTH).await;
    let admin = cluster.user_of_site("admin", "north").await;
    let sql = "SELECT id, note FROM north.trade.orders";
    for client in [cluster.user("ana").await, cluster.user_of_site("ana", "north").await] {
        eventually_value(&client, COUNT_ORDERS, "200").await;
        let mut prepared = client.flight().prepare(sql.to_string(), None).await.unwrap();
        let ticket = client.info(sql).await.unwrap();
        let info = prepared.execute().await.unwrap();
        assert_eq!(rows(&client.fetch(info).await.unwrap()), 200);

        // Narrowed: the next execution shows less.
        let narrow = "CREATE POLICY few ON TABLE trade.orders ROW FILTER (id <= 10) TO ROLE analyst";
        admin.query(narrow).await.unwrap();
        eventually_value(&client, COUNT_ORDERS, "10").await;
        let info = prepared.execute().await.unwrap();
        assert_eq!(rows(&client.fetch(info).await.unwrap()), 10);
        admin.query("DROP POLICY few").await.unwrap();
        eventually_value(&client, COUNT_ORDERS, "200").await;

        // Another purpose: none of the grants is for it.
        client.query("SET purpose = 'audit_work'").await.unwrap();
        let error = executed(&client, &mut prepared).await.unwrap_err();
        assert!(error.starts_with("PURPOSE: "), "{error}");
        client.query("RESET purpose").await.unwrap();
        assert_eq!(executed(&client, &mut prepared).await, Ok(200));

        // Revoked: neither what was prepared nor what was planned is worth anything.
        admin.query("REVOKE GRANT 'orders'").await.unwrap();
        let error = executed(&client, &mut prepared).await.unwrap_err();
        assert!(error.starts_with("NOT_FOUND: ") || error.starts_with("STALE: "), "{error}");
        let error = client.fetch(ticket).await.map(|answer| rows(&answer)).unwrap_err();
        assert!(error.starts_with("NOT_FOUND: ") || error.starts_with("STALE: "), "{error}");
        admin
            .query("GRANT SELECT ON TABLE trade.orders TO ROLE analyst FOR PURPOSE care WITH (id = 'orders')")
            .await
            .unwrap();
        eventually_value(&client, COUNT_ORDERS, "200").await;
    }
}

type Prepared = arrow_flight::sql::client::PreparedStatement<tonic::transport::Channel>;

async fn executed(client: &Client, prepared: &mut Prepared) -> Result<usize, String> {
    let info = prepared.execute().await.map_err(|error| told(&error))?;
    client.fetch(info).await.map(|answer| rows(&answer))
}

/// How the right to a running stream ends.
#[derive(Debug, Clone, Copy)]
enum End {
    Revoked,
    Expired,
}

#[tokio::test(flavor = "multi_thread")]
async fn a91_a_running_stream_ends_with_its_grant() {
    let cluster = streams().await;
    for through_coordinator in [true, false] {
        for end in [End::Revoked, End::Expired] {
            for stalled in [false, true] {
                stream_ends(&cluster, through_coordinator, end, stalled).await;
            }
        }
    }
}

/// Reads a stream as fast as it comes or not at all, lets the right end, and looks at what arrives and at what the site recorded.
async fn stream_ends(cluster: &Cluster, through_coordinator: bool, end: End, stalled: bool) {
    let case = format!("through coordinator: {through_coordinator}, {end:?}, stalled: {stalled}");
    let admin = cluster.user_of_site("admin", "logistics").await;
    let ends_at = now_s() + 6;
    let grant = "GRANT SELECT ON TABLE tpch.lineitem TO ROLE analyst FOR PURPOSE care";
    let validity = match end {
        End::Revoked => String::new(),
        End::Expired => format!(" VALID TO '{}'", written(ends_at)),
    };
    // The one of the last round may be there still, or of the beginning.
    let _ = admin.query("REVOKE GRANT 'lines'").await;
    admin.query(&format!("{grant}{validity} WITH (id = 'lines')")).await.unwrap();
    let client = match through_coordinator {
        true => cluster.user("ana").await,
        false => cluster.user_of_site("ana", "logistics").await,
    };
    eventually_value(&client, "SELECT l_linenumber FROM logistics.tpch.lineitem LIMIT 1", "1").await;

    let info = client.info(LARGE).await.unwrap();
    let ticket = info.endpoint[0].ticket.clone().unwrap();
    let mut stream = client.flight().do_get(ticket).await.unwrap();
    let query = stream.headers().get("x-chancery-query-id").expect("an identity").to_str().unwrap().to_string();
    let mut arrived = stream.next().await.unwrap().unwrap().num_rows();
    let over = match end {
        End::Revoked => {
            admin.query("REVOKE GRANT 'lines'").await.unwrap();
            SystemTime::now()
        }
        End::Expired => UNIX_EPOCH + Duration::from_secs(ends_at),
    };
    if stalled {
        tokio::time::sleep((over + ENDS_WITHIN).duration_since(SystemTime::now()).unwrap_or_default()).await;
    }
    let error = loop {
        match stream.next().await {
            // What had left before lies in buffers still.
            Some(Ok(batch)) => {
                assert!(stalled || SystemTime::now() < over + ARRIVES_WITHIN, "{case}: rows arrive still");
                arrived += batch.num_rows();
            }
            Some(Err(error)) => break told(&error),
            None => panic!("{case}: the stream ended as if it were whole, with {arrived} rows"),
        }
    };
    let (code, outcome) = match end {
        End::Revoked => ("REVOKED: ", "revoked"),
        End::Expired => ("EXPIRED: ", "expired"),
    };
    assert!(error.starts_with(code), "{case}: {error}");
    assert!(arrived < LARGE_ROWS, "{case}: everything had left");

    // The record says when the last row left, and how many did: no fewer than arrived, and not all.
    let auditor = cluster.user_of_site("auditor", "logistics").await;
    let recorded = format!(
        "SELECT rows, arrow_cast(ended_at, 'Int64') AS ended_ms FROM system.audit.queries WHERE outcome = '{outcome}' AND query_id = '{query}'"
    );
    eventually(|| async {
        match auditor.query(&recorded).await {
            Ok(answer) if rows(&answer) == 1 => Ok(()),
            other => Err(format!("{case}: {recorded}: {:?}", other.map(|answer| rows(&answer)))),
        }
    })
    .await;
    let told = table(&auditor, &recorded, &["rows", "ended_ms"]).await.concat();
    let ended = UNIX_EPOCH + Duration::from_millis(told[1].parse().unwrap());
    // Of a stalled stream the end is noted when its reader asks for more, and is told that there is none.
    assert!(stalled || ended <= over + ENDS_WITHIN, "{case}: it ended {:?} late", ended.duration_since(over));
    let left: usize = told[0].parse().unwrap();
    assert!((arrived..LARGE_ROWS).contains(&left), "{case}: {arrived} rows arrived and {left} left");
    eventually_refused(&client, LARGE, "NOT_FOUND").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grant_begins_ends_and_is_used_up() {
    let mut cluster = north("CREATE PURPOSE care; CREATE PURPOSE ward UNDER care").await;
    let admin = cluster.user_of_site("admin", "north").await;
    let ana = cluster.user("ana").await;
    let grant = async |more: &str| {
        let statement =
            format!("GRANT SELECT ON TABLE trade.orders TO ROLE analyst FOR PURPOSE care {more} WITH (id = 'g')");
        admin.query(&statement).await.unwrap();
    };
    // A92: not before its time, and not after.
    let begins = now_s() + 3;
    grant(&format!("VALID FROM '{}'", written(begins))).await;
    while now_s() < begins {
        assert_refused(&ana, COUNT_ORDERS, "NOT_FOUND").await;
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    eventually_value(&ana, COUNT_ORDERS, "200").await;
    admin.query("REVOKE GRANT 'g'").await.unwrap();
    grant("VALID TO '2001-12-31'").await;
    eventually_refused(&ana, COUNT_ORDERS, "NOT_FOUND").await;
    admin.query("REVOKE GRANT 'g'").await.unwrap();

    // 200 rows of 450 leave, and 200 again; a third time they would be too many, at whichever door.
    admin
        .query("GRANT SELECT ON TABLE trade.orders TO ROLE analyst FOR PURPOSE care LIMIT ROWS 450 PER DAY WITH (id = 'few')")
        .await
        .unwrap();
    let all = "SELECT id FROM north.trade.orders";
    eventually(|| async { ana.query("EXPLAIN SELECT id FROM north.trade.orders").await.map(drop) }).await;
    assert_eq!(rows(&ana.query(all).await.unwrap()), 200);
    let at_site = cluster.user_of_site("ana", "north").await;
    assert_eq!(rows(&at_site.query(all).await.unwrap()), 200);
    assert_refused(&at_site, all, "CAP").await;
    assert_refused(&ana, all, "CAP").await;
    assert_eq!(rows(&ana.query("SELECT id FROM north.trade.orders WHERE id <= 20").await.unwrap()), 20);

    // Bytes are those of the values that leave: 8 for each id, whatever the table holds beside them.
    admin.query("REVOKE GRANT 'few'").await.unwrap();
    admin
        .query("GRANT SELECT ON TABLE trade.orders TO ROLE analyst FOR PURPOSE care LIMIT BYTES 3500 PER DAY WITH (id = 'few')")
        .await
        .unwrap();
    eventually(|| async { at_site.query("SELECT id FROM north.trade.orders WHERE id = 1").await.map(drop) }).await;
    assert_refused(&at_site, all, "CAP").await;

    // What was used is remembered over a restart.
    tokio::time::sleep(Duration::from_millis(1500)).await;
    cluster.kill_site("north");
    cluster.restart_site("north");
    let at_site = cluster.user_of_site("ana", "north").await;
    assert_refused(&at_site, all, "CAP").await;
    eventually_refused(&ana, all, "CAP").await;
}
