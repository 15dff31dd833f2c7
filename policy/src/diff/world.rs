//! The tables over which two sets of policies are compared.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};

use super::Scope;
use crate::decide::columns::columns_of;
use crate::matrix::{resources, tables};
use crate::resource::{Resource, TableName};
use crate::set::{Catalog, PolicySet, Purpose, Tagged};
use crate::statement::{Columns, Grant, Policy, Right, Rule};
use crate::time::Instant;

/// The tables to compare over.
pub(super) struct World {
    /// Their columns.
    pub(super) tables: BTreeMap<TableName, SchemaRef>,
    /// Whether their types are known.
    pub(super) typed: Typed,
    /// When.
    pub(super) now: Instant,
}

/// Whether the columns' types are known.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Typed {
    Yes,
    No,
}

impl World {
    /// The tables that the sets speak of.
    pub(super) fn of(sets: [&PolicySet; 2], scope: &Scope<'_>) -> Self {
        let (tables, typed) = match scope.catalog {
            Some(catalog) => (catalogued(sets, catalog), Typed::Yes),
            None => (named(sets), Typed::No),
        };
        Self { tables, typed, now: scope.now }
    }

    /// The world less the tables about which both sets say the same.
    pub(super) fn that_differs(mut self, before: &PolicySet, after: &PolicySet) -> Self {
        self.tables.retain(|table, _| Said::about(before, table) != Said::about(after, table));
        self
    }

    /// The set; where only names are known, with every column that is named taken to be covered.
    pub(super) fn admit(&self, set: &PolicySet) -> PolicySet {
        let mut set = set.clone();
        if self.typed == Typed::No {
            let columns = |(table, schema): (&TableName, &SchemaRef)| {
                let names: Vec<String> = schema.fields().iter().map(|field| field.name().clone()).collect();
                names.into_iter().map(|name| (table.clone(), name)).collect::<Vec<_>>()
            };
            set.accepted.extend(self.tables.iter().flat_map(columns));
        }
        set
    }
}

/// All that decides about a table.
#[derive(PartialEq)]
struct Said<'a> {
    tags: &'a BTreeMap<String, Vec<String>>,
    purposes: &'a BTreeMap<String, Purpose>,
    valid_until: Option<Instant>,
    grants: Vec<(&'a String, &'a Grant, Option<&'a BTreeSet<String>>)>,
    policies: Vec<(&'a Policy, Option<&'a BTreeMap<String, String>>)>,
    tagged: Vec<&'a Tagged>,
    accepted: Vec<&'a String>,
}

impl<'a> Said<'a> {
    fn about(set: &'a PolicySet, table: &TableName) -> Self {
        let key = table.to_string();
        let grants = set.grants.iter().filter(|(_, record)| match &record.grant.right {
            Right::Select { resource, .. } => resource.covers(table),
            Right::Join { .. } => false,
        });
        let policies = set.policies.values().filter(|record| record.policy.resource.covers(table));
        Self {
            tags: &set.tags,
            purposes: &set.purposes,
            valid_until: set.valid_until,
            grants: grants.map(|(id, record)| (id, &record.grant, record.columns.get(&key))).collect(),
            policies: policies.map(|record| (&record.policy, record.uses.get(&key))).collect(),
            tagged: set.tagged.iter().filter(|tagged| tagged.table == *table).collect(),
            accepted: set.accepted.iter().filter(|(on, _)| on == table).map(|(_, column)| column).collect(),
        }
    }
}

fn catalogued(sets: [&PolicySet; 2], catalog: &dyn Catalog) -> BTreeMap<TableName, SchemaRef> {
    let names = sets.iter().flat_map(|set| tables(set, catalog));
    names.filter_map(|table| catalog.schema(&table).map(|schema| (table, schema))).collect()
}

/// Any table of a source, any column of a table.
const ANY: &str = "*";

/// The tables and columns that the statements name.
fn named(sets: [&PolicySet; 2]) -> BTreeMap<TableName, SchemaRef> {
    let mut columns = Named::default();
    sets.iter().for_each(|set| columns.add_named(set));
    sets.iter().flat_map(|set| set.policies.values()).for_each(|record| columns.add_used(&record.policy));
    let schema = |names: BTreeSet<&str>| {
        let names = names.into_iter().filter(|name| *name != ANY).chain([ANY]);
        Arc::new(Schema::new(names.map(|name| Field::new(name, DataType::Null, true)).collect::<Vec<_>>()))
    };
    columns.0.into_iter().map(|(table, names)| (table, schema(names))).collect()
}

/// Tables, and the columns of theirs that statements name.
#[derive(Default)]
struct Named<'a>(BTreeMap<TableName, BTreeSet<&'a str>>);

impl<'a> Named<'a> {
    fn add(&mut self, table: TableName, columns: impl IntoIterator<Item = &'a str>) {
        self.0.entry(table).or_default().extend(columns);
    }

    /// What stands beside its table.
    fn add_named(&mut self, set: &'a PolicySet) {
        for resource in resources(set) {
            match resource {
                Resource::Table(table) => self.add(table.clone(), []),
                Resource::Schema(source) => self.add(TableName::new(source, ANY), []),
            }
        }
        for tagged in &set.tagged {
            self.add(tagged.table.clone(), tagged.column.as_deref());
        }
        for (table, column) in &set.accepted {
            self.add(table.clone(), [column.as_str()]);
        }
        for (table, columns) in set.grants.values().flat_map(|record| &record.columns) {
            if let Some((source, table)) = table.split_once('.') {
                self.add(TableName::new(source, table), columns.iter().map(String::as_str));
            }
        }
    }

    /// What a policy says of columns, in each of its tables.
    fn add_used(&mut self, policy: &'a Policy) {
        for (_, names) in self.0.iter_mut().filter(|(table, _)| policy.resource.covers(table)) {
            if let Some(Columns::Named(named)) = columns_of(policy) {
                names.extend(named.iter().map(String::as_str));
            }
            if let Rule::AggregateOnly(rule, _) = &policy.rule {
                names.extend(rule.group_by.iter().chain([&rule.entity]).map(String::as_str));
            }
        }
    }
}
