//! Tab-separated values, for tools that cut lines at tabs: a header always, NULL as `\N`, and no tab or line end in a value.

use std::io::Write;
use std::sync::Arc;

use arrow::array::{Array, RecordBatch};
use arrow::datatypes::SchemaRef;

use super::ResultWriter;
use super::cell::Cells;
use crate::shell::error::ShellError;

/// As PostgreSQL's COPY reads it.
const NULL: &str = "\\N";

/// Writes one line a row, and one before the first.
pub(super) struct TsvWriter {
    schema: SchemaRef,
    header_is_written: bool,
}

impl TsvWriter {
    pub(super) fn new(schema: SchemaRef) -> Self {
        Self { schema, header_is_written: false }
    }

    fn write_header(&mut self, out: &mut dyn Write) -> Result<(), ShellError> {
        if self.header_is_written {
            return Ok(());
        }
        self.header_is_written = true;
        write_row(self.schema.fields().iter().map(|field| escaped(field.name())), out)
    }
}

impl ResultWriter for TsvWriter {
    fn write(&mut self, batch: &RecordBatch, out: &mut dyn Write) -> Result<(), ShellError> {
        self.write_header(out)?;
        let cells = Cells::of(batch)?;
        for row in 0..batch.num_rows() {
            let value = |(text, column): (Result<String, ShellError>, &Arc<dyn Array>)| {
                Ok(if column.is_null(row) { NULL.to_owned() } else { escaped(&text?) })
            };
            let texts = cells.row(row).zip(batch.columns()).map(value).collect::<Result<Vec<_>, ShellError>>()?;
            write_row(texts.into_iter(), out)?;
        }
        Ok(())
    }

    fn finish(&mut self, out: &mut dyn Write) -> Result<(), ShellError> {
        self.write_header(out)
    }
}

fn write_row(cells: impl Iterator<Item = String>, out: &mut dyn Write) -> Result<(), ShellError> {
    Ok(writeln!(out, "{}", cells.collect::<Vec<_>>().join("\t"))?)
}

/// `text` on one line and in one field.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('\t', "\\t").replace('\n', "\\n").replace('\r', "\\r")
}
