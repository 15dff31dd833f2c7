//! A line for each value, for rows that are too wide for a terminal.

use std::io::Write;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use unicode_width::UnicodeWidthStr;

use super::ResultWriter;
use super::cell::{Cells, printable};
use crate::shell::error::ShellError;

/// Writes a line before each row and one for each of its values; the count of the rows at the end.
pub(super) struct VerticalWriter {
    names: Vec<String>,
    rows: usize,
}

impl VerticalWriter {
    pub(super) fn new(schema: &SchemaRef) -> Self {
        let shown: Vec<String> = schema.fields().iter().map(|field| printable(field.name())).collect();
        let width = shown.iter().map(|name| name.width()).max().unwrap_or(0);
        let padded = |name: &String| format!("{name}{}", " ".repeat(width.saturating_sub(name.width())));
        Self { names: shown.iter().map(padded).collect(), rows: 0 }
    }
}

impl ResultWriter for VerticalWriter {
    fn write(&mut self, batch: &RecordBatch, out: &mut dyn Write) -> Result<(), ShellError> {
        let cells = Cells::of(batch)?;
        for row in 0..batch.num_rows() {
            self.rows += 1;
            writeln!(out, "-[ {} ]-", self.rows)?;
            for (name, text) in self.names.iter().zip(cells.row(row)) {
                write_value(name, &text?, out)?;
            }
        }
        Ok(())
    }

    fn finish(&mut self, out: &mut dyn Write) -> Result<(), ShellError> {
        let noun = if self.rows == 1 { "row" } else { "rows" };
        Ok(writeln!(out, "({} {noun})\n", self.rows)?)
    }
}

/// A value's further lines stand below its first one.
fn write_value(name: &str, text: &str, out: &mut dyn Write) -> Result<(), ShellError> {
    let mut lead = name.to_owned();
    for line in text.strip_suffix('\n').unwrap_or(text).split('\n') {
        writeln!(out, "{}", format!("{lead} | {}", printable(line)).trim_end())?;
        lead = " ".repeat(name.width());
    }
    Ok(())
}
