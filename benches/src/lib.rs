//! Benchmarks: micro ones in `benches/`, kept runs in `runs/`.
//!
//! ```text
//! benches/statement  writing a fragment as a statement, and proving it
//! runs/              raw results that a claim rests on, each with command, commit and machine
//! ```
//!
//! **Invariant:** nothing here is a test: a time is shown beside what it is compared with, and gates nothing.
