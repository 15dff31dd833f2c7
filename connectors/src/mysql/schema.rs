//! From what the server says to a table: its description, whose version a change of its columns changes, and how it is stored.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema};
use datafusion_common::TableReference;

use super::catalog::{Column, Relation};
use super::statistics::statistics;
use super::types::{Served, served};
use crate::connector::{TableDescription, column_comments, in_key_order};
use crate::database::places::Places;
use crate::database::table::StoredTable;
use crate::error::ConnectorError;
use crate::statement::Stored;

/// How many bytes of a value count where the server sorts, unless a session says otherwise.
const SORTED_BYTES: u64 = 1_024;
/// A character has at most so many.
const CHARACTER_BYTES: u64 = 4;
/// Types that have a text form of a few bytes.
const TEXT_IS_SHORT: &[&str] = &["uuid", "inet4", "inet6"];

/// The description of a table of `database`, and how the server stores it.
///
/// # Errors
/// [`ConnectorError::Unsupported`] for a column whose type has no form here; [`ConnectorError::InvalidData`] for a view that
/// cannot be used.
pub(super) fn describe(
    database: &str,
    relation: &Relation,
    places: Option<Places>,
    tinyint1_is_boolean: bool,
) -> Result<(TableDescription, StoredTable), ConnectorError> {
    if relation.columns.is_empty() {
        return Err(ConnectorError::invalid_data(
            format!("view `{}`", relation.name),
            "cannot be used: what it is made of is gone, or is not for its definer",
            "correct the view",
        ));
    }
    let mut fields = Vec::with_capacity(relation.columns.len());
    let mut columns = Vec::with_capacity(relation.columns.len());
    for column in &relation.columns {
        let served = served(column, tinyint1_is_boolean).ok_or_else(|| unsupported(relation, column))?;
        fields.push(Field::new(&column.name, served.data_type.clone(), column.is_nullable));
        columns.push(stored(column, &served));
    }
    let schema = Arc::new(Schema::new(fields));
    let stored = StoredTable {
        name: TableReference::partial(database, relation.name.as_str()),
        columns,
        has_foreign_text: false,
        places,
    };
    let places_in_key = relation.columns.iter().filter(|_| relation.is_seen_whole);
    let places_in_key = places_in_key.map(|column| (column.name.as_str(), column.key_place));
    let description = TableDescription {
        name: relation.name.clone(),
        is_view: relation.is_view,
        primary_key: in_key_order(places_in_key),
        foreign_keys: if relation.is_seen_whole { relation.foreign_keys.clone() } else { Vec::new() },
        comment: relation.comment.clone(),
        column_comments: column_comments(relation.columns.iter().map(|column| (&column.name, column.comment.as_ref()))),
        statistics: statistics(relation, &schema),
        version: version(relation),
        schema,
    };
    Ok((description, stored))
}

fn unsupported(relation: &Relation, column: &Column) -> ConnectorError {
    ConnectorError::Unsupported {
        feature: format!("table `{}`, column `{}` of type {}", relation.name, column.name, column.data_type),
        advice: "serve a view that leaves the column out, or that makes text or bytes of it".to_owned(),
    }
}

fn stored(column: &Column, served: &Served) -> Stored {
    let cast = served.cast.map(str::to_owned);
    let bytes_max = match served.data_type {
        _ if TEXT_IS_SHORT.contains(&column.data_type.as_str()) => Some(0),
        DataType::Utf8 => column.length_max.map(|length| length.saturating_mul(CHARACTER_BYTES)),
        DataType::Binary => column.length_max,
        _ => Some(0),
    };
    let is_long = bytes_max.is_none_or(|bytes| bytes > SORTED_BYTES);
    match cast {
        _ if !served.is_exact => Stored::Opaque,
        cast if is_long => Stored::Long(cast),
        Some(cast) => Stored::Cast(cast),
        None => Stored::Plain,
    }
}

/// Which columns it has; its rows are those of the moment.
fn version(relation: &Relation) -> String {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&[u8::from(relation.is_view)]);
    for column in &relation.columns {
        let character_set = column.character_set.as_deref().unwrap_or_default();
        for text in [column.name.as_str(), column.declared.as_str(), character_set] {
            // Length first, so that no two lists of columns read alike.
            hasher.update(&text.len().to_le_bytes());
            hasher.update(text.as_bytes());
        }
        hasher.update(&[u8::from(column.is_nullable)]);
    }
    hasher.finalize().to_hex().chars().take(32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn relation(columns: &[(&str, &str, bool)]) -> Relation {
        let columns = columns.iter().map(|(name, declared, is_nullable)| Column {
            name: (*name).to_owned(),
            data_type: declared.split(['(', ' ']).next().unwrap_or_default().to_owned(),
            declared: (*declared).to_owned(),
            is_nullable: *is_nullable,
            ..Column::default()
        });
        Relation { name: "t".to_owned(), columns: columns.collect(), ..Relation::default() }
    }

    #[test]
    fn a_version_is_of_the_columns() {
        let version = |columns: &[(&str, &str, bool)]| {
            describe("d", &relation(columns), None, true).map(|(description, _)| description.version).unwrap()
        };
        let before = version(&[("a", "int", true), ("b", "date", false)]);
        assert_eq!(version(&[("a", "int", true), ("b", "date", false)]), before);
        assert_ne!(version(&[("a", "int unsigned", true), ("b", "date", false)]), before);
        assert_ne!(version(&[("a", "int", false), ("b", "date", false)]), before);
        assert_ne!(version(&[("b", "date", false), ("a", "int", true)]), before);
        assert_ne!(version(&[("a", "int", true)]), before);
    }

    #[test]
    fn what_has_no_form_is_named() {
        let told = describe("d", &relation(&[("a", "int", true), ("where", "point", true)]), None, true).unwrap_err();
        assert!(told.to_string().starts_with("table `t`, column `where` of type point is not supported"), "{told}");
        let told = describe("d", &relation(&[]), None, true).unwrap_err();
        assert!(told.to_string().starts_with("view `t`: cannot be used"), "{told}");
    }
}
