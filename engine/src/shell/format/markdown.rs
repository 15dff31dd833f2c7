//! A Markdown table, for notes and tickets.

use std::io::Write;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;

use super::ResultWriter;
use super::cell::{Alignment, Cells, printable};
use crate::shell::error::ShellError;

/// Writes a header, the line of alignments and the rows; renderers do the spacing.
pub(super) struct MarkdownWriter {
    schema: SchemaRef,
    header_is_written: bool,
}

impl MarkdownWriter {
    pub(super) fn new(schema: SchemaRef) -> Self {
        Self { schema, header_is_written: false }
    }

    fn write_header(&mut self, out: &mut dyn Write) -> Result<(), ShellError> {
        if self.header_is_written {
            return Ok(());
        }
        self.header_is_written = true;
        let fields = self.schema.fields();
        write_row(fields.iter().map(|field| escaped(field.name())), out)?;
        let alignments = fields.iter().map(|field| match Alignment::of(field) {
            Alignment::Left => "---".to_owned(),
            Alignment::Right => "---:".to_owned(),
        });
        write_row(alignments, out)
    }
}

impl ResultWriter for MarkdownWriter {
    fn write(&mut self, batch: &RecordBatch, out: &mut dyn Write) -> Result<(), ShellError> {
        self.write_header(out)?;
        let cells = Cells::of(batch)?;
        for row in 0..batch.num_rows() {
            let texts = cells.row(row).map(|text| Ok(escaped(&text?))).collect::<Result<Vec<_>, ShellError>>()?;
            write_row(texts.into_iter(), out)?;
        }
        Ok(())
    }

    fn finish(&mut self, out: &mut dyn Write) -> Result<(), ShellError> {
        self.write_header(out)?;
        // Without a blank line the next answer's table would be rows of this one.
        Ok(writeln!(out)?)
    }
}

fn write_row(cells: impl Iterator<Item = String>, out: &mut dyn Write) -> Result<(), ShellError> {
    Ok(writeln!(out, "| {} |", cells.collect::<Vec<_>>().join(" | "))?)
}

/// `text` so that it stays in its cell and reads as it is: no column, line, escape or tag of its own.
fn escaped(text: &str) -> String {
    let lines = text.split('\n').map(|line| {
        let line = line.replace('\\', "\\\\").replace('|', "\\|").replace('<', "&lt;");
        printable(&line)
    });
    lines.collect::<Vec<_>>().join("<br>")
}
