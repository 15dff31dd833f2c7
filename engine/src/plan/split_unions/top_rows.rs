//! The first rows of a union are among the first rows of its arms.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::logical_expr::{LogicalPlan, Sort};

use super::arms::{Arms, all_arms, all_repeatable};
use crate::plan::sites::Sites;

/// The sort over a union of arms that are each sorted and cut off as it is; `None` where that is idle or wrong.
pub(super) fn split(sort: &Sort, sites: Sites) -> Result<Option<LogicalPlan>> {
    let Some(fetch) = sort.fetch else { return Ok(None) };
    let cut_off = |arm: &LogicalPlan| matches!(arm, LogicalPlan::Sort(Sort { fetch: Some(own), .. }) if *own <= fetch);
    if !all_repeatable(sort.expr.iter().map(|key| &key.expr))? || all_arms(&sort.input, &cut_off) {
        return Ok(None);
    }
    let Some(arms) = Arms::below(&sort.input, sites)? else { return Ok(None) };
    let sorted = |plan| Sort { expr: sort.expr.clone(), input: Arc::new(plan), fetch: sort.fetch };
    let plans = arms.plans.into_iter().map(|arm| LogicalPlan::Sort(sorted(arm))).collect();
    Ok(Some(LogicalPlan::Sort(sorted(Arms::reunite(plans, &arms.schema)?))))
}
