//! Describes one version of a table and makes what reads it. Of the files of a version only those are looked at that an
//! earlier one did not have: a new file among thousands costs one file's reading.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion_common::Statistics;
use datafusion_datasource::{PartitionedFile, TableSchema};
use futures::{StreamExt, TryStreamExt, stream};
use object_store::path::Path as ObjectPath;
use object_store::{ObjectMeta, ObjectStore};

use super::config::{Format, TableConfig};
use super::listing::{ListedFile, Listing};
use super::parquet::Footers;
use super::pinned::PinnedFiles;
use super::sample::Sample;
use super::scan::{FilesTable, Reading};
use super::schema::{AbsentColumns, FileSchema, declare, widen_by_name, widen_in_order};
use crate::connector::{Table, TableDescription};
use crate::error::ConnectorError;
use crate::plain::plain;

/// Text files that are looked at, and samples of them in memory, at the same time.
const TEXTS_AT_ONCE: usize = 2;
/// The most memory spent on samples that are kept from the first look at a table's files to the second.
const SAMPLE_BYTES_KEPT: usize = 16 * 1024 * 1024;

/// What a version of a table told of its files, for the next version.
#[derive(Debug, Default)]
pub(super) struct Known {
    footers: Option<Footers>,
    texts: HashMap<ObjectPath, KnownText>,
}

/// What is known of one version of a text file.
#[derive(Debug)]
struct KnownText {
    meta: ObjectMeta,
    /// As the file alone shows it.
    inferred: SchemaRef,
    /// As the table has it.
    schema: SchemaRef,
    /// By `schema`.
    statistics: Statistics,
}

/// Describes the version of a table that `listing` lists and `content` names.
pub(super) async fn describe(
    store: &Arc<dyn ObjectStore>,
    config: &TableConfig,
    listing: Listing,
    content: &str,
    earlier: &Known,
) -> Result<(Table, Known), ConnectorError> {
    let pinned = PinnedFiles::new(Arc::clone(store), listing.files.iter().map(|file| &file.meta))?;
    let pinned: Arc<dyn ObjectStore> = Arc::new(pinned);
    let mut known = Known::default();
    let (file_schema, statistics, reading) = match &config.format {
        Format::Parquet => {
            let footers = Footers::new(pinned, &listing.files, earlier.footers.as_ref());
            let (schema, statistics) = footers.describe(&listing.files).await?;
            known.footers = Some(footers.clone());
            (schema, statistics, Reading::Parquet(footers))
        }
        text => {
            let (schema, statistics) =
                describe_texts(&pinned, config, &listing.files, &earlier.texts, &mut known).await?;
            (schema, statistics, Reading::Text(text.clone(), pinned))
        }
    };
    refuse_partition_in_file(config, &listing, &file_schema)?;
    let table_schema = TableSchema::builder(file_schema).with_table_partition_cols(listing.partitions).build();
    let files = listing.files.into_iter().zip(statistics).map(partitioned_file).collect();
    let provider = FilesTable { table_schema, files, reading };
    let description = description(config, &provider, content)?;
    Ok((Table { description: Arc::new(description), provider: Arc::new(provider) }, known))
}

/// Twice through the files, a few samples in memory at a time: first for the columns of all, then for the rows of each.
async fn describe_texts(
    store: &Arc<dyn ObjectStore>,
    config: &TableConfig,
    files: &[ListedFile],
    earlier: &HashMap<ObjectPath, KnownText>,
    known: &mut Known,
) -> Result<(SchemaRef, Vec<Statistics>), ConnectorError> {
    let format = &config.format;
    let looks: Vec<_> = files.iter().map(|file| look(store, file, format, earlier)).collect();
    let mut looks = stream::iter(looks).buffered(TEXTS_AT_ONCE);
    let mut schemas = Vec::with_capacity(files.len());
    let mut samples = Vec::with_capacity(files.len());
    let mut kept = 0;
    while let Some((schema, sample)) = looks.try_next().await? {
        schemas.push(schema);
        kept += sample.as_ref().map_or(0, Sample::bytes);
        samples.push(sample.filter(|_| kept <= SAMPLE_BYTES_KEPT));
    }
    drop(looks);
    let (inferred, absent) = match format {
        Format::Csv(_) => (widen_in_order(&schemas)?, AbsentColumns::Refuse),
        Format::Ndjson | Format::Parquet => (widen_by_name(&schemas)?, AbsentColumns::Add),
    };
    let schema = Arc::new(plain(declare(&inferred, &config.declared, absent)?.as_ref()));
    refuse_no_columns(config, &schema)?;
    let counts: Vec<_> =
        files.iter().zip(samples).map(|(file, sample)| count(store, file, format, sample, &schema, earlier)).collect();
    let statistics: Vec<_> = stream::iter(counts).buffered(TEXTS_AT_ONCE).try_collect().await?;
    for ((file, inferred), statistics) in files.iter().zip(schemas).zip(&statistics) {
        let text = KnownText {
            meta: file.meta.clone(),
            inferred: inferred.schema,
            schema: Arc::clone(&schema),
            statistics: statistics.clone(),
        };
        known.texts.insert(file.meta.location.clone(), text);
    }
    Ok((schema, statistics))
}

/// The columns of one file, and the sample that showed them.
async fn look(
    store: &Arc<dyn ObjectStore>,
    file: &ListedFile,
    format: &Format,
    earlier: &HashMap<ObjectPath, KnownText>,
) -> Result<(FileSchema, Option<Sample>), ConnectorError> {
    if let Some(text) = still(file, earlier) {
        return Ok((FileSchema { shown: file.shown().to_owned(), schema: Arc::clone(&text.inferred) }, None));
    }
    let sample = Sample::take(store, file, format).await?;
    Ok((sample.schema(format)?, Some(sample)))
}

/// The rows of one file, decoded by the schema of the table.
async fn count(
    store: &Arc<dyn ObjectStore>,
    file: &ListedFile,
    format: &Format,
    sample: Option<Sample>,
    schema: &SchemaRef,
    earlier: &HashMap<ObjectPath, KnownText>,
) -> Result<Statistics, ConnectorError> {
    if let Some(text) = still(file, earlier).filter(|text| text.schema == *schema) {
        return Ok(text.statistics.clone());
    }
    let sample = match sample {
        Some(sample) => sample,
        None => Sample::take(store, file, format).await?,
    };
    sample.statistics(format, schema).await
}

/// What is known of `file`, if it is still the same.
fn still<'a>(file: &ListedFile, earlier: &'a HashMap<ObjectPath, KnownText>) -> Option<&'a KnownText> {
    earlier.get(&file.meta.location).filter(|text| text.meta == file.meta)
}

fn partitioned_file((file, statistics): (ListedFile, Statistics)) -> PartitionedFile {
    let mut partitioned = PartitionedFile::new_from_meta(file.meta);
    partitioned.partition_values = file.partition_values;
    let has_null = partitioned.partition_values.iter().any(datafusion_common::ScalarValue::is_null);
    // DataFusion takes every partition value for one that is not NULL; nothing known is then the truth.
    let statistics = if has_null { rows_only(statistics) } else { statistics };
    let mut partitioned = partitioned.with_statistics(Arc::new(statistics));
    if has_null {
        partitioned.statistics = partitioned.statistics.map(|statistics| Arc::new(rows_only((*statistics).clone())));
    }
    partitioned
}

/// `statistics` without anything about columns.
fn rows_only(statistics: Statistics) -> Statistics {
    let column_statistics =
        statistics.column_statistics.iter().map(|_| datafusion_common::ColumnStatistics::new_unknown()).collect();
    Statistics { column_statistics, ..statistics }
}

fn refuse_no_columns(config: &TableConfig, schema: &SchemaRef) -> Result<(), ConnectorError> {
    if !schema.fields().is_empty() {
        return Ok(());
    }
    Err(ConnectorError::invalid_data(
        format!("table `{}`", config.name),
        "has no record that shows its columns",
        "declare the columns under `schema`",
    ))
}

fn refuse_partition_in_file(
    config: &TableConfig,
    listing: &Listing,
    file_schema: &SchemaRef,
) -> Result<(), ConnectorError> {
    match listing.partitions.iter().find(|field| file_schema.field_with_name(field.name()).is_ok()) {
        None => Ok(()),
        Some(field) => Err(ConnectorError::invalid_data(
            format!("table `{}`", config.name),
            format!("column `{}` stands in the files and in the names of their directories", field.name()),
            "write the files without it, or rename the directories",
        )),
    }
}

fn primary_key(config: &TableConfig, schema: &SchemaRef) -> Result<Vec<String>, ConnectorError> {
    match config.primary_key.iter().find(|column| schema.field_with_name(column).is_err()) {
        None => Ok(config.primary_key.clone()),
        Some(column) => Err(ConnectorError::invalid_data(
            format!("table `{}`", config.name),
            format!("has no column `{column}`, which its primary key names"),
            "correct `primary_key`",
        )),
    }
}

fn column_comments(config: &TableConfig, schema: &SchemaRef) -> Result<BTreeMap<String, String>, ConnectorError> {
    match config.column_comments.keys().find(|column| schema.field_with_name(column).is_err()) {
        None => Ok(config.column_comments.clone()),
        Some(column) => Err(ConnectorError::invalid_data(
            format!("table `{}`", config.name),
            format!("has no column `{column}`, on which it has a comment"),
            "correct `column_comments`",
        )),
    }
}

fn description(config: &TableConfig, provider: &FilesTable, content: &str) -> Result<TableDescription, ConnectorError> {
    let schema = Arc::clone(provider.table_schema.table_schema());
    let statistics = provider
        .statistics()
        .map_err(|cause| ConnectorError::Internal { step: "merging the statistics of files", cause })?;
    let shape = blake3::hash(format!("{schema:?}").as_bytes());
    let version = format!("{content}-{}", short(&shape));
    Ok(TableDescription {
        name: config.name.clone(),
        is_view: false,
        primary_key: primary_key(config, &schema)?,
        foreign_keys: Vec::new(),
        comment: config.comment.clone(),
        column_comments: column_comments(config, &schema)?,
        schema,
        statistics,
        version,
    })
}

/// Which versions of which files a table is made of.
pub(super) fn content_hash(listing: &Listing) -> String {
    let mut hasher = blake3::Hasher::new();
    for file in &listing.files {
        // Length first, so that no two lists of files read alike.
        let tag = file.meta.e_tag.as_deref().unwrap_or_default();
        for part in [file.shown(), tag, &file.meta.last_modified.to_rfc3339(), &file.meta.size.to_string()] {
            hasher.update(&part.len().to_le_bytes());
            hasher.update(part.as_bytes());
        }
    }
    short(&hasher.finalize())
}

fn short(hash: &blake3::Hash) -> String {
    hash.to_hex().chars().take(32).collect()
}
