//! One version of a table as DataFusion scans it: files that partition values rule out are never opened, the rest is
//! read by a plan that prunes row groups, pages and columns.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{FieldRef, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion_common::config::TableParquetOptions;
use datafusion_common::stats::Precision;
use datafusion_common::{ColumnStatistics, DFSchema, Result, ScalarValue, Statistics, project_schema};
use datafusion_datasource::file::FileSource;
use datafusion_datasource::file_groups::FileGroup;
use datafusion_datasource::file_scan_config::FileScanConfigBuilder;
use datafusion_datasource::source::DataSourceExec;
use datafusion_datasource::{PartitionedFile, TableSchema, compute_all_files_statistics};
use datafusion_datasource_parquet::source::ParquetSource;
use datafusion_execution::object_store::ObjectStoreUrl;
use datafusion_expr::utils::conjunction;
use datafusion_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion_physical_plan::ExecutionPlan;
use datafusion_physical_plan::empty::EmptyExec;
use datafusion_session::{Session, TableProvider};
use object_store::ObjectStore;

use super::config::Format;
use super::parquet::Footers;
use super::text_source::TextSource;
use super::unpruned_floats::UnprunedFloats;

/// One version of one table.
#[derive(Debug)]
pub(super) struct FilesTable {
    pub(super) table_schema: TableSchema,
    /// With partition values and statistics.
    pub(super) files: Vec<PartitionedFile>,
    pub(super) reading: Reading,
}

/// How the files are opened.
#[derive(Debug)]
pub(super) enum Reading {
    Parquet(Footers),
    Text(Format, Arc<dyn ObjectStore>),
}

impl FilesTable {
    /// Statistics over all files.
    pub(super) fn statistics(&self) -> Result<Statistics> {
        let mut files = self.files.clone();
        lend_bounds(&mut files);
        let (_, statistics) = compute_all_files_statistics(vec![FileGroup::new(files)], self.schema(), true, false)?;
        Ok(statistics)
    }

    fn partition_fields(&self) -> &[FieldRef] {
        self.table_schema.table_partition_cols()
    }

    /// Whether `filter` is decided by the values in directory names alone.
    fn is_partition_filter(&self, filter: &Expr) -> bool {
        let columns = filter.column_refs();
        let of_partition = |name: &str| self.partition_fields().iter().any(|field| field.name() == name);
        !columns.is_empty() && columns.iter().all(|column| of_partition(&column.name)) && is_plain(filter)
    }

    /// The files whose partition values satisfy all `filters`.
    fn prune(&self, state: &dyn Session, filters: &[Expr]) -> Result<Vec<PartitionedFile>> {
        let filters = filters.iter().filter(|filter| self.is_partition_filter(filter)).cloned();
        let Some(filter) = conjunction(filters) else {
            return Ok(self.files.clone());
        };
        let values = self.partition_values()?;
        let schema = DFSchema::try_from(values.schema())?;
        let kept = state.create_physical_expr(filter, &schema)?.evaluate(&values)?.into_array(values.num_rows())?;
        let kept = datafusion_common::cast::as_boolean_array(&kept)?;
        // NULL is not true: such a file has no row that the filter accepts.
        Ok(self.files.iter().zip(kept).filter(|(_, kept)| *kept == Some(true)).map(|(file, _)| file.clone()).collect())
    }

    /// One row per file, one column per partition column.
    fn partition_values(&self) -> Result<RecordBatch> {
        let columns = self.partition_fields().iter().enumerate().map(|(position, _)| {
            ScalarValue::iter_to_array(
                self.files.iter().filter_map(|file| file.partition_values.get(position).cloned()),
            )
        });
        let schema = Arc::new(Schema::new(self.partition_fields().to_vec()));
        Ok(RecordBatch::try_new(schema, columns.collect::<Result<_>>()?)?)
    }

    fn source(&self, state: &dyn Session) -> Arc<dyn FileSource> {
        match &self.reading {
            Reading::Text(format, store) => {
                Arc::new(TextSource::new(format.clone(), self.table_schema.clone(), Arc::clone(store)))
            }
            Reading::Parquet(footers) => {
                let global = state.config_options().execution.parquet.clone();
                let options = TableParquetOptions { global, ..TableParquetOptions::default() };
                let source = ParquetSource::new(self.table_schema.clone()).with_table_parquet_options(options);
                UnprunedFloats::guard(Arc::new(source.with_parquet_file_reader_factory(footers.readers())))
            }
        }
    }
}

#[async_trait]
impl TableProvider for FilesTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(self.table_schema.table_schema())
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn statistics(&self) -> Option<Statistics> {
        FilesTable::statistics(self).ok()
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let files = self.prune(state, filters)?;
        if files.is_empty() {
            return Ok(Arc::new(EmptyExec::new(project_schema(&self.schema(), projection)?)));
        }
        let groups = FileGroup::new(files).split_files(state.config().target_partitions());
        let (groups, statistics) = compute_all_files_statistics(groups, self.schema(), true, false)?;
        // The address is nominal: the source reads through its own, pinned store.
        let config = FileScanConfigBuilder::new(ObjectStoreUrl::local_filesystem(), self.source(state))
            .with_file_groups(groups)
            .with_statistics(statistics)
            .with_projection_indices(projection.cloned())?
            .with_limit(limit)
            .build();
        Ok(DataSourceExec::from_data_source(config))
    }

    /// Filters over ordinary columns prune what the files' own statistics rule out; the rest is left to the filter above.
    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        let ordinary = match self.reading {
            Reading::Parquet(_) => TableProviderFilterPushDown::Inexact,
            Reading::Text(..) => TableProviderFilterPushDown::Unsupported,
        };
        let answer = |filter: &&Expr| match self.is_partition_filter(filter) {
            true => TableProviderFilterPushDown::Exact,
            false => ordinary.clone(),
        };
        Ok(filters.iter().map(answer).collect())
    }
}

/// A file without any value in a column has no bounds there, and summing up would lose those of the whole table: it
/// borrows another file's. True of all files together, not of any part of them, so no scan sees it.
fn lend_bounds(files: &mut [PartitionedFile]) {
    let width = files.first().map_or(0, |file| columns_of(file).len());
    for position in 0..width {
        let lender = files
            .iter()
            .filter_map(|file| columns_of(file).get(position))
            .find(|column| column.min_value != Precision::Absent)
            .cloned();
        let Some(lender) = lender else { continue };
        for file in files.iter_mut() {
            let mut statistics = file.statistics.as_deref().cloned().unwrap_or_default();
            let rows = statistics.num_rows;
            if let Some(column) = statistics.column_statistics.get_mut(position)
                && column.null_count == rows
                && rows.is_exact() == Some(true)
            {
                column.min_value = lender.min_value.clone();
                column.max_value = lender.max_value.clone();
                file.statistics = Some(Arc::new(statistics));
            }
        }
    }
}

fn columns_of(file: &PartitionedFile) -> &[ColumnStatistics] {
    file.statistics.as_ref().map_or(&[], |statistics| &statistics.column_statistics)
}

/// Whether one row of values is enough to decide `filter`: nothing volatile, no subquery, no parameter.
fn is_plain(filter: &Expr) -> bool {
    use datafusion_common::tree_node::TreeNode;
    let needs_more = |expr: &Expr| {
        Ok(matches!(
            expr,
            Expr::ScalarSubquery(_)
                | Expr::InSubquery(_)
                | Expr::Exists(_)
                | Expr::SetComparison(_)
                | Expr::OuterReferenceColumn(..)
                | Expr::Placeholder(_)
                | Expr::AggregateFunction(_)
                | Expr::WindowFunction(_)
        ))
    };
    !filter.is_volatile() && matches!(filter.exists(needs_more), Ok(false))
}
