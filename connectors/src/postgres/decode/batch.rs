//! Rows gathered into batches: full by rows or by bytes, whichever comes first.

use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::SchemaRef;
use datafusion_common::DataFusionError;

use super::frame::Fields;
use super::misfit::Misfit;
use super::values::Values;
use crate::error::ConnectorError;

/// A batch is handed on when it has so many bytes, even with few rows; one row may have more.
const BATCH_BYTES_MAX: usize = 2 * 1024 * 1024;

/// The batch being built.
#[derive(Debug)]
pub(in super::super) struct BatchBuilder {
    schema: SchemaRef,
    /// What is read, as errors name it.
    location: String,
    columns: Vec<Values>,
    rows_max: usize,
    rows: usize,
    bytes: usize,
}

impl BatchBuilder {
    /// Builds batches of `schema` with at most `rows_max` rows.
    ///
    /// # Errors
    /// [`ConnectorError::Unsupported`] for a type that the server has nothing for.
    pub(in super::super) fn new(schema: &SchemaRef, location: &str, rows_max: usize) -> Result<Self, ConnectorError> {
        let columns = schema.fields().iter().map(|field| {
            Values::new(field.data_type()).ok_or_else(|| ConnectorError::Unsupported {
                feature: format!("reading {} from PostgreSQL", field.data_type()),
                advice: "cast the column to another type".to_owned(),
            })
        });
        Ok(Self {
            columns: columns.collect::<Result<_, _>>()?,
            schema: Arc::clone(schema),
            location: location.to_owned(),
            rows_max,
            rows: 0,
            bytes: 0,
        })
    }

    /// Adds a row.
    ///
    /// # Errors
    /// The first value that has no exact form, by table, column and type.
    pub(in super::super) fn append(&mut self, row: &[u8]) -> Result<(), ConnectorError> {
        let mut fields = Fields(row);
        for (values, field) in self.columns.iter_mut().zip(self.schema.fields()) {
            let appended = match fields.next() {
                Ok(Some(sent)) => values.append(sent),
                Ok(None) if field.is_nullable() => {
                    values.append_null();
                    Ok(())
                }
                Ok(None) => Err(Misfit::Null),
                Err(malformed) => Err(malformed.into()),
            };
            appended.map_err(|misfit| misfit.at(&self.location, field))?;
        }
        self.rows += 1;
        self.bytes += row.len();
        Ok(())
    }

    /// Whether it should be handed on.
    pub(in super::super) fn is_full(&self) -> bool {
        self.rows >= self.rows_max || self.bytes >= BATCH_BYTES_MAX
    }

    /// Whether it has no row.
    pub(in super::super) fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// The batch; the next row begins a new one.
    pub(in super::super) fn finish(&mut self) -> Result<RecordBatch, ConnectorError> {
        let internal = |error| ConnectorError::Internal {
            step: "putting a batch together",
            cause: DataFusionError::ArrowError(Box::new(error), None),
        };
        let columns = self.columns.iter_mut().map(Values::finish).collect::<Result<_, _>>().map_err(internal)?;
        let options = RecordBatchOptions::new().with_row_count(Some(self.rows));
        (self.rows, self.bytes) = (0, 0);
        RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options).map_err(internal)
    }
}
