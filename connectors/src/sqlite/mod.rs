#![doc = include_str!("docs.md")]

mod catalog;
mod config;
mod connection;
mod decode;
mod fault;
mod file;
mod functions;
mod limits;
mod moment;
mod read;
mod schema;
mod session;
mod source;
mod types;
mod words;

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;

use self::config::SqliteConfig;
use self::file::DatabaseFile;
use self::source::SqliteSource;
use crate::capability::{Capability, FilterPushdown};
use crate::connector::{Connector, Source};
use crate::database::Database;
use crate::error::{ConnectorError, OptionFault};

/// The kind `sqlite`.
#[derive(Debug, Clone, Copy)]
pub struct SqliteConnector;

#[async_trait]
impl Connector for SqliteConnector {
    fn kind(&self) -> &'static str {
        "sqlite"
    }

    fn capability(&self) -> Capability {
        Capability {
            projection: true,
            filter: FilterPushdown::Exact,
            limit: true,
            aggregate: true,
            join: true,
            sort: true,
            ..Capability::NONE
        }
    }

    fn check(&self, options: &toml::Table, base: &Path) -> Vec<OptionFault> {
        SqliteConfig::parse(options, base).err().unwrap_or_default()
    }

    /// Opens no file: one that cannot be read when its site starts can be read once it is put right.
    async fn open(&self, name: &str, options: toml::Table, base: &Path) -> Result<Arc<dyn Source>, ConnectorError> {
        let refused = |faults| ConnectorError::Configuration { source_name: name.to_owned(), faults };
        let config = SqliteConfig::parse(&options, base).map_err(refused)?;
        let file = DatabaseFile::shared(config.file);
        let scans_max = Some(file.readers_max());
        let capability = Capability { concurrent_scans_max: scans_max, ..self.capability() };
        Ok(Arc::new(SqliteSource::new(file, config.tables, capability)))
    }
}
