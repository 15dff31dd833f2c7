//! From the server's binary rows to Arrow, value by value into builders.
//!
//! ```text
//! values    one value as the driver has it → the builder of the column's Arrow type
//! digits    a decimal in words → 128 bits, exactly
//! wire      which of the server's types decodes as which Arrow type, so that a statement's types can be checked
//! ```

mod digits;
mod values;
mod wire;

pub(super) use values::{append, size};
pub(super) use wire::{is_sent_as, wire_name};
