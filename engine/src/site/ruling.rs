//! What is decided by, for one statement: the policies in force when it came, and the moment of its coming.

use std::borrow::Cow;
use std::sync::Arc;

use arrow::datatypes::Schema;
use policy::decide::{Question, decide};
use policy::decision::{Decision, Denial};
use policy::pseudonym::PseudonymKeys;
use policy::resource::TableName;
use policy::set::PolicySet;
use policy::time::Instant;

use crate::error::{Code, EngineError, Result};
use crate::identity::Asker;
use crate::sabotage::{Control, thrown};

/// The policies of one version at one moment.
#[derive(Debug, Clone)]
pub(super) struct Ruling {
    pub(super) set: Arc<PolicySet>,
    pub(super) now: Instant,
    pub(super) keys: Option<Arc<PseudonymKeys>>,
    /// Keys the versions that askers are told, so that they tell nothing of what changed.
    pub(super) version_key: [u8; 32],
}

impl Ruling {
    /// The keys of pseudonyms, where the site has any.
    pub(super) fn keys(&self) -> Option<&PseudonymKeys> {
        self.keys.as_deref()
    }

    /// The purpose that the asker has chosen, if the site knows it and they hold it.
    ///
    /// # Errors
    /// `PURPOSE`, whatever is asked.
    pub(super) fn purpose<'a>(&self, asker: &'a Asker) -> Result<&'a str> {
        let refused = |sentence: String| EngineError::new(Code::Purpose, sentence);
        let Some(purpose) = asker.purpose.as_deref() else {
            return Err(refused("no purpose was chosen; say SET purpose = '…', or ask for a default purpose".into()));
        };
        if thrown(Control::Purpose) {
            return Ok(purpose);
        }
        if !asker.subject.purposes.contains(purpose) || !self.set.purposes.contains_key(purpose) {
            return Err(refused(format!("the purpose `{purpose}` is not one that you hold here")));
        }
        Ok(purpose)
    }

    /// What the asker may see of a table; `None` for nothing, which the log explains.
    pub(super) fn decide(&self, asker: &Asker, table: &TableName, schema: &Schema) -> Option<Decision> {
        let purpose = asker.purpose.as_deref();
        let mut subject = Cow::Borrowed(&asker.subject);
        if thrown(Control::Purpose) {
            subject.to_mut().purposes.extend(asker.purpose.clone());
        }
        let question = Question { subject: &subject, purpose, table, schema, now: self.now };
        match decide(&self.set, &question) {
            Ok(decision) => Some(decision),
            Err(denial) => {
                let subject = asker.label();
                match denial {
                    Denial::Policy { .. } => tracing::warn!(%table, subject, "denied: {denial}"),
                    _ => tracing::debug!(%table, subject, "denied: {denial}"),
                }
                None
            }
        }
    }

    /// The version of a table as a decision shows it: changes with the table and with the decision, and tells neither.
    pub(super) fn version(&self, content: &str, decision: &Decision) -> String {
        let mut hasher = blake3::Hasher::new_keyed(&self.version_key);
        hasher.update(&(content.len() as u64).to_le_bytes()).update(content.as_bytes());
        hasher.update(format!("{decision:?}").as_bytes());
        hasher.finalize().to_hex().chars().take(32).collect()
    }
}
