#![doc = include_str!("docs.md")]

mod catalog;
mod config;
mod decode;
mod fault;
mod flavour;
mod keys;
mod lease;
mod moment;
mod outlet;
mod read;
mod schema;
mod server;
mod session;
mod source;
mod statistics;
mod types;
mod warnings;

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;

use self::config::MysqlConfig;
use self::server::Server;
use self::source::MysqlSource;
use crate::capability::{Capability, FilterPushdown};
use crate::connector::{Connector, Source};
use crate::error::{ConnectorError, OptionFault};

/// The kind `mysql`.
#[derive(Debug, Clone, Copy)]
pub struct MysqlConnector;

#[async_trait]
impl Connector for MysqlConnector {
    fn kind(&self) -> &'static str {
        "mysql"
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
        MysqlConfig::parse(options, base).err().unwrap_or_default()
    }

    /// Asks the server nothing: one that is down when its site starts is there once it is up.
    async fn open(&self, name: &str, options: toml::Table, base: &Path) -> Result<Arc<dyn Source>, ConnectorError> {
        let refused = |faults| ConnectorError::Configuration { source_name: name.to_owned(), faults };
        let config = MysqlConfig::parse(&options, base).map_err(refused)?;
        let scans_max = Some(config.access.connections_max);
        let capability = Capability { concurrent_scans_max: scans_max, ..self.capability() };
        let server = Server::shared(&config.access, config.share_snapshots);
        Ok(Arc::new(MysqlSource::new(server, config, capability)))
    }
}
