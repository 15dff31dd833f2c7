#![doc = include_str!("docs.md")]

mod catalog;
mod config;
mod decode;
mod fault;
mod lease;
mod no_nul;
mod read;
mod schema;
mod server;
mod session;
mod snapshot;
mod source;
mod statistics;
mod tls;
mod types;

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;

use self::config::PostgresConfig;
use self::server::Server;
use self::source::PostgresSource;
use crate::capability::{Capability, FilterPushdown};
use crate::connector::{Connector, Source};
use crate::database::Database;
use crate::error::{ConnectorError, OptionFault};

/// The kind `postgres`.
#[derive(Debug, Clone, Copy)]
pub struct PostgresConnector;

#[async_trait]
impl Connector for PostgresConnector {
    fn kind(&self) -> &'static str {
        "postgres"
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
        PostgresConfig::parse(options, base).err().unwrap_or_default()
    }

    /// Asks the server nothing: a database that is down when its site starts is there once it is up.
    async fn open(&self, name: &str, options: toml::Table, base: &Path) -> Result<Arc<dyn Source>, ConnectorError> {
        let refused = |faults| ConnectorError::Configuration { source_name: name.to_owned(), faults };
        let config = PostgresConfig::parse(&options, base).map_err(refused)?;
        let server = Server::shared(&config.server)
            .map_err(|error| refused(vec![OptionFault::new("tls_ca", format!("cannot be used: {error}"))]))?;
        let scans_max = Some(server.readers_max());
        let capability = Capability { concurrent_scans_max: scans_max, ..self.capability() };
        Ok(Arc::new(PostgresSource::new(server, config, capability)))
    }
}
