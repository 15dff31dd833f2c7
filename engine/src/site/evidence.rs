//! The record of a statement: its intent before anything leaves, its completion after; and the right by which it runs.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::SystemTime;

use parking_lot::Mutex;
use policy::decision::{ColumnDecision, Decision, GrantedBy, Treatment};
use policy::lineage::{ColumnUse, Lineage, lineage};
use policy::set::{GrantRecord, PolicySet};
use policy::time::Instant;

use super::Control;
use super::policies::Policies;
use super::statement::Bound;
use crate::audit::Ending;
use crate::audit::entry::{
    Asker as RecordedAsker, Closing, Completion, Disclosure, Intent, KeySetUse, Outcome, TableUse,
};
use crate::error::{Code, Result};
use crate::flight::door::Question;
use crate::identity::{Asker, Came, Issuer};
use crate::key_set::{KeySet, KeysTo};
use crate::sabotage::{self, thrown};
use crate::session::queries::{Progress, QueryRecord, Stop, Warrant};

/// The tag whose values are levels.
const CLASSIFICATION: &str = "classification";

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

/// What is about to leave.
pub(super) enum Leaves<'a> {
    /// Rows.
    Rows(&'a Bound),
    /// What is told of a plan, or of what policy makes of one: no row.
    Explanation(&'a Bound),
    /// The policy itself.
    Policy,
}

/// The record of what is about to leave.
///
/// # Errors
/// When the plan cannot be walked: a defect.
pub(super) fn intent(
    control: &Control,
    record: &QueryRecord,
    question: &Question,
    leaves: &Leaves<'_>,
) -> Result<Intent> {
    let intent = Intent {
        query: record.id.to_string(),
        fragment: question.fragment,
        asker: recorded(&record.asker),
        grants: Vec::new(),
        policy_version: 0,
        statement: control.audit.template(&question.sql),
        tables: Vec::new(),
        disclosures: Vec::new(),
        level: None,
        key_sets: question.key_sets.iter().map(recorded_keys).collect(),
    };
    Ok(match leaves {
        Leaves::Policy => Intent { policy_version: control.policies.current().set.version, ..intent },
        Leaves::Explanation(bound) => {
            let mut tables = tables(bound)?;
            tables.iter_mut().for_each(|table| table.only_explained = true);
            Intent { tables, policy_version: version(bound), ..intent }
        }
        Leaves::Rows(bound) => {
            let tables = tables(bound)?;
            let level = bound.ruling.as_ref().and_then(|ruling| level(&ruling.set, &tables));
            let mut disclosures = disclosures(bound, &tables, &destination(&record.asker));
            disclosures.extend(question.keys_to.iter().flat_map(|keys| sent_on(bound, &tables, keys)));
            let grants = grants(bound).into_iter().map(|grant| grant.id).collect();
            Intent { grants, policy_version: version(bound), tables, disclosures, level, ..intent }
        }
    })
}

fn recorded_keys(set: &KeySet) -> KeySetUse {
    KeySetUse { column: set.column.clone(), keys: set.len() as u64 }
}

fn version(bound: &Bound) -> u64 {
    bound.ruling.as_ref().map_or(0, |ruling| ruling.set.version)
}

fn destination(asker: &Asker) -> String {
    match &asker.came {
        Came::Through(coordinator) => format!("{} through {coordinator}", asker.subject.name),
        Came::Directly | Came::AsPeer => asker.subject.name.clone(),
    }
}

/// What is read of each table, system tables last.
fn tables(bound: &Bound) -> Result<Vec<TableUse>> {
    let lineage = lineage(&bound.plan)?;
    let mut seen = BTreeSet::new();
    let governed = bound.governed.iter().filter(|governed| seen.insert(governed.table.to_string()));
    let mut tables: Vec<_> = governed.map(|governed| table_use(&governed.decision, &lineage)).collect();
    tables.extend(bound.told.iter().map(|table| TableUse {
        table: table.clone(),
        selected: Vec::new(),
        used: Vec::new(),
        read_by_policy: Vec::new(),
        only_explained: false,
    }));
    Ok(tables)
}

fn table_use(decision: &Decision, lineage: &Lineage) -> TableUse {
    let used = lineage.of(&decision.table);
    let read_by_policy = read_by_policy(decision, &used);
    let texts = |columns: BTreeSet<String>| columns.into_iter().collect();
    TableUse {
        table: decision.table.to_string(),
        selected: texts(used.selected),
        used: texts(used.used),
        read_by_policy,
        only_explained: false,
    }
}

/// What the row filter reads; and, where aggregate-only columns are used, what tells the entities of a group apart.
fn read_by_policy(decision: &Decision, used: &ColumnUse) -> Vec<String> {
    let is_aggregated = |column: &ColumnDecision| {
        matches!(column.treatment, Treatment::AggregateOnly { .. })
            && (used.selected.contains(&column.name) || used.used.contains(&column.name))
    };
    let mut read = decision.row_filter.as_ref().map(|filter| filter.reads.clone()).unwrap_or_default();
    let release = decision.release.as_ref().filter(|_| decision.columns.iter().any(is_aggregated));
    read.extend(release.map(|release| release.entity.clone()).filter(|entity| !read.contains(entity)));
    read
}

fn disclosures(bound: &Bound, tables: &[TableUse], destination: &str) -> Vec<Disclosure> {
    let mut disclosures = Vec::new();
    for table in tables {
        let Some(governed) = bound.governed.iter().find(|governed| governed.table.to_string() == table.table) else {
            continue;
        };
        disclosures.extend(table.selected.iter().map(|column| Disclosure {
            table: table.table.clone(),
            column: column.clone(),
            form: form(&governed.decision, column),
            destination: destination.to_string(),
        }));
    }
    disclosures
}

/// That values of a column go on to another site, when there are enough of them; and of the other tables, what chooses them.
fn sent_on(bound: &Bound, tables: &[TableUse], keys: &KeysTo) -> Vec<Disclosure> {
    let others = tables.iter().filter(|table| table.table != keys.table);
    let chosen_by = others.flat_map(|table| table.used.iter().map(move |column| (&table.table, column)));
    let sent = std::iter::once((&keys.table, &keys.column)).chain(chosen_by);
    let disclosed = |(table, column): (&String, &String)| {
        let governed = bound.governed.iter().find(|governed| governed.table.to_string() == *table)?;
        Some(Disclosure {
            table: table.clone(),
            column: column.clone(),
            form: form(&governed.decision, column),
            destination: format!("site {}", keys.site),
        })
    };
    sent.filter_map(disclosed).collect()
}

/// The highest level of the columns that are read; a column's own value stands before its table's.
fn level(set: &PolicySet, tables: &[TableUse]) -> Option<String> {
    let levels = set.tags.get(CLASSIFICATION)?;
    let tagged = set.tagged.iter().filter(|tagged| tagged.tag == CLASSIFICATION);
    let tagged: Vec<_> =
        tagged.map(|tagged| (tagged.table.to_string(), tagged.column.as_deref(), &tagged.value)).collect();
    let value_of = |table: &str, column: Option<&str>| {
        tagged.iter().find(|(of, on, _)| of == table && *on == column).map(|(_, _, value)| *value)
    };
    let read = tables.iter().flat_map(|table| {
        let columns = table.selected.iter().chain(&table.used).chain(&table.read_by_policy);
        columns.filter_map(|column| value_of(&table.table, Some(column)).or_else(|| value_of(&table.table, None)))
    });
    let highest = read.filter_map(|value| levels.iter().position(|level| level == value)).max()?;
    levels.get(highest).cloned()
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

#[cfg(test)]
mod tests {
    use datafusion::common::ScalarValue;
    use policy::decision::Release;
    use policy::resource::TableName;
    use policy::set::Tagged;

    use super::*;

    fn read(table: &str, [selected, used, by_policy]: [&[&str]; 3]) -> TableUse {
        let texts = |columns: &[&str]| columns.iter().map(ToString::to_string).collect();
        let (selected, used, read_by_policy) = (texts(selected), texts(used), texts(by_policy));
        TableUse { table: table.to_string(), selected, used, read_by_policy, only_explained: false }
    }

    #[test]
    fn the_highest_level_of_what_is_read_counts() {
        let tagged = |column: Option<&str>, tag: &str, value: &str| Tagged {
            table: TableName::new("civil", "people"),
            column: column.map(str::to_string),
            tag: tag.to_string(),
            value: value.to_string(),
        };
        let mut set = PolicySet::default();
        let values = |values: &[&str]| values.iter().map(ToString::to_string).collect();
        set.tags.insert("classification".into(), values(&["public", "internal", "personal"]));
        set.tags.insert("other".into(), values(&["personal"]));
        set.tagged = vec![
            tagged(None, "classification", "internal"),
            tagged(Some("region"), "classification", "public"),
            tagged(Some("id_no"), "classification", "personal"),
            tagged(Some("region"), "other", "personal"),
        ];
        let level = |columns: [&[&str]; 3]| level(&set, &[read("civil.people", columns)]);
        assert_eq!(level([&["region"], &[], &[]]).as_deref(), Some("public"));
        assert_eq!(level([&["region"], &["name"], &[]]).as_deref(), Some("internal"), "the table's own level");
        assert_eq!(level([&["region"], &[], &["id_no"]]).as_deref(), Some("personal"));
        assert_eq!(level([&[], &[], &[]]), None);
        assert_eq!(super::level(&set, &[read("civil.other", [&["id_no"], &[], &[]])]), None);
        assert_eq!(super::level(&PolicySet::default(), &[read("civil.people", [&["id_no"], &[], &[]])]), None);
    }

    #[test]
    fn the_policy_reads_entities_only_for_columns_that_are_aggregated() {
        let column = |name: &str, treatment| ColumnDecision { name: name.to_string(), treatment, policies: vec![] };
        let bounded = Treatment::AggregateOnly { low: ScalarValue::from(0_i64), high: ScalarValue::from(500_i64) };
        let decision = Decision {
            table: TableName::new("registry", "planes"),
            grant: GrantedBy { id: "g".into(), until: None, rows_per_day: None, bytes_per_day: None },
            purpose: "research".into(),
            row_filter: None,
            columns: vec![
                column("model", Treatment::Clear),
                column("seats", bounded),
                column("tailnum", Treatment::Hidden),
            ],
            release: Some(Release { min_group: 5, entity: "tailnum".into(), group_by: vec![] }),
            keys: vec![],
        };
        let used = |selected: &str| ColumnUse { selected: [selected.to_string()].into(), ..ColumnUse::default() };
        assert_eq!(read_by_policy(&decision, &used("seats")), ["tailnum"]);
        assert_eq!(read_by_policy(&decision, &used("model")), Vec::<String>::new());
    }
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
