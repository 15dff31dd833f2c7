//! Tables as statements name them, where nobody can look at the tables themselves: what is said of purposes, tags, names
//! and of each other can be checked all the same.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};

use super::check::columns_read;
use super::{Catalog, File};
use crate::resource::{Resource, TableName};
use crate::statement::{Change, Columns, Policy, Right, Rule, Statement, each, site_named};

/// Any table of a source.
const ANY: &str = "*";

/// The tables and columns that files name; of their types nothing is known.
#[derive(Debug, Clone)]
pub struct NamedTables {
    site: String,
    tables: BTreeMap<TableName, SchemaRef>,
}

impl NamedTables {
    /// Those that these files name. What cannot be read names nothing.
    pub fn of(files: &[File<'_>]) -> Self {
        let site = files.iter().find_map(|file| site_named(file.text)).unwrap_or_default();
        let read = files.iter().flat_map(|file| each(file.text, &site)).flatten();
        let changes: Vec<Change> = read
            .filter_map(|located| match located.statement {
                Statement::Change(change) => Some(change),
                Statement::Show(_) => None,
            })
            .collect();
        let mut named: BTreeMap<TableName, BTreeSet<&str>> = BTreeMap::new();
        for (table, column) in changes.iter().flat_map(places) {
            named.entry(table).or_default().extend(column);
        }
        for policy in changes.iter().filter_map(policy) {
            let about = named.iter_mut().filter(|(table, _)| policy.resource.covers(table));
            about.for_each(|(_, columns)| columns.extend(columns_of(&policy.rule)));
        }
        let tables = named.into_iter().map(|(table, columns)| (table, schema(columns))).collect();
        Self { site, tables }
    }

    /// The site that they are for, if one of them names it: `site.source.table`.
    pub fn site(&self) -> &str {
        &self.site
    }
}

impl Catalog for NamedTables {
    fn tables(&self, source: &str) -> Vec<TableName> {
        self.tables.keys().filter(|table| table.source == source).cloned().collect()
    }

    fn schema(&self, table: &TableName) -> Option<SchemaRef> {
        self.tables.get(table).cloned()
    }

    fn knows_types(&self) -> bool {
        false
    }
}

fn schema(columns: BTreeSet<&str>) -> SchemaRef {
    Arc::new(Schema::new(columns.into_iter().map(|name| Field::new(name, DataType::Null, true)).collect::<Vec<_>>()))
}

/// The tables that a change names, with a column where it stands beside its table.
fn places(change: &Change) -> Vec<(TableName, Option<&str>)> {
    match change {
        Change::SetTag { table, column, .. } | Change::UnsetTag { table, column, .. } => {
            vec![(table.clone(), column.as_deref())]
        }
        Change::AcceptColumn { table, column } | Change::WithdrawColumn { table, column } => {
            vec![(table.clone(), Some(column))]
        }
        Change::Grant(grant) => match &grant.right {
            Right::Select { resource, .. } => vec![(any_of(resource), None)],
            Right::Join { table, columns, .. } => {
                columns.iter().map(|column| (table.clone(), Some(column.as_str()))).collect()
            }
        },
        Change::CreatePolicy(policy) => vec![(any_of(&policy.resource), None)],
        Change::CreateTag { .. }
        | Change::DropTag { .. }
        | Change::CreatePurpose { .. }
        | Change::DropPurpose { .. }
        | Change::RevokeGrant { .. }
        | Change::DropPolicy { .. }
        | Change::ValidUntil(_) => vec![],
    }
}

fn any_of(resource: &Resource) -> TableName {
    match resource {
        Resource::Schema(source) => TableName::new(source, ANY),
        Resource::Table(table) => table.clone(),
    }
}

fn policy(change: &Change) -> Option<&Policy> {
    match change {
        Change::CreatePolicy(policy) => Some(policy),
        _ => None,
    }
}

/// The columns that a rule names.
fn columns_of(rule: &Rule) -> Vec<&str> {
    match rule {
        Rule::RowFilter(predicate) => columns_read(predicate),
        Rule::Mask(_, columns) => listed(columns).collect(),
        Rule::AggregateOnly(rule, columns) => {
            let keys = rule.group_by.iter().chain([&rule.entity]).map(String::as_str);
            listed(columns).chain(keys).collect()
        }
    }
}

fn listed(columns: &Columns) -> impl Iterator<Item = &str> {
    let names = match columns {
        Columns::Named(names) => names.as_slice(),
        Columns::Tagged { .. } => &[],
    };
    names.iter().map(String::as_str)
}
