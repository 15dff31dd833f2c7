//! E1: an error holds no value, shown or hidden, whatever option of a function was computed from rows: what an error tells is
//! neither counted, nor charged, nor recorded. And LATERAL over what is told as aggregates only (A33, A34).

use super::Expected::{Refused, Shown};
use super::{Attacks, COORDINATOR, Row, doors, named};

/// Functions with a text that chooses what they do, and casts; `{}` is computed from rows.
const OPTIONS: &[&str] = &[
    "SELECT encode('a', {})",
    "SELECT decode('a', {})",
    "SELECT date_trunc({}, TIMESTAMP '2020-01-01')",
    "SELECT date_part({}, TIMESTAMP '2020-01-01')",
    "SELECT digest('a', {})",
    "SELECT regexp_like('a', 'b', {})",
    "SELECT regexp_replace('a', 'b', 'c', {})",
    "SELECT regexp_count('a', 'b', 1, {})",
    "SELECT regexp_match('a', {} || '(')",
    "SELECT 'a' ~ ({} || '(')",
    "SELECT to_timestamp('2020', {})",
    "SELECT to_timestamp({})",
    "SELECT to_date('x', {})",
    "SELECT to_date({})",
    "SELECT to_char(DATE '2020-01-01', {})",
    "SELECT to_unixtime({})",
    "SELECT arrow_cast('1', {})",
    "SELECT arrow_cast({}, 'Int64')",
    "SELECT CAST({} AS BIGINT)",
    "SELECT CAST({} AS DATE)",
    "SELECT CAST({} AS INTERVAL)",
    "SELECT CAST({} AS DECIMAL(9, 2))",
    "SELECT 1 + CAST({} AS INT)",
    "SELECT repeat('a', {})",
    "SELECT chr(CAST(length({}) AS BIGINT) * 1000000000)",
];

/// What is shown, each value marked: in one text, and one of it. A shown note is a number.
const COMPUTED: &[&str] =
    &["(SELECT string_agg('shown-' || note, ',') FROM PATIENT)", "(SELECT max('shown-' || note) FROM PATIENT)"];

#[tokio::test(flavor = "multi_thread")]
async fn no_error_tells_a_value() {
    let mut attacks = Attacks::begin().await;
    let mut errors = 0;
    let of_rows = OPTIONS.iter().map(|option| format!("{} FROM PATIENT", option.replace("{}", "('shown-' || note)")));
    let of_all = OPTIONS.iter().flat_map(|option| COMPUTED.iter().map(|computed| option.replace("{}", computed)));
    for sql in of_rows.chain(of_all) {
        for door in doors(&sql) {
            let what = format!("E1 at {door}: {sql}");
            let Some(error) = attacks.alike(&what, "u1", door, &named(&sql)).await.error() else { continue };
            errors += 1;
            let is_told = (0..10).any(|digit| error.contains(&format!("shown-{digit}")));
            attacks.check(!is_told && error.len() < 400, format!("{what}\n  a value is told: {error:.300}"));
            let code = error.split(':').next().unwrap_or_default();
            attacks.check(
                ["EVAL", "TYPE", "FUNCTION", "UNSUPPORTED", "MEMORY"].contains(&code),
                format!("{what}\n  {error:.300}"),
            );
        }
    }
    attacks.check(errors > OPTIONS.len() * 2, format!("only {errors} statements failed"));
    attacks.end();
}

const LATERAL: &[Row] = &[
    (
        "A34",
        "u1",
        Refused("AGGREGATE"),
        "SELECT v.x FROM TAXPAYER t, LATERAL (SELECT x FROM (VALUES (1), (2)) w(x) WHERE w.x = t.income) v",
    ),
    (
        "A31",
        "u1",
        Shown,
        "SELECT v.x, count(*) FROM TAXPAYER t, LATERAL (SELECT x FROM (VALUES ('north'), ('x')) w(x) WHERE w.x = t.region) v \
         GROUP BY v.x",
    ),
];

/// LATERAL that DataFusion plans at no coordinator, which refuses it before a site is asked.
const LATERAL_AT_THE_SITE: &[&str] = &[
    "SELECT v.x FROM TAXPAYER t CROSS JOIN LATERAL (SELECT x + t.income AS x FROM (VALUES (1), (2)) w(x)) v",
    "SELECT v.x FROM TAXPAYER t, LATERAL (SELECT max(x) AS x FROM (VALUES (1), (2)) w(x) WHERE w.x < t.income) v",
];

#[tokio::test(flavor = "multi_thread")]
async fn a_subquery_beside_the_table_tells_nothing_of_aggregate_only_columns() {
    let mut attacks = Attacks::begin().await;
    attacks.run(LATERAL).await;
    for sql in LATERAL_AT_THE_SITE {
        let at_site = attacks.alike(sql, "u1", "revenue", &named(sql)).await.error();
        attacks.refused(&format!("A33 at revenue: {sql}"), "AGGREGATE", at_site);
        let error = attacks.alike(sql, "u1", COORDINATOR, &named(sql)).await.error();
        attacks.check(error.is_some(), format!("A33 at the coordinator: {sql}: it is answered"));
        attacks.closed(sql, error);
    }
    attacks.end();
}
