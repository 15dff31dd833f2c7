//! What is pushed gives DataFusion's own answer: the same filters over the server and over the rows in memory.

use harness::mariadb::MariaDb;
use harness::source::{in_memory, rows, session};

use super::source;

/// Filters that the server evaluates.
const PUSHED: &[&str] = &[
    "n > 0",
    "n <> -1 AND n IS NOT NULL",
    "NOT (n BETWEEN -5 AND 5)",
    "n IN (1, 7, 9223372036854775807)",
    "n NOT IN (1, 7)",
    "small = 3 OR n < 0",
    "tiny >= 200",
    "big = 18446744073709551615",
    "big > 9223372036854775807",
    "year = 2024",
    "year < 30",
    "bits = 5",
    "bit",
    "flag",
    "NOT flag",
    "flag IS NOT TRUE",
    "label = 'a'",
    "label = 'A'",
    "label = 'a '",
    "label <> 'ß'",
    "label IN ('é', 'e', '')",
    "label NOT IN ('x', 'ab')",
    "label = 'it''s \\ %'",
    "label = 'a:b\\'",
    "label IN ('it''s \\ %', 'a:b\\', ':n')",
    "label <> 'a:b\\' AND label <> '?:n'",
    "label = 'a\0b'",
    "label LIKE 'a\0%'",
    "label || ':x\\' = 'a:x\\'",
    "coalesce(label, '\\:n') = '\\:n'",
    "CASE WHEN n = 1 THEN '\\' ELSE label END = '\\'",
    "label < 'b'",
    "label >= 'é'",
    "label LIKE 'a%'",
    "starts_with(label, 'a')",
    "label LIKE '%\u{1F600}_'",
    "length(label) = 1",
    "octet_length(old) = 2",
    "substr(label, 1, 1) = 'a'",
    "label || 'x' = 'ax'",
    "concat(label, old) = 'a'",
    "padded = 'ab'",
    "padded <> 'ab'",
    "old = 'é'",
    "old > 'e'",
    "gbk = '北'",
    "gbk < '北'",
    "mood IN ('happy', 'sad')",
    "mood < 'ok'",
    "note = 'long'",
    "doc LIKE '%1%'",
    "day >= DATE '2024-02-29'",
    "day BETWEEN DATE '0001-01-01' AND DATE '1999-12-31'",
    "date_part('year', day) = 2024",
    "date_part('quarter', day) = 1",
    "at < TIMESTAMP '2024-02-29 12:00:00.123456'",
    "date_part('hour', at) = 12",
    "moment >= TIMESTAMP '2024-02-29 12:00:00Z'",
    "moment < TIMESTAMP '2050-01-01 00:00:00Z'",
    "span > arrow_cast('12:00:00', 'Time64(Microsecond)')",
    "amount > 0.05",
    "amount = 1.50",
    "amount * 2 = 3",
    "data = X'00FF'",
    "data > X'00'",
    "n % 7 = 1 AND n / 3 = 0",
    "coalesce(small, 0) = 3",
    "nullif(label, 'a') IS NULL",
    "CASE WHEN n = 1 THEN 'é' ELSE label END = 'é'",
    "ratio IS NULL",
    "ratio > 1.0",
    "single < 0.1",
];

/// Filters that stay at the site.
const KEPT: &[&str] = &[
    "ratio = 0.0",
    "ratio < single",
    "label ILIKE 'a%'",
    "n + 1 > 3",
    "upper(label) = 'A'",
    "amount / 2 > 1",
    "date_part('second', at) = 1",
];

const TABLE: &str = "
    CREATE TABLE t (n bigint, small smallint, tiny tinyint unsigned, big bigint unsigned, year year, bits bit(4), bit bit(1),
                    flag boolean, label varchar(40), padded char(5), old varchar(20) CHARACTER SET latin1,
                    gbk varchar(10) CHARACTER SET gbk, mood enum('sad', 'ok', 'happy'), note text, doc json, day date,
                    at datetime(6), moment timestamp(3) NULL, span time(3), amount decimal(10, 2), data varbinary(10),
                    ratio double, single float, KEY (label));
    INSERT INTO t VALUES
      (1, 3, 200, 18446744073709551615, 2024, b'101', b'1', true, 'a', 'ab', 'é', '北', 'sad', 'long', '{\"a\":1}',
       '2024-02-29', '2024-02-29 12:00:00.123456', '2024-02-29 12:00:00', '12:00:00.001', 1.5, X'00FF', 0, 0.1),
      (-1, NULL, 255, 9223372036854775807, 2030, b'0', b'0', false, 'A', 'ab   ', 'e', 'a', 'happy', 'Long', '[]',
       '1999-12-31', '2024-02-29 12:00:00.123455', '2024-02-29 11:59:59.999', '12:00', 0.05, X'00', -0.5, -1.5),
      (7, 3, 0, 0, 1970, b'1111', NULL, NULL, 'é', 'AB', 'z', '京', 'ok', NULL, NULL, '0001-01-01', '1969-12-31 23:59:59',
       '2037-01-01', '23:59:59.999', -1.5, X'', 1.7976931348623157e308, 0.1),
      (9223372036854775807, -32768, 1, 1, 1901, NULL, b'1', true, '', '', '', '', NULL, '', '1', '9999-12-31', NULL, NULL,
       NULL, NULL, NULL, 1e-300, 0),
      (-9223372036854775808, 0, 2, 2, 2155, b'1', b'0', false, 'it''s \\ %', 'a b', 'É', 'A', 'sad', 'long ', '{}', NULL,
       '2100-01-01', NULL, '00:00', 99999999.99, X'FF', 1.5, 1e30),
      (NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
       NULL, NULL, NULL),
      (0, 1, 3, 3, 2000, b'10', b'1', true, 'ß', 'ss', 'ß', 'b', 'ok', 'x', '2', '2024-03-01', '2024-01-01', '2024-01-01',
       '01:00', 0, X'0000', 2, 2),
      (2, 2, 4, 4, 2024, b'101', b'1', false, 'a ', 'ab', 'e ', 'a ', 'ok', 'x ', '3', '2000-01-01', '2000-01-01',
       '2000-01-01', '02:00', 0.01, X'00FF00', 3, 3),
      (8, 2, 4, 4, 0, b'101', b'1', false, 'a\u{1F600}b', 'ab', 'e', 'a', 'ok', 'x', '3', '2000-01-01', '2000-01-01',
       '2000-01-01', '02:00', 0.01, X'00FF00', 3, 3);
    INSERT INTO t (n, label) VALUES (9, 'a:b\\'), (10, CONCAT('a', X'00', 'b'))";

#[tokio::test(flavor = "multi_thread")]
async fn a_pushed_filter_gives_the_same_rows() {
    let server = MariaDb::start().await;
    server.admin().await.run(TABLE).await;
    let ctx = session(&source(&server, "").await, &["t"]).await;
    let memory = in_memory(&ctx, "t").await;
    let mut wrong = Vec::new();
    for (filters, is_pushed) in [(PUSHED, true), (KEPT, false)] {
        for filter in filters {
            let sql = format!("SELECT n, label, padded FROM t WHERE {filter} ORDER BY n NULLS FIRST");
            let plan = rows(&ctx, &format!("EXPLAIN {sql}")).await.unwrap();
            if plan.contains("FilterExec") == is_pushed {
                wrong.push(format!("{filter}: pushed is not {is_pushed}: {plan}"));
            }
            let negated = sql.replace(&format!("WHERE {filter}"), &format!("WHERE NOT ({filter})"));
            for sql in [sql, negated] {
                let (came, expected) = (rows(&ctx, &sql).await, rows(&memory, &sql).await);
                match (came, expected) {
                    (Ok(came), Ok(expected)) if came == expected => {}
                    (came, expected) => wrong.push(format!("{sql}:\n{came:?}\n{expected:?}")),
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    let log = server.log();
    assert!(log.contains("(\"t0\".\"label\" = ('a')) AND (\"t0\".\"label\" COLLATE utf8mb4_nopad_bin = 'a')"), "{log}");
}
