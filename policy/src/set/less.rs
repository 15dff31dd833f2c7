//! What can be taken away so that nobody sees anything that they did not see before.
//!
//! To lose a grant is not always to see less. A question rests on one grant alone, and whoever loses that one falls to another,
//! which may have no caps, a day of its own that is not used up, or other columns. And to lose a column may be to lose what
//! denied the whole table.

use std::collections::{BTreeMap, BTreeSet};

use arrow::datatypes::SchemaRef;

use super::{Catalog, GrantRecord, PolicySet};
use crate::decide::audience::{overlap, resources_overlap};
use crate::decide::grants::{known, stands_before};
use crate::decide::tags::Tags;
use crate::mask::ColumnMask;
use crate::resource::{Resource, TableName};
use crate::statement::{Audience, Change, Party, Policy, Rule};
use crate::time::Instant;

impl PolicySet {
    /// Whether a change gives nobody anything, from now on and with the tables as they are: whoever sees something after it
    /// saw that before, in that form and under no narrower a limit. In doubt it may give something.
    pub fn only_takes_away(&self, change: &Change, now: Instant, catalog: &dyn Catalog) -> bool {
        let taking = Taking { set: self, now, catalog };
        match change {
            Change::RevokeGrant { id } => taking.can_go(id, &BTreeSet::from([id.as_str()])),
            Change::WithdrawColumn { table, column } => taking.can_be_withdrawn(table, column),
            Change::ValidUntil(Some(end)) => self.valid_until.is_none_or(|known| *end <= known),
            // What looks like a restriction may give somebody more: a mask on tagged columns shows new columns, a row filter
            // shows its rows to those whom none named before.
            Change::ValidUntil(None)
            | Change::CreateTag { .. }
            | Change::DropTag { .. }
            | Change::SetTag { .. }
            | Change::UnsetTag { .. }
            | Change::CreatePurpose { .. }
            | Change::DropPurpose { .. }
            | Change::Grant(_)
            | Change::CreatePolicy(_)
            | Change::DropPolicy { .. }
            | Change::AcceptColumn { .. } => false,
        }
    }

    /// The set without these grants, but for those of them that cannot go without giving somebody something.
    #[must_use]
    pub fn without(&self, mut gone: BTreeSet<&str>, now: Instant, catalog: &dyn Catalog) -> Self {
        let taking = Taking { set: self, now, catalog };
        loop {
            let stay: BTreeSet<&str> = gone.iter().copied().filter(|id| !taking.can_go(id, &gone)).collect();
            if stay.is_empty() {
                break;
            }
            gone.retain(|id| !stay.contains(id));
        }
        let mut set = self.clone();
        set.grants.retain(|id, _| !gone.contains(id.as_str()));
        set
    }
}

/// A grant and its id.
type Named<'a> = (&'a str, &'a GrantRecord);

/// A set that something is taken from.
struct Taking<'a> {
    set: &'a PolicySet,
    now: Instant,
    catalog: &'a dyn Catalog,
}

impl Taking<'_> {
    /// Whether nobody has more without the grant, when all of `gone` are.
    fn can_go(&self, id: &str, gone: &BTreeSet<&str>) -> bool {
        let Some(lost) = self.set.grants.get(id) else { return true };
        let staying = self.set.grants.iter().filter(|(other, _)| !gone.contains(other.as_str()));
        staying.filter(|(_, other)| self.may_match_one_question(lost, other)).all(|(other, record)| {
            let (lost, other) = ((id, lost), (other.as_str(), record));
            self.tables_of_both(lost.1, other.1).iter().all(|table| self.falls_to_no_more(table, lost, other))
        })
    }

    /// Whether nobody has more when a column that was accepted is not any more: grants that covered it by that lose it, and
    /// stand behind others that cover it by themselves.
    fn can_be_withdrawn(&self, table: &TableName, column: &str) -> bool {
        let (Some(schema), Ok(tags)) = (self.catalog.schema(table), Tags::of(self.set, table)) else { return false };
        let Ok(field) = schema.field_with_name(column) else { return true };
        let about = self.set.policies.values().map(|record| &record.policy);
        let denies_nothing = |policy: &Policy| match &policy.rule {
            Rule::RowFilter(_) => true,
            Rule::AggregateOnly(_, columns) => !tags.selects(columns, column),
            Rule::Mask(ColumnMask::Pseudonym(_), columns) => !tags.selects(columns, column),
            Rule::Mask(mask, columns) => !tags.selects(columns, column) || mask.check(field.data_type()).is_ok(),
        };
        if !about.filter(|policy| policy.resource.covers(table)).all(denies_nothing) {
            return false;
        }
        let key = table.to_string();
        let covers_by_itself = |record: &GrantRecord| record.columns.get(&key).is_some_and(|own| own.contains(column));
        let grants = self.set.grants.iter().map(|(id, record)| (id.as_str(), record));
        let about = grants.filter(|(_, record)| record.grant.select().is_some_and(|(on, _)| on.covers(table)));
        let (keeping, losing): (Vec<Named<'_>>, Vec<_>) = about.partition(|(_, record)| covers_by_itself(record));
        let table = Table { key, known: Some((table.clone(), schema)) };
        losing.iter().all(|lost| {
            let mut others = keeping.iter().filter(|other| self.may_match_one_question(lost.1, other.1));
            others.all(|other| self.falls_to_no_more(&table, *lost, *other))
        })
    }

    /// Whether one question could match both grants, now or later.
    fn may_match_one_question(&self, one: &GrantRecord, other: &GrantRecord) -> bool {
        let (Some((resource, to)), Some((other_resource, other_to))) = (one.grant.select(), other.grant.select())
        else {
            return false;
        };
        let audience = |to: &[Party], purpose: &Option<String>| Audience {
            to: to.to_vec(),
            except: vec![],
            purposes: purpose.iter().cloned().collect(),
        };
        let (one, other) = (&one.grant, &other.grant);
        let begins = [one.from, other.from, Some(self.now)].into_iter().flatten().max();
        let ends = [one.to, other.to].into_iter().flatten().min();
        ends.is_none_or(|end| begins.is_none_or(|begin| begin < end))
            && resources_overlap(resource, other_resource)
            && overlap(self.set, &audience(to, &one.purpose), &audience(other_to, &other.purpose))
    }

    /// Whether a question that rested on the one grant has no more when it rests on the other: the other stood before it
    /// anyway, or nothing limited what left by it and both cover the same columns. Whatever else is decided, whichever grant
    /// it rests on, is the same.
    fn falls_to_no_more(&self, table: &Table, lost: Named<'_>, other: Named<'_>) -> bool {
        let columns = |record: &GrantRecord| match &table.known {
            None => record.columns.get(&table.key).cloned().unwrap_or_default(),
            Some((name, schema)) => {
                let there = |column: &&str| schema.field_with_name(column).is_ok();
                known(self.set, name, record).into_iter().filter(there).map(str::to_owned).collect()
            }
        };
        let other_was_before =
            |(name, schema): &(TableName, SchemaRef)| stands_before(self.set, (name, schema), other, lost);
        table.known.as_ref().is_some_and(other_was_before)
            || (!lost.1.grant.is_capped() && columns(lost.1) == columns(other.1))
    }

    /// The tables that both grants are about: those that are there, and those that were when one of them was made, whose
    /// source may not answer just now.
    fn tables_of_both(&self, one: &GrantRecord, other: &GrantRecord) -> Vec<Table> {
        let resources: Vec<&Resource> = [one, other].iter().filter_map(|of| Some(of.grant.select()?.0)).collect();
        let source = match resources.first() {
            Some(Resource::Schema(source)) => source,
            Some(Resource::Table(table)) => &table.source,
            None => return vec![],
        };
        let there = self.catalog.tables(source).into_iter();
        let there = there.filter(|table| resources.iter().all(|resource| resource.covers(table)));
        let mut tables: BTreeMap<String, Option<(TableName, SchemaRef)>> =
            there.map(|table| (table.to_string(), self.catalog.schema(&table).map(|schema| (table, schema)))).collect();
        let recorded = one.columns.keys().chain(other.columns.keys());
        for key in recorded.filter(|key| resources.iter().all(|resource| covers_key(resource, key))) {
            tables.entry(key.clone()).or_default();
        }
        tables.into_iter().map(|(key, known)| Table { key, known }).collect()
    }
}

/// `source.table`, and the table with its columns where it can be asked for them.
struct Table {
    key: String,
    known: Option<(TableName, SchemaRef)>,
}

fn covers_key(resource: &Resource, key: &str) -> bool {
    match resource {
        Resource::Schema(source) => key.strip_prefix(source.as_str()).is_some_and(|rest| rest.starts_with('.')),
        Resource::Table(table) => table.to_string() == *key,
    }
}
