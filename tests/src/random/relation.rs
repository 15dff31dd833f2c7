//! A random statement as a tree of relations, and its text.

use std::cell::Cell;

use super::expression::{Expression, Type};

/// A relation; all but a table name their columns `c0`, `c1`, ….
#[derive(Debug, Clone)]
pub enum Relation {
    /// A table, or a common table expression, under its SQL name.
    Table {
        /// The name, quoted.
        name: String,
        /// Its columns' names, quoted, and types.
        columns: Vec<(String, Type)>,
    },
    /// `WHERE`.
    Filter {
        /// What is filtered.
        input: Box<Relation>,
        /// Over one input.
        predicate: Expression,
    },
    /// A select list.
    Project {
        /// `SELECT` or `SELECT DISTINCT`.
        select: &'static str,
        /// What is projected.
        input: Box<Relation>,
        /// Over one input.
        items: Vec<Expression>,
    },
    /// A join of any kind.
    Join {
        /// How it is written, and which sides' columns it has.
        kind: JoinKind,
        /// First input.
        left: Box<Relation>,
        /// Second input.
        right: Box<Relation>,
        /// Conjuncts over both inputs; none for a cross join.
        on: Vec<Expression>,
    },
    /// A filter by IN or EXISTS.
    Subquery {
        /// How it is written.
        test: Test,
        /// What is filtered.
        input: Box<Relation>,
        /// Over the input.
        key: Expression,
        /// The inner relation.
        inner: Box<Relation>,
        /// The inner column that meets the key.
        inner_key: usize,
        /// Further conjuncts inside, over the input (0) and the inner relation (1).
        inside: Vec<Expression>,
        /// An alternative to the test, over the input.
        or: Option<Expression>,
    },
    /// `GROUP BY`.
    Aggregate {
        /// What is grouped.
        input: Box<Relation>,
        /// Columns of the input.
        keys: Vec<usize>,
        /// How the keys are written; `{}` is their list.
        grouping: &'static str,
        /// Aggregates over the input.
        calls: Vec<Expression>,
        /// A predicate over aggregates of the input.
        having: Option<Expression>,
    },
    /// Window functions, after all columns of the input.
    Window {
        /// What they look at.
        input: Box<Relation>,
        /// Over the input.
        calls: Vec<Expression>,
    },
    /// `UNION`, `INTERSECT`, `EXCEPT`, with or without `ALL`.
    Set {
        /// The operator.
        operator: &'static str,
        /// First input.
        left: Box<Relation>,
        /// Second input, of the same types.
        right: Box<Relation>,
    },
    /// `ORDER BY` and `LIMIT`.
    Top {
        /// What is sorted.
        input: Box<Relation>,
        /// All columns of the input in some order, with `ASC`, `DESC`, and the place of NULLs; of an unruly statement fewer.
        keys: Vec<(usize, &'static str)>,
        /// `LIMIT … OFFSET …` as it is written.
        limit: String,
    },
    /// `WITH name AS (definition) body`; the body has tables of that name.
    With {
        /// The name.
        name: String,
        /// The common table expression.
        definition: Box<Relation>,
        /// What uses it.
        body: Box<Relation>,
    },
}

/// Kinds of join.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JoinKind {
    /// Both sides' columns.
    Both(&'static str),
    /// The left side's columns.
    Left(&'static str),
    /// The right side's columns.
    Right(&'static str),
}

/// Tests by a subquery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Test {
    /// `IN`
    In,
    /// `NOT IN`
    NotIn,
    /// `EXISTS`
    Exists,
    /// `NOT EXISTS`
    NotExists,
}

/// A relation as it stands in FROM: its text with an alias, and the names of its columns.
#[derive(Debug)]
pub struct Item {
    /// Text for FROM.
    pub text: String,
    /// One name for each column.
    pub columns: Vec<String>,
}

thread_local! {
    /// Aliases are unique in a statement, so that no name inside can mean another outside.
    static ALIASES: Cell<usize> = const { Cell::new(0) };
}

impl Relation {
    /// The whole statement.
    pub fn sql(&self) -> String {
        ALIASES.set(0);
        self.select()
    }

    /// Types of its columns.
    pub fn types(&self) -> Vec<Type> {
        match self {
            Relation::Table { columns, .. } => columns.iter().map(|(_, of)| *of).collect(),
            Relation::Filter { input, .. } | Relation::Subquery { input, .. } | Relation::Top { input, .. } => {
                input.types()
            }
            Relation::Project { items, .. } => items.iter().map(Expression::of).collect(),
            Relation::Join { kind: JoinKind::Both(_), left, right, .. } => [left.types(), right.types()].concat(),
            Relation::Join { kind: JoinKind::Right(_), right, .. } => right.types(),
            Relation::Join { left, .. } | Relation::Set { left, .. } => left.types(),
            Relation::Aggregate { input, keys, calls, .. } => {
                let types = input.types();
                keys.iter().map(|key| types[*key]).chain(calls.iter().map(Expression::of)).collect()
            }
            Relation::Window { input, calls } => {
                input.types().into_iter().chain(calls.iter().map(Expression::of)).collect()
            }
            Relation::With { body, .. } => body.types(),
        }
    }

    /// As it stands in FROM.
    pub fn item(&self) -> Item {
        let alias = format!("t{}", ALIASES.replace(ALIASES.get() + 1));
        match self {
            Relation::Table { name, columns } => Item {
                text: format!("{name} AS {alias}"),
                columns: columns.iter().map(|(column, _)| format!("{alias}.{column}")).collect(),
            },
            _ => Item {
                text: format!("({}) AS {alias}", self.select()),
                columns: (0..self.types().len()).map(|index| format!("{alias}.c{index}")).collect(),
            },
        }
    }

    fn select(&self) -> String {
        match self {
            Relation::Table { .. } => {
                let item = self.item();
                format!("SELECT {} FROM {}", named(&item.columns), item.text)
            }
            Relation::Filter { input, predicate } => {
                let item = input.item();
                format!("SELECT {} FROM {} WHERE {}", named(&item.columns), item.text, predicate.sql(&[&item.columns]))
            }
            Relation::Project { select, input, items } => {
                let item = input.item();
                format!("{select} {} FROM {}", named(&texts(items, &[&item.columns])), item.text)
            }
            Relation::Join { kind, left, right, on } => join(*kind, &left.item(), &right.item(), on),
            Relation::Subquery { .. } => self.select_subquery(),
            Relation::Aggregate { .. } => self.select_aggregate(),
            Relation::Window { input, calls } => {
                let item = input.item();
                let columns = [item.columns.clone(), texts(calls, &[&item.columns])].concat();
                format!("SELECT {} FROM {}", named(&columns), item.text)
            }
            Relation::Set { operator, left, right } => {
                let (left, right) = (left.item(), right.item());
                let [first, second] =
                    [&left, &right].map(|item| format!("SELECT {} FROM {}", named(&item.columns), item.text));
                format!("{first} {operator} {second}")
            }
            Relation::Top { input, keys, limit } => {
                let item = input.item();
                let order: Vec<String> =
                    keys.iter().map(|(key, how)| format!("{} {how}", item.columns[*key])).collect();
                let order = if order.is_empty() { String::new() } else { format!("ORDER BY {} ", order.join(", ")) };
                format!("SELECT {} FROM {} {order}{limit}", named(&item.columns), item.text)
            }
            Relation::With { name, definition, body } => {
                format!("WITH {name} AS ({}) {}", definition.select(), body.select())
            }
        }
    }

    fn select_subquery(&self) -> String {
        let Relation::Subquery { test, input, key, inner, inner_key, inside, or } = self else {
            panic!("called for subqueries only");
        };
        let (item, inner) = (input.item(), inner.item());
        let key = key.sql(&[&item.columns]);
        let mut conjuncts = texts(inside, &[&item.columns, &inner.columns]);
        let inner_key = &inner.columns[*inner_key];
        let (before, selected) = match test {
            Test::In => (format!("{key} IN"), inner_key.as_str()),
            Test::NotIn => (format!("{key} NOT IN"), inner_key.as_str()),
            Test::Exists => ("EXISTS".to_string(), "1"),
            Test::NotExists => ("NOT EXISTS".to_string(), "1"),
        };
        if matches!(test, Test::Exists | Test::NotExists) {
            conjuncts.insert(0, format!("{inner_key} = {key}"));
        }
        let inside = if conjuncts.is_empty() { String::new() } else { format!(" WHERE {}", conjuncts.join(" AND ")) };
        let or = or.as_ref().map(|or| format!(" OR {}", or.sql(&[&item.columns]))).unwrap_or_default();
        format!(
            "SELECT {} FROM {} WHERE {before} (SELECT {selected} FROM {}{inside}){or}",
            named(&item.columns),
            item.text,
            inner.text
        )
    }

    fn select_aggregate(&self) -> String {
        let Relation::Aggregate { input, keys, grouping, calls, having } = self else {
            panic!("called for aggregates only");
        };
        let item = input.item();
        let keys: Vec<String> = keys.iter().map(|key| item.columns[*key].clone()).collect();
        let columns = [keys.clone(), texts(calls, &[&item.columns])].concat();
        let group = if keys.is_empty() {
            String::new()
        } else {
            format!(" GROUP BY {}", grouping.replace("{}", &keys.join(", ")))
        };
        let having =
            having.as_ref().map(|having| format!(" HAVING {}", having.sql(&[&item.columns]))).unwrap_or_default();
        format!("SELECT {} FROM {}{group}{having}", named(&columns), item.text)
    }
}

fn join(kind: JoinKind, left: &Item, right: &Item, on: &[Expression]) -> String {
    let (word, columns) = match kind {
        JoinKind::Both(word) => (word, [left.columns.clone(), right.columns.clone()].concat()),
        JoinKind::Left(word) => (word, left.columns.clone()),
        JoinKind::Right(word) => (word, right.columns.clone()),
    };
    let on = texts(on, &[&left.columns, &right.columns]);
    let on = if on.is_empty() { String::new() } else { format!(" ON {}", on.join(" AND ")) };
    format!("SELECT {} FROM {} {word} {}{on}", named(&columns), left.text, right.text)
}

fn texts(expressions: &[Expression], scope: &[&[String]]) -> Vec<String> {
    expressions.iter().map(|expression| expression.sql(scope)).collect()
}

fn named(columns: &[String]) -> String {
    let named = columns.iter().enumerate().map(|(index, column)| format!("{column} AS c{index}"));
    named.collect::<Vec<_>>().join(", ")
}
