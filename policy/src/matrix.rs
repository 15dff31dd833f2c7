//! The matrix subject × purpose × table × column as text: what a reviewer of policies reads as a diff.

use std::collections::BTreeSet;

use crate::decide::{Question, decide};
use crate::decision::{Decision, Denial};
use crate::predicate::Filter;
use crate::resource::{Resource, TableName};
use crate::set::{Catalog, PolicySet};
use crate::statement::Right;
use crate::subject::Subject;
use crate::time::Instant;

/// What each subject sees for each of the purposes, of every table of the sources that the policies speak of. Each line
/// stands for itself, so that a diff of two matrices can be read without what surrounds it:
///
/// ```text
/// desk · planning · bts.flights · rows: filter(own_origins) · grant g-0001
/// desk · planning · bts.flights · carrier: clear
/// desk · planning · faa.planes: nothing (no grant covers the table for this subject and purpose at this time)
/// ```
pub fn matrix(set: &PolicySet, subjects: &[(Subject, Vec<String>)], catalog: &dyn Catalog, now: Instant) -> String {
    let tables = tables(set, catalog);
    let mut lines = String::new();
    for (subject, purposes) in subjects {
        let asked: Vec<Option<&str>> = if purposes.is_empty() {
            vec![None]
        } else {
            purposes.iter().map(|purpose| Some(purpose.as_str())).collect()
        };
        for purpose in asked {
            for table in &tables {
                let Some(schema) = catalog.schema(table) else { continue };
                let decision = decide(set, &Question { subject, purpose, table, schema: &schema, now });
                let cell = format!("{} · {} · {table}", subject.name, purpose.unwrap_or("no purpose"));
                write_table(&mut lines, &cell, &decision);
            }
        }
    }
    lines
}

fn write_table(lines: &mut String, cell: &str, decision: &Result<Decision, Denial>) {
    match decision {
        Err(denial) => push_line(lines, &format!("{cell}: nothing ({denial})")),
        Ok(decision) => {
            push_line(lines, &format!("{cell} · rows: {} · grant {}", rows(decision), decision.grant.id));
            for column in &decision.columns {
                let by = column.policies.join(", ");
                let by = if by.is_empty() { by } else { format!(" by {by}") };
                push_line(lines, &format!("{cell} · {}: {}{by}", column.name, column.treatment));
            }
        }
    }
}

fn push_line(lines: &mut String, line: &str) {
    lines.push_str(line);
    lines.push('\n');
}

fn rows(decision: &Decision) -> String {
    match &decision.row_filter {
        None => "all".to_owned(),
        Some(filter) if filter.filter == Filter::Or(vec![]) => format!("none({})", filter.policies.join(", ")),
        Some(filter) => format!("filter({})", filter.policies.join(", ")),
    }
}

/// The tables of every source that the set speaks of, in the order of their names.
pub(crate) fn tables(set: &PolicySet, catalog: &dyn Catalog) -> Vec<TableName> {
    let sources: BTreeSet<&str> = resources(set).map(source).collect();
    let mut tables: Vec<TableName> = sources.into_iter().flat_map(|source| catalog.tables(source)).collect();
    tables.sort();
    tables
}

/// What the grants and policies of a set are about.
pub(crate) fn resources(set: &PolicySet) -> impl Iterator<Item = &Resource> {
    let granted = set.grants.values().filter_map(|record| match &record.grant.right {
        Right::Select { resource, .. } => Some(resource),
        Right::Join { .. } => None,
    });
    granted.chain(set.policies.values().map(|record| &record.policy.resource))
}

fn source(resource: &Resource) -> &str {
    match resource {
        Resource::Schema(source) => source,
        Resource::Table(table) => &table.source,
    }
}
