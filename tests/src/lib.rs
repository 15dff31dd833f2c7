//! The harness: what every test that drives Chancery from outside stands on. Read top to bottom, then open one file.
//!
//! ```text
//! dataset   tables of several sites as Parquet files, and the same tables in one DataFusion process
//!   ├─ tpch       TPC-H at any scale, layout V3: sites sales, logistics, supply
//!   └─ edge       small nasty tables at sites north, south, east: NULLs, odd names, time zones, NaN, regional tables
//! statements  statements kept as text: tests/queries/tpch and tests/corpus, with what each promises about order
//! oracle      answers compared: exact but for floats, as multisets unless the order is total; a readable difference
//!   └─ value      one value of an answer, free of how Arrow lays it out
//! environment how much of it: what CI takes, unless a longer run asks for more
//! policy      what leaves under policy: fixture F0 and its twin, everything captured, canaries looked for in it
//! namespace   servers beyond a link, in a network namespace of their own
//! postgres    a server of a test's own, with TLS and a log of every statement; it may hold a data set's tables
//! roapi       a foreign Flight SQL server of a test's own; flight_proxy: what may stand before one
//! random      generated schemas, data and statements: federated against local, seeds printed, failures shrunk
//! twins       pairs of sites that differ only in what an asker may not see: every byte that leaves is compared
//! ```
//!
//! **Invariant:** an expected answer comes from one DataFusion process over all the data, or from DuckDB: never from Chancery.
//!
//! **Invariant:** no data set is edited in place: it is written under a new name and renamed, so tests may run side by side.

pub mod cluster;
pub mod dataset;
pub mod edge;
pub mod environment;
pub mod flight_proxy;
pub mod namespace;
pub mod oracle;
pub mod policy;
pub mod postgres;
pub mod random;
pub mod roapi;
pub mod statements;
pub mod tpch;
pub mod twins;
pub mod value;
