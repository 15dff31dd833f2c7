//! Deciding: what each rule does on a small site, and all of them held against two oracles on random ones.
//!
//! `CHANCERY_POLICY_CASES` sets how many cases each oracle runs; the default keeps the run to some seconds.

#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "all of it is tests, helpers too")]

mod assertions;
mod cedar;
mod fixture;
mod less;
mod reading;
mod reference;
mod rules;
mod world;

use proptest::test_runner::{Config, RngSeed};

/// How many cases a property runs: the same each time, unless a number is asked for.
#[expect(clippy::disallowed_methods, reason = "how long to look is the caller's; no setting of the program")]
fn cases(default: u32) -> Config {
    let asked = std::env::var("CHANCERY_POLICY_CASES").ok().and_then(|cases| cases.parse().ok());
    let rng_seed = if asked.is_some() { RngSeed::Random } else { RngSeed::Fixed(4) };
    Config { cases: asked.unwrap_or(default), rng_seed, failure_persistence: None, ..Config::default() }
}
