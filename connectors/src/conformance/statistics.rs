//! Checks of what is known without reading: what is exact is true, whether it was claimed or not.

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::{max, min};
use arrow::datatypes::{DataType, Int64Type};
use datafusion_common::stats::Precision;
use datafusion_common::{ColumnStatistics, ScalarValue};

use super::{Trial, Verdict, expect, unexpected};

/// Claimed: exact for every table. Not claimed: exact only where true.
pub(super) async fn row_count(trial: Trial<'_>) -> Verdict {
    let (tables, source) = trial.loaded().await?;
    for expected in &tables {
        let table = source.table(&expected.name).await.map_err(unexpected)?;
        let came = table.description.statistics.num_rows;
        let is_true = came == Precision::Exact(expected.rows.num_rows());
        let may_differ = !source.capability().row_count && came.is_exact() != Some(true);
        expect(is_true || may_differ, || format!("`{}`: {came:?} of {}", expected.name, expected.rows.num_rows()))?;
    }
    Ok(())
}

/// Claimed: exact bounds and NULLs for whole numbers. Not claimed: no exact bounds at all.
pub(super) async fn column_statistics(trial: Trial<'_>) -> Verdict {
    let (tables, source) = trial.loaded().await?;
    for expected in tables.iter().filter(|table| table.rows.num_rows() > 0) {
        let table = source.table(&expected.name).await.map_err(unexpected)?;
        let columns = &table.description.statistics.column_statistics;
        expect(columns.len() == expected.rows.num_columns(), || {
            format!("`{}`: statistics of {} columns", expected.name, columns.len())
        })?;
        for (position, column) in columns.iter().enumerate() {
            let verdict = match source.capability().column_statistics {
                true => exact_and_true(&expected.rows, position, column),
                false => not_exact(column),
            };
            verdict.map_err(|message| format!("`{}`, column {position}: {message}", expected.name))?;
        }
    }
    Ok(())
}

fn exact_and_true(rows: &RecordBatch, position: usize, column: &ColumnStatistics) -> Verdict {
    let values = rows.column(position);
    if *values.data_type() != DataType::Int64 {
        return Ok(());
    }
    let numbers = values.as_primitive::<Int64Type>();
    let bounds = [(&column.min_value, min(numbers)), (&column.max_value, max(numbers))];
    for (came, truth) in bounds {
        let truth = Precision::Exact(ScalarValue::Int64(truth));
        expect(*came == truth, || format!("expected {truth:?}, came {came:?}"))?;
    }
    expect(column.null_count == Precision::Exact(numbers.null_count()), || format!("NULLs: {:?}", column.null_count))
}

fn not_exact(column: &ColumnStatistics) -> Verdict {
    let is_exact = column.min_value.is_exact() == Some(true) || column.max_value.is_exact() == Some(true);
    expect(!is_exact, || format!("exact bounds come and are not claimed: {column:?}"))
}
