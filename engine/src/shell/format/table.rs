//! Aligned columns, for people. Widths come from the first rows, so memory stays bounded and no text is ever cut off.

use std::io::Write;

use arrow::array::RecordBatch;
use arrow::datatypes::Schema;
use unicode_width::UnicodeWidthStr;

use super::ResultWriter;
use super::cell::{Alignment, Cells, printable};
use crate::shell::error::ShellError;

/// Rows that are held back to measure the columns. A wider value further down moves its own line's borders.
pub(super) const ROWS_MEASURED_MAX: usize = 2_000;

/// A value as the lines it takes.
type Lines = Vec<String>;

/// Writes a header, a rule, the rows and their count.
pub(super) struct TableWriter {
    columns: Vec<Column>,
    rows_held: Vec<Vec<Lines>>,
    header_is_written: bool,
    rows: usize,
}

struct Column {
    name: Lines,
    alignment: Alignment,
    width: usize,
}

impl TableWriter {
    pub(super) fn new(schema: &Schema) -> Self {
        let columns = schema.fields().iter().map(|field| {
            let name = vec![printable(field.name())];
            Column { width: width(&name), alignment: Alignment::of(field), name }
        });
        Self { columns: columns.collect(), rows_held: Vec::new(), header_is_written: false, rows: 0 }
    }

    fn hold(&mut self, row: Vec<Lines>) {
        for (column, lines) in self.columns.iter_mut().zip(&row) {
            column.width = column.width.max(width(lines));
        }
        self.rows_held.push(row);
    }

    /// Fixes the widths and writes all that was held back.
    fn release(&mut self, out: &mut dyn Write) -> Result<(), ShellError> {
        if !self.header_is_written {
            self.header_is_written = true;
            let names: Vec<&Lines> = self.columns.iter().map(|column| &column.name).collect();
            self.write_row(&names, out)?;
            let rules: Vec<String> = self.columns.iter().map(|column| "-".repeat(column.width + 2)).collect();
            writeln!(out, "{}", rules.join("+"))?;
        }
        for row in std::mem::take(&mut self.rows_held) {
            self.write_row(&row.iter().collect::<Vec<_>>(), out)?;
        }
        Ok(())
    }

    fn write_row(&self, row: &[&Lines], out: &mut dyn Write) -> Result<(), ShellError> {
        let height = row.iter().map(|lines| lines.len()).max().unwrap_or(1);
        for index in 0..height {
            let cells = self
                .columns
                .iter()
                .zip(row)
                .map(|(column, lines)| column.padded(lines.get(index).map_or("", String::as_str)));
            let line = format!(" {}", cells.collect::<Vec<_>>().join(" | "));
            writeln!(out, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

impl Column {
    fn padded(&self, text: &str) -> String {
        let padding = " ".repeat(self.width.saturating_sub(text.width()));
        match self.alignment {
            Alignment::Left => format!("{text}{padding}"),
            Alignment::Right => format!("{padding}{text}"),
        }
    }
}

impl ResultWriter for TableWriter {
    fn write(&mut self, batch: &RecordBatch, out: &mut dyn Write) -> Result<(), ShellError> {
        let cells = Cells::of(batch)?;
        for index in 0..batch.num_rows() {
            let row = cells.row(index).map(|text| Ok(lines(&text?))).collect::<Result<Vec<_>, ShellError>>()?;
            self.rows += 1;
            if self.header_is_written {
                self.write_row(&row.iter().collect::<Vec<_>>(), out)?;
                continue;
            }
            self.hold(row);
            if self.rows_held.len() >= ROWS_MEASURED_MAX {
                self.release(out)?;
            }
        }
        Ok(())
    }

    fn finish(&mut self, out: &mut dyn Write) -> Result<(), ShellError> {
        self.release(out)?;
        let noun = if self.rows == 1 { "row" } else { "rows" };
        Ok(writeln!(out, "({} {noun})\n", self.rows)?)
    }
}

/// The lines that a value takes. A newline at its end, as plans have one, would only add an empty line.
fn lines(text: &str) -> Lines {
    let text = text.strip_suffix('\n').unwrap_or(text);
    text.split('\n').map(printable).collect()
}

fn width(lines: &Lines) -> usize {
    lines.iter().map(|line| line.width()).max().unwrap_or(0)
}
