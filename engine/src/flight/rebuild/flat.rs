//! Columns without children: the bytes of shown slots, copied run by run.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayData, ArrayRef, AsArray, BooleanArray, BooleanBufferBuilder};
use arrow::array::{GenericByteArray, GenericByteViewArray, OffsetSizeTrait, make_array};
use arrow::buffer::{MutableBuffer, NullBuffer, OffsetBuffer};
use arrow::datatypes::{ArrowNativeType, ByteArrayType, ByteViewType, DataType};
use arrow::error::ArrowError;

use super::{Piece, rows};

pub(super) fn booleans(pieces: &[Piece], nulls: Option<NullBuffer>) -> ArrayRef {
    let mut bits = BooleanBufferBuilder::new(rows(pieces));
    for piece in pieces {
        let values = piece.array.as_boolean().values();
        match &piece.shown {
            None => bits.append_buffer(values),
            Some(shown) => bits.append_buffer(&(values & shown.inner())),
        }
    }
    Arc::new(BooleanArray::new(bits.build(), nulls))
}

/// Values of one width each.
pub(super) fn fixed(pieces: &[Piece], data_type: &DataType, nulls: Option<NullBuffer>) -> Result<ArrayRef, ArrowError> {
    let width = width(data_type)?;
    let mut values = MutableBuffer::with_capacity(rows(pieces) * width);
    for piece in pieces {
        let from = piece.array.to_data();
        let bytes = from.buffers().first().map_or(&[][..], |buffer| buffer.as_slice());
        let (skipped, start) = (from.offset() * width, values.len());
        for run in piece.runs() {
            values.resize(start + run.start * width, 0);
            values.extend_from_slice(part(bytes, skipped + run.start * width..skipped + run.end * width)?);
        }
        values.resize(start + from.len() * width, 0);
    }
    let data = ArrayData::builder(data_type.clone()).len(rows(pieces)).add_buffer(values.into()).nulls(nulls);
    Ok(make_array(data.build()?))
}

fn width(data_type: &DataType) -> Result<usize, ArrowError> {
    let width = match data_type {
        DataType::FixedSizeBinary(width) => usize::try_from(*width).ok(),
        primitive => primitive.primitive_width(),
    };
    width.ok_or_else(|| ArrowError::NotYetImplemented(format!("columns of the type {data_type} cannot leave")))
}

/// Texts and byte strings, from plain arrays or from views.
pub(super) fn bytes<T: ByteArrayType, V: ByteViewType>(
    pieces: &[Piece],
    nulls: Option<NullBuffer>,
) -> Result<ArrayRef, ArrowError> {
    let mut ends = Ends::new(rows(pieces));
    for piece in pieces {
        match piece.array.as_bytes_opt::<T>() {
            Some(plain) => ends.push(piece, plain.offsets().lengths()),
            None => ends.push(piece, piece.array.as_byte_view::<V>().lengths().map(ArrowNativeType::as_usize)),
        }
    }
    let mut values = MutableBuffer::with_capacity(ends.last);
    for piece in pieces {
        match piece.array.as_bytes_opt::<T>() {
            Some(plain) => copy_plain(piece, plain, &mut values)?,
            None => copy_views(piece, piece.array.as_byte_view::<V>(), &mut values),
        }
    }
    Ok(Arc::new(GenericByteArray::<T>::try_new(ends.offsets()?, values.into(), nulls)?))
}

fn copy_plain<T: ByteArrayType>(
    piece: &Piece,
    plain: &GenericByteArray<T>,
    values: &mut MutableBuffer,
) -> Result<(), ArrowError> {
    for run in piece.runs() {
        values.extend_from_slice(part(plain.value_data(), stretch(plain.value_offsets(), run)?)?);
    }
    Ok(())
}

fn copy_views<V: ByteViewType>(piece: &Piece, views: &GenericByteViewArray<V>, values: &mut MutableBuffer) {
    for slot in piece.runs().flatten() {
        let value: &[u8] = views.value(slot).as_ref();
        values.extend_from_slice(value);
    }
}

/// The elements of a run of slots, which follow one another.
pub(super) fn stretch<O: OffsetSizeTrait>(offsets: &[O], run: Range<usize>) -> Result<Range<usize>, ArrowError> {
    match (offsets.get(run.start), offsets.get(run.end)) {
        (Some(start), Some(end)) => Ok(start.as_usize()..end.as_usize()),
        _ => Err(outside()),
    }
}

fn part(bytes: &[u8], range: Range<usize>) -> Result<&[u8], ArrowError> {
    bytes.get(range).ok_or_else(outside)
}

fn outside() -> ArrowError {
    ArrowError::InvalidArgumentError("an array refers to what lies outside its buffers".to_string())
}

/// Where the elements of each slot end, hidden slots having none.
pub(super) struct Ends<O> {
    offsets: Vec<O>,
    last: usize,
}

impl<O: OffsetSizeTrait> Ends<O> {
    pub(super) fn new(slots: usize) -> Self {
        let mut offsets = Vec::with_capacity(slots + 1);
        offsets.push(O::zero());
        Self { offsets, last: 0 }
    }

    pub(super) fn push(&mut self, piece: &Piece, lengths: impl Iterator<Item = usize>) {
        for (slot, length) in lengths.enumerate() {
            if piece.is_shown(slot) {
                self.last += length;
            }
            self.offsets.push(O::usize_as(self.last));
        }
    }

    pub(super) fn offsets(self) -> Result<OffsetBuffer<O>, ArrowError> {
        match O::from_usize(self.last) {
            Some(_) => Ok(OffsetBuffer::new(self.offsets.into())),
            None => Err(ArrowError::OffsetOverflowError(self.last)),
        }
    }
}
