//! The site's evidence: a chain of records, one before any data leaves and one after, and who may read them.
//!
//! - [`entry`]: what is recorded; [`record`]: how it is written and chained; [`template`]: a statement without literals.
//! - [`log`]: opened once, appended to by every statement; [`ending`]: the place that a record keeps for its completion;
//!   [`read`]: its records; [`key`]: the key of the hashes.
//! - [`verify`]: the first record that is not as it was written, found without believing anything.
//! - [`statements`] and [`tables`]: the log as `system.audit.queries` and `system.audit.disclosures`.
//! - `job`, `writer`, `disk`, `segments`, `recover`: what waits, one thread, its files, and what is found after a crash.
//!
//! **Invariant:** an append that succeeds is on the disk; whatever goes wrong before is an error, and nothing leaves.
//! **Invariant:** an intent that is on the disk is completed there, unless the site ends first, which its next start says.
//! **Invariant:** no literal of a query stands in a record. A change of policy stands there as its author wrote it,
//! literals of row filters and masks too: policy is no query, and an auditor has to read what was in force.

mod disk;
pub mod ending;
pub mod entry;
mod job;
pub mod key;
pub mod log;
pub mod read;
pub mod record;
mod recover;
mod segments;
pub mod statements;
pub mod tables;
pub mod template;
#[cfg(test)]
mod tests;
pub mod verify;
mod writer;

pub use ending::Ending;
pub use key::AuditKey;
pub use log::{AuditLog, AuditOptions};
pub use record::{Head, Record};

/// Where the log stands in a site's state directory.
pub const DIRECTORY: &str = "audit";
/// Where the key of its hashes stands there.
pub const KEY_FILE: &str = "audit.key";
