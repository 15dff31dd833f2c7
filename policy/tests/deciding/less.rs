//! What only takes away gives nobody anything: held against deciding on random worlds.

use std::cell::Cell as Count;
use std::collections::BTreeSet;

use arrow::datatypes::SchemaRef;
use policy::decide::{Question, decide};
use policy::decision::{Decision, Treatment};
use policy::resource::TableName;
use policy::set::{Catalog, Made, PolicySet};
use policy::statement::{Change, Grant};
use policy::time::Instant;
use proptest::prelude::any;
use proptest::sample::subsequence;
use proptest::test_runner::TestRunner;

use crate::fixture::{NOW, Site, analyst_sees, grant, residents, role, set};
use crate::world::{Case, case, schema};

/// The tables of the random worlds.
struct Tables;

impl Catalog for Tables {
    fn tables(&self, source: &str) -> Vec<TableName> {
        if source == "civil" {
            ["houses", "residents"].map(|name| TableName::new("civil", name)).to_vec()
        } else {
            vec![]
        }
    }

    fn schema(&self, table: &TableName) -> Option<SchemaRef> {
        (table.source == "civil").then(schema)
    }
}

fn revoke(id: &str) -> Change {
    Change::RevokeGrant { id: id.to_owned() }
}

fn after(set: &PolicySet, change: &Change, catalog: &dyn Catalog) -> PolicySet {
    let made = Made { author: "admin".to_owned(), at: Instant(0) };
    set.apply(change, &made, catalog).unwrap().set
}

/// Everything that may be taken from a set, one at a time.
fn takings(set: &PolicySet) -> Vec<Change> {
    let revoked = set.grants.keys().map(|id| revoke(id));
    let withdrawn = set.accepted.iter().map(|(table, column)| {
        let (table, column) = (table.clone(), column.clone());
        Change::WithdrawColumn { table, column }
    });
    revoked.chain(withdrawn).collect()
}

fn decided(case: &Case, set: &PolicySet, now: i64) -> Option<Decision> {
    let (subject, purpose, table, schema) = (&case.subject, case.purpose.as_deref(), &case.table, schema());
    decide(set, &Question { subject, purpose, table, schema: &schema, now: Instant(now) }).ok()
}

/// Whether the question has more by the set than before, or otherwise, at any time.
fn has_more(case: &Case, set: &PolicySet) -> bool {
    (0..13).any(|now| match (decided(case, &case.set, now), decided(case, set, now)) {
        (_, None) => false,
        (None, Some(_)) => true,
        (Some(before), Some(after)) => is_more(&before, &after),
    })
}

fn is_more(before: &Decision, after: &Decision) -> bool {
    let capped = before.grant.rows_per_day.is_some() || before.grant.bytes_per_day.is_some();
    let mut columns = before.columns.iter().zip(&after.columns);
    columns.any(|(was, is)| is.treatment != Treatment::Hidden && is.treatment != was.treatment)
        || after.row_filter != before.row_filter
        || (after.release.is_some() && after.release != before.release)
        || (after.grant.id != before.grant.id && capped)
}

#[test]
fn what_only_takes_away_gives_nobody_anything() {
    let (falls, gives, keeps) = (Count::new(0), Count::new(0), Count::new(0));
    let add = |count: &Count<u32>, one: bool| count.set(count.get() + u32::from(one));
    let outcome = TestRunner::new(super::cases(3_000)).run(&case(), |case| {
        for change in takings(&case.set) {
            let next = after(&case.set, &change, &Tables);
            let has_more = has_more(&case, &next);
            if case.set.only_takes_away(&change, Instant(0), &Tables) {
                proptest::prop_assert!(!has_more, "{change}");
                let grant = |set| decided(&case, set, 0).map(|decision| decision.grant.id);
                let (was, is) = (grant(&case.set), grant(&next));
                add(&falls, is.is_some() && was != is);
                add(&keeps, is.is_some() && was == is);
            } else {
                add(&gives, has_more);
            }
        }
        Ok(())
    });
    outcome.unwrap();
    assert!(falls.get() > 10, "only {falls:?} fell to another grant and had no more by it");
    assert!(gives.get() > 10, "only {gives:?} would have had more: the worlds say nothing");
    assert!(keeps.get() > 1_000, "only {keeps:?} kept what they had");
}

#[test]
fn of_grants_that_are_gone_those_stay_whose_loss_would_give_something() {
    let gone = (case(), subsequence(vec!["g-0", "g-1", "g-2", "g-3"], 0..=4), any::<bool>());
    let stay = Count::new(0);
    let outcome = TestRunner::new(super::cases(3_000)).run(&gone, |(case, gone, all)| {
        let every: BTreeSet<&str> = case.set.grants.keys().map(String::as_str).collect();
        let gone: BTreeSet<&str> = if all { every.clone() } else { gone.into_iter().collect() };
        let next = case.set.without(gone.clone(), Instant(0), &Tables);
        proptest::prop_assert!(!has_more(&case, &next));
        let left: BTreeSet<&str> = next.grants.keys().map(String::as_str).collect();
        proptest::prop_assert!(left.is_subset(&every) && every.difference(&gone).all(|id| left.contains(id)));
        proptest::prop_assert!(!all || left.is_empty(), "without any grant nobody falls to one");
        stay.set(stay.get() + u32::from(left.iter().any(|id| gone.contains(id))));
        Ok(())
    });
    outcome.unwrap();
    assert!(stay.get() > 100, "in only {stay:?} worlds did a grant have to stay");
}

/// The grants `g-1`, `g-2`, … and whether the first can be taken away, by what analysts have of it.
fn check(grants: Vec<Grant>, taken: &[&str], only_less: bool) {
    let mut set = set(grants);
    let columns = set.grants.get_mut("g-1").unwrap().columns.get_mut(&residents().to_string()).unwrap();
    columns.retain(|column| !taken.contains(&column.as_str()));
    assert_eq!(set.only_takes_away(&revoke("g-2"), NOW, &Site), only_less, "{:#?}", set.grants);
    assert!(analyst_sees(&after(&set, &revoke("g-2"), &Site)).is_ok(), "there is another to fall to");
}

#[test]
fn a_grant_with_a_cap_is_not_lost_to_one_without() {
    let analysts = || grant(role("analyst"));
    let capped = || Grant { rows_per_day: Some(5), ..analysts() };
    let ended = || Grant { to: Some(NOW), ..capped() };
    // `g-2` is lost: to a grant without its cap, with a day of its own, or with other columns.
    check(vec![analysts(), capped()], &["pay"], false);
    check(vec![capped(), capped()], &["pay"], false);
    check(vec![analysts(), analysts()], &["pay"], false);
    // It stood behind, limits nothing, or is over.
    check(vec![analysts(), capped()], &[], true);
    check(vec![capped(), analysts()], &[], true);
    check(vec![analysts(), analysts()], &[], true);
    check(vec![analysts(), ended()], &["pay"], true);
}
