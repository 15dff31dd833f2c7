//! From what a file's schema says to a table: its description, whose version a change of its columns changes, and how it is
//! stored.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema};
use datafusion_common::stats::Precision;
use datafusion_common::{Statistics, TableReference};
use rusqlite::{Connection, Result};

use super::catalog::{self, Column, Relation, RowNumbers};
use super::config::Epoch;
use super::types::{Served, served};
use crate::connector::{TableDescription, in_key_order};
use crate::database::places::{Places, Range};
use crate::database::table::StoredTable;
use crate::statement::{Call, Form, Stored};

/// Fewer numbers of rows are not worth a reader of their own.
const RANGE_ROWS_MIN: i64 = 100_000;
/// What a row takes at least, for an estimate of how many there can be.
const ROW_BYTES_MIN: i64 = 8;

/// A table as it is now, and how the file stores it.
#[derive(Debug)]
pub(super) struct Described {
    pub(super) description: TableDescription,
    pub(super) stored: StoredTable,
}

/// Describes a table of a file whose numbers count `epoch` where they are dates.
pub(super) fn describe(connection: &Connection, relation: &Relation, epoch: Option<Epoch>) -> Result<Described> {
    let columns = catalog::columns(connection, relation)?;
    let is_utf8 = catalog::is_utf8(connection)?;
    let numbers = catalog::row_numbers(connection, relation, &columns)?;
    let rows = match catalog::analyzed_rows(connection, relation)? {
        Some(rows) => Some(rows),
        None => numbers.as_ref().and_then(|numbers| estimate(numbers, catalog::file_bytes(connection).ok()?)),
    };
    let all: Vec<Served> = columns.iter().map(|column| served(&column.declared, epoch)).collect();
    let fields = columns
        .iter()
        .zip(&all)
        .map(|(column, served)| Field::new(&column.name, served.data_type.clone(), !column.is_not_null));
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    let mut statistics = Statistics::new_unknown(&schema);
    if let Some(rows) = rows.and_then(|rows| usize::try_from(rows).ok()) {
        statistics.num_rows = Precision::Inexact(rows);
    }
    let stored = StoredTable {
        name: TableReference::bare(relation.name.as_str()),
        columns: columns.iter().zip(all).map(|(column, served)| stored(relation, column, served, is_utf8)).collect(),
        has_foreign_text: !is_utf8,
        places: numbers.map(places),
    };
    let description = TableDescription {
        name: relation.name.clone(),
        is_view: relation.is_view,
        primary_key: primary_key(&columns),
        foreign_keys: catalog::foreign_keys(connection, relation)?,
        comment: None,
        column_comments: BTreeMap::new(),
        statistics,
        version: version(relation, &columns),
        schema,
    };
    Ok(Described { description, stored })
}

/// The key, where SQLite holds every row to it: most of its keys may be NULL, in any number of rows.
fn primary_key(columns: &[Column]) -> Vec<String> {
    let may_be_null = columns.iter().any(|column| column.key_place.is_some() && !column.is_not_null);
    in_key_order(columns.iter().filter(|_| !may_be_null).map(|column| (column.name.as_str(), column.key_place)))
}

/// A version of a table: which columns it has, and how they are declared. Its rows are those of the moment.
pub(super) fn version(relation: &Relation, columns: &[Column]) -> String {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&[u8::from(relation.is_view), u8::from(relation.is_keyed), u8::from(relation.is_strict)]);
    for column in columns {
        for text in [&column.name, &column.declared] {
            // Length first, so that no two lists of columns read alike.
            hasher.update(&text.len().to_le_bytes());
            hasher.update(text.as_bytes());
        }
        hasher.update(&[u8::from(column.is_not_null), u8::from(column.is_row_number)]);
        hasher.update(&column.hidden.to_le_bytes());
    }
    hasher.finalize().to_hex().chars().take(32).collect()
}

/// A table is held to its types where it is strict, and to a whole number where that is the row's own.
fn stored(relation: &Relation, column: &Column, served: Served, is_utf8: bool) -> Stored {
    let is_held = relation.is_strict && served.form == Form::Value || column.is_row_number;
    match served.data_type {
        DataType::Utf8 if !is_utf8 => Stored::Opaque,
        _ if is_held => Stored::Plain,
        data_type => {
            let mut arguments = vec![literal(&relation.name), literal(&column.name)];
            match data_type {
                DataType::Decimal128(precision, scale) => arguments.extend([precision.to_string(), scale.to_string()]),
                DataType::Timestamp(_, Some(zone)) => arguments.push(literal(&zone)),
                _ => {}
            }
            Stored::Call(Call { function: served.function, arguments, form: served.form })
        }
    }
}

/// No table has more rows than numbers, nor than its file has room for.
fn estimate(numbers: &RowNumbers, file_bytes: i64) -> Option<i64> {
    Some(count(numbers)).filter(|rows| *rows <= file_bytes / ROW_BYTES_MIN)
}

fn count(numbers: &RowNumbers) -> i64 {
    numbers.greatest.saturating_sub(numbers.least).saturating_add(1)
}

fn places(numbers: RowNumbers) -> Places {
    Places {
        first: numbers.least,
        count: count(&numbers),
        name: numbers.name,
        range_min: RANGE_ROWS_MIN,
        condition: of_rows,
    }
}

fn of_rows(name: &str, range: Range) -> String {
    match (range.from, range.before) {
        (None, None) => "TRUE".to_owned(),
        (Some(from), None) => format!("{name} >= {from}"),
        (None, Some(before)) => format!("{name} < {before}"),
        (Some(from), Some(before)) => format!("{name} >= {from} AND {name} < {before}"),
    }
}

fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
