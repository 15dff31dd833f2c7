//! The record of a statement: its intent before anything leaves, its completion after; and the right by which it runs.
//!
//! - `intent`: what is about to leave; `words`: how records name it.
//! - here: what a statement rests on, until when it may run by that, and how it ended.

mod intent;
mod words;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::SystemTime;

use parking_lot::Mutex;
use policy::decision::GrantedBy;
use policy::set::{GrantRecord, PolicySet};
use policy::time::Instant;

pub(super) use self::intent::{Leaves, intent};
pub(super) use self::words::{form, recorded};

use super::Control;
use super::policies::Policies;
use super::statement::Bound;
use crate::audit::Ending;
use crate::audit::entry::{Closing, Completion, Intent, Outcome};
use crate::error::{Code, Result};
use crate::key_set::KeysTo;
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
    /// The ids of the grants by which keys of its answer go on to other sites.
    joins: Vec<String>,
    /// The policies that it was decided by; its grants stand in them as they were then.
    began: Arc<PolicySet>,
    /// Whose limits per day it counts against. A user of the site's own users file and the one of that name in the users file
    /// of a coordinator that is believed share one limit, so that nobody has it twice by going both ways; an issuer's users
    /// have their own.
    subject: String,
    ends: Option<SystemTime>,
}

impl Evidence {
    /// Records the intent and gives the query its warrant; ends when the intent is on the disk. From the moment at which
    /// the intent waits to be written the warrant is told the query's end, also when nobody waits here any more.
    ///
    /// # Errors
    /// `AUDIT`: nothing may leave.
    pub(super) async fn record(control: &Control, record: &QueryRecord, intent: Intent, basis: Basis) -> Result<()> {
        let lasting = record.warrant(|| {
            let fragment = intent.fragment;
            let begun = (!thrown(sabotage::Control::Intent)).then(|| control.audit.begin(intent)).transpose()?;
            let (ending, lasting) = begun.unzip();
            let evidence = Self {
                policies: Arc::clone(&control.policies),
                ending: Mutex::new(ending),
                fragment,
                grants: basis.grants,
                joins: basis.joins,
                began: basis.began,
                subject: record.asker.name_by_issuer(),
                ends: record.asker.ends,
            };
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

    /// The ids of the grants that it rests on.
    fn rests_on(&self) -> impl Iterator<Item = &String> {
        self.grants.iter().map(|grant| &grant.id).chain(&self.joins)
    }

    /// A grant that is gone, or in whose place another one stands under its id.
    fn revoked(&self) -> Option<&String> {
        let current = self.policies.current();
        self.rests_on().find(|id| match (self.began.grants.get(*id), current.set.grants.get(*id)) {
            (Some(then), Some(now)) => !is_still(then, now),
            _ => true,
        })
    }

    /// When the first of its grants ends: as it did when the query began, or earlier by now.
    fn until(&self) -> Option<Instant> {
        let current = self.policies.current();
        let now = self.rests_on().filter_map(|id| current.set.grants.get(id)?.grant.to);
        let joins_then = self.joins.iter().filter_map(|id| self.began.grants.get(id)?.grant.to);
        let then = self.grants.iter().filter_map(|grant| grant.until).chain(joins_then);
        // What rests on no grant, the record and the policy itself, outlives the policies.
        let set_ends = current.set.valid_until.filter(|_| !self.grants.is_empty());
        now.chain(then).chain(set_ends).min()
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
        if thrown(sabotage::Control::Caps) {
            return Ok(());
        }
        self.policies.charge(&self.grants, &self.subject, rows, bytes)
    }

    fn ended(&self, record: &QueryRecord) {
        let Some(ending) = self.ending.lock().take() else { return };
        let outcome = Self::outcome(record.progress());
        let revoked = self.revoked().filter(|_| outcome == Outcome::Revoked);
        let closing = revoked.map(|grant| Closing {
            grant: grant.clone(),
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

/// What a statement rests on: nothing, where it shows no rows of tables.
#[derive(Debug, Default)]
pub(super) struct Basis {
    grants: Vec<GrantedBy>,
    joins: Vec<String>,
    began: Arc<PolicySet>,
}

impl Basis {
    /// The grants by which its tables are shown and its keys go on, and the policies that it was decided by.
    pub(super) fn of(bound: &Bound, keys_to: &[KeysTo]) -> Self {
        let began = bound.ruling.as_ref().map(|ruling| Arc::clone(&ruling.set)).unwrap_or_default();
        let joins = keys_to.iter().flat_map(|keys| joins(bound, keys)).collect();
        Self { grants: grants(bound), joins, began }
    }
}

/// The grants by which keys may go on: one of the table that has them, and of each other that chooses them.
fn joins(bound: &Bound, keys: &KeysTo) -> BTreeSet<String> {
    let decisions = bound.governed.iter().map(|governed| &governed.decision);
    let leaves = decisions.filter_map(|decision| {
        let own = (decision.table.to_string() == keys.table).then_some(keys.column.as_str());
        decision.leave_for(own, &keys.site)
    });
    leaves.map(|leave| leave.grant.clone()).collect()
}

fn grants(bound: &Bound) -> Vec<GrantedBy> {
    let mut seen = BTreeSet::new();
    let grants = bound.governed.iter().map(|governed| &governed.decision.grant);
    grants.filter(|grant| seen.insert(grant.id.clone())).cloned().collect()
}

#[cfg(test)]
mod replaced {
    use std::fs;
    use std::path::Path;

    use super::*;
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
        let policies = Policies::open(&config, SiteTables::open(&config).await.unwrap(), None).await.unwrap();
        let began = Arc::clone(&policies.current().set);
        let grant = GrantedBy { id: "analysts".to_string(), until: None, rows_per_day: None, bytes_per_day: None };
        let evidence = Evidence {
            policies: Arc::clone(&policies),
            ending: Mutex::new(None),
            fragment: 0,
            grants: vec![grant],
            joins: Vec::new(),
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
