//! One connection to the server: opened, pinned so that every answer is written in one way, and able to be ended.

use std::fmt;
use std::time::Duration;

use futures::FutureExt;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Error, Opts, OptsBuilder, Row, SslOpts};
use tokio::time::timeout;

use super::flavour::Flavour;
use crate::error::ConnectorError;
use crate::fault::Asking;
use crate::options::access::{Access, Tls};

const PROGRAM_NAME: &str = "chancery";
/// After what silence a connection is probed.
const SILENCE: Duration = Duration::from_secs(30);
/// The largest row. It is what the protocol can say, so the server need not be asked for its own limit.
const ROW_BYTES_MAX: usize = 1 << 30;
/// Statements kept prepared. Hardly one is asked twice in the same words.
const PREPARED_MAX: usize = 4;

/// What no default of the server or the account may change.
///
/// `sql_mode`: `"` is for names, `\` is a character, `||` concatenates, and a difference of unsigned numbers may be negative.
/// Zero dates are not made NULL, so that they are met and refused.
/// `max_sort_length`: so many bytes are a key's; what may be longer is no key (`schema`).
/// `max_error_count`: a warning that a character was lost must not be lost among others.
/// `net_write_timeout`, `wait_timeout`: who reads slowly is not cut off before the statement's own time is over.
const PINS: &str = "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY; \
                    SET autocommit = 1, time_zone = '+00:00', sql_select_limit = 18446744073709551615, \
                    sql_auto_is_null = 0, sql_big_selects = 1, div_precision_increment = 4, max_sort_length = 1024, \
                    max_error_count = 65535, \
                    sql_mode = 'ANSI_QUOTES,NO_BACKSLASH_ESCAPES,PIPES_AS_CONCAT,NO_UNSIGNED_SUBTRACTION'";

/// A connection; dropped, it is closed.
pub(super) struct Session {
    conn: Conn,
    flavour: Flavour,
}

impl Session {
    /// Connects, signs in and pins.
    ///
    /// # Errors
    /// What [`Asking::fault`] makes of the server's refusal; unavailable if it does not answer in time;
    /// [`ConnectorError::Unsupported`] for a server that is too old.
    pub(super) async fn open(access: &Access) -> Result<Self, ConnectorError> {
        match timeout(access.connect_timeout, Box::pin(open(access))).await {
            Ok(opened) => opened,
            Err(elapsed) => Err(ConnectorError::unavailable(access.shown(), elapsed)),
        }
    }

    /// The driver's handle.
    pub(super) fn conn(&mut self) -> &mut Conn {
        &mut self.conn
    }

    /// Which server it is.
    pub(super) fn flavour(&self) -> Flavour {
        self.flavour
    }

    /// The number under which another connection ends what this one does.
    pub(super) fn id(&self) -> u32 {
        self.conn.id()
    }

    /// Closes the connection whatever it is doing. Left to itself the driver would first read all that is still to come; a
    /// connection that is dropped within an exchange it just closes.
    pub(super) fn close_at_once(mut self) {
        let _ = self.conn.ping().now_or_never();
    }
}

/// Ends the statement that session number `id` is running, over a connection of its own; the session itself stays.
///
/// # Errors
/// If the server does not take note within the connect timeout.
pub(super) async fn end_statement(access: &Access, id: u32) -> Result<(), ConnectorError> {
    let asking = Asking::now(access.shown(), access.connect_timeout);
    let ending = async {
        let mut conn = Conn::new(driver_options(access)).await?;
        conn.query_drop(format!("KILL QUERY {id}")).await?;
        conn.disconnect().await
    };
    match timeout(access.connect_timeout, Box::pin(ending)).await {
        Ok(ended) => ended.map_err(|error: Error| asking.fault(error)),
        Err(elapsed) => Err(ConnectorError::unavailable(access.shown(), elapsed)),
    }
}

async fn open(access: &Access) -> Result<Session, ConnectorError> {
    let asking = Asking::now(access.shown(), access.connect_timeout);
    let mut conn = Conn::new(driver_options(access)).await.map_err(|error| asking.fault(error))?;
    let answer: Option<Row> = conn.query_first("SELECT VERSION()").await.map_err(|error| asking.fault(error))?;
    let version = answer.and_then(|row| row.get_opt::<String, _>(0)).and_then(Result::ok).unwrap_or_default();
    let flavour = Flavour::of(&version).ok_or_else(|| ConnectorError::Unsupported {
        feature: "this version of the server".to_owned(),
        advice: "use MySQL 8.0.17, MariaDB 10.5, or a later one".to_owned(),
    })?;
    let timeout_s = access.statement_timeout.as_secs().saturating_add(1);
    let pins = [
        format!("SET NAMES utf8mb4 COLLATE {}", flavour.collation()),
        PINS.to_owned(),
        format!("SET net_write_timeout = {timeout_s}, wait_timeout = {timeout_s}"),
        flavour.pins(access.statement_timeout),
    ];
    conn.query_drop(pins.join("; ")).await.map_err(|error| asking.fault(error))?;
    Ok(Session { conn, flavour })
}

fn driver_options(access: &Access) -> Opts {
    let builder = OptsBuilder::default()
        .user(Some(&access.user))
        .pass(access.password.as_ref().map(|password| password.reveal()))
        .connect_attribute("program_name", PROGRAM_NAME)
        // A server on this machine is reached as it is written, and not by a socket that it names.
        .prefer_socket(false)
        .tcp_keepalive(Some(SILENCE))
        .stmt_cache_size(PREPARED_MAX)
        .max_allowed_packet(Some(ROW_BYTES_MAX))
        .wait_timeout(Some(usize::MAX))
        .ssl_opts(match &access.tls {
            Tls::Disabled => None,
            Tls::VerifyFull(authorities) => {
                let roots = authorities.iter().map(|authority| authority.to_vec().into()).collect();
                Some(SslOpts::default().with_root_certs(roots).with_disable_built_in_roots(true))
            }
        });
    Opts::from(builder.ip_or_hostname(&access.host).tcp_port(access.port))
}

impl fmt::Debug for Session {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Session({})", self.conn.id())
    }
}
