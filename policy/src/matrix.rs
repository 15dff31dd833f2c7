//! The matrix subject × purpose × table × column as text: what a reviewer of policies reads as a diff.

use std::collections::BTreeSet;

use crate::decide::rows::Rows;
use crate::decide::{Question, Settled, decide, settle};
use crate::decision::{Decision, Denial};
use crate::resource::{Resource, TableName};
use crate::set::{Catalog, PolicySet};
use crate::statement::Right;
use crate::subject::Subject;
use crate::time::Instant;

/// What each subject sees for each of the purposes, of every table of the sources that the policies speak of. Each line
/// stands for itself, so that a diff of two matrices can be read without what surrounds it:
///
/// ```text
/// desk · planning · bts.flights · rows: origin IN attribute('origins') by own_origins · grant g-0001, until 2027-01-01T00:00:00Z
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
                let question = Question { subject, purpose, table, schema: &schema, now };
                let decided = decide(set, &question).and_then(|decision| Ok((settle(set, &question)?, decision)));
                let cell = format!("{} · {} · {table}", subject.name, purpose.unwrap_or("no purpose"));
                write_table(&mut lines, &cell, &decided);
            }
        }
    }
    lines
}

fn write_table(lines: &mut String, cell: &str, decided: &Result<(Settled<'_>, Decision), Denial>) {
    match decided {
        Err(denial) => push_line(lines, &format!("{cell}: nothing ({denial})")),
        Ok((settled, decision)) => {
            push_line(lines, &format!("{cell} · rows: {} · {}", rows(&settled.rows), grant(decision)));
            for column in &decision.columns {
                let form = by(&column.treatment.to_string(), &column.policies);
                push_line(lines, &format!("{cell} · {}: {form}", column.name));
            }
            let release = decision.release.iter();
            release.for_each(|release| push_line(lines, &format!("{cell} · release: {release}")));
        }
    }
}

fn push_line(lines: &mut String, line: &str) {
    lines.push_str(line);
    lines.push('\n');
}

/// Which rows, as written, and by which policies.
fn rows(rows: &Rows<'_>) -> String {
    by(&rows.to_string(), &rows.policies().into_iter().map(str::to_owned).collect::<Vec<_>>())
}

fn by(what: &str, policies: &[String]) -> String {
    if policies.is_empty() { what.to_owned() } else { format!("{what} by {}", policies.join(", ")) }
}

fn grant(decision: &Decision) -> String {
    let grant = &decision.grant;
    let is_limited = grant.until.is_some() || grant.rows_per_day.is_some() || grant.bytes_per_day.is_some();
    if is_limited { format!("grant {}, {}", grant.id, grant.limits()) } else { format!("grant {}", grant.id) }
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
