//! For what and for how long something may be asked: purposes, grants that begin and end, revocation, limits per day.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use arrow_flight::decode::FlightRecordBatchStream;
use futures::{StreamExt, stream};
use harness::cluster::client::told;
use harness::cluster::{Client, Cluster, Person, Written};

use super::federation::{COUNT_ORDERS, LARGE, LARGE_ROWS, LOGISTICS, NORTH};
use super::federation::{
    assert_refused, eventually, eventually_refused, eventually_value, governed, north, now_s, refusal, rows,
};
use super::federation::{server_rests, streams_under, table, written};

/// Between the end of a right and the end of a stream under it.
const ENDS_WITHIN: Duration = Duration::from_secs(2);
/// What has left in time may be this long on its way to a reader on a busy machine.
const ARRIVES_WITHIN: Duration = Duration::from_secs(8);
/// Time enough for all streams to begin before a right expires.
const EXPIRES_AFTER_S: u64 = 15;

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

        let of_call = |purpose: &str| ana.clone().with_header("x-chancery-purpose", purpose);
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

/// One stream whose right ends while it runs.
#[derive(Debug, Clone, Copy)]
struct Case {
    through_coordinator: bool,
    end: End,
    stalled: bool,
}

impl Case {
    fn all() -> impl Iterator<Item = Self> {
        let ends = [End::Revoked, End::Expired].into_iter();
        let readers = ends.flat_map(|end| [false, true].map(|stalled| (end, stalled)));
        readers.flat_map(|(end, stalled)| {
            [true, false].map(|through_coordinator| Self { through_coordinator, end, stalled })
        })
    }

    /// Who reads it, under a grant of the same name: the end of one is none of the others.
    fn reader(self) -> String {
        let reads = if self.stalled { "stalled" } else { "fast" };
        let door = if self.through_coordinator { "coordinator" } else { "site" };
        format!("{:?}_{reads}_{door}", self.end).to_lowercase()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a91_a_running_stream_ends_with_its_grant() {
    let readers = Case::all().map(|case| Person::new(&case.reader(), "reader").holding("care"));
    let mut governance = governed(&[("logistics", LOGISTICS)], Written::AtTheDoor);
    governance.users.extend(readers);
    let cluster = streams_under(governance).await;
    stream::iter(Case::all()).for_each_concurrent(AT_ONCE, |case| stream_ends(&cluster, case)).await;
    server_rests(&cluster).await;
}

/// Streams at once: a database server is asked for so many by default, and the next one is told after a while that it is BUSY.
const AT_ONCE: usize = 4;

/// Reads a stream as fast as it comes or not at all, lets the right end, and looks at what arrives and at what the site recorded.
async fn stream_ends(cluster: &Cluster, case: Case) {
    let Case { through_coordinator, end, stalled } = case;
    let reader = case.reader();
    let admin = cluster.user_of_site("admin", "logistics").await;
    let ends_at = now_s() + EXPIRES_AFTER_S;
    let grant = format!("GRANT SELECT ON TABLE tpch.lineitem TO USER {reader} FOR PURPOSE care");
    let validity = match end {
        End::Revoked => String::new(),
        End::Expired => format!(" VALID TO '{}'", written(ends_at)),
    };
    admin.query(&format!("{grant}{validity} WITH (id = '{reader}')")).await.unwrap();
    let client = match through_coordinator {
        true => cluster.user(&reader).await,
        false => cluster.user_of_site(&reader, "logistics").await,
    };
    eventually_value(&client, "SELECT l_linenumber FROM logistics.tpch.lineitem LIMIT 1", "1").await;

    let info = client.info(LARGE).await.unwrap();
    let ticket = info.endpoint[0].ticket.clone().unwrap();
    let mut stream = client.flight().do_get(ticket).await.unwrap();
    let query = stream.headers().get("x-chancery-query-id").expect("an identity").to_str().unwrap().to_string();
    let mut arrived = stream.next().await.unwrap().unwrap().num_rows();
    let over = match end {
        End::Revoked => {
            admin.query(&format!("REVOKE GRANT '{reader}'")).await.unwrap();
            SystemTime::now()
        }
        End::Expired => UNIX_EPOCH + Duration::from_secs(ends_at),
    };
    if !stalled {
        // Read from the beginning, everything would have left in time.
        wait_until(over - Duration::from_secs(1)).await;
        let (rows, error) = read_to_its_error(&mut stream, over + ARRIVES_WITHIN, case).await;
        arrived += rows;
        assert_ended_by(&error, case);
    }

    // The record says when the last row left, and how many did: no fewer than arrived, and not all.
    let left = recorded_end(cluster, &query, over, case).await;
    if stalled {
        // Nobody had asked for more when the end was recorded. Who asks now finds what had left before, and the end.
        let (rows, error) = read_to_its_error(&mut stream, SystemTime::now() + ARRIVES_WITHIN, case).await;
        arrived += rows;
        assert_ended_by(&error, case);
    }
    assert!((arrived..LARGE_ROWS).contains(&left), "{case:?}: {arrived} rows arrived and {left} left");
    eventually_refused(&client, LARGE, "NOT_FOUND").await;
}

async fn wait_until(time: SystemTime) {
    tokio::time::sleep(time.duration_since(SystemTime::now()).unwrap_or_default()).await;
}

/// How many rows arrive, all of them before `until`, and the error after them.
async fn read_to_its_error(stream: &mut FlightRecordBatchStream, until: SystemTime, case: Case) -> (usize, String) {
    let mut arrived = 0;
    loop {
        match stream.next().await {
            // What had left before lies in buffers still.
            Some(Ok(batch)) => {
                assert!(SystemTime::now() < until, "{case:?}: rows arrive still");
                arrived += batch.num_rows();
            }
            Some(Err(error)) => return (arrived, told(&error)),
            None => panic!("{case:?}: the stream ended as if it were whole, with {arrived} rows"),
        }
    }
}

fn assert_ended_by(error: &str, case: Case) {
    let code = match case.end {
        End::Revoked => "REVOKED: ",
        End::Expired => "EXPIRED: ",
    };
    assert!(error.starts_with(code), "{case:?}: {error}");
}

/// How many rows left by the site's record, which says that the last one did in time.
async fn recorded_end(cluster: &Cluster, query: &str, over: SystemTime, case: Case) -> usize {
    let outcome = match case.end {
        End::Revoked => "revoked",
        End::Expired => "expired",
    };
    let auditor = cluster.user_of_site("auditor", "logistics").await;
    let recorded = format!(
        "SELECT rows, arrow_cast(ended_at, 'Int64') AS ended_ms FROM system.audit.queries WHERE outcome = '{outcome}' AND query_id = '{query}'"
    );
    wait_until(over).await;
    eventually(|| async {
        match auditor.query(&recorded).await {
            Ok(answer) if rows(&answer) == 1 => Ok(()),
            other => Err(format!("{case:?}: {recorded}: {:?}", other.map(|answer| rows(&answer)))),
        }
    })
    .await;
    let told = table(&auditor, &recorded, &["rows", "ended_ms"]).await.concat();
    let ended = UNIX_EPOCH + Duration::from_millis(told[1].parse().unwrap());
    assert!(ended <= over + ENDS_WITHIN, "{case:?}: it ended {:?} late", ended.duration_since(over));
    told[0].parse().unwrap()
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
