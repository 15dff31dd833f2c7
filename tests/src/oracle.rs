//! Answers compared: exact but for floats, as multisets unless the order is total, with a difference that a reader can use.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;

use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use datafusion::error::Result;
use datafusion::physical_plan::collect;
use datafusion::prelude::SessionContext;

use crate::value::{Value, close, column_values, join};

/// As many rows of a difference are shown as a reader looks at.
const ROWS_SHOWN: usize = 8;

/// What came back for a statement.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The declared schema, also of an answer without rows.
    pub schema: SchemaRef,
    /// The rows.
    pub batches: Vec<RecordBatch>,
}

/// What a statement promises about the rows of its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Promise {
    /// These rows, in any order.
    Multiset,
    /// These rows in this order: the statement sorts by a key that is unique.
    Ordered,
    /// This many rows: a LIMIT without a total order may take any of them.
    RowsOnly,
}

/// Runs a statement in one DataFusion process.
pub async fn local_answer(ctx: &SessionContext, sql: &str) -> Result<Answer> {
    let plan = ctx.sql(sql).await?.create_physical_plan().await?;
    let schema = plan.schema();
    let batches = collect(plan, ctx.task_ctx()).await?;
    Ok(Answer { schema, batches })
}

/// The same names, types and rows? The error says what differs.
pub fn compare(expected: &Answer, actual: &Answer, promise: Promise) -> Result<(), String> {
    compare_schemas(&expected.schema, &actual.schema)?;
    for batch in &actual.batches {
        compare_schemas(&actual.schema, &batch.schema())
            .map_err(|e| format!("a batch is not of the declared schema: {e}"))?;
    }
    compare_rows(expected, actual, promise, Value::clone)
}

/// As [`compare`] against another engine: names and types are its own affair, and a float may stand for a decimal.
pub fn compare_values(local: &Answer, other: &Answer, promise: Promise) -> Result<(), String> {
    if local.schema.fields().len() != other.schema.fields().len() {
        return Err(format!("{} columns for {}", other.schema.fields().len(), local.schema.fields().len()));
    }
    compare_rows(local, other, promise, |value| value.clone().date_as_timestamp())
}

/// As [`compare_values`], against an engine that rounds decimals to fewer digits: those that it gives must be right.
pub fn compare_rounded(local: &Answer, other: &Answer, promise: Promise) -> Result<(), String> {
    compare_values(&rounded(local, other)?, other, promise)
}

/// The local answer with the digits of the other's decimals.
fn rounded(local: &Answer, other: &Answer) -> Result<Answer, String> {
    let fields = local.schema.fields().iter().zip(other.schema.fields()).map(|(local, other)| {
        match (local.data_type(), other.data_type()) {
            (DataType::Decimal128(_, digits), fewer @ DataType::Decimal128(_, given)) if given < digits => {
                local.as_ref().clone().with_data_type(fewer.clone())
            }
            _ => local.as_ref().clone(),
        }
    });
    let schema = SchemaRef::new(Schema::new(fields.collect::<Vec<_>>()));
    let cast = |batch: &RecordBatch| {
        let columns =
            batch.columns().iter().zip(schema.fields()).map(|(column, field)| cast(column, field.data_type()));
        RecordBatch::try_new(Arc::clone(&schema), columns.collect::<Result<_, _>>()?)
    };
    let batches = local.batches.iter().map(cast).collect::<Result<_, _>>().map_err(|error| error.to_string())?;
    Ok(Answer { schema, batches })
}

fn compare_schemas(expected: &SchemaRef, actual: &SchemaRef) -> Result<(), String> {
    let described = |schema: &SchemaRef| -> Vec<String> {
        schema.fields().iter().map(|field| format!("{}: {}", field.name(), plain(field.data_type()))).collect()
    };
    let (expected, actual) = (described(expected), described(actual));
    if expected == actual {
        return Ok(());
    }
    Err(format!("another schema\n  expected ({})\n  actual   ({})", expected.join(", "), actual.join(", ")))
}

/// The type a client sees: views, large offsets and dictionaries are layouts of a type, not types of their own.
fn plain(data_type: &DataType) -> DataType {
    let plain_field = |field: &Field| Field::new(field.name(), plain(field.data_type()), true);
    match data_type {
        DataType::Utf8View | DataType::LargeUtf8 => DataType::Utf8,
        DataType::BinaryView | DataType::LargeBinary => DataType::Binary,
        DataType::Dictionary(_, values) => plain(values),
        DataType::List(element) => DataType::List(plain_field(element).into()),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(|field| plain_field(field)).collect()),
        other => other.clone(),
    }
}

type Row = Vec<Value>;

fn compare_rows(
    expected: &Answer,
    actual: &Answer,
    promise: Promise,
    reading: fn(&Value) -> Value,
) -> Result<(), String> {
    let tolerances: Vec<Tolerance> =
        expected.schema.fields().iter().zip(actual.schema.fields()).map(|(e, a)| tolerance(e, a)).collect();
    let (expected_rows, actual_rows) = (rows(expected, reading), rows(actual, reading));
    let difference = match promise {
        Promise::RowsOnly => (expected_rows.len() != actual_rows.len()).then(String::new),
        Promise::Ordered => differ_in_order(&expected_rows, &actual_rows, &tolerances),
        Promise::Multiset => differ_as_multisets(expected_rows.clone(), actual_rows.clone(), &tolerances),
    };
    match difference {
        None => Ok(()),
        Some(difference) => {
            let names: Vec<&str> = expected.schema.fields().iter().map(|field| field.name().as_str()).collect();
            Err(format!(
                "{} rows for {} expected, of ({})\n{difference}",
                actual_rows.len(),
                expected_rows.len(),
                names.join(", ")
            ))
        }
    }
}

/// How a column is compared: exactly, or as floats, which may stand for decimals of a scale.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Tolerance {
    Exact,
    Float(Option<u8>),
}

fn tolerance(expected: &Field, actual: &Field) -> Tolerance {
    let (expected, actual) = (expected.data_type(), actual.data_type());
    if has_float(expected) || has_float(actual) {
        Tolerance::Float(decimal_scale(expected).or(decimal_scale(actual)))
    } else {
        Tolerance::Exact
    }
}

fn has_float(data_type: &DataType) -> bool {
    match data_type {
        DataType::List(element) | DataType::LargeList(element) | DataType::FixedSizeList(element, _) => {
            has_float(element.data_type())
        }
        DataType::Struct(fields) => fields.iter().any(|field| has_float(field.data_type())),
        DataType::Dictionary(_, values) => has_float(values),
        other => other.is_floating(),
    }
}

fn decimal_scale(data_type: &DataType) -> Option<u8> {
    match data_type {
        DataType::Decimal128(_, scale) => u8::try_from(*scale).ok(),
        DataType::List(element) => decimal_scale(element.data_type()),
        _ => None,
    }
}

fn rows(answer: &Answer, reading: fn(&Value) -> Value) -> Vec<Row> {
    let mut rows = vec![];
    for batch in &answer.batches {
        let columns: Vec<Vec<Value>> = batch.columns().iter().map(column_values).collect();
        rows.extend(
            (0..batch.num_rows()).map(|row| columns.iter().map(|column| reading(&column[row])).collect::<Row>()),
        );
    }
    rows
}

fn rows_close(left: &Row, right: &Row, tolerances: &[Tolerance]) -> bool {
    left.iter().zip(right).zip(tolerances).all(|((left, right), tolerance)| match tolerance {
        Tolerance::Exact => left == right,
        Tolerance::Float(scale) => close(left, right, *scale),
    })
}

fn differ_in_order(expected: &[Row], actual: &[Row], tolerances: &[Tolerance]) -> Option<String> {
    let longest = expected.len().max(actual.len());
    let at = (0..longest).find(|row| match (expected.get(*row), actual.get(*row)) {
        (Some(expected), Some(actual)) => !rows_close(expected, actual, tolerances),
        _ => true,
    })?;
    let shown = |rows: &[Row]| rows.get(at).map_or("no row".to_string(), |row| join(row));
    Some(format!("first difference in row {}\n  expected {}\n  actual   {}", at + 1, shown(expected), shown(actual)))
}

/// Rows whose exact columns are equal are matched within tolerance, whatever the order of their floats.
fn differ_as_multisets(expected: Vec<Row>, actual: Vec<Row>, tolerances: &[Tolerance]) -> Option<String> {
    let mut groups: BTreeMap<Row, (Vec<Row>, Vec<Row>)> = BTreeMap::new();
    for row in expected {
        groups.entry(exact_part(&row, tolerances)).or_default().0.push(row);
    }
    for row in actual {
        groups.entry(exact_part(&row, tolerances)).or_default().1.push(row);
    }
    let (mut missing, mut extra) = (vec![], vec![]);
    for (expected, actual) in groups.into_values() {
        let (unmatched_expected, unmatched_actual) = unmatched(expected, actual, tolerances);
        missing.extend(unmatched_expected);
        extra.extend(unmatched_actual);
    }
    (!missing.is_empty() || !extra.is_empty()).then(|| shown("missing", &missing) + &shown("extra", &extra))
}

fn exact_part(row: &Row, tolerances: &[Tolerance]) -> Row {
    let exact = row.iter().zip(tolerances).filter(|(_, tolerance)| **tolerance == Tolerance::Exact);
    exact.map(|(value, _)| value.clone()).collect()
}

fn unmatched(mut expected: Vec<Row>, mut actual: Vec<Row>, tolerances: &[Tolerance]) -> (Vec<Row>, Vec<Row>) {
    expected.sort();
    actual.sort();
    let pairwise =
        expected.len() == actual.len() && expected.iter().zip(&actual).all(|(e, a)| rows_close(e, a, tolerances));
    if pairwise {
        return (vec![], vec![]);
    }
    // A last digit can change which of two rows comes first, so each row may take any that is still free.
    expected.retain(|row| match actual.iter().position(|other| rows_close(row, other, tolerances)) {
        Some(at) => {
            actual.swap_remove(at);
            false
        }
        None => true,
    });
    (expected, actual)
}

fn shown(what: &str, rows: &[Row]) -> String {
    let mut text = String::new();
    for row in rows.iter().take(ROWS_SHOWN) {
        writeln!(text, "  {what} {}", join(row)).expect("a string takes all text");
    }
    if rows.len() > ROWS_SHOWN {
        writeln!(text, "  {what} … {} more", rows.len() - ROWS_SHOWN).expect("a string takes all text");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn answer(sql: &str) -> Answer {
        local_answer(&SessionContext::new(), sql).await.unwrap()
    }

    async fn check(expected: &str, actual: &str, promise: Promise) -> Result<(), String> {
        compare(&answer(expected).await, &answer(actual).await, promise)
    }

    #[tokio::test]
    async fn rows_count_with_their_multiplicity_and_not_with_their_order() {
        let expected = "SELECT * FROM (VALUES (1, 0.5), (1, 0.5), (2, NULL)) AS t(a, b)";
        check(expected, "SELECT * FROM (VALUES (2, NULL), (1, 0.5), (1, 0.5)) AS t(a, b)", Promise::Multiset)
            .await
            .unwrap();
        let ordered =
            check(expected, "SELECT * FROM (VALUES (2, NULL), (1, 0.5), (1, 0.5)) AS t(a, b)", Promise::Ordered).await;
        assert!(ordered.unwrap_err().contains("first difference in row 1"));
        let fewer =
            check(expected, "SELECT * FROM (VALUES (2, NULL), (1, 0.5), (2, 0.5)) AS t(a, b)", Promise::Multiset).await;
        let text = fewer.unwrap_err();
        assert!(text.contains("missing 1, 0.5") && text.contains("extra 2, 0.5"), "{text}");
    }

    #[tokio::test]
    async fn an_answer_cut_short_is_found() {
        for promise in [Promise::Multiset, Promise::Ordered, Promise::RowsOnly] {
            check("SELECT 1 AS a UNION ALL SELECT 1", "SELECT 1 AS a", promise).await.unwrap_err();
            check("SELECT 1 AS a LIMIT 0", "SELECT 1 AS a", promise).await.unwrap_err();
        }
        check("SELECT 1 AS a", "SELECT 2 AS a", Promise::RowsOnly).await.unwrap();
    }

    #[tokio::test]
    async fn floats_are_matched_whatever_the_order_of_their_last_digits() {
        let expected = "SELECT * FROM (VALUES (1.0, 5.0), (1.0000000000001, 3.0)) AS t(a, b)";
        let actual = "SELECT * FROM (VALUES (1.0000000000001, 5.0), (1.0, 3.0)) AS t(a, b)";
        check(expected, actual, Promise::Multiset).await.unwrap();
        check(expected, "SELECT * FROM (VALUES (1.0, 5.0), (1.001, 3.0)) AS t(a, b)", Promise::Multiset)
            .await
            .unwrap_err();
    }

    #[tokio::test]
    async fn names_and_types_count_and_layouts_do_not() {
        check("SELECT 'x' AS a", "SELECT arrow_cast('x', 'Utf8') AS a", Promise::Multiset).await.unwrap();
        check("SELECT 1 AS a", "SELECT 1 AS b", Promise::Multiset).await.unwrap_err();
        let types = check("SELECT 1 AS a", "SELECT arrow_cast(1, 'Int32') AS a", Promise::Multiset).await;
        assert!(types.unwrap_err().contains("a: Int32"));
    }

    #[tokio::test]
    async fn another_engine_may_widen_numbers_but_not_change_them() {
        let local = answer("SELECT arrow_cast(0.333333, 'Decimal128(10, 6)') AS a, 7 AS b").await;
        let check = |other: Answer| compare_values(&local, &other, Promise::Multiset);
        check(answer("SELECT 1.0 / 3.0 AS x, arrow_cast(7, 'Decimal128(38, 0)') AS y").await).unwrap();
        check(answer("SELECT 1.0 / 3.1 AS x, 7 AS y").await).unwrap_err();
        check(answer("SELECT 1.0 / 3.0 AS x, 8 AS y").await).unwrap_err();
    }
}
