//! Rows gathered into batches: full by rows or by bytes, whichever comes first.

use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::{DataType, SchemaRef};
use datafusion_common::DataFusionError;

use super::Reading;
use super::misfit::Misfit;
use super::values::Values;
use crate::error::ConnectorError;

/// A batch is handed on when it has so many bytes, even with few rows; one row may have more.
const BATCH_BYTES_MAX: usize = 2 * 1024 * 1024;

/// What a column's next value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Appended {
    /// A value, which has been added.
    Value,
    /// NULL, which has not.
    Null,
}

/// The batch being built.
#[derive(Debug)]
pub(crate) struct BatchBuilder {
    schema: SchemaRef,
    /// What is read, as errors name it.
    location: Arc<str>,
    /// The database's name of a type.
    type_name: fn(&DataType) -> String,
    columns: Vec<Values>,
    rows_max: usize,
    rows: usize,
    bytes: usize,
}

impl BatchBuilder {
    /// Builds batches of what `reading` reads.
    ///
    /// # Errors
    /// [`ConnectorError::Unsupported`] for a type that no database has anything for.
    pub(crate) fn new(reading: &Reading, type_name: fn(&DataType) -> String) -> Result<Self, ConnectorError> {
        let columns = reading.schema.fields().iter().map(|field| {
            Values::new(field.data_type()).ok_or_else(|| ConnectorError::Unsupported {
                feature: format!("reading {} from a database", field.data_type()),
                advice: "cast the column to another type".to_owned(),
            })
        });
        Ok(Self {
            columns: columns.collect::<Result<_, _>>()?,
            schema: Arc::clone(&reading.schema),
            location: Arc::clone(&reading.location),
            type_name,
            rows_max: reading.batch_rows,
            rows: 0,
            bytes: 0,
        })
    }

    /// Adds a row of about so many bytes; `append` adds the value of each column, or answers [`Appended::Null`] for NULL.
    ///
    /// # Errors
    /// The first value that has no exact form, by table, column and type.
    pub(crate) fn append(
        &mut self,
        bytes: usize,
        mut append: impl FnMut(usize, &mut Values) -> Result<Appended, Misfit>,
    ) -> Result<(), ConnectorError> {
        for (position, (values, field)) in self.columns.iter_mut().zip(self.schema.fields()).enumerate() {
            let appended = match append(position, values) {
                Ok(Appended::Null) if field.is_nullable() => {
                    values.append_null();
                    Ok(())
                }
                Ok(Appended::Null) => Err(Misfit::Null),
                Ok(Appended::Value) => Ok(()),
                Err(misfit) => Err(misfit),
            };
            appended.map_err(|misfit| misfit.at(&self.location, field, self.type_name))?;
        }
        self.rows += 1;
        self.bytes += bytes;
        Ok(())
    }

    /// How many columns it has.
    pub(crate) fn width(&self) -> usize {
        self.columns.len()
    }

    /// Whether it should be handed on.
    pub(crate) fn is_full(&self) -> bool {
        self.rows >= self.rows_max || self.bytes >= BATCH_BYTES_MAX
    }

    /// Whether it has no row.
    pub(crate) fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// The batch; the next row begins a new one.
    pub(crate) fn finish(&mut self) -> Result<RecordBatch, ConnectorError> {
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
