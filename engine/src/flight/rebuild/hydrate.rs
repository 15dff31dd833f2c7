//! Dictionaries and runs, made the values that they refer to.

use arrow::array::{Array, ArrayRef, AsArray, new_null_array};
use arrow::buffer::NullBuffer;
use arrow::compute::{cast_with_options, take};
use arrow::datatypes::{ArrowNativeType, DataType, Int16Type, Int32Type, Int64Type, RunEndIndexType};
use arrow::error::ArrowError;

use super::{EXACT, Piece};

/// The values to which a dictionary or runs refer, and where among them that of each slot is: nowhere, where its key is NULL.
/// `None` for an array of another kind.
pub fn referred(array: &dyn Array) -> Option<(ArrayRef, Vec<Option<usize>>)> {
    let Some(dictionary) = array.as_any_dictionary_opt() else {
        let of_short_runs = of_runs::<Int16Type>(array).or_else(|| of_runs::<Int32Type>(array));
        return of_short_runs.or_else(|| of_runs::<Int64Type>(array));
    };
    let (keys, values) = (dictionary.keys(), ArrayRef::clone(dictionary.values()));
    if values.is_empty() {
        return Some((values, vec![None; keys.len()]));
    }
    let places = dictionary.normalized_keys().into_iter().enumerate();
    Some((values, places.map(|(slot, place)| keys.is_valid(slot).then_some(place)).collect()))
}

fn of_runs<R: RunEndIndexType>(array: &dyn Array) -> Option<(ArrayRef, Vec<Option<usize>>)> {
    let runs = array.as_run_opt::<R>()?;
    let first = runs.get_start_physical_index();
    let mut places = Vec::with_capacity(runs.len());
    for (run, end) in runs.run_ends().sliced_values().enumerate() {
        places.resize(end.as_usize(), Some(first + run));
    }
    Some((ArrayRef::clone(runs.values()), places))
}

/// Whether values that are referred to are taken one by one, each a piece.
pub fn has_parts(values: &DataType) -> bool {
    values.is_nested() || matches!(values, DataType::RunEndEncoded(_, _))
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
        return places.into_iter().enumerate().try_for_each(|(slot, place)| {
            let value = place.map_or_else(|| new_null_array(values.data_type(), 1), |place| values.slice(place, 1));
            let shown = if piece.is_shown(slot) { None } else { Some(NullBuffer::new_null(1)) };
            hydrate(Piece { array: value, shown }, hydrated)
        });
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

    use arrow::array::{DictionaryArray, Int8Array, Int64Array, LargeListArray, RunArray, StringArray};
    use arrow::datatypes::{Field, Int8Type};

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
}
