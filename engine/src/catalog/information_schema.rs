//! `information_schema`: what metadata calls list, as tables. Under a catalog's name that catalog's part of it, under
//! `system` all of it; a column that is not clear says in which form it is seen.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use datafusion::catalog::{MemTable, TableProvider};
use datafusion::common::ResolvedTableReference;

use crate::catalog::system;
use crate::catalog::treatment::FORM_KEY;
use crate::error::{EngineError, Result};
use crate::flight::door::ListedTable;

/// The schema's name, under every catalog.
pub const SCHEMA: &str = "information_schema";

/// One row of `columns`: a table, a column's place in it, the column.
type ListedColumn<'a> = (&'a ListedTable, usize, &'a Arc<Field>);

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
        "schemata" => schemata(&seen)?,
        "tables" => tables(&seen)?,
        "columns" => columns(&seen)?,
        _ => return Ok(None),
    };
    Ok(Some(Arc::new(MemTable::try_new(batch.schema(), vec![vec![batch]])?)))
}

fn schemata(seen: &[&ListedTable]) -> Result<RecordBatch> {
    let mut schemas: Vec<(&str, &str)> =
        seen.iter().map(|table| (table.catalog.as_str(), table.schema.as_str())).collect();
    schemas.sort_unstable();
    schemas.dedup();
    batch(vec![
        ("catalog_name", texts(schemas.iter().map(|(catalog, _)| Some(*catalog)))),
        ("schema_name", texts(schemas.iter().map(|(_, schema)| Some(*schema)))),
    ])
}

fn tables(seen: &[&ListedTable]) -> Result<RecordBatch> {
    batch(vec![
        ("table_catalog", texts(seen.iter().map(|table| Some(table.catalog.as_str())))),
        ("table_schema", texts(seen.iter().map(|table| Some(table.schema.as_str())))),
        ("table_name", texts(seen.iter().map(|table| Some(table.table.as_str())))),
        ("table_type", texts(seen.iter().map(|table| Some(table.table_type)))),
        ("table_comment", texts(seen.iter().map(|table| table.comment.as_deref()))),
    ])
}

fn columns(seen: &[&ListedTable]) -> Result<RecordBatch> {
    let of_table = |table: &&'_ ListedTable| -> Vec<usize> { (0..table.columns.fields().len()).collect() };
    let listed: Vec<ListedColumn<'_>> = seen
        .iter()
        .flat_map(|table| {
            of_table(table).into_iter().zip(table.columns.fields()).map(|(at, field)| (*table, at, field))
        })
        .collect();
    let types: Vec<String> = listed.iter().map(|(_, _, field)| field.data_type().to_string()).collect();
    let positions = listed.iter().map(|(_, at, _)| i64::try_from(at + 1).unwrap_or(i64::MAX));
    batch(vec![
        ("table_catalog", texts(listed.iter().map(|(table, ..)| Some(table.catalog.as_str())))),
        ("table_schema", texts(listed.iter().map(|(table, ..)| Some(table.schema.as_str())))),
        ("table_name", texts(listed.iter().map(|(table, ..)| Some(table.table.as_str())))),
        ("column_name", texts(listed.iter().map(|(_, _, field)| Some(field.name().as_str())))),
        ("ordinal_position", Arc::new(Int64Array::from_iter_values(positions))),
        ("is_nullable", texts(listed.iter().map(|(_, _, field)| Some(if field.is_nullable() { "YES" } else { "NO" })))),
        ("data_type", texts(types.iter().map(|name| Some(name.as_str())))),
        ("form", texts(listed.iter().map(|(_, _, field)| field.metadata().get(FORM_KEY).map(String::as_str)))),
    ])
}

fn texts<'a>(values: impl Iterator<Item = Option<&'a str>>) -> ArrayRef {
    Arc::new(values.collect::<StringArray>())
}

fn batch(columns: Vec<(&str, ArrayRef)>) -> Result<RecordBatch> {
    let fields: Vec<Field> =
        columns.iter().map(|(name, array)| Field::new(*name, array.data_type().clone(), true)).collect();
    let arrays = columns.into_iter().map(|(_, array)| array).collect();
    debug_assert!(fields.iter().all(|field| matches!(field.data_type(), DataType::Utf8 | DataType::Int64)));
    RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).map_err(EngineError::internal)
}
