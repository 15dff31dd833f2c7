//! The seam: what every kind of source promises to the site that opens it. A query arrives here bound and decided.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::path::Path;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion_common::Statistics;
use datafusion_session::TableProvider;
use serde::{Deserialize, Serialize};

use crate::capability::Capability;
use crate::error::{ConnectorError, OptionFault};

/// A kind of source (`files`, `postgres`, …): it checks options and opens sources. It holds no state and no connection.
///
/// There are no default methods: a default is pleasant to write and drifts from what a connector really does.
#[async_trait]
pub trait Connector: Debug + Send + Sync {
    /// The word that stands as `kind = "…"` in a configuration: lower case, unique in the registry, never changed.
    fn kind(&self) -> &'static str;

    /// The most that any source of this kind can do. One source may do less: [`Source::capability`] is what counts.
    fn capability(&self) -> Capability;

    /// Every fault of `options`, each with its key; empty if [`Connector::open`] has nothing to object to in them.
    ///
    /// `options` is the source's table of the configuration without `name` and `kind`; `base` is the directory that
    /// relative paths in it start from. It may look at local files, never at anything remote, and changes nothing. All
    /// faults are reported at once, in the order of the options.
    fn check(&self, options: &toml::Table, base: &Path) -> Vec<OptionFault>;

    /// Opens the source `name`. Its tables need not be readable yet: what is wrong with one table is said when that
    /// table is asked for, so one bad file does not hide its neighbours.
    ///
    /// # Errors
    /// [`ConnectorError::Configuration`] with all that [`Connector::check`] finds; [`ConnectorError::Unavailable`] if
    /// the source as a whole cannot be reached.
    async fn open(&self, name: &str, options: toml::Table, base: &Path) -> Result<Arc<dyn Source>, ConnectorError>;
}

/// One opened source: a schema of tables, described and read. Cheap to share, usable from many queries at once.
///
/// Names are compared exactly; a source never changes the spelling or case that the data has.
#[async_trait]
pub trait Source: Debug + Send + Sync {
    /// What this source really does. Constant while it is open. The conformance suite holds each claim in both
    /// directions: claimed means it happens, not claimed means it is refused or never used.
    fn capability(&self) -> Capability;

    /// All tables as they are now, in the order of their names: each described, or with what is wrong with it, so that
    /// one bad file hides no other table and no listing is silently short. A caller may keep a description for as long
    /// as [`TableDescription::version`] is what a later call answers.
    ///
    /// # Errors
    /// If the source as a whole cannot be listed.
    async fn tables(&self) -> Result<Vec<Described>, ConnectorError>;

    /// One table as it is now: its description and a provider that reads exactly the content described. Asks the
    /// source whether the content changed since it was last described and describes it anew if so.
    ///
    /// # Errors
    /// [`ConnectorError::TableNotFound`] for a name that the source does not have; otherwise what is wrong with it.
    ///
    /// # Cancellation
    /// Dropping the future leaves the source as it was.
    async fn table(&self, name: &str) -> Result<Table, ConnectorError>;
}

/// A table's name, and its description or what is wrong with the table.
pub type Described = (String, Result<Arc<TableDescription>, ConnectorError>);

/// What is known about a table without reading its rows.
#[derive(Debug, Clone)]
pub struct TableDescription {
    /// The table's name within its source.
    pub name: String,
    /// Whether it is a view, kept or not: its rows are made of those of other tables.
    pub is_view: bool,
    /// Columns in order. Types are plain: no views, no dictionaries, no large offsets; no metadata, neither the
    /// schema's nor a field's. A column that is not nullable holds no NULL.
    pub schema: SchemaRef,
    /// The columns of its primary key, in the key's order; empty where it has none, or none is known. A database holds its
    /// rows to it; for files it is its owner's word.
    pub primary_key: Vec<String>,
    /// The keys of other tables that it holds, as its database declares them; empty where none is known. The tables may
    /// be ones that the source does not serve.
    pub foreign_keys: Vec<ForeignKey>,
    /// What the owner says about the table.
    pub comment: Option<String>,
    /// What the owner says about columns, by the column's name; of those about which nothing is said there is nothing.
    pub column_comments: BTreeMap<String, String>,
    /// Row count, and per column NULLs, bounds and distinct values, as far as they are known; columns in the schema's
    /// order. `Exact` is exact: a planner may answer `count(*)` from it.
    pub statistics: Statistics,
    /// Opaque; differs whenever the schema differs and, with [`Capability::pinned_versions`], whenever the content does;
    /// equal as long as both are the same.
    pub version: String,
}

/// Columns that hold a key of another table, or NULL.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ForeignKey {
    /// Its columns, in the key's order.
    pub columns: Vec<String>,
    /// The table that they refer to, of the same schema; it may be their own.
    pub table: String,
    /// The columns that they refer to, each in the place of the one that does.
    pub referenced: Vec<String>,
    /// What becomes of it when a row that it refers to gets another key; `None` where that is not told.
    pub on_update: Option<ReferentialAction>,
    /// What becomes of it when a row that it refers to is deleted; likewise.
    pub on_delete: Option<ReferentialAction>,
}

/// What becomes of a foreign key when what it refers to is no longer there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReferentialAction {
    /// The change is refused in the end.
    NoAction,
    /// The change is refused at once.
    Restrict,
    /// The row goes, or gets the other key.
    Cascade,
    /// It becomes NULL.
    SetNull,
    /// It becomes its columns' default.
    SetDefault,
}

impl ReferentialAction {
    /// The action in SQL's words.
    pub fn as_sql(self) -> &'static str {
        match self {
            Self::NoAction => "NO ACTION",
            Self::Restrict => "RESTRICT",
            Self::Cascade => "CASCADE",
            Self::SetNull => "SET NULL",
            Self::SetDefault => "SET DEFAULT",
        }
    }

    /// The action of SQL's words.
    pub(crate) fn of_sql(words: &str) -> Option<Self> {
        let all = [Self::NoAction, Self::Restrict, Self::Cascade, Self::SetNull, Self::SetDefault];
        all.into_iter().find(|action| action.as_sql() == words)
    }
}

/// The names of a primary key's columns in the key's order, of all columns with their places in it.
pub(crate) fn in_key_order<'a>(columns: impl Iterator<Item = (&'a str, Option<i64>)>) -> Vec<String> {
    let mut key: Vec<(i64, &str)> = columns.filter_map(|(name, place)| Some((place?, name))).collect();
    key.sort_unstable();
    key.into_iter().map(|(_, name)| name.to_owned()).collect()
}

/// What is said about columns, of all columns with their comments.
pub(crate) fn column_comments<'a>(
    columns: impl Iterator<Item = (&'a String, Option<&'a String>)>,
) -> BTreeMap<String, String> {
    columns.filter_map(|(name, comment)| Some((name.clone(), comment?.clone()))).collect()
}

/// A table ready to be scanned.
///
/// One scan never mixes two versions. With [`Capability::pinned_versions`] the provider reads `description.version` or its
/// stream ends with [`ConnectorError::Changed`] ([`ConnectorError::find`] finds it); without, it reads the content of the
/// moment, one moment for all scans under one [`crate::ReadScope`], and `Changed` is for columns that have changed. It
/// depends on nothing registered in a session: any `SessionContext` can scan it. Its schema is the description's, and so
/// is every batch's.
#[derive(Debug, Clone)]
pub struct Table {
    /// What is known of the table, at the version that the provider reads.
    pub description: Arc<TableDescription>,
    /// Reads the table: filters first, then limit, then projection. What it answers to `supports_filters_pushdown` is
    /// never more than the source's [`Capability`].
    pub provider: Arc<dyn TableProvider>,
}
