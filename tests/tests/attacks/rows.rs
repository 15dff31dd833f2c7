//! Row filters: A1–A15. Whatever a statement does, it does it to the rows that are shown.

use engine::identity::facts::Facts;
use engine::identity::users_file;
use harness::policy::fixture::PATIENTS_SHOWN;
use policy::subject::Attribute;
use policy::value::Value;
use tempfile::TempDir;

use super::Expected::{Alike, As, Nothing, Refused, Shown};
use super::{Attacks, COORDINATOR, HOSTILE, Row};

/// Statements that fail, or would fail, on a hidden row; and others that tell it apart.
const ORDER_OF_EVALUATION: &[Row] = &[
    ("A1", "u1", Shown, "SELECT count(*), min(name) FROM PATIENT WHERE CAST(note AS BIGINT) > 0"),
    ("A1", "u2", Shown, "SELECT note FROM PATIENT WHERE CAST(note AS BIGINT) > 990 ORDER BY dob"),
    ("A1", "u2", Shown, "SELECT sum(CAST(note AS BIGINT)) FROM PATIENT"),
    ("A1", "u2", Shown, "SELECT count(TRY_CAST(note AS BIGINT)), count(*) FROM PATIENT"),
    ("A1", "u1", Shown, "SELECT CAST(note AS DATE) FROM PATIENT"),
    ("A1", "u1", Shown, "SELECT CAST(diag AS BIGINT) FROM PATIENT WHERE note = '7'"),
    ("A1", "u1", Shown, "SELECT count(*) FROM WATCH WHERE CAST(flag AS BIGINT) > 0"),
    ("A2", "u1", Shown, "SELECT count(*) FROM PATIENT WHERE note > 5"),
    ("A2", "u1", Shown, "SELECT count(*) FROM PATIENT WHERE note BETWEEN 1 AND 2"),
    ("A2", "u1", Shown, "SELECT count(*) FROM PATIENT WHERE note = cost"),
    ("A2", "u2", Shown, "SELECT count(*) FROM PATIENT WHERE note = cost"),
    ("A2", "u2", Shown, "SELECT count(*) FROM PATIENT WHERE note + 0 = cost"),
    ("A2", "u2", Shown, "SELECT count(*) FROM PATIENT a JOIN PATIENT b ON a.note = 5 AND a.pid = b.pid"),
    ("A2", "u2", Shown, "SELECT count(*) FROM PATIENT WHERE note IN (5, 6, 7)"),
    ("A3", "u1", Shown, "SELECT count(*) FROM PATIENT WHERE 1/(cost-900000007) >= 0"),
    ("A3", "u2", Shown, "SELECT count(*) FROM PATIENT WHERE 1/(cost-900000007) >= 0"),
    ("A3", "u2", Shown, "SELECT count(*) FROM PATIENT WHERE 1/(cost-107) >= 0"),
    ("A3", "u2", Shown, "SELECT sum(1 % (cost-900000007)) FROM PATIENT"),
    ("A3", "u2", Shown, "SELECT count(*) FROM PATIENT WHERE cost * 10000000000000 > 0"),
    ("A3", "u2", Shown, "SELECT sum(cost) FROM PATIENT"),
    ("A4", "u2", Shown, "SELECT count(*) FROM PATIENT WHERE CASE WHEN cost=900000007 THEN 1/0 ELSE 1 END = 1"),
    ("A4", "u1", Shown, "SELECT count(*) FROM PATIENT WHERE CASE WHEN cost=900000007 THEN 1/0 ELSE 1 END = 1"),
    ("A4", "u2", Shown, "SELECT count(*) FROM PATIENT WHERE COALESCE(NULLIF(cost, 900000007), 1/(cost-900000007)) > 0"),
    ("A4", "u2", Shown, "SELECT count(*) FROM PATIENT WHERE NULLIF(1/(cost-900000007), 5) IS NOT NULL"),
    ("A4", "u2", Shown, "SELECT count(*) FROM PATIENT WHERE cost <> 900000007 OR 1/(cost-900000007) = 1"),
    ("A4", "u2", Shown, "SELECT count(*) FROM PATIENT WHERE 1/(cost-900000007) = 1 OR cost <> 900000007"),
    ("A4", "u2", Shown, "SELECT count(*) FROM PATIENT WHERE 1/(cost-900000007) = 0 AND cost > 0"),
    (
        "A4",
        "u2",
        Shown,
        "SELECT count(*) FROM PATIENT WHERE cost > 0 AND CAST(note AS INT) >= 0 AND dob > DATE '1970-02-01'",
    ),
    ("A5", "u1", Shown, "SELECT count(to_timestamp(note)) FROM PATIENT"),
    ("A5", "u2", Shown, "SELECT sum(CAST(cost AS TINYINT)) FROM PATIENT"),
    ("A5", "u2", Shown, "SELECT sum(CAST(cost AS SMALLINT)) FROM PATIENT"),
    ("A5", "u2", Shown, "SELECT sum(CAST(cost AS INT)) FROM PATIENT"),
    ("A5", "u2", Shown, "SELECT sum(arrow_cast(cost, 'Int16')) FROM PATIENT"),
    ("A5", "u1", Shown, "SELECT min(arrow_cast(note, 'Int64')) FROM PATIENT"),
    ("A5", "u1", Shown, "SELECT max(date_trunc('month', dob)) FROM PATIENT"),
    ("A5", "u1", Shown, "SELECT max(CAST(dob AS TIMESTAMP)) FROM PATIENT"),
    ("A5", "u2", Shown, "SELECT sum(factorial(cost - 900000000)) FROM PATIENT"),
    ("A5", "u2", Shown, "SELECT sum(factorial(cost % 20)) FROM PATIENT"),
    ("A5", "u2", Shown, "SELECT max(array_element(make_array(cost), 0)) FROM PATIENT"),
    ("A5", "u2", Shown, "SELECT max(array_element(make_array(cost), 1)) FROM PATIENT"),
    ("A5", "u2", Shown, "SELECT max(power(cost, 2)) FROM PATIENT"),
    ("A5", "u2", Shown, "SELECT max(power(cost, 6)) FROM PATIENT"),
    ("A5", "u1", Shown, "SELECT count(*) FROM PATIENT WHERE regexp_like(note, '(')"),
    ("A5", "u1", Shown, "SELECT count(*) FROM PATIENT WHERE regexp_like('1', note)"),
    ("A5", "u1", Shown, "SELECT count(decode(note, 'hex')) FROM PATIENT"),
    ("A5", "u1", Shown, "SELECT count(decode(note, 'base64')) FROM PATIENT"),
    ("A5", "u2", Shown, "SELECT max(substr(note, 1, cost - 900000007)) FROM PATIENT"),
    ("A5", "u2", Shown, "SELECT max(chr(cost)) FROM PATIENT"),
    ("A5", "u2", Shown, "SELECT count(make_date(CAST(note AS INT), 1, 1)) FROM PATIENT"),
    ("A5", "u2", Shown, "SELECT max(abs(CAST(note AS INT))) FROM PATIENT"),
];

/// The right rows and no others, by whatever way and in whatever order.
const RIGHT_ROWS: &[Row] = &[
    ("A8", "u2", Shown, "SELECT cost, note FROM PATIENT ORDER BY cost DESC, dob LIMIT 1"),
    ("A8", "u2", Shown, "SELECT cost, dob, note FROM PATIENT ORDER BY cost DESC, dob DESC LIMIT 10"),
    ("A8", "u2", Shown, "SELECT cost, dob, note FROM PATIENT ORDER BY cost DESC, dob LIMIT 10 OFFSET 1495"),
    ("A8", "u1", Shown, "SELECT dob, note FROM PATIENT ORDER BY dob DESC LIMIT 10 OFFSET 5495"),
    ("A8", "u1", Shown, "SELECT note FROM PATIENT ORDER BY dob LIMIT 0"),
    ("A8", "u1", Shown, "SELECT count(*) FROM (SELECT 1 FROM PATIENT LIMIT 6000)"),
    (
        "A8",
        "u2",
        Shown,
        "SELECT max(cost), min(cost), max(dob), min(dob), max(note), count(*), count(region) FROM PATIENT",
    ),
    ("A9", "u1", Nothing, "SELECT name FROM PATIENT WHERE region IS NULL"),
    ("A9", "u1", Shown, "SELECT region, count(*) FROM PATIENT GROUP BY region"),
    ("A9", "u1", Nothing, "SELECT note FROM PATIENT WHERE region NOT IN ('north', 'east')"),
    ("A9", "u1", Nothing, "SELECT note FROM PATIENT WHERE region = 'south' OR region IS NULL OR ward = 'ward-22'"),
    ("A9", "u3", Refused("NOT_FOUND"), "SELECT count(*) FROM PATIENT"),
    ("A9", "u3", Refused("NOT_FOUND"), "SELECT count(*) FROM TAXPAYER"),
    ("A11", "u4", As("SELECT count(*) FROM PATIENT"), "SELECT count(*) FROM PATIENT"),
    ("A11", "u4", Refused("NOT_FOUND"), "SELECT region FROM PATIENT"),
    ("A11", "u4", Refused("NOT_FOUND"), "SELECT count(*) FROM PATIENT WHERE region = 'north'"),
    ("A11", "u4", Refused("NOT_FOUND"), "SELECT count(*) FROM PATIENT ORDER BY region"),
    ("A12", "u1", Shown, "WITH p AS (SELECT * FROM PATIENT) SELECT count(*), max(note) FROM p"),
    ("A12", "u1", Shown, "WITH p AS (WITH q AS (SELECT * FROM PATIENT) SELECT * FROM q) SELECT count(*) FROM p"),
    ("A12", "u1", Shown, "SELECT count(*), max(x.dob) FROM PATIENT AS x"),
    ("A12", "u1", Shown, "SELECT count(*) FROM PATIENT a JOIN PATIENT b ON a.pid = b.pid"),
    ("A12", "u1", Shown, "SELECT count(*) FROM PATIENT a LEFT JOIN PATIENT b ON a.pid = b.pid WHERE b.pid IS NULL"),
    ("A12", "u1", Shown, "SELECT count(*) FROM (SELECT note FROM PATIENT UNION ALL SELECT note FROM PATIENT)"),
    ("A12", "u1", Shown, "SELECT count(*) FROM (SELECT note FROM PATIENT INTERSECT SELECT note FROM PATIENT)"),
    ("A12", "u1", Nothing, "SELECT note FROM PATIENT EXCEPT SELECT note FROM PATIENT"),
    ("A12", "u1", Shown, "SELECT count(*) FROM PATIENT WHERE pid IN (SELECT pid FROM PATIENT WHERE ward = 'ward-3')"),
    ("A12", "u1", Shown, "SELECT count(*) FROM PATIENT a WHERE EXISTS (SELECT 1 FROM PATIENT b WHERE b.pid = a.pid)"),
    ("A12", "u1", Shown, "SELECT (SELECT max(note) FROM PATIENT), (SELECT count(*) FROM PATIENT)"),
    ("A12", "u1", As("SELECT count(*) FROM PATIENT"), "SELECT count(*) FROM HEALTH.Registry.pAtIeNt"),
    ("A12", "u1", As("SELECT count(*) FROM PATIENT"), "SELECT count(*) FROM \"health\".\"registry\".\"patient\""),
    ("A12", "u1", Refused("NOT_FOUND"), "SELECT count(*) FROM \"HEALTH\".\"registry\".\"patient\""),
    ("A12", "u1", Alike, "DESCRIBE PATIENT"),
    ("A12", "u1", Alike, "EXPLAIN SELECT note FROM PATIENT WHERE note > '5'"),
    ("A12", "u1", Alike, "EXPLAIN SELECT min(cost), max(dob), count(*) FROM PATIENT"),
    ("A12", "u1", Alike, "EXPLAIN POLICY SELECT note, name, cost FROM PATIENT"),
    ("A12", "u1", Alike, "VALUES (1), (2)"),
    ("A12", "u1", Alike, "SELECT note, dob, name FROM PATIENT"),
    ("A12", "u1", Alike, "TABLE PATIENT"),
    ("A13", "u1", Refused("FUNCTION"), "SELECT count(*) FROM PATIENT WHERE random() >= 0"),
    ("A13", "u1", Refused("FUNCTION"), "SELECT count(*) FROM PATIENT WHERE uuid() IS NOT NULL"),
    ("A13", "u1", Refused("FUNCTION"), "SELECT count(*) FROM PATIENT WHERE CASE WHEN note = '5' THEN random() < 2 END"),
];

#[tokio::test(flavor = "multi_thread")]
async fn hidden_rows_are_not_told_by_any_statement() {
    let mut attacks = Attacks::begin().await;
    attacks.run(ORDER_OF_EVALUATION).await;
    attacks.run(RIGHT_ROWS).await;
    attacks.end();
}

/// A12: at its own site a table has shorter names too.
#[tokio::test(flavor = "multi_thread")]
async fn short_names_are_the_same_table() {
    let mut attacks = Attacks::begin().await;
    let site = attacks.session(0, "u1", "health").await.client;
    for name in ["patient", "registry.patient", "\"registry\".\"patient\"", "PATIENT"] {
        let count = site.query(&format!("SELECT count(*) FROM {name}")).await.map(|answer| super::rows(&answer));
        attacks.check(count == Ok(vec![PATIENTS_SHOWN.to_string()]), format!("A12 {name}: {count:?}"));
    }
    attacks.end();
}

/// A15: an attribute of the asker is a value and never text of a statement or a pattern.
#[tokio::test(flavor = "multi_thread")]
async fn hostile_attributes_are_data() {
    let mut attacks = Attacks::begin().await;
    for (user, _) in HOSTILE {
        attacks.attack("A15", user, Nothing, "SELECT note, dob FROM PATIENT").await;
        for door in ["health", COORDINATOR] {
            let client = attacks.session(0, user, door).await.client;
            let count = client.query("SELECT count(*) FROM health.registry.patient").await;
            let count = count.map(|answer| super::rows(&answer));
            attacks.check(count == Ok(vec!["0".to_string()]), format!("A15 {user} at {door}: {count:?}"));
        }
    }
    attacks.end();
}

/// A15: what is longer than the limits is in no users file.
#[test]
fn attributes_over_the_limit_are_refused() {
    let root = TempDir::new().unwrap();
    let file = root.path().join("users.toml");
    let text = |length: usize| Value::Text("x".repeat(length));
    let too_long =
        [Attribute::One(text(10_000)), Attribute::Many(vec![text(1); 100_000]), Attribute::Many(vec![text(1_025)])];
    for attribute in too_long {
        let facts = Facts { attributes: [("regions".to_string(), attribute)].into(), ..Facts::default() };
        let told = users_file::add(&file, "mallory", "mallory", facts).map_err(|error| error.to_string());
        assert!(told.as_ref().is_err_and(|told| told.contains("attribute")), "{told:?}");
    }
}
