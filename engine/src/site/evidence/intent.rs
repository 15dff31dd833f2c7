//! The record of what is about to leave: of which tables, in which form, where to, and by which grants.

use std::collections::BTreeSet;

use policy::decision::{ColumnDecision, Decision, Treatment};
use policy::lineage::{ColumnUse, Lineage, lineage};
use policy::set::PolicySet;

use super::grants;
use super::words::{form, recorded};
use crate::audit::entry::{Disclosure, Intent, KeySetUse, TableUse};
use crate::error::Result;
use crate::flight::door::Question;
use crate::identity::{Asker, Came};
use crate::key_set::{KeySet, KeysTo};
use crate::session::queries::QueryRecord;
use crate::site::Control;
use crate::site::statement::Bound;

/// The tag whose values are levels.
const CLASSIFICATION: &str = "classification";

/// What is about to leave.
pub(in crate::site) enum Leaves<'a> {
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
pub(in crate::site) fn intent(
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

#[cfg(test)]
mod tests {
    use datafusion::common::ScalarValue;
    use policy::decision::{GrantedBy, Release};
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
