//! N1: what leaves a site is the same in two worlds that differ only in what the asker may not see.

use harness::twins::{Plan, run};

/// `CHANCERY_TWINS` and `CHANCERY_TWINS_SEED` ask for others, and for more.
#[tokio::test(flavor = "multi_thread")]
async fn worlds_that_look_alike_cannot_be_told_apart() {
    let plan = Plan::from_environment(1, 500);
    let summary = run(plan).await.unwrap_or_else(|reports| panic!("{reports}"));
    if plan.pairs >= 100 {
        assert!(summary.with_rows * 2 > summary.for_rows, "most answers should have rows: {summary:?}");
        // None of 3,134 did when this was written; each is printed.
        assert!(summary.by_chance * 1_000 <= summary.asked, "no answer should hang on chance: {summary:?}");
        assert!(summary.hidden_rows * 5 > summary.rows * 2, "about 45 % of rows should be hidden: {summary:?}");
    }
}
