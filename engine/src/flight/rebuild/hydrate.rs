//! Dictionaries and runs, made the values that they refer to.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::{cast_with_options, take};
use arrow::datatypes::{ArrowDictionaryKeyType, ArrowNativeType, DataType, Int8Type, Int16Type, Int32Type, Int64Type};
use arrow::datatypes::{RunEndIndexType, UInt8Type, UInt16Type, UInt32Type, UInt64Type};
use arrow::error::ArrowError;

use super::stretches::{Stretch, cut};
use super::{EXACT, Piece};

/// Where the value of each slot is: nowhere, where its key is NULL.
pub type Places<'a> = Box<dyn Iterator<Item = Option<usize>> + 'a>;

/// The values to which a dictionary or runs refer, and where among them that of each slot is. `None` for an array of another kind.
pub fn referred(array: &dyn Array) -> Option<(&ArrayRef, Places<'_>)> {
    match array.data_type() {
        DataType::Dictionary(keys, _) => match keys.as_ref() {
            DataType::Int8 => by_keys::<Int8Type>(array),
            DataType::Int16 => by_keys::<Int16Type>(array),
            DataType::Int32 => by_keys::<Int32Type>(array),
            DataType::Int64 => by_keys::<Int64Type>(array),
            DataType::UInt8 => by_keys::<UInt8Type>(array),
            DataType::UInt16 => by_keys::<UInt16Type>(array),
            DataType::UInt32 => by_keys::<UInt32Type>(array),
            _ => by_keys::<UInt64Type>(array),
        },
        DataType::RunEndEncoded(ends, _) => match ends.data_type() {
            DataType::Int16 => in_runs::<Int16Type>(array),
            DataType::Int32 => in_runs::<Int32Type>(array),
            _ => in_runs::<Int64Type>(array),
        },
        _ => None,
    }
}

fn by_keys<K: ArrowDictionaryKeyType>(array: &dyn Array) -> Option<(&ArrayRef, Places<'_>)> {
    let dictionary = array.as_dictionary_opt::<K>()?;
    let last = dictionary.values().len().checked_sub(1);
    let places: Places<'_> = Box::new(dictionary.keys_iter().map(move |place| Some(place?.min(last?))));
    Some((dictionary.values(), places))
}

fn in_runs<R: RunEndIndexType>(array: &dyn Array) -> Option<(&ArrayRef, Places<'_>)> {
    let runs = array.as_run_opt::<R>()?;
    let (first, mut start) = (runs.get_start_physical_index(), 0);
    let places: Places<'_> = Box::new(runs.run_ends().sliced_values().enumerate().flat_map(move |(run, end)| {
        let slots = end.as_usize().saturating_sub(start);
        start += slots;
        std::iter::repeat_n(Some(first + run), slots)
    }));
    Some((runs.values(), places))
}

/// Whether values that are referred to are taken stretch by stretch, each a piece. Of values without a width the kernel does not say
/// how many it took.
pub fn has_parts(values: &DataType) -> bool {
    values.is_nested() || matches!(values, DataType::RunEndEncoded(_, _) | DataType::FixedSizeBinary(0))
}

/// The same pieces without dictionaries and runs.
pub(super) fn hydrated(pieces: Vec<Piece>) -> Result<Vec<Piece>, ArrowError> {
    let mut hydrated = Vec::with_capacity(pieces.len());
    pieces.into_iter().try_for_each(|piece| hydrate(piece, &mut hydrated))?;
    Ok(hydrated)
}

fn hydrate(piece: Piece, hydrated: &mut Vec<Piece>) -> Result<(), ArrowError> {
    let values = match piece.array.data_type() {
        DataType::Dictionary(_, values) => values.as_ref(),
        DataType::RunEndEncoded(_, values) => values.data_type(),
        _ => {
            hydrated.push(piece);
            return Ok(());
        }
    };
    // Of what has parts, the kernel makes room for as many as it guesses, which may be more than there is memory.
    if has_parts(values)
        && let Some((values, places)) = referred(piece.array.as_ref())
    {
        let stretch = |(slot, place)| Stretch { is_shown: piece.is_shown(slot), ..Stretch::at(place) };
        return cut(values, places.enumerate().map(stretch)).try_for_each(|piece| hydrate(piece, hydrated));
    }
    let array = match piece.array.as_any_dictionary_opt() {
        Some(dictionary) => take(dictionary.values(), dictionary.keys(), None)?,
        None => cast_with_options(&piece.array, values, &EXACT)?,
    };
    hydrate(Piece { array, shown: piece.shown }, hydrated)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{DictionaryArray, FixedSizeBinaryArray, Int8Array, Int64Array, LargeListArray, RunArray};
    use arrow::array::{StringArray, UInt64Array};
    use arrow::buffer::{Buffer, NullBuffer};
    use arrow::datatypes::Field;

    use super::super::gather;
    use super::*;

    fn lists(lists: Vec<Option<Vec<Option<i64>>>>) -> ArrayRef {
        Arc::new(LargeListArray::from_iter_primitive::<Int64Type, _, _>(lists))
    }

    fn check(array: ArrayRef, shown: Option<Vec<bool>>, expect: ArrayRef) {
        let piece = Piece { array, shown: shown.map(NullBuffer::from) };
        let field = Field::new("a", expect.data_type().clone(), true);
        assert_eq!(&gather(vec![piece], &field).unwrap(), &expect);
    }

    #[test]
    fn lists_by_dictionary_and_in_runs_are_the_lists() {
        let values = || lists(vec![Some(vec![]), Some(vec![Some(1), None]), None]);
        let keys = Int8Array::from(vec![Some(1), None, Some(0), Some(1), Some(2)]);
        let dictionary: ArrayRef = Arc::new(DictionaryArray::<Int8Type>::new(keys, values()));
        let one = Some(vec![Some(1), None]);
        let all = lists(vec![one.clone(), None, Some(vec![]), one.clone(), None]);
        check(Arc::clone(&dictionary), None, all);
        let shown = Some(vec![false, true, true, true, true]);
        check(dictionary, shown, lists(vec![None, None, Some(vec![]), one.clone(), None]));
        let runs = RunArray::try_new(&Int64Array::from(vec![1, 3, 4]), &values()).unwrap();
        let all = lists(vec![Some(vec![]), one.clone(), one.clone(), None]);
        check(Arc::new(runs.clone()), None, Arc::clone(&all));
        check(Arc::new(runs.slice(2, 2)), None, lists(vec![one, None]));
        check(Arc::new(runs.slice(1, 0)), None, lists(vec![]));
    }

    #[test]
    fn runs_of_runs_and_dictionaries_without_values_are_plain() {
        let texts: ArrayRef = Arc::new(StringArray::from(vec![Some("a"), None, Some("b")]));
        let runs = RunArray::try_new(&Int64Array::from(vec![2, 3, 7]), &texts).unwrap();
        let runs = RunArray::try_new(&Int64Array::from(vec![1, 2, 4, 5, 6, 7, 9]), &runs).unwrap();
        let expect = StringArray::from(vec![Some("a"), Some("a"), None, None, Some("b"), Some("b"), Some("b")]);
        check(Arc::new(runs.slice(0, 7)), None, Arc::new(expect));
        let keys = Int8Array::from(vec![None, None]);
        let dictionary = DictionaryArray::<Int8Type>::new(keys, lists(vec![]));
        check(Arc::new(dictionary), None, lists(vec![None, None]));
    }

    /// A kernel would make room for half of the larger list for each key.
    #[test]
    fn a_large_list_beside_the_one_that_is_meant_is_not_made_room_for() {
        let values = lists(vec![Some(vec![]), Some(vec![Some(0); 1 << 20])]);
        let dictionary = DictionaryArray::<Int8Type>::new(Int8Array::from(vec![0; 1 << 16]), values);
        check(Arc::new(dictionary), None, lists(vec![Some(vec![]); 1 << 16]));
    }

    #[test]
    fn keys_of_any_width_that_follow_one_another_are_one_piece() {
        let values = lists(vec![Some(vec![Some(0)]), Some(vec![Some(1)]), Some(vec![Some(2)])]);
        let dictionary = DictionaryArray::<UInt64Type>::new(UInt64Array::from(vec![1, 2, 0]), values);
        let pieces = hydrated(vec![Piece { array: Arc::new(dictionary), shown: None }]).unwrap();
        assert_eq!(pieces.iter().map(|piece| piece.array.len()).collect::<Vec<_>>(), [2, 1]);
    }

    #[test]
    fn values_without_a_width_keep_their_number() {
        let of = |length| FixedSizeBinaryArray::try_new_with_len(0, Buffer::default(), None, length).unwrap();
        let values: ArrayRef = Arc::new(of(1));
        let dictionary = DictionaryArray::<Int8Type>::new(Int8Array::from(vec![0; 3]), Arc::clone(&values));
        check(Arc::new(dictionary), None, Arc::new(of(3)));
        check(Arc::new(RunArray::try_new(&Int64Array::from(vec![3]), &values).unwrap()), None, Arc::new(of(3)));
    }
}
