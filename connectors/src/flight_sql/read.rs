//! One statement read to its end: its columns compared with what is expected before any row of it is given out.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{FieldRef, Schema};
use futures::stream::{self, StreamExt, TryStreamExt};

use super::answer::{Answer, Part};
use super::fault::Asking;
use super::server::Server;
use super::statement::{Statement, columns_of};
use crate::database::{Batches, Reading};
use crate::error::ConnectorError;
use crate::plain::{conform, plain_type};

/// The rows of a statement. Nothing is asked before the stream is polled; dropping it resets the call and has the server forget
/// the statement.
pub(super) fn read(server: Arc<Server>, reading: Reading) -> Batches {
    let opening =
        async move { open(server, reading).await.map(|open| stream::try_unfold(open, OpenReading::next_batch)) };
    stream::once(opening).try_flatten().boxed()
}

async fn open(server: Arc<Server>, reading: Reading) -> Result<OpenReading, ConnectorError> {
    let asking = Asking::now(reading.location.as_ref(), server.config().statement_timeout);
    let fault = |status| asking.fault(status);
    let statement = Statement::of(&server, &reading.text, &asking).await.map_err(fault)?;
    let mut are_known = compare(statement.columns(), &reading)?;
    let info = statement.run(&asking).await.map_err(fault)?;
    are_known |= compare(columns_of(info.schema.clone()).as_ref(), &reading)?;
    let answer = Answer::of(&server, info, asking, Arc::clone(&reading.location))?;
    Ok(OpenReading { reading, are_known, answer, left: None, _statement: statement })
}

/// Whether the columns are told; an error if they are others than those that are read.
fn compare(told: Option<&Schema>, reading: &Reading) -> Result<bool, ConnectorError> {
    match told {
        None => Ok(false),
        Some(told) if answers_to(told, &reading.schema) => Ok(true),
        Some(_) => Err(ConnectorError::Changed { location: reading.location.to_string() }),
    }
}

/// Whether columns of these types are those that are expected once they are plain, by position and whatever their names.
pub(super) fn answers_to(told: &Schema, expected: &Schema) -> bool {
    let (told, expected) = (told.fields(), expected.fields());
    let same =
        |(told, expected): (&FieldRef, &FieldRef)| plain_type(told.data_type()).equals_datatype(expected.data_type());
    told.len() == expected.len() && told.iter().zip(expected).all(same)
}

/// What is being read.
struct OpenReading {
    reading: Reading,
    /// Whether the columns have been compared: a server may then tell none where there is no row.
    are_known: bool,
    answer: Answer,
    /// Rows that have come and are more than a batch.
    left: Option<RecordBatch>,
    _statement: Statement,
}

impl OpenReading {
    async fn next_batch(mut self) -> Result<Option<(RecordBatch, Self)>, ConnectorError> {
        while self.left.is_none() {
            match self.answer.next().await? {
                Some(Part::Columns(columns)) => self.compare(&columns)?,
                Some(Part::Rows(rows)) if rows.num_rows() == 0 => {}
                Some(Part::Rows(rows)) => self.left = Some(self.plain(&rows)?),
                None if self.are_known => return Ok(None),
                None => return Err(self.other_than_told("has told no columns")),
            }
        }
        let batch = self.left.take().and_then(|rows| self.split(rows));
        Ok(batch.map(|batch| (batch, self)))
    }

    /// A batch of at most as many rows as one may have; the others stay.
    fn split(&mut self, rows: RecordBatch) -> Option<RecordBatch> {
        let most = self.reading.batch_rows.max(1);
        if rows.num_rows() > most {
            self.left = Some(rows.slice(most, rows.num_rows() - most));
            return Some(rows.slice(0, most));
        }
        Some(rows)
    }

    fn compare(&mut self, columns: &Schema) -> Result<(), ConnectorError> {
        if columns.fields().is_empty() && self.are_known {
            return Ok(());
        }
        self.are_known |= compare(Some(columns), &self.reading)?;
        Ok(())
    }

    /// The rows in the types that were described.
    fn plain(&self, rows: &RecordBatch) -> Result<RecordBatch, ConnectorError> {
        // An endpoint may have told no columns, and then it has no rows.
        if !answers_to(&rows.schema(), &self.reading.schema) {
            return Err(self.other_than_told("has sent rows of other columns than it has told"));
        }
        conform(rows, &self.reading.schema).map_err(|error| ConnectorError::InvalidData {
            location: self.reading.location.to_string(),
            detail: "the server has sent a value that the column it describes cannot hold".to_owned(),
            advice: "correct what the server says of the table".to_owned(),
            cause: Some(error.into()),
        })
    }

    fn other_than_told(&self, what: &'static str) -> ConnectorError {
        ConnectorError::unavailable(self.reading.location.to_string(), format!("the server {what}"))
    }
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::{DataType, Field};

    use super::*;

    fn schema(types: &[DataType]) -> Schema {
        let field = |data_type: &DataType| Field::new("c", data_type.clone(), true);
        Schema::new(types.iter().map(field).collect::<Vec<_>>())
    }

    #[test]
    fn columns_are_compared_by_position_and_plain_type() {
        let check = |told: &[DataType], expected: &[DataType], expect: bool| {
            assert_eq!(answers_to(&schema(told), &schema(expected)), expect, "{told:?} {expected:?}");
        };
        check(&[DataType::Utf8View, DataType::Int64], &[DataType::Utf8, DataType::Int64], true);
        check(&[DataType::Int64, DataType::Utf8], &[DataType::Utf8, DataType::Int64], false);
        check(&[DataType::Int32], &[DataType::Int64], false);
        check(&[DataType::Int64, DataType::Int64], &[DataType::Int64], false);
        check(&[], &[DataType::Int64], false);
    }
}
