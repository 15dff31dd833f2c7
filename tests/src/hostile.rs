//! Statements that want to end or freeze a node, made from a seed: too long, too deep, too many, too large, or no SQL at all.

use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;

/// TPC-H's tables, each with a number and a text of its columns.
const TABLES: [(&str, &str, &str); 6] = [
    ("sales.tpch.orders", "o_orderkey", "o_comment"),
    ("sales.tpch.customer", "c_custkey", "c_comment"),
    ("logistics.tpch.lineitem", "l_orderkey", "l_comment"),
    ("supply.tpch.part", "p_partkey", "p_comment"),
    ("supply.tpch.nation", "n_nationkey", "n_comment"),
    ("supply.tpch.supplier", "s_suppkey", "s_comment"),
];

const TYPES: [&str; 14] = [
    "TINYINT",
    "SMALLINT",
    "INT",
    "BIGINT",
    "FLOAT",
    "DOUBLE",
    "DECIMAL(38, 10)",
    "DECIMAL(5, 2)",
    "VARCHAR",
    "DATE",
    "TIMESTAMP",
    "BOOLEAN",
    "BYTEA",
    "INTERVAL",
];

const ARROW_TYPES: [&str; 8] = [
    "Int8",
    "LargeUtf8",
    "FixedSizeBinary(2000000000)",
    "Decimal256(76, 70)",
    "List(Utf8)",
    "Timestamp(Nanosecond, None)",
    "FixedSizeList(1000000000 x Int64)",
    "Dictionary(Int8, Utf8)",
];

/// Words and signs that parsers know.
const WORDS: [&str; 60] = [
    "SELECT",
    "FROM",
    "WHERE",
    "GROUP",
    "BY",
    "ORDER",
    "HAVING",
    "LIMIT",
    "OFFSET",
    "UNION",
    "ALL",
    "INTERSECT",
    "EXCEPT",
    "JOIN",
    "LEFT",
    "FULL",
    "CROSS",
    "LATERAL",
    "ON",
    "USING",
    "WITH",
    "RECURSIVE",
    "AS",
    "CASE",
    "WHEN",
    "THEN",
    "ELSE",
    "END",
    "NOT",
    "NULL",
    "IN",
    "EXISTS",
    "BETWEEN",
    "LIKE",
    "IS",
    "DISTINCT",
    "OVER",
    "PARTITION",
    "ROWS",
    "UNBOUNDED",
    "CAST",
    "INTERVAL",
    "ARRAY",
    "(",
    ")",
    "[",
    "]",
    ",",
    ".",
    "*",
    "+",
    "-",
    "||",
    "::",
    "=",
    "<",
    "'x'",
    "1",
    "$1",
    ";",
];

/// A statement.
pub fn statement(random: &mut StdRng) -> String {
    let made = match random.random_range(0..22) {
        0..=2 => chain(random),
        3..=4 => nested(random),
        5 => arms(random),
        6 => items(random),
        7..=8 => named_parts(random),
        9..=10 => pairs(random),
        11..=13 => large(random),
        14 => cast(random),
        15 => aggregate(random),
        16 => words(random),
        17 => bytes(random),
        18 => writing(random),
        19..=20 => wide(random),
        _ => sorted(random),
    };
    match random.random_range(0..20) {
        0 => format!("EXPLAIN {made}"),
        1 => format!("EXPLAIN ANALYZE {made}"),
        2 => cut(random, &made),
        3 => format!("SELECT count(*) FROM ({made})"),
        _ => made,
    }
}

fn pick<'a>(random: &mut StdRng, from: &[&'a str]) -> &'a str {
    from.choose(random).expect("there are some")
}

fn table(random: &mut StdRng) -> (&'static str, &'static str, &'static str) {
    *TABLES.choose(random).expect("there are some")
}

/// A size over many orders of magnitude.
fn size(random: &mut StdRng, digits: u32) -> u64 {
    let most = 10_u64.pow(random.random_range(1..=digits));
    random.random_range(0..most)
}

fn length(random: &mut StdRng, digits: u32) -> usize {
    usize::try_from(size(random, digits)).expect("a length").max(1)
}

fn many(part: &str, between: &str, count: usize) -> String {
    vec![part; count].join(between)
}

fn chain(random: &mut StdRng) -> String {
    let (table, number, text) = table(random);
    let count = length(random, 5).min(60_000);
    let numbers = [" + ", " - ", " * ", " / ", " % ", " & ", " | "];
    let tests = [" OR ", " AND ", " OR NOT ", " AND NOT "];
    match random.random_range(0..6) {
        0 => format!("SELECT {} FROM {table}", many(number, pick(random, &numbers), count)),
        1 => {
            format!("SELECT * FROM {table} WHERE {}", many(&format!("{number} = {count}"), pick(random, &tests), count))
        }
        2 => format!("SELECT {} FROM {table}", many(text, " || ", count.min(500))),
        3 => format!("SELECT {} FROM {table}", many(number, ", ", count)),
        4 => format!("SELECT {number}{} FROM {table}", many("::BIGINT", "", count)),
        _ => format!("SELECT * FROM {table} WHERE {number} {}", many("IS NOT NULL", " ", count)),
    }
}

fn nested(random: &mut StdRng) -> String {
    let (table, number, text) = table(random);
    let depth = length(random, 3);
    let (open, close) = match random.random_range(0..9) {
        0 => ("(", ")"),
        1 => ("abs(", ")"),
        2 => ("CASE WHEN TRUE THEN ", " ELSE 0 END"),
        3 => ("(SELECT ", ")"),
        4 => ("coalesce(NULL, ", ")"),
        5 => ("CAST(", " AS BIGINT)"),
        6 => ("[", "]"),
        7 => ("NOT ", ""),
        _ => ("- ", ""),
    };
    match random.random_range(0..3) {
        0 => format!("SELECT {}{number}{} FROM {table}", open.repeat(depth), close.repeat(depth)),
        1 => (0..depth.min(200)).fold(format!("SELECT {number} AS x FROM {table}"), |inner, _| {
            format!("SELECT x + x AS x FROM ({inner}) WHERE x > 0")
        }),
        _ => (0..depth.min(200)).fold(format!("SELECT {text} AS x FROM {table}"), |inner, _| {
            format!("SELECT concat(x, x) AS x FROM ({inner})")
        }),
    }
}

fn arms(random: &mut StdRng) -> String {
    let (table, number, _) = table(random);
    let operation = pick(random, &[" UNION ALL ", " UNION ", " INTERSECT ", " EXCEPT "]);
    many(&format!("SELECT {number} FROM {table}"), operation, length(random, 3))
}

fn items(random: &mut StdRng) -> String {
    let (table, number, _) = table(random);
    let items: Vec<String> = (0..length(random, 5)).map(|item| item.to_string()).collect();
    format!("SELECT count(*) FROM {table} WHERE {number} NOT IN ({})", items.join(","))
}

fn named_parts(random: &mut StdRng) -> String {
    let (table, number, text) = table(random);
    let count = length(random, 2);
    let recursive = if random.random_bool(0.2) { "RECURSIVE " } else { "" };
    let step = |n: usize| match n % 4 {
        0 => format!("SELECT a.x + b.x AS x, a.y || b.y AS y FROM c{n} a CROSS JOIN c{n} b"),
        1 => format!("SELECT x + x AS x, y || y AS y FROM c{n}"),
        2 => format!("SELECT x, y FROM c{n} UNION ALL SELECT x, y FROM c{n}"),
        _ => format!("SELECT a.x, b.y FROM c{n} a JOIN c{n} b ON a.x < b.x"),
    };
    let shift = random.random_range(0..4);
    let parts: Vec<String> = (0..count)
        .map(|n| format!("c{} AS ({})", n + 1, step(n + shift).replace(&format!("c{}", n + shift), &format!("c{n}"))))
        .collect();
    let first = format!("c0 AS (SELECT {number} AS x, {text} AS y FROM {table})");
    let all: Vec<String> = std::iter::once(first).chain(parts).collect();
    format!("WITH {recursive}{} SELECT count(*), max(y) FROM c{count}", all.join(", "))
}

fn pairs(random: &mut StdRng) -> String {
    let sides: Vec<_> = (0..random.random_range(2..5)).map(|_| table(random)).collect();
    let from: Vec<String> = sides.iter().enumerate().map(|(n, (table, _, _))| format!("{table} t{n}")).collect();
    let number = |n: usize| format!("t{n}.{}", sides[n].1);
    let condition = match random.random_range(0..5) {
        0 => "TRUE".to_string(),
        1 => format!("{} + {} < 0", number(0), number(1)),
        2 => format!("{} % 7 = {} % 7 AND {} * {} < 0", number(0), number(1), number(0), number(1)),
        3 => format!("t0.{} < t1.{}", sides[0].2, sides[1].2),
        _ => format!("{} <> {} OR t0.{} LIKE t1.{}", number(0), number(1), sides[0].2, sides[1].2),
    };
    let told = pick(random, &["count(*)", "*", "max(t0.{text})", "DISTINCT t1.{text}"]);
    let told = told
        .replacen("t0.{text}", &format!("t0.{}", sides[0].2), 1)
        .replace("t1.{text}", &format!("t1.{}", sides[1].2));
    match random.random_range(0..3) {
        0 => format!("SELECT {told} FROM {} WHERE {condition}", from.join(", ")),
        1 => format!("SELECT {told} FROM {} FULL JOIN {} ON {condition}", from[0], from[1]),
        _ => format!("SELECT count(*) FROM {} WHERE NOT EXISTS (SELECT 1 FROM {} WHERE {condition})", from[0], from[1]),
    }
}

fn large(random: &mut StdRng) -> String {
    let (table, number, text) = table(random);
    let size = size(random, 10);
    let call = match random.random_range(0..16) {
        0 => format!("repeat({text}, {size})"),
        1 => format!("repeat({text}, {number} * {size})"),
        2 => format!("lpad({text}, {size}, 'ab')"),
        3 => format!("rpad({text}, CAST({number} % {} AS INT))", size.max(1)),
        4 => format!("array_repeat({text}, {size})"),
        5 => format!("array_resize([{number}], {size}, 1)"),
        6 => format!("range({number}, {size})"),
        7 => format!("generate_series({size}, {number}, -1)"),
        8 => format!("replace({text}, 'a', repeat('b', {size}))"),
        9 => format!("regexp_replace({text}, '(.*)', repeat('\\1', {}), 'g')", size % 100_000),
        10 => format!("array_to_string(range(1, {}), {text})", size % 1_000_000),
        11 => format!("concat({})", many(text, ", ", length(random, 4))),
        12 => format!("to_char(now(), repeat('%c', {}))", size % 100_000),
        13 => format!("make_array({})", many(text, ", ", length(random, 4))),
        14 => format!("unnest(range(1, {}))", size % 100_000_000),
        _ => format!("factorial({}) + power({number}, {size})", size % 100),
    };
    let literal = "x".repeat(length(random, 6));
    match random.random_range(0..5) {
        0 => format!("SELECT {call}"),
        1 => format!("SELECT '{literal}', {number} FROM {table}"),
        2 => format!("SELECT count(*) FROM generate_series(1, {size}) a, {table} b WHERE a.value * b.{number} < 0"),
        3 => format!("SELECT length(CAST(max({call}) AS VARCHAR)) FROM {table}"),
        _ => format!("SELECT {call} FROM {table}"),
    }
}

/// Texts that are made long, and then made anew, repeated or held.
fn wide(random: &mut StdRng) -> String {
    let (table, number, text) = table(random);
    let long = format!("repeat({text}, {})", size(random, 5));
    let longs = format!("(SELECT {number} AS k, {long} AS a FROM {table}) AS t");
    let few = format!("(SELECT {number} AS v, {long} AS w FROM (SELECT * FROM {table} LIMIT 2) AS l) AS f");
    let count = length(random, 3);
    let each = pick(
        random,
        &[
            "upper(substr(a, {n}))",
            "CASE WHEN k % 7 = {n} THEN a ELSE reverse(a) END",
            "a || {n}",
            "lag(a, {n}) OVER (ORDER BY k)",
            "first_value(a) OVER (PARTITION BY k % 3)",
            "array_agg(k) OVER (ORDER BY k)",
            "string_agg(a, ',') OVER ()",
            "CASE WHEN k % 2 = 0 THEN (SELECT max(w) FROM {few}) ELSE a END",
        ],
    );
    let columns: Vec<String> = (0..count).map(|n| each.replace("{n}", &n.to_string()).replace("{few}", &few)).collect();
    let on = pick(random, &["f.v % 2 = t.k % 2", "f.v = t.k", "f.v < t.k", "TRUE", "f.w = t.a"]);
    let joined = pick(random, &["JOIN", "LEFT JOIN", "FULL JOIN"]);
    match random.random_range(0..4) {
        0 => format!("SELECT {} FROM {longs}", columns.join(", ")),
        1 => format!("SELECT max(length(f.w || t.a)) FROM {few} {joined} {longs} ON {on}"),
        2 => format!("SELECT f.w, t.a FROM {longs} {joined} {few} ON {on}"),
        _ => format!("SELECT w, unnest(range(v)) FROM {few}"),
    }
}

fn cast(random: &mut StdRng) -> String {
    let (table, number, text) = table(random);
    let value = pick(random, &[number, text, "NULL", "'1e400'", "9223372036854775807", "-1", "now()", "[1, NULL]"]);
    match random.random_range(0..4) {
        0 => format!("SELECT CAST({value} AS {}) FROM {table}", pick(random, &TYPES)),
        2 => {
            let levels = length(random, 5);
            let (opened, closed) = ("List(".repeat(levels), ")".repeat(levels));
            format!("SELECT arrow_try_cast({value}, '{opened}Utf8{closed}') FROM {table}")
        }
        1 => format!("SELECT arrow_cast({value}, '{}') FROM {table}", pick(random, &ARROW_TYPES)),
        _ => format!(
            "SELECT date_trunc({text}, now()), substr({text}, {number}, -{number}), decode({text}, 'hex') FROM {table}"
        ),
    }
}

fn aggregate(random: &mut StdRng) -> String {
    let (table, number, text) = table(random);
    let keys: Vec<String> = (0..length(random, 2)).map(|n| format!("{number} % {}", n + 2)).collect();
    match random.random_range(0..6) {
        0 => format!("SELECT count(*) FROM {table} GROUP BY CUBE({})", keys.join(", ")),
        1 => format!("SELECT count(*) FROM {table} GROUP BY ROLLUP({})", keys.join(", ")),
        2 => format!("SELECT string_agg({text}, repeat('x', {})) FROM {table}", size(random, 6)),
        3 => format!("SELECT array_agg(a.{text}) FROM {table} a CROSS JOIN {table} b"),
        4 => format!("SELECT percentile_cont({}) WITHIN GROUP (ORDER BY {number}) FROM {table}", size(random, 3)),
        _ => format!(
            "SELECT sum({number}) OVER (PARTITION BY {text} ORDER BY {number} ROWS BETWEEN {} PRECEDING AND {} FOLLOWING) FROM {table}",
            size(random, 18),
            size(random, 18)
        ),
    }
}

fn words(random: &mut StdRng) -> String {
    (0..length(random, 3)).map(|_| pick(random, &WORDS)).collect::<Vec<_>>().join(" ")
}

fn bytes(random: &mut StdRng) -> String {
    (0..length(random, 4)).map(|_| random.random::<char>()).collect()
}

fn writing(random: &mut StdRng) -> String {
    let (table, _, _) = table(random);
    let written = [
        "COPY {t} TO '/tmp/chancery-hostile.csv'",
        "CREATE EXTERNAL TABLE x STORED AS CSV LOCATION '/etc/passwd'",
        "SELECT * FROM '/etc/passwd'",
        "INSERT INTO {t} SELECT * FROM {t}",
        "SELECT * INTO x FROM {t}",
        "SET datafusion.execution.batch_size = 0",
        "DROP TABLE {t}",
        "GRANT SELECT ON TABLE {t} TO ROLE x FOR PURPOSE y",
        "CREATE POLICY p ON TABLE {t} ROW FILTER (a = 1 OR a = 2) TO ALL",
        "SHOW ALL",
    ];
    pick(random, &written).replace("{t}", table)
}

fn sorted(random: &mut StdRng) -> String {
    let (table, number, text) = table(random);
    let keys: Vec<String> = (0..length(random, 3)).map(|n| format!("{number} % {} DESC", n + 2)).collect();
    format!(
        "SELECT {text}, row_number() OVER (ORDER BY {text}) FROM {table} ORDER BY {}, {text} LIMIT {} OFFSET {}",
        keys.join(", "),
        size(random, 18),
        size(random, 18)
    )
}

/// A part of a statement.
fn cut(random: &mut StdRng, sql: &str) -> String {
    let characters: Vec<char> = sql.chars().collect();
    let place = random.random_range(0..=characters.len());
    let end = random.random_range(place..=characters.len());
    characters[..place].iter().chain(&characters[end..]).collect()
}
