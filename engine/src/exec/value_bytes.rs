//! How large values are.

use arrow::array::{Array, ArrayRef, AsArray, OffsetSizeTrait, RecordBatch};
use arrow::datatypes::DataType;

/// The bytes of an array's values, whatever its buffers hold besides.
pub fn bytes_of(array: &dyn Array) -> usize {
    let fixed = |views: usize| views.saturating_mul(size_of::<u128>());
    match array.data_type() {
        DataType::Utf8View => fixed(array.len()) + array.as_string_view().total_bytes_len(),
        DataType::BinaryView => fixed(array.len()) + array.as_binary_view().total_bytes_len(),
        DataType::List(_) => of_list::<i32>(array),
        DataType::LargeList(_) => of_list::<i64>(array),
        DataType::FixedSizeList(_, _) => bytes_of(array.as_fixed_size_list().values().as_ref()),
        DataType::Map(_, _) => {
            let map = array.as_map();
            of_range::<i32>(map.offsets(), |from, length| map.entries().slice(from, length).columns().to_vec())
        }
        DataType::Struct(_) => array.as_struct().columns().iter().map(|column| bytes_of(column.as_ref())).sum(),
        // What has no such size is new, and all its own.
        _ => array.to_data().get_slice_memory_size().unwrap_or_else(|_| array.get_array_memory_size()),
    }
}

/// The bytes of a batch's values.
pub fn bytes_of_batch(batch: &RecordBatch) -> usize {
    batch.columns().iter().map(|column| bytes_of(column.as_ref())).sum()
}

fn of_list<O: OffsetSizeTrait>(array: &dyn Array) -> usize {
    let list = array.as_list::<O>();
    of_range::<O>(list.offsets(), |from, length| vec![list.values().slice(from, length)])
}

/// The offsets, and the values between the first and the last of them.
fn of_range<O: OffsetSizeTrait>(offsets: &[O], values: impl FnOnce(usize, usize) -> Vec<ArrayRef>) -> usize {
    let (from, to) = offsets.first().zip(offsets.last()).map_or((0, 0), |(from, to)| (from.as_usize(), to.as_usize()));
    let values = values(from, to.saturating_sub(from));
    size_of_val(offsets) + values.iter().map(|values| bytes_of(values.as_ref())).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use arrow::array::{Int64Builder, ListBuilder, StringArray, StringViewArray};

    use super::*;

    #[test]
    fn a_slice_has_the_bytes_of_its_own_values() {
        let texts = vec!["x".repeat(1_000); 100];
        let (plain, views) = (StringArray::from(texts.clone()), StringViewArray::from(texts));
        let mut lists = ListBuilder::new(ListBuilder::new(Int64Builder::new()));
        for _ in 0..100 {
            lists.values().values().append_slice(&[7; 125]);
            lists.values().append(true);
            lists.append(true);
        }
        let lists = lists.finish();
        for (all, one) in [
            (bytes_of(&plain), bytes_of(&plain.slice(7, 1))),
            (bytes_of(&views), bytes_of(&views.slice(7, 1))),
            (bytes_of(&lists), bytes_of(&lists.slice(7, 1))),
        ] {
            assert!((100_000..110_000).contains(&all), "{all}");
            assert!((1_000..1_100).contains(&one), "{one}");
        }
    }
}
