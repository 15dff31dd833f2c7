//! Row filters: a small grammar of its own, total by construction. As written ([`Predicate`]), then typed by a table's
//! columns and a subject's attributes ([`Filter`]): no part of it can fail or overflow on any row.

mod bind;
mod filter;

use std::collections::BTreeSet;

use datafusion_common::ScalarValue;
use serde::{Deserialize, Serialize};

use crate::value::Value;

/// A row filter as written: names and untyped values.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Predicate {
    /// `a = b` and the like.
    Compare {
        /// The left side.
        left: Operand,
        /// How the sides are compared.
        comparison: Comparison,
        /// The right side.
        right: Operand,
    },
    /// `a [NOT] IN (…)`, `a [NOT] IN attribute('list')`.
    In {
        /// What is looked for.
        operand: Operand,
        /// Where it is looked for.
        list: List,
        /// `NOT IN`.
        negated: bool,
    },
    /// `a IS [NOT] NULL`.
    IsNull {
        /// What is looked at.
        operand: Operand,
        /// `IS NOT NULL`.
        negated: bool,
    },
    /// All of them; of none: TRUE.
    And(Vec<Predicate>),
    /// Any of them; of none: FALSE.
    Or(Vec<Predicate>),
    /// Its opposite; of NULL: NULL.
    Not(Box<Predicate>),
}

/// One side of a comparison.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Operand {
    /// A column of the table, also one that the subject cannot see.
    Column(String),
    /// A value.
    Value(Value),
    /// `attribute('name')`: one value of the subject's.
    Attribute(String),
}

/// What `IN` looks through.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum List {
    /// `(1, 2, 3)`.
    Values(Vec<Value>),
    /// `attribute('name')`: a list (or one value) of the subject's.
    Attribute(String),
}

/// How two values are compared; NULL on either side gives NULL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names are SQL's")]
pub enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// A row filter ready to run over a table: every column is there, every value has its column's type.
/// A row passes where the filter is TRUE; NULL keeps it out.
#[derive(Debug, Clone, PartialEq)]
pub enum Filter {
    /// A comparison of two sides of one type.
    Compare(Side, Comparison, Side),
    /// Whether a column is one of these values, which have its type; of none: FALSE (and for NOT: TRUE) where the column
    /// is not NULL.
    In(Side, Vec<ScalarValue>, bool),
    /// Whether a side is NULL (`true`: is not).
    IsNull(Side, bool),
    /// All of them.
    And(Vec<Filter>),
    /// Any of them.
    Or(Vec<Filter>),
    /// Its opposite.
    Not(Box<Filter>),
}

/// One side of a typed comparison.
#[derive(Debug, Clone, PartialEq)]
pub enum Side {
    /// A column by name.
    Column(String),
    /// A value, never NULL.
    Value(ScalarValue),
}

impl Predicate {
    /// The names of the columns that it reads.
    pub fn columns(&self) -> BTreeSet<&str> {
        let mut columns = BTreeSet::new();
        self.add_columns(&mut columns);
        columns
    }

    fn add_columns<'a>(&'a self, columns: &mut BTreeSet<&'a str>) {
        match self {
            Predicate::Compare { left, right, .. } => {
                columns.extend([left, right].into_iter().filter_map(Operand::column))
            }
            Predicate::In { operand, .. } | Predicate::IsNull { operand, .. } => columns.extend(operand.column()),
            Predicate::And(parts) | Predicate::Or(parts) => parts.iter().for_each(|part| part.add_columns(columns)),
            Predicate::Not(part) => part.add_columns(columns),
        }
    }
}

impl Operand {
    fn column(&self) -> Option<&str> {
        match self {
            Operand::Column(name) => Some(name),
            Operand::Value(_) | Operand::Attribute(_) => None,
        }
    }
}
