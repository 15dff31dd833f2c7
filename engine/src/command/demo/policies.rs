//! What each agency of the demo decides about its own data, written at its own door by its administrator.

use std::net::SocketAddr;
use std::path::Path;

use arrow_flight::sql::client::FlightSqlServiceClient;
use futures::TryStreamExt;
use tonic::transport::{Channel, Endpoint};

use crate::error::{Code, EngineError, Result};
use crate::identity::tls::user_tls;

/// The purposes, the same at every agency.
const PURPOSES: [&str; 3] = [
    "CREATE PURPOSE safety_analysis COMMENT 'how safe and punctual flights are, nobody in person'",
    "CREATE PURPOSE station_planning COMMENT 'running one station'",
    "CREATE PURPOSE registration COMMENT 'keeping the aircraft registry'",
];

const BTS: [&str; 5] = [
    "GRANT SELECT ON SCHEMA ontime TO ROLE analyst FOR PURPOSE safety_analysis WITH (id = 'bts-safety')",
    "GRANT SELECT ON SCHEMA ontime TO ROLE desk FOR PURPOSE station_planning WITH (id = 'bts-stations')",
    "GRANT SELECT ON SCHEMA ontime TO ROLE registrar FOR PURPOSE registration WITH (id = 'bts-registration')",
    "CREATE POLICY aircraft ON TABLE ontime.flights COLUMN MASK pseudonym('aircraft') COLUMNS (tailnum)
  TO ROLE analyst",
    "CREATE POLICY own_stations ON TABLE ontime.flights ROW FILTER (origin IN attribute('origins'))
  TO ALL EXCEPT ROLE analyst, ROLE registrar",
];

const FAA: [&str; 7] = [
    "GRANT SELECT ON SCHEMA registry TO ROLE analyst FOR PURPOSE safety_analysis WITH (id = 'faa-safety')",
    "GRANT SELECT ON SCHEMA registry TO ROLE desk FOR PURPOSE station_planning WITH (id = 'faa-stations')",
    "GRANT SELECT ON SCHEMA registry TO ROLE registrar FOR PURPOSE registration WITH (id = 'faa-registration')",
    "CREATE POLICY aircraft ON TABLE registry.planes COLUMN MASK pseudonym('aircraft') COLUMNS (tailnum)
  TO ROLE analyst",
    "CREATE POLICY speed ON TABLE registry.planes COLUMN MASK replace_with_null COLUMNS (speed) TO ROLE analyst",
    "CREATE POLICY model ON TABLE registry.planes COLUMN MASK show_first(3) COLUMNS (model) TO ROLE desk",
    "CREATE POLICY seats ON TABLE registry.planes AGGREGATE ONLY
  (MIN GROUP 5 ENTITY tailnum BOUNDS 0 TO 500 GROUP BY (engine, manufacturer)) COLUMNS (seats) TO ROLE desk",
];

const NOAA: [&str; 3] = [
    "GRANT SELECT ON SCHEMA observations TO ROLE analyst FOR PURPOSE safety_analysis WITH (id = 'noaa-safety')",
    "GRANT SELECT ON SCHEMA observations TO ROLE desk FOR PURPOSE station_planning WITH (id = 'noaa-stations')",
    "GRANT SELECT ON SCHEMA observations TO ROLE registrar FOR PURPOSE registration WITH (id = 'noaa-registration')",
];

const TPCH: [&str; 2] = [
    "GRANT SELECT ON SCHEMA tpch TO ROLE analyst FOR PURPOSE safety_analysis WITH (id = 'tpch-analysis')",
    "GRANT SELECT ON SCHEMA tpch TO ROLE registrar FOR PURPOSE registration WITH (id = 'tpch-registration')",
];

/// The statements of a site, purposes first.
pub fn statements(site: &str) -> impl Iterator<Item = &'static str> {
    let own: &[&str] = match site {
        "bts" => &BTS,
        "faa" => &FAA,
        "noaa" => &NOAA,
        _ => &TPCH,
    };
    PURPOSES.iter().chain(own).copied()
}

/// Signs in at a site's own door as its administrator and writes the site's policy.
///
/// # Errors
/// When the site cannot be reached or refuses a statement.
pub(super) async fn write(site: &str, address: SocketAddr, authority: &Path, administrator: &str) -> Result<()> {
    let mut door = connect(address, authority).await?;
    door.handshake(administrator, administrator).await.map_err(|error| refused(site, &error))?;
    for statement in statements(site) {
        let info = door.execute(statement.to_string(), None).await.map_err(|error| refused(site, &error))?;
        for ticket in info.endpoint.into_iter().filter_map(|endpoint| endpoint.ticket) {
            let answer = door.do_get(ticket).await.map_err(|error| refused(site, &error))?;
            answer.try_collect::<Vec<_>>().await.map_err(|error| refused(site, &error))?;
        }
    }
    Ok(())
}

async fn connect(address: SocketAddr, authority: &Path) -> Result<FlightSqlServiceClient<Channel>> {
    let authority = std::fs::read_to_string(authority).map_err(EngineError::internal)?;
    let tls = user_tls(&authority).domain_name("localhost");
    let endpoint = Endpoint::from_shared(format!("https://{address}")).map_err(EngineError::internal)?;
    let channel = endpoint.tls_config(tls).map_err(EngineError::internal)?.connect().await;
    Ok(FlightSqlServiceClient::new(
        channel.map_err(|error| {
            EngineError::internal(format!("the demo cannot reach its own site at {address}: {error}"))
        })?,
    ))
}

fn refused(site: &str, error: &dyn std::fmt::Display) -> EngineError {
    EngineError::new(Code::Internal, format!("the demo's site {site} refused its own administrator: {error}"))
}
