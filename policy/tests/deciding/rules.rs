//! Each rule of deciding, by a small example.

use std::collections::BTreeMap;

use arrow::datatypes::{DataType, Field, Schema};
use policy::decide::{Question, decide};
use policy::decision::Denial;
use policy::mask::ColumnMask;
use policy::predicate::Filter;
use policy::resource::Resource;
use policy::statement::{Audience, Grant, Mode, Party, Policy, Rule};
use policy::subject::Subject;
use policy::time::Instant;

use crate::fixture::{
    NOW, aggregates, all_except, analyst_sees, ann, ask, audience, for_analysts, forms, grant, mask, own_regions,
    pay_below, personal, policy, residents, role, set, strings, tag, with,
};

fn denied(outcome: Result<policy::decision::Decision, Denial>) -> Denial {
    outcome.unwrap_err()
}

#[test]
fn nothing_is_granted_by_default() {
    assert_eq!(denied(analyst_sees(&set(vec![]))), Denial::NoGrant);
    assert_eq!(denied(ask(&for_analysts(), &ann(&["clerk"]), Some("research"))), Denial::NoGrant);
    assert_eq!(forms(&analyst_sees(&for_analysts()).unwrap()), "clear | clear | clear | clear");
}

#[test]
fn a_purpose_must_be_held_and_known() {
    let set = for_analysts();
    let nobody = Subject { purposes: ["unheard_of".to_owned()].into(), ..ann(&["analyst"]) };
    assert_eq!(denied(ask(&set, &nobody, Some("research"))), Denial::Purpose("research".to_owned()));
    assert_eq!(denied(ask(&set, &nobody, Some("unheard_of"))), Denial::Purpose("unheard_of".to_owned()));
    assert_eq!(denied(ask(&set, &ann(&["analyst"]), Some("Research"))), Denial::Purpose("Research".to_owned()));
    assert_eq!(denied(ask(&set, &ann(&["analyst"]), None)), Denial::NoPurpose);
}

#[test]
fn a_grant_is_for_the_parts_of_its_purpose_and_not_for_the_whole() {
    let for_purpose = |purpose: &str| set(vec![Grant { purpose: Some(purpose.to_owned()), ..grant(role("analyst")) }]);
    assert!(analyst_sees(&for_purpose("research")).is_ok());
    assert!(analyst_sees(&for_purpose("epidemiology")).is_ok());
    assert_eq!(denied(analyst_sees(&for_purpose("billing"))), Denial::NoGrant);
    let whole = ask(&for_purpose("epidemiology"), &ann(&["analyst"]), Some("research"));
    assert_eq!(denied(whole), Denial::NoGrant);
}

#[test]
fn purposes_in_a_circle_end() {
    let mut set = for_analysts();
    set.purposes.get_mut("research").unwrap().under = Some("epidemiology".to_owned());
    assert!(analyst_sees(&set).is_ok());
}

#[test]
fn a_grant_permits_from_its_start_until_before_its_end() {
    let valid = |from, to| set(vec![Grant { from, to, ..grant(Party::All) }]);
    let next = Instant(NOW.0 + 1);
    assert!(analyst_sees(&valid(Some(NOW), Some(next))).is_ok());
    assert_eq!(denied(analyst_sees(&valid(Some(next), None))), Denial::NoGrant);
    assert_eq!(denied(analyst_sees(&valid(None, Some(NOW)))), Denial::NoGrant);
}

#[test]
fn open_needs_no_purpose_and_nothing_personal() {
    let open = || set(vec![Grant { mode: Mode::Open, ..grant(Party::All) }]);
    assert_eq!(ask(&open(), &ann(&[]), None).unwrap().purpose, "");
    for (column, value) in [(Some("name"), "personal"), (Some("name"), "trade_secret"), (None, "state_secret")] {
        let mut set = open();
        set.tags.get_mut("class").unwrap().push(value.to_owned());
        tag(&mut set, column, value);
        assert_eq!(denied(ask(&set, &ann(&[]), None)), Denial::NoPurpose, "{value}");
    }
}

#[test]
fn operated_confers_nothing() {
    let set = set(vec![Grant { mode: Mode::Operated, ..grant(Party::All) }]);
    assert_eq!(denied(analyst_sees(&set)), Denial::Operated("g-1".to_owned()));
    assert_eq!(denied(ask(&set, &ann(&["analyst"]), None)), Denial::NoPurpose);
}

#[test]
fn it_rests_on_the_grant_without_caps_that_ends_last() {
    let to = |end| Grant { to: Some(Instant(end)), ..grant(Party::All) };
    let capped = Grant { rows_per_day: Some(5), ..grant(Party::All) };
    let chosen = |grants| analyst_sees(&set(grants)).unwrap().grant.id;
    assert_eq!(chosen(vec![capped.clone(), to(2_000), to(3_000), to(3_000)]), "g-3");
    assert_eq!(chosen(vec![to(2_000), grant(Party::All)]), "g-2");
    assert_eq!(chosen(vec![capped.clone(), capped]), "g-1");
}

/// As if the column had come after the grant.
fn take_column(set: &mut policy::set::PolicySet, grant: &str, column: &str) {
    for columns in set.grants.get_mut(grant).unwrap().columns.values_mut() {
        columns.remove(column);
    }
}

#[test]
fn a_column_is_seen_under_the_grant_that_covers_it() {
    let to = |end| Grant { to: Some(Instant(end)), rows_per_day: Some(5), ..grant(Party::All) };
    let mut set = set(vec![grant(Party::All), to(2_000)]);
    take_column(&mut set, "g-1", "pay");
    // Both cover the other columns; `pay` came with the second, and is seen no longer and no more often than by that.
    let decision = analyst_sees(&set).unwrap();
    assert_eq!(forms(&decision), "clear | clear | clear | clear");
    let by = decision.grant;
    assert_eq!((by.id.as_str(), by.until, by.rows_per_day), ("g-2", Some(Instant(2_000)), Some(5)));
    set.grants.get_mut("g-2").unwrap().grant.to = Some(NOW);
    let decision = analyst_sees(&set).unwrap();
    assert_eq!((forms(&decision).as_str(), decision.grant.id.as_str()), ("clear | clear | clear | hidden", "g-1"));
    // Neither covers all: what one covers is seen, and never what only both together do.
    set.grants.get_mut("g-2").unwrap().grant.to = Some(Instant(2_000));
    take_column(&mut set, "g-2", "name");
    assert_eq!(forms(&analyst_sees(&set).unwrap()), "clear | clear | clear | hidden");
}

#[test]
fn it_ends_with_the_grant_or_all_policies() {
    let mut set = set(vec![Grant { to: Some(Instant(3_000)), ..grant(Party::All) }]);
    assert_eq!(analyst_sees(&set).unwrap().grant.until, Some(Instant(3_000)));
    set.valid_until = Some(Instant(2_000));
    assert_eq!(analyst_sees(&set).unwrap().grant.until, Some(Instant(2_000)));
    set.valid_until = Some(NOW);
    assert_eq!(denied(analyst_sees(&set)), Denial::OutOfDate);
}

#[test]
fn a_column_that_came_later_is_hidden_until_a_policy_takes_it_by_tag_or_it_is_accepted() {
    let short = |to| policy("short", Rule::Mask(ColumnMask::ShowFirst(1), personal()), to);
    let mut set = with(for_analysts(), vec![short(audience(role("clerk")))]);
    for columns in set.grants.get_mut("g-1").unwrap().columns.values_mut() {
        columns.remove("name");
        columns.remove("pay");
    }
    assert_eq!(forms(&analyst_sees(&set).unwrap()), "clear | hidden | clear | hidden");
    tag(&mut set, None, "personal");
    tag(&mut set, Some("pay"), "public");
    tag(&mut set, Some("name"), "personal");
    assert_eq!(
        forms(&analyst_sees(&set).unwrap()),
        "clear | hidden | clear | hidden",
        "no policy for analysts, or none"
    );
    set = with(set, vec![short(audience(role("analyst")))]);
    assert_eq!(forms(&analyst_sees(&set).unwrap()), "show_first(1) | show_first(1) | show_first(1) | hidden");
    set.accepted.insert((residents(), "pay".to_owned()));
    assert_eq!(forms(&analyst_sees(&set).unwrap()), "show_first(1) | show_first(1) | show_first(1) | clear");
}

#[test]
fn the_strictest_wins_and_is_named() {
    let all = || audience(Party::All);
    let set = with(
        for_analysts(),
        vec![
            policy("first", mask(ColumnMask::ShowFirst(1), &["name"]), all()),
            policy("hash", mask(ColumnMask::Pseudonym("d".to_owned()), &["name", "id_no"]), all()),
            policy("null", mask(ColumnMask::ReplaceWithNull, &["id_no"]), all_except(role("analyst"))),
        ],
    );
    let decision = analyst_sees(&set).unwrap();
    assert_eq!(forms(&decision), "pseudonym('d') | pseudonym('d') | clear | clear");
    assert_eq!(decision.columns[1].policies, ["hash"]);
}

#[test]
fn equal_strictness_and_different_forms_hide_the_column() {
    let all = || audience(Party::All);
    let set = with(
        for_analysts(),
        vec![
            policy("a", mask(ColumnMask::ShowFirst(1), &["name"]), all()),
            policy("b", mask(ColumnMask::ShowFirst(2), &["name"]), all()),
            policy("c", mask(ColumnMask::ShowFirst(1), &["region"]), all()),
            policy("d", mask(ColumnMask::ShowFirst(1), &["region"]), all()),
        ],
    );
    let decision = analyst_sees(&set).unwrap();
    assert_eq!(forms(&decision), "clear | hidden | show_first(1) | clear");
    assert_eq!(decision.columns[1].policies, ["a", "b"]);
    assert_eq!(decision.columns[2].policies, ["c", "d"]);
}

#[test]
fn a_columns_own_tag_stands_before_the_tables() {
    let rule = Rule::Mask(ColumnMask::ShowFirst(1), personal());
    let mut set = with(for_analysts(), vec![policy("short", rule, audience(Party::All))]);
    tag(&mut set, None, "personal");
    tag(&mut set, Some("region"), "public");
    tag(&mut set, Some("pay"), "public");
    assert_eq!(forms(&analyst_sees(&set).unwrap()), "show_first(1) | show_first(1) | clear | clear");
}

#[test]
fn aggregates_have_one_release() {
    let all = || audience(Party::All);
    let mut set = with(for_analysts(), vec![policy("pay", aggregates(5, &["pay"]), all())]);
    let decision = analyst_sees(&set).unwrap();
    assert_eq!(forms(&decision), "clear | clear | clear | aggregate only (0 to 100)");
    let release = decision.release.unwrap();
    assert_eq!((release.min_group, release.entity.as_str(), release.group_by), (5, "id_no", strings(&["region"])));
    set = with(set, vec![policy("more", aggregates(10, &["pay"]), all())]);
    let decision = analyst_sees(&set).unwrap();
    assert_eq!(forms(&decision), "clear | clear | clear | hidden");
    assert_eq!(decision.release, None);
}

#[test]
fn releases_that_differ_hide_their_columns() {
    let all = || audience(Party::All);
    let number = |name| Field::new(name, DataType::Int64, true);
    let text = |name| Field::new(name, DataType::Utf8, true);
    let (table, schema) = (residents(), Schema::new(vec![text("id_no"), text("region"), number("pay"), number("age")]));
    let asked = |of_age| {
        let rules =
            vec![policy("pay", aggregates(5, &["pay"]), all()), policy("age", aggregates(of_age, &["age"]), all())];
        let mut set = with(for_analysts(), rules);
        set.accepted.insert((residents(), "age".to_owned()));
        let subject = ann(&["analyst"]);
        let question =
            Question { subject: &subject, purpose: Some("research"), table: &table, schema: &schema, now: NOW };
        forms(&decide(&set, &question).unwrap())
    };
    assert_eq!(asked(5), "clear | clear | aggregate only (0 to 100) | aggregate only (0 to 100)");
    assert_eq!(asked(10), "clear | clear | hidden | hidden");
}

#[test]
fn an_entity_that_is_gone_denies() {
    let Rule::AggregateOnly(mut rule, columns) = aggregates(5, &["pay"]) else { panic!("aggregates") };
    rule.entity = "gone".to_owned();
    let set = with(for_analysts(), vec![policy("pay", Rule::AggregateOnly(rule, columns), audience(Party::All))]);
    let reason = "column `gone` is not in the table".to_owned();
    assert_eq!(denied(analyst_sees(&set)), Denial::Policy { policy: "pay".to_owned(), reason });
}

#[test]
fn row_filters_are_anded() {
    let set = with(
        for_analysts(),
        vec![
            policy("own", own_regions(), audience(role("analyst"))),
            policy("poor", pay_below(10), audience(Party::All)),
        ],
    );
    let rows = analyst_sees(&set).unwrap().row_filter.unwrap();
    assert_eq!(rows.policies, ["own", "poor"]);
    assert_eq!(rows.reads, ["region", "pay"]);
    assert!(matches!(rows.filter, Filter::And(parts) if parts.len() == 2));
}

#[test]
fn whom_no_row_filter_names_or_frees_sees_no_rows() {
    let filtered = |audience| with(for_analysts(), vec![policy("own", own_regions(), audience)]);
    let rows = |audience| analyst_sees(&filtered(audience)).unwrap().row_filter;
    let none = rows(audience(role("clerk"))).unwrap();
    assert_eq!((none.filter, none.policies), (Filter::Or(vec![]), strings(&["own"])));
    assert_eq!(rows(all_except(role("analyst"))), None);
    let elsewhere = |audience| Audience { purposes: strings(&["billing"]), ..audience };
    assert_eq!(rows(elsewhere(audience(Party::All))).unwrap().filter, Filter::Or(vec![]));
    // An exception frees from the policy where the policy counts, and for no other purpose.
    assert_eq!(rows(elsewhere(all_except(role("analyst")))).unwrap().filter, Filter::Or(vec![]));
    let here = Audience { purposes: strings(&["research"]), ..all_except(role("analyst")) };
    assert_eq!(rows(here), None);
}

#[test]
fn a_missing_attribute_denies() {
    let set = with(for_analysts(), vec![policy("own", own_regions(), audience(Party::All))]);
    let plain = Subject { attributes: BTreeMap::new(), ..ann(&["analyst"]) };
    let Denial::Policy { policy, .. } = denied(ask(&set, &plain, Some("research"))) else { panic!("by a policy") };
    assert_eq!(policy, "own");
}

#[test]
fn a_column_that_changed_denies_the_table_to_everybody() {
    let used = |column: &str, data_type: &str| {
        let mut set = with(for_analysts(), vec![policy("p", pay_below(5), all_except(Party::All))]);
        let uses = BTreeMap::from([(column.to_owned(), data_type.to_owned())]);
        set.policies.get_mut("p").unwrap().uses = BTreeMap::from([("civil.residents".to_owned(), uses)]);
        set
    };
    assert!(analyst_sees(&used("pay", "Int64")).is_ok());
    for (column, data_type) in [("pay", "Utf8"), ("gone", "Int64")] {
        assert!(
            matches!(denied(analyst_sees(&used(column, data_type))), Denial::Policy { policy, .. } if policy == "p")
        );
    }
}

#[test]
fn what_a_set_does_not_know_denies() {
    let all = || audience(Party::All);
    let unknown_purpose = Audience { purposes: strings(&["gone"]), ..all() };
    let short = |audience| policy("p", mask(ColumnMask::ShowFirst(1), &["name"]), audience);
    assert!(matches!(denied(analyst_sees(&with(for_analysts(), vec![short(unknown_purpose)]))), Denial::Policy { .. }));

    let mut untagged = with(for_analysts(), vec![policy("p", Rule::Mask(ColumnMask::Hide, personal()), all())]);
    untagged.tags.clear();
    assert!(matches!(denied(analyst_sees(&untagged)), Denial::Policy { .. }));

    let mut odd = for_analysts();
    tag(&mut odd, Some("name"), "no such value");
    assert!(matches!(denied(analyst_sees(&odd)), Denial::Policy { .. }));
}

#[test]
fn a_table_with_nothing_to_see_is_not_there() {
    let hide = Policy {
        resource: Resource::Schema("civil".to_owned()),
        ..policy("p", mask(ColumnMask::Hide, &["id_no", "name", "region", "pay"]), audience(Party::All))
    };
    assert_eq!(denied(analyst_sees(&with(for_analysts(), vec![hide]))), Denial::NoGrant);
}
