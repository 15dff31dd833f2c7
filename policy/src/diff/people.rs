//! For whom two sets of policies are compared.

use std::collections::BTreeSet;

use crate::set::PolicySet;
use crate::statement::{Party, Right};
use crate::subject::Subject;

/// Somebody to compare for.
pub(super) struct Somebody {
    /// Who, in words.
    pub(super) name: String,
    /// As a subject.
    pub(super) subject: Subject,
    /// Those whose differences are this one's too.
    pub(super) parts: Vec<String>,
}

const ANYBODY: &str = "anybody";

/// Nobody in particular, then every party, then every pair of roles.
pub(super) fn everybody(sets: [&PolicySet; 2]) -> Vec<Somebody> {
    let purposes: BTreeSet<String> = sets.iter().flat_map(|set| set.purposes.keys().cloned()).collect();
    let nobody = Subject { purposes, ..Subject::default() };
    let mut people = vec![Somebody { name: ANYBODY.to_owned(), subject: nobody.clone(), parts: vec![] }];
    let parties: BTreeSet<&Party> = sets.iter().flat_map(|set| parties(set)).collect();
    people.extend(parties.iter().filter_map(|party| member(party, &nobody)));
    let roles: Vec<&String> = parties.iter().filter_map(|party| role(party)).collect();
    for (index, first) in roles.iter().enumerate() {
        for second in roles.iter().skip(index + 1) {
            let pair = BTreeSet::from([(*first).clone(), (*second).clone()]);
            people.push(Somebody {
                name: format!("roles {first} and {second} together"),
                subject: Subject { roles: pair, ..nobody.clone() },
                parts: vec![ANYBODY.to_owned(), format!("role {first}"), format!("role {second}")],
            });
        }
    }
    people
}

fn role(party: &Party) -> Option<&String> {
    match party {
        Party::Role(role) => Some(role),
        Party::All | Party::Organisation(_) | Party::User(_) => None,
    }
}

fn member(party: &Party, nobody: &Subject) -> Option<Somebody> {
    let subject = nobody.clone();
    let (name, subject) = match party {
        Party::All => return None,
        Party::Role(role) => (format!("role {role}"), Subject { roles: BTreeSet::from([role.clone()]), ..subject }),
        Party::Organisation(of) => {
            (format!("organisation {of}"), Subject { organisation: Some(of.clone()), ..subject })
        }
        Party::User(user) => (format!("user {user}"), Subject { name: user.clone(), ..subject }),
    };
    Some(Somebody { name, subject, parts: vec![ANYBODY.to_owned()] })
}

fn parties(set: &PolicySet) -> impl Iterator<Item = &Party> {
    let granted = set.grants.values().filter_map(|record| match &record.grant.right {
        Right::Select { to, .. } => Some(to),
        Right::Join { .. } => None,
    });
    let audiences = set.policies.values().map(|record| &record.policy.audience);
    granted.flatten().chain(audiences.flat_map(|audience| audience.to.iter().chain(&audience.except)))
}
