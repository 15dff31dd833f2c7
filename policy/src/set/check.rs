//! Whether what a statement names is there and fits: against what is in force, and the tables as they are now.

use std::collections::{BTreeMap, BTreeSet};

use arrow::datatypes::{DataType, Schema, SchemaRef};

use super::{Catalog, PolicySet, Tagged};
use crate::decide::tags::NEVER_OPEN;
use crate::error::{PolicyError, Result};
use crate::mask::ColumnMask;
use crate::meeting;
use crate::predicate::{List, Operand, Predicate};
use crate::resource::{Resource, TableName};
use crate::statement::{AggregateOnly, Columns, Grant, Mode, Policy, Right, Rule};
use crate::value::Value;

/// `source.table` → columns.
type TableColumns = BTreeMap<String, BTreeSet<String>>;

/// Column → type.
type ColumnTypes = BTreeMap<String, String>;

/// `source.table` → what is used of it.
type Uses = BTreeMap<String, ColumnTypes>;

fn bound_fits(bound: &Value, kind: &DataType) -> bool {
    bound.to_scalar(kind).is_some()
}

/// Refuses a policy that gives a column, which another one names too, a different form of the same strictness for an
/// overlapping audience.
pub(super) fn refuse_conflicts(set: &PolicySet, policy: &Policy) -> Result<()> {
    match meeting::conflicts(set, policy).as_slice() {
        [] => Ok(()),
        conflicts => Err(refused(conflicts.join("; "))),
    }
}

/// Treatments that tags or roles make meet, a sentence each.
pub(super) fn meetings(set: &PolicySet, catalog: &dyn Catalog) -> Vec<String> {
    meeting::meetings(set, catalog).iter().map(ToString::to_string).collect()
}

/// The purpose is there.
pub(super) fn purpose(set: &PolicySet, name: &str) -> Result<()> {
    match set.purposes.contains_key(name) {
        true => Ok(()),
        false => Err(not_found(format!("there is no purpose `{name}`; CREATE PURPOSE {name} first"))),
    }
}

/// The column is there; its type.
pub(super) fn column(table: &TableName, column: &str, catalog: &dyn Catalog) -> Result<DataType> {
    let schema = schema(table, catalog)?;
    let field = schema.field_with_name(column).map_err(|_| no_column(table, column))?;
    Ok(field.data_type().clone())
}

fn schema(table: &TableName, catalog: &dyn Catalog) -> Result<SchemaRef> {
    catalog.schema(table).ok_or_else(|| not_found(format!("there is no table `{table}` here")))
}

/// The tables of a resource, at least one, with their columns.
fn tables(resource: &Resource, catalog: &dyn Catalog) -> Result<Vec<(TableName, SchemaRef)>> {
    let names = match resource {
        Resource::Table(table) => vec![table.clone()],
        Resource::Schema(source) => catalog.tables(source),
    };
    if names.is_empty() {
        return Err(not_found(format!("there is no schema with tables `{}` here", source(resource))));
    }
    names.into_iter().map(|table| schema(&table, catalog).map(|schema| (table, schema))).collect()
}

fn source(resource: &Resource) -> &str {
    match resource {
        Resource::Schema(source) => source,
        Resource::Table(table) => &table.source,
    }
}

/// A grant names what is there; the columns that it covers.
pub(super) fn grant(set: &PolicySet, grant: &Grant, catalog: &dyn Catalog) -> Result<TableColumns> {
    grant.purpose.iter().try_for_each(|name| purpose(set, name))?;
    let resource = match &grant.right {
        Right::Select { resource, .. } => resource.clone(),
        Right::Join { table, columns, .. } => {
            columns.iter().try_for_each(|name| column(table, name, catalog).map(drop))?;
            Resource::Table(table.clone())
        }
    };
    let tables = tables(&resource, catalog)?;
    if grant.mode == Mode::Open {
        tables.iter().try_for_each(|(table, _)| may_be_open(set, table))?;
    }
    let columns = |schema: &Schema| schema.fields().iter().map(|field| field.name().clone()).collect();
    Ok(tables.iter().map(|(table, schema)| (table.to_string(), columns(schema))).collect())
}

fn may_be_open(set: &PolicySet, table: &TableName) -> Result<()> {
    let never = |tagged: &&Tagged| tagged.table == *table && NEVER_OPEN.contains(&tagged.value.as_str());
    match set.tagged.iter().find(never) {
        Some(tagged) => {
            Err(refused(format!("{tagged} is tagged {} = '{}': it cannot be OPEN", tagged.tag, tagged.value)))
        }
        None => Ok(()),
    }
}

/// A tag can be set: table, column, tag and value are there, and no grant to everyone forbids it.
pub(super) fn tagging(set: &PolicySet, tagged: &Tagged, catalog: &dyn Catalog) -> Result<()> {
    match &tagged.column {
        Some(name) => column(&tagged.table, name, catalog).map(drop)?,
        None => schema(&tagged.table, catalog).map(drop)?,
    }
    tag(set, &tagged.tag, Some(&tagged.value))?;
    let open = set.grants.values().find(|record| {
        record.grant.mode == Mode::Open
            && matches!(&record.grant.right, Right::Select { resource, .. } if resource.covers(&tagged.table))
    });
    match open {
        Some(record) if NEVER_OPEN.contains(&tagged.value.as_str()) => Err(refused(format!(
            "`{}` is open to everyone by the grant '{}'; revoke it first",
            tagged.table,
            record.grant.id.as_deref().unwrap_or_default()
        ))),
        _ => Ok(()),
    }
}

/// The tag, and its value if one is named, are there.
fn tag(set: &PolicySet, name: &str, value: Option<&str>) -> Result<()> {
    let values =
        set.tags.get(name).ok_or_else(|| not_found(format!("there is no tag `{name}`; CREATE TAG it first")))?;
    match value.filter(|value| !values.iter().any(|known| known == value)) {
        Some(value) => {
            Err(not_found(format!("the tag `{name}` has no value '{value}'; it has '{}'", values.join("', '"))))
        }
        None => Ok(()),
    }
}

/// Writes down what policies that match by tags use of a table whose tags have changed. What they used before keeps the
/// type that it had then; of a table that is gone nothing is new.
///
/// # Errors
/// A policy that does not fit the table with these tags.
pub(super) fn retag(set: &mut PolicySet, table: &TableName, catalog: &dyn Catalog) -> Result<()> {
    if !catalog.knows_types() {
        return Ok(());
    }
    let by_tag = |policy: &&Policy| policy.resource.covers(table) && tag_of(policy).is_some();
    let policies: Vec<Policy> = set.policies.values().map(|record| &record.policy).filter(by_tag).cloned().collect();
    for policy in policies {
        let used = match catalog.schema(table) {
            None => BTreeMap::new(),
            Some(schema) => on_table(set, &policy.rule, table, &schema)
                .map_err(|e| refused(format!("the policy `{}` does not fit then: {e}", policy.name)))?,
        };
        let used = with_types_before(set, &policy, table, used);
        let Some(record) = set.policies.get_mut(&policy.name) else { continue };
        if used.is_empty() {
            record.uses.remove(&table.to_string());
        } else {
            record.uses.insert(table.to_string(), used);
        }
    }
    Ok(())
}

/// What a policy that matches by a tag uses of a table now, with the types of what it used before; a column that is gone
/// and still tagged is used still.
fn with_types_before(set: &PolicySet, policy: &Policy, table: &TableName, mut used: ColumnTypes) -> ColumnTypes {
    let before = set.policies.get(&policy.name).and_then(|record| record.uses.get(&table.to_string()));
    for (column, kind) in before.into_iter().flatten() {
        if used.contains_key(column) || is_tagged(set, policy, table, column) {
            used.insert(column.clone(), kind.clone());
        }
    }
    used
}

fn is_tagged(set: &PolicySet, policy: &Policy, table: &TableName, column: &str) -> bool {
    tag_of(policy).is_some_and(|(tag, value)| {
        tag_value(set, table, column, tag).is_some_and(|found| value.is_none_or(|value| value == found))
    })
}

/// The tag that a policy matches columns by.
pub(super) fn tag_of(policy: &Policy) -> Option<(&str, Option<&str>)> {
    match &policy.rule {
        Rule::Mask(_, Columns::Tagged { tag, value }) | Rule::AggregateOnly(_, Columns::Tagged { tag, value }) => {
            Some((tag, value.as_deref()))
        }
        Rule::Mask(_, Columns::Named(_)) | Rule::AggregateOnly(_, Columns::Named(_)) | Rule::RowFilter(_) => None,
    }
}

/// A policy names what is there, and it fits; the columns that it names or takes by their tags, with their types.
pub(super) fn policy(set: &PolicySet, policy: &Policy, catalog: &dyn Catalog) -> Result<Uses> {
    policy.audience.purposes.iter().try_for_each(|name| purpose(set, name))?;
    tag_of(policy).into_iter().try_for_each(|(name, value)| tag(set, name, value))?;
    let tables = tables(&policy.resource, catalog)?;
    if let Rule::Mask(_, Columns::Named(names)) | Rule::AggregateOnly(_, Columns::Named(names)) = &policy.rule {
        names.iter().try_for_each(|name| somewhere(&tables, name))?;
    }
    if let Rule::AggregateOnly(rule, _) = &policy.rule {
        bounds_in_order(rule)?;
    }
    if !catalog.knows_types() {
        return names_fit(set, &policy.rule, &tables).map(|()| Uses::new());
    }
    let mut uses = Uses::new();
    for (table, schema) in &tables {
        let used = on_table(set, &policy.rule, table, schema)?;
        if !used.is_empty() {
            uses.insert(table.to_string(), used);
        }
    }
    Ok(uses)
}

/// What can be said of a rule by names alone.
fn names_fit(set: &PolicySet, rule: &Rule, tables: &[(TableName, SchemaRef)]) -> Result<()> {
    let Rule::AggregateOnly(rule, columns) = rule else { return Ok(()) };
    tables.iter().try_for_each(|(table, schema)| {
        let treated = treated(set, columns, table, schema);
        treated.iter().try_for_each(|column| aggregate_fits(rule, table, column).map(drop))
    })
}

/// Over a schema, a named column is that of the tables that have it; one must.
fn somewhere(tables: &[(TableName, SchemaRef)], column: &str) -> Result<()> {
    match tables {
        _ if tables.iter().any(|(_, schema)| schema.field_with_name(column).is_ok()) => Ok(()),
        [(table, _)] => Err(no_column(table, column)),
        _ => Err(not_found(format!("no table of the schema has a column `{column}`"))),
    }
}

/// The columns of one table that a rule uses, with their types, if it fits the table. A row filter needs all its columns
/// in every table; other rules pass over a table that has none of theirs.
fn on_table(set: &PolicySet, rule: &Rule, table: &TableName, schema: &Schema) -> Result<ColumnTypes> {
    match rule {
        Rule::RowFilter(predicate) => {
            let used = types(table, schema, columns_read(predicate))?;
            predicate.check(schema).map_err(|why| refused(format!("`{table}`: {why}")))?;
            Ok(used)
        }
        Rule::Mask(mask, columns) => {
            let treated = treated(set, columns, table, schema);
            masks_fit(mask, table, schema, &treated)?;
            types(table, schema, treated)
        }
        Rule::AggregateOnly(rule, columns) => {
            let treated = treated(set, columns, table, schema);
            if treated.is_empty() {
                return Ok(BTreeMap::new());
            }
            aggregates_fit(rule, table, schema, &treated)?;
            let keys = rule.group_by.iter().map(String::as_str).chain([rule.entity.as_str()]);
            types(table, schema, keys.chain(treated))
        }
    }
}

/// Columns of a table with their types; they must be there.
fn types<'a>(table: &TableName, schema: &Schema, columns: impl IntoIterator<Item = &'a str>) -> Result<ColumnTypes> {
    let typed = |column: &'a str| {
        let field = schema.field_with_name(column).map_err(|_| no_column(table, column))?;
        Ok((column.to_owned(), field.data_type().to_string()))
    };
    columns.into_iter().map(typed).collect()
}

/// The columns of a table that a policy is about now.
fn treated<'a>(set: &PolicySet, columns: &Columns, table: &TableName, schema: &'a Schema) -> Vec<&'a str> {
    let names = schema.fields().iter().map(|field| field.name().as_str());
    match columns {
        Columns::Named(named) => names.filter(|name| named.iter().any(|other| other == name)).collect(),
        Columns::Tagged { tag, value } => {
            let has = |name: &&str| match tag_value(set, table, name, tag) {
                Some(found) => value.as_ref().is_none_or(|value| value == found),
                None => false,
            };
            names.filter(has).collect()
        }
    }
}

/// A column's value of a tag: its own, or the table's.
fn tag_value<'a>(set: &'a PolicySet, table: &TableName, column: &str, tag: &str) -> Option<&'a String> {
    let on = |column: Option<&str>| {
        let mut here = set.tagged.iter().filter(|tagged| tagged.table == *table && tagged.tag == tag);
        here.find(|tagged| tagged.column.as_deref() == column).map(|tagged| &tagged.value)
    };
    on(Some(column)).or_else(|| on(None))
}

fn masks_fit(mask: &ColumnMask, table: &TableName, schema: &Schema, columns: &[&str]) -> Result<()> {
    columns.iter().try_for_each(|column| {
        let field = schema.field_with_name(column).map_err(|_| no_column(table, column))?;
        mask.check(field.data_type()).map_err(|why| refused(format!("`{table}.{column}`: {why}")))
    })
}

fn bounds_in_order(rule: &AggregateOnly) -> Result<()> {
    match rule.bounds.iter().find(|(_, low, high)| !in_order(low, high)) {
        Some((column, low, high)) => Err(refused(format!("the bounds of `{column}` are upside down: {low} TO {high}"))),
        None => Ok(()),
    }
}

fn aggregates_fit(rule: &AggregateOnly, table: &TableName, schema: &Schema, columns: &[&str]) -> Result<()> {
    for column in columns {
        let kind = schema.field_with_name(column).map_err(|_| no_column(table, column))?.data_type();
        if !kind.is_numeric() {
            return Err(refused(format!("`{table}.{column}` is {kind}; AGGREGATE ONLY is for numbers")));
        }
        let (low, high) = aggregate_fits(rule, table, column)?;
        if !bound_fits(low, kind) || !bound_fits(high, kind) {
            return Err(refused(format!(
                "the bounds {low} TO {high} are not values of `{table}.{column}`, which is {kind}"
            )));
        }
    }
    Ok(())
}

/// The bounds of a column, which is no key of the groups.
fn aggregate_fits<'a>(rule: &'a AggregateOnly, table: &TableName, column: &str) -> Result<(&'a Value, &'a Value)> {
    if rule.entity == column || rule.group_by.iter().any(|name| name == column) {
        return Err(refused(format!("`{column}` is aggregate-only: it cannot be ENTITY or in GROUP BY")));
    }
    match rule.bounds.iter().find(|(name, ..)| name == column) {
        Some((_, low, high)) => Ok((low, high)),
        None => Err(refused(format!("`{table}.{column}` has no bounds: write BOUNDS {column} low TO high"))),
    }
}

/// The columns that a filter reads.
pub(super) fn columns_read(predicate: &Predicate) -> Vec<&str> {
    fn column(operand: &Operand) -> Option<&str> {
        match operand {
            Operand::Column(name) => Some(name),
            Operand::Value(_) | Operand::Attribute(_) => None,
        }
    }
    match predicate {
        Predicate::Compare { left, right, .. } => column(left).into_iter().chain(column(right)).collect(),
        Predicate::In { operand, list: List::Values(_) | List::Attribute(_), .. } => {
            column(operand).into_iter().collect()
        }
        Predicate::IsNull { operand, .. } => column(operand).into_iter().collect(),
        Predicate::And(parts) | Predicate::Or(parts) => parts.iter().flat_map(columns_read).collect(),
        Predicate::Not(inner) => columns_read(inner),
    }
}

/// Whether one number is at most another, by their digits: no float in between.
pub(crate) fn in_order(low: &Value, high: &Value) -> bool {
    let (low, high) = (low.to_string(), high.to_string());
    let (low, high) = (Digits::of(&low), Digits::of(&high));
    match (low.negative, high.negative) {
        (false, false) => low.size() <= high.size(),
        (true, true) => high.size() <= low.size(),
        (negative, _) => negative,
    }
}

/// A number taken apart, without zeros that say nothing.
struct Digits<'a> {
    negative: bool,
    whole: &'a str,
    fraction: &'a str,
}

impl<'a> Digits<'a> {
    fn of(number: &'a str) -> Self {
        let digits = number.strip_prefix('-').unwrap_or(number);
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let (whole, fraction) = (whole.trim_start_matches('0'), fraction.trim_end_matches('0'));
        Self { negative: digits.len() < number.len() && !(whole.is_empty() && fraction.is_empty()), whole, fraction }
    }

    /// Orders numbers without their sign.
    fn size(&self) -> (usize, &'a str, &'a str) {
        (self.whole.len(), self.whole, self.fraction)
    }
}

fn no_column(table: &TableName, column: &str) -> PolicyError {
    not_found(format!("there is no column `{table}.{column}`"))
}

fn not_found(message: String) -> PolicyError {
    PolicyError::NotFound(message)
}

fn refused(message: String) -> PolicyError {
    PolicyError::Refused(message)
}
