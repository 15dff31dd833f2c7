//! A table of one site as the planner knows it: name, schema and statistics from the site's view, and no way to read it.

use std::fmt;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::Statistics;
use datafusion::datasource::source_as_provider;
use datafusion::error::Result as DataFusionResult;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableScan, TableType};
use datafusion::physical_plan::ExecutionPlan;
use serde::{Deserialize, Serialize};

use crate::catalog::treatment::TableTreatment;
use crate::error::EngineError;
use crate::key_set::can_be_key;

/// The name of a site, unique in a federation; it is the catalog of the site's tables.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SiteId(Arc<str>);

impl SiteId {
    /// The site of that name.
    pub fn new(name: &str) -> Self {
        Self(Arc::from(name))
    }

    /// The name as written in SQL.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SiteId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A table that lives at a site. The optimizer sees its schema and statistics; `cut_fragments` replaces every scan of
/// it by a remote scan before a physical plan is made.
#[derive(Debug)]
pub struct SiteTable {
    site: SiteId,
    schema: SchemaRef,
    statistics: Statistics,
    origin: Origin,
    treatment: Arc<TableTreatment>,
    key: Vec<String>,
}

/// The table's name at its site, and the version of it that was planned with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origin {
    /// The catalog at the site, where it is not the site's own: `system`.
    pub catalog: Option<String>,
    /// The source, which is the SQL schema.
    pub source: String,
    /// The table within the source.
    pub table: String,
    /// The version that the site's view gave.
    pub version: String,
}

impl SiteTable {
    /// A table of `site` with the schema and statistics of the site's view (statistics in the schema's column order).
    pub fn new(site: SiteId, schema: SchemaRef, statistics: Statistics) -> Self {
        Self { site, schema, statistics, origin: Origin::default(), treatment: Arc::default(), key: Vec::new() }
    }

    /// The same table with the name and version that its site knows.
    #[must_use]
    pub fn with_origin(self, origin: Origin) -> Self {
        Self { origin, ..self }
    }

    /// The same table in the form in which the asker sees it.
    #[must_use]
    pub fn with_treatment(self, treatment: Arc<TableTreatment>) -> Self {
        Self { treatment, ..self }
    }

    /// The same table, of whose rows at its version no two are alike in all these columns.
    #[must_use]
    pub fn with_key(self, key: Vec<String>) -> Self {
        Self { key, ..self }
    }

    /// The place of the one column in which no two rows of its version are alike; `None` where none is known, or where it takes
    /// several, or it cannot be sent as a key.
    pub fn single_key(&self) -> Option<usize> {
        let [key] = self.key.as_slice() else { return None };
        let place = self.schema.index_of(key).ok()?;
        // An owner's word that the statistics deny.
        let nulls = self.statistics.column_statistics.get(place).and_then(|known| known.null_count.get_value());
        let is_kept = nulls.is_none_or(|nulls| *nulls == 0);
        (is_kept && can_be_key(self.schema.field(place).data_type())).then_some(place)
    }

    /// How many rows it has, as far as it is known: else more than any plan counts.
    pub fn rows(&self) -> f64 {
        self.statistics.num_rows.get_value().map_or(f64::MAX, |rows| *rows as f64)
    }

    /// The form in which the asker sees it.
    pub fn treatment(&self) -> &Arc<TableTreatment> {
        &self.treatment
    }

    /// The name and version that its site knows.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// The site whose table a scan reads; `None` for tables of the coordinator itself.
    pub fn of(scan: &TableScan) -> Option<Arc<SiteTable>> {
        let provider = source_as_provider(&scan.source).ok()?;
        let provider: Arc<dyn std::any::Any + Send + Sync> = provider;
        provider.downcast::<SiteTable>().ok()
    }

    /// Where the table lives.
    pub fn site(&self) -> &SiteId {
        &self.site
    }
}

#[async_trait]
impl TableProvider for SiteTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    /// Filters stay visible in the plan above the scan: the fragment takes them to the site.
    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> DataFusionResult<Vec<TableProviderFilterPushDown>> {
        Ok(vec![TableProviderFilterPushDown::Unsupported; filters.len()])
    }

    fn statistics(&self) -> Option<Statistics> {
        Some(self.statistics.clone())
    }

    async fn scan(
        &self,
        _state: &dyn Session,
        _projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        _limit: Option<usize>,
    ) -> DataFusionResult<Arc<dyn ExecutionPlan>> {
        Err(EngineError::defect(format!("a scan of a table of site {} was not cut into a fragment", self.site)).into())
    }
}
