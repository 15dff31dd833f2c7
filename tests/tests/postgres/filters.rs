//! What is pushed gives DataFusion's own answer: the same filters over the server and over the rows in memory.

use harness::postgres::Postgres;
use harness::source::{in_memory, rows, session};

use super::{open, source};

/// Filters that the server evaluates.
const PUSHED: &[&str] = &[
    "n > 0",
    "n <> -1 AND n IS NOT NULL",
    "NOT (n BETWEEN -5 AND 5)",
    "n IN (1, 7, 9223372036854775807)",
    "n NOT IN (1, 7)",
    "small = 3 OR n < 0",
    "flag",
    "NOT flag",
    "flag IS NOT TRUE",
    "label = 'a'",
    "label = 'A'",
    "label <> 'ß'",
    "label IN ('é', 'e', '')",
    "label NOT IN ('x', 'ab')",
    "label = 'it''s \\ %'",
    "label <> 'a\0'",
    "label IN ('x', 'ab\0')",
    "label NOT IN ('\0')",
    "padded = 'ab'",
    "padded <> 'ab'",
    "id = '0b0e3a56-3b52-4d2c-9a9f-6f0c2a6a7a01'",
    "mood IN ('happy', 'sad')",
    "day >= DATE '2024-02-29'",
    "day BETWEEN DATE '0001-01-01' AND DATE '1999-12-31'",
    "at < TIMESTAMP '2024-02-29 12:00:00.123456'",
    "amount > 0.05",
    "amount = 1.50",
    "ratio IS NULL",
    "tags IS NOT NULL AND n = 1",
    "ratio > 1.0",
    "label < 'b'",
    "label LIKE 'a%'",
    "length(label) = 1",
];

/// Filters that stay at the site.
const KEPT: &[&str] = &["ratio = 0.0", "label ILIKE 'a%'", "n + 1 > 3", "upper(label) = 'A'"];

const TABLE: &str = "
    CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
    CREATE TABLE t (n int8, small int2, flag bool, label text, padded char(5), id uuid, mood mood, day date, at timestamp,
                    amount numeric(10, 2), ratio float8, tags text[]);
    INSERT INTO t VALUES
      (1, 3, true, 'a', 'ab', '0b0e3a56-3b52-4d2c-9a9f-6f0c2a6a7a01', 'sad', '2024-02-29', '2024-02-29 12:00:00.123456',
       1.5, 0, '{a}'),
      (-1, NULL, false, 'A', 'ab   ', NULL, 'happy', '1999-12-31', '2024-02-29 12:00:00.123455', 0.05, -0.0::float8, NULL),
      (7, 3, NULL, 'é', 'AB', '0b0e3a56-3b52-4d2c-9a9f-6f0c2a6a7a02', 'ok', '0001-01-01', '1969-12-31 23:59:59',
       -1.5, 'NaN', '{}'),
      (9223372036854775807, -32768, true, '', '', NULL, NULL, '0044-03-15 BC', NULL, NULL, 'Infinity', '{NULL}'),
      (-9223372036854775808, 0, false, 'it''s \\ %', 'a b', NULL, 'sad', NULL, '2100-01-01', 99999999.99, 1.5, NULL),
      (NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
      (0, 1, true, 'ß', 'ss', NULL, 'ok', '2024-03-01', '2024-01-01', 0, 2, NULL),
      (2, 2, false, 'x', 'ab', NULL, 'ok', '2000-01-01', '2000-01-01', 0.01, 3, '{b,c}')";

#[tokio::test(flavor = "multi_thread")]
async fn a_pushed_filter_gives_the_same_rows() {
    let server = Postgres::start().await;
    server.admin().await.run(TABLE).await;
    let ctx = session(&source(&server, "").await, &["t"]).await;
    let memory = in_memory(&ctx, "t").await;
    for (filters, is_pushed) in [(PUSHED, true), (KEPT, false)] {
        for filter in filters {
            let sql = format!("SELECT n, label, padded FROM t WHERE {filter} ORDER BY n NULLS FIRST");
            let plan = rows(&ctx, &format!("EXPLAIN {sql}")).await.unwrap();
            assert_eq!(!plan.contains("FilterExec"), is_pushed, "{filter}: {plan}");
            let (came, expected) = (rows(&ctx, &sql).await.unwrap(), rows(&memory, &sql).await.unwrap());
            assert_eq!(came, expected, "{filter}");
            let negated = sql.replace(&format!("WHERE {filter}"), &format!("WHERE NOT ({filter})"));
            assert_eq!(rows(&ctx, &negated).await.unwrap(), rows(&memory, &negated).await.unwrap(), "NOT ({filter})");
        }
    }
    assert!(server.log().contains("WHERE (\"t0\".\"label\" = 'a')"), "the server was asked");
}

/// What a filter would mean of other bytes than those that are served, nobody knows.
#[tokio::test(flavor = "multi_thread")]
async fn of_a_database_in_another_encoding_no_text_is_compared() {
    let server = Postgres::start().await;
    let create = "CREATE DATABASE old TEMPLATE template0 ENCODING 'LATIN1' LOCALE_PROVIDER libc LOCALE 'C'";
    server.admin().await.run(create).await;
    let table = "CREATE TABLE t (n int8, label text); INSERT INTO t VALUES (1, 'é'), (2, 'a'), (3, 'z')";
    server.admin_of("old").await.run(table).await;
    let mut options = server.options("public");
    options.insert("database".into(), "old".into());
    let ctx = session(&open(options).await, &["t"]).await;
    for (filter, is_pushed, expect) in [
        ("n > 1", true, "a\nz"),
        ("label IS NOT NULL", true, "a\nz\né"),
        ("label = 'é'", false, "é"),
        ("label > 'b'", false, "z\né"),
        ("CASE WHEN n = 1 THEN 'é' ELSE 'b' END > 'c'", false, "é"),
    ] {
        let sql = format!("SELECT label FROM t WHERE {filter} ORDER BY label");
        let plan = rows(&ctx, &format!("EXPLAIN {sql}")).await.unwrap();
        assert_eq!(!plan.contains("FilterExec"), is_pushed, "{filter}: {plan}");
        assert_eq!(rows(&ctx, &sql).await.unwrap(), expect, "{filter}");
    }
}
