//! The record of a statement: its intent before anything leaves, its completion after; and the right by which it runs.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::SystemTime;

use datafusion::physical_plan::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::StreamExt;
use policy::decision::{Decision, GrantedBy, Treatment};
use policy::lineage::{Lineage, lineage};

use super::policies::Policies;
use super::statement::Bound;
use super::{Control, Site};
use crate::audit::entry::{
    Asker as RecordedAsker, Closing, Completion, Disclosure, Entry, Intent, Outcome, Refusal, TableUse,
};
use crate::audit::{AuditLog, Head};
use crate::error::{Code, EngineError, Result};
use crate::flight::door::Question;
use crate::identity::{Asker, Came, Issuer};
use crate::sabotage::{self, thrown};
use crate::session::queries::{Progress, QueryId, QueryRecord, Stop, Warrant};

/// The right and the record of one running statement.
#[derive(Debug)]
pub(super) struct Evidence {
    policies: Arc<Policies>,
    audit: Arc<AuditLog>,
    intent: Head,
    fragment: u64,
    grants: Vec<GrantedBy>,
    subject: String,
    ends: Option<SystemTime>,
}

impl Evidence {
    /// Records the intent; ends when it is on the disk.
    ///
    /// # Errors
    /// `AUDIT`: nothing may leave.
    pub(super) async fn record(control: &Control, record: &QueryRecord, bound: &Bound, intent: Intent) -> Result<Self> {
        let fragment = intent.fragment;
        let intent = if thrown(sabotage::Control::Intent) {
            control.audit.head()
        } else {
            control.audit.append(Entry::Intent(intent)).await?
        };
        Ok(Self {
            policies: Arc::clone(&control.policies),
            audit: Arc::clone(&control.audit),
            intent,
            fragment,
            grants: grants(bound),
            subject: record.asker.subject.name.clone(),
            ends: record.asker.ends,
        })
    }

    /// What counts rows and bytes against the grants' limits per day.
    pub(super) fn charge(&self) -> Charge {
        let limited = self.grants.iter().filter(|grant| grant.rows_per_day.is_some() || grant.bytes_per_day.is_some());
        Charge {
            policies: Arc::clone(&self.policies),
            grants: limited.cloned().collect(),
            subject: self.subject.clone(),
        }
    }

    fn outcome(progress: Progress) -> Outcome {
        match progress {
            Progress::Finished => Outcome::Finished,
            Progress::Failed(Code::Revoked) => Outcome::Revoked,
            Progress::Failed(Code::Expired) => Outcome::Expired,
            Progress::Failed(code) => Outcome::failed(code),
            Progress::Running | Progress::Cancelled => Outcome::Cancelled,
        }
    }

    fn revoked(&self) -> Option<&GrantedBy> {
        let current = self.policies.current();
        self.grants.iter().find(|grant| !current.set.grants.contains_key(&grant.id))
    }
}

impl Warrant for Evidence {
    fn lapsed(&self) -> Option<Stop> {
        if thrown(sabotage::Control::Warrant) {
            return None;
        }
        if self.revoked().is_some() {
            return Some(Stop::Revoked);
        }
        let now = self.policies.now();
        let set_ends = self.policies.current().set.valid_until;
        let grant_ends = self.grants.iter().filter_map(|grant| grant.until).chain(set_ends).min();
        let over = grant_ends.is_some_and(|end| now >= end) || self.ends.is_some_and(|end| SystemTime::now() >= end);
        over.then_some(Stop::Expired)
    }

    fn ended(&self, record: &QueryRecord) {
        let outcome = Self::outcome(record.progress());
        if outcome == Outcome::Revoked
            && let Some(grant) = self.revoked()
        {
            let closing = Closing {
                grant: grant.id.clone(),
                query: record.id.to_string(),
                rows: record.rows(),
                bytes: record.bytes(),
            };
            drop(self.audit.append(Entry::Closing(closing)));
        }
        let completion = Completion {
            intent_seq: self.intent.seq,
            query: record.id.to_string(),
            fragment: self.fragment,
            rows: record.rows(),
            bytes: record.bytes(),
            outcome,
            elapsed_ms: u64::try_from(record.elapsed().as_millis()).unwrap_or(u64::MAX),
        };
        // Queued by the call itself. Nobody is left to be told that it failed; the log then refuses the next intent.
        drop(self.audit.append(Entry::Completion(completion)));
    }
}

/// Counts what leaves against limits per day.
pub(super) struct Charge {
    policies: Arc<Policies>,
    grants: Vec<GrantedBy>,
    subject: String,
}

impl Charge {
    /// The same batches, until one would go beyond a limit.
    pub(super) fn on(self, batches: SendableRecordBatchStream) -> SendableRecordBatchStream {
        if self.grants.is_empty() || thrown(sabotage::Control::Caps) {
            return batches;
        }
        let schema = batches.schema();
        let counted = batches.map(move |batch| {
            let batch = batch?;
            let (rows, bytes) = (batch.num_rows() as u64, batch.get_array_memory_size() as u64);
            for grant in &self.grants {
                self.policies.charge(grant, &self.subject, rows, bytes)?;
            }
            Ok(batch)
        });
        Box::pin(RecordBatchStreamAdapter::new(schema, counted))
    }
}

fn grants(bound: &Bound) -> Vec<GrantedBy> {
    let mut seen = BTreeSet::new();
    let grants = bound.governed.iter().map(|governed| &governed.decision.grant);
    grants.filter(|grant| seen.insert(grant.id.clone())).cloned().collect()
}

/// What is about to leave.
///
/// # Errors
/// When the plan cannot be walked: a defect.
pub(super) fn intent(control: &Control, record: &QueryRecord, question: &Question, bound: &Bound) -> Result<Intent> {
    let lineage = lineage(&bound.plan)?;
    let destination = match &record.asker.came {
        Came::Through(coordinator) => format!("{} through {coordinator}", record.asker.subject.name),
        Came::Directly | Came::AsPeer => record.asker.subject.name.clone(),
    };
    let mut tables: Vec<TableUse> = Vec::new();
    let mut disclosures: Vec<Disclosure> = Vec::new();
    for governed in &bound.governed {
        let table = governed.table.to_string();
        if tables.iter().any(|known| known.table == table) {
            continue;
        }
        let used = table_use(&governed.decision, &lineage);
        disclosures.extend(used.selected.iter().map(|column| Disclosure {
            table: table.clone(),
            column: column.clone(),
            form: form(&governed.decision, column),
            destination: destination.clone(),
        }));
        tables.push(used);
    }
    tables.extend(bound.told.iter().map(|table| TableUse {
        table: table.clone(),
        selected: Vec::new(),
        used: Vec::new(),
        read_by_policy: Vec::new(),
    }));
    Ok(Intent {
        query: record.id.to_string(),
        fragment: question.fragment,
        asker: recorded(&record.asker),
        grants: grants(bound).into_iter().map(|grant| grant.id).collect(),
        policy_version: bound.ruling.as_ref().map_or(0, |ruling| ruling.set.version),
        statement: control.audit.template(&question.sql),
        tables,
        disclosures,
        level: None,
    })
}

fn table_use(decision: &Decision, lineage: &Lineage) -> TableUse {
    let used = lineage.of(&decision.table);
    let texts = |columns: &BTreeSet<String>| columns.iter().cloned().collect();
    TableUse {
        table: decision.table.to_string(),
        selected: texts(&used.selected),
        used: texts(&used.used),
        read_by_policy: decision.row_filter.as_ref().map(|filter| filter.reads.clone()).unwrap_or_default(),
    }
}

/// The form of a column, as records and explanations name it.
pub(super) fn form(decision: &Decision, column: &str) -> String {
    let decided = decision.columns.iter().find(|decided| decided.name == column);
    match decided.map(|decided| &decided.treatment) {
        Some(Treatment::Clear) => "clear".to_string(),
        Some(Treatment::Masked(mask)) => mask.to_string(),
        Some(Treatment::AggregateOnly { .. }) => "aggregate only".to_string(),
        Some(Treatment::Hidden) | None => "hidden".to_string(),
    }
}

fn recorded(asker: &Asker) -> RecordedAsker {
    RecordedAsker {
        subject: Some(asker.subject.name.clone()),
        organisation: asker.subject.organisation.clone(),
        actor: match &asker.came {
            Came::Through(coordinator) => Some(coordinator.clone()),
            Came::Directly | Came::AsPeer => None,
        },
        issuer: match &asker.issuer {
            Issuer::Token { name, .. } => Some(name.clone()),
            Issuer::UsersFile => None,
        },
        purpose: asker.purpose.clone(),
    }
}

impl Site {
    /// Records that a statement was not let in, and gives its error back; when that cannot be recorded, the error is
    /// that.
    pub(super) async fn refuse(
        &self,
        asker: &Asker,
        (query, fragment): (&QueryId, u64),
        statement: &str,
        error: EngineError,
    ) -> EngineError {
        let Some(control) = &self.control else { return error };
        if error.code() == Code::Audit {
            return error;
        }
        let refusal = Refusal {
            query: query.to_string(),
            fragment,
            asker: recorded(asker),
            // Of a text that is no SQL nobody can say what of it is a literal.
            statement: match error.code() {
                Code::Syntax => control.audit.digest(statement),
                _ => control.audit.template(statement),
            },
            code: error.code().name().to_string(),
        };
        match control.audit.append(Entry::Refusal(refusal)).await {
            Ok(_) => error,
            Err(unrecorded) => unrecorded,
        }
    }
}
