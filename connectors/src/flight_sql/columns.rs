//! The columns of a statement's answer as the server tells them before it runs it; or that it does not take the statement.

use std::sync::Arc;

use arrow::datatypes::Schema;
use tonic::Status;

use super::answer::{Answer, Part};
use super::fault::{Asking, is_about_the_statement};
use super::server::Server;
use super::statement::{Statement, columns_of};
use crate::error::ConnectorError;

/// What a server tells of a statement.
#[derive(Debug)]
pub(super) enum Told {
    /// It takes it, and answers with these columns.
    Columns(Schema),
    /// It takes it.
    Nothing,
    /// It does not take it.
    Refused,
}

/// Asks the server for the columns of `text`: it prepares it, and if that tells nothing, runs it over no rows.
///
/// # Errors
/// What has nothing to do with the statement.
pub(super) async fn columns_of_answer(
    server: &Arc<Server>,
    text: &str,
    asking: &Asking,
) -> Result<Told, ConnectorError> {
    let prepared = match Statement::of(server, text, asking).await {
        Err(status) => return refused(server, status, asking),
        Ok(statement) => statement,
    };
    if let Some(columns) = prepared.columns() {
        return Ok(Told::Columns(columns.clone()));
    }
    let over_no_rows = format!("SELECT * FROM ({text}) AS \"t\" LIMIT 0");
    let told = async {
        let statement = Statement::of(server, &over_no_rows, asking).await?;
        let info = statement.run(asking).await?;
        Ok((statement, info))
    };
    // INVARIANT: the statement is there until its answer has been read, or the server would have forgotten both.
    let (_statement, info) = match told.await {
        Err(status) => return refused(server, status, asking),
        Ok(told) => told,
    };
    if let Some(columns) = columns_of(info.schema.clone()) {
        return Ok(Told::Columns(columns));
    }
    let mut answer = Answer::of(server, info, asking.clone(), server.shown().into())?;
    while let Some(part) = answer.next().await? {
        if let Part::Columns(columns) = part
            && !columns.fields().is_empty()
        {
            return Ok(Told::Columns(columns.as_ref().clone()));
        }
    }
    Ok(Told::Nothing)
}

fn refused(server: &Server, status: Status, asking: &Asking) -> Result<Told, ConnectorError> {
    if !is_about_the_statement(&status) {
        return Err(asking.fault(status));
    }
    tracing::debug!("{} refuses a statement: {:?}", server.shown(), status.code());
    Ok(Told::Refused)
}
