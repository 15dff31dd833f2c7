//! Columns that are told as aggregates only: A31–A48. A group of fewer than five people, or one that one of them makes up,
//! looks like a group that does not exist.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use datafusion::prelude::SessionContext;

use super::Expected::{As, Nothing, NothingOr, Refused, Shown};
use super::{Attacks, COORDINATOR, Row, named};

const AGGREGATES: &[Row] = &[
    (
        "A31",
        "u1",
        As("SELECT region, bracket, sum(income), count(DISTINCT pid) FROM TAXPAYER WHERE bracket <> 'dominated' \
            GROUP BY region, bracket HAVING count(DISTINCT pid) >= 5"),
        "SELECT region, bracket, sum(income), count(DISTINCT pid) FROM TAXPAYER GROUP BY region, bracket",
    ),
    (
        "A31",
        "u1",
        As(
            "SELECT bracket, region, count(income) FROM TAXPAYER GROUP BY region, bracket HAVING count(DISTINCT pid) >= 5",
        ),
        "SELECT bracket, region, count(income) FROM TAXPAYER GROUP BY region, bracket",
    ),
    (
        "A31",
        "u1",
        // Over both regions two share what one has in each, and six have no bracket.
        As("SELECT bracket, avg(income) FROM TAXPAYER GROUP BY bracket HAVING count(DISTINCT pid) >= 5"),
        "SELECT bracket, avg(income) FROM TAXPAYER GROUP BY bracket",
    ),
    ("A31", "u1", Shown, "SELECT region, sum(income), count(income) FROM TAXPAYER GROUP BY region"),
    ("A31", "u1", Shown, "SELECT sum(income), count(income), avg(income) FROM TAXPAYER"),
    ("A31", "u1", Shown, "SELECT region, bracket, count(*) FROM TAXPAYER GROUP BY region, bracket"),
    (
        "A31",
        "u1",
        Nothing,
        "SELECT region, sum(income) FROM TAXPAYER WHERE bracket = 'repeated' GROUP BY region, bracket",
    ),
    (
        "A32",
        "u1",
        NothingOr("AGGREGATE"),
        "SELECT sum(a.income) FROM TAXPAYER a JOIN TAXPAYER b ON a.region = b.region WHERE a.bracket = 'of 02'",
    ),
    (
        "A32",
        "u1",
        NothingOr("AGGREGATE"),
        "SELECT sum(a.income) FROM TAXPAYER a CROSS JOIN (VALUES (1), (2), (3), (4), (5)) AS v(n) WHERE a.bracket = 'of 02'",
    ),
    (
        "A32",
        "u1",
        NothingOr("AGGREGATE"),
        "SELECT sum(income) FROM (SELECT * FROM TAXPAYER UNION ALL SELECT * FROM TAXPAYER UNION ALL SELECT * FROM TAXPAYER) \
         WHERE bracket = 'of 02'",
    ),
    (
        "A32",
        "u1",
        NothingOr("AGGREGATE"),
        "SELECT sum(t.income) FROM TAXPAYER t LEFT JOIN PATIENT p ON p.region = t.region WHERE t.bracket = 'of 02'",
    ),
    (
        "A32",
        "u1",
        NothingOr("AGGREGATE"),
        "SELECT sum(income) FROM (SELECT income, unnest(make_array(1, 2, 3)) FROM TAXPAYER WHERE bracket = 'of 02')",
    ),
    ("A33", "u1", Refused("AGGREGATE"), "SELECT income FROM TAXPAYER"),
    ("A33", "u1", Refused("AGGREGATE"), "SELECT * FROM TAXPAYER"),
    ("A33", "u1", Refused("AGGREGATE"), "SELECT DISTINCT income FROM TAXPAYER"),
    ("A33", "u1", Refused("AGGREGATE"), "SELECT sum(DISTINCT income) FROM TAXPAYER"),
    ("A33", "u1", Refused("AGGREGATE"), "SELECT sum(income) FILTER (WHERE income > 20000) FROM TAXPAYER"),
    ("A33", "u1", Refused("AGGREGATE"), "SELECT sum(income) OVER (ORDER BY bracket) FROM TAXPAYER"),
    ("A33", "u1", Refused("AGGREGATE"), "SELECT count(*) FROM TAXPAYER GROUP BY income"),
    ("A33", "u1", Refused("AGGREGATE"), "SELECT bracket FROM TAXPAYER ORDER BY income"),
    ("A33", "u1", Refused("AGGREGATE"), "SELECT count(*) FROM TAXPAYER a JOIN TAXPAYER b ON a.income = b.income"),
    ("A33", "u1", Refused("AGGREGATE"), "SELECT row_number() OVER (ORDER BY income) FROM TAXPAYER"),
    ("A33", "u1", Refused("AGGREGATE"), "SELECT lag(income) OVER (ORDER BY bracket) FROM TAXPAYER"),
    ("A33", "u1", Refused("AGGREGATE"), "SELECT bracket FROM TAXPAYER WHERE income IN (SELECT income FROM TAXPAYER)"),
    ("A33", "u1", Refused("AGGREGATE"), "SELECT region, sum(income) FROM TAXPAYER GROUP BY ROLLUP (region, bracket)"),
    (
        "A33",
        "u1",
        Refused("AGGREGATE"),
        "SELECT region, sum(income) FROM TAXPAYER GROUP BY GROUPING SETS ((region), ())",
    ),
    ("A33", "u1", Refused("AGGREGATE"), "SELECT pid, sum(income) FROM TAXPAYER GROUP BY pid"),
    ("A34", "u1", Nothing, "SELECT sum(income) FROM TAXPAYER WHERE pid = '110105194900000000'"),
    (
        "A34",
        "u1",
        NothingOr("AGGREGATE"),
        "SELECT sum(income) FROM TAXPAYER WHERE pid = (SELECT min(pid) FROM TAXPAYER)",
    ),
    ("A34", "u1", Nothing, "SELECT sum(income) FROM TAXPAYER WHERE bracket LIKE 'of 02%'"),
    ("A34", "u1", Refused("AGGREGATE"), "SELECT sum(income) FROM TAXPAYER WHERE income > 50000"),
    ("A34", "u1", Refused("AGGREGATE"), "SELECT count(*) FROM TAXPAYER WHERE income BETWEEN 20000 AND 20100"),
    (
        "A34",
        "u1",
        Refused("AGGREGATE"),
        "SELECT count(*) FROM TAXPAYER WHERE CASE WHEN income > 50000 THEN TRUE ELSE FALSE END",
    ),
    (
        "A34",
        "u1",
        As("SELECT bracket FROM TAXPAYER GROUP BY bracket HAVING count(DISTINCT pid) >= 5 AND sum(income) > 300000"),
        "SELECT bracket FROM TAXPAYER GROUP BY bracket HAVING sum(income) > 300000",
    ),
    (
        "A34",
        "u1",
        Nothing,
        "SELECT bracket FROM TAXPAYER WHERE bracket = 'of 02' GROUP BY bracket HAVING sum(income) > 0",
    ),
    (
        "A34",
        "u1",
        Nothing,
        "SELECT bracket FROM TAXPAYER WHERE bracket = 'of 02' GROUP BY bracket HAVING NOT sum(income) > 0",
    ),
    ("A36", "u1", Refused("AGGREGATE"), "SELECT sum(1/(income-50000)) FROM TAXPAYER"),
    ("A36", "u1", Refused("AGGREGATE"), "SELECT sum(CAST(CAST(income AS VARCHAR) AS TINYINT)) FROM TAXPAYER"),
    ("A36", "u1", Refused("AGGREGATE"), "SELECT sum(income + 0) FROM TAXPAYER"),
    ("A36", "u1", Refused("AGGREGATE"), "SELECT sum(CAST(income AS SMALLINT)) FROM TAXPAYER"),
    ("A36", "u1", Refused("AGGREGATE"), "SELECT sum(CASE WHEN bracket = 'of 02' THEN income END) FROM TAXPAYER"),
    ("A36", "u1", Refused("AGGREGATE"), "SELECT sum(i) FROM (SELECT income * 10 AS i FROM TAXPAYER)"),
    ("A36", "u1", Refused("AGGREGATE"), "SELECT sum(coalesce(income, 0)) FROM TAXPAYER"),
    (
        "A41",
        "u1",
        Nothing,
        "SELECT region, bracket, sum(income) FROM TAXPAYER WHERE bracket IS NULL AND region = 'east' GROUP BY region, bracket",
    ),
    ("A41", "u1", Nothing, "SELECT sum(income) FROM TAXPAYER WHERE bracket IS NULL AND region = 'north'"),
    ("A41", "u1", Nothing, "SELECT count(income) FROM TAXPAYER WHERE bracket = 'of 04' AND region = 'north'"),
    ("A48", "u1", Nothing, "SELECT sum(income) FROM TAXPAYER WHERE bracket = 'dominated' AND region = 'north'"),
    ("A48", "u1", Nothing, "SELECT avg(income) FROM TAXPAYER WHERE bracket = 'dominated' AND region = 'north'"),
    (
        "A48",
        "u1",
        Nothing,
        "SELECT region, sum(income), count(income) FROM TAXPAYER WHERE bracket = 'dominated' GROUP BY region",
    ),
];

/// A33: what an aggregate may be called with. Each aggregate of the engine takes one of these, so that one that comes with an
/// upgrade is asked too, or fails the test. `{d}` is where DISTINCT may stand, `{o}` where an order may.
const ARGUMENTS: [&str; 7] = [
    "({d}income{o})",
    "({d}income > 0{o})",
    "({d}income, income{o})",
    "({d}income, 2{o})",
    "({d}CAST(income AS VARCHAR), ','{o})",
    "(0.5) WITHIN GROUP (ORDER BY income)",
    "(income, 1.0, 0.5{o})",
];
/// These may be called with an aggregate-only column; `mean` is `avg`.
const ALLOWED: [&str; 4] = ["sum", "avg", "mean", "count"];
/// Tells which keys a row is grouped by, and reads no value.
const OF_KEYS: &str = "grouping";

#[tokio::test(flavor = "multi_thread")]
async fn aggregate_only_columns_are_told_of_large_groups_alone() {
    let mut attacks = Attacks::begin().await;
    attacks.run(AGGREGATES).await;
    attacks.end();
}

/// The first way in which the engine itself takes a call of the aggregate.
async fn arguments(local: &SessionContext, name: &str) -> Option<&'static str> {
    for arguments in ARGUMENTS {
        let plain = arguments.replace("{d}", "").replace("{o}", "");
        if is_planned(local, &format!("SELECT {name}{plain} FROM taxpayer")).await {
            return Some(arguments);
        }
    }
    None
}

async fn is_planned(local: &SessionContext, sql: &str) -> bool {
    match local.sql(sql).await {
        Ok(frame) => frame.create_physical_plan().await.is_ok(),
        Err(_) => false,
    }
}

/// A33: every aggregate that DataFusion has, in every form. (That both worlds refuse alike the rows above show; here one is
/// asked.)
#[tokio::test(flavor = "multi_thread")]
async fn a33_no_other_aggregate_takes_an_aggregate_only_column() {
    let mut attacks = Attacks::begin().await;
    let local = SessionContext::new();
    let income: ArrayRef = Arc::new(Int64Array::from(vec![1]));
    let text: ArrayRef = Arc::new(StringArray::from(vec!["a"]));
    let columns = [("income", income), ("region", Arc::clone(&text)), ("bracket", text)];
    local.register_batch("taxpayer", RecordBatch::try_from_iter(columns).unwrap()).unwrap();
    let names: BTreeSet<String> = local.state().aggregate_functions().keys().cloned().collect();
    assert!(names.len() >= 46, "only {} aggregates", names.len());
    let mut asked = 0;
    for name in names.iter().filter(|name| !ALLOWED.contains(&name.as_str()) && *name != OF_KEYS) {
        let Some(arguments) = arguments(&local, name).await else {
            attacks.check(false, format!("A33: it is not known here how {name} is called; add its arguments"));
            continue;
        };
        let call =
            |distinct: &str, order: &str| format!("{name}{}", arguments.replace("{d}", distinct).replace("{o}", order));
        let plain = call("", "");
        let forms = [
            plain.clone(),
            format!("{plain} FILTER (WHERE region = 'north')"),
            call("DISTINCT ", ""),
            call("", " ORDER BY bracket"),
            format!("{plain} OVER ()"),
        ];
        let grouped = format!("SELECT region, {plain} FROM taxpayer GROUP BY region");
        let statements = forms.map(|form| format!("SELECT {form} FROM taxpayer"));
        for sql in statements.into_iter().chain([grouped]) {
            // What the engine does not take in this form, nobody can ask.
            if !is_planned(&local, &sql).await {
                continue;
            }
            let sql = sql.replace("taxpayer", "TAXPAYER");
            for door in ["revenue", COORDINATOR] {
                let error = attacks.session(0, "u1", door).await.client.query(&named(&sql)).await.err();
                attacks.refused(&format!("A33 u1 at {door}: {sql}"), "AGGREGATE", error);
                asked += 1;
            }
        }
    }
    attacks.check(asked > 300, format!("A33: only {asked} statements"));
    attacks.end();
}

/// A42: nothing tells a group that is too small from one that does not exist.
#[tokio::test(flavor = "multi_thread")]
async fn suppressed_empty_and_nonexistent_groups_are_alike() {
    let mut attacks = Attacks::begin().await;
    let statements = [
        "SELECT sum(income) AS s FROM TAXPAYER WHERE bracket = ",
        "SELECT count(income) AS s FROM TAXPAYER WHERE bracket = ",
        "SELECT bracket, avg(income) AS s FROM TAXPAYER WHERE region = 'east' GROUP BY bracket HAVING bracket = ",
        "SELECT region, count(DISTINCT income) AS s, sum(income) AS t FROM TAXPAYER GROUP BY region, bracket HAVING bracket = ",
    ];
    for door in ["revenue", COORDINATOR] {
        for statement in statements {
            let mut captures = vec![];
            // Of two people, of nobody whom the asker may see, of nobody at all; each as long as the others.
            for bracket in ["'of 02'", "'of 00'", "'of xx'"] {
                let sql = named(&format!("{statement}{bracket}"));
                let mut capture = attacks.alike(&format!("A42 at {door}: {sql}"), "u1", door, &sql).await;
                attacks.check(capture.error().is_none(), format!("A42 at {door}: {sql}: {:?}", capture.error()));
                // It repeats the statement.
                capture.parts.retain(|part| part.name != "FlightInfo");
                captures.push(capture);
            }
            for other in &captures[1..] {
                let difference = captures[0].difference(other);
                attacks.check(difference.is_none(), format!("A42 at {door}: {statement}: {difference:?}"));
            }
        }
    }
    attacks.end();
}
