#![doc = include_str!("docs.md")]

mod account;
mod address;
mod answer;
mod catalog;
mod columns;
mod config;
mod database;
mod fault;
mod read;
mod schema;
mod server;
mod source;
mod statement;

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;

use self::config::FlightSqlConfig;
use self::server::Server;
use self::source::FlightSqlSource;
use crate::capability::{Capability, FilterPushdown};
use crate::connector::{Connector, Source};
use crate::error::{ConnectorError, OptionFault};
use crate::statement::ForeignEngine;

/// The kind `flight_sql`.
#[derive(Debug, Clone, Copy)]
pub struct FlightSqlConnector;

#[async_trait]
impl Connector for FlightSqlConnector {
    fn kind(&self) -> &'static str {
        "flight_sql"
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
        FlightSqlConfig::parse(options, base).err().unwrap_or_default()
    }

    /// Asks the server nothing: one that is down when its site starts is there once it is up.
    async fn open(&self, name: &str, options: toml::Table, base: &Path) -> Result<Arc<dyn Source>, ConnectorError> {
        let refused = |faults| ConnectorError::Configuration { source_name: name.to_owned(), faults };
        let config = FlightSqlConfig::parse(&options, base).map_err(refused)?;
        let server = Server::shared(&config.server).map_err(|error| {
            refused(vec![OptionFault::new("tls_ca", format!("or what belongs to it cannot be used: {error}"))])
        })?;
        let capability = match config.server.engine {
            ForeignEngine::DataFusion => self.capability(),
            ForeignEngine::Unknown => Capability { aggregate: false, join: false, sort: false, ..self.capability() },
        };
        Ok(Arc::new(FlightSqlSource::new(server, config, capability)))
    }
}
