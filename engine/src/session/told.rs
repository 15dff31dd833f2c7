//! Answers that a node tells by itself: a few rows of text under fixed columns.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::physical_plan::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::stream;

use crate::error::{EngineError, Result};
use crate::flight::door::Description;

/// The columns of EXPLAIN POLICY, at sites and coordinators alike.
pub const POLICY_COLUMNS: [&str; 6] = ["table", "column", "form", "policies", "leaves", "grant"];

/// One row; `None` is NULL.
pub type Told = Vec<Option<String>>;

impl Description {
    /// Columns of text.
    pub fn told(columns: &[&str]) -> Self {
        Self { schema: schema(columns), parameters: Arc::new(Schema::empty()) }
    }
}

fn schema(columns: &[&str]) -> SchemaRef {
    Arc::new(Schema::new(columns.iter().map(|name| Field::new(*name, DataType::Utf8, true)).collect::<Vec<_>>()))
}

/// The rows as a stream.
///
/// # Errors
/// When a row has not as many values as there are columns: a defect.
pub fn texts(columns: &[&str], rows: Vec<Told>) -> Result<SendableRecordBatchStream> {
    let schema = schema(columns);
    let column = |index: usize| -> ArrayRef {
        Arc::new(rows.iter().map(|row| row.get(index).cloned().flatten()).collect::<StringArray>())
    };
    let arrays: Vec<ArrayRef> = (0..columns.len()).map(column).collect();
    let batch = RecordBatch::try_new(Arc::clone(&schema), arrays).map_err(EngineError::internal)?;
    Ok(Box::pin(RecordBatchStreamAdapter::new(schema, stream::iter([Ok(batch)]))))
}
