//! Policy: who may see what, in which form, for which purpose. The department that owns the data decides, at its site.
//!
//! This crate is a place and a contract: its rooms come with the issue on policy, and until then a site serves its
//! tables as they are.
//!
//! The rooms, in the order in which a decision is made:
//!
//! ```text
//! subject     who asks: identity, roles, attributes, purpose, mode; given by the engine, never looked up here
//! statement   policy statements as written (sqlparser's syntax tree lowered to our own, typed one)
//! check       statements → PolicySet, or every fault in them: nothing that is not understood takes effect
//! decide      (PolicySet, subject, table) → decision; pure, total, and "no" when anything goes wrong
//! mask/       column masks, one file each: meaning, types, NULLs, whether it can fail
//! view        decision → row filter and treated columns, as plain expressions
//! barrier     the logical node that keeps a treatment together, and the list of what may cross it
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
