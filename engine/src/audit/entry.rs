//! What is recorded: one entry for each act of a site, in the words of the governance paper.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::error::Code;

/// One act. Optional fields are always written, as `null` when there is nothing to say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Entry {
    /// Data, or what is told of a plan or of the policy, is about to leave; durable before the first byte does.
    Intent(Intent),
    /// What an intent came to.
    Completion(Completion),
    /// A statement that was not let in.
    Refusal(Refusal),
    /// A statement that changed the policy.
    Change(Change),
    /// The site began, or began again.
    Start(Start),
    /// A revocation ended a running stream.
    Closing(Closing),
}

/// Data is about to leave the site.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Intent {
    /// The query's identity, the same at every site.
    pub query: String,
    /// Which part of the query this site was asked for.
    pub fragment: u64,
    /// Who asks.
    pub asker: Asker,
    /// The grants under which the data leaves.
    pub grants: Vec<String>,
    /// The version of the policy set that decided.
    pub policy_version: u64,
    /// The statement, its literals as keyed hashes.
    pub statement: String,
    /// What is read of each table.
    pub tables: Vec<TableUse>,
    /// What leaves, and where to.
    pub disclosures: Vec<Disclosure>,
    /// The highest level of what is read, where levels are declared: the value of the tag `classification`, of which the
    /// later ones in `CREATE TAG classification VALUES (…)` are the higher.
    pub level: Option<String>,
    /// The key sets that came with the statement.
    #[serde(default)]
    pub key_sets: Vec<KeySetUse>,
}

/// A key set that a coordinator sent with a statement: never its values.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeySetUse {
    /// Where the keys come from, as the coordinator told it: `site.source.table.column`.
    pub column: String,
    /// How many.
    pub keys: u64,
}

/// Who asks, as far as it was verified.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asker {
    /// The subject; none when nobody was believed, which only a refusal can say.
    pub subject: Option<String>,
    /// The subject's organisation.
    pub organisation: Option<String>,
    /// The certificate name of the coordinator that asks for the subject.
    pub actor: Option<String>,
    /// Who vouches for the subject.
    pub issuer: Option<String>,
    /// The purpose.
    pub purpose: Option<String>,
}

impl Asker {
    /// Whether both are one person: the same name by the word of the same issuer, however they come; or in the same users
    /// file, which is this site's own for those who come directly and the coordinator's for those who come through one.
    pub fn is_same_person(&self, other: &Self) -> bool {
        self.subject.is_some()
            && self.subject == other.subject
            && self.issuer == other.issuer
            && (self.issuer.is_some() || self.actor == other.actor)
    }
}

/// What a statement reads of one table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableUse {
    /// The table's name.
    pub table: String,
    /// Columns in the answer.
    pub selected: Vec<String>,
    /// Columns the statement uses otherwise: in filters, joins, groups, orders.
    pub used: Vec<String>,
    /// Columns that the policy itself reads: for row filters, and to tell apart the entities of groups.
    pub read_by_policy: Vec<String>,
    /// Whether only its plan or its policy was told: then no row of it was read.
    #[serde(default)]
    pub only_explained: bool,
}

/// One column that leaves the site.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disclosure {
    /// The table's name.
    pub table: String,
    /// The column's name.
    pub column: String,
    /// In which form: clear, or the name of its treatment.
    pub form: String,
    /// Where it goes.
    pub destination: String,
}

/// What an intent came to; or that a change did not come to be in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Completion {
    /// The sequence number of the intent or change; filled in when it is written.
    pub intent_seq: u64,
    /// The query's identity.
    pub query: String,
    /// The part of it.
    pub fragment: u64,
    /// Rows that left.
    pub rows: u64,
    /// Bytes that left.
    pub bytes: u64,
    /// How it ended.
    pub outcome: Outcome,
    /// From the intent to the end.
    pub elapsed_ms: u64,
}

/// How a stream ended. Written `finished`, `failed:CODE`, `cancelled`, `revoked` or `expired`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Outcome {
    /// All of it left.
    Finished,
    /// An error of that code ended it. Kept as text, so that old records can be read when codes change.
    Failed(String),
    /// Somebody cancelled it.
    Cancelled,
    /// Its grant was revoked.
    Revoked,
    /// Its grant, or the session, came to its end.
    Expired,
}

impl Outcome {
    /// Ended by an error of that code.
    pub fn failed(code: Code) -> Self {
        Self::Failed(code.name().to_string())
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Finished => f.write_str("finished"),
            Self::Failed(code) => write!(f, "failed:{code}"),
            Self::Cancelled => f.write_str("cancelled"),
            Self::Revoked => f.write_str("revoked"),
            Self::Expired => f.write_str("expired"),
        }
    }
}

impl From<Outcome> for String {
    fn from(outcome: Outcome) -> Self {
        outcome.to_string()
    }
}

impl TryFrom<String> for Outcome {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.as_str() {
            "finished" => Ok(Self::Finished),
            "cancelled" => Ok(Self::Cancelled),
            "revoked" => Ok(Self::Revoked),
            "expired" => Ok(Self::Expired),
            other => match other.strip_prefix("failed:") {
                Some(code) => Ok(Self::Failed(code.to_string())),
                None => Err(format!("`{other}` is no outcome")),
            },
        }
    }
}

/// A statement that was not let in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// The query's identity.
    pub query: String,
    /// The part of it.
    pub fragment: u64,
    /// Who asked.
    pub asker: Asker,
    /// The statement, its literals as keyed hashes.
    pub statement: String,
    /// The code that the asker was told.
    pub code: String,
    /// Refusals since the last record of one that were only counted: calls that nobody was believed for, beyond what is
    /// recorded of them in a minute.
    #[serde(default)]
    pub only_counted: u64,
}

/// A change of the policy, durable before it is in force. It is in force unless a completion of it says that it failed: a disk
/// that took too long for whoever waited had it written all the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// The identity of the query that it came by; of a directory, one of its own. Empty in records of before.
    #[serde(default)]
    pub query: String,
    /// Who changed it; `(files)` for a directory of policies.
    pub author: String,
    /// The version that the change made.
    pub version: u64,
    /// The statement as its author wrote it, with its literals; of a directory the names of its files and their digest.
    pub statement: String,
    /// The statement that undoes it; empty for a directory.
    pub inverse: String,
}

/// The site began.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Start {
    /// The version of the program.
    pub version: String,
    /// Bytes of an unfinished last record that were cut off: what a crash had left of a record that nobody relied on.
    pub repaired: u64,
}

/// A revocation ended a running stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Closing {
    /// The grant that was revoked.
    pub grant: String,
    /// The query's identity.
    pub query: String,
    /// Rows that had left.
    pub rows: u64,
    /// Bytes that had left.
    pub bytes: u64,
}
