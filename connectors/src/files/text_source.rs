//! DataFusion's view of text files: opens each file of a scan through the transcoding, pinned reader.
//!
//! DataFusion's own CSV source has no place for an encoding, for texts that mean NULL, or for the version of a file.

use std::fmt;
use std::sync::Arc;

use datafusion_common::tree_node::TreeNodeRecursion;
use datafusion_common::{Result, internal_datafusion_err};
use datafusion_datasource::file::FileSource;
use datafusion_datasource::file_scan_config::FileScanConfig;
use datafusion_datasource::file_stream::{FileOpenFuture, FileOpener};
use datafusion_datasource::projection::{ProjectionOpener, SplitProjection};
use datafusion_datasource::{PartitionedFile, TableSchema};
use datafusion_physical_expr::PhysicalExpr;
use datafusion_physical_expr::projection::ProjectionExprs;
use datafusion_physical_plan::DisplayFormatType;
use datafusion_physical_plan::metrics::ExecutionPlanMetricsSet;
use futures::{StreamExt, TryStreamExt};
use object_store::ObjectStore;

use super::config::Format;
use super::listing::ListedFile;
use super::sample::open;
use super::text::{RecordDecoder, RecordShape, decode_records, unreadable};

/// Reads text files of one format.
#[derive(Debug, Clone)]
pub(super) struct TextSource {
    format: Format,
    table_schema: TableSchema,
    store: Arc<dyn ObjectStore>,
    projection: SplitProjection,
    batch_rows: Option<usize>,
    metrics: ExecutionPlanMetricsSet,
}

impl TextSource {
    pub(super) fn new(format: Format, table_schema: TableSchema, store: Arc<dyn ObjectStore>) -> Self {
        let projection = SplitProjection::unprojected(&table_schema);
        let metrics = ExecutionPlanMetricsSet::new();
        Self { format, table_schema, store, projection, batch_rows: None, metrics }
    }

    /// What the decoder produces; the rest of the projection is done above it.
    fn shape(&self) -> Result<RecordShape> {
        Ok(RecordShape {
            schema: Arc::clone(self.table_schema.file_schema()),
            projection: self.projection.file_indices.clone(),
            batch_rows: self.batch_rows.ok_or_else(|| internal_datafusion_err!("a scan without a batch size"))?,
        })
    }
}

impl FileSource for TextSource {
    fn create_file_opener(&self, _: Arc<dyn ObjectStore>, _: &FileScanConfig, _: usize) -> Result<Arc<dyn FileOpener>> {
        let opener = TextOpener { format: self.format.clone(), shape: self.shape()?, store: Arc::clone(&self.store) };
        ProjectionOpener::try_new(self.projection.clone(), Arc::new(opener), self.table_schema.file_schema())
    }

    fn table_schema(&self) -> &TableSchema {
        &self.table_schema
    }

    fn with_batch_size(&self, batch_size: usize) -> Arc<dyn FileSource> {
        Arc::new(Self { batch_rows: Some(batch_size), ..self.clone() })
    }

    fn projection(&self) -> Option<&ProjectionExprs> {
        Some(&self.projection.source)
    }

    fn metrics(&self) -> &ExecutionPlanMetricsSet {
        &self.metrics
    }

    fn file_type(&self) -> &str {
        self.format.word()
    }

    /// A quoted value may hold line ends and a character may be several bytes, so no offset is known to begin a record.
    fn supports_repartitioning(&self) -> bool {
        false
    }

    fn try_pushdown_projection(&self, projection: &ProjectionExprs) -> Result<Option<Arc<dyn FileSource>>> {
        let merged = self.projection.source.try_merge(projection)?;
        let projection = SplitProjection::new(self.table_schema.file_schema(), &merged);
        Ok(Some(Arc::new(Self { projection, ..self.clone() })))
    }

    fn fmt_extra(&self, _: DisplayFormatType, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.format {
            Format::Csv(csv) if csv.encoding != encoding_rs::UTF_8 => {
                write!(out, ", encoding={}", csv.encoding.name())
            }
            Format::Csv(_) | Format::Ndjson | Format::Parquet => Ok(()),
        }
    }

    fn apply_expressions(
        &self,
        visit: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        datafusion_physical_plan::apply_expression_roots(self.projection.source.iter(), visit)
    }
}

struct TextOpener {
    format: Format,
    shape: RecordShape,
    store: Arc<dyn ObjectStore>,
}

impl FileOpener for TextOpener {
    fn open(&self, file: PartitionedFile) -> Result<FileOpenFuture> {
        let shown = file.object_meta.location.to_string();
        let decoder = RecordDecoder::new(&self.format, &self.shape).map_err(|error| unreadable(&shown, error))?;
        let file = ListedFile { meta: file.object_meta, partition_values: Vec::new() };
        let (format, store) = (self.format.clone(), Arc::clone(&self.store));
        let projection = match format {
            // The JSON decoder takes no projection.
            Format::Ndjson => Some(self.shape.projection.clone()),
            Format::Csv(_) | Format::Parquet => None,
        };
        Ok(Box::pin(async move {
            let input = open(&store, &file, &format).await?;
            let batches = decode_records(input, decoder, shown);
            let projected = batches.map_err(Into::into).map(move |batch| match &projection {
                Some(columns) => Ok(batch?.project(columns)?),
                None => batch,
            });
            Ok(projected.boxed())
        }))
    }
}
