//! Policy: who may see what, in which form, for which purpose. The department that owns the data decides, at its site.
//!
//! The rooms, in the order in which a decision is made:
//!
//! ```text
//! subject     who asks: name, organisation, roles, attributes, purposes; given by the engine, never looked up here
//! resource    what policy speaks of: tables and schemas of a site
//! statement   policy statements as written, parsed from sqlparser's tokens into types of our own
//!   ├─ predicate  row filters: a total grammar, as written and typed
//!   └─ mask/      column masks, one file each: meaning, types, NULLs
//! set         statements → PolicySet, or every fault in them: nothing that is not understood takes effect
//! decide      (PolicySet, subject, purpose, table, time) → decision; pure, total, and "no" when anything goes wrong
//! decision    what was decided
//! pseudonym   the keys behind pseudonyms
//! view        decision → row filter and treated columns, as plain expressions
//! barrier     the logical node that keeps a treatment together
//! error       PolicyError
//! ```
//!
//! Who depends on it: the engine, which asks it for decisions and runs the physical half of the barrier. Connectors do
//! not know it: a mask that reaches a source is already a plain expression.
//!
//! **Invariant:** the decision is a function of its arguments. No clock, no socket, no file, no async here; what a
//! decision depends on is an argument, so it can be replayed from an audit record.
//!
//! **Invariant:** any error while reading policy, deciding or masking denies. There is no default that shows a value.
//!
//! **Invariant:** logical layer only. No physical plan, execution, or wire format is reachable from this crate; a test of
//! the dependency graph holds it.

mod civil;
pub mod aggregate;
pub mod assertion;
pub mod barrier;
pub mod decide;
pub mod decision;
pub mod diff;
pub mod effective;
pub mod error;
pub mod lineage;
pub mod list;
pub mod mask;
pub mod matrix;
pub mod meeting;
pub mod predicate;
pub mod pseudonym;
pub mod resource;
pub mod set;
pub mod statement;
pub mod subject;
pub mod time;
pub mod value;
pub mod view;
