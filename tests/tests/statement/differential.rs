//! What a database answers against what DataFusion answers, plan by plan, and what is kept from the database and why.

use std::collections::BTreeMap;

use arrow::datatypes::DataType;
use arrow::record_batch::RecordBatch;
use connectors::statement::Refusal;
use datafusion::logical_expr::LogicalPlan;
use datafusion::prelude::SessionContext;
use harness::postgres::values;

use super::takes_any_rows;

/// Rows as text, or what went wrong.
pub(super) type Rows = Result<Vec<Vec<String>>, String>;

/// What came of asking a database.
#[derive(Debug, Default)]
pub(super) struct Tally {
    agreed: usize,
    /// Why plans were not written, and how many.
    refused: BTreeMap<String, usize>,
    differ: Vec<String>,
}

impl Tally {
    /// A plan was kept from the database.
    pub(super) fn refuse(&mut self, refusal: &Refusal) {
        *self.refused.entry(refusal.to_string()).or_default() += 1;
    }

    /// A plan was answered by both, or failed.
    pub(super) fn compare(&mut self, name: &str, plan: &LogicalPlan, text: &str, expected: Rows, answer: Rows) {
        match (expected, answer) {
            (Err(_), Err(_)) => self.agreed += 1,
            (Ok(expected), Ok(answer)) if takes_any_rows(plan) && expected.len() == answer.len() => self.agreed += 1,
            (Ok(expected), Ok(answer)) if expected == answer => self.agreed += 1,
            (Ok(expected), Ok(answer)) => {
                let first = expected.iter().find(|row| !answer.contains(row));
                let other = answer.iter().find(|row| !expected.contains(row));
                let rows = format!("{} rows, {first:?}, came {} rows, {other:?}", expected.len(), answer.len());
                self.differ.push(format!("{name}: expected {rows}\n{text}"));
            }
            (expected, answer) => {
                let expected = expected.map(|rows| rows.len());
                self.differ.push(format!("{name}: expected {expected:?}, came {answer:?}\n{text}"));
            }
        }
    }

    pub(super) fn finish(self, at_least: usize) {
        println!("{} agreed; refused: {:#?}", self.agreed, self.refused);
        assert!(self.differ.is_empty(), "{} differ\n{}", self.differ.len(), self.differ.join("\n\n"));
        assert!(self.agreed >= at_least, "only {} agreed", self.agreed);
    }
}

pub(super) async fn optimized(ctx: &SessionContext, sql: &str) -> Option<LogicalPlan> {
    ctx.sql(sql).await.ok()?.into_optimized_plan().ok()
}

/// Rows as text, in one order; floats without their last digits.
pub(super) fn canonical(batches: &[RecordBatch]) -> Vec<Vec<String>> {
    let Some(first) = batches.first() else { return vec![] };
    let schema = first.schema();
    let form = |row: Vec<Option<String>>| -> Vec<String> {
        row.into_iter().zip(schema.fields()).map(|(value, field)| one_form(value, field.data_type())).collect()
    };
    let mut rows: Vec<Vec<String>> = batches.iter().flat_map(values).map(form).collect();
    rows.sort();
    rows
}

/// A value as both sides would print it.
pub(super) fn one_form(value: Option<String>, data_type: &DataType) -> String {
    let Some(value) = value else { return "∅".to_string() };
    match data_type {
        DataType::Boolean => value.chars().take(1).collect(),
        DataType::Float32 | DataType::Float64 => match value.to_lowercase().replace("infinity", "inf").parse::<f64>() {
            Ok(number) => format!("{number:.6e}"),
            Err(_) => value,
        },
        DataType::Timestamp(..) | DataType::Time64(_) => {
            let zoneless = value.replace('T', " ").replace("+00:00", "").replace("+00", "").replace('Z', "");
            match zoneless.split_once('.') {
                Some((whole, part)) if part.trim_end_matches('0').is_empty() => whole.to_string(),
                Some((whole, part)) => format!("{whole}.{}", part.trim_end_matches('0')),
                None => zoneless,
            }
        }
        _ => value,
    }
}
