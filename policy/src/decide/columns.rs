//! The form in which each column is seen: of all that policies say about it, the strictest.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::fmt;

use super::Question;
use super::audience::Asker;
use super::tags::Tags;
use crate::decision::{Denial, Treatment};
use crate::mask::{ColumnMask, Strictness};
use crate::set::in_order;
use crate::statement::{AggregateOnly, Columns, Policy, Rule};
use crate::value::Value;

/// The form of a column, as written.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Form<'a> {
    Clear,
    /// By any mask but `hide`.
    Masked(&'a ColumnMask),
    AggregateOnly {
        low: &'a Value,
        high: &'a Value,
        rule: &'a AggregateOnly,
    },
    Hidden,
}

impl<'a> Form<'a> {
    /// What a policy makes of this column, which it is about; `None` for a row filter.
    pub(crate) fn by(policy: &'a Policy, column: &str) -> Result<Option<Self>, Denial> {
        match &policy.rule {
            Rule::RowFilter(_) => Ok(None),
            Rule::Mask(ColumnMask::Hide, _) => Ok(Some(Form::Hidden)),
            Rule::Mask(mask, _) => Ok(Some(Form::Masked(mask))),
            Rule::AggregateOnly(rule, _) => match rule.bounds.iter().find(|(name, _, _)| name == column) {
                Some((_, low, high)) => Ok(Some(Form::AggregateOnly { low, high, rule })),
                None => Err(Denial::Policy {
                    policy: policy.name.clone(),
                    reason: format!("column `{column}` has no bounds"),
                }),
            },
        }
    }

    pub(crate) fn rank(&self) -> Strictness {
        match self {
            Form::Clear => Strictness::Clear,
            Form::Hidden => Strictness::Hidden,
            Form::AggregateOnly { .. } => Strictness::AggregateOnly,
            Form::Masked(mask) => mask.rank(),
        }
    }

    /// The rule, if only aggregates over the column are told.
    pub(crate) fn aggregate_only(&self) -> Option<&'a AggregateOnly> {
        match self {
            Form::AggregateOnly { rule, .. } => Some(rule),
            Form::Clear | Form::Masked(_) | Form::Hidden => None,
        }
    }

    /// How much this form shows beside another: less, as much, or more; `None` where neither shows all that the other
    /// does.
    pub(crate) fn shows_beside(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Form::Masked(mask), Form::Masked(other)) => mask.shows_beside(other),
            (Form::AggregateOnly { low, high, rule }, Form::AggregateOnly { low: l, high: h, rule: r }) => {
                let bounds = containing((in_order(low, l), in_order(l, low)), (in_order(h, high), in_order(high, h)));
                release_beside(rule, r).and_then(|release| both(release, bounds?))
            }
            (form, other) => Some(other.rank().cmp(&form.rank())),
        }
    }

    /// Whether two policies give a column one and the same form, arguments included.
    pub(crate) fn same(&self, other: &Self) -> bool {
        match (self, other) {
            (Form::Masked(a), Form::Masked(b)) => a == b,
            (Form::AggregateOnly { low, high, rule }, Form::AggregateOnly { low: l, high: h, rule: r }) => {
                low == l && high == h && same_release(rule, r)
            }
            (a, b) => a.rank() == b.rank(),
        }
    }
}

/// Whether two rules release the same groups.
pub(crate) fn same_release(a: &AggregateOnly, b: &AggregateOnly) -> bool {
    let groups = |rule: &AggregateOnly| rule.group_by.iter().cloned().collect::<BTreeSet<_>>();
    a.min_group == b.min_group && a.entity == b.entity && groups(a) == groups(b)
}

/// How much one release tells beside another of the same entities: of smaller groups, by more columns.
fn release_beside(a: &AggregateOnly, b: &AggregateOnly) -> Option<Ordering> {
    let groups = |rule: &AggregateOnly| rule.group_by.iter().cloned().collect::<BTreeSet<_>>();
    let (mine, others) = (groups(a), groups(b));
    let by = containing((mine.is_superset(&others), mine.is_subset(&others)), (true, true))?;
    if a.entity == b.entity { both(b.min_group.cmp(&a.min_group), by) } else { None }
}

/// How a thing of two parts compares, each of which may hold the other's and be held by it.
fn containing(first: (bool, bool), second: (bool, bool)) -> Option<Ordering> {
    match (first.0 && second.0, first.1 && second.1) {
        (true, true) => Some(Ordering::Equal),
        (true, false) => Some(Ordering::Greater),
        (false, true) => Some(Ordering::Less),
        (false, false) => None,
    }
}

/// Two comparisons as one; `None` where they go apart.
fn both(a: Ordering, b: Ordering) -> Option<Ordering> {
    if a.is_eq() || a == b {
        Some(b)
    } else if b.is_eq() {
        Some(a)
    } else {
        None
    }
}

/// The columns that a policy is about; `None` for a row filter.
pub(crate) fn columns_of(policy: &Policy) -> Option<&Columns> {
    match &policy.rule {
        Rule::Mask(_, columns) | Rule::AggregateOnly(_, columns) => Some(columns),
        Rule::RowFilter(_) => None,
    }
}

/// A column and its form.
#[derive(Debug)]
pub(crate) struct ColumnForm<'a> {
    /// The column.
    pub(crate) name: &'a str,
    /// Its form.
    pub(crate) form: Form<'a>,
    /// The policies that gave it this form.
    pub(crate) policies: Vec<&'a str>,
}

/// The table asked about.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Table<'q, 'a> {
    /// The question.
    pub(crate) question: &'q Question<'a>,
    /// Its tags.
    pub(crate) tags: &'q Tags<'a>,
    /// The columns that the grant covers.
    pub(crate) known: &'q BTreeSet<&'a str>,
}

/// The form of every column of the table, in its order.
pub(super) fn treat<'a>(
    about: &[&'a Policy],
    asker: &Asker<'_>,
    table: &Table<'_, 'a>,
) -> Result<Vec<ColumnForm<'a>>, Denial> {
    let named: Vec<&'a Policy> = about.iter().copied().filter(|policy| asker.is_named_by(&policy.audience)).collect();
    let names = table.question.schema.fields().iter().map(|field| field.name().as_str());
    let mut columns = names.map(|name| treat_column(&named, table, name)).collect::<Result<Vec<_>, _>>()?;
    hide_where_releases_differ(&mut columns);
    Ok(columns)
}

fn treat_column<'a>(named: &[&'a Policy], table: &Table<'_, 'a>, name: &'a str) -> Result<ColumnForm<'a>, Denial> {
    if !table.known.contains(name) && !named.iter().any(|policy| takes_by_tag(policy, table.tags, name)) {
        return Ok(ColumnForm { name, form: Form::Hidden, policies: vec![] });
    }
    let mut said = vec![];
    for policy in named {
        if columns_of(policy).is_some_and(|columns| table.tags.selects(columns, name)) {
            said.extend(Form::by(policy, name)?.map(|form| (policy.name.as_str(), form)));
        }
    }
    Ok(strictest(name, said))
}

/// Whether a policy is about a column because the column was tagged: then it need not have been there before.
pub(crate) fn takes_by_tag(policy: &Policy, tags: &Tags<'_>, column: &str) -> bool {
    columns_of(policy).is_some_and(|columns| tags.selects_by_its_own(columns, column))
}

/// The strictest of the forms; hidden, if two of them are equally strict and not the same.
fn strictest<'a>(name: &'a str, mut said: Vec<(&'a str, Form<'a>)>) -> ColumnForm<'a> {
    let Some(rank) = said.iter().map(|(_, form)| form.rank()).max() else {
        return ColumnForm { name, form: Form::Clear, policies: vec![] };
    };
    said.retain(|(_, form)| form.rank() == rank);
    let form = match said.split_first() {
        Some(((_, first), others)) if others.iter().all(|(_, other)| other.same(first)) => *first,
        _ => Form::Hidden,
    };
    ColumnForm { name, form, policies: said.into_iter().map(|(policy, _)| policy).collect() }
}

/// A table has one release for one subject; columns whose policies ask for several are hidden.
fn hide_where_releases_differ(columns: &mut [ColumnForm<'_>]) {
    let rules: Vec<&AggregateOnly> = columns.iter().filter_map(|column| column.form.aggregate_only()).collect();
    if rules.windows(2).all(|pair| matches!(pair, [a, b] if same_release(a, b))) {
        return;
    }
    for column in columns.iter_mut().filter(|column| column.form.aggregate_only().is_some()) {
        column.form = Form::Hidden;
    }
}

impl fmt::Display for Form<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Form::Clear => write!(f, "clear"),
            Form::Hidden => write!(f, "hidden"),
            Form::Masked(mask) => write!(f, "{mask}"),
            Form::AggregateOnly { low, high, rule } => {
                let groups = rule.group_by.join(", ");
                write!(f, "aggregate only ({low} to {high}, at least {} of {}", rule.min_group, rule.entity)?;
                write!(f, "{}{groups})", if groups.is_empty() { "" } else { ", by " })
            }
        }
    }
}

impl fmt::Display for Treatment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Treatment::Clear => write!(f, "clear"),
            Treatment::Masked(mask) => write!(f, "{mask}"),
            Treatment::AggregateOnly { low, high } => write!(f, "aggregate only ({low} to {high})"),
            Treatment::Hidden => write!(f, "hidden"),
        }
    }
}
