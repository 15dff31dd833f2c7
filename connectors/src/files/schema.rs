//! One schema for all files of a table: plain types, no metadata, and agreement or an error that names file and column.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema, SchemaRef, TimeUnit};

use super::config::DeclaredColumns;
use crate::error::ConnectorError;
use crate::sabotage::keeps_metadata;

/// The schema of one file, with the file's path for messages.
#[derive(Debug, Clone)]
pub(super) struct FileSchema {
    pub(super) shown: String,
    pub(super) schema: SchemaRef,
}

/// `schema` with plain types and without metadata: what pandas or Spark wrote about it is not part of the table, and
/// views, dictionaries and large offsets are matters of layout that not every client can read.
pub(super) fn plain(schema: &Schema) -> Schema {
    Schema::new(schema.fields().iter().map(plain_field).collect::<Fields>())
}

fn plain_field(field: &FieldRef) -> FieldRef {
    let plain = Field::new(field.name(), plain_type(field.data_type()), field.is_nullable());
    Arc::new(if keeps_metadata() { plain.with_metadata(field.metadata().clone()) } else { plain })
}

fn plain_type(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Utf8View | DataType::LargeUtf8 => DataType::Utf8,
        DataType::BinaryView | DataType::LargeBinary => DataType::Binary,
        DataType::Dictionary(_, values) => plain_type(values),
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

/// Files that declare their types must have the same columns, whatever their order, with the same types. The first file
/// gives the order; a column may be NULL if it may be in any file.
pub(super) fn agree(files: &[FileSchema]) -> Result<SchemaRef, ConnectorError> {
    let Some((first, rest)) = files.split_first() else {
        return Ok(Arc::new(Schema::empty()));
    };
    refuse_repeated(first)?;
    let mut fields: Vec<Field> = first.schema.fields().iter().map(|field| field.as_ref().clone()).collect();
    for file in rest {
        refuse_repeated(file)?;
        refuse_surplus(first, file)?;
        for field in &mut fields {
            let other = file.schema.field_with_name(field.name()).map_err(|_| lacks(file, field.name(), first))?;
            if other.data_type() != field.data_type() {
                return Err(differs(file, other, field.data_type(), first));
            }
            field.set_nullable(field.is_nullable() || other.is_nullable());
        }
    }
    Ok(Arc::new(Schema::new(fields)))
}

/// Delimited files are read by position, so they must have the same columns in the same order; types that were inferred
/// are widened until they hold every file.
pub(super) fn widen_in_order(files: &[FileSchema]) -> Result<SchemaRef, ConnectorError> {
    let Some((first, rest)) = files.split_first() else {
        return Ok(Arc::new(Schema::empty()));
    };
    refuse_repeated(first)?;
    let mut fields: Vec<Field> = first.schema.fields().iter().map(|field| field.as_ref().clone()).collect();
    for file in rest {
        refuse_surplus(first, file)?;
        for (field, position) in fields.iter_mut().zip(0..) {
            let other = file.schema.fields().get(position).ok_or_else(|| lacks(file, field.name(), first))?;
            if other.name() != field.name() {
                return Err(ConnectorError::invalid_data(
                    &file.shown,
                    format!(
                        "column {} is `{}` where {} has `{}`",
                        position + 1,
                        other.name(),
                        first.shown,
                        field.name()
                    ),
                    "write the columns of all files in the same order",
                ));
            }
            field.set_data_type(widest(field.data_type(), other.data_type()).unwrap_or(DataType::Utf8));
        }
    }
    Ok(Arc::new(Schema::new(fields)))
}

/// Files of records with named values: all names of all files, types widened.
pub(super) fn widen_by_name(files: &[FileSchema]) -> Result<SchemaRef, ConnectorError> {
    let mut fields: Vec<Field> = Vec::new();
    for file in files {
        for other in file.schema.fields() {
            match fields.iter_mut().find(|field| field.name() == other.name()) {
                None => fields.push(other.as_ref().clone()),
                Some(field) => {
                    let widened = widest(field.data_type(), other.data_type())
                        .ok_or_else(|| differs(file, other, field.data_type(), file))?;
                    field.set_data_type(widened);
                }
            }
        }
    }
    Ok(Arc::new(Schema::new(fields)))
}

/// Puts declared types in the place of inferred ones. What a declared column is that no file has, `absent` says.
pub(super) fn declare(
    schema: &SchemaRef,
    declared: &DeclaredColumns,
    absent: AbsentColumns,
) -> Result<SchemaRef, ConnectorError> {
    let mut fields: Vec<Field> = schema.fields().iter().map(|field| field.as_ref().clone()).collect();
    for (name, data_type) in &declared.columns {
        match fields.iter_mut().find(|field| field.name() == name) {
            Some(field) => field.set_data_type(data_type.clone()),
            None if absent == AbsentColumns::Add => fields.push(Field::new(name, data_type.clone(), true)),
            None => {
                return Err(ConnectorError::invalid_data(
                    format!("column `{name}`"),
                    "is declared under `schema` and stands in no file",
                    "correct the name in the table's `schema`",
                ));
            }
        }
    }
    if declared.is_ordered && absent == AbsentColumns::Add {
        let position = |field: &Field| declared.columns.iter().position(|(name, _)| name == field.name());
        fields.sort_by_key(|field| position(field).unwrap_or(usize::MAX));
    }
    Ok(Arc::new(Schema::new(fields)))
}

/// What to do with a declared column that no file has.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum AbsentColumns {
    /// Records have named values, some of them: the column is NULL, and columns have no order but the declared one.
    Add,
    /// Records have all columns, by position.
    Refuse,
}

/// The narrowest type that holds both, or none: text then holds both, if they are scalars.
fn widest(left: &DataType, right: &DataType) -> Option<DataType> {
    match (left, right) {
        (left, right) if left == right => Some(left.clone()),
        (DataType::Null, other) | (other, DataType::Null) => Some(other.clone()),
        (DataType::Int64, DataType::Float64) | (DataType::Float64, DataType::Int64) => Some(DataType::Float64),
        (DataType::Date32, DataType::Timestamp(unit, None)) | (DataType::Timestamp(unit, None), DataType::Date32) => {
            Some(DataType::Timestamp(*unit, None))
        }
        (DataType::Timestamp(left, None), DataType::Timestamp(right, None)) => {
            Some(DataType::Timestamp(finest(*left, *right), None))
        }
        (left, right) if left.is_nested() || right.is_nested() => None,
        _ => Some(DataType::Utf8),
    }
}

fn finest(left: TimeUnit, right: TimeUnit) -> TimeUnit {
    left.max(right)
}

fn refuse_repeated(file: &FileSchema) -> Result<(), ConnectorError> {
    let mut seen = HashSet::new();
    match file.schema.fields().iter().find(|field| !seen.insert(field.name())) {
        None => Ok(()),
        Some(field) => Err(ConnectorError::invalid_data(
            &file.shown,
            format!("has two columns `{}`", field.name()),
            "rename one of them in the file",
        )),
    }
}

fn refuse_surplus(first: &FileSchema, file: &FileSchema) -> Result<(), ConnectorError> {
    match file.schema.fields().iter().find(|field| first.schema.index_of(field.name()).is_err()) {
        None => Ok(()),
        Some(field) => Err(lacks(first, field.name(), file)),
    }
}

fn lacks(file: &FileSchema, column: &str, other: &FileSchema) -> ConnectorError {
    ConnectorError::invalid_data(
        &file.shown,
        format!("has no column `{column}`, which {} has", other.shown),
        "give all files of the table the same columns, or make two tables of them",
    )
}

fn differs(file: &FileSchema, column: &Field, expected: &DataType, other: &FileSchema) -> ConnectorError {
    ConnectorError::invalid_data(
        &file.shown,
        format!("column `{}` is {} where {} has {expected}", column.name(), column.data_type(), other.shown),
        "write all files of the table with the same types, or make two tables of them",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(shown: &str, columns: &[(&str, DataType)]) -> FileSchema {
        let fields: Vec<_> = columns.iter().map(|(name, kind)| Field::new(*name, kind.clone(), true)).collect();
        FileSchema { shown: shown.into(), schema: Arc::new(Schema::new(fields)) }
    }

    fn describe(result: Result<SchemaRef, ConnectorError>) -> String {
        match result {
            Ok(schema) => {
                let columns: Vec<_> =
                    schema.fields().iter().map(|field| format!("{}:{}", field.name(), field.data_type())).collect();
                columns.join(" ")
            }
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn declared_types_must_agree_by_name() {
        let a = file("a", &[("x", DataType::Int64), ("y", DataType::Utf8)]);
        let swapped = file("b", &[("y", DataType::Utf8), ("x", DataType::Int64)]);
        let short = file("b", &[("x", DataType::Int64)]);
        let narrow = file("b", &[("x", DataType::Int32), ("y", DataType::Utf8)]);
        assert_eq!(describe(agree(&[a.clone(), swapped])), "x:Int64 y:Utf8");
        assert!(describe(agree(&[a.clone(), short.clone()])).starts_with("b: has no column `y`, which a has"));
        assert!(describe(agree(&[short, a.clone()])).starts_with("b: has no column `y`, which a has"));
        assert!(describe(agree(&[a, narrow])).starts_with("b: column `x` is Int32 where a has Int64"));
    }

    #[test]
    fn inferred_types_widen_and_columns_keep_their_order() {
        let a = file("a", &[("x", DataType::Int64), ("y", DataType::Null)]);
        let b = file("b", &[("x", DataType::Float64), ("y", DataType::Date32)]);
        let swapped = file("b", &[("y", DataType::Date32), ("x", DataType::Float64)]);
        assert_eq!(describe(widen_in_order(&[a.clone(), b.clone()])), "x:Float64 y:Date32");
        assert_eq!(describe(widen_by_name(&[a.clone(), swapped.clone()])), "x:Float64 y:Date32");
        assert!(describe(widen_in_order(&[a, swapped])).starts_with("b: column 1 is `y` where a has `x`"));
    }

    #[test]
    fn layout_and_metadata_are_stripped_at_every_depth() {
        let views = Field::new("item", DataType::Utf8View, true).with_metadata([("k".into(), "v".into())].into());
        let field = Field::new("a", DataType::LargeList(Arc::new(views)), false);
        let schema = Schema::new_with_metadata(vec![field], [("pandas".into(), "{}".into())].into());
        let expected = Field::new("a", DataType::List(Arc::new(Field::new("item", DataType::Utf8, true))), false);
        assert_eq!(plain(&schema), Schema::new(vec![expected]));
    }
}
