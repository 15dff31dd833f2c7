//! The server's own statistics as a planner takes them: estimates, every one of them.

use arrow::datatypes::SchemaRef;
use datafusion_common::stats::Precision;
use datafusion_common::{ColumnStatistics, Statistics};

use super::catalog::Relation;

/// What the server knows of a table's rows: about how many there are, and how many values by the columns' indexes.
pub(super) fn statistics(relation: &Relation, schema: &SchemaRef) -> Statistics {
    let mut statistics = Statistics::new_unknown(schema);
    // None is what a table has that was never looked at, as well as one that is empty.
    let Some(rows) = relation.rows.and_then(inexact).filter(|rows| *rows != Precision::Inexact(0)) else {
        return statistics;
    };
    statistics.num_rows = rows;
    statistics.total_byte_size = relation.bytes.and_then(inexact).unwrap_or_default();
    statistics.column_statistics = relation
        .columns
        .iter()
        .map(|column| ColumnStatistics {
            distinct_count: column.distinct.and_then(inexact).unwrap_or_default(),
            ..ColumnStatistics::new_unknown()
        })
        .collect();
    statistics
}

fn inexact(estimate: u64) -> Option<Precision<usize>> {
    usize::try_from(estimate).ok().map(Precision::Inexact)
}
