//! What is made of values while they are made plain, by the words of their type: what is not in a message's bytes, and may be much
//! more than those.

use arrow::datatypes::{DataType, UnionMode};

/// What a slot of a union takes beside its value.
pub(super) const UNION_BYTES: usize = 5;
/// What a NULL of a type without a width takes.
const NULL_BYTES: usize = 16;
/// About what an array takes that is cut out of another, with its place among the pieces.
const SLICE_BYTES: usize = 192;
/// About what an array of one NULL takes beside its values, at most.
const ARRAY_BYTES: usize = 1_024;
/// A union keeps a place for each of 128 types, which take about as much as so many arrays.
const UNION_SLICES: usize = 11;

/// What pieces take beside their values.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Apart {
    /// Each of them.
    pub(super) each: usize,
    /// The NULL that all share which are one.
    pub(super) null: usize,
}

impl Apart {
    /// Of values of this type.
    pub(super) fn of(values: &DataType) -> Self {
        let (each, null) = (arrays_cut(values), arrays_within(values));
        Self { each: each.saturating_mul(SLICE_BYTES), null: null.saturating_mul(ARRAY_BYTES) }
    }
}

/// The arrays that are cut where one of this type is: those within it that are as long as it is, or longer by a number that is the
/// same for each slot.
fn arrays_cut(of: &DataType) -> usize {
    match of {
        DataType::FixedSizeList(item, _) => 1 + arrays_cut(item.data_type()),
        DataType::Struct(fields) => 1 + fields.iter().map(|field| arrays_cut(field.data_type())).sum::<usize>(),
        DataType::Union(fields, UnionMode::Sparse) => {
            UNION_SLICES + fields.iter().map(|(_, field)| arrays_cut(field.data_type())).sum::<usize>()
        }
        DataType::Union(_, UnionMode::Dense) => UNION_SLICES,
        // It holds its entries itself.
        DataType::Map(_, _) => 2,
        _ => 1,
    }
}

/// An array of this type and all within it.
fn arrays_within(of: &DataType) -> usize {
    match of {
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::ListView(item)
        | DataType::LargeListView(item)
        | DataType::FixedSizeList(item, _)
        | DataType::Map(item, _)
        | DataType::RunEndEncoded(_, item) => 1 + arrays_within(item.data_type()),
        DataType::Dictionary(_, values) => 1 + arrays_within(values),
        DataType::Struct(fields) => 1 + fields.iter().map(|field| arrays_within(field.data_type())).sum::<usize>(),
        DataType::Union(fields, _) => {
            1 + fields.iter().map(|(_, field)| arrays_within(field.data_type())).sum::<usize>()
        }
        _ => 1,
    }
}

/// What a NULL takes at most, with that it is one, which is a bit and counted as a byte: a million of nothing are to be something.
pub(super) fn null_bytes(of: &DataType) -> usize {
    let number = |number: i32| usize::try_from(number).unwrap_or(usize::MAX);
    let value = match of {
        DataType::Null | DataType::Boolean => 0,
        DataType::FixedSizeBinary(bytes) => number(*bytes),
        DataType::FixedSizeList(item, size) => null_bytes(item.data_type()).saturating_mul(number(*size)),
        DataType::Struct(fields) => {
            fields.iter().fold(0_usize, |bytes, field| bytes.saturating_add(null_bytes(field.data_type())))
        }
        DataType::Union(fields, _) => {
            fields.iter().fold(UNION_BYTES, |bytes, (_, field)| bytes.saturating_add(null_bytes(field.data_type())))
        }
        DataType::Dictionary(_, values) => null_bytes(values),
        DataType::RunEndEncoded(_, values) => null_bytes(values.data_type()),
        other => other.primitive_width().unwrap_or(NULL_BYTES),
    };
    value.saturating_add(1)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::datatypes::{Field, FieldRef, UnionFields};

    use super::*;

    fn field(of: DataType) -> FieldRef {
        Arc::new(Field::new("a", of, true))
    }

    /// Lists within lists, each of as many as there may be.
    fn tower(levels: usize, of: DataType) -> DataType {
        (0..levels).fold(of, |of, _| DataType::FixedSizeList(field(of), i32::MAX))
    }

    #[test]
    fn many_of_nothing_are_something() {
        let most = usize::try_from(i32::MAX).unwrap();
        for nothing in [DataType::FixedSizeBinary(0), DataType::Null, DataType::FixedSizeList(field(DataType::Utf8), 0)]
        {
            assert_eq!(null_bytes(&tower(1, nothing.clone())), most + 1, "{nothing}");
            assert_eq!(null_bytes(&tower(3, nothing.clone())), usize::MAX, "{nothing}");
        }
        assert!(null_bytes(&tower(2, DataType::Struct(vec![field(DataType::FixedSizeBinary(0))].into()))) > 1 << 60);
    }

    #[test]
    fn what_is_cut_is_what_is_as_long() {
        let wide = || DataType::Struct(vec![field(DataType::Int64); 100].into());
        let union = |mode| DataType::Union(UnionFields::try_new([1, 2], [field(wide()), field(wide())]).unwrap(), mode);
        for (of, cut, within) in [
            (DataType::Utf8, 1, 1),
            (wide(), 101, 101),
            (DataType::List(field(wide())), 1, 102),
            (DataType::FixedSizeList(field(wide()), 7), 102, 102),
            (DataType::Dictionary(Box::new(DataType::Int8), Box::new(wide())), 1, 102),
            (union(UnionMode::Sparse), UNION_SLICES + 202, 203),
            (union(UnionMode::Dense), UNION_SLICES, 203),
        ] {
            assert_eq!((arrays_cut(&of), arrays_within(&of)), (cut, within), "{of}");
        }
    }
}
