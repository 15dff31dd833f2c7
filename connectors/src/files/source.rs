//! An opened `files` source: finds a table's files, describes them once per version, and hands out what was described.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion_common::Statistics;
use datafusion_datasource::{PartitionedFile, TableSchema};
use object_store::ObjectStore;
use object_store::local::LocalFileSystem;

use super::config::{FilesConfig, Format, TableConfig, repeated_names};
use super::discover::discover;
use super::listing::{ListedFile, Listing, list};
use super::parquet::Footers;
use super::pinned::PinnedFiles;
use super::sample::Sample;
use super::scan::{FilesTable, Reading};
use super::schema::{AbsentColumns, declare, widen_by_name, widen_in_order};
use crate::capability::Capability;
use crate::connector::{Described, Source, Table, TableDescription};
use crate::error::{ConnectorError, OptionFault};
use crate::plain::plain;

/// Tables of files below one root.
#[derive(Debug)]
pub(super) struct FilesSource {
    name: String,
    config: FilesConfig,
    capability: Capability,
    store: Arc<dyn ObjectStore>,
    /// The last version described of each table, by name.
    described: Mutex<HashMap<String, Table>>,
}

impl FilesSource {
    pub(super) fn new(name: &str, config: FilesConfig, capability: Capability) -> Self {
        Self {
            name: name.to_owned(),
            config,
            capability,
            store: Arc::new(LocalFileSystem::new()),
            described: Mutex::default(),
        }
    }

    /// The tables as configured, or as the root has them now; sorted by name.
    fn table_configs(&self) -> Result<Vec<TableConfig>, ConnectorError> {
        let mut tables = match &self.config.declared {
            Some(declared) => declared.clone(),
            None => discover(&self.config.root).map_err(|fault| self.fault(vec![OptionFault::new("root", fault)]))?,
        };
        match repeated_names(&tables) {
            faults if faults.is_empty() => {
                tables.sort_by(|left, right| left.name.cmp(&right.name));
                Ok(tables)
            }
            faults => Err(self.fault(faults)),
        }
    }

    fn fault(&self, faults: Vec<OptionFault>) -> ConnectorError {
        ConnectorError::Configuration { source_name: self.name.clone(), faults }
    }

    async fn current(&self, config: &TableConfig) -> Result<Table, ConnectorError> {
        let listing = list(self.store.as_ref(), &self.config.root, config).await?;
        let content = content_hash(&listing);
        if let Some(table) = self.kept(&config.name, &content) {
            return Ok(table);
        }
        let table = describe(&self.store, config, listing, &content).await?;
        let mut described = self.described.lock().unwrap_or_else(PoisonError::into_inner);
        described.insert(config.name.clone(), table.clone());
        Ok(table)
    }

    fn kept(&self, name: &str, content: &str) -> Option<Table> {
        let described = self.described.lock().unwrap_or_else(PoisonError::into_inner);
        described.get(name).filter(|table| table.description.version.starts_with(content)).cloned()
    }
}

#[async_trait]
impl Source for FilesSource {
    fn capability(&self) -> Capability {
        self.capability
    }

    async fn tables(&self) -> Result<Vec<Described>, ConnectorError> {
        let mut listed = Vec::new();
        for config in self.table_configs()? {
            let described = self.current(&config).await.map(|table| table.description);
            listed.push((config.name, described));
        }
        Ok(listed)
    }

    async fn table(&self, name: &str) -> Result<Table, ConnectorError> {
        match self.table_configs()?.into_iter().find(|config| config.name == name) {
            Some(config) => self.current(&config).await,
            None => Err(ConnectorError::TableNotFound { table: name.to_owned() }),
        }
    }
}

/// Describes one version of a table and makes what reads it.
async fn describe(
    store: &Arc<dyn ObjectStore>,
    config: &TableConfig,
    listing: Listing,
    content: &str,
) -> Result<Table, ConnectorError> {
    let pinned = PinnedFiles::new(Arc::clone(store), listing.files.iter().map(|file| &file.meta));
    let pinned: Arc<dyn ObjectStore> = Arc::new(pinned);
    let (file_schema, statistics, reading) = match &config.format {
        Format::Parquet => {
            let footers = Footers::new(pinned);
            let (schema, statistics) = footers.describe(&listing.files).await?;
            (schema, statistics, Reading::Parquet(footers))
        }
        text => {
            let (schema, statistics) = describe_text(&pinned, config, &listing.files).await?;
            (schema, statistics, Reading::Text(text.clone(), pinned))
        }
    };
    refuse_partition_in_file(config, &listing, &file_schema)?;
    let table_schema = TableSchema::builder(file_schema).with_table_partition_cols(listing.partitions).build();
    let files = listing.files.into_iter().zip(statistics).map(partitioned_file).collect();
    let provider = FilesTable { table_schema, files, reading };
    let description = description(config, &provider, content)?;
    Ok(Table { description: Arc::new(description), provider: Arc::new(provider) })
}

async fn describe_text(
    store: &Arc<dyn ObjectStore>,
    config: &TableConfig,
    files: &[ListedFile],
) -> Result<(SchemaRef, Vec<Statistics>), ConnectorError> {
    // Twice through the files, one sample in memory at a time: first for the columns of all, then for the rows of each.
    let mut schemas = Vec::with_capacity(files.len());
    for file in files {
        schemas.push(Sample::take(store, file, &config.format).await?.schema(&config.format)?);
    }
    let (inferred, absent) = match config.format {
        Format::Csv(_) => (widen_in_order(&schemas)?, AbsentColumns::Refuse),
        Format::Ndjson | Format::Parquet => (widen_by_name(&schemas)?, AbsentColumns::Add),
    };
    let schema = Arc::new(plain(declare(&inferred, &config.declared, absent)?.as_ref()));
    refuse_no_columns(config, &schema)?;
    let mut statistics = Vec::with_capacity(files.len());
    for file in files {
        statistics.push(Sample::take(store, file, &config.format).await?.statistics(&config.format, &schema).await?);
    }
    Ok((schema, statistics))
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

fn description(config: &TableConfig, provider: &FilesTable, content: &str) -> Result<TableDescription, ConnectorError> {
    let schema = Arc::clone(provider.table_schema.table_schema());
    let statistics = provider
        .statistics()
        .map_err(|cause| ConnectorError::Internal { step: "merging the statistics of files", cause })?;
    let shape = blake3::hash(format!("{schema:?}").as_bytes());
    let version = format!("{content}-{}", short(&shape));
    Ok(TableDescription { name: config.name.clone(), schema, comment: config.comment.clone(), statistics, version })
}

/// Which versions of which files a table is made of.
fn content_hash(listing: &Listing) -> String {
    let mut hasher = blake3::Hasher::new();
    for file in &listing.files {
        // Length first, so that no two lists of files read alike.
        let tag = file.meta.e_tag.as_deref().unwrap_or_default();
        for part in [file.shown.as_str(), tag, &file.meta.last_modified.to_rfc3339(), &file.meta.size.to_string()] {
            hasher.update(&part.len().to_le_bytes());
            hasher.update(part.as_bytes());
        }
    }
    short(&hasher.finalize())
}

fn short(hash: &blake3::Hash) -> String {
    hash.to_hex().chars().take(32).collect()
}
