//! One connection to the server: opened, pinned so that every answer is written in one way, and able to be ended.

use std::time::Duration;

use datafusion_common_runtime::SpawnedTask;
use tokio::time::timeout;
use tokio_postgres::config::SslMode;
use tokio_postgres::error::SqlState;
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::{CancelToken, Client, Config, NoTls, Socket};

use super::config::ServerConfig;
use super::tls::VerifiedTls;
use crate::error::ConnectorError;
use crate::fault::Asking;
use crate::options::access::Tls;

const APPLICATION_NAME: &str = "chancery";
/// After what silence a connection is probed, and how long an answer may take before it counts as lost.
const SILENCE: Duration = Duration::from_secs(30);
const PROBE_INTERVAL: Duration = Duration::from_secs(10);
const PROBES: u32 = 3;

/// What no default of the server, the database or the account may change. `client_min_messages`: notices of functions may
/// hold values, and nobody here reads them.
const PINS: &str = "SET default_transaction_read_only = on; SET default_transaction_isolation = 'repeatable read'; \
                    SET search_path = pg_catalog; SET TimeZone = 'UTC'; SET DateStyle = 'ISO, YMD'; \
                    SET IntervalStyle = 'iso_8601'; SET extra_float_digits = 1; SET bytea_output = 'hex'; \
                    SET standard_conforming_strings = on; SET client_min_messages = error";

/// A connection; dropped, its socket closes.
#[derive(Debug)]
pub(super) struct Session {
    client: Client,
    _connection: SpawnedTask<()>,
}

impl Session {
    /// Connects, signs in and pins.
    ///
    /// # Errors
    /// What [`Asking::fault`] makes of the server's refusal; unavailable if it does not answer in time.
    pub(super) async fn open(server: &ServerConfig, tls: Option<&VerifiedTls>) -> Result<Self, ConnectorError> {
        let config = driver_config(server);
        let opening = async {
            match tls {
                None => open(server, &config, NoTls).await,
                Some(tls) => open(server, &config, tls.clone()).await,
            }
        };
        match timeout(server.access.connect_timeout, Box::pin(opening)).await {
            Ok(opened) => opened,
            Err(elapsed) => Err(ConnectorError::unavailable(server.shown(), elapsed)),
        }
    }

    /// The driver's handle.
    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    /// Whether the server or the network has ended it.
    pub(super) fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    /// Asks the server, over a connection of its own, to end what this one does.
    pub(super) fn canceller(&self) -> Canceller {
        Canceller(self.client.cancel_token())
    }
}

/// What ends a session's statement at the server.
#[derive(Clone)]
pub(super) struct Canceller(CancelToken);

impl Canceller {
    /// Tells the server; answers when the server has taken note.
    pub(super) async fn cancel(&self, tls: Option<&VerifiedTls>) -> Result<(), tokio_postgres::Error> {
        match tls {
            None => self.0.cancel_query(NoTls).await,
            Some(tls) => self.0.cancel_query(tls.clone()).await,
        }
    }
}

fn driver_config(server: &ServerConfig) -> Config {
    let mut config = Config::new();
    config
        .host(&server.access.host)
        .port(server.access.port)
        .dbname(&server.database)
        .user(&server.access.user)
        .application_name(APPLICATION_NAME)
        .connect_timeout(server.access.connect_timeout)
        .keepalives_idle(SILENCE)
        .keepalives_interval(PROBE_INTERVAL)
        .keepalives_retries(PROBES)
        .tcp_user_timeout(SILENCE)
        .ssl_mode(match server.access.tls {
            Tls::Disabled => SslMode::Disable,
            Tls::VerifyFull(_) => SslMode::Require,
        });
    if let Some(password) = &server.access.password {
        config.password(password.reveal());
    }
    config
}

async fn open<T>(server: &ServerConfig, config: &Config, tls: T) -> Result<Session, ConnectorError>
where
    T: MakeTlsConnect<Socket>,
    T::Stream: Send + 'static,
{
    let asking = Asking::now(server.shown(), server.access.connect_timeout);
    let (client, connection) = config.connect(tls).await.map_err(|error| asking.fault(error))?;
    // How it ends is told to whoever is reading from it; a session that nobody reads from is found closed.
    let connection = SpawnedTask::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!("a connection has ended: {error}");
        }
    });
    pin(&client, server.access.statement_timeout).await.map_err(|error| asking.fault(error))?;
    Ok(Session { client, _connection: connection })
}

/// Our own time limit first: a shorter one of the account may end what is to lift it, and then it is asked for again, for as
/// long as connecting may take.
async fn pin(client: &Client, statement_timeout: Duration) -> Result<(), tokio_postgres::Error> {
    let limit = format!("SET statement_timeout = {}", statement_timeout.as_millis());
    loop {
        let pinned = match client.batch_execute(&limit).await {
            Ok(()) => client.batch_execute(PINS).await,
            Err(error) => Err(error),
        };
        match pinned {
            Err(error) if error.code() == Some(&SqlState::QUERY_CANCELED) => {}
            other => return other,
        }
    }
}
