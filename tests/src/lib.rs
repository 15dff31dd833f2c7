//! The harness: what every test that drives Chancery from outside stands on. Read top to bottom, then open one file.
//!
//! ```text
//! dataset   tables of several sites as Parquet files, and the same tables in one DataFusion process
//!   ├─ tpch       TPC-H at any scale, layout V3: sites sales, logistics, supply
//!   ├─ plain      one of them in types that every kind of source keeps
//!   └─ edge       small nasty tables at sites north, south, east: NULLs, odd names, time zones, NaN, regional tables
//! statements  statements kept as text: tests/queries/tpch and tests/corpus, with what each promises about order
//! oracle      answers compared: exact but for floats, as multisets unless the order is total; a readable difference
//!   └─ value      one value of an answer, free of how Arrow lays it out
//! compared  kept statements over a federation and over one process
//! collector   OpenTelemetry's, for the spans that nodes send
//! watch       how long a node takes to tell its health, whatever else is asked of it
//! tripwire    a file that nobody may open, an address where nobody may connect
//! environment how much of it: what CI takes, unless a longer run asks for more
//! policy      what leaves under policy: fixture F0 and its twin, everything captured, canaries looked for in it
//! namespace   servers beyond a link, in a network namespace of their own
//! postgres    a server of a test's own, with TLS and a log of every statement; it may hold a data set's tables
//! mariadb     another one
//! sqlite      a database file of a test's own
//! source      a source's tables in a session of this process
//! layout      federations of which each site keeps its tables in another of these
//! round_trip  values of every type of a database, there and back
//! roapi       a foreign Flight SQL server of a test's own; flight_proxy: what may stand before one
//! oidc        a real OpenID Connect issuer of a test's own
//! store       servers of files of a test's own, S3 and WebDAV: every request noted, faults on demand
//! tokens      keys that sign tokens of issuers, whatever these say
//! random      generated schemas, data and statements: federated against local, seeds printed, failures shrunk
//! slt         DataFusion's own .slt files, made ready for a federation
//! hostile     statements that want to end or freeze a node, made from a seed
//! twins       pairs of sites that differ only in what an asker may not see: every byte that leaves is compared
//! ```
//!
//! **Invariant:** an expected answer comes from one DataFusion process over all the data, or from DuckDB: never from Chancery.
//!
//! **Invariant:** no data set is edited in place: it is written under a new name and renamed, so tests may run side by side.

pub mod cluster;
pub mod collector;
pub mod compared;
pub mod dataset;
pub mod edge;
pub mod environment;
pub mod flight_proxy;
pub mod hostile;
pub mod layout;
pub mod mariadb;
pub mod namespace;
pub mod oidc;
pub mod oracle;
pub mod plain;
pub mod policy;
pub mod postgres;
pub mod random;
pub mod roapi;
pub mod round_trip;
pub mod slt;
pub mod source;
pub mod sqlite;
pub mod statements;
pub mod store;
pub mod tokens;
pub mod tpch;
pub mod tripwire;
pub mod twins;
pub mod value;
pub mod watch;
