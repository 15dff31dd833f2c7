//! What is told about data, and what crosses from site to site: A50, A64–A68, A77.

use std::fs;
use std::path::Path;

use arrow_flight::sql::{
    Any, CommandGetCatalogs, CommandGetCrossReference, CommandGetDbSchemas, CommandGetExportedKeys,
    CommandGetImportedKeys, CommandGetPrimaryKeys, CommandGetSqlInfo, CommandGetTables, CommandStatementSubstraitPlan,
    ProstMessageExt, SubstraitPlan,
};
use datafusion::config::ConfigOptions;
use harness::policy::capture::Capture;
use harness::policy::fixture::{WATCHED, WATCHED_IF_PERMUTED, World};

use super::Expected::{Alike, As, Refused, Shown};
use super::{Attacks, COORDINATOR, Row, masks, named, rows};

const METADATA: &[Row] = &[
    ("A64", "u3", Alike, "SELECT * FROM information_schema.tables"),
    ("A64", "u3", Alike, "SELECT * FROM information_schema.columns"),
    ("A64", "u3", Alike, "SHOW TABLES"),
    ("A64", "u1", Alike, "SHOW COLUMNS FROM PATIENT"),
    ("A64", "u1", Refused("STATEMENT"), "SHOW ALL"),
    ("A64", "u1", Alike, "SELECT * FROM information_schema.columns ORDER BY 1, 2, 3, 4"),
    ("A64", "u1", Refused("NOT_FOUND"), "SELECT * FROM information_schema.df_settings"),
    ("A64", "u3", Refused("NOT_FOUND"), "DESCRIBE PATIENT"),
    ("A65", "u1", Refused("NOT_FOUND"), "SELECT nam FROM PATIENT"),
    ("A65", "u1", Refused("NOT_FOUND"), "SELECT x.name FROM PATIENT y"),
    ("A65", "u1", Refused("FUNCTION"), "SELECT uppr(name) FROM PATIENT"),
    ("A65", "u1", Refused("SYNTAX"), "SELEC name FROM PATIENT"),
    ("A65", "u1", Refused("TYPE"), "SELECT name + 1, name FROM PATIENT GROUP BY note"),
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
    ("A50", "u1", Shown, "SELECT count(*), count(p.note) FROM PATIENT p RIGHT JOIN WATCH w ON w.pid = p.pid"),
    ("A50", "u1", Shown, "SELECT count(*), count(w.flag) FROM PATIENT p FULL JOIN WATCH w ON w.pid = p.pid"),
    ("A50", "u1", Shown, "SELECT p.note FROM PATIENT p LEFT SEMI JOIN WATCH w ON w.pid = p.pid"),
    ("A50", "u1", Shown, "SELECT p.note FROM WATCH w RIGHT SEMI JOIN PATIENT p ON w.pid = p.pid"),
    ("A50", "u1", Shown, "SELECT count(*) FROM PATIENT p LEFT ANTI JOIN WATCH w ON w.pid = p.pid"),
    ("A50", "u1", Shown, "SELECT count(*) FROM WATCH w RIGHT ANTI JOIN PATIENT p ON w.pid = p.pid"),
    ("A50", "u1", Shown, "SELECT count(*) FROM WATCH LEFT ANTI JOIN PATIENT p ON p.pid = watch.pid"),
    ("A50", "u1", Shown, "SELECT count(*) FROM PATIENT JOIN WATCH USING (pid)"),
    ("A50", "u1", Shown, "SELECT count(*) FROM PATIENT p JOIN WATCH w ON w.pid >= p.pid AND w.pid <= p.pid"),
    ("A50", "u1", Shown, "SELECT note FROM PATIENT WHERE pid = ANY (SELECT pid FROM WATCH WHERE flag = 'theft')"),
    ("A50", "u1", As("SELECT 37"), "SELECT count(*) FROM WATCH"),
];

#[tokio::test(flavor = "multi_thread")]
async fn metadata_and_errors_tell_nothing_hidden() {
    let mut attacks = Attacks::begin().await;
    attacks.run(METADATA).await;
    // At the site's own door: a coordinator names the doors, of which each world has others.
    for (user, code) in [("u1", Some("STATEMENT")), ("admin", None)] {
        let what = format!("A64 {user} at health: SHOW PURPOSES");
        let error = attacks.alike(&what, user, "health", "SHOW PURPOSES").await.error();
        let told = error.as_deref().and_then(|error| error.split(':').next());
        attacks.check(told == code, format!("{what}\n  {error:?}"));
    }
    attacks.end();
}

/// A18 and A50, in two worlds that are one to `u1` at health, who may not see costs, while police watch others in each, and
/// more of them: what health is sent is the same, whatever police watch.
#[tokio::test(flavor = "multi_thread")]
async fn a50_no_watch_key_reaches_health() {
    let mut attacks = Attacks::alone(World::Permuted).await;
    attacks.run(masks::ORDER_OF_COSTS).await;
    for (number, user, expected, sql) in ACROSS {
        let what = format!("{number} {user}: {sql}");
        let capture = attacks.session(0, user, COORDINATOR).await.raw.capture(&named(sql)).await;
        attacks.sweep(0, &what, sql, &capture);
        attacks.meet(&what, [user, COORDINATOR, sql], *expected, &capture).await;
    }
    // Nobody has asked as `u2` yet, so that the ledger has what these statements sent, and nothing else.
    let mut sent = vec![];
    for (world, watched) in [(0, WATCHED), (1, WATCHED_IF_PERMUTED)] {
        let client = attacks.session(world, "u2", COORDINATOR).await.client;
        for (_, _, _, sql) in ACROSS {
            let told = client.query(&named(sql)).await.err();
            attacks.check(told.is_none(), format!("A50 u2 in world {world}: {sql}\n  {told:?}"));
        }
        sent.push(sent_to_health(&mut attacks, world).await);
        let keys = client.query(&named("SELECT pid FROM WATCH")).await.map(|answer| rows(&answer)).unwrap_or_default();
        attacks.check(i64::try_from(keys.len()) == Ok(watched), format!("A50: {} watch keys", keys.len()));
        for statement in &sent[world].ledger {
            let key = keys.iter().find(|key| statement.contains(key.trim_matches('"')));
            attacks.check(key.is_none(), format!("A50: health was sent the key {key:?}: {statement}"));
            attacks.check(statement.contains("no key"), format!("A50: health was sent a key set: {statement}"));
            attacks
                .check(!statement.contains("1101051949"), format!("A50: health was sent an identifier: {statement}"));
        }
    }
    let [one, other] = [&sent[0], &sent[1]];
    attacks.check(one.ledger.len() >= ACROSS.len() - 1, format!("A50: the ledger has {:#?}", one.ledger));
    attacks.check(one.recorded.len() == one.ledger.len(), format!("A50: health recorded {:#?}", one.recorded));
    attacks.check(one == other, format!("A50: health was sent {one:#?}, and with others watched {other:#?}"));
    attacks.end();
}

/// What health was sent on behalf of `u2`, sorted.
#[derive(Debug, PartialEq, Eq)]
struct Sent {
    /// As the coordinator says: the length of each request, and its statement.
    ledger: Vec<String>,
    /// As health has recorded it, literals as `?`: their hashes are keyed by each site for itself.
    recorded: Vec<String>,
}

async fn sent_to_health(attacks: &mut Attacks, world: usize) -> Sent {
    let client = attacks.session(world, "u2", COORDINATOR).await.client;
    let sql = "SELECT bytes_sent, coalesce(key_sets, 'no key') AS keys, statement FROM system.queries.ledger WHERE site = 'health' ORDER BY 1, 2, 3";
    let ledger = client.query(sql).await.map(|answer| rows(&answer)).unwrap_or_default();
    let mut recorded = recorded(&attacks.worlds[world].cluster.state_of("health"), "u2");
    recorded.sort();
    Sent { ledger, recorded }
}

/// The statements in a site's record that came through the coordinator on behalf of a user.
fn recorded(state: &Path, user: &str) -> Vec<String> {
    let files = fs::read_dir(state.join("audit")).unwrap().map(|file| file.unwrap().path());
    let segments = files.filter(|file| file.extension().is_some_and(|extension| extension == "jsonl"));
    let text: String = segments.map(|file| fs::read_to_string(file).unwrap()).collect();
    let records = text.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let intents = records.filter(|record| record["kind"] == "intent" && record["asker"]["subject"] == user);
    intents.filter_map(|intent| intent["statement"].as_str().map(without_hashes)).collect()
}

fn without_hashes(template: &str) -> String {
    let mut parts = template.split("'h:");
    let first = parts.next().unwrap_or_default().to_string();
    parts.fold(first, |text, part| text + "?" + part.split_once('\'').map_or("", |(_, rest)| rest))
}

/// A64: what is denied is told exactly like what does not exist, by every byte that leaves.
#[tokio::test(flavor = "multi_thread")]
async fn denied_is_told_like_nonexistent() {
    let mut attacks = Attacks::begin().await;
    let tables = ["SELECT * FROM health.registry.{}", "SELECT count(*) FROM health.registry.{} AS t WHERE t.pid = '1'"];
    let more = ["SELECT 1 WHERE EXISTS (SELECT 1 FROM health.registry.{})"];
    let columns = ["SELECT {} FROM health.registry.patient", "SELECT p.{} FROM health.registry.patient p ORDER BY 1"];
    let columns_used = ["SELECT note FROM health.registry.patient WHERE {} = 'north'"];
    let of_tables = tables.iter().chain(&more).map(|sql| ("u3", *sql, ["patient", "mission"]));
    let of_columns = columns.iter().chain(&columns_used).map(|sql| ("u4", *sql, ["region", "qwxzvk"]));
    for (user, sql, names) in of_tables.chain(of_columns) {
        for door in ["health", COORDINATOR] {
            let what = format!("A64 {user} at {door}: {sql}");
            let mut told = vec![];
            for name in names {
                told.push(attacks.alike(&what, user, door, &sql.replace("{}", name)).await);
            }
            attacks.refused(&what, "NOT_FOUND", told[0].error());
            same_but_for_the_name(&mut attacks, &what, &told, names);
        }
    }
    for door in ["health", COORDINATOR] {
        for number in 0..commands_about("").len() {
            let what = format!("A64 u3 at {door}: metadata command {number}");
            let names = ["patient", "mission"];
            let mut told = vec![];
            for name in names {
                let command = commands_about(name).swap_remove(number);
                told.push(attacks.told_alike(&what, "u3", door, &command).await);
            }
            same_but_for_the_name(&mut attacks, &what, &told, names);
        }
    }
    attacks.end();
}

/// Both captures are the same bytes but for the name that was asked for.
fn same_but_for_the_name(attacks: &mut Attacks, what: &str, told: &[Capture], [denied, missing]: [&str; 2]) {
    let difference = nameless(&told[0], denied).difference(&nameless(&told[1], missing));
    attacks.check(difference.is_none(), format!("{what}\n  denied and nonexistent differ: {difference:?}"));
}

/// The capture with dots for each letter of the name.
fn nameless(capture: &Capture, name: &str) -> Capture {
    let mut capture = capture.clone();
    for part in &mut capture.parts {
        while let Some(at) = part.bytes.windows(name.len()).position(|window| window == name.as_bytes()) {
            part.bytes[at..at + name.len()].fill(b'.');
        }
    }
    capture
}

/// Every metadata command that takes the name of a table.
fn commands_about(table: &str) -> Vec<Any> {
    let (catalog, schema) = (Some("health".to_string()), Some("registry".to_string()));
    let table = table.to_string();
    let tables = CommandGetTables {
        catalog: catalog.clone(),
        db_schema_filter_pattern: schema.clone(),
        table_name_filter_pattern: Some(table.clone()),
        table_types: vec![],
        include_schema: true,
    };
    let primary =
        CommandGetPrimaryKeys { catalog: catalog.clone(), db_schema: schema.clone(), table: table.clone() }.as_any();
    let exported =
        CommandGetExportedKeys { catalog: catalog.clone(), db_schema: schema.clone(), table: table.clone() }.as_any();
    let imported =
        CommandGetImportedKeys { catalog: catalog.clone(), db_schema: schema.clone(), table: table.clone() }.as_any();
    let reference = CommandGetCrossReference {
        pk_catalog: catalog.clone(),
        pk_db_schema: schema.clone(),
        pk_table: table.clone(),
        fk_catalog: catalog,
        fk_db_schema: schema,
        fk_table: table,
    };
    vec![tables.as_any(), primary, exported, imported, reference.as_any()]
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
    let facts = CommandGetSqlInfo { info: vec![] };
    let commands: [Any; 4] = [tables.as_any(), schemas.as_any(), CommandGetCatalogs {}.as_any(), facts.as_any()];
    // What is listed nowhere at all would pass below.
    for (user, door, shown) in [
        ("u1", "health", "patient"),
        ("u1", COORDINATOR, "patient"),
        ("u4", "health", "ward\u{0}"),
        ("u3", "police", "watch"),
    ] {
        let what = format!("A64 {user} at {door}");
        let bytes = attacks.told_alike(&what, user, door, &tables.as_any()).await.bytes();
        let found = bytes.windows(shown.len()).any(|window| window == shown.as_bytes());
        attacks.check(found, format!("{what}: {shown:?} is not listed"));
    }
    for door in ["health", "revenue", COORDINATOR] {
        for (number, command) in commands.iter().enumerate() {
            for (user, hidden) in [("u3", ["patient", "taxpayer"]), ("u4", ["region\u{0}", "taxpayer"])] {
                let what = format!("A64 {user} at {door}, listing {number}");
                let bytes = attacks.told_alike(&what, user, door, command).await.bytes();
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
    for (sql, shown) in [
        ("SELECT table_name FROM information_schema.tables", "patient"),
        ("SELECT column_name FROM information_schema.columns", "note"),
    ] {
        for (user, door) in
            [("u1", "health"), ("u1", COORDINATOR), ("u3", "health"), ("u3", COORDINATOR), ("u4", COORDINATOR)]
        {
            let what = format!("A64 {user} at {door}: {sql}");
            let answer = attacks.query(user, door, sql).await;
            let names = match answer {
                Ok(answer) => rows(&answer),
                // A site at which nothing is granted has not even names.
                Err(error) if (user, door) == ("u3", "health") => {
                    attacks.refused(&what, "NOT_FOUND", Some(error));
                    continue;
                }
                Err(error) => {
                    attacks.check(false, format!("{what}\n  {error}"));
                    continue;
                }
            };
            let is_told = |name: &str| names.iter().any(|told| told.trim_matches('"') == name);
            let (hidden, is_shown) = match user {
                "u1" => (vec![], true),
                "u3" => (vec!["patient", "taxpayer", "note", "income"], false),
                _ => (vec!["taxpayer", "region", "income"], true),
            };
            attacks.check(is_told(shown) == is_shown, format!("{what}\n  {shown}: {names:?}"));
            attacks.check(!hidden.iter().any(|name| is_told(name)), format!("{what}\n  {names:?}"));
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

/// A69: an error says what went wrong, and not with which value.
#[tokio::test(flavor = "multi_thread")]
async fn a69_an_error_tells_no_value() {
    let mut attacks = Attacks::begin().await;
    let attempts = [
        ("u1", "SELECT CAST(diag AS BIGINT) FROM PATIENT WHERE note = '7'", "D07"),
        ("u1", "SELECT CAST(ward AS DATE) FROM PATIENT WHERE diag = 'D05'", "ward-"),
        ("u2", "SELECT arrow_cast(cost, 'Int8') FROM PATIENT WHERE note = '999' AND diag = 'D39'", "1099"),
        ("u1", "SELECT decode(ward, 'hex') FROM PATIENT WHERE note = '7'", "ward-"),
    ];
    for (user, sql, value) in attempts {
        for door in ["health", COORDINATOR] {
            let what = format!("A69 {user} at {door}: {sql}");
            let error = attacks.alike(&what, user, door, &named(sql)).await.error();
            attacks.refused(&what, "EVAL", error.clone());
            let tells = error.as_ref().is_some_and(|error| error.contains(value));
            attacks.check(!tells, format!("{what}\n  tells a value of a row: {error:?}"));
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
    let more = ["search_path", "datafusion.nosuch", "chancery.policy", "purposes"].map(str::to_string);
    for door in ["health", COORDINATOR] {
        for key in keys.iter().chain(&more) {
            for sql in [format!("SET {key} = 'true'"), format!("SET {key} TO 1"), format!("RESET {key}")] {
                let error = attacks.query("u1", door, &sql).await.err();
                attacks.refused(&format!("A67 at {door}: {sql}"), "STATEMENT", error);
            }
        }
        for sql in [
            "SET TIME ZONE 'Asia/Tokyo'",
            "SET timezone = 'Asia/Tokyo'",
            "SET ROLE admin",
            "SET SESSION AUTHORIZATION admin",
            "SET NAMES utf8",
        ] {
            let error = attacks.query("u1", door, sql).await.err();
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
            let capture = attacks.alike(&what, "u1", door, &sql).await;
            for told in beside_the_rows(&capture) {
                attacks.check(false, format!("{what}: {told}"));
            }
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

/// Headers and trailers that a client may be sent.
const HEADERS: [&str; 4] = ["content-type", "date", "grpc-status", "x-chancery-query-id"];

/// What left beside schema and rows, and is not on the list.
fn beside_the_rows(capture: &Capture) -> Vec<String> {
    let mut told = vec![];
    for part in &capture.parts {
        let text = part.bytes.escape_ascii();
        if (part.name.ends_with(" metadata") || part.name.ends_with(" descriptor")) && !part.bytes.is_empty() {
            told.push(format!("{} is {text}", part.name));
        }
        if part.name.ends_with(" headers") || part.name.ends_with(" trailers") {
            let lines = String::from_utf8_lossy(&part.bytes).into_owned();
            let others = lines.lines().filter(|line| !HEADERS.contains(&line.split(':').next().unwrap_or_default()));
            told.extend(others.map(|line| format!("{} have {line}", part.name)));
        }
    }
    told
}
