#![doc = include_str!("docs.md")]

mod config;
mod describe;
mod discover;
mod listing;
mod parquet;
mod pinned;
mod root;
mod sample;
mod scan;
mod schema;
mod source;
mod table_options;
mod text;
mod text_source;
mod unpruned_floats;
mod version;

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;

use self::config::{FilesConfig, Format, TableConfig, TablePath};
use self::source::FilesSource;
use crate::capability::{Capability, FilterPushdown};
use crate::connector::{Connector, Source};
use crate::error::{ConnectorError, OptionFault};

/// The kind `files`.
#[derive(Debug, Clone, Copy)]
pub struct FilesConnector;

#[async_trait]
impl Connector for FilesConnector {
    fn kind(&self) -> &'static str {
        "files"
    }

    fn capability(&self) -> Capability {
        Capability {
            projection: true,
            filter: FilterPushdown::Inexact,
            partition_filter: FilterPushdown::Exact,
            limit: true,
            row_count: true,
            column_statistics: true,
            pinned_versions: true,
            encodings: true,
            ..Capability::NONE
        }
    }

    fn check(&self, options: &toml::Table, base: &Path) -> Vec<OptionFault> {
        FilesConfig::parse(options, base).err().unwrap_or_default()
    }

    async fn open(&self, name: &str, options: toml::Table, base: &Path) -> Result<Arc<dyn Source>, ConnectorError> {
        let refused = |faults| ConnectorError::Configuration { source_name: name.to_owned(), faults };
        let config = FilesConfig::parse(&options, base).map_err(refused)?;
        let capability = capability_of(self.capability(), &config);
        let source = FilesSource::open(name, config, capability).map_err(|fault| refused(vec![fault]))?;
        Ok(Arc::new(source))
    }
}

/// What is left of the connector's claims for the formats that a source has.
fn capability_of(most: Capability, config: &FilesConfig) -> Capability {
    let Some(tables) = &config.declared else {
        // The root may hold any format at any time, and no table has options.
        return Capability { row_count: false, column_statistics: false, encodings: false, ..most };
    };
    let is_parquet = |table: &TableConfig| table.format == Format::Parquet;
    let is_one_file = |table: &TableConfig| matches!(table.path, TablePath::File(_));
    Capability {
        filter: if tables.iter().any(is_parquet) { most.filter } else { FilterPushdown::Unsupported },
        partition_filter: if tables.iter().all(is_one_file) {
            FilterPushdown::Unsupported
        } else {
            most.partition_filter
        },
        row_count: tables.iter().all(is_parquet),
        column_statistics: tables.iter().all(is_parquet),
        encodings: tables.iter().any(|table| matches!(table.format, Format::Csv(_))),
        ..most
    }
}
