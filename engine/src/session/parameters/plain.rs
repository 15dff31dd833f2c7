//! A row of parameters made plain, as it is sealed into a handle. Dictionaries, runs and views say in few bytes what takes many: what
//! the row becomes is counted before anything of it is made.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, AsArray, GenericListViewArray, OffsetSizeTrait, RecordBatch, UnionArray};
use arrow::datatypes::{ArrowNativeType, DataType, Fields, Schema};

use super::too_many_bytes;
use super::type_bytes::{Apart, UNION_BYTES, null_bytes};
use crate::error::{Code, EngineError, Result};
use crate::exec::value_bytes::bytes_of;
use crate::flight::rebuild::{Stretch, has_parts, joined, rebuild, referred};
use crate::flight::wire_types::wire_schema;

/// The row under plain types, as an answer would have it. A parameter may be NULL, whatever its field says: that is said of keys and
/// of runs, and a NULL may be among their values.
///
/// # Errors
/// `COMPLEXITY` where it would take more than so many bytes, `TYPE` for a value that cannot be read.
pub fn plain(row: &RecordBatch, bytes_max: usize) -> Result<RecordBatch> {
    let mut room = Room { bytes: bytes_max };
    if row.columns().iter().any(|column| room.take(column.as_ref(), 0).is_none()) {
        return Err(too_many_bytes(bytes_max));
    }
    let wire = wire_schema(&row.schema());
    let fields: Fields = wire.fields().iter().map(|field| field.as_ref().clone().with_nullable(true)).collect();
    let unreadable = |error| EngineError::new(Code::Type, "a parameter cannot be read").caused_by(error);
    rebuild(std::slice::from_ref(row), &Arc::new(Schema::new(fields))).map_err(unreadable)
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
    /// ends, however many are claimed. What is hidden above cuts the array into so many more pieces, at most.
    fn take(&mut self, array: &dyn Array, cuts: usize) -> Option<()> {
        let slots = array.len();
        if slots == 0 {
            return Some(());
        }
        let within = cuts.saturating_add(nulls_apart(array));
        match array.data_type() {
            DataType::Dictionary(_, _) | DataType::RunEndEncoded(_, _) => self.take_referred(array, cuts),
            DataType::List(_) => {
                let list = array.as_list::<i32>();
                self.take_between::<i32>(list.offsets(), list.values().as_ref(), within)
            }
            DataType::LargeList(_) => {
                let list = array.as_list::<i64>();
                self.take_between::<i64>(list.offsets(), list.values().as_ref(), within)
            }
            DataType::ListView(_) => self.take_views(array.as_list_view::<i32>(), cuts),
            DataType::LargeListView(_) => self.take_views(array.as_list_view::<i64>(), cuts),
            DataType::Map(_, _) => self.take_between::<i32>(array.as_map().offsets(), array.as_map().entries(), within),
            DataType::FixedSizeList(_, _) => {
                self.spend(slots)?;
                self.take(array.as_fixed_size_list().values().as_ref(), within)
            }
            DataType::Struct(_) => {
                self.spend(slots)?;
                array.as_struct().columns().iter().try_for_each(|column| self.take(column.as_ref(), within))
            }
            DataType::Union(_, _) => self.take_union(array.as_union(), cuts),
            _ => self.spend(bytes_of(array).max(slots)),
        }
    }

    /// Each value as often as it is referred to.
    fn take_referred(&mut self, array: &dyn Array, cuts: usize) -> Option<()> {
        self.spend(array.len())?;
        let (values, places) = referred(array)?;
        let stretches = places.map(Stretch::at);
        match has_parts(values.data_type()) {
            true => self.take_cut(values.as_ref(), stretches, cuts),
            false => self.take_each(values.as_ref(), joined(stretches), Apart::default()),
        }
    }

    /// The offsets, and the values from the first of them to the last, which are cut wherever the lists are.
    fn take_between<O: OffsetSizeTrait>(&mut self, offsets: &[O], values: &dyn Array, cuts: usize) -> Option<()> {
        self.spend(size_of_val(offsets))?;
        let (first, last) = (offsets.first()?.as_usize(), offsets.last()?.as_usize());
        let length = last.saturating_sub(first);
        if length == 0 {
            return Some(());
        }
        self.spend(Apart::of(values.data_type()).each.checked_mul(cuts.checked_add(1)?)?)?;
        self.take(values.slice(first, length).as_ref(), cuts)
    }

    /// The values of each view, though others show them, too.
    fn take_views<O: OffsetSizeTrait>(&mut self, views: &GenericListViewArray<O>, cuts: usize) -> Option<()> {
        self.spend(views.len().checked_mul(size_of::<O>())?)?;
        let ranges = views.offsets().iter().zip(views.sizes().iter());
        let ranges = ranges.map(|(offset, size)| offset.as_usize()..offset.as_usize() + size.as_usize());
        let shown = ranges.enumerate().filter(|(slot, range)| views.is_valid(*slot) && !range.is_empty());
        self.take_cut(views.values().as_ref(), shown.map(|(_, range)| Stretch::shown(range)), cuts)
    }

    fn take_union(&mut self, union: &UnionArray, cuts: usize) -> Option<()> {
        self.spend(union.len().checked_mul(UNION_BYTES)?)?;
        let (fields, ids) = (union.fields(), union.type_ids());
        let Some(offsets) = union.offsets() else {
            // Where another type is, a child is hidden.
            let changes = ids.iter().zip(ids.iter().skip(1)).filter(|(id, next)| id != next).count();
            let within = cuts.saturating_add(changes).saturating_add(1);
            return fields.iter().try_for_each(|(id, _)| self.take(union.child(id).as_ref(), within));
        };
        if cuts > 0 {
            // A slot that is hidden becomes a NULL of the first type.
            let (_, first) = fields.iter().next()?;
            self.take_nulls(first.data_type(), union.len(), Apart::of(first.data_type()))?;
        }
        fields.iter().try_for_each(|(id, _)| {
            let own = offsets.iter().zip(ids.iter()).filter(|(_, other)| **other == id);
            let stretches = own.map(|(offset, _)| Stretch::at(Some(offset.as_usize())));
            self.take_cut(union.child(id).as_ref(), stretches, cuts)
        })
    }

    /// What is cut out of values. Where anything above is hidden, each stretch may be a piece by itself.
    fn take_cut(&mut self, values: &dyn Array, stretches: impl Iterator<Item = Stretch>, cuts: usize) -> Option<()> {
        let mut stretches = stretches.peekable();
        // Without any, the type is not looked at: it may have many fields.
        if stretches.peek().is_none() {
            return Some(());
        }
        let apart = Apart::of(values.data_type());
        match cuts {
            0 => self.take_each(values, joined(stretches), apart),
            _ => self.take_each(values, stretches, apart),
        }
    }

    /// Each stretch of values; those that come again one after the other are looked at once.
    fn take_each(&mut self, values: &dyn Array, stretches: impl Iterator<Item = Stretch>, apart: Apart) -> Option<()> {
        let mut nulls = 0;
        let mut last: Option<(Range<usize>, usize)> = None;
        for stretch in stretches {
            let Some(range) = stretch.values else {
                nulls += 1;
                continue;
            };
            if let Some((same, bytes)) = &last
                && *same == range
            {
                self.spend(*bytes)?;
                continue;
            }
            let before = self.bytes;
            self.spend(apart.each)?;
            self.take(values.slice(range.start, range.len()).as_ref(), 0)?;
            last = Some((range, before - self.bytes));
        }
        self.take_nulls(values.data_type(), nulls, apart)
    }

    /// So many NULLs, which are one before they are plain.
    fn take_nulls(&mut self, of: &DataType, count: usize, apart: Apart) -> Option<()> {
        if count == 0 {
            return Some(());
        }
        self.spend(apart.null)?;
        self.spend(null_bytes(of).checked_add(apart.each)?.checked_mul(count)?)
    }
}

/// How many stretches of NULLs there are, at most; what is within the array is cut there.
fn nulls_apart(array: &dyn Array) -> usize {
    let nulls = array.nulls().filter(|nulls| nulls.null_count() > 0);
    nulls.map_or(0, |nulls| nulls.valid_slices().count() + 1)
}

#[cfg(test)]
mod tests {
    use arrow::array::{
        ArrayRef, DictionaryArray, FixedSizeBinaryArray, FixedSizeListArray, Int8Array, Int16Array, Int32Array,
        Int64Array, LargeListArray, LargeListViewArray, ListArray, ListBuilder, ListViewArray, MapArray, NullArray,
        RunArray, StringArray, StringBuilder, StructArray, new_empty_array,
    };
    use arrow::buffer::{Buffer, NullBuffer, OffsetBuffer};
    use arrow::datatypes::{Field, FieldRef, Int8Type, Int32Type, UnionFields};

    use super::*;

    fn made_plain(column: ArrayRef, bytes_max: usize) -> Result<ArrayRef> {
        let row = RecordBatch::try_from_iter_with_nullable([("0", column, true)]).unwrap();
        plain(&row, bytes_max).map(|plain| ArrayRef::clone(plain.column(0)))
    }

    fn check(column: ArrayRef, expect: ArrayRef) {
        let plain = made_plain(column, 1 << 13).unwrap();
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

    fn field(of: &DataType) -> FieldRef {
        Arc::new(Field::new("a", of.clone(), true))
    }

    /// The second of two values, by a dictionary.
    fn second(values: ArrayRef) -> ArrayRef {
        by_dictionary(vec![Some(1)], values)
    }

    #[test]
    fn lists_and_maps_by_dictionary_are_those() {
        let lists = || [Some(vec![Some(1), None]), Some(vec![Some(3), Some(4)])];
        let plain: ArrayRef = Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>(lists()));
        check(second(Arc::new(LargeListArray::from_iter_primitive::<Int32Type, _, _>(lists()))), plain.slice(1, 1));
        check(second(Arc::new(ListViewArray::from_iter_primitive::<Int32Type, _, _>(lists()))), plain.slice(1, 1));
        check(second(Arc::clone(&plain)), plain.slice(1, 1));
        let fixed: ArrayRef = Arc::new(FixedSizeListArray::from_iter_primitive::<Int32Type, _, _>(lists(), 2));
        check(second(Arc::clone(&fixed)), fixed.slice(1, 1));
        let keys = (Arc::new(Field::new("keys", DataType::Utf8, false)), texts(&[Some("a"), Some("b"), Some("c")]));
        let entries = StructArray::from(vec![keys, (field(&DataType::Utf8), texts(&[Some("x"), None, Some("z")]))]);
        let entry = Arc::new(Field::new("entries", entries.data_type().clone(), false));
        let map: ArrayRef =
            Arc::new(MapArray::new(entry, OffsetBuffer::new(vec![0, 2, 3].into()), entries, None, false));
        check(second(Arc::clone(&map)), map.slice(1, 1));
    }

    #[test]
    fn what_is_null_or_empty_stays_so() {
        let null: ArrayRef = Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>([None::<Vec<Option<i32>>>]));
        check(Arc::clone(&null), Arc::clone(&null));
        check(by_dictionary(vec![None], Arc::clone(&null)), Arc::clone(&null));
        check(by_dictionary(vec![Some(0)], Arc::clone(&null)), Arc::clone(&null));
        let lists = [Some(vec![]), None, Some(vec![Some(1)])];
        let lists: ArrayRef = Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>(lists));
        check(list(Arc::clone(&lists)), list(Arc::clone(&lists)));
        check(list(by_dictionary(vec![Some(0), None, Some(2)], Arc::clone(&lists))), list(lists));
        // Nothing is made of what a NULL could show.
        let values: ArrayRef = Arc::new(Int32Array::from(vec![7; 1_000]));
        let (starts, sizes) = (vec![0].into(), vec![1_000].into());
        let item = Arc::new(Field::new_list_field(DataType::Int32, true));
        let view = ListViewArray::new(item, starts, sizes, values, Some(NullBuffer::new_null(1)));
        assert_eq!(&made_plain(Arc::new(view), 1_000).unwrap(), &null);
    }

    #[test]
    fn unions_of_layouts_are_unions_of_plain_values() {
        let union = |texts: ArrayRef, numbers: ArrayRef, offsets: Option<Vec<i32>>| -> ArrayRef {
            let fields = [field(texts.data_type()), field(numbers.data_type())];
            let fields = UnionFields::try_new([3, 7], fields).unwrap();
            let offsets = offsets.map(Into::into);
            Arc::new(UnionArray::try_new(fields, vec![7, 3, 7].into(), offsets, vec![texts, numbers]).unwrap())
        };
        let numbers = |numbers: Vec<i64>| -> ArrayRef { Arc::new(Int64Array::from(numbers)) };
        let dense = Some(vec![0, 0, 1]);
        let text = by_dictionary(vec![Some(1)], texts(&[None, Some("b")]));
        let of_dictionary = union(text, runs(vec![2], numbers(vec![5])), dense.clone());
        check(list(of_dictionary), list(union(texts(&[Some("b")]), numbers(vec![5, 5]), dense)));
        let text = by_dictionary(vec![None, Some(0), None], texts(&[Some("b")]));
        let of_dictionary = union(text, runs(vec![1, 3], numbers(vec![5, 6])), None);
        let shown: ArrayRef = Arc::new(Int64Array::from(vec![Some(5), None, Some(6)]));
        let plain = union(texts(&[None, Some("b"), None]), shown, None);
        check(list(of_dictionary), list(plain));
    }

    #[test]
    fn a_parameter_is_null_whatever_its_field_says() {
        for column in [by_dictionary(vec![Some(0)], texts(&[None])), runs(vec![1], texts(&[None]))] {
            let schema = Schema::new(vec![Field::new("0", column.data_type().clone(), false)]);
            let row = RecordBatch::try_new(Arc::new(schema), vec![column]).unwrap();
            assert_eq!(plain(&row, 1 << 10).unwrap().column(0), &texts(&[None]));
        }
    }

    #[test]
    fn values_that_follow_one_another_are_counted_as_one_piece() {
        let keys = |keys: Range<i32>| {
            let values = ListArray::from_iter_primitive::<Int32Type, _, _>((0..1_000).map(|n| Some([Some(n)])));
            list(Arc::new(DictionaryArray::<Int32Type>::new(keys.collect(), Arc::new(values))))
        };
        assert!(made_plain(keys(0..1_000), 20_000).is_ok());
        let back = |column: ArrayRef| by_dictionary(vec![Some(0)], column);
        assert!(made_plain(back(keys(0..1_000)), 20_000).is_ok());
    }

    /// A struct of many fields without a width.
    fn wide(slots: usize) -> ArrayRef {
        let part = (field(&DataType::Null), Arc::new(NullArray::new(slots)) as ArrayRef);
        Arc::new(StructArray::from(vec![part; 100]))
    }

    /// Lists within lists, each of as many as there may be.
    fn tower(levels: usize) -> DataType {
        (0..levels).fold(DataType::FixedSizeBinary(0), |of, _| DataType::FixedSizeList(field(&of), i32::MAX))
    }

    /// A NULL above a number in a union of which this is the first type.
    fn hidden_in_union(first: &DataType) -> ArrayRef {
        let fields = UnionFields::try_new([0, 1], [field(first), field(&DataType::Int64)]).unwrap();
        let children: Vec<ArrayRef> = vec![new_empty_array(first), Arc::new(Int64Array::from(vec![7]))];
        let union = UnionArray::try_new(fields, vec![1].into(), Some(vec![0].into()), children).unwrap();
        let fields = vec![field(union.data_type())];
        Arc::new(StructArray::new(fields.into(), vec![Arc::new(union)], Some(NullBuffer::new_null(1))))
    }

    #[test]
    fn what_a_type_says_alone_is_not_made() {
        let wide_list = DataType::List(field(wide(0).data_type()));
        for (what, column) in [
            ("a NULL of many of nothing", by_dictionary(vec![None], new_empty_array(&tower(1)))),
            ("a NULL of more than there is memory", by_dictionary(vec![None], new_empty_array(&tower(2)))),
            ("a NULL of more than can be counted", by_dictionary(vec![None], new_empty_array(&tower(3)))),
            ("the same in a union", hidden_in_union(&tower(2))),
            ("a NULL of a list of many fields", by_dictionary(vec![None], new_empty_array(&wide_list))),
            ("the same in a union", hidden_in_union(&wide_list)),
        ] {
            assert_eq!(made_plain(column, 1 << 16).unwrap_err().code(), Code::Complexity, "{what}");
        }
        assert!(made_plain(hidden_in_union(&DataType::Int64), 1 << 16).is_ok());
        assert!(made_plain(by_dictionary(vec![None], new_empty_array(&wide_list)), 1 << 18).is_ok());
    }

    #[test]
    fn what_is_cut_often_is_not_made() {
        let lists = |offsets: Vec<i32>, nulls: Vec<bool>| -> ArrayRef {
            let values = wide(usize::try_from(offsets[offsets.len() - 1]).unwrap());
            let nulls = Some(NullBuffer::from(nulls));
            Arc::new(ListArray::new(field(values.data_type()), OffsetBuffer::new(offsets.into()), values, nulls))
        };
        let views = |count: usize| -> ArrayRef {
            let (starts, sizes) = (vec![0; count].into(), vec![1; count].into());
            Arc::new(ListViewArray::new(field(wide(0).data_type()), starts, sizes, wide(1), None))
        };
        let union = |count: usize| -> ArrayRef {
            let fields = UnionFields::try_new([1], [field(wide(0).data_type())]).unwrap();
            let ids = vec![1; count].into();
            Arc::new(UnionArray::try_new(fields, ids, Some(vec![0; count].into()), vec![wide(1)]).unwrap())
        };
        for (what, column) in [
            ("a struct by the same key", list(by_dictionary(vec![Some(0); 8], wide(1)))),
            ("a struct in a run", list(runs(vec![8], wide(1)))),
            ("a NULL by many keys", list(by_dictionary(vec![None; 8], wide(1)))),
            ("lists beside NULLs", list(lists(vec![0, 1, 1, 2, 2, 3], vec![true, false, true, false, true]))),
            ("views of the same struct", list(views(8))),
            ("a struct in a union", list(union(8))),
        ] {
            assert_eq!(made_plain(column, 1 << 15).unwrap_err().code(), Code::Complexity, "{what}");
        }
        assert!(made_plain(list(by_dictionary(vec![Some(0), Some(1)], wide(2))), 1 << 16).is_ok());
    }

    #[test]
    fn values_without_a_width_are_bound() {
        let value: ArrayRef = Arc::new(FixedSizeBinaryArray::try_new_with_len(0, Buffer::default(), None, 1).unwrap());
        check(Arc::clone(&value), Arc::clone(&value));
        check(by_dictionary(vec![Some(0)], Arc::clone(&value)), Arc::clone(&value));
        check(runs(vec![1], Arc::clone(&value)), value);
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
