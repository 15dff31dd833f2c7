//! From what the catalogs say to a table: its description, whose version a change of its columns changes, and how it is
//! stored.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema};
use datafusion_common::TableReference;

use super::catalog::{Column, Relation};
use super::statistics::statistics;
use super::types::{Served, TypeCatalog};
use crate::connector::{TableDescription, column_comments, in_key_order};
use crate::database::places::{Places, Range};
use crate::database::table::StoredTable;
use crate::statement::Stored;

/// Fewer pages are not worth a session of their own: 8 MB, where a page has 8 kB.
const RANGE_PAGES_MIN: i64 = 1_024;
/// The first version that finds a range of pages without reading the others.
const RANGE_SCANS_SINCE: i32 = 140_000;

/// The description of a table of `schema`, and how the server stores it.
pub(super) fn describe(schema: &str, relation: &Relation, types: &TypeCatalog) -> (TableDescription, StoredTable) {
    let served: Vec<Served> =
        relation.columns.iter().map(|column| types.served(column.type_oid, column.modifier)).collect();
    let fields: Vec<Field> = relation
        .columns
        .iter()
        .zip(&served)
        .map(|(column, served)| Field::new(&column.name, served.data_type.clone(), !column.is_not_null))
        .collect();
    let fields = Arc::new(Schema::new(fields));
    let columns = relation.columns.iter().zip(served);
    let stored = StoredTable {
        name: TableReference::partial(schema, relation.name.as_str()),
        columns: columns.map(|(column, served)| stored(relation, column, served)).collect(),
        has_foreign_text: !relation.is_utf8,
        places: pages(relation),
    };
    let description = TableDescription {
        name: relation.name.clone(),
        is_view: matches!(relation.kind.as_str(), "v" | "m"),
        primary_key: in_key_order(relation.columns.iter().map(|column| (column.name.as_str(), column.key_place))),
        foreign_keys: relation.foreign_keys.clone(),
        comment: relation.comment.clone(),
        column_comments: column_comments(relation.columns.iter().map(|column| (&column.name, column.comment.as_ref()))),
        statistics: statistics(relation, &fields),
        version: version(relation),
        schema: fields,
    };
    (description, stored)
}

fn stored(relation: &Relation, column: &Column, served: Served) -> Stored {
    let is_foreign = !relation.is_utf8 && served.data_type == DataType::Utf8;
    match served.cast {
        _ if is_foreign || !served.is_exact || !column.compares_by_bytes => Stored::Opaque,
        Some(cast) => Stored::Cast(cast),
        None => Stored::Plain,
    }
}

/// The pages of a table that is one file, where the server finds some of them without reading the others.
fn pages(relation: &Relation) -> Option<Places> {
    let has_ranges = relation.is_one_heap && relation.server_version >= RANGE_SCANS_SINCE;
    has_ranges.then(|| Places {
        name: "ctid".to_owned(),
        first: 0,
        count: i64::from(relation.pages),
        range_min: RANGE_PAGES_MIN,
        condition: of_pages,
    })
}

fn of_pages(place: &str, range: Range) -> String {
    let from = format!("{place} >= '({},0)'::tid", range.from.unwrap_or(0));
    match range.before {
        None => from,
        Some(before) => format!("{from} AND {place} < '({before},0)'::tid"),
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
            key_place: None,
            comment: None,
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
            foreign_keys: Vec::new(),
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
