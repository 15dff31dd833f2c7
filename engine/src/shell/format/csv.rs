//! Comma-separated values, for spreadsheets and scripts: a header always, NULL as an empty field.

use std::io::Write;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, StringBuilder};
use arrow::csv::WriterBuilder;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};

use super::ResultWriter;
use super::cell::formatter;
use crate::shell::error::ShellError;

/// Writes one line a row, and one before the first.
pub(super) struct CsvWriter {
    schema: SchemaRef,
    header_is_written: bool,
}

impl CsvWriter {
    pub(super) fn new(schema: SchemaRef) -> Self {
        Self { schema, header_is_written: false }
    }
}

impl ResultWriter for CsvWriter {
    fn write(&mut self, batch: &RecordBatch, out: &mut dyn Write) -> Result<(), ShellError> {
        // Arrow's writer turns a closed pipe into words. It fills a buffer here, so that we see the pipe's own error.
        let mut text = Vec::new();
        WriterBuilder::new().with_header(!self.header_is_written).build(&mut text).write(&flattened(batch)?)?;
        self.header_is_written = true;
        Ok(out.write_all(&text)?)
    }

    fn finish(&mut self, out: &mut dyn Write) -> Result<(), ShellError> {
        if !self.header_is_written {
            self.write(&RecordBatch::new_empty(Arc::clone(&self.schema)), out)?;
        }
        Ok(())
    }
}

/// `batch` with lists, structs and maps as the text that a table shows: CSV has no nesting.
fn flattened(batch: &RecordBatch) -> Result<RecordBatch, ShellError> {
    let schema = batch.schema();
    let mut fields = Vec::with_capacity(batch.num_columns());
    let mut columns: Vec<ArrayRef> = Vec::with_capacity(batch.num_columns());
    for (field, column) in schema.fields().iter().zip(batch.columns()) {
        if field.data_type().is_nested() {
            fields.push(Arc::new(Field::new(field.name(), DataType::Utf8, true)));
            columns.push(as_text(column)?);
        } else {
            fields.push(Arc::clone(field));
            columns.push(Arc::clone(column));
        }
    }
    Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?)
}

fn as_text(column: &ArrayRef) -> Result<ArrayRef, ShellError> {
    let values = formatter(column.as_ref())?;
    let mut text = StringBuilder::new();
    for row in 0..column.len() {
        if column.is_null(row) {
            text.append_null();
        } else {
            text.append_value(values.value(row).try_to_string()?);
        }
    }
    Ok(Arc::new(text.finish()))
}
