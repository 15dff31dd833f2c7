//! What leaves a door: plain types that every client reads, under the schema that was declared.

use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema, SchemaRef};
use arrow::error::ArrowError;

use crate::sabotage::{Control, thrown};

/// The schema on the wire of a result: plain types, names and nullability as given, no metadata.
pub fn wire_schema(schema: &Schema) -> SchemaRef {
    Arc::new(Schema::new(schema.fields().iter().map(wire_field).collect::<Fields>()))
}

/// The type on the wire: views, dictionaries and run-ends made plain, small decimals and half floats widened, nested
/// types likewise.
pub fn wire_type(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Utf8View => DataType::Utf8,
        DataType::BinaryView => DataType::Binary,
        DataType::Float16 => DataType::Float32,
        DataType::Decimal32(precision, scale) | DataType::Decimal64(precision, scale) => {
            DataType::Decimal128(*precision, *scale)
        }
        DataType::Dictionary(_, values) => wire_type(values),
        DataType::RunEndEncoded(_, values) => wire_type(values.data_type()),
        DataType::List(item) | DataType::ListView(item) => DataType::List(wire_field(item)),
        DataType::LargeList(item) | DataType::LargeListView(item) => DataType::LargeList(wire_field(item)),
        DataType::FixedSizeList(item, size) => DataType::FixedSizeList(wire_field(item), *size),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(wire_field).collect::<Fields>()),
        DataType::Union(fields, mode) => {
            DataType::Union(fields.iter().map(|(id, field)| (id, wire_field(field))).collect(), *mode)
        }
        DataType::Map(entries, sorted) => DataType::Map(wire_field(entries), *sorted),
        plain => plain.clone(),
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

fn wire_field(field: &FieldRef) -> FieldRef {
    let plain = Field::new(field.name(), wire_type(field.data_type()), field.is_nullable());
    Arc::new(if thrown(Control::Metadata) { plain.with_metadata(field.metadata().clone()) } else { plain })
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::{UnionFields, UnionMode};

    use super::*;

    #[test]
    fn views_and_dictionaries_become_plain_at_every_depth() {
        let item = Arc::new(Field::new("item", DataType::Utf8View, true));
        let dictionary = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8View));
        assert_eq!(wire_type(&dictionary), DataType::Utf8);
        let plain = Arc::new(Field::new("item", DataType::Utf8, true));
        assert_eq!(wire_type(&DataType::ListView(item)), DataType::List(plain));
        assert_eq!(wire_type(&DataType::Decimal64(10, 2)), DataType::Decimal128(10, 2));
    }

    #[test]
    fn no_metadata_leaves_at_any_depth() {
        let noted =
            |name: &str, of| Field::new(name, of, true).with_metadata([("note".into(), "SECRET".into())].into());
        let inner = Arc::new(noted("inner", DataType::Utf8View));
        let union = UnionFields::try_new([1], [Arc::clone(&inner)]).unwrap();
        let fields = [
            noted("struct", DataType::Struct(vec![Arc::clone(&inner)].into())),
            noted("list", DataType::FixedSizeList(inner, 2)),
            noted("union", DataType::Union(union, UnionMode::Sparse)),
        ];
        let schema = Schema::new(fields.to_vec()).with_metadata([("pandas".into(), "SECRET".into())].into());
        let wire = format!("{:?}", wire_schema(&schema));
        assert!(!wire.contains("SECRET") && !wire.contains("Utf8View"), "{wire}");
    }
}
