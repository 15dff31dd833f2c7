//! Masks: A16–A29. A masked column is its mask in every clause, and nothing brings the value back.

use harness::cluster::Kept;
use harness::environment::number;
use harness::policy::fixture::PATIENTS_SHOWN;

use super::Expected::{Alike, As, Nothing, Refused, Shown};
use super::{Attacks, COORDINATOR, Row, rows};
use crate::KEPT;

const MASKS: &[Row] = &[
    ("A16", "u1", Nothing, "SELECT note FROM PATIENT WHERE pid = '110105194900000007'"),
    ("A16", "u1", Nothing, "SELECT note FROM PATIENT WHERE pid LIKE '110105%'"),
    ("A16", "u1", Nothing, "SELECT note FROM PATIENT WHERE pid IN ('110105194900000007', '110105194900000008')"),
    ("A16", "u1", Nothing, "SELECT note FROM PATIENT WHERE cost BETWEEN 100 AND 102"),
    ("A16", "u1", Nothing, "SELECT note FROM PATIENT WHERE cost IS NOT NULL"),
    ("A16", "u1", Nothing, "SELECT note FROM PATIENT WHERE cost IS DISTINCT FROM NULL"),
    ("A16", "u2", Shown, "SELECT note FROM PATIENT WHERE cost BETWEEN 100 AND 102 ORDER BY dob"),
    ("A17", "u1", Nothing, "SELECT note FROM PATIENT WHERE name LIKE 'Wang%'"),
    ("A17", "u1", Nothing, "SELECT note FROM PATIENT WHERE name LIKE 'W_%'"),
    ("A17", "u1", Shown, "SELECT count(*) FROM PATIENT WHERE name LIKE 'W%'"),
    ("A17", "u1", Shown, "SELECT count(*) FROM PATIENT WHERE name = 'W'"),
    ("A17", "u1", Shown, "SELECT max(length(name)), count(DISTINCT name) FROM PATIENT"),
    ("A17", "u1", Nothing, "SELECT note FROM PATIENT WHERE regexp_like(name, 'ang|iu')"),
    ("A17", "u1", Nothing, "SELECT note FROM PATIENT WHERE starts_with(name, 'Wa') OR strpos(name, 'n') > 0"),
    ("A18", "u1", Shown, "SELECT max(r), min(r) FROM (SELECT rank() OVER (ORDER BY cost) AS r FROM PATIENT)"),
    ("A18", "u1", Shown, "SELECT max(r) FROM (SELECT dense_rank() OVER (ORDER BY cost DESC) AS r FROM PATIENT)"),
    ("A18", "u1", Shown, "SELECT max(r) FROM (SELECT dense_rank() OVER (ORDER BY name) AS r FROM PATIENT)"),
    ("A18", "u1", Shown, "SELECT name, note FROM PATIENT ORDER BY name, dob LIMIT 20"),
    ("A18", "u1", Shown, "SELECT note FROM PATIENT ORDER BY cost, dob LIMIT 20"),
    ("A18", "u1", Alike, "SELECT note FROM PATIENT ORDER BY cost LIMIT 20"),
    ("A18", "u1", Alike, "SELECT note, row_number() OVER (ORDER BY name), ntile(4) OVER (ORDER BY cost) FROM PATIENT"),
    ("A18", "u1", Alike, "SELECT note FROM PATIENT ORDER BY pid LIMIT 20"),
    ("A19", "u1", Shown, "SELECT count(*), max(c) FROM (SELECT pid, count(*) AS c FROM PATIENT GROUP BY pid)"),
    ("A19", "u1", Shown, "SELECT DISTINCT cost FROM PATIENT"),
    ("A19", "u1", Shown, "SELECT count(DISTINCT cost), sum(cost), min(cost), max(cost), count(cost) FROM PATIENT"),
    ("A19", "u1", Shown, "SELECT name, count(*) FROM PATIENT GROUP BY name"),
    ("A19", "u1", Shown, "SELECT cost, count(*) FROM PATIENT GROUP BY cost HAVING max(cost) IS NULL"),
    ("A19", "u1", Shown, "SELECT count(*) FROM (SELECT DISTINCT name, cost FROM PATIENT)"),
    (
        "A21",
        "u1",
        Shown,
        "SELECT DISTINCT EXP(LN(cost)), cost + 0, -cost, abs(cost), CAST(cost AS VARCHAR) FROM PATIENT",
    ),
    ("A21", "u1", Shown, "SELECT DISTINCT concat(name, ''), name || '', reverse(name), upper(name) FROM PATIENT"),
    ("A21", "u1", Shown, "SELECT DISTINCT CAST(name AS VARCHAR), substr(name, 1, 9), right(name, 9) FROM PATIENT"),
    ("A21", "u1", Shown, "SELECT DISTINCT encode(name, 'hex') FROM PATIENT"),
    ("A21", "u1", Shown, "SELECT DISTINCT struct(name) FROM PATIENT"),
    ("A21", "u1", Shown, "SELECT DISTINCT make_array(name) FROM PATIENT"),
    ("A21", "u1", Shown, "SELECT DISTINCT coalesce(CAST(cost AS VARCHAR), name) FROM PATIENT"),
    ("A21", "u1", Shown, "SELECT DISTINCT string_to_array(name, 'x'), ascii(name), md5(name) FROM PATIENT"),
    ("A21", "u1", Shown, "SELECT DISTINCT md5(CAST(cost AS VARCHAR)), to_hex(cost) FROM PATIENT"),
    ("A22", "u1", Shown, "SELECT DISTINCT lag(name) OVER (ORDER BY dob) FROM PATIENT"),
    ("A22", "u1", Shown, "SELECT DISTINCT lead(name) OVER (ORDER BY dob), lead(cost) OVER (ORDER BY dob) FROM PATIENT"),
    ("A22", "u1", Shown, "SELECT DISTINCT first_value(name) OVER (PARTITION BY ward ORDER BY dob) FROM PATIENT"),
    ("A22", "u1", Shown, "SELECT DISTINCT nth_value(name, 3) OVER (ORDER BY dob) FROM PATIENT"),
    (
        "A22",
        "u1",
        Shown,
        "SELECT first_value(name ORDER BY dob), last_value(name ORDER BY dob), max(name) FROM PATIENT",
    ),
    ("A22", "u1", Shown, "SELECT array_agg(name ORDER BY dob) FROM PATIENT WHERE note = '7'"),
    ("A22", "u1", Shown, "SELECT string_agg(name, ',' ORDER BY dob) FROM PATIENT WHERE note = '7'"),
    ("A24", "u1", Nothing, "SELECT note FROM PATIENT WHERE cost > 1"),
    ("A24", "u1", Nothing, "SELECT note FROM PATIENT WHERE cost > 1000000000"),
    ("A24", "u1", As("SELECT 0"), "SELECT count(*) FROM PATIENT WHERE cost > 1 OR pid < '2'"),
    ("A27", "u1", Alike, "SELECT note['k'] FROM PATIENT"),
    ("A27", "u1", Shown, "SELECT DISTINCT get_field(struct(name), 'c0') FROM PATIENT"),
    ("A27", "u1", Shown, "SELECT DISTINCT get_field(named_struct('n', name, 'c', cost), 'n') FROM PATIENT"),
    ("A27", "u1", Shown, "SELECT DISTINCT map_values(map(make_array('k'), make_array(name))) FROM PATIENT"),
    ("A27", "u1", Shown, "SELECT DISTINCT unnest(make_array(name)) FROM PATIENT"),
    ("A27", "u1", Shown, "SELECT DISTINCT array_element(make_array(name, name), 2) FROM PATIENT"),
    ("A29", "u1", Refused("STATEMENT"), "CREATE TABLE mine AS SELECT * FROM PATIENT"),
    ("A29", "u1", Refused("STATEMENT"), "CREATE VIEW mine AS SELECT * FROM PATIENT"),
    ("A29", "u1", Refused("STATEMENT"), "SELECT * INTO mine FROM PATIENT"),
    ("A29", "u1", Refused("STATEMENT"), "INSERT INTO PATIENT SELECT * FROM PATIENT"),
    ("A29", "u1", Refused("STATEMENT"), "COPY (SELECT * FROM PATIENT) TO '/tmp/mine.csv'"),
    ("A29", "u1", Refused("STATEMENT"), "COPY PATIENT TO '/tmp/mine.parquet'"),
    ("A29", "u1", Refused("STATEMENT"), "EXPLAIN ANALYZE COPY (SELECT * FROM PATIENT) TO '/tmp/mine.csv'"),
    ("A29", "u1", Refused("STATEMENT"), "PREPARE p AS SELECT * FROM PATIENT"),
    ("A58", "u1", Nothing, "SELECT note FROM PATIENT WHERE pid = '110105194900000100'"),
    (
        "A58",
        "u1",
        Nothing,
        "SELECT p.note FROM PATIENT p JOIN (VALUES ('110105194900000100')) AS v(id) ON p.pid = v.id",
    ),
    (
        "A58",
        "u1",
        Nothing,
        "SELECT note FROM PATIENT WHERE pid IN (SELECT id FROM (VALUES ('110105194900000100')) AS v(id))",
    ),
    (
        "A58",
        "u1",
        Nothing,
        "SELECT note FROM PATIENT WHERE CASE WHEN pid = '110105194900000100' THEN TRUE ELSE FALSE END",
    ),
    ("A58", "u1", Nothing, "SELECT note FROM PATIENT WHERE substr(pid, 1, 18) = '110105194900000100'"),
    ("A58", "u1", Nothing, "SELECT flag FROM WATCH WHERE pid = '110105194900000100'"),
    ("A58", "u1", Nothing, "SELECT flag FROM WATCH WHERE pid LIKE '1101051949%' AND flag <> 'none'"),
    ("A58", "u1", Nothing, "SELECT flag FROM WATCH WHERE pid IN ('110105194900000100', '110105194900000200')"),
    ("A58", "u1", Refused("FUNCTION"), "SELECT pseudonym('110105194900000100', 'person') FROM PATIENT"),
];

/// A18, in worlds in which costs stand in another order: [`harness::policy::fixture::World::Permuted`].
pub(super) const ORDER_OF_COSTS: &[Row] = &[
    ("A18", "u1", Shown, "SELECT note FROM PATIENT ORDER BY cost, dob LIMIT 20"),
    ("A18", "u1", Shown, "SELECT note FROM PATIENT ORDER BY cost DESC, dob DESC LIMIT 20"),
    ("A18", "u1", Alike, "SELECT note, dob FROM PATIENT ORDER BY cost LIMIT 20"),
    ("A18", "u1", Alike, "SELECT note, dob FROM PATIENT ORDER BY cost DESC LIMIT 20"),
    ("A18", "u1", Alike, "SELECT note, row_number() OVER (ORDER BY cost), ntile(4) OVER (ORDER BY cost) FROM PATIENT"),
    ("A18", "u1", Alike, "SELECT note, rank() OVER (PARTITION BY ward ORDER BY cost) FROM PATIENT"),
    ("A18", "u1", Alike, "SELECT first_value(note ORDER BY cost), last_value(note ORDER BY cost) FROM PATIENT"),
    ("A18", "u1", Alike, "SELECT array_agg(dob ORDER BY cost) FROM PATIENT WHERE note = '7'"),
    ("A16", "u1", Nothing, "SELECT note FROM PATIENT WHERE cost BETWEEN 100 AND 102"),
    ("A24", "u1", Nothing, "SELECT note FROM PATIENT WHERE cost > 1"),
];

#[tokio::test(flavor = "multi_thread")]
async fn masked_values_are_not_told_by_any_statement() {
    let mut attacks = Attacks::begin().await;
    attacks.run(MASKS).await;
    attacks.end();
}

/// A18: rows ordered by an identifier are in the order of its pseudonyms, which is not the identifiers' own.
#[tokio::test(flavor = "multi_thread")]
async fn a18_an_identifier_orders_by_its_pseudonym() {
    let mut attacks = Attacks::begin().await;
    for door in ["health", COORDINATOR] {
        let client = attacks.session(0, "u1", door).await.client;
        let asked = |sql: &'static str| {
            let client = client.clone();
            async move { client.query(sql).await.map(|answer| rows(&answer)).unwrap_or_default() }
        };
        let pids = asked("SELECT pid FROM health.registry.patient ORDER BY pid").await;
        attacks.check(
            i64::try_from(pids.len()) == Ok(PATIENTS_SHOWN) && pids.is_sorted(),
            format!("A18 at {door}: {} pseudonyms are not in their order: {:?}", pids.len(), pids.first()),
        );
        // Identifiers stand in the order of birth.
        let born = asked("SELECT dob FROM health.registry.patient ORDER BY pid LIMIT 100").await;
        attacks.check(
            born.len() == 100 && !born.is_sorted() && !born.iter().rev().is_sorted(),
            format!("A18 at {door}: patients stand in the order of their identifiers: {born:?}"),
        );
    }
    attacks.end();
}

/// A16: thirty steps of a search learn what one does.
#[tokio::test(flavor = "multi_thread")]
async fn a_binary_search_on_a_masked_column_learns_nothing() {
    let mut attacks = Attacks::begin().await;
    for step in 0..30 {
        let bound = 1_i64 << step;
        attacks
            .attack("A16", "u1", As("SELECT 0"), &format!("SELECT count(*) FROM PATIENT WHERE cost >= {bound}"))
            .await;
    }
    attacks.end();
}

/// A28: the same statement has the same answer however often it is asked; `CHANCERY_REPETITIONS` asks for more.
#[tokio::test(flavor = "multi_thread")]
async fn repetition_averages_nothing_away() {
    let repetitions: u32 = number("CHANCERY_REPETITIONS", if KEPT == Kept::AsFiles { 200 } else { 50 });
    let mut attacks = Attacks::begin().await;
    for door in ["health", COORDINATOR] {
        let client = attacks.session(0, "u1", door).await.client;
        let mut answers = std::collections::BTreeSet::new();
        for _ in 0..repetitions {
            let sql = "SELECT pid, name, cost, note FROM health.registry.patient WHERE note = '7' ORDER BY dob";
            answers.insert(client.query(sql).await.map(|answer| rows(&answer)));
        }
        let one =
            answers.len() == 1 && answers.first().is_some_and(|rows| rows.as_ref().is_ok_and(|rows| !rows.is_empty()));
        attacks.check(one, format!("A28 at {door}: {} distinct answers: {:?}", answers.len(), answers.first()));
    }
    attacks.end();
}

/// A58: a pseudonym that was seen finds its row, so what the attacks above compared with is the pseudonym.
#[tokio::test(flavor = "multi_thread")]
async fn a_pseudonym_finds_its_rows_and_is_the_same_at_both_doors() {
    let mut attacks = Attacks::begin().await;
    let mut seen = vec![];
    for door in ["health", COORDINATOR] {
        let client = attacks.session(0, "u1", door).await.client;
        let pids =
            client.query("SELECT pid FROM health.registry.patient ORDER BY dob").await.map(|answer| rows(&answer));
        let pids = pids.unwrap_or_default();
        let distinct = pids.iter().collect::<std::collections::BTreeSet<_>>().len();
        attacks.check(i64::try_from(distinct) == Ok(PATIENTS_SHOWN), format!("A58 at {door}: {distinct} pseudonyms"));
        let Some(first) = pids.first().map(|pid| pid.trim_matches('"').to_string()) else { continue };
        attacks.check(first.len() == 26, format!("A58 at {door}: {first} is no pseudonym"));
        let found = client.query(&format!("SELECT note FROM health.registry.patient WHERE pid = '{first}'")).await;
        let found = found.map(|answer| rows(&answer).len());
        attacks.check(found == Ok(1), format!("A58 at {door}: a pseudonym finds {found:?} rows"));
        let sql = "SELECT note FROM health.registry.patient WHERE pid = $1";
        for (parameter, expected) in [(first.as_str(), 1), ("110105194900000100", 0)] {
            let found = with_parameter(&client, sql, parameter).await;
            attacks
                .check(found == Ok(expected), format!("A58 at {door}: the parameter {parameter} finds {found:?} rows"));
        }
        seen.push(pids);
    }
    attacks.check(seen.len() == 2 && seen[0] == seen[1], "A58: other pseudonyms at the other door");
    attacks.end();
}

async fn with_parameter(client: &harness::cluster::Client, sql: &str, value: &str) -> Result<usize, String> {
    use arrow::array::{ArrayRef, RecordBatch, StringArray};
    let said = |error: arrow_flight::error::FlightError| harness::cluster::client::told(&error);
    let mut prepared = client.flight().prepare(sql.to_string(), None).await.map_err(said)?;
    let value: ArrayRef = std::sync::Arc::new(StringArray::from(vec![value]));
    prepared.set_parameters(RecordBatch::try_from_iter([("$1", value)]).unwrap()).map_err(said)?;
    let info = prepared.execute().await.map_err(said)?;
    client.fetch(info).await.map(|answer| rows(&answer).len())
}
