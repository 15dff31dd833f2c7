//! A small site: `civil.residents` and `civil.houses`, purposes, a grant for analysts, and statements as short words.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use policy::decide::{Question, decide};
use policy::decision::{Decision, Denial};
use policy::mask::ColumnMask;
use policy::predicate::{Comparison, List, Operand, Predicate};
use policy::resource::{Resource, TableName};
use policy::set::{Catalog, GrantRecord, PolicyRecord, PolicySet, Purpose, Tagged};
use policy::statement::{AggregateOnly, Audience, Columns, Grant, Mode, Party, Policy, Right, Rule};
use policy::subject::{Attribute, Subject};
use policy::time::Instant;
use policy::value::Value;

pub(crate) const NOW: Instant = Instant(1_000);

pub(crate) struct Site;

impl Catalog for Site {
    fn tables(&self, source: &str) -> Vec<TableName> {
        if source == "civil" { vec![houses(), residents()] } else { vec![] }
    }

    fn schema(&self, table: &TableName) -> Option<SchemaRef> {
        let text = |name| Field::new(name, DataType::Utf8, true);
        let columns = match table.to_string().as_str() {
            "civil.residents" => {
                vec![text("id_no"), text("name"), text("region"), Field::new("pay", DataType::Int64, true)]
            }
            "civil.houses" => vec![text("address"), text("region")],
            _ => return None,
        };
        Some(Arc::new(Schema::new(columns)))
    }
}

pub(crate) fn residents() -> TableName {
    TableName::new("civil", "residents")
}

pub(crate) fn houses() -> TableName {
    TableName::new("civil", "houses")
}

pub(crate) fn role(name: &str) -> Party {
    Party::Role(name.to_owned())
}

pub(crate) fn strings(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// A set with purposes `epidemiology UNDER research` and `billing`, tag `class`, and `grants`.
pub(crate) fn set(grants: Vec<Grant>) -> PolicySet {
    let purpose =
        |name: &str, under: Option<&str>| (name.to_owned(), Purpose { under: under.map(str::to_owned), comment: None });
    let columns = Site.tables("civil").into_iter().map(|table| {
        let schema = Site.schema(&table).unwrap();
        (table.to_string(), schema.fields().iter().map(|field| field.name().clone()).collect())
    });
    let columns: BTreeMap<_, _> = columns.collect();
    let record = |grant| GrantRecord { grant, at: Instant(0), author: "admin".to_owned(), columns: columns.clone() };
    let grants = grants.into_iter().enumerate().map(|(n, grant)| (format!("g-{}", n + 1), record(grant)));
    PolicySet {
        purposes: [purpose("research", None), purpose("epidemiology", Some("research")), purpose("billing", None)]
            .into(),
        tags: BTreeMap::from([("class".to_owned(), strings(&["personal", "public"]))]),
        grants: grants.collect(),
        ..PolicySet::default()
    }
}

pub(crate) fn grant(to: Party) -> Grant {
    Grant {
        id: None,
        right: Right::Select { resource: Resource::Schema("civil".to_owned()), to: vec![to] },
        purpose: None,
        mode: Mode::Shared,
        from: None,
        to: None,
        rows_per_day: None,
        bytes_per_day: None,
        references: vec![],
    }
}

/// Everything for analysts.
pub(crate) fn for_analysts() -> PolicySet {
    set(vec![grant(role("analyst"))])
}

pub(crate) fn audience(to: Party) -> Audience {
    Audience { to: vec![to], except: vec![], purposes: vec![] }
}

pub(crate) fn all_except(party: Party) -> Audience {
    Audience { to: vec![Party::All], except: vec![party], purposes: vec![] }
}

/// A policy on `civil.residents`.
pub(crate) fn policy(name: &str, rule: Rule, audience: Audience) -> Policy {
    Policy { name: name.to_owned(), resource: Resource::Table(residents()), rule, audience }
}

pub(crate) fn mask(mask: ColumnMask, columns: &[&str]) -> Rule {
    Rule::Mask(mask, Columns::Named(strings(columns)))
}

pub(crate) fn personal() -> Columns {
    Columns::Tagged { tag: "class".to_owned(), value: Some("personal".to_owned()) }
}

/// `region IN attribute('regions')`.
pub(crate) fn own_regions() -> Rule {
    let region = Operand::Column("region".to_owned());
    Rule::RowFilter(Predicate::In { operand: region, list: List::Attribute("regions".to_owned()), negated: false })
}

/// `pay < limit`.
pub(crate) fn pay_below(limit: i64) -> Rule {
    Rule::RowFilter(Predicate::Compare {
        left: Operand::Column("pay".to_owned()),
        comparison: Comparison::Less,
        right: Operand::Value(Value::Integer(limit)),
    })
}

/// `AGGREGATE ONLY (MIN GROUP k ENTITY id_no BOUNDS pay 0 TO 100 GROUP BY (region))` on these columns.
pub(crate) fn aggregates(min_group: u64, columns: &[&str]) -> Rule {
    let bounds = columns.iter().map(|column| ((*column).to_owned(), Value::Integer(0), Value::Integer(100))).collect();
    let rule = AggregateOnly { min_group, entity: "id_no".to_owned(), bounds, group_by: strings(&["region"]) };
    Rule::AggregateOnly(rule, Columns::Named(strings(columns)))
}

pub(crate) fn with(mut set: PolicySet, policies: Vec<Policy>) -> PolicySet {
    for policy in policies {
        let record = PolicyRecord { policy, at: Instant(0), author: "admin".to_owned(), uses: BTreeMap::new() };
        set.policies.insert(record.policy.name.clone(), record);
    }
    set
}

pub(crate) fn tag(set: &mut PolicySet, column: Option<&str>, value: &str) {
    set.tagged.push(Tagged {
        table: residents(),
        column: column.map(str::to_owned),
        tag: "class".to_owned(),
        value: value.to_owned(),
    });
}

/// `ann`, with these roles, every purpose, and `regions = ['north']`.
pub(crate) fn ann(roles: &[&str]) -> Subject {
    Subject {
        name: "ann".to_owned(),
        organisation: None,
        roles: roles.iter().map(|role| (*role).to_owned()).collect(),
        attributes: [("regions".to_owned(), Attribute::Many(vec![Value::Text("north".to_owned())]))].into(),
        purposes: strings(&["research", "epidemiology", "billing"]).into_iter().collect(),
    }
}

pub(crate) fn ask(set: &PolicySet, subject: &Subject, purpose: Option<&str>) -> Result<Decision, Denial> {
    let (table, schema) = (residents(), Site.schema(&residents()).unwrap());
    decide(set, &Question { subject, purpose, table: &table, schema: &schema, now: NOW })
}

/// What the analyst sees of `civil.residents` for epidemiology.
pub(crate) fn analyst_sees(set: &PolicySet) -> Result<Decision, Denial> {
    ask(set, &ann(&["analyst"]), Some("epidemiology"))
}

/// The forms of a decision in one line.
pub(crate) fn forms(decision: &Decision) -> String {
    let forms = decision.columns.iter().map(|column| column.treatment.to_string());
    forms.collect::<Vec<_>>().join(" | ")
}
