//! What administrators of a site write and read: policy statements, answered in rows.

use std::sync::Arc;

use datafusion::physical_plan::SendableRecordBatchStream;
use policy::error::PolicyError;
use policy::statement::Statement;

use super::Site;
use super::policies::Policies;
use crate::error::{Code, EngineError, Result};
use crate::flight::door::Description;
use crate::identity::Asker;
use crate::session::queries::{QueryId, QueryRecord};
use crate::session::told::texts;

/// The columns of the answer to a change.
const CHANGE_COLUMNS: [&str; 4] = ["version", "change", "inverse", "notes"];

/// Parses a policy statement.
///
/// # Errors
/// `SYNTAX` with what is wrong.
pub(super) fn parse(text: &str, site: &str) -> Result<Statement> {
    Statement::parse(text, site).map_err(|error| match error {
        PolicyError::Syntax(sentence) => EngineError::new(Code::Syntax, sentence),
        PolicyError::NotFound(sentence) => EngineError::new(Code::NotFound, sentence),
        PolicyError::Refused(sentence) => EngineError::new(Code::Statement, sentence),
    })
}

impl Site {
    /// The columns of the answer. What only tells is asked for it; a change is not made.
    ///
    /// # Errors
    /// As the statement deserves.
    pub(super) async fn describe_policy_statement(&self, asker: &Asker, statement: &Statement) -> Result<Description> {
        match statement {
            Statement::Change(_) => Ok(Description::told(&CHANGE_COLUMNS)),
            Statement::Show(_) => {
                let by = (asker.subject.name.as_str(), &QueryId::random());
                let listing = self.policies()?.execute(statement, by).await?;
                Ok(Description::told(&listing.columns))
            }
        }
    }

    /// The policies.
    ///
    /// # Errors
    /// `STATEMENT` where the site enforces none.
    pub(super) fn policies(&self) -> Result<&Arc<Policies>> {
        self.control.as_ref().map(|control| &control.policies).ok_or_else(|| {
            let sentence = "this site does not enforce policy (`enforce = false` in its configuration)";
            EngineError::new(Code::Statement, sentence)
        })
    }

    /// Carries a statement out; a change is recorded before it is in force.
    ///
    /// # Errors
    /// As the statement deserves.
    pub(super) async fn run_policy_statement(
        &self,
        record: &QueryRecord,
        statement: &Statement,
    ) -> Result<SendableRecordBatchStream> {
        let author = record.asker.name_by_issuer();
        let listing = self.policies()?.execute(statement, (&author, &record.id)).await?;
        texts(&listing.columns, listing.rows)
    }
}
