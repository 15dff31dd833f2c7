//! The keys of tables, as the protocol asks for them: primary keys where a source tells them, and none of other tables' keys.
//! The columns of the answers are those that drivers look for by name.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow_flight::sql::CommandGetPrimaryKeys;

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
    let is_asked = |table: &&ListedTable| {
        table.table == request.table
            && request.catalog.as_ref().is_none_or(|catalog| *catalog == table.catalog)
            && request.db_schema.as_ref().is_none_or(|schema| *schema == table.schema)
    };
    let keys: Vec<(&ListedTable, i32, &str)> = tables
        .iter()
        .filter(is_asked)
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

/// No key.
pub(super) fn none(schema: &SchemaRef) -> RecordBatch {
    RecordBatch::new_empty(Arc::clone(schema))
}

fn text(name: &str, nullable: bool) -> Field {
    Field::new(name, DataType::Utf8, nullable)
}
