//! What the asker asks: statements of every kind over what they see and near what they do not, with expressions that fail
//! for one value and not for another in every clause; and the ways in which a client may ask.

use policy::mask::ColumnMask;
use policy::value::Value;
use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::{IndexedRandom, SliceRandom};

use super::policies::{SOURCE, Treatment};
use super::values::Kind;
use super::world::{Column, Table};
use crate::dataset::quote;
use crate::random::expression::{Template, Type};
use crate::random::generate;
use crate::random::relation::Relation;
use crate::random::shrink;

/// The site's name, which is the catalog of its tables.
pub const SITE: &str = "site";

/// One question.
#[derive(Debug, Clone)]
#[expect(clippy::large_enum_variant, reason = "a few questions at a time")]
pub enum Asked {
    /// A statement, and how it is asked.
    Statement(Question, Way),
    /// The tables with their columns, as metadata calls tell them.
    Tables,
    /// The schemas and catalogs.
    Schemas,
    /// All that a coordinator is told of the tables.
    View,
}

/// A statement.
#[derive(Debug, Clone)]
pub enum Question {
    /// One that can be made smaller; with words before and after it.
    Random {
        /// Such as `EXPLAIN `.
        before: &'static str,
        /// The statement.
        relation: Relation,
        /// Such as ` LIMIT 3`.
        after: String,
    },
    /// Any other.
    Plain(String),
}

/// How a statement is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// DoGet of the statement itself.
    Directly,
    /// GetFlightInfo, then DoGet of its ticket.
    ByTicket,
    /// Prepared, then by ticket.
    Prepared,
    /// Its schema only.
    Schema,
    /// By a coordinator, on behalf of the asker: with a trailer.
    ByCoordinator,
}

impl std::fmt::Display for Asked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Asked::Statement(question, way) => write!(f, "{} ({way:?})", question.sql()),
            other => write!(f, "{other:?}"),
        }
    }
}

impl Question {
    /// The text.
    pub fn sql(&self) -> String {
        match self {
            Question::Random { before, relation, after } => format!("{before}{}{after}", relation.sql()),
            Question::Plain(text) => text.clone(),
        }
    }

    /// Smaller ones.
    pub fn smaller(&self) -> Vec<Question> {
        let Question::Random { before, relation, after } = self else { return vec![] };
        let mut smaller = vec![];
        if !before.is_empty() || !after.is_empty() {
            smaller.push(Question::Random { before: "", relation: relation.clone(), after: String::new() });
        }
        let candidates = shrink::candidates(relation).into_iter();
        smaller.extend(candidates.map(|relation| Question::Random { before, relation, after: after.clone() }));
        smaller
    }
}

/// What may fail, by the types of its arguments. What is here of the library is on the list of a site.
const FALLIBLE: &[Template] = {
    use Type::{Boolean as B, Date as D, Decimal as N, Float as F, Integer as I, Text as T, Timestamp as S};
    &[
        ("CAST({} AS BIGINT)", &[T], I),
        ("CAST({} AS TINYINT)", &[I], I),
        ("CAST({} AS BIGINT)", &[F], I),
        ("arrow_cast({}, 'Int8')", &[I], I),
        ("({} / {})", &[I, I], I),
        ("({} % {})", &[I, I], I),
        ("(100 / ({} - 7))", &[I], I),
        ("({} * 4611686018427387904)", &[I], I),
        ("factorial({})", &[I], I),
        ("power({}, {})", &[I, I], I),
        ("coalesce({}, CAST({} AS BIGINT))", &[I, T], I),
        ("CASE WHEN {} THEN {} / {} ELSE 1 END", &[B, I, I], I),
        ("CASE WHEN {} THEN 1 / 0 ELSE {} END", &[B, I], I),
        ("array_element(make_array({}, {}), {})", &[I, I, I], I),
        ("regexp_count({}, {})", &[T, T], I),
        ("strpos({}, {})", &[T, T], I),
        ("CAST({} AS DECIMAL(6, 2))", &[T], N),
        ("CAST({} AS DECIMAL(4, 2))", &[I], N),
        ("({} / {})", &[N, N], N),
        ("({} * 99999999.99)", &[N], N),
        ("CAST({} AS DOUBLE)", &[T], F),
        ("power({}, {})", &[F, F], F),
        ("({} / {})", &[F, F], F),
        ("ln({})", &[F], F),
        ("sqrt({})", &[F], F),
        ("substr({}, {}, {})", &[T, I, I], T),
        ("split_part({}, '1', {})", &[T, I], T),
        ("chr({})", &[I], T),
        ("arrow_cast(decode({}, 'hex'), 'Utf8')", &[T], T),
        ("encode(arrow_cast({}, 'Binary'), 'hex')", &[T], T),
        ("regexp_replace({}, {}, 'x')", &[T, T], T),
        ("to_char({}, '%Y-%q')", &[D], T),
        ("nullif({}, CAST(CAST({} AS BIGINT) AS VARCHAR))", &[T, T], T),
        ("({} > 5)", &[T], B),
        ("({} BETWEEN 1 AND 20)", &[T], B),
        ("({} = {})", &[T, I], B),
        ("({} < {})", &[D, T], B),
        ("({} > {})", &[S, T], B),
        ("regexp_like({}, {})", &[T, T], B),
        ("(1 / 0 > {})", &[I], B),
        ("({} IN ('1', 5, {}))", &[I, I], B),
        ("CAST({} AS BOOLEAN)", &[T], B),
        ("CAST({} AS DATE)", &[T], D),
        ("to_date({})", &[T], D),
        ("make_date(2024, {}, {})", &[I, I], D),
        ("CAST(to_timestamp({}) AS DATE)", &[I], D),
        ("arrow_cast(to_timestamp({}), 'Timestamp(Microsecond, None)')", &[T], S),
        ("arrow_cast(to_timestamp_seconds({}), 'Timestamp(Microsecond, None)')", &[I], S),
    ]
};

/// So many statements and calls over these tables.
pub fn statements(rng: &mut StdRng, tables: &[Table], count: usize) -> Vec<Asked> {
    let granted: Vec<&Table> = tables.iter().filter(|table| table.policy.is_granted).collect();
    let relations: Vec<Relation> = granted.iter().filter_map(|table| relation(rng, table)).collect();
    let mut asked: Vec<Asked> = (0..count).map(|_| one(rng, tables, &granted, &relations)).collect();
    if rng.random_range(0..4) == 0 {
        asked.push(pick(rng, &[Asked::Tables, Asked::Schemas, Asked::View, Asked::View]));
    }
    asked
}

fn pick<T: Clone>(rng: &mut StdRng, from: &[T]) -> T {
    from.choose(rng).expect("something to pick from").clone()
}

fn one(rng: &mut StdRng, tables: &[Table], granted: &[&Table], relations: &[Relation]) -> Asked {
    use Way::{ByCoordinator, ByTicket, Directly, Prepared, Schema};
    let way = pick(rng, &[Directly, Directly, Directly, ByTicket, ByTicket, Prepared, Schema, ByCoordinator]);
    let released: Vec<&Table> = granted.iter().copied().filter(|table| table.policy.release.is_some()).collect();
    let question = match rng.random_range(0..20) {
        0..=1 if !released.is_empty() => Question::Plain(aggregates(rng, released[0])),
        2 if !released.is_empty() => Question::Plain(misused(rng, released[0])),
        3 => Question::Plain(unknown(rng, tables)),
        4 => Question::Plain(listing(rng, tables)),
        5..=8 => Question::Plain(plain(rng, granted)),
        _ if relations.is_empty() => Question::Plain(plain(rng, granted)),
        number => random(rng, relations, number == 19),
    };
    Asked::Statement(question, way)
}

/// A random statement with a few of the fallible templates, often none at all.
fn random(rng: &mut StdRng, relations: &[Relation], is_explained: bool) -> Question {
    let mut fallible = FALLIBLE.to_vec();
    fallible.shuffle(rng);
    fallible.truncate(pick(rng, &[0, 4, 8, 16, 48]));
    let relation = unruly(rng, relations, &fallible);
    let before = match is_explained {
        true => pick(rng, &["EXPLAIN ", "EXPLAIN POLICY ", "EXPLAIN ANALYZE "]),
        false => "",
    };
    let is_limited = matches!(relation, Relation::Top { .. });
    let after = match rng.random_range(0..3) {
        0 if !is_limited => format!(" LIMIT {}", rng.random_range(1..12)),
        _ => String::new(),
    };
    Question::Random { before, relation, after }
}

/// Without UNION ALL where something may fail: which of its arms comes first hangs on timing, and with it how many rows are
/// told before an error.
fn unruly(rng: &mut StdRng, relations: &[Relation], fallible: &[Template]) -> Relation {
    let made = (0..8).map(|_| generate::unruly(rng, relations, fallible));
    let mut fitting = made.filter(|relation| fallible.is_empty() || !relation.sql().contains("UNION ALL"));
    fitting.next().unwrap_or_else(|| relations[0].clone())
}

/// The table as its asker sees it; parts of nested columns stand as columns. `None` if nothing is left to compute with.
fn relation(rng: &mut StdRng, table: &Table) -> Option<Relation> {
    let mut columns = vec![];
    for column in &table.columns {
        let name = quote(&column.name);
        match seen(table, column) {
            None => {}
            Some(Type::Shown) if column.kind == Kind::List => {
                columns.extend([(format!("{name}[1]"), Type::Integer), (format!("{name}[2]"), Type::Integer)]);
            }
            Some(Type::Shown) => {
                columns.extend([(format!("{name}['a']"), Type::Integer), (format!("{name}['b']"), Type::Text)]);
            }
            Some(of) => columns.push((name, of)),
        }
    }
    (!columns.is_empty()).then(|| Relation::Table { name: name(rng, table), columns })
}

/// One of the table's names.
fn name(rng: &mut StdRng, table: &Table) -> String {
    let table = &table.name;
    pick(
        rng,
        &[
            format!("\"{SITE}\".\"{SOURCE}\".\"{table}\""),
            format!("{SOURCE}.{table}"),
            format!("{SITE}.{SOURCE}.{}", table.to_uppercase()),
        ],
    )
}

/// The type of a column once it is treated; `None` for one that may not be read.
fn seen(table: &Table, column: &Column) -> Option<Type> {
    let own = match column.kind {
        Kind::Small | Kind::Integer => Type::Integer,
        Kind::Decimal => Type::Decimal,
        Kind::Float => Type::Float,
        Kind::Text => Type::Text,
        Kind::Boolean => Type::Boolean,
        Kind::Date => Type::Date,
        Kind::Timestamp => Type::Timestamp,
        Kind::List | Kind::Struct => Type::Shown,
    };
    match table.policy.treatment(&column.name) {
        Treatment::Clear => Some(own),
        Treatment::AggregateOnly(..) | Treatment::Masked(ColumnMask::Hide) => None,
        Treatment::Masked(mask) => {
            let input = column.kind.data_type();
            let output = mask.output_type(&input);
            Some(if output == input { own } else { of_mask(mask) })
        }
    }
}

/// Of a mask that changes the type: to text, but for a fixed value of another kind.
fn of_mask(mask: &ColumnMask) -> Type {
    match mask {
        ColumnMask::Fixed(Value::Integer(_)) => Type::Integer,
        ColumnMask::Fixed(Value::Boolean(_)) => Type::Boolean,
        ColumnMask::Fixed(Value::Decimal(_)) => Type::Decimal,
        _ => Type::Text,
    }
}

/// Columns that may be read and have a type that this fits, quoted.
fn columns(table: &Table, fits: impl Fn(Type) -> bool) -> Vec<String> {
    let read = table.columns.iter().filter(|column| seen(table, column).is_some_and(&fits));
    read.map(|column| quote(&column.name)).collect()
}

/// Short statements, each with one clause in which a hidden value would be met first.
fn plain(rng: &mut StdRng, granted: &[&Table]) -> String {
    let table = pick(rng, granted);
    let from = name(rng, table);
    let or = |columns: Vec<String>, otherwise: &str| {
        if columns.is_empty() { vec![otherwise.to_string()] } else { columns }
    };
    let text = pick(rng, &or(columns(table, |of| of == Type::Text), "'5'"));
    let number = pick(rng, &or(columns(table, |of| of == Type::Integer), "3"));
    let any = pick(rng, &or(columns(table, |of| of != Type::Shown), "1"));
    let limit = rng.random_range(1..8);
    let divisor = rng.random_range(-1..10);
    pick(
        rng,
        &[
            format!("SELECT * FROM {from}"),
            format!("SELECT * FROM {from} LIMIT {limit} OFFSET 2"),
            format!("SELECT {any}, CAST({text} AS BIGINT) FROM {from}"),
            format!("SELECT CAST({text} AS BIGINT) FROM {from} LIMIT {limit}"),
            format!("SELECT {any} FROM {from} WHERE CAST({text} AS BIGINT) > 0"),
            format!("SELECT {any} FROM {from} WHERE {text} > 5 LIMIT {limit}"),
            format!("SELECT {any}, 100 / ({number} - {divisor}) AS d FROM {from} ORDER BY d"),
            format!("SELECT {any} FROM {from} WHERE 1 / ({number} - {divisor}) >= 0 OR {any} IS NULL"),
            format!("SELECT {any} FROM {from} WHERE CASE WHEN {number} = {divisor} THEN 1 / 0 ELSE 1 END = 1"),
            format!("SELECT count(*), sum({number}), min({any}), max({text}) FROM {from}"),
            format!("SELECT {any}, count(*) FROM {from} GROUP BY {any}"),
            format!(
                "SELECT {any}, count(*) AS n FROM {from} GROUP BY {any} HAVING 10 / (count(*) - 2) > 0 ORDER BY n, {any}"
            ),
            format!("SELECT CAST({text} AS BIGINT) % 3 AS k, count(*) FROM {from} GROUP BY k ORDER BY k"),
            format!("SELECT DISTINCT {any}, {number} FROM {from} ORDER BY {number} DESC LIMIT {limit}"),
            format!("SELECT a.{any}, b.{number} FROM {from} a JOIN {from} b ON a.{number} = CAST(b.{text} AS BIGINT)"),
            format!(
                "SELECT a.{any} FROM {from} a LEFT JOIN {from} b ON a.{number} = b.{number} AND 10 / (b.{number} - {divisor}) > 1"
            ),
            format!("SELECT {any}, sum({number}) OVER (ORDER BY CAST({text} AS BIGINT)) FROM {from}"),
            format!("SELECT {any}, row_number() OVER (), lag({any}) OVER (ORDER BY {number}) FROM {from}"),
            format!(
                "WITH w AS (SELECT CAST({text} AS BIGINT) AS x, {any} AS y FROM {from}) SELECT y FROM w WHERE x > 3 LIMIT {limit}"
            ),
            format!("SELECT {any} FROM {from} WHERE {number} IN (SELECT CAST({text} AS BIGINT) FROM {from})"),
            format!(
                "SELECT {any} FROM {from} o WHERE EXISTS (SELECT 1 FROM {from} i WHERE i.{number} = o.{number} AND 7 / i.{number} > 0)"
            ),
            format!("SELECT {any} FROM {from} UNION ALL SELECT {any} FROM {from} LIMIT {limit}"),
            format!("SELECT (SELECT max(CAST({text} AS BIGINT)) FROM {from}), 1 / 1"),
            format!("SELECT {any} FROM {from} WHERE 1 / 0 > 0"),
            format!("SELECT avg({number}), stddev({number}), median({number}), approx_distinct({any}) FROM {from}"),
            format!(
                "SELECT string_agg({text}, ',') , array_agg({any}), first_value({any}), last_value({text}) FROM {from}"
            ),
            format!(
                "SELECT sum(CAST({number} AS DOUBLE) / 7), avg(sqrt(abs({number}) + 0.1)), corr({number}, {number}) FROM {from}"
            ),
            format!("TABLE {from}"),
            format!("DESCRIBE {from}"),
        ],
    )
}

/// Aggregates of an aggregate-only column, as they may be used.
fn aggregates(rng: &mut StdRng, table: &Table) -> String {
    let Some(rule) = &table.policy.release else { return String::new() };
    let (from, summed) = (name(rng, table), quote(&rule.bounds[0].0));
    let mut keys: Vec<String> = rule.group_by.iter().map(|key| quote(key)).collect();
    keys.truncate(rng.random_range(0..=2));
    let calls = [
        format!("sum({summed})"),
        format!("avg({summed})"),
        format!("count({summed})"),
        format!("count(DISTINCT {summed})"),
        "count(*)".to_string(),
    ];
    let call = pick(rng, &calls);
    let items: Vec<String> = keys.iter().cloned().chain([call.clone(), pick(rng, &calls)]).collect();
    let text = columns(table, |of| of == Type::Text).into_iter().next().unwrap_or_else(|| "'4'".to_string());
    let filter = pick(
        rng,
        &[String::new(), String::new(), format!(" WHERE CAST({text} AS BIGINT) > 3"), format!(" WHERE {text} > 'a'")],
    );
    let group = if keys.is_empty() { String::new() } else { format!(" GROUP BY {}", keys.join(", ")) };
    let having =
        pick(rng, &[String::new(), String::new(), format!(" HAVING {call} > 3"), format!(" HAVING 100 / {call} > 3")]);
    let order = pick(rng, &[String::new(), format!(" ORDER BY {call} DESC"), " ORDER BY 1 LIMIT 2".to_string()]);
    format!("SELECT {} FROM {from}{filter}{group}{having}{order}", items.join(", "))
}

/// Aggregate-only columns where they may not stand.
fn misused(rng: &mut StdRng, table: &Table) -> String {
    let Some(rule) = &table.policy.release else { return String::new() };
    let (from, summed) = (name(rng, table), quote(&rule.bounds[0].0));
    pick(
        rng,
        &[
            format!("SELECT {summed} FROM {from}"),
            format!("SELECT * FROM {from}"),
            format!("SELECT max({summed}) FROM {from}"),
            format!("SELECT sum({summed} + 1) FROM {from}"),
            format!("SELECT sum(1 / {summed}) FROM {from}"),
            format!("SELECT count(*) FROM {from} WHERE {summed} > 5"),
            format!("SELECT sum({summed}) FILTER (WHERE {summed} > 5) FROM {from}"),
            format!("SELECT {summed}, count(*) FROM {from} GROUP BY {summed}"),
            format!("SELECT sum({summed}) FROM (SELECT {summed} FROM {from} UNION ALL SELECT {summed} FROM {from}) u"),
            format!("SELECT sum(a.{summed}) FROM {from} a CROSS JOIN (VALUES (1), (2)) v"),
            format!("SELECT sum({summed}) OVER () FROM {from}"),
        ],
    )
}

/// Names that are not there, or not for the asker; some of them near those that are.
fn unknown(rng: &mut StdRng, tables: &[Table]) -> String {
    let table = pick(rng, tables);
    let from = name(rng, &table);
    let columns: Vec<String> = table.columns.iter().map(|column| column.name.clone()).collect();
    let unseen = table.columns.iter().filter(|column| seen(&table, column).is_none());
    let unseen: Vec<String> = unseen.map(|column| column.name.clone()).collect();
    let any = pick(rng, &columns);
    let hidden = if unseen.is_empty() { any.clone() } else { pick(rng, &unseen) };
    pick(
        rng,
        &[
            format!("SELECT {} FROM {from}", quote(&hidden)),
            format!("SELECT {} FROM {from}", quote(&format!("{hidden}s"))),
            format!("SELECT count(*) FROM {from} WHERE {} IS NULL", quote(&hidden)),
            format!("SELECT {} FROM {from} ORDER BY {}", quote(&any), quote(&hidden)),
            "SELECT nosuch FROM data.t0".to_string(),
            "SELECT * FROM data.t2".to_string(),
            "SELECT * FROM data.t9".to_string(),
            "SELECT count(*) FROM nodata.t0".to_string(),
            format!("SELECT nosuch({}) FROM {from}", quote(&hidden)),
            format!("SELECT * FROM {from} x JOIN {from} y USING ({})", quote(&hidden)),
        ],
    )
}

/// Statements about tables, and statements that are refused.
fn listing(rng: &mut StdRng, tables: &[Table]) -> String {
    let table = pick(rng, tables);
    let from = name(rng, &table);
    pick(
        rng,
        &[
            "SELECT * FROM information_schema.columns ORDER BY 1, 2, 3, 4".to_string(),
            "SELECT table_name, count(*) FROM information_schema.columns GROUP BY table_name".to_string(),
            "SELECT * FROM information_schema.tables".to_string(),
            "SHOW TABLES".to_string(),
            format!("SHOW COLUMNS FROM {from}"),
            format!("EXPLAIN SELECT * FROM {from}"),
            format!("EXPLAIN POLICY SELECT * FROM {from}"),
            format!("EXPLAIN VERBOSE SELECT count(*) FROM {from}"),
            format!("EXPLAIN ANALYZE SELECT count(*) FROM {from}"),
            format!("SHOW EFFECTIVE POLICY ON {SOURCE}.{} FOR ROLE analyst", table.name),
            "SHOW POLICIES".to_string(),
            format!("COPY {from} TO '/tmp/x'"),
            format!("SELECT input_file_name() FROM {from}"),
            format!("INSERT INTO {from} SELECT * FROM {from}"),
        ],
    )
}
