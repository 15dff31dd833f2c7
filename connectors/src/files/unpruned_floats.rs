//! Parquet without pruning by floating point: bounds in footers leave out NaN, so pruning by them would lose its rows.
//!
//! `x > 5` accepts NaN, which sorts last; a row group with the bounds 1 and 2 may hold one. DataFusion prunes it all the
//! same (55.2), so filters over such columns stay above the scan. Other filters prune as ever.

use std::fmt;
use std::sync::Arc;

use arrow::datatypes::{DataType, Schema};
use datafusion_common::Result;
use datafusion_common::config::ConfigOptions;
use datafusion_common::tree_node::TreeNodeRecursion;
use datafusion_datasource::TableSchema;
use datafusion_datasource::file::FileSource;
use datafusion_datasource::file_scan_config::FileScanConfig;
use datafusion_datasource::file_stream::FileOpener;
use datafusion_datasource::morsel::Morselizer;
use datafusion_physical_expr::projection::ProjectionExprs;
use datafusion_physical_expr::utils::collect_columns;
use datafusion_physical_expr::{EquivalenceProperties, PhysicalExpr, PhysicalSortExpr};
use datafusion_physical_plan::filter_pushdown::{FilterPushdownPropagation, PushedDown};
use datafusion_physical_plan::metrics::ExecutionPlanMetricsSet;
use datafusion_physical_plan::{DisplayFormatType, SortOrderPushdownResult};
use object_store::ObjectStore;

/// A source that never sees a filter over a floating point column.
pub(super) struct UnprunedFloats {
    inner: Arc<dyn FileSource>,
}

impl UnprunedFloats {
    /// `inner` behind the guard, if its table has such a column.
    pub(super) fn guard(inner: Arc<dyn FileSource>) -> Arc<dyn FileSource> {
        let schema = inner.table_schema().table_schema();
        match schema.fields().iter().any(|field| has_float(field.data_type())) {
            true => Arc::new(Self { inner }),
            false => inner,
        }
    }

    fn wrap(inner: Arc<dyn FileSource>) -> Arc<dyn FileSource> {
        Arc::new(Self { inner })
    }
}

impl FileSource for UnprunedFloats {
    fn try_pushdown_filters(
        &self,
        filters: Vec<Arc<dyn PhysicalExpr>>,
        config: &ConfigOptions,
    ) -> Result<FilterPushdownPropagation<Arc<dyn FileSource>>> {
        let schema = self.table_schema().table_schema();
        let is_safe: Vec<_> = filters.iter().map(|filter| !uses_float(filter, schema)).collect();
        let safe = filters.into_iter().zip(&is_safe).filter(|(_, is_safe)| **is_safe);
        let pushed = self.inner.try_pushdown_filters(safe.map(|(filter, _)| filter).collect(), config)?;
        let mut answers = pushed.filters.into_iter();
        let filters = is_safe
            .iter()
            .map(|is_safe| if *is_safe { answers.next().unwrap_or(PushedDown::No) } else { PushedDown::No })
            .collect();
        Ok(FilterPushdownPropagation { filters, updated_node: pushed.updated_node.map(Self::wrap) })
    }

    fn with_batch_size(&self, batch_size: usize) -> Arc<dyn FileSource> {
        Self::wrap(self.inner.with_batch_size(batch_size))
    }

    fn try_pushdown_projection(&self, projection: &ProjectionExprs) -> Result<Option<Arc<dyn FileSource>>> {
        Ok(self.inner.try_pushdown_projection(projection)?.map(Self::wrap))
    }

    /// Row groups are read in another order at most; which of them are read stays the same.
    fn try_pushdown_sort(
        &self,
        order: &[PhysicalSortExpr],
        properties: &EquivalenceProperties,
    ) -> Result<SortOrderPushdownResult<Arc<dyn FileSource>>> {
        Ok(self.inner.try_pushdown_sort(order, properties)?.map(Self::wrap))
    }

    fn create_file_opener(
        &self,
        store: Arc<dyn ObjectStore>,
        config: &FileScanConfig,
        partition: usize,
    ) -> Result<Arc<dyn FileOpener>> {
        self.inner.create_file_opener(store, config, partition)
    }

    fn create_morselizer(
        &self,
        store: Arc<dyn ObjectStore>,
        config: &FileScanConfig,
        partition: usize,
    ) -> Result<Box<dyn Morselizer>> {
        self.inner.create_morselizer(store, config, partition)
    }

    fn reorder_files(
        &self,
        files: Vec<datafusion_datasource::PartitionedFile>,
    ) -> Vec<datafusion_datasource::PartitionedFile> {
        self.inner.reorder_files(files)
    }

    fn table_schema(&self) -> &TableSchema {
        self.inner.table_schema()
    }

    fn filter(&self) -> Option<Arc<dyn PhysicalExpr>> {
        self.inner.filter()
    }

    fn projection(&self) -> Option<&ProjectionExprs> {
        self.inner.projection()
    }

    fn metrics(&self) -> &ExecutionPlanMetricsSet {
        self.inner.metrics()
    }

    fn file_type(&self) -> &str {
        self.inner.file_type()
    }

    fn supports_repartitioning(&self) -> bool {
        self.inner.supports_repartitioning()
    }

    fn fmt_extra(&self, kind: DisplayFormatType, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt_extra(kind, out)
    }

    fn apply_expressions(
        &self,
        visit: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        self.inner.apply_expressions(visit)
    }
}

fn uses_float(filter: &Arc<dyn PhysicalExpr>, schema: &Schema) -> bool {
    // A column that the schema does not have is one we know nothing about.
    collect_columns(filter)
        .iter()
        .any(|column| schema.field_with_name(column.name()).map_or(true, |field| has_float(field.data_type())))
}

fn has_float(data_type: &DataType) -> bool {
    match data_type {
        DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
            has_float(item.data_type())
        }
        DataType::Map(entries, _) => has_float(entries.data_type()),
        DataType::Struct(members) => members.iter().any(|member| has_float(member.data_type())),
        other => other.is_floating(),
    }
}
