//! Values that slots refer to, cut out in stretches: a piece costs what many values do, and so values that follow one another are
//! one, values that are referred to again are the same one, and all NULLs share theirs.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, new_null_array};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{DataType, Field, FieldRef};

use super::Piece;

/// Values, one behind the other, that slots refer to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stretch {
    /// Where they are; `None` for a slot that refers to no value, and is NULL.
    pub values: Option<Range<usize>>,
    /// Whether the slots are shown.
    pub is_shown: bool,
}

impl Stretch {
    /// Values that are shown.
    pub fn shown(values: Range<usize>) -> Self {
        Self { values: Some(values), is_shown: true }
    }

    /// What one slot shows: the value at a place, or NULL.
    pub fn at(place: Option<usize>) -> Self {
        Self { values: place.map(|place| place..place + 1), is_shown: true }
    }

    fn is_continued_by(&self, next: &Self) -> bool {
        let end = self.values.as_ref().map(|values| values.end);
        let start = next.values.as_ref().map(|values| values.start);
        end.is_some() && end == start && self.is_shown == next.is_shown
    }
}

/// Fewer stretches of the same values in the same order.
pub fn joined(stretches: impl Iterator<Item = Stretch>) -> impl Iterator<Item = Stretch> {
    let mut stretches = stretches.peekable();
    std::iter::from_fn(move || {
        let mut stretch = stretches.next()?;
        while let Some(next) = stretches.next_if(|next| stretch.is_continued_by(next)) {
            if let (Some(values), Some(more)) = (&mut stretch.values, next.values) {
                values.end = more.end;
            }
        }
        Some(stretch)
    })
}

/// The pieces of `values` that these stretches are.
pub(super) fn cut(values: &ArrayRef, stretches: impl Iterator<Item = Stretch>) -> impl Iterator<Item = Piece> {
    let mut cutter = Cutter { values, null: None, last: None };
    joined(stretches).map(move |stretch| {
        let array = match stretch.values {
            Some(range) => cutter.part(range),
            None => cutter.null(),
        };
        let shown = (!stretch.is_shown).then(|| NullBuffer::new_null(array.len()));
        Piece { array, shown }
    })
}

/// Values, the NULL that is none of them, and what was cut out last.
#[derive(Debug)]
struct Cutter<'a> {
    values: &'a ArrayRef,
    null: Option<ArrayRef>,
    last: Option<(Range<usize>, ArrayRef)>,
}

impl Cutter<'_> {
    fn part(&mut self, range: Range<usize>) -> ArrayRef {
        if let Some((last, part)) = &self.last
            && *last == range
        {
            return Arc::clone(part);
        }
        let part = self.values.slice(range.start, range.len());
        self.last = Some((range, Arc::clone(&part)));
        part
    }

    fn null(&mut self) -> ArrayRef {
        let of = self.values.data_type();
        Arc::clone(self.null.get_or_insert_with(|| new_null_array(&resolved(of), 1)))
    }
}

/// The type without dictionaries and runs, of which a NULL may need more than they can count; and without names, which no piece
/// is asked for.
fn resolved(of: &DataType) -> DataType {
    let field = |field: &FieldRef| -> FieldRef { Arc::new(Field::new("", resolved(field.data_type()), true)) };
    match of {
        DataType::Dictionary(_, values) => resolved(values),
        DataType::RunEndEncoded(_, values) => resolved(values.data_type()),
        DataType::List(item) => DataType::List(field(item)),
        DataType::LargeList(item) => DataType::LargeList(field(item)),
        DataType::ListView(item) => DataType::ListView(field(item)),
        DataType::LargeListView(item) => DataType::LargeListView(field(item)),
        DataType::FixedSizeList(item, size) => DataType::FixedSizeList(field(item), *size),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(field).collect()),
        DataType::Map(entries, sorted) => DataType::Map(field(entries), *sorted),
        DataType::Union(fields, mode) => {
            DataType::Union(fields.iter().map(|(id, of)| (id, field(of))).collect(), *mode)
        }
        flat => flat.clone(),
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::ListArray;
    use arrow::datatypes::Int64Type;

    use super::*;

    fn check(stretches: Vec<Stretch>, expect: Vec<Stretch>) {
        assert_eq!(joined(stretches.into_iter()).collect::<Vec<_>>(), expect);
    }

    fn hidden(values: Range<usize>) -> Stretch {
        Stretch { is_shown: false, ..Stretch::shown(values) }
    }

    #[test]
    fn what_follows_one_another_is_one_stretch() {
        check(vec![], vec![]);
        let keys = [3, 4, 5, 0].map(|place| Stretch::at(Some(place)));
        check(keys.to_vec(), vec![Stretch::shown(3..6), Stretch::shown(0..1)]);
        check(vec![Stretch::shown(0..3), Stretch::shown(3..9)], vec![Stretch::shown(0..9)]);
        let apart = vec![
            Stretch::at(None),
            Stretch::at(None),
            Stretch::at(Some(0)),
            hidden(1..2),
            Stretch::at(Some(2)),
            Stretch::at(Some(2)),
        ];
        check(apart.clone(), apart);
        check(vec![hidden(1..2), hidden(2..3)], vec![hidden(1..3)]);
    }

    #[test]
    fn nulls_and_values_that_come_again_are_made_once() {
        let lists = [Some(vec![Some(1)]), Some(vec![Some(2), None])];
        let lists: ArrayRef = Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>(lists));
        let places = [None, Some(1), Some(1), None, Some(0)].map(Stretch::at);
        let pieces: Vec<Piece> = cut(&lists, places.into_iter()).collect();
        assert_eq!(pieces.len(), 5);
        assert!(Arc::ptr_eq(&pieces[0].array, &pieces[3].array) && pieces[0].array.is_null(0));
        assert!(Arc::ptr_eq(&pieces[1].array, &pieces[2].array));
        assert_eq!(&pieces[1].array, &lists.slice(1, 1));
        assert_eq!(&pieces[4].array, &lists.slice(0, 1));
    }

    #[test]
    fn a_null_of_more_values_than_runs_count_is_made() {
        let ends = Arc::new(Field::new("run_ends", DataType::Int16, false));
        let runs = DataType::RunEndEncoded(ends, Arc::new(Field::new("values", DataType::Int64, true)));
        let item = Arc::new(Field::new("item", runs, true));
        let null = new_null_array(&resolved(&DataType::FixedSizeList(item, 40_000)), 1);
        assert!(null.is_null(0));
    }
}
