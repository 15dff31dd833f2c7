//! DataFusion's own `.slt` files asked of a federation: what each record expects is what DataFusion's authors wrote down.
//!
//! ```text
//! source   the files, of the crate that has them, and their records
//! stage    a file in one process: its tables as they are where a query names them, and the query with the federation's names
//! names    those names
//! judged   whether an answer is what a record expects
//! shown    an answer as the files show it
//! opinion  what one process says where it is not
//! report   the share of the records that pass, by file, and why the others do not
//! ```
//!
//! `tests/slt/README.md` says which records are asked, and explains those that fail.

pub mod judged;
pub mod names;
pub mod opinion;
pub mod report;
pub mod shown;
pub mod source;
pub mod stage;
