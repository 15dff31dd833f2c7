//! Twin worlds whose sites have the switches: which pair is the first that can be told apart with `CHANCERY_SABOTAGE` thrown,
//! and how small can it be made?
//!
//! Exit status 1 when there is one, 0 when there is none among `CHANCERY_TWINS` pairs.

use std::process::ExitCode;

use harness::twins::{Plan, first_told_apart};

/// A few steps are enough to show that there are any; each opens two sites.
const ATTEMPTS: usize = 40;

#[tokio::main]
async fn main() -> ExitCode {
    let plan = Plan::from_environment(1, 1_000);
    match first_told_apart(plan, ATTEMPTS).await {
        Some((report, rows)) => {
            println!("{report}\ntold apart: pair {}", report.seed);
            let left = report.pair.row_count();
            if left < rows {
                println!("made smaller: from {rows} rows to {left}");
            }
            ExitCode::from(1)
        }
        None => {
            println!("alike: {} pairs", plan.pairs);
            ExitCode::SUCCESS
        }
    }
}
