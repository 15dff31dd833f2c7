//! The keys of tables, as the protocol asks for them: primary and foreign ones, where a source tells them. The columns
//! of the answers are those that drivers look for by name.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Array, RecordBatch, StringArray, UInt8Array};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow_flight::sql::{
    CommandGetCrossReference, CommandGetExportedKeys, CommandGetImportedKeys, CommandGetPrimaryKeys,
};
use connectors::connector::ReferentialAction;

use crate::catalog::references::{Reference, references};
use crate::flight::door::ListedTable;

/// The columns of the answer to GetPrimaryKeys.
pub(super) fn primary() -> SchemaRef {
    Arc::new(Schema::new(vec![
        text("catalog_name", true),
        text("db_schema_name", true),
        text("table_name", false),
        text("column_name", false),
        Field::new("key_sequence", DataType::Int32, false),
        text("key_name", true),
    ]))
}

/// The columns of the answers to GetExportedKeys, GetImportedKeys and GetCrossReference.
pub(super) fn foreign() -> SchemaRef {
    Arc::new(Schema::new(vec![
        text("pk_catalog_name", true),
        text("pk_db_schema_name", true),
        text("pk_table_name", false),
        text("pk_column_name", false),
        text("fk_catalog_name", true),
        text("fk_db_schema_name", true),
        text("fk_table_name", false),
        text("fk_column_name", false),
        Field::new("key_sequence", DataType::Int32, false),
        text("fk_key_name", true),
        text("pk_key_name", true),
        Field::new("update_rule", DataType::UInt8, false),
        Field::new("delete_rule", DataType::UInt8, false),
    ]))
}

/// The columns of the primary keys of the tables of that name, in the order of a driver's listing.
///
/// # Errors
/// When the columns do not fit together: a defect.
pub(super) fn primary_of(tables: &[ListedTable], request: &CommandGetPrimaryKeys) -> Result<RecordBatch, ArrowError> {
    let asked =
        Asked { catalog: request.catalog.as_deref(), schema: request.db_schema.as_deref(), table: &request.table };
    let keys: Vec<(&ListedTable, i32, &str)> = tables
        .iter()
        .filter(|table| asked.is(table))
        .flat_map(|table| (1..).zip(&table.primary_key).map(move |(place, column)| (table, place, column.as_str())))
        .collect();
    let texts = |of: &dyn Fn(&ListedTable) -> &str| -> ArrayRef {
        Arc::new(keys.iter().map(|(table, _, _)| Some(of(table))).collect::<StringArray>())
    };
    let columns: Vec<ArrayRef> = vec![
        texts(&|table| &table.catalog),
        texts(&|table| &table.schema),
        texts(&|table| &table.table),
        Arc::new(keys.iter().map(|(_, _, column)| Some(*column)).collect::<StringArray>()),
        Arc::new(Int32Array::from_iter_values(keys.iter().map(|(_, place, _)| *place))),
        Arc::new(keys.iter().map(|(table, _, _)| Some(table.key_name())).collect::<StringArray>()),
    ];
    RecordBatch::try_new(primary(), columns)
}

/// The foreign keys that refer to the tables of that name, in the order of the protocol.
///
/// # Errors
/// When the columns do not fit together: a defect.
pub(super) fn exported(tables: &[ListedTable], request: &CommandGetExportedKeys) -> Result<RecordBatch, ArrowError> {
    let asked =
        Asked { catalog: request.catalog.as_deref(), schema: request.db_schema.as_deref(), table: &request.table };
    let references = references(tables.iter());
    let mut columns = columns_of(&references, |reference| asked.is(reference.to));
    columns.sort_by_key(|column| (names(column.reference.from), &*column.reference.name, column.place));
    batch(&columns)
}

/// The foreign keys of the tables of that name, likewise.
///
/// # Errors
/// When the columns do not fit together: a defect.
pub(super) fn imported(tables: &[ListedTable], request: &CommandGetImportedKeys) -> Result<RecordBatch, ArrowError> {
    let asked =
        Asked { catalog: request.catalog.as_deref(), schema: request.db_schema.as_deref(), table: &request.table };
    by_primary(tables, |reference| asked.is(reference.from))
}

/// The foreign keys of the tables of one name that refer to those of another, likewise.
///
/// # Errors
/// When the columns do not fit together: a defect.
pub(super) fn between(tables: &[ListedTable], request: &CommandGetCrossReference) -> Result<RecordBatch, ArrowError> {
    let from = Asked {
        catalog: request.fk_catalog.as_deref(),
        schema: request.fk_db_schema.as_deref(),
        table: &request.fk_table,
    };
    let to = Asked {
        catalog: request.pk_catalog.as_deref(),
        schema: request.pk_db_schema.as_deref(),
        table: &request.pk_table,
    };
    by_primary(tables, |reference| from.is(reference.from) && to.is(reference.to))
}

fn by_primary(tables: &[ListedTable], is_asked: impl Fn(&Reference<'_>) -> bool) -> Result<RecordBatch, ArrowError> {
    let references = references(tables.iter());
    let mut columns = columns_of(&references, is_asked);
    columns.sort_by_key(|column| {
        let Column { reference, place, .. } = *column;
        (names(reference.to), reference.unique_name.as_deref(), place, names(reference.from), &*reference.name)
    });
    batch(&columns)
}

/// The tables of a name, in the places that are named.
struct Asked<'a> {
    catalog: Option<&'a str>,
    schema: Option<&'a str>,
    table: &'a str,
}

impl Asked<'_> {
    fn is(&self, table: &ListedTable) -> bool {
        table.table == self.table
            && self.catalog.is_none_or(|catalog| catalog == table.catalog)
            && self.schema.is_none_or(|schema| schema == table.schema)
    }
}

/// A column of a foreign key, and the one that it refers to.
#[derive(Clone, Copy)]
struct Column<'a> {
    reference: &'a Reference<'a>,
    place: i32,
    from: &'a str,
    to: &'a str,
}

fn columns_of<'a>(references: &'a [Reference<'a>], is_asked: impl Fn(&Reference<'_>) -> bool) -> Vec<Column<'a>> {
    let asked = references.iter().filter(|reference| is_asked(reference));
    let columns = asked.flat_map(|reference| {
        (1..).zip(reference.columns()).map(move |(place, (from, to))| Column { reference, place, from, to })
    });
    columns.collect()
}

fn names(table: &ListedTable) -> [&str; 3] {
    [&table.catalog, &table.schema, &table.table]
}

fn batch(columns: &[Column<'_>]) -> Result<RecordBatch, ArrowError> {
    let texts = |of: &dyn Fn(&Column<'_>) -> Option<String>| -> ArrayRef {
        Arc::new(columns.iter().map(of).collect::<StringArray>())
    };
    let actions = |of: &dyn Fn(&Reference<'_>) -> Option<ReferentialAction>| -> ArrayRef {
        Arc::new(UInt8Array::from_iter_values(columns.iter().map(|column| action(of(column.reference)))))
    };
    let arrays: Vec<ArrayRef> = vec![
        texts(&|column| Some(column.reference.to.catalog.clone())),
        texts(&|column| Some(column.reference.to.schema.clone())),
        texts(&|column| Some(column.reference.to.table.clone())),
        texts(&|column| Some(column.to.to_string())),
        texts(&|column| Some(column.reference.from.catalog.clone())),
        texts(&|column| Some(column.reference.from.schema.clone())),
        texts(&|column| Some(column.reference.from.table.clone())),
        texts(&|column| Some(column.from.to_string())),
        Arc::new(Int32Array::from_iter_values(columns.iter().map(|column| column.place))),
        texts(&|column| Some(column.reference.name.clone())),
        texts(&|column| column.reference.unique_name.clone()),
        actions(&|reference| reference.key.on_update),
        actions(&|reference| reference.key.on_delete),
    ];
    RecordBatch::try_new(foreign(), arrays)
}

/// The protocol's number of an action, which it wants of every key: one that is not told changes nothing.
fn action(told: Option<ReferentialAction>) -> u8 {
    match told {
        Some(ReferentialAction::Cascade) => 0,
        Some(ReferentialAction::Restrict) => 1,
        Some(ReferentialAction::SetNull) => 2,
        Some(ReferentialAction::NoAction) | None => 3,
        Some(ReferentialAction::SetDefault) => 4,
    }
}

fn text(name: &str, nullable: bool) -> Field {
    Field::new(name, DataType::Utf8, nullable)
}
