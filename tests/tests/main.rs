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
mod policy_matrix;
mod purpose;
mod random;
mod shell;
mod statement;
mod stores;
mod twin_worlds;
