//! What leaves a door is built anew: of all the bytes that a query held, only the values that its answer shows.
//!
//! A right filter still holds what it filtered out: under nulls, outside slices, in the buffers that views, dictionaries
//! and run-ends share. A client that reads raw frames would read it, and the sizes of frames would tell of it.

mod flat;
mod hydrate;
mod nested;
mod stretches;
#[cfg(test)]
mod worlds;

use std::ops::Range;

use arrow::array::{Array, ArrayData, ArrayRef, BooleanBufferBuilder, NullArray};
use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::buffer::NullBuffer;
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{BinaryType, LargeBinaryType, LargeUtf8Type, Utf8Type};
use arrow::datatypes::{BinaryViewType, DataType, Field, FieldRef, SchemaRef, StringViewType};
use arrow::error::ArrowError;
use arrow::util::display::FormatOptions;

pub use hydrate::{Places, has_parts, referred};
pub use stretches::{Stretch, joined};

/// A value that does not fit is an error, not a NULL.
const EXACT: CastOptions<'static> = CastOptions { safe: false, format_options: FormatOptions::new() };

/// The rows of `batches`, one after the other, in one batch of `schema`, whose buffers hold the values that it shows and nothing
/// else.
///
/// Two inputs that show the same values give the same bytes: hidden slots are zero or empty, elements that no shown row
/// refers to are gone, offsets start at 0, and buffers are as long and as large as their values need. Views, dictionaries
/// and run-ends are made plain where `schema` has plain types; another difference of types is cast, after hidden slots are
/// blank, so that no error depends on them. Names and metadata are those of `schema`.
///
/// # Errors
/// A column that is missing, cannot be cast, has a NULL where `schema` allows none, or holds more than its offsets count.
pub fn rebuild(batches: &[RecordBatch], schema: &SchemaRef) -> Result<RecordBatch, ArrowError> {
    let columns = schema.fields().iter().enumerate().map(|(index, field)| column(batches, index, field));
    let columns = columns.collect::<Result<Vec<_>, _>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(batches.iter().map(RecordBatch::num_rows).sum()));
    let rebuilt = RecordBatch::try_new_with_options(SchemaRef::clone(schema), columns, &options)?;
    debug_assert!(
        rebuilt.columns().iter().all(|column| is_exact(&column.to_data())),
        "a buffer holds more than it shows"
    );
    Ok(rebuilt)
}

fn column(batches: &[RecordBatch], index: usize, field: &FieldRef) -> Result<ArrayRef, ArrowError> {
    let whole = |batch: &RecordBatch| match batch.columns().get(index) {
        Some(array) => Ok(Piece { array: ArrayRef::clone(array), shown: None }),
        None => Err(ArrowError::SchemaError(format!("a batch has no column {index}"))),
    };
    gather(batches.iter().map(whole).collect::<Result<_, _>>()?, field)
}

/// A stretch of a column, and which of its slots are shown; without a buffer all are.
#[derive(Debug)]
struct Piece {
    array: ArrayRef,
    shown: Option<NullBuffer>,
}

impl Piece {
    fn is_shown(&self, slot: usize) -> bool {
        self.shown.as_ref().is_none_or(|shown| shown.is_valid(slot))
    }

    /// Whether its array is already the one that would be built, as what comes from another door is: no slot is hidden, and the
    /// buffers are as long as the values. Of bits some more may lie in the last byte; those are built.
    fn is_built(&self, data_type: &DataType) -> bool {
        let is_plain = data_type.primitive_width().is_some()
            || matches!(data_type, DataType::Utf8 | DataType::LargeUtf8 | DataType::Binary | DataType::LargeBinary);
        let is_all_shown = self.shown.is_none() && self.array.nulls().is_none();
        is_plain && is_all_shown && self.array.data_type() == data_type && is_exact(&self.array.to_data())
    }

    /// The runs of shown slots, in order.
    fn runs(&self) -> Box<dyn Iterator<Item = Range<usize>> + '_> {
        match &self.shown {
            None => Box::new(std::iter::once(0..self.array.len())),
            Some(shown) => Box::new(shown.valid_slices().map(|(start, end)| start..end)),
        }
    }

    fn hidden(&self) -> usize {
        self.shown.as_ref().map_or(0, NullBuffer::null_count)
    }

    /// The same with its own nulls hidden too.
    fn without_nulls(self) -> Self {
        let shown = NullBuffer::union(self.array.nulls(), self.shown.as_ref());
        Self { shown: shown.filter(|shown| shown.null_count() > 0), array: self.array }
    }
}

/// One array of the field's type from the shown slots of `pieces`.
fn gather(pieces: Vec<Piece>, field: &Field) -> Result<ArrayRef, ArrowError> {
    if let [piece] = pieces.as_slice()
        && piece.is_built(field.data_type())
    {
        return Ok(ArrayRef::clone(&piece.array));
    }
    let pieces = hydrate::hydrated(pieces)?;
    if let Some(other) = pieces.iter().find(|piece| !builds(piece.array.data_type(), field.data_type())) {
        // INVARIANT: a cast sees only what is shown.
        let own = Field::new(field.name(), built_type(other.array.data_type()), field.is_nullable());
        return cast(&gather(pieces, &own)?, field.data_type());
    }
    let hidden_above: usize = pieces.iter().map(Piece::hidden).sum();
    let pieces: Vec<Piece> = pieces.into_iter().map(Piece::without_nulls).collect();
    let hidden: usize = pieces.iter().map(Piece::hidden).sum();
    // Where only rows above are NULL, a field without NULLs keeps zeros, and needs no validity.
    let nulls = if hidden == 0 || (hidden == hidden_above && !field.is_nullable()) { None } else { validity(&pieces) };
    build(&pieces, field.data_type(), nulls)
}

/// A moment loses its zone as the moment that it is, in UTC, and not as what a clock showed there.
fn cast(array: &ArrayRef, to: &DataType) -> Result<ArrayRef, ArrowError> {
    match (array.data_type(), to) {
        (DataType::Timestamp(unit, Some(_)), DataType::Timestamp(_, None)) => {
            let in_utc = cast_with_options(array, &DataType::Timestamp(*unit, Some("+00:00".into())), &EXACT)?;
            cast_with_options(&in_utc, to, &EXACT)
        }
        _ => cast_with_options(array, to, &EXACT),
    }
}

fn build(pieces: &[Piece], data_type: &DataType, nulls: Option<NullBuffer>) -> Result<ArrayRef, ArrowError> {
    match data_type {
        DataType::Null => Ok(ArrayRef::from(Box::new(NullArray::new(rows(pieces))) as Box<dyn Array>)),
        DataType::Boolean => Ok(flat::booleans(pieces, nulls)),
        DataType::Utf8 => flat::bytes::<Utf8Type, StringViewType>(pieces, nulls),
        DataType::LargeUtf8 => flat::bytes::<LargeUtf8Type, StringViewType>(pieces, nulls),
        DataType::Binary => flat::bytes::<BinaryType, BinaryViewType>(pieces, nulls),
        DataType::LargeBinary => flat::bytes::<LargeBinaryType, BinaryViewType>(pieces, nulls),
        DataType::List(item) => nested::list::<i32>(pieces, item, nulls),
        DataType::LargeList(item) => nested::list::<i64>(pieces, item, nulls),
        DataType::FixedSizeList(item, size) => nested::fixed_size_list(pieces, item, *size, nulls),
        DataType::Struct(fields) => nested::structs(pieces, fields, nulls),
        DataType::Map(entries, sorted) => nested::map(pieces, entries, *sorted, nulls),
        DataType::Union(fields, mode) => nested::union(pieces, fields, *mode),
        fixed => flat::fixed(pieces, fixed, nulls),
    }
}

/// Whether an array of the type `to` is built from pieces of the type `from`, their children aside.
fn builds(from: &DataType, to: &DataType) -> bool {
    match (&built_type(from), to) {
        (DataType::List(_) | DataType::LargeList(_), DataType::List(_) | DataType::LargeList(_))
        | (DataType::Map(_, _), DataType::Map(_, _)) => true,
        (DataType::FixedSizeList(_, from), DataType::FixedSizeList(_, to)) => from == to,
        (DataType::Struct(from), DataType::Struct(to)) => from.len() == to.len(),
        (DataType::Union(from, from_mode), DataType::Union(to, to_mode)) => {
            from_mode == to_mode && from.iter().map(|(id, _)| id).eq(to.iter().map(|(id, _)| id))
        }
        (from, to) => from == to,
    }
}

/// The type that an array of this type is built in, its children aside: views have their own bytes elsewhere.
fn built_type(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Utf8View => DataType::Utf8,
        DataType::BinaryView => DataType::Binary,
        DataType::ListView(item) => DataType::List(FieldRef::clone(item)),
        DataType::LargeListView(item) => DataType::LargeList(FieldRef::clone(item)),
        plain => plain.clone(),
    }
}

fn rows(pieces: &[Piece]) -> usize {
    pieces.iter().map(|piece| piece.array.len()).sum()
}

fn validity(pieces: &[Piece]) -> Option<NullBuffer> {
    let mut bits = BooleanBufferBuilder::new(rows(pieces));
    for piece in pieces {
        match &piece.shown {
            None => bits.append_n(piece.array.len(), true),
            Some(shown) => bits.append_buffer(shown.inner()),
        }
    }
    Some(NullBuffer::new(bits.build()))
}

/// Whether the buffers hold what the array refers to and nothing else.
fn is_exact(data: &ArrayData) -> bool {
    data.offset() == 0 && data.get_slice_memory_size().is_ok_and(|referenced| referenced == held_bytes(data))
}

fn held_bytes(data: &ArrayData) -> usize {
    let own: usize = data.buffers().iter().map(|buffer| buffer.len()).sum();
    let validity = data.nulls().map_or(0, |nulls| nulls.buffer().len());
    own + validity + data.child_data().iter().map(held_bytes).sum::<usize>()
}
