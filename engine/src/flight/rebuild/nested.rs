//! Columns with children: of the children, what shown slots refer to.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, FixedSizeListArray, GenericListArray, GenericListViewArray, MapArray};
use arrow::array::{OffsetSizeTrait, StructArray, UnionArray};
use arrow::buffer::{BooleanBuffer, NullBuffer};
use arrow::datatypes::{ArrowNativeType, DataType, FieldRef, Fields, UnionFields, UnionMode};
use arrow::error::ArrowError;

use super::flat::{Ends, stretch};
use super::stretches::{Stretch, cut};
use super::{Piece, gather, rows};

/// Lists, from plain ones or from views, of offsets of either size.
pub(super) fn list<O: OffsetSizeTrait>(
    pieces: &[Piece],
    item: &FieldRef,
    nulls: Option<NullBuffer>,
) -> Result<ArrayRef, ArrowError> {
    let mut ends = Ends::<O>::new(rows(pieces));
    let mut items = Vec::new();
    for piece in pieces {
        match piece.array.data_type() {
            DataType::List(_) => of_plain(piece, piece.array.as_list::<i32>(), &mut ends, &mut items)?,
            DataType::LargeList(_) => of_plain(piece, piece.array.as_list::<i64>(), &mut ends, &mut items)?,
            DataType::ListView(_) => of_views(piece, piece.array.as_list_view::<i32>(), &mut ends, &mut items),
            _ => of_views(piece, piece.array.as_list_view::<i64>(), &mut ends, &mut items),
        }
    }
    let values = gather(items, item)?;
    Ok(Arc::new(GenericListArray::try_new(Arc::clone(item), ends.offsets()?, values, nulls)?))
}

fn of_plain<I: OffsetSizeTrait, O: OffsetSizeTrait>(
    piece: &Piece,
    list: &GenericListArray<I>,
    ends: &mut Ends<O>,
    items: &mut Vec<Piece>,
) -> Result<(), ArrowError> {
    ends.push(piece, list.offsets().lengths());
    for run in piece.runs() {
        items.extend(elements(list.values(), stretch(list.value_offsets(), run)?));
    }
    Ok(())
}

fn of_views<I: OffsetSizeTrait, O: OffsetSizeTrait>(
    piece: &Piece,
    views: &GenericListViewArray<I>,
    ends: &mut Ends<O>,
    items: &mut Vec<Piece>,
) {
    ends.push(piece, views.sizes().iter().map(|size| size.as_usize()));
    let ranges = views.offsets().iter().zip(views.sizes().iter());
    let ranges = ranges.map(|(offset, size)| offset.as_usize()..offset.as_usize() + size.as_usize());
    let shown = ranges.enumerate().filter(|(slot, range)| piece.is_shown(*slot) && !range.is_empty());
    items.extend(cut(views.values(), shown.map(|(_, range)| Stretch::shown(range))));
}

fn elements(values: &ArrayRef, range: Range<usize>) -> Option<Piece> {
    (!range.is_empty()).then(|| Piece { array: values.slice(range.start, range.len()), shown: None })
}

pub(super) fn map(
    pieces: &[Piece],
    field: &FieldRef,
    sorted: bool,
    nulls: Option<NullBuffer>,
) -> Result<ArrayRef, ArrowError> {
    let mut ends = Ends::<i32>::new(rows(pieces));
    let mut entries = Vec::new();
    for piece in pieces {
        let map = piece.array.as_map();
        let values: ArrayRef = Arc::new(map.entries().clone());
        ends.push(piece, map.offsets().lengths());
        for run in piece.runs() {
            entries.extend(elements(&values, stretch(map.value_offsets(), run)?));
        }
    }
    let entries = gather(entries, field)?.as_struct().clone();
    Ok(Arc::new(MapArray::try_new(Arc::clone(field), ends.offsets()?, entries, nulls, sorted)?))
}

pub(super) fn fixed_size_list(
    pieces: &[Piece],
    item: &FieldRef,
    size: i32,
    nulls: Option<NullBuffer>,
) -> Result<ArrayRef, ArrowError> {
    let items = pieces.iter().map(|piece| Piece {
        array: Arc::clone(piece.array.as_fixed_size_list().values()),
        shown: piece.shown.as_ref().map(|shown| shown.expand(size.as_usize())),
    });
    let values = gather(items.collect(), item)?;
    Ok(Arc::new(FixedSizeListArray::try_new_with_length(Arc::clone(item), size, values, nulls, rows(pieces))?))
}

pub(super) fn structs(pieces: &[Piece], fields: &Fields, nulls: Option<NullBuffer>) -> Result<ArrayRef, ArrowError> {
    let column = |index: usize| {
        move |piece: &Piece| Piece {
            array: Arc::clone(piece.array.as_struct().column(index)),
            shown: piece.shown.clone(),
        }
    };
    let columns = fields.iter().enumerate();
    let columns = columns.map(|(index, field)| gather(pieces.iter().map(column(index)).collect(), field));
    let columns = columns.collect::<Result<Vec<_>, _>>()?;
    Ok(Arc::new(StructArray::try_new_with_length(fields.clone(), columns, nulls, rows(pieces))?))
}

/// A hidden slot becomes one of the first type.
pub(super) fn union(pieces: &[Piece], fields: &UnionFields, mode: UnionMode) -> Result<ArrayRef, ArrowError> {
    let first = fields.iter().next().map_or(0, |(id, _)| id);
    let ids_of = |piece: &Piece| -> Vec<i8> {
        let ids = piece.array.as_union().type_ids().iter().enumerate();
        ids.map(|(slot, id)| if piece.is_shown(slot) { *id } else { first }).collect()
    };
    let ids: Vec<Vec<i8>> = pieces.iter().map(ids_of).collect();
    let children = fields.iter().map(|(id, field)| {
        let child = |(piece, ids): (&Piece, &Vec<i8>)| match mode {
            UnionMode::Sparse => vec![sparse_child(piece, ids, id)],
            UnionMode::Dense => dense_children(piece, ids, id),
        };
        gather(pieces.iter().zip(&ids).flat_map(child).collect(), field)
    });
    let children = children.collect::<Result<Vec<_>, _>>()?;
    let ids = ids.concat();
    let offsets = (mode == UnionMode::Dense).then(|| dense_offsets(&ids, fields).into());
    Ok(Arc::new(UnionArray::try_new(fields.clone(), ids.into(), offsets, children)?))
}

/// As long as the union; only slots of this type are shown.
fn sparse_child(piece: &Piece, ids: &[i8], id: i8) -> Piece {
    let own: BooleanBuffer = ids.iter().map(|other| *other == id).collect();
    Piece {
        array: Arc::clone(piece.array.as_union().child(id)),
        shown: NullBuffer::union(Some(&NullBuffer::new(own)), piece.shown.as_ref()),
    }
}

/// The values of this type in the union's order, a NULL for each slot of it that is hidden.
fn dense_children(piece: &Piece, ids: &[i8], id: i8) -> Vec<Piece> {
    let union = piece.array.as_union();
    let offsets = union.offsets().into_iter().flatten().zip(ids).enumerate();
    let own = offsets.filter(|(_, (_, other))| **other == id);
    let stretches = own.map(|(slot, (offset, _))| match piece.is_shown(slot) {
        true => Stretch::at(Some(offset.as_usize())),
        false => Stretch { values: None, is_shown: false },
    });
    cut(union.child(id), stretches).collect()
}

fn dense_offsets(ids: &[i8], fields: &UnionFields) -> Vec<i32> {
    let mut next: Vec<(i8, i32)> = fields.iter().map(|(id, _)| (id, 0)).collect();
    let mut offset_of = |id: i8| {
        let counter = next.iter_mut().find(|(other, _)| *other == id).map(|(_, counter)| counter);
        counter.map_or(0, |counter| std::mem::replace(counter, *counter + 1))
    };
    ids.iter().map(|id| offset_of(*id)).collect()
}
