//! `generalise(from => to, …, ELSE to)`: a coarser value for each value. Truth values, integers, decimals, texts, dates and
//! times → the same type where all coarser values are of it, else Utf8. What no pair names becomes the ELSE, or NULL.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef};
use arrow::datatypes::DataType;
use datafusion_common::{Result, ScalarValue};

use super::Generalisation;
use super::constant::{choices, chosen};
use super::rebuild::{Rebuild, texts};
use crate::value::Value;

pub(super) fn generalise(input: &DataType, mapping: &Generalisation) -> Result<Rebuild, String> {
    let output = output_type(mapping, input);
    let values = mapping.pairs.iter().map(|(_, to)| to).chain(&mapping.otherwise);
    let choices = choices(&output, values.filter_map(|value| as_output(value, &output)))?;
    let otherwise = match mapping.otherwise {
        Some(_) => number(mapping.pairs.len())?,
        None => 0,
    };
    let numbers = numbers(input, mapping)?;
    Ok(match input {
        DataType::Utf8 | DataType::LargeUtf8 => {
            let texts_only = numbers.into_iter().filter_map(|(from, number)| Some((text(from)?, number)));
            let numbers: HashMap<String, u32> = texts_only.collect();
            let of = move |text: &str| numbers.get(text).copied().unwrap_or(otherwise);
            Arc::new(move |array| chosen(&choices, texts(array)?.map(|text| text.map_or(0, &of))))
        }
        _ => Arc::new(move |array| {
            let of = |value: ScalarValue| if value.is_null() { 0 } else { *numbers.get(&value).unwrap_or(&otherwise) };
            let rows = scalars(array).map(|value| value.map(of)).collect::<Result<Vec<_>>>()?;
            chosen(&choices, rows.into_iter())
        }),
    })
}

/// The column's type if all coarser values are exactly of it, else Utf8.
pub(super) fn output_type(mapping: &Generalisation, input: &DataType) -> DataType {
    let mut values = mapping.pairs.iter().map(|(_, to)| to).chain(&mapping.otherwise);
    if values.all(|value| value.to_scalar(input).is_some()) { input.clone() } else { DataType::Utf8 }
}

fn as_output(value: &Value, output: &DataType) -> Option<ScalarValue> {
    match output {
        DataType::Utf8 => Some(ScalarValue::Utf8(Some(value.plain()))),
        other => value.to_scalar(other),
    }
}

/// Which choice each value leads to, counted from 1.
fn numbers(input: &DataType, mapping: &Generalisation) -> Result<HashMap<ScalarValue, u32>, String> {
    let mut numbers = HashMap::new();
    for (index, (from, _)) in mapping.pairs.iter().enumerate() {
        let from = from.to_scalar(input).filter(|_| !input.is_floating());
        let from = from.ok_or_else(|| format!("value {} is not exactly one of the type {input}", index + 1))?;
        if numbers.insert(from, number(index)?).is_some() {
            return Err(format!("value {} is the same as an earlier one", index + 1));
        }
    }
    Ok(numbers)
}

fn number(index: usize) -> Result<u32, String> {
    u32::try_from(index + 1).map_err(|_| String::from("there are too many values"))
}

fn text(value: ScalarValue) -> Option<String> {
    match value {
        ScalarValue::Utf8(text) | ScalarValue::LargeUtf8(text) => text,
        _ => None,
    }
}

fn scalars(array: &ArrayRef) -> impl Iterator<Item = Result<ScalarValue>> + '_ {
    (0..array.len()).map(|row| ScalarValue::try_from_array(array, row))
}
