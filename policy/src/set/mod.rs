//! All that is in force at a site, at one version; and what a change makes of it.

mod apply;
mod check;
mod files;
mod less;
mod named;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use arrow::datatypes::SchemaRef;
use serde::{Deserialize, Serialize};

use crate::resource::TableName;
use crate::statement::{Change, Grant, Policy};
use crate::time::Instant;

pub(crate) use check::in_order;
pub use files::{Baselines, File, FileFault};
pub use named::NamedTables;

/// The tables that policy statements are checked against, as they are now.
pub trait Catalog {
    /// The tables of a source, in the order of their names; empty for a source that is not there.
    fn tables(&self, source: &str) -> Vec<TableName>;
    /// The columns of a table; `None` for a table that is not there.
    fn schema(&self, table: &TableName) -> Option<SchemaRef>;
    /// Whether the columns' types are known too; where they are not, nothing is checked against them.
    fn knows_types(&self) -> bool {
        true
    }
}

/// Everything that is in force. Nothing depends on the order of the statements that made it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicySet {
    /// Counts changes, from 0 for the empty set.
    pub version: u64,
    /// The number of the last grant id that the site gave (`g-0017`: 17); none is given again.
    #[serde(default)]
    pub last_grant: u64,
    /// Tags and the values that they may have.
    pub tags: BTreeMap<String, Vec<String>>,
    /// Purposes by name.
    pub purposes: BTreeMap<String, Purpose>,
    /// Grants by id.
    pub grants: BTreeMap<String, GrantRecord>,
    /// Policies by name.
    pub policies: BTreeMap<String, PolicyRecord>,
    /// What is tagged with what, sorted.
    pub tagged: Vec<Tagged>,
    /// Columns that were accepted after they came.
    pub accepted: BTreeSet<(TableName, String)>,
    /// From then on nobody sees anything.
    pub valid_until: Option<Instant>,
}

/// A purpose.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Purpose {
    /// The purpose that it is a part of.
    pub under: Option<String>,
    /// What it is.
    pub comment: Option<String>,
}

/// A grant, and what was there when it was made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GrantRecord {
    /// The grant; its id is given.
    pub grant: Grant,
    /// When it was made.
    pub at: Instant,
    /// By whom.
    pub author: String,
    /// The columns of the tables that it covered then; columns that came later are hidden until a policy by
    /// their tags or ACCEPT COLUMN covers them.
    pub columns: BTreeMap<String, BTreeSet<String>>,
}

/// A policy, and the columns that it uses as they were when it was made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PolicyRecord {
    /// The policy.
    pub policy: Policy,
    /// When it was made.
    pub at: Instant,
    /// By whom.
    pub author: String,
    /// `source.table` → column → type, of the columns that it names or takes by their tags; one that is gone or has another
    /// type denies the table.
    pub uses: BTreeMap<String, BTreeMap<String, String>>,
}

/// A tag on a table or a column.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Tagged {
    /// The table.
    pub table: TableName,
    /// The column, if it is a column's.
    pub column: Option<String>,
    /// The tag.
    pub tag: String,
    /// Its value.
    pub value: String,
}

/// `source.table`, or `source.table.column`.
impl fmt::Display for Tagged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.table)?;
        self.column.iter().try_for_each(|column| write!(f, ".{column}"))
    }
}

/// What a change makes of a set.
#[derive(Debug, Clone, PartialEq)]
pub struct Applied {
    /// The set after it, one version on.
    pub set: PolicySet,
    /// The change as it took effect: a grant has its id.
    pub change: Change,
    /// The change that takes it back.
    pub inverse: Change,
    /// What its author should know: treatments that tags or roles may make meet, columns that are hidden for now.
    pub notes: Vec<String>,
}

/// Who makes a change, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    /// The administrator, or the directory that files are read from.
    pub author: String,
    /// The site's clock.
    pub at: Instant,
}
