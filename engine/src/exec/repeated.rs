//! Rows that the operator above repeats, or gives values that stand in every row: so few at once that what it makes of them is no
//! more than a function may make of a batch.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{DataType, SchemaRef};
use datafusion::error::Result;
use datafusion::physical_plan::unnest::UnnestExec;
use datafusion::physical_plan::{RecordBatchStream, SendableRecordBatchStream};
use futures::{Stream, StreamExt};

use crate::error::{Code, EngineError};
use crate::exec::widths::wide_rows;
use crate::session::process_memory::room_for;

/// One row may be repeated until it has so many times what a function may make of a batch.
const BATCHES: usize = 4;

/// What one batch may become.
#[derive(Debug, Clone)]
pub(super) enum Repeated {
    /// Each row stands there for each element of these columns' lists, to that depth.
    ByElements { lists: Vec<(usize, usize)>, bytes_max: usize },
    /// As few rows as have their place with what stands in each.
    Rows(usize),
}

impl Repeated {
    /// What `unnest` repeats.
    pub(super) fn by(unnest: &UnnestExec, bytes_max: usize) -> Self {
        let lists = unnest.list_column_indices().iter();
        Self::ByElements { lists: lists.map(|list| (list.index_in_input_schema, list.depth)).collect(), bytes_max }
    }

    /// The steps of a batch, with the bytes that are made of each.
    fn cut(&self, batch: &RecordBatch) -> Result<VecDeque<(RecordBatch, usize)>> {
        match self {
            Self::ByElements { lists, bytes_max } => by_elements(batch, lists, *bytes_max),
            Self::Rows(rows) => {
                let rows = (*rows).max(1);
                let steps = (0..batch.num_rows()).step_by(rows);
                Ok(steps.map(|from| (batch.slice(from, rows.min(batch.num_rows() - from)), 0)).collect())
            }
        }
    }
}

fn by_elements(
    batch: &RecordBatch,
    lists: &[(usize, usize)],
    bytes_max: usize,
) -> Result<VecDeque<(RecordBatch, usize)>> {
    let is_repeated = |column: &usize| lists.iter().all(|(list, _)| list != column);
    let repeated: Vec<usize> = (0..batch.num_columns()).filter(is_repeated).collect();
    let Some(bytes) = wide_rows(&batch.project(&repeated)?, 0) else {
        return Ok(VecDeque::from([(batch.clone(), 0)]));
    };
    let mut steps = VecDeque::new();
    let (mut from, mut load) = (0, 0_usize);
    for (row, bytes) in bytes.into_iter().enumerate() {
        let lists = lists.iter().filter_map(|(list, depth)| Some((batch.columns().get(*list)?, *depth)));
        let own = bytes.saturating_mul(lists.map(|(list, depth)| elements(list, row, depth)).max().unwrap_or(1));
        let most = bytes_max.saturating_mul(BATCHES);
        if own > most {
            let sentence = format!(
                "`unnest` would repeat what stands beside a list until one row had more than {most} bytes of it; unnest first and \
                 fetch wide columns after, or ask for less of them (`function_bytes_max`)"
            );
            return Err(EngineError::new(Code::Memory, sentence).into());
        }
        if row > from && load.saturating_add(own) > bytes_max {
            steps.push_back((batch.slice(from, row - from), load));
            (from, load) = (row, 0);
        }
        load = load.saturating_add(own);
    }
    steps.push_back((batch.slice(from, batch.num_rows() - from), load));
    Ok(steps)
}

/// How many rows a row becomes.
fn elements(list: &ArrayRef, row: usize, depth: usize) -> usize {
    if list.is_null(row) {
        return 1;
    }
    let values = match list.data_type() {
        DataType::List(_) => list.as_list::<i32>().value(row),
        DataType::LargeList(_) => list.as_list::<i64>().value(row),
        DataType::ListView(_) => list.as_list_view::<i32>().value(row),
        DataType::LargeListView(_) => list.as_list_view::<i64>().value(row),
        DataType::FixedSizeList(_, _) => list.as_fixed_size_list().value(row),
        _ => return 1,
    };
    match depth {
        0 | 1 => values.len(),
        _ => (0..values.len()).map(|element| elements(&values, element, depth - 1)).sum(),
    }
}

/// Hands rows on in such steps.
pub(super) struct InSteps {
    rows: SendableRecordBatchStream,
    repeated: Repeated,
    steps: VecDeque<(RecordBatch, usize)>,
}

impl InSteps {
    pub(super) fn new(rows: SendableRecordBatchStream, repeated: Repeated) -> Self {
        Self { rows, repeated, steps: VecDeque::new() }
    }
}

impl Stream for InSteps {
    type Item = Result<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if let Some((step, bytes)) = self.steps.pop_front() {
                // It is made at once; how long what is made is kept is not known here.
                drop(room_for(bytes)?);
                return Poll::Ready(Some(Ok(step)));
            }
            match ready!(self.rows.poll_next_unpin(cx)) {
                Some(Ok(batch)) if batch.num_rows() > 0 => self.steps = self.repeated.cut(&batch)?,
                next => return Poll::Ready(next),
            }
        }
    }
}

impl RecordBatchStream for InSteps {
    fn schema(&self) -> SchemaRef {
        self.rows.schema()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Int64Array, ListArray, StringArray};
    use arrow::datatypes::Int64Type;

    use super::*;

    fn rows(steps: &VecDeque<(RecordBatch, usize)>) -> Vec<(usize, usize)> {
        steps.iter().map(|(step, bytes)| (step.num_rows(), *bytes)).collect()
    }

    /// Lists of so many elements, beside a text of a hundred bytes.
    fn batch(lengths: &[i64]) -> RecordBatch {
        let lists = lengths.iter().map(|length| Some((0..*length).map(Some).collect::<Vec<_>>()));
        let lists: ArrayRef = Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>(lists));
        let texts: ArrayRef = Arc::new(StringArray::from(vec!["x".repeat(100); lengths.len()]));
        RecordBatch::try_from_iter([("list", lists), ("text", texts)]).unwrap()
    }

    #[test]
    fn what_stands_beside_a_list_is_repeated_in_steps() {
        let by_elements = Repeated::ByElements { lists: vec![(0, 1)], bytes_max: 1_000 };
        let cut = |lengths: &[i64]| by_elements.cut(&batch(lengths)).map(|steps| rows(&steps));
        assert_eq!(cut(&[5, 5, 1, 9, 40, 0, 3]).unwrap(), [(2, 1_000), (2, 1_000), (1, 4_000), (2, 300)]);
        assert_eq!(EngineError::of_running(cut(&[1, 41]).unwrap_err()).code(), Code::Memory);
        let alone = batch(&[1_000_000]).project(&[0]).unwrap();
        assert_eq!(rows(&by_elements.cut(&alone).unwrap()), [(1, 0)]);
    }

    #[test]
    fn rows_come_few_at_a_time() {
        let numbers: ArrayRef = Arc::new((0..10).collect::<Int64Array>());
        let batch = RecordBatch::try_from_iter([("n", numbers)]).unwrap();
        assert_eq!(rows(&Repeated::Rows(4).cut(&batch).unwrap()), [(4, 0), (4, 0), (2, 0)]);
        assert_eq!(rows(&Repeated::Rows(0).cut(&batch).unwrap()), [(1, 0); 10], "one at least");
    }
}
