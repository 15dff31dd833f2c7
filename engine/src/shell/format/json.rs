//! One JSON array of objects, streamed, a row a line: whole for a parser, and still fit for `head` and `grep`.

use std::collections::HashSet;
use std::io::Write;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::json::WriterBuilder;
use arrow::json::writer::JsonFormat;

use super::ResultWriter;
use crate::shell::error::ShellError;

/// Writes `[` before the first row, a comma between rows, and `]` at the end. NULL is `null`, and so are the floats
/// that JSON cannot say.
pub(super) struct JsonWriter {
    schema: SchemaRef,
    has_rows: bool,
}

impl JsonWriter {
    pub(super) fn new(schema: &Schema) -> Self {
        Self { schema: with_distinct_names(schema), has_rows: false }
    }
}

impl ResultWriter for JsonWriter {
    fn write(&mut self, batch: &RecordBatch, out: &mut dyn Write) -> Result<(), ShellError> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        // Filled first, for the same reason as in CSV: a closed pipe must stay an I/O error.
        let mut text = Vec::new();
        WriterBuilder::new()
            .with_explicit_nulls(true)
            .build::<_, RowsByComma>(&mut text)
            .write(&RecordBatch::try_new(Arc::clone(&self.schema), batch.columns().to_vec())?)?;
        out.write_all(if self.has_rows { b",\n" } else { b"[" })?;
        self.has_rows = true;
        Ok(out.write_all(&text)?)
    }

    fn finish(&mut self, out: &mut dyn Write) -> Result<(), ShellError> {
        let end: &[u8] = if self.has_rows { b"]\n" } else { b"[]\n" };
        Ok(out.write_all(end)?)
    }
}

/// The rows of one batch; the array's brackets stand around all batches.
#[derive(Debug, Default)]
struct RowsByComma;

impl JsonFormat for RowsByComma {
    fn start_row<W: Write>(&self, writer: &mut W, is_first_row: bool) -> Result<(), ArrowError> {
        if !is_first_row {
            writer.write_all(b",\n")?;
        }
        Ok(())
    }
}

/// Columns of one name would be keys of one name, of which readers keep only the last: `id, id` becomes `id, id_1`.
fn with_distinct_names(schema: &Schema) -> SchemaRef {
    let mut taken: HashSet<String> = schema.fields().iter().map(|field| field.name().clone()).collect();
    let mut seen = HashSet::new();
    let fields: Vec<Arc<Field>> = schema
        .fields()
        .iter()
        .map(|field| {
            if seen.insert(field.name().clone()) {
                return Arc::clone(field);
            }
            let name = free_name(field.name(), &taken);
            taken.insert(name.clone());
            Arc::new(field.as_ref().clone().with_name(name))
        })
        .collect();
    Arc::new(Schema::new(fields))
}

fn free_name(name: &str, taken: &HashSet<String>) -> String {
    let mut number = 1;
    loop {
        let candidate = format!("{name}_{number}");
        if !taken.contains(&candidate) {
            return candidate;
        }
        number += 1;
    }
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::DataType;

    use super::*;

    #[test]
    fn names_become_distinct_and_stay_otherwise() {
        let named = ["id", "id", "id_1", "x", "id"].map(|name| Field::new(name, DataType::Int32, true));
        let schema = with_distinct_names(&Schema::new(named.to_vec()));
        let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
        assert_eq!(names, ["id", "id_2", "id_1", "x", "id_3"]);
    }
}
