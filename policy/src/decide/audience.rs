//! Whom a statement is about: parties, exceptions, purposes and the purposes that they are parts of.

use super::Question;
use crate::decision::Denial;
use crate::resource::{Resource, TableName};
use crate::set::PolicySet;
use crate::statement::{Audience, Columns, Party, Policy, Rule};
use crate::subject::Subject;

/// Who asks, and the purposes that count for it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asker<'a> {
    /// Who asks.
    pub(crate) subject: &'a Subject,
    /// The purpose asked for and those that it is a part of; none without a purpose.
    pub(crate) purposes: &'a [&'a str],
}

impl Asker<'_> {
    /// Whether one of the parties is, or holds, the subject.
    pub(crate) fn is_any_of(&self, parties: &[Party]) -> bool {
        parties.iter().any(|party| match party {
            Party::All => true,
            Party::Role(role) => self.subject.roles.contains(role),
            Party::Organisation(name) => self.subject.organisation.as_ref() == Some(name),
            Party::User(name) => self.subject.name == *name,
        })
    }

    /// Whether a policy for this audience is about the subject's question.
    pub(crate) fn is_named_by(&self, audience: &Audience) -> bool {
        self.is_any_of(&audience.to) && !self.is_any_of(&audience.except) && self.asks_for(&audience.purposes)
    }

    /// Whether an audience would hold the subject if it did not except it. Of another purpose it says nothing: neither
    /// whom it names nor whom it frees.
    pub(crate) fn is_freed_by(&self, audience: &Audience) -> bool {
        self.is_any_of(&audience.to) && self.is_any_of(&audience.except) && self.asks_for(&audience.purposes)
    }

    fn asks_for(&self, purposes: &[String]) -> bool {
        purposes.is_empty() || purposes.iter().any(|purpose| self.purposes.contains(&purpose.as_str()))
    }
}

/// The purpose asked for and those that it is a part of, if the subject may choose it.
pub(super) fn purposes_of<'a>(set: &'a PolicySet, question: &Question<'a>) -> Result<Vec<&'a str>, Denial> {
    match question.purpose {
        None => Ok(vec![]),
        Some(purpose) if !question.subject.purposes.contains(purpose) => Err(Denial::Purpose(purpose.to_owned())),
        Some(purpose) => match lineage(set, purpose) {
            unknown if unknown.is_empty() => Err(Denial::Purpose(purpose.to_owned())),
            known => Ok(known),
        },
    }
}

/// A purpose and those that it is a part of, from the nearest; empty for one that the set does not know.
pub(crate) fn lineage<'a>(set: &'a PolicySet, purpose: &str) -> Vec<&'a str> {
    let mut line: Vec<&'a str> = vec![];
    let mut next = Some(purpose);
    while let Some((name, known)) = next.and_then(|name| set.purposes.get_key_value(name)) {
        if line.contains(&name.as_str()) {
            break;
        }
        line.push(name);
        next = known.under.as_deref();
    }
    line
}

/// The policies about a table, whomever they are for, if all of them can be understood.
pub(super) fn policies_about<'a>(set: &'a PolicySet, table: &TableName) -> Result<Vec<&'a Policy>, Denial> {
    let about = set.policies.values().map(|record| &record.policy).filter(|policy| policy.resource.covers(table));
    about.map(|policy| understood(set, policy)).collect()
}

/// A checked set names nothing unknown; a set that does denies.
fn understood<'a>(set: &PolicySet, policy: &'a Policy) -> Result<&'a Policy, Denial> {
    let unknown = |what: String| Denial::Policy { policy: policy.name.clone(), reason: format!("{what} is not known") };
    if let Some(purpose) = policy.audience.purposes.iter().find(|purpose| !set.purposes.contains_key(*purpose)) {
        return Err(unknown(format!("purpose `{purpose}`")));
    }
    match &policy.rule {
        Rule::Mask(_, Columns::Tagged { tag, value }) | Rule::AggregateOnly(_, Columns::Tagged { tag, value }) => {
            let values = set.tags.get(tag).ok_or_else(|| unknown(format!("tag `{tag}`")))?;
            match value {
                Some(value) if !values.contains(value) => Err(unknown(format!("value '{value}' of tag `{tag}`"))),
                _ => Ok(policy),
            }
        }
        Rule::Mask(_, Columns::Named(_)) | Rule::AggregateOnly(_, Columns::Named(_)) | Rule::RowFilter(_) => Ok(policy),
    }
}

/// Whether some subject could be in both audiences for one purpose. Roles and organisations say nothing about each other,
/// so a subject with both of two roles counts; one subject has one name and one organisation.
pub(crate) fn overlap(set: &PolicySet, a: &Audience, b: &Audience) -> bool {
    purposes_overlap(set, &a.purposes, &b.purposes) && !shared_members(a, b).is_empty()
}

/// The pairs of parties, one of each audience, that one subject could belong to without being excepted from either.
pub(crate) fn shared_members<'a>(a: &'a Audience, b: &'a Audience) -> Vec<(&'a Party, &'a Party)> {
    let pairs = a.to.iter().flat_map(|first| b.to.iter().map(move |second| (first, second)));
    // The subject with these two memberships and no more is the one that exceptions are least likely to name.
    let excepted = |party: &Party| a.except.contains(party) || b.except.contains(party);
    pairs
        .filter(|(first, second)| {
            compatible(first, second) && !excepted(&Party::All) && !excepted(first) && !excepted(second)
        })
        .collect()
}

fn compatible(a: &Party, b: &Party) -> bool {
    match (a, b) {
        (Party::User(first), Party::User(second)) => first == second,
        (Party::Organisation(first), Party::Organisation(second)) => first == second,
        _ => true,
    }
}

/// Purposes are a forest: one question has two purposes in its line only if one of them is a part of the other.
fn purposes_overlap(set: &PolicySet, a: &[String], b: &[String]) -> bool {
    let within = |part: &String, whole: &String| lineage(set, part).contains(&whole.as_str());
    let meet = |x: &String, y: &String| within(x, y) || within(y, x);
    a.is_empty() || b.is_empty() || a.iter().any(|x| b.iter().any(|y| meet(x, y)))
}

/// Whether some table could lie in both.
pub(crate) fn resources_overlap(a: &Resource, b: &Resource) -> bool {
    match (a, b) {
        (Resource::Schema(first), Resource::Schema(second)) => first == second,
        (resource, Resource::Table(table)) | (Resource::Table(table), resource) => resource.covers(table),
    }
}
