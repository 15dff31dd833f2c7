//! N1: what leaves a site is the same in two worlds that differ only in what the asker may not see.

use harness::twins::{Plan, run};

/// `CHANCERY_TWINS` and `CHANCERY_TWINS_SEED` ask for others, and for more.
#[tokio::test(flavor = "multi_thread")]
async fn worlds_that_look_alike_cannot_be_told_apart() {
    let plan = Plan::from_environment(1, 500);
    let summary = run(plan).await.unwrap_or_else(|report| panic!("{report}"));
    if plan.pairs >= 100 {
        assert!(summary.with_rows * 2 > summary.asked, "most answers should have rows: {summary:?}");
        assert!(summary.hidden_rows * 5 > summary.rows * 2, "about 45 % of rows should be hidden: {summary:?}");
    }
}
