//! One value as text, for the formats that people read.

use std::fmt::Write;

use arrow::array::{Array, RecordBatch};
use arrow::datatypes::Field;
use arrow::util::display::{ArrayFormatter, FormatOptions};

use crate::shell::error::ShellError;

/// How NULL is shown, so that it is not taken for empty text.
const NULL: &str = "NULL";

/// The values of a batch as text, by row and column.
pub(super) struct Cells<'a> {
    columns: Vec<ArrayFormatter<'a>>,
}

impl<'a> Cells<'a> {
    pub(super) fn of(batch: &'a RecordBatch) -> Result<Self, ShellError> {
        Ok(Self { columns: batch.columns().iter().map(|column| formatter(column.as_ref())).collect::<Result<_, _>>()? })
    }

    pub(super) fn row(&self, row: usize) -> impl Iterator<Item = Result<String, ShellError>> {
        self.columns.iter().map(move |column| Ok(column.value(row).try_to_string()?))
    }
}

/// Shows the values of `array`. A value that has no text, such as a date beyond the calendar, is shown as the error
/// that it is, rather than failing the answer.
pub(super) fn formatter(array: &dyn Array) -> Result<ArrayFormatter<'_>, ShellError> {
    let options = FormatOptions::new().with_null(NULL).with_display_error(true);
    Ok(ArrayFormatter::try_new(array, &options)?)
}

/// Where a column's text stands in its width.
#[derive(Debug, Clone, Copy)]
pub(super) enum Alignment {
    Left,
    Right,
}

impl Alignment {
    pub(super) fn of(field: &Field) -> Self {
        if field.data_type().is_numeric() { Self::Right } else { Self::Left }
    }
}

/// `text` with its control characters spelled out: a value must not move the cursor or change the terminal's state.
pub(in crate::shell) fn printable(text: &str) -> String {
    if !text.contains(char::is_control) {
        return text.to_owned();
    }
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() {
            // Writing to a string does not fail.
            let _ = write!(shown, "{}", character.escape_default());
        } else {
            shown.push(character);
        }
    }
    shown
}
