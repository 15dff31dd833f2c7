//! `information_schema`: what metadata calls list, as the tables of SQL's standard. Under a catalog's name that
//! catalog's part of it, under `system` all of it. Beyond the standard, `tables` has the owner's comment and tags;
//! `columns` the same, the Arrow type and, for a column that is not clear, the form in which it is seen;
//! `key_column_usage`, as in MySQL, what a foreign key refers to.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use connectors::connector::ReferentialAction;
use datafusion::catalog::{MemTable, TableProvider};
use datafusion::common::ResolvedTableReference;

use crate::catalog::notes::{COMMENT_KEY, TAGS_KEY};
use crate::catalog::references::{Reference, references};
use crate::catalog::sql_type::{SqlType, sql_type};
use crate::catalog::system;
use crate::catalog::treatment::FORM_KEY;
use crate::error::{EngineError, Result};
use crate::flight::door::ListedTable;

/// The schema's name, under every catalog.
pub const SCHEMA: &str = "information_schema";

/// The columns of a table here, by name.
type Columns = Vec<(&'static str, ArrayRef)>;

/// One row of `columns`: a table, a column's place in it, the column, its type.
struct ListedColumn<'a> {
    table: &'a ListedTable,
    position: i64,
    field: &'a Field,
    sql_type: SqlType,
}

/// The table of that name over what the asker may see; `None` when there is none, or nothing of that catalog to see.
///
/// # Errors
/// When the columns do not fit together: a defect.
pub fn table(name: &ResolvedTableReference, listed: &[ListedTable]) -> Result<Option<Arc<dyn TableProvider>>> {
    let all = name.catalog.as_ref() == system::CATALOG;
    let seen: Vec<&ListedTable> = listed.iter().filter(|table| all || table.catalog == name.catalog.as_ref()).collect();
    if seen.is_empty() {
        return Ok(None);
    }
    let batch = match name.table.as_ref() {
        "information_schema_catalog_name" => catalog_name(name.catalog.as_ref()),
        "schemata" => schemata(&seen),
        "tables" => tables(&seen),
        "views" => views(&seen),
        "columns" => columns(&seen),
        "table_constraints" => table_constraints(&seen),
        "referential_constraints" => referential_constraints(&seen),
        "key_column_usage" => key_column_usage(&seen),
        _ => return Ok(None),
    };
    let batch = batch?;
    Ok(Some(Arc::new(MemTable::try_new(batch.schema(), vec![vec![batch]])?)))
}

fn catalog_name(catalog: &str) -> Result<RecordBatch> {
    batch(vec![("catalog_name", texts([Some(catalog)].into_iter()))])
}

fn schemata(seen: &[&ListedTable]) -> Result<RecordBatch> {
    let mut schemas: Vec<(&str, &str)> =
        seen.iter().map(|table| (table.catalog.as_str(), table.schema.as_str())).collect();
    schemas.sort_unstable();
    schemas.dedup();
    let untold = || texts(schemas.iter().map(|_| None));
    batch(vec![
        ("catalog_name", texts(schemas.iter().map(|(catalog, _)| Some(*catalog)))),
        ("schema_name", texts(schemas.iter().map(|(_, schema)| Some(*schema)))),
        ("schema_owner", untold()),
        ("default_character_set_catalog", untold()),
        ("default_character_set_schema", untold()),
        ("default_character_set_name", untold()),
        ("sql_path", untold()),
    ])
}

/// The columns that name a table.
fn named<'a>(tables: impl Iterator<Item = &'a ListedTable> + Clone) -> Columns {
    vec![
        ("table_catalog", texts(tables.clone().map(|table| Some(table.catalog.as_str())))),
        ("table_schema", texts(tables.clone().map(|table| Some(table.schema.as_str())))),
        ("table_name", texts(tables.map(|table| Some(table.table.as_str())))),
    ]
}

fn tables(seen: &[&ListedTable]) -> Result<RecordBatch> {
    let mut all = named(seen.iter().copied());
    all.extend([
        ("table_type", texts(seen.iter().map(|table| Some(table.table_type())))),
        ("is_insertable_into", texts(seen.iter().map(|_| Some("NO")))),
        ("is_typed", texts(seen.iter().map(|_| Some("NO")))),
        ("table_comment", texts(seen.iter().map(|table| table.comment.as_deref()))),
        ("tags", texts(seen.iter().map(|table| table.tags.as_deref()))),
    ]);
    batch(all)
}

/// A view's text is its owner's.
fn views(seen: &[&ListedTable]) -> Result<RecordBatch> {
    let views: Vec<&ListedTable> = seen.iter().copied().filter(|table| table.is_view).collect();
    let all_are = |value: Option<&'static str>| texts(views.iter().map(move |_| value));
    let mut all = named(views.iter().copied());
    all.extend([
        ("view_definition", all_are(None)),
        ("check_option", all_are(Some("NONE"))),
        ("is_updatable", all_are(Some("NO"))),
        ("is_insertable_into", all_are(Some("NO"))),
    ]);
    batch(all)
}

fn columns(seen: &[&ListedTable]) -> Result<RecordBatch> {
    let listed: Vec<ListedColumn<'_>> = seen
        .iter()
        .flat_map(|table| {
            (1..).zip(table.columns.fields()).map(|(position, field)| {
                let sql_type = sql_type(field.data_type());
                ListedColumn { table, position, field, sql_type }
            })
        })
        .collect();
    let arrow_types: Vec<String> = listed.iter().map(|column| column.field.data_type().to_string()).collect();
    let numbers = |of: &dyn Fn(&SqlType) -> Option<i64>| -> ArrayRef {
        Arc::new(listed.iter().map(|column| of(&column.sql_type)).collect::<Int64Array>())
    };
    let nullable = |field: &Field| Some(if field.is_nullable() { "YES" } else { "NO" });
    let mut all = named(listed.iter().map(|column| column.table));
    all.extend([
        ("column_name", texts(listed.iter().map(|column| Some(column.field.name().as_str())))),
        ("ordinal_position", Arc::new(Int64Array::from_iter_values(listed.iter().map(|column| column.position))) as _),
        ("column_default", texts(listed.iter().map(|_| None))),
        ("is_nullable", texts(listed.iter().map(|column| nullable(column.field)))),
        ("data_type", texts(listed.iter().map(|column| Some(column.sql_type.name)))),
        ("character_maximum_length", numbers(&|_| None)),
        ("character_octet_length", numbers(&|_| None)),
        ("numeric_precision", numbers(&|of| of.precision.map(i64::from))),
        ("numeric_precision_radix", numbers(&|of| of.radix.map(i64::from))),
        ("numeric_scale", numbers(&|of| of.scale.map(i64::from))),
        ("datetime_precision", numbers(&|of| of.fraction.map(i64::from))),
        ("arrow_type", texts(arrow_types.iter().map(|name| Some(name.as_str())))),
        ("form", texts(listed.iter().map(|column| noted(column.field, FORM_KEY)))),
        ("column_comment", texts(listed.iter().map(|column| noted(column.field, COMMENT_KEY)))),
        ("tags", texts(listed.iter().map(|column| noted(column.field, TAGS_KEY)))),
    ]);
    batch(all)
}

fn noted<'a>(field: &'a Field, key: &str) -> Option<&'a str> {
    field.metadata().get(key).map(String::as_str)
}

/// The columns that name a constraint of a table.
fn constraints<'a>(keys: impl Iterator<Item = (&'a ListedTable, &'a str)> + Clone) -> Columns {
    vec![
        ("constraint_catalog", texts(keys.clone().map(|(table, _)| Some(table.catalog.as_str())))),
        ("constraint_schema", texts(keys.clone().map(|(table, _)| Some(table.schema.as_str())))),
        ("constraint_name", texts(keys.map(|(_, name)| Some(name)))),
    ]
}

fn table_constraints(seen: &[&ListedTable]) -> Result<RecordBatch> {
    let references = references(seen.iter().copied());
    let keyed = seen.iter().copied().filter(|table| !table.primary_key.is_empty());
    let primary = keyed.map(|table| (table, table.key_name(), "PRIMARY KEY"));
    let foreign = references.iter().map(|reference| (reference.from, reference.name.clone(), "FOREIGN KEY"));
    let keys: Vec<(&ListedTable, String, &str)> = primary.chain(foreign).collect();
    let all_are = |value: &'static str| texts(keys.iter().map(move |_| Some(value)));
    let mut all = constraints(keys.iter().map(|(table, name, _)| (*table, name.as_str())));
    all.extend(named(keys.iter().map(|(table, _, _)| *table)));
    all.extend([
        ("constraint_type", texts(keys.iter().map(|(_, _, constraint_type)| Some(*constraint_type)))),
        ("is_deferrable", all_are("NO")),
        ("initially_deferred", all_are("NO")),
    ]);
    batch(all)
}

/// One row of `key_column_usage`.
struct KeyColumn<'a> {
    table: &'a ListedTable,
    name: String,
    column: &'a str,
    place: i64,
    /// Of a foreign key, the table and the column that it refers to, and that one's place in its key.
    refers_to: Option<(&'a ListedTable, &'a str, i64)>,
}

fn key_column_usage(seen: &[&ListedTable]) -> Result<RecordBatch> {
    let references = references(seen.iter().copied());
    let primary = seen.iter().flat_map(|table| columns_of_primary_key(table));
    let columns: Vec<KeyColumn<'_>> = primary.chain(references.iter().flat_map(columns_of_foreign_key)).collect();
    let referred = |of: &dyn Fn(&ListedTable, &str) -> String| -> ArrayRef {
        let told = columns.iter().map(|column| column.refers_to.map(|(table, column, _)| of(table, column)));
        Arc::new(told.collect::<StringArray>())
    };
    let mut all = constraints(columns.iter().map(|column| (column.table, column.name.as_str())));
    all.extend(named(columns.iter().map(|column| column.table)));
    all.extend([
        ("column_name", texts(columns.iter().map(|column| Some(column.column)))),
        ("ordinal_position", Arc::new(Int64Array::from_iter_values(columns.iter().map(|column| column.place))) as _),
        (
            "position_in_unique_constraint",
            Arc::new(columns.iter().map(|column| column.refers_to.map(|(_, _, place)| place)).collect::<Int64Array>())
                as _,
        ),
        ("referenced_table_schema", referred(&|table, _| table.schema.clone())),
        ("referenced_table_name", referred(&|table, _| table.table.clone())),
        ("referenced_column_name", referred(&|_, column| column.to_string())),
    ]);
    batch(all)
}

fn columns_of_primary_key(table: &ListedTable) -> impl Iterator<Item = KeyColumn<'_>> {
    (1..).zip(&table.primary_key).map(move |(place, column)| KeyColumn {
        table,
        name: table.key_name(),
        column: column.as_str(),
        place,
        refers_to: None,
    })
}

fn columns_of_foreign_key<'a>(reference: &Reference<'a>) -> impl Iterator<Item = KeyColumn<'a>> {
    let (from, to, name) = (reference.from, reference.to, reference.name.clone());
    let is_primary = reference.unique_name.is_some();
    (1..).zip(reference.columns()).map(move |(place, (column, referred))| {
        // Where the key is not the primary one, its order is not told but by those that refer to it.
        let there = (1..).zip(&to.primary_key).find(|(_, column)| is_primary && *column == referred);
        let there = there.map_or(place, |(place, _)| place);
        KeyColumn { table: from, name: name.clone(), column, place, refers_to: Some((to, referred, there)) }
    })
}

fn referential_constraints(seen: &[&ListedTable]) -> Result<RecordBatch> {
    let references = references(seen.iter().copied());
    let texts_of = |of: &dyn Fn(&Reference<'_>) -> Option<String>| -> ArrayRef {
        Arc::new(references.iter().map(of).collect::<StringArray>())
    };
    let action = |action: Option<ReferentialAction>| action.map(|action| action.as_sql().to_string());
    let mut all = constraints(references.iter().map(|reference| (reference.from, reference.name.as_str())));
    all.extend([
        ("unique_constraint_catalog", texts_of(&|reference| Some(reference.to.catalog.clone()))),
        ("unique_constraint_schema", texts_of(&|reference| Some(reference.to.schema.clone()))),
        ("unique_constraint_name", texts_of(&|reference| reference.unique_name.clone())),
        ("match_option", texts_of(&|_| None)),
        ("update_rule", texts_of(&|reference| action(reference.key.on_update))),
        ("delete_rule", texts_of(&|reference| action(reference.key.on_delete))),
    ]);
    batch(all)
}

fn texts<'a>(values: impl Iterator<Item = Option<&'a str>>) -> ArrayRef {
    Arc::new(values.collect::<StringArray>())
}

fn batch(columns: Columns) -> Result<RecordBatch> {
    let fields: Vec<Field> =
        columns.iter().map(|(name, array)| Field::new(*name, array.data_type().clone(), true)).collect();
    let arrays = columns.into_iter().map(|(_, array)| array).collect();
    debug_assert!(fields.iter().all(|field| matches!(field.data_type(), DataType::Utf8 | DataType::Int64)));
    RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).map_err(EngineError::internal)
}
