//! Assertions in files: what holds passes, what does not is told with what is so.

use policy::assertion::{Assertions, failures};
use policy::mask::ColumnMask;
use policy::set::PolicySet;
use policy::statement::Party;
use serde_json::{Value, json};

use crate::fixture::{NOW, Site, aggregates, audience, for_analysts, mask, own_regions, policy, role, with};

fn site() -> PolicySet {
    with(
        for_analysts(),
        vec![
            policy("names", mask(ColumnMask::ShowFirst(1), &["name"]), audience(Party::All)),
            policy("ids", mask(ColumnMask::Pseudonym("resident".to_owned()), &["id_no"]), audience(Party::All)),
            policy("own", own_regions(), audience(role("analyst"))),
            policy("pay", aggregates(5, &["pay"]), audience(Party::All)),
        ],
    )
}

/// An assertion with these keys beside a name, roles, attributes and table.
fn told(keys: Value) -> String {
    let mut assertion = json!({
        "name": "a", "roles": ["analyst"], "attributes": { "regions": ["north"] }, "table": "civil.residents",
    });
    assertion.as_object_mut().unwrap().extend(keys.as_object().unwrap().clone());
    match serde_json::from_value::<Assertions>(json!({ "assert": [assertion] })) {
        Err(error) => format!("refused: {error}"),
        Ok(assertions) => {
            let failures = failures(&site(), &assertions, &Site, NOW);
            failures.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
        }
    }
}

fn sees() -> Value {
    json!({ "id_no": "pseudonym('resident')", "name": "show_first(1)", "region": "clear",
            "pay": "aggregate only (0 to 100)" })
}

fn release(min_group: u64, group_by: &[&str]) -> String {
    let release = json!({ "min_group": min_group, "entity": "id_no", "group_by": group_by });
    told(json!({ "purpose": "research", "sees": sees(), "release": release }))
}

#[test]
fn the_groups_that_are_told_may_be_asserted() {
    assert_eq!(release(5, &["region"]), "");
    insta::assert_snapshot!(release(6, &["region"]), @"a: expected release at least 6 of id_no, by region, found release at least 5 of id_no, by region");
    insta::assert_snapshot!(release(5, &[]), @"a: expected release at least 5 of id_no, found release at least 5 of id_no, by region");
}

fn rows(rows: Value) -> String {
    told(json!({ "purpose": "research", "sees": sees(), "rows": rows }))
}

#[test]
fn what_holds_passes() {
    assert_eq!(told(json!({ "denied": true })), "");
    assert_eq!(told(json!({ "purpose": "research", "sees": sees() })), "");
    let seen = json!({ "id_no": "any", "name": "W", "region": "north" });
    assert_eq!(
        rows(json!([
            { "given": { "id_no": "17", "name": "Wang", "region": "north", "pay": 7 }, "seen": seen },
            { "given": { "region": "north" }, "seen": { "region": "north" } },
            { "given": { "name": "Li", "region": "south" } },
            { "given": { "name": "Li" } },
        ])),
        ""
    );
}

#[test]
fn what_does_not_hold_is_told() {
    let mut short = sees();
    short.as_object_mut().unwrap().remove("region");
    short["name"] = json!("clear");
    short["gone"] = json!("clear");
    insta::assert_snapshot!(told(json!({ "purpose": "research", "sees": short })), @"
    a: expected gone clear, found gone not in the table
    a: expected name clear, found name show_first(1)
    a: expected region hidden, found region clear
    ");
    insta::assert_snapshot!(told(json!({ "purpose": "research", "denied": true })), @"a: expected nothing, found id_no pseudonym('resident'), name show_first(1), pay aggregate only (0 to 100), region clear");
    insta::assert_snapshot!(told(json!({ "sees": sees() })), @"a: expected id_no pseudonym('resident'), name show_first(1), pay aggregate only (0 to 100), region clear, found nothing (no purpose)");
    insta::assert_snapshot!(told(json!({ "denied": true, "table": "civil.gone" })), @"a: expected a table civil.gone, found none of that name");
    insta::assert_snapshot!(rows(json!([
        { "given": { "name": "Wang", "region": "north" }, "seen": { "name": "Wang", "region": "north" } },
        { "given": { "name": "Wang", "region": "north" } },
        { "given": { "region": "south" }, "seen": { "region": "south" } },
        { "given": { "region": "north", "pay": 7 }, "seen": { "region": "north", "pay": 7 } },
        { "given": { "region": "north", "id_no": "17" }, "seen": { "region": "north" } },
        { "given": { "region": 7 }, "seen": {} },
        { "given": { "gone": 7 }, "seen": {} },
    ])), @"
    a: expected row 1 seen as: name 'Wang', region 'north', found seen as: name 'W', region 'north'
    a: expected row 2 not seen, found seen as: name 'W', region 'north'
    a: expected row 3 seen as: region 'south', found not seen
    a: expected row 4 seen as: pay 7, region 'north', found seen as: region 'north'
    a: expected row 5 seen as: region 'north', found seen as: id_no a pseudonym, region 'north'
    a: expected row 6 a row of the table, found the value given for `region` is not a Utf8
    a: expected row 7 a row of the table, found column `gone` is not in the table
    ");
}

#[test]
fn what_cannot_be_a_test_is_refused() {
    insta::assert_snapshot!(told(json!({ "denied": true, "purpos": "research" })), @"refused: unknown field `purpos`, expected one of `name`, `user`, `organisation`, `roles`, `attributes`, `purpose`, `at`, `table`, `sees`, `release`, `rows`, `denied`");
    insta::assert_snapshot!(told(json!({})), @"refused: assertion `a`: it says either what is seen (sees, release, rows) or denied = true");
    insta::assert_snapshot!(told(json!({ "denied": true, "sees": sees() })), @"refused: assertion `a`: it says either what is seen (sees, release, rows) or denied = true");
    insta::assert_snapshot!(told(json!({ "denied": true, "table": "residents" })), @"refused: assertion `a`: the table is written 'source.table'");
    insta::assert_snapshot!(told(json!({ "denied": true, "at": "tomorrow" })), @"refused: assertion `a`: `at` is written '2026-06-01T00:00:00Z'");
}

#[test]
fn a_moment_may_be_given() {
    let mut set = site();
    set.valid_until = Some(policy::time::Instant(1_798_761_600_000_000));
    let assertion = |at: &str| {
        let written = json!({ "name": "a", "roles": ["analyst"], "attributes": { "regions": [] },
                              "table": "civil.residents", "purpose": "research", "at": at, "denied": true });
        let assertions = serde_json::from_value(json!({ "assert": [written] })).unwrap();
        failures(&set, &assertions, &Site, NOW).len()
    };
    assert_eq!(assertion("2026-12-31T23:59:59Z"), 1);
    assert_eq!(assertion("2027-01-01T01:00:00+01:00"), 0);
}
