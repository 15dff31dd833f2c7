//! The record of a statement: its intent before anything leaves, its completion after; and the right by which it runs.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::SystemTime;

use datafusion::physical_plan::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::StreamExt;
use parking_lot::Mutex;
use policy::decision::{Decision, GrantedBy, Treatment};
use policy::lineage::{Lineage, lineage};

use super::Control;
use super::policies::Policies;
use super::statement::Bound;
use crate::audit::Ending;
use crate::audit::entry::{Asker as RecordedAsker, Closing, Completion, Disclosure, Intent, Outcome, TableUse};
use crate::error::{Code, Result};
use crate::flight::door::Question;
use crate::identity::{Asker, Came, Issuer};
use crate::sabotage::{self, thrown};
use crate::session::queries::{Progress, QueryRecord, Stop, Warrant};

/// The right and the record of one running statement.
#[derive(Debug)]
pub(super) struct Evidence {
    policies: Arc<Policies>,
    /// What is still to be said of its end.
    ending: Mutex<Option<Ending>>,
    fragment: u64,
    grants: Vec<GrantedBy>,
    ends: Option<SystemTime>,
}

impl Evidence {
    /// Records the intent and gives the query its warrant; ends when the intent is on the disk. From the moment at which
    /// the intent waits to be written the warrant is told the query's end, also when nobody waits here any more.
    ///
    /// # Errors
    /// `AUDIT`: nothing may leave.
    pub(super) async fn record(
        control: &Control,
        record: &QueryRecord,
        intent: Intent,
        grants: Vec<GrantedBy>,
    ) -> Result<()> {
        let lasting = record.warrant(|| {
            let fragment = intent.fragment;
            let begun = (!thrown(sabotage::Control::Intent)).then(|| control.audit.begin(intent)).transpose()?;
            let (ending, lasting) = begun.unzip();
            let (policies, ends) = (Arc::clone(&control.policies), record.asker.ends);
            let evidence = Self { policies, ending: Mutex::new(ending), fragment, grants, ends };
            Ok((Arc::new(evidence) as Arc<dyn Warrant>, lasting))
        })?;
        match lasting {
            Some(lasting) => lasting.await.map(drop),
            None => Ok(()),
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
        let Some(ending) = self.ending.lock().take() else { return };
        let outcome = Self::outcome(record.progress());
        let revoked = self.revoked().filter(|_| outcome == Outcome::Revoked);
        let closing = revoked.map(|grant| Closing {
            grant: grant.id.clone(),
            query: record.id.to_string(),
            rows: record.rows(),
            bytes: record.bytes(),
        });
        let completion = Completion {
            intent_seq: 0,
            query: record.id.to_string(),
            fragment: self.fragment,
            rows: record.rows(),
            bytes: record.bytes(),
            outcome,
            elapsed_ms: u64::try_from(record.elapsed().as_millis()).unwrap_or(u64::MAX),
        };
        ending.append(closing, completion);
    }
}

/// Counts what leaves against limits per day.
pub(super) struct Charge {
    policies: Arc<Policies>,
    grants: Vec<GrantedBy>,
    subject: String,
}

impl Charge {
    /// What the asker receives by those of the grants that have limits.
    pub(super) fn new(control: &Control, asker: &Asker, grants: &[GrantedBy]) -> Self {
        let limited = grants.iter().filter(|grant| grant.rows_per_day.is_some() || grant.bytes_per_day.is_some());
        Self {
            policies: Arc::clone(&control.policies),
            grants: limited.cloned().collect(),
            subject: asker.subject.name.clone(),
        }
    }

    /// The same batches, until one would go beyond a limit.
    pub(super) fn on(self, batches: SendableRecordBatchStream) -> SendableRecordBatchStream {
        if self.grants.is_empty() {
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

/// The grants that a statement rests on, each once.
pub(super) fn grants(bound: &Bound) -> Vec<GrantedBy> {
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

/// Who asks, as records name them. Of a coordinator in its own name it is said only that it came: nobody was believed.
pub(super) fn recorded(asker: &Asker) -> RecordedAsker {
    RecordedAsker {
        subject: (!asker.is_peer()).then(|| asker.subject.name.clone()),
        organisation: asker.subject.organisation.clone(),
        actor: match &asker.came {
            Came::Through(coordinator) => Some(coordinator.clone()),
            Came::AsPeer => Some(asker.subject.name.clone()),
            Came::Directly => None,
        },
        issuer: match &asker.issuer {
            Issuer::Token { name, .. } => Some(name.clone()),
            Issuer::UsersFile => None,
        },
        purpose: asker.purpose.clone(),
    }
}
