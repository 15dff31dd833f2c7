//! From the server's binary forms to Arrow: rows of a `COPY … (FORMAT binary)`, value by value into builders.
//!
//! ```text
//! frame     bytes as they come → whole rows → fields        a stream cut short is noticed here
//! values    each value by its column's Arrow type alone     ┐ what has no exact form in Arrow is a Misfit
//! numeric   digits in base 10,000 → 128-bit decimals        ┘
//! wire      which type of the server's decodes as which Arrow type
//! ```
//!
//! The forms are those of the server's `…_send` functions (src/backend/utils/adt), which are the same in every version.

mod frame;
mod numeric;
mod values;
mod wire;

use crate::database::batch::{Appended, BatchBuilder};
use crate::error::ConnectorError;

pub(super) use frame::Frames;
pub(super) use wire::{is_sent_as, wire_name};

/// Adds a row of [`Frames`] to a batch.
///
/// # Errors
/// The first value that has no exact form, by table, column and type.
pub(super) fn append_row(batch: &mut BatchBuilder, row: &[u8]) -> Result<(), ConnectorError> {
    let mut fields = frame::Fields(row);
    batch.append(row.len(), |_, values| match fields.next()? {
        Some(sent) => values::append(values, sent).map(|()| Appended::Value),
        None => Ok(Appended::Null),
    })
}
