//! What a server has altered on the way and only warns of: then the rows are not those that it has.

use mysql_async::Row;
use mysql_async::prelude::Queryable;

use super::lease::Lease;
use crate::error::ConnectorError;
use crate::fault::Asking;

/// A text longer than a packet became NULL; a number was cut to fit its type; a character that UTF-8 lacks became `?`, of a
/// column (MariaDB), of a string (MySQL). Of what a view's own expressions warn of, such as a text that is no number, the
/// value is the view's.
const LOSSES: &[u16] = &[1301, 1264, 1977, 3854];

/// Looks into the warnings of the statement that was just read to its end.
///
/// # Errors
/// [`ConnectorError::InvalidData`] for a value that was altered, or if there are more warnings than can be looked into.
pub(super) async fn check(lease: &mut Lease, location: &str, asking: &Asking) -> Result<(), ConnectorError> {
    let conn = lease.run()?;
    let count = usize::from(conn.get_warnings());
    if count == 0 {
        lease.rest();
        return Ok(());
    }
    let warnings: Vec<Row> = conn.query("SHOW WARNINGS").await.map_err(|error| asking.fault(error))?;
    lease.rest();
    // A level, a code and words of the server's.
    let is_loss = |warning: &Row| !matches!(warning.get_opt(1), Some(Ok(code)) if !LOSSES.contains(&code));
    if warnings.len() >= count && !warnings.iter().any(is_loss) {
        return Ok(());
    }
    Err(ConnectorError::invalid_data(
        location,
        "the server can give some value only in part",
        "store text as utf8mb4, or serve a view that leaves such rows out",
    ))
}
