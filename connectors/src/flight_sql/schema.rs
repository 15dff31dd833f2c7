//! From what the server says of a table to its description: plain types, and a version that a change of columns changes.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::compute::can_cast_types;
use arrow::datatypes::{DataType, Field, Schema};
use datafusion_common::Statistics;

use super::catalog::Relation;
use crate::connector::{TableDescription, column_comments};
use crate::error::ConnectorError;
use crate::plain::{plain, plain_type};
use crate::statement::{ForeignEngine, Stored};

/// What the protocol has beside a column for people.
const REMARKS: &str = "ARROW:FLIGHT:SQL:REMARKS";

/// The description of a table with these columns.
///
/// # Errors
/// A column whose type has no plain form, or whose name another one has.
pub(super) fn describe(relation: &Relation, columns: &Schema) -> Result<TableDescription, ConnectorError> {
    let mut names = HashSet::new();
    for field in columns.fields() {
        if !names.insert(field.name()) {
            return Err(unserved(relation, field, "is there twice"));
        }
        if !has_plain_form(field.data_type()) {
            return Err(unserved(
                relation,
                field,
                &format!("is of type {}, which has no plain form", field.data_type()),
            ));
        }
    }
    let schema = Arc::new(plain(columns));
    Ok(TableDescription {
        name: relation.name.clone(),
        is_view: relation.kind.eq_ignore_ascii_case("view"),
        primary_key: Vec::new(),
        foreign_keys: Vec::new(),
        comment: None,
        column_comments: column_comments(
            columns.fields().iter().map(|field| (field.name(), field.metadata().get(REMARKS))),
        ),
        statistics: Statistics::new_unknown(&schema),
        version: version(relation, columns),
        schema,
    })
}

fn unserved(relation: &Relation, field: &Field, detail: &str) -> ConnectorError {
    let location = format!("table `{}`, column `{}`", relation.name, field.name());
    ConnectorError::invalid_data(location, detail, "have the server serve a view without it")
}

/// How the server stores the columns of a description, whose own types it has told.
pub(super) fn stored(told: &Schema, engine: ForeignEngine) -> Vec<Stored> {
    let stored = |field: &Arc<Field>| match (engine, plain_type(field.data_type())) {
        (ForeignEngine::Unknown, _) => Stored::Plain,
        (ForeignEngine::DataFusion, plain) if plain == *field.data_type() => Stored::Plain,
        (ForeignEngine::DataFusion, plain) => match plain {
            DataType::Utf8 | DataType::Binary => Stored::Cast(plain.to_string()),
            _ => Stored::Opaque,
        },
    };
    told.fields().iter().map(stored).collect()
}

/// Whether values of a type can be brought to a type without unions, views, dictionaries, run-ends or large offsets.
fn has_plain_form(data_type: &DataType) -> bool {
    fn holds_union(data_type: &DataType) -> bool {
        match data_type {
            DataType::Union(..) => true,
            DataType::List(item) | DataType::FixedSizeList(item, _) | DataType::Map(item, _) => {
                holds_union(item.data_type())
            }
            DataType::Struct(fields) => fields.iter().any(|field| holds_union(field.data_type())),
            _ => false,
        }
    }
    let plain = plain_type(data_type);
    !holds_union(&plain) && can_cast_types(data_type, &plain)
}

/// Which table it is and which columns it has; its rows are those of the moment.
fn version(relation: &Relation, columns: &Schema) -> String {
    let mut hasher = blake3::Hasher::new();
    // Length first, so that no two lists of columns read alike.
    let mut add = |text: &str| {
        hasher.update(&text.len().to_le_bytes());
        hasher.update(text.as_bytes());
    };
    for part in [&relation.reference().to_string(), &relation.kind] {
        add(part);
    }
    for field in columns.fields() {
        add(field.name());
        add(&field.data_type().to_string());
        add(if field.is_nullable() { "nullable" } else { "" });
    }
    hasher.finalize().to_hex().chars().take(32).collect()
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::{UnionFields, UnionMode};

    use super::*;

    fn relation() -> Relation {
        Relation { catalog: None, schema: Some("s".into()), name: "t".into(), kind: "TABLE".into(), columns: None }
    }

    fn described(columns: &[(&str, DataType)]) -> Result<TableDescription, ConnectorError> {
        let fields: Vec<Field> = columns.iter().map(|(name, of)| Field::new(*name, of.clone(), true)).collect();
        describe(&relation(), &Schema::new(fields))
    }

    #[test]
    fn types_are_plain_or_refused_by_name() {
        let check = |data_type: DataType, expect: &str| {
            let shown = match described(&[("c", data_type)]) {
                Ok(description) => description.schema.field(0).data_type().to_string(),
                Err(error) => error.to_string(),
            };
            assert_eq!(shown, expect);
        };
        let field = |data_type| Arc::new(Field::new("item", data_type, true));
        check(DataType::Utf8View, "Utf8");
        check(DataType::Dictionary(Box::new(DataType::Int8), Box::new(DataType::LargeUtf8)), "Utf8");
        check(DataType::RunEndEncoded(field(DataType::Int32), field(DataType::Int64)), "Int64");
        check(DataType::LargeListView(field(DataType::BinaryView)), "List(Binary)");
        check(DataType::Decimal256(50, 2), "Decimal256(50, 2)");
        let fields = UnionFields::try_new([0], [Field::new("a", DataType::Int64, true)]).unwrap();
        let union = DataType::Union(fields, UnionMode::Sparse);
        let told = described(&[("c", DataType::List(field(union)))]).unwrap_err().to_string();
        assert!(
            told.starts_with("table `t`, column `c`: is of type List(") && told.contains("no plain form"),
            "{told}"
        );
    }

    #[test]
    fn a_version_is_of_the_columns() {
        let version = |columns: &[(&str, DataType)]| described(columns).unwrap().version;
        let before = version(&[("a", DataType::Int64), ("b", DataType::Utf8)]);
        assert_eq!(version(&[("a", DataType::Int64), ("b", DataType::Utf8)]), before);
        assert_ne!(version(&[("a", DataType::Int32), ("b", DataType::Utf8)]), before);
        assert_ne!(version(&[("b", DataType::Utf8), ("a", DataType::Int64)]), before);
        assert_ne!(version(&[("a", DataType::Int64)]), before);
        assert!(described(&[("a", DataType::Int64), ("a", DataType::Utf8)]).is_err());
    }
}
