//! Key sets: the values of one column that are sent to another site, so that it sends less.
//!
//! The coordinator makes one of the rows of a fragment ([`KeySet::of`]) and sends it beside a statement, in which it is the
//! relation `system.key_sets."1"` with the one column `k`; the site reads it back ([`message`]) and joins with it. Values
//! stand in no text: a plan and an error name a set by its number.
//!
//! **Invariant:** a set is exact: every value once, no NULL, in ascending order.

pub mod message;
mod rice;

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, RecordBatch, UInt64Array};
use arrow::compute::{concat, filter, is_not_null, partition, sort, take};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use datafusion::catalog::{MemTable, TableProvider};
use datafusion::common::TableReference;

use serde::{Deserialize, Serialize};

use crate::catalog::system;
use crate::error::{EngineError, Result};

/// The schema of the relations that key sets are, in the catalog `system`.
pub const SCHEMA: &str = "key_sets";
/// Key sets of one statement: a coordinator's statements double with each.
pub const KEY_SETS_MAX: usize = 3;
/// Their one column.
pub const COLUMN: &str = "k";

/// The values of a column, as they are sent.
#[derive(Debug, Clone)]
pub struct KeySet {
    /// The number by which the statement names it.
    pub id: u32,
    /// Where the values come from, `site.source.table.column`.
    pub column: String,
    values: ArrayRef,
}

impl KeySet {
    /// The different values of `column` in `batches`; `None` for more than `keys_max`.
    ///
    /// # Errors
    /// When the batches do not fit together: a defect.
    pub fn of(batches: &[RecordBatch], column: usize, keys_max: usize) -> Result<Option<ArrayRef>, ArrowError> {
        let parts = batches.iter().map(|batch| distinct(batch.column(column))).collect::<Result<Vec<_>, _>>()?;
        let parts: Vec<&dyn Array> = parts.iter().map(AsRef::as_ref).collect();
        let Some(first) = parts.first() else { return Ok(None) };
        let values = if parts.len() == 1 { first.slice(0, first.len()) } else { distinct(&concat(&parts)?)? };
        Ok(Some(values).filter(|values| values.len() <= keys_max))
    }

    /// A set of values that are [`KeySet::of`] some rows.
    pub fn new(id: u32, column: impl Into<String>, values: ArrayRef) -> Self {
        Self { id, column: column.into(), values }
    }

    /// How many keys.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// The values, ascending.
    pub fn values(&self) -> &ArrayRef {
        &self.values
    }

    /// The set as a relation.
    ///
    /// # Errors
    /// When the column does not fit: a defect.
    pub fn table(&self) -> Result<Arc<dyn TableProvider>> {
        let schema = schema(self.values.data_type());
        let batch =
            RecordBatch::try_new(Arc::clone(&schema), vec![Arc::clone(&self.values)]).map_err(EngineError::internal)?;
        Ok(Arc::new(MemTable::try_new(schema, vec![vec![batch]])?))
    }
}

/// That a coordinator will send the values of a column, once they are here, to another site: it tells the site that they come
/// from, which refuses that or records it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeysTo {
    /// The table, `source.table`.
    pub table: String,
    /// The column.
    pub column: String,
    /// The site that they go to.
    pub site: String,
}

/// The relation's schema.
pub fn schema(data_type: &DataType) -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new(COLUMN, data_type.clone(), false)]))
}

/// The relation's name in a statement.
pub fn relation(id: u32) -> TableReference {
    TableReference::full(system::CATALOG, SCHEMA, id.to_string())
}

/// Whether equality of such values is the same at every node, so that a set of them can stand for a join. Floats are not:
/// they have two zeros and many that are no number.
pub fn can_be_key(data_type: &DataType) -> bool {
    data_type.is_integer()
        || matches!(data_type, DataType::Utf8 | DataType::Date32 | DataType::Decimal128(..) | DataType::Timestamp(..))
}

/// Each value once, ascending, without NULL.
fn distinct(values: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    let values = filter(values, &is_not_null(values)?)?;
    let values = sort(&values, None)?;
    if values.len() < 2 {
        return Ok(values);
    }
    let ranges = partition(&[Arc::clone(&values)])?.ranges();
    if ranges.len() == values.len() {
        return Ok(values);
    }
    let firsts = UInt64Array::from_iter_values(ranges.iter().map(|range| range.start as u64));
    take(&values, &firsts, None)
}

/// Whether the values are ascending, each once, and none is NULL.
fn is_set(values: &ArrayRef) -> Result<bool, ArrowError> {
    if values.null_count() > 0 {
        return Ok(false);
    }
    if values.len() < 2 {
        return Ok(true);
    }
    let (earlier, later) = (values.slice(0, values.len() - 1), values.slice(1, values.len() - 1));
    let ascending: BooleanArray = arrow::compute::kernels::cmp::lt(&earlier, &later)?;
    Ok(ascending.true_count() == ascending.len())
}

#[cfg(test)]
mod tests {
    use arrow::array::{AsArray, Int64Array, StringArray};

    use super::*;

    #[test]
    fn every_value_stands_once_and_no_null() {
        let batch = |values: Vec<Option<i64>>| {
            RecordBatch::try_from_iter([("n", Arc::new(Int64Array::from(values)) as ArrayRef)]).unwrap()
        };
        let batches = [batch(vec![Some(5), None, Some(-1), Some(5)]), batch(vec![]), batch(vec![Some(7), Some(-1)])];
        let values = KeySet::of(&batches, 0, 3).unwrap().unwrap();
        assert_eq!(values.as_primitive::<arrow::datatypes::Int64Type>().values().to_vec(), [-1, 5, 7]);
        assert!(is_set(&values).unwrap());
        assert!(KeySet::of(&batches, 0, 2).unwrap().is_none());
        assert!(KeySet::of(&[], 0, 2).unwrap().is_none());
        let texts = |texts: Vec<&str>| Arc::new(StringArray::from(texts)) as ArrayRef;
        assert!(!is_set(&texts(vec!["b", "a"])).unwrap());
        assert!(!is_set(&texts(vec!["a", "a"])).unwrap());
        assert!(is_set(&texts(vec!["a", "b"])).unwrap());
    }
}
