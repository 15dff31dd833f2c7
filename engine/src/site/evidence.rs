//! The record of a statement: its intent before anything leaves, its completion after; and the right by which it runs.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::SystemTime;

use policy::decision::{Decision, GrantedBy, Treatment};
use policy::lineage::{Lineage, lineage};
use policy::set::{GrantRecord, PolicySet};
use policy::time::Instant;

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
    /// The policies that it was decided by; its grants stand in them as they were then.
    began: Arc<PolicySet>,
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
            began: bound.ruling.as_ref().map(|ruling| Arc::clone(&ruling.set)).unwrap_or_default(),
            subject: record.asker.subject.name.clone(),
            ends: record.asker.ends,
        })
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

    /// A grant that is gone, or in whose place another one stands under its id.
    fn revoked(&self) -> Option<&GrantedBy> {
        let current = self.policies.current();
        self.grants.iter().find(|grant| match (self.began.grants.get(&grant.id), current.set.grants.get(&grant.id)) {
            (Some(then), Some(now)) => !is_still(then, now),
            _ => true,
        })
    }

    /// When the first of its grants ends: as it did when the query began, or earlier by now.
    fn until(&self) -> Option<Instant> {
        let current = self.policies.current();
        let now = self.grants.iter().filter_map(|grant| current.set.grants.get(&grant.id)?.grant.to);
        let then = self.grants.iter().filter_map(|grant| grant.until);
        now.chain(then).chain(current.set.valid_until).min()
    }
}

/// Whether a grant is the one that a query began with. Its end and its limits may have changed.
fn is_still(then: &GrantRecord, now: &GrantRecord) -> bool {
    let terms = |record: &GrantRecord| (record.grant.right.clone(), record.grant.purpose.clone(), record.grant.mode);
    then.at == now.at && terms(then) == terms(now)
}

impl Warrant for Evidence {
    fn lapsed(&self) -> Option<Stop> {
        if thrown(sabotage::Control::Warrant) {
            return None;
        }
        if self.revoked().is_some() {
            return Some(Stop::Revoked);
        }
        let over = self.until().is_some_and(|end| self.policies.now() >= end)
            || self.ends.is_some_and(|end| SystemTime::now() >= end);
        over.then_some(Stop::Expired)
    }

    fn charge(&self, rows: u64, bytes: u64) -> Result<()> {
        self.grants.iter().try_for_each(|grant| self.policies.charge(grant, &self.subject, rows, bytes))
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

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;
    use crate::audit::{AuditKey, AuditOptions};
    use crate::config::load_site;
    use crate::site::policies::tables::SiteTables;

    const GRANT: &str = "CREATE PURPOSE research;\nGRANT SELECT ON SCHEMA civil TO ROLE analyst FOR PURPOSE research WITH \
                         (id = 'analysts');\n";

    fn write(directory: &Path, policy: &str) {
        fs::write(directory.join("policies/a.sql"), policy).unwrap();
    }

    /// The policies of a site in files, and a statement that runs by the grant in them.
    async fn running(directory: &Path) -> (Arc<Policies>, Evidence) {
        for made in ["data", "policies"] {
            fs::create_dir(directory.join(made)).unwrap();
        }
        fs::write(directory.join("data/people.csv"), "id_no,name\n17,Wang\n").unwrap();
        fs::write(directory.join("users.toml"), "").unwrap();
        write(directory, GRANT);
        let text = "name = 'north'\nlisten = '127.0.0.1:0'\n[users]\nfile = 'users.toml'\n[[source]]\nname = 'civil'\nkind \
                    = 'files'\nroot = 'data'\n[policy]\ndirectory = 'policies'";
        fs::write(directory.join("site.toml"), text).unwrap();
        let config = load_site(&directory.join("site.toml")).unwrap();
        let policies = Policies::open(&config, SiteTables::open(&config).await.unwrap()).await.unwrap();
        let key = AuditKey::load_or_create(&directory.join("audit.key")).unwrap();
        let options = AuditOptions::new("north", key, &config.node.limits);
        let audit = AuditLog::open(&directory.join("audit"), options).unwrap();
        let began = Arc::clone(&policies.current().set);
        let grant = GrantedBy { id: "analysts".to_string(), until: None, rows_per_day: None, bytes_per_day: None };
        let evidence = Evidence {
            policies: Arc::clone(&policies),
            intent: audit.head(),
            audit,
            fragment: 0,
            grants: vec![grant],
            began,
            subject: "ann".to_string(),
            ends: None,
        };
        (policies, evidence)
    }

    /// What becomes of the statement when the files say this.
    async fn after(policy: &str) -> Option<Stop> {
        let directory = tempfile::tempdir().unwrap();
        let (policies, evidence) = running(directory.path()).await;
        assert_eq!(evidence.lapsed(), None);
        let mut changes = policies.subscribe();
        write(directory.path(), policy);
        changes.changed().await.unwrap();
        evidence.lapsed()
    }

    #[tokio::test]
    async fn a_grant_that_is_replaced_under_its_id_stops_what_runs_by_it() {
        let valid = |to: &str| GRANT.replace(" WITH", &format!(" VALID TO '{to}' WITH"));
        let other_party = GRANT.replace("ROLE analyst", "ROLE clerk");
        let other_mode = GRANT.replace(" WITH", " MODE OPERATED WITH");
        let narrower = GRANT.replace("SCHEMA civil", "TABLE civil.people");
        let other_line = format!("{GRANT}CREATE PURPOSE more;\n");
        let (ended, later) = (valid("2001-12-31"), valid("2999-12-31"));
        let limited = GRANT.replace(" WITH", " LIMIT ROWS 10 PER DAY WITH");
        let (party, mode, resource, ended, later, line, limit) = tokio::join!(
            after(&other_party),
            after(&other_mode),
            after(&narrower),
            after(&ended),
            after(&later),
            after(&other_line),
            after(&limited),
        );
        assert_eq!([party, mode, resource], [Some(Stop::Revoked); 3]);
        assert_eq!(ended, Some(Stop::Expired), "it ends earlier now");
        assert_eq!([later, line, limit], [None; 3], "it is the same grant still");
    }
}
