//! Which grants permit a question. Nothing is granted by default.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use super::Question;
use super::audience::Asker;
use super::tags::Tags;
use crate::decision::{Denial, GrantedBy};
use crate::set::{GrantRecord, PolicySet};
use crate::statement::{Grant, Mode, Right};
use crate::time::Instant;

/// A table with a column tagged so is not open to everyone, whatever a grant says.
const NEVER_OPEN: [&str; 3] = ["personal", "trade_secret", "state_secret"];

/// What the grants permit.
#[derive(Debug)]
pub(super) struct Granted<'a> {
    /// The grant that the decision rests on.
    pub(super) by: GrantedBy,
    /// The columns that were there when one of the grants was made, or were accepted since.
    pub(super) known: BTreeSet<&'a str>,
}

/// What the grants permit. Of several that match the decision rests on one without caps before one with, then on the
/// one that ends last, then on the first by id.
pub(super) fn granted<'a>(
    set: &'a PolicySet,
    question: &Question<'a>,
    purposes: &[&str],
    tags: &Tags<'_>,
) -> Result<Granted<'a>, Denial> {
    let asker = Asker { subject: question.subject, purposes };
    let matching = set.grants.iter().filter(|(_, record)| permits(&record.grant, question, &asker, tags));
    let matching: Vec<(&String, &GrantRecord)> = matching.collect();
    let Some((id, record)) = matching.iter().min_by_key(|(id, record)| preference(id, &record.grant)) else {
        return Err(if question.purpose.is_some() { Denial::NoGrant } else { Denial::NoPurpose });
    };
    let by = GrantedBy {
        id: (*id).clone(),
        until: [record.grant.to, set.valid_until].into_iter().flatten().min(),
        rows_per_day: record.grant.rows_per_day,
        bytes_per_day: record.grant.bytes_per_day,
    };
    Ok(Granted { by, known: known(set, question, &matching) })
}

fn permits(grant: &Grant, question: &Question<'_>, asker: &Asker<'_>, tags: &Tags<'_>) -> bool {
    let Right::Select { resource, to } = &grant.right else {
        return false;
    };
    resource.covers(question.table)
        && asker.is_any_of(to)
        && grant.from.is_none_or(|from| from <= question.now)
        && grant.to.is_none_or(|to| question.now < to)
        && fits_purpose(grant, asker)
        && mode_permits(grant.mode, asker, tags)
}

fn fits_purpose(grant: &Grant, asker: &Asker<'_>) -> bool {
    grant.purpose.as_deref().is_none_or(|purpose| asker.purposes.contains(&purpose))
}

fn mode_permits(mode: Mode, asker: &Asker<'_>, tags: &Tags<'_>) -> bool {
    match mode {
        Mode::Shared => !asker.purposes.is_empty(),
        Mode::Open => !tags.has_any_value(&NEVER_OPEN),
        Mode::Operated => false,
    }
}

fn preference<'a>(id: &'a str, grant: &Grant) -> (bool, Reverse<Instant>, &'a str) {
    let capped = grant.rows_per_day.is_some() || grant.bytes_per_day.is_some();
    (capped, Reverse(grant.to.unwrap_or(Instant(i64::MAX))), id)
}

fn known<'a>(
    set: &'a PolicySet,
    question: &Question<'a>,
    matching: &[(&'a String, &'a GrantRecord)],
) -> BTreeSet<&'a str> {
    let key = question.table.to_string();
    let then = matching.iter().filter_map(|(_, record)| record.columns.get(&key)).flatten();
    let accepted = set.accepted.iter().filter(|(table, _)| table == question.table).map(|(_, column)| column);
    then.chain(accepted).map(String::as_str).collect()
}
