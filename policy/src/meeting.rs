//! Where treatments meet that are equally strict and not the same: refused when written, hidden when tags or roles make
//! them meet later, and listed here for whoever reviews policies.

use std::collections::BTreeSet;
use std::fmt;

use crate::decide::audience::{overlap, resources_overlap, shared_members};
use crate::decide::columns::{Form, columns_of, same_release};
use crate::decide::tags::Tags;
use crate::resource::{Resource, TableName};
use crate::set::{Catalog, PolicySet};
use crate::statement::{AggregateOnly, Columns, Party, Policy, Rule};

/// Two policies that may meet on a column, which is hidden from a subject for whom they do.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Meeting {
    /// The table.
    pub table: TableName,
    /// The column; with aggregate-only policies of different release, one of theirs.
    pub column: String,
    /// One policy by name, and the form that it gives.
    pub first: (String, String),
    /// The other, and the form that it gives.
    pub second: (String, String),
    /// What makes them meet.
    pub through: Through,
}

/// What makes two policies meet on a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Through {
    /// Both name the column.
    Names,
    /// At least one of them takes the column by its tags.
    Tags,
    /// They are for different parties, and one subject may belong to both.
    Roles,
    /// They are about different columns of one table, which can have one release only.
    Release,
}

impl fmt::Display for Meeting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Meeting { table, column, first, second, through } = self;
        let why = match through {
            Through::Names => "both name it",
            Through::Tags => "by its tags",
            Through::Roles => "for a subject who belongs to both audiences",
            Through::Release => "a table has one release",
        };
        write!(f, "{table}.{column}: policy `{}` makes it {}, policy `{}` makes it ", first.0, first.1, second.0)?;
        write!(f, "{} ({why}); where they meet the column is hidden", second.1)
    }
}

/// Every pair of policies whose treatments may meet, on the columns that there are and with the tags that they have.
pub fn meetings(set: &PolicySet, catalog: &dyn Catalog) -> Vec<Meeting> {
    let policies: Vec<&Policy> = set.policies.values().map(|record| &record.policy).collect();
    let mut found = vec![];
    for (index, first) in policies.iter().enumerate() {
        for second in policies.iter().skip(index + 1) {
            let pair = Pair { first, second };
            if pair.may_share_a_subject(set) {
                found.extend(pair.tables(catalog).iter().flat_map(|table| pair.meetings_on(set, table, catalog)));
            }
        }
    }
    found.sort();
    found
}

/// Why a policy cannot be written beside those in force: one of them names the same column, for an audience that
/// overlaps, and gives it another form of the same strictness.
pub fn conflicts(set: &PolicySet, policy: &Policy) -> Vec<String> {
    let others = set.policies.values().map(|record| &record.policy).filter(|other| other.name != policy.name);
    others.flat_map(|other| conflicts_between(set, policy, other)).collect()
}

fn conflicts_between(set: &PolicySet, policy: &Policy, other: &Policy) -> Vec<String> {
    let (Some(Columns::Named(ours)), Some(Columns::Named(theirs))) = (columns_of(policy), columns_of(other)) else {
        return vec![];
    };
    if !resources_overlap(&policy.resource, &other.resource) || !overlap(set, &policy.audience, &other.audience) {
        return vec![];
    }
    let shared: BTreeSet<&String> = ours.iter().filter(|column| theirs.contains(column)).collect();
    let refusal = |column: &&String| {
        let (new, old) = differing(policy, other, column)?;
        Some(format!(
            "policy `{}` already makes column `{column}` {old} for subjects whom this policy is about, and {new} is as \
             strict; give one form to one audience (EXCEPT, FOR PURPOSE), or drop `{}`",
            other.name, other.name
        ))
    };
    shared.iter().filter_map(refusal).collect()
}

/// The forms that two policies give a column, if they are equally strict and not the same.
fn differing(first: &Policy, second: &Policy, column: &str) -> Option<(String, String)> {
    let a = Form::by(first, column).ok().flatten()?;
    let b = Form::by(second, column).ok().flatten()?;
    (a.rank() == b.rank() && !a.same(&b)).then(|| (a.to_string(), b.to_string()))
}

/// Two policies.
struct Pair<'a> {
    first: &'a Policy,
    second: &'a Policy,
}

impl Pair<'_> {
    fn may_share_a_subject(&self, set: &PolicySet) -> bool {
        resources_overlap(&self.first.resource, &self.second.resource)
            && overlap(set, &self.first.audience, &self.second.audience)
    }

    /// Whether only a subject that belongs to two different parties has both policies.
    fn only_by_roles(&self) -> bool {
        let one_party = |(a, b): (&Party, &Party)| a == b || *a == Party::All || *b == Party::All;
        !shared_members(&self.first.audience, &self.second.audience).into_iter().any(one_party)
    }

    fn tables(&self, catalog: &dyn Catalog) -> Vec<TableName> {
        match (&self.first.resource, &self.second.resource) {
            (Resource::Table(table), _) | (_, Resource::Table(table)) => vec![table.clone()],
            (Resource::Schema(source), Resource::Schema(_)) => catalog.tables(source),
        }
    }

    fn meetings_on(&self, set: &PolicySet, table: &TableName, catalog: &dyn Catalog) -> Vec<Meeting> {
        let (Some(ours), Some(theirs)) = (columns_of(self.first), columns_of(self.second)) else {
            return vec![];
        };
        let (Some(schema), Ok(tags)) = (catalog.schema(table), Tags::of(set, table)) else {
            return vec![];
        };
        let names = schema.fields().iter().map(|field| field.name().as_str());
        let (first, second) = (|name: &&str| tags.selects(ours, name), |name: &&str| tags.selects(theirs, name));
        let (both, either): (Vec<&str>, Vec<&str>) =
            names.filter(|name| first(name) || second(name)).partition(|name| first(name) && second(name));
        let meet = |column: &&str| {
            let forms = differing(self.first, self.second, column)?;
            Some(self.meeting(table, column, forms, self.through(ours, theirs)))
        };
        let mut found: Vec<Meeting> = both.iter().filter_map(meet).collect();
        if either.iter().any(first) && either.iter().any(second) {
            found.extend(either.first().and_then(|column| self.releases_differ(table, column)));
        }
        found
    }

    /// Aggregate-only policies about different columns of one table, which ask for different releases.
    fn releases_differ(&self, table: &TableName, column: &str) -> Option<Meeting> {
        let (Rule::AggregateOnly(a, _), Rule::AggregateOnly(b, _)) = (&self.first.rule, &self.second.rule) else {
            return None;
        };
        let release = |rule: &AggregateOnly| format!("aggregate only, at least {} of {}", rule.min_group, rule.entity);
        let meeting = self.meeting(table, column, (release(a), release(b)), Through::Release);
        (!same_release(a, b)).then_some(meeting)
    }

    fn through(&self, ours: &Columns, theirs: &Columns) -> Through {
        match (ours, theirs) {
            _ if self.only_by_roles() => Through::Roles,
            (Columns::Named(_), Columns::Named(_)) => Through::Names,
            _ => Through::Tags,
        }
    }

    fn meeting(&self, table: &TableName, column: &str, forms: (String, String), through: Through) -> Meeting {
        Meeting {
            table: table.clone(),
            column: column.to_owned(),
            first: (self.first.name.clone(), forms.0),
            second: (self.second.name.clone(), forms.1),
            through,
        }
    }
}
