//! The suite that every connector passes: it loads a standard fixture and holds each claim of [`Capability`](crate::Capability) both ways.
//!
//! A connector brings a [`Place`] (a directory, a database) and calls [`run`] from its tests. What it claims must happen;
//! what it does not claim must be refused or never be used. There is nothing to configure: the claims choose the checks.

mod content;
mod evaluation;
mod fixture;
mod identity;
mod pushdown;
mod rows;
mod statistics;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion_session::Session;

use crate::connector::{Connector, Source};
use crate::error::ConnectorError;

pub use fixture::{FixtureTable, fixture};

/// Where a connector's fixture is put. Loading replaces whatever the place held.
#[async_trait]
pub trait Place: fmt::Debug + Send + Sync {
    /// The connector under test.
    fn connector(&self) -> &'static dyn Connector;

    /// Puts `tables` into the place with exactly their columns and types, and opens a source over it.
    async fn load(&self, tables: &[FixtureTable]) -> Result<Arc<dyn Source>, ConnectorError>;

    /// As [`Place::load`], with all text in the encoding `label`.
    async fn load_encoded(&self, tables: &[FixtureTable], label: &str) -> Result<Arc<dyn Source>, ConnectorError>;

    /// As [`Place::load`] for one table, with the values of `column` in the names of directories.
    async fn load_partitioned(&self, table: &FixtureTable, column: &str) -> Result<Arc<dyn Source>, ConnectorError>;

    /// Replaces the content of one loaded table, columns included, under the open source.
    async fn replace(&self, table: &FixtureTable) -> Result<(), ConnectorError>;
}

/// A check that did not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The check, a sentence in one word.
    pub check: &'static str,
    /// What was expected and what came.
    pub message: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: {}", self.check, self.message)
    }
}

/// What a check needs.
#[derive(Clone, Copy)]
struct Trial<'a> {
    place: &'a dyn Place,
    session: &'a dyn Session,
}

/// What a check answers: nothing, or what was expected and what came.
type Verdict = Result<(), String>;

/// Runs every check against `place`, scanning in `session`. Answers the names of the checks that held.
///
/// # Errors
/// Every check that did not hold.
pub async fn run(place: &dyn Place, session: &dyn Session) -> Result<Vec<&'static str>, Vec<Failure>> {
    let mut held = Vec::new();
    let mut failures = Vec::new();
    let trial = Trial { place, session };
    let mut note = |check, verdict: Verdict| match verdict {
        Ok(()) => held.push(check),
        Err(message) => failures.push(Failure { check, message }),
    };
    note("tables_are_listed_by_name", content::tables_are_listed_by_name(trial).await);
    note("types_are_plain", content::types_are_plain(trial).await);
    note("all_rows_come_back", content::all_rows_come_back(trial).await);
    note("encodings", content::encodings(trial).await);
    note("scans_run_side_by_side", content::scans_run_side_by_side(trial).await);
    note("an_unknown_table_is_not_found", identity::an_unknown_table_is_not_found(trial).await);
    note("an_unknown_option_is_named", identity::an_unknown_option_is_named(trial));
    note("versions_follow_content", identity::versions_follow_content(trial).await);
    note("pinned_versions", identity::pinned_versions(trial).await);
    note("projection", pushdown::projection(trial).await);
    note("filter", pushdown::filter(trial).await);
    note("partition_filter", pushdown::partition_filter(trial).await);
    note("limit", pushdown::limit(trial).await);
    note("row_count", statistics::row_count(trial).await);
    note("column_statistics", statistics::column_statistics(trial).await);
    note("aggregate", evaluation::aggregate(trial).await);
    note("join", evaluation::join(trial).await);
    note("sort", evaluation::sort(trial).await);
    if failures.is_empty() { Ok(held) } else { Err(failures) }
}

fn expect(holds: bool, message: impl FnOnce() -> String) -> Verdict {
    if holds { Ok(()) } else { Err(message()) }
}

/// An error that no check expected.
fn unexpected(error: impl fmt::Debug) -> String {
    format!("unexpected error: {error:?}")
}
