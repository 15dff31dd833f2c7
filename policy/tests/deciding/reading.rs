//! Reading a set of policies: meetings, what is in effect for a party, the matrix, and what changed.

use policy::diff::{Scope, diff};
use policy::effective::{Asked, effective};
use policy::mask::ColumnMask;
use policy::matrix::matrix;
use policy::meeting::{conflicts, meetings};
use policy::resource::Resource;
use policy::set::{Catalog, PolicySet};
use policy::statement::{Audience, Grant, Party, Policy, Rule};
use policy::time::Instant;

use crate::fixture::{
    NOW, Site, aggregates, all_except, ann, audience, for_analysts, grant, mask, own_regions, pay_below, personal,
    policy, residents, role, set, strings, tag, with,
};

fn short(n: u32) -> Rule {
    mask(ColumnMask::ShowFirst(n), &["name"])
}

#[test]
fn two_forms_for_one_audience_are_refused() {
    let conflicting = |a: Audience, b: Audience| {
        let set = with(for_analysts(), vec![policy("old", short(1), a)]);
        conflicts(&set, &policy("new", short(2), b)).len()
    };
    let purposed = |purpose: &str| Audience { purposes: strings(&[purpose]), ..audience(Party::All) };
    let organisation = |name: &str| audience(Party::Organisation(name.to_owned()));
    let user = |name: &str| audience(Party::User(name.to_owned()));
    for (first, second, overlap) in [
        (audience(Party::All), audience(Party::All), 1),
        (audience(role("a")), audience(role("b")), 1),
        (audience(role("a")), all_except(role("a")), 0),
        (audience(role("a")), all_except(role("b")), 1),
        (all_except(Party::All), audience(Party::All), 0),
        (user("ann"), user("bob"), 0),
        (user("ann"), audience(role("a")), 1),
        (organisation("city"), organisation("state"), 0),
        (organisation("city"), user("ann"), 1),
        (purposed("research"), purposed("billing"), 0),
        (purposed("research"), purposed("epidemiology"), 1),
        (purposed("epidemiology"), audience(Party::All), 1),
    ] {
        assert_eq!(conflicting(first.clone(), second.clone()), overlap, "{first:?} and {second:?}");
        assert_eq!(conflicting(second, first), overlap);
    }
}

#[test]
fn a_refusal_names_the_column_and_both_forms() {
    let set = with(for_analysts(), vec![policy("old", short(1), audience(Party::All))]);
    let everywhere =
        Policy { resource: Resource::Schema("civil".to_owned()), ..policy("new", short(2), audience(Party::All)) };
    insta::assert_snapshot!(conflicts(&set, &everywhere).join("\n"), @"policy `old` already makes column `name` show_first(1) for subjects whom this policy is about, and show_first(2) is as strict; give one form to one audience (EXCEPT, FOR PURPOSE), or drop `old`");
    let same = policy("new", short(1), audience(Party::All));
    let stricter = policy("new", mask(ColumnMask::Hide, &["name"]), audience(Party::All));
    assert_eq!(conflicts(&set, &same), Vec::<String>::new());
    assert_eq!(conflicts(&set, &stricter), Vec::<String>::new());
}

#[test]
fn every_meeting_is_listed() {
    let tagged = Rule::Mask(ColumnMask::MaskAlphanum, personal());
    let mut set = with(
        for_analysts(),
        vec![
            policy("first", short(1), audience(role("analyst"))),
            policy("second", short(2), audience(role("clerk"))),
            policy("tagged", tagged, audience(Party::All)),
            policy("apart", short(3), audience(Party::User("bob".to_owned()))),
            policy("pay", aggregates(5, &["pay"]), audience(Party::All)),
            policy("more", aggregates(10, &["region"]), audience(Party::All)),
        ],
    );
    set.policies.get_mut("apart").unwrap().policy.audience.except = vec![role("analyst"), role("clerk")];
    let list = |set: &PolicySet| meetings(set, &Site).iter().map(|m| format!("{m}\n")).collect::<String>();
    insta::assert_snapshot!(list(&set), @"
    civil.residents.name: policy `first` makes it show_first(1), policy `second` makes it show_first(2) (for a subject who belongs to both audiences); where they meet the column is hidden
    civil.residents.region: policy `more` makes it aggregate only, at least 10 of id_no, policy `pay` makes it aggregate only, at least 5 of id_no (a table has one release); where they meet the column is hidden
    ");
    tag(&mut set, Some("name"), "personal");
    insta::assert_snapshot!(list(&set), @"
    civil.residents.name: policy `apart` makes it show_first(3), policy `tagged` makes it mask_alphanum (by its tags); where they meet the column is hidden
    civil.residents.name: policy `first` makes it show_first(1), policy `second` makes it show_first(2) (for a subject who belongs to both audiences); where they meet the column is hidden
    civil.residents.name: policy `first` makes it show_first(1), policy `tagged` makes it mask_alphanum (by its tags); where they meet the column is hidden
    civil.residents.name: policy `second` makes it show_first(2), policy `tagged` makes it mask_alphanum (by its tags); where they meet the column is hidden
    civil.residents.region: policy `more` makes it aggregate only, at least 10 of id_no, policy `pay` makes it aggregate only, at least 5 of id_no (a table has one release); where they meet the column is hidden
    ");
}

fn described() -> PolicySet {
    let research = Audience { purposes: strings(&["research"]), ..audience(Party::All) };
    with(
        set(vec![grant(role("analyst")), Grant { purpose: Some("billing".to_owned()), ..grant(role("clerk")) }]),
        vec![
            policy("names", short(1), all_except(role("registrar"))),
            policy("hash", mask(ColumnMask::Pseudonym("d".to_owned()), &["id_no"]), research),
            policy("own", own_regions(), audience(role("analyst"))),
            policy("pay", aggregates(5, &["pay"]), audience(Party::All)),
        ],
    )
}

fn shown(party: &Party, purpose: Option<&str>) -> String {
    let (table, schema) = (residents(), Site.schema(&residents()).unwrap());
    match effective(&described(), &Asked { party, purpose, table: &table, schema: &schema, now: NOW }) {
        Err(denial) => denial.to_string(),
        Ok(lines) => lines
            .iter()
            .map(|line| {
                let by = line.policies.join(", ");
                let release = line.release.as_deref().unwrap_or_default();
                let (form, grant) = (format!("{} {release}", line.form), format!("{} {}", line.grant, line.limits));
                format!("{} | {} | {} | {by} | {grant} | {}\n", line.purpose, line.column, form.trim_end(), line.rows)
            })
            .collect(),
    }
}

#[test]
fn effective_policy_is_shown_for_a_party() {
    insta::assert_snapshot!(shown(&role("analyst"), Some("epidemiology")), @"
    epidemiology | id_no | pseudonym('d') | hash | g-1 without end or cap | region IN attribute('regions')
    epidemiology | name | show_first(1) | names | g-1 without end or cap | region IN attribute('regions')
    epidemiology | region | clear |  | g-1 without end or cap | region IN attribute('regions')
    epidemiology | pay | aggregate only (0 to 100) at least 5 of id_no, by region | pay | g-1 without end or cap | region IN attribute('regions')
    ");
    insta::assert_snapshot!(shown(&role("clerk"), None), @"
    billing | id_no | clear |  | g-2 without end or cap | none
    billing | name | show_first(1) | names | g-2 without end or cap | none
    billing | region | clear |  | g-2 without end or cap | none
    billing | pay | aggregate only (0 to 100) at least 5 of id_no, by region | pay | g-2 without end or cap | none
    ");
    insta::assert_snapshot!(shown(&role("visitor"), Some("research")), @"no grant covers the table for this subject and purpose at this time");
    insta::assert_snapshot!(shown(&role("visitor"), None), @"no purpose");
}

#[test]
fn the_matrix_reads_as_a_diff() {
    let analyst = (ann(&["analyst"]), strings(&["epidemiology", "billing"]));
    let visitor = (policy::subject::Subject { name: "visitor".to_owned(), ..Default::default() }, vec![]);
    insta::assert_snapshot!(matrix(&described(), &[analyst, visitor], &Site, NOW), @"
    ann · epidemiology · civil.houses · rows: all · grant g-1
    ann · epidemiology · civil.houses · address: clear
    ann · epidemiology · civil.houses · region: clear
    ann · epidemiology · civil.residents · rows: region IN attribute('regions') by own · grant g-1
    ann · epidemiology · civil.residents · id_no: pseudonym('d') by hash
    ann · epidemiology · civil.residents · name: show_first(1) by names
    ann · epidemiology · civil.residents · region: clear
    ann · epidemiology · civil.residents · pay: aggregate only (0 to 100) by pay
    ann · epidemiology · civil.residents · release: at least 5 of id_no, by region
    ann · billing · civil.houses · rows: all · grant g-1
    ann · billing · civil.houses · address: clear
    ann · billing · civil.houses · region: clear
    ann · billing · civil.residents · rows: region IN attribute('regions') by own · grant g-1
    ann · billing · civil.residents · id_no: clear
    ann · billing · civil.residents · name: show_first(1) by names
    ann · billing · civil.residents · region: clear
    ann · billing · civil.residents · pay: aggregate only (0 to 100) by pay
    ann · billing · civil.residents · release: at least 5 of id_no, by region
    visitor · no purpose · civil.houses: nothing (no purpose)
    visitor · no purpose · civil.residents: nothing (no purpose)
    ");
}

#[test]
fn the_matrix_shows_what_a_reviewer_must_see() {
    let matrix_of = |set: &PolicySet| matrix(set, &[(ann(&["analyst"]), strings(&["epidemiology"]))], &Site, NOW);
    let before = matrix_of(&described());
    let differs = |change: fn(&mut PolicySet)| {
        let mut set = described();
        change(&mut set);
        assert_ne!(matrix_of(&set), before);
    };
    differs(|set| set.policies.get_mut("own").unwrap().policy.rule = pay_below(7));
    differs(|set| set.policies.get_mut("pay").unwrap().policy.rule = aggregates(2, &["pay"]));
    differs(|set| set.grants.get_mut("g-1").unwrap().grant.to = Some(Instant(2_000)));
    differs(|set| set.grants.get_mut("g-1").unwrap().grant.bytes_per_day = Some(9));
}

fn changes(before: &PolicySet, after: &PolicySet, catalog: Option<&dyn Catalog>) -> String {
    diff(before, after, &Scope { catalog, now: NOW }).iter().map(|difference| format!("{difference}\n")).collect()
}

#[test]
fn equal_sets_do_not_differ() {
    assert_eq!(changes(&described(), &described(), Some(&Site)), "");
    assert_eq!(changes(&described(), &described(), None), "");
}

#[test]
fn who_sees_more_and_who_less() {
    let before = described();
    let mut after = with(described(), vec![policy("low", pay_below(10), audience(role("analyst")))]);
    after.policies.remove("names");
    after.policies.remove("hash");
    after.grants.get_mut("g-1").unwrap().grant.to = Some(Instant(1_798_761_600_000_000));
    after.grants.get_mut("g-2").unwrap().grant.purpose = Some("epidemiology".to_owned());
    insta::assert_snapshot!(changes(&before, &after, Some(&Site)), @"
    less: role analyst for billing now has civil.houses until 2027-01-01T00:00:00Z (was without end or cap)
    less: role analyst for billing now sees rows of civil.residents: (pay < 10) AND (region IN attribute('regions')) (was region IN attribute('regions'))
    more: role analyst for billing now sees civil.residents.name clear (was show_first(1))
    less: role analyst for billing now has civil.residents until 2027-01-01T00:00:00Z (was without end or cap)
    less: role analyst for epidemiology now has civil.houses until 2027-01-01T00:00:00Z (was without end or cap)
    less: role analyst for epidemiology now sees rows of civil.residents: (pay < 10) AND (region IN attribute('regions')) (was region IN attribute('regions'))
    more: role analyst for epidemiology now sees civil.residents.id_no clear (was pseudonym('d'))
    more: role analyst for epidemiology now sees civil.residents.name clear (was show_first(1))
    less: role analyst for epidemiology now has civil.residents until 2027-01-01T00:00:00Z (was without end or cap)
    less: role analyst for research now has civil.houses until 2027-01-01T00:00:00Z (was without end or cap)
    less: role analyst for research now sees rows of civil.residents: (pay < 10) AND (region IN attribute('regions')) (was region IN attribute('regions'))
    more: role analyst for research now sees civil.residents.id_no clear (was pseudonym('d'))
    more: role analyst for research now sees civil.residents.name clear (was show_first(1))
    less: role analyst for research now has civil.residents until 2027-01-01T00:00:00Z (was without end or cap)
    less: role clerk for billing now sees rows of civil.houses: none (was all)
    less: role clerk for billing now sees civil.houses.address hidden (was clear)
    less: role clerk for billing now sees civil.houses.region hidden (was clear)
    less: role clerk for billing now sees civil.residents.id_no hidden (was clear)
    less: role clerk for billing now sees civil.residents.name hidden (was show_first(1))
    less: role clerk for billing now sees civil.residents.region hidden (was clear)
    less: role clerk for billing now sees civil.residents.pay hidden (was aggregate only (0 to 100, at least 5 of id_no, by region))
    more: role clerk for epidemiology now sees rows of civil.houses: all (was none)
    more: role clerk for epidemiology now sees civil.houses.address clear (was hidden)
    more: role clerk for epidemiology now sees civil.houses.region clear (was hidden)
    more: role clerk for epidemiology now sees civil.residents.id_no clear (was hidden)
    more: role clerk for epidemiology now sees civil.residents.name clear (was hidden)
    more: role clerk for epidemiology now sees civil.residents.region clear (was hidden)
    more: role clerk for epidemiology now sees civil.residents.pay aggregate only (0 to 100, at least 5 of id_no, by region) (was hidden)
    less: roles clerk and registrar together for billing now sees civil.residents.name hidden (was clear)
    ");
}

#[test]
fn a_pair_of_roles_may_see_what_neither_sees() {
    let grants = || set(vec![grant(role("analyst"))]);
    let before = with(grants(), vec![policy("own", own_regions(), audience(role("analyst")))]);
    let after = with(
        grants(),
        vec![policy("own", own_regions(), Audience { except: vec![role("chief")], ..audience(role("analyst")) })],
    );
    insta::assert_snapshot!(changes(&before, &after, Some(&Site)), @"
    more: roles analyst and chief together for billing now sees rows of civil.residents: all (was region IN attribute('regions'))
    more: roles analyst and chief together for epidemiology now sees rows of civil.residents: all (was region IN attribute('regions'))
    more: roles analyst and chief together for research now sees rows of civil.residents: all (was region IN attribute('regions'))
    ");
}

#[test]
fn three_parties_may_see_what_no_two_see() {
    let analysts_except = |except: Vec<Party>| Audience { except, ..audience(role("analyst")) };
    let for_billing = || set(vec![Grant { purpose: Some("billing".to_owned()), ..grant(role("analyst")) }]);
    let city = || Party::Organisation("city".to_owned());
    let names = |except: Vec<Party>| {
        let hide = policy("names", mask(ColumnMask::Hide, &["name"]), analysts_except(except));
        with(for_billing(), vec![hide, policy("short", short(1), analysts_except(vec![role("chief")]))])
    };
    insta::assert_snapshot!(changes(&names(vec![]), &names(vec![city()]), Some(&Site)), @"
    more: role analyst and organisation city together for billing now sees civil.residents.name show_first(1) (was hidden)
    more: role analyst, role chief and organisation city together for billing now sees civil.residents.name clear (was hidden)
    ");
}

#[test]
fn what_will_be_is_told() {
    let begins = |from: i64| {
        set(vec![Grant { purpose: Some("billing".to_owned()), from: Some(Instant(from)), ..grant(role("clerk")) }])
    };
    let (never, later) = (set(vec![]), begins(1_798_761_600_000_000));
    insta::assert_snapshot!(changes(&never, &later, Some(&Site)), @"
    more: role clerk for billing from 2027-01-01 on sees rows of civil.houses: all (was none)
    more: role clerk for billing from 2027-01-01 on sees civil.houses.address clear (was hidden)
    more: role clerk for billing from 2027-01-01 on sees civil.houses.region clear (was hidden)
    more: role clerk for billing from 2027-01-01 on sees rows of civil.residents: all (was none)
    more: role clerk for billing from 2027-01-01 on sees civil.residents.id_no clear (was hidden)
    more: role clerk for billing from 2027-01-01 on sees civil.residents.name clear (was hidden)
    more: role clerk for billing from 2027-01-01 on sees civil.residents.region clear (was hidden)
    more: role clerk for billing from 2027-01-01 on sees civil.residents.pay clear (was hidden)
    ");
    assert_eq!(changes(&later, &later, Some(&Site)), "");
}

#[test]
fn arguments_that_show_more_are_told_as_more() {
    let directions = |before: Rule, after: Rule| {
        let of = |rule| with(set(vec![grant(role("analyst"))]), vec![policy("p", rule, audience(Party::All))]);
        let found = diff(&of(before), &of(after), &Scope { catalog: Some(&Site), now: NOW });
        let directions: std::collections::BTreeSet<String> =
            found.iter().map(|difference| format!("{:?}", difference.direction)).collect();
        directions.into_iter().collect::<Vec<_>>().join(" ")
    };
    let bucket = |width| mask(ColumnMask::Bucket(policy::value::Value::Integer(width)), &["pay"]);
    let domain = |name: &str| mask(ColumnMask::Pseudonym(name.to_owned()), &["name"]);
    for (less, more) in [
        (short(1), short(9)),
        (bucket(10), bucket(5)),
        (aggregates(10, &["pay"]), aggregates(2, &["pay"])),
        (mask(ColumnMask::Hide, &["pay"]), aggregates(2, &["pay"])),
    ] {
        assert_eq!(directions(less.clone(), more.clone()), "More", "{less:?} and {more:?}");
        assert_eq!(directions(more, less), "Less");
    }
    assert_eq!(directions(bucket(10), bucket(3)), "Other");
    assert_eq!(directions(domain("a"), domain("b")), "Other");
}

#[test]
fn files_are_compared_by_what_they_name() {
    let bare = |mut set: PolicySet| {
        set.grants.values_mut().for_each(|record| record.columns.clear());
        set
    };
    let mut after = bare(described());
    after.policies.remove("names");
    insta::assert_snapshot!(changes(&bare(described()), &after, None), @"
    more: role analyst for billing now sees civil.residents.name clear (was show_first(1))
    more: role analyst for epidemiology now sees civil.residents.name clear (was show_first(1))
    more: role analyst for research now sees civil.residents.name clear (was show_first(1))
    more: role clerk for billing now sees civil.residents.name clear (was show_first(1))
    ");
    insta::assert_snapshot!(changes(&bare(set(vec![])), &bare(set(vec![grant(Party::All)])), None), @"
    more: anybody for billing now sees rows of civil.*: all (was none)
    more: anybody for billing now sees civil.*.* clear (was hidden)
    more: anybody for epidemiology now sees rows of civil.*: all (was none)
    more: anybody for epidemiology now sees civil.*.* clear (was hidden)
    more: anybody for research now sees rows of civil.*: all (was none)
    more: anybody for research now sees civil.*.* clear (was hidden)
    ");
}
