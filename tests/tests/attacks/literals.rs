//! A70: what an asker writes into a statement is kept nowhere but as a keyed hash, however the statement ends and however
//! much the nodes log; nor does it reach a server that holds the table, for rows of it are hidden.

use std::sync::Arc;

use futures::{StreamExt, stream};
use harness::policy::canary::{Canary, Sweep};

use super::server::kept_by_server;
use super::standing::kept;
use super::{Attacks, COORDINATOR, named};

/// Statements a door and world, which makes a thousand.
const STATEMENTS: i64 = 250;
/// Asked at one time, so that the nodes sync many records at once.
const AT_ONCE: usize = 16;

/// `{text}` and `{number}` are another literal each time.
const SHAPES: [&str; 20] = [
    "SELECT count(*) FROM PATIENT WHERE note <> '{text}' AND cost IS DISTINCT FROM {number}",
    "SELECT '{text}' AS told, {number} AS counted, count(*) FROM PATIENT",
    "WITH t AS (SELECT note FROM PATIENT WHERE note LIKE '{text}%') SELECT count(*) FROM t HAVING count(*) < {number}",
    "EXPLAIN SELECT note FROM PATIENT WHERE note = '{text}' OR cost = {number}",
    "EXPLAIN POLICY SELECT note FROM PATIENT WHERE note = '{text}'",
    "SELECT CAST('{text}' AS BIGINT) + count(*) FROM PATIENT",
    "SELECT count(CAST(concat('{text}', note) AS DATE)) FROM PATIENT",
    "SELECT sum(CAST({number} + length(note) AS SMALLINT)) FROM PATIENT",
    "SELECT {number} / (length(note) - length(note)) FROM PATIENT",
    "SELECT nosuch FROM PATIENT WHERE note = '{text}'",
    "SELECT 1 FROM health.registry.nosuch WHERE a = '{text}' AND b = {number}",
    "SELECT nosuch('{text}', {number}) FROM PATIENT",
    "SELECT note + make_array('{text}') FROM PATIENT",
    "SELECT DATE '{text}' FROM PATIENT",
    "SELECT INTERVAL '{text}' FROM PATIENT",
    "INSERT INTO PATIENT VALUES ('{text}', {number})",
    "COPY (SELECT '{text}') TO '/tmp/{text}.csv'",
    "SET purpose = '{text}'",
    "SELEC '{text}' {number}",
    "SELECT '{text}",
];

fn text(number: i64) -> String {
    format!("literal-of-an-asker-{number:04}")
}

const FIRST_NUMBER: i64 = 5_550_000_000;

#[tokio::test(flavor = "multi_thread")]
async fn what_an_asker_writes_is_in_no_log_and_no_record() {
    let mut attacks = Attacks::begin().await;
    for world in 0..2 {
        for door in ["health", COORDINATOR] {
            let session = attacks.session(world, "u1", door).await;
            let asked = (0..STATEMENTS).map(|number| {
                let shape = SHAPES[usize::try_from(number).unwrap() % SHAPES.len()];
                let sql = shape.replace("{text}", &text(number));
                let sql = named(&sql.replace("{number}", &(FIRST_NUMBER + number).to_string()));
                let raw = &session.raw;
                async move { raw.capture(&sql).await }
            });
            let captures: Vec<_> = stream::iter(asked).buffer_unordered(AT_ONCE).collect().await;
            let answered = captures.iter().filter(|capture| capture.error().is_none()).count();
            let both = answered >= 50 && captures.len() - answered >= 100;
            attacks.check(both, format!("A70 at {door}: {answered} statements of {} are answered", captures.len()));
        }
    }
    let literals =
        (0..STATEMENTS).flat_map(|number| [Canary::Text(text(number)), Canary::Number(FIRST_NUMBER + number)]);
    let sweep = Sweep::new(&literals.collect::<Vec<_>>());
    let worlds = Arc::clone(&attacks.worlds);
    for world in worlds.iter() {
        let kept = [kept(&world.cluster, &sweep), kept_by_server(&world.cluster, &sweep)].concat();
        attacks.check(kept.is_empty(), format!("A70: {}", kept.join("\n")));
    }
    drop(worlds);
    attacks.end();
}
