//! Parquet files: schema and statistics from their footers, and a reader that is pinned to the version described.

use std::fmt;
use std::sync::Arc;

use arrow::datatypes::{DataType, SchemaRef};
use datafusion_common::stats::Precision;
use datafusion_common::{ColumnStatistics, DataFusionError, ScalarValue, Statistics};
use datafusion_datasource_parquet::CachedParquetFileReaderFactory;
use datafusion_datasource_parquet::metadata::DFParquetMetadata;
use datafusion_execution::cache::cache_manager::FileMetadataCache;
use datafusion_execution::cache::default_cache::DefaultCache;
use futures::{StreamExt, TryStreamExt, stream};
use object_store::ObjectStore;

use super::listing::ListedFile;
use super::root::fault;
use super::schema::{FileSchema, agree};
use crate::error::ConnectorError;
use crate::plain::plain;

/// Footers read at the same time.
const FOOTERS_AT_ONCE: usize = 8;
/// The most memory that one version of one table spends on footers it keeps.
const FOOTER_BYTES_MAX: usize = 64 * 1024 * 1024;
/// What is read of a file's end at first: most footers with their page indexes, so that one request is enough.
const FOOTER_BYTES_READ: usize = 64 * 1024;

/// Footers of one version of a table's files. A cache of the session would keep them by path, size and time only, and
/// give the old footer for a file that was replaced by one alike.
#[derive(Clone)]
pub(super) struct Footers {
    store: Arc<dyn ObjectStore>,
    kept: Arc<FileMetadataCache>,
}

impl fmt::Debug for Footers {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Footers").field("kept", &self.kept.len()).finish()
    }
}

impl Footers {
    /// `store` is pinned to the version of `files` that these footers are of. Of the footers of an `earlier` version those
    /// are taken over whose files are still the same.
    pub(super) fn new(store: Arc<dyn ObjectStore>, files: &[ListedFile], earlier: Option<&Self>) -> Self {
        let kept: Arc<FileMetadataCache> = Arc::new(DefaultCache::new(FOOTER_BYTES_MAX));
        for file in files {
            let location = &file.meta.location;
            if let Some(entry) = earlier.and_then(|earlier| earlier.kept.get(location))
                && entry.meta == file.meta
            {
                kept.put(location, entry);
            }
        }
        Self { store, kept }
    }

    /// The schema that all `files` agree on, and the statistics of each.
    pub(super) async fn describe(&self, files: &[ListedFile]) -> Result<(SchemaRef, Vec<Statistics>), ConnectorError> {
        // The futures are made before they are streamed: the compiler cannot yet lend a file to a closure in a stream.
        let schemas: Vec<_> = files.iter().map(|file| self.schema(file)).collect();
        let schemas: Vec<FileSchema> = stream::iter(schemas).buffered(FOOTERS_AT_ONCE).try_collect().await?;
        let schema = agree(&schemas)?;
        let statistics: Vec<_> = files.iter().map(|file| self.statistics(file, &schema)).collect();
        let statistics = stream::iter(statistics).buffered(FOOTERS_AT_ONCE).try_collect().await?;
        Ok((schema, statistics))
    }

    async fn schema(&self, file: &ListedFile) -> Result<FileSchema, ConnectorError> {
        let schema = self.footer(file).fetch_schema().await.map_err(|error| unreadable(file, error))?;
        Ok(FileSchema { shown: file.shown().to_owned(), schema: Arc::new(plain(&schema)) })
    }

    async fn statistics(&self, file: &ListedFile, schema: &SchemaRef) -> Result<Statistics, ConnectorError> {
        let mut statistics =
            self.footer(file).fetch_statistics(schema).await.map_err(|error| unreadable(file, error))?;
        for (column, field) in statistics.column_statistics.iter_mut().zip(schema.fields()) {
            *column = trusted(std::mem::take(column), field.data_type());
        }
        Ok(statistics)
    }

    fn footer<'a>(&'a self, file: &'a ListedFile) -> DFParquetMetadata<'a> {
        DFParquetMetadata::new(self.store.as_ref(), &file.meta)
            .with_metadata_size_hint((file.meta.size > 0).then_some(FOOTER_BYTES_READ))
            .with_file_metadata_cache(Some(Arc::clone(&self.kept)))
    }

    /// Opens files with the footers that are kept here.
    pub(super) fn readers(&self) -> Arc<CachedParquetFileReaderFactory> {
        Arc::new(CachedParquetFileReaderFactory::new(Arc::clone(&self.store), Arc::clone(&self.kept)))
    }
}

/// What a footer says of a column, as far as an answer may rest on it.
fn trusted(column: ColumnStatistics, data_type: &DataType) -> ColumnStatistics {
    if data_type.is_nested() {
        return ColumnStatistics::new_unknown();
    }
    // Bounds of floating point leave out NaN, which SQL here sorts last: good for an estimate, not for an answer.
    let bound = |value: Precision<ScalarValue>| match cast(value, data_type) {
        exact if data_type.is_floating() => exact.to_inexact(),
        other => other,
    };
    ColumnStatistics { min_value: bound(column.min_value), max_value: bound(column.max_value), ..column }
}

/// A bound in the plain type of the column; none if the footer has none.
fn cast(value: Precision<ScalarValue>, data_type: &DataType) -> Precision<ScalarValue> {
    match &value {
        Precision::Exact(scalar) | Precision::Inexact(scalar) if scalar.is_null() => Precision::Absent,
        _ => value.cast_to(data_type).unwrap_or_default(),
    }
}

fn unreadable(file: &ListedFile, error: DataFusionError) -> ConnectorError {
    match error {
        // The store could not give it; what it could not give says nothing of the format.
        DataFusionError::ObjectStore(error) => fault::of_store(file.shown(), *error),
        error => ConnectorError::InvalidData {
            location: file.shown().to_owned(),
            detail: "cannot be read as parquet".to_owned(),
            advice: "write the file anew, or correct the table's `format`".to_owned(),
            cause: Some(Box::new(error)),
        },
    }
}
