//! Benchmarks: micro ones in `benches/`, macro ones in `src/bin/`, kept runs in `runs/`. Where each goal stands: `README.md`.
//!
//! ```text
//! benches/statement       writing a fragment as a statement, and proving it
//! benches/policy          one statement over 20 tables under 500 policies: deciding, treating, planning
//! benches/mask            values a second of pseudonyms, and of masks beside them
//! src/bin/chancery_bench  TPC-H in several layouts, beside one DataFusion process, DuckDB and Trino; over a long way too
//!   ├─ layout     how the tables lie over sites, and the statements with the names that they have there
//!   ├─ party      who answers, and what an answer took; process: CPU and memory
//!   ├─ peer       DuckDB and Trino, over attached servers; worker: a process that is asked a statement a line
//!   ├─ servers    PostgreSQL servers that hold a layout's tables
//!   ├─ link       a network namespace behind a link with delay, rate and queue
//!   └─ report     the tables, and every measurement
//! src/bin/chancery_relay  small and large queries and first batches, beside a bare Flight relay
//!   └─ bare       that relay, and the site behind it
//! src/bin/policy_cost     TPC-H over three sites with and without policy, by turns in one run
//! src/bin/postgres_scan   reading a table of PostgreSQL, beside a discarded COPY and DuckDB's scanner
//! run                     where a run was measured, what it took, its file
//! runs/                   raw results that a claim rests on, each with command, commit and machine
//! ```
//!
//! **Invariant:** nothing here is a test: a time is shown beside what it is compared with, and gates nothing.

pub mod bare;
pub mod layout;
pub mod link;
pub mod party;
pub mod peer;
pub mod process;
pub mod report;
pub mod run;
pub mod servers;
pub mod worker;

/// That of the `chancery` binary, for whatever it is measured beside: no difference is the allocator's.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;
