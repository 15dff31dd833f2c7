//! What policy speaks of: tables of a site, and schemas, which are its sources.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A table of the site: its source (the SQL schema) and its name there. Compared exactly.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TableName {
    /// The source.
    pub source: String,
    /// The table within it.
    pub table: String,
}

impl TableName {
    /// The table `source.table`.
    pub fn new(source: impl Into<String>, table: impl Into<String>) -> Self {
        Self { source: source.into(), table: table.into() }
    }
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.source, self.table)
    }
}

/// What a grant or a policy is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Resource {
    /// `SCHEMA source`: every table of it.
    Schema(String),
    /// `TABLE source.table`.
    Table(TableName),
}

impl Resource {
    /// Whether `table` is the resource or lies in it.
    pub fn covers(&self, table: &TableName) -> bool {
        match self {
            Resource::Schema(source) => *source == table.source,
            Resource::Table(name) => name == table,
        }
    }
}
