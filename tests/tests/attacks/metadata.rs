//! What is told about data, and what crosses from site to site: A50, A64–A68, A77.

use arrow_flight::sql::{
    Any, CommandGetCatalogs, CommandGetDbSchemas, CommandGetTables, CommandStatementSubstraitPlan, ProstMessageExt,
    SubstraitPlan,
};
use datafusion::config::ConfigOptions;

use super::Expected::{Alike, As, Refused, Shown};
use super::{Attacks, COORDINATOR, Row, named, rows};

const METADATA: &[Row] = &[
    ("A64", "u3", Alike, "SELECT * FROM information_schema.tables"),
    ("A64", "u3", Alike, "SELECT * FROM information_schema.columns"),
    ("A64", "u3", Alike, "SHOW TABLES"),
    ("A64", "u1", Alike, "SHOW COLUMNS FROM PATIENT"),
    ("A64", "u1", Alike, "SHOW ALL"),
    ("A64", "u1", Alike, "SELECT * FROM information_schema.columns ORDER BY 1, 2, 3, 4"),
    ("A64", "u1", Alike, "SELECT * FROM information_schema.df_settings"),
    ("A64", "u3", Refused("STATEMENT"), "DESCRIBE PATIENT"),
    ("A65", "u1", Refused("NOT_FOUND"), "SELECT nam FROM PATIENT"),
    ("A65", "u1", Refused("NOT_FOUND"), "SELECT x.name FROM PATIENT y"),
    ("A65", "u1", Alike, "SELECT uppr(name) FROM PATIENT"),
    ("A65", "u1", Refused("SYNTAX"), "SELEC name FROM PATIENT"),
    ("A65", "u1", Alike, "SELECT name + 1, name FROM PATIENT GROUP BY note"),
    ("A77", "u1", Refused("FUNCTION"), "SELECT input_file_name() FROM PATIENT"),
    ("A77", "u1", Refused("FUNCTION"), "SELECT file_row_index() FROM PATIENT"),
    ("A77", "u1", Refused("FUNCTION"), "SELECT version() FROM PATIENT LIMIT 1"),
    ("A77", "u1", Refused("FUNCTION"), "SELECT arrow_metadata(name) FROM PATIENT LIMIT 1"),
    ("A77", "u1", Refused("FUNCTION"), "SELECT note FROM PATIENT WHERE input_file_name() LIKE '%'"),
    ("A77", "u1", Refused("FUNCTION"), "SELECT note FROM PATIENT ORDER BY file_row_index() LIMIT 3"),
    ("A77", "u1", Shown, "SELECT count(*) FROM PATIENT WHERE now() > TIMESTAMP '2020-01-01'"),
    ("A77", "u1", Shown, "SELECT note FROM PATIENT WHERE dob < current_date ORDER BY now(), dob LIMIT 3"),
    ("A77", "u1", Shown, "SELECT count(*) FROM PATIENT GROUP BY now() > TIMESTAMP '2200-01-01'"),
];

/// A50: joins of what police watches with what health knows. No key may go to health.
const ACROSS: &[Row] = &[
    ("A50", "u1", Shown, "SELECT w.flag, p.note, p.name FROM WATCH w JOIN PATIENT p ON w.pid = p.pid"),
    ("A50", "u1", Shown, "SELECT w.flag, p.note FROM PATIENT p JOIN WATCH w ON w.pid = p.pid"),
    ("A50", "u1", Shown, "SELECT w.flag, p.note FROM WATCH w LEFT JOIN PATIENT p ON w.pid = p.pid"),
    ("A50", "u1", Shown, "SELECT count(*), count(w.flag) FROM WATCH w RIGHT JOIN PATIENT p ON w.pid = p.pid"),
    ("A50", "u1", Shown, "SELECT count(*), count(w.flag) FROM WATCH w FULL JOIN PATIENT p ON w.pid = p.pid"),
    ("A50", "u1", Shown, "SELECT note FROM PATIENT WHERE pid IN (SELECT pid FROM WATCH)"),
    ("A50", "u1", Shown, "SELECT count(*) FROM PATIENT WHERE pid NOT IN (SELECT pid FROM WATCH)"),
    ("A50", "u1", Shown, "SELECT note FROM PATIENT p WHERE EXISTS (SELECT 1 FROM WATCH w WHERE w.pid = p.pid)"),
    ("A50", "u1", Shown, "SELECT count(*) FROM PATIENT p WHERE NOT EXISTS (SELECT 1 FROM WATCH w WHERE w.pid = p.pid)"),
    ("A50", "u1", Shown, "SELECT p.note FROM WATCH w, PATIENT p WHERE w.pid = p.pid AND w.flag = 'fraud'"),
    ("A50", "u1", Shown, "SELECT w.flag, count(*) FROM WATCH w JOIN PATIENT p ON w.pid = p.pid GROUP BY w.flag"),
    ("A50", "u1", Alike, "SELECT p.note FROM PATIENT p WHERE p.pid = (SELECT min(pid) FROM WATCH)"),
    (
        "A50",
        "u1",
        Alike,
        "SELECT count(*) FROM PATIENT p WHERE p.pid BETWEEN (SELECT min(pid) FROM WATCH) AND (SELECT max(pid) FROM WATCH)",
    ),
    ("A50", "u1", Shown, "SELECT count(*) FROM PATIENT p WHERE length(p.note) < (SELECT count(*) FROM WATCH)"),
    ("A50", "u1", Alike, "SELECT p.note FROM WATCH w JOIN PATIENT p ON w.pid = p.pid ORDER BY p.dob LIMIT 3"),
    ("A50", "u1", As("SELECT 37"), "SELECT count(*) FROM WATCH"),
];

#[tokio::test(flavor = "multi_thread")]
async fn metadata_and_errors_tell_nothing_hidden() {
    let mut attacks = Attacks::begin().await;
    attacks.run(METADATA).await;
    attacks.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn no_watch_key_reaches_health() {
    let mut attacks = Attacks::alone().await;
    attacks.run(ACROSS).await;
    for world in 0..2 {
        let client = attacks.session(world, "u1", COORDINATOR).await.client;
        let keys = client.query(&named("SELECT pid FROM WATCH")).await.map(|answer| rows(&answer)).unwrap_or_default();
        attacks.check(keys.len() == 37, format!("A50: {} watch keys", keys.len()));
        let sql = "SELECT statement FROM system.queries.ledger WHERE site = 'health'";
        let sent = client.query(sql).await.map(|answer| rows(&answer)).unwrap_or_default();
        attacks.check(!sent.is_empty(), "A50: the ledger has no statement for health");
        for statement in sent {
            let key = keys.iter().find(|key| statement.contains(key.trim_matches('"')));
            attacks.check(key.is_none(), format!("A50: health was sent the key {key:?}: {statement}"));
            attacks
                .check(!statement.contains("1101051949"), format!("A50: health was sent an identifier: {statement}"));
            // The count of the watched, folded.
            attacks.check(!statement.contains("37"), format!("A50: health was sent a count: {statement}"));
        }
    }
    attacks.end();
}

/// A64: what is denied is told exactly like what does not exist.
#[tokio::test(flavor = "multi_thread")]
async fn denied_is_told_like_nonexistent() {
    let mut attacks = Attacks::begin().await;
    let tables = ["SELECT * FROM health.registry.{}", "SELECT count(*) FROM health.registry.{} AS t WHERE t.pid = '1'"];
    let more = ["SELECT 1 WHERE EXISTS (SELECT 1 FROM health.registry.{})"];
    let columns = ["SELECT {} FROM health.registry.patient", "SELECT p.{} FROM health.registry.patient p ORDER BY 1"];
    let columns_used = ["SELECT note FROM health.registry.patient WHERE {} = 'north'"];
    let of_tables = tables.iter().chain(&more).map(|sql| ("u3", *sql, ["patient", "mission"]));
    let of_columns = columns.iter().chain(&columns_used).map(|sql| ("u4", *sql, ["region", "qwxzvk"]));
    for (user, sql, [denied, missing]) in of_tables.chain(of_columns) {
        for door in ["health", COORDINATOR] {
            let what = format!("A64 {user} at {door}: {sql}");
            let mut told = vec![];
            for name in [denied, missing] {
                let capture = attacks.alike(&what, user, door, &sql.replace("{}", name)).await;
                told.push(capture.error().unwrap_or_else(|| "an answer".to_string()).replace(name, "{}"));
            }
            attacks.check(told[0] == told[1] && told[0].starts_with("NOT_FOUND: "), format!("{what}\n  {told:#?}"));
        }
    }
    attacks.end();
}

/// A64 and A12: what a client is listed of a site whose tables it may not query.
#[tokio::test(flavor = "multi_thread")]
async fn listings_have_no_denied_table() {
    let mut attacks = Attacks::begin().await;
    let tables = CommandGetTables {
        catalog: None,
        db_schema_filter_pattern: None,
        table_name_filter_pattern: None,
        table_types: vec![],
        include_schema: true,
    };
    let schemas = CommandGetDbSchemas { catalog: None, db_schema_filter_pattern: None };
    let commands: [Any; 3] = [tables.as_any(), schemas.as_any(), CommandGetCatalogs {}.as_any()];
    for door in ["health", "revenue", COORDINATOR] {
        for (number, command) in commands.iter().enumerate() {
            for (user, hidden) in [("u3", ["patient", "taxpayer"]), ("u4", ["region\u{0}", "taxpayer"])] {
                let f0 = attacks.session(0, user, door).await.raw.capture_command(command.clone()).await;
                let twin = attacks.session(1, user, door).await.raw.capture_command(command.clone()).await;
                let what = format!("A64 {user} at {door}, listing {number}");
                let difference = f0.difference(&twin);
                attacks.check(difference.is_none(), format!("{what}: {difference:?}"));
                let bytes = f0.bytes();
                for name in hidden {
                    let found = bytes.windows(name.len()).any(|window| window == name.as_bytes());
                    attacks.check(!found, format!("{what}: {name:?} is listed"));
                }
            }
        }
        let plan = SubstraitPlan { plan: vec![1, 2, 3].into(), version: "0.1".to_string() };
        let substrait = CommandStatementSubstraitPlan { plan: Some(plan), transaction_id: None };
        let capture = attacks.session(0, "u1", door).await.raw.capture_command(substrait.as_any()).await;
        attacks.refused(&format!("A12 Substrait at {door}"), "UNSUPPORTED", capture.error());
    }
    for sql in [
        "SHOW TABLES",
        "SELECT table_name FROM information_schema.tables",
        "SELECT column_name FROM information_schema.columns",
    ] {
        for (user, door) in [("u3", "health"), ("u3", COORDINATOR), ("u4", COORDINATOR)] {
            let answer =
                attacks.session(0, user, door).await.client.query(sql).await.map(|answer| rows(&answer).join("\n"));
            let hidden = if user == "u3" { ["patient", "\"note\""] } else { ["taxpayer", "\"region\""] };
            let told = answer.unwrap_or_default();
            attacks
                .check(!hidden.iter().any(|name| told.contains(name)), format!("A64 {user} at {door}: {sql}: {told}"));
        }
    }
    attacks.end();
}

/// A65: near names come from what the asker may see.
#[tokio::test(flavor = "multi_thread")]
async fn near_names_are_not_denied_names() {
    let mut attacks = Attacks::begin().await;
    let attempts = [
        ("u3", "SELECT 1 FROM health.registry.patien", "patient"),
        ("u3", "SELECT 1 FROM revenue.registry.taxpaye", "taxpayer"),
        ("u4", "SELECT regio FROM health.registry.patient", "region"),
        ("u4", "SELECT 1 FROM health.registry.patient GROUP BY regin", "region"),
    ];
    for (user, sql, name) in attempts {
        for door in ["health", COORDINATOR] {
            let what = format!("A65 {user} at {door}: {sql}");
            let error = attacks.alike(&what, user, door, sql).await.error().unwrap_or_default();
            let holds = error.starts_with("NOT_FOUND: ") && !error.contains(name);
            attacks.check(holds, format!("{what}\n  {error}"));
        }
    }
    attacks.end();
}

/// A67: no option of the engine is the asker's.
#[tokio::test(flavor = "multi_thread")]
async fn no_option_of_the_engine_can_be_set() {
    let mut attacks = Attacks::begin().await;
    let keys: Vec<String> = ConfigOptions::new().entries().into_iter().map(|entry| entry.key).collect();
    assert!(keys.len() > 100, "only {} options", keys.len());
    let more = ["timezone", "search_path", "datafusion.nosuch", "chancery.policy", "purposes"].map(str::to_string);
    for door in ["health", COORDINATOR] {
        let client = attacks.session(0, "u1", door).await.client;
        for key in keys.iter().chain(&more) {
            for sql in [format!("SET {key} = 'true'"), format!("SET {key} TO 1"), format!("RESET {key}")] {
                let error = client.query(&sql).await.err();
                attacks.refused(&format!("A67 at {door}: {sql}"), "STATEMENT", error);
            }
        }
        for sql in ["SET TIME ZONE 'Asia/Tokyo'", "SET ROLE admin", "SET SESSION AUTHORIZATION admin", "SET NAMES utf8"]
        {
            let error = client.query(sql).await.err();
            attacks.check(error.is_some_and(|error| !error.starts_with("INTERNAL")), format!("A67 at {door}: {sql}"));
        }
    }
    attacks.end();
}

/// A68: no counts, and no metadata of files, in what stands beside the rows.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_told_beside_the_rows() {
    let mut attacks = Attacks::begin().await;
    let statements = [
        ("health", "SELECT * FROM PATIENT"),
        ("health", "SELECT count(*) FROM PATIENT"),
        ("revenue", "SELECT region, sum(income) FROM TAXPAYER GROUP BY region"),
        ("police", "SELECT pid FROM WATCH"),
    ];
    for (site, sql) in statements {
        for door in [site, COORDINATOR] {
            let what = format!("A68 at {door}: {sql}");
            let sql = named(sql);
            attacks.alike(&what, "u1", door, &sql).await;
            let client = attacks.session(0, "u1", door).await.client;
            let info = match client.info(&sql).await {
                Ok(info) => info,
                Err(error) => {
                    attacks.check(false, format!("{what}\n  {error}"));
                    continue;
                }
            };
            let totals = (info.total_records, info.total_bytes);
            attacks.check(totals == (-1, -1), format!("{what}: {totals:?}"));
            attacks.check(info.app_metadata.is_empty(), format!("{what}: FlightInfo has metadata"));
            let schema = client.fetch(info).await.unwrap().schema;
            attacks.check(schema.metadata().is_empty(), format!("{what}: {:?}", schema.metadata()));
            for field in schema.fields() {
                attacks.check(field.metadata().is_empty(), format!("{what}: {field:?}"));
            }
        }
    }
    attacks.end();
}
