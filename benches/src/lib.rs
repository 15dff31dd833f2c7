//! Benchmarks: micro ones in `benches/`, kept runs in `runs/`.
//!
//! ```text
//! benches/statement      writing a fragment as a statement, and proving it
//! benches/policy         one statement over 20 tables under 500 policies: deciding, treating, planning
//! benches/mask           values a second of pseudonyms, and of masks beside them
//! src/bin/policy_cost    TPC-H over three sites with and without policy, by turns in one run
//! src/bin/postgres_scan  reading a table of PostgreSQL, beside a discarded COPY and DuckDB's scanner
//! run                    where a run was measured, what it took, its file
//! runs/                  raw results that a claim rests on, each with command, commit and machine
//! ```
//!
//! **Invariant:** nothing here is a test: a time is shown beside what it is compared with, and gates nothing.

pub mod run;
