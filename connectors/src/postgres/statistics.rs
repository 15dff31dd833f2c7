//! The server's own statistics as a planner takes them: estimates, every one of them.

use arrow::datatypes::{DataType, Field, SchemaRef};
use datafusion_common::stats::Precision;
use datafusion_common::{ColumnStatistics, ScalarValue, Statistics};

use super::catalog::{ColumnNumbers, Relation};

/// What the server knows of a table's rows. It counts them now and then and looks at a sample of the columns.
pub(super) fn statistics(relation: &Relation, schema: &SchemaRef) -> Statistics {
    let mut statistics = Statistics::new_unknown(schema);
    // −1 says that nobody has counted, and so did 0 before PostgreSQL 14.
    let Some(rows) = whole(f64::from(relation.rows)).filter(|rows| *rows > 0) else {
        return statistics;
    };
    statistics.num_rows = Precision::Inexact(rows);
    let columns = relation.columns.iter().zip(schema.fields());
    let columns: Vec<ColumnStatistics> = columns
        .map(|(column, field)| match &column.statistics {
            Some(numbers) => of_column(numbers, rows, field),
            None => ColumnStatistics::new_unknown(),
        })
        .collect();
    let sizes: Option<usize> = columns.iter().map(|column| column.byte_size.get_value().copied()).sum();
    statistics.total_byte_size = sizes.map_or(Precision::Absent, Precision::Inexact);
    statistics.column_statistics = columns;
    statistics
}

fn of_column(numbers: &ColumnNumbers, rows: usize, field: &Field) -> ColumnStatistics {
    let mut statistics = ColumnStatistics::new_unknown();
    let total = rows_as_float(rows);
    statistics.null_count = inexact(f64::from(numbers.null_fraction) * total);
    statistics.byte_size = inexact(f64::from(numbers.width_bytes) * total);
    let distinct = f64::from(numbers.distinct);
    statistics.distinct_count = match distinct {
        0.0 => Precision::Absent,
        fraction if fraction < 0.0 => inexact(-fraction * total),
        count => inexact(count),
    };
    let known = numbers.known.iter().flatten().filter_map(|text| value(text, field.data_type()));
    for value in known {
        widen(&mut statistics, value);
    }
    statistics
}

fn widen(statistics: &mut ColumnStatistics, value: ScalarValue) {
    if statistics.min_value.get_value().is_none_or(|least| value < *least) {
        statistics.min_value = Precision::Inexact(value.clone());
    }
    if statistics.max_value.get_value().is_none_or(|most| value > *most) {
        statistics.max_value = Precision::Inexact(value);
    }
}

/// A value as the server writes it; none for infinities and years that cannot be told.
fn value(text: &str, data_type: &DataType) -> Option<ScalarValue> {
    ScalarValue::try_from_string(text.to_owned(), data_type).ok().filter(|value| !value.is_null())
}

fn inexact(estimate: f64) -> Precision<usize> {
    whole(estimate).map_or(Precision::Absent, Precision::Inexact)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an estimate; a cast saturates")]
fn whole(estimate: f64) -> Option<usize> {
    (estimate >= 0.0).then(|| estimate.round() as usize)
}

#[expect(clippy::cast_precision_loss, reason = "an estimate")]
fn rows_as_float(rows: usize) -> f64 {
    rows as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(known: &[&str], distinct: f32, data_type: DataType) -> ColumnStatistics {
        let known = Some(known.iter().map(|text| (*text).to_owned()).collect());
        let numbers = ColumnNumbers { null_fraction: 0.25, distinct, width_bytes: 4, known };
        of_column(&numbers, 1_000, &Field::new("a", data_type, true))
    }

    #[test]
    fn fractions_are_of_the_rows() {
        let column = of(&["3", "-7", "5"], -0.5, DataType::Int32);
        assert_eq!(column.null_count, Precision::Inexact(250));
        assert_eq!(column.distinct_count, Precision::Inexact(500));
        assert_eq!(column.min_value, Precision::Inexact(ScalarValue::Int32(Some(-7))));
        assert_eq!(column.max_value, Precision::Inexact(ScalarValue::Int32(Some(5))));
        assert_eq!(of(&[], 12.0, DataType::Int32).distinct_count, Precision::Inexact(12));
    }

    #[test]
    fn what_cannot_be_told_is_no_bound() {
        let column = of(&["-infinity", "2024-02-29", "infinity"], 0.0, DataType::Date32);
        assert_eq!(column.min_value, Precision::Inexact(ScalarValue::Date32(Some(19_782))));
        assert_eq!(column.max_value, column.min_value);
        assert_eq!(column.distinct_count, Precision::Absent);
    }
}
