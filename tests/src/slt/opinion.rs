//! A second opinion on what fails: one process over the same Parquet files, under the names of the federation, in the time zone of
//! a federation's sessions. Where it says what the federation says, the difference is one of sessions and types, not of answers.

use datafusion::error::Result;
use datafusion::prelude::SessionContext;

use super::judged::{Fault, is_about_statement};
use super::shown;
use crate::dataset::{Dataset, local_context};
use crate::oracle::{Answer, local_answer};

/// The zone of a federation's sessions.
const ZONE: &str = "SET datafusion.execution.time_zone = '+00:00'";

/// A record that fails: what was asked of the federation, what it said, and what is wrong with that.
#[derive(Debug, Clone)]
pub struct Failed<T> {
    /// What was asked.
    pub asked: T,
    /// The statement.
    pub sql: String,
    /// What the federation said.
    pub answer: std::result::Result<Answer, String>,
    /// What is wrong with it.
    pub fault: Fault,
}

/// What is wrong, each with the second opinion.
///
/// # Errors
/// When the process cannot read the tables.
pub async fn second<T>(mut dataset: Dataset, failed: Vec<Failed<T>>) -> Result<Vec<(T, Fault)>> {
    dataset.tables.retain(|table| failed.iter().any(|failed| failed.sql.contains(&table.sql_name())));
    let ctx = local_context(&dataset).await?;
    ctx.sql(ZONE).await?.collect().await?;
    let mut told = vec![];
    for Failed { asked, sql, answer, fault } in failed {
        // The order of rows is nothing that sessions and types could change.
        let is_of_order = matches!(fault, Fault::Order(_));
        let is_alike = !is_of_order && says(&ctx, sql, &answer).await;
        let fault = if is_alike { Fault::Alike(Box::new(fault)) } else { fault };
        told.push((asked, fault));
    }
    Ok(told)
}

/// Whether the process says the same: rows that are shown alike, in any order, or an error too.
async fn says(ctx: &SessionContext, sql: String, answer: &std::result::Result<Answer, String>) -> bool {
    let ctx = ctx.clone();
    // In a task of its own, because DataFusion panics now and then.
    let local = tokio::spawn(async move { local_answer(&ctx, &sql).await }).await;
    match (local, answer) {
        (Ok(Ok(local)), Ok(answer)) => rows(&local) == rows(answer),
        (Ok(Ok(_)), Err(_)) | (Ok(Err(_)) | Err(_), Ok(_)) => false,
        (Ok(Err(_)) | Err(_), Err(error)) => is_about_statement(error),
    }
}

fn rows(answer: &Answer) -> std::result::Result<Vec<Vec<String>>, String> {
    let mut rows = shown::rows(answer)?;
    rows.sort_unstable();
    Ok(rows)
}
