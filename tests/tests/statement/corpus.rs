//! Hard statements over small nasty tables: what generators of SQL get wrong.

use datafusion::prelude::SessionContext;

/// A statement, and whether its answer has one order.
pub(super) struct Case {
    pub(super) sql: String,
    pub(super) ordered: bool,
}

const TABLES: &[&str] = &[
    "CREATE TABLE t1 AS SELECT
        arrow_cast(column1, 'Int64') AS a, column2 AS b, arrow_cast(column3, 'Decimal128(10, 2)') AS c,
        arrow_cast(column4, 'Date32') AS d, arrow_cast(column5, 'Float64') AS f, column6 AS h,
        arrow_cast(column7, 'Timestamp(ns)') AS ts, arrow_cast(column7, 'Timestamp(ms, \"+08:00\")') AS tz
     FROM (VALUES
        (1, 'x', 1.10, '2024-01-31', 0.5, true, '2024-02-29T12:00:00'),
        (2, 'y', -2.25, '2024-02-29', 'NaN', false, '2024-12-31T23:59:59'),
        (3, 'it''s', 0.00, '1969-12-31', '-inf', NULL, '1970-01-01T00:00:00'),
        (3, 'x', 99.99, NULL, -0.0, true, NULL),
        (NULL, NULL, NULL, '2000-01-01', NULL, NULL, '2024-02-29T12:00:00'),
        (7, 'a_b%c', 5.00, '2024-01-31', 1e300, false, '2001-09-09T01:46:40'),
        (-4, '名前', 12.34, '2023-06-15', 3.25, true, '2024-03-31T02:30:00'))",
    "CREATE TABLE t2 AS SELECT
        arrow_cast(column1, 'Int64') AS a, arrow_cast(column2, 'Utf8View') AS b, arrow_cast(column3, 'Int32') AS x
     FROM (VALUES (1, 'x', 10), (2, 'z', 20), (2, 'y', NULL), (NULL, 'n', 40), (8, 'x', 0), (3, NULL, 7))",
    "CREATE TABLE t3 AS SELECT arrow_cast(column1, 'Int64') AS k, arrow_cast(column2, 'UInt8') AS v
     FROM (VALUES (1, 1), (2, 2), (3, 3), (7, 255))",
    "CREATE TABLE lists AS SELECT column1 AS id, make_array(column1, column2, NULL) AS l
     FROM (VALUES (1, 5), (2, 6), (3, 7))",
    "CREATE TABLE \"Odd 表\" AS SELECT column1 AS \"Col umn\", column2 AS \"Q\"\"uote\", column3 AS \"名\",
        column4 AS \"a.b\", column5 AS \"SELECT\", column6 AS \"c0_0\"
     FROM (VALUES (1, 'a', 1.5, true, 'k', 1), (2, 'b', NULL, false, 'l', 2), (1, 'c', 2.5, true, 'm', 3))",
    "CREATE TABLE n0 AS SELECT column1 AS c0_0, column2 AS t0 FROM (VALUES (1, 'p'), (2, 'q'))",
];

pub(super) async fn session_with_tables(ctx: SessionContext) -> SessionContext {
    for table in TABLES {
        ctx.sql(table).await.unwrap_or_else(|error| panic!("{table}\n{error}")).collect().await.unwrap();
    }
    ctx
}

pub(super) fn statements() -> Vec<Case> {
    let case = |ordered| move |sql: &&str| Case { sql: (*sql).to_owned(), ordered };
    ANY_ORDER.iter().map(case(false)).chain(ONE_ORDER.iter().map(case(true))).collect()
}

/// Statements that no text says, with the operator that is to blame.
pub(super) fn refused_statements() -> Vec<(&'static str, &'static str)> {
    vec![
        (
            "WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r WHERE n < 5) SELECT n FROM r",
            "recursive query",
        ),
        ("SELECT a FROM t1 WHERE random() < 0.5", "random"),
        ("SELECT id, unnest(l) FROM lists", "unnest"),
        ("SELECT a, EXISTS (SELECT 1 FROM t2 WHERE t2.a = t1.a) FROM t1", "Exists"),
        ("SELECT named_struct('p', a) FROM t1", "named_struct"),
        ("SELECT a FROM t1 WHERE b SIMILAR TO 'x|y'", "RLike"),
        ("SELECT uuid()", "uuid"),
        (
            "SELECT count(*) FROM t1 GROUP BY CUBE (a, b, c, d, f, h, ts, tz, a + 1, a + 2, a + 3, a + 4, a + 5)",
            "grouping set",
        ),
        ("SELECT b, count(*) FROM t1 GROUP BY GROUPING SETS ((b), (b))", "grouping set"),
    ]
}

const ANY_ORDER: &[&str] = &[
    // Filters and NULLs.
    "SELECT a, b FROM t1 WHERE a > 1 AND (b = 'x' OR b IS NULL)",
    "SELECT a FROM t1 WHERE NOT (a > 2)",
    "SELECT a, h IS TRUE, h IS NOT FALSE, h IS UNKNOWN, NOT h FROM t1",
    "SELECT a FROM t1 WHERE a BETWEEN -5 AND 2",
    "SELECT a FROM t1 WHERE a NOT BETWEEN 1 AND 2 OR a IS NULL",
    "SELECT a FROM t1 WHERE a IN (1, 3, -4) AND b NOT IN ('x', 'z')",
    "SELECT a FROM t1 WHERE a IN (1, 2, 3, 4, 5, 6, 7, NULL)",
    "SELECT a, b FROM t1 WHERE b LIKE 'a!_b!%%' ESCAPE '!' OR b ILIKE 'X' OR b NOT LIKE '%s'",
    "SELECT b FROM t1 WHERE b ~ '^[a-z]$' OR b !~* 'X'",
    "SELECT a IS DISTINCT FROM 3, a IS NOT DISTINCT FROM NULL FROM t1",
    "SELECT -a, - - a, +a, -(-5), 1 - -1, a - -a, -c, -f FROM t1",
    "SELECT a + 1 * 2 - (3 - a), a / 2, a % 2, (a + 1) * (a - 1) FROM t1",
    "SELECT f, f = f, f > 1e10, f = arrow_cast('NaN', 'Float64'), isnan(f) FROM t1",
    "SELECT f FROM t1 WHERE f <> arrow_cast('NaN', 'Float64') AND f > arrow_cast('-inf', 'Float64')",
    // Expressions.
    "SELECT CASE a WHEN 1 THEN 'one' WHEN 2 THEN 'two' ELSE b END FROM t1",
    "SELECT CASE WHEN a > 1 THEN c WHEN a IS NULL THEN 0 END FROM t1",
    "SELECT coalesce(b, 'none'), nullif(a, 3), greatest(a, 2), least(a, 2) FROM t1",
    "SELECT extract(year FROM d), extract(month FROM ts), date_trunc('month', ts), date_part('dow', d) FROM t1",
    "SELECT substring(b FROM 1 FOR 2), position('s' IN b), trim(b), trim(LEADING 'x' FROM b), trim(BOTH 'y' FROM b) FROM t1",
    "SELECT upper(b), b || '-' || b || 'it''s', length(b), concat(b, a), left(b, 1), lpad(b, 5, '*'), replace(b, '''', '\"') FROM t1",
    "SELECT d + interval '1' month, d - interval '1 day 2 hours', ts + interval '-1.5 seconds', ts - ts FROM t1",
    "SELECT d FROM t1 WHERE d >= date '2024-01-31' AND d < date '2024-01-31' + interval '1' month",
    "SELECT tz, tz > timestamp '2020-01-01 00:00:00', arrow_cast(ts, 'Timestamp(us, \"UTC\")') FROM t1",
    "SELECT ts FROM t1 WHERE tz >= arrow_cast('2024-02-29T12:00:00+08:00', 'Timestamp(ms, \"+08:00\")')",
    "SELECT c * 2, c + 1.005, c / 3, c % 2, round(c, 1), abs(c), cast(c AS bigint), cast(a AS double) FROM t1",
    "SELECT c FROM t1 WHERE c > 0.05 AND c < 99.995",
    "SELECT try_cast(b AS int), cast(a AS varchar), cast(a AS decimal(5, 1)) AS n FROM t1",
    "SELECT X'00FF', arrow_cast('1', 'UInt16'), arrow_cast(5, 'Duration(s)'), NULL, true, interval '14 months -3 days'",
    "SELECT l[1], array_length(l), array_has(l, 5), make_array(1, 2, id), l = make_array(1, 5, NULL) FROM lists",
    "SELECT v & 3, v | 8, v << 1, v >> 1 FROM t3",
    "SELECT power(a, 2), sqrt(abs(a)), ln(abs(a) + 1), floor(f), ceil(c), signum(a) FROM t1",
    "SELECT md5(b), sha256(b), encode(X'AB', 'hex'), to_hex(abs(a)) FROM t1",
    // Joins.
    "SELECT t1.a, t2.x FROM t1 JOIN t2 ON t1.a = t2.a",
    "SELECT t1.a, t2.x FROM t1 JOIN t2 ON t1.a = t2.a AND t2.x > t1.a WHERE t1.b = 'x'",
    "SELECT t1.a, t2.x FROM t1 LEFT JOIN t2 ON t1.a = t2.a AND t2.x > 5 WHERE t1.a > 0 OR t1.a IS NULL",
    "SELECT t1.a, t2.x FROM t1 LEFT JOIN t2 ON t1.a = t2.a WHERE t2.a IS NULL",
    "SELECT t1.a, t2.x FROM t1 RIGHT JOIN t2 ON t1.a = t2.a AND t1.b = 'x'",
    "SELECT t1.a, t2.a FROM t1 FULL JOIN t2 ON t1.a = t2.a AND t1.c > 1",
    "SELECT t1.a, s.one FROM t1 LEFT JOIN (SELECT a, 1 AS one, x + 1 AS y FROM t2) s ON t1.a = s.a",
    "SELECT p.one, q.one FROM (SELECT a, 1 AS one FROM t1) p FULL JOIN (SELECT a, 1 AS one FROM t2) q ON p.a = q.a",
    "SELECT t1.a FROM t1 LEFT JOIN (SELECT 1 AS one) s ON t1.a > 2",
    "SELECT count(*) FROM t1 CROSS JOIN t2",
    "SELECT t1.a, t2.x FROM t1, t2 WHERE t1.a < t2.a",
    "SELECT x.a, y.a FROM t1 x JOIN t1 y ON x.a = y.a AND x.b <> y.b",
    "SELECT x.a, y.x, z.v FROM t1 x JOIN t2 y ON x.a = y.a JOIN t3 z ON z.k = y.a LEFT JOIN t2 w ON w.x = z.v",
    "SELECT a, x FROM t1 JOIN t2 USING (a)",
    "SELECT t1.a FROM t1 LEFT SEMI JOIN t2 ON t1.a = t2.a AND t2.x > 5",
    "SELECT t1.a FROM t1 LEFT ANTI JOIN t2 ON t1.a = t2.a",
    "SELECT t2.x FROM t1 RIGHT SEMI JOIN t2 ON t1.a = t2.a",
    "SELECT t2.x FROM t1 RIGHT ANTI JOIN t2 ON t1.a = t2.a",
    "SELECT t1.a, t2.a FROM t1 JOIN t2 ON t1.a IS NOT DISTINCT FROM t2.a",
    // Subqueries.
    "SELECT a FROM t1 WHERE a IN (SELECT a FROM t2)",
    "SELECT a FROM t1 WHERE a NOT IN (SELECT a FROM t2)",
    "SELECT a FROM t1 WHERE a NOT IN (SELECT a FROM t2 WHERE a IS NOT NULL)",
    "SELECT a FROM t1 WHERE a + 1 NOT IN (SELECT x FROM t2 WHERE x > 1) AND b = 'x'",
    "SELECT a FROM t1 WHERE EXISTS (SELECT 1 FROM t2 WHERE t2.a = t1.a AND t2.x > 5)",
    "SELECT a FROM t1 WHERE NOT EXISTS (SELECT 1 FROM t2 WHERE t2.a = t1.a)",
    "SELECT a FROM t1 WHERE EXISTS (SELECT 1 FROM t2 WHERE t2.a = t1.a) OR b = 'x'",
    "SELECT a FROM t1 WHERE a IN (SELECT a FROM t2) OR NOT EXISTS (SELECT 1 FROM t3 WHERE k = t1.a)",
    "SELECT count(*) FROM t1 WHERE a IN (SELECT k FROM t3 WHERE v < 3) OR c > 10",
    "SELECT a FROM t1 WHERE c > (SELECT avg(c) FROM t1)",
    "SELECT a, (SELECT max(x) FROM t2) AS m FROM t1 WHERE a < (SELECT max(k) FROM t3)",
    "SELECT a, (SELECT max(x) FROM t2 WHERE t2.a = t1.a) FROM t1",
    "SELECT a, (SELECT count(*) FROM t2 WHERE t2.a = t1.a) FROM t1",
    "SELECT b, sum(a) FROM t1 GROUP BY b HAVING sum(a) > (SELECT min(k) FROM t3)",
    // Aggregates.
    "SELECT b, count(*), count(a), sum(a), avg(c), min(d), max(f) FROM t1 GROUP BY b",
    "SELECT count(DISTINCT b), sum(DISTINCT a), count(DISTINCT a) FROM t1",
    "SELECT sum(a) FILTER (WHERE b = 'x'), count(*) FILTER (WHERE h), max(c) FILTER (WHERE a > 100) FROM t1",
    "SELECT array_agg(a ORDER BY a DESC NULLS LAST), string_agg(b, ',' ORDER BY b) FROM t1 WHERE b IS NOT NULL",
    "SELECT b, first_value(a ORDER BY c DESC), last_value(a ORDER BY c) FROM t1 GROUP BY b",
    "SELECT first_value(a) IGNORE NULLS, nth_value(a, 2 ORDER BY c) FROM (SELECT * FROM t1 WHERE b = 'x' AND a = 1)",
    "SELECT median(a), stddev(c), corr(a, c), bool_and(h), bit_or(a) FROM t1",
    "SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY a), approx_percentile_cont(0.5) WITHIN GROUP (ORDER BY a DESC) FROM t1",
    "SELECT a + 1, b, count(*) FROM t1 GROUP BY a + 1, b",
    "SELECT 1, 'k', count(*) FROM t1 GROUP BY 1, 2",
    "SELECT a % 2 AS odd, sum(c) FROM t1 GROUP BY a % 2 HAVING count(*) > 1 AND sum(c) > 0",
    "SELECT max(s) FROM (SELECT b, sum(a) AS s FROM t1 GROUP BY b)",
    "SELECT b, sum(n) FROM (SELECT b, h, count(*) AS n FROM t1 GROUP BY b, h) GROUP BY b",
    "SELECT b, h, sum(a) FROM t1 GROUP BY GROUPING SETS ((b, h), (b), ())",
    "SELECT b, h, sum(a), grouping(b), grouping(h), grouping(b, h), grouping(h, b) FROM t1 GROUP BY ROLLUP (b, h)",
    "SELECT b, h, a % 2, count(*) FROM t1 GROUP BY CUBE (b, h, a % 2)",
    "SELECT b, h, count(*) FROM t1 GROUP BY b, ROLLUP (h)",
    "SELECT count(*) FROM t1 WHERE false",
    "SELECT b FROM t1 WHERE 1 = 0",
    // Sets and values.
    "SELECT DISTINCT b, h FROM t1",
    "SELECT a FROM t1 UNION ALL SELECT x FROM t2 UNION ALL SELECT k FROM t3",
    "SELECT a AS p, b AS q FROM t1 UNION SELECT k, 'x' FROM t3",
    "SELECT a FROM t1 INTERSECT SELECT a FROM t2",
    "SELECT a FROM t1 EXCEPT SELECT a FROM t2",
    "SELECT a FROM t1 INTERSECT ALL SELECT a FROM t2",
    "SELECT count(*) FROM (SELECT a FROM t1 UNION ALL SELECT k FROM t3)",
    "SELECT b, n FROM (SELECT b, count(*) AS n FROM t1 GROUP BY b UNION ALL SELECT b, x FROM t2)",
    "SELECT * FROM (VALUES (1, 'a', 1.5), (-2, NULL, NULL), (3, 'it''s', -0.5)) AS v (i, s, n)",
    "SELECT v.i + t1.a FROM (VALUES (1), (2)) AS v (i) JOIN t1 ON t1.a = v.i",
    "SELECT 1 AS one, 'a' || 'b'",
    "WITH s AS (SELECT a, sum(c) AS total FROM t1 GROUP BY a) SELECT p.a, q.total FROM s p JOIN s q ON p.a = q.a WHERE p.total > 0",
    // Names.
    "SELECT \"Col umn\", \"Q\"\"uote\", \"名\", \"a.b\", \"SELECT\" FROM \"Odd 表\" WHERE \"a.b\" AND \"Q\"\"uote\" <> 'z'",
    "SELECT \"名\" AS \"Col umn\", \"Col umn\" AS \"名\", sum(\"c0_0\") FROM \"Odd 表\" GROUP BY 1, 2",
    "SELECT n0.c0_0, n0.t0, o.\"c0_0\" FROM n0 JOIN \"Odd 表\" o ON o.\"c0_0\" = n0.c0_0",
    "SELECT c0_0, count(*) FROM n0 GROUP BY c0_0",
    "SELECT t1.a, t2.a, t1.b, t2.b FROM datafusion.public.t1 JOIN public.t2 ON t1.a = t2.a",
    "SELECT x.a, x.a AS again, x.a + 0 AS a2 FROM (SELECT a FROM t1) x",
    // Windows.
    "SELECT a, row_number() OVER (PARTITION BY b ORDER BY a, c) FROM t1",
    "SELECT a, sum(a) OVER (ORDER BY a NULLS FIRST ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) FROM t1 WHERE c <> 0",
    "SELECT a, sum(a) OVER (ORDER BY a RANGE BETWEEN 2 PRECEDING AND 1 FOLLOWING) FROM t1",
    "SELECT d, count(*) OVER (ORDER BY d RANGE BETWEEN INTERVAL '1' MONTH PRECEDING AND CURRENT ROW) FROM t1",
    "SELECT a, rank() OVER (ORDER BY b DESC), dense_rank() OVER (PARTITION BY h ORDER BY b), ntile(2) OVER (ORDER BY a, c) FROM t1",
    "SELECT a, lag(c, 1, 0.00) OVER (ORDER BY a, c), lead(c) OVER (ORDER BY a, c), avg(c) OVER () FROM t1",
    "SELECT a, first_value(a) IGNORE NULLS OVER (PARTITION BY h ORDER BY c GROUPS BETWEEN 1 PRECEDING AND 1 FOLLOWING) FROM t1",
    "SELECT a, sum(a) FILTER (WHERE h) OVER (PARTITION BY b) FROM t1",
    "SELECT b, sum(sum(a)) OVER (ORDER BY b) FROM t1 GROUP BY b",
    "SELECT a, n FROM (SELECT a, row_number() OVER (PARTITION BY b ORDER BY c) AS n FROM t1) WHERE n = 1",
    "SELECT a, c FROM t1 QUALIFY row_number() OVER (PARTITION BY h ORDER BY c DESC) <= 2",
];

const ONE_ORDER: &[&str] = &[
    "SELECT a, c FROM t1 ORDER BY a DESC NULLS LAST, c",
    "SELECT a FROM t1 ORDER BY c NULLS FIRST, a LIMIT 3",
    "SELECT a + 1 FROM t1 ORDER BY c DESC LIMIT 3 OFFSET 1",
    "SELECT a, c FROM (SELECT a, c FROM t1 ORDER BY c NULLS FIRST LIMIT 5) ORDER BY a NULLS FIRST, c LIMIT 2 OFFSET 1",
    "SELECT a FROM (SELECT a, c FROM t1 ORDER BY c DESC NULLS FIRST LIMIT 6 OFFSET 1) LIMIT 3 OFFSET 2",
    "SELECT c FROM t1 ORDER BY c OFFSET 4",
    "SELECT b, sum(a) AS s FROM t1 GROUP BY b ORDER BY s DESC NULLS LAST, b LIMIT 3",
    "SELECT a * 2 AS twice FROM t1 ORDER BY twice, c",
    "SELECT a FROM t1 WHERE a > 0 ORDER BY -a, c DESC",
    "SELECT k FROM t3 WHERE k IN (SELECT a FROM t1 ORDER BY c DESC LIMIT 4) ORDER BY k",
    "SELECT a FROM (SELECT a FROM t1 UNION ALL SELECT k FROM t3) ORDER BY a NULLS FIRST LIMIT 4",
    "SELECT a, (SELECT min(x) FROM t2) FROM t1 ORDER BY a NULLS LAST, c LIMIT 2",
    "SELECT a FROM t1 ORDER BY c LIMIT 0",
    "SELECT count(*) FROM (SELECT a FROM t1 LIMIT 3)",
    "SELECT count(*) FROM (SELECT DISTINCT b FROM t1 LIMIT 3 OFFSET 1)",
    "SELECT count(*) FROM (SELECT t1.a FROM t1 FULL JOIN t2 ON t1.a = t2.a LIMIT 9)",
    "SELECT f FROM t1 ORDER BY f DESC NULLS LAST",
    "SELECT a, c FROM (SELECT a, c, row_number() OVER (ORDER BY c) AS n FROM t1) WHERE n > 2 ORDER BY n LIMIT 3",
];
