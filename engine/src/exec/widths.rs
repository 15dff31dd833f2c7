//! How wide rows are: the bytes of a row's values, which whoever repeats the row has once more each time.

use std::ops::Range;

use arrow::array::{Array, AsArray, OffsetSizeTrait, RecordBatch};
use arrow::datatypes::DataType;

/// The bytes of the widest row of a batch, or more: the longest value of each column together.
pub fn widest(batch: &RecordBatch) -> usize {
    batch.columns().iter().map(|column| longest(column.as_ref())).sum()
}

/// The bytes of each row that has more than `narrow` of them, and 0 for the others; `None` where no row has.
pub fn wide_rows(batch: &RecordBatch, narrow: usize) -> Option<Vec<usize>> {
    if widest(batch) <= narrow {
        return None;
    }
    let mut rows = vec![0_usize; batch.num_rows()];
    for column in batch.columns() {
        let mut rows = rows.iter_mut();
        each(column.as_ref(), |bytes| {
            if let Some(row) = rows.next() {
                *row = row.saturating_add(bytes);
            }
        });
    }
    for row in rows.iter_mut().filter(|row| **row <= narrow) {
        *row = 0;
    }
    rows.iter().any(|row| *row > 0).then_some(rows)
}

/// The bytes of every value of a type; `None` where each has its own.
pub fn fixed_width(data_type: &DataType) -> Option<usize> {
    match data_type {
        DataType::Utf8
        | DataType::LargeUtf8
        | DataType::Utf8View
        | DataType::Binary
        | DataType::LargeBinary
        | DataType::BinaryView
        | DataType::List(_)
        | DataType::LargeList(_)
        | DataType::Map(_, _) => None,
        DataType::FixedSizeBinary(bytes) => Some(count(*bytes)),
        DataType::FixedSizeList(item, length) => Some(fixed_width(item.data_type())?.saturating_mul(count(*length))),
        DataType::Struct(fields) => fields.iter().map(|field| fixed_width(field.data_type())).sum(),
        // An index into values that stay where they are, or less.
        other => Some(other.primitive_width().unwrap_or(OTHER_BYTES)),
    }
}

const OTHER_BYTES: usize = 16;

fn count(number: i32) -> usize {
    usize::try_from(number).unwrap_or_default()
}

fn longest(array: &dyn Array) -> usize {
    if let Some(width) = fixed_width(array.data_type()) {
        return width;
    }
    let mut longest = 0;
    each(array, |bytes| longest = longest.max(bytes));
    longest
}

/// The bytes of each value, from the first to the last.
fn each(array: &dyn Array, mut see: impl FnMut(usize)) {
    match array.data_type() {
        DataType::Utf8 => array.as_string::<i32>().offsets().lengths().for_each(see),
        DataType::LargeUtf8 => array.as_string::<i64>().offsets().lengths().for_each(see),
        DataType::Binary => array.as_binary::<i32>().offsets().lengths().for_each(see),
        DataType::LargeBinary => array.as_binary::<i64>().offsets().lengths().for_each(see),
        _ => (0..array.len()).for_each(|row| see(between(array, row..row + 1))),
    }
}

/// The bytes of some values together.
fn between(array: &dyn Array, values: Range<usize>) -> usize {
    match array.data_type() {
        DataType::Utf8 => span(array.as_string::<i32>().value_offsets(), &values).len(),
        DataType::LargeUtf8 => span(array.as_string::<i64>().value_offsets(), &values).len(),
        DataType::Binary => span(array.as_binary::<i32>().value_offsets(), &values).len(),
        DataType::LargeBinary => span(array.as_binary::<i64>().value_offsets(), &values).len(),
        DataType::Utf8View => together(array.as_string_view().slice(values.start, values.len()).lengths()),
        DataType::BinaryView => together(array.as_binary_view().slice(values.start, values.len()).lengths()),
        DataType::List(_) => of_items::<i32>(array, &values),
        DataType::LargeList(_) => of_items::<i64>(array, &values),
        DataType::Map(_, _) => {
            let map = array.as_map();
            let entries = span(map.value_offsets(), &values);
            map.entries().columns().iter().map(|column| between(column.as_ref(), entries.clone())).sum()
        }
        DataType::FixedSizeList(_, length) => {
            let length = count(*length);
            between(array.as_fixed_size_list().values().as_ref(), values.start * length..values.end * length)
        }
        DataType::Struct(_) => {
            array.as_struct().columns().iter().map(|column| between(column.as_ref(), values.clone())).sum()
        }
        other => values.len().saturating_mul(fixed_width(other).unwrap_or(OTHER_BYTES)),
    }
}

fn of_items<O: OffsetSizeTrait>(array: &dyn Array, values: &Range<usize>) -> usize {
    let list = array.as_list::<O>();
    between(list.values().as_ref(), span(list.value_offsets(), values))
}

/// Where what the offsets point into begins and ends for some values.
fn span<O: OffsetSizeTrait>(offsets: &[O], values: &Range<usize>) -> Range<usize> {
    let at = |position: usize| offsets.get(position).map_or(0, |offset| offset.as_usize());
    at(values.start)..at(values.end)
}

fn together(lengths: impl Iterator<Item = u32>) -> usize {
    lengths.map(|length| usize::try_from(length).unwrap_or(usize::MAX)).sum()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Int64Array, ListBuilder, StringArray, StringBuilder, StringViewArray, StructArray};
    use arrow::datatypes::{Field, Fields};

    use super::*;

    fn batch(columns: &[(&str, ArrayRef)]) -> RecordBatch {
        RecordBatch::try_from_iter(columns.iter().map(|(name, column)| (*name, Arc::clone(column)))).unwrap()
    }

    #[test]
    fn flat_values_are_measured_exactly() {
        let texts = [Some("x".repeat(70)), None, Some("y".repeat(5)), Some(String::new())];
        let plain: ArrayRef = Arc::new(StringArray::from_iter(texts.iter().map(Option::as_deref)));
        let views: ArrayRef = Arc::new(StringViewArray::from_iter(texts.iter().map(Option::as_deref)));
        let numbers: ArrayRef = Arc::new(Int64Array::from(vec![1, 2, 3, 4]));
        for texts in [plain, views] {
            let all = batch(&[("n", Arc::clone(&numbers)), ("t", texts)]);
            assert_eq!(widest(&all), 78);
            assert_eq!(widest(&all.slice(1, 3)), 13, "a slice has its own rows");
            assert_eq!(wide_rows(&all, 0), Some(vec![78, 8, 13, 8]));
            assert_eq!(wide_rows(&all, 12), Some(vec![78, 0, 13, 0]));
            assert_eq!(wide_rows(&all, 78), None);
        }
        assert_eq!(wide_rows(&batch(&[("n", numbers)]), 8), None);
    }

    #[test]
    fn one_long_value_in_a_list_is_seen() {
        let mut lists = ListBuilder::new(StringBuilder::new());
        for length in [1, 1_000, 1] {
            lists.values().append_value("x".repeat(length));
            lists.values().append_value("y");
            lists.append(true);
        }
        lists.append(false);
        let lists: ArrayRef = Arc::new(lists.finish());
        let fields = Fields::from(vec![Field::new("l", lists.data_type().clone(), true)]);
        let structs: ArrayRef = Arc::new(StructArray::new(fields, vec![Arc::clone(&lists)], None));
        for column in [lists, structs] {
            let all = batch(&[("c", column)]);
            assert_eq!(widest(&all), 1_001);
            assert_eq!(wide_rows(&all, 0), Some(vec![2, 1_001, 2, 0]));
            assert_eq!(wide_rows(&all.slice(2, 2), 0), Some(vec![2, 0]));
        }
    }
}
