//! How large values are.

use arrow::array::{Array, AsArray};
use arrow::datatypes::DataType;

/// The bytes of an array's values, whatever its buffers hold besides.
pub fn bytes_of(array: &dyn Array) -> usize {
    let fixed = |views: usize| views.saturating_mul(size_of::<u128>());
    match array.data_type() {
        DataType::Utf8View => fixed(array.len()) + array.as_string_view().total_bytes_len(),
        DataType::BinaryView => fixed(array.len()) + array.as_binary_view().total_bytes_len(),
        // What has no such size is new, and all its own.
        _ => array.to_data().get_slice_memory_size().unwrap_or_else(|_| array.get_array_memory_size()),
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{StringArray, StringViewArray};

    use super::*;

    #[test]
    fn a_slice_has_the_bytes_of_its_own_values() {
        let texts = vec!["x".repeat(1_000); 100];
        let (plain, views) = (StringArray::from(texts.clone()), StringViewArray::from(texts));
        for (all, one) in
            [(bytes_of(&plain), bytes_of(&plain.slice(7, 1))), (bytes_of(&views), bytes_of(&views.slice(7, 1)))]
        {
            assert!((100_000..110_000).contains(&all), "{all}");
            assert!((1_000..1_100).contains(&one), "{one}");
        }
    }
}
