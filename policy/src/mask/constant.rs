//! `replace_with_null`, `fixed(value)`: nothing of the value is left. Any type.
//!
//! `fixed` keeps the column's type where the value is one of it, else takes the value's own; NULL stays NULL.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, UInt32Array, new_null_array};
use arrow::compute::take;
use arrow::datatypes::DataType;
use datafusion_common::{Result, ScalarValue};

use super::rebuild::Rebuild;
use crate::value::Value;

/// NULL in every row, of the column's own type.
pub(super) fn replace_with_null(input: &DataType) -> Result<Rebuild, String> {
    let input = input.clone();
    Ok(Arc::new(move |array| Ok(new_null_array(&input, array.len()))))
}

/// The value in every row that is not NULL.
pub(super) fn fixed(value: &Value, input: &DataType) -> Result<Rebuild, String> {
    let value = scalar(value, input).ok_or("the value is longer than any number that a column can hold")?;
    let choices = choices(&value.data_type(), [value])?;
    Ok(Arc::new(move |array| {
        let nulls = array.logical_nulls();
        let is_null = |row| nulls.as_ref().is_some_and(|nulls| nulls.is_null(row));
        chosen(&choices, (0..array.len()).map(|row| u32::from(!is_null(row))))
    }))
}

/// The type of the fixed column; NULL's type for a value that `fixed` refuses.
pub(super) fn output_type(value: &Value, input: &DataType) -> DataType {
    scalar(value, input).map_or(DataType::Null, |value| value.data_type())
}

fn scalar(value: &Value, input: &DataType) -> Option<ScalarValue> {
    value.to_scalar(input).or_else(|| match value {
        Value::Decimal(decimal) => value.to_scalar(&decimal.own_type()?),
        _ => value.to_scalar(&value.natural_type()?),
    })
}

/// The values that a mask gives, after a NULL: number 0 is NULL, number 1 the first value.
pub(super) fn choices(data_type: &DataType, values: impl IntoIterator<Item = ScalarValue>) -> Result<ArrayRef, String> {
    let null = ScalarValue::try_new_null(data_type).map_err(|_| format!("there is no NULL of the type {data_type}"))?;
    ScalarValue::iter_to_array(std::iter::once(null).chain(values)).map_err(|_| String::from("values of several types"))
}

/// For each row one of the choices, by its number. NULL is a choice, so that its slot is zero.
pub(super) fn chosen(choices: &ArrayRef, numbers: impl Iterator<Item = u32>) -> Result<ArrayRef> {
    Ok(take(choices, &UInt32Array::from_iter_values(numbers), None)?)
}
