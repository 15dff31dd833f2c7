//! An expression of a random statement: a tree of templates, always well typed, printed with every parenthesis.

use super::relation::Relation;

/// What the generator knows of a column's type: which templates it fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Type {
    /// Any width of integer.
    Integer,
    /// A decimal of any precision.
    Decimal,
    /// A float whose sums are exact: a small multiple of a power of two, or not a number.
    Float,
    /// A string.
    Text,
    /// A boolean.
    Boolean,
    /// A day.
    Date,
    /// A timestamp without zone.
    Timestamp,
    /// A timestamp with zone.
    Zoned,
    /// Known to a few digits only, or a list: it may be shown, but nothing may depend on it.
    Shown,
}

/// The types that a table's columns have, and that may be compared and sorted.
pub const COMPARABLE: [Type; 8] =
    [Type::Integer, Type::Decimal, Type::Float, Type::Text, Type::Boolean, Type::Date, Type::Timestamp, Type::Zoned];

/// An expression over the columns of one or two inputs.
#[derive(Debug, Clone)]
pub enum Expression {
    /// Column `index` of input `side`.
    Column {
        /// 0, or 1 for the second input of a join or the inner side of a subquery.
        side: usize,
        /// Position in that input.
        index: usize,
        /// Its type.
        of: Type,
    },
    /// A literal as it is written.
    Literal {
        /// The text.
        text: String,
        /// Its type.
        of: Type,
    },
    /// A template whose `{}` are the arguments.
    Call {
        /// The text with `{}`.
        template: String,
        /// One for each `{}`.
        arguments: Vec<Expression>,
        /// Type of the result.
        of: Type,
    },
    /// A call whose arguments belong together, such as a window's keys: it is never taken apart.
    Atom(Box<Expression>),
    /// One value of a relation: `SELECT call FROM relation WHERE inner = outer`.
    Scalar {
        /// An aggregate over the relation's columns.
        call: Box<Expression>,
        /// What it is computed over.
        relation: Box<Relation>,
        /// An equality that correlates it: a column of the relation, and an expression over the outer row.
        correlation: Option<(usize, Box<Expression>)>,
    },
}

impl Expression {
    /// Its type.
    pub fn of(&self) -> Type {
        match self {
            Expression::Column { of, .. } | Expression::Literal { of, .. } | Expression::Call { of, .. } => *of,
            Expression::Atom(call) | Expression::Scalar { call, .. } => call.of(),
        }
    }

    /// Its text, where `scope` holds the names of each input's columns.
    pub fn sql(&self, scope: &[&[String]]) -> String {
        match self {
            Expression::Column { side, index, .. } => scope[*side][*index].clone(),
            Expression::Literal { text, .. } => text.clone(),
            Expression::Call { template, arguments, .. } => {
                let mut pieces = template.split("{}");
                let mut text = pieces.next().unwrap_or_default().to_string();
                for (argument, piece) in arguments.iter().zip(pieces) {
                    text += &argument.sql(scope);
                    text += piece;
                }
                text
            }
            Expression::Atom(call) => call.sql(scope),
            Expression::Scalar { call, relation, correlation } => {
                let inner = relation.item();
                let equal = correlation
                    .as_ref()
                    .map(|(column, outer)| format!(" WHERE {} = {}", inner.columns[*column], outer.sql(scope)));
                format!("(SELECT {} FROM {}{})", call.sql(&[&inner.columns]), inner.text, equal.unwrap_or_default())
            }
        }
    }
}

/// A template, the types of its arguments, and the type of its result.
pub type Template = (&'static str, &'static [Type], Type);

/// What the corpus of templates leaves out on purpose: division by a column (an error that depends on which rows are seen),
/// float division and roots (not exact), casts of text that may fail, and everything volatile.
pub const TEMPLATES: &[Template] = {
    use Type::{
        Boolean as B, Date as D, Decimal as N, Float as F, Integer as I, Text as T, Timestamp as S, Zoned as Z,
    };
    &[
        ("({} + {})", &[I, I], I),
        ("({} - {})", &[I, I], I),
        ("({} * {})", &[I, I], I),
        ("({} % 7)", &[I], I),
        ("({} / 3)", &[I], I),
        ("(- {})", &[I], I),
        ("abs({})", &[I], I),
        ("coalesce({}, {})", &[I, I], I),
        ("nullif({}, {})", &[I, I], I),
        ("greatest({}, {})", &[I, I], I),
        ("CASE WHEN {} THEN {} ELSE {} END", &[B, I, I], I),
        ("CASE {} WHEN 1 THEN {} WHEN 2 THEN {} END", &[I, I, I], I),
        ("length({})", &[T], I),
        ("try_cast({} AS BIGINT)", &[T], I),
        ("CAST({} AS INT)", &[B], I),
        ("CAST({} AS BIGINT)", &[N], I),
        ("extract(YEAR FROM {})", &[D], I),
        ("extract(MONTH FROM {})", &[S], I),
        ("extract(HOUR FROM {})", &[Z], I),
        ("({} + {})", &[N, N], N),
        ("({} - {})", &[N, N], N),
        ("({} * 2)", &[N], N),
        ("(- {})", &[N], N),
        ("coalesce({}, {})", &[N, N], N),
        ("round({}, 1)", &[N], N),
        ("CASE WHEN {} THEN {} END", &[B, N], N),
        ("CAST({} AS DECIMAL(14, 2))", &[I], N),
        ("({} + {})", &[F, F], F),
        ("({} * 0.5)", &[F], F),
        ("(- {})", &[F], F),
        ("coalesce({}, {})", &[F, F], F),
        ("CASE WHEN {} THEN {} ELSE {} END", &[B, F, F], F),
        ("({} || {})", &[T, T], T),
        ("upper({})", &[T], T),
        ("lower({})", &[T], T),
        ("substr({}, 1, 2)", &[T], T),
        ("replace({}, 'a', '北')", &[T], T),
        ("trim({})", &[T], T),
        ("concat({}, '-', {})", &[T, T], T),
        ("coalesce({}, {})", &[T, T], T),
        ("nullif({}, {})", &[T, T], T),
        ("CASE WHEN {} THEN {} ELSE {} END", &[B, T, T], T),
        ("CAST({} AS VARCHAR)", &[I], T),
        ("CAST({} AS VARCHAR)", &[N], T),
        ("CAST({} AS VARCHAR)", &[D], T),
        ("({} AND {})", &[B, B], B),
        ("({} OR {})", &[B, B], B),
        ("(NOT {})", &[B], B),
        ("({} IS TRUE)", &[B], B),
        ("({} IS NOT FALSE)", &[B], B),
        ("({} IS UNKNOWN)", &[B], B),
        ("({} LIKE 'a%')", &[T], B),
        ("({} NOT LIKE '%\\%%')", &[T], B),
        ("({} ILIKE '_B')", &[T], B),
        ("({} IN ('a', 'b', 'O''B'))", &[T], B),
        ("({} NOT IN (1, 2, 3))", &[I], B),
        ("({} IN (1, 4, NULL))", &[I], B),
        ("({} NOT IN (1, NULL))", &[I], B),
        ("({} BETWEEN {} AND {})", &[I, I, I], B),
        ("({} NOT BETWEEN {} AND {})", &[D, D, D], B),
        ("isnan({})", &[F], B),
        ("({} + INTERVAL '3' DAY)", &[D], D),
        ("({} - INTERVAL '1' MONTH)", &[D], D),
        ("CAST({} AS DATE)", &[S], D),
        ("coalesce({}, {})", &[D, D], D),
        ("CASE WHEN {} THEN {} END", &[B, D], D),
        ("({} + INTERVAL '90' MINUTE)", &[S], S),
        ("date_trunc('month', {})", &[S], S),
        ("coalesce({}, {})", &[S, S], S),
        ("({} - INTERVAL '2' DAY)", &[Z], Z),
        ("date_trunc('day', {})", &[Z], Z),
        ("coalesce({}, {})", &[Z, Z], Z),
    ]
};

/// Predicates over two values of any one comparable type.
pub const COMPARISONS: [&str; 8] = [
    "({} = {})",
    "({} <> {})",
    "({} < {})",
    "({} <= {})",
    "({} > {})",
    "({} >= {})",
    "({} IS DISTINCT FROM {})",
    "({} IS NOT DISTINCT FROM {})",
];

/// Aggregates by the type of their argument, and the type of their result. Minima and maxima of floats are left out, because
/// they depend on the order of rows where one is not a number.
pub fn aggregates(argument: Type) -> Vec<(&'static str, Type)> {
    use Type::{Boolean, Decimal, Float, Integer, Shown, Text};
    let mut calls = vec![("count({})", Integer), ("count(DISTINCT {})", Integer)];
    match argument {
        Integer => calls.extend([
            ("sum({})", Integer),
            ("sum(DISTINCT {})", Integer),
            ("avg({})", Shown),
            ("stddev({})", Shown),
        ]),
        Decimal => calls.extend([("sum({})", Decimal), ("avg({})", Decimal), ("sum(DISTINCT {})", Decimal)]),
        Float => calls.extend([("sum({})", Float), ("avg({})", Shown)]),
        Boolean => calls.extend([("bool_and({})", Boolean), ("bool_or({})", Boolean)]),
        _ => {}
    }
    match argument {
        Float | Boolean | Shown => {}
        other => calls.extend([("min({})", other), ("max({})", other)]),
    }
    if argument == Text {
        calls.push(("string_agg({}, '|' ORDER BY {})", Text));
    }
    if argument != Shown && argument != Float {
        calls.push(("array_agg({} ORDER BY {} DESC)", Shown));
    }
    calls
}
