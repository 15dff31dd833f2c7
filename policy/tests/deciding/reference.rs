//! The reference: §3 of the policy semantics read as plainly as possible, over rows in memory.

use std::cell::Cell as Count;
use std::collections::BTreeSet;

use datafusion_common::ScalarValue;
use policy::decide::{Question, decide};
use policy::decision::{Decision, Treatment};
use policy::predicate::{Comparison, Filter, List, Operand, Predicate, Side};
use policy::resource::Resource;
use policy::statement::{AggregateOnly, Audience, Columns, Mode, Party, Policy, Right, Rule};
use policy::subject::Attribute;
use policy::value::Value;
use proptest::test_runner::TestRunner;

use crate::world::{COLUMNS, Case, Cell, Row, case, schema};

/// What is seen: a form for each column, the numbers of the rows, and the grant with its end and its caps. `None`:
/// nothing.
type Seen = Option<(Vec<String>, Vec<usize>, By)>;

/// A grant's id, the moment of its end, rows and bytes of a day.
type By = (String, Option<i64>, [Option<u64>; 2]);

#[test]
fn deciding_agrees_with_the_reference() {
    let (permitted, filtered) = (Count::new(0), Count::new(0));
    let outcome = TestRunner::new(super::cases(3_000)).run(&case(), |case| {
        let (decided, expected) = (decided(&case), reference(&case));
        if let Some((_, rows, _)) = &expected {
            permitted.set(permitted.get() + 1);
            filtered.set(filtered.get() + u32::from(!rows.is_empty() && rows.len() < case.rows.len()));
        }
        proptest::prop_assert_eq!(decided, expected);
        Ok(())
    });
    outcome.unwrap();
    assert!(permitted.get() > 100, "only {permitted:?} questions were permitted: the worlds say nothing");
    assert!(filtered.get() > 20, "only {filtered:?} row filters let some rows through and not others");
}

fn decided(case: &Case) -> Seen {
    let schema = schema();
    let Case { set, subject, table, now, .. } = case;
    let question = Question { subject, purpose: case.purpose.as_deref(), table, schema: &schema, now: *now };
    let decision = decide(set, &question).ok()?;
    let kept = |row: &Row| decision.row_filter.as_ref().is_none_or(|rows| keeps(&rows.filter, row) == Some(true));
    let rows = case.rows.iter().enumerate().filter(|(_, row)| kept(row)).map(|(n, _)| n).collect();
    let by = decision.grant.clone();
    let by = (by.id, by.until.map(|until| until.0), [by.rows_per_day, by.bytes_per_day]);
    Some((decision.columns.iter().map(|column| form(&column.treatment, &decision)).collect(), rows, by))
}

fn form(treatment: &Treatment, decision: &Decision) -> String {
    match treatment {
        Treatment::Clear => "Clear".to_owned(),
        Treatment::Hidden => "Hide".to_owned(),
        Treatment::Masked(mask) => format!("{mask:?}"),
        Treatment::AggregateOnly { low, high } => {
            let release = decision.release.as_ref().unwrap();
            let groups: BTreeSet<_> = release.group_by.iter().collect();
            format!("AggregateOnly {low} {high} {} {} {groups:?}", release.min_group, release.entity)
        }
    }
}

/// A filter over one row, in three-valued logic.
fn keeps(filter: &Filter, row: &Row) -> Option<bool> {
    match filter {
        Filter::Compare(left, comparison, right) => compare(&side(left, row), *comparison, &side(right, row)),
        Filter::In(of, list, negated) => {
            let list = list.iter().map(scalar).collect::<Vec<_>>();
            is_in(&side(of, row), &list).map(|found| found != *negated)
        }
        Filter::IsNull(of, negated) => Some((side(of, row) == Cell::Null) != *negated),
        Filter::And(parts) => all(parts.iter().map(|part| keeps(part, row))),
        Filter::Or(parts) => all(parts.iter().map(|part| keeps(part, row).map(|kept| !kept))).map(|kept| !kept),
        Filter::Not(part) => keeps(part, row).map(|kept| !kept),
    }
}

fn side(side: &Side, row: &Row) -> Cell {
    match side {
        Side::Column(name) => cell(name, row),
        Side::Value(value) => scalar(value),
    }
}

fn scalar(value: &ScalarValue) -> Cell {
    match value {
        ScalarValue::Int64(Some(n)) => Cell::Number(*n),
        ScalarValue::Utf8(Some(text)) => Cell::Text(text.clone()),
        other => panic!("a value of a type that no column has: {other:?}"),
    }
}

fn cell(name: &str, row: &Row) -> Cell {
    row[COLUMNS.iter().position(|column| *column == name).unwrap()].clone()
}

fn all(parts: impl Iterator<Item = Option<bool>>) -> Option<bool> {
    let parts: Vec<_> = parts.collect();
    if parts.contains(&Some(false)) {
        Some(false)
    } else if parts.contains(&None) {
        None
    } else {
        Some(true)
    }
}

fn is_in(cell: &Cell, list: &[Cell]) -> Option<bool> {
    (*cell != Cell::Null).then(|| list.contains(cell))
}

fn compare(left: &Cell, comparison: Comparison, right: &Cell) -> Option<bool> {
    let order = match (left, right) {
        (Cell::Number(a), Cell::Number(b)) => a.cmp(b),
        (Cell::Text(a), Cell::Text(b)) => a.as_bytes().cmp(b.as_bytes()),
        _ => return None,
    };
    Some(match comparison {
        Comparison::Equal => order.is_eq(),
        Comparison::NotEqual => order.is_ne(),
        Comparison::Less => order.is_lt(),
        Comparison::LessOrEqual => order.is_le(),
        Comparison::Greater => order.is_gt(),
        Comparison::GreaterOrEqual => order.is_ge(),
    })
}

// From here on: the rules, written a second time.

fn reference(case: &Case) -> Seen {
    let set = &case.set;
    if matches!(set.valid_until, Some(end) if end.0 <= case.now.0) {
        return None;
    }
    let mut line = vec![];
    if let Some(asked) = &case.purpose {
        if !case.subject.purposes.contains(asked) {
            return None;
        }
        let mut at = Some(asked.clone());
        while let Some(purpose) = at {
            at = set.purposes[&purpose].under.clone();
            line.push(purpose);
        }
    }
    let grant = chosen(case, grants_that_count(case, &line))?;
    let about: Vec<&Policy> =
        set.policies.values().map(|record| &record.policy).filter(|policy| about(&policy.resource, case)).collect();
    for record in set.policies.values() {
        for (column, data_type) in record.uses.get(&case.table.to_string()).into_iter().flatten() {
            match schema().field_with_name(column) {
                Ok(field) if field.data_type().to_string() == *data_type => {}
                _ => return None,
            }
        }
    }
    let forms = forms(case, &line, &grant, &about)?;
    if forms.iter().all(|form| form == "Hide") {
        return None;
    }
    let said = &set.grants[&grant].grant;
    let ends = [said.to, set.valid_until].into_iter().flatten().map(|end| end.0).min();
    let by = (grant.clone(), ends, [said.rows_per_day, said.bytes_per_day]);
    Some((forms, rows(case, &line, &about)?, by))
}

/// Of several grants the one with most columns; of these one without caps; of these the one that ends last; of these the
/// first.
fn chosen(case: &Case, mut grants: Vec<String>) -> Option<String> {
    let said = |id: &String| &case.set.grants[id].grant;
    let columns = |id: &String| COLUMNS.iter().filter(|column| covers(case, id, column)).count();
    let most = grants.iter().map(columns).max()?;
    grants.retain(|id| columns(id) == most);
    let free = |id: &String| said(id).rows_per_day.is_none() && said(id).bytes_per_day.is_none();
    if grants.iter().any(free) {
        grants.retain(free);
    }
    if grants.iter().any(|id| said(id).to.is_none()) {
        grants.retain(|id| said(id).to.is_none());
    }
    let last = grants.iter().filter_map(|id| said(id).to).map(|to| to.0).max();
    grants.retain(|id| said(id).to.map(|to| to.0) == last);
    grants.into_iter().min()
}

/// Whether the column was there when the grant was made, or has been accepted.
fn covers(case: &Case, grant: &str, column: &str) -> bool {
    let then = case.set.grants[grant].columns.get(&case.table.to_string());
    then.is_some_and(|columns| columns.contains(column))
        || case.set.accepted.contains(&(case.table.clone(), column.to_owned()))
}

fn about(resource: &Resource, case: &Case) -> bool {
    match resource {
        Resource::Schema(source) => *source == case.table.source,
        Resource::Table(table) => *table == case.table,
    }
}

fn belongs(parties: &[Party], case: &Case) -> bool {
    let mut mine = vec![Party::All, Party::User(case.subject.name.clone())];
    mine.extend(case.subject.organisation.clone().map(Party::Organisation));
    mine.extend(case.subject.roles.iter().cloned().map(Party::Role));
    parties.iter().any(|party| mine.contains(party))
}

fn named(audience: &Audience, case: &Case, line: &[String]) -> bool {
    let purpose = audience.purposes.is_empty() || line.iter().any(|purpose| audience.purposes.contains(purpose));
    belongs(&audience.to, case) && !belongs(&audience.except, case) && purpose
}

fn grants_that_count(case: &Case, line: &[String]) -> Vec<String> {
    let sensitive = case.set.tagged.iter().any(|tagged| tagged.table == case.table && tagged.value == "personal");
    let mut counting = vec![];
    for (id, record) in &case.set.grants {
        let grant = &record.grant;
        let Right::Select { resource, to } = &grant.right else { continue };
        let begun = grant.from.is_none_or(|from| case.now.0 >= from.0);
        let over = grant.to.is_some_and(|to| case.now.0 >= to.0);
        let mode = match grant.mode {
            Mode::Shared => case.purpose.is_some(),
            Mode::Open => !sensitive,
            Mode::Operated => false,
        };
        let purpose = match &grant.purpose {
            None => true,
            Some(purpose) => line.contains(purpose),
        };
        if about(resource, case) && belongs(to, case) && begun && !over && mode && purpose {
            counting.push(id.clone());
        }
    }
    counting
}

/// Strictest first, as §3 lists them.
const STRICTNESS: [&[&str]; 8] = [
    &["Hide"],
    &["ReplaceWithNull"],
    &["Fixed"],
    &["AggregateOnly"],
    &["Pseudonym"],
    &["Bucket", "TruncateToYear", "TruncateToMonth", "Generalise"],
    &["ShowFirst", "ShowLast", "MaskAlphanum"],
    &["Clear"],
];

fn strictness(form: &str) -> usize {
    STRICTNESS.iter().position(|names| names.iter().any(|name| form.starts_with(name))).unwrap()
}

fn forms(case: &Case, line: &[String], grant: &str, about: &[&Policy]) -> Option<Vec<String>> {
    let mut forms = vec![];
    for column in COLUMNS {
        let mine = about.iter().filter(|policy| named(&policy.audience, case, line));
        let by_tag = mine.clone().any(|policy| match &policy.rule {
            Rule::Mask(_, Columns::Tagged { tag, value }) | Rule::AggregateOnly(_, Columns::Tagged { tag, value }) => {
                let mut on = case.set.tagged.iter().filter(|on| on.table == case.table && on.tag == *tag);
                on.any(|on| {
                    on.column.as_deref() == Some(column) && (value.is_none() || *value == Some(on.value.clone()))
                })
            }
            _ => false,
        });
        if !covers(case, grant, column) && !by_tag {
            forms.push("Hide".to_owned());
            continue;
        }
        let mut said = vec!["Clear".to_owned()];
        for policy in mine {
            match &policy.rule {
                Rule::Mask(mask, columns) if hits(columns, case, column) => said.push(format!("{mask:?}")),
                Rule::AggregateOnly(rule, columns) if hits(columns, case, column) => {
                    said.push(aggregate(rule, column)?)
                }
                _ => {}
            }
        }
        let strictest = said.iter().map(|form| strictness(form)).min().unwrap();
        let meeting: BTreeSet<String> = said.into_iter().filter(|form| strictness(form) == strictest).collect();
        forms.push(if meeting.len() == 1 { meeting.into_iter().next().unwrap() } else { "Hide".to_owned() });
    }
    let mut releases = BTreeSet::new();
    for form in forms.iter().filter(|form| form.starts_with("AggregateOnly")) {
        releases.insert(form.splitn(4, ' ').nth(3).unwrap().to_owned());
    }
    for form in forms.iter_mut().filter(|form| form.starts_with("AggregateOnly")) {
        if releases.len() > 1 {
            *form = "Hide".to_owned();
        }
    }
    fitting(&forms, about).then_some(forms)
}

/// A mask that does not fit the column's type, or a bound that does not, denies the table.
fn fitting(forms: &[String], about: &[&Policy]) -> bool {
    forms.iter().zip(schema().fields()).all(|(form, field)| {
        let unfit = about.iter().any(|policy| match &policy.rule {
            Rule::Mask(mask, _) => format!("{mask:?}") == *form && mask.check(field.data_type()).is_err(),
            Rule::AggregateOnly(..) | Rule::RowFilter(_) => false,
        });
        form == "Hide" || !unfit
    })
}

fn aggregate(rule: &AggregateOnly, column: &str) -> Option<String> {
    let (_, low, high) = rule.bounds.iter().find(|(name, _, _)| name == column)?;
    let (Value::Integer(low), Value::Integer(high)) = (low, high) else { panic!("bounds are whole numbers here") };
    let groups: BTreeSet<_> = rule.group_by.iter().collect();
    Some(format!("AggregateOnly {low} {high} {} {} {groups:?}", rule.min_group, rule.entity))
}

fn hits(columns: &Columns, case: &Case, column: &str) -> bool {
    match columns {
        Columns::Named(names) => names.iter().any(|name| name == column),
        Columns::Tagged { tag, value } => {
            let on = |on: Option<&str>| {
                let found = |tagged: &&policy::set::Tagged| {
                    tagged.table == case.table && tagged.tag == *tag && tagged.column.as_deref() == on
                };
                case.set.tagged.iter().find(found).map(|tagged| tagged.value.clone())
            };
            match on(Some(column)).or(on(None)) {
                None => false,
                Some(here) => value.is_none() || *value == Some(here),
            }
        }
    }
}

fn rows(case: &Case, line: &[String], about: &[&Policy]) -> Option<Vec<usize>> {
    let (mut exists, mut freed, mut mine) = (false, false, vec![]);
    for policy in about {
        if let Rule::RowFilter(predicate) = &policy.rule {
            exists = true;
            let purposes = &policy.audience.purposes;
            let asked = purposes.is_empty() || purposes.iter().any(|purpose| line.contains(purpose));
            freed |= asked && belongs(&policy.audience.to, case) && belongs(&policy.audience.except, case);
            if named(&policy.audience, case, line) {
                mine.push(predicate);
            }
        }
    }
    if mine.iter().any(|predicate| lacks_an_attribute(predicate, case)) {
        return None;
    }
    let blocked = exists && !freed && mine.is_empty();
    let passes = |row: &Row| !blocked && mine.iter().all(|predicate| holds(predicate, case, row) == Some(true));
    Some((0..case.rows.len()).filter(|n| passes(&case.rows[*n])).collect())
}

fn lacks_an_attribute(predicate: &Predicate, case: &Case) -> bool {
    let missing = |name: &str| !case.subject.attributes.contains_key(name);
    let operand = |operand: &Operand| matches!(operand, Operand::Attribute(name) if missing(name));
    match predicate {
        Predicate::Compare { left, right, .. } => operand(left) || operand(right),
        Predicate::In { operand: of, list, .. } => {
            operand(of) || matches!(list, List::Attribute(name) if missing(name))
        }
        Predicate::IsNull { operand: of, .. } => operand(of),
        Predicate::And(parts) | Predicate::Or(parts) => parts.iter().any(|part| lacks_an_attribute(part, case)),
        Predicate::Not(part) => lacks_an_attribute(part, case),
    }
}

fn holds(predicate: &Predicate, case: &Case, row: &Row) -> Option<bool> {
    let value = |operand: &Operand| match operand {
        Operand::Column(name) => cell(name, row),
        Operand::Value(value) => written(value),
        Operand::Attribute(name) => attribute(name, case)[0].clone(),
    };
    match predicate {
        Predicate::Compare { left, comparison, right } => compare(&value(left), *comparison, &value(right)),
        Predicate::In { operand, list, negated } => {
            let list = match list {
                List::Values(values) => values.iter().map(written).collect(),
                List::Attribute(name) => attribute(name, case),
            };
            is_in(&value(operand), &list).map(|found| found != *negated)
        }
        Predicate::IsNull { operand, negated } => Some((value(operand) == Cell::Null) != *negated),
        Predicate::And(parts) => all(parts.iter().map(|part| holds(part, case, row))),
        Predicate::Or(parts) => {
            let any: Vec<_> = parts.iter().map(|part| holds(part, case, row)).collect();
            if any.contains(&Some(true)) {
                return Some(true);
            }
            if any.contains(&None) { None } else { Some(false) }
        }
        Predicate::Not(part) => holds(part, case, row).map(|held| !held),
    }
}

fn attribute(name: &str, case: &Case) -> Vec<Cell> {
    match &case.subject.attributes[name] {
        Attribute::One(value) => vec![written(value)],
        Attribute::Many(values) => values.iter().map(written).collect(),
    }
}

fn written(value: &Value) -> Cell {
    match value {
        Value::Integer(n) => Cell::Number(*n),
        Value::Text(text) => Cell::Text(text.clone()),
        other => panic!("no such value here: {other:?}"),
    }
}
