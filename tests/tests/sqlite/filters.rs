//! What is pushed gives DataFusion's own answer: the same filters over the file and over the rows in memory.

use harness::source::{in_memory, rows, session};
use harness::sqlite::SqliteFile;

use super::source;

/// Filters that SQLite evaluates.
const PUSHED: &[&str] = &[
    "id > 0",
    "n > 0",
    "n <> -1 AND n IS NOT NULL",
    "NOT (n BETWEEN -5 AND 5)",
    "n IN (1, 7, 9223372036854775807)",
    "n NOT IN (1, 7)",
    "n = -9223372036854775808",
    "n / 2 = 0 OR n % 3 = -2",
    "flag",
    "NOT flag",
    "flag IS NOT TRUE",
    "flag IS NULL OR flag",
    "label = 'a'",
    "label = 'A'",
    "label <> 'ß'",
    "label IN ('é', 'e', '')",
    "label NOT IN ('x', 'ab')",
    "label < 'b'",
    "label >= 'é'",
    "label = 'it''s \\ %'",
    "label LIKE 'a%'",
    "label NOT LIKE '%_%'",
    "length(label) = 1",
    "substr(label, 1, 1) = 'i'",
    "starts_with(label, 'it')",
    "label || 'x' = 'ax'",
    "coalesce(label, 'none') = 'none'",
    "nullif(label, 'a') IS NULL",
    "padded = 'ab'",
    "day >= DATE '2024-02-29'",
    "day BETWEEN DATE '0001-01-01' AND DATE '1999-12-31'",
    "day IN (DATE '2024-03-01', DATE '2000-01-01')",
    "date_part('year', day) = 2024",
    "at < TIMESTAMP '2024-02-29 12:00:00.123456'",
    "amount IS NULL",
    "ratio IS NULL",
    "ratio > 1.0",
    "ratio < -0.5",
    "ratio = 0.1",
    "raw = X'00FF'",
    "raw > X'00'",
    "id IS NOT NULL AND n = 1",
    "CASE WHEN n > 0 THEN label ELSE 'none' END = 'none'",
];

/// Filters that stay at the site.
const KEPT: &[&str] = &[
    "ratio = 0.0",
    "ratio * 2.0 > 1.0",
    "label ILIKE 'A%'",
    "n + 1 > 3",
    "upper(label) = 'A'",
    "amount > 0.05",
    "amount = 1.50",
    "reverse(label) = 'a'",
];

const TABLE: &str = "
    CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER, flag BOOLEAN, label TEXT COLLATE NOCASE, padded TEXT COLLATE RTRIM,
                    day DATE, at DATETIME, amount DECIMAL(10, 2), ratio REAL, raw BLOB);
    CREATE INDEX by_n ON t (n); CREATE INDEX by_label ON t (label); CREATE INDEX by_day ON t (day);
    INSERT INTO t VALUES
      (1, 1, TRUE, 'a', 'ab', '2024-02-29', '2024-02-29 12:00:00.123456', 1.5, 0, X'00FF'),
      (2, -1, FALSE, 'A', 'ab   ', '1999-12-31', '2024-02-29T12:00:00.123455Z', 0.05, 0.1, X''),
      (3, 7, NULL, 'é', 'AB', '0001-01-01', '1969-12-31 23:59:59', -1.5, 1e999, X'00'),
      (4, 9223372036854775807, TRUE, '', '', NULL, NULL, NULL, -1e300, NULL),
      (5, -9223372036854775808, FALSE, 'it''s \\ %', 'a b', '2024-03-01', '2100-01-01 00:00+08:00', 99999999.99, 1.5, X'FF'),
      (6, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
      (7, 0, TRUE, 'ß', 'ss', '2024-03-01', '2024-01-01', 0, 2, X'61'),
      (8, 2, FALSE, 'x', 'ab', '2000-01-01', '2000-01-01 10:00', 0.01, 3, X'6162')";

#[tokio::test(flavor = "multi_thread")]
async fn a_pushed_filter_gives_the_same_rows() {
    for strict in ["", "the columns are held to their types"] {
        let file = SqliteFile::with(TABLE);
        if !strict.is_empty() {
            file.run(
                "ALTER TABLE t RENAME TO loose;
                 CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER, flag INTEGER, label TEXT COLLATE NOCASE,
                                 padded TEXT COLLATE RTRIM, day TEXT, at TEXT, amount REAL, ratio REAL, raw BLOB) STRICT;
                 INSERT INTO t SELECT * FROM loose",
            );
        }
        let ctx = session(&source(&file, "").await, &["t"]).await;
        let memory = in_memory(&ctx, "t").await;
        let is_of_strict_types = |filter: &&&str| {
            strict.is_empty() || !["flag", "day", "at <", "amount"].iter().any(|word| filter.contains(word))
        };
        for (filters, is_pushed) in [(PUSHED, true), (KEPT, false)] {
            for filter in filters.iter().filter(is_of_strict_types) {
                let sql = format!("SELECT id, n, label, padded FROM t WHERE {filter} ORDER BY id");
                let plan = rows(&ctx, &format!("EXPLAIN {sql}")).await.unwrap();
                assert_eq!(!plan.contains("FilterExec"), is_pushed, "{filter}: {plan}");
                let (came, expected) = (rows(&ctx, &sql).await.unwrap(), rows(&memory, &sql).await.unwrap());
                assert_eq!(came, expected, "{filter}");
                let negated = sql.replace(&format!("WHERE {filter}"), &format!("WHERE NOT ({filter})"));
                assert_eq!(
                    rows(&ctx, &negated).await.unwrap(),
                    rows(&memory, &negated).await.unwrap(),
                    "NOT ({filter})"
                );
            }
        }
    }
}

/// Where numbers may be dates, each row counts in whichever form it has its own: SQLite's order of numbers and text, by which
/// every number comes first, decides nothing.
#[tokio::test(flavor = "multi_thread")]
async fn dates_are_compared_in_whichever_form_they_are_stored() {
    for (epoch, factor) in [("seconds", 1_i64), ("milliseconds", 1_000)] {
        let [may, june] = [19_844, 19_875].map(|days: i64| days * 86_400 * factor);
        let file = SqliteFile::with(&format!(
            "CREATE TABLE t (id INTEGER PRIMARY KEY, day DATE, at DATETIME);
             CREATE TABLE u (id INTEGER PRIMARY KEY, day DATE, at DATETIME);
             CREATE INDEX of_t ON t (day); CREATE INDEX of_u ON u (day);
             INSERT INTO t VALUES (1, {may}, {may}), (2, '2024-05-01', '2024-05-01'), (3, {june}, {june}),
                                  (4, '2024-06-01', '2024-06-01 00:00:00'), (5, '1969-12-31', '1969-12-31'), (6, NULL, NULL);
             INSERT INTO u VALUES (1, '2024-05-01', {may}), (2, {june}, '2024-06-01'), (3, NULL, NULL)"
        ));
        let tables = ["t", "u"];
        let ctx = session(&source(&file, &format!("epoch = '{epoch}'")).await, &tables).await;
        let memory = in_memory(&ctx, "t").await;
        let of_u = in_memory(&ctx, "u").await.table_provider("u").await.unwrap();
        memory.register_table("u", of_u).unwrap();
        for (filter, expect) in [
            ("day = DATE '2024-05-01'", "1\n2"),
            ("day >= DATE '2024-01-01'", "1\n2\n3\n4"),
            ("day < DATE '2024-05-02'", "1\n2\n5"),
            ("day IN (DATE '2024-06-01', DATE '1969-12-31')", "3\n4\n5"),
            ("day BETWEEN DATE '2024-05-01' AND DATE '2024-05-31'", "1\n2"),
            ("day = DATE '2024-05-01' OR day = DATE '2024-06-01'", "1\n2\n3\n4"),
            ("day IS NOT DISTINCT FROM DATE '2024-06-01'", "3\n4"),
            ("at >= TIMESTAMP '2024-05-01 00:00:00'", "1\n2\n3\n4"),
        ] {
            let sql = format!("SELECT id FROM t WHERE {filter} ORDER BY id");
            assert_eq!(rows(&memory, &sql).await.unwrap(), expect, "{filter}");
            assert_eq!(rows(&ctx, &sql).await.unwrap(), expect, "{epoch}: {filter}");
        }
        for key in ["day", "at"] {
            let sql = format!("SELECT t.id, u.id FROM t JOIN u ON t.{key} = u.{key} ORDER BY t.id");
            assert_eq!(rows(&memory, &sql).await.unwrap(), "1|1\n2|1\n3|2\n4|2", "{key}");
            assert_eq!(rows(&ctx, &sql).await.unwrap(), "1|1\n2|1\n3|2\n4|2", "{epoch}: {key}");
        }
    }
}

/// A condition over stored values stands beside the one over checked ones, so that an index answers it.
#[tokio::test(flavor = "multi_thread")]
async fn an_index_answers() {
    let file = SqliteFile::with(TABLE);
    let ctx = session(&source(&file, "").await, &["t"]).await;
    let connection = file.connection();
    let nothing = rusqlite::functions::FunctionFlags::SQLITE_UTF8;
    for name in ["chancery_integer", "chancery_date", "chancery_text"] {
        connection
            .create_scalar_function(name, -1, nothing, |ctx| Ok(ctx.get_raw(0) == rusqlite::types::ValueRef::Null))
            .unwrap();
    }
    for (filter, expect) in [
        ("id = 3", "SEARCH t USING INTEGER PRIMARY KEY (rowid=?)"),
        ("n = 7", "SEARCH t USING INDEX by_n (n=?)"),
        ("n IN (1, 7)", "SEARCH t USING INDEX by_n (n=?)"),
        ("n IN (1, 2, 3, 4, 5, 7)", "SEARCH t USING INDEX by_n (n=?)"),
        ("n BETWEEN 1 AND 7", "SEARCH t USING INDEX by_n (n>? AND n<?)"),
        ("day >= DATE '2024-03-01'", "SEARCH t USING INDEX by_day (day>?)"),
    ] {
        let plan = rows(&ctx, &format!("EXPLAIN SELECT id FROM t WHERE {filter}")).await.unwrap();
        let statement = plan.split("statement=").nth(1).unwrap().lines().next().unwrap();
        let mut explain = connection.prepare(&format!("EXPLAIN QUERY PLAN {statement}")).unwrap();
        let steps: Vec<String> = explain.query_map([], |row| row.get(3)).unwrap().map(Result::unwrap).collect();
        let shown = steps.join("; ").replace("t0", "t").replace("COVERING ", "");
        assert!(shown.contains(expect), "{filter}: {shown}\n{statement}");
    }
}

/// A value that is not of its column's type meets a filter over another column, and is asked for by none of its own.
#[tokio::test(flavor = "multi_thread")]
async fn a_bad_value_is_met_only_by_those_who_ask_for_it() {
    let file = SqliteFile::with(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER, name TEXT);
         INSERT INTO t VALUES (1, 5, 'a'), (2, 'no number', 'b'), (3, 7, X'00')",
    );
    let ctx = session(&source(&file, "").await, &["t"]).await;
    for (sql, expect) in [
        ("SELECT name FROM t WHERE id = 1", Some("a")),
        ("SELECT n FROM t WHERE id <> 2 ORDER BY n", Some("5\n7")),
        ("SELECT count(*) FROM t", Some("3")),
        ("SELECT id FROM t WHERE n = 5", Some("1")),
        ("SELECT id FROM t WHERE n < 6", Some("1")),
        ("SELECT id FROM t WHERE n > 5", None),
        ("SELECT id FROM t WHERE n <> 5", None),
        ("SELECT count(*) FROM t WHERE n IS NOT NULL", None),
        ("SELECT id FROM t WHERE name LIKE 'a%'", None),
        ("SELECT count(*) FROM t WHERE name = 'b' AND n > 0", None),
    ] {
        match (rows(&ctx, sql).await, expect) {
            (Ok(came), Some(expect)) => assert_eq!(came, expect, "{sql}"),
            (Err(error), None) => {
                let told = harness::source::ours(&error).to_string();
                assert!(told.starts_with("table `t`, column `n"), "{sql}: {told}");
            }
            (came, _) => panic!("{sql}: {came:?}"),
        }
    }
}
