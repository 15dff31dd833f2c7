//! What a statement declares before it runs, and streams that keep to it.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::stream;

use crate::error::{EngineError, Result};
use crate::flight::door::Description;
use crate::flight::wire_types::wire_type;

impl Description {
    /// What EXPLAIN answers: lines, each with what it is about.
    pub fn explanation() -> Self {
        Self { schema: explanation_schema(), parameters: Arc::new(Schema::empty()) }
    }
}

fn explanation_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("plan_type", DataType::Utf8, false),
        Field::new("plan", DataType::Utf8, false),
    ]))
}

/// The answer to an EXPLAIN.
///
/// # Errors
/// When the columns do not fit: a defect.
pub fn lines(rows: Vec<(String, String)>) -> Result<SendableRecordBatchStream> {
    let (types, plans): (Vec<String>, Vec<String>) = rows.into_iter().unzip();
    let columns: Vec<ArrayRef> = vec![Arc::new(StringArray::from(types)), Arc::new(StringArray::from(plans))];
    let schema = explanation_schema();
    let batch = RecordBatch::try_new(Arc::clone(&schema), columns).map_err(EngineError::internal)?;
    Ok(Box::pin(RecordBatchStreamAdapter::new(schema, stream::iter([Ok(batch)]))))
}

/// The columns that a plan declares (of the plan as written: optimized ones differ in nullability), and its
/// placeholders, each with a type that clients can bind.
///
/// # Errors
/// When the placeholders' types contradict each other.
pub fn describe_plan(plan: &LogicalPlan) -> Result<Description> {
    let types: BTreeMap<usize, (String, DataType)> = plan
        .get_parameter_types()?
        .into_iter()
        .map(|(name, data_type)| {
            let position = name.trim_start_matches('$').parse().unwrap_or(usize::MAX);
            let data_type = data_type.filter(|data_type| !data_type.is_null()).unwrap_or(DataType::Utf8);
            (position, (name, wire_type(&data_type)))
        })
        .collect();
    let fields: Vec<Field> = types.into_values().map(|(name, data_type)| Field::new(name, data_type, true)).collect();
    Ok(Description { schema: Arc::clone(plan.schema().inner()), parameters: Arc::new(Schema::new(fields)) })
}

/// A stream under the schema that was declared; its batches are relabelled on their way out.
pub fn declare(schema: SchemaRef, batches: SendableRecordBatchStream) -> SendableRecordBatchStream {
    Box::pin(RecordBatchStreamAdapter::new(schema, batches))
}
