//! From the server's binary forms to Arrow: rows of a `COPY … (FORMAT binary)`, value by value into builders.
//!
//! ```text
//! frame     bytes as they come → whole rows → fields        a stream cut short is noticed here
//! values    one builder a column, by its Arrow type alone   ┐ what has no exact form in Arrow is a Misfit
//! numeric   digits in base 10,000 → 128-bit decimals        ┘
//! batch     rows until a batch is full; a Misfit gets its table, column and type
//! ```
//!
//! The forms are those of the server's `…_send` functions (src/backend/utils/adt), which are the same in every version.

mod batch;
mod frame;
mod misfit;
mod numeric;
mod values;
mod wire;

pub(super) use batch::BatchBuilder;
pub(super) use frame::Frames;
pub(super) use wire::{is_sent_as, wire_name};
