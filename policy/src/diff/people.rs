//! For whom two sets of policies are compared.

use std::collections::{BTreeMap, BTreeSet};

use super::world::World;
use crate::resource::TableName;
use crate::set::PolicySet;
use crate::statement::{Party, Right};
use crate::subject::Subject;

/// Somebody to compare for.
pub(super) struct Somebody {
    /// Who, in words.
    pub(super) name: String,
    /// As a subject.
    pub(super) subject: Subject,
    /// The tables whose statements name all the parties that this one belongs to; of the others they see what some of
    /// the parties see.
    pub(super) tables: BTreeSet<TableName>,
    /// Those whose differences are this one's too.
    pub(super) parts: Vec<String>,
}

const ANYBODY: &str = "anybody";
/// Statements meet in somebody who belongs to at most so many parties: one that a grant names, one that a policy names,
/// one that it excepts.
const PARTIES_MAX: usize = 3;
/// Of a table whose statements name more parties, no three of them are put together.
const PARTIES_OF_A_TABLE_MAX: usize = 24;

/// The parties of somebody.
type Members<'a> = Vec<&'a Party>;

/// Nobody in particular, then members of each party, of two, and of three, as far as statements about one table of the
/// world name them together.
pub(super) fn everybody(sets: [&PolicySet; 2], world: &World) -> Vec<Somebody> {
    let purposes: BTreeSet<String> = sets.iter().flat_map(|set| set.purposes.keys().cloned()).collect();
    let nobody = Subject { purposes, ..Subject::default() };
    let mut tables: BTreeMap<(usize, Members<'_>), BTreeSet<TableName>> = BTreeMap::new();
    for table in world.tables.keys() {
        for members in combinations(&parties(sets, table)) {
            tables.entry((members.len(), members)).or_default().insert(table.clone());
        }
    }
    tables.into_iter().map(|((_, members), tables)| member_of(&members, tables, &nobody)).collect()
}

/// Of a table with so many parties, that three of them may see more together is not looked at.
pub(super) fn too_many(sets: [&PolicySet; 2], table: &TableName) -> bool {
    parties(sets, table).len() > PARTIES_OF_A_TABLE_MAX
}

/// None, each, and every two and three that one subject could belong to.
fn combinations<'a>(parties: &BTreeSet<&'a Party>) -> Vec<Members<'a>> {
    let most = if parties.len() > PARTIES_OF_A_TABLE_MAX { PARTIES_MAX - 1 } else { PARTIES_MAX };
    let (mut all, mut last) = (vec![vec![]], vec![vec![]]);
    for _ in 0..most {
        last = last.iter().flat_map(|members| extended(members, parties)).collect();
        all.extend(last.iter().cloned());
    }
    all
}

/// The members with each later party that a subject could belong to as well.
fn extended<'a>(members: &Members<'a>, parties: &BTreeSet<&'a Party>) -> Vec<Members<'a>> {
    let later = parties.iter().filter(|party| members.last().is_none_or(|last| last < *party));
    let fits = later.filter(|party| members.iter().all(|member| compatible(member, party)));
    fits.map(|party| members.iter().copied().chain([*party]).collect()).collect()
}

fn compatible(a: &Party, b: &Party) -> bool {
    !matches!((a, b), (Party::User(_), Party::User(_)) | (Party::Organisation(_), Party::Organisation(_)))
}

fn member_of(members: &[&Party], tables: BTreeSet<TableName>, nobody: &Subject) -> Somebody {
    let mut subject = nobody.clone();
    for party in members {
        match party {
            Party::All => {}
            Party::Role(role) => drop(subject.roles.insert(role.clone())),
            Party::Organisation(of) => subject.organisation = Some(of.clone()),
            Party::User(user) => subject.name.clone_from(user),
        }
    }
    Somebody { name: name(members), subject, tables, parts: parts(members) }
}

/// `role a`; `roles a, b and c together`; `role a and user u together`.
fn name(members: &[&Party]) -> String {
    let word = |party: &Party| match party {
        Party::All => ANYBODY.to_owned(),
        Party::Role(role) => format!("role {role}"),
        Party::Organisation(of) => format!("organisation {of}"),
        Party::User(user) => format!("user {user}"),
    };
    let words: Vec<String> = members.iter().map(|party| word(party)).collect();
    let roles: Option<Vec<&str>> = words.iter().map(|word| word.strip_prefix("role ")).collect();
    match (words.as_slice(), roles) {
        ([], _) => ANYBODY.to_owned(),
        ([only], _) => only.clone(),
        (_, Some(roles)) => format!("roles {} together", listed(&roles)),
        (words, None) => format!("{} together", listed(words)),
    }
}

/// `a, b and c`
fn listed<T: AsRef<str>>(words: &[T]) -> String {
    let words: Vec<&str> = words.iter().map(AsRef::as_ref).collect();
    match words.split_last() {
        Some((last, [])) => (*last).to_owned(),
        Some((last, others)) => format!("{} and {last}", others.join(", ")),
        None => String::new(),
    }
}

/// The names of those who belong to some of the parties, and not to all.
fn parts(members: &[&Party]) -> Vec<String> {
    let all: BTreeSet<&Party> = members.iter().copied().collect();
    let fewer = combinations(&all).into_iter().filter(|some| some.len() < members.len());
    fewer.map(|some| name(&some)).collect()
}

/// The parties that statements about a table name.
fn parties<'a>(sets: [&'a PolicySet; 2], table: &TableName) -> BTreeSet<&'a Party> {
    let granted = sets.into_iter().flat_map(|set| set.grants.values()).filter_map(|record| match &record.grant.right {
        Right::Select { resource, to } if resource.covers(table) => Some(to),
        Right::Select { .. } | Right::Join { .. } => None,
    });
    let policies = sets.into_iter().flat_map(|set| set.policies.values()).map(|record| &record.policy);
    let about = policies.filter(|policy| policy.resource.covers(table)).map(|policy| &policy.audience);
    let named = granted.flatten().chain(about.flat_map(|audience| audience.to.iter().chain(&audience.except)));
    named.filter(|party| **party != Party::All).collect()
}
