//! Which grants permit a question. Nothing is granted by default.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use arrow::datatypes::Schema;

use super::Question;
use super::audience::{Asker, purposes_of};
use super::tags::{NEVER_OPEN, Tags};
use crate::decision::{Denial, GrantedBy, KeyLeave};
use crate::resource::TableName;
use crate::set::{GrantRecord, PolicySet};
use crate::statement::{Grant, Mode, Right};
use crate::time::Instant;

/// What the grants permit.
#[derive(Debug)]
pub(super) struct Granted<'a> {
    /// The grant that the decision rests on.
    pub(super) by: GrantedBy,
    /// The columns that were there when the grant was made, or were accepted since.
    pub(super) known: BTreeSet<&'a str>,
}

/// What the grants permit. Of several that match the decision rests on one alone, with its columns, its end and its
/// caps, so that nothing is seen beyond what one grant confers: on the one that covers most columns of the table, then
/// on one without caps before one with, then on the one that ends last, then on the first by id.
pub(super) fn granted<'a>(
    set: &'a PolicySet,
    question: &Question<'a>,
    purposes: &[&str],
    tags: &Tags<'_>,
) -> Result<Granted<'a>, Denial> {
    let asker = Asker { subject: question.subject, purposes };
    let matching = set.grants.iter().filter(|(_, record)| permits(&record.grant, question, &asker, tags));
    let candidates = matching.map(|(id, record)| (id, record, known(set, question.table, record)));
    let widest =
        candidates.min_by_key(|(id, record, known)| preference(id, &record.grant, covered(known, question.schema)));
    let Some((id, record, known)) = widest else {
        return Err(why_none(set, question, &asker));
    };
    let by = GrantedBy {
        id: id.clone(),
        until: [record.grant.to, set.valid_until].into_iter().flatten().min(),
        rows_per_day: record.grant.rows_per_day,
        bytes_per_day: record.grant.bytes_per_day,
    };
    Ok(Granted { by, known })
}

/// The sites to which sets of the table's keys may go for this purpose, at this time; by column and site one leave, the widest.
pub(super) fn key_leaves(set: &PolicySet, question: &Question<'_>) -> Result<Vec<KeyLeave>, Denial> {
    let purposes = purposes_of(set, question)?;
    let asker = Asker { subject: question.subject, purposes: &purposes };
    let grants = set.grants.iter().map(|(id, record)| (id, &record.grant));
    let in_force = grants
        .filter(|(_, grant)| grant.purpose.is_some() && fits_purpose(grant, &asker) && is_valid(grant, question.now));
    let mut leaves: Vec<KeyLeave> = in_force.flat_map(|(id, grant)| leaves(id, &grant.right, question.table)).collect();
    leaves.sort();
    leaves.dedup_by(|later, earlier| (&later.column, &later.site) == (&earlier.column, &earlier.site));
    Ok(leaves)
}

fn leaves(id: &str, right: &Right, about: &TableName) -> Vec<KeyLeave> {
    let Right::Join { table, columns, site, min_set } = right else { return vec![] };
    let leave = |column: &String| KeyLeave {
        column: column.clone(),
        site: site.clone(),
        min_set: *min_set,
        grant: id.to_owned(),
    };
    columns.iter().filter(|_| table == about).map(leave).collect()
}

fn is_valid(grant: &Grant, now: Instant) -> bool {
    grant.from.is_none_or(|from| from <= now) && grant.to.is_none_or(|to| now < to)
}

fn why_none(set: &PolicySet, question: &Question<'_>, asker: &Asker<'_>) -> Denial {
    let operated = |record: &GrantRecord| {
        record.grant.mode == Mode::Operated && !asker.purposes.is_empty() && covers(&record.grant, question, asker)
    };
    match set.grants.iter().find(|(_, record)| operated(record)) {
        Some((id, _)) => Denial::Operated(id.clone()),
        None if question.purpose.is_some() => Denial::NoGrant,
        None => Denial::NoPurpose,
    }
}

fn permits(grant: &Grant, question: &Question<'_>, asker: &Asker<'_>, tags: &Tags<'_>) -> bool {
    covers(grant, question, asker) && mode_permits(grant.mode, asker, tags)
}

/// Whether a grant is about the question, whatever its mode confers.
fn covers(grant: &Grant, question: &Question<'_>, asker: &Asker<'_>) -> bool {
    let Right::Select { resource, to } = &grant.right else {
        return false;
    };
    resource.covers(question.table)
        && asker.is_any_of(to)
        && is_valid(grant, question.now)
        && fits_purpose(grant, asker)
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

/// Of grants that match one question, the one with the least of these is the one that it rests on.
type Preference<'a> = (Reverse<usize>, bool, Reverse<Instant>, &'a str);

fn preference<'a>(id: &'a str, grant: &Grant, covered: usize) -> Preference<'a> {
    (Reverse(covered), grant.is_capped(), Reverse(grant.to.unwrap_or(Instant(i64::MAX))), id)
}

/// Whether a question that both grants match rests on the first rather than on the second.
pub(crate) fn stands_before(
    set: &PolicySet,
    (table, schema): (&TableName, &Schema),
    first: (&str, &GrantRecord),
    second: (&str, &GrantRecord),
) -> bool {
    let preference = |(id, record): (&'_ str, &GrantRecord)| {
        let (covered, capped, end, id) = preference(id, &record.grant, covered(&known(set, table, record), schema));
        (covered, capped, end, id.to_owned())
    };
    preference(first) < preference(second)
}

/// How many of the table's columns these are.
fn covered(known: &BTreeSet<&str>, schema: &Schema) -> usize {
    schema.fields().iter().filter(|field| known.contains(field.name().as_str())).count()
}

/// The columns of a table that were there when the grant was made, or were accepted since.
pub(crate) fn known<'a>(set: &'a PolicySet, table: &TableName, record: &'a GrantRecord) -> BTreeSet<&'a str> {
    let then = record.columns.get(&table.to_string()).into_iter().flatten();
    let accepted = set.accepted.iter().filter(|(of, _)| of == table).map(|(_, column)| column);
    then.chain(accepted).map(String::as_str).collect()
}
