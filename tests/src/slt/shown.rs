//! An answer as the files show it: a line of text for each row, and a letter for the type of each column.

use std::str::FromStr;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{
    DataType, Decimal32Type, Decimal64Type, Decimal128Type, Decimal256Type, DecimalType, Float16Type, Float32Type,
    Float64Type,
};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use bigdecimal::BigDecimal;
use datafusion::common::config::FormatOptions as DataFusionOptions;

use crate::oracle::Answer;

/// Digits behind the point of a float; the files have no more.
const FLOAT_DIGITS: i64 = 12;

/// The letters of the columns.
pub fn types(answer: &Answer) -> String {
    answer.schema.fields().iter().map(|field| letter(field.data_type())).collect()
}

fn letter(data_type: &DataType) -> char {
    match data_type {
        DataType::Boolean => 'B',
        whole if whole.is_integer() => 'I',
        DataType::Float16 | DataType::Float32 | DataType::Float64 => 'R',
        decimal if decimal.is_decimal() => 'R',
        text if is_text(text) => 'T',
        DataType::Date32 | DataType::Date64 | DataType::Time32(_) | DataType::Time64(_) => 'D',
        DataType::Timestamp(..) => 'P',
        DataType::Dictionary(_, values) if is_text(values) => 'T',
        _ => '?',
    }
}

fn is_text(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
}

/// The rows, each with its values' texts.
pub fn rows(answer: &Answer) -> Result<Vec<Vec<String>>, String> {
    let mut rows = vec![];
    for batch in &answer.batches {
        for row in 0..batch.num_rows() {
            let values = batch.columns().iter().map(|column| value(column, row)).collect::<Result<Vec<_>, _>>()?;
            rows.extend(lines(values));
        }
    }
    Ok(rows)
}

/// A row whose last value has several lines is shown as its other values, and a numbered row for each line.
fn lines(mut row: Vec<String>) -> Vec<Vec<String>> {
    let Some(last) = row.pop_if(|last| last.contains('\n')) else { return vec![row] };
    let numbered = last.split('\n').zip(1..).map(|(line, number)| {
        let text = line.trim_start();
        vec![format!("{number:02}){}{text}", "-".repeat(line.len() - text.len()))]
    });
    std::iter::once(row).chain(numbered).collect()
}

fn value(column: &ArrayRef, row: usize) -> Result<String, String> {
    if column.is_null(row) {
        return Ok("NULL".to_string());
    }
    let shown = match column.data_type() {
        DataType::Float16 => float(column.as_primitive::<Float16Type>().value(row)),
        DataType::Float32 => float(column.as_primitive::<Float32Type>().value(row)),
        DataType::Float64 => float(column.as_primitive::<Float64Type>().value(row)),
        DataType::Decimal32(_, scale) => decimal::<Decimal32Type>(column, row, *scale),
        DataType::Decimal64(_, scale) => decimal::<Decimal64Type>(column, row, *scale),
        DataType::Decimal128(_, scale) => decimal::<Decimal128Type>(column, row, *scale),
        DataType::Decimal256(_, scale) => decimal::<Decimal256Type>(column, row, *scale),
        DataType::Utf8 => text(column.as_string::<i32>().value(row)),
        DataType::LargeUtf8 => text(column.as_string::<i64>().value(row)),
        DataType::Utf8View => text(column.as_string_view().value(row)),
        DataType::Dictionary(..) => {
            let dictionary = column.as_any_dictionary();
            return value(dictionary.values(), dictionary.normalized_keys()[row]);
        }
        _ => return other(column, row),
    };
    Ok(shown)
}

/// One text for NaN, whatever its sign, and for the infinities; else the digits without those that say nothing.
fn float<T: Copy + ToString + Into<f64>>(float: T) -> String {
    let wide: f64 = float.into();
    if wide.is_nan() {
        return "NaN".to_string();
    }
    if wide.is_infinite() {
        return if wide > 0.0 { "Infinity" } else { "-Infinity" }.to_string();
    }
    digits(&float.to_string(), FLOAT_DIGITS)
}

fn decimal<T: DecimalType>(column: &ArrayRef, row: usize, scale: i8) -> String {
    let text = T::format_decimal(column.as_primitive::<T>().value(row), T::MAX_PRECISION, scale);
    digits(&text, i64::from(scale))
}

fn digits(number: &str, behind_the_point: i64) -> String {
    let number = BigDecimal::from_str(number).expect("a number's text");
    number.round(behind_the_point).normalized().to_plain_string()
}

fn text(text: &str) -> String {
    match text {
        "" => "(empty)".to_string(),
        text => text.trim_end_matches('\n').replace('\0', "\\0"),
    }
}

/// As DataFusion prints it.
fn other(column: &ArrayRef, row: usize) -> Result<String, String> {
    let options = DataFusionOptions { null: "NULL".to_string(), ..DataFusionOptions::default() };
    let options: FormatOptions<'_> = (&options).try_into().map_err(|error| format!("{error}"))?;
    let formatter = ArrayFormatter::try_new(column, &options).map_err(|error| error.to_string())?;
    formatter.value(row).try_to_string().map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oracle::local_answer;
    use datafusion::prelude::SessionContext;

    async fn shown(sql: &str) -> (String, Vec<String>) {
        let answer = local_answer(&SessionContext::new(), sql).await.unwrap();
        (types(&answer), rows(&answer).unwrap().into_iter().map(|row| row.join(" ")).collect())
    }

    #[tokio::test]
    async fn values_are_shown_as_in_the_files() {
        let (types, rows) = shown(
            "SELECT 0.1 + 0.2, 1e20, -0.0, CAST('NaN' AS double), CAST('-inf' AS float), CAST(1.50 AS decimal(9, 4)), '', 'a b', \
             NULL, true, 7, [1, NULL], DATE '2024-02-29', arrow_cast('x', 'Dictionary(Int8, Utf8)')",
        )
        .await;
        assert_eq!(types, "RRRRRRTT?BI?DT");
        assert_eq!(
            rows,
            ["0.3 100000000000000000000 0 NaN -Infinity 1.5 (empty) a b NULL true 7 [1, NULL] 2024-02-29 x"]
        );
    }

    #[tokio::test]
    async fn a_last_value_of_several_lines_is_several_rows() {
        let (_, rows) = shown(r"SELECT 'p', E'a\n  b'").await;
        assert_eq!(rows, ["p", "01)a", "02)--b"]);
    }
}
