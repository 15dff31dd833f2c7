//! The rows that are there: row filters are ANDed, and a table that has one shows no row to whom none is about.

use std::fmt;

use arrow::datatypes::Schema;

use super::audience::Asker;
use crate::decision::RowFilter;
use crate::predicate::{Filter, Predicate};
use crate::statement::{Policy, Rule};

/// Which rows are there, as written.
#[derive(Debug, Clone)]
pub(crate) enum Rows<'a> {
    /// All.
    All,
    /// Those that pass all of these; each with its policy's name.
    Filtered(Vec<(&'a str, &'a Predicate)>),
    /// None: these policies filter the table, and none of them is about the subject or frees it.
    None(Vec<&'a str>),
}

impl<'a> Rows<'a> {
    /// The policies that say so.
    pub(crate) fn policies(&self) -> Vec<&'a str> {
        match self {
            Rows::All => vec![],
            Rows::Filtered(filters) => filters.iter().map(|(policy, _)| *policy).collect(),
            Rows::None(policies) => policies.clone(),
        }
    }
}

/// The rows that are there for the asker.
pub(super) fn rows<'a>(about: &[&'a Policy], asker: &Asker<'_>) -> Rows<'a> {
    let filters = about.iter().filter_map(|policy| match &policy.rule {
        Rule::RowFilter(predicate) => Some((*policy, predicate)),
        Rule::Mask(..) | Rule::AggregateOnly(..) => None,
    });
    let filters: Vec<(&'a Policy, &'a Predicate)> = filters.collect();
    let named = filters.iter().filter(|(policy, _)| asker.is_named_by(&policy.audience));
    let named: Vec<_> = named.map(|(policy, predicate)| (policy.name.as_str(), *predicate)).collect();
    if !named.is_empty() {
        Rows::Filtered(named)
    } else if filters.is_empty() || filters.iter().any(|(policy, _)| asker.is_freed_by(&policy.audience)) {
        Rows::All
    } else {
        Rows::None(filters.iter().map(|(policy, _)| policy.name.as_str()).collect())
    }
}

/// The filters as one; of none, the one that no row passes.
pub(super) fn combined(rows: &Rows<'_>, mut filters: Vec<Filter>, schema: &Schema) -> RowFilter {
    let filter = match (filters.pop(), filters.is_empty()) {
        (None, _) => Filter::Or(vec![]),
        (Some(only), true) => only,
        (Some(last), false) => {
            filters.push(last);
            Filter::And(filters)
        }
    };
    let read = filter.columns();
    let names = schema.fields().iter().map(|field| field.name());
    let reads = names.filter(|name| read.contains(name.as_str())).cloned().collect();
    RowFilter { policies: rows.policies().into_iter().map(str::to_owned).collect(), reads, filter }
}

impl fmt::Display for Rows<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Rows::All => write!(f, "all"),
            Rows::None(_) => write!(f, "none"),
            Rows::Filtered(filters) if filters.len() == 1 => {
                filters.iter().try_for_each(|(_, filter)| write!(f, "{filter}"))
            }
            Rows::Filtered(filters) => {
                let written: Vec<String> = filters.iter().map(|(_, filter)| format!("({filter})")).collect();
                write!(f, "{}", written.join(" AND "))
            }
        }
    }
}
