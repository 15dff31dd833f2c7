//! Batches as messages: a schema, then batches cut to a size that counts nothing but what they show.
//!
//! Not arrow-flight's own encoder: it sends large lists as lists, fails on unions in lists, and sends nothing at all for
//! an empty batch, which is how a stream says that it is alive.

use arrow::array::{Array, RecordBatch};
use arrow::datatypes::Schema;
use arrow::error::ArrowError;
use arrow_flight::{FlightData, SchemaAsIpc};
use arrow_ipc::writer::{DictionaryTracker, IpcDataGenerator, IpcWriteContext, IpcWriteOptions};

/// Makes the messages of one stream, whose batches hold no dictionaries.
#[derive(Debug)]
pub struct Messages {
    options: IpcWriteOptions,
    bytes_target: usize,
    generator: IpcDataGenerator,
    dictionaries: DictionaryTracker,
    context: IpcWriteContext,
}

impl Messages {
    /// Messages of about `bytes_target` bytes at most, unless one row has more.
    pub fn new(options: IpcWriteOptions, bytes_target: usize) -> Self {
        Self {
            options,
            bytes_target: bytes_target.max(1),
            generator: IpcDataGenerator::default(),
            dictionaries: DictionaryTracker::new(true),
            context: IpcWriteContext::default(),
        }
    }

    /// The first message.
    pub fn schema(&self, schema: &Schema) -> FlightData {
        SchemaAsIpc::new(schema, &self.options).into()
    }

    /// The messages of a batch, each with the number of its rows; one even if it has none.
    ///
    /// # Errors
    /// A type that Arrow's format cannot hold.
    pub fn batch(&mut self, batch: &RecordBatch) -> Result<Vec<(usize, FlightData)>, ArrowError> {
        let step = self.rows_of_message(batch)?;
        let starts = (0..batch.num_rows().max(1)).step_by(step);
        let mut pieces = Vec::new();
        for start in starts {
            self.cut(batch.slice(start, step.min(batch.num_rows() - start)), &mut pieces)?;
        }
        pieces.iter().map(|piece| self.message(piece)).collect()
    }

    /// Rows that are much larger than the others are cut once more.
    fn cut(&self, rows: RecordBatch, pieces: &mut Vec<RecordBatch>) -> Result<(), ArrowError> {
        let count = rows.num_rows();
        if count < 2 || bytes_of_message(&rows)? <= self.bytes_target.saturating_mul(2) {
            pieces.push(rows);
            return Ok(());
        }
        let half = if count < 16 { count / 2 } else { count / 2 / 8 * 8 };
        self.cut(rows.slice(0, half), pieces)?;
        self.cut(rows.slice(half, count - half), pieces)
    }

    /// Whole bytes of bits where there are eight rows, so that no bit of the next message's rows is in this one.
    fn rows_of_message(&self, batch: &RecordBatch) -> Result<usize, ArrowError> {
        let messages = bytes_of_message(batch)?.div_ceil(self.bytes_target).max(1);
        let rows = batch.num_rows() / messages;
        Ok(if messages == 1 { batch.num_rows().max(1) } else { (rows - rows % 8).max(rows.min(7)).max(1) })
    }

    fn message(&mut self, rows: &RecordBatch) -> Result<(usize, FlightData), ArrowError> {
        let (_, encoded) = self.generator.encode(rows, &mut self.dictionaries, &self.options, &mut self.context)?;
        Ok((rows.num_rows(), encoded.into()))
    }
}

fn bytes_of_message(rows: &RecordBatch) -> Result<usize, ArrowError> {
    rows.columns().iter().map(|column| column.to_data().get_slice_memory_size()).sum()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Int64Array, LargeListArray, StringArray};
    use arrow::datatypes::Int64Type;
    use arrow_flight::utils::flight_data_to_batches;

    use super::*;

    fn sent(batch: &RecordBatch, bytes_target: usize) -> Vec<RecordBatch> {
        let mut messages = Messages::new(IpcWriteOptions::default(), bytes_target);
        let mut all = vec![messages.schema(&batch.schema())];
        all.extend(messages.batch(batch).unwrap().into_iter().map(|(_, message)| message));
        flight_data_to_batches(&all).unwrap()
    }

    #[test]
    fn messages_are_cut_by_size_and_an_empty_batch_is_one_too() {
        let batch = |rows| {
            let numbers: Int64Array = (0..rows).collect();
            RecordBatch::try_from_iter([("n", Arc::new(numbers) as _)]).unwrap()
        };
        let rows = |rows, target| sent(&batch(rows), target).iter().map(RecordBatch::num_rows).collect::<Vec<_>>();
        assert_eq!(rows(0, 100), [0]);
        assert_eq!(rows(100, 800), [100]);
        assert_eq!(rows(100, 400), [48, 48, 4]);
        assert_eq!(rows(5, 16), [1, 1, 1, 1, 1], "rows are never cut");
    }

    #[test]
    fn large_rows_among_small_ones_are_messages_of_their_own() {
        let texts = StringArray::from_iter_values((0..100).map(|n| "x".repeat(if n < 96 { 1 } else { 20_000 })));
        let batch = RecordBatch::try_from_iter([("t", Arc::new(texts) as _)]).unwrap();
        let sent = sent(&batch, 8_000);
        assert_eq!(sent.iter().map(RecordBatch::num_rows).sum::<usize>(), 100);
        let most = sent.iter().map(|piece| bytes_of_message(piece).unwrap()).max().unwrap();
        assert!(most < 21_000, "{most} bytes in one message");
    }

    #[test]
    fn a_large_list_stays_one() {
        let lists = LargeListArray::from_iter_primitive::<Int64Type, _, _>([Some([Some(1)]), None]);
        let batch = RecordBatch::try_from_iter([("l", Arc::new(lists) as _)]).unwrap();
        assert_eq!(sent(&batch, 100), [batch]);
    }
}
