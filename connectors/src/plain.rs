//! Plain types, which every client can read: what a description is made of, and batches brought to it.

use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema, SchemaRef};
use arrow::error::ArrowError;

use crate::sabotage::keeps_metadata;

/// `schema` with plain types and without metadata: what pandas or Spark wrote about it is not part of the table, and
/// views, dictionaries and large offsets are matters of layout that not every client can read.
pub(crate) fn plain(schema: &Schema) -> Schema {
    Schema::new(schema.fields().iter().map(plain_field).collect::<Fields>())
}

fn plain_field(field: &FieldRef) -> FieldRef {
    let plain = Field::new(field.name(), plain_type(field.data_type()), field.is_nullable());
    Arc::new(if keeps_metadata() { plain.with_metadata(field.metadata().clone()) } else { plain })
}

/// The plain type of the same values.
pub(crate) fn plain_type(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Utf8View | DataType::LargeUtf8 => DataType::Utf8,
        DataType::BinaryView | DataType::LargeBinary => DataType::Binary,
        DataType::Dictionary(_, values) => plain_type(values),
        DataType::RunEndEncoded(_, values) => plain_type(values.data_type()),
        DataType::List(item) | DataType::LargeList(item) | DataType::ListView(item) | DataType::LargeListView(item) => {
            DataType::List(plain_field(item))
        }
        DataType::FixedSizeList(item, size) => DataType::FixedSizeList(plain_field(item), *size),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(plain_field).collect()),
        DataType::Map(entries, sorted) => DataType::Map(plain_field(entries), *sorted),
        DataType::Null => DataType::Utf8,
        other => other.clone(),
    }
}

/// The batch under the names, types and nullability of `schema`, column by column; its own names do not matter.
///
/// # Errors
/// A column that cannot be cast, or that has a NULL where `schema` allows none.
pub fn conform(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, ArrowError> {
    // A value that does not fit is an error, not a NULL.
    let exact = CastOptions { safe: false, ..CastOptions::default() };
    let columns = batch
        .columns()
        .iter()
        .zip(schema.fields())
        .map(|(column, field)| {
            if column.data_type() == field.data_type() {
                Ok(Arc::clone(column))
            } else {
                cast_with_options(column, field.data_type(), &exact)
            }
        })
        .collect::<Result<Vec<_>, _>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layout_and_metadata_are_stripped_at_every_depth() {
        let views = Field::new("item", DataType::Utf8View, true).with_metadata([("k".into(), "v".into())].into());
        let field = Field::new("a", DataType::LargeList(Arc::new(views)), false);
        let schema = Schema::new_with_metadata(vec![field], [("pandas".into(), "{}".into())].into());
        let expected = Field::new("a", DataType::List(Arc::new(Field::new("item", DataType::Utf8, true))), false);
        assert_eq!(plain(&schema), Schema::new(vec![expected]));
    }
}
