//! What is decided by, for one statement: the policies in force when it came, and the moment of its coming.

use std::sync::Arc;

use arrow::datatypes::Schema;
use policy::decide::{Question, decide};
use policy::decision::{ColumnDecision, Decision, Denial, Treatment};
use policy::mask::ColumnMask;
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
    /// Whether the policies cannot be read: `set` is then empty, and nobody sees anything.
    pub(super) unreadable: bool,
    /// Keys the versions that askers are told, so that they tell nothing of what changed.
    pub(super) version_key: [u8; 32],
}

/// To what an asker is let in.
pub(super) enum Admitted {
    /// To what is granted for their purpose.
    ForPurpose,
    /// To tables that are open to everyone. All others, existing or not, are told like this.
    ToWhatIsOpen(EngineError),
}

impl Ruling {
    /// The keys of pseudonyms, where the site has any.
    pub(super) fn keys(&self) -> Option<&PseudonymKeys> {
        self.keys.as_deref()
    }

    /// Whether the asker may ask at all: under a purpose that the site knows and they hold, or, for what is open to
    /// everyone, under none. Of policies that cannot be read nothing is told: each table is then unknown.
    ///
    /// # Errors
    /// `PURPOSE`, whatever is asked.
    pub(super) fn admit(&self, asker: &Asker) -> Result<Admitted> {
        if self.unreadable {
            return Ok(Admitted::ForPurpose);
        }
        let refused = |sentence: String| EngineError::new(Code::Purpose, sentence);
        let Some(purpose) = asker.purpose.as_deref() else {
            let sentence = "no purpose was chosen; say SET purpose = '…', send the header x-chancery-purpose, or ask for a \
                            default purpose";
            return Ok(Admitted::ToWhatIsOpen(refused(sentence.to_string())));
        };
        if thrown(Control::Purpose) {
            return Ok(Admitted::ForPurpose);
        }
        if !asker.subject.purposes.contains(purpose) || !self.set.purposes.contains_key(purpose) {
            return Err(refused(format!("the purpose `{purpose}` is not one that you hold here")));
        }
        Ok(Admitted::ForPurpose)
    }

    /// What the asker may see of a table; nothing where the log explains why.
    ///
    /// # Errors
    /// Why they may see nothing.
    pub(super) fn decide(
        &self,
        asker: &Asker,
        table: &TableName,
        schema: &Schema,
    ) -> std::result::Result<Decision, Denial> {
        let purpose = asker.purpose.as_deref();
        let mut subject = asker.known();
        if thrown(Control::Purpose) {
            subject.to_mut().purposes.extend(asker.purpose.clone());
        }
        let question = Question { subject: &subject, purpose, table, schema, now: self.now };
        let decided = decide(&self.set, &question).and_then(|decision| self.with_keys(decision));
        if let Err(denial) = &decided {
            let subject = asker.label();
            match denial {
                Denial::Policy { .. } => tracing::warn!(%table, subject, "denied: {denial}"),
                _ => tracing::debug!(%table, subject, "denied: {denial}"),
            }
        }
        decided
    }

    /// A pseudonym that cannot be made denies its table.
    fn with_keys(&self, decision: Decision) -> std::result::Result<Decision, Denial> {
        let is_pseudonym =
            |column: &&ColumnDecision| matches!(column.treatment, Treatment::Masked(ColumnMask::Pseudonym(_)));
        match decision.columns.iter().find(is_pseudonym) {
            Some(column) if self.keys.is_none() => Err(Denial::Policy {
                policy: column.policies.join(", "),
                reason: format!("this site has no secret for the pseudonyms of `{}` ([pseudonyms])", column.name),
            }),
            _ => Ok(decision),
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
