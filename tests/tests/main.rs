//! Every test that drives Chancery from outside, in one binary: one module a subject.

mod attacks;
mod borders;
mod cli;
mod conformance;
mod corpus_local;
mod dataset;
mod dependencies;
mod door;
mod failures;
mod federation;
mod governed;
mod holding;
mod key_sets;
mod late_columns;
mod node_as_source;
mod operations;
mod policy_matrix;
mod purpose;
mod random;
mod shell;
mod soak;
mod sqlite;
mod standard_sql;
mod statement;
mod stores;
mod twin_worlds;

use harness::cluster::Kept;

/// Where the sites keep their tables, in the tests that the other binary has too.
const KEPT: Kept = Kept::AsFiles;
