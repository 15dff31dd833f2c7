//! Random worlds: small alphabets, so that grants, policies, tags and questions meet often.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use policy::mask::ColumnMask;
use policy::predicate::{Comparison, List, Operand, Predicate};
use policy::resource::{Resource, TableName};
use policy::set::{GrantRecord, PolicyRecord, PolicySet, Purpose, Tagged};
use policy::statement::{AggregateOnly, Audience, Columns, Grant, Mode, Party, Policy, Right, Rule};
use policy::subject::{Attribute, Subject};
use policy::time::Instant;
use policy::value::Value;
use proptest::collection::{btree_map, btree_set, vec};
use proptest::option::{of, weighted};
use proptest::prelude::{Just, Strategy, any, prop_oneof};
use proptest::sample::{select, subsequence};

pub(crate) const COLUMNS: [&str; 4] = ["id", "region", "name", "pay"];
const PURPOSES: [&str; 4] = ["research", "epidemiology", "billing", "audit"];
const ROLES: [&str; 3] = ["analyst", "registrar", "clerk"];
const TAGS: [(&str, &str); 4] = [("class", "personal"), ("class", "public"), ("topic", "money"), ("topic", "place")];
const REGIONS: [&str; 3] = ["north", "south", "west"];

/// A cell of a row.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Cell {
    Null,
    Number(i64),
    Text(String),
}

/// A row, in the order of [`COLUMNS`].
pub(crate) type Row = Vec<Cell>;

/// Policies, a question, and rows to ask about.
#[derive(Debug, Clone)]
pub(crate) struct Case {
    pub(crate) set: PolicySet,
    pub(crate) subject: Subject,
    pub(crate) purpose: Option<String>,
    pub(crate) table: TableName,
    pub(crate) now: Instant,
    pub(crate) rows: Vec<Row>,
}

pub(crate) fn schema() -> SchemaRef {
    let text = |name| Field::new(name, DataType::Utf8, true);
    let number = |name| Field::new(name, DataType::Int64, true);
    Arc::new(Schema::new(vec![number("id"), text("region"), text("name"), number("pay")]))
}

pub(crate) fn case() -> impl Strategy<Value = Case> {
    (set(), subject(), weighted(0.9, word(&PURPOSES)), table(), 0..10_i64, vec(row(), 0..9)).prop_map(
        |(set, subject, purpose, table, now, rows)| Case { set, subject, purpose, table, now: Instant(now), rows },
    )
}

fn word(of: &'static [&'static str]) -> impl Strategy<Value = String> {
    select(of).prop_map(str::to_owned)
}

fn words(of: &'static [&'static str]) -> impl Strategy<Value = Vec<String>> {
    subsequence(of, 0..=of.len()).prop_map(|words| words.into_iter().map(str::to_owned).collect())
}

fn some_words(of: &'static [&'static str]) -> impl Strategy<Value = Vec<String>> {
    subsequence(of, 1..=of.len()).prop_map(|words| words.into_iter().map(str::to_owned).collect())
}

fn table() -> impl Strategy<Value = TableName> {
    select(&["residents", "houses"]).prop_map(|name| TableName::new("civil", name))
}

fn resource() -> impl Strategy<Value = Resource> {
    prop_oneof![
        2 => Just(Resource::Schema("civil".to_owned())),
        4 => table().prop_map(Resource::Table),
        1 => Just(Resource::Schema("hr".to_owned())),
    ]
}

fn party() -> impl Strategy<Value = Party> {
    prop_oneof![
        2 => Just(Party::All),
        1 => word(&ROLES).prop_map(Party::Role),
        1 => word(&["city", "state"]).prop_map(Party::Organisation),
        1 => word(&["ann", "bob"]).prop_map(Party::User),
    ]
}

fn audience() -> impl Strategy<Value = Audience> {
    let purposes = prop_oneof![5 => Just(vec![]), 1 => some_words(&PURPOSES)];
    (vec(party(), 1..3), vec(party().prop_filter("ALL", |party| *party != Party::All), 0..2), purposes)
        .prop_map(|(to, except, purposes)| Audience { to, except, purposes })
}

fn subject() -> impl Strategy<Value = Subject> {
    let purposes = prop_oneof![3 => Just(PURPOSES.iter().map(|p| (*p).to_owned()).collect()), 1 => words(&PURPOSES)];
    (word(&["ann", "bob"]), of(word(&["city", "state"])), words(&ROLES), purposes, attributes()).prop_map(
        |(name, organisation, roles, purposes, attributes)| Subject {
            name,
            organisation,
            roles: roles.into_iter().collect(),
            attributes,
            purposes: purposes.into_iter().collect(),
        },
    )
}

fn attributes() -> impl Strategy<Value = BTreeMap<String, Attribute>> {
    let texts = |texts: Vec<String>| Attribute::Many(texts.into_iter().map(Value::Text).collect());
    let regions = weighted(0.9, words(&REGIONS).prop_map(texts));
    let home = weighted(0.9, word(&REGIONS).prop_map(|home| Attribute::One(Value::Text(home))));
    (regions, home).prop_map(|(regions, home)| {
        let named = [("regions", regions), ("home", home)];
        named.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
    })
}

fn set() -> impl Strategy<Value = PolicySet> {
    let parts = (purposes(), vec(grant(), 1..5), vec(policy(), 0..7), tagged());
    let accepted = btree_set((table(), word(&COLUMNS)), 0..4);
    (parts, accepted, of(5..12_i64)).prop_map(|((purposes, grants, policies, tagged), accepted, until)| PolicySet {
        version: 1,
        last_grant: 0,
        tags: BTreeMap::from([
            ("class".to_owned(), vec!["personal".to_owned(), "public".to_owned()]),
            ("topic".to_owned(), vec!["money".to_owned(), "place".to_owned()]),
        ]),
        purposes,
        grants: grants.into_iter().enumerate().map(|(n, grant)| (format!("g-{n}"), grant)).collect(),
        policies: policies.into_iter().enumerate().map(|(n, policy)| numbered(n, policy)).collect(),
        tagged,
        accepted,
        valid_until: until.map(Instant),
    })
}

fn numbered(n: usize, mut record: PolicyRecord) -> (String, PolicyRecord) {
    record.policy.name = format!("p{n}");
    (record.policy.name.clone(), record)
}

/// Each purpose may be a part of one before it.
fn purposes() -> impl Strategy<Value = BTreeMap<String, Purpose>> {
    vec(of(0..3_usize), PURPOSES.len()).prop_map(|under| {
        let purpose = |(n, under): (usize, Option<usize>)| {
            let under = under.filter(|under| *under < n).map(|under| PURPOSES[under].to_owned());
            (PURPOSES[n].to_owned(), Purpose { under, comment: None })
        };
        under.into_iter().enumerate().map(purpose).collect()
    })
}

fn tagged() -> impl Strategy<Value = Vec<Tagged>> {
    let key = (table(), of(word(&COLUMNS)), any::<bool>());
    btree_map(key, any::<bool>(), 0..6).prop_map(|tags| {
        let one = |((table, column, class), first): ((TableName, Option<String>, bool), bool)| {
            let (tag, value) = TAGS[usize::from(!class) * 2 + usize::from(!first)];
            Tagged { table, column, tag: tag.to_owned(), value: value.to_owned() }
        };
        tags.into_iter().map(one).collect()
    })
}

fn grant() -> impl Strategy<Value = GrantRecord> {
    let mode = select(vec![Mode::Shared, Mode::Shared, Mode::Shared, Mode::Open, Mode::Operated]);
    let times = (of(0..5_i64), of(3..10_i64));
    let right = (resource(), vec(party(), 1..3)).prop_map(|(resource, to)| Right::Select { resource, to });
    let columns = btree_map(table().prop_map(|table| table.to_string()), covered(), 1..3);
    let caps = (weighted(0.3, 1..9_u64), weighted(0.3, 1..9_u64));
    (right, weighted(0.3, word(&PURPOSES)), mode, times, caps, columns).prop_map(
        |(right, purpose, mode, (from, to), (rows_per_day, bytes_per_day), columns)| GrantRecord {
            grant: Grant {
                id: None,
                right,
                purpose,
                mode,
                from: from.map(Instant),
                to: to.map(Instant),
                rows_per_day,
                bytes_per_day,
                references: vec![],
            },
            at: Instant(0),
            author: "admin".to_owned(),
            columns,
        },
    )
}

fn covered() -> impl Strategy<Value = BTreeSet<String>> {
    let all = COLUMNS.iter().map(|column| (*column).to_owned()).collect::<Vec<_>>();
    prop_oneof![3 => Just(all), 1 => words(&COLUMNS)].prop_map(|columns| columns.into_iter().collect())
}

fn policy() -> impl Strategy<Value = PolicyRecord> {
    (resource(), rule(), audience(), uses()).prop_map(|(resource, rule, audience, uses)| PolicyRecord {
        policy: Policy { name: String::new(), resource, rule, audience },
        at: Instant(0),
        author: "admin".to_owned(),
        uses,
    })
}

/// Mostly as the table is; now and then of another type, or a column that is gone.
fn uses() -> impl Strategy<Value = BTreeMap<String, BTreeMap<String, String>>> {
    let used = prop_oneof![
        40 => Just(vec![]),
        10 => Just(vec![("pay", "Int64")]),
        1 => Just(vec![("pay", "Utf8")]),
        1 => Just(vec![("gone", "Int64")]),
    ];
    (table(), used).prop_map(|(table, used)| {
        let used = used.into_iter().map(|(column, data_type)| (column.to_owned(), data_type.to_owned()));
        BTreeMap::from([(table.to_string(), used.collect())])
    })
}

fn rule() -> impl Strategy<Value = Rule> {
    prop_oneof![
        4 => (mask(), columns()).prop_map(|(mask, columns)| Rule::Mask(mask, columns)),
        3 => predicate().prop_map(Rule::RowFilter),
        2 => aggregate_only(),
    ]
}

fn mask() -> impl Strategy<Value = ColumnMask> {
    select(vec![
        ColumnMask::Hide,
        ColumnMask::ReplaceWithNull,
        ColumnMask::Fixed(Value::Text("x".to_owned())),
        ColumnMask::Pseudonym("a".to_owned()),
        ColumnMask::Pseudonym("b".to_owned()),
        ColumnMask::Bucket(Value::Integer(10)),
        ColumnMask::ShowFirst(1),
        ColumnMask::ShowLast(2),
        ColumnMask::MaskAlphanum,
    ])
}

fn columns() -> impl Strategy<Value = Columns> {
    let tag = select(&TAGS).prop_flat_map(|(tag, value)| {
        let tagged = move |value| Columns::Tagged { tag: tag.to_owned(), value };
        of(Just(value.to_owned())).prop_map(tagged)
    });
    prop_oneof![2 => some_words(&["region", "name"]).prop_map(Columns::Named),
                1 => some_words(&COLUMNS).prop_map(Columns::Named),
                2 => tag]
}

fn aggregate_only() -> impl Strategy<Value = Rule> {
    let named = word(&["pay", "id"]).prop_map(|name| Columns::Named(vec![name]));
    let columns = prop_oneof![5 => named, 1 => columns()];
    (columns, select(&[5_u64, 10]), word(&["id", "name"]), words(&["region", "name"])).prop_map(
        |(columns, min_group, entity, group_by)| {
            let bounds = ["pay", "id"].map(|name| (name.to_owned(), Value::Integer(0), Value::Integer(100)));
            Rule::AggregateOnly(AggregateOnly { min_group, entity, bounds: bounds.to_vec(), group_by }, columns)
        },
    )
}

fn predicate() -> impl Strategy<Value = Predicate> {
    let leaf = prop_oneof![
        (any::<bool>(), list()).prop_map(|(negated, list)| Predicate::In { operand: column("region"), list, negated }),
        (select(vec!["id", "region", "pay"]), any::<bool>())
            .prop_map(|(name, negated)| Predicate::IsNull { operand: column(name), negated }),
        (comparison(), sides()).prop_map(|(comparison, (left, right))| Predicate::Compare { left, comparison, right }),
    ];
    leaf.prop_recursive(2, 6, 2, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..3).prop_map(Predicate::And),
            vec(inner.clone(), 0..3).prop_map(Predicate::Or),
            inner.prop_map(|part| Predicate::Not(Box::new(part))),
        ]
    })
}

fn column(name: &str) -> Operand {
    Operand::Column(name.to_owned())
}

fn list() -> impl Strategy<Value = List> {
    let values = |texts: Vec<String>| List::Values(texts.into_iter().map(Value::Text).collect());
    prop_oneof![
        some_words(&REGIONS).prop_map(values),
        Just(List::Attribute("regions".to_owned())),
        Just(List::Attribute("home".to_owned())),
    ]
}

fn sides() -> impl Strategy<Value = (Operand, Operand)> {
    prop_oneof![
        Just((column("region"), Operand::Attribute("home".to_owned()))),
        Just((column("region"), column("name"))),
        Just((column("id"), column("pay"))),
        (0..4_i64).prop_map(|n| (column("pay"), Operand::Value(Value::Integer(n)))),
        word(&REGIONS).prop_map(|region| (Operand::Value(Value::Text(region)), column("region"))),
    ]
}

fn comparison() -> impl Strategy<Value = Comparison> {
    select(vec![
        Comparison::Equal,
        Comparison::NotEqual,
        Comparison::Less,
        Comparison::LessOrEqual,
        Comparison::Greater,
        Comparison::GreaterOrEqual,
    ])
}

fn row() -> impl Strategy<Value = Row> {
    let number = || weighted(0.8, 0..4_i64).prop_map(|n| n.map_or(Cell::Null, Cell::Number));
    let text = || weighted(0.8, word(&REGIONS)).prop_map(|text| text.map_or(Cell::Null, Cell::Text));
    (number(), text(), text(), number()).prop_map(|(id, region, name, pay)| vec![id, region, name, pay])
}
