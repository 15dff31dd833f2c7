//! Batches of fixed counts, whatever batches come.
//!
//! An expression is computed for a batch at a time. If it fails for the fifth row, `LIMIT 3` is answered when the first batch
//! ends before that row, and refused when it does not; a sum of floats has another last digit where its batches end
//! elsewhere; an outer join tells rows without a partner after each batch. So where batches end would tell of rows that were
//! filtered, and of files and row groups.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::BatchCoalescer;
use datafusion::error::Result;
use datafusion::physical_plan::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::{StreamExt, stream};

/// The same rows, `rows` to a batch and the rest in the last; no batch is empty.
pub fn fixed_batches(batches: SendableRecordBatchStream, rows: usize) -> SendableRecordBatchStream {
    let schema = batches.schema();
    let cutter = Cutter { batches, coming: BatchCoalescer::new(Arc::clone(&schema), rows), rows, ended: false };
    let cut = stream::try_unfold(cutter, |mut cutter| async move {
        Ok(cutter.next().await?.map(|batch| (batch, cutter)))
    });
    Box::pin(RecordBatchStreamAdapter::new(schema, cut))
}

struct Cutter {
    batches: SendableRecordBatchStream,
    coming: BatchCoalescer,
    rows: usize,
    ended: bool,
}

impl Cutter {
    async fn next(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            if let Some(batch) = self.coming.next_completed_batch() {
                return Ok(Some(batch));
            }
            if self.ended {
                return Ok(None);
            }
            match self.batches.next().await.transpose()? {
                // The common case, a file read from its beginning, costs no copy.
                Some(batch) if self.coming.is_empty() && batch.num_rows() == self.rows => return Ok(Some(batch)),
                Some(batch) => self.coming.push_batch(batch)?,
                None => {
                    self.ended = true;
                    self.coming.finish_buffered_batch()?;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{Int64Array, RecordBatchOptions};
    use arrow::datatypes::Schema;
    use futures::TryStreamExt;

    use super::*;

    async fn cut(batches: Vec<RecordBatch>, rows: usize) -> Vec<RecordBatch> {
        let schema = batches[0].schema();
        let batches = RecordBatchStreamAdapter::new(schema, stream::iter(batches.into_iter().map(Ok)));
        fixed_batches(Box::pin(batches), rows).try_collect().await.unwrap()
    }

    #[tokio::test]
    async fn where_batches_end_does_not_depend_on_what_came() {
        let counted = |from: i64, to: i64| {
            RecordBatch::try_from_iter([("n", Arc::new((from..to).collect::<Int64Array>()) as _)]).unwrap()
        };
        let expected = cut(vec![counted(0, 10)], 4).await;
        assert_eq!(expected.iter().map(RecordBatch::num_rows).collect::<Vec<_>>(), [4, 4, 2]);
        for ends in [vec![4, 8], vec![1, 1, 9], vec![3, 7], vec![8], vec![0, 10]] {
            let starts = [0].into_iter().chain(ends.clone());
            let batches = starts.zip(ends.iter().copied().chain([10])).map(|(from, to)| counted(from, to));
            assert_eq!(cut(batches.collect(), 4).await, expected, "{ends:?}");
        }
    }

    #[tokio::test]
    async fn rows_without_columns_are_counted() {
        let options = RecordBatchOptions::new().with_row_count(Some(5));
        let rows = RecordBatch::try_new_with_options(Arc::new(Schema::empty()), vec![], &options).unwrap();
        let cut = cut(vec![rows.clone(), rows], 4).await;
        assert_eq!(cut.iter().map(RecordBatch::num_rows).collect::<Vec<_>>(), [4, 4, 2]);
    }
}
