//! The engine of Chancery: coordinator, site, and the wire between them.
//!
//! A statement's path, in the order of the modules:
//!
//! ```text
//! flight (in) → session → catalog → plan → exec → flight (out)
//!                                      └── peer ──► a site: flight (in) → session → site → flight (out)
//! ```
//!
//! - [`flight`]: the door, Flight SQL for clients and for coordinators alike.
//! - [`session`]: what one statement runs in: class, identity, settings, its record and ledger.
//! - [`catalog`]: names → tables; what the coordinator knows of each site (snapshots), regional and system tables.
//! - [`plan`]: logical plan → fragments (one site each) + what is left for the coordinator.
//! - [`exec`]: the physical operators of our own.
//! - [`key_set`]: values of one site that reduce what another one sends.
//! - [`peer`]: the coordinator's side of the connection to a site, byte by byte.
//! - [`coordinator`] and [`site`]: the two kinds of node, each a [`flight::door::Door`].
//! - [`identity`], [`config`]: who asks; what an operator wrote.
//! - [`audit`]: what left, for whom and why, chained so that nobody can change it unseen.
//! - [`operations`]: what an operator is told of a running node; [`node`]: the node itself, from its door to its end.
//! - [`state`]: what a node keeps on its disk: its format, a copy, the way back.
//! - [`sabotage`]: controls that tests switch off.
//! - [`command`], [`shell`]: the subcommands of the `chancery` binary.
//!
//! **Invariant:** the coordinator opens no file and no database of anyone; every row comes from a site's door.
//! **Invariant:** nothing is sent to a site that the statement check has not proven equal to the planned fragment.
//! **Invariant:** no value of one site is sent to another but as a key set, and those by leave alone (`plan/key_sets/leave.rs`).
//! **Invariant:** a site's stream without its trailer is an error, never an answer.

pub mod audit;
pub mod catalog;
pub mod command;
pub mod config;
pub mod coordinator;
pub mod error;
pub mod exec;
pub mod flight;
pub mod identity;
pub mod key_set;
pub mod node;
pub mod operations;
pub mod peer;
pub mod plan;
pub mod sabotage;
pub mod session;
pub mod shell;
pub mod site;
pub mod state;
