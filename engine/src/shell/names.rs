//! The names that the user may see, kept for the prompt to complete: asked for between statements, never while one is typed.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch};
use parking_lot::Mutex;

/// Further columns are not completed.
const COLUMNS_MAX: usize = 200_000;

/// Names, shared with the prompt's thread.
pub(super) type SharedNames = Arc<Mutex<Names>>;

/// Tables as `site.source.table`, and the columns of each.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Names {
    pub(super) tables: BTreeMap<String, Vec<String>>,
}

impl Names {
    /// Those of the rows that [`super::describe::columns_of`] makes.
    pub(super) fn of_columns(rows: &RecordBatch) -> Self {
        let texts = |name: &str| rows.column_by_name(name).and_then(|column| column.as_string_opt::<i32>());
        let mut names = Self::default();
        if let (Some(tables), Some(columns)) = (texts("table"), texts("column")) {
            for (table, column) in tables.iter().zip(columns).take(COLUMNS_MAX) {
                if let (Some(table), Some(column)) = (table, column) {
                    names.tables.entry(table.to_owned()).or_default().push(column.to_owned());
                }
            }
        }
        names
    }
}
