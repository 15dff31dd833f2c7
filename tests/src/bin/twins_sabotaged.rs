//! Twin worlds whose sites have the switches: which pair is the first that can be told apart with `CHANCERY_SABOTAGE` thrown?
//!
//! Exit status 1 when there is one, 0 when there is none among `CHANCERY_TWINS` pairs.

use std::process::ExitCode;

use harness::twins::{Plan, first_told_apart};

#[tokio::main]
async fn main() -> ExitCode {
    let plan = Plan::from_environment(1, 1_000);
    match first_told_apart(plan).await {
        Some(pair) => {
            println!("told apart: pair {}", pair.seed);
            ExitCode::from(1)
        }
        None => {
            println!("alike: {} pairs", plan.pairs);
            ExitCode::SUCCESS
        }
    }
}
