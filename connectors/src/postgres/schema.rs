//! From what the catalogs say to a table's description: columns as they are served, and a version that their change changes.

use std::sync::Arc;

use arrow::datatypes::{Field, Schema};

use super::catalog::{Column, Relation};
use super::select::{SelectedColumn, Selection};
use super::statistics::statistics;
use super::types::{Served, TypeCatalog};
use crate::connector::TableDescription;

/// The description of a table of `schema`, and what the server is asked for its rows.
pub(super) fn describe(schema: &str, relation: &Relation, types: &TypeCatalog) -> (TableDescription, Selection) {
    let served: Vec<Served> =
        relation.columns.iter().map(|column| types.served(column.type_oid, column.modifier)).collect();
    let fields: Vec<Field> = relation
        .columns
        .iter()
        .zip(&served)
        .map(|(column, served)| Field::new(&column.name, served.data_type.clone(), !column.is_not_null))
        .collect();
    let fields = Arc::new(Schema::new(fields));
    let columns = relation.columns.iter().zip(served).map(selected).collect();
    let description = TableDescription {
        name: relation.name.clone(),
        comment: relation.comment.clone(),
        statistics: statistics(relation, &fields),
        version: version(relation),
        schema: fields,
    };
    let selection = Selection { schema: schema.to_owned(), table: relation.name.clone(), columns };
    (description, selection)
}

fn selected((column, served): (&Column, Served)) -> SelectedColumn {
    SelectedColumn {
        name: column.name.clone(),
        cast: served.cast,
        is_exact: served.is_exact && column.compares_by_bytes,
    }
}

/// Which table it is and which columns it has; its rows are those of the moment.
fn version(relation: &Relation) -> String {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&relation.oid.to_le_bytes());
    hasher.update(relation.kind.as_bytes());
    for column in &relation.columns {
        // Length first, so that no two lists of columns read alike.
        hasher.update(&column.name.len().to_le_bytes());
        hasher.update(column.name.as_bytes());
        hasher.update(&column.type_oid.to_le_bytes());
        hasher.update(&column.modifier.to_le_bytes());
        hasher.update(&[u8::from(column.is_not_null)]);
    }
    hasher.finalize().to_hex().chars().take(32).collect()
}

#[cfg(test)]
mod tests {
    use tokio_postgres::types::Type;

    use super::*;

    fn relation(columns: &[(&str, u32, bool)]) -> Relation {
        let columns = columns.iter().map(|(name, type_oid, is_not_null)| Column {
            name: (*name).to_owned(),
            type_oid: *type_oid,
            modifier: -1,
            is_not_null: *is_not_null,
            compares_by_bytes: true,
            statistics: None,
        });
        Relation {
            oid: 7,
            name: "t".to_owned(),
            kind: "r".to_owned(),
            comment: None,
            rows: -1.0,
            pages: 0,
            is_one_heap: true,
            server_version: 150_000,
            is_utf8: true,
            columns: columns.collect(),
        }
    }

    #[test]
    fn a_version_is_of_the_columns() {
        let version = |columns: &[(&str, u32, bool)]| {
            let (description, _) = describe("s", &relation(columns), &TypeCatalog::default());
            description.version
        };
        let (int, text) = (Type::INT4.oid(), Type::TEXT.oid());
        let before = version(&[("a", int, true), ("b", text, false)]);
        assert_eq!(version(&[("a", int, true), ("b", text, false)]), before);
        assert_ne!(version(&[("a", int, false), ("b", text, false)]), before);
        assert_ne!(version(&[("a", text, true), ("b", text, false)]), before);
        assert_ne!(version(&[("b", text, false), ("a", int, true)]), before);
        assert_ne!(version(&[("a", int, true)]), before);
    }
}
