//! How masks write arrays: value by value into buffers of their own, with zeros where there is NULL.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, PrimitiveArray, StringBuilder};
use arrow::datatypes::DataType;
use datafusion_common::{DataFusionError, Result, exec_datafusion_err};

/// What a mask does to an array, which is hydrated.
pub(super) type Rebuild = Arc<dyn Fn(&ArrayRef) -> Result<ArrayRef> + Send + Sync>;

/// The type that arrays are rebuilt in: a dictionary's values, and texts and bytes that are not views.
pub(super) fn plain(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Dictionary(_, values) => plain(values),
        DataType::Utf8View => DataType::Utf8,
        DataType::BinaryView => DataType::Binary,
        other => other.clone(),
    }
}

/// A dictionary's values in place; every other array as it is. This is still what masks read, never what they return.
pub(super) fn hydrated(array: &ArrayRef) -> Result<ArrayRef> {
    match array.data_type() {
        DataType::Dictionary(_, values) => hydrated(&arrow::compute::cast(array, values)?),
        _ => Ok(Arc::clone(array)),
    }
}

/// Writes every value anew as `change` of it; `None` is NULL. The type is `T` with its own precision or zone.
pub(super) fn primitive<T: ArrowPrimitiveType>(
    data_type: &DataType,
    change: impl Fn(T::Native) -> Option<T::Native> + Send + Sync + 'static,
) -> Rebuild {
    let data_type = data_type.clone();
    Arc::new(move |array| {
        let array = array.as_primitive_opt::<T>().ok_or_else(|| unexpected(array.data_type()))?;
        let rebuilt: PrimitiveArray<T> = array.iter().map(|value| value.and_then(&change)).collect();
        Ok(Arc::new(rebuilt.with_data_type(data_type.clone())))
    })
}

/// Writes texts of at most 2 GiB together; one more is an error, not a panic.
#[derive(Debug)]
pub(super) struct Texts(StringBuilder);

impl Texts {
    pub(super) fn with_capacity(rows: usize, bytes_each: usize) -> Self {
        Self(StringBuilder::with_capacity(rows, rows.saturating_mul(bytes_each)))
    }

    pub(super) fn push(&mut self, text: Option<&str>) -> Result<()> {
        let bytes = self.0.values_slice().len().saturating_add(text.map_or(0, str::len));
        i32::try_from(bytes).map_err(|_| exec_datafusion_err!("the texts of one batch are longer than 2 GiB"))?;
        self.0.append_option(text);
        Ok(())
    }

    pub(super) fn finish(mut self) -> ArrayRef {
        Arc::new(self.0.finish())
    }
}

/// The values of an array of texts, in whichever of the three layouts.
pub(super) fn texts(array: &ArrayRef) -> Result<Box<dyn Iterator<Item = Option<&str>> + '_>> {
    match array.data_type() {
        DataType::Utf8 => Ok(Box::new(array.as_string::<i32>().iter())),
        DataType::LargeUtf8 => Ok(Box::new(array.as_string::<i64>().iter())),
        DataType::Utf8View => Ok(Box::new(array.as_string_view().iter())),
        other => Err(unexpected(other)),
    }
}

/// An array came that is not of the type that the mask was made for.
pub(super) fn unexpected(data_type: &DataType) -> DataFusionError {
    exec_datafusion_err!("a mask was given an array of the type {data_type}, which it was not made for")
}

/// A refusal as an error of DataFusion's.
pub(super) fn refused(reason: String) -> DataFusionError {
    DataFusionError::Plan(reason)
}
