//! Comparing two sets of policies: who sees more, who sees less.

mod people;
mod world;

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::decide::columns::Form;
use crate::decide::rows::Rows;
use crate::decide::{Question, Settled, settle};
use crate::decision::GrantedBy;
use crate::predicate::Predicate;
use crate::resource::TableName;
use crate::set::{Catalog, PolicySet};
use crate::statement::Right;
use crate::statement::moment::written;
use crate::time::Instant;
use people::{Somebody, everybody, too_many};
use world::{Typed, World};

/// What two sets are compared over.
#[derive(Clone, Copy)]
pub struct Scope<'a> {
    /// The tables of the site. Without it (files only) the tables and columns are those that the statements name, each
    /// taken to be covered by the grants; `*` stands for the tables and columns that none names.
    pub catalog: Option<&'a dyn Catalog>,
    /// When.
    pub now: Instant,
}

impl fmt::Debug for Scope<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Scope {{ now: {:?} }}", self.now)
    }
}

/// One thing that somebody sees otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Who: a member of a party of the statements, or of two or three of them.
    pub who: String,
    /// For which purpose; `None` without one.
    pub purpose: Option<String>,
    /// Of which table.
    pub table: TableName,
    /// What of it.
    pub what: What,
    /// How it was.
    pub before: String,
    /// How it is.
    pub after: String,
    /// Whether that is more.
    pub direction: Direction,
    /// From when on, if not now already.
    pub from: Option<Instant>,
}

/// What is seen otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// A column.
    Column(String),
    /// Which rows there are.
    Rows,
    /// How long and how much: the end and the caps of the grant.
    Grant,
}

/// Whether more is seen than before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// More.
    More,
    /// Less.
    Less,
    /// Something else, and neither contains the other.
    Other,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Difference { who, table, before, after, .. } = self;
        let direction = match self.direction {
            Direction::More => "more",
            Direction::Less => "less",
            Direction::Other => "other",
        };
        let purpose = self.purpose.as_ref().map_or("without a purpose".to_owned(), |purpose| format!("for {purpose}"));
        let from = self.from.map_or("now".to_owned(), |from| format!("from {} on", written(from)));
        write!(f, "{direction}: {who} {purpose} {from} ")?;
        match &self.what {
            What::Column(column) => write!(f, "sees {table}.{column} {after} (was {before})"),
            What::Rows => write!(f, "sees rows of {table}: {after} (was {before})"),
            What::Grant => write!(f, "has {table} {after} (was {before})"),
        }
    }
}

/// What anybody, every member of a party of the two sets, and every member of two or three of them sees otherwise, for
/// every purpose, now and from each moment on at which a grant or all policies begin or end. What somebody shares with a
/// member of fewer parties, and what is so already, is told once.
pub fn diff(before: &PolicySet, after: &PolicySet, scope: &Scope<'_>) -> Vec<Difference> {
    let world = World::of([before, after], scope);
    let (before, after) = (&world.admit(before), &world.admit(after));
    let world = world.that_differs(before, after);
    let mut told: BTreeMap<String, Vec<Difference>> = BTreeMap::new();
    let mut all = vec![];
    for somebody in everybody([before, after], &world) {
        let differences = differences([before, after], &somebody, &world);
        let new =
            differences.iter().filter(|difference| !somebody.parts.iter().any(|part| tells(&told, part, difference)));
        all.extend(new.cloned());
        told.insert(somebody.name, differences);
    }
    all
}

/// The tables that differ and about which so many parties are named that [`diff`] puts only two of them together.
pub fn looked_at_less(before: &PolicySet, after: &PolicySet, scope: &Scope<'_>) -> Vec<TableName> {
    let world = World::of([before, after], scope).that_differs(before, after);
    world.tables.into_keys().filter(|table| too_many([before, after], table)).collect()
}

/// Whether it was told of a part already, as of the same moment or an earlier one.
fn tells(told: &BTreeMap<String, Vec<Difference>>, part: &str, difference: &Difference) -> bool {
    let same = |other: &Difference| {
        let (who, from) = (difference.who.clone(), difference.from);
        other.from <= from && Difference { who, from, ..other.clone() } == *difference
    };
    told.get(part).is_some_and(|told| told.iter().any(same))
}

fn differences(sets: [&PolicySet; 2], somebody: &Somebody, world: &World) -> Vec<Difference> {
    let known = sets.iter().flat_map(|set| set.purposes.keys()).map(String::as_str);
    let purposes: BTreeSet<Option<&str>> = known.map(Some).chain([None]).collect();
    let mut found = vec![];
    for purpose in purposes {
        for (table, schema) in world.tables.iter().filter(|(table, _)| somebody.tables.contains(*table)) {
            let question = Question { subject: &somebody.subject, purpose, table, schema, now: world.now };
            let difference = |(from, (what, before, after, direction))| Difference {
                who: somebody.name.clone(),
                purpose: purpose.map(str::to_owned),
                table: table.clone(),
                what,
                before,
                after,
                direction,
                from,
            };
            found.extend(over_time(sets, &question, world).into_iter().map(difference));
        }
    }
    found
}

/// What is seen otherwise now, and what is from later moments on that is not so already.
fn over_time(sets: [&PolicySet; 2], question: &Question<'_>, world: &World) -> Vec<(Option<Instant>, Change)> {
    let later = moments(sets, question).into_iter().map(|moment| (Some(moment), moment));
    let mut found: Vec<(Option<Instant>, Change)> = vec![];
    let mut ends = None;
    for (from, now) in std::iter::once((None, question.now)).chain(later) {
        let question = Question { now, ..*question };
        let [before, after] = sets.map(|set| seen(set, &question, world));
        if let (Some(before), Some(after)) = (&before, &after) {
            ends = Some([before.grant.until, after.grant.until]);
        } else if is_told_end(ends, [before.is_some(), after.is_some()], now) {
            continue;
        }
        let changes = changes(before.as_ref(), after.as_ref());
        let new = changes.into_iter().filter(|change| found.iter().all(|(_, known)| known != change));
        found.extend(new.map(|change| (from, change)).collect::<Vec<_>>());
    }
    found
}

/// Whether one of two grants that end at different times, which was told, is over.
fn is_told_end(ends: Option<[Option<Instant>; 2]>, [before, after]: [bool; 2], now: Instant) -> bool {
    let over = |end: Option<Instant>| end.is_some_and(|end| end <= now);
    ends.is_some_and(|[old, new]| match (before, after) {
        (true, false) => over(new),
        (false, true) => over(old),
        _ => false,
    })
}

/// The moments after now at which what the sets permit of a table may change.
fn moments(sets: [&PolicySet; 2], question: &Question<'_>) -> BTreeSet<Instant> {
    let grants = sets.into_iter().flat_map(|set| set.grants.values()).map(|record| &record.grant);
    let about = grants.filter(|grant| match &grant.right {
        Right::Select { resource, .. } => resource.covers(question.table),
        Right::Join { .. } => false,
    });
    let ends = about.flat_map(|grant| [grant.from, grant.to]).chain(sets.map(|set| set.valid_until));
    ends.flatten().filter(|moment| *moment > question.now).collect()
}

/// What is seen of the table; `None` for nothing.
fn seen<'a>(set: &'a PolicySet, question: &Question<'a>, world: &World) -> Option<Settled<'a>> {
    let settled = settle(set, question).ok()?;
    if world.typed == Typed::Yes {
        settled.still_fits(set, question).ok()?;
        settled.typed_columns(question.schema).ok()?;
        settled.release(question.schema).ok()?;
    }
    Some(settled)
}

type Change = (What, String, String, Direction);

fn changes(before: Option<&Settled<'_>>, after: Option<&Settled<'_>>) -> Vec<Change> {
    let rows = |seen: Option<&Settled<'_>>| seen.map_or("none".to_owned(), |seen| seen.rows.to_string());
    let mut changes = vec![];
    if let Some(direction) = direction(compare_rows(before.map(|seen| &seen.rows), after.map(|seen| &seen.rows))) {
        changes.push((What::Rows, rows(before), rows(after), direction));
    }
    let columns = before.or(after).map(|seen| seen.columns.iter()).into_iter().flatten();
    changes.extend(columns.enumerate().filter_map(|(index, column)| {
        let (was, is) = (form(before, index), form(after, index));
        let direction = direction(is.shows_beside(&was)).unwrap_or(Direction::Other);
        let (was, is) = (was.to_string(), is.to_string());
        (was != is).then(|| (What::Column(column.name.to_owned()), was, is, direction))
    }));
    if let (Some(before), Some(after)) = (before, after) {
        changes.extend(grant_change(&before.grant, &after.grant));
    }
    changes
}

/// The form in which the column of this number is seen.
fn form<'a>(seen: Option<&Settled<'a>>, index: usize) -> Form<'a> {
    seen.and_then(|seen| seen.columns.get(index)).map_or(Form::Hidden, |column| column.form)
}

/// The direction of a change by how the new compares with the old; `None` when they are equal.
fn direction(new_to_old: Option<Ordering>) -> Option<Direction> {
    match new_to_old {
        Some(Ordering::Equal) => None,
        Some(Ordering::Greater) => Some(Direction::More),
        Some(Ordering::Less) => Some(Direction::Less),
        None => Some(Direction::Other),
    }
}

/// How the rows after compare with those before; `None` when neither contains the other, as far as can be told from the
/// filters as written: more filters, fewer rows.
fn compare_rows(before: Option<&Rows<'_>>, after: Option<&Rows<'_>>) -> Option<Ordering> {
    match (filters(before), filters(after)) {
        (None, None) => Some(Ordering::Equal),
        (None, Some(_)) => Some(Ordering::Greater),
        (Some(_), None) => Some(Ordering::Less),
        (Some(before), Some(after)) => {
            let kept = before.iter().all(|filter| after.contains(filter));
            let new = !after.iter().all(|filter| before.contains(filter));
            match (kept, new) {
                (true, false) => Some(Ordering::Equal),
                (true, true) => Some(Ordering::Less),
                (false, false) => Some(Ordering::Greater),
                (false, true) => None,
            }
        }
    }
}

/// The filters that a row must pass; `None` when no row is there.
fn filters<'a>(rows: Option<&Rows<'a>>) -> Option<Vec<&'a Predicate>> {
    match rows? {
        Rows::All => Some(vec![]),
        Rows::None(_) => None,
        Rows::Filtered(filters) => Some(filters.iter().map(|(_, filter)| *filter).collect()),
    }
}

fn grant_change(before: &GrantedBy, after: &GrantedBy) -> Option<Change> {
    let limits = |grant: &GrantedBy| {
        let until = grant.until.map_or(i128::MAX, |until| until.0.into());
        [until, grant.rows_per_day.map_or(i128::MAX, i128::from), grant.bytes_per_day.map_or(i128::MAX, i128::from)]
    };
    let compared: BTreeSet<Ordering> =
        limits(after).iter().zip(&limits(before)).map(|(new, old)| new.cmp(old)).collect();
    let (more, less) = (compared.contains(&Ordering::Greater), compared.contains(&Ordering::Less));
    let direction = match (more, less) {
        (false, false) => return None,
        (true, false) => Direction::More,
        (false, true) => Direction::Less,
        (true, true) => Direction::Other,
    };
    Some((What::Grant, before.limits(), after.limits(), direction))
}
