//! What a source really does, as data: the planner reads it, the conformance suite holds it in both directions.

use datafusion_expr::TableProviderFilterPushDown;

/// Named claims. A connector writes `Capability { projection: true, ..Capability::NONE }`: only what is true.
///
/// A claim is a verb that the source performs itself, so that fewer rows or bytes leave it. What is not claimed is
/// done above the scan by DataFusion, and the answer is the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capability {
    /// Columns that were not asked for are not produced.
    pub projection: bool,
    /// The strongest answer to a filter over ordinary columns.
    pub filter: FilterPushdown,
    /// The strongest answer to a filter over nothing but columns whose values stand in the names of directories.
    pub partition_filter: FilterPushdown,
    /// A scan with a limit stops early; it may give more rows than the limit, never fewer than it could.
    pub limit: bool,
    /// Every table's description says how many rows there are, exactly.
    pub row_count: bool,
    /// Every table's description bounds at least its columns of whole numbers and counts their NULLs, exactly.
    pub column_statistics: bool,
    /// A scan reads exactly the version that was described, or fails with [`crate::ConnectorError::Changed`].
    pub pinned_versions: bool,
    /// Text in encodings other than UTF-8 can be declared and is transcoded.
    pub encodings: bool,
    /// Aggregates can run in the source.
    pub aggregate: bool,
    /// Joins of two tables of the source can run in it.
    pub join: bool,
    /// Sorts, and sorts with a limit, can run in the source.
    pub sort: bool,
    /// How many scans the source bears at once; `None` if it sets no limit of its own.
    pub concurrent_scans_max: Option<usize>,
}

impl Capability {
    /// A source that only hands out all its rows.
    pub const NONE: Self = Self {
        projection: false,
        filter: FilterPushdown::Unsupported,
        partition_filter: FilterPushdown::Unsupported,
        limit: false,
        row_count: false,
        column_statistics: false,
        pinned_versions: false,
        encodings: false,
        aggregate: false,
        join: false,
        sort: false,
        concurrent_scans_max: None,
    };
}

/// How far a source takes a filter. Ordered: a later variant promises more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FilterPushdown {
    /// Filters are never handed to the source.
    Unsupported,
    /// Rows that the filter refuses may still come; rows that it accepts all come.
    Inexact,
    /// Exactly the rows that the filter accepts come.
    Exact,
}

impl From<FilterPushdown> for TableProviderFilterPushDown {
    fn from(pushdown: FilterPushdown) -> Self {
        match pushdown {
            FilterPushdown::Unsupported => Self::Unsupported,
            FilterPushdown::Inexact => Self::Inexact,
            FilterPushdown::Exact => Self::Exact,
        }
    }
}
