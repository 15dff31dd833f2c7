//! A row of parameters made plain, as it is sealed into a handle. Dictionaries, runs and views say in few bytes what takes many: what
//! the row becomes is counted before anything of it is made.

use arrow::array::{Array, AsArray, GenericListArray, GenericListViewArray, OffsetSizeTrait, RecordBatch, UnionArray};
use arrow::datatypes::{DataType, UnionFields, UnionMode};

use crate::error::{Code, EngineError, Result};
use crate::exec::value_bytes::bytes_of;
use crate::flight::rebuild::{has_parts, rebuild, referred};
use crate::flight::wire_types::wire_schema;

/// About what a value that is taken by itself takes while it is made plain.
const PART_BYTES: usize = 64;
/// What a slot of a union takes beside its value.
const UNION_BYTES: usize = 5;
/// What a NULL of a type without a width takes.
const NULL_BYTES: usize = 16;

/// The row under plain types, as an answer would have it.
///
/// # Errors
/// `COMPLEXITY` where it would take more than so many bytes, `TYPE` for a value that cannot be read.
pub fn plain(row: &RecordBatch, bytes_max: usize) -> Result<RecordBatch> {
    let mut room = Room { bytes: bytes_max };
    if row.columns().iter().any(|column| room.take(column.as_ref()).is_none()) {
        let sentence = format!("the parameters have more bytes than the {bytes_max} that are taken");
        return Err(EngineError::new(Code::Complexity, sentence));
    }
    let unreadable = |error| EngineError::new(Code::Type, "a parameter cannot be read").caused_by(error);
    rebuild(std::slice::from_ref(row), &wire_schema(&row.schema())).map_err(unreadable)
}

/// What may still be made.
#[derive(Debug)]
struct Room {
    bytes: usize,
}

impl Room {
    fn spend(&mut self, bytes: usize) -> Option<()> {
        self.bytes = self.bytes.checked_sub(bytes)?;
        Some(())
    }

    /// Takes what an array is once it is plain; `None` where there is no room for it. A slot takes a byte at least: looking at them
    /// ends, however many are claimed.
    fn take(&mut self, array: &dyn Array) -> Option<()> {
        let slots = array.len();
        if slots == 0 {
            return Some(());
        }
        match array.data_type() {
            DataType::Dictionary(_, _) | DataType::RunEndEncoded(_, _) => self.take_referred(array),
            DataType::List(_) => self.take_list(array.as_list::<i32>()),
            DataType::LargeList(_) => self.take_list(array.as_list::<i64>()),
            DataType::ListView(_) => self.take_views(array.as_list_view::<i32>()),
            DataType::LargeListView(_) => self.take_views(array.as_list_view::<i64>()),
            DataType::Map(_, _) => self.take_between::<i32>(array.as_map().offsets(), array.as_map().entries()),
            DataType::FixedSizeList(_, _) => {
                self.spend(slots)?;
                self.take(array.as_fixed_size_list().values().as_ref())
            }
            DataType::Struct(_) => {
                self.spend(slots)?;
                array.as_struct().columns().iter().try_for_each(|column| self.take(column.as_ref()))
            }
            DataType::Union(fields, mode) => self.take_union(array.as_union(), fields, *mode),
            _ => self.spend(bytes_of(array).max(slots)),
        }
    }

    /// Each value as often as it is referred to.
    fn take_referred(&mut self, array: &dyn Array) -> Option<()> {
        self.spend(array.len())?;
        let (values, places) = referred(array)?;
        let null = null_bytes(values.data_type());
        let apart = if has_parts(values.data_type()) { PART_BYTES } else { 0 };
        places.into_iter().try_for_each(|place| {
            self.spend(apart)?;
            match place {
                Some(place) => self.take(values.slice(place, 1).as_ref()),
                None => self.spend(null),
            }
        })
    }

    fn take_list<O: OffsetSizeTrait>(&mut self, list: &GenericListArray<O>) -> Option<()> {
        self.take_between::<O>(list.offsets(), list.values().as_ref())
    }

    /// The offsets, and the values from the first of them to the last.
    fn take_between<O: OffsetSizeTrait>(&mut self, offsets: &[O], values: &dyn Array) -> Option<()> {
        self.spend(size_of_val(offsets))?;
        let (first, last) = (offsets.first()?.as_usize(), offsets.last()?.as_usize());
        self.take_stretch(values, first, last.saturating_sub(first))
    }

    /// The values of each view, though others show them, too.
    fn take_views<O: OffsetSizeTrait>(&mut self, views: &GenericListViewArray<O>) -> Option<()> {
        self.spend(views.len().checked_mul(size_of::<O>())?)?;
        for (offset, size) in views.offsets().iter().zip(views.sizes().iter()) {
            self.take_stretch(views.values().as_ref(), offset.as_usize(), size.as_usize())?;
        }
        Some(())
    }

    /// Of no values nothing is cut out: a struct of many fields would take its time.
    fn take_stretch(&mut self, values: &dyn Array, start: usize, length: usize) -> Option<()> {
        if length == 0 { Some(()) } else { self.take(values.slice(start, length).as_ref()) }
    }

    fn take_union(&mut self, union: &UnionArray, fields: &UnionFields, mode: UnionMode) -> Option<()> {
        self.spend(union.len().checked_mul(UNION_BYTES)?)?;
        if mode == UnionMode::Sparse {
            return fields.iter().try_for_each(|(id, _)| self.take(union.child(id).as_ref()));
        }
        // A slot that nothing shows becomes a NULL of the first type.
        let null = fields.iter().next().map_or(0, |(_, field)| null_bytes(field.data_type()));
        (0..union.len()).try_for_each(|slot| {
            self.spend(null)?;
            self.take(union.value(slot).as_ref())
        })
    }
}

/// What a NULL takes at most, by its type's own words.
fn null_bytes(of: &DataType) -> usize {
    let width = |width: i32| usize::try_from(width).unwrap_or(usize::MAX);
    match of {
        DataType::FixedSizeBinary(bytes) => width(*bytes),
        DataType::FixedSizeList(item, size) => null_bytes(item.data_type()).saturating_mul(width(*size)),
        DataType::Struct(fields) => {
            fields.iter().fold(1_usize, |bytes, field| bytes.saturating_add(null_bytes(field.data_type())))
        }
        DataType::Union(fields, _) => {
            fields.iter().fold(UNION_BYTES, |bytes, (_, field)| bytes.saturating_add(null_bytes(field.data_type())))
        }
        DataType::Dictionary(_, values) => null_bytes(values),
        DataType::RunEndEncoded(_, values) => null_bytes(values.data_type()),
        other => other.primitive_width().unwrap_or(NULL_BYTES),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{
        ArrayRef, DictionaryArray, Int8Array, Int16Array, Int32Array, Int64Array, LargeListViewArray, ListArray,
        ListBuilder, ListViewArray, NullArray, RunArray, StringArray, StringBuilder, StructArray, new_empty_array,
    };
    use arrow::buffer::OffsetBuffer;
    use arrow::datatypes::{Field, Int8Type, Int32Type};

    use super::*;

    fn made_plain(column: ArrayRef, bytes_max: usize) -> Result<ArrayRef> {
        let row = RecordBatch::try_from_iter_with_nullable([("0", column, true)]).unwrap();
        plain(&row, bytes_max).map(|plain| ArrayRef::clone(plain.column(0)))
    }

    fn check(column: ArrayRef, expect: ArrayRef) {
        let plain = made_plain(column, 1 << 10).unwrap();
        assert_eq!(&plain, &expect);
        assert_eq!(plain.data_type(), expect.data_type());
    }

    fn texts(texts: &[Option<&str>]) -> ArrayRef {
        Arc::new(StringArray::from(texts.to_vec()))
    }

    fn numbers() -> [Option<Vec<Option<i32>>>; 1] {
        [Some(vec![Some(1), None, Some(3)])]
    }

    /// One list of all these values.
    fn list(values: ArrayRef) -> ArrayRef {
        let item = Arc::new(Field::new("item", values.data_type().clone(), true));
        let offsets = OffsetBuffer::new(vec![0, i32::try_from(values.len()).unwrap()].into());
        Arc::new(ListArray::new(item, offsets, values, None))
    }

    fn list_of_texts(texts: &[Option<&str>]) -> ArrayRef {
        let mut lists = ListBuilder::new(StringBuilder::new());
        lists.append_value(texts.iter().copied());
        Arc::new(lists.finish())
    }

    fn runs(ends: Vec<i32>, values: ArrayRef) -> ArrayRef {
        Arc::new(RunArray::try_new(&Int32Array::from(ends), &values).unwrap())
    }

    fn by_dictionary(keys: Vec<Option<i8>>, values: ArrayRef) -> ArrayRef {
        Arc::new(DictionaryArray::<Int8Type>::new(Int8Array::from(keys), values))
    }

    #[test]
    fn every_layout_is_the_values_that_it_shows() {
        check(
            Arc::new(RunArray::try_new(&Int16Array::from(vec![1]), &texts(&[Some("a")])).unwrap()),
            texts(&[Some("a")]),
        );
        check(runs(vec![1], texts(&[None])), texts(&[None]));
        check(
            Arc::new(RunArray::try_new(&Int64Array::from(vec![7]), &texts(&[Some("a")])).unwrap().slice(3, 1)),
            texts(&[Some("a")]),
        );
        let plain: ArrayRef = Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>(numbers()));
        check(Arc::new(ListViewArray::from_iter_primitive::<Int32Type, _, _>(numbers())), Arc::clone(&plain));
        check(Arc::new(LargeListViewArray::from_iter_primitive::<Int32Type, _, _>(numbers())), plain);
        check(by_dictionary(vec![Some(1)], texts(&[None, Some("b")])), texts(&[Some("b")]));
        check(by_dictionary(vec![None], texts(&[])), texts(&[None]));
    }

    #[test]
    fn layouts_within_layouts_are_plain_at_every_depth() {
        let expect = list_of_texts(&[Some("a"), Some("a"), None]);
        check(list(runs(vec![2, 3], texts(&[Some("a"), None]))), Arc::clone(&expect));
        check(list(by_dictionary(vec![Some(0), Some(0), None], texts(&[Some("a")]))), Arc::clone(&expect));
        check(runs(vec![1], list(by_dictionary(vec![Some(0), Some(0), None], texts(&[Some("a")])))), expect);
        let view: ArrayRef = Arc::new(ListViewArray::from_iter_primitive::<Int32Type, _, _>(numbers()));
        let plain: ArrayRef = Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>(numbers()));
        let part = |array: ArrayRef| (Arc::new(Field::new("a", array.data_type().clone(), true)), array);
        let structs = StructArray::from(vec![part(view), part(runs(vec![1], texts(&[Some("a")])))]);
        check(Arc::new(structs), Arc::new(StructArray::from(vec![part(plain), part(texts(&[Some("a")]))])));
    }

    #[test]
    fn what_would_become_large_is_not_made() {
        let text = || texts(&[Some("x".repeat(1_000).as_str())]);
        assert!(made_plain(text(), 1_008).is_ok());
        let many = 1 << 29;
        let views = |views: usize| {
            let (item, values) = (Field::new("item", DataType::Int64, true), Int64Array::from(vec![7; 1_000]));
            let (offsets, sizes) = (vec![0; views].into(), vec![1_000; views].into());
            Arc::new(ListViewArray::new(Arc::new(item), offsets, sizes, Arc::new(values), None))
        };
        let wide = DataType::FixedSizeBinary(1 << 30);
        let empty_and_large = || {
            let mut lists = ListBuilder::new(StringBuilder::new());
            lists.append_value(std::iter::empty::<Option<&str>>());
            lists.append_value(vec![Some("x"); 1_000]);
            Arc::new(lists.finish())
        };
        for (what, column) in [
            ("a byte more than is taken", texts(&[Some("x".repeat(1_001).as_str())])),
            ("a long run of a text", list(runs(vec![many], text()))),
            ("a long run of nothing", list(runs(vec![many], Arc::new(NullArray::new(1))))),
            ("a long run of an empty list", list(runs(vec![1 << 18, (1 << 18) + 1], empty_and_large()))),
            ("a text by many keys", list(by_dictionary(vec![Some(0); 100], text()))),
            ("the same values in many views", list(views(100))),
            ("a NULL of a wide type", by_dictionary(vec![None], new_empty_array(&wide))),
        ] {
            assert_eq!(made_plain(column, 1_008).unwrap_err().code(), Code::Complexity, "{what}");
        }
    }
}
