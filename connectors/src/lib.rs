//! Connectors: how one source is described, asked and read; and the statement generator.
//!
//! A site opens its sources here and hands their tables to DataFusion. By then a query is bound, decided and, if there is
//! a policy, rewritten: what arrives is plain expressions over a table's columns.
//!
//! ```text
//! registry    the one list: kind → connector; open, check
//! connector   the seam: Connector, Source, TableDescription, Table (a contract, read it first)
//! capability  what a source really does, as data
//! options     reads options key by key, so that every fault is named
//! error       what went wrong, by what the caller can do about it
//! read_scope  what all scans of one statement share
//! plain       plain types, which every client can read
//! fault       what a database server's errors mean
//! files/      Parquet, CSV and NDJSON in local directories, buckets and on HTTP servers
//! database/   what all SQL databases share: statements in, rows out
//! flight_sql/ tables of one schema of a foreign server that speaks Arrow Flight SQL
//! mysql/      tables of one database of a MySQL or MariaDB server
//! postgres/   tables of one schema of a PostgreSQL database
//! sqlite/     tables of a SQLite database file
//! pushdown    the seam for sources that evaluate: a whole subtree of a plan as one scan
//! statement/  plan → SQL for another server, and the proof that the text says what the plan says
//! sabotage    a control that tests switch off
//! waiting     which threads may wait for a disk
//! conformance the suite that every connector passes; it ships with the crate, so that others can run it
//! ```
//!
//! **Invariant:** this crate knows nothing about policy, subjects or purposes, and depends on no crate of ours.
//!
//! **Invariant:** a connector does what its [`Capability`] claims and nothing else; the conformance suite holds both.
//!
//! **Invariant:** a table is read as it was described, or not at all: the same columns and, where a source can pin its
//! content, the same version. No column filled with NULL because part of the data lacks it, no file outside a root.
//!
//! # Add a connector
//!
//! 1. Copy the rooms of the nearest one: `config` (options → checked types, every fault with its key), `schema`
//!    (description), `scan` (provider), `docs.md`.
//! 2. Declare its [`Capability`] `{ …, ..NONE }`: only what is true.
//! 3. Implement [`Connector`] and [`Source`]; map the driver's errors to [`ConnectorError`] in one place.
//! 4. Add one line to [`registry::connectors`].
//! 5. Implement `conformance::Place` over a real server or directory and call `conformance::run` from the tests crate.
//!
//! Untouched: the engine and policy.
//!
//! A SQL database is less: its `Database` (how it is reached, the rows of a statement), its catalogs as descriptions and
//! `StoredTable`s, a dialect in `statement/dialect` and its list in `statement/allow`. What scans, evaluates and gathers rows
//! is in `database`.

pub mod capability;
pub mod conformance;
pub mod connector;
mod database;
pub mod error;
mod fault;
pub mod files;
pub mod flight_sql;
pub mod mysql;
pub mod options;
pub mod plain;
pub mod postgres;
pub mod pushdown;
pub mod read_scope;
pub mod registry;
mod sabotage;
pub mod sqlite;
pub mod statement;
pub mod waiting;

pub use capability::{Capability, FilterPushdown};
pub use connector::{Connector, Source, Table, TableDescription};
pub use error::{ConnectorError, ErrorKind, OptionFault};
pub use read_scope::ReadScope;
